/* The mover's orders: what is sent when, and what it means when it comes back (SYNC and VERIFY: sync.c).
 *
 *	SYNC     at most one per job at a time, each SYNC_INTERVAL or SYNC_BATCH while bytes come, and at once
 *	         when nothing of the job is running: a job is `transferred` only when all its bytes are on disk
 *	VERIFY   one per file with a checksum, when its last byte came
 *	PREPARE  when the job is COMPLETING and quiet; its inodes are saved before PLACE is sent (invariant 6)
 *	PLACE
 *	DROP     blobs that nothing refers to any more, in the end those of the whole job
 */
#include "core/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void order_send(struct core *c, struct order *o)
{
	if (c->stopped)
		order_free(o);
	else
		c->ports.order(c->ports.mover, o);
}

/* --- PREPARE and PLACE ------------------------------------------------------------------------ */

static bool to_place(const struct file *f)
{
	return f && f->state == FILE_TRANSFERRED;
}

/* Whether it was perhaps whole when a daemon that was killed prepared it, and is not any more: what that has
 * left in the destination is to go. A tree is cleared as a whole. */
static bool to_clear(const struct run *run, const struct job *job, const struct file *f)
{
	return run->place_again && f && !to_place(f) && f->state != FILE_COMPLETED && job->props.commit != COMMIT_TREE;
}

static size_t count_to_place(const struct run *run, const struct job *job)
{
	size_t n = 0;

	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		const struct file *f = file_now(job->files, id);

		n += to_place(f) || to_clear(run, job, f);
	}
	return n;
}

/* What PREPARE has said of F, INODE_NONE if it has not come so far. Of a blob that it found as SYNC had
 * seen it nothing was saved anew. */
static enum order_inode prepared_as(const struct job *job, const struct file *f)
{
	if (f->dev)
		return (enum order_inode)f->dev;
	return job->prepared && f->ino ? INODE_BLOB : INODE_NONE;
}

/* An order over the whole files of the job; of PLACE only those that PREPARE gave an inode. */
static struct order *make_placing(struct run *run, const struct job *job, enum order_kind kind)
{
	struct order *o = order_new(kind, run->serial, count_to_place(run, job));
	size_t n = 0;

	if (!o)
		return NULL;
	o->creds = creds_copy(job->completer);
	o->destination = strdup(job->props.destination ? job->props.destination : ".");
	o->conflict = job->props.on_conflict;
	o->commit = job->props.commit;
	o->fresh = !run->place_again;
	o->copies = o->creds && o->creds->uid != job->uid && o->creds->uid != run->core->options.daemon_uid;
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		const struct file *f = file_now(job->files, id);
		struct order_file *of = &o->files[n];
		bool clear = kind == ORDER_PREPARE && to_clear(run, job, f);

		if (!clear && (!to_place(f) || (kind == ORDER_PLACE && !prepared_as(job, f))))
			continue;
		*of = (struct order_file){.file = id, .generation = f->generation, .mtime = f->mtime,
			.size = f->size, .dev = prepared_as(job, f), .ino = f->ino, .clear = clear};
		n++;
		if (files_path(job->files, id, &of->path) < 0)
			break;
	}
	o->nfiles = n;
	/* Whole, or PLACE would have files that PREPARE had not. */
	if (o->creds && o->destination && (n == 0 || o->files[n - 1].path))
		return o;
	order_free(o);
	return NULL;
}

static void send_placing(struct run *run, enum order_kind kind)
{
	const struct job *job = queue_find(run->core->queue, run->serial);
	struct order *o = make_placing(run, job, kind);

	if (!o) { /* out of memory: tried again with the next turn of this job */
		timer_set(run, run->core->moment.now + NSEC_PER_SEC);
		return;
	}
	run->place = kind == ORDER_PREPARE ? PLACE_PREPARING : PLACE_PLACING;
	order_send(run->core, o);
}

