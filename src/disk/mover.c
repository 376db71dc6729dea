/* The pool: of each job that has orders the first one is ready, or being done; the others wait behind it.
 *
 * So a job's orders are done in the order sent, and no job waits for another one's. Nothing is allocated,
 * so sending cannot fail.
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

#define BUCKETS 256

struct line {
	struct order *head, **tail; /* by `next` */
};

struct mover {
	struct blobs *blobs;
	struct mailbox *done;
	int destination;
	unsigned nthreads;
	pthread_t *threads;

	pthread_mutex_t lock;     /* all below, and the orders that are in it */
	pthread_cond_t work;
	struct order *jobs[BUCKETS]; /* the first of each job, by `bucket` */
	struct line ready, verifies; /* those of them that are not being done; of these only some may run at once */
	uint64_t seq;
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
		o->files[i].mtime = MTIME_UNKNOWN;
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
	if (o->err < 0)
		o->leftovers++; /* of files nobody knows how many */
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

/* --- who is next (under the lock) -------------------------------------------------------------- */

static void line_init(struct line *l)
{
	*l = (struct line){ .tail = &l->head };
}

static void line_push(struct line *l, struct order *o)
{
	o->next = NULL;
	*l->tail = o;
	l->tail = &o->next;
}

static void line_pop(struct line *l)
{
	l->head = l->head->next;
	if (!l->head)
		l->tail = &l->head;
}

/* Where the first order of SERIAL is, or would be. */
static struct order **find(struct mover *m, uint64_t serial)
{
	struct order **at = &m->jobs[serial % BUCKETS];

	while (*at && (*at)->serial != serial)
		at = &(*at)->bucket;
	return at;
}

static void make_ready(struct mover *m, struct order *o)
{
	o->seq = m->seq++;
	line_push(is_verify(o) ? &m->verifies : &m->ready, o);
	pthread_cond_signal(&m->work);
}

static bool may_verify(const struct mover *m)
{
	return m->nthreads == 1 || m->verifying < m->nthreads - 1;
}

/* The one that has been ready for longest, of those that may run, taken out; NULL when there is none. */
static struct order *take_ready(struct mover *m)
{
	struct order *o = m->ready.head, *verify = m->verifies.head;

	if (verify && may_verify(m) && (!o || verify->seq < o->seq))
		o = verify;
	if (o)
		line_pop(is_verify(o) ? &m->verifies : &m->ready);
	return o;
}

/* O is done: the next of its job takes its place. */
static void succeed(struct mover *m, struct order *o)
{
	struct order **at = find(m, o->serial), *next = o->behind;

	*at = next ? next : o->bucket;
	if (!next)
		return;
	next->bucket = o->bucket;
	next->last = o->last;
	make_ready(m, next);
}

/* Does O without the lock, and sends it back. */
static void work_on(struct mover *m, struct order *o)
{
	bool verifies = is_verify(o);

	m->verifying += verifies;
	pthread_mutex_unlock(&m->lock);

	order_perform(o, m->blobs, m->destination);

	pthread_mutex_lock(&m->lock);
	m->verifying -= verifies;
	succeed(m, o);
	if (verifies)
		pthread_cond_signal(&m->work); /* for one that was passed over */
	/* Before the lock is dropped: the job's next order may not come back before this one. */
	mailbox_send(m->done, &o->mail);
}

static void *worker(void *arg)
{
	struct mover *m = arg;

	pthread_setname_np(pthread_self(), "xferfs-disk");
	creds_thread_init(); /* if it fails, placing does, with EINVAL for each file */
	pthread_mutex_lock(&m->lock);
	for (;;) {
		struct order *o = take_ready(m);

		if (o)
			work_on(m, o);
		else if (m->stopping && !m->ready.head && !m->verifies.head)
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
	line_init(&m->ready);
	line_init(&m->verifies);
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
	struct order **at, *first;

	o->behind = o->bucket = NULL;
	pthread_mutex_lock(&m->lock);
	at = find(m, o->serial);
	first = *at;
	if (first) {
		first->last->behind = o;
		first->last = o;
	} else {
		*at = o->last = o;
		make_ready(m, o);
	}
	pthread_mutex_unlock(&m->lock);
}

void mover_cancel(struct mover *m, uint64_t serial)
{
	pthread_mutex_lock(&m->lock);
	for (struct order *o = *find(m, serial); o; o = o->behind)
		cancel_verify(o);
	pthread_mutex_unlock(&m->lock);
}

void mover_stop(struct mover *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct order *first = m->jobs[i]; first; first = first->bucket)
			for (struct order *o = first; o; o = o->behind)
				cancel_verify(o);
	pthread_cond_broadcast(&m->work);
	pthread_mutex_unlock(&m->lock);
	for (unsigned i = 0; i < m->nthreads; i++)
		pthread_join(m->threads[i], NULL);
	mover_free(m);
}
