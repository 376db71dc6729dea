/* Which files run now (model/schedule.h).
 *
 * Per level there are three heaps of the jobs with something to start, by how many transfers they run:
 * none, some, or as many as one job should. The key is the bytes served, and each running transfer counts
 * as QUANTUM bytes that are on their way; so the slots of one turn are spread although nothing has been
 * served between them. Choosing is a look at three roots, and starting, ending, serving move one job.
 *
 *	idle    ->  may start when running_jobs allows (foreground: always)
 *	partly  ->  may start
 *	full    ->  may start when no other job of the level can: per_job shares slots, it does not waste them
 *
 * Stopping: slots come back only when the core says sched_ended, so what was asked for is counted
 * (`stopping`) and not asked for again.
 */
#include "model/schedule.h"

#include "model/table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define QUANTUM (UINT64_C(1) << 20)

enum share { SHARE_IDLE, SHARE_PARTLY, SHARE_FULL, SHARE_MAX };

struct fifo {
	uint32_t *v;
	uint32_t head, n, cap; /* v[head] ... v[head + n - 1] */
};

/* Where a file is. It stays in a list after it was started out of the other one, and is passed over
 * when its turn comes: so each list has it at most once. */
enum { FILE_WAITS = 1 << 0, FILE_IN_LINE = 1 << 1, FILE_IN_FRONT = 1 << 2 };

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

struct level {
	struct sjob *heaps[SHARE_MAX];
	uint64_t waiting;       /* files of the jobs in the heaps */
	uint32_t idle;          /* jobs in the idle heap */
	struct sjob *stoppable; /* jobs with running > stopping, the latest to begin first */
};

struct sched {
	struct sched_limits limits;
	struct table jobs;
	struct level levels[PRIORITY_MAX];
	uint32_t running, stopping;
	uint32_t background; /* background jobs with something running */
	uint32_t condemned;  /* those of them of which all that runs is to end */
};

/* --- the files of a job ------------------------------------------------------------------------ */

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

/* The next file to start; there is one. */
static uint32_t take_file(struct sjob *j)
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

static void forget_files(struct sjob *j)
{
	free(j->front.v);
	free(j->line.v);
	free(j->files);
	j->front = j->line = (struct fifo){ 0 };
	j->files = NULL;
	j->nfiles = j->waiting = 0;
}

/* --- heaps ------------------------------------------------------------------------------------- */

static bool precedes(const struct sjob *a, const struct sjob *b)
{
	uint64_t key_a = a->served + a->running * QUANTUM, key_b = b->served + b->running * QUANTUM;

	return key_a != key_b ? key_a < key_b : a->serial < b->serial;
}

static struct sjob *meld(struct sjob *a, struct sjob *b)
{
	if (!a || !b)
		return a ? a : b;
	if (precedes(b, a)) {
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

/* The children of a removed root as one heap: pairs from the left, then all from the right, which is
 * what makes removal O(log n) amortised (Fredman and others, "The pairing heap", 1986). */
static struct sjob *meld_all(struct sjob *first)
{
	struct sjob *pairs = NULL, *root = NULL;

	while (first) {
		struct sjob *a = first, *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct sjob *a = pairs;

		pairs = a->next;
		a->next = NULL;
		root = meld(root, a);
	}
	return root;
}

static void heap_remove(struct sjob *j)
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
		*j->heap = meld(*j->heap, rest);
	}
	j->child = j->next = j->prev = NULL;
	j->heap = NULL;
}

/* --- a job's place ------------------------------------------------------------------------------ */

static enum share share_of(const struct sched *s, const struct sjob *j)
{
	if (j->running == 0)
		return SHARE_IDLE;
	return j->running < s->limits.per_job ? SHARE_PARTLY : SHARE_FULL;
}

