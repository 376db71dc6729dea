/* The planner of connections within one file. How many (the ramp) and where (the carving) are independent:
 * the ramp only sets `target`.
 */
#include "model/segment.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void segments_init(struct segments *s, uint64_t size, unsigned limit, int64_t idle, int64_t now)
{
	memset(s, 0, sizeof *s);
	s->size = size;
	s->limit = limit;
	s->idle = idle;
	s->want = SEGMENT_NONE;
	s->sampled_at = s->moved_at = now;
	ramp_init(&s->ramp, now);
}

void segments_release(struct segments *s)
{
	extents_release(&s->done);
}

int segments_have(struct segments *s, const struct extents *have)
{
	extents_release(&s->done);
	s->done = (struct extents){ 0 };
	return extents_copy(have, &s->done);
}

void segments_want(struct segments *s, uint64_t offset)
{
	s->want = offset;
}

bool segments_complete(const struct segments *s)
{
	return s->size != SEGMENT_NONE && (s->size == 0 || extents_contain(&s->done, 0, s->size));
}

uint64_t segments_left(const struct segments *s)
{
	uint64_t here = extents_total(&s->done);

	if (s->size == SEGMENT_NONE)
		return SEGMENT_NONE;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (s->v[i].used)
			here += s->v[i].next - s->v[i].first;
	return here < s->size ? s->size - here : 0;
}

/* Silent, while bytes came over another connection: a new one for it may do better. */
static bool is_left_behind(const struct segments *s, const struct segment *g, int64_t silence, int64_t now)
{
	return g->used && now - g->last >= silence && g->last < s->moved_at;
}

bool segments_stalled(const struct segments *s, int64_t now)
{
	if (!s->used)
		return false;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (s->v[i].used && (now - s->v[i].last < s->idle || is_left_behind(s, &s->v[i], s->idle, now)))
			return false;
	return true;
}

/* --- carving ---------------------------------------------------------------------------------- */

static uint64_t edge_after(const struct segments *s, uint64_t offset)
{
	for (size_t i = 0; i < s->nedges; i++)
		if (s->edges[i] > offset)
			return s->edges[i];
	return SEGMENT_NONE;
}

void segments_set_size(struct segments *s, uint64_t size)
{
	s->size = size;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		struct segment *g = &s->v[i];

		if (!g->used || g->end != SEGMENT_NONE)
			continue;
		g->end = edge_after(s, g->next) < size ? edge_after(s, g->next) : size;
		if (g->end < g->next)
			g->end = g->next;
	}
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The first bytes at or after FROM that are neither here nor being fetched. */
static bool free_gap(const struct segments *s, uint64_t from, struct extent *ret)
{
	struct extent gap;

	while (extents_gap(&s->done, from, s->size, &gap)) {
		bool taken = false;

		for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
			const struct segment *g = &s->v[i];

			if (!g->used || g->end <= gap.first || g->first >= gap.end)
				continue;
			if (g->first <= gap.first) {
				from = g->end;
				taken = true;
				break;
			}
			gap.end = g->first;
		}
		if (!taken) {
			gap.end = min_u64(gap.end, edge_after(s, gap.first));
			*ret = gap;
			return true;
		}
		if (from == SEGMENT_NONE)
			return false;
	}
	return false;
}

static int free_slot(const struct segments *s)
{
	for (int i = 0; i < SEGMENTS_MAX; i++)
		if (!s->v[i].used)
			return i;
	return -1;
}

static struct segment_step start(struct segments *s, uint64_t first, uint64_t end, int64_t now)
{
	int slot = free_slot(s);

	assert(slot >= 0 && first < end);
	s->v[slot] = (struct segment){ .used = true, .first = first, .next = first, .end = end,
		.since = now, .last = now, .sampled = first };
	s->used++;
	return (struct segment_step){ SEGMENT_START, (unsigned)slot };
}

/* --- rates ------------------------------------------------------------------------------------- */

static uint64_t per_second(uint64_t bytes, int64_t time)
{
	return (uint64_t)((double)bytes * NSEC_PER_SEC / (double)time);
}

static void sample_rates(struct segments *s, int64_t now)
{
	int64_t dt = now - s->sampled_at;

	if (dt < SEGMENT_TICK_FIRST / 2)
		return;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		struct segment *g = &s->v[i];
		int64_t age = now - g->began;

		if (!g->used || !g->flowing || age <= 0)
			continue;
		if (age <= SEGMENT_RATE_TIME) {
			g->rate = per_second(g->next - g->first, age);
		} else {
			double part = dt < SEGMENT_RATE_TIME ? (double)dt / SEGMENT_RATE_TIME : 1;

			g->rate = (uint64_t)((double)g->rate * (1 - part) + (double)per_second(g->next - g->sampled, dt) * part);
		}
		g->sampled = g->next;
	}
	s->sampled_at = now;
}

