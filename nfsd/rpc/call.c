/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call is made of, and what it costs: the buffer it lies in with its
 * arguments and results, its record when that is its own, and the tail of its
 * reply.  The record and the call are charged to its connection and host from
 * when it leaves the event thread to when it is answered; the tail is charged
 * to the connection from when it is asked for to when the peer has it.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/rpc/inside.h"

/* ---- the call ---- */

struct rpc_call *
rpc_call_new(struct rpc_server *server)
{
	size_t head = (sizeof(struct rpc_call) + 15) & ~15UL;
	size_t args = (server->args_size + 15) & ~15UL;
	struct rpc_buffer *home;
	struct rpc_call *call;

	home = rpc_buffer_get(&server->pool,
			      head + args + server->res_size);
	if (home == NULL)
		return NULL;
	call = (struct rpc_call *)home->data;
	memset(call, 0, sizeof(*call));
	call->server = server;
	call->home = home;
	call->args = home->data + head;
	call->res = home->data + head + args;
	return call;
}

void
rpc_call_free(struct rpc_call **slot)
{
	struct rpc_buffer *home;

	if (*slot == NULL)
		return;
	home = (*slot)->home;
	*slot = NULL;
	rpc_buffer_put(&home);
}

void
rpc_call_reset(struct rpc_call *call)
{
	memset(&call->rq, 0, sizeof(call->rq));
	call->conn = NULL;
	call->udp = NULL;
	call->udp_host = NULL;
	call->procedure = NULL;
	call->record = NULL;
	call->entry = NULL;
	call->state = RPC_CALL_RUNNING;
	call->decoded = call->counted = false;
	call->lane = NULL;
	call->share_key = 0;
	call->tail_want = 0;
	call->twin_args = NULL;
	call->hh.tbl = NULL;
}

/* ---- the tail ---- */

static struct rpc_buffer *
tail_of(const struct rpc_call *call)
{
	return (struct rpc_buffer *)((unsigned char *)call->rq.tail -
				     offsetof(struct rpc_buffer, data));
}

void
rpc_call_drop_tail(struct rpc_call *call)
{
	struct rpc_buffer *tail;

	if (call->rq.tail == NULL)
		return;
	tail = tail_of(call);
	if (call->conn != NULL)
		rpc_conn_buffer_put(call->conn, &tail);
	else
		rpc_buffer_put(&tail);
	call->rq.tail = NULL;
	call->rq.tail_len = 0;
}

/* RFC 4506 4.10. */
struct rpc_buffer *
rpc_call_take_tail(struct rpc_call *call)
{
	struct rpc_buffer *tail;
	uint32_t len = call->rq.tail_len;

	if (call->rq.tail == NULL || len == 0) {
		rpc_call_drop_tail(call);
		return NULL;
	}
	tail = tail_of(call);
	tail->start = 0;
	tail->end = (len + 3) & ~3U;
	memset(tail->data + len, 0, tail->end - len);
	call->rq.tail = NULL;
	return tail;
}

/*
 * Charged to the connection.  The reply of a cached procedure may go over
 * another one in the end (rpc/cache.c): it is not charged.
 */
void *
rpc_tail_alloc(struct rpc_request *rq, uint32_t len)
{
	struct rpc_call *call = (struct rpc_call *)rq;
	struct rpc_pool *pool = &call->server->pool;
	struct rpc_buffer *tail = NULL;
	bool charged = !call->procedure->cached && call->conn != NULL;
	int r;

	rpc_call_drop_tail(call);
	call->tail_want = 0;
	/* One longer than any record is no tail; 4 for the padding. */
	if (len > RPC_RECORD_MAX - 4)
		return NULL;
	r = rpc_buffer_get_share(pool, (size_t)len + 4,
				 charged ? call->conn : NULL, &tail);
	if (r == -EAGAIN)
		call->tail_want = rpc_buffer_cost((size_t)len + 4);
	if (r < 0)
		return NULL;
	rq->tail = tail->data;
	return tail->data;
}

/* ---- the rest ---- */

int
rpc_local_address(const struct rpc_request *rq, struct sockaddr_storage *out)
{
	const struct rpc_call *call = (const struct rpc_call *)rq;
	socklen_t len = sizeof(*out);
	int r = -ENOTCONN;

	if (call->conn == NULL) {
		*out = call->udp_local;
		return 0;
	}
	pthread_mutex_lock(&call->conn->lock);
	if (!call->conn->dead)
		r = getsockname(call->conn->fd, (struct sockaddr *)out,
				&len) < 0 ? -errno : 0;
	pthread_mutex_unlock(&call->conn->lock);
	return r;
}

