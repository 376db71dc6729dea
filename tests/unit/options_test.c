/* The command line, as people and mount(8) write it. */
#include "base/cleanup.h"
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* The arguments after "xferfs", ended by NULL. */
static int parse(struct options *o, char **ret_reason, ...)
{
	char *argv[32] = { "xferfs" };
	int argc = 0;
	va_list args;

	va_start(args, ret_reason);
	while (argv[argc])
		argv[++argc] = va_arg(args, char *);
	va_end(args);
	return options_parse(argc, argv, o, ret_reason);
}

static void as_people_write(void **state)
{
	struct options o;
	char *reason;

	assert_int_equal(parse(&o, &reason, "dest", "mnt", NULL), 0);
	assert_int_equal(o.action, ACTION_SERVE);
	assert_string_equal(o.destination, "dest");
	assert_string_equal(o.mountpoint, "mnt");
	assert_false(o.foreground || o.debug);
	options_release(&o);

	assert_int_equal(parse(&o, &reason, "-f", "dest", "-oallow_other,staging=/s", "--", "-mnt", NULL), 0);
	assert_true(o.foreground);
	assert_string_equal(o.mountpoint, "-mnt");
	assert_string_equal(o.mount_options.data, "allow_other");
	assert_string_equal(o.staging, "/s");
	options_release(&o);

	/* Asking needs no paths. */
	assert_int_equal(parse(&o, &reason, "-V", NULL), 0);
	assert_int_equal(o.action, ACTION_VERSION);
	options_release(&o);
	assert_int_equal(parse(&o, &reason, "--check-config", "-o", "config=c", NULL), 0);
	assert_int_equal(o.action, ACTION_CHECK_CONFIG);
	assert_string_equal(o.config_path, "c");
	options_release(&o);
}

/* mount(8) -f: everything but the mount; for a person it is the foreground. */
static void as_a_helper(void **state)
{
	char *argv[] = { "/sbin/mount.fuse.xferfs", "dest", "mnt", "-f", "-o", "rw", NULL };
	struct options o;
	char *reason;

	assert_int_equal(options_parse(6, argv, &o, &reason), 0);
	assert_int_equal(o.action, ACTION_FAKE);
	assert_false(o.foreground);
	options_release(&o);
	argv[5] = "remount,ro";
	assert_int_equal(options_parse(6, argv, &o, &reason), -EINVAL);
	assert_non_null(strstr(reason, "cannot be remounted"));
	free(reason);
	options_release(&o);
}

static void as_mount_writes(void **state)
{
	struct options o;
	char *reason;

	assert_int_equal(parse(&o, &reason, "dest", "/mnt", "-sn", "-v", "-N", "ns", "-o",
		"rw,noexec,nosuid,nodev,allow_other,nofail,_netdev,user,user=me,auto,noauto,x-systemd.automount,"
		"x-foo=bar,comment=x,defaults,limits.jobs=7", "-t", "fuse.xferfs", NULL), 0);
	assert_string_equal(o.destination, "dest");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_string_equal(o.mount_options.data, "noexec,nosuid,nodev,allow_other");
	assert_int_equal(o.nsettings, 1);
	options_release(&o);
}

static void settings_with_commas(void **state)
{
	struct options o;
	char *reason;

	assert_int_equal(parse(&o, &reason, "-o", "bandwidth.schedule=Sat\\,Sun 0; else max,limits.jobs=5",
		"-o", "transfer.user_agent=a\\\\b=c", "-o", ",,", "d", "m", NULL), 0);
	assert_int_equal(o.nsettings, 3);
	assert_string_equal(o.settings[0].section_key, "bandwidth.schedule");
	assert_string_equal(o.settings[0].value, "Sat,Sun 0; else max");
	assert_string_equal(o.settings[1].value, "5");
	assert_string_equal(o.settings[2].value, "a\\b=c");
	options_release(&o);
	/* What goes on to libfuse is split there once more. */
	assert_int_equal(parse(&o, &reason, "-o", "context=a:b\\,c", "d", "m", NULL), 0);
	assert_string_equal(o.mount_options.data, "context=a:b\\,c");
	options_release(&o);
}

static void refuses(const char *word, const char *a, const char *b, const char *c)
{
	struct options o;
	cleanup_free char *reason = NULL;

	assert_int_equal(parse(&o, &reason, a, b, c, NULL), -EINVAL);
	assert_non_null(reason);
	if (!strstr(reason, word))
		fail_msg("%s, wanted %s", reason, word);
	options_release(&o);
}

