/* The planner against simulated servers: time is a number here, and so is how long a file may take. */
#include "segment_sim.h"

/* --- how many connections ------------------------------------------------------------------------ */

/* nginx with limit_rate: 2 MiB at once, then nothing for a tenth of a second. */
static void test_server_limits_each(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB, .burst = 2 * MIB } };

	begin(&r, 2048 * MIB, 16);
	assert_true(finish(&r) < ideal(2048 * MIB, 16 * 20 * MIB, 4));
	assert_int_equal(r.most, 16);
	assert_int_equal(r.starts, 16); /* even parts: none is cut again */

	r = (struct run){ .server = { .per_connection = 20 * MIB, .burst = 2 * MIB } };
	begin(&r, 512 * MIB, 16);
	assert_true(finish(&r) < ideal(512 * MIB, 16 * 20 * MIB, 8));

	/* Without bursts there is nothing to make up for the time with one connection. */
	r = (struct run){ .server = { .per_connection = 20 * MIB } };
	begin(&r, 2048 * MIB, 16);
	assert_true(finish(&r) < ideal(2048 * MIB, 16 * 20 * MIB, 4));
}

/* Each second what fits into its buffers: what a glance sees first is twenty times too fast. */
static void test_server_limits_each_by_seconds(void **state)
{
	struct run r = { .server = { .per_connection = 4 * MIB, .burst = 4 * MIB } };

	begin(&r, 512 * MIB, 16);
	assert_true(finish(&r) < ideal(512 * MIB, 16 * 4 * MIB, 10));
	assert_int_equal(r.most, 16);
}

static void test_server_limits_nothing(void **state)
{
	struct run r = { .server = { .in_all = 1000 * MIB } };

	begin(&r, 4096 * MIB, 16);
	assert_true(finish(&r) < ideal(4096 * MIB, 1000 * MIB, 1) + 2 * STEP);
	/* One trial of two, and back. */
	assert_int_equal(r.most, 2);
	assert_true(r.stops >= 1);
}

/* A fast server's connections carry less than it could: twice as many, while that pays. */
static void test_fast_server_limits_each(void **state)
{
	struct run r = { .server = { .per_connection = 300 * MIB, .in_all = 1000 * MIB } };

	begin(&r, 8192 * MIB, 16);
	assert_true(finish(&r) < ideal(8192 * MIB, 1000 * MIB, 25));
	assert_int_equal(r.most, 8);
}

static void test_line_is_full_with_one(void **state)
{
	struct run r = { .server = { .in_all = 12 * MIB } };
	int64_t trial;

	begin(&r, 240 * MIB, 16);
	while (r.s.used < 2 || r.now - r.begun < SECONDS(0.2))
		step(&r);
	while (r.s.used > 1)
		step(&r);
	trial = r.now - r.begun;
	assert_true(trial < SECONDS(2));
	assert_true(finish(&r) < ideal(240 * MIB, 12 * MIB, 1));
}

/* A first second without bytes is not held against one connection for long. */
static void test_a_stall_is_no_limit(void **state)
{
	struct run r = { .server = { .in_all = 50 * MIB, .stall_at = NSEC_PER_SEC + 30 * NSEC_PER_MSEC,
		.stall_for = 700 * NSEC_PER_MSEC } };

	begin(&r, 4096 * MIB, 16);
	assert_true(finish(&r) < ideal(4096 * MIB, 50 * MIB, 1) + SECONDS(0.7));

	r = (struct run){ .server = r.server };
	begin(&r, 4096 * MIB, 16);
	while (r.now - r.begun < SECONDS(60))
		step(&r);
	assert_int_equal(r.s.used, 1);
	segments_release(&r.s);
}

/* A long line, on which a connection takes a second to come to speed: as fast as one that knew would be;
 * and many connections for a long file only while they are needed. */
static void test_line_with_delay(void **state)
{
	const struct server line = { .in_all = 12 * MIB, .round_trip = 100 * NSEC_PER_MSEC };
	struct run r = { .server = line }, one = { .server = line };

	begin(&r, 100 * MIB, 16);
	begin(&one, 100 * MIB, 1);
	assert_true(finish(&r) < finish(&one));

	r = (struct run){ .server = line };
	begin(&r, 1200 * MIB, 16);
	while (r.now - r.begun < SECONDS(60))
		step(&r);
	assert_int_equal(r.s.used, 1);
	assert_true(finish(&r) < ideal(1200 * MIB, 12 * MIB, 4));
}

