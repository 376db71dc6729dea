/* Where a file can be had: the cache in front of the origin, the origin, its mirrors. */
#include "net/transfer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* A cache gets no secrets; and since it speaks plain http, what the user asked for over https goes
 * through it only when a checksum proves the result. */
static bool may_use_cache(const struct fetch *f)
{
	const struct fetch_options *o = f->options;
	const char *authority = strstr(f->url, "://");

	if (o && (o->headers || o->credentials || o->client_certificate))
		return false;
	if (!authority || memchr(authority, '@', strcspn(authority + 3, "/?#") + 3))
		return false;
	return strncasecmp(f->url, "http:", 5) == 0 ||
	       (strncasecmp(f->url, "https:", 6) == 0 && f->digest_kind != DIGEST_NONE);
}

static int add_cache(struct transfer *t, struct site *s, const char *host)
{
	const char *authority = strstr(t->fetch->url, "://") + 3;
	const char *path = authority + strcspn(authority, "/?#");

	if (asprintf(&s->own, "http://%s%s%s", host, *path == '/' ? "" : "/", path) < 0) {
		s->own = NULL;
		return -ENOMEM;
	}
	s->url = s->own;
	s->cache = true;
	return 0;
}

int sites_init(struct transfer *t, const char *cache_host)
{
	const struct fetch *f = t->fetch;
	struct site *s;

	t->sites = s = calloc(f->nmirrors + 2, sizeof *s);
	if (!s)
		return -ENOMEM;
	if (cache_host && may_use_cache(f)) {
		if (add_cache(t, s, cache_host) < 0)
			return -ENOMEM;
		t->nsites++;
		s++;
	}
	s->url = f->url;
	t->nsites++;
	for (size_t i = 0; i < f->nmirrors; i++) {
		s[i + 1].url = f->mirrors[i];
		s[i + 1].mirror = true;
		t->nsites++;
	}
	for (size_t i = 0; f->validator && i < t->nsites; i++) {
		if (t->sites[i].mirror)
			continue;
		t->sites[i].validator = strdup(f->validator);
		if (!t->sites[i].validator)
			return -ENOMEM;
	}
	return 0;
}

void sites_release(struct transfer *t)
{
	for (size_t i = 0; i < t->nsites; i++) {
		free(t->sites[i].own);
		free(t->sites[i].moved);
		free(t->sites[i].validator);
	}
	free(t->sites);
	t->sites = NULL;
	t->nsites = 0;
}

struct site *sites_pick(struct transfer *t)
{
	struct site *best = NULL;

	for (size_t i = 0; i < t->nsites; i++) {
		struct site *s = &t->sites[i];

		if (!s->dead && (!best || s->connections < best->connections))
			best = s;
		/* While a cache answers, the origin is left alone. */
		if (best && best->cache)
			break;
	}
	return best;
}
