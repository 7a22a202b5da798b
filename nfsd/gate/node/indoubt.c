/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of a file that went out and had no answer, as its node knows them:
 * any of them may lie at its key.  upload/indoubt_met.c tells the whole story,
 * change/indoubt_key.c that of keys which the path has left.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/worker/worker.h"

#define INDOUBT_MAX 16

static void
forget(struct indoubt *l)
{
	struct gate *g = l->x->gate;

	indoubt_stray(l, false);
	mutex_lock(&g->mutex);
	LIST_REMOVE(l, all);
	mutex_unlock(&g->mutex);
	LIST_REMOVE(l, link);
	free(l);
}

bool
indoubt_same(const struct meta_indoubt *a, const struct meta_indoubt *b)
{
	return strcmp(a->key, b->key) == 0 && strcmp(a->etag, b->etag) == 0 &&
	       strcmp(a->link_id, b->link_id) == 0 &&
	       a->replaced == b->replaced && a->kind == b->kind &&
	       a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

/* 1; 0: it was there; -ENOMEM. */
static int
remember_locked(struct node *n, const struct meta_indoubt *sent)
{
	struct gate *g = n->export->gate;
	struct indoubt *l, *oldest = NULL;
	unsigned count = 0;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(l, &n->up.indoubt, link) {
		if (indoubt_same(&l->sent, sent))
			return 0;
		oldest = l;
		count++;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	if (count >= INDOUBT_MAX)
		forget(oldest);
	l->x = n->export;
	l->ino = n->ino;
	l->sent = *sent;
	LIST_INSERT_HEAD(&n->up.indoubt, l, link);
	mutex_lock(&g->mutex);
	LIST_INSERT_HEAD(&g->indoubt, l, all);
	mutex_unlock(&g->mutex);
	return 1;
}

void
indoubt_version(const char *key, const struct meta_inode *row, const char *etag,
		struct meta_indoubt *out)
{
	*out = (struct meta_indoubt){ .kind = row->kind, .size = row->size,
				      .mtime_ns = row->mtime_ns,
				   .mode = row->mode, .uid = row->uid,
				   .gid = row->gid };
	snprintf(out->key, sizeof(out->key), "%s", key);
	snprintf(out->etag, sizeof(out->etag), "%s", etag);
	strcpy(out->link_id, row->link_id);
}

int
indoubt_note_locked(struct node *n, const char *key,
		    const struct meta_inode *row, const char *etag)
{
	struct meta_indoubt sent;

	mutex_must_hold(&n->mutex);
	indoubt_version(key, row, etag, &sent);
	return key[0] == '\0' ? 0 : remember_locked(n, &sent);
}

int
indoubt_recover_locked(struct node *n, const struct meta_indoubt *sent)
{
	int r = remember_locked(n, sent);

	mutex_must_hold(&n->mutex);
	n->up.indoubt_rows = true;
	return r < 0 ? r : 0;
}

void
indoubt_forget_locked(struct node *n, const char *key)
{
	struct indoubt *l, *next;

	mutex_must_hold(&n->mutex);
	for (l = LIST_FIRST(&n->up.indoubt); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (key == NULL || strcmp(l->sent.key, key) == 0)
			forget(l);
	}
}

void
indoubt_forget_left_locked(struct node *n)
{
	struct indoubt *l, *next;

	mutex_must_hold(&n->mutex);
	for (l = LIST_FIRST(&n->up.indoubt); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (strcmp(l->sent.key, n->i.base_key) != 0)
			forget(l);
	}
}

bool
indoubt_at_locked(const struct node *n, const char *key)
{
	const struct indoubt *l;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(l, &n->up.indoubt, link) {
		if (strcmp(l->sent.key, key) == 0)
			return true;
	}
	return false;
}

bool
indoubt_elsewhere_locked(const struct node *n, const char *key,
			 char sent[META_KEY_MAX + 2])
{
	const struct indoubt *l;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(l, &n->up.indoubt, link) {
		if (strcmp(l->sent.key, key) == 0 ||
		    strcmp(l->sent.key, n->i.base_key) == 0)
			continue;
		strcpy(sent, l->sent.key);
		return true;
	}
	return false;
}

/* ---- what a file leaves, and where ---- */

bool
indoubt_is_key_of(const char *key, const char *const but[2])
{
	return but != NULL &&
	       (strcmp(key, but[0]) == 0 || strcmp(key, but[1]) == 0);
}

int
indoubt_leave(struct node *victim, const char *key,
	      struct indoubt_heirloom *out)
{
	const struct indoubt *l;
	size_t count = 0;

	*out = (struct indoubt_heirloom){ 0 };
	mutex_lock(&victim->mutex);
	LIST_FOREACH(l, &victim->up.indoubt, link)
		count += strcmp(l->sent.key, key) == 0;
	if (count > 0)
		out->list = calloc(count, sizeof(*out->list));
	LIST_FOREACH(l, &victim->up.indoubt, link) {
		if (out->list == NULL || strcmp(l->sent.key, key) != 0)
			continue;
		out->list[out->count] = l->sent;
		out->list[out->count++].replaced = true;
	}
	mutex_unlock(&victim->mutex);
	return out->count == count ? 0 : -ENOMEM;
}

void
indoubt_inherit(struct node *n, struct node *victim, const char *key,
		const struct indoubt_heirloom *left)
{
	mutex_lock(&victim->mutex);
	indoubt_forget_locked(victim, key);
	mutex_unlock(&victim->mutex);
	mutex_lock(&n->mutex);
	for (size_t i = left->count; i-- > 0;) {
		while (remember_locked(n, &left->list[i]) < 0) {
			mutex_unlock(&n->mutex);
			memory_wait();
			mutex_lock(&n->mutex);
		}
	}
	mutex_unlock(&n->mutex);
}

void
indoubt_heirloom_free(struct indoubt_heirloom *left)
{
	free(left->list);
	*left = (struct indoubt_heirloom){ 0 };
}

void
indoubt_stray(struct indoubt *l, bool stray)
{
	struct gate *g = l->x->gate;

	if (l->stray == stray)
		return;
	hidden_stray(l->x, l->sent.key, stray);
	mutex_lock(&g->mutex);
	l->stray = stray;
	mutex_unlock(&g->mutex);
}
