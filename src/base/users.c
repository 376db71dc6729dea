/* The directory of users (base/users.h). Homes are kept for good, by number: one that does not answer
 * for a while takes nothing away that was known. */
#include "base/users.h"

#include "base/clock.h"
#include "base/vector.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MAX 4096 /* a user's, as text */
#define GROUPS_MAX 256

struct user {
	uid_t uid;
	char *home;    /* NULL: none */
	int64_t stale; /* clock_now: then it is asked again */
	bool asking;
};

struct users {
	pthread_mutex_t lock;
	struct user *v; /* all under the lock; none is ever removed */
	size_t n, cap;
};

int users_new(struct users **ret)
{
	struct users *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	pthread_mutex_init(&u->lock, NULL);
	*ret = u;
	return 0;
}

void users_free(struct users *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->n; i++)
		free(u->v[i].home);
	pthread_mutex_destroy(&u->lock);
	free(u->v);
	free(u);
}

static struct user *find(const struct users *u, uid_t uid)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->v[i].uid == uid)
			return &u->v[i];
	return NULL;
}

/* Found or made; NULL: out of memory. */
static struct user *have(struct users *u, uid_t uid)
{
	struct user *user = find(u, uid);

	if (user)
		return user;
	if (vector_room(u->v, u->cap, u->n + 1) < 0)
		return NULL;
	user = &u->v[u->n++];
	*user = (struct user){ .uid = uid, .stale = INT64_MIN };
	return user;
}

static bool begin_asking(struct users *u, uid_t uid)
{
	struct user *user;
	bool begun = false;

	pthread_mutex_lock(&u->lock);
	user = have(u, uid);
	if (user && !user->asking && clock_now() >= user->stale)
		user->asking = begun = true;
	pthread_mutex_unlock(&u->lock);
	return begun;
}

void users_learn(struct users *u, uid_t uid)
{
	struct passwd pw, *found = NULL;
	char text[RECORD_MAX], *home = NULL;
	struct user *user;

	if (!begin_asking(u, uid))
		return;
	int err = getpwuid_r(uid, &pw, text, sizeof(text), &found);
	if (found)
		home = strdup(found->pw_dir);
	pthread_mutex_lock(&u->lock);
	user = find(u, uid);
	user->asking = false;
	user->stale = clock_now() + USERS_FRESH * NSEC_PER_SEC;
	if (err == 0) {
		char *before = user->home;

		user->home = home;
		home = before;
	}
	pthread_mutex_unlock(&u->lock);
	free(home);
}

char *users_home(struct users *u, uid_t uid)
{
	const struct user *user;
	char *home;

	pthread_mutex_lock(&u->lock);
	user = find(u, uid);
	home = user && user->home ? strdup(user->home) : NULL;
	pthread_mutex_unlock(&u->lock);
	return home;
}

struct creds *users_creds(uid_t uid)
{
	struct passwd pw, *found = NULL;
	gid_t groups[GROUPS_MAX];
	int ngroups = GROUPS_MAX;
	char text[RECORD_MAX];

	if (getpwuid_r(uid, &pw, text, sizeof(text), &found) || !found)
		return creds_new(uid, uid, 022, 0, NULL);
	if (getgrouplist(pw.pw_name, pw.pw_gid, groups, &ngroups) < 0)
		ngroups = 0;
	return creds_new(uid, pw.pw_gid, 022, (size_t)ngroups, groups);
}
