/* The properties of a job (INTERFACE.md §8) as one table: the control files, the store and the tests
 * walk it. A setter checks everything before it changes anything. All properties at once: props_all.c.
 */
#include "model/job.h"

#include "base/buf.h"
#include "base/parse.h"
#include "base/words.h"
#include "model/chars.h"
#include "model/name.h"
#include "model/url.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define CONNECTIONS_MAX 16
#define CREDENTIALS_MAX 4096
#define COMMAND_MAX 4096

static void *field_of(const struct prop_rule *p, struct props *props)
{
	return (char *)props + p->offset;
}

static const void *value_of(const struct prop_rule *p, const struct props *props)
{
	return (const char *)props + p->offset;
}

static int refuse(int err, const char *sentence, const char **ret_reason)
{
	*ret_reason = sentence;
	return err;
}

/* --- words and numbers --------------------------------------------------------------------------- */

static int set_word(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	for (uint8_t i = 0; p->words[i]; i++) {
		if (strcmp(p->words[i], text) == 0) {
			*(uint8_t *)field_of(p, props) = i;
			return 0;
		}
	}
	return refuse(-EINVAL, p->expects, ret_reason);
}

static void show_word(const struct prop_rule *p, const struct props *props, struct buf *out)
{
	buf_adds(out, p->words[*(const uint8_t *)value_of(p, props)]);
}

static int set_type(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	struct props probe = { 0 };
	int err = set_word(p, &probe, text, ret_reason);

	if (err)
		return err;
	if (probe.type != TYPE_DOWNLOAD)
		return refuse(-EOPNOTSUPP, "this version of xferfs downloads only", ret_reason);
	props->type = TYPE_DOWNLOAD;
	return 0;
}

/* What the default means depends on the priority: nothing urgent goes over a metered network. */
static void show_metered(const struct prop_rule *p, const struct props *props, struct buf *out)
{
	uint8_t policy = props->metered;

	if (policy == METERED_DEFAULT)
		policy = props->priority <= PRIORITY_HIGH ? METERED_ALLOW : METERED_WAIT;
	buf_adds(out, p->words[policy]);
}

/* Seconds in 32 bits; UINT32_MAX stands for max, where the rule's maximum admits it. */
static int set_seconds(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	uint64_t seconds;
	int err = parse_seconds(text, &seconds);

	if (!err && seconds == LIMIT_MAX)
		err = p->max == UINT32_MAX ? 0 : -EINVAL;
	else if (!err && seconds >= UINT32_MAX)
		err = -ERANGE;
	else if (!err && seconds < p->min)
		err = -EINVAL;
	if (err)
		return refuse(err, p->expects, ret_reason);
	*(uint32_t *)field_of(p, props) = seconds == LIMIT_MAX ? UINT32_MAX : (uint32_t)seconds;
	return 0;
}

static void show_seconds(const struct prop_rule *p, const struct props *props, struct buf *out)
{
	uint32_t seconds = *(const uint32_t *)value_of(p, props);

	if (seconds == UINT32_MAX)
		buf_adds(out, "max");
	else
		buf_printf(out, "%" PRIu32, seconds);
}

static int set_rate(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	uint64_t rate;
	int err = parse_size(text, &rate);

	if (!err && rate < p->min)
		err = -EINVAL;
	if (err)
		return refuse(err, p->expects, ret_reason);
	*(uint64_t *)field_of(p, props) = rate;
	return 0;
}

static void show_rate(const struct prop_rule *p, const struct props *props, struct buf *out)
{
	uint64_t rate = *(const uint64_t *)value_of(p, props);

	if (rate == LIMIT_MAX)
		buf_adds(out, "max");
	else
		buf_printf(out, "%" PRIu64, rate);
}

static int set_connections(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	uint64_t n = 0;
	int err = strcmp(text, "auto") == 0 ? 0 : parse_u64(text, &n);

	if (!err && n > p->max)
		err = -ERANGE;
	else if (!err && n < p->min && strcmp(text, "auto") != 0)
		err = -EINVAL;
	if (err)
		return refuse(err, p->expects, ret_reason);
	props->connections = (uint8_t)n;
	return 0;
}

