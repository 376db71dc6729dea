/* The core: the one thread that applies every change.
 *
 *	FUSE workers --messages-->  +------+  --fetch, cease-->  engine workers (net/)
 *	engine       --reports--->  | core |  --orders-------->  mover threads (disk/)
 *	mover        --orders---->  +------+  --answers-------->  replies (fs/)
 *	                              |  ^
 *	                     publish  v  | decide
 *	                 queue (read lock) : what readers see
 *
 * A turn: take all waiting messages; decide each on drafts; save all drafts in one transaction;
 * publish them under the read lock; act (engine, mover, scheduling); answer. Nothing is seen, done or
 * answered before it is durable; when the save fails the drafts are dropped and every asker of the
 * turn gets the errno.
 *
 * Invariants (each is asserted or tested where it is kept):
 *   1. A command is answered only after the transaction that contains it is durable.
 *   2. A saved range never covers bytes that were not synced before the save, or the save says so
 *      (file.synced) and the range is forgotten when the boot id differs.
 *   3. What readers see is what is saved; progress between checkpoints and the states that a restart
 *      forgets (connecting, transferring, ...) are the only exceptions.
 *   4. A serial is never used twice; blobs and temporary names contain it.
 *   5. The destination tree is touched only by the mover, only for a job saved as COMPLETING, only
 *      with the recorded credentials.
 *   6. Each step of the mover may be repeated.
 *   7. Bytes of two versions of a remote file never meet in one blob (file.generation).
 */
#pragma once

#include "base/clock.h"
#include "config.h"
#include "core/message.h"
#include "disk/mover.h"
#include "disk/store.h"
#include "host/runner.h"
#include "model/queue.h"
#include "net/engine.h"

struct core;

/* What has changed in a turn, told to fs in the act step, without locks, before anybody is answered who asked
 * for the change or waits for it. May not block. */
enum {
	CHANGED_STATE = 1 << 0,
	CHANGED_EVENT = 1 << 1, /* any event of the job */
	CHANGED_GONE = 1 << 2,  /* the job has ended; NAME was its name */
	CHANGED_NAME = 1 << 3,  /* renamed; NAME was its old name */
};
struct core_hooks {
	void (*changed)(void *arg, uint64_t serial, const char *name, unsigned what);
	void *arg;
};

/* Where the core's orders go; the real ones are engine_* and mover_send, tests have their own. */
struct core_ports {
	void *engine, *mover, *runner;
	void (*fetch)(void *engine, struct fetch *f);
	void (*cease)(void *engine, uint64_t id);
	void (*want)(void *engine, uint64_t id, uint64_t offset);
	void (*prioritise)(void *engine, uint64_t serial, enum job_priority priority);
	void (*limit_all)(void *engine, uint64_t rate, bool foreground_exempt);
	void (*limit_class)(void *engine, enum job_priority priority, uint64_t rate);
	void (*limit_job)(void *engine, uint64_t serial, uint64_t rate);
	void (*order)(void *mover, struct order *o);
	void (*cancel_orders)(void *mover, uint64_t serial);
	void (*errand)(void *runner, struct errand *e); /* NULL: notify commands are not run */
};

struct core_options {
	const struct config *config;  /* borrowed */
	struct store *store;          /* the core's while it runs */
	struct queue *queue;          /* loaded; the core's until core_free */
	struct blobs *blobs;          /* borrowed */
	uint64_t next_serial;
	uid_t daemon_uid;
	const char *mountpoint, *destination; /* absolute; for notify's environment and messages; borrowed */
	struct moment (*moment)(void *arg);   /* the clock; NULL: clock_moment */
	void *moment_arg;
	uint32_t seed;                /* of the retry jitter */
	bool keep_blobs;              /* the queue was set aside: what no job names is kept and reported */
};

/* Calling sequence: core_new; core_recover; [engine_start and mover_start with core_mailbox];
 * core_set_ports; core_run in a thread of the caller (core_thread); ... MSG_STOP; join; core_free. */
/* Takes the queue, also when it fails. */
int core_new(const struct core_options *options, struct core **ret);
struct mailbox *core_mailbox(struct core *c);
void core_set_ports(struct core *c, const struct core_ports *ports);
void core_set_hooks(struct core *c, const struct core_hooks *hooks); /* before core_run, or never */
/* After store_load, before anything runs: EV_RESTART for each job, COMPLETING jobs are resumed when the
 * core runs; unknown blobs swept. */
int core_recover(struct core *c);
/* The loop; returns after MSG_STOP: the engine was told to stop everything by then. Parked waits were
 * answered -ENODEV. */
void core_run(struct core *c);
/* One turn with what waits now, for tests; returns the deadline of the next. */
int64_t core_turn(struct core *c);
/* After engine_stop and mover_stop: takes the last reports, saves, frees the queue. */
void core_free(struct core *c);

/* --- from any thread --------------------------------------------------------------------------- */

void core_send(struct core *c, struct message *m); /* takes */
uint64_t core_wait_id(struct core *c);             /* for struct wait; the one atomic of the program */

/* Reading: a short critical section; no I/O, no reply, no other lock inside. */
const struct queue *core_read_lock(struct core *c);
void core_read_unlock(struct core *c);

/* Says why a write was refused before it became a command (syntax), in the job's `refused`. */
void core_refuse(struct core *c, uint64_t serial, const char *sentence);
const struct config *core_config(const struct core *c);
uid_t core_daemon_uid(const struct core *c);
/* Before UID makes a job, or is given one: his home is looked up, in the caller's time (base/users.h). */
void core_learn_user(struct core *c, uid_t uid);
