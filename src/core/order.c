/* The mover's orders: what is sent when, and what it means when it comes back.
 *
 *	SYNC     at most one per job at a time, each SYNC_INTERVAL while bytes come, and at once when nothing
 *	         of the job is running: a job is `transferred` only when all its bytes are on disk
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

static void send(struct core *c, struct order *o)
{
	if (c->stopped)
		order_free(o);
	else
		c->ports.order(c->ports.mover, o);
}

/* --- SYNC ------------------------------------------------------------------------------------- */

void order_unsynced(struct run *run, uint32_t file)
{
	if (run->nunsynced == run->unsynced_cap) {
		size_t cap = run->unsynced_cap ? run->unsynced_cap * 2 : 16;
		uint32_t *v = reallocarray(run->unsynced, cap, sizeof(*v));

		if (!v)
			return; /* found again when the job is resumed */
		run->unsynced = v;
		run->unsynced_cap = cap;
	}
	run->unsynced[run->nunsynced++] = file;
	if (!run->synced_at)
		run->synced_at = run->core->moment.now;
}

/* Of a file that a transfer writes to, the snapshots are taken of its live progress. */
static bool is_unsynced(const struct file *f)
{
	return f && !f->synced && f->state != FILE_TRANSFERRING && f->state != FILE_VERIFYING &&
	       f->state != FILE_COMPLETED && (f->have.n || f->state == FILE_TRANSFERRED);
}

void order_all_unsynced(struct run *run, const struct job *job)
{
	run->nunsynced = 0;
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id))
		if (is_unsynced(file_draft(job->files, id)))
			order_unsynced(run, id);
}

static bool anything_live(const struct run *run, const struct job *job)
{
	for (const struct transfer *t = run->transfers; t; t = t->next) {
		const struct live *live = file_live(job->files, t->file);

		if (live && live->have.n)
			return true;
	}
	return false;
}

int64_t order_sync_deadline(const struct run *run)
{
	if (run->syncing || !run->synced_at)
		return INT64_MAX;
	return run->synced_at + SYNC_INTERVAL;
}

static bool put_snapshot(struct order *o, uint32_t file, uint32_t generation, const struct extents *have)
{
	struct order_file *of = &o->files[o->nfiles];

	if (extents_copy(have, &of->have) < 0)
		return false;
	of->file = file;
	of->generation = generation;
	o->nfiles++;
	return true;
}

/* What memory does not suffice for stays in the list. */
static struct order *make_sync(struct run *run, const struct job *job)
{
	struct order *o = order_new(ORDER_SYNC, run->serial, run->nunsynced + run->ntransfers);
	size_t kept = 0;

	if (!o)
		return NULL;
	o->nfiles = 0;
	for (size_t i = 0; i < run->nunsynced; i++) {
		uint32_t id = run->unsynced[i];
		const struct file *f = file_now(job->files, id);

		if (is_unsynced(f) && !put_snapshot(o, id, f->generation, &f->have))
			run->unsynced[kept++] = id;
	}
	run->nunsynced = kept;
	for (const struct transfer *t = run->transfers; t; t = t->next) {
		const struct live *live = file_live(job->files, t->file);

		if (live && live->generation == t->generation && live->have.n)
			put_snapshot(o, t->file, t->generation, &live->have);
	}
	return o;
}

/* Something to sync, and either its time has come or nothing more will come that would wait for it. */
void order_sync(struct run *run)
{
	const struct job *job = queue_find(run->core->queue, run->serial);
	bool goes_on = run->ntransfers || run->verifying;
	struct order *o;

	if (run->syncing || run->place != PLACE_NONE || run->core->stopped)
		return;
	if (!run->nunsynced && !anything_live(run, job)) {
		run->synced_at = 0;
		return;
	}
	if (run->obstacle == OUTCOME_DONE && sched_waiting(run->core->sched, run->serial))
		goes_on = true;
	if (goes_on && run->core->moment.now < order_sync_deadline(run))
		return;
	run->synced_at = run->core->moment.now;
	o = make_sync(run, job);
	if (o && o->nfiles) {
		run->syncing = true;
		send(run->core, o);
	} else {
		order_free(o);
	}
}

