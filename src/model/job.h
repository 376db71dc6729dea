/* A job: the rule table, properties, and one version of its header. Files are in model/files.h.
 *
 * Versions: what readers see is a *published* struct job, which never changes. The core clones it
 * (job_clone), changes the clone (the draft), has it saved, and exchanges the pointers (queue_publish).
 * A failed save drops the draft: there is no undo code. The tree of files is shared by all versions of
 * one job and has versions of its own per file (model/files.h).
 *
 * Source of the states and verbs: BITS BG_JOB_STATE and "Life Cycle of a BITS Job"; INTERFACE.md §6.
 */
#pragma once

#include "base/cleanup.h"
#include "base/creds.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct files;
struct buf;

/* --- states, events, rules ---------------------------------------------------------------- */

#define JOB_STATES(X) \
	X(SUSPENDED, "suspended") \
	X(QUEUED, "queued") \
	X(CONNECTING, "connecting") \
	X(TRANSFERRING, "transferring") \
	X(TRANSIENT_ERROR, "transient_error") \
	X(ERROR, "error") \
	X(TRANSFERRED, "transferred") \
	X(COMPLETING, "completing")   /* files are being placed */ \
	X(CANCELLING, "cancelling")   /* an upload is being withdrawn from its server */ \
	X(ACKNOWLEDGED, "acknowledged") \
	X(CANCELLED, "cancelled")

#define JOB_EVENTS(X) \
	X(SUSPEND, "suspend")         /* the four verbs */ \
	X(RESUME, "resume") \
	X(COMPLETE, "complete") \
	X(CANCEL, "cancel") \
	X(RESUME_EMPTY, "resume-empty") /* resume of a job without files */ \
	X(ADD, "add")                 /* files were added */ \
	X(CHANGE, "change")           /* a property, a name, a file removed */ \
	X(START, "start")             /* a transfer of the job was started */ \
	X(BYTES, "bytes")             /* the first byte, or one after an error */ \
	X(YIELD, "yield")             /* all its transfers were taken away by the scheduler */ \
	X(DONE, "done")               /* every file is whole and on disk */ \
	X(SOFT_ERROR, "soft-error")   /* nothing can go on now; later it can */ \
	X(HARD_ERROR, "hard-error")   /* nothing can go on; a file failed fatally */ \
	X(RETRY, "retry")             /* the delay is over, the network is back, the window ended */ \
	X(PLACED, "placed")           /* complete has placed every whole file */ \
	X(UNPLACED, "unplaced")       /* complete could not; the job had been transferred */ \
	X(UNPLACED_PART, "unplaced-part") /* complete could not; the job had not been transferred */ \
	X(WITHDRAWN, "withdrawn")     /* the upload is gone from the server */ \
	X(RESTART, "restart")         /* the daemon was started; recovery is a column, not a program */

enum job_state {
#define X(id, word) JOB_##id,
	JOB_STATES(X)
#undef X
	JOB_STATE_MAX
};

enum job_event {
#define X(id, word) EV_##id,
	JOB_EVENTS(X)
#undef X
	JOB_EVENT_MAX
};

/* What a transition brings with it; the caller performs it. */
enum {
	FX_SAVE = 1 << 0,   /* must be durable before it is seen or answered */
	FX_STOP = 1 << 1,   /* stop the job's transfers */
	FX_CLOCKS = 1 << 2, /* retry counts, delays and timeouts start again */
	FX_PLACE = 1 << 3,  /* hand the whole files to the mover */
	FX_END = 1 << 4,    /* write the outcome, delete what is left, take the job out of the queue */
	FX_FORGIVE = 1 << 5 /* failed files become queued again */
};

struct rule {
	uint8_t next;  /* enum job_state */
	uint8_t fx;
	int16_t err;   /* errno the verb fails with; 0: allowed */
};

/* The one table. A missing entry is -EINVAL: "cannot happen", a programming error for the core's own
 * events and never visible to a user: every verb has an entry in every state. */
int job_rule(enum job_state state, enum job_event event, struct rule *ret); /* 0 or -errno */
const char *job_state_word(enum job_state s);
int job_state_from_word(const char *word, enum job_state *ret);
const char *job_event_word(enum job_event e);
bool job_state_rests(enum job_state s);  /* suspended, error, transferred, ended */
bool job_state_active(enum job_state s); /* queued, connecting, transferring, transient_error */
bool job_state_final(enum job_state s);

/* --- properties ----------------------------------------------------------------------------- */

enum job_type { TYPE_DOWNLOAD, TYPE_UPLOAD, TYPE_UPLOAD_REPLY, TYPE_MAX };
enum job_priority { PRIORITY_FOREGROUND, PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW, PRIORITY_MAX };
enum on_transferred { ON_TRANSFERRED_HOLD, ON_TRANSFERRED_COMPLETE, ON_TRANSFERRED_MAX };
enum on_conflict { CONFLICT_REPLACE, CONFLICT_KEEP, CONFLICT_NUMBER, CONFLICT_MAX };
enum commit_mode { COMMIT_FILES, COMMIT_TREE, COMMIT_MAX };
enum metered_policy { METERED_DEFAULT, METERED_ALLOW, METERED_WAIT, METERED_MAX };

struct props {
	uint8_t type, priority, on_transferred, on_conflict, commit, metered, connections; /* 0: auto */
	uint32_t retry_delay, no_progress_timeout, max_download_time; /* seconds; UINT32_MAX: max */
	uint64_t rate_limit;                                          /* bytes per second; LIMIT_MAX */
	char *destination;                                            /* NULL: "." ; others NULL: unset */
	char *description, *headers, *credentials, *proxy, *client_certificate, *notify;
};

