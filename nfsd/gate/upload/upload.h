/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_UPLOAD_UPLOAD_H
#define NFSD_GATE_UPLOAD_UPLOAD_H

/* Uploads: the plan, the requests, what they meet, and what is kept aside. */

#include "nfsd/gate/state/state.h"
#include "nfsd/gate/worker/worker.h"

#define QUARANTINE_DROPPED ".dropped"	/* after that: it is about to go */

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

/* May parts be copied by the store, as far as is known? */
static inline bool
upload_may_copy_parts(const struct gate_export *x)
{
	return __atomic_load_n(&x->can_part_copy, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&x->no_part_copy_ms, __ATOMIC_RELAXED) <=
		       clock_ms();
}

/* ---- upload.c ---- */
void upload_run(void *node);	/* the schedule's; owns a reference */

/* ---- delete.c ---- */
void delete_run(void *deletion);	/* a pool's job: one try */

/* ---- quarantine.c ---- */
/* Keep the staged bytes aside; the file falls back to what S3 has, and who
 * wrote or waits is owed an error.  The file lock is held. */
int quarantine_put(struct node *n, const char *error)
	__attribute__((warn_unused_result));
/* The same of what S3 has not refused: nobody has asked it. */
int quarantine_keep(struct node *n, const char *why)
	__attribute__((warn_unused_result));
/* After a crash between the rows and the file's new place. */
int quarantine_recover(struct gate *g) __attribute__((warn_unused_result));
/* A row is there and its file is not, for a moment that begins, or is over. */
void quarantine_moving(struct gate *g, bool begins);
/* out NULL: is it there?  -ENOENT. */
int quarantine_find(struct gate *g, uint64_t id, struct meta_quarantine *out)
	__attribute__((warn_unused_result));

/* ---- stray.c ---- */
/* All data files that the database does not explain. */
int stray_keep_all(struct gate *g) __attribute__((warn_unused_result));
/* Is all of the committed maps in the data file?  strictly: also no hole,
 * which some file systems make of zeros. */
bool stray_bytes_there(struct node *n, bool strictly);

/* ---- indoubt_met.c ---- */
/* As indoubt_at_locked; takes the mutex. */
bool indoubt_at(struct node *n, const char *key);
/* The base is not what the row says.  1: it is one of those that went out
 * without an answer, and the row says so now; 0: no; -EAGAIN. */
int indoubt_adopt_base(struct node *n) __attribute__((warn_unused_result));

/* ---- plan.c ---- */

/*
 * Cut a version into parts, so that as few bytes as possible are sent: each
 * part but the last has at least S3_PART_MIN bytes (S3 API,
 * CompleteMultipartUpload: EntityTooSmall), there are at most S3_PARTS_MAX,
 * together they are the file, in order, without gaps.  *list is the caller's
 * to free.  0, -ENOMEM, -EINVAL (nothing to cut).  Does not block.
 */
int plan_parts(const struct plan_file *f, struct plan_part **list,
	       unsigned *count) __attribute__((warn_unused_result));

/* ---- send.c ---- */
/* In place of a condition that the store ignores: does it hold, at the key that
 * is about to be written?  parts: the last request will be a Complete, else a
 * PUT.  0, -ESTALE, -EEXIST, or what kept us from knowing. */
int send_look(struct gate_export *x, const char *key,
	      const struct s3_cond *cond, bool parts, struct s3_error *err)
	__attribute__((warn_unused_result));

/* ---- progress.c ---- */
/* The point of no return: the last request goes out.  -ECANCELED if the
 * upload is to stop.  expect: the ETag that success will have, or "". */
int upload_point_of_no_return(struct sending *s, const char *upload_id,
			      const char *expect)
	__attribute__((warn_unused_result));
/* What only the row knows, of a node whose lock is held: a copy, and that
 * copy on disk and in memory: where its object goes and what it replaces
 * there.  -ECANCELED: it is dead. */
int upload_copy_row(struct node *n, struct meta_inode *row)
	__attribute__((warn_unused_result));
int upload_put_row(struct node *n, const struct meta_inode *row)
	__attribute__((warn_unused_result));

#endif
