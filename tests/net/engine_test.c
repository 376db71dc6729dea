/* The engine against a server that misbehaves: what reaches the blob, and what the core is told. */
#include "fault_server.h"
#include "rig.h"

#include "base/parse.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)
#define OLD "Sun, 06 Nov 1994 08:49:37 GMT"

static struct page pages[] = {
	{ .path = "/plain", .size = 3 * MIB + 17 },
	{ .path = "/small", .size = 4096 },
	{ .path = "/empty", .size = 0 },
	{ .path = "/dated", .size = 100000, .modified = OLD },
	{ .path = "/weak", .size = 100000, .etag = "W/\"w\"" },
	{ .path = "/naked", .size = 100000, .flags = PAGE_NO_VALIDATOR },
	{ .path = "/chunked", .size = 200000, .flags = PAGE_CHUNKED | PAGE_NO_RANGES },
	{ .path = "/chunked-cut", .size = 200000, .flags = PAGE_CHUNKED, .cut_after = 70000 },
	{ .path = "/endless", .size = 70000, .flags = PAGE_NO_LENGTH | PAGE_NO_RANGES },
	{ .path = "/cut", .size = 300000, .cut_after = 100000 },
	{ .path = "/no-ranges", .size = 300000, .flags = PAGE_NO_RANGES },
	{ .path = "/wrong-offset", .size = 300000, .flags = PAGE_WRONG_OFFSET },
	{ .path = "/wrong-total", .size = 300000, .flags = PAGE_WRONG_TOTAL },
	{ .path = "/lies", .size = 300000, .flags = PAGE_IGNORE_IF_RANGE },
	{ .path = "/500", .size = 0, .status = 500 },
	{ .path = "/503", .status = 503, .header = "Retry-After: 7" },
	{ .path = "/loop", .status = 302, .location = "/loop" },
	{ .path = "/hop", .status = 302, .location = "/dated" },
	{ .path = "/file", .status = 302, .location = "file:///etc/passwd" },
	{ .path = "/abroad", .status = 307 },
	{ .path = "/secret", .size = 1000, .flags = PAGE_AUTH },
	{ .path = "/slow", .size = 24 * MIB, .rate = 4 * MIB },
	{ .path = "/slow-two", .size = 12 * MIB, .rate = 3 * MIB, .refuse_above = 2 },
	{ .path = "/slow-changes", .size = 24 * MIB, .rate = 4 * MIB, .change_after = 2 },
	{ .path = "/slow-stalls", .size = 12 * MIB, .rate = 4 * MIB, .stall_after = 2 * MIB, .stalls = 1 },
	{ .path = "/silent", .size = 300000, .stall_after = 50000 },
	{ .path = "/crawl", .size = 64 * MIB, .rate = 256 << 10 },
	{ .path = "/other-size", .size = 12 * MIB - 1 },
	{ .path = "/twelve", .size = 12 * MIB, .rate = 3 * MIB },
	{ .path = "/a", .size = 50000, .rate = 200000 },
};
static struct fault_server server;
static struct rig rig;

static void start(const struct engine_options *options)
{
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i].hits = pages[i].active = pages[i].active_max = pages[i].version = pages[i].stalled = 0;
		pages[i].request[0] = '\0';
	}
	fault_start(&server, pages, ARRAY_SIZE(pages));
	rig_start(&rig, options, NULL);
}

static int tear_down(void **state)
{
	rig_stop(&rig);
	fault_stop(&server);
	return 0;
}

static int set_up(void **state)
{
	start(NULL);
	return 0;
}

static char *url_on(const char *host, const char *path)
{
	char *url;

	assert_true(asprintf(&url, "http://%s:%u%s", host, server.port, path) > 0);
	return url;
}

static struct fetch *fetch(const char *path)
{
	cleanup_free char *url = url_on("127.0.0.1", path);

	return rig_fetch(&rig, url);
}

static struct fetch_options *options_of(struct fetch *f)
{
	if (!f->options) {
		f->options = calloc(1, sizeof *f->options);
		assert_non_null(f->options);
		f->options->refs = 1;
	}
	return f->options;
}

/* The bytes [first, end) of file 1 are VERSION's. */
static void assert_bytes(uint64_t first, uint64_t end, unsigned version, int64_t shift)
{
	size_t len;
	cleanup_free char *data = rig_content(&rig, 1, &len);

	assert_true(end <= len);
	for (uint64_t i = first; i < end; i++)
		if ((uint8_t)data[i] != fault_byte(version, (uint64_t)((int64_t)i + shift)))
			fail_msg("byte %llu is not version %u's", (unsigned long long)i, version);
}

