#include "area.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

int area_setup(void **state)
{
	(void)state;
	/* Mounts of a test are seen by nobody else, and end with it. */
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return creds_thread_init();
}

bool area_make(struct area *a, bool own_fs)
{
	pid_t pid;

	*a = (struct area){ .dest_fd = -1 };
	strcpy(a->dir, "/dev/shm/xferfs-test-XXXXXX");
	assert_non_null(mkdtemp(a->dir));
	assert_int_equal(chmod(a->dir, 0755), 0);
	snprintf(a->dest, sizeof(a->dest), "%s/dest", a->dir);
	snprintf(a->staging, sizeof(a->staging), "%s/staging", a->dir);
	assert_int_equal(mkdir(a->dest, 0755), 0);
	if (own_fs && mount("tmpfs", a->dest, "tmpfs", 0, "mode=0755") < 0) {
		rmdir(a->dest);
		rmdir(a->dir);
		return false;
	}
	a->mounted = own_fs;
	a->dest_fd = open(a->dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(a->dest_fd >= 0);
	assert_int_equal(blobs_open(a->staging, &a->blobs, &pid), 0);
	return true;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void area_remove(struct area *a)
{
	blobs_close(a->blobs);
	close(a->dest_fd);
	if (a->mounted)
		umount2(a->dest, MNT_DETACH);
	nftw(a->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct creds *other_user(void)
{
	if (geteuid() != 0)
		skip();
	return creds_new(OTHER_UID, OTHER_GID, 022, 1, (const gid_t[]){ SHARED_GID });
}

struct creds *daemon_user(mode_t mask)
{
	struct creds *c = creds_of_process();

	assert_non_null(c);
	c->umask = mask;
	return c;
}

/* --- contents ---------------------------------------------------------------------------------- */

static size_t size_of(uint32_t file)
{
	return 1000 + file * 37;
}

static size_t content_of(uint32_t file, char *ret, size_t cap)
{
	size_t len = size_of(file);

	assert_true(len <= cap);
	for (size_t i = 0; i < len; i++)
		ret[i] = (char)(i * 31 + file * 7);
	return len;
}

void make_blob(struct area *a, uint32_t file)
{
	char content[16384];
	size_t len = content_of(file, content, sizeof(content));
	int fd;

	assert_int_equal(blob_open(a->blobs, SERIAL, file, 0, true, &fd), 0);
	assert_int_equal(io_pwrite_all(fd, content, len, 0), 0);
	close(fd);
}

bool has_content(const char *path, uint32_t file)
{
	char is[16384], want[16384];
	size_t len, want_len = content_of(file, want, sizeof(want));
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool same;

	if (fd < 0)
		return false;
	same = io_pread_all(fd, is, sizeof(is), 0, &len) == 0 && len == want_len && memcmp(is, want, len) == 0;
	close(fd);
	return same;
}

void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

bool has_text(const char *path, const char *text)
{
	cleanup_free char *is = NULL;

	return io_read_file(AT_FDCWD, path, 4096, &is) == 0 && strcmp(is, text) == 0;
}

struct stat stat_of(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return st;
}

const char *at(const struct area *a, const char *path)
{
	static char texts[4][512];
	static unsigned next;
	char *text = texts[next++ % 4];

	snprintf(text, sizeof(texts[0]), "%s/%s", a->dest, path);
	return text;
}

static struct {
	uint32_t file;
	unsigned same, temporary;
} count;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	count.same += type == FTW_F && has_content(path, count.file);
	count.temporary += strstr(path + ftw->base, ".xferfs-") != NULL;
	return 0;
}

unsigned count_content(const char *tree, uint32_t file, unsigned *ret_temporary)
{
	count.file = file;
	count.same = count.temporary = 0;
	nftw(tree, count_one, 16, FTW_PHYS);
	*ret_temporary = count.temporary;
	return count.same;
}

bool blob_exists(const struct area *a, uint32_t file)
{
	char path[BLOB_PATH_LEN];

	blob_path(SERIAL, file, 0, path);
	return faccessat(blobs_dirfd(a->blobs), path, F_OK, 0) == 0;
}

const char *blob_of(const struct area *a, uint32_t file)
{
	static char path[160];
	char name[BLOB_PATH_LEN];

	blob_path(SERIAL, file, 0, name);
	snprintf(path, sizeof(path), "%s/%s", a->staging, name);
	return path;
}

/* --- orders ------------------------------------------------------------------------------------ */

struct order *make_order(enum order_kind kind, const struct creds *creds, const char *destination, enum on_conflict conflict,
	enum commit_mode commit, size_t n, const char *const *paths)
{
	struct order *o = order_new(kind, SERIAL, n);

	assert_non_null(o);
	o->creds = creds_copy(creds);
	o->destination = strdup(destination);
	o->conflict = conflict;
	o->commit = commit;
	for (size_t i = 0; i < n; i++) {
		o->files[i].file = (uint32_t)i + 1;
		o->files[i].size = size_of(o->files[i].file);
		o->files[i].path = strdup(paths[i]);
		o->files[i].mtime = 1000000000 + (int64_t)i;
	}
	return o;
}

struct order *place_of(const struct order *prepared)
{
	struct order *o = order_new(ORDER_PLACE, prepared->serial, prepared->nfiles);

	assert_non_null(o);
	o->creds = creds_copy(prepared->creds);
	o->destination = strdup(prepared->destination);
	o->conflict = prepared->conflict;
	o->commit = prepared->commit;
	for (size_t i = 0; i < o->nfiles; i++) {
		const struct order_file *f = &prepared->files[i];

		o->files[i] = (struct order_file){
			.file = f->file,
			.generation = f->generation,
			.size = f->size,
			.path = strdup(f->path),
			.mtime = f->mtime,
			.dev = f->dev,
			.ino = f->ino,
		};
	}
	return o;
}

struct order *complete(struct area *a, const struct creds *creds, const char *destination, enum on_conflict conflict,
	enum commit_mode commit, size_t n, const char *const *paths)
{
	struct order *prepare = make_order(ORDER_PREPARE, creds, destination, conflict, commit, n, paths);

	order_perform(prepare, a->blobs, a->dest_fd);
	if (prepare->err < 0)
		return prepare;
	struct order *place = place_of(prepare);
	order_free(prepare);
	order_perform(place, a->blobs, a->dest_fd);
	return place;
}
