/* Telling systemd about our state (sd_notify(3)); the protocol is stable and small, so libsystemd is not
 * linked. A socket of -1 (nobody asked) makes every call do nothing.
 */
#pragma once

#include <stdint.h>

/* The socket that $NOTIFY_SOCKET names, connected; -1: none. Takes the variable out of the environment,
 * so that no child speaks in our name. Before threads. */
int sdnotify_open(void);
/* Newline-separated assignments: "READY=1\nSTATUS=...". Any thread. What fails is not our business. */
void sdnotify_send(int fd, const char *state);
/* How often WATCHDOG=1 is due, in nanoseconds (half of what systemd waits); 0: never. */
int64_t sdnotify_watchdog(void);
