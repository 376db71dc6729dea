/* Everything about a key stands in its row: where its value lives, what it may be, what it is when
 * nothing is said. Reading (config_file.c), -o, printing and the example file (tests) walk the rows.
 */
#include "config.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "build-config.h"
#include "model/timetable.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum value_type { VALUE_COUNT, VALUE_SECONDS, VALUE_SIZE, VALUE_BOOL, VALUE_TEXT, VALUE_URL };

/* What besides plain numbers a number may be. */
enum { WORD_NONE, WORD_AUTO /* = 0 */, WORD_MAX /* = LIMIT_MAX */ };

struct key {
	const char *section, *name;
	enum value_type type;
	int word;
	size_t offset;
	uint64_t min, max;                          /* of numbers */
	bool (*check)(const char *value, char **ret_why); /* of texts; NULL: any */
	const char *preset, *help;
};

static bool check_schedule(const char *value, char **ret_why);
static bool check_background(const char *value, char **ret_why);
static bool check_schemes(const char *value, char **ret_why);
static bool check_file(const char *value, char **ret_why);

#define AT(field) .offset = offsetof(struct config, field)
#define COUNT(field, lowest, highest) .type = VALUE_COUNT, AT(field), .min = lowest, .max = highest
#define SECONDS(field, lowest, highest) .type = VALUE_SECONDS, AT(field), .min = lowest, .max = highest
#define SIZE(field, lowest) \
	.type = VALUE_SIZE, .word = WORD_MAX, AT(field), .min = lowest, .max = LIMIT_MAX - 1
#define OR_AUTO .word = WORD_AUTO
#define OR_MAX .word = WORD_MAX
#define BOOL(field) .type = VALUE_BOOL, AT(field)
#define TEXT(field) .type = VALUE_TEXT, AT(field)
#define URL(field) .type = VALUE_URL, AT(field)

#define CENTURY (UINT64_C(36525) * 86400)
#define MANY 1000000000

static const struct key keys[] = {
	{ "limits", "jobs_per_user", COUNT(jobs_per_user, 0, MANY), OR_MAX, .preset = "60",
		.help = "jobs that one user may have; limits bind users other than root and the daemon's own" },
	{ "limits", "jobs", COUNT(jobs, 0, MANY), OR_MAX, .preset = "300",
		.help = "jobs of all such users together" },
	{ "limits", "files_per_job", COUNT(files_per_job, 0, MANY), OR_MAX, .preset = "200",
		.help = "files in one job" },
	{ "limits", "ranges_per_file", COUNT(ranges_per_file, 0, MANY), OR_MAX, .preset = "500",
		.help = "parts in one range=" },
	{ "limits", "history_per_user", COUNT(history_per_user, 0, MANY), OR_MAX, .preset = "1000",
		.help = "ended jobs of one user that history and ended/ remember; the oldest go first" },

	{ "queue", "inactivity_timeout", SECONDS(inactivity_timeout, 1, CENTURY), OR_MAX, .preset = "90d",
		.help = "a job without command or progress for so long is cancelled" },
	{ "queue", "max_age", SECONDS(max_age, 1, CENTURY), OR_MAX, .preset = "max",
		.help = "a job older than this is cancelled" },
	{ "queue", "history_days", COUNT(history_days, 0, 36525), OR_MAX, .preset = "30",
		.help = "how long history and ended/ remember a job" },

	{ "transfer", "workers", COUNT(workers, 1, 64), OR_AUTO, .preset = "auto",
		.help = "threads that move bytes" },
	{ "transfer", "connections", COUNT(connections, 1, 65536), .preset = "256",
		.help = "connections in all" },
	{ "transfer", "connections_per_host", COUNT(connections_per_host, 1, 1024), .preset = "16",
		.help = "connections to one server" },
	{ "transfer", "connections_per_file", COUNT(connections_per_file, 1, 16), OR_AUTO, .preset = "auto",
		.help = "connections that share one file, where its job does not say" },
	{ "transfer", "jobs", COUNT(running_jobs, 1, 100000), .preset = "64",
		.help = "jobs that run at once; foreground ones always do" },
	{ "transfer", "connect_timeout", SECONDS(connect_timeout, 1, 3600), .preset = "30",
		.help = "how long a connection may take to come about" },
	{ "transfer", "idle_timeout", SECONDS(idle_timeout, 1, 86400), .preset = "30",
		.help = "a connection without a byte for so long is replaced" },
	{ "transfer", "user_agent", TEXT(user_agent), .preset = "xferfs/" XFERFS_VERSION,
		.help = "what HTTP servers are told about the client" },
	{ "transfer", "http2", BOOL(http2), .preset = "0",
		.help = "offer HTTP/2 (one connection for many files, slower for large ones)" },

	{ "bandwidth", "limit", SIZE(limit, 0), .preset = "max",
		.help = "bytes per second of the whole daemon" },
	{ "bandwidth", "per_host", SIZE(limit_per_host, 1), .preset = "max",
		.help = "bytes per second from one server, of all jobs together" },
	{ "bandwidth", "foreground_exempt", BOOL(foreground_exempt), .preset = "1",
		.help = "foreground jobs pass limit and per_host by" },
	{ "bandwidth", "schedule", TEXT(schedule), .check = check_schedule, .preset = "",
		.help = "limits by day and hour, like: Mon-Fri 08:00-17:00 1M; else max" },

	{ "network", "background", TEXT(background), .check = check_background, .preset = "yield",
		.help = "jobs that are not foreground give way to other traffic (yield), or share the line (share)" },
	{ "network", "cache_host", URL(cache_host), .preset = "",
		.help = "an HTTP cache that is tried before the origin: http://HOST[:PORT]" },
	{ "network", "proxy", URL(proxy), .preset = "",
		.help = "proxy of jobs that do not name one; empty: the system's (http_proxy, ...)" },

	{ "security", "schemes", TEXT(schemes), .check = check_schemes, .preset = "https http ftp ftps sftp",
		.help = "what a URL may begin with" },
	{ "security", "allow_https_to_http", BOOL(allow_https_to_http), .preset = "0",
		.help = "follow a redirect from https to http" },
	{ "security", "ca_file", TEXT(ca_file), .check = check_file, .preset = "",
		.help = "certificates to trust instead of the system's (PEM)" },
	{ "security", "max_file_size", SIZE(max_file_size, 1), .preset = "max",
		.help = "a larger file is an error" },
	{ "security", "deny_private_addresses", BOOL(deny_private_addresses), .preset = "0",
		.help = "connect to no loopback, link-local or private address" },
};

