/* Checksums (libcrypto). A digest eats bytes in order; it knows how far it has come, and can be
 * finished later from the blob: digests are not saved (OpenSSL 3.0 cannot), after a restart the file
 * is read again. One owner at a time.
 */
#pragma once

#include "model/addline.h"

#include <stdbool.h>
#include <stdint.h>

struct digest;

int digest_new(enum digest_kind kind, struct digest **ret);
void digest_free(struct digest *d);
uint64_t digest_position(const struct digest *d);
/* Bytes at OFFSET; ignored unless OFFSET is digest_position(d). */
int digest_update(struct digest *d, uint64_t offset, const void *data, size_t len);
/* Reads FD from digest_position to SIZE, then compares with WANT. *stop, polled each MiB, ends it with
 * -ECANCELED. 0: equal; -EBADMSG: not; -errno of reading, -EIO when the file is shorter. Ends the digest. */
int digest_verify(struct digest *d, int fd, uint64_t size, const uint8_t *want, const volatile bool *stop);
