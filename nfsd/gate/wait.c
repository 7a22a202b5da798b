/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a node: the file lock, which one holds and the next in line
 * gets; requests that are parked until something changes or their time is
 * up; and the timers that look what is due.  A parked request costs no
 * thread: its token is handed back exactly once.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/silence.h"
#include "nfsd/gate/watch.h"

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

/* Wake those whose time is up. */
static uint64_t
wake_due_locked(struct node *n, uint64_t now)
{
	struct gate *g = n->export->gate;
	struct waiter *w, *next;
	uint64_t soonest = 0;

	for (w = TAILQ_FIRST(&n->waiters); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->until_ms > now) {
			if (soonest == 0 || w->until_ms < soonest)
				soonest = w->until_ms;
			continue;
		}
		TAILQ_REMOVE(&n->waiters, w, link);
		__atomic_sub_fetch(&g->held, 1, __ATOMIC_RELAXED);
		g->config.wake(g->config.wake_arg, w->token);
		free(w);
	}
	return soonest;
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

/* A writer whose machine is at work elsewhere gets more time: it may hold the
 * file open and idle (rule.md 7). */
static uint64_t
lease_locked(const struct node *n, uint64_t run)
{
	uint64_t alive = n->export->c.lease_ms / 9 * 30;

	if (n->lease_ms < n->export->c.lease_ms ||
	    who_last_ms(n->export, n->h.who) + n->lease_ms < run)
		return n->lease_ms;
	return alive > LEASE_ALIVE_MAX_MS ? LEASE_ALIVE_MAX_MS : alive;
}

/* What comes next for this node, and what of it is due (NULL: nothing that
 * takes a thread)? */
static int
(*tick_locked(struct node *n, uint64_t now,
	      struct fetch_list *gone))(struct node *)
{
	uint64_t soonest = wake_due_locked(n, now);
	uint64_t held = fetch_tick_locked(n, now, gone);
	uint64_t run = run_ms(n->export->gate);
	int (*due)(struct node *) = NULL;

#define SOONER(at)                                                            \
	do {                                                                  \
		if (soonest == 0 || (at) < soonest)                           \
			soonest = (at);                                       \
	} while (0)
/* Of that clock, and at the soonest then. */
#define SOONER_RUN(at) SOONER((at) > run ? now + ((at) - run) : now)
	if (held != 0)
		SOONER(held);
	if (n->reserved_who != NULL) {
		if (n->reserved_until_ms <= run) {
			admit_unreserve_locked(n);
		} else {
			SOONER_RUN(n->reserved_until_ms);
		}
	}
	if (n->h.state == META_ACTIVE) {
		uint64_t lease = lease_locked(n, run);
		uint64_t at = n->settle_empty
				      ? n->h_opened_ms +
						n->export->c.create_settle_ms
				      : n->h_last_ms + lease;

		/* Its machine may be found silent before that. */
		if (!n->settle_empty && lease > n->lease_ms)
			SOONER_RUN(who_last_ms(n->export, n->h.who) +
				   n->lease_ms + 1);
		if (at <= run) {
			due = n->settle_empty ? write_settle_empty
					      : write_abandon;
			SOONER(now + 1000);	/* should that fail */
		} else {
			SOONER_RUN(at);
		}
	}
	if (silence_tick_locked(n, run) && due == NULL)
		due = silence_flush;
	/* Sets its own time, where time is what it waits for. */
	upload_schedule_locked(n, false);
	if (soonest != 0)
		node_tick_at_locked(n, soonest);
#undef SOONER_RUN
#undef SOONER
	return due;
}

struct due {			/* what the timer thread hands to a pool */
	struct node *node;
	int (*run)(struct node *n);
};

static void
due_run(void *arg)
{
	struct due *due = arg;

	(void)due->run(due->node);
	node_put(&due->node);
	free(due);
}

#define NO_MEMORY_MS 100	/* there may be some again */

static int
set_anew(void *arg, struct node *n)
{
	(void)arg;
	pthread_mutex_lock(&n->mutex);
	if (n->tick_ms != 0)
		timers_add(&n->export->gate->timers, n->tick_ms, n->ino);
	pthread_mutex_unlock(&n->mutex);
	return 0;
}

/* Somebody's time has come, or comes, and it is not known whose: each sets his
 * timer once more.  One that is there already does no harm. */
static void
tick_everybody(struct gate *g)
{
	delete_tick(g);
	deletes_timer(g);
	watch_timer(g);
	if (each_node(g, set_anew, NULL) < 0)
		timers_add(&g->timers, clock_ms() + NO_MEMORY_MS, TIMERS_LOST);
}

void
node_tick(void *arg, uint64_t ino)
{
	struct fetch_list gone = LIST_HEAD_INITIALIZER(gone);
	struct gate *g = arg;
	struct node *n = NULL;
	int (*run)(struct node *) = NULL;
	struct due *due;

	if (ino == WATCH_TICK) {
		watch_tick(g);
		return;
	}
	if (ino == TIMERS_LOST) {
		tick_everybody(g);
		return;
	}
	if (ino == 0) {		/* not a node's: a deletion is to be retried */
		delete_tick(g);
		return;
	}
	n = node_find(g, ino);
	if (n == NULL)
		return;
	pthread_mutex_lock(&n->mutex);
	n->tick_ms = 0;
	run = tick_locked(n, clock_ms(), &gone);
	pthread_mutex_unlock(&n->mutex);
	fetch_free(&gone);
	if (run != NULL) {
		due = malloc(sizeof(*due));
		if (due != NULL) {
			*due = (struct due){ node_ref(n), run };
			if (pool_add(&g->transfers, NULL, POOL_NEXT, due_run,
				     due) < 0) {
				node_put(&due->node);
				free(due);
			}
		}
	}
	node_put(&n);
}
