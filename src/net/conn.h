/* One connection of a transfer: an easy handle, what was asked, what was answered, and the writer.
 *
 * The body is judged before its first byte is written: for http at the end of the head, for ftp and
 * sftp, which have none, at the first byte. Redirects are followed here and not by libcurl, since it
 * would send the user's headers along to any host.
 */
#pragma once

#include "disk/blob.h"
#include "net/http.h"
#include "net/worker.h"

struct transfer;
struct site;

enum body { BODY_UNJUDGED, BODY_WANTED, BODY_UNWANTED };

struct conn {
	TAILQ_ENTRY(conn) link;   /* worker's idle, or finished */
	TAILQ_ENTRY(conn) pause_link;
	CURL *easy;
	struct worker *worker;
	/* while it is used */
	struct transfer *transfer;
	unsigned slot;
	struct site *site;
	struct throttle_host *bucket; /* of the host that is asked; NULL: hosts are not limited */
	char *url;                /* after redirects; NULL: the site's */
	unsigned hops;
	bool added, paused, finished; /* in the multi; in worker's paused, finished */
	bool cut, restart;         /* ended by us where its segment ends; to be asked again without a range */
	CURLcode code;            /* once finished */
	int64_t wake_at;          /* paused: when to ask the buckets again */
	int fd;                   /* the socket, while bytes are waited for; -1 */
	int64_t gap;              /* the longest time without a byte since the last tick, */
	uint64_t ticked;          /* and `next` of its segment then */
	/* what was asked */
	bool ranged, if_ranged, is_http;
	struct curl_slist *headers;
	int netrc_fd, known_hosts_fd, key_fd;
	/* what was answered */
	struct answer answer;
	enum body body;
	enum verdict verdict;
	uint64_t answer_end;      /* blob offset where this answer ends; SIZE_UNKNOWN */
	uint64_t discarded;
	struct writer writer;
	/* how it failed: set by our callbacks, else DONE */
	enum outcome outcome;
	int err;
	const char *text;         /* static; NULL: `error` */
	char error[CURL_ERROR_SIZE];
};

/* A connection for SLOT of T's plan, to SITE. 0 or -ENOMEM. */
int conn_open(struct transfer *t, unsigned slot, struct site *site, struct conn **ret);
/* Takes it out of the multi and gives the handle back; what was gathered has been flushed. */
void conn_close(struct conn *c);
/* libcurl says it is finished with CODE: sets outcome, or begins the next request (redirects) and
 * returns true. */
bool conn_continues(struct conn *c, CURLcode code);
void conn_unpause(struct conn *c);
void conn_tick(struct conn *c); /* gives way to other jobs, and in the background to other traffic */
void conn_destroy(struct conn *c); /* of the idle list, when the worker ends */

/* --- setup.c: everything that is set on the handle for one request ------------------------------------ */

int conn_setup(struct conn *c, const char *url); /* 0, -ENOMEM, or -EPERM with outcome and text set */
void conn_teardown(struct conn *c);
/* Callbacks, in conn.c. */
int conn_on_open(void *arg, curl_socket_t fd, curlsocktype purpose); /* CURLOPT_SOCKOPTFUNCTION */
size_t conn_on_header(char *data, size_t size, size_t n, void *arg);
size_t conn_on_body(char *data, size_t size, size_t n, void *arg);
