/* Placing: what a completed file looks like, and whose rights decide. */
#include "area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NO_TEMPORARY(a) \
	do { \
		unsigned temporary_; \
		count_content((a)->dest, 0, &temporary_); \
		assert_int_equal(temporary_, 0); \
	} while (0)

static const char *const one[] = { "x.iso" };

/* Makes the blobs 1..N, completes, gives the error of the first file. */
static int complete_new(struct area *a, const struct creds *c, const char *destination, enum on_conflict conflict,
	enum commit_mode commit, size_t n, const char *const *paths)
{
	for (uint32_t i = 1; i <= n; i++)
		make_blob(a, i);
	struct order *o = complete(a, c, destination, conflict, commit, n, paths);
	int err = o->files[0].err;
	assert_int_equal(o->leftovers, 0);
	assert_int_equal(o->files[0].done, o->mail.kind == ORDER_PLACE && err == 0);
	order_free(o);
	return err;
}

/* --- ownership, mode, times -------------------------------------------------------------------- */

static void own_file(void **state)
{
	static const char *const paths[] = { "deep/er/x.iso", "y" };
	struct creds *c = daemon_user(027);
	struct area a;

	area_make(&a, false);
	assert_int_equal(complete_new(&a, c, "sub", CONFLICT_REPLACE, COMMIT_FILES, 2, paths), 0);
	assert_true(has_content(at(&a, "sub/deep/er/x.iso"), 1));
	assert_true(has_content(at(&a, "sub/y"), 2));
	assert_int_equal(stat_of(at(&a, "sub/y")).st_mode & 07777, 0640);
	assert_int_equal(stat_of(at(&a, "sub/y")).st_mtime, 1000000001);
	assert_int_equal(stat_of(at(&a, "sub/deep")).st_mode & 07777, 0750);
	assert_false(blob_exists(&a, 1));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

static void belongs_to_who_completes(void **state)
{
	struct creds *c = other_user();
	struct area a;

	area_make(&a, false);
	assert_int_equal(chown(a.dest, OTHER_UID, OTHER_GID), 0);
	assert_int_equal(complete_new(&a, c, "new", CONFLICT_REPLACE, COMMIT_FILES, 1, one), 0);
	assert_true(has_content(at(&a, "new/x.iso"), 1));
	assert_int_equal(stat_of(at(&a, "new/x.iso")).st_uid, OTHER_UID);
	assert_int_equal(stat_of(at(&a, "new/x.iso")).st_gid, OTHER_GID);
	assert_int_equal(stat_of(at(&a, "new/x.iso")).st_mode & 07777, 0644);
	assert_int_equal(stat_of(at(&a, "new/x.iso")).st_nlink, 1);
	assert_int_equal(stat_of(at(&a, "new")).st_uid, OTHER_UID);
	assert_false(blob_exists(&a, 1));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

static void setgid_directory_gives_its_group(void **state)
{
	struct creds *c = other_user();
	struct area a;

	area_make(&a, false);
	assert_int_equal(chown(a.dest, 0, SHARED_GID), 0);
	assert_int_equal(chmod(a.dest, 02775), 0);
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one), 0);
	assert_int_equal(stat_of(at(&a, "x.iso")).st_uid, OTHER_UID);
	assert_int_equal(stat_of(at(&a, "x.iso")).st_gid, SHARED_GID);
	creds_free(c);
	area_remove(&a);
}

/* user::rwx user:OTHER:rw- group::r-x mask::rwx other::---, as setfacl -d would set it */
static const uint8_t default_acl[] = {
	2, 0, 0, 0,
	0x01, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,
	0x02, 0, 6, 0, OTHER_UID & 0xff, OTHER_UID >> 8, 0, 0,
	0x04, 0, 5, 0, 0xff, 0xff, 0xff, 0xff,
	0x10, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,
	0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
};

static void default_acl_is_inherited(void **state)
{
	uint8_t placed[256], made[256];
	struct creds *c;
	struct area a;

	area_make(&a, false);
	if (setxattr(a.dest, "system.posix_acl_default", default_acl, sizeof(default_acl), 0) < 0) {
		area_remove(&a);
		skip();
	}
	c = daemon_user(022);
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one), 0);
	close(open(at(&a, "made"), O_WRONLY | O_CREAT, 0666));
	ssize_t n = getxattr(at(&a, "made"), "system.posix_acl_access", made, sizeof(made));
	assert_true(n > 0);
	assert_int_equal(getxattr(at(&a, "x.iso"), "system.posix_acl_access", placed, sizeof(placed)), n);
	assert_memory_equal(placed, made, (size_t)n);
	assert_int_equal(stat_of(at(&a, "x.iso")).st_mode, stat_of(at(&a, "made")).st_mode);
	creds_free(c);
	area_remove(&a);
}

