/* Every path leads on: no job stays where it is because something happened at the wrong moment, and
 * nothing is remembered of one that rests.
 */
#include "harness.h"

#include "base/clock.h"
#include "core/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define URL "http://localhost/"
#define ZERO_SHA "0000000000000000000000000000000000000000000000000000000000000000"

static void remove_file(struct rig *rig, uint64_t job, const char *path)
{
	const struct command rm = {.kind = CMD_REMOVE, .node = files_find_path(job_of(rig, job)->files, path)};

	assert_int_equal(ask_command(rig, job, &rm, user), 0);
}

/* --- restarts --------------------------------------------------------------------------------- */

static void test_waiting_file_goes_on_after_a_restart(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	fail_with(rig, 503);
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	rig_restart(rig);
	assert_int_equal(job_of(rig, job)->error_count, 1);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_whole_file_is_synced_after_a_restart(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");

	rig->asleep = true;
	finish(rig, 5); /* saved as not synced, with the end of the other one */
	finish_stopped(rig, 0);
	wake(rig);
	rig_restart(rig);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_suspended_job_is_synced_after_a_restart(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	finish_stopped(rig, 1000);
	rig_restart(rig); /* before the SYNC has come back */
	sync_all(rig);
	assert_true(file_of(rig, job, "1")->synced);
	assert_null(rig->core->runs);
}

static void test_restart_of_each_state(void **state)
{
	struct rig *rig = *state;
	uint64_t suspended, transferred, failed, running, completing;
	struct asked done;

	suspended = running_job(rig, "suspended", URL "1");
	assert_int_equal(ask_verb(rig, suspended, EV_SUSPEND, user), 0);
	finish_stopped(rig, 0);
	transferred = transferred_job(rig, "transferred", URL "1");
	failed = running_job(rig, "failed", URL "1");
	fail_with(rig, 404);
	completing = completing_job(rig, &done, "completing", URL "1");
	running = running_job(rig, "running", URL "1");
	rig_restart(rig);
	assert_int_equal(state_of(rig, suspended), JOB_SUSPENDED);
	assert_int_equal(state_of(rig, transferred), JOB_TRANSFERRED);
	assert_int_equal(state_of(rig, failed), JOB_ERROR);
	assert_int_equal(state_of(rig, running), JOB_CONNECTING);
	assert_int_equal(state_of(rig, completing), JOB_COMPLETING);
	place_all(rig, 0);
	sync_all(rig);
	assert_int_equal(history_last(queue_history(rig->queue), "completing")->files_saved, 1);
	assert_int_equal(history_last(queue_history(rig->queue), "completing")->ended_by, 1000);
	assert_int_equal(rig->nfetches, 1);
	queue_assert_sane(rig->queue);
}

/* Never zeros where bytes should be. */
static void test_blobs_that_are_gone(void **state)
{
	struct rig *rig = *state;
	uint64_t suspended = running_job(rig, "suspended", URL "1"), transferred;
	char path[160];
	struct fetch *f;

	assert_int_equal(ask_verb(rig, suspended, EV_SUSPEND, user), 0);
	finish_stopped(rig, 1000);
	transferred = transferred_job(rig, "transferred", URL "1\n" URL "2\n");
	snprintf(path, sizeof(path), "%s/blobs/%llu/1.0", rig->directory, (unsigned long long)suspended);
	assert_return_code(truncate(path, 999), 0);
	snprintf(path, sizeof(path), "%s/blobs/%llu/2.0", rig->directory, (unsigned long long)transferred);
	assert_return_code(unlink(path), 0);
	rig_restart(rig);
	assert_int_equal(state_of(rig, suspended), JOB_SUSPENDED);
	assert_int_equal(file_got(file_of(rig, suspended, "1")), 0);
	assert_int_equal(state_of(rig, transferred), JOB_SUSPENDED); /* not all its files are here */
	assert_int_equal(file_of(rig, transferred, "1")->state, FILE_TRANSFERRED);
	assert_int_equal(ask_verb(rig, transferred, EV_RESUME, user), 0);
	f = take_fetch(rig);
	assert_string_equal(f->url, URL "2");
	assert_int_equal(f->have.n, 0);
	fetch_free(f);
	assert_int_equal(rig->nfetches, 0);
}

/* --- complete and cancel in the middle of something ------------------------------------------- */

static void test_complete_waits_for_a_removed_file(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");
	struct asked done;

	finish(rig, 5);
	remove_file(rig, job, "2");
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	finish_stopped(rig, 3);
	sync_all(rig);
	place_whole(rig, &done);
	assert_false(history_last(queue_history(rig->queue), "a")->partial);
}

static void complete_waits_for(struct rig *rig, const char *line, enum order_kind kind)
{
	uint64_t job = running_job(rig, "a", line);
	struct order *o;
	struct asked done;

	finish(rig, 5);
	o = take_order(rig, kind);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	assert_int_equal(rig->norders, 0);
	send_back(rig, o);
	place_whole(rig, &done);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_saved, 1);
}

static void test_complete_waits_for_a_checksum(void **state)
{
	complete_waits_for(*state, URL "1 sha256=" ZERO_SHA, ORDER_VERIFY);
}

static void test_complete_with_a_sync_under_way(void **state)
{
	complete_waits_for(*state, URL "1", ORDER_SYNC);
}

static void test_cancel_while_a_checksum_is_computed(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1 sha256=" ZERO_SHA);
	struct order *verify;
	struct asked done;

	finish(rig, 5);
	verify = take_order(rig, ORDER_VERIFY);
	begin_verb(rig, &done, job, EV_CANCEL, user);
	verify->files[0].err = verify->err = -ECANCELED;
	send_back(rig, verify);
	sync_all(rig);
	assert_int_equal(rig->cancelled, job); /* it may take minutes, and nobody wants to know */
	assert_true(done.answered);
	assert_null(rig->core->runs);
}

static void test_checksum_that_was_cancelled_is_computed_again(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1 sha256=" ZERO_SHA);
	struct order *verify;

	finish(rig, 5);
	verify = take_order(rig, ORDER_VERIFY);
	verify->files[0].err = -ECANCELED;
	send_back(rig, verify);
	finish(rig, 5); /* there is nothing to fetch: the engine says so */
	send_back(rig, take_order(rig, ORDER_VERIFY));
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_suspend_while_a_checksum_is_computed(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1 sha256=" ZERO_SHA);
	struct order *verify;

	finish(rig, 5);
	verify = take_order(rig, ORDER_VERIFY);
	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	send_back(rig, verify);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED); /* all its files are whole */
	assert_int_equal(rig->nfetches, 0);
}

static void test_complete_of_an_empty_job(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	place_whole(rig, &done);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_saved, 0);
	assert_null(rig->core->runs);
}