/* Every change of a job is made between unplace and place, which keep all sums and heaps. */
static void unplace(struct sched *s, struct sjob *j)
{
	struct level *level = &s->levels[j->priority];

	if (j->heap) {
		level->idle -= j->heap == &level->heaps[SHARE_IDLE];
		level->waiting -= j->waiting;
		heap_remove(j);
	}
	s->running -= j->running;
	s->stopping -= j->stopping;
	if (j->priority != PRIORITY_FOREGROUND && j->running) {
		s->background--;
		s->condemned -= j->running == j->stopping;
	}
}

static void place(struct sched *s, struct sjob *j)
{
	struct level *level = &s->levels[j->priority];

	s->running += j->running;
	s->stopping += j->stopping;
	if (j->priority != PRIORITY_FOREGROUND && j->running) {
		s->background++;
		s->condemned += j->running == j->stopping;
	}
	if (j->joined && !j->held && j->waiting) {
		j->heap = &level->heaps[share_of(s, j)];
		level->idle += j->heap == &level->heaps[SHARE_IDLE];
		level->waiting += j->waiting;
		*j->heap = meld(*j->heap, j);
	}
}

static void unlist(struct sched *s, struct sjob *j)
{
	if (!j->listed)
		return;
	if (j->list_prev)
		j->list_prev->list_next = j->list_next;
	else
		s->levels[j->priority].stoppable = j->list_next;
	if (j->list_next)
		j->list_next->list_prev = j->list_prev;
	j->list_next = j->list_prev = NULL;
	j->listed = false;
}

/* Keeps the order: who began last gives way first, and goes on giving way until it runs nothing. */
static void list(struct sched *s, struct sjob *j)
{
	struct level *level = &s->levels[j->priority];

	if (j->running == j->stopping) {
		unlist(s, j);
		return;
	}
	if (j->listed)
		return;
	j->list_next = level->stoppable;
	if (j->list_next)
		j->list_next->list_prev = j;
	level->stoppable = j;
	j->listed = true;
}

/* What the others of the level have been served: who comes back has not saved up what it did not use. */
static uint64_t floor_of(const struct level *level)
{
	uint64_t floor = UINT64_MAX;

	for (int i = 0; i < SHARE_MAX; i++)
		if (level->heaps[i] && level->heaps[i]->served < floor)
			floor = level->heaps[i]->served;
	if (floor == UINT64_MAX)
		for (const struct sjob *j = level->stoppable; j; j = j->list_next)
			if (j->served < floor)
				floor = j->served;
	return floor == UINT64_MAX ? 0 : floor;
}

static struct sjob *find(const struct sched *s, uint64_t serial)
{
	struct table_link *link = table_first(&s->jobs, hash_u64(serial));

	while (link && container_of(link, struct sjob, link)->serial != serial)
		link = table_next(link);
	return link ? container_of(link, struct sjob, link) : NULL;
}

/* A job that has left stays until its last transfer has ended. */
static void forget_if_over(struct sched *s, struct sjob *j)
{
	if (j->joined || j->running)
		return;
	table_drop(&s->jobs, &j->link);
	free(j);
}

/* --- what the core says --------------------------------------------------------------------------- */

int sched_new(const struct sched_limits *limits, struct sched **ret)
{
	struct sched *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->limits = *limits;
	*ret = s;
	return 0;
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->jobs.size; i++) {
		while (s->jobs.buckets[i]) {
			struct sjob *j = container_of(s->jobs.buckets[i], struct sjob, link);

			table_drop(&s->jobs, &j->link);
			forget_files(j);
			free(j);
		}
	}
	table_release(&s->jobs);
	free(s);
}

int sched_join(struct sched *s, uint64_t serial, enum job_priority priority)
{
	struct sjob *j = find(s, serial);

	if (!j) {
		if (table_reserve(&s->jobs, 1) < 0)
			return -ENOMEM;
		j = calloc(1, sizeof(*j));
		if (!j)
			return -ENOMEM;
		j->serial = serial;
		j->priority = priority;
		table_put(&s->jobs, &j->link, hash_u64(serial));
	}
	j->joined = true;
	sched_set_priority(s, serial, priority);
	return 0;
}

