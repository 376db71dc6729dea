/* The core's flows: what is answered, ordered, saved and shown for what is asked and reported. */
#include "harness.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL "http://localhost/"

static void test_mkdir(void **state)
{
	struct rig *rig = *state;
	uint64_t a, b;

	assert_int_equal(ask_mkdir(rig, "iso", user, &a), 0);
	assert_int_equal(ask_mkdir(rig, "iso", user, NULL), -EEXIST);
	assert_int_equal(ask_mkdir(rig, "other", user, &b), 0);
	assert_true(b > a);
	assert_int_equal(state_of(rig, a), JOB_SUSPENDED);
	rig_restart(rig);
	assert_int_equal(state_of(rig, a), JOB_SUSPENDED);
	assert_string_equal(job_of(rig, b)->name, "other");
	assert_int_equal(job_of(rig, a)->uid, 1000);
}

static void test_several_in_one_turn(void **state)
{
	static const char *const names[] = {"a", "b", "c", "a"};
	struct rig *rig = *state;
	struct asked asked[ARRAY_SIZE(names)];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		begin_mkdir(rig, &asked[i], names[i], user);
	turn(rig);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_true(asked[i].answered);
		assert_int_equal(asked[i].err, i == 3 ? -EEXIST : 0);
	}
	rig_restart(rig);
	assert_int_equal(queue_count(rig->queue), 3);
}

static void test_serials_are_never_reused(void **state)
{
	struct rig *rig = *state;
	uint64_t a, b;

	assert_int_equal(ask_mkdir(rig, "a", user, &a), 0);
	assert_int_equal(ask_verb(rig, a, EV_CANCEL, user), 0);
	assert_int_equal(state_of(rig, a), JOB_STATE_MAX);
	rig_restart(rig);
	assert_int_equal(ask_mkdir(rig, "a", user, &b), 0);
	assert_true(b > a);
}

static void test_download(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "iso", URL "d.iso");
	struct asked done;
	struct fetch *f = take_fetch(rig);

	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
	assert_string_equal(f->url, URL "d.iso");
	send_begun(rig, f, 100, "etag \"v1\"");
	send_progress(rig, f, 40);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRING);
	assert_int_equal(files_live_bytes(job_of(rig, job)->files), 40);
	send_ended(rig, f, OUTCOME_DONE, 100, 100);
	fetch_free(f);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRING); /* not before it is on disk */
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	assert_true(file_of(rig, job, "d.iso")->synced);

	begin_verb(rig, &done, job, EV_COMPLETE, user);
	assert_int_equal(state_of(rig, job), JOB_COMPLETING);
	assert_false(done.answered);
	place_whole(rig, &done);
	assert_int_equal(state_of(rig, job), JOB_STATE_MAX);
	assert_int_equal(history_last(queue_history(rig->queue), "iso")->state, JOB_ACKNOWLEDGED);
	assert_int_equal(history_last(queue_history(rig->queue), "iso")->files_saved, 1);
	assert_int_equal(history_last(queue_history(rig->queue), "iso")->bytes, 100);
	assert_false(history_last(queue_history(rig->queue), "iso")->partial);
	rig_restart(rig);
	assert_int_equal(state_of(rig, job), JOB_STATE_MAX);
	assert_non_null(history_last(queue_history(rig->queue), "iso"));
}

static void test_verbs_in_wrong_states(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), -ENODATA);
	assert_non_null(strstr(queue_refused(rig->queue, job), "no files"));
	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	assert_int_equal(ask_add(rig, job, URL "x", user), 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), -EBUSY);
	assert_int_equal(ask_add(rig, job, URL "y", user), -EBUSY);
	assert_null(file_of(rig, job, "y"));
	assert_non_null(strstr(queue_refused(rig->queue, job), "completing"));
	assert_int_equal(ask_verb(rig, job + 1, EV_CANCEL, user), -ENODEV);
	finish_stopped(rig, 0);
	place_all(rig, 0);
	sync_all(rig);
	assert_int_equal(done.err, 0);
}

static void test_others_may_not(void **state)
{
	struct rig *rig = *state;
	const struct creds other = {.uid = 1001, .gid = 1001};
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_add(rig, job, URL "x", &other), -EACCES);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, &other), -EACCES);
	assert_int_equal(ask_add(rig, job, URL "x", root), 0);
}

