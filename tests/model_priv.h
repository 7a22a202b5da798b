/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_PRIV_H
#define TESTS_MODEL_PRIV_H

/*
 * Inside of the model: what a state is, and sets of them.  model_states.c
 * has the sets and what happens unseen, model_rule.c the rule, a function a
 * request, model.c what a test does with it.
 */

#include "tests/model.h"

#define UNSEEN 0xffff		/* number of a file nobody has met yet */
#define ANY_MODE 0xffff
#define IN_FLIGHT_MS 1000	/* how long a request to S3 may be under way */
#define LONG_MS 60000		/* longer than a schedule: never */
#define STATES_MAX 20000
#define ORPHANS 24

enum holding { IDLE, ACTIVE, PENDING };

struct content {
	uint16_t cell[M_CELLS];
	uint16_t cells;		/* the size, in cells */
};

struct file {
	uint16_t number;	/* 0: the name is free */
	uint8_t state, writer;	/* enum holding; client */
	uint8_t created;	/* ... and not written since */
	uint8_t born;		/* ... and not flushed since */
	uint8_t dirty;		/* S3 lacks something */
	uint8_t kicked;		/* need not settle first */
	uint8_t riding;		/* an upload from before it was opened */
	uint8_t reserved;	/* client + 1 */
	uint8_t owed_writer, owed_opener, may_be_owed;	/* NFS3ERR_IO, once */
	uint8_t waited;		/* clients that were put off */
	/* Clients: whose lease ended, flushed by the server; who lost the
	 * file after that and has to look; of these, whose bytes are gone;
	 * perhaps fenced, perhaps not (a crash). */
	uint8_t lapsed, fenced, discarded, hazy;
	uint8_t has_object;
	uint16_t uncommitted;	/* cells */
	uint16_t hardened;	/* committed amid others that are not */
	uint16_t verf;
	uint16_t mode;
	uint16_t mtime, live_mtime;	/* ids; 0: any */
	struct content flushed, live, object;
	struct content hard;	/* flushed, and what is hardened */
	struct content shown;	/* of a silent writer, to others */
	uint16_t has_shown, shown_mtime;
	int64_t last_ms, opened_ms, due_ms, owed_until_ms;
	/* It ends between these. */
	int64_t reserved_until_ms, reserved_latest_ms;
	int64_t refused_ms[M_CLIENTS];	/* since when; 0: not */
	int64_t put_off_ms[M_CLIENTS];	/* the same of REMOVE and the like */
};

struct state {
	struct file f[M_NAMES];
	uint16_t orphans[ORPHANS];	/* files whose only version S3 refused */
	uint8_t orphan_owed[ORPHANS];	/* ... of whose writers are owed IO */
	uint8_t orphan_fenced[ORPHANS];	/* ... or get it until they look */
	uint16_t told;		/* clients that waited for one of them */
	uint16_t lost;		/* bytes: the next verifier is another */
};

struct set {
	struct state *list;
	uint64_t *hash;
	uint32_t *index;	/* by hash: a place of the list, from 1 */
	size_t count, room;
	bool full;		/* some were left out */
};

struct m_world {
	struct m_config c;
	struct set now;
	bool full;		/* it has been: nothing can be said */
	bool refuses;		/* uploads may be refused at some time */
	bool refusing;
	bool slow;		/* at some time */
	int64_t refusing_since_ms, refusing_until_ms;
	bool host;		/* the machine fails now, or did until */
	int64_t host_until_ms;
	/* Times as they were seen, by id. */
	bool known[M_OPS_MAX + 1];
	int64_t mtime_ns[M_OPS_MAX + 1];
	/* What the states that are left agree on. */
	uint16_t bind;
	bool bind_differs, bound;
};

/* ---- model_states.c ---- */

/* Are these the bytes from..to of that content? */
bool m_bytes_are(const struct content *c, uint32_t from, uint32_t to,
		 const void *data);
void m_resize(struct content *c, unsigned cells);
void m_add(struct set *set, const struct state *s);	/* once each */
void m_add_all(struct set *set, const struct set *from);
void m_drop(struct set *set);
struct file *m_by_number(struct state *s, uint16_t number);
/* The client has begun to write. */
void m_opened(struct file *f, unsigned client, int64_t ms);
/* It was told to come back, for another's sake. */
void m_put_off(const struct m_world *w, struct file *f, unsigned client,
	       int64_t ms);
/* Others see what was flushed. */
void m_unshow(struct file *f);
/* COMMIT of a range, or what a stable WRITE does besides. */
void m_harden(const struct m_world *w, struct file *f, unsigned from,
	      unsigned to, int64_t ms);
/* Add whatever may have become of those in the set until now. */
void m_unseen(struct m_world *w, struct set *set, int64_t now);

/* ---- model_host.c ---- */

/* May this refusal be the machine's doing? */
bool m_host_refused(const struct m_world *w, const struct m_seen *seen);

/* May what the daemon did by itself until now have failed? */
bool m_host_fails(const struct m_world *w, int64_t now);

/* Add it with the file's uncommitted bytes lost, if they may be by now. */
void m_host_lose(const struct m_world *w, const struct state *s,
		 unsigned name, int64_t now, struct set *out);

/* ---- model_rule.c ---- */

/* Add what follows from the request, if that was a right answer to it. */
void m_apply(struct m_world *w, const struct state *s, const struct m_op *op,
	     const struct m_seen *seen, struct set *out);

#endif
