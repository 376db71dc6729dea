/* Changing the tree by the system calls for trees: each becomes a message to the core. What has no
 * meaning here answers EPERM, so that `rm -r job` and `touch job/x` say "Operation not permitted".
 */
#include "fs/private.h"

#include "base/users.h"
#include "model/name.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

/* Sends COMMAND about PLACE in the asker's name. */
static void command_of(fuse_req_t req, struct ask *a, struct command *command)
{
	cleanup(creds_free) struct creds *creds = creds_of_asker(req);

	if (!creds) {
		command_release(command);
		ask_fail(a, -ENOMEM);
		return;
	}
	ask_command(a, creds, command);
}

#define JOB_NAME "a job's name has 1 to 255 bytes, no dot at its beginning and no control characters"

/* --- jobs --------------------------------------------------------------------------------------- */

static void done_mkdir(struct ask *a, int err, const struct answer *answer)
{
	if (err < 0) {
		ask_fail(a, err);
		return;
	}
	reply_entry(a->req, (struct place) { PLACE_JOB, answer->serial });
	ask_free(a);
}

static void mkdir_job(fuse_req_t req, const char *name)
{
	struct message *m;
	struct ask *a;

	if (name_check_job(name) < 0) {
		core_refuse(fs_of(req)->core, 0, "mkdir: " JOB_NAME);
		fuse_reply_err(req, EINVAL);
		return;
	}
	a = ask_new(req, NULL, (struct place) { PLACE_ROOT }, done_mkdir);
	if (!a)
		return;
	m = message_new(MSG_MKDIR);
	if (m) {
		m->name = strdup(name);
		m->creds = creds_of_asker(req);
	}
	core_learn_user(fs_of(req)->core, fuse_req_ctx(req)->uid);
	if (!m || !m->name || !m->creds) {
		if (m)
			message_free(m);
		ask_fail(a, -ENOMEM);
		return;
	}
	ask_send(a, m);
}

static void done_node(struct ask *a, int err, const struct answer *answer)
{
	const struct job *j;
	struct place place = a->place;

	if (err < 0) {
		ask_fail(a, err);
		return;
	}
	j = queue_find(core_read_lock(a->fs->core), place.serial);
	place.id = j ? files_find_path(j->files, a->path) : NODE_NONE;
	core_read_unlock(a->fs->core);
	/* Removed again before we could look. */
	if (place.id == NODE_NONE)
		fuse_reply_err(a->req, ENOENT);
	else
		reply_entry(a->req, place);
	ask_free(a);
}

/* The path of NAME in the directory DIR of files/ or sources/. */
static int node_path(struct fs *fs, struct place dir, const char *name, char **ret)
{
	cleanup_free char *parent = NULL;
	const struct job *j = queue_find(core_read_lock(fs->core), dir.serial);
	char *path;
	int r = j ? 0 : -ENOENT;

	if (j && dir.id != NODE_ROOT)
		r = files_path(j->files, dir.id, &parent);
	core_read_unlock(fs->core);
	if (r < 0)
		return r;
	if (asprintf(&path, "%s%s%s", parent ? parent : "", parent ? "/" : "", name) < 0)
		return -ENOMEM;
	r = name_check_path(path);
	if (r < 0) {
		free(path);
		return r;
	}
	*ret = path;
	return 0;
}

/* An ask about the new node NAME of DIR; NULL: answered. */
static struct ask *ask_node(fuse_req_t req, struct place dir, const char *name)
{
	char *path = NULL;
	int r = node_path(fs_of(req), dir, name, &path);
	struct ask *a;

	if (r < 0) {
		fuse_reply_err(req, -r);
		return NULL;
	}
	a = ask_new(req, NULL, dir, done_node);
	if (a)
		a->path = path;
	else
		free(path);
	return a;
}

static void mkdir_node(fuse_req_t req, struct place dir, const char *name)
{
	struct ask *a = ask_node(req, dir, name);
	struct command command = { .kind = CMD_MAKE_DIR };

	if (!a)
		return;
	command.text = strdup(a->path);
	if (!command.text) {
		ask_fail(a, -ENOMEM);
		return;
	}
	command_of(req, a, &command);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct place dir;

	if (!ino_place(parent, &dir))
		fuse_reply_err(req, ENOENT);
	else if (dir.kind == PLACE_ROOT)
		mkdir_job(req, name);
	else if (dir.kind == PLACE_FILE || dir.kind == PLACE_SOURCE)
		mkdir_node(req, dir, name);
	else
		fuse_reply_err(req, EPERM);
}

/* --- links -------------------------------------------------------------------------------------- */

static void add_quoted(struct buf *b, const char *text)
{
	buf_addc(b, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *text);
	}
	buf_addc(b, '"');
}

/* `ln -s URL sources/NAME` is the line `"URL" "NAME"` of `add`: one grammar, one set of rules. */
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	cleanup(creds_free) struct creds *creds = creds_of_asker(req);
	cleanup_buf struct buf line = { 0 };
	cleanup_free char *reason = NULL;
	struct command command = { .kind = CMD_ADD };
	struct place dir;
	struct ask *a;
	int r;

	if (!ino_place(parent, &dir) || dir.kind != PLACE_SOURCE) {
		fuse_reply_err(req, EPERM);
		return;
	}
	a = ask_node(req, dir, name);
	if (!a)
		return;
	add_quoted(&line, target);
	buf_addc(&line, ' ');
	add_quoted(&line, a->path);
	r = -ENOMEM;
	if (creds && !line.failed) {
		struct addline_rules rules = add_rules(fs, creds);

		r = addline_parse(line.data, line.len, &rules, &command.additions, &reason);
	}
	if (r == 0) {
		ask_command(a, creds, &command);
		return;
	}
	if (reason) {
		cleanup_free char *sentence = NULL;
		const char *colon = strstr(reason, ": ");

		if (asprintf(&sentence, "sources: %s", colon ? colon + 2 : reason) >= 0)
			core_refuse(fs->core, dir.serial, sentence);
	}
	ask_fail(a, r);
}

