/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_COLD_H
#define NFSD_GATE_COLD_H

/*
 * What needs bytes of an object that cannot be read (cold.c).  0, -EACCES: not
 * before it is restored, or never; -EAGAIN with rq->again set.  Asked after
 * rights were, and before anything is changed, with no lock held.
 */

#include "nfsd/gate/gate_priv.h"

/* [off, off + len) gets other bytes, and all other stay. */
int cold_may_write(struct node *n, struct gate_request *rq, uint64_t off,
		   uint64_t len) __attribute__((warn_unused_result));
int cold_may_resize(struct node *n, struct gate_request *rq, uint64_t size)
	__attribute__((warn_unused_result));
/* Other attributes, or a copy at new_key.  NULL: where it is. */
int cold_may_copy(struct node *n, struct gate_request *rq,
		  const char *new_key) __attribute__((warn_unused_result));
/* A request for the object was refused so: the log has it once. */
void cold_say(struct node *n, const char *key, enum s3_locked why);

/* An answer of the bucket has told that. */
static inline void
cold_met(struct gate_export *x, enum s3_cold cold)
{
	if (cold == S3_COLD_YES)
		__atomic_store_n(&x->cold_met, true, __ATOMIC_RELAXED);
}

/* Some archived objects below a directory: at so many is looked. */
#define COLD_LOOKS 16
struct cold_list {
	char *keys[COLD_LOOKS];
	size_t count;
};
#define CLEANUP_COLD __attribute__((cleanup(cold_list_free)))
void cold_list_free(struct cold_list *l);
void cold_note(struct cold_list *l, const char *key, size_t len);
/* Has the export met any?  0, 1 */
int cold_any(struct gate_export *x) __attribute__((warn_unused_result));
int cold_known_below(struct gate_export *x, const char *prefix,
		     struct cold_list *l) __attribute__((warn_unused_result));
/* Can one of them not be copied?  -EACCES */
int cold_any_locked(struct gate_export *x, const struct cold_list *l)
	__attribute__((warn_unused_result));

#endif
