/* SPDX-License-Identifier: Apache-2.0 */
/* Connections live as long as their client: what cuts them, and what not. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "nfsd/gate/clock.h"
#include "tests/rpcfake.h"
#include "tests/unit.h"

#define RECORD_MS 800
#define PATIENCE_MS 60000

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The pace of a sender. */
static void
tick(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

/* A NULL call as a record; free().  *len tells how long it is. */
static unsigned char *
null_record(struct rpcc *c, uint32_t xid, size_t *len)
{
	size_t message_len = 0;
	unsigned char *message = rpcc_build(c, xid, FAKE_PROGRAM, FAKE_V3,
					    FAKE_NULL, (xdrproc_t)rpcc_void,
					    NULL, &message_len);
	unsigned char *record = malloc(message_len + 4);
	uint32_t marker = htonl(0x80000000U | (uint32_t)message_len);

	memcpy(record, &marker, 4);
	memcpy(record + 4, message, message_len);
	free(message);
	*len = message_len + 4;
	return record;
}

/* How a sender has kept his pace: the longest time from one send to the next. */
struct pace {
	uint64_t last_ms, longest_ms;
};

static void
sends(struct pace *p)
{
	uint64_t now = now_ms();

	if (p->last_ms != 0 && now - p->last_ms > p->longest_ms)
		p->longest_ms = now - p->last_ms;
	p->last_ms = now;
}

/* Does it succeed, by a sender who keeps his pace?  Where the machine has stood
 * still, and he was cut for that, it is tried again. */
static bool
at_a_pace(bool (*send)(struct rpcc *c, struct pace *p))
{
	struct rpc_limits limits = { .record_ms = RECORD_MS };
	uint64_t until = now_ms() + PATIENCE_MS;
	struct pace pace;
	struct fake fake;
	struct rpcc c;
	bool good;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	do {
		pace = (struct pace){ 0 };
		CU_ASSERT(fake_connect(&fake, &c) == 0);
		good = send(&c, &pace);
		sends(&pace);
		rpcc_close(&c);
	} while (!good && pace.longest_ms > RECORD_MS / 4 &&
		 now_ms() < until);
	fake_stop(&fake);
	return good;
}

static bool
send_stream(struct rpcc *c, struct pace *pace)
{
	uint64_t until = now_ms() + 3 * RECORD_MS / 2;
	unsigned char *record;
	uint32_t xid = 1;
	size_t len;
	bool good;

	record = null_record(c, 1, &len);
	good = rpcc_send_raw(c, record, 10) == 0;
	while (good && now_ms() < until) {
		unsigned char *next = null_record(c, xid + 1, &len);
		unsigned char both[512];

		memcpy(both, record + 10, len - 10);
		memcpy(both + len - 10, next, 10);
		sends(pace);
		good = rpcc_send_raw(c, both, len) == 0 &&
		       rpcc_result(c, xid, c->timeout_ms, (xdrproc_t)rpcc_void,
				   NULL) == 0;
		free(record);
		record = next;
		xid++;
		tick();
	}
	free(record);
	return good;
}

static void
a_stream_of_records_lives_on_though_each_look_ends_amid_one(void)
{
	CU_ASSERT(at_a_pace(send_stream));
}

static bool
send_long(struct rpcc *c, struct pace *pace)
{
	static char data[1 << 20];
	uint64_t began = now_ms();
	struct fake_args args = { FAKE_NOW, 0, 0, { sizeof(data), data } };
	unsigned char *message;
	uint32_t marker;
	size_t len = 0;
	bool good;

	message = rpcc_build(c, 9, FAKE_PROGRAM, FAKE_V3, FAKE_PLAIN,
			     (xdrproc_t)xdr_fake_args, &args, &len);
	marker = htonl(0x80000000U | (uint32_t)len);
	good = rpcc_send_raw(c, &marker, 4) == 0;
	for (size_t at = 0; good && at < len; at += 8192) {
		sends(pace);
		good = rpcc_send_raw(c, message + at, len - at < 8192 ?
				     len - at : 8192) == 0;
		tick();
	}
	CU_ASSERT(!good || now_ms() - began > RECORD_MS);
	good = good && fake_result(c, 9, NULL) == 0;
	free(message);
	return good;
}

static void
a_long_record_on_a_slow_line_gets_whole(void)
{
	CU_ASSERT(at_a_pace(send_long));
}

static void
a_record_that_trickles_is_cut(void)
{
	struct rpc_limits limits = { .record_ms = RECORD_MS };
	unsigned char *record, marker[4] = { 0x80, 0, 0x40, 0 };
	uint64_t began;
	struct fake fake;
	struct rpcc c;
	size_t len, sent = 0;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	record = null_record(&c, 1, &len);
	/* Whole ones before it do not help. */
	CU_ASSERT(rpcc_send_raw(&c, record, len) == 0);
	CU_ASSERT(rpcc_result(&c, 1, c.timeout_ms, (xdrproc_t)rpcc_void,
			      NULL) == 0);
	began = now_ms();
	CU_ASSERT(rpcc_send_raw(&c, marker, 4) == 0);
	while (now_ms() < began + PATIENCE_MS &&
	       rpcc_send_raw(&c, "x", 1) == 0 && sent < 16000) {
		sent++;
		tick();
	}
	CU_ASSERT(now_ms() < began + PATIENCE_MS && sent < 16000);
	CU_ASSERT(now_ms() >= began + RECORD_MS);
	free(record);
	rpcc_close(&c);
	fake_stop(&fake);
}

/* ---- who waits for us ---- */

static bool
is_everybody(void *arg, const struct rpc_cred *cred,
	     const struct sockaddr_storage *peer)
{
	(void)arg;
	(void)cred;
	(void)peer;
	return true;
}

static bool
waits(struct fake *fake, uint64_t since_ms)
{
	return rpc_server_waits(fake->server, is_everybody, NULL, since_ms);
}

static bool
waits_soon(struct fake *fake, bool wanted)
{
	uint64_t until = now_ms() + PATIENCE_MS;

	while (waits(fake, UINT64_MAX) != wanted && now_ms() < until)
		tick();
	return waits(fake, UINT64_MAX) == wanted;
}

static void
a_client_waits_while_a_call_has_no_answer_or_is_not_read(void)
{
	struct rpc_limits limits = { .in_flight_per_connection = 2 };
	uint64_t began = now_ms();
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(fake_call(&c, FAKE_PLAIN, FAKE_NOW, 0, "x", 1, NULL) == 0);
	CU_ASSERT(waits_soon(&fake, false));
	/* In flight, but since a moment ago only. */
	CU_ASSERT(fake_send(&c, 1, FAKE_PLAIN, FAKE_HOLD, 0, "x", 1) == 0);
	CU_ASSERT(fake_wait_held(&fake, 1));
	CU_ASSERT(waits_soon(&fake, true));
	CU_ASSERT(!waits(&fake, began - 1));
	/* One more than are read. */
	for (uint32_t xid = 2; xid <= 3; xid++)
		CU_ASSERT(fake_send(&c, xid, FAKE_PLAIN, FAKE_HOLD, 0, "x",
				    1) == 0);
	CU_ASSERT(fake_wait_held(&fake, 2));
	CU_ASSERT(waits_soon(&fake, true));
	CU_ASSERT(fake_wake_all(&fake) == 2);
	for (uint32_t xid = 1; xid <= 2; xid++)
		CU_ASSERT(fake_result(&c, xid, NULL) == 0);
	CU_ASSERT(fake_wait_held(&fake, 1));
	CU_ASSERT(fake_wake_all(&fake) == 1);
	CU_ASSERT(fake_result(&c, 3, NULL) == 0);
	CU_ASSERT(waits_soon(&fake, false));
	rpcc_close(&c);
	fake_stop(&fake);
}

/* ---- a host that wants all ---- */

#define HOGS 24
#define CALLS 100

static bool
serves_in(struct fake *fake, const char *from, bool udp, unsigned timeout_ms)
{
	struct rpcc c;
	bool good = rpcc_open(&c, from, "127.0.0.1",
			      udp ? fake->udp_port : fake->port, udp) == 0;

	rpcc_identity(&c, "other", 0, 0, 0, NULL);
	c.timeout_ms = timeout_ms;
	for (int i = 0; i < 5 && good; i++)
		good = fake_call(&c, FAKE_PLAIN, FAKE_THREAD, 0, "x", 1,
				 NULL) == 0;
	rpcc_close(&c);
	return good;
}

/* A datagram may be dropped where there is no room: it is sent again then. */
static bool
serves(struct fake *fake, const char *from, bool udp)
{
	uint64_t until = now_ms() + PATIENCE_MS;

	if (!udp)
		return serves_in(fake, from, false, PATIENCE_MS);
	while (!serves_in(fake, from, true, 2000))
		if (now_ms() >= until)
			return false;
	return true;
}

/* All that are held, until so many have been. */
static bool
wake_in_all(struct fake *fake, unsigned count)
{
	uint64_t until = now_ms() + PATIENCE_MS;
	unsigned woken = 0;

	while (woken < count && now_ms() < until) {
		woken += fake_wake_all(fake);
		tick();
	}
	return woken == count;
}

static void
calls_that_hang_cost_their_host_alone(void)
{
	struct rpc_limits limits = { .buffer_bytes = 8 << 20 };
	struct rpcc hog[HOGS];
	struct fake fake;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	for (unsigned i = 0; i < HOGS; i++) {
		CU_ASSERT(rpcc_open(&hog[i], "127.0.0.7", "127.0.0.1",
				    fake.port, false) == 0);
		for (uint32_t xid = 0; xid < CALLS; xid++)
			CU_ASSERT(fake_send(&hog[i], xid, FAKE_PLAIN,
					    FAKE_HOLD, 0, "x", 1) == 0);
	}
	/* As many as it may have, and no fewer than one a connection. */
	CU_ASSERT(fake_wait_held(&fake, 2 * HOGS));
	CU_ASSERT(serves(&fake, "127.0.0.8", false));
	CU_ASSERT(serves(&fake, "127.0.0.8", true));
	CU_ASSERT(serves(&fake, "127.0.0.7", false));
	CU_ASSERT(wake_in_all(&fake, HOGS * CALLS));
	for (unsigned i = 0; i < HOGS; i++) {
		for (uint32_t xid = 0; xid < CALLS; xid++)
			CU_ASSERT(fake_result(&hog[i], xid, NULL) == 0);
		rpcc_close(&hog[i]);
	}
	fake_stop(&fake);
}

static void
datagrams_that_hang_are_few(void)
{
	struct rpc_limits limits = { .buffer_bytes = 8 << 20 };
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT(rpcc_open(&c, "127.0.0.7", "127.0.0.1", fake.udp_port,
			    true) == 0);
	for (uint32_t xid = 0; xid < 3000; xid++) {
		CU_ASSERT(fake_send(&c, xid, FAKE_PLAIN, FAKE_HOLD, 0, "x",
				    1) == 0);
		if (xid % 50 == 49)	/* before the socket is full */
			CU_ASSERT(serves(&fake, "127.0.0.8", true));
	}
	CU_ASSERT(fake_wait_held(&fake, 64));
	CU_ASSERT(!serves_in(&fake, "127.0.0.7", true, 100));
	CU_ASSERT(serves(&fake, "127.0.0.8", false));
	/* Nor does it cost what the host named as their sender may have. */
	CU_ASSERT(serves(&fake, "127.0.0.7", false));
	CU_ASSERT(fake_wake_all(&fake) == 64);
	CU_ASSERT(serves(&fake, "127.0.0.7", true));
	rpcc_close(&c);
	fake_stop(&fake);
}

TEST_MAIN("nfsd_rpc_conn",
	  T(a_stream_of_records_lives_on_though_each_look_ends_amid_one),
	  T(a_long_record_on_a_slow_line_gets_whole),
	  T(a_record_that_trickles_is_cut),
	  T(a_client_waits_while_a_call_has_no_answer_or_is_not_read),
	  T(calls_that_hang_cost_their_host_alone),
	  T(datagrams_that_hang_are_few))