static void test_complete_all(void **state)
{
	struct rig *rig = *state;
	struct command all = {.kind = CMD_VERB, .verb = EV_COMPLETE, .all = true};
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");

	finish(rig, 5);
	assert_int_equal(ask_command(rig, job, &all, user), -EBUSY);
	assert_int_equal(rig->nceased, 0);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRING);
	assert_non_null(strstr(queue_refused(rig->queue, job), "all"));
}

/* The mover says nothing of a file: neither placed nor failed. It must not be dropped for that. */
static void test_file_that_was_not_placed_keeps_the_job(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job = completing_job(rig, &done, "a", URL "1\n" URL "2\n");

	place_first(rig, take_order(rig, ORDER_PREPARE));
	assert_true(done.answered);
	assert_int_equal(done.err, -EIO);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	assert_int_equal(file_of(rig, job, "1")->state, FILE_COMPLETED);
	assert_int_equal(file_of(rig, job, "2")->state, FILE_TRANSFERRED);
	assert_int_equal(file_of(rig, job, "2")->fault->err, EIO);
}

static void test_complete_by_itself_that_fails(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_with(rig, "a", "on_transferred", "complete");

	finish(rig, 3);
	sync_all(rig);
	place_all(rig, -EACCES);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	assert_int_equal(file_of(rig, job, "1")->fault->err, EACCES);
	assert_int_equal(rig->norders, 0); /* a person has to look at it */
	assert_null(rig->core->runs);
}

/* --- files that come and go ------------------------------------------------------------------- */

static void test_running_job_without_files_rests(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	remove_file(rig, job, "1");
	finish_stopped(rig, 3);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	assert_null(rig->core->runs);
}

