/* recover LOG ROOT WWW FOLDER: what recovery makes of a tree after a power cut.
 *
 * Reads lines "CUT SEED" (SEED "all": nothing is lost). For each the tree is built in a directory of its
 * own below FOLDER (replay.h), and, in a process of its own, the queue is loaded and recovered as the daemon
 * does it at its start, after a reboot: the boot id is another one. The core turns, and the mover's orders
 * are done, until nothing follows any more; nothing is downloaded. Before and after, contents are compared
 * with the files of WWW: what the queue claims to have of a file, and what is in the destination. A line of
 * JSON says what is there; power.py judges it.
 *
 * ROOT is the inode of the tree that was logged. The numbers of inodes that the database holds are of that
 * tree, so fstat and fstatat say those (-Wl,--wrap).
 */
#include "replay.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "config.h"
#include "core/core.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct replay *replay;
static const char *www;

/* --- in place of the machine ---------------------------------------------------------------------- */

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __real_fstatat64(int dirfd, const char *path, struct stat *st, int flags);
int __wrap_fstatat64(int dirfd, const char *path, struct stat *st, int flags);
int __real_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __real_io_read_file(int dirfd, const char *path, size_t max, char **ret_text);
int __wrap_io_read_file(int dirfd, const char *path, size_t max, char **ret_text);

int __wrap_fstat64(int fd, struct stat *st)
{
	int r = __real_fstat64(fd, st);

	if (r == 0 && replay)
		st->st_ino = replay_ino(replay, st->st_ino);
	return r;
}

int __wrap_fstatat64(int dirfd, const char *path, struct stat *st, int flags)
{
	int r = __real_fstatat64(dirfd, path, st, flags);

	if (r == 0 && replay)
		st->st_ino = replay_ino(replay, st->st_ino);
	return r;
}

/* As interpose.c has it in the recording. */
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	if (!getenv("XFERFS_OPLOG_COPY"))
		return __real_linkat(from_dir, from, to_dir, to, flags);
	errno = EXDEV;
	return -1;
}

int __wrap_io_read_file(int dirfd, const char *path, size_t max, char **ret_text)
{
	if (strcmp(path, "/proc/sys/kernel/random/boot_id") != 0)
		return __real_io_read_file(dirfd, path, max, ret_text);
	*ret_text = strdup("after-the-cut\n");
	return *ret_text ? 0 : -ENOMEM;
}

/* --- saying --------------------------------------------------------------------------------------- */

static struct buf out;
static const char *separator = "";

static void say_text(const char *text)
{
	buf_addc(&out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_addc(&out, '\\');
		if ((unsigned char)*text < ' ')
			buf_printf(&out, "\\u%04x", *text);
		else
			buf_addc(&out, *text);
	}
	buf_addc(&out, '"');
}

/* NULL: of a list */
static void say_key(const char *key)
{
	buf_printf(&out, "%s", separator);
	separator = ", ";
	if (!key)
		return;
	say_text(key);
	buf_printf(&out, ": ");
}

static void say(const char *key, const char *value)
{
	say_key(key);
	say_text(value);
}

static void open_bracket(const char *key, char bracket)
{
	say_key(key);
	buf_addc(&out, bracket);
	separator = "";
}

static void close_bracket(char bracket)
{
	buf_addc(&out, bracket);
	separator = ", ";
}

static void say_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char wrong[1 << 16]; /* lines */

static void say_wrong(const char *format, ...)
{
	size_t len = strlen(wrong);
	va_list args;

	va_start(args, format);
	vsnprintf(wrong + len, sizeof(wrong) - len, format, args);
	va_end(args);
}

/* --- contents ------------------------------------------------------------------------------------- */

/* The content that is meant by URL, or by the name that ends in ".KEY". */
static char *content_of(const char *name, char mark, size_t *ret_size)
{
	const char *key = strrchr(name, mark);
	char path[4096], *data;
	cleanup_close int fd = -1;
	struct stat st;

	if (!key)
		return NULL;
	snprintf(path, sizeof(path), "%s/%.*s", www, (int)strcspn(key + 1, "?"), key + 1);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || __real_fstat64(fd, &st) < 0)
		return NULL;
	data = malloc((size_t)st.st_size + 1);
	if (!data || io_pread_all(fd, data, (size_t)st.st_size, 0, ret_size) < 0)
		errx(2, "cannot read %s", path);
	return data;
}

static bool same(int fd, uint64_t first, uint64_t end, const char *data, size_t size)
{
	cleanup_free char *is = malloc(end - first + 1);
	size_t got;

	return is && end <= size && io_pread_all(fd, is, end - first, (off_t)first, &got) == 0 && got == end - first &&
		memcmp(is, data + first, got) == 0;
}

