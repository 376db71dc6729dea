/* One file through the engine, from a shell script: for the tests against real servers.
 *
 *	get [-a CA] [-c CREDENTIALS] [-C CERTIFICATE] [-h HOME] [-x PROXY] [-n CONNECTIONS] [-H HEADER]
 *	    [-r OFFSET -v VALIDATOR -s SIZE] [-S SCHEMES] [-i IDLE] [-l LIMIT] [-m FILES] [-dfy2] STAGING URL
 *
 * STAGING: the blob is STAGING/blobs/1/1.0; -r resumes it at OFFSET. -d denies private addresses, -y lets
 * background jobs yield, -f is a foreground job, -2 offers HTTP/2.
 * -l limits bytes per second, -m fetches URL followed by 0, 1, ...
 * Prints `outcome http_status size mtime connections have moved validator`, then what was said, on two
 * lines.
 */
#include "base/clock.h"
#include "base/parse.h"
#include "net/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned files = 1;
static uint64_t limit = LIMIT_MAX;

static struct fetch *parse(int argc, char **argv, struct engine_options *e)
{
	struct fetch *f = fetch_new();
	struct fetch_options *o = calloc(1, sizeof *o);
	int c;

	if (!f || !o)
		abort();
	o->refs = 1;
	o->uid = geteuid();
	*f = (struct fetch){ .id = 1, .serial = 1, .file = 1, .size = SIZE_UNKNOWN, .options = o,
		.priority = PRIORITY_NORMAL };
	while ((c = getopt(argc, argv, "a:c:C:h:x:n:H:r:v:s:S:i:dy2fl:m:")) != -1) {
		switch (c) {
		case 'a': e->ca_file = optarg; break;
		case 'c': o->credentials = strdup(optarg); break;
		case 'C': o->client_certificate = strdup(optarg); break;
		case 'h': o->home = strdup(optarg); break;
		case 'x': o->proxy = strdup(optarg); break;
		case 'n': o->connections = (uint8_t)atoi(optarg); break;
		case 'H': o->headers = strdup(optarg); break;
		case 'r': extents_add(&f->have, 0, strtoull(optarg, NULL, 10)); break;
		case 'v': f->validator = strdup(optarg); break;
		case 's': f->size = strtoull(optarg, NULL, 10); break;
		case 'S': e->schemes = optarg; break;
		case 'i': e->idle_timeout_s = (unsigned)atoi(optarg); break;
		case 'y': e->background_yields = true; break;
		case 'l': limit = strtoull(optarg, NULL, 10); break;
		case 'm': files = (unsigned)atoi(optarg); break;
		case '2': e->http2 = true; break;
		case 'f': f->priority = PRIORITY_FOREGROUND; break;
		case 'd': e->deny_private_addresses = true; break;
		default: exit(2);
		}
	}
	if (argc - optind != 2)
		exit(2);
	f->url = strdup(argv[optind + 1]);
	return f;
}

/* FILES files: the URL followed by 0, 1, ... */
static void send_all(struct engine *e, struct fetch *f)
{
	char *url = f->url;

	for (uint32_t i = 1; i < files; i++) {
		struct fetch *more = fetch_new();

		if (!more || asprintf(&more->url, "%s%u", url, i) < 0)
			abort();
		more->id = more->file = i + 1;
		more->serial = 1;
		more->priority = f->priority;
		more->options = fetch_options_ref(f->options);
		engine_fetch(e, more);
	}
	if (files > 1 && asprintf(&f->url, "%s0", url) < 0)
		abort();
	if (files > 1)
		free(url);
	engine_fetch(e, f);
}

/* The end of the one file; of many: the first that failed, or else the last. */
static void print(const struct report *r, unsigned connections, uint64_t moved)
{
	printf("%s %d %" PRId64 " %" PRId64 " %u %" PRIu64 " %" PRIu64 " %s\n%s\n", outcome_word(r->outcome), r->http_status,
		(int64_t)r->size, r->mtime == MTIME_UNKNOWN ? -1 : r->mtime, connections, extents_total(&r->have), moved,
		r->validator ? r->validator : "-", r->text ? r->text : "");
}

static void wait_all(struct mailbox *box)
{
	unsigned connections = 0, ended = 0;
	uint64_t moved = 0;
	bool printed = false;
	struct mail *m, *next;

	while (ended < files) {
		for (m = mailbox_wait(box, INT64_MAX); m; m = next) {
			struct report *r = container_of(m, struct report, mail);

			next = m->next;
			moved += r->bytes_moved;
			if (r->connections > connections)
				connections = r->connections;
			ended += m->kind == REPORT_ENDED;
			if (m->kind == REPORT_ENDED && !printed && (ended == files || r->outcome != OUTCOME_DONE)) {
				print(r, connections, moved);
				printed = true;
			}
			report_free(r);
		}
	}
}

int main(int argc, char **argv)
{
	struct engine_options options = { .workers = 1 };
	struct fetch *f = parse(argc, argv, &options);
	struct mailbox box;
	struct engine *e;
	struct blobs *blobs;
	pid_t pid;

	if (blobs_open(argv[optind], &blobs, &pid) < 0)
		return 2;
	mailbox_init(&box, NULL, NULL);
	if (engine_start(&options, blobs, &box, &e) < 0)
		return 2;
	engine_limit_all(e, limit, true);
	send_all(e, f);
	wait_all(&box);
	engine_stop(e);
	mailbox_release(&box);
	blobs_close(blobs);
	return 0;
}
