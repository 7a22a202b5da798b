/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a record to a reply: find the procedure, decode, run, encode.
 *
 * A call starts on the event thread that read it, in the thread's spare
 * struct rpc_call, with arguments that may point into the thread's scratch
 * buffer.  If it ends there, nothing was allocated.  If it must wait, it leaves
 * the thread (hand_off): it gets a copy of its record, unless the record has a
 * buffer of its own, and is decoded again from there.  From then on it is
 * counted: for its connection, which reads no more beyond a limit, and for the
 * server.  One that comes again while the first waits is dropped: its client
 * has lost patience, and gets the first one's reply.  (What changes something
 * is known by the reply cache, whatever connection it comes over.)
 *
 *	RUNNING --NEEDS_THREAD--> QUEUED --worker--> RUNNING --> replied
 *	   |  |   --NEEDS_FAR---> QUEUED --far worker--> RUNNING
 *	   |  \---HELD--> PARKED --rpc_wake--> QUEUED
 *	   +--rpc_wake--> WOKEN --HELD--> QUEUED
 *
 * Errors of the caller are answered here (RFC 5531 9), and counted.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/rpc/inside.h"

/* Where the results begin: behind a record marker and a reply header. */
#define MARKER 4
#define SUCCESS_HEADER 24
#define BATCH_ROOM 2048		/* most replies fit */
#define UDP_REPLY_MAX 65000

/* ---- arguments and results ---- */

static bool
decode(struct rpc_call *call, unsigned char *args, uint32_t len)
{
	XDR xdrs;

	memset(call->args, 0, call->procedure->args_size);
	xdrmem_create(&xdrs, (char *)args, len, XDR_DECODE);
	call->decoded = true;
	/* What follows the arguments is ignored, as others do. */
	if (call->procedure->xdr_args(&xdrs, call->args))
		return true;
	rpc_call_free_args(call);
	return false;
}

/* The reply without its marker; its length, or 0: room is too small. */
static uint32_t
encode(struct rpc_call *call, unsigned char *out, uint32_t room)
{
	XDR xdrs;

	if (room < SUCCESS_HEADER)
		return 0;
	rpc_message_reply(out, call->rq.xid, RPC_REPLY_SUCCESS, 0, 0);
	xdrmem_create(&xdrs, (char *)out + SUCCESS_HEADER,
		      room - SUCCESS_HEADER, XDR_ENCODE);
	if (!call->procedure->xdr_res(&xdrs, call->res))
		return 0;
	return SUCCESS_HEADER + xdr_getpos(&xdrs);
}

/* The same into a buffer as large as it takes, with a marker. */
static struct rpc_buffer *
encode_apart(struct rpc_call *call)
{
	static const uint32_t sizes[] = { 2048, 65536, RPC_RECORD_MAX };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct rpc_buffer *buffer =
			rpc_buffer_get(&call->server->pool, sizes[i]);
		uint32_t len;

		if (buffer == NULL)
			return NULL;
		len = encode(call, buffer->data + MARKER,
			     buffer->size - MARKER);
		if (len > 0) {
			buffer->end = MARKER + len;
			return buffer;
		}
		rpc_buffer_put(&buffer);
	}
	return NULL;
}

static struct rpc_buffer *
error_apart(struct rpc_call *call, enum rpc_reply_kind kind)
{
	struct rpc_buffer *buffer = rpc_buffer_get(&call->server->pool, 64);

	if (buffer != NULL)
		buffer->end = MARKER + rpc_message_reply(
			buffer->data + MARKER, call->rq.xid, kind, 0, 0);
	return buffer;
}

static void
set_marker(unsigned char *at, uint32_t len)
{
	rpc_put32(at, len | 0x80000000U);
}

/* ---- errors, answered at once by the event thread ---- */

