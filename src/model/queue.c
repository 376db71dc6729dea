/* All jobs by serial and by name, the history, and what the service as a whole knows
 * (model/queue.h).
 *
 *	jobs      records by ascending serial; new serials are the highest, so they are appended
 *	names     the same records, hashed by the name of the published version
 *	owners    how many jobs each user has; few users, but room for as many as there are jobs
 *	results   ended jobs, oldest first; of one name the latest is found first
 *	pasts     those of each user, oldest first
 *
 * Publishing may not fail, because the draft is saved by then: queue_reserve_jobs makes the room
 * before.
 */
#include "model/queue.h"

#include "model/table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* A job in the queue: what stays while its versions come and go. */
struct record {
	struct table_link by_name;
	struct job *job; /* the published version */
	char *refused;   /* NULL: none */
};

struct owner {
	uid_t uid;
	size_t jobs;
};

struct ended {
	struct table_link link; /* ended_names */
	struct result *result;
	struct ended *later;    /* of the same user */
};

struct past {
	uid_t uid;
	size_t n;
	struct ended *oldest, *latest;
};

struct queue {
	struct record **jobs;
	size_t njobs, jobs_cap;
	struct table names;
	struct owner *owners;
	size_t nowners, owners_cap;
	struct table_link *spare; /* reserved records, by by_name */
	size_t nspare;
	struct result **results;
	size_t nresults, results_cap;
	struct table ended_names;
	struct past *pasts; /* of users that have results */
	size_t npasts, pasts_cap;
	char *refused; /* of the service */
	struct events *events;
	struct service service;
};

static uint32_t name_hash(const char *name)
{
	return hash_bytes(0, name, strlen(name));
}

void result_free(struct result *r)
{
	if (!r)
		return;
	free(r->name);
	free(r->reason);
	free(r);
}

/* The vector V of *CAP elements of SIZE bytes, with room for NEED. NULL: out of memory, V is
 * untouched. */
static void *with_room(void *v, size_t *cap, size_t need, size_t size)
{
	size_t wider = *cap ? *cap : 8;

	if (need <= *cap)
		return v;
	while (wider < need)
		wider *= 2;
	v = reallocarray(v, wider, size);
	if (v)
		*cap = wider;
	return v;
}

int queue_new(size_t events, struct queue **ret)
{
	struct queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	r = events_new(events, &q->events);
	if (r < 0) {
		free(q);
		return r;
	}
	*ret = q;
	return 0;
}

static struct record *take_spare(struct queue *q)
{
	struct record *r = container_of(q->spare, struct record, by_name);

	q->spare = r->by_name.next;
	q->nspare--;
	return r;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->njobs; i++) {
		files_free(q->jobs[i]->job->files);
		job_free(q->jobs[i]->job);
		free(q->jobs[i]->refused);
		free(q->jobs[i]);
	}
	while (q->spare)
		free(take_spare(q));
	queue_prune_results(q, INT64_MAX);
	free(q->jobs);
	free(q->results);
	free(q->refused);
	table_release(&q->names);
	free(q->owners);
	free(q->pasts);
	table_release(&q->ended_names);
	events_free(q->events);
	free(q);
}

/* --- finding ---------------------------------------------------------------------------------- */

