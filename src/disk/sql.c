/* SQLite's results as -errno (disk/sql.h). */
#include "disk/sql.h"

#include <errno.h>
#include <stddef.h>

/* SQLITE_FULL is ENOSPC alone; a full quota comes as an I/O error with its errno beside it. */
static int io_error(sqlite3 *db)
{
	int err = db ? sqlite3_system_errno(db) : 0;

	return err == ENOSPC || err == EDQUOT || err == EROFS ? -err : -EIO;
}

int sql_error(sqlite3 *db, int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR:
		return io_error(db);
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_CANTOPEN:
		return db && sqlite3_system_errno(db) ? -sqlite3_system_errno(db) : -EIO;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_TOOBIG:
		return -E2BIG;
	default: /* SQLITE_ERROR, CONSTRAINT, MISUSE, ...: a bug of ours */
		return -EINVAL;
	}
}

int sql_exec(sqlite3 *db, const char *text)
{
	return sql_error(db, sqlite3_exec(db, text, NULL, NULL, NULL));
}

int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret)
{
	return sql_error(db, sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL));
}

int sql_step(sqlite3_stmt *st)
{
	int code = sqlite3_step(st);

	if (code == SQLITE_ROW)
		return 1;
	int r = sql_error(sqlite3_db_handle(st), code);
	sqlite3_reset(st);
	return r;
}

int sql_run(sqlite3_stmt *st)
{
	int r = sql_step(st);

	if (r <= 0)
		return r;
	sqlite3_reset(st);
	return -EINVAL; /* it gave a row */
}

int sql_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	return sql_error(NULL, sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC));
}

int sql_bind_int(sqlite3_stmt *st, int at, int64_t value)
{
	return sql_error(NULL, sqlite3_bind_int64(st, at, value));
}

int sql_bind_u64(sqlite3_stmt *st, int at, uint64_t value)
{
	return sql_bind_int(st, at, (int64_t)value);
}

int sql_bind_null(sqlite3_stmt *st, int at)
{
	return sql_error(NULL, sqlite3_bind_null(st, at));
}
