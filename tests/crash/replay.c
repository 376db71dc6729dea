#include "replay.h"

#include "oplog.h"

#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NONE SIZE_MAX
#define PAGE 4096u
#define UNKNOWN_INO ((ino_t)1 << 48) /* added to the number of what was made after the cut */

/* One operation, with the numbers of inodes made numbers of objects: inodes are used again. */
struct step {
	const struct op *op;
	char *name, *name2;
	const char *data;
	size_t obj, dir, dir2; /* NONE */
	size_t begin;          /* syncs that ended: the step in which they began */
	size_t next;           /* of the same object; NONE */
};

struct named {
	char *name;
	size_t obj;
	struct named *next;
};

struct object {
	uint64_t ino;
	bool is_dir;
	size_t first, last; /* steps that are about it; NONE */
	/* Of one build */
	size_t data_synced, meta_synced, names_synced; /* steps before these are durable */
	bool names_end;        /* the prefix of its names that is there has ended */
	struct named *entries;
	char *made;            /* path in the tree; NULL: not yet */
};

struct known {
	uint64_t key;
	size_t value;
};

struct replay {
	struct step *steps;
	size_t n;
	struct object *objects;
	size_t nobjects;
	void *inodes; /* of struct known: number -> object, while the log is read */
	void *syncs;  /* likewise: number of a sync -> step */
	void *real;   /* likewise: number in the built tree -> number in the log */
	uint64_t seed;
	size_t cut, all_synced;
};

/* --- small things ------------------------------------------------------------------------------- */

static void *need(void *p)
{
	if (!p)
		errx(2, "out of memory");
	return p;
}

