/* Nodes, their index and their order within a directory (model/tree.h). */
#include "model/tree.h"

#include "model/table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SLOTS_MIN 8u
#define CHILDREN_MIN 4u

/* --- entries by id ---------------------------------------------------------------------------- */

static unsigned page_of(uint32_t id)
{
	return 31 - (unsigned)__builtin_clz(id / TREE_PAGE_MIN + 1);
}

static uint32_t page_first(unsigned page)
{
	return TREE_PAGE_MIN * ((UINT32_C(1) << page) - 1);
}

struct entry *tree_slot(const struct tree *t, uint32_t id)
{
	unsigned page = page_of(id);

	return t->pages[page] ? &t->pages[page][id - page_first(page)] : NULL;
}

struct entry *tree_at(const struct tree *t, uint32_t id)
{
	struct entry *e = id < t->count ? tree_slot(t, id) : NULL;

	return e && e->present ? e : NULL;
}

bool tree_sees(const struct tree *t, uint32_t id, const struct entry *e, enum view view)
{
	return view == VIEW_READERS ? id < t->published : !e->gone;
}

static int reserve_page(struct tree *t, uint32_t id)
{
	unsigned page = page_of(id);

	if (!t->pages[page])
		t->pages[page] = calloc((size_t)TREE_PAGE_MIN << page, sizeof(struct entry));
	return t->pages[page] ? 0 : -ENOMEM;
}

/* --- index ------------------------------------------------------------------------------------ */

static uint32_t name_hash(uint32_t dir, const char *name, size_t len)
{
	return hash_bytes(dir, name, len);
}

static bool is_named(const struct entry *e, uint32_t hash, uint32_t dir, const char *name,
	size_t len)
{
	return e->hash == hash && e->parent == dir && strncmp(e->name, name, len) == 0 &&
		e->name[len] == '\0';
}

uint32_t tree_lookup(const struct tree *t, uint32_t dir, const char *name, size_t len,
	enum view view)
{
	uint32_t hash = name_hash(dir, name, len);
	uint32_t mask = t->nslots - 1;

	if (t->nslots == 0)
		return NODE_NONE;
	for (uint32_t at = hash & mask; t->slots[at]; at = (at + 1) & mask) {
		uint32_t id = t->slots[at];
		const struct entry *e = tree_slot(t, id);

		if (is_named(e, hash, dir, name, len) && tree_sees(t, id, e, view))
			return id;
	}
	return NODE_NONE;
}

static void index_put(uint32_t *slots, uint32_t nslots, uint32_t id, uint32_t hash)
{
	uint32_t at = hash & (nslots - 1);

	while (slots[at])
		at = (at + 1) & (nslots - 1);
	slots[at] = id;
}

static int reserve_slot(struct tree *t)
{
	uint32_t nslots = t->nslots ? t->nslots * 2 : SLOTS_MIN;
	uint32_t *slots;

	if ((uint64_t)(t->used + 1) * 4 <= (uint64_t)t->nslots * 3)
		return 0;
	slots = nslots ? calloc(nslots, sizeof(*slots)) : NULL; /* 0: it has overflowed */
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->nslots; i++)
		if (t->slots[i])
			index_put(slots, nslots, t->slots[i], tree_slot(t, t->slots[i])->hash);
	free(t->slots);
	t->slots = slots;
	t->nslots = nslots;
	return 0;
}

/* Closes the gap that a removed entry would leave in the probe sequences of those after it (Knuth,
 * TAOCP 6.4, Algorithm R), so there are no tombstones to clean up. */
static void index_drop(struct tree *t, uint32_t id, uint32_t hash)
{
	uint32_t mask = t->nslots - 1;
	uint32_t hole = hash & mask;

	while (t->slots[hole] != id)
		hole = (hole + 1) & mask;
	for (uint32_t at = (hole + 1) & mask; t->slots[at]; at = (at + 1) & mask) {
		uint32_t home = tree_slot(t, t->slots[at])->hash & mask;

		if (((at - home) & mask) >= ((at - hole) & mask)) {
			t->slots[hole] = t->slots[at];
			hole = at;
		}
	}
	t->slots[hole] = 0;
	t->used--;
}

/* --- directories ------------------------------------------------------------------------------ */

