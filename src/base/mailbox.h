/* A queue of messages to one thread, in the order sent.
 *
 * Any thread sends; only the owner takes. Sending gives the message away; who takes it frees it (each
 * kind of message says how). A message begins with a struct mail, so the owner finds its type by
 * `kind`; every layer numbers its kinds in a range of its own (MAIL_* below).
 *
 * Calling sequence: mailbox_init; mailbox_send ... / mailbox_wait or mailbox_take ...; the owner
 * empties it; mailbox_release. Nothing may be sent after mailbox_release.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* First kind of each layer's own enum. */
#define MAIL_MOVER 0x100  /* disk/mover.h: an order, done */
#define MAIL_ENGINE 0x200 /* net/engine.h: orders and reports */
#define MAIL_CORE 0x300   /* core/message.h */
#define MAIL_FS 0x400     /* fs/notify.h */
#define MAIL_HOST 0x500   /* host/runner.h: an errand, done */

struct mail {
	struct mail *next; /* mailbox */
	unsigned kind;
};

struct mailbox {
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	struct mail *head;         /* lock */
	struct mail **tail;        /* lock */
	void (*wake)(void *);      /* instead of the condition variable: for an owner that sleeps in */
	void *wake_arg;            /* something else (curl_multi_poll, epoll); called without the lock */
};

void mailbox_init(struct mailbox *box, void (*wake)(void *arg), void *arg);
void mailbox_release(struct mailbox *box);
void mailbox_send(struct mailbox *box, struct mail *mail); /* takes MAIL */
/* Several, linked by `next` to a NULL, in order, for the price of one. Takes. */
void mailbox_send_all(struct mailbox *box, struct mail *mail);
/* All that waits, oldest first, linked by `next`; NULL when empty. Does not block. Gives. */
struct mail *mailbox_take(struct mailbox *box);
/* The same, but sleeps until there is something or clock_now() reaches DEADLINE (INT64_MAX: for
 * ever); NULL when the deadline came first. Only for a box without a wake function. */
struct mail *mailbox_wait(struct mailbox *box, int64_t deadline);
/* Only the oldest one (for pools: several threads may take from one box). Blocks; NULL never. */
struct mail *mailbox_wait_one(struct mailbox *box);
