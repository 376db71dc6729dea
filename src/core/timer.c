/* Deadlines: one heap, one tick per job.
 *
 * A tick does all that is due for its job and says when the next is, so an entry that has become stale
 * costs one look and nothing else. A job at rest has one entry, of inactivity and age: an idle daemon
 * sleeps until the first of them.
 */
#include "core/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <time.h>

/* --- the heap --------------------------------------------------------------------------------- */

static void push(struct core *c, struct timer t)
{
	size_t i = c->ntimers;

	if (t.deadline == INT64_MAX)
		return;
	if (c->ntimers == c->timers_cap) {
		size_t cap = c->timers_cap ? c->timers_cap * 2 : 64;
		struct timer *v = reallocarray(c->timers, cap, sizeof(*v));

		if (!v) {
			log_error("out of memory: a deadline of job %llu is lost", (unsigned long long)t.serial);
			return;
		}
		c->timers = v;
		c->timers_cap = cap;
	}
	c->ntimers++;
	for (; i > 0 && c->timers[(i - 1) / 2].deadline > t.deadline; i = (i - 1) / 2)
		c->timers[i] = c->timers[(i - 1) / 2];
	c->timers[i] = t;
}

static struct timer pop(struct core *c)
{
	struct timer first = c->timers[0], last = c->timers[--c->ntimers];
	size_t i = 0;

	for (size_t child = 1; child < c->ntimers; child = 2 * i + 1) {
		if (child + 1 < c->ntimers && c->timers[child + 1].deadline < c->timers[child].deadline)
			child++;
		if (c->timers[child].deadline >= last.deadline)
			break;
		c->timers[i] = c->timers[child];
		i = child;
	}
	if (c->ntimers)
		c->timers[i] = last;
	return first;
}

void timer_set(struct run *run, int64_t deadline)
{
	if (deadline >= run->deadline)
		return;
	run->deadline = deadline;
	push(run->core, (struct timer){.deadline = deadline, .serial = run->serial});
}

void timer_set_service(struct core *c, int64_t deadline)
{
	push(c, (struct timer){.deadline = deadline});
}

int64_t timer_next(const struct core *c)
{
	return c->ntimers ? c->timers[0].deadline : INT64_MAX;
}

/* --- inactivity and age ----------------------------------------------------------------------- */

static int64_t wall_deadline(const struct job *job, const struct config *config)
{
	int64_t inactive = config->inactivity_timeout == LIMIT_MAX ? INT64_MAX :
		job->last_alive + (int64_t)config->inactivity_timeout;
	int64_t old = config->max_age == LIMIT_MAX ? INT64_MAX : job->created + (int64_t)config->max_age;

	return inactive < old ? inactive : old;
}

void timer_watch(struct core *c, const struct job *job)
{
	int64_t at = wall_deadline(job, c->options.config);
	int64_t wall = c->moment.wall_ms / 1000;

	if (at == INT64_MAX)
		return;
	push(c, (struct timer){.deadline = c->moment.now + (at > wall ? at - wall : 0) * NSEC_PER_SEC,
		.serial = job->serial, .watch = true});
}

static void cancel_old_job(struct run *run, const struct job *job)
{
	const struct config *config = run->core->options.config;
	int64_t wall = run->core->moment.wall_ms / 1000;
	bool inactive = config->inactivity_timeout != LIMIT_MAX &&
		wall >= job->last_alive + (int64_t)config->inactivity_timeout;

	if (job->state == JOB_COMPLETING || run_apply(run, EV_CANCEL) < 0)
		return;
	run->ended_by = run->core->options.daemon_uid;
	run_end(run, run->draft->tally.completed > 0, inactive ? "inactivity_timeout" : "max_age");
}

static void watch(struct core *c, uint64_t serial)
{
	const struct job *job = queue_find(c->queue, serial);
	struct run *run;

	if (!job)
		return;
	if (wall_deadline(job, c->options.config) > c->moment.wall_ms / 1000) {
		timer_watch(c, job);
		return;
	}
	run = run_get(c, serial);
	if (run && !run->ended)
		cancel_old_job(run, job);
}

/* --- ticks ------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When max_download_time or no_progress_timeout may be reached. */
static int64_t timeout_deadline(const struct run *run, const struct job *job)
{
	int64_t at = INT64_MAX;

	if (run->active_since && job->props.max_download_time != UINT32_MAX)
		at = run->active_since + ((int64_t)job->props.max_download_time - job->active_seconds) * NSEC_PER_SEC;
	if (job->trouble_since && job_state_active(job->state) && job->props.no_progress_timeout != UINT32_MAX) {
		int64_t left = job->trouble_since + job->props.no_progress_timeout - run->core->moment.wall_ms / 1000;

		at = earlier(at, run->core->moment.now + (left > 0 ? left : 0) * NSEC_PER_SEC);
	}
	return at;
}

void timer_arm(struct run *run)
{
	const struct job *job = queue_find(run->core->queue, run->serial);

	timer_set(run, waiters_deadline(run));
	if (!job || run->ended)
		return;
	timer_set(run, fetch_retry_deadline(run));
	timer_set(run, order_sync_deadline(run));
	if (run->errand_at)
		timer_set(run, run->errand_at);
	if (job_state_active(job->state))
		timer_set(run, timeout_deadline(run, job));
}

static void tick(struct run *run)
{
	run->deadline = INT64_MAX;
	run->unsettled = true;
	waiters_wake(run);
	if (!run_job(run) || run->ended)
		return;
	fetch_retry_due(run);
	order_sync(run, false);
	order_place(run);
	errand_run(run);
}

static void tick_service(struct core *c)
{
	limits_update(c);
}

void timer_run(struct core *c)
{
	while (c->ntimers && c->timers[0].deadline <= c->moment.now) {
		struct timer t = pop(c);
		struct run *run;

		if (!t.serial) {
			tick_service(c);
		} else if (t.watch) {
			watch(c, t.serial);
		} else {
			run = run_find(c, t.serial);
			if (run && run->deadline <= c->moment.now)
				tick(run_get(c, t.serial));
		}
	}
}
