/* The files of a job: what readers see and when, and what it costs. */
#include "model/files.h"

#include "files_turn.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC true /* mallinfo2 knows nothing of the sanitizers' */
#else
#define OWN_MALLOC false
#endif

static void drafts_are_not_seen(void **state)
{
	struct turn t = begin();
	struct node node;
	uint32_t x, dir;

	assert_int_equal(add(&t, "sub/dir/x", &x), 0);
	assert_int_equal(files_lookup(t.files, NODE_ROOT, "sub"), NODE_NONE);
	assert_int_equal(files_next_child(t.files, NODE_ROOT, NODE_ROOT), NODE_NONE);
	assert_int_equal(files_next_file(t.files, NODE_ROOT), NODE_NONE);
	assert_false(files_node(t.files, x, &node));
	assert_true(files_draft_node(t.files, x, &node));
	assert_string_equal(node.name, "x");
	assert_null(file_now(t.files, x));
	assert_non_null(file_draft(t.files, x));
	assert_int_equal(files_find_path(t.files, "sub/dir/x"), x);
	assert_int_equal(t.draft->tally.files, 1);
	assert_int_equal(t.now->tally.files, 0);

	publish(&t);
	dir = files_lookup(t.files, files_lookup(t.files, NODE_ROOT, "sub"), "dir");
	assert_int_equal(files_lookup(t.files, dir, "x"), x);
	assert_true(files_node(t.files, dir, &node));
	assert_true(node.is_dir);
	assert_int_equal(files_count(t.files), 1);
	assert_int_equal(file_now(t.files, x)->state, FILE_QUEUED);
	assert_int_equal(file_now(t.files, x)->size, SIZE_UNKNOWN);
	assert_null(file_now(t.files, dir));

	assert_int_equal(set(&t, x, FILE_QUEUED, 30, 100), 0);
	assert_int_equal(file_got(file_now(t.files, x)), 0);
	assert_int_equal(file_got(file_draft(t.files, x)), 30);
	drop(&t);
	assert_int_equal(file_got(file_draft(t.files, x)), 0);
	assert_int_equal(t.draft->tally.bytes, 0);
	finish(&t);
}

static void names_that_cannot_be(void **state)
{
	struct turn t = begin();
	uint32_t id;

	assert_int_equal(add(&t, "a/b", NULL), 0);
	assert_int_equal(add(&t, "a/b", NULL), -EEXIST);
	assert_int_equal(add(&t, "a", NULL), -EISDIR);
	assert_int_equal(add(&t, "a/b/c", NULL), -ENOTDIR);
	assert_int_equal(files_mkdir(t.files, "a", &id), -EEXIST);
	assert_int_equal(files_mkdir(t.files, "a/b", &id), -EEXIST);
	assert_int_equal(files_mkdir(t.files, "a/b/c", &id), -ENOTDIR);
	publish(&t);
	assert_int_equal(add(&t, "a/b", NULL), -EEXIST);
	assert_int_equal(add(&t, "new/deep//x", NULL), -EINVAL);
	assert_int_equal(files_find_path(t.files, "new"), NODE_NONE); /* nothing stays */
	assert_int_equal(files_next_draft(t.files, NODE_ROOT), NODE_NONE);
	finish(&t);
}

static void paths(void **state)
{
	struct turn t = begin();
	cleanup_free char *path = NULL;
	uint32_t id;

	assert_int_equal(add(&t, "sub/dir/some file", &id), 0);
	assert_int_equal(files_path(t.files, id, &path), 0);
	assert_string_equal(path, "sub/dir/some file");
	assert_int_equal(files_path(t.files, id + 1, &path), -ENOENT);
	assert_int_equal(files_find_path(t.files, "sub/dir/some"), NODE_NONE);
	assert_int_equal(files_find_path(t.files, "sub/dir/some file/x"), NODE_NONE);
	finish(&t);
}

