/* Completing is killed before each of its steps, and done again.
 *
 * The calls that change the disk are wrapped by the linker. A forked child prepares, "saves" (shared
 * memory), places, and is killed before its Nth call, N = 1, 2, ... until it survives. Then what core's
 * recovery does is done, and every file must be in exactly one place, whole and its new owner's, with
 * nothing temporary left and nothing else touched. A second test looks at the order of the calls.
 */
#include "area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the wrapped calls ------------------------------------------------------------------------- */

static unsigned calls, die_at; /* die_at 0: never */

enum op { OP_CONTENT, OP_SYNC, OP_SYNCFS, OP_NAME, OP_UNLINK, OP_MKDIR };

static struct event {
	enum op op;
	ino_t ino;    /* of the file, or of the directory that was synced; of MKDIR: the parent */
	ino_t dir;    /* UNLINK of a temporary name: the directory that it was in */
} events[4096];
static size_t nevents;
static bool tracing;

static void step(enum op op, ino_t ino)
{
	if (++calls == die_at)
		_exit(77);
	if (tracing && nevents < sizeof(events) / sizeof(events[0]))
		events[nevents++] = (struct event){ .op = op, .ino = ino };
}

static ino_t ino_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static ino_t ino_at(int dirfd, const char *name, int flags)
{
	struct stat st;

	return fstatat(dirfd, name, &st, flags) == 0 ? st.st_ino : 0;
}

#define WRAP(type, name, params, args, op, ino) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		step(op, ino); \
		return __real_##name args; \
	}

WRAP(int, fsync, (int fd), (fd), OP_SYNC, ino_of(fd))
WRAP(int, fdatasync, (int fd), (fd), OP_SYNC, ino_of(fd))
WRAP(int, syncfs, (int fd), (fd), OP_SYNCFS, 0)
WRAP(int, renameat, (int f, const char *a, int t, const char *b), (f, a, t, b), OP_NAME, ino_at(f, a, AT_SYMLINK_NOFOLLOW))
WRAP(int, renameat2, (int f, const char *a, int t, const char *b, unsigned flags), (f, a, t, b, flags), OP_NAME,
	ino_at(f, a, AT_SYMLINK_NOFOLLOW))
WRAP(int, linkat, (int f, const char *a, int t, const char *b, int flags), (f, a, t, b, flags), OP_NAME,
	ino_at(f, a, flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW))
WRAP(int, mkdirat, (int f, const char *a, mode_t mode), (f, a, mode), OP_MKDIR, ino_of(f))
WRAP(int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g), OP_CONTENT, ino_of(fd))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), OP_CONTENT, ino_of(fd))
WRAP(int, futimens, (int fd, const struct timespec t[2]), (fd, t), OP_CONTENT, ino_of(fd))
WRAP(ssize_t, pwrite64, (int fd, const void *p, size_t n, off_t o), (fd, p, n, o), OP_CONTENT, ino_of(fd))
WRAP(ssize_t, pwritev64v2, (int fd, const struct iovec *v, int n, off_t o, int fl), (fd, v, n, o, fl), OP_CONTENT, ino_of(fd))
WRAP(ssize_t, copy_file_range, (int f, off_t *a, int t, off_t *b, size_t n, unsigned fl), (f, a, t, b, n, fl), OP_CONTENT,
	ino_of(t))

int __real_unlinkat(int dirfd, const char *name, int flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
	size_t before = nevents;

	step(OP_UNLINK, ino_at(dirfd, name, AT_SYMLINK_NOFOLLOW));
	int r = __real_unlinkat(dirfd, name, flags), err = errno;
	if (r == 0 && nevents > before && strstr(name, ".xferfs-"))
		events[before].dir = ino_of(dirfd);
	errno = err;
	return r;
}

int __real_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...);
int __wrap_openat64(int dirfd, const char *path, int flags, ...)
{
	va_list list;
	mode_t mode = 0;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(list, flags);
		mode = va_arg(list, mode_t);
		va_end(list);
	}
	if (flags & O_CREAT)
		step(OP_CONTENT, 0);
	return __real_openat64(dirfd, path, flags, mode);
}

