/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_UPLOAD_INSIDE_H
#define NFSD_GATE_UPLOAD_INSIDE_H

/*
 * Uploads: the plan, the requests, what they meet, and what is kept aside.
 * For its own files alone.
 */

#include "nfsd/gate/upload/upload.h"

/* ---- heal.c ---- */
/* Something of the export failed: how long it is to wait.  A leaf. */
uint64_t heal_pause(struct gate_export *x, uint64_t wait_ms);
/* S3 has taken something.  No lock is held. */
void heal_over(struct gate_export *x);

/* ---- quarantine.c ---- */
/* As quarantine_put where the bytes are safe elsewhere, so that none are
 * kept. */
int quarantine_fall_back(struct node *n) __attribute__((warn_unused_result));

/* ---- stray.c ---- */
/* A data file that the database does not explain goes to the quarantine, if it
 * has any bytes. */
int stray_keep(struct gate *g, const char *path, const char *what)
	__attribute__((warn_unused_result));

/* ---- indoubt_met.c ---- */

/* An object of ours lies at a key that the path has left.  1: it is the base
 * now; 0: it was not, or is deleted. */
int indoubt_adopt_left(struct node *n, const char *key)
	__attribute__((warn_unused_result));
/* What lies at such a key is a copy of ours, which nobody will need: it
 * goes. */
int indoubt_drop(struct node *n, const char *key, const struct s3_object *o)
	__attribute__((warn_unused_result));
/* Is the object one of the list, which went to that key? */
bool indoubt_is_one_of(struct gate_export *x, const char *key,
		       const struct s3_object *o,
		       const struct meta_indoubt *list, size_t count);
/* Is the second the copy that was to be made of the first? */
bool relocate_is_copy(const struct s3_object *from, const struct s3_object *to);
/* With metadata=none an object has no time and owner to know it by: are its
 * bytes those of the snapshot?  As far as its ETag tells. */
bool indoubt_same_bytes(const struct sending *s, const struct s3_object *o);
/* It ended without an answer.  With metadata=none what it may have left is
 * known by its bytes alone; if the file is gone, it is its deletion's
 * (keys/deletions.c).  The key is still the caller's. */
void indoubt_ended(struct sending *s, const char *key);
/* What lies at the key: an older version of ours, whose answer was lost?
 * Then it is the base from now on.  1: it is; 0: no; -EAGAIN. */
int indoubt_adopt(struct sending *s) __attribute__((warn_unused_result));

/* ---- conflict_copy.c ---- */
/* The object that is relocated has changed or gone, or its new key is taken.
 * -ECANCELED: it is settled, look again; 0: what lies there is ours. */
int relocate_conflict(struct sending *s, int r)
	__attribute__((warn_unused_result));

/* ---- send.c ---- */

/*
 * Make S3 agree with the snapshot.  0 (etag is set); -ECANCELED;
 * -ESTALE or -EEXIST: the object at the key is not the one we build on;
 * -EAGAIN and the like: later; anything else: never.
 */
int send_version(struct sending *s) __attribute__((warn_unused_result));
/* The same without a look at what is there: headers, key and condition are
 * set. */
int send_bytes(struct sending *s) __attribute__((warn_unused_result));

/* ---- recall.c ---- */
/* The other way, for a file that is in no bucket any more. */
int recall_base(struct sending *s) __attribute__((warn_unused_result));

/* ---- progress.c ---- */
/* Nothing is to be told but the new key, after a directory above was
 * renamed. */
bool send_is_relocation(const struct sending *s);
/* An upload met an object that is not the one the file builds on; for s3nfsctl
 * status. */
void conflict_count(struct sending *s);
bool upload_cancelled(struct sending *s);	/* is it to stop? */
void upload_progress(struct sending *s, int64_t bytes);
/* The multipart upload has begun: its id must be known after a crash. */
int upload_begun(struct sending *s, const char *upload_id, uint64_t part_size)
	__attribute__((warn_unused_result));

/* ---- conflict.c ---- */
/* The object is not the one we built on, and both versions shall
 * be kept.  0: they are; -ECANCELED: once more; -EAGAIN and the like:
 * later; anything else: ours has to be set aside. */
int conflict_keep_both(struct sending *s) __attribute__((warn_unused_result));

/* ---- upload_done.c ---- */
/* S3 has it, as s->etag.  0: the file's row says so and what waited for it goes
 * on; a negative errno: nothing has changed here, it has to be found out once
 * more.  Takes the file lock; blocks on SQLite. */
int upload_done(struct sending *s) __attribute__((warn_unused_result));

/* ---- met.c ---- */
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

#endif
