/* A thin layer over SQLite: its results as -errno, and columns that may be NULL. Private to the store.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* 0 for OK, ROW and DONE. -EBADMSG: the database is damaged or is none. */
int sql_error(sqlite3 *db, int code);
int sql_exec(sqlite3 *db, const char *text);
int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret);
/* One row or the end: 1, 0 or -errno; the statement is reset unless it gave a row. */
int sql_step(sqlite3_stmt *st);
/* Runs a statement that gives no rows, and resets it. */
int sql_run(sqlite3_stmt *st);

/* Parameters by position from 1. Text is borrowed until the statement was run; NULL is NULL. */
int sql_bind_text(sqlite3_stmt *st, int at, const char *text);
int sql_bind_int(sqlite3_stmt *st, int at, int64_t value);
int sql_bind_u64(sqlite3_stmt *st, int at, uint64_t value); /* as the int64 of the same bits */
int sql_bind_null(sqlite3_stmt *st, int at);

static inline const char *sql_text(sqlite3_stmt *st, int column)
{
	return (const char *)sqlite3_column_text(st, column); /* NULL for NULL */
}

static inline uint64_t sql_u64(sqlite3_stmt *st, int column)
{
	return (uint64_t)sqlite3_column_int64(st, column);
}
