#include "net/transfer.h"

#include "model/url.h"
#include "net/errors.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define HOPS_MAX 10
#define DISCARD_MAX (64u << 10) /* of an error page: less keeps the connection, more is cut */
#define IDLE_MAX 64             /* easy handles kept for the next transfers */

/* --- opening, closing -------------------------------------------------------------------------------- */

static struct conn *conn_get(struct worker *w)
{
	struct conn *c = TAILQ_FIRST(&w->idle);

	if (c) {
		TAILQ_REMOVE(&w->idle, c, link);
		w->nidle--;
		return c;
	}
	c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->worker = w;
	c->netrc_fd = c->known_hosts_fd = c->key_fd = -1;
	c->easy = curl_easy_init();
	if (!c->easy) {
		free(c);
		return NULL;
	}
	return c;
}

void conn_destroy(struct conn *c)
{
	curl_easy_cleanup(c->easy);
	free(c);
}

static void conn_put(struct conn *c)
{
	struct worker *w = c->worker;

	if (w->nidle >= IDLE_MAX) {
		conn_destroy(c);
		return;
	}
	TAILQ_INSERT_HEAD(&w->idle, c, link);
	w->nidle++;
}

static void leave_host(struct conn *c)
{
	throttle_depart(c->worker->shared->throttle, take_ptr(c->bucket));
}

static int enter_host(struct conn *c, const char *url)
{
	struct throttle *t = c->worker->shared->throttle;
	cleanup_free char *origin = NULL;

	leave_host(c);
	/* What is no URL is refused further on. */
	if (!throttle_limits_hosts(t) || url_origin(url, &origin) < 0)
		return 0;
	return throttle_visit(t, origin, c->worker->now, &c->bucket);
}

/* Begins a request to C's present URL. */
static int conn_request(struct conn *c)
{
	const char *url = c->url ? c->url : c->site->url;
	int r;

	c->outcome = OUTCOME_DONE;
	c->text = NULL;
	c->err = 0;
	c->error[0] = '\0';
	c->body = BODY_UNJUDGED;
	c->verdict = VERDICT_ACCEPT;
	c->answer_end = SIZE_UNKNOWN;
	c->discarded = 0;
	answer_reset(&c->answer);
	r = enter_host(c, url);
	if (r == 0)
		r = conn_setup(c, url);
	if (r < 0)
		return r;
	if (curl_multi_add_handle(c->worker->multi, c->easy) != CURLM_OK)
		return -ENOMEM;
	c->added = true;
	return 0;
}

int conn_open(struct transfer *t, unsigned slot, struct site *site, struct conn **ret)
{
	struct conn *c = conn_get(t->worker);
	int r;

	if (!c)
		return -ENOMEM;
	c->transfer = t;
	c->slot = slot;
	c->site = site;
	c->hops = 0;
	c->fd = -1;
	c->gap = 0;
	c->ticked = t->plan.v[slot].next;
	c->paused = c->finished = c->cut = c->restart = c->added = false;
	if (site->moved)
		c->url = strdup(site->moved);
	writer_init(&c->writer, t->fd, t->plan.v[slot].next, blobs_uncached(t->worker->shared->blobs));
	r = conn_request(c);
	if (r == -ENOMEM) {
		c->transfer = NULL;
		conn_close(c);
		return r;
	}
	site->connections++;
	if (r < 0) {
		/* Refused by our own rules: ends at the end of this round, like one refused by a server. */
		c->code = CURLE_ABORTED_BY_CALLBACK;
		c->finished = true;
		TAILQ_INSERT_TAIL(&t->worker->finished, c, link);
	}
	*ret = c;
	return 0;
}

static void detach(struct conn *c)
{
	if (c->paused)
		TAILQ_REMOVE(&c->worker->paused, c, pause_link);
	c->paused = false;
	if (c->finished)
		TAILQ_REMOVE(&c->worker->finished, c, link);
	c->finished = false;
	if (c->added)
		curl_multi_remove_handle(c->worker->multi, c->easy);
	c->added = false;
}

void conn_close(struct conn *c)
{
	detach(c);
	if (c->transfer)
		c->site->connections--;
	writer_release(&c->writer);
	leave_host(c);
	conn_teardown(c);
	answer_reset(&c->answer);
	free(c->url);
	c->url = NULL;
	c->transfer = NULL;
	conn_put(c);
}

