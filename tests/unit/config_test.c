/* The configuration: its defaults, its refusals with their place, and that it can be fed back. */
#include "base/buf.h"
#include "base/io.h"
#include "base/parse.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MANY_CHARS 4000

static char file_name[64];

static int setup(void **state)
{
	strcpy(file_name, "/tmp/xferfs-config.XXXXXX");
	int fd = mkstemp(file_name);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static int teardown(void **state)
{
	return unlink(file_name);
}

static int read_text(struct config *c, const char *text, char **ret_reason)
{
	assert_int_equal(io_replace_file(AT_FDCWD, file_name, text, strlen(text), 0600), 0);
	*ret_reason = NULL;
	return config_read(c, file_name, ret_reason);
}

static char *printed(const struct config *c)
{
	struct buf b = { 0 };

	config_print(c, &b);
	return buf_steal(&b);
}

static void defaults(void **state)
{
	struct config c;

	assert_int_equal(config_init(&c), 0);
	assert_int_equal(c.jobs_per_user, 60);
	assert_int_equal(c.jobs, 300);
	assert_int_equal(c.files_per_job, 200);
	assert_int_equal(c.ranges_per_file, 500);
	assert_int_equal(c.history_per_user, 1000);
	assert_int_equal(c.inactivity_timeout, 90 * 86400);
	assert_true(c.max_age == LIMIT_MAX && c.limit == LIMIT_MAX && c.max_file_size == LIMIT_MAX);
	assert_int_equal(c.workers, 0);
	assert_int_equal(c.connections_per_file, 0);
	assert_true(c.foreground_exempt);
	assert_false(c.http2 || c.allow_https_to_http || c.deny_private_addresses);
	assert_string_equal(c.background, "yield");
	assert_string_equal(c.schemes, "https http ftp ftps sftp");
	assert_string_equal(c.proxy, "");
	config_release(&c);
}

static void file_is_read(void **state)
{
	struct config c;
	char *reason;

	assert_int_equal(config_init(&c), 0);
	assert_int_equal(read_text(&c, "; comment\n# comment\n\n[limits]\njobs=max\n  jobs_per_user = 7  \n"
		"[queue]\nmax_age = 2w\n[transfer]\nworkers = auto\njobs = 5\nhttp2 = on\n"
		"[bandwidth]\nlimit: 1M\nschedule = Mon-Fri 08:00-17:00 1M; Sat 0 ; else max\n"
		"[network]\nproxy = http://user:se;cret@proxy:3128/a ;b\n", &reason), 0);
	assert_null(reason);
	assert_true(c.jobs == LIMIT_MAX);
	assert_int_equal(c.jobs_per_user, 7);
	assert_int_equal(c.max_age, 1209600);
	assert_int_equal(c.running_jobs, 5);
	assert_true(c.http2);
	assert_int_equal(c.limit, 1 << 20);
	/* A semicolon begins no comment, be there a blank before it or not. */
	assert_string_equal(c.schedule, "Mon-Fri 08:00-17:00 1M; Sat 0 ; else max");
	assert_string_equal(c.proxy, "http://user:se;cret@proxy:3128/a ;b");
	config_release(&c);
}

static void long_lines(void **state)
{
	struct config c;
	cleanup_buf struct buf text = { 0 };
	char *reason;

	assert_int_equal(config_init(&c), 0);
	buf_adds(&text, "[transfer]\nuser_agent = ");
	for (int i = 0; i < MANY_CHARS; i++)
		buf_addc(&text, (char)('a' + i % 26));
	buf_adds(&text, "\njobs = 9\n");
	assert_int_equal(read_text(&c, text.data, &reason), 0);
	assert_int_equal(strlen(c.user_agent), MANY_CHARS);
	assert_int_equal(c.running_jobs, 9);

	/* One that no buffer holds is refused, and not taken for two. */
	buf_adds(&text, "#");
	for (int i = 0; i < 70000; i++)
		buf_addc(&text, 'x');
	buf_adds(&text, "\n");
	assert_int_equal(read_text(&c, text.data, &reason), -E2BIG);
	assert_non_null(strstr(reason, ":4: "));
	free(reason);
	config_release(&c);
}

/* Refused, at LINE, by a sentence that contains WORD. */
static void refuses(const char *text, int line, const char *word, int err)
{
	struct config c;
	cleanup_free char *reason = NULL;
	char place[128];

	assert_int_equal(config_init(&c), 0);
	if (read_text(&c, text, &reason) != err)
		fail_msg("not refused as it should be: %s", text);
	snprintf(place, sizeof(place), "%s:%d: ", file_name, line);
	assert_non_null(reason);
	if (strncmp(reason, place, strlen(place)) || !strstr(reason, word) || strchr(reason, '\n'))
		fail_msg("%s, wanted %s...%s", reason, place, word);
	config_release(&c);
}

static void refusals_have_a_place(void **state)
{
	refuses("[limits]\ncolour = red\n", 2, "no key colour in [limits]", -EINVAL);
	refuses("\n[colours]\nred = 1\n", 3, "no section [colours]", -EINVAL);
	refuses("jobs = 1\n", 1, "before any [section]", -EINVAL);
	refuses("[limits]\njobs = many\n", 2, "from 0", -EINVAL);
	refuses("[limits]\njobs = -1\n", 2, "limits.jobs", -EINVAL);
	refuses("[limits]\njobs =\n", 2, "limits.jobs", -EINVAL);
	refuses("[limits]\njobs = 99999999999999999999\n", 2, "limits.jobs", -ERANGE);
	refuses("[transfer]\nconnections_per_file = 17\n", 2, "to 16, or auto", -ERANGE);
	refuses("[transfer]\nconnections = 0\n", 2, "from 1", -EINVAL);
	refuses("[transfer]\nconnections = auto\n", 2, "connections", -EINVAL);
	refuses("[transfer]\nidle_timeout = max\n", 2, "idle_timeout", -ERANGE);
	refuses("[queue]\nmax_age = 1y\n", 2, "s m h d w", -EINVAL);
	refuses("[bandwidth]\nlimit = 5MB\n", 2, "K M G T", -EINVAL);
	refuses("[bandwidth]\nschedule = Mon-Fri 25:00-17:00 1M\n", 2, "bandwidth.schedule", -EINVAL);
	refuses("[network]\nbackground = sometimes\n", 2, "yield or share", -EINVAL);
	refuses("[security]\nschemes = https gopher\n", 2, "gopher", -EINVAL);
	refuses("[security]\nschemes =\n", 2, "at least one", -EINVAL);
	refuses("[security]\nca_file = relative.pem\n", 2, "absolute", -EINVAL);
	refuses("[security]\nca_file = /nonexistent/ca.pem\n", 2, "No such file", -EINVAL);
	refuses("[security]\nallow_https_to_http = perhaps\n", 2, "allow_https_to_http", -EINVAL);
	/* The first error counts, whoever finds it. */
	refuses("[limits]\nnonsense\njobs = many\n", 2, "key = value", -EINVAL);
	refuses("[limits]\njobs = many\nnonsense\n", 2, "limits.jobs", -EINVAL);
	refuses("[limits\njobs = 1\n", 1, "[section]", -EINVAL);
	/* An indented line is no continuation that would replace the value above. */
	refuses("[limits]\njobs = 5\n  nonsense\n", 3, "key = value", -EINVAL);
}

static void missing_files(void **state)
{
	struct config c;
	char *reason = NULL;

	assert_int_equal(config_init(&c), 0);
	assert_int_equal(config_read(&c, "/nonexistent/xferfs.conf", &reason), -ENOENT);
	assert_non_null(strstr(reason, "/nonexistent/xferfs.conf"));
	free(reason);
	reason = NULL;
	assert_int_equal(config_read(&c, "/", &reason), -EIO);
	assert_non_null(reason);
	free(reason);
	config_release(&c);
}

static void one_by_one(void **state)
{
	struct config c;
	char *reason = NULL;

	assert_int_equal(config_init(&c), 0);
	assert_int_equal(config_set(&c, "bandwidth.limit", "0", &reason), 0);
	assert_int_equal(c.limit, 0);
	assert_int_equal(config_set(&c, "bandwidth", "0", &reason), -EINVAL);
	assert_non_null(strstr(reason, "SECTION.KEY"));
	free(reason);
	assert_int_equal(config_set(&c, ".limit", "0", &reason), -EINVAL);
	free(reason);
	/* It would be a line, and a header, of its own. */
	assert_int_equal(config_set(&c, "transfer.user_agent", "a\r\nCookie: b", &reason), -EINVAL);
	assert_non_null(strstr(reason, "control"));
	assert_null(strpbrk(reason, "\r\n"));
	free(reason);
	assert_non_null(strstr(c.user_agent, "xferfs/"));
	config_release(&c);
}

static void printed_can_be_read(void **state)
{
	struct config c, d;
	cleanup_free char *first = NULL, *second = NULL;
	char *reason;

	assert_int_equal(config_init(&c), 0);
	assert_int_equal(config_set(&c, "bandwidth.schedule", "Sat,Sun 0; else 3M", &reason), 0);
	assert_int_equal(config_set(&c, "transfer.http2", "yes", &reason), 0);
	assert_int_equal(config_set(&c, "limits.jobs", "max", &reason), 0);
	assert_int_equal(config_set(&c, "network.proxy", "http://u:p@ss@proxy:3128/x@y", &reason), 0);
	first = printed(&c);
	/* Everybody may read .xferfs/config. */
	assert_non_null(strstr(first, "\nproxy = http://proxy:3128/x@y\n"));
	assert_int_equal(config_init(&d), 0);
	assert_int_equal(read_text(&d, first, &reason), 0);
	second = printed(&d);
	assert_string_equal(first, second);
	config_release(&c);
	config_release(&d);
}

struct example {
	const char *text;
	struct buf active; /* every key, its mark of a comment taken away */
};

static void find_in_example(void *arg, const char *section, const char *key, const char *preset, const char *help)
{
	struct example *e = arg;
	char wanted[1024];

	snprintf(wanted, sizeof(wanted), "\n# %s\n#%s =%s%s\n", help, key, *preset ? " " : "", preset);
	if (!strstr(e->text, wanted))
		fail_msg("examples/xferfs.conf lacks:%s", wanted);
	buf_printf(&e->active, "[%s]\n%s = %s\n", section, key, preset);
}

static void example_shows_all(void **state)
{
	cleanup_free char *text = NULL, *shown = NULL, *wanted = NULL;
	struct example e = { 0 };
	struct config c, d;
	char *reason = NULL;

	assert_int_equal(io_read_file(AT_FDCWD, EXAMPLES "/xferfs.conf", 1 << 16, &text), 0);
	e.text = text;
	config_each(find_in_example, &e);
	assert_int_equal(config_init(&c), 0);
	assert_int_equal(config_init(&d), 0);
	wanted = printed(&d);
	assert_int_equal(config_read(&c, EXAMPLES "/xferfs.conf", &reason), 0);
	shown = printed(&c);
	assert_string_equal(shown, wanted);
	/* Presets are values that the keys accept. */
	assert_int_equal(read_text(&c, e.active.data, &reason), 0);
	buf_release(&e.active);
	config_release(&c);
	config_release(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults), cmocka_unit_test(file_is_read), cmocka_unit_test(long_lines),
		cmocka_unit_test(refusals_have_a_place), cmocka_unit_test(missing_files),
		cmocka_unit_test(one_by_one), cmocka_unit_test(printed_can_be_read),
		cmocka_unit_test(example_shows_all),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
