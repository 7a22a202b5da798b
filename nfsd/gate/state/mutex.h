/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_STATE_MUTEX_H
#define NFSD_GATE_STATE_MUTEX_H

/*
 * Mutexes that, in test builds (--enable-failpoints), know who holds them and
 * in which order they may be taken: what breaks the rules of state.h aborts
 * with the names of the locks, on the first run that comes by, not on the one
 * in a million that meets another thread.  In other builds they are pthread's.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifndef PACKAGE_NAME
#error "config.h comes first: it tells whether this is a test build"
#endif

/* In the order in which they are taken: whoever holds one takes none that is
 * of the same rank or comes before it. */
enum mutex_rank {
	MUTEX_RENAMES,		/* over transactions and the store */
	MUTEX_LINKS,		/* over transactions */
	MUTEX_PARTS,		/* from here on held for moments */
	MUTEX_NODE,
	MUTEX_SHARD,
	MUTEX_GATE,
	MUTEX_DIRMOVES,
	MUTEX_LEAF,		/* under which no other is taken */
	MUTEX_RANKS
};

struct mutex {
	pthread_mutex_t pthread;
	uint8_t rank;
	bool held;		/* test builds: by owner */
	pthread_t owner;
};

#define MUTEX_INIT(of_rank) \
	{ .pthread = PTHREAD_MUTEX_INITIALIZER, .rank = (of_rank) }

void mutex_init(struct mutex *m, enum mutex_rank rank);
void mutex_destroy(struct mutex *m);

#ifdef FAILPOINTS

void mutex_lock(struct mutex *m);
void mutex_lock_second(struct mutex *m);
bool mutex_try(struct mutex *m);
void mutex_unlock(struct mutex *m);
int mutex_wait(struct mutex *m, pthread_cond_t *cond,
	       const struct timespec *until);

/* Nobody else can have it, not yet or not any more: as if this thread held it,
 * whatever else it holds; and the other way. */
void mutex_own(struct mutex *m);
void mutex_disown(struct mutex *m);

/* What every function named ..._locked begins with. */
void mutex_must_hold(const struct mutex *m);
/* Of what may last, a transaction, the disk, S3: none of MUTEX_PARTS and above
 * is held. */
void mutex_may_last(void);

#else

static inline void
mutex_lock(struct mutex *m)
{
	pthread_mutex_lock(&m->pthread);
}

/* The second of its rank: an alias's under that of its file (link/), a shard's
 * under that of one before it. */
static inline void
mutex_lock_second(struct mutex *m)
{
	pthread_mutex_lock(&m->pthread);
}

/* In any order, since it waits for nobody.  Was it free? */
static inline bool
mutex_try(struct mutex *m)
{
	return pthread_mutex_trylock(&m->pthread) == 0;
}

static inline void
mutex_unlock(struct mutex *m)
{
	pthread_mutex_unlock(&m->pthread);
}

/* pthread_cond_timedwait, or without an end if until is NULL. */
static inline int
mutex_wait(struct mutex *m, pthread_cond_t *cond, const struct timespec *until)
{
	return until == NULL
		       ? pthread_cond_wait(cond, &m->pthread)
		       : pthread_cond_timedwait(cond, &m->pthread, until);
}

static inline void
mutex_own(struct mutex *m)
{
	(void)m;
}

static inline void
mutex_disown(struct mutex *m)
{
	(void)m;
}

static inline void
mutex_must_hold(const struct mutex *m)
{
	(void)m;
}

static inline void
mutex_may_last(void)
{
}

#endif

#endif
