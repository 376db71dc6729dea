/* What the file system asks of the core, and how it is answered.
 *
 * A message is given to the core by core_send, with everything that it points to. Its reply is answered
 * exactly once, by the core thread or by the thread that stops the core, without any lock held.
 */
#pragma once

#include "base/creds.h"
#include "base/mailbox.h"
#include "model/addline.h"
#include "model/job.h"
#include "model/service.h"

struct answer {
	uint64_t serial;       /* MKDIR: the new job */
	enum job_state state;  /* WAIT_REST: the word; also of a job that has ended */
	int fd;                /* OPEN_STAGED: the blob, read-only, the receiver's to close; else -1 */
	uint32_t generation;   /* OPEN_STAGED: of the blob */
};

/* Embedded in fs's own struct, which has the request. The core knows only this. */
struct reply {
	/* ERR 0 or -errno; ANSWER never NULL. Sends, and frees the reply. Must not block. */
	void (*answer)(struct reply *r, int err, const struct answer *answer);
	/* Whether the asker has gone (fuse_req_interrupted): asked before parking. NULL: never. */
	bool (*abandoned)(struct reply *r);
};

enum message_kind {
	MSG_MKDIR = MAIL_CORE, /* name, creds */
	MSG_COMMAND,           /* serial, creds, command */
	MSG_OPEN_STAGED,       /* serial, file: gives a descriptor of the blob (made if need be) */
	MSG_WAIT,              /* wait; parked until its condition holds */
	MSG_INTERRUPT,         /* wait.id: answered with -EINTR if still parked; has no reply */
	MSG_NETWORK,           /* online: from rtnetlink; has no reply */
	MSG_STOP,              /* the core thread's last message; has no reply */
};

enum command_kind {
	CMD_VERB,    /* verb: EV_SUSPEND, RESUME, COMPLETE, CANCEL; `all` with COMPLETE */
	CMD_ADD,     /* additions */
	CMD_SET,     /* prop, text (no newline) */
	CMD_REMOVE,  /* node: a file, or an empty directory, of files/ and sources/ */
	CMD_MAKE_DIR,/* text: path below files/ */
	CMD_RENAME,  /* text: the job's new name */
	CMD_MODE,    /* mode */
	CMD_OWNER,   /* owner, gid; NULL, (gid_t)-1: leave */
	CMD_NETWORK, /* network; serial 0 */
	CMD_MAX
};

struct command {
	enum command_kind kind;
	enum job_event verb;
	bool all;
	struct additions additions;
	const struct prop_rule *prop;
	char *text;
	uint32_t node;
	mode_t mode;
	struct creds *owner; /* users_creds: the core does not wait for the directory of users */
	gid_t gid;
	enum network network;
};
void command_release(struct command *c);

enum wait_kind {
	WAIT_REST,   /* the job rests or has ended: answer.state */
	WAIT_CHANGE, /* job->changes differs from `seen`, or the job has ended (-ENODEV) */
	WAIT_EVENT,  /* events_get(seen, serial) would give one; -ENODEV when the job has ended and it would not */
	WAIT_BYTES,  /* byte `offset` of `file` is in the blob of `generation`: 0, look again. -EIO the job is in
	              * error, -EAGAIN suspended, -ENODEV ended, -ESTALE another generation. Moves that place to
	              * the front of the transfer while it waits. */
	WAIT_MAX
};

struct wait {
	uint64_t id; /* core_wait_id() */
	enum wait_kind kind;
	uint64_t seen;
	uint32_t file, generation;
	uint64_t offset;
	int64_t deadline; /* clock_now(): answered with 0 then at the latest; INT64_MAX: none */
};

struct message {
	struct mail mail; /* kind: enum message_kind */
	uint64_t serial;
	struct creds *creds; /* of the opener */
	struct reply *reply;
	char *name;
	struct command command;
	uint32_t file;
	struct wait wait;
	bool online;
};
struct message *message_new(enum message_kind kind); /* NULL: out of memory */
void message_free(struct message *m);                /* not the reply */
DEFINE_CLEANUP(struct message *, message_free)
