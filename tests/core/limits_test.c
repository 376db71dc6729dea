/* What holds a job back besides its own files, and that it is let go again: network, metered network,
 * bandwidth, timetable.
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_retries_do_not_run_against_an_obstacle),
		TEST(test_obstacle_is_no_error),
		TEST(test_failed_job_does_not_wait_for_the_network),
		TEST(test_metered_network_by_priority),
		TEST(test_window_without_bandwidth),
		TEST(test_timetable),
		TEST(test_limit_of_a_resting_job_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
