/* The queue: found by serial and by name through every change, and the history. */
#include "model/queue.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct job *job_of(uint64_t serial, const char *name, uid_t uid)
{
	cleanup(creds_free) struct creds *owner = creds_new(uid, uid, 022, 0, NULL);
	struct job *j = NULL;

	assert_int_equal(job_new(serial, name, owner, 100, &j), 0);
	return j;
}

static void publish(struct queue *q, struct job *draft)
{
	job_free(queue_publish(q, draft));
	files_reap(draft->files);
	queue_assert_sane(q);
}

static void add(struct queue *q, uint64_t serial, const char *name, uid_t uid)
{
	assert_int_equal(queue_reserve(q), 0);
	publish(q, job_of(serial, name, uid));
}

static struct job *draft_of(struct queue *q, uint64_t serial)
{
	struct job *draft = NULL;

	assert_int_equal(job_clone(queue_find(q, serial), &draft), 0);
	return draft;
}

static void end(struct queue *q, uint64_t serial)
{
	struct job *j = queue_remove(q, serial);

	assert_non_null(j);
	files_free(j->files);
	job_free(j);
	queue_assert_sane(q);
}

static void found_by_serial_and_name(void **state)
{
	struct queue *q = NULL;

	assert_int_equal(queue_new(4, &q), 0);
	assert_null(queue_find(q, 1));
	assert_null(queue_find_name(q, "a"));
	assert_null(queue_next(q, 0));
	add(q, 3, "a", 10);
	add(q, 9, "b", 10);
	add(q, 5, "c", 11); /* a turn may publish its new jobs in any order */
	assert_string_equal(queue_find(q, 9)->name, "b");
	assert_int_equal(queue_find_name(q, "c")->serial, 5);
	assert_null(queue_find(q, 4));
	assert_int_equal(queue_next(q, 0)->serial, 3);
	assert_int_equal(queue_next(q, 3)->serial, 5);
	assert_int_equal(queue_next(q, 6)->serial, 9);
	assert_null(queue_next(q, 9));
	assert_int_equal(queue_count(q), 3);
	assert_int_equal(queue_count_of(q, 10), 2);
	end(q, 5);
	assert_null(queue_find_name(q, "c"));
	assert_int_equal(queue_count_of(q, 11), 0);
	assert_null(queue_remove(q, 5));
	add(q, 12, "c", 10); /* the name is free again */
	assert_int_equal(queue_find_name(q, "c")->serial, 12);
	queue_free(q);
}

static void publishing_renames_and_gives_away(void **state)
{
	struct queue *q = NULL;
	struct job *draft;

	assert_int_equal(queue_new(4, &q), 0);
	add(q, 1, "old", 10);
	add(q, 2, "other", 10);
	draft = draft_of(q, 1);
	free(draft->name);
	draft->name = strdup("new");
	draft->uid = 77;
	assert_non_null(queue_find_name(q, "old")); /* a draft is not seen */
	publish(q, draft);
	assert_null(queue_find_name(q, "old"));
	assert_ptr_equal(queue_find_name(q, "new"), draft);
	assert_ptr_equal(queue_find(q, 1), draft);
	assert_int_equal(queue_count_of(q, 10), 1);
	assert_int_equal(queue_count_of(q, 77), 1);
	queue_free(q);
}

static void publishing_brings_the_files(void **state)
{
	struct source source = { .url = strdup("https://example.org/x") };
	struct queue *q = NULL;
	struct job *draft;
	uint32_t id;

	assert_int_equal(queue_new(4, &q), 0);
	add(q, 1, "a", 10);
	draft = draft_of(q, 1);
	assert_int_equal(files_add(draft->files, draft, "x", &source, &id), 0);
	assert_int_equal(files_lookup(queue_find(q, 1)->files, NODE_ROOT, "x"), NODE_NONE);
	assert_int_equal(queue_find(q, 1)->tally.files, 0);
	publish(q, draft);
	assert_int_equal(files_lookup(queue_find(q, 1)->files, NODE_ROOT, "x"), id);
	assert_int_equal(queue_find(q, 1)->tally.files, 1);
	queue_free(q);
}

/* One reservation for all new jobs of a turn; and many names, so that tables grow. */
static void many_jobs_in_one_turn(void **state)
{
	enum { MANY = 1000 };
	struct queue *q = NULL;
	char name[16];

	assert_int_equal(queue_new(4, &q), 0);
	assert_int_equal(queue_reserve_jobs(q, MANY), 0);
	for (uint64_t serial = MANY; serial > 0; serial--) {
		snprintf(name, sizeof(name), "job%u", (unsigned)serial);
		assert_null(queue_publish(q, job_of(serial, name, serial % 3)));
	}
	queue_assert_sane(q);
	for (uint64_t serial = 2; serial <= MANY; serial += 2) {
		struct job *j = queue_remove(q, serial);

		files_free(j->files);
		job_free(j);
	}
	queue_assert_sane(q);
	for (uint64_t serial = 1; serial <= MANY; serial++) {
		snprintf(name, sizeof(name), "job%u", (unsigned)serial);
		assert_int_equal(queue_find_name(q, name) != NULL, serial % 2);
		assert_int_equal(queue_find(q, serial) != NULL, serial % 2);
	}
	queue_free(q);
}

static void refused(void **state)
{
	struct queue *q = NULL;

	assert_int_equal(queue_new(4, &q), 0);
	add(q, 1, "a", 10);
	queue_set_refused(q, 1, "add: line 2: no");
	queue_set_refused(q, 0, "network: no");
	queue_set_refused(q, 99, "gone");
	assert_string_equal(queue_refused(q, 1), "add: line 2: no");
	assert_string_equal(queue_refused(q, 0), "network: no");
	assert_null(queue_refused(q, 99));
	publish(q, draft_of(q, 1));
	assert_string_equal(queue_refused(q, 1), "add: line 2: no"); /* outlives versions */
	queue_set_refused(q, 1, NULL);
	assert_null(queue_refused(q, 1));
	queue_free(q);
}

