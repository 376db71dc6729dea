/* What makes the connections of background jobs give way. To other traffic ([network] background =
 * yield): they are marked Lower Effort (RFC 8622), for the routers that look at it, and their windows
 * follow model/yield. To each other: the windows of a job that gets more than its share follow
 * net/balance. The smaller of both windows is offered. Loopback is left alone.
 */
#pragma once

#include "model/hold.h"
#include "model/yield.h"
#include "net/balance.h"

#include <stdbool.h>
#include <stdint.h>

/* Of one socket, for as long as it lives: libcurl uses it for many files, of several jobs. */
struct background {
	bool known, loopback; /* asked where it leads */
	bool low;             /* is marked and yields */
	struct yield yield;
	struct hold hold;     /* by its job's portion */
	uint32_t step;        /* the latest that was taken */
	int64_t ticked_at, since; /* the latest tick; when `bytes` and `gap` begin */
	uint64_t bytes;
	int64_t gap;
};

/* A new socket, before it connects. */
void background_open(struct background *b, int fd, bool low);

struct background_tick {
	int64_t now;
	uint64_t bytes;       /* since the last tick */
	int64_t gap;          /* the longest time without a byte, likewise */
	bool low;
	struct portion portion;
};
/* At each tick, while a file comes over FD. Gives the round trip, if there is one to know of, else 0. */
uint32_t background_tick(struct background *b, int fd, const struct background_tick *t);
/* Whether a window holds the sender back. */
static inline bool background_holds(const struct background *b)
{
	return b->hold.held || (b->low && b->yield.window != YIELD_FREE);
}
