/* The hierarchy of token buckets that all transfers pass: the daemon's, their host's, their class's,
 * their job's.
 * Shared by the workers and the core thread; one short lock, and none at all while nothing is limited.
 *
 * libcurl's own limit (CURLOPT_MAX_RECV_SPEED_LARGE of 7.88) lets 1.6 MB through at once and then
 * freezes; so the write callback asks here, and pauses the connection when the answer is 0.
 */
#pragma once

#include "model/job.h"
#include "model/share.h"

#include <stdbool.h>
#include <stdint.h>

struct throttle;
struct throttle_job;  /* the bucket of one job; counted */
struct throttle_host; /* the bucket of one host; counted */

int throttle_new(uint64_t per_host, struct throttle **ret); /* bytes per second of each host; LIMIT_MAX */
void throttle_free(struct throttle *t);

/* The bucket of job SERIAL, made if need be; NULL: out of memory. */
struct throttle_job *throttle_join(struct throttle *t, uint64_t serial);
void throttle_leave(struct throttle *t, struct throttle_job *j); /* NULL is fine */

/* The bucket of ORIGIN (url_origin); *ret is NULL while hosts are not limited. -ENOMEM. */
int throttle_visit(struct throttle *t, const char *origin, int64_t now, struct throttle_host **ret);
void throttle_depart(struct throttle *t, struct throttle_host *h); /* NULL is fine */
bool throttle_limits_hosts(const struct throttle *t);

/* Whether any limit is set: lock-free, for the common case. */
bool throttle_limits(const struct throttle *t);
/* Takes BYTES if every bucket has something, and says true. Else nothing is taken, and *ret_when is
 * when to ask again (INT64_MAX: a limit is 0). What is taken beyond the rate is paid back. */
bool throttle_pass(struct throttle *t, struct throttle_job *j, struct throttle_host *h, enum job_priority priority,
	uint64_t bytes, int64_t now, int64_t *ret_when);

void throttle_set_all(struct throttle *t, uint64_t rate, bool foreground_exempt, int64_t now);
void throttle_set_class(struct throttle *t, enum job_priority priority, uint64_t rate, int64_t now);
/* Remembered until LIMIT_MAX, also while no transfer of the job runs. -ENOMEM. */
int throttle_set_job(struct throttle *t, uint64_t serial, uint64_t rate, int64_t now);
