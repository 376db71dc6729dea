#include "net/home.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int home_open(const char *home, const char *name, int *ret_fd)
{
	cleanup_close int dir = -1, fd = -1;
	struct stat owner, st;

	if (home) {
		dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 || fstat(dir, &owner) < 0)
			return -errno;
	} else if (name[0] != '/') {
		return -ENOENT;
	}
	/* NONBLOCK: a fifo must not stop the worker. */
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (home && st.st_uid != owner.st_uid))
		return -EPERM;
	*ret_fd = take_fd(&fd);
	return 0;
}

const char *home_fd_path(int fd, char buffer[HOME_FD_PATH_LEN])
{
	snprintf(buffer, HOME_FD_PATH_LEN, "/proc/self/fd/%d", fd);
	return buffer;
}
