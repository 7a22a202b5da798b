/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONC-RPC (RFC 5531) calls over a few TCP connections with many in flight,
 * from one thread and without blocking.  Each slot owns one prepared call;
 * what is ready leaves in one writev, what has arrived is decoded where it
 * lies.  That keeps the generator well below the cost of the servers it
 * drives, so that it is they who are measured.
 *
 * A failure (connection lost, reply that does not parse, RPC error) is kept
 * in wire.error and ends every loop: a benchmark with errors has no result.
 */
#include <config.h>

#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 64u
#define SLOTS_MAX 1024u		/* the low bits of an xid name the slot */
#define IOVS 128
#define SILENCE_MS 60000	/* no answer for so long is a failure */
#define RETRY_NS 20000000u

struct conn {
	int fd;
	struct slot_list out;
	bool blocked;		/* the socket is full */
	uint8_t *buf;		/* WIRE_REPLY_MAX */
	size_t start, end;
};

uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void
wire_fail(struct wire *w, const char *fmt, ...)
{
	va_list ap;

	if (w->error[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(w->error, sizeof(w->error), fmt, ap);
	va_end(ap);
}

/* ---- encoding and decoding ---- */

static void
store_u32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

static uint32_t
load_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return ntohl(v);
}

void
put_u32(struct slot *s, uint32_t v)
{
	if (s->head_len + 4 > WIRE_HEAD_MAX) {
		s->overflow = true;
		return;
	}
	store_u32(s->head + s->head_len, v);
	s->head_len += 4;
}

void
put_u64(struct slot *s, uint64_t v)
{
	put_u32(s, (uint32_t)(v >> 32));
	put_u32(s, (uint32_t)v);
}

void
put_opaque(struct slot *s, const void *data, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;

	put_u32(s, (uint32_t)len);
	if (len > WIRE_HEAD_MAX || s->head_len + padded > WIRE_HEAD_MAX) {
		s->overflow = true;
		return;
	}
	memcpy(s->head + s->head_len, data, len);
	memset(s->head + s->head_len + len, 0, padded - len);
	s->head_len += padded;
}

uint32_t
get_u32(struct in *in)
{
	uint32_t v;

	if (in->end - in->p < 4) {
		in->bad = true;
		in->p = in->end;
		return 0;
	}
	v = load_u32(in->p);
	in->p += 4;
	return v;
}

uint64_t
get_u64(struct in *in)
{
	uint64_t high = get_u32(in);

	return high << 32 | get_u32(in);
}

void
get_skip(struct in *in, size_t bytes)
{
	if ((size_t)(in->end - in->p) < bytes) {
		in->bad = true;
		in->p = in->end;
		return;
	}
	in->p += bytes;
}

const uint8_t *
get_opaque(struct in *in, size_t max, size_t *len)
{
	size_t n = get_u32(in);
	const uint8_t *p = in->p;

	if (n > max) {
		in->bad = true;
		return NULL;
	}
	get_skip(in, (n + 3) & ~(size_t)3);
	if (in->bad)
		return NULL;
	*len = n;
	return p;
}

/* ---- latencies: 16 steps for each doubling, in ns ---- */

void
wire_took(struct wire *w, uint64_t start_ns)
{
	uint64_t ns = now_ns() - start_ns;
	unsigned log = 63 - (unsigned)__builtin_clzll(ns | 16);
	unsigned step = log * 16 + (unsigned)((ns >> (log - 4)) & 15);

	w->latency[step < WIRE_LATENCY_STEPS ? step : WIRE_LATENCY_STEPS - 1]++;
	w->latency_count++;
}

double
wire_quantile_us(const struct wire *w, double q)
{
	uint64_t want = (uint64_t)(q * (double)w->latency_count), seen = 0;

	for (unsigned i = 0; i < WIRE_LATENCY_STEPS; i++) {
		seen += w->latency[i];
		if (seen > want)
			return (double)((16 + i % 16) * (1ull << (i / 16 - 4)))
				/ 1000.0;
	}
	return 0;
}

/* ---- calls ---- */

void
wire_begin(struct wire *w, struct slot *s, uint32_t prog, uint32_t vers,
	   uint32_t proc)
{
	s->head_len = 4;	/* the record mark comes when the size is known */
	s->overflow = false;
	s->data = NULL;
	s->data_len = 0;
	put_u32(s, 0);		/* xid: by send_slot */
	put_u32(s, 0);		/* CALL */
	put_u32(s, 2);		/* RPC version */
	put_u32(s, prog);
	put_u32(s, vers);
	put_u32(s, proc);
	memcpy(s->head + s->head_len, w->cred, w->cred_len);
	s->head_len += w->cred_len;
}

static void
send_slot(struct wire *w, struct slot *s)
{
	if (s->overflow || (s->data_len & 3) != 0) {
		wire_fail(w, "a call does not fit its buffer");
		return;
	}
	w->xid += SLOTS_MAX;
	s->xid = w->xid | s->index;
	s->sent = 0;
	s->retry_ns = 0;
	store_u32(s->head, 0x80000000u |
		  (uint32_t)(s->head_len - 4 + s->data_len));
	store_u32(s->head + 4, s->xid);
	STAILQ_INSERT_TAIL(&s->conn->out, s, out);
}

void
wire_submit(struct wire *w, struct slot *s, wire_reply_fn reply)
{
	s->reply = reply;
	w->busy++;
	send_slot(w, s);
}

void
wire_retry(struct wire *w, struct slot *s)
{
	w->jukebox++;
	w->busy++;
	s->retry_ns = now_ns() + RETRY_NS;
}

static void
flush_conn(struct wire *w, struct conn *c)
{
	while (!STAILQ_EMPTY(&c->out)) {
		struct iovec iov[IOVS];
		int count = 0;
		struct slot *s;
		ssize_t n;

		STAILQ_FOREACH(s, &c->out, out) {
			size_t skip = s->sent;

			if (count + 2 > IOVS)
				break;
			if (skip < s->head_len) {
				iov[count].iov_base = s->head + skip;
				iov[count++].iov_len = s->head_len - skip;
				skip = s->head_len;
			}
			if (skip < s->head_len + s->data_len) {
				skip -= s->head_len;
				iov[count].iov_base =
					(void *)(uintptr_t)(s->data + skip);
				iov[count++].iov_len = s->data_len - skip;
			}
		}
		n = writev(c->fd, iov, count);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			c->blocked = true;
			return;
		}
		if (n < 0) {
			wire_fail(w, "send: %s", strerror(errno));
			return;
		}
		while (n > 0) {
			size_t left;

			s = STAILQ_FIRST(&c->out);
			left = s->head_len + s->data_len - s->sent;
			if ((size_t)n < left) {
				s->sent += (size_t)n;
				break;
			}
			n -= (ssize_t)left;
			s->sent += left;
			STAILQ_REMOVE_HEAD(&c->out, out);
		}
	}
	c->blocked = false;
}

