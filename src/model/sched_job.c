/* The files of a job that wait, and the heap that jobs are kept in (model/sched_job.h). */
#include "model/sched_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUANTUM (UINT64_C(1) << 20)

/* Where a file is. It stays in a list after it was started out of the other one, and is passed over
 * when its turn comes: so each list has it at most once. */
enum { FILE_WAITS = 1 << 0, FILE_IN_LINE = 1 << 1, FILE_IN_FRONT = 1 << 2 };

/* --- the files of a job ----------------------------------------------------------------------- */

static int fifo_reserve(struct fifo *q)
{
	uint32_t cap = q->cap ? q->cap * 2 : 8;
	uint32_t *v;

	if (q->head + q->n < q->cap)
		return 0;
	if (q->head > q->cap / 2) {
		memmove(q->v, q->v + q->head, q->n * sizeof(*q->v));
		q->head = 0;
		return 0;
	}
	v = reallocarray(q->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	q->v = v;
	q->cap = cap;
	return 0;
}

static void fifo_push(struct fifo *q, uint32_t id)
{
	q->v[q->head + q->n++] = id;
}

static uint32_t fifo_pop(struct fifo *q)
{
	uint32_t id = q->v[q->head++];

	if (--q->n == 0)
		q->head = 0;
	return id;
}

static int reserve_file(struct sjob *j, uint32_t file)
{
	uint32_t n = j->nfiles ? j->nfiles : 16;
	uint8_t *files;

	if (file < j->nfiles)
		return 0;
	while (n <= file)
		n = n > UINT32_MAX / 2 ? UINT32_MAX : n * 2;
	files = realloc(j->files, n);
	if (!files)
		return -ENOMEM;
	memset(files + j->nfiles, 0, n - j->nfiles);
	j->files = files;
	j->nfiles = n;
	return 0;
}

int sjob_reserve(struct sjob *j, uint32_t file, bool front)
{
	int r = reserve_file(j, file);

	return r < 0 ? r : fifo_reserve(front ? &j->front : &j->line);
}

void sjob_add_file(struct sjob *j, uint32_t file, bool front)
{
	uint8_t in = front ? FILE_IN_FRONT : FILE_IN_LINE;

	if (!(j->files[file] & FILE_WAITS))
		j->waiting++;
	if (!(j->files[file] & in))
		fifo_push(front ? &j->front : &j->line, file);
	j->files[file] |= FILE_WAITS | in;
}

uint32_t sjob_take_file(struct sjob *j)
{
	for (;;) {
		bool front = j->front.n > 0;
		uint32_t id = fifo_pop(front ? &j->front : &j->line);

		j->files[id] &= (uint8_t)~(front ? FILE_IN_FRONT : FILE_IN_LINE);
		if (j->files[id] & FILE_WAITS) {
			j->files[id] &= (uint8_t)~FILE_WAITS;
			j->waiting--;
			return id;
		}
	}
}

void sjob_forget_files(struct sjob *j)
{
	free(j->front.v);
	free(j->line.v);
	free(j->files);
	j->front = j->line = (struct fifo){ 0 };
	j->files = NULL;
	j->nfiles = j->waiting = 0;
}

/* --- heaps ------------------------------------------------------------------------------------ */

bool sjob_precedes(const struct sjob *a, const struct sjob *b)
{
	uint64_t key_a = a->served + a->running * QUANTUM, key_b = b->served + b->running * QUANTUM;

	return key_a != key_b ? key_a < key_b : a->serial < b->serial;
}

struct sjob *sjob_meld(struct sjob *a, struct sjob *b)
{
	if (!a || !b)
		return a ? a : b;
	if (sjob_precedes(b, a)) {
		struct sjob *first = b;

		b = a;
		a = first;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	return a;
}

/* The children of a removed root as one heap: pairs from the left, then all from the right,
 * which is what makes removal O(log n) amortised (Fredman and others, "The pairing heap", 1986). */
static struct sjob *meld_all(struct sjob *first)
{
	struct sjob *pairs = NULL, *root = NULL;

	while (first) {
		struct sjob *a = first, *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = sjob_meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct sjob *a = pairs;

		pairs = a->next;
		a->next = NULL;
		root = sjob_meld(root, a);
	}
	return root;
}

void sjob_unheap(struct sjob *j)
{
	struct sjob *rest = meld_all(j->child);

	if (*j->heap == j) {
		*j->heap = rest;
	} else {
		if (j->prev->child == j)
			j->prev->child = j->next;
		else
			j->prev->next = j->next;
		if (j->next)
			j->next->prev = j->prev;
		*j->heap = sjob_meld(*j->heap, rest);
	}
	j->child = j->next = j->prev = NULL;
	j->heap = NULL;
}
