/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests without an answer (lost.c) whose key the path does not spell any
 * more, since a directory above was renamed.  An object of ours may lie there,
 * or come to lie there, that belongs to no name: the old one must not find
 * it, and what gets the old name must not be uploaded before it is known
 * what is there.  So the key is hidden, and looked at when the file is uploaded
 * next (look_back in upload.c).  The directory's move does not end before
 * that.
 *
 * The rename writes those down that it leaves behind, in its own transaction.
 * A request that goes out in the same moment is seen by the rename, or sees it
 * and writes itself down: it notes itself first and then looks whether its key
 * is claimed; the rename claims its source first and then looks at the notes.
 *
 * A file that is removed takes its keys with it: what may lie there is
 * deleted, whatever comes of the request.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/lost.h"
#include "nfsd/gate/move.h"
#include "nfsd/gate/names.h"

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

static void
path_of(struct node *n, char key[META_KEY_MAX + 2])
{
	if (path_key(n, key) < 0)
		key[0] = '\0';
}

void
lost_place(struct node *n)
{
	char key[META_KEY_MAX + 2], now[META_KEY_MAX + 2];
	struct lost *l;
	bool any;

	pthread_mutex_lock(&n->mutex);
	any = !LIST_EMPTY(&n->up.lost);
	pthread_mutex_unlock(&n->mutex);
	if (!any)
		return;
	path_of(n, now);
	do {
		strcpy(key, now);
		pthread_mutex_lock(&n->mutex);
		/* What the base lies at is looked after by that. */
		LIST_FOREACH(l, &n->up.lost, link)
			lost_stray(l, !n->dead &&
					      strcmp(l->sent.key, key) != 0 &&
					      strcmp(l->sent.key,
						     n->i.base_key) != 0);
		pthread_mutex_unlock(&n->mutex);
		/* Another directory may have been renamed. */
		path_of(n, now);
	} while (strcmp(key, now) != 0);
}

/* ---- all of them ---- */

struct inos {
	uint64_t *list;
	size_t count;
};

/* Files that have any, below the prefix. */
static int
collect(struct gate *g, struct gate_export *x, const char *prefix,
	struct inos *out)
{
	size_t len = strlen(prefix), room = 0;
	const struct lost *l;

	*out = (struct inos){ 0 };
	pthread_mutex_lock(&g->mutex);
	LIST_FOREACH(l, &g->lost, all)
		room++;
	out->list = calloc(room + 1, sizeof(*out->list));
	LIST_FOREACH(l, &g->lost, all) {
		if (out->list == NULL || (x != NULL && l->x != x) ||
		    strncmp(l->sent.key, prefix, len) != 0 ||
		    (out->count > 0 &&
		     out->list[out->count - 1] == l->ino))
			continue;
		out->list[out->count++] = l->ino;
	}
	pthread_mutex_unlock(&g->mutex);
	return out->list == NULL ? -ENOMEM : 0;
}

void
lost_place_all(struct gate_export *x)
{
	struct inos inos;

	/* Without memory what was left behind can be seen, no more. */
	if (collect(x->gate, x, "", &inos) < 0)
		return;
	for (size_t i = 0; i < inos.count; i++) {
		struct node *n = node_find(x->gate, inos.list[i]);

		if (n != NULL)
			lost_place(n);
		node_put(&n);
	}
	free(inos.list);
}

int
lost_rows_below(struct gate_export *x, const char *prefix,
		struct meta_batch *b)
{
	struct inos inos;
	int r = collect(x->gate, x, prefix, &inos);

	for (size_t i = 0; r == 0 && i < inos.count; i++) {
		struct node *n = node_find(x->gate, inos.list[i]);

		if (n == NULL)
			continue;
		pthread_mutex_lock(&n->mutex);
		if (!n->dead)
			lost_rows_locked(n, b, NULL, NULL);
		pthread_mutex_unlock(&n->mutex);
		node_put(&n);
	}
	free(inos.list);
	return r;
}

