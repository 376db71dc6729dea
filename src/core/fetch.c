/* Transfers: what the scheduler starts, and what the engine reports of it. */
#include "core/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* --- the table of transfers ------------------------------------------------------------------- */

#define SLOT_BITS 20
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)

/* Slots are as many as the scheduler's window: made once, so pointers to them stay. */
static int make_slots(struct core *c)
{
	uint32_t n = c->options.config->connections;

	c->slots = calloc(n, sizeof(*c->slots));
	if (!c->slots)
		return -ENOMEM;
	c->nslots = n;
	for (uint32_t i = n; i-- > 0;) {
		c->slots[i].next = c->free_slots;
		c->free_slots = &c->slots[i];
	}
	return 0;
}

static struct transfer *transfer_new(struct run *run, uint32_t file, uint32_t generation)
{
	struct core *c = run->core;
	struct transfer *t;

	if (!c->slots && make_slots(c) < 0)
		return NULL;
	t = c->free_slots;
	if (!t)
		return NULL;
	c->free_slots = t->next;
	*t = (struct transfer){
		.id = ++c->transfer_seq << SLOT_BITS | (uint64_t)(t - c->slots),
		.run = run, .file = file, .generation = generation, .wanted = UINT64_MAX, .next = run->transfers,
	};
	run->transfers = t;
	run->ntransfers++;
	return t;
}

static struct transfer *transfer_by_id(struct core *c, uint64_t id)
{
	uint64_t slot = id & SLOT_MASK;

	return slot < c->nslots && c->slots[slot].id == id ? &c->slots[slot] : NULL;
}

static void transfer_release(struct transfer *t)
{
	struct run *run = t->run;
	struct transfer **at = &run->transfers;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	run->ntransfers--;
	sched_ended(run->core->sched, run->serial);
	t->id = 0;
	t->next = run->core->free_slots;
	run->core->free_slots = t;
}

struct transfer *fetch_find(struct run *run, uint32_t file)
{
	struct transfer *t = run->transfers;

	while (t && t->file != file)
		t = t->next;
	return t;
}

/* --- starting --------------------------------------------------------------------------------- */

static char *home_of(uid_t uid)
{
	struct passwd pw, *found = NULL;
	char text[4096];

	if (getpwuid_r(uid, &pw, text, sizeof(text), &found) || !found)
		return NULL;
	return strdup(found->pw_dir);
}

static struct fetch_options *options_of(struct run *run, const struct job *job)
{
	const struct props *p = &job->props;
	uint64_t most = run->core->options.config->connections_per_file;
	struct fetch_options *o;

	if (run->options)
		return fetch_options_ref(run->options);
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->refs = 1;
	o->headers = p->headers ? strdup(p->headers) : NULL;
	o->credentials = p->credentials ? strdup(p->credentials) : NULL;
	o->proxy = p->proxy ? strdup(p->proxy) : NULL;
	o->client_certificate = p->client_certificate ? strdup(p->client_certificate) : NULL;
	o->uid = job->uid;
	o->home = home_of(job->uid);
	o->shared = job->mode & 022;
	o->connections = p->connections ? p->connections : most;
	run->options = o;
	return fetch_options_ref(o);
}

static int copy_extra(struct fetch *f, const struct source_extra *extra)
{
	if (!extra)
		return 0;
	f->digest_kind = extra->digest_kind;
	if (extra->nmirrors) {
		f->mirrors = calloc(extra->nmirrors, sizeof(*f->mirrors));
		if (!f->mirrors)
			return -ENOMEM;
		for (; f->nmirrors < extra->nmirrors; f->nmirrors++) {
			f->mirrors[f->nmirrors] = strdup(extra->mirrors[f->nmirrors]);
			if (!f->mirrors[f->nmirrors])
				return -ENOMEM;
		}
	}
	if (extra->nranges) {
		f->ranges = calloc(extra->nranges, sizeof(*f->ranges));
		if (!f->ranges)
			return -ENOMEM;
		memcpy(f->ranges, extra->ranges, extra->nranges * sizeof(*f->ranges));
		f->nranges = extra->nranges;
	}
	return 0;
}