/* The place of the first id above AFTER. */
static uint32_t children_above(const struct children *c, uint32_t after)
{
	uint32_t low = 0, high = c->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (c->v[middle] <= after)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t tree_next_child(const struct children *c, uint32_t after)
{
	uint32_t at = children_above(c, after);

	return at < c->n ? c->v[at] : NODE_NONE;
}

static int reserve_child(struct children *c)
{
	uint32_t cap = c->cap ? c->cap * 2 : CHILDREN_MIN;
	uint32_t *v;

	if (c->n < c->cap)
		return 0;
	v = reallocarray(c->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->v = v;
	c->cap = cap;
	return 0;
}

static void children_drop(struct children *c, uint32_t id)
{
	uint32_t at = children_above(c, id) - 1;

	assert(c->v[at] == id);
	memmove(&c->v[at], &c->v[at + 1], (c->n - at - 1) * sizeof(*c->v));
	c->n--;
}

/* --- nodes ------------------------------------------------------------------------------------ */

int tree_init(struct tree *t)
{
	struct entry *root;

	*t = (struct tree){ 0 };
	if (reserve_page(t, NODE_ROOT) < 0)
		return -ENOMEM;
	root = tree_slot(t, NODE_ROOT);
	root->children = calloc(1, sizeof(*root->children));
	if (!root->children) {
		tree_release(t);
		return -ENOMEM;
	}
	root->parent = NODE_ROOT;
	root->is_dir = root->present = true;
	t->count = t->published = 1;
	return 0;
}

void tree_release(struct tree *t)
{
	for (uint32_t id = 0; id < t->count; id++) {
		struct entry *e = tree_slot(t, id);

		if (e)
			tree_forget(e);
	}
	for (unsigned i = 0; i < TREE_PAGES; i++)
		free(t->pages[i]);
	free(t->slots);
	*t = (struct tree){ 0 };
}

int tree_insert(struct tree *t, uint32_t id, uint32_t parent, const char *name, size_t len,
	bool is_dir)
{
	struct children *siblings = tree_at(t, parent)->children, *children;
	struct entry *e;
	char *copy;

	if (id == NODE_NONE)
		return -EDQUOT;
	if (reserve_page(t, id) < 0 || reserve_slot(t) < 0 || reserve_child(siblings) < 0)
		return -ENOMEM;
	children = is_dir ? calloc(1, sizeof(*children)) : NULL;
	copy = strndup(name, len);
	if (!copy || (is_dir && !children)) {
		free(children);
		free(copy);
		return -ENOMEM;
	}
	e = tree_slot(t, id);
	*e = (struct entry){
		.name = copy,
		.parent = parent,
		.hash = name_hash(parent, name, len),
		.is_dir = is_dir,
		.present = true,
	};
	if (is_dir)
		e->children = children;
	index_put(t->slots, t->nslots, id, e->hash);
	t->used++;
	siblings->v[siblings->n++] = id;
	siblings->kept++;
	t->count = id + 1;
	return 0;
}

void tree_unlink(struct tree *t, uint32_t id, struct entry *e)
{
	struct children *siblings = tree_slot(t, e->parent)->children; /* perhaps unlinked before */

	index_drop(t, id, e->hash);
	children_drop(siblings, id);
	if (!e->gone)
		siblings->kept--;
	e->present = false;
}

void tree_forget(struct entry *e)
{
	free(e->name);
	e->name = NULL;
	if (e->is_dir && e->children) {
		free(e->children->v);
		free(e->children);
		e->children = NULL;
	}
}

/* --- invariants ------------------------------------------------------------------------------- */

static void assert_directory(const struct tree *t, uint32_t id, const struct children *c)
{
	uint32_t kept = 0;

	assert(c->n <= c->cap);
	for (uint32_t i = 0; i < c->n; i++) {
		const struct entry *child = tree_at(t, c->v[i]);

		assert(child && child->parent == id);
		assert(i == 0 || c->v[i - 1] < c->v[i]);
		kept += !child->gone;
	}
	assert(kept == c->kept);
}

void tree_assert_sane(const struct tree *t)
{
	uint32_t present = 0, listed = 0;

	assert(t->published <= t->count);
	assert((t->nslots & (t->nslots - 1)) == 0);
	assert((uint64_t)t->used * 4 <= (uint64_t)t->nslots * 3);
	for (uint32_t id = 0; id < t->count; id++) {
		const struct entry *e = tree_at(t, id);
		size_t len;

		if (!e)
			continue;
		if (e->is_dir) {
			assert_directory(t, id, e->children);
			listed += e->children->n;
		}
		if (id == NODE_ROOT)
			continue;
		present++;
		len = strlen(e->name);
		assert(e->parent < id && tree_at(t, e->parent)->is_dir);
		/* A directory outlives what is in it, in each view. */
		assert(!tree_at(t, e->parent)->gone || e->gone);
		if (id < t->published)
			assert(tree_lookup(t, e->parent, e->name, len, VIEW_READERS) == id);
		if (!e->gone)
			assert(tree_lookup(t, e->parent, e->name, len, VIEW_CORE) == id);
	}
	/* Each node is once in its directory and once in the index. */
	assert(listed == present && t->used == present);
}
