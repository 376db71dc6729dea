/* Control files: open, read, write, poll (INTERFACE.md §3, rules 2, 4, 6).
 *
 * Text is rendered once per read from offset 0 and kept in the handle; one write is one command,
 * whatever its offset. `add` alone takes many lines per write and keeps an unfinished last one until
 * the next write or the close. A value of several lines (`headers`) is what one open file has written, for
 * bash writes each line of its printf by itself; >> adds to what is set.
 */
#include "fs/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#define WRITE_MAX (64 * 1024)

static void refuse(struct handle *h, const char *sentence)
{
	cleanup_free char *text = NULL;

	if (sentence && asprintf(&text, "%s: %s", h->row.name, sentence) >= 0)
		core_refuse(h->fs->core, h->place.serial, text);
}

/* --- open --------------------------------------------------------------------------------------- */

static int open_check(const struct ctl *row, int flags)
{
	int mode = flags & O_ACCMODE;

	/* The kernel has judged the mode, but root passes every mode. */
	if (mode != O_WRONLY && row->read == CTL_NONE)
		return -EACCES;
	if (mode != O_RDONLY && !row->store)
		return -EACCES;
	return 0;
}

static int open_place(struct fs *fs, struct place place, int flags, struct ctl *ret_row)
{
	const struct queue *q;
	bool found;

	switch (place.kind) {
	case PLACE_ROW:
	case PLACE_SERVICE_ROW:
		if (!ctl_row(place.kind, place.id, ret_row))
			return -ENOENT;
		break;
	case PLACE_ENDED:
		*ret_row = ctl_ended;
		break;
	case PLACE_FILE:
		return (flags & O_ACCMODE) == O_RDONLY ? 0 : -EPERM;
	case PLACE_ROOT:
	case PLACE_SERVICE:
	case PLACE_ENDED_DIR:
	case PLACE_JOB:
	case PLACE_SOURCE:
		return -EISDIR;
	}
	q = core_read_lock(fs->core);
	found = place.kind == PLACE_SERVICE_ROW ||
		(place.kind == PLACE_ROW ? queue_find(q, place.serial) != NULL :
			history_find(queue_history(q), place.serial) != NULL);
	core_read_unlock(fs->core);
	return found ? open_check(ret_row, flags) : -ENOENT;
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	cleanup(creds_free) struct creds *creds = NULL;
	struct ctl row = { 0 };
	struct place place;
	struct handle *h;
	int r = ino_place(ino, &place) ? open_place(fs, place, fi->flags, &row) : -ENOENT;

	if (r == 0) {
		creds = (fi->flags & O_ACCMODE) == O_RDONLY ? creds_of_reader(req) : creds_of_asker(req);
		r = creds ? handle_new(fs, place, place.kind == PLACE_FILE ? STAGED_MODE : row.mode, creds, &h) : -ENOMEM;
	}
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	take_ptr(creds);
	h->row = row;
	fi->direct_io = 1;
	fi->noflush = !row.lines; /* only `add` has something to say at close: a request less for the others */
	if (place.kind == PLACE_FILE) {
		staged_open(req, h, fi);
		return;
	}
	stream_open(h);
	/* splice(2) and sendfile(2) take the size, 0 for what waits, as the end: without seeking they
	 * are refused, and the reader falls back to read(2). */
	fi->nonseekable = row.read == CTL_WAIT || row.read == CTL_FOLLOW || row.read == CTL_LOG;
	handle_reply_open(h, req, fi);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	handle_put(handle_of(fi));
	fuse_reply_err(req, 0);
}

/* --- read --------------------------------------------------------------------------------------- */

void reply_text(fuse_req_t req, const struct handle *h, size_t size, off_t offset)
{
	size_t left = (uint64_t)offset < h->text.len ? h->text.len - (size_t)offset : 0;

	fuse_reply_buf(req, left ? h->text.data + offset : NULL, left < size ? left : size);
}

static bool has_text(struct handle *h)
{
	bool has;

	pthread_mutex_lock(&h->lock);
	has = h->text.data;
	pthread_mutex_unlock(&h->lock);
	return has;
}

static void read_text(fuse_req_t req, struct handle *h, size_t size, off_t offset)
{
	cleanup_buf struct buf text = { 0 };
	uint64_t changes = h->seen;
	bool anew = offset == 0 || !has_text(h); /* who seeks first reads what is there, too */
	int r = anew ? ctl_render(h->fs->core, h->place, &h->row, h->creds, &text, &changes) : 0;

	if (r == 0 && anew && !handle_keep(h, text.len))
		r = -EDQUOT;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	pthread_mutex_lock(&h->lock);
	if (anew) {
		struct buf old = h->text;

		h->text = text;
		text = old;
		h->seen = changes;
	}
	reply_text(req, h, size, offset);
	pthread_mutex_unlock(&h->lock);
}

/* A page that is mapped is kept in the kernel and is the same for all who map the file, but not everybody
 * sees the same in the service's tables. Reads that fill pages come without a lock owner. */
