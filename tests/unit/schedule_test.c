/* Which files run: the scheduler with a core that plays along. */
#include "model/schedule.h"

#include "base/parse.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

enum { RUNNING_MAX = 512 };

/* The core's part: what runs, and which of it was told to stop. */
struct sim {
	struct sched *sched;
	struct run {
		uint64_t serial;
		uint32_t file;
		bool stopping;
	} runs[RUNNING_MAX];
	size_t n;
	size_t stops; /* in the last pump */
};

static struct sim sim_new(uint32_t window, uint32_t per_job, uint32_t running_jobs)
{
	struct sim sim = { 0 };
	const struct sched_limits limits = {
		.window = window,
		.per_job = per_job,
		.running_jobs = running_jobs,
	};

	assert_int_equal(sched_new(&limits, &sim.sched), 0);
	return sim;
}

static void sim_add(struct sim *sim, uint64_t serial, enum job_priority priority, uint32_t nfiles)
{
	assert_int_equal(sched_join(sim->sched, serial, priority), 0);
	for (uint32_t file = 1; file <= nfiles; file++)
		assert_int_equal(sched_file_waits(sim->sched, serial, file, false), 0);
	sched_assert_sane(sim->sched);
}

/* The youngest that was not told yet, as the core chooses. There may be none: the scheduler
 * cannot know whether a transfer that has ended was the one that was told to. */
static void sim_stop_one(struct sim *sim, uint64_t serial)
{
	for (size_t i = sim->n; i > 0; i--) {
		struct run *run = &sim->runs[i - 1];

		if (run->serial == serial && !run->stopping) {
			run->stopping = true;
			return;
		}
	}
	assert_true(sched_running(sim->sched, serial) > 0);
}

/* Does all that the scheduler says; returns how many were started. */
static size_t pump(struct sim *sim)
{
	size_t started = 0;

	sim->stops = 0;
	for (;;) {
		struct sched_step step = sched_next(sim->sched);

		sched_assert_sane(sim->sched);
		if (step.action == SCHED_NOTHING)
			return started;
		if (step.action == SCHED_STOP) {
			sim_stop_one(sim, step.serial);
			sim->stops++;
			continue;
		}
		for (size_t i = 0; i < sim->n; i++)
			assert_false(sim->runs[i].serial == step.serial &&
				sim->runs[i].file == step.file);
		assert_true(sim->n < RUNNING_MAX);
		sim->runs[sim->n++] = (struct run){ .serial = step.serial, .file = step.file };
		started++;
	}
}

/* Run number I ends after BYTES; WAITS: it was stopped, and waits again. */
static void sim_end(struct sim *sim, size_t i, uint64_t bytes, bool waits)
{
	struct run run = sim->runs[i];

	memmove(&sim->runs[i], &sim->runs[i + 1], (sim->n - i - 1) * sizeof(run));
	sim->n--;
	sched_served(sim->sched, run.serial, bytes);
	if (waits)
		assert_int_equal(sched_file_waits(sim->sched, run.serial, run.file, false), 0);
	sched_ended(sim->sched, run.serial);
	sched_assert_sane(sim->sched);
}

static void sim_end_stopped(struct sim *sim)
{
	for (size_t i = sim->n; i > 0; i--)
		if (sim->runs[i - 1].stopping)
			sim_end(sim, i - 1, 0, true);
}

static size_t runs_of(const struct sim *sim, uint64_t serial)
{
	size_t n = 0;

	for (size_t i = 0; i < sim->n; i++)
		n += sim->runs[i].serial == serial;
	assert_int_equal(n, sched_running(sim->sched, serial));
	return n;
}

/* --- levels ----------------------------------------------------------------------------------- */

static void strictly_by_priority(void **state)
{
	static const uint64_t order[] = { 4, 4, 2, 2, 3, 3, 1, 1 };
	struct sim sim = sim_new(1, 10, 10);

	sim_add(&sim, 1, PRIORITY_LOW, 2);
	sim_add(&sim, 2, PRIORITY_HIGH, 2);
	sim_add(&sim, 3, PRIORITY_NORMAL, 2);
	sim_add(&sim, 4, PRIORITY_FOREGROUND, 2);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_int_equal(pump(&sim), 1);
		assert_int_equal(sim.runs[0].serial, order[i]);
		sim_end(&sim, 0, 100 * MIB, false); /* bytes do not matter between levels */
	}
	assert_int_equal(pump(&sim), 0);
	sched_free(sim.sched);
}

