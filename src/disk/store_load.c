/* Rows of the queue's database: reading it all, once, at the start.
 *
 * One pass over each table: files are ordered by job, so each job takes its own from one cursor and
 * loading is linear. A row that cannot be understood is damage (-EBADMSG) like a page that cannot be
 * read.
 */
#include "disk/store_impl.h"

#include "base/io.h"
#include "base/log.h"
#include "model/files.h"
#include "model/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a parser refuses was not written by us. */
static int as_damage(int r)
{
	return r < 0 && r != -ENOMEM ? -EBADMSG : r;
}

static int copy_text(sqlite3_stmt *st, int column, char **ret)
{
	const char *text = sql_text(st, column);
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

static int load_creds(sqlite3_stmt *st, int column, struct creds **ret)
{
	const char *text = sql_text(st, column);

	return text ? as_damage(creds_parse(text, ret)) : 0;
}

/* "CODE HTTP_STATUS ERRNO SINCE SENTENCE", as store_put.c writes it. */
static int load_fault(sqlite3_stmt *st, int column, struct fault **ret)
{
	const char *text = sql_text(st, column);
	int http_status, err, sentence = -1;
	enum outcome outcome;
	char word[32];
	intmax_t since;

	if (!text)
		return 0;
	if (sscanf(text, "%31s %d %d %jd%n", word, &http_status, &err, &since, &sentence) != 4 ||
	    text[sentence] != ' ' || outcome_from_word(word, &outcome) < 0)
		return -EBADMSG;
	struct fault *f = fault_new(outcome, http_status, err, text + sentence + 1, since);
	if (!f)
		return -ENOMEM;
	*ret = f;
	return 0;
}

/* --- files ------------------------------------------------------------------------------------- */

static int load_version(sqlite3_stmt *st, struct file *v)
{
	const char *have = sql_text(st, 13);
	enum file_state state;

	if (file_state_from_word(sql_text(st, 6), &state) < 0)
		return -EBADMSG;
	*v = (struct file){
		.state = state,
		.synced = sqlite3_column_int(st, 7),
		.unverified = sqlite3_column_int(st, 8),
		.tries = (uint16_t)sqlite3_column_int(st, 9),
		.generation = (uint32_t)sql_u64(st, 10),
		.size = sql_u64(st, 11),
		.mtime = sqlite3_column_int64(st, 12),
		.dev = sql_u64(st, 16),
		.ino = sql_u64(st, 17),
	};
	int r = have ? as_damage(extents_parse(have, &v->have)) : 0;
	if (r == 0)
		r = copy_text(st, 14, &v->validator);
	if (r == 0)
		r = load_fault(st, 15, &v->fault);
	return r;
}

static int load_source(sqlite3_stmt *st, struct source *source)
{
	const char *extra = sql_text(st, 5);
	int r = copy_text(st, 4, &source->url);

	if (r == 0 && extra)
		r = as_damage(addline_parse_extra(extra, source));
	return r;
}

static int load_node(sqlite3_stmt *st, struct job *job)
{
	bool is_dir = sqlite3_column_type(st, 4) == SQLITE_NULL;
	bool begun = sqlite3_column_type(st, 6) != SQLITE_NULL;
	struct source source = { .url = NULL };
	struct file version = { .size = SIZE_UNKNOWN };
	struct node node = {
		.id = (uint32_t)sql_u64(st, 1),
		.parent = (uint32_t)sql_u64(st, 2),
		.is_dir = is_dir,
		.name = sql_text(st, 3),
	};
	int r = is_dir ? 0 : load_source(st, &source);

	if (r == 0 && begun)
		r = load_version(st, &version);
	if (r == 0)
		r = as_damage(files_restore(job->files, job, &node, is_dir ? NULL : &source, begun ? &version : NULL));
	if (r < 0) {
		source_release(&source);
		file_release(&version);
	}
	return r;
}

/* The nodes of JOB; *MORE: the cursor stands at a row that is not used yet. */
static int load_files(sqlite3_stmt *st, struct job *job, bool *more)
{
	while (*more && sql_u64(st, 0) <= job->serial) {
		/* Rows of a job that is not there cannot be: both go in one transaction. */
		int r = sql_u64(st, 0) == job->serial ? load_node(st, job) : -EBADMSG;

		if (r == 0)
			r = sql_step(st);
		if (r < 0)
			return r;
		*more = r == 1;
	}
	return 0;
}

/* --- jobs -------------------------------------------------------------------------------------- */

static int load_header(sqlite3_stmt *st, struct job *job)
{
	job->uid = (uid_t)sql_u64(st, 3);
	job->gid = (gid_t)sql_u64(st, 4);
	job->mode = (mode_t)sqlite3_column_int(st, 5);
	job->modified = sqlite3_column_int64(st, 9);
	job->transferred_at = sqlite3_column_int64(st, 10);
	job->last_alive = sqlite3_column_int64(st, 11);
	job->trouble_since = sqlite3_column_int64(st, 12);
	job->retry_at = sqlite3_column_int64(st, 13);
	job->active_seconds = (uint32_t)sql_u64(st, 14);
	job->error_count = (uint32_t)sql_u64(st, 15);
	job->was_transferred = sqlite3_column_int(st, 18);
	job->prepared = sqlite3_column_int(st, 20);

	const char *state = sql_text(st, 6), *props = sql_text(st, 7), *notified = sql_text(st, 19);
	if (!state || !props || !notified || job_state_from_word(state, &job->state) < 0 ||
	    job_state_from_word(notified, &job->notified) < 0)
		return -EBADMSG;
	int r = as_damage(props_parse(props, &job->props));
	if (r == 0)
		r = load_fault(st, 16, &job->fault);
	if (r == 0)
		r = load_creds(st, 17, &job->completer);
	return r;
}

static int load_job(sqlite3_stmt *st, struct job **ret)
{
	cleanup(creds_free) struct creds *owner = NULL;
	const char *name = sql_text(st, 1);
	struct job *job;
	int r = load_creds(st, 2, &owner);

	if (r < 0)
		return r;
	if (!name || !owner)
		return -EBADMSG;
	r = job_new(sql_u64(st, 0), name, owner, sqlite3_column_int64(st, 8), &job);
	if (r < 0)
		return r;
	r = load_header(st, job);
	if (r == 0 && !job->files)
		r = files_new(&job->files);
	if (r < 0) {
		files_free(job->files);
		job_free(job);
		return r;
	}
	*ret = job;
	return 0;
}

static int load_jobs(struct store *s, struct queue *q)
{
	sqlite3_stmt *jobs = s->st[ST_LOAD_JOBS], *files = s->st[ST_LOAD_FILES];
	int r = sql_step(files);
	bool more = r == 1;

	while (r >= 0 && (r = sql_step(jobs)) == 1) {
		struct job *job;

		r = load_job(jobs, &job);
		if (r < 0)
			break;
		r = load_files(files, job, &more);
		if (r == 0)
			r = queue_reserve(q);
		if (r < 0) {
			files_free(job->files);
			job_free(job);
			break;
		}
		queue_publish(q, job);
	}
	if (r == 0 && more)
		r = -EBADMSG; /* files above the last job */
	sqlite3_reset(jobs);
	sqlite3_reset(files);
	return r;
}

/* --- results ----------------------------------------------------------------------------------- */

static int load_result(sqlite3_stmt *st, struct queue *q)
{
	struct result *result = calloc(1, sizeof(*result));
	const char *state = sql_text(st, 5);

	if (!result)
		return -ENOMEM;
	*result = (struct result){
		.serial = sql_u64(st, 0),
		.uid = (uid_t)sql_u64(st, 2),
		.gid = (gid_t)sql_u64(st, 3),
		.mode = (mode_t)sqlite3_column_int(st, 4),
		.partial = sqlite3_column_int(st, 6),
		.files_saved = (uint32_t)sql_u64(st, 7),
		.files_dropped = (uint32_t)sql_u64(st, 8),
		.leftovers = (uint32_t)sql_u64(st, 9),
		.bytes = sql_u64(st, 10),
		.created = sqlite3_column_int64(st, 11),
		.ended = sqlite3_column_int64(st, 12),
		.ended_by = (uid_t)sql_u64(st, 13),
	};
	int r = state && job_state_from_word(state, &result->state) == 0 ? 0 : -EBADMSG;
	if (r == 0)
		r = copy_text(st, 1, &result->name);
	if (r == 0)
		r = copy_text(st, 14, &result->reason);
	if (r == 0)
		r = history_add(queue_history(q), result);
	if (r < 0)
		result_free(result);
	return r;
}

static int load_results(struct store *s, int64_t since, struct queue *q)
{
	sqlite3_stmt *st = s->st[ST_LOAD_RESULTS];
	int r = sql_bind_int(st, 1, since);

	while (r == 0 && (r = sql_step(st)) == 1)
		r = load_result(st, q);
	sqlite3_reset(st);
	return r;
}

/* --- all --------------------------------------------------------------------------------------- */

static void empty_queue(struct queue *q)
{
	const struct job *j;

	while ((j = queue_next(q, 0))) {
		struct job *job = queue_remove(q, j->serial);

		files_free(job->files);
		job_free(job);
	}
	history_prune(queue_history(q), INT64_MAX);
}

static int load(struct store *s, int64_t keep_results_since, struct queue *q, uint64_t *ret_next_serial)
{
	cleanup_free char *boot = NULL;
	uint64_t next_serial = 1;
	int r = io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot);

	if (r == 0)
		r = store_check_boot(s, boot);
	if (r == 0)
		r = load_jobs(s, q);
	if (r == 0)
		r = load_results(s, keep_results_since, q);
	if (r == 0)
		r = store_next_serial(s, &next_serial);
	if (r < 0) {
		empty_queue(q);
		return r;
	}
	*ret_next_serial = next_serial;
	return 0;
}

int store_load(struct store *s, int64_t keep_results_since, struct queue *q, uint64_t *ret_next_serial)
{
	int r = load(s, keep_results_since, q, ret_next_serial);

	if (r != -EBADMSG)
		return r;
	r = store_set_aside(s);
	return r < 0 ? r : load(s, keep_results_since, q, ret_next_serial);
}
