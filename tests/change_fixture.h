/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CHANGE_FIXTURE_H
#define TESTS_CHANGE_FIXTURE_H

/*
 * Stories of a change that fails (tests/test_gate_change*.c): what a gate has
 * in memory beside what its database has, transactions that fail by number,
 * and a kill.
 */

#include "tests/gate_fixture.h"

struct harness {
	struct fixture fixture;
	struct client a;
	struct gate_fh fh[4];	/* the story's */
	const struct story *story;
	bool hurry;		/* pauses are cut short */
};

struct story {
	const char *name;
	void (*before)(struct harness *r);	/* may be NULL */
	int (*act)(struct harness *r);
	/* S3 has what it shall have. */
	bool (*after)(struct harness *r);
};

/* The gate does nothing by itself for 100 s, and S3 refuses for now. */
void harness_open(struct harness *r);
void harness_close(struct harness *r);
/* S3 takes what it is told, and the gate tells it soon (after a restart). */
void harness_let_go(struct harness *r);
/* The gate tells it now, without a restart. */
void harness_hurry(struct harness *r);
/* Both, until S3 has what it shall have: the act of a story in which no client
 * asks for anything. */
int harness_run(struct harness *r);
/* Nothing is owed to S3 any more, and this holds; false after 30 s. */
bool harness_settled(struct harness *r, bool (*after)(struct harness *r));
/* What is on disk at this moment is what the next gate finds; S3 takes what
 * that one tells it. */
void harness_kill(struct harness *r);
/* Memory is what the rows say: attributes, names, uploads, writers, places of
 * bytes, hidden keys, moves.  What differs goes to stderr. */
bool harness_agrees(struct harness *r);

/* The story with each of its transactions failing in turn; then done again,
 * killed, and let go.  The number of failures that were borne.  memory: the
 * same with allocations (which the bucket in memory does not bear). */
unsigned play(const struct story *s, bool memory);

/* Not in gate_fixture.h; these wait in their own thread. */
int act_mode(struct harness *r, const struct gate_fh *fh, uint32_t mode);
int act_exclusive(struct harness *r, const char *name, struct gate_fh *fh);
int act_symlink(struct harness *r, const char *name, struct gate_fh *fh);
int act_mknod(struct harness *r, const char *name, struct gate_fh *fh);
int act_link(struct harness *r, const struct gate_fh *fh, const char *name);
int act_rmdir(struct harness *r, const char *name);

/* What many stories begin with: "f" with the bytes "old", made here or found
 * in the bucket, and another name for it. */
void harness_new_file(struct harness *r);
void harness_old_file(struct harness *r);
void harness_linked(struct harness *r);
/* ... and end with: what the bucket has. */
bool harness_f_is_new(struct harness *r);
bool harness_f_is_old(struct harness *r);
bool harness_f_is_gone(struct harness *r);
bool harness_only_g_is_old(struct harness *r);
bool harness_f_and_g_are_old(struct harness *r);

#endif
