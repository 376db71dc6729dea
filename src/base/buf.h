/* A growing byte buffer. Errors are sticky: after a failed allocation every call does nothing and
 * `failed` is set, so a renderer adds without checking and its caller asks once at the end.
 * A zeroed struct buf is valid and empty. Any thread; no sharing.
 */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;   /* NUL-terminated once anything was added; NULL before */
	size_t len;   /* without the NUL */
	size_t cap;
	bool failed;
};

void buf_release(struct buf *b); /* frees; the buffer is empty and valid again */
void buf_reset(struct buf *b);   /* empties, keeps the memory */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *text);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Removes the first LEN bytes (LEN <= b->len). */
void buf_consume(struct buf *b, size_t len);
/* Gives the text away (never NULL unless failed; free with free()); the buffer is empty again. */
char *buf_steal(struct buf *b);

static inline void buf_releasep(struct buf *b)
{
	buf_release(b);
}
#define cleanup_buf __attribute__((__cleanup__(buf_releasep)))
