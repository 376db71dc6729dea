/* Ended jobs (model/history.h).
 *
 *	results   oldest first
 *	serials   all, hashed
 *	names     of each name the latest, hashed; those before it hang on it
 *	pasts     those of each user, oldest first
 *
 * A name may have been used any number of times, and a user have any number of results, so one is taken out
 * without looking through the others.
 */
#include "model/history.h"

#include "base/vector.h"
#include "model/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ended {
	struct table_link by_serial; /* history->serials */
	struct table_link by_name;   /* history->names, if none is newer of the name */
	struct ended *older, *newer; /* of the same name */
	struct ended *before, *later; /* of the same user */
	struct result *result;
};

struct past {
	uid_t uid;
	size_t n;
	struct ended *oldest, *latest;
};

struct history {
	struct result **results;
	size_t nresults, results_cap;
	struct table serials, names;
	struct past *pasts; /* of users that have results */
	size_t npasts, pasts_cap;
};

void result_free(struct result *r)
{
	if (!r)
		return;
	free(r->name);
	free(r->reason);
	free(r);
}

int history_new(struct history **ret)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	*ret = h;
	return 0;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	history_prune(h, INT64_MAX);
	free(h->results);
	free(h->pasts);
	table_release(&h->serials);
	table_release(&h->names);
	free(h);
}

/* --- by serial, by name, by user ------------------------------------------------------------------ */

static struct ended *find(const struct history *h, uint64_t serial)
{
	struct table_link *link = table_first(&h->serials, hash_u64(serial));

	while (link && container_of(link, struct ended, by_serial)->result->serial != serial)
		link = table_next(link);
	return link ? container_of(link, struct ended, by_serial) : NULL;
}

static struct ended *find_latest(const struct history *h, const char *name)
{
	struct table_link *link = table_first(&h->names, hash_text(name));

	while (link && strcmp(container_of(link, struct ended, by_name)->result->name, name) != 0)
		link = table_next(link);
	return link ? container_of(link, struct ended, by_name) : NULL;
}

static struct past *find_past(const struct history *h, uid_t uid)
{
	for (size_t i = 0; i < h->npasts; i++)
		if (h->pasts[i].uid == uid)
			return &h->pasts[i];
	return NULL;
}

static void append_to_name(struct history *h, struct ended *e)
{
	e->older = find_latest(h, e->result->name);
	if (e->older) {
		e->older->newer = e;
		table_drop(&h->names, &e->older->by_name);
	}
	table_put(&h->names, &e->by_name, hash_text(e->result->name));
}

static void take_from_name(struct history *h, struct ended *e)
{
	if (e->older)
		e->older->newer = e->newer;
	if (e->newer) {
		e->newer->older = e->older;
		return;
	}
	table_drop(&h->names, &e->by_name);
	if (e->older)
		table_put(&h->names, &e->older->by_name, e->by_name.hash);
}

static void append_to_past(struct history *h, struct ended *e)
{
	struct past *p = find_past(h, e->result->uid);

	if (!p) {
		p = &h->pasts[h->npasts++];
		*p = (struct past){ .uid = e->result->uid };
	}
	e->before = p->latest;
	*(e->before ? &e->before->later : &p->oldest) = e;
	p->latest = e;
	p->n++;
}

static void take_from_past(struct history *h, struct ended *e)
{
	struct past *p = find_past(h, e->result->uid);

	*(e->before ? &e->before->later : &p->oldest) = e->later;
	*(e->later ? &e->later->before : &p->latest) = e->before;
	if (--p->n == 0)
		*p = h->pasts[--h->npasts];
}

/* --- in and out --------------------------------------------------------------------------------------- */

static int reserve(struct history *h)
{
	if (vector_room(h->results, h->results_cap, h->nresults + 1) < 0 ||
	    vector_room(h->pasts, h->pasts_cap, h->npasts + 1) < 0 || table_reserve(&h->serials, 1) < 0)
		return -ENOMEM;
	return table_reserve(&h->names, 1);
}

int history_add(struct history *h, struct result *r)
{
	struct ended *e;

	if (reserve(h) < 0)
		return -ENOMEM;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->result = r;
	table_put(&h->serials, &e->by_serial, hash_u64(r->serial));
	append_to_name(h, e);
	append_to_past(h, e);
	h->results[h->nresults++] = r;
	return 0;
}

static void forget(struct history *h, struct result *r)
{
	struct ended *e = find(h, r->serial);

	table_drop(&h->serials, &e->by_serial);
	take_from_name(h, e);
	take_from_past(h, e);
	free(e);
	result_free(r);
}

size_t history_all(const struct history *h, const struct result *const **ret)
{
	*ret = (const struct result *const *)h->results;
	return h->nresults;
}

const struct result *history_find(const struct history *h, uint64_t serial)
{
	const struct ended *e = find(h, serial);

	return e ? e->result : NULL;
}

const struct result *history_last(const struct history *h, const char *name)
{
	const struct ended *e = find_latest(h, name);

	return e ? e->result : NULL;
}

size_t history_users(const struct history *h)
{
	return h->npasts;
}

uid_t history_user(const struct history *h, size_t i)
{
	return h->pasts[i].uid;
}

uint64_t history_forget(struct history *h, uid_t uid, size_t keep)
{
	const struct past *p = find_past(h, uid);
	struct result *oldest;
	uint64_t serial;
	size_t at = 0;

	if (!p || p->n <= keep)
		return 0;
	oldest = p->oldest->result;
	serial = oldest->serial;
	while (h->results[at] != oldest)
		at++;
	memmove(&h->results[at], &h->results[at + 1], (--h->nresults - at) * sizeof(struct result *));
	forget(h, oldest);
	return serial;
}

const struct result *history_set_leftovers(struct history *h, uint64_t serial, uint32_t leftovers)
{
	struct ended *e = find(h, serial);

	if (!e)
		return NULL;
	e->result->leftovers = leftovers;
	return e->result;
}

/* All are looked at: after the clock was set back the oldest is not the first. */
size_t history_prune(struct history *h, int64_t before_wall)
{
	size_t kept = 0, gone;

	for (size_t i = 0; i < h->nresults; i++) {
		if (h->results[i]->ended >= before_wall)
			h->results[kept++] = h->results[i];
		else
			forget(h, h->results[i]);
	}
	gone = h->nresults - kept;
	h->nresults = kept;
	return gone;
}

static size_t count_of_name(const struct ended *latest)
{
	size_t n = 0;

	assert(!latest->newer);
	for (const struct ended *e = latest; e; e = e->older, n++)
		assert(strcmp(e->result->name, latest->result->name) == 0 && (!e->older || e->older->newer == e));
	return n;
}

static size_t count_of_user(const struct past *p)
{
	size_t n = 0;

	for (const struct ended *e = p->oldest; e; e = e->later, n++)
		assert(e->result->uid == p->uid && (e->later ? e->later->before == e : e == p->latest));
	assert(n > 0 && n == p->n);
	return n;
}

void history_assert_sane(const struct history *h)
{
	size_t named = 0, owned = 0;

	assert(h->serials.n == h->nresults);
	for (size_t i = 0; i < h->nresults; i++) {
		const struct ended *e = find(h, h->results[i]->serial);

		assert(e && e->result == h->results[i]);
		named += e->newer ? 0 : count_of_name(e);
		assert(e->newer || find_latest(h, e->result->name) == e);
	}
	for (size_t i = 0; i < h->npasts; i++)
		owned += count_of_user(&h->pasts[i]);
	assert(named == h->nresults && owned == h->nresults);
}
