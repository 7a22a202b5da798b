/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_CACHE_CACHE_H
#define NFSD_GATE_CACHE_CACHE_H

/* Bytes of the bucket on the gateway's disk: fetched, dropped, counted. */

#include "nfsd/gate/state/state.h"

/* ---- fetch.c ---- */
/* A request for the object was refused, for it is archived or encrypted
 * (dir/cold.c).  That is remembered of this version, so that the next one is
 * refused where it is asked for; and the log has it once. */
void cold_learn(struct node *n, const char *key, const char *etag,
		enum s3_locked why);
void cold_say(struct node *n, const char *key, enum s3_locked why);
/* A reader is at [off, off + len): fetch what it wants and what it will want.
 * Mutex held. */
void fetch_want_locked(struct node *n, uint64_t off, uint64_t len);
/* Have its bytes been refused, or come wrong, for too long to be a bad moment
 * of the store? */
bool fetch_is_hopeless_locked(const struct node *n);
/* Bytes at off of the base are needed.  Mutex held, released while it waits.
 * 0 when something changed (look again), or a negative errno. */
int fetch_wait_locked(struct node *n, uint64_t off, uint64_t end);
/* The same for a request that must not wait here: it is parked until they
 * have come.  -EAGAIN with rq->again set. */
int fetch_hold_locked(struct node *n, struct gate_request *rq, uint64_t off,
		      uint64_t end);
/* Bytes of the base that have come, and are not in the data file yet: makes a
 * PIECE_BASE one with `from`, perhaps shorter.  They stay as long as the mutex
 * is held, or from fetch_use_locked to fetch_done_locked, which puts what has
 * to be freed without the mutex into `gone`, for fetch_free.  taken: the READ
 * has them. */
void fetch_piece_locked(struct node *n, struct piece *p);
void fetch_use_locked(const struct piece *p);
void fetch_done_locked(const struct piece *p, bool taken,
		       struct fetch_list *gone);
void fetch_free(struct fetch_list *gone);
/* Memory for bytes of the base that go up again, from the same budget, half of
 * which the uploads of an export may have.  Waits, with no lock held and none
 * of it in hand. */
void fetch_memory_take(struct node *n, uint64_t bytes);
void fetch_memory_give(struct node *n, uint64_t bytes);
/* A READ begins, and ends: as long as one is under way, or parked for them,
 * bytes that could not be stored wait for it. */
void fetch_reader_locked(struct node *n);
void fetch_read_locked(struct node *n, struct fetch_list *gone);
/* Those that waited too long go.  When the next one does; 0: none is left. */
uint64_t fetch_tick_locked(struct node *n, uint64_t now,
			   struct fetch_list *gone);

/* ---- memory.c ---- */
/* As fetch_memory_take and fetch_memory_give, for who has no node. */
void fetch_memory_borrow(struct gate_export *x, uint64_t bytes);
void fetch_memory_return(struct gate_export *x, uint64_t bytes);

/* ---- space.c ---- */
/* May so many bytes be staged for a file of the export that has `own` staged
 * already?  0, -ENOSPC, or -EAGAIN (other uploads will make room, or
 * space_make). */
int space_reserve(struct gate_export *x, uint64_t len, uint64_t own);
/* Is there more than there shall be, in the cache or on the disk? */
bool space_short(struct gate *g);
/* Drop clean bytes of files that nobody uses, until all fits.  No mutex is
 * held. */
void space_make(struct gate *g);

/* ---- quota_scan.c ---- */
/* Count what the export uses, in a thread of its own; quota_stop: no more. */
int quota_start(struct gate_export *x) __attribute__((warn_unused_result));
void quota_stop(struct gate *g);
/* May it reach that far?  S3 has no holes: zeros are sent.  -EFBIG.  Mutex
 * held. */
int quota_hole_locked(const struct node *n, uint64_t end)
	__attribute__((warn_unused_result));

#endif
