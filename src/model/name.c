/* Names that may become directory entries. What comes from a user is refused when it is unsafe; what
 * comes from a URL is made safe, because nobody chose it.
 */
#include "model/name.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "model/chars.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define RESERVED_NAME ".xferfs"
#define FALLBACK_NAME "index.html"

static int check_component(const char *name, size_t len)
{
	if (len == 0 || len > NAME_LEN_MAX)
		return -EINVAL;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '/' || text_control(name + i))
			return -EINVAL;
	}
	return 0;
}

int name_check_component(const char *name)
{
	return check_component(name, strlen(name));
}

int name_check_job(const char *name)
{
	return name[0] == '.' ? -EINVAL : name_check_component(name);
}

int name_check_path(const char *path)
{
	size_t len = strlen(path);
	const char *p = path;

	if (len >= PATH_LEN_MAX)
		return -ENAMETOOLONG;
	for (;;) {
		size_t part = strcspn(p, "/");
		int err = check_component(p, part);

		if (err)
			return part > NAME_LEN_MAX ? -ENAMETOOLONG : err;
		if (p == path && part == strlen(RESERVED_NAME) && strncmp(p, RESERVED_NAME, part) == 0)
			return -EINVAL;
		if (!p[part])
			return 0;
		p += part + 1;
	}
}

int name_check_destination(const char *path)
{
	return strcmp(path, ".") == 0 ? 0 : name_check_path(path);
}

/* LEN or a little less, so that no UTF-8 sequence is cut. */
static size_t whole_characters(const char *text, size_t len)
{
	size_t cut = len;

	while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	/* Not UTF-8 after all: four continuation bytes in a row do not occur in it. */
	return len - cut > 3 ? len : cut;
}

/* The last segment of the path: what is between the last '/' and the query or the fragment. */
static const char *last_segment(const char *url, size_t *ret_len)
{
	const char *start = strstr(url, "://"), *end, *slash;

	start = start ? start + 3 : url;
	end = start + strcspn(start, "?#");
	slash = memrchr(start, '/', (size_t)(end - start));
	start = slash ? slash + 1 : end;
	*ret_len = (size_t)(end - start);
	return start;
}

static void add_decoded(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%' && len - i > 2 && char_hex(text[i + 1]) >= 0 && char_hex(text[i + 2]) >= 0) {
			buf_addc(out, (char)(char_hex(text[i + 1]) << 4 | char_hex(text[i + 2])));
			i += 2;
		} else {
			buf_addc(out, text[i]);
		}
	}
}

int name_from_url(const char *url, char **ret_name)
{
	cleanup_buf struct buf b = { 0 };
	const char *segment, *name;
	size_t len;
	char *copy;

	segment = last_segment(url, &len);
	buf_adds(&b, "");
	add_decoded(&b, segment, len);
	if (b.failed)
		return -ENOMEM;
	for (size_t i = 0; i < b.len; i++) {
		size_t control = b.data[i] ? text_control(b.data + i) : 1;

		if (b.data[i] == '/')
			control = 1;
		memset(b.data + i, '_', control);
	}
	name = b.data + strspn(b.data, ".");
	len = strlen(name);
	if (len > NAME_LEN_MAX)
		len = whole_characters(name, NAME_LEN_MAX);
	copy = len ? strndup(name, len) : strdup(FALLBACK_NAME);
	if (!copy)
		return -ENOMEM;
	*ret_name = copy;
	return 0;
}

int name_number(const char *path, unsigned n, char **ret_path)
{
	cleanup_buf struct buf b = { 0 }, number = { 0 };
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	const char *dot = strrchr(base, '.');
	size_t len = strlen(base), stem, room;

	buf_printf(&number, ".%u", n);
	/* ".profile" has no extension, and one that leaves no room for a stem is none either. */
	if (!dot || dot == base || strlen(dot) + number.len >= NAME_LEN_MAX)
		dot = base + len;
	stem = (size_t)(dot - base);
	room = NAME_LEN_MAX - number.len - strlen(dot);
	if (stem > room)
		stem = whole_characters(base, room);
	buf_add(&b, path, (size_t)(base - path) + stem);
	buf_adds(&b, number.data ? number.data : "");
	buf_adds(&b, dot);
	if (b.failed || number.failed)
		return -ENOMEM;
	*ret_path = buf_steal(&b);
	return 0;
}
