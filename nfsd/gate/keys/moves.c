/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories on their way (dirmove/): the list of their moves, which keys
 * below their old names are still theirs, and what has come of objects that
 * were sent off to follow them.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/worker/worker.h"

/* ---- objects that follow ---- */

/* The pass goes on when there is room. */
void
move_wait_for_room(struct gate_export *x, unsigned room)
{
	struct moves *all = &x->gate->moves;

	pthread_mutex_lock(&all->mutex);
	while (x->relocation.in_flight > RELOCATE_AT_ONCE - room)
		pthread_cond_wait(&all->changed, &all->mutex);
	pthread_mutex_unlock(&all->mutex);
}

/* An object could not be relocated: told with the moves it belongs to.  One
 * that never can be is told once: it stays where it is, and is read there. */
void
move_failed(struct gate_export *x, const char *key, const char *error)
{
	struct moves *all = &x->gate->moves;
	bool first = false, too_long = strcmp(error, MOVE_TOO_LONG) == 0;
	struct move *m;

	pthread_mutex_lock(&all->mutex);
	x->relocation.failed++;
	LIST_FOREACH(m, &all->list, link) {
		if (m->x != x || !text_begins(key, m->row.source))
			continue;
		first |= too_long ? !m->too_long : m->failed == 0;
		m->too_long |= too_long;
		m->failed++;
		m->failures++;
		snprintf(m->error, sizeof(m->error), "%s", error);
	}
	pthread_mutex_unlock(&all->mutex);
	if (first && too_long)
		gate_say(x->gate, 1, "a file of a renamed directory stays "
			 "under its old key, since " MOVE_TOO_LONG
			 "; it moves when it or a directory above gets a "
			 "shorter name: key=%s",
			 key);
	else if (first)
		gate_say(x->gate, 1, "an object of a renamed directory cannot "
			 "be moved, will be tried again: key=%s error=%s",
			 key, error);
}

void
relocate_ended(struct node *n, int r, const char *error)
{
	struct gate *g = n->export->gate;
	struct moves *all = &g->moves;
	char key[META_KEY_MAX + 2];
	bool left;

	pthread_mutex_lock(&n->mutex);
	left = n->i.relocating && !n->dead;
	strcpy(key, n->i.base_key);
	pthread_mutex_unlock(&n->mutex);
	if (left && r < 0 && r != -EBUSY && r != -ECANCELED)
		move_failed(n->export, key,
			    error[0] != '\0' ? error : strerror(-r));
	pthread_mutex_lock(&all->mutex);
	n->export->relocation.in_flight--;
	all->relocated += !left;
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->mutex);
}

/* ---- whose is a key? ---- */

bool
moves_any(struct gate *g)
{
	return __atomic_load_n(&g->moves.count, __ATOMIC_ACQUIRE) > 0;
}

bool
moves_any_lists(struct gate *g)
{
	return __atomic_load_n(&g->moves.listing, __ATOMIC_ACQUIRE) > 0;
}

bool
move_claims(struct gate_export *x, const char *key)
{
	struct moves *all = &x->gate->moves;
	struct move *m;

	if (!moves_any_lists(x->gate))
		return false;
	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && !m->row.listed &&
		    text_begins(key, m->row.source))
			break;
	}
	pthread_mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
move_claims_other(struct move *mine, const char *key)
{
	struct moves *all = &mine->x->gate->moves;
	size_t len = strlen(mine->row.source);
	struct move *m;

	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == mine->x && !m->row.listed && m != mine &&
		    strlen(m->row.source) > len &&
		    text_begins(key, m->row.source))
			break;
	}
	pthread_mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
move_touches(struct gate_export *x, const char *prefix)
{
	struct moves *all = &x->gate->moves;
	struct move *m;

	if (!moves_any(x->gate))
		return false;
	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && (text_begins(prefix, m->row.source) ||
				  text_begins(m->row.source, prefix)))
			break;
	}
	pthread_mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
move_skip(struct gate_export *x, const char *key, char past[META_KEY_MAX + 8])
{
	struct moves *all = &x->gate->moves;
	const struct move *m, *in = NULL;

	if (!moves_any(x->gate))
		return false;
	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && m->row.listed &&
		    m->row.objects > SCAN_PAGE &&
		    text_begins(key, m->row.source) &&
		    (in == NULL ||
		     strlen(m->row.source) > strlen(in->row.source)))
			in = m;
	}
	/* The last character that there is. */
	if (in != NULL)
		snprintf(past, META_KEY_MAX + 8, "%s\xf4\x8f\xbf\xbf",
			 in->row.source);
	pthread_mutex_unlock(&all->mutex);
	return in != NULL && strlen(past) <= META_KEY_MAX;
}

/* ---- the list of moves ---- */

uint64_t
moves_pages_locked(const struct moves *all)
{
	const struct move *m;
	uint64_t pages = 0;

	LIST_FOREACH(m, &all->list, link)
		pages += m->pages;
	return pages;
}

void
moves_count_locked(struct moves *all)
{
	unsigned count = 0, listing = 0;
	struct move *m;

	LIST_FOREACH(m, &all->list, link) {
		count++;
		listing += !m->row.listed;
	}
	/* A page more is nothing to who relocates. */
	all->wakes += count != all->count || listing != all->listing;
	__atomic_store_n(&all->count, count, __ATOMIC_RELEASE);
	__atomic_store_n(&all->listing, listing, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&all->changed);
}

struct move *
move_add(struct gate_export *x, const struct meta_move *row)
{
	struct moves *all = &x->gate->moves;
	struct move *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->x = x;
	m->row = *row;
	pthread_mutex_lock(&all->mutex);
	LIST_INSERT_HEAD(&all->list, m, link);
	moves_count_locked(all);
	pthread_mutex_unlock(&all->mutex);
	return m;
}

void
move_undo(struct move *m)
{
	struct moves *all = &m->x->gate->moves;

	pthread_mutex_lock(&all->mutex);
	LIST_REMOVE(m, link);
	moves_count_locked(all);
	pthread_mutex_unlock(&all->mutex);
	free(m);
}

void
moves_wake(struct gate *g)
{
	pthread_mutex_lock(&g->moves.mutex);
	g->moves.wakes++;
	pthread_cond_broadcast(&g->moves.changed);
	pthread_mutex_unlock(&g->moves.mutex);
}

void
moves_free(struct gate *g)
{
	struct move *m;

	/* Their rows remain; the next start goes on. */
	while ((m = LIST_FIRST(&g->moves.list)) != NULL) {
		LIST_REMOVE(m, link);
		free(m);
	}
}