/* One row per property: name, mode, parser, printer, default. model/props.c. The control files of §8
 * and the store walk it. */
struct prop_rule {
	const char *name;
	mode_t mode; /* 0666, 0644 (the owner's to set), 0600 (secret to others), 0200 (never shown); masked by
	              * the job's mode */
	bool secret; /* dropped by chown */
	bool login;  /* a URL; user and password in it are the owner's alone to give, and dropped by chown */
	bool text;   /* the field is a char *, NULL when it is the default */
	bool lines;  /* of several lines, which may be written one by one */
	/* Checks TEXT and sets the field; 0, -EINVAL, -ERANGE, -E2BIG, -EOPNOTSUPP; *ret_reason: a sentence (static). */
	int (*set)(const struct prop_rule *p, struct props *props, const char *text, const char **ret_reason);
	void (*show)(const struct prop_rule *p, const struct props *props, struct buf *out); /* without '\n' */
	size_t offset; /* of the field */
	const char *const *words; /* for words: NULL-terminated, index is the value */
	uint64_t min, max;        /* for numbers; for strings max is the length */
	const char *preset;       /* the default as text */
	const char *expects;      /* a sentence: what values there are */
};
extern const struct prop_rule prop_rules[];
extern const size_t prop_count;
const struct prop_rule *prop_find(const char *name); /* NULL */
int props_init(struct props *p); /* the defaults; -ENOMEM */
void props_release(struct props *p);
int props_copy(const struct props *p, struct props *ret);
/* All that differ from the default as "name value\n" lines (values percent-escaped for \n and %), and
 * back. Unknown names are -EINVAL. For the store. */
int props_format(const struct props *p, char **ret_text);
int props_parse(const char *text, struct props *p);

/* --- a job's header -------------------------------------------------------------------------- */

/* Why a job or file is in error; at most one per file and one for the job. Immutable. */
struct fault {
	uint8_t outcome;  /* enum outcome */
	int16_t http_status;
	int16_t err;      /* errno, for disk and place */
	char *text;       /* a sentence a person can act on */
	int64_t since;    /* wall seconds */
};
struct fault *fault_new(unsigned outcome, int http_status, int err, const char *text, int64_t since);
struct fault *fault_copy(const struct fault *f);
void fault_free(struct fault *f);

struct job {
	uint64_t serial;  /* never used twice (invariant 4) */
	char *name;
	struct creds *owner; /* who made it, with groups and umask: for on_transferred and notify */
	uid_t uid;        /* of the directory; = owner's unless chowned */
	gid_t gid;
	mode_t mode;      /* 0700 */
	enum job_state state;
	struct props props;
	int64_t created, modified; /* wall seconds */
	int64_t transferred_at;    /* 0: not */
	int64_t last_alive;        /* wall seconds of the last command or byte: inactivity_timeout */
	int64_t trouble_since;     /* wall seconds of the first transient error without a byte since; 0 */
	int64_t retry_at;          /* wall seconds, for people; the deadline itself is the core's; 0 */
	uint32_t active_seconds;   /* spent connecting and transferring: max_download_time */
	enum job_state notified;   /* the state for which the notify command has exited 0; SUSPENDED: none */
	uint32_t error_count;      /* never reset (BITS GetErrorCount) */
	struct fault *fault;       /* of the job itself: disk full, offline, ... */
	/* While COMPLETING: with whose rights, and whether the job had been transferred. */
	struct creds *completer;
	bool was_transferred;
	bool prepared;             /* files that have an inode may have been placed; no others have */
	uint64_t changes;          /* counts published versions: poll, events */
	/* Sums over the files, kept by files_add(), files_set(), files_remove(). TRANSFERRED, FAILED,
	 * WAITING, COMPLETED count the files in just that state. */
	struct tally {
		uint32_t files, transferred, failed, waiting, completed, unverified;
		uint32_t unsynced;     /* files with bytes that were not synced; or without any, but whole */
		uint32_t unknown;      /* files of unknown size */
		uint64_t bytes, total; /* saved bytes; sum of known sizes */
		uint64_t logins;       /* files with a user or password in a URL; wide, so that nothing is padded */
	} tally;
	struct files *files;       /* shared by all versions of this job */
};

/* A new suspended job. Takes nothing; copies NAME and OWNER. */
int job_new(uint64_t serial, const char *name, const struct creds *owner, int64_t wall, struct job **ret);
int job_clone(const struct job *j, struct job **ret); /* a draft; shares j->files */
void job_free(struct job *j);                         /* one version; not the files */
DEFINE_CLEANUP(struct job *, job_free)
/* Applies EVENT to a draft: next state, `modified`, counters that the rule names. 0 and *ret_fx, or
 * -errno with the draft untouched. The only function that writes j->state. */
int job_apply(struct job *draft, enum job_event event, int64_t wall, unsigned *ret_fx);
/* What C may do with the job, as rwx bits; the daemon's own user counts as root: see DAEMON_UID. */
unsigned job_access(const struct job *j, const struct creds *c, uid_t daemon_uid);
/* TakeOwnership: uid becomes the owner; secret properties, the notify command and the logins in URLs are
 * dropped, and it does not complete by itself: what the last owner chose would be placed with the new
 * one's rights. 0, or -ENOMEM with the draft untouched. */
int job_take_ownership(struct job *draft, const struct creds *owner);
/* Whether the job uses secrets of its owner, or will act with his rights: whoever may choose its URLs,
 * its proxy or its destination then has both. A login in a URL, the proxy's too, is the owner's like
 * `credentials`: only he gives one. Another's would be given away to him and to whom he gives the job, and would shut out its
 * giver with the rest of the group. */
bool job_acts_for_owner(const struct job *j);
void job_assert_sane(const struct job *j);
