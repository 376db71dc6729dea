/* Heads of answers, verdicts, errors, addresses: the engine's pure parts. */
#include "net/address.h"
#include "net/errors.h"
#include "net/http.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines separated by '\n'. */
static void parse(struct answer *a, const char *head)
{
	*a = (struct answer){ 0 };
	answer_reset(a);
	while (*head) {
		size_t len = strcspn(head, "\n") + 1;

		assert_false(answer_line(a, head, len));
		head += len;
	}
	assert_true(answer_line(a, "\r\n", 2));
}

static void test_fields(void **state)
{
	struct answer a;

	parse(&a, "HTTP/1.1 100 Continue\nETag: \"old\"\nHTTP/1.1 206 Partial\r\nCONTENT-RANGE: bytes 5-9/100\r\n"
		"etag:  \"a b\"  \nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sunday, 06-Nov-94 08:49:38 GMT\n"
		"Content-Length: 5\nAccept-Ranges: bytes\nNo colon here\n");
	assert_int_equal(a.status, 206);
	assert_true(a.has_range && a.first == 5 && a.last == 9 && a.total == 100);
	assert_string_equal(a.etag, "\"a b\"");
	assert_int_equal(a.modified, 784111777);
	assert_int_equal(a.date, 784111778);
	assert_true(a.whole_length && a.length == 5 && a.accepts_ranges);
	answer_reset(&a);
}

static void test_ranges_that_make_no_sense(void **state)
{
	static const char *const bad[] = { "bytes 9-5/100", "bytes 5-100/100", "bytes 5-/100", "bytes -5/100", "bytes 5-9",
		"items 5-9/100", "bytes 5-9/100x", "bytes 5-99999999999999999999/100", "bytes", "" };
	char line[128];
	struct answer a;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(line, sizeof line, "HTTP/1.1 206 x\nContent-Range: %s\n", bad[i]);
		parse(&a, line);
		if (a.has_range)
			fail_msg("accepted: %s", bad[i]);
		answer_reset(&a);
	}
	parse(&a, "HTTP/1.1 416 x\nContent-Range: bytes */77\n");
	assert_true(a.has_range && a.first > a.last && a.total == 77);
	answer_reset(&a);
}

static void assert_validator(const char *head, const char *want, bool strong)
{
	struct answer a;
	char *v;

	parse(&a, head);
	v = answer_validator(&a);
	if (want)
		assert_string_equal(v, want);
	else
		assert_null(v);
	assert_int_equal(validator_is_strong(v), strong);
	free(v);
	answer_reset(&a);
}

#define MODIFIED "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n"

static void test_validators(void **state)
{
	assert_validator("HTTP/1.1 200 x\nETag: \"x\"\n" MODIFIED, "etag \"x\"", true);
	assert_validator("HTTP/1.1 200 x\nETag: W/\"x\"\n", "etag W/\"x\"", false);
	assert_validator("HTTP/1.1 200 x\nETag: x\n", NULL, false);
	/* RFC 9110 §8.8.2.2: a date is strong when it was a second old. */
	assert_validator("HTTP/1.1 200 x\nDate: Sun, 06 Nov 1994 08:49:38 GMT\n" MODIFIED, "date 784111777", true);
	assert_validator("HTTP/1.1 200 x\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n" MODIFIED, NULL, false);
	assert_validator("HTTP/1.1 200 x\n" MODIFIED, NULL, false);
	assert_validator("HTTP/1.1 200 x\n", NULL, false);
}

static void test_date_goes_back_as_it_came(void **state)
{
	char *text = validator_if_range("date 784111777");

	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	free(text);
	text = validator_if_range("etag \"x\"");
	assert_string_equal(text, "\"x\"");
	free(text);
}

struct judged {
	const char *head;
	struct asked asked;
	enum verdict verdict;
	enum outcome outcome;
};

#define U SIZE_UNKNOWN
#define RANGED(at, n, v) { .ranged = true, .if_ranged = true, .first = at, .size = n, .validator = v, .contiguous = at }

