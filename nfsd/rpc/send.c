/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How replies leave.  Those made by the owner of a connection are gathered in
 * its batch and go with one writev; what the socket does not take is queued at
 * the connection, and so is what workers send.
 *
 * A peer that does not read must cost nobody else anything.  Every large buffer
 * for a reply is charged to its connection before it is filled (held), and a
 * connection gets no more than its share of the pool (rpc/buffer.c).  A call
 * that needs more is held back without a thread and without memory:
 *
 *	running --choked, or no room for its tail--> throttled --> queued
 *
 * It goes on when the peer has read (EPOLLOUT), when another call of the
 * connection ends, or when others gave memory back (the owner looks every
 * 10 ms).  Meanwhile no more than limits.in_flight_per_connection are read.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "nfsd/rpc/inside.h"

#define JOIN_MAX 2048
#define BATCH_BULK (1U << 20)

void
rpc_conn_watch_locked(struct rpc_conn *conn, uint32_t on, uint32_t off)
{
	uint32_t interest = (conn->interest | on) & ~off;
	struct epoll_event event = { .events = interest, .data.ptr = conn };

	if (interest == conn->interest || conn->dead)
		return;
	conn->interest = interest;
	(void)epoll_ctl(conn->thread->epoll, EPOLL_CTL_MOD, conn->fd, &event);
}

/* ---- memory ---- */

static uint64_t
choke_bytes(const struct rpc_server *server)
{
	uint64_t cap = server->pool.budget / 16;

	return cap < RPC_RECORD_MAX ? RPC_RECORD_MAX : cap;
}

bool
rpc_conn_choked(struct rpc_conn *conn)
{
	uint64_t held = RPC_LOAD(conn->out_held);

	return held > choke_bytes(conn->server) ||
	       !rpc_pool_share(&conn->server->pool, held, 0, 1);
}

void
rpc_conn_buffer_put(struct rpc_conn *conn, struct rpc_buffer **buffer)
{
	if (*buffer != NULL && (*buffer)->charged != 0)
		rpc_buffer_discharge(*buffer, conn);
	rpc_buffer_put(buffer);
}

/* ---- the queue ---- */

static void
unqueue_locked(struct rpc_conn *conn, struct rpc_buffer *buffer)
{
	STAILQ_REMOVE_HEAD(&conn->out, link);
	if (STAILQ_EMPTY(&conn->out))
		conn->out_last = NULL;
	RPC_STORE(conn->out_held, conn->out_held - buffer->size);
	rpc_conn_buffer_put(conn, &buffer);
}

static void
drop_out_locked(struct rpc_conn *conn)
{
	struct rpc_buffer *buffer;

	while ((buffer = STAILQ_FIRST(&conn->out)) != NULL)
		unqueue_locked(conn, buffer);
	RPC_STORE(conn->out_bytes, 0);
}

void
rpc_conn_finish_locked(struct rpc_conn *conn)
{
	close(conn->fd);
	drop_out_locked(conn);
}

/* Nothing more can be sent: EPOLLHUP tells the owner.  A thread that is sending
 * finds out by itself. */
static void
break_locked(struct rpc_conn *conn, enum rpc_end end)
{
	if (!conn->sending)
		drop_out_locked(conn);
	if (conn->broken == 0)
		conn->broken = end;
	(void)shutdown(conn->fd, SHUT_RDWR);
}

/* Small replies share a buffer: one each would cost 40 times their size. */
static bool
join_locked(struct rpc_conn *conn, struct rpc_buffer *buffer)
{
	struct rpc_buffer *last = conn->out_last;
	uint32_t len = buffer->end - buffer->start;

	if (last == NULL || len > JOIN_MAX || last->size - last->end < len)
		return false;
	memcpy(last->data + last->end, buffer->data + buffer->start, len);
	last->end += len;
	return true;
}

static void
append_locked(struct rpc_conn *conn, struct rpc_buffer *buffer)
{
	if (STAILQ_EMPTY(&conn->out))
		conn->sent_ms = rpc_run_ms(conn->server);
	RPC_STORE(conn->out_bytes, conn->out_bytes + buffer->end -
		  buffer->start);
	if (join_locked(conn, buffer)) {
		rpc_conn_buffer_put(conn, &buffer);
		return;
	}
	rpc_buffer_charge(buffer, conn);
	STAILQ_INSERT_TAIL(&conn->out, buffer, link);
	conn->out_last = buffer;
	RPC_STORE(conn->out_held, conn->out_held + buffer->size);
}

