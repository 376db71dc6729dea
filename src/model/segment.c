/* The planner of connections within one file. The controller (how many) and the carving (where) are
 * independent: the controller only sets `target`.
 */
#include "model/segment.h"

#include <assert.h>
#include <string.h>

void segments_init(struct segments *s, uint64_t size, unsigned limit, int64_t idle, int64_t now)
{
	memset(s, 0, sizeof *s);
	s->size = size;
	s->limit = limit;
	s->idle = idle;
	s->want = SEGMENT_NONE;
	s->target = s->proven = 1;
	s->phase_since = s->sampled_at = s->moved_at = now;
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

/* Nanoseconds that segment G will take from here; a segment that has not begun is not judged. */
static int64_t time_left(const struct segment *g, int64_t now)
{
	uint64_t left = g->end - g->next, rate = g->rate;

	if (!g->flowing)
		return 0;
	if (!rate) {
		/* Not sampled yet, or silent since: what it has done since its start, if anything. */
		int64_t age = now - g->since;

		rate = age > 0 ? (uint64_t)((double)(g->next - g->first) * NSEC_PER_SEC / (double)age) : 0;
	}
	if (!rate)
		return INT64_MAX;
	double ns = (double)left * NSEC_PER_SEC / (double)rate;
	return ns < 1e18 ? (int64_t)ns : INT64_MAX;
}

static uint64_t best_rate(const struct segments *s)
{
	uint64_t best = 1;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (s->v[i].used && s->v[i].rate > best)
			best = s->v[i].rate;
	return best;
}

/* Cuts the segment that would take longest, so that both pieces end together. */
static bool split(struct segments *s, int64_t now, struct extent *ret)
{
	struct segment *longest = NULL;
	int64_t time = SEGMENT_SPLIT_TIME;
	uint64_t left, keep, cut;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		struct segment *g = &s->v[i];

		if (!g->used || g->end == SEGMENT_NONE || g->end - g->next < 2 * SEGMENT_SPLIT_BYTES)
			continue;
		if (time_left(g, now) >= time) {
			time = time_left(g, now);
			longest = g;
		}
	}
	if (!longest)
		return false;
	left = longest->end - longest->next;
	keep = (uint64_t)((double)left * (double)longest->rate / ((double)longest->rate + (double)best_rate(s)));
	if (keep < SEGMENT_SPLIT_BYTES)
		keep = SEGMENT_SPLIT_BYTES;
	if (keep > left - SEGMENT_SPLIT_BYTES)
		keep = left - SEGMENT_SPLIT_BYTES;
	/* Whole pages, so that no two connections write to one. */
	cut = (longest->next + keep) & ~(uint64_t)4095;
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

static unsigned youngest(const struct segments *s)
{
	unsigned best = SEGMENTS_MAX;

	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (s->v[i].used && (best == SEGMENTS_MAX || s->v[i].since >= s->v[best].since))
			best = i;
	assert(best < SEGMENTS_MAX);
	return best;
}

/* --- the controller --------------------------------------------------------------------------------- */

static void sample_rates(struct segments *s, int64_t now)
{
	int64_t dt = now - s->sampled_at;

	if (dt < SEGMENT_SETTLE)
		return;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
		struct segment *g = &s->v[i];
		uint64_t rate;

		if (!g->used || !g->flowing)
			continue;
		rate = (uint64_t)((double)(g->next - g->sampled) * NSEC_PER_SEC / (double)dt);
		g->rate = g->rate ? (g->rate * 6 + rate * 4) / 10 : rate;
		g->sampled = g->next;
	}
	s->sampled_at = now;
}

static void phase(struct segments *s, bool measuring, int64_t now)
{
	s->measuring = measuring;
	s->phase_since = now;
	s->window_moved = s->moved;
	s->ticks = s->quiet = 0;
}

/* Bytes come in bursts with pauses between: the server, or a long line, gives a connection its share, and
 * what a short window measures says nothing. There more connections pay, and none is given back. */
static bool held_back(const struct segments *s)
{
	return s->ticks >= 2 && s->quiet * 2 >= s->ticks;
}

static void fall_back(struct segments *s, unsigned to, int64_t now)
{
	s->target = s->proven = to;
	s->hold_until = now + SEGMENT_HOLD;
	phase(s, false, now);
}

static bool worth_more(const struct segments *s, uint64_t rate, int64_t now)
{
	uint64_t left = segments_left(s);

	return s->ranges && left != SEGMENT_NONE && left >= SEGMENT_GROW_BYTES && s->target < s->limit &&
	       now >= s->hold_until && rate > 0 &&
	       (double)left * NSEC_PER_SEC / (double)rate >= (double)SEGMENT_GROW_TIME;
}