static void test_resume_before_the_last_transfer_has_ended(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(rig->nfetches, 1); /* the old one still writes to the blob */
	finish_stopped(rig, 3);
	assert_int_equal(rig->nfetches, 1);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_transfer_that_fails_while_it_is_stopped(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	fail_with(rig, 503);
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	rig_pass(rig, 3600);
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	assert_null(rig->core->runs);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(rig->nfetches, 1);
}

static void test_job_gives_way_and_goes_on(void **state)
{
	struct rig *rig = *state;
	uint64_t low, high;

	rig->config.connections = 1;
	rig_restart(rig);
	low = running_job(rig, "low", URL "1");
	high = running_with(rig, "high", "priority", "high");
	assert_int_equal(rig->nceased, 1);
	finish_stopped(rig, 3);
	assert_int_equal(state_of(rig, low), JOB_QUEUED);
	assert_int_equal(state_of(rig, high), JOB_CONNECTING);
	finish(rig, 5);
	assert_int_equal(state_of(rig, low), JOB_CONNECTING);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, low), JOB_TRANSFERRED);
	assert_int_equal(state_of(rig, high), JOB_TRANSFERRED);
}

/* One file after the other is one transfer to those who look, not a new one each time. */
static void test_job_of_many_files_does_not_flap(void **state)
{
	struct rig *rig = *state;
	uint64_t job, seen, missed;

	rig->config.connections = 1;
	rig_restart(rig);
	job = running_job(rig, "a", URL "1\n" URL "2\n");
	send_progress(rig, rig->fetches[0], 3);
	seen = events_next_seq(queue_events(rig->queue));
	finish(rig, 5);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRING);
	assert_null(events_get(queue_events(rig->queue), seen, job, &missed));
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_suspended_job_is_synced(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	finish_stopped(rig, 1000);
	sync_all(rig); /* or a power cut next week would cost it all */
	assert_true(file_of(rig, job, "1")->synced);
	assert_int_equal(file_got(file_of(rig, job, "1")), 1000);
	assert_null(rig->core->runs);
}

static void test_sync_without_space_is_tried_again(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct order *sync;
	struct fetch *f;

	finish(rig, 5);
	sync = take_order(rig, ORDER_SYNC);
	sync->err = sync->files[0].err = -ENOSPC;
	send_back(rig, sync);
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	assert_int_equal(file_of(rig, job, "1")->fault->outcome, OUTCOME_DISK_FULL);
	rig_pass(rig, 16);
	f = take_fetch(rig);
	assert_int_equal(f->generation, 1); /* what was not synced may be anything */
	assert_int_equal(f->have.n, 0);
	assert_null(f->validator);
	fetch_free(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

/* --- the loop sleeps (the harness sees to it after each turn) ----------------------------------- */

/* What the mover does for minutes, a copy to another filesystem, is waited for without turning round. */
static void test_placing_is_waited_for_asleep(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2");
	struct asked asked;

	finish(rig, 5);
	begin_verb(rig, &asked, job, EV_COMPLETE, user);
	finish_stopped(rig, 3);
	rig_pass(rig, 60);
	sync_all(rig);
	rig_pass(rig, 60);
	place_all(rig, 0);
	sync_all(rig);
	assert_true(asked.answered);
	assert_int_equal(asked.err, 0);
}

/* A transfer that was begun before no_progress_timeout is over may yet bring something. */
static void test_last_try_is_waited_for_asleep(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_with(rig, "a", "no_progress_timeout", "5");

	fail_with(rig, 503);
	rig_pass(rig, 3);
	assert_int_equal(rig->nfetches, 1);
	rig_pass(rig, 60);
	fail_with(rig, 503);
	assert_int_equal(state_of(rig, job), JOB_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_waiting_file_goes_on_after_a_restart),
		TEST(test_whole_file_is_synced_after_a_restart),
		TEST(test_suspended_job_is_synced_after_a_restart),
		TEST(test_restart_of_each_state),
		TEST(test_blobs_that_are_gone),
		TEST(test_complete_waits_for_a_removed_file),
		TEST(test_complete_waits_for_a_checksum),
		TEST(test_complete_with_a_sync_under_way),
		TEST(test_cancel_while_a_checksum_is_computed),
		TEST(test_checksum_that_was_cancelled_is_computed_again),
		TEST(test_suspend_while_a_checksum_is_computed),
		TEST(test_complete_of_an_empty_job),
		TEST(test_complete_all),
		TEST(test_file_that_was_not_placed_keeps_the_job),
		TEST(test_complete_by_itself_that_fails),
		TEST(test_running_job_without_files_rests),
		TEST(test_resume_before_the_last_transfer_has_ended),
		TEST(test_transfer_that_fails_while_it_is_stopped),
		TEST(test_job_gives_way_and_goes_on),
		TEST(test_job_of_many_files_does_not_flap),
		TEST(test_suspended_job_is_synced),
		TEST(test_sync_without_space_is_tried_again),
		TEST(test_placing_is_waited_for_asleep),
		TEST(test_last_try_is_waited_for_asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