static void assert_whole(struct report *r, uint64_t size)
{
	assert_string_equal(outcome_word(r->outcome), "done");
	assert_int_equal(r->size, size);
	assert_true(size == 0 || extents_contain(&r->have, 0, size));
	assert_bytes(0, size, 0, 0);
	report_free(r);
}

static void assert_ends(struct report *r, const char *outcome)
{
	assert_string_equal(outcome_word(r->outcome), outcome);
	report_free(r);
}

/* Fills the blob as an earlier attempt would have left it. */
static void have(struct fetch *f, uint64_t end, uint64_t size, const char *validator)
{
	cleanup_close int fd = -1;

	assert_int_equal(blob_open(rig.blobs, 1, 1, 0, true, &fd), 0);
	for (uint64_t i = 0; i < end; i++) {
		uint8_t b = fault_byte(0, i);

		assert_int_equal(pwrite(fd, &b, 1, (off_t)i), 1);
	}
	assert_int_equal(extents_add(&f->have, 0, end), 0);
	f->size = size;
	f->validator = strdup(validator);
}

/* --- whole bodies ------------------------------------------------------------------------------------ */

static void test_whole(void **state)
{
	struct report *r = rig_run(&rig, fetch("/plain"));

	assert_string_equal(r->validator, "etag \"v0\"");
	assert_false(r->unverified);
	assert_int_equal(r->bytes_moved <= 3 * MIB + 17, 1);
	assert_whole(r, 3 * MIB + 17);
	assert_false(fault_asked(&server, "/plain", "\r\nRange:"));
	assert_false(fault_asked(&server, "/plain", "\r\nAccept-Encoding:"));
}

static void test_empty(void **state)
{
	struct fetch *f = fetch("/empty");

	f->size = 0;
	assert_whole(rig_run(&rig, f), 0);
}

static void test_date_is_validator(void **state)
{
	struct report *r = rig_run(&rig, fetch("/dated"));

	assert_string_equal(r->validator, "date 784111777");
	assert_int_equal(r->mtime, 784111777);
	assert_whole(r, 100000);
}

static void test_chunked_is_proven(void **state)
{
	struct report *r = rig_run(&rig, fetch("/chunked"));

	assert_false(r->unverified);
	assert_whole(r, 200000);
	assert_ends(rig_run(&rig, fetch("/chunked-cut")), "reset");
}

static void test_end_of_connection_is_no_proof(void **state)
{
	struct report *r = rig_run(&rig, fetch("/endless"));
	struct fetch *f;

	assert_true(r->unverified);
	assert_whole(r, 70000);
	f = fetch("/endless");
	f->size = 70000;
	r = rig_run(&rig, f);
	assert_false(r->unverified);
	assert_whole(r, 70000);
	f = fetch("/endless");
	f->size = 70001;
	assert_ends(rig_run(&rig, f), "reset");
}

static void test_many_small(void **state)
{
	for (uint32_t i = 0; i < 200; i++) {
		struct fetch *f = fetch("/small");

		f->file = i;
		rig_send(&rig, f);
	}
	for (uint32_t i = 0; i < 200; i++)
		assert_ends(rig_end(&rig), "done");
	for (uint32_t i = 0; i < 200; i++) {
		size_t len;
		cleanup_free char *data = rig_content(&rig, i, &len);

		assert_int_equal(len, 4096);
		assert_int_equal((uint8_t)data[4095], fault_byte(0, 4095));
	}
	assert_int_equal(fault_hits(&server, "/small"), 200);
}

static void test_digest_comes_along(void **state)
{
	struct fetch *f = fetch("/plain");
	struct report *r;

	f->digest_kind = DIGEST_SHA256;
	r = rig_run(&rig, f);
	assert_non_null(r->digest);
	assert_int_equal(digest_position(r->digest), 3 * MIB + 17);
	assert_whole(r, 3 * MIB + 17);
}

/* --- resuming ------------------------------------------------------------------------------------------- */

static void test_short_body_resumes(void **state)
{
	struct report *r = rig_run(&rig, fetch("/cut"));
	struct fetch *f = fetch("/cut");

	assert_string_equal(outcome_word(r->outcome), "reset");
	assert_int_equal(extents_total(&r->have), 100000);
	assert_int_equal(r->size, 300000);
	assert_int_equal(extents_copy(&r->have, &f->have), 0);
	f->validator = strdup(r->validator);
	f->size = r->size;
	report_free(r);
	r = rig_run(&rig, f);
	assert_true(fault_asked(&server, "/cut", "\r\nRange: bytes=100000-"));
	assert_true(fault_asked(&server, "/cut", "\r\nIf-Range: \"v0\""));
	assert_int_equal(extents_total(&r->have), 200000);
	assert_bytes(0, 200000, 0, 0);
	report_free(r);
}