/* --- the head ------------------------------------------------------------------------------------------ */

static void conn_fail(struct conn *c, enum outcome outcome, const char *text)
{
	c->outcome = outcome;
	c->text = text;
	c->body = BODY_UNWANTED;
}

/* Only one connection, and not a byte of the file is here. */
static bool is_fresh(const struct transfer *t)
{
	return t->plan.used == 1 && t->plan.done.n == 0 && !t->resuming;
}

/* From the judged answer: where its body begins and ends in the blob, and how large the file is. */
static bool accept_http(struct conn *c)
{
	struct transfer *t = c->transfer;
	const struct answer *a = &c->answer;
	struct segment *g = &t->plan.v[c->slot];
	uint64_t total = a->status == 206 ? a->total : a->whole_length && !a->chunked ? a->length : SIZE_UNKNOWN;
	bool strong, ok;
	char *validator;

	if (c->verdict == VERDICT_WHOLE && g->next > 0) {
		segments_whole(&t->plan, c->slot);
		writer_init(&c->writer, t->fd, 0, c->writer.uncached);
	}
	validator = answer_validator(a);
	strong = validator_is_strong(validator);
	ok = transfer_identify(t, c, total, validator, a->modified,
		strong && (a->status == 206 || (a->accepts_ranges && total != SIZE_UNKNOWN)));
	if (ok) {
		free(c->site->validator);
		c->site->validator = validator;
		validator = NULL;
	}
	free(validator);
	if (!ok)
		return false;
	if (a->status == 206)
		c->answer_end = g->next + (a->last - a->first) + 1;
	else if (total != SIZE_UNKNOWN)
		c->answer_end = total;
	return true;
}

static void judge_http(struct conn *c)
{
	struct transfer *t = c->transfer;
	const struct segment *g = &t->plan.v[c->slot];
	bool other = c->site->mirror; /* a mirror's version is its own; only the size must agree */
	struct asked q = { .ranged = c->ranged, .if_ranged = c->if_ranged, .fresh = is_fresh(t), .parts = t->edges,
		.first = transfer_remote(t, g->next), .size = t->identified || t->resuming ? t->remote_size : SIZE_UNKNOWN,
		.validator = other ? c->site->validator : t->validator, .contiguous = extents_run(&t->plan.done, 0) };
	enum outcome outcome;
	const char *text;

	c->verdict = answer_judge(&c->answer, &q, &outcome, &text);
	switch (c->verdict) {
	case VERDICT_ACCEPT:
	case VERDICT_WHOLE:
		c->body = BODY_WANTED;
		if (!accept_http(c))
			c->body = BODY_UNWANTED;
		break;
	case VERDICT_NO_RANGES:
	case VERDICT_FAIL:
		conn_fail(c, outcome, text);
		break;
	case VERDICT_COMPLETE:
	case VERDICT_FROM_START:
	case VERDICT_REDIRECT:
		c->body = BODY_UNWANTED;
		break;
	}
}

size_t conn_on_header(char *data, size_t size, size_t n, void *arg)
{
	struct conn *c = arg;

	if (!c->is_http || c->body == BODY_WANTED)
		return size * n; /* the talk of ftp; trailers */
	/* After a 401 or 407 that libcurl answers itself another head comes. */
	if (answer_line(&c->answer, data, size * n) && c->answer.status >= 200) {
		c->outcome = OUTCOME_DONE;
		judge_http(c);
	}
	return size * n;
}

/* ftp, sftp: at the first byte, or at the end of an empty file. */
static void judge_ftp(struct conn *c)
{
	struct transfer *t = c->transfer;
	struct segment *g = &t->plan.v[c->slot];
	curl_off_t length = -1, time = -1;
	char validator[32] = "";
	uint64_t total = SIZE_UNKNOWN;

	curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	curl_easy_getinfo(c->easy, CURLINFO_FILETIME_T, &time);
	if (length >= 0)
		total = transfer_remote(t, g->next) + (uint64_t)length;
	if (time >= 0)
		snprintf(validator, sizeof validator, "date %lld", (long long)time);
	if ((t->identified || t->resuming) && !c->site->mirror &&
	    (!t->validator || strcmp(t->validator, validator) != 0 || t->remote_size != total)) {
		conn_fail(c, OUTCOME_CHANGED, "another version on the server");
		return;
	}
	c->body = BODY_WANTED;
	if (!transfer_identify(t, c, total, *validator ? validator : NULL, time >= 0 ? time : MTIME_UNKNOWN,
	    *validator && total != SIZE_UNKNOWN)) {
		c->body = BODY_UNWANTED;
		return;
	}
	if (total != SIZE_UNKNOWN)
		c->answer_end = g->next + (uint64_t)length;
}

