/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of the transport: records, calls and replies.  Buffers come in
 * five sizes and are kept for the next user while less is in use than the
 * budget; fresh megabytes would cost a page fault every 4 KiB.
 *
 * Three quarters of the budget are for large buffers (records and bulk replies
 * above RPC_SMALL), the rest is for small ones.  So when bulk waits for memory,
 * small calls of everybody are still read and answered.
 *
 * Small buffers are charged to the host that they serve: its records, the calls
 * themselves, its replies.  A host begins more calls only while it holds no
 * more than is left of that quarter: a lone one gets half of it, two a third
 * each, and a newcomer finds something.  Each connection may have one call
 * beyond.  Datagrams, whose sender is not known for sure, are few (rpc/udp.c).
 *
 * Large buffers are shared by dynamic thresholds.  A connection that holds some
 * for its replies gets more only while it then holds no more than half of what
 * is left, and a host, in records and replies of all its connections, no more
 * than twice of that.  So one connection that gives nothing back takes a third
 * of the memory, one host two thirds, and a newcomer finds something without
 * anybody being counted, while a lone one is hardly limited.  When little is
 * left all the same, who does not read is closed (rpc/evict.c).
 *
 * The budget stops new work, not work that has begun: who reads from a socket
 * or fetches bulk asks first, and what was begun gets what it needs to end.  So
 * the pool can be overdrawn a little, and nobody waits here.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "nfsd/rpc/inside.h"

static const uint32_t class_bytes[RPC_CLASSES] = {
	4096, 16384, 65536 + 4096, 262144 + 4096, RPC_RECORD_MAX + 4096,
};

_Static_assert(RPC_SMALL == 65536 + 4096, "the largest small class");

void
rpc_pool_init(struct rpc_pool *pool, size_t budget)
{
	*pool = (struct rpc_pool){
		.budget = budget,
		.large_budget = budget - budget / 4,
		.small_budget = budget / 4,
	};
	/* Whatever the budget, a record and a reply can be on their way. */
	if (pool->large_budget < 4 * (uint64_t)RPC_RECORD_MAX)
		pool->large_budget = 4 * (uint64_t)RPC_RECORD_MAX;
	pthread_mutex_init(&pool->lock, NULL);
	for (unsigned i = 0; i < RPC_CLASSES; i++)
		STAILQ_INIT(&pool->free[i]);
}

void
rpc_pool_fini(struct rpc_pool *pool)
{
	for (unsigned i = 0; i < RPC_CLASSES; i++) {
		struct rpc_buffer *buffer;

		while ((buffer = STAILQ_FIRST(&pool->free[i])) != NULL) {
			STAILQ_REMOVE_HEAD(&pool->free[i], link);
			free(buffer);
		}
	}
	pthread_mutex_destroy(&pool->lock);
}

static uint32_t
class_of(size_t size)
{
	uint32_t class = 0;

	while (class < RPC_CLASSES &&
	       class_bytes[class] - sizeof(struct rpc_buffer) < size)
		class++;
	return class;
}

uint32_t
rpc_buffer_cost(size_t size)
{
	uint32_t class = class_of(size);

	return class == RPC_CLASSES ? UINT32_MAX : class_bytes[class];
}

/* From the free list. */
static struct rpc_buffer *
reuse_locked(struct rpc_pool *pool, uint32_t class)
{
	struct rpc_buffer *buffer = STAILQ_FIRST(&pool->free[class]);

	if (buffer != NULL) {
		STAILQ_REMOVE_HEAD(&pool->free[class], link);
		pool->kept -= class_bytes[class];
	}
	return buffer;
}

static void
count(struct rpc_pool *pool, uint32_t class)
{
	__atomic_fetch_add(&pool->used, class_bytes[class], __ATOMIC_RELAXED);
	if (class_bytes[class] > RPC_SMALL)
		__atomic_fetch_add(&pool->large, class_bytes[class],
				   __ATOMIC_RELAXED);
}

static void
uncount(struct rpc_pool *pool, uint32_t class)
{
	__atomic_fetch_sub(&pool->used, class_bytes[class], __ATOMIC_RELAXED);
	if (class_bytes[class] > RPC_SMALL)
		__atomic_fetch_sub(&pool->large, class_bytes[class],
				   __ATOMIC_RELAXED);
}

/* It is counted already; buffer is NULL or an old one. */
static struct rpc_buffer *
make(struct rpc_pool *pool, uint32_t class, struct rpc_buffer *buffer)
{
	if (buffer == NULL)
		buffer = aligned_alloc(64, (class_bytes[class] + 63) & ~63U);
	if (buffer == NULL) {
		uncount(pool, class);
		return NULL;
	}
	buffer->pool = pool;
	buffer->size_class = class;
	buffer->size = class_bytes[class] - (uint32_t)sizeof(*buffer);
	buffer->start = buffer->end = buffer->charged = 0;
	return buffer;
}

