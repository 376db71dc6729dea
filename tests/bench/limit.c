/* limit [-c] PORT PATH FILE
 *
 * What a download over loopback costs at least: recv and pwrite of the same bytes, one connection, one
 * buffer, no library. The file's room is asked for first; fsync ends it. -c: past the page cache where
 * the kernel can (RWF_DONTCACHE), which is the least on a disk.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080 /* Linux 6.14 */
#endif

#define BUFFER (1u << 20)

static void die(const char *what)
{
	fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int connect_to(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	return fd;
}

/* Sends the request; gives the length of the body, and what came of it with the head, in BUFFER. */
static long long ask(int fd, const char *path, char *buffer, size_t *ret_len)
{
	char *end = NULL, *field;
	long long size;
	size_t len = 0;

	dprintf(fd, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path);
	while (!end) {
		ssize_t n = recv(fd, buffer + len, BUFFER - 1 - len, 0);

		if (n <= 0)
			die("head");
		len += (size_t)n;
		buffer[len] = '\0';
		end = strstr(buffer, "\r\n\r\n");
	}
	*end = '\0';
	field = strcasestr(buffer, "\r\ncontent-length:");
	if (strncmp(buffer + 8, " 200", 4) != 0 || !field)
		die(buffer);
	size = strtoll(field + strlen("\r\ncontent-length:"), NULL, 10);
	end += 4;
	*ret_len = len - (size_t)(end - buffer);
	memmove(buffer, end, *ret_len);
	return size;
}

static void put(int fd, char *data, size_t len, long long at, bool *dontcache)
{
	while (len > 0) {
		struct iovec v = { .iov_base = data, .iov_len = len };
		ssize_t n = pwritev2(fd, &v, 1, at, *dontcache ? RWF_DONTCACHE : 0);

		if (n < 0 && *dontcache && (errno == EOPNOTSUPP || errno == EINVAL)) {
			*dontcache = false;
			continue;
		}
		if (n < 0)
			die("write");
		data += n;
		len -= (size_t)n;
		at += n;
	}
}

int main(int argc, char **argv)
{
	bool dontcache = argc > 1 && !strcmp(argv[1], "-c");
	long long at = 0, size;
	char *buffer = aligned_alloc(4096, BUFFER); /* see src/base/block.h */
	size_t len;

	argv += dontcache;
	if (argc - dontcache != 4 || !buffer) {
		fprintf(stderr, "usage: limit [-c] PORT PATH FILE\n");
		return 2;
	}
	int from = connect_to(atoi(argv[1]));
	int to = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (to < 0)
		die(argv[3]);
	size = ask(from, argv[2], buffer, &len);
	if (fallocate(to, FALLOC_FL_KEEP_SIZE, 0, size) < 0 && errno != EOPNOTSUPP)
		die("fallocate");
	for (;;) {
		ssize_t n = recv(from, buffer + len, BUFFER - len, MSG_WAITALL);

		if (n < 0)
			die("recv");
		len += (size_t)n;
		put(to, buffer, len, at, &dontcache);
		at += (long long)len;
		len = 0;
		if (n == 0)
			break;
	}
	if (at != size)
		die("short body");
	if (fsync(to) < 0)
		die("fsync");
	return 0;
}
