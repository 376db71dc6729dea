/* Whether the machine has a network, as rtnetlink(7) tells: an interface besides loopback that is
 * running and has an address of more than link scope; or none has but loopback, on a machine that has
 * no other interface at all (a container, a test): then it counts as online, since loopback is all
 * there is.
 *
 * One thread; calls CHANGED from it with the first state and after each change (not repeated while the
 * state stays the same). CHANGED may not block.
 */
#pragma once

#include <stdbool.h>

struct link_watch;

int link_watch_start(void (*changed)(void *arg, bool online), void *arg, struct link_watch **ret);
void link_watch_stop(struct link_watch *w);
