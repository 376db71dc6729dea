/* The loop and the turn. What a turn is stands in core.h; how drafts become the truth in commit.c. */
#include "core/state.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- messages --------------------------------------------------------------------------------- */

struct message *message_new(enum message_kind kind)
{
	struct message *m = calloc(1, sizeof(*m));

	if (m)
		m->mail.kind = kind;
	return m;
}

void command_release(struct command *c)
{
	additions_release(&c->additions);
	free(take_ptr(c->text));
	creds_free(take_ptr(c->owner));
}

void message_free(struct message *m)
{
	if (!m)
		return;
	creds_free(m->creds);
	free(m->name);
	command_release(&m->command);
	free(m);
}

void core_send(struct core *c, struct message *m)
{
	mailbox_send(&c->mailbox, &m->mail);
}

uint64_t core_wait_id(struct core *c)
{
	return atomic_fetch_add(&c->last_wait_id, 1) + 1;
}

/* --- reading ---------------------------------------------------------------------------------- */

const struct queue *core_read_lock(struct core *c)
{
	pthread_mutex_lock(&c->read_lock);
	return c->queue;
}

void core_read_unlock(struct core *c)
{
	pthread_mutex_unlock(&c->read_lock);
}

void core_refuse(struct core *c, uint64_t serial, const char *sentence)
{
	core_read_lock(c);
	queue_set_refused(c->queue, serial, sentence);
	core_read_unlock(c);
}

void core_refuse_unsaved(struct core *c, uint64_t serial, int err)
{
	cleanup_free char *sentence = NULL;

	if (asprintf(&sentence, "the queue could not be saved (%s)", core_unsaved(err)) < 0)
		sentence = NULL;
	core_refuse(c, serial, sentence ? sentence : "the queue could not be saved");
}

const struct config *core_config(const struct core *c)
{
	return c->options.config;
}

void core_learn_user(struct core *c, uid_t uid)
{
	users_learn(c->users, uid);
}

uid_t core_daemon_uid(const struct core *c)
{
	return c->options.daemon_uid;
}

/* --- events ----------------------------------------------------------------------------------- */

void core_log_event(struct run *run, const char *what, const char *format, ...)
{
	struct core *c = run->core;
	const struct job *job = run_job(run);
	struct note *n = calloc(1, sizeof(*n));
	va_list args;

	if (!n)
		return; /* an event may be lost, a change may not */
	n->serial = run->serial;
	n->what = what;
	n->job = strdup(job ? job->name : "-");
	va_start(args, format);
	if (vasprintf(&n->details, format, args) < 0)
		n->details = NULL;
	va_end(args);
	*c->notes_tail = n;
	c->notes_tail = &n->next;
}

/* --- the turn --------------------------------------------------------------------------------- */

static bool is_command(unsigned kind)
{
	return kind == MSG_MKDIR || kind == MSG_COMMAND;
}

/* What is not a command: it happened, or it only asks. */
static void take_fact(struct core *c, struct mail *mail)
{
	struct message *m = container_of(mail, struct message, mail);

	if (mail->kind >= MAIL_MOVER && mail->kind < MAIL_ENGINE) {
		struct order *o = container_of(mail, struct order, mail);

		order_done(c, o);
		order_free(o);
		return;
	}
	if (mail->kind >= MAIL_ENGINE && mail->kind < MAIL_CORE) {
		struct report *r = container_of(mail, struct report, mail);

		report_take(c, r);
		report_free(r);
		return;
	}
	if (mail->kind == HOST_ERRAND) {
		struct errand *e = container_of(mail, struct errand, mail);

		errand_done(c, e);
		errand_free(e);
		return;
	}
	if (mail->kind == MSG_OPEN_STAGED || mail->kind == MSG_WAIT)
		waiters_park(c, m);
	else if (mail->kind == MSG_INTERRUPT)
		waiters_interrupt(c, m->wait.id);
	else if (mail->kind == MSG_NETWORK) {
		limits_network(c, m->online);
	} else if (mail->kind == MSG_STOP)
		c->stopping = true;
	message_free(m);
}

/* Splits what came: facts are taken at once, commands are given back in their order. */
static struct mail *take_facts(struct core *c, struct mail *list)
{
	struct mail *commands = NULL, **tail = &commands;

	while (list) {
		struct mail *mail = list;

		list = mail->next;
		mail->next = NULL;
		if (is_command(mail->kind)) {
			*tail = mail;
			tail = &mail->next;
		} else {
			take_fact(c, mail);
		}
	}
	return commands;
}

/* What follows from facts is a fact too: committed until nothing follows any more. */
static void commit_facts(struct core *c)
{
	bool acted;

	do {
		for (struct run *run = c->touched; run; run = run->next_touched)
			if (run->unsettled) {
				run->unsettled = false;
				run_settle(run);
			}
		acted = c->dirty;
	} while (core_commit(c, false) == 0 && acted);
}