static void removing(void **state)
{
	struct turn t = begin();
	uint32_t x, dir, again;

	assert_int_equal(add(&t, "d/x", &x), 0);
	assert_int_equal(set(&t, x, FILE_TRANSFERRED, 10, 10), 0);
	publish(&t);
	dir = files_lookup(t.files, NODE_ROOT, "d");
	assert_int_equal(files_remove(t.files, t.draft, NODE_ROOT), -EBUSY);
	assert_int_equal(files_remove(t.files, t.draft, dir), -ENOTEMPTY);
	assert_int_equal(files_remove(t.files, t.draft, x), 0);
	check(&t);
	assert_int_equal(files_remove(t.files, t.draft, x), -ENOENT);
	assert_int_equal(set(&t, x, FILE_QUEUED, 0, SIZE_UNKNOWN), -ENOENT);
	assert_null(file_draft(t.files, x));
	assert_int_equal(t.draft->tally.files, 0);
	assert_int_equal(t.draft->tally.bytes, 0);
	assert_int_equal(files_lookup(t.files, dir, "x"), x); /* readers still see it */
	assert_int_equal(file_got(file_now(t.files, x)), 10);

	/* rm and add within one turn: the successor has the name at once, and its own id */
	assert_int_equal(add(&t, "d/x", &again), 0);
	assert_int_not_equal(again, x);
	assert_int_equal(files_find_path(t.files, "d/x"), again);
	assert_int_equal(files_lookup(t.files, dir, "x"), x);
	publish(&t);
	assert_int_equal(files_lookup(t.files, dir, "x"), again);
	assert_null(file_now(t.files, x));
	assert_null(file_source(t.files, x));

	assert_int_equal(files_remove(t.files, t.draft, again), 0);
	assert_int_equal(files_remove(t.files, t.draft, dir), 0);
	drop(&t);
	assert_int_equal(files_remove(t.files, t.draft, dir), -ENOTEMPTY);
	assert_int_equal(files_remove(t.files, t.draft, again), 0);
	assert_int_equal(files_remove(t.files, t.draft, dir), 0);
	publish(&t);
	assert_int_equal(files_next_child(t.files, NODE_ROOT, NODE_ROOT), NODE_NONE);
	assert_int_equal(files_count(t.files), 0);

	/* A directory that came and went in one turn, with what was in it. */
	assert_int_equal(add(&t, "e/f", &x), 0);
	assert_int_equal(files_remove(t.files, t.draft, x), 0);
	assert_int_equal(files_remove(t.files, t.draft, files_find_path(t.files, "e")), 0);
	check(&t);
	publish(&t);
	assert_int_equal(files_next_child(t.files, NODE_ROOT, NODE_ROOT), NODE_NONE);
	finish(&t);
}

static void store_is_told_each_draft_once(void **state)
{
	struct turn t = begin();
	uint32_t old, gone, fresh, dir, id;

	assert_int_equal(add(&t, "old", &old), 0);
	assert_int_equal(add(&t, "gone", &gone), 0);
	publish(&t);
	assert_int_equal(files_next_draft(t.files, NODE_ROOT), NODE_NONE);
	assert_int_equal(set(&t, old, FILE_QUEUED, 1, 5), 0);
	assert_int_equal(add(&t, "dir/fresh", &fresh), 0);
	assert_int_equal(set(&t, old, FILE_QUEUED, 2, 5), 0);
	assert_int_equal(files_remove(t.files, t.draft, gone), 0);
	dir = files_find_path(t.files, "dir");

	id = files_next_draft(t.files, NODE_ROOT);
	assert_int_equal(id, old);
	assert_false(files_draft_is_new(t.files, id) || files_draft_is_gone(t.files, id));
	id = files_next_draft(t.files, id);
	assert_int_equal(id, dir); /* before what is in it */
	assert_true(files_draft_is_new(t.files, id));
	assert_null(file_draft(t.files, id));
	id = files_next_draft(t.files, id);
	assert_int_equal(id, fresh);
	assert_true(files_draft_is_new(t.files, id));
	id = files_next_draft(t.files, id);
	assert_int_equal(id, gone);
	assert_true(files_draft_is_gone(t.files, id));
	assert_int_equal(files_next_draft(t.files, id), NODE_NONE);
	finish(&t);
}

static void sums(void **state)
{
	struct turn t = begin();
	uint32_t a, b, c;

	assert_int_equal(add(&t, "a", &a), 0);
	assert_int_equal(add(&t, "b", &b), 0);
	assert_int_equal(add(&t, "c", &c), 0);
	assert_int_equal(t.draft->tally.unknown, 3);
	assert_int_equal(set(&t, a, FILE_TRANSFERRED, 100, 100), 0);
	assert_int_equal(set(&t, b, FILE_FAILED, 40, 200), 0);
	assert_int_equal(set(&t, c, FILE_WAITING, 5, SIZE_UNKNOWN), 0);
	publish(&t);
	assert_int_equal(t.now->tally.bytes, 145);
	assert_int_equal(t.now->tally.total, 300);
	assert_int_equal(t.now->tally.unknown, 1);
	assert_int_equal(t.now->tally.transferred, 1);
	assert_int_equal(t.now->tally.failed, 1);
	assert_int_equal(t.now->tally.waiting, 1);
	assert_int_equal(t.now->tally.unsynced, 3);
	assert_int_equal(set(&t, b, FILE_QUEUED, 0, SIZE_UNKNOWN), 0); /* from 0 again */
	assert_int_equal(t.draft->tally.bytes, 105);
	assert_int_equal(t.draft->tally.total, 100);
	finish(&t);
}

