#include "daemonize.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define REASON_MAX 1024

/* The first byte says which; a reason follows REPORT_FAILED. */
enum { REPORT_READY = 'R', REPORT_FAILED = 'F' };

static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The parent's part: until the child has spoken, or is gone without a word. */
static int listen_to(int report, pid_t child)
{
	char text[REASON_MAX + 1];
	size_t len = 0;
	int code;

	while (len < sizeof(text) - 1) {
		ssize_t n = read(report, text + len, sizeof(text) - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (text[0] == REPORT_READY)
			return 0;
	}
	text[len] = '\0';
	code = wait_for(child);
	if (len && text[0] == REPORT_FAILED)
		fprintf(stderr, "xferfs: %s\n", text + 1);
	else
		fprintf(stderr, "xferfs: the daemon ended before it served (status %d)\n", code);
	return code ? code : 1;
}

static void redirect_standard(int caught)
{
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(caught >= 0 ? caught : null, STDERR_FILENO);
}

int daemonize(struct daemon_start *ret, int *ret_exit)
{
	int ends[2];
	pid_t child;

	/* What the starter left open is not ours to keep: somebody may wait for the end of a pipe. */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	child = fork();
	if (child < 0) {
		int r = -errno;

		close(ends[0]);
		close(ends[1]);
		return r;
	}
	if (child) {
		close(ends[1]);
		*ret_exit = listen_to(ends[0], child);
		close(ends[0]);
		return 0;
	}
	close(ends[0]);
	setsid();
	*ret = (struct daemon_start){ .report = ends[1], .caught = memfd_create("stderr", MFD_CLOEXEC) };
	redirect_standard(ret->caught);
	*ret_exit = -1;
	return 0;
}

static void stop_catching(struct daemon_start *d)
{
	if (d->caught < 0)
		return;
	redirect_standard(-1);
	close(take_fd(&d->caught));
}

/* The last line that somebody wrote, without its end; "" if none. */
static void last_caught(const struct daemon_start *d, char *text, size_t cap)
{
	size_t len = 0;
	off_t end = d->caught < 0 ? 0 : lseek(d->caught, 0, SEEK_END);
	off_t start = end > (off_t)cap - 1 ? end - (off_t)cap + 1 : 0;
	char *line;

	if (end > 0 && io_pread_all(d->caught, text, cap - 1, start, &len))
		len = 0;
	while (len && (unsigned char)text[len - 1] <= ' ')
		len--;
	text[len] = '\0';
	line = strrchr(text, '\n');
	if (line)
		memmove(text, line + 1, strlen(line));
}

void daemonize_ready(struct daemon_start *d)
{
	const char ready = REPORT_READY;

	if (d->report < 0)
		return;
	stop_catching(d);
	io_write_all(d->report, &ready, 1);
	close(take_fd(&d->report));
}

void daemonize_failed(struct daemon_start *d, const char *reason)
{
	char caught[REASON_MAX / 2], text[REASON_MAX];

	if (d->report < 0)
		return;
	last_caught(d, caught, sizeof(caught));
	snprintf(text, sizeof(text), "%c%.480s%s%s", REPORT_FAILED, reason, *caught ? ": " : "", caught);
	io_write_all(d->report, text, strlen(text));
	stop_catching(d);
	close(take_fd(&d->report));
}
