/* All properties of a job at once: made, copied, released, and as text for the store. Only the table
 * in props.c knows which there are.
 */
#include "model/job.h"

#include "base/buf.h"
#include "model/chars.h"

#include <errno.h>
#include <string.h>

static void *field_of(const struct prop_rule *p, struct props *props)
{
	return (char *)props + p->offset;
}

static const void *value_of(const struct prop_rule *p, const struct props *props)
{
	return (const char *)props + p->offset;
}

int props_init(struct props *p)
{
	const char *reason;

	*p = (struct props){ 0 };
	for (size_t i = 0; i < prop_count; i++) {
		int err = prop_rules[i].set(&prop_rules[i], p, prop_rules[i].preset, &reason);

		if (err)
			return err;
	}
	return 0;
}

void props_release(struct props *p)
{
	for (size_t i = 0; i < prop_count; i++) {
		if (prop_rules[i].text)
			free(*(char **)field_of(&prop_rules[i], p));
	}
	*p = (struct props){ 0 };
}

int props_copy(const struct props *p, struct props *ret)
{
	struct props copy = *p;
	bool failed = false;

	for (size_t i = 0; i < prop_count; i++) {
		const struct prop_rule *r = &prop_rules[i];
		const char *text;

		if (!r->text)
			continue;
		text = *(char *const *)value_of(r, p);
		*(char **)field_of(r, &copy) = text ? strdup(text) : NULL;
		failed |= text && !*(char **)field_of(r, &copy);
	}
	if (failed) {
		props_release(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

static void add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '%' || *text == '\n')
			buf_printf(out, "%%%02X", (unsigned)*text);
		else
			buf_addc(out, *text);
	}
}

/* The value as `set` takes it back, secrets too; NULL when it is the default. */
static const char *stored_value(const struct prop_rule *r, const struct props *p, struct buf *scratch)
{
	if (r->text)
		return *(char *const *)value_of(r, p);
	buf_reset(scratch);
	/* Not `show` for words: what `metered` shows depends on the priority, what was set does not. */
	if (r->words)
		buf_adds(scratch, r->words[*(const uint8_t *)value_of(r, p)]);
	else
		r->show(r, p, scratch);
	return scratch->data && strcmp(scratch->data, r->preset) == 0 ? NULL : scratch->data;
}

int props_format(const struct props *p, char **ret_text)
{
	cleanup_buf struct buf b = { 0 }, scratch = { 0 };

	buf_adds(&b, "");
	for (size_t i = 0; i < prop_count; i++) {
		const char *value = stored_value(&prop_rules[i], p, &scratch);

		if (scratch.failed)
			return -ENOMEM;
		if (!value)
			continue;
		buf_printf(&b, "%s ", prop_rules[i].name);
		add_escaped(&b, value);
		buf_addc(&b, '\n');
	}
	if (b.failed)
		return -ENOMEM;
	*ret_text = buf_steal(&b);
	return 0;
}

/* "%25" and "%0A" back, in place. */
static int unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (*text == '%') {
			if (char_hex(text[1]) < 0 || char_hex(text[2]) < 0)
				return -EINVAL;
			*out = (char)(char_hex(text[1]) << 4 | char_hex(text[2]));
			if (!*out++)
				return -EINVAL;
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
	return 0;
}

static int parse_line(char *line, struct props *p)
{
	char *space = strchr(line, ' ');
	const struct prop_rule *r;
	const char *reason;
	int err;

	if (!space)
		return -EINVAL;
	*space = '\0';
	r = prop_find(line);
	err = r ? unescape(space + 1) : -EINVAL;
	return err ? err : r->set(r, p, space + 1, &reason);
}

int props_parse(const char *text, struct props *p)
{
	cleanup_free char *copy = strdup(text);
	struct props parsed;
	int err = copy ? props_init(&parsed) : -ENOMEM;
	char *line = copy;

	if (err)
		return err;
	while (!err && *line) {
		char *end = line + strcspn(line, "\n");
		char *next = *end ? end + 1 : end;

		*end = '\0';
		err = parse_line(line, &parsed);
		line = next;
	}
	if (err) {
		props_release(&parsed);
		return err;
	}
	props_release(p);
	*p = parsed;
	return 0;
}
