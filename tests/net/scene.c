#include "scene.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct page pages[] = {
	{ .path = "/plain", .size = 3 * MIB + 17 },
	{ .path = "/small", .size = 4096 },
	{ .path = "/small-cut", .size = 5000, .cut_after = 2000 },
	{ .path = "/small-silent", .size = 5000, .stall_after = 3000 },
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
	{ .path = "/none", .status = 503 },
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
	{ .path = "/few", .size = 16384, .rate = 160000, .refuse_above = 3 },
	{ .path = "/a", .size = 50000, .rate = 200000 },
};
struct fault_server server;
struct rig rig;

void scene_start(const struct engine_options *options)
{
	/* The tests' own servers are never behind a proxy. */
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i].hits = pages[i].active = pages[i].active_max = pages[i].version = pages[i].stalled = 0;
		pages[i].request[0] = '\0';
	}
	fault_start(&server, pages, ARRAY_SIZE(pages));
	rig_start(&rig, options, NULL);
}

int scene_tear_down(void **state)
{
	rig_stop(&rig);
	fault_stop(&server);
	return 0;
}

int scene_set_up(void **state)
{
	scene_start(NULL);
	return 0;
}

char *url_on(const char *host, const char *path)
{
	char *url;

	assert_true(asprintf(&url, "http://%s:%u%s", host, server.port, path) > 0);
	return url;
}

struct fetch *fetch_of(const char *path)
{
	cleanup_free char *url = url_on("127.0.0.1", path);

	return rig_fetch(&rig, url);
}

struct fetch_options *options_of(struct fetch *f)
{
	if (!f->options) {
		f->options = calloc(1, sizeof *f->options);
		assert_non_null(f->options);
		f->options->refs = 1;
	}
	return f->options;
}

/* The bytes [first, end) of file 1 are VERSION's. */
void assert_bytes(uint64_t first, uint64_t end, unsigned version, int64_t shift)
{
	size_t len;
	cleanup_free char *data = rig_content(&rig, 1, &len);

	assert_true(end <= len);
	for (uint64_t i = first; i < end; i++)
		if ((uint8_t)data[i] != fault_byte(version, (uint64_t)((int64_t)i + shift)))
			fail_msg("byte %llu is not version %u's", (unsigned long long)i, version);
}

void assert_whole(struct report *r, uint64_t size)
{
	assert_string_equal(outcome_word(r->outcome), "done");
	assert_int_equal(r->size, size);
	assert_true(size == 0 || extents_contain(&r->have, 0, size));
	assert_bytes(0, size, 0, 0);
	report_free(r);
}

void assert_ends(struct report *r, const char *outcome)
{
	assert_string_equal(outcome_word(r->outcome), outcome);
	report_free(r);
}

/* Fills the blob as an earlier attempt would have left it. */
void give(struct fetch *f, uint64_t end, uint64_t size, const char *validator)
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

void add_secrets(struct fetch *f)
{
	options_of(f)->headers = strdup("X-Key: hush\nRange: bytes=5-9\nX-Other: 2");
	f->options->credentials = strdup("me:pass");
}
