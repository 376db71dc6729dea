/* Saves that fail, in each phase: commands are refused and leave no trace; facts are kept, and neither
 * seen nor acted upon until they are saved. And memory that fails: what could not be noted is found again.
 */
#include "harness.h"

#include "base/clock.h"
#include "core/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL "http://localhost/"

static void fill_disk(void)
{
	save_errno = -ENOSPC;
}

static void empty_disk(struct rig *rig)
{
	save_errno = 0;
	rig_pass(rig, 1);
}

static void test_commands_are_refused_without_a_trace(void **state)
{
	struct rig *rig = *state;
	uint64_t job, seen, missed;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_add(rig, job, URL "1", user), 0);
	seen = events_next_seq(queue_events(rig->queue));
	fill_disk();
	assert_int_equal(ask_mkdir(rig, "b", user, NULL), -ENOSPC);
	assert_int_equal(ask_add(rig, job, URL "2 d/e", user), -ENOSPC);
	assert_int_equal(ask_set(rig, job, "description", "x", user), -ENOSPC);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), -ENOSPC);
	assert_int_equal(ask_verb(rig, job, EV_COMPLETE, user), -ENOSPC);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), -ENOSPC);
	assert_non_null(strstr(queue_refused(rig->queue, job), "could not be saved"));
	assert_int_equal(state_of(rig, job), JOB_SUSPENDED);
	assert_int_equal(job_of(rig, job)->tally.files, 1);
	assert_int_equal(files_lookup(job_of(rig, job)->files, NODE_ROOT, "d"), NODE_NONE);
	assert_null(job_of(rig, job)->props.description);
	assert_null(events_get(queue_events(rig->queue), seen, 0, &missed));
	assert_int_equal(rig->nfetches + rig->norders, 0);
	assert_null(rig->core->runs);
	queue_assert_sane(rig->queue);
	save_errno = 0; /* no fact is owed: the next command is taken */
	assert_int_equal(ask_mkdir(rig, "b", user, NULL), 0);
	assert_int_equal(queue_service(rig->queue)->jobs_created, 2);
	assert_int_equal(queue_service(rig->queue)->jobs_cancelled, 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	assert_int_equal(rig->nfetches, 1);
}

