/* The controller of background connections on a simulated line: a queue, a delay, another flow. */
#include "model/yield.h"
#include "unit.h"

#define MS NSEC_PER_MSEC
#define STEP (10 * MS)

struct line {
	double rate, delay, buffer; /* bytes per second; seconds; bytes */
	double queue;
	double other;               /* the other flow's window, as TCP's: grows until the queue is full */
	double other_rtt;           /* when it last changed */
	struct yield y;
	double ours;                /* our sender's own window: as large as it may be */
	double bytes, other_bytes;  /* that arrived since last asked */
	double sampled;
	int64_t now, gap;
};

static double window(const struct line *l)
{
	return l->y.window == YIELD_FREE || (double)l->y.window > l->ours ? l->ours : (double)l->y.window;
}

static void step(struct line *l, bool other)
{
	double rtt = l->delay + l->queue / l->rate, dt = (double)STEP / NSEC_PER_SEC;
	double a = window(l) / rtt, b = other ? l->other / rtt : 0, out = l->rate * dt;
	double in = (a + b) * dt, done = l->queue + in < out ? l->queue + in : out;

	l->queue += in - done;
	if (in > 0) {
		l->bytes += done * a / (a + b);
		l->sampled += done * a / (a + b);
		l->other_bytes += done * b / (a + b);
	}
	l->other += 1448 * dt / rtt * 4; /* as quick as cubic */
	if (l->queue > l->buffer) {
		l->queue = l->buffer;
		l->other *= 0.7;
		l->ours *= 0.7;
	}
	l->ours += 1448 * dt / rtt * 4;
	l->now += STEP;
	if (l->now - l->y.sampled_at >= YIELD_INTERVAL) {
		yield_step(&l->y, &(struct yield_sample){ .now = l->now, .rtt_us = (uint32_t)(rtt * 1e6),
			.bytes = (uint64_t)l->sampled, .gap = l->gap });
		l->sampled = 0;
	}
	assert_true(l->y.window >= YIELD_FLOOR);
}

static void pass(struct line *l, double seconds, bool other)
{
	l->bytes = l->other_bytes = 0;
	for (int64_t end = l->now + (int64_t)(seconds * NSEC_PER_SEC); l->now < end;)
		step(l, other);
}

static void start(struct line *l, double mbit, double delay_s, double buffer_s)
{
	*l = (struct line){ .rate = mbit * 125000, .delay = delay_s, .buffer = mbit * 125000 * buffer_s,
		.other = 14480, .ours = 14480, .now = NSEC_PER_SEC };
	yield_init(&l->y, l->now);
	pass(l, 1, false);
}

static void test_uses_a_line_that_is_free(void **state)
{
	static const double delays[] = { 0.002, 0.02, 0.1 };

	for (size_t i = 0; i < 3; i++) {
		struct line l;

		start(&l, 20, delays[i], 0.3);
		pass(&l, 20, false); /* it finds its place */
		pass(&l, 20, false);
		assert_true(l.bytes > 0.8 * 20 * l.rate);
	}
}

static void test_gives_way(void **state)
{
	static const double delays[] = { 0.002, 0.02, 0.1 };

	for (size_t i = 0; i < 3; i++) {
		struct line l;

		start(&l, 20, delays[i], 0.3);
		pass(&l, 10, false);
		pass(&l, 10, true);
		pass(&l, 20, true);
		assert_true(l.other_bytes > 4 * l.bytes);
		assert_true(l.bytes > 20 * 8000); /* a trickle */
		pass(&l, 15, false);
		pass(&l, 10, false);
		assert_true(l.bytes > 0.8 * 10 * l.rate);
	}
}

static void test_nothing_without_a_queue(void **state)
{
	struct line l;

	start(&l, 8000, 0.00005, 0.01);
	pass(&l, 10, true);
	assert_true(l.y.window == YIELD_FREE);
}

/* A server that sends a piece every half second: each answer to an acknowledgement takes that long. */
static void test_a_sender_that_pauses_is_no_queue(void **state)
{
	struct yield y;
	int64_t now = NSEC_PER_SEC;

	yield_init(&y, now);
	for (unsigned i = 0; i < 100; i++) {
		now += YIELD_INTERVAL;
		yield_step(&y, &(struct yield_sample){ .now = now, .rtt_us = i == 0 ? 20000 : 200000, .bytes = 50000,
			.gap = 90 * MS });
	}
	assert_true(y.window == YIELD_FREE);
}

/* The shortest round trip is forgotten in time: another route is not a queue for ever. */
static void test_another_route(void **state)
{
	struct yield y;
	int64_t now = NSEC_PER_SEC;

	yield_init(&y, now);
	for (; now < 2 * YIELD_MEMORY + 60 * NSEC_PER_SEC; now += YIELD_INTERVAL) {
		uint32_t rtt = now < 10 * NSEC_PER_SEC ? 20000 : 200000;

		yield_step(&y, &(struct yield_sample){ .now = now, .rtt_us = rtt, .bytes = y.window < 100000 ? y.window : 100000 });
		if (now > 20 * NSEC_PER_SEC && now < YIELD_MEMORY)
			assert_int_equal(y.window, YIELD_FLOOR);
	}
	assert_true(y.window > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uses_a_line_that_is_free),
		cmocka_unit_test(test_gives_way),
		cmocka_unit_test(test_nothing_without_a_queue),
		cmocka_unit_test(test_a_sender_that_pauses_is_no_queue),
		cmocka_unit_test(test_another_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
