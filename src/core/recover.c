/* From the store to a queue that can run. Before mounting, single-threaded: nobody can observe a
 * half-recovered queue.
 */
#include "core/state.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- what is left of the blobs ---------------------------------------------------------------- */

/* Whether the blob is as long as `have` says. Not knowing is no reason to fetch again. */
static bool blob_is_there(const struct core *c, uint64_t serial, uint32_t file, const struct file *f)
{
	char path[BLOB_PATH_LEN];
	struct stat st;

	blob_path(serial, file, f->generation, path);
	if (fstatat(blobs_dirfd(c->options.blobs), path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno != ENOENT;
	return (uint64_t)st.st_size >= f->have.v[f->have.n - 1].end;
}

static int fetch_again(struct run *run, uint32_t file, const struct file *now)
{
	struct file version;
	int r = file_copy(now, &version);

	if (r < 0)
		return r;
	report_start_over(run, file, &version);
	version.state = FILE_QUEUED;
	r = run_set_file(run, file, &version);
	file_release(&version);
	return r;
}

/* Someone has tidied up in the staging area, or a file system check has: what is gone is fetched again.
 * Where bytes should be, zeros would be placed. (Of a job that is being placed blobs may be gone.) */
static int check_blobs(struct core *c, const struct job *job)
{
	struct run *run = NULL;
	unsigned lost = 0;
	int r = 0;

	if (!job->tally.bytes || job->state == JOB_COMPLETING)
		return 0;
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE && r >= 0;
	     id = files_next_file(job->files, id)) {
		const struct file *f = file_now(job->files, id);

		if (!f->have.n || f->state == FILE_COMPLETED || blob_is_there(c, job->serial, id, f))
			continue;
		run = run_get(c, job->serial);
		r = run ? fetch_again(run, id, f) : -ENOMEM;
		lost++;
	}
	if (!lost || r < 0)
		return r;
	log_error("job %s (%llu): the data of %u files is gone from the staging area; it is fetched again", job->name,
		(unsigned long long)job->serial, lost);
	return job->state == JOB_TRANSFERRED ? run_apply(run, EV_ADD) : 0;
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* EV_RESTART is a column of the rule table, not a second program. */
static int restart_job(struct core *c, const struct job *job)
{
	struct run *run;
	struct rule rule;
	int r = job_rule(job->state, EV_RESTART, &rule);
	bool rests = r >= 0 && rule.next == job->state && !rule.fx && !job_state_active(rule.next);

	timer_watch(c, job);
	/* Of one that rests the notify command may be owed, or a sync. */
	if (r < 0 || (rests && !job->tally.unsynced && (!job->props.notify || job->notified == job->state)))
		return r;
	run = run_get(c, job->serial);
	if (!run)
		return -ENOMEM;
	run->place_again = job->state == JOB_COMPLETING;
	if (job->tally.unsynced)
		order_all_unsynced(run, job);
	if (rests)
		return 0;
	r = run_apply(run, EV_RESTART);
	if (r >= 0 && job_state_active(rule.next))
		retry_forgive_waiting(run); /* their deadlines went with the process */
	return r;
}

static int recover_job(struct core *c, uint64_t serial)
{
	const struct job *job = queue_find(c->queue, serial);
	int r = check_blobs(c, job);

	if (r < 0)
		return r;
	return restart_job(c, run_find(c, serial) ? run_job(run_find(c, serial)) : job);
}

/* --- the staging area ------------------------------------------------------------------------- */

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

/* The limit may be lower than it was, and of the last that were to go some may be there. */
static void recover_history(struct core *c)
{
	const struct history *history = queue_history(c->queue);

	for (size_t i = history_users(history); i-- > 0;)
		core_shorten_history(c, history_user(history, i));
}

int core_recover(struct core *c)
{
	const struct job *job;
	uint64_t serial = 0;

	recover_network(c);
	recover_history(c);
	while ((job = queue_next(c->queue, serial))) {
		int r;

		serial = job->serial;
		users_learn(c->users, job->uid);
		r = recover_job(c, serial);
		if (r < 0)
			return r;
	}
	sweep(c);
	return 0;
}
