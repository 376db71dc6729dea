/* The bucket fills with time and is emptied by share_take, below zero if need be: a buffer that has
 * arrived passes whole once anything may pass, and what it took too much is waited for afterwards. So
 * the long-term rate is exact whatever the size of the buffers.
 */
#include "model/share.h"

#include "base/clock.h"
#include "base/parse.h"

/* Above 8 GiB/s the products below would overflow, and no machine notices the limit. */
#define RATE_LIMITED_MAX (UINT64_C(1) << 33)
#define BURST_DIVISOR 12 /* of a second */
#define WAKE_DIVISOR 32  /* a sleeper is woken for a useful amount: a 32nd of a second's worth */
#define WAKE_MAX 65536
#define DEBT_MAX (INT64_MAX / 4)

static int unlimited(const struct share *s)
{
	return s->rate > RATE_LIMITED_MAX;
}

static int64_t burst_of(uint64_t rate)
{
	return (int64_t)(rate / BURST_DIVISOR) + 1;
}

/* Nanoseconds that BYTES take, rounded up. */
static int64_t time_for(uint64_t bytes, uint64_t rate)
{
	uint64_t seconds = bytes / rate, rest = bytes % rate;

	if (seconds >= (uint64_t)(INT64_MAX / NSEC_PER_SEC))
		return INT64_MAX;
	return (int64_t)seconds * NSEC_PER_SEC +
	       (int64_t)((rest * (uint64_t)NSEC_PER_SEC + rate - 1) / rate);
}

static void fill(struct share *s, int64_t now)
{
	int64_t burst = burst_of(s->rate), passed = now - s->stamp;
	uint64_t missing, part;

	if (passed <= 0 || s->rate == 0 || unlimited(s))
		return;
	missing = (uint64_t)(burst - s->tokens);
	if (passed >= time_for(missing, s->rate)) {
		s->tokens = burst;
		s->stamp = now;
		return;
	}
	s->tokens += passed / NSEC_PER_SEC * (int64_t)s->rate;
	s->stamp += passed / NSEC_PER_SEC * NSEC_PER_SEC;
	part = (uint64_t)(passed % NSEC_PER_SEC) * s->rate / (uint64_t)NSEC_PER_SEC;
	/* The time of a fraction of a byte stays on the clock, or frequent calls would lose it. */
	s->tokens += (int64_t)part;
	s->stamp += time_for(part, s->rate);
	if (s->stamp > now)
		s->stamp = now;
}

void share_init(struct share *s, uint64_t rate, int64_t now)
{
	*s = (struct share){ .rate = rate, .stamp = now };
}

void share_set_rate(struct share *s, uint64_t rate, int64_t now)
{
	int64_t burst = burst_of(rate);

	if (rate == s->rate)
		return;
	fill(s, now);
	if (unlimited(s) || rate == 0 || rate > RATE_LIMITED_MAX)
		s->tokens = 0;
	else if (s->tokens < -burst)
		s->tokens = -burst;
	else if (s->tokens > burst)
		s->tokens = burst;
	s->rate = rate;
	s->stamp = now;
}

uint64_t share_allows(struct share *s, int64_t now, int64_t *ret_when)
{
	uint64_t wake;
	int64_t wait;

	if (unlimited(s))
		return LIMIT_MAX;
	if (s->rate == 0) {
		*ret_when = INT64_MAX;
		return 0;
	}
	fill(s, now);
	if (s->tokens > 0)
		return (uint64_t)s->tokens;
	wake = s->rate / WAKE_DIVISOR;
	wake = wake < 1 ? 1 : wake > WAKE_MAX ? WAKE_MAX : wake;
	wait = time_for((uint64_t)-s->tokens + wake, s->rate);
	*ret_when = wait > INT64_MAX - s->stamp ? INT64_MAX : s->stamp + wait;
	return 0;
}

void share_take(struct share *s, uint64_t bytes)
{
	if (unlimited(s))
		return;
	if (bytes > (uint64_t)DEBT_MAX || s->tokens < (int64_t)bytes - DEBT_MAX)
		s->tokens = -DEBT_MAX;
	else
		s->tokens -= (int64_t)bytes;
}
