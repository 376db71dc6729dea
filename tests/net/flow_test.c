/* The engine's connections: segments, mirrors, wanted places, the queue, limits, the cache. */
#include "scene.h"

#include "base/parse.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* --- segments --------------------------------------------------------------------------------------------- */

static void test_segments(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/slow"));

	assert_whole(r, 24 * MIB);
	assert_true(rig.connections_max > 1);
	assert_int_equal(rig.begun, 1);
}

static void test_one_connection(void **state)
{
	struct fetch *f = fetch_of("/twelve");

	options_of(f)->connections = 1;
	assert_whole(rig_run(&rig, f), 12 * MIB);
	assert_int_equal(fault_hits(&server, "/twelve"), 1);
}

static void test_refused_segments(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/slow-two"));

	assert_whole(r, 12 * MIB);
}

static void test_change_between_segments(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/slow-changes"));

	assert_string_equal(outcome_word(r->outcome), "changed");
	for (uint32_t i = 0; i < r->have.n; i++)
		assert_bytes(r->have.v[i].first, r->have.v[i].end, 0, 0);
	report_free(r);
}

static void test_stalled_segment(void **state)
{
	struct fetch *f;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .idle_timeout_s = 1 }, NULL);
	f = fetch_of("/slow-stalls");
	assert_whole(rig_run(&rig, f), 12 * MIB);
}

static void add_mirror(struct fetch *f, const char *path)
{
	f->mirrors = realloc(f->mirrors, (f->nmirrors + 1) * sizeof *f->mirrors);
	assert_non_null(f->mirrors);
	f->mirrors[f->nmirrors++] = url_on("localhost", path);
}

static void test_mirrors(void **state)
{
	struct fetch *f = fetch_of("/500");

	add_mirror(f, "/dated");
	assert_whole(rig_run(&rig, f), 100000);

	f = fetch_of("/twelve");
	add_mirror(f, "/other-size");
	assert_whole(rig_run(&rig, f), 12 * MIB);

	/* The user reads what the origin said. */
	f = fetch_of("/503");
	add_mirror(f, "/500");
	assert_int_equal(fault_page(&server, "/500")->size, 0);
	struct report *r = rig_run(&rig, f);
	assert_int_equal(r->http_status, 503);
	report_free(r);
}

static void test_wanted_place_comes_first(void **state)
{
	const uint64_t place = 40 * MIB;
	uint64_t id = rig_send(&rig, fetch_of("/crawl"));
	struct report *r;

	while ((r = rig_report(&rig))->mail.kind != REPORT_BEGUN)
		report_free(r);
	report_free(r);
	engine_want(rig.engine, id, place);
	/* At this speed the place would come in minutes. */
	do {
		r = rig_report(&rig);
		assert_int_not_equal(r->mail.kind, REPORT_ENDED);
		report_free(r);
	} while (!extents_contain(&rig.seen, place, place + 1000));
	assert_bytes(place, place + 1000, 0, 0);
	engine_want(rig.engine, id, UINT64_MAX);
	engine_cease(rig.engine, id);
	assert_ends(rig_end(&rig), "stopped");
}

/* The host's only connection is the transfer's own. */
static void test_wanted_place_at_a_full_host(void **state)
{
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections_per_host = 1 }, NULL);
	test_wanted_place_comes_first(state);
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections_per_host = 2, .connections = 1 }, NULL);
	test_wanted_place_comes_first(state);
}

static void assert_whole_when_wanted(const char *path, uint64_t offset, uint64_t size)
{
	uint64_t id = rig_send(&rig, fetch_of(path));

	engine_want(rig.engine, id, offset);
	assert_whole(rig_end(&rig), size);
}

static void test_wanted_from_the_start(void **state)
{
	assert_whole_when_wanted("/plain", 2 * MIB, 3 * MIB + 17);
	assert_whole_when_wanted("/no-ranges", 200000, 300000);
	assert_whole_when_wanted("/small", 200000, 4096);
	assert_whole_when_wanted("/wrong-offset", 200000, 300000);
}

/* --- the queue ------------------------------------------------------------------------------------------------ */

