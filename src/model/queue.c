/* All jobs by serial and by name, and what the service as a whole knows (model/queue.h).
 *
 *	jobs      records by ascending serial; new serials are the highest, so they are appended
 *	names     the same records, hashed by the name of the published version
 *	owners    how many jobs each user has; few users, but room for as many as there are jobs
 *
 * Publishing may not fail, because the draft is saved by then: queue_reserve_jobs makes the room
 * before.
 */
#include "model/queue.h"

#include "base/vector.h"
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

struct queue {
	struct record **jobs;
	size_t njobs, jobs_cap;
	struct table names;
	struct owner *owners;
	size_t nowners, owners_cap;
	struct table_link *spare; /* reserved records, by by_name */
	size_t nspare;
	struct history *history;
	char *refused; /* of the service */
	struct events *events;
	struct service service;
};

int queue_new(size_t events, struct queue **ret)
{
	struct queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	r = events_new(events, &q->events);
	if (r == 0)
		r = history_new(&q->history);
	if (r < 0) {
		queue_free(q);
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
	free(q->jobs);
	free(q->refused);
	table_release(&q->names);
	free(q->owners);
	history_free(q->history);
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
	const struct table_link *link = table_first(&q->names, hash_text(name));

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
	if (vector_room(q->jobs, q->jobs_cap, q->njobs + n) < 0 ||
	    vector_room(q->owners, q->owners_cap, q->njobs + n) < 0 || table_reserve(&q->names, n) < 0)
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
		table_put(&q->names, &r->by_name, hash_text(draft->name));
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

struct history *queue_history(const struct queue *q)
{
	return q->history;
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

	assert(q->names.n == q->njobs);
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
	history_assert_sane(q->history);
}
