/* Servers and lines for the planner, in steps of simulated time. */
#pragma once

#include "model/segment.h"

#include "unit.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define STEP (10 * NSEC_PER_MSEC)
#define IDLE (5 * NSEC_PER_SEC)
#define SECONDS(n) ((int64_t)((n) * (double)NSEC_PER_SEC))

struct server {
	uint64_t per_connection, in_all; /* bytes per second; 0: no such limit */
	uint64_t burst;                  /* so many at once, and then a pause, makes per_connection */
	int64_t round_trip;              /* a request's first byte, and the window doubles in each; 0: neither */
	unsigned max;                    /* more connections are refused; 0: any number */
	unsigned workers;                /* more are accepted and not answered; 0: any number */
	int64_t lose_each;               /* a connection is lost so often; 0: never */
	unsigned dead_slot;              /* whose connection is silent from dead_at on, until replaced */
	int64_t dead_at;
	uint64_t slow_rate;              /* of slot 0; 0: as the others */
	int64_t stall_at, stall_for;     /* nothing comes from anywhere */
};

struct run {
	struct segments s;
	struct server server;
	int64_t now, tick_at, begun, lost_at;
	int64_t burst_at[SEGMENTS_MAX];  /* the next one */
	bool warm[SEGMENTS_MAX];         /* its connection had an answer before, and came to speed */
	unsigned most, starts, stops, refused;
};

static bool is_served(const struct run *r, unsigned slot)
{
	const struct server *v = &r->server;
	const struct segment *g = &r->s.v[slot];
	unsigned before = 0;

	if (!g->used || r->now - g->since < v->round_trip)
		return false;
	if (v->dead_at && slot == v->dead_slot && r->now >= v->dead_at && g->since < v->dead_at)
		return false;
	if (v->stall_at && r->now >= v->stall_at && r->now < v->stall_at + v->stall_for)
		return false;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		before += r->s.v[i].used && (r->s.v[i].since < g->since || (r->s.v[i].since == g->since && i < slot));
	return !v->workers || before < v->workers;
}

/* What the server and the window would let through to SLOT in this step. */
static uint64_t offer(struct run *r, unsigned slot)
{
	const struct server *v = &r->server;
	const struct segment *g = &r->s.v[slot];
	uint64_t rate = slot == 0 && v->slow_rate ? v->slow_rate : v->per_connection, bytes = UINT64_MAX;

	if (!is_served(r, slot))
		return 0;
	if (v->burst) {
		if (r->burst_at[slot] > r->now)
			return 0;
		r->burst_at[slot] = r->now + (int64_t)(v->burst * NSEC_PER_SEC / rate);
		return v->burst;
	}
	if (rate)
		bytes = rate * STEP / NSEC_PER_SEC;
	if (v->round_trip && !r->warm[slot]) {
		int64_t rounds = (r->now - g->since) / v->round_trip - 1;
		uint64_t window = UINT64_C(14600) << (rounds < 20 ? rounds : 20);

		if (window * STEP / (uint64_t)v->round_trip < bytes)
			bytes = window * STEP / (uint64_t)v->round_trip;
	}
	return bytes;
}

/* One step of time: the line is shared evenly by those who want more than that. */
static void serve(struct run *r)
{
	uint64_t offers[SEGMENTS_MAX], line = r->server.in_all ? r->server.in_all * STEP / NSEC_PER_SEC : UINT64_MAX;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		offers[i] = offer(r, i);
	for (unsigned left = SEGMENTS_MAX; left; left--) {
		unsigned least = SEGMENTS_MAX;
		struct segment *g;
		uint64_t bytes;

		for (unsigned i = 0; i < SEGMENTS_MAX; i++)
			if (offers[i] && (least == SEGMENTS_MAX || offers[i] < offers[least]))
				least = i;
		if (least == SEGMENTS_MAX)
			return;
		unsigned sharers = 0;
		for (unsigned i = 0; i < SEGMENTS_MAX; i++)
			sharers += offers[i] > 0;
		g = &r->s.v[least];
		bytes = offers[least] < line / sharers ? offers[least] : line / sharers;
		bytes = bytes < g->end - g->next ? bytes : g->end - g->next;
		offers[least] = 0;
		line -= line == UINT64_MAX ? 0 : bytes;
		if (bytes)
			segments_moved(&r->s, least, bytes, r->now);
		if (g->next == g->end) {
			assert_int_equal(segments_end(&r->s, least, g->next), 0);
			r->warm[least] = true;
			r->tick_at = r->now;
		}
	}
}

static void start(struct run *r, unsigned slot)
{
	if (r->server.max && r->s.used > r->server.max) {
		assert_int_equal(segments_end(&r->s, slot, r->s.v[slot].first), 0);
		segments_lost(&r->s, r->now);
		r->refused++;
		return;
	}
	r->burst_at[slot] = r->now;
	r->starts++;
}

static void obey(struct run *r)
{
	struct segment_step step;

	while ((step = segments_next(&r->s, r->now)).action != SEGMENT_NOTHING) {
		segments_assert_sane(&r->s);
		if (step.action == SEGMENT_START) {
			start(r, step.slot);
		} else {
			r->stops++;
			r->warm[step.slot] = false;
			assert_int_equal(segments_end(&r->s, step.slot, r->s.v[step.slot].next), 0);
		}
	}
	if (r->s.used > r->most)
		r->most = r->s.used;
}

static void lose_one(struct run *r)
{
	if (!r->server.lose_each || r->now - r->lost_at < r->server.lose_each || r->s.used < 2)
		return;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		if (!r->s.v[i].used)
			continue;
		assert_int_equal(segments_end(&r->s, i, r->s.v[i].next), 0);
		segments_lost(&r->s, r->now);
		r->warm[i] = false;
		break;
	}
	r->lost_at = r->now;
}

/* As the worker does: at each tick, and when a connection has ended. */
static void step(struct run *r)
{
	r->now += STEP;
	serve(r);
	lose_one(r);
	if (r->now < r->tick_at)
		return;
	obey(r);
	r->tick_at = r->now + (segments_is_beginning(&r->s, r->now) ? SEGMENT_TICK_FIRST : SEGMENT_TICK);
}

static void begin(struct run *r, uint64_t size, unsigned limit)
{
	r->now = r->begun = r->lost_at = NSEC_PER_SEC;
	segments_init(&r->s, size, limit, IDLE, r->now);
	r->s.ranges = true;
	obey(r);
}

/* Until the file is whole; the simulated time that took. */
static int64_t finish(struct run *r)
{
	while (!segments_complete(&r->s)) {
		assert_false(segments_stalled(&r->s, r->now));
		step(r);
		segments_assert_sane(&r->s);
		assert_true(r->now - r->begun < SECONDS(1000));
	}
	segments_release(&r->s);
	return r->now - r->begun;
}

/* What SIZE takes at RATE from the first moment on, and PERCENT more. */
static int64_t ideal(uint64_t size, uint64_t rate, unsigned percent)
{
	return SECONDS((double)size / (double)rate * (100 + percent) / 100);
}
