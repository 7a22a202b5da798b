/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire half of the test client: sockets, record marking, call and reply
 * headers.  tests/nfsclient.c has the procedures.  A test that sends nonsense
 * does so on purpose, so nothing is checked that the server should check.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/rpcclient.h"

#define MESSAGE_MAX ((1U << 20) + 65536)

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int
address(const char *host, uint16_t port, struct sockaddr_storage *out,
	socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
		return -EINVAL;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	*len = sizeof(*v6);
	return 0;
}

static int
connect_from(int fd, const char *local, uint16_t local_port, const char *host,
	     uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int r, on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (local != NULL || local_port != 0) {
		r = address(local == NULL ? "127.0.0.1" : local, local_port,
			    &addr, &len);
		if (r < 0)
			return r;
		if (bind(fd, (struct sockaddr *)&addr, len) < 0)
			return -errno;
	}
	r = address(host, port, &addr, &len);
	if (r < 0)
		return r;
	return connect(fd, (struct sockaddr *)&addr, len) < 0 ? -errno : 0;
}

int
rpcc_open_from(struct rpcc *c, const char *local, uint16_t local_port,
	       const char *host, uint16_t port, bool udp)
{
	int family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET, r;

	memset(c, 0, sizeof(*c));
	c->udp = udp;
	c->timeout_ms = 60000;
	if (getrandom(&c->next_xid, sizeof(c->next_xid), 0) < 0)
		c->next_xid = (uint32_t)now_ms();
	rpcc_identity(c, "testhost", 0, 0, 0, NULL);
	c->fd = socket(family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
		       0);
	if (c->fd < 0)
		return -errno;
	r = connect_from(c->fd, local, local_port, host, port);
	if (r < 0) {
		close(c->fd);
		c->fd = -1;
	}
	return r;
}

int
rpcc_open(struct rpcc *c, const char *local, const char *host, uint16_t port,
	  bool udp)
{
	return rpcc_open_from(c, local, 0, host, port, udp);
}

void
rpcc_close(struct rpcc *c)
{
	struct rpcc_reply *reply;

	while ((reply = c->waiting) != NULL) {
		c->waiting = reply->next;
		free(reply->data);
		free(reply);
	}
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void
rpcc_identity(struct rpcc *c, const char *machine, uint32_t uid, uint32_t gid,
	      unsigned group_count, const uint32_t *groups)
{
	c->flavor = machine != NULL;
	c->machine[0] = '\0';
	if (machine != NULL)
		strncat(c->machine, machine, sizeof(c->machine) - 1);
	c->uid = uid;
	c->gid = gid;
	c->group_count = group_count < 16 ? group_count : 16;
	for (unsigned i = 0; i < c->group_count; i++)
		c->groups[i] = groups[i];
}

uint32_t
rpcc_xid(struct rpcc *c)
{
	return c->next_xid++;
}

bool_t
rpcc_void(XDR *xdrs, void *nothing)
{
	(void)xdrs;
	(void)nothing;
	return TRUE;
}

/* ---- calls ---- */

static void
put32(unsigned char **at, uint32_t value)
{
	value = htonl(value);
	memcpy(*at, &value, 4);
	*at += 4;
}

static uint32_t
get32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, 4);
	return ntohl(value);
}

static void
put_credential(struct rpcc *c, unsigned char **at)
{
	uint32_t name = (uint32_t)strlen(c->machine);
	uint32_t padded = (name + 3) & ~3U;

	put32(at, c->flavor);
	if (c->flavor != 1) {
		put32(at, 0);
		return;
	}
	put32(at, 20 + padded + 4 * c->group_count);
	put32(at, 0x5374616d);		/* the stamp is anything */
	put32(at, name);
	memset(*at, 0, padded);
	memcpy(*at, c->machine, name);
	*at += padded;
	put32(at, c->uid);
	put32(at, c->gid);
	put32(at, c->group_count);
	for (uint32_t i = 0; i < c->group_count; i++)
		put32(at, c->groups[i]);
}

