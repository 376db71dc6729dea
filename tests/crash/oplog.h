/* The log of what a daemon does to a directory tree, as interpose.c writes it and replay.c reads it.
 *
 * A record is a struct op, NAME and NAME2, and LEN bytes of data; each is appended by one write, so that
 * the test's marks, appended by another process, fall between them. Numbers are the machine's own.
 *
 * Records are written when the call has succeeded, before it returns: what the daemon or its user did
 * because of it comes behind. A sync has two records; it covers what stands before its first.
 */
#pragma once

#include <stdint.h>

enum op_kind {
	OP_MARK,      /* the test's: off */
	OP_CREATE,    /* ino, in dir as name; mode, uid, gid */
	OP_MKDIR,     /* likewise */
	OP_TEMP,      /* ino without a name */
	OP_LINK,      /* ino, in dir as name */
	OP_UNLINK,    /* dir, name; also of a directory */
	OP_RENAME,    /* dir, name -> dir2, name2 */
	OP_EXCHANGE,  /* likewise */
	OP_WRITE,     /* ino, off, data */
	OP_TRUNCATE,  /* ino, off: the new size */
	OP_META,      /* ino: mode, uid, gid, mtime after the call */
	OP_SYNC,      /* off: number of the sync; it begins */
	OP_FSYNCED,   /* off: it ended well; ino: of this file or directory */
	OP_DATASYNCED,
	OP_SYNCEDFS,
};

struct op {
	uint32_t kind;
	uint32_t mode, uid, gid;
	uint16_t namelen, name2len;
	uint32_t len;
	uint64_t ino, dir, dir2, off;
	int64_t mtime;
};