/* That each byte which the queue says to have is in the blob. */
static void check_file(const struct blobs *blobs, const struct job *job, uint32_t id)
{
	const struct file *f = file_now(job->files, id);
	const char *url = file_source(job->files, id)->url;
	size_t size = 0;
	cleanup_free char *data = content_of(url, '/', &size);
	cleanup_close int fd = -1;

	if (f->state == FILE_COMPLETED || (!f->have.n && f->state != FILE_TRANSFERRED))
		return;
	if (!data || blob_open_read(blobs, job->serial, id, f->generation, &fd) < 0) {
		say_wrong("%s: %s: its blob is not there\n", job->name, url);
		return;
	}
	if (f->state == FILE_TRANSFERRED && file_got(f) != size)
		say_wrong("%s: %s: transferred, but has %" PRIu64 " bytes of %zu\n", job->name, url, file_got(f), size);
	for (uint32_t i = 0; i < f->have.n; i++)
		if (!same(fd, f->have.v[i].first, f->have.v[i].end, data, size))
			say_wrong("%s: %s: what it has from %" PRIu64 " to %" PRIu64 " is wrong\n", job->name, url,
				f->have.v[i].first, f->have.v[i].end);
}

/* Of a job that is COMPLETING some files may be in their places. */
static void check_blobs(const struct blobs *blobs, const struct queue *q)
{
	for (const struct job *job = queue_next(q, 0); job; job = queue_next(q, job->serial)) {
		if (job->state == JOB_COMPLETING)
			continue;
		for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE;
		     id = files_next_file(job->files, id))
			check_file(blobs, job, id);
	}
}

/* --- the destination ------------------------------------------------------------------------------ */

static const char *destination;
static bool saying; /* after recovery */

static int look_at(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	const char *below = path + strlen(destination) + (path[strlen(destination)] == '/');
	cleanup_close int fd = -1;
	bool temporary = path[at->base] == '.' && strstr(path + at->base, ".xferfs");
	size_t size = 0;

	if (kind == FTW_D && strcmp(below, ".xferfs") == 0)
		return FTW_SKIP_SUBTREE;
	if (at->level && temporary) {
		if (saying)
			say_wrong("%s: left over\n", below);
		return kind == FTW_D ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
	}
	if (kind == FTW_D)
		return FTW_CONTINUE;
	cleanup_free char *data = content_of(path, '.', &size);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!data || (size_t)st->st_size != size || !same(fd, 0, size, data, size))
		say_wrong("%s: its content is wrong %s recovery\n", below, saying ? "after" : "before");
	if (saying) {
		say_key(below);
		buf_printf(&out, "%u", st->st_uid);
	}
	return FTW_CONTINUE;
}

static void look_at_destination(bool after)
{
	saying = after;
	nftw(destination, look_at, 32, FTW_PHYS | FTW_ACTIONRETVAL);
}

/* --- recovering ----------------------------------------------------------------------------------- */

struct rig {
	struct core *core;
	struct blobs *blobs;
	int destination;
	unsigned orders; /* done in this turn */
};

static void port_fetch(void *arg, struct fetch *f)
{
	fetch_free(f);
}

static void port_id(void *arg, uint64_t id)
{
}

static void port_two(void *arg, uint64_t a, uint64_t b)
{
}

static void port_prioritise(void *arg, uint64_t serial, enum job_priority priority)
{
}

static void port_limit_all(void *arg, uint64_t rate, bool exempt)
{
}

static void port_limit_class(void *arg, enum job_priority priority, uint64_t rate)
{
}

static void port_order(void *arg, struct order *o)
{
	struct rig *rig = arg;

	order_perform(o, rig->blobs, rig->destination);
	rig->orders++;
	mailbox_send(core_mailbox(rig->core), &o->mail);
}

static void must(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, strerror(-r));
}

static void start(struct rig *rig, const char *staging, struct config *config, struct queue **ret_queue)
{
	const struct core_ports ports = {
		.engine = rig, .mover = rig, .runner = rig, .fetch = port_fetch, .cease = port_id, .want = port_two,
		.prioritise = port_prioritise, .limit_all = port_limit_all, .limit_class = port_limit_class,
		.limit_job = port_two, .order = port_order, .cancel_orders = port_id,
	};
	struct core_options options = { .config = config, .mountpoint = "/mnt", .destination = destination, .seed = 1 };
	cleanup_free char *path = NULL;
	pid_t pid;

	if (asprintf(&path, "%s/queue.db", staging) < 0)
		path = NULL;
	must(blobs_open(staging, &rig->blobs, &pid), "blobs_open");
	must(store_open(path, &options.store), "store_open");
	must(queue_new(64, &options.queue), "queue_new");
	must(store_load(options.store, 0, options.queue, &options.next_serial), "store_load");
	if (store_is_fresh(options.store))
		say_wrong("the database is damaged\n");
	options.blobs = rig->blobs;
	check_blobs(rig->blobs, options.queue);
	*ret_queue = options.queue;
	must(core_new(&options, &rig->core), "core_new");
	must(core_recover(rig->core), "core_recover");
	core_set_ports(rig->core, &ports);
}