static void take_commands(struct core *c, struct mail *list)
{
	while (list) {
		struct message *m = container_of(list, struct message, mail);

		list = list->next;
		if (c->save_owed) {
			core_refuse_unsaved(c, m->serial, c->save_owed);
			core_owe(c, m->reply, c->save_owed, NULL, NULL, NULL);
		} else if (c->stopping) {
			core_owe(c, m->reply, -ENODEV, NULL, NULL, NULL);
		} else {
			command_decide(c, m);
		}
		message_free(m);
	}
}

static void advance(struct core *c)
{
	struct run *list = c->touched;

	c->touched = NULL;
	while (list) {
		struct run *run = list;

		list = run->next_touched;
		run->touched = false;
		run_advance(run);
	}
}

static void turn(struct core *c, struct mail *mail)
{
	struct mail *commands;
	int r;

	c->moment = c->options.moment(c->options.moment_arg);
	commands = take_facts(c, mail);
	timer_run(c);
	commit_facts(c);
	if (commands) {
		c->service_before = c->service;
		take_commands(c, commands);
		r = c->save_owed ? 0 : core_commit(c, true);
		core_answer_owed(c, r);
		commit_facts(c);
	}
	if (!c->stopping) {
		fetch_schedule(c);
		commit_facts(c);
	}
	advance(c);
	core_publish_service(c);
}

int64_t core_turn(struct core *c)
{
	turn(c, mailbox_take(&c->mailbox));
	return timer_next(c);
}

void core_run(struct core *c)
{
	turn(c, NULL);
	while (!c->stopping)
		turn(c, mailbox_wait(&c->mailbox, timer_next(c)));
	waiters_end(c);
	c->stopped = true;
}

/* --- lifecycle -------------------------------------------------------------------------------- */

static struct moment system_moment(void *arg)
{
	return clock_moment();
}

int core_new(const struct core_options *options, struct core **ret)
{
	const struct config *config = options->config;
	const struct sched_limits limits = {
		.window = config->connections,
		.per_job = config->connections_per_host * 4,
		.running_jobs = config->running_jobs,
	};
	struct core *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		queue_free(options->queue);
		return -ENOMEM;
	}
	c->options = *options;
	if (!c->options.moment)
		c->options.moment = system_moment;
	c->queue = options->queue;
	c->next_serial = c->saved_serial = options->next_serial;
	c->random = options->seed;
	c->moment = c->options.moment(c->options.moment_arg);
	c->notes_tail = &c->notes;
	c->owed_tail = &c->owed;
	c->save_at = c->limits_at = c->watch_at = INT64_MAX;
	for (int p = 0; p < PRIORITY_MAX; p++)
		c->class_rate[p] = LIMIT_MAX;
	c->service.online = true;
	c->service.started = c->moment.wall_ms / 1000;
	c->service_changed = true;
	pthread_mutex_init(&c->read_lock, NULL);
	mailbox_init(&c->mailbox, NULL, NULL);
	r = users_new(&c->users);
	if (r >= 0)
		r = sched_new(&limits, &c->sched);
	if (r >= 0)
		r = timetable_parse(config->schedule ? config->schedule : "", &c->timetable, NULL);
	if (r < 0) {
		core_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct mailbox *core_mailbox(struct core *c)
{
	return &c->mailbox;
}

void core_set_ports(struct core *c, const struct core_ports *ports)
{
	c->ports = *ports;
	c->limits_at = 0; /* the first turn asks the timetable */
	ports->limit_all(ports->engine, c->options.config->limit, c->options.config->foreground_exempt);
}

void core_set_hooks(struct core *c, const struct core_hooks *hooks)
{
	c->hooks = *hooks;
}

/* The engine and the mover have stopped: what they said last is saved, nothing is sent any more. */
static void take_last_reports(struct core *c)
{
	struct mail *mail = mailbox_take(&c->mailbox);

	c->stopped = c->stopping = true;
	memset(&c->hooks, 0, sizeof(c->hooks));
	turn(c, mail);
	core_drop_drafts(c); /* what could not be saved */
	waiters_end(c);
	fetch_forget(c);
	while (c->runs)
		run_free(*(struct run **)c->runs);
}

void core_free(struct core *c)
{
	if (!c)
		return;
	take_last_reports(c);
	queue_free(c->queue);
	sched_free(c->sched);
	timetable_free(c->timetable);
	free(c->slots);
	table_release(&c->by_file);
	free(c->timers);
	free(c->forgotten);
	users_free(c->users);
	mailbox_release(&c->mailbox);
	pthread_mutex_destroy(&c->read_lock);
	free(c);
}