static void test_verbs_of_a_running_job(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");

	fill_disk();
	assert_int_equal(ask_verb(rig, job, EV_SUSPEND, user), -ENOSPC);
	assert_int_equal(ask_verb(rig, job, EV_COMPLETE, user), -ENOSPC);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), -ENOSPC);
	assert_int_equal(rig->nceased, 0);
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
	save_errno = 0;
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_facts_are_kept(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	const struct wait rest = {.kind = WAIT_REST};
	struct asked waits;

	finish(rig, 5);
	begin_wait(rig, &waits, job, &rest);
	fill_disk();
	send_back(rig, take_order(rig, ORDER_SYNC));
	assert_false(waits.answered);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRING);
	assert_int_equal(ask_verb(rig, job, EV_CANCEL, user), -ENOSPC); /* while memory and disk may differ */
	assert_int_equal(ask_mkdir(rig, "b", user, NULL), -ENOSPC);
	assert_true(rig->deadline <= rig->moment.now + NSEC_PER_SEC);
	for (int i = 0; i < 5; i++)
		rig_pass(rig, 1);
	assert_false(waits.answered);
	empty_disk(rig);
	assert_true(waits.answered);
	assert_int_equal(waits.answer.state, JOB_TRANSFERRED);
	assert_true(rig->deadline > rig->moment.now + NSEC_PER_SEC);
	rig_restart(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_nothing_is_placed_before_its_inode_is_saved(void **state)
{
	struct rig *rig = *state;
	struct asked done, waits;
	uint64_t job = completing_job(rig, &done, "a", URL "1");
	struct wait change = {.kind = WAIT_CHANGE};
	struct order *o;

	o = take_order(rig, ORDER_PREPARE);
	o->files[0].dev = 1;
	o->files[0].ino = 7;
	change.seen = job_of(rig, job)->changes;
	change.deadline = rig->moment.now + NSEC_PER_SEC;
	begin_wait(rig, &waits, job, &change);
	fill_disk();
	send_back(rig, o);
	rig_pass(rig, 1); /* what is due for the job is looked at */
	assert_true(waits.answered);
	rig_pass(rig, 60);
	assert_int_equal(rig->norders, 0);
	empty_disk(rig);
	o = take_order(rig, ORDER_PLACE);
	assert_int_equal(o->files[0].ino, 7);
	o->files[0].done = true;
	fill_disk();
	send_back(rig, o);
	assert_false(done.answered); /* placed, but not saved */
	assert_int_equal(state_of(rig, job), JOB_COMPLETING);
	assert_int_equal(rig->norders, 0);
	empty_disk(rig);
	sync_all(rig);
	assert_true(done.answered);
	assert_int_equal(done.err, 0);
	assert_int_equal(history_last(queue_history(rig->queue), "a")->files_saved, 1);
}

static void test_failed_placing_that_cannot_be_saved(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job = completing_job(rig, &done, "a", URL "1");

	send_back(rig, take_order(rig, ORDER_PREPARE)); /* without an inode: it was not prepared */
	fill_disk();
	send_back(rig, take_order(rig, ORDER_PLACE));
	assert_false(done.answered);
	rig_pass(rig, 1);
	assert_false(done.answered);
	empty_disk(rig);
	assert_true(done.answered);
	assert_int_equal(done.err, -EIO);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

/* The job ends by age, its transfer ends by itself, and only then can it be saved. */
static void test_blobs_are_not_dropped_before_the_end_is_saved(void **state)
{
	struct rig *rig = *state;
	uint64_t job;
	struct fetch *f;

	rig->config.max_age = 1000;
	rig_restart(rig);
	job = running_job(rig, "a", URL "1");
	f = take_fetch(rig);
	fill_disk();
	rig_pass(rig, 1001);
	assert_int_equal(state_of(rig, job), JOB_CONNECTING);
	send_ended(rig, f, OUTCOME_STOPPED, 5, 5);
	fetch_free(f);
	rig_pass(rig, 1);
	assert_int_equal(rig->norders, 0);
	empty_disk(rig);
	assert_int_equal(state_of(rig, job), JOB_STATE_MAX);
	sync_all(rig);
	assert_null(rig->core->runs);
}

/* Resume alone has nothing to save here; with another command in its turn it can fail. */
static void test_refused_resume_keeps_the_retry(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct fetch *f = take_fetch(rig);
	struct asked asked, other;
	struct message *m;

	send_status(rig, f, 503, -1);
	fetch_free(f);
	rig->asleep = true;
	begin_verb(rig, &asked, job, EV_RESUME, user);
	m = message_to(0, MSG_COMMAND, &other, root);
	m->command = (struct command){.kind = CMD_NETWORK, .network = NETWORK_METERED};
	core_send(rig->core, m);
	fill_disk();
	wake(rig);
	assert_int_equal(asked.err, -ENOSPC);
	assert_int_equal(other.err, -ENOSPC);
	assert_int_equal(state_of(rig, job), JOB_TRANSIENT_ERROR);
	assert_int_equal(queue_service(rig->queue)->network, NETWORK_UNRESTRICTED);
	save_errno = 0;
	rig_pass(rig, 2);
	assert_int_equal(rig->nfetches, 1);
}

static void test_stop_with_a_full_disk(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	const struct wait rest = {.kind = WAIT_REST};
	struct asked waits;

	finish(rig, 5);
	begin_wait(rig, &waits, job, &rest);
	fill_disk();
	send_back(rig, take_order(rig, ORDER_SYNC));
	core_free(rig->core);
	rig->core = NULL;
	assert_true(waits.answered);
	assert_int_equal(waits.err, -ENODEV);
	save_errno = 0;
	rig_restart(rig);
	assert_int_equal(state_of(rig, job), JOB_CONNECTING); /* as it was saved last */
	assert_int_equal(rig->nfetches, 1);
}

/* --- memory that does not suffice ------------------------------------------------------------- */

static void test_report_without_memory(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1\n" URL "2\n");

	copies_failing = 1;
	finish(rig, 5);
	finish(rig, 5);
	sync_all(rig);
	finish(rig, 5); /* that its end was not taken is found when all else is done */
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_start_without_memory(void **state)
{
	struct rig *rig = *state;
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_add(rig, job, URL "1", user), 0);
	copies_failing = 4;
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	for (int i = 0; i < 10 && !rig->nfetches; i++)
		rig_pass(rig, 1);
	finish(rig, 5);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

static void test_sync_without_memory(void **state)
{
	struct rig *rig = *state;
	uint64_t job = running_job(rig, "a", URL "1");
	struct order *sync;

	finish(rig, 5);
	sync = take_order(rig, ORDER_SYNC);
	copies_failing = 1;
	send_back(rig, sync);
	for (int i = 0; i < 5; i++) {
		sync_all(rig);
		rig_pass(rig, 1);
	}
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
}

/* What SYNC has seen and PREPARE has refused must not pass for prepared when that cannot be noted. */
static void test_preparing_without_memory(void **state)
{
	struct rig *rig = *state;
	struct asked done;
	uint64_t job = completing_seen(rig, &done);
	struct order *o;

	for (unsigned failing = 2; failing-- > 0;) {
		o = take_order(rig, ORDER_PREPARE);
		o->files[0].dev = INODE_BLOB;
		o->files[1].dev = o->files[1].ino = 0;
		o->files[1].err = o->err = -EACCES;
		copies_failing = failing;
		send_back(rig, o);
	}
	o = take_order(rig, ORDER_PLACE);
	assert_int_equal(o->nfiles, 1);
	assert_int_equal(o->files[0].ino, 7);
	o->files[0].done = true;
	send_back(rig, o);
	assert_true(done.answered);
	assert_int_equal(done.err, -EACCES);
	assert_int_equal(file_of(rig, job, "2")->fault->err, EACCES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_commands_are_refused_without_a_trace),
		TEST(test_verbs_of_a_running_job),
		TEST(test_facts_are_kept),
		TEST(test_nothing_is_placed_before_its_inode_is_saved),
		TEST(test_failed_placing_that_cannot_be_saved),
		TEST(test_blobs_are_not_dropped_before_the_end_is_saved),
		TEST(test_refused_resume_keeps_the_retry),
		TEST(test_stop_with_a_full_disk),
		TEST(test_report_without_memory),
		TEST(test_start_without_memory),
		TEST(test_sync_without_memory),
		TEST(test_preparing_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
