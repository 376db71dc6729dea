/* The files of one job: reading them, and live progress (model/files.h). Changing them:
 * model/drafts.c. */
#include "model/tree.h"

#include <errno.h>
#include <string.h>

/* --- whole ------------------------------------------------------------------------------------ */

static void running_free(struct running *running)
{
	if (!running)
		return;
	extents_release(&running->live.have);
	free(running);
}

void entry_release(struct entry *e)
{
	if (!e->is_dir) {
		version_free(e->now);
		e->now = NULL;
	}
	version_free(e->draft);
	e->draft = NULL;
	running_free(e->running);
	e->running = NULL;
	source_release(&e->source);
	e->source = (struct source){ 0 };
	tree_forget(e);
}

int files_new(struct files **ret)
{
	struct files *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	r = tree_init(&f->tree);
	if (r < 0) {
		free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void files_free(struct files *f)
{
	if (!f)
		return;
	files_reap(f);
	for (uint32_t id = 0; id < f->tree.count; id++) {
		struct entry *e = tree_at(&f->tree, id);

		if (e)
			entry_release(e);
	}
	tree_release(&f->tree);
	free(f->changed.v);
	free(f->reap.v);
	free(f);
}

/* --- names ------------------------------------------------------------------------------------ */

uint32_t files_lookup(const struct files *f, uint32_t dir, const char *name)
{
	return tree_lookup(&f->tree, dir, name, strlen(name), VIEW_READERS);
}

uint32_t files_find_path(const struct files *f, const char *path)
{
	uint32_t id = NODE_ROOT;
	const char *end;

	do {
		end = strchrnul(path, '/');
		id = tree_lookup(&f->tree, id, path, (size_t)(end - path), VIEW_CORE);
		path = end + 1;
	} while (*end && id != NODE_NONE);
	return id;
}

static bool describe(const struct entry *e, uint32_t id, struct node *ret)
{
	if (!e)
		return false;
	*ret = (struct node){
		.id = id,
		.parent = e->parent,
		.is_dir = e->is_dir,
		.name = e->name ? e->name : "",
	};
	return true;
}

bool files_node(const struct files *f, uint32_t id, struct node *ret)
{
	return describe(visible_entry(f, id), id, ret);
}

bool files_draft_node(const struct files *f, uint32_t id, struct node *ret)
{
	return describe(tree_at(&f->tree, id), id, ret);
}

uint32_t files_next_child(const struct files *f, uint32_t dir, uint32_t after)
{
	const struct entry *e = visible_entry(f, dir);
	uint32_t id = e && e->is_dir ? tree_next_child(e->children, after) : NODE_NONE;

	return id < f->tree.published ? id : NODE_NONE; /* the drafts are the last ones */
}

uint32_t files_next_file(const struct files *f, uint32_t after)
{
	for (uint32_t id = after + 1; id < f->tree.published; id++) {
		const struct entry *e = tree_at(&f->tree, id);

		if (e && !e->is_dir)
			return id;
	}
	return NODE_NONE;
}

uint32_t files_count(const struct files *f)
{
	return f->visible;
}

int files_path(const struct files *f, uint32_t id, char **ret_path)
{
	size_t len = 0;
	char *path, *at;

	if (id == NODE_ROOT || !tree_at(&f->tree, id))
		return -ENOENT;
	for (uint32_t i = id; i != NODE_ROOT; i = tree_at(&f->tree, i)->parent)
		len += strlen(tree_at(&f->tree, i)->name) + 1;
	path = malloc(len); /* the last component's slash is the NUL */
	if (!path)
		return -ENOMEM;
	at = path + len;
	for (uint32_t i = id; i != NODE_ROOT; i = tree_at(&f->tree, i)->parent) {
		const char *name = tree_at(&f->tree, i)->name;
		size_t n = strlen(name);

		*--at = i == id ? '\0' : '/';
		while (n > 0)
			*--at = name[--n];
	}
	*ret_path = path;
	return 0;
}

size_t files_node_count(const struct files *f)
{
	return f->tree.count;
}

/* --- content ---------------------------------------------------------------------------------- */

const struct file *file_now(const struct files *f, uint32_t id)
{
	const struct entry *e = visible_entry(f, id);

	return e && !e->is_dir ? e->now : NULL;
}

const struct file *file_draft(const struct files *f, uint32_t id)
{
	const struct entry *e = core_entry(f, id);

	return e && !e->is_dir ? core_version(e) : NULL;
}

const struct source *file_source(const struct files *f, uint32_t id)
{
	const struct entry *e = tree_at(&f->tree, id);

	return e && !e->is_dir ? &e->source : NULL;
}

const struct live *file_live(const struct files *f, uint32_t id)
{
	const struct entry *e = visible_entry(f, id);

	return e && e->running ? &e->running->live : NULL;
}

void live_count(struct files *f, struct entry *e, bool add)
{
	struct running *running = e->running;
	uint64_t total, saved;

	if (!running)
		return;
	if (!add) {
		f->live_bytes -= running->beyond;
		f->live_rate -= running->live.rate;
		return;
	}
	total = extents_total(&running->live.have);
	saved = file_got(e->now);
	running->beyond = total > saved ? total - saved : 0;
	f->live_bytes += running->beyond;
	f->live_rate += running->live.rate;
}

int files_set_live(struct files *f, uint32_t id, const struct live *live)
{
	struct entry *e = visible_entry(f, id);
	struct running *running = NULL;

	if (!e || e->is_dir)
		return -ENOENT;
	if (live) {
		running = malloc(sizeof(*running));
		if (!running)
			return -ENOMEM;
		running->live = *live;
		if (extents_copy(&live->have, &running->live.have) < 0) {
			free(running);
			return -ENOMEM;
		}
	}
	live_count(f, e, false);
	running_free(e->running);
	e->running = running;
	live_count(f, e, true);
	return 0;
}

uint64_t files_live_bytes(const struct files *f)
{
	return f->live_bytes;
}

uint64_t files_live_rate(const struct files *f)
{
	return f->live_rate;
}
