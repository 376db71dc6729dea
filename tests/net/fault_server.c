#include "fault_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536u

struct visit {
	struct fault_server *server;
	int fd;
};

uint8_t fault_byte(unsigned version, uint64_t offset)
{
	uint64_t x = (offset + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint8_t)((x >> 56) + version * 101);
}

struct page *fault_page(struct fault_server *s, const char *path)
{
	for (unsigned i = 0; i < s->npages; i++)
		if (strcmp(s->pages[i].path, path) == 0)
			return &s->pages[i];
	return NULL;
}

unsigned fault_hits(struct fault_server *s, const char *path)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = fault_page(s, path)->hits;
	pthread_mutex_unlock(&s->lock);
	return n;
}

bool fault_asked(struct fault_server *s, const char *path, const char *text)
{
	bool found;

	pthread_mutex_lock(&s->lock);
	found = strcasestr(fault_page(s, path)->request, text) != NULL;
	pthread_mutex_unlock(&s->lock);
	return found;
}

static bool send_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_text(int fd, const char *text)
{
	return send_all(fd, text, strlen(text));
}

/* Until the client goes away, or the server stops. */
static void stall(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	poll(&p, 1, -1);
}

/* One answer's facts, decided under the lock. */
struct reply {
	uint64_t first, end, total;
	unsigned version;
	bool partial, unsatisfied, refused, stalls;
	char etag[64];
};

static uint64_t number_after(const char *text, const char *key, uint64_t otherwise)
{
	const char *at = strcasestr(text, key);
	char *end;
	uint64_t n;

	if (!at)
		return otherwise;
	n = strtoull(at + strlen(key), &end, 10);
	return end == at + strlen(key) ? otherwise : n;
}

static bool if_range_fails(const struct page *p, const char *request, const char *etag)
{
	const char *at = strcasestr(request, "\r\nIf-Range: ");
	const char *now = p->modified ? p->modified : etag;

	return at && !(p->flags & PAGE_IGNORE_IF_RANGE) && strncmp(at + 12, now, strlen(now)) != 0;
}

static void decide(struct page *p, const char *request, struct reply *r)
{
	const char *range = strcasestr(request, "\r\nRange: bytes=");
	const char *dash;

	snprintf(p->request, sizeof p->request, "%s", request);
	if (p->change_after && p->hits == p->change_after)
		p->version++;
	p->hits++;
	p->active++;
	if (p->active > p->active_max)
		p->active_max = p->active;
	*r = (struct reply){ .end = p->size, .total = p->size, .version = p->version };
	r->refused = p->refuse_above && p->active > p->refuse_above;
	r->stalls = p->stall_after && (!p->stalls || p->stalled < p->stalls);
	p->stalled += r->stalls;
	if (p->etag)
		snprintf(r->etag, sizeof r->etag, "%s", p->etag);
	else
		snprintf(r->etag, sizeof r->etag, "\"v%u\"", p->version);
	if (!range || (p->flags & PAGE_NO_RANGES) || if_range_fails(p, request, r->etag))
		return;
	r->partial = true;
	r->first = number_after(request, "\r\nRange: bytes=", 0);
	dash = strchr(range, '-');
	if (dash && dash[1] >= '0' && dash[1] <= '9')
		r->end = strtoull(dash + 1, NULL, 10) + 1;
	if (r->end > p->size)
		r->end = p->size;
	r->unsatisfied = r->first >= p->size;
	if (p->flags & PAGE_WRONG_OFFSET && r->first)
		r->first--;
	if (p->flags & PAGE_WRONG_TOTAL)
		r->total++;
}

