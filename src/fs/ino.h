/* Inode numbers are arithmetic: serial << 32 | slot, and the root is 1 as FUSE wants. So there is no
 * inode table, FORGET does nothing, and as serials are never used again a number never comes to mean
 * another thing. What a number stands for may have gone: each use looks it up.
 *
 *	serial 0	slot 1 the root, 2 .xferfs, 3 .xferfs/ended, 16 + n the service's row n
 *	serial > 0	slot 1 the job's directory, 2 ended/NAME, 16 + n the job's row n,
 *			1 << 30 | node of files/, 2 << 30 | node of sources/ (node 0: the directory itself)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum place_kind {
	PLACE_ROOT,
	PLACE_SERVICE,     /* .xferfs */
	PLACE_SERVICE_ROW, /* id: the row */
	PLACE_ENDED_DIR,   /* .xferfs/ended */
	PLACE_ENDED,       /* serial: of the ended job */
	PLACE_JOB,
	PLACE_ROW,         /* id: the row */
	PLACE_FILE,        /* id: the node, in files/ */
	PLACE_SOURCE,      /* id: the node, in sources/ */
};

struct place {
	enum place_kind kind;
	uint64_t serial;
	uint32_t id;
};

uint64_t ino_of(struct place p);
bool ino_place(uint64_t ino, struct place *ret); /* false: never was one of ours */
