/* Resolving below the destination tree (disk/beneath.h). */
#include "disk/beneath.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RACES 64 /* the kernel gives up on ".." (EAGAIN) when something is renamed meanwhile */

static int open_beneath(int root, const char *path, int flags, int *ret_fd)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	for (int i = 0; i < RACES; i++) {
		long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

		if (fd >= 0) {
			*ret_fd = (int)fd;
			return 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return errno == EXDEV ? -EACCES : -errno;
	}
	return -EAGAIN;
}

/* Opens PATH, a prefix, making its last component in PARENT if it is missing. */
static int open_or_make(int root, const char *path, int parent, int *ret_fd)
{
	const char *slash = strrchr(path, '/');
	int r = open_beneath(root, path, O_PATH | O_DIRECTORY, ret_fd);

	if (r != -ENOENT)
		return r;
	if (mkdirat(parent, slash ? slash + 1 : path, 0777) < 0 && errno != EEXIST)
		return -errno;
	/* From the root again: what was made may have been exchanged. */
	return open_beneath(root, path, O_PATH | O_DIRECTORY, ret_fd);
}

static int make_dirs(int root, const char *path, int *ret_fd)
{
	cleanup_free char *prefix = strdup(path);
	cleanup_close int parent = -1;

	if (!prefix)
		return -ENOMEM;
	int r = open_beneath(root, ".", O_PATH | O_DIRECTORY, &parent);
	for (char *at = prefix; r == 0; at++) {
		int next = -1;

		at = strchrnul(at, '/');
		bool last = *at == '\0';
		*at = '\0';
		r = open_or_make(root, prefix, parent, &next);
		if (r < 0)
			break;
		if (last) {
			*ret_fd = next;
			break;
		}
		close(parent);
		parent = next;
		*at = '/';
	}
	return r;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The names of all directories from ROOT down to DIRFD: also of those that were there, for who made one may
 * have been killed before it was durable. */
static int sync_way(int root, int dirfd, struct durable *d)
{
	cleanup_close int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	struct stat top, st;
	int r = 0;

	if (at < 0 || fstat(root, &top) < 0)
		return -errno;
	/* "/" is its own parent: the directory was moved out of the tree. */
	for (struct stat below = { 0 }; r == 0; below = st) {
		if (fstat(at, &st) < 0)
			return -errno;
		if (same_file(&st, &top) || same_file(&st, &below))
			return 0;
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			return -errno;
		close(at);
		at = up;
		r = durable_dir(d, at);
	}
	return r;
}

int beneath_open_dir(int root, const char *path, bool make, struct durable *d, int *ret_fd)
{
	cleanup_close int fd = -1;
	int r = open_beneath(root, path, O_PATH | O_DIRECTORY, &fd);

	if (r == -ENOENT && make)
		r = make_dirs(root, path, &fd);
	if (r == 0 && make)
		r = sync_way(root, fd, d);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int beneath_stat(int root, const char *path, struct stat *ret)
{
	cleanup_close int fd = -1;
	int r = open_beneath(root, path, O_PATH | O_NOFOLLOW, &fd);

	if (r < 0)
		return r;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

int beneath_not_in(int root, int fd, const struct stat *dir)
{
	cleanup_close int at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat top, st, above;

	/* Where the daemon may not look is not its own directory. */
	if (fstat(root, &top) < 0 || at < 0 || fstat(at, &st) < 0)
		return 0;
	while (!same_file(&st, dir)) {
		if (same_file(&st, &top))
			return 0;
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			return 0;
		close(at);
		at = up;
		if (fstat(at, &above) < 0 || same_file(&above, &st)) /* "/": it was moved out of the tree */
			return 0;
		st = above;
	}
	return -EACCES;
}

/* --- removing ---------------------------------------------------------------------------------- */

/* One descriptor per level, and some stack: who nests deeper keeps his leftovers. */
#define DEPTH_MAX 256

static void remove_at(int dirfd, const char *name, const struct stat *only, unsigned depth, unsigned *leftovers);

static void empty_dir(int fd, unsigned depth, unsigned *leftovers)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		close(fd);
		return;
	}
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_at(dirfd(dir), e->d_name, NULL, depth, leftovers);
	closedir(dir);
}

static void remove_at(int dirfd, const char *name, const struct stat *only, unsigned depth, unsigned *leftovers)
{
	struct stat st;

	if (!only && (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT))
		return;
	/* EISDIR, or EPERM as POSIX has it: a directory, perhaps. */
	int fd = depth < DEPTH_MAX ? openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd >= 0 && only && (fstat(fd, &st) < 0 || !same_file(&st, only))) {
		close(fd);
		++*leftovers;
		return;
	}
	if (fd >= 0)
		empty_dir(fd, depth + 1, leftovers);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		++*leftovers;
}

void beneath_remove(int dirfd, const char *name, const struct stat *only, unsigned *leftovers)
{
	remove_at(dirfd, name, only, 0, leftovers);
}

int beneath_unlink(int root, const char *path, int flags)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
	cleanup_close int fd = -1;

	if (!dir)
		return -ENOMEM;
	int r = open_beneath(root, dir, O_PATH | O_DIRECTORY, &fd);
	if (r < 0)
		return r;
	return unlinkat(fd, slash ? slash + 1 : path, flags) < 0 ? -errno : 0;
}

/* --- temporary names --------------------------------------------------------------------------- */

void temp_name(const char *name, uint64_t serial, uint32_t file, char ret[TEMP_NAME_LEN])
{
	char suffix[48];
	size_t len = strlen(name);
	int n = snprintf(suffix, sizeof(suffix), ".xferfs-%" PRIu64, serial);

	if (file != TEMP_TREE)
		n += snprintf(suffix + n, sizeof(suffix) - (size_t)n, "-%" PRIu32, file);
	if (len > TEMP_NAME_LEN - 2 - (size_t)n) {
		len = TEMP_NAME_LEN - 2 - (size_t)n;
		/* Not within a UTF-8 character: some filesystems refuse what is none. */
		while (len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
			len--;
	}
	snprintf(ret, TEMP_NAME_LEN, ".%.*s%s", (int)len, name, suffix);
}
