/* The queue's database: opening, migrating, setting aside, turns, settings.
 *
 * Rows are written by store_put.c and read by store_load.c.
 */
#include "disk/store_impl.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const statement_texts[STATEMENT_MAX] = {
#define X(id, text) [ST_##id] = text,
	STATEMENTS(X)
#undef X
};

/* migrations[v] makes version v + 1 of version v. Released ones never change.
 *
 * A directory has no url; a file that has not begun has no state: most rows of a large queue are that
 * short. Sizes are the int64 of their bits: -1 is SIZE_UNKNOWN. */
static const char *const migrations[STORE_VERSION] = {
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE jobs (serial INTEGER PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL, uid INT, gid INT,"
	" mode INT, state TEXT NOT NULL, props TEXT NOT NULL, created INT, modified INT, transferred_at INT,"
	" last_alive INT, trouble_since INT, retry_at INT, active_seconds INT, error_count INT, fault TEXT,"
	" completer TEXT, was_transferred INT, notified TEXT);"
	"CREATE TABLE files (job INT, id INT, parent INT NOT NULL, name TEXT NOT NULL, url TEXT, extra TEXT, state TEXT,"
	" synced INT, unverified INT, tries INT, generation INT, size INT, mtime INT, have TEXT, validator TEXT,"
	" fault TEXT, dev INT, ino INT, PRIMARY KEY (job, id)) WITHOUT ROWID;"
	"CREATE TABLE results (serial INTEGER PRIMARY KEY, name TEXT NOT NULL, uid INT, gid INT, mode INT,"
	" state TEXT NOT NULL, partial INT, files_saved INT, files_dropped INT, leftovers INT, bytes INT,"
	" created INT, ended INT, ended_by INT, reason TEXT);",
	"ALTER TABLE jobs ADD COLUMN prepared INT;",
};

/* --- opening ----------------------------------------------------------------------------------- */

static int read_version(sqlite3 *db, int *ret)
{
	sqlite3_stmt *st;
	int r = sql_prepare(db, "PRAGMA user_version", &st);

	if (r < 0)
		return r;
	r = sql_step(st);
	if (r == 1)
		*ret = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return r == 1 ? 0 : r < 0 ? r : -EBADMSG;
}

static int migrate(sqlite3 *db)
{
	char text[64];
	int version = 0;
	int r = read_version(db, &version);

	if (r < 0)
		return r;
	if (version < 0 || version > STORE_VERSION)
		return -EPROTO;
	if (version == STORE_VERSION)
		return 0;
	r = sql_exec(db, "BEGIN IMMEDIATE");
	for (; r == 0 && version < STORE_VERSION; version++)
		r = sql_exec(db, migrations[version]);
	snprintf(text, sizeof(text), "PRAGMA user_version = %d", STORE_VERSION);
	if (r == 0)
		r = sql_exec(db, text);
	return r < 0 ? r : sql_exec(db, "COMMIT");
}

/* EXCLUSIVE comes first: WAL then keeps its index in memory, not in a shared file. */
static int configure(sqlite3 *db)
{
	sqlite3_extended_result_codes(db, 1);
	return sql_exec(db,
		"PRAGMA locking_mode = EXCLUSIVE;"
		"PRAGMA journal_mode = WAL;"
		"PRAGMA synchronous = FULL;"
		"PRAGMA journal_size_limit = 16777216;"
		"PRAGMA temp_store = MEMORY;");
}

/* Prepared statements prove that the tables are there; a version without its tables is damage. */
static int prepare_all(struct store *s)
{
	for (int i = 0; i < STATEMENT_MAX; i++) {
		int r = sql_prepare(s->db, statement_texts[i], &s->st[i]);

		if (r < 0)
			return r == -EINVAL ? -EBADMSG : r;
	}
	return 0;
}

void store_disconnect(struct store *s)
{
	for (int i = 0; i < STATEMENT_MAX; i++) {
		sqlite3_finalize(s->st[i]);
		s->st[i] = NULL;
	}
	sqlite3_close(s->db);
	s->db = NULL;
	if (s->file >= 0)
		close(take_fd(&s->file));
}

/* A daemon that was killed may have written a commit to the log and not have synced it. It is found now,
 * shown and acted upon, so first it must be durable: SQLite takes what it finds. */
static int sync_log(const char *path)
{
	cleanup_free char *wal = NULL;

	if (asprintf(&wal, "%s-wal", path) < 0) {
		wal = NULL;
		return -ENOMEM;
	}
	cleanup_close int fd = open(wal, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return io_fdatasync(fd);
}

#define CHUNK (256 << 10)      /* bytes by which the database grows */
#define LOG_ROOM (4608L << 10) /* the log is written into the database after 1000 pages of 4 KiB, then begins anew */

/* Who cancels a job because the disk is full must not be told that it is full. So the room that the log takes
 * in the long run is taken now, and the database gets some for what the log carries into it. Without: saves
 * fail while the disk is full. */
static void take_room(const struct store *s)
{
	cleanup_free char *wal = NULL;
	int chunk = CHUNK;

	sqlite3_file_control(s->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
	sql_exec(s->db, "PRAGMA wal_checkpoint");
	if (asprintf(&wal, "%s-wal", s->path) < 0) {
		wal = NULL;
		return;
	}
	cleanup_close int fd = open(wal, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOG_ROOM);
}

int store_connect(struct store *s)
{
	int r = sync_log(s->path);

	if (r < 0)
		return r;
	/* NOMUTEX: one thread at a time has the store. */
	int code = sqlite3_open_v2(s->path, &s->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	r = s->db ? sql_error(s->db, code) : -ENOMEM;
	if (r == 0)
		r = configure(s->db);
	if (r == 0)
		r = migrate(s->db);
	if (r == 0)
		r = prepare_all(s);
	if (r < 0) {
		store_disconnect(s);
		return r;
	}
	take_room(s);
	/* O_PATH: to close any other descriptor of it would give SQLite's locks away. */
	s->file = open(s->path, O_PATH | O_CLOEXEC);
	return 0;
}

int store_set_aside(struct store *s)
{
	cleanup_free char *wal = NULL, *aside = NULL, *aside_wal = NULL;
	char moment[MOMENT_LEN];

	store_disconnect(s);
	format_moment(clock_wall(), moment);
	for (unsigned n = 0; !aside || access(aside, F_OK) == 0; n++) {
		free(take_ptr(aside));
		if (asprintf(&aside, n ? "%s.damaged-%s-%u" : "%s.damaged-%s", s->path, moment, n) < 0) {
			aside = NULL;
			return -ENOMEM;
		}
	}
	if (asprintf(&wal, "%s-wal", s->path) < 0 || asprintf(&aside_wal, "%s-wal", aside) < 0)
		return -ENOMEM;
	/* The log goes with its database: left here it would be replayed into the new one. */
	if (rename(wal, aside_wal) < 0 && errno != ENOENT)
		return -errno;
	if (rename(s->path, aside) < 0)
		return -errno;
	log_error("the queue's database is damaged; it was set aside as %s", aside);
	s->fresh = true;
	return store_connect(s);
}

int store_open(const char *path, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->file = -1;
	s->path = strdup(path);
	int r = s->path ? store_connect(s) : -ENOMEM;
	if (r == -EBADMSG)
		r = store_set_aside(s);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_disconnect(s);
	free(s->path);
	free(s);
}

bool store_is_fresh(const struct store *s)
{
	return s->fresh;
}

/* --- turns ------------------------------------------------------------------------------------- */

static int put_meta(struct store *s, const char *name, const char *value)
{
	sqlite3_stmt *st = s->st[ST_PUT_META];
	int r = sql_bind_text(st, 1, name);

	if (r == 0)
		r = sql_bind_text(st, 2, value);
	return r < 0 ? r : sql_run(st);
}

/* A COMMIT fails in WAL mode when its frames cannot be written or synced. SQLite then forgets them, but
 * they may stand whole in the file, and would be found valid if the process died then: a turn that the
 * user was told had failed. The next transaction is written over them, at the same place in the log
 * (wal.c: only a successful commit moves mxFrame), and a frame's checksum continues that of the one
 * before, so one small transaction ends the doubt. Until it succeeds nothing else is saved. */
static int resolve_doubt(struct store *s)
{
	if (!s->doubt)
		return 0;
	int r = sql_run(s->st[ST_BEGIN]);
	if (r == 0)
		r = put_meta(s, "doubt", "");
	if (r == 0)
		r = sql_run(s->st[ST_COMMIT]);
	if (r < 0) {
		store_rollback(s);
		return r;
	}
	s->doubt = false;
	return 0;
}

/* Who deletes the staging area takes the queue's names away; what is saved then is lost with the process. */
static bool is_deleted(const struct store *s)
{
	struct stat st;

	return s->file >= 0 && fstat(s->file, &st) == 0 && st.st_nlink == 0;
}

int store_begin(struct store *s)
{
	int r = is_deleted(s) ? -EIDRM : resolve_doubt(s);

	return r < 0 ? r : sql_run(s->st[ST_BEGIN]);
}

int store_commit(struct store *s)
{
	int r = sql_run(s->st[ST_COMMIT]);

	if (r < 0) {
		s->doubt = true;
		store_rollback(s);
		resolve_doubt(s); /* if it cannot be done now, store_begin tries again */
	}
	return r;
}

void store_rollback(struct store *s)
{
	/* After some errors SQLite has rolled back by itself. */
	if (!sqlite3_get_autocommit(s->db))
		sql_run(s->st[ST_ROLLBACK]);
}

/* --- settings ---------------------------------------------------------------------------------- */

static int get_meta(struct store *s, const char *name, char **ret)
{
	sqlite3_stmt *st = s->st[ST_GET_META];
	int r = sql_bind_text(st, 1, name);

	if (r == 0)
		r = sql_step(st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	const char *text = sql_text(st, 0);
	char *value = strdup(text ? text : "");
	sqlite3_reset(st);
	if (!value)
		return -ENOMEM;
	*ret = value;
	return 0;
}

/* Settings have a prefix, so that no name of theirs meets one of the store's own. */
static int setting_name(const char *name, char **ret)
{
	return asprintf(ret, "set.%s", name) < 0 ? -ENOMEM : 0;
}

int store_put_setting(struct store *s, const char *name, const char *value)
{
	char *key;
	int r = setting_name(name, &key);

	if (r < 0)
		return r;
	r = put_meta(s, key, value);
	free(key);
	return r;
}

int store_get_setting(struct store *s, const char *name, char **ret_value)
{
	char *key;
	int r = setting_name(name, &key);

	if (r < 0)
		return r;
	r = get_meta(s, key, ret_value);
	free(key);
	return r;
}

int store_put_next_serial(struct store *s, uint64_t next)
{
	char text[24];

	snprintf(text, sizeof(text), "%ju", (uintmax_t)next);
	return put_meta(s, "next_serial", text);
}

int store_next_serial(struct store *s, uint64_t *ret)
{
	cleanup_free char *text = NULL;
	sqlite3_stmt *st = s->st[ST_LAST_SERIAL];
	uint64_t saved = 1;
	int r = get_meta(s, "next_serial", &text);

	if (r == 0)
		r = parse_u64(text, &saved) < 0 ? -EBADMSG : 0;
	if (r < 0 && r != -ENOENT)
		return r;
	r = sql_step(st);
	if (r <= 0)
		return r < 0 ? r : -EBADMSG;
	uint64_t last = sql_u64(st, 0);
	sqlite3_reset(st);
	*ret = last >= saved ? last + 1 : saved;
	return 0;
}

int store_check_boot(struct store *s, const char *boot)
{
	cleanup_free char *saved = NULL;
	int r = get_meta(s, "boot", &saved);

	if (r < 0 && r != -ENOENT)
		return r;
	if (saved && strcmp(saved, boot) == 0)
		return 0;
	/* In one transaction: with the new boot id saved, what is not synced is believed again. */
	r = store_begin(s);
	if (r == 0 && saved)
		r = sql_run(s->st[ST_FORGET_UNSYNCED]);
	if (r == 0)
		r = put_meta(s, "boot", boot);
	if (r == 0)
		return store_commit(s);
	store_rollback(s);
	return r;
}
