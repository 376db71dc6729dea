/* Reading the tree: names and attributes.
 *
 * Nothing here sends a message: a FUSE worker looks at what is published, under the core's read lock,
 * and answers after it has let the lock go.
 *
 * What the kernel may keep, it does not ask for, and most requests are about the directories on the way to
 * what somebody wants. So these it keeps, and is told when they change (private.h, DIR_TIMEOUT). What else may
 * change has no timeout. The names of control files last as long as the job's directory.
 */
#include "fs/private.h"

#include "model/url.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#define DIR_MODE (S_IFDIR | 0777)
#define LINK_MODE (S_IFLNK | 0777)
#define BLOCK 512

/* --- attributes --------------------------------------------------------------------------------- */

static void attr_times(struct stat *st, int64_t wall)
{
	st->st_atime = st->st_mtime = st->st_ctime = wall;
}

static void attr_service(struct fs *fs, struct stat *st, mode_t mode)
{
	st->st_mode = mode;
	st->st_uid = core_daemon_uid(fs->core);
	st->st_gid = fs->daemon_gid;
	st->st_nlink = S_ISDIR(mode) ? 2 : 1;
	attr_times(st, fs->started);
}

static void attr_job(const struct job *j, struct stat *st, mode_t mode)
{
	st->st_mode = (mode & S_IFMT) | (S_ISLNK(mode) ? 0777 : mode & j->mode & 0777);
	st->st_uid = j->uid;
	st->st_gid = j->gid;
	st->st_nlink = S_ISDIR(mode) ? 2 : 1;
	attr_times(st, j->modified);
}

/* The size that is known; what has arrived when none is. */
static void attr_staged(const struct job *j, uint32_t id, struct stat *st)
{
	const struct file *file = file_now(j->files, id);
	struct file_figures f;

	if (!file)
		return;
	f = ctl_file_figures(j, id);
	st->st_size = (off_t)(f.size != SIZE_UNKNOWN ? f.size : f.bytes);
	st->st_blocks = (blkcnt_t)((f.bytes + BLOCK - 1) / BLOCK);
	if (file->mtime != MTIME_UNKNOWN)
		st->st_mtime = file->mtime;
}

static int attr_node(const struct job *j, struct place place, struct stat *st)
{
	struct node node = { .is_dir = true };
	char *url = NULL;

	if (place.id != NODE_ROOT && !files_node(j->files, place.id, &node))
		return -ENOENT;
	if (node.is_dir) {
		attr_job(j, st, DIR_MODE);
	} else if (place.kind == PLACE_FILE) {
		attr_job(j, st, S_IFREG | STAGED_MODE);
		attr_staged(j, place.id, st);
	} else {
		attr_job(j, st, LINK_MODE);
		if (file_source(j->files, place.id) && url_display(file_source(j->files, place.id)->url, &url) == 0)
			st->st_size = (off_t)strlen(url);
		free(url);
	}
	return 0;
}

static int attr_result(const struct result *r, struct stat *st)
{
	if (!r)
		return -ENOENT;
	st->st_mode = S_IFREG | (r->mode & 0444);
	st->st_uid = r->uid;
	st->st_gid = r->gid;
	st->st_nlink = 1;
	attr_times(st, r->ended);
	return 0;
}

/* Under the read lock: all but the size of control files. */
static int attr_locked(struct fs *fs, const struct queue *q, struct place place, const struct ctl *row, struct stat *st)
{
	const struct job *j = NULL;

	switch (place.kind) {
	case PLACE_ROOT:
		attr_service(fs, st, fs->root_mode);
		return 0;
	case PLACE_SERVICE:
	case PLACE_ENDED_DIR:
		attr_service(fs, st, S_IFDIR | 0755);
		return 0;
	case PLACE_SERVICE_ROW:
		attr_service(fs, st, S_IFREG | row->mode);
		return 0;
	case PLACE_ENDED:
		return attr_result(history_find(queue_history(q), place.serial), st);
	case PLACE_JOB:
	case PLACE_ROW:
	case PLACE_FILE:
	case PLACE_SOURCE:
		j = queue_find(q, place.serial);
		break;
	}
	/* A stream that is open has its last lines yet; cat(1) asks for its attributes before it reads. */
	if (!j && place.kind == PLACE_ROW && row->read != CTL_TEXT && row->read != CTL_NONE)
		return attr_result(history_find(queue_history(q), place.serial), st);
	if (!j)
		return -ENOENT;
	if (place.kind == PLACE_FILE || place.kind == PLACE_SOURCE)
		return attr_node(j, place, st);
	attr_job(j, st, place.kind == PLACE_JOB ? DIR_MODE : S_IFREG | row->mode);
	return 0;
}

