/* Properties: what is taken, what is refused, what is shown, what survives the store. */
#include "model/job.h"

#include "base/buf.h"
#include "base/parse.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int set(struct props *p, const char *name, const char *text)
{
	const struct prop_rule *rule = prop_find(name);
	const char *reason = NULL;
	int err;

	assert_non_null(rule);
	err = rule->set(rule, p, text, &reason);
	if (err)
		assert_true(reason && strlen(reason) > 10);
	return err;
}

/* To free(). */
static char *show(const struct props *p, const char *name)
{
	const struct prop_rule *rule = prop_find(name);
	struct buf b = { 0 };

	rule->show(rule, p, &b);
	return buf_steal(&b);
}

static void assert_shown(const struct props *p, const char *name, const char *text)
{
	char *shown = show(p, name);

	assert_string_equal(shown, text);
	free(shown);
}

static void defaults(void **state)
{
	static const struct {
		const char *name, *shown;
	} cases[] = {
		{ "type", "download" }, { "priority", "normal" }, { "destination", "." }, { "description", "" },
		{ "on_transferred", "hold" }, { "on_conflict", "replace" }, { "commit", "files" },
		{ "retry_delay", "600" }, { "no_progress_timeout", "1209600" }, { "max_download_time", "7776000" },
		{ "rate_limit", "max" }, { "connections", "auto" }, { "headers", "" }, { "credentials", "" },
		{ "proxy", "system" }, { "client_certificate", "" }, { "notify", "" }, { "metered", "wait" },
	};
	struct props p;
	char *text;

	assert_int_equal(props_init(&p), 0);
	assert_int_equal(prop_count, sizeof(cases) / sizeof(cases[0]));
	for (size_t i = 0; i < prop_count; i++)
		assert_shown(&p, cases[i].name, cases[i].shown);
	assert_int_equal(props_format(&p, &text), 0);
	assert_string_equal(text, "");
	free(text);
	assert_null(prop_find("nonsense"));
	props_release(&p);
}

