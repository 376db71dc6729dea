/* How fast is the engine? Not a test: run by hand.
 *
 *	bench STAGING URL [COUNT [WORKERS [CONNECTIONS [LIMIT]]]]
 *
 * LIMIT: bytes per second of the whole engine. COUNT 1: the one file; more: URL followed by 0 ... COUNT-1. Figures of a release build on an idle
 * machine are compared with those of other programs in the README.
 */
#include "base/clock.h"
#include "net/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WINDOW 256

static struct fetch *make(const char *url, unsigned i, unsigned count, uint8_t connections)
{
	struct fetch *f = fetch_new();

	f->id = i + 1;
	f->serial = 1;
	f->file = i;
	f->priority = PRIORITY_NORMAL;
	f->options = calloc(1, sizeof *f->options);
	f->options->refs = 1;
	f->options->connections = connections;
	if (count == 1)
		f->url = strdup(url);
	else if (asprintf(&f->url, "%s%u", url, i) < 0)
		abort();
	return f;
}

/* Keeps WINDOW transfers in the engine, as the core does. */
static uint64_t run(struct engine *e, struct mailbox *box, const char *url, unsigned count, uint8_t connections,
	unsigned *ret_connections)
{
	uint64_t bytes = 0;
	unsigned sent = 0;

	for (unsigned ended = 0; ended < count;) {
		struct mail *m, *next;

		for (; sent < count && sent < ended + WINDOW; sent++)
			engine_fetch(e, make(url, sent, count, connections));
		m = mailbox_wait(box, INT64_MAX);

		for (; m; m = next) {
			struct report *r = container_of(m, struct report, mail);

			next = m->next;
			bytes += r->bytes_moved;
			if (r->connections > *ret_connections)
				*ret_connections = r->connections;
			if (m->kind == REPORT_ENDED && r->outcome != OUTCOME_DONE)
				printf("%" PRIu64 ": %s %d %s\n", r->id, outcome_word(r->outcome), r->http_status,
					r->text ? r->text : "");
			ended += m->kind == REPORT_ENDED;
			report_free(r);
		}
	}
	return bytes;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 3 ? (unsigned)atoi(argv[3]) : 1, connections = 0;
	struct engine_options options = { .workers = argc > 4 ? (unsigned)atoi(argv[4]) : 0 };
	struct mailbox box;
	struct engine *e;
	struct blobs *blobs;
	struct rusage use;
	uint64_t bytes;
	int64_t start;
	double time;
	pid_t pid;

	if (argc < 3 || blobs_open(argv[1], &blobs, &pid) < 0)
		return 2;
	mailbox_init(&box, NULL, NULL);
	if (engine_start(&options, blobs, &box, &e) < 0)
		return 2;
	if (argc > 6)
		engine_limit_all(e, strtoull(argv[6], NULL, 10), true);
	start = clock_now();
	bytes = run(e, &box, argv[2], count, argc > 5 ? (uint8_t)atoi(argv[5]) : 0, &connections);
	time = (double)(clock_now() - start) / (double)NSEC_PER_SEC;
	getrusage(RUSAGE_SELF, &use);
	printf("%.3f s  %.0f files/s  %.0f MiB/s  cpu %.2f s  rss %ld MiB  connections %u\n", time, count / time,
		(double)bytes / time / (1 << 20), seconds(use.ru_utime) + seconds(use.ru_stime), use.ru_maxrss / 1024,
		connections);
	engine_stop(e);
	mailbox_release(&box);
	blobs_close(blobs);
	return 0;
}
