/* The file system: the only user of libfuse (low-level API).
 *
 * A FUSE worker parses and checks what it can by itself (syntax: fs/ctl), reads under the core's read
 * lock, or sends a message and returns: it never waits. Inode numbers are arithmetic (fs/ino), so there
 * is no inode table and FORGET does nothing. What users can touch is one table (fs/ctl).
 *
 * Calling sequence: fs_mount; core_set_hooks(core, fs_hooks(fs)); the core's thread is started; fs_run
 * (returns when unmounted, or after fs_exit); [core stopped: parked requests are answered]; fs_unmount.
 */
#pragma once

#include "core/core.h"

struct fs;

struct fs_options {
	const char *mountpoint;   /* absolute */
	const char *destination;  /* for the mount's source name */
	const char *mount_options; /* comma-separated, for libfuse: allow_other, ro, nosuid, ...; may be "" */
	bool debug;
};

/* Mounts. -errno, with *ret_reason a sentence (to free(), may be NULL). A mountpoint left dead by a crash
 * is cleared first. */
int fs_mount(const struct fs_options *options, struct core *core, struct fs **ret, char **ret_reason);
struct core_hooks fs_hooks(struct fs *fs);
/* Serves until the file system is unmounted or fs_exit was called. READY is called once when the mount
 * answers (the INIT request was served). 0 or -errno. */
int fs_run(struct fs *fs, void (*ready)(void *arg), void *arg);
void fs_exit(struct fs *fs);    /* async-signal-safe; any thread: fs_run returns soon */
/* Unmounts, answers nothing any more. After the core has answered all that was parked, and before
 * core_free: the last reads look into the queue. NULL allowed. */
void fs_unmount(struct fs *fs);

/* The table of control files, for tests and --dump-reference: name, mode, where ("job" or "service"). */
void fs_each_control(void (*fn)(void *arg, const char *where, const char *name, mode_t mode, bool pollable, bool waits), void *arg);
