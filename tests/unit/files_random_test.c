/* The files of a job against a naive model, arrays of paths, through random turns that are
 * published or dropped.
 */
#include "files_turn.h"

#include <errno.h>
#include <stdio.h>

enum { WORLD_MAX = 400 };

struct thing {
	char path[16];
	bool is_dir;
	uint32_t id;
	uint64_t bytes; /* 0: not begun */
};

struct world {
	struct thing v[WORLD_MAX];
	size_t n;
};

static struct thing *world_find(struct world *w, const char *path)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i].path, path) == 0)
			return &w->v[i];
	return NULL;
}

static void world_put(struct world *w, const char *path, bool is_dir, uint32_t id)
{
	struct thing *thing = &w->v[w->n++];

	assert_true(w->n < WORLD_MAX);
	*thing = (struct thing){ .is_dir = is_dir, .id = id };
	strcpy(thing->path, path);
}

static bool world_has_children(const struct world *w, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < w->n; i++)
		if (strncmp(w->v[i].path, path, len) == 0 && w->v[i].path[len] == '/')
			return true;
	return false;
}

/* What files_add and files_mkdir shall do. */
static int world_add(struct world *w, const char *path, bool is_dir, uint32_t id,
	const struct files *f)
{
	const struct thing *found = world_find(w, path);
	char parent[16];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		const struct thing *on_way;

		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		on_way = world_find(w, parent);
		if (on_way && !on_way->is_dir)
			return -ENOTDIR;
	}
	if (found)
		return found->is_dir && !is_dir ? -EISDIR : -EEXIST;
	if (id == NODE_NONE)
		return 0; /* only asked */
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		if (!world_find(w, parent))
			world_put(w, parent, true, files_find_path(f, parent));
	}
	world_put(w, path, is_dir, id);
	return 0;
}

static void random_path(uint64_t *random, char path[16])
{
	unsigned depth = 1 + test_random(random) % 3;
	char *at = path;

	for (unsigned i = 0; i < depth; i++) {
		*at++ = (char)('a' + test_random(random) % 6);
		*at++ = i + 1 < depth ? '/' : '\0';
	}
}

/* All that readers see is in W, and the other way round. */
static void compare_readers(const struct files *f, struct world *w)
{
	size_t nodes = 0, nfiles = 0;

	for (uint32_t id = 0; id < files_node_count(f); id++) {
		cleanup_free char *path = NULL;
		const struct thing *thing;
		struct node node;
		uint32_t last = NODE_ROOT;

		if (!files_node(f, id, &node) || id == NODE_ROOT)
			continue;
		nodes++;
		assert_int_equal(files_path(f, id, &path), 0);
		thing = NULL;
		for (size_t i = 0; i < w->n; i++)
			if (w->v[i].id == id)
				thing = &w->v[i];
		assert_non_null(thing);
		assert_string_equal(thing->path, path);
		assert_int_equal(thing->is_dir, node.is_dir);
		assert_int_equal(files_lookup(f, node.parent, node.name), id);
		assert_int_equal(files_next_child(f, node.parent, id - 1), id);
		nfiles += !node.is_dir;
		if (!node.is_dir)
			assert_int_equal(file_got(file_now(f, id)), thing->bytes);
		for (uint32_t child = files_next_child(f, id, NODE_ROOT); child != NODE_NONE;
		     child = files_next_child(f, id, child)) {
			assert_true(child > last);
			last = child;
		}
	}
	assert_int_equal(nodes, w->n);
	assert_int_equal(nfiles, files_count(f));
}

static void compare_core(const struct files *f, struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct thing *thing = &w->v[i];

		assert_int_equal(files_find_path(f, thing->path), thing->id);
		if (thing->is_dir)
			assert_null(file_draft(f, thing->id));
		else
			assert_int_equal(file_got(file_draft(f, thing->id)), thing->bytes);
	}
}

static void random_step(struct turn *t, struct world *draft, uint64_t *random)
{
	unsigned what = test_random(random) % 10;
	struct thing *thing;
	uint32_t id = NODE_NONE;
	char path[16];
	int r;

	random_path(random, path);
	thing = world_find(draft, path);
	if (what < 4) {
		r = add(t, path, &id);
		assert_int_equal(r, world_add(draft, path, false, id, t->files));
	} else if (what == 4) {
		r = files_mkdir(t->files, path, &id);
		assert_int_equal(r, world_add(draft, path, true, id, t->files));
	} else if (what < 7) {
		id = files_find_path(t->files, path);
		if (!thing) {
			assert_int_equal(id, NODE_NONE);
			return;
		}
		assert_int_equal(id, thing->id);
		r = files_remove(t->files, t->draft, id);
		assert_int_equal(r, world_has_children(draft, path) ? -ENOTEMPTY : 0);
		if (r == 0)
			*thing = draft->v[--draft->n];
	} else if (thing) {
		uint64_t bytes = test_random(random) % 3; /* 0: as if it had not begun */

		r = set(t, thing->id, FILE_QUEUED, bytes, bytes ? 100 : SIZE_UNKNOWN);
		assert_int_equal(r, thing->is_dir ? -ENOENT : 0);
		if (r == 0)
			thing->bytes = bytes;
	}
}

static void as_a_naive_model(void **state)
{
	static struct world now, draft;
	uint64_t random = 20261121;
	struct turn t = begin();

	for (int turn = 0; turn < 600; turn++) {
		for (unsigned steps = test_random(&random) % 8; steps > 0; steps--) {
			random_step(&t, &draft, &random);
			check(&t);
			compare_core(t.files, &draft);
		}
		compare_readers(t.files, &now);
		if (test_random(&random) % 3) {
			publish(&t);
			now = draft;
		} else {
			drop(&t);
			draft = now;
		}
		compare_core(t.files, &draft);
		compare_readers(t.files, &now);
	}
	finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_a_naive_model),
	};

	return cmocka_run_group_tests_name("files_random", tests, NULL, NULL);
}
