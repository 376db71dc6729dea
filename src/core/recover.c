/* From the store to a queue that can run. Before mounting, single-threaded: nobody can observe a
 * half-recovered queue.
 */
#include "core/state.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* EV_RESTART is a column of the rule table, not a second program. */
static int restart_job(struct core *c, uint64_t serial)
{
	const struct job *job = queue_find(c->queue, serial);
	struct run *run;
	struct rule rule;
	int r = job_rule(job->state, EV_RESTART, &rule);
	bool rests = r >= 0 && rule.next == job->state && !rule.fx && !job_state_active(rule.next);

	timer_watch(c, job);
	/* Of one that rests the notify command may be owed, or a sync. */
	if (r < 0 || (rests && !job->tally.unsynced && (!job->props.notify || job->notified == job->state)))
		return r;
	run = run_get(c, serial);
	if (!run)
		return -ENOMEM;
	if (job->tally.unsynced)
		order_all_unsynced(run, job);
	if (rests)
		return 0;
	r = run_apply(run, EV_RESTART);
	if (r >= 0 && job_state_active(rule.next))
		retry_forgive_waiting(run); /* their deadlines went with the process */
	return r;
}

static bool is_named(void *arg, uint64_t serial, uint32_t file, uint32_t generation)
{
	const struct core *c = arg;
	const struct job *job = queue_find(c->queue, serial);
	const struct file *f = job ? file_now(job->files, file) : NULL;

	return c->options.keep_blobs || (f && f->generation == generation && f->state != FILE_COMPLETED);
}

static void sweep(struct core *c)
{
	unsigned swept = 0;
	uint64_t bytes = 0;
	int r = blobs_sweep(c->options.blobs, is_named, c, &swept, &bytes);

	if (r < 0)
		log_warning("cannot sweep the staging area: %s", strerror(-r));
	else if (swept)
		log_info("%u temporary files (%llu bytes) that belong to no job were deleted", swept, (unsigned long long)bytes);
}

static void recover_network(struct core *c)
{
	cleanup_free char *word = NULL;

	if (store_get_setting(c->options.store, "network", &word) < 0)
		return;
	for (int i = 0; network_words[i]; i++)
		if (!strcmp(network_words[i], word))
			c->service.network = i;
}

int core_recover(struct core *c)
{
	const struct job *job;
	uint64_t serial = 0;

	recover_network(c);
	while ((job = queue_next(c->queue, serial))) {
		int r;

		serial = job->serial;
		r = restart_job(c, serial);
		if (r < 0)
			return r;
	}
	sweep(c);
	return 0;
}
