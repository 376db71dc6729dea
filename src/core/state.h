/* The core's own state: private to core/. Everything here belongs to the core thread, but what is
 * marked [lock], which readers see under core->read_lock.
 *
 * One file per concern:
 *	core.c     lifecycle, the loop, the turn
 *	commit.c   save, publish, act: how drafts become the truth
 *	command.c  what users ask: a table of functions that change drafts only; the verbs
 *	change.c   the commands that change a job: files, properties, name, owner
 *	run.c      what goes on with a job: joining the scheduler, stopping, going on, ending
 *	settle.c   what follows from the states of a job's files
 *	slots.c    the table of transfers
 *	fetch.c    starting them, as the scheduler says
 *	report.c   what the engine reports of them
 *	retry.c    files that are tried again
 *	order.c    the mover's orders: prepare, place, drop
 *	sync.c     likewise: sync, verify
 *	timer.c    one heap of deadlines, one per job with which something goes on
 *	waiters.c  parked requests
 *	errand.c   the notify command
 *	limits.c   bandwidth, timetable, network: what holds a job back
 *	recover.c  from the store to a queue that can run
 */
#pragma once

#include "base/parse.h"
#include "base/users.h"
#include "base/vector.h"
#include "core/core.h"
#include "model/schedule.h"
#include "model/table.h"
#include "model/timetable.h"

#include <pthread.h>
#include <stdatomic.h>

/* A transfer that the engine has. Found by id: the low bits are its slot, the others make it unique. */
struct transfer {
	struct table_link link; /* core->by_file */
	uint64_t id;           /* 0: the slot is free */
	struct run *run;
	uint32_t file, generation;
	bool sent;             /* the engine knows it: what it is told before that, it would ignore */
	bool ceasing;
	uint64_t had;          /* bytes when it was started */
	uint64_t rate;         /* as reported last; summed up in core->service */
	unsigned connections;  /* likewise */
	uint64_t wanted;       /* where a reader waits; UINT64_MAX: none does */
	uint64_t told;         /* of that, to the engine */
	struct transfer *next, **at; /* run->transfers, or the free list */
};

struct retry {
	uint32_t file;
	int64_t deadline;
};

struct gone {
	uint32_t file, generation;
	struct gone *next; /* run->gone */
};

/* How far the placing of a job's files has come. */
enum place {
	PLACE_NONE,
	PLACE_WANTED,    /* when transfers, syncs and checksums of the job have ended */
	PLACE_PREPARING, /* the order is with the mover */
	PLACE_PREPARED,  /* its inodes are being saved */
	PLACE_PLACING,
};

/* What the core remembers of a job while something goes on with it; jobs at rest have none. */
struct run {
	uint64_t serial;
	struct core *core;

	/* This turn */
	struct job *draft;       /* NULL: unchanged */
	struct run *next_dirty;  /* core->dirty */
	struct run *next_touched;/* core->touched */
	bool touched;
	bool dirty;
	bool save;               /* the draft must be durable before it is seen */
	bool fresh;              /* not in the queue yet */
	bool unsettled;          /* something has changed that may change the state: run_settle looks */
	unsigned fx;             /* FX_*: to act upon once published */
	unsigned changed;        /* CHANGED_*: for the hooks */
	char *old_name;          /* CHANGED_NAME, CHANGED_GONE */
	struct job *old;         /* what publishing replaced; freed after the lock */
	uint32_t *ready;         /* files that may be started once this turn is published */
	size_t nready, ready_cap;
	struct gone *gone;       /* files that are removed with this turn: their blobs go afterwards */

	/* Transfers */
	bool joined;             /* known to the scheduler */
	struct transfer *transfers;
	uint32_t ntransfers;
	enum job_priority priority; /* as the engine knows it; PRIORITY_MAX: it does not */
	uint64_t rate;           /* likewise; LIMIT_MAX */
	enum outcome obstacle;   /* OUTCOME_DONE: none; BANDWIDTH, METERED, OFFLINE: nothing may start */
	struct fetch_options *options; /* made when the first transfer starts; dropped when properties change */
	struct retry *retries;   /* files that wait for another try */
	size_t nretries, retries_cap;
	int64_t retry_at;        /* the earliest of them */
	int64_t lost_at;         /* when retry_lost was called last */
	int64_t active_since;    /* for active_seconds; 0: not active */
	int64_t resumed_at;      /* for the queue latency; 0: the first byte was seen */