static void the_lowest_level_gives_way(void **state)
{
	struct sim sim = sim_new(6, 10, 10);

	sim_add(&sim, 1, PRIORITY_NORMAL, 3);
	sim_add(&sim, 2, PRIORITY_LOW, 3);
	assert_int_equal(pump(&sim), 6);
	sim_add(&sim, 3, PRIORITY_HIGH, 2);
	assert_int_equal(pump(&sim), 0);
	assert_int_equal(sim.stops, 2); /* as many as are needed, no more, and only once */
	assert_int_equal(pump(&sim), 0);
	assert_int_equal(sim.stops, 0);
	for (size_t i = 0; i < sim.n; i++)
		assert_true(!sim.runs[i].stopping || sim.runs[i].serial == 2);
	sim_end_stopped(&sim);
	assert_int_equal(pump(&sim), 2);
	assert_int_equal(runs_of(&sim, 3), 2);
	assert_int_equal(runs_of(&sim, 1), 3);
	assert_int_equal(runs_of(&sim, 2), 1);
	assert_int_equal(sim.stops, 0);

	/* Ten more take the rest of the low one, then the normal one's. */
	for (uint32_t file = 3; file <= 12; file++)
		assert_int_equal(sched_file_waits(sim.sched, 3, file, false), 0);
	pump(&sim);
	assert_int_equal(sim.stops, 4);
	sim_end_stopped(&sim);
	pump(&sim);
	assert_int_equal(runs_of(&sim, 3), 6);
	assert_int_equal(sim.stops, 0);
	sched_free(sim.sched);
}

static void all_foreground_jobs_run(void **state)
{
	struct sim sim = sim_new(8, 4, 1);

	for (uint64_t serial = 1; serial <= 5; serial++)
		sim_add(&sim, serial, PRIORITY_FOREGROUND, 1);
	sim_add(&sim, 10, PRIORITY_NORMAL, 1);
	sim_add(&sim, 11, PRIORITY_NORMAL, 1);
	assert_int_equal(pump(&sim), 6); /* running_jobs binds those in the background */
	assert_int_equal(runs_of(&sim, 10) + runs_of(&sim, 11), 1);
	sched_free(sim.sched);

	/* A foreground job whose large files fill the window shares it with the next one. */
	sim = sim_new(4, 100, 1);
	sim_add(&sim, 1, PRIORITY_FOREGROUND, 10);
	assert_int_equal(pump(&sim), 4);
	sched_served(sim.sched, 1, 5 * MIB);
	sim_add(&sim, 2, PRIORITY_FOREGROUND, 10);
	pump(&sim);
	assert_int_equal(sim.stops, 1);
	sim_end_stopped(&sim);
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(runs_of(&sim, 2), 1);
	assert_int_equal(sim.stops, 0); /* and that is enough: no going to and fro */
	sched_free(sim.sched);
}

static void a_changed_priority_counts_at_once(void **state)
{
	struct sim sim = sim_new(2, 10, 10);

	sim_add(&sim, 1, PRIORITY_NORMAL, 4);
	sim_add(&sim, 2, PRIORITY_LOW, 4);
	assert_int_equal(pump(&sim), 2);
	assert_int_equal(runs_of(&sim, 1), 2);
	sched_set_priority(sim.sched, 2, PRIORITY_FOREGROUND);
	sched_assert_sane(sim.sched);
	pump(&sim);
	assert_int_equal(sim.stops, 2);
	sim_end_stopped(&sim);
	pump(&sim);
	assert_int_equal(runs_of(&sim, 2), 2);
	sched_free(sim.sched);
}

/* --- within a level --------------------------------------------------------------------------- */

