/* Reads that wait by design: `wait`, `follow` and `log`. A waiting read is a struct ask parked in the
 * core, and no thread: a thousand of them cost a thousand small structs.
 */
#include "fs/private.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define LOG_PART (64 * 1024)  /* rendered ahead at most, per open log */
#define FOLLOW_PERIOD (500 * NSEC_PER_MSEC)
#define FOLLOW_NAME 24        /* columns of the job's name */
#define FOLLOW_BAR 20
#define FOLLOW_COLUMNS 79     /* the last column stays free: some terminals wrap there */

void stream_open(struct handle *h)
{
	if (h->row.read == CTL_LOG) {
		h->seen = events_next_seq(queue_events(core_read_lock(h->fs->core)));
		core_read_unlock(h->fs->core);
	} else if (h->row.polls) {
		h->seen = UINT64_MAX; /* not read yet: changed, as kernfs has it */
	}
}

/* Answers with what the handle's stream has and takes it off; h->lock is held. */
static void reply_stream(struct ask *a)
{
	struct buf *text = &a->handle->text;
	size_t n = text->len < a->size ? text->len : a->size;

	fuse_reply_buf(a->req, text->data, n);
	buf_consume(text, n);
}

/* How a wait has ended for one who may have lost the right to read meanwhile. */
static int end_of_wait(const struct ask *a, int err)
{
	return err == 0 && !handle_may_read(a->handle) ? -EACCES : err;
}

/* --- wait --------------------------------------------------------------------------------------- */

static void wait_done(struct ask *a, int err, const struct answer *answer)
{
	struct handle *h = a->handle;

	err = end_of_wait(a, err);
	if (err < 0) {
		ask_fail(a, err);
		return;
	}
	pthread_mutex_lock(&h->lock);
	buf_reset(&h->text);
	buf_printf(&h->text, "%s\n", job_state_word(answer->state));
	reply_text(a->req, h, a->size, 0);
	pthread_mutex_unlock(&h->lock);
	ask_free(a);
}

static bool job_rests(struct fs *fs, uint64_t serial)
{
	const struct job *j = queue_find(core_read_lock(fs->core), serial);
	bool rests = !j || job_state_rests(j->state);

	core_read_unlock(fs->core);
	return rests;
}

static void wait_read(struct ask *a)
{
	struct handle *h = a->handle;

	if (a->offset > 0) {
		pthread_mutex_lock(&h->lock);
		reply_text(a->req, h, a->size, a->offset);
		pthread_mutex_unlock(&h->lock);
		ask_free(a);
	} else if (a->nonblock && !job_rests(a->fs, a->place.serial)) {
		ask_fail(a, -EAGAIN);
	} else {
		a->done = wait_done;
		ask_wait(a, (struct wait) { .kind = WAIT_REST, .deadline = INT64_MAX });
	}
}

/* --- log ---------------------------------------------------------------------------------------- */

static bool may_read_event(const struct handle *h, const struct queue *q, const struct event *e)
{
	uid_t daemon_uid = core_daemon_uid(h->fs->core);
	const struct job *j;
	const struct result *r;

	if (h->place.serial != 0 || e->serial == 0 || h->creds->uid == 0 || h->creds->uid == daemon_uid)
		return true;
	j = queue_find(q, e->serial);
	if (j)
		return job_access(j, h->creds, daemon_uid) & 4;
	r = history_find(queue_history(q), e->serial);
	return r && ctl_may_read_result(r, h->creds, daemon_uid);
}

/* Renders the events that came since; h->lock is held. *ret_over: the job has ended and there is none. */
static void gather_events(struct handle *h, bool *ret_over)
{
	const struct queue *q = core_read_lock(h->fs->core);
	const struct events *events = queue_events(q);
	const struct event *e = NULL;
	uint64_t missed;

	while (h->text.len < LOG_PART) {
		missed = 0;
		e = events_get(events, h->seen, h->place.serial, &missed);
		if (missed > 0)
			buf_printf(&h->text, "missed %llu\n", (unsigned long long)missed);
		h->seen = e ? e->seq + 1 : events_next_seq(events);
		if (!e)
			break;
		if (may_read_event(h, q, e))
			event_format(e, &h->text);
	}
	*ret_over = h->place.serial != 0 && !queue_find(q, h->place.serial);
	core_read_unlock(h->fs->core);
}

