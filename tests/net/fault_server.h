/* An HTTP/1.1 server that misbehaves as told: one thread per connection, loopback, any free port.
 *
 * A page's content is arithmetic (fault_byte), so that a test can say of every byte in a blob which
 * version it is of.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	PAGE_NO_RANGES = 1 << 0,    /* 200 to everything */
	PAGE_CHUNKED = 1 << 1,
	PAGE_NO_LENGTH = 1 << 2,    /* ends by closing */
	PAGE_WRONG_OFFSET = 1 << 3, /* 206 that begins a byte earlier */
	PAGE_WRONG_TOTAL = 1 << 4,  /* 206 of a file that is a byte longer */
	PAGE_IGNORE_IF_RANGE = 1 << 5,
	PAGE_NO_VALIDATOR = 1 << 6,
	PAGE_AUTH = 1 << 7,         /* 401 without Authorization */
};

struct page {
	const char *path;
	uint64_t size;
	unsigned flags;
	const char *etag;           /* NULL: "\"vVERSION\"" */
	const char *modified;       /* instead of an ETag */
	uint64_t cut_after;         /* body bytes, then the connection is closed; 0: never */
	uint64_t stall_after;       /* body bytes, then silence */
	unsigned stalls;            /* how many answers stall; 0: all */
	uint64_t rate;              /* bytes per second and connection; 0: as fast as can be */
	int status;                 /* not 0: this status, with an error page */
	const char *location;       /* of a redirect */
	const char *header;         /* one more line, without its end */
	unsigned refuse_above;      /* 503 to more connections at a time than this; 0: never */
	unsigned change_after;      /* answers, then the version is another one; 0: never */
	/* kept by the server, under its lock */
	unsigned hits, active, active_max, version, stalled;
	char request[4096];         /* the last one's head */
};

struct fault_server {
	struct page *pages;
	unsigned npages;
	uint16_t port;
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;       /* of what the pages count, and of all below */
	pthread_cond_t left;
	bool stopping;
	int fds[256];
	unsigned connections;
};

/* PAGES is borrowed. The order in which pages were begun is the order of `hits` only per page. */
void fault_start(struct fault_server *s, struct page *pages, unsigned npages);
void fault_stop(struct fault_server *s);
uint8_t fault_byte(unsigned version, uint64_t offset);
struct page *fault_page(struct fault_server *s, const char *path);
/* Under the lock. */
unsigned fault_hits(struct fault_server *s, const char *path);
bool fault_asked(struct fault_server *s, const char *path, const char *text); /* the last request contains TEXT */
