/* Shares of bandwidth under a simulated clock. */
#include "model/share.h"

#include "base/clock.h"
#include "base/parse.h"
#include "unit.h"

#include <stdlib.h>

#define MSEC NSEC_PER_MSEC
#define START (INT64_C(1000) * NSEC_PER_SEC)

/* A greedy reader that takes CHUNK bytes whenever anything may pass, until END. Bytes taken. */
static uint64_t drain(struct share *s, int64_t *now, int64_t end, uint64_t chunk)
{
	uint64_t taken = 0;
	int64_t when;

	while (*now < end) {
		uint64_t may = share_allows(s, *now, &when);

		if (may == 0) {
			assert_true(when > *now);
			*now = when < end ? when : end;
			continue;
		}
		if (chunk)
			may = chunk;
		share_take(s, may);
		taken += may;
	}
	return taken;
}

static void near(uint64_t got, uint64_t want, uint64_t percent)
{
	if (got < want - want * percent / 100 || got > want + want * percent / 100)
		fail_msg("%llu, expected %llu", (unsigned long long)got, (unsigned long long)want);
}

static void two_seconds_are_exact(void **state)
{
	static const uint64_t rates[] = { 1, 7, 1000, 65536, 100000, 1 << 20, 12345678, UINT64_C(10) << 30 >> 3,
		UINT64_C(8) << 30 };

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		int64_t now = START;
		struct share s;

		share_init(&s, rates[i], now);
		near(drain(&s, &now, START + 200 * NSEC_PER_SEC, 0), 200 * rates[i], 1);
		near(drain(&s, &now, now + 2 * NSEC_PER_SEC, 0), 2 * rates[i], rates[i] < 1000 ? 50 : 5);
		/* However long nothing was taken. */
		now += 3600 * NSEC_PER_SEC;
		near(drain(&s, &now, now + 2 * NSEC_PER_SEC, 0), 2 * rates[i], rates[i] < 1000 ? 50 : 5);
	}
}

static void large_buffers_run_into_debt(void **state)
{
	static const uint64_t chunks[] = { 1000, 16384, 65536, 524288 };

	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		int64_t now = START;
		struct share s;

		share_init(&s, 100000, now);
		near(drain(&s, &now, START + 600 * NSEC_PER_SEC, chunks[i]), 60000000, 1);
	}
}

static void asking_often_loses_nothing(void **state)
{
	struct share s;
	uint64_t taken = 0;
	int64_t when;

	share_init(&s, 1000, START);
	/* 10 us make a hundredth of a byte each. */
	for (int64_t now = START; now < START + 2 * NSEC_PER_SEC; now += 10000) {
		uint64_t may = share_allows(&s, now, &when);

		share_take(&s, may);
		taken += may;
	}
	near(taken, 2000, 1);
}

static void random_pauses(void **state)
{
	uint64_t seed = 4711, taken = 0;
	int64_t now = START, when;
	struct share s;

	share_init(&s, 1 << 20, START);
	while (now < START + 60 * NSEC_PER_SEC) {
		uint64_t may = share_allows(&s, now, &when);
		uint64_t want = test_random(&seed) % 70000;

		if (may > 0) {
			share_take(&s, want);
			taken += want;
		}
		now += test_random(&seed) % (40 * MSEC);
	}
	near(taken, 60 << 20, 2);
}

static void changes_are_in_force_at_once(void **state)
{
	int64_t now = START, when;
	struct share s;

	share_init(&s, 100 << 20, now);
	drain(&s, &now, now + NSEC_PER_SEC, 1 << 20);
	share_take(&s, 50 << 20);
	/* A debt of half a second at the old rate would freeze the new one for minutes. */
	share_set_rate(&s, 100 << 10, now);
	near(drain(&s, &now, now + 10 * NSEC_PER_SEC, 0), 1000 << 10, 5);
	share_set_rate(&s, 10 << 20, now);
	near(drain(&s, &now, now + 2 * NSEC_PER_SEC, 0), 20 << 20, 5);
	/* Nor does what was saved up at a high rate pass at a low one. */
	now += NSEC_PER_SEC;
	assert_true(share_allows(&s, now, &when) > 100000);
	share_set_rate(&s, 1000, now);
	near(drain(&s, &now, now + 2 * NSEC_PER_SEC, 0), 2000, 6);
}

static void no_limit_and_nothing(void **state)
{
	int64_t now = START, when = 0;
	struct share s;

	share_init(&s, LIMIT_MAX, now);
	assert_true(share_allows(&s, now, &when) == LIMIT_MAX);
	share_take(&s, UINT64_C(1) << 62);
	assert_true(share_allows(&s, now, &when) == LIMIT_MAX);
	/* What passed without a limit is no debt. */
	share_set_rate(&s, 1000, now);
	near(drain(&s, &now, now + 2 * NSEC_PER_SEC, 0), 2000, 6);
	share_set_rate(&s, 0, now);
	now += NSEC_PER_SEC;
	assert_int_equal(share_allows(&s, now, &when), 0);
	assert_true(when == INT64_MAX);
	/* A time without permission earns nothing. */
	share_set_rate(&s, 1 << 20, now);
	assert_true(share_allows(&s, now, &when) == 0);
	share_set_rate(&s, LIMIT_MAX, now);
	assert_true(share_allows(&s, now, &when) == LIMIT_MAX);
}

static void absurd_debts_do_not_overflow(void **state)
{
	int64_t when;
	struct share s;

	share_init(&s, 1, START);
	for (int i = 0; i < 10; i++)
		share_take(&s, UINT64_MAX);
	assert_int_equal(share_allows(&s, START, &when), 0);
	assert_true(when == INT64_MAX);
	assert_int_equal(share_allows(&s, INT64_MAX, &when), 0);
	/* A clock that goes back is a clock that stands. */
	share_init(&s, 1 << 20, START);
	assert_int_equal(share_allows(&s, 0, &when), 0);
	assert_true(when >= START);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_seconds_are_exact),
		cmocka_unit_test(large_buffers_run_into_debt),
		cmocka_unit_test(asking_often_loses_nothing),
		cmocka_unit_test(random_pauses),
		cmocka_unit_test(changes_are_in_force_at_once),
		cmocka_unit_test(no_limit_and_nothing),
		cmocka_unit_test(absurd_debts_do_not_overflow),
	};

	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
