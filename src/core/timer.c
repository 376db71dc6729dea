/* Deadlines: one heap with one entry per job with which something goes on, and three of the service.
 *
 * A job's tick does all that is due for it, and arms the next. Jobs at rest have no entry: when one of
 * them may have become too old all are looked at, once, so an idle daemon sleeps until then and a queue
 * of 100,000 jobs costs nothing.
 */
#include "core/state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

/* --- the heap --------------------------------------------------------------------------------- */

int timer_reserve(struct core *c)
{
	return vector_room(c->timers, c->timers_cap, c->nruns + 1);
}

static void put(struct core *c, size_t i, struct run *run)
{
	c->timers[i] = run;
	run->timer = i + 1;
}

static void move_up(struct core *c, struct run *run)
{
	size_t i = run->timer - 1;

	for (; i > 0 && c->timers[(i - 1) / 2]->deadline > run->deadline; i = (i - 1) / 2)
		put(c, i, c->timers[(i - 1) / 2]);
	put(c, i, run);
}

static void move_down(struct core *c, struct run *run)
{
	size_t i = run->timer - 1;

	for (size_t child; (child = 2 * i + 1) < c->ntimers; i = child) {
		if (child + 1 < c->ntimers && c->timers[child + 1]->deadline < c->timers[child]->deadline)
			child++;
		if (c->timers[child]->deadline >= run->deadline)
			break;
		put(c, i, c->timers[child]);
	}
	put(c, i, run);
}

void timer_set(struct run *run, int64_t deadline)
{
	struct core *c = run->core;

	if (deadline >= run->deadline)
		return;
	run->deadline = deadline;
	if (!run->timer)
		put(c, c->ntimers++, run);
	move_up(c, run);
}

void timer_drop(struct run *run)
{
	struct core *c = run->core;
	struct run *last;

	run->deadline = INT64_MAX;
	if (!run->timer)
		return;
	last = c->timers[--c->ntimers];
	if (last != run) {
		put(c, run->timer - 1, last);
		move_up(c, last);
		move_down(c, last);
	}
	run->timer = 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t timer_next(const struct core *c)
{
	int64_t first = c->ntimers ? c->timers[0]->deadline : INT64_MAX;

	return earlier(earlier(first, c->save_at), earlier(c->limits_at, c->watch_at));
}

/* --- inactivity and age ----------------------------------------------------------------------- */

static int64_t wall_deadline(const struct job *job, const struct config *config)
{
	int64_t inactive = config->inactivity_timeout == LIMIT_MAX ? INT64_MAX :
		job->last_alive + (int64_t)config->inactivity_timeout;
	int64_t old = config->max_age == LIMIT_MAX ? INT64_MAX : job->created + (int64_t)config->max_age;

	return earlier(inactive, old);
}

/* Not sooner than in a second, so that jobs which become old one by one are not looked at all for each. */
void timer_watch(struct core *c, const struct job *job)
{
	int64_t at = wall_deadline(job, c->options.config);
	int64_t left = at - c->moment.wall_ms / 1000;

	if (at != INT64_MAX)
		c->watch_at = earlier(c->watch_at, c->moment.now + (left > 1 ? left : 1) * NSEC_PER_SEC);
}

static void cancel_old_job(struct run *run, const struct job *job)
{
	const struct config *config = run->core->options.config;
	int64_t wall = run->core->moment.wall_ms / 1000;
	bool inactive = config->inactivity_timeout != LIMIT_MAX &&
		wall >= job->last_alive + (int64_t)config->inactivity_timeout;

	if (job->state == JOB_COMPLETING || run_apply(run, EV_CANCEL) < 0)
		return; /* it is ending already */
	run->ended_by = run->core->options.daemon_uid;
	run_end(run, run->draft->tally.completed > 0, inactive ? "inactivity_timeout" : "max_age");
}

static void watch(struct core *c)
{
	const struct job *job;

	c->watch_at = INT64_MAX;
	for (uint64_t serial = 0; (job = queue_next(c->queue, serial)); serial = job->serial) {
		struct run *run;

		timer_watch(c, job);
		if (wall_deadline(job, c->options.config) > c->moment.wall_ms / 1000)
			continue;
		run = run_get(c, job->serial);
		if (run && !run->ended)
			cancel_old_job(run, job);
	}
}

/* --- ticks ------------------------------------------------------------------------------------ */

/* When max_download_time or no_progress_timeout may be reached; this one is not while a transfer runs, which
 * may yet bring something. */
static int64_t timeout_deadline(const struct run *run, const struct job *job)
{
	int64_t at = INT64_MAX;

	if (run->active_since && job->props.max_download_time != UINT32_MAX)
		at = run->active_since + ((int64_t)job->props.max_download_time - job->active_seconds) * NSEC_PER_SEC;
	if (job->trouble_since && run->obstacle == OUTCOME_DONE && !run->transfers &&
	    job->props.no_progress_timeout != UINT32_MAX) {
		int64_t left = job->trouble_since + job->props.no_progress_timeout - run->core->moment.wall_ms / 1000;

		at = earlier(at, run->core->moment.now + (left > 0 ? left : 0) * NSEC_PER_SEC);
	}
	return at;
}

void timer_arm(struct run *run)
{
	const struct job *job = queue_find(run->core->queue, run->serial);

	timer_set(run, run->wait_deadline);
	if (!job || run->ended || run->dirty)
		return; /* or what it waits for is another save */
	timer_set(run, retry_deadline(run));
	timer_set(run, order_sync_deadline(run));
	if (run->errand_at)
		timer_set(run, run->errand_at);
	if (job_state_active(job->state))
		timer_set(run, timeout_deadline(run, job));
}

static void tick(struct run *run)
{
	run_touch(run);
	run->unsettled = true;
	waiters_wake(run);
	if (run_job(run) && !run->ended)
		retry_due(run);
}

void timer_run(struct core *c)
{
	int64_t now = c->moment.now;

	if (c->save_at <= now)
		c->save_at = INT64_MAX; /* the turn saves */
	if (c->limits_at <= now)
		limits_update(c);
	if (c->watch_at <= now)
		watch(c);
	while (c->ntimers && c->timers[0]->deadline <= now) {
		struct run *run = c->timers[0];

		timer_drop(run);
		tick(run);
	}
}
