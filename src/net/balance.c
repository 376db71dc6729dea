/* A job whose last transfer ends stays for a step: a job of many files is not a new one with each. */
#include "net/balance.h"

#include "base/cleanup.h"
#include "model/fair.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256

struct entry {
	struct balance_job job;
	TAILQ_ENTRY(entry) bucket;
	uint64_t serial;
	enum job_priority priority;
	unsigned refs;                /* transfers; 0: goes at the next step */
	struct fair_job fair;         /* of group[priority] */
};
TAILQ_HEAD(entries, entry);

struct balance {
	pthread_mutex_t lock;         /* of all below */
	uint32_t step;
	struct fair group[PRIORITY_MAX];
	struct entries buckets[BUCKETS];
};

int balance_new(struct balance **ret)
{
	struct balance *b = calloc(1, sizeof *b);

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	for (size_t i = 0; i < PRIORITY_MAX; i++)
		fair_init(&b->group[i], 0);
	for (size_t i = 0; i < BUCKETS; i++)
		TAILQ_INIT(&b->buckets[i]);
	*ret = b;
	return 0;
}

/* --- lock held ------------------------------------------------------------------------------------ */

static struct entries *bucket_of(struct balance *b, uint64_t serial)
{
	return &b->buckets[serial % BUCKETS];
}

static void drop(struct balance *b, struct entry *e)
{
	fair_leave(&b->group[e->priority], &e->fair);
	TAILQ_REMOVE(bucket_of(b, e->serial), e, bucket);
	free(e);
}

static struct entry *get(struct balance *b, uint64_t serial, enum job_priority priority)
{
	struct entry *e;

	TAILQ_FOREACH(e, bucket_of(b, serial), bucket)
		if (e->serial == serial)
			return e;
	e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->serial = serial;
	e->priority = priority;
	TAILQ_INSERT_HEAD(bucket_of(b, serial), e, bucket);
	fair_join(&b->group[priority], &e->fair);
	return e;
}

static void publish(struct balance *b, struct entry *e)
{
	const struct fair *f = &b->group[e->priority];
	struct portion p = { .step = b->step & 0x3fffffff };
	uint64_t word;

	static_assert(sizeof p == sizeof word, "one word");
	if (e->priority != PRIORITY_FOREGROUND) {
		p.bounded = 1;
		p.contested = fair_is_contested(f, &e->fair);
		p.factor = (float)e->fair.factor;
	}
	memcpy(&word, &p, sizeof word);
	atomic_store_explicit(&e->job.order, word, memory_order_relaxed);
}

static void regroup(struct balance *b, struct entry *e, enum job_priority priority)
{
	if (e->priority == priority)
		return;
	fair_leave(&b->group[e->priority], &e->fair);
	e->priority = priority;
	fair_join(&b->group[priority], &e->fair);
	publish(b, e);
}

/* What has come since the last step, before it. */
static void gather(struct fair *f)
{
	struct fair_job *j;

	f->rtt = 0;
	TAILQ_FOREACH(j, &f->jobs, link) {
		struct entry *e = container_of(j, struct entry, fair);
		int64_t rtt = (int64_t)atomic_exchange(&e->job.rtt_us, 0) * 1000;

		j->bytes += atomic_exchange(&e->job.bytes, 0);
		j->limited = atomic_exchange(&e->job.limited, false);
		if (rtt > f->rtt)
			f->rtt = rtt;
	}
}

static void sweep(struct balance *b, struct fair *f)
{
	struct fair_job *j, *next;

	for (j = TAILQ_FIRST(&f->jobs); j; j = next) {
		struct entry *e = container_of(j, struct entry, fair);

		next = TAILQ_NEXT(j, link);
		if (!e->refs)
			drop(b, e);
	}
}

static void step(struct balance *b, struct fair *f, int64_t now)
{
	struct fair_job *j;

	sweep(b, f);
	gather(f);
	fair_step(f, now);
	b->step++;
	TAILQ_FOREACH(j, &f->jobs, link)
		publish(b, container_of(j, struct entry, fair));
}

/* --- public ---------------------------------------------------------------------------------------- */

void balance_free(struct balance *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < PRIORITY_MAX; i++)
		while (!TAILQ_EMPTY(&b->group[i].jobs))
			drop(b, container_of(TAILQ_FIRST(&b->group[i].jobs), struct entry, fair));
	pthread_mutex_destroy(&b->lock);
	free(b);
}

struct balance_job *balance_join(struct balance *b, uint64_t serial, enum job_priority priority, bool *ret_room)
{
	struct entry *e;

	pthread_mutex_lock(&b->lock);
	e = get(b, serial, priority);
	if (e) {
		regroup(b, e, priority);
		e->refs++;
	}
	*ret_room = e && b->group[priority].urgent && b->group[priority].n > 1;
	pthread_mutex_unlock(&b->lock);
	return e ? &e->job : NULL;
}

void balance_leave(struct balance *b, struct balance_job *j)
{
	if (!j)
		return;
	pthread_mutex_lock(&b->lock);
	container_of(j, struct entry, job)->refs--;
	pthread_mutex_unlock(&b->lock);
}

void balance_prioritise(struct balance *b, struct balance_job *j, enum job_priority priority)
{
	struct entry *e = container_of(j, struct entry, job);

	pthread_mutex_lock(&b->lock);
	regroup(b, e, priority);
	pthread_mutex_unlock(&b->lock);
}

void balance_tick(struct balance *b, int64_t now)
{
	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < PRIORITY_MAX; i++)
		if (b->group[i].n && fair_is_due(&b->group[i], now))
			step(b, &b->group[i], now);
	pthread_mutex_unlock(&b->lock);
}

struct portion balance_portion(const struct balance_job *j)
{
	uint64_t word = atomic_load_explicit(&j->order, memory_order_relaxed);
	struct portion p;

	memcpy(&p, &word, sizeof p);
	return p;
}
