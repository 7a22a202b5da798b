/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CHANGE_BED_H
#define TESTS_CHANGE_BED_H

/*
 * Stories of a change that fails (tests/test_gate_change*.c): what a gate has
 * in memory beside what its database has, transactions that fail by number,
 * and a kill.
 */

#include "tests/gate_bed.h"

struct rig {
	struct bed bed;
	struct client a;
	struct gate_fh fh[4];	/* the story's */
	const struct story *story;
	bool hurry;		/* pauses are cut short */
};

struct story {
	const char *name;
	void (*before)(struct rig *r);	/* may be NULL */
	int (*act)(struct rig *r);
	/* S3 has what it shall have. */
	bool (*after)(struct rig *r);
};

/* The gate does nothing by itself for 100 s, and S3 refuses for now. */
void rig_open(struct rig *r);
void rig_close(struct rig *r);
/* S3 takes what it is told, and the gate tells it soon (after a restart). */
void rig_let_go(struct rig *r);
/* The gate tells it now, without a restart. */
void rig_hurry(struct rig *r);
/* Both, until S3 has what it shall have: the act of a story in which no client
 * asks for anything. */
int rig_run(struct rig *r);
/* Nothing is owed to S3 any more, and this holds; false after 30 s. */
bool rig_settled(struct rig *r, bool (*after)(struct rig *r));
/* What is on disk at this moment is what the next gate finds; S3 takes what
 * that one tells it. */
void rig_kill(struct rig *r);
/* Memory is what the rows say: attributes, names, uploads, writers, places of
 * bytes, hidden keys, moves.  What differs goes to stderr. */
bool rig_agrees(struct rig *r);

/* The story with each of its transactions failing in turn; then done again,
 * killed, and let go.  The number of failures that were borne.  memory: the
 * same with allocations (which the bucket in memory does not bear). */
unsigned play(const struct story *s, bool memory);

/* Not in gate_bed.h; these wait in their own thread. */
int act_mode(struct rig *r, const struct gate_fh *fh, uint32_t mode);
int act_exclusive(struct rig *r, const char *name, struct gate_fh *fh);
int act_symlink(struct rig *r, const char *name, struct gate_fh *fh);
int act_mknod(struct rig *r, const char *name, struct gate_fh *fh);
int act_link(struct rig *r, const struct gate_fh *fh, const char *name);
int act_rmdir(struct rig *r, const char *name);

/* What many stories begin with: "f" with the bytes "old", made here or found
 * in the bucket, and another name for it. */
void rig_new_file(struct rig *r);
void rig_old_file(struct rig *r);
void rig_linked(struct rig *r);
/* ... and end with: what the bucket has. */
bool rig_f_is_new(struct rig *r);
bool rig_f_is_old(struct rig *r);
bool rig_f_is_gone(struct rig *r);
bool rig_only_g_is_old(struct rig *r);
bool rig_f_and_g_are_old(struct rig *r);

#endif
