/* Commands that change a job: its files, its properties, its name and owner. Each checks first and
 * changes then: on failure the draft is as it was.
 */
#include "core/state.h"

#include "base/log.h"
#include "model/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- files ------------------------------------------------------------------------------------ */

static int refuse_addition(struct run *run, int err, const char *path)
{
	cleanup_free char *text = NULL;
	const char *why = err == -EEXIST ? "the job has a file of this name already" :
		err == -EISDIR ? "the job has a directory of this name" :
		err == -ENOTDIR ? "a part of this path is a file" :
		err == -EDQUOT ? "the job has as many files as it can have" : strerror(-err);

	if (asprintf(&text, "add: %s: %s", path, why) < 0)
		text = NULL;
	return command_refuse(run, err, text ? text : "add: refused");
}

/* Takes back what a refused command has added, with the directories that it made. */
static void take_back(struct run *run, const uint32_t *ids, size_t n)
{
	struct files *files = run->draft->files;

	while (n--) {
		struct node node;
		uint32_t id = ids[n];

		while (id != NODE_ROOT && files_draft_is_new(files, id) && files_draft_node(files, id, &node) &&
		       files_remove(files, run->draft, id) >= 0)
			id = node.parent;
	}
}

static int add_all(struct run *run, struct additions *a)
{
	cleanup_free uint32_t *ids = calloc(a->n ? a->n : 1, sizeof(*ids));
	size_t n = 0;
	int r = 0;

	if (!ids)
		return -ENOMEM;
	core_read_lock(run->core);
	for (; n < a->n && r >= 0; n += r >= 0)
		r = files_add(run->draft->files, run->draft, a->v[n].path, &a->v[n].source, &ids[n]);
	if (r < 0)
		take_back(run, ids, n);
	core_read_unlock(run->core);
	if (r < 0)
		return refuse_addition(run, r, a->v[n].path);
	for (size_t i = 0; i < n; i++)
		run_ready(run, ids[i]);
	return 0;
}

/* Names that one job may ever have had, per file that it may have: directories, and names that were
 * removed again, take memory too. */
#define NAMES_PER_FILE 32

