/* A copy of the text is cut up in place: lines, then fields, whose quotes are removed where they stand.
 * Everything collects in a struct additions of its own, so that a bad line leaves no trace.
 */
#include "model/addline.h"

#include "base/buf.h"
#include "base/parse.h"
#include "base/vector.h"
#include "model/chars.h"
#include "model/name.h"
#include "model/url.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Offsets and sizes are off_t to the kernel. */
#define OFFSET_MAX ((uint64_t)INT64_MAX)
#define MIRRORS_MAX 64
#define EXCERPT_MAX 60

const char *const digest_names[DIGEST_KIND_MAX] = {
	[DIGEST_NONE] = "",
	[DIGEST_MD5] = "md5",
	[DIGEST_SHA1] = "sha1",
	[DIGEST_SHA256] = "sha256",
	[DIGEST_SHA512] = "sha512",
};

const size_t digest_lengths[DIGEST_KIND_MAX] = {
	[DIGEST_MD5] = 16,
	[DIGEST_SHA1] = 20,
	[DIGEST_SHA256] = 32,
	[DIGEST_SHA512] = 64,
};

/* What was refused and why; the sentence is built where the error is found. */
struct parser {
	const struct addline_rules *rules;
	struct buf reason;
};

/* Part of the user's text in a sentence, which must stay one short line. */
static void add_excerpt(struct buf *out, const char *text)
{
	size_t len = strnlen(text, EXCERPT_MAX + 1);

	buf_addc(out, '\'');
	for (size_t i = 0; i < len && i < EXCERPT_MAX; i++) {
		size_t control = text_control(text + i);

		buf_addc(out, control ? '?' : text[i]);
		i += control > 1;
	}
	buf_adds(out, len > EXCERPT_MAX ? "...'" : "'");
}

/* What is refused is read by more than its author. It need not be a URL, so where a password in it ends
 * nobody can say, only that it ends before the last '@'. */
static int refuse(struct parser *p, int err, const char *subject, const char *sentence)
{
	const char *at = subject ? strrchr(subject, '@') : NULL;

	if (subject)
		add_excerpt(&p->reason, at ? at + 1 : subject);
	buf_printf(&p->reason, "%s%s", subject ? " " : "", sentence);
	return err;
}

static void extra_free(struct source_extra *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->nmirrors; i++)
		free(x->mirrors[i]);
	free(x->mirrors);
	free(x->ranges);
	free(x);
}

void source_release(struct source *s)
{
	free(s->url);
	extra_free(s->extra);
	*s = (struct source){ 0 };
}

static void addition_release(struct addition *a)
{
	free(a->path);
	source_release(&a->source);
}

void additions_release(struct additions *a)
{
	for (size_t i = 0; i < a->n; i++)
		addition_release(&a->v[i]);
	free(a->v);
	*a = (struct additions){ 0 };
}

/* --- fields ------------------------------------------------------------------------------------ */

struct field {
	char *text; /* NULL: no more */
	bool quoted;
};

/* Unescapes up to the closing quote, in place. P is behind the opening one. */
static int unquote(struct parser *parser, char *p, char **ret_end)
{
	char *out = p;

	for (; *p && *p != '"'; p++) {
		if (*p == '\\') {
			p++;
			if (*p != '"' && *p != '\\')
				return refuse(parser, -EINVAL, NULL,
					"in quotes a backslash stands only before \" or another backslash");
		}
		*out++ = *p;
	}
	if (!*p)
		return refuse(parser, -EINVAL, NULL, "a quote is not closed");
	p++;
	if (*p && !char_is_blank(*p))
		return refuse(parser, -EINVAL, NULL, "a closing quote must be followed by a blank");
	*ret_end = *p ? p + 1 : p;
	*out = '\0';
	return 0;
}

/* The next field of the line at *CURSOR, which moves behind it. */
static int next_field(struct parser *parser, char **cursor, struct field *ret)
{
	char *p = *cursor;
	int err;

	while (char_is_blank(*p))
		p++;
	*ret = (struct field){ 0 };
	if (!*p) {
		*cursor = p;
		return 0;
	}
	if (*p == '"') {
		err = unquote(parser, p + 1, cursor);
		if (err)
			return err;
		*ret = (struct field){ p + 1, true };
		return 0;
	}
	ret->text = p;
	p += strcspn(p, " \t");
	*cursor = *p ? p + 1 : p;
	*p = '\0';
	return 0;
}

