/* The files of one job: versions, drafts and live progress on a tree of names (model/files.h,
 * model/tree.h).
 *
 * A draft is an entry with a `change`: a place in the list of changed ids. Publishing walks that list,
 * exchanges each entry's two versions, and exchanges the list itself with the list to reap; nothing is
 * allocated, and nothing is freed under the lock. What changed is all that is ever walked.
 *
 * Invariants (files_assert_sane):
 *   1. A file always has a published version; one that has not begun has the shared `never_begun`.
 *   2. entry.draft is set only while the entry is among the changed, or waits to be reaped.
 *   3. A draft's tally is the sum over the versions that the core sees.
 *   4. Only what is gone is not seen by readers below tree.published.
 */
#include "model/tree.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define IDS_KEPT 64 /* a list of changes longer than this is not kept for the next turn */

struct ids {
	uint32_t *v;
	uint32_t n, cap;
};

struct files {
	struct tree tree;
	struct ids changed; /* core: in the order of the first change */
	struct ids reap;    /* core: published, what they replaced not yet freed */
	uint32_t visible;   /* files that readers see */
	uint64_t live_bytes, live_rate;
};

static const struct file never_begun = { .size = SIZE_UNKNOWN, .mtime = INT64_MIN };

static void ids_release(struct ids *s)
{
	free(s->v);
	*s = (struct ids){ 0 };
}

static int ids_reserve(struct ids *s)
{
	uint32_t cap = s->cap ? s->cap * 2 : 4;
	uint32_t *v;

	if (s->n < s->cap)
		return 0;
	v = reallocarray(s->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	s->v = v;
	s->cap = cap;
	return 0;
}

/* --- versions -------------------------------------------------------------------------------- */

static void version_free(const struct file *v)
{
	struct file *own = (struct file *)v;

	if (!v || v == &never_begun)
		return;
	file_release(own);
	free(own);
}

static bool is_never_begun(const struct file *v)
{
	return v->state == FILE_QUEUED && !v->synced && !v->unverified && v->tries == 0 &&
		v->generation == 0 && v->size == SIZE_UNKNOWN && v->mtime == INT64_MIN && v->have.n == 0 &&
		!v->validator && !v->fault && v->dev == 0 && v->ino == 0;
}

/* Takes VERSION's contents on success. */
static int version_new(struct file *version, const struct file **ret)
{
	struct file *v;

	if (is_never_begun(version)) {
		file_release(version);
		*ret = &never_begun;
		return 0;
	}
	v = malloc(sizeof(*v));
	if (!v)
		return -ENOMEM;
	*v = *version;
	memset(version, 0, sizeof(*version));
	*ret = v;
	return 0;
}

/* Adds V to the sums, or takes it out: unsigned arithmetic undoes itself exactly. */
static void tally_count(struct tally *t, const struct file *v, bool add)
{
	uint32_t one = add ? 1 : UINT32_MAX;
	uint64_t sign = add ? 1 : UINT64_MAX;

	t->files += one;
	t->transferred += v->state == FILE_TRANSFERRED ? one : 0;
	t->failed += v->state == FILE_FAILED ? one : 0;
	t->waiting += v->state == FILE_WAITING ? one : 0;
	t->completed += v->state == FILE_COMPLETED ? one : 0;
	t->unverified += v->unverified ? one : 0;
	t->unsynced += v->have.n && !v->synced ? one : 0;
	t->bytes += sign * file_got(v);
	if (v->size == SIZE_UNKNOWN)
		t->unknown += one;
	else
		t->total += sign * v->size;
}

/* What the core sees of a file. */
static const struct file *version_of(const struct entry *e)
{
	return e->draft ? e->draft : e->now;
}

/* --- whole ----------------------------------------------------------------------------------- */

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

static void running_free(struct running *running)
{
	if (!running)
		return;
	extents_release(&running->live.have);
	free(running);
}

/* Everything that hangs on an entry. */
static void entry_release(struct entry *e)
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
	ids_release(&f->changed);
	ids_release(&f->reap);
	free(f);
}

/* --- names ----------------------------------------------------------------------------------- */

/* ID as readers see it. */
static struct entry *visible_entry(const struct files *f, uint32_t id)
{
	return id < f->tree.published ? tree_at(&f->tree, id) : NULL;
}