unsigned char *
rpcc_build(struct rpcc *c, uint32_t xid, uint32_t program, uint32_t version,
	   uint32_t procedure, xdrproc_t xdr_args, const void *args,
	   size_t *len)
{
	unsigned char *message = malloc(MESSAGE_MAX), *at = message, *fit;
	XDR xdrs;

	if (message == NULL)
		return NULL;
	put32(&at, xid);
	put32(&at, 0);
	put32(&at, 2);
	put32(&at, program);
	put32(&at, version);
	put32(&at, procedure);
	put_credential(c, &at);
	put32(&at, 0);
	put32(&at, 0);
	*len = (size_t)(at - message);
	xdrmem_create(&xdrs, (char *)at, MESSAGE_MAX - (u_int)*len,
		      XDR_ENCODE);
	if (!xdr_args(&xdrs, (void *)(uintptr_t)args)) {
		free(message);
		return NULL;
	}
	*len += xdr_getpos(&xdrs);
	fit = realloc(message, *len);
	return fit != NULL ? fit : message;
}

int
rpcc_send_raw(struct rpcc *c, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int
rpcc_send_timeout(struct rpcc *c, unsigned timeout_ms)
{
	struct timeval t = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };


	return setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0 ?
	       -errno : 0;
}

int
rpcc_send_message(struct rpcc *c, const void *message, size_t len)
{
	size_t size = c->fragment != 0 ? c->fragment : len, pieces;
	unsigned char *record, *at;
	int r;

	if (c->udp)
		return rpcc_send_raw(c, message, len);
	pieces = len == 0 ? 1 : (len + size - 1) / size;
	record = at = malloc(len + 4 * pieces);
	if (record == NULL)
		return -ENOMEM;
	for (size_t off = 0; pieces-- > 0; off += size) {
		size_t part = len - off < size ? len - off : size;

		put32(&at, (uint32_t)part | (pieces == 0 ? 0x80000000U : 0));
		memcpy(at, (const char *)message + off, part);
		at += part;
	}
	r = rpcc_send_raw(c, record, (size_t)(at - record));
	free(record);
	return r;
}

int
rpcc_send(struct rpcc *c, uint32_t xid, uint32_t program, uint32_t version,
	  uint32_t procedure, xdrproc_t xdr_args, const void *args)
{
	size_t len = 0;
	unsigned char *message = rpcc_build(c, xid, program, version,
					    procedure, xdr_args, args, &len);
	int r;

	if (message == NULL)
		return -EINVAL;
	r = rpcc_send_message(c, message, len);
	free(message);
	return r;
}

/* ---- replies ---- */

