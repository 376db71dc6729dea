/* How ended jobs ended: ended/NAME and .xferfs/history. Part of the queue: what changes it is called under
 * the read lock, like the queue's own.
 */
#pragma once

#include "model/job.h"

/* Immutable. */
struct result {
	uint64_t serial;
	char *name;
	uid_t uid;
	gid_t gid;
	mode_t mode;          /* of the job: who may read this */
	enum job_state state; /* acknowledged or cancelled */
	bool partial;
	uint32_t files_saved, files_dropped, leftovers;
	uint64_t bytes;
	int64_t created, ended; /* wall seconds */
	uid_t ended_by;
	char *reason;         /* "command", "inactivity_timeout", "max_age" */
};
void result_free(struct result *r);

struct history;

int history_new(struct history **ret); /* -ENOMEM */
void history_free(struct history *h);

/* Ended jobs, oldest first. */
int history_add(struct history *h, struct result *r); /* takes on success; -ENOMEM */
size_t history_all(const struct history *h, const struct result *const **ret);
const struct result *history_find(const struct history *h, uint64_t serial);  /* NULL */
const struct result *history_last(const struct history *h, const char *name); /* latest of that name; NULL */
/* How many of an ended job's temporary files could not be deleted, known only afterwards. The
 * corrected result, or NULL when it is gone. */
const struct result *history_set_leftovers(struct history *h, uint64_t serial, uint32_t leftovers);
size_t history_prune(struct history *h, int64_t before_wall); /* how many went */
/* Those who have results, in no order; who comes to have none gives his place to the last one. */
size_t history_users(const struct history *h);
uid_t history_user(const struct history *h, size_t i);
/* When a user has more than KEEP results his oldest goes; its serial, or 0: he has not. */
uint64_t history_forget(struct history *h, uid_t uid, size_t keep);
void history_assert_sane(const struct history *h);
