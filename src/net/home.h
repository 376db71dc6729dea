/* Files of a user that the daemon reads on his behalf: .netrc, .ssh, client certificates.
 *
 * The daemon may be root. So that a link or a borrowed path does not make it use another user's
 * secrets, a file counts only when it is a regular file of the owner of the home directory; libcurl is
 * given the descriptor that was checked, as /proc/self/fd/N.
 */
#pragma once

#include <stddef.h>

#define HOME_FD_PATH_LEN 32

/* Opens NAME (relative: below HOME); HOME NULL: anyone's. -errno, -EPERM not his. */
int home_open(const char *home, const char *name, int *ret_fd);
const char *home_fd_path(int fd, char buffer[HOME_FD_PATH_LEN]);
