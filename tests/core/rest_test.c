/* What goes on beside the transfers: the notify command, ages, history, counters; and that nothing is
 * remembered of jobs that rest or have ended.
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
	assert_non_null(history_last(queue_history(rig->queue), "a"));
	rig_restart(rig);
	assert_non_null(history_last(queue_history(rig->queue), "a"));
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
	assert_null(history_last(queue_history(rig->queue), "a"));
	assert_non_null(history_last(queue_history(rig->queue), "b"));
	rig_restart(rig);
	assert_null(history_last(queue_history(rig->queue), "a"));
	assert_non_null(history_last(queue_history(rig->queue), "b"));
}

static void end_job(struct rig *rig, const char *name, const struct creds *creds)
{
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, name, creds, &job), 0);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, creds), 0);
	rig_pass(rig, 1);
}

/* Who makes and removes jobs in a loop does so at the cost of his own history only. */
static void test_history_of_a_user_is_bounded(void **state)
{
	const struct creds other = { .uid = 1001, .gid = 1001 };
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	struct rig *rig = *state;

	rig->config.history_per_user = 2;
	end_job(rig, "other's", &other);
	for (int i = 0; i < 5; i++) {
		end_job(rig, "root's", root);
		end_job(rig, names[i], user);
	}
	for (int restarted = 0; restarted < 2; restarted++) {
		const struct result *const *results;

		for (int i = 0; i < 5; i++)
			assert_int_equal(history_last(queue_history(rig->queue), names[i]) != NULL, i >= 3);
		assert_non_null(history_last(queue_history(rig->queue), "other's"));
		assert_int_equal(history_all(queue_history(rig->queue), &results), 8);
		queue_assert_sane(rig->queue);
		rig_restart(rig);
	}
	/* Nor are they in the store: but for the last, which goes with the next save. */
	rig->config.history_per_user = LIMIT_MAX;
	end_job(rig, "root's", root);
	rig_restart(rig);
	assert_non_null(history_last(queue_history(rig->queue), "d"));
	assert_null(history_last(queue_history(rig->queue), "c"));
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
		.size = SIZE_UNKNOWN, .mtime = MTIME_UNKNOWN, .bytes_moved = 5};
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
	uint64_t job = transferred_job(rig, "a", URL "1");
	struct message *m;
	struct asked asked;
	char path[160];

	snprintf(path, sizeof(path), "%s/blobs/%llu/1.0", rig->directory, (unsigned long long)job);
	assert_return_code(unlink(path), 0); /* the mover has placed it, and that is not saved yet */
	m = message_to(job, MSG_OPEN_STAGED, &asked, NULL);
	m->file = files_find_path(job_of(rig, job)->files, "1");
	core_send(rig->core, m);
	turn(rig);
	assert_int_equal(asked.err, -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
}

/* --- what refused commands leave ------------------------------------------------------------- */

static void test_refused_command_wakes_nobody(void **state)
{
	struct rig *rig = *state;
	struct wait change = {.kind = WAIT_CHANGE};
	struct asked waits;
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	change.seen = job_of(rig, job)->changes;
	begin_wait(rig, &waits, job, &change);
	rig->changed = 0;
	assert_int_equal(ask_set(rig, job, "priority", "urgent", user), -EINVAL);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), -ENODATA);
	assert_false(waits.answered);
	assert_int_equal(rig->changed, 0);
	assert_non_null(strstr(queue_refused(rig->queue, job), "no files"));
	assert_int_equal(ask_set(rig, job, "priority", "high", user), 0);
	assert_true(waits.answered);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static void test_error_is_over_when_the_server_gives_the_file(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct fetch *f = take_fetch(rig);

	send_ended(rig, f, OUTCOME_RESET, 0, SIZE_UNKNOWN);
	fetch_free(f);
	rig_pass(rig, 5);
	f = take_fetch(rig);
	assert_int_equal(file_of(rig, job, "1")->fault->outcome, OUTCOME_RESET);
	send_begun(rig, f, 1000, "etag \"v\"");
	assert_null(file_of(rig, job, "1")->fault);
	fetch_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_notify_until_it_succeeds),
		TEST(test_notify_after_a_restart),
		TEST(test_notify_of_the_next_state),
		TEST(test_notify_of_the_same_state_again),
		TEST(test_notify_is_forgotten_with_the_job),
		TEST(test_nothing_is_remembered_of_ended_jobs),
		TEST(test_timers_do_not_pile_up),
		TEST(test_unlimited_history),
		TEST(test_history_is_pruned),
		TEST(test_history_of_a_user_is_bounded),
		TEST(test_inactive_jobs_one_after_the_other),
		TEST(test_gauges),
		TEST(test_backoff_begins_anew_with_progress),
		TEST(test_backoff_grows_without_progress),
		TEST(test_reader_of_a_whole_file_makes_no_blob),
		TEST(test_refused_command_wakes_nobody),
		TEST(test_error_is_over_when_the_server_gives_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
