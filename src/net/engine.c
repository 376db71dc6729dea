/* The public face: copies the options, starts the workers, and puts orders where they are seen. */
#include "net/scribe.h"
#include "net/transfer.h"

#include "base/block.h"
#include "base/parse.h"
#include "model/url.h"

#include <errno.h>
#include <string.h>

#define CONNECTIONS_DEFAULT 64
#define PER_HOST_DEFAULT 16
#define CONNECT_TIMEOUT_DEFAULT_S 30
#define IDLE_TIMEOUT_DEFAULT_S 60
#define WORKERS_MAX 16

struct engine {
	struct shared shared;
	size_t nworkers;
	struct worker *workers[WORKERS_MAX];
};

/* --- options -------------------------------------------------------------------------------------------- */

static void options_release(struct engine_options *o)
{
	free(o->user_agent);
	free(o->ca_file);
	free(o->proxy);
	free(o->cache_host);
	free(o->schemes);
	free(o->interface);
}

static int options_copy(const struct engine_options *from, struct engine_options *ret)
{
	const struct {
		const char *from;
		char **to;
	} texts[] = {
		{ from->user_agent ? from->user_agent : "xferfs", &ret->user_agent },
		{ from->ca_file, &ret->ca_file },
		{ from->proxy, &ret->proxy },
		{ from->cache_host, &ret->cache_host },
		{ from->schemes ? from->schemes : "https http ftp ftps sftp", &ret->schemes },
		{ from->interface, &ret->interface },
	};

	*ret = *from;
	ret->user_agent = ret->ca_file = ret->proxy = ret->cache_host = ret->schemes = ret->interface = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (!texts[i].from)
			continue;
		*texts[i].to = strdup(texts[i].from);
		if (!*texts[i].to) {
			options_release(ret);
			return -ENOMEM;
		}
	}
	return 0;
}

static void options_resolve(struct engine_options *o)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	/* One thread moves more than a disk takes; the others are for TLS and checksums of several files
	 * at a time. Measured: on two cores a second one only costs. */
	if (!o->workers)
		o->workers = cores < 4 ? 1 : cores < 8 ? 2 : 4;
	if (o->workers > WORKERS_MAX)
		o->workers = WORKERS_MAX;
	if (!o->connections)
		o->connections = CONNECTIONS_DEFAULT;
	if (!o->connections_per_host)
		o->connections_per_host = PER_HOST_DEFAULT;
	if (!o->connect_timeout_s)
		o->connect_timeout_s = CONNECT_TIMEOUT_DEFAULT_S;
	if (!o->idle_timeout_s)
		o->idle_timeout_s = IDLE_TIMEOUT_DEFAULT_S;
	if (!o->limit_per_host)
		o->limit_per_host = LIMIT_MAX;
	if (!o->max_file_size)
		o->max_file_size = LIMIT_MAX;
}

/* "https http" as "https,http". */
static char *comma_separated(const char *schemes)
{
	char *text = strdup(schemes);

	for (char *p = text; p && *p; p++)
		if (*p == ' ' || *p == '\t')
			*p = ',';
	return text;
}

/* --- start, stop ------------------------------------------------------------------------------------------- */

static void decline_waiting(struct engine *e)
{
	struct transfer *t;

	while (e->shared.gate && (t = gate_drain(e->shared.gate)))
		transfer_decline(t, e->shared.reports, OUTCOME_STOPPED, NULL);
}

void engine_stop(struct engine *e)
{
	if (!e)
		return;
	decline_waiting(e); /* so that no worker takes one up */
	for (size_t i = 0; i < e->nworkers; i++)
		worker_stop(e->workers[i]);
	decline_waiting(e); /* whom a host has refused meanwhile */
	scribe_stop(e->shared.scribe);
	gate_free(e->shared.gate);
	throttle_free(e->shared.throttle);
	balance_free(e->shared.balance);
	free(e->shared.protocols);
	options_release(&e->shared.options);
	free(e);
	curl_global_cleanup();
}

