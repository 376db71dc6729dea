/* The list is built under the lock and taken whole: the owner pays one lock for a batch.
 *
 * Deadlines are of CLOCK_BOOTTIME, but condition variables know only MONOTONIC and REALTIME. The two
 * differ by the time spent in suspend, which can grow while the owner sleeps: then it wakes late by as
 * much. So a sleep is at most SLEEP_MAX, or a small part of what is left, after which the deadline is
 * looked at again: a suspend makes no wait longer than by that part, and an owner with nothing to do
 * for months does not wake up every few seconds.
 */
#include "base/mailbox.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#define SLEEP_MAX (10 * NSEC_PER_SEC)
#define SLEEP_PART 16

void mailbox_init(struct mailbox *box, void (*wake)(void *arg), void *arg)
{
	pthread_condattr_t attr;

	*box = (struct mailbox){ .wake = wake, .wake_arg = arg };
	box->tail = &box->head;
	pthread_mutex_init(&box->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&box->arrived, &attr);
	pthread_condattr_destroy(&attr);
}

void mailbox_release(struct mailbox *box)
{
	assert(!box->head);
	pthread_cond_destroy(&box->arrived);
	pthread_mutex_destroy(&box->lock);
}

void mailbox_send(struct mailbox *box, struct mail *mail)
{
	mail->next = NULL;
	mailbox_send_all(box, mail);
}

void mailbox_send_all(struct mailbox *box, struct mail *mail)
{
	struct mail *last = mail;
	bool first;

	while (last->next)
		last = last->next;
	pthread_mutex_lock(&box->lock);
	first = !box->head;
	*box->tail = mail;
	box->tail = &last->next;
	/* Within the lock: once the owner has the mail it may release the box. */
	if (!box->wake)
		pthread_cond_signal(&box->arrived);
	pthread_mutex_unlock(&box->lock);
	/* A box that was not empty has an owner who was woken already and has not looked yet. */
	if (box->wake && first)
		box->wake(box->wake_arg);
}

static struct mail *take_all(struct mailbox *box)
{
	struct mail *all = box->head;

	box->head = NULL;
	box->tail = &box->head;
	return all;
}

struct mail *mailbox_take(struct mailbox *box)
{
	struct mail *all;

	pthread_mutex_lock(&box->lock);
	all = take_all(box);
	pthread_mutex_unlock(&box->lock);
	return all;
}

/* Until about DEADLINE of clock_now(), or mail, or nothing at all. Called with the lock. */
static void sleep_until(struct mailbox *box, int64_t deadline, int64_t now)
{
	int64_t left = deadline - now, most = left / SLEEP_PART > SLEEP_MAX ? left / SLEEP_PART : SLEEP_MAX;
	int64_t sleep = left < most ? left : most;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += sleep / NSEC_PER_SEC;
	until.tv_nsec += sleep % NSEC_PER_SEC;
	if (until.tv_nsec >= NSEC_PER_SEC) {
		until.tv_sec++;
		until.tv_nsec -= NSEC_PER_SEC;
	}
	pthread_cond_timedwait(&box->arrived, &box->lock, &until);
}

struct mail *mailbox_wait(struct mailbox *box, int64_t deadline)
{
	struct mail *all;

	assert(!box->wake);
	pthread_mutex_lock(&box->lock);
	while (!box->head) {
		int64_t now;

		if (deadline == INT64_MAX) {
			pthread_cond_wait(&box->arrived, &box->lock);
			continue;
		}
		now = clock_now();
		if (now >= deadline)
			break;
		sleep_until(box, deadline, now);
	}
	all = take_all(box);
	pthread_mutex_unlock(&box->lock);
	return all;
}

struct mail *mailbox_wait_one(struct mailbox *box)
{
	struct mail *mail;

	assert(!box->wake);
	pthread_mutex_lock(&box->lock);
	while (!box->head)
		pthread_cond_wait(&box->arrived, &box->lock);
	mail = box->head;
	box->head = mail->next;
	if (!box->head)
		box->tail = &box->head;
	pthread_mutex_unlock(&box->lock);
	mail->next = NULL;
	return mail;
}
