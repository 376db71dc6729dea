#include "net/background.h"

#include <linux/tcp.h> /* tcp_info of the kernel: glibc's ends before tcpi_min_rtt */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define TOS_LOWER_EFFORT (1 << 2) /* the codepoint 000001, above two bits of ECN */

#define CLAMP_NONE (1 << 30) /* more than any window */

struct measure {
	uint32_t rtt_us, shortest_us;
	uint32_t offered;             /* the window at most */
};

static void mark(int fd, bool low)
{
	int tos = low ? TOS_LOWER_EFFORT : 0;

	/* One of them fails, by family: so be it. A socket for both families has both. */
	setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
	setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
}

static bool is_loopback(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;

	if (getpeername(fd, (struct sockaddr *)&a, &len) < 0)
		return false;
	if (a.ss_family == AF_INET)
		return (ntohl(((struct sockaddr_in *)&a)->sin_addr.s_addr) >> 24) == 127;
	return a.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&a)->sin6_addr);
}

static void offer(int fd, uint64_t window)
{
	int clamp = window < CLAMP_NONE ? (int)window : CLAMP_NONE;

	setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, sizeof clamp);
}

/* Who only receives learns nothing from its own data: the kernel's estimate as a receiver counts, from
 * the echoes of timestamps. What the request took is a shortest time all the same. */
static struct measure measure(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return (struct measure){ .shortest_us = UINT32_MAX };
	return (struct measure){ .rtt_us = info.tcpi_rcv_rtt, .offered = info.tcpi_rcv_ssthresh,
		.shortest_us = info.tcpi_min_rtt ? info.tcpi_min_rtt : UINT32_MAX };
}

static uint64_t window_of(const struct background *b)
{
	uint64_t yields = b->low ? b->yield.window : YIELD_FREE;

	return b->hold.window < yields ? b->hold.window : yields;
}

static void set_low(struct background *b, int fd, bool low, int64_t now)
{
	mark(fd, low);
	b->low = low;
	yield_init(&b->yield, now);
}

void background_open(struct background *b, int fd, bool low)
{
	*b = (struct background){ 0 };
	hold_init(&b->hold);
	if (low)
		set_low(b, fd, true, 0);
}

static void take_portion(struct background *b, struct portion p, const struct measure *m)
{
	if (p.step == b->step)
		return;
	b->step = p.step;
	if (p.bounded)
		hold_step(&b->hold, (double)p.factor, m->rtt_us, m->offered);
	else
		hold_init(&b->hold);
}

static void count(struct background *b, const struct background_tick *t)
{
	/* No file came over it for a while: what was counted is of another time. */
	if (t->now - b->ticked_at > 2 * YIELD_INTERVAL) {
		b->since = b->ticked_at = b->yield.sampled_at = t->now;
		b->bytes = 0;
		b->gap = 0;
		hold_init(&b->hold);
		return;
	}
	b->ticked_at = t->now;
	b->bytes += t->bytes;
	hold_moved(&b->hold, t->bytes);
	b->gap = t->gap > b->gap ? t->gap : b->gap;
}

static void sample(struct background *b, int64_t now, const struct measure *m)
{
	struct yield_sample s = { .now = now, .rtt_us = m->rtt_us, .bytes = b->bytes, .gap = b->gap };

	hold_sample(&b->hold, b->bytes, now - b->since);
	b->since = now;
	b->bytes = 0;
	b->gap = 0;
	if (!b->low)
		return;
	if (m->shortest_us < b->yield.next_base_us)
		b->yield.next_base_us = m->shortest_us;
	yield_step(&b->yield, &s);
}

uint32_t background_tick(struct background *b, int fd, const struct background_tick *t)
{
	uint64_t window = window_of(b);
	struct measure m;
	bool due;

	if (t->low != b->low)
		set_low(b, fd, t->low, t->now);
	if (!b->known)
		b->loopback = is_loopback(fd);
	b->known = true;
	if (b->loopback)
		return 0;
	count(b, t);
	due = t->now - b->since >= YIELD_INTERVAL;
	if (!due && t->portion.step == b->step)
		return 0;
	m = measure(fd);
	if (due)
		sample(b, t->now, &m);
	take_portion(b, t->portion, &m);
	/* The kernel forgets it when it makes the buffer larger. */
	if (window_of(b) != window || m.offered > window)
		offer(fd, window_of(b));
	return m.rtt_us;
}
