/* Characters as bytes of ASCII. isalpha(3) and friends ask the locale, which must not decide what a
 * name, a URL or a number is.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool char_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline char char_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline bool char_is_alpha(char c)
{
	return char_lower(c) >= 'a' && char_lower(c) <= 'z';
}

static inline bool char_is_alnum(char c)
{
	return char_is_alpha(c) || char_is_digit(c);
}

static inline bool char_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool char_is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The value of a hex digit, or -1. */
static inline int char_hex(char c)
{
	if (char_is_digit(c))
		return c - '0';
	c = char_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The length of the control character that TEXT begins with, else 0. Those of the C1 set count: in
 * UTF-8 they are two bytes, and U+009B begins an escape sequence in some terminals. */
static inline size_t text_control(const char *text)
{
	unsigned char second;

	if (!*text)
		return 0;
	if (char_is_control(*text))
		return 1;
	second = (unsigned char)text[1];
	return (unsigned char)*text == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

static inline bool text_has_control(const char *text)
{
	for (; *text; text++) {
		if (text_control(text))
			return true;
	}
	return false;
}

/* The number that *P begins with; *P then points behind it. -EINVAL no digit, -ERANGE too large. */
static inline int scan_u64(const char **p, uint64_t *ret)
{
	const char *c = *p;
	uint64_t n = 0;

	if (!char_is_digit(*c))
		return -EINVAL;
	for (; char_is_digit(*c); c++) {
		if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*c - '0'), &n))
			return -ERANGE;
	}
	*p = c;
	*ret = n;
	return 0;
}