static void refusals(void **state)
{
	refuses("usage", NULL, NULL, NULL);
	refuses("usage", "dest", NULL, NULL);
	refuses("too many: c", "a", "b", "c");
	refuses("-x", "-fx", "a", "b");
	refuses("--colour", "--colour", "a", "b");
	refuses("-o colour", "-ocolour=red", "a", "b");
	refuses("-o allow_othe", "-oallow_othe", "a", "b");
	refuses("-o needs", "a", "b", "-o");
	refuses("staging needs", "-ostaging=", "a", "b");
	refuses("DESTINATION is empty", "", "b", NULL);
}

/* --- paths --------------------------------------------------------------------------------------- */

static char root[PATH_MAX];

static int make_tree(void **state)
{
	char cwd[PATH_MAX];

	strcpy(root, "/tmp/xferfs-options.XXXXXX");
	if (!mkdtemp(root) || chdir(root) || mkdir("dest", 0700) || mkdir("dest/mnt", 0700) || mkdir("mnt", 0700) ||
	    symlink("dest", "link") || mkdir("dest/.xferfs", 0700) || mkdir("dest/.xferfs/m", 0700) ||
	    !realpath(".", cwd))
		return 1;
	strcpy(root, cwd);
	return 0;
}

static int drop_tree(void **state)
{
	return rmdir("dest/.xferfs/m") || rmdir("dest/.xferfs") || rmdir("dest/mnt") || rmdir("dest") ||
		rmdir("mnt") || unlink("link") || chdir("/") || rmdir(root);
}

/* NULL: resolved; else the sentence, to free(). */
static char *resolve(struct options *o, const char *destination, const char *mountpoint, const char *staging)
{
	char *reason;

	assert_int_equal(parse(o, &reason, destination, mountpoint, NULL), 0);
	if (staging)
		o->staging = strdup(staging);
	if (!options_resolve(o, &reason)) {
		assert_null(reason);
		return NULL;
	}
	assert_non_null(reason);
	return reason;
}

static void paths(void **state)
{
	struct options o;
	char wanted[PATH_MAX + 32];

	assert_null(resolve(&o, "link/", "./mnt", NULL));
	snprintf(wanted, sizeof(wanted), "%s/dest", root);
	assert_string_equal(o.destination, wanted);
	snprintf(wanted, sizeof(wanted), "%s/mnt", root);
	assert_string_equal(o.mountpoint, wanted);
	snprintf(wanted, sizeof(wanted), "%s/dest/.xferfs", root);
	assert_string_equal(o.staging, wanted);
	options_release(&o);
	/* The staging directory will be made; the mountpoint may lie in the destination. */
	assert_null(resolve(&o, "dest", "dest/mnt", "stage"));
	snprintf(wanted, sizeof(wanted), "%s/stage", root);
	assert_string_equal(o.staging, wanted);
	options_release(&o);
}

static void bad_paths(void **state)
{
	static const struct {
		const char *destination, *mountpoint, *staging, *word;
	} cases[] = {
		{ "none", "mnt", NULL, "destination none: No such" },
		{ "dest", "none", NULL, "mountpoint none: No such" },
		{ "/dev/null", "mnt", NULL, "/dev/null: Not a directory" },
		{ "dest", "/dev/null", NULL, "/dev/null: Not a directory" },
		{ "dest", "mnt", "none/stage", "staging directory none/stage: No such" },
		{ "dest", "link", NULL, "hide the destination" },
		{ "dest/mnt", "dest", NULL, "hide the destination" },
		{ "dest", "mnt", "mnt/stage", "hide the staging" },
		{ "dest", "dest/.xferfs/m", NULL, "lies in the staging" },
		{ "dest", "dest/.xferfs", NULL, "hide the staging" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct options o;
		cleanup_free char *reason = resolve(&o, cases[i].destination, cases[i].mountpoint, cases[i].staging);

		if (!reason || !strstr(reason, cases[i].word))
			fail_msg("%s, wanted %s", reason ? reason : "accepted", cases[i].word);
		options_release(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_people_write), cmocka_unit_test(as_mount_writes), cmocka_unit_test(as_a_helper),
		cmocka_unit_test(settings_with_commas), cmocka_unit_test(refusals),
		cmocka_unit_test(paths), cmocka_unit_test(bad_paths),
	};

	return cmocka_run_group_tests(tests, make_tree, drop_tree);
}
