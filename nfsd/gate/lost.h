/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_LOST_H
#define NFSD_GATE_LOST_H

#include "nfsd/gate/change.h"

/* A version that went out and had no answer. */
struct lost {
	LIST_ENTRY(lost) link;	/* of its node, the newest first */
	LIST_ENTRY(lost) all;	/* of the gate; gate->mutex */
	struct gate_export *x;
	uint64_t ino;
	bool stray;		/* not at the key that the path spells; both
				 * mutexes to change it */
	struct meta_sent sent;
};

/* ---- lost.c ---- */

/* This version goes out, or may have gone out before a crash.  1; 0 if that
 * was known; -ENOMEM: it had better not go.  Mutex held. */
int lost_note_locked(struct node *n, const char *key,
		     const struct meta_inode *row, const char *etag)
	__attribute__((warn_unused_result));
/* As a row: what this version looks like in the bucket. */
void lost_sent(const char *key, const struct meta_inode *row,
	       const char *etag, struct meta_sent *out);
int lost_recover_locked(struct node *n, const struct meta_sent *sent)
	__attribute__((warn_unused_result));
/* What became of those at the key is known; NULL: of all.  Mutex held. */
void lost_forget_locked(struct node *n, const char *key);
/* Of all that are not at the base's key: the file is for no bucket. */
void lost_forget_left_locked(struct node *n);
/* May the key have got an object of ours, of which we do not know?  Mutex
 * held. */
bool lost_at_locked(const struct node *n, const char *key);
bool lost_at(struct node *n, const char *key);	/* takes it */
/* Went one to another key, that is not the base's?  A directory above the file
 * was renamed since.  Mutex held. */
bool lost_elsewhere_locked(const struct node *n, const char *key,
			   char sent[META_KEY_MAX + 2]);

/* What a file leaves to the one that takes its name, which spells this key.
 * Before the rows are made; then the rows; when they are committed, the
 * rest. */
struct lost_heirloom {
	struct meta_sent *list;
	size_t count;
};
int lost_leave(struct node *victim, const char *key,
	       struct lost_heirloom *out) __attribute__((warn_unused_result));
void lost_inherit(struct node *n, struct node *victim, const char *key,
		  const struct lost_heirloom *left);
void lost_heirloom_free(struct lost_heirloom *left);
/* For a change of the file: what went out and may be met at its key after a
 * crash, but for those keys ("": none; NULL: all rows), and what it will
 * inherit (or NULL).  Mutex held. */
void lost_rows_locked(struct node *n, struct change *c,
		      const char *const but[2],
		      const struct lost_heirloom *more);
/* None of it matters any more, once that is committed.  Mutex held. */
void lost_no_rows_locked(struct node *n, struct change *c);

/* An object of ours lies at such a key.  1: it is the base now; 0: it was
 * not, or is deleted. */
int lost_adopt_left(struct node *n, const char *key)
	__attribute__((warn_unused_result));
/* What lies at such a key is a copy of ours, which nobody will need: it
 * goes. */
int lost_drop(struct node *n, const char *key, const struct s3_object *o)
	__attribute__((warn_unused_result));
/* The base is not what the row says.  1: it is one of those, and the row says
 * so now; 0: no; -EAGAIN. */
int lost_adopt_base(struct node *n) __attribute__((warn_unused_result));

/* ---- lost_place.c: keys that a path has left ---- */

/* It hides its key, or does no more.  Mutex held. */
void lost_stray(struct lost *l, bool stray);

/* The paths of nodes have changed: those at a key that is not the path's any
 * more hide it, until it is known what lies there. */
void lost_place(struct node *n);
void lost_place_all(struct gate_export *x);
/* A directory is about to be renamed: for its batch, those below the old
 * prefix. */
int lost_rows_below(struct gate_export *x, const char *prefix,
		    struct change *c) __attribute__((warn_unused_result));
/* It has gone out while that happened: on record, and placed. */
int lost_catch_up(struct node *n, const char *key)
	__attribute__((warn_unused_result));
/* Is any that has strayed below that prefix? */
bool lost_below(struct gate_export *x, const char *prefix);
/* After a crash: files that owe S3 nothing any more. */
void lost_settle(struct gate *g);

/* The object at this key is about to be deleted, by a step of the change: so is
 * what uploads of the file may have left there.  Mutex held. */
void lost_ours_locked(struct node *n, const char *key, struct change *c);
/* Is the object one of those, which went to that key? */
bool lost_is_one_of(struct gate_export *x, const char *key,
		    const struct s3_object *o, const struct meta_sent *list,
		    size_t count);
/* All that uploads without an answer may have made is deleted, for a file that
 * goes.  but: up to two keys that are seen to already, or "". */
void lost_gone_rows(struct node *n, const char *const but[2],
		    struct change *c);

#endif
