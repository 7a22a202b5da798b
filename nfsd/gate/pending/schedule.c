/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose upload is next.  Each export has its own queues and threads, so that a
 * bucket that is slow, or says nothing, keeps no other one waiting.  Within an
 * export what somebody waits for (a newcomer, `flush`, commit=s3) or what is
 * too old goes before what nobody waits for; and two of the eight threads are
 * only for that, so that it does not wait for the end of large ones either.
 * It does not keep the others out for good: one of those is always under way.
 * The objects of renamed directories have threads of their own.
 *
 *	urgency	may run
 *	wanted	while fewer than 8 of these two run; 7, if others wait and
 *		none of them runs
 *	settled	while fewer than 6 of them run, and 8 of both
 *	relocating	while fewer than 16 of them run
 *
 * Threads are made when something waits and none is idle, up to 24.  One that
 * was woken is idle until it runs; so who takes an upload looks whether another
 * one still needs a thread.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/pending/inside.h"

#define AT_ONCE 8
#define SETTLED_AT_ONCE 6
#define CARRIED_AT_ONCE 16

void
schedule_init(struct schedule *s, void (*run)(void *node))
{
	memset(s, 0, sizeof(*s));
	s->run = run;
	mutex_init(&s->mutex, MUTEX_LEAF);
	pthread_cond_init(&s->work_ready, NULL);
	for (unsigned i = 0; i < URGENCIES; i++)
		TAILQ_INIT(&s->queues[i]);
}

/* May one more of this kind run? */
static bool
may_run_locked(const struct schedule *s, enum urgency urgency)
{
	unsigned both = s->running[UPLOAD_WANTED] + s->running[UPLOAD_SETTLED];
	bool kept_out = !TAILQ_EMPTY(&s->queues[UPLOAD_SETTLED]) &&
			s->running[UPLOAD_SETTLED] == 0;

	mutex_must_hold(&s->mutex);
	if (TAILQ_EMPTY(&s->queues[urgency]))
		return false;
	switch (urgency) {
	case UPLOAD_WANTED:
		return both + kept_out < AT_ONCE;
	case UPLOAD_SETTLED:
		return both < AT_ONCE &&
		       s->running[UPLOAD_SETTLED] < SETTLED_AT_ONCE;
	default:
		return s->running[urgency] < CARRIED_AT_ONCE;
	}
}

/* The next one, out of its queue; NULL: none may run now. */
static struct node *
take_locked(struct schedule *s, enum urgency *urgency)
{
	struct node *n;

	mutex_must_hold(&s->mutex);
	for (*urgency = 0; *urgency < URGENCIES; ++*urgency) {
		if (!may_run_locked(s, *urgency))
			continue;
		n = TAILQ_FIRST(&s->queues[*urgency]);
		TAILQ_REMOVE(&s->queues[*urgency], n, up.queue);
		n->up.queued = false;
		s->running[*urgency]++;
		return n;
	}
	return NULL;
}

static bool
any_waits_locked(const struct schedule *s)
{
	mutex_must_hold(&s->mutex);
	for (unsigned i = 0; i < URGENCIES; i++) {
		if (!TAILQ_EMPTY(&s->queues[i]))
			return true;
	}
	return false;
}

static bool
any_may_run_locked(const struct schedule *s)
{
	mutex_must_hold(&s->mutex);
	for (enum urgency i = 0; i < URGENCIES; i++) {
		if (may_run_locked(s, i))
			return true;
	}
	return false;
}

static int see_to_threads_locked(struct schedule *s);

static void *
schedule_main(void *arg)
{
	struct schedule *s = arg;
	enum urgency urgency;
	struct node *n;

	mutex_lock(&s->mutex);
	for (;;) {
		n = take_locked(s, &urgency);
		if (n == NULL && s->stopping && !any_waits_locked(s))
			break;
		if (n == NULL) {
			s->idle++;
			mutex_wait(&s->mutex, &s->work_ready, NULL);
			s->idle--;
			continue;
		}
		/* Two that came together may both have found this thread idle:
		 * the other one must not wait for the end of this upload. */
		if (any_may_run_locked(s))
			(void)see_to_threads_locked(s);
		mutex_unlock(&s->mutex);
		s->run(n);
		mutex_lock(&s->mutex);
		s->running[urgency]--;
		/* What had to wait for its end may be another's to take. */
		pthread_cond_broadcast(&s->work_ready);
	}
	mutex_unlock(&s->mutex);
	return NULL;
}

/* A thread for what waits.  -EAGAIN: there is none at all. */
static int
see_to_threads_locked(struct schedule *s)
{
	mutex_must_hold(&s->mutex);
	if (s->idle == 0 && !s->stopping && s->count < UPLOAD_THREADS_MAX &&
	    pthread_create(&s->threads[s->count], NULL, schedule_main, s) == 0)
		s->count++;
	pthread_cond_signal(&s->work_ready);
	return s->count > 0 ? 0 : -EAGAIN;
}

int
schedule_add(struct schedule *s, struct node *n, enum urgency urgency)
{
	int r;

	mutex_lock(&s->mutex);
	TAILQ_INSERT_TAIL(&s->queues[urgency], n, up.queue);
	n->up.queued = true;
	n->up.urgency = urgency;
	r = s->stopping ? -EAGAIN : see_to_threads_locked(s);
	if (r < 0) {
		TAILQ_REMOVE(&s->queues[urgency], n, up.queue);
		n->up.queued = false;
	}
	mutex_unlock(&s->mutex);
	return r;
}

void
schedule_hurry(struct schedule *s, struct node *n)
{
	mutex_lock(&s->mutex);
	if (n->up.queued && n->up.urgency == UPLOAD_SETTLED) {
		TAILQ_REMOVE(&s->queues[UPLOAD_SETTLED], n, up.queue);
		TAILQ_INSERT_TAIL(&s->queues[UPLOAD_WANTED], n, up.queue);
		n->up.urgency = UPLOAD_WANTED;
		(void)see_to_threads_locked(s);
	}
	mutex_unlock(&s->mutex);
}

void
schedule_stop(struct schedule *s)
{
	mutex_lock(&s->mutex);
	s->stopping = true;
	pthread_cond_broadcast(&s->work_ready);
	mutex_unlock(&s->mutex);
	for (unsigned i = 0; i < s->count; i++)
		pthread_join(s->threads[i], NULL);
	mutex_destroy(&s->mutex);
	pthread_cond_destroy(&s->work_ready);
}
