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

static void fail_with(struct rig *rig, int http_status)
{
	struct fetch *f = take_fetch(rig);

	send_status(rig, f, http_status, -1);
	fetch_free(f);
}

static void remove_file(struct rig *rig, uint64_t job, const char *path)
{
	const struct command rm = {.kind = CMD_REMOVE, .node = files_find_path(job_of(rig, job)->files, path)};

	assert_int_equal(ask_command(rig, job, &rm, user), 0);
}

/* A job with one file and property NAME set to VALUE, resumed. */
static uint64_t running_with(struct rig *rig, const char *job_name, const char *name, const char *value)
{
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, job_name, user, &job), 0);
	assert_int_equal(ask_set(rig, job, name, value, user), 0);
	assert_int_equal(ask_add(rig, job, URL "1", user), 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	return job;
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
	transferred = running_job(rig, "transferred", URL "1");
	finish(rig, 5);
	sync_all(rig);
	failed = running_job(rig, "failed", URL "1");
	fail_with(rig, 404);
	completing = running_job(rig, "completing", URL "1");
	finish(rig, 5);
	sync_all(rig);
	begin_verb(rig, &done, completing, EV_COMPLETE, user);
	running = running_job(rig, "running", URL "1");
	rig_restart(rig);
	assert_int_equal(state_of(rig, suspended), JOB_SUSPENDED);
	assert_int_equal(state_of(rig, transferred), JOB_TRANSFERRED);
	assert_int_equal(state_of(rig, failed), JOB_ERROR);
	assert_int_equal(state_of(rig, running), JOB_CONNECTING);
	assert_int_equal(state_of(rig, completing), JOB_COMPLETING);
	place_all(rig, 0);
	sync_all(rig);
	assert_int_equal(queue_last_result(rig->queue, "completing")->files_saved, 1);
	assert_int_equal(queue_last_result(rig->queue, "completing")->ended_by, 1000);
	assert_int_equal(rig->nfetches, 1);
	queue_assert_sane(rig->queue);
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
	place_all(rig, 0);
	sync_all(rig);
	assert_true(done.answered);
	assert_int_equal(done.err, 0);
	assert_false(queue_last_result(rig->queue, "a")->partial);
}

static void test_complete_waits_for_a_checksum(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1 sha256=" ZERO_SHA);
	struct order *verify;
	struct asked done;

	finish(rig, 5);
	verify = take_order(rig, ORDER_VERIFY);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	assert_int_equal(rig->norders, 0);
	send_back(rig, verify);
	place_all(rig, 0);
	sync_all(rig);
	assert_true(done.answered);
	assert_int_equal(queue_last_result(rig->queue, "a")->files_saved, 1);
}

