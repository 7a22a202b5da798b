/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of mutex.h, in test builds: each thread keeps a list of what it
 * holds.
 */

#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "nfsd/gate/state/mutex.h"

void
mutex_init(struct mutex *m, enum mutex_rank rank)
{
	pthread_mutex_init(&m->pthread, NULL);
	m->rank = (uint8_t)rank;
	m->held = false;
}

void
mutex_destroy(struct mutex *m)
{
	pthread_mutex_destroy(&m->pthread);
}

#ifdef FAILPOINTS

#define HELD_MAX 8

static _Thread_local struct {
	const struct mutex *list[HELD_MAX];
	unsigned count;
} mine;

static const char *const rank_names[MUTEX_RANKS] = {
	[MUTEX_RENAMES] = "dirmoves.renames",
	[MUTEX_LINKS] = "links",
	[MUTEX_PARTS] = "the mutex of an upload's parts",
	[MUTEX_NODE] = "a node's mutex",
	[MUTEX_SHARD] = "a shard's mutex",
	[MUTEX_GATE] = "the gate's mutex",
	[MUTEX_DIRMOVES] = "dirmoves.mutex",
	[MUTEX_LEAF] = "a leaf",
};

__attribute__((noreturn)) static void
broken(const char *what, const struct mutex *m)
{
	fprintf(stderr, "locks: %s: %s", what,
		m != NULL ? rank_names[m->rank] : "");
	for (unsigned i = 0; i < mine.count; i++)
		fprintf(stderr, "%s%s", i == 0 ? ", held: " : ", ",
			rank_names[mine.list[i]->rank]);
	fprintf(stderr, "\n");
	abort();
}

static bool
is_mine(const struct mutex *m)
{
	for (unsigned i = 0; i < mine.count; i++) {
		if (mine.list[i] == m)
			return true;
	}
	return false;
}

static void
note(struct mutex *m)
{
	if (mine.count == HELD_MAX)
		broken("too many are held, one more", m);
	mine.list[mine.count++] = m;
	m->held = true;
	m->owner = pthread_self();
}

static void
strike(struct mutex *m)
{
	unsigned i = mine.count;

	mutex_must_hold(m);
	m->held = false;
	while (mine.list[--i] != m)
		;
	mine.count--;
	for (; i < mine.count; i++)
		mine.list[i] = mine.list[i + 1];
}

/* After so many others of its rank. */
static void
lock_after(struct mutex *m, unsigned others)
{
	for (unsigned i = 0; i < mine.count; i++) {
		if (mine.list[i]->rank > m->rank ||
		    (mine.list[i]->rank == m->rank &&
		     (mine.list[i] == m || others-- == 0)))
			broken("taken out of order", m);
	}
	pthread_mutex_lock(&m->pthread);
	note(m);
}

void
mutex_lock(struct mutex *m)
{
	lock_after(m, 0);
}

void
mutex_lock_second(struct mutex *m)
{
	lock_after(m, 1);
}

bool
mutex_try(struct mutex *m)
{
	if (is_mine(m))
		broken("held already", m);
	if (pthread_mutex_trylock(&m->pthread) != 0)
		return false;
	note(m);
	return true;
}

void
mutex_unlock(struct mutex *m)
{
	strike(m);
	pthread_mutex_unlock(&m->pthread);
}

int
mutex_wait(struct mutex *m, pthread_cond_t *cond, const struct timespec *until)
{
	int r;

	strike(m);
	mutex_may_last();
	r = until == NULL
		    ? pthread_cond_wait(cond, &m->pthread)
		    : pthread_cond_timedwait(cond, &m->pthread, until);
	note(m);
	return r;
}

void
mutex_own(struct mutex *m)
{
	if (m->held)
		broken("owned, and held", m);
	note(m);
}

void
mutex_disown(struct mutex *m)
{
	strike(m);
}

void
mutex_must_hold(const struct mutex *m)
{
	if (!is_mine(m) || !m->held || !pthread_equal(m->owner, pthread_self()))
		broken("not held", m);
}

void
mutex_may_last(void)
{
	for (unsigned i = 0; i < mine.count; i++) {
		if (mine.list[i]->rank >= MUTEX_PARTS)
			broken("held over what may last", mine.list[i]);
	}
}

#endif
