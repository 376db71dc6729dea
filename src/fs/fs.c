/* The mount: start, the worker threads, stop.
 *
 * The loop is our own and not libfuse's, which in 3.14 cannot be made to return while nothing comes
 * from the kernel. Each worker sleeps in epoll on the session and on `quit_fd`; the session's descriptor
 * does not block, and EPOLLEXCLUSIVE wakes one worker per request.
 *
 * Stopping has an order. fs_exit wakes fs_run. The notify thread is joined while the workers still
 * serve, for it may be waiting for one of them (fs/notify.c). Then the workers go; the core answers what is
 * parked; the session is unmounted and destroyed when nobody can use it any more.
 */
#include "fs/private.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define WORKERS 8 /* none ever waits; more only help where there are more processors */

extern char **environ;

/* --- the operations ----------------------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	/* Requests are small: reading them by splice(2) costs more calls than it saves copies. */
	conn->want &= ~(unsigned)FUSE_CAP_SPLICE_READ;
	atomic_store(&fs->inited, true);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	fuse_reply_none(req);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_release,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.create = op_create,
	.poll = op_poll,
};

/* --- mounting ----------------------------------------------------------------------------------- */

/* What libfuse says when it fails, for the one line that the user gets. It offers no argument. */
static _Thread_local char mount_complaint[512];
static _Thread_local bool mount_listens;

static void on_fuse_log(enum fuse_log_level level, const char *format, va_list args)
{
	char text[512];
	size_t len;

	vsnprintf(text, sizeof(text), format, args);
	len = strlen(text);
	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (mount_listens && level <= FUSE_LOG_ERR)
		memcpy(mount_complaint, text, len + 1);
	else if (level <= FUSE_LOG_ERR)
		log_error("%s", text);
	else
		log_debug("%s", text);
}

