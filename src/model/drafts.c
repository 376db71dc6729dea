/* Changes to the files of one job: drafts, and how they are published or dropped
 * (model/files.h).
 *
 * A draft is an entry with a `change`: a place in the list of changed ids. Publishing walks that
 * list, exchanges each entry's two versions, and exchanges the list itself with the list to
 * reap; nothing is allocated, and nothing is freed under the lock. What changed is all that is
 * ever walked.
 *
 * Invariants (files_assert_sane):
 *   1. A file always has a published version; one that has not begun has the shared constant.
 *   2. entry.draft is set only while the entry is among the changed, or waits to be reaped.
 *   3. A draft's tally is the sum over the versions that the core sees.
 *   4. New ids are among the changed in ascending order.
 */
#include "model/tree.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define IDS_KEPT 64 /* a list of changes longer than this is not kept for the next turn */

static void ids_release(struct ids *s)
{
	free(s->v);
	*s = (struct ids){ 0 };
}

static int ids_reserve(struct ids *s, size_t more)
{
	size_t cap = s->cap ? s->cap : 4;
	uint32_t *v;

	if (more <= s->cap - s->n)
		return 0;
	while (cap < s->n + more)
		cap *= 2;
	if (cap > UINT32_MAX)
		return -ENOMEM;
	v = reallocarray(s->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	s->v = v;
	s->cap = (uint32_t)cap;
	return 0;
}

/* Adds E with version V to the sums, or takes it out: unsigned arithmetic undoes itself exactly. */
static void tally_count(struct tally *t, const struct entry *e, const struct file *v, bool add)
{
	uint32_t one = add ? 1 : UINT32_MAX;
	uint64_t sign = add ? 1 : UINT64_MAX;

	t->files += one;
	t->transferred += v->state == FILE_TRANSFERRED ? one : 0;
	t->failed += v->state == FILE_FAILED ? one : 0;
	t->waiting += v->state == FILE_WAITING ? one : 0;
	t->completed += v->state == FILE_COMPLETED ? one : 0;
	t->unverified += v->unverified ? one : 0;
	t->unsynced += !v->synced && (v->have.n || v->state == FILE_TRANSFERRED) ? one : 0;
	t->bytes += sign * file_got(v);
	if (v->size == SIZE_UNKNOWN)
		t->unknown += one;
	else
		t->total += sign * v->size;
	t->logins += e->login == LOGIN_KEPT ? sign : 0;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* A place among the changed was reserved. */
static void note_change(struct files *f, uint32_t id, struct entry *e)
{
	if (e->change)
		return;
	f->changed.v[f->changed.n++] = id;
	e->change = f->changed.n;
}

/* N files may be noted then. */
static int begin_change(struct files *f, size_t n)
{
	files_reap(f); /* or what it would free would be taken for a draft */
	return ids_reserve(&f->changed, n);
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

/* The node NAME in DIR, made if it is not there and is to be the LAST or on the way. */
static int make_step(struct files *f, uint32_t dir, const char *name, size_t len, bool last,
	bool is_dir, uint32_t *ret_id)
{
	uint32_t id = tree_lookup(&f->tree, dir, name, len, VIEW_CORE);
	int r;

	if (len == 0)
		return -EINVAL;
	if (id != NODE_NONE) {
		bool found_dir = tree_at(&f->tree, id)->is_dir;

		if (last)
			return found_dir && !is_dir ? -EISDIR : -EEXIST;
		*ret_id = id;
		return found_dir ? 0 : -ENOTDIR;
	}
	id = f->tree.count;
	r = begin_change(f, 1);
	if (r == 0)
		r = tree_insert(&f->tree, id, dir, name, len, is_dir || !last);
	if (r < 0)
		return r;
	note_change(f, id, tree_at(&f->tree, id));
	*ret_id = id;
	return 0;
}

/* Makes the nodes of PATH that are not there; on failure none of them stays. */
static int make_path(struct files *f, const char *path, bool is_dir, uint32_t *ret_id)
{
	uint32_t count = f->tree.count;
	uint32_t id = NODE_ROOT;
	const char *end;
	int r;

	do {
		end = strchrnul(path, '/');
		r = make_step(f, id, path, (size_t)(end - path), *end == '\0', is_dir, &id);
		path = end + 1;
	} while (r == 0 && *end);
	if (r < 0) {
		for (; f->tree.count > count; f->changed.n--)
			drop_newest(f);
		return r;
	}
	*ret_id = id;
	return 0;
}

static void take_source(struct entry *e, struct source *source)
{
	e->source = *source;
	e->login = source_has_login(source) ? LOGIN_KEPT : LOGIN_NONE;
	*source = (struct source){ 0 };
}

int files_add(struct files *f, struct job *draft, const char *path, struct source *source,
	uint32_t *ret_id)
{
	struct entry *e;
	uint32_t id;
	int r;

	r = make_path(f, path, false, &id);
	if (r < 0)
		return r;
	e = tree_at(&f->tree, id);
	e->now = &file_never_begun;
	take_source(e, source);
	tally_count(&draft->tally, e, e->now, true);
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
	r = begin_change(f, 1);
	if (r == 0)
		r = version_new(version, &v);
	if (r < 0)
		return r;
	tally_count(&draft->tally, e, core_version(e), false);
	tally_count(&draft->tally, e, v, true);
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
	r = begin_change(f, 1);
	if (r < 0)
		return r;
	if (!e->is_dir)
		tally_count(&draft->tally, e, core_version(e), false);
	tree_at(&f->tree, e->parent)->children->kept--;
	e->gone = true;
	note_change(f, id, e);
	return 0;
}

int files_drop_logins(struct files *f, struct job *draft)
{
	int r = begin_change(f, draft->tally.logins);

	if (r < 0)
		return r;
	for (uint32_t id = NODE_ROOT + 1; draft->tally.logins && id < f->tree.count; id++) {
		struct entry *e = core_entry(f, id);

		if (!e || e->login != LOGIN_KEPT)
			continue;
		e->login = LOGIN_DROPPED;
		draft->tally.logins--;
		note_change(f, id, e);
	}
	return 0;
}

int files_restore(struct files *f, struct job *j, const struct node *node, struct source *source,
	struct file *version)
{
	const struct entry *parent = tree_at(&f->tree, node->parent);
	const struct file *v = &file_never_begun;
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
	e->now = &file_never_begun;
	if (version)
		r = version_new(version, &v);
	if (r < 0) {
		drop_newest(f);
		f->tree.published = f->tree.count;
		return r;
	}
	e->now = v;
	take_source(e, source);
	tally_count(&j->tally, e, v, true);
	f->visible++;
	return 0;
}

/* --- drafts ----------------------------------------------------------------------------------- */

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

bool files_draft_drops_login(const struct files *f, uint32_t id)
{
	const struct entry *e = tree_at(&f->tree, id);

	return e && e->login == LOGIN_DROPPED;
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
	if (e->login == LOGIN_DROPPED) {
		source_strip_login(&e->source);
		e->login = LOGIN_NONE;
	}
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
	for (uint32_t i = 0; i < f->changed.n; i++)
		publish_one(f, f->changed.v[i], tree_at(&f->tree, f->changed.v[i]));
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
		if (e->login == LOGIN_DROPPED)
			e->login = LOGIN_KEPT;
	}
	if (f->changed.cap > IDS_KEPT)
		ids_release(&f->changed);
}

/* --- invariants ------------------------------------------------------------------------------- */

static void assert_file(const struct files *f, uint32_t id, const struct entry *e)
{
	assert(e->now && e->source.url);
	assert((e->login != LOGIN_NONE) == source_has_login(&e->source));
	assert(e->login != LOGIN_DROPPED || e->change);
	assert(!e->running || id < f->tree.published);
	if (e->now->state == FILE_TRANSFERRED && e->now->size != SIZE_UNKNOWN)
		assert(file_got(e->now) == e->now->size);
	extents_assert_sane(&e->now->have);
}

static void assert_lists(const struct files *f)
{
	uint32_t newest = 0;

	for (uint32_t i = 0; i < f->changed.n; i++) {
		uint32_t id = f->changed.v[i];

		assert(tree_at(&f->tree, id)->change == i + 1);
		if (id >= f->tree.published) {
			assert(id > newest); /* 4 */
			newest = id;
		}
	}
}

void files_assert_sane(const struct files *f, const struct job *j)
{
	struct tally sum = { 0 };
	uint64_t bytes = 0, rate = 0;
	uint32_t visible = 0, drafts = 0;

	tree_assert_sane(&f->tree);
	assert_lists(f);
	for (uint32_t id = 0; id < f->tree.count; id++) {
		const struct entry *e = tree_at(&f->tree, id);

		if (!e)
			continue;
		drafts += e->change != 0;
		assert(e->change || (!e->gone && id < f->tree.published));
		if (e->is_dir)
			continue;
		assert_file(f, id, e); /* 1 */
		assert(!e->draft || e->change || f->reap.n); /* 2 */
		visible += id < f->tree.published;
		bytes += e->running ? e->running->beyond : 0;
		rate += e->running ? e->running->live.rate : 0;
		if (!e->gone)
			tally_count(&sum, e, core_version(e), true);
	}
	assert(drafts == f->changed.n && visible == f->visible);
	assert(bytes == f->live_bytes && rate == f->live_rate);
	assert(!j || memcmp(&sum, &j->tally, sizeof(sum)) == 0); /* 3 */
}