static void other_filesystem(void **state)
{
	struct creds *c = other_user();
	struct area a;

	if (!area_make(&a, true)) {
		creds_free(c);
		skip();
	}
	assert_int_equal(chown(a.dest, OTHER_UID, OTHER_GID), 0);
	write_text(at(&a, "x.iso"), "old");
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one), 0);
	assert_true(has_content(at(&a, "x.iso"), 1));
	assert_int_equal(stat_of(at(&a, "x.iso")).st_uid, OTHER_UID);
	assert_int_equal(stat_of(at(&a, "x.iso")).st_mode & 07777, 0644);
	assert_int_equal(stat_of(at(&a, "x.iso")).st_mtime, 1000000000);
	assert_false(blob_exists(&a, 1));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

/* --- conflicts --------------------------------------------------------------------------------- */

static void keep_leaves_what_is_there(void **state)
{
	struct creds *c = daemon_user(022);
	struct area a;

	area_make(&a, false);
	write_text(at(&a, "x.iso"), "mine");
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_KEEP, COMMIT_FILES, 1, one), -EEXIST);
	assert_true(has_text(at(&a, "x.iso"), "mine"));
	assert_true(blob_exists(&a, 1));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

static void number_takes_the_first_free(void **state)
{
	struct creds *c = daemon_user(022);
	struct order *o;
	struct area a;

	area_make(&a, false);
	write_text(at(&a, "x.iso"), "mine");
	write_text(at(&a, "x.1.iso"), "mine too");
	make_blob(&a, 1);
	o = complete(&a, c, ".", CONFLICT_NUMBER, COMMIT_FILES, 1, one);
	assert_int_equal(o->err, 0);
	assert_string_equal(o->files[0].placed, "x.2.iso");
	assert_true(has_content(at(&a, "x.2.iso"), 1));
	assert_true(has_text(at(&a, "x.iso"), "mine"));
	assert_true(has_text(at(&a, "x.1.iso"), "mine too"));
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

static void target_is_a_directory(void **state)
{
	struct creds *c = daemon_user(022);
	struct area a;

	area_make(&a, false);
	assert_int_equal(mkdir(at(&a, "x.iso"), 0755), 0);
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one), -EISDIR);
	assert_true(blob_exists(&a, 1));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

/* One that cannot be placed does not hold up the others. */
static void others_are_placed(void **state)
{
	static const char *const paths[] = { "x.iso", "dir/y", "z" };
	struct creds *c = daemon_user(022);
	struct order *o;
	struct area a;

	area_make(&a, false);
	write_text(at(&a, "dir"), "no directory");
	for (uint32_t i = 1; i <= 3; i++)
		make_blob(&a, i);
	struct order *prepare = make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 3, paths);
	order_perform(prepare, a.blobs, a.dest_fd);
	assert_int_equal(prepare->err, -ENOTDIR);
	assert_int_equal(prepare->files[1].err, -ENOTDIR);
	assert_int_equal(prepare->files[2].err, 0);
	o = place_of(prepare);
	order_perform(o, a.blobs, a.dest_fd);
	assert_true(o->files[0].done && o->files[2].done && !o->files[1].done);
	assert_true(blob_exists(&a, 2));
	assert_true(has_content(at(&a, "z"), 3));
	order_free(prepare);
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

static void long_name(void **state)
{
	static char name[256];
	const char *const paths[] = { name };
	struct creds *c = other_user();
	struct area a;

	memset(name, 'n', 255);
	area_make(&a, false);
	assert_int_equal(chown(a.dest, OTHER_UID, OTHER_GID), 0);
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, paths), 0);
	assert_true(has_content(at(&a, name), 1));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

