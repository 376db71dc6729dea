/* Preloaded into a daemon (LD_PRELOAD): logs all that it does to the tree XFERFS_TREE to the file
 * XFERFS_OPLOG (oplog.h). SQLite's writing passes here too, for it goes through the C library.
 *
 * One lock is held over each call that changes something and its record, so their orders agree; syncs,
 * which take long, run side by side. With XFERFS_OPLOG_COPY linkat(2) says EXDEV: as between two
 * filesystems, files must then be copied. XFERFS_OPLOG_KILL is a FIFO: opening it kills the daemon.
 */
#include "oplog.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOG_FD 900
#define LOG_DATA_MAX (64u << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static dev_t tree;
static bool copies;
static uint64_t syncs; /* lock */

/* The C library's own function of that name. */
#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		abort();
	return f;
}

/* Whoever opens the FIFO kills the daemon, but not between a call and its record. */
static void *await_kill(void *path)
{
	int fd = NEXT(open64)(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		abort();
	pthread_mutex_lock(&lock);
	kill(getpid(), SIGKILL);
	return NULL;
}

static void start_await_kill(char *path)
{
	pthread_t thread;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, await_kill, path) != 0)
		abort();
	pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

__attribute__((constructor)) static void begin(void)
{
	const char *log = getenv("XFERFS_OPLOG"), *root = getenv("XFERFS_TREE");
	struct stat st;
	int fd;

	if (!log || !root || stat(root, &st) < 0)
		return;
	fd = NEXT(open64)(log, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		abort();
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD);
	close(fd);
	tree = st.st_dev;
	copies = getenv("XFERFS_OPLOG_COPY");
	if (getenv("XFERFS_OPLOG_KILL"))
		start_await_kill(getenv("XFERFS_OPLOG_KILL"));
}

/* --- records (under the lock) ------------------------------------------------------------------ */

static void put(struct op *op, const char *name, const char *name2, const void *data)
{
	struct iovec parts[4] = {
		{ op, sizeof(*op) },
		{ (char *)name, name ? strlen(name) : 0 },
		{ (char *)name2, name2 ? strlen(name2) : 0 },
		{ (void *)data, op->len },
	};
	size_t all = 0;

	op->namelen = (uint16_t)parts[1].iov_len;
	op->name2len = (uint16_t)parts[2].iov_len;
	for (size_t i = 0; i < 4; i++)
		all += parts[i].iov_len;
	if (writev(log_fd, parts, 4) != (ssize_t)all)
		abort(); /* a log with a gap is worth nothing */
}

/* Whether FD is a file or directory of the tree's filesystem; what else is on it replay.c leaves out. */
static bool ours(int fd, struct stat *st)
{
	return log_fd >= 0 && fstat(fd, st) == 0 && st->st_dev == tree && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode));
}

/* The directory that PATH's last component is in; that component. */
static bool parent_of(int dirfd, const char *path, uint64_t *ret_dir, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];
	struct stat st;

	if (log_fd < 0)
		return false;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	if (fstatat(dirfd, dir, &st, 0) < 0 || st.st_dev != tree)
		return false;
	*ret_dir = st.st_ino;
	*ret_name = slash ? slash + 1 : path;
	return true;
}

static void put_new(enum op_kind kind, const struct stat *st, uint64_t dir, const char *name)
{
	struct op op = { .kind = kind, .ino = st->st_ino, .dir = dir, .mode = st->st_mode & 07777, .uid = st->st_uid,
		.gid = st->st_gid };

	put(&op, name, NULL, NULL);
}

static void put_meta(int fd)
{
	struct op op = { .kind = OP_META };
	struct stat st;

	if (!ours(fd, &st))
		return;
	op.ino = st.st_ino;
	op.mode = st.st_mode & 07777;
	op.uid = st.st_uid;
	op.gid = st.st_gid;
	op.mtime = st.st_mtim.tv_sec;
	put(&op, NULL, NULL, NULL);
}

static void put_data(int fd, uint64_t off, const void *data, size_t len)
{
	struct op op = { .kind = OP_WRITE, .off = off, .len = (uint32_t)len };
	struct stat st;

	if (!ours(fd, &st) || !S_ISREG(st.st_mode))
		return;
	if (len > LOG_DATA_MAX)
		abort();
	op.ino = st.st_ino;
	put(&op, NULL, NULL, data);
}

