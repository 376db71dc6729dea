#include "net/transfer.h"

#include "net/errors.h"

#include <errno.h>
#include <string.h>

#define REPORT_INTERVAL (250 * NSEC_PER_MSEC)
/* At less than this a gathered piece takes longer than a report: then it is written half full. */
#define SLOW_RATE (UINT64_C(4) << 20)
#define RESTARTS_MAX 3
#define PATIENCE (500 * NSEC_PER_MSEC)
#define PATIENCE_MAX 4

/* --- life ---------------------------------------------------------------------------------------------- */

/* As one that waits: it knows nothing yet but its fetch. */
static void set_blank(struct transfer *t)
{
	t->worker = NULL;
	segments_init(&t->plan, t->fetch->size, 1, INT64_MAX, 0);
	t->failure = (struct failure){ .retry_after_s = -1 };
	t->fd = -1;
	t->remote_size = SIZE_UNKNOWN;
	t->mtime = MTIME_UNKNOWN;
	t->slots = t->restarts = t->waits = 0;
	t->movable = t->was_paused = t->had_several = false;
}

/* What it has made since it began. */
static void release(struct transfer *t)
{
	if (t->fd >= 0)
		close(t->fd);
	sites_release(t);
	segments_release(&t->plan);
	digest_free(take_ptr(t->digest));
	failure_release(&t->failure);
	free(take_ptr(t->edges));
	free(take_ptr(t->validator));
	free(take_ptr(t->gathered));
}

int transfer_new(struct fetch *fetch, struct transfer **ret)
{
	struct transfer *t = calloc(1, sizeof *t);

	if (!t) {
		fetch_free(fetch);
		return -ENOMEM;
	}
	t->fetch = fetch;
	t->ticket = (struct ticket){ .transfer = t, .id = fetch->id, .serial = fetch->serial,
		.uid = fetch->options ? fetch->options->uid : 0, .priority = fetch->priority, .want = SEGMENT_NONE };
	t->priority = fetch->priority;
	set_blank(t);
	*ret = t;
	return 0;
}

void transfer_free(struct transfer *t)
{
	release(t);
	fetch_free(t->fetch);
	free(t);
}

void transfer_decline(struct transfer *t, struct mailbox *reports, enum outcome outcome, const char *text)
{
	struct failure why = { .outcome = outcome, .text = (char *)text, .retry_after_s = -1 };

	/* What it came with is still there. */
	t->plan.done = t->fetch->have;
	t->validator = take_ptr(t->fetch->validator);
	t->fetch->have = (struct extents){ 0 };
	report_end(t, reports, &why, false);
	transfer_free(t);
}

static int flush(struct transfer *t, struct writer *w)
{
	int r = w->len && t->fd < 0 ? transfer_open(t) : 0;

	return r == 0 && w->len ? writer_flush(w) : r;
}

/* Takes the connection of SLOT down; what it has written counts, and what it has gathered if that is all
 * of the file. */
static int release_conn(struct transfer *t, unsigned slot)
{
	struct conn *c = t->conns[slot];
	struct writer *w = &c->writer;
	int r = 0, e;

	if (t->fd < 0 && w->len && w->len == t->plan.size)
		t->gathered = writer_take(w, &t->ngathered);
	else
		r = flush(t, w);
	e = segments_end(&t->plan, slot, t->gathered ? t->ngathered : w->written);
	t->conns[slot] = NULL;
	conn_close(c);
	return r < 0 ? r : e;
}

static void give_slots_back(struct transfer *t, unsigned keep)
{
	for (; t->slots > keep; t->slots--) {
		gate_less(t->worker->shared->gate, &t->ticket);
		t->worker->released++;
	}
}

/* The worker and what all transfers share know nothing of T any more. */
static void leave_worker(struct transfer *t)
{
	struct worker *w = t->worker;

	transfer_want(t, SEGMENT_NONE);
	if (t->in_news)
		TAILQ_REMOVE(&w->news, t, news_link);
	t->in_news = false;
	TAILQ_REMOVE(&w->transfers, t, link);
	w->released++;
	throttle_leave(w->shared->throttle, take_ptr(t->bucket));
	balance_leave(w->shared->balance, take_ptr(t->balance));
}