/* The place of the first job with a serial of at least SERIAL. */
static size_t place(const struct queue *q, uint64_t serial)
{
	size_t low = 0, high = q->njobs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (q->jobs[middle]->job->serial < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct record *find(const struct queue *q, uint64_t serial)
{
	size_t at = place(q, serial);

	return at < q->njobs && q->jobs[at]->job->serial == serial ? q->jobs[at] : NULL;
}

const struct job *queue_find(const struct queue *q, uint64_t serial)
{
	const struct record *r = find(q, serial);

	return r ? r->job : NULL;
}

const struct job *queue_find_name(const struct queue *q, const char *name)
{
	const struct table_link *link = table_first(&q->names, name_hash(name));

	for (; link; link = table_next(link)) {
		const struct record *r = container_of(link, const struct record, by_name);

		if (strcmp(r->job->name, name) == 0)
			return r->job;
	}
	return NULL;
}

const struct job *queue_next(const struct queue *q, uint64_t after)
{
	size_t at = after == UINT64_MAX ? q->njobs : place(q, after + 1);

	return at < q->njobs ? q->jobs[at]->job : NULL;
}

size_t queue_count(const struct queue *q)
{
	return q->njobs;
}

static struct owner *find_owner(const struct queue *q, uid_t uid)
{
	for (size_t i = 0; i < q->nowners; i++)
		if (q->owners[i].uid == uid)
			return &q->owners[i];
	return NULL;
}

size_t queue_count_of(const struct queue *q, uid_t uid)
{
	const struct owner *o = find_owner(q, uid);

	return o ? o->jobs : 0;
}

/* --- publishing ------------------------------------------------------------------------------- */

int queue_reserve_jobs(struct queue *q, size_t n)
{
	struct record **jobs = with_room(q->jobs, &q->jobs_cap, q->njobs + n,
		sizeof(struct record *));
	struct owner *owners;

	if (!jobs)
		return -ENOMEM;
	q->jobs = jobs;
	owners = with_room(q->owners, &q->owners_cap, q->njobs + n, sizeof(*owners));
	if (!owners)
		return -ENOMEM;
	q->owners = owners;
	if (table_reserve(&q->names, n) < 0)
		return -ENOMEM;
	while (q->nspare < n) {
		struct record *r = calloc(1, sizeof(*r));

		if (!r)
			return -ENOMEM;
		r->by_name.next = q->spare;
		q->spare = &r->by_name;
		q->nspare++;
	}
	return 0;
}

int queue_reserve(struct queue *q)
{
	return queue_reserve_jobs(q, 1);
}

static void count_owner(struct queue *q, uid_t uid)
{
	struct owner *o = find_owner(q, uid);

	if (!o) {
		assert(q->nowners < q->owners_cap);
		o = &q->owners[q->nowners++];
		*o = (struct owner){ .uid = uid };
	}
	o->jobs++;
}

static void discount_owner(struct queue *q, uid_t uid)
{
	struct owner *o = find_owner(q, uid);

	if (--o->jobs == 0)
		*o = q->owners[--q->nowners];
}

static struct record *insert(struct queue *q, uint64_t serial)
{
	size_t at = place(q, serial); /* a turn may publish its new jobs in any order */

	assert(q->spare && q->njobs < q->jobs_cap); /* the core has forgotten queue_reserve_jobs */
	memmove(&q->jobs[at + 1], &q->jobs[at], (q->njobs - at) * sizeof(struct record *));
	q->njobs++;
	return q->jobs[at] = take_spare(q);
}

struct job *queue_publish(struct queue *q, struct job *draft)
{
	struct record *r = find(q, draft->serial);
	struct job *replaced = r ? r->job : NULL;

	files_publish(draft->files);
	if (!r)
		r = insert(q, draft->serial);
	if (!replaced || strcmp(replaced->name, draft->name) != 0) {
		if (replaced)
			table_drop(&q->names, &r->by_name);
		table_put(&q->names, &r->by_name, name_hash(draft->name));
	}
	if (!replaced || replaced->uid != draft->uid) {
		if (replaced)
			discount_owner(q, replaced->uid);
		count_owner(q, draft->uid);
	}
	r->job = draft;
	return replaced;
}

struct job *queue_remove(struct queue *q, uint64_t serial)
{
	size_t at = place(q, serial);
	struct record *r = find(q, serial);
	struct job *job;

	if (!r)
		return NULL;
	memmove(&q->jobs[at], &q->jobs[at + 1], (q->njobs - at - 1) * sizeof(struct record *));
	q->njobs--;
	table_drop(&q->names, &r->by_name);
	job = r->job;
	discount_owner(q, job->uid);
	free(r->refused);
	free(r);
	return job;
}

/* --- refused ---------------------------------------------------------------------------------- */

void queue_set_refused(struct queue *q, uint64_t serial, const char *text)
{
	struct record *r = serial ? find(q, serial) : NULL;
	char **field = serial ? (r ? &r->refused : NULL) : &q->refused;

	if (!field)
		return; /* it has ended; nobody can read it */
	free(*field);
	*field = text ? strdup(text) : NULL; /* out of memory: the errno of the write has to do */
}

const char *queue_refused(const struct queue *q, uint64_t serial)
{
	const struct record *r;

	if (!serial)
		return q->refused;
	r = find(q, serial);
	return r ? r->refused : NULL;
}

/* --- history ---------------------------------------------------------------------------------- */

static struct past *find_past(const struct queue *q, uid_t uid)
{
	for (size_t i = 0; i < q->npasts; i++)
		if (q->pasts[i].uid == uid)
			return &q->pasts[i];
	return NULL;
}

static int reserve_result(struct queue *q)
{
	struct result **results = with_room(q->results, &q->results_cap, q->nresults + 1,
		sizeof(struct result *));
	struct past *pasts;

	if (!results)
		return -ENOMEM;
	q->results = results;
	pasts = with_room(q->pasts, &q->pasts_cap, q->npasts + 1, sizeof(*pasts));
	if (!pasts)
		return -ENOMEM;
	q->pasts = pasts;
	return table_reserve(&q->ended_names, 1);
}

static void append_to_past(struct queue *q, struct ended *e)
{
	struct past *p = find_past(q, e->result->uid);

	if (!p) {
		p = &q->pasts[q->npasts++];
		*p = (struct past){ .uid = e->result->uid };
	}
	if (p->n++)
		p->latest->later = e;
	else
		p->oldest = e;
	p->latest = e;
}

static void take_from_past(struct queue *q, struct ended *e)
{
	struct past *p = find_past(q, e->result->uid);
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
		*p = q->pasts[--q->npasts];
}

int queue_add_result(struct queue *q, struct result *r)
{
	struct ended *e;

	if (reserve_result(q) < 0)
		return -ENOMEM;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->result = r;
	table_put(&q->ended_names, &e->link, name_hash(r->name));
	append_to_past(q, e);
	q->results[q->nresults++] = r;
	return 0;
}

size_t queue_results(const struct queue *q, const struct result *const **ret)
{
	*ret = (const struct result *const *)q->results;
	return q->nresults;
}

const struct result *queue_last_result(const struct queue *q, const char *name)
{
	const struct table_link *link = table_first(&q->ended_names, name_hash(name));

	for (; link; link = table_next(link)) {
		const struct ended *e = container_of(link, const struct ended, link);

		if (strcmp(e->result->name, name) == 0)
			return e->result;
	}
	return NULL;
}

static void forget_result(struct queue *q, struct result *r)
{
	struct table_link *link = table_first(&q->ended_names, name_hash(r->name));
	struct ended *e;

	while (container_of(link, struct ended, link)->result != r)
		link = table_next(link);
	e = container_of(link, struct ended, link);
	table_drop(&q->ended_names, link);
	take_from_past(q, e);
	free(e);
	result_free(r);
}

uint64_t queue_forget_result(struct queue *q, uid_t uid, size_t keep)
{
	const struct past *p = find_past(q, uid);
	struct result *oldest;
	uint64_t serial;
	size_t at = 0;

	if (!p || p->n <= keep)
		return 0;
	oldest = p->oldest->result;
	serial = oldest->serial;
	while (q->results[at] != oldest)
		at++;
	memmove(&q->results[at], &q->results[at + 1], (--q->nresults - at) * sizeof(struct result *));
	forget_result(q, oldest);
	return serial;
}

const struct result *queue_set_leftovers(struct queue *q, uint64_t serial, uint32_t leftovers)
{
	for (size_t i = q->nresults; i-- > 0;)
		if (q->results[i]->serial == serial) {
			q->results[i]->leftovers = leftovers;
			return q->results[i];
		}
	return NULL;
}

/* All are looked at: after the clock was set back the oldest is not the first. */
size_t queue_prune_results(struct queue *q, int64_t before_wall)
{
	size_t kept = 0, gone;

	for (size_t i = 0; i < q->nresults; i++) {
		if (q->results[i]->ended >= before_wall)
			q->results[kept++] = q->results[i];
		else
			forget_result(q, q->results[i]);
	}
	gone = q->nresults - kept;
	q->nresults = kept;
	return gone;
}

struct events *queue_events(const struct queue *q)
{
	return q->events;
}

struct service *queue_service(const struct queue *q)
{
	return (struct service *)&q->service;
}

void queue_assert_sane(const struct queue *q)
{
	size_t spare = 0, owned = 0;

	assert(q->names.n == q->njobs && q->ended_names.n == q->nresults);
	for (size_t i = 0; i < q->njobs; i++) {
		const struct job *j = q->jobs[i]->job;

		assert(i == 0 || q->jobs[i - 1]->job->serial < j->serial);
		assert(queue_find_name(q, j->name) == j); /* found, and no other has the name */
		job_assert_sane(j);
		assert(!job_state_final(j->state));
	}
	for (size_t i = 0; i < q->nowners; i++) {
		assert(q->owners[i].jobs > 0 && find_owner(q, q->owners[i].uid) == &q->owners[i]);
		owned += q->owners[i].jobs;
	}
	assert(owned == q->njobs);
	for (const struct table_link *link = q->spare; link; link = link->next)
		spare++;
	assert(spare == q->nspare && q->njobs <= q->jobs_cap);
	for (size_t i = 0; i < q->nresults; i++)
		assert(queue_last_result(q, q->results[i]->name));
	owned = 0;
	for (size_t i = 0; i < q->npasts; i++) {
		size_t n = 0;

		for (const struct ended *e = q->pasts[i].oldest; e; e = e->later, n++)
			assert(e->result->uid == q->pasts[i].uid && (e->later || e == q->pasts[i].latest));
		assert(n > 0 && n == q->pasts[i].n);
		owned += n;
	}
	assert(owned == q->nresults);
}