static void test_complete_with_a_sync_under_way(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct order *sync;
	struct asked done;

	finish(rig, 5);
	sync = take_order(rig, ORDER_SYNC);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	assert_int_equal(rig->norders, 0);
	send_back(rig, sync);
	place_all(rig, 0);
	sync_all(rig);
	assert_true(done.answered);
	assert_int_equal(done.err, 0);
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
	place_all(rig, 0);
	sync_all(rig);
	assert_true(done.answered);
	assert_int_equal(done.err, 0);
	assert_int_equal(queue_last_result(rig->queue, "a")->files_saved, 0);
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
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");
	struct asked done;
	struct order *o;

	finish(rig, 5);
	finish(rig, 5);
	sync_all(rig);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	o = take_order(rig, ORDER_PREPARE);
	o->files[0].ino = 7;
	send_back(rig, o);
	o = take_order(rig, ORDER_PLACE);
	assert_int_equal(o->nfiles, 1);
	o->files[0].done = true;
	send_back(rig, o);
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

/* --- obstacles -------------------------------------------------------------------------------- */

static void test_retries_do_not_run_against_an_obstacle(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1"), seen, missed;

	fail_with(rig, 503);
	send_network(rig, false);
	assert_int_equal(job_of(rig, job)->fault->outcome, OUTCOME_OFFLINE);
	assert_int_equal(job_of(rig, job)->error_count, 1);
	seen = events_next_seq(queue_events(rig->queue));
	for (int i = 0; i < 10; i++)
		rig_pass(rig, 100);
	assert_null(events_get(queue_events(rig->queue), seen, job, &missed));
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	assert_int_equal(job_of(rig, job)->error_count, 1);
	assert_int_equal(job_of(rig, job)->fault->outcome, OUTCOME_OFFLINE);
	send_network(rig, true);
	assert_null(job_of(rig, job)->fault);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

/* BITS counts neither the loss of the network nor a window without bandwidth. */
static void test_obstacle_is_no_error(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	send_network(rig, false);
	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	assert_null(job_of(rig, job)->fault); /* shown only in a state of error */
	finish_stopped(rig, 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	assert_int_equal(job_of(rig, job)->fault->outcome, OUTCOME_OFFLINE);
	assert_int_equal(job_of(rig, job)->error_count, 0);
	assert_int_equal(rig->nfetches, 0);
	rig_pass(rig, 15 * 86400); /* that time is not the server's */
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	send_network(rig, true);
	assert_int_equal(rig->nfetches, 1);
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
}

static void test_failed_job_does_not_wait_for_the_network(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	send_network(rig, false);
	fail_with(rig, 404);
	assert_int_equal(state_of(rig, job), JOB_ERROR);
}

static void test_metered_network_by_priority(void **state)
{
	struct rig *rig = *state;
	struct command network = {.kind = CMD_NETWORK, .network = NETWORK_METERED};
	uint64_t normal;

	assert_int_equal(ask_command(rig, 0, &network, root), 0);
	normal = running_job(rig, "normal", URL "1");
	assert_int_equal(job_of(rig, normal)->fault->outcome, OUTCOME_METERED);
	running_with(rig, "high", "priority", "high");
	assert_int_equal(rig->nfetches, 1);
	running_with(rig, "allowed", "metered", "allow");
	assert_int_equal(rig->nfetches, 2);
	running_with(rig, "low", "priority", "low");
	assert_int_equal(rig->nfetches, 2);
	assert_int_equal(ask_set(rig, normal, "priority", "foreground", user), 0); /* live */
	assert_int_equal(rig->nfetches, 3);
	assert_int_equal(state_of(rig, normal), JOB_CONNECTING);
}

static void test_window_without_bandwidth(void **state)
{
	struct rig *rig = *state;
	struct command look = {.kind = CMD_NETWORK};
	uint64_t job = running_job(rig, "a", URL "1");

	send_progress(rig, rig->fetches[0], 3);
	rig->config.limit = 0;
	assert_int_equal(ask_command(rig, 0, &look, root), 0);
	assert_int_equal(rig->nceased, 1);
	finish_stopped(rig, 3);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	assert_int_equal(job_of(rig, job)->fault->outcome, OUTCOME_BANDWIDTH);
	rig_restart(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	rig->config.limit = LIMIT_MAX;
	assert_int_equal(ask_command(rig, 0, &look, root), 0);
	assert_int_equal(rig->nfetches, 1);
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
}

static void test_timetable(void **state)
{
	struct rig *rig = *state;
	uint64_t job;

	/* The rig's clock stands at a Tuesday, 22:13:20 UTC. */
	setenv("TZ", "UTC", 1);
	free(rig->config.schedule);
	rig->config.schedule = strdup("Tue 22:00-23:00 0; else max");
	rig_restart(rig);
	job = running_job(rig, "a", URL "1");
	assert_int_equal(job_of(rig, job)->fault->outcome, OUTCOME_BANDWIDTH);
	assert_int_equal(rig->nfetches, 0);
	while (rig->moment.wall_ms < INT64_C(1700002800000)) {
		assert_int_equal(rig->nfetches, 0);
		assert_true(rig->deadline > rig->moment.now);
		rig->moment.wall_ms += (rig->deadline - rig->moment.now) / NSEC_PER_MSEC;
		rig->moment.now = rig->deadline;
		turn(rig);
	}
	assert_int_equal(rig->nfetches, 1); /* on the first second of 23:00 */
	assert_true(rig->moment.wall_ms < INT64_C(1700002801000));
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
}

static void test_limit_of_a_resting_job_is_forgotten(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	assert_int_equal(ask_set(rig, job, "rate_limit", "1000", user), 0);
	assert_int_equal(rig->job_limit, 1000);
	finish(rig, 5);
	sync_all(rig);
	assert_true(rig->job_limit == LIMIT_MAX);
	job = running_with(rig, "b", "rate_limit", "1000");
	assert_int_equal(rig->job_limit, 1000);
	assert_int_equal(rig->nfetches, 1);
	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	assert_true(rig->job_limit == LIMIT_MAX);
}

/* --- the notify command ----------------------------------------------------------------------- */

static uint64_t notifying_job(struct rig *rig)
{
	uint64_t job = running_with(rig, "a", "notify", "/bin/true");

	finish(rig, 5);
	sync_all(rig);
	assert_non_null(rig->errand);
	return job;
}

static void test_notify_until_it_succeeds(void **state)
{
	struct rig *rig = *state;
	uint64_t job = notifying_job(rig);

	send_errand_back(rig, 1);
	assert_null(rig->errand);
	rig_pass(rig, 601);
	send_errand_back(rig, 0);
	assert_int_equal(job_of(rig, job)->notified, JOB_TRANSFERRED);
	assert_null(rig->core->runs);
	rig_restart(rig);
	assert_null(rig->errand);
}

static void test_notify_after_a_restart(void **state)
{
	struct rig *rig = *state;

	notifying_job(rig);
	rig_restart(rig);
	assert_non_null(rig->errand);
}

/* The command of one state still runs when the job comes to the next: both are told. */
static void test_notify_of_the_next_state(void **state)
{
	struct rig *rig = *state;
	uint64_t job = notifying_job(rig);

	assert_int_equal(ask_add(rig, job, URL "2", user), 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	fail_with(rig, 404);
	assert_int_equal(state_of(rig, job), JOB_ERROR);
	send_errand_back(rig, 0);
	assert_non_null(rig->errand);
	assert_int_equal(job_of(rig, job)->notified, JOB_SUSPENDED);
	send_errand_back(rig, 0);
	assert_int_equal(job_of(rig, job)->notified, JOB_ERROR);
}

static void test_notify_of_the_same_state_again(void **state)
{
	struct rig *rig = *state;
	uint64_t job = notifying_job(rig);

	assert_int_equal(ask_add(rig, job, URL "2", user), 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	send_errand_back(rig, 0); /* of the first time */
	assert_non_null(rig->errand);
}

static void test_notify_is_forgotten_with_the_job(void **state)
{
	struct rig *rig = *state;
	uint64_t job = notifying_job(rig);

	send_errand_back(rig, 1);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), 0);
	rig_pass(rig, 601);
	assert_null(rig->errand);
	assert_null(rig->core->runs);
}

/* --- what is remembered ----------------------------------------------------------------------- */

static void test_nothing_is_remembered_of_ended_jobs(void **state)
{
	struct rig *rig = *state;
	uint64_t cancelled = running_job(rig, "cancelled", URL "1"), completed;
	struct asked done, gone;

	send_progress(rig, rig->fetches[0], 3);
	begin_verb(rig, &gone, cancelled, EV_CANCEL, user);
	assert_false(gone.answered); /* its transfer may still write */
	finish_stopped(rig, 3);
	sync_all(rig);
	assert_true(gone.answered);
	completed = running_job(rig, "completed", URL "1\n" URL "2\n");
	finish(rig, 5);
	begin_verb(rig, &done, completed, EV_COMPLETE, user);
	finish_stopped(rig, 3);
	sync_all(rig);
	place_all(rig, 0);
	sync_all(rig);
	assert_true(done.answered);
	assert_null(rig->core->runs);
	assert_int_equal(rig->core->ntimers, 0);
}

static void test_timers_do_not_pile_up(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct command network = {.kind = CMD_NETWORK};
	struct fetch *f = take_fetch(rig);

	for (int i = 1; i <= 50; i++) {
		send_progress(rig, f, (uint64_t)i * 100);
		rig_pass(rig, 3);
		sync_all(rig);
	}
	for (int i = 0; i < 10; i++) {
		assert_int_equal(ask_command(rig, 0, &network, root), 0);
		assert_int_equal(ask_mkdir(rig, "b", user, &job), 0);
		assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), 0);
	}
	assert_true(rig->core->ntimers <= 2);
	fetch_free(f);
}

static void test_unlimited_history(void **state)
{
	struct rig *rig = *state;
	uint64_t job;

	rig->config.history_days = LIMIT_MAX;
	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), 0);
	assert_non_null(queue_last_result(rig->queue, "a"));
	rig_restart(rig);
	assert_non_null(queue_last_result(rig->queue, "a"));
}

