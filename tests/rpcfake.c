/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test program's procedures.  They keep nothing but counters, a gate that
 * blocks workers, and the list of held calls.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/rpcfake.h"

#define WAIT_S 30

bool_t
xdr_fake_args(XDR *xdrs, struct fake_args *args)
{
	return xdr_uint32_t(xdrs, &args->how) &&
	       xdr_uint32_t(xdrs, &args->key) &&
	       xdr_uint32_t(xdrs, &args->len) &&
	       xdr_nfsdata3(xdrs, &args->data);
}

bool_t
xdr_fake_res(XDR *xdrs, struct fake_res *res)
{
	return xdr_uint32_t(xdrs, &res->executed) &&
	       xdr_uint32_t(xdrs, &res->sum) &&
	       xdr_uint32_t(xdrs, &res->uid) &&
	       xdr_nfsdata3(xdrs, &res->data);
}

/* For held calls: they have been so. */
static bool
was_held(struct rpc_request *rq)
{
	bool was = rq->scratch[0] != 0;

	rq->scratch[0] = 1;
	return was;
}

static void
block(struct fake *fake)
{
	pthread_mutex_lock(&fake->lock);
	fake->blocked++;
	pthread_cond_broadcast(&fake->changed);
	while (!fake->open)
		pthread_cond_wait(&fake->changed, &fake->lock);
	fake->blocked--;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

static void
hold(struct fake *fake, struct rpc_request *rq)
{
	pthread_mutex_lock(&fake->lock);
	fake->held[fake->held_count++] = rq;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

static enum rpc_outcome
answer(struct fake *fake, struct rpc_request *rq, struct fake_args *args,
       struct fake_res *res)
{
	res->executed = __atomic_add_fetch(&fake->executed, 1,
					   __ATOMIC_RELAXED);
	res->uid = rq->late ? FAKE_LATE : rq->cred.uid;
	for (uint32_t i = 0; i < args->data.nfsdata3_len &&
	     args->how < FAKE_UNREAD; i++)
		res->sum += (unsigned char)args->data.nfsdata3_val[i];
	if (rq->procedure != FAKE_READ)
		return RPC_DONE;
	if (rpc_tail_alloc(rq, args->len) == NULL)
		return RPC_NO_ROOM;
	memset(rq->tail, (int)(args->key & 0xff), args->len);
	rq->tail_len = args->len;
	res->data.nfsdata3_len = args->len;
	return RPC_DONE;
}

static enum rpc_outcome
fake_run(struct rpc_request *rq, void *vargs, void *vres)
{
	struct fake *fake = rq->program_arg;
	struct fake_args *args = vargs;

	switch (args->how) {
	case FAKE_UNREAD_THREAD:
	case FAKE_THREAD:
		if (!rq->may_block)
			return RPC_NEEDS_THREAD;
		break;
	case FAKE_BLOCK:
		if (!rq->may_block)
			return RPC_NEEDS_THREAD;
		block(fake);
		break;
	case FAKE_FAR:
	case FAKE_FAR_BLOCK:
		/* As a procedure that looks first at what lies here. */
		if (!rq->may_block)
			return RPC_NEEDS_THREAD;
		if (!rq->far && !rq->late)
			return RPC_NEEDS_FAR;
		if (rq->far && args->how == FAKE_FAR_BLOCK)
			block(fake);
		break;
	case FAKE_HOLD:
		if (was_held(rq))
			break;
		hold(fake, rq);
		return RPC_HELD;
	case FAKE_HOLD_EARLY:
		if (was_held(rq))
			break;
		rpc_wake(fake->server, rq);
		return RPC_HELD;
	case FAKE_DROP:
		return RPC_DROP;
	case FAKE_REJECT:
		return RPC_AUTH_REJECTED;
	case FAKE_GARBAGE:
		return RPC_GARBAGE;
	case FAKE_FAIL:
		return RPC_SYSTEM_ERR;
	case FAKE_UNCACHED:
		(void)answer(fake, rq, args, vres);
		return RPC_DONE_UNCACHED;
	default:
		break;
	}
	return answer(fake, rq, args, vres);
}

static enum rpc_outcome
null_run(struct rpc_request *rq, void *args, void *res)
{
	(void)rq;
	(void)args;
	(void)res;
	return RPC_DONE;
}

#define FAKE_PROCEDURE(name, cached)                                          \
	{ name, (xdrproc_t)xdr_fake_args, sizeof(struct fake_args),           \
	  (xdrproc_t)xdr_fake_res, sizeof(struct fake_res), cached, fake_run }

static const struct rpc_procedure procedures[FAKE_COUNT] = {
	[FAKE_NULL] = { "NULL", (xdrproc_t)rpcc_void, 0, (xdrproc_t)rpcc_void,
			0, false, null_run },
	[FAKE_PLAIN] = FAKE_PROCEDURE("PLAIN", false),
	[FAKE_CACHED] = FAKE_PROCEDURE("CACHED", true),
	[FAKE_READ] = FAKE_PROCEDURE("READ", false),
};

static const struct rpc_version versions[] = {
	{ FAKE_V3, procedures, FAKE_COUNT },
};

static uint64_t
share_key(const struct rpc_request *rq, const void *args)
{
	(void)rq;
	return ((const struct fake_args *)args)->key;
}

static void
connected(void *arg, const struct rpc_cred *cred,
	  const struct sockaddr_storage *peer, int delta)
{
	struct fake *fake = arg;

	(void)cred;
	(void)peer;
	__atomic_fetch_add(&fake->connected, delta, __ATOMIC_RELAXED);
}

int
fake_start(struct fake *fake, const struct rpc_limits *limits)
{
	return fake_start_by(fake, limits, NULL);
}

int
fake_start_by(struct fake *fake, const struct rpc_limits *limits,
	      struct run_clock *clock)
{
	struct rpc_server_config config = { .clock = clock };
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int r;

	memset(fake, 0, sizeof(*fake));
	pthread_mutex_init(&fake->lock, NULL);
	pthread_cond_init(&fake->changed, NULL);
	fake->programs[0] = (struct rpc_program){
		FAKE_PROGRAM, versions, 1, true, fake,
	};
	fake->programs[1] = (struct rpc_program){	/* TCP only */
		FAKE_PROGRAM + 1, versions, 1, false, fake,
	};
	config.programs = fake->programs;
	config.program_count = 2;
	config.share_key = share_key;
	config.connected = connected;
	config.arg = fake;
	if (limits != NULL)
		config.limits = *limits;
	r = rpc_server_new(&config, &fake->server);
	if (r == 0)
		r = rpc_listen(fake->server, (struct sockaddr *)&address,
			       sizeof(address), false, NULL, &fake->port);
	if (r == 0)
		r = rpc_listen(fake->server, (struct sockaddr *)&address,
			       sizeof(address), true, NULL, &fake->udp_port);
	return r == 0 ? rpc_server_start(fake->server) : r;
}

void
fake_stop(struct fake *fake)
{
	fake_open_gate(fake, true);
	if (fake->server != NULL)
		rpc_server_stop(fake->server, 1000);
	rpc_server_free(&fake->server);
	pthread_cond_destroy(&fake->changed);
	pthread_mutex_destroy(&fake->lock);
}

void
fake_open_gate(struct fake *fake, bool open)
{
	pthread_mutex_lock(&fake->lock);
	fake->open = open;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

unsigned
fake_wake_all(struct fake *fake)
{
	unsigned count;

	pthread_mutex_lock(&fake->lock);
	count = fake->held_count;
	for (unsigned i = 0; i < count; i++)
		rpc_wake(fake->server, fake->held[i]);
	fake->held_count = 0;
	pthread_mutex_unlock(&fake->lock);
	return count;
}

static bool
wait_for(struct fake *fake, const unsigned *value, unsigned count)
{
	struct timespec deadline;
	bool reached;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += WAIT_S;
	pthread_mutex_lock(&fake->lock);
	while (*value < count &&
	       pthread_cond_timedwait(&fake->changed, &fake->lock,
				      &deadline) == 0)
		;
	reached = *value >= count;
	pthread_mutex_unlock(&fake->lock);
	return reached;
}

bool
fake_wait_held(struct fake *fake, unsigned count)
{
	return wait_for(fake, &fake->held_count, count);
}

bool
fake_wait_blocked(struct fake *fake, unsigned count)
{
	return wait_for(fake, &fake->blocked, count);
}

bool
fake_wait_stat(struct fake *fake,
	       bool (*is)(const struct rpc_stats *stats, uint64_t value),
	       uint64_t value)
{
	for (int i = 0; i < WAIT_S * 1000; i++) {
		struct rpc_stats stats;

		rpc_server_stats(fake->server, &stats);
		if (is(&stats, value))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

/* The server tells of a connection's end a moment after it has counted it. */
bool
fake_wait_connected(struct fake *fake, int count)
{
	for (int i = 0; i < WAIT_S * 1000; i++) {
		if (__atomic_load_n(&fake->connected, __ATOMIC_RELAXED) ==
		    count)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

int
fake_connect(struct fake *fake, struct rpcc *c)
{
	return rpcc_open(c, NULL, "127.0.0.1", fake->port, false);
}

int
fake_send(struct rpcc *c, uint32_t xid, uint32_t procedure, uint32_t how,
	  uint32_t key, const void *data, uint32_t len)
{
	struct fake_args args = { how, key, len, { 0 } };

	if (procedure != FAKE_READ && data != NULL) {
		args.data.nfsdata3_len = len;
		args.data.nfsdata3_val = (char *)(uintptr_t)data;
	}
	return rpcc_send(c, xid, FAKE_PROGRAM, FAKE_V3, procedure,
			 (xdrproc_t)xdr_fake_args, &args);
}

int
fake_result(struct rpcc *c, uint32_t xid, struct fake_res *res)
{
	struct fake_res ignored;

	if (res == NULL)
		res = &ignored;
	memset(res, 0, sizeof(*res));
	return rpcc_result(c, xid, c->timeout_ms, (xdrproc_t)xdr_fake_res,
			   res);
}

int
fake_call(struct rpcc *c, uint32_t procedure, uint32_t how, uint32_t key,
	  const void *data, uint32_t len, struct fake_res *res)
{
	uint32_t xid = rpcc_xid(c);
	int r = fake_send(c, xid, procedure, how, key, data, len);

	return r < 0 ? r : fake_result(c, xid, res);
}
