/* Which files run now (INTERFACE.md §10). Pure: it is told what is there and what ended, and says what
 * to start and what to stop.
 *
 * The scheduler keeps, per active job, which of its files wait to be started; the core tells it of each
 * change, so a turn costs what changed, not what is queued.
 *
 *	Levels: all foreground jobs; then high, normal, low strictly: a level gets slots only when the
 *	levels above it have nothing that waits. Within a level a job that runs nothing is next, then the
 *	one with the fewest bytes served (among those with something to start): round robin by bytes.
 *	Slots: at most `window` transfers are given to the engine, at most `running_jobs` background jobs at
 *	once. A job of a higher level takes slots from the lowest one: SCHED_STOP. A job that runs nothing
 *	takes one from the job of its level that runs most, if that is several: transfers that never end
 *	keep nobody waiting.
 */
#pragma once

#include "model/job.h"

#include <stdbool.h>
#include <stdint.h>

struct sched;

struct sched_limits {
	uint32_t window;       /* transfers in the engine, running or waiting for a connection */
	uint32_t per_job;      /* of one job, while other jobs of its level can start something in its stead */
	uint32_t running_jobs; /* background jobs side by side */
};

int sched_new(const struct sched_limits *limits, struct sched **ret);
void sched_free(struct sched *s);

/* A job has become active / has ceased to be, or changed its priority. A job that is not active has no
 * waiting files; its running ones are the core's to stop. */
int sched_join(struct sched *s, uint64_t serial, enum job_priority priority);
void sched_leave(struct sched *s, uint64_t serial);
void sched_set_priority(struct sched *s, uint64_t serial, enum job_priority priority);
void sched_hold(struct sched *s, uint64_t serial, bool hold); /* limit 0, metered, offline: start nothing */

/* File ID of the job waits to be started; FRONT: before the others (a reader waits for it). One that waits
 * already may be moved to the front so. -ENOENT: the job has not joined; -ENOMEM. */
int sched_file_waits(struct sched *s, uint64_t serial, uint32_t file, bool front);
void sched_served(struct sched *s, uint64_t serial, uint64_t bytes);
void sched_ended(struct sched *s, uint64_t serial); /* one of its transfers has ended */

struct sched_step {
	enum { SCHED_NOTHING, SCHED_START, SCHED_STOP } action;
	uint64_t serial; /* STOP: one transfer of that job, the core chooses the youngest that it has not told
	                  * yet; if it has told all, one less is to be waited for than it seemed: do nothing */
	uint32_t file;   /* START; it counts as running until sched_ended, also if it cannot be started any more */
};
/* Called until SCHED_NOTHING. */
struct sched_step sched_next(struct sched *s);
void sched_assert_sane(const struct sched *s);
bool sched_waiting(const struct sched *s, uint64_t serial); /* has something to start */
uint32_t sched_running(const struct sched *s, uint64_t serial);