static int run_fusermount(const char *mountpoint)
{
	char *argv[] = { "fusermount3", "-u", "-z", "-q", "--", (char *)mountpoint, NULL };
	pid_t pid;
	int status;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* A mountpoint left by a daemon that died answers ENOTCONN to all that the kernel does not keep. */
static int clear_dead_mount(const char *mountpoint)
{
	struct statvfs st;

	if (statvfs(mountpoint, &st) == 0 || errno != ENOTCONN)
		return 0;
	if (umount2(mountpoint, MNT_DETACH) == 0)
		return 0;
	return run_fusermount(mountpoint);
}

static int check_mountpoint(const char *mountpoint, char **ret_reason)
{
	struct stat st;
	int r = clear_dead_mount(mountpoint);

	if (r < 0) {
		if (asprintf(ret_reason, "%s: cannot clear the dead mount there", mountpoint) < 0)
			*ret_reason = NULL;
		return r;
	}
	r = stat(mountpoint, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (r < 0 && asprintf(ret_reason, "%s: %s", mountpoint, strerror(-r)) < 0)
		*ret_reason = NULL;
	return r;
}

static bool has_option(const char *options, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = options; (at = strstr(at, word)); at += len)
		if ((at == options || at[-1] == ',') && (at[len] == '\0' || at[len] == ','))
			return true;
	return false;
}

static int mount_options(const struct fs_options *options, struct buf *out)
{
	buf_adds(out, "subtype=xferfs,default_permissions,fsname=");
	for (const char *at = options->destination; *at; at++) {
		if (*at == ',' || *at == '\\')
			buf_addc(out, '\\');
		buf_addc(out, *at);
	}
	if (options->mount_options && *options->mount_options)
		buf_printf(out, ",%s", options->mount_options);
	return out->failed ? -ENOMEM : 0;
}

static int session_open(struct fs *fs, const struct fs_options *options)
{
	cleanup_buf struct buf text = { 0 };
	char *argv[] = { "xferfs", "-o", NULL, "-d", NULL };
	struct fuse_args args = { .argc = options->debug ? 4 : 3, .argv = argv };
	int r = mount_options(options, &text);

	if (r < 0)
		return r;
	argv[2] = text.data;
	fs->session = fuse_session_new(&args, &operations, sizeof(operations), fs);
	fuse_opt_free_args(&args);
	if (!fs->session)
		return -EINVAL;
	if (fuse_session_mount(fs->session, fs->mountpoint) != 0)
		return errno ? -errno : -EIO;
	fs->mounted = true;
	/* Neither may a user's notify command inherit it, nor a worker sleep in it. */
	if (fcntl(fuse_session_fd(fs->session), F_SETFD, FD_CLOEXEC) < 0 ||
		fcntl(fuse_session_fd(fs->session), F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* The session, with the reason in libfuse's words when it fails. */
static int session_mount(struct fs *fs, const struct fs_options *options, char **ret_reason)
{
	int r;

	mount_complaint[0] = '\0';
	mount_listens = true;
	fuse_set_log_func(on_fuse_log);
	r = session_open(fs, options);
	mount_listens = false;
	if (r < 0 && asprintf(ret_reason, "cannot mount on %s: %s", fs->mountpoint,
		mount_complaint[0] ? mount_complaint : strerror(-r)) < 0)
		*ret_reason = NULL;
	return r;
}

/* Closes the connection under libfuse: a pipe that nobody reads, in place of the descriptor, looks to
 * fuse_session_unmount like a connection that was severed, and it unmounts nothing. */
static void sever(int session_fd)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	close(ends[0]);
	dup3(ends[1], session_fd, O_CLOEXEC);
	close(ends[1]);
}

/* With the connection closed, what is left of the mount, if it was not unmounted before, is a dead one and
 * is cleared as such. libfuse would leave it after `umount -f` of a busy mount, and would unmount what
 * somebody else has mounted there since. */
static void session_close(struct fs *fs)
{
	if (!fs->session)
		return;
	if (fs->mounted) {
		sever(fuse_session_fd(fs->session));
		fuse_session_unmount(fs->session);
	}
	fuse_session_destroy(fs->session);
	if (fs->mounted && clear_dead_mount(fs->mountpoint) < 0)
		log_warning("%s: cannot be unmounted", fs->mountpoint);
}

static void fs_free(struct fs *fs)
{
	notify_free(fs->notify);
	session_close(fs);
	if (fs->exit_fd >= 0)
		close(fs->exit_fd);
	if (fs->quit_fd >= 0)
		close(fs->quit_fd);
	pthread_mutex_destroy(&fs->lock);
	free(fs->mountpoint);
	free(fs->destination);
	free(fs);
}
DEFINE_CLEANUP(struct fs *, fs_free)

int fs_mount(const struct fs_options *options, struct core *core, struct fs **ret, char **ret_reason)
{
	cleanup(fs_free) struct fs *fs = calloc(1, sizeof(*fs));
	bool strangers = options->mount_options && has_option(options->mount_options, "allow_other");
	int r;

	*ret_reason = NULL;
	if (!fs)
		return -ENOMEM;
	*fs = (struct fs) {
		.core = core,
		.mountpoint = strdup(options->mountpoint),
		.destination = strdup(options->destination),
		/* Strangers make jobs as they make files in /tmp, and cannot remove each other's. */
		.root_mode = S_IFDIR | (strangers && geteuid() == 0 ? 01777 : 0755),
		.daemon_gid = getegid(),
		.started = (time_t)clock_wall(),
		.exit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	pthread_mutex_init(&fs->lock, NULL);
	if (!fs->mountpoint || !fs->destination)
		return -ENOMEM;
	if (fs->exit_fd < 0 || fs->quit_fd < 0)
		return -EMFILE;
	r = check_mountpoint(fs->mountpoint, ret_reason);
	if (r == 0)
		r = session_mount(fs, options, ret_reason);
	if (r == 0)
		r = notify_start(fs, &fs->notify);
	if (r == 0)
		r = resumer_start(&fs->resumer);
	if (r < 0)
		return r;
	*ret = take_ptr(fs);
	return 0;
}

static void on_changed(void *arg, uint64_t serial, const char *name, unsigned what)
{
	struct fs *fs = arg;

	forget_job_dirs(fs, serial);
	notify_changed(fs->notify, serial, name, what);
}

struct core_hooks fs_hooks(struct fs *fs)
{
	return (struct core_hooks) { .changed = on_changed, .arg = fs };
}

/* --- serving ------------------------------------------------------------------------------------ */

/* An eventfd as a switch: once on it stays so, and all who wait on it wake. Async-signal-safe. */
static void switch_on(int fd)
{
	ssize_t n = write(fd, &(uint64_t) { 1 }, sizeof(uint64_t));

	(void)n; /* EAGAIN: it is on */
}

static int worker_epoll(struct fs *fs)
{
	cleanup_close int fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event session = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = fuse_session_fd(fs->session) };
	struct epoll_event quit = { .events = EPOLLIN, .data.fd = fs->quit_fd };

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, session.data.fd, &session) < 0 ||
		epoll_ctl(fd, EPOLL_CTL_ADD, quit.data.fd, &quit) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Serves what waits. False: the file system was unmounted. */
static bool serve(struct fs *fs, struct fuse_buf *buf)
{
	int r;

	while ((r = fuse_session_receive_buf(fs->session, buf)) > 0) {
		fuse_session_process_buf(fs->session, buf);
		if (atomic_exchange(&fs->inited, false) && fs->ready)
			fs->ready(fs->ready_arg);
	}
	return r == -EAGAIN || r == -EINTR;
}

static void *worker(void *arg)
{
	struct fs *fs = arg;
	struct fuse_buf buf = { 0 };
	int fd = worker_epoll(fs);
	bool mounted = fd >= 0;

	pthread_setname_np(pthread_self(), "xferfs-fs");
	if (fd < 0)
		log_error("cannot serve: %s", strerror(-fd));
	while (mounted) {
		struct epoll_event event;

		if (epoll_wait(fd, &event, 1, -1) < 0)
			continue;
		if (event.data.fd == fs->quit_fd)
			break;
		mounted = serve(fs, &buf);
	}
	if (!mounted)
		switch_on(fs->exit_fd);
	free(buf.mem);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void await_exit(struct fs *fs)
{
	struct pollfd poll_exit = { .fd = fs->exit_fd, .events = POLLIN };

	while (poll(&poll_exit, 1, -1) != 1)
		;
}

int fs_run(struct fs *fs, void (*ready)(void *arg), void *arg)
{
	pthread_t threads[WORKERS];
	size_t n = 0;
	int r = 0;

	fs->ready = ready;
	fs->ready_arg = arg;
	for (; r == 0 && n < WORKERS; n += r == 0)
		r = -pthread_create(&threads[n], NULL, worker, fs);
	/* Fewer workers serve as well. */
	if (n > 0) {
		r = 0;
		await_exit(fs);
		notify_stop(fs->notify);
	}
	switch_on(fs->quit_fd);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	return r;
}

void fs_exit(struct fs *fs)
{
	switch_on(fs->exit_fd);
}

void fs_unmount(struct fs *fs)
{
	if (!fs)
		return;
	/* Its last reads look into the queue, and answer: before the core and the session go. */
	resumer_stop(fs->resumer);
	/* Those whose RELEASE the kernel did not send any more. */
	while (fs->handles) {
		fs->handles->refs = 1;
		handle_put(fs->handles);
	}
	fs_free(fs);
}
