/* The files of one job in the hands of a core: what the tests of model/files.h share. Every step
 * checks the invariants.
 */
#pragma once

#include "model/files.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

/* A job as the core has it: the published version and the draft of this turn. */
struct turn {
	struct job *now, *draft;
	struct files *files;
};

static inline struct turn begin(void)
{
	cleanup(creds_free) struct creds *owner = creds_new(1000, 1000, 022, 0, NULL);
	struct turn t = { 0 };

	assert_int_equal(job_new(1, "job", owner, 100, &t.now), 0);
	assert_int_equal(job_clone(t.now, &t.draft), 0);
	t.files = t.now->files;
	return t;
}

static inline void check(const struct turn *t)
{
	files_assert_sane(t->files, t->draft);
}

static inline void publish(struct turn *t)
{
	files_publish(t->files);
	files_assert_sane(t->files, t->draft); /* before the reaping, as readers may see it */
	files_reap(t->files);
	job_free(t->now);
	t->now = t->draft;
	assert_int_equal(job_clone(t->now, &t->draft), 0);
	check(t);
}

static inline void drop(struct turn *t)
{
	files_drop_drafts(t->files);
	job_free(t->draft);
	assert_int_equal(job_clone(t->now, &t->draft), 0);
	check(t);
}

static inline void finish(struct turn *t)
{
	files_free(t->files);
	job_free(t->draft);
	job_free(t->now);
}

static inline int add(struct turn *t, const char *path, uint32_t *ret_id)
{
	struct source source = { .url = strdup("https://example.org/file") };
	uint32_t id = NODE_NONE;
	int r = files_add(t->files, t->draft, path, &source, &id);

	if (r < 0) {
		assert_non_null(source.url); /* still ours */
		source_release(&source);
	} else {
		assert_null(source.url);
	}
	if (ret_id)
		*ret_id = id;
	check(t);
	return r;
}

/* BYTES of SIZE have come. */
static inline int set(struct turn *t, uint32_t id, enum file_state state, uint64_t bytes,
	uint64_t size)
{
	struct file version = { .state = (uint8_t)state, .size = size, .mtime = INT64_MIN };
	int r;

	if (bytes)
		assert_int_equal(extents_add(&version.have, 0, bytes), 0);
	r = files_set(t->files, t->draft, id, &version);
	file_release(&version);
	check(t);
	return r;
}
