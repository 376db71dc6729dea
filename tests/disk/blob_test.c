/* The staging area, gathered writing, checksums. */
#include "area.h"

#include "base/io.h"
#include "disk/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct area area;

static int setup(void **state)
{
	area_make(&area, false);
	return 0;
}

static int teardown(void **state)
{
	area_remove(&area);
	return 0;
}

static void second_daemon_is_refused(void **state)
{
	struct blobs *b;
	pid_t pid = 0;

	assert_int_equal(stat_of(area.staging).st_mode & 07777, 0700);
	assert_int_equal(blobs_open(area.staging, &b, &pid), -EBUSY);
	assert_int_equal(pid, getpid());
	blobs_close(area.blobs);
	assert_int_equal(blobs_open(area.staging, &area.blobs, &pid), 0);
}

/* The lock ends with its holder, however he ends. */
static void killed_daemon_leaves_no_lock(void **state)
{
	struct blobs *b;
	int ready[2], status;
	char staging[128];
	pid_t other = 0;

	snprintf(staging, sizeof(staging), "%s/second", area.dir);
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		blobs_open(staging, &b, &other);
		io_write_all(ready[1], "x", 1);
		pause();
	}
	char c;
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(blobs_open(staging, &b, &other), -EBUSY);
	assert_int_equal(other, pid);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(blobs_open(staging, &b, &other), 0);
	blobs_close(b);
	close(ready[0]);
	close(ready[1]);
}

static bool keep_even(void *arg, uint64_t serial, uint32_t file, uint32_t generation)
{
	unsigned *asked = arg;

	assert_true(serial == 7 || serial == UINT64_MAX);
	++*asked;
	return file % 2 == 0 && generation == 0;
}

static void sweep(void **state)
{
	unsigned asked = 0, swept;
	uint64_t bytes;
	int fd;

	for (uint32_t i = 1; i <= 4; i++)
		make_blob(&area, i);
	assert_int_equal(blob_open(area.blobs, 7, 2, 1, true, &fd), 0);
	close(fd);
	assert_int_equal(blob_open(area.blobs, UINT64_MAX, UINT32_MAX, 5, true, &fd), 0);
	close(fd);
	write_text(at(&area, "../staging/blobs/7/07.0"), "no name of ours");
	assert_int_equal(blobs_sweep(area.blobs, keep_even, &asked, &swept, &bytes), 0);
	assert_int_equal(asked, 6);
	assert_int_equal(swept, 4);
	assert_true(bytes >= 2000);
	assert_true(blob_exists(&area, 2) && blob_exists(&area, 4));
	assert_false(blob_exists(&area, 1));
	assert_int_equal(access(at(&area, "../staging/blobs/7/07.0"), F_OK), 0);
	assert_int_equal(access(at(&area, "../staging/blobs/18446744073709551615"), F_OK), -1);
}

static void drop(void **state)
{
	unsigned leftovers = 9;
	int fd;

	assert_int_equal(blob_open_read(area.blobs, SERIAL, 1, 0, &fd), -ENOENT);
	make_blob(&area, 1);
	make_blob(&area, 2);
	assert_int_equal(blob_unlink(area.blobs, SERIAL, 1, 0), 0);
	assert_int_equal(blob_unlink(area.blobs, SERIAL, 1, 0), 0);
	assert_int_equal(blobs_drop(area.blobs, SERIAL, &leftovers), 0);
	assert_int_equal(leftovers, 0);
	assert_int_equal(access(at(&area, "../staging/blobs/7"), F_OK), -1);
	assert_int_equal(blobs_drop(area.blobs, SERIAL, &leftovers), 0); /* again */
}

/* Large jobs: found, swept and dropped in the directories below the job's as well. */
static void shards(void **state)
{
	const uint32_t files[] = { BLOB_SHARD - 1, BLOB_SHARD, 3 * BLOB_SHARD + 1, 5 * BLOB_SHARD };
	unsigned asked = 0, swept, leftovers;
	uint64_t bytes;

	for (size_t i = 0; i < 4; i++)
		make_blob(&area, files[i]);
	assert_int_equal(access(at(&area, "../staging/blobs/7/63.0"), F_OK), 0);
	assert_int_equal(access(at(&area, "../staging/blobs/7/1/64.0"), F_OK), 0);
	assert_int_equal(access(at(&area, "../staging/blobs/7/3/193.0"), F_OK), 0);
	assert_int_equal(blobs_sync_names(area.blobs, SERIAL, files, 4), 0);
	write_text(at(&area, "../staging/blobs/7/1/1.0"), "not in its place");
	assert_int_equal(blobs_sweep(area.blobs, keep_even, &asked, &swept, &bytes), 0);
	assert_int_equal(asked, 4);
	assert_int_equal(swept, 2);
	assert_true(blob_exists(&area, files[1]) && blob_exists(&area, files[3]));
	assert_int_equal(access(at(&area, "../staging/blobs/7/3"), F_OK), -1);
	assert_int_equal(access(at(&area, "../staging/blobs/7/1/1.0"), F_OK), 0);
	assert_int_equal(blobs_drop(area.blobs, SERIAL, &leftovers), 0);
	assert_int_equal(leftovers, 0);
	assert_int_equal(access(at(&area, "../staging/blobs/7"), F_OK), -1);
}