static void test_limits_of_users(void **state)
{
	struct rig *rig = *state;
	uint64_t job;

	rig->config.jobs_per_user = 2;
	rig->config.files_per_job = 2;
	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_mkdir(rig, "b", user, NULL), 0);
	assert_int_equal(ask_mkdir(rig, "c", user, NULL), -EDQUOT);
	assert_int_equal(ask_mkdir(rig, "c", root, NULL), 0);
	assert_int_equal(ask_add(rig, job, URL "1\n" URL "2\n" URL "3\n", user), -EDQUOT);
	assert_int_equal(job_of(rig, job)->tally.files, 0);
	assert_int_equal(ask_add(rig, job, URL "1\n" URL "2\n", user), 0);
	assert_int_equal(ask_add(rig, job, URL "3\n", user), -EDQUOT);
	assert_int_equal(ask_add(rig, job, URL "3\n", root), 0);
}

static void test_add_is_all_or_none(void **state)
{
	struct rig *rig = *state;
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_add(rig, job, URL "1 dir/a\n" URL "2 dir/a\n", user), -EEXIST);
	assert_int_equal(job_of(rig, job)->tally.files, 0);
	assert_int_equal(files_lookup(job_of(rig, job)->files, NODE_ROOT, "dir"), NODE_NONE);
	assert_int_equal(ask_add(rig, job, URL "1 dir/a\n" URL "2 b\n", user), 0);
	assert_int_equal(ask_add(rig, job, URL "3 c\n" URL "4 b\n", user), -EEXIST);
	assert_int_equal(job_of(rig, job)->tally.files, 2);
	assert_null(file_of(rig, job, "c"));
	assert_int_equal(ask_add(rig, job, URL "5 b/x\n", user), -ENOTDIR);
	rig_restart(rig);
	assert_int_equal(job_of(rig, job)->tally.files, 2);
	assert_non_null(file_of(rig, job, "dir/a"));
	queue_assert_sane(rig->queue);
}

static void test_add_to_transferred_job_suspends_it(void **state)
{
	struct rig *rig = *state;
	uint64_t job = transferred_job(rig, "a", URL "1");

	assert_int_equal(ask_add(rig, job, URL "2", user), 0);
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	assert_int_equal(rig->nfetches, 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(rig->nfetches, 1);
	assert_string_equal(rig->fetches[0]->url, URL "2");
}

static void test_add_to_running_job_is_taken_up_at_once(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	assert_int_equal(rig->nfetches, 1);
	assert_int_equal(ask_add(rig, job, URL "2", user), 0);
	assert_int_equal(rig->nfetches, 2);
}

static void test_transient_error_is_retried(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct fetch *f = take_fetch(rig);

	send_status(rig, f, 503, 7);
	fetch_free(f);
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	assert_int_equal(file_of(rig, job, "1")->fault->http_status, 503);
	rig_pass(rig, 6);
	assert_int_equal(rig->nfetches, 0); /* Retry-After is a minimum */
	rig_pass(rig, 10);
	assert_int_equal(rig->nfetches, 1);
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	assert_null(file_of(rig, job, "1")->fault);
	assert_int_equal(job_of(rig, job)->error_count, 1);
}

static void test_resume_skips_the_delay(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct fetch *f = take_fetch(rig);

	send_status(rig, f, 503, 500);
	fetch_free(f);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(rig->nfetches, 1);
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
}

static void test_failed_file_does_not_stop_the_others(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");
	struct fetch *f = take_fetch(rig);

	send_status(rig, f, 404, -1);
	fetch_free(f);
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_ERROR);
	assert_int_equal(file_of(rig, job, "1")->state, FILE_FAILED);
	assert_int_equal(file_of(rig, job, "2")->state, FILE_TRANSFERRED);
	rig_restart(rig);
	assert_int_equal(state_of(rig, job), JOB_ERROR);
	assert_int_equal(file_of(rig, job, "1")->fault->http_status, 404);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(rig->nfetches, 1);
	assert_string_equal(rig->fetches[0]->url, URL "1");
}

static void test_removing_the_failed_file_heals_the_job(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");
	struct command rm = {.kind = CMD_REMOVE};
	struct fetch *f = take_fetch(rig);

	send_status(rig, f, 404, -1);
	fetch_free(f);
	finish(rig, 5);
	sync_all(rig);
	rm.node = files_find_path(job_of(rig, job)->files, "1");
	assert_int_equal(ask_command(rig, job, &rm, user), 0);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_no_progress_timeout(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_with(rig, "a", "no_progress_timeout", "3600");

	for (int i = 0; i < 20 && state_of(rig, job) != JOB_ERROR; i++) {
		if (rig->nfetches) {
			struct fetch *f = take_fetch(rig);

			send_ended(rig, f, OUTCOME_CONNECT, 0, SIZE_UNKNOWN);
			fetch_free(f);
		}
		rig_pass(rig, 600);
	}
	assert_int_equal(state_of(rig, job), JOB_ERROR);
	assert_int_equal(job_of(rig, job)->fault->outcome, OUTCOME_NO_PROGRESS);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(rig->nfetches, 1);
	assert_null(job_of(rig, job)->fault);
}

static void test_max_download_time(void **state)
{
	struct rig *rig = *state;
	uint64_t job;
	struct fetch *f;

	job = running_with(rig, "a", "max_download_time", "100");
	f = take_fetch(rig);
	rig_pass(rig, 50);
	send_progress(rig, f, 10);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRING);
	rig_pass(rig, 51);
	assert_int_equal(state_of(rig, job), JOB_ERROR);
	assert_int_equal(job_of(rig, job)->fault->outcome, OUTCOME_MAX_TIME);
	assert_int_equal(rig->nceased, 1);
	fetch_free(f);
}

