/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RPCFAKE_H
#define TESTS_RPCFAKE_H

/*
 * A program to test the transport with, and a server that serves it.  Each
 * call says what its procedure is to do.
 */

#include <pthread.h>

#include "nfsd/rpc/rpc.h"
#include "rpcgen/nfs3.h"
#include "tests/rpcclient.h"

#define FAKE_PROGRAM 0x20000001
#define FAKE_V3 3
enum { FAKE_NULL, FAKE_PLAIN, FAKE_CACHED, FAKE_READ, FAKE_COUNT = 6 };

enum fake_how {
	FAKE_NOW,		/* answer at once */
	FAKE_THREAD,		/* on a worker */
	FAKE_BLOCK,		/* on a worker, until the gate opens */
	FAKE_HOLD,		/* held, until fake_wake_all() */
	FAKE_HOLD_EARLY,	/* held, and woken before it returns */
	FAKE_FAR,		/* on a far worker, */
	FAKE_FAR_BLOCK,		/* until the gate opens */
	FAKE_DROP, FAKE_REJECT, FAKE_GARBAGE, FAKE_FAIL, FAKE_UNCACHED,
	FAKE_UNREAD,		/* answer at once, do not look at the data */
	FAKE_UNREAD_THREAD
};
#define FAKE_LATE 0xffffffffU	/* uid of who waited in vain for a far one */

struct fake_args {
	uint32_t how;
	uint32_t key;		/* share key */
	uint32_t len;		/* FAKE_READ: bytes wanted */
	nfsdata3 data;
};
struct fake_res {
	uint32_t executed;	/* how often this server ran a procedure */
	uint32_t sum;		/* of the data's bytes */
	uint32_t uid;
	nfsdata3 data;		/* FAKE_READ */
};
bool_t xdr_fake_args(XDR *xdrs, struct fake_args *args);
bool_t xdr_fake_res(XDR *xdrs, struct fake_res *res);

struct fake {
	struct rpc_server *server;
	uint16_t port, udp_port;
	uint32_t executed;	/* atomic */
	int connected;		/* atomic: sum of deltas */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;		/* FAKE_BLOCK goes on */
	unsigned blocked;	/* calls in FAKE_BLOCK */
	struct rpc_request *held[4096];
	unsigned held_count;
	struct rpc_program programs[2];
};

/* On 127.0.0.1; limits may be NULL. */
int fake_start(struct fake *fake, const struct rpc_limits *limits);
int fake_start_by(struct fake *fake, const struct rpc_limits *limits,
		  struct run_clock *clock);
void fake_stop(struct fake *fake);
void fake_open_gate(struct fake *fake, bool open);
/* Wakes what is held; how many. */
unsigned fake_wake_all(struct fake *fake);
/* Until count calls are held / block; false: not in 5 s. */
bool fake_wait_held(struct fake *fake, unsigned count);
bool fake_wait_connected(struct fake *fake, int count);
bool fake_wait_blocked(struct fake *fake, unsigned count);
/* Until *value (atomic) is `wanted`; false: not in 5 s. */
bool fake_wait_stat(struct fake *fake,
		    bool (*is)(const struct rpc_stats *stats, uint64_t value),
		    uint64_t value);

/* A client of it. */
int fake_connect(struct fake *fake, struct rpcc *c);
int fake_send(struct rpcc *c, uint32_t xid, uint32_t procedure, uint32_t how,
	      uint32_t key, const void *data, uint32_t len);
int fake_result(struct rpcc *c, uint32_t xid, struct fake_res *res);
int fake_call(struct rpcc *c, uint32_t procedure, uint32_t how, uint32_t key,
	      const void *data, uint32_t len, struct fake_res *res);

#endif