static void add_result_of(struct queue *q, uid_t uid, uint64_t serial, const char *name, int64_t ended)
{
	struct result *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	*r = (struct result){ .uid = uid, .serial = serial, .ended = ended };
	r->name = strdup(name);
	r->reason = strdup("command");
	assert_int_equal(history_add(queue_history(q), r), 0);
}

static void add_result(struct queue *q, uint64_t serial, const char *name, int64_t ended)
{
	add_result_of(q, 0, serial, name, ended);
}

static void history(void **state)
{
	const struct result *const *results;
	struct queue *q = NULL;
	char name[16];

	assert_int_equal(queue_new(4, &q), 0);
	assert_null(history_last(queue_history(q), "a"));
	add_result(q, 1, "a", 10);
	add_result(q, 2, "b", 20);
	add_result(q, 3, "a", 30);
	add_result(q, 4, "a", 15); /* the clock was set back */
	for (uint64_t serial = 5; serial < 200; serial++) { /* tables grow, order stays */
		snprintf(name, sizeof(name), "n%u", (unsigned)serial);
		add_result(q, serial, name, 1000);
	}
	assert_int_equal(history_last(queue_history(q), "a")->serial, 4);
	assert_int_equal(history_all(queue_history(q), &results), 199);
	assert_int_equal(results[0]->serial, 1);
	assert_int_equal(history_prune(queue_history(q), 20), 2);
	assert_int_equal(history_last(queue_history(q), "a")->serial, 3);
	assert_int_equal(history_all(queue_history(q), &results), 197);
	assert_int_equal(results[0]->serial, 2);
	assert_int_equal(results[1]->serial, 3);
	assert_int_equal(history_prune(queue_history(q), 31), 2);
	assert_null(history_last(queue_history(q), "a"));
	queue_assert_sane(q);
	queue_free(q);
}

/* The oldest of that user goes, whoever else has ended jobs before. */
static void history_of_one_user(void **state)
{
	const struct result *const *results;
	struct queue *q = NULL;

	assert_int_equal(queue_new(4, &q), 0);
	assert_int_equal(history_forget(queue_history(q), 1000, 0), 0);
	add_result_of(q, 0, 1, "a", 10);
	for (uint64_t serial = 2; serial <= 5; serial++)
		add_result_of(q, 1000, serial, "a", 10);
	add_result_of(q, 1001, 6, "b", 10);
	assert_int_equal(history_forget(queue_history(q), 1000, 4), 0);
	assert_int_equal(history_forget(queue_history(q), 1000, 3), 2);
	assert_int_equal(history_forget(queue_history(q), 1000, 3), 0);
	assert_int_equal(history_forget(queue_history(q), 1000, 0), 3);
	assert_int_equal(history_all(queue_history(q), &results), 4);
	assert_int_equal(results[0]->serial, 1);
	assert_int_equal(results[1]->serial, 4);
	queue_assert_sane(q);
	while (history_forget(queue_history(q), 1000, 0))
		queue_assert_sane(q);
	assert_int_equal(history_last(queue_history(q), "a")->serial, 1);
	add_result_of(q, 1000, 7, "a", 10);
	assert_int_equal(history_prune(queue_history(q), 11), 3);
	queue_assert_sane(q);
	queue_free(q);
}

/* A name that is used every minute for a month: what is found by it, and that none is looked for among the
 * others of the name. (A list of 30,000 took seconds to forget, under the lock; this would be a quarter of an hour.) */
static void history_of_one_name(void **state)
{
	struct queue *q = NULL;
	const struct history *h;
	const uint64_t many = 200000;

	assert_int_equal(queue_new(4, &q), 0);
	h = queue_history(q);
	for (uint64_t serial = 1; serial <= many; serial++)
		add_result_of(q, 1000 + serial % 2, serial, "nightly", serial < many - 2 ? 10 : 20);
	assert_int_equal(history_last(h, "nightly")->serial, many);
	assert_int_equal(history_find(h, 7)->serial, 7);
	assert_null(history_find(h, many + 1));
	assert_int_equal(history_users(h), 2);
	assert_int_equal(history_prune(queue_history(q), 11), many - 3);
	queue_assert_sane(q);
	assert_null(history_find(h, 7));
	/* In the middle, at the end, at the beginning. */
	assert_int_equal(history_forget(queue_history(q), 1001, 0), many - 1);
	queue_assert_sane(q);
	assert_int_equal(history_users(h), 1);
	assert_int_equal(history_user(h, 0), 1000);
	assert_int_equal(history_last(h, "nightly")->serial, many);
	add_result_of(q, 1001, many + 1, "nightly", 20);
	assert_int_equal(history_forget(queue_history(q), 1001, 0), many + 1);
	assert_int_equal(history_last(h, "nightly")->serial, many);
	assert_int_equal(history_forget(queue_history(q), 1000, 0), many - 2);
	assert_int_equal(history_last(h, "nightly")->serial, many);
	queue_assert_sane(q);
	queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_serial_and_name),
		cmocka_unit_test(publishing_renames_and_gives_away),
		cmocka_unit_test(publishing_brings_the_files),
		cmocka_unit_test(many_jobs_in_one_turn),
		cmocka_unit_test(refused),
		cmocka_unit_test(history),
		cmocka_unit_test(history_of_one_user),
		cmocka_unit_test(history_of_one_name),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