static void test_inactive_job_is_cancelled(void **state)
{
	struct rig *rig = *state;
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	rig_pass(rig, 89 * 86400);
	assert_int_equal(ask_add(rig, job, URL "1", user), 0); /* a command is life */
	rig_pass(rig, 2 * 86400);
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	rig_pass(rig, 89 * 86400);
	assert_int_equal(state_of(rig, job), JOB_STATE_MAX);
	assert_string_equal(history_last(queue_history(rig->queue), "a")->reason, "inactivity_timeout");
}

static void test_idle_daemon_has_nothing_to_do(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "job%d", i);
		assert_int_equal(ask_mkdir(rig, name, root, NULL), 0);
	}
	assert_true(rig->deadline >= rig->moment.now + 80 * 86400 * NSEC_PER_SEC);
}

static void test_suspend_keeps_bytes(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct fetch *f = take_fetch(rig);

	send_begun(rig, f, 1000, "etag \"v\"");
	send_progress(rig, f, 400);
	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	assert_int_equal(rig->nceased, 1);
	assert_int_equal(rig->ceased[0], f->id);
	send_ended(rig, f, OUTCOME_STOPPED, 500, 1000);
	fetch_free(f);
	assert_int_equal(file_got(file_of(rig, job, "1")), 500);
	rig_restart(rig);
	assert_int_equal(file_got(file_of(rig, job, "1")), 500);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	f = take_fetch(rig);
	assert_true(extents_contain(&f->have, 0, 500));
	assert_string_equal(f->validator, "etag \"v\"");
	assert_int_equal(f->size, 1000);
	fetch_free(f);
}

static void test_checkpoint_is_what_was_synced(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct fetch *f = take_fetch(rig);
	struct order *sync;

	send_begun(rig, f, 1000, "etag \"v\"");
	send_progress(rig, f, 300);
	rig_pass(rig, 3);
	sync = take_order(rig, ORDER_SYNC);
	send_progress(rig, f, 700);
	send_back(rig, sync);
	rig_restart(rig); /* killed: 300 were synced and saved */
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
	assert_int_equal(file_got(file_of(rig, job, "1")), 300);
	assert_int_equal(rig->nfetches, 1);
	fetch_free(f);
}

/* A sync becomes due in the turn in which a file ends, before that is published. */
static void test_file_that_ends_while_a_sync_is_made(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2");
	struct fetch *first = take_fetch(rig), *second = take_fetch(rig);

	send_progress(rig, second, 100);
	rig->moment.now += 3 * NSEC_PER_SEC;
	begin_ended(rig, first, OUTCOME_DONE, 500, 500);
	send_progress(rig, second, 200);
	send_ended(rig, second, OUTCOME_DONE, 500, 500);
	sync_all(rig);
	assert_true(file_of(rig, job, "1")->synced);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	fetch_free(first);
	fetch_free(second);
}

static void test_changed_on_the_server_begins_a_new_blob(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct fetch *f = take_fetch(rig);
	struct order *drop;

	send_begun(rig, f, 1000, "etag \"v1\"");
	send_ended(rig, f, OUTCOME_CHANGED, 400, SIZE_UNKNOWN);
	fetch_free(f);
	drop = take_order(rig, ORDER_DROP);
	assert_int_equal(drop->nfiles, 1);
	assert_int_equal(drop->files[0].generation, 0);
	order_free(drop);
	f = take_fetch(rig);
	assert_int_equal(f->generation, 1);
	assert_int_equal(f->have.n, 0);
	assert_null(f->validator);
	assert_int_equal(file_of(rig, job, "1")->generation, 1);
	fetch_free(f);
}