void order_place(struct run *run)
{
	if (run->core->stopped)
		return;
	if (run->place == PLACE_PREPARED) /* and saved: invariant 6 */
		send_placing(run, ORDER_PLACE);
	if (run->place != PLACE_WANTED || run->transfers || run->syncing || run->verifying)
		return;
	run->place_err = 0;
	run->nunsynced = 0; /* PREPARE syncs */
	send_placing(run, ORDER_PREPARE);
}

/* complete's write returns the first errno, and `refused` the sentence. */
static void note_first_error(struct run *run, const char *path, int err, const char *why)
{
	cleanup_free char *text = NULL;

	if (run->place_err)
		return;
	run->place_err = err;
	if (asprintf(&text, "complete: %s: %s", path, why) >= 0)
		core_refuse(run->core, run->serial, text);
}

static void note_place_error(struct run *run, const struct order_file *of, struct file *version, int err)
{
	enum outcome outcome = of->lost ? OUTCOME_LOST : OUTCOME_PLACE;
	cleanup_free char *text = NULL;

	fault_free(take_ptr(version->fault));
	if (err == -ECANCELED) /* nothing is wrong with it: its tree could not be placed */
		return;
	outcome_sentence(outcome, 0, of->lost ? NULL : strerror(-err), &text);
	note_first_error(run, of->path, err, of->lost && text ? text : strerror(-err));
	if (of->lost) { /* there is nothing to place: RESUME fetches it again */
		report_start_over(run, of->file, version);
		version->state = FILE_FAILED;
	}
	version->fault = fault_new(outcome, 0, -err, text, run->core->moment.wall_ms / 1000);
	run->core->service.errors[outcome]++;
}

/* PREPARE has found what SYNC had seen, and was saved then. */
static bool is_known(const struct file *f, const struct order_file *of)
{
	return of->err == 0 && of->dev == INODE_BLOB && of->ino == f->ino && !f->dev && f->synced;
}

static int prepared_file(struct run *run, const struct job *job, const struct order_file *of)
{
	const struct file *now = file_draft(job->files, of->file);
	struct file version;
	int r;

	if (!to_place(now) || is_known(now, of))
		return 0;
	r = file_copy(now, &version);
	if (r < 0)
		return r;
	version.synced = version.synced || of->err == 0;
	version.dev = of->err < 0 ? 0 : of->dev;
	version.ino = of->err < 0 ? 0 : of->ino;
	if (of->err < 0)
		note_place_error(run, of, &version, of->err);
	r = run_set_file(run, of->file, &version);
	if (r < 0)
		file_release(&version);
	return r;
}

static void placed_file(struct run *run, const struct job *job, const struct order_file *of)
{
	const struct file *now = file_draft(job->files, of->file);
	struct file version;

	if (!to_place(now) || file_copy(now, &version) < 0)
		return;
	version.dev = version.ino = 0;
	if (of->done) {
		version.state = FILE_COMPLETED;
		fault_free(take_ptr(version.fault));
		run->core->service.files_completed++;
	} else {
		note_place_error(run, of, &version, of->err < 0 ? of->err : -EIO);
	}
	if (run_set_file(run, of->file, &version) < 0)
		file_release(&version);
}

static void placing_failed(struct run *run, int err)
{
	struct job *draft = run_edit(run);

	run->place = PLACE_NONE;
	run->place_err = err;
	if (!draft || run_apply(run, draft->was_transferred && !draft->tally.failed ? EV_UNPLACED : EV_UNPLACED_PART) < 0)
		return;
	creds_free(take_ptr(draft->completer));
	draft->prepared = false;
	core_log_event(run, "place-failed", "errno=%d", -err);
}

static void prepare_done(struct run *run, struct order *o)
{
	const struct job *job = run_job(run);
	bool noted = true;
	struct job *draft;

	for (size_t i = 0; i < o->nfiles; i++)
		noted = prepared_file(run, job, &o->files[i]) == 0 && noted;
	if (o->err < 0)
		note_first_error(run, o->destination, o->err, strerror(-o->err));
	run->leftovers += o->leftovers;
	if (o->commit == COMMIT_TREE && run->place_err) {
		placing_failed(run, run->place_err); /* all or nothing */
		return;
	}
	draft = run_edit(run);
	run->save = true; /* before anything gets its name */
	if (!draft || !noted) { /* out of memory: once more, or what could not be prepared would pass for what is */
		run->place_again = true;
		run->place = PLACE_WANTED;
		return;
	}
	draft->prepared = true;
	run->place = PLACE_PREPARED;
}

