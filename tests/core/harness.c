#include "harness.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct creds user_creds = {.uid = 1000, .gid = 1000, .umask = 022};
static const struct creds root_creds = {.umask = 022};
const struct creds *const user = &user_creds;
const struct creds *const root = &root_creds;

/* --- null ports ------------------------------------------------------------------------------- */

static void port_fetch(void *arg, struct fetch *f)
{
	struct rig *rig = arg;

	assert_true(rig->nfetches < SENT_MAX);
	rig->fetches[rig->nfetches++] = f;
	rig->last_fetch = f->id;
}

/* The engine ignores what it is told of a transfer before it has it; ids ascend. */
static void assert_known(const struct rig *rig, uint64_t id)
{
	assert_true(id <= rig->last_fetch);
}

static void port_cease(void *arg, uint64_t id)
{
	struct rig *rig = arg;

	assert_known(rig, id);
	rig->ceased[rig->nceased++] = id;
}

static void port_want(void *arg, uint64_t id, uint64_t offset)
{
	struct rig *rig = arg;

	assert_known(rig, id);
	rig->wanted_id = id;
	rig->wanted = offset;
}

static void port_prioritise(void *arg, uint64_t serial, enum job_priority priority)
{
}

static void port_limit_all(void *arg, uint64_t rate, bool exempt)
{
}

static void port_limit_class(void *arg, enum job_priority priority, uint64_t rate)
{
	struct rig *rig = arg;

	rig->class_limit[priority] = rate;
}

static void port_limit_job(void *arg, uint64_t serial, uint64_t rate)
{
	struct rig *rig = arg;

	rig->job_limit = rate;
}

static void port_order(void *arg, struct order *o)
{
	struct rig *rig = arg;

	assert_true(rig->norders < SENT_MAX);
	rig->orders[rig->norders++] = o;
}

static void port_cancel_orders(void *arg, uint64_t serial)
{
	struct rig *rig = arg;

	rig->cancelled = serial;
}

static void port_errand(void *arg, struct errand *e)
{
	struct rig *rig = arg;

	assert_null(rig->errand);
	rig->errand = e;
}

static void hook_changed(void *arg, uint64_t serial, const char *name, unsigned what)
{
	struct rig *rig = arg;

	rig->changed |= what;
}

static struct moment rig_moment(void *arg)
{
	return ((struct rig *)arg)->moment;
}

/* --- a disk that fails ------------------------------------------------------------------------- */

int save_errno;
int __real_store_commit(struct store *s);
int __wrap_store_commit(struct store *s);

int __wrap_store_commit(struct store *s)
{
	if (!save_errno)
		return __real_store_commit(s);
	store_rollback(s);
	return save_errno;
}

/* --- memory that fails ------------------------------------------------------------------------- */

unsigned copies_failing;
int __real_file_copy(const struct file *f, struct file *ret);
int __wrap_file_copy(const struct file *f, struct file *ret);

int __wrap_file_copy(const struct file *f, struct file *ret)
{
	if (!copies_failing)
		return __real_file_copy(f, ret);
	copies_failing--;
	return -ENOMEM;
}

/* --- setting up ------------------------------------------------------------------------------- */

static void start(struct rig *rig)
{
	const struct core_ports ports = {
		.engine = rig, .mover = rig, .runner = rig, .fetch = port_fetch, .cease = port_cease, .want = port_want,
		.prioritise = port_prioritise, .limit_all = port_limit_all, .limit_class = port_limit_class,
		.limit_job = port_limit_job, .order = port_order, .cancel_orders = port_cancel_orders,
		.errand = port_errand,
	};
	const struct core_hooks hooks = {.changed = hook_changed, .arg = rig};
	struct core_options options = {
		.config = &rig->config, .blobs = rig->blobs, .moment = rig_moment, .moment_arg = rig, .seed = 1,
		.mountpoint = "/mnt", .destination = "/srv",
	};
	char path[128];

	snprintf(path, sizeof(path), "%s/queue.db", rig->directory);
	assert_return_code(store_open(path, &rig->store), 0);
	assert_return_code(queue_new(64, &rig->queue), 0);
	options.store = rig->store;
	options.queue = rig->queue;
	assert_return_code(store_load(rig->store, 0, rig->queue, &options.next_serial), 0);
	assert_return_code(core_new(&options, &rig->core), 0);
	assert_return_code(core_recover(rig->core), 0);
	core_set_ports(rig->core, &ports);
	core_set_hooks(rig->core, &hooks);
	turn(rig);
}

