/* Who may have a connection: the queue of transfers that wait, and the limits per host and in all.
 * Shared by the core thread and the workers; one short lock.
 *
 * gate_take gives the transfer that is next (net/place.h says which) at a host that has room. A worker
 * that has lost a connection asks for the next itself; a new transfer for which there is room wakes the
 * worker that has least to do. Where there is no room for one with a better claim, another gives its
 * connection up: a file one of its several, at its next tick (gate_wanted), else a transfer is told to
 * leave (gate_relieve), one that can go on later if there is one, though not before it has run for GATE_STAY.
 *
 * Orders to a running transfer (cease, leave, want, prioritise) are marks on the transfer, so giving
 * them needs no memory and cannot fail.
 */
#pragma once

#include "net/engine.h"
#include "net/place.h"

#include "base/clock.h"

struct gate;

#define GATE_STAY (3 * NSEC_PER_SEC)

enum { ORDER_CEASE = 1 << 0, ORDER_WANT = 1 << 1, ORDER_PRIORITY = 1 << 2, ORDER_LEAVE = 1 << 3 };

struct gate_member {                    /* the part of a worker that belongs to the gate */
	struct tickets orders;          /* lock */
	unsigned running, invited;      /* lock: transfers it has; new ones it was woken for */
};

int gate_new(unsigned connections, unsigned per_host, struct gate **ret);
void gate_free(struct gate *g);

/* Enters a new transfer (id, serial, uid, priority, transfer are set) for ORIGIN; its priority is from then
 * on that of all transfers of its job. *ret_wake: the worker of WORKERS to wake, or NULL. -ENOMEM. */
int gate_enter(struct gate *g, struct ticket *t, const char *origin, struct worker *const *workers, size_t nworkers,
	struct worker **ret_wake);
/* The next transfer for worker W, with one connection of its host; NULL: none now. With INVITED only
 * as many as W was woken for. */
struct transfer *gate_take(struct gate *g, struct worker *w, bool invited, int64_t now);
/* One more connection for a running transfer; refused while another transfer could use it. */
bool gate_more(struct gate *g, struct ticket *t);
void gate_less(struct gate *g, struct ticket *t);
/* Whether a transfer waits that has a better claim than T to one of T's several connections, or another
 * job was denied more though it has fewer. */
bool gate_wanted(struct gate *g, struct ticket *t);
/* Whether T can be stopped and go on later from where it is; false until said. */
void gate_set_movable(struct gate *g, struct ticket *t, bool movable);
/* The host of T, which runs with one connection, refuses that one. True: it serves others of ours, so as
 * many as these are taken for what it allows, until it is tried with one more. T, to which nothing has
 * happened yet, is then to go back to those that wait: gate_back, after which it is no more the worker's.
 * That gives the transfer itself, taken out, when it was told to cease meanwhile; else NULL. */
bool gate_refused(struct gate *g, struct ticket *t, int64_t now);
struct transfer *gate_back(struct gate *g, struct ticket *t);
/* Whether another transfer at T's host has ended well since then: the host may still count it. */
bool gate_served(struct gate *g, struct ticket *t, int64_t since);
/* Tells transfers to leave for others, at most one per place and call; for workers to call at each
 * tick, it does its work once. Calls WAKE, under the lock, for the worker of each. Gives how many
 * connections there are more than before, for the caller to take. */
unsigned gate_relieve(struct gate *g, int64_t now, void (*wake)(struct worker *w));
/* The transfer ends: forgets it, with its last connection. SERVED_AT: when it ended well; 0: it did not. */
void gate_leave(struct gate *g, struct ticket *t, int64_t served_at);
/* Any waiting transfer, taken out, when the engine stops; NULL: none. */
struct transfer *gate_drain(struct gate *g);

/* Gives an order. The transfer itself, taken out, when it had not begun and ORDER is CEASE; *ret_wake:
 * its worker otherwise; both NULL: no such transfer. */
struct transfer *gate_order(struct gate *g, uint64_t id, unsigned order, uint64_t value, struct worker **ret_wake);
/* To all transfers of a job. Calls WAKE, under the lock, for the worker of each running one. */
void gate_prioritise(struct gate *g, uint64_t serial, enum job_priority priority, void (*wake)(struct worker *w));
/* The next transfer of W with orders, which are given and cleared; NULL: none. */
struct transfer *gate_orders(struct gate *g, struct worker *w, unsigned *ret_orders, uint64_t *ret_want,
	enum job_priority *ret_priority);
void gate_assert_sane(struct gate *g);