/* --- scenarios --------------------------------------------------------------------------------- */

struct scenario {
	const char *name;
	bool other;       /* another user completes */
	bool own_fs;      /* the destination is another filesystem */
	enum on_conflict conflict;
	enum commit_mode commit;
	const char *destination;
	bool occupied;    /* something is at the name of file 1 already (in a tree: at the destination) */
	bool moves;       /* the user moves what he finds placed before the recovery */
	unsigned files, stride;
};

static const struct scenario scenarios[] = {
	{ "rename", false, false, CONFLICT_REPLACE, COMMIT_FILES, "to/dir", true, false, 3, 1 },
	{ "rename, keep", false, false, CONFLICT_KEEP, COMMIT_FILES, ".", false, false, 3, 1 },
	{ "rename, number", false, false, CONFLICT_NUMBER, COMMIT_FILES, ".", true, false, 3, 1 },
	{ "rename, moved", false, false, CONFLICT_REPLACE, COMMIT_FILES, "to", false, true, 3, 1 },
	{ "rename, many", false, false, CONFLICT_REPLACE, COMMIT_FILES, ".", false, false, 70, 11 },
	{ "link", true, false, CONFLICT_REPLACE, COMMIT_FILES, "to/dir", true, false, 3, 1 },
	{ "link, keep", true, false, CONFLICT_KEEP, COMMIT_FILES, ".", false, false, 3, 1 },
	{ "link, number", true, false, CONFLICT_NUMBER, COMMIT_FILES, ".", true, false, 3, 1 },
	{ "link, moved", true, false, CONFLICT_REPLACE, COMMIT_FILES, "to", false, true, 3, 1 },
	{ "link, many", true, false, CONFLICT_NUMBER, COMMIT_FILES, ".", true, false, 70, 13 },
	{ "copy", false, true, CONFLICT_REPLACE, COMMIT_FILES, "to/dir", true, false, 3, 1 },
	{ "copy, keep", true, true, CONFLICT_KEEP, COMMIT_FILES, ".", false, false, 3, 1 },
	{ "copy, number", true, true, CONFLICT_NUMBER, COMMIT_FILES, ".", true, false, 3, 1 },
	{ "copy, moved", true, true, CONFLICT_REPLACE, COMMIT_FILES, "to", false, true, 3, 1 },
	{ "tree", false, false, CONFLICT_REPLACE, COMMIT_TREE, "new/tree", false, false, 3, 1 },
	{ "tree, exchanged", false, false, CONFLICT_REPLACE, COMMIT_TREE, "tree", true, false, 3, 1 },
	{ "tree, other user", true, false, CONFLICT_REPLACE, COMMIT_TREE, "tree", true, false, 3, 1 },
	{ "tree, number", true, false, CONFLICT_NUMBER, COMMIT_TREE, "tree", true, false, 3, 1 },
	{ "tree, copied", true, true, CONFLICT_REPLACE, COMMIT_TREE, "tree", true, false, 3, 1 },
	{ "tree, moved", false, false, CONFLICT_REPLACE, COMMIT_TREE, "tree", false, true, 3, 1 },
};

/* What core would have in its database. */
struct saved {
	bool prepared;
	struct {
		uint64_t dev, ino;
	} files[70];
};

static struct saved *saved;

static struct order *new_order(const struct scenario *s, const struct creds *c, enum order_kind kind)
{
	static char names[70][32];
	const char *paths[70];

	for (unsigned i = 0; i < s->files; i++) {
		snprintf(names[i], sizeof(names[i]), i % 2 ? "sub/f%u.x" : "f%u.x", i);
		paths[i] = names[i];
	}
	return make_order(kind, c, s->destination, s->conflict, s->commit, s->files, paths);
}

