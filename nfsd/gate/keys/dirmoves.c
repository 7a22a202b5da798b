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
dirmove_wait_for_room(struct gate_export *x, unsigned room)
{
	struct dirmoves *all = &x->gate->dirmoves;

	mutex_lock(&all->mutex);
	while (x->relocation.in_flight > RELOCATE_AT_ONCE - room)
		mutex_wait(&all->mutex, &all->changed, NULL);
	mutex_unlock(&all->mutex);
}

/* An object could not be relocated: told with the moves it belongs to.  One
 * that never can be is told once: it stays where it is, and is read there. */
void
dirmove_failed(struct gate_export *x, const char *key, const char *error)
{
	struct dirmoves *all = &x->gate->dirmoves;
	/* By our measure, or the store's. */
	bool first = false,
	     too_long = strcmp(error, DIRMOVE_TOO_LONG) == 0 ||
			strncmp(error, "KeyTooLong", strlen("KeyTooLong")) == 0;
	struct dirmove *m;

	mutex_lock(&all->mutex);
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
	mutex_unlock(&all->mutex);
	if (first && too_long)
		gate_say(x->gate, 1, "a file of a renamed directory stays "
			 "under its old key, since " DIRMOVE_TOO_LONG
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
	struct dirmoves *all = &g->dirmoves;
	char key[META_KEY_MAX + 2];
	bool left;

	mutex_lock(&n->mutex);
	left = n->i.relocating && !n->dead;
	strcpy(key, n->i.base_key);
	mutex_unlock(&n->mutex);
	if (left && r < 0 && r != -EBUSY && r != -ECANCELED)
		dirmove_failed(n->export, key,
			       error[0] != '\0' ? error : strerror(-r));
	mutex_lock(&all->mutex);
	n->export->relocation.in_flight--;
	all->relocated += !left;
	pthread_cond_broadcast(&all->changed);
	mutex_unlock(&all->mutex);
}

/* ---- whose is a key? ---- */

bool
dirmoves_any(struct gate *g)
{
	return __atomic_load_n(&g->dirmoves.count, __ATOMIC_ACQUIRE) > 0;
}

bool
dirmoves_any_lists(struct gate *g)
{
	return __atomic_load_n(&g->dirmoves.listing, __ATOMIC_ACQUIRE) > 0;
}

bool
dirmove_claims(struct gate_export *x, const char *key)
{
	struct dirmoves *all = &x->gate->dirmoves;
	struct dirmove *m;

	if (!dirmoves_any_lists(x->gate))
		return false;
	mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && !m->row.listed &&
		    text_begins(key, m->row.source))
			break;
	}
	mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
dirmove_claims_other(struct dirmove *mine, const char *key)
{
	struct dirmoves *all = &mine->x->gate->dirmoves;
	size_t len = strlen(mine->row.source);
	struct dirmove *m;

	mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == mine->x && !m->row.listed && m != mine &&
		    strlen(m->row.source) > len &&
		    text_begins(key, m->row.source))
			break;
	}
	mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
dirmove_touches(struct gate_export *x, const char *prefix)
{
	struct dirmoves *all = &x->gate->dirmoves;
	struct dirmove *m;

	if (!dirmoves_any(x->gate))
		return false;
	mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && (text_begins(prefix, m->row.source) ||
				  text_begins(m->row.source, prefix)))
			break;
	}
	mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
dirmove_skip(struct gate_export *x, const char *key,
	     char past[META_KEY_MAX + 8])
{
	struct dirmoves *all = &x->gate->dirmoves;
	const struct dirmove *m, *in = NULL;

	if (!dirmoves_any(x->gate))
		return false;
	mutex_lock(&all->mutex);
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
	mutex_unlock(&all->mutex);
	return in != NULL && strlen(past) <= META_KEY_MAX;
}

/* ---- the list of moves ---- */

uint64_t
dirmoves_pages_locked(const struct dirmoves *all)
{
	const struct dirmove *m;
	uint64_t pages = 0;

	mutex_must_hold(&all->mutex);
	LIST_FOREACH(m, &all->list, link)
		pages += m->pages;
	return pages;
}

void
dirmoves_count_locked(struct dirmoves *all)
{
	unsigned count = 0, listing = 0;
	struct dirmove *m;

	mutex_must_hold(&all->mutex);
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

struct dirmove *
dirmove_add(struct gate_export *x, const struct meta_dirmove *row)
{
	struct dirmoves *all = &x->gate->dirmoves;
	struct dirmove *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->x = x;
	m->row = *row;
	mutex_lock(&all->mutex);
	LIST_INSERT_HEAD(&all->list, m, link);
	dirmoves_count_locked(all);
	mutex_unlock(&all->mutex);
	return m;
}

void
dirmove_undo(struct dirmove *m)
{
	struct dirmoves *all = &m->x->gate->dirmoves;

	mutex_lock(&all->mutex);
	LIST_REMOVE(m, link);
	dirmoves_count_locked(all);
	mutex_unlock(&all->mutex);
	free(m);
}

void
dirmoves_wake(struct gate *g)
{
	mutex_lock(&g->dirmoves.mutex);
	g->dirmoves.wakes++;
	pthread_cond_broadcast(&g->dirmoves.changed);
	mutex_unlock(&g->dirmoves.mutex);
}

void
dirmoves_free(struct gate *g)
{
	struct dirmove *m;

	/* Their rows remain; the next start goes on. */
	while ((m = LIST_FIRST(&g->dirmoves.list)) != NULL) {
		LIST_REMOVE(m, link);
		free(m);
	}
}