static bool is_shared_page(const struct handle *h, const struct fuse_file_info *fi)
{
	bool strangers;

	if (h->place.kind != PLACE_SERVICE_ROW || fi->lock_owner != 0)
		return false;
	pthread_mutex_lock(&h->fs->lock);
	strangers = h->fs->root_mode & S_ISVTX || h->fs->guests;
	pthread_mutex_unlock(&h->fs->lock);
	return strangers;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	/* The answer lets the reader close the file before we are done with the handle. */
	cleanup(handle_put) struct handle *h = handle_get(handle_of(fi));
	struct ask *a;

	if (!handle_may_read(h) || is_shared_page(h, fi)) {
		fuse_reply_err(req, EACCES);
		return;
	}
	if (h->row.read == CTL_TEXT) {
		read_text(req, h, size, off);
		return;
	}
	a = ask_new(req, h, h->place, NULL);
	if (!a)
		return;
	a->size = size;
	a->offset = off;
	a->nonblock = fi->flags & O_NONBLOCK;
	if (h->place.kind == PLACE_FILE)
		staged_read(a);
	else
		stream_read(a);
}

/* --- write -------------------------------------------------------------------------------------- */

struct addline_rules add_rules(struct fs *fs, const struct creds *creds)
{
	const struct config *config = core_config(fs->core);
	bool bound = creds->uid != 0 && creds->uid != core_daemon_uid(fs->core);

	return (struct addline_rules) {
		.schemes = config->schemes,
		.ranges_max = bound ? (size_t)config->ranges_per_file : SIZE_MAX,
		.size_max = config->max_file_size,
	};
}

static int store(struct handle *h, const char *text, size_t len, struct command *ret, char **ret_reason)
{
	struct addline_rules rules = add_rules(h->fs, h->creds);
	struct ctl_input in = { .row = &h->row, .text = text, .len = len, .rules = &rules };

	return h->row.store(&in, ret, ret_reason);
}

/* "line 3: ..." counts from the beginning of this text; the user counts from his open. */
static void refuse_line(struct handle *h, uint64_t before, const char *reason)
{
	cleanup_free char *text = NULL;
	char *rest;
	unsigned long line;

	if (!reason || strncmp(reason, "line ", 5) != 0) {
		refuse(h, reason);
		return;
	}
	line = strtoul(reason + 5, &rest, 10);
	if (asprintf(&text, "line %llu%s", (unsigned long long)before + line, rest) >= 0)
		refuse(h, text);
}

