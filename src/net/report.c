/* What goes between the core and the engine: fetches in, reports out. */
#include "net/transfer.h"

#include "model/url.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

struct fetch_options *fetch_options_ref(struct fetch_options *o)
{
	__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
	return o;
}

void fetch_options_unref(struct fetch_options *o)
{
	if (!o || __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(o->headers);
	free(o->credentials);
	free(o->proxy);
	free(o->client_certificate);
	free(o->home);
	free(o);
}

struct fetch *fetch_new(void)
{
	struct fetch *f = calloc(1, sizeof *f);

	if (f)
		f->size = SIZE_UNKNOWN;
	return f;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->nmirrors; i++)
		free(f->mirrors[i]);
	free(f->mirrors);
	free(f->ranges);
	fetch_options_unref(f->options);
	extents_release(&f->have);
	free(f->validator);
	free(f->url);
	free(f);
}

void report_free(struct report *r)
{
	if (!r)
		return;
	extents_release(&r->have);
	free(r->validator);
	free(r->text);
	free(r->url);
	digest_free(r->digest);
	free(r->unwritten.data);
	free(r);
}

void failure_release(struct failure *f)
{
	free(f->text);
	free(f->url);
	*f = (struct failure){ .retry_after_s = -1 };
}

void failure_of_conn(const struct conn *c, struct failure *ret)
{
	const char *text = c->text ? c->text : c->error;
	curl_off_t after = 0;

	*ret = (struct failure){ .outcome = c->outcome, .err = c->err, .http_status = c->answer.status, .retry_after_s = -1 };
	if (c->err && !c->text)
		text = strerrordesc_np(c->err);
	if (text && *text)
		ret->text = strdup(text);
	url_display(c->url ? c->url : c->site->url, &ret->url);
	/* Negative in libcurl 7.88 for a date in the past. */
	if (c->outcome == OUTCOME_HTTP_STATUS &&
	    curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
		ret->retry_after_s = after < RETRY_AFTER_MAX_S ? after : RETRY_AFTER_MAX_S;
}

/* All that the kernel was given, by ended and by running segments. */
static int collect_have(const struct transfer *t, struct extents *ret)
{
	int r = extents_copy(&t->plan.done, ret);

	for (unsigned i = 0; r == 0 && i < SEGMENTS_MAX; i++) {
		const struct conn *c = t->conns[i];

		if (c && c->writer.written > t->plan.v[i].first)
			r = extents_add(ret, t->plan.v[i].first, c->writer.written);
	}
	return r;
}

static struct report *report_new(struct transfer *t, enum report_kind kind)
{
	struct report *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->mail.kind = kind;
	r->id = t->fetch->id;
	r->bytes_moved = t->plan.moved - t->reported_moved;
	r->rate = t->rate;
	r->size = t->plan.size;
	r->mtime = t->mtime;
	r->retry_after_s = -1;
	r->connections = t->plan.used;
	/* Out of memory reports less than there is: it is fetched again, nothing is lost. */
	if (collect_have(t, &r->have) < 0) {
		extents_release(&r->have);
		r->have = (struct extents){ 0 };
	}
	return r;
}

void report_send(struct transfer *t, enum report_kind kind)
{
	struct report *r = report_new(t, kind);

	/* The next one makes up for one that memory did not suffice for. */
	if (!r)
		return;
	if (kind == REPORT_BEGUN && t->validator)
		r->validator = strdup(t->validator);
	t->reported_moved = t->plan.moved;
	worker_report(t->worker, r);
}

/* What is gathered goes along; or that the file is empty, and has no blob yet. */
static void bring_along(struct transfer *t, struct report *r)
{
	const struct fetch *f = t->fetch;

	if (!t->gathered && !(r->outcome == OUTCOME_DONE && t->identified && t->fd < 0))
		return;
	r->unwritten = (struct unwritten){ .any = true, .serial = f->serial, .file = f->file,
		.generation = f->generation, .data = t->gathered, .len = t->ngathered };
	t->gathered = NULL;
	t->ngathered = 0;
}

/* The core waits for the end of every transfer: this one report must not be lost, so its memory is
 * waited for. */
void report_end(struct transfer *t, struct mailbox *reports, const struct failure *why, bool unverified)
{
	struct report *r;

	while (!(r = report_new(t, REPORT_ENDED)))
		usleep(10000);
	r->outcome = why->outcome;
	r->http_status = why->http_status;
	r->err = why->err;
	r->retry_after_s = why->retry_after_s;
	r->unverified = unverified;
	r->connections = 0;
	if (why->text)
		r->text = strdup(why->text);
	if (why->url)
		r->url = strdup(why->url);
	if (t->validator)
		r->validator = strdup(t->validator);
	r->digest = take_ptr(t->digest);
	bring_along(t, r);
	if (t->worker)
		worker_report(t->worker, r);
	else
		mailbox_send(reports, &r->mail);
}
