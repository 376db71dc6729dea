/* base/: values as text, buffers, files, the mailbox between threads, and acting as somebody else. */
#include "base/block.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/creds.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/parse.h"
#include "base/users.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* --- parse --------------------------------------------------------------------------------------- */

struct number_case {
	const char *text;
	int err;
	uint64_t value;
};

static void check_numbers(int (*parse)(const char *text, uint64_t *ret), const struct number_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = 42;
		int r = parse(cases[i].text, &value);

		/* Outputs are untouched on failure. */
		if (r != cases[i].err || value != (r ? 42 : cases[i].value))
			fail_msg("\"%s\": %d, %" PRIu64, cases[i].text, r, value);
	}
}

static void numbers(void **state)
{
	static const struct number_case plain[] = {
		{ "0", 0, 0 }, { "007", 0, 7 }, { "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE }, { "99999999999999999999999999", -ERANGE },
		{ "99999999999999999999999999x", -EINVAL },
		{ "", -EINVAL }, { "-1", -EINVAL }, { "+1", -EINVAL }, { " 1", -EINVAL }, { "1 ", -EINVAL },
		{ "1\n", -EINVAL }, { "0x10", -EINVAL }, { "1.5", -EINVAL }, { "max", -EINVAL }, { "1K", -EINVAL },
	};
	static const struct number_case sizes[] = {
		{ "max", 0, LIMIT_MAX }, { "512", 0, 512 }, { "1K", 0, 1024 }, { "3M", 0, 3 << 20 },
		{ "2G", 0, UINT64_C(2) << 30 }, { "1T", 0, UINT64_C(1) << 40 },
		{ "16777215T", 0, UINT64_C(16777215) << 40 }, { "16777216T", -ERANGE },
		/* "max" would be printed for it. */
		{ "18446744073709551615", -ERANGE }, { "18446744073709551616K", -ERANGE },
		{ "1k", -EINVAL }, { "K", -EINVAL }, { "1KB", -EINVAL }, { "1 K", -EINVAL }, { "Max", -EINVAL },
		{ "99999999999999999999999Q", -EINVAL },
	};
	static const struct number_case seconds[] = {
		{ "max", 0, LIMIT_MAX }, { "90", 0, 90 }, { "90s", 0, 90 }, { "2m", 0, 120 }, { "1h", 0, 3600 },
		{ "90d", 0, 7776000 }, { "2w", 0, 1209600 },
		{ "99999999999999999w", -ERANGE }, { "1y", -EINVAL }, { "1M", -EINVAL }, { "", -EINVAL },
	};

	check_numbers(parse_u64, plain, ARRAY_SIZE(plain));
	check_numbers(parse_size, sizes, ARRAY_SIZE(sizes));
	check_numbers(parse_seconds, seconds, ARRAY_SIZE(seconds));
}

static void booleans(void **state)
{
	static const char *const yes[] = { "1", "y", "Y", "yes", "t", "T", "true", "on", "On", "ON" };
	static const char *const no[] = { "0", "n", "N", "no", "f", "F", "false", "off", "Off", "OFF" };
	static const char *const junk[] = { "", "2", "o", "10", "yep", " 1", "1\n", "offf" };
	bool value;

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		value = false;
		assert_int_equal(parse_bool(yes[i], &value), 0);
		assert_true(value);
		assert_int_equal(parse_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++)
		assert_int_equal(parse_bool(junk[i], &value), -EINVAL);
}

static void hex(void **state)
{
	static const uint8_t wanted[] = { 0x00, 0xfF, 0x1a };
	uint8_t got[3] = { 1, 2, 3 };
	static const char *const junk[] = { "", "00ff1", "00ff1a0", "00ff1g", "0x00ff" };

	for (size_t i = 0; i < ARRAY_SIZE(junk); i++) {
		assert_int_equal(parse_hex(junk[i], got, sizeof(got)), -EINVAL);
		assert_int_equal(got[0], 1);
	}
	assert_int_equal(parse_hex("00Ff1a", got, sizeof(got)), 0);
	assert_memory_equal(got, wanted, sizeof(got));
}

static void moments(void **state)
{
	static const struct {
		int64_t wall;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" }, { 1795248740, "2026-11-21T08:12:20Z" },
		{ 951782400, "2000-02-29T00:00:00Z" }, { -61000000000, "0036-12-26T11:33:20Z" },
		{ INT64_MAX, "9999-12-31T23:59:59Z" }, { INT64_MIN, "0000-01-01T00:00:00Z" },
	};
	char text[MOMENT_LEN];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		format_moment(cases[i].wall, text);
		assert_string_equal(text, cases[i].text);
	}
}

