/* Sets of bytes, compared with a bitmap that cannot be wrong. */
#include "model/extent.h"

#include "unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 96

static uint64_t map_run(const bool *map, uint64_t offset)
{
	while (offset < BYTES && map[offset])
		offset++;
	return offset;
}

/* Every question about every range, against the bitmap. */
static void compare(const struct extents *s, const bool *map)
{
	uint64_t total = 0;

	extents_assert_sane(s);
	for (uint64_t from = 0; from < BYTES; from++) {
		total += map[from];
		assert_int_equal(extents_run(s, from), map_run(map, from));
		for (uint64_t end = from; end <= BYTES; end++) {
			uint64_t gap = map_run(map, from), gap_end = gap;
			struct extent e;

			assert_int_equal(extents_contain(s, from, end), gap >= end);
			if (gap >= end) {
				assert_false(extents_gap(s, from, end, &e));
				continue;
			}
			while (gap_end < end && !map[gap_end])
				gap_end++;
			assert_true(extents_gap(s, from, end, &e));
			assert_int_equal(e.first, gap);
			assert_int_equal(e.end, gap_end);
		}
	}
	assert_int_equal(extents_total(s), total);
}

static void check_text(const struct extents *s)
{
	struct extents back = { 0 };
	char *text, *again;

	assert_int_equal(extents_format(s, &text), 0);
	assert_int_equal(extents_parse(text, &back), 0);
	extents_assert_sane(&back);
	assert_int_equal(back.n, s->n);
	if (s->n)
		assert_memory_equal(back.v, s->v, s->n * sizeof(*s->v));
	assert_int_equal(extents_format(&back, &again), 0);
	assert_string_equal(again, text);
	free(text);
	free(again);
	extents_release(&back);
}

static void random_sets(void **state)
{
	uint64_t seed = 20240517;

	for (int round = 0; round < 40; round++) {
		struct extents s = { 0 }, copy;
		bool map[BYTES + 1] = { 0 };

		for (int step = 0; step < 25; step++) {
			uint64_t first = test_random(&seed) % BYTES;
			uint64_t end = first + test_random(&seed) % (round % 3 ? 4 : 30);

			if (end > BYTES)
				end = BYTES;
			assert_int_equal(extents_add(&s, first, end), 0);
			for (uint64_t i = first; i < end; i++)
				map[i] = true;
			extents_assert_sane(&s);
		}
		compare(&s, map);
		check_text(&s);
		assert_int_equal(extents_copy(&s, &copy), 0);
		extents_release(&s);
		compare(&copy, map);
		extents_release(&copy);
	}
}

static void adjacent_runs_become_one(void **state)
{
	struct extents s = { 0 };
	char *text;

	extents_add(&s, 10, 20);
	extents_add(&s, 30, 40);
	extents_add(&s, 50, 60);
	assert_int_equal(s.n, 3);
	extents_add(&s, 20, 50);
	assert_int_equal(extents_format(&s, &text), 0);
	assert_string_equal(text, "10-59");
	free(text);
	extents_release(&s);
}

static void empty_set(void **state)
{
	struct extents s = { 0 }, copy;
	struct extent gap;
	char *text;

	assert_int_equal(extents_add(&s, 5, 5), 0);
	assert_int_equal(extents_add(&s, 6, 5), 0);
	assert_int_equal(s.n, 0);
	assert_true(extents_gap(&s, 3, 9, &gap));
	assert_int_equal(gap.first, 3);
	assert_int_equal(gap.end, 9);
	assert_false(extents_gap(&s, 9, 9, &gap));
	assert_true(extents_contain(&s, 7, 7));
	assert_int_equal(extents_copy(&s, &copy), 0);
	assert_int_equal(extents_format(&copy, &text), 0);
	assert_string_equal(text, "");
	free(text);
}

static void whole_range_of_numbers(void **state)
{
	struct extents s = { 0 };

	assert_int_equal(extents_add(&s, 0, UINT64_MAX), 0);
	assert_int_equal(extents_total(&s), UINT64_MAX);
	check_text(&s);
	extents_release(&s);
}

static void damaged_text_is_refused(void **state)
{
	static const char *const bad[] = {
		"-", "1", "1-", "-1", "5-4", "1-2,", ",1-2", "1-2,,4-5", "1-2 4-5", "1-2,3-4", "4-5,1-2",
		"1-5,3-8", "0x1-2", "1-2x", " 1-2", "1--2", "+1-2", "0-18446744073709551615",
		"0-18446744073709551616", "99999999999999999999-1", "1-2,4",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct extents s = { .n = 77 };

		if (extents_parse(bad[i], &s) != -EINVAL)
			fail_msg("accepted '%s'", bad[i]);
		assert_int_equal(s.n, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sets),
		cmocka_unit_test(adjacent_runs_become_one),
		cmocka_unit_test(empty_set),
		cmocka_unit_test(whole_range_of_numbers),
		cmocka_unit_test(damaged_text_is_refused),
	};

	return cmocka_run_group_tests_name("extent", tests, NULL, NULL);
}
