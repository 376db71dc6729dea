/* The store: what comes back, and what damage, reboots and newer versions do. */
#include "area.h"

#include "base/io.h"
#include "disk/store.h"
#include "model/files.h"
#include "model/queue.h"
#include "model/retry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64], path[96];

static int setup(void **state)
{
	strcpy(dir, "/dev/shm/xferfs-store-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/queue.db", dir);
	return 0;
}

static unsigned files_in_dir(const char *with, bool delete)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d))) {
		n += e->d_name[0] != '.' && strstr(e->d_name, with);
		if (delete)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	return n;
}

static int teardown(void **state)
{
	files_in_dir("", true);
	return rmdir(dir);
}

/* --- making and looking ------------------------------------------------------------------------ */

static struct store *open_store(bool expect_set_aside)
{
	struct store *s;

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(store_is_fresh(s), expect_set_aside);
	return s;
}

static struct queue *load(struct store *s, uint64_t *ret_next)
{
	struct queue *q;

	assert_int_equal(queue_new(16, &q), 0);
	assert_int_equal(store_load(s, 0, q, ret_next), 0);
	queue_assert_sane(q);
	return q;
}

static struct job *new_job(uint64_t serial, const char *name)
{
	struct creds *c = creds_new(1000, 100, 027, 2, (const gid_t[]){ 100, 44 });
	struct job *j;

	assert_int_equal(job_new(serial, name, c, 1700000000, &j), 0);
	creds_free(c);
	return j;
}

static uint32_t add(struct job *j, const char *name, const char *url)
{
	struct source source = { .url = strdup(url) };
	uint32_t id;

	assert_int_equal(files_add(j->files, j, name, &source, &id), 0);
	return id;
}

static void set(struct job *j, const char *name, const char *value)
{
	const struct prop_rule *p = prop_find(name);
	const char *reason;

	assert_non_null(p);
	assert_int_equal(p->set(p, &j->props, value, &reason), 0);
}

static void save(struct store *s, struct job *j)
{
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_put_job(s, j), 0);
	assert_int_equal(store_put_drafts(s, j), 0);
	assert_int_equal(store_commit(s), 0);
	files_publish(j->files);
	files_reap(j->files);
}

static void drop(struct job *j)
{
	files_free(j->files);
	job_free(j);
}

static void save_simple(struct store *s, uint64_t serial, const char *name)
{
	struct job *j = new_job(serial, name);

	add(j, "f", "http://h/f");
	save(s, j);
	drop(j);
}

/* --- tests ------------------------------------------------------------------------------------- */

static void job_comes_back(void **state)
{
	struct store *s = open_store(false);
	struct job *j = new_job(9, "linux iso \xff");
	struct queue *q;
	uint64_t next;

	j->gid = 77;
	j->mode = 0750;
	j->state = JOB_COMPLETING;
	j->modified = 1700000001;
	j->transferred_at = 1700000002;
	j->last_alive = 1700000003;
	j->trouble_since = 1700000004;
	j->retry_at = 1700000005;
	j->active_seconds = UINT32_MAX;
	j->error_count = 6;
	j->was_transferred = true;
	j->prepared = true;
	j->notified = JOB_ERROR;
	j->completer = creds_new(1001, 101, 077, 0, NULL);
	j->fault = fault_new(OUTCOME_DISK_FULL, 0, ENOSPC, "No space: 5% left", 1700000006);
	set(j, "priority", "high");
	set(j, "destination", "a b/c");
	set(j, "credentials", "me:pass%word");
	set(j, "rate_limit", "12345");
	save(s, j);
	drop(j);
	store_close(s);

	s = open_store(false);
	q = load(s, &next);
	assert_int_equal(next, 10);
	assert_int_equal(queue_count(q), 1);
	const struct job *is = queue_find_name(q, "linux iso \xff");
	assert_non_null(is);
	assert_int_equal(is->serial, 9);
	assert_int_equal(is->uid, 1000);
	assert_int_equal(is->gid, 77);
	assert_int_equal(is->mode, 0750);
	assert_int_equal(is->state, JOB_COMPLETING);
	assert_int_equal(is->created, 1700000000);
	assert_int_equal(is->modified, 1700000001);
	assert_int_equal(is->transferred_at, 1700000002);
	assert_int_equal(is->last_alive, 1700000003);
	assert_int_equal(is->trouble_since, 1700000004);
	assert_int_equal(is->retry_at, 1700000005);
	assert_int_equal(is->active_seconds, UINT32_MAX);
	assert_int_equal(is->error_count, 6);
	assert_true(is->was_transferred);
	assert_true(is->prepared);
	assert_int_equal(is->notified, JOB_ERROR);
	assert_int_equal(is->owner->umask, 027);
	assert_true(is->owner->ngroups == 2 && creds_has_group(is->owner, 44));
	assert_int_equal(is->completer->uid, 1001);
	assert_int_equal(is->fault->outcome, OUTCOME_DISK_FULL);
	assert_int_equal(is->fault->err, ENOSPC);
	assert_int_equal(is->fault->since, 1700000006);
	assert_string_equal(is->fault->text, "No space: 5% left");
	assert_int_equal(is->props.priority, PRIORITY_HIGH);
	assert_string_equal(is->props.destination, "a b/c");
	assert_string_equal(is->props.credentials, "me:pass%word");
	assert_int_equal(is->props.rate_limit, 12345);
	queue_free(q);
	store_close(s);
}

