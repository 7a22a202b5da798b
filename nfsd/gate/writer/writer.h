/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_WRITER_WRITER_H
#define NFSD_GATE_WRITER_WRITER_H

/*
 * The rule: who may write, what a COMMIT does, and what becomes of a writer who
 * is silent, late, or gone.
 */

#include "nfsd/gate/state/state.h"

struct change;

/* ---- admit.c ---- */

/* Be let in as writer.  On success the file lock is held and the handle is
 * ACTIVE in memory; its row goes into the caller's batch, or is posted.
 * -EAGAIN (rq->again says how), -EACCES, -EIO, -ESTALE. */
int admit_writer(struct node *n, struct gate_request *rq, const char *who)
	__attribute__((warn_unused_result));
/* Is there room for one more writer (max_handles)?  -EAGAIN, -ENOSPC. */
int admit_room(struct gate_export *x, struct gate_request *rq)
	__attribute__((warn_unused_result));
/*
 * A change that is no writing, of the file's name (REMOVE, RENAME) or of other
 * things (LINK, SETATTR of mode, owner and times): beside another's active
 * handle it waits as a WRITE does, until that is flushed, or counts as such.
 * The file lock is held.  -EAGAIN (rq->again says how), -EACCES: the writer
 * goes on after idle_flush_ms and a second.
 */
int admit_change(struct node *n, struct gate_request *rq, const char *who,
		 bool name) __attribute__((warn_unused_result));
/* Is an error owed to this client, or is it fenced?  Mutex held. */
int admit_check_locked(struct node *n, const char *who, bool commit);
/* The client has looked again: LOOKUP, ACCESS and the like (opens), or only
 * GETATTR, which counts once its late WRITEs have ceased. */
void admit_looked(struct node *n, const struct gate_request *rq, bool opens);
/* Was it flushed without a word of this client, which may send its bytes once
 * more?  Mutex held. */
bool admit_has_lapsed(const struct node *n, const char *who);
/* It was, and has told by a COMMIT of all of the file that it will not.  Mutex
 * held, and the file lock if it holds the file: a row posted amid the end of
 * its upload would come after that, and outlive the handle. */
void admit_committed_locked(struct node *n, const char *who);
/* What the writer was let in for failed: it is not left active with nothing
 * to flush, in the way of others and of its own upload.  Mutex held. */
void admit_undo_locked(struct node *n);
/* Room for fence_locked, which cannot fail after that.  Mutex held. */
int fence_room_locked(struct node *n, const char *who)
	__attribute__((warn_unused_result));

/* ---- state.c ---- */
/* The reservation is over.  Mutex held. */
void admit_unreserve_locked(struct node *n);
/* The pending upload failed for good: who wrote and who waits is owed an
 * error, once.  Mutex held. */
void admit_failed_locked(struct node *n);
/* The handle has passed through DONE.  Mutex held. */
void admit_release_locked(struct node *n);
/* Its row goes, or stays as META_DONE: its writer has not heard that it was
 * flushed.  Mutex held. */
void admit_done_row_locked(const struct node *n, struct meta_batch *b);
/* A flushed handle of a file that owes S3 nothing is done: no upload will
 * come to end it.  Mutex held. */
void admit_flushed_locked(struct node *n);
/* The file goes, and its handle with it.  Mutex held. */
void admit_drop_locked(struct node *n);
/* Remember that this writer's time ran out, or that its upload was refused.
 * After fence_room_locked it cannot fail.  Mutex held. */
int fence_locked(struct node *n, const char *who, enum meta_state state,
		 bool discarded);

/* ---- commit.c ---- */

/* Make dirty bytes in [from, to) durable or, if no others are left, all
 * staged: on stable storage, with the handle's row and the upload's.  The
 * file lock is held.  journal: those bytes, few enough to go through the
 * database. */
int write_commit(struct node *n, uint64_t from, uint64_t to,
		 const void *journal, uint64_t journal_len)
	__attribute__((warn_unused_result));
/* Truncate or extend; row has the other changes of the same SETATTR. */
int write_resize(struct node *n, uint64_t size, struct meta_inode *row,
		 struct change *c) __attribute__((warn_unused_result));
/* A pool's: what a silent writer has sent counts as flushed. */
int silence_flush(struct node *n);

/* ---- detach.c ---- */
/* Everything of a node leaves memory: its writer, bytes and upload end. */
void remove_detach(struct node *n);

/* ---- silence.c ---- */

/* A call about the file begins, and has been answered or is put off (r and
 * rq->again, as they go to the caller).  Each attempt of it, no mutex. */
void silence_begin(struct node *n, struct gate_request *rq);
void silence_end(struct node *n, struct gate_request *rq, int r);
/* The client has become the writer, by this call (rq NULL: by one that is
 * answered now).  Mutex held. */
void silence_opened_locked(struct node *n, struct gate_request *rq);
/* It was before a restart, and is on its way back perhaps.  Mutex held. */
void silence_recovered_locked(struct node *n);
/* Others are shown what it has written, when that is due; a flush is the
 * caller's to do if this is true.  Sets the time for the next look.  Mutex
 * held. */
bool silence_tick_locked(struct node *n, uint64_t now);
/* For s3nfsctl.  Mutex held. */
void silence_tell_locked(const struct node *n, struct gate_handle_info *out);

#endif
