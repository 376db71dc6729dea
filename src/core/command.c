/* What users ask: who may, making jobs, the verbs; what changes a job is in change.c. Commands change
 * drafts only: nothing has happened until the save, and a failed save drops the drafts.
 */
#include "core/state.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool command_privileged(const struct core *c, const struct creds *creds)
{
	return creds->uid == 0 || creds->uid == c->options.daemon_uid;
}

bool command_owns(const struct core *c, const struct job *job, const struct creds *creds)
{
	return command_privileged(c, creds) || creds->uid == job->uid;
}

int command_refuse(struct run *run, int err, const char *sentence)
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
	return command_refuse(run, err, text);
}

/* A draft is never half changed. */
int command_may(struct run *run, enum job_event event, const char *what)
{
	struct rule rule;
	int r = job_rule(run_job(run)->state, event, &rule);

	if (r < 0)
		return refuse_state(run, r, what);
	return run_edit(run) ? 0 : -ENOMEM;
}

/* --- mkdir ------------------------------------------------------------------------------------ */

bool command_name_taken(const struct core *c, const char *name)
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

	if (command_privileged(c, creds))
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

	if (command_name_taken(c, m->name))
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
	return 0;
}

/* --- the verbs -------------------------------------------------------------------------------- */

/* A tree takes the place of what is at the destination: what it lacked would be lost there. */
static int check_tree(struct run *run, const struct job *job)
{
	if (job->props.commit != COMMIT_TREE || !job->tally.files)
		return 0;
	if (job->state != JOB_TRANSFERRED)
		return command_refuse(run, -EBUSY, "complete: commit is tree, and not every file is here");
	if (job->tally.completed)
		return command_refuse(run, -EBUSY, "complete: commit is tree, and some files are in their places already");
	return 0;
}

/* With CREDS the files are placed. */
static int complete(struct run *run, const struct creds *creds)
{
	bool was_transferred = run->draft->state == JOB_TRANSFERRED;
	int r = check_tree(run, run->draft);
	struct creds *completer = r < 0 ? NULL : creds_copy(creds);

	if (r == 0)
		r = completer ? run_apply(run, EV_COMPLETE) : -ENOMEM;
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
		return command_refuse(run, -EBUSY, "complete: all: not every file is here");
	if (event == EV_RESUME && !job->tally.files)
		event = EV_RESUME_EMPTY;
	r = command_may(run, event, job_event_word(command->verb));
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

/* --- dispatch --------------------------------------------------------------------------------- */

/* Each checks first and changes then: on failure the draft is as it was. */
static int (*const handlers[CMD_MAX])(struct run *run, struct command *command, const struct creds *creds) = {
	[CMD_VERB] = verb,
	[CMD_ADD] = change_add,
	[CMD_SET] = change_prop,
	[CMD_REMOVE] = change_remove,
	[CMD_MAKE_DIR] = change_make_dir,
	[CMD_RENAME] = change_name,
	[CMD_MODE] = change_mode,
	[CMD_OWNER] = change_owner,
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
		return command_owns(run->core, job, creds) ? 0 : -EPERM;
	if (!(job_access(job, creds, run->core->options.daemon_uid) & 2))
		return -EACCES;
	if (needs[command->kind].shapes && job_acts_for_owner(job) && !command_owns(run->core, job, creds))
		return command_refuse(run, -EPERM, "only the owner may change a job that has his secrets or completes by itself");
	return 0;
}

static int set_network(struct core *c, const struct message *m)
{
	if (!command_privileged(c, m->creds))
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
