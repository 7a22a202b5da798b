/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of the gate: pools that run jobs, and one timer thread that calls
 * fire(inode) when a time has come.
 *
 * A pool has a lane for each owner of jobs (an export), with threads of its
 * own, which are made when they are needed: a store that does not answer keeps
 * those of its export and no others.  In a lane what somebody waits for goes
 * first, else jobs run in the order in which they came.
 *
 * Timers are never taken back: who is woken looks for himself what is due.  One
 * for which there is no memory is not waited for, since who sets it holds a
 * mutex.  A few have a place of their own; of others it is kept when the first
 * comes, and fire() is told then, and asks everybody.
 * Their thread also looks at the clock by which clients are measured (clock.h),
 * so that this stands only while the program does.
 */

#include <config.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "nfsd/gate/worker/worker.h"

#define THREADS_MAX 1024	/* of a pool, whatever its lanes may have */
#define PASSED_MAX 3		/* jobs before one of a lower rank */

void
memory_wait(void)
{
	const struct timespec ts = { 0, 10000000 };

	nanosleep(&ts, NULL);
}

uint64_t
run_ms(struct gate *g)
{
	return run_clock_ms(&g->clock);
}

/* ---- whose turn it is; mutex held ---- */

/* Jobs of one owner. */
struct lane {
	LIST_ENTRY(lane) link;
	TAILQ_ENTRY(lane) turn;
	const void *owner;
	unsigned running;
	bool ready;		/* in the pool's turns */
	unsigned passed;	/* jobs before those of a lower rank */
	STAILQ_HEAD(, job) jobs[POOL_RANKS];
};

static bool
waits(const struct lane *l)
{
	for (unsigned i = 0; i < POOL_RANKS; i++) {
		if (!STAILQ_EMPTY(&l->jobs[i]))
			return true;
	}
	return false;
}

static void
enlist(struct pool *p, struct lane *l)
{
	if (l->ready || !waits(l) || l->running >= p->per_lane)
		return;
	l->ready = true;
	TAILQ_INSERT_TAIL(&p->turns, l, turn);
}

/* The next of the highest rank; now and then one of the next lower, so that
 * nobody waits for ever. */
static struct job *
next_of(struct lane *l)
{
	unsigned first = POOL_RANKS, second = POOL_RANKS, rank;
	struct job *job;

	for (unsigned i = POOL_RANKS; i-- > 0; ) {
		if (STAILQ_EMPTY(&l->jobs[i]))
			continue;
		second = first;
		first = i;
	}
	l->passed = second == POOL_RANKS ? 0 : l->passed + 1;
	rank = l->passed > PASSED_MAX ? second : first;
	if (rank != first)
		l->passed = 0;
	job = STAILQ_FIRST(&l->jobs[rank]);
	STAILQ_REMOVE_HEAD(&l->jobs[rank], link);
	return job;
}