static void prepare(const struct scenario *s, struct area *a, const struct creds *c)
{
	struct order *o = new_order(s, c, ORDER_PREPARE);

	for (unsigned i = 0; i < s->files; i++) {
		o->files[i].dev = saved->files[i].dev;
		o->files[i].ino = saved->files[i].ino;
	}
	order_perform(o, a->blobs, a->dest_fd);
	assert_int_equal(o->err, 0);
	for (unsigned i = 0; i < s->files; i++) {
		saved->files[i].dev = o->files[i].dev;
		saved->files[i].ino = o->files[i].ino;
	}
	order_free(o);
	saved->prepared = true;
}

/* FRESH: by the daemon that has prepared. */
static struct order *place(const struct scenario *s, struct area *a, const struct creds *c, bool fresh)
{
	struct order *o = new_order(s, c, ORDER_PLACE);

	o->fresh = fresh;
	for (unsigned i = 0; i < s->files; i++) {
		o->files[i].dev = saved->files[i].dev;
		o->files[i].ino = saved->files[i].ino;
	}
	order_perform(o, a->blobs, a->dest_fd);
	return o;
}

static void set_stage(const struct scenario *s, struct area *a, const struct creds *c)
{
	assert_true(area_make(a, s->own_fs));
	write_text(at(a, "precious"), "mine");
	if (s->occupied && s->commit == COMMIT_TREE) {
		assert_int_equal(mkdir(at(a, "tree"), 0755), 0);
		write_text(at(a, "tree/f0.x"), "old");
		assert_int_equal(chown(at(a, "tree"), c->uid, c->gid), 0);
	} else if (s->occupied) {
		char path[64];

		assert_true(mkdir(at(a, "to"), 0755) == 0 && mkdir(at(a, "to/dir"), 0755) == 0);
		assert_int_equal(chown(at(a, "to"), c->uid, c->gid) + chown(at(a, "to/dir"), c->uid, c->gid), 0);
		snprintf(path, sizeof(path), "%s/f0.x", s->destination);
		write_text(at(a, path), "old");
	}
	if (c->uid != 0)
		assert_int_equal(chown(a->dest, c->uid, c->gid), 0);
	for (uint32_t i = 1; i <= s->files; i++)
		make_blob(a, i);
	memset(saved, 0, sizeof(*saved));
}

/* The user takes away what has its final name: the whole tree, or file 1. */
static void move_away(const struct scenario *s, struct area *a)
{
	char path[64];

	assert_int_equal(mkdir(at(a, "taken"), 0755), 0);
	snprintf(path, sizeof(path), s->commit == COMMIT_TREE ? "%s" : "%s/f0.x", s->destination);
	rename(at(a, path), at(a, "taken/it"));
}

static void check(const struct scenario *s, struct area *a, const struct creds *c, const struct order *o, unsigned n)
{
	for (unsigned i = 0; i < s->files; i++) {
		unsigned temporary, found = count_content(a->dest, i + 1, &temporary);

		if (o->files[i].err || !o->files[i].done || found != 1 || temporary || o->leftovers ||
		    blob_exists(a, i + 1))
			fail_msg("%s, killed at %u, file %u: error %d, done %d, found %u times, %u temporary, %u leftovers, blob %d",
				s->name, n, i + 1, o->files[i].err, o->files[i].done, found, temporary, o->leftovers,
				blob_exists(a, i + 1));
	}
	assert_true(has_text(at(a, "precious"), "mine"));
	if (s->conflict == CONFLICT_NUMBER && s->occupied) {
		char path[64];

		snprintf(path, sizeof(path), s->commit == COMMIT_TREE ? "tree/f0.x" : "%s/f0.x", s->destination);
		assert_true(has_text(at(a, path), "old"));
		assert_non_null(o->files[0].placed);
		snprintf(path, sizeof(path), "%s/%s", s->destination, o->files[0].placed);
		assert_true(has_content(at(a, path), 1));
		assert_int_equal(stat_of(at(a, path)).st_uid, c->uid);
	} else if (!s->moves) {
		char path[64];

		snprintf(path, sizeof(path), "%s/f0.x", s->destination);
		assert_true(has_content(at(a, path), 1));
		assert_int_equal(stat_of(at(a, path)).st_uid, c->uid);
		assert_int_equal(stat_of(at(a, path)).st_mode & 07777, 0644);
		assert_int_equal(stat_of(at(a, path)).st_nlink, 1);
	}
}

