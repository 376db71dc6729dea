/* Gathered writing to blobs (disk/blob.h).
 *
 * Written lazily, a download that is faster than the disk fills the page cache, and its fsync then
 * waits for all of it; with RWF_DONTCACHE each gathered piece goes to the disk while the next one
 * arrives, and other programs' cache is left alone: four times the speed, at a fifth of the CPU
 * (2 GiB, durable: README, figures). Small files want the opposite, to wait for one sync of many, so
 * what is smaller than DONTCACHE_MIN is written plainly.
 */
#include "disk/blob.h"

#include "base/block.h"
#include "base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080 /* Linux 6.14 */
#endif

#define FIRST_CAP (16u << 10)
#define DONTCACHE_MIN (256u << 10)

bool writer_can_uncached(int fd)
{
	char byte;
	struct iovec v = { .iov_base = &byte, .iov_len = 1 };

	return preadv2(fd, &v, 1, 0, RWF_DONTCACHE) >= 0;
}

void writer_init(struct writer *w, int fd, uint64_t offset, bool uncached)
{
	*w = (struct writer){ .fd = fd, .uncached = uncached, .offset = offset, .written = offset };
}

void writer_release(struct writer *w)
{
	block_free(w->data);
	w->data = NULL;
	w->len = w->cap = 0;
}

char *writer_take(struct writer *w, size_t *ret_len)
{
	char *data = w->data;

	*ret_len = w->len;
	w->data = NULL;
	w->len = w->cap = 0;
	return data;
}

/* Hands DATA to the kernel at w->written. */
static int put(struct writer *w, const char *data, size_t len)
{
	while (w->uncached && len >= DONTCACHE_MIN) {
		struct iovec v = { .iov_base = (char *)data, .iov_len = len };
		ssize_t n = pwritev2(w->fd, &v, 1, (off_t)w->written, RWF_DONTCACHE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)) {
			w->uncached = false; /* older kernel, or a filesystem without it */
			break;
		}
		if (n < 0)
			return -errno;
		w->written += (uint64_t)n;
		data += n;
		len -= (size_t)n;
	}
	if (len == 0)
		return 0;
	int r = io_pwrite_all(w->fd, data, len, (off_t)w->written);
	if (r == 0)
		w->written += len;
	return r;
}

static int make_room(struct writer *w, size_t want)
{
	size_t cap = w->cap ? w->cap : FIRST_CAP;

	if (want <= w->cap)
		return 0;
	while (cap < want)
		cap = cap < BLOCK_SMALL ? cap * 2 : WRITE_GATHER;
	char *data = block_alloc(cap);
	if (!data)
		return -ENOMEM;
	if (w->len)
		memcpy(data, w->data, w->len);
	block_free(w->data);
	w->data = data;
	w->cap = cap;
	return 0;
}

int writer_flush(struct writer *w)
{
	uint64_t before = w->written;
	int r = put(w, w->data, w->len);
	size_t done = (size_t)(w->written - before);

	/* After an error (disk full) the rest stays, and may be flushed again. */
	if (done > 0 && done < w->len)
		memmove(w->data, w->data + done, w->len - done);
	w->len -= done;
	return r;
}

/* No gathering: the kernel keeps it in its cache in any case. */
static int write_through(struct writer *w, const char *data, size_t len)
{
	int r = w->len ? writer_flush(w) : 0;

	if (r == 0)
		r = put(w, data, len);
	w->offset = w->written + w->len;
	return r;
}

int writer_write(struct writer *w, const void *data, size_t len)
{
	const char *p = data;

	if (!w->uncached && w->fd >= 0 && len >= WRITE_DIRECT)
		return write_through(w, p, len);
	while (len > 0) {
		/* Pieces end at multiples of WRITE_GATHER, so that no page is written twice. */
		size_t room = WRITE_GATHER - (size_t)(w->written % WRITE_GATHER);
		size_t n = room - w->len < len ? room - w->len : len;
		int r;

		if (w->len == 0 && n == room && n >= DONTCACHE_MIN) {
			r = put(w, p, n); /* a whole piece: no need to copy it */
		} else {
			r = make_room(w, w->len + n);
			if (r < 0)
				return r;
			memcpy(w->data + w->len, p, n);
			w->len += n;
			r = w->len == room ? writer_flush(w) : 0;
		}
		w->offset = w->written + w->len; /* true also of the part that a full disk still took */
		if (r < 0)
			return r;
		p += n;
		len -= n;
	}
	return 0;
}