static void show_connections(const struct prop_rule *p, const struct props *props, struct buf *out)
{
	if (props->connections)
		buf_printf(out, "%u", props->connections);
	else
		buf_adds(out, "auto");
}

/* --- text ---------------------------------------------------------------------------------------- */

/* The value that TEXT stands for replaces the field; the preset is kept as NULL. */
static int store_text(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	char **field = field_of(p, props);
	char *copy = NULL;

	if (strcmp(text, p->preset) != 0) {
		copy = strdup(text);
		if (!copy)
			return refuse(-ENOMEM, "out of memory", ret_reason);
	}
	free(*field);
	*field = copy;
	return 0;
}

static int set_line(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	if (strlen(text) > p->max)
		return refuse(-E2BIG, p->expects, ret_reason);
	for (const char *c = text; *c; c++) {
		if (*c != '\t' && text_control(c))
			return refuse(-EINVAL, "the value must be one line without control characters",
				ret_reason);
	}
	return store_text(p, props, text, ret_reason);
}

static void show_text(const struct prop_rule *p, const struct props *props, struct buf *out)
{
	const char *text = *(char *const *)value_of(p, props);

	buf_adds(out, text ? text : p->preset);
}

static void show_nothing(const struct prop_rule *p, const struct props *props, struct buf *out)
{
}

static int set_destination(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	cleanup_free char *path = strdup(text);
	int err;

	if (!path)
		return refuse(-ENOMEM, "out of memory", ret_reason);
	/* As the shell completes the name of a directory. */
	for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	err = name_check_destination(path);
	if (err)
		return refuse(err == -ENAMETOOLONG ? -E2BIG : err, p->expects, ret_reason);
	return store_text(p, props, path, ret_reason);
}

static int set_credentials(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	const char *colon = strchr(text, ':');

	if (*text && (!colon || colon == text))
		return refuse(-EINVAL, p->expects, ret_reason);
	return set_line(p, props, text, ret_reason);
}

static int set_certificate(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	if (*text && (*text != '/' || text[strlen(text) - 1] == '/'))
		return refuse(-EINVAL, p->expects, ret_reason);
	return set_line(p, props, text, ret_reason);
}

static int set_command(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	char **words = NULL;
	int err = text[strspn(text, " \t")] ? words_split(text, &words) : 0;

	words_free(words);
	if (err == -EINVAL)
		return refuse(err, "a quote in the command is not closed", ret_reason);
	return err ? refuse(err, "out of memory", ret_reason) : set_line(p, props, text, ret_reason);
}

/* --- proxy --------------------------------------------------------------------------------------- */

/* A URL of a host: nothing behind it but perhaps a '/'. */
static bool is_proxy_url(const char *url)
{
	const char *host;

	if (url_check(url, "http https socks5 socks5h socks4"))
		return false;
	host = strstr(url, "://") + 3;
	host += strcspn(host, "/?#");
	return !*host || strcmp(host, "/") == 0;
}

