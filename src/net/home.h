/* Files of a user that the daemon reads on his behalf: .netrc, .ssh, client certificates.
 *
 * The daemon may be root. So that a link or a borrowed path does not make it use another user's
 * secrets, a file counts only when it is a regular file of the job's owner; libcurl is given the
 * descriptor that was checked, below /proc/self/fd.
 */
#pragma once

#include <stddef.h>

struct fetch_options;

/* Opens NAME (relative: below the owner's home). -errno, -EPERM not his. Waits for nobody:
 * -EAGAIN, another process has a lease on it. */
int home_open(const struct fetch_options *o, const char *name, int *ret_fd);

/* A path of FD that no other file has: libcurl uses a connection again when the paths of key and
 * certificate are the same, and descriptors are numbered anew for each user. */
#define HOME_FD_PATH_LEN 160
const char *home_fd_path(int fd, char buffer[HOME_FD_PATH_LEN]);
