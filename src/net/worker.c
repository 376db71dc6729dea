#include "net/scribe.h"
#include "net/transfer.h"

#include "base/block.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define EVENTS_MAX 128
#define OUTBOX_MAX 32
#define OUTBOX_TIME (2 * NSEC_PER_MSEC)
#define TICK_WANTED (20 * NSEC_PER_MSEC) /* while a reader waits for bytes */

static _Thread_local const struct worker *own; /* the thread's */

/* --- sockets of libcurl -------------------------------------------------------------------------------- */

struct watch *worker_watch(struct worker *w, int fd)
{
	if ((size_t)fd >= w->nwatches) {
		size_t n = ((size_t)fd + 1) * 2;
		struct watch *more = realloc(w->watches, n * sizeof *more);

		if (!more)
			return NULL;
		memset(more + w->nwatches, 0, (n - w->nwatches) * sizeof *more);
		w->watches = more;
		w->nwatches = n;
	}
	return &w->watches[fd];
}

static int watch_set(struct worker *w, int fd, struct watch *watch, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	int op = !events ? EPOLL_CTL_DEL : watch->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int r = epoll_ctl(w->epoll, op, fd, &ev);

	/* A descriptor that was closed behind our back left the set, and its number may be another's. */
	if (r < 0 && errno == ENOENT && op == EPOLL_CTL_MOD)
		r = epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev);
	else if (r < 0 && errno == EEXIST)
		r = epoll_ctl(w->epoll, EPOLL_CTL_MOD, fd, &ev);
	watch->events = events;
	return r;
}

/* After each file libcurl takes its socket out, and puts it in again for the next one on the same
 * connection. So a socket that we know from its making to its closing leaves epoll only when it speaks
 * unasked; others (of the resolver) are closed behind our back, and are not remembered. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct worker *w = arg;
	struct watch *watch = worker_watch(w, fd);
	uint32_t events = 0;
	struct conn *c;

	if (!watch)
		return -1;
	if (watch->known && curl_easy_getinfo(easy, CURLINFO_PRIVATE, &c) == CURLE_OK && c)
		c->fd = what == CURL_POLL_REMOVE ? -1 : fd;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= EPOLLOUT;
	watch->wanted = events;
	if (events == watch->events || (!events && watch->known))
		return 0;
	return watch_set(w, fd, watch, events);
}

int worker_on_close(void *arg, curl_socket_t fd)
{
	struct watch *watch = worker_watch(arg, fd);

	if (watch)
		*watch = (struct watch){ 0 };
	return close(fd);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct worker *w = arg;

	w->curl_deadline = timeout_ms < 0 ? INT64_MAX : clock_now() + timeout_ms * NSEC_PER_MSEC;
	return 0;
}

static void socket_ready(struct worker *w, int fd, uint32_t events)
{
	struct watch *watch = worker_watch(w, fd);
	int mask = 0, running;

	if (!watch)
		return;
	if (!watch->wanted) {
		watch_set(w, fd, watch, 0);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP))
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		mask |= CURL_CSELECT_ERR;
	curl_multi_socket_action(w->multi, fd, mask, &running);
}

/* --- a round ---------------------------------------------------------------------------------------------- */

static int64_t next_deadline(const struct worker *w)
{
	int64_t deadline = w->curl_deadline;
	const struct conn *c = TAILQ_FIRST(&w->paused);

	if (!TAILQ_EMPTY(&w->finished))
		return 0;
	if (!TAILQ_EMPTY(&w->transfers) && w->tick_at < deadline)
		deadline = w->tick_at;
	for (; c; c = TAILQ_NEXT(c, pause_link))
		if (c->wake_at < deadline)
			deadline = c->wake_at;
	return deadline;
}