struct rpc_buffer *
rpc_buffer_get(struct rpc_pool *pool, size_t size)
{
	struct rpc_buffer *buffer;
	uint32_t class = class_of(size);

	if (class == RPC_CLASSES)
		return NULL;
	count(pool, class);
	pthread_mutex_lock(&pool->lock);
	buffer = reuse_locked(pool, class);
	pthread_mutex_unlock(&pool->lock);
	return make(pool, class, buffer);
}

/* Adds bytes, or takes them away when they are negative. */
static void
charge(struct rpc_conn *conn, int64_t bytes, bool is_large)
{
	struct rpc_host *host = conn->host;

	__atomic_fetch_add(&conn->held, (uint64_t)bytes, __ATOMIC_RELAXED);
	__atomic_fetch_add(is_large ? &host->large : &host->small,
			   (uint64_t)bytes, __ATOMIC_RELAXED);
}

void
rpc_buffer_charge(struct rpc_buffer *buffer, struct rpc_conn *conn)
{
	if (buffer->charged != 0)
		return;
	buffer->charged = class_bytes[buffer->size_class];
	charge(conn, buffer->charged, buffer->charged > RPC_SMALL);
}

void
rpc_buffer_discharge(struct rpc_buffer *buffer, struct rpc_conn *conn)
{
	charge(conn, -(int64_t)buffer->charged, buffer->charged > RPC_SMALL);
	buffer->charged = 0;
}

int
rpc_buffer_get_share(struct rpc_pool *pool, size_t size,
		     struct rpc_conn *conn, struct rpc_buffer **out)
{
	struct rpc_buffer *buffer;
	uint32_t class = class_of(size), bytes;

	if (class == RPC_CLASSES)
		return -EMSGSIZE;
	bytes = class_bytes[class];
	pthread_mutex_lock(&pool->lock);
	/* Asked and taken in one step: many workers do so at once. */
	if (!rpc_pool_share(pool, conn == NULL ? 0 : RPC_LOAD(conn->held),
			    conn == NULL ? 0 : RPC_LOAD(conn->host->large),
			    bytes)) {
		pthread_mutex_unlock(&pool->lock);
		return -EAGAIN;
	}
	count(pool, class);
	if (conn != NULL)
		charge(conn, bytes, bytes > RPC_SMALL);
	buffer = reuse_locked(pool, class);
	pthread_mutex_unlock(&pool->lock);
	buffer = make(pool, class, buffer);
	if (buffer == NULL && conn != NULL)
		charge(conn, -(int64_t)bytes, bytes > RPC_SMALL);
	if (buffer == NULL)
		return -ENOMEM;
	if (conn != NULL)
		buffer->charged = bytes;
	*out = buffer;
	return 0;
}

void
rpc_buffer_put(struct rpc_buffer **buffer)
{
	struct rpc_buffer *b = *buffer;
	struct rpc_pool *pool;
	uint32_t bytes;

	if (b == NULL)
		return;
	*buffer = NULL;
	pool = b->pool;
	bytes = class_bytes[b->size_class];
	uncount(pool, b->size_class);
	pthread_mutex_lock(&pool->lock);
	if (RPC_LOAD(pool->used) + pool->kept + bytes <= pool->budget) {
		/* Last in, first out: its bytes are still in the cache. */
		STAILQ_INSERT_HEAD(&pool->free[b->size_class], b, link);
		pool->kept += bytes;
		b = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	free(b);
}

bool
rpc_pool_short(struct rpc_pool *pool)
{
	return RPC_LOAD(pool->used) > pool->budget;
}

/* What is left for large buffers. */
static uint64_t
room(struct rpc_pool *pool)
{
	uint64_t large = RPC_LOAD(pool->large);

	return large < pool->large_budget ? pool->large_budget - large : 0;
}

uint64_t
rpc_pool_small_left(struct rpc_pool *pool)
{
	uint64_t large = RPC_LOAD(pool->large), used = RPC_LOAD(pool->used);
	uint64_t small = used > large ? used - large : 0;

	return small < pool->small_budget ? pool->small_budget - small : 0;
}

uint64_t
rpc_pool_allowance(struct rpc_pool *pool, uint64_t host_large)
{
	uint64_t left = room(pool);

	if (host_large == 0)
		return left;
	if (host_large >= 2 * left)
		return 0;
	return 2 * left - host_large < left ? 2 * left - host_large : left;
}

bool
rpc_pool_share(struct rpc_pool *pool, uint64_t held, uint64_t host_large,
	       uint64_t size)
{
	if (size <= RPC_SMALL && held + size <= RPC_SMALL_SHARE)
		return true;
	return size <= rpc_pool_allowance(pool, host_large) &&
	       (held == 0 || held + size <= room(pool) / 2);
}

bool
rpc_pool_tight(struct rpc_pool *pool)
{
	return rpc_pool_short(pool) || room(pool) < 2 * RPC_RECORD_MAX;
}
