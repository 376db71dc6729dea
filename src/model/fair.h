/* What jobs of one priority get of a line that they share: as much each. Pure.
 *
 * Connections that meet in a queue are not served alike: one that has been there for long may keep
 * several times what a new one gets, for seconds. So jobs that get more than a fair share are held back
 * by their receive windows, and the others take what is free then:
 *
 *	share = (capacity - what content jobs take) / the other jobs
 *
 * Whether they do take it is seen by the sum (a *trial*): if it falls, those that are not held have all
 * that they can use (their server, another line), and are *content* for a while; what they leave is the
 * others'. So jobs that share nothing are left alone but for short trials, ever more seldom. While the
 * sum still grows the line is not full, and nobody is held anew. A new job is given room at once. One
 * job alone is never held, nor is the last one that is not content.
 *
 * A held job's rate is followed at each step by `factor`, so errors in what a window means (model/hold)
 * do not add up; where all are held and have their share, the capacity is taken to be larger.
 *
 * Calling sequence: fair_init; fair_join and fair_leave; bytes are added to job->bytes as they come;
 * fair_step whenever it is due, which sets job->factor.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define FAIR_INTERVAL (100 * NSEC_PER_MSEC)    /* between two steps, and at least two round trips */
#define FAIR_INTERVAL_MAX NSEC_PER_SEC
#define FAIR_AT_ONCE (20 * NSEC_PER_MSEC)      /* less than this is not measured */
#define FAIR_TRIAL 5                           /* steps until it is seen who takes what was left to him */
#define FAIR_PAST 6                            /* steps in which a full line shows: the sum does not grow */
#define FAIR_CONTENT (4 * NSEC_PER_SEC)        /* until he is asked again; doubled each time, */
#define FAIR_CONTENT_MAX (256 * NSEC_PER_SEC)  /* up to this */
#define FAIR_PROVEN (10 * NSEC_PER_SEC)        /* how long it counts that holding has served others */
#define FAIR_SLACK 0.01                        /* held at this much above the share */
#define FAIR_FREE 0.0

struct fair_job {
	TAILQ_ENTRY(fair_job) link;   /* fair->jobs */
	uint64_t bytes;               /* since the last step; the caller adds */
	bool limited;                 /* the caller's: a limit of its own holds it back; it is content */
	double factor;                /* by which its windows are to change at this step; FAIR_FREE: none */
	double rate, latest, mean;    /* bytes per second: smoothed; of the last step; of seconds */
	bool held, content;
	unsigned astray;              /* steps in a row in which it was held and got much less than its share */
	double demand;                /* of a content job */
	int64_t content_until;
	unsigned refusals;            /* trials in a row in which it took nothing */
};
TAILQ_HEAD(fair_jobs, fair_job);

struct fair {
	struct fair_jobs jobs;
	unsigned n;
	int64_t rtt;                  /* the caller's: the longest round trip of them */
	int64_t stepped_at;
	bool urgent;                  /* a job came or went */
	double capacity;              /* what they get together while nobody is held in vain */
	double sums[FAIR_PAST];       /* of their rates, the latest last */
	int64_t proven_until;         /* a trial has shown that they share a line */
	unsigned trial;               /* steps of it; 0: none */
	double tried;                 /* the sum of rates in its second half */
};

void fair_init(struct fair *f, int64_t now);
void fair_join(struct fair *f, struct fair_job *j);
void fair_leave(struct fair *f, struct fair_job *j);
bool fair_is_due(const struct fair *f, int64_t now);
void fair_step(struct fair *f, int64_t now);
/* Whether what J gets more the others would lack. */
bool fair_is_contested(const struct fair *f, const struct fair_job *j);
