/* The staging area: names that are arithmetic, one lock, and walks that count what they delete. */
#include "disk/blob.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/parse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BLOB_MODE 0644

struct blobs {
	int dirfd;  /* of STAGING */
	int lockfd; /* holds the lock */
	dev_t dev;
	bool uncached;
};

/* --- the area and its lock --------------------------------------------------------------------- */

/* The pid in the lock file; 0 when its writer has not come so far. */
static pid_t read_pid(int fd)
{
	char text[24] = "";
	size_t len;
	uint64_t pid;

	if (io_pread_all(fd, text, sizeof(text) - 1, 0, &len) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, &pid) == 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* An open-file-description lock: it is not lost when some library closes another descriptor of the
 * file, and the kernel drops it however the daemon ends. */
static int take_lock(int dirfd, int *ret_fd, pid_t *ret_pid)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	cleanup_close int fd = openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char text[24];
	int len;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		*ret_pid = read_pid(fd);
		return -EBUSY;
	}
	len = snprintf(text, sizeof(text), "%jd\n", (intmax_t)getpid());
	if (ftruncate(fd, 0) < 0)
		return -errno;
	int r = io_pwrite_all(fd, text, (size_t)len, 0);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Makes the directory if it is missing and opens it; 0700 also when it was there with more. */
