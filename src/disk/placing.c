/* Walking an order's files directory by directory, and small steps (disk/commit.h). */
#include "disk/commit.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "disk/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static size_t dirname_len(const char *path)
{
	return (size_t)(last_component(path) - path);
}

/* Equal means: in one directory. Names of one directory need no order among themselves but that of
 * the job, which `number` shows. */
static int compare_dirs(const char *a, const char *b)
{
	size_t la = dirname_len(a), lb = dirname_len(b);
	int c = memcmp(a, b, la < lb ? la : lb);

	return c ? c : (la > lb) - (la < lb);
}

static int compare(const void *pa, const void *pb, void *arg)
{
	const struct order_file *files = arg;
	size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
	int c = compare_dirs(files[a].path, files[b].path);

	return c ? c : (a > b) - (a < b);
}

int placing_init(struct placing *p, struct order *o, struct blobs *blobs, int root)
{
	*p = (struct placing){
		.o = o,
		.blobs = blobs,
		.root = root,
		.own = o->creds->uid == geteuid(),
		.tree = o->commit == COMMIT_TREE,
		.dirfd = -1,
		.scratch = -1,
	};
	durable_init(&p->durable, o->nfiles, root);
	if (fstat(blobs_dirfd(blobs), &p->staging) < 0)
		return -errno;
	p->sorted = calloc(o->nfiles + 1, sizeof(*p->sorted));
	p->moved = calloc(o->nfiles + 1, sizeof(*p->moved));
	p->shown = calloc(o->nfiles + 1, sizeof(*p->shown));
	if (!p->sorted || !p->moved || !p->shown)
		return -ENOMEM;
	for (size_t i = 0; i < o->nfiles; i++)
		if (o->mail.kind != ORDER_PREPARE || o->files[i].dev == INODE_NONE)
			p->sorted[p->n++] = i;
	qsort_r(p->sorted, p->n, sizeof(*p->sorted), compare, o->files);
	if (p->tree)
		return tree_base(o, &p->base);
	p->base = strdup(o->destination);
	return p->base ? 0 : -ENOMEM;
}

void placing_release(struct placing *p)
{
	placing_leave(p);
	durable_end(&p->durable);
	if (p->scratch >= 0) {
		close(p->scratch);
		blob_unlink(p->blobs, p->o->serial, BLOB_SCRATCH, 0); /* else it goes with the job */
	}
	free(p->sorted);
	free(p->moved);
	free(p->shown);
	free(p->base);
}

struct order_file *placing_file(const struct placing *p, size_t i)
{
	return &p->o->files[p->sorted[i]];
}

size_t placing_group(const struct placing *p, size_t first)
{
	const char *path = placing_file(p, first)->path;
	size_t end = first + 1;

	while (end < p->n && compare_dirs(placing_file(p, end)->path, path) == 0)
		end++;
	return end;
}

void placing_leave(struct placing *p)
{
	if (p->dirfd >= 0)
		close(p->dirfd);
	p->dirfd = -1;
	p->entered = NULL;
	p->dir_err = 0;
	p->probed = false;
	p->way = WAY_UNKNOWN;
}

/* "BASE/sub/dir" of "sub/dir/x" */
static int full_dir(const struct placing *p, const struct order_file *f, char **ret)
{
	size_t len = dirname_len(f->path);
	bool here = strcmp(p->base, ".") == 0;
	int n;

	if (len == 0)
		n = asprintf(ret, "%s", p->base);
	else
		n = asprintf(ret, "%s%s%.*s", here ? "" : p->base, here ? "" : "/", (int)len - 1, f->path);
	return n < 0 ? -ENOMEM : 0;
}

int placing_enter(struct placing *p, const struct order_file *f, bool make)
{
	cleanup_free char *dir = NULL;

	if (p->entered && compare_dirs(p->entered->path, f->path) == 0 && !(p->dir_err == -ENOENT && make))
		return p->dir_err;
	placing_leave(p);
	int r = full_dir(p, f, &dir);
	if (r == 0)
		r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	r = beneath_open_dir(p->root, dir, make, &p->durable, &p->dirfd);
	creds_restore();
	if (r == 0)
		r = beneath_not_in(p->root, p->dirfd, &p->staging);
	p->entered = f;
	p->dir_err = r;
	return r;
}