static void test_resume_by_date(void **state)
{
	struct fetch *f = fetch("/dated");

	have(f, 50000, 100000, "date 784111777");
	assert_whole(rig_run(&rig, f), 100000);
	assert_true(fault_asked(&server, "/dated", "\r\nIf-Range: " OLD));
}

/* In each case not a byte of the blob may change: nothing proves that it would be of one version. */
static void assert_changed(const char *path, uint64_t size, const char *validator)
{
	struct fetch *f = fetch(path);
	struct report *r;

	have(f, 1000, size, validator);
	r = rig_run(&rig, f);
	assert_string_equal(outcome_word(r->outcome), "changed");
	assert_int_equal(extents_total(&r->have), 1000);
	assert_int_equal(r->bytes_moved, 0);
	report_free(r);
	assert_bytes(0, 1000, 0, 0);
}

static void test_changed(void **state)
{
	assert_changed("/plain", 3 * MIB + 17, "etag \"other\"");
	assert_changed("/plain", 3 * MIB, "etag \"v0\"");
	assert_changed("/dated", 100000, "date 784111776");
	assert_changed("/lies", 300000, "etag \"other\"");
	assert_changed("/wrong-total", 300000, "etag \"v0\"");
	assert_changed("/wrong-offset", 300000, "etag \"v0\"");
	assert_changed("/no-ranges", 300000, "etag \"v0\"");
	assert_changed("/small", SIZE_UNKNOWN, "etag \"other\"");
	/* Not even asked: a weak validator proves nothing. */
	assert_changed("/weak", 100000, "etag W/\"w\"");
	assert_int_equal(fault_hits(&server, "/weak"), 0);
}

static void test_nothing_behind_the_end(void **state)
{
	struct fetch *f = fetch("/small");

	have(f, 4096, SIZE_UNKNOWN, "etag \"v0\"");
	assert_whole(rig_run(&rig, f), 4096);
	f = fetch("/small");
	have(f, 5000, SIZE_UNKNOWN, "etag \"v0\"");
	assert_ends(rig_run(&rig, f), "changed");
}

/* --- errors -------------------------------------------------------------------------------------------- */

static void test_error_pages_are_not_stored(void **state)
{
	struct report *r = rig_run(&rig, fetch("/500"));

	assert_string_equal(outcome_word(r->outcome), "http_status");
	assert_int_equal(r->http_status, 500);
	assert_int_equal(r->have.n, 0);
	assert_non_null(strstr(r->url, "/500"));
	report_free(r);
	assert_true(rig_open(&rig, 1, 0) < 0);
	r = rig_run(&rig, fetch("/503"));
	assert_int_equal(r->retry_after_s, 7);
	report_free(r);
	r = rig_run(&rig, fetch("/nowhere"));
	assert_int_equal(r->http_status, 404);
	report_free(r);
}

static void test_unreachable(void **state)
{
	assert_ends(rig_run(&rig, rig_fetch(&rig, "http://127.0.0.1:1/x")), "connect");
	assert_ends(rig_run(&rig, rig_fetch(&rig, "http://no.such.host.invalid/x")), "dns");
	assert_ends(rig_run(&rig, rig_fetch(&rig, "gopher://127.0.0.1/x")), "policy");
}

static void test_sizes(void **state)
{
	struct fetch *f = fetch("/plain");

	f->size = 3 * MIB + 18;
	assert_ends(rig_run(&rig, f), "size");
	f = fetch("/chunked");
	f->size = 200001;
	assert_ends(rig_run(&rig, f), "size");
	f = fetch("/chunked");
	f->size = 199999;
	assert_ends(rig_run(&rig, f), "size");
	f = fetch("/plain");
	f->size = 3 * MIB + 17;
	assert_whole(rig_run(&rig, f), 3 * MIB + 17);
}

static void test_too_large(void **state)
{
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .max_file_size = 150000 }, NULL);
	assert_ends(rig_run(&rig, fetch("/plain")), "too_large");
	assert_ends(rig_run(&rig, fetch("/chunked")), "too_large");
	assert_whole(rig_run(&rig, fetch("/dated")), 100000);
}

static void test_silence(void **state)
{
	struct report *r;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .idle_timeout_s = 1 }, NULL);
	r = rig_run(&rig, fetch("/silent"));
	assert_string_equal(outcome_word(r->outcome), "timeout");
	assert_int_equal(extents_total(&r->have), 50000);
	assert_bytes(0, 50000, 0, 0);
	report_free(r);
}

