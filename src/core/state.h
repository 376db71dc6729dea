/* The core's own state: private to core/. Everything here belongs to the core thread, but what is
 * marked [lock], which readers see under core->read_lock.
 *
 * One file per concern:
 *	core.c     lifecycle, the loop, the turn
 *	commit.c   save, publish, act: how drafts become the truth
 *	command.c  what users ask: one function per command, by table; drafts only
 *	run.c      what goes on with a job: joining the scheduler, stopping, settling, ending
 *	fetch.c    transfers: starting them, and the engine's reports
 *	order.c    the mover's orders: sync, verify, prepare, place, drop
 *	timer.c    one heap of deadlines, one tick per job
 *	waiters.c  parked requests
 *	errand.c   the notify command
 *	limits.c   bandwidth, timetable, network: what holds a job back
 *	recover.c  from the store to a queue that can run
 */
#pragma once

#include "base/parse.h"
#include "core/core.h"
#include "model/schedule.h"
#include "model/timetable.h"

#include <pthread.h>
#include <stdatomic.h>

/* A transfer that the engine has. Found by id: the low bits are its slot, the others make it unique. */
struct transfer {
	uint64_t id;           /* 0: the slot is free */
	struct run *run;
	uint32_t file, generation;
	bool ceasing;
	uint64_t wanted;       /* as told to the engine; UINT64_MAX: nobody waits */
	struct transfer *next; /* run->transfers, or the free list */
};

struct retry {
	uint32_t file;
	int64_t deadline;
};

/* A command whose answer waits for more than its save: complete (placed), cancel (deleted). */
struct held {
	struct reply *reply;
	struct held *next; /* run->held */
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
	bool unsettled;          /* something has changed that may change the state */
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
	enum job_priority priority; /* as the engine knows it */
	uint64_t rate;           /* likewise */
	enum outcome obstacle;   /* OUTCOME_DONE: none; BANDWIDTH, METERED, OFFLINE: nothing may start */
	struct fetch_options *options; /* made when the first transfer starts; dropped when properties change */
	struct retry *retries;   /* files that wait for another try */
	size_t nretries, retries_cap;
	int64_t active_since;    /* for active_seconds; 0: not active */
	int64_t resumed_at;      /* for the queue latency; 0: the first byte was seen */

	/* Orders */
	uint32_t *unsynced;      /* transferred files whose bytes are to be synced */
	size_t nunsynced, unsynced_cap;
	bool syncing;
	int64_t synced_at;
	uint32_t verifying;
	enum place place;
	unsigned place_errors;
	int place_err;           /* the first errno */
	uid_t ended_by;
	unsigned leftovers;      /* temporary files that could not be deleted */

	/* The end */
	bool ended;              /* no longer in the queue; waits for its transfers, then its blobs are dropped */
	bool dropping;
	struct result *result;   /* how it ended, until the queue has it */
	struct held *held;

	/* The notify command */
	bool on_errand;
	enum job_state errand_state;
	int64_t errand_at;       /* not before; 0: at once */

	struct waiter *waiters;
	int64_t deadline;        /* earliest entry in the heap; INT64_MAX: none */
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
	struct owed *next;
	struct reply *reply;
	int err;
	struct answer answer;
	struct run *hold;   /* not NULL: on success the reply is held by this run instead */
	struct run *of;     /* whose `refused` says why */
};

struct timer {
	int64_t deadline;
	uint64_t serial;
	bool watch; /* the one entry per job for inactivity and age; the others belong to its run */
};

struct core {
	struct core_options options;
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
	uint64_t transfer_seq;

	struct timer *timers;       /* heap */
	size_t ntimers, timers_cap;
	void *waiters;              /* tsearch by id */

	struct service service;     /* the master copy; published with each turn */
	bool network_changed;       /* service.network is to be saved */
	struct timetable *timetable;
	uint64_t class_rate[PRIORITY_MAX];
};

#define SYNC_INTERVAL (2 * NSEC_PER_SEC) /* what a crash may cost */

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
void core_drop_drafts(struct core *c);
void core_owe(struct core *c, struct reply *reply, int err, const struct answer *answer, struct run *hold, struct run *of);
void core_answer_owed(struct core *c, int err);

