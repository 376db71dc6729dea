/* What others may see or change of a file on its way into its place, and what becomes of it then. */
#include "area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const one[] = { "x" };
static const char *const pair[] = { "a", "sub/b" };

/* Another user, in whose tree the blob is linked. */
static struct creds *set_stage(struct area *a, size_t files)
{
	struct creds *c = other_user();

	area_make(a, false);
	assert_int_equal(chown(a->dest, OTHER_UID, OTHER_GID), 0);
	for (uint32_t i = 1; i <= files; i++)
		make_blob(a, i);
	return c;
}

static struct order *prepare(struct area *a, struct order *o)
{
	o->fresh = true;
	order_perform(o, a->blobs, a->dest_fd);
	return o;
}

static struct order *place(struct area *a, const struct order *prepared)
{
	struct order *o = place_of(prepared);

	o->fresh = true;
	order_perform(o, a->blobs, a->dest_fd);
	return o;
}

static void leave(struct area *a, struct creds *c, struct order *prepared, struct order *placed)
{
	order_free(prepared);
	order_free(placed);
	creds_free(c);
	area_remove(a);
}

/* A link would show in its time of change. */
static void not_before_its_place(void **state)
{
	struct area a;
	struct creds *c = set_stage(&a, 1);
	struct timespec before, after;

	order_free(prepare(&a, make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one)));
	before = stat_of(blob_of(&a, 1)).st_ctim;
	struct order *o = prepare(&a, make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one));
	assert_int_equal(o->err, 0);
	assert_int_equal(o->files[0].dev, INODE_BLOB);
	after = stat_of(blob_of(&a, 1)).st_ctim;
	assert_memory_equal(&after, &before, sizeof(before));
	assert_false(blob_exists(&a, BLOB_SCRATCH));
	leave(&a, c, o, NULL);
}

/* Something is in the way: what was to be placed is the daemon's again, and nobody else's. */
static void taken_back(void **state)
{
	struct area a;
	struct creds *c = set_stage(&a, 1);
	struct order *p = prepare(&a, make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one));

	assert_int_equal(stat_of(blob_of(&a, 1)).st_uid, OTHER_UID);
	assert_int_equal(mkdir(at(&a, "x"), 0755), 0);
	struct order *o = place(&a, p);
	assert_int_equal(o->files[0].err, -EISDIR);
	assert_false(o->files[0].lost);
	assert_int_equal(stat_of(blob_of(&a, 1)).st_uid, geteuid());
	assert_int_equal(stat_of(blob_of(&a, 1)).st_mode & 07777, 0600);
	order_free(p);
	order_free(o);
	assert_int_equal(rmdir(at(&a, "x")), 0);
	p = prepare(&a, make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one));
	o = place(&a, p);
	assert_true(o->files[0].done && has_content(at(&a, "x"), 1));
	assert_int_equal(stat_of(at(&a, "x")).st_uid, OTHER_UID);
	leave(&a, c, p, o);
}

/* Who has come to the blob while it had a name that he could see, and keeps it: open, or by a link. */
static void meddled(bool linked, enum commit_mode commit)
{
	struct area a;
	struct creds *c = set_stage(&a, 1);
	struct order *p = prepare(&a, make_order(ORDER_PREPARE, c, "to", CONFLICT_REPLACE, commit, 1, one)), *o;
	int fd = -1;

	assert_int_equal(p->err, 0);
	if (commit == COMMIT_TREE)
		write_text(at(&a, "to"), "a file");
	else
		assert_int_equal(mkdir(at(&a, "to/x"), 0755), 0);
	if (linked)
		assert_int_equal(link(blob_of(&a, 1), at(&a, "mine")), 0);
	else
		fd = open(blob_of(&a, 1), O_WRONLY | O_CLOEXEC);
	o = place(&a, p);
	assert_int_equal(o->files[0].err, -EIO);
	assert_true(o->files[0].lost && !o->files[0].done);
	close(fd);
	leave(&a, c, p, o);
}

