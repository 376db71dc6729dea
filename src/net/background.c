#include "net/background.h"

#include <linux/tcp.h> /* tcp_info of the kernel: glibc's ends before tcpi_min_rtt */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define TOS_LOWER_EFFORT (1 << 2) /* the codepoint 000001, above two bits of ECN */

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
	int clamp = (int)(window < YIELD_CEILING ? window : YIELD_CEILING);

	setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, sizeof clamp);
}

/* Who only receives learns nothing from its own data: the kernel's estimate as a receiver counts, from
 * the echoes of timestamps. What the request took is a shortest time all the same. */
static uint32_t round_trip(int fd, uint32_t *ret_shortest)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	*ret_shortest = info.tcpi_min_rtt ? info.tcpi_min_rtt : UINT32_MAX;
	return info.tcpi_rcv_rtt;
}

static void set_low(struct background *b, int fd, bool low, int64_t now)
{
	bool held = background_holds(b);

	mark(fd, low);
	b->low = low;
	if (held)
		offer(fd, YIELD_FREE);
	yield_init(&b->yield, now);
}

void background_open(struct background *b, int fd, bool low)
{
	*b = (struct background){ .low = low };
	if (low)
		set_low(b, fd, true, 0);
}

bool background_tick(struct background *b, int fd, bool low, int64_t now, uint64_t bytes, int64_t gap)
{
	struct yield_sample s = { .now = now, .bytes = bytes, .gap = gap };
	uint32_t shortest = UINT32_MAX;

	if (low != b->low)
		set_low(b, fd, low, now);
	if (!low || b->loopback || now - b->yield.sampled_at < YIELD_INTERVAL)
		return false;
	if (!b->known)
		b->loopback = is_loopback(fd);
	b->known = true;
	if (b->loopback)
		return false;
	s.rtt_us = round_trip(fd, &shortest);
	if (shortest < b->yield.next_base_us)
		b->yield.next_base_us = shortest;
	if (yield_step(&b->yield, &s))
		offer(fd, b->yield.window);
	return true;
}
