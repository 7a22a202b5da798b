/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Duplicates, held calls and workers: what is carried out once, where replies
 * go, and who waits for whom.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rpcfake.h"
#include "tests/unit.h"

/* ---- an allocator that can fail ---- */

static bool fails;	/* the next calloc */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *
__wrap_calloc(size_t count, size_t size)
{
	if (__atomic_exchange_n(&fails, false, __ATOMIC_RELAXED))
		return NULL;
	return __real_calloc(count, size);
}

static bool
dropped_is(const struct rpc_stats *stats, uint64_t value)
{
	return stats->dropped_duplicates == value;
}

static bool
connections_are(const struct rpc_stats *stats, uint64_t value)
{
	return stats->connections == value;
}

static bool
nothing_in_flight(const struct rpc_stats *stats, uint64_t value)
{
	(void)value;
	return stats->in_flight == 0 && stats->held == 0;
}

static void
a_duplicate_after_the_reply_gets_the_old_one(void)
{
	struct fake fake;
	struct rpcc c;
	struct fake_res first, again, other;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (uint32_t how = FAKE_NOW; how <= FAKE_THREAD; how++) {
		uint32_t xid = rpcc_xid(&c);

		CU_ASSERT(fake_send(&c, xid, FAKE_CACHED, how, 0, "x", 1) ==
			  0);
		CU_ASSERT(fake_result(&c, xid, &first) == 0);
		CU_ASSERT(fake_send(&c, xid, FAKE_CACHED, how, 0, "x", 1) ==
			  0);
		CU_ASSERT(fake_result(&c, xid, &again) == 0);
		CU_ASSERT(again.executed == first.executed);
		/* The same xid with other arguments is another call. */
		CU_ASSERT(fake_send(&c, xid, FAKE_CACHED, how, 0, "y", 1) ==
			  0);
		CU_ASSERT(fake_result(&c, xid, &other) == 0);
		CU_ASSERT(other.executed == first.executed + 1);
		CU_ASSERT(other.sum == 'y');
	}
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
a_duplicate_from_another_port_is_the_same(void)
{
	struct fake fake;
	struct rpcc a, b, stranger;
	struct fake_res first, again;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &a) == 0);
	CU_ASSERT(fake_connect(&fake, &b) == 0);
	CU_ASSERT(rpcc_open(&stranger, "127.0.0.9", "127.0.0.1", fake.port,
			    false) == 0);
	CU_ASSERT(fake_send(&a, 7, FAKE_CACHED, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(fake_result(&a, 7, &first) == 0);
	rpcc_close(&a);
	CU_ASSERT(fake_send(&b, 7, FAKE_CACHED, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(fake_result(&b, 7, &again) == 0);
	CU_ASSERT(again.executed == first.executed);
	/* Another address, or another machine name, is somebody else. */
	CU_ASSERT(fake_send(&stranger, 7, FAKE_CACHED, FAKE_NOW, 0, "x", 1) ==
		  0);
	CU_ASSERT(fake_result(&stranger, 7, &again) == 0);
	CU_ASSERT(again.executed == first.executed + 1);
	rpcc_identity(&b, "other", 0, 0, 0, NULL);
	CU_ASSERT(fake_send(&b, 7, FAKE_CACHED, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(fake_result(&b, 7, &again) == 0);
	CU_ASSERT(again.executed == first.executed + 2);
	rpcc_close(&b);
	rpcc_close(&stranger);
	fake_stop(&fake);
}

static void
a_duplicate_in_progress_is_dropped(void)
{
	static const uint32_t hows[] = { FAKE_BLOCK, FAKE_HOLD };
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (unsigned i = 0; i < 2; i++) {
		struct rpcc_reply reply;

		for (int n = 0; n < 4; n++)
			CU_ASSERT(fake_send(&c, 5, FAKE_CACHED, hows[i], 0,
					    "x", 1) == 0);
		CU_ASSERT(fake_wait_stat(&fake, dropped_is, 3 * (i + 1)));
		if (hows[i] == FAKE_HOLD)
			CU_ASSERT(fake_wake_all(&fake) == 1);
		fake_open_gate(&fake, true);
		CU_ASSERT(fake_result(&c, 5, NULL) == 0);
		CU_ASSERT(rpcc_recv_any(&c, 20, &reply) == -ETIMEDOUT);
		CU_ASSERT(fake.executed == i + 1);
	}
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
a_held_call_answers_the_newer_connection(void)
{
	struct fake fake;
	struct rpcc a, b;
	struct fake_res res;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &a) == 0);
	CU_ASSERT(fake_send(&a, 5, FAKE_CACHED, FAKE_HOLD, 0, "x", 1) == 0);
	CU_ASSERT(fake_wait_held(&fake, 1));
	rpcc_close(&a);
	CU_ASSERT(fake_connect(&fake, &b) == 0);
	CU_ASSERT(fake_send(&b, 5, FAKE_CACHED, FAKE_HOLD, 0, "x", 1) == 0);
	CU_ASSERT(fake_wait_stat(&fake, dropped_is, 1));
	CU_ASSERT(fake_wake_all(&fake) == 1);
	CU_ASSERT(fake_result(&b, 5, &res) == 0);
	CU_ASSERT(res.executed == 1);
	rpcc_close(&b);
	fake_stop(&fake);
}

static void
what_is_not_to_be_cached_is_run_again(void)
{
	struct fake fake;
	struct rpcc c;
	struct fake_res first, again;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(fake_send(&c, 5, FAKE_CACHED, FAKE_UNCACHED, 0, "x", 1) ==
		  0);
	CU_ASSERT(fake_result(&c, 5, &first) == 0);
	CU_ASSERT(fake_send(&c, 5, FAKE_CACHED, FAKE_UNCACHED, 0, "x", 1) ==
		  0);
	CU_ASSERT(fake_result(&c, 5, &again) == 0);
	CU_ASSERT(again.executed == first.executed + 1);
	/* And so is what does not ask for it. */
	CU_ASSERT(fake_send(&c, 6, FAKE_PLAIN, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(fake_result(&c, 6, &first) == 0);
	CU_ASSERT(fake_send(&c, 6, FAKE_PLAIN, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(fake_result(&c, 6, &again) == 0);
	CU_ASSERT(again.executed == first.executed + 1);
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
the_cache_is_bounded_in_bytes(void)
{
	struct rpc_limits limits = { .reply_cache_bytes = 4096 };
	struct fake fake;
	struct rpcc c;
	struct fake_res first, again;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (uint32_t xid = 1; xid <= 100; xid++) {
		CU_ASSERT(fake_send(&c, xid, FAKE_CACHED, FAKE_NOW, 0, "x",
				    1) == 0);
		CU_ASSERT(fake_result(&c, xid, &first) == 0);
	}
	CU_ASSERT(fake_send(&c, 100, FAKE_CACHED, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(fake_result(&c, 100, &again) == 0);
	CU_ASSERT(again.executed == first.executed);
	CU_ASSERT(fake_send(&c, 1, FAKE_CACHED, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(fake_result(&c, 1, &again) == 0);
	CU_ASSERT(again.executed == 101);
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
a_call_woken_before_it_is_held_goes_on(void)
{
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (int i = 0; i < 200; i++)
		CU_ASSERT(fake_call(&c, i & 1 ? FAKE_CACHED : FAKE_PLAIN,
				    FAKE_HOLD_EARLY, 0, "x", 1, NULL) == 0);
	CU_ASSERT(fake.executed == 200);
	rpcc_close(&c);
	fake_stop(&fake);
}

static void *
wake_again_and_again(void *arg)
{
	struct fake *fake = arg;
	unsigned woken = 0;

	while (woken < 1000)
		woken += fake_wake_all(fake);
	return NULL;
}

static void
waking_races_with_holding(void)
{
	struct fake fake;
	struct rpcc c;
	pthread_t waker;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(pthread_create(&waker, NULL, wake_again_and_again, &fake) ==
		  0);
	for (uint32_t i = 0; i < 1000; i += 50) {
		for (uint32_t j = 0; j < 50; j++)
			CU_ASSERT(fake_send(&c, i + j, FAKE_PLAIN, FAKE_HOLD,
					    0, "x", 1) == 0);
		for (uint32_t j = 0; j < 50; j++)
			CU_ASSERT(fake_result(&c, i + j, NULL) == 0);
	}
	pthread_join(waker, NULL);
	CU_ASSERT(fake.executed == 1000);
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
held_calls_survive_their_connection(void)
{
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (uint32_t xid = 0; xid < 20; xid++)
		CU_ASSERT(fake_send(&c, xid, xid & 1 ? FAKE_CACHED :
				    FAKE_PLAIN, FAKE_HOLD, 0, "x", 1) == 0);
	CU_ASSERT(fake_wait_held(&fake, 20));
	rpcc_close(&c);
	/* A client that only stops sending is still there for its replies;
	 * this one is not, as an error shows. */
	CU_ASSERT(fake_wake_all(&fake) == 20);
	CU_ASSERT(fake_wait_stat(&fake, nothing_in_flight, 0));
	CU_ASSERT(fake_wait_stat(&fake, connections_are, 0));
	/* What changes something was carried out. */
	CU_ASSERT(fake.executed >= 10);
	CU_ASSERT(fake_wait_connected(&fake, 0));
	fake_stop(&fake);
}

static void
a_server_can_end_with_calls_held(void)
{
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (uint32_t xid = 0; xid < 5; xid++)
		CU_ASSERT(fake_send(&c, xid, FAKE_CACHED, FAKE_HOLD, 0, "x",
				    1) == 0);
	CU_ASSERT(fake_wait_held(&fake, 5));
	rpc_server_stop(fake.server, 10);
	CU_ASSERT(rpcc_wait_closed(&c, 30000) == 0);
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
a_slow_key_leaves_threads_to_others(void)
{
	struct rpc_limits limits = { .workers = 4, .workers_per_key = 3 };
	struct fake fake;
	struct rpcc c;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (uint32_t xid = 0; xid < 20; xid++)
		CU_ASSERT(fake_send(&c, xid, FAKE_PLAIN, FAKE_BLOCK, 1, "x",
				    1) == 0);
	CU_ASSERT(fake_wait_blocked(&fake, 3));
	for (uint32_t xid = 100; xid < 110; xid++) {
		CU_ASSERT(fake_send(&c, xid, FAKE_PLAIN, FAKE_THREAD, 2, "x",
				    1) == 0);
		CU_ASSERT(fake_result(&c, xid, NULL) == 0);
	}
	CU_ASSERT(fake.blocked == 3);
	fake_open_gate(&fake, true);
	for (uint32_t xid = 0; xid < 20; xid++)
		CU_ASSERT(fake_result(&c, xid, NULL) == 0);
	rpcc_close(&c);
	fake_stop(&fake);
}

static void
calls_in_flight_are_bounded(void)
{
	struct rpc_limits limits = { .in_flight_per_connection = 8,
				     .workers = 2 };
	struct fake fake;
	struct rpcc c;
	struct rpc_stats stats;

	CU_ASSERT_FATAL(fake_start(&fake, &limits) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	for (uint32_t xid = 0; xid < 100; xid++)
		CU_ASSERT(fake_send(&c, xid, FAKE_PLAIN, FAKE_BLOCK, 1, "x",
				    1) == 0);
	CU_ASSERT(fake_wait_blocked(&fake, 2));
	rpc_server_stats(fake.server, &stats);
	CU_ASSERT(stats.in_flight <= 8);
	fake_open_gate(&fake, true);
	for (uint32_t xid = 0; xid < 100; xid++)
		CU_ASSERT(fake_result(&c, xid, NULL) == 0);
	rpcc_close(&c);
	fake_stop(&fake);
}

/* It would wait for an answer that nobody is at work for. */
static void
a_call_that_has_no_memory_ends_its_connection(void)
{
	struct fake fake;
	struct rpcc c;
	struct fake_res res;

	CU_ASSERT_FATAL(fake_start(&fake, NULL) == 0);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(fake_call(&c, FAKE_PLAIN, FAKE_NOW, 0, "x", 1, NULL) == 0);
	__atomic_store_n(&fails, true, __ATOMIC_RELAXED);
	CU_ASSERT(fake_send(&c, 7, FAKE_CACHED, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(rpcc_wait_closed(&c, 30000) == 0);
	CU_ASSERT(!__atomic_load_n(&fails, __ATOMIC_RELAXED));
	rpcc_close(&c);
	CU_ASSERT(fake_connect(&fake, &c) == 0);
	CU_ASSERT(fake_send(&c, 7, FAKE_CACHED, FAKE_NOW, 0, "x", 1) == 0);
	CU_ASSERT(fake_result(&c, 7, &res) == 0);
	CU_ASSERT(res.executed == 2);
	rpcc_close(&c);
	fake_stop(&fake);
}

TEST_MAIN("nfsd_rpc_cache",
	T(a_call_that_has_no_memory_ends_its_connection),
	T(a_duplicate_after_the_reply_gets_the_old_one),
	T(a_duplicate_from_another_port_is_the_same),
	T(a_duplicate_in_progress_is_dropped),
	T(a_held_call_answers_the_newer_connection),
	T(what_is_not_to_be_cached_is_run_again),
	T(the_cache_is_bounded_in_bytes),
	T(a_call_woken_before_it_is_held_goes_on),
	T(waking_races_with_holding),
	T(held_calls_survive_their_connection),
	T(a_server_can_end_with_calls_held),
	T(a_slow_key_leaves_threads_to_others),
	T(calls_in_flight_are_bounded))