/* "host:port", as curl and the http_proxy variable take it. */
static bool is_host_and_port(const char *text)
{
	cleanup_buf struct buf url = { 0 };
	const char *at = strrchr(text, '@'), *colon = strrchr(at ? at : text, ':');

	if (!colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")])
		return false;
	buf_printf(&url, "http://%s", text);
	return url.data && !url.failed && is_proxy_url(url.data);
}

static int set_proxy(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	if (!*text)
		text = p->preset;
	if (strcmp(text, p->preset) != 0 && !is_proxy_url(text) && !is_host_and_port(text))
		return refuse(-EINVAL, p->expects, ret_reason);
	return store_text(p, props, text, ret_reason);
}

/* Without user and password: others than the owner may be allowed to look at the job. */
static void show_proxy(const struct prop_rule *p, const struct props *props, struct buf *out)
{
	cleanup_free char *shown = NULL;

	if (!props->proxy)
		buf_adds(out, p->preset);
	else if (url_display(props->proxy, &shown))
		out->failed = true;
	else
		buf_adds(out, shown);
}

/* --- headers ------------------------------------------------------------------------------------- */

/* Fields on which it depends that ranges, lengths and bodies mean what the engine takes them for. */
static const char *const reserved_fields[] = {
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "If-Match", "If-Modified-Since",
	"If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "TE", "Transfer-Encoding",
};

/* RFC 9110 §5.6.2 */
static bool char_is_token(char c)
{
	return char_is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_reserved_field(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved_fields); i++) {
		const char *r = reserved_fields[i];
		size_t same = 0;

		while (same < len && char_lower(r[same]) == char_lower(name[same]))
			same++;
		if (same == len && !r[len])
			return true;
	}
	return false;
}

/* One line of LEN bytes, added to OUT as "Name: value\n". NULL, or why not. */
static const char *add_header(struct buf *out, const char *line, size_t len)
{
	size_t name = 0, value;

	while (name < len && char_is_token(line[name]))
		name++;
	if (name == 0 || name == len || line[name] != ':')
		return "headers must be lines like 'Name: value'";
	if (is_reserved_field(line, name))
		return "this header is set by xferfs itself";
	for (value = name + 1; value < len && char_is_blank(line[value]); value++)
		;
	while (len > value && char_is_blank(line[len - 1]))
		len--;
	if (value == len)
		return "a header must have a value";
	for (size_t i = value; i < len; i++) {
		if (char_is_control(line[i]) && line[i] != '\t')
			return "a header must not contain control characters";
	}
	buf_add(out, line, name);
	buf_adds(out, ": ");
	buf_add(out, line + value, len - value);
	buf_addc(out, '\n');
	return NULL;
}

static int set_headers(const struct prop_rule *p, struct props *props, const char *text,
	const char **ret_reason)
{
	cleanup_buf struct buf b = { 0 };

	if (strlen(text) > p->max)
		return refuse(-E2BIG, p->expects, ret_reason);
	while (*text) {
		size_t len = strcspn(text, "\n"), end = len;
		const char *sentence = NULL;

		if (end > 0 && text[end - 1] == '\r')
			end--;
		if (end > 0)
			sentence = add_header(&b, text, end);
		if (sentence)
			return refuse(-EINVAL, sentence, ret_reason);
		text += len + (text[len] == '\n');
	}
	if (b.failed)
		return refuse(-ENOMEM, "out of memory", ret_reason);
	return store_text(p, props, b.data ? b.data : "", ret_reason);
}

static void show_headers(const struct prop_rule *p, const struct props *props, struct buf *out)
{
	if (props->headers)
		buf_add(out, props->headers, strlen(props->headers) - 1);
}

/* --- the table ------------------------------------------------------------------------------------ */

static const char *const type_words[] = { "download", "upload", "upload-reply", NULL };
static const char *const priority_words[] = { "foreground", "high", "normal", "low", NULL };
static const char *const on_transferred_words[] = { "hold", "complete", NULL };
static const char *const on_conflict_words[] = { "replace", "keep", "number", NULL };
static const char *const commit_words[] = { "files", "tree", NULL };
static const char *const metered_words[] = { "default", "allow", "wait", NULL };

#define AT(field) .offset = offsetof(struct props, field)