/* Accepted values, and what is shown for them; a shown value is accepted again and shows the same. */
static void accepted(void **state)
{
	static const struct {
		const char *name, *text, *shown;
	} cases[] = {
		{ "type", "download", "download" },
		{ "priority", "foreground", "foreground" },
		{ "priority", "low", "low" },
		{ "destination", "isos/debian", "isos/debian" },
		{ "destination", ".", "." },
		{ "destination", "isos/", "isos" },
		{ "description", "a \xc3\xa9 100% description", "a \xc3\xa9 100% description" },
		{ "description", "", "" },
		{ "on_transferred", "complete", "complete" },
		{ "on_conflict", "number", "number" },
		{ "on_conflict", "keep", "keep" },
		{ "commit", "tree", "tree" },
		{ "retry_delay", "5", "5" },
		{ "retry_delay", "10m", "600" },
		{ "retry_delay", "4294967294", "4294967294" },
		{ "no_progress_timeout", "14d", "1209600" },
		{ "max_download_time", "max", "max" },
		{ "max_download_time", "3600", "3600" },
		{ "rate_limit", "1M", "1048576" },
		{ "rate_limit", "1", "1" },
		{ "rate_limit", "max", "max" },
		{ "connections", "16", "16" },
		{ "connections", "1", "1" },
		{ "connections", "auto", "auto" },
		{ "headers", "X-A: 1", "X-A: 1" },
		{ "headers", "X-A:1\nx-b:\t two words \r\n\nCookie: a=b; c=d\n",
		  "X-A: 1\nx-b: two words\nCookie: a=b; c=d" },
		{ "headers", "", "" },
		{ "credentials", "me:se:cr et", "" },
		{ "credentials", "me:", "" },
		{ "credentials", "", "" },
		{ "proxy", "http://proxy.example:3128", "http://proxy.example:3128" },
		{ "proxy", "socks5h://127.0.0.1:1080/", "socks5h://127.0.0.1:1080/" },
		{ "proxy", "http://me:secret@proxy:1", "http://proxy:1" },
		{ "proxy", "proxy.example:8080", "proxy.example:8080" },
		{ "proxy", "[::1]:8080", "[::1]:8080" },
		{ "proxy", "me:secret@proxy:8080", "proxy:8080" },
		{ "proxy", "system", "system" },
		{ "client_certificate", "/home/me/cert.pem", "/home/me/cert.pem" },
		{ "client_certificate", "", "" },
		{ "notify", "/usr/bin/logger -t xfer 'job done'", "/usr/bin/logger -t xfer 'job done'" },
		{ "metered", "allow", "allow" },
		{ "metered", "wait", "wait" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct props p;
		char *shown;

		props_init(&p);
		if (set(&p, cases[i].name, cases[i].text))
			fail_msg("%s refused '%s'", cases[i].name, cases[i].text);
		assert_shown(&p, cases[i].name, cases[i].shown);
		shown = show(&p, cases[i].name);
		assert_int_equal(set(&p, cases[i].name, shown), 0);
		assert_shown(&p, cases[i].name, cases[i].shown);
		free(shown);
		props_release(&p);
	}
}

static const struct {
	const char *name, *text;
	int err;
} refusals[] = {
	{ "type", "upload", -EOPNOTSUPP },
	{ "type", "upload-reply", -EOPNOTSUPP },
	{ "type", "torrent", -EINVAL },
	{ "priority", "High", -EINVAL },
	{ "priority", "", -EINVAL },
	{ "priority", "high ", -EINVAL },
	{ "destination", "", -EINVAL },
	{ "destination", "..", -EINVAL },
	{ "destination", "a/../../b", -EINVAL },
	{ "destination", "/srv", -EINVAL },
	{ "destination", "/", -EINVAL },
	{ "destination", "a//b", -EINVAL },
	{ "destination", ".xferfs", -EINVAL },
	{ "description", "two\nlines", -EINVAL },
	{ "description", "\033[2J", -EINVAL },
	{ "retry_delay", "4", -EINVAL },
	{ "retry_delay", "max", -EINVAL },
	{ "retry_delay", "soon", -EINVAL },
	{ "retry_delay", "4294967295", -ERANGE },
	{ "no_progress_timeout", "99999999999999999999", -ERANGE },
	{ "max_download_time", "4294967295", -ERANGE },
	{ "max_download_time", "-1", -EINVAL },
	{ "rate_limit", "0", -EINVAL },
	{ "rate_limit", "fast", -EINVAL },
	{ "rate_limit", "99999999999999999999", -ERANGE },
	{ "connections", "0", -EINVAL },
	{ "connections", "17", -ERANGE },
	{ "connections", "max", -EINVAL },
	{ "headers", "no colon", -EINVAL },
	{ "headers", ": value", -EINVAL },
	{ "headers", "Name : value", -EINVAL },
	{ "headers", " folded: x", -EINVAL },
	{ "headers", "X-A: 1\n two", -EINVAL },
	{ "headers", "X-A:", -EINVAL },
	{ "headers", "X-A: a\rX-B: b", -EINVAL },
	{ "headers", "X-A: \x01", -EINVAL },
	{ "headers", "X(A): 1", -EINVAL },
	{ "headers", "range: bytes=0-1", -EINVAL },
	{ "headers", "ACCEPT-ENCODING: gzip", -EINVAL },
	{ "headers", "X: 1\nIf-Range: x", -EINVAL },
	{ "credentials", "nobody", -EINVAL },
	{ "credentials", ":secret", -EINVAL },
	{ "credentials", "a:b\nc", -EINVAL },
	{ "proxy", "ftp://h:1", -EINVAL },
	{ "proxy", "host", -EINVAL },
	{ "proxy", "host:", -EINVAL },
	{ "proxy", "host:port", -EINVAL },
	{ "proxy", "user:6@host", -EINVAL },
	{ "proxy", "[::1]", -EINVAL },
	{ "proxy", "host:99999", -EINVAL },
	{ "proxy", "http://h:1/path", -EINVAL },
	{ "proxy", "http://h:1?x", -EINVAL },
	{ "proxy", "h o:1", -EINVAL },
	{ "proxy", "a/b:1", -EINVAL },
	{ "client_certificate", "cert.pem", -EINVAL },
	{ "client_certificate", "/dir/", -EINVAL },
	{ "client_certificate", "/a\nb", -EINVAL },
	{ "notify", "a\nb", -EINVAL },
	{ "notify", "logger \"job done", -EINVAL },
	{ "metered", "yes", -EINVAL },
};

/* Refused values change nothing. */
static void refused(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct props p;
		char *text;

		props_init(&p);
		if (set(&p, refusals[i].name, refusals[i].text) != refusals[i].err)
			fail_msg("%s '%s' gave %d", refusals[i].name, refusals[i].text,
				set(&p, refusals[i].name, refusals[i].text));
		props_format(&p, &text);
		assert_string_equal(text, "");
		free(text);
		props_release(&p);
	}
}

