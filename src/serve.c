/* The stages stand in one table: started from the top, stopped from the bottom, as far as they came. Who
 * is below uses who is above. The order has reasons:
 *
 *	staging     its lock comes first: everything after it belongs to one daemon only
 *	store       may set a damaged database aside: only under that lock
 *	core        recovers single-threaded, before anyone can look or ask
 *	mount       before threads, since libfuse may fork fusermount3; serves nothing until fs_run
 *	mover, runner, engine, core thread, link watch: from here on things happen
 *
 * and backwards: the core answers who is parked, those who work for it come to rest, the mount goes, and
 * the core saves their last reports.
 *
 * Signals are blocked in every thread and taken by one (signal_main): so a second SIGTERM during the
 * stop stays pending and harms nobody.
 */
#include "serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "core/core.h"
#include "disk/blob.h"
#include "disk/mover.h"
#include "disk/store.h"
#include "fs/fs.h"
#include "host/link.h"
#include "host/runner.h"
#include "net/engine.h"
#include "ports.h"
#include "sdnotify.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define EVENTS_KEPT 4096
#define MOVER_THREADS 4

struct server {
	const struct options *options;
	const struct config *config;
	struct daemon_start *start;
	int notify;         /* sdnotify's socket */
	int64_t watchdog;   /* nanoseconds between two; 0: none */
	int claim;          /* the destination's lock, when the staging area is elsewhere; else -1 */
	struct blobs *blobs;
	struct store *store;
	struct core *core;
	struct mover *mover;
	struct runner *runner;
	struct engine *engine;
	struct link_watch *link; /* NULL: the kernel does not tell */
	struct message *stop; /* made at the start: stopping must not need memory */
	pthread_t core_thread, signal_thread;
	pthread_mutex_t lock;
	struct fs *serving; /* lock: set while fs_exit may be called */
	struct fs *fs;
	bool stopping;      /* lock: signal_main is to return */
};

static void fail(char **ret_reason, const char *what, const char *path, int err)
{
	if (!*ret_reason && asprintf(ret_reason, "%s %s: %s", what, path, strerror(-err)) < 0)
		*ret_reason = NULL;
}

/* --- stages -------------------------------------------------------------------------------------- */

static void fail_served(char **ret_reason, const char *what, pid_t pid)
{
	if (asprintf(ret_reason, "%s is served by another xferfs already, process %d", what, (int)pid) < 0)
		*ret_reason = NULL;
}

static bool is_own_area(const struct options *o)
{
	size_t len = strcmp(o->destination, "/") != 0 ? strlen(o->destination) : 0;

	return strncmp(o->staging, o->destination, len) == 0 && strcmp(o->staging + len, "/.xferfs") == 0;
}

static int start_claim(struct server *s, char **ret_reason)
{
	pid_t pid = 0;

	if (is_own_area(s->options) || blobs_claim(s->options->destination, &s->claim, &pid) != -EBUSY)
		return 0;
	fail_served(ret_reason, s->options->destination, pid);
	return -EBUSY;
}

static void stop_claim(struct server *s)
{
	if (s->claim >= 0)
		close(s->claim);
}

static int start_blobs(struct server *s, char **ret_reason)
{
	pid_t pid = 0;
	int r = blobs_open(s->options->staging, &s->blobs, &pid);

	if (r == -EBUSY)
		fail_served(ret_reason, is_own_area(s->options) ? s->options->destination : s->options->staging, pid);
	if (r)
		fail(ret_reason, "cannot open the staging directory", s->options->staging, r);
	return r;
}

static void stop_blobs(struct server *s)
{
	blobs_close(s->blobs);
}