/* A child completes and is killed before call N; false: there were fewer. */
static bool killed_at(const struct scenario *s, struct area *a, const struct creds *c, unsigned n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		calls = 0;
		die_at = n;
		prepare(s, a, c);
		order_free(place(s, a, c, true));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0));
	return WEXITSTATUS(status) == 77;
}

/* Core prepares again after a restart, with what it had saved; placing does not depend on it. */
static struct order *recover(const struct scenario *s, struct area *a, const struct creds *c, unsigned n)
{
	if (!saved->prepared || n % 2)
		prepare(s, a, c);
	return place(s, a, c, false);
}

/* Killed before call N; true: there were fewer. */
static bool survives(const struct scenario *s, const struct creds *c, unsigned n)
{
	struct order *o;
	struct area a;

	set_stage(s, &a, c);
	bool killed = killed_at(s, &a, c, n);
	if (s->moves)
		move_away(s, &a);
	o = recover(s, &a, c, n);
	check(s, &a, c, o, n);
	order_free(o);
	area_remove(&a);
	return !killed;
}

static void killed_at_each_step(void **state)
{
	const struct scenario *s = *state;
	struct creds *c = s->other ? other_user() : daemon_user(022);
	unsigned n = 1;

	if (s->own_fs && geteuid() != 0)
		skip();
	while (!survives(s, c, n))
		n += s->stride;
	assert_true(n > s->files); /* it was killed at least once for each file */
	creds_free(c);
}

/* What cannot be placed: a file's name is a directory's, a tree's is a file's. */
static const struct scenario hopeless[] = {
	{ "link, undone", true, false, CONFLICT_REPLACE, COMMIT_FILES, "to", false, false, 3, 1 },
	{ "copy, undone", false, true, CONFLICT_REPLACE, COMMIT_FILES, "to", false, false, 3, 1 },
	{ "tree, undone", false, false, CONFLICT_REPLACE, COMMIT_TREE, "to", false, false, 3, 1 },
	{ "tree, copied, undone", false, true, CONFLICT_REPLACE, COMMIT_TREE, "to", false, false, 3, 1 },
};

static void stand_in_the_way(const struct scenario *s, struct area *a, const struct creds *c)
{
	static const char *const dirs[] = { "to", "to/f0.x", "to/sub", "to/sub/f1.x", "to/f2.x" };

	if (s->commit == COMMIT_TREE)
		write_text(at(a, "to"), "old");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && s->commit == COMMIT_FILES; i++)
		assert_return_code(mkdir(at(a, dirs[i]), 0755) + chown(at(a, dirs[i]), c->uid, c->gid), errno);
}

/* Killed before call N, and again as long as it takes: no file counts as placed, none is lost. */
static bool survives_undoing(const struct scenario *s, const struct creds *c, unsigned n)
{
	struct order *o;
	struct area a;

	set_stage(s, &a, c);
	stand_in_the_way(s, &a, c);
	bool killed = killed_at(s, &a, c, n);
	o = recover(s, &a, c, n);
	for (unsigned i = 0; i < s->files; i++) {
		unsigned temporary;

		count_content(a.dest, i + 1, &temporary);
		if (o->files[i].done || !o->files[i].err || temporary || !blob_exists(&a, i + 1))
			fail_msg("%s, killed at %u, file %u: done %d, error %d, %u temporary, blob %d", s->name, n, i + 1,
				o->files[i].done, o->files[i].err, temporary, blob_exists(&a, i + 1));
	}
	assert_true(s->commit == COMMIT_FILES || has_text(at(&a, "to"), "old"));
	order_free(o);
	area_remove(&a);
	return !killed;
}

static void undone_at_each_step(void **state)
{
	const struct scenario *s = *state;
	struct creds *c = s->other ? other_user() : daemon_user(022);

	if (s->own_fs && geteuid() != 0)
		skip();
	for (unsigned n = 1; !survives_undoing(s, c, n); n++)
		;
	creds_free(c);
}

/* --- the order of the calls -------------------------------------------------------------------- */