/* Ids are in the names of blobs; a directory without files is the user's too. */
static void nodes_keep_their_ids(void **state)
{
	struct store *s = open_store(false);
	struct job *j = new_job(1, "j");
	struct queue *q;
	struct node node;
	uint32_t a, b, c, empty;
	uint64_t next;
	char *text;

	a = add(j, "sub/dir/a", "http://h/a");
	b = add(j, "b", "http://h/b");
	assert_int_equal(files_mkdir(j->files, "empty/inner", &empty), 0);
	save(s, j);
	assert_int_equal(files_remove(j->files, j, b), 0);
	c = add(j, "sub/c", "http://h/c");
	save(s, j);
	drop(j);
	store_close(s);

	s = open_store(false);
	q = load(s, &next);
	const struct job *is = queue_find(q, 1);
	assert_int_equal(is->tally.files, 2);
	assert_int_equal(files_find_path(is->files, "sub/dir/a"), a);
	assert_int_equal(files_find_path(is->files, "sub/c"), c);
	assert_int_equal(files_find_path(is->files, "b"), NODE_NONE);
	assert_int_equal(files_find_path(is->files, "empty/inner"), empty);
	assert_true(files_node(is->files, empty, &node) && node.is_dir);
	assert_int_equal(files_path(is->files, c, &text), 0);
	assert_string_equal(text, "sub/c");
	assert_string_equal(file_source(is->files, a)->url, "http://h/a");
	free(text);
	files_assert_sane(is->files, is);
	queue_free(q);
	store_close(s);
}

static struct file begun(enum file_state state, bool synced)
{
	struct file f = {
		.state = state, .synced = synced, .tries = 3, .generation = 2, .size = 1000, .mtime = -5,
		.validator = strdup("etag \"a b\""),
	};

	assert_int_equal(extents_add(&f.have, 0, 100), 0);
	assert_int_equal(extents_add(&f.have, 200, 300), 0);
	return f;
}

static void file_comes_back(void **state)
{
	struct store *s = open_store(false);
	struct job *j = new_job(1, "j");
	struct additions lines = { 0 };
	struct queue *q;
	uint64_t next;
	char *reason;
	uint32_t id, running, untouched;
	static const char line[] = "http://h/x x size=1000 mirror=http://m/x range=0-9,20-29 "
		"sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709\n";

	assert_int_equal(addline_parse(line, strlen(line),
		&(struct addline_rules){ .schemes = "http", .ranges_max = 9, .size_max = UINT64_MAX }, &lines, &reason), 0);
	assert_int_equal(files_add(j->files, j, lines.v[0].path, &lines.v[0].source, &id), 0);
	running = add(j, "running", "http://h/r");
	untouched = add(j, "untouched", "http://h/u");
	save(s, j);

	struct file f = begun(FILE_FAILED, true);
	f.unverified = true;
	f.dev = 2;
	f.ino = UINT64_MAX - 1;
	f.fault = fault_new(OUTCOME_HTTP_STATUS, 404, 0, "The server has no such file", 99);
	assert_int_equal(files_set(j->files, j, id, &f), 0);
	f = begun(FILE_TRANSFERRING, false);
	assert_int_equal(files_set(j->files, j, running, &f), 0);
	save(s, j);
	drop(j);
	store_close(s);

	s = open_store(false);
	q = load(s, &next);
	const struct job *is = queue_find(q, 1);
	const struct file *now = file_now(is->files, id);
	assert_int_equal(now->state, FILE_FAILED);
	assert_true(now->synced && now->unverified);
	assert_int_equal(now->tries, 3);
	assert_int_equal(now->generation, 2);
	assert_int_equal(now->size, 1000);
	assert_int_equal(now->mtime, -5);
	assert_int_equal(now->dev, 2);
	assert_true(now->ino == UINT64_MAX - 1);
	assert_int_equal(extents_total(&now->have), 200);
	assert_true(extents_contain(&now->have, 200, 300));
	assert_string_equal(now->validator, "etag \"a b\"");
	assert_int_equal(now->fault->http_status, 404);
	assert_string_equal(now->fault->text, "The server has no such file");
	const struct source *source = file_source(is->files, id);
	assert_int_equal(source->extra->digest_kind, DIGEST_SHA1);
	assert_int_equal(source->extra->digest[0], 0xda);
	assert_int_equal(source->extra->size, 1000);
	assert_string_equal(source->extra->mirrors[0], "http://m/x");
	assert_int_equal(source->extra->nranges, 2);
	/* What was running waits; a mere kill has lost nothing. */
	assert_int_equal(file_now(is->files, running)->state, FILE_QUEUED);
	assert_int_equal(extents_total(&file_now(is->files, running)->have), 200);
	assert_int_equal(file_now(is->files, untouched)->state, FILE_QUEUED);
	assert_true(file_now(is->files, untouched)->size == SIZE_UNKNOWN);
	queue_free(q);
	store_close(s);
	additions_release(&lines);
}

