/* Jobs on simulated lines: a queue, a delay, senders of different manners, and windows that are lowered
 * only as fast as what was offered is used up. */
#include "model/fair.h"
#include "model/hold.h"
#include "unit.h"

#define MS NSEC_PER_MSEC
#define STEP (5 * MS)
#define LINE 25e6    /* bytes per second: 200 Mbit/s */
#define FLOWS 4
#define KERNEL_WINDOW 12e6

struct flow {
	struct fair_job job;
	struct hold hold;
	bool runs;
	unsigned line;         /* that it comes over */
	double cwnd, growth;   /* the sender's window, and by how many segments a round trip it grows */
	double server;         /* bytes per second at most; 0: no limit */
	double open;           /* the window that the sender may use */
	double sampled, total;
};

struct sim {
	struct fair fair;
	double rate[2], delay, buffer, queue[2]; /* lines */
	int64_t cut_at[2];   /* when the senders heard of a full queue */
	struct flow v[FLOWS];
	int64_t now;
};

static void start(struct sim *s, double delay)
{
	*s = (struct sim){ .rate = { LINE, LINE }, .delay = delay, .buffer = 0.05 * LINE, .now = NSEC_PER_SEC };
	fair_init(&s->fair, s->now);
}

static struct flow *join(struct sim *s, unsigned i, double growth)
{
	struct flow *w = &s->v[i];

	*w = (struct flow){ .runs = true, .cwnd = 14480, .growth = growth, .open = KERNEL_WINDOW };
	hold_init(&w->hold);
	fair_join(&s->fair, &w->job);
	return w;
}

static void leave(struct sim *s, unsigned i)
{
	s->v[i].runs = false;
	fair_leave(&s->fair, &s->v[i].job);
}

static double round_trip(const struct sim *s, const struct flow *w)
{
	return s->delay + s->queue[w->line] / s->rate[w->line];
}

static double wants(const struct sim *s, const struct flow *w)
{
	double window = w->cwnd < w->open ? w->cwnd : w->open, rate = window / round_trip(s, w);

	return !w->runs ? 0 : w->server > 0 && rate > w->server ? w->server : rate;
}

static void arrive(struct flow *w, double bytes)
{
	double target = w->hold.window == HOLD_FREE ? KERNEL_WINDOW : (double)w->hold.window;

	w->open = w->open - bytes > target ? w->open - bytes : target;
	w->job.bytes += (uint64_t)bytes;
	hold_moved(&w->hold, (uint64_t)bytes);
	w->sampled += bytes;
	w->total += bytes;
}

static void pass_line(struct sim *s, unsigned line)
{
	double dt = (double)STEP / NSEC_PER_SEC, in = 0, done, out = s->rate[line] * dt;

	for (unsigned i = 0; i < FLOWS; i++)
		in += s->v[i].line == line ? wants(s, &s->v[i]) * dt : 0;
	done = s->queue[line] + in < out ? s->queue[line] + in : out;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow *w = &s->v[i];
		double rtt = round_trip(s, w), part = w->line == line && in > 0 ? wants(s, w) * dt / in : 0;

		if (w->runs && w->line == line)
			arrive(w, done * part);
		if (w->cwnd < w->open)
			w->cwnd += 1448 * w->growth * dt / rtt;
	}
	s->queue[line] += in - done;
	if (s->queue[line] <= s->buffer)
		return;
	s->queue[line] = s->buffer;
	if (s->now - s->cut_at[line] < (int64_t)(s->delay * 1e9))
		return;
	s->cut_at[line] = s->now;
	for (unsigned i = 0; i < FLOWS; i++)
		if (s->v[i].line == line)
			s->v[i].cwnd *= 0.7;
}

static void decide(struct sim *s)
{
	int64_t passed = s->now - s->fair.stepped_at;
	struct flow *w;

	for (w = s->v; w < s->v + FLOWS; w++)
		if (w->runs && (int64_t)(round_trip(s, w) * 1e9) > s->fair.rtt)
			s->fair.rtt = (int64_t)(round_trip(s, w) * 1e9);
	if (!fair_is_due(&s->fair, s->now))
		return;
	fair_step(&s->fair, s->now);
	s->fair.rtt = 0;
	for (w = s->v; w < s->v + FLOWS; w++) {
		if (!w->runs)
			continue;
		if (passed >= FAIR_INTERVAL) {
			hold_sample(&w->hold, (uint64_t)w->sampled, passed);
			w->sampled = 0;
		}
		hold_step(&w->hold, w->job.factor, (uint32_t)(round_trip(s, w) * 1e6), (uint64_t)w->open);
		if (w->open < (double)w->hold.window)
			w->open = w->hold.window == HOLD_FREE ? KERNEL_WINDOW : (double)w->hold.window;
	}
}

static void pass(struct sim *s, double seconds)
{
	for (unsigned i = 0; i < FLOWS; i++)
		s->v[i].total = 0;
	for (int64_t end = s->now + (int64_t)(seconds * NSEC_PER_SEC); s->now < end;) {
		s->now += STEP;
		pass_line(s, 0);
		pass_line(s, 1);
		decide(s);
	}
}

static const double delays[] = { 0.001, 0.02, 0.1 };

static void test_each_gets_its_share(void **state)
{
	for (size_t d = 0; d < 3; d++) {
		double sum = 0;
		struct sim s;

		start(&s, delays[d]);
		for (unsigned i = 0; i < FLOWS; i++)
			join(&s, i, i == 0 ? 64 : i == 1 ? 4 : 16);
		pass(&s, delays[d] < 0.1 ? 5 : 40); /* what a slow sender does not ask for is not kept for him */
		pass(&s, 10);
		for (unsigned i = 0; i < FLOWS; i++)
			sum += s.v[i].total;
		for (unsigned i = 0; i < FLOWS; i++)
			assert_true(s.v[i].total > 0.9 * sum / FLOWS);
		assert_true(sum > 0.9 * 10 * LINE);
	}
}