/* --- buf ----------------------------------------------------------------------------------------- */

static void buffers(void **state)
{
	cleanup_buf struct buf b = { 0 };
	cleanup_free char *text = NULL;

	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	assert_int_equal(b.len, 3890);
	assert_string_equal(b.data + b.len - 8, "998,999,");
	buf_consume(&b, b.len - 4);
	assert_string_equal(b.data, "999,");
	buf_printf(&b, "%0500d", 7);
	buf_addc(&b, '!');
	assert_int_equal(b.len, 505);
	assert_string_equal(b.data + 501, "007!");
	text = buf_steal(&b);
	assert_int_equal(strlen(text), 505);
	assert_int_equal(b.len, 0);
	free(text);
	text = buf_steal(&b);
	assert_string_equal(text, "");
}

static void buffer_errors_stick(void **state)
{
	cleanup_buf struct buf b = { 0 };
	volatile size_t too_much = SIZE_MAX / 2;

	buf_adds(&b, "before");
	buf_add(&b, "x", too_much);
	assert_true(b.failed);
	buf_adds(&b, "after");
	buf_printf(&b, "%s", "after");
	assert_string_equal(b.data, "before");
	assert_null(buf_steal(&b));
	/* and it is as new */
	buf_adds(&b, "again");
	assert_string_equal(b.data, "again");
}

/* --- io ------------------------------------------------------------------------------------------ */

static int make_dir(char path[PATH_MAX])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(path, PATH_MAX, "%s/xferfs-base.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(path));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void files(void **state)
{
	char path[PATH_MAX], data[16];
	cleanup_close int dir = make_dir(path);
	cleanup_close int fd = -1;
	cleanup_free char *text = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(io_read_file(dir, "none", 10, &text), -ENOENT);
	assert_int_equal(io_replace_file(dir, "f", "first", 5, 0600), 0);
	assert_int_equal(io_replace_file(dir, "f", "second", 6, 0640), 0);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(fstatat(dir, "f.new", &st, 0), -1);
	assert_int_equal(io_read_file(dir, "f", 5, &text), -EFBIG);
	assert_null(text);
	assert_int_equal(io_read_file(dir, "f", 6, &text), 0);
	assert_string_equal(text, "second");

	fd = openat(dir, "f", O_RDWR | O_CLOEXEC);
	assert_int_equal(io_pwrite_all(fd, "ND", 2, 4), 0);
	assert_int_equal(io_pread_all(fd, data, sizeof(data), 3, &len), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(data, "oND", 3);
	assert_int_equal(io_fsync(fd), 0);
	assert_int_equal(io_fdatasync(fd), 0);
	assert_int_equal(io_fsync_dir(dir, "."), 0);
	assert_int_equal(io_fsync_dir(dir, "f"), -ENOTDIR);
	unlinkat(dir, "f", 0);
	rmdir(path);
}

/* --- log ----------------------------------------------------------------------------------------- */

static size_t logged(int fd, char *text, size_t cap)
{
	size_t len;

	assert_int_equal(io_pread_all(fd, text, cap - 1, 0, &len), 0);
	text[len] = '\0';
	return len;
}

static void blocks(void **state)
{
	void *small = block_alloc(BLOCK_SMALL), *huge = block_alloc(BLOCK_SIZE + 1), *first, *second;

	(void)state;
	first = block_alloc(BLOCK_SMALL + 1);
	second = block_alloc(BLOCK_SIZE);
	assert_true(small && huge && first && second && first != second);
	assert_int_equal((uintptr_t)first % 4096, 0);
	assert_int_equal((uintptr_t)second % 4096, 0);
	memset(first, 1, BLOCK_SIZE); /* a block is whole, whatever was asked for */
	memset(second, 2, BLOCK_SIZE);

	/* what was freed is what comes next, and only that */
	block_free(first);
	block_free(small);
	assert_ptr_equal(block_alloc(BLOCK_SIZE), first);
	small = block_alloc(BLOCK_SIZE);
	assert_true(small != first && small != second);

	/* more than are kept go back to malloc, as does what is no block */
	void *many[40];
	for (size_t i = 0; i < 40; i++)
		assert_non_null(many[i] = block_alloc(BLOCK_SIZE));
	for (size_t i = 0; i < 40; i++)
		block_free(many[i]);
	block_free(huge);
	block_free(NULL);
	block_free(first);
	free(second);
	free(small);
	blocks_release();
	blocks_release();
}

static void log_lines(void **state)
{
	cleanup_close int fd = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	char text[4096], stream[64];
	struct stat st;

	dup2(fd, STDERR_FILENO);
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_info("one %s", "two\n<0>three");
	log_debug("not shown");
	fstat(fd, &st);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_warning("%3000s", "long");
	unsetenv("JOURNAL_STREAM");
	dup2(saved, STDERR_FILENO);
	logged(fd, text, sizeof(text));
	/* One line each, whatever is in it; a priority only for the journal itself. */
	assert_memory_equal(text, "xferfs: one two?<0>three\n<4>   ", 31);
	assert_ptr_equal(strchr(strchr(text, '\n') + 1, '\n'), text + strlen(text) - 1);
}

/* --- mailbox ------------------------------------------------------------------------------------- */

struct letter {
	struct mail mail;
	unsigned sender, number;
};

enum { SENDERS = 4, LETTERS = 3000, LAST = UINT_MAX };

struct sender {
	struct mailbox *box;
	unsigned id;
};

static void send_letter(struct mailbox *box, unsigned sender, unsigned number)
{
	struct letter *l = calloc(1, sizeof(*l));

	l->sender = sender;
	l->number = number;
	mailbox_send(box, &l->mail);
}

static void *sender_main(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < LETTERS; i++)
		send_letter(s->box, s->id, i);
	return NULL;
}

static void start_senders(struct mailbox *box, pthread_t threads[SENDERS], struct sender senders[SENDERS])
{
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ box, i };
		assert_int_equal(pthread_create(&threads[i], NULL, sender_main, &senders[i]), 0);
	}
}

