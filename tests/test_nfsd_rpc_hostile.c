/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers that are wrong, greedy, slow or mad: each gets the answer the RFC
 * has for it, or a closed connection, and the next caller is served.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/rpcfake.h"
#include "tests/unit.h"

static int
call(struct rpcc *c, uint32_t program, uint32_t version, uint32_t procedure)
{
	return rpcc_call(c, program, version, procedure,
			 (xdrproc_t)rpcc_void, NULL, (xdrproc_t)rpcc_void,
			 NULL);
}

static void
still_serves(struct fake *fake)
{
	struct rpcc c;

	CU_ASSERT(fake_connect(fake, &c) == 0);
	CU_ASSERT(call(&c, FAKE_PROGRAM, FAKE_V3, FAKE_NULL) == 0);
	rpcc_close(&c);
}

static void
wrong_calls_get_the_errors_of_rfc_5531(void)
{
	struct fake fake;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	for (int udp = 0; udp < 2; udp++) {
		struct rpcc c;

		CU_ASSERT(rpcc_open(&c, NULL, "127.0.0.1",
				    udp ? fake.udp_port : fake.port,
				    udp != 0) == 0);
		CU_ASSERT(call(&c, 99, 1, 0) == RPCC_PROG_UNAVAIL);
		CU_ASSERT(call(&c, FAKE_PROGRAM, 2, 0) == RPCC_PROG_MISMATCH);
		CU_ASSERT(c.last.low == 3 && c.last.high == 3);
		CU_ASSERT(call(&c, FAKE_PROGRAM, 4, 1) == RPCC_PROG_MISMATCH);
		CU_ASSERT(call(&c, FAKE_PROGRAM, 3, 5) == RPCC_PROC_UNAVAIL);
		CU_ASSERT(call(&c, FAKE_PROGRAM, 3, 4000000000U) ==
			  RPCC_PROC_UNAVAIL);
		CU_ASSERT(call(&c, FAKE_PROGRAM, 3, FAKE_PLAIN) ==
			  RPCC_GARBAGE_ARGS);
		CU_ASSERT(fake_call(&c, FAKE_PLAIN, FAKE_GARBAGE, 0, "", 0,
				    NULL) == RPCC_GARBAGE_ARGS);
		CU_ASSERT(fake_call(&c, FAKE_PLAIN, FAKE_FAIL, 0, "", 0,
				    NULL) == RPCC_SYSTEM_ERR);
		CU_ASSERT(fake_call(&c, FAKE_PLAIN, FAKE_REJECT, 0, "", 0,
				    NULL) == RPCC_AUTH_ERROR + 5);
		/* Only the first program is for datagrams. */
		CU_ASSERT(call(&c, FAKE_PROGRAM + 1, 3, 0) ==
			  (udp ? RPCC_PROG_UNAVAIL : 0));
		c.flavor = 6;	/* RPCSEC_GSS */
		CU_ASSERT(call(&c, FAKE_PROGRAM, 3, 0) == RPCC_AUTH_ERROR + 2);
		CU_ASSERT(call(&c, FAKE_PROGRAM, 4, 0) == RPCC_PROG_MISMATCH);
		rpcc_close(&c);
	}
	still_serves(&fake);
	fake_stop(&fake);
}

/* A call in words, from the RPC version on. */
static int
words(struct rpcc *c, const uint32_t *word, unsigned count)
{
	uint32_t message[64] = { htonl(77) };
	struct rpcc_reply reply;
	int r;

	for (unsigned i = 0; i < count; i++)
		message[2 + i] = htonl(word[i]);
	r = rpcc_send_message(c, message, 8 + 4 * count);
	if (r == 0)
		r = rpcc_recv(c, 77, c->timeout_ms, &reply);
	if (r < 0)
		return r;
	c->last = reply;
	free(reply.data);
	c->last.data = NULL;
	return reply.status;
}

