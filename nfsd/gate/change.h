/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_CHANGE_H
#define NFSD_GATE_CHANGE_H

/*
 * A change: rows, and what memory is to be when they are on disk, in one
 * scope.  Rows go into its batch, steps are noted with it; should it leave its
 * scope without having been committed, all that was done to memory for its
 * sake is undone, and the client that asks again finds everything as it was.
 *
 *	CLEANUP_CHANGE struct change c;
 *
 *	change_begin(&c, g);
 *	meta_put_inode(c.batch, &row);
 *	r = change_commit(&c);
 *	if (r == 0)
 *		... memory follows
 *
 * What goes wrong on the way (no memory, no number) the batch remembers, and
 * the commit tells.  The locks of the nodes concerned are held from the first
 * step to the end of the scope.  Object: the change; who owns it: one thread.
 */

#include "nfsd/gate/gate_priv.h"

struct change_step;
struct move;

struct change {
	struct gate *gate;
	struct meta_batch *batch;
	TAILQ_HEAD(change_steps, change_step) steps;
	bool hides;		/* its keys are hidden now */
	bool committed;
};

void change_begin(struct change *c, struct gate *g);
void change_end(struct change *c);
#define CLEANUP_CHANGE __attribute__((cleanup(change_end)))
#define CLEANUP_INODE __attribute__((cleanup(meta_inode_fini)))

/* On stable storage, as a whole, or not at all.  Uploads that it noted are
 * pending then; deletions begin when the scope ends.  Blocks; no mutex. */
int change_commit(struct change *c) __attribute__((warn_unused_result));
/* Its two halves (meta.h). */
int change_submit(struct change *c) __attribute__((warn_unused_result));
int change_wait(struct change *c) __attribute__((warn_unused_result));

/* An object goes.  etag: only this one, or "".  hide: its key is not hidden
 * yet.  NULL: key is "" (or no memory).  The row's id is there when the change
 * was handed over; it lives as long as the change. */
const struct meta_delete *change_delete(struct change *c,
					struct gate_export *x,
					const char *key, const char *etag,
					bool hide);
/* Requests to it had no answer: what they may have left goes as well, and
 * nothing else.  Takes ours over. */
void change_delete_ours(struct change *c, const char *key,
			struct meta_ours *ours);
/* That may have parts of an upload beside it: of this one, or ("") of one that
 * was begun since then. */
void change_delete_parts(struct change *c, const char *key,
			 const char *upload_id, int64_t since_ns);
/* ... of which the first try is made without its ETag. */
void change_delete_soft(struct change *c, const char *key);
/* Is there a deletion of this key? */
bool change_deletes(const struct change *c, const char *key);
/* A key names nothing any more, or something again, once it is done. */
void change_hide(struct change *c, struct gate_export *x, const char *key);
void change_show(struct change *c, struct gate_export *x, const char *key);

/* See that S3 hears of it: the upload's row, and memory after the commit.
 * row: what the node's will be.  Mutex held. */
void change_upload_locked(struct change *c, struct node *n,
			  const struct meta_inode *row);
/* The node is about to get this name: node_rename() will not fail. */
void change_name(struct change *c, struct node *n,
		 const struct meta_name *name);
/* What is on record of requests without an answer is about to be written
 * (lost.h).  Mutex held. */
void change_sent_locked(struct change *c, struct node *n);

/*
 * A file whose object follows a renamed directory is about to be renamed or
 * removed itself: from here on it is like any file that was renamed away
 * from its object, which is hidden.  The file lock is held.  *was_carried: a
 * copy of it may have got to the key that its path spells before a crash.
 */
int change_settle_name(struct change *c, struct node *n, bool *was_carried)
	__attribute__((warn_unused_result));

/* S3 has a sub-directory that was not known; its name is in the batch.  The
 * directory is locked. */
void change_subdir(struct change *c, struct node *dir);

/* A directory is on its way (move.h). */
void change_move(struct change *c, struct move *m);

#endif