static void test_cease(void **state)
{
	uint64_t running = rig_send(&rig, fetch_of("/silent")), unknown = 4711;
	struct report *r;

	do
		report_free(rig_report(&rig));
	while (extents_total(&rig.seen) < 50000);
	engine_cease(rig.engine, unknown);
	engine_cease(rig.engine, running);
	r = rig_end(&rig);
	assert_int_equal(r->id, running);
	assert_int_equal(extents_total(&r->have), 50000);
	assert_ends(r, "stopped");
}

static void test_limits_and_order(void **state)
{
	static const enum job_priority priorities[] = { PRIORITY_LOW, PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH };
	static const uint64_t order[] = { 1, 4, 3, 2 };

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections = 1 }, NULL);
	for (uint32_t i = 0; i < 4; i++) {
		struct fetch *f = fetch_of(i == 0 ? "/silent" : "/a");

		f->serial = i + 1;
		f->priority = priorities[i];
		rig_send(&rig, f);
		if (i == 0) /* it has the connection before the others come, and until they have */
			report_free(rig_report(&rig));
	}
	engine_cease(rig.engine, 1);
	for (uint32_t i = 0; i < 4; i++) {
		struct report *r = rig_end(&rig);

		assert_int_equal(r->id, order[i]);
		assert_ends(r, i == 0 ? "stopped" : "done");
	}
	assert_int_equal(fault_page(&server, "/a")->active_max, 1);
}

/* So many transfers have a connection. */
static void await_begun(unsigned transfers)
{
	for (unsigned began = 0; began < transfers; ) {
		struct report *r = rig_report(&rig);

		began += r->mail.kind == REPORT_BEGUN;
		report_free(r);
	}
}

/* A job of many long files has all connections of the host, and more waits; one small file of another
 * job does not wait for any of them. */
static void test_small_job_is_not_kept_waiting(void **state)
{
	const unsigned connections = 3, files = 8;
	unsigned stopped = 0;
	struct report *r;
	uint64_t small;
	struct fetch *f;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections_per_host = connections, .workers = 2 }, NULL);
	for (uint32_t i = 0; i < files; i++) {
		f = fetch_of("/crawl");
		f->file = 1 + i;
		rig_send(&rig, f);
	}
	await_begun(connections);
	f = fetch_of("/small");
	f->serial = 2;
	small = rig_send(&rig, f);
	for (;;) {
		r = rig_end(&rig);
		if (r->id == small)
			break;
		/* What it has is kept. */
		assert_true(extents_total(&r->have) > 0);
		assert_non_null(r->validator);
		assert_ends(r, "stopped");
		stopped++;
	}
	assert_ends(r, "done");
	assert_int_equal(stopped, 1);
}

/* As many jobs of one user as the host has connections, and more: each fetches a long file, which is read
 * meanwhile. Another user's file does not wait for any of them, though none of them should be stopped. */
static void test_other_user_is_not_kept_waiting(void **state)
{
	const unsigned connections = 3, jobs = 8;
	unsigned stopped = 0;
	struct report *r;
	uint64_t small;
	struct fetch *f;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections_per_host = connections, .workers = 2 }, NULL);
	for (uint32_t i = 0; i < jobs; i++) {
		f = fetch_of("/crawl");
		f->serial = 1 + i;
		options_of(f)->uid = 1001;
		engine_want(rig.engine, rig_send(&rig, f), 0);
	}
	await_begun(connections);
	f = fetch_of("/small");
	f->serial = 20;
	options_of(f)->uid = 1002;
	small = rig_send(&rig, f);
	for (;;) {
		r = rig_end(&rig);
		if (r->id == small)
			break;
		assert_ends(r, "stopped");
		stopped++;
	}
	assert_ends(r, "done");
	assert_int_equal(stopped, 1);
}

/* Of many small files a server answers three at a time, and refuses the others with 503. */
static void test_host_that_allows_few(void **state)
{
	const uint32_t files = 24;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections_per_host = 12, .workers = 2 }, NULL);
	for (uint32_t i = 0; i < files; i++) {
		struct fetch *f = fetch_of("/few");

		f->file = 1 + i;
		rig_send(&rig, f);
	}
	for (uint32_t i = 0; i < files; i++)
		assert_ends(rig_end(&rig), "done");
	assert_true(fault_page(&server, "/few")->active_max > 3);
}