/* ID as the core sees it. */
static struct entry *core_entry(const struct files *f, uint32_t id)
{
	struct entry *e = tree_at(&f->tree, id);

	return e && !e->gone ? e : NULL;
}

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
		at -= n;
		memcpy(at, name, n);
	}
	*ret_path = path;
	return 0;
}

size_t files_node_count(const struct files *f)
{
	return f->tree.count;
}

/* --- content --------------------------------------------------------------------------------- */

const struct file *file_now(const struct files *f, uint32_t id)
{
	const struct entry *e = visible_entry(f, id);

	return e && !e->is_dir ? e->now : NULL;
}

const struct file *file_draft(const struct files *f, uint32_t id)
{
	const struct entry *e = core_entry(f, id);

	return e && !e->is_dir ? version_of(e) : NULL;
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

/* Takes E's progress out of the sums (ADD false), or brings it in against the version published now. */
static void live_count(struct files *f, struct entry *e, bool add)
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

/* --- changes --------------------------------------------------------------------------------- */

/* A place among the changed was reserved. */
static void note_change(struct files *f, uint32_t id, struct entry *e)
{
	if (e->change)
		return;
	f->changed.v[f->changed.n++] = id;
	e->change = f->changed.n;
}

static int begin_change(struct files *f)
{
	files_reap(f); /* or what it would free would be taken for a draft */
	return ids_reserve(&f->changed);
}

/* Takes back the newest node, a draft that is the last of the changed. */
static void drop_newest(struct files *f)
{
	uint32_t id = f->tree.count - 1;
	struct entry *e = tree_at(&f->tree, id);

	tree_unlink(&f->tree, id, e);
	entry_release(e);
	f->tree.count = id;
}

/* Makes the nodes of PATH that are not there. On failure none of them stays. */
static int make_path(struct files *f, const char *path, bool is_dir, uint32_t *ret_id)
{
	uint32_t count = f->tree.count;
	uint32_t dir = NODE_ROOT;

	for (;;) {
		const char *end = strchrnul(path, '/');
		size_t len = (size_t)(end - path);
		uint32_t id = tree_lookup(&f->tree, dir, path, len, VIEW_CORE);
		bool last = *end == '\0';
		int r = 0;

		if (len == 0)
			r = -EINVAL;
		else if (id == NODE_NONE) {
			id = f->tree.count;
			r = begin_change(f);
			if (r == 0)
				r = tree_insert(&f->tree, id, dir, path, len, is_dir || !last);
			if (r == 0)
				note_change(f, id, tree_at(&f->tree, id));
		} else if (!last)
			r = tree_at(&f->tree, id)->is_dir ? 0 : -ENOTDIR;
		else
			r = tree_at(&f->tree, id)->is_dir && !is_dir ? -EISDIR : -EEXIST;

		if (r < 0) {
			for (; f->tree.count > count; f->changed.n--)
				drop_newest(f);
			return r;
		}
		if (last) {
			*ret_id = id;
			return 0;
		}
		dir = id;
		path = end + 1;
	}
}

int files_add(struct files *f, struct job *draft, const char *path, struct source *source, uint32_t *ret_id)
{
	struct entry *e;
	uint32_t id;
	int r;

	r = make_path(f, path, false, &id);
	if (r < 0)
		return r;
	e = tree_at(&f->tree, id);
	e->now = &never_begun;
	e->source = *source;
	*source = (struct source){ 0 };
	tally_count(&draft->tally, e->now, true);
	*ret_id = id;
	return 0;
}

int files_mkdir(struct files *f, const char *path, uint32_t *ret_id)
{
	return make_path(f, path, true, ret_id);
}

int files_set(struct files *f, struct job *draft, uint32_t id, struct file *version)
{
	struct entry *e = core_entry(f, id);
	const struct file *v;
	int r;

	if (!e || e->is_dir)
		return -ENOENT;
	r = begin_change(f);
	if (r == 0)
		r = version_new(version, &v);
	if (r < 0)
		return r;
	tally_count(&draft->tally, version_of(e), false);
	tally_count(&draft->tally, v, true);
	version_free(e->draft);
	e->draft = v;
	note_change(f, id, e);
	return 0;
}

int files_remove(struct files *f, struct job *draft, uint32_t id)
{
	struct entry *e = core_entry(f, id);
	int r;

	if (id == NODE_ROOT)
		return -EBUSY;
	if (!e)
		return -ENOENT;
	if (e->is_dir && e->children->kept)
		return -ENOTEMPTY;
	r = begin_change(f);
	if (r < 0)
		return r;
	if (!e->is_dir)
		tally_count(&draft->tally, version_of(e), false);
	tree_at(&f->tree, e->parent)->children->kept--;
	e->gone = true;
	note_change(f, id, e);
	return 0;
}

int files_restore(struct files *f, struct job *j, const struct node *node, struct source *source,
	struct file *version)
{
	const struct entry *parent = tree_at(&f->tree, node->parent);
	const struct file *v = &never_begun;
	size_t len = strlen(node->name);
	struct entry *e;
	int r = 0;

	assert(f->changed.n == 0);
	if (node->id < f->tree.count || !parent || !parent->is_dir || len == 0 ||
	    tree_lookup(&f->tree, node->parent, node->name, len, VIEW_CORE) != NODE_NONE)
		return -EINVAL;
	r = tree_insert(&f->tree, node->id, node->parent, node->name, len, !source);
	if (r < 0)
		return r;
	f->tree.published = f->tree.count;
	if (!source)
		return 0;
	e = tree_at(&f->tree, node->id);
	e->now = &never_begun;
	if (version)
		r = version_new(version, &v);
	if (r < 0) {
		drop_newest(f);
		f->tree.published = f->tree.count;
		return r;
	}
	e->now = v;
	e->source = *source;
	*source = (struct source){ 0 };
	tally_count(&j->tally, v, true);
	f->visible++;
	return 0;
}

/* --- drafts ---------------------------------------------------------------------------------- */

uint32_t files_next_draft(const struct files *f, uint32_t after)
{
	uint32_t at = 0;

	if (after != NODE_ROOT) {
		const struct entry *e = tree_at(&f->tree, after);

		at = e && e->change ? e->change : f->changed.n;
	}
	return at < f->changed.n ? f->changed.v[at] : NODE_NONE;
}

bool files_draft_is_new(const struct files *f, uint32_t id)
{
	return id >= f->tree.published && tree_at(&f->tree, id);
}

bool files_draft_is_gone(const struct files *f, uint32_t id)
{
	const struct entry *e = tree_at(&f->tree, id);

	return e && e->gone;
}

static void publish_one(struct files *f, uint32_t id, struct entry *e)
{
	bool is_new = id >= f->tree.published;

	e->change = 0;
	if (e->gone) {
		if (!e->is_dir && !is_new)
			f->visible--;
		live_count(f, e, false);
		tree_unlink(&f->tree, id, e);
		return;
	}
	if (e->is_dir)
		return;
	f->visible += is_new;
	if (e->draft) {
		const struct file *replaced = e->now;

		live_count(f, e, false);
		e->now = e->draft;
		e->draft = replaced;
		live_count(f, e, true);
	}
}

void files_publish(struct files *f)
{
	struct ids empty;

	files_reap(f); /* nothing to do when the last turn did it */
	/* Backwards, so that what is in a directory goes before the directory, which may be older. */
	for (uint32_t i = f->changed.n; i > 0; i--)
		publish_one(f, f->changed.v[i - 1], tree_at(&f->tree, f->changed.v[i - 1]));
	f->tree.published = f->tree.count;
	empty = f->reap;
	f->reap = f->changed;
	f->changed = empty;
}

void files_reap(struct files *f)
{
	for (uint32_t i = 0; i < f->reap.n; i++) {
		struct entry *e = tree_slot(&f->tree, f->reap.v[i]);

		if (!e->present) {
			entry_release(e);
			continue;
		}
		version_free(e->draft);
		e->draft = NULL;
	}
	f->reap.n = 0;
	if (f->reap.cap > IDS_KEPT)
		ids_release(&f->reap);
}

void files_drop_drafts(struct files *f)
{
	files_reap(f);
	while (f->changed.n) {
		uint32_t id = f->changed.v[--f->changed.n];
		struct entry *e = tree_at(&f->tree, id);

		if (id >= f->tree.published) {
			drop_newest(f); /* new ids are in the list in their order */
			continue;
		}
		version_free(e->draft);
		e->draft = NULL;
		e->change = 0;
		if (e->gone)
			tree_at(&f->tree, e->parent)->children->kept++;
		e->gone = false;
	}
	if (f->changed.cap > IDS_KEPT)
		ids_release(&f->changed);
}
