/* commit=tree: all files appear as the directory DEST in one step.
 *
 *	1. PREPARE makes the directory `.DEST.xferfs-SERIAL` (N) beside DEST (O), with all directories in it,
 *	   and the copies where files must be copied.
 *	2. PLACE links the blobs into N < N's directories are durable < the mark on a copied file's blob is
 *	   durable (place.c) < N is renamed to DEST, or exchanged with it < DEST's directory is durable
 *	   < what is at the temporary name then, the old O, is deleted, durably, for nobody will look for it
 *	   again < the blobs are deleted < `done`.
 *	3. A failure before the switch undoes all: the mark is taken back < N is deleted; the blobs have never
 *	   left the staging area.
 *
 * After a crash (the order is not `fresh`) the question is whether the switch has happened:
 *
 *	a prepared inode is found in N                        no
 *	else: N is there, DEST is not                         no (nothing was linked yet)
 *	else: a blob has a second name or the mark            yes: N, if it is there, is the old O
 *	else: a blob is gone, and N                           yes: blobs go when N is gone
 *	else                                                  no: nothing was linked yet; a blob that is
 *	                                                      gone was not taken by us (`lost`)
 */
#include "disk/commit.h"

#include "base/cleanup.h"
#include "disk/beneath.h"
#include "model/name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBERS 9999u

struct tree {
	struct placing *p;
	bool switched;        /* by this run; */
	struct stat old;      /* then what O was; st_nlink 0: there was none */
	int parent;           /* of DEST; O_PATH */
	const char *dest;     /* last component of the destination; borrowed */
	const char *prepared; /* last component of p->base; borrowed */
};

/* --- names ------------------------------------------------------------------------------------- */

/* The directory that DEST is in. */
static int parent_path(const char *destination, char **ret)
{
	const char *slash = strrchr(destination, '/');

	*ret = slash ? strndup(destination, (size_t)(slash - destination)) : strdup(".");
	return *ret ? 0 : -ENOMEM;
}

int tree_base(const struct order *o, char **ret)
{
	const char *name = last_component(o->destination);
	char temp[TEMP_NAME_LEN];

	/* The root of the tree has no name that could be exchanged. */
	if (strcmp(o->destination, ".") == 0)
		return -EOPNOTSUPP;
	temp_name(name, o->serial, TEMP_TREE, temp);
	return asprintf(ret, "%.*s%s", (int)(name - o->destination), o->destination, temp) < 0 ? -ENOMEM : 0;
}

/* With the caller's credentials. */
static int tree_open(struct placing *p, struct tree *ret)
{
	cleanup_free char *parent = NULL;
	int r = parent_path(p->o->destination, &parent);

	*ret = (struct tree){
		.p = p,
		.parent = -1,
		.dest = last_component(p->o->destination),
		.prepared = last_component(p->base),
	};
	return r < 0 ? r : beneath_open_dir(p->root, parent, true, &p->durable, &ret->parent);
}