int
lost_catch_up(struct node *n, const char *key)
{
	char path[META_KEY_MAX + 2];
	struct meta_batch *b;
	int r;

	path_of(n, path);
	if (strcmp(path, key) == 0 && !move_claims(n->export, key))
		return 0;
	b = meta_batch_new();
	if (b == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&n->mutex);
	if (!n->dead)
		lost_rows_locked(n, b, NULL, NULL);
	pthread_mutex_unlock(&n->mutex);
	r = meta_commit(n->export->gate->meta, &b);
	lost_place(n);
	return r;
}

bool
lost_below(struct gate_export *x, const char *prefix)
{
	struct gate *g = x->gate;
	const struct lost *l;

	pthread_mutex_lock(&g->mutex);
	LIST_FOREACH(l, &g->lost, all) {
		if (l->stray && l->x == x &&
		    strncmp(l->sent.key, prefix, strlen(prefix)) == 0)
			break;
	}
	pthread_mutex_unlock(&g->mutex);
	return l != NULL;
}

void
lost_settle(struct gate *g)
{
	struct inos inos;

	if (collect(g, NULL, "", &inos) < 0)
		return;
	for (size_t i = 0; i < inos.count; i++) {
		struct node *n = node_find(g, inos.list[i]);
		struct meta_batch *b = NULL;

		if (n == NULL)
			continue;
		pthread_mutex_lock(&n->mutex);
		if (n->i.local_only)
			lost_forget_left_locked(n);
		if (!n->up.pending && !n->i.carried &&
		    (b = meta_batch_new()) != NULL) {
			lost_forget_locked(n, NULL);
			lost_rows_locked(n, b, NULL, NULL);
		}
		pthread_mutex_unlock(&n->mutex);
		meta_post(g->meta, &b);
		node_put(&n);
	}
	free(inos.list);
}

/* ---- a file that goes ---- */

static bool
has_key(const struct lost_gone *gone, const char *key)
{
	for (size_t i = 0; i < gone->count; i++) {
		if (strcmp(gone->list[i].key, key) == 0)
			return true;
	}
	return false;
}

int
lost_gone_rows(struct node *n, const char *const but[2],
	       struct meta_batch *b, struct lost_gone *out)
{
	struct meta_delete *list = NULL;
	bool *stray = NULL;
	const struct lost *l;
	size_t count = 0, kept = 0;

	*out = (struct lost_gone){ .x = n->export };
	pthread_mutex_lock(&n->mutex);
	LIST_FOREACH(l, &n->up.lost, link)
		count++;
	if (count > 0) {
		list = calloc(count, sizeof(*list));
		stray = calloc(count, sizeof(*stray));
	}
	out->list = list;
	LIST_FOREACH(l, &n->up.lost, link) {
		if (list == NULL || stray == NULL ||
		    strcmp(l->sent.key, but[0]) == 0 ||
		    strcmp(l->sent.key, but[1]) == 0 ||
		    has_key(out, l->sent.key))
			continue;
		strcpy(list[out->count].key, l->sent.key);
		stray[out->count++] = l->stray;
	}
	pthread_mutex_unlock(&n->mutex);
	if (count > 0 && (list == NULL || stray == NULL)) {
		free(list);
		free(stray);
		*out = (struct lost_gone){ 0 };
		return -ENOMEM;
	}
	/* Not while the key holds the bytes of a file that was renamed away:
	 * they are its only copy, and nothing of this one was sent there. */
	for (size_t i = 0; i < out->count; i++) {
		char key[META_KEY_MAX + 2];

		strcpy(key, list[i].key);
		if (stray[i] || !hidden_exactly(n->export, key))
			forget_key(n, key, b, &list[kept++]);
	}
	out->count = kept;
	free(stray);
	return 0;
}

void
lost_gone_hide(const struct lost_gone *gone)
{
	for (size_t i = 0; i < gone->count; i++)
		hidden_add(gone->x, gone->list[i].key);
}

void
lost_gone_undo(struct lost_gone *gone)
{
	for (size_t i = 0; i < gone->count; i++)
		hidden_del(gone->x, gone->list[i].key);
	free(gone->list);
	*gone = (struct lost_gone){ 0 };
}

void
lost_gone_start(struct lost_gone *gone)
{
	for (size_t i = 0; i < gone->count; i++)
		delete_start(gone->x, &gone->list[i]);
	free(gone->list);
	*gone = (struct lost_gone){ 0 };
}