/* --- command.c ------------------------------------------------------------------------------- */

void command_decide(struct core *c, struct message *m);
/* What on_transferred = complete does: the verb, as the owner. */
int command_complete_as_owner(struct run *run);

/* --- run.c ----------------------------------------------------------------------------------- */

struct run *run_get(struct core *c, uint64_t serial);  /* makes it; NULL: out of memory */
struct run *run_find(struct core *c, uint64_t serial); /* NULL: none */
void run_touch(struct run *run);                /* to be settled and perhaps forgotten at the end of this turn */
void run_release_if_idle(struct run *run);
void run_act(struct run *run, unsigned fx);    /* after publishing */
void run_forget_gone(struct run *run);
int run_gone(struct run *run, uint32_t file, uint32_t generation);
void run_ready(struct run *run, uint32_t file);   /* FILE may start once this turn is published */
void run_settle(struct run *run);              /* drafts what follows from the files' states */
void run_cease_all(struct run *run);
void run_end(struct run *run, bool partial, const char *reason); /* drafts the end of a job in a final state */
void run_finish(struct run *run);              /* an ended run without transfers: drop its blobs */
void run_answer_held(struct run *run, int err);
void run_free(struct run *run);

/* --- fetch.c --------------------------------------------------------------------------------- */

void fetch_schedule(struct core *c);           /* asks the scheduler, drafts and starts */
void fetch_report(struct core *c, struct report *r); /* borrows */
void fetch_cease(struct transfer *t);
void fetch_forget(struct core *c);              /* those that were never sent */
struct transfer *fetch_find(struct run *run, uint32_t file);
void fetch_retry_due(struct run *run);         /* files whose delay is over become queued */
void fetch_forgive(struct run *run);           /* waiting and failed files become queued (RESUME) */
void fetch_forgive_waiting(struct run *run);   /* only the waiting ones (the network is back) */
int64_t fetch_retry_deadline(const struct run *run);

/* --- order.c --------------------------------------------------------------------------------- */

void order_done(struct core *c, struct order *o); /* borrows */
void order_sync(struct run *run, bool now);    /* sends a SYNC if one is due */
int64_t order_sync_deadline(const struct run *run);
void order_unsynced(struct run *run, uint32_t file); /* a transferred file is to be synced */
void order_verify(struct run *run, uint32_t file, uint64_t size, struct digest *digest); /* takes */
void order_place(struct run *run);             /* sends PREPARE when the job is quiet, PLACE when that is saved */
void order_drop_blob(struct run *run, uint32_t file, uint32_t generation);
void order_drop(struct run *run);

/* --- errand.c ------------------------------------------------------------------------------- */

void errand_run(struct run *run);              /* if one is due */
void errand_done(struct core *c, struct errand *e); /* borrows */

/* --- timer.c --------------------------------------------------------------------------------- */

void timer_set(struct run *run, int64_t deadline);
void timer_set_service(struct core *c, int64_t deadline);
void timer_watch(struct core *c, const struct job *job); /* inactivity and age; once per job */
void timer_arm(struct run *run);                /* all deadlines of a job with which something goes on */
void timer_run(struct core *c);                /* ticks of all jobs that are due */
int64_t timer_next(const struct core *c);

/* --- waiters.c ------------------------------------------------------------------------------- */

void waiters_park(struct core *c, struct message *m);
void waiters_interrupt(struct core *c, uint64_t id);
void waiters_wake(struct run *run);            /* answers those whose condition holds */
void waiters_wake_service(struct core *c);
int64_t waiters_deadline(const struct run *run);
void waiters_wants(struct run *run);           /* tells the engine where readers wait */
void waiters_end(struct core *c);              /* all: -ENODEV */

/* --- limits.c -------------------------------------------------------------------------------- */

void limits_update(struct core *c);            /* timetable and network: rates, obstacles */
void limits_network(struct core *c, bool online); /* lost, or back */
void limits_of_job(struct run *run);           /* its obstacle; its rate in the engine */