static void live_progress(void **state)
{
	struct turn t = begin();
	struct live live = { .rate = 7 };
	uint32_t a, b;

	assert_int_equal(add(&t, "a", &a), 0);
	assert_int_equal(files_set_live(t.files, a, &live), -ENOENT); /* not visible yet */
	assert_int_equal(add(&t, "b", &b), 0);
	publish(&t);
	assert_int_equal(extents_add(&live.have, 0, 50), 0);
	assert_int_equal(files_set_live(t.files, a, &live), 0);
	assert_int_equal(files_set_live(t.files, b, &live), 0);
	assert_int_equal(files_live_bytes(t.files), 100);
	assert_int_equal(files_live_rate(t.files), 14);
	assert_int_equal(extents_total(&file_live(t.files, a)->have), 50);

	/* What is saved is not counted twice. */
	assert_int_equal(set(&t, a, FILE_TRANSFERRING, 30, 100), 0);
	assert_int_equal(files_live_bytes(t.files), 100);
	publish(&t);
	assert_int_equal(files_live_bytes(t.files), 70);
	assert_int_equal(set(&t, a, FILE_TRANSFERRED, 100, 100), 0);
	publish(&t);
	assert_int_equal(files_live_bytes(t.files), 50);
	assert_int_equal(files_set_live(t.files, a, NULL), 0);
	assert_null(file_live(t.files, a));
	assert_int_equal(files_live_rate(t.files), 7);

	/* The end of the file is the end of its progress. */
	assert_int_equal(files_remove(t.files, t.draft, b), 0);
	publish(&t);
	assert_int_equal(files_live_bytes(t.files), 0);
	assert_int_equal(files_live_rate(t.files), 0);
	extents_release(&live.have);
	finish(&t);
}

static uint32_t add_from(struct turn *t, const char *name, const char *url, const char *extra)
{
	struct source source = { .url = strdup(url) };
	uint32_t id;

	assert_int_equal(addline_parse_extra(extra, &source), 0);
	assert_int_equal(files_add(t->files, t->draft, name, &source, &id), 0);
	check(t);
	return id;
}

static void assert_source(const struct source *s, const char *url, const char *extra)
{
	cleanup_free char *text = NULL;

	assert_string_equal(s->url, url);
	assert_int_equal(addline_format_extra(s, &text), 0);
	assert_string_equal(text, extra);
}

#define MIRROR " md5=00112233445566778899aabbccddeeff size=100 mirror=https://m/x mirror=https://n/y range=0-9,20-"
#define LOGGED " md5=00112233445566778899aabbccddeeff size=100 mirror=https://bob@m/x mirror=https://n/y range=0-9,20-"

static void logins_are_dropped_by_a_draft(void **state)
{
	struct turn t = begin();
	uint32_t plain = add_from(&t, "plain", "https://h/x@y", ""), own = add_from(&t, "own", "ftp://al:pw@h/x", "");
	uint32_t mirror = add_from(&t, "d/mirror", "https://h/x", LOGGED), gone = add_from(&t, "gone", "ftp://a@h/x", "");
	uint32_t changed = 0;

	assert_int_equal(t.draft->tally.logins, 3);
	assert_int_equal(set(&t, own, FILE_QUEUED, 5, 10), 0);
	publish(&t);
	assert_int_equal(t.now->tally.logins, 3);
	assert_int_equal(files_remove(t.files, t.draft, gone), 0);
	assert_int_equal(t.draft->tally.logins, 2);
	assert_int_equal(set(&t, own, FILE_QUEUED, 6, 10), 0);
	assert_int_equal(files_drop_logins(t.files, t.draft), 0);
	check(&t);
	assert_int_equal(t.draft->tally.logins, 0);
	assert_source(file_source(t.files, own), "ftp://al:pw@h/x", ""); /* what readers see */
	assert_false(files_draft_drops_login(t.files, plain));
	for (uint32_t id = NODE_ROOT; (id = files_next_draft(t.files, id)) != NODE_NONE; changed++) {
		cleanup_source struct source saved = { .url = NULL };

		if (id == gone)
			continue;
		assert_true(files_draft_drops_login(t.files, id));
		assert_int_equal(source_without_login(file_source(t.files, id), &saved), 0);
		if (id == own)
			assert_source(&saved, "ftp://h/x", "");
		else
			assert_source(&saved, "https://h/x", MIRROR);
	}
	assert_int_equal(changed, 3);
	drop(&t);
	assert_int_equal(t.draft->tally.logins, 3);
	assert_source(file_source(t.files, mirror), "https://h/x", LOGGED);

	assert_int_equal(files_drop_logins(t.files, t.draft), 0);
	assert_int_equal(set(&t, own, FILE_QUEUED, 7, 10), 0);
	publish(&t);
	assert_int_equal(t.now->tally.logins, 0);
	assert_source(file_source(t.files, plain), "https://h/x@y", "");
	assert_source(file_source(t.files, own), "ftp://h/x", "");
	assert_source(file_source(t.files, mirror), "https://h/x", MIRROR);
	assert_int_equal(file_got(file_now(t.files, own)), 7);
	assert_int_equal(files_drop_logins(t.files, t.draft), 0);
	assert_int_equal(files_next_draft(t.files, NODE_ROOT), NODE_NONE);

	/* A file that is new in the same turn. */
	own = add_from(&t, "new", "ftp://al:pw@h/x", "");
	assert_int_equal(files_drop_logins(t.files, t.draft), 0);
	publish(&t);
	assert_source(file_source(t.files, own), "ftp://h/x", "");
	finish(&t);
}

