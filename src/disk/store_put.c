/* Rows of the queue's database: writing. */
#include "disk/store_impl.h"

#include "model/files.h"
#include "model/retry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Parameters are bound in the order of the columns; the first error is kept. */
struct row {
	sqlite3_stmt *st;
	int at, err;
};

static void put_text(struct row *row, const char *text)
{
	if (row->err == 0)
		row->err = sql_bind_text(row->st, ++row->at, text);
}

static void put_int(struct row *row, int64_t value)
{
	if (row->err == 0)
		row->err = sql_bind_int(row->st, ++row->at, value);
}

static void put_u64(struct row *row, uint64_t value)
{
	put_int(row, (int64_t)value);
}

static void put_null(struct row *row)
{
	if (row->err == 0)
		row->err = sql_bind_null(row->st, ++row->at);
}

static int run(struct row *row)
{
	return row->err < 0 ? row->err : sql_run(row->st);
}

/* "CODE HTTP_STATUS ERRNO SINCE SENTENCE"; *RET NULL: no fault. */
static int format_fault(const struct fault *f, char **ret)
{
	char *text = NULL;

	if (f && asprintf(&text, "%s %d %d %jd %s", outcome_word(f->outcome), f->http_status, f->err,
			(intmax_t)f->since, f->text ? f->text : "") < 0)
		return -ENOMEM;
	*ret = text;
	return 0;
}

/* --- jobs -------------------------------------------------------------------------------------- */

int store_put_job(struct store *s, const struct job *draft)
{
	cleanup_free char *owner = NULL, *completer = NULL, *props = NULL, *fault = NULL;
	struct row row = { .st = s->st[ST_PUT_JOB] };
	int r = creds_format(draft->owner, &owner);

	if (r == 0 && draft->completer)
		r = creds_format(draft->completer, &completer);
	if (r == 0)
		r = props_format(&draft->props, &props);
	if (r == 0)
		r = format_fault(draft->fault, &fault);
	if (r < 0)
		return r;
	put_u64(&row, draft->serial);
	put_text(&row, draft->name);
	put_text(&row, owner);
	put_int(&row, draft->uid);
	put_int(&row, draft->gid);
	put_int(&row, draft->mode);
	put_text(&row, job_state_word(draft->state));
	put_text(&row, props);
	put_int(&row, draft->created);
	put_int(&row, draft->modified);
	put_int(&row, draft->transferred_at);
	put_int(&row, draft->last_alive);
	put_int(&row, draft->trouble_since);
	put_int(&row, draft->retry_at);
	put_int(&row, draft->active_seconds);
	put_int(&row, draft->error_count);
	put_text(&row, fault);
	put_text(&row, completer);
	put_int(&row, draft->was_transferred);
	put_text(&row, job_state_word(draft->notified));
	put_int(&row, draft->prepared);
	return run(&row);
}

int store_drop_job(struct store *s, uint64_t serial)
{
	struct row files = { .st = s->st[ST_DROP_JOB_FILES] };
	struct row job = { .st = s->st[ST_DROP_JOB] };

	put_u64(&files, serial);
	put_u64(&job, serial);
	int r = run(&files);
	return r < 0 ? r : run(&job);
}

/* --- files ------------------------------------------------------------------------------------- */

static bool has_begun(const struct file *v)
{
	return v->state != FILE_QUEUED || v->synced || v->unverified || v->tries || v->generation ||
		v->size != SIZE_UNKNOWN || v->mtime != MTIME_UNKNOWN || v->have.n || v->validator || v->fault ||
		v->dev || v->ino;
}

/* What belongs to running is not saved: after a restart the file waits for its turn again. */
static enum file_state saved_state(enum file_state state)
{
	return state == FILE_TRANSFERRING || state == FILE_VERIFYING ? FILE_QUEUED : state;
}