static struct lane *
lane_of(struct pool *p, const void *owner)
{
	struct lane *l;

	LIST_FOREACH(l, &p->lanes, link) {
		if (l->owner == owner)
			return l;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->owner = owner;
	for (unsigned i = 0; i < POOL_RANKS; i++)
		STAILQ_INIT(&l->jobs[i]);
	LIST_INSERT_HEAD(&p->lanes, l, link);
	return l;
}

/* ---- threads ---- */

static void *pool_main(void *arg);

/* Mutex held. */
static int
grow(struct pool *p)
{
	int r;

	if (p->count == THREADS_MAX)
		return -EAGAIN;
	r = -pthread_create(&p->threads[p->count], NULL, pool_main, p);
	p->count += r == 0;
	return r;
}

/* A job may run: have a thread look.  Mutex held. */
static void
call_one(struct pool *p)
{
	if (p->sleeping > p->called) {
		p->called++;
		pthread_cond_signal(&p->work_ready);
	} else if (!p->stopping) {
		/* Without one more the others come to it. */
		(void)grow(p);
	}
}

static void *
pool_main(void *arg)
{
	struct pool *p = arg;
	struct lane *l;
	struct job *job;

	mutex_lock(&p->mutex);
	for (;;) {
		while ((l = TAILQ_FIRST(&p->turns)) == NULL && !p->stopping) {
			p->sleeping++;
			mutex_wait(&p->mutex, &p->work_ready, NULL);
			p->sleeping--;
			p->called -= p->called > 0;
		}
		if (l == NULL)
			break;
		TAILQ_REMOVE(&p->turns, l, turn);
		l->ready = false;
		job = next_of(l);
		l->running++;
		enlist(p, l);
		if (!TAILQ_EMPTY(&p->turns))
			call_one(p);
		mutex_unlock(&p->mutex);
		job->run(job->arg);
		free(job);
		mutex_lock(&p->mutex);
		l->running--;
		enlist(p, l);
	}
	mutex_unlock(&p->mutex);
	return NULL;
}

int
pool_start(struct pool *p, unsigned per_lane)
{
	int r;

	mutex_init(&p->mutex, MUTEX_LEAF);
	pthread_cond_init(&p->work_ready, NULL);
	LIST_INIT(&p->lanes);
	TAILQ_INIT(&p->turns);
	p->per_lane = per_lane;
	p->stopping = false;
	p->count = p->sleeping = p->called = 0;
	p->threads = calloc(THREADS_MAX, sizeof(*p->threads));
	if (p->threads == NULL)
		return -ENOMEM;
	mutex_lock(&p->mutex);
	r = grow(p);
	mutex_unlock(&p->mutex);
	return r;
}

void
pool_stop(struct pool *p)
{
	struct lane *l;

	if (p->threads == NULL)
		return;
	mutex_lock(&p->mutex);
	p->stopping = true;
	pthread_cond_broadcast(&p->work_ready);
	mutex_unlock(&p->mutex);
	for (unsigned i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	free(p->threads);
	p->threads = NULL;
	while ((l = LIST_FIRST(&p->lanes)) != NULL) {
		LIST_REMOVE(l, link);
		free(l);
	}
	mutex_destroy(&p->mutex);
	pthread_cond_destroy(&p->work_ready);
}

int
pool_add(struct pool *p, const void *owner, enum pool_rank rank,
	 void (*run)(void *arg), void *arg)
{
	struct job *job = malloc(sizeof(*job));
	struct lane *l;

	if (job == NULL)
		return -ENOMEM;
	*job = (struct job){ .run = run, .arg = arg };
	mutex_lock(&p->mutex);
	l = lane_of(p, owner);
	if (l == NULL) {
		mutex_unlock(&p->mutex);
		free(job);
		return -ENOMEM;
	}
	STAILQ_INSERT_TAIL(&l->jobs[rank], job, link);
	enlist(p, l);
	if (l->ready)
		call_one(p);
	mutex_unlock(&p->mutex);
	return 0;
}

#ifdef FAILPOINTS
void
pool_may_wait(struct pool *p)
{
	mutex_lock(&p->mutex);
	for (unsigned i = 0; i < p->count; i++)
		assert(!pthread_equal(p->threads[i], pthread_self()));
	mutex_unlock(&p->mutex);
}
#endif

/* ---- timers: a binary heap, soonest on top ---- */

static void
sift_up(struct timers *t, size_t i)
{
	while (i > 0 && t->heap[(i - 1) / 2].at_ms > t->heap[i].at_ms) {
		struct timer swap = t->heap[i];

		t->heap[i] = t->heap[(i - 1) / 2];
		t->heap[(i - 1) / 2] = swap;
		i = (i - 1) / 2;
	}
}

static void
sift_down(struct timers *t, size_t i)
{
	for (;;) {
		size_t least = i;
		struct timer swap;

		for (size_t c = 2 * i + 1; c <= 2 * i + 2; c++) {
			if (c < t->count &&
			    t->heap[c].at_ms < t->heap[least].at_ms)
				least = c;
		}
		if (least == i)
			return;
		swap = t->heap[i];
		t->heap[i] = t->heap[least];
		t->heap[least] = swap;
		i = least;
	}
}

/* Somebody may be parked until then, whom nothing else would wake. */
static void
add_without_memory(struct timers *t, uint64_t at_ms, uint64_t ino)
{
	if (t->few_count < TIMERS_FEW)
		t->few[t->few_count++] = (struct timer){ at_ms, ino };
	else if (t->lost_ms == 0 || at_ms < t->lost_ms)
		t->lost_ms = at_ms;
	pthread_cond_signal(&t->sooner);
}

void
timers_add(struct timers *t, uint64_t at_ms, uint64_t ino)
{
	mutex_lock(&t->mutex);
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 1024;
		struct timer *heap = realloc(t->heap, room * sizeof(*heap));

		if (heap != NULL) {
			t->heap = heap;
			t->room = room;
		}
	}
	if (!t->stopping && t->count == t->room) {
		add_without_memory(t, at_ms, ino);
	} else if (!t->stopping) {
		t->heap[t->count] = (struct timer){ at_ms, ino };
		sift_up(t, t->count++);
		if (t->heap[0].at_ms == at_ms)
			pthread_cond_signal(&t->sooner);
	}
	mutex_unlock(&t->mutex);
}

/* The next that is due now; false: none is, and *at_ms is when to look again.
 * Mutex held. */
static bool
next_due(struct timers *t, uint64_t *at_ms, uint64_t *ino)
{
	uint64_t now = clock_ms();

	*at_ms = now + RUN_LOOK_MS;
	if (t->count > 0 && t->heap[0].at_ms <= now) {
		*ino = t->heap[0].ino;
		t->heap[0] = t->heap[--t->count];
		sift_down(t, 0);
		return true;
	}
	for (unsigned i = 0; i < t->few_count; i++) {
		if (t->few[i].at_ms <= now) {
			*ino = t->few[i].ino;
			t->few[i] = t->few[--t->few_count];
			return true;
		}
		if (t->few[i].at_ms < *at_ms)
			*at_ms = t->few[i].at_ms;
	}
	if (t->lost_ms != 0 && t->lost_ms <= now) {
		*ino = TIMERS_LOST;
		t->lost_ms = 0;
		return true;
	}
	if (t->count > 0 && t->heap[0].at_ms < *at_ms)
		*at_ms = t->heap[0].at_ms;
	if (t->lost_ms != 0 && t->lost_ms < *at_ms)
		*at_ms = t->lost_ms;
	return false;
}

static void *
timers_main(void *arg)
{
	struct timers *t = arg;

	mutex_lock(&t->mutex);
	while (!t->stopping) {
		struct timespec ts;
		uint64_t at, ino;

		(void)run_clock_ms(t->clock);
		if (!next_due(t, &at, &ino)) {
			ts.tv_sec = (time_t)(at / 1000);
			ts.tv_nsec = (long)(at % 1000) * 1000000;
			mutex_wait(&t->mutex, &t->sooner, &ts);
			continue;
		}
		mutex_unlock(&t->mutex);
		t->fire(t->arg, ino);
		mutex_lock(&t->mutex);
	}
	mutex_unlock(&t->mutex);
	return NULL;
}

int
timers_start(struct timers *t, struct run_clock *clock,
	     void (*fire)(void *arg, uint64_t ino), void *arg)
{
	pthread_condattr_t attr;
	int r;

	t->clock = clock;
	t->fire = fire;
	t->arg = arg;
	mutex_init(&t->mutex, MUTEX_LEAF);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->sooner, &attr);
	pthread_condattr_destroy(&attr);
	r = -pthread_create(&t->thread, NULL, timers_main, t);
	t->running = r == 0;
	return r;
}

void
timers_stop(struct timers *t)
{
	if (!t->running)
		return;
	mutex_lock(&t->mutex);
	t->stopping = true;
	pthread_cond_signal(&t->sooner);
	mutex_unlock(&t->mutex);
	pthread_join(t->thread, NULL);
	t->running = false;
}

void
timers_free(struct timers *t)
{
	if (t->fire == NULL)	/* never started */
		return;
	free(t->heap);
	t->heap = NULL;
	mutex_destroy(&t->mutex);
	pthread_cond_destroy(&t->sooner);
}
