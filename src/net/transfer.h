/* One file: its sites (where it can be had), its version, the plan of its segments, its reports.
 * Owned by one worker; made by the core thread and waiting in the gate before.
 */
#pragma once

#include "model/segment.h"
#include "net/conn.h"
#include "net/worker.h"

/* Why something did not work; what the user is told. */
struct failure {
	enum outcome outcome;
	int http_status, err;
	char *text, *url;        /* url: without password */
	int64_t retry_after_s;   /* -1: none */
};
void failure_release(struct failure *f);
/* What C says; out of memory loses the texts. */
void failure_of_conn(const struct conn *c, struct failure *ret);

/* A place where the file can be had. The first that works decides the version; a cache in front of
 * the origin must agree with it in everything, a mirror only in the size. */
struct site {
	const char *url;         /* borrowed from the fetch, or own */
	char *own;               /* url of the cache */
	char *moved;             /* where redirects led; NULL: nowhere */
	char *validator;         /* of this site's copy; NULL */
	bool cache, mirror;      /* neither: the origin */
	bool dead;
	unsigned connections;
};

struct transfer {
	struct ticket ticket;    /* the gate's lock */
	TAILQ_ENTRY(transfer) link, news_link;
	struct worker *worker;   /* NULL: it waits in the gate, and any thread may end it */
	struct fetch *fetch;
	enum job_priority priority;
	struct throttle_job *bucket;
	struct balance_job *balance;
	struct segments plan;
	struct conn *conns[SEGMENTS_MAX]; /* by slot of the plan */
	unsigned slots;          /* connections that the gate counts */
	struct site *sites;
	size_t nsites;
	uint64_t *edges;         /* range=: where the parts begin in the blob, and the end; else NULL */
	int fd;                  /* of the blob; -1: none yet, no answer was accepted or its bytes are gathered */
	char *gathered;          /* all of the file, to be written by the scribe; NULL */
	size_t ngathered;
	uint64_t remote_size;    /* differs from plan.size with range= */
	char *validator;         /* of the bytes in the blob */
	int64_t mtime;
	struct digest *digest;
	struct failure failure;  /* what to say if no site is left */
	bool identified;         /* an answer was accepted */
	unsigned restarts, waits;
	uint64_t waits_moved;
	int64_t wait_until;      /* nothing is begun before, though no connection is open */
	bool unverified, in_news, begun, wanting, resuming, had_several;
	bool movable;            /* as the gate was told */
	bool was_paused;         /* by our buckets, since the last tick */
	uint64_t reported_moved, rated_moved, rate;
	int64_t reported_at;
};

/* Takes FETCH (and frees it on failure). 0, -ENOMEM. */
int transfer_new(struct fetch *fetch, struct transfer **ret);
void transfer_free(struct transfer *t);
/* For one that never ran: ENDED with OUTCOME. */
void transfer_decline(struct transfer *t, struct mailbox *reports, enum outcome outcome, const char *text);

/* The worker W has it from here on; it may end at once. */
void transfer_start(struct transfer *t, struct worker *w);
void transfer_tick(struct transfer *t);           /* may end it */
void transfer_news(struct transfer *t);
void transfer_want(struct transfer *t, uint64_t offset);
bool transfer_is_background(const struct transfer *t); /* and is to give way to other traffic */
void transfer_stop(struct transfer *t);           /* ENDED with STOPPED */

/* Where the file can be had, in the order of trying. 0, -ENOMEM. */
int sites_init(struct transfer *t, const char *cache_host);
void sites_release(struct transfer *t);
struct site *sites_pick(struct transfer *t); /* alive, with the fewest connections; NULL */

/* version.c: for range=, where the parts begin in the blob, as far as is known. 0, -ENOMEM. */
int transfer_set_edges(struct transfer *t);
int transfer_open(struct transfer *t); /* version.c: the blob, for all connections; with room for the file */

/* report.c */
void report_send(struct transfer *t, enum report_kind kind);
void report_end(struct transfer *t, struct mailbox *reports, const struct failure *why, bool unverified);

/* --- for conn.c ------------------------------------------------------------------------------------ */

/* An answer of CONN was accepted: the version of the file is MTIME, REMOTE_SIZE (SIZE_UNKNOWN) and
 * VALIDATOR (copied). Opens the blob, but for a small file. False: CONN's failure is set. */
bool transfer_identify(struct transfer *t, struct conn *c, uint64_t remote_size, const char *validator, int64_t mtime,
	bool ranges);
void transfer_has_news(struct transfer *t);
/* The connection has ended (its failure says how); C is gone afterwards, and T may be. */
void transfer_conn_ended(struct transfer *t, struct conn *c);
/* The offset in the remote file of OFFSET in the blob. */
uint64_t transfer_remote(const struct transfer *t, uint64_t offset);
