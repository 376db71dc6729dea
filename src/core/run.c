/* What goes on with a job: joining the scheduler, stopping, going on, ending. */
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
		run = timer_reserve(c) < 0 ? NULL : calloc(1, sizeof(*run));
		if (!run)
			return NULL;
		run->serial = serial;
		run->core = c;
		run->deadline = run->wait_deadline = INT64_MAX;
		run->obstacle = OUTCOME_DONE;
		run->rate = LIMIT_MAX;
		run->priority = PRIORITY_MAX;
		if (!tsearch(run, &c->runs, by_serial)) {
			free(run);
			return NULL;
		}
		c->nruns++;
	}
	run_touch(run);
	return run;
}

void run_free(struct run *run)
{
	struct core *c = run->core;

	assert(!waiters_any(run));
	tdelete(run, &c->runs, by_serial);
	c->nruns--;
	timer_drop(run);
	run_answer_held(run, -ENODEV);
	while (run->transfers) /* the engine has stopped */
		slot_release(run->transfers);
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

/* --- what may go on now ----------------------------------------------------------------------- */

/* Blobs are deleted only when no transfer can make one any more. */
static void drop_blobs(struct run *run)
{
	if (run->transfers || run->syncing || run->verifying || run->place != PLACE_NONE || run->dropping)
		return;
	run->dropping = true;
	order_drop(run);
}

static bool idle(const struct run *run)
{
	if (run->dirty || run->ended || run->transfers || run->syncing || run->verifying || run->place != PLACE_NONE ||
	    run->held || run->on_errand || waiters_any(run))
		return false;
	return !run_job(run) || !(run->joined || run->nunsynced || run->errand_at);
}

void run_advance(struct run *run)
{
	if (run->ended && !run->dirty) {
		drop_blobs(run);
	} else if (!run->dirty && run_job(run)) {
		order_place(run);
		order_sync(run);
		errand_run(run);
		if (run->held && run->place == PLACE_NONE)
			run_answer_held(run, run->place_err);
	}
	if (idle(run))
		run_free(run);
	else
		timer_arm(run);
}

/* --- acting on what was published ------------------------------------------------------------- */

void run_ready(struct run *run, uint32_t file)
{
	if (vector_room(run->ready, run->ready_cap, run->nready + 1) < 0)
		return; /* it stays queued; the next resume finds it */
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
		struct transfer *t = slot_find(run, g->file);

		if (t && t->generation == g->generation)
			slot_cease(t); /* the blob goes when the transfer has ended */
		else
			order_drop_blob(run, g->file, g->generation);
	}
	run_forget_gone(run);
}

static void offer(struct run *run, const struct job *job, uint32_t file)
{
	const struct file *f = file_now(job->files, file);

	if (f && f->state == FILE_QUEUED && !slot_find(run, file))
		sched_file_waits(run->core->sched, run->serial, file, false);
}

static void join(struct run *run, const struct job *job)
{
	if (sched_join(run->core->sched, run->serial, job->props.priority) < 0)
		return;
	run->joined = true;
	run->resumed_at = run->core->moment.now;
	if (job->tally.unsynced)
		order_all_unsynced(run, job);
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

/* It is not in the queue any more. */
static void part(struct run *run)
{
	struct core *c = run->core;

	if (run->joined)
		sched_leave(c->sched, run->serial);
	run->joined = false;
	limits_forget(run);
	if (run->verifying && !c->stopped)
		c->ports.cancel_orders(c->ports.mover, run->serial); /* they may take minutes */
}

void run_act(struct run *run, unsigned fx)
{
	const struct job *job = queue_find(run->core->queue, run->serial);

	run_touch(run);
	if (fx & FX_STOP)
		run_cease_all(run);
	if (fx & (FX_STOP | FX_CLOCKS))
		run->nretries = 0;
	if (!job) {
		part(run);
		return;
	}
	bury(run);
	follow_state(run, job);
	limits_of_job(run);
	if (fx & FX_PLACE)
		run->place = PLACE_WANTED;
	run->unsettled = run->unsettled || job_state_active(job->state);
}

void run_cease_all(struct run *run)
{
	for (struct transfer *t = run->transfers; t; t = t->next)
		slot_cease(t);
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

void run_answer_held(struct run *run, int err)
{
	const struct answer none = {.fd = -1};

	while (run->held) {
		struct owed *o = run->held;

		run->held = o->next;
		o->reply->answer(o->reply, err, &none);
		free(o);
	}
}
