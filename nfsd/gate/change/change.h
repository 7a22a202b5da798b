/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_CHANGE_CHANGE_H
#define NFSD_GATE_CHANGE_CHANGE_H

/*
 * Changes as scopes: names, hidden keys, deletions, rows and memory, which are
 * committed together or not at all.
 */

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

#include "nfsd/gate/state/state.h"

struct indoubt_heirloom;
struct dirmove;

struct change {
	struct gate *gate;
	struct meta_batch *batch;
	TAILQ_HEAD(change_steps, change_step) steps;
	bool hides;		/* its keys are hidden now */
	bool committed;
};

#define CLEANUP_CHANGE __attribute__((cleanup(change_end)))
#define CLEANUP_INODE __attribute__((cleanup(meta_inode_fini)))

/* A directory that is about to change: checked, then locked
 * (ops/change_dir.c). */
struct change_dir {
	struct node *node;
	struct meta_inode row;	/* what it will be */
	bool locked;
};

/* For change_unbind_name. */
struct name_bound {
	bool changed, name_dirty, relocating;
	char dest_etag[META_ETAG_MAX];
};

/* ---- change.c ---- */
void change_begin(struct change *c, struct gate *g);
void change_end(struct change *c);
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
/* That may have parts of an upload beside it: of this one, or ("") of one that
 * was begun since then. */
void change_delete_parts(struct change *c, const char *key,
			 const char *upload_id, int64_t since_ns);
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
/*
 * A file whose object follows a renamed directory is about to be renamed or
 * removed itself: from here on it is like any file that was renamed away
 * from its object, which is hidden.  The file lock is held.  *was_relocating: a
 * copy of it may have got to the key that its path spells before a crash.
 */
int change_unbind_name(struct change *c, struct node *n, bool *was_relocating)
	__attribute__((warn_unused_result));
/* S3 has a sub-directory that was not known; its name is in the batch.  The
 * directory is locked. */
void change_subdir(struct change *c, struct node *dir);
/* A directory is on its way (dirmove/dirmove.h).  False: no memory; it is off
 * the list and free, and the commit fails. */
bool change_dirmove(struct change *c, struct dirmove *m)
	__attribute__((warn_unused_result));
/* How a repetition of this call is answered, after a restart too.  made: what
 * it has made, or NULL. */
void drc_note(struct meta_batch *b, const struct gate_request *rq,
	      const struct meta_inode *made);

/* ---- indoubt_key.c ---- */
/* For a change of the file: what went out and may be met at its key after a
 * crash, but for those keys ("": none; NULL: all rows), and what it will
 * inherit (or NULL).  Mutex held. */
void indoubt_rows_locked(struct node *n, struct change *c,
			 const char *const but[2],
			 const struct indoubt_heirloom *more);
/* The paths of nodes have changed: those at a key that is not the path's any
 * more hide it, until it is known what lies there. */
void indoubt_place(struct node *n);
void indoubt_place_all(struct gate_export *x);
/* A directory is about to be renamed: for its batch, those below the old
 * prefix. */
int indoubt_rows_below(struct gate_export *x, const char *prefix,
		       struct change *c) __attribute__((warn_unused_result));
/* It has gone out while that happened: on record, and placed. */
int indoubt_catch_up(struct node *n, const char *key)
	__attribute__((warn_unused_result));
/* Is any that has strayed below that prefix? */
bool indoubt_below(struct gate_export *x, const char *prefix);
/* After a crash: files that owe S3 nothing any more. */
void indoubt_drop_stale(struct gate *g);
/* All that uploads without an answer may have made is deleted, for a file that
 * goes.  but: up to two keys that are seen to already, or "". */
void indoubt_gone_rows(struct node *n, const char *const but[2],
		       struct change *c);

/* ---- release.c ---- */
/* The object that a removed inode left in S3 goes.  hide: nobody has hidden
 * its key.  NULL: there is none. */
const struct meta_delete *delete_queue_object(struct node *n, struct change *c,
					      bool hide);
/* Mutex held. */
const struct meta_delete *
delete_queue_object_locked(struct node *n, struct change *c, bool hide);
/* The same of the version that is known to lie at a key, or ("") that none is:
 * another one stays, unless uploads of this file may have left it. */
const struct meta_delete *delete_queue_known(struct node *n, struct change *c,
					     const char *key, const char *etag,
					     bool hide);
/* Mutex held. */
const struct meta_delete *
delete_queue_known_locked(struct node *n, struct change *c, const char *key,
			  const char *etag, bool hide);
/* The same of a key to which a request without an answer went.  The node was
 * not locked since: should there be no doubt any more, and none be known to lie
 * there, nothing goes. */
const struct meta_delete *delete_queue_indoubt(struct node *n, struct change *c,
					       const char *key,
					       const char *etag);
/* Is its object's key hidden already, since it was renamed away from it? */
bool name_left_key(const struct node *n);
/* A copy of a file that was relocated may have got to the key that its path
 * spells before a crash: that goes, too, if it is one. */
void delete_queue_copy(struct node *n, struct change *c);
bool name_is_silly(const char *name);	/* .nfsXXXX */

#endif
