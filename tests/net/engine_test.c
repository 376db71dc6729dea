/* The engine against a server that misbehaves: what reaches the blob, and what the core is told. */
#include "scene.h"

#include "base/parse.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* --- whole bodies ------------------------------------------------------------------------------------ */

static void test_whole(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/plain"));

	assert_string_equal(r->validator, "etag \"v0\"");
	assert_false(r->unverified);
	assert_int_equal(r->bytes_moved <= 3 * MIB + 17, 1);
	assert_whole(r, 3 * MIB + 17);
	assert_false(fault_asked(&server, "/plain", "\r\nRange:"));
	assert_false(fault_asked(&server, "/plain", "\r\nAccept-Encoding:"));
}

static void test_empty(void **state)
{
	struct fetch *f = fetch_of("/empty");

	f->size = 0;
	assert_whole(rig_run(&rig, f), 0);
}

static void test_date_is_validator(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/dated"));

	assert_string_equal(r->validator, "date 784111777");
	assert_int_equal(r->mtime, 784111777);
	assert_whole(r, 100000);
}

static void test_chunked_is_proven(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/chunked"));

	assert_false(r->unverified);
	assert_whole(r, 200000);
	assert_ends(rig_run(&rig, fetch_of("/chunked-cut")), "reset");
}

static void test_end_of_connection_is_no_proof(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/endless"));
	struct fetch *f;

	assert_true(r->unverified);
	assert_whole(r, 70000);
	f = fetch_of("/endless");
	f->size = 70000;
	r = rig_run(&rig, f);
	assert_false(r->unverified);
	assert_whole(r, 70000);
	f = fetch_of("/endless");
	f->size = 70001;
	assert_ends(rig_run(&rig, f), "reset");
}

static void test_many_small(void **state)
{
	for (uint32_t i = 0; i < 200; i++) {
		struct fetch *f = fetch_of("/small");

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

/* Nothing of a small file is in its blob before all of it is here; but what there is must not be lost. */
static void test_small_cut(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/small-cut"));

	assert_int_equal(extents_total(&r->have), 2000);
	assert_bytes(0, 2000, 0, 0);
	assert_ends(r, "reset");
}

static void test_small_slow(void **state)
{
	uint64_t id = rig_send(&rig, fetch_of("/small-silent"));
	struct report *r;

	while (extents_total(&rig.seen) < 3000) {
		r = rig_report(&rig);
		assert_int_not_equal(r->mail.kind, REPORT_ENDED);
		report_free(r);
	}
	engine_cease(rig.engine, id);
	r = rig_end(&rig);
	assert_int_equal(extents_total(&r->have), 3000);
	assert_bytes(0, 3000, 0, 0);
	assert_ends(r, "stopped");
}

static void test_small_disk(void **state)
{
	int staging = blobs_dirfd(rig.blobs);
	char path[BLOB_PATH_LEN];
	struct report *r;

	blob_path(1, 1, 0, path);
	assert_return_code(mkdirat(staging, "blobs/1", 0700), 0);
	assert_return_code(mkdirat(staging, path, 0700), 0);
	r = rig_run(&rig, fetch_of("/small"));
	assert_int_equal(r->err, EISDIR);
	assert_int_equal(r->have.n, 0);
	assert_ends(r, "disk");
	assert_return_code(unlinkat(staging, path, AT_REMOVEDIR), 0);
	assert_whole(rig_run(&rig, fetch_of("/small")), 4096);
}

static void test_nothing_left_to_fetch(void **state)
{
	struct fetch *f = fetch_of("/small");

	give(f, 4096, 4096, "etag \"v0\"");
	assert_whole(rig_run(&rig, f), 4096);
	assert_int_equal(fault_hits(&server, "/small"), 0);
}

static void test_digest_comes_along(void **state)
{
	struct fetch *f = fetch_of("/plain");
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
	struct report *r = rig_run(&rig, fetch_of("/cut"));
	struct fetch *f = fetch_of("/cut");

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
	struct fetch *f = fetch_of("/dated");

	give(f, 50000, 100000, "date 784111777");
	assert_whole(rig_run(&rig, f), 100000);
	assert_true(fault_asked(&server, "/dated", "\r\nIf-Range: " OLD));
}

/* In each case not a byte of the blob may change: nothing proves that it would be of one version. */
static void assert_changed(const char *path, uint64_t size, const char *validator)
{
	struct fetch *f = fetch_of(path);
	struct report *r;

	give(f, 1000, size, validator);
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
	struct fetch *f = fetch_of("/small");

	give(f, 4096, SIZE_UNKNOWN, "etag \"v0\"");
	assert_whole(rig_run(&rig, f), 4096);
	f = fetch_of("/small");
	give(f, 5000, SIZE_UNKNOWN, "etag \"v0\"");
	assert_ends(rig_run(&rig, f), "changed");
}

/* --- errors -------------------------------------------------------------------------------------------- */

static void test_error_pages_are_not_stored(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/500"));

	assert_string_equal(outcome_word(r->outcome), "http_status");
	assert_int_equal(r->http_status, 500);
	assert_int_equal(r->have.n, 0);
	assert_non_null(strstr(r->url, "/500"));
	report_free(r);
	assert_true(rig_open(&rig, 1, 0) < 0);
	r = rig_run(&rig, fetch_of("/503"));
	assert_int_equal(r->retry_after_s, 7);
	report_free(r);
	r = rig_run(&rig, fetch_of("/nowhere"));
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
	struct fetch *f = fetch_of("/plain");

	f->size = 3 * MIB + 18;
	assert_ends(rig_run(&rig, f), "size");
	f = fetch_of("/chunked");
	f->size = 200001;
	assert_ends(rig_run(&rig, f), "size");
	f = fetch_of("/chunked");
	f->size = 199999;
	assert_ends(rig_run(&rig, f), "size");
	f = fetch_of("/plain");
	f->size = 3 * MIB + 17;
	assert_whole(rig_run(&rig, f), 3 * MIB + 17);
}

static void test_too_large(void **state)
{
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .max_file_size = 150000 }, NULL);
	assert_ends(rig_run(&rig, fetch_of("/plain")), "too_large");
	assert_ends(rig_run(&rig, fetch_of("/chunked")), "too_large");
	assert_whole(rig_run(&rig, fetch_of("/dated")), 100000);
}