/* The file, whose draft is VERSION, fails for a reason of the disk's, or its checksum is wrong. */
static void fail_file(struct run *run, uint32_t file, struct file *version, int err)
{
	const bool full = err == -ENOSPC || err == -EDQUOT;
	struct report r = {.outcome = OUTCOME_CHECKSUM, .retry_after_s = -1};

	if (err != -EBADMSG) {
		r.outcome = full ? OUTCOME_DISK_FULL : OUTCOME_DISK;
		r.err = -err;
		r.text = (char *)strerrordesc_np(-err);
	}
	report_start_over(run, file, version);
	if (full)
		report_fail_softly(run, file, version, &r);
	else
		report_fail_hard(run, version, &r);
}

static void synced_file(struct run *run, struct order_file *of)
{
	const struct file *now = file_draft(run_job(run)->files, of->file);
	struct file version;

	if (!now || now->generation != of->generation || now->state == FILE_COMPLETED)
		return;
	if (of->err < 0 && now->state == FILE_TRANSFERRING)
		return; /* the transfer goes on and will say so itself, or the next sync does */
	if (file_copy(now, &version) < 0)
		return;
	if (of->err < 0) {
		fail_file(run, of->file, &version, of->err); /* what was not synced may be anything */
	} else if (extents_total(&of->have) >= extents_total(&version.have)) {
		extents_release(&version.have);
		version.have = of->have;
		memset(&of->have, 0, sizeof(of->have));
		version.synced = true;
	} else if (is_unsynced(&version)) {
		order_unsynced(run, of->file); /* more has come since the snapshot */
	}
	if (run_set_file(run, of->file, &version) < 0)
		file_release(&version);
	run->save = true;
}

static void sync_done(struct run *run, struct order *o)
{
	run->syncing = false;
	if (!run_job(run) || run->ended)
		return;
	for (size_t i = 0; i < o->nfiles; i++)
		synced_file(run, &o->files[i]);
	run->synced_at = run->ntransfers || run->nunsynced ? run->core->moment.now : 0;
	run_count_active_time(run);
	if (run_edit(run))
		run->draft->last_alive = run->core->moment.wall_ms / 1000;
}

/* --- VERIFY ----------------------------------------------------------------------------------- */

int order_verify(struct run *run, uint32_t file, uint64_t size, struct digest *digest)
{
	const struct job *job = run_job(run);
	const struct source_extra *extra = file_source(job->files, file)->extra;
	struct order *o = order_new(ORDER_VERIFY, run->serial, 1);

	if (!o) {
		digest_free(digest);
		return -ENOMEM;
	}
	o->files[0].file = file;
	o->files[0].generation = file_draft(job->files, file)->generation;
	o->files[0].digest = digest;
	o->files[0].digest_kind = extra->digest_kind;
	memcpy(o->files[0].want, extra->digest, sizeof(o->files[0].want));
	o->files[0].size = size;
	run->verifying++;
	send(run->core, o);
	return 0;
}

static void verified_file(struct run *run, const struct order_file *of)
{
	const struct file *now = file_draft(run_job(run)->files, of->file);
	struct file version;

	if (!now || now->generation != of->generation || now->state != FILE_VERIFYING || file_copy(now, &version) < 0)
		return;
	if (of->err == 0) {
		version.state = FILE_TRANSFERRED;
		version.synced = false;
		run->core->service.files_transferred++;
		order_unsynced(run, of->file);
	} else if (of->err == -ECANCELED) {
		version.state = FILE_QUEUED;
		run_ready(run, of->file);
	} else {
		fail_file(run, of->file, &version, of->err);
	}
	if (run_set_file(run, of->file, &version) < 0)
		file_release(&version);
}

static void verify_done(struct run *run, struct order *o)
{
	run->verifying--;
	if (run_job(run) && !run->ended)
		verified_file(run, &o->files[0]);
}

/* --- PREPARE and PLACE ------------------------------------------------------------------------ */

static bool to_place(const struct file *f)
{
	return f && f->state == FILE_TRANSFERRED;
}

static size_t count_to_place(const struct job *job)
{
	size_t n = 0;

	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id))
		n += to_place(file_now(job->files, id));
	return n;
}

