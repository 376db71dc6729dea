/* Ended jobs (model/history.h).
 *
 *	results   oldest first
 *	names     of one name the latest is found first
 *	pasts     those of each user, oldest first
 */
#include "model/history.h"

#include "base/vector.h"
#include "model/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ended {
	struct table_link link; /* history->names */
	struct result *result;
	struct ended *later;    /* of the same user */
};

struct past {
	uid_t uid;
	size_t n;
	struct ended *oldest, *latest;
};

struct history {
	struct result **results;
	size_t nresults, results_cap;
	struct table names;
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
	table_release(&h->names);
	free(h);
}

static struct past *find_past(const struct history *h, uid_t uid)
{
	for (size_t i = 0; i < h->npasts; i++)
		if (h->pasts[i].uid == uid)
			return &h->pasts[i];
	return NULL;
}

static int reserve(struct history *h)
{
	if (vector_room(h->results, h->results_cap, h->nresults + 1) < 0 ||
	    vector_room(h->pasts, h->pasts_cap, h->npasts + 1) < 0)
		return -ENOMEM;
	return table_reserve(&h->names, 1);
}

static void append_to_past(struct history *h, struct ended *e)
{
	struct past *p = find_past(h, e->result->uid);

	if (!p) {
		p = &h->pasts[h->npasts++];
		*p = (struct past){ .uid = e->result->uid };
	}
	if (p->n++)
		p->latest->later = e;
	else
		p->oldest = e;
	p->latest = e;
}

static void take_from_past(struct history *h, struct ended *e)
{
	struct past *p = find_past(h, e->result->uid);
	struct ended *before = NULL;

	for (struct ended *at = p->oldest; at != e; at = at->later)
		before = at;
	if (before)
		before->later = e->later;
	else
		p->oldest = e->later;
	if (p->latest == e)
		p->latest = before;
	if (--p->n == 0)
		*p = h->pasts[--h->npasts];
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
	table_put(&h->names, &e->link, hash_text(r->name));
	append_to_past(h, e);
	h->results[h->nresults++] = r;
	return 0;
}

size_t history_all(const struct history *h, const struct result *const **ret)
{
	*ret = (const struct result *const *)h->results;
	return h->nresults;
}

const struct result *history_last(const struct history *h, const char *name)
{
	const struct table_link *link = table_first(&h->names, hash_text(name));

	for (; link; link = table_next(link)) {
		const struct ended *e = container_of(link, const struct ended, link);

		if (strcmp(e->result->name, name) == 0)
			return e->result;
	}
	return NULL;
}

static void forget(struct history *h, struct result *r)
{
	struct table_link *link = table_first(&h->names, hash_text(r->name));
	struct ended *e;

	while (container_of(link, struct ended, link)->result != r)
		link = table_next(link);
	e = container_of(link, struct ended, link);
	table_drop(&h->names, link);
	take_from_past(h, e);
	free(e);
	result_free(r);
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
	for (size_t i = h->nresults; i-- > 0;)
		if (h->results[i]->serial == serial) {
			h->results[i]->leftovers = leftovers;
			return h->results[i];
		}
	return NULL;
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

void history_assert_sane(const struct history *h)
{
	size_t owned = 0;

	assert(h->names.n == h->nresults);
	for (size_t i = 0; i < h->nresults; i++)
		assert(history_last(h, h->results[i]->name));
	for (size_t i = 0; i < h->npasts; i++) {
		size_t n = 0;

		for (const struct ended *e = h->pasts[i].oldest; e; e = e->later, n++)
			assert(e->result->uid == h->pasts[i].uid && (e->later || e == h->pasts[i].latest));
		assert(n > 0 && n == h->pasts[i].n);
		owned += n;
	}
	assert(owned == h->nresults);
}
