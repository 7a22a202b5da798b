/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_RPC_INSIDE_H
#define NFSD_RPC_INSIDE_H

/*
 * What the files of the transport share.  A call's way:
 *
 *	rpc/event.c	a socket is readable
 *	rpc/conn.c	bytes come in
 *	rpc/send.c	replies go out
 *	rpc/record.c	bytes become records
 *	rpc/message.c	a record's header is taken apart; reply headers
 *	rpc/call.c	a call is made, charged, forgotten
 *	rpc/dispatch.c	the procedure is found and run; its reply encoded
 *	rpc/cache.c	... or an old reply found
 *	rpc/workers.c	... or run on a thread, because it must wait
 *	rpc/udp.c	the same for datagrams
 *	rpc/listen.c	connections begin
 *	rpc/evict.c	who is closed when something runs out
 *	rpc/buffer.c	all the memory for that
 *
 * Lock order: rpc_thread.lock, rpc_cache lock, rpc_conn.lock, then the leaves
 * (pool, hosts, workers, calls).
 */

#include <pthread.h>
#include <sys/queue.h>
#include <sys/uio.h>

/* What HASH_ADD had no memory for has no hh.tbl, and is in no table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "nfsd/gate/clock.h"
#include "nfsd/log.h"
#include "nfsd/rpc/rpc.h"

#define RPC_SCRATCH_BYTES 65536	/* read at once, encoded at once */
#define RPC_IOV 64
#define RPC_AUTH_BYTES 400	/* RFC 5531 8.2 */

/* ---- rpc/buffer.c ---- */

/*
 * A piece of pooled memory.  Queued for sending, [start, end) of data is
 * still to go.  64 bytes, so that data is aligned.
 */
struct rpc_buffer {
	STAILQ_ENTRY(rpc_buffer) link;
	struct rpc_pool *pool;
	uint32_t size_class;
	uint32_t size;		/* of data */
	uint32_t start, end;
	uint32_t charged;	/* bytes counted for its holder */
	_Alignas(64) unsigned char data[];
};
STAILQ_HEAD(rpc_buffers, rpc_buffer);

#define RPC_CLASSES 5
#define RPC_SMALL (65536 + 4096)	/* larger buffers are bulk */
#define RPC_SMALL_SHARE 262144	/* everybody's, whatever others hold */

struct rpc_conn;

struct rpc_pool {
	uint64_t used;		/* bytes handed out; atomic */
	uint64_t large;		/* those in buffers above RPC_SMALL; atomic */
	uint64_t budget, large_budget, small_budget;
	pthread_mutex_t lock;
	struct rpc_buffers free[RPC_CLASSES];
	uint64_t kept;		/* bytes in the free lists */
};

void rpc_pool_init(struct rpc_pool *pool, size_t budget);
void rpc_pool_fini(struct rpc_pool *pool);
/* At least size bytes (at most RPC_RECORD_MAX and a marker), or NULL. */
struct rpc_buffer *rpc_buffer_get(struct rpc_pool *pool, size_t size);
/*
 * The same for a reply to conn (or NULL), which is charged with it.  -EAGAIN:
 * not now, it would be more than its share; -EMSGSIZE: never; -ENOMEM.
 */
int rpc_buffer_get_share(struct rpc_pool *pool, size_t size,
			 struct rpc_conn *conn, struct rpc_buffer **out)
	__attribute__((warn_unused_result));
/* A reply's buffer is conn's, if it is not yet; or not any more. */
void rpc_buffer_charge(struct rpc_buffer *buffer, struct rpc_conn *conn);
void rpc_buffer_discharge(struct rpc_buffer *buffer, struct rpc_conn *conn);
/* What it would be charged. */
uint32_t rpc_buffer_cost(size_t size);
/* Takes NULL, clears the pointer. */
void rpc_buffer_put(struct rpc_buffer **buffer);
/* More is handed out than the budget: no new work may begin. */
bool rpc_pool_short(struct rpc_pool *pool);
/* May a connection that holds `held` bytes, of a host with host_large bytes in
 * large buffers, take `size` more?  See rpc/buffer.c. */
bool rpc_pool_share(struct rpc_pool *pool, uint64_t held, uint64_t host_large,
		    uint64_t size);
/* The largest buffer that such a host may take for a record. */
uint64_t rpc_pool_allowance(struct rpc_pool *pool, uint64_t host_large);
/* What is left for small buffers. */
uint64_t rpc_pool_small_left(struct rpc_pool *pool);
/* Others may be waiting for memory: who has some and idles gets less time. */
bool rpc_pool_tight(struct rpc_pool *pool);

