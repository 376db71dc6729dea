/* PLACE: each prepared inode gets its name. In this order, per file:
 *
 *	1. its inode is durable (PREPARE, saved) < it gets its name, by one rename or link
 *	2. < the directory is durable < the blob is deleted < `done`
 *	3. New parent directories are durable before what is in them gets its name.
 *
 * A crash may come between any two of them; then it is done again, and what is found says how far it
 * had come. B: the blob; T: the temporary name beside the target; D: the target has the inode. "Other
 * names": links of the blob besides B and T; nobody but PLACE can have made one.
 *
 *	prepared     B    T    D / other    means                               is done
 *	-----------  ---  ---  -----------  ----------------------------------  -------------------------
 *	any          no   any  any          placed and durable, or renamed;     nothing; it is in its
 *	                                    perhaps the user moved it since     place or the user's
 *	the blob     yes  no   no           not placed                          rename B, or link B to T
 *	                                                                        and rename T; -EIO: it
 *	                                                                        was cut short (`lost`)
 *	the blob     yes  yes  no           killed between link and rename      T deleted, as above
 *	the blob     yes  any  yes          placed, perhaps moved since         T deleted; durable; B goes
 *	a copy       yes  yes  no           not placed                          B marked; rename T
 *	a copy       yes  yes  yes          linked (no RENAME_NOREPLACE there)  T deleted; durable; B goes
 *	a copy       yes  no   yes          placed                              durable; B goes
 *	a copy       yes  no   no, marked   placed, the user moved it since     durable; B goes
 *	a copy       yes  no   no, not      somebody deleted T                  -EAGAIN: PREPARE again
 *
 * In a run that is `fresh` another name of the blob that is not D was not given by us: it is lost. A blob that
 * had T and could not be placed is taken back, or lost (placing_take_back).
 *
 * The mark is the blob's mode, 0400 instead of 0600: the blob of a copied file needs none of its own.
 * After a failure it is taken back, durably, before T is deleted: a mark without T means that it was placed.
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

#define NUMBERS 9999u /* of on_conflict=number */

/* --- names ------------------------------------------------------------------------------------- */

/* F's path with number N; 0: its own. */
static int numbered_path(const struct order_file *f, unsigned n, char **ret)
{
	if (n > 0)
		return name_number(f->path, n, ret);
	*ret = strdup(f->path);
	return *ret ? 0 : -ENOMEM;
}

static unsigned numbers(const struct placing *p)
{
	return p->o->conflict == CONFLICT_NUMBER ? NUMBERS : 0;
}

static void note_placed(struct order_file *f, unsigned n, char **path)
{
	if (n == 0)
		return;
	free(f->placed);
	f->placed = take_ptr(*path);
}

/* Looks for the inode under F's name and, with `number`, under those before the first free one. */
static bool find_placed(const struct placing *p, struct order_file *f, ino_t ino)
{
	for (unsigned n = 0; n <= numbers(p); n++) {
		cleanup_free char *path = NULL;
		struct stat st;

		if (numbered_path(f, n, &path) < 0 ||
		    fstatat(p->dirfd, last_component(path), &st, AT_SYMLINK_NOFOLLOW) < 0)
			return false;
		if (S_ISREG(st.st_mode) && st.st_ino == ino) {
			note_placed(f, n, &path);
			return true;
		}
	}
	return false;
}

/* The inode was given its name, which the user has changed since: where it is now is his, but it must
 * be there after a power loss before the blob goes. */
