/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection.  One event thread owns it: only that thread reads from it and
 * closes it.  Any thread may send.  It is freed when the owner and all calls
 * that came over it have let go.
 *
 * Bytes are received into the owner's scratch buffer, so that an idle
 * connection has no buffer at all; a record that is not whole moves to one of
 * its own.  How replies leave: rpc/send.c.
 *
 * Reading stops (back-pressure), and the peer's TCP with it, when
 *	too many calls or bytes of it are with the workers (paused: the end of
 *	    a call kicks the owner),
 *	it does not read its replies (choked: EPOLLOUT resumes),
 *	its host has its share of the memory, for calls or, if its next record
 *	    is large, for those, or memory is short for everyone (starved: the
 *	    owner looks every 10 ms),
 *	the server stops.
 * A small call waits for none of the bulk: see rpc/buffer.c.  Whoever has
 * memory and lets others wait, by not reading or not finishing a record, is
 * closed; each end of a connection is logged with its reason.
 *
 * A record has its time from its first byte: limits.record_ms until it is
 * whole, or until RECORD_STEP bytes more are here, and so on.  Time in which
 * we do not read it does not count, nor does any in which the program does not
 * run (server->clock).
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "nfsd/rpc/inside.h"

#define READ_ROUNDS 4		/* then the others' turn */
#define SCARCE_BYTES 4000	/* a small buffer's */
#define RECORD_STEP 16384U
#define RECORD_SHORT_MS 10000	/* the same when memory is short: */
#define RECORD_SHORT_STEP 262144U
#define SEND_MS 120000		/* a byte must leave in that time */
#define SEND_SHORT_MS 10000
#define SEND_PROGRESS 262144

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

static uint64_t
allowance(const struct rpc_conn *conn)
{
	return rpc_pool_allowance(&conn->server->pool,
				  RPC_LOAD(conn->host->large));
}

/*
 * Must its next record, or the rest of the one in part, wait for memory?  A
 * record that has a buffer of its size may always come, so that those who wait
 * for memory do not wait for each other.
 */
static bool
must_wait(struct rpc_conn *conn)
{
	struct rpc_pool *pool = &conn->server->pool;

	if (conn->record.buffer == NULL &&
	    (rpc_pool_short(pool) ||
	     RPC_LOAD(conn->host->bytes) > host_cap(conn->server)))
		return true;
	/* One at a time it may always have. */
	if (conn->record.buffer == NULL &&
	    (calls_out(conn) > 0 || RPC_LOAD(conn->held) > 0) &&
	    RPC_LOAD(conn->host->small) > rpc_pool_small_left(pool))
		return true;
	return conn->record.wanted > allowance(conn);
}

void
rpc_conn_starve(struct rpc_conn *conn)
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
	conn->active_ms = conn->sent_ms = conn->mark_ms = conn->heard_ms =
		rpc_run_ms(conn->server);
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

	if (after == before)
		return;
	rpc_host_charge(conn->host, before, -1);
	rpc_host_charge(conn->host, after, 1);
}

static uint32_t
charge(const struct rpc_conn *conn)
{
	return conn->record.buffer == NULL ? 0 : conn->record.buffer->size;
}

static const struct {
	enum log_level level;
	const char *text;
} ends[RPC_ENDS] = {
	[RPC_END_PEER] = { LOG_LEVEL_DEBUG, "by the peer" },
	[RPC_END_STOP] = { LOG_LEVEL_DEBUG, "the server stops" },
	[RPC_END_IDLE] = { LOG_LEVEL_INFO, "idle" },
	[RPC_END_EVICTED] = { LOG_LEVEL_INFO, "silent, to make room" },
	[RPC_END_RESET] = { LOG_LEVEL_INFO, "reset" },
	[RPC_END_LONG] = { LOG_LEVEL_WARN, "record too long" },
	[RPC_END_BAD] = { LOG_LEVEL_WARN,
			  "record marking or message is none" },
	[RPC_END_SLOW_RECORD] = { LOG_LEVEL_WARN,
				  "its record does not get whole" },
	[RPC_END_NOT_READING] = { LOG_LEVEL_WARN,
				  "it does not read its replies" },
	[RPC_END_MEMORY] = { LOG_LEVEL_ERR, "out of memory" },
};

/* The reason, once in a while for each. */
static void
log_end(struct rpc_conn *conn, enum rpc_end end, uint64_t unsent)
{
	char text[RPC_PEER_TEXT];

	if (log_level() < ends[end].level)
		return;
	log_limited(&conn->server->end_log[end], ends[end].level, "rpc",
		    "connection closed: %s peer=%s calls=%u unsent=%llu",
		    ends[end].text, rpc_peer_text(&conn->peer, text),
		    RPC_LOAD(conn->in_flight), (unsigned long long)unsent);
}