/* ---- rpc/record.c ---- */

#define RPC_FRAGMENTS_MAX 16384	/* of one record */
#define RPC_EMPTY_FRAGMENTS_MAX 16

/* Zeroed: between records. */
struct rpc_record {
	struct rpc_buffer *buffer;	/* what came so far, if anything did */
	uint32_t got;		/* bytes in it */
	uint32_t left;		/* missing of the current fragment */
	uint32_t wanted;	/* not 0: it waits for a buffer of that size */
	uint32_t marker;	/* being read, big-endian already turned */
	uint8_t marker_got;	/* bytes of it */
	bool in_fragment, last;
	unsigned fragments, empties;
};

/* One whole record. */
struct rpc_payload {
	unsigned char *data;	/* aligned to 4 */
	uint32_t len;
	struct rpc_buffer *buffer;	/* it lies there and is the taker's;
					 * NULL: in the bytes given */
};

/* Bytes that were received; what is taken of them leaves. */
struct rpc_bytes {
	unsigned char *at;
	size_t len;
};

/*
 * Take from them.  1: *out is a record; 0: all bytes are taken and more
 * are needed; -EAGAIN: it takes a larger buffer than `allowance` and is to come
 * again with the rest; -EMSGSIZE: too long; -EPROTO: too many fragments;
 * -ENOMEM.  Small buffers are always allowed.
 */
int rpc_record_take(struct rpc_record *record, struct rpc_pool *pool,
		    uint64_t allowance, struct rpc_bytes *in,
		    struct rpc_payload *out)
	__attribute__((warn_unused_result));
/* Where bytes can be received to directly, and how many; or NULL. */
unsigned char *rpc_record_room(struct rpc_record *record, size_t *len);
/* So many were; 1: *out is a record. */
int rpc_record_filled(struct rpc_record *record, size_t len,
		      struct rpc_payload *out);
/* Some of a record is here. */
bool rpc_record_partial(const struct rpc_record *record);
void rpc_record_fini(struct rpc_record *record);

/* ---- rpc/message.c ---- */

enum rpc_verdict {
	RPC_CALL_GOOD,
	RPC_CALL_NONE,		/* no call at all: no reply is possible */
	RPC_CALL_MISMATCH,	/* RPC version */
	RPC_CALL_BAD,		/* header cut short */
	RPC_CALL_BADCRED,
	RPC_CALL_REJECTED	/* unknown flavour */
};

/* Header of a call.  args_at is the offset of the arguments. */
enum rpc_verdict rpc_message_decode(const unsigned char *data, uint32_t len,
				    struct rpc_request *rq,
				    uint32_t *args_at);

#define RPC_REPLY_HEADER_MAX 36
enum rpc_reply_kind {
	RPC_REPLY_SUCCESS, RPC_REPLY_PROG_UNAVAIL, RPC_REPLY_PROG_MISMATCH,
	RPC_REPLY_PROC_UNAVAIL, RPC_REPLY_GARBAGE, RPC_REPLY_SYSTEM_ERR,
	RPC_REPLY_RPC_MISMATCH, RPC_REPLY_BADCRED, RPC_REPLY_REJECTEDCRED,
	RPC_REPLY_TOOWEAK
};
/* Writes at most RPC_REPLY_HEADER_MAX bytes; returns how many. */
uint32_t rpc_message_reply(unsigned char *out, uint32_t xid,
			   enum rpc_reply_kind kind, uint32_t low,
			   uint32_t high);

static inline uint32_t
rpc_get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static inline void
rpc_put32(unsigned char *p, uint32_t value)
{
	p[0] = (unsigned char)(value >> 24);
	p[1] = (unsigned char)(value >> 16);
	p[2] = (unsigned char)(value >> 8);
	p[3] = (unsigned char)value;
}

/* ---- calls ---- */

enum rpc_call_state {
	RPC_CALL_RUNNING,
	RPC_CALL_WOKEN,		/* rpc_wake() came while it ran */
	RPC_CALL_PARKED,
	RPC_CALL_QUEUED
};

/* What a call has in common with one that is sent again. */
struct rpc_twin {
	const void *from;	/* its connection or listener, */
	struct in6_addr host;	/* and its peer there */
	uint32_t port, xid, program, version, procedure, args_len;
};
#define RPC_TWIN_ARGS 4096	/* longer ones are not compared */

