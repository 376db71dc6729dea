/* Raw system calls, because the kernel keeps credentials per thread and glibc's wrappers of setgroups
 * and friends signal all threads of the process to make them alike (nptl(7)).
 *
 * setfsuid and setfsgid report no errors: they return the previous value, so each is verified by
 * calling it once more with an id that cannot be (-1), which changes nothing.
 */
#include "base/creds.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/parse.h"

#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* i386, arm and m68k have the numbers with 16-bit ids as SYS_setfsuid. */
#ifdef SYS_setfsuid32
#define NR_SETFSUID SYS_setfsuid32
#define NR_SETFSGID SYS_setfsgid32
#define NR_SETGROUPS SYS_setgroups32
#else
#define NR_SETFSUID SYS_setfsuid
#define NR_SETFSGID SYS_setfsgid
#define NR_SETGROUPS SYS_setgroups
#endif

/* What creds_restore goes back to. Placing many files assumes once for each: what is the same anyway
 * is not set, and nothing is asked that is known. */
static _Thread_local bool assumed;
static _Thread_local struct creds *own; /* NULL: the ids are the process's */
static _Thread_local bool umask_is_ours;
static _Thread_local mode_t own_umask, umask_now; /* known once it is ours */

struct creds *creds_new(uid_t uid, gid_t gid, mode_t umask, size_t ngroups, const gid_t *groups)
{
	struct creds *c = malloc(sizeof(*c) + ngroups * sizeof(c->groups[0]));

	if (!c)
		return NULL;
	*c = (struct creds){ .uid = uid, .gid = gid, .umask = umask, .ngroups = ngroups };
	if (ngroups)
		memcpy(c->groups, groups, ngroups * sizeof(groups[0]));
	return c;
}

struct creds *creds_copy(const struct creds *c)
{
	return creds_new(c->uid, c->gid, c->umask, c->ngroups, c->groups);
}

void creds_free(struct creds *c)
{
	free(c);
}

/* umask(2) can only be read by changing it, which would race with other threads. Linux 4.7 shows it. */
static mode_t umask_of_process(void)
{
	cleanup_free char *line = NULL;
	size_t cap = 0;
	unsigned mask = 022;
	FILE *f = fopen("/proc/thread-self/status", "re");

	if (!f)
		return (mode_t)mask;
	while (getline(&line, &cap, f) > 0)
		if (sscanf(line, "Umask: %o", &mask) == 1)
			break;
	fclose(f);
	return (mode_t)mask & 0777;
}

static struct creds *ids_of_process(void)
{
	int n = getgroups(0, NULL);
	cleanup_free gid_t *groups = n > 0 ? calloc((size_t)n, sizeof(gid_t)) : NULL;

	if (n < 0 || (n > 0 && !groups))
		return NULL;
	if (n > 0)
		n = getgroups(n, groups);
	if (n < 0)
		return NULL;
	return creds_new(geteuid(), getegid(), 0, (size_t)n, groups);
}

struct creds *creds_of_process(void)
{
	struct creds *c = ids_of_process();

	if (c)
		c->umask = umask_of_process();
	return c;
}