static void test_disk(void **state)
{
	struct rlimit old, low = { .rlim_cur = MIB, .rlim_max = RLIM_INFINITY };
	struct report *r;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	r = rig_run(&rig, fetch("/plain"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_string_equal(outcome_word(r->outcome), "disk");
	assert_int_equal(r->err, EFBIG);
	report_free(r);
}

static void test_private_address(void **state)
{
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .deny_private_addresses = true }, NULL);
	assert_ends(rig_run(&rig, fetch("/small")), "policy");
	assert_int_equal(fault_hits(&server, "/small"), 0);
}

/* --- redirects and secrets ------------------------------------------------------------------------------- */

static void test_redirects(void **state)
{
	struct report *r = rig_run(&rig, fetch("/loop"));

	assert_string_equal(outcome_word(r->outcome), "redirect");
	report_free(r);
	assert_int_equal(fault_hits(&server, "/loop"), 11);
	assert_ends(rig_run(&rig, fetch("/file")), "redirect");
	assert_whole(rig_run(&rig, fetch("/hop")), 100000);
}

static void add_secrets(struct fetch *f)
{
	options_of(f)->headers = strdup("X-Key: hush\nRange: bytes=5-9\nX-Other: 2");
	f->options->credentials = strdup("me:pass");
}

static void test_secrets_stay_at_home(void **state)
{
	cleanup_free char *abroad = url_on("localhost", "/dated");
	struct fetch *f = fetch("/secret");

	add_secrets(f);
	assert_whole(rig_run(&rig, f), 1000);
	assert_true(fault_asked(&server, "/secret", "\r\nX-Key: hush\r\n"));
	assert_true(fault_asked(&server, "/secret", "\r\nX-Other: 2\r\n"));
	assert_false(fault_asked(&server, "/secret", "\r\nRange:"));

	fault_page(&server, "/abroad")->location = abroad;
	f = fetch("/abroad");
	add_secrets(f);
	assert_whole(rig_run(&rig, f), 100000);
	assert_true(fault_asked(&server, "/abroad", "X-Key"));
	assert_false(fault_asked(&server, "/dated", "X-Key"));
	assert_false(fault_asked(&server, "/dated", "Authorization"));

	/* Unless the user named that host himself. */
	f = fetch("/abroad");
	add_secrets(f);
	f->mirrors = malloc(sizeof *f->mirrors);
	f->mirrors[f->nmirrors++] = strdup(abroad);
	assert_whole(rig_run(&rig, f), 100000);
	assert_true(fault_asked(&server, "/dated", "X-Key"));
}

static void test_login_in_url(void **state)
{
	cleanup_free char *url = url_on("me:pass@127.0.0.1", "/secret");
	cleanup_free char *wrong = url_on("me:pass@127.0.0.1", "/500");
	struct report *r;

	assert_whole(rig_run(&rig, rig_fetch(&rig, url)), 1000);
	r = rig_run(&rig, rig_fetch(&rig, wrong));
	assert_null(strstr(r->url, "pass"));
	report_free(r);
}

/* --- ranges of the user ------------------------------------------------------------------------------------- */

static struct fetch *fetch_parts(const char *path, uint64_t second_end)
{
	struct fetch *f = fetch(path);

	f->ranges = calloc(2, sizeof *f->ranges);
	f->ranges[0] = (struct extent){ 200000, 250000 };
	f->ranges[1] = (struct extent){ 100, second_end };
	f->nranges = 2;
	return f;
}

static void test_parts(void **state)
{
	struct report *r = rig_run(&rig, fetch_parts("/plain", 1100));

	assert_string_equal(outcome_word(r->outcome), "done");
	assert_int_equal(r->size, 51000);
	assert_bytes(0, 50000, 0, 200000);
	assert_bytes(50000, 51000, 0, 100 - 50000);
	report_free(r);
	r = rig_run(&rig, fetch_parts("/plain", RANGE_TO_END));
	assert_string_equal(outcome_word(r->outcome), "done");
	assert_int_equal(r->size, 50000 + 3 * MIB + 17 - 100);
	assert_bytes(50000, r->size, 0, 100 - 50000);
	report_free(r);
	assert_ends(rig_run(&rig, fetch_parts("/plain", 4 * MIB)), "range");
	assert_ends(rig_run(&rig, fetch_parts("/small", 1000)), "range");
	assert_ends(rig_run(&rig, fetch_parts("/no-ranges", 1000)), "range");
}

/* --- segments --------------------------------------------------------------------------------------------- */

