/* What users ask: one function per command. They change drafts only: nothing has happened until the
 * save, and a failed save drops the drafts.
 */
#include "core/state.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool privileged(const struct core *c, const struct creds *creds)
{
	return creds->uid == 0 || creds->uid == c->options.daemon_uid;
}

static bool owns(const struct core *c, const struct job *job, const struct creds *creds)
{
	return privileged(c, creds) || creds->uid == job->uid;
}

static int refuse(struct run *run, int err, const char *sentence)
{
	core_refuse(run->core, run->serial, sentence);
	return err;
}

/* The errno of a verb that the state does not allow, with the sentence that says so. */
static int refuse_state(struct run *run, int err, const char *what)
{
	const struct job *job = run_job(run);
	char text[160];

	if (err == -ENODATA)
		snprintf(text, sizeof(text), "%s: the job has no files", what);
	else
		snprintf(text, sizeof(text), "%s: not possible while the job is %s", what, job_state_word(job->state));
	return refuse(run, err, text);
}

/* Whether the state allows EVENT. Asked before anything is changed: a draft is never half changed. */
static int may(struct run *run, enum job_event event, const char *what)
{
	struct rule rule;
	int r = job_rule(run_job(run)->state, event, &rule);

	if (r < 0)
		return refuse_state(run, r, what);
	return run_edit(run) ? 0 : -ENOMEM;
}

/* --- mkdir ------------------------------------------------------------------------------------ */

static bool name_taken(const struct core *c, const char *name)
{
	if (queue_find_name(c->queue, name))
		return true;
	for (const struct run *run = c->dirty; run; run = run->next_dirty)
		if (run->draft && !run->ended && !strcmp(run->draft->name, name))
			return true;
	return false;
}

static int check_job_limits(const struct core *c, const struct creds *creds)
{
	uint64_t all = queue_count(c->queue), own = queue_count_of(c->queue, creds->uid);

	if (privileged(c, creds))
		return 0;
	for (const struct run *run = c->dirty; run; run = run->next_dirty)
		if (run->fresh) {
			all++;
			own += run->draft->uid == creds->uid;
		}
	return own >= c->options.config->jobs_per_user || all >= c->options.config->jobs ? -EDQUOT : 0;
}

static int make_job(struct core *c, const struct message *m, struct answer *answer)
{
	struct job *draft;
	struct run *run;
	int r;

	if (name_taken(c, m->name))
		return -EEXIST;
	r = check_job_limits(c, m->creds);
	if (r < 0) {
		core_refuse(c, 0, "mkdir: more jobs than [limits] jobs or jobs_per_user allow");
		return r;
	}
	r = job_new(c->next_serial, m->name, m->creds, c->moment.wall_ms / 1000, &draft);
	if (r < 0)
		return r;
	run = run_get(c, draft->serial);
	if (!run) {
		files_free(draft->files);
		job_free(draft);
		return -ENOMEM;
	}
	run->draft = draft;
	run->fresh = run->save = true;
	run->changed |= CHANGED_STATE;
	run_edit(run);
	answer->serial = c->next_serial++;
	c->service.jobs_created++;
	core_log_event(run, "created", "uid=%u", m->creds->uid);
	log_info("job %s (%llu) created by uid %u", m->name, (unsigned long long)draft->serial, m->creds->uid);
	return 0;
}

/* --- the verbs -------------------------------------------------------------------------------- */

/* With CREDS the files are placed. */
static int complete(struct run *run, const struct creds *creds)
{
	struct creds *completer = creds_copy(creds);
	bool was_transferred = run->draft->state == JOB_TRANSFERRED;
	int r = completer ? run_apply(run, EV_COMPLETE) : -ENOMEM;

	if (r < 0) {
		creds_free(completer);
		return r;
	}
	creds_free(run->draft->completer);
	run->draft->completer = completer;
	run->draft->was_transferred = was_transferred;
	run->ended_by = creds->uid;
	return 0;
}

static void resumed(struct run *run, enum job_state before)
{
	struct job *draft = run->draft;

	if (draft->state == before)
		return;
	retry_forgive(run);
	fault_free(take_ptr(draft->fault));
	draft->trouble_since = draft->retry_at = 0;
	if (before == JOB_ERROR)
		draft->active_seconds = 0;
}

static void cancelled(struct run *run, const struct creds *creds)
{
	if (run->draft->state != JOB_CANCELLED)
		return;
	run->ended_by = creds->uid;
	run_end(run, run->draft->tally.completed > 0, "command");
}

