/* What follows for a job from the states of its files: drafted in the turn in which they change. */
#include "core/state.h"

#include "base/clock.h"

#include <stdlib.h>

/* --- time ------------------------------------------------------------------------------------- */

void run_count_active_time(struct run *run)
{
	int64_t seconds = run->active_since ? (run->core->moment.now - run->active_since) / NSEC_PER_SEC : 0;

	if (seconds && run_edit(run)) {
		run->draft->active_seconds += (uint32_t)seconds;
		run->active_since += seconds * NSEC_PER_SEC;
	}
}

/* The seconds that the job has spent connecting and transferring (max_download_time). */
static void watch_activity(struct run *run)
{
	if (run->ntransfers && !run->active_since) {
		run->active_since = run->core->moment.now;
	} else if (!run->ntransfers && run->active_since) {
		run_count_active_time(run);
		run->active_since = 0;
	}
}

/* The time in which we have held the job back ourselves is not the server's. */
static bool too_long_without_progress(const struct run *run, const struct job *job)
{
	int64_t wall = run->core->moment.wall_ms / 1000;

	return job->trouble_since && run->obstacle == OUTCOME_DONE && job->props.no_progress_timeout != UINT32_MAX &&
	       wall - job->trouble_since >= job->props.no_progress_timeout;
}

static bool too_long_active(const struct run *run, const struct job *job)
{
	int64_t active = job->active_seconds;

	if (run->active_since)
		active += (run->core->moment.now - run->active_since) / NSEC_PER_SEC;
	return job->props.max_download_time != UINT32_MAX && active >= job->props.max_download_time;
}

/* --- trouble ---------------------------------------------------------------------------------- */

static void blame(struct run *run, enum outcome outcome)
{
	struct job *draft = run_edit(run);
	cleanup_free char *text = NULL;

	if (!draft)
		return;
	outcome_sentence(outcome, 0, NULL, &text);
	fault_free(draft->fault);
	draft->fault = fault_new(outcome, 0, 0, text, run->core->moment.wall_ms / 1000);
}

static void fail_job(struct run *run, enum outcome outcome)
{
	if (run_apply(run, EV_HARD_ERROR) < 0)
		return;
	blame(run, outcome);
	run->core->service.errors[outcome]++;
}

/* Nothing can go on now, later it can. */
static void suffer(struct run *run, const struct job *job)
{
	int64_t now = run->core->moment.now, deadline = retry_deadline(run);
	uint32_t errors = job->error_count;

	if (job->state != JOB_TRANSIENT_ERROR) {
		if (run_apply(run, EV_SOFT_ERROR) < 0)
			return;
		if (run->obstacle != OUTCOME_DONE)
			run->draft->error_count = errors; /* BITS counts no network loss and no policy */
		else if (deadline != INT64_MAX)
			run->draft->retry_at = (run->core->moment.wall_ms + (deadline - now) / NSEC_PER_MSEC + 999) / 1000;
	}
	job = run_job(run);
	if (run->obstacle != OUTCOME_DONE && (!job->fault || job->fault->outcome != run->obstacle))
		blame(run, run->obstacle);
}

/* --- settling --------------------------------------------------------------------------------- */

static bool all_here(const struct run *run, const struct job *job)
{
	return job->tally.files && job->tally.transferred + job->tally.completed == job->tally.files &&
	       !job->tally.unsynced && !run->syncing && !run->verifying;
}

static void settle_done(struct run *run)
{
	struct job *draft;

	if (run_apply(run, EV_DONE) < 0)
		return;
	draft = run->draft;
	draft->transferred_at = run->core->moment.wall_ms / 1000;
	if (draft->props.on_transferred == ON_TRANSFERRED_COMPLETE)
		command_complete_as_owner(run);
}

/* Files are neither here nor failed, and nothing will bring them on: memory did not suffice to note what
 * was to be done with them. */
static bool anything_lost(const struct run *run, const struct tally *t)
{
	if (t->unsynced)
		return true;
	return t->waiting ? retry_deadline(run) == INT64_MAX : t->transferred + t->completed + t->failed < t->files;
}

static void find_lost(struct run *run)
{
	int64_t now = run->core->moment.now;

	timer_set(run, now + NSEC_PER_SEC);
	if (now < run->lost_at + NSEC_PER_SEC)
		return;
	run->lost_at = now;
	retry_lost(run);
}

/* No transfer runs and none is on its way. */
static void settle_quiet(struct run *run, const struct job *job)
{
	bool waits = sched_waiting(run->core->sched, run->serial);

	if (waits && run->obstacle == OUTCOME_DONE)
		return; /* the scheduler's turn comes */
	if (!waits && anything_lost(run, &job->tally))
		find_lost(run);
	else if (job->tally.waiting || waits)
		suffer(run, job);
	else if (job->tally.failed)
		run_apply(run, EV_HARD_ERROR);
}

void run_settle(struct run *run)
{
	const struct job *job;

	if (!run_job(run) || run->ended)
		return;
	watch_activity(run);
	job = run_job(run);
	if (!job_state_active(job->state) && job->state != JOB_ERROR)
		return;
	if (all_here(run, job))
		settle_done(run);
	else if (job->state == JOB_ERROR)
		return;
	else if (!job->tally.files)
		run_apply(run, EV_SUSPEND); /* its last file was removed: it rests, like any empty job */
	else if (too_long_active(run, job))
		fail_job(run, OUTCOME_MAX_TIME);
	else if (too_long_without_progress(run, job) && !run->transfers)
		fail_job(run, OUTCOME_NO_PROGRESS);
	else if (!run->transfers && !run->syncing && !run->nunsynced && !run->verifying && run->joined && !run->nready)
		settle_quiet(run, job);
}