#define WORDS(c, ...)                                                         \
	words(c, (const uint32_t[]){ __VA_ARGS__ },                           \
	      sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

static void
credentials_are_taken_apart_strictly(void)
{
	enum { P = FAKE_PROGRAM };
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(WORDS(&c, 3, P, 3, 0, 0, 0, 0, 0) == RPCC_RPC_MISMATCH);
	CU_ASSERT(c.last.low == 2 && c.last.high == 2);
	CU_ASSERT(WORDS(&c, 2, P) == RPCC_GARBAGE_ARGS);
	/* No verifier; no credential; a credential longer than the call. */
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 0, 0) == RPCC_AUTH_ERROR + 1);
	CU_ASSERT(WORDS(&c, 2, P, 3, 0) == RPCC_AUTH_ERROR + 1);
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 1, 400, 0) == RPCC_AUTH_ERROR + 1);
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 1, 0xffffffff, 0) ==
		  RPCC_AUTH_ERROR + 1);
	/* AUTH_SYS: a machine name of 4 GiB; 17 groups; groups missing. */
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 1, 20, 0, 0xfffffffd, 0, 0, 0, 0,
			0) == RPCC_AUTH_ERROR + 1);
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 1, 88, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0,
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) ==
		  RPCC_AUTH_ERROR + 1);
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 1, 20, 0, 0, 0, 0, 1, 0, 0) ==
		  RPCC_AUTH_ERROR + 1);
	/* A NUL in the machine name. */
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 1, 24, 0, 4, 0x61006200, 0, 0, 0, 0,
			0) == RPCC_AUTH_ERROR + 1);
	/* And good ones: 16 groups, none. */
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 1, 84, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0,
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) == 0);
	CU_ASSERT(WORDS(&c, 2, P, 3, 0, 0, 0, 0, 0) == 0);
	rpcc_close(&c);
	fake_stop(&fake);
}

/* Send bytes; the server hangs up. */
static void
hangs_up(struct fake *fake, const void *bytes, size_t len)
{
	struct rpcc c;

	CU_ASSERT(fake_connect(fake, &c) == 0);
	(void)!rpcc_send_raw(&c, bytes, len);
	CU_ASSERT(rpcc_wait_closed(&c, 30000) == 0);
	rpcc_close(&c);
}

static void
bad_records_close_the_connection(void)
{
	static unsigned char zeros[400];
	static unsigned char ones[4 * 20000 + 20000];
	unsigned char marker[4] = { 0x80, 0x10, 0x10, 0x01 };

	unsigned char http[] = "GET / HTTP/1.0\r\n\r\n";
	unsigned char empty[4] = { 0x80, 0, 0, 0 };
	unsigned char reply[] = { 0x80, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1,
				  0, 0, 0, 0 };
	struct fake fake;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	/* A byte longer than RPC_RECORD_MAX; before any byte of it comes. */
	hangs_up(&fake, marker, sizeof(marker));
	hangs_up(&fake, http, sizeof(http));
	hangs_up(&fake, empty, sizeof(empty));
	hangs_up(&fake, reply, sizeof(reply));
	/* Empty fragments without end; fragments of one byte without end. */
	hangs_up(&fake, zeros, sizeof(zeros));
	for (size_t i = 0; i < 20000; i++)
		ones[5 * i + 3] = 1;
	hangs_up(&fake, ones, sizeof(ones));

	still_serves(&fake);
	fake_stop(&fake);
}

static void
random_bytes_never_hurt(void)
{
	struct fake fake;
	unsigned seed = 1;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	for (int i = 0; i < 300; i++) {
		unsigned char bytes[200];
		struct rpcc c;
		size_t len = (size_t)rand_r(&seed) % 150;

		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (unsigned char)rand_r(&seed);
		/* Half of them begin like a call. */
		if (i & 1)
			memcpy(bytes + 4, "\0\0\0\0\0\0\0\2\x20\0\0\1\0\0\0\3"
			       "\0\0\0\1", 20);
		CU_ASSERT(fake_connect(&fake, &c) == 0);
		(void)!rpcc_send_message(&c, bytes, len);
		rpcc_close(&c);
		CU_ASSERT(rpcc_open(&c, NULL, "127.0.0.1", fake.udp_port,
				    true) == 0);
		(void)!rpcc_send_raw(&c, bytes, len);
		rpcc_close(&c);
	}
	still_serves(&fake);
	fake_stop(&fake);
}

