/* Open files, and the credentials of those who open them. */
#include "fs/private.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_MAX (1 << 20) /* of /proc/PID/status: 65536 groups fit */
#define GROUPS_MAX 65536
/* How many of a process's descriptors are looked at: a shell, which makes copies, has a handful. Each costs as much
 * as a small request, a process may have a million, and others wait for this thread. */
#define LINKS_MAX 64
#define LINK_ENTRY 24 /* of getdents64(2), with a name of up to four digits */

static size_t parse_groups(const char *text, gid_t *groups, size_t max)
{
	size_t n = 0;

	for (;;) {
		char *end;
		unsigned long g;

		while (*text == ' ' || *text == '\t')
			text++;
		g = strtoul(text, &end, 10);
		if (end == text || n == max)
			return n;
		groups[n++] = (gid_t)g;
		text = end;
	}
}

/* The line KEY of /proc/PID/status, behind "KEY:\t". */
static const char *status_field(const char *status, const char *key)
{
	const char *at = strstr(status, key);

	return at ? at + strlen(key) : NULL;
}

static struct creds *creds_full(const struct fuse_ctx *ctx)
{
	cleanup_free char *status = NULL;
	cleanup_free gid_t *groups = NULL;
	const char *field;
	char path[64];
	size_t n = 0;
	mode_t umask_of = CREDS_UMASK_DEFAULT;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)ctx->pid);
	/* A pid of 0 is an asker in another pid namespace: judged by uid and gid alone. */
	if (ctx->pid > 0 && io_read_file(AT_FDCWD, path, STATUS_MAX, &status) == 0) {
		field = status_field(status, "\nUmask:\t");
		if (field)
			umask_of = (mode_t)strtoul(field, NULL, 8) & 0777;
		field = status_field(status, "\nGroups:\t");
		if (field) {
			size_t max = strcspn(field, "\n") / 2 + 1;

			groups = calloc(max < GROUPS_MAX ? max : GROUPS_MAX, sizeof(*groups));
			if (!groups)
				return NULL;
			n = parse_groups(field, groups, max < GROUPS_MAX ? max : GROUPS_MAX);
		}
	}
	return creds_new(ctx->uid, ctx->gid, umask_of, n, groups);
}

struct creds *creds_of_asker(fuse_req_t req)
{
	return creds_full(fuse_req_ctx(req));
}

struct creds *creds_of_reader(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	if (ctx->uid == 0 || ctx->uid == core_daemon_uid(fs_of(req)->core))
		return creds_new(ctx->uid, ctx->gid, CREDS_UMASK_DEFAULT, 0, NULL);
	return creds_full(ctx);
}

/* --- guests (under fs.lock) ---------------------------------------------------------------------- */

/* Counts one more handle of UID. */
static int guest_enter(struct fs *fs, uid_t uid, struct guest **ret)
{
	struct guest *g = fs->guests;

	while (g && g->uid != uid)
		g = g->next;
	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return -ENOMEM;
		*g = (struct guest) { .next = fs->guests, .uid = uid };
		fs->guests = g;
	}
	if (g->handles == GUEST_HANDLES)
		return -EDQUOT;
	g->handles++;
	*ret = g;
	return 0;
}

static void guest_leave(struct fs *fs, struct handle *h)
{
	struct guest **at = &fs->guests, *g = h->guest;

	if (!g)
		return;
	g->bytes -= h->kept;
	if (--g->handles > 0)
		return;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	free(g);
}

bool handle_keep(struct handle *h, size_t bytes)
{
	bool may = true;

	if (!h->guest)
		return true;
	pthread_mutex_lock(&h->fs->lock);
	may = h->guest->bytes - h->kept + bytes <= GUEST_BYTES;
	if (may) {
		h->guest->bytes += bytes - h->kept;
		h->kept = bytes;
	}
	pthread_mutex_unlock(&h->fs->lock);
	return may;
}

/* --- handles -------------------------------------------------------------------------------------- */