	/* Orders */
	uint32_t *unsynced;      /* files without a transfer whose bytes are to be synced */
	size_t nunsynced, unsynced_cap;
	bool syncing;
	int64_t synced_at;
	uint32_t verifying;
	enum place place;
	bool place_again;        /* begun before: by a daemon that has ended, or without memory to note it */
	int place_err;           /* the first errno */
	uid_t ended_by;
	unsigned leftovers;      /* temporary files that could not be deleted */

	/* The end */
	bool ended;              /* no longer in the queue; waits for its transfers, then its blobs are dropped */
	bool dropping;
	struct result *result;   /* how it ended, until the queue has it */
	struct owed *held;       /* answers that wait for it: complete (placed), cancel (deleted) */

	/* The notify command */
	bool on_errand;
	enum job_state errand_state; /* JOB_STATE_MAX: the job has been in another one since */
	int64_t errand_at;       /* not before; 0: at once */

	struct waiter *waiters[WAIT_MAX];
	int64_t wait_deadline;   /* not after the earliest of theirs */
	int64_t deadline;        /* of its tick */
	size_t timer;            /* 1 + its place in the heap; 0: none */
};

struct waiter {
	struct wait wait;
	uint64_t serial;
	struct run *run;
	struct reply *reply;
	struct waiter *next, **at; /* run->waiters */
};

/* An event on its way: part of a turn, seen when the turn is published. */
struct note {
	struct note *next;
	uint64_t serial;
	char *job;
	const char *what;
	char *details;
};

/* A command's answer, sent after its save. */
struct owed {
	struct owed *next;  /* core->owed, or run->held */
	struct reply *reply;
	int err;
	struct answer answer;
	struct run *hold;   /* not NULL: on success this run holds it */
	struct run *of;     /* whose `refused` says why */
};

struct core {
	struct core_options options;
	struct users *users;        /* has its own lock */
	struct mailbox mailbox;
	pthread_mutex_t read_lock;
	struct queue *queue;        /* changes [lock] */
	struct core_ports ports;
	struct core_hooks hooks;
	_Atomic uint64_t last_wait_id;

	struct moment moment;       /* of this turn */
	bool stopping, stopped;
	uint64_t next_serial, saved_serial;
	uint64_t random;            /* retry jitter */

	void *runs;                 /* tsearch by serial */
	size_t nruns;
	struct run *dirty;          /* with a draft in this turn */
	struct run *touched;        /* looked at in this turn: to be settled, and forgotten when idle */
	struct note *notes, **notes_tail;
	struct fetch *fetches;      /* to be sent once published; linked by mail.next */
	struct owed *owed, **owed_tail;
	int save_owed;              /* errno of a save of facts that is to be repeated; commands are refused with it */

	struct sched *sched;
	struct transfer *slots;
	uint32_t nslots;
	struct transfer *free_slots;
	struct table by_file;       /* those in use */
	uint64_t transfer_seq;

	struct run **timers;        /* heap, by run->deadline; room for all runs */
	size_t ntimers, timers_cap;
	int64_t save_at;            /* of the service itself: a save that is owed is tried again, */
	int64_t limits_at;          /* the timetable says something else, */
	int64_t watch_at;           /* a job may have become too old */
	void *waiters;              /* tsearch by id */

	struct service service;     /* the master copy; published at the end of a turn */
	struct service service_before; /* the commands of this turn */
	bool service_changed;
	bool network_changed;       /* service.network is to be saved */
	struct timetable *timetable;
	uint64_t class_rate[PRIORITY_MAX];
	int64_t pruned_at;          /* wall seconds: when old results were looked for */
	bool prune;                 /* in this save */
	uint64_t *forgotten;        /* serials of results that the store still has: the next save drops them */
	size_t nforgotten, forgotten_cap;
};

#define SYNC_INTERVAL (2 * NSEC_PER_SEC) /* what a crash may cost, */
#define SYNC_BATCH 1024                  /* or so many small files: saved while others are fetched */