static int timeout_ms(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = deadline - clock_now();
	if (left <= 0)
		return 0;
	left = (left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return left < 60000 ? (int)left : 60000;
}

static void outbox_init(struct outbox *box)
{
	box->head = NULL;
	box->tail = &box->head;
}

static void outbox_add(struct outbox *box, struct mail *mail)
{
	mail->next = NULL;
	*box->tail = mail;
	box->tail = &mail->next;
}

/* The core hears of the beginning of a transfer before the scribe may tell it of the end. */
static void send_reports(struct worker *w)
{
	if (w->reports.head)
		mailbox_send_all(w->shared->reports, w->reports.head);
	if (w->unwritten.head)
		scribe_send(w->shared->scribe, w->unwritten.head);
	outbox_init(&w->reports);
	outbox_init(&w->unwritten);
	w->nreports = 0;
}

/* Reports wait while sockets have something to say: each wakes the core, which costs as much as a recv. */
static bool reports_may_wait(const struct worker *w)
{
	return w->nreports && w->nreports < OUTBOX_MAX && clock_now() - w->reports_since < OUTBOX_TIME;
}

static int wait_for_events(struct worker *w, struct epoll_event *events)
{
	int n = reports_may_wait(w) ? epoll_wait(w->epoll, events, EVENTS_MAX, 0) : 0;

	if (n > 0)
		return n;
	send_reports(w);
	if (TAILQ_EMPTY(&w->transfers))
		blocks_release(); /* a daemon at rest is small */
	return epoll_wait(w->epoll, events, EVENTS_MAX, timeout_ms(next_deadline(w)));
}

static void sleep_and_serve(struct worker *w)
{
	struct epoll_event events[EVENTS_MAX];
	int n = wait_for_events(w, events);
	uint64_t count;
	int running;

	w->now = clock_now();
	for (int i = 0; i < n; i++) {
		if (events[i].data.fd != w->wake_fd) {
			socket_ready(w, events[i].data.fd, events[i].events);
		} else if (read(w->wake_fd, &count, sizeof count) > 0) {
			/* Before looking at what there is: who comes later writes again. */
			atomic_store(&w->woken, false);
		}
	}
	if (w->now >= w->curl_deadline) {
		w->curl_deadline = INT64_MAX;
		curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

/* All messages are taken before any is acted upon: removing a handle invalidates those behind. */
static void drain(struct worker *w)
{
	struct conn *c;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(w->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
		c->code = m->data.result;
		c->finished = true;
		TAILQ_INSERT_TAIL(&w->finished, c, link);
	}
	while ((c = TAILQ_FIRST(&w->finished))) {
		TAILQ_REMOVE(&w->finished, c, link);
		c->finished = false;
		if (!conn_continues(c, c->code))
			transfer_conn_ended(c->transfer, c);
	}
}

static void obey(struct worker *w)
{
	enum job_priority priority;
	struct transfer *t;
	unsigned orders;
	uint64_t want;

	while ((t = gate_orders(w->shared->gate, w, &orders, &want, &priority))) {
		t->priority = priority;
		if (orders & ORDER_PRIORITY)
			balance_prioritise(w->shared->balance, t->balance, priority);
		if (orders & ORDER_WANT)
			transfer_want(t, want);
		if (orders & (ORDER_CEASE | ORDER_LEAVE))
			transfer_stop(t);
		else if (orders & ORDER_WANT)
			transfer_tick(t);
	}
}

static void tick(struct worker *w)
{
	struct transfer *t, *next;

	w->tick_at = w->now + (w->wanting ? TICK_WANTED : SEGMENT_TICK);
	balance_tick(w->shared->balance, w->now);
	for (t = TAILQ_FIRST(&w->transfers); t; t = next) {
		next = TAILQ_NEXT(t, link);
		transfer_tick(t);
	}
	w->released += gate_relieve(w->shared->gate, w->now, worker_wake);
}

/* Those that pause again go to the end of the list with a later time, so the loop ends, and nobody is
 * served twice while others wait. */
static void unpause(struct worker *w)
{
	bool all = atomic_exchange(&w->limits_changed, false);
	struct conn *c, *next, *last = TAILQ_LAST(&w->paused, conns);

	for (c = TAILQ_FIRST(&w->paused); c; c = next) {
		next = c == last ? NULL : TAILQ_NEXT(c, pause_link);
		if (all || c->wake_at <= w->now)
			conn_unpause(c);
	}
}

static void take(struct worker *w)
{
	struct transfer *t;

	for (; w->released; w->released--) {
		t = gate_take(w->shared->gate, w, false, w->now);
		if (!t) {
			w->released = 0;
			break;
		}
		transfer_start(t, w);
	}
	while ((t = gate_take(w->shared->gate, w, true, w->now)))
		transfer_start(t, w);
}

void worker_report(struct worker *w, struct report *r)
{
	assert(w == own);
	if (r->unwritten.any && scribe_is_behind(w->shared->scribe))
		scribe_write(w->shared->blobs, r);
	if (!w->nreports++)
		w->reports_since = w->now;
	outbox_add(r->unwritten.any ? &w->unwritten : &w->reports, &r->mail);
}

static void stop_all(struct worker *w)
{
	struct transfer *t;

	while ((t = TAILQ_FIRST(&w->transfers)))
		transfer_stop(t);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct transfer *t;

	own = w;
	pthread_setname_np(pthread_self(), "xferfs-net");
	while (!atomic_load(&w->stop)) {
		sleep_and_serve(w);
		drain(w);
		obey(w);
		if (w->now >= w->tick_at)
			tick(w);
		unpause(w);
		drain(w);
		while ((t = TAILQ_FIRST(&w->news)))
			transfer_news(t);
		take(w);
	}
	stop_all(w);
	send_reports(w);
	return NULL;
}

/* --- any thread -------------------------------------------------------------------------------------------- */

void worker_wake(struct worker *w)
{
	if (!atomic_exchange(&w->woken, true)) {
		uint64_t one = 1;

		while (write(w->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
			;
	}
}

void worker_limits_changed(struct worker *w)
{
	atomic_store(&w->limits_changed, true);
	worker_wake(w);
}

static void worker_free(struct worker *w)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&w->idle))) {
		TAILQ_REMOVE(&w->idle, c, link);
		conn_destroy(c);
	}
	if (w->multi)
		curl_multi_cleanup(w->multi);
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w->watches);
	free(w);
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->stop, true);
	worker_wake(w);
	pthread_join(w->thread, NULL);
	worker_free(w);
}

