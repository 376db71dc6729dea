/* The gate's lock, tables, and orders. Who is next is place.c's. */
#include "net/gate.h"
#include "net/worker.h"

#include "base/cleanup.h"
#include "model/table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define HOST_BUCKETS 256
#define ID_BUCKETS 4096
/* Hosts that are looked at when the limit of all connections is reached; those that got one go to the
 * end of their list, so the others have their turn. */
#define HOSTS_LOOKED_AT 256
#define TRY_MORE_AFTER (10 * NSEC_PER_SEC)
#define RELIEVE_INTERVAL (40 * NSEC_PER_MSEC)

struct host {
	struct place place;
	TAILQ_ENTRY(host) link;    /* bucket */
	TAILQ_ENTRY(host) waits;   /* `listed` */
	struct hosts *listed;      /* gate->ready[] or ->full; NULL: nothing waits */
	int64_t refused_at;        /* when it allowed fewer than we have for each, or was tried with one more */
	unsigned refs;             /* transfers */
	int64_t served_at;         /* when a transfer had ended well; 0: none has */
	char origin[];
};
TAILQ_HEAD(hosts, host);

struct gate {
	pthread_mutex_t lock;
	struct place all;
	unsigned max_per_host;
	uint64_t seq;
	int64_t relieved_at;
	struct hosts ready[PRIORITY_MAX]; /* with room for transfers that wait, by the highest priority of these */
	struct hosts full;                /* without */
	struct hosts by_origin[HOST_BUCKETS];
	struct partybook parties;
	struct tickets by_id[ID_BUCKETS];
};