static struct fetch *make_fetch(struct run *run, const struct job *job, uint32_t file, const struct file *version)
{
	const struct source *source = file_source(job->files, file);
	struct fetch *f = fetch_new();

	if (!f)
		return NULL;
	f->serial = run->serial;
	f->file = file;
	f->generation = version->generation;
	f->priority = job->props.priority;
	f->url = strdup(source->url);
	f->size = version->size != SIZE_UNKNOWN ? version->size : source->extra ? source->extra->size : SIZE_UNKNOWN;
	f->validator = version->validator ? strdup(version->validator) : NULL;
	f->options = options_of(run, job);
	if (f->url && f->options && (!version->validator || f->validator) &&
	    extents_copy(&version->have, &f->have) >= 0 && copy_extra(f, source->extra) >= 0)
		return f;
	fetch_free(f);
	return NULL;
}

static void start(struct core *c, uint64_t serial, uint32_t file)
{
	struct run *run = run_get(c, serial);
	const struct job *job = run ? run_job(run) : NULL;
	const struct file *now = job ? file_draft(job->files, file) : NULL;
	struct transfer *t = NULL;
	struct file version;
	struct fetch *f;

	if (!now || now->state != FILE_QUEUED || fetch_find(run, file) || file_copy(now, &version) < 0) {
		sched_ended(c->sched, serial);
		return;
	}
	f = make_fetch(run, job, file, now);
	if (f)
		t = transfer_new(run, file, now->generation);
	version.state = FILE_TRANSFERRING;
	if (!t || run_set_file(run, file, &version) < 0) {
		file_release(&version);
		fetch_free(f);
		if (t)
			transfer_release(t);
		else
			sched_ended(c->sched, serial);
		return;
	}
	f->id = t->id;
	if (run_job(run)->state == JOB_QUEUED)
		run_apply(run, EV_START);
	f->mail.next = c->fetches ? &c->fetches->mail : NULL;
	c->fetches = f;
}

static void send_fetches(struct core *c)
{
	struct fetch *list = NULL;

	while (c->fetches) { /* in the order in which they were started */
		struct fetch *f = c->fetches;

		c->fetches = f->mail.next ? container_of(f->mail.next, struct fetch, mail) : NULL;
		f->mail.next = list ? &list->mail : NULL;
		list = f;
	}
	while (list) {
		struct fetch *f = list;

		list = f->mail.next ? container_of(f->mail.next, struct fetch, mail) : NULL;
		f->mail.next = NULL;
		c->ports.fetch(c->ports.engine, f);
	}
}

void fetch_forget(struct core *c)
{
	while (c->fetches) {
		struct fetch *f = c->fetches;

		c->fetches = f->mail.next ? container_of(f->mail.next, struct fetch, mail) : NULL;
		fetch_free(f);
	}
}

/* The youngest transfer gives way: it has the least to lose. */
static void stop_youngest(struct core *c, uint64_t serial)
{
	struct run *run = run_find(c, serial);
	struct transfer *t = run ? run->transfers : NULL;

	while (t && t->ceasing)
		t = t->next;
	if (t)
		fetch_cease(t);
}

void fetch_schedule(struct core *c)
{
	if (c->save_owed)
		return;
	for (struct sched_step step = sched_next(c->sched); step.action != SCHED_NOTHING; step = sched_next(c->sched)) {
		if (step.action == SCHED_START)
			start(c, step.serial, step.file);
		else
			stop_youngest(c, step.serial);
	}
	if (core_commit(c, false) == 0)
		send_fetches(c);
}

void fetch_cease(struct transfer *t)
{
	struct core *c = t->run->core;

	if (t->ceasing)
		return;
	t->ceasing = true;
	if (!c->stopped)
		c->ports.cease(c->ports.engine, t->id);
}

/* --- trying again ----------------------------------------------------------------------------- */

static void retry_later(struct run *run, uint32_t file, int64_t delay)
{
	if (run->nretries == run->retries_cap) {
		size_t cap = run->retries_cap ? run->retries_cap * 2 : 8;
		struct retry *v = reallocarray(run->retries, cap, sizeof(*v));

		if (!v)
			return;
		run->retries = v;
		run->retries_cap = cap;
	}
	run->retries[run->nretries++] = (struct retry){.file = file, .deadline = run->core->moment.now + delay};
	timer_set(run, run->core->moment.now + delay);
}

