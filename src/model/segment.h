/* Which parts of one file are fetched over which connection: pure, no clock, no sockets.
 *
 * How many connections there are is model/ramp's. A new segment takes the first gap that nobody fetches,
 * else the rear part of the segment that would take longest: as much as lets all connections end at the same
 * time at their present rates. So the tail of a file never waits for one slow connection.
 *
 * Offsets are those of the blob. With `range=` the blob is a concatenation of parts of the remote file;
 * a segment never crosses the edge of a part.
 *
 * Calling sequence: segments_init; segments_have; then after anything has happened, and each
 * SEGMENT_TICK while connections are open, segments_next until SEGMENT_NOTHING. One thread.
 */
#pragma once

#include "base/clock.h"
#include "model/extent.h"
#include "model/ramp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENTS_MAX 16
#define SEGMENT_NONE UINT64_MAX /* no offset wanted; size unknown */

#define SEGMENT_TICK (50 * NSEC_PER_MSEC)
#define SEGMENT_TICK_FIRST (20 * NSEC_PER_MSEC) /* while segments_is_beginning */
#define SEGMENT_RATE_TIME NSEC_PER_SEC          /* rates are of about the last second: some servers send in bursts */
#define SEGMENT_SPLIT_BYTES (UINT64_C(128) << 10) /* the smallest piece worth a request */
#define SEGMENT_SPLIT_TIME (300 * NSEC_PER_MSEC) /* and time; or twice what a first byte takes */
#define SEGMENT_TAIL_SILENCE (2 * NSEC_PER_SEC) /* of a segment that others could take over */
#define SEGMENT_NEAR (UINT64_C(1) << 20)       /* a segment so close before a wanted offset serves it */

struct segment {
	bool used, flowing;         /* flowing: a byte has come */
	uint64_t first, next, end;  /* [first, next) has come; end SEGMENT_NONE: to the unknown end */
	int64_t since, last;        /* started; its last byte, or its start */
	int64_t began;              /* its first byte */
	uint64_t rate, sampled;     /* bytes per second, smoothed; `next` at the last sample */
};

struct segments {
	uint64_t size;              /* of the blob; SEGMENT_NONE */
	struct extents done;        /* what ended segments left, and what was there before */
	const uint64_t *edges;      /* ascending blob offsets that no segment crosses; borrowed */
	size_t nedges;
	uint64_t want;              /* where a reader waits; SEGMENT_NONE */
	int64_t idle;               /* no byte for so long: stalled */
	unsigned limit;             /* connections at most; the caller may change it at any time */
	bool ranges;                /* the server serves ranges of this very version */
	bool throttled;             /* the caller's: own limits hold bytes back, so nothing can be measured */
	struct segment v[SEGMENTS_MAX];
	unsigned used;
	unsigned most;              /* there are no more connections for it than these, until FULL_UNTIL */
	int64_t full_until;
	uint64_t moved;             /* bytes that came, ever */
	int64_t moved_at;           /* when the last one came */
	int64_t sampled_at;
	int64_t reach;              /* from the last segment's start to its first byte */
	struct ramp ramp;
};

enum segment_action {
	SEGMENT_NOTHING,
	SEGMENT_START, /* v[slot] is used from now on: ask for [first, end) */
	SEGMENT_STOP,  /* cut the connection of v[slot], then segments_end */
};

struct segment_step {
	enum segment_action action;
	unsigned slot;
};

/* IDLE in nanoseconds; LIMIT 1..SEGMENTS_MAX. */
void segments_init(struct segments *s, uint64_t size, unsigned limit, int64_t idle, int64_t now);
void segments_release(struct segments *s);
int segments_have(struct segments *s, const struct extents *have); /* copies; 0 or -ENOMEM */
void segments_set_size(struct segments *s, uint64_t size);
void segments_want(struct segments *s, uint64_t offset);

struct segment_step segments_next(struct segments *s, int64_t now);

/* BYTES more have come for SLOT: at most end - next. */
void segments_moved(struct segments *s, unsigned slot, uint64_t bytes, int64_t now);
/* The only segment begins at 0 after all: the server sends the whole file whatever was asked. */
void segments_whole(struct segments *s, unsigned slot);
/* The connection of SLOT is gone; [first, written) of it is in the blob. 0 or -ENOMEM. */
int segments_end(struct segments *s, unsigned slot, uint64_t written);
/* After segments_end. The server refused a connection, or one was lost: when others go on, it is tried again
 * later, or never (model/ramp). Or it is we who have none to give. */
void segments_lost(struct segments *s, int64_t now);
void segments_denied(struct segments *s, int64_t now);

/* Whether it will soon be known how many connections to open. */
bool segments_is_beginning(const struct segments *s, int64_t now);
bool segments_complete(const struct segments *s);          /* size known, and all of it in `done` */
uint64_t segments_left(const struct segments *s);          /* bytes that have not come; SEGMENT_NONE */
bool segments_stalled(const struct segments *s, int64_t now); /* no segment got a byte for `idle` */
void segments_assert_sane(const struct segments *s);
