/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection.  One event thread owns it: only that thread reads from it and
 * closes it.  Any thread may send.  It is freed when the owner and all calls
 * that came over it have let go.
 *
 * Bytes are received into the owner's scratch buffer, so that an idle
 * connection has no buffer at all; a record that is not whole moves to one of
 * its own.  Replies made by the owner are gathered in its batch and leave with
 * one writev; what the socket does not take is queued here, and so is what
 * workers send.
 *
 * Reading stops (back-pressure), and the peer's TCP with it, when
 *	too many calls or bytes of it are with the workers (paused: the end of
 *	    a call kicks the owner),
 *	it does not read its replies (choked: EPOLLOUT resumes),
 *	memory is short for everyone (starved: the owner looks every 10 ms),
 *	the server stops.
 * A record that has begun may always be finished, into the buffer it already
 * has, so that those who wait for memory do not wait for each other.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "nfsd/rpc_priv.h"

#define READ_ROUNDS 4		/* then the others' turn */
#define RECORD_MS 60000		/* a record must be whole by then */
#define RECORD_SHORT_MS 10000	/* the same when memory is short */
#define SEND_MS 120000		/* a byte must leave in that time */
#define SEND_SHORT_MS 10000

/* ---- limits ---- */

static uint64_t
conn_in_cap(const struct rpc_server *server)
{
	return server->pool.budget / 4;
}

static uint64_t
host_cap(const struct rpc_server *server)
{
	return server->pool.budget / 2;
}

static uint64_t
out_cap(const struct rpc_server *server)
{
	uint64_t cap = server->pool.budget / 16;

	return cap < RPC_RECORD_MAX ? RPC_RECORD_MAX : cap;
}

bool
rpc_conn_choked(struct rpc_conn *conn)
{
	return RPC_LOAD(conn->out_bytes) > out_cap(conn->server);
}

/* In one order with the stores to paused: see rpc_conn_call_ended(). */
static unsigned
calls_out(struct rpc_conn *conn)
{
	return __atomic_load_n(&conn->in_flight, __ATOMIC_SEQ_CST);
}

/* May another call of it begin?  If not, its end of calls will kick. */
static bool
may_begin(struct rpc_conn *conn)
{
	struct rpc_server *server = conn->server;

	for (int pass = 0; pass < 2; pass++) {
		if (!RPC_LOAD(server->stopping) &&
		    calls_out(conn) <
		    server->limits.in_flight_per_connection &&
		    RPC_LOAD(conn->in_bytes) <= conn_in_cap(server) &&
		    !rpc_conn_choked(conn)) {
			RPC_STORE(conn->paused, false);
			return true;
		}
		/* Say so first, look again then: no kick gets lost. */
		__atomic_store_n(&conn->paused, true, __ATOMIC_SEQ_CST);
	}
	return false;
}

static bool
memory_short(struct rpc_conn *conn)
{
	return rpc_pool_short(&conn->server->pool) ||
	       RPC_LOAD(conn->host->bytes) > host_cap(conn->server);
}

static void
starve(struct rpc_conn *conn)
{
	if (conn->starved)
		return;
	conn->starved = true;
	TAILQ_INSERT_TAIL(&conn->thread->starved, conn, starved_link);
}

/* ---- life ---- */