static void test_history_is_pruned(void **state)
{
	struct rig *rig = *state;
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), 0);
	rig_pass(rig, 31 * 86400);
	assert_int_equal(ask_mkdir(rig, "b", user, &job), 0);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), 0);
	assert_null(queue_last_result(rig->queue, "a"));
	assert_non_null(queue_last_result(rig->queue, "b"));
	rig_restart(rig);
	assert_null(queue_last_result(rig->queue, "a"));
	assert_non_null(queue_last_result(rig->queue, "b"));
}

static void test_inactive_jobs_one_after_the_other(void **state)
{
	struct rig *rig = *state;
	uint64_t a, b;

	assert_int_equal(ask_mkdir(rig, "a", user, &a), 0);
	rig_pass(rig, 86400);
	assert_int_equal(ask_mkdir(rig, "b", user, &b), 0);
	rig_restart(rig);
	rig_pass(rig, 89 * 86400);
	assert_int_equal(state_of(rig, a), JOB_STATE_MAX);
	assert_int_equal(state_of(rig, b), JOB_SUSPENDED);
	assert_true(rig->deadline <= rig->moment.now + 86400 * NSEC_PER_SEC);
	rig_pass(rig, 86400);
	assert_int_equal(state_of(rig, b), JOB_STATE_MAX);
}