/* A megabyte each way, answered at once and on a worker. */
static void
still_serves_bulk(struct fake *fake)
{
	static const char data[1 << 20];
	struct rpcc c;

	CU_ASSERT(fake_connect(fake, &c) == 0);
	for (uint32_t how = FAKE_NOW; how <= FAKE_THREAD; how++) {
		CU_ASSERT(fake_call(&c, FAKE_READ, how, 2, NULL, sizeof(data),
				    NULL) == 0);
		CU_ASSERT(fake_call(&c, FAKE_PLAIN, how, 2, data,
				    sizeof(data), NULL) == 0);
	}
	rpcc_close(&c);
}

/* It asks for 64 MiB, and does not read. */
static void
ask_for_much(struct fake *fake, struct rpcc *c, uint32_t how)
{
	CU_ASSERT(fake_connect(fake, c) == 0);
	for (uint32_t xid = 0; xid < 64; xid++)
		CU_ASSERT(fake_send(c, xid, FAKE_READ, how, 1, NULL,
				    1 << 20) == 0);
}

/* Now it reads, and has lost nothing. */
static void
read_all(struct rpcc *c)
{
	for (uint32_t xid = 0; xid < 64; xid++) {
		struct rpcc_reply reply;

		CU_ASSERT_FATAL(rpcc_recv(c, xid, c->timeout_ms, &reply) == 0);
		CU_ASSERT(reply.len == 40 + (1 << 20));
		free(reply.data);
	}
}

static void
a_peer_that_does_not_read_stops_only_itself(void)
{
	struct rpc_limits limits = { .buffer_bytes = 8 << 20 };
	struct fake fake;
	struct rpcc slow;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	for (uint32_t how = FAKE_NOW; how <= FAKE_THREAD; how++) {
		ask_for_much(&fake, &slow, how);
		for (int i = 0; i < 10; i++)
			still_serves(&fake);
		still_serves_bulk(&fake);
		read_all(&slow);
		rpcc_close(&slow);
	}
	fake_stop(&fake);
}

/* So many use up all memory: the server has to close some. */
static void
many_peers_that_do_not_read_stop_nobody_else(void)
{
	struct rpc_limits limits = { .buffer_bytes = 8 << 20 };
	struct fake fake;
	struct rpcc slow[8];

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	for (uint32_t i = 0; i < 8; i++)
		ask_for_much(&fake, &slow[i], i & 1 ? FAKE_NOW : FAKE_THREAD);
	for (int i = 0; i < 10; i++)
		still_serves(&fake);
	still_serves_bulk(&fake);
	for (int i = 0; i < 8; i++)
		rpcc_close(&slow[i]);
	still_serves_bulk(&fake);
	fake_stop(&fake);
}

/* Until its own socket is full, since nobody reads at the other end; or so
 * many that the replies, a buffer each, would be too much. */
static uint32_t
ask_until_full(struct rpcc *slow)
{
	uint32_t sent = 0;

	CU_ASSERT(rpcc_send_timeout(slow, 300) == 0);
	while (sent < 2500 &&
	       fake_send(slow, sent, FAKE_READ, sent & 1, 1, NULL, 3000) == 0)
		sent++;
	return sent;
}

static void
small_replies_that_are_not_read_take_little_memory(void)
{
	struct rpc_limits limits = { .buffer_bytes = 8 << 20 };
	struct fake fake;
	struct rpcc slow;
	uint32_t sent = 0;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	/* Again, if the machine stood still while it sent. */
	for (int tries = 0; tries < 20 && sent <= 1000; tries++) {
		if (tries > 0)
			rpcc_close(&slow);
		CU_ASSERT(fake_connect(&fake, &slow) == 0);
		sent = ask_until_full(&slow);
	}
	CU_ASSERT(sent > 1000);
	for (int i = 0; i < 10; i++)
		still_serves(&fake);
	still_serves_bulk(&fake);
	for (uint32_t xid = 0; xid < sent; xid++)
		CU_ASSERT_FATAL(fake_result(&slow, xid, NULL) == 0);
	rpcc_close(&slow);
	fake_stop(&fake);
}

