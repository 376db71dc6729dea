/* Which files run now (model/schedule.h).
 *
 * Per level there are three heaps of the jobs with something to start, by how many transfers
 * they run: none, some, or as many as one job should. The key is the bytes served, and each
 * running transfer counts as a mebibyte that is on its way; so the slots of one turn are spread
 * although nothing has been served between them. Choosing is a look at three roots, and
 * starting, ending, serving move one job.
 *
 *	idle    ->  may start when running_jobs allows (foreground: always), before the others
 *	partly  ->  may start
 *	full    ->  may start when no other job of the level can: per_job wastes no slot
 *
 * Stopping: slots come back only when the core says sched_ended, so what was asked for is
 * counted (`stopping`) and not asked for again.
 */
#include "model/schedule.h"

#include "model/sched_job.h"

#include <assert.h>
#include <errno.h>

enum share { SHARE_IDLE, SHARE_PARTLY, SHARE_FULL, SHARE_MAX };

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

/* --- a job's place ---------------------------------------------------------------------------- */

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
		sjob_unheap(j);
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
		*j->heap = sjob_meld(*j->heap, j);
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

/* Who comes back has not saved up what he did not use: he starts at the least that another of
 * the level has been served. */
static void raise_to_floor(const struct sched *s, struct sjob *comer)
{
	const struct level *level = &s->levels[comer->priority];
	uint64_t floor = UINT64_MAX;

	for (int i = 0; i < SHARE_MAX; i++)
		if (level->heaps[i] && level->heaps[i]->served < floor)
			floor = level->heaps[i]->served;
	if (floor == UINT64_MAX)
		for (const struct sjob *j = level->stoppable; j; j = j->list_next)
			if (j->served < floor)
				floor = j->served;
	if (floor != UINT64_MAX && comer->served < floor)
		comer->served = floor;
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

/* --- what the core says ----------------------------------------------------------------------- */

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
			sjob_forget_files(j);
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
	sjob_forget_files(j);
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
	raise_to_floor(s, j);
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
	int r;

	if (!j || !j->joined)
		return -ENOENT;
	r = sjob_reserve(j, file, front);
	if (r < 0)
		return r;
	unplace(s, j);
	if (j->waiting == 0 && j->running == 0)
		raise_to_floor(s, j);
	sjob_add_file(j, file, front);
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

/* --- choosing --------------------------------------------------------------------------------- */

static struct sched_step start(struct sched *s, struct sjob *j)
{
	uint32_t file;

	unplace(s, j);
	file = sjob_take_file(j);
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

/* Jobs of the level that run nothing, and may. */
static uint32_t beginners(const struct sched *s, enum job_priority priority)
{
	uint32_t idle = s->levels[priority].idle, room = UINT32_MAX;

	if (priority != PRIORITY_FOREGROUND)
		room = s->limits.running_jobs > s->background ? s->limits.running_jobs - s->background : 0;
	return idle < room ? idle : room;
}

/* The job that may start something next when there is a slot; NULL: none may. One that runs nothing comes
 * before what the others have been served, or its slot would be theirs again when its only file has ended,
 * and be taken back from them. */
static struct sjob *candidate(const struct sched *s, enum job_priority priority)
{
	const struct level *level = &s->levels[priority];

	if (beginners(s, priority))
		return level->heaps[SHARE_IDLE];
	return level->heaps[SHARE_PARTLY] ? level->heaps[SHARE_PARTLY] : level->heaps[SHARE_FULL];
}

/* A job below PRIORITY, of the lowest level that runs anything. */
static struct sjob *victim(const struct sched *s, enum job_priority priority)
{
	for (int i = PRIORITY_MAX - 1; i > (int)priority; i--)
		if (s->levels[i].stoppable)
			return s->levels[i].stoppable;
	return NULL;
}

/* The job of the level that runs most, if it can spare a transfer for one that runs nothing. Each keeps one:
 * so what a job began first is never stopped for its equals, and ends also where it cannot be resumed.
 * Looks at the running jobs of the level, which are no more than the window. */
static struct sjob *sharer(const struct sched *s, enum job_priority priority)
{
	struct sjob *most = NULL;
	uint32_t spare = 1;

	if (s->stopping >= beginners(s, priority))
		return NULL;
	for (struct sjob *j = s->levels[priority].stoppable; j; j = j->list_next) {
		if (j->running - j->stopping > spare) {
			spare = j->running - j->stopping;
			most = j;
		}
	}
	return most;
}

/* The window is full and a job of PRIORITY could go on. */
static struct sched_step make_slot(struct sched *s, enum job_priority priority)
{
	struct sjob *j = s->stopping < s->levels[priority].waiting ? victim(s, priority) : NULL;

	return stop(s, j ? j : sharer(s, priority));
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

/* --- invariants ------------------------------------------------------------------------------- */

static uint32_t heap_size(struct sjob *const *heap, const struct sjob *root)
{
	uint32_t n = 1;

	assert(root->heap == heap && root->waiting);
	for (const struct sjob *j = root->child; j; j = j->next) {
		assert(!sjob_precedes(j, root));
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
			assert(!j->heap ||
				j->heap == &s->levels[j->priority].heaps[share_of(s, j)]);
			running += j->running;
			stopping += j->stopping;
			background += j->running && j->priority != PRIORITY_FOREGROUND;
			condemned += j->running && j->running == j->stopping &&
				j->priority != PRIORITY_FOREGROUND;
			ready += j->heap != NULL;
			waiting += j->heap ? j->waiting : 0;
		}
	}
	assert(running == s->running && stopping == s->stopping && running <= s->limits.window);
	assert(background == s->background && condemned == s->condemned);
	for (int i = 0; i < PRIORITY_MAX; i++) {
		level_waiting += s->levels[i].waiting;
		for (int share = 0; share < SHARE_MAX; share++) {
			struct sjob *const *heap = &s->levels[i].heaps[share];

			in_heaps += *heap ? heap_size(heap, *heap) : 0;
		}
	}
	assert(in_heaps == ready && level_waiting == waiting);
}
