/* What an end of an attempt means, and when the next one is made. */
#include "model/retry.h"

#include "base/clock.h"
#include "model/chars.h"
#include "model/service.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void statuses(void **state)
{
	static const int transient[] = { 408, 409, 425, 429, 500, 502, 503, 504, 507, 511, 520, 599 };
	static const int fatal[] = { 204, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 407, 410,
		416, 418, 422, 428, 431, 451, 499, 501, 505, 0, 100, 600, 999 };

	for (size_t i = 0; i < sizeof(transient) / sizeof(transient[0]); i++)
		assert_int_equal(retry_class(OUTCOME_HTTP_STATUS, transient[i]), CLASS_TRANSIENT);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		assert_int_equal(retry_class(OUTCOME_HTTP_STATUS, fatal[i]), CLASS_FATAL);
}

static void every_outcome(void **state)
{
	for (unsigned i = 0; i < OUTCOME_MAX; i++) {
		enum outcome o = (enum outcome)i, back;
		char *sentence;

		assert_int_equal(outcome_from_word(outcome_word(o), &back), 0);
		assert_int_equal(back, o);
		assert_int_not_equal(retry_class(o, 500), CLASS_BY_STATUS);
		assert_int_equal(outcome_sentence(o, 0, NULL, &sentence), 0);
		assert_true(strlen(sentence) > 5);
		free(sentence);
	}
	assert_int_equal(outcome_from_word("nonsense", &(enum outcome){ 0 }), -EINVAL);
}

static void sentences(void **state)
{
	char *s;

	assert_int_equal(outcome_sentence(OUTCOME_HTTP_STATUS, 404, NULL, &s), 0);
	assert_non_null(strstr(s, "404"));
	assert_non_null(strstr(s, "Not Found"));
	free(s);
	assert_int_equal(outcome_sentence(OUTCOME_HTTP_STATUS, 599, "why", &s), 0);
	assert_non_null(strstr(s, "599"));
	assert_non_null(strstr(s, "(why)"));
	free(s);
	assert_int_equal(outcome_sentence(OUTCOME_TLS, 0, "self signed\r\ncode 1: x\033[2J", &s), 0);
	assert_non_null(strstr(s, "self signed"));
	assert_false(text_has_control(s));
	free(s);
}

static int64_t seconds(int64_t ns)
{
	return ns / NSEC_PER_SEC;
}

static void backoff_doubles_up_to_the_limit(void **state)
{
	int64_t most = 1;

	for (unsigned tries = 1; tries < 80; tries++) {
		assert_in_range(retry_delay(tries, 600, -1, UINT32_MAX), most * NSEC_PER_SEC * 99 / 100,
			most * NSEC_PER_SEC);
		assert_int_equal(retry_delay(tries, 600, -1, 0), most * NSEC_PER_SEC / 2);
		most = most * 2 > 600 ? 600 : most * 2;
	}
	assert_int_equal(seconds(retry_delay(5, 5, -1, 0)), 2);
	/* max: no overflow on the way there */
	for (unsigned tries = 1; tries < 200; tries++)
		assert_true(retry_delay(tries, UINT32_MAX, 0, UINT32_MAX) > 0);
	assert_true(retry_delay(UINT32_MAX, UINT32_MAX, 0, 0) > INT64_C(1000000000) * NSEC_PER_SEC);
}

static void server_may_ask_for_more(void **state)
{
	assert_int_equal(seconds(retry_delay(1, 600, 30, 0)), 30);
	assert_int_equal(seconds(retry_delay(10, 600, 30, 0)), 256);
	assert_int_equal(seconds(retry_delay(1, 600, 3600, 0)), 3600);
	assert_int_equal(seconds(retry_delay(1, 600, INT64_MAX, 0)), RETRY_AFTER_MAX_S);
	assert_int_equal(retry_delay(1, 600, INT64_MIN, 0), NSEC_PER_SEC / 2);
}

static void words_of_the_service(void **state)
{
	assert_string_equal(network_words[NETWORK_METERED], "metered");
	assert_null(network_words[NETWORK_MAX]);
	for (int i = 1; i < LATENCY_BUCKETS - 1; i++)
		assert_true(latency_bounds[i - 1] < latency_bounds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statuses),
		cmocka_unit_test(every_outcome),
		cmocka_unit_test(sentences),
		cmocka_unit_test(backoff_doubles_up_to_the_limit),
		cmocka_unit_test(server_may_ask_for_more),
		cmocka_unit_test(words_of_the_service),
	};

	return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