void
rpc_call_free_args(struct rpc_call *call)
{
	if (call->decoded)
		xdr_free(call->procedure->xdr_args, call->args);
	call->decoded = false;
}

/* ---- calls that come again ---- */

static void
make_twin(struct rpc_call *call, uint32_t len)
{
	const struct sockaddr *peer = (const struct sockaddr *)&call->rq.peer;
	struct rpc_twin *t = &call->twin;

	memset(t, 0, sizeof(*t));
	t->from = call->conn != NULL ? (const void *)call->conn
				     : (const void *)call->udp;
	rpc_address(&call->rq.peer, &t->host);
	t->port = peer->sa_family == AF_INET6
			  ? ((const struct sockaddr_in6 *)peer)->sin6_port
			  : ((const struct sockaddr_in *)peer)->sin_port;
	t->xid = call->rq.xid;
	t->program = call->rq.program;
	t->version = call->rq.version;
	t->procedure = call->rq.procedure;
	t->args_len = len;
}

bool
rpc_call_comes_again(struct rpc_call *call, const unsigned char *args,
		     uint32_t len)
{
	struct rpc_server *server = call->server;
	struct rpc_call *first;
	bool again;

	if (call->procedure->cached || len > RPC_TWIN_ARGS)
		return false;
	make_twin(call, len);
	pthread_mutex_lock(&server->calls_lock);
	HASH_FIND(hh, server->twins, &call->twin, sizeof(call->twin), first);
	again = first != NULL && memcmp(first->twin_args, args, len) == 0;
	pthread_mutex_unlock(&server->calls_lock);
	return again;
}

void
rpc_call_may_come_again(struct rpc_call *call, const unsigned char *args,
			uint32_t len)
{
	if (call->procedure->cached || len > RPC_TWIN_ARGS)
		return;
	make_twin(call, len);
	call->twin_args = args;
}

void
rpc_call_count(struct rpc_call *call)
{
	struct rpc_conn *conn = call->conn;
	struct rpc_server *server = call->server;

	if (conn != NULL) {
		uint32_t bytes = call->record == NULL ? 0 : call->record->size;

		if (call->record != NULL)
			call->record->charged = bytes;
		__atomic_fetch_add(&conn->in_bytes, bytes, __ATOMIC_RELAXED);
		rpc_host_charge(conn->host, bytes, 1);
		rpc_host_charge(conn->host, call->home->size, 1);
		__atomic_fetch_add(&conn->in_flight, 1, __ATOMIC_RELAXED);
		rpc_conn_get(conn);
	} else {
		call->udp_host = rpc_host_sends(server, &call->rq.peer);
	}
	call->counted_ms = rpc_run_ms(server);
	pthread_mutex_lock(&server->calls_lock);
	LIST_INSERT_HEAD(&server->calls, call, out);
	if (call->twin_args != NULL)
		HASH_ADD(hh, server->twins, twin, sizeof(call->twin), call);
	pthread_mutex_unlock(&server->calls_lock);
	__atomic_fetch_add(&server->in_flight, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&call->counted, true, __ATOMIC_RELEASE);
}

/* It leaves its connection's and the server's count, if it was in it. */
static void
uncount(struct rpc_call *call)
{
	struct rpc_conn *conn = call->conn;

	if (!call->counted)
		return;
	pthread_mutex_lock(&call->server->calls_lock);
	LIST_REMOVE(call, out);
	if (call->twin_args != NULL && call->hh.tbl != NULL)
		HASH_DEL(call->server->twins, call);
	call->twin_args = NULL;
	call->hh.tbl = NULL;
	pthread_mutex_unlock(&call->server->calls_lock);
	if (conn != NULL) {
		uint32_t bytes = call->record == NULL ?
				 0 : call->record->charged;

		__atomic_fetch_sub(&conn->in_bytes, bytes, __ATOMIC_RELAXED);
		rpc_host_charge(conn->host, bytes, -1);
		rpc_host_charge(conn->host, call->home->size, -1);
		rpc_buffer_put(&call->record);
		rpc_conn_call_ended(conn);
		rpc_conn_put(&conn);
		call->conn = NULL;
	}
	rpc_host_sent(call->server, &call->udp_host);
	rpc_buffer_put(&call->record);
	call->counted = false;
	__atomic_fetch_sub(&call->server->in_flight, 1, __ATOMIC_RELEASE);
}

void
rpc_call_drop(struct rpc_call *call)
{
	rpc_cache_end(call->server->cache, call, NULL, 0);
	rpc_call_free_args(call);
	rpc_call_drop_tail(call);
	uncount(call);
	rpc_call_free(&call);
}
