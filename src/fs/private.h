/* What the files of fs/ share: the mount, an open file, and a request given to the core.
 *
 *	fs.c      mount, the worker threads, start and stop
 *	ops.c     lookup, getattr, readlink, statfs: reading the tree
 *	dir.c     directories
 *	xattr.c   extended attributes of files/
 *	change.c  mkdir, rmdir, rename, chmod, ln -s, rm: changing it
 *	file.c    open, read, write, poll of control files
 *	stream.c  reads that park: wait, follow, log
 *	staged.c  the data of files/
 *	notify.c  telling the kernel what changed
 *
 * Locks, in this order: fs.lock > handle.lock > the core's read lock. None is held while a request is
 * sent to the core or a message to the notify thread waits.
 */
#pragma once

#define FUSE_USE_VERSION 312

#include "base/buf.h"
#include "fs/ctl.h"
#include "fs/fs.h"
#include "fs/ino.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#define CREDS_UMASK_DEFAULT 022
#define STAGED_MODE 0400 /* of what is in files/ */

/* How long the kernel may keep names and attributes without asking, in seconds. What is static lives as
 * long as the directory it is in, and never changes. A job's directories keep theirs until forget_job_dirs
 * tells the kernel that they have changed, before the one who changed them is answered; the time only bounds
 * what happens when an answer and a change that nobody asked for cross. Those that never change have no more,
 * so that a daemon that died is missed. All else is asked for each time. */
#define STATIC_TIMEOUT 3600.0
#define DIR_TIMEOUT 1.0

struct notify;
struct resumer;

struct fs {
	struct core *core;
	struct fuse_session *session;
	char *mountpoint, *destination;
	bool mounted;
	mode_t root_mode;
	gid_t daemon_gid;
	time_t started;
	int exit_fd;              /* eventfd: fs_run shall return */
	int quit_fd;              /* eventfd: the workers shall return */
	void (*ready)(void *arg); /* before the workers start; called by the first that finds `inited` */
	void *ready_arg;
	atomic_bool inited;       /* INIT was served, ready not told yet */
	struct notify *notify;
	struct resumer *resumer;
	pthread_mutex_t lock;
	struct handle *handles;   /* lock; those open, linked by next and prev */
	struct guest *guests;     /* lock; who has any of them, but root and the daemon's user */
};

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* --- who asks (handle.c) ------------------------------------------------------------------------ */

/* Enough to judge what he may see: groups are read only for those whom a mode can stop. */
struct creds *creds_of_reader(fuse_req_t req);
/* With groups and umask, for what changes something. FUSE tells the umask in mkdir alone, so it is
 * read from /proc/PID/status; the asker waits for us and so is still there. */
struct creds *creds_of_asker(fuse_req_t req);

/* --- an open file or directory (handle.c) ------------------------------------------------------- */

/* What one user makes the daemon keep: text that he reads stays until he closes the file. */
#define GUEST_HANDLES 1024
#define GUEST_BYTES (64u << 20)
struct guest {
	struct guest *next;         /* fs.guests; all under fs.lock */
	uid_t uid;
	unsigned handles;
	size_t bytes;
};

struct handle {
	struct handle *next, *prev; /* fs.handles */
	struct guest *guest;        /* the opener; NULL: without limits */
	size_t kept;                /* fs.lock; counted in guest.bytes */
	struct fs *fs;
	struct place place;
	struct ctl row;             /* of control files */
	mode_t mode;                /* below a job: what the job's mode leaves of it counts */
	struct creds *creds;        /* of the opener */
	int fd;                     /* files/: the blob; else -1 */
	uint32_t generation;        /* files/: of the blob */
	pthread_mutex_t lock;
	unsigned refs;              /* lock: the kernel's open file, and each request under way */
	struct buf text;            /* lock: as rendered at offset 0; of a stream, what was not read yet */
	struct buf line;            /* lock: `add`: the unfinished last line; what a value that goes on in the next
	                             * write is so far; `follow`: what is on the screen */
	pid_t writer;               /* lock: `add`: who wrote last */
	uint64_t lines;             /* lock: `add`: lines taken since the open */
	uint64_t seen;              /* lock: job->changes when last read from 0; of `log` the next event */
	int64_t stamp;              /* lock: `follow`: when the line was last drawn; 0: not yet */
	bool over;                  /* lock: `follow`: the resting state was told */
	struct fuse_pollhandle *ph; /* lock: of the poll that waits */
};

/* One reference is the caller's, for fi->fh. MODE: of PLACE, before the job's. Takes CREDS on success. -ENOMEM;
 * -EDQUOT: he has too many. */
