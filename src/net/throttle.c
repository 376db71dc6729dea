#include "net/throttle.h"

#include "base/clock.h"
#include "base/parse.h"
#include "model/table.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define JOB_BUCKETS 256
#define HOST_BUCKETS 64
/* A connection is not woken more often than this for the few bytes that a bucket has by then. */
#define NAP (10 * NSEC_PER_MSEC)

struct throttle_job {
	TAILQ_ENTRY(throttle_job) link;
	uint64_t serial;
	unsigned refs;          /* transfers, and one while a limit is set */
	struct share share;
};
TAILQ_HEAD(throttle_jobs, throttle_job);

struct throttle_host {
	TAILQ_ENTRY(throttle_host) link;
	unsigned refs;          /* connections */
	struct share share;
	char origin[];
};
TAILQ_HEAD(throttle_hosts, throttle_host);

struct throttle {
	atomic_uint limits;     /* buckets with a limit */
	uint64_t per_host;      /* constant */
	pthread_mutex_t lock;   /* of all below */
	struct share all, class[PRIORITY_MAX];
	bool foreground_exempt;
	struct throttle_jobs jobs[JOB_BUCKETS];
	struct throttle_hosts hosts[HOST_BUCKETS];
};

int throttle_new(uint64_t per_host, struct throttle **ret)
{
	struct throttle *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	share_init(&t->all, LIMIT_MAX, 0);
	for (size_t i = 0; i < PRIORITY_MAX; i++)
		share_init(&t->class[i], LIMIT_MAX, 0);
	for (size_t i = 0; i < JOB_BUCKETS; i++)
		TAILQ_INIT(&t->jobs[i]);
	for (size_t i = 0; i < HOST_BUCKETS; i++)
		TAILQ_INIT(&t->hosts[i]);
	t->per_host = per_host;
	atomic_init(&t->limits, per_host != LIMIT_MAX);
	*ret = t;
	return 0;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < JOB_BUCKETS; i++) {
		struct throttle_job *j;

		while ((j = TAILQ_FIRST(&t->jobs[i]))) {
			TAILQ_REMOVE(&t->jobs[i], j, link);
			free(j);
		}
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* --- lock held ------------------------------------------------------------------------------------ */

static struct throttle_job *find(struct throttle *t, uint64_t serial)
{
	struct throttle_job *j;

	TAILQ_FOREACH(j, &t->jobs[serial % JOB_BUCKETS], link)
		if (j->serial == serial)
			return j;
	return NULL;
}

static struct throttle_job *get(struct throttle *t, uint64_t serial)
{
	struct throttle_job *j = find(t, serial);

	if (!j) {
		j = calloc(1, sizeof *j);
		if (!j)
			return NULL;
		j->serial = serial;
		share_init(&j->share, LIMIT_MAX, 0);
		TAILQ_INSERT_HEAD(&t->jobs[serial % JOB_BUCKETS], j, link);
	}
	j->refs++;
	return j;
}

static void put(struct throttle *t, struct throttle_job *j)
{
	if (--j->refs)
		return;
	TAILQ_REMOVE(&t->jobs[j->serial % JOB_BUCKETS], j, link);
	free(j);
}

static void set(struct throttle *t, struct share *s, uint64_t rate, int64_t now)
{
	int change = (rate != LIMIT_MAX) - (s->rate != LIMIT_MAX);

	if (s->rate == LIMIT_MAX)
		share_init(s, rate, now);
	else
		share_set_rate(s, rate, now);
	atomic_fetch_add(&t->limits, (unsigned)change);
}

/* --- public ---------------------------------------------------------------------------------------- */

struct throttle_job *throttle_join(struct throttle *t, uint64_t serial)
{
	struct throttle_job *j;

	pthread_mutex_lock(&t->lock);
	j = get(t, serial);
	pthread_mutex_unlock(&t->lock);
	return j;
}

void throttle_leave(struct throttle *t, struct throttle_job *j)
{
	if (!j)
		return;
	pthread_mutex_lock(&t->lock);
	put(t, j);
	pthread_mutex_unlock(&t->lock);
}

static struct throttle_hosts *host_bucket(struct throttle *t, const char *origin)
{
	return &t->hosts[hash_text(origin) % HOST_BUCKETS];
}

static struct throttle_host *host_get(struct throttle *t, const char *origin, int64_t now)
{
	struct throttle_hosts *bucket = host_bucket(t, origin);
	struct throttle_host *h;

	TAILQ_FOREACH(h, bucket, link) {
		if (strcmp(h->origin, origin) == 0) {
			h->refs++;
			return h;
		}
	}
	h = calloc(1, sizeof *h + strlen(origin) + 1);
	if (!h)
		return NULL;
	memcpy(h->origin, origin, strlen(origin) + 1);
	h->refs = 1;
	share_init(&h->share, t->per_host, now);
	TAILQ_INSERT_HEAD(bucket, h, link);
	return h;
}

int throttle_visit(struct throttle *t, const char *origin, int64_t now, struct throttle_host **ret)
{
	struct throttle_host *h = NULL;

	if (throttle_limits_hosts(t)) {
		pthread_mutex_lock(&t->lock);
		h = host_get(t, origin, now);
		pthread_mutex_unlock(&t->lock);
		if (!h)
			return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void throttle_depart(struct throttle *t, struct throttle_host *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&t->lock);
	if (!--h->refs) {
		TAILQ_REMOVE(host_bucket(t, h->origin), h, link);
		free(h);
	}
	pthread_mutex_unlock(&t->lock);
}

bool throttle_limits_hosts(const struct throttle *t)
{
	return t->per_host != LIMIT_MAX;
}

bool throttle_limits(const struct throttle *t)
{
	return atomic_load_explicit(&t->limits, memory_order_relaxed) != 0;
}

bool throttle_pass(struct throttle *t, struct throttle_job *j, struct throttle_host *h, enum job_priority priority,
	uint64_t bytes, int64_t now, int64_t *ret_when)
{
	struct share *path[4];
	size_t n = 0;
	int64_t when = 0, then;
	bool ok = true, exempt;

	pthread_mutex_lock(&t->lock);
	exempt = priority == PRIORITY_FOREGROUND && t->foreground_exempt;
	if (t->all.rate != LIMIT_MAX && !exempt)
		path[n++] = &t->all;
	if (h && !exempt)
		path[n++] = &h->share;
	if (t->class[priority].rate != LIMIT_MAX)
		path[n++] = &t->class[priority];
	if (j && j->share.rate != LIMIT_MAX)
		path[n++] = &j->share;
	for (size_t i = 0; i < n; i++) {
		if (share_allows(path[i], now, &then) == 0) {
			ok = false;
			when = then > when ? then : when;
		}
	}
	for (size_t i = 0; ok && i < n; i++)
		share_take(path[i], bytes);
	pthread_mutex_unlock(&t->lock);
	if (!ok)
		*ret_when = when > now + NAP ? when : now + NAP;
	return ok;
}

void throttle_set_all(struct throttle *t, uint64_t rate, bool foreground_exempt, int64_t now)
{
	pthread_mutex_lock(&t->lock);
	set(t, &t->all, rate, now);
	t->foreground_exempt = foreground_exempt;
	pthread_mutex_unlock(&t->lock);
}

void throttle_set_class(struct throttle *t, enum job_priority priority, uint64_t rate, int64_t now)
{
	pthread_mutex_lock(&t->lock);
	set(t, &t->class[priority], rate, now);
	pthread_mutex_unlock(&t->lock);
}

int throttle_set_job(struct throttle *t, uint64_t serial, uint64_t rate, int64_t now)
{
	struct throttle_job *j;

	pthread_mutex_lock(&t->lock);
	j = get(t, serial);
	if (j) {
		/* The reference that `get` took stays with the limit, unless there was one already. */
		bool had = j->share.rate != LIMIT_MAX;

		set(t, &j->share, rate, now);
		j->refs -= had;
		if (rate == LIMIT_MAX)
			put(t, j);
	}
	pthread_mutex_unlock(&t->lock);
	return j ? 0 : -ENOMEM;
}