static uint64_t count_lines(const char *text, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

/* Takes the first LEN bytes of h->line as lines of `add`. Nothing is kept of what is refused, nor of what
 * came with it. h->lock is held. */
static int take_lines(struct handle *h, size_t len, struct command *ret)
{
	cleanup_free char *reason = NULL;
	uint64_t before = h->lines;
	int r = store(h, h->line.data, len, ret, &reason);

	h->lines += count_lines(h->line.data, len);
	if (r < 0) {
		buf_reset(&h->line);
		refuse_line(h, before, reason);
		return r;
	}
	buf_consume(&h->line, len);
	return 0;
}

/* Adds DATA to the line and takes what is whole: 0, with *ret perhaps without additions. */
static int gather_lines(struct handle *h, const char *data, size_t size, struct command *ret)
{
	const char *last = memrchr(data, '\n', size);
	size_t before = h->line.len;

	buf_add(&h->line, data, size);
	if (h->line.failed) {
		buf_release(&h->line);
		return -ENOMEM;
	}
	if (last)
		return take_lines(h, before + (size_t)(last - data) + 1, ret);
	if (h->line.len > WRITE_MAX) {
		buf_reset(&h->line);
		refuse(h, "a line is longer than 65536 bytes");
		return -E2BIG;
	}
	*ret = (struct command) { .kind = CMD_ADD };
	return 0;
}

/* The core refused: what waits for its end belongs to the refused write. */
static void forget_line(struct handle *h)
{
	pthread_mutex_lock(&h->lock);
	buf_reset(&h->line);
	pthread_mutex_unlock(&h->lock);
}

static void done_lines(struct ask *a, int err, const struct answer *answer)
{
	if (err < 0)
		forget_line(a->handle);
	done_write(a, err, answer);
}

static void write_lines(struct ask *a, const char *data)
{
	struct handle *h = a->handle;
	struct command command = { 0 };
	int r;

	a->done = done_lines;
	pthread_mutex_lock(&h->lock);
	h->writer = fuse_req_ctx(a->req)->pid;
	r = gather_lines(h, data, a->size, &command);
	pthread_mutex_unlock(&h->lock);
	if (r < 0) {
		ask_fail(a, r);
	} else if (command.additions.n == 0) {
		command_release(&command);
		done_write(a, 0, NULL);
	} else {
		ask_command(a, h->creds, &command);
	}
}

/* What DATA makes of the lines before it: those that are set, or those written since the open. A line that is
 * refused stays one of them, so that those behind it are refused, too. */
static int continue_text(struct handle *h, const char *data, size_t size, bool append, struct buf *text)
{
	int r = append ? ctl_render(h->fs->core, h->place, &h->row, h->creds, text, NULL) : 0;

	if (append) {
		buf_add(text, data, size);
		return r;
	}
	pthread_mutex_lock(&h->lock);
	if (h->line.len > WRITE_MAX) {
		r = -E2BIG;
	} else {
		buf_add(text, h->line.data, h->line.len);
		buf_add(text, data, size);
		buf_add(&h->line, data, size);
		buf_addc(&h->line, '\n');
		r = h->line.failed ? -ENOMEM : 0;
	}
	pthread_mutex_unlock(&h->lock);
	return r;
}

static int parse_write(struct handle *h, const char *data, size_t size, bool append, struct command *ret)
{
	cleanup_buf struct buf text = { 0 };
	cleanup_free char *reason = NULL;
	int r = 0;

	if (size > WRITE_MAX) {
		refuse(h, "longer than 65536 bytes");
		return -E2BIG;
	}
	if (memchr(data, '\0', size)) {
		refuse(h, "a NUL byte in the text");
		return -EINVAL;
	}
	if (data[size - 1] == '\n')
		size--;
	if (h->row.continues)
		r = continue_text(h, data, size, append, &text);
	else
		buf_add(&text, data, size);
	if (r == 0)
		r = text.failed ? -ENOMEM : store(h, text.data, text.len, ret, &reason);
	if (r < 0)
		refuse(h, reason);
	return r;
}

static void write_text(struct ask *a, const char *data, bool append)
{
	struct command command = { 0 };
	int r = parse_write(a->handle, data, a->size, append, &command);

	if (r < 0)
		ask_fail(a, r);
	else
		ask_command(a, a->handle->creds, &command);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct ask *a;

	if (size == 0) {
		fuse_reply_write(req, 0);
		return;
	}
	a = ask_new(req, h, h->place, done_write);
	if (!a)
		return;
	a->size = size;
	if (h->row.lines)
		write_lines(a, data);
	else
		write_text(a, data, fi->flags & O_APPEND);
}

static int take_last_line(struct handle *h, struct command *ret)
{
	bool waits;
	pid_t writer;
	int r = 0;

	pthread_mutex_lock(&h->lock);
	waits = h->line.len > 0;
	writer = h->writer;
	pthread_mutex_unlock(&h->lock);
	if (!waits || handle_is_copied(h, writer))
		return 0;
	pthread_mutex_lock(&h->lock);
	if (h->line.len > 0)
		r = take_lines(h, h->line.len, ret);
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* close(2) of a descriptor: an unfinished line of `add` is taken. RELEASE would come once, at the last
 * close, but nobody waits for it and its errno goes nowhere. */
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	cleanup(handle_put) struct handle *h = handle_get(handle_of(fi));
	struct command command = { 0 };
	struct ask *a;
	int r = h->row.lines ? take_last_line(h, &command) : 0;

	if (r < 0 || command.additions.n == 0) {
		command_release(&command);
		fuse_reply_err(req, -r);
		return;
	}
	a = ask_new(req, h, h->place, done_err);
	if (a)
		ask_command(a, h->creds, &command);
	else
		command_release(&command);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

/* --- poll --------------------------------------------------------------------------------------- */

static bool has_changed(struct fs *fs, uint64_t serial, uint64_t seen)
{
	const struct job *j = queue_find(core_read_lock(fs->core), serial);
	bool changed = !j || j->changes != seen;

	core_read_unlock(fs->core);
	return changed;
}

/* Who waits on H from now on; NULL: nobody. */
static void set_poller(struct handle *h, struct fuse_pollhandle *ph)
{
	struct fuse_pollhandle *old;

	pthread_mutex_lock(&h->lock);
	old = h->ph;
	h->ph = ph;
	pthread_mutex_unlock(&h->lock);
	if (old)
		fuse_pollhandle_destroy(old);
}

/* Who may not read it any more has an error to read, and is not told of what else changes. */
static bool has_news(struct handle *h)
{
	uint64_t seen;

	if (!handle_may_read(h)) {
		set_poller(h, NULL);
		return true;
	}
	pthread_mutex_lock(&h->lock);
	seen = h->seen;
	pthread_mutex_unlock(&h->lock);
	return has_changed(h->fs, h->place.serial, seen);
}

void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	cleanup(handle_put) struct handle *h = handle_get(handle_of(fi));
	unsigned events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;

	/* Never ENOSYS: the kernel would not ask again, for no file of the mount. */
	if (h->row.polls) {
		if (ph)
			set_poller(h, ph);
		/* Looked at after the handle is there: a change in between wakes. */
		events = POLLIN | POLLRDNORM;
		if (has_news(h))
			events |= POLLPRI | POLLERR;
	} else if (ph) {
		fuse_pollhandle_destroy(ph);
	}
	fuse_reply_poll(req, events);
}
