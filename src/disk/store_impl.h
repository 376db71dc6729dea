/* What the files of the store share: the connection, its statements, the tables. */
#pragma once

#include "disk/sql.h"
#include "disk/store.h"

/* One statement per use, prepared when the database is opened: preparing also proves that the tables
 * are there. X(id, text) */
#define STATEMENTS(X) \
	X(BEGIN, "BEGIN IMMEDIATE") \
	X(COMMIT, "COMMIT") \
	X(ROLLBACK, "ROLLBACK") \
	X(PUT_META, "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)") \
	X(GET_META, "SELECT value FROM meta WHERE name = ?1") \
	X(PUT_JOB, "INSERT OR REPLACE INTO jobs (serial, name, owner, uid, gid, mode, state, props, created," \
		" modified, transferred_at, last_alive, trouble_since, retry_at, active_seconds, error_count," \
		" fault, completer, was_transferred, notified, prepared)" \
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)") \
	X(DROP_JOB, "DELETE FROM jobs WHERE serial = ?1") \
	X(DROP_JOB_FILES, "DELETE FROM files WHERE job = ?1") \
	X(PUT_FILE, "INSERT OR REPLACE INTO files (job, id, parent, name, url, extra, state, synced, unverified," \
		" tries, generation, size, mtime, have, validator, fault, dev, ino)" \
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)") \
	X(DROP_FILE, "DELETE FROM files WHERE job = ?1 AND id = ?2") \
	X(PUT_RESULT, "INSERT OR REPLACE INTO results (serial, name, uid, gid, mode, state, partial, files_saved," \
		" files_dropped, leftovers, bytes, created, ended, ended_by, reason)" \
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)") \
	X(DROP_RESULT, "DELETE FROM results WHERE serial = ?1") \
	X(PRUNE_RESULTS, "DELETE FROM results WHERE ended < ?1") \
	X(LOAD_JOBS, "SELECT serial, name, owner, uid, gid, mode, state, props, created, modified," \
		" transferred_at, last_alive, trouble_since, retry_at, active_seconds, error_count, fault," \
		" completer, was_transferred, notified, prepared FROM jobs ORDER BY serial") \
	X(LOAD_FILES, "SELECT job, id, parent, name, url, extra, state, synced, unverified, tries, generation," \
		" size, mtime, have, validator, fault, dev, ino FROM files ORDER BY job, id") \
	X(LOAD_RESULTS, "SELECT serial, name, uid, gid, mode, state, partial, files_saved, files_dropped," \
		" leftovers, bytes, created, ended, ended_by, reason FROM results WHERE ended >= ?1" \
		" ORDER BY ended, serial") \
	X(LAST_SERIAL, "SELECT max(ifnull((SELECT max(serial) FROM jobs), 0)," \
		" ifnull((SELECT max(serial) FROM results), 0))") \
	X(FORGET_UNSYNCED, "UPDATE files SET state = 'queued', synced = 0, unverified = 0, have = NULL," \
		" validator = NULL, generation = generation + 1" \
		" WHERE synced = 0 AND state <> 'completed' AND (have IS NOT NULL OR state = 'transferred')")

enum statement {
#define X(id, text) ST_##id,
	STATEMENTS(X)
#undef X
	STATEMENT_MAX
};

struct store {
	char *path;
	sqlite3 *db;
	int file;   /* the database, O_PATH: to see that it is still there; -1: in memory */
	bool fresh; /* made by this process, in the place of a damaged one */
	bool doubt; /* a COMMIT failed: what it wrote may yet be found after a crash (store_commit) */
	sqlite3_stmt *st[STATEMENT_MAX];
};

int store_connect(struct store *s);   /* opens s->path, migrates, prepares; -errno, closed again */
void store_disconnect(struct store *s);
/* Renames the damaged database, with a line in the log, and connects to a new one. */
int store_set_aside(struct store *s);
int store_next_serial(struct store *s, uint64_t *ret);
/* After a reboot (the saved boot id is not BOOT): files that were not synced lose what they have, and
 * begin a new blob, since the old one may hold anything. */
int store_check_boot(struct store *s, const char *boot);
