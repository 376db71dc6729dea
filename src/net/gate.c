#include "net/gate.h"
#include "net/worker.h"

#include <errno.h>
#include <string.h>

#define HOST_BUCKETS 256
#define ID_BUCKETS 4096

struct host {
	TAILQ_ENTRY(host) link;    /* bucket */
	TAILQ_ENTRY(host) waits;   /* gate->waiting, while nwaiting */
	unsigned refs;             /* transfers */
	unsigned busy;             /* connections */
	unsigned nwaiting;
	struct tickets waiting[PRIORITY_MAX]; /* by age */
	char origin[];
};
TAILQ_HEAD(hosts, host);

struct gate {
	pthread_mutex_t lock;
	unsigned busy, nwaiting, max, max_per_host;
	uint64_t seq;
	struct hosts waiting;      /* those with transfers that wait */
	struct hosts by_origin[HOST_BUCKETS];
	struct tickets by_id[ID_BUCKETS];
};

int gate_new(unsigned connections, unsigned per_host, struct gate **ret)
{
	struct gate *g = calloc(1, sizeof *g);

	if (!g)
		return -ENOMEM;
	pthread_mutex_init(&g->lock, NULL);
	g->max = connections;
	g->max_per_host = per_host;
	TAILQ_INIT(&g->waiting);
	for (size_t i = 0; i < HOST_BUCKETS; i++)
		TAILQ_INIT(&g->by_origin[i]);
	for (size_t i = 0; i < ID_BUCKETS; i++)
		TAILQ_INIT(&g->by_id[i]);
	*ret = g;
	return 0;
}

