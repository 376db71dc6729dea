/* A directory tree as a power cut may have left it: a log of operations (oplog.h) is cut off somewhere,
 * and of what no sync had made durable by then, some has reached the disk and some has not.
 *
 * The model is that of POSIX, read pessimistically, with what all journalling filesystems add:
 *	- the names of a directory change in order: of those that were not synced (fsync of the directory,
 *	  syncfs) some prefix is there. A rename is atomic, and belongs to both directories
 *	- each page of a file is as some prefix of the writes to it has left it. The size is another matter:
 *	  what was lost below it reads as zeros, or the file is shorter
 *	- owner and mode change in order; fdatasync does not cover them
 *	- the fsync of a file says nothing of its name, nor that of a directory of its own name in its parent
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct replay;

/* The log at PATH, of a tree whose root was the empty directory of inode ROOT. Exits when it cannot. */
struct replay *replay_open(const char *path, uint64_t root);
size_t replay_length(const struct replay *r);               /* operations */
uint64_t replay_marks(const struct replay *r, size_t cut);  /* the number of the last mark before CUT, plus 1 */
/* Makes the tree below DIR, which is there and empty, as it may be after a cut before operation CUT. SEED
 * chooses what of the rest is there; REPLAY_ALL: everything. */
#define REPLAY_ALL UINT64_MAX
void replay_build(struct replay *r, size_t cut, uint64_t seed, const char *dir);
/* The number by which the log knows the inode that has number INO in the tree that was built; files made
 * since get numbers that nothing in the log has. */
ino_t replay_ino(const struct replay *r, ino_t ino);
