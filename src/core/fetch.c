/* Starting transfers, as the scheduler says. */
#include "core/state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- starting --------------------------------------------------------------------------------- */

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
	o->home = users_home(run->core->users, job->uid);
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

/* Drafts the file as TRANSFERRING. */
static int draft_start(struct run *run, uint32_t file, const struct file *now)
{
	struct file version;

	if (file_copy(now, &version) < 0)
		return -ENOMEM;
	version.state = FILE_TRANSFERRING;
	if (run_set_file(run, file, &version) == 0)
		return 0;
	file_release(&version);
	return -ENOMEM;
}

static int start_file(struct run *run, uint32_t file)
{
	const struct job *job = run_job(run);
	const struct file *now = file_draft(job->files, file);
	struct fetch *f = make_fetch(run, job, file, now);
	struct transfer *t = f ? slot_take(run, file, now) : NULL;
	struct core *c = run->core;

	if (!t) {
		fetch_free(f);
		return -ENOMEM;
	}
	f->id = t->id;
	if (draft_start(run, file, now) < 0) {
		fetch_free(f);
		slot_release(t);
		return 0; /* its slot is given back */
	}
	if (run_job(run)->state == JOB_QUEUED)
		run_apply(run, EV_START);
	f->mail.next = c->fetches ? &c->fetches->mail : NULL;
	c->fetches = f;
	return 0;
}

/* A file that has gone or has changed its state since it was queued is passed over. */
static void start(struct core *c, uint64_t serial, uint32_t file)
{
	struct run *run = run_get(c, serial);
	const struct job *job = run ? run_job(run) : NULL;
	const struct file *now = job ? file_draft(job->files, file) : NULL;

	if (run)
		run->unsettled = true;
	if (!now || now->state != FILE_QUEUED || slot_find(run, file) || start_file(run, file) < 0)
		sched_ended(c->sched, serial);
}

static void send(struct core *c, struct fetch *f)
{
	struct transfer *t = slot_by_id(c, f->id);

	c->ports.fetch(c->ports.engine, f);
	t->sent = true;
	if (t->ceasing)
		c->ports.cease(c->ports.engine, t->id);
	slot_want(t);
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
		send(c, f);
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
		slot_cease(t);
}

/* A job of which nothing runs any more though it could: others have its slots. */
static void yield(struct core *c)
{
	for (struct run *run = c->touched; run; run = run->next_touched) {
		const struct job *job = run->joined && !run->transfers ? run_job(run) : NULL;

		if (job && (job->state == JOB_CONNECTING || job->state == JOB_TRANSFERRING) &&
		    run->obstacle == OUTCOME_DONE && sched_waiting(c->sched, run->serial))
			run_apply(run, EV_YIELD);
	}
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
	yield(c);
	if (core_commit(c, false) == 0)
		send_fetches(c);
}
