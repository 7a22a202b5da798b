/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_KEYS_KEYS_H
#define NFSD_GATE_KEYS_KEYS_H

/*
 * Keys: hidden, held, deleted; names that are not there; directories on their
 * way.
 */

#include "nfsd/gate/state/state.h"

/* With the number of a row: the owner of a key who is no file's. */
#define KEY_ROW (1ULL << 63)

/* How far the store's clock and ours may be apart. */
#define CLOCKS_NS (900 * 1000000000LL)

/* The ETag of a deletion of parts alone. */
#define DELETE_NOTHING "-"

/*
 * Directories that were renamed, until their objects have followed;
 * dirmove/dirmove.c tells how.  A move lists (all keys below its source get
 * inodes), then it is listed, and the objects are relocated.
 */
struct dirmove {
	LIST_ENTRY(dirmove) link;
	struct gate_export *x;
	struct meta_dirmove row;
	/* dirmoves.mutex guards what follows, and row.listed */
	uint64_t pages;		/* merged: somebody may wait for more */
	uint64_t failed;	/* objects of the last pass, */
	uint64_t failures;	/* of all passes */
	bool too_long;		/* told: a path that no key can be */
	bool lagging;		/* all is relocated, and still listed there */
	/* dirmove/relocate.c's alone */
	uint64_t look_ms, look_wait_ms;	/* when it looks again */
	uint64_t lagging_ms;	/* since */
	bool none_unlisted;	/* a look found no file that was not marked */
	size_t look_from;	/* entry of a page, whose key is asked for */
	char error[256];	/* the last one */
};

#define RELOCATE_AT_ONCE 16	/* objects on their way, of an export */

#define DIRMOVE_TOO_LONG "the new path is longer than a key may be"

#define DELETE_RETRY_FIRST_MS 500

struct deletion {
	struct gate_export *x;
	struct meta_delete row;
	unsigned attempts;
	uint64_t since_ms, due_ms;
	int64_t asked_ns;	/* wall clock; of old rows, the start's */
	bool refused;		/* by S3, when it was tried last */
	uint64_t denied_ms;	/* it is denied since then; 0: it is not, */
	unsigned denials;	/* so often, */
	bool denied;		/* which is no bad moment any more, */
	LIST_ENTRY(deletion) denied_link;	/* so that it is among those */
	bool gone;		/* S3 has it no more; only the row is left */
	bool looked;		/* in doubt, and there was nothing */
	bool wanted;		/* its key: it waits for nothing below it */
	bool waiting;		/* in the heap, */
	size_t at;		/* here */
	UT_hash_handle hh;	/* by number */
	UT_hash_handle hh_key;	/* by key; two may have the same */
};

/* ---- deletions.c ---- */
/* Has S3 denied any deletion of the export for long? */
bool delete_any_denied(struct gate_export *x);
/* ... of an object in the directory of this key? */
bool delete_denied_beside(struct gate_export *x, const char *key);
/* Delete an object, after its row is committed.  What it takes is there
 * before, while there is a way back. */
struct deletion *delete_new(struct gate_export *x);	/* NULL: no memory */
void delete_free(struct deletion *d);
/* Takes row->ours over. */
void delete_start(struct deletion *d, const struct meta_delete *row);
/* Give S3 a moment, so that what is removed is gone when `rm` returns. */
void delete_wait(struct gate_export *x, uint64_t id, uint64_t until_ms);
/* An upload to the key has ended, of a file that was removed meanwhile: this
 * is the object that is to go.  The key is still the caller's. */
void delete_refine(struct gate_export *x, const char *key, const char *etag);
/* The same of one without an answer: it may be this one as well. */
void delete_doubt(struct gate_export *x, const struct meta_indoubt *sent);
/* Abort the multipart uploads to the key that were begun between those times
 * (of our wall clock); nobody here is at one. */
int delete_parts(struct gate_export *x, const char *key, int64_t since_ns,
		 int64_t until_ns)
	__attribute__((warn_unused_result));
/* How many are to come that S3 has not said no to.  g->mutex held. */
unsigned deletes_due_locked(const struct gate *g);
/* Is one of this key still to come?  Then it waits for nothing below it. */
bool delete_pending(struct gate_export *x, const char *key);
void delete_tick(struct gate *g);	/* start those that are due */
void deletes_timer(struct gate *g);	/* set it for those that are not */
void deletes_free(struct gate_export *x);
uint64_t deletes_count(struct gate_export *x);
int deletes_each(struct gate *g,
		 int (*each)(void *arg, const struct gate_left_info *),
		 void *arg) __attribute__((warn_unused_result));
/* All that wait are due, but for those that S3 has refused for long.  No mutex
 * is held. */
void deletes_hurry(struct gate_export *x);
/* It waits until it is due.  There is room: each deletion has its place from
 * the start. */
void deletes_wait_locked(struct deletes *s, struct deletion *d);
/* Is it also about what requests without an answer may have left? */
bool has_doubt(const struct deletion *d);
/* Send off what is due, as many as may be on their way. */
void deletes_start_locked(struct gate_export *x);
void deletion_end(struct deletion *d);	/* frees it */
/* Has S3 refused it for longer than a bad moment?  Thousands of those would be
 * a storm each time that S3 takes something else. */
bool delete_stays_refused(const struct deletion *d);
/* As it is now.  Only posted. */
void delete_put_row(struct deletion *d);
/* It is denied for long, or is not any more. */
void delete_set_denied_locked(struct deletion *d, bool denied);

/* ---- hidden.c ---- */
/* The key names nothing from now on; so often as it is added until it does
 * again. */
