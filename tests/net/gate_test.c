/* Who gets the connections, in simulated time and without any: the gate alone. */
#include "net/gate.h"
#include "net/worker.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define MANY 200
#define LATER (10 * NSEC_PER_SEC)

/* A transfer is a name here: the gate never looks into it. */
struct fake {
	struct ticket ticket;
};

static struct gate *gate;
static struct worker worker;
static struct worker *const workers[] = { &worker };
static struct fake fakes[4 * MANY];
static unsigned used;

static struct ticket *enter_of(uid_t uid, uint64_t serial, enum job_priority priority, const char *origin)
{
	struct ticket *t = &fakes[used++].ticket;
	struct worker *wake;

	*t = (struct ticket){ .transfer = (struct transfer *)t, .id = used, .serial = serial, .uid = uid,
		.priority = priority };
	assert_int_equal(gate_enter(gate, t, origin, workers, 1, &wake), 0);
	gate_assert_sane(gate);
	return t;
}

static struct ticket *enter(uint64_t serial, enum job_priority priority, const char *origin)
{
	return enter_of(0, serial, priority, origin);
}

static struct ticket *take(int64_t now)
{
	struct ticket *t = (struct ticket *)gate_take(gate, &worker, false, now);

	gate_assert_sane(gate);
	if (t)
		gate_set_movable(gate, t, true);
	return t;
}

static void leave(struct ticket *t)
{
	gate_leave(gate, t, 0);
	gate_assert_sane(gate);
}

static void no_wake(struct worker *w)
{
	assert_ptr_equal(w, &worker);
}

/* The transfer that is told to make room, if any is. */
static struct ticket *told(int64_t now)
{
	enum job_priority priority;
	struct ticket *found = NULL, *t;
	unsigned orders;
	uint64_t want;

	gate_relieve(gate, now, no_wake);
	while ((t = (struct ticket *)gate_orders(gate, &worker, &orders, &want, &priority))) {
		if (!(orders & ORDER_LEAVE))
			continue;
		assert_null(found);
		found = t;
	}
	return found;
}

static int start(unsigned connections, unsigned per_host)
{
	worker = (struct worker){ 0 };
	TAILQ_INIT(&worker.member.orders);
	used = 0;
	return gate_new(connections, per_host, &gate);
}

static int set_up(void **state)
{
	return start(64, 4);
}

static int tear_down(void **state)
{
	for (unsigned i = 0; i < used; i++)
		if (fakes[i].ticket.worker && fakes[i].ticket.party[AT_HOST]) {
			while (fakes[i].ticket.connections > 1)
				gate_less(gate, &fakes[i].ticket);
			leave(&fakes[i].ticket);
		}
	while (gate_drain(gate))
		;
	gate_assert_sane(gate);
	gate_free(gate);
	return 0;
}

static void test_connections_go_round_the_jobs(void **state)
{
	unsigned got[4] = { 0 };
	struct ticket *t;

	for (unsigned i = 0; i < MANY; i++)
		enter(1, PRIORITY_NORMAL, "h");
	for (unsigned i = 0; i < 3; i++) {
		enter(2, PRIORITY_NORMAL, "h");
		enter(3, PRIORITY_NORMAL, "h");
	}
	while ((t = take(0)))
		got[t->serial]++;
	assert_int_equal(got[1], 2);
	assert_int_equal(got[2] + got[3], 2);
	assert_int_equal(got[2], 1);
}

static void test_a_freed_connection_goes_to_who_has_fewest(void **state)
{
	struct ticket *first[4], *b;

	for (unsigned i = 0; i < MANY; i++)
		enter(1, PRIORITY_NORMAL, "h");
	for (unsigned i = 0; i < 4; i++)
		first[i] = take(0);
	b = enter(2, PRIORITY_NORMAL, "h");
	assert_null(take(0));
	leave(first[2]);
	assert_ptr_equal(take(0), b);
}