int64_t fetch_retry_deadline(const struct run *run)
{
	int64_t earliest = INT64_MAX;

	for (size_t i = 0; i < run->nretries; i++)
		if (run->retries[i].deadline < earliest)
			earliest = run->retries[i].deadline;
	return earliest;
}

/* FILE is queued again, as far as it has come; FRESH: with all tries ahead of it. */
static void requeue(struct run *run, const struct job *job, uint32_t file, bool fresh)
{
	const struct file *now = file_draft(job->files, file);
	struct file version;

	if (file_copy(now, &version) < 0)
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

void fetch_retry_due(struct run *run)
{
	const struct job *job = run_job(run);
	size_t kept = 0, due = 0;

	for (size_t i = 0; i < run->nretries; i++) {
		const struct retry retry = run->retries[i];
		const struct file *f = file_draft(job->files, retry.file);

		if (retry.deadline > run->core->moment.now) {
			run->retries[kept++] = retry;
			continue;
		}
		if (f && f->state == FILE_WAITING) {
			requeue(run, job, retry.file, false);
			due++;
		}
	}
	run->nretries = kept;
	run->core->service.retries += due;
	if (due && run_job(run)->state == JOB_TRANSIENT_ERROR)
		run_apply(run, EV_RETRY);
}

static void forgive(struct run *run, bool failed)
{
	const struct job *job = run_job(run);

	run->nretries = 0;
	if (!job->tally.waiting && !(failed && job->tally.failed))
		return;
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		const struct file *f = file_draft(job->files, id);

		if (f && (f->state == FILE_WAITING || (failed && f->state == FILE_FAILED)))
			requeue(run, job, id, true);
	}
}

void fetch_forgive(struct run *run)
{
	forgive(run, true);
}

