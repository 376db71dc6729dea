/* Requests given to the core. See core/message.h for the reply's contract.
 *
 * A parked request must answer INTERRUPT, or its reader cannot even be killed; and libfuse calls the
 * interrupt function with the request locked, perhaps from within fuse_req_interrupt_func itself, so
 * it may not answer. Hence: the wait's id is registered while the request is still ours, the function
 * only sends that id, and the core asks `abandoned` before it parks.
 */
#include "fs/private.h"

#include <errno.h>
#include <stdlib.h>

static void ask_answer(struct reply *r, int err, const struct answer *answer)
{
	struct ask *a = container_of(r, struct ask, reply);

	a->done(a, err, answer);
}

static bool ask_abandoned(struct reply *r)
{
	return fuse_req_interrupted(container_of(r, struct ask, reply)->req);
}

struct ask *ask_new(fuse_req_t req, struct handle *h, struct place place,
	void (*done)(struct ask *a, int err, const struct answer *answer))
{
	struct ask *a = calloc(1, sizeof(*a));

	if (!a) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	*a = (struct ask) {
		.reply = { .answer = ask_answer },
		.req = req,
		.fs = fs_of(req),
		.done = done,
		.handle = h ? handle_get(h) : NULL,
		.place = place,
	};
	return a;
}

void ask_free(struct ask *a)
{
	if (a->handle)
		handle_put(a->handle);
	free(a->path);
	free(a);
}

void ask_fail(struct ask *a, int err)
{
	fuse_reply_err(a->req, -err);
	ask_free(a);
}

void ask_send(struct ask *a, struct message *m)
{
	m->serial = a->place.serial;
	m->reply = &a->reply;
	core_send(a->fs->core, m);
}

void ask_command(struct ask *a, const struct creds *creds, struct command *command)
{
	struct message *m = message_new(MSG_COMMAND);

	if (!m) {
		command_release(command);
		ask_fail(a, -ENOMEM);
		return;
	}
	m->command = *command;
	m->creds = creds_copy(creds);
	if (!m->creds) {
		message_free(m);
		ask_fail(a, -ENOMEM);
		return;
	}
	ask_send(a, m);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	struct message *m = message_new(MSG_INTERRUPT);

	/* Out of memory: the reader waits on for what he asked for. */
	if (!m)
		return;
	m->wait.id = (uintptr_t)data;
	core_send(fs_of(req)->core, m);
}

void ask_wait(struct ask *a, struct wait wait)
{
	struct message *m = message_new(MSG_WAIT);

	if (!m) {
		ask_fail(a, -ENOMEM);
		return;
	}
	/* Parked again the id stays: an interrupt between two parkings finds nobody, but `abandoned`
	 * is asked before the second. */
	if (a->wait_id == 0) {
		a->wait_id = core_wait_id(a->fs->core);
		a->reply.abandoned = ask_abandoned;
		fuse_req_interrupt_func(a->req, on_interrupt, (void *)(uintptr_t)a->wait_id);
	}
	wait.id = a->wait_id;
	m->wait = wait;
	ask_send(a, m);
}

void done_err(struct ask *a, int err, const struct answer *answer)
{
	ask_fail(a, err);
}

void done_write(struct ask *a, int err, const struct answer *answer)
{
	if (err < 0) {
		ask_fail(a, err);
		return;
	}
	fuse_reply_write(a->req, a->size);
	ask_free(a);
}
