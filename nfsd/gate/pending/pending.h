/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_PENDING_PENDING_H
#define NFSD_GATE_PENDING_PENDING_H

/* What a node owes: its writer's state, what S3 has not, when it is sent. */

#include "nfsd/gate/state/state.h"

/* ---- handle.c ---- */
/* A handle's state changes, with counters and invariants.  Mutex held. */
void handle_transition_locked(struct node *n, enum meta_event event);
/* Only the counters. */
void handle_counted(struct gate_export *x, enum meta_state from,
		    enum meta_state to);

/* ---- dirty.c ---- */
/* Something changes: see that S3 hears of it.  First the row, and true if
 * none is pending yet; then memory, when that is committed.  Who has a struct
 * change leaves both to it (change/change.h).  Mutex held. */
bool upload_plan_locked(struct node *n, int64_t since_ns,
			struct meta_batch *batch);
void upload_planned_locked(struct node *n, int64_t since_ns, bool fresh);
/* Set the time, or start now.  Mutex held. */
void upload_schedule_locked(struct node *n, bool now);
/* Somebody waits for the version that is flushed now: at once, also if its
 * writer goes on, and nothing stops it.  Mutex held. */
void upload_want_locked(struct node *n);
void upload_cancel_locked(struct node *n);
/* Its writer goes on.  What is under way goes on beside him, or is stopped, if
 * it was early.  Mutex held. */
void upload_outdate_locked(struct node *n);
/* Is there anything to do?  A file that is not for the bucket has only its old
 * object to get rid of. */
bool upload_has_work_locked(const struct node *n);
/* When its oldest change is as old as one may become. */
uint64_t upload_too_old_ms(const struct node *n);
/* Beside a writer: is there a version of before, to be sent for itself? */
bool upload_has_version_locked(const struct node *n);

/* ---- schedule.c ---- */

/* run: an upload (upload_run), which owns a reference to the node. */
void schedule_init(struct schedule *s, void (*run)(void *node));
/* Run it with this node when its turn comes; it takes over the reference.
 * -EAGAIN: there is no thread for it; it was not taken.  Does not block. */
int schedule_add(struct schedule *s, struct node *n, enum urgency urgency)
	__attribute__((warn_unused_result));
/* Runs what waits, then joins.  The gate is stopping. */
void schedule_stop(struct schedule *s);

/* ---- invariant.c ---- */
/* As audit_broken, of a file, whose name and handle are logged in a moment.
 * what is a literal; client: who did it, or what else is to be told.  Mutex
 * held, no shard's. */
void audit_broken_locked(struct node *n, const char *what,
			 const char *client);
/* This client's bytes are about to be staged: -EIO if the file is not its
 * own to write.  Mutex held. */
int audit_writer_locked(struct node *n, const char *who)
	__attribute__((warn_unused_result));

#endif