/* With the daemon's: neither in the staging area, nor in its place. */
static int tree_check(const struct tree *t)
{
	const struct stat *staging = &t->p->staging;
	struct stat st;

	if (fstatat(t->parent, t->dest, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == staging->st_dev &&
	    st.st_ino == staging->st_ino)
		return -EACCES;
	return beneath_not_in(t->p->root, t->parent, staging);
}

/* The caller closes ret->parent, in any case. */
static int tree_reach(struct placing *p, struct tree *ret)
{
	int r = creds_assume(p->o->creds);

	*ret = (struct tree){ .parent = -1 };
	if (r < 0)
		return r;
	r = tree_open(p, ret);
	creds_restore();
	return r < 0 ? r : tree_check(ret);
}

/* --- undoing ----------------------------------------------------------------------------------- */

static void remove_file(const struct tree *t, const struct order_file *f)
{
	cleanup_free char *path = NULL, *scratch = NULL;
	char temp[TEMP_NAME_LEN];

	if (asprintf(&path, "%s/%s", t->prepared, f->path) < 0)
		return;
	beneath_unlink(t->parent, path, 0);
	temp_name(last_component(path), t->p->o->serial, f->file, temp);
	if (asprintf(&scratch, "%.*s%s", (int)(last_component(path) - path), path, temp) >= 0)
		beneath_unlink(t->parent, scratch, 0); /* of a run that was killed while it looked for the way */
}

/* From the last one upwards, as far as they are empty. */
static void remove_dirs(const struct tree *t, const struct order_file *f)
{
	cleanup_free char *path = NULL;
	char *slash;

	if (asprintf(&path, "%s/%s", t->prepared, f->path) < 0)
		return;
	while ((slash = strrchr(path, '/'))) {
		int r;

		*slash = '\0';
		r = beneath_unlink(t->parent, path, AT_REMOVEDIR);
		if (r < 0 && r != -ENOENT)
			return;
	}
}

/* N is emptied of what this job has put there, no more: whoever may write to N's directory can give its
 * name to another directory of the caller's. Whether it is gone. */
static bool remove_prepared(const struct tree *t)
{
	const struct order *o = t->p->o;
	struct stat st;

	for (size_t i = 0; i < o->nfiles; i++)
		remove_file(t, &o->files[i]);
	for (size_t i = 0; i < o->nfiles; i++)
		remove_dirs(t, &o->files[i]);
	return fstatat(t->parent, t->prepared, &st, AT_SYMLINK_NOFOLLOW) < 0;
}

int tree_begin(struct placing *p)
{
	cleanup_close int parent = -1;
	struct stat st;
	struct tree t;

	if (!p->o->fresh)
		return tree_clear(p);
	int r = tree_reach(p, &t);
	parent = t.parent;
	if (r < 0)
		return r;
	return fstatat(parent, t.prepared, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST : 0;
}

int tree_clear(struct placing *p)
{
	cleanup_close int parent = -1;
	struct tree t;
	bool gone;

	placing_leave(p);
	int r = tree_reach(p, &t);
	parent = t.parent;
	if (r == 0)
		r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	gone = remove_prepared(&t);
	creds_restore();
	p->o->leftovers += !gone;
	r = durable_dir(&p->durable, parent);
	/* What somebody else has put there would appear with the tree. */
	return gone ? r : -EEXIST;
}

/* --- how far it had come ----------------------------------------------------------------------- */

static bool in_prepared(const struct tree *t, const struct order_file *f)
{
	cleanup_free char *path = NULL;
	struct stat st;

	return asprintf(&path, "%s/%s", t->prepared, f->path) >= 0 && beneath_stat(t->parent, path, &st) == 0 &&
		S_ISREG(st.st_mode) && st.st_ino == f->ino;
}

/* Of a file that is not in N. GONE: that its blob is not there says that it was placed. */
static bool was_placed(const struct tree *t, const struct order_file *f, bool gone)
{
	struct stat st;

	if (blob_stat(t->p->blobs, t->p->o->serial, f->file, f->generation, &st) < 0)
		return gone;
	return f->dev == INODE_COPY ? placing_marked(&st) : st.st_nlink > 1;
}

static bool has_switched(const struct tree *t)
{
	const struct order *o = t->p->o;
	bool prepared, dest;
	struct stat st;

	for (size_t i = 0; i < o->nfiles; i++)
		if (in_prepared(t, &o->files[i]))
			return false;
	prepared = fstatat(t->parent, t->prepared, &st, AT_SYMLINK_NOFOLLOW) == 0;
	dest = fstatat(t->parent, t->dest, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (prepared && !dest)
		return false;
	for (size_t i = 0; i < o->nfiles; i++)
		if (was_placed(t, &o->files[i], !prepared))
			return true;
	return false;
}

/* --- filling N --------------------------------------------------------------------------------- */

static int fill_file(struct placing *p, struct order_file *f)
{
	const char *name = last_component(f->path);
	cleanup_close int blob = -1;
	struct stat st;
	int r = placing_open_blob(p, f, &st, &blob);

	if (r == 0)
		r = placing_enter(p, f, true);
	if (r < 0)
		return r;
	if (f->dev == INODE_BLOB)
		placing_show(p, f, &st);
	if (fstatat(p->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_ino == f->ino)
		return 0;
	if (f->dev != INODE_BLOB) /* somebody deleted the copy: PREPARE again */
		return f->dev == INODE_COPY ? -EAGAIN : -EINVAL;
	r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	r = link_fd(blob, p->dirfd, name);
	creds_restore();
	return r == -EXDEV ? -EAGAIN : r;
}

static int fill(struct placing *p)
{
	for (size_t i = 0; i < p->n; ) {
		size_t end = placing_group(p, i);

		for (; i < end; i++) {
			struct order_file *f = placing_file(p, i);

			f->err = fill_file(p, f);
			if (f->err < 0) {
				placing_fail(p, -ECANCELED);
				return f->err;
			}
		}
		int r = durable_dir(&p->durable, p->dirfd);
		if (r < 0)
			return r;
	}
	return durable_end(&p->durable);
}

/* --- the switch (with the caller's credentials) ------------------------------------------------ */

/* "../DEST.1/x": where a file is, seen from the destination that was asked for. */
static int note_number(struct placing *p, const char *numbered)
{
	for (size_t i = 0; i < p->o->nfiles; i++) {
		struct order_file *f = &p->o->files[i];

		free(f->placed);
		if (asprintf(&f->placed, "../%s/%s", numbered, f->path) < 0) {
			f->placed = NULL;
			return -ENOMEM;
		}
	}
	return 0;
}

/* After a crash: under which number the tree is, by the inode of a file in it. */
static void find_number(const struct tree *t)
{
	const struct order_file *f = &t->p->o->files[0];
	struct stat st;

	for (unsigned n = 1; n <= NUMBERS; n++) {
		cleanup_free char *name = NULL, *path = NULL;

		if (name_number(t->dest, n, &name) < 0 || asprintf(&path, "%s/%s", name, f->path) < 0 ||
		    fstatat(t->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return;
		if (beneath_stat(t->parent, path, &st) == 0 && st.st_ino == f->ino) {
			note_number(t->p, name);
			return;
		}
	}
}

static int switch_numbered(const struct tree *t)
{
	int r = rename_new(t->parent, t->prepared, t->parent, t->dest);

	for (unsigned n = 1; n <= NUMBERS && r == -EEXIST; n++) {
		cleanup_free char *name = NULL;

		r = name_number(t->dest, n, &name);
		if (r == 0)
			r = rename_new(t->parent, t->prepared, t->parent, name);
		if (r == 0)
			note_number(t->p, name); /* without memory the name is not told; the files are there */
	}
	return r;
}

/* What came out must be a directory still: somebody's file, put there since it was looked at, is not
 * ours to delete. */
static int check_exchanged(const struct tree *t)
{
	struct stat st;

	if (fstatat(t->parent, t->prepared, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
		return 0;
	if (renameat2(t->parent, t->prepared, t->parent, t->dest, RENAME_EXCHANGE) < 0)
		return -errno;
	return -ENOTDIR;
}

static int switch_over(struct tree *t)
{
	struct stat st;

	if (fstatat(t->parent, t->dest, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? rename_new(t->parent, t->prepared, t->parent, t->dest) : -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (renameat2(t->parent, t->prepared, t->parent, t->dest, RENAME_EXCHANGE) == 0) {
		t->old = st;
		return check_exchanged(t);
	}
	return errno == EINVAL || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

static int switch_one(struct tree *t)
{
	switch (t->p->o->conflict) {
	case CONFLICT_KEEP:
		return rename_new(t->parent, t->prepared, t->parent, t->dest);
	case CONFLICT_NUMBER:
		return switch_numbered(t);
	case CONFLICT_REPLACE:
	case CONFLICT_MAX:
		break;
	}
	return switch_over(t);
}

/* One that is marked says it for the whole tree. */
static const struct order_file *find_copied(const struct placing *p)
{
	for (size_t i = 0; i < p->o->nfiles; i++)
		if (p->o->files[i].dev == INODE_COPY)
			return &p->o->files[i];
	return NULL;
}

static int switch_tree(struct tree *t)
{
	struct placing *p = t->p;
	const struct order_file *copied = find_copied(p);
	int r = copied ? placing_mark(p, copied, true) : 0;

	if (r == 0)
		r = creds_assume(p->o->creds);
	if (r == 0) {
		r = switch_one(t);
		creds_restore();
	}
	return r;
}

/* --- all --------------------------------------------------------------------------------------- */

static int sync_parent(struct tree *t)
{
	int r = durable_dir(&t->p->durable, t->parent), r_end = durable_end(&t->p->durable);

	return r < 0 ? r : r_end;
}

/* After the switch: it is made durable, the old tree goes, then the blobs. */
static int settle(struct tree *t)
{
	struct placing *p = t->p;
	int r = sync_parent(t);

	if (r == 0)
		r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	if (!t->switched || t->old.st_nlink > 0)
		beneath_remove(t->parent, t->prepared, t->switched ? &t->old : NULL, &p->o->leftovers);
	creds_restore();
	if (sync_parent(t) < 0)
		p->o->leftovers++;
	for (size_t i = 0; i < p->o->nfiles; i++) {
		p->o->files[i].err = 0;
		placing_finish(p, &p->o->files[i]);
	}
	return 0;
}

static int place(struct tree *t)
{
	struct placing *p = t->p;

	if (!p->o->fresh && has_switched(t)) {
		if (p->o->conflict == CONFLICT_NUMBER)
			find_number(t);
		return settle(t);
	}
	int r = fill(p);
	if (r == 0)
		r = switch_tree(t);
	placing_leave(p);
	t->switched = r == 0;
	if (r == 0)
		return settle(t);
	const struct order_file *copied = find_copied(p);
	if (copied && placing_unmark(p, copied) < 0)
		p->o->leftovers++; /* N stays, or the tree would be taken for placed */
	else
		tree_clear(p);
	for (size_t i = 0; i < p->o->nfiles; i++)
		if (!placing_take_back(p, &p->o->files[i]))
			p->o->files[i].err = -EIO;
	return r;
}

void tree_place(struct placing *p)
{
	cleanup_close int parent = -1;
	struct tree t;

	if (p->o->nfiles == 0)
		return;
	int r = tree_reach(p, &t);
	parent = t.parent;
	if (r == 0)
		r = place(&t);
	if (r < 0)
		placing_fail(p, r);
}
