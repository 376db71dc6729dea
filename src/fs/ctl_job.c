/* The rows of a job's directory. */
#include "fs/ctl.h"

#include "base/parse.h"
#include "model/retry.h"
#include "model/url.h"

#include <errno.h>
#include <string.h>

#define PART 512 /* lines rendered in one go under the read lock */

/* --- store ------------------------------------------------------------------------------------ */

static int store_verb(const struct ctl_input *in, enum job_event verb, struct command *ret, char **ret_reason)
{
	if (strcmp(in->text, "1") != 0)
		return ctl_reason(ret_reason, -EINVAL, "takes 1");
	*ret = (struct command) { .kind = CMD_VERB, .verb = verb };
	return 0;
}

static int store_resume(const struct ctl_input *in, struct command *ret, char **ret_reason)
{
	return store_verb(in, EV_RESUME, ret, ret_reason);
}

static int store_suspend(const struct ctl_input *in, struct command *ret, char **ret_reason)
{
	return store_verb(in, EV_SUSPEND, ret, ret_reason);
}

static int store_cancel(const struct ctl_input *in, struct command *ret, char **ret_reason)
{
	return store_verb(in, EV_CANCEL, ret, ret_reason);
}

static int store_complete(const struct ctl_input *in, struct command *ret, char **ret_reason)
{
	bool all = strcmp(in->text, "all") == 0;

	if (!all && strcmp(in->text, "1") != 0)
		return ctl_reason(ret_reason, -EINVAL, "takes 1 or all");
	*ret = (struct command) { .kind = CMD_VERB, .verb = EV_COMPLETE, .all = all };
	return 0;
}

static int store_add(const struct ctl_input *in, struct command *ret, char **ret_reason)
{
	struct additions additions = { 0 };
	int r = addline_parse(in->text, in->len, in->rules, &additions, ret_reason);

	if (r < 0)
		return r == -EOVERFLOW ? -EDQUOT : r;
	*ret = (struct command) { .kind = CMD_ADD, .additions = additions };
	return 0;
}

/* --- show ------------------------------------------------------------------------------------- */

static unsigned percent_of(uint64_t bytes, uint64_t total)
{
	return bytes >= total ? 100 : (unsigned)((double)bytes * 100 / (double)total);
}

struct file_figures ctl_file_figures(const struct job *j, uint32_t id)
{
	const struct file *file = file_now(j->files, id);
	const struct live *live = file_live(j->files, id);
	const struct source *source = file_source(j->files, id);
	struct file_figures f = { .bytes = file_got(file), .size = file->size, .percent = 101 };

	if (live && live->generation >= file->generation) {
		uint64_t got = extents_total(&live->have);

		/* Another version begins with nothing; of the same one, what is saved is there in any case. */
		f.bytes = live->generation > file->generation || got > f.bytes ? got : f.bytes;
		f.size = live->size != SIZE_UNKNOWN ? live->size : f.size;
	}
	if (f.size == SIZE_UNKNOWN && source && source->extra)
		f.size = source->extra->size;
	if (f.size != SIZE_UNKNOWN)
		f.percent = percent_of(f.bytes, f.size);
	return f;
}

struct figures ctl_figures(const struct job *j)
{
	const struct tally *t = &j->tally;
	struct figures f = {
		.bytes = t->bytes + files_live_bytes(j->files),
		.total = t->unknown ? SIZE_UNKNOWN : t->total,
		.rate = files_live_rate(j->files),
		.seconds_left = SIZE_UNKNOWN,
		.percent = 101,
		.files = t->files,
		.done = t->transferred,
	};

	if (f.total == SIZE_UNKNOWN)
		return f;
	f.percent = f.total > 0 ? percent_of(f.bytes, f.total) : f.files > 0 && f.done == f.files ? 100 : 0;
	if (f.bytes >= f.total)
		f.seconds_left = 0;
	else if (f.rate > 0)
		f.seconds_left = (f.total - f.bytes + f.rate - 1) / f.rate;
	return f;
}

static void show_state(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	buf_printf(out, "%s\n", job_state_word(view->job->state));
}

static void show_events(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct job *j = view->job;

	ctl_put_number(out, "changes", j->changes);
	ctl_put_number(out, "errors", j->error_count);
	ctl_put_number(out, "files", j->tally.files);
	ctl_put_number(out, "files_transferred", ctl_figures(j).done);
	ctl_put_number(out, "files_failed", j->tally.failed);
	ctl_put_number(out, "bytes", j->tally.bytes);
}

static void show_progress(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct job *j = view->job;
	struct figures f = ctl_figures(j);

	ctl_put_number(out, "bytes_transferred", f.bytes);
	ctl_put_size(out, "bytes_total", f.total);
	ctl_put_number(out, "files_transferred", f.done);
	ctl_put_number(out, "files_total", f.files);
	ctl_put_number(out, "files_failed", j->tally.failed);
	ctl_put_number(out, "rate", f.rate);
	ctl_put_size(out, "seconds_left", f.seconds_left);
	ctl_put_number(out, "error_count", j->error_count);
}