/* The exact size of a control file is that of its text, rendered for the one who asks. */
static int row_size(fuse_req_t req, struct place place, const struct ctl *row, struct stat *st)
{
	cleanup(creds_free) struct creds *reader = NULL;
	cleanup_buf struct buf text = { 0 };
	int r;

	/* Only the service's tables differ from reader to reader. */
	if (place.kind == PLACE_SERVICE_ROW) {
		reader = creds_of_reader(req);
		if (!reader)
			return -ENOMEM;
	}
	r = ctl_render(fs_of(req)->core, place, row, reader, &text, NULL);
	if (r < 0)
		return r == -ENODEV ? -ENOENT : r;
	st->st_size = (off_t)text.len;
	st->st_blocks = (blkcnt_t)((text.len + BLOCK - 1) / BLOCK);
	return 0;
}

int attr_of(fuse_req_t req, struct place place, struct stat *ret)
{
	struct fs *fs = fs_of(req);
	struct stat st = { .st_ino = ino_of(place), .st_blksize = 4096 };
	struct ctl row = place.kind == PLACE_ENDED ? ctl_ended : (struct ctl) { 0 };
	bool is_row = place.kind == PLACE_ROW || place.kind == PLACE_SERVICE_ROW;
	int r;

	if (is_row && !ctl_row(place.kind, place.id, &row))
		return -ENOENT;
	r = attr_locked(fs, core_read_lock(fs->core), place, &row, &st);
	core_read_unlock(fs->core);
	if (r == 0 && row.read == CTL_TEXT)
		r = row_size(req, place, &row, &st);
	if (r < 0)
		return r;
	*ret = st;
	return 0;
}

/* The name of a job that has gone does no harm, nor does it keep the name from the next one: whoever walks
 * through it or looks at it has the kernel ask for its attributes, which are not there any more, and mkdir(2)
 * and rename(2) go through the kernel. */
static double entry_timeout(struct place p)
{
	switch (p.kind) {
	case PLACE_SERVICE:
	case PLACE_SERVICE_ROW:
	case PLACE_ENDED_DIR:
	case PLACE_ROW:
		return STATIC_TIMEOUT;
	case PLACE_FILE:
	case PLACE_SOURCE:
		return p.id == NODE_ROOT ? STATIC_TIMEOUT : 0;
	case PLACE_JOB:
		return DIR_TIMEOUT;
	case PLACE_ROOT:
	case PLACE_ENDED:
		break;
	}
	return 0;
}

static double attr_timeout(struct place p)
{
	switch (p.kind) {
	case PLACE_ENDED:
		return STATIC_TIMEOUT;
	case PLACE_ROOT:
	case PLACE_SERVICE:
	case PLACE_ENDED_DIR:
	case PLACE_JOB:
		return DIR_TIMEOUT;
	case PLACE_FILE:
	case PLACE_SOURCE:
		return p.id == NODE_ROOT ? DIR_TIMEOUT : 0;
	case PLACE_SERVICE_ROW:
	case PLACE_ROW:
		break;
	}
	return 0;
}

/* With its name the kernel may hear of something for the first time, and what it does not know yet cannot be
 * told to have changed. A job it knows while anybody is about to change it, who holds the job's directory;
 * he need not hold files/, of which it hears twice: of the name, then of attributes to keep. */
static struct fuse_entry_param entry(struct place p)
{
	bool job_dir = p.kind == PLACE_FILE || p.kind == PLACE_SOURCE;

	return (struct fuse_entry_param) {
		.ino = ino_of(p),
		.entry_timeout = entry_timeout(p),
		.attr_timeout = job_dir ? 0 : attr_timeout(p),
	};
}

void entry_of(struct fs *fs, const struct queue *q, struct place place, mode_t type, struct fuse_entry_param *ret)
{
	struct fuse_entry_param e = entry(place);

	e.attr = (struct stat) { .st_ino = e.ino, .st_blksize = 4096 };
	if (type != S_IFDIR || e.entry_timeout == 0 || attr_locked(fs, q, place, NULL, &e.attr) < 0)
		e = (struct fuse_entry_param) { .attr = { .st_ino = ino_of(place), .st_mode = type } };
	*ret = e;
}

/* FUSE_NOTIFY_INVAL_INODE of attributes alone takes no lock that a request may hold (fuse_reverse_inval_inode),
 * and what is on its way to the kernel, of before the change, is not taken any more (fi->attr_version). */
