/* What the system's directory of users says: /etc/passwd, but also LDAP and its like, which may be asked
 * over the network and be slow to answer (nsswitch.conf(5)). So it is asked by threads that may wait, and
 * remembered for those that may not.
 */
#pragma once

#include "base/creds.h"

struct users;

int users_new(struct users **ret);
void users_free(struct users *u);

/* Asks for UID's home, unless that was done within USERS_FRESH. May block; any thread but the core's.
 * While one thread waits for the answer, others who ask for the same user go on without. */
#define USERS_FRESH 600 /* seconds */
void users_learn(struct users *u, uid_t uid);
/* As learned last, to free(); NULL: he has none, or it is not known. Does not block. */
char *users_home(struct users *u, uid_t uid);

/* What UID's credentials would be if he logged in; of an unknown user the number alone. May block. */
struct creds *users_creds(uid_t uid); /* NULL: out of memory */
