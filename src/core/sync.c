/* Orders that make sure of a file's bytes: SYNC, that they are on disk; VERIFY, that they are the right
 * ones.
 */
#include "core/state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- SYNC ------------------------------------------------------------------------------------- */

void order_unsynced(struct run *run, uint32_t file)
{
	if (vector_room(run->unsynced, run->unsynced_cap, run->nunsynced + 1) < 0)
		return; /* found again when the job is resumed */
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
	if (run->syncing || run->place != PLACE_NONE || !run->synced_at)
		return INT64_MAX; /* or what it waits for is another order */
	return run->nunsynced >= SYNC_BATCH ? 0 : run->synced_at + SYNC_INTERVAL;
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
		order_send(run->core, o);
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
		version.dev = 0;
		version.ino = of->ino;
	} else if (is_unsynced(&version)) {
		order_unsynced(run, of->file); /* more has come since the snapshot */
	}
	if (run_set_file(run, of->file, &version) < 0)
		file_release(&version);
	run->save = true;
}

void order_sync_done(struct run *run, struct order *o)
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
	order_send(run->core, o);
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

void order_verify_done(struct run *run, struct order *o)
{
	run->verifying--;
	if (run_job(run) && !run->ended)
		verified_file(run, &o->files[0]);
}
