/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_NAMES_H
#define NFSD_GATE_NAMES_H

#include "nfsd/gate/change.h"

/* A directory that is about to change: checked, locked, with its wcc. */
struct change_dir {
	struct node *node;
	struct meta_inode row;	/* what it will be */
	bool locked;
};

/* Find the directory and see that it may be changed; does not lock. */
int change_dir_begin(struct gate_export *x, struct gate_request *rq,
		     const struct gate_fh *fh, const char *name,
		     struct gate_wcc *wcc, struct change_dir *out)
	__attribute__((warn_unused_result));
/* The lock is held: copy the row with new times. */
int change_dir_copy(struct change_dir *d) __attribute__((warn_unused_result));
/* Take the lock and copy the row with new times. */
int change_dir_lock(struct change_dir *d, struct gate_request *rq)
	__attribute__((warn_unused_result));
/* The transaction is done. */
void change_dir_apply(struct change_dir *d);
void change_dir_end(struct change_dir *d, const struct gate_request *rq,
		    struct gate_wcc *wcc);
void replay_note(struct meta_batch *b, const struct gate_request *rq,
		 const struct meta_inode *made);
/* The object that a removed inode left in S3 goes.  hide: nobody has hidden
 * its key.  NULL: there is none. */
const struct meta_delete *forget_object(struct node *n, struct change *c,
					bool hide);
/* Mutex held. */
const struct meta_delete *forget_object_locked(struct node *n,
					       struct change *c, bool hide);
/* The same of the version that is known to lie at a key, or ("") that none is:
 * another one stays, unless uploads of this file may have left it. */
const struct meta_delete *forget_known(struct node *n, struct change *c,
				       const char *key, const char *etag,
				       bool hide);
/* Mutex held. */
const struct meta_delete *forget_known_locked(struct node *n,
					      struct change *c,
					      const char *key,
					      const char *etag, bool hide);
/* Is its object's key hidden already, since it was renamed away from it? */
bool name_left_key(const struct node *n);
/* For change_settle_name. */
struct name_settled {
	bool changed, name_dirty, carried;
	char dest_etag[META_ETAG_MAX];
};
int name_settle(struct node *n, struct name_settled *was)
	__attribute__((warn_unused_result));
/* A copy of a file that was carried may have got to the key that its path
 * spells before a crash: that goes, too, if it is one. */
void forget_copy(struct node *n, struct change *c);
void name_unsettle(struct node *n, const struct name_settled *was);
bool name_is_silly(const char *name);	/* .nfsXXXX */

/* remove.c, for RENAME over a file: may it go; and it went. */
int remove_check(struct node *n, struct gate_request *rq, const char *who)
	__attribute__((warn_unused_result));
void remove_bury(struct node *n);
/* Has the directory no names, here and in the bucket?  0, -ENOTEMPTY.
 * locked: its lock is held; only what is known here is looked at. */
int remove_dir_is_empty(struct node *n, struct gate_request *rq, bool locked)
	__attribute__((warn_unused_result));
/* A name has left the directory: an empty one needs an object. */
void remove_keep_directory(struct node *dir);

#endif