/* What is left takes less time than a request for a part of it: nobody asks. */
static void test_end_of_a_line_with_delay(void **state)
{
	struct run r = { .server = { .per_connection = MIB, .round_trip = NSEC_PER_SEC } };
	unsigned starts;

	begin(&r, 128 * MIB, 4);
	while (segments_left(&r.s) > 7 * MIB)
		step(&r);
	starts = r.starts;
	finish(&r);
	assert_int_equal(r.most, 4);
	assert_int_equal(r.starts, starts);
}

/* Loss keeps each connection far below what the line carries. */
static void test_line_with_loss(void **state)
{
	struct run r = { .server = { .in_all = 12 * MIB, .per_connection = MIB, .round_trip = 100 * NSEC_PER_MSEC } };

	begin(&r, 400 * MIB, 16);
	assert_true(finish(&r) < ideal(400 * MIB, 12 * MIB, 10));
}

/* Fewer are tried, but not for long and not often. */
static void test_long_file_from_a_server_that_limits(void **state)
{
	struct run r = { .server = { .per_connection = 4 * MIB } };

	begin(&r, 16384 * MIB, 16);
	assert_true(finish(&r) < ideal(16384 * MIB, 16 * 4 * MIB, 2));
	assert_true(r.stops > 0);
}

static void test_no_trial_for_little(void **state)
{
	struct run r = { .server = { .per_connection = 120 * MIB } };

	begin(&r, 110 * MIB, 16); /* less than a second */
	finish(&r);
	assert_int_equal(r.most, 1);

	r = (struct run){ .server = { .per_connection = 1 * MIB } };
	begin(&r, 3 * MIB, 16); /* less than four MiB */
	finish(&r);
	assert_int_equal(r.most, 1);

	r = (struct run){ .server = { .per_connection = 1 * MIB } };
	begin(&r, 13 * MIB, 16); /* two MiB for each, and even parts */
	finish(&r);
	assert_int_equal(r.most, 6);
	assert_int_equal(r.starts, 6);
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

/* --- connections that are not to be had -------------------------------------------------------------- */

static void test_refused(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB, .burst = 2 * MIB, .max = 3 } };

	begin(&r, 500 * MIB, 16);
	/* The refusal holds: no request each moment for more. */
	assert_true(finish(&r) < ideal(500 * MIB, 3 * 20 * MIB, 5));
	assert_int_equal(r.most, 3);
	assert_true(r.refused <= 2 && r.starts < 40);
}

/* One that is lost is replaced soon, and is no reason to do with fewer. */
static void test_lost_connections_come_back(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB, .max = 16, .lose_each = SECONDS(1) } };

	begin(&r, 2048 * MIB, 16);
	assert_true(finish(&r) < ideal(2048 * MIB, 16 * 20 * MIB, 8));
}

static void test_unanswered(void **state)
{
	struct run r = { .server = { .per_connection = 10 * MIB, .workers = 5 } };

	begin(&r, 1000 * MIB, 16);
	while (r.now - r.begun < SECONDS(8))
		step(&r);
	assert_int_equal(r.s.used, 5);
	assert_true(finish(&r) < ideal(1000 * MIB, 5 * 10 * MIB, 10));
}

static void test_denied(void **state)
{
	struct run r = { .server = { .per_connection = 10 * MIB } };

	begin(&r, 1000 * MIB, 8);
	while (r.s.used < 8)
		step(&r);
	/* Another file waits for connections of this host, and has them for a while. */
	r.s.limit = 2;
	obey(&r);
	assert_int_equal(r.s.used, 2);
	for (unsigned i = 0; i < 100; i++)
		step(&r);
	assert_int_equal(r.s.used, 2);
	r.s.limit = 8;
	for (unsigned i = 0; i < 250; i++)
		step(&r);
	assert_int_equal(r.s.used, 8);
	finish(&r);
}

/* --- where ------------------------------------------------------------------------------------------- */

static void test_slow_connection_holds_nobody_up(void **state)
{
	struct run r = { .server = { .per_connection = 20 * MIB, .slow_rate = 1 * MIB } };

	begin(&r, 800 * MIB, 16);
	assert_true(finish(&r) < ideal(800 * MIB, 301 * MIB, 20));
}

static void test_silent_connection_is_replaced(void **state)
{
	struct run r = { .server = { .per_connection = 10 * MIB, .dead_slot = 1, .dead_at = SECONDS(3) } };

	begin(&r, 300 * MIB, 4);
	finish(&r);
	assert_true(r.stops >= 1);
}

static void test_silent_server_is_seen(void **state)
{
	struct run r = { .server = { .per_connection = 10 * MIB, .dead_slot = 0, .dead_at = SECONDS(1.5) } };

	begin(&r, 300 * MIB, 1);
	while (!segments_stalled(&r.s, r.now)) {
		step(&r);
		assert_true(r.now < SECONDS(20));
	}
	assert_true(r.now >= SECONDS(1.5) + IDLE - 2 * STEP);
	segments_release(&r.s);
}