static size_t components(const char *path)
{
	size_t n = 1;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* MORE: names that may be new. */
static int check_names(struct run *run, const char *what, size_t more, const struct creds *creds)
{
	uint64_t files = run->core->options.config->files_per_job;
	char text[120];

	if (command_privileged(run->core, creds) ||
	    (files_node_count(run_job(run)->files) + more) / NAMES_PER_FILE <= files)
		return 0;
	snprintf(text, sizeof(text), "%s: more directories and removed files than [limits] files_per_job allows", what);
	return command_refuse(run, -EDQUOT, text);
}

static bool bring_login(const struct additions *a)
{
	for (size_t i = 0; i < a->n; i++) {
		if (source_has_login(&a->v[i].source))
			return true;
	}
	return false;
}

int change_add(struct run *run, struct command *command, const struct creds *creds)
{
	const struct core *c = run->core;
	struct additions *a = &command->additions;
	size_t names = 0;
	int r;

	if (!a->n)
		return 0;
	if (!command_privileged(c, creds) && run_job(run)->tally.files + a->n > c->options.config->files_per_job)
		return command_refuse(run, -EDQUOT, "add: more files than [limits] files_per_job allows");
	if (!command_owns(c, run_job(run), creds) && bring_login(a))
		return command_refuse(run, -EPERM, "add: only the owner of the job may add a URL with user and password");
	for (size_t i = 0; i < a->n; i++)
		names += components(a->v[i].path);
	r = check_names(run, "add", names, creds);
	if (r >= 0)
		r = command_may(run, EV_ADD, "add");
	if (r >= 0)
		r = add_all(run, a);
	if (r < 0)
		return r;
	run_apply(run, EV_ADD);
	run->draft->transferred_at = 0;
	core_log_event(run, "added", "files=%zu", a->n);
	return 0;
}

int change_make_dir(struct run *run, struct command *command, const struct creds *creds)
{
	uint32_t id;
	int r = check_names(run, "mkdir", components(command->text), creds);

	if (r >= 0)
		r = command_may(run, EV_CHANGE, "mkdir");
	if (r < 0)
		return r;
	core_read_lock(run->core);
	r = files_mkdir(run->draft->files, command->text, &id);
	core_read_unlock(run->core);
	return r < 0 ? r : run_apply(run, EV_CHANGE);
}

int change_remove(struct run *run, struct command *command, const struct creds *creds)
{
	const struct file *f;
	uint32_t generation;
	bool is_file;
	int r = command_may(run, EV_CHANGE, "rm");

	if (r < 0)
		return r;
	f = file_draft(run->draft->files, command->node);
	is_file = f;
	generation = f ? f->generation : 0;
	core_read_lock(run->core);
	r = files_remove(run->draft->files, run->draft, command->node);
	core_read_unlock(run->core);
	if (r < 0)
		return r;
	if (is_file)
		run_gone(run, command->node, generation); /* without memory: swept at the next start */
	core_log_event(run, "removed", "id=%u", command->node);
	return run_apply(run, EV_CHANGE);
}

/* --- properties ------------------------------------------------------------------------------- */

/* The owner's to set: by its name, or with this value. */
static bool is_owners(const struct prop_rule *prop, const char *text)
{
	return !(prop->mode & 022) || (prop->login && url_has_login(text));
}

int change_prop(struct run *run, struct command *command, const struct creds *creds)
{
	const struct prop_rule *prop = command->prop;
	const char *reason = NULL;
	cleanup_free char *text = NULL;
	int r;

	if (is_owners(prop, command->text) && !command_owns(run->core, run_job(run), creds))
		return command_refuse(run, -EPERM, "only the owner of the job may set this");
	r = command_may(run, EV_CHANGE, prop->name);
	if (r < 0)
		return r;
	r = prop->set(prop, &run->draft->props, command->text, &reason);
	if (r < 0) {
		if (asprintf(&text, "%s: %s", prop->name, reason ? reason : strerror(-r)) < 0)
			text = NULL;
		return command_refuse(run, r, text ? text : prop->name);
	}
	fetch_options_unref(take_ptr(run->options)); /* made anew for the next transfer */
	core_log_event(run, "set", "name=%s", prop->name);
	return run_apply(run, EV_CHANGE);
}

int change_name(struct run *run, struct command *command, const struct creds *creds)
{
	int r;

	if (!strcmp(run_job(run)->name, command->text))
		return 0;
	if (command_name_taken(run->core, command->text))
		return -EEXIST;
	r = command_may(run, EV_CHANGE, "rename");
	if (r < 0)
		return r;
	run_apply(run, EV_CHANGE);
	core_log_event(run, "renamed", "to=%s", command->text);
	free(run->old_name);
	run->old_name = run->draft->name;
	run->draft->name = take_ptr(command->text);
	run->changed |= CHANGED_NAME;
	return 0;
}

int change_mode(struct run *run, struct command *command, const struct creds *creds)
{
	int r = command_may(run, EV_CHANGE, "chmod");

	if (r < 0)
		return r;
	run_apply(run, EV_CHANGE);
	run->draft->mode = command->mode & 0777;
	fetch_options_unref(take_ptr(run->options)); /* whether it is shared */
	core_log_event(run, "set", "mode=%03o", run->draft->mode);
	return 0;
}

/* OWNER: what the directory of users says of him, for on_transferred and notify. */
static int take_ownership(struct run *run, const struct creds *owner)
{
	fetch_options_unref(take_ptr(run->options));
	core_log_event(run, "owner", "uid=%u", owner->uid);
	return job_take_ownership(run->draft, owner);
}

int change_owner(struct run *run, struct command *command, const struct creds *creds)
{
	const struct job *job = run_job(run);
	bool chown = command->owner && command->owner->uid != job->uid;
	bool chgrp = command->gid != (gid_t)-1 && command->gid != job->gid;
	int r;

	if (chown && !command_privileged(run->core, creds))
		return -EPERM;
	if (chgrp && !command_privileged(run->core, creds) && (creds->uid != job->uid || !creds_has_group(creds, command->gid)))
		return -EPERM;
	if (!chown && !chgrp)
		return 0;
	r = command_may(run, EV_CHANGE, "chown");
	if (r >= 0 && chown)
		r = take_ownership(run, command->owner);
	if (r < 0)
		return r;
	if (chgrp)
		run->draft->gid = command->gid;
	return run_apply(run, EV_CHANGE);
}