static void join_all(pthread_t *threads, size_t n)
{
	while (n--)
		pthread_join(threads[n], NULL);
}

static void mail_keeps_order(void **state)
{
	struct mailbox box;
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS];
	unsigned next[SENDERS] = { 0 }, got = 0;

	mailbox_init(&box, NULL, NULL);
	assert_null(mailbox_take(&box));
	start_senders(&box, threads, senders);
	while (got < SENDERS * LETTERS) {
		struct mail *m = mailbox_wait(&box, INT64_MAX);

		assert_non_null(m);
		while (m) {
			struct letter *l = container_of(m, struct letter, mail);

			m = m->next;
			assert_int_equal(l->number, next[l->sender]++);
			free(l);
			got++;
		}
	}
	join_all(threads, SENDERS);
	assert_null(mailbox_take(&box));
	mailbox_release(&box);
}

static void *pool_main(void *arg)
{
	struct mailbox *box = arg;
	uintptr_t got = 0;

	for (;;) {
		struct mail *m = mailbox_wait_one(box);
		struct letter *l = container_of(m, struct letter, mail);
		bool last = l->number == LAST;

		free(l);
		if (last)
			return (void *)got;
		got++;
	}
}

static void pool_takes_each_once(void **state)
{
	struct mailbox box;
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS], pool[3];
	uintptr_t got = 0;

	mailbox_init(&box, NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++)
		assert_int_equal(pthread_create(&pool[i], NULL, pool_main, &box), 0);
	start_senders(&box, threads, senders);
	join_all(threads, SENDERS);
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++)
		send_letter(&box, 0, LAST);
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++) {
		void *n;

		pthread_join(pool[i], &n);
		got += (uintptr_t)n;
	}
	assert_int_equal(got, SENDERS * LETTERS);
	mailbox_release(&box);
}

static void deadline_without_mail(void **state)
{
	struct mailbox box;
	int64_t deadline = clock_now() + 3 * NSEC_PER_MSEC;

	mailbox_init(&box, NULL, NULL);
	assert_null(mailbox_wait(&box, 0));
	assert_null(mailbox_wait(&box, INT64_MIN));
	assert_null(mailbox_wait(&box, deadline));
	assert_true(clock_now() >= deadline);
	/* Mail that waits already is given though the deadline has passed. */
	send_letter(&box, 0, 0);
	struct mail *m = mailbox_wait(&box, 0);

	assert_non_null(m);
	free(container_of(m, struct letter, mail));
	mailbox_release(&box);
}

static void count_wake(void *arg)
{
	++*(unsigned *)arg;
}