static void test_wanted_place(void **state)
{
	struct run r = { .server = { .per_connection = 1 * MIB } };
	const uint64_t place = 70 * MIB + 5;
	unsigned steps = 0;

	begin(&r, 100 * MIB, 1);
	step(&r);
	segments_want(&r.s, place);
	obey(&r);
	/* The one connection moved there at once. */
	assert_int_equal(r.s.used, 1);
	while (!extents_contain(&r.s.done, place, place + 1) && !(r.s.v[0].first == place && r.s.v[0].next > place)) {
		step(&r);
		assert_true(steps++ < 10);
	}
	/* To the end, and then the gap before it. */
	finish(&r);
}

/* No second connection is to be had: the first one goes there, instead of asking again and again. */
static void test_wanted_place_without_a_connection(void **state)
{
	struct run r = { .server = { .per_connection = 1 * MIB } };
	const uint64_t place = 70 * MIB + 5;
	struct segment_step next;

	begin(&r, 100 * MIB, 4);
	step(&r);
	segments_want(&r.s, place);
	next = segments_next(&r.s, r.now);
	assert_int_equal(next.action, SEGMENT_START);
	assert_int_equal(r.s.v[next.slot].first, place);
	assert_int_equal(segments_end(&r.s, next.slot, place), 0);
	segments_denied(&r.s, r.now);
	next = segments_next(&r.s, r.now);
	assert_int_equal(next.action, SEGMENT_STOP);
	assert_int_equal(segments_end(&r.s, next.slot, r.s.v[next.slot].next), 0);
	next = segments_next(&r.s, r.now);
	assert_int_equal(next.action, SEGMENT_START);
	assert_int_equal(r.s.v[next.slot].first, place);
	assert_int_equal(segments_next(&r.s, r.now).action, SEGMENT_NOTHING);
	segments_release(&r.s);
}

static void test_parts_are_not_crossed(void **state)
{
	const uint64_t edges[] = { 0, 10 * MIB, 10 * MIB + 5, 60 * MIB };
	struct run r = { .server = { .per_connection = 10 * MIB } };

	begin(&r, SEGMENT_NONE, 8);
	r.s.edges = edges;
	r.s.nedges = 4;
	segments_set_size(&r.s, 60 * MIB);
	while (!segments_complete(&r.s)) {
		for (unsigned i = 0; i < SEGMENTS_MAX; i++)
			for (unsigned j = 0; j < 4; j++)
				assert_false(r.s.v[i].used && r.s.v[i].first < edges[j] && edges[j] < r.s.v[i].end);
		step(&r);
	}
	segments_release(&r.s);
}

static void test_resumes_gaps(void **state)
{
	struct extents have = { 0 };
	struct run r = { .server = { .per_connection = 10 * MIB } };

	assert_int_equal(extents_add(&have, 0, 10 * MIB), 0);
	assert_int_equal(extents_add(&have, 20 * MIB, 30 * MIB), 0);
	r.now = r.begun = NSEC_PER_SEC;
	segments_init(&r.s, 40 * MIB, 1, IDLE, r.now);
	r.s.ranges = true;
	assert_int_equal(segments_have(&r.s, &have), 0);
	assert_int_equal(segments_left(&r.s), 20 * MIB);
	obey(&r);
	finish(&r);
	assert_int_equal(r.starts, 2);
	assert_int_equal(r.s.moved, 20 * MIB);
	extents_release(&have);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server_limits_each),
		cmocka_unit_test(test_server_limits_each_by_seconds),
		cmocka_unit_test(test_server_limits_nothing),
		cmocka_unit_test(test_fast_server_limits_each),
		cmocka_unit_test(test_line_is_full_with_one),
		cmocka_unit_test(test_a_stall_is_no_limit),
		cmocka_unit_test(test_line_with_delay),
		cmocka_unit_test(test_end_of_a_line_with_delay),
		cmocka_unit_test(test_line_with_loss),
		cmocka_unit_test(test_long_file_from_a_server_that_limits),
		cmocka_unit_test(test_no_trial_for_little),
		cmocka_unit_test(test_no_trial_without_ranges_or_under_own_limit),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lost_connections_come_back),
		cmocka_unit_test(test_unanswered),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_slow_connection_holds_nobody_up),
		cmocka_unit_test(test_silent_connection_is_replaced),
		cmocka_unit_test(test_silent_server_is_seen),
		cmocka_unit_test(test_wanted_place),
		cmocka_unit_test(test_wanted_place_without_a_connection),
		cmocka_unit_test(test_parts_are_not_crossed),
		cmocka_unit_test(test_resumes_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