/*
 * A call in the making.  It lies in a pooled buffer, with args and res behind
 * it.  One thread has it at a time; only state, and conn once it is in the
 * reply cache, are seen by others.
 */
struct rpc_call {
	struct rpc_request rq;
	struct rpc_server *server;
	struct rpc_buffer *home;	/* this struct lies in it */
	struct rpc_conn *conn;	/* where the reply goes; a reference */
	struct rpc_listener *udp;	/* or there */
	struct rpc_host *udp_host;	/* its sender, if it is counted */
	struct sockaddr_storage udp_local;
	const struct rpc_procedure *procedure;
	void *args, *res;
	struct rpc_buffer *record;	/* where the record lies, if ours */
	struct rpc_cache_entry *entry;	/* in progress in the cache */
	enum rpc_call_state state;	/* atomic */
	bool decoded;		/* args are to be freed */
	bool counted;		/* in conn->in_flight */
	uint64_t counted_ms;	/* since then, of the clock */
	LIST_ENTRY(rpc_call) out;	/* server->calls, if it is counted */
	struct rpc_twin twin;	/* in server->twins, if that has hh */
	const unsigned char *twin_args;
	UT_hash_handle hh;
	uint32_t tail_want;	/* rpc_tail_alloc had no room for so many */
	struct rpc_lane *lane;	/* rpc/workers.c */
	uint64_t share_key;
	STAILQ_ENTRY(rpc_call) queue;	/* workers or conn->throttled */
	LIST_ENTRY(rpc_call) parked;	/* server->parked */
};
STAILQ_HEAD(rpc_calls, rpc_call);

/* ---- hosts ---- */

struct rpc_host {
	struct in6_addr addr;
	unsigned connections;	/* under server->hosts_lock */
	unsigned refs;		/* the same */
	uint64_t bytes;		/* of records and calls on their way; atomic */
	uint64_t large;		/* of large buffers, for records and replies;
				 * atomic */
	uint64_t small;		/* the same of small ones, and calls; atomic */
	unsigned datagrams;	/* calls on their way; under hosts_lock */
	UT_hash_handle hh;
};

/* ---- rpc/conn.c ---- */

/* Why a connection ends. */
enum rpc_end {
	RPC_END_PEER = 1, RPC_END_STOP, RPC_END_IDLE, RPC_END_EVICTED,
	RPC_END_RESET, RPC_END_LONG, RPC_END_BAD, RPC_END_SLOW_RECORD,
	RPC_END_NOT_READING, RPC_END_MEMORY, RPC_ENDS
};

struct rpc_conn {
	struct rpc_server *server;
	struct rpc_thread *thread;	/* the owner: reads and closes */
	struct rpc_listener *listener;
	struct rpc_host *host;
	struct sockaddr_storage peer;
	int fd;
	unsigned refs;		/* atomic: the owner, and each call */

	/* The owner's. */
	LIST_ENTRY(rpc_conn) link;	/* thread->conns, under its lock */
	struct rpc_record record;
	struct rpc_buffer *carry;	/* bytes received, not yet looked at */
	bool eof, not_reading;
	bool starved;		/* in thread->starved */
	TAILQ_ENTRY(rpc_conn) starved_link;
	/* Times are of server->clock. */
	uint64_t active_ms;	/* last byte in; atomic */
	uint64_t record_ms;	/* the record in part began, or had got a good
				 * step on; 0: there is none */
	uint32_t record_mark;	/* bytes of it that were here then */
	uint64_t stopped_ms;	/* not read since then; 0: it is; atomic */

	uint64_t received;	/* bytes, from the socket; atomic */
	uint64_t handed;	/* of those, in records handed over; atomic */
	unsigned in_flight;	/* calls that left the owner; atomic */
	uint64_t in_bytes;	/* of their records; atomic */
	uint64_t held;		/* bytes of its replies' buffers, in the
				 * making and queued; atomic */
	bool paused;		/* wants a kick when calls end; atomic */
	enum rpc_end evict;	/* not 0: the owner is to close it; atomic */
	bool kicked;		/* in thread->kicked, under its lock */
	STAILQ_ENTRY(rpc_conn) kick_link;

