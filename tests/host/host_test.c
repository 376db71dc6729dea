/* Words without a shell, and commands as their user sees them. */
#include "host/runner.h"

#include "base/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- words ------------------------------------------------------------------------------------ */

static void test_words(void **state)
{
	static const struct {
		const char *command;
		int err;
		const char *words[5];
	} cases[] = {
		{"/bin/true", 0, {"/bin/true"}},
		{"  a \t b  ", 0, {"a", "b"}},
		{"a \"b c\" 'd e'", 0, {"a", "b c", "d e"}},
		{"a b\\ c \"q\\\"q\" 'x\\y'", 0, {"a", "b c", "q\"q", "x\\y"}},
		{"a ''", 0, {"a", ""}},
		{"a;b $HOME *", 0, {"a;b", "$HOME", "*"}},
		{"a \"open", -EINVAL, {0}},
		{"", -EINVAL, {0}},
		{"  ", -EINVAL, {0}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char **words = NULL;
		size_t n = 0;

		assert_int_equal(words_split(cases[i].command, &words), cases[i].err);
		if (cases[i].err)
			continue;
		for (; cases[i].words[n]; n++)
			assert_string_equal(words[n], cases[i].words[n]);
		assert_null(words[n]);
		words_free(words);
	}
}

/* --- commands --------------------------------------------------------------------------------- */

struct rig {
	struct mailbox box;
	struct runner *runner;
	char directory[64];
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	mailbox_init(&rig->box, NULL, NULL);
	strcpy(rig->directory, "/tmp/xferfs-host-XXXXXX");
	assert_non_null(mkdtemp(rig->directory));
	assert_return_code(runner_start(&rig->box, &rig->runner), 0);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	char command[128];

	runner_stop(rig->runner);
	mailbox_release(&rig->box);
	snprintf(command, sizeof(command), "rm -rf %s", rig->directory);
	assert_int_equal(system(command), 0);
	free(rig);
	return 0;
}

static void send(struct rig *rig, const char *command)
{
	struct errand *e = errand_new(7);

	assert_non_null(e);
	e->creds = creds_of_process();
	e->command = strdup(command);
	assert_return_code(errand_setenv(e, "XFERFS_JOB", "a job"), 0);
	assert_return_code(errand_setenv(e, "DIR", rig->directory), 0);
	runner_send(rig->runner, e);
}

static int status_of_next(struct rig *rig)
{
	struct mail *mail = mailbox_wait_one(&rig->box);
	struct errand *e = container_of(mail, struct errand, mail);
	int status = e->status;

	assert_int_equal(mail->kind, HOST_ERRAND);
	assert_int_equal(e->serial, 7);
	errand_free(e);
	return status;
}

static int run(struct rig *rig, const char *command)
{
	send(rig, command);
	return status_of_next(rig);
}

static void test_status(void **state)
{
	assert_int_equal(run(*state, "true"), 0);
	assert_int_equal(run(*state, "sh -c 'exit 3'"), 3);
	assert_int_equal(run(*state, "sh -c 'kill -9 $$'"), 128 + 9);
	assert_int_equal(run(*state, "/nonexistent/command"), 127);
	assert_int_equal(run(*state, "\"open"), 127);
}

/* An ordinary user's daemon cannot become another user, and does not run another's commands as its own. */
static void test_command_of_another_user(void **state)
{
	struct rig *rig = *state;
	const bool is_root = geteuid() == 0;
	struct errand *e = errand_new(7);

	assert_non_null(e);
	if (is_root)
		assert_return_code(seteuid(65534), 0);
	e->creds = creds_new(1, 1, 022, 0, NULL);
	e->command = strdup("true");
	runner_send(rig->runner, e);
	assert_int_equal(status_of_next(rig), 127);
	if (is_root)
		assert_return_code(seteuid(0), 0);
}

static void test_environment_and_descriptors_are_clean(void **state)
{
	struct rig *rig = *state;
	char path[128], text[4096];
	size_t n;
	FILE *f;

	setenv("SECRET_OF_THE_DAEMON", "1", 1);
	assert_int_equal(run(rig, "sh -c 'env > $DIR/out; ls /proc/self/fd | wc -l >> $DIR/out; pwd >> $DIR/out'"), 0);
	unsetenv("SECRET_OF_THE_DAEMON");
	snprintf(path, sizeof(path), "%s/out", rig->directory);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	assert_non_null(strstr(text, "XFERFS_JOB=a job\n"));
	assert_non_null(strstr(text, "PATH=/usr/local/sbin"));
	assert_null(strstr(text, "SECRET"));
	assert_non_null(strstr(text, "\n4\n")); /* stdin, stdout, stderr, and the one of ls */
}

/* A fifth command of one user starts only when one of the four has ended. Each of the four says that it
 * runs, and ends when it is told to. */
static void test_at_most_four_of_a_user(void **state)
{
	struct rig *rig = *state;
	char said[128], told[128];
	int from, to;
	char c;

	snprintf(said, sizeof(said), "%s/said", rig->directory);
	snprintf(told, sizeof(told), "%s/told", rig->directory);
	assert_return_code(mkfifo(said, 0600), 0);
	assert_return_code(mkfifo(told, 0600), 0);
	from = open(said, O_RDWR | O_CLOEXEC);
	to = open(told, O_RDWR | O_CLOEXEC);
	assert_true(from >= 0 && to >= 0);
	for (int i = 0; i < RUNS_PER_USER + 1; i++)
		send(rig, "sh -c 'printf x > $DIR/said; read line < $DIR/told; exit 5'");
	for (int i = 0; i < RUNS_PER_USER; i++)
		assert_int_equal(read(from, &c, 1), 1);
	assert_int_equal(fcntl(from, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read(from, &c, 1), -1); /* four are there, and the fifth is not */
	assert_int_equal(write(to, "\n", 1), 1);
	assert_int_equal(status_of_next(rig), 5);
	assert_int_equal(fcntl(from, F_SETFL, 0), 0);
	assert_int_equal(read(from, &c, 1), 1); /* it has its turn */
	for (int i = 0; i < RUNS_PER_USER; i++) {
		assert_int_equal(write(to, "\n", 1), 1);
		assert_int_equal(status_of_next(rig), 5);
	}
	close(from);
	close(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_command_of_another_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_environment_and_descriptors_are_clean, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_most_four_of_a_user, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