static void
sent_locked(struct rpc_conn *conn, size_t bytes)
{
	struct rpc_buffer *buffer;

	RPC_STORE(conn->out_bytes, conn->out_bytes - bytes);
	conn->sent_ms = rpc_run_ms(conn->server);
	conn->sent_bytes += bytes;
	while ((buffer = STAILQ_FIRST(&conn->out)) != NULL) {
		size_t len = buffer->end - buffer->start;

		if (bytes < len) {
			buffer->start += (uint32_t)bytes;
			return;
		}
		bytes -= len;
		unqueue_locked(conn, buffer);
	}
}

static ssize_t
send_iov(int fd, struct iovec *iov, unsigned count)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t sent;

	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/* What is in the queue; how many pieces, and bytes in *total. */
static unsigned
gather_locked(struct rpc_conn *conn, struct iovec iov[RPC_IOV], size_t *total)
{
	struct rpc_buffer *buffer;
	unsigned count = 0;

	*total = 0;
	STAILQ_FOREACH(buffer, &conn->out, link) {
		if (count == RPC_IOV)
			break;
		iov[count].iov_base = buffer->data + buffer->start;
		iov[count].iov_len = buffer->end - buffer->start;
		*total += iov[count++].iov_len;
	}
	return count;
}

/* One sendmsg, the lock released meanwhile.  false: that was it for now. */
static bool
send_some_locked(struct rpc_conn *conn)
{
	struct iovec iov[RPC_IOV];
	size_t total;
	unsigned count = gather_locked(conn, iov, &total);
	ssize_t sent;
	int error;

	if (count == 0)
		return false;
	conn->sending = true;
	pthread_mutex_unlock(&conn->lock);
	sent = send_iov(conn->fd, iov, count);
	error = errno;
	pthread_mutex_lock(&conn->lock);
	conn->sending = false;
	if (conn->dead) {
		rpc_conn_finish_locked(conn);
		return false;
	}
	if (sent < 0 && error != EAGAIN) {
		break_locked(conn, RPC_END_RESET);
		return false;
	}
	if (sent > 0)
		sent_locked(conn, (size_t)sent);
	if (sent == (ssize_t)total)
		return true;
	conn->blocked = true;
	rpc_conn_watch_locked(conn, EPOLLOUT, 0);
	return false;
}

/* Send what goes of the queue, and what others add to it meanwhile: while one
 * sends they need not wait, and their replies go together. */
static void
flush_locked(struct rpc_conn *conn)
{
	if (conn->sending || conn->dead)
		return;
	conn->blocked = false;
	while (send_some_locked(conn))
		;
	if (!conn->blocked)
		rpc_conn_watch_locked(conn, 0, EPOLLOUT);
}

void
rpc_conn_send(struct rpc_conn *conn, struct rpc_buffer *head,
	      struct rpc_buffer *tail)
{
	pthread_mutex_lock(&conn->lock);
	if (conn->dead) {
		pthread_mutex_unlock(&conn->lock);
		rpc_conn_buffer_put(conn, &head);
		rpc_conn_buffer_put(conn, &tail);
		return;
	}
	append_locked(conn, head);
	if (tail != NULL)
		append_locked(conn, tail);
	if (!conn->blocked)
		flush_locked(conn);
	pthread_mutex_unlock(&conn->lock);
}

/* Queue what is left of the batch after `sent` bytes. */
static void
queue_rest_locked(struct rpc_conn *conn, struct rpc_batch *batch, size_t sent)
{
	for (unsigned i = 0; i < batch->count; i++) {
		struct rpc_buffer *buffer = batch->owner[i];
		size_t len = batch->iov[i].iov_len, skip;

		skip = sent < len ? sent : len;
		sent -= skip;
		if (skip == len)
			continue;
		if (buffer == NULL) {
			buffer = rpc_buffer_get(&conn->server->pool,
						len - skip);
			if (buffer == NULL) {
				break_locked(conn, RPC_END_MEMORY);
				return;
			}
			memcpy(buffer->data, (unsigned char *)
			       batch->iov[i].iov_base + skip, len - skip);
			buffer->end = (uint32_t)(len - skip);
		} else {
			buffer->start += (uint32_t)skip;
			batch->owner[i] = NULL;
		}
		append_locked(conn, buffer);
	}
}

