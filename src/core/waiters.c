/* Parked requests: who waits for what. A waiter is a few words, never a thread; it is answered once,
 * when its condition holds, when its deadline comes, when it is interrupted, or at the end.
 */
#include "core/state.h"

#include "base/clock.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* --- the tables ------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct waiter *x = a, *y = b;

	return x->wait.id < y->wait.id ? -1 : x->wait.id > y->wait.id;
}

static void unlink_waiter(struct waiter *w)
{
	tdelete(w, &w->run->core->waiters, by_id);
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
}

static void answer(struct waiter *w, int err, const struct answer *a)
{
	unlink_waiter(w);
	w->reply->answer(w->reply, err, a);
	free(w);
}

static int link_waiter(struct run *run, const struct message *m)
{
	struct waiter *w = calloc(1, sizeof(*w));
	struct waiter **list = &run->waiters[m->wait.kind];

	if (!w)
		return -ENOMEM;
	w->wait = m->wait;
	w->serial = m->serial;
	w->run = run;
	w->reply = m->reply;
	if (!tsearch(w, &run->core->waiters, by_id)) {
		free(w);
		return -ENOMEM;
	}
	w->next = *list;
	w->at = list;
	if (w->next)
		w->next->at = &w->next;
	*list = w;
	if (w->wait.deadline < run->wait_deadline)
		run->wait_deadline = w->wait.deadline;
	return 0;
}

bool waiters_any(const struct run *run)
{
	for (int kind = 0; kind < WAIT_MAX; kind++)
		if (run->waiters[kind])
			return true;
	return false;
}

/* --- conditions ------------------------------------------------------------------------------- */

#define STILL_WAITING 1

static int check_rest(const struct core *c, uint64_t serial, const struct job *job, struct answer *a)
{
	const struct result *ended = job ? NULL : history_find(queue_history(c->queue), serial);

	if (!job && !ended)
		return -ENODEV;
	a->state = job ? job->state : ended->state;
	return job_state_rests(a->state) ? 0 : STILL_WAITING;
}

static int check_bytes(const struct job *job, const struct wait *w)
{
	const struct file *f = job ? file_now(job->files, w->file) : NULL;
	const struct live *live = f ? file_live(job->files, w->file) : NULL;

	if (!f)
		return -ENODEV;
	if (f->generation != w->generation)
		return -ESTALE;
	if (extents_contain(&f->have, w->offset, w->offset + 1) || f->state >= FILE_TRANSFERRED ||
	    (live && live->generation == w->generation && extents_contain(&live->have, w->offset, w->offset + 1)))
		return 0;
	if (job->state == JOB_ERROR || f->state == FILE_FAILED)
		return -EIO;
	return job->state == JOB_SUSPENDED ? -EAGAIN : STILL_WAITING;
}

/* 0 or -errno: the answer; STILL_WAITING. JOB: of SERIAL, NULL if there is none. */
static int check(const struct core *c, uint64_t serial, const struct job *job, const struct wait *w, struct answer *a)
{
	uint64_t missed;

	if (w->deadline <= c->moment.now)
		return 0;
	switch (w->kind) {
	case WAIT_REST:
		return check_rest(c, serial, job, a);
	case WAIT_CHANGE:
		return !job ? -ENODEV : job->changes != w->seen ? 0 : STILL_WAITING;
	case WAIT_EVENT:
		if (events_get(queue_events(c->queue), w->seen, serial, &missed))
			return 0;
		return serial && !job ? -ENODEV : STILL_WAITING;
	case WAIT_BYTES:
		return check_bytes(job, w);
	case WAIT_MAX:
		break;
	}
	return -EINVAL;
}

/* --- readers pull data forward ---------------------------------------------------------------- */

/* The engine is told where they wait; files that have not begun are started first. The last who came to a
 * file counts. */
static void pull(struct run *run)
{
	struct core *c = run->core;
	const struct job *job = queue_find(c->queue, run->serial);

	if (c->stopped)
		return;
	for (struct transfer *t = run->transfers; t; t = t->next)
		t->wanted = UINT64_MAX;
	for (const struct waiter *w = run->waiters[WAIT_BYTES]; w; w = w->next) {
		const struct file *f = job ? file_now(job->files, w->wait.file) : NULL;
		struct transfer *t = slot_find(run, w->wait.file);

		if (t && t->wanted == UINT64_MAX)
			t->wanted = w->wait.offset;
		else if (!t && f && f->state == FILE_QUEUED && run->joined)
			sched_file_waits(c->sched, run->serial, w->wait.file, true);
	}
	for (struct transfer *t = run->transfers; t; t = t->next)
		slot_want(t);
}

