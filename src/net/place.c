#include "net/place.h"

#include <assert.h>
#include <stdlib.h>

/* --- parties and their lists --------------------------------------------------------------------- */

void place_init(struct place *p, int level, unsigned max)
{
	*p = (struct place){ .level = level, .max = max };
	TAILQ_INIT(&p->running);
	for (int i = 0; i < PRIORITY_MAX; i++) {
		TAILQ_INIT(&p->hungry[i]);
		TAILQ_INIT(&p->fed[i]);
	}
}

static void party_init(struct party *y, struct place *p, struct party *job, uint64_t serial, enum job_priority priority)
{
	*y = (struct party){ .place = p, .job = job ? job : y, .serial = serial, .priority = priority };
	TAILQ_INIT(&y->parts);
	TAILQ_INIT(&y->waiting);
	TAILQ_INIT(&y->running);
}

void partybook_init(struct partybook *b)
{
	for (size_t i = 0; i < PARTY_BUCKETS; i++)
		TAILQ_INIT(&b->buckets[i]);
}

static struct parties *party_bucket(struct partybook *b, const struct place *p, uint64_t serial)
{
	return &b->buckets[(((uintptr_t)p >> 4) + serial) % PARTY_BUCKETS];
}

struct party *party_find(struct partybook *b, const struct place *p, uint64_t serial)
{
	struct party *y;

	TAILQ_FOREACH(y, party_bucket(b, p, serial), bucket)
		if (y->place == p && y->serial == serial)
			return y;
	return NULL;
}

struct party *party_get(struct partybook *b, struct place *p, struct party *job, uint64_t serial,
	enum job_priority priority)
{
	struct party *y = party_find(b, p, serial);

	if (!y) {
		y = calloc(1, sizeof *y);
		if (!y)
			return NULL;
		party_init(y, p, job, serial, priority);
		TAILQ_INSERT_HEAD(party_bucket(b, p, serial), y, bucket);
		if (job)
			TAILQ_INSERT_HEAD(&job->parts, y, part);
	}
	y->refs++;
	return y;
}

void party_put(struct partybook *b, struct party *y)
{
	if (!y || --y->refs)
		return;
	TAILQ_REMOVE(party_bucket(b, y->place, y->serial), y, bucket);
	if (y->job != y)
		TAILQ_REMOVE(&y->job->parts, y, part);
	free(y);
}

/* Puts Y where it belongs after a change of what it is listed by. */
static void relist(struct party *y)
{
	struct place *p = y->place;
	struct parties *list = !y->nwaiting ? NULL : y->busy ? &p->fed[y->priority] : &p->hungry[y->priority];

	if (y->listed == list)
		return;
	if (y->listed)
		TAILQ_REMOVE(y->listed, y, turn);
	if (list)
		TAILQ_INSERT_TAIL(list, y, turn);
	y->listed = list;
}

void party_set_priority(struct party *y, enum job_priority priority)
{
	y->priority = priority;
	relist(y);
}

static void count(struct party *y, int change)
{
	struct place *p = y->place;

	if (!y->busy && change > 0)
		TAILQ_INSERT_TAIL(&p->running, y, runs);
	y->busy += (unsigned)change;
	p->busy += (unsigned)change;
	if (!y->busy && change < 0)
		TAILQ_REMOVE(&p->running, y, runs);
	relist(y);
}

void place_wait(struct ticket *t, int level)
{
	struct party *y = t->party[level];

	TAILQ_INSERT_TAIL(&y->waiting, t, link[level]);
	y->nwaiting++;
	y->place->nwaiting++;
	relist(y);
}

void place_unwait(struct ticket *t, int level)
{
	struct party *y = t->party[level];

	TAILQ_REMOVE(&y->waiting, t, link[level]);
	y->nwaiting--;
	y->place->nwaiting--;
	relist(y);
}

void place_run(struct ticket *t, int level)
{
	TAILQ_INSERT_TAIL(&t->party[level]->running, t, link[level]);
	count(t->party[level], (int)t->connections);
}

void place_unrun(struct ticket *t, int level)
{
	TAILQ_REMOVE(&t->party[level]->running, t, link[level]);
	count(t->party[level], -(int)t->connections);
}