static void test_segments(void **state)
{
	struct report *r = rig_run(&rig, fetch("/slow"));

	assert_whole(r, 24 * MIB);
	assert_true(rig.connections_max > 1);
	assert_int_equal(rig.begun, 1);
}

static void test_one_connection(void **state)
{
	struct fetch *f = fetch("/twelve");

	options_of(f)->connections = 1;
	assert_whole(rig_run(&rig, f), 12 * MIB);
	assert_int_equal(fault_hits(&server, "/twelve"), 1);
}

static void test_refused_segments(void **state)
{
	struct report *r = rig_run(&rig, fetch("/slow-two"));

	assert_whole(r, 12 * MIB);
}

static void test_change_between_segments(void **state)
{
	struct report *r = rig_run(&rig, fetch("/slow-changes"));

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
	f = fetch("/slow-stalls");
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
	struct fetch *f = fetch("/500");

	add_mirror(f, "/dated");
	assert_whole(rig_run(&rig, f), 100000);

	f = fetch("/twelve");
	add_mirror(f, "/other-size");
	assert_whole(rig_run(&rig, f), 12 * MIB);

	/* The user reads what the origin said. */
	f = fetch("/503");
	add_mirror(f, "/500");
	assert_int_equal(fault_page(&server, "/500")->size, 0);
	struct report *r = rig_run(&rig, f);
	assert_int_equal(r->http_status, 503);
	report_free(r);
}

static void test_wanted_place_comes_first(void **state)
{
	const uint64_t place = 40 * MIB;
	uint64_t id = rig_send(&rig, fetch("/crawl"));
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

static void test_wanted_from_the_start(void **state)
{
	struct fetch *f = fetch("/plain");

	f->wanted = 2 * MIB;
	assert_whole(rig_run(&rig, f), 3 * MIB + 17);
	f = fetch("/no-ranges");
	f->wanted = 200000;
	assert_whole(rig_run(&rig, f), 300000);
	f = fetch("/small");
	f->wanted = 200000;
	assert_whole(rig_run(&rig, f), 4096);
	f = fetch("/wrong-offset");
	f->wanted = 200000;
	assert_whole(rig_run(&rig, f), 300000);
}

/* --- the queue ------------------------------------------------------------------------------------------------ */

static void test_cease(void **state)
{
	uint64_t running = rig_send(&rig, fetch("/silent")), unknown = 4711;
	struct report *r;

	report_free(rig_report(&rig));
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
		struct fetch *f = fetch("/a");

		f->file = i + 1;
		f->priority = priorities[i];
		rig_send(&rig, f);
		if (i == 0) /* it has the connection before the others come */
			report_free(rig_report(&rig));
	}
	for (uint32_t i = 0; i < 4; i++) {
		struct report *r = rig_end(&rig);

		assert_int_equal(r->id, order[i]);
		assert_ends(r, "done");
	}
	assert_int_equal(fault_page(&server, "/a")->active_max, 1);
}

static void test_stop_with_all_kinds(void **state)
{
	unsigned ended = 0;
	struct mail *m, *next;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .connections = 2, .workers = 2 }, NULL);
	rig_send(&rig, fetch("/silent"));
	for (uint32_t i = 0; i < 3; i++) {
		struct fetch *f = fetch("/crawl");

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
	id = rig_send(&rig, fetch("/plain"));
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
	f = fetch("/small");
	add_secrets(f);
	assert_whole(rig_run(&rig, f), 4096);
	/* The cache is down. */
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .cache_host = "127.0.0.1:1" }, NULL);
	assert_whole(rig_run(&rig, fetch("/dated")), 100000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_whole), T(test_empty), T(test_date_is_validator), T(test_chunked_is_proven),
		T(test_end_of_connection_is_no_proof), T(test_many_small), T(test_digest_comes_along),
		T(test_short_body_resumes), T(test_resume_by_date), T(test_changed), T(test_nothing_behind_the_end),
		T(test_error_pages_are_not_stored), T(test_unreachable), T(test_sizes), T(test_too_large),
		T(test_silence), T(test_disk), T(test_private_address), T(test_redirects),
		T(test_secrets_stay_at_home), T(test_login_in_url), T(test_parts), T(test_segments),
		T(test_one_connection), T(test_refused_segments), T(test_change_between_segments),
		T(test_stalled_segment), T(test_mirrors), T(test_wanted_place_comes_first),
		T(test_wanted_from_the_start), T(test_cease), T(test_limits_and_order), T(test_stop_with_all_kinds),
		T(test_limit_zero_and_free), T(test_cache_falls_back),
	};

	/* The tests' own servers are never behind a proxy. */
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
