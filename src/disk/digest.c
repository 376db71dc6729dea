/* Checksums by libcrypto's EVP interface. */
#include "disk/digest.h"

#include "base/block.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define READ_PIECE (1u << 20)

struct digest {
	EVP_MD_CTX *ctx;
	enum digest_kind kind;
	uint64_t position;
};

int digest_new(enum digest_kind kind, struct digest **ret)
{
	const EVP_MD *md = kind == DIGEST_NONE ? NULL : EVP_get_digestbyname(digest_names[kind]);

	if (!md)
		return -EOPNOTSUPP;
	struct digest *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->kind = kind;
	d->ctx = EVP_MD_CTX_new();
	/* Fails without memory, or where a policy forbids the algorithm (MD5 in FIPS mode). */
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, md, NULL) != 1) {
		int r = d->ctx ? -EOPNOTSUPP : -ENOMEM;

		digest_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

uint64_t digest_position(const struct digest *d)
{
	return d->position;
}

int digest_update(struct digest *d, uint64_t offset, const void *data, size_t len)
{
	if (offset != d->position)
		return 0;
	if (EVP_DigestUpdate(d->ctx, data, len) != 1)
		return -EIO;
	d->position += len;
	return 0;
}

static int eat_rest(struct digest *d, int fd, uint64_t size, const volatile bool *stop)
{
	if (d->position >= size)
		return 0;
	cleanup_free void *piece = block_alloc(READ_PIECE);
	if (!piece)
		return -ENOMEM;
	posix_fadvise(fd, (off_t)d->position, 0, POSIX_FADV_SEQUENTIAL);
	while (d->position < size) {
		uint64_t left = size - d->position;
		size_t got;

		if (__atomic_load_n(stop, __ATOMIC_RELAXED))
			return -ECANCELED;
		int r = io_pread_all(fd, piece, left < READ_PIECE ? (size_t)left : READ_PIECE,
			(off_t)d->position, &got);
		if (r < 0)
			return r;
		if (got == 0)
			return -EIO;
		r = digest_update(d, d->position, piece, got);
		if (r < 0)
			return r;
	}
	return 0;
}

int digest_verify(struct digest *d, int fd, uint64_t size, const uint8_t *want, const volatile bool *stop)
{
	unsigned char is[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (d->position > size)
		return -EBADMSG; /* it has eaten more than the file has */
	int r = eat_rest(d, fd, size, stop);
	if (r < 0)
		return r;
	if (EVP_DigestFinal_ex(d->ctx, is, &len) != 1)
		return -EIO;
	if (len != digest_lengths[d->kind] || CRYPTO_memcmp(is, want, len) != 0)
		return -EBADMSG;
	return 0;
}