static void transfer_end(struct transfer *t, const struct failure *why)
{
	struct worker *w = t->worker;
	struct failure own = *why;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		int r = t->conns[i] ? release_conn(t, i) : 0;

		if (r < 0 && own.outcome == OUTCOME_STOPPED) {
			own.outcome = outcome_of_errno(r);
			own.err = -r;
		}
	}
	leave_worker(t);
	give_slots_back(t, 1);
	gate_leave(w->shared->gate, &t->ticket, own.outcome == OUTCOME_DONE ? w->now : 0);
	report_end(t, w->shared->reports, &own, t->unverified && own.outcome == OUTCOME_DONE);
	transfer_free(t);
}

static void end_with(struct transfer *t, enum outcome outcome, int err, const char *text)
{
	struct failure why = { .outcome = outcome, .err = err, .text = (char *)text, .retry_after_s = -1 };

	transfer_end(t, &why);
}

void transfer_stop(struct transfer *t)
{
	end_with(t, OUTCOME_STOPPED, 0, NULL);
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static unsigned connections_max(const struct transfer *t)
{
	const struct fetch_options *o = t->fetch->options;
	unsigned max = o && o->connections ? o->connections : t->worker->shared->options.connections_per_host;

	return max < SEGMENTS_MAX ? max : SEGMENTS_MAX;
}

/* True: the slot has its connection, or the plan has learned that there is none for it. */
static int start_segment(struct transfer *t, unsigned slot)
{
	struct worker *w = t->worker;
	struct site *site = sites_pick(t);

	if (t->plan.used > t->slots && !gate_more(w->shared->gate, &t->ticket)) {
		segments_end(&t->plan, slot, t->plan.v[slot].first);
		segments_denied(&t->plan, w->now);
		return 0;
	}
	if (t->plan.used > t->slots)
		t->slots++;
	t->had_several = t->had_several || t->slots > 1;
	return conn_open(t, slot, site, &t->conns[slot]);
}

/* How many connections to open is not put off to the next regular tick. */
static void tick_soon(struct transfer *t)
{
	struct worker *w = t->worker;

	if (segments_is_beginning(&t->plan, w->now) && w->tick_at > w->now + SEGMENT_TICK_FIRST)
		w->tick_at = w->now + SEGMENT_TICK_FIRST;
}

/* Does what the plan says; ends the transfer when there is nothing left to do. */
static void transfer_step(struct transfer *t)
{
	struct segment_step step;
	int r = 0;

	if (!t->plan.used && t->worker->now < t->wait_until)
		return;
	while (r == 0 && (step = segments_next(&t->plan, t->worker->now)).action != SEGMENT_NOTHING)
		r = step.action == SEGMENT_START ? start_segment(t, step.slot) : release_conn(t, step.slot);
	if (r < 0) {
		end_with(t, outcome_of_errno(r), -r, NULL);
		return;
	}
	if (t->plan.used == 0) {
		if (segments_complete(&t->plan))
			end_with(t, OUTCOME_DONE, 0, NULL);
		else
			end_with(t, OUTCOME_INTERNAL, 0, "nothing to fetch, yet not complete");
		return;
	}
	give_slots_back(t, t->plan.used);
	tick_soon(t);
}

/* Whether WHY may come from the number of connections that there are. */
static bool is_refusal(const struct failure *why)
{
	return why->outcome == OUTCOME_RESET || why->outcome == OUTCOME_CONNECT ||
		why->outcome == OUTCOME_TIMEOUT /* ftp: 421 */ || why->http_status == 429 || why->http_status == 503;
}

/* A host that serves others of ours, and says why with nothing but a refusal, allows no more than those:
 * then T, of which nothing is known yet, waits as if it had never begun. */
static bool step_back(struct transfer *t, const struct failure *why)
{
	const struct shared *shared = t->worker->shared;
	struct transfer *told;

	if (t->identified || t->slots > 1 || why->retry_after_s >= 0 || !is_refusal(why) ||
	    !gate_refused(shared->gate, &t->ticket, t->worker->now))
		return false;
	leave_worker(t);
	release(t);
	set_blank(t);
	told = gate_back(shared->gate, &t->ticket);
	if (told)
		transfer_decline(told, shared->reports, OUTCOME_STOPPED, NULL);
	return true;
}

/* A server may still count a connection that is gone, ours or another file's: wait a little. */
static bool may_wait(struct transfer *t, const struct failure *why)
{
	int64_t now = t->worker->now;

	if (!is_refusal(why) ||
	    !(t->had_several || gate_served(t->worker->shared->gate, &t->ticket, now - PATIENCE * PATIENCE_MAX)))
		return false;
	t->waits = t->plan.moved != t->waits_moved ? 1 : t->waits + 1;
	t->waits_moved = t->plan.moved;
	t->wait_until = now + PATIENCE;
	return t->waits <= PATIENCE_MAX;
}

static bool other_site(const struct transfer *t, const struct site *not)
{
	for (size_t i = 0; i < t->nsites; i++)
		if (&t->sites[i] != not && !t->sites[i].dead)
			return true;
	return false;
}

/* A connection to SITE failed: is there another way? Takes WHY. */
static void site_failed(struct transfer *t, struct site *site, bool moved, struct failure *why)
{
	bool ours = why->outcome == OUTCOME_DISK || why->outcome == OUTCOME_DISK_FULL;
	bool origin = !site->cache && !site->mirror;

	if (ours || (origin && why->outcome == OUTCOME_CHANGED)) {
		transfer_end(t, why);
		failure_release(why);
		return;
	}
	/* What the origin said is what the user should read. */
	if (origin || t->failure.outcome == OUTCOME_DONE) {
		failure_release(&t->failure);
		t->failure = *why;
	} else {
		failure_release(why);
	}
	if (moved && site->moved) {
		free(take_ptr(site->moved)); /* where it led may be good for a while only: ask again */
	} else if (!site->connections && other_site(t, site)) {
		site->dead = true;
	} else if (!t->plan.used && step_back(t, &t->failure)) {
		return;
	} else if (!t->plan.used && !may_wait(t, &t->failure)) {
		struct failure last = t->failure;

		t->failure = (struct failure){ .retry_after_s = -1 };
		transfer_end(t, &last);
		failure_release(&last);
		return;
	}
	if (t->plan.used)
		segments_lost(&t->plan, t->worker->now);
	transfer_step(t);
}

void transfer_conn_ended(struct transfer *t, struct conn *c)
{
	struct site *site = c->site;
	enum verdict verdict = c->body == BODY_UNJUDGED ? VERDICT_FAIL : c->verdict;
	bool moved = c->url && c->hops == 0, restart = c->restart, http = c->is_http;
	struct failure why = { .outcome = OUTCOME_DONE, .retry_after_s = -1 };
	int r;

	if (c->outcome != OUTCOME_DONE)
		failure_of_conn(c, &why);
	r = release_conn(t, c->slot);
	if (r < 0) {
		failure_release(&why);
		end_with(t, outcome_of_errno(r), -r, NULL);
		return;
	}
	if (why.outcome == OUTCOME_DONE) {
		if (http && verdict == VERDICT_COMPLETE)
			segments_set_size(&t->plan, extents_run(&t->plan.done, 0));
		if (restart && ++t->restarts > RESTARTS_MAX) {
			end_with(t, OUTCOME_RESET, 0, "the server does not answer to what is asked");
			return;
		}
		if (restart)
			segments_want(&t->plan, SEGMENT_NONE);
		transfer_step(t);
	} else if (http && verdict == VERDICT_NO_RANGES && t->plan.used) {
		/* The others go on; what they leave is fetched with the next attempt, as a new version. */
		failure_release(&why);
		segments_denied(&t->plan, t->worker->now);
		t->plan.ranges = false;
		transfer_step(t);
	} else {
		site_failed(t, site, moved, &why);
	}
}

/* --- from the worker ---------------------------------------------------------------------------------------------- */

static int prepare(struct transfer *t)
{
	const struct engine_options *o = &t->worker->shared->options;
	struct fetch *f = t->fetch;
	bool room;
	int r;

	/* size=0 must be asked for too, or there would be no blob. */
	segments_init(&t->plan, f->size ? f->size : SEGMENT_NONE, connections_max(t), (int64_t)o->idle_timeout_s * NSEC_PER_SEC, t->worker->now);
	t->resuming = f->have.n > 0;
	r = segments_have(&t->plan, &f->have);
	if (r == 0)
		r = transfer_set_edges(t);
	if (r == 0)
		r = sites_init(t, o->cache_host);
	if (r == 0 && t->resuming) {
		t->remote_size = t->edges ? SIZE_UNKNOWN : f->size;
		t->validator = f->validator ? strdup(f->validator) : NULL;
	}
	if (r == 0 && f->digest_kind != DIGEST_NONE && !extents_contain(&f->have, 0, 1))
		r = digest_new(f->digest_kind, &t->digest);
	t->bucket = throttle_join(t->worker->shared->throttle, f->serial);
	t->balance = balance_join(t->worker->shared->balance, f->serial, t->priority, &room);
	if (room)
		t->worker->tick_at = t->worker->now;
	if (r == 0 && (!t->bucket || !t->balance))
		r = -ENOMEM;
	return r;
}

void transfer_start(struct transfer *t, struct worker *w)
{
	int r;

	t->worker = w;
	t->priority = t->ticket.priority;
	t->slots = 1;
	t->reported_at = w->now;
	TAILQ_INSERT_TAIL(&w->transfers, t, link);
	r = prepare(t);
	if (r < 0) {
		end_with(t, outcome_of_errno(r), -r, NULL);
	} else if (t->resuming && !segments_complete(&t->plan) && !validator_is_strong(t->validator)) {
		end_with(t, OUTCOME_CHANGED, 0, "what is here cannot be proven to be of the server's version");
	} else {
		transfer_step(t);
	}
}

void transfer_want(struct transfer *t, uint64_t offset)
{
	bool wanting = offset != SEGMENT_NONE;

	segments_want(&t->plan, offset);
	if (wanting && !t->wanting)
		t->worker->wanting++;
	if (!wanting && t->wanting)
		t->worker->wanting--;
	t->wanting = wanting;
	if (wanting && t->begun)
		transfer_has_news(t); /* what he waits for may be here already, in a writer */
}

void transfer_has_news(struct transfer *t)
{
	if (!t->in_news)
		TAILQ_INSERT_TAIL(&t->worker->news, t, news_link);
	t->in_news = true;
}

/* Bytes wait in the writers for 1 MiB to come together; where that takes long they are handed over.
 * *ret_any: whether there were any, so that what was reported of the transfer is not all any more. */
static int flush_all(struct transfer *t, bool *ret_any)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SEGMENTS_MAX; i++)
		if (t->conns[i] && t->conns[i]->writer.len) {
			r = flush(t, &t->conns[i]->writer);
			*ret_any = true;
		}
	return r;
}

