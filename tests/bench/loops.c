/* loops read N FILE             open, read, close
 * loops write N TEXT FILE...    open as a shell's > does, write a line, close; the files in turn
 *
 * Prints: operations per second, then the median and the 99th percentile in microseconds. N 0: until
 * SIGTERM, without percentiles.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *file)
{
	fprintf(stderr, "loops: %s: %s\n", file, strerror(errno));
	exit(1);
}

static void once(const char *file, const char *line)
{
	int fd = open(file, line ? O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0644);
	char text[4096];

	if (fd < 0)
		die(file);
	if (line ? write(fd, line, strlen(line)) < 0 : read(fd, text, sizeof(text)) < 0)
		die(file);
	close(fd);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int writes = argc > 4 && !strcmp(argv[1], "write");
	char line[256] = "";
	char **files;
	int nfiles;
	size_t n, done = 0;
	double *took;

	if (argc < 4 || (!writes && strcmp(argv[1], "read") != 0)) {
		fprintf(stderr, "usage: loops read N FILE | loops write N TEXT FILE...\n");
		return 2;
	}
	signal(SIGTERM, end);
	n = strtoul(argv[2], NULL, 10);
	files = argv + (writes ? 4 : 3);
	nfiles = argc - (writes ? 4 : 3);
	if (writes)
		snprintf(line, sizeof(line), "%s\n", argv[3]);
	took = calloc(n + 1, sizeof(*took));
	if (!took)
		die("memory");

	double begun = now();
	while (!ended && (n == 0 || done < n)) {
		double t = now();

		once(files[done % (size_t)nfiles], writes ? line : NULL);
		if (n)
			took[done] = now() - t;
		done++;
	}
	double seconds = (now() - begun) / 1e6;
	qsort(took, n, sizeof(*took), compare);
	printf("%.1f %.2f %.2f\n", (double)done / seconds, took[n / 2], took[n * 99 / 100]);
	return 0;
}
