/* Extended attributes: what files/PATH tells besides its data (INTERFACE.md §7). */
#include "fs/private.h"

#include "model/url.h"

#include <errno.h>
#include <string.h>

static void show_state(const struct job *j, uint32_t id, struct buf *out)
{
	buf_adds(out, file_state_word(file_now(j->files, id)->state));
}

static void show_transferred(const struct job *j, uint32_t id, struct buf *out)
{
	buf_printf(out, "%llu", (unsigned long long)ctl_file_figures(j, id).bytes);
}

static void show_sha256(const struct job *j, uint32_t id, struct buf *out)
{
	const struct source *source = file_source(j->files, id);

	if (!source->extra || source->extra->digest_kind != DIGEST_SHA256)
		return;
	for (size_t i = 0; i < digest_lengths[DIGEST_SHA256]; i++)
		buf_printf(out, "%02x", source->extra->digest[i]);
}

static void show_url(const struct job *j, uint32_t id, struct buf *out)
{
	cleanup_free char *url = NULL;

	if (url_display(file_source(j->files, id)->url, &url) < 0)
		out->failed = true;
	else
		buf_adds(out, url);
}

/* An attribute that shows nothing is not there. */
static const struct xattr {
	const char *name;
	void (*show)(const struct job *j, uint32_t id, struct buf *out);
} xattrs[] = {
	{ "user.xferfs.state", show_state },
	{ "user.xferfs.transferred", show_transferred },
	{ "user.xferfs.sha256", show_sha256 },
	{ "user.xdg.origin.url", show_url },
};

/* Calls FN for the file's job under the lock; -ENODATA when INO is no staged file. */
static int with_file(struct fs *fs, fuse_ino_t ino,
	int (*fn)(const struct job *j, uint32_t id, const char *name, struct buf *out),
	const char *name, struct buf *out)
{
	struct place place;
	const struct job *j;
	int r = -ENODATA;

	if (!ino_place(ino, &place) || place.kind != PLACE_FILE)
		return -ENODATA;
	j = queue_find(core_read_lock(fs->core), place.serial);
	if (j && file_now(j->files, place.id) && file_source(j->files, place.id))
		r = fn(j, place.id, name, out);
	core_read_unlock(fs->core);
	return r < 0 ? r : out->failed ? -ENOMEM : 0;
}

static int get_one(const struct job *j, uint32_t id, const char *name, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(xattrs); i++)
		if (strcmp(xattrs[i].name, name) == 0)
			xattrs[i].show(j, id, out);
	return out->len > 0 ? 0 : -ENODATA;
}

static int get_names(const struct job *j, uint32_t id, const char *name, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(xattrs); i++) {
		cleanup_buf struct buf value = { 0 };

		xattrs[i].show(j, id, &value);
		if (value.len > 0)
			buf_add(out, xattrs[i].name, strlen(xattrs[i].name) + 1);
	}
	return 0;
}

static void reply_value(fuse_req_t req, int r, const struct buf *value, size_t size)
{
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (size == 0)
		fuse_reply_xattr(req, value->len);
	else if (size < value->len)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value->data, value->len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	cleanup_buf struct buf value = { 0 };
	/* Of other kinds (security.selinux, system.posix_acl_access) nothing has any, which programs ask for
	 * once when told so. ENOSYS would end the kernel's asking for all kinds, on the whole mount. */
	int r = strncmp(name, "user.", 5) == 0 ? with_file(fs_of(req), ino, get_one, name, &value) : -EOPNOTSUPP;

	reply_value(req, r, &value, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	cleanup_buf struct buf names = { 0 };
	int r = with_file(fs_of(req), ino, get_names, NULL, &names);

	reply_value(req, r == -ENODATA ? 0 : r, &names, size);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	fuse_reply_err(req, EOPNOTSUPP);
}
