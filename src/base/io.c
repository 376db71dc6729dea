#include "base/io.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int io_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_pwrite_all(int fd, const void *data, size_t len, off_t offset)
{
	const char *p = data;

	while (len) {
		ssize_t n = pwrite(fd, p, len, offset);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_pread_all(int fd, void *data, size_t len, off_t offset, size_t *ret_len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, (char *)data + got, len - got, offset + (off_t)got);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!n)
			break;
		got += (size_t)n;
	}
	*ret_len = got;
	return 0;
}

int io_fsync(int fd)
{
	while (fsync(fd) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int io_fdatasync(int fd)
{
	while (fdatasync(fd) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int open_retry(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int io_fsync_dir(int dirfd, const char *path)
{
	cleanup_close int fd = open_retry(dirfd, path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? fd : io_fsync(fd);
}

int io_read_file(int dirfd, const char *path, size_t max, char **ret_text)
{
	cleanup_close int fd = open_retry(dirfd, path, O_RDONLY, 0);
	cleanup_free char *text = NULL;
	size_t got = 0, cap = 0;

	if (fd < 0)
		return fd;
	/* By read and not by st_size: files of /proc have none. One byte more than MAX is asked for, to
	 * tell a file of just that size from a longer one. */
	for (;;) {
		ssize_t n;

		if (cap - got < 2) {
			char *more;

			cap = cap ? cap * 2 : 4096;
			more = realloc(text, cap);
			if (!more)
				return -ENOMEM;
			text = more;
		}
		n = read(fd, text + got, cap - got - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		got += (size_t)n;
		if (got > max)
			return -EFBIG;
	}
	text[got] = '\0';
	*ret_text = take_ptr(text);
	return 0;
}

static int replace_write(int dirfd, const char *temporary, const void *data, size_t len, mode_t mode)
{
	cleanup_close int fd = open_retry(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return fd;
	/* A leftover of a crash keeps its old mode when opened again. */
	if (fchmod(fd, mode) < 0)
		return -errno;
	r = io_write_all(fd, data, len);
	return r ? r : io_fsync(fd);
}

int io_replace_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	char temporary[PATH_MAX], parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = snprintf(temporary, sizeof(temporary), "%s.new", path);
	int r;

	if (n < 0 || (size_t)n >= sizeof(temporary))
		return -ENAMETOOLONG;
	r = replace_write(dirfd, temporary, data, len, mode);
	if (!r && renameat(dirfd, temporary, dirfd, path) < 0)
		r = -errno;
	if (r) {
		unlinkat(dirfd, temporary, 0);
		return r;
	}
	/* The name is durable only once its directory is. */
	if (!slash)
		return io_fsync_dir(dirfd, ".");
	snprintf(parent, sizeof(parent), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	return io_fsync_dir(dirfd, parent);
}