static void forget_sent(struct rig *rig)
{
	while (rig->nfetches)
		fetch_free(rig->fetches[--rig->nfetches]);
	while (rig->norders)
		order_free(rig->orders[--rig->norders]);
	errand_free(take_ptr(rig->errand));
	rig->nceased = 0;
}

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	pid_t pid;

	assert_non_null(rig);
	log_set_level(LOG_LEVEL_ERROR);
	strcpy(rig->directory, "/tmp/xferfs-core-XXXXXX");
	assert_non_null(mkdtemp(rig->directory));
	assert_return_code(config_init(&rig->config), 0);
	rig->moment = (struct moment){.now = 1000 * NSEC_PER_SEC, .wall_ms = INT64_C(1700000000000)};
	assert_return_code(blobs_open(rig->directory, &rig->blobs, &pid), 0);
	start(rig);
	*state = rig;
	return 0;
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;
	char command[128];

	save_errno = 0;
	copies_failing = 0;
	core_free(rig->core);
	forget_sent(rig);
	store_close(rig->store);
	blobs_close(rig->blobs);
	config_release(&rig->config);
	snprintf(command, sizeof(command), "rm -rf %s", rig->directory);
	assert_int_equal(system(command), 0);
	free(rig);
	return 0;
}

void rig_restart(struct rig *rig)
{
	core_free(rig->core);
	forget_sent(rig);
	store_close(rig->store);
	start(rig);
}

/* Once all is done that is due the loop sleeps: it never turns round for something that it waits for. */
void turn(struct rig *rig)
{
	unsigned turns = 0;

	if (rig->asleep)
		return;
	do
		rig->deadline = core_turn(rig->core);
	while (rig->deadline <= rig->moment.now && ++turns < 4);
	assert_true(rig->deadline > rig->moment.now);
}

void wake(struct rig *rig)
{
	rig->asleep = false;
	turn(rig);
}

