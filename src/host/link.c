/* rtnetlink: links and addresses. On every message the state is asked anew with getifaddrs(3): the
 * kernel's own list, rather than a copy kept in step. */
#include "host/link.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct link_watch {
	void (*changed)(void *arg, bool online);
	void *arg;
	int netlink, stop;
	pthread_t thread;
};

static bool usable_address(const struct sockaddr *a)
{
	if (!a)
		return false;
	if (a->sa_family == AF_INET)
		return true;
	return a->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static bool is_online(void)
{
	struct ifaddrs *list;
	bool online = false;

	if (getifaddrs(&list) < 0)
		return true; /* not knowing is no reason to stop */
	for (const struct ifaddrs *i = list; i && !online; i = i->ifa_next)
		online = !(i->ifa_flags & IFF_LOOPBACK) && (i->ifa_flags & IFF_UP) && (i->ifa_flags & IFF_RUNNING) &&
			usable_address(i->ifa_addr);
	freeifaddrs(list);
	return online;
}

static void drain(int fd)
{
	char messages[8192];

	while (recv(fd, messages, sizeof(messages), MSG_DONTWAIT) > 0)
		;
}

static void *run(void *arg)
{
	struct link_watch *w = arg;
	bool online = is_online();

	pthread_setname_np(pthread_self(), "xferfs-link");
	for (;;) {
		struct pollfd fds[] = {{.fd = w->netlink, .events = POLLIN}, {.fd = w->stop, .events = POLLIN}};
		bool now;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		drain(w->netlink);
		now = is_online();
		if (now != online)
			w->changed(w->arg, now);
		online = now;
	}
}

static int open_netlink(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -errno;
}

int link_watch_start(void (*changed)(void *arg, bool online), void *arg, struct link_watch **ret)
{
	struct link_watch *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->changed = changed;
	w->arg = arg;
	w->netlink = open_netlink();
	w->stop = eventfd(0, EFD_CLOEXEC);
	err = w->netlink < 0 ? -w->netlink : w->stop < 0 ? errno : pthread_create(&w->thread, NULL, run, w);
	if (!err) {
		*ret = w;
		return 0;
	}
	if (w->netlink >= 0)
		close(w->netlink);
	if (w->stop >= 0)
		close(w->stop);
	free(w);
	return -err;
}

void link_watch_stop(struct link_watch *w)
{
	uint64_t one = 1;

	if (!w)
		return;
	(void)!write(w->stop, &one, sizeof(one));
	pthread_join(w->thread, NULL);
	close(w->netlink);
	close(w->stop);
	free(w);
}
