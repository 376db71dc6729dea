/* measure [-f FILE | -d DIRECTORY]... COMMAND [ARGUMENT]...
 *
 * Runs the command, then makes what it wrote durable (-f: fsync of the file, -d: syncfs of the
 * filesystem, as sync(1) and sync -f do), and prints
 *
 *	WALL CPU RSS STATUS
 *
 * seconds from the start to the end of the syncs, CPU seconds of the command with them, the command's
 * peak memory in bytes. It is a program of its own because a child begins with the peak of what it was
 * forked from: this one is small.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_of(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
		(double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static void sync_path(char option, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || (option == 'f' ? fsync(fd) : syncfs(fd)) < 0)
		fprintf(stderr, "measure: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* The numbers go to stdout, so the command's output goes where errors do. One that hangs ends with us. */
static pid_t start(char **argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp(argv[0], argv);
		fprintf(stderr, "measure: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	return pid;
}

int main(int argc, char **argv)
{
	struct rusage child, own_before, own;
	int status, syncs_end = 1;

	while (syncs_end + 2 < argc && (!strcmp(argv[syncs_end], "-f") || !strcmp(argv[syncs_end], "-d")))
		syncs_end += 2;
	if (syncs_end >= argc)
		return 2;

	double begun = now();
	pid_t pid = start(argv + syncs_end);
	if (pid < 0 || wait4(pid, &status, 0, &child) < 0) {
		perror("measure");
		return 2;
	}
	getrusage(RUSAGE_SELF, &own_before);
	for (int i = 1; i < syncs_end; i += 2)
		sync_path(argv[i][1], argv[i + 1]);
	getrusage(RUSAGE_SELF, &own);
	printf("%.6f %.6f %ld %d\n", now() - begun, cpu_of(&child) + cpu_of(&own) - cpu_of(&own_before),
		child.ru_maxrss * 1024, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