static void test_silence(void **state)
{
	struct report *r;

	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .idle_timeout_s = 1 }, NULL);
	r = rig_run(&rig, fetch_of("/silent"));
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
	r = rig_run(&rig, fetch_of("/plain"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_string_equal(outcome_word(r->outcome), "disk");
	assert_int_equal(r->err, EFBIG);
	report_free(r);
}

static void test_private_address(void **state)
{
	rig_stop(&rig);
	rig_start(&rig, &(struct engine_options){ .deny_private_addresses = true }, NULL);
	assert_ends(rig_run(&rig, fetch_of("/small")), "policy");
	assert_int_equal(fault_hits(&server, "/small"), 0);
}

/* --- redirects and secrets ------------------------------------------------------------------------------- */

static void test_redirects(void **state)
{
	struct report *r = rig_run(&rig, fetch_of("/loop"));

	assert_string_equal(outcome_word(r->outcome), "redirect");
	report_free(r);
	assert_int_equal(fault_hits(&server, "/loop"), 11);
	assert_ends(rig_run(&rig, fetch_of("/file")), "redirect");
	assert_whole(rig_run(&rig, fetch_of("/hop")), 100000);
}

static void test_secrets_stay_at_home(void **state)
{
	cleanup_free char *abroad = url_on("localhost", "/dated");
	struct fetch *f = fetch_of("/secret");

	add_secrets(f);
	assert_whole(rig_run(&rig, f), 1000);
	assert_true(fault_asked(&server, "/secret", "\r\nX-Key: hush\r\n"));
	assert_true(fault_asked(&server, "/secret", "\r\nX-Other: 2\r\n"));
	assert_false(fault_asked(&server, "/secret", "\r\nRange:"));

	fault_page(&server, "/abroad")->location = abroad;
	f = fetch_of("/abroad");
	add_secrets(f);
	assert_whole(rig_run(&rig, f), 100000);
	assert_true(fault_asked(&server, "/abroad", "X-Key"));
	assert_false(fault_asked(&server, "/dated", "X-Key"));
	assert_false(fault_asked(&server, "/dated", "Authorization"));

	/* Unless the user named that host himself. */
	f = fetch_of("/abroad");
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
	struct fetch *f = fetch_of(path);

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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_whole), T(test_empty), T(test_date_is_validator), T(test_chunked_is_proven),
		T(test_end_of_connection_is_no_proof), T(test_many_small), T(test_small_cut), T(test_small_slow),
		T(test_small_disk), T(test_nothing_left_to_fetch), T(test_digest_comes_along),
		T(test_short_body_resumes), T(test_resume_by_date), T(test_changed),
		T(test_nothing_behind_the_end), T(test_error_pages_are_not_stored), T(test_unreachable),
		T(test_sizes), T(test_too_large), T(test_silence), T(test_disk), T(test_private_address),
		T(test_redirects), T(test_secrets_stay_at_home), T(test_login_in_url), T(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