static char *sentence(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *sentence(const char *format, ...)
{
	char *text;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		return NULL;
	/* It is one line, whatever the value that it cites. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return text;
}

/* --- what texts may be --------------------------------------------------------------------------- */

static bool check_schedule(const char *value, char **ret_why)
{
	struct timetable *t;

	if (timetable_parse(value, &t, ret_why))
		return false;
	timetable_free(t);
	return true;
}

static bool check_background(const char *value, char **ret_why)
{
	if (!strcmp(value, "yield") || !strcmp(value, "share"))
		return true;
	*ret_why = sentence("must be yield or share");
	return false;
}

static bool check_schemes(const char *value, char **ret_why)
{
	static const char *const known[] = { "https", "http", "ftp", "ftps", "sftp" };
	cleanup_free char *words = strdup(value);
	char *rest = words, *word;
	size_t n = 0;

	while (words && (word = strsep(&rest, " \t"))) {
		size_t i = 0;

		if (!*word)
			continue;
		while (i < ARRAY_SIZE(known) && strcmp(word, known[i]) != 0)
			i++;
		if (i == ARRAY_SIZE(known)) {
			*ret_why = sentence("%s is none of https http ftp ftps sftp", word);
			return false;
		}
		n++;
	}
	if (!n)
		*ret_why = sentence("must name at least one of https http ftp ftps sftp");
	return n > 0;
}

static bool check_file(const char *value, char **ret_why)
{
	if (!*value)
		return true;
	/* The daemon's working directory is /. */
	if (*value != '/')
		*ret_why = sentence("must be an absolute path");
	else if (access(value, R_OK) < 0)
		*ret_why = sentence("cannot be read: %s", strerror(errno));
	else
		return true;
	return false;
}

/* --- setting ------------------------------------------------------------------------------------- */

static uint64_t *number_of(const struct config *c, const struct key *k)
{
	return (uint64_t *)((char *)c + k->offset);
}

static bool *bool_of(const struct config *c, const struct key *k)
{
	return (bool *)((char *)c + k->offset);
}

static char **text_of(const struct config *c, const struct key *k)
{
	return (char **)((char *)c + k->offset);
}

static char *number_expected(const struct key *k)
{
	const char *what = k->type == VALUE_SECONDS ? "a time in seconds, or with s m h d w," :
		k->type == VALUE_SIZE ? "a number of bytes, or with K M G T," : "a number";

	if (k->type == VALUE_SIZE)
		return sentence("must be %s at least %" PRIu64 ", or max", what, k->min);
	return sentence("must be %s from %" PRIu64 " to %" PRIu64 "%s", what, k->min, k->max,
		k->word == WORD_AUTO ? ", or auto" : k->word == WORD_MAX ? ", or max" : "");
}

static int set_number(struct config *c, const struct key *k, const char *value, char **ret_why)
{
	uint64_t number;
	int r;

	if (k->word == WORD_AUTO && !strcmp(value, "auto")) {
		*number_of(c, k) = 0;
		return 0;
	}
	if (k->word == WORD_MAX && !strcmp(value, "max")) {
		*number_of(c, k) = LIMIT_MAX;
		return 0;
	}
	r = k->type == VALUE_SECONDS ? parse_seconds(value, &number) :
		k->type == VALUE_SIZE ? parse_size(value, &number) : parse_u64(value, &number);
	if (!r && (number < k->min || number > k->max))
		r = number > k->max ? -ERANGE : -EINVAL;
	if (r) {
		*ret_why = number_expected(k);
		return r;
	}
	*number_of(c, k) = number;
	return 0;
}

static int set_text(struct config *c, const struct key *k, const char *value, char **ret_why)
{
	char *copy;

	/* A line break would be a line of its own when the configuration is printed, or sent in a header. */
	for (const char *p = value; *p; p++) {
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f) {
			*ret_why = sentence("must not contain control characters");
			return -EINVAL;
		}
	}
	if (k->check && !k->check(value, ret_why))
		return -EINVAL;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*text_of(c, k));
	*text_of(c, k) = copy;
	return 0;
}