int gate_new(unsigned connections, unsigned per_host, struct gate **ret)
{
	struct gate *g = calloc(1, sizeof *g);

	if (!g)
		return -ENOMEM;
	pthread_mutex_init(&g->lock, NULL);
	place_init(&g->all, IN_ALL, connections);
	g->max_per_host = per_host;
	TAILQ_INIT(&g->full);
	for (size_t i = 0; i < PRIORITY_MAX; i++)
		TAILQ_INIT(&g->ready[i]);
	for (size_t i = 0; i < HOST_BUCKETS; i++)
		TAILQ_INIT(&g->by_origin[i]);
	partybook_init(&g->parties);
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

static struct host *host_get(struct gate *g, const char *origin)
{
	struct hosts *bucket = &g->by_origin[hash_text(origin) % HOST_BUCKETS];
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
	place_init(&h->place, AT_HOST, g->max_per_host);
	h->refs = 1;
	TAILQ_INSERT_TAIL(bucket, h, link);
	return h;
}

static void host_put(struct gate *g, struct host *h)
{
	if (--h->refs)
		return;
	TAILQ_REMOVE(&g->by_origin[hash_text(h->origin) % HOST_BUCKETS], h, link);
	free(h);
}

static struct host *host_of(const struct ticket *t)
{
	return container_of(t->party[AT_HOST]->place, struct host, place);
}

/* After any change at H; AGAIN: it has had its turn. */
static void host_relist(struct gate *g, struct host *h, bool again)
{
	struct ticket *next = place_next(&h->place);
	struct hosts *list = !next ? NULL : place_is_full(&h->place) ? &g->full :
		&g->ready[next->party[AT_HOST]->priority];

	if (h->listed == list && !again)
		return;
	if (h->listed)
		TAILQ_REMOVE(h->listed, h, waits);
	if (list)
		TAILQ_INSERT_TAIL(list, h, waits);
	h->listed = list;
}

static bool has_room(const struct gate *g, const struct host *h)
{
	return !place_is_full(&g->all) && !place_is_full(&h->place);
}

/* --- tickets; lock held ------------------------------------------------------------------------------ */

static void wait_in(struct gate *g, struct ticket *t)
{
	for (int level = 0; level < PLACES; level++)
		place_wait(t, level);
	host_relist(g, host_of(t), false);
}

static void wait_out(struct gate *g, struct ticket *t)
{
	for (int level = 0; level < PLACES; level++)
		place_unwait(t, level);
	host_relist(g, host_of(t), true);
}

static void run_in(struct gate *g, struct ticket *t)
{
	t->connections = 1;
	for (int level = 0; level < PLACES; level++)
		place_run(t, level);
	host_relist(g, host_of(t), true);
}

static void run_out(struct gate *g, struct ticket *t)
{
	ticket_set_denied(t, false);
	for (int level = 0; level < PLACES; level++) {
		place_unrun(t, level);
		t->party[level]->place->leaving -= t->leaving;
	}
	t->connections = 0;
	host_relist(g, host_of(t), false);
}

static void change_connections(struct gate *g, struct ticket *t, int change)
{
	t->connections += (unsigned)change;
	for (int level = 0; level < PLACES; level++)
		place_connections(t, level, change);
	host_relist(g, host_of(t), false);
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
	struct host *h = host_of(t);

	TAILQ_REMOVE(&g->by_id[t->id % ID_BUCKETS], t, all);
	for (int level = 0; level < PLACES; level++) {
		party_put(&g->parties, t->party[level]);
		t->party[level] = NULL;
	}
	host_put(g, h);
}

static void mark(struct ticket *t, unsigned order)
{
	if (!t->orders)
		TAILQ_INSERT_TAIL(&t->worker->member.orders, t, order_link);
	t->orders |= order;
}

/* WAKE may be NULL: then it is seen at the worker's next tick. */
static void set_priority(struct gate *g, struct party *job, enum job_priority priority, void (*wake)(struct worker *w))
{
	struct party *part;
	struct ticket *t;

	if (job->priority == priority)
		return;
	party_set_priority(job, priority);
	TAILQ_FOREACH(part, &job->parts, part) {
		party_set_priority(part, priority);
		host_relist(g, container_of(part->place, struct host, place), false);
	}
	TAILQ_FOREACH(t, &job->running, link[IN_ALL]) {
		mark(t, ORDER_PRIORITY);
		if (wake)
			wake(t->worker);
	}
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

static int enter(struct gate *g, struct ticket *t, const char *origin)
{
	struct host *h = host_get(g, origin);
	struct party *job, *part;

	if (!h)
		return -ENOMEM;
	job = party_get(&g->parties, &g->all, NULL, t);
	part = job ? party_get(&g->parties, &h->place, job, t) : NULL;
	if (!part) {
		party_put(&g->parties, job);
		host_put(g, h);
		return -ENOMEM;
	}
	t->party[IN_ALL] = job;
	t->party[AT_HOST] = part;
	t->seq = ++g->seq;
	t->worker = NULL;
	t->connections = t->orders = 0;
	t->movable = t->leaving = t->late = false;
	TAILQ_INSERT_HEAD(&g->by_id[t->id % ID_BUCKETS], t, all);
	set_priority(g, job, t->priority, NULL);
	wait_in(g, t);
	return 0;
}

int gate_enter(struct gate *g, struct ticket *t, const char *origin, struct worker *const *workers, size_t nworkers,
	struct worker **ret_wake)
{
	int r;

	*ret_wake = NULL;
	pthread_mutex_lock(&g->lock);
	r = enter(g, t, origin);
	if (r == 0 && has_room(g, host_of(t)))
		*ret_wake = invite(workers, nworkers);
	pthread_mutex_unlock(&g->lock);
	return r;
}

/* Of all hosts with room. */
static struct ticket *best(struct gate *g)
{
	struct ticket *found = NULL, *t;
	struct host *h;

	for (int i = 0; i < PRIORITY_MAX && !found; i++) {
		unsigned looked = 0;

		TAILQ_FOREACH(h, &g->ready[i], waits) {
			t = place_next(&h->place);
			if (!found || ticket_is_before(t, found))
				found = t;
			if (++looked == HOSTS_LOOKED_AT)
				break;
		}
	}
	return found;
}

struct transfer *gate_take(struct gate *g, struct worker *w, bool invited, int64_t now)
{
	struct transfer *taken = NULL;
	struct ticket *t;

	pthread_mutex_lock(&g->lock);
	if (!invited || w->member.invited) {
		if (invited)
			w->member.invited--;
		t = place_is_full(&g->all) ? NULL : best(g);
		if (t) {
			wait_out(g, t);
			t->worker = w;
			t->since = now;
			t->priority = t->party[IN_ALL]->priority;
			run_in(g, t);
			w->member.running++;
			if (t->late)
				mark(t, ORDER_WANT);
			t->late = false;
			taken = t->transfer;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

bool gate_more(struct gate *g, struct ticket *t)
{
	struct host *h;
	bool ok;

	pthread_mutex_lock(&g->lock);
	h = host_of(t);
	ok = has_room(g, h) && !h->place.nwaiting && !(g->all.nwaiting && g->all.busy + 1 >= g->all.max);
	if (ok)
		change_connections(g, t, 1);
	ticket_set_denied(t, !ok);
	pthread_mutex_unlock(&g->lock);
	return ok;
}

void gate_less(struct gate *g, struct ticket *t)
{
	pthread_mutex_lock(&g->lock);
	change_connections(g, t, -1);
	ticket_set_denied(t, false);
	pthread_mutex_unlock(&g->lock);
}

void gate_leave(struct gate *g, struct ticket *t, int64_t served_at)
{
	pthread_mutex_lock(&g->lock);
	if (t->orders)
		TAILQ_REMOVE(&t->worker->member.orders, t, order_link);
	run_out(g, t);
	t->worker->member.running--;
	if (served_at)
		host_of(t)->served_at = served_at;
	forget(g, t);
	pthread_mutex_unlock(&g->lock);
}

bool gate_refused(struct gate *g, struct ticket *t, int64_t now)
{
	struct host *h;
	unsigned others;

	pthread_mutex_lock(&g->lock);
	h = host_of(t);
	others = h->place.busy - t->connections;
	if (t->orders & (ORDER_CEASE | ORDER_LEAVE))
		others = 0;
	if (others) {
		h->place.max = others;
		h->refused_at = now;
		host_relist(g, h, false);
	}
	pthread_mutex_unlock(&g->lock);
	return others;
}

bool gate_served(struct gate *g, struct ticket *t, int64_t since)
{
	bool served;

	pthread_mutex_lock(&g->lock);
	served = host_of(t)->served_at && host_of(t)->served_at >= since;
	pthread_mutex_unlock(&g->lock);
	return served;
}

struct transfer *gate_back(struct gate *g, struct ticket *t)
{
	struct transfer *taken = NULL;
	unsigned orders;

	pthread_mutex_lock(&g->lock);
	orders = t->orders;
	if (orders)
		TAILQ_REMOVE(&t->worker->member.orders, t, order_link);
	run_out(g, t);
	t->worker->member.running--;
	t->worker = NULL;
	t->orders = 0;
	t->movable = t->leaving = false;
	if (orders & ORDER_CEASE) {
		taken = t->transfer;
		forget(g, t);
	} else {
		t->late = true; /* an order may have come that nobody has seen */
		wait_in(g, t);
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

struct transfer *gate_drain(struct gate *g)
{
	struct transfer *taken = NULL;
	struct ticket *t;

	pthread_mutex_lock(&g->lock);
	t = place_next(&g->all);
	if (t) {
		taken = t->transfer;
		wait_out(g, t);
		forget(g, t);
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

/* --- making room ----------------------------------------------------------------------------------- */

bool gate_wanted(struct gate *g, struct ticket *t)
{
	const struct ticket *next = NULL;
	int level = AT_HOST;
	bool wanted;

	pthread_mutex_lock(&g->lock);
	if (place_is_full(&host_of(t)->place)) {
		next = place_next(&host_of(t)->place);
	} else if (place_is_full(&g->all)) {
		next = best(g);
		level = IN_ALL;
	}
	wanted = next ? ticket_outranks(next, t, level) :
		place_is_full(t->party[level]->place) && place_is_uneven(t->party[level]->place, t->party[level]);
	pthread_mutex_unlock(&g->lock);
	return wanted;
}

void gate_set_movable(struct gate *g, struct ticket *t, bool movable)
{
	pthread_mutex_lock(&g->lock);
	t->movable = movable;
	pthread_mutex_unlock(&g->lock);
}

static void relieve(struct place *p, const struct ticket *next, int64_t now, void (*wake)(struct worker *w))
{
	struct ticket *t = next && !p->leaving ? place_victim(p, next, now - GATE_STAY) : NULL;

	if (!t)
		return;
	t->leaving = true;
	for (int level = 0; level < PLACES; level++)
		t->party[level]->place->leaving++;
	mark(t, ORDER_LEAVE);
	wake(t->worker);
}

/* One more connection than a host allowed a while ago. */
static unsigned try_more(struct gate *g, struct host *h, int64_t now)
{
	if (h->place.max >= g->max_per_host || now - h->refused_at < TRY_MORE_AFTER)
		return 0;
	h->place.max++;
	h->refused_at = now;
	host_relist(g, h, false);
	return 1;
}

unsigned gate_relieve(struct gate *g, int64_t now, void (*wake)(struct worker *w))
{
	struct host *h, *next;
	unsigned rooms = 0;

	pthread_mutex_lock(&g->lock);
	if (g->all.nwaiting && now - g->relieved_at >= RELIEVE_INTERVAL) {
		g->relieved_at = now;
		for (h = TAILQ_FIRST(&g->full); h; h = next) {
			next = TAILQ_NEXT(h, waits);
			relieve(&h->place, place_next(&h->place), now, wake);
			rooms += try_more(g, h, now);
		}
		if (place_is_full(&g->all))
			relieve(&g->all, best(g), now, wake);
	}
	pthread_mutex_unlock(&g->lock);
	return rooms;
}

/* --- orders -------------------------------------------------------------------------------------- */

struct transfer *gate_order(struct gate *g, uint64_t id, unsigned order, uint64_t value, struct worker **ret_wake)
{
	struct transfer *taken = NULL;
	struct ticket *t;

	*ret_wake = NULL;
	pthread_mutex_lock(&g->lock);
	t = find(g, id);
	if (t && order == ORDER_WANT) {
		t->want = value;
		t->late = !t->worker;
	}
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
	struct party *job;

	pthread_mutex_lock(&g->lock);
	job = party_find(&g->parties, &g->all, serial);
	if (job)
		set_priority(g, job, priority, wake);
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
		TAILQ_REMOVE(&w->member.orders, t, order_link);
		*ret_orders = t->orders;
		*ret_want = t->want;
		*ret_priority = t->party[IN_ALL]->priority;
		t->orders = 0;
		found = t->transfer;
	}
	pthread_mutex_unlock(&g->lock);
	return found;
}

void gate_assert_sane(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	place_assert_sane(&g->all);
	for (size_t i = 0; i < HOST_BUCKETS; i++) {
		struct host *h;

		TAILQ_FOREACH(h, &g->by_origin[i], link) {
			place_assert_sane(&h->place);
			assert(h->place.busy <= h->place.max && !h->listed == !h->place.nwaiting);
			assert(!h->listed || (h->listed == &g->full) == place_is_full(&h->place));
		}
	}
	pthread_mutex_unlock(&g->lock);
}