	pthread_mutex_t lock;
	/* Guarded by it: */
	bool dead;		/* closed; fd is none */
	bool blocked;		/* waits for EPOLLOUT */
	bool sending;		/* a thread sends what is in out, without the
				 * lock: out and fd are not to be freed */
	uint32_t interest;	/* what epoll watches */
	uint64_t sent_ms;	/* last byte out, or queue was empty */
	uint64_t sent_bytes;	/* of those that were queued */
	uint64_t mark_bytes, mark_ms;	/* how far it was, and when it had
					 * got a good step on or was empty */
	enum rpc_end broken;	/* why it was shut down, or 0 */
	uint64_t out_bytes;	/* in out, unsent; also read without lock */
	uint64_t out_held;	/* size of the buffers there; the same */
	struct rpc_buffers out;
	struct rpc_buffer *out_last;
	struct rpc_calls throttled;	/* see rpc/send.c */
	unsigned throttled_count;	/* also read without lock */
	uint64_t heard_ms;	/* rpc/heard.c: all from before was handed
				 * over */
	uint64_t heard_mark;	/* that many bytes were here, at: 0: none */
	uint64_t heard_mark_ms;
	bool identified;	/* identity is set, connected() was told */
	struct rpc_cred identity;
};

struct rpc_conn *rpc_conn_new(struct rpc_thread *thread,
			      struct rpc_listener *listener, int fd,
			      const struct sockaddr_storage *peer,
			      struct rpc_host *host);
void rpc_conn_get(struct rpc_conn *conn);
void rpc_conn_put(struct rpc_conn **conn);
/* The owner's: events has come.  May close it. */
void rpc_conn_event(struct rpc_conn *conn, uint32_t events);
/* The owner's: look again, something changed. */
void rpc_conn_resume(struct rpc_conn *conn);
/* The owner's: time passes.  true: it was closed. */
bool rpc_conn_sweep(struct rpc_conn *conn, uint64_t now_ms);
/* The owner's: the end; it is logged. */
void rpc_conn_close(struct rpc_conn *conn, enum rpc_end end);
/* The owner's: look again in a moment, there may be memory then. */
void rpc_conn_starve(struct rpc_conn *conn);
/* Any thread: call left conn's count. */
void rpc_conn_call_ended(struct rpc_conn *conn);

/* ---- rpc/send.c ---- */

/* Any thread: queue buffers (taken) and send what goes. */
void rpc_conn_send(struct rpc_conn *conn, struct rpc_buffer *head,
		   struct rpc_buffer *tail);
/* Too much waits to be read by the peer. */
bool rpc_conn_choked(struct rpc_conn *conn);
/* A reply's buffer is not needed any more.  Takes NULL, clears the pointer. */
void rpc_conn_buffer_put(struct rpc_conn *conn, struct rpc_buffer **buffer);
/* Any thread: call (taken) runs when the peer has read, or there is room for
 * call->tail_want bytes. */
void rpc_conn_hold_back(struct rpc_call *call);
/* The owner's: let those go on that can. */
void rpc_conn_release(struct rpc_conn *conn);
/* The owner's: the socket takes bytes again. */
void rpc_conn_flush(struct rpc_conn *conn);
/* It is dead and nobody sends any more: close the socket, drop the queue. */
void rpc_conn_finish_locked(struct rpc_conn *conn);
/* What epoll is to watch it for. */
void rpc_conn_watch_locked(struct rpc_conn *conn, uint32_t on, uint32_t off);

/* ---- rpc/event.c ---- */

/* The replies of one look at one connection, on their way to one writev. */
struct rpc_batch {
	struct iovec iov[RPC_IOV];
	struct rpc_buffer *owner[RPC_IOV];	/* NULL: in out[] */
	unsigned count;
	uint32_t used;		/* of out */
	uint64_t bulk;		/* size of the buffers in owner */
	unsigned char *out;	/* RPC_SCRATCH_BYTES */
};

struct rpc_thread {
	struct rpc_server *server;
	pthread_t id;
	bool started;
	int epoll, wake_fd;
	unsigned char *in;	/* RPC_SCRATCH_BYTES */
	struct rpc_batch batch;
	struct rpc_call *spare;	/* for the next call */
	void *digest;		/* EVP_MD_CTX */
	TAILQ_HEAD(, rpc_conn) starved;	/* wait for memory */
	uint64_t swept_ms;
	uint64_t accept_again_ms;	/* 0: accepting */
	uint64_t calls, replies;	/* atomic; only this thread adds */

