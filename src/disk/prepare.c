/* PREPARE: each blob becomes what the caller would have made, or is copied beside its target.
 *
 *	1. Only a job saved as COMPLETING comes here, so whatever a crash leaves is found again.
 *	2. The directories are opened, made and probed with the caller's credentials (invariant 5).
 *	3. The blob and its name, and the copy and its name if there is one, are durable before the order
 *	   comes back; only then is the inode saved, and only then may PLACE run.
 *	4. It may be repeated: owner, mode and times are set again, a copy is made anew. Nothing has been
 *	   placed yet, so nothing of the user's is touched but temporary names, which hold our serial.
 *	5. A file whose inode is saved may have been placed: it is left alone.
 */
#include "disk/commit.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "disk/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether a rename from the staging area can work where links do not exist to try it with. */
static bool same_mount(const struct placing *p)
{
	struct statx a, b;

	if (statx(p->dirfd, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) < 0 ||
	    statx(blobs_dirfd(p->blobs), "", AT_EMPTY_PATH, STATX_MNT_ID, &b) < 0)
		return false;
	return a.stx_mnt_id == b.stx_mnt_id && a.stx_dev_major == b.stx_dev_major &&
		a.stx_dev_minor == b.stx_dev_minor;
}

/* An empty file that stands for a blob, and is the caller's as the blob is: durably, or he could not take away
 * in a sticky directory what a power cut leaves there of it. */
static int make_scratch(struct placing *p)
{
	struct stat st;

	if (p->scratch < 0) {
		int r = blob_open(p->blobs, p->o->serial, BLOB_SCRATCH, 0, true, &p->scratch);

		if (r < 0)
			return r;
	}
	if (fstat(p->scratch, &st) < 0)
		return -errno;
	int r = facts_apply(&p->facts, p->scratch, &st);
	return r == 0 && st.st_uid != p->facts.uid ? io_fsync(p->scratch) : r;
}

/* Links a file of the staging area into the directory and takes the link away: also sees mounts of one
 * filesystem in two places, subvolumes and project quotas, which no comparison of numbers does. Not with a
 * blob: who may come into the directory would have its bytes before they are placed. */
static int try_link(struct placing *p, const struct order_file *f)
{
	char temp[TEMP_NAME_LEN];
	int r = make_scratch(p);

	if (r == 0)
		r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	temp_name(last_component(f->path), p->o->serial, f->file, temp);
	r = link_fd(p->scratch, p->dirfd, temp);
	if (r == -EEXIST && unlinkat(p->dirfd, temp, 0) == 0) /* of a run that was killed */
		r = link_fd(p->scratch, p->dirfd, temp);
	if (r == 0 && unlinkat(p->dirfd, temp, 0) < 0)
		p->o->leftovers++;
	creds_restore();
	return r;
}

static int find_way(struct placing *p, const struct order_file *f)
{
	bool may_rename = p->own && !p->tree; /* a tree that fails is undone: there links are better */
	int r = try_link(p, f);

	/* That it is gone again must be durable: nobody looks for it once the files are prepared. */
	if (r == 0)
		r = durable_dir(&p->durable, p->dirfd);

	switch (-r) {
	case 0:
		p->way = may_rename ? WAY_RENAME : WAY_LINK;
		return 0;
	case EXDEV:
		p->way = WAY_COPY;
		return 0;
	case EPERM:
	case EACCES:
	case EOPNOTSUPP:
	case EMLINK:
	case ENOSYS:
		p->way = may_rename && same_mount(p) ? WAY_RENAME : WAY_COPY;
		return 0;
	}
	return r;
}

static int probe(struct placing *p, const struct order_file *f)
{
	char temp[TEMP_NAME_LEN];

	if (p->probed)
		return 0;
	temp_name(last_component(f->path), p->o->serial, f->file, temp);
	int r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	r = facts_probe(p->dirfd, temp, &p->facts);
	creds_restore();
	p->probed = r == 0;
	return r;
}

static int set_mtime(const struct order_file *f, int fd, const struct stat *st)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = f->mtime } };

	if (f->mtime == MTIME_UNKNOWN || (st->st_mtim.tv_sec == f->mtime && st->st_mtim.tv_nsec == 0))
		return 0;
	return futimens(fd, times) < 0 ? -errno : 0;
}

