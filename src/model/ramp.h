/* How many connections a file is worth: pure, no clock, no sockets. Part of model/segment.
 *
 * A file begins with one connection. What comes over it after RAMP_GLANCE decides whether the server
 * seems to hold a connection back (less than RAMP_FAST over it): then as many as may be are opened at
 * once, else twice as many. Every such change is a trial, measured over a window that is long enough for a
 * server that sends in bursts, and then kept or taken back:
 *
 *	more connections:   kept if they carry RAMP_GAIN_PERCENT more
 *	fewer connections:  kept unless more of them carried so much more
 *
 * Fewer are tried only in a transfer that lasts: what a glance took for a held back connection may have
 * been one that had not come to speed. A trial that a glance alone speaks against is looked at again when
 * one connection was measured for as long.
 *
 * Calling sequence: ramp_init; then ramp_tick with what there is, often; `target` is what to open.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define RAMP_GLANCE (40 * NSEC_PER_MSEC)       /* of bytes over the first connection */
#define RAMP_SETTLE (100 * NSEC_PER_MSEC)      /* from all connections' first bytes to the window */
#define RAMP_WINDOW NSEC_PER_SEC               /* of one measurement: nginx limits by whole seconds */
#define RAMP_WINDOW_FAST (150 * NSEC_PER_MSEC) /* where connections carry RAMP_FAST */
#define RAMP_FAST UINT64_C(100000000)          /* bytes per second of one connection that nobody holds back */
#define RAMP_GAIN_PERCENT 15
#define RAMP_PATIENCE (5 * NSEC_PER_SEC)       /* for the first bytes of a trial's connections */
#define RAMP_HOLD (15 * NSEC_PER_SEC)          /* before the next trial after one that failed; doubles */
#define RAMP_HOLD_MAX (480 * NSEC_PER_SEC)
#define RAMP_DENIED NSEC_PER_SEC               /* the same after a limit of our own */
#define RAMP_RETRY (250 * NSEC_PER_MSEC)       /* before a connection that was lost is opened again, */
#define RAMP_RETRIES 3                         /* so often */
#define RAMP_BYTES (UINT64_C(4) << 20)         /* less than this left: not worth a connection; */
#define RAMP_PIECE (UINT64_C(2) << 20)         /* and for each at least this */
#define RAMP_TIME NSEC_PER_SEC                 /* left at the present rate: likewise; */
#define RAMP_TIME_FAST (2 * NSEC_PER_SEC)      /* where little is to be gained */
#define RAMP_LASTS (20 * NSEC_PER_SEC)         /* left at the present rate: fewer may do as well */

/* What there is. */
struct ramp_view {
	unsigned used, flowing; /* connections; those that a byte has come over */
	unsigned limit;         /* connections at most */
	uint64_t moved, left;   /* bytes that came, ever; that are to come, UINT64_MAX: unknown */
	bool able;              /* more connections are possible: the server serves ranges */
	bool frozen;            /* own limits hold bytes back: nothing can be measured */
};

struct ramp {
	unsigned target;        /* connections wanted */
	unsigned proven;        /* the number that is known to pay; not `target`: a trial */
	uint64_t proven_rate;   /* bytes per second of so many */
	bool measured;          /* proven_rate is of a whole window, not of a glance */
	unsigned second;        /* a number that a glance spoke against, and its rate; 0: none */
	uint64_t second_rate;
	int64_t more_at, fewer_at, hold; /* next trials at the earliest */
	unsigned had, retries;  /* connections that the server has served at once; lost since */
	int64_t retry_at;
	/* of the present target */
	int64_t since;
	uint64_t since_moved;
	bool full;              /* so many have flowed at once */
	bool steady;            /* at the last tick: full, and none is missing */
	int64_t ticked_at, steady_for, window_for;
	uint64_t ticked_moved, window_moved;
};

void ramp_init(struct ramp *r, int64_t now);
void ramp_tick(struct ramp *r, const struct ramp_view *v, int64_t now);
/* The server refused a connection, or one was lost; V without it. One of as many as it has served before is
 * tried again soon, since it may still count one that is gone; else there are as many as it serves. */
void ramp_lost(struct ramp *r, const struct ramp_view *v, int64_t now);
/* A connection more is not to be had here. */
void ramp_denied(struct ramp *r, const struct ramp_view *v, int64_t now);
/* There are so many connections, for other reasons than their rate. */
void ramp_set(struct ramp *r, const struct ramp_view *v, int64_t now);
/* The glance is not over: ticks should come quickly. */
bool ramp_is_glancing(const struct ramp *r, const struct ramp_view *v, int64_t now);
void ramp_assert_sane(const struct ramp *r);
