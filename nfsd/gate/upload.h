/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_UPLOAD_H
#define NFSD_GATE_UPLOAD_H

#include "nfsd/gate/snapshot.h"

/*
 * One upload under way.  send.c moves bytes and knows S3; upload.c decides
 * when, and what follows.
 */
struct sending {
	struct node *node;
	struct snapshot snap;
	struct s3_headers headers;
	struct s3_cond cond;
	char etag[S3_ETAG_MAX];		/* of the version that was made */
	struct s3_error err;
	bool beside;			/* under another name than the file's */
	bool base_gone;			/* nothing can be copied from it */
	bool theirs;			/* the file becomes what lies at the key */
	bool doubt;			/* the key may have got one of ours, of
					 * which nothing is known */
};

/*
 * Make S3 agree with the snapshot.  0 (etag is set); -ECANCELED;
 * -ESTALE or -EEXIST: the object at the key is not the one we build on;
 * -EAGAIN and the like: later; anything else: never.
 */
int send_version(struct sending *s) __attribute__((warn_unused_result));
/* The same without a look at what is there: headers, key and condition are
 * set. */
int send_bytes(struct sending *s) __attribute__((warn_unused_result));
/* In place of a condition that the store ignores: does it hold, at the key that
 * is about to be written?  parts: the last request will be a Complete, else a
 * PUT.  0, -ESTALE, -EEXIST, or what kept us from knowing. */
int send_look(struct gate_export *x, const char *key,
	      const struct s3_cond *cond, bool parts, struct s3_error *err)
	__attribute__((warn_unused_result));
/* pull.c: the other way, for a file that is in no bucket any more. */
int pull_base(struct sending *s) __attribute__((warn_unused_result));
/* The point of no return: the last request goes out.  -ECANCELED if the
 * upload is to stop.  expect: the ETag that success will have, or "". */
int upload_point_of_no_return(struct sending *s, const char *upload_id,
			      const char *expect)
	__attribute__((warn_unused_result));
/* Nothing is to be told but the new key, after a directory above was
 * renamed. */
bool send_is_carried(const struct sending *s);
/* With metadata=none an object has no time and owner to know it by: are its
 * bytes those of the snapshot?  As far as its ETag tells. */
bool lost_same_bytes(const struct sending *s, const struct s3_object *o);
/* It ended without an answer.  With metadata=none what it may have left is known
 * by its bytes alone; if the file is gone, it is its deletion's (delete.c).  The
 * key is still the caller's. */
void lost_doubt(struct sending *s, const char *key);
/* What lies at the key: an older version of ours, whose answer was lost?
 * Then it is the base from now on.  1: it is; 0: no; -EAGAIN. */
int lost_adopt(struct sending *s) __attribute__((warn_unused_result));
/* conflict.c: an upload met an object that is not the one the file builds
 * on; for s3nfsctl status. */
void conflict_count(struct sending *s);
/* The object is not the one we built on, and both versions shall
 * be kept.  0: they are; -ECANCELED: once more; -EAGAIN and the like:
 * later; anything else: ours has to be set aside. */
int conflict_keep_both(struct sending *s) __attribute__((warn_unused_result));
/* upload_done.c: S3 has it, as s->etag.  0: the file's row says so and what
 * waited for it goes on; a negative errno: nothing has changed here, it has to
 * be found out once more.  Takes the file lock; blocks on SQLite. */
int upload_done(struct sending *s) __attribute__((warn_unused_result));
/* met.c: will it be another answer, some time? */
bool upload_is_transient(int r);
/* The object at the key is not the one we built on.  Is it our own, made by a
 * request whose answer was lost, perhaps before a crash?  0, 1 (etag is set),
 * or what keeps us from knowing. */
int upload_is_ours(struct sending *s) __attribute__((warn_unused_result));
/* At the key lies not what we build on, or nothing.  0: it is done;
 * -ECANCELED: once more; error: it is somebody else's. */
int upload_met_another(struct sending *s, int error)
	__attribute__((warn_unused_result));
/* The object is gone that was to be copied, and of the file nothing is here:
 * it goes, with one line.  -ECANCELED: it did, or lives elsewhere; -ESTALE:
 * there is something of it here. */
int upload_base_gone(struct sending *s) __attribute__((warn_unused_result));
bool upload_cancelled(struct sending *s);
void upload_progress(struct sending *s, int64_t bytes);
/* What only the row knows, of a node whose lock is held: a copy, and that
 * copy on disk and in memory: where its object goes and what it replaces
 * there.  -ECANCELED: it is dead. */
int upload_copy_row(struct node *n, struct meta_inode *row)
	__attribute__((warn_unused_result));
int upload_put_row(struct node *n, const struct meta_inode *row)
	__attribute__((warn_unused_result));
/* upload_row.c: parts of an earlier try, whose abort or whose beginning had no
 * answer, are in the bucket perhaps: they go before another try begins. */
int upload_clear_parts(struct sending *s) __attribute__((warn_unused_result));
void upload_parts_cleared(struct sending *s);	/* they did */
/* The multipart upload has begun: its id must be known after a crash. */
int upload_begun(struct sending *s, const char *upload_id, uint64_t part_size)
	__attribute__((warn_unused_result));
/* The store was asked to begin one, and has answered, or nobody will. */
void upload_created(struct sending *s);

/* May parts be copied by the store, as far as is known? */
static inline bool
upload_may_copy_parts(const struct gate_export *x)
{
	return __atomic_load_n(&x->can_part_copy, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&x->no_part_copy_ms, __ATOMIC_RELAXED) <=
		       clock_ms();
}

#endif