static int put_version(struct row *row, const struct file *v)
{
	cleanup_free char *have = NULL, *fault = NULL;
	int r = v->have.n ? extents_format(&v->have, &have) : 0;

	if (r == 0)
		r = format_fault(v->fault, &fault);
	if (r < 0)
		return r;
	put_text(row, file_state_word(saved_state(v->state)));
	put_int(row, v->synced);
	put_int(row, v->unverified);
	put_int(row, v->tries);
	put_int(row, v->generation);
	put_u64(row, v->size);
	put_int(row, v->mtime);
	put_text(row, have);
	put_text(row, v->validator);
	put_text(row, fault);
	put_u64(row, v->dev);
	put_u64(row, v->ino);
	return run(row); /* before its texts are freed */
}

static int put_empty_version(struct row *row)
{
	for (int i = 0; i < 12; i++)
		put_null(row);
	return run(row);
}

/* *RET: what the file's source is to be, its own or what was made of it in *STRIPPED. */
static int draft_source(const struct files *files, uint32_t id, struct source *stripped, const struct source **ret)
{
	const struct source *source = file_source(files, id);
	bool strip = files_draft_drops_login(files, id);
	int r = strip ? source_without_login(source, stripped) : 0;

	if (r == 0)
		*ret = strip ? stripped : source;
	return r;
}

static int put_node(struct store *s, uint64_t serial, const struct files *files, uint32_t id)
{
	cleanup_free char *extra = NULL;
	cleanup_source struct source stripped = { .url = NULL };
	struct row row = { .st = s->st[ST_PUT_FILE] };
	const struct source *source = NULL;
	const struct file *version = NULL;
	struct node node;

	if (!files_draft_node(files, id, &node))
		return -EINVAL;
	if (!node.is_dir) {
		version = file_draft(files, id);
		int r = draft_source(files, id, &stripped, &source);
		if (r == 0 && source->extra)
			r = addline_format_extra(source, &extra);
		if (r < 0)
			return r;
	}
	put_u64(&row, serial);
	put_int(&row, id);
	put_int(&row, node.parent);
	put_text(&row, node.name);
	put_text(&row, source ? source->url : NULL);
	put_text(&row, extra);
	return version && has_begun(version) ? put_version(&row, version) : put_empty_version(&row);
}

static int drop_node(struct store *s, uint64_t serial, uint32_t id)
{
	struct row row = { .st = s->st[ST_DROP_FILE] };

	put_u64(&row, serial);
	put_int(&row, id);
	return run(&row);
}

int store_put_drafts(struct store *s, const struct job *draft)
{
	const struct files *files = draft->files;
	int r = 0;

	for (uint32_t id = files_next_draft(files, NODE_ROOT); id != NODE_NONE && r == 0;
	     id = files_next_draft(files, id))
		r = files_draft_is_gone(files, id) ? drop_node(s, draft->serial, id) :
			put_node(s, draft->serial, files, id);
	return r;
}

/* --- results ----------------------------------------------------------------------------------- */

int store_put_result(struct store *s, const struct result *result)
{
	struct row row = { .st = s->st[ST_PUT_RESULT] };

	put_u64(&row, result->serial);
	put_text(&row, result->name);
	put_int(&row, result->uid);
	put_int(&row, result->gid);
	put_int(&row, result->mode);
	put_text(&row, job_state_word(result->state));
	put_int(&row, result->partial);
	put_int(&row, result->files_saved);
	put_int(&row, result->files_dropped);
	put_int(&row, result->leftovers);
	put_u64(&row, result->bytes);
	put_int(&row, result->created);
	put_int(&row, result->ended);
	put_int(&row, result->ended_by);
	put_text(&row, result->reason);
	return run(&row);
}

int store_drop_result(struct store *s, uint64_t serial)
{
	struct row row = { .st = s->st[ST_DROP_RESULT] };

	put_u64(&row, serial);
	return run(&row);
}

int store_prune_results(struct store *s, int64_t before_wall)
{
	struct row row = { .st = s->st[ST_PRUNE_RESULTS] };

	put_int(&row, before_wall);
	return run(&row);
}