void placing_staged_name(const struct placing *p, const struct order_file *f, char ret[STAGED_NAME_LEN])
{
	const char *name = last_component(f->path);

	if (p->tree)
		snprintf(ret, STAGED_NAME_LEN, "%s", name);
	else
		temp_name(name, p->o->serial, f->file, ret);
}

bool placing_is_whole(struct order_file *f, const struct stat *st)
{
	f->lost = (uint64_t)st->st_size != f->size;
	return !f->lost;
}

int placing_open_blob(const struct placing *p, struct order_file *f, struct stat *ret_st, int *ret_fd)
{
	cleanup_close int fd = -1;
	struct stat st;
	int r = blob_open_read(p->blobs, p->o->serial, f->file, f->generation, &fd);

	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	f->lost = r == -ENOENT;
	if (f->lost || (r == 0 && !placing_is_whole(f, &st)))
		return -EIO;
	if (r < 0)
		return r;
	*ret_st = st;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int set_mode(const struct placing *p, const struct order_file *f, mode_t mode, bool durable)
{
	cleanup_close int fd = -1;
	int r = blob_open_read(p->blobs, p->o->serial, f->file, f->generation, &fd);

	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	return r == 0 && durable ? io_fsync(fd) : r;
}

int placing_mark(const struct placing *p, const struct order_file *f, bool durable)
{
	return set_mode(p, f, BLOB_MODE_MARKED, durable);
}

int placing_unmark(const struct placing *p, const struct order_file *f)
{
	return set_mode(p, f, BLOB_MODE_COPIED, true);
}

bool placing_marked(const struct stat *blob)
{
	return (blob->st_mode & 0777) == BLOB_MODE_MARKED;
}

void placing_show(struct placing *p, const struct order_file *f, const struct stat *st)
{
	p->shown[f - p->o->files] = (struct shown){ .yes = true, .mtime = st->st_mtim };
}

/* By the kernel's count: it gives a read lease when nobody does. Breaking it sends what is ignored. */
static bool is_open_for_writing(int fd)
{
	fcntl(fd, F_SETSIG, SIGURG);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* The owner first: once it is the daemon's, nobody can open it any more. */
static bool take_back(int fd, const struct timespec *mtime, uint64_t size)
{
	const struct facts facts = { .uid = geteuid(), .gid = getegid(), .mode = BLOB_MODE_COPIED };
	struct stat st;

	return fstat(fd, &st) == 0 && facts_apply(&facts, fd, &st) == 0 && !is_open_for_writing(fd) &&
		fstat(fd, &st) == 0 && st.st_nlink == 1 && (uint64_t)st.st_size == size &&
		st.st_mtim.tv_sec == mtime->tv_sec && st.st_mtim.tv_nsec == mtime->tv_nsec;
}

bool placing_take_back(struct placing *p, struct order_file *f)
{
	struct shown *shown = &p->shown[f - p->o->files];
	cleanup_close int fd = -1;

	if (!shown->yes)
		return true;
	shown->yes = false;
	f->lost = blob_open_read(p->blobs, p->o->serial, f->file, f->generation, &fd) < 0 ||
		!take_back(fd, &shown->mtime, f->size);
	return !f->lost;
}

void placing_fail(struct placing *p, int err)
{
	for (size_t i = 0; i < p->n; i++)
		if (placing_file(p, i)->err == 0)
			placing_file(p, i)->err = err;
}

void placing_finish(struct placing *p, struct order_file *f)
{
	if (!p->moved[f - p->o->files] && blob_unlink(p->blobs, p->o->serial, f->file, f->generation) < 0)
		p->o->leftovers++;
	f->done = true;
}

int link_fd(int fd, int dirfd, const char *name)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* Where the filesystem has no RENAME_NOREPLACE a link does the same; where it has no links either
 * (few, and of one user) looking first must do. */
int rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
	struct stat st;

	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(from_dir, from, to_dir, to, 0) == 0)
		return unlinkat(from_dir, from, 0) < 0 ? -errno : 0;
	if (errno != EPERM && errno != EOPNOTSUPP)
		return -errno;
	if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(from_dir, from, to_dir, to) < 0 ? -errno : 0;
}