/* --- core.c ---------------------------------------------------------------------------------- */

void core_log_event(struct run *run, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- commit.c -------------------------------------------------------------------------------- */

/* The job as this turn sees it: its draft, else the published version; NULL when it is not there. */
const struct job *run_job(const struct run *run);
/* A draft to change; NULL: out of memory. Marks the run dirty. */
struct job *run_edit(struct run *run);
/* job_apply on the draft, with its effects noted in the run. */
int run_apply(struct run *run, enum job_event event);
/* A draft version of a file of the job; takes VERSION's contents. */
int run_set_file(struct run *run, uint32_t file, struct file *version);
/* Saves (if any draft must be), publishes, acts. COMMANDS: on failure the drafts are dropped and every
 * owed answer gets the errno; else they are kept and the save is repeated. */
int core_commit(struct core *c, bool commands);
void run_drop_draft(struct run *run); /* the latest that was made dirty */
void core_drop_drafts(struct core *c);
void core_publish_service(struct core *c);
void core_shorten_history(struct core *c, uid_t uid); /* LOCKED; to what he may have of it */
void core_owe(struct core *c, struct reply *reply, int err, const struct answer *answer, struct run *hold, struct run *of);
const char *core_unsaved(int err); /* why a save failed */
/* The sentence for what was refused because the save failed with ERR. */
void core_refuse_unsaved(struct core *c, uint64_t serial, int err);
void core_answer_owed(struct core *c, int err);

/* --- command.c ------------------------------------------------------------------------------- */

void command_decide(struct core *c, struct message *m);
bool command_privileged(const struct core *c, const struct creds *creds); /* root, or the daemon's own user */
bool command_owns(const struct core *c, const struct job *job, const struct creds *creds);
int command_refuse(struct run *run, int err, const char *sentence); /* gives ERR */
/* Whether the state allows EVENT, and a draft to change. Asked before anything is changed. */
int command_may(struct run *run, enum job_event event, const char *what);
bool command_name_taken(const struct core *c, const char *name);
/* What on_transferred = complete does: the verb, as the owner. */
int command_complete_as_owner(struct run *run);

/* --- change.c: handlers of command.c's table ---------------------------------------------------- */

int change_add(struct run *run, struct command *command, const struct creds *creds);
int change_make_dir(struct run *run, struct command *command, const struct creds *creds);
int change_remove(struct run *run, struct command *command, const struct creds *creds);
int change_prop(struct run *run, struct command *command, const struct creds *creds);
int change_name(struct run *run, struct command *command, const struct creds *creds);
int change_mode(struct run *run, struct command *command, const struct creds *creds);
int change_owner(struct run *run, struct command *command, const struct creds *creds);

/* --- run.c ----------------------------------------------------------------------------------- */

struct run *run_get(struct core *c, uint64_t serial);  /* makes it; NULL: out of memory */
struct run *run_find(struct core *c, uint64_t serial); /* NULL: none */
void run_touch(struct run *run);                /* to be settled and advanced at the end of this turn */
/* After the turn was saved and answered: sends what may be sent now; frees RUN when nothing goes on. */
void run_advance(struct run *run);
void run_act(struct run *run, unsigned fx);    /* after publishing */
void run_forget_gone(struct run *run);
int run_gone(struct run *run, uint32_t file, uint32_t generation); /* the blob goes with this turn */
void run_ready(struct run *run, uint32_t file);   /* FILE may start once this turn is published */
void run_cease_all(struct run *run);
void run_end(struct run *run, bool partial, const char *reason); /* drafts the end of a job in a final state */
void run_answer_held(struct run *run, int err);
void run_free(struct run *run);

/* --- settle.c -------------------------------------------------------------------------------- */

void run_settle(struct run *run);
void run_count_active_time(struct run *run);   /* so far */

/* --- slots.c --------------------------------------------------------------------------------- */

struct transfer *slot_take(struct run *run, uint32_t file, const struct file *version); /* NULL: out of memory */
void slot_release(struct transfer *t);     /* it has ended: the scheduler gets its slot back */
struct transfer *slot_by_id(struct core *c, uint64_t id);         /* NULL: a late report */
struct transfer *slot_find(struct run *run, uint32_t file);       /* NULL */
void slot_cease(struct transfer *t);
void slot_want(struct transfer *t);               /* tells the engine where a reader waits */
void slot_gauge(struct transfer *t, uint64_t rate, unsigned connections);

/* --- fetch.c --------------------------------------------------------------------------------- */

void fetch_schedule(struct core *c);           /* asks the scheduler, drafts and starts */
void fetch_forget(struct core *c);              /* those that were never sent */

/* --- report.c -------------------------------------------------------------------------------- */

void report_take(struct core *c, struct report *r); /* borrows */
/* The draft VERSION begins from nothing, in a new blob: what there is belongs to another version on the
 * server or is proven wrong, and bytes of two versions never meet in one blob (invariant 7). */
void report_start_over(struct run *run, uint32_t file, struct file *version);
void report_fail_softly(struct run *run, uint32_t file, struct file *version, const struct report *r);
void report_fail_hard(struct run *run, struct file *version, const struct report *r);

/* --- retry.c --------------------------------------------------------------------------------- */

void retry_later(struct run *run, uint32_t file, int64_t delay);
int64_t retry_deadline(const struct run *run); /* INT64_MAX: none */
void retry_due(struct run *run);               /* files whose delay is over become queued */
void retry_forgive(struct run *run);           /* waiting and failed files become queued (RESUME) */
void retry_forgive_waiting(struct run *run);   /* only the waiting ones (the network is back) */
void retry_lost(struct run *run);              /* those that nothing will bring on, for want of memory */

/* --- order.c --------------------------------------------------------------------------------- */

void order_done(struct core *c, struct order *o); /* borrows */
void order_send(struct core *c, struct order *o); /* takes */
void order_place(struct run *run);             /* sends PREPARE when the job is quiet, PLACE when that is saved */
void order_drop_blob(struct run *run, uint32_t file, uint32_t generation);
void order_drop(struct run *run);

/* --- sync.c ---------------------------------------------------------------------------------- */

void order_sync(struct run *run);              /* sends a SYNC if one is due */
int64_t order_sync_deadline(const struct run *run);
void order_unsynced(struct run *run, uint32_t file); /* a file without a transfer is to be synced */
void order_all_unsynced(struct run *run, const struct job *job); /* all that are, after a restart */
int order_verify(struct run *run, uint32_t file, uint64_t size, struct digest *digest); /* takes */
void order_sync_done(struct run *run, struct order *o);
void order_verify_done(struct run *run, struct order *o);

/* --- errand.c ------------------------------------------------------------------------------- */

void errand_run(struct run *run);              /* if one is due */
void errand_done(struct core *c, struct errand *e); /* borrows */

/* --- timer.c --------------------------------------------------------------------------------- */

int timer_reserve(struct core *c);              /* for one run more: setting cannot fail */
void timer_set(struct run *run, int64_t deadline); /* a tick then, or earlier */
void timer_drop(struct run *run);
void timer_watch(struct core *c, const struct job *job); /* inactivity and age of a new job */
void timer_arm(struct run *run);                /* all deadlines of a job with which something goes on */
void timer_run(struct core *c);                /* ticks of all jobs that are due */
int64_t timer_next(const struct core *c);

/* --- waiters.c ------------------------------------------------------------------------------- */

void waiters_park(struct core *c, struct message *m);
void waiters_interrupt(struct core *c, uint64_t id);
void waiters_wake(struct run *run);            /* answers those whose condition holds */
void waiters_wake_readers(struct run *run, uint32_t file); /* only those that wait for bytes of FILE */
bool waiters_any(const struct run *run);
void waiters_wake_service(struct core *c);
void waiters_end(struct core *c);              /* all: -ENODEV */

/* --- limits.c -------------------------------------------------------------------------------- */

void limits_update(struct core *c);            /* timetable and network: rates, obstacles */
void limits_network(struct core *c, bool online); /* lost, or back */
void limits_of_job(struct run *run);           /* its obstacle; its rate in the engine */
void limits_forget(struct run *run);           /* it does not run any more */
