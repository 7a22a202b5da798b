/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait for another machine: they take threads from nobody but from
 * their like, of the same key and host.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "nfsd/gate/clock.h"
#include "tests/rpcfake.h"
#include "tests/unit.h"

/* One that has no answer yet. */
static void
send_block(struct rpcc *c, uint32_t key, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		CU_ASSERT(fake_send(c, rpcc_xid(c), FAKE_PLAIN, FAKE_FAR_BLOCK,
				    key, "x", 1) == 0);
}

static bool
answered(struct rpcc *c, uint32_t how, uint32_t key)
{
	struct fake_res res;

	return fake_call(c, FAKE_PLAIN, how, key, "x", 1, &res) == 0 &&
	       res.sum == 'x' && res.uid != FAKE_LATE;
}

static int
connect_from(struct fake *fake, unsigned host, struct rpcc *c)
{
	char local[32];

	snprintf(local, sizeof(local), "127.0.0.%u", host);
	return rpcc_open(c, local, "127.0.0.1", fake->port, false);
}

static bool
is_far_busy(const struct rpc_stats *stats, uint64_t count)
{
	return stats->far_busy == count;
}

static void
who_waits_for_others_leaves_the_workers_to_the_rest(void)
{
	struct rpc_limits limits = { .workers = 2, .workers_per_key = 2 };
	struct fake fake;
	struct rpcc a, b;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT_FATAL(connect_from(&fake, 11, &a) == 0);
	CU_ASSERT_FATAL(connect_from(&fake, 12, &b) == 0);
	send_block(&a, 1, 100);
	CU_ASSERT(fake_wait_blocked(&fake, 2));
	CU_ASSERT(answered(&b, FAKE_THREAD, 1));
	CU_ASSERT(answered(&a, FAKE_THREAD, 1));
	CU_ASSERT(fake_wait_stat(&fake, is_far_busy, 2));
	fake_open_gate(&fake, true);
	CU_ASSERT(answered(&a, FAKE_FAR, 1));
	rpcc_close(&a);
	rpcc_close(&b);
	fake_stop(&fake);
}

static void
a_host_has_two_thirds_of_a_key(void)
{
	struct rpc_limits limits = { .workers = 2, .workers_per_key = 6 };
	struct fake fake;
	struct rpcc a, b;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT_FATAL(connect_from(&fake, 11, &a) == 0);
	CU_ASSERT_FATAL(connect_from(&fake, 12, &b) == 0);
	send_block(&a, 1, 50);
	CU_ASSERT(fake_wait_blocked(&fake, 4));
	for (int i = 0; i < 10; i++)
		CU_ASSERT(answered(&b, FAKE_FAR, 1));
	CU_ASSERT(fake_wait_stat(&fake, is_far_busy, 4));
	fake_open_gate(&fake, true);
	rpcc_close(&a);
	rpcc_close(&b);
	fake_stop(&fake);
}

static void
a_key_has_its_share_however_many_hosts_ask(void)
{
	struct rpc_limits limits = { .workers = 2, .workers_per_key = 3 };
	struct fake fake;
	struct rpcc hosts[8], other;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT_FATAL(fake_connect(&fake, &other) == 0);
	for (unsigned i = 0; i < 8; i++) {
		CU_ASSERT_FATAL(connect_from(&fake, 11 + i, &hosts[i]) == 0);
		send_block(&hosts[i], 1 + i % 2, 10);
	}
	CU_ASSERT(fake_wait_blocked(&fake, 6));
	CU_ASSERT(answered(&other, FAKE_FAR, 3));
	CU_ASSERT(answered(&other, FAKE_THREAD, 1));
	CU_ASSERT(fake_wait_stat(&fake, is_far_busy, 6));
	fake_open_gate(&fake, true);
	/* All of them come to their turn. */
	CU_ASSERT(answered(&hosts[0], FAKE_FAR, 1));
	CU_ASSERT(answered(&hosts[7], FAKE_FAR, 2));
	for (unsigned i = 0; i < 8; i++)
		rpcc_close(&hosts[i]);
	rpcc_close(&other);
	fake_stop(&fake);
}

