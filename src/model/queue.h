/* All jobs, the history, and the events: what the read lock protects.
 *
 * The core thread changes; calls marked LOCKED under the read lock. Jobs are kept by serial (a vector
 * in ascending order: new serials are higher) and by name (a tree).
 */
#pragma once

#include "model/event.h"
#include "model/files.h"
#include "model/job.h"
#include "model/service.h"

/* How an ended job ended: ended/NAME and history. Immutable. */
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

struct queue;

int queue_new(size_t events, struct queue **ret); /* EVENTS: kept for the streams */
void queue_free(struct queue *q);                 /* with all jobs */

const struct job *queue_find(const struct queue *q, uint64_t serial);
const struct job *queue_find_name(const struct queue *q, const char *name);
const struct job *queue_next(const struct queue *q, uint64_t after); /* by serial; 0: first */
size_t queue_count(const struct queue *q);
size_t queue_count_of(const struct queue *q, uid_t uid);

/* LOCKED. Makes room for N new jobs, so that queue_publish cannot fail for them; other publications need
 * none. -ENOMEM. */
int queue_reserve_jobs(struct queue *q, size_t n);
int queue_reserve(struct queue *q); /* for one */
/* LOCKED. Makes DRAFT the published version (new job, new version, new name); publishes its files'
 * drafts; returns the version it replaced, to job_free after the lock, or NULL. */
struct job *queue_publish(struct queue *q, struct job *draft);
/* LOCKED. Takes the job out; the caller frees the version and files_free()s its files after the lock. */
struct job *queue_remove(struct queue *q, uint64_t serial);

/* Why the last refused write to a job was refused. LOCKED; not saved. NULL clears. Serial 0: the service. */
void queue_set_refused(struct queue *q, uint64_t serial, const char *text);
const char *queue_refused(const struct queue *q, uint64_t serial); /* NULL: none */

/* Ended jobs, oldest first. LOCKED to add and prune. */
int queue_add_result(struct queue *q, struct result *r); /* takes on success; -ENOMEM */
size_t queue_results(const struct queue *q, const struct result *const **ret);
const struct result *queue_last_result(const struct queue *q, const char *name); /* latest of that name; NULL */
/* How many of an ended job's temporary files could not be deleted, known only afterwards. LOCKED. The
 * corrected result, or NULL when it is gone. */
const struct result *queue_set_leftovers(struct queue *q, uint64_t serial, uint32_t leftovers);
size_t queue_prune_results(struct queue *q, int64_t before_wall); /* how many went */
/* LOCKED. When a user has more than KEEP results his oldest goes; its serial, or 0: he has not. */
uint64_t queue_forget_result(struct queue *q, uid_t uid, size_t keep);

struct events *queue_events(const struct queue *q);
struct service *queue_service(const struct queue *q); /* LOCKED to write */
void queue_assert_sane(const struct queue *q);