/* What a segment of unknown rate is taken to have: the mean of the others. */
static double typical_rate(const struct segments *s)
{
	double sum = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		const struct segment *g = &s->v[i];

		if (g->used && g->flowing && g->rate) {
			sum += (double)g->rate;
			n++;
		}
	}
	return n ? sum / n : 1;
}

/* A flowing segment without a rate is either new or silent for long. */
static double rate_of(const struct segment *g, double typical, int64_t now)
{
	if (g->flowing && (g->rate || now - g->last > SEGMENT_RATE_TIME))
		return (double)g->rate;
	return typical;
}

static double time_left(const struct segment *g, double rate)
{
	return rate > 0 ? (double)(g->end - g->next) * NSEC_PER_SEC / rate : HUGE_VAL;
}

/* --- splitting --------------------------------------------------------------------------------- */

/* What a new segment can fetch until all end together: its part of what is left to all. */
static double fair_share(const struct segments *s, double typical, int64_t now)
{
	double left = 0, rates = 0;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		const struct segment *g = &s->v[i];

		if (!g->used || g->end == SEGMENT_NONE)
			continue;
		left += (double)(g->end - g->next);
		rates += rate_of(g, typical, now);
	}
	rates += typical * (s->ramp.target > s->used ? s->ramp.target - s->used : 1);
	return left * typical / rates;
}

/* Cuts the segment that would take longest. */
static bool split(struct segments *s, int64_t now, struct extent *ret)
{
	struct segment *longest = NULL;
	double typical = typical_rate(s), share = fair_share(s, typical, now), part;
	double time = s->reach * 2 > SEGMENT_SPLIT_TIME ? s->reach * 2 : SEGMENT_SPLIT_TIME;
	uint64_t left, cut;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		struct segment *g = &s->v[i];

		if (!g->used || g->end == SEGMENT_NONE || g->end - g->next < 2 * SEGMENT_SPLIT_BYTES)
			continue;
		if (time_left(g, rate_of(g, typical, now)) >= time) {
			time = time_left(g, rate_of(g, typical, now));
			longest = g;
		}
	}
	if (!longest)
		return false;
	left = longest->end - longest->next;
	/* No more than lets these two end together. */
	part = (double)left * typical / (typical + rate_of(longest, typical, now));
	part = share < part ? share : part;
	if (part < SEGMENT_SPLIT_BYTES)
		part = SEGMENT_SPLIT_BYTES;
	if (part > (double)(left - SEGMENT_SPLIT_BYTES))
		part = (double)(left - SEGMENT_SPLIT_BYTES);
	/* Whole pages, so that no two connections write to one. */
	cut = (longest->end - (uint64_t)part) & ~(uint64_t)4095;
	*ret = (struct extent){ cut, longest->end };
	longest->end = cut;
	return true;
}

/* --- the wanted offset ---------------------------------------------------------------------------- */

static bool want_is_served(const struct segments *s)
{
	if (s->want == SEGMENT_NONE || (s->size != SEGMENT_NONE && s->want >= s->size) ||
	    extents_contain(&s->done, s->want, s->want + 1))
		return true;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		const struct segment *g = &s->v[i];

		if (g->used && g->first <= s->want && s->want < g->end &&
		    (s->want < g->next || s->want - g->next < SEGMENT_NEAR))
			return true;
	}
	return false;
}

/* A segment that begins at the wanted offset: out of a free gap, or the rear of another segment. */
static struct segment_step start_at_want(struct segments *s, int64_t now)
{
	struct extent gap;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		struct segment *g = &s->v[i];

		if (g->used && g->next <= s->want && s->want < g->end) {
			uint64_t end = g->end;

			g->end = s->want;
			return start(s, s->want, end, now);
		}
	}
	if (!free_gap(s, s->want, &gap) || gap.first != s->want)
		return (struct segment_step){ SEGMENT_NOTHING, 0 };
	return start(s, gap.first, gap.end, now);
}

/* The one to do without: one that has not begun, else the youngest. */
static unsigned spare(const struct segments *s)
{
	const struct segment *best = NULL;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		const struct segment *g = &s->v[i];

		if (g->used && (!best || (g->flowing == best->flowing ? g->since >= best->since : best->flowing)))
			best = g;
	}
	assert(best);
	return (unsigned)(best - s->v);
}

/* --- what to do ------------------------------------------------------------------------------------- */

static struct ramp_view view(const struct segments *s)
{
	struct ramp_view v = { .used = s->used, .limit = s->limit ? s->limit : 1, .moved = s->moved,
		.left = segments_left(s), .able = s->ranges, .frozen = s->throttled };

	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		v.flowing += s->v[i].used && s->v[i].flowing;
	return v;
}