/* One who has it open since it was his: nobody waits until he gives back his lease. */
static void leased(void **state)
{
	int holder, fd = -1;

	make_blob(&area, 1);
	holder = open(at(&area, "../staging/blobs/7/1.0"), O_RDWR | O_CLOEXEC);
	signal(SIGIO, SIG_IGN); /* how he is told that another wants it */
	if (fcntl(holder, F_SETLEASE, F_WRLCK) < 0) {
		close(holder);
		skip(); /* the filesystem has none */
	}
	assert_int_equal(blob_open_read(area.blobs, SERIAL, 1, 0, &fd), -EAGAIN);
	assert_int_equal(blob_open(area.blobs, SERIAL, 1, 0, true, &fd), -EAGAIN);
	assert_true(stat_of(at(&area, "../staging/blobs/7/1.0")).st_size > 0);
	close(holder);
	assert_int_equal(blob_open_read(area.blobs, SERIAL, 1, 0, &fd), 0);
	close(fd);
}

/* --- writing ----------------------------------------------------------------------------------- */

/* Pieces of all sizes, two writers in one file: every byte where it belongs. */
static void write_side_by_side(bool uncached)
{
	enum { SIZE = 5 << 20, MIDDLE = 2500001 };
	static char data[SIZE], is[SIZE];
	struct writer a, b;
	size_t len, sizes[] = { 1, 4095, 16384, 100001, 524288, 1 << 20, 3 };
	int fd;

	for (size_t i = 0; i < SIZE; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	assert_int_equal(blob_open(area.blobs, SERIAL, 1, 0, true, &fd), 0);
	assert_int_equal(blob_reserve(fd, SIZE), 0);
	assert_int_equal(stat_of(at(&area, "../staging/blobs/7/1.0")).st_size, 0); /* never looks whole */
	writer_init(&a, fd, 0, uncached);
	writer_init(&b, fd, MIDDLE, uncached);
	for (size_t i = 0; a.offset < MIDDLE || b.offset < SIZE; i++) {
		size_t n = sizes[i % 7], left_a = MIDDLE - a.offset, left_b = SIZE - b.offset;

		assert_int_equal(writer_write(&a, data + a.offset, n < left_a ? n : left_a), 0);
		assert_int_equal(writer_write(&b, data + b.offset, n < left_b ? n : left_b), 0);
		assert_true(a.written <= a.offset && a.offset - a.written < WRITE_GATHER);
		assert_true(uncached || n < WRITE_DIRECT || a.written == a.offset);
	}
	assert_int_equal(writer_flush(&a), 0);
	assert_int_equal(writer_flush(&b), 0);
	assert_int_equal(a.written, MIDDLE);
	assert_int_equal(b.written, SIZE);
	writer_release(&a);
	writer_release(&b);
	assert_int_equal(io_pread_all(fd, is, SIZE, 0, &len), 0);
	assert_int_equal(len, SIZE);
	assert_memory_equal(is, data, SIZE);
	close(fd);
}

static void writers(void **state)
{
	write_side_by_side(true);
}

static void writers_where_all_is_cached(void **state)
{
	write_side_by_side(false);
}

static void small_file_takes_little_memory(void **state)
{
	static const char data[4096] = "small";
	struct writer w;
	int fd;

	assert_int_equal(blob_open(area.blobs, SERIAL, 1, 0, true, &fd), 0);
	writer_init(&w, fd, 0, true);
	assert_int_equal(writer_write(&w, data, sizeof(data)), 0);
	assert_int_equal(w.written, 0); /* gathered */
	assert_true(w.cap <= 16384);
	assert_int_equal(writer_flush(&w), 0);
	assert_int_equal(w.written, sizeof(data));
	writer_release(&w);
	close(fd);
}

/* What could not be written is not lost and not counted. */
static void write_error(void **state)
{
	static char data[100];
	struct writer w;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC), good;

	assert_int_equal(blob_open(area.blobs, SERIAL, 1, 0, true, &good), 0);
	writer_init(&w, fd, 0, true);
	assert_int_equal(writer_write(&w, data, sizeof(data)), 0);
	assert_int_equal(writer_flush(&w), -ENOSPC);
	assert_int_equal(w.written, 0);
	assert_int_equal(w.offset, sizeof(data));
	w.fd = good;
	assert_int_equal(writer_flush(&w), 0);
	assert_int_equal(w.written, sizeof(data));
	writer_release(&w);
	close(fd);
	close(good);
}

/* --- checksums --------------------------------------------------------------------------------- */

static const uint8_t sha256_of_abc[32] = {
	0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
	0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
};

static int verify(const char *eaten, uint64_t size, const bool stop)
{
	struct digest *d;
	int fd;

	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	assert_int_equal(digest_update(d, 0, eaten, strlen(eaten)), 0);
	assert_int_equal(digest_update(d, 100, "not in order", 12), 0);
	assert_int_equal(digest_position(d), strlen(eaten));
	assert_int_equal(blob_open(area.blobs, SERIAL, 1, 0, true, &fd), 0);
	assert_int_equal(io_pwrite_all(fd, "abcd", 4, 0), 0);
	int r = digest_verify(d, fd, size, sha256_of_abc, &stop);
	digest_free(d);
	close(fd);
	return r;
}

static void digests(void **state)
{
	assert_int_equal(verify("", 3, false), 0);
	assert_int_equal(verify("ab", 3, false), 0);  /* the rest is read from the blob */
	assert_int_equal(verify("abc", 3, true), 0);  /* nothing to be read */
	assert_int_equal(verify("ax", 3, false), -EBADMSG);
	assert_int_equal(verify("", 4, false), -EBADMSG);
	assert_int_equal(verify("abc", 2, false), -EBADMSG);
	assert_int_equal(verify("", 5, false), -EIO);
	assert_int_equal(verify("", 3, true), -ECANCELED);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(second_daemon_is_refused),
		TEST(killed_daemon_leaves_no_lock),
		TEST(sweep),
		TEST(drop),
		TEST(shards),
		TEST(leased),
		TEST(writers),
		TEST(writers_where_all_is_cached),
		TEST(small_file_takes_little_memory),
		TEST(write_error),
		TEST(digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
