/* Directories. A listing streams: its offsets say where to go on, and no snapshot of 100,000 names is
 * taken.
 */
#include "fs/private.h"

#include <errno.h>

/* Offsets: 1 behind ".", 2 behind "..", then FIRST_OFFSET + what the directory counts by: serials, rows,
 * nodes, results. */
#define FIRST_OFFSET 16

struct listing {
	fuse_req_t req;
	struct handle *dir;
	char *data;
	size_t size, used;
	bool plus;                 /* READDIRPLUS: with what the kernel may keep of each */
	const struct queue *queue; /* under the read lock */
};

/* False: the buffer is full. */
static bool list(struct listing *l, const char *name, struct place place, mode_t type, uint64_t next)
{
	struct fuse_entry_param e = { .attr = { .st_ino = ino_of(place), .st_mode = type } };
	char *at = l->data + l->used;
	size_t left = l->size - l->used, need;

	if (l->plus) {
		entry_of(l->dir->fs, l->queue, place, type, &e);
		need = fuse_add_direntry_plus(l->req, at, left, name, &e, (off_t)next);
	} else {
		need = fuse_add_direntry(l->req, at, left, name, &e.attr, (off_t)next);
	}
	if (need > left)
		return false;
	l->used += need;
	return true;
}

static void list_root(struct listing *l, const struct queue *q, uint64_t at)
{
	uid_t daemon_uid = core_daemon_uid(l->dir->fs->core);
	const struct job *j;

	if (at == 0 && !list(l, ".xferfs", (struct place) { PLACE_SERVICE }, S_IFDIR, FIRST_OFFSET + 1))
		return;
	/* Serials count from 1: 1 + serial keeps apart what comes behind .xferfs and behind job 1. */
	for (uint64_t after = at <= 1 ? 0 : at - 1; (j = queue_next(q, after)); after = j->serial) {
		struct place place = { PLACE_JOB, j->serial };

		if (!(job_access(j, l->dir->creds, daemon_uid) & 4))
			continue;
		if (!list(l, j->name, place, S_IFDIR, FIRST_OFFSET + 1 + j->serial))
			return;
	}
}

/* The directories come before the rows, which count from BASE on: so they are in the first part of the
 * listing, the one that brings attributes. */
static void list_rows(struct listing *l, enum place_kind kind, uint64_t base, uint64_t at)
{
	struct ctl row;

	for (; ctl_row(kind, (uint32_t)(at - base), &row); at++) {
		struct place place = { kind, l->dir->place.serial, (uint32_t)(at - base) };

		if (!list(l, row.name, place, S_IFREG, FIRST_OFFSET + at + 1))
			return;
	}
}

static void list_service(struct listing *l, uint64_t at)
{
	if (at == 0) {
		if (!list(l, "ended", (struct place) { PLACE_ENDED_DIR }, S_IFDIR, FIRST_OFFSET + 1))
			return;
		at = 1;
	}
	list_rows(l, PLACE_SERVICE_ROW, 1, at);
}

static void list_job(struct listing *l, const struct queue *q, uint64_t at)
{
	uint64_t serial = l->dir->place.serial;

	if (!queue_find(q, serial))
		return;
	for (; at < JOB_DIRS; at++) {
		struct place place = { job_dirs[at].kind, serial, NODE_ROOT };

		if (!list(l, job_dirs[at].name, place, S_IFDIR, FIRST_OFFSET + at + 1))
			return;
	}
	list_rows(l, PLACE_ROW, JOB_DIRS, at);
}

static void list_nodes(struct listing *l, const struct queue *q, uint64_t at)
{
	struct place dir = l->dir->place;
	const struct job *j = queue_find(q, dir.serial);
	mode_t type = dir.kind == PLACE_FILE ? S_IFREG : S_IFLNK;
	struct node node;

	if (!j)
		return;
	for (uint32_t id = (uint32_t)at; (id = files_next_child(j->files, dir.id, id)) != NODE_NONE;) {
		struct place place = { dir.kind, dir.serial, id };

		if (files_node(j->files, id, &node) &&
			!list(l, node.name, place, node.is_dir ? S_IFDIR : type, FIRST_OFFSET + (uint64_t)id))
			return;
	}
}

