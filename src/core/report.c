/* What the engine reports of a transfer, and what it means for the file. */
#include "core/state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- what has come ---------------------------------------------------------------------------- */

static void take_validator(struct file *version, const struct report *r)
{
	if (r->size != SIZE_UNKNOWN)
		version->size = r->size;
	if (r->mtime != MTIME_UNKNOWN)
		version->mtime = r->mtime;
	if (r->validator && (!version->validator || strcmp(version->validator, r->validator))) {
		free(version->validator);
		version->validator = strdup(r->validator);
	}
}

/* What the transfer has written counts as `have` of the file, not synced yet. */
static void take_have(struct file *version, struct report *r)
{
	if (extents_total(&r->have) <= extents_total(&version->have))
		return;
	extents_release(&version->have);
	version->have = r->have;
	memset(&r->have, 0, sizeof(r->have));
	version->synced = false;
}

static void note_latency(struct run *run)
{
	struct service *service = &run->core->service;
	double seconds = (double)(run->core->moment.now - run->resumed_at) / NSEC_PER_SEC;

	for (int i = 0; i < LATENCY_BUCKETS; i++)
		if (i == LATENCY_BUCKETS - 1 || seconds <= latency_bounds[i])
			service->latency_count[i]++;
	service->latency_sum += seconds;
	run->resumed_at = 0;
}

static void bytes_came(struct run *run, uint64_t bytes)
{
	enum job_state state = run_job(run)->state;

	if (!bytes)
		return;
	if (run->resumed_at)
		note_latency(run);
	run->core->service.bytes_downloaded += bytes;
	run->core->service_changed = true;
	sched_served(run->core->sched, run->serial, bytes);
	if (state == JOB_QUEUED || state == JOB_CONNECTING)
		run_apply(run, EV_BYTES);
	else if (run_job(run)->trouble_since && state != JOB_TRANSIENT_ERROR && run_edit(run))
		run->draft->trouble_since = 0;
}

/* The server gives the file (again): what was wrong is over, and `error` speaks of it no more. */
static void begun(struct run *run, struct transfer *t, const struct report *r)
{
	const struct file *now = file_draft(run_job(run)->files, t->file);
	struct file version;

	if (!now || now->generation != t->generation || file_copy(now, &version) < 0)
		return;
	take_validator(&version, r);
	fault_free(take_ptr(version.fault));
	if (run_set_file(run, t->file, &version) < 0)
		file_release(&version);
}

static void progress(struct run *run, struct transfer *t, const struct report *r)
{
	struct live live = {.have = r->have, .size = r->size, .rate = r->rate, .generation = t->generation};
	struct core *c = run->core;

	core_read_lock(c);
	files_set_live(run_job(run)->files, t->file, &live);
	core_read_unlock(c);
	if (!run->synced_at)
		run->synced_at = c->moment.now;
	waiters_wake_readers(run, t->file);
}

/* --- how it ended ----------------------------------------------------------------------------- */

void report_start_over(struct run *run, uint32_t file, struct file *version)
{
	run_gone(run, file, version->generation); /* without memory: swept at the next start */
	run->save = true; /* or after a crash `have` would speak of a blob that is gone */
	version->generation++;
	version->size = SIZE_UNKNOWN;
	version->mtime = MTIME_UNKNOWN;
	version->synced = false;
	version->unverified = false;
	version->dev = version->ino = 0;
	free(take_ptr(version->validator));
	extents_release(&version->have);
}

static void note_trouble(struct run *run, const struct report *r)
{
	run->core->service.errors[r->outcome]++;
	run->core->service_changed = true;
	core_log_event(run, "trouble", "code=%s http_status=%d url=%s", outcome_word(r->outcome), r->http_status,
		r->url ? r->url : "-");
}

static void blame(struct run *run, struct file *version, const struct report *r)
{
	cleanup_free char *text = NULL;

	outcome_sentence(r->outcome, r->http_status, r->text, &text);
	fault_free(version->fault);
	version->fault = fault_new(r->outcome, r->http_status, r->err, text, run->core->moment.wall_ms / 1000);
	note_trouble(run, r);
}

static uint32_t next_random(struct core *c)
{
	c->random = c->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return c->random >> 32;
}

#define DISK_RETRY_S 15 /* a full disk is looked at often: space comes back by a person's hand */

void report_fail_softly(struct run *run, uint32_t file, struct file *version, const struct report *r)
{
	uint32_t most = run_job(run)->props.retry_delay;

	if (r->outcome == OUTCOME_DISK_FULL && most > DISK_RETRY_S)
		most = DISK_RETRY_S;
	if (version->tries < UINT16_MAX)
		version->tries++;
	version->state = FILE_WAITING;
	blame(run, version, r);
	retry_later(run, file, retry_delay(version->tries, most, r->retry_after_s, next_random(run->core)));
}

