/* Names: what is refused, and what a URL's last segment becomes. */
#include "model/name.h"

#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void names_of_jobs(void **state)
{
	char longest[NAME_LEN_MAX + 2];
	static const char *const bad[] = {
		"", ".", "..", ".hidden", ".xferfs", "a/b", "/", "a\n", "\x01", "a\x7f", "\xc2\x9b[",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(name_check_job(bad[i]), -EINVAL);
	assert_int_equal(name_check_job("iso"), 0);
	assert_int_equal(name_check_job("a b .c-\xc3\xa9\xe2\x82\xac"), 0);
	memset(longest, 'x', sizeof(longest));
	longest[NAME_LEN_MAX + 1] = '\0';
	assert_int_equal(name_check_job(longest), -EINVAL);
	longest[NAME_LEN_MAX] = '\0';
	assert_int_equal(name_check_job(longest), 0);
}

static void staged_paths(void **state)
{
	static const struct {
		const char *path;
		int err;
	} cases[] = {
		{ "x", 0 },
		{ "sub/dir/x", 0 },
		{ ".profile", 0 },
		{ "...", 0 },
		{ "a/.xferfs", 0 },
		{ ".xferfsx", 0 },
		{ "", -EINVAL },
		{ ".", -EINVAL },
		{ "..", -EINVAL },
		{ "/etc/passwd", -EINVAL },
		{ "a/../b", -EINVAL },
		{ "a/..", -EINVAL },
		{ "../a", -EINVAL },
		{ "a//b", -EINVAL },
		{ "a/", -EINVAL },
		{ "./a", -EINVAL },
		{ ".xferfs", -EINVAL },
		{ ".xferfs/queue.db", -EINVAL },
		{ "a/b\nc", -EINVAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (name_check_path(cases[i].path) != cases[i].err)
			fail_msg("'%s' gave %d", cases[i].path, name_check_path(cases[i].path));
	}
	assert_int_equal(name_check_destination("."), 0);
	assert_int_equal(name_check_destination("isos/debian"), 0);
	assert_int_equal(name_check_destination(".."), -EINVAL);
	assert_int_equal(name_check_destination("/srv"), -EINVAL);
	assert_int_equal(name_check_destination(""), -EINVAL);
}

static void long_paths(void **state)
{
	char path[PATH_LEN_MAX + 1];

	memset(path, 'x', sizeof(path));
	for (size_t i = 100; i < sizeof(path); i += 100)
		path[i] = '/';
	path[PATH_LEN_MAX] = '\0';
	assert_int_equal(name_check_path(path), -ENAMETOOLONG);
	path[PATH_LEN_MAX - 1] = '\0';
	assert_int_equal(name_check_path(path), 0);
	memset(path, 'x', NAME_LEN_MAX + 1);
	path[NAME_LEN_MAX + 1] = '\0';
	assert_int_equal(name_check_path(path), -ENAMETOOLONG);
}

static void names_from_urls(void **state)
{
	static const struct {
		const char *url, *name;
	} cases[] = {
		{ "https://example.org/d.iso", "d.iso" },
		{ "https://example.org/a/b/d.iso?x=/y/z#/w", "d.iso" },
		{ "https://example.org/d.iso#a/b", "d.iso" },
		{ "https://example.org", "index.html" },
		{ "https://example.org/", "index.html" },
		{ "https://example.org?q=a/b", "index.html" },
		{ "https://example.org/dir/", "index.html" },
		{ "https://u:p%40/x@h/f", "f" },
		{ "https://h/a%20b%2Bc.txt", "a b+c.txt" },
		{ "https://h/%c3%a9.txt", "\xc3\xa9.txt" },
		{ "https://h/..", "index.html" },
		{ "https://h/%2e%2e", "index.html" },
		{ "https://h/%2e%2e%2fetc%2fpasswd", "_etc_passwd" },
		{ "https://h/..%2f..%2fx", "_.._x" },
		{ "https://h/%252e%252e%252fx", "%2e%2e%2fx" },
		{ "https://h/.bashrc", "bashrc" },
		{ "https://h/.xferfs", "xferfs" },
		{ "https://h/a%00b", "a_b" },
		{ "https://h/a%0Ab%1bc%7f", "a_b_c_" },
		{ "https://h/a%c2%9bb", "a__b" },
		{ "https://h/100%", "100%" },
		{ "https://h/a%zz%4", "a%zz%4" },
		{ "https://h/a%2", "a%2" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *name;

		assert_int_equal(name_from_url(cases[i].url, &name), 0);
		assert_string_equal(name, cases[i].name);
		assert_int_equal(name_check_component(name), 0);
		free(name);
	}
}

static void long_names_are_cut_between_characters(void **state)
{
	char url[1024] = "https://h/x";
	char *name;

	for (int i = 0; i < 200; i++)
		strcat(url, "\xc3\xa9");
	assert_int_equal(name_from_url(url, &name), 0);
	assert_int_equal(strlen(name), 255);
	free(name);
	strcpy(url, "https://h/");
	for (int i = 0; i < 200; i++)
		strcat(url, "\xc3\xa9");
	assert_int_equal(name_from_url(url, &name), 0);
	assert_int_equal(strlen(name), 254);
	free(name);
}

static void numbered_names(void **state)
{
	static const struct {
		const char *path;
		unsigned n;
		const char *numbered;
	} cases[] = {
		{ "a", 1, "a.1" },
		{ "a.txt", 1, "a.1.txt" },
		{ "a/b.tar.gz", 2, "a/b.tar.2.gz" },
		{ "a.d/b", 3, "a.d/b.3" },
		{ ".profile", 1, ".profile.1" },
		{ "d/.a.b", 12, "d/.a.12.b" },
	};
	char path[300], *numbered;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(name_number(cases[i].path, cases[i].n, &numbered), 0);
		assert_string_equal(numbered, cases[i].numbered);
		free(numbered);
	}
	/* A name of full length must stay one that the file system takes, and keep its extension. */
	memset(path, 'x', NAME_LEN_MAX);
	strcpy(path + NAME_LEN_MAX - 4, ".iso");
	assert_int_equal(name_number(path, 10, &numbered), 0);
	assert_int_equal(name_check_path(numbered), 0);
	assert_string_equal(numbered + strlen(numbered) - 8, "x.10.iso");
	free(numbered);
	memset(path, 'x', NAME_LEN_MAX);
	path[1] = '.';
	path[NAME_LEN_MAX] = '\0';
	assert_int_equal(name_number(path, 1, &numbered), 0);
	assert_int_equal(name_check_path(numbered), 0);
	assert_string_not_equal(numbered, path);
	free(numbered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_jobs),
		cmocka_unit_test(staged_paths),
		cmocka_unit_test(long_paths),
		cmocka_unit_test(names_from_urls),
		cmocka_unit_test(long_names_are_cut_between_characters),
		cmocka_unit_test(numbered_names),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
