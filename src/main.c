/* From the command line to the daemon, and the exit codes.
 *
 * What can be found wrong with options, configuration and paths is found before the fork, and said on
 * stderr; what goes wrong later comes from the child by way of daemonize.c.
 */
#include "base/buf.h"
#include "base/log.h"
#include "build-config.h"
#include "config.h"
#include "daemonize.h"
#include "options.h"
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* mount(8) shows a helper's code; xferfs@.service does not restart after a wrong invocation. */
enum { EXIT_OK = 0, EXIT_INVOCATION = 1, EXIT_START = 32 };

#define OPEN_FILES_WANTED 65536

/* Every connection and every open blob is a descriptor; the soft limit is for programs that select(2). */
static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= OPEN_FILES_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < OPEN_FILES_WANTED ? limit.rlim_max : OPEN_FILES_WANTED;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const struct options *o, const struct config *c)
{
	struct daemon_start start = { .report = -1, .caught = -1 };
	cleanup_free char *reason = NULL;
	int r, code;

	if (!o->foreground) {
		r = daemonize(&start, &code);
		if (r)
			fprintf(stderr, "xferfs: cannot become a daemon: %s\n", strerror(-r));
		if (r || code >= 0)
			return r ? EXIT_START : code;
		log_to_syslog();
	}
	if (o->debug)
		log_set_level(LOG_LEVEL_DEBUG);
	/* So as not to keep busy whatever directory we were started in. */
	if (chdir("/") < 0)
		return EXIT_START;
	raise_open_files();
	r = serve(o, c, &start, &reason);
	if (!r)
		return EXIT_OK;
	if (start.report >= 0)
		daemonize_failed(&start, reason ? reason : strerror(-r));
	else
		log_error("%s", reason ? reason : strerror(-r));
	return EXIT_START;
}

static int load_config(const struct options *o, struct config *c, char **ret_reason)
{
	cleanup_free char *standard = o->config_path ? NULL : options_default_config();
	const char *path = o->config_path ? o->config_path : standard;
	int r = path ? config_read(c, path, ret_reason) : 0;

	/* Only a file that was named has to be there. */
	if (r == -ENOENT && !o->config_path) {
		free(take_ptr(*ret_reason));
		r = 0;
	}
	for (size_t i = 0; !r && i < o->nsettings; i++) {
		cleanup_free char *why = NULL;

		r = config_set(c, o->settings[i].section_key, o->settings[i].value, &why);
		if (r && asprintf(ret_reason, "-o %s", why ? why : strerror(-r)) < 0)
			*ret_reason = NULL;
	}
	return r;
}

static int check_config(const struct config *c)
{
	cleanup_buf struct buf text = { 0 };

	config_print(c, &text);
	if (text.failed || fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout)) {
		fprintf(stderr, "xferfs: cannot print the configuration\n");
		return EXIT_START;
	}
	return EXIT_OK;
}

static int perform(struct options *o)
{
	struct config config = { 0 };
	cleanup_free char *reason = NULL;
	int r, code = EXIT_INVOCATION;

	switch (o->action) {
	case ACTION_HELP:
		fputs(options_help, stdout);
		return EXIT_OK;
	case ACTION_VERSION:
		puts("xferfs " XFERFS_VERSION);
		return EXIT_OK;
	case ACTION_SERVE:
	case ACTION_FAKE:
	case ACTION_CHECK_CONFIG:
		break;
	}
	r = config_init(&config);
	if (!r)
		r = load_config(o, &config, &reason);
	if (!r && o->action != ACTION_CHECK_CONFIG)
		r = options_resolve(o, &reason);
	if (r)
		fprintf(stderr, "xferfs: %s\n", reason ? reason : strerror(-r));
	else if (o->action == ACTION_FAKE)
		code = EXIT_OK;
	else
		code = o->action == ACTION_SERVE ? run(o, &config) : check_config(&config);
	config_release(&config);
	return code;
}

int main(int argc, char *argv[])
{
	struct options options;
	cleanup_free char *reason = NULL;
	int code = EXIT_INVOCATION;
	int r = options_parse(argc, argv, &options, &reason);

	if (r)
		fprintf(stderr, "xferfs: %s\n", reason ? reason : strerror(-r));
	else
		code = perform(&options);
	options_release(&options);
	return code;
}
