/* A worker thread: one curl multi, driven by epoll, and the transfers that it took from the gate.
 *
 * A round: sleep; sockets and timers into curl; drain curl's messages, then act on them; orders; a
 * tick for all transfers when it is due; unpause what the buckets allow; news for the core; take new
 * transfers for the connections that ended. Reports go to the core before the thread
 * sleeps, or first to the scribe, which writes small files. Nothing in a round blocks but the disk.
 *
 * multi_socket_action with our own epoll: for many small files a fifth faster than curl_multi_poll.
 */
#pragma once

#include "base/clock.h"
#include "net/background.h"
#include "net/gate.h"
#include "net/throttle.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

struct conn;
TAILQ_HEAD(conns, conn);
TAILQ_HEAD(transfers, transfer);

/* What all workers use: constant while they run, or with a lock of its own. */
struct shared {
	struct engine_options options;  /* strings are owned; `workers` and limits are resolved */
	char *protocols;                /* options.schemes as libcurl wants them */
	struct blobs *blobs;
	struct mailbox *reports;
	struct gate *gate;
	struct throttle *throttle;
	struct balance *balance;
	struct scribe *scribe;
};

struct watch {                          /* by file descriptor */
	uint32_t events;                /* what epoll watches; 0: not there */
	uint32_t wanted;                /* what curl asked for */
	bool known;                     /* its making was seen, and its closing will be */
	struct background background;
};

/* Mail that waits: one wake of the receiver for many. */
struct outbox {
	struct mail *head, **tail;
};

struct worker {
	struct gate_member member;      /* the gate's lock */
	const struct shared *shared;
	pthread_t thread;
	int wake_fd, epoll;
	atomic_bool woken, stop, limits_changed;
	/* the thread's own */
	CURLM *multi;
	int64_t now;                    /* of this round */
	int64_t curl_deadline, tick_at;
	struct transfers transfers;
	struct transfers news;          /* have something to report at the end of the round */
	struct conns paused;            /* by our buckets, in the order of asking */
	struct conns idle, finished;    /* easy handles to use again; ended in this round */
	struct outbox reports;          /* for the core */
	struct outbox unwritten;        /* for the scribe: reports that bring bytes along */
	unsigned nreports;              /* in both */
	int64_t reports_since;
	unsigned nidle;
	unsigned released;              /* connections given back in this round */
	unsigned wanting;               /* transfers that a reader waits for */
	struct {
		uid_t uid;
		int64_t until;
	} no_netrc;                     /* a user who had none a moment ago */
	struct watch *watches;
	size_t nwatches;
};

int worker_start(const struct shared *shared, struct worker **ret);
void worker_wake(struct worker *w);            /* any thread */
void worker_limits_changed(struct worker *w);  /* any thread: paused connections ask again */
void worker_report(struct worker *w, struct report *r); /* its own thread: sent soon, by the scribe if need be */
struct watch *worker_watch(struct worker *w, int fd); /* NULL: out of memory */
/* CURLOPT_CLOSESOCKETFUNCTION; ARG is the worker, since a socket outlives the conn it was made for. */
int worker_on_close(void *arg, curl_socket_t fd);
void worker_stop(struct worker *w);            /* all its transfers end STOPPED; joins, frees */