static void test_priorities_are_strict(void **state)
{
	struct ticket *low = enter(1, PRIORITY_LOW, "h"), *foreground, *high;

	enter(2, PRIORITY_NORMAL, "h");
	high = enter(3, PRIORITY_HIGH, "h");
	foreground = enter(4, PRIORITY_FOREGROUND, "h");
	assert_ptr_equal(take(0), foreground);
	assert_ptr_equal(take(0), high);
	gate_prioritise(gate, 1, PRIORITY_FOREGROUND, no_wake);
	gate_assert_sane(gate);
	assert_ptr_equal(take(0), low);
	assert_int_equal(low->priority, PRIORITY_FOREGROUND);
}

static void test_the_youngest_of_the_largest_job_makes_room(void **state)
{
	struct ticket *v[4], *b, *t;

	for (unsigned i = 0; i < MANY; i++)
		enter(1, PRIORITY_NORMAL, "h");
	for (unsigned i = 0; i < 4; i++)
		v[i] = take(i);
	assert_null(told(GATE_STAY / 2)); /* nobody else */
	b = enter(2, PRIORITY_NORMAL, "h");
	assert_null(told(GATE_STAY - 1)); /* they have hardly begun */
	gate_set_movable(gate, v[3], false);
	t = told(LATER);
	assert_ptr_equal(t, v[2]);
	assert_null(told(2 * LATER)); /* it is on its way out */
	leave(t);
	assert_ptr_equal(take(LATER), b);
	enter(2, PRIORITY_NORMAL, "h");
	assert_null(told(3 * LATER)); /* job 2 has one already: no swinging to and fro */
}

static void test_jobs_with_one_each_keep_it(void **state)
{
	for (uint64_t serial = 1; serial <= 8; serial++)
		enter(serial, PRIORITY_NORMAL, "h");
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(take(0));
	assert_null(told(LATER));
}

/* A server that never says how much there is, nor which version, and never ends. */
static void test_who_would_start_over_makes_room_too(void **state)
{
	struct ticket *v[4], *b, *t;

	for (unsigned i = 0; i < MANY; i++)
		enter(1, PRIORITY_NORMAL, "h");
	for (unsigned i = 0; i < 4; i++) {
		v[i] = take(i);
		gate_set_movable(gate, v[i], false);
	}
	b = enter(2, PRIORITY_NORMAL, "h");
	assert_null(told(GATE_STAY - 1));
	t = told(LATER);
	assert_ptr_equal(t, v[3]);
	leave(t);
	assert_ptr_equal(take(LATER), b);
	gate_set_movable(gate, b, false);
	enter(1, PRIORITY_NORMAL, "h"); /* v[3] again, from its beginning */
	assert_null(told(2 * LATER));

	/* Who comes after them has his; each keeps one, of the first what it began first. */
	enter(3, PRIORITY_NORMAL, "h");
	gate_set_movable(gate, v[1], true);
	assert_ptr_equal(told(3 * LATER), v[1]); /* it has less to lose than a younger one */
	leave(v[1]);
	gate_set_movable(gate, take(3 * LATER), false);
	enter(4, PRIORITY_NORMAL, "h");
	assert_ptr_equal(told(4 * LATER), v[2]);
	leave(v[2]);
	gate_set_movable(gate, take(4 * LATER), false);
	enter(5, PRIORITY_NORMAL, "h");
	assert_null(told(5 * LATER));
	enter(6, PRIORITY_HIGH, "h");
	assert_non_null(told(6 * LATER));
	assert_int_equal(v[0]->connections, 1);
}

/* Who has most is waited for, rather than that another gives who has less. */
static void test_who_has_less_does_not_give_for_who_has_most(void **state)
{
	struct ticket *t;

	tear_down(state);
	assert_int_equal(start(64, 8), 0);
	for (unsigned i = 0; i < 2; i++)
		enter(1, PRIORITY_NORMAL, "h");
	while ((t = take(0)))
		;
	for (unsigned i = 0; i < 6; i++)
		enter(2, PRIORITY_NORMAL, "h");
	while ((t = take(LATER)))
		gate_set_movable(gate, t, false);
	enter(3, PRIORITY_NORMAL, "h");
	assert_null(told(LATER + GATE_STAY / 2)); /* those of 2 have hardly begun */
	t = told(LATER + GATE_STAY);
	assert_non_null(t);
	assert_int_equal(t->serial, 2);
}

