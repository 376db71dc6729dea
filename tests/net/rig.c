#include "rig.h"

#include "base/parse.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void rig_start(struct rig *rig, const struct engine_options *options, const char *parent)
{
	static const struct engine_options defaults = { 0 };
	pid_t pid;

	*rig = (struct rig){ 0 };
	snprintf(rig->dir, sizeof rig->dir, "%s/xferfs-net.XXXXXX", parent ? parent : "/tmp");
	assert_non_null(mkdtemp(rig->dir));
	assert_int_equal(blobs_open(rig->dir, &rig->blobs, &pid), 0);
	mailbox_init(&rig->box, NULL, NULL);
	assert_int_equal(engine_start(options ? options : &defaults, rig->blobs, &rig->box, &rig->engine), 0);
}

static void drop_mail(struct mail *m)
{
	struct mail *next;

	for (; m; m = next) {
		next = m->next;
		report_free(container_of(m, struct report, mail));
	}
}

void rig_stop(struct rig *rig)
{
	unsigned left;
	char path[96];

	engine_stop(rig->engine);
	drop_mail(rig->waiting);
	drop_mail(mailbox_take(&rig->box));
	mailbox_release(&rig->box);
	extents_release(&rig->seen);
	for (uint64_t serial = 1; serial <= 4; serial++)
		blobs_drop(rig->blobs, serial, &left);
	blobs_close(rig->blobs);
	snprintf(path, sizeof path, "%s/blobs", rig->dir);
	rmdir(path);
	snprintf(path, sizeof path, "%s/lock", rig->dir);
	unlink(path);
	rmdir(rig->dir);
}

struct fetch *rig_fetch(struct rig *rig, const char *url)
{
	struct fetch *f = fetch_new();

	assert_non_null(f);
	f->id = ++rig->ids;
	f->serial = 1;
	f->file = 1;
	f->priority = PRIORITY_NORMAL;
	f->url = strdup(url);
	assert_non_null(f->url);
	return f;
}

uint64_t rig_send(struct rig *rig, struct fetch *f)
{
	uint64_t id = f->id;

	engine_fetch(rig->engine, f);
	return id;
}

struct report *rig_report(struct rig *rig)
{
	struct report *r;

	if (!rig->waiting)
		rig->waiting = mailbox_wait(&rig->box, clock_now() + RIG_WATCHDOG);
	assert_non_null(rig->waiting);
	r = container_of(rig->waiting, struct report, mail);
	rig->waiting = r->mail.next;
	extents_assert_sane(&r->have);
	if (r->connections > rig->connections_max)
		rig->connections_max = r->connections;
	rig->begun += r->mail.kind == REPORT_BEGUN;
	rig->progress += r->mail.kind == REPORT_PROGRESS;
	if (r->mail.kind != REPORT_ENDED) {
		extents_release(&rig->seen);
		assert_int_equal(extents_copy(&r->have, &rig->seen), 0);
		rig->seen_size = r->size;
	}
	return r;
}

struct report *rig_end(struct rig *rig)
{
	for (;;) {
		struct report *r = rig_report(rig);

		if (r->mail.kind == REPORT_ENDED)
			return r;
		report_free(r);
	}
}

struct report *rig_run(struct rig *rig, struct fetch *f)
{
	rig_send(rig, f);
	return rig_end(rig);
}

int rig_open(struct rig *rig, uint32_t file, uint32_t generation)
{
	int fd;

	return blob_open_read(rig->blobs, 1, file, generation, &fd) < 0 ? -1 : fd;
}

char *rig_content(struct rig *rig, uint32_t file, size_t *ret_len)
{
	cleanup_close int fd = rig_open(rig, file, 0);
	struct stat st;
	char *data;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	assert_int_equal(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
	data[st.st_size] = '\0';
	*ret_len = (size_t)st.st_size;
	return data;
}
