/* What a struct files is made of: private to tree.c (names), file.c (versions), files.c
 * (reading) and drafts.c (changes); the contract is model/files.h.
 *
 *	pages     entries by id; page k holds 4 << k of them and never moves, so pointers to entries
 *	          stay good and a job with one file pays for four entries
 *	slots     open addressing index of (parent, name) -> id; 4 bytes a slot, at most 3/4 full
 *	children  per directory, ascending ids: the offset of readdir is an id
 *
 * New ids are the highest, so "new, not yet visible" is id >= published and needs no flag. A
 * name can be in the index twice: a node that is to be removed, which readers see, and its
 * successor, which only the core sees.
 */
#pragma once

#include "model/files.h"

#define TREE_PAGE_MIN 4u
#define TREE_PAGES 31

struct running {
	struct live live;
	uint64_t beyond; /* bytes of live.have that the published version has not */
};

struct children {
	uint32_t *v;
	uint32_t n, cap;
	uint32_t kept; /* without those to be removed: what the core sees */
};

/* Of the source's URLs; counted as the core sees it. */
enum login {
	LOGIN_NONE,
	LOGIN_KEPT,
	LOGIN_DROPPED, /* by a draft: publishing takes it out of the URLs */
};

/* One cache line. Flags are bytes of their own because the core writes `gone` without the lock
 * while readers look at the others. */
struct entry {
	char *name; /* one component */
	union {
		const struct file *now;    /* of a file: the published version */
		struct children *children; /* of a directory */
	};
	const struct file *draft; /* core; between publish and reap: what was replaced */
	struct running *running;
	struct source source;
	uint32_t parent;
	uint32_t hash;   /* of (parent, name) */
	uint32_t change; /* core: 1 + its place among the changed; 0: no draft */
	bool is_dir;
	bool present; /* false: an unused id, or removed */
	bool gone;    /* core: removed by a draft */
	uint8_t login; /* core: enum login */
};

struct tree {
	struct entry *pages[TREE_PAGES];
	uint32_t count;     /* ids given */
	uint32_t published; /* ids below this are no drafts */
	uint32_t *slots;    /* 0: empty; the root is not in the index */
	uint32_t nslots;    /* a power of two */
	uint32_t used;
};

enum view { VIEW_READERS, VIEW_CORE };

int tree_init(struct tree *t); /* with the root */
void tree_release(struct tree *t); /* names and directories; content is the caller's */
struct entry *tree_at(const struct tree *t, uint32_t id); /* NULL: not present */
struct entry *tree_slot(const struct tree *t, uint32_t id); /* also of an unlinked node */
bool tree_sees(const struct tree *t, uint32_t id, const struct entry *e, enum view view);
uint32_t tree_lookup(const struct tree *t, uint32_t dir, const char *name, size_t len,
	enum view view);
uint32_t tree_next_child(const struct children *c, uint32_t after); /* NODE_NONE */
/* A new node with the id ID >= count. -EDQUOT, -ENOMEM. */
int tree_insert(struct tree *t, uint32_t id, uint32_t parent, const char *name, size_t len,
	bool is_dir);
/* Takes the node out of the index and of its directory; it is not present any more. */
void tree_unlink(struct tree *t, uint32_t id, struct entry *e);
/* Frees the name and the children; the node must have been unlinked. */
void tree_forget(struct entry *e);
void tree_assert_sane(const struct tree *t);

/* --- versions --------------------------------------------------------------------------------- */

extern const struct file file_never_begun;

int version_new(struct file *version, const struct file **ret); /* takes VERSION's contents */
void version_free(const struct file *v); /* not the constant; NULL does nothing */

/* --- sources ---------------------------------------------------------------------------------- */

void source_strip_login(struct source *s); /* in place: no allocation, so it may be done under the lock */

/* --- files ------------------------------------------------------------------------------------ */

struct ids {
	uint32_t *v;
	uint32_t n, cap;
};

struct files {
	struct tree tree;
	struct ids changed; /* core: in the order of the first change */
	struct ids reap;    /* core: published, what they replaced is not yet freed */
	uint32_t visible;   /* files that readers see */
	uint64_t live_bytes, live_rate;
};

static inline struct entry *visible_entry(const struct files *f, uint32_t id)
{
	return id < f->tree.published ? tree_at(&f->tree, id) : NULL;
}

static inline struct entry *core_entry(const struct files *f, uint32_t id)
{
	struct entry *e = tree_at(&f->tree, id);

	return e && !e->gone ? e : NULL;
}

/* What the core sees of a file. */
static inline const struct file *core_version(const struct entry *e)
{
	return e->change && e->draft ? e->draft : e->now;
}

void entry_release(struct entry *e); /* frees everything that hangs on it */
/* Takes E's progress out of the sums (ADD false), or brings it in as compared with the version
 * that is published. */
void live_count(struct files *f, struct entry *e, bool add);
