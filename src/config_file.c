/* Reading an INI file by inih, which calls back without a line number and goes on after an error: so the
 * reader that feeds it counts the lines, and only the first error is kept.
 */
#include "config.h"

#include "base/cleanup.h"
#include "build-config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ini.h>

#define LINE_LEN_MAX 65536 /* a timetable may be long */

struct reading {
	struct config *config;
	FILE *file;
	const char *path;
	int line;
	int err;      /* the first error, of ... */
	int err_line;
	char *reason;
};

static char *sentence(const struct reading *r, int line, const char *reason)
{
	char *text;

	return asprintf(&text, "%s:%d: %s", r->path, line, reason) < 0 ? NULL : text;
}

static void reading_fail(struct reading *r, int err, const char *reason)
{
	if (r->err)
		return;
	r->err = err;
	r->err_line = r->line;
	r->reason = sentence(r, r->line, reason ? reason : strerror(-err));
}

#ifdef HAVE_INI_MAX_LINE
static void check_line(struct reading *r, const char *text)
{
}
#else
/* This inih takes a ';' after a blank for a comment, and cannot be told not to. */
static void check_line(struct reading *r, const char *text)
{
	text += strspn(text, " \t");
	if (*text != ';' && *text != '#' && (strstr(text, " ;") || strstr(text, "\t;")))
		reading_fail(r, -EINVAL, "a ';' after a blank would begin a comment: write it without the blank");
}
#endif

/* One line for inih: it would go on with the rest of a longer one as if that were the next. */
static char *read_line(char *text, int size, void *stream)
{
	struct reading *r = stream;
	size_t len;

	if (!fgets(text, size, r->file))
		return NULL;
	r->line++;
	len = strlen(text);
	if (len && text[len - 1] != '\n' && !feof(r->file)) {
		int c;

		reading_fail(r, -E2BIG, "this line is too long");
		while ((c = getc(r->file)) != EOF && c != '\n')
			;
	}
	check_line(r, text);
	return text;
}

static int take_pair(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	cleanup_free char *reason = NULL, *section_key = NULL;
	int err;

	if (r->err)
		return 0;
	if (!*section) {
		reading_fail(r, -EINVAL, "a key before any [section]");
		return 0;
	}
	if (asprintf(&section_key, "%s.%s", section, name) < 0) {
		section_key = NULL;
		reading_fail(r, -ENOMEM, NULL);
		return 0;
	}
	err = config_set(r->config, section_key, value ? value : "", &reason);
	if (err)
		reading_fail(r, err, reason);
	return !err;
}

static int parse_file(struct reading *r)
{
	int bad_line;

#ifdef HAVE_INI_MAX_LINE
	ini_max_line = LINE_LEN_MAX;
	ini_allow_inline_comments = false;
	/* A continued line would silently replace the value of the line above. */
	ini_allow_multiline = false;
#endif
	bad_line = ini_parse_stream(read_line, r, take_pair, r);
	if (bad_line < 0)
		return -ENOMEM;
	/* A line that inih itself could not read, above the first that we refused. */
	if (bad_line > 0 && (!r->err || bad_line < r->err_line)) {
		free(r->reason);
		r->err = -EINVAL;
		r->reason = sentence(r, bad_line, "neither [section] nor key = value nor # comment");
	}
	if (!r->err && ferror(r->file)) {
		r->err = -EIO;
		r->reason = sentence(r, r->line, "cannot be read");
	}
	return r->err;
}

int config_read(struct config *c, const char *path, char **ret_reason)
{
	struct reading r = { .config = c, .path = path };
	int err;

	r.file = fopen(path, "re");
	if (!r.file) {
		err = -errno;
		if (asprintf(ret_reason, "%s: %s", path, strerror(-err)) < 0)
			*ret_reason = NULL;
		return err;
	}
	err = parse_file(&r);
	fclose(r.file);
	if (err)
		*ret_reason = r.reason;
	return err;
}
