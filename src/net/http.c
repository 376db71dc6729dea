#include "net/http.h"

#include "base/parse.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* --- the head ------------------------------------------------------------------------------------- */

void answer_reset(struct answer *a)
{
	free(a->etag);
	*a = (struct answer){ .modified = MTIME_UNKNOWN, .date = MTIME_UNKNOWN, .total = SIZE_UNKNOWN };
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", as nearly all are; for many small files curl_getdate costs a tenth. */
static bool parse_imf_date(const char *v, time_t *ret)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const uint8_t digits[] = { 5, 6, 12, 13, 14, 15, 17, 18, 20, 21, 23, 24 };
	const char *month;
	struct tm tm = { 0 };

	if (strlen(v) != HTTP_DATE_LEN - 1 || strcmp(v + 25, " GMT") != 0)
		return false;
	for (size_t i = 0; i < sizeof digits; i++)
		if (v[digits[i]] < '0' || v[digits[i]] > '9')
			return false;
	month = memmem(months, sizeof months - 1, v + 8, 3);
	if (!month || (month - months) % 3)
		return false;
#define TWO(at) ((v[at] - '0') * 10 + (v[(at) + 1] - '0'))
	tm = (struct tm){ .tm_mday = TWO(5), .tm_mon = (int)(month - months) / 3,
		.tm_year = TWO(12) * 100 + TWO(14) - 1900, .tm_hour = TWO(17), .tm_min = TWO(20), .tm_sec = TWO(23) };
#undef TWO
	*ret = timegm(&tm);
	return true;
}

static int64_t parse_date(const char *value)
{
	time_t t;

	if (!parse_imf_date(value, &t))
		t = curl_getdate(value, NULL);
	return t == (time_t)-1 ? MTIME_UNKNOWN : (int64_t)t;
}

static void on_etag(struct answer *a, const char *value)
{
	size_t len = strlen(value);
	const char *quote = strncmp(value, "W/", 2) == 0 ? value + 2 : value;

	free(a->etag);
	a->etag = NULL;
	/* Unquoted ones are sent by some servers; taken as strong they would not survive If-Range. */
	if (strlen(quote) >= 2 && quote[0] == '"' && value[len - 1] == '"')
		a->etag = strdup(value);
}

static void on_modified(struct answer *a, const char *value)
{
	a->modified = parse_date(value);
}

static void on_date(struct answer *a, const char *value)
{
	a->date = parse_date(value);
}

static void on_length(struct answer *a, const char *value)
{
	a->whole_length = parse_u64(value, &a->length) == 0;
}

static void on_coding(struct answer *a, const char *value)
{
	a->chunked = strcasestr(value, "chunked") != NULL;
}

static void on_accept_ranges(struct answer *a, const char *value)
{
	a->accepts_ranges = strcasecmp(value, "bytes") == 0;
}

static bool take_number(const char **p, uint64_t *ret)
{
	size_t n = strspn(*p, "0123456789");
	char digits[24];

	if (n == 0 || n >= sizeof digits)
		return false;
	memcpy(digits, *p, n);
	digits[n] = '\0';
	*p += n;
	return parse_u64(digits, ret) == 0;
}

/* "bytes 0-499/1234", "bytes 0-499/x" where x is '*', "bytes x/1234" */
static void on_range(struct answer *a, const char *value)
{
	uint64_t first = 1, last = 0, total = SIZE_UNKNOWN;

	if (strncasecmp(value, "bytes", 5) != 0)
		return;
	value += 5 + strspn(value + 5, " =");
	if (*value == '*')
		value++;
	else if (!take_number(&value, &first) || *value++ != '-' || !take_number(&value, &last) || first > last)
		return;
	if (*value++ != '/')
		return;
	if (strcmp(value, "*") != 0 && (!take_number(&value, &total) || *value))
		return;
	if (first <= last && total != SIZE_UNKNOWN && last >= total)
		return;
	a->first = first;
	a->last = last;
	a->total = total;
	a->has_range = true;
}

static const struct {
	const char *name;
	void (*take)(struct answer *a, const char *value);
} fields[] = {
	{ "accept-ranges", on_accept_ranges },
	{ "content-length", on_length },
	{ "content-range", on_range },
	{ "date", on_date },
	{ "etag", on_etag },
	{ "last-modified", on_modified },
	{ "transfer-encoding", on_coding },
};

static void status_line(struct answer *a, const char *line)
{
	const char *blank = strchr(line, ' ');

	answer_reset(a);
	a->http2 = line[5] >= '2';
	a->status = blank ? (int)strtol(blank, NULL, 10) : 0;
}

bool answer_line(struct answer *a, const char *line, size_t len)
{
	char text[1024];
	char *value;

	while (len && strchr("\r\n \t", line[len - 1]))
		len--;
	if (len == 0)
		return true;
	if (len >= sizeof text)
		return false; /* none of the fields that matter is so long */
	memcpy(text, line, len);
	text[len] = '\0';
	if (strncmp(text, "HTTP/", 5) == 0) {
		status_line(a, text);
		return false;
	}
	value = strchr(text, ':');
	if (!value)
		return false;
	*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (strcasecmp(text, fields[i].name) == 0)
			fields[i].take(a, value);
	return false;
}