/* What readdir returns goes on at an offset that may be of something removed meanwhile. */
static void readdir_goes_on_after_removals(void **state)
{
	enum { MANY = 100000 };
	struct turn t = begin();
	uint32_t id = NODE_ROOT, seen = 0;
	char name[16];

	for (int i = 0; i < MANY; i++) {
		struct source source = { .url = strdup("u") };

		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(files_add(t.files, t.draft, name, &source, &id), 0);
	}
	publish(&t);
	id = NODE_ROOT;
	while ((id = files_next_child(t.files, NODE_ROOT, id)) != NODE_NONE)
		assert_int_equal(id, ++seen);
	assert_int_equal(seen, MANY);

	for (uint32_t i = 1; i <= MANY; i++)
		if (i % 100)
			assert_int_equal(files_remove(t.files, t.draft, i), 0);
	publish(&t);
	assert_int_equal(files_next_child(t.files, NODE_ROOT, 50), 100);
	assert_int_equal(files_next_child(t.files, NODE_ROOT, 99), 100);
	assert_int_equal(files_next_child(t.files, NODE_ROOT, 100), 200);
	assert_int_equal(files_next_file(t.files, 100), 200);
	assert_int_equal(files_count(t.files), MANY / 100);
	seen = 0;
	for (id = NODE_ROOT; (id = files_next_child(t.files, NODE_ROOT, id)) != NODE_NONE; seen++)
		assert_int_equal(id % 100, 0);
	assert_int_equal(seen, MANY / 100);
	finish(&t);
}

static int restore(struct turn *t, uint32_t id, uint32_t parent, const char *name, bool is_dir,
	uint64_t size)
{
	const struct node node = { .id = id, .parent = parent, .is_dir = is_dir, .name = name };
	struct source source = { .url = is_dir ? NULL : strdup("https://example.org/x") };
	struct file version = { .size = size, .mtime = MTIME_UNKNOWN };
	int r = files_restore(t->files, t->now, &node, is_dir ? NULL : &source,
		size ? &version : NULL);

	source_release(&source);
	files_assert_sane(t->files, t->now);
	return r;
}

static void loading_keeps_ids(void **state)
{
	struct turn t = begin();
	uint32_t id;

	assert_int_equal(restore(&t, 3, NODE_ROOT, "d", true, 0), 0);
	assert_int_equal(restore(&t, 70000, 3, "x", false, 55), 0);
	assert_int_equal(restore(&t, 70000, 3, "y", false, 0), -EINVAL);
	assert_int_equal(restore(&t, 70001, 3, "x", false, 0), -EINVAL);
	assert_int_equal(restore(&t, 70001, 70000, "z", false, 0), -EINVAL);
	assert_int_equal(restore(&t, 70001, 12, "z", false, 0), -EINVAL);
	assert_int_equal(restore(&t, 70001, 3, "", false, 0), -EINVAL);
	assert_int_equal(restore(&t, 70003, 3, "y", false, 0), 0);
	assert_int_equal(t.now->tally.files, 2);
	assert_int_equal(t.now->tally.total, 55);
	assert_int_equal(files_lookup(t.files, 3, "x"), 70000);
	assert_int_equal(files_next_file(t.files, 3), 70000);
	assert_int_equal(files_next_file(t.files, 70000), 70003);
	assert_null(file_now(t.files, 5000));
	assert_int_equal(files_next_draft(t.files, NODE_ROOT), NODE_NONE);
	job_free(t.draft);
	assert_int_equal(job_clone(t.now, &t.draft), 0);
	assert_int_equal(add(&t, "d/z", &id), 0);
	assert_int_equal(id, 70004);
	finish(&t);
}

