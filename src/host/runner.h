/* Runs the `notify` commands of jobs: as the owner, without a shell, with a clean environment and no
 * descriptors, at most RUNS_PER_USER at once for each user (BITS: four callbacks per user).
 *
 * The core sends a struct errand and gets it back in its mailbox with the exit status; it decides
 * whether to send it again. One thread, which sleeps in poll(2) on pidfds and its own eventfd.
 */
#pragma once

#include "base/creds.h"
#include "base/mailbox.h"

#include <stddef.h>
#include <stdint.h>

#define RUNS_PER_USER 4

enum host_kind {
	HOST_ERRAND = MAIL_HOST, /* an errand, done */
};

struct errand {
	struct mail mail;
	uint64_t serial;       /* of the job */
	struct creds *creds;   /* with whose rights */
	char *command;         /* split by base/words */
	char **environment;    /* "NAME=value", NULL-terminated; PATH, HOME, USER, LOGNAME are added */
	int status;            /* out: the exit status; 128 + signal; 127: could not be started */
};
struct errand *errand_new(uint64_t serial); /* NULL: out of memory */
void errand_free(struct errand *e);
/* Adds NAME=VALUE to the environment. 0 or -ENOMEM. */
int errand_setenv(struct errand *e, const char *name, const char *value);

struct runner;

int runner_start(struct mailbox *done, struct runner **ret);
void runner_send(struct runner *r, struct errand *e); /* takes */
/* Commands that still run are left to themselves (they belong to their users); errands that were not
 * started are forgotten. Joins. */
void runner_stop(struct runner *r);
