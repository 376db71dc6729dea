/* The data of files/PATH (INTERFACE.md §7): what has arrived is read from the blob, what has not is
 * waited for.
 *
 * A read is answered with all that it asked for, up to the end of the file: a page-cached reader
 * (sendfile) takes less as the end. Only when there will be no more for now (suspended, O_NONBLOCK) what
 * there is goes out, and the next read gets the errno.
 *
 * The core answers a wait on its own thread, which must not read from a disk: a second thread, the
 * resumer, finishes those reads.
 */
#include "fs/private.h"

#include <errno.h>
#include <stdlib.h>

struct resumer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct ask *head;   /* lock; linked by ask.next */
	struct ask **tail;  /* lock */
	bool stop;          /* lock */
};

/* --- open --------------------------------------------------------------------------------------- */

static void open_done(struct ask *a, int err, const struct answer *answer)
{
	struct handle *h = a->handle;

	if (err < 0) {
		handle_put(h);
		ask_fail(a, err);
		return;
	}
	h->fd = answer->fd;
	h->generation = answer->generation;
	handle_reply_open(h, a->req, &a->fi);
	ask_free(a);
}

void staged_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi)
{
	struct ask *a = ask_new(req, h, h->place, open_done);
	struct message *m = a ? message_new(MSG_OPEN_STAGED) : NULL;

	if (!m) {
		handle_put(h);
		if (a)
			ask_fail(a, -ENOMEM);
		return;
	}
	a->fi = *fi;
	m->file = h->place.id;
	ask_send(a, m);
}

/* --- read --------------------------------------------------------------------------------------- */

/* What of the handle's blob is there. */
struct arrived {
	uint64_t end;  /* of what has come without a gap, from the read's offset on */
	uint64_t size; /* of the whole; SIZE_UNKNOWN */
};

static uint64_t run_of_both(const struct extents *saved, const struct extents *live, uint64_t from)
{
	uint64_t end = from, before;

	do {
		before = end;
		if (saved)
			end = extents_run(saved, end);
		if (live)
			end = extents_run(live, end);
	} while (end > before);
	return end;
}

static int look(const struct ask *a, struct arrived *ret)
{
	const struct handle *h = a->handle;
	const struct job *j = queue_find(core_read_lock(a->fs->core), a->place.serial);
	const struct file *file = j ? file_now(j->files, a->place.id) : NULL;
	const struct live *live = file ? file_live(j->files, a->place.id) : NULL;
	bool saved = file && file->generation == h->generation;
	int r = -ENODEV;

	/* The running transfer may be of a newer version on the server, or of a blob that is not saved yet. */
	if (live && live->generation != h->generation)
		live = NULL;
	if (saved || live) {
		ret->size = live && live->size != SIZE_UNKNOWN ? live->size : saved ? file->size : SIZE_UNKNOWN;
		/* One that ended without a length has what it has. */
		if (saved && ret->size == SIZE_UNKNOWN && file->state >= FILE_TRANSFERRED)
			ret->size = file_got(file);
		ret->end = run_of_both(saved ? &file->have : NULL, live ? &live->have : NULL, (uint64_t)a->offset);
		r = 0;
	} else if (file) {
		r = -ESTALE;
	}
	core_read_unlock(a->fs->core);
	return r;
}

static void reply_range(struct ask *a, uint64_t end)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT((size_t)(end - (uint64_t)a->offset));

	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = a->handle->fd;
	data.buf[0].pos = a->offset;
	fuse_reply_data(a->req, &data, 0);
	ask_free(a);
}

static void resume_later(struct ask *a, int err, const struct answer *answer);

void staged_read(struct ask *a)
{
	struct wait wait = { .kind = WAIT_BYTES, .deadline = INT64_MAX };
	uint64_t from = (uint64_t)a->offset, until = from + a->size;
	struct arrived there = { 0 };
	int r = look(a, &there);

	if (r < 0) {
		ask_fail(a, r == -ESTALE ? -EIO : r);
		return;
	}
	if (until > there.size)
		until = there.size;
	if (until <= from) {
		fuse_reply_buf(a->req, NULL, 0);
		ask_free(a);
	} else if (there.end >= until) {
		reply_range(a, until);
	} else if (a->err < 0 || a->nonblock) {
		if (there.end > from && a->err != -EINTR)
			reply_range(a, there.end);
		else
			ask_fail(a, a->err == -ESTALE ? -EIO : a->err < 0 ? a->err : -EAGAIN);
	} else {
		a->done = resume_later;
		wait.file = a->place.id;
		wait.generation = a->handle->generation;
		wait.offset = there.end;
		ask_wait(a, wait);
	}
}

/* --- the resumer -------------------------------------------------------------------------------- */

/* On the core's thread: the wait has ended. */
static void resume_later(struct ask *a, int err, const struct answer *answer)
{
	struct resumer *r = a->fs->resumer;

	a->err = err;
	a->next = NULL;
	pthread_mutex_lock(&r->lock);
	*r->tail = a;
	r->tail = &a->next;
	pthread_cond_signal(&r->filled);
	pthread_mutex_unlock(&r->lock);
}

static struct ask *resumer_take(struct resumer *r)
{
	struct ask *a;

	pthread_mutex_lock(&r->lock);
	while (!r->head && !r->stop)
		pthread_cond_wait(&r->filled, &r->lock);
	a = r->head;
	if (a) {
		r->head = a->next;
		if (!r->head)
			r->tail = &r->head;
	}
	pthread_mutex_unlock(&r->lock);
	return a;
}

static void *resumer_run(void *arg)
{
	struct ask *a;

	pthread_setname_np(pthread_self(), "xferfs-staged");
	while ((a = resumer_take(arg))) {
		if (handle_may_read(a->handle))
			staged_read(a);
		else
			ask_fail(a, -EACCES); /* by a chmod or chown meanwhile */
	}
	return NULL;
}

int resumer_start(struct resumer **ret)
{
	struct resumer *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->filled, NULL);
	r->tail = &r->head;
	err = pthread_create(&r->thread, NULL, resumer_run, r);
	if (err) {
		free(r);
		return -err;
	}
	*ret = r;
	return 0;
}

void resumer_stop(struct resumer *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->filled);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->filled);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