static void
records_begun_by_many_do_not_take_all_memory(void)
{
	struct rpc_limits limits = { .buffer_bytes = 8 << 20 };
	unsigned char half[70000] = { 0x80, 0x10, 0x00, 0x00 };
	struct fake fake;
	struct rpcc c[40];

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	for (int i = 0; i < 40; i++) {
		CU_ASSERT(rpcc_open(&c[i], "127.0.0.7", "127.0.0.1",
				    fake.port, false) == 0);
		CU_ASSERT(rpcc_send_raw(&c[i], half, sizeof(half)) == 0);
	}
	/* Another host is served as if nothing were. */
	for (int i = 0; i < 10; i++)
		still_serves(&fake);
	for (int i = 0; i < 40; i++)
		rpcc_close(&c[i]);
	fake_stop(&fake);
}

static void
connections_of_one_host_are_bounded(void)
{
	struct rpc_limits limits = { .connections_per_host = 4 };
	struct fake fake;
	struct rpcc c[5];

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	for (int i = 0; i < 5; i++)
		CU_ASSERT(rpcc_open(&c[i], "127.0.0.8", "127.0.0.1",
				    fake.port, false) == 0);
	CU_ASSERT(rpcc_wait_closed(&c[4], 30000) == 0);
	CU_ASSERT(call(&c[0], FAKE_PROGRAM, FAKE_V3, FAKE_NULL) == 0);
	still_serves(&fake);
	for (int i = 0; i < 5; i++)
		rpcc_close(&c[i]);
	fake_stop(&fake);
}

static void
idle_connections_end(void)
{
	struct rpc_limits limits = { .idle_s = 1 };
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(call(&c, FAKE_PROGRAM, FAKE_V3, FAKE_NULL) == 0);
	CU_ASSERT(rpcc_wait_closed(&c, 30000) == 0);
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
running_out_of_descriptors_refuses_and_recovers(void)
{
	struct rlimit before, low;
	struct fake fake;
	struct rpcc first, c;
	int fds[64], count = 0, fd;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &first) == 0);
	CU_ASSERT(call(&first, FAKE_PROGRAM, FAKE_V3, FAKE_NULL) == 0);
	CU_ASSERT(getrlimit(RLIMIT_NOFILE, &before) == 0);
	low = before;
	low.rlim_cur = 64;
	CU_ASSERT(setrlimit(RLIMIT_NOFILE, &low) == 0);
	/* Leave one, which the client takes; the server finds none. */
	while (count < 64 && (fd = dup(0)) >= 0)
		fds[count++] = fd;
	CU_ASSERT_FATAL(count > 2);
	close(fds[--count]);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(rpcc_wait_closed(&c, 30000) == 0);
	/* Who is connected is served. */
	CU_ASSERT(call(&first, FAKE_PROGRAM, FAKE_V3, FAKE_NULL) == 0);
	rpcc_close(&c);
	while (count > 0)
		close(fds[--count]);
	still_serves(&fake);
	CU_ASSERT(setrlimit(RLIMIT_NOFILE, &before) == 0);
	rpcc_close(&first);
	fake_stop(&fake);
}

static void
a_half_closed_peer_gets_its_replies(void)
{
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(fake_send(&c, 1, FAKE_PLAIN, FAKE_HOLD, 0, "x", 1) == 0);
	CU_ASSERT(fake_send(&c, 2, FAKE_PLAIN, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(shutdown(c.fd, SHUT_WR) == 0);
	CU_ASSERT(fake_result(&c, 2, NULL) == 0);
	CU_ASSERT(fake_wait_held(&fake, 1));
	CU_ASSERT(fake_wake_all(&fake) == 1);
	CU_ASSERT(fake_result(&c, 1, NULL) == 0);
	CU_ASSERT(rpcc_wait_closed(&c, 30000) == 0);
	rpcc_close(&c);
	fake_stop(&fake);
}

TEST_MAIN("nfsd_rpc_hostile",
	T(wrong_calls_get_the_errors_of_rfc_5531),
	T(credentials_are_taken_apart_strictly),
	T(bad_records_close_the_connection),
	T(random_bytes_never_hurt),
	T(a_peer_that_does_not_read_stops_only_itself),
	T(many_peers_that_do_not_read_stop_nobody_else),
	T(small_replies_that_are_not_read_take_little_memory),
	T(records_begun_by_many_do_not_take_all_memory),
	T(connections_of_one_host_are_bounded),
	T(idle_connections_end),
	T(running_out_of_descriptors_refuses_and_recovers),
	T(a_half_closed_peer_gets_its_replies))
