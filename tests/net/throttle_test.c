/* The hierarchy of buckets, in simulated time. */
#include "base/clock.h"
#include "base/parse.h"
#include "net/throttle.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#define BUFFER 16384
#define SECOND NSEC_PER_SEC

struct stream {
	struct throttle_job *job;
	struct throttle_host *host;
	enum job_priority priority;
	uint64_t bytes;
	int64_t wake;
};

/* Streams that have a buffer at hand whenever they may, and sleep as long as they are told. */
static void flow(struct throttle *t, struct stream *v, size_t n, int64_t from, int64_t to)
{
	for (int64_t now = from; now < to; now += NSEC_PER_MSEC) {
		for (size_t i = 0; i < n; i++) {
			unsigned burst = 0;

			/* A line of 64 GiB/s at most: so that "no limit" ends. */
			while (v[i].wake <= now && burst++ < 4096 &&
			       throttle_pass(t, v[i].job, v[i].host, v[i].priority, BUFFER, now, &v[i].wake))
				v[i].bytes += BUFFER;
		}
	}
}

static void assert_near(uint64_t bytes, double want)
{
	if ((double)bytes < want * 0.95 || (double)bytes > want * 1.05)
		fail_msg("%llu bytes, not %.0f", (unsigned long long)bytes, want);
}

static struct throttle *make(void)
{
	struct throttle *t;

	assert_int_equal(throttle_new(LIMIT_MAX, &t), 0);
	return t;
}

static void test_no_limit_is_free(void **state)
{
	struct throttle *t = make();
	int64_t when;

	assert_false(throttle_limits(t));
	assert_true(throttle_pass(t, NULL, NULL, PRIORITY_LOW, UINT64_C(1) << 40, 0, &when));
	throttle_set_all(t, 1000, true, 0);
	assert_true(throttle_limits(t));
	throttle_set_all(t, 2000, true, 0);
	throttle_set_all(t, LIMIT_MAX, true, 0);
	assert_false(throttle_limits(t));
	throttle_free(t);
}

static void test_exact_in_two_seconds(void **state)
{
	static const uint64_t rates[] = { 64 << 10, 1 << 20, 20 << 20, UINT64_C(300) << 20 };

	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct throttle *t = make();
		struct stream v[3] = { { .priority = PRIORITY_NORMAL }, { .priority = PRIORITY_LOW },
			{ .priority = PRIORITY_HIGH } };

		throttle_set_all(t, rates[i], false, 0);
		flow(t, v, 3, 0, 2 * SECOND);
		assert_near(v[0].bytes + v[1].bytes + v[2].bytes, 2.0 * (double)rates[i]);
		throttle_free(t);
	}
}

/* As on a busy machine: large buffers, and a thread that comes up to 70 ms too late. */
static void test_exact_though_late(void **state)
{
	const uint64_t rate = 200000000, buffer = 512 << 10;
	struct throttle *t = make();
	uint64_t bytes = 0;
	int64_t now = 0, wake = 0;

	throttle_set_all(t, rate, false, 0);
	for (unsigned round = 0; now < 2 * SECOND; round++) {
		while (throttle_pass(t, NULL, NULL, PRIORITY_NORMAL, buffer, now, &wake))
			bytes += buffer;
		now = wake + (round % 7 == 3 ? 70 : round % 3) * NSEC_PER_MSEC;
	}
	assert_near(bytes, (double)rate * (double)now / SECOND);
	throttle_free(t);
}

static void test_tightest_bucket_counts(void **state)
{
	struct throttle *t = make();
	struct stream v[2] = { { .job = throttle_join(t, 1), .priority = PRIORITY_NORMAL },
		{ .job = throttle_join(t, 2), .priority = PRIORITY_LOW } };

	throttle_set_all(t, 10 << 20, false, 0);
	throttle_set_class(t, PRIORITY_LOW, 4 << 20, 0);
	assert_int_equal(throttle_set_job(t, 1, 1 << 20, 0), 0);
	flow(t, v, 2, 0, 4 * SECOND);
	assert_near(v[0].bytes, 4.0 * (1 << 20));
	assert_near(v[1].bytes, 4.0 * (4 << 20));
	throttle_leave(t, v[0].job);
	throttle_leave(t, v[1].job);
	throttle_free(t);
}

static void test_foreground_is_exempt(void **state)
{
	struct throttle *t = make();
	struct stream v = { .priority = PRIORITY_FOREGROUND };
	int64_t when;

	throttle_set_all(t, 1 << 20, true, 0);
	assert_true(throttle_pass(t, NULL, NULL, PRIORITY_FOREGROUND, UINT64_C(1) << 40, 0, &when));
	throttle_set_all(t, 1 << 20, false, 0);
	flow(t, &v, 1, 0, 2 * SECOND);
	assert_near(v.bytes, 2.0 * (1 << 20));
	throttle_free(t);
}

