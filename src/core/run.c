/* What goes on with a job: joining the scheduler, stopping, settling, ending. */
#include "core/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* --- the table of runs ------------------------------------------------------------------------ */

static int by_serial(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

struct run *run_find(struct core *c, uint64_t serial)
{
	const struct run key = {.serial = serial};
	void *node = tfind(&key, &c->runs, by_serial);

	return node ? *(struct run **)node : NULL;
}

void run_touch(struct run *run)
{
	if (run->touched)
		return;
	run->touched = true;
	run->next_touched = run->core->touched;
	run->core->touched = run;
}

struct run *run_get(struct core *c, uint64_t serial)
{
	struct run *run = run_find(c, serial);

	if (!run) {
		run = calloc(1, sizeof(*run));
		if (!run)
			return NULL;
		run->serial = serial;
		run->core = c;
		run->deadline = INT64_MAX;
		run->obstacle = OUTCOME_DONE;
		if (!tsearch(run, &c->runs, by_serial)) {
			free(run);
			return NULL;
		}
	}
	run_touch(run);
	return run;
}

void run_free(struct run *run)
{
	struct core *c = run->core;

	assert(!run->waiters);
	tdelete(run, &c->runs, by_serial);
	run_answer_held(run, -ENODEV);
	while (run->transfers) {
		struct transfer *t = run->transfers;

		run->transfers = t->next;
		t->id = 0;
	}
	if (run->joined)
		sched_leave(c->sched, run->serial);
	fetch_options_unref(run->options);
	run_forget_gone(run);
	free(run->old_name);
	free(run->ready);
	free(run->retries);
	free(run->unsynced);
	free(run);
}

static bool idle(const struct run *run)
{
	return !run->dirty && !run->on_errand && !run->errand_at && !run->joined && !run->transfers && !run->syncing && !run->nunsynced && !run->verifying &&
	       run->place == PLACE_NONE && !run->ended && !run->held && !run->waiters && !run->active_since;
}

void run_release_if_idle(struct run *run)
{
	if (idle(run))
		run_free(run);
	else
		timer_arm(run);
}

/* --- acting on what was published ------------------------------------------------------------- */

void run_ready(struct run *run, uint32_t file)
{
	if (run->nready == run->ready_cap) {
		size_t cap = run->ready_cap ? run->ready_cap * 2 : 16;
		uint32_t *v = reallocarray(run->ready, cap, sizeof(*v));

		if (!v)
			return; /* it stays queued; the next resume finds it */
		run->ready = v;
		run->ready_cap = cap;
	}
	run->ready[run->nready++] = file;
}

int run_gone(struct run *run, uint32_t file, uint32_t generation)
{
	struct gone *g = malloc(sizeof(*g));

	if (!g)
		return -ENOMEM;
	*g = (struct gone){.file = file, .generation = generation, .next = run->gone};
	run->gone = g;
	return 0;
}

void run_forget_gone(struct run *run)
{
	while (run->gone) {
		struct gone *g = run->gone;

		run->gone = g->next;
		free(g);
	}
}

/* Removed files: their transfers are stopped, or their blobs deleted. */
static void bury(struct run *run)
{
	for (struct gone *g = run->gone; g; g = g->next) {
		struct transfer *t = fetch_find(run, g->file);

		if (t && t->generation == g->generation)
			fetch_cease(t); /* the blob goes when the transfer has ended */
		else
			order_drop_blob(run, g->file, g->generation);
	}
	run_forget_gone(run);
}

static void offer(struct run *run, const struct job *job, uint32_t file)
{
	const struct file *f = file_now(job->files, file);

	if (f && f->state == FILE_QUEUED && !fetch_find(run, file))
		sched_file_waits(run->core->sched, run->serial, file, false);
}

static void join(struct run *run, const struct job *job)
{
	if (sched_join(run->core->sched, run->serial, job->props.priority) < 0)
		return;
	run->joined = true;
	run->resumed_at = run->core->moment.now;
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id))
		offer(run, job, id);
}

static void follow_state(struct run *run, const struct job *job)
{
	bool active = job_state_active(job->state);

	if (active && !run->joined) {
		join(run, job);
	} else if (active) {
		sched_set_priority(run->core->sched, run->serial, job->props.priority);
		for (size_t i = 0; i < run->nready; i++)
			offer(run, job, run->ready[i]);
	} else if (run->joined) {
		sched_leave(run->core->sched, run->serial);
		run->joined = false;
	}
	run->nready = 0;
}

void run_act(struct run *run, unsigned fx)
{
	const struct job *job = queue_find(run->core->queue, run->serial);

	run_touch(run);
	if (fx & FX_STOP) {
		run_cease_all(run);
		run->nretries = 0;
	}
	if (!job) {
		if (run->joined)
			sched_leave(run->core->sched, run->serial);
		run->joined = false;
		run_finish(run);
		return;
	}
	bury(run);
	follow_state(run, job);
	limits_of_job(run);
	if (fx & FX_PLACE)
		run->place = PLACE_WANTED;
	order_place(run);
	if (run->place == PLACE_NONE && run->held)
		run_answer_held(run, run->place_err); /* complete could not place everything */
	order_sync(run, false);
	errand_run(run);
	run->unsettled = run->unsettled || job_state_active(job->state);
}

void run_cease_all(struct run *run)
{
	for (struct transfer *t = run->transfers; t; t = t->next)
		fetch_cease(t);
}

/* --- settling --------------------------------------------------------------------------------- */