static void list_ended(struct listing *l, const struct queue *q, uint64_t at)
{
	uid_t daemon_uid = core_daemon_uid(l->dir->fs->core);
	const struct result *const *v;
	size_t n = history_all(queue_history(q), &v);

	for (; at < n; at++) {
		struct place place = { PLACE_ENDED, v[at]->serial };

		if (!ctl_may_read_result(v[at], l->dir->creds, daemon_uid) ||
			history_last(queue_history(q), v[at]->name) != v[at])
			continue;
		if (!list(l, v[at]->name, place, S_IFREG, FIRST_OFFSET + at + 1))
			return;
	}
}

static struct place parent_of(const struct queue *q, struct place p)
{
	const struct job *j;
	struct node node;

	switch (p.kind) {
	case PLACE_ENDED_DIR:
		return (struct place) { PLACE_SERVICE };
	case PLACE_FILE:
	case PLACE_SOURCE:
		j = queue_find(q, p.serial);
		if (p.id != NODE_ROOT && j && files_node(j->files, p.id, &node))
			return (struct place) { p.kind, p.serial, node.parent };
		return (struct place) { PLACE_JOB, p.serial };
	case PLACE_ROOT:
	case PLACE_SERVICE:
	case PLACE_SERVICE_ROW:
	case PLACE_ENDED:
	case PLACE_JOB:
	case PLACE_ROW:
		break;
	}
	return (struct place) { PLACE_ROOT };
}

static void list_all(struct listing *l, const struct queue *q, uint64_t offset)
{
	struct place dir = l->dir->place;
	uint64_t at = offset > FIRST_OFFSET ? offset - FIRST_OFFSET : 0;

	if (offset < 1 && !list(l, ".", dir, S_IFDIR, 1))
		return;
	if (offset < 2 && !list(l, "..", parent_of(q, dir), S_IFDIR, 2))
		return;
	switch (dir.kind) {
	case PLACE_ROOT:
		list_root(l, q, at);
		return;
	case PLACE_SERVICE:
		list_service(l, at);
		return;
	case PLACE_ENDED_DIR:
		list_ended(l, q, at);
		return;
	case PLACE_JOB:
		list_job(l, q, at);
		return;
	case PLACE_FILE:
	case PLACE_SOURCE:
		list_nodes(l, q, at);
		return;
	case PLACE_SERVICE_ROW:
	case PLACE_ENDED:
	case PLACE_ROW:
		return;
	}
}

/* The kernel has judged the mode when the directory was opened; names come to it later, too. */
static int list_locked(struct listing *l, const struct queue *q, uint64_t offset)
{
	if (!handle_may_read_locked(l->dir, q))
		return -EACCES;
	l->queue = q;
	list_all(l, q, offset);
	return 0;
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	cleanup(creds_free) struct creds *creds = creds_of_reader(req);
	struct place place;
	struct handle *h;
	int r;

	if (!ino_place(ino, &place)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	r = creds ? handle_new(fs_of(req), place, 0777, creds, &h) : -ENOMEM;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	take_ptr(creds);
	handle_reply_open(h, req, fi);
}

static void reply_listing(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	cleanup_free char *data = malloc(size);
	struct listing l = { .req = req, .dir = handle_of(fi), .data = data, .size = size, .plus = plus };
	int r;

	if (!data) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	r = list_locked(&l, core_read_lock(fs_of(req)->core), (uint64_t)off);
	core_read_unlock(fs_of(req)->core);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, data, l.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_listing(req, size, off, fi, false);
}

/* The kernel asks so at the beginning of a directory, and further on where it has since been asked for what
 * it lists: `ls -l` of many jobs is a request for some hundred of them. */
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_listing(req, size, off, fi, true);
}