void forget_job_dirs(struct fs *fs, uint64_t serial)
{
	const struct place dirs[] = {
		{ PLACE_JOB, serial }, { PLACE_FILE, serial, NODE_ROOT }, { PLACE_SOURCE, serial, NODE_ROOT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		fuse_lowlevel_notify_inval_inode(fs->session, ino_of(dirs[i]), -1, 0);
}

void reply_entry(fuse_req_t req, struct place place)
{
	struct fuse_entry_param e = entry(place);
	int r = attr_of(req, place, &e.attr);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_entry(req, &e);
}

/* --- names -------------------------------------------------------------------------------------- */

const struct job_dir job_dirs[JOB_DIRS] = { { "files", PLACE_FILE }, { "sources", PLACE_SOURCE } };

static int find_in_root(const struct queue *q, const char *name, struct place *ret)
{
	const struct job *j;

	if (strcmp(name, ".xferfs") == 0) {
		*ret = (struct place) { PLACE_SERVICE };
		return 0;
	}
	j = queue_find_name(q, name);
	if (!j)
		return -ENOENT;
	*ret = (struct place) { PLACE_JOB, j->serial };
	return 0;
}

static int find_in_job(const struct queue *q, uint64_t serial, const char *name, struct place *ret)
{
	struct place p = { PLACE_ROW, serial };

	if (!queue_find(q, serial))
		return -ENOENT;
	for (size_t i = 0; i < JOB_DIRS; i++) {
		if (strcmp(name, job_dirs[i].name) == 0) {
			*ret = (struct place) { job_dirs[i].kind, serial, NODE_ROOT };
			return 0;
		}
	}
	if (!ctl_find(PLACE_ROW, name, &p.id))
		return -ENOENT;
	*ret = p;
	return 0;
}

static int find_in_nodes(const struct queue *q, struct place dir, const char *name, struct place *ret)
{
	const struct job *j = queue_find(q, dir.serial);
	struct node node;
	uint32_t id = j ? files_lookup(j->files, dir.id, name) : NODE_NONE;

	/* A node that is being added is found, but is not there yet. */
	if (id == NODE_NONE || !files_node(j->files, id, &node))
		return -ENOENT;
	*ret = (struct place) { dir.kind, dir.serial, id };
	return 0;
}

static int find_name(const struct queue *q, struct place dir, const char *name, struct place *ret)
{
	const struct result *r;
	struct place p = { PLACE_SERVICE_ROW };

	switch (dir.kind) {
	case PLACE_ROOT:
		return find_in_root(q, name, ret);
	case PLACE_SERVICE:
		if (strcmp(name, "ended") == 0)
			p.kind = PLACE_ENDED_DIR;
		else if (!ctl_find(PLACE_SERVICE_ROW, name, &p.id))
			return -ENOENT;
		*ret = p;
		return 0;
	case PLACE_ENDED_DIR:
		r = history_last(queue_history(q), name);
		if (!r)
			return -ENOENT;
		*ret = (struct place) { PLACE_ENDED, r->serial };
		return 0;
	case PLACE_JOB:
		return find_in_job(q, dir.serial, name, ret);
	case PLACE_FILE:
	case PLACE_SOURCE:
		return find_in_nodes(q, dir, name, ret);
	case PLACE_SERVICE_ROW:
	case PLACE_ENDED:
	case PLACE_ROW:
		break;
	}
	return -ENOTDIR;
}

int find_place(struct fs *fs, fuse_ino_t parent, const char *name, struct place *ret)
{
	struct place dir;
	int r;

	if (!ino_place(parent, &dir))
		return -ENOENT;
	r = find_name(core_read_lock(fs->core), dir, name, ret);
	core_read_unlock(fs->core);
	return r;
}

/* What the kernel needs of a directory to remove it. */
static void reply_buried(fuse_req_t req, uint64_t serial)
{
	struct fuse_entry_param e = { .ino = ino_of((struct place) { PLACE_JOB, serial }) };

	e.attr = (struct stat) { .st_ino = e.ino, .st_mode = S_IFDIR, .st_nlink = 2 };
	e.attr.st_uid = core_daemon_uid(fs_of(req)->core);
	fuse_reply_entry(req, &e);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct place place;
	uint64_t buried;
	int r = find_place(fs_of(req), parent, name, &place);

	if (r == -ENOENT && parent == FUSE_ROOT_ID && notify_buries(fs_of(req)->notify, req, &buried))
		reply_buried(req, buried);
	else if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_entry(req, place);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct place place;
	struct stat st;
	int r = ino_place(ino, &place) ? attr_of(req, place, &st) : -ESTALE;

	/* The kernel does not say that fstat(2) asks; but the name of a row is found through its job. */
	if (r == -ENOENT && (fi || place.kind == PLACE_ROW))
		r = -ENODEV;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, attr_timeout(place));
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	cleanup_free char *url = NULL;
	struct place place;
	const struct job *j;
	const struct source *source;
	int r = -EINVAL;

	if (ino_place(ino, &place) && place.kind == PLACE_SOURCE) {
		j = queue_find(core_read_lock(fs->core), place.serial);
		source = j && file_now(j->files, place.id) ? file_source(j->files, place.id) : NULL;
		r = source ? url_display(source->url, &url) : -ENOENT;
		core_read_unlock(fs->core);
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, url);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	/* Where completed files go is what `df` should tell of. Gone, it has no room; but `df` shall not fail. */
	if (statvfs(fs_of(req)->destination, &st) < 0)
		st = (struct statvfs) { .f_bsize = 4096, .f_frsize = 4096 };
	st.f_namemax = 255;
	fuse_reply_statfs(req, &st);
}