int engine_start(const struct engine_options *options, struct blobs *blobs, struct mailbox *reports, struct engine **ret)
{
	struct engine *e;
	int r;

	/* Only for the receive buffers, which are large blocks. */
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, block_alloc, block_free, realloc, strdup, calloc) != CURLE_OK)
		return -ENOMEM;
	e = calloc(1, sizeof *e);
	r = e ? options_copy(options, &e->shared.options) : -ENOMEM;
	if (r < 0) {
		free(e);
		curl_global_cleanup();
		return r;
	}
	options_resolve(&e->shared.options);
	e->shared.blobs = blobs;
	e->shared.reports = reports;
	e->shared.protocols = comma_separated(e->shared.options.schemes);
	r = e->shared.protocols ? throttle_new(e->shared.options.limit_per_host, &e->shared.throttle) : -ENOMEM;
	if (r == 0)
		r = balance_new(&e->shared.balance);
	if (r == 0)
		r = gate_new(e->shared.options.connections, e->shared.options.connections_per_host, &e->shared.gate);
	if (r == 0)
		r = scribe_start(blobs, reports, &e->shared.scribe);
	while (r == 0 && e->nworkers < e->shared.options.workers) {
		r = worker_start(&e->shared, &e->workers[e->nworkers]);
		e->nworkers += r == 0;
	}
	if (r < 0) {
		engine_stop(e);
		return r;
	}
	*ret = e;
	return 0;
}

/* --- orders ---------------------------------------------------------------------------------------------------- */

/* A transfer must end with a report whatever happens; the core waits for it. */
static void decline_fetch(struct engine *e, uint64_t id)
{
	struct report *r;

	while (!(r = calloc(1, sizeof *r)))
		usleep(10000);
	*r = (struct report){ .mail.kind = REPORT_ENDED, .id = id, .outcome = OUTCOME_RESET, .size = SIZE_UNKNOWN,
		.mtime = MTIME_UNKNOWN, .retry_after_s = -1 };
	mailbox_send(e->shared.reports, &r->mail);
}

void engine_fetch(struct engine *e, struct fetch *f)
{
	cleanup_free char *origin = NULL;
	uint64_t id = f->id;
	struct worker *wake;
	struct transfer *t;
	int r = transfer_new(f, &t);

	if (r < 0) {
		decline_fetch(e, id);
		return;
	}
	if (url_origin(f->url, &origin) < 0) {
		transfer_decline(t, e->shared.reports, OUTCOME_POLICY, "the URL is not valid");
		return;
	}
	r = gate_enter(e->shared.gate, &t->ticket, origin, e->workers, e->nworkers, &wake);
	if (r < 0)
		transfer_decline(t, e->shared.reports, OUTCOME_RESET, "out of memory");
	else if (wake)
		worker_wake(wake);
}

static void order(struct engine *e, uint64_t id, unsigned what, uint64_t value)
{
	struct worker *wake;
	struct transfer *t = gate_order(e->shared.gate, id, what, value, &wake);

	if (t)
		transfer_decline(t, e->shared.reports, OUTCOME_STOPPED, NULL);
	if (wake)
		worker_wake(wake);
}

void engine_cease(struct engine *e, uint64_t id)
{
	order(e, id, ORDER_CEASE, 0);
}

void engine_want(struct engine *e, uint64_t id, uint64_t offset)
{
	order(e, id, ORDER_WANT, offset);
}

void engine_prioritise(struct engine *e, uint64_t serial, enum job_priority priority)
{
	gate_prioritise(e->shared.gate, serial, priority, worker_wake);
}

/* --- limits ------------------------------------------------------------------------------------------------------ */

static void limits_changed(struct engine *e)
{
	for (size_t i = 0; i < e->nworkers; i++)
		worker_limits_changed(e->workers[i]);
}

void engine_limit_all(struct engine *e, uint64_t rate, bool foreground_exempt)
{
	throttle_set_all(e->shared.throttle, rate, foreground_exempt, clock_now());
	limits_changed(e);
}

void engine_limit_class(struct engine *e, enum job_priority priority, uint64_t rate)
{
	throttle_set_class(e->shared.throttle, priority, rate, clock_now());
	limits_changed(e);
}

void engine_limit_job(struct engine *e, uint64_t serial, uint64_t rate)
{
	/* Out of memory: the job runs unlimited until the limit is set again, with the next change. */
	throttle_set_job(e->shared.throttle, serial, rate, clock_now());
	limits_changed(e);
}
