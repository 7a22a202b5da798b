/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of the transport: records, calls and replies.  Buffers come in
 * five sizes and are kept for the next user while less is in use than the
 * budget; fresh megabytes would cost a page fault every 4 KiB.
 *
 * The budget stops new work, not work that has begun: whoever reads from a
 * socket asks rpc_pool_short() first, and a call that was read always gets
 * what it needs to end.  So the pool can be overdrawn by one record or reply
 * a thread, and nobody waits here.
 */
#include <config.h>

#include <stdlib.h>

#include "nfsd/rpc_priv.h"

static const uint32_t class_bytes[RPC_CLASSES] = {
	4096, 16384, 65536 + 4096, 262144, RPC_RECORD_MAX + 4096,
};

void
rpc_pool_init(struct rpc_pool *pool, size_t budget)
{
	*pool = (struct rpc_pool){ .budget = budget };
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

struct rpc_buffer *
rpc_buffer_get(struct rpc_pool *pool, size_t size)
{
	struct rpc_buffer *buffer;
	uint32_t class = 0;

	while (class < RPC_CLASSES &&
	       class_bytes[class] - sizeof(*buffer) < size)
		class++;
	if (class == RPC_CLASSES)
		return NULL;
	pthread_mutex_lock(&pool->lock);
	buffer = STAILQ_FIRST(&pool->free[class]);
	if (buffer != NULL) {
		STAILQ_REMOVE_HEAD(&pool->free[class], link);
		pool->kept -= class_bytes[class];
	}
	pthread_mutex_unlock(&pool->lock);
	if (buffer == NULL) {
		buffer = aligned_alloc(64, (class_bytes[class] + 63) & ~63U);
		if (buffer == NULL)
			return NULL;
	}
	__atomic_fetch_add(&pool->used, class_bytes[class], __ATOMIC_RELAXED);
	buffer->pool = pool;
	buffer->size_class = class;
	buffer->size = class_bytes[class] - (uint32_t)sizeof(*buffer);
	buffer->start = buffer->end = buffer->charged = 0;
	return buffer;
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
	__atomic_fetch_sub(&pool->used, bytes, __ATOMIC_RELAXED);
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
