/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening and accepting, by the first event thread; connections go to the
 * thread that has the fewest.
 *
 * When file descriptors run out, accept() would fail for ever while epoll says
 * that somebody waits.  So one descriptor is kept in reserve: it is given up to
 * accept and close the connection, and taken again.  If even that fails,
 * nothing is accepted for ACCEPT_PAUSE_MS.  When there are too many
 * connections, the one that has been silent for the longest time makes room.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "nfsd/rpc/inside.h"

#define ACCEPT_ROUNDS 64
#define ACCEPT_PAUSE_MS 100
#define BACKLOG 1024
#define DATAGRAMS_MAX 512
#define DATAGRAMS_PER_HOST 64

void
rpc_address(const struct sockaddr_storage *from, struct in6_addr *to)
{
	memset(to, 0, sizeof(*to));
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)from;

		to->s6_addr[10] = to->s6_addr[11] = 0xff;
		memcpy(to->s6_addr + 12, &v4->sin_addr, 4);
	} else if (from->ss_family == AF_INET6) {
		*to = ((const struct sockaddr_in6 *)(const void *)from)
		      ->sin6_addr;
	}
}

const char *
rpc_peer_text(const struct sockaddr_storage *peer, char text[RPC_PEER_TEXT])
{
	struct in6_addr addr;

	rpc_address(peer, &addr);
	if (IN6_IS_ADDR_V4MAPPED(&addr))
		inet_ntop(AF_INET, addr.s6_addr + 12, text, RPC_PEER_TEXT);
	else
		inet_ntop(AF_INET6, &addr, text, RPC_PEER_TEXT);
	return text;
}

/* ---- hosts ---- */

/* NULL: no memory. */
static struct rpc_host *
host_locked(struct rpc_server *server, const struct sockaddr_storage *peer)
{
	struct rpc_host *host;
	struct in6_addr addr;

	rpc_address(peer, &addr);
	HASH_FIND(hh, server->hosts, &addr, sizeof(addr), host);
	if (host == NULL && (host = calloc(1, sizeof(*host))) != NULL) {
		host->addr = addr;
		HASH_ADD(hh, server->hosts, addr, sizeof(host->addr), host);
		if (host->hh.tbl == NULL) {
			free(host);
			host = NULL;
		}
	}
	return host;
}

/* Counts the connection; NULL: the host has too many, or no memory. */
static struct rpc_host *
host_get(struct rpc_server *server, const struct sockaddr_storage *peer)
{
	struct rpc_host *host;

	pthread_mutex_lock(&server->hosts_lock);
	host = host_locked(server, peer);
	if (host != NULL &&
	    host->connections >= server->limits.connections_per_host)
		host = NULL;
	if (host != NULL) {
		host->connections++;
		host->refs++;
		server->open_count++;
	}
	pthread_mutex_unlock(&server->hosts_lock);
	return host;
}

void
rpc_host_charge(struct rpc_host *host, uint32_t bytes, int sign)
{
	uint64_t add = (uint64_t)(sign * (int64_t)bytes);

	__atomic_fetch_add(&host->bytes, add, __ATOMIC_RELAXED);
	__atomic_fetch_add(bytes > RPC_SMALL ? &host->large : &host->small,
			   add, __ATOMIC_RELAXED);
}

/*
 * Whoever sends datagrams can name any sender.  So they get little, each host
 * and all together, and none of what its connections may have.
 */
bool
rpc_host_may_send(struct rpc_server *server,
		  const struct sockaddr_storage *peer)
{
	struct rpc_host *host = NULL;
	struct in6_addr addr;
	bool may;

	rpc_address(peer, &addr);
	pthread_mutex_lock(&server->hosts_lock);
	may = server->datagrams < DATAGRAMS_MAX;
	if (may && server->datagrams > 0)
		HASH_FIND(hh, server->hosts, &addr, sizeof(addr), host);
	if (host != NULL)
		may = host->datagrams < DATAGRAMS_PER_HOST;
	pthread_mutex_unlock(&server->hosts_lock);
	return may;
}

struct rpc_host *
rpc_host_sends(struct rpc_server *server, const struct sockaddr_storage *peer)
{
	struct rpc_host *host;

	pthread_mutex_lock(&server->hosts_lock);
	host = host_locked(server, peer);
	if (host != NULL) {
		host->refs++;
		host->datagrams++;
		server->datagrams++;
	}
	pthread_mutex_unlock(&server->hosts_lock);
	return host;
}

void
rpc_host_sent(struct rpc_server *server, struct rpc_host **slot)
{
	struct rpc_host *host = *slot;

	*slot = NULL;
	if (host == NULL)
		return;
	pthread_mutex_lock(&server->hosts_lock);
	host->datagrams--;
	server->datagrams--;
	pthread_mutex_unlock(&server->hosts_lock);
	rpc_host_put(server, host);
}

void
rpc_host_put(struct rpc_server *server, struct rpc_host *host)
{
	pthread_mutex_lock(&server->hosts_lock);
	if (--host->refs == 0) {
		HASH_DEL(server->hosts, host);
		free(host);
	}
	pthread_mutex_unlock(&server->hosts_lock);
}

/* The connection never came to be. */
static void
host_uncount(struct rpc_server *server, struct rpc_host *host)
{
	pthread_mutex_lock(&server->hosts_lock);
	host->connections--;
	server->open_count--;
	pthread_mutex_unlock(&server->hosts_lock);
	rpc_host_put(server, host);
}

/* ---- accepting ---- */

