/* URLs: what is accepted, what is shown, what counts as one origin. */
#include "model/url.h"

#include "model/name.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMES "https http ftp ftps sftp"

static void accepted(void **state)
{
	static const char *const good[] = {
		"https://example.org", "http://example.org/", "HTTPS://EXAMPLE.ORG/x", "ftp://h/a;type=i",
		"sftp://user@h/~/x", "https://h:8443/x", "https://h:/x", "https://u:p@h/x", "https://u:p@ss@h/x",
		"https://[::1]/x", "https://[::1]:80/x", "http://[fe80::1%25eth0]/", "https://h?q", "https://h#f",
		"https://h/a?b=c@d:e", "https://127.0.0.1:1/x", "https://m\xc3\xbcnchen.example/x",
	};
	static const char *const bad[] = {
		"", "x", "example.org/x", "https:/h/x", "https:h", "https://", "https:///x", "https://?x",
		"https://:80/", "https://u@/x", "https://u:p@:80/", "file:///etc/passwd", "gopher://h/x",
		"javascript://h/x", "1http://h/", "https ://h/", " https://h/", "https://h/a b", "https://h/a\tb",
		"https://h/a\nb", "https://h/\x7f", "https://h:99999/", "https://h:0/", "https://h:8x/",
		"https://[::1/x", "https://::1/x", "https://[::1]x/", "https://[]/", "https://[host]/",
		"https://evil.example\\@good.example/", "https://h%2f.example/", "https://u:p/w@h/x",
		"https://h,i/", "https://h/\xc2\x9b", "http", "https://h:80:90/", "httpss://h/", "http s://h/",
	};
	char url[URL_LEN_MAX + 2];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (url_check(good[i], SCHEMES))
			fail_msg("refused '%s'", good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (url_check(bad[i], SCHEMES) != -EINVAL)
			fail_msg("accepted '%s'", bad[i]);
	}
	assert_int_equal(url_check("ftp://h/", "https http"), -EINVAL);
	assert_int_equal(url_check("http://h/", "https  http "), 0);
	assert_int_equal(url_check("http://h/", ""), -EINVAL);
	assert_int_equal(url_check("gopher://h/", NULL), 0);
	memset(url, 'x', sizeof(url));
	memcpy(url, "https://h/", 10);
	url[URL_LEN_MAX + 1] = '\0';
	assert_int_equal(url_check(url, SCHEMES), -EINVAL);
	url[URL_LEN_MAX] = '\0';
	assert_int_equal(url_check(url, SCHEMES), 0);
}

/* What is shown has no login, and is what stripping leaves; the memory behind it keeps nothing. */
static void passwords_are_not_shown(void **state)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
		{ "https://example.org/x", "https://example.org/x" },
		{ "https://user:secret@example.org/x", "https://example.org/x" },
		{ "https://user@example.org", "https://example.org" },
		{ "https://user:s@cr@t@example.org:80/x@y", "https://example.org:80/x@y" },
		{ "https://user:secret@[::1]:80/", "https://[::1]:80/" },
		{ "https://example.org?mail=a@b", "https://example.org?mail=a@b" },
		{ "https://example.org#a@b", "https://example.org#a@b" },
		{ "https://u:p@example.org?a@b", "https://example.org?a@b" },
		{ "https://@example.org/", "https://example.org/" },
		{ "user:secret@host", "host" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].url);
		char *shown, *stripped = strdup(cases[i].url);

		assert_int_equal(url_display(cases[i].url, &shown), 0);
		assert_string_equal(shown, cases[i].shown);
		assert_int_equal(url_has_login(cases[i].url), strcmp(cases[i].url, shown) != 0);
		assert_false(url_has_login(shown));
		url_strip_login(stripped);
		assert_string_equal(stripped, shown);
		for (size_t at = strlen(shown); at <= len; at++)
			assert_int_equal(stripped[at], '\0');
		free(stripped);
		free(shown);
	}
}

static void origins(void **state)
{
	static const struct {
		const char *url, *origin;
	} cases[] = {
		{ "https://Example.ORG/a", "https://example.org:443" },
		{ "HTTPS://u:p@example.org:443?x", "https://example.org:443" },
		{ "https://example.org:0443", "https://example.org:443" },
		{ "https://example.org:/", "https://example.org:443" },
		{ "http://example.org", "http://example.org:80" },
		{ "http://[FE80::1]/", "http://[fe80::1]:80" },
		{ "http://[::1]:8080#x", "http://[::1]:8080" },
		{ "ftp://h/x", "ftp://h:21" },
		{ "ftps://h/x", "ftps://h:990" },
		{ "sftp://h/x", "sftp://h:22" },
	};
	char *origin = NULL;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(url_origin(cases[i].url, &origin), 0);
		assert_string_equal(origin, cases[i].origin);
		free(origin);
	}
	origin = NULL;
	assert_int_equal(url_origin("example.org", &origin), -EINVAL);
	assert_int_equal(url_origin("gopher://example.org", &origin), -EINVAL);
	assert_null(origin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(passwords_are_not_shown),
		cmocka_unit_test(origins),
	};

	return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