void transfer_news(struct transfer *t)
{
	TAILQ_REMOVE(&t->worker->news, t, news_link);
	t->in_news = false;
	if (!t->begun) {
		report_send(t, REPORT_BEGUN);
		t->begun = true;
		tick_soon(t);
	}
	if (t->wanting) {
		bool news = t->plan.moved != t->reported_moved;
		int r = flush_all(t, &news);

		if (r < 0)
			end_with(t, outcome_of_errno(r), -r, NULL);
		else if (news)
			report_send(t, REPORT_PROGRESS);
	}
}

static int report_progress(struct transfer *t)
{
	int64_t now = t->worker->now, passed = now - t->reported_at;
	uint64_t rate = (uint64_t)((double)(t->plan.moved - t->rated_moved) * NSEC_PER_SEC / (double)passed);
	bool news = t->plan.moved != t->reported_moved;
	int r = 0;

	t->rate = t->rate ? (t->rate * 3 + rate) / 4 : rate;
	t->reported_at = now;
	t->rated_moved = t->plan.moved;
	if (rate < SLOW_RATE)
		r = flush_all(t, &news);
	if (r == 0 && t->begun && news)
		report_send(t, REPORT_PROGRESS);
	return r;
}

bool transfer_is_background(const struct transfer *t)
{
	return t->worker->shared->options.background_yields && t->priority != PRIORITY_FOREGROUND;
}