void place_connections(struct ticket *t, int level, int change)
{
	count(t->party[level], change);
}

void ticket_set_denied(struct ticket *t, bool denied)
{
	if (t->denied == denied)
		return;
	for (int level = 0; level < PLACES; level++)
		t->party[level]->ndenied += denied ? 1u : -1u;
	t->denied = denied;
}

/* --- whose turn it is --------------------------------------------------------------------------------- */

static enum job_priority priority_of(const struct ticket *t)
{
	return t->party[IN_ALL]->priority;
}

bool ticket_is_before(const struct ticket *a, const struct ticket *b)
{
	if (priority_of(a) != priority_of(b))
		return priority_of(a) < priority_of(b);
	for (int level = 0; level < PLACES; level++)
		if (a->party[level]->busy != b->party[level]->busy)
			return a->party[level]->busy < b->party[level]->busy;
	return a->seq < b->seq;
}

struct ticket *place_next(const struct place *p)
{
	struct ticket *found = NULL;
	struct party *y;

	for (int i = 0; i < PRIORITY_MAX && !found; i++) {
		y = TAILQ_FIRST(&p->hungry[i]);
		if (y)
			return TAILQ_FIRST(&y->waiting);
		TAILQ_FOREACH(y, &p->fed[i], turn) {
			struct ticket *t = TAILQ_FIRST(&y->waiting);

			if (!found || ticket_is_before(t, found))
				found = t;
		}
	}
	return found;
}

bool ticket_outranks(const struct ticket *next, const struct ticket *t, int level)
{
	const struct party *a = next->party[level], *b = t->party[level];

	if (a->priority != b->priority)
		return a->priority < b->priority;
	/* More files before more connections for one; and another job's only if it is the better for it. */
	return b->nwaiting || a->busy + 2 <= b->busy;
}

static struct ticket *youngest_movable(const struct party *y, int level, int64_t before)
{
	struct ticket *t;

	TAILQ_FOREACH_REVERSE(t, &y->running, tickets, link[level])
		if (t->movable && !t->leaving && t->since <= before)
			return t;
	return NULL;
}

static bool gives_one_up(const struct party *y, int level)
{
	struct ticket *t;

	TAILQ_FOREACH(t, &y->running, link[level])
		if (t->connections > 1)
			return true;
	return false;
}

struct ticket *place_victim(const struct place *p, const struct ticket *next, int64_t before)
{
	const struct party *mine = next->party[p->level], *most = NULL, *y;
	struct ticket *found = NULL, *t;

	TAILQ_FOREACH(y, &p->running, runs) {
		bool lower = y->priority > mine->priority;

		if (!lower && (y->priority != mine->priority || mine->busy || y->busy < 2))
			continue;
		if (most && (y->priority < most->priority || (y->priority == most->priority && y->busy <= most->busy)))
			continue;
		if (gives_one_up(y, p->level)) {
			most = y;
			found = NULL;
			continue;
		}
		t = youngest_movable(y, p->level, before);
		if (t) {
			most = y;
			found = t;
		}
	}
	return found;
}

bool place_is_uneven(const struct place *p, const struct party *y)
{
	const struct party *other;

	TAILQ_FOREACH(other, &p->running, runs)
		if (other->ndenied && other->priority <= y->priority && other->busy + 1 < y->busy)
			return true;
	return false;
}

void place_assert_sane(const struct place *p)
{
	unsigned busy = 0, nwaiting = 0;
	const struct party *y;
	const struct ticket *t;

	TAILQ_FOREACH(y, &p->running, runs) {
		unsigned own = 0;

		TAILQ_FOREACH(t, &y->running, link[p->level])
			own += t->connections;
		assert(own == y->busy && own > 0);
		busy += own;
	}
	for (int i = 0; i < PRIORITY_MAX; i++) {
		TAILQ_FOREACH(y, &p->hungry[i], turn) {
			assert(y->busy == 0 && y->nwaiting && (int)y->priority == i);
			nwaiting += y->nwaiting;
		}
		TAILQ_FOREACH(y, &p->fed[i], turn) {
			assert(y->busy && y->nwaiting && (int)y->priority == i);
			nwaiting += y->nwaiting;
		}
	}
	assert(busy == p->busy && nwaiting == p->nwaiting);
}