static int sync_wherever(const struct placing *p)
{
	cleanup_close int fd = p->dirfd < 0 ? -1 : openat(p->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return syncfs(fd >= 0 ? fd : p->root) < 0 ? -errno : 0;
}

static bool has_inode(const struct placing *p, const char *name, ino_t ino)
{
	struct stat st;

	return fstatat(p->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_ino == ino;
}

/* --- giving the name (with the caller's credentials) ------------------------------------------- */

/* Where the inode comes from: a name to be renamed, or a descriptor to be linked. */
struct origin {
	int dirfd;
	const char *name;
	int fd;           /* -1: rename */
	const char *temp; /* for a link that replaces */
};

static int link_over(const struct placing *p, const struct origin *from, const char *name)
{
	int r = link_fd(from->fd, p->dirfd, from->temp);

	if (r == -EEXIST && unlinkat(p->dirfd, from->temp, 0) == 0)
		r = link_fd(from->fd, p->dirfd, from->temp);
	if (r == 0 && renameat(p->dirfd, from->temp, p->dirfd, name) < 0) {
		r = -errno;
		if (unlinkat(p->dirfd, from->temp, 0) < 0)
			p->o->leftovers++;
	}
	return r;
}

static int give_one(const struct placing *p, const struct origin *from, const char *name, bool replace)
{
	if (from->fd >= 0)
		return replace ? link_over(p, from, name) : link_fd(from->fd, p->dirfd, name);
	if (!replace)
		return rename_new(from->dirfd, from->name, p->dirfd, name);
	return renameat(from->dirfd, from->name, p->dirfd, name) < 0 ? -errno : 0;
}

static int give_name(const struct placing *p, struct order_file *f, const struct origin *from)
{
	bool replace = p->o->conflict == CONFLICT_REPLACE;
	int r = -EEXIST;

	for (unsigned n = 0; n <= numbers(p) && r == -EEXIST; n++) {
		cleanup_free char *path = NULL;

		r = numbered_path(f, n, &path);
		if (r == 0)
			r = give_one(p, from, last_component(path), replace);
		if (r == 0)
			note_placed(f, n, &path);
	}
	return r;
}

/* --- one file ---------------------------------------------------------------------------------- */

static int open_blob(const struct placing *p, const struct order_file *f, int *ret_fd)
{
	return blob_open_read(p->blobs, p->o->serial, f->file, f->generation, ret_fd);
}

/* FD: of the blob, to be linked; -1: it is renamed. */
static int give_blob_name(struct placing *p, struct order_file *f, int fd)
{
	char temp[TEMP_NAME_LEN], path[BLOB_PATH_LEN];

	temp_name(last_component(f->path), p->o->serial, f->file, temp);
	blob_path(p->o->serial, f->file, f->generation, path);
	int r = give_name(p, f, &(struct origin){
		.dirfd = blobs_dirfd(p->blobs),
		.name = path,
		.fd = fd,
		.temp = temp,
	});
	p->moved[f - p->o->files] = fd < 0 && r == 0;
	return r;
}

static int place_blob(struct placing *p, struct order_file *f, const struct stat *st)
{
	char temp[TEMP_NAME_LEN];
	nlink_t names = st->st_nlink;
	cleanup_close int blob = -1;
	int r = p->own ? 0 : open_blob(p, f, &blob);

	if (r == 0)
		r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	temp_name(last_component(f->path), p->o->serial, f->file, temp);
	if (names > 1 && has_inode(p, temp, st->st_ino)) {
		if (unlinkat(p->dirfd, temp, 0) < 0)
			p->o->leftovers++;
		names--;
	}
	if (names > 1) {
		bool placed = find_placed(p, f, st->st_ino);

		f->lost = !placed && p->o->fresh;
		r = f->lost ? -EIO : placed ? 0 : sync_wherever(p);
	} else if (!placing_is_whole(f, st)) {
		r = -EIO;
	} else {
		placing_show(p, f, st);
		r = give_blob_name(p, f, blob);
	}
	creds_restore();
	return r == 0 || placing_take_back(p, f) ? r : -EIO;
}

/* T is there: marks the blob, and renames. */
static int place_temp(struct placing *p, struct order_file *f, const char *temp)
{
	int r = placing_mark(p, f, false);

	if (r < 0)
		return r;
	r = creds_assume(p->o->creds);
	if (r == 0) {
		r = give_name(p, f, &(struct origin){ .dirfd = p->dirfd, .name = temp, .fd = -1 });
		creds_restore();
	}
	if (r == 0)
		return 0;
	if (placing_unmark(p, f) < 0)
		return r; /* then T stays too, or the blob would be taken for placed */
	if (creds_assume(p->o->creds) == 0) {
		if (unlinkat(p->dirfd, temp, 0) < 0)
			p->o->leftovers++;
		creds_restore();
	}
	return r;
}

static int place_copy(struct placing *p, struct order_file *f, const struct stat *st)
{
	char temp[TEMP_NAME_LEN];
	struct stat t;
	int r = creds_assume(p->o->creds);

	if (r < 0)
		return r;
	temp_name(last_component(f->path), p->o->serial, f->file, temp);
	/* By name and size: not every filesystem gives a file the same number after a reboot. */
	bool waits = fstatat(p->dirfd, temp, &t, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(t.st_mode) &&
		(uint64_t)t.st_size == f->size;
	bool placed = waits ? t.st_nlink > 1 && find_placed(p, f, t.st_ino) : find_placed(p, f, f->ino);
	if (waits && placed && unlinkat(p->dirfd, temp, 0) < 0)
		p->o->leftovers++;
	creds_restore();

	if (placed)
		return 0;
	if (waits)
		return place_temp(p, f, temp);
	return placing_marked(st) ? sync_wherever(p) : -EAGAIN;
}

/* PREPARE has just seen the blob: it need not be looked at again before it is renamed. What a run that was
 * killed could have left is not there, so a name that is missing was not taken by us. */
static int place_fresh(struct placing *p, struct order_file *f)
{
	struct stat st;
	int r = placing_enter(p, f, true);

	if (r == 0)
		r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	r = give_blob_name(p, f, -1);
	creds_restore();
	f->lost = r == -ENOENT && blob_stat(p->blobs, p->o->serial, f->file, f->generation, &st) == -ENOENT;
	return f->lost ? -EIO : r == -EXDEV ? -EAGAIN : r;
}

static int place_file(struct placing *p, struct order_file *f)
{
	struct stat st;

	if (p->o->fresh && p->own && f->dev == INODE_BLOB)
		return place_fresh(p, f);
	int r = blob_stat(p->blobs, p->o->serial, f->file, f->generation, &st);

	if (r == -ENOENT) /* entered, so that place_group syncs the directory */
		return placing_enter(p, f, false) == 0 && find_placed(p, f, f->ino) ? 0 : sync_wherever(p);
	if (r == 0)
		r = placing_enter(p, f, true);
	if (r < 0)
		return r;
	switch ((enum order_inode)f->dev) {
	case INODE_NONE:
		return -EINVAL;
	case INODE_BLOB:
		r = place_blob(p, f, &st);
		break;
	case INODE_COPY:
		r = place_copy(p, f, &st);
		break;
	}
	/* A mount that came since PREPARE; it will find another way. */
	return r == -EXDEV ? -EAGAIN : r;
}

/* --- all files --------------------------------------------------------------------------------- */

/* The files of one directory, and its fsync. */
static void place_group(struct placing *p, size_t first, size_t end)
{
	int r = 0;

	for (size_t i = first; i < end; i++) {
		struct order_file *f = placing_file(p, i);

		f->err = place_file(p, f);
	}
	if (p->dirfd >= 0)
		r = durable_dir(&p->durable, p->dirfd);
	for (size_t i = first; i < end; i++) {
		struct order_file *f = placing_file(p, i);

		if (f->err == 0)
			f->err = r;
		if (f->err == 0 && !p->durable.many)
			placing_finish(p, f);
	}
	placing_leave(p);
}

static void place_files(struct placing *p)
{
	for (size_t i = 0; i < p->n; ) {
		size_t end = placing_group(p, i);

		place_group(p, i, end);
		i = end;
	}
	if (!p->durable.many)
		return;
	int r = durable_end(&p->durable);
	if (r < 0)
		placing_fail(p, r);
	for (size_t i = 0; i < p->o->nfiles; i++)
		if (p->o->files[i].err == 0)
			placing_finish(p, &p->o->files[i]);
}

void place_perform(struct order *o, struct blobs *blobs, int destination_fd)
{
	struct placing p;
	int r = placing_init(&p, o, blobs, destination_fd);

	if (r < 0)
		placing_fail(&p, r);
	else if (p.tree)
		tree_place(&p);
	else
		place_files(&p);
	placing_release(&p);
}