/* --- removing ----------------------------------------------------------------------------------- */

static void remove_place(fuse_req_t req, struct place place)
{
	bool job = place.kind == PLACE_JOB;
	struct command command = job ? (struct command) { .kind = CMD_VERB, .verb = EV_CANCEL } :
		(struct command) { .kind = CMD_REMOVE, .node = place.id };
	struct ask *a = ask_new(req, NULL, place, done_err);

	if (a)
		command_of(req, a, &command);
}

/* What `rm` (DIRECTORY false) and `rmdir` may remove. */
static bool removable(struct place p, bool directory)
{
	if (p.kind == PLACE_JOB)
		return directory;
	return (p.kind == PLACE_FILE || p.kind == PLACE_SOURCE) && p.id != NODE_ROOT;
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, bool directory)
{
	struct place place;
	int r = find_place(fs_of(req), parent, name, &place);

	if (r == 0 && !removable(place, directory))
		r = -EPERM;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		remove_place(req, place);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct place place;
	uint64_t buried;

	/* A job may have been made of that name since notify looked; the kernel would take its directory
	 * for removed for ever. No other can come until this is answered: the parent is locked. */
	if (notify_buries(fs_of(req)->notify, req, &buried))
		fuse_reply_err(req, find_place(fs_of(req), parent, name, &place) == -ENOENT ? 0 : EBUSY);
	else
		remove_name(req, parent, name, true);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, false);
}

/* --- renaming, attributes ----------------------------------------------------------------------- */

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct command command = { .kind = CMD_RENAME };
	struct place place;
	struct ask *a;
	int r = flags & ~(unsigned)RENAME_NOREPLACE ? -EINVAL : find_place(fs_of(req), parent, name, &place);

	if (r == 0 && (place.kind != PLACE_JOB || newparent != FUSE_ROOT_ID))
		r = -EPERM;
	if (r == 0) {
		r = name_check_job(newname);
		if (r < 0)
			core_refuse(fs_of(req)->core, place.serial, "mv: " JOB_NAME);
	}
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	a = ask_new(req, NULL, place, done_err);
	if (!a)
		return;
	command.text = strdup(newname);
	if (!command.text)
		ask_fail(a, -ENOMEM);
	else
		command_of(req, a, &command);
}

static void reply_attr(fuse_req_t req, struct place place)
{
	struct stat st;
	int r = attr_of(req, place, &st);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, 0);
}

static void done_attr(struct ask *a, int err, const struct answer *answer)
{
	if (err < 0) {
		ask_fail(a, err);
		return;
	}
	reply_attr(a->req, a->place);
	ask_free(a);
}

#define SET_OWNER (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)
#define SET_ACCESS (FUSE_SET_ATTR_MODE | SET_OWNER)

/* The size of a control file is not the user's to set, but `: > f` and `truncate -s 0 f` do no harm;
 * times may be touched (fs/notify does, so that inotify sees changes), and are not kept. */
static int setattr_check(struct place p, int to_set)
{
	bool row = p.kind == PLACE_ROW || p.kind == PLACE_SERVICE_ROW;

	if (to_set & SET_ACCESS)
		return p.kind == PLACE_JOB ? 0 : -EPERM;
	if (to_set & FUSE_SET_ATTR_SIZE)
		return row ? 0 : -EPERM;
	return p.kind == PLACE_FILE || p.kind == PLACE_SOURCE ? -EPERM : 0;
}

/* Only of one who may give it away the core needs to know more of the new owner than his number. */
static int owner_command(fuse_req_t req, int to_set, const struct stat *attr, struct command *ret)
{
	struct core *core = fs_of(req)->core;
	uid_t asker = fuse_req_ctx(req)->uid;
	bool may = asker == 0 || asker == core_daemon_uid(core);
	struct creds *owner = NULL;

	if (to_set & FUSE_SET_ATTR_UID) {
		if (may)
			core_learn_user(core, attr->st_uid);
		owner = may ? users_creds(attr->st_uid) : creds_new(attr->st_uid, (gid_t)-1, 022, 0, NULL);
		if (!owner)
			return -ENOMEM;
	}
	*ret = (struct command) {
		.kind = CMD_OWNER,
		.owner = owner,
		.gid = to_set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1,
	};
	return 0;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct command command = { .kind = CMD_MODE, .mode = attr->st_mode & 0777 };
	struct place place;
	struct ask *a;
	int r = ino_place(ino, &place) ? setattr_check(place, to_set) : -ENOENT;

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (!(to_set & SET_ACCESS)) {
		reply_attr(req, place);
		return;
	}
	a = ask_new(req, NULL, place, done_attr);
	if (!a)
		return;
	if (to_set & SET_OWNER && owner_command(req, to_set, attr, &command) < 0)
		ask_fail(a, -ENOMEM);
	else
		command_of(req, a, &command);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	fuse_reply_err(req, EPERM);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	fuse_reply_err(req, EPERM);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EPERM);
}
