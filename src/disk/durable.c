/* fsync or syncfs (disk/durable.h), and the order SYNC. */
#include "disk/durable.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "disk/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void durable_init(struct durable *d, size_t count, int root)
{
	*d = (struct durable){ .many = count > DURABLE_FEW, .root = root };
}

static int put_off(struct durable *d, int fd, dev_t dev)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->fs[i].dev == dev)
			return 0;
	if (d->n == DURABLE_FILESYSTEMS)
		return syncfs(fd) < 0 ? -errno : 0;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	d->fs[d->n].dev = dev;
	d->fs[d->n++].fd = copy;
	return 0;
}

int durable_file(struct durable *d, int fd, dev_t dev)
{
	return d->many ? put_off(d, fd, dev) : io_fsync(fd);
}

int durable_dir(struct durable *d, int dirfd)
{
	cleanup_close int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == EACCES)
		return syncfs(d->root) < 0 ? -errno : 0;
	if (fd < 0)
		return -errno;
	return fstat(fd, &st) < 0 ? -errno : durable_file(d, fd, st.st_dev);
}

int durable_end(struct durable *d)
{
	int err = 0;

	for (size_t i = 0; i < d->n; i++) {
		if (syncfs(d->fs[i].fd) < 0 && err == 0)
			err = -errno;
		close(d->fs[i].fd);
	}
	d->n = 0;
	return err;
}

/* --- ORDER_SYNC -------------------------------------------------------------------------------- */

/* What PREPARE finds again needs no row of its own then. */
static void note_inode(struct order *o, struct blobs *blobs, struct order_file *f)
{
	struct stat st;

	if (blob_stat(blobs, o->serial, f->file, f->generation, &st) == 0)
		f->ino = st.st_ino;
}

static void sync_few(struct order *o, struct blobs *blobs)
{
	uint32_t files[DURABLE_FEW];
	int fds[DURABLE_FEW];

	/* Writing is begun for all before any is waited for: one commit of the journal for the lot. */
	for (size_t i = 0; i < o->nfiles; i++) {
		struct order_file *f = &o->files[i];

		files[i] = f->file;
		f->err = blob_open_read(blobs, o->serial, f->file, f->generation, &fds[i]);
		if (f->err == 0)
			sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	for (size_t i = 0; i < o->nfiles; i++) {
		struct order_file *f = &o->files[i];

		if (f->err < 0)
			continue;
		f->err = io_fdatasync(fds[i]);
		close(fds[i]);
	}
	int r = blobs_sync_names(blobs, o->serial, files, o->nfiles);
	for (size_t i = 0; i < o->nfiles && r < 0; i++)
		if (o->files[i].err == 0)
			o->files[i].err = r;
}

void sync_perform(struct order *o, struct blobs *blobs)
{
	for (size_t i = 0; i < o->nfiles; i++)
		note_inode(o, blobs, &o->files[i]);
	if (o->nfiles <= DURABLE_FEW) {
		sync_few(o, blobs);
		return;
	}
	int r = syncfs(blobs_dirfd(blobs)) < 0 ? -errno : 0;
	for (size_t i = 0; i < o->nfiles; i++)
		o->files[i].err = r;
}
