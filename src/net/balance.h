/* What each running job gets, as model/fair wants it: as much as the others of its priority. Foreground
 * jobs are left alone. Shared by the workers; one short lock, and none where bytes come.
 *
 * The order to a connection's window is one word, so that whoever holds the job reads it without a lock.
 */
#pragma once

#include "model/job.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct balance;

/* How the windows of a job's connections are to change: once for each `step`. */
struct portion {
	uint32_t step : 30;
	uint32_t bounded : 1;   /* no window is to be larger than it is good for: others may come */
	uint32_t contested : 1; /* they want what this one gets: more connections for it prove nothing */
	float factor;           /* 0: it is not held */
};

struct balance_job {              /* counted */
	atomic_uint_fast64_t bytes;  /* came since the last step: balance_moved */
	atomic_uint_fast64_t order;  /* struct portion */
	atomic_uint rtt_us;          /* the longest of its connections since the last step */
	atomic_bool limited;         /* by its own buckets, since the last step */
};

int balance_new(struct balance **ret);
void balance_free(struct balance *b);

/* Job SERIAL has a transfer more. *ret_room: others have to make room, so do not wait for the next tick.
 * NULL: out of memory. */
struct balance_job *balance_join(struct balance *b, uint64_t serial, enum job_priority priority, bool *ret_room);
void balance_leave(struct balance *b, struct balance_job *j); /* NULL is fine */
void balance_prioritise(struct balance *b, struct balance_job *j, enum job_priority priority);
/* For workers to call at each tick; it does its work when it is due. */
void balance_tick(struct balance *b, int64_t now);
struct portion balance_portion(const struct balance_job *j);

static inline void balance_moved(struct balance_job *j, uint64_t bytes)
{
	atomic_fetch_add_explicit(&j->bytes, bytes, memory_order_relaxed);
}
static inline void balance_note_rtt(struct balance_job *j, uint32_t us)
{
	if (us > atomic_load_explicit(&j->rtt_us, memory_order_relaxed))
		atomic_store_explicit(&j->rtt_us, us, memory_order_relaxed);
}
