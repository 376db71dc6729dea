/* The planner against simulated servers: time is a number here, 10 ms a step. */
#include "model/segment.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define STEP (10 * NSEC_PER_MSEC)
#define IDLE (5 * NSEC_PER_SEC)

struct server {
	uint64_t per_connection, in_all; /* bytes per second; 0: no such limit */
	unsigned max;                    /* more connections are refused; 0: any number */
	int64_t latency;                 /* to a connection's first byte */
	unsigned dead_slot;              /* whose connection is silent from dead_at on, until replaced */
	int64_t dead_at;
	uint64_t slow_rate;              /* of slot 0; 0: as the others */
};

struct run {
	struct segments s;
	struct server server;
	int64_t now;
	unsigned most, starts, stops;
	int64_t dead_since;
};

static bool is_silent(const struct run *r, unsigned slot)
{
	return r->server.dead_at && slot == r->server.dead_slot && r->now >= r->server.dead_at &&
	       r->s.v[slot].since < r->server.dead_at;
}

/* One step of time: what each connection gets. */
static void serve(struct run *r)
{
	unsigned active = 0;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		active += r->s.v[i].used && !is_silent(r, i);
	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		struct segment *g = &r->s.v[i];
		uint64_t rate = r->server.per_connection ? r->server.per_connection : UINT64_MAX, bytes;

		if (!g->used || is_silent(r, i) || r->now - g->since < r->server.latency)
			continue;
		if (r->server.in_all && r->server.in_all / active < rate)
			rate = r->server.in_all / active;
		if (i == 0 && r->server.slow_rate)
			rate = r->server.slow_rate;
		bytes = rate / 100;
		if (bytes > g->end - g->next)
			bytes = g->end - g->next;
		segments_moved(&r->s, i, bytes, r->now);
		if (g->next == g->end)
			assert_int_equal(segments_end(&r->s, i, g->next), 0);
	}
}

static void obey(struct run *r)
{
	struct segment_step step;

	while ((step = segments_next(&r->s, r->now)).action != SEGMENT_NOTHING) {
		segments_assert_sane(&r->s);
		if (step.action == SEGMENT_STOP) {
			r->stops++;
			assert_int_equal(segments_end(&r->s, step.slot, r->s.v[step.slot].next), 0);
		} else if (r->server.max && r->s.used > r->server.max) {
			assert_int_equal(segments_end(&r->s, step.slot, r->s.v[step.slot].first), 0);
			segments_refused(&r->s, r->now);
		} else {
			r->starts++;
		}
	}
	if (r->s.used > r->most)
		r->most = r->s.used;
}

static void begin(struct run *r, uint64_t size, unsigned limit)
{
	r->now = NSEC_PER_SEC;
	segments_init(&r->s, size, limit, IDLE, r->now);
	r->s.ranges = true;
}

/* Until the file is whole; the simulated time that took. */
static int64_t finish(struct run *r)
{
	int64_t start = r->now;

	while (!segments_complete(&r->s)) {
		obey(r);
		assert_false(segments_stalled(&r->s, r->now));
		r->now += STEP;
		serve(r);
		segments_assert_sane(&r->s);
		assert_true(r->now - start < 1000 * NSEC_PER_SEC);
	}
	segments_release(&r->s);
	return r->now - start;
}

static void test_one_when_it_does_not_pay(void **state)
{
	struct run r = { .server = { .in_all = 100 * MIB } };
	int64_t time;

	begin(&r, 1000 * MIB, 16);
	time = finish(&r);
	/* One trial of two, and back. */
	assert_int_equal(r.most, 2);
	assert_true(r.stops >= 1);
	assert_true(time < 10 * NSEC_PER_SEC + 2 * STEP);
}

static void test_as_many_as_pay(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB } };
	int64_t time;

	begin(&r, 2000 * MIB, 16);
	time = finish(&r);
	assert_int_equal(r.most, 16);
	/* 6.25 s with 16 from the first moment, 100 s with one. */
	assert_true(time < 8 * NSEC_PER_SEC);
}

static void test_line_for_four(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB, .in_all = 80 * MIB, .latency = 50 * NSEC_PER_MSEC } };

	begin(&r, 1000 * MIB, 16);
	assert_true(finish(&r) < 15 * NSEC_PER_SEC);
	assert_int_equal(r.most, 8); /* a trial that did not pay */
}

static void test_no_trial_for_little(void **state)
{
	struct run r = { .server = { .per_connection = 100 * MIB } };

	begin(&r, 90 * MIB, 16); /* less than a second */
	finish(&r);
	assert_int_equal(r.most, 1);

	r = (struct run){ .server = { .per_connection = 1 * MIB } };
	begin(&r, 3 * MIB, 16); /* less than four MiB */
	finish(&r);
	assert_int_equal(r.most, 1);
}

