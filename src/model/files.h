/* The files of one job: a tree of names, and for each file a published version, perhaps a draft, and
 * live progress.
 *
 * Names: `files/` shows the staged paths as directories, so names are kept as nodes: a node is a
 * directory or a file, has an id that is never reused within the job (inode numbers are made of it),
 * a parent and one component. Node 0 is the root directory. Most memory of a large queue is here:
 * a file that has not begun costs its node, its URL and nothing else (its version is a shared constant).
 *
 * Versions, per file: `file_now` gives what readers see; the core edits with files_set (a draft
 * version, seen by file_draft only) and either files_publish exchanges all drafts or files_drop_drafts
 * forgets them. New nodes are drafts too: files_add makes them invisible until published.
 *
 * Locking: the core thread alone calls what changes (functions that take struct files * without
 * const). A call marked LOCKED must be made under the core's read lock because readers walk what it
 * changes; all reading by other threads is under that lock.
 */
#pragma once

#include "model/addline.h"
#include "model/extent.h"
#include "model/job.h"

#include <stdbool.h>
#include <stdint.h>

#define FILE_STATES(X) \
	X(QUEUED, "queued")             /* not begun, or stopped */ \
	X(TRANSFERRING, "transferring") /* not saved: saved as queued */ \
	X(WAITING, "waiting")           /* transient error; retried later */ \
	X(FAILED, "failed")             /* needs a person */ \
	X(VERIFYING, "verifying")       /* all bytes are here, the checksum is being computed; saved as queued */ \
	X(TRANSFERRED, "transferred")   /* whole, verified as far as asked */ \
	X(COMPLETED, "completed")       /* placed in the destination tree */

enum file_state {
#define X(id, word) FILE_##id,
	FILE_STATES(X)
#undef X
	FILE_STATE_MAX
};
const char *file_state_word(enum file_state s);
int file_state_from_word(const char *word, enum file_state *ret);

/* One version of a file. Immutable once set. */
struct file {
	uint8_t state;        /* enum file_state */
	bool synced;          /* `have` is on disk even after power loss (invariant 2) */
	bool unverified;      /* ended without a proof that it is whole */
	uint16_t tries;       /* failed attempts in a row */
	uint32_t generation;  /* of the blob: another version on the server begins a new blob (invariant 7) */
	uint64_t size;        /* SIZE_UNKNOWN until the server said */
	int64_t mtime;        /* the server's, seconds; MTIME_UNKNOWN */
	struct extents have;  /* bytes in the blob; of a transferred file [0, size) */
	char *validator;      /* "etag \"...\"" (strong) or "date SECONDS"; NULL: none yet */
	struct fault *fault;  /* of the last attempt, while waiting or failed, or why it could not be placed */
	uint64_t ino;         /* the blob's, or from PREPARE on its copy's, which shall have the name; 0: unknown */
	uint64_t dev;         /* enum order_inode; 0: `ino` was seen when the blob was synced, and is no promise */
};
void file_release(struct file *f);
int file_copy(const struct file *f, struct file *ret);
uint64_t file_got(const struct file *f); /* bytes in `have` */

#define NODE_ROOT 0u
#define NODE_NONE UINT32_MAX

struct node {
	uint32_t id, parent;
	bool is_dir;
	const char *name; /* one component */
};

int files_new(struct files **ret);
void files_free(struct files *f);

/* --- names (readers: under the lock; `visible` ones only) ------------------------------------ */

uint32_t files_lookup(const struct files *f, uint32_t dir, const char *name); /* NODE_NONE */
uint32_t files_find_path(const struct files *f, const char *path);            /* NODE_NONE; drafts too */
bool files_node(const struct files *f, uint32_t id, struct node *ret); /* false: gone or not visible */
/* The first visible child of DIR with an id above AFTER (NODE_ROOT: from the start); NODE_NONE at the end. */
uint32_t files_next_child(const struct files *f, uint32_t dir, uint32_t after);
uint32_t files_next_file(const struct files *f, uint32_t after); /* all files by id; AFTER NODE_ROOT: first */
uint32_t files_count(const struct files *f);                     /* visible files */
int files_path(const struct files *f, uint32_t id, char **ret_path); /* "sub/dir/x", to free(); drafts too */
size_t files_node_count(const struct files *f);                  /* ids are below this */