static bool send_head(int fd, const struct page *p, const struct reply *r)
{
	char head[2048];
	size_t n = 0;
	time_t t = time(NULL);
	struct tm tm;

	gmtime_r(&t, &tm);
#define ADD(...) n += (size_t)snprintf(head + n, sizeof head - n, __VA_ARGS__)
	ADD("HTTP/1.1 %s\r\n", r->unsatisfied ? "416 No" : r->partial ? "206 Part" : "200 OK");
	n += strftime(head + n, sizeof head - n, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	if (r->unsatisfied) {
		ADD("Content-Range: bytes */%" PRIu64 "\r\nContent-Length: 0\r\n\r\n", r->total);
		return send_all(fd, head, n);
	}
	if (r->partial)
		ADD("Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", r->first, r->end - 1, r->total);
	if (!(p->flags & (PAGE_NO_RANGES | PAGE_CHUNKED)))
		ADD("Accept-Ranges: bytes\r\n");
	if (p->modified)
		ADD("Last-Modified: %s\r\n", p->modified);
	else if (!(p->flags & PAGE_NO_VALIDATOR))
		ADD("ETag: %s\r\n", r->etag);
	if (p->header)
		ADD("%s\r\n", p->header);
	if (p->flags & PAGE_CHUNKED)
		ADD("Transfer-Encoding: chunked\r\n");
	else if (p->flags & PAGE_NO_LENGTH)
		ADD("Connection: close\r\n");
	else
		ADD("Content-Length: %" PRIu64 "\r\n", r->end - r->first);
	ADD("\r\n");
#undef ADD
	return send_all(fd, head, n);
}

static bool send_body(int fd, const struct page *p, const struct reply *r)
{
	uint64_t sent = 0, all = r->end - r->first, piece;
	char *data = malloc(PIECE), size[24];
	bool ok = true;

	assert(data);
	while (ok && sent < all) {
		piece = all - sent < PIECE ? all - sent : PIECE;
		if (p->rate && piece > p->rate / 20)
			piece = p->rate / 20;
		if (p->cut_after && piece > p->cut_after - sent)
			piece = p->cut_after - sent;
		if (r->stalls && piece > p->stall_after - sent)
			piece = p->stall_after - sent;
		for (uint64_t i = 0; i < piece; i++)
			data[i] = (char)fault_byte(r->version, r->first + sent + i);
		snprintf(size, sizeof size, "%" PRIx64 "\r\n", piece);
		ok = (!(p->flags & PAGE_CHUNKED) || send_text(fd, size)) && send_all(fd, data, piece) &&
		     (!(p->flags & PAGE_CHUNKED) || send_text(fd, "\r\n"));
		sent += piece;
		if (ok && p->cut_after && sent == p->cut_after)
			ok = false;
		if (ok && r->stalls && sent == p->stall_after) {
			stall(fd);
			ok = false;
		}
		/* A line's speed is made of sleeping: the one thing here that takes time by design. */
		if (ok && p->rate)
			nanosleep(&(struct timespec){ .tv_nsec = (long)(piece * 1000000000 / p->rate) }, NULL);
	}
	free(data);
	if (ok && (p->flags & PAGE_CHUNKED))
		ok = send_text(fd, "0\r\n\r\n");
	return ok && !(p->flags & PAGE_NO_LENGTH);
}

static bool send_error(int fd, int status, const struct page *p)
{
	char text[1024];

	snprintf(text, sizeof text, "HTTP/1.1 %d Oops\r\n%s%s%s%s%sContent-Length: 11\r\n\r\nerror page\n", status,
		p && p->location ? "Location: " : "", p && p->location ? p->location : "",
		p && p->location ? "\r\n" : "", p && p->header ? p->header : "", p && p->header ? "\r\n" : "");
	return send_text(fd, text);
}

static bool answer(struct fault_server *s, int fd, const char *request)
{
	char path[1024];
	struct page *p;
	struct reply r;
	bool keep;

	if (sscanf(request, "GET %1000s", path) != 1)
		return false;
	p = fault_page(s, path);
	if (!p)
		return send_error(fd, 404, NULL);
	pthread_mutex_lock(&s->lock);
	decide(p, request, &r);
	pthread_mutex_unlock(&s->lock);
	if (r.refused)
		keep = send_error(fd, 503, NULL);
	else if (p->flags & PAGE_AUTH && !strcasestr(request, "\r\nAuthorization: "))
		keep = send_text(fd, "HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
	else if (p->status)
		keep = send_error(fd, p->status, p);
	else
		keep = send_head(fd, p, &r) && (r.unsatisfied || send_body(fd, p, &r));
	pthread_mutex_lock(&s->lock);
	p->active--;
	pthread_mutex_unlock(&s->lock);
	return keep;
}

static void serve(struct fault_server *s, int fd)
{
	char request[4096];
	size_t len = 0;

	for (;;) {
		char *end;
		ssize_t n = recv(fd, request + len, sizeof request - 1 - len, 0);

		if (n <= 0)
			return;
		len += (size_t)n;
		request[len] = '\0';
		end = strstr(request, "\r\n\r\n");
		if (!end)
			continue;
		if (!answer(s, fd, request))
			return;
		len = 0; /* no pipelining */
	}
}

static void *visit(void *arg)
{
	struct visit v = *(struct visit *)arg;
	struct fault_server *s = v.server;

	free(arg);
	serve(s, v.fd);
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->connections; i++)
		if (s->fds[i] == v.fd)
			s->fds[i] = s->fds[s->connections - 1];
	s->connections--;
	close(v.fd);
	pthread_cond_signal(&s->left);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct fault_server *s = arg;
	int fd;

	while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct visit *v = malloc(sizeof *v);
		pthread_t thread;

		assert(v);
		*v = (struct visit){ s, fd };
		pthread_mutex_lock(&s->lock);
		assert(s->connections < sizeof s->fds / sizeof s->fds[0]);
		s->fds[s->connections++] = fd;
		if (s->stopping)
			shutdown(fd, SHUT_RDWR);
		pthread_mutex_unlock(&s->lock);
		if (pthread_create(&thread, NULL, visit, v) != 0)
			abort();
		pthread_detach(thread);
	}
	return NULL;
}

void fault_start(struct fault_server *s, struct page *pages, unsigned npages)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;

	memset(s, 0, sizeof *s);
	s->pages = pages;
	s->npages = npages;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->left, NULL);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(s->fd, 128) == 0);
	assert(getsockname(s->fd, (struct sockaddr *)&a, &len) == 0);
	s->port = ntohs(a.sin_port);
	assert(pthread_create(&s->thread, NULL, accept_all, s) == 0);
}

void fault_stop(struct fault_server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	for (unsigned i = 0; i < s->connections; i++)
		shutdown(s->fds[i], SHUT_RDWR);
	while (s->connections)
		pthread_cond_wait(&s->left, &s->lock);
	pthread_mutex_unlock(&s->lock);
	pthread_cond_destroy(&s->left);
	pthread_mutex_destroy(&s->lock);
}