static struct segment_step find_work(struct segments *s, int64_t now)
{
	struct extent gap;

	if (s->used && (!s->ranges || now < s->ramp.retry_at))
		return (struct segment_step){ SEGMENT_NOTHING, 0 };
	/* A gap of unknown end behind a segment of unknown end cannot be: free_gap excludes it. */
	if (free_gap(s, 0, &gap) || (s->used && split(s, now, &gap)))
		return start(s, gap.first, gap.end, now);
	/* The last pieces are not waited for as long as a whole file would be. */
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (is_left_behind(s, &s->v[i], SEGMENT_TAIL_SILENCE, now))
			return (struct segment_step){ SEGMENT_STOP, i };
	return (struct segment_step){ SEGMENT_NOTHING, 0 };
}

static bool is_full(const struct segments *s, int64_t now)
{
	return s->used >= s->limit || (now < s->full_until && s->used >= s->most);
}

/* Where there is no connection more, one of those that there are goes where the reader waits. */
static struct segment_step serve_want(struct segments *s, int64_t now)
{
	struct segment_step step;
	struct ramp_view v;

	if (want_is_served(s) || (s->used && !s->ranges))
		return (struct segment_step){ SEGMENT_NOTHING, 0 };
	if (s->used && is_full(s, now))
		return (struct segment_step){ SEGMENT_STOP, spare(s) };
	step = start_at_want(s, now);
	v = view(s);
	if (step.action != SEGMENT_NOTHING && s->used > s->ramp.target)
		ramp_set(&s->ramp, &v, now);
	return step;
}

struct segment_step segments_next(struct segments *s, int64_t now)
{
	struct ramp_view v = view(s);
	struct segment_step step;

	sample_rates(s, now);
	ramp_tick(&s->ramp, &v, now);
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (is_left_behind(s, &s->v[i], s->idle, now))
			return (struct segment_step){ SEGMENT_STOP, i };
	step = serve_want(s, now);
	if (step.action != SEGMENT_NOTHING)
		return step;
	if (s->used > s->ramp.target)
		return (struct segment_step){ SEGMENT_STOP, spare(s) };
	if (s->used < s->ramp.target)
		return find_work(s, now);
	return (struct segment_step){ SEGMENT_NOTHING, 0 };
}

/* --- what happened --------------------------------------------------------------------------------- */

void segments_moved(struct segments *s, unsigned slot, uint64_t bytes, int64_t now)
{
	struct segment *g = &s->v[slot];

	assert(g->used && bytes <= g->end - g->next);
	if (!g->flowing) {
		g->began = now;
		s->reach = now - g->since;
	}
	g->flowing = true;
	g->next += bytes;
	g->last = s->moved_at = now;
	s->moved += bytes;
}

void segments_whole(struct segments *s, unsigned slot)
{
	struct segment *g = &s->v[slot];

	assert(g->used && s->used == 1 && g->first == g->next);
	g->first = g->next = g->sampled = 0;
	g->end = s->size;
	s->ranges = false;
}

int segments_end(struct segments *s, unsigned slot, uint64_t written)
{
	struct segment *g = &s->v[slot];

	assert(g->used && written >= g->first && written <= g->next);
	g->used = false;
	s->used--;
	return written > g->first ? extents_add(&s->done, g->first, written) : 0;
}

static void note_full(struct segments *s, int64_t now)
{
	s->most = s->used;
	s->full_until = now + RAMP_DENIED;
}

void segments_lost(struct segments *s, int64_t now)
{
	struct ramp_view v = view(s);

	note_full(s, now);
	ramp_lost(&s->ramp, &v, now);
}

void segments_denied(struct segments *s, int64_t now)
{
	struct ramp_view v = view(s);

	note_full(s, now);
	ramp_denied(&s->ramp, &v, now);
}

bool segments_is_beginning(const struct segments *s, int64_t now)
{
	struct ramp_view v = view(s);

	return s->used && ramp_is_glancing(&s->ramp, &v, now);
}

void segments_assert_sane(const struct segments *s)
{
	unsigned used = 0;

	extents_assert_sane(&s->done);
	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		const struct segment *g = &s->v[i];

		if (!g->used)
			continue;
		used++;
		assert(g->first <= g->next && g->next <= g->end);
		assert(s->size == SEGMENT_NONE || g->end <= s->size);
		for (unsigned j = 0; j < i; j++)
			assert(!s->v[j].used || s->v[j].end <= g->first || s->v[j].first >= g->end);
	}
	assert(used == s->used);
	ramp_assert_sane(&s->ramp);
}
