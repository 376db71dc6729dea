#include "net/place.h"

#include <assert.h>
#include <stdlib.h>

/* --- parties and their lists --------------------------------------------------------------------- */

void place_init(struct place *p, int level, unsigned max)
{
	*p = (struct place){ .level = level, .max = max };
	TAILQ_INIT(&p->users);
	TAILQ_INIT(&p->running);
	for (int i = 0; i < PRIORITY_MAX; i++) {
		TAILQ_INIT(&p->unserved[i]);
		TAILQ_INIT(&p->hungry[i]);
		TAILQ_INIT(&p->fed[i]);
	}
}

static struct user *user_get(struct place *p, uid_t uid)
{
	struct user *u;

	TAILQ_FOREACH(u, &p->users, link) {
		if (u->uid == uid) {
			u->refs++;
			return u;
		}
	}
	u = calloc(1, sizeof *u);
	if (!u)
		return NULL;
	u->uid = uid;
	u->refs = 1;
	for (int i = 0; i < PRIORITY_MAX; i++)
		TAILQ_INIT(&u->hungry[i]);
	TAILQ_INSERT_TAIL(&p->users, u, link);
	return u;
}

static void user_put(struct place *p, struct user *u)
{
	if (--u->refs)
		return;
	TAILQ_REMOVE(&p->users, u, link);
	free(u);
}

