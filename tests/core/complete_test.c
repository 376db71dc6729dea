/* Complete, as the core conducts it: what is prepared, saved, placed and answered, in which order, and what
 * becomes of files that cannot be placed.
 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL "http://localhost/"

static void test_complete_while_running_keeps_whole_files(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");
	struct asked done;
	struct fetch *f;

	finish(rig, 10);
	f = take_fetch(rig);
	send_progress(rig, f, 5);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	sync_all(rig);
	assert_int_equal(rig->nceased, 1);
	assert_int_equal(rig->norders, 0); /* not before its transfers have ended */
	send_ended(rig, f, OUTCOME_STOPPED, 7, 10);
	fetch_free(f);
	sync_all(rig);
	place_all(rig, 0);
	sync_all(rig);
	assert_true(done.answered);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_saved, 1);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_dropped, 1);
}

static void test_file_that_cannot_be_placed_keeps_the_job(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job = completing_job(rig, &done, "a", URL "1\n" URL "2\n");

	place_all(rig, -EACCES);
	assert_true(done.answered);
	assert_int_equal(done.err, -EACCES);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	assert_int_equal(file_of(rig, job, "2")->state, FILE_COMPLETED);
	assert_int_equal(file_of(rig, job, "1")->fault->err, EACCES);
	rig_restart(rig);
	assert_int_equal(file_of(rig, job, "2")->state, FILE_COMPLETED);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	place_whole(rig, &done);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_saved, 2);
}

/* What the mover finds gone from the staging area is fetched again on resume, and nothing else. */
static void test_file_that_was_lost(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job = completing_job(rig, &done, "a", URL "1\n" URL "2\n");
	struct order *o;
	struct fetch *f;

	o = take_order(rig, ORDER_PREPARE);
	assert_int_equal(o->files[1].size, WHOLE);
	o->files[1].err = o->err = -EIO;
	o->files[1].lost = true;
	place_first(rig, o);
	assert_true(done.answered);
	assert_int_equal(done.err, -EIO);
	assert_non_null(strstr(queue_refused(rig->queue, job), "resume"));
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	assert_int_equal(file_of(rig, job, "1")->state, FILE_COMPLETED);
	assert_int_equal(file_of(rig, job, "2")->state, FILE_FAILED);
	assert_int_equal(file_of(rig, job, "2")->fault->outcome, OUTCOME_LOST);
	rig_restart(rig);
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	f = rig->fetches[0];
	assert_string_equal(f->url, URL "2");
	assert_int_equal(f->have.n, 0);
	assert_int_equal(f->generation, 1);
	finish(rig, 10);
	sync_all(rig);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	place_whole(rig, &done);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_saved, 2);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_dropped, 0);
}

/* What is at the destination would go for a tree that lacks files. */
static void test_tree_is_never_partial(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");
	struct asked done;

	assert_int_equal(ask_set(rig, job, "destination", "to", user), 0);
	assert_int_equal(ask_set(rig, job, "commit", "tree", user), 0);
	finish(rig, 10);
	assert_int_equal(ask_verb(rig, job, EV_COMPLETE, user), -EBUSY);
	assert_non_null(strstr(queue_refused(rig->queue, job), "tree"));
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRING);
	finish(rig, 10);
	sync_all(rig);
	/* Its first file is placed alone, the second fails: the tree would take the first away again. */
	assert_int_equal(ask_set(rig, job, "commit", "files", user), 0);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	place_all(rig, -EACCES);
	assert_int_equal(ask_set(rig, job, "commit", "tree", user), 0);
	assert_int_equal(ask_verb(rig, job, EV_COMPLETE, user), -EBUSY);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

