#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const struct {
	uint32_t net;
	unsigned bits;
} private4[] = {
	{ 0x00000000, 8 },  /* this host */
	{ 0x0a000000, 8 },  /* private */
	{ 0x64400000, 10 }, /* carrier's NAT */
	{ 0x7f000000, 8 },  /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local; metadata services */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* IETF protocol assignments */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarking */
	{ 0xe0000000, 4 },  /* multicast */
	{ 0xf0000000, 4 },  /* reserved, broadcast */
};

static bool private_v4(uint32_t host_order)
{
	for (size_t i = 0; i < sizeof private4 / sizeof private4[0]; i++)
		if ((host_order ^ private4[i].net) >> (32 - private4[i].bits) == 0)
			return true;
	return false;
}

static uint32_t v4_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool private_v6(const struct in6_addr *a)
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	const uint8_t *b = a->s6_addr;

	/* An IPv4 address inside counts as what it is. */
	if (IN6_IS_ADDR_V4MAPPED(a) || memcmp(b, nat64, sizeof nat64) == 0)
		return private_v4(v4_at(b + 12));
	if (b[0] == 0x20 && b[1] == 0x02) /* 6to4 */
		return private_v4(v4_at(b + 2));
	return (b[0] & 0xe0) != 0x20; /* global unicast is 2000::/3; all else is local or reserved */
}

bool address_is_private(const struct sockaddr *sa)
{
	switch (sa->sa_family) {
	case AF_INET:
		return private_v4(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
	case AF_INET6:
		return private_v6(&((const struct sockaddr_in6 *)sa)->sin6_addr);
	default:
		return true;
	}
}

bool address_text_is_private(const char *text)
{
	struct in6_addr a6;
	struct in_addr a4;

	if (inet_pton(AF_INET, text, &a4) == 1)
		return private_v4(ntohl(a4.s_addr));
	return inet_pton(AF_INET6, text, &a6) != 1 || private_v6(&a6);
}