void rig_pass(struct rig *rig, int64_t seconds)
{
	rig->moment.now += seconds * NSEC_PER_SEC;
	rig->moment.wall_ms += seconds * 1000;
	turn(rig);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void note_answer(struct reply *r, int err, const struct answer *answer)
{
	struct asked *a = container_of(r, struct asked, reply);

	assert_false(a->answered);
	a->answered = true;
	a->err = err;
	a->answer = *answer;
}

static void prepare(struct asked *asked)
{
	*asked = (struct asked){.reply = {.answer = note_answer}};
}

struct message *message_to(uint64_t serial, enum message_kind kind, struct asked *asked, const struct creds *creds)
{
	struct message *m = message_new(kind);

	assert_non_null(m);
	prepare(asked);
	m->serial = serial;
	m->reply = &asked->reply;
	m->creds = creds ? creds_copy(creds) : NULL;
	return m;
}

void begin_mkdir(struct rig *rig, struct asked *asked, const char *name, const struct creds *creds)
{
	struct message *m = message_to(0, MSG_MKDIR, asked, creds);

	m->name = strdup(name);
	core_send(rig->core, m);
}

int ask_mkdir(struct rig *rig, const char *name, const struct creds *creds, uint64_t *ret_serial)
{
	struct asked asked;

	begin_mkdir(rig, &asked, name, creds);
	turn(rig);
	assert_true(asked.answered);
	if (ret_serial)
		*ret_serial = asked.answer.serial;
	return asked.err;
}

/* Takes what COMMAND points to. */
int ask_command(struct rig *rig, uint64_t serial, const struct command *command, const struct creds *creds)
{
	struct asked asked;
	struct message *m = message_to(serial, MSG_COMMAND, &asked, creds);

	m->command = *command;
	core_send(rig->core, m);
	turn(rig);
	assert_true(asked.answered);
	return asked.err;
}

void begin_verb(struct rig *rig, struct asked *asked, uint64_t serial, enum job_event verb, const struct creds *creds)
{
	struct message *m = message_to(serial, MSG_COMMAND, asked, creds);

	m->command.kind = CMD_VERB;
	m->command.verb = verb;
	core_send(rig->core, m);
	turn(rig);
}

int ask_verb(struct rig *rig, uint64_t serial, enum job_event verb, const struct creds *creds)
{
	struct asked asked;

	begin_verb(rig, &asked, serial, verb, creds);
	sync_all(rig);
	assert_true(asked.answered);
	return asked.err;
}

int ask_add(struct rig *rig, uint64_t serial, const char *lines, const struct creds *creds)
{
	const struct addline_rules rules = {.schemes = "http https", .ranges_max = 500, .size_max = LIMIT_MAX};
	struct command command = {.kind = CMD_ADD};
	char *reason = NULL;
	int r = addline_parse(lines, strlen(lines), &rules, &command.additions, &reason);

	free(reason);
	return r < 0 ? r : ask_command(rig, serial, &command, creds);
}

int ask_set(struct rig *rig, uint64_t serial, const char *prop, const char *text, const struct creds *creds)
{
	const struct command command = {.kind = CMD_SET, .prop = prop_find(prop), .text = strdup(text)};

	assert_non_null(command.prop);
	return ask_command(rig, serial, &command, creds);
}

void begin_wait(struct rig *rig, struct asked *asked, uint64_t serial, const struct wait *wait)
{
	struct message *m = message_to(serial, MSG_WAIT, asked, NULL);

	m->wait = *wait;
	if (!m->wait.id)
		m->wait.id = core_wait_id(rig->core);
	if (!m->wait.deadline)
		m->wait.deadline = INT64_MAX;
	core_send(rig->core, m);
	turn(rig);
}

/* --- looking ---------------------------------------------------------------------------------- */

const struct job *job_of(struct rig *rig, uint64_t serial)
{
	return queue_find(rig->queue, serial);
}

enum job_state state_of(struct rig *rig, uint64_t serial)
{
	const struct job *job = job_of(rig, serial);

	return job ? job->state : JOB_STATE_MAX;
}

const struct file *file_of(struct rig *rig, uint64_t serial, const char *path)
{
	const struct job *job = job_of(rig, serial);

	return job ? file_now(job->files, files_find_path(job->files, path)) : NULL;
}

uint64_t running_job(struct rig *rig, const char *name, const char *lines)
{
	uint64_t serial;

	assert_int_equal(ask_mkdir(rig, name, user, &serial), 0);
	assert_int_equal(ask_add(rig, serial, lines, user), 0);
	assert_int_equal(ask_verb(rig, serial, EV_RESUME, user), 0);
	return serial;
}

/* --- the other side --------------------------------------------------------------------------- */

struct fetch *take_fetch(struct rig *rig)
{
	struct fetch *f;

	assert_true(rig->nfetches > 0);
	f = rig->fetches[0];
	memmove(rig->fetches, rig->fetches + 1, --rig->nfetches * sizeof(*rig->fetches));
	return f;
}

struct order *take_order(struct rig *rig, enum order_kind kind)
{
	for (size_t i = 0; i < rig->norders; i++) {
		struct order *o = rig->orders[i];

		if (o->mail.kind != kind)
			continue;
		memmove(rig->orders + i, rig->orders + i + 1, (--rig->norders - i) * sizeof(*rig->orders));
		return o;
	}
	fail_msg("no order of kind %d", kind);
	return NULL;
}

/* A real engine has written it. */
static void write_blob(struct rig *rig, const struct fetch *f, uint64_t have)
{
	int fd = -1;

	assert_return_code(blob_open(rig->blobs, f->serial, f->file, f->generation, true, &fd), 0);
	assert_return_code(ftruncate(fd, (off_t)have), 0);
	close(fd);
}

static struct report *report_new(enum report_kind kind, const struct fetch *f)
{
	struct report *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->mail.kind = kind;
	r->id = f->id;
	r->size = SIZE_UNKNOWN;
	r->mtime = MTIME_UNKNOWN;
	r->retry_after_s = -1;
	return r;
}

static void deliver(struct rig *rig, struct mail *mail)
{
	mailbox_send(core_mailbox(rig->core), mail);
	turn(rig);
}

void send_begun(struct rig *rig, const struct fetch *f, uint64_t size, const char *validator)
{
	struct report *r = report_new(REPORT_BEGUN, f);

	r->size = size;
	r->validator = validator ? strdup(validator) : NULL;
	deliver(rig, &r->mail);
}

static void send_have(struct rig *rig, const struct fetch *f, struct report *r, uint64_t have)
{
	write_blob(rig, f, have);
	r->bytes_moved = have;
	assert_return_code(extents_add(&r->have, 0, have), 0);
	deliver(rig, &r->mail);
}

void send_begun_with(struct rig *rig, const struct fetch *f, uint64_t size, uint64_t have)
{
	struct report *r = report_new(REPORT_BEGUN, f);

	r->size = size;
	send_have(rig, f, r, have);
}

void send_progress(struct rig *rig, const struct fetch *f, uint64_t have)
{
	send_have(rig, f, report_new(REPORT_PROGRESS, f), have);
}

void begin_ended(struct rig *rig, const struct fetch *f, enum outcome outcome, uint64_t have, uint64_t size)
{
	struct report *r = report_new(REPORT_ENDED, f);

	write_blob(rig, f, have);
	r->outcome = outcome;
	r->bytes_moved = have;
	r->size = size;
	if (have)
		assert_return_code(extents_add(&r->have, 0, have), 0);
	mailbox_send(core_mailbox(rig->core), &r->mail);
}

void send_ended(struct rig *rig, const struct fetch *f, enum outcome outcome, uint64_t have, uint64_t size)
{
	begin_ended(rig, f, outcome, have, size);
	turn(rig);
}

void send_status(struct rig *rig, const struct fetch *f, int http_status, int64_t retry_after_s)
{
	struct report *r = report_new(REPORT_ENDED, f);

	r->outcome = OUTCOME_HTTP_STATUS;
	r->http_status = http_status;
	r->retry_after_s = retry_after_s;
	deliver(rig, &r->mail);
}

void send_back(struct rig *rig, struct order *o)
{
	deliver(rig, &o->mail);
}

void send_network(struct rig *rig, bool online)
{
	struct message *m = message_new(MSG_NETWORK);

	m->online = online;
	core_send(rig->core, m);
	turn(rig);
}

void send_errand_back(struct rig *rig, int status)
{
	struct errand *e = take_ptr(rig->errand);

	assert_non_null(e);
	e->status = status;
	deliver(rig, &e->mail);
}

void finish(struct rig *rig, uint64_t size)
{
	struct fetch *f = take_fetch(rig);

	send_ended(rig, f, OUTCOME_DONE, size, size);
	fetch_free(f);
}

void finish_stopped(struct rig *rig, uint64_t have)
{
	struct fetch *f = take_fetch(rig);

	send_ended(rig, f, OUTCOME_STOPPED, have, SIZE_UNKNOWN);
	fetch_free(f);
}

void fail_with(struct rig *rig, int http_status)
{
	struct fetch *f = take_fetch(rig);

	send_status(rig, f, http_status, -1);
	fetch_free(f);
}

uint64_t transferred_job(struct rig *rig, const char *name, const char *lines)
{
	uint64_t job = running_job(rig, name, lines);

	for (size_t n = job_of(rig, job)->tally.files; n > 0; n--)
		finish(rig, WHOLE);
	sync_all(rig);
	assert_int_equal(state_of(rig, job), JOB_TRANSFERRED);
	return job;
}

uint64_t completing_job(struct rig *rig, struct asked *done, const char *name, const char *lines)
{
	uint64_t job = transferred_job(rig, name, lines);

	begin_verb(rig, done, job, EV_COMPLETE, user);
	return job;
}

uint64_t completing_seen(struct rig *rig, struct asked *done)
{
	uint64_t job = running_job(rig, "a", "http://localhost/1\nhttp://localhost/2");
	struct order *o;

	finish(rig, WHOLE);
	finish(rig, WHOLE);
	o = take_order(rig, ORDER_SYNC);
	assert_int_equal(o->nfiles, 2);
	o->files[0].ino = 7;
	o->files[1].ino = 8;
	send_back(rig, o);
	begin_verb(rig, done, job, EV_COMPLETE, user);
	return job;
}

uint64_t running_with(struct rig *rig, const char *job_name, const char *name, const char *value)
{
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, job_name, user, &job), 0);
	assert_int_equal(ask_set(rig, job, name, value, user), 0);
	assert_int_equal(ask_add(rig, job, "http://localhost/1", user), 0);
	assert_int_equal(ask_verb(rig, job, EV_RESUME, user), 0);
	return job;
}