static void round_robin_by_bytes(void **state)
{
	struct sim sim = sim_new(1, 10, 10);
	uint64_t served[3] = { 0 };

	sim_add(&sim, 1, PRIORITY_NORMAL, 1000);
	sim_add(&sim, 2, PRIORITY_NORMAL, 1000);
	for (int i = 0; i < 400; i++) {
		uint64_t serial, bytes;

		assert_int_equal(pump(&sim), 1);
		serial = sim.runs[0].serial;
		bytes = serial == 1 ? 7 * MIB : 1 * MIB;
		served[serial] += bytes;
		sim_end(&sim, 0, bytes, false);
		assert_true(served[1] <= served[2] + 8 * MIB && served[2] <= served[1] + 8 * MIB);
	}
	sched_free(sim.sched);
}

static void a_new_job_has_not_saved_up(void **state)
{
	struct sim sim = sim_new(1, 10, 10);
	uint64_t first = 0, second = 0;

	sim_add(&sim, 1, PRIORITY_NORMAL, 1000);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pump(&sim), 1);
		sim_end(&sim, 0, 100 * MIB, false);
	}
	sim_add(&sim, 2, PRIORITY_NORMAL, 1000);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pump(&sim), 1);
		first += sim.runs[0].serial == 1;
		second += sim.runs[0].serial == 2;
		sim_end(&sim, 0, 100 * MIB, false);
	}
	assert_in_range(first, 9, 11);
	assert_in_range(second, 9, 11);
	sched_free(sim.sched);
}

/* The window of one turn is shared although nothing was served between the starts. */
static void slots_of_one_turn_are_spread(void **state)
{
	struct sim sim = sim_new(12, 100, 10);

	sim_add(&sim, 1, PRIORITY_NORMAL, 100);
	sim_add(&sim, 2, PRIORITY_NORMAL, 100);
	sim_add(&sim, 3, PRIORITY_NORMAL, 2);
	assert_int_equal(pump(&sim), 12);
	assert_int_equal(runs_of(&sim, 1), 5);
	assert_int_equal(runs_of(&sim, 2), 5);
	assert_int_equal(runs_of(&sim, 3), 2);
	sched_free(sim.sched);
}

static void per_job_binds_while_others_can_use_the_slot(void **state)
{
	struct sim sim = sim_new(10, 2, 10);

	sim_add(&sim, 1, PRIORITY_NORMAL, 100);
	assert_int_equal(pump(&sim), 10); /* alone: all of them */
	sim_add(&sim, 2, PRIORITY_NORMAL, 3);
	sched_served(sim.sched, 2, 1000 * MIB); /* the first would always be next by bytes */
	for (int i = 0; i < 2; i++) {
		sim_end(&sim, 0, 0, false);
		assert_int_equal(pump(&sim), 1);
	}
	assert_int_equal(runs_of(&sim, 2), 2);
	sim_end(&sim, 0, 0, false);
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(runs_of(&sim, 1), 8); /* both have had theirs: by bytes again */
	sched_free(sim.sched);
}

static void many_files_do_not_starve_two(void **state)
{
	struct sim sim = sim_new(8, 4, 4);
	size_t ends = 0;

	sim_add(&sim, 1, PRIORITY_NORMAL, 100000);
	assert_int_equal(pump(&sim), 8);
	for (int i = 0; i < 1000; i++) {
		sim_end(&sim, 0, 10000, false);
		pump(&sim);
	}
	sim_add(&sim, 2, PRIORITY_NORMAL, 2);
	pump(&sim);
	for (; runs_of(&sim, 2) < 2; ends++) {
		sim_end(&sim, 0, 10000, false);
		pump(&sim);
	}
	assert_in_range(ends, 1, 3); /* the next slots that come back are theirs */
	sched_free(sim.sched);
}