/* Behind the back of the store, which is closed. */
static int forge(const char *sql)
{
	sqlite3 *db;
	int changes;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	changes = sqlite3_changes(db);
	sqlite3_close(db);
	return changes;
}

/* As if the machine had been started since. */
static void forge_boot(void)
{
	assert_int_equal(forge("UPDATE meta SET value = 'another' WHERE name = 'boot'"), 1);
}

static void reboot_takes_what_was_not_synced(void **state)
{
	struct store *s = open_store(false);
	struct job *j = new_job(1, "j");
	struct queue *q;
	uint64_t next;
	uint32_t synced, loose, placed;

	queue_free(load(s, &next)); /* saves the boot id */
	synced = add(j, "synced", "http://h/s");
	loose = add(j, "loose", "http://h/l");
	placed = add(j, "placed", "http://h/p");
	struct file f = begun(FILE_QUEUED, true);
	assert_int_equal(files_set(j->files, j, synced, &f), 0);
	f = begun(FILE_TRANSFERRED, false);
	assert_int_equal(files_set(j->files, j, loose, &f), 0);
	f = begun(FILE_COMPLETED, false);
	assert_int_equal(files_set(j->files, j, placed, &f), 0);
	save(s, j);
	drop(j);
	store_close(s);
	forge_boot();

	/* The second time nothing is left to be told from the boot id. */
	for (int i = 0; i < 2; i++) {
		s = open_store(false);
		q = load(s, &next);
		const struct job *is = queue_find(q, 1);
		assert_int_equal(extents_total(&file_now(is->files, synced)->have), 200);
		assert_int_equal(file_now(is->files, synced)->generation, 2);
		assert_int_equal(file_now(is->files, loose)->state, FILE_QUEUED);
		assert_int_equal(extents_total(&file_now(is->files, loose)->have), 0);
		assert_null(file_now(is->files, loose)->validator);
		assert_int_equal(file_now(is->files, loose)->generation, 3); /* another blob */
		assert_int_equal(file_now(is->files, placed)->state, FILE_COMPLETED);
		queue_free(q);
		store_close(s);
	}
}