const struct prop_rule prop_rules[] = {
	{ "type", 0666, .set = set_type, .show = show_word, AT(type), .words = type_words,
	  .preset = "download", .expects = "type is download, upload or upload-reply" },
	{ "priority", 0666, .set = set_word, .show = show_word, AT(priority), .words = priority_words,
	  .preset = "normal", .expects = "priority is foreground, high, normal or low" },
	{ "destination", 0666, .set = set_destination, .show = show_text, AT(destination), .text = true,
	  .max = PATH_LEN_MAX - 1, .preset = ".",
	  .expects = "destination is '.' or a path like sub/dir below the destination tree: without '.', '..' and '//', not below .xferfs" },
	{ "description", 0666, .set = set_line, .show = show_text, AT(description), .text = true,
	  .max = 1024, .preset = "", .expects = "description is at most 1024 bytes" },
	{ "on_transferred", 0644, .set = set_word, .show = show_word, AT(on_transferred),
	  .words = on_transferred_words, .preset = "hold",
	  .expects = "on_transferred is hold or complete" },
	{ "on_conflict", 0666, .set = set_word, .show = show_word, AT(on_conflict),
	  .words = on_conflict_words, .preset = "replace",
	  .expects = "on_conflict is replace, keep or number" },
	{ "commit", 0666, .set = set_word, .show = show_word, AT(commit), .words = commit_words,
	  .preset = "files", .expects = "commit is files or tree" },
	{ "retry_delay", 0666, .set = set_seconds, .show = show_seconds, AT(retry_delay), .min = 5,
	  .max = UINT32_MAX - 1, .preset = "600",
	  .expects = "retry_delay is a number of seconds, at least 5" },
	{ "no_progress_timeout", 0666, .set = set_seconds, .show = show_seconds, AT(no_progress_timeout),
	  .max = UINT32_MAX, .preset = "1209600",
	  .expects = "no_progress_timeout is a number of seconds, or max" },
	{ "max_download_time", 0666, .set = set_seconds, .show = show_seconds, AT(max_download_time),
	  .max = UINT32_MAX, .preset = "7776000",
	  .expects = "max_download_time is a number of seconds, or max" },
	{ "rate_limit", 0666, .set = set_rate, .show = show_rate, AT(rate_limit), .min = 1,
	  .max = LIMIT_MAX, .preset = "max",
	  .expects = "rate_limit is bytes per second like 500K or 2M, or max (to stop a job, suspend it)" },
	{ "connections", 0666, .set = set_connections, .show = show_connections, AT(connections),
	  .min = 1, .max = CONNECTIONS_MAX, .preset = "auto",
	  .expects = "connections is auto or a number from 1 to 16" },
	{ "headers", 0600, .secret = true, .set = set_headers, .show = show_headers, AT(headers),
	  .text = true, .lines = true, .max = 16384, .preset = "", .expects = "headers are at most 16384 bytes" },
	{ "credentials", 0200, .secret = true, .set = set_credentials, .show = show_nothing,
	  AT(credentials), .text = true, .max = CREDENTIALS_MAX, .preset = "",
	  .expects = "credentials are USER:PASSWORD, at most 4096 bytes" },
	{ "proxy", 0666, .login = true, .set = set_proxy, .show = show_proxy, AT(proxy), .text = true,
	  .max = URL_LEN_MAX, .preset = "system",
	  .expects = "proxy is system, host:port, or a URL with http, https, socks5, socks5h or socks4" },
	{ "client_certificate", 0600, .secret = true, .set = set_certificate, .show = show_text,
	  AT(client_certificate), .text = true, .max = PATH_LEN_MAX - 1, .preset = "",
	  .expects = "client_certificate is the absolute path of a PEM file" },
	{ "notify", 0600, .secret = true, .set = set_command, .show = show_text, AT(notify), .text = true,
	  .max = COMMAND_MAX, .preset = "", .expects = "notify is a command of at most 4096 bytes" },
	{ "metered", 0666, .set = set_word, .show = show_metered, AT(metered), .words = metered_words,
	  .preset = "default", .expects = "metered is allow, wait or default" },
};
const size_t prop_count = ARRAY_SIZE(prop_rules);

const struct prop_rule *prop_find(const char *name)
{
	for (size_t i = 0; i < prop_count; i++) {
		if (strcmp(prop_rules[i].name, name) == 0)
			return &prop_rules[i];
	}
	return NULL;
}