void report_fail_hard(struct run *run, struct file *version, const struct report *r)
{
	version->state = FILE_FAILED;
	blame(run, version, r);
	run->save = true;
}

/* DONE says that every byte is here, also when memory did not suffice to list them in the report. */
static int have_all(struct file *version)
{
	if (version->size == SIZE_UNKNOWN)
		version->size = file_got(version);
	if (file_got(version) == version->size)
		return 0;
	extents_release(&version->have);
	version->synced = false;
	return extents_add(&version->have, 0, version->size);
}

static void finish_file(struct run *run, uint32_t file, struct file *version, struct report *r)
{
	const struct source *source = file_source(run_job(run)->files, file);
	bool digest = source->extra && source->extra->digest_kind;

	version->unverified = r->unverified && !digest;
	if (have_all(version) < 0 || (digest && order_verify(run, file, version->size, take_ptr(r->digest)) < 0)) {
		r->outcome = OUTCOME_INTERNAL;
		report_fail_softly(run, file, version, r);
		return;
	}
	version->tries = 0;
	fault_free(take_ptr(version->fault));
	if (digest) {
		version->state = FILE_VERIFYING;
		return;
	}
	version->state = FILE_TRANSFERRED;
	run->core->service.files_transferred++;
	version->synced = false; /* nor is its name */
}

#define CHANGES_IN_A_ROW 3 /* a file that changes each time it is asked for is treated as trouble */

static void changed(struct run *run, uint32_t file, struct file *version, struct report *r)
{
	report_start_over(run, file, version);
	if (version->tries >= CHANGES_IN_A_ROW) {
		report_fail_softly(run, file, version, r);
		return;
	}
	version->tries++;
	version->state = FILE_QUEUED;
	note_trouble(run, r);
	run_ready(run, file);
}

/* PROGRESSED: the file has come further than ever before. */
static void apply_outcome(struct run *run, uint32_t file, struct file *version, struct report *r, bool progressed)
{
	switch (retry_class(r->outcome, r->http_status)) {
	case CLASS_DONE:
		finish_file(run, file, version, r);
		return;
	case CLASS_STOPPED:
		version->state = FILE_QUEUED;
		run->save = true;
		run_ready(run, file);
		return;
	case CLASS_AGAIN:
		changed(run, file, version, r);
		return;
	case CLASS_TRANSIENT:
	case CLASS_DISK:
	case CLASS_WINDOW:
	case CLASS_NETWORK:
		if (progressed)
			version->tries = 0;
		report_fail_softly(run, file, version, r);
		return;
	case CLASS_FATAL:
	case CLASS_BY_STATUS:
		report_fail_hard(run, version, r);
		return;
	}
}

/* What is not synced when its transfer ends must not stay so: a job may rest for weeks. */
static bool is_to_be_synced(const struct file *version)
{
	return !version->synced && version->state != FILE_VERIFYING &&
	       (version->have.n || version->state == FILE_TRANSFERRED);
}

static void ended(struct run *run, const struct transfer *t, struct report *r)
{
	const struct file *now = file_draft(run_job(run)->files, t->file);
	bool progressed = extents_total(&r->have) > t->had;
	struct file version;

	if (!now)
		order_drop_blob(run, t->file, t->generation); /* removed meanwhile */
	if (!now || now->generation != t->generation || file_copy(now, &version) < 0)
		return;
	take_validator(&version, r);
	take_have(&version, r);
	apply_outcome(run, t->file, &version, r, progressed);
	if (is_to_be_synced(&version))
		order_unsynced(run, t->file);
	if (run_set_file(run, t->file, &version) < 0)
		file_release(&version);
}

/* The run is looked at in this turn, whatever the report says: something may have waited for its end. */
void report_take(struct core *c, struct report *r)
{
	struct transfer *t = slot_by_id(c, r->id);
	struct run *run = t ? run_get(c, t->run->serial) : NULL;
	bool alive = run && run_job(run) && !run->ended;

	if (!t)
		return;
	if (alive)
		bytes_came(run, r->bytes_moved);
	if (r->mail.kind == REPORT_ENDED) {
		if (alive)
			ended(run, t, r);
		slot_release(t);
		run->unsettled = true;
		return;
	}
	slot_gauge(t, r->rate, r->connections);
	if (alive && r->mail.kind == REPORT_BEGUN)
		begun(run, t, r);
	/* The first answer may have brought bytes along, after which none may come for long. */
	if (alive && (r->mail.kind == REPORT_PROGRESS || extents_total(&r->have) > t->had))
		progress(run, t, r);
}
