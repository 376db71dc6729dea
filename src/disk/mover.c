/* The pool: orders go into lanes by job, and a lane has one worker at a time.
 *
 * A job's orders all meet in the lane of its serial, so they are done in the order sent. There are
 * far more lanes than threads, and neighbouring serials never share one; jobs that do merely wait for
 * each other. Nothing is allocated, so sending cannot fail.
 *
 * Verifying may take minutes a file: one thread is always left for what a user waits for.
 */
#include "disk/mover.h"

#include "disk/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define LANES 256

struct lane {
	struct order *head, **tail; /* head: being done, when `busy` */
	bool busy;
	struct lane *next;          /* ready */
	bool queued;                /* in ready */
};

struct mover {
	struct blobs *blobs;
	struct mailbox *done;
	int destination;
	unsigned nthreads;
	pthread_t *threads;

	pthread_mutex_t lock;     /* all below, and the orders in the lanes */
	pthread_cond_t work;
	struct lane lanes[LANES];
	struct lane *ready, **ready_tail;
	unsigned verifying;
	bool stopping;
};

/* --- orders ------------------------------------------------------------------------------------ */

struct order *order_new(enum order_kind kind, uint64_t serial, size_t nfiles)
{
	struct order *o;

	if (nfiles > (SIZE_MAX - sizeof(*o)) / sizeof(o->files[0]))
		return NULL;
	o = calloc(1, sizeof(*o) + nfiles * sizeof(o->files[0]));
	if (!o)
		return NULL;
	o->mail.kind = kind;
	o->serial = serial;
	o->nfiles = nfiles;
	for (size_t i = 0; i < nfiles; i++)
		o->files[i].mtime = INT64_MIN;
	return o;
}

void order_free(struct order *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->nfiles; i++) {
		struct order_file *f = &o->files[i];

		extents_release(&f->have);
		digest_free(f->digest);
		free(f->path);
		free(f->placed);
	}
	creds_free(o->creds);
	free(o->destination);
	free(o);
}

static bool is_verify(const struct order *o)
{
	return o->mail.kind == ORDER_VERIFY;
}

static void cancel_verify(struct order *o)
{
	if (is_verify(o)) /* read by digest_verify in another thread */
		__atomic_store_n(&o->cancelled, true, __ATOMIC_RELAXED);
}

static void verify(struct order *o, struct blobs *blobs)
{
	struct order_file *f = &o->files[0];
	cleanup_close int fd = -1;

	f->err = blob_open_read(blobs, o->serial, f->file, f->generation, &fd);
	if (f->err == 0 && !f->digest)
		f->err = digest_new(f->digest_kind, &f->digest);
	if (f->err == 0)
		f->err = digest_verify(f->digest, fd, f->size, f->want, &o->cancelled);
	digest_free(f->digest);
	f->digest = NULL;
}

static void drop(struct order *o, struct blobs *blobs)
{
	if (o->nfiles == 0)
		o->err = blobs_drop(blobs, o->serial, &o->leftovers);
	for (size_t i = 0; i < o->nfiles; i++) {
		struct order_file *f = &o->files[i];

		f->err = blob_unlink(blobs, o->serial, f->file, f->generation);
		o->leftovers += f->err < 0;
	}
}

void order_perform(struct order *o, struct blobs *blobs, int destination_fd)
{
	switch ((enum order_kind)o->mail.kind) {
	case ORDER_SYNC:
		sync_perform(o, blobs);
		break;
	case ORDER_VERIFY:
		verify(o, blobs);
		break;
	case ORDER_PREPARE:
		prepare_perform(o, blobs, destination_fd);
		break;
	case ORDER_PLACE:
		place_perform(o, blobs, destination_fd);
		break;
	case ORDER_DROP:
		drop(o, blobs);
		break;
	}
	for (size_t i = 0; i < o->nfiles && o->err == 0; i++)
		o->err = o->files[i].err;
}

/* --- lanes (under the lock) -------------------------------------------------------------------- */

static struct lane *lane_of(struct mover *m, uint64_t serial)
{
	return &m->lanes[serial % LANES];
}

static void make_ready(struct mover *m, struct lane *lane)
{
	if (lane->queued || lane->busy || !lane->head)
		return;
	lane->queued = true;
	lane->next = NULL;
	*m->ready_tail = lane;
	m->ready_tail = &lane->next;
	pthread_cond_signal(&m->work);
}