static void test_verdicts(void **state)
{
	static const struct judged cases[] = {
		{ "HTTP/1.1 200 x\n", { .fresh = true, .size = U }, VERDICT_WHOLE, OUTCOME_DONE },
		{ "HTTP/1.1 200 x\n", { .fresh = true, .ranged = true, .first = 9, .size = U }, VERDICT_WHOLE, OUTCOME_DONE },
		{ "HTTP/1.1 200 x\nETag: \"a\"\n", RANGED(9, 100, "etag \"b\""), VERDICT_FAIL, OUTCOME_CHANGED },
		{ "HTTP/1.1 200 x\nETag: \"a\"\n", RANGED(9, 100, "etag \"a\""), VERDICT_NO_RANGES, OUTCOME_CHANGED },
		{ "HTTP/1.1 200 x\n", { .ranged = true, .parts = true, .fresh = true, .size = U }, VERDICT_FAIL, OUTCOME_RANGE },
		{ "HTTP/1.1 206 x\nContent-Range: bytes 9-99/100\nETag: \"a\"\n", RANGED(9, 100, "etag \"a\""), VERDICT_ACCEPT,
			OUTCOME_DONE },
		/* A server may answer with less than was asked for. */
		{ "HTTP/1.1 206 x\nContent-Range: bytes 9-9/100\nETag: \"a\"\n", RANGED(9, 100, "etag \"a\""), VERDICT_ACCEPT,
			OUTCOME_DONE },
		{ "HTTP/1.1 206 x\nContent-Range: bytes 9-99/100\n", RANGED(9, 100, "etag \"a\""), VERDICT_FAIL, OUTCOME_CHANGED },
		{ "HTTP/1.1 206 x\nContent-Range: bytes 9-99/100\n", RANGED(9, 100, "date 5"), VERDICT_ACCEPT, OUTCOME_DONE },
		{ "HTTP/1.1 206 x\nContent-Range: bytes 9-99/100\n" MODIFIED, RANGED(9, 100, "date 5"), VERDICT_FAIL,
			OUTCOME_CHANGED },
		{ "HTTP/1.1 206 x\nContent-Range: bytes 9-100/101\nETag: \"a\"\n", RANGED(9, 100, "etag \"a\""), VERDICT_FAIL,
			OUTCOME_CHANGED },
		{ "HTTP/1.1 206 x\nContent-Range: bytes 8-99/100\nETag: \"a\"\n", RANGED(9, 100, "etag \"a\""), VERDICT_NO_RANGES,
			OUTCOME_CHANGED },
		{ "HTTP/1.1 206 x\nContent-Range: bytes 9-99/*\nETag: \"a\"\n", RANGED(9, 100, "etag \"a\""), VERDICT_NO_RANGES,
			OUTCOME_CHANGED },
		{ "HTTP/1.1 206 x\nContent-Type: multipart/byteranges\nETag: \"a\"\n", RANGED(9, 100, "etag \"a\""),
			VERDICT_NO_RANGES, OUTCOME_CHANGED },
		{ "HTTP/1.1 206 x\nContent-Range: bytes 0-99/100\n", { .fresh = true, .size = U }, VERDICT_FAIL, OUTCOME_RESET },
		{ "HTTP/1.1 416 x\nContent-Range: bytes */100\n", RANGED(100, U, "etag \"a\""), VERDICT_COMPLETE, OUTCOME_DONE },
		{ "HTTP/1.1 416 x\nContent-Range: bytes */90\n", RANGED(100, U, "etag \"a\""), VERDICT_FAIL, OUTCOME_CHANGED },
		{ "HTTP/1.1 416 x\n", { .fresh = true, .ranged = true, .first = 5, .size = U }, VERDICT_FROM_START, OUTCOME_DONE },
		{ "HTTP/1.1 302 x\n", { .fresh = true, .size = U }, VERDICT_REDIRECT, OUTCOME_DONE },
		{ "HTTP/1.1 304 x\n", { .fresh = true, .size = U }, VERDICT_FAIL, OUTCOME_HTTP_STATUS },
		{ "HTTP/1.1 204 x\n", { .fresh = true, .size = U }, VERDICT_FAIL, OUTCOME_HTTP_STATUS },
		{ "HTTP/1.1 500 x\n", { .fresh = true, .size = U }, VERDICT_FAIL, OUTCOME_HTTP_STATUS },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum outcome outcome;
		const char *text;
		struct answer a;

		parse(&a, cases[i].head);
		if (answer_judge(&a, &cases[i].asked, &outcome, &text) != cases[i].verdict || outcome != cases[i].outcome)
			fail_msg("case %zu: %s", i, cases[i].head);
		answer_reset(&a);
	}
}

static void test_errors(void **state)
{
	assert_int_equal(outcome_of_curl(CURLE_COULDNT_RESOLVE_HOST), OUTCOME_DNS);
	assert_int_equal(outcome_of_curl(CURLE_PEER_FAILED_VERIFICATION), OUTCOME_TLS);
	assert_int_equal(outcome_of_curl(CURLE_PARTIAL_FILE), OUTCOME_RESET);
	assert_int_equal(outcome_of_curl(CURLE_REMOTE_FILE_NOT_FOUND), OUTCOME_NOT_FOUND);
	assert_int_equal(outcome_of_errno(-ENOSPC), OUTCOME_DISK_FULL);
	assert_int_equal(outcome_of_errno(EIO), OUTCOME_DISK);
}

static void test_addresses(void **state)
{
	static const char *const private[] = { "127.0.0.1", "10.1.2.3", "172.31.255.255", "192.168.0.1", "169.254.169.254",
		"0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1",
		"::ffff:10.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "nonsense" };
	static const char *const public[] = { "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1" };

	for (size_t i = 0; i < sizeof private / sizeof private[0]; i++)
		if (!address_text_is_private(private[i]))
			fail_msg("%s is private", private[i]);
	for (size_t i = 0; i < sizeof public / sizeof public[0]; i++)
		if (address_text_is_private(public[i]))
			fail_msg("%s is public", public[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_ranges_that_make_no_sense),
		cmocka_unit_test(test_validators),
		cmocka_unit_test(test_date_goes_back_as_it_came),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