void gate_free(struct gate *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* --- hosts; lock held ------------------------------------------------------------------------- */

static unsigned hash(const char *text)
{
	unsigned h = 2166136261u; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

static struct host *host_get(struct gate *g, const char *origin)
{
	struct hosts *bucket = &g->by_origin[hash(origin) % HOST_BUCKETS];
	size_t len = strlen(origin) + 1;
	struct host *h;

	TAILQ_FOREACH(h, bucket, link) {
		if (strcmp(h->origin, origin) == 0) {
			h->refs++;
			return h;
		}
	}
	h = calloc(1, sizeof *h + len);
	if (!h)
		return NULL;
	memcpy(h->origin, origin, len);
	for (size_t i = 0; i < PRIORITY_MAX; i++)
		TAILQ_INIT(&h->waiting[i]);
	h->refs = 1;
	TAILQ_INSERT_TAIL(bucket, h, link);
	return h;
}

static void host_put(struct gate *g, struct host *h)
{
	if (--h->refs)
		return;
	TAILQ_REMOVE(&g->by_origin[hash(h->origin) % HOST_BUCKETS], h, link);
	free(h);
}

static bool has_room(const struct gate *g, const struct host *h)
{
	return g->busy < g->max && h->busy < g->max_per_host;
}

static void wait_in(struct gate *g, struct ticket *t)
{
	struct host *h = t->host;
	struct tickets *list = &h->waiting[t->priority];
	struct ticket *older = TAILQ_LAST(list, tickets);

	/* New ones are the youngest; only a changed priority has to look for its place. */
	while (older && older->seq > t->seq)
		older = TAILQ_PREV(older, tickets, link);
	if (older)
		TAILQ_INSERT_AFTER(list, older, t, link);
	else
		TAILQ_INSERT_HEAD(list, t, link);
	if (!h->nwaiting++)
		TAILQ_INSERT_TAIL(&g->waiting, h, waits);
	g->nwaiting++;
}

static void wait_out(struct gate *g, struct ticket *t)
{
	struct host *h = t->host;

	TAILQ_REMOVE(&h->waiting[t->priority], t, link);
	if (!--h->nwaiting)
		TAILQ_REMOVE(&g->waiting, h, waits);
	g->nwaiting--;
}

static struct ticket *find(struct gate *g, uint64_t id)
{
	struct ticket *t;

	TAILQ_FOREACH(t, &g->by_id[id % ID_BUCKETS], all)
		if (t->id == id)
			return t;
	return NULL;
}

static void forget(struct gate *g, struct ticket *t)
{
	TAILQ_REMOVE(&g->by_id[t->id % ID_BUCKETS], t, all);
	host_put(g, t->host);
	t->host = NULL;
}

/* --- in and out ---------------------------------------------------------------------------------- */

/* The worker with least to do; one wake per new transfer, so that a burst is spread. */
static struct worker *invite(struct worker *const *workers, size_t n)
{
	struct worker *best = workers[0];

	for (size_t i = 1; i < n; i++)
		if (workers[i]->member.running + workers[i]->member.invited <
		    best->member.running + best->member.invited)
			best = workers[i];
	best->member.invited++;
	return best;
}

int gate_enter(struct gate *g, struct ticket *t, const char *origin, struct worker *const *workers, size_t nworkers,
	struct worker **ret_wake)
{
	*ret_wake = NULL;
	pthread_mutex_lock(&g->lock);
	t->host = host_get(g, origin);
	if (!t->host) {
		pthread_mutex_unlock(&g->lock);
		return -ENOMEM;
	}
	t->seq = ++g->seq;
	t->worker = NULL;
	t->orders = 0;
	TAILQ_INSERT_HEAD(&g->by_id[t->id % ID_BUCKETS], t, all);
	wait_in(g, t);
	if (has_room(g, t->host))
		*ret_wake = invite(workers, nworkers);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

/* Of all hosts with room: the highest priority, then the oldest. */
static struct ticket *best(struct gate *g)
{
	struct ticket *found = NULL, *t;
	struct host *h;

	if (g->busy >= g->max)
		return NULL;
	TAILQ_FOREACH(h, &g->waiting, waits) {
		if (!has_room(g, h))
			continue;
		for (int p = 0; p < PRIORITY_MAX; p++) {
			if (found && (int)found->priority < p)
				break;
			t = TAILQ_FIRST(&h->waiting[p]);
			if (t && (!found || t->priority < found->priority || t->seq < found->seq))
				found = t;
			if (t)
				break;
		}
	}
	return found;
}

struct transfer *gate_take(struct gate *g, struct worker *w, bool invited)
{
	struct transfer *taken = NULL;
	struct ticket *t;

	pthread_mutex_lock(&g->lock);
	if (!invited || w->member.invited) {
		if (invited)
			w->member.invited--;
		t = best(g);
		if (t) {
			wait_out(g, t);
			t->worker = w;
			t->host->busy++;
			g->busy++;
			w->member.running++;
			taken = t->transfer;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

bool gate_more(struct gate *g, struct ticket *t)
{
	bool ok;

	pthread_mutex_lock(&g->lock);
	ok = has_room(g, t->host) && !t->host->nwaiting && !(g->nwaiting && g->busy + 1 >= g->max);
	if (ok) {
		t->host->busy++;
		g->busy++;
	}
	pthread_mutex_unlock(&g->lock);
	return ok;
}

void gate_less(struct gate *g, struct ticket *t)
{
	pthread_mutex_lock(&g->lock);
	t->host->busy--;
	g->busy--;
	pthread_mutex_unlock(&g->lock);
}

bool gate_wanted(struct gate *g, struct ticket *t)
{
	bool wanted;

	pthread_mutex_lock(&g->lock);
	wanted = t->host->nwaiting || (g->nwaiting && g->busy >= g->max);
	pthread_mutex_unlock(&g->lock);
	return wanted;
}

void gate_leave(struct gate *g, struct ticket *t)
{
	pthread_mutex_lock(&g->lock);
	if (t->orders)
		TAILQ_REMOVE(&t->worker->member.orders, t, link);
	t->host->busy--;
	g->busy--;
	t->worker->member.running--;
	forget(g, t);
	pthread_mutex_unlock(&g->lock);
}

struct transfer *gate_drain(struct gate *g)
{
	struct transfer *taken = NULL;
	struct host *h;

	pthread_mutex_lock(&g->lock);
	h = TAILQ_FIRST(&g->waiting);
	for (int p = 0; h && !taken && p < PRIORITY_MAX; p++) {
		struct ticket *t = TAILQ_FIRST(&h->waiting[p]);

		if (t) {
			taken = t->transfer;
			wait_out(g, t);
			forget(g, t);
		}
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

/* --- orders -------------------------------------------------------------------------------------- */

static void mark(struct ticket *t, unsigned order)
{
	if (!t->orders)
		TAILQ_INSERT_TAIL(&t->worker->member.orders, t, link);
	t->orders |= order;
}

struct transfer *gate_order(struct gate *g, uint64_t id, unsigned order, uint64_t value, struct worker **ret_wake)
{
	struct transfer *taken = NULL;
	struct ticket *t;

	*ret_wake = NULL;
	pthread_mutex_lock(&g->lock);
	t = find(g, id);
	if (t && order == ORDER_WANT)
		t->want = value;
	if (t && t->worker) {
		mark(t, order);
		*ret_wake = t->worker;
	} else if (t && order == ORDER_CEASE) {
		taken = t->transfer;
		wait_out(g, t);
		forget(g, t);
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

void gate_prioritise(struct gate *g, uint64_t serial, enum job_priority priority, void (*wake)(struct worker *w))
{
	struct ticket *t;

	pthread_mutex_lock(&g->lock);
	for (size_t i = 0; i < ID_BUCKETS; i++) {
		TAILQ_FOREACH(t, &g->by_id[i], all) {
			if (t->serial != serial || t->priority == priority)
				continue;
			if (t->worker) {
				t->priority = priority;
				mark(t, ORDER_PRIORITY);
				wake(t->worker);
			} else {
				wait_out(g, t);
				t->priority = priority;
				wait_in(g, t);
			}
		}
	}
	pthread_mutex_unlock(&g->lock);
}

struct transfer *gate_orders(struct gate *g, struct worker *w, unsigned *ret_orders, uint64_t *ret_want,
	enum job_priority *ret_priority)
{
	struct transfer *found = NULL;
	struct ticket *t;

	pthread_mutex_lock(&g->lock);
	t = TAILQ_FIRST(&w->member.orders);
	if (t) {
		TAILQ_REMOVE(&w->member.orders, t, link);
		*ret_orders = t->orders;
		*ret_want = t->want;
		*ret_priority = t->priority;
		t->orders = 0;
		found = t->transfer;
	}
	pthread_mutex_unlock(&g->lock);
	return found;
}
