/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of a file that went out and had no answer, as its node knows them:
 * any of them may lie at its key.  upload/indoubt.c tells the whole story,
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

#define LOST_MAX 16

static void
forget(struct lost *l)
{
	struct gate *g = l->x->gate;

	lost_stray(l, false);
	pthread_mutex_lock(&g->mutex);
	LIST_REMOVE(l, all);
	pthread_mutex_unlock(&g->mutex);
	LIST_REMOVE(l, link);
	free(l);
}

bool
lost_same(const struct meta_sent *a, const struct meta_sent *b)
{
	return strcmp(a->key, b->key) == 0 && strcmp(a->etag, b->etag) == 0 &&
	       strcmp(a->link_id, b->link_id) == 0 &&
	       a->replaced == b->replaced && a->kind == b->kind &&
	       a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

/* 1; 0: it was there; -ENOMEM. */
static int
remember_locked(struct node *n, const struct meta_sent *sent)
{
	struct gate *g = n->export->gate;
	struct lost *l, *oldest = NULL;
	unsigned count = 0;

	LIST_FOREACH(l, &n->up.lost, link) {
		if (lost_same(&l->sent, sent))
			return 0;
		oldest = l;
		count++;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	if (count >= LOST_MAX)
		forget(oldest);
	l->x = n->export;
	l->ino = n->ino;
	l->sent = *sent;
	LIST_INSERT_HEAD(&n->up.lost, l, link);
	pthread_mutex_lock(&g->mutex);
	LIST_INSERT_HEAD(&g->lost, l, all);
	pthread_mutex_unlock(&g->mutex);
	return 1;
}

void
lost_sent(const char *key, const struct meta_inode *row, const char *etag,
	  struct meta_sent *out)
{
	*out = (struct meta_sent){ .kind = row->kind, .size = row->size,
				   .mtime_ns = row->mtime_ns,
				   .mode = row->mode, .uid = row->uid,
				   .gid = row->gid };
	snprintf(out->key, sizeof(out->key), "%s", key);
	snprintf(out->etag, sizeof(out->etag), "%s", etag);
	strcpy(out->link_id, row->link_id);
}

int
lost_note_locked(struct node *n, const char *key,
		 const struct meta_inode *row, const char *etag)
{
	struct meta_sent sent;

	lost_sent(key, row, etag, &sent);
	return key[0] == '\0' ? 0 : remember_locked(n, &sent);
}

int
lost_recover_locked(struct node *n, const struct meta_sent *sent)
{
	int r = remember_locked(n, sent);

	n->up.sent_rows = true;
	return r < 0 ? r : 0;
}

void
lost_forget_locked(struct node *n, const char *key)
{
	struct lost *l, *next;

	for (l = LIST_FIRST(&n->up.lost); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (key == NULL || strcmp(l->sent.key, key) == 0)
			forget(l);
	}
}

void
lost_forget_left_locked(struct node *n)
{
	struct lost *l, *next;

	for (l = LIST_FIRST(&n->up.lost); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (strcmp(l->sent.key, n->i.base_key) != 0)
			forget(l);
	}
}

bool
lost_at_locked(const struct node *n, const char *key)
{
	const struct lost *l;

	LIST_FOREACH(l, &n->up.lost, link) {
		if (strcmp(l->sent.key, key) == 0)
			return true;
	}
	return false;
}

bool
lost_elsewhere_locked(const struct node *n, const char *key,
		      char sent[META_KEY_MAX + 2])
{
	const struct lost *l;

	LIST_FOREACH(l, &n->up.lost, link) {
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
lost_is_key_of(const char *key, const char *const but[2])
{
	return but != NULL &&
	       (strcmp(key, but[0]) == 0 || strcmp(key, but[1]) == 0);
}

int
lost_leave(struct node *victim, const char *key, struct lost_heirloom *out)
{
	const struct lost *l;
	size_t count = 0;

	*out = (struct lost_heirloom){ 0 };
	pthread_mutex_lock(&victim->mutex);
	LIST_FOREACH(l, &victim->up.lost, link)
		count += strcmp(l->sent.key, key) == 0;
	if (count > 0)
		out->list = calloc(count, sizeof(*out->list));
	LIST_FOREACH(l, &victim->up.lost, link) {
		if (out->list == NULL || strcmp(l->sent.key, key) != 0)
			continue;
		out->list[out->count] = l->sent;
		out->list[out->count++].replaced = true;
	}
	pthread_mutex_unlock(&victim->mutex);
	return out->count == count ? 0 : -ENOMEM;
}

void
lost_inherit(struct node *n, struct node *victim, const char *key,
	     const struct lost_heirloom *left)
{
	pthread_mutex_lock(&victim->mutex);
	lost_forget_locked(victim, key);
	pthread_mutex_unlock(&victim->mutex);
	pthread_mutex_lock(&n->mutex);
	for (size_t i = left->count; i-- > 0;) {
		while (remember_locked(n, &left->list[i]) < 0) {
			pthread_mutex_unlock(&n->mutex);
			memory_wait();
			pthread_mutex_lock(&n->mutex);
		}
	}
	pthread_mutex_unlock(&n->mutex);
}

void
lost_heirloom_free(struct lost_heirloom *left)
{
	free(left->list);
	*left = (struct lost_heirloom){ 0 };
}

void
lost_stray(struct lost *l, bool stray)
{
	struct gate *g = l->x->gate;

	if (l->stray == stray)
		return;
	hidden_stray(l->x, l->sent.key, stray);
	pthread_mutex_lock(&g->mutex);
	l->stray = stray;
	pthread_mutex_unlock(&g->mutex);
}
