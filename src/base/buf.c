/* Growth doubles, so that adding N bytes one at a time costs O(N). */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BUF_CAP_MIN 64

/* Room for MORE bytes and the NUL. */
static bool buf_grow(struct buf *b, size_t more)
{
	size_t need, cap;
	char *data;

	if (b->failed)
		return false;
	if (more > SIZE_MAX / 2 - b->len - 1) {
		b->failed = true;
		return false;
	}
	need = b->len + more + 1;
	if (need <= b->cap)
		return true;
	cap = b->cap ? b->cap : BUF_CAP_MIN;
	while (cap < need)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (!buf_grow(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	int len;

	/* The first try is in the room there is; most lines fit. */
	if (!buf_grow(b, 0))
		return;
	va_start(args, format);
	len = vsnprintf(b->data + b->len, b->cap - b->len, format, args);
	va_end(args);
	if (len < 0) {
		b->data[b->len] = '\0';
		b->failed = true;
		return;
	}
	if ((size_t)len >= b->cap - b->len) {
		b->data[b->len] = '\0';
		if (!buf_grow(b, (size_t)len))
			return;
		va_start(args, format);
		vsnprintf(b->data + b->len, b->cap - b->len, format, args);
		va_end(args);
	}
	b->len += (size_t)len;
}

void buf_consume(struct buf *b, size_t len)
{
	assert(len <= b->len);
	if (!len)
		return;
	b->len -= len;
	memmove(b->data, b->data + len, b->len + 1);
}

char *buf_steal(struct buf *b)
{
	char *text;

	buf_grow(b, 0);
	if (b->failed) {
		buf_release(b);
		return NULL;
	}
	text = b->data;
	text[b->len] = '\0';
	*b = (struct buf){ 0 };
	return text;
}
