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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct blobs {
	int dirfd;  /* of STAGING */
	int lockfd; /* holds the lock */
	dev_t dev;
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
	cleanup_close int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int blobs_open(const char *staging, struct blobs **ret, pid_t *ret_pid)
{
	cleanup_close int dirfd = -1, lockfd = -1, blobsfd = -1;
	struct stat st;
	int r = open_private_dir(AT_FDCWD, staging, &dirfd);

	if (r == 0)
		r = take_lock(dirfd, &lockfd, ret_pid);
	if (r == 0)
		r = open_private_dir(dirfd, "blobs", &blobsfd);
	if (r < 0)
		return r;
	if (fstat(blobsfd, &st) < 0)
		return -errno;

	struct blobs *b = malloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	*b = (struct blobs){ .dirfd = take_fd(&dirfd), .lockfd = take_fd(&lockfd), .dev = st.st_dev };
	*ret = b;
	return 0;
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

dev_t blobs_dev(const struct blobs *b)
{
	return b->dev;
}

/* --- one blob ---------------------------------------------------------------------------------- */

void blob_path(uint64_t serial, uint32_t file, uint32_t generation, char ret[BLOB_PATH_LEN])
{
	snprintf(ret, BLOB_PATH_LEN, "blobs/%" PRIu64 "/%" PRIu32 ".%" PRIu32, serial, file, generation);
}

static void job_path(uint64_t serial, char ret[BLOB_PATH_LEN])
{
	snprintf(ret, BLOB_PATH_LEN, "blobs/%" PRIu64, serial);
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

int blob_open(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation, bool create, int *ret_fd)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
	char path[BLOB_PATH_LEN], dir[BLOB_PATH_LEN];

	blob_path(serial, file, generation, path);
	int fd = openat(b->dirfd, path, flags, 0600);
	if (fd < 0 && errno == ENOENT && create) {
		/* The job's first blob; only then is its directory looked at. */
		job_path(serial, dir);
		if (mkdirat(b->dirfd, dir, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(b->dirfd, path, flags, 0600);
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
	int fd = openat(b->dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
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

int blobs_sync_dir(const struct blobs *b, uint64_t serial)
{
	char path[BLOB_PATH_LEN];

	job_path(serial, path);
	int r = io_fsync_dir(b->dirfd, path);
	/* The directory's own name: free of cost when it was synced before. */
	return r < 0 ? r : io_fsync_dir(b->dirfd, "blobs");
}

int blob_reserve(int fd, uint64_t size)
{
	if (size == 0 || size > INT64_MAX)
		return 0;
	/* The size stays what was written: a blob cut short must never look whole. */
	while (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0) {
		if (errno == EINTR)
			continue;
		return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL ? 0 : -errno;
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

int blobs_drop(const struct blobs *b, uint64_t serial, unsigned *ret_leftovers)
{
	cleanup(closedir) DIR *dir = NULL;
	char path[BLOB_PATH_LEN];
	unsigned leftovers = 0;
	const struct dirent *e;

	job_path(serial, path);
	int r = open_dir(b->dirfd, path, &dir);
	if (r == -ENOENT) {
		*ret_leftovers = 0;
		return 0;
	}
	if (r < 0)
		return r;
	while ((e = readdir(dir)))
		if (!is_dots(e->d_name) && unlinkat(dirfd(dir), e->d_name, 0) < 0 && errno != ENOENT)
			leftovers++;
	*ret_leftovers = leftovers;
	if (unlinkat(b->dirfd, path, AT_REMOVEDIR) < 0 && errno != ENOENT && leftovers == 0)
		return -errno;
	return 0;
}

struct sweep {
	bool (*keep)(void *arg, uint64_t serial, uint32_t file, uint32_t generation);
	void *arg;
	unsigned swept;
	uint64_t bytes;
};

static void sweep_job(int at, const char *name, uint64_t serial, struct sweep *s)
{
	cleanup(closedir) DIR *dir = NULL;
	uint32_t file, generation;
	const struct dirent *e;
	struct stat st;

	if (open_dir(at, name, &dir) < 0)
		return;
	while ((e = readdir(dir))) {
		if (!parse_blob_name(e->d_name, &file, &generation) || s->keep(s->arg, serial, file, generation))
			continue;
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (unlinkat(dirfd(dir), e->d_name, 0) == 0) {
			s->swept++;
			s->bytes += (uint64_t)st.st_blocks * 512;
		}
	}
	unlinkat(at, name, AT_REMOVEDIR); /* only if nothing is left in it */
}

int blobs_sweep(const struct blobs *b, bool (*keep)(void *arg, uint64_t serial, uint32_t file, uint32_t generation),
	void *arg, unsigned *ret_swept, uint64_t *ret_bytes)
{
	struct sweep s = { .keep = keep, .arg = arg };
	cleanup(closedir) DIR *dir = NULL;
	const struct dirent *e;
	uint64_t serial;
	int r = open_dir(b->dirfd, "blobs", &dir);

	if (r < 0)
		return r;
	while ((e = readdir(dir)))
		if (parse_u64(e->d_name, &serial) == 0)
			sweep_job(dirfd(dir), e->d_name, serial, &s);
	*ret_swept = s.swept;
	*ret_bytes = s.bytes;
	return 0;
}