/* All wanted connections have a byte, the last one for SEGMENT_SETTLE. */
static bool settled(const struct segments *s, int64_t now)
{
	if (!s->used || s->used < s->target)
		return false;
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (s->v[i].used && !s->v[i].flowing)
			return false;
	return now - s->phase_since >= SEGMENT_SETTLE;
}

static void judge(struct segments *s, int64_t now)
{
	uint64_t rate = (uint64_t)((double)(s->moved - s->window_moved) * NSEC_PER_SEC /
		(double)(now - s->phase_since));

	if (!held_back(s) && s->target > s->proven && (double)rate * 100 < (double)s->proven_rate * (100 + SEGMENT_GAIN_PERCENT)) {
		fall_back(s, s->proven, now);
		return;
	}
	s->proven = s->target;
	s->proven_rate = rate;
	if (worth_more(s, rate, now)) {
		unsigned factor = held_back(s) ? 4 : 2;

		s->target = s->target * factor < s->limit ? s->target * factor : s->limit;
		phase(s, false, now);
	} else {
		phase(s, true, now);
	}
}

static void control(struct segments *s, int64_t now)
{
	sample_rates(s, now);
	if (s->target > s->limit)
		fall_back(s, s->limit ? s->limit : 1, now);
	if (s->throttled) {
		/* A trial under our own limit says nothing: undo it, try again when bytes flow freely. */
		s->target = s->proven;
		phase(s, false, now);
		return;
	}
	s->ticks++;
	s->quiet += now - s->moved_at >= SEGMENT_QUIET;
	if (s->measuring) {
		if (now - s->phase_since >= SEGMENT_WINDOW)
			judge(s, now);
	} else if (settled(s, now)) {
		phase(s, true, now);
	} else if (s->target > s->proven && now - s->phase_since >= SEGMENT_PATIENCE) {
		fall_back(s, s->proven, now);
	}
}

static struct segment_step find_work(struct segments *s, int64_t now)
{
	struct extent gap;

	if (s->used && !s->ranges)
		return (struct segment_step){ SEGMENT_NOTHING, 0 };
	/* A gap of unknown end behind a segment of unknown end cannot be: free_gap excludes it. */
	if (free_gap(s, 0, &gap) || (s->used && split(s, now, &gap)))
		return start(s, gap.first, gap.end, now);
	if (s->target > s->proven && s->used)
		fall_back(s, s->proven > s->used ? s->used : s->proven, now);
	/* The last pieces are not waited for as long as a whole file would be. */
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (s->used < s->target && is_left_behind(s, &s->v[i], SEGMENT_TAIL_SILENCE, now))
			return (struct segment_step){ SEGMENT_STOP, i };
	return (struct segment_step){ SEGMENT_NOTHING, 0 };
}

struct segment_step segments_next(struct segments *s, int64_t now)
{
	struct segment_step step;

	control(s, now);
	for (unsigned i = 0; i < SEGMENTS_MAX; i++)
		if (is_left_behind(s, &s->v[i], s->idle, now))
			return (struct segment_step){ SEGMENT_STOP, i };
	if (!want_is_served(s) && (s->ranges || !s->used)) {
		if (s->used && s->used >= s->limit)
			return (struct segment_step){ SEGMENT_STOP, youngest(s) };
		step = start_at_want(s, now);
		if (step.action != SEGMENT_NOTHING) {
			if (s->used > s->target)
				s->target = s->proven = s->used;
			return step;
		}
	}
	if (s->used > s->target)
		return (struct segment_step){ SEGMENT_STOP, youngest(s) };
	if (s->used < s->target)
		return find_work(s, now);
	return (struct segment_step){ SEGMENT_NOTHING, 0 };
}

/* --- what happened --------------------------------------------------------------------------------- */

void segments_moved(struct segments *s, unsigned slot, uint64_t bytes, int64_t now)
{
	struct segment *g = &s->v[slot];

	assert(g->used && bytes <= g->end - g->next);
	if (!g->flowing && !s->measuring)
		s->phase_since = now;
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
	if (s->measuring)
		phase(s, false, s->moved_at); /* the window had another number of connections */
	return written > g->first ? extents_add(&s->done, g->first, written) : 0;
}

void segments_refused(struct segments *s, int64_t now)
{
	fall_back(s, s->used ? s->used : 1, now);
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
	assert(used == s->used && s->proven >= 1 && s->target >= 1);
}
