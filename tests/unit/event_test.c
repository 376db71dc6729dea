/* The ring of events as the streams read it. */
#include "model/event.h"

#include "base/buf.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static void in_order_and_filtered(void **state)
{
	struct events *e = NULL;
	uint64_t missed = 9;
	const struct event *got;

	assert_int_equal(events_new(8, &e), 0);
	assert_int_equal(events_next_seq(e), 1);
	assert_null(events_get(e, 1, 0, &missed));
	assert_int_equal(missed, 0);
	events_add(e, 1000, 5, "five", "created", "");
	events_add(e, 1001, 6, "six", "created", "");
	events_add(e, 1002, 5, "five", "state", "to=queued");
	got = events_get(e, 1, 0, &missed);
	assert_int_equal(got->seq, 1);
	got = events_get(e, got->seq + 1, 5, &missed);
	assert_int_equal(got->seq, 3);
	assert_string_equal(got->details, "to=queued");
	assert_string_equal(got->job, "five");
	assert_null(events_get(e, 4, 5, &missed));
	assert_null(events_get(e, 1, 7, &missed));
	assert_int_equal(events_next_seq(e), 4);
	events_free(e);
}

/* A reader that is too slow sees each kept event once, and the number of the others. */
static void slow_reader_is_told_what_it_missed(void **state)
{
	struct events *e = NULL;
	uint64_t missed, seq = 3, seen = 0;
	char details[16];

	assert_int_equal(events_new(4, &e), 0);
	for (int i = 1; i <= 10; i++) {
		snprintf(details, sizeof(details), "n=%d", i);
		events_add(e, i, 1, "job", "added", details);
	}
	for (const struct event *got; (got = events_get(e, seq, 0, &missed));) {
		if (seen++ == 0) {
			assert_int_equal(missed, 4); /* 3, 4, 5, 6 */
			assert_int_equal(got->seq, 7);
			assert_string_equal(got->details, "n=7");
		} else {
			assert_int_equal(missed, 0);
		}
		seq = got->seq + 1;
	}
	assert_int_equal(seen, 4);
	events_free(e);
}

static void a_line(void **state)
{
	const struct event plain = { 1, 1795248740123, 3, (char *)"iso", "created", (char *)"" };
	const struct event service = { 2, 1795248740007, 0, (char *)"", "network",
		(char *)"to=metered" };
	cleanup_buf struct buf out = { 0 };

	event_format(&plain, &out);
	event_format(&service, &out);
	assert_string_equal(out.data, "2026-11-21T08:12:20.123Z iso created\n"
		"2026-11-21T08:12:20.007Z - network to=metered\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_and_filtered),
		cmocka_unit_test(slow_reader_is_told_what_it_missed),
		cmocka_unit_test(a_line),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