/* --- KEY=VALUE --------------------------------------------------------------------------------- */

static int check_url(struct parser *p, const char *url)
{
	cleanup_free char *shown = NULL;

	if (!url_check(url, p->rules->schemes))
		return 0;
	if (strlen(url) > URL_LEN_MAX)
		return refuse(p, -EINVAL, url, "is too long for a URL");
	if (url_check(url, NULL))
		return refuse(p, -EINVAL, url, "is not a URL like https://host/path");
	if (url_display(url, &shown) < 0)
		return -ENOMEM;
	add_excerpt(&p->reason, shown);
	buf_printf(&p->reason, " has a scheme that is not allowed; allowed: %s", p->rules->schemes);
	return -EINVAL;
}

static int set_digest(struct parser *p, struct source_extra *x, const char *key, const char *value)
{
	enum digest_kind kind = DIGEST_NONE;

	while (strcmp(digest_names[kind], key) != 0)
		kind++;
	if (x->digest_kind != DIGEST_NONE)
		return refuse(p, -EINVAL, NULL, "only one checksum per file can be given");
	if (parse_hex(value, x->digest, digest_lengths[kind])) {
		buf_printf(&p->reason, "%s= takes %zu hex digits", key, 2 * digest_lengths[kind]);
		return -EINVAL;
	}
	x->digest_kind = kind;
	return 0;
}

static int set_size(struct parser *p, struct source_extra *x, const char *key, const char *value)
{
	uint64_t size;
	int err = parse_u64(value, &size);

	if (x->size != SIZE_UNKNOWN)
		return refuse(p, -EINVAL, NULL, "size= is given twice");
	if (err == -EINVAL)
		return refuse(p, err, NULL, "size= takes a number of bytes");
	if (err || size > OFFSET_MAX)
		return refuse(p, -ERANGE, NULL, "size= is too large");
	if (size > p->rules->size_max)
		return refuse(p, -ERANGE, NULL, "size= is above [security] max_file_size");
	x->size = size;
	return 0;
}

static int add_mirror(struct parser *p, struct source_extra *x, const char *key, const char *value)
{
	char **mirrors;
	int err = check_url(p, value);

	if (err)
		return err;
	if (x->nmirrors == MIRRORS_MAX)
		return refuse(p, -EINVAL, NULL, "too many mirrors for one file");
	mirrors = reallocarray(x->mirrors, x->nmirrors + 1, sizeof(*mirrors));
	if (!mirrors)
		return -ENOMEM;
	x->mirrors = mirrors;
	mirrors[x->nmirrors] = strdup(value);
	if (!mirrors[x->nmirrors])
		return -ENOMEM;
	x->nmirrors++;
	return 0;
}

/* "FIRST-LAST" or "FIRST-" at *P. */
static int scan_range(struct parser *p, const char **c, struct extent *ret)
{
	uint64_t first, end = RANGE_TO_END, last = 0;
	int err = scan_u64(c, &first);

	if (!err && *(*c)++ != '-')
		err = -EINVAL;
	if (!err && char_is_digit(**c)) {
		err = scan_u64(c, &last);
		end = last + 1;
	}
	if (!err && **c && **c != ',')
		err = -EINVAL;
	if (err == -EINVAL)
		return refuse(p, err, NULL, "range= takes FIRST-LAST[,FIRST-LAST]...");
	if (err || first >= OFFSET_MAX || last >= OFFSET_MAX)
		return refuse(p, -ERANGE, NULL, "range= has a number that is too large");
	if (first >= end)
		return refuse(p, -EINVAL, NULL, "range= has a part whose end is before its beginning");
	*ret = (struct extent){ first, end };
	return 0;
}

static int add_range(struct parser *p, struct source_extra *x, size_t *cap, struct extents *seen,
	struct extent range)
{
	struct extent gap;