static void too_long(void **state)
{
	static const struct {
		const char *name, *prefix;
		size_t max;
	} cases[] = {
		{ "description", "", 1024 },
		{ "headers", "X-A: ", 16384 },
		{ "credentials", "a:", 4096 },
		{ "notify", "", 4096 },
		{ "client_certificate", "/", 4095 },
	};
	char text[20000];
	struct props p;

	props_init(&p);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(text, 'x', sizeof(text));
		memcpy(text, cases[i].prefix, strlen(cases[i].prefix));
		text[cases[i].max + 1] = '\0';
		assert_int_equal(set(&p, cases[i].name, text), -E2BIG);
		text[cases[i].max] = '\0';
		assert_int_equal(set(&p, cases[i].name, text), 0);
	}
	props_release(&p);
}

static void metered_follows_the_priority(void **state)
{
	struct props p;

	props_init(&p);
	set(&p, "priority", "low");
	assert_shown(&p, "metered", "wait");
	set(&p, "priority", "high");
	assert_shown(&p, "metered", "allow");
	set(&p, "priority", "foreground");
	assert_shown(&p, "metered", "allow");
	set(&p, "metered", "wait");
	assert_shown(&p, "metered", "wait");
	set(&p, "priority", "low");
	set(&p, "metered", "allow");
	assert_shown(&p, "metered", "allow");
	props_release(&p);
}

static void secrets(void **state)
{
	for (size_t i = 0; i < prop_count; i++) {
		const struct prop_rule *r = &prop_rules[i];

		/* What chown drops nobody but the owner may read. */
		assert_int_equal(r->secret, !(r->mode & 066));
	}
	/* Who sets it has files placed with the owner's rights. */
	assert_int_equal(prop_find("on_transferred")->mode, 0644);
	assert_int_equal(prop_find("credentials")->mode, 0200);
	assert_true(prop_find("headers")->secret);
	assert_true(prop_find("client_certificate")->secret);
	assert_true(prop_find("notify")->secret);
}

static const char *const changed[][2] = {
	{ "priority", "high" }, { "destination", "a/100%/b" }, { "description", "50%0A off % %25" },
	{ "on_transferred", "complete" }, { "on_conflict", "number" }, { "commit", "tree" },
	{ "retry_delay", "7" }, { "no_progress_timeout", "max" }, { "max_download_time", "1" },
	{ "rate_limit", "12345" }, { "connections", "3" }, { "headers", "A: 1\nB: 2%" },
	{ "credentials", "u:p%\"' " }, { "proxy", "http://u:p@h:1" },
	{ "client_certificate", "/c" }, { "notify", "n \"x y\"" }, { "metered", "wait" },
};

static void everything_survives_the_store(void **state)
{
	struct props p, copy, back;
	char *text, *again;

	props_init(&p);
	props_init(&back);
	for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++)
		assert_int_equal(set(&p, changed[i][0], changed[i][1]), 0);
	assert_int_equal(props_copy(&p, &copy), 0);
	assert_int_equal(props_format(&p, &text), 0);
	props_release(&p);
	assert_int_equal(props_parse(text, &back), 0);
	assert_int_equal(props_format(&back, &again), 0);
	assert_string_equal(again, text);
	free(again);
	assert_int_equal(props_format(&copy, &again), 0);
	assert_string_equal(again, text);
	assert_string_equal(back.credentials, "u:p%\"' ");
	assert_string_equal(back.proxy, "http://u:p@h:1");
	assert_string_equal(back.headers, "A: 1\nB: 2%\n");
	assert_string_equal(back.description, "50%0A off % %25");
	assert_int_equal(back.metered, METERED_WAIT);
	assert_true(back.no_progress_timeout == UINT32_MAX);
	free(text);
	free(again);
	props_release(&copy);
	/* What is not named is the default. */
	assert_int_equal(props_parse("", &back), 0);
	assert_int_equal(props_format(&back, &text), 0);
	assert_string_equal(text, "");
	free(text);
	props_release(&back);
}

static void damaged_store(void **state)
{
	static const char *const bad[] = {
		"nonsense 1\n", "priority\n", "priority urgent\n", "description %\n", "description %0\n",
		"description %zz\n", "description %00\n", "\n", "priority high\npriority\n", " \n",
	};
	struct props p;

	props_init(&p);
	set(&p, "description", "kept");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (props_parse(bad[i], &p) != -EINVAL)
			fail_msg("accepted '%s'", bad[i]);
		assert_shown(&p, "description", "kept");
		assert_shown(&p, "priority", "normal");
	}
	props_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(too_long),
		cmocka_unit_test(metered_follows_the_priority),
		cmocka_unit_test(secrets),
		cmocka_unit_test(everything_survives_the_store),
		cmocka_unit_test(damaged_store),
	};

	return cmocka_run_group_tests_name("props", tests, NULL, NULL);
}