static void results_and_serials(void **state)
{
	struct store *s = open_store(false);
	struct result r = {
		.serial = 41, .name = "done", .uid = 1000, .gid = 100, .mode = 0700, .state = JOB_ACKNOWLEDGED, .partial = true,
		.files_saved = 3, .files_dropped = 2, .leftovers = 1, .bytes = 1ull << 40, .created = 100, .ended = 200,
		.ended_by = 1001, .reason = "command",
	};
	const struct result *const *all;
	struct queue *q;
	uint64_t next;

	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_put_result(s, &r), 0);
	r.serial = 40;
	r.ended = 50;
	assert_int_equal(store_put_result(s, &r), 0);
	assert_int_equal(store_commit(s), 0);
	store_close(s);

	s = open_store(false);
	q = load(s, &next);
	assert_int_equal(next, 42); /* never the serial of a job that has ended */
	assert_int_equal(history_all(queue_history(q), &all), 2);
	assert_int_equal(all[0]->serial, 40); /* oldest first */
	const struct result *is = history_last(queue_history(q), "done");
	assert_int_equal(is->serial, 41);
	assert_true(is->partial && is->files_saved == 3 && is->files_dropped == 2 && is->leftovers == 1);
	assert_true(is->bytes == 1ull << 40 && is->created == 100 && is->ended == 200 && is->ended_by == 1001);
	assert_int_equal(is->state, JOB_ACKNOWLEDGED);
	assert_string_equal(is->reason, "command");
	queue_free(q);

	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_prune_results(s, 300), 0);
	assert_int_equal(store_put_next_serial(s, 1000), 0);
	assert_int_equal(store_put_setting(s, "network", "metered"), 0);
	assert_int_equal(store_commit(s), 0);
	store_close(s);

	s = open_store(false);
	char *value;
	q = load(s, &next);
	assert_int_equal(next, 1000);
	assert_int_equal(history_all(queue_history(q), &all), 0);
	assert_int_equal(store_get_setting(s, "network", &value), 0);
	assert_string_equal(value, "metered");
	assert_int_equal(store_get_setting(s, "boot", &value), -ENOENT); /* not the store's own */
	free(value);
	queue_free(q);
	store_close(s);
}

static void turns(void **state)
{
	struct store *s = open_store(false);
	struct queue *q;
	uint64_t next;

	save_simple(s, 1, "kept");
	save_simple(s, 2, "dropped");
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_drop_job(s, 1), 0);
	store_rollback(s);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_drop_job(s, 2), 0);
	assert_int_equal(store_commit(s), 0);
	store_close(s);

	s = open_store(false);
	q = load(s, &next);
	assert_non_null(queue_find_name(q, "kept"));
	assert_null(queue_find_name(q, "dropped"));
	assert_int_equal(queue_find(q, 1)->tally.files, 1);
	queue_free(q);
	store_close(s);
}

static void no_database_at_all(void **state)
{
	struct store *s;

	write_text(path, "this is no database, but it is long enough to be looked at as one; so much text "
		"that the header, which has a hundred bytes, is all there");
	s = open_store(true);
	assert_true(store_is_fresh(s));
	save_simple(s, 1, "new");
	assert_int_equal(files_in_dir("damaged-", false), 1);
	store_close(s);
	s = open_store(false);
	store_close(s);
}

/* Damage within the tables shows only when they are read. */
static void damaged_page(void **state)
{
	struct store *s = open_store(false);
	struct job *j = new_job(1, "big");
	char zeros[4096] = "";
	struct stat st;
	struct queue *q;
	uint64_t next;

	for (int i = 0; i < 3000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file-%d", i);
		add(j, name, "http://host.example.org/a/long/enough/path");
	}
	save(s, j);
	drop(j);
	store_close(s);
	assert_int_equal(stat(path, &st), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	for (off_t at_page = 8; at_page < st.st_size / 4096; at_page += 3)
		assert_int_equal(io_pwrite_all(fd, zeros, sizeof(zeros), at_page * 4096), 0);
	close(fd);

	s = open_store(false);
	q = load(s, &next);
	assert_true(store_is_fresh(s));
	assert_int_equal(queue_count(q), 0);
	assert_true(files_in_dir("damaged-", false) >= 1);
	save_simple(s, next, "new");
	queue_free(q);
	store_close(s);
}

static void older_version_is_migrated(void **state)
{
	struct store *s = open_store(false);
	struct queue *q;
	uint64_t next;

	save_simple(s, 1, "old");
	store_close(s);
	forge("ALTER TABLE jobs DROP COLUMN prepared; PRAGMA user_version = 1");
	for (int i = 0; i < 2; i++) {
		s = open_store(false);
		q = load(s, &next);
		assert_non_null(queue_find_name(q, "old"));
		assert_false(queue_find_name(q, "old")->prepared);
		queue_free(q);
		store_close(s);
	}
}

static void newer_version_is_refused(void **state)
{
	struct store *s = open_store(false);

	store_close(s);
	forge("PRAGMA user_version = 1000");
	assert_int_equal(store_open(path, &s), -EPROTO);
	assert_int_equal(files_in_dir("damaged-", false), 0);
}

static void second_opener_is_refused(void **state)
{
	struct store *s = open_store(false), *other;

	assert_int_equal(store_open(path, &other), -EBUSY);
	store_close(s);
}

/* Two jobs may change names with each other in one turn. */
static void names_are_exchanged(void **state)
{
	struct store *s = open_store(false);
	struct job *a = new_job(1, "b"), *b = new_job(2, "a");
	struct queue *q;
	uint64_t next;

	save_simple(s, 1, "a");
	save_simple(s, 2, "b");
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_put_job(s, a), 0);
	assert_int_equal(store_put_job(s, b), 0);
	assert_int_equal(store_commit(s), 0);
	q = load(s, &next);
	assert_int_equal(queue_find_name(q, "b")->serial, 1);
	assert_int_equal(queue_find_name(q, "a")->serial, 2);
	drop(a);
	drop(b);
	queue_free(q);
	store_close(s);
}

