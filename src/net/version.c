/* Which version of the file this is, how large, and where its parts go in the blob. */
#include "net/transfer.h"

#include "net/errors.h"
#include "net/scribe.h"

#include <errno.h>
#include <string.h>

#define RESERVE_MIN (UINT64_C(1) << 20) /* smaller files are written at once, and have no fragments */

/* --- range= ---------------------------------------------------------------------------------------------- */

/* Where the parts begin in the blob; the last part may reach to an end that is not known yet. */
int transfer_set_edges(struct transfer *t)
{
	const struct fetch *f = t->fetch;
	uint64_t at = 0;

	if (!f->nranges)
		return 0;
	t->edges = calloc(f->nranges + 1, sizeof *t->edges);
	if (!t->edges)
		return -ENOMEM;
	for (size_t i = 0; i < f->nranges; i++) {
		t->edges[i] = at;
		if (at == SEGMENT_NONE)
			continue; /* behind a part that reaches to the unknown end */
		if (f->ranges[i].end != RANGE_TO_END)
			at += f->ranges[i].end - f->ranges[i].first;
		else if (t->remote_size == SIZE_UNKNOWN)
			at = SEGMENT_NONE;
		else
			at += t->remote_size - f->ranges[i].first;
	}
	t->edges[f->nranges] = at;
	t->plan.edges = t->edges;
	t->plan.nedges = f->nranges + 1;
	segments_set_size(&t->plan, at);
	return 0;
}

uint64_t transfer_remote(const struct transfer *t, uint64_t offset)
{
	size_t i = 0;

	if (!t->edges)
		return offset;
	while (i + 1 < t->fetch->nranges && t->edges[i + 1] <= offset)
		i++;
	return t->fetch->ranges[i].first + (offset - t->edges[i]);
}

static bool parts_fit(const struct transfer *t, uint64_t remote_size)
{
	for (size_t i = 0; i < t->fetch->nranges; i++) {
		const struct extent *part = &t->fetch->ranges[i];

		if (part->first >= remote_size || (part->end != RANGE_TO_END && part->end > remote_size))
			return false;
	}
	return true;
}

/* --- the version --------------------------------------------------------------------------------------------- */

static bool refuse(struct conn *c, enum outcome outcome, int err, const char *text)
{
	c->outcome = outcome;
	c->err = err;
	c->text = text;
	return false;
}

/* A small file needs no blob before its bytes are all here (net/scribe). */
static bool may_gather(const struct transfer *t)
{
	return t->plan.size <= SCRIBE_FILE_MAX && t->plan.used == 1 && !t->resuming && !t->wanting;
}

int transfer_open(struct transfer *t)
{
	const struct fetch *f = t->fetch;
	int r = blob_open(t->worker->shared->blobs, f->serial, f->file, f->generation, !t->resuming, &t->fd);

	if (r == 0 && !t->resuming && t->plan.size != SIZE_UNKNOWN && t->plan.size >= RESERVE_MIN)
		r = blob_reserve(t->fd, t->plan.size);
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (t->conns[i])
			t->conns[i]->writer.fd = t->fd;
	return r;
}

/* The sizes that were known before against the one of this answer. */
static bool check_size(struct transfer *t, struct conn *c, uint64_t remote_size)
{
	bool known = t->identified || t->resuming;

	if (remote_size == SIZE_UNKNOWN)
		return !c->site->mirror || !known || refuse(c, OUTCOME_SIZE, 0, "the mirror does not say the size");
	if (t->edges && !parts_fit(t, remote_size))
		return refuse(c, OUTCOME_RANGE, 0, "the file on the server is shorter than the range");
	if (known && t->remote_size != SIZE_UNKNOWN && t->remote_size != remote_size)
		return refuse(c, c->site->mirror ? OUTCOME_SIZE : OUTCOME_CHANGED, 0, "the file has another size there");
	if (!t->edges && !known && t->fetch->size != SIZE_UNKNOWN && t->fetch->size != remote_size)
		return refuse(c, OUTCOME_SIZE, 0, "the file on the server has another size than size=");
	if (!t->edges && remote_size > t->worker->shared->options.max_file_size)
		return refuse(c, OUTCOME_TOO_LARGE, 0, "the file is larger than max_file_size");
	return true;
}

bool transfer_identify(struct transfer *t, struct conn *c, uint64_t remote_size, const char *validator, int64_t mtime,
	bool ranges)
{
	int r = 0;

	if (!check_size(t, c, remote_size))
		return false;
	if (remote_size != SIZE_UNKNOWN && t->remote_size == SIZE_UNKNOWN) {
		t->remote_size = remote_size;
		if (t->edges) {
			free(take_ptr(t->edges));
			r = transfer_set_edges(t);
		} else {
			segments_set_size(&t->plan, remote_size);
		}
	}
	if (r == 0 && !t->identified && !t->resuming) {
		t->mtime = mtime;
		free(t->validator);
		t->validator = validator ? strdup(validator) : NULL;
	} else if (t->mtime == MTIME_UNKNOWN) {
		t->mtime = mtime;
	}
	if (r == 0 && t->fd < 0 && !may_gather(t))
		r = transfer_open(t);
	if (r < 0)
		return refuse(c, outcome_of_errno(r), -r, NULL);
	t->identified = true;
	t->plan.ranges = t->plan.ranges || ranges;
	if (c->url && (!c->site->moved || strcmp(c->site->moved, c->url) != 0)) {
		free(c->site->moved);
		c->site->moved = strdup(c->url);
	}
	transfer_has_news(t);
	return true;
}
