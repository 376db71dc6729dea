/* The command line, of a person and of mount(8): INTERFACE.md §2.
 *
 * Only parsed and checked here: nothing is opened or made. What the daemon needs later is absolute, since
 * it works in "/".
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum action { ACTION_SERVE, ACTION_HELP, ACTION_VERSION, ACTION_CHECK_CONFIG, ACTION_FAKE /* mount(8) -f */ };

struct setting {
	char *section_key, *value;
};

struct options {
	enum action action;
	bool helper;                    /* called as mount.xferfs */
	bool foreground, debug;
	char *destination, *mountpoint; /* as written; NULL: not given. After options_resolve absolute */
	char *staging;                  /* NULL: not given */
	char *config_path;              /* NULL: not given */
	struct buf mount_options;       /* for libfuse, comma-separated */
	struct setting *settings;       /* -o SECTION.KEY=VALUE, in the order given */
	size_t nsettings;
};

/* 0, -EINVAL, -ENOMEM; *ret_reason is a sentence to free(), NULL when there was no memory for it. In
 * either case *o is to be released. */
int options_parse(int argc, char *const argv[], struct options *o, char **ret_reason);
/* The paths of ACTION_SERVE and ACTION_FAKE: made absolute, links followed, and checked against each other. */
int options_resolve(struct options *o, char **ret_reason);
void options_release(struct options *o);
/* Where the configuration is when nobody says; NULL: nowhere (no HOME). To free(). */
char *options_default_config(void);
extern const char options_help[];
