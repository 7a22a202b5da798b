/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_INSIDE_H
#define NFSD_GATE_INSIDE_H

/*
 * The gate as a whole.
 * For its own files alone.
 */

#include "nfsd/gate/state/state.h"

#define EPOCH_MARK 96		/* bytes of epoch_mark */

#define AUDIT_TICK UINT64_MAX	/* the timer's number for the audit */

/* ---- tick.c ---- */
/* A node's time has come.  A timer's. */
void node_tick(void *gate, uint64_t ino);
/* The writer's lease is over. */
int write_abandon(struct node *n);

/* ---- admin.c ---- */
/* From a path as path_text() spells it to the node, through memory, SQLite and
 * S3. */
int path_walk(struct gate *g, const char *path, struct node **out)
	__attribute__((warn_unused_result));

/* ---- again.c ---- */
void again_tick(struct gate *g);	/* now and then, of one thread */

/* ---- quarantine_ctl.c ---- */
/* gate_quarantine_retry; by_itself: nobody has asked for it, so that it is
 * done only where it can take nothing from anybody, and what S3 refused. */
int quarantine_retry(struct gate *g, uint64_t id, bool by_itself, char why[256])
	__attribute__((warn_unused_result));

/* ---- abort.c ---- */
/* One is to be aborted; its key is taken until that was tried. */
int abort_later(struct gate_export *x, uint64_t ino, const char *key,
		const char *upload_id, int64_t since_ns)
	__attribute__((warn_unused_result));
int abort_start(struct gate *g) __attribute__((warn_unused_result));
void abort_stop(struct gate *g);	/* after s3_cancel and quota_stop */

/* ---- recover.c ---- */
/* What the last run left in the database goes on. */
int recover(struct gate *g) __attribute__((warn_unused_result));

/* ---- binding.c ---- */
/* May change x->id.  -EXDEV: refused, and told why. */
int binding_check(struct gate_export *x) __attribute__((warn_unused_result));
/* What its root is to be called. */
int export_root_number(struct gate_export *x, uint64_t *out)
	__attribute__((warn_unused_result));
/* FNV-1a of it. */
uint64_t name_number(const char *name);
/* The number that the root of an export of this name has, if it is free. */
uint64_t named_root(const struct gate_export *x);

/* ---- epoch.c ---- */
/* Do the database and the data files belong together?  Before anything is
 * touched.  -EUCLEAN: they do not. */
int epoch_check(struct gate *g) __attribute__((warn_unused_result));
int epoch_advance(struct gate *g) __attribute__((warn_unused_result));
void epoch_tick(struct gate *g);	/* now and then, of one thread */
/* Which file of which run of the machine the epoch is in: another one after
 * the directory was put back.  False: it cannot be told. */
bool epoch_mark(struct gate *g, char mark[EPOCH_MARK]);

/* ---- absent.c ---- */
/* One line for each export that is not served, and is owed something. */
int absent_say(struct gate *g) __attribute__((warn_unused_result));

/* ---- audit.c ---- */
/* One pass over all nodes; no lock is held. */
void audit_pass(struct gate *g);
void audit_start(struct gate *g);	/* the first is due in ten seconds */
void audit_tick(struct gate *g);	/* it is due */
/* Its timer may be lost: set it again. */
void audit_timer(struct gate *g);

#endif
