#include "model/yield.h"

#define SEGMENT_SIZE UINT64_C(1448)
#define SHRINK_INTERVAL (200 * NSEC_PER_MSEC) /* and two round trips: a change must show first */
#define ROUNDS_MAX 100                        /* a round trip below a millisecond is not measured */

void yield_init(struct yield *y, int64_t now)
{
	*y = (struct yield){ .window = YIELD_FREE, .base_us = UINT32_MAX, .next_base_us = UINT32_MAX,
		.last_us = { UINT32_MAX, UINT32_MAX }, .base_at = now, .sampled_at = now, .shrunk_at = now };
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t base_of(const struct yield *y)
{
	return min_u32(y->base_us, y->next_base_us);
}

static void remember(struct yield *y, const struct yield_sample *s)
{
	if (s->now - y->base_at >= YIELD_MEMORY) {
		y->base_us = y->next_base_us;
		y->next_base_us = UINT32_MAX;
		y->base_at = s->now;
	}
	y->next_base_us = min_u32(y->next_base_us, s->rtt_us);
	y->last_us[1] = y->last_us[0];
	y->last_us[0] = s->rtt_us;
}

/* What was on its way at a time. */
static uint64_t in_flight(const struct yield_sample *s, int64_t passed)
{
	return (uint64_t)((double)s->bytes * (double)s->rtt_us * 1000 / (double)passed);
}

static void shrink(struct yield *y, const struct yield_sample *s, uint32_t queue_us, int64_t passed)
{
	int64_t wait = (int64_t)s->rtt_us * 2000;
	uint64_t window = y->window == YIELD_FREE ? in_flight(s, passed) : y->window;
	double part = (double)(queue_us - YIELD_TARGET_US) / YIELD_TARGET_US;

	if (y->window != YIELD_FREE && s->now - y->shrunk_at < (wait > SHRINK_INTERVAL ? wait : SHRINK_INTERVAL))
		return;
	window -= (uint64_t)((double)window * (part < 0.5 ? part : 0.5));
	y->window = window > YIELD_FLOOR ? window : YIELD_FLOOR;
	y->shrunk_at = s->now;
}

static void grow(struct yield *y, const struct yield_sample *s, uint32_t queue_us, int64_t passed)
{
	double rounds = (double)passed / 1000 / (double)(s->rtt_us ? s->rtt_us : 1);
	double calm = (double)(s->now - y->shrunk_at) / NSEC_PER_SEC;

	if (y->window == YIELD_FREE)
		return;
	rounds = rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX;
	y->window += (uint64_t)((double)SEGMENT_SIZE * rounds * (1 + calm) * (1 - (double)queue_us / YIELD_TARGET_US));
	if (y->window > YIELD_CEILING)
		y->window = YIELD_FREE;
}

bool yield_step(struct yield *y, const struct yield_sample *s)
{
	int64_t passed = s->now - y->sampled_at;
	uint64_t before = y->window;
	uint32_t queue_us;

	if (passed < YIELD_INTERVAL || !s->rtt_us)
		return false;
	y->sampled_at = s->now;
	if (s->gap >= YIELD_GAP && (y->window == YIELD_FREE || in_flight(s, passed) < y->window / 2))
		return false;
	remember(y, s);
	queue_us = min_u32(y->last_us[0], y->last_us[1]) - base_of(y);
	if (queue_us > YIELD_TARGET_US)
		shrink(y, s, queue_us, passed);
	else
		grow(y, s, queue_us, passed);
	return y->window != before;
}