static int set_value(struct config *c, const struct key *k, const char *value, char **ret_why)
{
	switch (k->type) {
	case VALUE_COUNT:
	case VALUE_SECONDS:
	case VALUE_SIZE:
		return set_number(c, k, value, ret_why);
	case VALUE_BOOL:
		if (!parse_bool(value, bool_of(c, k)))
			return 0;
		*ret_why = sentence("must be 0 or 1, yes or no");
		return -EINVAL;
	case VALUE_TEXT:
	case VALUE_URL:
		return set_text(c, k, value, ret_why);
	}
	return -EINVAL;
}

static const struct key *find_key(const char *section, size_t section_len, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i].section) == section_len && !memcmp(keys[i].section, section, section_len) &&
		    !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static bool is_section(const char *section, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i].section) == len && !memcmp(keys[i].section, section, len))
			return true;
	return false;
}

int config_set(struct config *c, const char *section_key, const char *value, char **ret_reason)
{
	const char *dot = strchr(section_key, '.');
	int len = dot ? (int)(dot - section_key) : 0;
	const struct key *k = dot ? find_key(section_key, (size_t)len, dot + 1) : NULL;
	cleanup_free char *why = NULL;
	int r;

	if (!k) {
		*ret_reason = !dot ? sentence("%s is not SECTION.KEY", section_key) :
			is_section(section_key, (size_t)len) ?
			sentence("there is no key %s in [%.*s]", dot + 1, len, section_key) :
			sentence("there is no section [%.*s]", len, section_key);
		return -EINVAL;
	}
	r = set_value(c, k, value, &why);
	if (r)
		*ret_reason = sentence("%s.%s = %.100s: %s", k->section, k->name, value, why ? why : strerror(-r));
	return r;
}

/* --- the whole ----------------------------------------------------------------------------------- */

int config_init(struct config *c)
{
	*c = (struct config){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		cleanup_free char *why = NULL;
		int r = set_value(c, &keys[i], keys[i].preset, &why);

		assert(!r || r == -ENOMEM);
		if (r) {
			config_release(c);
			return r;
		}
	}
	return 0;
}

void config_release(struct config *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].type == VALUE_TEXT || keys[i].type == VALUE_URL)
			free(*text_of(c, &keys[i]));
	*c = (struct config){ 0 };
}

/* Without "user:password@". */
static void print_url(const char *url, struct buf *out)
{
	const char *host = strstr(url, "://"), *at;

	host = host ? host + 3 : url;
	at = memrchr(host, '@', strcspn(host, "/?#"));
	buf_add(out, url, (size_t)(host - url));
	buf_adds(out, at ? at + 1 : host);
}

static void print_value(const struct config *c, const struct key *k, struct buf *out)
{
	switch (k->type) {
	case VALUE_COUNT:
	case VALUE_SECONDS:
	case VALUE_SIZE:
		if (k->word == WORD_AUTO && !*number_of(c, k))
			buf_adds(out, "auto");
		else if (k->word == WORD_MAX && *number_of(c, k) == LIMIT_MAX)
			buf_adds(out, "max");
		else
			buf_printf(out, "%" PRIu64, *number_of(c, k));
		return;
	case VALUE_BOOL:
		buf_addc(out, *bool_of(c, k) ? '1' : '0');
		return;
	case VALUE_TEXT:
		buf_adds(out, *text_of(c, k));
		return;
	case VALUE_URL:
		print_url(*text_of(c, k), out);
		return;
	}
}

void config_print(const struct config *c, struct buf *out)
{
	const char *section = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct key *k = &keys[i];

		if (!section || strcmp(section, k->section) != 0)
			buf_printf(out, "%s[%s]\n", section ? "\n" : "", k->section);
		section = k->section;
		buf_printf(out, "%s = ", k->name);
		print_value(c, k, out);
		buf_addc(out, '\n');
	}
}

void config_each(void (*fn)(void *arg, const char *section, const char *key, const char *preset,
	const char *help), void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		fn(arg, keys[i].section, keys[i].name, keys[i].preset, keys[i].help);
}