static void party_init(struct party *y, struct place *p, struct user *user, struct party *job, const struct ticket *t)
{
	*y = (struct party){ .place = p, .user = user, .job = job ? job : y, .serial = t->serial,
		.priority = t->priority };
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

struct party *party_get(struct partybook *b, struct place *p, struct party *job, const struct ticket *t)
{
	struct party *y = party_find(b, p, t->serial);

	if (!y) {
		struct user *user = user_get(p, t->uid);

		y = user ? calloc(1, sizeof *y) : NULL;
		if (!y) {
			if (user)
				user_put(p, user);
			return NULL;
		}
		party_init(y, p, user, job, t);
		TAILQ_INSERT_HEAD(party_bucket(b, p, t->serial), y, bucket);
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
	user_put(y->place, y->user);
	free(y);
}

static void relist_user(struct place *p, struct user *u)
{
	for (int i = 0; i < PRIORITY_MAX; i++) {
		bool unserved = !u->busy && !TAILQ_EMPTY(&u->hungry[i]);

		if (unserved && !u->listed[i])
			TAILQ_INSERT_TAIL(&p->unserved[i], u, turn[i]);
		if (!unserved && u->listed[i])
			TAILQ_REMOVE(&p->unserved[i], u, turn[i]);
		u->listed[i] = unserved;
	}
}

/* Puts Y and its user where they belong after a change of what they are listed by. */
static void relist(struct party *y)
{
	struct place *p = y->place;
	bool hungry = y->nwaiting && !y->busy;
	struct parties *list = !y->nwaiting ? NULL : y->busy ? &p->fed[y->priority] : &p->hungry[y->priority];

	if (y->listed != list) {
		if (y->listed)
			TAILQ_REMOVE(y->listed, y, turn);
		if (y->among)
			TAILQ_REMOVE(y->among, y, own_turn);
		y->listed = list;
		y->among = hungry ? &y->user->hungry[y->priority] : NULL;
		if (y->listed)
			TAILQ_INSERT_TAIL(y->listed, y, turn);
		if (y->among)
			TAILQ_INSERT_TAIL(y->among, y, own_turn);
	}
	relist_user(p, y->user);
}

void party_set_priority(struct party *y, enum job_priority priority)
{
	y->user->at[y->priority] -= y->busy;
	y->user->at[priority] += y->busy;
	y->priority = priority;
	relist(y);
}

static void count(struct party *y, int change)
{
	struct place *p = y->place;

	if (!y->busy && change > 0)
		TAILQ_INSERT_TAIL(&p->running, y, runs);
	y->busy += (unsigned)change;
	y->user->busy += (unsigned)change;
	y->user->at[y->priority] += (unsigned)change;
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
	for (int level = 0; level < PLACES; level++) {
		const struct party *x = a->party[level], *y = b->party[level];

		if (!x->user->busy != !y->user->busy)
			return !x->user->busy;
		if (x->busy != y->busy)
			return x->busy < y->busy;
	}
	return a->seq < b->seq;
}

struct ticket *place_next(const struct place *p)
{
	struct ticket *found = NULL;
	struct party *y;
	struct user *u;

	for (int i = 0; i < PRIORITY_MAX && !found; i++) {
		u = TAILQ_FIRST(&p->unserved[i]);
		y = u ? TAILQ_FIRST(&u->hungry[i]) : TAILQ_FIRST(&p->hungry[i]);
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

/* --- who makes room ----------------------------------------------------------------------------------- */

/* Whether A is to go rather than B, which has more to lose; each may be NULL. */
static bool goes_before(const struct ticket *a, const struct ticket *b)
{
	if (!a || !b)
		return a != NULL;
	return a->movable != b->movable ? a->movable : a->since > b->since;
}

/* Of those of Y that have run since BEFORE. */
static struct ticket *least_loss(const struct party *y, int level, int64_t before)
{
	struct ticket *found = NULL, *t;

	TAILQ_FOREACH_REVERSE(t, &y->running, tickets, link[level])
		if (!t->leaving && t->since <= before && goes_before(t, found))
			found = t;
	return found;
}

static bool gives_one_up(const struct party *y, int level)
{
	struct ticket *t;

	TAILQ_FOREACH(t, &y->running, link[level])
		if (t->connections > 1)
			return true;
	return false;
}

static bool can_spare(const struct party *y, const struct party *mine)
{
	if (y->priority != mine->priority)
		return y->priority > mine->priority;
	return (!mine->busy && y->busy > 1) || (!mine->user->busy && y->user->at[y->priority] > 1);
}

/* Whether A is to give rather than B: more than 0; as well as B: 0. */
static int compare_givers(const struct party *a, const struct party *b, bool by_user)
{
	unsigned x = a->user->at[a->priority], y = b->user->at[b->priority];

	if (a->priority != b->priority)
		return a->priority > b->priority ? 1 : -1;
	if (by_user && x != y)
		return x > y ? 1 : -1;
	return (a->busy > b->busy) - (a->busy < b->busy);
}

struct ticket *place_victim(const struct place *p, const struct ticket *next, int64_t before)
{
	const struct party *mine = next->party[p->level], *most = NULL, *y;
	struct ticket *found = NULL, *t;
	bool gives = false;

	TAILQ_FOREACH_REVERSE(y, &p->running, parties, runs) {
		int more = !can_spare(y, mine) ? -1 : most ? compare_givers(y, most, !mine->user->busy) : 1;

		if (more < 0)
			continue;
		if (more > 0) {
			most = y;
			found = NULL;
			gives = false;
		}
		gives = gives || gives_one_up(y, p->level);
		t = least_loss(y, p->level, before);
		if (goes_before(t, found))
			found = t;
	}
	return gives ? NULL : found;
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
	const struct user *u;

	TAILQ_FOREACH(u, &p->users, link) {
		unsigned own = 0;

		for (int i = 0; i < PRIORITY_MAX; i++) {
			own += u->at[i];
			assert(u->listed[i] == (!u->busy && !TAILQ_EMPTY(&u->hungry[i])));
			TAILQ_FOREACH(y, &u->hungry[i], own_turn)
				assert(y->user == u && y->listed == &p->hungry[i]);
		}
		assert(own == u->busy);
		busy += own;
	}
	assert(busy == p->busy);
	busy = 0;
	TAILQ_FOREACH(y, &p->running, runs) {
		unsigned own = 0;

		TAILQ_FOREACH(t, &y->running, link[p->level])
			own += t->connections;
		assert(own == y->busy && own > 0);
		busy += own;
	}
	for (int i = 0; i < PRIORITY_MAX; i++) {
		TAILQ_FOREACH(y, &p->hungry[i], turn) {
			assert(y->busy == 0 && y->nwaiting && (int)y->priority == i && y->among == &y->user->hungry[i]);
			nwaiting += y->nwaiting;
		}
		TAILQ_FOREACH(y, &p->fed[i], turn) {
			assert(y->busy && y->nwaiting && (int)y->priority == i);
			nwaiting += y->nwaiting;
		}
	}
	assert(busy == p->busy && nwaiting == p->nwaiting);
}
