/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom to close when something runs out.  Connections or descriptors: the one
 * that has been silent for the longest time.  Memory: the one that has the most
 * of it in replies which it does not read.  Any thread may look through all
 * connections, and the owner of the one found closes it.  A client that was
 * only slow connects again and repeats its calls.
 */
#include <config.h>

#include "nfsd/rpc/inside.h"

#define EVICT_IDLE_MS 1000
#define EVICT_STALLED_MS 2000

/* Has the owner close it; the reference is given up. */
static void
evict(struct rpc_conn *conn, enum rpc_end end)
{
	RPC_STORE(conn->evict, end);
	rpc_thread_kick(conn);
	rpc_conn_put(&conn);
}

/* ---- connections ---- */

/* The longest silent connection of the thread, with a reference. */
static struct rpc_conn *
most_idle(struct rpc_thread *thread, uint64_t *since_ms)
{
	struct rpc_conn *conn, *found = NULL;

	pthread_mutex_lock(&thread->lock);
	LIST_FOREACH(conn, &thread->conns, link) {
		uint64_t active = RPC_LOAD(conn->active_ms);

		if (active < *since_ms && RPC_LOAD(conn->in_flight) == 0 &&
		    RPC_LOAD(conn->evict) == 0) {
			*since_ms = active;
			found = conn;
		}
	}
	if (found != NULL)
		rpc_conn_get(found);
	pthread_mutex_unlock(&thread->lock);
	return found;
}

bool
rpc_evict_idle(struct rpc_server *server)
{
	uint64_t since_ms = rpc_run_ms(server) - EVICT_IDLE_MS;
	struct rpc_conn *found = NULL;

	for (unsigned i = 0; i < server->thread_count; i++) {
		struct rpc_conn *conn = most_idle(&server->threads[i],
						  &since_ms);

		if (conn != NULL) {
			rpc_conn_put(&found);
			found = conn;
		}
	}
	if (found == NULL)
		return false;
	evict(found, RPC_END_EVICTED);
	return true;
}

/* ---- memory ---- */

static bool
is_stalled(struct rpc_conn *conn, uint64_t now_ms)
{
	bool stalled;

	pthread_mutex_lock(&conn->lock);
	stalled = conn->blocked && now_ms > conn->mark_ms + EVICT_STALLED_MS;
	pthread_mutex_unlock(&conn->lock);
	return stalled;
}

/* Of the thread's stalled connections the one that holds the most, and more
 * than *most; with a reference. */
static struct rpc_conn *
biggest(struct rpc_thread *thread, uint64_t now_ms, uint64_t *most)
{
	struct rpc_conn *conn, *found = NULL;

	pthread_mutex_lock(&thread->lock);
	LIST_FOREACH(conn, &thread->conns, link) {
		uint64_t held = RPC_LOAD(conn->out_held);

		if (held > *most && RPC_LOAD(conn->evict) == 0 &&
		    is_stalled(conn, now_ms)) {
			*most = held;
			found = conn;
		}
	}
	if (found != NULL)
		rpc_conn_get(found);
	pthread_mutex_unlock(&thread->lock);
	return found;
}

void
rpc_evict_hog(struct rpc_server *server, uint64_t now_ms)
{
	struct rpc_conn *found = NULL;
	uint64_t most = 0;

	if (!rpc_pool_tight(&server->pool))
		return;
	for (unsigned i = 0; i < server->thread_count; i++) {
		struct rpc_conn *conn = biggest(&server->threads[i], now_ms,
						&most);

		if (conn != NULL) {
			rpc_conn_put(&found);
			found = conn;
		}
	}
	if (found != NULL)
		evict(found, RPC_END_NOT_READING);
}
