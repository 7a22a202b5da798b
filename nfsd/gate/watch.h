/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_WATCH_H
#define NFSD_GATE_WATCH_H

/* Invariants of the design, watched while the program runs: watch.c. */

#include "nfsd/gate/upload.h"

#define WATCH_TICK UINT64_MAX	/* the timer's number for the patrol */

/* One does not hold: counted, and logged with what is said of it. */
void watch_broken(struct gate *g, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same of a file, whose name and handle are logged in a moment.  what is
 * a literal; client: who did it, or what else is to be told.  Mutex held, no
 * shard's. */
void watch_broken_locked(struct node *n, const char *what,
			 const char *client);
/* This client's bytes are about to be staged: -EIO if the file is not its
 * own to write.  Mutex held. */
int watch_writer_locked(struct node *n, const char *who)
	__attribute__((warn_unused_result));
/* A request that changes the object at s->snap.key is about to go out. */
void watch_key(struct sending *s);
/* One pass over all nodes; no lock is held. */
void watch_patrol(struct gate *g);
void watch_start(struct gate *g);	/* the first is due in ten seconds */
void watch_tick(struct gate *g);	/* it is due */
void watch_timer(struct gate *g);	/* its timer may be lost: set it again */

#endif
