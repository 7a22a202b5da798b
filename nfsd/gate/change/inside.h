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

#endif