/* One whole record: find the slot, check the RPC header, run its reply. */
static void
take_record(struct wire *w, struct conn *c, const uint8_t *p, size_t len)
{
	struct in in = { p, p + len, false };
	uint32_t xid = get_u32(&in);
	uint32_t type = get_u32(&in);
	uint32_t accepted = get_u32(&in);
	struct slot *s;
	size_t verf_len;
	uint32_t status;

	if (in.bad || type != 1 || (xid & (SLOTS_MAX - 1)) >= w->slot_count) {
		wire_fail(w, "not a reply of ours");
		return;
	}
	s = &w->slots[xid & (SLOTS_MAX - 1)];
	if (s->xid != xid || s->conn != c) {
		wire_fail(w, "reply with an unknown xid");
		return;
	}
	if (accepted != 0) {
		wire_fail(w, "call rejected (RPC version or credentials)");
		return;
	}
	get_u32(&in);
	(void)get_opaque(&in, 400, &verf_len);
	status = get_u32(&in);
	if (in.bad || status != 0) {
		wire_fail(w, "RPC accept status %u", status);
		return;
	}
	s->xid = 0;
	w->busy--;
	s->reply(w, s, &in);
}

/*
 * Length of the whole record at p, joined in place if it came in several
 * fragments (RFC 5531 section 11); 0 if it is not all there.  *used: bytes
 * of the buffer it took.
 */
static size_t
join_record(uint8_t *p, size_t have, size_t *used)
{
	size_t at = 0, len = 0;
	bool last = false;

	while (!last) {
		if (have - at < 4)
			return 0;
		last = p[at] & 0x80;
		len += load_u32(p + at) & 0x7fffffffu;
		at += 4 + (load_u32(p + at) & 0x7fffffffu);
		if (at > have)
			return 0;
	}
	*used = at;
	if (at == len + 4)
		return len;
	for (size_t from = 0, to = 4; from < at;) {
		size_t n = load_u32(p + from) & 0x7fffffffu;

		memmove(p + to, p + from + 4, n);
		to += n;
		from += 4 + n;
	}
	return len;
}

