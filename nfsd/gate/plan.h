/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_PLAN_H
#define NFSD_GATE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "nfsd/gate/extents.h"

/* A part of a multipart upload: [off, off + len) of the file, sent from here
 * or copied by the store from the object that the file builds on. */
struct plan_part {
	uint64_t off, len;
	bool copy;
};

struct plan_file {
	uint64_t size;			/* of the version; 1..S3_OBJECT_MAX */
	uint64_t base_limit;		/* what is not in staged and lies
					 * below is base, beyond: zeros */
	const struct extents *staged;	/* bytes that the base does not have */
	uint64_t part_size;		/* of parts that are sent, to begin
					 * with; at least S3_PART_MIN */
	bool can_copy;			/* the store has UploadPartCopy */
	bool equal;			/* it wants parts of one size, but for
					 * the last */
};

/*
 * Cut a version into parts, so that as few bytes as possible are sent: each
 * part but the last has at least S3_PART_MIN bytes (S3 API,
 * CompleteMultipartUpload: EntityTooSmall), there are at most S3_PARTS_MAX,
 * together they are the file, in order, without gaps.  *list is the caller's
 * to free.  0, -ENOMEM, -EINVAL (nothing to cut).  Does not block.
 */
int plan_parts(const struct plan_file *f, struct plan_part **list,
	       unsigned *count) __attribute__((warn_unused_result));

#endif