static struct rpc_thread *
least_busy(struct rpc_server *server)
{
	struct rpc_thread *best = &server->threads[0];
	unsigned best_count = ~0U;

	for (unsigned i = 0; i < server->thread_count; i++) {
		struct rpc_thread *thread = &server->threads[i];
		unsigned count;

		pthread_mutex_lock(&thread->lock);
		count = thread->conn_count;
		pthread_mutex_unlock(&thread->lock);
		if (count < best_count) {
			best = thread;
			best_count = count;
		}
	}
	return best;
}

static bool
too_many(struct rpc_server *server)
{
	bool many;

	pthread_mutex_lock(&server->hosts_lock);
	many = server->open_count >= server->limits.connections;
	pthread_mutex_unlock(&server->hosts_lock);
	/* Making room: until it is made there is one more. */
	return many && !rpc_evict_idle(server);
}

static void
tune(int fd)
{
	int on = 1, idle_s = 60, interval_s = 15, probes = 6;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s,
			 sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
			 sizeof(interval_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes,
			 sizeof(probes));
}

static void
admit(struct rpc_thread *thread, struct rpc_listener *listener, int fd,
      const struct sockaddr_storage *peer)
{
	struct rpc_server *server = thread->server;
	struct rpc_host *host = NULL;
	char text[RPC_PEER_TEXT];

	if (!too_many(server))
		host = host_get(server, peer);
	if (host == NULL) {
		log_limited(&server->cap_log, LOG_LEVEL_WARN, "rpc",
			    "connection refused: too many peer=%s",
			    rpc_peer_text(peer, text));
		close(fd);
		return;
	}
	tune(fd);
	if (rpc_conn_new(least_busy(server), listener, fd, peer, host) ==
	    NULL) {
		host_uncount(server, host);
		close(fd);
	}
}

/* No descriptor is left: take one from the reserve and say no. */
static bool
refuse_one(struct rpc_server *server, struct rpc_listener *listener)
{
	int fd;

	log_limited(&server->accept_log, LOG_LEVEL_ERR, "rpc",
		    "connection refused: no file descriptors, raise "
		    "LimitNOFILE");
	if (server->spare_fd < 0)
		return false;
	close(server->spare_fd);
	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && server->spare_fd >= 0;
}

static void
pause_accepting(struct rpc_thread *thread)
{
	rpc_listeners_watch(thread, false);
	thread->accept_again_ms = rpc_now_ms() + ACCEPT_PAUSE_MS;
}

void
rpc_accept(struct rpc_thread *thread, struct rpc_listener *listener)
{
	struct rpc_server *server = thread->server;

	for (int i = 0; i < ACCEPT_ROUNDS; i++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(listener->fd, (struct sockaddr *)&peer, &len,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(thread, listener, fd, &peer);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE) {
			if (rpc_evict_idle(server) ||
			    !refuse_one(server, listener))
				pause_accepting(thread);
			return;
		}
		log_limited(&server->accept_log, LOG_LEVEL_ERR, "rpc",
			    "accept failed: %m");
		pause_accepting(thread);
		return;
	}
}

void
rpc_listeners_watch(struct rpc_thread *thread, bool on)
{
	struct rpc_listener *listener;

	if (on && RPC_LOAD(thread->server->stopping))
		return;
	LIST_FOREACH(listener, &thread->server->listeners, link) {
		struct epoll_event event = {
			.events = EPOLLIN,
			.data.ptr = (void *)((uintptr_t)listener | 1),
		};

		(void)epoll_ctl(thread->epoll,
				on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
				listener->fd, &event);
	}
}

/* ---- listening ---- */

static int
set_options(int fd, int family, bool udp)
{
	int on = 1, off = 0;

	if (!udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
			       sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
					     &off, sizeof(off)) < 0)
		return -errno;
	/* A reply comes from the address that was asked. */
	if (udp && family == AF_INET &&
	    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0)
		return -errno;
	if (udp && family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on,
		       sizeof(on)) < 0)
		return -errno;
	return 0;
}

static int
port_of(int fd, uint16_t *port)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t len = sizeof(bound);

	if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
		return -errno;
	if (bound.ss_family == AF_INET6)
		*port = ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
	else
		*port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
	return 0;
}

static int
open_socket(const struct sockaddr *address, socklen_t len, bool udp,
	    uint16_t *port)
{
	int fd, r;

	fd = socket(address->sa_family, (udp ? SOCK_DGRAM : SOCK_STREAM) |
		    SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = set_options(fd, address->sa_family, udp);
	if (r == 0 && bind(fd, address, len) < 0)
		r = -errno;
	if (r == 0 && !udp && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r == 0 && port != NULL)
		r = port_of(fd, port);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int
rpc_listen(struct rpc_server *server, const struct sockaddr *address,
	   socklen_t len, bool udp, const uint32_t *only, uint16_t *port)
{
	struct rpc_listener *listener;
	unsigned i = 0;
	int fd;

	if (server->started)
		return -EINVAL;
	listener = calloc(1, sizeof(*listener));
	if (listener == NULL)
		return -ENOMEM;
	fd = open_socket(address, len, udp, port);
	if (fd < 0) {
		free(listener);
		return fd;
	}
	listener->server = server;
	listener->fd = fd;
	listener->udp = udp;
	listener->any_program = only == NULL;
	for (; only != NULL && only[i] != 0 && i < 7; i++)
		listener->only[i] = only[i];
	LIST_INSERT_HEAD(&server->listeners, listener, link);
	return 0;
}