static void
receive(struct wire *w, struct conn *c)
{
	ssize_t n;
	size_t len, used;

	if (c->start == c->end)
		c->start = c->end = 0;
	if (WIRE_REPLY_MAX - c->end < WIRE_REPLY_MAX / 2 && c->start > 0) {
		memmove(c->buf, c->buf + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	n = read(c->fd, c->buf + c->end, WIRE_REPLY_MAX - c->end);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		wire_fail(w, "connection lost: %s",
			  n == 0 ? "end of file" : strerror(errno));
		return;
	}
	c->end += (size_t)n;
	w->bytes_in += (uint64_t)n;
	while (w->error[0] == '\0' &&
	       (len = join_record(c->buf + c->start, c->end - c->start,
				  &used)) != 0) {
		const uint8_t *record = c->buf + c->start + 4;

		c->start += used;
		take_record(w, c, record, len);
	}
	if (c->start == 0 && c->end == WIRE_REPLY_MAX)
		wire_fail(w, "a reply larger than %u bytes", WIRE_REPLY_MAX);
}

/* Send what waited long enough; milliseconds until the next one. */
static int
resend_due(struct wire *w)
{
	uint64_t now = now_ns(), next = UINT64_MAX;

	if (w->jukebox == 0)
		return SILENCE_MS;
	for (unsigned i = 0; i < w->slot_count; i++) {
		struct slot *s = &w->slots[i];

		if (s->retry_ns == 0)
			continue;
		if (s->retry_ns <= now)
			send_slot(w, s);
		else if (s->retry_ns < next)
			next = s->retry_ns;
	}
	if (next == UINT64_MAX)
		return SILENCE_MS;
	return (int)((next - now) / 1000000) + 1;
}

static void
step(struct wire *w)
{
	struct pollfd fds[CONNS_MAX];
	int timeout = resend_due(w), n;

	for (unsigned i = 0; i < w->conn_count; i++) {
		struct conn *c = &w->conns[i];

		flush_conn(w, c);
		fds[i].fd = c->fd;
		fds[i].events = POLLIN | (c->blocked ? POLLOUT : 0);
	}
	n = poll(fds, w->conn_count, timeout);
	if (n < 0 && errno != EINTR)
		wire_fail(w, "poll: %s", strerror(errno));
	if (n == 0 && timeout == SILENCE_MS)
		wire_fail(w, "no answer for %d s", SILENCE_MS / 1000);
	for (unsigned i = 0; n > 0 && i < w->conn_count; i++)
		if (fds[i].revents & (POLLIN | POLLERR | POLLHUP))
			receive(w, &w->conns[i]);
}

void
wire_run(struct wire *w)
{
	while (w->busy > 0 && w->error[0] == '\0')
		step(w);
}

static void
keep_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct in *out = (struct in *)(uintptr_t)s->item;

	(void)w;
	*out = *in;
}

int
wire_call(struct wire *w, struct slot *s, struct in *in)
{
	uint64_t item = s->item;

	s->item = (uint64_t)(uintptr_t)in;
	wire_submit(w, s, keep_reply);
	wire_run(w);
	s->item = item;
	return w->error[0] == '\0' ? 0 : -1;
}

/* ---- open and close ---- */

static int
dial(struct wire *w, const char *host, unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd, one = 1, size = 4 << 20;

	to.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, host, &to.sin_addr) != 1) {
		wire_fail(w, "%s is not an IPv4 address", host);
		return -1;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		wire_fail(w, "connect %s:%u: %s", host, port, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		wire_fail(w, "fcntl: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

/* AUTH_SYS credentials (RFC 5531 appendix A) and an AUTH_NONE verifier. */
static void
make_cred(struct wire *w, unsigned uid)
{
	const uint32_t words[] = {
		1, 28,			/* AUTH_SYS, length of the body */
		0,			/* stamp */
		5, 0x62656e63, 0x68000000, /* "bench" */
		uid, uid, 0,		/* uid, gid, no more groups */
		0, 0			/* AUTH_NONE, no body */
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		store_u32(w->cred + i * 4, words[i]);
	w->cred_len = sizeof(words);
}

int
wire_open(struct wire *w, const char *host, unsigned port, unsigned conns,
	  unsigned slots, unsigned uid)
{
	memset(w, 0, sizeof(*w));
	if (conns == 0 || conns > CONNS_MAX || slots == 0 ||
	    slots >= SLOTS_MAX) {
		wire_fail(w, "connections 1 to %u, calls 1 to %u", CONNS_MAX,
			  SLOTS_MAX - 1);
		return -1;
	}
	make_cred(w, uid);
	/* Not the xids of the last run: a server may remember its replies. */
	w->xid = (uint32_t)(now_ns() >> 10) & ~(SLOTS_MAX - 1);
	w->conns = calloc(conns, sizeof(*w->conns));
	w->slots = calloc(slots, sizeof(*w->slots));
	if (w->conns == NULL || w->slots == NULL)
		return -1;
	for (; w->conn_count < conns; w->conn_count++) {
		struct conn *c = &w->conns[w->conn_count];

		STAILQ_INIT(&c->out);
		c->buf = malloc(WIRE_REPLY_MAX);
		c->fd = dial(w, host, port);
		if (c->buf == NULL || c->fd < 0)
			return -1;
	}
	w->slot_count = slots;
	for (unsigned i = 0; i < slots; i++) {
		w->slots[i].index = i;
		w->slots[i].conn = &w->conns[i % conns];
	}
	return 0;
}

void
wire_close(struct wire *w)
{
	for (unsigned i = 0; i < w->conn_count; i++) {
		close(w->conns[i].fd);
		free(w->conns[i].buf);
	}
	for (unsigned i = 0; i < w->slot_count; i++)
		free(w->slots[i].buf);
	free(w->conns);
	free(w->slots);
	memset(w, 0, sizeof(*w));
}