/* Exactly len bytes, until the deadline. */
static int
receive(struct rpcc *c, unsigned char *buf, size_t len, uint64_t deadline)
{
	while (len > 0) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		uint64_t now = now_ms();
		ssize_t n;
		int r = poll(&p, 1, now < deadline ? (int)(deadline - now) :
			     0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -ETIMEDOUT;
		n = recv(c->fd, buf, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ECONNRESET;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
receive_record(struct rpcc *c, uint64_t deadline, unsigned char **out,
	       size_t *len)
{
	unsigned char marker[4], *record = NULL, *bigger;
	int r = 0;

	*len = 0;
	do {
		size_t part;

		r = receive(c, marker, 4, deadline);
		if (r < 0)
			break;
		part = get32(marker) & 0x7fffffffU;
		if (part > MESSAGE_MAX - *len) {
			r = -EMSGSIZE;
			break;
		}
		bigger = realloc(record, *len + part + 1);
		if (bigger == NULL) {
			r = -ENOMEM;
			break;
		}
		record = bigger;
		r = receive(c, record + *len, part, deadline);
		*len += part;
	} while (r == 0 && (marker[0] & 0x80) == 0);
	if (r < 0) {
		free(record);
		return r;
	}
	*out = record;
	return 0;
}

static int
receive_datagram(struct rpcc *c, uint64_t deadline, unsigned char **out,
		 size_t *len)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	uint64_t now = now_ms();
	unsigned char *data;
	ssize_t n;

	if (poll(&p, 1, now < deadline ? (int)(deadline - now) : 0) <= 0)
		return -ETIMEDOUT;
	data = malloc(65536);
	if (data == NULL)
		return -ENOMEM;
	n = recv(c->fd, data, 65536, 0);
	if (n < 0) {
		free(data);
		return -errno;
	}
	*len = (size_t)n;
	*out = data;
	return 0;
}

/* Take the header apart; -EBADMSG: it is none. */
static int
parse(struct rpcc_reply *reply)
{
	const unsigned char *at = reply->data;
	size_t verifier;

	if (reply->len < 12 || get32(at + 4) != 1)
		return -EBADMSG;
	reply->xid = get32(at);
	if (get32(at + 8) == 1) {
		if (reply->len < 20)
			return -EBADMSG;
		if (get32(at + 12) == 0) {
			if (reply->len < 24)
				return -EBADMSG;
			reply->status = RPCC_RPC_MISMATCH;
			reply->low = get32(at + 16);
			reply->high = get32(at + 20);
		} else {
			reply->status = RPCC_AUTH_ERROR +
					(int)get32(at + 16);
		}
		return 0;
	}
	if (reply->len < 24)
		return -EBADMSG;
	verifier = (get32(at + 16) + 3) & ~3U;
	if (verifier > 400 || reply->len < 24 + verifier)
		return -EBADMSG;
	reply->status = (int)get32(at + 20 + verifier);
	reply->results_at = 24 + verifier;
	if (reply->status == RPCC_PROG_MISMATCH) {
		if (reply->len < 32 + verifier)
			return -EBADMSG;
		reply->low = get32(at + 24 + verifier);
		reply->high = get32(at + 28 + verifier);
	}
	return 0;
}

static int
receive_reply(struct rpcc *c, uint64_t deadline, struct rpcc_reply *reply)
{
	int r;

	memset(reply, 0, sizeof(*reply));
	r = c->udp ? receive_datagram(c, deadline, &reply->data, &reply->len) :
		     receive_record(c, deadline, &reply->data, &reply->len);
	if (r == 0) {
		r = parse(reply);
		if (r < 0)
			free(reply->data);
	}
	return r;
}

int
rpcc_recv_any(struct rpcc *c, unsigned timeout_ms, struct rpcc_reply *reply)
{
	struct rpcc_reply *first = c->waiting;

	if (first == NULL)
		return receive_reply(c, now_ms() + timeout_ms, reply);
	c->waiting = first->next;
	*reply = *first;
	free(first);
	return 0;
}

int
rpcc_recv(struct rpcc *c, uint32_t xid, unsigned timeout_ms,
	  struct rpcc_reply *reply)
{
	uint64_t deadline = now_ms() + timeout_ms;
	struct rpcc_reply **at = &c->waiting, *kept;

	while (*at != NULL && (*at)->xid != xid)
		at = &(*at)->next;
	if (*at != NULL) {
		kept = *at;
		*at = kept->next;
		*reply = *kept;
		free(kept);
		return 0;
	}
	for (;;) {
		int r = receive_reply(c, deadline, reply);

		if (r < 0 || reply->xid == xid)
			return r;
		kept = malloc(sizeof(*kept));
		if (kept == NULL) {
			free(reply->data);
			return -ENOMEM;
		}
		*kept = *reply;
		kept->next = NULL;
		for (at = &c->waiting; *at != NULL; at = &(*at)->next)
			;
		*at = kept;
	}
}

int
rpcc_result(struct rpcc *c, uint32_t xid, unsigned timeout_ms,
	    xdrproc_t xdr_res, void *res)
{
	struct rpcc_reply reply;
	XDR xdrs;
	int r = rpcc_recv(c, xid, timeout_ms, &reply);

	if (r < 0)
		return r;
	c->last = reply;
	c->last.data = NULL;
	r = reply.status;
	if (r == 0) {
		xdrmem_create(&xdrs, (char *)reply.data + reply.results_at,
			      (u_int)(reply.len - reply.results_at),
			      XDR_DECODE);
		if (!xdr_res(&xdrs, res)) {
			xdr_free(xdr_res, res);
			r = -EBADMSG;
		}
	}
	/* READ's data would point into the message: nc_read has its own. */
	free(reply.data);
	return r;
}

int
rpcc_call(struct rpcc *c, uint32_t program, uint32_t version,
	  uint32_t procedure, xdrproc_t xdr_args, const void *args,
	  xdrproc_t xdr_res, void *res)
{
	uint32_t xid = rpcc_xid(c);
	int r = rpcc_send(c, xid, program, version, procedure, xdr_args, args);

	return r < 0 ? r : rpcc_result(c, xid, c->timeout_ms, xdr_res, res);
}

int
rpcc_wait_closed(struct rpcc *c, unsigned timeout_ms)
{
	uint64_t deadline = now_ms() + timeout_ms;
	unsigned char byte[4096];

	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		uint64_t now = now_ms();
		ssize_t n;

		if (poll(&p, 1, now < deadline ? (int)(deadline - now) : 0) <=
		    0)
			return -ETIMEDOUT;
		n = recv(c->fd, byte, sizeof(byte), 0);
		if (n == 0 || (n < 0 && errno != EINTR))
			return 0;
	}
}
