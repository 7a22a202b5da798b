/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_WORKER_WORKER_H
#define NFSD_GATE_WORKER_WORKER_H

/* Threads, timers, clocks, the log, fail points: what any file may call. */

#include "nfsd/gate/state/state.h"

/* ---- in test builds ---- */

/* pool.c: whoever waits for a job of the pool runs no other of it: test builds
 * abort if he does. */
#ifdef FAILPOINTS
void pool_may_wait(struct pool *pool);
#else
#define pool_may_wait(pool) ((void)(pool))
#endif

/* failpoint.c: a crash, or a pause, at this step. */
#ifdef FAILPOINTS
void failpoint(const char *name);
int64_t failpoint_clock_ns(void);	/* to add to the wall clock */
#else
#define failpoint(name) ((void)0)
#define failpoint_clock_ns() 0
#endif

/* ---- pool.c ---- */

/* For what the database knows already, and memory has to: a moment, after which
 * there may be some.  No mutex is held. */
void memory_wait(void);

int pool_start(struct pool *pool, unsigned per_lane);
void pool_stop(struct pool *pool);	/* runs what is queued, then joins */
/* owner: an export, or NULL for what needs no store. */
int pool_add(struct pool *pool, const void *owner, enum pool_rank rank,
	     void (*run)(void *arg), void *arg);

int timers_start(struct timers *t, struct run_clock *clock,
		 void (*fire)(void *arg, uint64_t ino), void *arg);
/* No more fire(); threads that still run may go on adding in vain. */
void timers_stop(struct timers *t);
void timers_free(struct timers *t);
/* Waits for nothing: mutexes may be held. */
void timers_add(struct timers *t, uint64_t at_ms, uint64_t ino);

/* What clients are held to: it stands while we do (clock.h).  Of it are all
 * times of writers, leases, reservations, refusals, fences and strict readers:
 * h_opened_ms, h_last_ms, lease_ms, reserved_until_ms, refused.*_ms,
 * reader.*_ms, fenced.refused_ms, identity.last_ms. */
uint64_t run_ms(struct gate *g);

/* ---- log.c ---- */
uint32_t gate_generation(const struct gate *g);	/* of a new inode */
void gate_say(struct gate *g, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A background thread has nothing to do for so long, or until the end. */
void gate_rest(struct gate *g, uint64_t ms);
uint64_t clock_ms(void);	/* CLOCK_MONOTONIC */
int64_t clock_ns(void);		/* CLOCK_REALTIME */
/* As of when an answer counts that S3 was asked for at asked_ms: 0 if the
 * operator's refresh came since. */
uint64_t answer_ms(struct gate *g, uint64_t asked_ms);
/* An invariant of the design (audit.c) does not hold: counted, and logged with
 * what is said of it. */
void audit_broken(struct gate *g, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Counted only. */
void audit_count(struct gate *g);

#endif
