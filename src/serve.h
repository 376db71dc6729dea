/* The running daemon: all layers started, in order, and stopped again. */
#pragma once

#include "config.h"
#include "daemonize.h"
#include "options.h"

/* Serves until unmounted or told to stop (SIGTERM, SIGINT, SIGHUP, which stay blocked). START is told when
 * the mount answers. 0, or -errno with a sentence in *ret_reason to free() (NULL: no memory for it): then
 * it did not serve, or stopped serving by an error. The options are resolved. */
int serve(const struct options *o, const struct config *c, struct daemon_start *start, char **ret_reason);
