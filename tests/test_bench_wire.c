/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark's generator must notice wrong answers, else a broken server
 * wins.  A thread plays a server that takes a number of calls and answers
 * them as a script of ours says.
 */
#include <config.h>

#include "tests/bench/pattern.h"
#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit.h"

#define CALLS_MAX 8

struct server {
	int listener;
	unsigned port;
	unsigned calls;		/* to take before answering */
	/* Answers them; xids as they lie on the wire. */
	void (*answer)(int fd, const uint32_t xids[CALLS_MAX]);
	pthread_t thread;
};

static bool
read_all(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static void *
serve(void *arg)
{
	struct server *v = arg;
	uint32_t xids[CALLS_MAX] = {0};
	int fd = accept(v->listener, NULL, NULL);

	for (unsigned i = 0; i < v->calls; i++) {
		uint32_t mark;
		uint8_t body[4096];

		if (!read_all(fd, &mark, 4) ||
		    !read_all(fd, body, ntohl(mark) & 0x7fffffff))
			break;
		memcpy(&xids[i], body, 4);
	}
	v->answer(fd, xids);
	close(fd);
	return NULL;
}

static void
server_start(struct server *v)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(v->listener, (void *)&a, sizeof(a)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(v->listener, 1), 0);
	getsockname(v->listener, (void *)&a, &len);
	v->port = ntohs(a.sin_port);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&v->thread, NULL, serve, v), 0);
}

/* xid, REPLY, accepted, AUTH_NONE, SUCCESS, one word of result. */
static void
reply_words(uint32_t words[7], uint32_t xid, uint32_t result)
{
	memset(words, 0, 28);
	words[0] = xid;
	words[1] = htonl(1);
	words[6] = htonl(result);
}

static void
send_fragment(int fd, const void *data, uint32_t len, bool last)
{
	uint32_t mark = htonl(len | (last ? 0x80000000u : 0));

	(void)!write(fd, &mark, 4);
	(void)!write(fd, data, len);
}

static uint32_t got[CALLS_MAX];

static void
keep(struct wire *w, struct slot *s, struct in *in)
{
	(void)w;
	got[s->index] = get_u32(in);
	if (in->bad || in->p != in->end)
		got[s->index] = 0xdead;
}

/* Send so many calls at once and run until all is answered or failed. */
static void
drive(struct wire *w, unsigned calls,
      void (*answer)(int fd, const uint32_t xids[CALLS_MAX]))
{
	struct server v = { .calls = calls, .answer = answer };

	memset(got, 0, sizeof(got));
	server_start(&v);
	CU_ASSERT_EQUAL_FATAL(wire_open(w, "127.0.0.1", v.port, 1, calls, 0),
			      0);
	for (unsigned i = 0; i < calls; i++) {
		wire_begin(w, &w->slots[i], 100003, 3, 1);
		wire_submit(w, &w->slots[i], keep);
	}
	wire_run(w);
	pthread_join(v.thread, NULL);
	close(v.listener);
}

static void
backwards(int fd, const uint32_t xids[CALLS_MAX])
{
	uint32_t words[7];

	for (int i = 3; i >= 0; i--) {
		reply_words(words, xids[i], 10 + (uint32_t)i);
		send_fragment(fd, words, 28, true);
	}
}

static void
replies_in_any_order_find_their_calls(void)
{
	struct wire w;

	drive(&w, 4, backwards);
	CU_ASSERT_STRING_EQUAL(w.error, "");
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(got[i], 10 + i);
	wire_close(&w);
}

static void
in_pieces(int fd, const uint32_t xids[CALLS_MAX])
{
	uint32_t words[7];

	for (unsigned i = 0; i < 2; i++) {
		reply_words(words, xids[i], 20 + i);
		send_fragment(fd, words, 4, false);
		send_fragment(fd, words + 1, 0, false);
		send_fragment(fd, words + 1, 20, false);
		send_fragment(fd, words + 6, 4, true);
	}
}

static void
fragments_of_a_reply_are_joined(void)
{
	struct wire w;

	drive(&w, 2, in_pieces);
	CU_ASSERT_STRING_EQUAL(w.error, "");
	CU_ASSERT_EQUAL(got[0], 20);
	CU_ASSERT_EQUAL(got[1], 21);
	wire_close(&w);
}

static void
twice_the_same(int fd, const uint32_t xids[CALLS_MAX])
{
	uint32_t words[7];

	reply_words(words, xids[0], 1);
	send_fragment(fd, words, 28, true);
	send_fragment(fd, words, 28, true);
}

static void
a_second_reply_to_one_call_is_a_failure(void)
{
	struct wire w;

	drive(&w, 2, twice_the_same);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.error, "unknown xid"));
	wire_close(&w);
}

static void
rpc_error(int fd, const uint32_t xids[CALLS_MAX])
{
	uint32_t words[7];

	reply_words(words, xids[0], 0);
	words[5] = htonl(4);	/* GARBAGE_ARGS */
	send_fragment(fd, words, 24, true);
}

static void
an_rpc_error_is_a_failure(void)
{
	struct wire w;

	drive(&w, 1, rpc_error);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.error, "accept status 4"));
	wire_close(&w);
}

static void
half_a_reply(int fd, const uint32_t xids[CALLS_MAX])
{
	uint32_t words[7];

	reply_words(words, xids[0], 0);
	send_fragment(fd, words, 12, false);
}

static void
a_connection_that_ends_is_a_failure(void)
{
	struct wire w;

	drive(&w, 1, half_a_reply);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.error, "connection lost"));
	wire_close(&w);
}

static void
a_result_that_is_too_short_is_seen(void)
{
	const uint8_t bytes[6] = { 0, 0, 0, 9, 1, 2 };
	struct in in = { bytes, bytes + 6, false };
	size_t len;

	CU_ASSERT_PTR_NULL(get_opaque(&in, 64, &len));
	CU_ASSERT(in.bad);
}

static void
one_changed_byte_of_a_page_is_seen(void)
{
	struct pattern *p = malloc(sizeof(*p));
	uint8_t *buf = malloc(2 * PAGE_BYTES);

	CU_ASSERT_FATAL(p != NULL && buf != NULL);
	pattern_init(p);
	pattern_fill(p, 7, PAGE_BYTES, buf, 2 * PAGE_BYTES);
	CU_ASSERT(pattern_check(p, 7, PAGE_BYTES, buf, 2 * PAGE_BYTES));
	CU_ASSERT(pattern_check(p, 7, PAGE_BYTES + 5, buf + 5, 5000));
	CU_ASSERT_FALSE(pattern_check(p, 8, PAGE_BYTES, buf, PAGE_BYTES));
	CU_ASSERT_FALSE(pattern_check(p, 7, 0, buf, PAGE_BYTES));
	for (size_t i = 0; i < 2 * PAGE_BYTES; i += 611) {
		buf[i] ^= 1;
		CU_ASSERT_FALSE(pattern_check(p, 7, PAGE_BYTES, buf,
					      2 * PAGE_BYTES));
		buf[i] ^= 1;
	}
	free(buf);
	free(p);
}

TEST_MAIN("bench_wire",
	  T(replies_in_any_order_find_their_calls),
	  T(fragments_of_a_reply_are_joined),
	  T(a_second_reply_to_one_call_is_a_failure),
	  T(an_rpc_error_is_a_failure),
	  T(a_connection_that_ends_is_a_failure),
	  T(a_result_that_is_too_short_is_seen),
	  T(one_changed_byte_of_a_page_is_seen))