/* The first event of that kind after FROM; nevents when there is none. */
static size_t find(enum op op, ino_t ino, size_t from)
{
	while (from < nevents && !(events[from].op == op && events[from].ino == ino))
		from++;
	return from;
}

static size_t find_last(enum op op, ino_t ino)
{
	size_t last = nevents;

	for (size_t i = find(op, ino, 0); i < nevents; i = find(op, ino, i + 1))
		last = i;
	return last;
}

/* content, owner, mode < fsync(file) < its name < fsync(directory) < the blob's deletion */
static void check_order(bool other, bool own_fs)
{
	struct scenario s = { "order", other, own_fs, CONFLICT_REPLACE, COMMIT_FILES, "new/dir", false, false, 3, 1 };
	struct creds *c = other ? other_user() : daemon_user(022);
	struct area a;

	if (own_fs && geteuid() != 0)
		skip();
	set_stage(&s, &a, c);
	nevents = 0;
	tracing = true;
	prepare(&s, &a, c);
	size_t prepared = nevents;
	order_free(place(&s, &a, c, true));
	tracing = false;

	for (unsigned i = 0; i < s.files; i++) {
		const char *dir = i % 2 ? "new/dir/sub" : "new/dir";
		ino_t ino = saved->files[i].ino;
		size_t content = find_last(OP_CONTENT, ino), sync = find(OP_SYNC, ino, 0);
		size_t name = find(OP_NAME, ino, prepared);
		size_t dir_sync = find(OP_SYNC, stat_of(at(&a, dir)).st_ino, name);

		assert_true(content < sync && sync < prepared);
		assert_true(prepared <= name && name < dir_sync && dir_sync < nevents);
		if (other) { /* both names were there: the blob's went last */
			size_t gone = find_last(OP_UNLINK, ino);

			assert_true(gone < nevents && dir_sync < gone);
		}
	}
	/* Each new directory is durable before anything gets a name in it. */
	size_t made = find(OP_MKDIR, stat_of(a.dest).st_ino, 0);
	assert_true(made < find(OP_SYNC, stat_of(a.dest).st_ino, made));
	assert_true(find(OP_SYNC, stat_of(a.dest).st_ino, made) < prepared);
	creds_free(c);
	area_remove(&a);
}

static void order_of_rename(void **state)
{
	check_order(false, false);
}

static void order_of_link(void **state)
{
	check_order(true, false);
}

static void order_of_copy(void **state)
{
	check_order(false, true);
}

/* No temporary name that was taken away comes back with a power loss. */
static void check_removals(const char *name, unsigned *ret_removals)
{
	for (size_t i = 0; i < nevents; i++) {
		size_t synced;

		if (!events[i].dir)
			continue;
		++*ret_removals;
		synced = find(OP_SYNC, events[i].dir, i);
		if (synced == nevents && find(OP_SYNCFS, 0, i) == nevents)
			fail_msg("%s: event %zu of %zu takes a name away, and nobody makes it durable", name, i, nevents);
	}
}

/* When the order comes back, core saves what it says, and nobody looks for temporary names again. */
static void removals_are_durable(void **state)
{
	unsigned removals = 0;

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		const struct scenario *s = &scenarios[i];
		struct creds *c = s->other ? other_user() : daemon_user(022);
		struct area a;

		if (s->own_fs && geteuid() != 0)
			skip();
		set_stage(s, &a, c);
		nevents = 0;
		tracing = true;
		prepare(s, &a, c);
		order_free(place(s, &a, c, true));
		tracing = false;
		check_removals(s->name, &removals);
		creds_free(c);
		area_remove(&a);
	}
	assert_true(removals > 0);
}