bool handle_may_read_locked(const struct handle *h, const struct queue *q)
{
	const struct job *j = h->guest ? queue_find(q, h->place.serial) : NULL;

	/* What is left of an ended job he may read to its end. */
	return !j || creds_access(h->creds, j->uid, j->gid, j->mode & h->mode) & 4;
}

bool handle_may_read(const struct handle *h)
{
	bool may;

	if (!h->guest)
		return true;
	may = handle_may_read_locked(h, core_read_lock(h->fs->core));
	core_read_unlock(h->fs->core);
	return may;
}

int handle_new(struct fs *fs, struct place place, mode_t mode, struct creds *creds, struct handle **ret)
{
	bool bound = creds->uid != 0 && creds->uid != core_daemon_uid(fs->core);
	struct handle *h = calloc(1, sizeof(*h));
	int r = 0;

	if (!h)
		return -ENOMEM;
	*h = (struct handle) { .fs = fs, .place = place, .mode = mode, .creds = creds, .fd = -1, .refs = 1 };
	pthread_mutex_lock(&fs->lock);
	if (bound)
		r = guest_enter(fs, creds->uid, &h->guest);
	if (r == 0) {
		pthread_mutex_init(&h->lock, NULL);
		h->next = fs->handles;
		if (h->next)
			h->next->prev = h;
		fs->handles = h;
	}
	pthread_mutex_unlock(&fs->lock);
	if (r < 0)
		free(h);
	else
		*ret = h;
	return r;
}

struct handle *handle_get(struct handle *h)
{
	pthread_mutex_lock(&h->lock);
	h->refs++;
	pthread_mutex_unlock(&h->lock);
	return h;
}

static void handle_free(struct handle *h)
{
	if (h->ph)
		fuse_pollhandle_destroy(h->ph);
	if (h->fd >= 0)
		close(h->fd);
	buf_release(&h->text);
	buf_release(&h->line);
	creds_free(h->creds);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void handle_put(struct handle *h)
{
	struct fs *fs = h->fs;
	bool last;

	/* fs.lock too: the notify thread walks the list, and must not find one that is being freed. */
	pthread_mutex_lock(&fs->lock);
	pthread_mutex_lock(&h->lock);
	last = --h->refs == 0;
	pthread_mutex_unlock(&h->lock);
	if (last) {
		if (h->next)
			h->next->prev = h->prev;
		if (h->prev)
			h->prev->next = h->next;
		else
			fs->handles = h->next;
		guest_leave(fs, h);
	}
	pthread_mutex_unlock(&fs->lock);
	if (last)
		handle_free(h);
}

void handle_reply_open(struct handle *h, fuse_req_t req, struct fuse_file_info *fi)
{
	fi->fh = (uintptr_t)h;
	if (fuse_reply_open(req, fi) != 0)
		handle_put(h);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

/* "/JOB/ROW", as the links of /proc/PID/fd end. */
static char *tail_of(struct handle *h)
{
	const struct job *j = queue_find(core_read_lock(h->fs->core), h->place.serial);
	char *path = NULL;

	if (j && asprintf(&path, "/%s/%s", j->name, h->row.name) < 0)
		path = NULL;
	core_read_unlock(h->fs->core);
	return path;
}

bool handle_is_copied(struct handle *h, pid_t pid)
{
	alignas(struct dirent64) char entries[LINKS_MAX * LINK_ENTRY];
	cleanup_free char *tail = tail_of(h);
	cleanup_close int dir = -1;
	char path[64], target[PATH_MAX + 1];
	const struct dirent64 *entry;
	bool found = false;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = tail && pid > 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	size = dir >= 0 ? getdents64(dir, entries, sizeof(entries)) : 0;
	/* Only the links are read: to look at the files would be a request to ourselves. */
	for (ssize_t at = 0; at < size && !found; at += entry->d_reclen) {
		ssize_t n;

		entry = (const struct dirent64 *)(entries + at);
		n = readlinkat(dir, entry->d_name, target, PATH_MAX);
		if (n > 0) {
			target[n] = '\0';
			found = ends_with(target, tail);
		}
	}
	return found;
}
