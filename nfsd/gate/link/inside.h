/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_LINK_INSIDE_H
#define NFSD_GATE_LINK_INSIDE_H

/*
 * Files with more than one name, silly renames, and snapshots of what a file
 * is.
 * For its own files alone.
 */

#include "nfsd/gate/link/link.h"

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