static int verb(struct run *run, struct command *command, const struct creds *creds)
{
	const struct job *job = run_job(run);
	enum job_state before = job->state;
	enum job_event event = command->verb;
	int r;

	if (event == EV_COMPLETE && command->all && before != JOB_TRANSFERRED)
		return refuse(run, -EBUSY, "complete: all: not every file is here");
	if (event == EV_RESUME && !job->tally.files)
		event = EV_RESUME_EMPTY;
	r = may(run, event, job_event_word(command->verb));
	if (r < 0)
		return r;
	log_info("job %s (%llu): %s by uid %u", job->name, (unsigned long long)run->serial,
		job_event_word(command->verb), creds->uid);
	if (event == EV_COMPLETE)
		return complete(run, creds);
	r = run_apply(run, event);
	if (r >= 0 && event == EV_RESUME)
		resumed(run, before);
	if (r >= 0 && event == EV_CANCEL)
		cancelled(run, creds);
	return r;
}

int command_complete_as_owner(struct run *run)
{
	log_info("job %s (%llu): complete by on_transferred", run->draft->name, (unsigned long long)run->serial);
	return complete(run, run->draft->owner);
}

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
	return refuse(run, err, text ? text : "add: refused");
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

	if (privileged(run->core, creds) ||
	    (files_node_count(run_job(run)->files) + more) / NAMES_PER_FILE <= files)
		return 0;
	snprintf(text, sizeof(text), "%s: more directories and removed files than [limits] files_per_job allows", what);
	return refuse(run, -EDQUOT, text);
}

static int add_files(struct run *run, struct command *command, const struct creds *creds)
{
	const struct core *c = run->core;
	struct additions *a = &command->additions;
	size_t names = 0;
	int r;

	if (!a->n)
		return 0;
	if (!privileged(c, creds) && run_job(run)->tally.files + a->n > c->options.config->files_per_job)
		return refuse(run, -EDQUOT, "add: more files than [limits] files_per_job allows");
	for (size_t i = 0; i < a->n; i++)
		names += components(a->v[i].path);
	r = check_names(run, "add", names, creds);
	if (r >= 0)
		r = may(run, EV_ADD, "add");
	if (r >= 0)
		r = add_all(run, a);
	if (r < 0)
		return r;
	run_apply(run, EV_ADD);
	run->draft->transferred_at = 0;
	core_log_event(run, "added", "files=%zu", a->n);
	return 0;
}

static int make_dir(struct run *run, struct command *command, const struct creds *creds)
{
	uint32_t id;
	int r = check_names(run, "mkdir", components(command->text), creds);

	if (r >= 0)
		r = may(run, EV_CHANGE, "mkdir");
	if (r < 0)
		return r;
	core_read_lock(run->core);
	r = files_mkdir(run->draft->files, command->text, &id);
	core_read_unlock(run->core);
	return r < 0 ? r : run_apply(run, EV_CHANGE);
}

