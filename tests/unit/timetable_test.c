/* The timetable of limits. */
#include "model/timetable.h"

#include "base/parse.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MON, TUE, WED, THU, FRI, SAT, SUN };
#define WEEK 10080
#define AT(day, hour, minute) ((unsigned)(day) * 1440 + (hour) * 60 + (minute))

static struct timetable *parse(const char *text)
{
	struct timetable *t = NULL;
	char *reason = NULL;

	if (timetable_parse(text, &t, &reason))
		fail_msg("'%s': %s", text, reason);
	return t;
}

static uint64_t limit(const struct timetable *t, unsigned minute)
{
	unsigned until;

	return timetable_limit(t, PRIORITY_NORMAL, minute, &until);
}

static void the_example(void **state)
{
	struct timetable *t = parse("high Mon-Fri 08:00-17:00 2M; Mon-Fri 08:00-17:00 1M; Sat,Sun 0; else max");
	unsigned until;

	assert_int_equal(limit(t, AT(MON, 8, 0)), 1 << 20);
	assert_true(limit(t, AT(MON, 7, 59)) == LIMIT_MAX);
	assert_int_equal(limit(t, AT(FRI, 16, 59)), 1 << 20);
	assert_true(limit(t, AT(FRI, 17, 0)) == LIMIT_MAX);
	assert_int_equal(limit(t, AT(SAT, 0, 0)), 0);
	assert_int_equal(limit(t, AT(SUN, 23, 59)), 0);
	assert_true(limit(t, AT(MON, 0, 0)) == LIMIT_MAX);
	assert_int_equal(timetable_limit(t, PRIORITY_HIGH, AT(WED, 12, 0), &until), 2 << 20);
	assert_int_equal(until, 5 * 60);
	assert_int_equal(timetable_limit(t, PRIORITY_LOW, AT(WED, 12, 0), &until), 1 << 20);
	assert_int_equal(timetable_limit(t, PRIORITY_HIGH, AT(SUN, 12, 0), &until), 0);
	assert_int_equal(until, 12 * 60);
	timetable_free(t);
}

static void without_entries(void **state)
{
	static const char *const texts[] = { "", " ", ";", " ; ;", "else max" };
	unsigned until;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct timetable *t = parse(texts[i]);

		for (unsigned minute = 0; minute < WEEK; minute += 977) {
			assert_true(timetable_limit(t, PRIORITY_LOW, minute, &until) == LIMIT_MAX);
			assert_int_equal(until, WEEK);
		}
		timetable_free(t);
	}
}

static void windows_past_midnight(void **state)
{
	struct timetable *t = parse("Fri,sun 22:00-06:00 5K; else 1K");
	unsigned until;

	assert_int_equal(limit(t, AT(FRI, 5, 0)), 1024);
	assert_int_equal(limit(t, AT(FRI, 21, 59)), 1024);
	assert_int_equal(limit(t, AT(FRI, 22, 0)), 5120);
	assert_int_equal(limit(t, AT(SAT, 5, 59)), 5120);
	assert_int_equal(limit(t, AT(SAT, 6, 0)), 1024);
	assert_int_equal(limit(t, AT(SUN, 23, 0)), 5120);
	assert_int_equal(limit(t, AT(MON, 5, 59)), 5120);
	assert_int_equal(limit(t, AT(MON, 6, 0)), 1024);
	timetable_limit(t, PRIORITY_NORMAL, AT(SUN, 23, 0), &until);
	assert_int_equal(until, 7 * 60);
	timetable_free(t);
}

static void days_that_wrap(void **state)
{
	struct timetable *t = parse("Sat-Mon 1;Wed 00:00-24:00 2;else 3");

	assert_int_equal(limit(t, AT(MON, 23, 59)), 1);
	assert_int_equal(limit(t, AT(TUE, 0, 0)), 3);
	assert_int_equal(limit(t, AT(WED, 0, 0)), 2);
	assert_int_equal(limit(t, AT(WED, 23, 59)), 2);
	assert_int_equal(limit(t, AT(FRI, 12, 0)), 3);
	assert_int_equal(limit(t, AT(SAT, 0, 0)), 1);
	assert_int_equal(limit(t, AT(SUN, 12, 0)), 1);
	timetable_free(t);
}

/* `until` promises no change before it, for every minute of the week. */
static void until_is_never_late(void **state)
{
	static const char *const texts[] = {
		"Mon-Fri 08:00-17:00 1M; Sat,Sun 0; else max",
		"Fri 22:00-06:00 5K; Mon 00:00-00:01 1; Sun 23:59-24:00 2",
		"Tue 3",
		"high Mon 1; normal Tue-Thu 9:30-9:31 2; low else 7; Wed 4",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct timetable *t = parse(texts[i]);

		for (unsigned level = 0; level < PRIORITY_MAX; level++) {
			uint64_t next = timetable_limit(t, level, 0, &(unsigned){ 0 });
			unsigned expected = 0, until;

			/* Backwards through two weeks, counting how long each limit lasts. */
			for (unsigned minute = 2 * WEEK; minute-- > 0;) {
				uint64_t now = timetable_limit(t, level, minute % WEEK, &until);

				expected = now == next ? expected + 1 : 1;
				assert_in_range(until, 1, WEEK);
				if (minute < WEEK && expected < WEEK)
					assert_int_equal(until, expected);
				next = now;
			}
		}
		timetable_free(t);
	}
}

static void bad_tables(void **state)
{
	static const char *const bad[] = {
		"x", "Mon", "Mon-Fri", "else", "high", "high max", "1M", "Mon 1M 2M", "Mon,,Tue 1", "Mon- 1",
		"Mon-Fri- 1", "Mon, 1", "Monday 1", "M 1", "Mon 08:00 1", "Mon 8-17 1", "Mon 08:00-25:00 1",
		"Mon 08:60-09:00 1", "Mon 08:00-08:00 1", "Mon 24:00-06:00 1", "Mon 08:00-17:00", "Mon -1",
		"Mon 08:00-17:00 fast", "Mon 99999999999999999999", "else 1; Mon 2", "else 1; else 2",
		"high else 1; high Mon 2", "else 08:00-17:00 1", "urgent Mon 1", "Mon 008:00-09:00 1",
		"Mon 08:0-09:00 1", "Mon, Tue 1",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct timetable *t = NULL;
		char *reason = NULL;

		if (timetable_parse(bad[i], &t, &reason) != -EINVAL)
			fail_msg("accepted '%s'", bad[i]);
		assert_null(t);
		assert_non_null(reason);
		free(reason);
		assert_int_equal(timetable_parse(bad[i], &t, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example),
		cmocka_unit_test(without_entries),
		cmocka_unit_test(windows_past_midnight),
		cmocka_unit_test(days_that_wrap),
		cmocka_unit_test(until_is_never_late),
		cmocka_unit_test(bad_tables),
	};

	return cmocka_run_group_tests_name("timetable", tests, NULL, NULL);
}
