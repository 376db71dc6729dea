/* passthrough DIRECTORY MOUNTPOINT
 *
 * The least that a FUSE filesystem can do, for comparison: two files, `plain` and `durable`, which pass
 * reads and writes on to files of the same names in DIRECTORY; `durable` syncs each write, as a command
 * to xferfs is synced before it is answered. Low-level API, libfuse's threads and defaults, direct_io.
 */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT 1.0
#define FIRST_FILE 2

static const char *const names[] = { "plain", "durable" };
static int folder;

static bool attributes(fuse_ino_t ino, struct stat *st)
{
	if (ino == FUSE_ROOT_ID)
		return fstat(folder, st) == 0;
	return fstatat(folder, names[ino - FIRST_FILE], st, 0) == 0;
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .attr_timeout = TIMEOUT, .entry_timeout = TIMEOUT };

	(void)parent;
	for (fuse_ino_t i = 0; i < 2; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		e.ino = FIRST_FILE + i;
		if (attributes(e.ino, &e.attr)) {
			e.attr.st_ino = e.ino;
			fuse_reply_entry(req, &e);
			return;
		}
	}
	fuse_reply_err(req, ENOENT);
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (attributes(ino, &st))
		fuse_reply_attr(req, &st, TIMEOUT);
	else
		fuse_reply_err(req, errno);
}

static void setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	(void)attr;
	(void)to_set; /* O_TRUNC, which changes nothing in files of one value */
	getattr(req, ino, fi);
}

static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int fd = openat(folder, names[ino - FIRST_FILE], (fi->flags & O_ACCMODE) | O_CLOEXEC);

	if (fd < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	fi->fh = (uint64_t)fd;
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	char text[4096];
	ssize_t n = pread((int)fi->fh, text, size < sizeof(text) ? size : sizeof(text), off);

	(void)ino;
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, text, (size_t)n);
}

static void write_file(fuse_req_t req, fuse_ino_t ino, const char *text, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	ssize_t n = pwrite((int)fi->fh, text, size, off);

	if (n >= 0 && ino == FIRST_FILE + 1 && fdatasync((int)fi->fh) < 0)
		n = -1;
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, (size_t)n);
}

static void release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	close((int)fi->fh);
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = lookup, .getattr = getattr, .setattr = setattr,
	.open = open_file, .read = read_file, .write = write_file, .release = release,
};

int main(int argc, char **argv)
{
	char *args_v[] = { argv[0], NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, args_v);
	struct fuse_session *session;
	int r = 1;

	if (argc != 3)
		return 2;
	folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	session = folder < 0 ? NULL : fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session)
		return 1;
	if (fuse_set_signal_handlers(session) == 0) {
		if (fuse_session_mount(session, argv[2]) == 0) {
			struct fuse_loop_config config = { .clone_fd = 0, .max_idle_threads = 10 };

			r = fuse_session_loop_mt(session, &config);
			fuse_session_unmount(session);
		}
		fuse_remove_signal_handlers(session);
	}
	fuse_session_destroy(session);
	return r ? 1 : 0;
}