static void versions_copy(void **state)
{
	struct file f = { .state = FILE_FAILED, .size = 9, .tries = 3, .generation = 2 }, copy;

	assert_int_equal(extents_add(&f.have, 2, 5), 0);
	f.validator = strdup("etag \"x\"");
	f.fault = fault_new(3, 404, 0, "not there", 11);
	assert_int_equal(file_copy(&f, &copy), 0);
	file_release(&f);
	assert_string_equal(copy.validator, "etag \"x\"");
	assert_string_equal(copy.fault->text, "not there");
	assert_int_equal(file_got(&copy), 3);
	assert_int_equal(copy.tries, 3);
	file_release(&copy);
	for (int i = 0; i < FILE_STATE_MAX; i++) {
		enum file_state s;

		assert_int_equal(file_state_from_word(file_state_word((enum file_state)i), &s), 0);
		assert_int_equal(s, i);
	}
}

/* --- memory ----------------------------------------------------------------------------------- */

static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void a_queued_file_is_cheap(void **state)
{
	enum { MANY = 100000, LIMIT = 250 };
	char path[32], url[64];
	struct turn t;
	size_t before, used;

	if (OWN_MALLOC)
		skip();
	t = begin();
	before = in_use();
	for (int i = 0; i < MANY; i++) {
		struct source source = { 0 };
		uint32_t id;

		snprintf(path, sizeof(path), "pool/%02d/package-%06d.deb", i % 50, i);
		snprintf(url, sizeof(url), "https://mirror.example.org/debian/pool/%02d/%06d.deb",
			i % 50, i);
		source.url = strdup(url);
		assert_int_equal(files_add(t.files, t.draft, path, &source, &id), 0);
	}
	files_publish(t.files);
	files_reap(t.files);
	used = in_use() - before;
	print_message("%zu bytes per queued file\n", used / MANY);
	assert_true(used / MANY < LIMIT);
	/* A file that begins and starts anew costs as little again. */
	for (uint32_t id = NODE_ROOT; (id = files_next_file(t.files, id)) != NODE_NONE;) {
		struct file version = { .size = SIZE_UNKNOWN, .mtime = MTIME_UNKNOWN };

		version.state = FILE_WAITING;
		assert_int_equal(files_set(t.files, t.draft, id, &version), 0);
		version = (struct file){ .size = SIZE_UNKNOWN, .mtime = MTIME_UNKNOWN };
		assert_int_equal(files_set(t.files, t.draft, id, &version), 0);
	}
	files_publish(t.files);
	files_reap(t.files);
	assert_true((in_use() - before) / MANY < LIMIT);
	finish(&t);
}

static void a_small_job_is_cheap(void **state)
{
	enum { MANY = 1000, LIMIT = 1600 };
	struct turn *turns;
	size_t before, used;

	if (OWN_MALLOC)
		skip();
	turns = calloc(MANY, sizeof(*turns));
	before = in_use();
	for (int i = 0; i < MANY; i++) {
		turns[i] = begin();
		assert_int_equal(add(&turns[i], "file.bin", NULL), 0);
		publish(&turns[i]);
		job_free(turns[i].draft);
		turns[i].draft = NULL;
	}
	used = in_use() - before;
	print_message("%zu bytes per job of one file\n", used / MANY);
	assert_true(used / MANY < LIMIT);
	for (int i = 0; i < MANY; i++)
		finish(&turns[i]);
	free(turns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drafts_are_not_seen),
		cmocka_unit_test(names_that_cannot_be),
		cmocka_unit_test(paths),
		cmocka_unit_test(removing),
		cmocka_unit_test(store_is_told_each_draft_once),
		cmocka_unit_test(sums),
		cmocka_unit_test(live_progress),
		cmocka_unit_test(logins_are_dropped_by_a_draft),
		cmocka_unit_test(readdir_goes_on_after_removals),
		cmocka_unit_test(loading_keeps_ids),
		cmocka_unit_test(versions_copy),
		cmocka_unit_test(a_queued_file_is_cheap),
		cmocka_unit_test(a_small_job_is_cheap),
	};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