	if (x->nranges == p->rules->ranges_max)
		return refuse(p, -EOVERFLOW, NULL, "more ranges than [limits] ranges_per_file allows");
	if (!extents_gap(seen, range.first, range.end, &gap) || gap.first != range.first ||
	    gap.end != range.end)
		return refuse(p, -EINVAL, NULL, "range= has parts that overlap");
	if (x->nranges == *cap) {
		size_t grown = *cap ? *cap * 2 : 4;
		struct extent *v = reallocarray(x->ranges, grown, sizeof(*v));

		if (!v)
			return -ENOMEM;
		x->ranges = v;
		*cap = grown;
	}
	x->ranges[x->nranges++] = range;
	return extents_add(seen, range.first, range.end);
}

static int set_ranges(struct parser *p, struct source_extra *x, const char *key, const char *value)
{
	struct extents seen = { 0 };
	struct extent range;
	size_t cap = 0;
	int err;

	if (x->nranges)
		return refuse(p, -EINVAL, NULL, "range= is given twice");
	for (;;) {
		err = scan_range(p, &value, &range);
		if (!err)
			err = add_range(p, x, &cap, &seen, range);
		if (err || !*value)
			break;
		value++;
	}
	extents_release(&seen);
	return err;
}

static const struct key {
	const char *name;
	int (*set)(struct parser *p, struct source_extra *x, const char *key, const char *value);
} keys[] = {
	{ "sha256", set_digest }, { "sha512", set_digest }, { "sha1", set_digest }, { "md5", set_digest },
	{ "size", set_size },     { "mirror", add_mirror }, { "range", set_ranges },
};

/* Whether FIELD looks like KEY=VALUE: a word of small letters and digits, and '='. */
static bool is_assignment(const char *field)
{
	size_t n = 0;

	while (char_is_digit(field[n]) || (field[n] >= 'a' && field[n] <= 'z'))
		n++;
	return n > 0 && field[n] == '=';
}

static int take_assignment(struct parser *p, char *field, struct source *s)
{
	char *value = strchr(field, '=') + 1;

	value[-1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(field, keys[i].name) != 0)
			continue;
		if (!s->extra) {
			s->extra = calloc(1, sizeof(*s->extra));
			if (!s->extra)
				return -ENOMEM;
			s->extra->size = SIZE_UNKNOWN;
		}
		return keys[i].set(p, s->extra, field, value);
	}
	return refuse(p, -EINVAL, field,
		"is not a key; there are sha256 sha512 sha1 md5 size mirror range (quote a name with '=')");
}

static int take_assignments(struct parser *p, char *cursor, struct field field, struct source *s)
{
	int err = 0;

	while (!err && field.text) {
		if (!is_assignment(field.text))
			return refuse(p, -EINVAL, field.text,
				"is neither URL nor NAME nor KEY=VALUE (quote a name with blanks)");
		err = take_assignment(p, field.text, s);
		if (!err)
			err = next_field(p, &cursor, &field);
	}
	return err;
}

/* --- lines ------------------------------------------------------------------------------------- */

static int take_name(struct parser *p, const char *name, struct addition *a)
{
	int err = name ? 0 : name_from_url(a->source.url, &a->path);

	if (err)
		return err;
	if (name) {
		a->path = strdup(name);
		if (!a->path)
			return -ENOMEM;
	}
	if (name_check_path(a->path))
		return refuse(p, -EINVAL, a->path,
			"is not a name: a relative path without '.' and '..', not below .xferfs");
	return 0;
}

/* A line that is neither empty nor a comment. */
static int parse_line(struct parser *p, char *line, struct addition *a)
{
	struct field url, field;
	const char *name = NULL;
	int err = next_field(p, &line, &url);

	if (!err)
		err = check_url(p, url.text);
	if (!err)
		err = next_field(p, &line, &field);
	if (err)
		return err;
	a->source.url = strdup(url.text);
	if (!a->source.url)
		return -ENOMEM;
	if (field.text && (field.quoted || !is_assignment(field.text))) {
		name = field.text;
		err = next_field(p, &line, &field);
	}
	if (!err)
		err = take_name(p, name, a);
	return err ? err : take_assignments(p, line, field, &a->source);
}