/* Whole files of which nobody has said that they were placed: whatever the reason, none is dropped with the
 * job that would end. */
static void fail_left_out(struct run *run)
{
	const struct job *job = run_job(run);

	if (!job->tally.transferred || run->place_err)
		return;
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		const struct file *f = file_draft(run_job(run)->files, id);
		struct order_file left_out = {.file = id, .err = -EIO};

		if (!to_place(f) || f->fault || files_path(run_job(run)->files, id, &left_out.path) < 0)
			continue;
		placed_file(run, run_job(run), &left_out);
		free(left_out.path);
	}
	if (!run->place_err)
		run->place_err = -EIO;
}

static void place_done(struct run *run, struct order *o)
{
	const struct job *job = run_job(run);
	bool partial;

	for (size_t i = 0; i < o->nfiles; i++)
		placed_file(run, job, &o->files[i]);
	if (o->err < 0)
		note_first_error(run, o->destination, o->err, strerror(-o->err));
	run->leftovers += o->leftovers;
	run_edit(run);
	run->save = true;
	fail_left_out(run);
	if (run->place_err) {
		placing_failed(run, run->place_err);
		return;
	}
	run->place = PLACE_NONE;
	if (run_job(run)->completer)
		run->ended_by = run_job(run)->completer->uid;
	partial = run_job(run)->tally.completed < run_job(run)->tally.files;
	if (run_apply(run, EV_PLACED) == 0)
		run_end(run, partial, "command");
}

/* --- DROP ------------------------------------------------------------------------------------- */

void order_drop_blob(struct run *run, uint32_t file, uint32_t generation)
{
	struct order *o = order_new(ORDER_DROP, run->serial, 1);

	if (!o)
		return; /* swept at the next start */
	o->files[0].file = file;
	o->files[0].generation = generation;
	order_send(run->core, o);
}

void order_drop(struct run *run)
{
	struct order *o = run->core->stopped ? NULL : order_new(ORDER_DROP, run->serial, 0);

	if (o) {
		order_send(run->core, o);
		return;
	}
	run->dropping = run->ended = false; /* swept at the next start */
	run_answer_held(run, run->core->stopped ? -ENODEV : 0);
}

/* Known only after the job has ended and was saved: its result is corrected. */
static void note_leftovers(struct run *run)
{
	struct store *store = run->core->options.store;
	const struct result *result;

	log_warning("job %llu: %u temporary files could not be deleted", (unsigned long long)run->serial, run->leftovers);
	core_read_lock(run->core);
	result = history_set_leftovers(queue_history(run->core->queue), run->serial, run->leftovers);
	core_read_unlock(run->core);
	if (result && (store_begin(store) < 0 || store_put_result(store, result) < 0 || store_commit(store) < 0))
		store_rollback(store);
}

static void dropped(struct run *run, struct order *o)
{
	if (o->nfiles || !run->dropping)
		return;
	run->dropping = false;
	run->ended = false;
	run->leftovers += o->leftovers;
	if (run->leftovers)
		note_leftovers(run);
	run_answer_held(run, 0);
}

/* ---------------------------------------------------------------------------------------------- */

void order_done(struct core *c, struct order *o)
{
	struct run *run = o->mail.kind == ORDER_DROP ? run_find(c, o->serial) : run_get(c, o->serial);

	if (!run)
		return;
	run = run_get(c, o->serial);
	run->unsettled = true;
	switch ((enum order_kind)o->mail.kind) {
	case ORDER_SYNC:
		order_sync_done(run, o);
		break;
	case ORDER_VERIFY:
		order_verify_done(run, o);
		break;
	case ORDER_PREPARE:
		prepare_done(run, o);
		break;
	case ORDER_PLACE:
		place_done(run, o);
		break;
	case ORDER_DROP:
		dropped(run, o);
		break;
	}
}
