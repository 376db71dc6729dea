/* The grammar of `add`. */
#include "model/addline.h"

#include "model/chars.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A64 A32 A32

static const struct addline_rules rules = {
	.schemes = "https http ftp",
	.ranges_max = 3,
	.size_max = 1 << 20,
};

static void parse_ok(const char *text, struct additions *ret)
{
	char *reason = NULL;
	int err = addline_parse(text, strlen(text), &rules, ret, &reason);

	if (err)
		fail_msg("'%s': %d %s", text, err, reason ? reason : "");
}

static void urls_and_names(void **state)
{
	static const struct {
		const char *line, *url, *path;
	} cases[] = {
		{ "https://h/d.iso", "https://h/d.iso", "d.iso" },
		{ "https://h/d.iso\n", "https://h/d.iso", "d.iso" },
		{ " \t https://h/d.iso \t x.iso \t\r\n", "https://h/d.iso", "x.iso" },
		{ "https://h/ sub/dir/x", "https://h/", "sub/dir/x" },
		{ "https://h/", "https://h/", "index.html" },
		{ "https://h/x \"my file.iso\"", "https://h/x", "my file.iso" },
		{ "\"https://h/x\" \"a \\\"b\\\" \\\\c\"", "https://h/x", "a \"b\" \\c" },
		{ "https://h/x \"a=b\"", "https://h/x", "a=b" },
		{ "https://h/x \"size=5\"", "https://h/x", "size=5" },
		{ "https://h/x Report=1", "https://h/x", "Report=1" },
		{ "https://h/x#frag y", "https://h/x#frag", "y" },
		{ "https://h/a\"b", "https://h/a\"b", "a\"b" },
		{ "https://h/x #1", "https://h/x", "#1" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct additions a;

		parse_ok(cases[i].line, &a);
		assert_int_equal(a.n, 1);
		assert_string_equal(a.v[0].source.url, cases[i].url);
		assert_string_equal(a.v[0].path, cases[i].path);
		assert_null(a.v[0].source.extra);
		additions_release(&a);
	}
}

static void lines(void **state)
{
	struct additions a;

	parse_ok("# a list\n\n  \t\nhttps://h/1\r\n  # more\r\n\r\nhttps://h/2 two\nhttps://h/3", &a);
	assert_int_equal(a.n, 3);
	assert_string_equal(a.v[0].path, "1");
	assert_string_equal(a.v[1].path, "two");
	assert_string_equal(a.v[2].path, "3");
	additions_release(&a);
	parse_ok("", &a);
	assert_int_equal(a.n, 0);
	additions_release(&a);
	parse_ok("\n#\n", &a);
	assert_int_equal(a.n, 0);
	additions_release(&a);
}

static void all_keys(void **state)
{
	struct additions a;
	struct source_extra *x;

	parse_ok("https://h/x n sha256=" A64 " size=1000 mirror=http://m1/x mirror=ftp://m2/x "
		 "\"range=10-19,0-4,100-\"", &a);
	x = a.v[0].source.extra;
	assert_non_null(x);
	assert_int_equal(x->digest_kind, DIGEST_SHA256);
	assert_int_equal(x->digest[0], 0xaa);
	assert_int_equal(x->digest[31], 0xaa);
	assert_int_equal(x->size, 1000);
	assert_int_equal(x->nmirrors, 2);
	assert_string_equal(x->mirrors[1], "ftp://m2/x");
	assert_int_equal(x->nranges, 3);
	assert_int_equal(x->ranges[0].first, 10);
	assert_int_equal(x->ranges[0].end, 20);
	assert_int_equal(x->ranges[1].first, 0);
	assert_int_equal(x->ranges[1].end, 5);
	assert_int_equal(x->ranges[2].first, 100);
	assert_true(x->ranges[2].end == RANGE_TO_END);
	additions_release(&a);

	parse_ok("https://h/x md5=" A32, &a);
	assert_int_equal(a.v[0].source.extra->digest_kind, DIGEST_MD5);
	assert_true(a.v[0].source.extra->size == SIZE_UNKNOWN);
	assert_string_equal(a.v[0].path, "x");
	additions_release(&a);
	parse_ok("https://h/x sha1=" A32 "01234567 size=0", &a);
	assert_int_equal(a.v[0].source.extra->size, 0);
	additions_release(&a);
	parse_ok("https://h/x sha512=" A64 A64, &a);
	additions_release(&a);
}

/* `refused` is read by more than its author: no password is in it, wherever it stands and whatever it is
 * made of. */
static void refusals_do_not_tell_passwords(void **state)
{
	static const char *const lines[] = {
		"gopher://u:secret@h/x", "https://u:sec/ret@h/x", "https://u:sec?ret@h/x", "https://u:sec#ret@h/x",
		"\"https://u:sec ret@h/x\"", "u:sec:ret@h", "https://h/x https://u:secret@h/y",
		"https://h/x y https://u:secret@h/y", "https://h/x Mirror=https://u:secret@h/y",
		"https://h/x mirror=https://u:sec/ret@h/y",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct additions a = { 0 };
		char *reason = NULL;

		assert_int_equal(addline_parse(lines[i], strlen(lines[i]), &rules, &a, &reason), -EINVAL);
		assert_non_null(strstr(reason, "line 1: '"));
		if (strstr(reason, "sec") || strstr(reason, "ret"))
			fail_msg("%s", reason);
		free(reason);
	}
}

/* The whole is refused, the line is named, and nothing is left behind. */
static void refusals(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *says;
	} cases[] = {
		{ "x", -EINVAL, "not a URL" },
		{ "https://h/x\nfile:///etc/passwd", -EINVAL, "line 2:" },
		{ "#\n\n\ngopher://h/x", -EINVAL, "allowed: https http ftp" },
		{ "https://h/x ../y", -EINVAL, "not a name" },
		{ "https://h/x /y", -EINVAL, "not a name" },
		{ "https://h/x .xferfs/y", -EINVAL, "not a name" },
		{ "https://h/x \"\"", -EINVAL, "not a name" },
		{ "https://h/x a b", -EINVAL, "'b'" },
		{ "https://h/x \"a", -EINVAL, "not closed" },
		{ "https://h/x \"a\"b", -EINVAL, "followed by a blank" },
		{ "https://h/x \"a\\n\"", -EINVAL, "backslash" },
		{ "https://h/x \"a\\", -EINVAL, "backslash" },
		{ "https://h/x sha257=00", -EINVAL, "'sha257'" },
		{ "https://h/x n md5=" A32 " md5=" A32, -EINVAL, "only one checksum" },
		{ "https://h/x md5=" A32 " sha256=" A64, -EINVAL, "only one checksum" },
		{ "https://h/x md5=" A64, -EINVAL, "32 hex digits" },
		{ "https://h/x sha256=" A32, -EINVAL, "64 hex digits" },
		{ "https://h/x md5=" "gaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -EINVAL, "hex" },
		{ "https://h/x size=", -EINVAL, "number of bytes" },
		{ "https://h/x size=-1", -EINVAL, "number of bytes" },
		{ "https://h/x size=1K", -EINVAL, "number of bytes" },
		{ "https://h/x size=99999999999999999999", -ERANGE, "too large" },
		{ "https://h/x size=9223372036854775808", -ERANGE, "too large" },
		{ "https://h/x size=1048577", -ERANGE, "max_file_size" },
		{ "https://h/x size=1 size=1", -EINVAL, "twice" },
		{ "https://h/x mirror=x", -EINVAL, "not a URL" },
		{ "https://h/x mirror=sftp://h/", -EINVAL, "scheme" },
		{ "https://h/x range=", -EINVAL, "FIRST-LAST" },
		{ "https://h/x range=5", -EINVAL, "FIRST-LAST" },
		{ "https://h/x range=-5", -EINVAL, "FIRST-LAST" },
		{ "https://h/x range=1-2,", -EINVAL, "FIRST-LAST" },
		{ "https://h/x range=1-2;3-4", -EINVAL, "FIRST-LAST" },
		{ "https://h/x range=5-4", -EINVAL, "before" },
		{ "https://h/x range=0-4,4-5", -EINVAL, "overlap" },
		{ "https://h/x range=10-20,0-10", -EINVAL, "overlap" },
		{ "https://h/x range=10-,15-16", -EINVAL, "overlap" },
		{ "https://h/x range=0-0,0-0", -EINVAL, "overlap" },
		{ "https://h/x range=0-99999999999999999999", -ERANGE, "too large" },
		{ "https://h/x range=0-18446744073709551615", -ERANGE, "too large" },
		{ "https://h/x range=0-0,2-2,4-4,6-6", -EOVERFLOW, "ranges_per_file" },
		{ "https://h/x range=0-1 range=4-5", -EINVAL, "twice" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct additions a = { .n = 77 };
		char *reason = NULL;
		int err = addline_parse(cases[i].text, strlen(cases[i].text), &rules, &a, &reason);

		if (err != cases[i].err || !reason || strncmp(reason, "line ", 5) != 0 ||
		    !strstr(reason, cases[i].says))
			fail_msg("'%s' gave %d: %s", cases[i].text, err, reason ? reason : "nothing");
		assert_int_equal(a.n, 77);
		assert_false(text_has_control(reason));
		free(reason);
	}
}

static void nul_bytes(void **state)
{
	static const char text[] = "https://h/x\nhttps://h/y\0z\n";
	struct additions a;
	char *reason = NULL;

	assert_int_equal(addline_parse(text, sizeof(text) - 1, &rules, &a, &reason), -EINVAL);
	assert_string_equal(reason, "line 2: a NUL byte");
	free(reason);
}

static void reasons_stay_short_and_on_one_line(void **state)
{
	struct additions a;
	char text[5000], *reason = NULL;

	memset(text, 'x', sizeof(text));
	text[10] = '\033';
	assert_int_equal(addline_parse(text, sizeof(text), &rules, &a, &reason), -EINVAL);
	assert_true(strlen(reason) < 200);
	assert_false(text_has_control(reason));
	free(reason);
}

/* What the store keeps gives the same source back, whatever the configuration says by then. */
static void extras_survive_the_store(void **state)
{
	static const char *const lines[] = {
		"https://h/x n",
		"https://h/x n md5=" A32,
		"https://h/x n sha512=" A64 A64 " size=0",
		"https://h/x n size=12 mirror=https://m/\"x\" mirror=ftp://m/y range=5-9,0-1,20-",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct additions a;
		struct source back = { 0 };
		char *text, *again;

		parse_ok(lines[i], &a);
		assert_int_equal(addline_format_extra(&a.v[0].source, &text), 0);
		assert_string_equal(text, lines[i] + strlen("https://h/x n"));
		assert_int_equal(addline_parse_extra(text, &back), 0);
		assert_int_equal(!back.extra, !a.v[0].source.extra);
		assert_int_equal(addline_format_extra(&back, &again), 0);
		assert_string_equal(again, text);
		free(text);
		free(again);
		source_release(&back);
		additions_release(&a);
	}
}

static void damaged_extras(void **state)
{
	struct source s = { 0 };

	assert_int_equal(addline_parse_extra(" size=x", &s), -EINVAL);
	assert_int_equal(addline_parse_extra(" nonsense", &s), -EINVAL);
	assert_int_equal(addline_parse_extra(" md5=" A32 " \"", &s), -EINVAL);
	assert_null(s.extra);
}

static void long_lists(void **state)
{
	enum { N = 20000 };
	char *text = malloc(N * 32), *p = text;
	struct additions a;

	for (int i = 0; i < N; i++)
		p += sprintf(p, "https://h/%d f/%d\n", i, i);
	parse_ok(text, &a);
	assert_int_equal(a.n, N);
	assert_string_equal(a.v[N - 1].path, "f/19999");
	additions_release(&a);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_and_names),
		cmocka_unit_test(lines),
		cmocka_unit_test(all_keys),
		cmocka_unit_test(refusals),
		cmocka_unit_test(refusals_do_not_tell_passwords),
		cmocka_unit_test(nul_bytes),
		cmocka_unit_test(reasons_stay_short_and_on_one_line),
		cmocka_unit_test(extras_survive_the_store),
		cmocka_unit_test(damaged_extras),
		cmocka_unit_test(long_lists),
	};

	return cmocka_run_group_tests_name("addline", tests, NULL, NULL);
}
