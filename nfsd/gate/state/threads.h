/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_STATE_THREADS_H
#define NFSD_GATE_STATE_THREADS_H

/* Pools of threads, and timers. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "nfsd/gate/clock.h"
#include "nfsd/gate/state/mutex.h"

struct job {
	STAILQ_ENTRY(job) link;
	void (*run)(void *arg);
	void *arg;
};

/* Who goes first among the jobs of one owner. */
enum pool_rank {
	POOL_AWAITED,		/* a client waits for it */
	POOL_NEXT,		/* ... will, or S3 is owed it */
	POOL_RANKS
};

struct pool {
	struct mutex mutex;
	pthread_cond_t work_ready;
	LIST_HEAD(, lane) lanes;
	TAILQ_HEAD(, lane) turns;	/* those with a job that may run */
	unsigned per_lane;
	pthread_t *threads;
	unsigned count;
	unsigned sleeping, called;	/* threads; of those, signalled */
	bool stopping;
};

struct timer {
	uint64_t at_ms, ino;
};

#define TIMERS_FEW 16

struct timers {
	struct mutex mutex;
	pthread_cond_t sooner;
	struct timer *heap;
	size_t count, room;
	/* For which there was no memory; and when the first of those comes
	 * that had no place either.  0: none does. */
	struct timer few[TIMERS_FEW];
	unsigned few_count;
	uint64_t lost_ms;
	bool stopping, running;
	pthread_t thread;
	void (*fire)(void *arg, uint64_t ino);
	void *arg;
	struct run_clock *clock;	/* it sees that somebody looks */
};

/* The number of fire() when such a time has come: of whom is not known. */
#define TIMERS_LOST (UINT64_MAX - 1)

#endif