static void put_vector(int fd, const struct iovec *v, uint64_t off, size_t len)
{
	for (; len; v++) {
		size_t part = v->iov_len < len ? v->iov_len : len;

		put_data(fd, off, v->iov_base, part);
		off += part;
		len -= part;
	}
}

/* What the kernel has written by itself. */
static void put_copied(int fd, off64_t off, size_t len)
{
	char *data = malloc(len + 1);

	if (!data || pread(fd, data, len, off) != (ssize_t)len)
		abort();
	put_data(fd, (uint64_t)off, data, len);
	free(data);
}

static void put_size(int fd)
{
	struct op op = { .kind = OP_TRUNCATE };
	struct stat st;

	if (!ours(fd, &st))
		return;
	op.ino = st.st_ino;
	op.off = (uint64_t)st.st_size;
	put(&op, NULL, NULL, NULL);
}

/* CALL under the lock, and RECORD if it succeeded; its value and errno are the function's. */
#define LOGGED(call, record) ({ \
	int state_; \
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_); \
	pthread_mutex_lock(&lock); \
	__auto_type r_ = (call); \
	int err_ = errno; \
	if (r_ >= 0) { \
		record; \
	} \
	pthread_mutex_unlock(&lock); \
	pthread_setcancelstate(state_, NULL); \
	errno = err_; \
	r_; \
})

/* --- opening ------------------------------------------------------------------------------------ */

static void put_open(int fd, int flags, bool was_there, uint64_t dir, const char *name)
{
	struct stat st;

	if (!ours(fd, &st))
		return;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		put_new(OP_TEMP, &st, 0, NULL);
	else if (flags & O_CREAT && !was_there)
		put_new(OP_CREATE, &st, dir, name);
	else if (flags & O_TRUNC)
		put_size(fd);
}

static int open_logged(int dirfd, const char *path, int flags, mode_t mode)
{
	uint64_t dir = 0;
	const char *name = NULL;
	struct stat st;
	bool changes = flags & (O_CREAT | O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE, known, was_there = true;

	if (!changes || log_fd < 0)
		return NEXT(openat64)(dirfd, path, flags, mode);
	pthread_mutex_lock(&lock);
	known = parent_of(dirfd, path, &dir, &name);
	if (known)
		was_there = fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	int fd = NEXT(openat64)(dirfd, path, flags, mode), err = errno;
	if (fd >= 0 && known)
		put_open(fd, flags, was_there, dir, name);
	pthread_mutex_unlock(&lock);
	errno = err;
	return fd;
}

static mode_t mode_argument(int flags, va_list args)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	mode_t mode = mode_argument(flags, args);
	va_end(args);
	return open_logged(AT_FDCWD, path, flags, mode);
}

int openat64(int dirfd, const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	mode_t mode = mode_argument(flags, args);
	va_end(args);
	return open_logged(dirfd, path, flags, mode);
}

/* --- contents ----------------------------------------------------------------------------------- */

ssize_t write(int fd, const void *data, size_t len)
{
	struct stat st;

	if (!ours(fd, &st) || !S_ISREG(st.st_mode))
		return NEXT(write)(fd, data, len);
	return LOGGED(NEXT(write)(fd, data, len), put_data(fd, (uint64_t)lseek(fd, 0, SEEK_CUR) - (uint64_t)r_, data,
		(size_t)r_));
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off)
{
	return LOGGED(NEXT(pwrite64)(fd, data, len, off), put_data(fd, (uint64_t)off, data, (size_t)r_));
}

ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t off, int flags)
{
	return LOGGED(NEXT(pwritev64v2)(fd, v, n, off, flags), put_vector(fd, v, (uint64_t)off, (size_t)r_));
}

int ftruncate64(int fd, off64_t size)
{
	return LOGGED(NEXT(ftruncate64)(fd, size), put_size(fd));
}

/* Space that is reserved behind the end is no content; elsewhere it must not be asked for. */
int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	if (log_fd >= 0 && mode != FALLOC_FL_KEEP_SIZE)
		abort();
	return NEXT(fallocate64)(fd, mode, off, len);
}