static void test_a_user_of_many_jobs_keeps_nobody_waiting(void **state)
{
	struct ticket *v[4], *b, *c, *t;

	for (uint64_t serial = 1; serial <= 8; serial++)
		enter_of(1001, serial, PRIORITY_NORMAL, "h");
	for (unsigned i = 0; i < 4; i++) {
		v[i] = take(i);
		gate_set_movable(gate, v[i], false);
	}
	assert_null(told(LATER)); /* among his own jobs each keeps its one */
	b = enter_of(1002, 20, PRIORITY_NORMAL, "h");
	enter_of(1002, 20, PRIORITY_NORMAL, "h");
	enter_of(1002, 21, PRIORITY_NORMAL, "h");
	t = told(2 * LATER);
	assert_ptr_equal(t, v[3]);
	leave(t);
	assert_ptr_equal(take(2 * LATER), b); /* before those of 1001 that have waited longer */
	assert_null(told(3 * LATER));         /* he has one: no swinging to and fro */
	leave(b);
	b = take(3 * LATER);
	assert_int_equal(b->uid, 1002);       /* his next comes in its place */

	c = enter_of(1003, 30, PRIORITY_NORMAL, "h");
	assert_ptr_equal(told(4 * LATER), v[2]);
	leave(v[2]);
	assert_ptr_equal(take(4 * LATER), c);
	enter_of(1004, 40, PRIORITY_LOW, "h");
	assert_null(told(5 * LATER));         /* not from those above */
	gate_prioritise(gate, 40, PRIORITY_NORMAL, no_wake);
	gate_assert_sane(gate);
	assert_ptr_equal(told(6 * LATER), v[1]);
	leave(v[1]);
	assert_int_equal(take(6 * LATER)->uid, 1004);
	enter_of(1005, 50, PRIORITY_NORMAL, "h");
	assert_null(told(7 * LATER));         /* everybody has but one */
}

/* One that is told to leave ends, or else any that runs. */
static void end_some(struct ticket **running, unsigned *n, int64_t now, unsigned which)
{
	enum job_priority priority;
	struct ticket *t;
	unsigned orders, i;
	uint64_t want;

	gate_relieve(gate, now, no_wake);
	t = *n ? running[which % *n] : NULL;
	for (i = 0; i < *n; i++)
		if (running[i]->leaving)
			t = running[i];
	while (gate_orders(gate, &worker, &orders, &want, &priority))
		;
	for (i = 0; i < *n; i++)
		if (running[i] == t)
			running[i] = running[--*n];
	if (t)
		leave(t);
}

/* Users, jobs, hosts and priorities at random: the lists are right after each step, and all have their turn. */
static void test_anybody_has_his_turn(void **state)
{
	static const char *const hosts[] = { "h1", "h2", "h3" };
	uint64_t random = 5;
	struct ticket *running[8], *t;
	unsigned n = 0;
	int64_t now = 0;

	tear_down(state);
	assert_int_equal(start(8, 4), 0);
	for (unsigned i = 0; i < 4 * MANY || n; i++) {
		unsigned r, serial;

		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		r = (unsigned)(random >> 33);
		serial = r % 12;
		now += NSEC_PER_SEC;
		if (used < 2 * MANY)
			enter_of(serial % 4, serial, PRIORITY_NORMAL, hosts[r / 12 % 3]);
		if (r / 36 % 4 == 0)
			gate_prioritise(gate, r / 144 % 12, (enum job_priority)(r / 1728 % PRIORITY_MAX), no_wake);
		gate_assert_sane(gate);
		while ((t = take(now))) {
			gate_set_movable(gate, t, t->id % 3);
			running[n++] = t;
		}
		if (r / 7000 % 2)
			end_some(running, &n, now, r / 14000);
	}
	for (unsigned i = 0; i < used; i++)
		assert_null(fakes[i].ticket.party[IN_ALL]);
}

