/* The latest events, for the streams (`log`), in a ring. A reader remembers the sequence number of the
 * next event it wants; if the ring has moved on it is told how many it missed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

struct event {
	uint64_t seq;      /* 1, 2, ... */
	int64_t wall_ms;
	uint64_t serial;   /* of the job; 0: the service */
	char *job;         /* its name then */
	const char *what;  /* "created", "added", "state", ...: static */
	char *details;     /* "key=value ..." or "" */
};

struct events;

int events_new(size_t capacity, struct events **ret);
void events_free(struct events *e);
uint64_t events_next_seq(const struct events *e); /* what the next event will get */
/* LOCKED (readers walk). Copies; out of memory loses the event, never the caller. */
void events_add(struct events *e, int64_t wall_ms, uint64_t serial, const char *job, const char *what, const char *details);
/* The oldest kept event with seq >= FROM and (SERIAL 0 or of that job); NULL: none yet. *ret_missed
 * counts how many between FROM and the oldest kept one were overwritten (of any job). */
const struct event *events_get(const struct events *e, uint64_t from, uint64_t serial, uint64_t *ret_missed);
/* "2026-11-21T08:12:20.123Z JOB WHAT DETAILS\n" */
void event_format(const struct event *e, struct buf *out);
