/* The connections of background jobs: how they are marked, what they leave alone. */
#include "scene.h"

#include "net/background.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define LOWER_EFFORT 4

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void test_marks(void **state)
{
	cleanup_close int four = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup_close int six = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct background b;

	background_open(&b, four, false);
	assert_int_equal(option(four, IPPROTO_IP, IP_TOS), 0);
	background_open(&b, four, true);
	assert_int_equal(option(four, IPPROTO_IP, IP_TOS), LOWER_EFFORT);
	background_tick(&b, four, &(struct background_tick){ .now = 1 });
	assert_int_equal(option(four, IPPROTO_IP, IP_TOS), 0);
	if (six < 0)
		return;
	background_open(&b, six, true);
	assert_int_equal(option(six, IPPROTO_IPV6, IPV6_TCLASS), LOWER_EFFORT);
}

/* The mark on our connection to the server; -1: there is none. */
static int mark_of_connection(void)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in a;
		socklen_t len = sizeof a;

		if (getpeername(fd, (struct sockaddr *)&a, &len) == 0 && a.sin_family == AF_INET && ntohs(a.sin_port) == server.port)
			return option(fd, IPPROTO_IP, IP_TOS);
	}
	return -1;
}

static void start(bool yields)
{
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .background_yields = yields, .connections_per_host = 1 }, NULL);
}

static void until_begun(void)
{
	while (!rig.begun)
		report_free(rig_report(&rig));
}

static void test_follows_the_priority(void **state)
{
	start(true);
	rig_send(&rig, fetch_of("/crawl"));
	until_begun();
	assert_int_equal(mark_of_connection(), LOWER_EFFORT);
	engine_prioritise(rig.engine, 1, PRIORITY_FOREGROUND);
	while (mark_of_connection() == LOWER_EFFORT)
		report_free(rig_report(&rig));
	assert_int_equal(mark_of_connection(), 0);
}

static void test_share_does_not_mark(void **state)
{
	start(false);
	rig_send(&rig, fetch_of("/crawl"));
	until_begun();
	report_free(rig_report(&rig));
	assert_int_equal(mark_of_connection(), 0);
}

/* A kept connection serves the next job by the next job's rules. */
static void test_kept_connection_changes_sides(void **state)
{
	struct fetch *f;

	start(true);
	assert_whole(rig_run(&rig, fetch_of("/small")), 4096);
	assert_int_equal(mark_of_connection(), LOWER_EFFORT);
	f = fetch_of("/crawl");
	f->serial = 2;
	f->priority = PRIORITY_FOREGROUND;
	rig_send(&rig, f);
	while (mark_of_connection() == LOWER_EFFORT)
		report_free(rig_report(&rig));
	assert_int_equal(mark_of_connection(), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks), T(test_follows_the_priority), T(test_share_does_not_mark),
		T(test_kept_connection_changes_sides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