	pthread_mutex_t lock;
	/* Guarded by it: */
	LIST_HEAD(, rpc_conn) conns;
	unsigned conn_count;
	STAILQ_HEAD(, rpc_conn) kicked;
};

/* Room for at least want (at most RPC_SCRATCH_BYTES) of a reply to conn. */
unsigned char *rpc_batch_room(struct rpc_conn *conn, uint32_t want,
			      uint32_t *room);
/* len bytes were written there, and tail (taken, or NULL) follows. */
void rpc_batch_add(struct rpc_conn *conn, uint32_t len,
		   struct rpc_buffer *tail);

/* Send all of it, or queue the rest. */
void rpc_batch_flush(struct rpc_conn *conn);

int rpc_thread_init(struct rpc_thread *thread, struct rpc_server *server);
void *rpc_thread_main(void *thread);
void rpc_thread_fini(struct rpc_thread *thread);
void rpc_thread_wake(struct rpc_thread *thread);
/* Any thread: have the owner look at conn again. */
void rpc_thread_kick(struct rpc_conn *conn);

/* ---- rpc/listen.c ---- */

struct rpc_listener {
	struct rpc_server *server;
	int fd;
	bool udp;
	bool any_program;
	uint32_t only[8];	/* ended by 0 */
	LIST_ENTRY(rpc_listener) link;
};

/* The owner of the listener (thread 0): connections wait. */
void rpc_accept(struct rpc_thread *thread, struct rpc_listener *listener);
/* Watch all listeners, or none. */
void rpc_listeners_watch(struct rpc_thread *thread, bool on);
/* A buffer of a record or a call is the host's (+1), or not any more (-1). */
void rpc_host_charge(struct rpc_host *host, uint32_t bytes, int sign);
/* May a datagram of that sender be a call more? */
bool rpc_host_may_send(struct rpc_server *server,
		       const struct sockaddr_storage *peer);
/* It is one on its way; NULL: no memory, it is counted for nobody. */
struct rpc_host *rpc_host_sends(struct rpc_server *server,
				const struct sockaddr_storage *peer);
void rpc_host_sent(struct rpc_server *server, struct rpc_host **host);
void rpc_host_put(struct rpc_server *server, struct rpc_host *host);
void rpc_address(const struct sockaddr_storage *from, struct in6_addr *to);
/* For log lines. */
#define RPC_PEER_TEXT 64
const char *rpc_peer_text(const struct sockaddr_storage *peer,
			  char text[RPC_PEER_TEXT]);

/* ---- rpc/evict.c ---- */

/* Have a silent connection closed soon.  false: there is none. */
bool rpc_evict_idle(struct rpc_server *server);
/* Memory is tight: have who holds the most and does not read closed. */
void rpc_evict_hog(struct rpc_server *server, uint64_t now_ms);

/* ---- rpc/udp.c ---- */

void rpc_udp_readable(struct rpc_thread *thread,
		      struct rpc_listener *listener);
void rpc_udp_send(struct rpc_call *call, const void *data, size_t len);

/* ---- rpc/dispatch.c ---- */

/*
 * One record came over conn, or over udp; payload->buffer is taken.  Replies
 * ready now go into thread->batch (TCP) or out (UDP).  -EPROTO: close conn.
 */
int rpc_dispatch(struct rpc_thread *thread, struct rpc_conn *conn,
		 struct rpc_listener *udp,
		 const struct sockaddr_storage *peer,
		 const struct sockaddr_storage *local,
		 struct rpc_payload *payload)
	__attribute__((warn_unused_result));
/* A worker's: run it with may_block, and whatever follows. */
void rpc_dispatch_blocking(struct rpc_call *call, bool far);

/* ---- rpc/call.c ---- */

struct rpc_call *rpc_call_new(struct rpc_server *server);
void rpc_call_free(struct rpc_call **call);
/* For the next call of the same thread. */
void rpc_call_reset(struct rpc_call *call);
/* Its reply's tail, padded, for sending; or NULL. */
struct rpc_buffer *rpc_call_take_tail(struct rpc_call *call);
void rpc_call_drop_tail(struct rpc_call *call);
void rpc_call_free_args(struct rpc_call *call);
/* It leaves its thread: its connection and the server count it. */
void rpc_call_count(struct rpc_call *call);
/* Is the same call, of the same peer over the same connection, being worked on
 * for that?  Of those that are not in the reply cache. */
bool rpc_call_comes_again(struct rpc_call *call, const unsigned char *args,
			  uint32_t len);