/* An order over the whole files of the job; of PLACE only those that PREPARE gave an inode. */
static struct order *make_placing(struct run *run, const struct job *job, enum order_kind kind)
{
	struct order *o = order_new(kind, run->serial, count_to_place(job));
	size_t n = 0;

	if (!o)
		return NULL;
	o->creds = creds_copy(job->completer);
	o->destination = strdup(job->props.destination ? job->props.destination : ".");
	o->conflict = job->props.on_conflict;
	o->commit = job->props.commit;
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		const struct file *f = file_now(job->files, id);
		struct order_file *of = &o->files[n];

		if (!to_place(f) || (kind == ORDER_PLACE && !f->ino))
			continue;
		*of = (struct order_file){.file = id, .generation = f->generation, .mtime = f->mtime,
			.size = f->size, .dev = f->dev, .ino = f->ino};
		if (files_path(job->files, id, &of->path) < 0)
			break;
		n++;
	}
	o->nfiles = n;
	if (o->creds && o->destination)
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
	send(run->core, o);
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
static void note_first_error(struct run *run, const char *path, int err)
{
	cleanup_free char *text = NULL;

	if (run->place_err)
		return;
	run->place_err = err;
	if (asprintf(&text, "complete: %s: %s", path, strerror(-err)) >= 0)
		core_refuse(run->core, run->serial, text);
}

static void note_place_error(struct run *run, const char *path, struct file *version, int err)
{
	cleanup_free char *text = NULL;

	note_first_error(run, path, err);
	outcome_sentence(OUTCOME_PLACE, 0, strerror(-err), &text);
	fault_free(version->fault);
	version->fault = fault_new(OUTCOME_PLACE, 0, -err, text, run->core->moment.wall_ms / 1000);
	run->core->service.errors[OUTCOME_PLACE]++;
}

static void prepared_file(struct run *run, const struct job *job, const struct order_file *of)
{
	const struct file *now = file_draft(job->files, of->file);
	struct file version;

	if (!to_place(now) || file_copy(now, &version) < 0)
		return;
	version.synced = version.synced || of->err == 0;
	version.dev = of->err < 0 ? 0 : of->dev;
	version.ino = of->err < 0 ? 0 : of->ino;
	if (of->err < 0)
		note_place_error(run, of->path, &version, of->err);
	if (run_set_file(run, of->file, &version) < 0)
		file_release(&version);
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
		note_place_error(run, of->path, &version, of->err < 0 ? of->err : -EIO);
	}
	if (run_set_file(run, of->file, &version) < 0)
		file_release(&version);
}

static void placing_failed(struct run *run, int err)
{
	struct job *draft = run_edit(run);

	run->place = PLACE_NONE;
	run->place_err = err;
	if (!draft || run_apply(run, draft->was_transferred ? EV_UNPLACED : EV_UNPLACED_PART) < 0)
		return;
	creds_free(take_ptr(draft->completer));
	core_log_event(run, "place-failed", "errno=%d", -err);
}

static void prepare_done(struct run *run, struct order *o)
{
	const struct job *job = run_job(run);

	for (size_t i = 0; i < o->nfiles; i++)
		prepared_file(run, job, &o->files[i]);
	if (o->err < 0)
		note_first_error(run, o->destination, o->err);
	run->leftovers += o->leftovers;
	if (o->commit == COMMIT_TREE && run->place_err) {
		placing_failed(run, run->place_err); /* all or nothing */
		return;
	}
	run_edit(run);
	run->save = true; /* the inodes, before anything gets its name */
	run->place = PLACE_PREPARED;
}

/* Whole files of which nobody has said that they were placed: whatever the reason, none is dropped. */
static void fail_left_out(struct run *run)
{
	const struct job *job = run_job(run);

	if (!job->tally.transferred)
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
		note_first_error(run, o->destination, o->err);
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
	send(run->core, o);
}

void order_drop(struct run *run)
{
	struct order *o = run->core->stopped ? NULL : order_new(ORDER_DROP, run->serial, 0);

	if (o) {
		send(run->core, o);
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
	result = queue_set_leftovers(run->core->queue, run->serial, run->leftovers);
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
		sync_done(run, o);
		break;
	case ORDER_VERIFY:
		verify_done(run, o);
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
