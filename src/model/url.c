/* scheme://[userinfo@]host[:port][/path][?query][#fragment], taken apart once by url_split; the three
 * questions are answered from the parts. The authority ends at the first of "/?#" and the userinfo at
 * its last '@', as libcurl and browsers read it: were they read otherwise here, a password could be
 * shown or the wrong host be trusted.
 */
#include "model/url.h"

#include "base/buf.h"
#include "base/parse.h"
#include "model/chars.h"
#include "model/name.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p;
	size_t len;
};

struct url_parts {
	struct span scheme, host, port; /* host with the brackets of an IPv6 address; port "" when none */
	const char *authority;          /* behind "://", with userinfo */
};

static const struct {
	const char *scheme;
	unsigned port;
} default_ports[] = {
	{ "https", 443 }, { "http", 80 }, { "ftp", 21 }, { "ftps", 990 }, { "sftp", 22 }, { "scp", 22 },
	{ "socks4", 1080 }, { "socks5", 1080 }, { "socks5h", 1080 },
};

static bool span_is(struct span s, const char *word, size_t len)
{
	if (s.len != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (char_lower(s.p[i]) != word[i])
			return false;
	}
	return true;
}

static size_t scheme_length(const char *url)
{
	size_t n = 0;

	if (!char_is_alpha(url[0]))
		return 0;
	while (char_is_alnum(url[n]) || url[n] == '+' || url[n] == '-' || url[n] == '.')
		n++;
	return n;
}

/* The end of the authority. */
static const char *authority_end(const char *authority)
{
	return authority + strcspn(authority, "/?#");
}

static const char *skip_userinfo(const char *authority)
{
	const char *at = memrchr(authority, '@', (size_t)(authority_end(authority) - authority));

	return at ? at + 1 : authority;
}

/* Only the characters that registered names are made of, and bytes of UTF-8 for international ones.
 * '%' is refused: libcurl would decode it, and the host compared here would not be the one contacted. */
static bool host_is_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!char_is_alnum(s.p[i]) && !strchr("-._~", s.p[i]) && (unsigned char)s.p[i] < 0x80)
			return false;
	}
	return s.len > 0;
}

/* "[hex:digits.and:dots%zone]" */
static bool host_is_ipv6(struct span s)
{
	size_t i = 1;
	bool colon = false;

	for (; i < s.len && (char_hex(s.p[i]) >= 0 || s.p[i] == ':' || s.p[i] == '.'); i++)
		colon |= s.p[i] == ':';
	if (i < s.len && s.p[i] == '%') {
		for (i++; i < s.len && (char_is_alnum(s.p[i]) || strchr("-._~", s.p[i])); i++)
			;
	}
	return colon && i + 1 == s.len && s.p[i] == ']';
}

static bool port_is_valid(struct span s)
{
	unsigned port = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (!char_is_digit(s.p[i]))
			return false;
		port = port * 10 + (unsigned)(s.p[i] - '0');
		if (port > UINT16_MAX)
			return false;
	}
	return s.len == 0 || port > 0;
}

static int url_split(const char *url, struct url_parts *ret)
{
	size_t scheme = scheme_length(url);
	const char *host, *end, *colon;
	struct url_parts parts = { .scheme = { url, scheme } };

	if (scheme == 0 || strncmp(url + scheme, "://", 3) != 0)
		return -EINVAL;
	parts.authority = url + scheme + 3;
	host = skip_userinfo(parts.authority);
	end = authority_end(host);
	/* Browsers take a backslash for a slash, libcurl does not: two hosts in one URL. */
	if (memchr(parts.authority, '\\', (size_t)(end - parts.authority)))
		return -EINVAL;
	if (*host == '[') {
		colon = memchr(host, ']', (size_t)(end - host));
		if (!colon || (colon + 1 < end && colon[1] != ':'))
			return -EINVAL;
		colon++;
	} else {
		colon = memchr(host, ':', (size_t)(end - host));
		if (!colon)
			colon = end;
	}
	parts.host = (struct span){ host, (size_t)(colon - host) };
	if (colon < end)
		parts.port = (struct span){ colon + 1, (size_t)(end - colon - 1) };
	if (*host == '[' ? !host_is_ipv6(parts.host) : !host_is_name(parts.host))
		return -EINVAL;
	if (!port_is_valid(parts.port))
		return -EINVAL;
	*ret = parts;
	return 0;
}

static bool scheme_allowed(struct span scheme, const char *schemes)
{
	while (*schemes) {
		size_t len = strcspn(schemes, " \t");

		if (len > 0 && span_is(scheme, schemes, len))
			return true;
		schemes += len;
		schemes += strspn(schemes, " \t");
	}
	return false;
}

int url_check(const char *url, const char *schemes)
{
	struct url_parts parts;
	size_t len = strlen(url);
	int err;

	if (len > URL_LEN_MAX || text_has_control(url) || strchr(url, ' '))
		return -EINVAL;
	err = url_split(url, &parts);
	if (err)
		return err;
	return !schemes || scheme_allowed(parts.scheme, schemes) ? 0 : -EINVAL;
}

/* Also of what url_check refuses: host:port of a proxy, and text that is to be shown. */
static const char *find_authority(const char *url)
{
	const char *authority = strstr(url, "://");

	return authority ? authority + 3 : url;
}

bool url_has_login(const char *url)
{
	const char *authority = find_authority(url);

	return skip_userinfo(authority) != authority;
}

void url_strip_login(char *url)
{
	char *authority = url + (find_authority(url) - url);
	const char *host = skip_userinfo(authority);
	size_t taken = (size_t)(host - authority), len = strlen(host) + 1;

	memmove(authority, host, len);
	memset(authority + len, 0, taken);
}

int url_display(const char *url, char **ret)
{
	cleanup_buf struct buf b = { 0 };
	const char *authority = find_authority(url);

	buf_add(&b, url, (size_t)(authority - url));
	buf_adds(&b, skip_userinfo(authority));
	if (b.failed)
		return -ENOMEM;
	*ret = buf_steal(&b);
	return 0;
}

static void add_lower(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_addc(out, char_lower(s.p[i]));
}

static int port_of(const struct url_parts *parts, unsigned *ret)
{
	unsigned port = 0;

	for (size_t i = 0; i < parts->port.len; i++)
		port = port * 10 + (unsigned)(parts->port.p[i] - '0');
	for (size_t i = 0; port == 0 && i < ARRAY_SIZE(default_ports); i++) {
		const char *scheme = default_ports[i].scheme;

		if (span_is(parts->scheme, scheme, strlen(scheme)))
			port = default_ports[i].port;
	}
	if (port == 0)
		return -EINVAL;
	*ret = port;
	return 0;
}

int url_origin(const char *url, char **ret)
{
	cleanup_buf struct buf b = { 0 };
	struct url_parts parts;
	unsigned port;
	int err;

	err = url_split(url, &parts);
	if (!err)
		err = port_of(&parts, &port);
	if (err)
		return err;
	add_lower(&b, parts.scheme);
	buf_adds(&b, "://");
	add_lower(&b, parts.host);
	buf_printf(&b, ":%u", port);
	if (b.failed)
		return -ENOMEM;
	*ret = buf_steal(&b);
	return 0;
}
