/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration with the machine's rpcbind, through libtirpc's client.
 *
 * A row that is there already is another server's (the kernel's own NFS
 * server, say), or was left by one that died.  Nobody's row is taken as long
 * as somebody accepts connections on its port; a dead one is replaced.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netconfig.h>
#include <netinet/in.h>
#include <poll.h>
#include <rpc/rpc.h>
#include <rpc/pmap_clnt.h>
#include <rpc/rpcb_clnt.h>
#include <string.h>
#include <unistd.h>

#include "nfsd/log.h"
#include "nfsd/rpc/portmap.h"
#include "nfsd/rpc/inside.h"

#define PROBE_MS 1000

static bool
wait_ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int r;

	do
		r = poll(&p, 1, PROBE_MS);
	while (r < 0 && errno == EINTR);
	return r == 1;
}

/* A connection to loopback, or -1. */
static int
connect_loopback(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (errno == EINPROGRESS && wait_ready(fd, POLLOUT) &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	    error == 0)
		return fd;
	close(fd);
	return -1;
}

/* NULL of version 2: anything that is an accepted reply will do. */
bool
portmap_rpcbind_answers(uint16_t port)
{
	static const uint32_t call[11] = {
		0x80000028, 0x70726f62, 0, 2, 100000, 2, 0, 0, 0, 0, 0,
	};
	unsigned char message[sizeof(call)], reply[28];
	int fd = connect_loopback(port);
	size_t got = 0;

	if (fd < 0)
		return false;
	for (unsigned i = 0; i < 11; i++)
		rpc_put32(message + 4 * i, call[i]);
	if (send(fd, message, sizeof(message), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(message)) {
		close(fd);
		return false;
	}
	while (got < sizeof(reply) && wait_ready(fd, POLLIN)) {
		ssize_t n = recv(fd, reply + got, sizeof(reply) - got, 0);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	close(fd);
	return got == sizeof(reply) && rpc_get32(reply + 4) == call[1] &&
	       rpc_get32(reply + 8) == 1 && rpc_get32(reply + 12) == 0;
}

static bool
set_one(const struct portmap_row *row, const char *netid)
{
	struct netconfig *nc = getnetconfigent(netid);
	struct sockaddr_storage address = { 0 };
	struct netbuf buf = { .buf = &address };
	bool done;

	if (nc == NULL)
		return false;
	if (strchr(netid, '6') != NULL) {
		struct sockaddr_in6 *v6 = (void *)&address;

		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(row->port);
		buf.len = buf.maxlen = sizeof(*v6);
	} else {
		struct sockaddr_in *v4 = (void *)&address;

		v4->sin_family = AF_INET;
		v4->sin_port = htons(row->port);
		buf.len = buf.maxlen = sizeof(*v4);
	}
	done = rpcb_set(row->program, row->version, nc, &buf);
	freenetconfigent(nc);
	return done;
}

static void
unset_one(const struct portmap_row *row, const char *netid)
{
	struct netconfig *nc = getnetconfigent(netid);

	if (nc == NULL)
		return;
	(void)rpcb_unset(row->program, row->version, nc);
	freenetconfigent(nc);
}

/* Somebody else's row: is there anybody? */
static bool
is_alive(const struct portmap_row *row)
{
	struct sockaddr_in loopback = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	uint16_t port = pmap_getport(&loopback, row->program, row->version,
				     row->udp ? IPPROTO_UDP : IPPROTO_TCP);
	int fd;

	if (port == 0 || port == row->port)
		return false;
	fd = connect_loopback(port);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int
portmap_rpcbind_set(const struct portmap_row *rows, unsigned count, bool ipv6,
		    unsigned *done)
{
	for (*done = 0; *done < count; (*done)++) {
		const struct portmap_row *row = &rows[*done];
		const char *netid = row->udp ? "udp" : "tcp";

		if (!set_one(row, netid)) {
			if (is_alive(row))
				return -EADDRINUSE;
			unset_one(row, netid);
			if (!set_one(row, netid))
				return -EACCES;
		}
		netid = row->udp ? "udp6" : "tcp6";
		if (ipv6 && !set_one(row, netid)) {
			unset_one(row, netid);
			(void)!set_one(row, netid);
		}
	}
	return 0;
}

void
portmap_rpcbind_unset(const struct portmap_row *rows, unsigned count,
		      bool ipv6)
{
	for (unsigned i = 0; i < count; i++) {
		unset_one(&rows[i], rows[i].udp ? "udp" : "tcp");
		if (ipv6)
			unset_one(&rows[i], rows[i].udp ? "udp6" : "tcp6");
	}
}