static void many_files(void **state)
{
	enum { N = 150 };
	static char names[N][32];
	const char *paths[N];
	struct creds *c = other_user();
	struct order *o;
	struct area a;

	area_make(&a, false);
	assert_int_equal(chown(a.dest, OTHER_UID, OTHER_GID), 0);
	for (uint32_t i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "d%u/f%u", i % 3, i);
		paths[i] = names[i];
		make_blob(&a, i + 1);
	}
	o = complete(&a, c, "many", CONFLICT_REPLACE, COMMIT_FILES, N, paths);
	for (uint32_t i = 0; i < N; i++) {
		char path[64];

		snprintf(path, sizeof(path), "many/%s", names[i]);
		assert_true(o->files[i].done);
		assert_true(has_content(at(&a, path), i + 1));
		assert_false(blob_exists(&a, i + 1));
	}
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

/* --- trees ------------------------------------------------------------------------------------- */

static const char *const pair[] = { "a", "sub/b" };

static void tree_replaces_whole_directory(void **state)
{
	struct creds *c = daemon_user(022);
	struct area a;

	area_make(&a, false);
	assert_int_equal(mkdir(at(&a, "site"), 0755), 0);
	write_text(at(&a, "site/old"), "old");
	write_text(at(&a, "outside"), "mine");
	assert_int_equal(symlink("../outside", at(&a, "site/link")), 0);
	assert_int_equal(complete_new(&a, c, "site", CONFLICT_REPLACE, COMMIT_TREE, 2, pair), 0);
	assert_true(has_content(at(&a, "site/a"), 1));
	assert_true(has_content(at(&a, "site/sub/b"), 2));
	assert_int_equal(access(at(&a, "site/old"), F_OK), -1);
	assert_true(has_text(at(&a, "outside"), "mine"));
	assert_false(blob_exists(&a, 1));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

static void tree_refusals(void **state)
{
	struct creds *c = daemon_user(022);
	struct area a;

	area_make(&a, false);
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_TREE, 2, pair), -EOPNOTSUPP);
	write_text(at(&a, "site"), "a file");
	assert_int_equal(complete_new(&a, c, "site", CONFLICT_REPLACE, COMMIT_TREE, 2, pair), -ENOTDIR);
	assert_int_equal(complete_new(&a, c, "site", CONFLICT_KEEP, COMMIT_TREE, 2, pair), -EEXIST);
	assert_true(has_text(at(&a, "site"), "a file"));
	assert_true(blob_exists(&a, 1) && blob_exists(&a, 2));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