static void test_a_higher_job_takes_all_it_can_use(void **state)
{
	struct ticket *t;

	for (unsigned i = 0; i < 8; i++)
		enter(1, PRIORITY_LOW, "h");
	while (take(0))
		;
	for (unsigned i = 0; i < 3; i++)
		enter(2, PRIORITY_HIGH, "h");
	for (unsigned i = 1; i <= 3; i++) {
		t = told(i * LATER);
		assert_non_null(t);
		assert_int_equal(t->serial, 1);
		leave(t);
		assert_int_equal(take(i * LATER)->serial, 2);
	}
	assert_null(told(9 * LATER)); /* nothing of it waits */
	enter(3, PRIORITY_LOW, "h");
	assert_null(told(10 * LATER)); /* and lower ones do not displace it, nor the last of their own */
}

static void test_segments_are_given_up_first(void **state)
{
	struct ticket *big = enter(1, PRIORITY_NORMAL, "h"), *small;

	assert_ptr_equal(take(0), big);
	for (unsigned i = 0; i < 3; i++)
		assert_true(gate_more(gate, big));
	assert_false(gate_more(gate, big));
	assert_false(gate_wanted(gate, big));
	small = enter(2, PRIORITY_NORMAL, "h");
	assert_null(told(LATER));
	assert_true(gate_wanted(gate, big));
	gate_less(gate, big);
	assert_ptr_equal(take(LATER), small);
	assert_false(gate_wanted(gate, big));
	/* 3 to 1: one more changes sides, then they are even. */
	enter(2, PRIORITY_NORMAL, "h");
	assert_true(gate_wanted(gate, big));
	gate_less(gate, big);
	assert_int_equal(take(LATER)->serial, 2);
	enter(2, PRIORITY_NORMAL, "h");
	assert_false(gate_wanted(gate, big));
	enter(3, PRIORITY_LOW, "h");
	assert_false(gate_wanted(gate, big));
	/* Its own other files come before its segments. */
	enter(1, PRIORITY_NORMAL, "h");
	assert_true(gate_wanted(gate, big));
}

static void test_the_limit_of_all_is_shared_as_well(void **state)
{
	char host[16];
	struct ticket *b, *t;

	tear_down(state);
	assert_int_equal(start(4, 4), 0);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(host, sizeof host, "h%u", i);
		enter(1, PRIORITY_NORMAL, host);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(take(0));
	b = enter(2, PRIORITY_NORMAL, "elsewhere");
	t = told(LATER);
	assert_non_null(t);
	leave(t);
	assert_ptr_equal(take(LATER), b);
	assert_null(told(2 * LATER));
	leave(b);
	assert_int_equal(take(2 * LATER)->serial, 1);
}

static void test_orders(void **state)
{
	struct ticket *a = enter(1, PRIORITY_NORMAL, "h"), *b = enter(1, PRIORITY_NORMAL, "h");
	enum job_priority priority;
	struct worker *wake;
	unsigned orders;
	uint64_t want;

	assert_ptr_equal(take(0), a);
	assert_ptr_equal(gate_order(gate, b->id, ORDER_CEASE, 0, &wake), b);
	gate_assert_sane(gate);
	assert_null(take(0));
	assert_null(gate_order(gate, a->id, ORDER_WANT, 77, &wake));
	assert_ptr_equal(wake, &worker);
	gate_prioritise(gate, 1, PRIORITY_HIGH, no_wake);
	assert_ptr_equal(gate_orders(gate, &worker, &orders, &want, &priority), a);
	assert_int_equal(orders, ORDER_WANT | ORDER_PRIORITY);
	assert_int_equal(want, 77);
	assert_int_equal(priority, PRIORITY_HIGH);
	gate_order(gate, a->id, ORDER_CEASE, 0, &wake);
	leave(a);
	assert_null(gate_orders(gate, &worker, &orders, &want, &priority));
}

/* Two huge files: who came first has all connections, and gives up half of them. */
static void test_two_files_share_a_host(void **state)
{
	struct ticket *a = enter(1, PRIORITY_NORMAL, "h"), *b;
	unsigned given = 0;

	assert_ptr_equal(take(0), a);
	while (gate_more(gate, a))
		;
	assert_false(gate_wanted(gate, a)); /* denied more itself: nobody has fewer */
	b = enter(2, PRIORITY_NORMAL, "h");
	assert_true(gate_wanted(gate, a));
	gate_less(gate, a);
	assert_ptr_equal(take(0), b);
	assert_false(gate_wanted(gate, a)); /* nobody has asked for more yet */
	while (!gate_more(gate, b) && gate_wanted(gate, a)) {
		gate_less(gate, a);
		assert_true(gate_more(gate, b));
		given++;
		gate_assert_sane(gate);
	}
	assert_int_equal(given, 1);
	assert_int_equal(a->connections, 2);
	assert_int_equal(b->connections, 2);
	assert_false(gate_wanted(gate, b));
	leave(a);
	leave(b);
}