static int remove_node(struct run *run, struct command *command, const struct creds *creds)
{
	const struct file *f;
	uint32_t generation;
	bool is_file;
	int r = may(run, EV_CHANGE, "rm");

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

static int set_prop(struct run *run, struct command *command, const struct creds *creds)
{
	const struct prop_rule *prop = command->prop;
	const char *reason = NULL;
	cleanup_free char *text = NULL;
	int r;

	if (!(prop->mode & 022) && !owns(run->core, run_job(run), creds))
		return refuse(run, -EPERM, "only the owner of the job may set this");
	r = may(run, EV_CHANGE, prop->name);
	if (r < 0)
		return r;
	r = prop->set(prop, &run->draft->props, command->text, &reason);
	if (r < 0) {
		if (asprintf(&text, "%s: %s", prop->name, reason ? reason : strerror(-r)) < 0)
			text = NULL;
		return refuse(run, r, text ? text : prop->name);
	}
	fetch_options_unref(take_ptr(run->options)); /* made anew for the next transfer */
	core_log_event(run, "set", "name=%s", prop->name);
	return run_apply(run, EV_CHANGE);
}

static int rename_job(struct run *run, struct command *command, const struct creds *creds)
{
	int r;

	if (!strcmp(run_job(run)->name, command->text))
		return 0;
	if (name_taken(run->core, command->text))
		return -EEXIST;
	r = may(run, EV_CHANGE, "rename");
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

static int set_mode(struct run *run, struct command *command, const struct creds *creds)
{
	int r = may(run, EV_CHANGE, "chmod");

	if (r < 0)
		return r;
	run_apply(run, EV_CHANGE);
	run->draft->mode = command->mode & 0777;
	fetch_options_unref(take_ptr(run->options)); /* whether it is shared */
	core_log_event(run, "set", "mode=%03o", run->draft->mode);
	return 0;
}

/* The credentials that UID would have if he logged in: for on_transferred and notify. */
static struct creds *creds_of_user(uid_t uid)
{
	struct passwd pw, *found = NULL;
	gid_t groups[256];
	int ngroups = 256;
	char text[4096];

	if (getpwuid_r(uid, &pw, text, sizeof(text), &found) || !found)
		return creds_new(uid, uid, 022, 0, NULL);
	if (getgrouplist(pw.pw_name, pw.pw_gid, groups, &ngroups) < 0)
		ngroups = 0;
	return creds_new(uid, pw.pw_gid, 022, ngroups, groups);
}

static int take_ownership(struct run *run, uid_t uid)
{
	cleanup(creds_free) struct creds *owner = creds_of_user(uid);

	if (!owner)
		return -ENOMEM;
	fetch_options_unref(take_ptr(run->options));
	core_log_event(run, "owner", "uid=%u", uid);
	return job_take_ownership(run->draft, owner);
}

static int set_owner(struct run *run, struct command *command, const struct creds *creds)
{
	const struct job *job = run_job(run);
	bool chown = command->uid != (uid_t)-1 && command->uid != job->uid;
	bool chgrp = command->gid != (gid_t)-1 && command->gid != job->gid;
	int r;

	if (chown && !privileged(run->core, creds))
		return -EPERM;
	if (chgrp && !privileged(run->core, creds) && (creds->uid != job->uid || !creds_has_group(creds, command->gid)))
		return -EPERM;
	if (!chown && !chgrp)
		return 0;
	r = may(run, EV_CHANGE, "chown");
	if (r >= 0 && chown)
		r = take_ownership(run, command->uid);
	if (r < 0)
		return r;
	if (chgrp)
		run->draft->gid = command->gid;
	return run_apply(run, EV_CHANGE);
}

/* --- dispatch --------------------------------------------------------------------------------- */

/* Each checks first and changes then: on failure the draft is as it was. */
static int (*const handlers[CMD_MAX])(struct run *run, struct command *command, const struct creds *creds) = {
	[CMD_VERB] = verb,
	[CMD_ADD] = add_files,
	[CMD_SET] = set_prop,
	[CMD_REMOVE] = remove_node,
	[CMD_MAKE_DIR] = make_dir,
	[CMD_RENAME] = rename_job,
	[CMD_MODE] = set_mode,
	[CMD_OWNER] = set_owner,
};

/* What each command needs besides the job's w. */
static const struct {
	bool ownership; /* and no w: the owner may take it from himself, and give it back */
	bool shapes;    /* changes what is fetched, from where, or where it goes */
} needs[CMD_MAX] = {
	[CMD_ADD] = { .shapes = true },
	[CMD_SET] = { .shapes = true },
	[CMD_REMOVE] = { .shapes = true },
	[CMD_MAKE_DIR] = { .shapes = true },
	[CMD_RENAME] = { .ownership = true },
	[CMD_MODE] = { .ownership = true },
	[CMD_OWNER] = { .ownership = true },
};

static int check_rights(struct run *run, const struct command *command, const struct creds *creds)
{
	const struct job *job = run_job(run);

	if (needs[command->kind].ownership)
		return owns(run->core, job, creds) ? 0 : -EPERM;
	if (!(job_access(job, creds, run->core->options.daemon_uid) & 2))
		return -EACCES;
	if (needs[command->kind].shapes && job_acts_for_owner(job) && !owns(run->core, job, creds))
		return refuse(run, -EPERM, "only the owner may change a job that has his secrets or completes by itself");
	return 0;
}

static int set_network(struct core *c, const struct message *m)
{
	if (!privileged(c, m->creds))
		return -EPERM;
	c->service.network = m->command.network;
	c->network_changed = true;
	log_info("network: %s, by uid %u", network_words[c->service.network], m->creds->uid);
	return 0;
}

static int command_job(struct core *c, struct message *m, struct run **ret_hold)
{
	const struct job *job = queue_find(c->queue, m->serial);
	struct run *run = job ? run_get(c, m->serial) : NULL;
	bool unchanged;
	int r;

	if (!job || (run && run->ended))
		return -ENODEV;
	if (!run)
		return -ENOMEM;
	r = check_rights(run, &m->command, m->creds);
	if (r < 0)
		return r;
	unchanged = !run->dirty;
	r = handlers[m->command.kind](run, &m->command, m->creds);
	if (r < 0) {
		if (unchanged && run->dirty)
			run_drop_draft(run); /* who polls is not woken for nothing */
		return r;
	}
	if (run->draft)
		run->draft->last_alive = c->moment.wall_ms / 1000;
	if (m->command.kind == CMD_VERB && (m->command.verb == EV_COMPLETE || m->command.verb == EV_CANCEL))
		*ret_hold = run;
	return 0;
}

void command_decide(struct core *c, struct message *m)
{
	struct answer answer = {.fd = -1};
	struct run *hold = NULL;
	int r;

	if (m->mail.kind == MSG_MKDIR)
		r = make_job(c, m, &answer);
	else if (m->command.kind == CMD_NETWORK)
		r = set_network(c, m);
	else
		r = command_job(c, m, &hold);
	core_owe(c, m->reply, r, &answer, hold, run_find(c, m->serial));
}