/* --- a disk that fails ------------------------------------------------------------------------- */

static sqlite3_vfs failing_vfs;
static sqlite3_io_methods failing_methods[2]; /* of databases, which are locked, and of logs */
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static int (*real_sync)(sqlite3_file *, int);
static bool sync_fails;

static int failing_sync(sqlite3_file *file, int flags)
{
	return sync_fails ? SQLITE_IOERR_FSYNC : real_sync(file, flags);
}

static int failing_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	int code = real_open(vfs, name, file, flags, ret_flags);

	if (code == SQLITE_OK && file->pMethods) {
		sqlite3_io_methods *methods = &failing_methods[!(flags & SQLITE_OPEN_MAIN_DB)];

		real_sync = file->pMethods->xSync;
		*methods = *file->pMethods;
		methods->xSync = failing_sync;
		file->pMethods = methods;
	}
	return code;
}

static int setup_failing(void **state)
{
	failing_vfs = *sqlite3_vfs_find(NULL);
	failing_vfs.zName = "failing";
	real_open = failing_vfs.xOpen;
	failing_vfs.xOpen = failing_open;
	sync_fails = false;
	return sqlite3_vfs_register(&failing_vfs, 1) == SQLITE_OK ? setup(state) : -1;
}

static int teardown_failing(void **state)
{
	sqlite3_vfs_unregister(&failing_vfs);
	return teardown(state);
}

/* What is on the disk now, as a daemon started after a crash finds it: whether it has that job. */
static bool found_after_crash(const char *name)
{
	char was[sizeof(path)], command[512];
	struct queue *q;
	struct store *s;
	uint64_t next;
	bool found;

	memcpy(was, path, sizeof(was));
	snprintf(command, sizeof(command), "cp %s %s/crash.db && cp %s-wal %s/crash.db-wal", path, dir, path, dir);
	assert_int_equal(system(command), 0);
	strcpy(path + strlen(dir), "/crash.db");
	s = open_store(false);
	q = load(s, &next);
	found = queue_find_name(q, name) != NULL;
	queue_free(q);
	store_close(s);
	memcpy(path, was, sizeof(path));
	return found;
}

static int try_commit(struct store *s, uint64_t serial, const char *name)
{
	struct job *j = new_job(serial, name);
	int r = store_begin(s);

	if (r == 0) {
		assert_int_equal(store_put_job(s, j), 0);
		r = store_commit(s);
	}
	drop(j);
	return r;
}

/* The frames of a commit whose sync failed are whole in the log; they must not come back. */
static void failed_commit_stays_failed(void **state)
{
	struct store *s = open_store(false);

	save_simple(s, 1, "before");
	sync_fails = true;
	assert_int_equal(try_commit(s, 2, "refused"), -EIO);
	assert_int_equal(try_commit(s, 3, "refused too"), -EIO);
	sync_fails = false;
	assert_int_equal(store_begin(s), 0);
	store_rollback(s);
	assert_true(found_after_crash("before"));
	assert_false(found_after_crash("refused"));
	assert_false(found_after_crash("refused too"));
	assert_int_equal(try_commit(s, 4, "after"), 0);
	assert_true(found_after_crash("after"));
	store_close(s);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(job_comes_back),
		TEST(nodes_keep_their_ids),
		TEST(file_comes_back),
		TEST(reboot_takes_what_was_not_synced),
		TEST(results_and_serials),
		TEST(turns),
		TEST(no_database_at_all),
		TEST(damaged_page),
		TEST(older_version_is_migrated),
		TEST(newer_version_is_refused),
		TEST(second_opener_is_refused),
		TEST(names_are_exchanged),
		cmocka_unit_test_setup_teardown(failed_commit_stays_failed, setup_failing, teardown_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