static int set_up(struct worker *w)
{
	struct epoll_event ev = { .events = EPOLLIN };

	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->multi = curl_multi_init();
	if (w->epoll < 0 || w->wake_fd < 0)
		return -errno;
	if (!w->multi)
		return -ENOMEM;
	ev.data.fd = w->wake_fd;
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake_fd, &ev) < 0)
		return -errno;
	curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w);
	curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w);
	curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)w->shared->options.connections);
	return 0;
}

int worker_start(const struct shared *shared, struct worker **ret)
{
	struct worker *w = calloc(1, sizeof *w);
	int r;

	if (!w)
		return -ENOMEM;
	w->shared = shared;
	w->epoll = w->wake_fd = -1;
	w->curl_deadline = INT64_MAX;
	outbox_init(&w->reports);
	outbox_init(&w->unwritten);
	TAILQ_INIT(&w->member.orders);
	TAILQ_INIT(&w->transfers);
	TAILQ_INIT(&w->news);
	TAILQ_INIT(&w->paused);
	TAILQ_INIT(&w->idle);
	TAILQ_INIT(&w->finished);
	r = set_up(w);
	if (r == 0)
		r = -pthread_create(&w->thread, NULL, run, w);
	if (r < 0) {
		worker_free(w);
		return r;
	}
	*ret = w;
	return 0;
}