/* --- what the engine says --------------------------------------------------------------------- */

static void test_gauges(void **state)
{
	struct rig *rig = *state;
	const struct service *service;
	struct report *r = calloc(1, sizeof(*r));
	uint64_t job = running_job(rig, "a", URL "1");

	assert_non_null(r);
	*r = (struct report){.mail.kind = REPORT_PROGRESS, .id = rig->fetches[0]->id, .rate = 1000, .connections = 3,
		.size = SIZE_UNKNOWN, .mtime = INT64_MIN, .bytes_moved = 5};
	mailbox_send(core_mailbox(rig->core), &r->mail);
	turn(rig);
	service = queue_service(rig->queue);
	assert_int_equal(service->rate, 1000);
	assert_int_equal(service->connections, 3);
	assert_int_equal(service->bytes_downloaded, 5);
	assert_int_equal(service->latency_count[LATENCY_BUCKETS - 1], 1);
	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	finish_stopped(rig, 5);
	service = queue_service(rig->queue);
	assert_int_equal(service->rate, 0);
	assert_int_equal(service->connections, 0);
}

/* A server that breaks off each time, but can be resumed: the delay does not grow to ten minutes. */
static void test_backoff_begins_anew_with_progress(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1"), have = 0;

	for (int i = 0; i < 12; i++) {
		struct fetch *f = take_fetch(rig);

		send_begun(rig, f, 1000, "etag \"v\"");
		have += 10;
		send_progress(rig, f, have);
		send_ended(rig, f, OUTCOME_RESET, have, 1000);
		fetch_free(f);
		sync_all(rig);
		assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
		rig_pass(rig, 2);
		assert_int_equal(rig->nfetches, 1);
	}
}

static void test_backoff_grows_without_progress(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	for (int i = 0; i < 8; i++) {
		struct fetch *f = take_fetch(rig);

		send_ended(rig, f, OUTCOME_RESET, 10, 1000); /* the same bytes again and again */
		fetch_free(f);
		sync_all(rig);
		assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
		if (i < 7)
			rig_pass(rig, 600);
	}
	rig_pass(rig, 30);
	assert_int_equal(rig->nfetches, 0);
}

static void test_reader_of_a_whole_file_makes_no_blob(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct message *m;
	struct asked asked;
	char path[160];

	finish(rig, 5);
	sync_all(rig);
	m = message_to(job, MSG_OPEN_STAGED, &asked, NULL);
	m->file = files_find_path(job_of(rig, job)->files, "1");
	core_send(rig->core, m);
	turn(rig);
	assert_int_equal(asked.err, -ENOENT); /* the rig's engine makes none */
	snprintf(path, sizeof(path), "%s/blobs/%llu/1.0", rig->directory, (unsigned long long)job);
	assert_int_equal(access(path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_waiting_file_goes_on_after_a_restart),
		TEST(test_whole_file_is_synced_after_a_restart),
		TEST(test_suspended_job_is_synced_after_a_restart),
		TEST(test_restart_of_each_state),
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
		TEST(test_retries_do_not_run_against_an_obstacle),
		TEST(test_obstacle_is_no_error),
		TEST(test_failed_job_does_not_wait_for_the_network),
		TEST(test_metered_network_by_priority),
		TEST(test_window_without_bandwidth),
		TEST(test_timetable),
		TEST(test_limit_of_a_resting_job_is_forgotten),
		TEST(test_notify_until_it_succeeds),
		TEST(test_notify_after_a_restart),
		TEST(test_notify_of_the_next_state),
		TEST(test_notify_of_the_same_state_again),
		TEST(test_notify_is_forgotten_with_the_job),
		TEST(test_nothing_is_remembered_of_ended_jobs),
		TEST(test_timers_do_not_pile_up),
		TEST(test_unlimited_history),
		TEST(test_history_is_pruned),
		TEST(test_inactive_jobs_one_after_the_other),
		TEST(test_gauges),
		TEST(test_backoff_begins_anew_with_progress),
		TEST(test_backoff_grows_without_progress),
		TEST(test_reader_of_a_whole_file_makes_no_blob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