/* Those that were refused wait where the core ends them itself, without their worker. */
static void test_cease_where_a_host_allows_few(void **state)
{
	const uint32_t files = 24;
	uint64_t ids[24];

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections_per_host = 12, .workers = 2 }, NULL);
	for (uint32_t i = 0; i < files; i++) {
		struct fetch *f = fetch_of("/few");

		f->file = 1 + i;
		ids[i] = rig_send(&rig, f);
	}
	assert_ends(rig_end(&rig), "done");
	for (uint32_t i = 0; i < files; i++)
		engine_cease(rig.engine, ids[i]);
	for (uint32_t i = 1; i < files; i++) {
		struct report *r = rig_end(&rig);

		assert_ends(r, r->outcome == OUTCOME_STOPPED ? "stopped" : "done");
	}
}

/* Nobody but the refused one: there is nothing to wait for. */
static void test_host_that_allows_none(void **state)
{
	struct report *r;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections_per_host = 4 }, NULL);
	for (uint32_t i = 0; i < 8; i++) {
		struct fetch *f = fetch_of("/none");

		f->file = 1 + i;
		rig_send(&rig, f);
	}
	for (uint32_t i = 0; i < 8; i++) {
		r = rig_end(&rig);
		assert_int_equal(r->http_status, 503);
		assert_ends(r, "http_status");
	}
}

static void test_stop_with_all_kinds(void **state)
{
	unsigned ended = 0;
	struct mail *m, *next;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections = 2, .workers = 2 }, NULL);
	rig_send(&rig, fetch_of("/silent"));
	for (uint32_t i = 0; i < 3; i++) {
		struct fetch *f = fetch_of("/crawl");

		f->file = 2 + i;
		rig_send(&rig, f);
	}
	report_free(rig_report(&rig));
	engine_stop(rig.engine);
	rig.engine = NULL;
	if (rig.waiting) {
		for (m = rig.waiting; m->next; m = m->next)
			;
		m->next = mailbox_take(&rig.box);
	} else {
		rig.waiting = mailbox_take(&rig.box);
	}
	for (m = rig.waiting; m; m = next) {
		struct report *r = container_of(m, struct report, mail);

		next = m->next;
		ended += m->kind == REPORT_ENDED && r->outcome == OUTCOME_STOPPED;
		report_free(r);
	}
	rig.waiting = NULL;
	assert_int_equal(ended, 4);
}

static void test_limit_zero_and_free(void **state)
{
	uint64_t id;

	engine_limit_job(rig.engine, 1, 0);
	id = rig_send(&rig, fetch_of("/plain"));
	struct report *r = rig_report(&rig);
	assert_int_equal(r->mail.kind, REPORT_BEGUN);
	assert_int_equal(r->have.n, 0);
	assert_int_equal(r->id, id);
	report_free(r);
	engine_limit_job(rig.engine, 1, LIMIT_MAX);
	assert_whole(rig_end(&rig), 3 * MIB + 17);
}

static void test_cache_falls_back(void **state)
{
	char cache[32];
	struct fetch *f;

	/* The cache knows it. */
	rig_stop(&rig);
	snprintf(cache, sizeof cache, "127.0.0.1:%u", server.port);
	rig_start(&rig, &(struct engine_options){ .cache_host = cache }, NULL);
	assert_whole(rig_run(&rig, rig_fetch(&rig, "http://no.such.host.invalid/dated")), 100000);
	assert_true(fault_asked(&server, "/dated", "\r\nHost: no.such.host.invalid\r\n"));
	/* The cache is asked nothing that is secret. */
	f = fetch_of("/small");
	add_secrets(f);
	assert_whole(rig_run(&rig, f), 4096);
	/* The cache is down. */
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .cache_host = "127.0.0.1:1" }, NULL);
	assert_whole(rig_run(&rig, fetch_of("/dated")), 100000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_segments), T(test_one_connection), T(test_refused_segments),
		T(test_change_between_segments), T(test_stalled_segment), T(test_mirrors),
		T(test_wanted_place_comes_first), T(test_wanted_place_at_a_full_host), T(test_wanted_from_the_start), T(test_cease),
		T(test_limits_and_order), T(test_small_job_is_not_kept_waiting), T(test_other_user_is_not_kept_waiting),
		T(test_host_that_allows_few), T(test_cease_where_a_host_allows_few),
		T(test_host_that_allows_none), T(test_stop_with_all_kinds), T(test_limit_zero_and_free),
		T(test_cache_falls_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
