#include "net/home.h"

#include "base/cleanup.h"
#include "net/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

int home_open(const struct fetch_options *o, const char *name, int *ret_fd)
{
	cleanup_close int dir = -1, found = -1, fd = -1;
	char path[HOME_FD_PATH_LEN];
	struct stat st;

	if (name[0] != '/') {
		dir = o->home ? open(o->home, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
		if (dir < 0)
			return o->home ? -errno : -ENOENT;
	}
	/* Looked at before it is opened: opening a device may already do something. */
	found = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (found < 0 || fstat(found, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != o->uid)
		return -EPERM;
	snprintf(path, sizeof path, "/proc/self/fd/%d", found);
	/* Nor does the one thread of all transfers wait until he gives back a lease that he has on it (fcntl(2)).
	 * While this descriptor is open he cannot have one that would keep libcurl. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* One "." or "" per bit of the inode's number: all the same to the kernel. */
const char *home_fd_path(int fd, char buffer[HOME_FD_PATH_LEN])
{
	int n = snprintf(buffer, HOME_FD_PATH_LEN, "/proc/self/fd/");
	struct stat st;
	uint64_t bits = fstat(fd, &st) < 0 ? 0 : st.st_ino;

	for (; bits; bits >>= 1)
		n += snprintf(buffer + n, (size_t)(HOME_FD_PATH_LEN - n), bits & 1 ? "./" : "/");
	snprintf(buffer + n, (size_t)(HOME_FD_PATH_LEN - n), "%d", fd);
	return buffer;
}