static void
count_error(struct rpc_server *server, enum rpc_reply_kind kind)
{
	if (kind == RPC_REPLY_GARBAGE)
		RPC_COUNT(server->garbage);
	else if (kind >= RPC_REPLY_BADCRED)
		RPC_COUNT(server->denied);
}

static void
answer(struct rpc_thread *thread, struct rpc_call *call,
       enum rpc_reply_kind kind, uint32_t low, uint32_t high)
{
	unsigned char *out, datagram[RPC_REPLY_HEADER_MAX];
	uint32_t len, room;

	count_error(call->server, kind);
	RPC_STORE(thread->replies, thread->replies + 1);
	if (call->udp != NULL) {
		len = rpc_message_reply(datagram, call->rq.xid, kind, low,
					high);
		rpc_udp_send(call, datagram, len);
		return;
	}
	out = rpc_batch_room(call->conn, MARKER + RPC_REPLY_HEADER_MAX, &room);
	len = rpc_message_reply(out + MARKER, call->rq.xid, kind, low, high);
	set_marker(out, len);
	rpc_batch_add(call->conn, MARKER + len, NULL);
}

/* ---- finding the procedure ---- */

static bool
listens_for(const struct rpc_listener *listener, uint32_t program)
{
	if (listener->any_program)
		return true;
	for (unsigned i = 0; listener->only[i] != 0; i++)
		if (listener->only[i] == program)
			return true;
	return false;
}

static const struct rpc_program *
find_program(struct rpc_call *call)
{
	const struct rpc_server_config *config = &call->server->config;
	const struct rpc_listener *listener =
		call->udp != NULL ? call->udp : call->conn->listener;

	for (unsigned i = 0; i < config->program_count; i++) {
		const struct rpc_program *program = &config->programs[i];

		if (program->program == call->rq.program &&
		    (call->udp == NULL || program->udp) &&
		    listens_for(listener, program->program))
			return program;
	}
	return NULL;
}

/* Sets call->procedure; or answers, and returns false. */
static bool
find_procedure(struct rpc_thread *thread, struct rpc_call *call)
{
	const struct rpc_program *program = find_program(call);
	const struct rpc_version *version = NULL;

	if (program == NULL) {
		answer(thread, call, RPC_REPLY_PROG_UNAVAIL, 0, 0);
		return false;
	}
	call->rq.program_arg = program->arg;
	for (unsigned i = 0; i < program->version_count; i++)
		if (program->versions[i].version == call->rq.version)
			version = &program->versions[i];
	if (version == NULL) {
		const struct rpc_version *all = program->versions;

		answer(thread, call, RPC_REPLY_PROG_MISMATCH, all[0].version,
		       all[program->version_count - 1].version);
		return false;
	}
	if (call->rq.procedure >= version->count ||
	    version->procedures[call->rq.procedure].name == NULL) {
		answer(thread, call, RPC_REPLY_PROC_UNAVAIL, 0, 0);
		return false;
	}
	call->procedure = &version->procedures[call->rq.procedure];
	return true;
}

/* ---- running ---- */

static enum rpc_outcome
run(struct rpc_call *call, bool may_block, bool far)
{
	enum rpc_outcome outcome;

	call->rq.may_block = may_block;
	call->rq.far = far;
	memset(call->res, 0, call->procedure->res_size);
	outcome = call->procedure->run(&call->rq, call->args, call->res);
	/* Only a stream can make a call wait for room; the caller of a
	 * datagram asks again. */
	if (outcome == RPC_NO_ROOM && call->tail_want == 0)
		return RPC_SYSTEM_ERR;
	if (outcome == RPC_NO_ROOM && call->conn == NULL)
		return RPC_DROP;
	return outcome;
}

static void
free_res(struct rpc_call *call)
{
	xdr_free(call->procedure->xdr_res, call->res);
}

/* What is sent for an outcome other than DONE. */
static enum rpc_reply_kind
error_kind(enum rpc_outcome outcome)
{
	if (outcome == RPC_AUTH_REJECTED)
		return RPC_REPLY_TOOWEAK;
	if (outcome == RPC_GARBAGE)
		return RPC_REPLY_GARBAGE;
	return RPC_REPLY_SYSTEM_ERR;
}