static void test_no_trial_without_ranges_or_under_own_limit(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB } };

	begin(&r, 100 * MIB, 16);
	r.s.ranges = false;
	finish(&r);
	assert_int_equal(r.starts, 1);

	r = (struct run){ .server = { .per_connection = 20 * MIB } };
	begin(&r, 100 * MIB, 16);
	r.s.throttled = true;
	finish(&r);
	assert_int_equal(r.most, 1);
}

static void test_refused(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB, .max = 3 } };

	begin(&r, 500 * MIB, 16);
	/* The refusal holds: two or three, and no request each moment for more. */
	finish(&r);
	assert_true(r.most >= 2 && r.most <= 3);
	assert_true(r.starts < 40);
}

static void test_slow_connection_holds_nobody_up(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB, .slow_rate = 1 * MIB } };
	int64_t time;

	begin(&r, 200 * MIB, 4);
	/* One fast and the slow one would take about 10 s; the slow half alone 100 s. */
	time = finish(&r);
	assert_true(time < 8 * NSEC_PER_SEC);
}

static void test_silent_connection_is_replaced(void **state)
{
	struct run r = { .server = { .per_connection = 10 * MIB, .dead_slot = 1, .dead_at = 3 * NSEC_PER_SEC } };

	begin(&r, 300 * MIB, 4);
	finish(&r);
	assert_true(r.stops >= 1);
}

static void test_silent_server_is_seen(void **state)
{
	struct run r = { .server = { .per_connection = 10 * MIB, .dead_slot = 0, .dead_at = 1500 * NSEC_PER_MSEC } };

	begin(&r, 300 * MIB, 1);
	while (!segments_stalled(&r.s, r.now)) {
		obey(&r);
		r.now += STEP;
		serve(&r);
		assert_true(r.now < 20 * NSEC_PER_SEC);
	}
	assert_true(r.now >= 1500 * NSEC_PER_MSEC + IDLE - 2 * STEP);
	segments_release(&r.s);
}

static void test_wanted_place(void **state)
{
	struct run r = { .server = { .per_connection = 1 * MIB } };
	const uint64_t place = 70 * MIB + 5;
	unsigned steps = 0;

	begin(&r, 100 * MIB, 1);
	obey(&r);
	r.now += STEP;
	serve(&r);
	segments_want(&r.s, place);
	obey(&r);
	/* The one connection moved there at once. */
	assert_int_equal(r.s.used, 1);
	while (!extents_contain(&r.s.done, place, place + 1) && !(r.s.v[0].first == place && r.s.v[0].next > place)) {
		r.now += STEP;
		serve(&r);
		assert_true(steps++ < 10);
	}
	/* To the end, and then the gap before it. */
	finish(&r);
}

static void test_parts_are_not_crossed(void **state)
{
	const uint64_t edges[] = { 0, 10 * MIB, 10 * MIB + 5, 60 * MIB };
	struct run r = { .server = { .per_connection = 10 * MIB } };

	begin(&r, 60 * MIB, 8);
	r.s.edges = edges;
	r.s.nedges = 4;
	while (!segments_complete(&r.s)) {
		obey(&r);
		for (unsigned i = 0; i < SEGMENTS_MAX; i++)
			for (unsigned j = 0; j < 4; j++)
				assert_false(r.s.v[i].used && r.s.v[i].first < edges[j] && edges[j] < r.s.v[i].end);
		r.now += STEP;
		serve(&r);
	}
	segments_release(&r.s);
}

static void test_resumes_gaps(void **state)
{
	struct extents have = { 0 };
	struct run r = { .server = { .per_connection = 10 * MIB } };

	assert_int_equal(extents_add(&have, 0, 10 * MIB), 0);
	assert_int_equal(extents_add(&have, 20 * MIB, 30 * MIB), 0);
	begin(&r, 40 * MIB, 1);
	assert_int_equal(segments_have(&r.s, &have), 0);
	assert_int_equal(segments_left(&r.s), 20 * MIB);
	finish(&r);
	assert_int_equal(r.starts, 2);
	assert_int_equal(r.s.moved, 20 * MIB);
	extents_release(&have);
}

static void test_limit_falls(void **state)
{
	struct run r = { .server = { .per_connection = 10 * MIB } };

	begin(&r, 1000 * MIB, 8);
	while (r.s.used < 8) {
		obey(&r);
		r.now += STEP;
		serve(&r);
	}
	/* Another file waits for connections of this host. */
	r.s.limit = 2;
	obey(&r);
	assert_int_equal(r.s.used, 2);
	finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_when_it_does_not_pay),
		cmocka_unit_test(test_as_many_as_pay),
		cmocka_unit_test(test_line_for_four),
		cmocka_unit_test(test_no_trial_for_little),
		cmocka_unit_test(test_no_trial_without_ranges_or_under_own_limit),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_slow_connection_holds_nobody_up),
		cmocka_unit_test(test_silent_connection_is_replaced),
		cmocka_unit_test(test_silent_server_is_seen),
		cmocka_unit_test(test_wanted_place),
		cmocka_unit_test(test_parts_are_not_crossed),
		cmocka_unit_test(test_resumes_gaps),
		cmocka_unit_test(test_limit_falls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
