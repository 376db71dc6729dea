/* Telling the kernel, and so those who poll or watch by inotify, what has changed (INTERFACE.md §3,
 * rules 6 and 7).
 *
 * Two threads tell, and hold no lock while they do: each call may wait for a request that a FUSE worker or
 * the core has yet to answer. A job's first change is told at once, what follows within QUIET once at its
 * end: a job of 100,000 files does not flood its watchers.
 *
 *	pollers  wakes those who poll
 *	inside   for inotify, which knows only what is done through the mount: touches `state` and `events`
 *	         there, which raises IN_ATTRIB, and removes the directory of a job that has ended, which
 *	         raises IN_DELETE_SELF. Both requests come back to a worker, who lets them do nothing.
 *
 * Inside, a directory's lock in the kernel may be held by a mkdir(2) that waits for us, and the wait for it
 * cannot be killed. If the daemon is, the kernel must yet see its descriptor of /dev/fuse closed, or the
 * mount, the mkdir and the daemon hang for ever. So that thread has a table of descriptors of its own,
 * without this one; FUSE_NOTIFY_DELETE, which takes the same lock, is out of the question.
 */
#include "fs/private.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define QUIET (100 * NSEC_PER_MSEC)
#define BUCKETS 1024

struct dirty {
	struct dirty *chain; /* teller.buckets */
	struct dirty *next;  /* teller.fresh or teller.quiet */
	uint64_t serial;
	unsigned what;       /* CHANGED_*; 0: nothing since it was told */
	int64_t due;
	char *name;          /* CHANGED_GONE */
};

struct dirty_list {
	struct dirty *head, **tail;
};

struct teller {
	struct notify *notify;
	void (*tell)(struct notify *n, uint64_t serial, unsigned what, const char *gone);
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool started;
	bool stop;                      /* lock */
	struct dirty *buckets[BUCKETS]; /* lock; by serial */
	struct dirty_list fresh;        /* lock; to be told now */
	struct dirty_list quiet;        /* lock; told, the earliest due first */
};

struct notify {
	struct fs *fs;
	struct teller pollers, inside;
	pthread_mutex_t lock;
	pid_t insider;                  /* lock; the thread of `inside`; 0: not yet */
	uint64_t buried;                /* lock; the job that it removes; 0: none */
};

/* --- who polls ---------------------------------------------------------------------------------- */

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

static void tell_pollers(struct notify *n, uint64_t serial, unsigned what, const char *gone)
{
	struct fuse_pollhandle *ph;

	while ((ph = take_poller(n->fs, serial))) {
		fuse_lowlevel_notify_poll(ph);
		fuse_pollhandle_destroy(ph);
	}
}

/* --- who watches -------------------------------------------------------------------------------- */

