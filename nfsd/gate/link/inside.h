/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_LINK_INSIDE_H
#define NFSD_GATE_LINK_INSIDE_H

/*
 * Files with more than one name, silly renames, and snapshots of what a file
 * is.
 * For its own files alone.
 */

#include "nfsd/gate/link/link.h"

/* ---- resolve.c ---- */

/* An alias was met whose object is of another version than its file's: after
 * a crash of a gateway that left nothing but the bucket.  The older one
 * follows.  No lock of either is held; blocks. */
int link_reconcile(struct node *alias) __attribute__((warn_unused_result));

/* ---- snapshot.c ---- */

/* What to copy.  The alias's lock is held.  -ECANCELED: nothing for now. */
int link_snapshot(struct node *alias, struct snapshot *s)
	__attribute__((warn_unused_result));
/* What lies at off: at most up to end. */
void snapshot_piece(const struct snapshot *s, uint64_t off, uint64_t end,
		    struct piece *out);

/* ---- copy.c ---- */
/* This alias follows, and no other. */
void link_follow(struct node *alias);
/* The alias was noted once more after it had been copied.  The node's lock is
 * held.  What cannot be written down is looked at again. */
void link_nothing_to_do(struct node *n, uint64_t content_version);

/* ---- link.c ---- */
/* The inode of the file that a further name leads to; 0: it is no such name. */
uint64_t link_file_of(struct node *n);

#endif
