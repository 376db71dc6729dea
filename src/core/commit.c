/* How drafts become the truth: save, publish, act.
 *
 * Facts (the engine's reports, the mover's orders, time) and commands are committed apart. A command's
 * draft may be dropped: nothing has happened yet. A fact has happened: when it cannot be saved, its
 * draft stays, the save is repeated each second, and until it succeeds commands are refused with its
 * errno: while memory and disk may differ, refuse, do not guess.
 */
#include "core/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- drafts ----------------------------------------------------------------------------------- */

const struct job *run_job(const struct run *run)
{
	return run->draft ? run->draft : queue_find(run->core->queue, run->serial);
}

static void make_dirty(struct run *run)
{
	if (run->dirty)
		return;
	run->dirty = true;
	run->next_dirty = run->core->dirty;
	run->core->dirty = run;
}

struct job *run_edit(struct run *run)
{
	if (!run->draft) {
		const struct job *published = queue_find(run->core->queue, run->serial);

		if (!published || job_clone(published, &run->draft) < 0)
			return NULL;
	}
	make_dirty(run);
	run->unsettled = true;
	return run->draft;
}

int run_apply(struct run *run, enum job_event event)
{
	struct job *draft = run_edit(run);
	enum job_state before;
	unsigned fx;
	int r;

	if (!draft)
		return -ENOMEM;
	before = draft->state;
	r = job_apply(draft, event, run->core->moment.wall_ms / 1000, &fx);
	if (r < 0)
		return r;
	run->fx |= fx;
	if (fx & FX_SAVE)
		run->save = true;
	if (draft->state != before) {
		draft->notified = JOB_SUSPENDED;
		run->errand_state = JOB_STATE_MAX;
		run->changed |= CHANGED_STATE;
		core_log_event(run, "state", "state=%s", job_state_word(draft->state));
	}
	return 0;
}

int run_set_file(struct run *run, uint32_t file, struct file *version)
{
	struct job *draft = run_edit(run);

	return draft ? files_set(draft->files, draft, file, version) : -ENOMEM;
}

/* --- answers ---------------------------------------------------------------------------------- */

void core_owe(struct core *c, struct reply *reply, int err, const struct answer *answer, struct run *hold, struct run *of)
{
	struct owed *o;

	if (!reply)
		return;
	o = calloc(1, sizeof(*o));
	if (!o) { /* it cannot wait for the save: the command is not answered as done */
		const struct answer none = {.fd = -1};

		reply->answer(reply, err ? err : -ENOMEM, &none);
		return;
	}
	o->reply = reply;
	o->err = err;
	o->answer = answer ? *answer : (struct answer){.fd = -1};
	o->hold = hold;
	o->of = of;
	*c->owed_tail = o;
	c->owed_tail = &o->next;
}

/* ERR: of the commit; it replaces the success of every command in it. */
void core_answer_owed(struct core *c, int err)
{
	struct owed *list = c->owed;

	c->owed = NULL;
	c->owed_tail = &c->owed;
	while (list) {
		struct owed *o = list;

		list = o->next;
		if (!o->err && err) {
			o->err = err;
			core_refuse_unsaved(c, o->of ? o->of->serial : 0, err);
		}
		if (!o->err && o->hold) {
			o->next = o->hold->held;
			o->hold->held = o;
		} else {
			o->reply->answer(o->reply, o->err, &o->answer);
			free(o);
		}
	}
}

/* --- save ------------------------------------------------------------------------------------- */

static int64_t oldest_result(const struct core *c)
{
	uint64_t days = c->options.config->history_days;

	return days == LIMIT_MAX ? INT64_MIN : c->moment.wall_ms / 1000 - (int64_t)days * 86400;
}

#define PRUNE_INTERVAL 3600 /* seconds: all results are looked at each time */

static bool prune_is_due(const struct core *c)
{
	int64_t since = c->moment.wall_ms / 1000 - c->pruned_at;

	return since < 0 || since >= PRUNE_INTERVAL;
}

/* What memory does not suffice to note is dropped after the next start. */
static void note_forgotten(struct core *c, uint64_t serial)
{
	if (vector_room(c->forgotten, c->forgotten_cap, c->nforgotten + 1) < 0)
		return;
	c->forgotten[c->nforgotten++] = serial;
}

