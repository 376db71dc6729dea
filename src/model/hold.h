/* The receive window of one connection, as its job's part of the line wants it (model/fair). Pure.
 *
 * A held connection's window begins with what is on its way, and follows the job's factor step by step:
 *  1. what was offered cannot be taken back, so a window is lowered again only when all that was offered
 *     before the last time has come;
 *  2. a window that is not used holds nothing back: it is not raised then, and lowered from what is used,
 *     or a pause of the sender would end with a rush;
 *  3. a connection that is not held has a window too, HOLD_SPARE times what is on its way. The kernel
 *     offers more, after a pause of ours a hundred times that, and (1) would take seconds.
 *
 * The time that data take to answer an acknowledgement is too long where the sender pauses, never too
 * short; so windows err on the large side, and the factor of the next step mends it.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define HOLD_SPARE 6
#define HOLD_SPARE_MIN (UINT64_C(512) << 10)
#define HOLD_FLOOR (UINT64_C(8) << 10)
#define HOLD_CEILING (UINT64_C(16) << 20)
#define HOLD_FREE UINT64_MAX

struct hold {
	uint64_t window;     /* to offer; HOLD_FREE */
	bool held;           /* it is meant to hold the sender back */
	uint64_t settling;   /* bytes that still come by what was offered before */
	double rate, peak;   /* bytes per second: of the latest sample; of the latest second */
};

void hold_init(struct hold *h);
/* BYTES have come. */
void hold_moved(struct hold *h, uint64_t bytes);
/* So many came in PASSED, which is at least a tenth of a second or two round trips. */
void hold_sample(struct hold *h, uint64_t bytes, int64_t passed);
/* One step: FACTOR is the job's, or 0: not held. OFFERED: the largest window that may be open. */
void hold_step(struct hold *h, double factor, uint32_t rtt_us, uint64_t offered);