static void tree_numbered(void **state)
{
	struct creds *c = daemon_user(022);
	struct order *o;
	struct area a;

	area_make(&a, false);
	assert_int_equal(mkdir(at(&a, "site"), 0755), 0);
	make_blob(&a, 1);
	make_blob(&a, 2);
	o = complete(&a, c, "site", CONFLICT_NUMBER, COMMIT_TREE, 2, pair);
	assert_int_equal(o->err, 0);
	assert_string_equal(o->files[1].placed, "../site.1/sub/b");
	assert_true(has_content(at(&a, "site.1/sub/b"), 2));
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

/* --- what is gone from the staging area --------------------------------------------------------- */

static const char *const three[] = { "a", "b", "c" };

/* Somebody deletes blob 1 and cuts blob 2 short. */
static void spoil_blobs(const struct area *a)
{
	assert_int_equal(unlink(blob_of(a, 1)), 0);
	assert_int_equal(truncate(blob_of(a, 2), 1000), 0);
}

static void lost_blobs(bool own_fs)
{
	struct creds *c = daemon_user(022);
	struct order *prepare, *o;
	struct area a;

	if (!area_make(&a, own_fs)) {
		creds_free(c);
		skip();
	}
	for (uint32_t i = 1; i <= 3; i++)
		make_blob(&a, i);
	spoil_blobs(&a);
	write_text(at(&a, "b"), "old");
	prepare = make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 3, three);
	order_perform(prepare, a.blobs, a.dest_fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(prepare->files[i].lost, i < 2);
		assert_int_equal(prepare->files[i].err, i < 2 ? -EIO : 0);
		assert_int_equal(prepare->files[i].ino == 0, i < 2);
	}
	/* What core sends then: only the third. */
	o = make_order(ORDER_PLACE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 3, three);
	for (int i = 0; i < 2; i++)
		free(o->files[i].path);
	o->files[0] = o->files[2];
	o->nfiles = 1;
	o->files[0].dev = prepare->files[2].dev;
	o->files[0].ino = prepare->files[2].ino;
	order_perform(o, a.blobs, a.dest_fd);
	assert_true(o->files[0].done);
	assert_true(has_content(at(&a, "c"), 3));
	assert_true(has_text(at(&a, "b"), "old"));
	assert_int_equal(access(at(&a, "a"), F_OK), -1);
	NO_TEMPORARY(&a);
	order_free(prepare);
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

static void lost_blobs_are_not_placed(void **state)
{
	lost_blobs(false);
}

static void lost_blobs_are_not_copied(void **state)
{
	lost_blobs(true);
}

/* Blob 2 goes between PREPARE and PLACE. FRESH: by the run that has prepared, in which nobody else can have
 * taken it; after a crash it is only seen when it is cut short. */
static void lost_between(bool fresh)
{
	struct creds *c = daemon_user(022);
	struct order *prepare, *o;
	struct area a;

	area_make(&a, false);
	for (uint32_t i = 1; i <= 3; i++)
		make_blob(&a, i);
	write_text(at(&a, "b"), "old");
	prepare = make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 3, three);
	order_perform(prepare, a.blobs, a.dest_fd);
	assert_int_equal(fresh ? unlink(blob_of(&a, 2)) : truncate(blob_of(&a, 2), 1000), 0);
	o = place_of(prepare);
	o->fresh = fresh;
	order_perform(o, a.blobs, a.dest_fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(o->files[i].lost, i == 1);
		assert_int_equal(o->files[i].err, i == 1 ? -EIO : 0);
		assert_int_equal(o->files[i].done, i != 1);
	}
	assert_true(has_content(at(&a, "a"), 1) && has_text(at(&a, "b"), "old"));
	order_free(prepare);
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

static void blob_lost_before_its_name(void **state)
{
	lost_between(false);
}

static void blob_lost_a_moment_before(void **state)
{
	lost_between(true);
}

/* The old tree stays, whichever of the two orders finds that something is gone. */
static void tree_with_lost_blobs(void **state)
{
	for (int before_prepare = 0; before_prepare <= 1; before_prepare++) {
		struct creds *c = daemon_user(022);
		struct order *prepare, *place;
		struct area a;

		area_make(&a, false);
		assert_int_equal(mkdir(at(&a, "site"), 0755), 0);
		write_text(at(&a, "site/old"), "old");
		for (uint32_t file = 1; file <= 3; file++)
			make_blob(&a, file);
		prepare = make_order(ORDER_PREPARE, c, "site", CONFLICT_REPLACE, COMMIT_TREE, 3, three);
		if (before_prepare)
			spoil_blobs(&a);
		order_perform(prepare, a.blobs, a.dest_fd);
		if (!before_prepare) {
			assert_int_equal(prepare->err, 0);
			spoil_blobs(&a);
		}
		place = place_of(prepare);
		if (!before_prepare)
			order_perform(place, a.blobs, a.dest_fd);
		const struct order *last = before_prepare ? prepare : place;
		assert_true(last->err < 0 && last->files[0].lost && !last->files[2].done);
		assert_int_equal(last->files[2].err, -ECANCELED);
		assert_true(has_text(at(&a, "site/old"), "old"));
		assert_true(blob_exists(&a, 3));
		NO_TEMPORARY(&a);
		order_free(prepare);
		order_free(place);
		creds_free(c);
		area_remove(&a);
	}
}

/* --- attacks ----------------------------------------------------------------------------------- */

static void link_out_of_the_tree(void **state)
{
	static const char *const paths[] = { "out/x.iso", "abs/x.iso" };
	struct creds *c = daemon_user(022);
	struct order *o;
	char outside[128];
	struct area a;

	area_make(&a, false);
	snprintf(outside, sizeof(outside), "%s/outside", a.dir);
	assert_int_equal(mkdir(outside, 0777), 0);
	assert_int_equal(symlink("../outside", at(&a, "out")), 0);
	assert_int_equal(symlink(outside, at(&a, "abs")), 0);
	make_blob(&a, 1);
	make_blob(&a, 2);
	o = complete(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 2, paths);
	assert_int_equal(o->files[0].err, -EACCES);
	assert_int_equal(o->files[1].err, -EACCES);
	assert_int_equal(rmdir(outside), 0); /* empty */
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

static void link_within_the_tree(void **state)
{
	static const char *const paths[] = { "a/up/x.iso" };
	struct creds *c = daemon_user(022);
	struct area a;

	area_make(&a, false);
	assert_int_equal(mkdir(at(&a, "a"), 0755), 0);
	assert_int_equal(mkdir(at(&a, "b"), 0755), 0);
	assert_int_equal(symlink("../b", at(&a, "a/up")), 0);
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, paths), 0);
	assert_true(has_content(at(&a, "b/x.iso"), 1));
	creds_free(c);
	area_remove(&a);
}