void fetch_forgive_waiting(struct run *run)
{
	forgive(run, false);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void take_validator(struct file *version, const struct report *r)
{
	if (r->size != SIZE_UNKNOWN)
		version->size = r->size;
	if (r->mtime != INT64_MIN)
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
	sched_served(run->core->sched, run->serial, bytes);
	if (state == JOB_QUEUED || state == JOB_CONNECTING)
		run_apply(run, EV_BYTES);
	else if (run_job(run)->trouble_since && run_edit(run))
		run->draft->trouble_since = 0;
}

static void report_begun(struct run *run, struct transfer *t, const struct report *r)
{
	const struct file *now = file_draft(run_job(run)->files, t->file);
	struct file version;

	if (!now || now->generation != t->generation || file_copy(now, &version) < 0)
		return;
	take_validator(&version, r);
	if (run_set_file(run, t->file, &version) < 0)
		file_release(&version);
}

static void report_progress(struct run *run, struct transfer *t, struct report *r)
{
	struct live live = {.have = r->have, .size = r->size, .rate = r->rate, .generation = t->generation};
	struct core *c = run->core;

	core_read_lock(c);
	files_set_live(run_job(run)->files, t->file, &live);
	core_read_unlock(c);
	if (!run->synced_at)
		run->synced_at = c->moment.now;
	waiters_wake(run);
	order_sync(run, false);
}

static struct fault *fault_of(struct run *run, const struct report *r)
{
	cleanup_free char *text = NULL;

	outcome_sentence(r->outcome, r->http_status, r->text, &text);
	return fault_new(r->outcome, r->http_status, r->err, text, run->core->moment.wall_ms / 1000);
}

/* Another version on the server, or content that is proven wrong: bytes of two versions never meet in
 * one blob (invariant 7), so a new blob begins. */
static void start_over(struct run *run, uint32_t file, struct file *version)
{
	run_gone(run, file, version->generation); /* without memory: swept at the next start */
	version->generation++;
	version->size = SIZE_UNKNOWN;
	version->mtime = INT64_MIN;
	version->synced = false;
	version->unverified = false;
	free(take_ptr(version->validator));
	extents_release(&version->have);
}

static uint32_t next_random(struct core *c)
{
	c->random = c->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return c->random >> 32;
}

#define DISK_RETRY_S 15 /* a full disk is looked at often: space comes back by a person's hand */

static void fail_softly(struct run *run, uint32_t file, struct file *version, const struct report *r)
{
	uint32_t most = run_job(run)->props.retry_delay;

	if (r->outcome == OUTCOME_DISK_FULL && most > DISK_RETRY_S)
		most = DISK_RETRY_S;
	if (version->tries < UINT16_MAX)
		version->tries++;
	version->state = FILE_WAITING;
	fault_free(version->fault);
	version->fault = fault_of(run, r);
	retry_later(run, file, retry_delay(version->tries, most, r->retry_after_s, next_random(run->core)));
}

static void fail_hard(struct run *run, struct file *version, const struct report *r)
{
	version->state = FILE_FAILED;
	fault_free(version->fault);
	version->fault = fault_of(run, r);
	run->save = true;
}

static void finish_file(struct run *run, uint32_t file, struct file *version, struct report *r)
{
	const struct source *source = file_source(run_job(run)->files, file);

	version->unverified = r->unverified && !(source->extra && source->extra->digest_kind);
	version->tries = 0;
	fault_free(take_ptr(version->fault));
	if (source->extra && source->extra->digest_kind) {
		version->state = FILE_VERIFYING;
		order_verify(run, file, version->size, take_ptr(r->digest));
		return;
	}
	version->state = FILE_TRANSFERRED;
	run->core->service.files_transferred++;
	version->synced = false;
	order_unsynced(run, file);
}

#define CHANGES_IN_A_ROW 3 /* a file that changes each time it is asked for is treated as trouble */

static void apply_outcome(struct run *run, uint32_t file, struct file *version, struct report *r)
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
		start_over(run, file, version);
		run->save = true;
		if (++version->tries > CHANGES_IN_A_ROW) {
			fail_softly(run, file, version, r);
			return;
		}
		version->state = FILE_QUEUED;
		run_ready(run, file);
		return;
	case CLASS_TRANSIENT:
	case CLASS_DISK:
	case CLASS_WINDOW:
	case CLASS_NETWORK:
		fail_softly(run, file, version, r);
		return;
	case CLASS_FATAL:
	case CLASS_BY_STATUS:
		fail_hard(run, version, r);
		return;
	}
}

static void note_failure(struct run *run, const struct report *r)
{
	if (r->outcome == OUTCOME_DONE || r->outcome == OUTCOME_STOPPED)
		return;
	run->core->service.errors[r->outcome]++;
	core_log_event(run, "trouble", "code=%s http_status=%d url=%s", outcome_word(r->outcome), r->http_status,
		r->url ? r->url : "-");
}

static void report_ended(struct run *run, struct transfer *t, struct report *r)
{
	const struct job *job = run_job(run);
	const struct file *now = job ? file_draft(job->files, t->file) : NULL;
	uint32_t file = t->file, generation = t->generation;
	struct file version;

	transfer_release(t);
	run->unsettled = true;
	if (!job || run->ended) {
		run_finish(run);
		return;
	}
	if (!now)
		order_drop_blob(run, file, generation); /* removed meanwhile */
	if (!now || now->generation != generation || file_copy(now, &version) < 0)
		return;
	note_failure(run, r);
	take_validator(&version, r);
	take_have(&version, r);
	apply_outcome(run, file, &version, r);
	if (run_set_file(run, file, &version) < 0)
		file_release(&version);
}

void fetch_report(struct core *c, struct report *r)
{
	struct transfer *t = transfer_by_id(c, r->id);
	struct run *run;

	if (!t)
		return;
	run = run_get(c, t->run->serial);
	if (run_job(run) && !run->ended)
		bytes_came(run, r->bytes_moved);
	if (r->mail.kind == REPORT_ENDED)
		report_ended(run, t, r);
	else if (!run_job(run) || run->ended)
		return;
	else if (r->mail.kind == REPORT_BEGUN)
		report_begun(run, t, r);
	else
		report_progress(run, t, r);
}