/* --- parking and waking ----------------------------------------------------------------------- */

static void open_staged(struct core *c, struct message *m)
{
	const struct job *job = queue_find(c->queue, m->serial);
	const struct file *f = job ? file_now(job->files, m->file) : NULL;
	struct answer a = {.fd = -1};
	int r;

	if (!f) {
		r = job ? -ENOENT : -ENODEV;
	} else if (f->state == FILE_COMPLETED) {
		r = -ENOENT; /* it has its place in the destination tree */
	} else {
		a.generation = f->generation;
		r = blob_open_read(c->options.blobs, m->serial, m->file, f->generation, &a.fd);
		/* Never for a file that has bytes: where they should be, zeros would stand. */
		if (r == -ENOENT && !f->have.n && f->state < FILE_TRANSFERRED) {
			r = blob_open(c->options.blobs, m->serial, m->file, f->generation, false, &a.fd);
			if (r >= 0)
				close(take_fd(&a.fd));
			if (r >= 0)
				r = blob_open_read(c->options.blobs, m->serial, m->file, f->generation, &a.fd);
		}
	}
	m->reply->answer(m->reply, r < 0 ? r : 0, &a);
}

/* Takes the message's reply. */
void waiters_park(struct core *c, struct message *m)
{
	struct answer a = {.fd = -1};
	struct run *run;
	int r;

	if (m->mail.kind == MSG_OPEN_STAGED) {
		open_staged(c, m);
		return;
	}
	r = c->stopping ? -ENODEV : check(c, m->serial, queue_find(c->queue, m->serial), &m->wait, &a);
	if (r == STILL_WAITING && m->reply->abandoned && m->reply->abandoned(m->reply))
		r = -EINTR;
	if (r == STILL_WAITING) {
		run = run_get(c, m->serial);
		r = run ? link_waiter(run, m) : -ENOMEM;
		if (r == 0) {
			if (m->wait.kind == WAIT_BYTES)
				pull(run);
			return;
		}
	}
	m->reply->answer(m->reply, r, &a);
}

void waiters_interrupt(struct core *c, uint64_t id)
{
	const struct waiter key = {.wait.id = id};
	const struct answer none = {.fd = -1};
	void *node = tfind(&key, &c->waiters, by_id);
	struct waiter *w = node ? *(struct waiter **)node : NULL;
	struct run *run = w ? run_get(c, w->serial) : NULL;

	if (!w)
		return;
	answer(w, -EINTR, &none);
	pull(run);
}

/* Answers W if its condition holds; else its deadline counts. */
static bool look_at(struct waiter *w, const struct job *job)
{
	struct run *run = w->run;
	struct answer a = {.fd = -1};
	int r = check(run->core, run->serial, job, &w->wait, &a);

	if (r != STILL_WAITING)
		answer(w, r, &a);
	else if (w->wait.deadline < run->wait_deadline)
		run->wait_deadline = w->wait.deadline;
	return r != STILL_WAITING;
}

void waiters_wake_readers(struct run *run, uint32_t file)
{
	const struct job *job = queue_find(run->core->queue, run->serial);
	bool any = false;

	for (struct waiter *w = run->waiters[WAIT_BYTES], *next; w; w = next) {
		next = w->next;
		if (w->wait.file == file && look_at(w, job))
			any = true;
	}
	if (any)
		pull(run);
}

void waiters_wake(struct run *run)
{
	const struct job *job = queue_find(run->core->queue, run->serial);
	bool readers = run->waiters[WAIT_BYTES];

	run->wait_deadline = INT64_MAX;
	for (int kind = 0; kind < WAIT_MAX; kind++)
		for (struct waiter *w = run->waiters[kind], *next; w; w = next) {
			next = w->next;
			look_at(w, job);
		}
	if (readers)
		pull(run);
}

void waiters_wake_service(struct core *c)
{
	struct run *run = run_find(c, 0);

	if (run)
		waiters_wake(run);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end_of_run(const void *node, VISIT which, void *arg)
{
	struct run *run = *(struct run *const *)node;

	if (which == postorder || which == leaf)
		run_touch(run);
}

void waiters_end(struct core *c)
{
	const struct answer none = {.fd = -1};

	twalk_r(c->runs, end_of_run, NULL);
	for (struct run *run = c->touched; run; run = run->next_touched) {
		for (int kind = 0; kind < WAIT_MAX; kind++)
			while (run->waiters[kind])
				answer(run->waiters[kind], -ENODEV, &none);
		run_answer_held(run, -ENODEV);
	}
}
