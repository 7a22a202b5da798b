/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of the gate: pools that run jobs in the order in which they came,
 * and one timer thread that calls fire(inode) when a time has come.  Timers
 * are never taken back: who is woken looks for himself what is due.  It also
 * looks at the clock by which clients are measured (clock.h), so that this
 * stands only while the program does.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "nfsd/gate/gate_priv.h"

uint64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t
run_ms(struct gate *g)
{
	return run_clock_ms(&g->clock);
}

int64_t
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec +
	       failpoint_clock_ns();
}

static void *
pool_main(void *arg)
{
	struct pool *p = arg;
	struct job *job;

	pthread_mutex_lock(&p->mutex);
	for (;;) {
		while ((job = STAILQ_FIRST(&p->jobs)) == NULL && !p->stopping)
			pthread_cond_wait(&p->work_ready, &p->mutex);
		if (job == NULL)
			break;
		STAILQ_REMOVE_HEAD(&p->jobs, link);
		p->busy++;
		pthread_mutex_unlock(&p->mutex);
		job->run(job->arg);
		free(job);
		pthread_mutex_lock(&p->mutex);
		p->busy--;
	}
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

int
pool_start(struct pool *p, unsigned threads)
{
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->work_ready, NULL);
	STAILQ_INIT(&p->jobs);
	p->stopping = false;
	p->busy = 0;
	p->count = 0;
	p->threads = calloc(threads, sizeof(*p->threads));
	if (p->threads == NULL)
		return -ENOMEM;
	while (p->count < threads) {
		int r = pthread_create(&p->threads[p->count], NULL, pool_main,
				       p);

		if (r != 0)
			return -r;
		p->count++;
	}
	return 0;
}

void
pool_stop(struct pool *p)
{
	if (p->threads == NULL)
		return;
	pthread_mutex_lock(&p->mutex);
	p->stopping = true;
	pthread_cond_broadcast(&p->work_ready);
	pthread_mutex_unlock(&p->mutex);
	for (unsigned i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	free(p->threads);
	p->threads = NULL;
	pthread_mutex_destroy(&p->mutex);
	pthread_cond_destroy(&p->work_ready);
}

int
pool_add(struct pool *p, void (*run)(void *arg), void *arg)
{
	struct job *job = malloc(sizeof(*job));

	if (job == NULL)
		return -ENOMEM;
	*job = (struct job){ .run = run, .arg = arg };
	pthread_mutex_lock(&p->mutex);
	STAILQ_INSERT_TAIL(&p->jobs, job, link);
	pthread_cond_signal(&p->work_ready);
	pthread_mutex_unlock(&p->mutex);
	return 0;
}

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

void
timers_add(struct timers *t, uint64_t at_ms, uint64_t ino)
{
	pthread_mutex_lock(&t->mutex);
	if (t->stopping) {
		pthread_mutex_unlock(&t->mutex);
		return;
	}
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 1024;
		struct timer *heap = realloc(t->heap, room * sizeof(*heap));

		/* Without memory the timer comes with the next change of the
		 * file; there is nobody to tell here. */
		if (heap == NULL) {
			pthread_mutex_unlock(&t->mutex);
			return;
		}
		t->heap = heap;
		t->room = room;
	}
	t->heap[t->count] = (struct timer){ at_ms, ino };
	sift_up(t, t->count++);
	if (t->heap[0].at_ms == at_ms)
		pthread_cond_signal(&t->sooner);
	pthread_mutex_unlock(&t->mutex);
}

static void *
timers_main(void *arg)
{
	struct timers *t = arg;

	pthread_mutex_lock(&t->mutex);
	while (!t->stopping) {
		struct timespec ts;
		uint64_t at = clock_ms() + RUN_LOOK_MS, ino;

		(void)run_clock_ms(t->clock);
		if (t->count > 0 && t->heap[0].at_ms < at)
			at = t->heap[0].at_ms;
		if (at > clock_ms()) {
			ts.tv_sec = (time_t)(at / 1000);
			ts.tv_nsec = (long)(at % 1000) * 1000000;
			pthread_cond_timedwait(&t->sooner, &t->mutex, &ts);
			continue;
		}
		ino = t->heap[0].ino;
		t->heap[0] = t->heap[--t->count];
		sift_down(t, 0);
		pthread_mutex_unlock(&t->mutex);
		t->fire(t->arg, ino);
		pthread_mutex_lock(&t->mutex);
	}
	pthread_mutex_unlock(&t->mutex);
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
	pthread_mutex_init(&t->mutex, NULL);
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
	pthread_mutex_lock(&t->mutex);
	t->stopping = true;
	pthread_cond_signal(&t->sooner);
	pthread_mutex_unlock(&t->mutex);
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
	pthread_mutex_destroy(&t->mutex);
	pthread_cond_destroy(&t->sooner);
}