static void log_read(struct ask *a);

static void log_done(struct ask *a, int err, const struct answer *answer)
{
	err = end_of_wait(a, err);
	/* The job has ended, or the service ends: perhaps there is a last event, then the end of the file. */
	if (err == -ENODEV)
		a->nonblock = true;
	else if (err < 0) {
		ask_fail(a, err);
		return;
	}
	a->err = err;
	log_read(a);
}

static void log_read(struct ask *a)
{
	struct handle *h = a->handle;
	struct wait wait = { .kind = WAIT_EVENT, .deadline = INT64_MAX };
	bool over = false, answered = true;

	a->done = log_done;
	pthread_mutex_lock(&h->lock);
	if (h->text.len == 0)
		gather_events(h, &over);
	if (h->text.failed) {
		buf_release(&h->text);
		fuse_reply_err(a->req, ENOMEM);
	} else if (h->text.len > 0 || over || a->err == -ENODEV) {
		reply_stream(a);
	} else if (a->nonblock) {
		fuse_reply_err(a->req, EAGAIN);
	} else {
		answered = false;
		wait.seen = h->seen;
	}
	pthread_mutex_unlock(&h->lock);
	if (answered)
		ask_free(a);
	else
		ask_wait(a, wait);
}

/* --- follow ------------------------------------------------------------------------------------- */

/* What of the job the line shows, copied out of the read lock. */
struct glance {
	bool found;
	bool moves; /* bytes may come without a published change */
	enum job_state state;
	uint64_t changes;
	struct figures figures;
	char name[FOLLOW_NAME * 4 + 1];
};

static size_t columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* As much of NAME as fits in FOLLOW_NAME columns, cut between characters. */
static void cut_name(const char *name, char *ret, size_t size)
{
	size_t len = 0, wide = 0;

	for (; name[len] && len + 4 < size; len++) {
		wide += ((unsigned char)name[len] & 0xc0) != 0x80;
		if (wide > FOLLOW_NAME)
			break;
	}
	memcpy(ret, name, len);
	ret[len] = '\0';
}

static void glance(struct fs *fs, uint64_t serial, struct glance *ret)
{
	const struct queue *q = core_read_lock(fs->core);
	const struct job *j = queue_find(q, serial);
	const struct result *r = j ? NULL : history_find(queue_history(q), serial);

	*ret = (struct glance) { .found = j != NULL, .state = j ? j->state : r ? r->state : JOB_CANCELLED };
	if (j) {
		ret->changes = j->changes;
		ret->figures = ctl_figures(j);
		ret->moves = j->state == JOB_TRANSFERRING || j->state == JOB_CONNECTING;
	}
	if (j || r)
		cut_name(j ? j->name : r->name, ret->name, sizeof(ret->name));
	core_read_unlock(fs->core);
}

/* 1536 -> "1.5K"; at most five characters. */
static void put_human(struct buf *out, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	size_t u = 0;

	for (; value >= 999.5 && u < sizeof(units) - 2; u++)
		value /= 1024;
	buf_printf(out, u > 0 && value < 99.95 ? "%.1f%c" : "%.0f%c", value, units[u]);
}

static void put_bar(struct buf *out, unsigned percent)
{
	unsigned full = percent > 100 ? 0 : percent * FOLLOW_BAR / 100;

	buf_addc(out, '[');
	for (unsigned i = 0; i < FOLLOW_BAR; i++)
		buf_addc(out, i < full ? '#' : '.');
	buf_adds(out, "] ");
	if (percent <= 100)
		buf_printf(out, "%3u%% ", percent);
}