static int start_store(struct server *s, char **ret_reason)
{
	cleanup_free char *path = NULL;
	int r;

	if (asprintf(&path, "%s/queue.db", s->options->staging) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	/* The store says in the log what it sets aside. */
	r = store_open(path, &s->store);
	if (r == -EPROTO && asprintf(ret_reason, "%s was made by a newer version of xferfs", path) < 0)
		*ret_reason = NULL;
	if (r)
		fail(ret_reason, "cannot open the queue", path, r);
	return r;
}

static void stop_store(struct server *s)
{
	store_close(s->store);
}

static int64_t results_since(const struct config *c)
{
	return c->history_days == LIMIT_MAX ? INT64_MIN : clock_wall() - (int64_t)c->history_days * 86400;
}

static int start_core(struct server *s, char **ret_reason)
{
	struct core_options options = {
		.config = s->config,
		.store = s->store,
		.blobs = s->blobs,
		.daemon_uid = geteuid(),
		.mountpoint = s->options->mountpoint,
		.destination = s->options->destination,
	};
	int r;

	if (getrandom(&options.seed, sizeof(options.seed), 0) < 0)
		options.seed = (uint32_t)clock_now();
	r = queue_new(EVENTS_KEPT, &options.queue);
	if (!r) {
		r = store_load(s->store, results_since(s->config), options.queue, &options.next_serial);
		options.keep_blobs = store_is_fresh(s->store); /* damage may show only when everything is read */
		if (r)
			queue_free(options.queue);
	}
	/* From here on the queue is the core's, also when it fails. */
	if (!r)
		r = core_new(&options, &s->core);
	if (!r) {
		r = core_recover(s->core);
		if (r)
			core_free(s->core);
	}
	if (r)
		fail(ret_reason, "cannot load the queue of", s->options->destination, r);
	return r;
}

static void stop_core(struct server *s)
{
	core_free(s->core);
}

static int start_mount(struct server *s, char **ret_reason)
{
	struct fs_options options = {
		.mountpoint = s->options->mountpoint,
		.destination = s->options->destination,
		.mount_options = s->options->mount_options.len ? s->options->mount_options.data : "",
		.debug = s->options->debug,
	};
	struct core_hooks hooks;
	int r = fs_mount(&options, s->core, &s->fs, ret_reason);

	if (r) {
		fail(ret_reason, "cannot mount on", options.mountpoint, r);
		return r;
	}
	hooks = fs_hooks(s->fs);
	core_set_hooks(s->core, &hooks);
	return 0;
}

static void stop_mount(struct server *s)
{
	fs_unmount(s->fs);
}

static int start_mover(struct server *s, char **ret_reason)
{
	int r = mover_start(s->blobs, s->options->destination, MOVER_THREADS, core_mailbox(s->core), &s->mover);

	if (r)
		fail(ret_reason, "cannot work in", s->options->destination, r);
	return r;
}

static void stop_mover(struct server *s)
{
	mover_stop(s->mover);
}

static int start_runner(struct server *s, char **ret_reason)
{
	int r = runner_start(core_mailbox(s->core), &s->runner);

	if (r)
		fail(ret_reason, "cannot start", "the runner of notify commands", r);
	return r;
}

static void stop_runner(struct server *s)
{
	runner_stop(s->runner);
}

static char *or_null(char *text)
{
	return *text ? text : NULL;
}

static int start_engine(struct server *s, char **ret_reason)
{
	const struct config *c = s->config;
	struct engine_options options = {
		.workers = (unsigned)c->workers,
		.connections = (unsigned)c->connections,
		.connections_per_host = (unsigned)c->connections_per_host,
		.connect_timeout_s = (unsigned)c->connect_timeout,
		.idle_timeout_s = (unsigned)c->idle_timeout,
		.user_agent = or_null(c->user_agent),
		.ca_file = or_null(c->ca_file),
		.proxy = or_null(c->proxy),
		.cache_host = or_null(c->cache_host),
		.schemes = c->schemes,
		.allow_https_to_http = c->allow_https_to_http,
		.deny_private_addresses = c->deny_private_addresses,
		.http2 = c->http2,
		.background_yields = strcmp(c->background, "yield") == 0,
		.limit_per_host = c->limit_per_host,
		.max_file_size = c->max_file_size,
	};
	struct core_ports ports;
	int r = engine_start(&options, s->blobs, core_mailbox(s->core), &s->engine);

	if (r) {
		fail(ret_reason, "cannot start", "the transfer engine", r);
		return r;
	}
	ports = ports_to(s->engine, s->mover, s->runner);
	core_set_ports(s->core, &ports);
	return 0;
}

static void stop_engine(struct server *s)
{
	engine_stop(s->engine);
}

static void *core_main(void *arg)
{
	pthread_setname_np(pthread_self(), "xferfs-core");
	core_run(arg);
	return NULL;
}

static int start_core_thread(struct server *s, char **ret_reason)
{
	int r;

	s->stop = message_new(MSG_STOP);
	if (!s->stop)
		return -ENOMEM;
	r = -pthread_create(&s->core_thread, NULL, core_main, s->core);
	if (r) {
		message_free(take_ptr(s->stop));
		fail(ret_reason, "cannot start", "a thread", r);
	}
	return r;
}

static void stop_core_thread(struct server *s)
{
	core_send(s->core, take_ptr(s->stop));
	pthread_join(s->core_thread, NULL);
}

static void link_changed(void *arg, bool online)
{
	struct server *s = arg;
	struct message *m = message_new(MSG_NETWORK);

	if (!m)
		return; /* transient errors retry by themselves, too */
	m->online = online;
	core_send(s->core, m);
}

/* Without it (a sandbox may refuse rtnetlink) the network counts as there. */
static int start_link(struct server *s, char **ret_reason)
{
	int r = link_watch_start(link_changed, s, &s->link);

	if (r)
		log_warning("cannot watch the network: %s", strerror(-r));
	return 0;
}

static void stop_link(struct server *s)
{
	if (s->link)
		link_watch_stop(s->link);
}

/* --- signals and the watchdog -------------------------------------------------------------------- */

/* A question to the core, whose answer, whatever it is, shows that the core still turns. */
struct ping {
	struct reply reply;
	int notify;
};

static void ping_answer(struct reply *r, int err, const struct answer *answer)
{
	struct ping *ping = container_of(r, struct ping, reply);

	sdnotify_send(ping->notify, "WATCHDOG=1");
	free(ping);
}

static void ping_core(struct server *s)
{
	struct message *m = message_new(MSG_WAIT);
	struct ping *ping = malloc(sizeof(*ping));

	if (!m || !ping) {
		message_free(m);
		free(ping);
		return;
	}
	*ping = (struct ping){ .reply.answer = ping_answer, .notify = s->notify };
	m->reply = &ping->reply;
	m->wait = (struct wait){ .id = core_wait_id(s->core), .kind = WAIT_CHANGE, .deadline = clock_now() };
	core_send(s->core, m);
}

static void fill_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

static void *signal_main(void *arg)
{
	struct server *s = arg;
	const int64_t interval = s->watchdog ? s->watchdog : INT64_MAX;
	const struct timespec timeout = { interval / NSEC_PER_SEC, interval % NSEC_PER_SEC };
	sigset_t set;
	bool stopping;

	fill_signals(&set);
	do {
		int signal = sigtimedwait(&set, NULL, &timeout);

		pthread_mutex_lock(&s->lock);
		stopping = s->stopping;
		if (signal > 0 && s->serving)
			fs_exit(s->serving);
		pthread_mutex_unlock(&s->lock);
		if (signal < 0 && errno == EAGAIN && s->watchdog && !stopping)
			ping_core(s);
	} while (!stopping);
	return NULL;
}

static int start_signals(struct server *s, char **ret_reason)
{
	int r;

	s->stopping = false;
	s->serving = s->fs;
	r = -pthread_create(&s->signal_thread, NULL, signal_main, s);
	if (r)
		fail(ret_reason, "cannot start", "a thread", r);
	return r;
}

static void stop_signals(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->serving = NULL;
	s->stopping = true;
	pthread_mutex_unlock(&s->lock);
	pthread_kill(s->signal_thread, SIGHUP); /* any of those it waits for */
	pthread_join(s->signal_thread, NULL);
}

/* --- serving ------------------------------------------------------------------------------------- */

static const struct stage {
	int (*start)(struct server *s, char **ret_reason);
	void (*stop)(struct server *s);
} stages[] = {
	{ start_claim, stop_claim },
	{ start_blobs, stop_blobs },
	{ start_store, stop_store },
	{ start_core, stop_core },
	{ start_mount, stop_mount },
	{ start_mover, stop_mover },
	{ start_runner, stop_runner },
	{ start_engine, stop_engine },
	{ start_core_thread, stop_core_thread },
	{ start_link, stop_link },
	{ start_signals, stop_signals },
};

static void ready(void *arg)
{
	struct server *s = arg;
	char state[512];

	daemonize_ready(s->start);
	snprintf(state, sizeof(state), "READY=1\nMAINPID=%d\nSTATUS=Serving %.400s", (int)getpid(),
		s->options->mountpoint);
	sdnotify_send(s->notify, state);
	log_info("serving %s on %s", s->options->destination, s->options->mountpoint);
}

static int serve_stages(struct server *s, char **ret_reason)
{
	size_t n = 0;
	int r = 0;

	while (n < ARRAY_SIZE(stages)) {
		r = stages[n].start(s, ret_reason);
		if (r)
			break;
		n++;
	}
	if (!r) {
		r = fs_run(s->fs, ready, s);
		if (r)
			fail(ret_reason, "serving ended:", s->options->mountpoint, r);
		sdnotify_send(s->notify, "STOPPING=1");
	}
	while (n--)
		stages[n].stop(s);
	return r;
}

int serve(const struct options *o, const struct config *c, struct daemon_start *start, char **ret_reason)
{
	struct server s = {
		.claim = -1,
		.options = o,
		.config = c,
		.start = start,
		.watchdog = sdnotify_watchdog(),
		.notify = sdnotify_open(),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	sigset_t set;
	int r;

	fill_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	/* A client, a proxy or our starter that went away is an EPIPE. */
	signal(SIGPIPE, SIG_IGN);
	*ret_reason = NULL;
	r = serve_stages(&s, ret_reason);
	if (s.notify >= 0)
		close(s.notify);
	return r;
}