static void touch(struct fs *fs, const char *job, const char *row)
{
	cleanup_free char *path = NULL;

	/* Fails when the job or the mount has just gone; then there is nobody to tell. */
	if (asprintf(&path, "%s/%s/%s", fs->mountpoint, job, row) >= 0)
		(void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static char *name_of(struct fs *fs, uint64_t serial)
{
	const struct job *j = queue_find(core_read_lock(fs->core), serial);
	char *name = j ? strdup(j->name) : NULL;

	core_read_unlock(fs->core);
	return name;
}

static bool name_is_used(struct fs *fs, const char *name)
{
	bool used = queue_find_name(core_read_lock(fs->core), name);

	core_read_unlock(fs->core);
	return used;
}

static void set_buried(struct notify *n, uint64_t serial)
{
	pthread_mutex_lock(&n->lock);
	n->buried = serial;
	pthread_mutex_unlock(&n->lock);
}

/* The name is found by this thread alone (notify_buries). A new job of that name is left in peace. */
static void bury(struct notify *n, uint64_t serial, const char *name)
{
	cleanup_free char *path = NULL;

	if (name_is_used(n->fs, name) || asprintf(&path, "%s/%s", n->fs->mountpoint, name) < 0)
		return;
	set_buried(n, serial);
	(void)rmdir(path);
	set_buried(n, 0);
}

static void tell_inside(struct notify *n, uint64_t serial, unsigned what, const char *gone)
{
	cleanup_free char *name = NULL;

	if (what & CHANGED_GONE) {
		if (gone)
			bury(n, serial, gone);
		return;
	}
	name = name_of(n->fs, serial);
	if (!name)
		return;
	if (what & CHANGED_STATE)
		touch(n->fs, name, "state");
	touch(n->fs, name, "events");
}

bool notify_buries(struct notify *n, fuse_req_t req, uint64_t *ret_serial)
{
	pid_t asker = fuse_req_ctx(req)->pid;
	bool ours;

	pthread_mutex_lock(&n->lock);
	ours = n->insider && asker == n->insider && n->buried;
	if (ours)
		*ret_serial = n->buried;
	pthread_mutex_unlock(&n->lock);
	return ours;
}

/* False: the thread would keep the connection open, and is not to go inside. */
static bool go_inside(struct notify *n)
{
	/* Not close(): to the thread sanitizer a descriptor is the whole process's. */
	if (unshare(CLONE_FILES) < 0 || syscall(SYS_close, fuse_session_fd(n->fs->session)) < 0) {
		log_error("inotify will not see changes: %s", strerror(errno));
		return false;
	}
	pthread_mutex_lock(&n->lock);
	n->insider = gettid();
	pthread_mutex_unlock(&n->lock);
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

static struct dirty **find(struct teller *t, uint64_t serial)
{
	struct dirty **at = &t->buckets[serial % BUCKETS];

	while (*at && (*at)->serial != serial)
		at = &(*at)->chain;
	return at;
}

static void dirty_free(struct dirty *d)
{
	free(d->name);
	free(d);
}

static void forget(struct teller *t, struct dirty *d)
{
	*find(t, d->serial) = d->chain;
	dirty_free(d);
}

static void changed(struct teller *t, uint64_t serial, const char *name, unsigned what)
{
	struct dirty **at, *d;

	pthread_mutex_lock(&t->lock);
	at = find(t, serial);
	d = *at;
	/* Out of memory, or stopped: a change is not told, and nothing else is lost. */
	if (!d && !t->stop && (d = calloc(1, sizeof(*d)))) {
		*d = (struct dirty) { .serial = serial };
		*at = d;
		list_append(&t->fresh, d);
		pthread_cond_signal(&t->changed);
	}
	if (d) {
		d->what |= what;
		if (what & CHANGED_GONE && name && !d->name)
			d->name = strdup(name);
	}
	pthread_mutex_unlock(&t->lock);
}

/* The next one to tell; sleeps until there is one; NULL: stop. The lock is held. */
static struct dirty *next_due(struct teller *t)
{
	for (;;) {
		struct dirty *d = t->quiet.head;
		struct timespec until;
		int64_t left;

		if (t->stop)
			return NULL;
		if (t->fresh.head)
			return list_take(&t->fresh);
		if (!d) {
			pthread_cond_wait(&t->changed, &t->lock);
			continue;
		}
		left = d->due - clock_now();
		if (left > 0) {
			/* Condition variables know CLOCK_MONOTONIC, clock_now() is CLOCK_BOOTTIME. */
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_nsec += left;
			until.tv_sec += until.tv_nsec / NSEC_PER_SEC;
			until.tv_nsec %= NSEC_PER_SEC;
			pthread_cond_timedwait(&t->changed, &t->lock, &until);
			continue;
		}
		list_take(&t->quiet);
		if (d->what)
			return d;
		forget(t, d);
	}
}

static void *teller_run(void *arg)
{
	struct teller *t = arg;
	struct dirty *d;
	bool able = t != &t->notify->inside || go_inside(t->notify);

	pthread_setname_np(pthread_self(), "xferfs-tell");
	pthread_mutex_lock(&t->lock);
	while ((d = next_due(t))) {
		uint64_t serial = d->serial;
		unsigned what = d->what;
		cleanup_free char *gone = take_ptr(d->name);

		d->what = 0;
		d->due = clock_now() + QUIET;
		list_append(&t->quiet, d);
		pthread_mutex_unlock(&t->lock);
		if (able)
			t->tell(t->notify, serial, what, gone);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* --- starting and stopping ---------------------------------------------------------------------- */

static int teller_start(struct teller *t)
{
	int err = pthread_create(&t->thread, NULL, teller_run, t);

	t->started = err == 0;
	return -err;
}

static void teller_stop(struct teller *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (t->started)
		pthread_join(t->thread, NULL);
	t->started = false;
}

static void teller_init(struct teller *t, struct notify *n,
	void (*tell)(struct notify *n, uint64_t serial, unsigned what, const char *gone))
{
	pthread_condattr_t attr;

	t->notify = n;
	t->tell = tell;
	list_init(&t->fresh);
	list_init(&t->quiet);
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static void teller_release(struct teller *t)
{
	teller_stop(t);
	while (t->fresh.head)
		dirty_free(list_take(&t->fresh));
	while (t->quiet.head)
		dirty_free(list_take(&t->quiet));
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
}

int notify_start(struct fs *fs, struct notify **ret)
{
	struct notify *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->fs = fs;
	pthread_mutex_init(&n->lock, NULL);
	teller_init(&n->pollers, n, tell_pollers);
	teller_init(&n->inside, n, tell_inside);
	r = teller_start(&n->pollers);
	if (r == 0)
		r = teller_start(&n->inside);
	if (r < 0) {
		notify_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void notify_changed(struct notify *n, uint64_t serial, const char *name, unsigned what)
{
	changed(&n->pollers, serial, name, what);
	changed(&n->inside, serial, name, what);
}

void notify_stop(struct notify *n)
{
	teller_stop(&n->pollers);
	teller_stop(&n->inside);
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	teller_release(&n->pollers);
	teller_release(&n->inside);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