/* --- the body -------------------------------------------------------------------------------------------- */

static size_t discard(struct conn *c, size_t n)
{
	c->discarded += n;
	/* 4xx of ftp never get here; a page that is too long costs the connection. */
	return c->discarded <= DISCARD_MAX && c->is_http ? n : CURL_WRITEFUNC_ERROR;
}

/* True: the bytes must wait. */
static bool must_pause(struct conn *c, size_t n)
{
	struct transfer *t = c->transfer;
	struct worker *w = c->worker;

	if (!throttle_limits(w->shared->throttle) ||
	    throttle_pass(w->shared->throttle, t->bucket, c->bucket, t->priority, n, clock_now(), &c->wake_at))
		return false;
	t->was_paused = t->plan.throttled = true;
	if (!c->paused)
		TAILQ_INSERT_TAIL(&w->paused, c, pause_link);
	c->paused = true;
	return true;
}

static void note_gap(struct conn *c, const struct segment *g)
{
	if (c->worker->now - g->last > c->gap)
		c->gap = c->worker->now - g->last;
}

size_t conn_on_body(char *data, size_t size, size_t n, void *arg)
{
	struct conn *c = arg;
	struct transfer *t = c->transfer;
	struct segment *g = &t->plan.v[c->slot];
	uint64_t room, limit = c->worker->shared->options.max_file_size;
	size_t len = size * n;
	int r;

	if (c->body == BODY_UNJUDGED && !c->is_http)
		judge_ftp(c);
	if (c->body != BODY_WANTED)
		return discard(c, len);
	if (must_pause(c, len))
		return CURL_WRITEFUNC_PAUSE;
	room = g->end - g->next;
	if (len > room && c->answer_end == SIZE_UNKNOWN) {
		/* A body without a length is longer than the file was said to be. */
		conn_fail(c, t->resuming ? OUTCOME_CHANGED : OUTCOME_SIZE, "the file is larger than expected");
		return CURL_WRITEFUNC_ERROR;
	}
	if (g->next + len > limit && len <= room) {
		conn_fail(c, OUTCOME_TOO_LARGE, "the file is larger than max_file_size");
		return CURL_WRITEFUNC_ERROR;
	}
	len = len > room ? (size_t)room : len;
	if (t->digest)
		digest_update(t->digest, g->next, data, len);
	r = writer_write(&c->writer, data, len);
	if (r < 0) {
		conn_fail(c, outcome_of_errno(r), NULL);
		c->err = -r;
		return CURL_WRITEFUNC_ERROR;
	}
	note_gap(c, g);
	balance_moved(t->balance, len);
	segments_moved(&t->plan, c->slot, len, c->worker->now);
	if (t->wanting)
		transfer_has_news(t);
	/* The end of the segment, but not of the answer: the rest is another connection's. */
	c->cut = g->next == g->end && c->answer_end != g->end && c->answer_end != SIZE_UNKNOWN;
	return c->cut ? CURL_WRITEFUNC_ERROR : size * n;
}

void conn_unpause(struct conn *c)
{
	TAILQ_REMOVE(&c->worker->paused, c, pause_link);
	c->paused = false;
	curl_easy_pause(c->easy, CURLPAUSE_CONT); /* calls conn_on_body, which may pause again */
}

int conn_on_open(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct conn *c = arg;
	struct watch *watch = worker_watch(c->worker, fd);

	if (!watch)
		return CURL_SOCKOPT_OK;
	*watch = (struct watch){ .known = true };
	background_open(&watch->background, fd, transfer_is_background(c->transfer));
	return CURL_SOCKOPT_OK;
}