/* The others make room before a new one has shown what it can take. */
static void test_a_new_job_is_given_room(void **state)
{
	struct sim s;

	start(&s, 0.01);
	join(&s, 0, 16);
	pass(&s, 5);
	assert_true(s.v[0].total > 0.9 * 5 * LINE);
	join(&s, 1, 64);
	pass(&s, 0.2);
	assert_true(s.v[0].job.held);
	pass(&s, 1);
	assert_true(s.v[1].total > 0.4 * LINE);
	leave(&s, 1);
	pass(&s, 0.5);
	assert_false(s.v[0].job.held);
	pass(&s, 5);
	assert_true(s.v[0].total > 0.9 * 5 * LINE);
}

static void test_what_a_slow_server_leaves_is_the_others(void **state)
{
	double sum;
	struct sim s;

	start(&s, 0.02);
	join(&s, 0, 16);
	join(&s, 1, 4)->server = LINE / 10;
	pass(&s, 5);
	pass(&s, 40);
	sum = s.v[0].total + s.v[1].total;
	assert_true(sum > 0.93 * 40 * LINE);
	assert_true(s.v[1].total > 0.9 * 40 * LINE / 10);
	assert_false(fair_is_contested(&s.fair, &s.v[1].job));
	/* The server becomes quick: it is not forgotten for long. */
	s.v[1].server = 0;
	pass(&s, 10);
	pass(&s, 10);
	assert_true(s.v[1].total > 0.4 * 10 * LINE);
}

static void test_other_lines_are_left_alone(void **state)
{
	struct sim s;

	start(&s, 0.02);
	s.rate[1] = LINE / 4;
	join(&s, 0, 16);
	join(&s, 1, 16)->line = 1;
	pass(&s, 5);
	pass(&s, 60);
	assert_true(s.v[0].total > 0.95 * 60 * LINE);
	assert_true(s.v[1].total > 0.95 * 60 * LINE / 4);
}

static void test_one_alone_is_never_held(void **state)
{
	for (size_t d = 0; d < 3; d++) {
		struct sim s;

		start(&s, delays[d]);
		join(&s, 0, 64);
		for (unsigned i = 0; i < 50; i++) {
			pass(&s, 0.1);
			assert_true(s.v[0].job.factor == FAIR_FREE && !s.v[0].hold.held);
			assert_true(s.v[0].open > s.v[0].cwnd);
		}
	}
}

/* Who is held back by a limit of his own wants no more. */
static void test_nobody_waits_for_a_limited_job(void **state)
{
	struct sim s;

	start(&s, 0.02);
	join(&s, 0, 16);
	join(&s, 1, 4)->server = LINE / 10;
	for (unsigned i = 0; i < 100; i++) {
		s.v[1].job.limited = true;
		pass(&s, 0.1);
		assert_false(s.v[0].job.held);
	}
}

/* As a sender does to measure the round trip: it goes on where it was, and nobody else suffers. */
static void test_a_pause_changes_nothing(void **state)
{
	struct sim s;
	double cwnd;

	start(&s, 0.01);
	for (unsigned i = 0; i < FLOWS; i++)
		join(&s, i, 8);
	pass(&s, 10);
	cwnd = s.v[0].cwnd;
	s.v[0].cwnd = 5792;
	s.v[0].growth = 0;
	pass(&s, 0.2);
	s.v[0].cwnd = cwnd * 2;
	s.v[0].growth = 8;
	pass(&s, 0.3);
	pass(&s, 2);
	for (unsigned i = 0; i < FLOWS; i++)
		assert_in_range((uint64_t)s.v[i].total, (uint64_t)(0.8 * 2 * LINE / FLOWS), (uint64_t)(1.2 * 2 * LINE / FLOWS));
}

/* What was offered cannot be taken back: until it is used up a window says nothing. */
static void test_a_window_is_lowered_once_at_a_time(void **state)
{
	struct hold h;
	uint64_t window;

	hold_init(&h);
	hold_sample(&h, 2500000, 100 * MS);
	hold_step(&h, 0.5, 10000, 3000000);
	window = h.window;
	assert_int_equal(window, 125000);
	hold_sample(&h, 2500000, 100 * MS);
	hold_moved(&h, 2500000);
	hold_step(&h, 0.5, 10000, 3000000);
	assert_int_equal(h.window, window);
	hold_moved(&h, 2500000);
	hold_step(&h, 0.5, 10000, 3000000);
	assert_int_equal(h.window, window / 2);
	/* and is not raised while it is not used */
	hold_sample(&h, 100000, 100 * MS);
	hold_step(&h, 1.3, 10000, 100000);
	assert_int_equal(h.window, window / 2);
	hold_step(&h, 0, 10000, 100000);
	assert_true(h.window >= HOLD_SPARE_MIN && !h.held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_gets_its_share),
		cmocka_unit_test(test_a_new_job_is_given_room),
		cmocka_unit_test(test_what_a_slow_server_leaves_is_the_others),
		cmocka_unit_test(test_other_lines_are_left_alone),
		cmocka_unit_test(test_one_alone_is_never_held),
		cmocka_unit_test(test_nobody_waits_for_a_limited_job),
		cmocka_unit_test(test_a_pause_changes_nothing),
		cmocka_unit_test(test_a_window_is_lowered_once_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
