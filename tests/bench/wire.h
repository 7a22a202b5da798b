/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

/* ONC-RPC over TCP with many calls in flight; see wire.c. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define WIRE_HEAD_MAX 1024	/* a call without its bulk data */
#define WIRE_REPLY_MAX (4u << 20)
#define WIRE_LATENCY_STEPS 1024

struct wire;
struct slot;

/* A reply's results, big-endian, as they lie in the receive buffer. */
struct in {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;		/* ran past the end */
};

typedef void (*wire_reply_fn)(struct wire *w, struct slot *s, struct in *in);

/* One call in flight, and what the case remembers about it. */
struct slot {
	unsigned index;
	struct conn *conn;
	uint32_t xid;
	uint8_t head[WIRE_HEAD_MAX];
	size_t head_len;
	const uint8_t *data;	/* bulk after the head, padded to 4 */
	size_t data_len;
	size_t sent;
	bool overflow;		/* the head did not fit */
	wire_reply_fn reply;
	uint64_t start_ns;
	uint64_t retry_ns;	/* when to send again; 0: not waiting */
	STAILQ_ENTRY(slot) out;
	/* The case's own. */
	uint64_t item;
	uint64_t off;
	uint64_t cookie;
	uint64_t sum;
	uint64_t seen;
	size_t len;
	uint8_t verf[8];
	uint8_t fh[64];
	size_t fh_len;
	uint8_t *buf;
};
STAILQ_HEAD(slot_list, slot);

struct wire {
	struct conn *conns;
	unsigned conn_count;
	struct slot *slots;
	unsigned slot_count;
	unsigned busy;		/* slots with a call in flight or waiting */
	uint32_t xid;
	uint8_t cred[64];
	size_t cred_len;
	uint64_t jukebox;	/* answers that said "try again later" */
	uint64_t bytes_in;
	char error[256];	/* the first thing that went wrong, or "" */
	uint64_t latency[WIRE_LATENCY_STEPS];
	uint64_t latency_count;
};

/*
 * Connect conns times; slots are spread over the connections.  0 or -1 with
 * w->error set.
 */
int wire_open(struct wire *w, const char *host, unsigned port, unsigned conns,
	      unsigned slots, unsigned uid);
void wire_close(struct wire *w);

/* Remember the first failure; every loop ends soon after it. */
void wire_fail(struct wire *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Start a call's head; put_* append to it. */
void wire_begin(struct wire *w, struct slot *s, uint32_t prog, uint32_t vers,
		uint32_t proc);
void put_u32(struct slot *s, uint32_t v);
void put_u64(struct slot *s, uint64_t v);
void put_opaque(struct slot *s, const void *data, size_t len);

/* Send the call; reply is run from wire_run when the answer is there. */
void wire_submit(struct wire *w, struct slot *s, wire_reply_fn reply);
/* From a reply function: send the same call once more, a little later. */
void wire_retry(struct wire *w, struct slot *s);
/* Run until no call is in flight, or something failed. */
void wire_run(struct wire *w);
/* Send and wait; *in stays valid until the next call. */
int wire_call(struct wire *w, struct slot *s, struct in *in);

uint32_t get_u32(struct in *in);
uint64_t get_u64(struct in *in);
/* Opaque or string of at most max bytes; NULL if it is not there. */
const uint8_t *get_opaque(struct in *in, size_t max, size_t *len);
void get_skip(struct in *in, size_t bytes);

uint64_t now_ns(void);
/* Count one finished operation that began at start_ns. */
void wire_took(struct wire *w, uint64_t start_ns);
/* Latency in microseconds that the share q of operations stayed below. */
double wire_quantile_us(const struct wire *w, double q);

#endif