static void put_fault(struct buf *out, const struct job *j, const char *file, const char *url,
	const struct fault *fault, bool retried)
{
	if (out->len > 0)
		buf_addc(out, '\n');
	ctl_put_text(out, "code", outcome_word(fault->outcome));
	ctl_put_text(out, "file", file);
	ctl_put_text(out, "url", url);
	if (fault->http_status > 0)
		ctl_put_number(out, "http_status", (uint64_t)fault->http_status);
	else
		ctl_put_text(out, "http_status", NULL);
	ctl_put_text(out, "message", fault->text);
	ctl_put_moment(out, "since", fault->since);
	ctl_put_moment(out, "retry_at", retried ? j->retry_at : 0);
}

static void put_file_fault(struct buf *out, const struct job *j, uint32_t id, const struct file *file)
{
	cleanup_free char *path = NULL, *url = NULL;
	const struct source *source = file_source(j->files, id);

	if (files_path(j->files, id, &path) < 0 || (source && url_display(source->url, &url) < 0)) {
		out->failed = true;
		return;
	}
	put_fault(out, j, path, url, file->fault, file->state == FILE_WAITING);
}

static void show_error(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct job *j = view->job;
	uint32_t id = (uint32_t)view->cursor;

	if (id == NODE_ROOT && j->fault)
		put_fault(out, j, NULL, NULL, j->fault, j->state == JOB_TRANSIENT_ERROR);
	for (unsigned n = 0; (id = files_next_file(j->files, id)) != NODE_NONE;) {
		const struct file *file = file_now(j->files, id);

		if (file && file->fault)
			put_file_fault(out, j, id, file);
		if (++n == PART) {
			view->cursor = id;
			view->more = true;
			return;
		}
	}
}

static void put_index_line(struct buf *out, const struct job *j, uint32_t id, const struct file *file)
{
	struct file_figures f = ctl_file_figures(j, id);
	cleanup_free char *path = NULL;
	char total[24] = "-", percent[8] = "-";

	if (f.size != SIZE_UNKNOWN) {
		snprintf(total, sizeof(total), "%llu", (unsigned long long)f.size);
		snprintf(percent, sizeof(percent), "%u", f.percent);
	}
	if (files_path(j->files, id, &path) < 0) {
		out->failed = true;
		return;
	}
	buf_printf(out, "%8u %-12s %15llu %15s %7s %s\n", id,
		file->unverified && file->state == FILE_TRANSFERRED ? "unverified" : file_state_word(file->state),
		(unsigned long long)f.bytes, total, percent, path);
}

static void show_index(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct job *j = view->job;
	uint32_t id = (uint32_t)view->cursor;

	if (id == NODE_ROOT)
		buf_printf(out, "#%7s %-12s %15s %15s %7s %s\n", "id", "state", "bytes", "total", "percent", "name");
	for (unsigned n = 0; (id = files_next_file(j->files, id)) != NODE_NONE;) {
		const struct file *file = file_now(j->files, id);

		if (file)
			put_index_line(out, j, id, file);
		if (++n == PART) {
			view->cursor = id;
			view->more = true;
			return;
		}
	}
}

static void show_info(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct job *j = view->job;

	ctl_put_number(out, "id", j->serial);
	ctl_put_number(out, "owner", j->uid);
	ctl_put_moment(out, "created", j->created);
	ctl_put_moment(out, "modified", j->modified);
	ctl_put_moment(out, "transferred_at", j->transferred_at);
	ctl_put_moment(out, "retry_at", j->retry_at);
}

/* In readdir's order; the properties follow. */
const struct ctl job_ctls[] = {
	{ "state",    0444, CTL_TEXT, .polls = true, .show = show_state },
	{ "wait",     0444, CTL_WAIT },
	{ "follow",   0444, CTL_FOLLOW },
	{ "events",   0444, CTL_TEXT, .polls = true, .show = show_events },
	{ "log",      0444, CTL_LOG },
	{ "progress", 0444, CTL_TEXT, .show = show_progress },
	{ "error",    0444, CTL_TEXT, .show = show_error },
	{ "refused",  0444, CTL_TEXT, .show = ctl_show_refused },
	{ "index",    0444, CTL_TEXT, .show = show_index },
	{ "info",     0444, CTL_TEXT, .show = show_info },
	{ "add",      0222, CTL_NONE, .lines = true, .store = store_add },
	{ "resume",   0222, CTL_NONE, .store = store_resume },
	{ "suspend",  0222, CTL_NONE, .store = store_suspend },
	{ "complete", 0222, CTL_NONE, .store = store_complete },
	{ "cancel",   0222, CTL_NONE, .store = store_cancel },
};
const size_t job_ctl_count = ARRAY_SIZE(job_ctls);