void core_shorten_history(struct core *c, uid_t uid)
{
	uint64_t keep = c->options.config->history_per_user, serial;

	if (keep == LIMIT_MAX || uid == 0 || uid == c->options.daemon_uid)
		return;
	while ((serial = history_forget(queue_history(c->queue), uid, keep)))
		note_forgotten(c, serial);
}

static int drop_forgotten(struct core *c)
{
	int r = 0;

	for (size_t i = 0; i < c->nforgotten && r >= 0; i++)
		r = store_drop_result(c->options.store, c->forgotten[i]);
	return r;
}

static int save_run(struct core *c, struct run *run)
{
	int r;

	if (run->ended) {
		r = store_drop_job(c->options.store, run->serial);
		if (r >= 0 && run->result)
			r = store_put_result(c->options.store, run->result);
		return r;
	}
	r = store_put_job(c->options.store, run->draft);
	return r < 0 ? r : store_put_drafts(c->options.store, run->draft);
}

static int save_all(struct core *c)
{
	int r = store_begin(c->options.store);

	if (r < 0)
		return r;
	for (struct run *run = c->dirty; run && r >= 0; run = run->next_dirty)
		if (run->save)
			r = save_run(c, run);
	if (r >= 0)
		r = drop_forgotten(c);
	if (r >= 0 && c->prune)
		r = store_prune_results(c->options.store, oldest_result(c));
	if (r >= 0 && c->network_changed)
		r = store_put_setting(c->options.store, "network", network_words[c->service.network]);
	if (r >= 0 && c->next_serial != c->saved_serial)
		r = store_put_next_serial(c->options.store, c->next_serial);
	if (r >= 0)
		r = store_commit(c->options.store);
	if (r < 0) {
		store_rollback(c->options.store);
		return r;
	}
	c->saved_serial = c->next_serial;
	c->nforgotten = 0;
	return 0;
}

const char *core_unsaved(int err)
{
	return err == -EIDRM ? "the staging area was deleted; unmount and mount again" : strerror(-err);
}

static int save(struct core *c)
{
	bool any = c->next_serial != c->saved_serial || c->network_changed;
	size_t fresh = 0;
	int r = 0;

	c->prune = false;
	for (struct run *run = c->dirty; run; run = run->next_dirty) {
		any |= run->save;
		fresh += run->fresh;
		c->prune |= run->ended && prune_is_due(c);
	}
	if (fresh) { /* publishing must not fail */
		core_read_lock(c);
		r = queue_reserve_jobs(c->queue, fresh);
		core_read_unlock(c);
	}
	return r < 0 || !any ? r : save_all(c);
}

/* --- publish ---------------------------------------------------------------------------------- */

/* Live progress ends with the version that says how the transfer ended. */
static void end_live(struct job *draft)
{
	struct files *files = draft->files;

	for (uint32_t id = files_next_draft(files, NODE_ROOT); id != NODE_NONE; id = files_next_draft(files, id)) {
		const struct file *version = file_draft(files, id);

		if (file_live(files, id) && (!version || version->state != FILE_TRANSFERRING))
			files_set_live(files, id, NULL);
	}
}

static void publish_run(struct core *c, struct run *run)
{
	if (run->ended) {
		run->old = queue_remove(c->queue, run->serial);
		if (run->result && history_add(queue_history(c->queue), run->result) < 0)
			result_free(run->result);
		else if (run->result)
			core_shorten_history(c, run->result->uid);
		run->result = NULL;
		return;
	}
	run->draft->changes++;
	end_live(run->draft);
	run->old = queue_publish(c->queue, run->draft);
}

/* Frees what publishing replaced; the draft is the published version now, unless the job has ended. */
static void reap(struct run *run)
{
	if (run->ended) {
		struct files *files = run->draft->files;

		job_free(run->old);
		job_free(run->draft);
		files_free(files);
	} else {
		files_reap(run->draft->files);
		job_free(run->old);
	}
	run->old = NULL;
	run->draft = NULL;
}

static void publish_notes(struct core *c)
{
	struct events *events = queue_events(c->queue);

	for (struct note *n = c->notes; n; n = n->next)
		events_add(events, c->moment.wall_ms, n->serial, n->job, n->what, n->details ? n->details : "");
}