static void test_checksum_mismatch_is_never_completed(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a",
		URL "1 sha256=0000000000000000000000000000000000000000000000000000000000000000\n" URL "2\n");
	struct order *verify;
	struct asked done;

	finish(rig, 10);
	assert_int_equal(file_of(rig, job, "1")->state, FILE_VERIFYING);
	finish(rig, 10);
	verify = take_order(rig, ORDER_VERIFY);
	verify->files[0].err = -EBADMSG;
	send_back(rig, verify);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_ERROR);
	assert_int_equal(file_of(rig, job, "1")->fault->outcome, OUTCOME_CHECKSUM);
	assert_int_equal(file_got(file_of(rig, job, "1")), 0);
	begin_verb(rig, &done, job, EV_COMPLETE, user);
	assert_int_equal(rig->orders[0]->nfiles, 1); /* only the good one */
	place_all(rig, 0);
	sync_all(rig);
	assert_true(done.answered);
	assert_true(history_last(queue_history(rig->queue), "a")->partial);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_dropped, 1);
}

static void test_wait_rest(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	const struct wait rest = {.kind = WAIT_REST};
	struct asked first, second, gone, late;

	begin_wait(rig, &first, job, &rest);
	assert_false(first.answered);
	finish(rig, 10);
	assert_false(first.answered);
	sync_all(rig);
	assert_true(first.answered);
	assert_int_equal(first.answer.state, JOB_TRANSFERRED);
	begin_wait(rig, &second, job, &rest);
	assert_true(second.answered);
	begin_verb(rig, &gone, job, EV_COMPLETE, user);
	begin_wait(rig, &late, job, &rest);
	assert_false(late.answered);
	place_all(rig, 0);
	sync_all(rig);
	assert_true(late.answered);
	assert_int_equal(late.err, 0);
	assert_int_equal(late.answer.state, JOB_ACKNOWLEDGED);
}

static void test_interrupt(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct wait rest = {.kind = WAIT_REST, .id = 4711};
	struct message *m;
	struct asked asked;

	begin_wait(rig, &asked, job, &rest);
	m = message_new(MSG_INTERRUPT);
	m->wait.id = 4711;
	core_send(rig->core, m);
	turn(rig);
	assert_true(asked.answered);
	assert_int_equal(asked.err, -EINTR);
	m = message_new(MSG_INTERRUPT); /* a late one about something gone is ignored */
	m->wait.id = 4711;
	core_send(rig->core, m);
	turn(rig);
}

static void test_wait_deadline(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct wait change = {.kind = WAIT_CHANGE, .seen = job_of(rig, job)->changes,
		.deadline = rig->moment.now + NSEC_PER_SEC};
	struct asked asked;

	begin_wait(rig, &asked, job, &change);
	assert_false(asked.answered);
	assert_true(rig->deadline <= rig->moment.now + NSEC_PER_SEC);
	rig_pass(rig, 1);
	assert_true(asked.answered);
}

static void test_reader_pulls_data_forward(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct wait bytes = {.kind = WAIT_BYTES, .file = files_find_path(job_of(rig, job)->files, "1"), .offset = 50};
	struct fetch *f = take_fetch(rig);
	struct asked asked, other;

	begin_wait(rig, &asked, job, &bytes);
	assert_false(asked.answered);
	assert_int_equal(rig->wanted_id, f->id);
	assert_int_equal(rig->wanted, 50);
	send_progress(rig, f, 50);
	assert_false(asked.answered);
	send_progress(rig, f, 51);
	assert_true(asked.answered);
	assert_int_equal(asked.err, 0);
	assert_int_equal(rig->wanted, UINT64_MAX);
	bytes.offset = 99;
	begin_wait(rig, &other, job, &bytes);
	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), 0);
	assert_true(other.answered);
	assert_int_equal(other.err, -EAGAIN);
	fetch_free(f);
}

/* All that the server gives for now came with its answer. */
static void test_reader_is_served_by_the_beginning(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct wait bytes = {.kind = WAIT_BYTES, .file = files_find_path(job_of(rig, job)->files, "1"), .offset = 50};
	struct fetch *f = take_fetch(rig);
	struct asked asked;

	begin_wait(rig, &asked, job, &bytes);
	send_begun_with(rig, f, 1000, 700);
	assert_true(asked.answered);
	assert_int_equal(asked.err, 0);
	assert_int_equal(files_live_bytes(job_of(rig, job)->files), 700);
	fetch_free(f);
}

