#include "net/scribe.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "net/errors.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG_MAX (4u << 20) /* bytes */

struct scribe {
	struct blobs *blobs;
	struct mailbox *reports;
	struct mailbox inbox; /* struct report with `unwritten`, or END */
	struct mail end;
	atomic_size_t backlog;
	pthread_t thread;
};

static int write_blob(struct blobs *blobs, const struct report *r)
{
	const struct unwritten *u = &r->unwritten;
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = r->mtime } };
	cleanup_close int fd = -1;
	int err = blob_open(blobs, u->serial, u->file, u->generation, true, &fd);

	if (err == 0)
		err = io_pwrite_all(fd, u->data, u->len, 0);
	/* PREPARE sees to it too, but then nothing is left to do. */
	if (err == 0 && r->mtime != MTIME_UNKNOWN)
		(void)futimens(fd, times);
	return err;
}

void scribe_write(struct blobs *blobs, struct report *r)
{
	int err = write_blob(blobs, r);

	if (err < 0) {
		r->outcome = outcome_of_errno(err);
		r->err = -err;
		extents_release(&r->have);
	}
	free(r->unwritten.data);
	r->unwritten = (struct unwritten){ 0 };
}

/* --- the thread --------------------------------------------------------------------------------- */

/* Writes all of LIST and passes it on, together: a wake of the core costs as much as a file. False: the
 * end was among them. */
static bool work_off(struct scribe *s, struct mail *list)
{
	struct mail *done = NULL, **tail = &done;
	bool more = true;

	for (struct mail *m = list, *next; m; m = next) {
		struct report *r = container_of(m, struct report, mail);
		size_t len;

		next = m->next;
		if (m == &s->end) {
			more = false;
			continue;
		}
		len = r->unwritten.len;
		scribe_write(s->blobs, r);
		atomic_fetch_sub(&s->backlog, len);
		*tail = m;
		tail = &m->next;
	}
	*tail = NULL;
	if (done)
		mailbox_send_all(s->reports, done);
	return more;
}

static void *run(void *arg)
{
	struct scribe *s = arg;

	pthread_setname_np(pthread_self(), "xferfs-scribe");
	while (work_off(s, mailbox_wait(&s->inbox, INT64_MAX)))
		;
	return NULL;
}

/* --- any thread ----------------------------------------------------------------------------------- */

void scribe_send(struct scribe *s, struct mail *reports)
{
	size_t len = 0;

	for (const struct mail *m = reports; m; m = m->next)
		len += container_of(m, const struct report, mail)->unwritten.len;
	atomic_fetch_add(&s->backlog, len);
	mailbox_send_all(&s->inbox, reports);
}

bool scribe_is_behind(struct scribe *s)
{
	return atomic_load(&s->backlog) > BACKLOG_MAX;
}

int scribe_start(struct blobs *blobs, struct mailbox *reports, struct scribe **ret)
{
	struct scribe *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->blobs = blobs;
	s->reports = reports;
	mailbox_init(&s->inbox, NULL, NULL);
	r = -pthread_create(&s->thread, NULL, run, s);
	if (r < 0) {
		mailbox_release(&s->inbox);
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void scribe_stop(struct scribe *s)
{
	if (!s)
		return;
	mailbox_send(&s->inbox, &s->end);
	pthread_join(s->thread, NULL);
	mailbox_release(&s->inbox);
	free(s);
}