struct rpc_conn *
rpc_conn_new(struct rpc_thread *thread, struct rpc_listener *listener, int fd,
	     const struct sockaddr_storage *peer, struct rpc_host *host)
{
	struct rpc_conn *conn = calloc(1, sizeof(*conn));
	struct epoll_event event = { .events = EPOLLIN };

	if (conn == NULL)
		return NULL;
	conn->server = thread->server;
	conn->thread = thread;
	conn->listener = listener;
	conn->host = host;
	conn->peer = *peer;
	conn->fd = fd;
	conn->refs = 1;
	conn->interest = EPOLLIN;
	conn->active_ms = conn->sent_ms = rpc_now_ms();
	pthread_mutex_init(&conn->lock, NULL);
	STAILQ_INIT(&conn->out);
	STAILQ_INIT(&conn->throttled);
	__atomic_fetch_add(&thread->server->conn_count, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&thread->lock);
	LIST_INSERT_HEAD(&thread->conns, conn, link);
	thread->conn_count++;
	event.data.ptr = conn;
	if (epoll_ctl(thread->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		LIST_REMOVE(conn, link);
		thread->conn_count--;
		pthread_mutex_unlock(&thread->lock);
		__atomic_fetch_sub(&thread->server->conn_count, 1,
				   __ATOMIC_RELAXED);
		pthread_mutex_destroy(&conn->lock);
		free(conn);
		return NULL;
	}
	pthread_mutex_unlock(&thread->lock);
	return conn;
}

void
rpc_conn_get(struct rpc_conn *conn)
{
	__atomic_fetch_add(&conn->refs, 1, __ATOMIC_RELAXED);
}

void
rpc_conn_put(struct rpc_conn **slot)
{
	struct rpc_conn *conn = *slot;
	struct rpc_server *server;

	*slot = NULL;
	if (conn == NULL ||
	    __atomic_sub_fetch(&conn->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	server = conn->server;
	if (conn->identified && server->config.connected != NULL)
		server->config.connected(server->config.arg, &conn->identity,
					 &conn->peer, -1);
	rpc_host_put(server, conn->host);
	pthread_mutex_destroy(&conn->lock);
	free(conn);
	__atomic_fetch_sub(&server->conn_count, 1, __ATOMIC_RELEASE);
}

/* What the owner's current record holds is the host's. */
static void
recharge(struct rpc_conn *conn, uint32_t before)
{
	uint32_t after = conn->record.buffer == NULL ?
			 0 : conn->record.buffer->size;

	if (after != before)
		__atomic_fetch_add(&conn->host->bytes,
				   (uint64_t)after - before, __ATOMIC_RELAXED);
}

static uint32_t
charge(const struct rpc_conn *conn)
{
	return conn->record.buffer == NULL ? 0 : conn->record.buffer->size;
}

static void
drop_out_locked(struct rpc_conn *conn)
{
	struct rpc_buffer *buffer;

	while ((buffer = STAILQ_FIRST(&conn->out)) != NULL) {
		STAILQ_REMOVE_HEAD(&conn->out, link);
		rpc_buffer_put(&buffer);
	}
	RPC_STORE(conn->out_bytes, 0);
}

void
rpc_conn_close(struct rpc_conn *conn)
{
	struct rpc_thread *thread = conn->thread;
	struct rpc_calls throttled = STAILQ_HEAD_INITIALIZER(throttled);
	struct rpc_call *call;
	uint32_t charged = charge(conn);

	pthread_mutex_lock(&conn->lock);
	conn->dead = true;
	/* Under the lock, so that nobody writes to the number's next user. */
	close(conn->fd);
	drop_out_locked(conn);
	STAILQ_CONCAT(&throttled, &conn->throttled);
	pthread_mutex_unlock(&conn->lock);
	while ((call = STAILQ_FIRST(&throttled)) != NULL) {
		STAILQ_REMOVE_HEAD(&throttled, queue);
		rpc_call_drop(call);
	}
	rpc_record_fini(&conn->record);
	recharge(conn, charged);
	rpc_buffer_put(&conn->carry);
	if (conn->starved)
		TAILQ_REMOVE(&thread->starved, conn, starved_link);
	conn->starved = false;
	pthread_mutex_lock(&thread->lock);
	LIST_REMOVE(conn, link);
	thread->conn_count--;
	pthread_mutex_unlock(&thread->lock);
	pthread_mutex_lock(&conn->server->hosts_lock);
	conn->host->connections--;
	conn->server->open_count--;
	pthread_mutex_unlock(&conn->server->hosts_lock);
	rpc_conn_put(&conn);
}

/* ---- sending ---- */

static void
watch_locked(struct rpc_conn *conn, uint32_t on, uint32_t off)
{
	uint32_t interest = (conn->interest | on) & ~off;
	struct epoll_event event = { .events = interest, .data.ptr = conn };

	if (interest == conn->interest || conn->dead)
		return;
	conn->interest = interest;
	(void)epoll_ctl(conn->thread->epoll, EPOLL_CTL_MOD, conn->fd, &event);
}

/* The peer is gone: EPOLLHUP tells the owner. */
static void
break_locked(struct rpc_conn *conn)
{
	drop_out_locked(conn);
	(void)shutdown(conn->fd, SHUT_RDWR);
}

static void
append_locked(struct rpc_conn *conn, struct rpc_buffer *buffer)
{
	if (STAILQ_EMPTY(&conn->out))
		conn->sent_ms = rpc_now_ms();
	STAILQ_INSERT_TAIL(&conn->out, buffer, link);
	RPC_STORE(conn->out_bytes, conn->out_bytes + buffer->end -
		  buffer->start);
}

static void
sent_locked(struct rpc_conn *conn, size_t bytes)
{
	struct rpc_buffer *buffer;

	RPC_STORE(conn->out_bytes, conn->out_bytes - bytes);
	conn->sent_ms = rpc_now_ms();
	while ((buffer = STAILQ_FIRST(&conn->out)) != NULL) {
		size_t len = buffer->end - buffer->start;

		if (bytes < len) {
			buffer->start += (uint32_t)bytes;
			return;
		}
		bytes -= len;
		STAILQ_REMOVE_HEAD(&conn->out, link);
		rpc_buffer_put(&buffer);
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

/* Send what goes of the queue. */
static void
flush_locked(struct rpc_conn *conn)
{
	while (!STAILQ_EMPTY(&conn->out)) {
		struct iovec iov[RPC_IOV];
		struct rpc_buffer *buffer;
		unsigned count = 0;
		size_t total = 0;
		ssize_t sent;

		STAILQ_FOREACH(buffer, &conn->out, link) {
			if (count == RPC_IOV)
				break;
			iov[count].iov_base = buffer->data + buffer->start;
			iov[count].iov_len = buffer->end - buffer->start;
			total += iov[count++].iov_len;
		}
		sent = send_iov(conn->fd, iov, count);
		if (sent < 0 && errno != EAGAIN) {
			break_locked(conn);
			return;
		}
		if (sent > 0)
			sent_locked(conn, (size_t)sent);
		if (sent < (ssize_t)total) {
			conn->blocked = true;
			watch_locked(conn, EPOLLOUT, 0);
			return;
		}
	}
	conn->blocked = false;
	watch_locked(conn, 0, EPOLLOUT);
}

void
rpc_conn_send(struct rpc_conn *conn, struct rpc_buffer *head,
	      struct rpc_buffer *tail)
{
	pthread_mutex_lock(&conn->lock);
	if (conn->dead) {
		pthread_mutex_unlock(&conn->lock);
		rpc_buffer_put(&head);
		rpc_buffer_put(&tail);
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
				break_locked(conn);
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

/* The owner's: send its replies, or queue them. */
static void
batch_flush(struct rpc_conn *conn)
{
	struct rpc_batch *batch = &conn->thread->batch;
	size_t total = 0;
	ssize_t sent = 0;

	if (batch->count == 0)
		return;
	for (unsigned i = 0; i < batch->count; i++)
		total += batch->iov[i].iov_len;
	pthread_mutex_lock(&conn->lock);
	if (STAILQ_EMPTY(&conn->out)) {
		sent = send_iov(conn->fd, batch->iov, batch->count);
		if (sent < 0 && errno != EAGAIN) {
			break_locked(conn);
			sent = (ssize_t)total;
		} else if (sent < 0) {
			sent = 0;
		}
	}
	if (sent < (ssize_t)total) {
		queue_rest_locked(conn, batch, (size_t)sent);
		if (!conn->blocked && !STAILQ_EMPTY(&conn->out)) {
			conn->blocked = true;
			watch_locked(conn, EPOLLOUT, 0);
		}
	}
	pthread_mutex_unlock(&conn->lock);
	for (unsigned i = 0; i < batch->count; i++)
		rpc_buffer_put(&batch->owner[i]);
	batch->count = 0;
	batch->used = 0;
}

unsigned char *
rpc_batch_room(struct rpc_conn *conn, uint32_t want, uint32_t *room)
{
	struct rpc_batch *batch = &conn->thread->batch;

	if (batch->count + 2 > RPC_IOV ||
	    RPC_SCRATCH_BYTES - batch->used < want)
		batch_flush(conn);
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
	}
}

/* ---- receiving ---- */

static int
dispatch(struct rpc_conn *conn, struct rpc_payload *payload)
{
	return rpc_dispatch(conn->thread, conn, NULL, &conn->peer, NULL,
			    payload);
}

static void
log_bad_record(struct rpc_conn *conn, int error)
{
	char text[RPC_PEER_TEXT];

	log_limited(&conn->server->record_log, LOG_LEVEL_WARN, "rpc",
		    "connection closed: %s peer=%s",
		    error == -EMSGSIZE ? "record too long" :
		    error == -ENOMEM ? "out of memory" :
		    "record marking or message is none",
		    rpc_peer_text(&conn->peer, text));
}

/* Keep bytes for later. */
static int
keep(struct rpc_conn *conn, const unsigned char *raw, size_t len)
{
	conn->carry = rpc_buffer_get(&conn->server->pool, len);
	if (conn->carry == NULL)
		return -ENOMEM;
	memcpy(conn->carry->data, raw, len);
	conn->carry->end = (uint32_t)len;
	return 0;
}

/* Work off received bytes.  0, 1: paused, negative: close. */
static int
consume(struct rpc_conn *conn, unsigned char *raw, size_t len)
{
	while (len > 0) {
		struct rpc_payload payload;
		uint32_t charged = charge(conn);
		size_t taken;
		int r;

		if (!may_begin(conn)) {
			r = keep(conn, raw, len);
			return r < 0 ? r : 1;
		}
		if (memory_short(conn) && conn->record.buffer == NULL) {
			starve(conn);
			r = keep(conn, raw, len);
			return r < 0 ? r : 1;
		}
		r = rpc_record_take(&conn->record, &conn->server->pool, raw,
				    len, &taken, &payload);
		if (r < 0)
			return r;
		recharge(conn, charged);
		raw += taken;
		len -= taken;
		if (r == 1 && (r = dispatch(conn, &payload)) < 0)
			return r;
	}
	return 0;
}

/* One readv and what follows.  0: no more for now; 1: more may be there;
 * 2: paused; negative: close. */
static int
read_once(struct rpc_conn *conn)
{
	struct rpc_thread *thread = conn->thread;
	struct iovec iov[2];
	int count = 0, r = 0;
	size_t room = 0, total;
	unsigned char *direct = rpc_record_room(&conn->record, &room);
	ssize_t n;

	if (direct != NULL)
		iov[count++] = (struct iovec){ direct, room };
	if (direct == NULL || !memory_short(conn))
		iov[count++] = (struct iovec){ thread->in,
					       RPC_SCRATCH_BYTES };
	total = room + (iov[count - 1].iov_base == thread->in ?
			RPC_SCRATCH_BYTES : 0);
	do
		n = readv(conn->fd, iov, count);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0) {
		conn->eof = true;
		return 0;
	}
	RPC_STORE(conn->active_ms, rpc_now_ms());
	if (direct != NULL) {
		size_t filled = (size_t)n < room ? (size_t)n : room;
		struct rpc_payload payload;
		uint32_t charged = charge(conn);

		r = rpc_record_filled(&conn->record, filled, &payload);
		recharge(conn, charged);
		if (r == 1 && (r = dispatch(conn, &payload)) < 0)
			return r;
		room = filled;
	}
	if ((size_t)n > room)
		r = consume(conn, thread->in, (size_t)n - room);
	if (r < 0)
		return r;
	return r == 1 ? 2 : (size_t)n == total;
}

/* All is said: the peer sends no more, and has all replies. */
static bool
finished(struct rpc_conn *conn)
{
	return conn->eof && calls_out(conn) == 0 &&
	       RPC_LOAD(conn->out_bytes) == 0 && conn->carry == NULL;
}

static void
set_reading(struct rpc_conn *conn, bool on)
{
	if (on != conn->not_reading)
		return;
	conn->not_reading = !on;
	pthread_mutex_lock(&conn->lock);
	watch_locked(conn, on ? EPOLLIN : 0, on ? 0 : EPOLLIN);
	pthread_mutex_unlock(&conn->lock);
}

/* The time since which a record is in part here. */
static void
note_record(struct rpc_conn *conn, bool paused)
{
	if (paused || !rpc_record_partial(&conn->record))
		conn->record_ms = 0;
	else if (conn->record_ms == 0)
		conn->record_ms = rpc_now_ms();
}

/* Read and answer as far as it goes.  Closes it on error or at the end. */
static void
pump(struct rpc_conn *conn)
{
	int r = 0;

	if (conn->carry != NULL && may_begin(conn)) {
		struct rpc_buffer *carry = conn->carry;

		conn->carry = NULL;
		memcpy(conn->thread->in, carry->data, carry->end);
		r = consume(conn, conn->thread->in, carry->end);
		rpc_buffer_put(&carry);
		if (r == 1)
			r = 2;
	}
	for (int round = 0; round < READ_ROUNDS && r >= 0; round++) {
		uint64_t before = conn->active_ms;

		if (r == 2 || conn->carry != NULL || conn->eof) {
			r = 2;
			break;
		}
		if (!may_begin(conn) ||
		    (memory_short(conn) && conn->record.buffer == NULL)) {
			if (!RPC_LOAD(conn->paused))
				starve(conn);
			r = 2;
			break;
		}
		r = read_once(conn);
		if (conn->active_ms != before)
			note_record(conn, false);
		if (r == 0)
			break;
	}
	batch_flush(conn);
	if (r < 0) {
		if (r == -EMSGSIZE || r == -EPROTO || r == -ENOMEM)
			log_bad_record(conn, r);
		rpc_conn_close(conn);
		return;
	}
	note_record(conn, r == 2);
	if (conn->eof) {
		/* The end of the last call is to kick. */
		__atomic_store_n(&conn->paused, true, __ATOMIC_SEQ_CST);
		if (finished(conn)) {
			rpc_conn_close(conn);
			return;
		}
	}
	set_reading(conn, r != 2 && !conn->eof);
}

/* ---- what happens to it ---- */

/* READs may go on. */
static void
release_throttled(struct rpc_conn *conn)
{
	struct rpc_calls calls = STAILQ_HEAD_INITIALIZER(calls);
	struct rpc_call *call;

	pthread_mutex_lock(&conn->lock);
	if (conn->out_bytes <= out_cap(conn->server) / 2)
		STAILQ_CONCAT(&calls, &conn->throttled);
	pthread_mutex_unlock(&conn->lock);
	while ((call = STAILQ_FIRST(&calls)) != NULL) {
		STAILQ_REMOVE_HEAD(&calls, queue);
		rpc_workers_queue(conn->server->workers, call);
	}
}

void
rpc_conn_event(struct rpc_conn *conn, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		rpc_conn_close(conn);
		return;
	}
	if (events & EPOLLOUT) {
		pthread_mutex_lock(&conn->lock);
		flush_locked(conn);
		pthread_mutex_unlock(&conn->lock);
		release_throttled(conn);
	}
	pump(conn);
}

void
rpc_conn_resume(struct rpc_conn *conn)
{
	if (conn->dead)
		return;
	if (RPC_LOAD(conn->evict)) {
		rpc_conn_close(conn);
		return;
	}
	pump(conn);
}

bool
rpc_conn_sweep(struct rpc_conn *conn, uint64_t now_ms)
{
	struct rpc_server *server = conn->server;
	bool is_short = memory_short(conn);
	uint64_t idle_ms = (uint64_t)server->limits.idle_s * 1000;
	bool stuck;

	pthread_mutex_lock(&conn->lock);
	stuck = !STAILQ_EMPTY(&conn->out) &&
		now_ms > conn->sent_ms + (is_short ? SEND_SHORT_MS : SEND_MS);
	pthread_mutex_unlock(&conn->lock);
	if (conn->record_ms != 0 &&
	    now_ms > conn->record_ms +
	    (is_short ? RECORD_SHORT_MS : RECORD_MS))
		stuck = true;
	if (idle_ms != 0 && now_ms > conn->active_ms + idle_ms &&
	    RPC_LOAD(conn->in_flight) == 0 && RPC_LOAD(conn->out_bytes) == 0)
		stuck = true;
	if (stuck)
		rpc_conn_close(conn);
	return stuck;
}

void
rpc_conn_call_ended(struct rpc_conn *conn)
{
	__atomic_fetch_sub(&conn->in_flight, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&conn->paused, __ATOMIC_SEQ_CST))
		rpc_thread_kick(conn);
}