void hidden_add(struct gate_export *x, const char *key);
void hidden_del(struct gate_export *x, const char *key);
/* Asks SQLite while directories are on their way. */
bool hidden_has(struct gate_export *x, const char *key);
/* Or it was at that time or since: what a listing tells that began then may
 * have been deleted. */
bool hidden_since(struct gate_export *x, const char *key, uint64_t since_ms);
bool hidden_any(struct gate *g);	/* lately; cheap */
/* Was it deleted by us some minutes ago, so that a listing that lags may still
 * tell of it?  *ask: or somebody else has put it there since, HEAD knows. */
bool hidden_lately(struct gate_export *x, const char *key, int64_t mtime_ns,
		   bool *ask);
/* What HEAD said then, or: it is there. */
void hidden_answer(struct gate_export *x, const char *key, int64_t mtime_ns,
		   bool there);
/* It named something until so long ago, before a restart perhaps: a listing
 * may lag. */
void hidden_was(struct gate_export *x, const char *key, uint64_t ms);
/* For hidden_below: since then, or as far back as listings lag. */
uint64_t hidden_lag_from(uint64_t since_ms);
/* All such keys below a prefix, without it; under gate->mutex. */
void hidden_below(struct gate_export *x, const char *prefix,
		  uint64_t since_ms,
		  void (*each)(void *arg, const char *below), void *arg);
/* But for keys that are hidden because nobody has looked at them yet. */
bool hidden_exactly(struct gate_export *x, const char *key);
/* But for those, too, where an upload without an answer may have left
 * something. */
bool hidden_for_good(struct gate_export *x, const char *key);
/* Was it deleted since then?  An answer that was asked for before may still
 * tell of it. */
bool hidden_gone_since(struct gate_export *x, const char *key,
		       uint64_t since_ms);
/* A request without an answer may have left something there, which is no
 * path's (change/indoubt_key.c); or that is known now. */
void hidden_stray(struct gate_export *x, const char *key, bool stray);

/* ---- key_lock.c ---- */
/* Is it in somebody's hands? */
bool key_busy(struct gate_export *x, const char *key);
/* Is a file's transfer under way to a key that begins with this? */
bool keys_busy_below(struct gate_export *x, const char *prefix);
/* Only one transfer may change a key at a time; owner: the inode, or KEY_ROW
 * and the number of a row, for who is no file's.  Blocks.  -ENOMEM. */
int key_take(struct gate_export *x, const char *key, uint64_t owner)
	__attribute__((warn_unused_result));
/* The same for threads of a pool, which must not wait for each other: parts
 * of the upload that has the key may be queued behind them. */
bool key_try(struct gate_export *x, const char *key, uint64_t owner);
/* Whose it is; 0: nobody's. */
uint64_t key_owner(struct gate_export *x, const char *key);
void key_release(struct gate_export *x, const char *key, uint64_t owner);

/* ---- negative.c ---- */
/* Is it known that S3 has no such name? */
bool negative_has(struct gate *g, uint64_t parent, const char *name);
/* S3 was asked at asked_ms and had none. */
void negative_add(struct gate *g, uint64_t parent, const char *name,
		  uint64_t asked_ms, uint64_t until_ms);
void negative_del(struct gate *g, uint64_t parent, const char *name);
/* The name was removed here and now: an answer of S3 that is older must not
 * bring it back. */
void negative_removed(struct gate *g, uint64_t parent, const char *name,
		      uint64_t until_ms);
bool negative_removed_since(struct gate *g, uint64_t parent, const char *name,
			    uint64_t since_ms);

/* ---- dirmoves.c ---- */

/* Is any directory on its way?  Cheap. */
bool dirmoves_any(struct gate *g);
/* Is the key below a source that is being listed?  Then whatever lies there
 * belongs to the directory that left. */
bool dirmove_claims(struct gate_export *x, const char *key);
/* The same, but for the move itself and sources shorter than its own. */
bool dirmove_claims_other(struct dirmove *m, const char *key);
/* Does the prefix hold, or lie in, the source of any move? */
bool dirmove_touches(struct gate_export *x, const char *prefix);
/*
 * Sources of more than a page, all keys of which are known, so that nothing
 * but these is expected below them until they have left.  Does the key lie
 * below one?  past: a place behind all of that one's keys.
 */
bool dirmove_skip(struct gate_export *x, const char *key,
		  char past[META_KEY_MAX + 8]);

void dirmove_undo(struct dirmove *m);		/* off the list, and free */
void dirmoves_wake(struct gate *g);	/* there is something to be relocated */
void dirmoves_free(struct gate *g);

/* An upload that dirmove/relocate.c started has ended, well or not. */
void relocate_ended(struct node *n, int r, const char *error);
/* The pass goes on when there is room. */
void dirmove_wait_for_room(struct gate_export *x, unsigned room);
/* An object could not be relocated: told with the moves it belongs to.  One
 * that never can be is told once: it stays where it is, and is read there. */
void dirmove_failed(struct gate_export *x, const char *key, const char *error);

/* Is any being listed?  Cheap. */
bool dirmoves_any_lists(struct gate *g);
/* Pages merged of all.  dirmoves.mutex held, as for the next one. */
uint64_t dirmoves_pages_locked(const struct dirmoves *all);
/* The list, or a phase, has changed: so do the counts, and who waits looks. */
void dirmoves_count_locked(struct dirmoves *all);
/* Into the list.  NULL: no memory. */
struct dirmove *dirmove_add(struct gate_export *x,
			    const struct meta_dirmove *row);

#endif