bool creds_has_group(const struct creds *c, gid_t gid)
{
	if (c->gid == gid)
		return true;
	for (size_t i = 0; i < c->ngroups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

unsigned creds_access(const struct creds *c, uid_t uid, gid_t gid, mode_t mode)
{
	if (c->uid == 0)
		return 7;
	/* The first class that fits decides, as in the kernel: an owner without r is not helped by o+r. */
	if (c->uid == uid)
		return mode >> 6 & 7;
	if (creds_has_group(c, gid))
		return mode >> 3 & 7;
	return mode & 7;
}

int creds_format(const struct creds *c, char **ret_text)
{
	cleanup_buf struct buf b = { 0 };
	char *text;

	buf_printf(&b, "%u %u %o ", c->uid, c->gid, (unsigned)c->umask);
	for (size_t i = 0; i < c->ngroups; i++)
		buf_printf(&b, "%s%u", i ? "," : "", c->groups[i]);
	text = buf_steal(&b);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

/* One id, ended by STOP or the end of the text, behind which *text then is. */
static int parse_id(const char **text, char stop, unsigned base, uint32_t max, uint32_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	for (; *p >= '0' && *p < (char)('0' + base); p++) {
		value = value * base + (uint64_t)(*p - '0');
		if (value > max)
			return -EINVAL;
	}
	if (p == *text || (*p && *p != stop))
		return -EINVAL;
	*text = *p ? p + 1 : p;
	*ret = (uint32_t)value;
	return 0;
}

int creds_parse(const char *text, struct creds **ret)
{
	/* -1 is no id: chown and setfsuid give it a meaning of their own. */
	const uint32_t id_max = UINT32_MAX - 1;
	cleanup_free gid_t *groups = NULL;
	uint32_t uid, gid, mask;
	size_t n = 0, cap = 1;
	struct creds *c;

	if (parse_id(&text, ' ', 10, id_max, &uid) || parse_id(&text, ' ', 10, id_max, &gid) ||
	    parse_id(&text, ' ', 8, 0777, &mask))
		return -EINVAL;
	for (const char *p = text; *p; p++)
		cap += *p == ',';
	groups = calloc(cap, sizeof(groups[0]));
	if (!groups)
		return -ENOMEM;
	while (*text) {
		const char *comma = strchr(text, ',');

		if ((comma && !comma[1]) || parse_id(&text, ',', 10, id_max, &groups[n]))
			return -EINVAL;
		n++;
	}
	c = creds_new(uid, gid, mask, n, groups);
	if (!c)
		return -ENOMEM;
	*ret = c;
	return 0;
}

/* setfsuid takes the capabilities over files; this one it leaves, and with it a user's files would go
 * past his quota and into the blocks that are reserved for root. */
static int drop_resource(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, caps) < 0)
		return -errno;
	caps[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective &= ~CAP_TO_MASK(CAP_SYS_RESOURCE);
	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}

int creds_thread_init(void)
{
	int r;

	if (umask_is_ours)
		return 0;
	r = drop_resource();
	if (r < 0)
		return r;
	/* Threads share umask and working directory until one asks for its own; needs no privilege. */
	if (unshare(CLONE_FS) < 0)
		return -errno;
	umask_is_ours = true;
	own_umask = umask_now = umask(077);
	umask(own_umask);
	return 0;
}

static void set_umask(mode_t mask)
{
	if (mask != umask_now)
		umask(mask);
	umask_now = mask;
}

static bool set_fsuid(uid_t uid)
{
	syscall(NR_SETFSUID, uid);
	return (uid_t)syscall(NR_SETFSUID, (uid_t)-1) == uid;
}

static bool set_fsgid(gid_t gid)
{
	syscall(NR_SETFSGID, gid);
	return (gid_t)syscall(NR_SETFSGID, (gid_t)-1) == gid;
}

/* The user id last: giving up root's takes the capabilities over files with it, and setgroups needs
 * CAP_SETGID, which setfsuid leaves alone. */
static int become(const struct creds *c)
{
	if (syscall(NR_SETGROUPS, c->ngroups, c->groups) < 0)
		return -errno;
	if (!set_fsgid(c->gid) || !set_fsuid(c->uid))
		return -EPERM;
	return 0;
}

int creds_assume(const struct creds *c)
{
	uid_t uid = geteuid();
	int r;

	assert(!assumed);
	if (!umask_is_ours)
		return -EINVAL;
	/* An ordinary user has nobody else's rights to take; his group he keeps: a file gets another one
	 * by the directory's set-group-id bit or not at all. */
	if (uid != 0 && c->uid != uid)
		return -EPERM;
	if (uid == 0 && (c->uid != 0 || c->gid != getegid())) {
		own = ids_of_process();
		if (!own)
			return -ENOMEM;
	}
	assumed = true;
	set_umask(c->umask);
	r = own ? become(c) : 0;
	if (r)
		creds_restore();
	return r;
}

void creds_restore(void)
{
	if (!assumed)
		return;
	if (own && become(own)) {
		/* To go on would touch the staging area with a stranger's rights, or his with ours. */
		log_error("cannot take the daemon's credentials back");
		abort();
	}
	creds_free(take_ptr(own));
	set_umask(own_umask);
	assumed = false;
}