/* Park a call that answered RPC_HELD, or queue it if it was woken since. */
static void
park(struct rpc_call *call)
{
	struct rpc_server *server = call->server;
	enum rpc_call_state expected = RPC_CALL_RUNNING;

	pthread_mutex_lock(&server->parked_lock);
	LIST_INSERT_HEAD(&server->parked, call, parked);
	server->parked_count++;
	if (__atomic_compare_exchange_n(&call->state, &expected,
					RPC_CALL_PARKED, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		pthread_mutex_unlock(&server->parked_lock);
		return;
	}
	LIST_REMOVE(call, parked);
	server->parked_count--;
	pthread_mutex_unlock(&server->parked_lock);
	__atomic_store_n(&call->state, RPC_CALL_QUEUED, __ATOMIC_RELEASE);
	rpc_workers_queue(server->workers, call);
}

void
rpc_wake(struct rpc_server *server, struct rpc_request *rq)
{
	struct rpc_call *call = (struct rpc_call *)rq;
	enum rpc_call_state expected = RPC_CALL_RUNNING;

	if (__atomic_compare_exchange_n(&call->state, &expected,
					RPC_CALL_WOKEN, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	if (expected != RPC_CALL_PARKED) {
		log_err("rpc", "call woken twice xid=%08x", rq->xid);
		return;
	}
	pthread_mutex_lock(&server->parked_lock);
	LIST_REMOVE(call, parked);
	server->parked_count--;
	pthread_mutex_unlock(&server->parked_lock);
	__atomic_store_n(&call->state, RPC_CALL_QUEUED, __ATOMIC_RELEASE);
	rpc_workers_queue(server->workers, call);
}

/* No reply will come.  Who waits on a connection sends the call again as soon
 * as that is closed. */
static void
end_for_memory(struct rpc_call *call)
{
	if (call->conn == NULL)
		return;
	RPC_STORE(call->conn->evict, RPC_END_MEMORY);
	rpc_thread_kick(call->conn);
}

/* ---- leaving the event thread ---- */

/* It has its record to itself.  `args` is where they lie in the old one. */
static int
own_record(struct rpc_call *call, struct rpc_payload *payload,
	   const unsigned char *args)
{
	uint32_t len = payload->len - (uint32_t)(args - payload->data);

	if (payload->buffer != NULL) {
		call->record = payload->buffer;
		payload->buffer = NULL;
		return 0;
	}
	call->record = rpc_buffer_get(&call->server->pool, len);
	if (call->record == NULL)
		return -ENOMEM;
	memcpy(call->record->data, args, len);
	rpc_call_free_args(call);
	return decode(call, call->record->data, len) ? 0 : -ENOMEM;
}

static void
hand_off(struct rpc_thread *thread, struct rpc_call *call,
	 struct rpc_payload *payload, const unsigned char *args,
	 enum rpc_outcome outcome)
{
	struct rpc_server *server = call->server;
	uint32_t len = payload->len - (uint32_t)(args - payload->data);
	bool copies = payload->buffer == NULL;

	/* One that is the gate's already has to stay. */
	if (outcome != RPC_HELD && rpc_call_comes_again(call, args, len)) {
		RPC_COUNT(server->dropped);
		rpc_call_free_args(call);
		return;
	}
	thread->spare = NULL;
	if (own_record(call, payload, args) < 0) {
		/* A held call is the gate's until it is woken: it waits for
		 * that without its arguments, and is dropped then. */
		rpc_call_free_args(call);
		end_for_memory(call);
	} else {
		rpc_call_may_come_again(call, copies ? call->record->data
						     : args, len);
	}
	if (server->config.share_key != NULL && call->decoded)
		call->share_key = server->config.share_key(&call->rq,
							   call->args);
	rpc_call_count(call);
	if (outcome == RPC_HELD) {
		park(call);
		return;
	}
	call->state = RPC_CALL_QUEUED;
	if (outcome == RPC_NO_ROOM)
		rpc_conn_hold_back(call);
	else
		rpc_workers_queue(outcome == RPC_NEEDS_FAR ? server->far
							   : server->workers,
				  call);
}

/* ---- ends ---- */

static void
drop_buffer(struct rpc_call *call, struct rpc_buffer **buffer)
{
	if (call->conn != NULL)
		rpc_conn_buffer_put(call->conn, buffer);
	else
		rpc_buffer_put(buffer);
}

/* On the event thread, for its own connection. */
static void
reply_inline(struct rpc_thread *thread, struct rpc_call *call, bool keep)
{
	struct rpc_buffer *tail = rpc_call_take_tail(call), *apart = NULL;
	uint32_t tail_bytes = tail == NULL ? 0 : tail->end;
	unsigned char *out;
	uint32_t room, len;

	out = rpc_batch_room(call->conn, BATCH_ROOM, &room);
	len = encode(call, out + MARKER, room - MARKER);
	if (len == 0 && room < RPC_SCRATCH_BYTES) {
		out = rpc_batch_room(call->conn, RPC_SCRATCH_BYTES, &room);
		len = encode(call, out + MARKER, room - MARKER);
	}
	if (len == 0 && (apart = encode_apart(call)) != NULL) {
		out = apart->data;
		len = apart->end - MARKER;
	}
	free_res(call);
	if (len == 0) {
		drop_buffer(call, &tail);
		rpc_cache_end(call->server->cache, call, NULL, 0);
		answer(thread, call, RPC_REPLY_SYSTEM_ERR, 0, 0);
		return;
	}
	set_marker(out, len + tail_bytes);
	rpc_cache_end(call->server->cache, call, keep ? out + MARKER : NULL,
		      len);
	RPC_STORE(thread->replies, thread->replies + 1);
	if (apart == NULL) {
		rpc_batch_add(call->conn, MARKER + len, tail);
		return;
	}
	/* An empty piece of the batch, and the buffer as its tail. */
	rpc_batch_add(call->conn, 0, apart);
	if (tail != NULL) {
		(void)rpc_batch_room(call->conn, 0, &room);
		rpc_batch_add(call->conn, 0, tail);
	}
}

static void
send_datagram(struct rpc_call *call, struct rpc_buffer *reply,
	      struct rpc_buffer *tail)
{
	if (tail == NULL && reply->end <= UDP_REPLY_MAX)
		rpc_udp_send(call, reply->data + MARKER, reply->end - MARKER);
	rpc_buffer_put(&reply);
	rpc_buffer_put(&tail);
}

/* Anywhere else: in buffers of its own, past the cache, then to the socket. */
static void
reply_apart(struct rpc_call *call, enum rpc_outcome outcome)
{
	bool done = outcome == RPC_DONE || outcome == RPC_DONE_UNCACHED;
	struct rpc_buffer *reply = NULL, *tail = NULL;
	bool keep = outcome == RPC_DONE;

	if (done) {
		tail = rpc_call_take_tail(call);
		reply = encode_apart(call);
		free_res(call);
		if (reply == NULL)
			drop_buffer(call, &tail);
	}
	if (reply == NULL) {
		enum rpc_reply_kind kind = done ? RPC_REPLY_SYSTEM_ERR :
					   error_kind(outcome);

		count_error(call->server, kind);
		keep = false;
		reply = error_apart(call, kind);
	}
	rpc_cache_end(call->server->cache, call, keep && reply != NULL ?
		      reply->data + MARKER : NULL,
		      reply == NULL ? 0 : reply->end - MARKER);
	if (reply == NULL) {
		end_for_memory(call);
		return;
	}
	set_marker(reply->data, reply->end - MARKER +
		   (tail == NULL ? 0 : tail->end));
	if (call->udp != NULL)
		send_datagram(call, reply, tail);
	else
		rpc_conn_send(call->conn, reply, tail);
}

/* ---- a call, first on the event thread ---- */

/* Carried out before, or being so?  -ENOMEM: nobody knows. */
static int
is_duplicate(struct rpc_thread *thread, struct rpc_call *call,
	     const unsigned char *args, uint32_t len)
{
	struct rpc_server *server = call->server;
	struct rpc_buffer *reply = NULL;
	uint32_t room;
	unsigned char *out;

	if (!call->procedure->cached)
		return 0;
	if (rpc_cache_digest(thread->digest, &call->rq, args, len) < 0)
		return -ENOMEM;
	switch (rpc_cache_begin(server->cache, call, &reply)) {
	case RPC_CACHE_NEW:
		return 0;
	case RPC_CACHE_FAILED:
		return -ENOMEM;
	case RPC_CACHE_BUSY:
		RPC_COUNT(server->dropped);
		return 1;
	case RPC_CACHE_REPLY:
		break;
	}
	RPC_COUNT(server->replayed);
	if (call->udp != NULL) {
		rpc_udp_send(call, reply->data, reply->end);
	} else {
		out = rpc_batch_room(call->conn, MARKER + reply->end, &room);
		memcpy(out + MARKER, reply->data, reply->end);
		set_marker(out, reply->end);
		rpc_batch_add(call->conn, MARKER + reply->end, NULL);
	}
	rpc_buffer_put(&reply);
	return 1;
}

/* The first AUTH_SYS call says who connected. */
static void
identify(struct rpc_call *call)
{
	const struct rpc_server_config *config = &call->server->config;
	struct rpc_conn *conn = call->conn;

	if (conn == NULL || conn->identified || call->rq.cred.flavor != 1)
		return;
	pthread_mutex_lock(&conn->lock);
	conn->identity = call->rq.cred;
	conn->identified = true;
	pthread_mutex_unlock(&conn->lock);
	if (config->connected != NULL)
		config->connected(config->arg, &conn->identity, &conn->peer,
				  1);
}

/* Runs a call that was found good.  -ENOMEM: its connection is to be closed, so
 * that it is sent again at once; dropped it would be waited for. */
static int
attempt(struct rpc_thread *thread, struct rpc_call *call,
	struct rpc_payload *payload, uint32_t args_at)
{
	unsigned char *args = payload->data + args_at;
	uint32_t len = payload->len - args_at;
	enum rpc_outcome outcome;
	int r;

	r = is_duplicate(thread, call, args, len);
	if (r != 0)
		return r < 0 ? r : 0;
	if (!decode(call, args, len)) {
		rpc_cache_end(call->server->cache, call, NULL, 0);
		answer(thread, call, RPC_REPLY_GARBAGE, 0, 0);
		return 0;
	}
	outcome = run(call, false, false);
	if (outcome == RPC_NEEDS_THREAD || outcome == RPC_NEEDS_FAR ||
	    outcome == RPC_HELD || outcome == RPC_NO_ROOM) {
		rpc_call_drop_tail(call);
		hand_off(thread, call, payload, args, outcome);
		return 0;
	}
	if (outcome == RPC_DROP) {
		rpc_cache_end(call->server->cache, call, NULL, 0);
	} else if (call->conn != NULL &&
		   (outcome == RPC_DONE || outcome == RPC_DONE_UNCACHED)) {
		reply_inline(thread, call, outcome == RPC_DONE);
	} else if (call->conn != NULL) {
		rpc_cache_end(call->server->cache, call, NULL, 0);
		answer(thread, call, error_kind(outcome), 0, 0);
	} else {
		RPC_STORE(thread->replies, thread->replies + 1);
		reply_apart(call, outcome);
	}
	rpc_call_free_args(call);
	rpc_call_drop_tail(call);
	return 0;
}

/* What the header says; answers what is no good call. */
static int
judge(struct rpc_thread *thread, struct rpc_call *call,
      struct rpc_payload *payload)
{
	uint32_t args_at = 0;
	enum rpc_verdict verdict = rpc_message_decode(payload->data,
						      payload->len, &call->rq,
						      &args_at);

	RPC_STORE(thread->calls, thread->calls + 1);
	if (verdict == RPC_CALL_NONE) {
		RPC_COUNT(call->server->garbage);
		return -EPROTO;
	}
	if (verdict == RPC_CALL_MISMATCH)
		answer(thread, call, RPC_REPLY_RPC_MISMATCH, 2, 2);
	else if (verdict == RPC_CALL_BAD)
		answer(thread, call, RPC_REPLY_GARBAGE, 0, 0);
	else if (!find_procedure(thread, call))
		;	/* versions are refused whatever the credential */
	else if (verdict == RPC_CALL_BADCRED)
		answer(thread, call, RPC_REPLY_BADCRED, 0, 0);
	else if (verdict == RPC_CALL_REJECTED)
		answer(thread, call, RPC_REPLY_REJECTEDCRED, 0, 0);
	else {
		identify(call);
		return attempt(thread, call, payload, args_at);
	}
	return 0;
}

int
rpc_dispatch(struct rpc_thread *thread, struct rpc_conn *conn,
	     struct rpc_listener *udp, const struct sockaddr_storage *peer,
	     const struct sockaddr_storage *local, struct rpc_payload *payload)
{
	struct rpc_call *call = thread->spare;
	int r = -ENOMEM;

	if (call == NULL)
		call = thread->spare = rpc_call_new(thread->server);
	if (call != NULL) {
		rpc_call_reset(call);
		call->conn = conn;
		call->udp = udp;
		if (local != NULL)
			call->udp_local = *local;
		call->rq.peer = *peer;
		call->rq.udp = udp != NULL;
		call->rq.arrived_ms = rpc_now_ms();
		r = judge(thread, call, payload);
	}
	rpc_buffer_put(&payload->buffer);
	return r;
}

/* ---- a call on a worker ---- */

/* Nobody would get the reply, and nothing would change. */
static bool
pointless(struct rpc_call *call)
{
	bool dead;

	if (!call->decoded)
		return true;
	/* The connection of one that is cached may change meanwhile. */
	if (call->procedure->cached || call->conn == NULL)
		return false;
	pthread_mutex_lock(&call->conn->lock);
	dead = call->conn->dead;
	pthread_mutex_unlock(&call->conn->lock);
	return dead;
}

void
rpc_dispatch_blocking(struct rpc_call *call, bool far)
{
	struct rpc_server *server = call->server;
	enum rpc_outcome outcome;

	if (pointless(call)) {
		rpc_call_drop(call);
		return;
	}
	/* The peer does not read: a READ waits until it does. */
	if (!call->procedure->cached && call->conn != NULL &&
	    rpc_conn_choked(call->conn)) {
		call->tail_want = 0;
		rpc_conn_hold_back(call);
		return;
	}
	__atomic_store_n(&call->state, RPC_CALL_RUNNING, __ATOMIC_RELEASE);
	outcome = run(call, true, far);
	if (outcome == RPC_NEEDS_FAR) {
		rpc_call_drop_tail(call);
		__atomic_store_n(&call->state, RPC_CALL_QUEUED,
				 __ATOMIC_RELEASE);
		rpc_workers_queue(server->far, call);
		return;
	}
	if (outcome == RPC_HELD) {
		rpc_call_drop_tail(call);
		park(call);
		return;
	}
	if (outcome == RPC_NO_ROOM) {
		rpc_call_drop_tail(call);
		rpc_conn_hold_back(call);
		return;
	}
	if (outcome != RPC_DROP) {
		RPC_COUNT(server->worker_replies);
		reply_apart(call, outcome);
	}
	rpc_call_drop(call);
}
