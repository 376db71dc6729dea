/* The `notify` command: run when a job becomes transferred or error, and again until it exits 0 or the
 * job ends (BITS SetNotifyCmdLine). At least once: job->notified is saved, but a crash between the
 * command's end and that save runs it again.
 */
#include "core/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool wanted(const struct job *job)
{
	return (job->state == JOB_TRANSFERRED || job->state == JOB_ERROR) && job->props.notify &&
	       job->notified != job->state;
}

static int describe(const struct run *run, const struct job *job, struct errand *e)
{
	const struct core_options *o = &run->core->options;
	int r = errand_setenv(e, "XFERFS_JOB", job->name);

	r = r < 0 ? r : errand_setenv(e, "XFERFS_STATE", job_state_word(job->state));
	r = r < 0 ? r : errand_setenv(e, "XFERFS_MOUNTPOINT", o->mountpoint);
	r = r < 0 ? r : errand_setenv(e, "XFERFS_DESTINATION", o->destination);
	return r < 0 ? r : errand_setenv(e, "XFERFS_DESCRIPTION", job->props.description ? job->props.description : "");
}

void errand_run(struct run *run)
{
	struct core *c = run->core;
	const struct job *job = run_job(run);
	struct errand *e;

	if (run->on_errand || c->stopped || !c->ports.errand)
		return;
	if (run->errand_at && (!wanted(job) || job->state != run->errand_state))
		run->errand_at = 0; /* it was put off for another state */
	if (!wanted(job) || c->moment.now < run->errand_at)
		return;
	e = errand_new(run->serial);
	if (!e)
		return;
	e->creds = creds_copy(job->owner);
	e->command = strdup(job->props.notify);
	if (!e->creds || !e->command || describe(run, job, e) < 0) {
		errand_free(e);
		return;
	}
	run->on_errand = true;
	run->errand_at = 0;
	run->errand_state = job->state;
	c->ports.errand(c->ports.runner, e);
}

void errand_done(struct core *c, struct errand *e)
{
	struct run *run = run_find(c, e->serial) ? run_get(c, e->serial) : NULL;
	const struct job *job = run ? run_job(run) : NULL;

	if (!run)
		return;
	run->on_errand = false;
	if (!job || run->ended || job->state != run->errand_state)
		return; /* perhaps another one is wanted: run_advance */
	core_log_event(run, "notify", "status=%d", e->status); /* who may not read the daemon's log, too, learns of it */
	if (e->status == 0) {
		if (run_edit(run)) {
			run->draft->notified = job->state;
			run->save = true;
		}
		return;
	}
	log_warning("job %s (%llu): the notify command ended with %d; again in %u s", job->name,
		(unsigned long long)e->serial, e->status, job->props.retry_delay);
	run->errand_at = c->moment.now + job->props.retry_delay * NSEC_PER_SEC;
}
