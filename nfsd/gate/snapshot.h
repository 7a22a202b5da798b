/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_SNAPSHOT_H
#define NFSD_GATE_SNAPSHOT_H

#include "nfsd/gate/gate_priv.h"

/*
 * One flushed version of a file, as it was when an upload began: its row and
 * a copy of its maps.  While it exists its places are not reused, so it can
 * be read without a lock, as often as needed, with the same bytes each time.
 */
struct snapshot {
	LIST_ENTRY(snapshot) link;	/* of its node's */
	struct node *node;
	struct meta_inode row;
	struct extents staged, clean;
	uint64_t attr_version, content_version;
	uint64_t plans;			/* changes that are in it */
	char key[META_KEY_MAX + 2];	/* where it goes */
	struct data_file *file;		/* open; NULL: none is needed */
	char *memory;			/* instead: a copy */
};

/* The file lock is held.  -ESTALE if the file is gone. */
int snapshot_take(struct node *n, struct snapshot *s)
	__attribute__((warn_unused_result));
void snapshot_free(struct snapshot *s);

/* What lies at off: at most up to end. */
void snapshot_piece(const struct snapshot *s, uint64_t off, uint64_t end,
		    struct piece *out);
/* Does [off, off + len) need bytes of the base that are not here? */
bool snapshot_needs_base(const struct snapshot *s, uint64_t off,
			 uint64_t len);
/* Read; what lies in S3 is fetched, pinned to the base's ETag.  Blocks.
 * -ESTALE: the base was replaced. */
int snapshot_read(const struct snapshot *s, uint64_t off, void *buf,
		  uint64_t len) __attribute__((warn_unused_result));

#endif