/* The seconds that the job has spent connecting and transferring (max_download_time). */
static void count_active_time(struct run *run)
{
	int64_t now = run->core->moment.now;

	if (run->ntransfers && !run->active_since) {
		run->active_since = now;
	} else if (!run->ntransfers && run->active_since) {
		struct job *draft = run_edit(run);

		if (draft)
			draft->active_seconds += (now - run->active_since) / NSEC_PER_SEC;
		run->active_since = 0;
	}
}

static void fail_job(struct run *run, enum outcome outcome)
{
	struct job *draft = run_edit(run);
	cleanup_free char *text = NULL;

	if (!draft || run_apply(run, EV_HARD_ERROR) < 0)
		return;
	outcome_sentence(outcome, 0, NULL, &text);
	fault_free(draft->fault);
	draft->fault = fault_new(outcome, 0, 0, text, run->core->moment.wall_ms / 1000);
	run->core->service.errors[outcome]++;
}

static bool too_long_without_progress(const struct run *run, const struct job *job)
{
	int64_t wall = run->core->moment.wall_ms / 1000;

	return job->trouble_since && job->props.no_progress_timeout != UINT32_MAX &&
	       wall - job->trouble_since >= job->props.no_progress_timeout;
}

static bool too_long_active(const struct run *run, const struct job *job)
{
	int64_t active = job->active_seconds;

	if (run->active_since)
		active += (run->core->moment.now - run->active_since) / NSEC_PER_SEC;
	return job->props.max_download_time != UINT32_MAX && active >= job->props.max_download_time;
}

/* Nothing can go on now. */
static void settle_trouble(struct run *run, const struct job *job)
{
	if (job->tally.waiting || run->obstacle != OUTCOME_DONE) {
		struct job *draft;
		int64_t deadline = fetch_retry_deadline(run);

		if (job->state == JOB_TRANSIENT_ERROR)
			return;
		if (run_apply(run, EV_SOFT_ERROR) < 0)
			return;
		draft = run->draft;
		if (!draft->trouble_since)
			draft->trouble_since = run->core->moment.wall_ms / 1000;
		draft->retry_at = deadline == INT64_MAX ? 0 :
			run->core->moment.wall_ms / 1000 + (deadline - run->core->moment.now + NSEC_PER_SEC - 1) / NSEC_PER_SEC;
	} else if (job->tally.failed) {
		run_apply(run, EV_HARD_ERROR);
	}
}

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

void run_settle(struct run *run)
{
	const struct job *job = run_job(run);

	if (!job || run->ended)
		return;
	count_active_time(run);
	job = run_job(run);
	if (!job_state_active(job->state) && job->state != JOB_ERROR)
		return;
	if (all_here(run, job))
		settle_done(run);
	else if (job->state == JOB_ERROR)
		return;
	else if (too_long_active(run, job))
		fail_job(run, OUTCOME_MAX_TIME);
	else if (too_long_without_progress(run, job) && !run->transfers)
		fail_job(run, OUTCOME_NO_PROGRESS);
	else if (run->transfers || run->syncing || run->nunsynced || run->verifying)
		return;
	else if (run->joined && run->obstacle == OUTCOME_DONE && sched_waiting(run->core->sched, run->serial)) {
		if (job->state == JOB_CONNECTING || job->state == JOB_TRANSFERRING)
			run_apply(run, EV_YIELD);
	} else if (run->joined && !run->nready)
		settle_trouble(run, job);
}

/* --- the end ---------------------------------------------------------------------------------- */

static struct result *result_of(const struct job *job, const struct run *run, bool partial, const char *reason)
{
	struct result *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	*r = (struct result){
		.serial = job->serial, .uid = job->uid, .gid = job->gid, .mode = job->mode, .state = job->state,
		.partial = partial, .files_saved = job->tally.completed,
		.files_dropped = job->tally.files - job->tally.completed,
		.created = job->created, .ended = run->core->moment.wall_ms / 1000, .ended_by = run->ended_by,
		.name = strdup(job->name), .reason = strdup(reason),
	};
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		const struct file *f = file_draft(job->files, id);

		if (f && f->state == FILE_COMPLETED && f->size != SIZE_UNKNOWN)
			r->bytes += f->size;
	}
	if (r->name && r->reason)
		return r;
	result_free(r);
	return NULL;
}

/* The draft is in a final state; it leaves the queue with this turn. */
void run_end(struct run *run, bool partial, const char *reason)
{
	struct service *service = &run->core->service;
	struct job *draft = run->draft;

	assert(draft && job_state_final(draft->state));
	run->ended = true;
	run->save = true;
	run->changed |= CHANGED_GONE;
	free(run->old_name);
	run->old_name = strdup(draft->name);
	run->result = result_of(draft, run, partial, reason);
	if (draft->state == JOB_CANCELLED)
		service->jobs_cancelled++;
	else
		service->jobs_completed++;
	log_info("job %s (%llu, uid %u) %s by uid %u (%s): %u of %u files saved", draft->name,
		(unsigned long long)draft->serial, draft->uid, job_state_word(draft->state), run->ended_by, reason,
		draft->tally.completed, draft->tally.files);
}

/* Blobs are deleted only when no transfer can make one any more. */
void run_finish(struct run *run)
{
	if (run->transfers || run->syncing || run->verifying || run->place != PLACE_NONE || run->dropping)
		return;
	run->dropping = true;
	order_drop(run);
}

void run_answer_held(struct run *run, int err)
{
	const struct answer none = {.fd = -1};

	while (run->held) {
		struct held *h = run->held;

		run->held = h->next;
		h->reply->answer(h->reply, err, &none);
		free(h);
	}
}
