/* The rows of .xferfs, and what an ended job leaves. */
#include "fs/ctl.h"

#include "base/parse.h"
#include "build-config.h"

#include <errno.h>
#include <string.h>

#define PART 512 /* lines rendered in one go under the read lock */

static int store_network(const struct ctl_input *in, struct command *ret, char **ret_reason)
{
	for (unsigned i = 0; i < NETWORK_MAX; i++) {
		if (strcmp(in->text, network_words[i]) == 0) {
			*ret = (struct command) { .kind = CMD_NETWORK, .network = i };
			return 0;
		}
	}
	return ctl_reason(ret_reason, -EINVAL, "takes unrestricted, metered or offline");
}

static const char *priority_word(const struct job *j)
{
	const struct prop_rule *p = prop_find("priority");

	return p->words[j->props.priority];
}

static void put_job_line(struct buf *out, const struct job *j)
{
	struct figures f = ctl_figures(j);
	char total[24] = "-", percent[8] = "-", files[32];

	if (f.total != SIZE_UNKNOWN) {
		snprintf(total, sizeof(total), "%llu", (unsigned long long)f.total);
		snprintf(percent, sizeof(percent), "%u", f.percent);
	}
	snprintf(files, sizeof(files), "%u/%u", f.done, f.files);
	buf_printf(out, "%7llu %-15s %-10s %15llu %15s %7s %11s %6u %s\n", (unsigned long long)j->serial,
		job_state_word(j->state), priority_word(j), (unsigned long long)f.bytes, total, percent,
		files, j->uid, j->name);
}

static void show_index(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct job *j = NULL;

	if (view->cursor == 0)
		buf_printf(out, "#%6s %-15s %-10s %15s %15s %7s %11s %6s %s\n", "id", "state", "priority",
			"bytes", "total", "percent", "files", "owner", "name");
	for (unsigned n = 0; n < PART && (j = queue_next(view->queue, view->cursor)); n++) {
		view->cursor = j->serial;
		if (job_access(j, view->reader, view->daemon_uid) & 4)
			put_job_line(out, j);
	}
	view->more = j != NULL;
}

static const char *result_word(const struct result *r)
{
	if (r->state != JOB_ACKNOWLEDGED)
		return "-";
	return r->partial ? "partial" : "all";
}

static void show_history(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct result *const *v;
	size_t n = history_all(queue_history(view->queue), &v), end = view->cursor + PART;

	if (view->cursor == 0)
		buf_printf(out, "#%6s %-12s %-7s %9s %15s %6s %-20s %s\n", "id", "state", "result", "files",
			"bytes", "owner", "ended", "name");
	for (; view->cursor < n && view->cursor < end; view->cursor++) {
		const struct result *r = v[view->cursor];
		char ended[MOMENT_LEN];

		if (!ctl_may_read_result(r, view->reader, view->daemon_uid))
			continue;
		format_moment(r->ended, ended);
		buf_printf(out, "%7llu %-12s %-7s %9u %15llu %6u %-20s %s\n", (unsigned long long)r->serial,
			job_state_word(r->state), result_word(r), r->files_saved,
			(unsigned long long)r->bytes, r->uid, ended, r->name);
	}
	view->more = view->cursor < n;
}

static void show_config(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	config_print(view->config, out);
}

static void show_network(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	buf_printf(out, "%s\n", network_words[queue_service(view->queue)->network]);
}

static void show_version(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	buf_adds(out, XFERFS_VERSION "\n");
}

/* Of a job's row, and of the service's. */
void ctl_show_refused(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const char *text = queue_refused(view->queue, view->job ? view->job->serial : 0);

	if (text)
		buf_printf(out, "%s\n", text);
}

static void show_ended(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct result *r = view->result;

	ctl_put_number(out, "id", r->serial);
	ctl_put_number(out, "owner", r->uid);
	ctl_put_text(out, "state", job_state_word(r->state));
	ctl_put_text(out, "result", result_word(r));
	ctl_put_number(out, "files_saved", r->files_saved);
	ctl_put_number(out, "files_dropped", r->files_dropped);
	ctl_put_number(out, "leftovers", r->leftovers);
	ctl_put_number(out, "bytes", r->bytes);
	ctl_put_moment(out, "created", r->created);
	ctl_put_moment(out, "ended", r->ended);
	ctl_put_number(out, "ended_by", r->ended_by);
	ctl_put_text(out, "reason", r->reason);
}

const struct ctl ctl_ended = { "ended", 0444, CTL_TEXT, .show = show_ended };

/* The directory `ended` is among them in the tree, but is no row. */
const struct ctl service_ctls[] = {
	{ "index",   0444, CTL_TEXT, .show = show_index },
	{ "log",     0444, CTL_LOG },
	{ "history", 0444, CTL_TEXT, .show = show_history },
	{ "stats",   0444, CTL_TEXT, .show = ctl_show_stats },
	{ "config",  0444, CTL_TEXT, .show = show_config },
	{ "network", 0644, CTL_TEXT, .show = show_network, .store = store_network },
	{ "version", 0444, CTL_TEXT, .show = show_version },
	{ "refused", 0444, CTL_TEXT, .show = ctl_show_refused },
};
const size_t service_ctl_count = ARRAY_SIZE(service_ctls);
