/* Becoming a daemon whose starter waits until it serves, or says in one line why it does not.
 *
 *	r = daemonize(&d);              in the parent: returns the exit code, never serves
 *	...                             in the child: everything else
 *	daemonize_ready(&d) or daemonize_failed(&d, reason)
 *
 * Before ready, what libraries and helpers (fusermount3) write to stderr is caught and joined to the
 * reason, since it often is the reason.
 */
#pragma once

#include <stdbool.h>

struct daemon_start {
	int report; /* pipe to the parent; -1: none, or it was told */
	int caught; /* memfd behind stderr until ready; -1: none */
};

/* Forks; to be called before anything was opened, since it closes all descriptors but the standard ones.
 * In the child *ret_exit is -1, in the parent the code to exit with. 0 or -errno of forking. */
int daemonize(struct daemon_start *ret, int *ret_exit);
/* Any thread, once. */
void daemonize_ready(struct daemon_start *d);
void daemonize_failed(struct daemon_start *d, const char *reason);