ssize_t copy_file_range(int in, off64_t *in_off, int out, off64_t *out_off, size_t len, unsigned flags)
{
	off64_t at = out_off ? *out_off : 0;

	if (log_fd >= 0 && !out_off)
		abort();
	return LOGGED(NEXT(copy_file_range)(in, in_off, out, out_off, len, flags), put_copied(out, at, (size_t)r_));
}

/* Reflinks would be content that is not seen here. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;

	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	struct stat st;
	if (ours(fd, &st)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return NEXT(ioctl)(fd, request, arg);
}

/* --- attributes --------------------------------------------------------------------------------- */

int fchmod(int fd, mode_t mode)
{
	return LOGGED(NEXT(fchmod)(fd, mode), put_meta(fd));
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	return LOGGED(NEXT(fchown)(fd, uid, gid), put_meta(fd));
}

int futimens(int fd, const struct timespec times[2])
{
	return LOGGED(NEXT(futimens)(fd, times), put_meta(fd));
}

/* --- names -------------------------------------------------------------------------------------- */

static void put_made(enum op_kind kind, int dirfd, const char *path)
{
	const char *name;
	struct stat st;
	uint64_t dir;

	if (parent_of(dirfd, path, &dir, &name) && fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		put_new(kind, &st, dir, name);
}

static void put_gone(int dirfd, const char *path)
{
	struct op op = { .kind = OP_UNLINK };
	const char *name;

	if (parent_of(dirfd, path, &op.dir, &name))
		put(&op, name, NULL, NULL);
}

static void put_renamed(enum op_kind kind, int from_dir, const char *from, int to_dir, const char *to)
{
	const char *name = "", *name2 = "";
	struct op op = { .kind = kind };

	if (!parent_of(from_dir, from, &op.dir, &name) || !parent_of(to_dir, to, &op.dir2, &name2))
		return;
	put(&op, name, name2, NULL);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	return LOGGED(NEXT(mkdirat)(dirfd, path, mode), put_made(OP_MKDIR, dirfd, path));
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	if (copies) {
		errno = EXDEV;
		return -1;
	}
	return LOGGED(NEXT(linkat)(from_dir, from, to_dir, to, flags), put_made(OP_LINK, to_dir, to));
}

int unlinkat(int dirfd, const char *path, int flags)
{
	return LOGGED(NEXT(unlinkat)(dirfd, path, flags), put_gone(dirfd, path));
}

int unlink(const char *path)
{
	return LOGGED(NEXT(unlink)(path), put_gone(AT_FDCWD, path));
}

int rename(const char *from, const char *to)
{
	return LOGGED(NEXT(rename)(from, to), put_renamed(OP_RENAME, AT_FDCWD, from, AT_FDCWD, to));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return LOGGED(NEXT(renameat)(from_dir, from, to_dir, to), put_renamed(OP_RENAME, from_dir, from, to_dir, to));
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return LOGGED(NEXT(renameat2)(from_dir, from, to_dir, to, flags),
		put_renamed(flags & RENAME_EXCHANGE ? OP_EXCHANGE : OP_RENAME, from_dir, from, to_dir, to));
}

/* --- syncs -------------------------------------------------------------------------------------- */

static uint64_t sync_begins(void)
{
	struct op op = { .kind = OP_SYNC };

	if (log_fd < 0)
		return 0;
	pthread_mutex_lock(&lock);
	op.off = ((uint64_t)getpid() << 32) + ++syncs;
	put(&op, NULL, NULL, NULL);
	pthread_mutex_unlock(&lock);
	return op.off;
}

static int synced(enum op_kind kind, int fd, uint64_t number, int r)
{
	struct op op = { .kind = kind, .off = number };
	int err = errno;
	struct stat st;

	if (r == 0 && ours(fd, &st)) {
		op.ino = st.st_ino;
		pthread_mutex_lock(&lock);
		put(&op, NULL, NULL, NULL);
		pthread_mutex_unlock(&lock);
	}
	errno = err;
	return r;
}

int fsync(int fd)
{
	uint64_t number = sync_begins();

	return synced(OP_FSYNCED, fd, number, NEXT(fsync)(fd));
}

int fdatasync(int fd)
{
	uint64_t number = sync_begins();

	return synced(OP_DATASYNCED, fd, number, NEXT(fdatasync)(fd));
}

int syncfs(int fd)
{
	uint64_t number = sync_begins();

	return synced(OP_SYNCEDFS, fd, number, NEXT(syncfs)(fd));
}
