/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_WRITER_INSIDE_H
#define NFSD_GATE_WRITER_INSIDE_H

/*
 * The rule: who may write, what a COMMIT does, and what becomes of a writer who
 * is silent, late, or gone.
 * For its own files alone.
 */

#include "nfsd/gate/writer/writer.h"

/* ---- admit.c ---- */
/* Who has to look again, for the batch that makes the bytes of another writer
 * durable: the rows were posted when he was let in.  Mutex held. */
void admit_rows_locked(const struct node *n, struct meta_batch *b);
/* Such a batch is on disk.  Mutex held. */
void admit_rows_written_locked(struct node *n);

/* ---- silence.c ---- */
/* For so long; 0 while a call of it is not answered.  Mutex held. */
uint64_t silence_ms_locked(const struct node *n, uint64_t now);
/* It is at it: it has been heard of a moment ago.  Mutex held. */
bool silence_broken_locked(const struct node *n, uint64_t now);
/* Has it lasted so long that it counts as a flush? */
bool silence_due_locked(const struct node *n, uint64_t now);
void silence_log(struct node *n, const char *who, uint64_t silent,
		 uint64_t bytes);

/* ---- state.c ---- */

/* What is held against a client; META_NONE: nothing yet.  NULL: no memory. */
struct fenced *fence_of_locked(struct node *n, const char *who);
/* It is over.  Only posted: should the row stay, this client is told once more,
 * or has to look once more. */
void fenced_free(struct node *n, struct fenced *f);
/* An upload that this client waited for has failed: told, once. */
bool admit_owed_locked(struct node *n, const char *who);
/* This client is refused once more, or (fresh) for the first time in a while.
 * NULL: no memory. */
struct refused *admit_refusal_locked(struct node *n, const char *who,
				     bool change, uint64_t now, bool *fresh);

#endif