void place_all(struct rig *rig, int err)
{
	struct order *o = take_order(rig, ORDER_PREPARE);

	for (size_t i = 0; i < o->nfiles; i++) {
		o->files[i].dev = 1;
		o->files[i].ino = 100 + i;
	}
	send_back(rig, o);
	o = take_order(rig, ORDER_PLACE);
	for (size_t i = 0; i < o->nfiles; i++) {
		assert_int_equal(o->files[i].ino, 100 + i);
		o->files[i].done = !(err && i == 0);
		o->files[i].err = err && i == 0 ? err : 0;
	}
	o->err = err;
	send_back(rig, o);
}

void place_first(struct rig *rig, struct order *prepare)
{
	struct order *o;

	prepare->files[0].ino = 7;
	send_back(rig, prepare);
	o = take_order(rig, ORDER_PLACE);
	assert_int_equal(o->nfiles, 1);
	o->files[0].done = true;
	send_back(rig, o);
}

void place_whole(struct rig *rig, struct asked *done)
{
	place_all(rig, 0);
	sync_all(rig);
	assert_true(done->answered);
	assert_int_equal(done->err, 0);
}

void sync_all(struct rig *rig)
{
	for (size_t i = 0; i < rig->norders;) {
		struct order *o = rig->orders[i];

		if (o->mail.kind != ORDER_SYNC && o->mail.kind != ORDER_DROP) {
			i++;
			continue;
		}
		memmove(rig->orders + i, rig->orders + i + 1, (--rig->norders - i) * sizeof(*rig->orders));
		send_back(rig, o);
		i = 0;
	}
}
