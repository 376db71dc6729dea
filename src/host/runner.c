/* One thread starts commands and waits for them by pidfd. */
#include "host/runner.h"

#include "base/io.h"
#include "base/log.h"
#include "base/words.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	struct errand *errand;
	pid_t pid;
	int pidfd;
	struct child *next;
};

struct runner {
	struct mailbox box;
	struct mailbox *done;
	int wake;
	pthread_t thread;
	_Atomic bool stopping;
	struct child *children;  /* thread */
	struct errand *waiting;  /* thread; by mail.next, oldest first */
};

/* --- errands ---------------------------------------------------------------------------------- */

struct errand *errand_new(uint64_t serial)
{
	struct errand *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->mail.kind = HOST_ERRAND;
	e->serial = serial;
	e->environment = calloc(1, sizeof(*e->environment));
	if (e->environment)
		return e;
	free(e);
	return NULL;
}

void errand_free(struct errand *e)
{
	if (!e)
		return;
	creds_free(e->creds);
	free(e->command);
	words_free(e->environment);
	free(e);
}

int errand_setenv(struct errand *e, const char *name, const char *value)
{
	size_t n = 0;
	char **v;

	while (e->environment[n])
		n++;
	v = reallocarray(e->environment, n + 2, sizeof(*v));
	if (!v)
		return -ENOMEM;
	e->environment = v;
	v[n + 1] = NULL;
	if (asprintf(&v[n], "%s=%s", name, value) < 0) {
		v[n] = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* --- starting --------------------------------------------------------------------------------- */

#define SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int complete_environment(struct errand *e, char **ret_home)
{
	struct passwd pw, *found = NULL;
	char text[4096];
	int r = errand_setenv(e, "PATH", SEARCH_PATH);

	if (getpwuid_r(e->creds->uid, &pw, text, sizeof(text), &found) || !found) {
		*ret_home = strdup("/");
		return r;
	}
	*ret_home = strdup(pw.pw_dir);
	r = r < 0 ? r : errand_setenv(e, "HOME", pw.pw_dir);
	r = r < 0 ? r : errand_setenv(e, "USER", pw.pw_name);
	return r < 0 ? r : errand_setenv(e, "LOGNAME", pw.pw_name);
}

/* In the child, between fork and exec of a program with threads: system calls only. The raw ones for the
 * credentials, since glibc's wrappers would look for the threads that are not here. */
static void become(const struct errand *e, char **words, const char *home)
{
	const struct creds *c = e->creds;
	sigset_t none;
	int null;

	sigemptyset(&none);
	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		_exit(127);
	syscall(SYS_close_range, 3, ~0U, 0);
	if (geteuid() == 0 && (syscall(SYS_setgroups, c->ngroups, c->groups) < 0 ||
	    syscall(SYS_setresgid, c->gid, c->gid, c->gid) < 0 || syscall(SYS_setresuid, c->uid, c->uid, c->uid) < 0))
		_exit(127);
	umask(c->umask);
	if (chdir(home) < 0 && chdir("/") < 0)
		_exit(127);
	execvpe(words[0], words, e->environment);
	_exit(127);
}

/* Only root can become another user; what another user wants must not be done with the daemon's rights. */
static bool may_become(const struct creds *creds)
{
	return geteuid() == 0 || creds->uid == geteuid();
}

static pid_t start(struct errand *e)
{
	char **words = NULL;
	cleanup_free char *home = NULL;
	pid_t pid = -1;

	if (!may_become(e->creds))
		return -1;
	if (words_split(e->command, &words) < 0)
		return -1;
	if (complete_environment(e, &home) >= 0 && home)
		pid = fork();
	if (pid == 0)
		become(e, words, home);
	words_free(words);
	return pid;
}

/* --- the thread ------------------------------------------------------------------------------- */

static void give_back(struct runner *r, struct errand *e, int status)
{
	e->status = status;
	e->mail.next = NULL;
	mailbox_send(r->done, &e->mail);
}

static unsigned running_of(const struct runner *r, uid_t uid)
{
	unsigned n = 0;

	for (const struct child *c = r->children; c; c = c->next)
		n += c->errand->creds->uid == uid;
	return n;
}

static void launch(struct runner *r, struct errand *e)
{
	struct child *c = calloc(1, sizeof(*c));

	if (!c) {
		give_back(r, e, 127);
		return;
	}
	c->pid = start(e);
	if (c->pid < 0) {
		log_warning("notify command of job %llu cannot be started", (unsigned long long)e->serial);
		give_back(r, e, 127);
		free(c);
		return;
	}
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	c->errand = e;
	c->next = r->children;
	r->children = c;
}

/* Starts what may start; the others wait for one of the same user to end. */
static void launch_waiting(struct runner *r)
{
	struct mail *list = r->waiting ? &r->waiting->mail : NULL, *kept = NULL, **tail = &kept;

	while (list) {
		struct errand *e = container_of(list, struct errand, mail);

		list = list->next;
		e->mail.next = NULL;
		if (running_of(r, e->creds->uid) < RUNS_PER_USER) {
			launch(r, e);
			continue;
		}
		*tail = &e->mail;
		tail = &e->mail.next;
	}
	r->waiting = kept ? container_of(kept, struct errand, mail) : NULL;
}

static void take_mail(struct runner *r)
{
	struct mail *new, **tail;
	uint64_t n;

	/* First, or the wake of who sends in between would be taken and his mail be left. */
	(void)!read(r->wake, &n, sizeof(n));
	new = mailbox_take(&r->box);
	if (!new)
		return;
	if (!r->waiting) {
		r->waiting = container_of(new, struct errand, mail);
		return;
	}
	for (tail = &r->waiting->mail.next; *tail;)
		tail = &(*tail)->next;
	*tail = new;
}

static void reap(struct runner *r)
{
	for (struct child **at = &r->children; *at;) {
		struct child *c = *at;
		int status;

		if (waitpid(c->pid, &status, WNOHANG) != c->pid) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		if (c->pidfd >= 0)
			close(c->pidfd);
		give_back(r, c->errand, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		free(c);
	}
}

#define LOOK_AGAIN 1000 /* milliseconds: for what has no descriptor to poll */

static void wait_for_something(struct runner *r)
{
	struct pollfd wake = {.fd = r->wake, .events = POLLIN}, *fds;
	int timeout = -1;
	nfds_t n = 1;

	for (const struct child *c = r->children; c; c = c->next)
		n++;
	fds = calloc(n, sizeof(*fds));
	if (!fds) {
		poll(&wake, 1, LOOK_AGAIN);
		return;
	}
	fds[0] = wake;
	n = 1;
	for (const struct child *c = r->children; c; c = c->next) {
		if (c->pidfd < 0)
			timeout = LOOK_AGAIN;
		fds[n++] = (struct pollfd){.fd = c->pidfd, .events = POLLIN};
	}
	poll(fds, n, timeout);
	free(fds);
}

static void *run(void *arg)
{
	struct runner *r = arg;

	pthread_setname_np(pthread_self(), "xferfs-notify");
	while (!r->stopping) {
		wait_for_something(r);
		take_mail(r);
		reap(r);
		launch_waiting(r);
	}
	return NULL;
}

/* --- lifecycle -------------------------------------------------------------------------------- */

static void wake(void *arg)
{
	struct runner *r = arg;
	uint64_t one = 1;

	(void)!write(r->wake, &one, sizeof(one));
}

int runner_start(struct mailbox *done, struct runner **ret)
{
	struct runner *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->done = done;
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mailbox_init(&r->box, wake, r);
	err = r->wake < 0 ? errno : pthread_create(&r->thread, NULL, run, r);
	if (!err) {
		*ret = r;
		return 0;
	}
	mailbox_release(&r->box);
	if (r->wake >= 0)
		close(r->wake);
	free(r);
	return -err;
}

void runner_send(struct runner *r, struct errand *e)
{
	mailbox_send(&r->box, &e->mail);
}

void runner_stop(struct runner *r)
{
	struct mail *left;

	if (!r)
		return;
	r->stopping = true;
	wake(r);
	pthread_join(r->thread, NULL);
	take_mail(r);
	left = r->waiting ? &r->waiting->mail : NULL;
	while (left) {
		struct errand *e = container_of(left, struct errand, mail);

		left = left->next;
		errand_free(e);
	}
	while (r->children) {
		struct child *c = r->children;

		r->children = c->next;
		if (c->pidfd >= 0)
			close(c->pidfd);
		errand_free(c->errand);
		free(c);
	}
	mailbox_release(&r->box);
	close(r->wake);
	free(r);
}