static int by_key(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static void learn(void **table, uint64_t key, size_t value)
{
	struct known *k = need(malloc(sizeof(*k)));

	*k = (struct known){ key, value };
	struct known *there = *(struct known **)need(tsearch(k, table, by_key));
	if (there != k) {
		there->value = value;
		free(k);
	}
}

static size_t recall(void *const *table, uint64_t key)
{
	const struct known k = { .key = key };
	struct known **found = tfind(&k, table, by_key);

	return found ? (*found)->value : NONE;
}

/* Splitmix64: the same answer to the same question. */
static uint64_t chance(const struct replay *r, uint64_t what, uint64_t which)
{
	uint64_t z = r->seed * UINT64_C(0x9e3779b97f4a7c15) + what * UINT64_C(0xd1342543de82ef95) + which;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* --- reading the log ---------------------------------------------------------------------------- */

static size_t object_new(struct replay *r, uint64_t ino, bool is_dir)
{
	if (r->nobjects % 256 == 0)
		r->objects = need(reallocarray(r->objects, r->nobjects + 256, sizeof(*r->objects)));
	r->objects[r->nobjects] = (struct object){ .ino = ino, .is_dir = is_dir, .first = NONE, .last = NONE };
	learn(&r->inodes, ino, r->nobjects);
	return r->nobjects++;
}

/* Puts the step among those of its object. */
static void thread(struct replay *r, size_t i)
{
	struct object *o = &r->objects[r->steps[i].obj];

	if (o->last == NONE)
		o->first = i;
	else
		r->steps[o->last].next = i;
	o->last = i;
}

/* False: it is about something outside of the tree. */
static bool resolve(struct replay *r, struct step *s, size_t i)
{
	const struct op *op = s->op;

	s->obj = s->dir = s->dir2 = s->begin = s->next = NONE;
	switch ((enum op_kind)op->kind) {
	case OP_MARK:
		return true;
	case OP_CREATE:
	case OP_MKDIR:
		s->dir = recall(&r->inodes, op->dir);
		if (s->dir != NONE)
			s->obj = object_new(r, op->ino, op->kind == OP_MKDIR);
		return s->dir != NONE;
	case OP_TEMP:
		s->obj = object_new(r, op->ino, false);
		return true;
	case OP_LINK:
		s->dir = recall(&r->inodes, op->dir);
		s->obj = recall(&r->inodes, op->ino);
		return s->dir != NONE && s->obj != NONE;
	case OP_UNLINK:
		s->dir = recall(&r->inodes, op->dir);
		return s->dir != NONE;
	case OP_RENAME:
	case OP_EXCHANGE:
		s->dir = recall(&r->inodes, op->dir);
		s->dir2 = recall(&r->inodes, op->dir2);
		return s->dir != NONE && s->dir2 != NONE;
	case OP_WRITE:
	case OP_TRUNCATE:
	case OP_META:
		s->obj = recall(&r->inodes, op->ino);
		return s->obj != NONE;
	case OP_SYNC:
		learn(&r->syncs, op->off, i);
		return true;
	case OP_FSYNCED:
	case OP_DATASYNCED:
	case OP_SYNCEDFS:
		s->obj = recall(&r->inodes, op->ino);
		s->begin = recall(&r->syncs, op->off);
		return s->begin != NONE && s->obj != NONE;
	}
	errx(2, "the log has an operation %u", op->kind);
}

static char *text_of(const char *at, size_t len)
{
	return need(strndup(at, len));
}

struct replay *replay_open(const char *path, uint64_t root)
{
	struct replay *r = need(calloc(1, sizeof(*r)));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(2, "%s", path);
	const char *log = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (log == MAP_FAILED)
		err(2, "%s", path);
	close(fd);
	object_new(r, root, true);
	for (size_t at = 0; at < (size_t)st.st_size;) {
		struct op *op = need(malloc(sizeof(*op))); /* records are not aligned */

		memcpy(op, log + at, sizeof(*op));
		at += sizeof(*op);
		if (r->n % 1024 == 0)
			r->steps = need(reallocarray(r->steps, r->n + 1024, sizeof(*r->steps)));
		struct step *s = &r->steps[r->n];
		*s = (struct step){ .op = op };
		s->name = text_of(log + at, op->namelen);
		s->name2 = text_of(log + at + op->namelen, op->name2len);
		s->data = log + at + op->namelen + op->name2len;
		at += (size_t)op->namelen + op->name2len + op->len;
		if (!resolve(r, s, r->n))
			continue;
		if (s->obj != NONE)
			thread(r, r->n);
		r->n++;
	}
	return r;
}

size_t replay_length(const struct replay *r)
{
	return r->n;
}

uint64_t replay_marks(const struct replay *r, size_t cut)
{
	while (cut-- > 0)
		if (r->steps[cut].op->kind == OP_MARK)
			return r->steps[cut].op->off + 1;
	return 0;
}

/* --- what is durable ---------------------------------------------------------------------------- */

static void raise_to(size_t *at, size_t to)
{
	if (*at < to)
		*at = to;
}

static void note_syncs(struct replay *r)
{
	r->all_synced = 0;
	for (size_t i = 0; i < r->nobjects; i++) {
		struct object *o = &r->objects[i];

		o->data_synced = o->meta_synced = o->names_synced = 0;
		o->names_end = false;
	}
	for (size_t i = 0; i < r->cut; i++) {
		const struct step *s = &r->steps[i];
		struct object *o = s->obj == NONE ? NULL : &r->objects[s->obj];

		if (s->op->kind == OP_SYNCEDFS)
			raise_to(&r->all_synced, s->begin);
		if (s->op->kind != OP_FSYNCED && s->op->kind != OP_DATASYNCED)
			continue;
		raise_to(&o->data_synced, s->begin);
		raise_to(&o->names_synced, s->begin); /* they are a directory's data */
		if (s->op->kind == OP_FSYNCED)
			raise_to(&o->meta_synced, s->begin);
	}
}

static bool names(const struct step *s)
{
	return s->dir != NONE;
}

/* A change of two directories that one of them has made durable takes all before it in the other along. */
static void note_durable_names(struct replay *r)
{
	for (size_t i = 0; i < r->nobjects; i++)
		raise_to(&r->objects[i].names_synced, r->all_synced);
	for (size_t i = r->cut; i-- > 0;) {
		const struct step *s = &r->steps[i];

		if (!names(s))
			continue;
		size_t *a = &r->objects[s->dir].names_synced;
		size_t *b = s->dir2 == NONE ? a : &r->objects[s->dir2].names_synced;

		if (i < *a || i < *b) {
			raise_to(a, i + 1);
			raise_to(b, i + 1);
		}
	}
}

/* --- names -------------------------------------------------------------------------------------- */

static struct named **find(struct object *dir, const char *name)
{
	struct named **at = &dir->entries;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static size_t take(struct object *dir, const char *name)
{
	struct named **at = find(dir, name), *e = *at;

	if (!e)
		return NONE;
	size_t obj = e->obj;
	*at = e->next;
	free(e->name);
	free(e);
	return obj;
}

static void give(struct object *dir, const char *name, size_t obj)
{
	struct named *e = need(malloc(sizeof(*e)));

	take(dir, name);
	*e = (struct named){ need(strdup(name)), obj, dir->entries };
	dir->entries = e;
}

static void apply_name(struct replay *r, const struct step *s)
{
	struct object *dir = &r->objects[s->dir], *dir2 = s->dir2 == NONE ? NULL : &r->objects[s->dir2];
	size_t obj, other;

	switch ((enum op_kind)s->op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
	case OP_LINK:
		give(dir, s->name, s->obj);
		break;
	case OP_UNLINK:
		take(dir, s->name);
		break;
	case OP_RENAME:
		obj = take(dir, s->name);
		if (obj != NONE)
			give(dir2, s->name2, obj);
		break;
	case OP_EXCHANGE:
		obj = take(dir, s->name);
		other = take(dir2, s->name2);
		give(dir, s->name, other);
		give(dir2, s->name2, obj);
		break;
	case OP_MARK:
	case OP_TEMP:
	case OP_WRITE:
	case OP_TRUNCATE:
	case OP_META:
	case OP_SYNC:
	case OP_FSYNCED:
	case OP_DATASYNCED:
	case OP_SYNCEDFS:
		break;
	}
}

/* How much of what was not synced is there: nothing, all, or something in between; so for the whole tree,
 * and again for each directory and file. */
static unsigned mood(const struct replay *r, uint64_t which)
{
	static const unsigned char percents[] = { 0, 0, 50, 90, 100, 100 };
	uint64_t all = chance(r, 1, 0) % 8;

	if (r->seed == REPLAY_ALL)
		return 100;
	return all < 2 ? (unsigned)all * 100 : percents[chance(r, 2, which) % sizeof(percents)];
}

static void apply_names(struct replay *r)
{
	for (size_t i = 0; i < r->cut; i++) {
		const struct step *s = &r->steps[i];

		if (!names(s))
			continue;
		struct object *a = &r->objects[s->dir], *b = s->dir2 == NONE ? a : &r->objects[s->dir2];

		if (i >= a->names_synced && i >= b->names_synced &&
		    (a->names_end || b->names_end || chance(r, 3, i) % 100 >= mood(r, s->dir)))
			a->names_end = b->names_end = true;
		else
			apply_name(r, s);
	}
}

/* --- contents ----------------------------------------------------------------------------------- */

/* Of steps that are not durable those before this one are there. */
static size_t limit(const struct replay *r, size_t synced, uint64_t what, uint64_t which, unsigned percent)
{
	if (percent == 0 || synced >= r->cut)
		return synced;
	if (percent == 100)
		return r->cut;
	return synced + chance(r, what, which) % (r->cut - synced + 1);
}

struct content {
	char *data;
	size_t size, cap;
};

static void resize(struct content *c, size_t size)
{
	if (size > c->cap) {
		c->cap = size * 2;
		c->data = need(realloc(c->data, c->cap));
	}
	if (size > c->size)
		memset(c->data + c->size, 0, size - c->size);
	c->size = size;
}

static void apply_write(const struct replay *r, const struct step *s, size_t i, size_t synced, struct content *c)
{
	size_t at = s->op->off, end = at + s->op->len;

	while (at < end) {
		size_t page_end = (at / PAGE + 1) * PAGE, to = page_end < end ? page_end : end;

		if (i < synced || i < limit(r, synced, 4 + s->obj, at / PAGE, mood(r, s->obj))) {
			if (to > c->size)
				resize(c, to);
			memcpy(c->data + at, s->data + (at - s->op->off), to - at);
		}
		at = to;
	}
}

static void compose(const struct replay *r, size_t obj, struct content *c)
{
	const struct object *o = &r->objects[obj];
	size_t synced = o->data_synced > r->all_synced ? o->data_synced : r->all_synced;
	size_t sized = limit(r, synced, 5, obj, mood(r, obj));

	for (size_t i = o->first; i != NONE && i < r->cut; i = r->steps[i].next) {
		const struct step *s = &r->steps[i];

		if (s->op->kind == OP_TRUNCATE && (i < synced || i < sized))
			resize(c, s->op->off);
		if (s->op->kind != OP_WRITE)
			continue;
		if (i < sized && s->op->off + s->op->len > c->size)
			resize(c, s->op->off + s->op->len);
		apply_write(r, s, i, synced, c);
	}
}

static void set_meta(const struct replay *r, size_t obj, const char *path)
{
	const struct object *o = &r->objects[obj];
	size_t synced = o->meta_synced > r->all_synced ? o->meta_synced : r->all_synced;
	size_t there = limit(r, synced, 6, obj, mood(r, obj));
	const struct op *meta = NULL;

	for (size_t i = o->first; i != NONE && i < r->cut; i = r->steps[i].next) {
		const struct op *op = r->steps[i].op;

		if (op->kind == OP_CREATE || op->kind == OP_MKDIR || op->kind == OP_TEMP ||
		    (op->kind == OP_META && (i < synced || i < there)))
			meta = op;
	}
	if (meta && (chown(path, meta->uid, meta->gid) < 0 || chmod(path, meta->mode) < 0))
		err(2, "%s", path);
}

/* --- making the tree ---------------------------------------------------------------------------- */

static void make_file(struct replay *r, size_t obj, const char *path)
{
	struct content c = { 0 };
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	compose(r, obj, &c);
	for (size_t at = 0; fd >= 0 && at < c.size;) {
		ssize_t n = write(fd, c.data + at, c.size - at);

		if (n < 0)
			err(2, "%s", path);
		at += (size_t)n;
	}
	if (fd < 0)
		err(2, "%s", path);
	close(fd);
	free(c.data);
}

static void make_entries(struct replay *r, size_t dir, const char *path);

static void make(struct replay *r, size_t obj, const char *path)
{
	struct object *o = &r->objects[obj];
	struct stat st;

	if (o->made) {
		if (link(o->made, path) < 0)
			err(2, "%s", path);
		return;
	}
	o->made = need(strdup(path));
	if (o->is_dir) {
		if (mkdir(path, 0700) < 0)
			err(2, "%s", path);
		make_entries(r, obj, path);
	} else {
		make_file(r, obj, path);
	}
	set_meta(r, obj, path);
	if (lstat(path, &st) < 0)
		err(2, "%s", path);
	learn(&r->real, st.st_ino, o->ino);
}

static void make_entries(struct replay *r, size_t dir, const char *path)
{
	for (const struct named *e = r->objects[dir].entries; e; e = e->next) {
		char *below;

		if (asprintf(&below, "%s/%s", path, e->name) < 0)
			errx(2, "out of memory");
		make(r, e->obj, below);
		free(below);
	}
}

void replay_build(struct replay *r, size_t cut, uint64_t seed, const char *dir)
{
	r->cut = cut;
	r->seed = seed;
	note_syncs(r);
	note_durable_names(r);
	apply_names(r);
	make_entries(r, 0, dir);
}

ino_t replay_ino(const struct replay *r, ino_t ino)
{
	size_t known = recall(&r->real, ino);

	return known == NONE ? ino + UNKNOWN_INO : known;
}