/* Likewise when placing fails, or when a daemon that was killed had prepared what is not whole any more. */
static void removals_after_failure(void **state)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		const struct scenario *s = &scenarios[i];
		struct creds *c = s->other ? other_user() : daemon_user(022);
		bool copies = s->own_fs && s->commit == COMMIT_FILES;
		unsigned removals = 0;
		struct order *o;
		struct area a;

		if (s->own_fs && geteuid() != 0)
			skip();
		set_stage(s, &a, c);
		prepare(s, &a, c);
		o = new_order(s, c, ORDER_PREPARE);
		for (size_t k = 0; k < o->nfiles; k++) {
			o->files[k].clear = copies;
			o->files[k].size++; /* they are not whole */
		}
		nevents = 0;
		tracing = true;
		order_perform(o, a.blobs, a.dest_fd);
		tracing = false;
		check_removals(s->name, &removals);
		assert_true(removals > 0 || (!copies && s->commit == COMMIT_FILES));
		order_free(o);
		creds_free(c);
		area_remove(&a);
	}
}

/* A blob with the mark and without its copy was placed: the mark is gone before the copy. */
static void mark_is_taken_back_durably(void **state)
{
	for (size_t i = 0; i < sizeof(hopeless) / sizeof(hopeless[0]); i++) {
		const struct scenario *s = &hopeless[i];
		struct creds *c;
		size_t removed;
		struct area a;

		if (!s->own_fs || geteuid() != 0)
			continue;
		c = daemon_user(022);
		set_stage(s, &a, c);
		stand_in_the_way(s, &a, c);
		prepare(s, &a, c);
		nevents = 0;
		tracing = true;
		order_free(place(s, &a, c, true));
		tracing = false;
		removed = 0;
		while (removed < nevents && events[removed].op != OP_UNLINK)
			removed++;
		assert_true(removed < nevents);
		ino_t blob = stat_of(at(&a, "../staging/blobs/7/1.0")).st_ino;
		size_t unmarked = find_last(OP_CONTENT, blob);
		assert_true(unmarked < find(OP_SYNC, blob, unmarked));
		assert_true(find(OP_SYNC, blob, unmarked) < removed);
		creds_free(c);
		area_remove(&a);
	}
}

/* A synced blob is found again after a power loss: its bytes, and every directory on the way to it. */
static void order_of_sync(void **state)
{
	static const char *const durable[] = { "7/1.0", "7/1/70.0", "7/1", "7", "" };
	struct order *o = order_new(ORDER_SYNC, SERIAL, 2);
	struct area a;

	assert_true(area_make(&a, false));
	make_blob(&a, o->files[0].file = 1);
	make_blob(&a, o->files[1].file = BLOB_SHARD + 6);
	nevents = 0;
	tracing = true;
	order_perform(o, a.blobs, a.dest_fd);
	tracing = false;
	assert_int_equal(o->err, 0);
	for (size_t i = 0; i < sizeof(durable) / sizeof(durable[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "../staging/blobs/%s", durable[i]);
		assert_true(find(OP_SYNC, stat_of(at(&a, path)).st_ino, 0) < nevents);
	}
	order_free(o);
	area_remove(&a);
}

static int setup(void **state)
{
	saved = mmap(NULL, sizeof(*saved), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return saved == MAP_FAILED ? -1 : area_setup(state);
}

int main(void)
{
	enum {
		OTHERS = 7,
		SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]),
		HOPELESS = sizeof(hopeless) / sizeof(hopeless[0]),
	};
	struct CMUnitTest tests[OTHERS + SCENARIOS + HOPELESS] = {
		cmocka_unit_test(order_of_rename),
		cmocka_unit_test(order_of_link),
		cmocka_unit_test(order_of_copy),
		cmocka_unit_test(order_of_sync),
		cmocka_unit_test(removals_are_durable),
		cmocka_unit_test(removals_after_failure),
		cmocka_unit_test(mark_is_taken_back_durably),
	};

	for (int i = 0; i < SCENARIOS; i++)
		tests[OTHERS + i] = (struct CMUnitTest){
			.name = scenarios[i].name,
			.test_func = killed_at_each_step,
			.initial_state = (void *)&scenarios[i],
		};
	for (int i = 0; i < HOPELESS; i++)
		tests[OTHERS + SCENARIOS + i] = (struct CMUnitTest){
			.name = hopeless[i].name,
			.test_func = undone_at_each_step,
			.initial_state = (void *)&hopeless[i],
		};
	return cmocka_run_group_tests(tests, setup, NULL);
}