static bool may_run(const struct mover *m, const struct order *o)
{
	return !is_verify(o) || m->nthreads == 1 || m->verifying < m->nthreads - 1;
}

/* The first ready lane whose order may run, taken out; NULL when there is none. */
static struct lane *take_ready(struct mover *m)
{
	for (struct lane **at = &m->ready; *at; at = &(*at)->next) {
		struct lane *lane = *at;

		if (!may_run(m, lane->head))
			continue;
		*at = lane->next;
		if (m->ready_tail == &lane->next)
			m->ready_tail = at;
		lane->queued = false;
		return lane;
	}
	return NULL;
}

/* Does the lane's first order, without the lock, and sends it back. */
static void work_on(struct mover *m, struct lane *lane)
{
	struct order *o = lane->head;
	bool verifies = is_verify(o);

	lane->busy = true;
	m->verifying += verifies;
	pthread_mutex_unlock(&m->lock);

	order_perform(o, m->blobs, m->destination);

	pthread_mutex_lock(&m->lock);
	lane->head = o->next;
	if (!lane->head)
		lane->tail = &lane->head;
	lane->busy = false;
	m->verifying -= verifies;
	make_ready(m, lane);
	if (verifies)
		pthread_cond_signal(&m->work); /* for a lane that was passed over */
	/* Before the lock is dropped: the lane's next order may not come back before this one. */
	o->next = NULL;
	mailbox_send(m->done, &o->mail);
}

static void *worker(void *arg)
{
	struct mover *m = arg;

	pthread_setname_np(pthread_self(), "xferfs-disk");
	creds_thread_init(); /* if it fails, placing does, with EINVAL for each file */
	pthread_mutex_lock(&m->lock);
	for (;;) {
		struct lane *lane = take_ready(m);

		if (lane)
			work_on(m, lane);
		else if (m->stopping && !m->ready)
			break;
		else
			pthread_cond_wait(&m->work, &m->lock);
	}
	pthread_cond_broadcast(&m->work); /* those that waited for a VERIFY to end */
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

/* --- the pool ---------------------------------------------------------------------------------- */

static void mover_free(struct mover *m)
{
	if (m->destination >= 0)
		close(m->destination);
	pthread_cond_destroy(&m->work);
	pthread_mutex_destroy(&m->lock);
	free(m->threads);
	free(m);
}

int mover_start(struct blobs *blobs, const char *destination, unsigned threads, struct mailbox *done, struct mover **ret)
{
	struct mover *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->blobs = blobs;
	m->done = done;
	m->ready_tail = &m->ready;
	for (size_t i = 0; i < LANES; i++)
		m->lanes[i].tail = &m->lanes[i].head;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->work, NULL);
	m->threads = calloc(threads, sizeof(*m->threads));
	m->destination = open(destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->destination < 0 || !m->threads) {
		int r = m->threads ? -errno : -ENOMEM;

		mover_free(m);
		return r;
	}
	while (m->nthreads < threads) {
		int r = pthread_create(&m->threads[m->nthreads], NULL, worker, m);

		if (r > 0) {
			mover_stop(m);
			return -r;
		}
		m->nthreads++;
	}
	*ret = m;
	return 0;
}

void mover_send(struct mover *m, struct order *o)
{
	struct lane *lane = lane_of(m, o->serial);

	o->next = NULL;
	pthread_mutex_lock(&m->lock);
	*lane->tail = o;
	lane->tail = &o->next;
	make_ready(m, lane);
	pthread_mutex_unlock(&m->lock);
}

void mover_cancel(struct mover *m, uint64_t serial)
{
	pthread_mutex_lock(&m->lock);
	for (struct order *o = lane_of(m, serial)->head; o; o = o->next)
		if (o->serial == serial)
			cancel_verify(o);
	pthread_mutex_unlock(&m->lock);
}

void mover_stop(struct mover *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	for (size_t i = 0; i < LANES; i++)
		for (struct order *o = m->lanes[i].head; o; o = o->next)
			cancel_verify(o);
	pthread_cond_broadcast(&m->work);
	pthread_mutex_unlock(&m->lock);
	for (unsigned i = 0; i < m->nthreads; i++)
		pthread_join(m->threads[i], NULL);
	mover_free(m);
}
