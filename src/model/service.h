/* What concerns the whole service and not one job: the network's kind and the counters of
 * .xferfs/stats. Lives in the queue; the core writes LOCKED, readers read under the lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/retry.h"

enum network { NETWORK_UNRESTRICTED, NETWORK_METERED, NETWORK_OFFLINE, NETWORK_MAX };
extern const char *const network_words[NETWORK_MAX + 1]; /* NULL-terminated */

#define LATENCY_BUCKETS 8 /* le 0.01 0.1 1 10 60 600 3600 +Inf seconds, from resume to the first byte */
extern const double latency_bounds[LATENCY_BUCKETS - 1];

struct service {
	enum network network;  /* as set by the administrator */
	bool online;           /* as rtnetlink says */
	int64_t started;       /* wall seconds */
	uint64_t bytes_downloaded, files_transferred, files_completed;
	uint64_t jobs_created, jobs_completed, jobs_cancelled;
	uint64_t retries, errors[OUTCOME_MAX];
	uint64_t latency_count[LATENCY_BUCKETS]; /* cumulative, as OpenMetrics wants */
	double latency_sum;
	uint64_t connections;  /* open now */
	uint64_t rate;         /* bytes per second now, smoothed */
};