static void
is_late(struct run_clock *clock)
{
	struct rpc_limits limits = { .workers = 2, .workers_per_key = 1,
				     .far_wait_ms = 50 };
	struct fake fake;
	struct fake_res res;
	struct rpcc a;
	uint32_t xid;

	CU_ASSERT_FATAL(fake_start_by(&fake, &limits, clock) == 0);
	CU_ASSERT_FATAL(fake_connect(&fake, &a) == 0);
	send_block(&a, 1, 1);
	CU_ASSERT(fake_wait_blocked(&fake, 1));
	xid = rpcc_xid(&a);
	CU_ASSERT(fake_send(&a, xid, FAKE_PLAIN, FAKE_FAR, 1, "x", 1) == 0);
	CU_ASSERT(fake_result(&a, xid, &res) == 0);
	CU_ASSERT_EQUAL(res.uid, FAKE_LATE);
	/* Who has one is not. */
	CU_ASSERT(answered(&a, FAKE_FAR, 2));
	fake_open_gate(&fake, true);
	rpcc_close(&a);
	fake_stop(&fake);
}

static void
who_waits_in_vain_for_a_far_worker_is_late(void)
{
	is_late(NULL);
}

static void
who_waits_in_vain_is_late_also_after_the_server_stood(void)
{
	struct run_clock clock;

	run_clock_init(&clock);
	/* As if for half of the time since the machine went up. */
	clock.stood_ms = run_clock_ms(&clock) / 2;
	is_late(&clock);
	run_clock_fini(&clock);
}

static bool
has_dropped(const struct rpc_stats *stats, uint64_t count)
{
	return stats->dropped_duplicates == count;
}

static void
a_call_that_comes_again_while_it_waits_is_worked_on_once(void)
{
	struct rpc_limits limits = { .workers = 2, .workers_per_key = 6 };
	struct fake fake;
	struct fake_res res;
	struct rpcc a, b;
	uint32_t xid;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT_FATAL(fake_connect(&fake, &a) == 0);
	CU_ASSERT_FATAL(fake_connect(&fake, &b) == 0);
	xid = rpcc_xid(&a);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT(fake_send(&a, xid, FAKE_PLAIN, FAKE_FAR_BLOCK, 1,
				    "x", 1) == 0);
	CU_ASSERT(fake_wait_stat(&fake, has_dropped, 3));
	CU_ASSERT(fake_wait_blocked(&fake, 1));
	/* With other arguments it is another, and so is another client's. */
	CU_ASSERT(fake_send(&a, xid, FAKE_PLAIN, FAKE_FAR_BLOCK, 1, "y", 1) ==
		  0);
	CU_ASSERT(fake_send(&b, xid, FAKE_PLAIN, FAKE_FAR_BLOCK, 1, "x", 1) ==
		  0);
	CU_ASSERT(fake_wait_blocked(&fake, 3));
	CU_ASSERT(fake_wait_stat(&fake, is_far_busy, 3));
	fake_open_gate(&fake, true);
	CU_ASSERT_EQUAL(fake_result(&b, xid, &res), 0);
	CU_ASSERT_EQUAL(fake_result(&a, xid, &res), 0);
	CU_ASSERT_EQUAL(fake_result(&a, xid, &res), 0);
	/* Answered, it is a new one. */
	CU_ASSERT(fake_send(&a, xid, FAKE_PLAIN, FAKE_FAR, 1, "x", 1) == 0);
	CU_ASSERT_EQUAL(fake_result(&a, xid, &res), 0);
	CU_ASSERT(fake_wait_stat(&fake, has_dropped, 3));
	rpcc_close(&a);
	rpcc_close(&b);
	fake_stop(&fake);
}

static void
what_waits_when_the_server_ends_is_forgotten(void)
{
	struct rpc_limits limits = { .workers = 2, .workers_per_key = 1 };
	struct fake fake;
	struct rpcc a;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT_FATAL(fake_connect(&fake, &a) == 0);
	send_block(&a, 1, 20);
	CU_ASSERT(fake_wait_blocked(&fake, 1));
	fake_open_gate(&fake, true);
	fake_stop(&fake);
	rpcc_close(&a);
}

TEST_MAIN("nfsd_rpc_far",
	T(who_waits_for_others_leaves_the_workers_to_the_rest),
	T(a_host_has_two_thirds_of_a_key),
	T(a_key_has_its_share_however_many_hosts_ask),
	T(who_waits_in_vain_for_a_far_worker_is_late),
	T(who_waits_in_vain_is_late_also_after_the_server_stood),
	T(a_call_that_comes_again_while_it_waits_is_worked_on_once),
	T(what_waits_when_the_server_ends_is_forgotten))