static void say_files(const struct job *job)
{
	open_bracket("files", '{');
	for (uint32_t id = files_next_file(job->files, NODE_ROOT); id != NODE_NONE; id = files_next_file(job->files, id)) {
		cleanup_free char *path = NULL;

		must(files_path(job->files, id, &path), "files_path");
		say(path, file_source(job->files, id)->url);
	}
	close_bracket('}');
}

static void say_job(const struct job *job)
{
	char id[24];

	snprintf(id, sizeof(id), "%" PRIu64, job->serial);
	open_bracket(job->name, '{');
	say("id", id);
	say("state", job_state_word(job->state));
	say_key("mode");
	buf_printf(&out, "%u", (unsigned)job->mode);
	say_key("uid");
	buf_printf(&out, "%u", job->uid);
	say_files(job);
	open_bracket("props", '{');
	for (size_t i = 0; i < prop_count; i++) {
		cleanup_buf struct buf text = { 0 };

		prop_rules[i].show(&prop_rules[i], &job->props, &text);
		say(prop_rules[i].name, text.len ? text.data : "");
	}
	close_bracket('}');
	close_bracket('}');
}

static void say_queue(const struct queue *q)
{
	const struct result *const *results;
	size_t n = history_all(queue_history(q), &results);

	open_bracket("jobs", '{');
	for (const struct job *job = queue_next(q, 0); job; job = queue_next(q, job->serial))
		say_job(job);
	close_bracket('}');
	open_bracket("ended", '{');
	for (size_t i = 0; i < n; i++)
		say(results[i]->name, job_state_word(results[i]->state));
	close_bracket('}');
}

static void recover(void)
{
	struct config config;
	struct rig rig = { .destination = open(destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	cleanup_free char *staging = NULL;
	struct queue *queue = NULL;

	if (asprintf(&staging, "%s/.xferfs", destination) < 0)
		staging = NULL;
	must(config_init(&config), "config_init");
	must(creds_thread_init(), "creds_thread_init");
	look_at_destination(false);
	start(&rig, staging, &config, &queue);
	do {
		rig.orders = 0;
		core_turn(rig.core);
	} while (rig.orders);
	say_queue(queue);
}

/* --- one cut after the other ---------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	return remove(path);
}

static void one(size_t cut, uint64_t seed)
{
	mkdir(destination, 0755);
	if (chmod(destination, 01777) < 0)
		err(2, "%s", destination);
	umask(022);
	replay_build(replay, cut, seed, destination);
	buf_printf(&out, "{\"cut\": %zu, \"seed\": \"%" PRIu64 "\", \"marks\": %" PRIu64, cut, seed, replay_marks(replay, cut));
	separator = ", ";
	recover();
	open_bracket("dest", '{');
	look_at_destination(true);
	close_bracket('}');
	say("wrong", wrong);
	close_bracket('}');
	printf("%s\n", out.data);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	char line[128], seed[64], *path;
	size_t cut;

	if (argc != 5)
		errx(2, "usage: recover LOG ROOT WWW FOLDER");
	replay = replay_open(argv[1], strtoull(argv[2], NULL, 10));
	www = argv[3];
	if (asprintf(&path, "%s/dest-%d", argv[4], (int)getpid()) < 0)
		errx(2, "out of memory");
	destination = path;
	log_set_level(LOG_LEVEL_ERROR);
	printf("%zu\n", replay_length(replay));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		int status;
		pid_t child;

		if (sscanf(line, "%zu %63s", &cut, seed) != 2)
			errx(2, "not a cut: %s", line);
		child = fork();
		if (child == 0)
			one(cut, strcmp(seed, "all") == 0 ? REPLAY_ALL : strtoull(seed, NULL, 10));
		if (child < 0 || waitpid(child, &status, 0) < 0)
			err(2, "fork");
		if (status) {
			printf("{\"cut\": %zu, \"seed\": \"%s\", \"failed\": \"status %d\"}\n", cut, seed, status);
			fflush(stdout);
		}
		nftw(destination, remove_one, 32, FTW_PHYS | FTW_DEPTH);
	}
	return 0;
}
