/* What is set on an easy handle for one request, one function per concern. The handle was reset, so
 * nothing of an earlier request, of another user perhaps, is left on it.
 */
#include "base/cleanup.h"
#include "model/url.h"
#include "net/address.h"
#include "net/home.h"
#include "net/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* One recv of libcurl; at 256 KiB and more one connection is at the limit of recv and pwrite. Memory
 * that is not reached is not touched, so a small file does not pay for it. */
#define RECEIVE_BUFFER (512L << 10)
#define NO_NETRC_FRESH (500 * NSEC_PER_MSEC)

static bool is_http_url(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static bool is_https_url(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

/* --- to whom the user's secrets may go --------------------------------------------------------------- */

static bool same_origin(const char *a, const char *b)
{
	cleanup_free char *oa = NULL, *ob = NULL;
	size_t n;

	if (url_origin(a, &oa) < 0 || url_origin(b, &ob) < 0)
		return false;
	if (strcmp(oa, ob) == 0)
		return true;
	/* The same host, from http to https on the default ports: safer than what the user asked for. */
	n = strlen(oa) - strlen(":80");
	return strncmp(oa, "http://", 7) == 0 && strcmp(oa + n, ":80") == 0 && strncmp(ob, "https://", 8) == 0 &&
	       strlen(ob) == n + 1 + strlen(":443") && strncmp(oa + 7, ob + 8, n - 7) == 0 &&
	       strcmp(ob + n + 1, ":443") == 0;
}

static bool is_own_host(const struct transfer *t, const char *url)
{
	if (same_origin(t->fetch->url, url))
		return true;
	for (size_t i = 0; i < t->fetch->nmirrors; i++)
		if (same_origin(t->fetch->mirrors[i], url))
			return true;
	return false;
}

/* --- headers ------------------------------------------------------------------------------------------ */

static int add_header(struct conn *c, const char *text)
{
	struct curl_slist *list = curl_slist_append(c->headers, text);

	if (!list)
		return -ENOMEM;
	c->headers = list;
	return 0;
}

/* Ranges are the engine's own business: a user's Range would store a part as the whole. */
static bool header_is_ours(const char *line)
{
	return strncasecmp(line, "range:", 6) == 0 || strncasecmp(line, "if-range:", 9) == 0;
}

static int add_user_header(struct conn *c, const char *text, size_t len)
{
	cleanup_free char *line = NULL;

	if (len && text[len - 1] == '\r')
		len--;
	if (len == 0 || header_is_ours(text))
		return 0;
	return asprintf(&line, "%.*s", (int)len, text) < 0 ? -ENOMEM : add_header(c, line);
}

static int add_user_headers(struct conn *c, const char *headers)
{
	int r = 0;

	while (r == 0 && headers && *headers) {
		size_t len = strcspn(headers, "\n");

		r = add_user_header(c, headers, len);
		headers += len + (headers[len] == '\n');
	}
	return r;
}

/* "Host: ORIGIN" for a cache that stands in front of it. */
static int add_origin_host(struct conn *c)
{
	const char *url = c->transfer->fetch->url, *host = strstr(url, "://") + 3;
	size_t len = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', len);
	cleanup_free char *line = NULL;

	if (at) {
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	return asprintf(&line, "Host: %.*s", (int)len, host) < 0 ? -ENOMEM : add_header(c, line);
}

static int set_range(struct conn *c)
{
	const struct transfer *t = c->transfer;
	const struct segment *g = &t->plan.v[c->slot];
	uint64_t first = transfer_remote(t, g->next);
	cleanup_free char *value = NULL, *line = NULL;
	char range[48];

	c->ranged = t->edges || g->next > 0 || t->identified;
	if (!c->ranged)
		return 0;
	if (g->end == SEGMENT_NONE || (!t->edges && g->end == t->plan.size))
		snprintf(range, sizeof range, "%llu-", (unsigned long long)first);
	else
		snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)first,
			(unsigned long long)(first + (g->end - g->next) - 1));
	curl_easy_setopt(c->easy, CURLOPT_RANGE, range);
	if (!validator_is_strong(c->site->validator))
		return 0;
	c->if_ranged = true;
	value = validator_if_range(c->site->validator);
	if (!value || asprintf(&line, "If-Range: %s", value) < 0)
		return -ENOMEM;
	return add_header(c, line);
}

static int set_http(struct conn *c, bool own)
{
	const struct fetch_options *o = c->transfer->fetch->options;
	int r = set_range(c);

	if (r == 0 && own && o)
		r = add_user_headers(c, o->headers);
	if (r == 0 && c->site->cache)
		r = add_origin_host(c);
	if (r < 0)
		return r;
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
	curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION,
		(long)(c->worker->shared->options.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	/* Who comes second waits to see whether the first one's connection can carry both. */
	curl_easy_setopt(c->easy, CURLOPT_PIPEWAIT, (long)c->worker->shared->options.http2);
	curl_easy_setopt(c->easy, CURLOPT_HTTPAUTH, (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST));
	curl_easy_setopt(c->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	return 0;
}

/* --- ftp, sftp -------------------------------------------------------------------------------------------- */

static int host_key_matches(CURL *easy, const struct curl_khkey *known, const struct curl_khkey *found,
	enum curl_khmatch match, void *arg)
{
	struct conn *c = arg;

	if (match == CURLKHMATCH_OK)
		return CURLKHSTAT_FINE;
	c->outcome = OUTCOME_TLS;
	c->text = match == CURLKHMATCH_MISMATCH
		? "the host key is another one than in ~/.ssh/known_hosts"
		: "the host key is not in ~/.ssh/known_hosts; add it with: ssh-keyscan HOST >> ~/.ssh/known_hosts";
	return CURLKHSTAT_REJECT;
}

/* The user's own key, never an agent's or the daemon's. */
static void set_ssh_key(struct conn *c, const struct fetch_options *o)
{
	static const char *const names[] = { ".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa" };
	long types = CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD;
	char path[HOME_FD_PATH_LEN];

	for (size_t i = 0; !o->shared && i < ARRAY_SIZE(names) && c->key_fd < 0; i++)
		home_open(o, names[i], &c->key_fd);
	if (c->key_fd >= 0) {
		curl_easy_setopt(c->easy, CURLOPT_SSH_PRIVATE_KEYFILE, home_fd_path(c->key_fd, path));
		types |= CURLSSH_AUTH_PUBLICKEY;
	}
	curl_easy_setopt(c->easy, CURLOPT_SSH_AUTH_TYPES, types);
}

static int set_ssh(struct conn *c)
{
	const struct fetch_options *o = c->transfer->fetch->options;
	char path[HOME_FD_PATH_LEN];

	if (!o || home_open(o, ".ssh/known_hosts", &c->known_hosts_fd) < 0) {
		c->outcome = OUTCOME_TLS;
		c->text = "there is no ~/.ssh/known_hosts; make it with: ssh-keyscan HOST >> ~/.ssh/known_hosts";
		return -EPERM;
	}
	curl_easy_setopt(c->easy, CURLOPT_SSH_KNOWNHOSTS, home_fd_path(c->known_hosts_fd, path));
	curl_easy_setopt(c->easy, CURLOPT_SSH_KEYFUNCTION, host_key_matches);
	curl_easy_setopt(c->easy, CURLOPT_SSH_KEYDATA, c);
	set_ssh_key(c, o);
	return 0;
}

static int set_ftp(struct conn *c, const char *url)
{
	const struct transfer *t = c->transfer;

	/* To the end of the file; where the segment ends the connection is cut. */
	curl_easy_setopt(c->easy, CURLOPT_RESUME_FROM_LARGE,
		(curl_off_t)transfer_remote(t, t->plan.v[c->slot].next));
	curl_easy_setopt(c->easy, CURLOPT_FILETIME, 1L);
	c->ranged = true;
	return strncasecmp(url, "sftp:", 5) == 0 ? set_ssh(c) : 0;
}

/* --- who we are -------------------------------------------------------------------------------------------- */

/* User and password of the job's URL, on a redirect within its host. */
static void keep_login(struct conn *c)
{
	CURLU *u = curl_url();
	char *user = NULL, *password = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, c->transfer->fetch->url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_USER, &user, CURLU_URLDECODE) == CURLUE_OK) {
		curl_easy_setopt(c->easy, CURLOPT_USERNAME, user);
		if (curl_url_get(u, CURLUPART_PASSWORD, &password, CURLU_URLDECODE) == CURLUE_OK)
			curl_easy_setopt(c->easy, CURLOPT_PASSWORD, password);
	}
	curl_free(user);
	curl_free(password);
	curl_url_cleanup(u);
}

/* Most users have none, and a look for it costs a small file as much as its recv: believed for a while. */
static bool open_netrc(struct conn *c, const struct fetch_options *o)
{
	struct worker *w = c->worker;
	int r;

	if (o->shared || (w->no_netrc.until > w->now && w->no_netrc.uid == o->uid))
		return false;
	r = home_open(o, ".netrc", &c->netrc_fd);
	if (r == -ENOENT) {
		w->no_netrc.uid = o->uid;
		w->no_netrc.until = w->now + NO_NETRC_FRESH;
	}
	return r == 0;
}

static void set_login(struct conn *c, bool own, const char *url)
{
	const struct fetch_options *o = c->transfer->fetch->options;
	char path[HOME_FD_PATH_LEN];

	if (!own || c->site->cache)
		return;
	if (c->url && strchr(c->transfer->fetch->url, '@') && same_origin(c->transfer->fetch->url, url))
		keep_login(c);
	if (!o)
		return;
	if (o->credentials) {
		curl_easy_setopt(c->easy, CURLOPT_USERPWD, o->credentials);
	} else if (open_netrc(c, o)) {
		curl_easy_setopt(c->easy, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
		curl_easy_setopt(c->easy, CURLOPT_NETRC_FILE, home_fd_path(c->netrc_fd, path));
	}
}

static int set_tls(struct conn *c, bool own)
{
	const struct fetch_options *o = c->transfer->fetch->options;
	const char *ca = c->worker->shared->options.ca_file;
	char path[HOME_FD_PATH_LEN];

	if (ca)
		curl_easy_setopt(c->easy, CURLOPT_CAINFO, ca);
	/* With a directory of certificates libcurl 7.88 would read the bundle anew for each connection. */
	curl_easy_setopt(c->easy, CURLOPT_CAPATH, (char *)NULL);
	if (!o || !o->client_certificate || !own)
		return 0;
	if (c->key_fd < 0 && home_open(o, o->client_certificate, &c->key_fd) < 0) {
		c->outcome = OUTCOME_TLS;
		c->text = "the client certificate cannot be read, or is not the owner's file";
		return -EPERM;
	}
	curl_easy_setopt(c->easy, CURLOPT_SSLCERT, home_fd_path(c->key_fd, path));
	curl_easy_setopt(c->easy, CURLOPT_SSLKEY, home_fd_path(c->key_fd, path));
	return 0;
}

/* --- the way there ------------------------------------------------------------------------------------------ */

static curl_socket_t open_public(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct conn *c = arg;

	if (address_is_private(&a->addr)) {
		c->outcome = OUTCOME_POLICY;
		c->text = "the address is a private one, and deny_private_addresses is set";
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* For connections that are used again: they may have been opened on other terms. */
static int check_public(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct conn *c = arg;

	if (!address_text_is_private(ip))
		return CURL_PREREQFUNC_OK;
	c->outcome = OUTCOME_POLICY;
	c->text = "the address is a private one, and deny_private_addresses is set";
	return CURL_PREREQFUNC_ABORT;
}

static void set_route(struct conn *c)
{
	const struct engine_options *e = &c->worker->shared->options;
	const struct fetch_options *o = c->transfer->fetch->options;
	const char *proxy = o && o->proxy ? o->proxy : e->proxy;

	if (c->site->cache)
		curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
	else if (proxy)
		curl_easy_setopt(c->easy, CURLOPT_PROXY, proxy);
	if (e->interface)
		curl_easy_setopt(c->easy, CURLOPT_INTERFACE, e->interface);
	/* The administrator's own cache and proxy may be private; what a user names may not. */
	if (e->deny_private_addresses && !c->site->cache && !(e->proxy && *e->proxy && proxy == e->proxy)) {
		curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETFUNCTION, open_public);
		curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETDATA, c);
		curl_easy_setopt(c->easy, CURLOPT_PREREQFUNCTION, check_public);
		curl_easy_setopt(c->easy, CURLOPT_PREREQDATA, c);
	}
}

static int check_scheme(struct conn *c, const char *url)
{
	const struct engine_options *e = &c->worker->shared->options;

	if (c->hops && !is_http_url(url)) {
		c->outcome = OUTCOME_REDIRECT;
		c->text = "the server redirects to a scheme that is not allowed";
		return -EPERM;
	}
	if (url_check(url, c->site->cache ? "http" : e->schemes) < 0) {
		c->outcome = c->hops ? OUTCOME_REDIRECT : OUTCOME_POLICY;
		c->text = "the URL is not valid, or its scheme is not allowed";
		return -EPERM;
	}
	return 0;
}

/* --- all together -------------------------------------------------------------------------------------------- */

static void set_basics(struct conn *c, const char *url)
{
	const struct shared *s = c->worker->shared;
	CURL *e = c->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* Cancelling must not wait for a getaddrinfo that hangs: its thread is left behind. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_URL, url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, s->protocols);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, conn_on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, conn_on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, conn_on_open);
	curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, c);
	curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, worker_on_close);
	curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, c->worker);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)s->options.connect_timeout_s);
	curl_easy_setopt(e, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)s->options.idle_timeout_s);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, s->options.user_agent);
	/* Of keys: without one OpenSSL would ask on the daemon's terminal, and wait. */
	curl_easy_setopt(e, CURLOPT_KEYPASSWD, "");
}

int conn_setup(struct conn *c, const char *url)
{
	bool own = !c->url || is_own_host(c->transfer, url);
	int r;

	conn_teardown(c);
	curl_easy_reset(c->easy);
	c->is_http = is_http_url(url);
	r = check_scheme(c, url);
	if (r < 0)
		return r;
	set_basics(c, url);
	set_route(c);
	set_login(c, own, url);
	r = c->is_http ? set_http(c, own && !c->site->cache) : set_ftp(c, url);
	/* ftps, and ftp over a TLS proxy: the client certificate is for the job's own hosts alone. */
	if (r == 0 && (is_https_url(url) || strncasecmp(url, "ftps:", 5) == 0))
		r = set_tls(c, own);
	return r;
}

void conn_teardown(struct conn *c)
{
	int *const fds[] = { &c->netrc_fd, &c->known_hosts_fd, &c->key_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	curl_slist_free_all(c->headers);
	c->headers = NULL;
	c->ranged = c->if_ranged = false;
}
