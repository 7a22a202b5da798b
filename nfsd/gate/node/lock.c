/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a node: the file lock, which one holds and the next in line
 * gets; requests that are parked until something changes or their time is
 * up; and its timer, of which tick.c tells what it finds due.  A parked request
 * costs no thread: its token is handed back exactly once.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "nfsd/gate/node/inside.h"
#include "nfsd/gate/worker/worker.h"

/* ---- the file lock ---- */

/* In test builds each thread knows which it has, and aborts if it waits for
 * one out of order: directories by their numbers, then files. */
#ifdef FAILPOINTS

#define LOCKS_MAX 32

static _Thread_local struct {
	const struct node *list[LOCKS_MAX];
	unsigned count;
} mine;

__attribute__((noreturn)) static void
broken(const char *what, const struct node *n)
{
	fprintf(stderr, "locks: %s: inode %llu, kind %d", what,
		(unsigned long long)n->ino, n->i.kind);
	for (unsigned i = 0; i < mine.count; i++)
		fprintf(stderr, ", locked: inode %llu, kind %d",
			(unsigned long long)mine.list[i]->ino,
			mine.list[i]->i.kind);
	fprintf(stderr, "\n");
	abort();
}

static void
may_lock(const struct node *n)
{
	mutex_may_last();
	for (unsigned i = 0; i < mine.count; i++) {
		const struct node *o = mine.list[i];

		if (o == n || (n->i.kind == GATE_DIR &&
			       (o->i.kind != GATE_DIR || o->ino > n->ino)))
			broken("locked out of order", n);
	}
}

static void
note(const struct node *n)
{
	if (mine.count == LOCKS_MAX)
		broken("too many are locked", n);
	mine.list[mine.count++] = n;
}

void
node_must_be_locked(const struct node *n)
{
	for (unsigned i = 0; i < mine.count; i++) {
		if (mine.list[i] == n)
			return;
	}
	broken("not locked by this thread", n);
}

static void
strike(const struct node *n)
{
	unsigned i = mine.count;

	node_must_be_locked(n);
	while (mine.list[--i] != n)
		;
	mine.count--;
	for (; i < mine.count; i++)
		mine.list[i] = mine.list[i + 1];
}

void
node_was_locked(const struct node *n)
{
	note(n);
}

#else

#define may_lock(n) ((void)(n))
#define note(n) ((void)(n))
#define strike(n) ((void)(n))

#endif

int
node_lock(struct node *n, struct gate_request *rq)
{
	if (rq->may_block)
		may_lock(n);
	mutex_lock(&n->mutex);
	if (n->locked && !rq->may_block) {
		mutex_unlock(&n->mutex);
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	while (n->locked && !n->dead)
		mutex_wait(&n->mutex, &n->unlocked, NULL);
	if (n->dead) {
		/* The next in line has to learn it too. */
		pthread_cond_signal(&n->unlocked);
		mutex_unlock(&n->mutex);
		return -ESTALE;
	}
	n->locked = true;
	note(n);
	mutex_unlock(&n->mutex);
	return 0;
}

void
node_lock_wait(struct node *n)
{
	may_lock(n);
	mutex_lock(&n->mutex);
	while (n->locked)
		mutex_wait(&n->mutex, &n->unlocked, NULL);
	n->locked = true;
	note(n);
	mutex_unlock(&n->mutex);
}

void
node_unlock_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	strike(n);
	n->locked = false;
	pthread_cond_signal(&n->unlocked);
}

void
node_unlock(struct node *n)
{
	mutex_lock(&n->mutex);
	strike(n);
	n->locked = false;
	mutex_unlock(&n->mutex);
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

	mutex_must_hold(&n->mutex);
	/* Who finds that they are not here yet is parked anew. */
	LIST_FOREACH(f, &n->d.fetches, link)
		f->awaited = f->buf == NULL ? 0 : f->awaited;
}

void
node_changed_locked(struct node *n)
{
	struct gate *g = n->export->gate;
	struct waiter *w;

	mutex_must_hold(&n->mutex);
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

	mutex_must_hold(&n->mutex);
	if (rq->token == NULL) {
		struct timespec ts = { (time_t)(until_ms / 1000),
				       (long)(until_ms % 1000) * 1000000 };

		rq->again = GATE_NEEDS_THREAD;
		if (rq->may_block)
			mutex_wait(&n->mutex, &n->changed, &ts);
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
	mutex_must_hold(&n->mutex);
	if (n->tick_ms != 0 && n->tick_ms <= at_ms)
		return;
	n->tick_ms = at_ms;
	timers_add(&n->export->gate->timers, at_ms, n->ino);
}

void
node_tick_run_locked(struct node *n, uint64_t run_at_ms)
{
	uint64_t run = run_ms(n->export->gate);

	mutex_must_hold(&n->mutex);
	node_tick_at_locked(n, clock_ms() +
			    (run_at_ms > run ? run_at_ms - run : 0));
}

int
node_tick_anew(void *arg, struct node *n)
{
	(void)arg;
	mutex_lock(&n->mutex);
	if (n->tick_ms != 0)
		timers_add(&n->export->gate->timers, n->tick_ms, n->ino);
	mutex_unlock(&n->mutex);
	return 0;
}
