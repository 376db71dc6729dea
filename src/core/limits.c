/* What holds a job back besides its own files: bandwidth 0 in the timetable, a metered network, no
 * network; and how fast it may go.
 */
#include "core/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned minute_of_week(int64_t wall_ms)
{
	time_t t = wall_ms / 1000;
	struct tm tm;

	localtime_r(&t, &tm);
	return (unsigned)((tm.tm_wday + 6) % 7) * 1440 + (unsigned)tm.tm_hour * 60 + (unsigned)tm.tm_min;
}

/* --- rates ------------------------------------------------------------------------------------ */

#define LOOK_AGAIN 15 /* minutes: someone may set the clock, or summer time begin */

static void update_rates(struct core *c)
{
	unsigned minute = minute_of_week(c->moment.wall_ms), soonest = 7 * 1440;

	for (enum job_priority p = PRIORITY_FOREGROUND; p < PRIORITY_MAX; p++) {
		unsigned minutes = soonest;
		uint64_t rate = timetable_limit(c->timetable, p, minute, &minutes);

		if (p == PRIORITY_FOREGROUND && c->options.config->foreground_exempt)
			rate = LIMIT_MAX;
		if (minutes < soonest)
			soonest = minutes;
		if (rate != c->class_rate[p] && c->ports.limit_class)
			c->ports.limit_class(c->ports.engine, p, rate);
		c->class_rate[p] = rate;
	}
	c->limits_at = INT64_MAX;
	if (soonest < 7 * 1440) { /* the next minute that may change something, on its first second */
		unsigned minutes = soonest < LOOK_AGAIN ? soonest : LOOK_AGAIN;

		c->limits_at = c->moment.now + ((int64_t)minutes * 60000 - c->moment.wall_ms % 60000) * NSEC_PER_MSEC;
	}
}

/* --- obstacles -------------------------------------------------------------------------------- */

static bool waits_when_metered(const struct props *p)
{
	if (p->metered == METERED_DEFAULT)
		return p->priority == PRIORITY_NORMAL || p->priority == PRIORITY_LOW;
	return p->metered == METERED_WAIT;
}

static enum outcome obstacle_of(const struct core *c, const struct job *job)
{
	const struct config *config = c->options.config;
	bool exempt = job->props.priority == PRIORITY_FOREGROUND && config->foreground_exempt;

	if (!c->service.online || c->service.network == NETWORK_OFFLINE)
		return OUTCOME_OFFLINE;
	if (c->service.network == NETWORK_METERED && waits_when_metered(&job->props))
		return OUTCOME_METERED;
	if (job->props.rate_limit == 0 || (!exempt && (config->limit == 0 || c->class_rate[job->props.priority] == 0)))
		return OUTCOME_BANDWIDTH;
	return OUTCOME_DONE;
}

/* All that waits is tried at once. */
static void try_again(struct run *run)
{
	retry_forgive_waiting(run);
	if (run_job(run)->state == JOB_TRANSIENT_ERROR)
		run_apply(run, EV_RETRY);
}

/* The job's error says so once nothing of it runs any more (settle.c). */
static void hold_back(struct run *run)
{
	run_cease_all(run);
	run->unsettled = true;
}

static void let_go(struct run *run)
{
	if (run_job(run)->trouble_since && run_edit(run))
		run->draft->trouble_since = 0;
	try_again(run);
}

static void update_obstacle(struct run *run, const struct job *job)
{
	enum outcome obstacle = obstacle_of(run->core, job);

	if (!run->joined || obstacle == run->obstacle)
		return;
	sched_hold(run->core->sched, run->serial, obstacle != OUTCOME_DONE);
	run->obstacle = obstacle;
	if (obstacle != OUTCOME_DONE)
		hold_back(run);
	else
		let_go(run);
}

/* --- entries ---------------------------------------------------------------------------------- */

void limits_of_job(struct run *run)
{
	struct core *c = run->core;
	const struct job *job = run_job(run);

	if (!job || c->stopped)
		return;
	if (!job_state_active(job->state)) {
		limits_forget(run);
		return;
	}
	if (run->rate != job->props.rate_limit)
		c->ports.limit_job(c->ports.engine, run->serial, job->props.rate_limit);
	if (run->priority != job->props.priority)
		c->ports.prioritise(c->ports.engine, run->serial, job->props.priority);
	run->rate = job->props.rate_limit;
	run->priority = job->props.priority;
	update_obstacle(run, job);
}

void limits_forget(struct run *run)
{
	struct core *c = run->core;

	run->obstacle = OUTCOME_DONE;
	if (run->rate != LIMIT_MAX && !c->stopped)
		c->ports.limit_job(c->ports.engine, run->serial, LIMIT_MAX);
	run->rate = LIMIT_MAX;
}

static void visit(const void *node, VISIT which, void *arg)
{
	struct run *run = *(struct run *const *)node;

	if ((which == postorder || which == leaf) && run->joined && !run->ended)
		run_touch(run);
}

/* When the network returns every job that waits is tried at once, whatever its error was (BITS). */
void limits_network(struct core *c, bool online)
{
	log_info("network: %s", online ? "back" : "lost");
	c->service.online = online;
	c->service_changed = true;
	limits_update(c);
	for (struct run *run = c->touched; run && online; run = run->next_touched)
		if (run->joined && run->obstacle == OUTCOME_DONE && run_job(run) && run_job(run)->state == JOB_TRANSIENT_ERROR)
			try_again(run);
}

void limits_update(struct core *c)
{
	if (c->stopped)
		return;
	update_rates(c);
	twalk_r(c->runs, visit, NULL);
	for (struct run *run = c->touched; run; run = run->next_touched)
		if (run->joined && !run->ended)
			limits_of_job(run);
}
