/* A line is put together on the stack and leaves in one call, so lines of several threads never mix. */
#include "base/log.h"

#include "base/io.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_LEN 2048

static enum log_level log_level = LOG_LEVEL_INFO;
static bool to_syslog;

void log_set_level(enum log_level level)
{
	log_level = level;
}

void log_to_syslog(void)
{
	openlog("xferfs", LOG_PID, LOG_DAEMON);
	to_syslog = true;
}

/* The variable is inherited by children whose stderr may have been sent elsewhere (sd-daemon(3)): it
 * names the device and inode of the stream it speaks of. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return !strcmp(stream, own);
}

/* A newline would begin a line of its own, perhaps with a forged priority: URLs and file names are
 * written by others. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_LEN];
	va_list args;
	int prefix, len;

	if (level > log_level)
		return;
	if (stderr_is_journal())
		prefix = snprintf(line, sizeof(line), "<%d>", (int)level);
	else
		prefix = snprintf(line, sizeof(line), "xferfs: ");
	va_start(args, format);
	len = vsnprintf(line + prefix, sizeof(line) - (size_t)prefix - 1, format, args);
	va_end(args);
	if (len < 0)
		return;
	one_line(line + prefix);
	if (to_syslog) {
		/* The levels are syslog's own numbers. */
		syslog((int)level, "%s", line + prefix);
		return;
	}
	len = (int)strlen(line);
	line[len++] = '\n';
	io_write_all(STDERR_FILENO, line, (size_t)len);
}
