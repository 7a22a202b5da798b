/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport from outside, over loopback: record marking, pipelines,
 * workers, held calls, errors of the caller, datagrams.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rpcfake.h"
#include "tests/unit.h"

static void
a_null_call_is_answered(void)
{
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (int i = 0; i < 3; i++)
		CU_ASSERT(rpcc_call(&c, FAKE_PROGRAM, FAKE_V3, FAKE_NULL,
				    (xdrproc_t)rpcc_void, NULL,
				    (xdrproc_t)rpcc_void, NULL) == 0);
	rpcc_close(&c);
	fake_stop(&fake);
}

static uint32_t
sum(const unsigned char *data, size_t len)
{
	uint32_t total = 0;

	for (size_t i = 0; i < len; i++)
		total += data[i];
	return total;
}

static void
records_arrive_in_fragments_of_every_size(void)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 5, 7, 13, 63, 64, 65,
					1023, 4096, 65535, 65536, 65537 };
	static unsigned char data[200000];
	struct fake fake;
	struct rpcc c;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 31 + (i >> 8));
	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint32_t len = sizes[i] < 64 ? 3000 : sizeof(data) - 1;
		struct fake_res res;

		c.fragment = sizes[i];
		CU_ASSERT(fake_call(&c, FAKE_PLAIN, FAKE_NOW, 0, data, len,
				    &res) == 0);
		CU_ASSERT(res.sum == sum(data, len));
		CU_ASSERT(fake_call(&c, FAKE_PLAIN, FAKE_THREAD, 0, data, len,
				    &res) == 0);
		CU_ASSERT(res.sum == sum(data, len));
	}
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
a_megabyte_goes_both_ways(void)
{
	static unsigned char data[1 << 20];
	struct fake fake;
	struct rpcc c;

	memset(data, 7, sizeof(data));
	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (uint32_t how = FAKE_NOW; how <= FAKE_THREAD; how++) {
		struct fake_res res;

		CU_ASSERT(fake_call(&c, FAKE_PLAIN, how, 0, data,
				    sizeof(data), &res) == 0);
		CU_ASSERT(res.sum == 7U << 20);
		for (uint32_t len = (1 << 20) - 5; len <= 1 << 20; len++) {
			struct rpcc_reply reply;
			uint32_t xid = rpcc_xid(&c);

			CU_ASSERT(fake_send(&c, xid, FAKE_READ, how, 9, NULL,
					    len) == 0);
			CU_ASSERT_FATAL(rpcc_recv(&c, xid, c.timeout_ms, &reply) ==
					0);
			CU_ASSERT(reply.status == 0);
			CU_ASSERT(reply.len == 24 + 16 + ((len + 3) & ~3U));
			CU_ASSERT(reply.data[40] == 9 &&
				  reply.data[39 + len] == 9);
			free(reply.data);
		}
	}
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
replies_come_in_any_order(void)
{
	struct fake fake;
	struct rpcc c;
	struct fake_res res;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(fake_send(&c, 1, FAKE_PLAIN, FAKE_BLOCK, 0, "a", 1) == 0);
	CU_ASSERT(fake_send(&c, 2, FAKE_PLAIN, FAKE_HOLD, 0, "b", 1) == 0);
	CU_ASSERT(fake_send(&c, 3, FAKE_PLAIN, FAKE_THREAD, 0, "c", 1) == 0);
	CU_ASSERT(fake_send(&c, 4, FAKE_PLAIN, FAKE_NOW, 0, "d", 1) == 0);
	CU_ASSERT(fake_result(&c, 4, &res) == 0 && res.sum == 'd');
	CU_ASSERT(fake_result(&c, 3, &res) == 0 && res.sum == 'c');
	CU_ASSERT(fake_wait_held(&fake, 1));
	CU_ASSERT(fake_wake_all(&fake) == 1);
	CU_ASSERT(fake_result(&c, 2, &res) == 0 && res.sum == 'b');
	fake_open_gate(&fake, true);
	CU_ASSERT(fake_result(&c, 1, &res) == 0 && res.sum == 'a');
	rpcc_close(&c);
	fake_stop(&fake);
}

TEST_MAIN("nfsd_rpc",
	T(a_null_call_is_answered),
	T(records_arrive_in_fragments_of_every_size),
	T(a_megabyte_goes_both_ways),
	T(replies_come_in_any_order))
