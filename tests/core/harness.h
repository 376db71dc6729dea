/* The core with a null engine, a null mover, a store in memory and a clock that the test turns.
 * A test is a list of messages and what is expected: answers, orders, saves.
 */
#pragma once

#include "base/buf.h"
#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SENT_MAX 4096

struct asked {
	struct reply reply;
	bool answered;
	int err;
	struct answer answer;
};

struct rig {
	struct config config;
	struct store *store;
	struct blobs *blobs;
	struct queue *queue;
	struct core *core;
	char directory[64];
	struct moment moment;
	/* What the core sent, oldest first; the test takes them. */
	struct fetch *fetches[SENT_MAX];
	size_t nfetches;
	uint64_t last_fetch;
	uint64_t ceased[SENT_MAX];
	size_t nceased;
	uint64_t wanted_id, wanted;
	struct order *orders[SENT_MAX];
	size_t norders;
	uint64_t job_limit, class_limit[PRIORITY_MAX];
	uint64_t cancelled; /* the job whose orders were cancelled last */
	struct errand *errand; /* the one that was sent; the core sends no second one before it is back */
	unsigned changed; /* of the hooks, or'ed */
	int64_t deadline; /* as the last turn said */
	bool asleep; /* messages gather: the next turn is taken when the test says so */
};

extern int save_errno; /* 0, or what every save fails with */
extern unsigned copies_failing; /* so many file_copy are out of memory */

extern const struct creds *const user; /* uid 1000 */
extern const struct creds *const root;

int rig_setup(void **state);
int rig_teardown(void **state);
void rig_restart(struct rig *rig); /* the process was killed and started again; the staging area stays */
void rig_pass(struct rig *rig, int64_t seconds); /* time passes, and the core has a turn */

void turn(struct rig *rig);
void wake(struct rig *rig); /* from `asleep`: all that has gathered in one turn */
/* Sends, takes a turn, and gives the answer's errno. */
int ask_mkdir(struct rig *rig, const char *name, const struct creds *creds, uint64_t *ret_serial);
/* Without a turn. */
void begin_mkdir(struct rig *rig, struct asked *asked, const char *name, const struct creds *creds);
int ask_verb(struct rig *rig, uint64_t serial, enum job_event verb, const struct creds *creds);
int ask_add(struct rig *rig, uint64_t serial, const char *lines, const struct creds *creds);
int ask_set(struct rig *rig, uint64_t serial, const char *prop, const char *text, const struct creds *creds);
int ask_command(struct rig *rig, uint64_t serial, const struct command *command, const struct creds *creds);
/* Sends a verb whose answer comes later. */
void begin_verb(struct rig *rig, struct asked *asked, uint64_t serial, enum job_event verb, const struct creds *creds);
void begin_wait(struct rig *rig, struct asked *asked, uint64_t serial, const struct wait *wait);

enum job_state state_of(struct rig *rig, uint64_t serial); /* JOB_STATE_MAX: not there */
const struct job *job_of(struct rig *rig, uint64_t serial);
const struct file *file_of(struct rig *rig, uint64_t serial, const char *path);
/* A job with these lines, resumed: its fetches are in rig->fetches. */
uint64_t running_job(struct rig *rig, const char *name, const char *lines);

struct fetch *take_fetch(struct rig *rig); /* the oldest; the test frees it */
struct order *take_order(struct rig *rig, enum order_kind kind); /* the oldest of that kind */
void send_begun(struct rig *rig, const struct fetch *f, uint64_t size, const char *validator);
void send_begun_with(struct rig *rig, const struct fetch *f, uint64_t size, uint64_t have);
void send_progress(struct rig *rig, const struct fetch *f, uint64_t have);
void send_ended(struct rig *rig, const struct fetch *f, enum outcome outcome, uint64_t have, uint64_t size);
/* Without a turn. */
void begin_ended(struct rig *rig, const struct fetch *f, enum outcome outcome, uint64_t have, uint64_t size);
void send_status(struct rig *rig, const struct fetch *f, int http_status, int64_t retry_after_s);
void send_back(struct rig *rig, struct order *o); /* done as it is, then a turn */
void send_network(struct rig *rig, bool online);
void send_errand_back(struct rig *rig, int status);
struct message *message_to(uint64_t serial, enum message_kind kind, struct asked *asked, const struct creds *creds);
/* The first fetch that was sent is done, SIZE bytes. */
void finish(struct rig *rig, uint64_t size);
void finish_stopped(struct rig *rig, uint64_t have);
void fail_with(struct rig *rig, int http_status);
/* A job with these lines, TRANSFERRED: each file is whole, WHOLE bytes, and synced. */
uint64_t transferred_job(struct rig *rig, const char *name, const char *lines);
#define WHOLE 10
/* ... and its COMPLETE is under way: what is ordered is PREPARE; DONE is answered when it has ended. */
uint64_t completing_job(struct rig *rig, struct asked *done, const char *name, const char *lines);
/* Likewise, of a job "a" of two files, "1" and "2", whose inodes SYNC has seen as 7 and 8. */
uint64_t completing_seen(struct rig *rig, struct asked *done);
/* A job with one file and property NAME set to VALUE, resumed. */
uint64_t running_with(struct rig *rig, const char *job_name, const char *name, const char *value);
/* PREPARE and PLACE as a mover does them that succeeds; ERR: but the first file. */
void place_all(struct rig *rig, int err);
/* Of what PREPARE was sent for only the first file comes back prepared, and is placed. */
void place_first(struct rig *rig, struct order *prepare);
/* All is placed, and the COMPLETE that waits as DONE is answered well. */
void place_whole(struct rig *rig, struct asked *done);
/* Does SYNC and DROP orders as they come until there are none. */
void sync_all(struct rig *rig);