static int prepare_copy(struct placing *p, struct order_file *f, int blob)
{
	cleanup_close int copy = -1;
	char name[STAGED_NAME_LEN];
	struct stat st;

	/* The mark that PLACE sets before the copy gets its name. */
	if (fchmod(blob, BLOB_MODE_COPIED) < 0)
		return -errno;
	placing_staged_name(p, f, name);
	/* PLACE compares the copy with it, and begins again with it when somebody has deleted the copy. */
	int r = durable_file(&p->durable, blob, blobs_dev(p->blobs));
	if (r == 0)
		r = creds_assume(p->o->creds);
	if (r < 0)
		return r;
	r = copy_file(blob, p->dirfd, name, &copy);
	if (r == 0 && fstat(copy, &st) < 0)
		r = -errno;
	if (r == 0)
		r = facts_apply(&p->facts, copy, &st);
	if (r == 0)
		r = set_mtime(f, copy, &st);
	creds_restore();
	if (r == 0)
		r = durable_file(&p->durable, copy, st.st_dev);
	if (r == 0)
		r = durable_dir(&p->durable, p->dirfd);
	if (r < 0)
		return r;
	f->ino = st.st_ino;
	f->dev = INODE_COPY;
	return 0;
}

/* A blob is given to the job's owner only: who may but command the job gets a copy, so that nothing becomes
 * of what has been fetched. Nor to anybody when a complete that was killed has given it to somebody else: he
 * may have opened it under its temporary name, and would go on writing to the file when it is another's. */
static bool is_not_for_him(const struct placing *p, const struct stat *blob)
{
	return p->o->copies || (blob->st_uid != p->facts.uid && blob->st_uid != geteuid());
}

static int prepare_file(struct placing *p, struct order_file *f)
{
	cleanup_close int blob = -1;
	struct stat st;
	int r = placing_open_blob(p, f, &st, &blob);

	if (r == 0)
		r = placing_enter(p, f, true);
	if (r == 0)
		r = probe(p, f);
	if (r == 0 && is_not_for_him(p, &st))
		return prepare_copy(p, f, blob);
	if (r == 0 && p->way != WAY_COPY) {
		r = facts_apply(&p->facts, blob, &st);
		/* A group that an ordinary daemon may not give, but that a new file there gets. */
		if (r == -EPERM) {
			p->way = WAY_COPY;
			r = 0;
		}
	}
	if (r == 0 && p->way == WAY_UNKNOWN)
		r = find_way(p, f);
	if (r < 0)
		return r;
	if (p->way == WAY_COPY)
		return prepare_copy(p, f, blob);
	r = set_mtime(f, blob, &st);
	if (r == 0)
		r = durable_file(&p->durable, blob, st.st_dev);
	if (r < 0)
		return r;
	f->ino = st.st_ino;
	f->dev = INODE_BLOB;
	return 0;
}

static void clear(struct placing *p, const struct order_file *f)
{
	char name[STAGED_NAME_LEN];

	if (placing_enter(p, f, false) < 0 || creds_assume(p->o->creds) < 0)
		return;
	placing_staged_name(p, f, name);
	bool gone = unlinkat(p->dirfd, name, 0) == 0 || errno == ENOENT;
	creds_restore();
	/* Nobody will look for it again. ENOENT: perhaps of a run that was killed before it was durable. */
	if (!gone || durable_dir(&p->durable, p->dirfd) < 0)
		p->o->leftovers++;
}

/* The blobs' names, too: PLACE takes a blob that is not there for one that was placed. Of many the syncfs
 * sees to them. */
static int settle(struct placing *p)
{
	uint32_t files[DURABLE_FEW];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < p->n && !p->durable.many; i++)
		if (placing_file(p, i)->err == 0 && !placing_file(p, i)->clear)
			files[n++] = placing_file(p, i)->file;
	if (n > 0)
		r = blobs_sync_names(p->blobs, p->o->serial, files, n);
	int r_end = durable_end(&p->durable);

	return r < 0 ? r : r_end;
}

/* No temporary name stays of a file that failed. */
static void discard(struct placing *p, struct order_file *f)
{
	f->dev = INODE_NONE;
	f->ino = 0;
	if (!p->tree)
		clear(p, f);
}

/* A tree appears whole or not at all. */
static void fail_tree_whole(struct placing *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (placing_file(p, i)->err < 0) {
			placing_fail(p, -ECANCELED);
			tree_clear(p);
			return;
		}
}

void prepare_perform(struct order *o, struct blobs *blobs, int destination_fd)
{
	struct placing p;
	int r = placing_init(&p, o, blobs, destination_fd);

	if (r == 0 && p.tree && p.n == o->nfiles)
		r = tree_begin(&p);
	if (r < 0) {
		placing_fail(&p, r);
		placing_release(&p);
		return;
	}
	for (size_t i = 0; i < p.n; i++) {
		struct order_file *f = placing_file(&p, i);

		if (f->clear)
			clear(&p, f);
		else
			f->err = prepare_file(&p, f);
	}
	r = settle(&p);
	if (r < 0)
		placing_fail(&p, r);
	if (p.tree)
		fail_tree_whole(&p);
	for (size_t i = 0; i < p.n; i++)
		if (placing_file(&p, i)->err < 0)
			discard(&p, placing_file(&p, i));
	placing_release(&p);
}
