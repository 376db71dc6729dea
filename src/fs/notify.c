/* Telling the kernel, and so those who poll or watch by inotify, what has changed (INTERFACE.md §3,
 * rules 6 and 7).
 *
 * One thread makes all the calls into the kernel, and holds no lock while it does: each may wait for
 * a request that a FUSE worker or the core has yet to answer. A job's first change is told at once, what
 * follows within QUIET once at its end: a job of 100,000 files does not flood its watchers.
 *
 * inotify knows only what is done through the mount. So the thread touches `state` and `events` there,
 * which raises IN_ATTRIB; the SETATTR comes back to a worker, who lets it do nothing. That is also why the
 * thread is stopped while the workers still serve.
 */
#include "fs/private.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#define QUIET (100 * NSEC_PER_MSEC)
#define BUCKETS 1024
#define TRIES 50 /* of QUIET: five seconds for readers to close what has ended */

struct dirty {
	struct dirty *chain; /* notify.buckets */
	struct dirty *next;  /* notify.fresh or notify.quiet */
	uint64_t serial;
	unsigned what;       /* CHANGED_*; 0: nothing since it was told */
	int64_t due;
	char *name;          /* CHANGED_GONE */
	unsigned tries;      /* to tell that */
};

struct dirty_list {
	struct dirty *head, **tail;
};

struct notify {
	struct fs *fs;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;                     /* lock */
	bool joined;                   /* of who stops it */
	struct dirty *buckets[BUCKETS]; /* lock; by serial */
	struct dirty_list fresh;       /* lock; to be told now */
	struct dirty_list quiet;       /* lock; told, the earliest due first */
};

/* --- the kernel --------------------------------------------------------------------------------- */

static void touch(struct fs *fs, const char *job, const char *row)
{
	cleanup_free char *path = NULL;

	/* Fails when the job or the mount has just gone; then there is nobody to tell. */
	if (asprintf(&path, "%s/%s/%s", fs->mountpoint, job, row) >= 0)
		(void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* One of those who poll the job, taken off its handle; NULL: none left. */
static struct fuse_pollhandle *take_poller(struct fs *fs, uint64_t serial)
{
	struct fuse_pollhandle *ph = NULL;

	pthread_mutex_lock(&fs->lock);
	for (struct handle *h = fs->handles; h && !ph; h = h->next) {
		if (h->place.serial != serial)
			continue;
		pthread_mutex_lock(&h->lock);
		ph = take_ptr(h->ph);
		pthread_mutex_unlock(&h->lock);
	}
	pthread_mutex_unlock(&fs->lock);
	return ph;
}

static void wake_pollers(struct fs *fs, uint64_t serial)
{
	struct fuse_pollhandle *ph;

	while ((ph = take_poller(fs, serial))) {
		fuse_lowlevel_notify_poll(ph);
		fuse_pollhandle_destroy(ph);
	}
}

static char *name_of(struct fs *fs, uint64_t serial)
{
	const struct job *j = queue_find(core_read_lock(fs->core), serial);
	char *name = j ? strdup(j->name) : NULL;

	core_read_unlock(fs->core);
	return name;
}

/* As fuse_lowlevel_notify_delete, which prints every errno on stderr: that the name is not cached, or the
 * directory in use, is no news. FUSE_NOTIFY_DELETE of linux/fuse.h. */
static int delete_name(struct fs *fs, uint64_t parent, uint64_t child, const char *name)
{
	struct fuse_notify_delete_out del = { .parent = parent, .child = child, .namelen = (uint32_t)strlen(name) };
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + sizeof(del) + del.namelen + 1), .error = FUSE_NOTIFY_DELETE,
	};
	struct iovec parts[] = {
		{ &head, sizeof(head) }, { &del, sizeof(del) }, { (char *)name, del.namelen + 1 },
	};

	return writev(fuse_session_fd(fs->session), parts, ARRAY_SIZE(parts)) < 0 ? -errno : 0;
}

/* The kernel deletes no directory in which a name is in use: those of the open files go first. */
static void delete_rows(struct fs *fs, uint64_t serial)
{
	uint64_t job = ino_of((struct place) { PLACE_JOB, serial });
	struct ctl row;

	for (uint32_t i = 0; ctl_row(PLACE_ROW, i, &row); i++)
		delete_name(fs, job, ino_of((struct place) { PLACE_ROW, serial, i }), row.name);
	for (size_t i = 0; i < JOB_DIRS; i++)
		delete_name(fs, job, ino_of((struct place) { job_dirs[i].kind, serial, NODE_ROOT }), job_dirs[i].name);
}

/* False: something below is still in use, as a staged file that is being read. */
static bool tell_gone(struct fs *fs, uint64_t serial, const char *name)
{
	uint64_t ino = ino_of((struct place) { PLACE_JOB, serial });

	if (delete_name(fs, FUSE_ROOT_ID, ino, name) != -ENOTEMPTY)
		return true;
	delete_rows(fs, serial);
	return delete_name(fs, FUSE_ROOT_ID, ino, name) != -ENOTEMPTY;
}

