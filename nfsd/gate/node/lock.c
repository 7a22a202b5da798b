/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a node: the file lock, which one holds and the next in line
 * gets; requests that are parked until something changes or their time is
 * up; and its timer, of which tick.c tells what it finds due.  A parked request
 * costs no thread: its token is handed back exactly once.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "nfsd/gate/node/inside.h"
#include "nfsd/gate/worker/worker.h"

/* ---- the file lock ---- */

int
node_lock(struct node *n, struct gate_request *rq)
{
	pthread_mutex_lock(&n->mutex);
	if (n->locked && !rq->may_block) {
		pthread_mutex_unlock(&n->mutex);
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	while (n->locked && !n->dead)
		pthread_cond_wait(&n->unlocked, &n->mutex);
	if (n->dead) {
		/* The next in line has to learn it too. */
		pthread_cond_signal(&n->unlocked);
		pthread_mutex_unlock(&n->mutex);
		return -ESTALE;
	}
	n->locked = true;
	pthread_mutex_unlock(&n->mutex);
	return 0;
}

void
node_lock_wait(struct node *n)
{
	pthread_mutex_lock(&n->mutex);
	while (n->locked)
		pthread_cond_wait(&n->unlocked, &n->mutex);
	n->locked = true;
	pthread_mutex_unlock(&n->mutex);
}

void
node_unlock_locked(struct node *n)
{
	n->locked = false;
	pthread_cond_signal(&n->unlocked);
}

void
node_unlock(struct node *n)
{
	pthread_mutex_lock(&n->mutex);
	n->locked = false;
	pthread_mutex_unlock(&n->mutex);
	/* The caller has a reference; woken under the mutex, the next in line
	 * would only run into it. */
	pthread_cond_signal(&n->unlocked);
}

/* ---- waiting ---- */

/* Who is parked for bytes of the bucket is woken, and comes again. */
static void
fetch_woken_locked(struct node *n)
{
	struct fetch *f;

	/* Who finds that they are not here yet is parked anew. */
	LIST_FOREACH(f, &n->d.fetches, link)
		f->awaited = f->buf == NULL ? 0 : f->awaited;
}

void
node_changed_locked(struct node *n)
{
	struct gate *g = n->export->gate;
	struct waiter *w;

	while ((w = TAILQ_FIRST(&n->waiters)) != NULL) {
		TAILQ_REMOVE(&n->waiters, w, link);
		__atomic_sub_fetch(&g->held, 1, __ATOMIC_RELAXED);
		g->config.wake(g->config.wake_arg, w->token);
		free(w);
	}
	fetch_woken_locked(n);
	pthread_cond_broadcast(&n->changed);
}

int
node_hold_locked(struct node *n, struct gate_request *rq, uint64_t until_ms)
{
	struct gate *g = n->export->gate;
	struct waiter *w;

	if (rq->token == NULL) {
		struct timespec ts = { (time_t)(until_ms / 1000),
				       (long)(until_ms % 1000) * 1000000 };

		rq->again = GATE_NEEDS_THREAD;
		if (rq->may_block)
			pthread_cond_timedwait(&n->changed, &n->mutex, &ts);
		return -EAGAIN;
	}
	w = malloc(sizeof(*w));
	if (w == NULL) {
		rq->again = GATE_JUKEBOX;
		return -EAGAIN;
	}
	w->token = rq->token;
	w->until_ms = until_ms;
	TAILQ_INSERT_TAIL(&n->waiters, w, link);
	__atomic_add_fetch(&g->held, 1, __ATOMIC_RELAXED);
	node_tick_at_locked(n, until_ms);
	rq->again = GATE_HOLD;
	return -EAGAIN;
}

void
node_tick_at_locked(struct node *n, uint64_t at_ms)
{
	if (n->tick_ms != 0 && n->tick_ms <= at_ms)
		return;
	n->tick_ms = at_ms;
	timers_add(&n->export->gate->timers, at_ms, n->ino);
}

void
node_tick_run_locked(struct node *n, uint64_t run_at_ms)
{
	uint64_t run = run_ms(n->export->gate);

	node_tick_at_locked(n, clock_ms() +
			    (run_at_ms > run ? run_at_ms - run : 0));
}

int
node_tick_anew(void *arg, struct node *n)
{
	(void)arg;
	pthread_mutex_lock(&n->mutex);
	if (n->tick_ms != 0)
		timers_add(&n->export->gate->timers, n->tick_ms, n->ino);
	pthread_mutex_unlock(&n->mutex);
	return 0;
}