/* --- validators ------------------------------------------------------------------------------------- */

static bool date_is_strong(const struct answer *a)
{
	return a->modified != MTIME_UNKNOWN && a->date != MTIME_UNKNOWN && a->modified < a->date;
}

static bool etag_is_strong(const char *etag)
{
	return etag && etag[0] == '"';
}

char *answer_validator(const struct answer *a)
{
	char *text;
	int n;

	if (etag_is_strong(a->etag) || (a->etag && !date_is_strong(a)))
		n = asprintf(&text, "etag %s", a->etag);
	else if (date_is_strong(a))
		n = asprintf(&text, "date %" PRId64, a->modified);
	else
		return NULL;
	return n < 0 ? NULL : text;
}

bool validator_is_strong(const char *validator)
{
	return validator && (strncmp(validator, "etag \"", 6) == 0 || strncmp(validator, "date ", 5) == 0);
}

void http_date(int64_t seconds, char ret[HTTP_DATE_LEN])
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
		"Dec" };
	time_t t = (time_t)seconds;
	struct tm tm = { 0 };

	gmtime_r(&t, &tm);
	snprintf(ret, HTTP_DATE_LEN, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[(unsigned)tm.tm_wday % 7],
		(unsigned)tm.tm_mday % 100, months[(unsigned)tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000,
		(unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

char *validator_if_range(const char *validator)
{
	char date[HTTP_DATE_LEN];

	if (strncmp(validator, "etag ", 5) == 0)
		return strdup(validator + 5);
	http_date(strtoll(validator + 5, NULL, 10), date);
	return strdup(date);
}

static bool same_version(const struct answer *a, const struct asked *q)
{
	const char *v = q->validator;

	if (!v)
		return true; /* nothing was known to compare; the caller resumes only with a strong one */
	if (strncmp(v, "etag ", 5) == 0)
		return a->etag && strcmp(a->etag, v + 5) == 0;
	/* RFC 9110 §15.3.7: an answer to If-Range need not repeat Last-Modified. */
	return a->modified == MTIME_UNKNOWN ? q->if_ranged : a->modified == strtoll(v + 5, NULL, 10);
}

/* --- the verdict -------------------------------------------------------------------------------------- */

static enum verdict fail(enum outcome outcome, const char *text, enum outcome *ret_outcome, const char **ret_text)
{
	*ret_outcome = outcome;
	*ret_text = text;
	return VERDICT_FAIL;
}

static enum verdict judge_200(const struct answer *a, const struct asked *q, enum outcome *o, const char **text)
{
	if (!q->ranged)
		return VERDICT_WHOLE;
	if (q->parts)
		return fail(OUTCOME_RANGE, "the server does not serve ranges", o, text);
	if (q->fresh)
		return VERDICT_WHOLE;
	*o = OUTCOME_CHANGED;
	if (q->validator && same_version(a, q)) {
		*text = "the server does not serve ranges";
		return VERDICT_NO_RANGES;
	}
	return fail(OUTCOME_CHANGED, "another version on the server", o, text);
}

static enum verdict judge_206(const struct answer *a, const struct asked *q, enum outcome *o, const char **text)
{
	if (!q->ranged)
		return fail(OUTCOME_RESET, "the server sent a part that was not asked for", o, text);
	if (!a->has_range || a->first > a->last || a->first != q->first ||
	    (a->total == SIZE_UNKNOWN && q->size != SIZE_UNKNOWN)) {
		*o = OUTCOME_CHANGED;
		*text = "the server sent another range than was asked for";
		if (q->parts)
			return fail(OUTCOME_RANGE, *text, o, text);
		return q->fresh ? VERDICT_FROM_START : VERDICT_NO_RANGES;
	}
	if ((q->size != SIZE_UNKNOWN && a->total != q->size) || !same_version(a, q))
		return fail(OUTCOME_CHANGED, "another version on the server", o, text);
	return VERDICT_ACCEPT;
}

static enum verdict judge_416(const struct answer *a, const struct asked *q, enum outcome *o, const char **text)
{
	if (!q->ranged)
		return fail(OUTCOME_HTTP_STATUS, NULL, o, text);
	if (q->parts)
		return fail(OUTCOME_RANGE, "the file on the server is shorter than the range", o, text);
	if (q->fresh)
		return VERDICT_FROM_START;
	if (a->has_range && a->total == q->first && q->contiguous == q->first &&
	    (q->size == SIZE_UNKNOWN || q->size == a->total))
		return VERDICT_COMPLETE;
	return fail(OUTCOME_CHANGED, "the file on the server has become shorter", o, text);
}

enum verdict answer_judge(const struct answer *a, const struct asked *q, enum outcome *ret_outcome, const char **ret_text)
{
	*ret_outcome = OUTCOME_DONE;
	*ret_text = NULL;
	switch (a->status) {
	case 200:
		return judge_200(a, q, ret_outcome, ret_text);
	case 206:
		return judge_206(a, q, ret_outcome, ret_text);
	case 416:
		return judge_416(a, q, ret_outcome, ret_text);
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		return VERDICT_REDIRECT;
	default:
		return fail(OUTCOME_HTTP_STATUS, NULL, ret_outcome, ret_text);
	}
}