/* Transfers that never end fill the window: who comes has a slot nevertheless, and keeps it. */
static void a_job_that_runs_nothing_gets_a_slot(void **state)
{
	struct sim sim = sim_new(12, 4, 4);

	sim_add(&sim, 1, PRIORITY_NORMAL, 8);
	sim_add(&sim, 2, PRIORITY_NORMAL, 2);
	assert_int_equal(pump(&sim), 10);
	for (uint32_t file = 9; file <= 12; file++)
		assert_int_equal(sched_file_waits(sim.sched, 1, file, false), 0);
	assert_int_equal(pump(&sim), 2);
	sim_add(&sim, 3, PRIORITY_NORMAL, 100);
	sim_add(&sim, 4, PRIORITY_LOW, 1); /* not for one below them */
	pump(&sim);
	assert_int_equal(sim.stops, 1);
	assert_true(sim.runs[sim.n - 1].stopping);
	assert_int_equal(sim.runs[sim.n - 1].serial, 1); /* of who has most, and the youngest */
	sim_end_stopped(&sim);
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(runs_of(&sim, 3), 1);
	assert_int_equal(sim.stops, 0);

	/* The next file has the slot of the last, also when its job has been served more than the others. */
	for (int i = 0; i < 50; i++) {
		sim_end(&sim, sim.n - 1, 100 * MIB, false);
		assert_int_equal(pump(&sim), 1);
		assert_int_equal(runs_of(&sim, 3), 1);
		assert_int_equal(sim.stops, 0);
	}
	/* The rule of running_jobs: the fourth may begin, the fifth not. */
	sim_add(&sim, 5, PRIORITY_NORMAL, 1);
	sim_add(&sim, 6, PRIORITY_NORMAL, 1);
	pump(&sim);
	assert_int_equal(sim.stops, 1);
	sim_end_stopped(&sim);
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(runs_of(&sim, 5) + runs_of(&sim, 6), 1);
	assert_int_equal(sim.stops, 0);
	sched_free(sim.sched);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void so_many_background_jobs_at_once(void **state)
{
	struct sim sim = sim_new(100, 100, 2);

	sim_add(&sim, 1, PRIORITY_NORMAL, 1);
	sim_add(&sim, 2, PRIORITY_NORMAL, 1);
	sim_add(&sim, 3, PRIORITY_NORMAL, 1);
	sim_add(&sim, 4, PRIORITY_LOW, 1);
	assert_int_equal(pump(&sim), 2);
	assert_int_equal(sim.stops, 0);
	sim_end(&sim, 0, MIB, false);
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(runs_of(&sim, 3), 1);
	sim_end(&sim, 0, MIB, false);
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(runs_of(&sim, 4), 1);

	/* A higher one takes a whole job's place. */
	for (uint32_t file = 2; file <= 5; file++)
		assert_int_equal(sched_file_waits(sim.sched, 4, file, false), 0);
	assert_int_equal(pump(&sim), 4);
	sim_add(&sim, 5, PRIORITY_HIGH, 1);
	assert_int_equal(pump(&sim), 0);
	assert_int_equal(sim.stops, 5);
	sim_end_stopped(&sim);
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(runs_of(&sim, 5), 1);
	assert_int_equal(runs_of(&sim, 4), 0);
	assert_int_equal(sim.stops, 0);
	sched_free(sim.sched);
}

static void a_held_job_starts_nothing(void **state)
{
	struct sim sim = sim_new(1, 10, 10);

	sim_add(&sim, 1, PRIORITY_HIGH, 5);
	sim_add(&sim, 2, PRIORITY_LOW, 5);
	sched_hold(sim.sched, 1, true);
	sched_assert_sane(sim.sched);
	assert_true(sched_waiting(sim.sched, 1));
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(runs_of(&sim, 2), 1); /* who cannot use his turn gives it up */
	sched_hold(sim.sched, 1, false);
	pump(&sim);
	assert_int_equal(sim.stops, 1);
	sched_free(sim.sched);
}

static void slots_come_back_when_transfers_have_ended(void **state)
{
	struct sim sim = sim_new(4, 10, 10);

	sim_add(&sim, 1, PRIORITY_NORMAL, 10);
	assert_int_equal(pump(&sim), 4);
	sched_leave(sim.sched, 1);
	sched_assert_sane(sim.sched);
	assert_false(sched_waiting(sim.sched, 1));
	assert_int_equal(sched_file_waits(sim.sched, 1, 1, false), -ENOENT);
	sim_add(&sim, 2, PRIORITY_HIGH, 10);
	assert_int_equal(pump(&sim), 0); /* they still run, and will end: nothing to stop */
	assert_int_equal(sim.stops, 0);
	sim_end(&sim, 0, MIB, false);
	assert_int_equal(pump(&sim), 1);
	sim_add(&sim, 1, PRIORITY_NORMAL, 10); /* suspended and resumed meanwhile */
	for (int i = 0; i < 3; i++)
		sim_end(&sim, 0, MIB, false);
	assert_int_equal(pump(&sim), 3);
	assert_int_equal(runs_of(&sim, 2), 4);
	sched_leave(sim.sched, 1);
	sched_leave(sim.sched, 2);
	while (sim.n)
		sim_end(&sim, 0, 0, false);
	sched_ended(sim.sched, 2); /* a late message about something gone */
	assert_int_equal(sched_running(sim.sched, 2), 0);
	assert_int_equal(pump(&sim), 0);
	sched_free(sim.sched);
}

/* --- files of one job ------------------------------------------------------------------------- */

static void a_reader_is_served_first(void **state)
{
	static const uint32_t order[] = { 7, 5, 1, 2, 3, 4, 6, 8 };
	struct sim sim = sim_new(1, 10, 10);

	sim_add(&sim, 1, PRIORITY_NORMAL, 8);
	for (int i = 0; i < 100; i++) { /* said in each turn in which he waits */
		assert_int_equal(sched_file_waits(sim.sched, 1, 7, true), 0);
		assert_int_equal(sched_file_waits(sim.sched, 1, 5, true), 0);
	}
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_int_equal(pump(&sim), 1);
		assert_int_equal(sim.runs[0].file, order[i]);
		sim_end(&sim, 0, 1, false);
	}
	assert_int_equal(pump(&sim), 0);
	assert_false(sched_waiting(sim.sched, 1));
	assert_int_equal(sched_file_waits(sim.sched, 1, 7, false), 0);
	assert_int_equal(pump(&sim), 1);
	assert_int_equal(sim.runs[0].file, 7);
	sched_free(sim.sched);
}

