/* One file through the engine, from a shell script: for the tests against real servers.
 *
 *	get [-a CA] [-c CREDENTIALS] [-C CERTIFICATE] [-h HOME] [-x PROXY] [-n CONNECTIONS] [-H HEADER]
 *	    [-r OFFSET -v VALIDATOR -s SIZE] [-S SCHEMES] [-i IDLE] [-dfy2] STAGING URL
 *
 * STAGING: the blob is STAGING/blobs/1/1.0; -r resumes it at OFFSET. -d denies private addresses, -y lets
 * background jobs yield, -f is a foreground job, -2 offers HTTP/2.
 * Prints `outcome http_status size mtime connections validator`, then what was said, on two lines.
 */
#include "base/clock.h"
#include "net/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	while ((c = getopt(argc, argv, "a:c:C:h:x:n:H:r:v:s:S:i:dy2f")) != -1) {
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

int main(int argc, char **argv)
{
	struct engine_options options = { .workers = 1 };
	struct fetch *f = parse(argc, argv, &options);
	unsigned connections = 0;
	struct mailbox box;
	struct engine *e;
	struct blobs *blobs;
	struct mail *m, *next;
	bool ended = false;
	pid_t pid;

	if (blobs_open(argv[optind], &blobs, &pid) < 0)
		return 2;
	mailbox_init(&box, NULL, NULL);
	if (engine_start(&options, blobs, &box, &e) < 0)
		return 2;
	engine_fetch(e, f);
	while (!ended) {
		for (m = mailbox_wait(&box, INT64_MAX); m; m = next) {
			struct report *r = container_of(m, struct report, mail);

			next = m->next;
			if (r->connections > connections)
				connections = r->connections;
			if (m->kind == REPORT_ENDED) {
				ended = true;
				printf("%s %d %" PRId64 " %" PRId64 " %u %s\n%s\n", outcome_word(r->outcome), r->http_status,
					(int64_t)r->size, r->mtime == INT64_MIN ? -1 : r->mtime, connections,
					r->validator ? r->validator : "-", r->text ? r->text : "");
			}
			report_free(r);
		}
	}
	engine_stop(e);
	mailbox_release(&box);
	blobs_close(blobs);
	return 0;
}