static void wakes_an_empty_box(void **state)
{
	struct mailbox box;
	unsigned wakes = 0;

	mailbox_init(&box, count_wake, &wakes);
	for (unsigned round = 1; round <= 3; round++) {
		struct mail *m;

		send_letter(&box, 0, 0);
		send_letter(&box, 0, 1);
		assert_true(wakes >= round);
		for (m = mailbox_take(&box); m;) {
			struct letter *l = container_of(m, struct letter, mail);

			m = m->next;
			free(l);
		}
	}
	mailbox_release(&box);
}

/* --- creds --------------------------------------------------------------------------------------- */

static void creds_as_text(void **state)
{
	static const char *const good[] = { "0 0 22 ", "1000 100 7 ", "1 2 777 3", "4294967294 0 0 1,2,4294967294" };
	static const char *const bad[] = {
		"", "1", "1 2", "1 2 8 ", "1 2 1000 ", "-1 2 22 ", "1 2 22 ,", "1 2 22 3,", "1 2 22 3,,4", "1 2 22 x",
		"4294967295 0 0 ", "1 2 22 4294967295", " 1 2 22 ", "1  2 22 ", "1 2 22 3 ", "1 2 22 3;4",
	};
	struct creds *c;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		cleanup_free char *text = NULL;

		assert_int_equal(creds_parse(good[i], &c), 0);
		assert_int_equal(creds_format(c, &text), 0);
		assert_string_equal(text, good[i]);
		creds_free(c);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (creds_parse(bad[i], &c) != -EINVAL)
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void access_bits(void **state)
{
	const gid_t groups[] = { 50, 60 };
	cleanup(creds_free) struct creds *c = creds_new(1000, 40, 022, 2, groups);
	cleanup(creds_free) struct creds *root = creds_new(0, 0, 022, 0, NULL);

	assert_true(creds_has_group(c, 40) && creds_has_group(c, 60) && !creds_has_group(c, 61));
	assert_int_equal(creds_access(c, 1000, 60, 0124), 1);
	/* The first class that fits decides, though a later one would give more. */
	assert_int_equal(creds_access(c, 1000, 60, 0077), 0);
	assert_int_equal(creds_access(c, 1, 60, 0127), 2);
	assert_int_equal(creds_access(c, 1, 60, 0707), 0);
	assert_int_equal(creds_access(c, 1, 61, 0124), 4);
	assert_int_equal(creds_access(root, 1, 1, 0), 7);
}

struct actor {
	int dir;
	pthread_barrier_t barrier;
	struct creds *creds;
	int assumed, made, secret, secret_after;
};

static int try_open(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_CLOEXEC, 0666);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static mode_t current_umask(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return mask;
}

static void *actor_main(void *arg)
{
	struct actor *a = arg;

	assert_int_equal(creds_thread_init(), 0);
	mode_t mask = current_umask();
	a->assumed = creds_assume(a->creds);
	assert_int_equal(current_umask(), a->creds->umask);
	creds_restore();
	assert_int_equal(current_umask(), mask);
	a->assumed = creds_assume(a->creds); /* and again */
	a->made = try_open(a->dir, "made", O_CREAT | O_WRONLY);
	a->secret = try_open(a->dir, "secret", O_RDONLY);
	pthread_barrier_wait(&a->barrier); /* the other thread looks while this one is another */
	pthread_barrier_wait(&a->barrier);
	creds_restore();
	assert_int_equal(current_umask(), mask);
	a->secret_after = try_open(a->dir, "secret", O_RDONLY);
	return NULL;
}

static void run_actor(struct actor *a, int *ret_secret_here, int *ret_made_here)
{
	pthread_t thread;

	pthread_barrier_init(&a->barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, actor_main, a), 0);
	pthread_barrier_wait(&a->barrier);
	*ret_secret_here = try_open(a->dir, "secret", O_RDONLY);
	*ret_made_here = try_open(a->dir, "here", O_CREAT | O_WRONLY);
	pthread_barrier_wait(&a->barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&a->barrier);
}