/* --- anything --------------------------------------------------------------------------------- */

enum { JOBS = 12, FILES = 40 };

struct soak {
	struct sim sim;
	bool joined[JOBS + 1], held[JOBS + 1], done[JOBS + 1][FILES + 1];
	enum job_priority priority[JOBS + 1];
};

static void soak_join(struct soak *k, uint64_t serial, enum job_priority priority)
{
	assert_int_equal(sched_join(k->sim.sched, serial, priority), 0);
	k->joined[serial] = true;
	k->priority[serial] = priority;
	for (uint32_t file = 1; file <= FILES; file++) {
		bool runs = k->done[serial][file];

		for (size_t i = 0; i < k->sim.n; i++)
			runs |= k->sim.runs[i].serial == serial && k->sim.runs[i].file == file;
		if (!runs)
			assert_int_equal(sched_file_waits(k->sim.sched, serial, file, false), 0);
	}
}

static void soak_end(struct soak *k, size_t i, bool whole)
{
	struct run run = k->sim.runs[i];

	k->done[run.serial][run.file] = whole;
	sim_end(&k->sim, i, run.file * 10000, !whole && k->joined[run.serial]);
}

static void soak_step(struct soak *k, uint64_t *random)
{
	uint64_t serial = 1 + test_random(random) % JOBS;
	enum job_priority priority = (enum job_priority)(test_random(random) % PRIORITY_MAX);

	switch (test_random(random) % 8) {
	case 0:
		if (k->joined[serial]) {
			sched_leave(k->sim.sched, serial);
			for (size_t i = 0; i < k->sim.n; i++)
				k->sim.runs[i].stopping |= k->sim.runs[i].serial == serial;
			k->joined[serial] = k->held[serial] = false;
		} else {
			soak_join(k, serial, priority);
		}
		break;
	case 1:
		if (k->joined[serial]) {
			sched_set_priority(k->sim.sched, serial, priority);
			k->priority[serial] = priority;
		}
		break;
	case 2:
		k->held[serial] = k->joined[serial] && !k->held[serial];
		sched_hold(k->sim.sched, serial, k->held[serial]);
		break;
	default:
		if (k->sim.n) {
			size_t i = test_random(random) % k->sim.n;

			soak_end(k, i, !k->sim.runs[i].stopping);
		}
	}
	sched_assert_sane(k->sim.sched);
}

