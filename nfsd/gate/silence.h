/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_SILENCE_H
#define NFSD_GATE_SILENCE_H

#include "nfsd/gate/gate_priv.h"

/* ---- silence.c: how long a writer has sent nothing about its file ---- */

/* A call about the file begins, and has been answered or is put off (r and
 * rq->again, as they go to the caller).  Each attempt of it, no mutex. */
void silence_begin(struct node *n, struct gate_request *rq);
void silence_end(struct node *n, struct gate_request *rq, int r);
/* The client has become the writer, by this call (rq NULL: by one that is
 * answered now).  Mutex held. */
void silence_opened_locked(struct node *n, struct gate_request *rq);
/* It was before a restart, and is on its way back perhaps.  Mutex held. */
void silence_recovered_locked(struct node *n);
/* For so long; 0 while a call of it is not answered.  Mutex held. */
uint64_t silence_ms_locked(const struct node *n, uint64_t now);
/* It is at it: it has been heard of a moment ago.  Mutex held. */
bool silence_broken_locked(const struct node *n, uint64_t now);
/* Others are shown what it has written, when that is due; a flush is the
 * caller's to do if this is true.  Sets the time for the next look.  Mutex
 * held. */
bool silence_tick_locked(struct node *n, uint64_t now);
/* For s3nfsctl.  Mutex held. */
void silence_tell_locked(const struct node *n, struct gate_handle_info *out);
/* A pool's: what a silent writer has sent counts as flushed. */
int silence_flush(struct node *n);

/* ---- shown.c: what others see of a writer that was silent once ---- */

/* One moment's bytes that were not flushed, over those that were.  The places
 * are not written over and not given up as long as it is there. */
struct shown {
	struct extents map;
	uint64_t size;
	int64_t mtime_ns, ctime_ns;
};

/* The ctime that others are to see with what they get next: it has to move
 * with the bytes, or clients keep what they have in their caches.  Mutex held,
 * as for all that follows. */
int64_t shown_next_ctime_locked(const struct node *n);
/* -ENOMEM: others see what they saw. */
int shown_take_locked(struct node *n) __attribute__((warn_unused_result));
void shown_drop_locked(struct node *n);
/* What this client sees of it; NULL: nothing. */
const struct shown *shown_to_locked(const struct node *n,
				    const struct gate_request *rq);
/* As data_piece_locked. */
void shown_piece_locked(struct node *n, const struct shown *shown,
			uint64_t off, uint64_t end, struct piece *out);
/* The file has this size now, for everybody. */
void shown_resize_locked(struct node *n, uint64_t size);
/* Do bytes lie in [off, off + len) of the file, at their own offset, that are
 * shown? */
bool shown_in_place(const struct node *n, uint64_t off, uint64_t len);

#endif
