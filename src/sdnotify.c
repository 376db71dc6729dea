#include "sdnotify.h"

#include "base/cleanup.h"
#include "base/parse.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int sdnotify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(address.sun_path) || (*path != '/' && *path != '@')) {
		unsetenv("NOTIFY_SOCKET");
		return -1;
	}
	memcpy(address.sun_path, path, len);
	if (*path == '@') /* the abstract namespace */
		address.sun_path[0] = '\0';
	unsetenv("NOTIFY_SOCKET");
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -1;
	return take_fd(&fd);
}

void sdnotify_send(int fd, const char *state)
{
	if (fd >= 0)
		(void)!send(fd, state, strlen(state), MSG_NOSIGNAL);
}

int64_t sdnotify_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t n, owner;

	if (!usec || parse_u64(usec, &n) || n < 2 || n > INT64_MAX / 1000)
		return 0;
	/* Set for another process of the service, from which we have it. */
	if (pid && (parse_u64(pid, &owner) || owner != (uint64_t)getpid()))
		return 0;
	return (int64_t)(n * 1000 / 2);
}
