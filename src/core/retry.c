/* Files that are tried again: each has a deadline of its own, as its tries and its server want. */
#include "core/state.h"

#include "base/clock.h"

#include <stdlib.h>

/* Deadlines are rounded up to this: a job of 10,000 files whose server is down ticks four times a second
 * at most, not 10,000 times. */
#define STEP (NSEC_PER_SEC / 4)

void retry_later(struct run *run, uint32_t file, int64_t delay)
{
	int64_t deadline = (run->core->moment.now + delay + STEP - 1) / STEP * STEP;

	if (vector_room(run->retries, run->retries_cap, run->nretries + 1) < 0)
		return; /* resume, a restart and the network's return try it */
	if (!run->nretries || deadline < run->retry_at)
		run->retry_at = deadline;
	run->retries[run->nretries++] = (struct retry){.file = file, .deadline = deadline};
}

int64_t retry_deadline(const struct run *run)
{
	return run->nretries ? run->retry_at : INT64_MAX;
}

/* FILE is queued again, as far as it has come; FRESH: with all tries ahead of it. */
static void requeue(struct run *run, uint32_t file, bool fresh)
{
	struct file version;

	if (file_copy(file_draft(run_job(run)->files, file), &version) < 0)
		return;
	version.state = FILE_QUEUED;
	if (fresh) {
		version.tries = 0;
		fault_free(take_ptr(version.fault));
	}
	if (run_set_file(run, file, &version) < 0)
		file_release(&version);
	else
		run_ready(run, file);
}

/* Files that may not start now, because the job is held back, wait for that with the scheduler. */
void retry_due(struct run *run)
{
	size_t kept = 0, due = 0;
	int64_t earliest = INT64_MAX;

	if (retry_deadline(run) > run->core->moment.now)
		return;
	for (size_t i = 0; i < run->nretries; i++) {
		const struct retry retry = run->retries[i];
		const struct file *f = file_draft(run_job(run)->files, retry.file);

		if (retry.deadline > run->core->moment.now) {
			run->retries[kept++] = retry;
			if (retry.deadline < earliest)
				earliest = retry.deadline;
		} else if (f && f->state == FILE_WAITING) {
			requeue(run, retry.file, false);
			due++;
		}
	}
	run->nretries = kept;
	run->retry_at = earliest;
	if (!due || run->obstacle != OUTCOME_DONE)
		return;
	run->core->service.retries += due;
	if (run_job(run)->state == JOB_TRANSIENT_ERROR)
		run_apply(run, EV_RETRY);
}

static void forgive(struct run *run, bool failed)
{
	const struct job *job = run_job(run);

	if (!job->tally.waiting && !(failed && job->tally.failed))
		return;
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		const struct file *f = file_draft(run_job(run)->files, id);

		if (f && (f->state == FILE_WAITING || (failed && f->state == FILE_FAILED)))
			requeue(run, id, true);
	}
}

/* Nothing of the job runs, and yet some of its files are neither here nor failed nor waiting for a moment:
 * what was to bring them on was lost for want of memory. */
void retry_lost(struct run *run)
{
	const struct job *job = run_job(run);

	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		const struct file *f = file_draft(run_job(run)->files, id);

		if (f && f->state < FILE_TRANSFERRED && f->state != FILE_FAILED)
			requeue(run, id, false);
	}
	if (run_job(run)->tally.unsynced)
		order_all_unsynced(run, run_job(run));
	if (run_job(run)->state == JOB_TRANSIENT_ERROR)
		run_apply(run, EV_RETRY);
}

/* A command, whose save may fail: the deadlines go when it is published (FX_CLOCKS). */
void retry_forgive(struct run *run)
{
	forgive(run, true);
}

void retry_forgive_waiting(struct run *run)
{
	run->nretries = 0;
	forgive(run, false);
}