static void put_line(struct buf *out, const struct glance *g)
{
	const struct figures *f = &g->figures;
	uint64_t s = f->seconds_left;

	buf_printf(out, "%s %s", g->name, job_state_word(g->state));
	if (!g->found)
		return;
	buf_addc(out, ' ');
	put_bar(out, f->percent);
	put_human(out, f->bytes);
	if (f->total != SIZE_UNKNOWN) {
		buf_addc(out, '/');
		put_human(out, f->total);
	}
	if (g->moves) {
		buf_addc(out, ' ');
		put_human(out, f->rate);
		buf_adds(out, "/s");
		if (s != SIZE_UNKNOWN && s < 100 * 3600)
			buf_printf(out, " %llu:%02llu:%02llu", (unsigned long long)s / 3600,
				(unsigned long long)s / 60 % 60, (unsigned long long)s % 60);
	}
	buf_printf(out, " %u/%u files", f->done, f->files);
}

/* Cuts LINE to the screen, between characters. */
static void fit(struct buf *line)
{
	size_t wide = 0;

	for (size_t i = 0; i < line->len; i++) {
		wide += ((unsigned char)line->data[i] & 0xc0) != 0x80;
		if (wide > FOLLOW_COLUMNS) {
			line->data[i] = '\0';
			line->len = i;
			return;
		}
	}
}

/* Draws the line over the one that is on the screen when it differs; h->lock is held. */
static void draw(struct handle *h, const struct glance *g)
{
	cleanup_buf struct buf line = { 0 };
	size_t old = h->line.len ? columns(h->line.data) : 0, now;

	put_line(&line, g);
	if (line.failed) {
		h->text.failed = true;
		return;
	}
	fit(&line);
	if (h->line.len > 0 && strcmp(line.data, h->line.data) == 0)
		return;
	if (h->line.len > 0)
		buf_addc(&h->text, '\r');
	buf_add(&h->text, line.data, line.len);
	for (now = columns(line.data); now < old; now++)
		buf_addc(&h->text, ' ');
	buf_release(&h->line);
	h->line = line;
	line = (struct buf) { 0 };
	h->stamp = clock_now();
}

/* Fills the stream when it is time to; h->lock is held. */
static void follow_fill(struct handle *h, struct glance *ret)
{
	bool rests;

	glance(h->fs, h->place.serial, ret);
	rests = !ret->found || job_state_rests(ret->state);
	if (h->over || h->text.len > 0)
		return;
	if (rests || h->stamp == 0 || clock_now() >= h->stamp + FOLLOW_PERIOD)
		draw(h, ret);
	if (rests) {
		buf_printf(&h->text, "\n%s\n", job_state_word(ret->state));
		h->over = true;
	}
}

static void follow_read(struct ask *a);

static void follow_done(struct ask *a, int err, const struct answer *answer)
{
	err = end_of_wait(a, err);
	a->err = err;
	if (err < 0 && err != -ENODEV)
		ask_fail(a, err);
	else
		follow_read(a);
}

static void follow_read(struct ask *a)
{
	struct handle *h = a->handle;
	struct wait wait = { .kind = WAIT_REST };
	struct glance g;
	bool answered = true;

	a->done = follow_done;
	pthread_mutex_lock(&h->lock);
	follow_fill(h, &g);
	if (h->text.failed) {
		buf_release(&h->text);
		fuse_reply_err(a->req, ENOMEM);
	} else if (h->text.len > 0 || h->over) {
		reply_stream(a);
	} else if (a->err < 0 || a->nonblock) {
		/* ENODEV with the job still there: the service ends. */
		fuse_reply_err(a->req, a->err < 0 ? -a->err : EAGAIN);
	} else {
		answered = false;
		wait.deadline = (g.moves || h->stamp + FOLLOW_PERIOD > clock_now()) ?
			clock_now() + FOLLOW_PERIOD : INT64_MAX;
		if (wait.deadline == INT64_MAX) {
			wait.kind = WAIT_CHANGE;
			wait.seen = g.changes;
		}
	}
	pthread_mutex_unlock(&h->lock);
	if (answered)
		ask_free(a);
	else
		ask_wait(a, wait);
}

/* ------------------------------------------------------------------------------------------------ */

void stream_read(struct ask *a)
{
	switch (a->handle->row.read) {
	case CTL_WAIT:
		wait_read(a);
		return;
	case CTL_LOG:
		log_read(a);
		return;
	case CTL_FOLLOW:
		follow_read(a);
		return;
	case CTL_NONE:
	case CTL_TEXT:
		break;
	}
	ask_fail(a, -EACCES);
}
