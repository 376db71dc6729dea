/* Paths that cannot leave the destination tree, and the names of what is temporary in it. Private to
 * the mover; called with the caller's credentials assumed.
 *
 * The kernel resolves every path in one step from the root of the tree (openat2, RESOLVE_BENEATH):
 * a component that is exchanged for a link meanwhile leads nowhere else. Links within the tree are
 * followed. A path that would leave it is -EACCES.
 */
#pragma once

#include "disk/durable.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Opens the directory PATH (O_PATH); MAKE: with its missing directories, and the names of all on the way
 * are made durable by D. */
int beneath_open_dir(int root, const char *path, bool make, struct durable *d, int *ret_fd);
/* What PATH is, itself (a last link is not followed). */
int beneath_stat(int root, const char *path, struct stat *ret);
/* -EACCES: the directory FD is the one that DIR describes, or below it. With the daemon's own
 * credentials, who alone may rename what is in DIR. */
int beneath_not_in(int root, int fd, const struct stat *dir);
/* unlinkat(2) of PATH, a file or with AT_REMOVEDIR a directory. */
int beneath_unlink(int root, const char *path, int flags);
/* Deletes the directory NAME in DIRFD with all that is in it, if it is the one that ONLY describes (NULL:
 * whichever it is); links are not followed. What could not be deleted is counted. */
void beneath_remove(int dirfd, const char *name, const struct stat *only, unsigned *leftovers);

/* ".NAME.xferfs-SERIAL-FILE", NAME shortened when the whole would be too long; FILE TEMP_TREE: without it.
 * Serials are never reused, so such a name is ours. */
#define TEMP_NAME_LEN 256
#define TEMP_TREE UINT32_MAX
void temp_name(const char *name, uint64_t serial, uint32_t file, char ret[TEMP_NAME_LEN]);
