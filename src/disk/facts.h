/* What the kernel gives a file that the caller makes in a directory: owner, group (set-group-id
 * directories), mode (umask) and ACL (default ACLs) are read off a probe that he makes there, not
 * computed. Also copying. Private to the mover.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define ACL_MAX 4096

struct facts {
	uid_t uid;
	gid_t gid;
	mode_t mode;
	size_t acl_len; /* 0: none */
	uint8_t acl[ACL_MAX];
};

/* Makes a nameless file in DIRFD, or where there are none a TEMP that is gone when it returns. With the
 * caller's credentials: -EACCES and the like are his. */
int facts_probe(int dirfd, const char *temp, struct facts *ret);
/* Makes the file FD, of which ST is true, look so. What is so already is left alone, so that a
 * filesystem without owners does. -EPERM: this process may not. */
int facts_apply(const struct facts *facts, int fd, const struct stat *st);

/* Copies the file FROM to TEMP in DIRFD, a new file (one that was there is replaced), with the caller's
 * credentials; not durable. Reflink, in-kernel copy, or read and write: the first that works. */
int copy_file(int from, int dirfd, const char *temp, int *ret_fd);
