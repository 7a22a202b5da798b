/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_RPC_RPC_H
#define NFSD_RPC_RPC_H

/*
 * rpc: an ONC-RPC server (RFC 5531) of our own: sockets, record marking,
 * dispatch, reply cache and worker threads.  libtirpc gives the XDR
 * primitives and rpcgen the codecs; its server half is not used.
 *
 * A procedure is written once, in blocking style.  It first runs on the
 * event thread that received it, with may_block off.  If it answers
 * RPC_NEEDS_THREAD it has done nothing, and a worker runs it anew with
 * may_block on.  There it may wait for this machine: its disk, its locks.  If
 * it would wait for another one it answers RPC_NEEDS_FAR, having done nothing
 * again, and runs anew on a far worker, with `far` on.  If it answers RPC_HELD
 * it is parked without a thread until rpc_wake(server, request), and then runs
 * anew, on a worker.
 */

#include <netinet/in.h>
#include <rpc/types.h>
#include <rpc/xdr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct rpc_server;
struct run_clock;	/* nfsd/gate/clock.h */

#define RPC_GROUPS_MAX 16	/* RFC 5531 appendix A */
#define RPC_RECORD_MAX ((1U << 20) + 4096)	/* 1 MiB of data and headers */
#define RPC_SCRATCH 640		/* rpc_request.scratch */

/* AUTH_NONE, or AUTH_SYS as decoded (RFC 5531 8.2 and appendix A). */
struct rpc_cred {
	uint32_t flavor;
	char machine[256];	/* at most 255 bytes; "" for AUTH_NONE */
	uint32_t uid, gid;
	unsigned group_count;
	uint32_t groups[RPC_GROUPS_MAX];
};

/*
 * One call.  Valid until its reply is queued, also while it is held; owned by
 * the transport.  Procedures read it.
 */
struct rpc_request {
	uint32_t xid, program, version, procedure;
	struct rpc_cred cred;
	struct sockaddr_storage peer;	/* AF_INET or AF_INET6 */
	bool udp;
	bool may_block, far;	/* see above */
	bool late;		/* it has waited too long for a far worker:
				 * RPC_NEEDS_FAR is no answer any more */
	uint64_t arrived_ms;	/* CLOCK_MONOTONIC */
	uint8_t digest[16];	/* of identity, xid, procedure and arguments:
				 * the key of the reply cache */
	void *program_arg;	/* rpc_program.arg */
	/*
	 * Results that are bulk data (READ): `tail_len` bytes from
	 * rpc_tail_alloc, sent after the encoded results, padded to 4; the
	 * result codec writes the length word itself.
	 */
	void *tail;
	uint32_t tail_len;
	/*
	 * The procedures' own bytes.  They stay as they are, and where they
	 * are, from one attempt to the next and while the call is held: the
	 * gate may keep pointers into them until it wakes the call.
	 */
	_Alignas(16) unsigned char scratch[RPC_SCRATCH];
};

enum rpc_outcome {
	RPC_DONE,		/* results are filled: encode and reply */
	RPC_DONE_UNCACHED,	/* the same, but not to be replayed (JUKEBOX) */
	RPC_NEEDS_THREAD,
	RPC_NEEDS_FAR,
	RPC_HELD,
	RPC_DROP,		/* no reply at all */
	RPC_AUTH_REJECTED,	/* MSG_DENIED, AUTH_ERROR, AUTH_TOOWEAK */
	RPC_GARBAGE,		/* GARBAGE_ARGS */
	RPC_SYSTEM_ERR,
	RPC_NO_ROOM		/* rpc_tail_alloc gave NULL and nothing was
				 * done: run it anew when there is room */
};

struct rpc_procedure {
	const char *name;	/* "NFSPROC3_READ"; NULL: PROC_UNAVAIL */
	xdrproc_t xdr_args;
	size_t args_size;
	xdrproc_t xdr_res;
	size_t res_size;
	/*
	 * Replies are kept and replayed when the same call comes again
	 * (rule.md 8): all that change something, WRITE and COMMIT too.
	 */
	bool cached;
	/*
	 * args and res are zeroed before the codec fills args, and freed with
	 * the codecs (XDR_FREE) afterwards.  Must not keep pointers.  args may
	 * point into the record buffer.
	 */
	enum rpc_outcome (*run)(struct rpc_request *rq, void *args, void *res);
};

struct rpc_version {
	uint32_t version;
	const struct rpc_procedure *procedures;
	unsigned count;
};

/*
 * A program.  Versions ascend; a call to another version gets PROG_MISMATCH
 * with the first and the last.
 */
struct rpc_program {
	uint32_t program;
	const struct rpc_version *versions;
	unsigned version_count;
	bool udp;		/* answered over UDP too */
	void *arg;
};

