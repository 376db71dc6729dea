/* Loss and return of the network, as rtnetlink(7) tells: there is one when an interface besides loopback
 * is running and has an address of more than link scope.
 *
 * One thread; calls CHANGED from it after each change, never with the state at the start: a machine
 * that begins without a network may have servers on loopback, and what is not reachable fails and is
 * tried again anyway. CHANGED may not block.
 */
#pragma once

#include <stdbool.h>

struct link_watch;

int link_watch_start(void (*changed)(void *arg, bool online), void *arg, struct link_watch **ret);
void link_watch_stop(struct link_watch *w);
