/* Strict by hand: strtoull accepts blanks, signs and wraps "-1" around. */
#include "base/parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct suffix {
	char letter;
	uint64_t factor;
};

/* Digits at the beginning of TEXT; *ret_end is what follows them. A number too large is found only
 * after all its digits were seen to be such: junk is -EINVAL however long it is. */
static int parse_digits(const char *text, uint64_t *ret, const char **ret_end)
{
	uint64_t value = 0;
	bool overflow = false;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		overflow = overflow || __builtin_mul_overflow(value, 10, &value);
		overflow = overflow || __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
	}
	if (p == text)
		return -EINVAL;
	*ret = value;
	*ret_end = p;
	return overflow ? -ERANGE : 0;
}

int parse_u64(const char *text, uint64_t *ret)
{
	const char *end;
	uint64_t value;
	int r = parse_digits(text, &value, &end);

	if (r == -EINVAL || *end)
		return -EINVAL;
	if (!r)
		*ret = value;
	return r;
}

static int parse_scaled(const char *text, const struct suffix *suffixes, uint64_t *ret)
{
	const char *end;
	uint64_t value, factor = 1;
	int r;

	if (!strcmp(text, "max")) {
		*ret = LIMIT_MAX;
		return 0;
	}
	r = parse_digits(text, &value, &end);
	if (r == -EINVAL)
		return r;
	if (*end) {
		while (suffixes->letter && suffixes->letter != *end)
			suffixes++;
		if (!suffixes->letter || end[1])
			return -EINVAL;
		factor = suffixes->factor;
	}
	/* LIMIT_MAX itself is written "max": as a number it would be printed back as another word. */
	if (r || __builtin_mul_overflow(value, factor, &value) || value == LIMIT_MAX)
		return -ERANGE;
	*ret = value;
	return 0;
}

int parse_size(const char *text, uint64_t *ret)
{
	static const struct suffix suffixes[] = {
		{ 'K', UINT64_C(1) << 10 }, { 'M', UINT64_C(1) << 20 },
		{ 'G', UINT64_C(1) << 30 }, { 'T', UINT64_C(1) << 40 },
		{ '\0', 0 },
	};

	return parse_scaled(text, suffixes, ret);
}

int parse_seconds(const char *text, uint64_t *ret)
{
	static const struct suffix suffixes[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 },
		{ '\0', 0 },
	};

	return parse_scaled(text, suffixes, ret);
}

int parse_bool(const char *text, bool *ret)
{
	/* What kstrtobool takes; it looks at the first letters only, we want the whole word. */
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "1", true }, { "y", true }, { "yes", true }, { "t", true }, { "true", true }, { "on", true },
		{ "0", false }, { "n", false }, { "no", false }, { "f", false }, { "false", false }, { "off", false },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcasecmp(text, words[i].word)) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int parse_hex(const char *text, uint8_t *ret, size_t len)
{
	if (strlen(text) != len * 2)
		return -EINVAL;
	/* Two passes keep the output untouched when a later digit is bad. */
	for (size_t i = 0; i < len * 2; i++)
		if (hex_digit(text[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < len; i++)
		ret[i] = (uint8_t)((unsigned)hex_digit(text[2 * i]) << 4 | (unsigned)hex_digit(text[2 * i + 1]));
	return 0;
}

void format_moment(int64_t wall_seconds, char ret[MOMENT_LEN])
{
	/* RFC 3339 has four digits for the year: outside of them the nearest moment that it can say. */
	const int64_t first = INT64_C(-62167219200), last = INT64_C(253402300799);
	time_t t = wall_seconds < first ? first : wall_seconds > last ? last : wall_seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	/* glibc's %Y does not pad: the year 33 would be short. */
	int year = tm.tm_year + 1900;

	ret[0] = (char)('0' + year / 1000);
	ret[1] = (char)('0' + year / 100 % 10);
	ret[2] = (char)('0' + year / 10 % 10);
	ret[3] = (char)('0' + year % 10);
	strftime(ret + 4, MOMENT_LEN - 4, "-%m-%dT%H:%M:%SZ", &tm);
}