/* What is said is what was wrong, not what had to be given up for it. */
static void test_tree_fails_for_one_file(void **state)
{
	struct rig *rig = *state;
	uint64_t job = transferred_job(rig, "a", URL "1\n" URL "2\n");
	struct asked done;
	struct order *o;

	assert_int_equal(ask_set(rig, job, "destination", "to", user), 0);
	assert_int_equal(ask_set(rig, job, "commit", "tree", user), 0);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	o = take_order(rig, ORDER_PREPARE);
	o->files[0].err = o->err = -ECANCELED;
	o->files[1].err = -ENOSPC;
	send_back(rig, o);
	assert_true(done.answered);
	assert_int_equal(done.err, -ENOSPC);
	assert_non_null(strstr(queue_refused(rig->queue, job), "2: No space"));
	assert_null(file_of(rig, job, "1")->fault);
	assert_int_equal(file_of(rig, job, "2")->fault->err, ENOSPC);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	place_whole(rig, &done);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_saved, 2);
}

static void test_inodes_are_saved_before_anything_is_placed(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job = completing_job(rig, &done, "a", URL "1");
	struct order *o;

	o = take_order(rig, ORDER_PREPARE);
	o->files[0].dev = 3;
	o->files[0].ino = 77;
	send_back(rig, o);
	rig_restart(rig); /* killed when PLACE may have begun */
	assert_int_equal(state_of(rig, job), JOB_COMPLETING);
	assert_int_equal(file_of(rig, job, "1")->ino, 77);
	o = take_order(rig, ORDER_PREPARE); /* may be repeated: it finds what was done */
	assert_int_equal(o->creds->uid, 1000);
	assert_int_equal(o->files[0].ino, 77);
	order_free(o);
}

/* What SYNC has seen and PREPARE finds so is saved by one row of the job; but seen is not prepared. */
static void test_inodes_that_sync_has_seen(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job = completing_seen(rig, &done);
	struct order *o;

	order_free(take_order(rig, ORDER_PREPARE));
	rig_restart(rig); /* killed while PREPARE was at work: nothing has its name yet */
	o = take_order(rig, ORDER_PREPARE);
	for (size_t i = 0; i < o->nfiles; i++) {
		assert_int_equal(o->files[i].dev, INODE_NONE);
		o->files[i].dev = INODE_BLOB;
	}
	o->files[0].ino = 7;
	o->files[1].ino = 9; /* somebody has put another one there */
	send_back(rig, o);
	o = take_order(rig, ORDER_PLACE);
	assert_false(o->fresh);
	assert_true(o->files[0].dev == INODE_BLOB && o->files[0].ino == 7);
	assert_true(o->files[1].dev == INODE_BLOB && o->files[1].ino == 9);
	order_free(o);
	rig_restart(rig); /* killed while PLACE was at work: neither may be prepared again */
	o = take_order(rig, ORDER_PREPARE);
	assert_true(o->files[0].dev == INODE_BLOB && o->files[0].ino == 7);
	assert_true(o->files[1].dev == INODE_BLOB && o->files[1].ino == 9);
	send_back(rig, o);
	o = take_order(rig, ORDER_PLACE);
	o->files[0].done = true;
	o->files[1].err = o->err = -EACCES;
	send_back(rig, o);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	assert_false(job_of(rig, job)->prepared);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	assert_int_equal(rig->orders[0]->nfiles, 1);
	assert_int_equal(rig->orders[0]->files[0].dev, INODE_NONE);
	place_whole(rig, &done);
}

static void test_first_placing_is_fresh(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	struct order *o;

	completing_job(rig, &done, "a", URL "1");
	o = take_order(rig, ORDER_PREPARE);
	o->files[0].dev = INODE_BLOB;
	o->files[0].ino = 7;
	send_back(rig, o);
	o = take_order(rig, ORDER_PLACE);
	assert_true(o->fresh);
	o->files[0].done = true;
	send_back(rig, o);
	sync_all(rig);
	assert_true(done.answered);
}

static void test_on_transferred_complete(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_with(rig, "a", "on_transferred", "complete");

	finish(rig, 3);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_COMPLETING);
	place_all(rig, 0);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_STATE_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_complete_while_running_keeps_whole_files),
		TEST(test_file_that_cannot_be_placed_keeps_the_job),
		TEST(test_file_that_was_lost),
		TEST(test_tree_is_never_partial),
		TEST(test_tree_fails_for_one_file),
		TEST(test_inodes_are_saved_before_anything_is_placed),
		TEST(test_inodes_that_sync_has_seen),
		TEST(test_first_placing_is_fresh),
		TEST(test_on_transferred_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