void conn_tick(struct conn *c)
{
	struct transfer *t = c->transfer;
	const struct segment *g = &t->plan.v[c->slot];
	struct watch *watch = c->fd >= 0 ? worker_watch(c->worker, c->fd) : NULL;
	struct background_tick tick = { .now = c->worker->now, .low = transfer_is_background(t) };
	uint32_t rtt_us;

	if (!watch)
		return;
	note_gap(c, g);
	tick.gap = c->gap;
	tick.bytes = g->next > c->ticked ? g->next - c->ticked : 0;
	/* Streams of several jobs share one window. */
	if (!c->answer.http2)
		tick.portion = balance_portion(t->balance);
	rtt_us = background_tick(&watch->background, c->fd, &tick);
	balance_note_rtt(t->balance, rtt_us);
	c->ticked = g->next;
	c->gap = 0;
	if (tick.portion.contested || background_holds(&watch->background))
		t->plan.throttled = true;
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static bool follow(struct conn *c)
{
	const struct engine_options *o = &c->worker->shared->options;
	const char *from = c->url ? c->url : c->site->url;
	char *to = NULL, *copy;

	curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &to);
	if (!to) {
		conn_fail(c, OUTCOME_HTTP_STATUS, NULL);
		return false;
	}
	if (++c->hops > HOPS_MAX) {
		conn_fail(c, OUTCOME_REDIRECT, "too many redirects");
		return false;
	}
	if (!o->allow_https_to_http && strncasecmp(from, "https:", 6) == 0 && strncasecmp(to, "http:", 5) == 0) {
		conn_fail(c, OUTCOME_REDIRECT, "the server redirects from https to http");
		return false;
	}
	copy = strdup(to);
	detach(c);
	free(c->url);
	c->url = copy;
	if (!copy)
		conn_fail(c, OUTCOME_RESET, NULL);
	return copy && conn_request(c) == 0;
}

/* A body that ended: was it all? */
static void check_end(struct conn *c)
{
	struct transfer *t = c->transfer;
	struct segment *g = &t->plan.v[c->slot];
	bool proven = c->answer.chunked || c->answer.http2 || !c->is_http;

	if (c->answer_end != SIZE_UNKNOWN) {
		if (g->next < g->end && g->next < c->answer_end)
			conn_fail(c, OUTCOME_RESET, "the body is shorter than announced");
		return;
	}
	if (g->end == SEGMENT_NONE) {
		t->unverified = !proven;
		t->remote_size = g->next;
		segments_set_size(&t->plan, g->next);
		if (t->fetch->size != SIZE_UNKNOWN && t->fetch->size != g->next) /* size=0 */
			conn_fail(c, OUTCOME_SIZE, "the file has another size than size=");
		return;
	}
	if (g->next < g->end) /* the expected size is not reached: a cut, or a smaller file */
		conn_fail(c, !proven ? OUTCOME_RESET : t->resuming ? OUTCOME_CHANGED : OUTCOME_SIZE,
			"the file is smaller than expected");
}

static enum outcome outcome_of_conn(const struct conn *c, CURLcode code)
{
	long proxy = 0;

	/* A proxy that refuses CONNECT looks like a lost connection otherwise. */
	curl_easy_getinfo(c->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
	if (proxy == 407)
		return OUTCOME_AUTH;
	return proxy >= 300 ? OUTCOME_CONNECT : outcome_of_curl(code);
}

bool conn_continues(struct conn *c, CURLcode code)
{
	if (c->outcome == OUTCOME_DONE && code == CURLE_OK && c->body == BODY_UNJUDGED && !c->is_http)
		judge_ftp(c); /* empty */
	if (c->cut || c->outcome != OUTCOME_DONE)
		return false;
	if (c->body == BODY_UNWANTED && c->is_http) {
		if (c->verdict == VERDICT_REDIRECT)
			return follow(c);
		c->restart = c->verdict == VERDICT_FROM_START;
		return false;
	}
	if (code != CURLE_OK) {
		conn_fail(c, outcome_of_conn(c, code), NULL);
		return false;
	}
	if (c->body == BODY_UNJUDGED)
		conn_fail(c, OUTCOME_RESET, "the server sent no answer");
	else
		check_end(c);
	return false;
}