int handle_new(struct fs *fs, struct place place, mode_t mode, struct creds *creds, struct handle **ret);
/* Whether H may keep BYTES of text, instead of what it kept. */
bool handle_keep(struct handle *h, size_t bytes);
/* Whether its opener may still read what H is of: the mode or the owner may have changed since. */
bool handle_may_read(const struct handle *h);
bool handle_may_read_locked(const struct handle *h, const struct queue *q); /* under the read lock */
struct handle *handle_get(struct handle *h);
void handle_put(struct handle *h); /* the last one frees */
DEFINE_CLEANUP(struct handle *, handle_put)
static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}
/* fi->fh and the answer; when the asker has gone there will be no RELEASE. Takes H. */
void handle_reply_open(struct handle *h, fuse_req_t req, struct fuse_file_info *fi);

/* Whether process PID has H open: dash makes and closes a copy for each `printf ... >&4`, and FLUSH does
 * not say who closes. False when that cannot be seen, or not among the first of many descriptors: then the
 * unfinished line is taken at this close, as of one who has no copy. */
bool handle_is_copied(struct handle *h, pid_t pid);

/* --- a request given to the core (ask.c) -------------------------------------------------------- */

struct ask {
	struct reply reply;
	fuse_req_t req;
	struct fs *fs;
	/* Called by the core once: answers the request and frees the ask, or sends it again. */
	void (*done)(struct ask *a, int err, const struct answer *answer);
	struct handle *handle; /* a reference, or NULL */
	struct place place;    /* what it is about */
	char *path;            /* symlink, mkdir below files/: the new node */
	size_t size;           /* of the read or write */
	off_t offset;          /* of the read */
	bool nonblock;
	int err;               /* staged: how the wait ended */
	uint64_t wait_id;      /* 0: never parked */
	struct fuse_file_info fi; /* open */
	struct ask *next;      /* the resumer's list */
};

/* NULL: out of memory, and REQ was answered so. H may be NULL. */
struct ask *ask_new(fuse_req_t req, struct handle *h, struct place place,
	void (*done)(struct ask *a, int err, const struct answer *answer));
void ask_free(struct ask *a); /* the request was answered */
void ask_fail(struct ask *a, int err); /* answers -errno and frees */
/* Gives COMMAND (its contents are taken in any case) to the core in the name of CREDS (copied). */
void ask_command(struct ask *a, const struct creds *creds, struct command *command);
void ask_send(struct ask *a, struct message *m);
/* Parks until WAIT holds; an interrupt of the reader answers -EINTR. May be called again by `done`. */
void ask_wait(struct ask *a, struct wait wait);

/* The common answers. */
void done_err(struct ask *a, int err, const struct answer *answer);
void done_write(struct ask *a, int err, const struct answer *answer);

/* --- the tree (ops.c) --------------------------------------------------------------------------- */

/* -ENOENT: it has gone. Who asks in REQ decides what .xferfs/index shows him, and so its size. */
int attr_of(fuse_req_t req, struct place place, struct stat *ret);
/* Under the read lock: an entry for a listing; of a directory whose name the kernel may keep with attributes,
 * else (ino 0) with no more than TYPE. */
void entry_of(struct fs *fs, const struct queue *q, struct place place, mode_t type, struct fuse_entry_param *ret);
/* The job has changed, or gone: the kernel asks again for its directories' attributes, and so finds it gone
 * though it may keep its name yet. Waits for nobody. Any thread, without locks. */
void forget_job_dirs(struct fs *fs, uint64_t serial);
/* The directories of a job that are no rows. */
#define JOB_DIRS 2
extern const struct job_dir {
	const char *name;
	enum place_kind kind;
} job_dirs[JOB_DIRS];

/* What the name stands for. -ENOENT, -ENOTDIR. */
int find_place(struct fs *fs, fuse_ino_t parent, const char *name, struct place *ret);
/* Answers a LOOKUP, MKDIR or SYMLINK with what is at PLACE. */
void reply_entry(fuse_req_t req, struct place place);

/* --- operations --------------------------------------------------------------------------------- */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);

/* file.c: H's text from OFFSET; h->lock is held. */
void reply_text(fuse_req_t req, const struct handle *h, size_t size, off_t offset);
/* What CREDS may add. */
struct addline_rules add_rules(struct fs *fs, const struct creds *creds);

/* stream.c */
void stream_open(struct handle *h); /* a log begins with the next event */
void stream_read(struct ask *a);    /* wait, follow, log */

/* staged.c */
void staged_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi); /* takes H */
void staged_read(struct ask *a);
int resumer_start(struct resumer **ret);
void resumer_stop(struct resumer *r); /* answers what it was given; NULL allowed */

/* notify.c */
int notify_start(struct fs *fs, struct notify **ret);
void notify_stop(struct notify *n);   /* joins, once; what comes later is dropped */
void notify_free(struct notify *n);   /* NULL allowed */
void notify_changed(struct notify *n, uint64_t serial, const char *name, unsigned what);
/* Whether notify itself asks, which is removing the directory of the ended job *RET_SERIAL from the kernel. */
bool notify_buries(struct notify *n, fuse_req_t req, uint64_t *ret_serial);
