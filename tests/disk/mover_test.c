/* The pool: orders of a job one after the other, jobs side by side, everything comes back. */
#include "area.h"

#include "base/mailbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct area area;
static struct mailbox box;

static int setup(void **state)
{
	area_make(&area, false);
	mailbox_init(&box, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	mailbox_release(&box);
	area_remove(&area);
	return 0;
}

static struct mover *start(unsigned threads)
{
	struct mover *m;

	assert_int_equal(mover_start(area.blobs, area.dest, threads, &box, &m), 0);
	return m;
}

static struct order *next(void)
{
	return (struct order *)mailbox_wait_one(&box);
}

#define ENDLESS (1ull << 40) /* bytes, none of them on the disk */

/* A VERIFY that has so much to read that it does not end before it is cancelled. */
static struct order *endless_verify(uint64_t serial)
{
	struct order *o = order_new(ORDER_VERIFY, serial, 1);
	char path[64];

	snprintf(path, sizeof(path), "../staging/blobs/%u", (unsigned)serial);
	mkdir(at(&area, path), 0700);
	snprintf(path, sizeof(path), "../staging/blobs/%u/1.0", (unsigned)serial);
	write_text(at(&area, path), "");
	assert_int_equal(truncate(at(&area, path), ENDLESS), 0);
	o->files[0].file = 1;
	o->files[0].digest_kind = DIGEST_SHA1;
	o->files[0].size = ENDLESS;
	return o;
}

/* The next that comes back is this one. */
static void end_verify(struct mover *m, struct order *o)
{
	mover_cancel(m, o->serial);
	assert_ptr_equal(next(), o);
	assert_int_equal(o->err, -ECANCELED);
	order_free(o);
}

static void orders_of_a_job_keep_their_order(void **state)
{
	enum { ORDERS = 400, JOBS = 7 };
	struct mover *m = start(4);
	uint32_t seen[JOBS + 1] = { 0 };

	for (uint32_t i = 0; i < ORDERS; i++) {
		struct order *o = order_new(ORDER_DROP, 1 + i % JOBS, 1);

		o->files[0].file = i / JOBS + 1; /* the number within its job */
		mover_send(m, o);
	}
	for (uint32_t i = 0; i < ORDERS; i++) {
		struct order *o = next();

		assert_int_equal(o->err, 0);
		assert_int_equal(o->files[0].file, ++seen[o->serial]);
		order_free(o);
	}
	mover_stop(m);
}

/* While one job's checksum is computed, another job's order is done, and its own waits. */
static void jobs_run_side_by_side(void **state)
{
	struct mover *m = start(2);
	struct order *o = endless_verify(1), *own = order_new(ORDER_DROP, 1, 0), *other = order_new(ORDER_DROP, 2, 0);

	mover_send(m, o);
	mover_send(m, own);
	mover_send(m, other);
	assert_ptr_equal(next(), other);
	end_verify(m, o);
	assert_ptr_equal(next(), own);
	order_free(own);
	order_free(other);
	mover_stop(m);
}

/* Whatever another job's number is: also those that wait until they may be verified block nobody. */
static void no_job_waits_for_another(void **state)
{
	struct mover *m = start(2);
	struct order *a = endless_verify(1), *b = endless_verify(2), *o;
	bool seen[1024] = { false };

	mover_send(m, a);
	mover_send(m, b);
	for (uint64_t serial = 3; serial < 1024; serial++)
		mover_send(m, order_new(ORDER_DROP, serial, 0));
	for (uint64_t serial = 3; serial < 1024; serial++) {
		o = next();
		assert_int_equal(o->mail.kind, ORDER_DROP);
		assert_false(seen[o->serial]);
		seen[o->serial] = true;
		order_free(o);
	}
	end_verify(m, a);
	end_verify(m, b);
	mover_stop(m);
}

/* Checksums never take the last thread. */
static void verifying_leaves_a_thread(void **state)
{
	struct mover *m = start(2);
	struct order *a = endless_verify(1), *b = endless_verify(2), *drop = order_new(ORDER_DROP, 3, 0);

	mover_send(m, a);
	mover_send(m, b);
	mover_send(m, drop);
	assert_ptr_equal(next(), drop);
	end_verify(m, a);
	end_verify(m, b);
	order_free(drop);
	mover_stop(m);
}

static struct order *verify_order(uint32_t file, bool right)
{
	struct order *o = order_new(ORDER_VERIFY, SERIAL, 1);
	static const uint8_t empty_sha1[] = {
		0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55,
		0xbf, 0xef, 0x95, 0x60, 0x18, 0x90, 0xaf, 0xd8, 0x07, 0x09,
	};

	o->files[0].file = file;
	o->files[0].digest_kind = DIGEST_SHA1;
	memcpy(o->files[0].want, empty_sha1, sizeof(empty_sha1));
	o->files[0].size = right ? 0 : 10;
	return o;
}

static void verify(void **state)
{
	struct mover *m = start(1);
	static const struct {
		uint32_t file;
		bool right;
		int err;
	} cases[] = { { 1, true, 0 }, { 1, false, -EBADMSG }, { 2, true, -ENOENT } };

	make_blob(&area, 1);
	for (size_t i = 0; i < 3; i++) {
		mover_send(m, verify_order(cases[i].file, cases[i].right));
		struct order *o = next();
		assert_int_equal(o->err, cases[i].err);
		assert_int_equal(o->files[0].err, cases[i].err);
		assert_null(o->files[0].digest);
		order_free(o);
	}
	mover_stop(m);
}

/* Of two that wait behind another order, the cancelled job's ends early, the other does not. */
static void cancelling(void **state)
{
	struct mover *m = start(1);
	struct order *block = endless_verify(50), *mine = verify_order(1, false), *other = verify_order(1, false);

	make_blob(&area, 1);
	other->serial = SERIAL + 256; /* found by the same bucket */
	mover_send(m, block);
	mover_send(m, mine);
	mover_send(m, other);
	mover_cancel(m, SERIAL);
	end_verify(m, block);
	assert_ptr_equal(next(), mine);
	assert_int_equal(mine->err, -ECANCELED);
	assert_ptr_equal(next(), other);
	assert_int_equal(other->err, -ENOENT);
	order_free(mine);
	order_free(other);
	mover_stop(m);
}

static void stopping_gives_all_back(void **state)
{
	struct mover *m = start(3);
	unsigned n = 0;

	make_blob(&area, 1);
	for (int i = 0; i < 50; i++) {
		struct order *o = i % 2 ? verify_order(1, false) : order_new(ORDER_SYNC, (uint64_t)i + 100, 0);

		mover_send(m, o);
	}
	mover_stop(m);
	for (struct mail *mail = mailbox_take(&box), *following; mail; mail = following, n++) {
		following = mail->next;
		order_free((struct order *)mail);
	}
	assert_int_equal(n, 50);
}

static void sync_few_and_many(void **state)
{
	struct mover *m = start(2);

	for (uint32_t i = 1; i <= 100; i++)
		make_blob(&area, i);
	for (size_t n = 3; n <= 100; n += 97) {
		struct order *o = order_new(ORDER_SYNC, SERIAL, n);

		for (size_t i = 0; i < n; i++)
			o->files[i].file = (uint32_t)i + (n == 3 ? 99 : 1); /* 101 is not there */
		mover_send(m, o);
		assert_ptr_equal(next(), o);
		assert_int_equal(o->err, n == 3 ? -ENOENT : 0);
		assert_int_equal(o->files[0].err, 0);
		order_free(o);
	}
	mover_stop(m);
}

/* What could not be deleted is told, also when it could not even be looked at. */
static void what_stays_is_told(void **state)
{
	struct order *o = order_new(ORDER_DROP, 9, 0);

	write_text(at(&area, "../staging/blobs/9"), "not a directory");
	order_perform(o, area.blobs, area.dest_fd);
	assert_int_equal(o->err, -ENOTDIR);
	assert_int_equal(o->leftovers, 1);
	order_free(o);
}

static void completing_through_the_pool(void **state)
{
	struct mover *m = start(2);
	struct creds *c = other_user();
	const char *const paths[] = { "a/x" };
	struct order *prepare = make_order(ORDER_PREPARE, c, ".", CONFLICT_REPLACE, COMMIT_FILES, 1, paths), *place;

	assert_int_equal(chown(area.dest, OTHER_UID, OTHER_GID), 0);
	make_blob(&area, 1);
	mover_send(m, prepare);
	assert_ptr_equal(next(), prepare);
	assert_int_equal(prepare->err, 0);
	place = place_of(prepare);
	mover_send(m, place);
	assert_ptr_equal(next(), place);
	assert_true(place->files[0].done);
	assert_int_equal(stat_of(at(&area, "a/x")).st_uid, OTHER_UID);
	order_free(prepare);
	order_free(place);
	creds_free(c);
	mover_stop(m);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(orders_of_a_job_keep_their_order),
		TEST(jobs_run_side_by_side),
		TEST(no_job_waits_for_another),
		TEST(verifying_leaves_a_thread),
		TEST(verify),
		TEST(cancelling),
		TEST(stopping_gives_all_back),
		TEST(sync_few_and_many),
		TEST(what_stays_is_told),
		TEST(completing_through_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
