/* Who is next in a place where connections are limited: at one host, or in the engine as a whole.
 *
 * The transfers of one job in one place are a *party*. Of the parties that wait at the highest priority
 * the one with the fewest connections there is next, then the oldest; so a job of many files does not
 * keep a small one waiting. A party that waits is listed as hungry while it has no connection, else as
 * fed; fed and running ones are at most as many as the place has connections, and hungry ones are
 * served in turn: choosing never depends on how much waits.
 *
 * Internal to the gate, whose lock covers all of this. No clock, no threads.
 */
#pragma once

#include "model/job.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct transfer;
struct worker;
struct party;

enum { AT_HOST, IN_ALL, PLACES };

/* The part of a transfer that belongs to the gate; every field: its lock. */
struct ticket {
	TAILQ_ENTRY(ticket) link[PLACES];  /* party->waiting or ->running */
	TAILQ_ENTRY(ticket) order_link;    /* worker's orders, when orders are not 0 */
	TAILQ_ENTRY(ticket) all;           /* a bucket of gate->by_id */
	struct transfer *transfer;
	struct party *party[PLACES];
	uint64_t id, serial, seq;
	enum job_priority priority;        /* as it enters, and as it begins; else its party's counts */
	struct worker *worker;             /* NULL: waits */
	unsigned connections;
	int64_t since;                     /* when it got the first one */
	bool movable, leaving;             /* can go on later from where it is; was asked to */
	bool denied;                       /* has asked for one more connection, and got none */
	unsigned orders;                   /* ORDER_* */
	bool late;                         /* `want` was changed while it waited */
	uint64_t want;
};
TAILQ_HEAD(tickets, ticket);
TAILQ_HEAD(parties, party);

struct party {
	TAILQ_ENTRY(party) bucket;     /* gate->parties */
	TAILQ_ENTRY(party) turn, runs; /* place->hungry or ->fed; place->running */
	TAILQ_ENTRY(party) part;       /* job->parts, of a party at a host */
	struct place *place;
	struct party *job;             /* the job's party in all; its own: itself */
	struct parties parts;
	struct parties *listed;        /* in `turn` of this list; NULL: nothing waits */
	uint64_t serial;
	enum job_priority priority;
	unsigned refs, busy, nwaiting; /* tickets; connections; tickets that wait */
	unsigned ndenied;              /* tickets */
	struct tickets waiting, running; /* by age, the oldest first */
};

struct place {
	int level;                     /* AT_HOST, IN_ALL */
	unsigned busy, max;            /* connections */
	unsigned nwaiting, leaving;    /* tickets that wait; that were asked to leave, and have not yet */
	struct parties hungry[PRIORITY_MAX], fed[PRIORITY_MAX];
	struct parties running;
};

void place_init(struct place *p, int level, unsigned max);

/* All parties, by place and job. */
#define PARTY_BUCKETS 1024
struct partybook {
	struct parties buckets[PARTY_BUCKETS];
};
void partybook_init(struct partybook *b);
struct party *party_find(struct partybook *b, const struct place *p, uint64_t serial); /* NULL */
/* Makes it, of JOB (NULL: it is the job's in all), if it is not there; one more reference. NULL: no memory. */
struct party *party_get(struct partybook *b, struct place *p, struct party *job, uint64_t serial, enum job_priority priority);
void party_put(struct partybook *b, struct party *y); /* NULL: nothing */
void party_set_priority(struct party *y, enum job_priority priority);

/* A ticket at the place of LEVEL: its party is set. */
void place_wait(struct ticket *t, int level);
void place_unwait(struct ticket *t, int level);
void place_run(struct ticket *t, int level);   /* with t->connections, which are more than 0 */
void place_unrun(struct ticket *t, int level);
void place_connections(struct ticket *t, int level, int change); /* of a running one */

static inline bool place_is_full(const struct place *p)
{
	return p->busy >= p->max;
}

/* The ticket that is next, whether or not there is room; NULL: none waits. */
struct ticket *place_next(const struct place *p);
/* Whether A should be served before B, at their hosts and then in all. */
bool ticket_is_before(const struct ticket *a, const struct ticket *b);
/* Whether NEXT, which waits, has a better claim to a connection than running T of several has. */
bool ticket_outranks(const struct ticket *next, const struct ticket *t, int level);
/* A ticket that runs is denied, or not any more, one more connection. */
void ticket_set_denied(struct ticket *t, bool denied);
/* Whether another party of P, denied more, has at least two connections fewer than Y, of no higher priority. */
bool place_is_uneven(const struct place *p, const struct party *y);
/* The running ticket that makes room for NEXT in P: of a lower priority, or, where NEXT's job has
 * nothing there, of the job with the most; the youngest that can be moved and has run since BEFORE.
 * NULL: none, or a file with several connections is about to give one up. */
struct ticket *place_victim(const struct place *p, const struct ticket *next, int64_t before);
void place_assert_sane(const struct place *p);
