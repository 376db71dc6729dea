#include "model/ramp.h"

#include <assert.h>
#include <string.h>

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static uint64_t per_second(uint64_t bytes, int64_t time)
{
	return time > 0 ? (uint64_t)((double)bytes * NSEC_PER_SEC / (double)time) : 0;
}

/* The measurement begins anew. */
static void restart(struct ramp *r, const struct ramp_view *v, int64_t now)
{
	r->since = r->ticked_at = now;
	r->since_moved = r->ticked_moved = v->moved;
	r->full = r->steady = false;
	r->steady_for = r->window_for = 0;
	r->window_moved = 0;
}

static void aim(struct ramp *r, unsigned target, const struct ramp_view *v, int64_t now)
{
	r->target = target;
	restart(r, v, now);
}

void ramp_init(struct ramp *r, int64_t now)
{
	*r = (struct ramp){ .target = 1, .proven = 1, .hold = RAMP_HOLD, .since = now, .ticked_at = now };
}

/* When the next trial of a kind that failed is due; each time later. */
static int64_t put_off(struct ramp *r, int64_t now)
{
	int64_t when = now + r->hold;

	r->hold = r->hold * 2 < RAMP_HOLD_MAX ? r->hold * 2 : RAMP_HOLD_MAX;
	return when;
}

/* No more than N until WHEN, whatever was tried. */
static void stay(struct ramp *r, unsigned n, int64_t when, const struct ramp_view *v, int64_t now)
{
	n = n ? min(n, r->target) : 1;
	r->proven = min(r->proven, n);
	r->second = r->retries = 0;
	r->more_at = when;
	aim(r, n, v, now);
}

void ramp_lost(struct ramp *r, const struct ramp_view *v, int64_t now)
{
	if (v->used < r->had && r->retries < RAMP_RETRIES) {
		r->retries++;
		r->retry_at = now + RAMP_RETRY;
		return;
	}
	r->had = min(r->had, v->used);
	/* Of many that are refused at the same time the first one counts. */
	stay(r, v->used, now >= r->more_at ? put_off(r, now) : r->more_at, v, now);
}

void ramp_denied(struct ramp *r, const struct ramp_view *v, int64_t now)
{
	stay(r, v->used, now + RAMP_DENIED, v, now);
}

void ramp_set(struct ramp *r, const struct ramp_view *v, int64_t now)
{
	r->proven = v->used;
	aim(r, v->used, v, now);
}

/* --- the measurement ------------------------------------------------------------------------------- */

/* Only what came while no connection was missing counts; that one of them had to be replaced meanwhile is
 * part of what so many connections cost. */
static void account(struct ramp *r, const struct ramp_view *v, int64_t now)
{
	bool was_steady = r->steady;

	if (v->used && v->used >= r->target && v->flowing == v->used)
		r->full = true;
	r->steady = r->full && v->used >= r->target;
	if (r->steady && v->flowing == v->used) {
		r->had = v->used > r->had ? v->used : r->had;
		r->retries = 0;
	}
	if (r->steady && was_steady) {
		if (r->steady_for >= RAMP_SETTLE) {
			r->window_for += now - r->ticked_at;
			r->window_moved += v->moved - r->ticked_moved;
		}
		r->steady_for += now - r->ticked_at;
	}
	r->ticked_at = now;
	r->ticked_moved = v->moved;
}

static bool is_measured(const struct ramp *r)
{
	bool fast = per_second(r->window_moved, r->window_for) / r->target >= RAMP_FAST;

	return r->window_for >= (fast ? RAMP_WINDOW_FAST : RAMP_WINDOW);
}

/* --- trials ------------------------------------------------------------------------------------------ */

static int64_t time_left(const struct ramp_view *v, uint64_t rate)
{
	double time = rate ? (double)v->left * NSEC_PER_SEC / (double)rate : 1e18;

	return time < 1e18 ? (int64_t)time : INT64_MAX;
}

static bool may_try_more(const struct ramp *r, const struct ramp_view *v, int64_t now)
{
	return v->able && v->left != UINT64_MAX && v->left >= RAMP_BYTES && r->target < v->limit &&
		now >= r->more_at;
}

