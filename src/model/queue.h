/* All jobs, and with them the history and the events: what the read lock protects.
 *
 * The core thread changes; calls marked LOCKED under the read lock. Jobs are kept by serial (a vector
 * in ascending order: new serials are higher) and by name (a tree).
 */
#pragma once

#include "model/event.h"
#include "model/files.h"
#include "model/history.h"
#include "model/job.h"
#include "model/service.h"

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

struct history *queue_history(const struct queue *q); /* LOCKED to change */
struct events *queue_events(const struct queue *q);
struct service *queue_service(const struct queue *q); /* LOCKED to write */
void queue_assert_sane(const struct queue *q);