static bool drop_notes(struct core *c)
{
	bool any = c->notes;

	while (c->notes) {
		struct note *n = c->notes;

		c->notes = n->next;
		free(n->job);
		free(n->details);
		free(n);
	}
	c->notes_tail = &c->notes;
	return any;
}

static void publish(struct core *c)
{
	core_read_lock(c);
	for (struct run *run = c->dirty; run; run = run->next_dirty)
		if (run->draft)
			publish_run(c, run);
	if (c->prune) {
		history_prune(queue_history(c->queue), oldest_result(c));
		c->pruned_at = c->moment.wall_ms / 1000;
	}
	publish_notes(c);
	*queue_service(c->queue) = c->service;
	core_read_unlock(c);
	c->network_changed = c->service_changed = false;
}

void core_publish_service(struct core *c)
{
	if (!c->service_changed)
		return;
	core_read_lock(c);
	*queue_service(c->queue) = c->service;
	core_read_unlock(c);
	c->service_changed = false;
}

/* --- act -------------------------------------------------------------------------------------- */

static void act(struct core *c)
{
	struct run *list = c->dirty;

	c->dirty = NULL;
	for (struct run *run = list; run; run = run->next_dirty)
		if (run->draft)
			reap(run);
	while (list) {
		struct run *run = list;
		unsigned fx = run->fx, changed = run->changed;
		bool fresh = run->fresh;
		const struct job *job = queue_find(c->queue, run->serial);
		cleanup_free char *name = take_ptr(run->old_name);

		list = run->next_dirty;
		run->dirty = run->save = run->fresh = false;
		run->fx = run->changed = 0;
		if (fresh && job) {
			log_info("job %s (%llu) created by uid %u", job->name, (unsigned long long)job->serial, job->uid);
			timer_watch(c, job);
		}
		run_act(run, fx);
		if (c->hooks.changed)
			c->hooks.changed(c->hooks.arg, run->serial, name ? name : job ? job->name : "", changed | CHANGED_EVENT);
		waiters_wake(run);
	}
}

static void drop_run(struct core *c, struct run *run)
{
	if (run->draft) {
		struct files *files = run->draft->files;

		if (run->fresh) {
			files_free(files);
		} else {
			core_read_lock(c);
			files_drop_drafts(files);
			core_read_unlock(c);
		}
		job_free(run->draft);
	}
	if (run->ended)
		result_free(run->result);
	run->draft = NULL;
	run->result = NULL;
	run->dirty = run->save = run->fresh = run->ended = run->unsettled = false;
	run->fx = run->changed = 0;
	run->nready = 0;
	run_forget_gone(run);
	free(take_ptr(run->old_name));
}

void run_drop_draft(struct run *run)
{
	struct core *c = run->core;

	assert(c->dirty == run);
	c->dirty = run->next_dirty;
	drop_run(c, run);
}

void core_drop_drafts(struct core *c)
{
	while (c->dirty) {
		struct run *run = c->dirty;

		c->dirty = run->next_dirty;
		drop_run(c, run);
	}
	c->network_changed = false;
	drop_notes(c);
}

int core_commit(struct core *c, bool commands)
{
	bool network = c->network_changed, noted;
	int r;

	if (!c->dirty && !c->notes && !c->network_changed)
		return 0;
	r = save(c);
	if (r < 0 && commands) {
		log_error("cannot save the queue: %s; the command was refused", core_unsaved(r));
		core_drop_drafts(c);
		c->service = c->service_before;
		return r;
	}
	if (r < 0) {
		if (c->save_owed != r)
			log_error("cannot save the queue: %s; trying again each second", core_unsaved(r));
		c->save_owed = r;
		c->save_at = c->moment.now + NSEC_PER_SEC;
		return r;
	}
	if (c->save_owed)
		log_info("the queue can be saved again");
	c->save_owed = 0;
	publish(c);
	noted = drop_notes(c);
	act(c);
	/* After the hooks: who reads in the log that a job has ended finds it gone. */
	if (noted)
		waiters_wake_service(c);
	if (network)
		limits_update(c);
	return 0;
}
