/* Likeness to a file that the caller made himself (disk/facts.h). */
#include "disk/facts.h"

#include "base/block.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "disk/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_NAME "system.posix_acl_access"
#define COPY_PIECE (1u << 30) /* of one copy_file_range */

/* --- probing ----------------------------------------------------------------------------------- */

static int make_probe(int dirfd, const char *temp, int *ret_fd)
{
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);

	if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return -errno;
	if (fd < 0) {
		unlinkat(dirfd, temp, 0); /* of a run that was killed */
		fd = openat(dirfd, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
		if (fd < 0)
			return -errno;
		unlinkat(dirfd, temp, 0);
	}
	*ret_fd = fd;
	return 0;
}

/* The access ACL, 0 bytes when there is none or the filesystem has none. */
static int read_acl(int fd, uint8_t acl[ACL_MAX], size_t *ret_len)
{
	ssize_t n = fgetxattr(fd, ACL_NAME, acl, ACL_MAX);

	if (n < 0 && errno != ENODATA && errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	*ret_len = n < 0 ? 0 : (size_t)n;
	return 0;
}

int facts_probe(int dirfd, const char *temp, struct facts *ret)
{
	cleanup_close int fd = -1;
	struct stat st;
	int r = make_probe(dirfd, temp, &fd);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	ret->uid = st.st_uid;
	ret->gid = st.st_gid;
	/* What a strange filesystem says of set-user-id is not believed. */
	ret->mode = st.st_mode & 0777;
	return read_acl(fd, ret->acl, &ret->acl_len);
}

/* --- applying ---------------------------------------------------------------------------------- */

/* *CHANGED: the mode may be another one. */
static int apply_acl(const struct facts *facts, int fd, bool *changed)
{
	uint8_t acl[ACL_MAX];
	size_t len = 0;
	int r = read_acl(fd, acl, &len);

	if (r < 0 || (len == facts->acl_len && memcmp(acl, facts->acl, len) == 0))
		return r;
	*changed = true;
	if (facts->acl_len > 0)
		r = fsetxattr(fd, ACL_NAME, facts->acl, facts->acl_len, 0);
	else
		r = fremovexattr(fd, ACL_NAME);
	return r < 0 && errno != ENODATA ? -errno : 0;
}

/* Owner first: a change of it takes mode bits away. The mode last: it is what the ACL's mask says, and
 * stays when an ACL is taken away. */
int facts_apply(const struct facts *facts, int fd, const struct stat *st)
{
	bool changed = st->st_uid != facts->uid || st->st_gid != facts->gid;
	struct stat after;

	if (changed && fchown(fd, facts->uid, facts->gid) < 0)
		return -errno;
	int r = apply_acl(facts, fd, &changed);
	if (r < 0)
		return r;
	if (changed && fstat(fd, &after) < 0)
		return -errno;
	if (((changed ? &after : st)->st_mode & 07777) != facts->mode && fchmod(fd, facts->mode) < 0)
		return -errno;
	return 0;
}

/* --- copying ----------------------------------------------------------------------------------- */

static int copy_by_hand(int from, int to, off_t at, off_t size)
{
	cleanup_free char *piece = block_alloc(WRITE_GATHER);
	struct writer w;
	int r = piece ? 0 : -ENOMEM;

	writer_init(&w, to, (uint64_t)at, true);
	while (r == 0 && at < size) {
		size_t got;

		r = io_pread_all(from, piece, WRITE_GATHER, at, &got);
		if (r == 0 && got == 0)
			r = -EIO; /* shorter than it was */
		if (r == 0)
			r = writer_write(&w, piece, got);
		at += (off_t)got;
	}
	if (r == 0)
		r = writer_flush(&w);
	writer_release(&w);
	return r;
}

static int copy_bytes(int from, int to)
{
	struct stat st;
	off_t in = 0, out = 0;

	if (fstat(from, &st) < 0)
		return -errno;
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	while (in < st.st_size) {
		ssize_t n = copy_file_range(from, &in, to, &out, COPY_PIECE, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
			return -errno;
		if (n <= 0) /* it cannot, between these two */
			return copy_by_hand(from, to, in, st.st_size);
	}
	return 0;
}

int copy_file(int from, int dirfd, const char *temp, int *ret_fd)
{
	if (unlinkat(dirfd, temp, 0) < 0 && errno != ENOENT)
		return -errno;
	/* Not to be read by others before it is whole. */
	cleanup_close int fd = openat(dirfd, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = copy_bytes(from, fd);
	if (r < 0) {
		unlinkat(dirfd, temp, 0);
		return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