/* He has come before there was a slot for the file that he reads. */
static void test_reader_of_a_file_that_begins_later(void **state)
{
	struct rig *rig = *state;
	struct wait bytes = {.kind = WAIT_BYTES, .offset = 50};
	struct asked asked;
	struct fetch *f;
	uint64_t job;

	rig->config.connections = 1;
	rig_restart(rig);
	running_job(rig, "a", URL "1");
	job = running_job(rig, "b", URL "2\n" URL "3");
	bytes.file = files_find_path(job_of(rig, job)->files, "3");
	begin_wait(rig, &asked, job, &bytes);
	assert_int_equal(rig->nfetches, 1);
	finish(rig, 5);
	f = take_fetch(rig);
	assert_int_equal(f->file, bytes.file);
	assert_int_equal(rig->wanted_id, f->id);
	assert_int_equal(rig->wanted, 50);
	send_progress(rig, f, 51);
	assert_true(asked.answered);
	fetch_free(f);
}

static void test_offline_and_back(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct command network = {.kind = CMD_NETWORK, .network = NETWORK_OFFLINE};
	struct fetch *f = take_fetch(rig);

	assert_int_equal(ask_command(rig, 0, &network, user), -EPERM);
	assert_int_equal(ask_command(rig, 0, &network, root), 0);
	assert_int_equal(rig->nceased, 1);
	send_ended(rig, f, OUTCOME_STOPPED, 5, 10);
	fetch_free(f);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	assert_int_equal(job_of(rig, job)->fault->outcome, OUTCOME_OFFLINE);
	assert_int_equal(rig->nfetches, 0);
	rig_restart(rig);
	assert_int_equal(queue_service(rig->queue)->network, NETWORK_OFFLINE);
	assert_int_equal(rig->nfetches, 0);
	network.network = NETWORK_UNRESTRICTED;
	assert_int_equal(ask_command(rig, 0, &network, root), 0);
	assert_int_equal(rig->nfetches, 1);
	assert_null(job_of(rig, job)->fault);
}

static void test_chown_takes_ownership(void **state)
{
	struct rig *rig = *state;
	const gid_t groups[] = {1001, 50};
	struct command chown = {.kind = CMD_OWNER, .gid = (gid_t)-1};
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_set(rig, job, "credentials", "me:secret", user), 0);
	chown.owner = creds_new(1001, 1001, 022, 2, groups);
	assert_int_equal(ask_command(rig, job, &chown, user), -EPERM);
	chown.owner = creds_new(1001, 1001, 022, 2, groups);
	assert_int_equal(ask_command(rig, job, &chown, root), 0);
	assert_int_equal(job_of(rig, job)->uid, 1001);
	assert_true(creds_has_group(job_of(rig, job)->owner, 50));
	assert_null(job_of(rig, job)->props.credentials);
}

static void test_rename(void **state)
{
	struct rig *rig = *state;
	struct command rename = {.kind = CMD_RENAME, .text = strdup("b")};
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_mkdir(rig, "c", user, NULL), 0);
	assert_int_equal(ask_command(rig, job, &rename, user), 0);
	assert_null(queue_find_name(rig->queue, "a"));
	assert_ptr_equal(queue_find_name(rig->queue, "b"), job_of(rig, job));
	rename.text = strdup("c");
	assert_int_equal(ask_command(rig, job, &rename, user), -EEXIST);
	rig_restart(rig);
	assert_string_equal(job_of(rig, job)->name, "b");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mkdir),
		TEST(test_several_in_one_turn),
		TEST(test_serials_are_never_reused),
		TEST(test_download),
		TEST(test_verbs_in_wrong_states),
		TEST(test_others_may_not),
		TEST(test_limits_of_users),
		TEST(test_add_is_all_or_none),
		TEST(test_add_to_transferred_job_suspends_it),
		TEST(test_add_to_running_job_is_taken_up_at_once),
		TEST(test_transient_error_is_retried),
		TEST(test_resume_skips_the_delay),
		TEST(test_failed_file_does_not_stop_the_others),
		TEST(test_removing_the_failed_file_heals_the_job),
		TEST(test_no_progress_timeout),
		TEST(test_max_download_time),
		TEST(test_inactive_job_is_cancelled),
		TEST(test_idle_daemon_has_nothing_to_do),
		TEST(test_suspend_keeps_bytes),
		TEST(test_checkpoint_is_what_was_synced),
		TEST(test_file_that_ends_while_a_sync_is_made),
		TEST(test_changed_on_the_server_begins_a_new_blob),
		TEST(test_checksum_mismatch_is_never_completed),
		TEST(test_wait_rest),
		TEST(test_interrupt),
		TEST(test_wait_deadline),
		TEST(test_reader_pulls_data_forward),
		TEST(test_reader_is_served_by_the_beginning),
		TEST(test_reader_of_a_file_that_begins_later),
		TEST(test_offline_and_back),
		TEST(test_chown_takes_ownership),
		TEST(test_rename),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
