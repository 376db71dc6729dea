/* THE TABLE: every control file that a user can touch is one row (INTERFACE.md §3, §8).
 *
 * A row's `show` renders text from const data under the core's read lock: no I/O, and it cannot change
 * anything. Its `store` turns the text of one write into a command and sees no job: a row is tested with
 * two strings. lookup, readdir, getattr, open, read, write and poll walk the rows and know no names.
 *
 * The properties (model/job.h prop_rules) are rows too, made from their rules: ctl_row gives rows by
 * value, in readdir's order.
 */
#pragma once

#include "base/buf.h"
#include "core/core.h"
#include "fs/ino.h"

#include <stdio.h>

/* How a read of the row is served. */
enum ctl_read {
	CTL_NONE,   /* it is only written */
	CTL_TEXT,   /* `show`, rendered once per read from offset 0 */
	CTL_WAIT,   /* parks until the job rests, then the word */
	CTL_FOLLOW, /* a progress bar until the job rests */
	CTL_LOG,    /* a stream of events */
};

/* What `show` sees. A long table is rendered in parts, so that the lock is never held for long: show
 * renders some lines from CURSOR on, sets `cursor` and `more`, and is called again. */
struct ctl_view {
	const struct queue *queue;
	const struct job *job;       /* of the row; NULL in the service's rows */
	const struct result *result; /* of ended/NAME */
	const struct config *config;
	const struct creds *reader;
	uid_t daemon_uid;
	uint64_t cursor;
	bool more;
	uint64_t sums[JOB_STATE_MAX]; /* what `stats` counts from part to part */
};

struct ctl;

/* One write. */
struct ctl_input {
	const struct ctl *row;
	const char *text; /* NUL-terminated, without the trailing newline; `add`: whole lines */
	size_t len;
	const struct addline_rules *rules;
};

struct ctl {
	const char *name;
	mode_t mode;    /* masked by the job's mode */
	enum ctl_read read;
	bool polls;     /* poll(2) tells of changes */
	bool lines;     /* a write is many commands, one per line: `add` */
	bool continues; /* a write goes on with the value that those before it on the same open file began */
	void (*show)(const struct ctl *row, struct ctl_view *view, struct buf *out);
	/* 0 and *ret; -errno and *ret_reason, a sentence (to free(), may be NULL). */
	int (*store)(const struct ctl_input *in, struct command *ret, char **ret_reason);
	const struct prop_rule *prop;
};

/* The row number INDEX of KIND (PLACE_ROW, PLACE_SERVICE_ROW); false when there is none. */
bool ctl_row(enum place_kind kind, uint32_t index, struct ctl *ret);
bool ctl_find(enum place_kind kind, const char *name, uint32_t *ret_index);
extern const struct ctl ctl_ended; /* the row of each .xferfs/ended/NAME */

/* The text that READER would read at PLACE. -ENODEV: the job has gone. *ret_changes (may be NULL):
 * job->changes of what was rendered. Any thread; takes the read lock, several times for a long table. */
int ctl_render(struct core *core, struct place place, const struct ctl *row,
	const struct creds *reader, struct buf *out, uint64_t *ret_changes);

/* Whether the reader may read what is left of an ended job. */
bool ctl_may_read_result(const struct result *r, const struct creds *reader, uid_t daemon_uid);

/* --- for the rows (ctl_job.c, ctl_service.c, ctl_stats.c) --------------------------------------- */

extern const struct ctl job_ctls[], service_ctls[];
extern const size_t job_ctl_count, service_ctl_count;

int ctl_reason(char **ret_reason, int err, const char *sentence); /* sets it, returns ERR */
void ctl_put_number(struct buf *out, const char *key, uint64_t value);
void ctl_put_size(struct buf *out, const char *key, uint64_t value); /* SIZE_UNKNOWN: "-" */
void ctl_put_moment(struct buf *out, const char *key, int64_t wall); /* 0: "-" */
void ctl_put_text(struct buf *out, const char *key, const char *text); /* NULL: "-"; one line */

/* What the figures of a job are now, saved and live together. */
struct figures {
	uint64_t bytes, total; /* total SIZE_UNKNOWN when a file's size is not known */
	uint64_t rate;
	uint64_t seconds_left; /* SIZE_UNKNOWN: cannot be told */
	unsigned percent;      /* 101: cannot be told */
	uint32_t files, done;
};
struct figures ctl_figures(const struct job *j);

/* The same of one file that is visible: what has arrived, and the size that is known by any means. */
struct file_figures {
	uint64_t bytes, size; /* size SIZE_UNKNOWN */
	unsigned percent;     /* 101: cannot be told */
};
struct file_figures ctl_file_figures(const struct job *j, uint32_t id);

void ctl_show_stats(const struct ctl *row, struct ctl_view *view, struct buf *out);
void ctl_show_refused(const struct ctl *row, struct ctl_view *view, struct buf *out);
