/* The ring of the latest events (model/event.h). */
#include "model/event.h"

#include "base/buf.h"
#include "base/parse.h"

#include <errno.h>
#include <string.h>

struct events {
	struct event *ring; /* event SEQ is at SEQ % capacity */
	size_t capacity;
	uint64_t next;      /* its sequence number */
	uint64_t oldest;    /* below it: overwritten or lost */
};

int events_new(size_t capacity, struct events **ret)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->ring = calloc(capacity, sizeof(*e->ring));
	if (!e->ring) {
		free(e);
		return -ENOMEM;
	}
	e->capacity = capacity;
	e->next = e->oldest = 1;
	*ret = e;
	return 0;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->capacity; i++)
		free(e->ring[i].job);
	free(e->ring);
	free(e);
}

uint64_t events_next_seq(const struct events *e)
{
	return e->next;
}

void events_add(struct events *e, int64_t wall_ms, uint64_t serial, const char *job,
	const char *what, const char *details)
{
	struct event *slot = &e->ring[e->next % e->capacity];
	size_t job_size = strlen(job) + 1, details_size = strlen(details) + 1;
	char *text = malloc(job_size + details_size);

	if (!text)
		return;
	free(slot->job); /* `details` is in the same allocation */
	memcpy(text, job, job_size);
	memcpy(text + job_size, details, details_size);
	*slot = (struct event){
		.seq = e->next++,
		.wall_ms = wall_ms,
		.serial = serial,
		.job = text,
		.what = what,
		.details = text + job_size,
	};
	if (e->next - e->oldest > e->capacity)
		e->oldest = e->next - e->capacity;
}

const struct event *events_get(const struct events *e, uint64_t from, uint64_t serial,
	uint64_t *ret_missed)
{
	uint64_t first = from ? from : 1; /* there is no event 0 */

	*ret_missed = first < e->oldest ? e->oldest - first : 0;
	if (first < e->oldest)
		first = e->oldest;
	for (uint64_t seq = first; seq < e->next; seq++) {
		const struct event *event = &e->ring[seq % e->capacity];

		if (serial == 0 || event->serial == serial)
			return event;
	}
	return NULL;
}

void event_format(const struct event *e, struct buf *out)
{
	int64_t seconds = e->wall_ms / 1000;
	unsigned ms = (unsigned)(e->wall_ms % 1000);
	char moment[MOMENT_LEN];

	format_moment(seconds, moment);
	moment[strlen(moment) - 1] = '\0'; /* the 'Z' comes after the fraction */
	buf_printf(out, "%s.%03uZ %s %s", moment, ms, e->job[0] ? e->job : "-", e->what);
	if (e->details[0])
		buf_printf(out, " %s", e->details);
	buf_addc(out, '\n');
}