/* False: it is to be told again. */
static bool tell(struct fs *fs, uint64_t serial, unsigned what, const char *gone)
{
	cleanup_free char *name = NULL;

	wake_pollers(fs, serial);
	if (what & CHANGED_GONE)
		return !gone || tell_gone(fs, serial, gone);
	name = name_of(fs, serial);
	if (!name)
		return true;
	if (what & CHANGED_STATE)
		touch(fs, name, "state");
	touch(fs, name, "events");
	return true;
}

/* --- the list ----------------------------------------------------------------------------------- */

static void list_init(struct dirty_list *l)
{
	*l = (struct dirty_list) { .tail = &l->head };
}

static void list_append(struct dirty_list *l, struct dirty *d)
{
	d->next = NULL;
	*l->tail = d;
	l->tail = &d->next;
}

static struct dirty *list_take(struct dirty_list *l)
{
	struct dirty *d = l->head;

	l->head = d->next;
	if (!l->head)
		l->tail = &l->head;
	return d;
}

static struct dirty **find(struct notify *n, uint64_t serial)
{
	struct dirty **at = &n->buckets[serial % BUCKETS];

	while (*at && (*at)->serial != serial)
		at = &(*at)->chain;
	return at;
}

static void dirty_free(struct dirty *d)
{
	free(d->name);
	free(d);
}

static void forget(struct notify *n, struct dirty *d)
{
	*find(n, d->serial) = d->chain;
	dirty_free(d);
}

void notify_changed(struct notify *n, uint64_t serial, const char *name, unsigned what)
{
	struct dirty **at, *d;

	pthread_mutex_lock(&n->lock);
	at = find(n, serial);
	d = *at;
	/* Out of memory, or stopped: a change is not told, and nothing else is lost. */
	if (!d && !n->stop && (d = calloc(1, sizeof(*d)))) {
		*d = (struct dirty) { .serial = serial };
		*at = d;
		list_append(&n->fresh, d);
		pthread_cond_signal(&n->changed);
	}
	if (d) {
		d->what |= what;
		if (what & CHANGED_GONE && name && !d->name)
			d->name = strdup(name);
	}
	pthread_mutex_unlock(&n->lock);
}

/* The next one to tell; sleeps until there is one; NULL: stop. The lock is held. */
static struct dirty *next_due(struct notify *n)
{
	for (;;) {
		struct dirty *d = n->quiet.head;
		struct timespec until;
		int64_t left;

		if (n->stop)
			return NULL;
		if (n->fresh.head)
			return list_take(&n->fresh);
		if (!d) {
			pthread_cond_wait(&n->changed, &n->lock);
			continue;
		}
		left = d->due - clock_now();
		if (left > 0) {
			/* Condition variables know CLOCK_MONOTONIC, clock_now() is CLOCK_BOOTTIME. */
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_nsec += left;
			until.tv_sec += until.tv_nsec / NSEC_PER_SEC;
			until.tv_nsec %= NSEC_PER_SEC;
			pthread_cond_timedwait(&n->changed, &n->lock, &until);
			continue;
		}
		list_take(&n->quiet);
		if (d->what)
			return d;
		forget(n, d);
	}
}

static void *notify_run(void *arg)
{
	struct notify *n = arg;
	struct dirty *d;
	bool told;

	pthread_mutex_lock(&n->lock);
	while ((d = next_due(n))) {
		uint64_t serial = d->serial;
		unsigned what = d->what;
		char *gone = take_ptr(d->name);

		d->what = 0;
		d->due = clock_now() + QUIET;
		list_append(&n->quiet, d);
		pthread_mutex_unlock(&n->lock);
		told = tell(n->fs, serial, what, gone);
		pthread_mutex_lock(&n->lock);
		/* Nobody else takes D off the quiet list: it is still there. */
		if (!told && d->tries++ < TRIES) {
			d->what = what;
			d->name = take_ptr(gone);
		}
		free(gone);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

int notify_start(struct fs *fs, struct notify **ret)
{
	struct notify *n = calloc(1, sizeof(*n));
	pthread_condattr_t attr;
	int err;

	if (!n)
		return -ENOMEM;
	n->fs = fs;
	list_init(&n->fresh);
	list_init(&n->quiet);
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&n->changed, &attr);
	pthread_condattr_destroy(&attr);
	err = pthread_create(&n->thread, NULL, notify_run, n);
	if (err) {
		free(n);
		return -err;
	}
	*ret = n;
	return 0;
}

void notify_stop(struct notify *n)
{
	if (n->joined)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->changed);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
	n->joined = true;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	notify_stop(n);
	while (n->fresh.head)
		dirty_free(list_take(&n->fresh));
	while (n->quiet.head)
		dirty_free(list_take(&n->quiet));
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
