/* Who is next in a place where connections are limited: at one host, or in the engine as a whole.
 *
 * The transfers of one job in one place are a *party*. Of the parties that wait at the highest priority
 * the one with the fewest connections there is next, then the oldest; so a job of many files does not
 * keep a small one waiting. Before them comes one of a *user* who has no connection there at all; so a
 * user of many jobs does not keep another waiting. A party that waits is listed as hungry while it has no
 * connection, else as fed; fed and running ones are at most as many as the place has connections, and
 * hungry ones, and the users of them who are unserved, have their turns: choosing never depends on how
 * much waits.
 *
 * In a full place who has nothing is given room by who has most: a transfer has to leave, also one that
 * has to start over later, or transfers that never end (a server that gives a byte now and then, a job
 * with a low limit) would keep others waiting for good. Those that are to start over do not do so in
 * vain: nobody gives his last connection to an equal, and of what he has the youngest goes, so that the
 * oldest ends. That is why there is no cap on what a user has: alone, or before all others have some, he
 * may use all there is.
 *
 * Internal to the gate, whose lock covers all of this. No clock, no threads.
 */
#pragma once

#include "model/job.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct transfer;
struct worker;
struct party;
struct user;

enum { AT_HOST, IN_ALL, PLACES };

/* The part of a transfer that belongs to the gate; every field: its lock. */
struct ticket {
	TAILQ_ENTRY(ticket) link[PLACES];  /* party->waiting or ->running */
	TAILQ_ENTRY(ticket) order_link;    /* worker's orders, when orders are not 0 */
	TAILQ_ENTRY(ticket) all;           /* a bucket of gate->by_id */
	struct transfer *transfer;
	struct party *party[PLACES];
	uint64_t id, serial, seq;
	uid_t uid;                         /* whose job it is */
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
TAILQ_HEAD(users, user);

/* Whose parties there are in a place. */
struct user {
	TAILQ_ENTRY(user) link;                /* place->users */
	TAILQ_ENTRY(user) turn[PRIORITY_MAX];  /* place->unserved, where `listed` */
	bool listed[PRIORITY_MAX];             /* has no connection, and a hungry party */
	struct parties hungry[PRIORITY_MAX];   /* his */
	uid_t uid;
	unsigned refs, busy, at[PRIORITY_MAX]; /* parties; connections; those by priority */
};

struct party {
	TAILQ_ENTRY(party) bucket;     /* gate->parties */
	TAILQ_ENTRY(party) turn, runs; /* place->hungry or ->fed; place->running */
	TAILQ_ENTRY(party) own_turn;   /* user->hungry */
	TAILQ_ENTRY(party) part;       /* job->parts, of a party at a host */
	struct place *place;
	struct user *user;
	struct party *job;             /* the job's party in all; its own: itself */
	struct parties parts;
	struct parties *listed;        /* in `turn` of this list; NULL: nothing waits */
	struct parties *among;         /* in `own_turn` of this list; NULL: not hungry */
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
	struct users users, unserved[PRIORITY_MAX];
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
/* That of T's job. Makes it, of JOB (NULL: it is the job's in all), if it is not there; one more reference.
 * NULL: no memory. */
struct party *party_get(struct partybook *b, struct place *p, struct party *job, const struct ticket *t);
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
/* The running ticket that makes room for NEXT in P: of the lowest priority, or, where NEXT's job or user
 * has nothing there, of the equal job or user with the most, if that is several: the youngest that can be
 * moved, else the youngest. NULL: none, or it has not run since BEFORE (then it will have, or will have
 * ended), or a file with several connections is about to give one up. */
struct ticket *place_victim(const struct place *p, const struct ticket *next, int64_t before);
void place_assert_sane(const struct place *p);