/* Nothing is lost when it stops here and goes on later; and no reader waits for it. */
static void tell_movable(struct transfer *t)
{
	bool movable = !t->wanting && (t->plan.ranges || t->plan.moved == 0);

	if (movable != t->movable)
		gate_set_movable(t->worker->shared->gate, &t->ticket, movable);
	t->movable = movable;
}

void transfer_tick(struct transfer *t)
{
	struct worker *w = t->worker;
	unsigned max = connections_max(t);
	int r = 0;

	t->plan.throttled = t->was_paused;
	if (t->was_paused)
		atomic_store(&t->balance->limited, true);
	t->was_paused = false;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		if (t->conns[i] && t->conns[i]->paused) {
			t->plan.v[i].last = w->now; /* it is us who hold it back */
			t->plan.throttled = true;
		}
		if (t->conns[i])
			conn_tick(t->conns[i]);
	}
	if (segments_stalled(&t->plan, w->now)) {
		end_with(t, OUTCOME_TIMEOUT, 0, "the server has not sent a byte for too long");
		return;
	}
	tell_movable(t);
	/* Another file waits for one of ours. */
	t->plan.limit = t->plan.used > 1 && gate_wanted(w->shared->gate, &t->ticket) ? t->plan.used - 1 : max;
	if (w->now - t->reported_at >= REPORT_INTERVAL)
		r = report_progress(t);
	if (r < 0) {
		end_with(t, outcome_of_errno(r), -r, NULL);
		return;
	}
	transfer_step(t);
}