static void test_hosts_are_limited_each(void **state)
{
	struct stream v[4] = { { .priority = PRIORITY_LOW }, { .priority = PRIORITY_HIGH }, { .priority = PRIORITY_NORMAL },
		{ .priority = PRIORITY_FOREGROUND } };
	static const char *const hosts[] = { "http://a:80", "http://a:80", "http://b:80", "http://a:80" };
	struct throttle *t;

	assert_int_equal(throttle_new(1 << 20, &t), 0);
	throttle_set_all(t, LIMIT_MAX, true, 0);
	assert_true(throttle_limits(t));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(throttle_visit(t, hosts[i], 0, &v[i].host), 0);
	flow(t, v, 4, 0, 4 * SECOND);
	assert_near(v[0].bytes + v[1].bytes, 4.0 * (1 << 20));
	assert_near(v[2].bytes, 4.0 * (1 << 20));
	assert_true(v[3].bytes > 100 << 20); /* foreground */
	throttle_set_all(t, LIMIT_MAX, false, 4 * SECOND);
	for (size_t i = 0; i < 4; i++)
		v[i].bytes = 0;
	flow(t, v, 4, 4 * SECOND, 8 * SECOND);
	assert_near(v[0].bytes + v[1].bytes + v[3].bytes, 4.0 * (1 << 20));
	for (size_t i = 0; i < 4; i++)
		throttle_depart(t, v[i].host);
	throttle_free(t);
}

static void test_change_is_in_force_within_a_second(void **state)
{
	struct throttle *t = make();
	struct stream v = { .priority = PRIORITY_NORMAL };

	throttle_set_all(t, 8 << 20, false, 0);
	flow(t, &v, 1, 0, 2 * SECOND);
	throttle_set_all(t, 1 << 20, false, 2 * SECOND);
	v.wake = 0; /* the workers wake all that sleep */
	flow(t, &v, 1, 2 * SECOND, 3 * SECOND);
	v.bytes = 0;
	flow(t, &v, 1, 3 * SECOND, 5 * SECOND);
	assert_near(v.bytes, 2.0 * (1 << 20));
	throttle_set_all(t, 8 << 20, false, 5 * SECOND);
	v.wake = v.bytes = 0;
	flow(t, &v, 1, 5 * SECOND, 7 * SECOND);
	assert_near(v.bytes, 2.0 * (8 << 20));
	throttle_free(t);
}

static void test_zero_stops(void **state)
{
	struct throttle *t = make();
	int64_t when = 0;

	throttle_set_class(t, PRIORITY_LOW, 0, 0);
	assert_false(throttle_pass(t, NULL, NULL, PRIORITY_LOW, 1, SECOND, &when));
	assert_true(when == INT64_MAX);
	assert_true(throttle_pass(t, NULL, NULL, PRIORITY_NORMAL, 1, SECOND, &when));
	throttle_free(t);
}

static void test_job_limit_outlives_its_transfers(void **state)
{
	struct throttle *t = make();
	struct throttle_job *j;
	int64_t when;

	assert_int_equal(throttle_set_job(t, 7, 0, 0), 0);
	j = throttle_join(t, 7);
	assert_false(throttle_pass(t, j, NULL, PRIORITY_NORMAL, 1, 0, &when));
	throttle_leave(t, j);
	j = throttle_join(t, 7);
	assert_false(throttle_pass(t, j, NULL, PRIORITY_NORMAL, 1, 0, &when));
	assert_int_equal(throttle_set_job(t, 7, LIMIT_MAX, 0), 0);
	assert_int_equal(throttle_set_job(t, 7, LIMIT_MAX, 0), 0);
	assert_true(throttle_pass(t, j, NULL, PRIORITY_NORMAL, 1, 0, &when));
	throttle_leave(t, j);
	assert_false(throttle_limits(t));
	throttle_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit_is_free),
		cmocka_unit_test(test_exact_in_two_seconds),
		cmocka_unit_test(test_exact_though_late),
		cmocka_unit_test(test_tightest_bucket_counts),
		cmocka_unit_test(test_foreground_is_exempt),
		cmocka_unit_test(test_hosts_are_limited_each),
		cmocka_unit_test(test_change_is_in_force_within_a_second),
		cmocka_unit_test(test_zero_stops),
		cmocka_unit_test(test_job_limit_outlives_its_transfers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