/* The parent becomes a link out of the tree between PREPARE and PLACE. */
static void parent_is_exchanged(void **state)
{
	static const char *const paths[] = { "dir/x.iso" };
	struct creds *c = other_user();
	struct order *prepare, *o;
	char outside[128];
	struct area a;

	area_make(&a, false);
	snprintf(outside, sizeof(outside), "%s/outside", a.dir);
	assert_int_equal(mkdir(outside, 0777), 0);
	assert_int_equal(chmod(outside, 0777), 0);
	assert_int_equal(chown(a.dest, OTHER_UID, OTHER_GID), 0);
	make_blob(&a, 1);
	prepare = make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, paths);
	order_perform(prepare, a.blobs, a.dest_fd);
	assert_int_equal(prepare->err, 0);
	assert_int_equal(rename(at(&a, "dir"), at(&a, "was")), 0);
	assert_int_equal(symlink(outside, at(&a, "dir")), 0);
	o = place_of(prepare);
	order_perform(o, a.blobs, a.dest_fd);
	assert_int_equal(o->err, -EACCES);
	assert_true(blob_exists(&a, 1));
	assert_int_equal(rmdir(outside), 0);
	order_free(prepare);
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

static void where_he_may_not_write(void **state)
{
	static const char *const paths[] = { "x.iso", "new/y" };
	struct creds *c = other_user();
	struct order *o;
	struct area a;

	area_make(&a, false); /* dest: root's, 0755 */
	make_blob(&a, 1);
	make_blob(&a, 2);
	o = complete(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 2, paths);
	assert_int_equal(o->files[0].err, -EACCES);
	assert_int_equal(o->files[1].err, -EACCES);
	assert_int_equal(access(at(&a, "new"), F_OK), -1);
	assert_true(blob_exists(&a, 1));
	order_free(o);
	creds_free(c);
	area_remove(&a);
}

/* A sticky directory: another's file may not be replaced. */
static void sticky_directory(void **state)
{
	struct creds *c = other_user();
	struct area a;

	area_make(&a, false);
	assert_int_equal(chmod(a.dest, 01777), 0);
	write_text(at(&a, "x.iso"), "root's");
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one), -EPERM);
	assert_true(has_text(at(&a, "x.iso"), "root's"));
	NO_TEMPORARY(&a);
	creds_free(c);
	area_remove(&a);
}

/* The link at the target's own name is replaced, not followed. */
static void target_is_a_link(void **state)
{
	struct creds *c = daemon_user(022);
	struct area a;

	area_make(&a, false);
	write_text(at(&a, "precious"), "mine");
	assert_int_equal(symlink("precious", at(&a, "x.iso")), 0);
	assert_int_equal(complete_new(&a, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, one), 0);
	assert_true(has_content(at(&a, "x.iso"), 1));
	assert_true(has_text(at(&a, "precious"), "mine"));
	creds_free(c);
	area_remove(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_file),
		cmocka_unit_test(belongs_to_who_completes),
		cmocka_unit_test(setgid_directory_gives_its_group),
		cmocka_unit_test(default_acl_is_inherited),
		cmocka_unit_test(other_filesystem),
		cmocka_unit_test(keep_leaves_what_is_there),
		cmocka_unit_test(number_takes_the_first_free),
		cmocka_unit_test(target_is_a_directory),
		cmocka_unit_test(others_are_placed),
		cmocka_unit_test(long_name),
		cmocka_unit_test(many_files),
		cmocka_unit_test(tree_replaces_whole_directory),
		cmocka_unit_test(tree_refusals),
		cmocka_unit_test(tree_numbered),
		cmocka_unit_test(lost_blobs_are_not_placed),
		cmocka_unit_test(lost_blobs_are_not_copied),
		cmocka_unit_test(blob_lost_before_its_name),
		cmocka_unit_test(blob_lost_a_moment_before),
		cmocka_unit_test(tree_with_lost_blobs),
		cmocka_unit_test(link_out_of_the_tree),
		cmocka_unit_test(link_within_the_tree),
		cmocka_unit_test(parent_is_exchanged),
		cmocka_unit_test(where_he_may_not_write),
		cmocka_unit_test(sticky_directory),
		cmocka_unit_test(target_is_a_link),
	};

	return cmocka_run_group_tests(tests, area_setup, NULL);
}