/* --- content --------------------------------------------------------------------------------- */

const struct file *file_now(const struct files *f, uint32_t id);   /* published; NULL: not visible */
const struct file *file_draft(const struct files *f, uint32_t id); /* core only: draft, else published; NULL: a directory, gone */
const struct source *file_source(const struct files *f, uint32_t id); /* published; of a new file its draft */

/* A source and its logins: user and password in its URL or in a mirror's. */
bool source_has_login(const struct source *s);
int source_without_login(const struct source *s, struct source *ret); /* a copy, to source_release(); -ENOMEM */

/* Live progress between saves: what a running transfer has written. LOCKED to set. */
struct live {
	struct extents have;
	uint64_t size;   /* as the server said, maybe not saved yet */
	uint64_t rate;   /* bytes per second, smoothed */
	uint32_t generation;
};
const struct live *file_live(const struct files *f, uint32_t id); /* NULL: not running */
int files_set_live(struct files *f, uint32_t id, const struct live *live); /* LOCKED; copies; NULL ends */
uint64_t files_live_bytes(const struct files *f); /* beyond the saved ones, of all running files */
uint64_t files_live_rate(const struct files *f);

/* --- changes (core) -------------------------------------------------------------------------- */

/* Adds PATH with its missing directories, each a draft of its own, parents first. Takes SOURCE's
 * contents on success (it is zeroed); counts the file in DRAFT's tally. 0 and *ret_id; -EEXIST,
 * -ENOTDIR (a component is a file), -EISDIR, -EINVAL (an empty component), -EDQUOT (no id is left),
 * -ENOMEM. LOCKED. */
int files_add(struct files *f, struct job *draft, const char *path, struct source *source, uint32_t *ret_id);
int files_mkdir(struct files *f, const char *path, uint32_t *ret_id); /* LOCKED */
/* A draft version of file ID; takes VERSION's contents on success (it is zeroed). Keeps DRAFT's tally
 * (the job version that will be published with it). Frees the draft version it replaces. -ENOENT: a
 * directory, or gone; -ENOMEM. */
int files_set(struct files *f, struct job *draft, uint32_t id, struct file *version);
/* A draft of "gone"; its name may be added again at once. -ENOTEMPTY: a directory with something in it;
 * -ENOENT, -EBUSY (the root), -ENOMEM. */
int files_remove(struct files *f, struct job *draft, uint32_t id);

/* A draft of every file that has a login without it; keeps DRAFT's tally. Costs nothing when none has.
 * 0, or -ENOMEM and nothing is dropped. */
int files_drop_logins(struct files *f, struct job *draft);

/* Each id with a draft, for the store: AFTER NODE_ROOT starts; NODE_NONE at the end. In the order of
 * their first change; directories are among them (new: made by files_add on its way, or files_mkdir; or
 * gone), and a new parent comes before its children. One may be both new and gone. */
uint32_t files_next_draft(const struct files *f, uint32_t after);
bool files_draft_node(const struct files *f, uint32_t id, struct node *ret); /* as files_node; not yet visible ones too */
bool files_draft_is_new(const struct files *f, uint32_t id);
bool files_draft_is_gone(const struct files *f, uint32_t id);
bool files_draft_drops_login(const struct files *f, uint32_t id); /* it is source_without_login(file_source()) */
void files_publish(struct files *f);     /* LOCKED: exchanges; freed versions are kept for files_reap */
void files_reap(struct files *f);        /* frees what publish replaced; outside the lock */
void files_drop_drafts(struct files *f); /* LOCKED */
/* A node as it was saved, visible at once: the store's loading, before there are readers. It keeps its
 * id, which blobs and inode numbers are made of; ids ascend from call to call (gaps stay unused). Takes
 * SOURCE's and VERSION's contents on success; SOURCE NULL: a directory; VERSION NULL: a file that has not
 * begun. Keeps J's tally. -EINVAL: id not above the last one, parent no directory, or name taken; -ENOMEM. */
int files_restore(struct files *f, struct job *j, const struct node *node, struct source *source, struct file *version);
/* J: the version whose tally counts the drafts, or NULL. */
void files_assert_sane(const struct files *f, const struct job *j);
