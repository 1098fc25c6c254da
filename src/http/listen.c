/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* "host:port", "[v6]:port", "*:port" → host ("" for any) and port. */
static bool split(const char *address, char *host, size_t host_n, char *port, size_t port_n)
{
	const char *colon = strrchr(address, ':');
	size_t n;

	if (!colon || !colon[1] || strlen(colon + 1) >= port_n)
		return false;
	for (const char *p = colon + 1; *p; p++)
		if (*p < '0' || *p > '9')
			return false;
	n = (size_t)(colon - address);
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	} else if (memchr(address, ':', n)) {
		return false; /* an IPv6 address without brackets */
	}
	if (n == 0 || n >= host_n)
		return false;
	(void)snprintf(host, host_n, "%.*s", (int)n, address);
	if (strcmp(host, "*") == 0)
		host[0] = '\0';
	(void)snprintf(port, port_n, "%s", colon + 1);
	return true;
}

static int open_one(const struct addrinfo *ai, bool any, bool share)
{
	tr_auto(tr_close) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, off = 0, shared = share, r;

	if (fd < 0)
		return -1;
	/* Several fronts share the port; accepted sockets inherit TCP_NODELAY (an answer is one or two small records,
	 * and the delayed acknowledgement of the peer would cost 40 ms). */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		return -1;
	if (ai->ai_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof(on)))
		return -1;
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG))
		return -1;
	r = fd;
	fd = -1;
	return r;
}

static unsigned bound_port(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t n = sizeof(ss);
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (getsockname(fd, (struct sockaddr *)&ss, &n))
		return 0;
	memcpy(&in, &ss, sizeof(in));
	memcpy(&in6, &ss, sizeof(in6));
	return ntohs(ss.ss_family == AF_INET6 ? in6.sin6_port : in.sin_port);
}

static TR_RC listen_on(const char *address, bool share, int *ret_fd, unsigned *ret_port, struct tr_err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char host[256], port[6];
	int fd = -1, rc, saved = 0;
	bool any;

	if (!split(address, host, sizeof(host), port, sizeof(port)))
		return tr_err_set(err, TR_E_INVALID, "a listen address is HOST:PORT, [IPv6]:PORT or *:PORT",
				  "listen address \"%s\"", address);
	any = host[0] == '\0';
	rc = getaddrinfo(any ? NULL : host, port, &hints, &list);
	if (rc)
		return tr_err_set(err, TR_E_INVALID, "the listen address is not known to this host",
				  "listen address \"%s\": %s", address, gai_strerror(rc));
	/* "*" prefers one dual-stack socket; a kernel without IPv6 falls back to IPv4. */
	for (int pass = 0; pass < 2 && fd < 0; pass++)
		for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
			if (any && (ai->ai_family == AF_INET6) != (pass == 0))
				continue;
			fd = open_one(ai, any, share);
			if (fd < 0 && errno != EAFNOSUPPORT)
				saved = errno;
		}
	freeaddrinfo(list);
	if (fd < 0) {
		errno = saved ? saved : EADDRNOTAVAIL;
		if (errno == EADDRINUSE)
			return tr_err_set(err, TR_E_CONFLICT, "the listen address is in use by another program",
					  "listen on %s", address);
		if (errno == EACCES)
			return tr_err_set(err, TR_E_DENIED, "ports below 1024 need root or CAP_NET_BIND_SERVICE",
					  "listen on %s", address);
		if (errno == EADDRNOTAVAIL)
			return tr_err_set(err, TR_E_INVALID, "the listen address does not belong to this host",
					  "listen on %s", address);
		return tr_err_errno(err, "listen on %s", address);
	}
	*ret_port = bound_port(fd);
	*ret_fd = fd;
	return TR_OK;
}

TR_RC tr_listen(const char *address, int *ret_fd, unsigned *ret_port, struct tr_err *err)
{
	return listen_on(address, true, ret_fd, ret_port, err);
}

TR_RC tr_listen_probe(const char *address, struct tr_err *err)
{
	tr_auto(tr_close) int fd = -1;
	unsigned port;

	return listen_on(address, false, &fd, &port, err);
}