/* At RATE: the number to try; the present one when none is worth it. */
static unsigned more(const struct ramp *r, const struct ramp_view *v, uint64_t rate, int64_t now)
{
	bool slow = rate / r->target < RAMP_FAST && r->hold == RAMP_HOLD;
	unsigned n = slow ? v->limit : min(r->target * 2, v->limit);

	if (!may_try_more(r, v, now) || time_left(v, rate) < (slow ? RAMP_TIME : RAMP_TIME_FAST))
		return r->target;
	if (v->left / RAMP_PIECE < n)
		n = (unsigned)(v->left / RAMP_PIECE);
	return n > r->target ? n : r->target;
}

static unsigned fewer(const struct ramp *r, const struct ramp_view *v, uint64_t rate, int64_t now)
{
	if (now < r->fewer_at || v->left == UINT64_MAX || time_left(v, rate) < RAMP_LASTS)
		return r->target;
	return (r->target + 3) / 4;
}

/* Whether more connections that carry MANY are worth it where fewer carry FEW. */
static bool pays(uint64_t few, uint64_t many)
{
	return (double)many * 100 > (double)few * (100 + RAMP_GAIN_PERCENT);
}

/* The trial of `target` has carried RATE: was it worth it? */
static bool failed(struct ramp *r, uint64_t rate, int64_t now)
{
	if (r->target > r->proven && !pays(r->proven_rate, rate)) {
		r->more_at = put_off(r, now);
		r->second = r->measured ? 0 : r->target;
		r->second_rate = rate;
		return true;
	}
	if (r->target < r->proven && pays(rate, r->proven_rate)) {
		r->fewer_at = put_off(r, now);
		return true;
	}
	return false;
}

static void judge(struct ramp *r, const struct ramp_view *v, int64_t now)
{
	uint64_t rate = per_second(r->window_moved, r->window_for);
	unsigned next;

	if (failed(r, rate, now)) {
		aim(r, r->proven, v, now);
		return;
	}
	if (r->target > r->proven)
		r->fewer_at = now + r->hold;
	r->measured = true;
	if (r->second && pays(rate, r->second_rate)) {
		next = min(r->second, v->limit);
		r->fewer_at = now + r->hold;
		r->proven = next;
		r->proven_rate = r->second_rate;
	} else {
		r->proven = r->target;
		r->proven_rate = rate;
		next = more(r, v, rate, now);
		if (next == r->target)
			next = fewer(r, v, rate, now);
	}
	r->second = 0;
	aim(r, next, v, now);
}

bool ramp_is_glancing(const struct ramp *r, const struct ramp_view *v, int64_t now)
{
	return r->target == 1 && r->proven == 1 && !r->measured && !v->frozen && may_try_more(r, v, now);
}

/* What came before the first tick is counted, but not its time: a server may begin with a burst, and there
 * is nothing to be said against one that is fast only later. */
static void glance(struct ramp *r, const struct ramp_view *v, int64_t now)
{
	uint64_t rate = per_second(v->moved - r->since_moved, r->steady_for);
	unsigned next = rate < RAMP_FAST ? more(r, v, rate, now) : r->target;

	if (next == r->target)
		return;
	r->proven_rate = rate;
	aim(r, next, v, now);
}

void ramp_tick(struct ramp *r, const struct ramp_view *v, int64_t now)
{
	if (r->target > v->limit)
		stay(r, v->limit, now + RAMP_DENIED, v, now);
	if (v->frozen) {
		/* A trial under our own limit says nothing: undo it, try again when bytes flow freely. */
		aim(r, r->proven, v, now);
		return;
	}
	account(r, v, now);
	if (!r->full) {
		/* Some connections of a trial are not served: do without them, and see. */
		if (r->target > r->proven && now - r->since >= RAMP_PATIENCE) {
			r->more_at = put_off(r, now);
			aim(r, v->flowing > r->proven ? v->flowing : r->proven, v, now);
		}
	} else if (is_measured(r)) {
		judge(r, v, now);
	} else if (r->steady_for >= RAMP_GLANCE && ramp_is_glancing(r, v, now)) {
		glance(r, v, now);
	}
}

void ramp_assert_sane(const struct ramp *r)
{
	assert(r->proven >= 1 && r->target >= 1);
	assert(r->window_for <= r->steady_for && (r->full || !r->steady));
}