static int append_line(struct parser *p, char *line, struct additions *list)
{
	struct addition a = { 0 };
	int err;

	if (vector_room(list->v, list->cap, list->n + 1) < 0)
		return -ENOMEM;
	err = parse_line(p, line, &a);
	if (err) {
		addition_release(&a);
		return err;
	}
	list->v[list->n++] = a;
	return 0;
}

static int parse_lines(struct parser *p, char *text, size_t len, struct additions *list,
	size_t *ret_number)
{
	char *line = text, *end = text + len;

	for (*ret_number = 1; line < end; ++*ret_number) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		char *stop = newline ? newline : end;
		int err = 0;

		if (memchr(line, '\0', (size_t)(stop - line)))
			return refuse(p, -EINVAL, NULL, "a NUL byte");
		if (stop > line && stop[-1] == '\r')
			stop[-1] = '\0';
		*stop = '\0';
		line += strspn(line, " \t");
		if (*line && *line != '#')
			err = append_line(p, line, list);
		if (err)
			return err;
		line = stop + 1;
	}
	return 0;
}

static char *reason_of_line(size_t number, struct buf *reason)
{
	cleanup_buf struct buf b = { 0 };

	if (!reason->len || reason->failed)
		return NULL;
	buf_printf(&b, "line %zu: %s", number, reason->data);
	return buf_steal(&b);
}

int addline_parse(const char *text, size_t len, const struct addline_rules *rules,
	struct additions *ret, char **ret_reason)
{
	struct parser p = { .rules = rules };
	struct additions list = { 0 };
	cleanup_free char *copy = malloc(len + 1);
	size_t number = 0;
	int err = -ENOMEM;

	if (copy) {
		memcpy(copy, text, len);
		copy[len] = '\0';
		err = parse_lines(&p, copy, len, &list, &number);
	}
	if (err) {
		additions_release(&list);
		*ret_reason = reason_of_line(number, &p.reason);
	} else {
		*ret = list;
	}
	buf_release(&p.reason);
	return err;
}

/* --- the store's form -------------------------------------------------------------------------- */

static void format_ranges(const struct source_extra *x, struct buf *out)
{
	for (size_t i = 0; i < x->nranges; i++) {
		buf_printf(out, "%s%" PRIu64 "-", i ? "," : " range=", x->ranges[i].first);
		if (x->ranges[i].end != RANGE_TO_END)
			buf_printf(out, "%" PRIu64, x->ranges[i].end - 1);
	}
}

/* No value can contain a blank, so none needs quotes: URLs were checked, the rest are digits. */
int addline_format_extra(const struct source *s, char **ret_text)
{
	const struct source_extra *x = s->extra;
	cleanup_buf struct buf b = { 0 };

	buf_adds(&b, "");
	if (x && x->digest_kind != DIGEST_NONE) {
		buf_printf(&b, " %s=", digest_names[x->digest_kind]);
		for (size_t i = 0; i < digest_lengths[x->digest_kind]; i++)
			buf_printf(&b, "%02x", x->digest[i]);
	}
	if (x && x->size != SIZE_UNKNOWN)
		buf_printf(&b, " size=%" PRIu64, x->size);
	for (size_t i = 0; x && i < x->nmirrors; i++)
		buf_printf(&b, " mirror=%s", x->mirrors[i]);
	if (x)
		format_ranges(x, &b);
	if (b.failed)
		return -ENOMEM;
	*ret_text = buf_steal(&b);
	return 0;
}

int addline_parse_extra(const char *text, struct source *s)
{
	/* The configuration may have changed since: what was accepted once stays. */
	static const struct addline_rules any = { .ranges_max = SIZE_MAX, .size_max = LIMIT_MAX };
	struct parser p = { .rules = &any };
	struct source parsed = { 0 };
	cleanup_free char *copy = strdup(text);
	char *cursor = copy;
	struct field field;
	int err = copy ? next_field(&p, &cursor, &field) : -ENOMEM;

	if (!err)
		err = take_assignments(&p, cursor, field, &parsed);
	buf_release(&p.reason);
	if (err) {
		source_release(&parsed);
		return err;
	}
	s->extra = parsed.extra;
	return 0;
}