void sched_leave(struct sched *s, uint64_t serial)
{
	struct sjob *j = find(s, serial);

	if (!j)
		return;
	unplace(s, j);
	forget_files(j);
	j->joined = j->held = false;
	j->stopping = j->running;
	place(s, j);
	list(s, j);
	forget_if_over(s, j);
}

void sched_set_priority(struct sched *s, uint64_t serial, enum job_priority priority)
{
	struct sjob *j = find(s, serial);

	if (!j || j->priority == priority)
		return;
	unplace(s, j);
	unlist(s, j);
	j->priority = priority;
	if (j->served < floor_of(&s->levels[priority]))
		j->served = floor_of(&s->levels[priority]);
	place(s, j);
	list(s, j);
}

void sched_hold(struct sched *s, uint64_t serial, bool hold)
{
	struct sjob *j = find(s, serial);

	if (!j || !j->joined)
		return;
	unplace(s, j);
	j->held = hold;
	place(s, j);
}

int sched_file_waits(struct sched *s, uint64_t serial, uint32_t file, bool front)
{
	struct sjob *j = find(s, serial);
	struct fifo *queue;
	uint8_t in;

	if (!j || !j->joined)
		return -ENOENT;
	queue = front ? &j->front : &j->line;
	in = front ? FILE_IN_FRONT : FILE_IN_LINE;
	if (reserve_file(j, file) < 0 || fifo_reserve(queue) < 0)
		return -ENOMEM;
	unplace(s, j);
	if (j->waiting == 0 && j->running == 0 && j->served < floor_of(&s->levels[j->priority]))
		j->served = floor_of(&s->levels[j->priority]);
	if (!(j->files[file] & FILE_WAITS))
		j->waiting++;
	if (!(j->files[file] & in))
		fifo_push(queue, file);
	j->files[file] |= FILE_WAITS | in;
	place(s, j);
	return 0;
}

void sched_served(struct sched *s, uint64_t serial, uint64_t bytes)
{
	struct sjob *j = find(s, serial);

	if (!j)
		return;
	unplace(s, j);
	j->served += bytes;
	place(s, j);
}

void sched_ended(struct sched *s, uint64_t serial)
{
	struct sjob *j = find(s, serial);

	if (!j || !j->running)
		return;
	unplace(s, j);
	j->running--;
	if (j->stopping)
		j->stopping--;
	place(s, j);
	list(s, j);
	forget_if_over(s, j);
}

/* --- choosing ------------------------------------------------------------------------------------ */

static struct sched_step start(struct sched *s, struct sjob *j)
{
	uint32_t file;

	unplace(s, j);
	file = take_file(j);
	j->running++;
	place(s, j);
	list(s, j);
	return (struct sched_step){ .action = SCHED_START, .serial = j->serial, .file = file };
}

static struct sched_step stop(struct sched *s, struct sjob *j)
{
	if (!j)
		return (struct sched_step){ .action = SCHED_NOTHING };
	unplace(s, j);
	j->stopping++;
	place(s, j);
	list(s, j);
	return (struct sched_step){ .action = SCHED_STOP, .serial = j->serial };
}

/* The job that may start something next when there is a slot; NULL: none may. */
static struct sjob *candidate(const struct sched *s, enum job_priority priority)
{
	const struct level *level = &s->levels[priority];
	struct sjob *idle = level->heaps[SHARE_IDLE], *partly = level->heaps[SHARE_PARTLY];

	/* All foreground jobs run: one that runs nothing comes before what the others have been served. */
	if (priority == PRIORITY_FOREGROUND && idle)
		return idle;
	if (priority != PRIORITY_FOREGROUND && s->background >= s->limits.running_jobs)
		idle = NULL;
	if (idle && (!partly || precedes(idle, partly)))
		return idle;
	return partly ? partly : level->heaps[SHARE_FULL];
}

/* A job below PRIORITY, of the lowest level that runs anything. */
static struct sjob *victim(const struct sched *s, enum job_priority priority)
{
	for (int i = PRIORITY_MAX - 1; i > (int)priority; i--)
		if (s->levels[i].stoppable)
			return s->levels[i].stoppable;
	return NULL;
}