struct rpc_limits {		/* 0 takes the default named */
	unsigned event_threads;	/* one a core */
	unsigned workers;	/* 32 */
	unsigned workers_per_key; /* 24; see rpc_server_config.share_key */
	unsigned far_workers;	/* 512, made as they are needed; of these each
				 * key has workers_per_key, and of these each
				 * host two thirds */
	unsigned far_wait_ms;	/* 20000; for one of them, then it is late */
	unsigned connections;	/* 1024 in all */
	unsigned connections_per_host;	/* 256 */
	unsigned in_flight_per_connection;	/* 128, then no more is read */
	size_t buffer_bytes;	/* 64 MiB of records and replies in all; how
				 * they are shared: rpc/buffer.c */
	size_t reply_cache_bytes;	/* 16 MiB */
	unsigned idle_s;	/* 0: never; else idle connections close */
	unsigned record_ms;	/* 60000; no record's arrival may rest so
				 * long: rpc/conn.c */
};

struct rpc_server_config {
	const struct rpc_program *programs;
	unsigned program_count;
	struct rpc_limits limits;
	/*
	 * Requests with the same key (an export) share workers_per_key, near
	 * and far, so that a slow bucket cannot stop a fast one.  Called with
	 * decoded args when a request goes to a worker; may be NULL.
	 */
	uint64_t (*share_key)(const struct rpc_request *rq, const void *args);
	/* A host connects (+1) and its last request or connection goes (-1),
	 * by the identity of its first AUTH_SYS call; may be NULL. */
	void (*connected)(void *arg, const struct rpc_cred *cred,
			  const struct sockaddr_storage *peer, int delta);
	void *arg;
	/* By which clients are measured; outlives the server.  NULL: one of
	 * its own.  The event threads look at it. */
	struct run_clock *clock;
};

/* -ENOMEM or the errno of thread creation. */
int rpc_server_new(const struct rpc_server_config *config,
		   struct rpc_server **out)
	__attribute__((warn_unused_result));

/*
 * Listen on address (port in it; 0 picks one, which *port tells, in host
 * order) for all programs, or for those with numbers in `only` (ended by 0).
 * udp: a datagram socket.  -EADDRINUSE, -EACCES and such.
 */
int rpc_listen(struct rpc_server *server, const struct sockaddr *address,
	       socklen_t len, bool udp, const uint32_t *only, uint16_t *port)
	__attribute__((warn_unused_result));

int rpc_server_start(struct rpc_server *server)
	__attribute__((warn_unused_result));

/*
 * A held request may go on.  Any thread, also before the procedure that
 * answers RPC_HELD has returned; exactly once for each RPC_HELD.
 */
void rpc_wake(struct rpc_server *server, struct rpc_request *rq);

/*
 * A buffer of len bytes at least for rq->tail, which it sets.  The transport
 * frees it.  NULL: more than a record holds, or not now, since the connection
 * has its share of the memory in replies that were not read; answer RPC_NO_ROOM
 * to either.
 */
void *rpc_tail_alloc(struct rpc_request *rq, uint32_t len);

/*
 * Has a client, known by match(), a call that left its event thread before
 * since_ms (of the clock) and has no answer yet, or bytes that nobody has read?
 * Such a client is not silent.  Looks at all calls and connections.
 */
bool rpc_server_waits(struct rpc_server *server,
		      bool (*match)(void *arg, const struct rpc_cred *cred,
				    const struct sockaddr_storage *peer),
		      void *arg, uint64_t since_ms);

/*
 * For how long, by the clock, calls of such a client may lie unread: 0 when
 * all that has arrived was handed over to its procedures.  Unlike
 * rpc_server_waits this gets on beside a client that never stops sending, if it
 * is asked again and again.
 */
uint64_t rpc_server_unread_ms(struct rpc_server *server,
			      bool (*match)(void *arg,
					    const struct rpc_cred *cred,
					    const struct sockaddr_storage
						    *peer),
			      void *arg);

/* Our address that the call came to.  0, or an errno. */
int rpc_local_address(const struct rpc_request *rq,
		      struct sockaddr_storage *out)
	__attribute__((warn_unused_result));

/* Accept and read no more, answer what is in flight for at most timeout_ms.
 * The threads go on with what is left until rpc_server_stop. */
void rpc_server_quiet(struct rpc_server *server, uint64_t timeout_ms);
/* The same, and end the threads, each after the call it has. */
void rpc_server_stop(struct rpc_server *server, uint64_t timeout_ms);
void rpc_server_free(struct rpc_server **server);

struct rpc_stats {
	unsigned connections, in_flight, held, workers_busy, far_busy;
	uint64_t calls, replies, replayed, dropped_duplicates, garbage, denied;
};
void rpc_server_stats(struct rpc_server *server, struct rpc_stats *out);

#endif