static void test_a_host_that_refuses_gets_fewer(void **state)
{
	struct ticket *v[6];
	enum job_priority priority;
	struct worker *wake;
	unsigned orders;
	uint64_t want;

	for (unsigned i = 0; i < 6; i++)
		v[i] = enter(1, PRIORITY_NORMAL, "h");
	for (unsigned i = 0; i < 4; i++)
		assert_ptr_equal(take(0), v[i]);
	for (unsigned i = 2; i < 4; i++) {
		assert_true(gate_refused(gate, v[i], 0));
		assert_null(gate_back(gate, v[i]));
		gate_assert_sane(gate);
	}
	/* Two are served; the next begins when one of them ends, and the refused ones come again. */
	assert_null(take(0));
	leave(v[0]);
	assert_ptr_equal(take(0), v[4]);
	assert_null(take(0));
	leave(v[1]);
	assert_ptr_equal(take(0), v[5]);
	leave(v[4]);
	assert_ptr_equal(take(0), v[2]);
	/* After a while it is tried with one more, and only with one. */
	assert_int_equal(gate_relieve(gate, LATER - 1, no_wake), 0);
	assert_int_equal(gate_relieve(gate, 2 * LATER - 1, no_wake), 1);
	gate_assert_sane(gate);
	assert_ptr_equal(take(2 * LATER), v[3]);
	assert_int_equal(gate_relieve(gate, 2 * LATER, no_wake), 0);
	/* Who is told to end does not go back. */
	gate_order(gate, v[3]->id, ORDER_CEASE, 0, &wake);
	assert_false(gate_refused(gate, v[3], 2 * LATER));
	assert_non_null(gate_orders(gate, &worker, &orders, &want, &priority));
	leave(v[3]);
	assert_false(gate_served(gate, v[2], 0));
	gate_leave(gate, v[2], LATER);
	/* Another was served a moment ago. */
	assert_true(gate_served(gate, v[5], LATER));
	assert_false(gate_served(gate, v[5], LATER + 1));
	/* The only one is not refused for the sake of others. */
	assert_false(gate_refused(gate, v[5], 2 * LATER));
	leave(v[5]);
}

/* The core may tell a transfer to end at any moment: also between the host's refusal and its going back. */
static void test_who_is_told_to_end_while_he_goes_back(void **state)
{
	struct ticket *a = enter(1, PRIORITY_NORMAL, "h"), *b = enter(2, PRIORITY_NORMAL, "h");
	struct worker *wake;

	assert_ptr_equal(take(0), a);
	assert_ptr_equal(take(0), b);
	assert_true(gate_refused(gate, b, 0));
	assert_null(gate_order(gate, b->id, ORDER_CEASE, 0, &wake));
	assert_ptr_equal(gate_back(gate, b), b);
	gate_assert_sane(gate);
	leave(a);
	assert_null(take(0));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_connections_go_round_the_jobs), T(test_a_freed_connection_goes_to_who_has_fewest),
		T(test_priorities_are_strict), T(test_the_youngest_of_the_largest_job_makes_room),
		T(test_jobs_with_one_each_keep_it), T(test_who_would_start_over_makes_room_too),
		T(test_who_has_less_does_not_give_for_who_has_most), T(test_a_user_of_many_jobs_keeps_nobody_waiting),
		T(test_anybody_has_his_turn), T(test_a_higher_job_takes_all_it_can_use),
		T(test_segments_are_given_up_first), T(test_the_limit_of_all_is_shared_as_well), T(test_orders), T(test_who_is_told_to_end_while_he_goes_back),
		T(test_two_files_share_a_host),
		T(test_a_host_that_refuses_gets_fewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
