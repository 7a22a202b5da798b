/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

/*
 * What two files may look like to three clients: a reference for the rule
 * (docs/semantics.md), written apart from the gate and far simpler.  It knows
 * no extents, threads, rows or requests to S3, only versions, who writes, and
 * what may have happened unseen since.
 *
 * Where timing allows several outcomes (has the upload ended yet?) it keeps
 * all of them: a world is a set of states.  Each request that was answered
 * takes away those in which that answer would have been wrong; when none is
 * left, the daemon has broken the rule.
 *
 * A file is M_CELLS cells of uneven size; all offsets are cell boundaries.
 * A cell holds the number of the request that wrote it, 0 for zeros; m_fill
 * makes the bytes of that.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define M_CLIENTS 3
#define M_NAMES 2
#define M_CELLS 11
#define M_OPS_MAX 1000		/* requests of one schedule */
#define M_NONE 0xff

extern const uint32_t m_bound[M_CELLS + 1];
void m_fill(uint16_t cell_value, uint32_t from, uint32_t to, void *out);

enum m_kind {
	M_WRITE, M_COMMIT, M_READ, M_GETATTR, M_TRUNCATE, M_MODE, M_MTIME,
	M_CREATE, M_REMOVE, M_RENAME, M_LOOKUP, M_READDIR,
	/* no requests: */
	M_WAIT, M_FAULT, M_CRASH, M_AGAIN, M_CLOCK, M_HOST, M_KINDS
};
enum m_fault { M_HEAL, M_REFUSING, M_FAILING, M_SLOW, M_LOSING };
/* Of the machine (model_host.c); M_HOST's `how`. */
enum m_host { M_SOUND, M_SQL_ONCE, M_SQL_OUTAGE, M_FILE_ONCE, M_FILE_OUTAGE,
	      M_DB_FILE, M_ALLOC, M_HOSTS };

struct m_op {
	uint8_t kind, client;
	uint8_t with_next;	/* sent together with the one that follows */
	uint8_t name;		/* RENAME: to the other one */
	uint8_t stale;		/* by the handle that the name had before */
	uint8_t from, to;	/* cells; CREATE, TRUNCATE: `to` is the size */
	uint8_t how;		/* stable_how, createmode3, enum m_fault,
				 * enum m_host; CRASH: 1 is SIGTERM */
	uint16_t arg;		/* mode, ms, verifier */
	uint16_t id;		/* from 1, also what it writes */
};

/* What came back. */
struct m_seen {
	int status;		/* nfsstat3; M_BLIND: the daemon died */
	int64_t sent_ms, recv_ms;
	uint16_t target;	/* the file its handle names, by number */
	uint16_t file;		/* CREATE, LOOKUP: the file that it got */
	bool fresh;		/* ... has never been seen before */
	bool racing;		/* others were sent at the same time */
	bool has_attr;
	uint64_t size;
	uint16_t attr_file;
	uint32_t mode;
	int64_t mtime_ns;
	const void *data;	/* READ */
	uint32_t got;
	bool eof;
	uint16_t listed[M_NAMES];	/* READDIR: files, 0: not there */
	bool listed_fresh[M_NAMES];
};
#define M_BLIND (-1)

struct m_config {
	int64_t settle_ms, create_settle_ms, quiet_ms, busy_limit_ms;
	int64_t reserve_ms, lease_ms;
	bool live;		/* reads=live */
	bool busy_fail;
	bool discard;		/* abandon=discard, else publish */
	int64_t visible_ms, flush_ms;	/* of silence; 0: never */
};

struct m_world;
/* refuses: m_fault will say M_REFUSING at some time. */
struct m_world *m_world_new(const struct m_config *config, bool refuses);
void m_world_free(struct m_world **w);
/* Requests that were sent together.  false: no state allows these answers. */
bool m_step(struct m_world *w, const struct m_op *const *ops,
	    const struct m_seen *seen, size_t count);
void m_fault(struct m_world *w, enum m_fault fault, int64_t now_ms);
/* Faults of the machine are about to come, or are over. */
void m_host(struct m_world *w, bool armed, int64_t now_ms);
/* The rule of such an op; "" for none. */
void m_host_rule(const struct m_op *op, char *out, size_t size);
/* A reply had the write verifier of the one before, or another.  false: it
 * should not be the same. */
bool m_verifier(struct m_world *w, bool changed);
void m_crash(struct m_world *w, int64_t now_ms);
/* Everything that is flushed is in the bucket by now. */
bool m_uploaded(struct m_world *w, int64_t now_ms);
/* The object of a name; len < 0: there is none. */
bool m_bucket(struct m_world *w, unsigned name, const void *data,
	      int64_t len);
/* There were too many states to keep: what m_step() says is no verdict. */
bool m_undecided(const struct m_world *w);
size_t m_states(const struct m_world *w);
void m_print(const struct m_world *w, FILE *out);
void m_op_print(const struct m_op *op, FILE *out);

#endif