static void acting_as_another(void **state)
{
	const gid_t groups[] = { 7777 };
	char path[PATH_MAX];
	cleanup_close int dir = make_dir(path);
	cleanup(creds_free) struct creds *other = creds_new(12345, 23456, 027, 1, groups);
	struct actor a = { .dir = dir, .creds = other };
	int secret_here, made_here;
	struct stat st;

	if (geteuid() != 0) {
		rmdir(path);
		assert_int_equal(creds_thread_init(), 0);
		assert_int_equal(creds_assume(other), -EPERM);
		return;
	}
	/* Only by its supplementary group may the other make files here. */
	assert_int_equal(fchown(dir, 0, 7777), 0);
	assert_int_equal(fchmod(dir, 0770), 0);
	assert_int_equal(io_replace_file(dir, "secret", "x", 1, 0600), 0);
	mode_t old = umask(0);
	run_actor(&a, &secret_here, &made_here);
	umask(old);
	assert_int_equal(a.assumed, 0);
	assert_int_equal(a.made, 0);
	assert_int_equal(a.secret, -EACCES);
	assert_int_equal(a.secret_after, 0);
	assert_int_equal(fstatat(dir, "made", &st, 0), 0);
	assert_int_equal(st.st_uid, 12345);
	assert_int_equal(st.st_gid, 23456);
	assert_int_equal(st.st_mode & 0777, 0640);
	/* The rest of the process has noticed nothing, not even the umask. */
	assert_int_equal(secret_here, 0);
	assert_int_equal(made_here, 0);
	assert_int_equal(fstatat(dir, "here", &st, 0), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	unlinkat(dir, "secret", 0);
	unlinkat(dir, "made", 0);
	unlinkat(dir, "here", 0);
	rmdir(path);
}

static void acting_as_oneself(void **state)
{
	char path[PATH_MAX];
	cleanup_close int dir = make_dir(path);
	cleanup(creds_free) struct creds *self = creds_of_process();
	struct actor a = { .dir = dir, .creds = self };
	int secret_here, made_here;
	struct stat st;

	assert_int_equal(io_replace_file(dir, "secret", "x", 1, 0600), 0);
	self->umask = 077;
	run_actor(&a, &secret_here, &made_here);
	assert_int_equal(a.assumed, 0);
	assert_int_equal(a.secret, 0);
	assert_int_equal(fstatat(dir, "made", &st, 0), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_mode & 0777, 0600);
	unlinkat(dir, "secret", 0);
	unlinkat(dir, "made", 0);
	unlinkat(dir, "here", 0);
	rmdir(path);
}

#define NOBODY_KNOWS 3999999999u

static void homes_are_remembered(void **state)
{
	const struct passwd *self = getpwuid(geteuid());
	cleanup_free char *expected = self ? strdup(self->pw_dir) : NULL;
	cleanup_free char *home = NULL;
	struct users *u;

	assert_int_equal(users_new(&u), 0);
	assert_null(users_home(u, geteuid())); /* nobody has asked */
	for (uid_t uid = NOBODY_KNOWS; uid < NOBODY_KNOWS + 20; uid++)
		users_learn(u, uid);
	users_learn(u, geteuid());
	users_learn(u, geteuid());
	home = users_home(u, geteuid());
	assert_int_equal(home != NULL, expected != NULL);
	if (home)
		assert_string_equal(home, expected);
	assert_null(users_home(u, NOBODY_KNOWS));
	users_free(u);
}

static void creds_of_users(void **state)
{
	const struct passwd *self = getpwuid(geteuid());
	cleanup(creds_free) struct creds *mine = users_creds(geteuid());
	cleanup(creds_free) struct creds *unknown = users_creds(NOBODY_KNOWS);

	assert_int_equal(mine->uid, geteuid());
	if (self)
		assert_int_equal(mine->gid, self->pw_gid);
	assert_int_equal(unknown->uid, NOBODY_KNOWS);
	assert_int_equal(unknown->gid, NOBODY_KNOWS);
	assert_int_equal(unknown->ngroups, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers), cmocka_unit_test(booleans), cmocka_unit_test(hex),
		cmocka_unit_test(moments), cmocka_unit_test(buffers), cmocka_unit_test(buffer_errors_stick),
		cmocka_unit_test(files), cmocka_unit_test(blocks), cmocka_unit_test(log_lines),
		cmocka_unit_test(mail_keeps_order),
		cmocka_unit_test(pool_takes_each_once), cmocka_unit_test(deadline_without_mail),
		cmocka_unit_test(wakes_an_empty_box), cmocka_unit_test(creds_as_text),
		cmocka_unit_test(access_bits), cmocka_unit_test(acting_as_another),
		cmocka_unit_test(acting_as_oneself), cmocka_unit_test(homes_are_remembered),
		cmocka_unit_test(creds_of_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