/* Have it found by that when it is counted.  The arguments are its own. */
void rpc_call_may_come_again(struct rpc_call *call, const unsigned char *args,
			     uint32_t len);
/* Forget it, unanswered if it was not answered. */
void rpc_call_drop(struct rpc_call *call);

/* ---- rpc/cache.c ---- */

struct rpc_cache;
struct rpc_cache *rpc_cache_new(size_t bytes, struct rpc_server *server);
void rpc_cache_free(struct rpc_cache **cache);

enum rpc_cache_answer {
	RPC_CACHE_NEW,		/* carry it out; call->entry is set */
	RPC_CACHE_BUSY,		/* it is being carried out */
	RPC_CACHE_FAILED,	/* no memory */
	RPC_CACHE_REPLY		/* *reply is the old one */
};
/* call->rq.digest is the key.  reply is taken from the pool. */
enum rpc_cache_answer rpc_cache_begin(struct rpc_cache *cache,
				      struct rpc_call *call,
				      struct rpc_buffer **reply);
/* Over: reply is kept, or NULL: as if it had never been.  After this
 * call->conn does not change any more. */
void rpc_cache_end(struct rpc_cache *cache, struct rpc_call *call,
		   const unsigned char *reply, uint32_t len);
/* The key; args is all that follows the verifier. */
int rpc_cache_digest(void *ctx, struct rpc_request *rq,
		     const unsigned char *args, uint32_t len);

/* ---- rpc/workers.c ---- */

struct rpc_workers;
struct rpc_workers_config {
	struct rpc_server *server;
	unsigned count;		/* threads in all, */
	unsigned at_first;	/* of which so many at the start; the others
				 * when they are needed */
	unsigned per_key, per_host;	/* per_host: of those of a key */
	bool far;
};
int rpc_workers_new(const struct rpc_workers_config *config,
		    struct rpc_workers **out);
/* Takes the call. */
void rpc_workers_queue(struct rpc_workers *workers, struct rpc_call *call);
/* Finish what is queued, end the threads. */
void rpc_workers_stop(struct rpc_workers *workers);
void rpc_workers_free(struct rpc_workers **workers);
unsigned rpc_workers_busy(struct rpc_workers *workers);
/* Hand over to `to` what has waited here since before that time: it is late. */
void rpc_workers_expire(struct rpc_workers *workers, uint64_t before_ms,
			struct rpc_workers *to);

/* ---- rpc/server.c ---- */

struct rpc_server {
	struct rpc_server_config config;
	struct rpc_program *programs;	/* our copy of the table */
	struct rpc_limits limits;
	struct rpc_pool pool;
	struct rpc_cache *cache;
	struct rpc_workers *workers;	/* for what waits for this machine, */
	struct rpc_workers *far;	/* and for others */
	struct rpc_thread *threads;
	unsigned thread_count;
	size_t args_size, res_size;	/* the largest */
	struct run_clock *clock, own_clock;
	LIST_HEAD(, rpc_listener) listeners;	/* fixed once started */
	bool started;
	bool stopping, exiting;	/* atomic */
	int spare_fd;		/* thread 0's */
	uint64_t in_flight;	/* calls that left their thread; atomic */
	uint64_t conn_count;	/* not yet freed; atomic */
	struct log_limit accept_log, cap_log, end_log[RPC_ENDS];

	pthread_mutex_t calls_lock;
	LIST_HEAD(, rpc_call) calls;	/* all that are counted */
	struct rpc_call *twins;		/* of those, the ones that are not
					 * in the reply cache */

	pthread_mutex_t parked_lock;
	LIST_HEAD(, rpc_call) parked;
	unsigned parked_count;

	pthread_mutex_t hosts_lock;
	struct rpc_host *hosts;
	unsigned open_count;	/* connections accepted and not closed */
	unsigned datagrams;	/* calls on their way */

	/* atomic */
	uint64_t worker_calls, worker_replies;
	uint64_t replayed, dropped, garbage, denied;
};

uint64_t rpc_now_ms(void);	/* CLOCK_MONOTONIC */

static inline uint64_t
rpc_run_ms(struct rpc_server *server)
{
	return run_clock_ms(server->clock);
}

#define RPC_COUNT(field) __atomic_fetch_add(&(field), 1, __ATOMIC_RELAXED)
#define RPC_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define RPC_STORE(field, v) __atomic_store_n(&(field), (v), __ATOMIC_RELAXED)

#endif