static int open_private_dir(int at, const char *path, int *ret_fd)
{
	struct stat st;

	if (mkdirat(at, path, 0700) < 0 && errno != EEXIST)
		return -errno;
	cleanup_close int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Made before us by somebody who may write in its parent, a directory like /tmp, it is his: the queue in
 * it would be too, and with it everybody's rights. The owner of the parent could exchange it in any case,
 * and on a filesystem without owners is everybody. */
static int check_owner(int dirfd)
{
	struct stat st, parent;

	if (fstat(dirfd, &st) < 0 || fstatat(dirfd, "..", &parent, 0) < 0)
		return -errno;
	return st.st_uid == geteuid() || st.st_uid == parent.st_uid ? 0 : -EPERM;
}

/* The names of the area and of what is in it: all that is made durable later hangs on them. Always, since
 * who made them may have been killed before this. */
static int sync_names(int dirfd)
{
	int r = io_fsync_dir(dirfd, "..");

	if (r == -EACCES) /* to be passed through, not to be read */
		r = syncfs(dirfd) < 0 ? -errno : 0;
	return r < 0 ? r : io_fsync_dir(dirfd, ".");
}

int blobs_open(const char *staging, struct blobs **ret, pid_t *ret_pid)
{
	cleanup_close int dirfd = -1, lockfd = -1, blobsfd = -1;
	struct stat st;
	int r = open_private_dir(AT_FDCWD, staging, &dirfd);

	if (r == 0)
		r = check_owner(dirfd);
	if (r == 0)
		r = take_lock(dirfd, &lockfd, ret_pid);
	if (r == 0)
		r = open_private_dir(dirfd, "blobs", &blobsfd);
	if (r == 0)
		r = sync_names(dirfd);
	if (r < 0)
		return r;
	if (fstat(blobsfd, &st) < 0)
		return -errno;

	struct blobs *b = malloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	*b = (struct blobs){ .dev = st.st_dev, .uncached = writer_can_uncached(lockfd) };
	b->dirfd = take_fd(&dirfd);
	b->lockfd = take_fd(&lockfd);
	*ret = b;
	return 0;
}

int blobs_claim(const char *destination, int *ret_fd, pid_t *ret_pid)
{
	cleanup_close int parent = open(destination, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int dirfd = -1;
	int r = parent < 0 ? -errno : open_private_dir(parent, ".xferfs", &dirfd);

	if (r == 0)
		r = check_owner(dirfd);
	return r < 0 ? r : take_lock(dirfd, ret_fd, ret_pid);
}

void blobs_close(struct blobs *b)
{
	if (!b)
		return;
	close(b->lockfd);
	close(b->dirfd);
	free(b);
}

int blobs_dirfd(const struct blobs *b)
{
	return b->dirfd;
}

bool blobs_uncached(const struct blobs *b)
{
	return b->uncached;
}

dev_t blobs_dev(const struct blobs *b)
{
	return b->dev;
}

/* --- one blob ---------------------------------------------------------------------------------- */

/* "blobs/SERIAL" or "blobs/SERIAL/SHARD": where FILE's blob is. */
static void dir_path(uint64_t serial, uint32_t file, char ret[BLOB_PATH_LEN])
{
	int n = snprintf(ret, BLOB_PATH_LEN, "blobs/%" PRIu64, serial);

	if (file >= BLOB_SHARD)
		snprintf(ret + n, BLOB_PATH_LEN - (size_t)n, "/%" PRIu32, file / BLOB_SHARD);
}

void blob_path(uint64_t serial, uint32_t file, uint32_t generation, char ret[BLOB_PATH_LEN])
{
	dir_path(serial, file, ret);
	size_t n = strlen(ret);
	snprintf(ret + n, BLOB_PATH_LEN - n, "/%" PRIu32 ".%" PRIu32, file, generation);
}

static void job_path(uint64_t serial, char ret[BLOB_PATH_LEN])
{
	dir_path(serial, 0, ret);
}

/* "7.0" and no other spelling, so that a name and its numbers are one to one. */
static bool parse_blob_name(const char *name, uint32_t *ret_file, uint32_t *ret_generation)
{
	char again[BLOB_PATH_LEN];
	uint32_t file, generation;

	if (sscanf(name, "%" SCNu32 ".%" SCNu32, &file, &generation) != 2)
		return false;
	snprintf(again, sizeof(again), "%" PRIu32 ".%" PRIu32, file, generation);
	if (strcmp(again, name) != 0)
		return false;
	*ret_file = file;
	*ret_generation = generation;
	return true;
}

static int make_dirs(const struct blobs *b, uint64_t serial, uint32_t file)
{
	char path[BLOB_PATH_LEN];

	job_path(serial, path);
	if (mkdirat(b->dirfd, path, 0700) < 0 && errno != EEXIST)
		return -errno;
	dir_path(serial, file, path);
	return mkdirat(b->dirfd, path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* A blob that a complete gave to a user, and that could not be placed then, he may still have open, with a lease
 * on it (fcntl(2), F_SETLEASE): the open of another waits for him to give that back, up to lease-break-time. Not
 * one with O_NONBLOCK, which else means nothing to a regular file. */
#define BLOB_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

int blob_open(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation, bool anew, int *ret_fd)
{
	int flags = O_RDWR | O_CREAT | BLOB_FLAGS | (anew ? O_TRUNC : 0);
	char path[BLOB_PATH_LEN];

	blob_path(serial, file, generation, path);
	int fd = openat(b->dirfd, path, flags, BLOB_MODE);
	if (fd < 0 && errno == ENOENT) {
		/* The first blob of its directory; only then is that looked at. */
		int r = make_dirs(b, serial, file);
		if (r < 0)
			return r;
		fd = openat(b->dirfd, path, flags, BLOB_MODE);
	}
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int blob_open_read(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation, int *ret_fd)
{
	char path[BLOB_PATH_LEN];

	blob_path(serial, file, generation, path);
	int fd = openat(b->dirfd, path, O_RDONLY | BLOB_FLAGS);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int blob_unlink(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation)
{
	char path[BLOB_PATH_LEN];

	blob_path(serial, file, generation, path);
	return unlinkat(b->dirfd, path, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

int blob_stat(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation, struct stat *ret)
{
	char path[BLOB_PATH_LEN];

	blob_path(serial, file, generation, path);
	return fstatat(b->dirfd, path, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static bool shard_is_new(const uint32_t *files, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (files[k] / BLOB_SHARD == files[i] / BLOB_SHARD)
			return false;
	return true;
}

int blobs_sync_names(const struct blobs *b, uint64_t serial, const uint32_t *files, size_t n)
{
	char path[BLOB_PATH_LEN];
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (files[i] < BLOB_SHARD || !shard_is_new(files, i))
			continue;
		dir_path(serial, files[i], path);
		r = io_fsync_dir(b->dirfd, path);
	}
	/* The directories' own names: nothing is left to write when they were synced before. */
	job_path(serial, path);
	if (r == 0)
		r = io_fsync_dir(b->dirfd, path);
	return r < 0 ? r : io_fsync_dir(b->dirfd, "blobs");
}

/* What was found before the room ran out is given back, or a file that cannot fit would keep all others, and
 * the queue itself, from the disk. */
static int give_back(int fd, int err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || ftruncate(fd, st.st_size) < 0)
		return -errno;
	return err;
}

int blob_reserve(int fd, uint64_t size)
{
	struct statfs fs;

	if (size == 0 || size > INT64_MAX)
		return 0;
	/* In memory there is nothing to lay out, and all of it would be made at once: a third of a second for a
	 * GiB, in which no connection of the worker is served. */
	if (fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		return fs.f_blocks > 0 && fs.f_bavail < size / (uint64_t)fs.f_bsize ? -ENOSPC : 0;
	/* The size stays what was written: a blob cut short must never look whole. */
	while (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0) {
		if (errno == EINTR)
			continue;
		return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL ? 0 : give_back(fd, -errno);
	}
	return 0;
}

/* --- many blobs -------------------------------------------------------------------------------- */

static int open_dir(int at, const char *path, DIR **ret)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	*ret = dir;
	return 0;
}

DEFINE_CLEANUP(DIR *, closedir)

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* All files in the directory PATH, then it itself; of a job's directory: with its shards (DEPTH 1). */
static int drop_dir(int at, const char *path, int depth, unsigned *leftovers)
{
	cleanup(closedir) DIR *dir = NULL;
	unsigned before = *leftovers;
	const struct dirent *e;
	int r = open_dir(at, path, &dir);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	while ((e = readdir(dir))) {
		if (is_dots(e->d_name) || unlinkat(dirfd(dir), e->d_name, 0) == 0 || errno == ENOENT)
			continue;
		/* EISDIR, or EPERM as POSIX has it */
		if (depth == 0 || drop_dir(dirfd(dir), e->d_name, depth - 1, leftovers) < 0)
			++*leftovers;
	}
	if (unlinkat(at, path, AT_REMOVEDIR) < 0 && errno != ENOENT && *leftovers == before)
		return -errno;
	return 0;
}

int blobs_drop(const struct blobs *b, uint64_t serial, unsigned *ret_leftovers)
{
	char path[BLOB_PATH_LEN];
	unsigned leftovers = 0;

	job_path(serial, path);
	int r = drop_dir(b->dirfd, path, 1, &leftovers);
	if (r < 0)
		return r;
	*ret_leftovers = leftovers;
	return 0;
}

struct sweep {
	bool (*keep)(void *arg, uint64_t serial, uint32_t file, uint32_t generation);
	void *arg;
	uint64_t serial;
	unsigned swept;
	uint64_t bytes;
};

static void sweep_blob(int at, const char *name, struct sweep *s)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(at, name, 0) == 0) {
		s->swept++;
		s->bytes += (uint64_t)st.st_blocks * 512;
	}
}

/* SHARD 0: the job's directory, which the others are in. */
static void sweep_dir(int at, const char *name, uint64_t shard, struct sweep *s)
{
	cleanup(closedir) DIR *dir = NULL;
	uint32_t file, generation;
	const struct dirent *e;
	uint64_t below;

	if (open_dir(at, name, &dir) < 0)
		return;
	while ((e = readdir(dir))) {
		if (shard == 0 && parse_u64(e->d_name, &below) == 0 && below > 0)
			sweep_dir(dirfd(dir), e->d_name, below, s);
		else if (parse_blob_name(e->d_name, &file, &generation) && file / BLOB_SHARD == shard &&
			 !s->keep(s->arg, s->serial, file, generation))
			sweep_blob(dirfd(dir), e->d_name, s);
	}
	unlinkat(at, name, AT_REMOVEDIR); /* only if nothing is left in it */
}

int blobs_sweep(const struct blobs *b, bool (*keep)(void *arg, uint64_t serial, uint32_t file, uint32_t generation),
	void *arg, unsigned *ret_swept, uint64_t *ret_bytes)
{
	struct sweep s = { .keep = keep, .arg = arg };
	cleanup(closedir) DIR *dir = NULL;
	const struct dirent *e;
	int r = open_dir(b->dirfd, "blobs", &dir);

	if (r < 0)
		return r;
	while ((e = readdir(dir))) {
		if (parse_u64(e->d_name, &s.serial) == 0)
			sweep_dir(dirfd(dir), e->d_name, 0, &s);
	}
	*ret_swept = s.swept;
	*ret_bytes = s.bytes;
	return 0;
}