void
rpc_conn_close(struct rpc_conn *conn, enum rpc_end end)
{
	struct rpc_thread *thread = conn->thread;
	struct rpc_calls throttled = STAILQ_HEAD_INITIALIZER(throttled);
	struct rpc_call *call;
	uint32_t charged = charge(conn);
	uint64_t unsent;

	pthread_mutex_lock(&conn->lock);
	conn->dead = true;
	unsent = conn->out_bytes;
	/* What broke it said why. */
	if (conn->broken != 0)
		end = conn->broken;
	/* Under the lock, so that nobody writes to the number's next user. */
	if (conn->sending) {
		(void)epoll_ctl(thread->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
		(void)shutdown(conn->fd, SHUT_RDWR);
	} else {
		rpc_conn_finish_locked(conn);
	}
	STAILQ_CONCAT(&throttled, &conn->throttled);
	RPC_STORE(conn->throttled_count, 0);
	pthread_mutex_unlock(&conn->lock);
	log_end(conn, end, unsent);
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

/* ---- receiving ---- */

static int
dispatch(struct rpc_conn *conn, struct rpc_payload *payload)
{
	return rpc_dispatch(conn->thread, conn, NULL, &conn->peer, NULL,
			    payload);
}

static enum rpc_end
end_of(int error)
{
	switch (error) {
	case -EMSGSIZE:
		return RPC_END_LONG;
	case -EPROTO:
		return RPC_END_BAD;
	case -ENOMEM:
		return RPC_END_MEMORY;
	default:
		return RPC_END_RESET;
	}
}

/* Keep bytes for later.  1, or -ENOMEM. */
static int
keep(struct rpc_conn *conn, const unsigned char *raw, size_t len)
{
	if (len == 0)
		return 1;
	conn->carry = rpc_buffer_get(&conn->server->pool, len);
	if (conn->carry == NULL)
		return -ENOMEM;
	memcpy(conn->carry->data, raw, len);
	conn->carry->end = (uint32_t)len;
	return 1;
}

/* Work off received bytes.  0, 1: paused, negative: close. */
static int
consume(struct rpc_conn *conn, unsigned char *raw, size_t len)
{
	struct rpc_bytes in = { raw, len };

	while (in.len > 0) {
		struct rpc_payload payload;
		uint32_t charged = charge(conn);
		int r;

		if (!may_begin(conn))
			return keep(conn, in.at, in.len);
		if (must_wait(conn)) {
			rpc_conn_starve(conn);
			return keep(conn, in.at, in.len);
		}
		r = rpc_record_take(&conn->record, &conn->server->pool,
				    allowance(conn), &in, &payload);
		if (r < 0 && r != -EAGAIN)
			return r;
		recharge(conn, charged);
		if (r == -EAGAIN) {
			rpc_conn_starve(conn);
			return keep(conn, in.at, in.len);
		}
		if (r == 1) {
			conn->record_ms = 0;	/* the next has its own */
			r = dispatch(conn, &payload);
			RPC_STORE(conn->handed, conn->received - in.len);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* How much to read at once.  What cannot begin is kept (keep), for each of
 * many connections: not so much when memory is not plenty. */
static size_t
scratch_bytes(const struct rpc_conn *conn)
{
	const struct rpc_pool *pool = &conn->server->pool;

	return RPC_LOAD(pool->used) < pool->budget / 2 ? RPC_SCRATCH_BYTES :
							 SCARCE_BYTES;
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
	if (direct == NULL || !rpc_pool_short(&conn->server->pool))
		iov[count++] = (struct iovec){ thread->in,
					       scratch_bytes(conn) };
	total = room + (iov[count - 1].iov_base == thread->in ?
			iov[count - 1].iov_len : 0);
	do
		n = readv(conn->fd, iov, count);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0) {
		conn->eof = true;
		return 0;
	}
	RPC_STORE(conn->received, conn->received + (uint64_t)n);
	RPC_STORE(conn->active_ms, rpc_run_ms(conn->server));
	if (direct != NULL) {
		size_t filled = (size_t)n < room ? (size_t)n : room;
		struct rpc_payload payload;
		uint32_t charged = charge(conn);

		r = rpc_record_filled(&conn->record, filled, &payload);
		recharge(conn, charged);
		if (r == 1) {
			conn->record_ms = 0;
			r = dispatch(conn, &payload);
			RPC_STORE(conn->handed, conn->received -
						((uint64_t)n - filled));
		}
		if (r < 0)
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
	/* At its end there is nothing more to read. */
	RPC_STORE(conn->stopped_ms, on || (conn->eof && conn->carry == NULL) ?
		  0 : rpc_run_ms(conn->server));
	pthread_mutex_lock(&conn->lock);
	rpc_conn_watch_locked(conn, on ? EPOLLIN : 0, on ? 0 : EPOLLIN);
	pthread_mutex_unlock(&conn->lock);
}

/* The time since which a record is in part here. */
static void
note_record(struct rpc_conn *conn, bool paused)
{
	if (paused || !rpc_record_partial(&conn->record))
		conn->record_ms = 0;
	else if (conn->record_ms == 0) {
		conn->record_ms = rpc_run_ms(conn->server);
		conn->record_mark = conn->record.got;
	}
}

/* Does the record in part get on? */
static bool
is_coming(struct rpc_conn *conn, uint64_t now_ms, bool tight)
{
	uint32_t step = tight ? RECORD_SHORT_STEP : RECORD_STEP;
	uint64_t limit_ms = conn->server->limits.record_ms;

	if (tight && limit_ms > RECORD_SHORT_MS)
		limit_ms = RECORD_SHORT_MS;
	if (conn->record_ms == 0)
		return true;
	if (conn->record.got - conn->record_mark >= step) {
		conn->record_mark = conn->record.got;
		conn->record_ms = now_ms;
	}
	return now_ms <= conn->record_ms + limit_ms;
}

/* Are there bytes that nobody has looked at? */
static bool
has_unread(const struct rpc_conn *conn)
{
	int bytes = 0;

	return conn->carry != NULL ||
	       (ioctl(conn->fd, FIONREAD, &bytes) == 0 && bytes > 0);
}

/* Read and answer as far as it goes.  Closes it on error or at the end. */
static void
pump(struct rpc_conn *conn)
{
	int r = 0;

	if (conn->carry != NULL && must_wait(conn)) {
		rpc_conn_starve(conn);
	} else if (conn->carry != NULL && may_begin(conn)) {
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
		if (!may_begin(conn) || must_wait(conn)) {
			if (!RPC_LOAD(conn->paused))
				rpc_conn_starve(conn);
			r = 2;
			break;
		}
		r = read_once(conn);
		if (conn->active_ms != before)
			note_record(conn, false);
		if (r == 0)
			break;
	}
	rpc_batch_flush(conn);
	if (r < 0) {
		rpc_conn_close(conn, end_of(r));
		return;
	}
	/* One that grows and waits for memory while it has some is no better
	 * than one that does not come: its time goes on. */
	note_record(conn, r == 2 && (conn->record.wanted == 0 ||
				     conn->record.buffer == NULL));
	if (conn->eof) {
		/* The end of the last call is to kick. */
		__atomic_store_n(&conn->paused, true, __ATOMIC_SEQ_CST);
		if (finished(conn)) {
			rpc_conn_close(conn, RPC_END_PEER);
			return;
		}
	}
	set_reading(conn, r != 2 && !conn->eof);
}

/* ---- what happens to it ---- */

void
rpc_conn_event(struct rpc_conn *conn, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		rpc_conn_close(conn, RPC_END_RESET);
		return;
	}
	if (events & EPOLLOUT)
		rpc_conn_flush(conn);
	pump(conn);
}

void
rpc_conn_resume(struct rpc_conn *conn)
{
	if (conn->dead)
		return;
	if (RPC_LOAD(conn->evict) != 0) {
		rpc_conn_close(conn, RPC_LOAD(conn->evict));
		return;
	}
	if (RPC_LOAD(conn->throttled_count) > 0)
		rpc_conn_release(conn);
	pump(conn);
}

/*
 * Does the peer take its replies?  While others may be waiting for memory a
 * byte now and then is not enough: the queue gets empty, or SEND_PROGRESS bytes
 * leave, in SEND_SHORT_MS.
 */
static bool
is_reading(struct rpc_conn *conn, uint64_t now_ms, bool tight)
{
	bool reading = true;

	pthread_mutex_lock(&conn->lock);
	if (STAILQ_EMPTY(&conn->out) ||
	    conn->sent_bytes >= conn->mark_bytes + SEND_PROGRESS) {
		conn->mark_bytes = conn->sent_bytes;
		conn->mark_ms = now_ms;
	}
	if (!STAILQ_EMPTY(&conn->out))
		reading = now_ms <= conn->sent_ms + SEND_MS &&
			  (!tight ||
			   now_ms <= conn->mark_ms + SEND_SHORT_MS);
	pthread_mutex_unlock(&conn->lock);
	return reading;
}

bool
rpc_conn_sweep(struct rpc_conn *conn, uint64_t now_ms)
{
	struct rpc_server *server = conn->server;
	bool tight = rpc_pool_tight(&server->pool) ||
		     RPC_LOAD(conn->host->bytes) > host_cap(server);
	uint64_t idle_ms = (uint64_t)server->limits.idle_s * 1000;
	enum rpc_end end = 0;

	if (!is_reading(conn, now_ms, tight))
		end = RPC_END_NOT_READING;
	else if (!is_coming(conn, now_ms, tight))
		end = RPC_END_SLOW_RECORD;
	else if (idle_ms != 0 && now_ms > conn->active_ms + idle_ms &&
		 RPC_LOAD(conn->in_flight) == 0 &&
		 RPC_LOAD(conn->out_bytes) == 0 && !has_unread(conn))
		end = RPC_END_IDLE;
	if (end == 0)
		return false;
	rpc_conn_close(conn, end);
	return true;
}

void
rpc_conn_call_ended(struct rpc_conn *conn)
{
	__atomic_fetch_sub(&conn->in_flight, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&conn->paused, __ATOMIC_SEQ_CST) ||
	    RPC_LOAD(conn->throttled_count) > 0)
		rpc_thread_kick(conn);
}