void
rpc_batch_flush(struct rpc_conn *conn)
{
	struct rpc_batch *batch = &conn->thread->batch;
	size_t total = 0;
	ssize_t sent = 0;

	if (batch->count == 0)
		return;
	for (unsigned i = 0; i < batch->count; i++)
		total += batch->iov[i].iov_len;
	pthread_mutex_lock(&conn->lock);
	if (STAILQ_EMPTY(&conn->out) && !conn->sending) {
		sent = send_iov(conn->fd, batch->iov, batch->count);
		if (sent < 0 && errno != EAGAIN) {
			break_locked(conn, RPC_END_RESET);
			sent = (ssize_t)total;
		} else if (sent < 0) {
			sent = 0;
		}
	}
	if (sent < (ssize_t)total) {
		queue_rest_locked(conn, batch, (size_t)sent);
		if (!conn->blocked && !conn->sending &&
		    !STAILQ_EMPTY(&conn->out)) {
			conn->blocked = true;
			rpc_conn_watch_locked(conn, EPOLLOUT, 0);
		}
	}
	pthread_mutex_unlock(&conn->lock);
	for (unsigned i = 0; i < batch->count; i++)
		rpc_conn_buffer_put(conn, &batch->owner[i]);
	batch->count = 0;
	batch->used = 0;
	batch->bulk = 0;
}

unsigned char *
rpc_batch_room(struct rpc_conn *conn, uint32_t want, uint32_t *room)
{
	struct rpc_batch *batch = &conn->thread->batch;

	if (batch->count + 2 > RPC_IOV ||
	    RPC_SCRATCH_BYTES - batch->used < want)
		rpc_batch_flush(conn);
	*room = RPC_SCRATCH_BYTES - batch->used;
	return batch->out + batch->used;
}

void
rpc_batch_add(struct rpc_conn *conn, uint32_t len, struct rpc_buffer *tail)
{
	struct rpc_batch *batch = &conn->thread->batch;
	unsigned char *at = batch->out + batch->used;
	struct iovec *last = batch->count == 0 ?
			     NULL : &batch->iov[batch->count - 1];

	batch->used += len;
	if (last != NULL && (unsigned char *)last->iov_base + last->iov_len ==
	    at && batch->owner[batch->count - 1] == NULL) {
		last->iov_len += len;
	} else {
		batch->iov[batch->count] = (struct iovec){ at, len };
		batch->owner[batch->count++] = NULL;
	}
	if (tail != NULL) {
		batch->iov[batch->count] = (struct iovec){
			tail->data + tail->start, tail->end - tail->start
		};
		batch->owner[batch->count++] = tail;
		batch->bulk += tail->size;
	}
	/* Do not gather more than the peer may be made to hold. */
	if (batch->bulk >= BATCH_BULK)
		rpc_batch_flush(conn);
}

/* ---- calls that wait until the peer reads, or until there is room ---- */

void
rpc_conn_hold_back(struct rpc_call *call)
{
	struct rpc_conn *conn = call->conn;
	bool dead;

	/* Once it is on the list it may be run and freed. */
	rpc_conn_get(conn);
	pthread_mutex_lock(&conn->lock);
	dead = conn->dead;
	if (!dead) {
		STAILQ_INSERT_TAIL(&conn->throttled, call, queue);
		RPC_STORE(conn->throttled_count, conn->throttled_count + 1);
	}
	pthread_mutex_unlock(&conn->lock);
	if (dead)
		rpc_call_drop(call);
	else
		rpc_thread_kick(conn);
	rpc_conn_put(&conn);
}

/* May it run, when so much is held by then? */
static bool
may_go_locked(struct rpc_conn *conn, const struct rpc_call *call,
	      uint64_t held)
{
	if (call->tail_want == 0)
		return conn->out_held <= choke_bytes(conn->server) / 2 &&
		       !rpc_conn_choked(conn);
	return rpc_pool_share(&conn->server->pool, held,
			      RPC_LOAD(conn->host->large), call->tail_want);
}

void
rpc_conn_release(struct rpc_conn *conn)
{
	struct rpc_calls calls = STAILQ_HEAD_INITIALIZER(calls);
	uint64_t held = RPC_LOAD(conn->held);
	struct rpc_call *call;
	bool blocked;

	pthread_mutex_lock(&conn->lock);
	blocked = conn->blocked;
	while ((call = STAILQ_FIRST(&conn->throttled)) != NULL &&
	       may_go_locked(conn, call, held)) {
		STAILQ_REMOVE_HEAD(&conn->throttled, queue);
		RPC_STORE(conn->throttled_count, conn->throttled_count - 1);
		STAILQ_INSERT_TAIL(&calls, call, queue);
		held += call->tail_want;
	}
	pthread_mutex_unlock(&conn->lock);
	/* The memory is with others; nothing of this one will tell. */
	if (call != NULL && !blocked)
		rpc_conn_starve(conn);
	while ((call = STAILQ_FIRST(&calls)) != NULL) {
		STAILQ_REMOVE_HEAD(&calls, queue);
		rpc_workers_queue(conn->server->workers, call);
	}
}

void
rpc_conn_flush(struct rpc_conn *conn)
{
	pthread_mutex_lock(&conn->lock);
	flush_locked(conn);
	pthread_mutex_unlock(&conn->lock);
	rpc_conn_release(conn);
}