static void open_for_writing_is_lost(void **state)
{
	meddled(false, COMMIT_FILES);
	meddled(false, COMMIT_TREE);
}

static void linked_by_another_is_lost(void **state)
{
	meddled(true, COMMIT_FILES);
	meddled(true, COMMIT_TREE);
}

/* Who may command the job, but is not its owner, has nothing in his hands of what was fetched. */
static void copies_for_others(void **state)
{
	for (int tree = 0; tree <= 1; tree++) {
		struct area a;
		struct creds *c = set_stage(&a, 2);
		struct order *p = make_order(ORDER_PREPARE, c, "to", CONFLICT_REPLACE, tree ? COMMIT_TREE : COMMIT_FILES, 2,
			pair);

		p->copies = true;
		prepare(&a, p);
		assert_int_equal(p->err, 0);
		assert_int_equal(p->files[0].dev, INODE_COPY);
		assert_int_equal(stat_of(blob_of(&a, 1)).st_uid, geteuid());
		struct order *o = place(&a, p);
		assert_true(o->files[0].done && o->files[1].done);
		assert_true(has_content(at(&a, "to/a"), 1) && has_content(at(&a, "to/sub/b"), 2));
		assert_int_equal(stat_of(at(&a, "to/a")).st_uid, OTHER_UID);
		assert_false(blob_exists(&a, 1));
		leave(&a, c, p, o);
	}
}

/* --- what else has a name of ours -------------------------------------------------------------- */

/* Somebody has given the name under which the tree is prepared to a directory of the user's. */
static void foreign_tree_stays(void **state)
{
	for (int fresh = 0; fresh <= 1; fresh++) {
		struct area a;
		struct creds *c = set_stage(&a, 2);
		struct order *p = make_order(ORDER_PREPARE, c, "to", CONFLICT_REPLACE, COMMIT_TREE, 2, pair);

		assert_int_equal(mkdir(at(&a, ".to.xferfs-7"), 0755), 0);
		write_text(at(&a, ".to.xferfs-7/thesis"), "mine");
		assert_int_equal(chown(at(&a, ".to.xferfs-7"), OTHER_UID, OTHER_GID), 0);
		p->fresh = fresh;
		order_perform(p, a.blobs, a.dest_fd);
		assert_int_equal(p->err, -EEXIST);
		assert_true(has_text(at(&a, ".to.xferfs-7/thesis"), "mine"));
		leave(&a, c, p, NULL);
	}
}

/* A tree that could not be switched is taken away but for what others have put there. */
static void foreign_file_in_the_tree_stays(void **state)
{
	struct area a;
	struct creds *c = set_stage(&a, 2);
	struct order *p = prepare(&a, make_order(ORDER_PREPARE, c, "to", CONFLICT_REPLACE, COMMIT_TREE, 2, pair)), *o;

	assert_int_equal(p->err, 0);
	write_text(at(&a, "to"), "a file");
	write_text(at(&a, ".to.xferfs-7/sub/thesis"), "mine");
	o = place(&a, p);
	assert_int_equal(o->files[0].err, -ENOTDIR);
	assert_false(o->files[0].lost || o->files[1].lost);
	assert_true(has_text(at(&a, ".to.xferfs-7/sub/thesis"), "mine"));
	assert_int_equal(access(at(&a, ".to.xferfs-7/a"), F_OK), -1);
	assert_int_equal(access(at(&a, ".to.xferfs-7/sub/b"), F_OK), -1);
	assert_int_equal(o->leftovers, 1);
	leave(&a, c, p, o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_before_its_place),
		cmocka_unit_test(taken_back),
		cmocka_unit_test(open_for_writing_is_lost),
		cmocka_unit_test(linked_by_another_is_lost),
		cmocka_unit_test(copies_for_others),
		cmocka_unit_test(foreign_tree_stays),
		cmocka_unit_test(foreign_file_in_the_tree_stays),
	};

	return cmocka_run_group_tests(tests, area_setup, NULL);
}
