/* The generic layer over the rows: finding one, rendering one. The rows themselves are in ctl_job.c and
 * ctl_service.c.
 */
#include "fs/ctl.h"

#include "base/clock.h"
#include "base/parse.h"
#include "fs/fs.h"

#include <errno.h>
#include <string.h>

#define SHOWN_WRITTEN 0666

static void show_prop(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	row->prop->show(row->prop, &view->job->props, out);
	buf_addc(out, '\n');
}

static int store_prop(const struct ctl_input *in, struct command *ret, char **ret_reason)
{
	char *text = strdup(in->text);

	if (!text)
		return -ENOMEM;
	*ret = (struct command) { .kind = CMD_SET, .prop = in->row->prop, .text = text };
	return 0;
}

static struct ctl prop_row(const struct prop_rule *p)
{
	bool shown = p->mode & 0444;

	return (struct ctl) {
		.name = p->name,
		.mode = p->mode & SHOWN_WRITTEN,
		.read = shown ? CTL_TEXT : CTL_NONE,
		.show = shown ? show_prop : NULL,
		.store = store_prop,
		.continues = p->lines,
		.prop = p,
	};
}

bool ctl_row(enum place_kind kind, uint32_t index, struct ctl *ret)
{
	bool service = kind == PLACE_SERVICE_ROW;
	size_t fixed = service ? service_ctl_count : job_ctl_count;

	if (index < fixed)
		*ret = service ? service_ctls[index] : job_ctls[index];
	else if (!service && index - fixed < prop_count)
		*ret = prop_row(&prop_rules[index - fixed]);
	else
		return false;
	return true;
}

bool ctl_find(enum place_kind kind, const char *name, uint32_t *ret_index)
{
	struct ctl row;

	for (uint32_t i = 0; ctl_row(kind, i, &row); i++) {
		if (strcmp(row.name, name) == 0) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

bool ctl_may_read_result(const struct result *r, const struct creds *reader, uid_t daemon_uid)
{
	return reader->uid == daemon_uid || creds_access(reader, r->uid, r->gid, r->mode) & 4;
}

int ctl_render(struct core *core, struct place place, const struct ctl *row,
	const struct creds *reader, struct buf *out, uint64_t *ret_changes)
{
	struct ctl_view view = {
		.config = core_config(core), .reader = reader, .daemon_uid = core_daemon_uid(core),
	};
	bool found;

	do {
		view.more = false;
		view.queue = core_read_lock(core);
		view.job = place.kind == PLACE_ROW ? queue_find(view.queue, place.serial) : NULL;
		view.result = place.kind == PLACE_ENDED ? history_find(queue_history(view.queue), place.serial) : NULL;
		found = view.job || view.result || place.kind == PLACE_SERVICE_ROW;
		if (found)
			row->show(row, &view, out);
		if (view.job && ret_changes)
			*ret_changes = view.job->changes;
		core_read_unlock(core);
	} while (found && view.more);
	if (!found)
		return -ENODEV;
	return out->failed ? -ENOMEM : 0;
}

int ctl_reason(char **ret_reason, int err, const char *sentence)
{
	*ret_reason = strdup(sentence);
	return err;
}

void ctl_put_number(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(out, "%s %llu\n", key, (unsigned long long)value);
}

void ctl_put_size(struct buf *out, const char *key, uint64_t value)
{
	if (value == SIZE_UNKNOWN)
		buf_printf(out, "%s -\n", key);
	else
		ctl_put_number(out, key, value);
}

void ctl_put_moment(struct buf *out, const char *key, int64_t wall)
{
	char text[MOMENT_LEN] = "-";

	if (wall != 0)
		format_moment(wall, text);
	buf_printf(out, "%s %s\n", key, text);
}

/* What a server said may hold anything; one key is one line. */
void ctl_put_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, "%s ", key);
	if (!text || !*text)
		text = "-";
	for (; *text; text++)
		buf_addc(out, (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
	buf_addc(out, '\n');
}

void fs_each_control(void (*fn)(void *arg, const char *where, const char *name, mode_t mode,
	bool pollable, bool waits), void *arg)
{
	static const struct {
		const char *where;
		enum place_kind kind;
	} tables[] = { { "service", PLACE_SERVICE_ROW }, { "job", PLACE_ROW } };
	struct ctl row;

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (uint32_t i = 0; ctl_row(tables[t].kind, i, &row); i++)
			fn(arg, tables[t].where, row.name, row.mode, row.polls,
				row.read != CTL_TEXT && row.read != CTL_NONE);
}