/* A foreground job that can spare a transfer for one that has none. Looks at the running jobs of the level,
 * which are no more than the window. */
static struct sjob *sharer(const struct sched *s)
{
	const struct level *level = &s->levels[PRIORITY_FOREGROUND];

	if (s->stopping >= level->idle)
		return NULL;
	for (struct sjob *j = level->stoppable; j; j = j->list_next)
		if (j->running - j->stopping > 1)
			return j;
	return NULL;
}

/* The window is full and a job of PRIORITY could go on. */
static struct sched_step make_slot(struct sched *s, enum job_priority priority)
{
	struct sjob *j = s->stopping < s->levels[priority].waiting ? victim(s, priority) : NULL;

	if (!j && priority == PRIORITY_FOREGROUND)
		j = sharer(s);
	return stop(s, j);
}

/* As many background jobs run as may, and only jobs of PRIORITY that run nothing have something to
 * start: a whole job below has to give way for each. */
static struct sched_step make_job_slot(struct sched *s, enum job_priority priority)
{
	return stop(s, s->condemned < s->levels[priority].idle ? victim(s, priority) : NULL);
}

struct sched_step sched_next(struct sched *s)
{
	for (int i = 0; i < PRIORITY_MAX; i++) {
		enum job_priority priority = (enum job_priority)i;
		struct sjob *j;

		if (s->levels[i].waiting == 0)
			continue;
		/* Strictly: what a level waits for is not given to those below. */
		j = candidate(s, priority);
		if (!j)
			return make_job_slot(s, priority);
		return s->running < s->limits.window ? start(s, j) : make_slot(s, priority);
	}
	return (struct sched_step){ .action = SCHED_NOTHING };
}

bool sched_waiting(const struct sched *s, uint64_t serial)
{
	const struct sjob *j = find(s, serial);

	return j && j->waiting;
}

uint32_t sched_running(const struct sched *s, uint64_t serial)
{
	const struct sjob *j = find(s, serial);

	return j ? j->running : 0;
}

/* --- invariants ---------------------------------------------------------------------------------- */

static uint32_t heap_size(struct sjob *const *heap, const struct sjob *root)
{
	uint32_t n = 1;

	assert(root->heap == heap && root->waiting);
	for (const struct sjob *j = root->child; j; j = j->next) {
		assert(!precedes(j, root));
		assert(j->prev == root || j->prev->next == j);
		n += heap_size(heap, j);
	}
	return n;
}

void sched_assert_sane(const struct sched *s)
{
	uint32_t running = 0, stopping = 0, background = 0, condemned = 0, ready = 0, in_heaps = 0;
	uint64_t waiting = 0, level_waiting = 0;

	for (size_t i = 0; i < s->jobs.size; i++) {
		for (const struct table_link *link = s->jobs.buckets[i]; link; link = link->next) {
			const struct sjob *j = container_of(link, const struct sjob, link);

			assert(j->joined || j->running);
			assert(j->stopping <= j->running);
			assert(j->listed == (j->running > j->stopping));
			assert((j->heap != NULL) == (j->joined && !j->held && j->waiting));
			assert(!j->heap || j->heap == &s->levels[j->priority].heaps[share_of(s, j)]);
			running += j->running;
			stopping += j->stopping;
			background += j->running && j->priority != PRIORITY_FOREGROUND;
			condemned += j->running && j->running == j->stopping && j->priority != PRIORITY_FOREGROUND;
			ready += j->heap != NULL;
			waiting += j->heap ? j->waiting : 0;
		}
	}
	assert(running == s->running && stopping == s->stopping && running <= s->limits.window);
	assert(background == s->background && condemned == s->condemned);
	for (int i = 0; i < PRIORITY_MAX; i++) {
		level_waiting += s->levels[i].waiting;
		for (int share = 0; share < SHARE_MAX; share++)
			if (s->levels[i].heaps[share])
				in_heaps += heap_size(&s->levels[i].heaps[share], s->levels[i].heaps[share]);
	}
	assert(in_heaps == ready && level_waiting == waiting);
}
