/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_CHANGE_INSIDE_H
#define NFSD_GATE_CHANGE_INSIDE_H

/*
 * Changes as scopes: names, hidden keys, deletions, rows and memory, which are
 * committed together or not at all.
 * For its own files alone.
 */

#include "nfsd/gate/change/change.h"

struct change;
struct name_bound;

/* ---- change.c ---- */
/* Requests to it had no answer: what they may have left goes as well, and
 * nothing else.  Takes ours over. */
void change_delete_ours(struct change *c, const char *key,
			struct meta_ours *ours);
/* ... of which the first try is made without its ETag. */
void change_delete_soft(struct change *c, const char *key);
/* What is on record of requests without an answer is about to be written
 * (node/node.h).  Mutex held. */
void change_sent_locked(struct change *c, struct node *n);
/* For change_unbind_name: the key of its object is hidden, and memory says so;
 * and back.  Take the mutex. */
int name_unbind(struct node *n, struct name_bound *was)
	__attribute__((warn_unused_result));
void name_rebind(struct node *n, const struct name_bound *was);

/* ---- indoubt_key.c ---- */
/* None of it matters any more, once that is committed.  Mutex held. */
void indoubt_no_rows_locked(struct node *n, struct change *c);

/* ---- release.c ---- */

/* The object at this key is about to be deleted, by a step of the change: so is
 * what uploads of the file may have left there.  Mutex held. */
void indoubt_ours_locked(struct node *n, const char *key, struct change *c);

#endif
