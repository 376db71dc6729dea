/* Who asks, and acting as him.
 *
 * creds_assume changes the calling THREAD only (raw setfsuid, setfsgid, setgroups; umask after one
 * unshare(CLONE_FS) per thread, see creds_thread_init), so the kernel checks every path with his
 * rights; glibc's wrappers would change all threads. A thread between assume and restore touches
 * nothing but the destination tree.
 */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct creds {
	uid_t uid;
	gid_t gid;
	mode_t umask;
	size_t ngroups;
	gid_t groups[]; /* supplementary */
};

struct creds *creds_new(uid_t uid, gid_t gid, mode_t umask, size_t ngroups, const gid_t *groups);
struct creds *creds_copy(const struct creds *c);
void creds_free(struct creds *c);
DEFINE_CLEANUP(struct creds *, creds_free)
struct creds *creds_of_process(void); /* the daemon's own */

bool creds_has_group(const struct creds *c, gid_t gid);
/* rwx bits (0..7) that MODE of (uid, gid) gives to C; uid 0 has all. */
unsigned creds_access(const struct creds *c, uid_t uid, gid_t gid, mode_t mode);

/* "uid gid umask group,group,..." (decimal, umask octal) and back; for the store. -EINVAL. */
int creds_format(const struct creds *c, char **ret_text);
int creds_parse(const char *text, struct creds **ret);

int creds_thread_init(void);               /* once in a thread that will assume; -errno. It may then not
                                            * exceed quotas any more. */
/* When C is the process's own user only his umask is taken; a process that is not root's can assume
 * nobody else: -EPERM. Not nested; -EINVAL without creds_thread_init. */
int creds_assume(const struct creds *c);
void creds_restore(void);                  /* back to the process's; aborts when the kernel refuses */
