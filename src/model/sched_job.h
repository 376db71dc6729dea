/* A job as the scheduler knows it: private to model/schedule.c, whose header is the contract.
 *
 * Heaps are pairing heaps with the links in the jobs, so moving a job needs no memory and cannot
 * fail.
 */
#pragma once

#include "model/job.h"
#include "model/table.h"

struct fifo {
	uint32_t *v;
	uint32_t head, n, cap; /* v[head] ... v[head + n - 1] */
};

struct sjob {
	struct table_link link; /* sched.jobs */
	uint64_t serial, served;
	enum job_priority priority;
	bool joined, held;
	uint32_t running, stopping; /* stopping <= running: asked to end, or the core's to end */
	struct fifo front, line;
	uint8_t *files; /* FILE_... by id */
	uint32_t nfiles, waiting;
	/* Pairing heap; heap NULL: nothing to start. A first child's prev is its parent. */
	struct sjob **heap, *child, *next, *prev;
	bool listed; /* among level.stoppable */
	struct sjob *list_next, *list_prev;
};

/* Room for one more call of sjob_add_file. -ENOMEM. */
int sjob_reserve(struct sjob *j, uint32_t file, bool front);
void sjob_add_file(struct sjob *j, uint32_t file, bool front);
uint32_t sjob_take_file(struct sjob *j); /* the next one to start; there is one */
void sjob_forget_files(struct sjob *j);

/* Whether A is to start something before B: fewer bytes served, each running transfer counted as
 * QUANTUM bytes; then the older one. */
bool sjob_precedes(const struct sjob *a, const struct sjob *b);
struct sjob *sjob_meld(struct sjob *a, struct sjob *b); /* two heaps, each may be NULL, as one */
void sjob_unheap(struct sjob *j);                       /* takes J out of *j->heap */
