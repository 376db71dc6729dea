/* How much of a line a background connection takes: what is left over. Pure.
 *
 * A receiver sets the sender's pace by the window that it offers (rLEDBAT, RFC 9840). While data waits
 * in a queue on the way, the round trip takes longer than the shortest one seen; beyond YIELD_TARGET
 * (LEDBAT++'s) the window shrinks by up to a half each time, else it grows, the faster the longer the
 * line has been calm. It is never less than YIELD_FLOOR, so that a job goes on whatever happens, and
 * there is none at all (YIELD_FREE) until a queue was seen, and again once it would not matter.
 *
 * A sender that pauses by itself makes the round trip look long, as the answer to our last
 * acknowledgement comes with its next data. Such a sample counts only while our own window is what the
 * sender waits for; this mends a window that was made small for such a reason, too.
 *
 * On a line without a queue of milliseconds, as loopback, nothing ever happens.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define YIELD_INTERVAL (100 * NSEC_PER_MSEC)  /* between two samples, at least */
#define YIELD_TARGET_US 60000u
#define YIELD_GAP (30 * NSEC_PER_MSEC)        /* a longer silence is the sender's own */
#define YIELD_MEMORY (600 * NSEC_PER_SEC)     /* of the shortest round trip: routes change */
#define YIELD_FLOOR (UINT64_C(8) << 10)
#define YIELD_CEILING (UINT64_C(16) << 20)
#define YIELD_FREE UINT64_MAX

struct yield {
	uint64_t window;                  /* to offer; YIELD_FREE */
	uint32_t base_us, next_base_us;   /* the shortest round trip before `base_at`, and since */
	uint32_t last_us[2];              /* the latest samples: one outlier is none */
	int64_t base_at, sampled_at, shrunk_at;
};

struct yield_sample {
	int64_t now;
	uint32_t rtt_us;
	uint64_t bytes;                   /* since the last sample */
	int64_t gap;                      /* the longest time without a byte since then */
};

void yield_init(struct yield *y, int64_t now);
/* True: y->window has changed. */
bool yield_step(struct yield *y, const struct yield_sample *sample);
