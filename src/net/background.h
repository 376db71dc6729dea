/* What makes the connections of background jobs give way to other traffic ([network] background =
 * yield): they are marked Lower Effort (RFC 8622), for the routers that look at it, and their windows
 * follow model/yield. Loopback is left alone.
 */
#pragma once

#include "model/yield.h"

#include <stdbool.h>
#include <stdint.h>

/* Of one socket, for as long as it lives: libcurl uses it for many files, of several jobs. */
struct background {
	bool known, loopback; /* asked where it leads */
	bool low;             /* is marked and yields */
	struct yield yield;
};

/* A new socket, before it connects. */
void background_open(struct background *b, int fd, bool low);
/* At each tick, while a file comes over FD: BYTES since the last call that took a sample, GAP as in
 * model/yield.h. True: the sample was taken. */
bool background_tick(struct background *b, int fd, bool low, int64_t now, uint64_t bytes, int64_t gap);
/* Whether the window holds the sender back. */
static inline bool background_holds(const struct background *b)
{
	return b->low && b->yield.window != YIELD_FREE;
}