/* A job of the level waits, runs nothing, and may. */
static bool soak_idle(const struct soak *k, int level, bool room)
{
	for (uint64_t serial = 1; serial <= JOBS; serial++)
		if (k->joined[serial] && !k->held[serial] && (int)k->priority[serial] == level &&
		    sched_waiting(k->sim.sched, serial) && !sched_running(k->sim.sched, serial))
			return room || level == PRIORITY_FOREGROUND;
	return false;
}

/* When there is nothing to do, nobody waits for a slot that is free or that someone below him
 * has; nor, if he has none, for one of an equal's several. */
static void soak_assert_settled(const struct soak *k, const struct sched_limits *limits)
{
	uint32_t background = 0;
	bool stopping = false, waits = false;
	int highest = PRIORITY_MAX;

	for (uint64_t serial = 1; serial <= JOBS; serial++) {
		uint32_t running = sched_running(k->sim.sched, serial);

		background += running && k->priority[serial] != PRIORITY_FOREGROUND;
		if (k->joined[serial] && !k->held[serial] && sched_waiting(k->sim.sched, serial)) {
			waits = true;
			if ((int)k->priority[serial] < highest)
				highest = k->priority[serial];
		}
	}
	for (size_t i = 0; i < k->sim.n; i++)
		stopping |= k->sim.runs[i].stopping;
	if (!waits || stopping)
		return;
	assert_true(k->sim.n == limits->window || background >= limits->running_jobs);
	for (size_t i = 0; i < k->sim.n; i++)
		assert_true((int)k->priority[k->sim.runs[i].serial] <= highest);
	if (!soak_idle(k, highest, background < limits->running_jobs))
		return;
	for (uint64_t serial = 1; serial <= JOBS; serial++)
		assert_true((int)k->priority[serial] != highest || sched_running(k->sim.sched, serial) <= 1);
}

static void anything_settles_and_ends(void **state)
{
	const struct sched_limits limits = { .window = 9, .per_job = 3, .running_jobs = 4 };
	uint64_t random = 7;

	for (int round = 0; round < 30; round++) {
		static struct soak k;

		memset(&k, 0, sizeof(k));
		k.sim = sim_new(limits.window, limits.per_job, limits.running_jobs);
		for (int i = 0; i < 300; i++) {
			soak_step(&k, &random);
			pump(&k.sim);
			soak_assert_settled(&k, &limits);
		}
		/* Left alone, all of it is done, each file once. */
		for (uint64_t serial = 1; serial <= JOBS; serial++) {
			if (!k.joined[serial])
				soak_join(&k, serial, PRIORITY_NORMAL);
			k.held[serial] = false;
			sched_hold(k.sim.sched, serial, false);
		}
		for (pump(&k.sim); k.sim.n; pump(&k.sim)) {
			size_t i = test_random(&random) % k.sim.n;

			soak_end(&k, i, !k.sim.runs[i].stopping);
		}
		for (uint64_t serial = 1; serial <= JOBS; serial++)
			for (uint32_t file = 1; file <= FILES; file++)
				assert_true(k.done[serial][file]);
		sched_free(k.sim.sched);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strictly_by_priority),
		cmocka_unit_test(the_lowest_level_gives_way),
		cmocka_unit_test(all_foreground_jobs_run),
		cmocka_unit_test(a_changed_priority_counts_at_once),
		cmocka_unit_test(round_robin_by_bytes),
		cmocka_unit_test(a_new_job_has_not_saved_up),
		cmocka_unit_test(slots_of_one_turn_are_spread),
		cmocka_unit_test(per_job_binds_while_others_can_use_the_slot),
		cmocka_unit_test(many_files_do_not_starve_two),
		cmocka_unit_test(a_job_that_runs_nothing_gets_a_slot),
		cmocka_unit_test(so_many_background_jobs_at_once),
		cmocka_unit_test(a_held_job_starts_nothing),
		cmocka_unit_test(slots_come_back_when_transfers_have_ended),
		cmocka_unit_test(a_reader_is_served_first),
		cmocka_unit_test(anything_settles_and_ends),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
