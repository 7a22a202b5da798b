/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests without an answer (upload/indoubt_met.c) whose key the path does not
 * spell any more, since a directory above was renamed.  An object of ours may
 * lie there, or come to lie there, that belongs to no name: the old one must
 * not find it, and what gets the old name must not be uploaded before it is
 * known what is there.  So the key is hidden, and looked at when the file is
 * uploaded next (look_back in upload/upload.c).  The directory's move does not
 * end before that.
 *
 * The rename writes those down that it leaves behind, in its own transaction.
 * A request that goes out in the same moment is seen by the rename, or sees it
 * and writes itself down: it notes itself first and then looks whether its key
 * is claimed; the rename claims its source first and then looks at the notes.
 *
 * A file that is removed takes its keys with it: what may lie there is
 * deleted, whatever comes of the request.
 *
 * And the rows of all such requests of a file.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"

static void
path_of(struct node *n, char key[META_KEY_MAX + 2])
{
	if (path_key(n, key) < 0)
		key[0] = '\0';
}

void
indoubt_place(struct node *n)
{
	char key[META_KEY_MAX + 2], now[META_KEY_MAX + 2];
	struct indoubt *l;
	bool any;

	mutex_lock(&n->mutex);
	any = !LIST_EMPTY(&n->up.indoubt);
	mutex_unlock(&n->mutex);
	if (!any)
		return;
	path_of(n, now);
	do {
		strcpy(key, now);
		mutex_lock(&n->mutex);
		/* What the base lies at is looked after by that. */
		LIST_FOREACH(l, &n->up.indoubt, link)
			indoubt_stray(l, !n->dead &&
					      strcmp(l->sent.key, key) != 0 &&
					      strcmp(l->sent.key,
						     n->i.base_key) != 0);
		mutex_unlock(&n->mutex);
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
	const struct indoubt *l;

	*out = (struct inos){ 0 };
	mutex_lock(&g->mutex);
	LIST_FOREACH(l, &g->indoubt, all)
		room++;
	out->list = calloc(room + 1, sizeof(*out->list));
	LIST_FOREACH(l, &g->indoubt, all) {
		if (out->list == NULL || (x != NULL && l->x != x) ||
		    strncmp(l->sent.key, prefix, len) != 0 ||
		    (out->count > 0 &&
		     out->list[out->count - 1] == l->ino))
			continue;
		out->list[out->count++] = l->ino;
	}
	mutex_unlock(&g->mutex);
	return out->list == NULL ? -ENOMEM : 0;
}

void
indoubt_place_all(struct gate_export *x)
{
	struct inos inos;

	/* Without memory what was left behind can be seen, no more. */
	if (collect(x->gate, x, "", &inos) < 0)
		return;
	for (size_t i = 0; i < inos.count; i++) {
		struct node *n = node_find(x->gate, inos.list[i]);

		if (n != NULL)
			indoubt_place(n);
		node_put(&n);
	}
	free(inos.list);
}

int
indoubt_rows_below(struct gate_export *x, const char *prefix, struct change *c)
{
	struct inos inos;
	int r = collect(x->gate, x, prefix, &inos);

	for (size_t i = 0; r == 0 && i < inos.count; i++) {
		struct node *n = node_find(x->gate, inos.list[i]);

		if (n == NULL)
			continue;
		mutex_lock(&n->mutex);
		if (!n->dead)
			indoubt_rows_locked(n, c, NULL, NULL);
		mutex_unlock(&n->mutex);
		node_put(&n);
	}
	free(inos.list);
	return r;
}

int
indoubt_catch_up(struct node *n, const char *key)
{
	CLEANUP_CHANGE struct change c;
	char path[META_KEY_MAX + 2];
	int r;

	change_begin(&c, n->export->gate);
	path_of(n, path);
	if (strcmp(path, key) == 0 && !dirmove_claims(n->export, key))
		return 0;
	mutex_lock(&n->mutex);
	if (!n->dead)
		indoubt_rows_locked(n, &c, NULL, NULL);
	mutex_unlock(&n->mutex);
	r = change_commit(&c);
	indoubt_place(n);
	return r;
}

bool
indoubt_below(struct gate_export *x, const char *prefix)
{
	struct gate *g = x->gate;
	const struct indoubt *l;

	mutex_lock(&g->mutex);
	LIST_FOREACH(l, &g->indoubt, all) {
		if (l->stray && l->x == x &&
		    strncmp(l->sent.key, prefix, strlen(prefix)) == 0)
			break;
	}
	mutex_unlock(&g->mutex);
	return l != NULL;
}

/* None of it matters any more, once that is committed.  Mutex held. */
static void
indoubt_no_rows_locked(struct node *n, struct change *c)
{
	mutex_must_hold(&n->mutex);
	change_sent_locked(c, n);
	meta_put_indoubt(c->batch, n->ino, NULL, 0);
	n->up.indoubt_rows = false;
}

static int
drop_stale(struct node *n)
{
	CLEANUP_CHANGE struct change c;
	bool all;
	int r;

	change_begin(&c, n->export->gate);
	mutex_lock(&n->mutex);
	if (n->i.local_only)
		indoubt_forget_left_locked(n);
	all = !n->up.pending && !n->i.relocating;
	if (all)
		indoubt_no_rows_locked(n, &c);
	mutex_unlock(&n->mutex);
	r = change_commit(&c);
	mutex_lock(&n->mutex);
	if (r == 0 && all)
		indoubt_forget_locked(n, NULL);
	mutex_unlock(&n->mutex);
	return r;
}

/* What is not settled now is at the next start. */
void
indoubt_drop_stale(struct gate *g)
{
	struct inos inos;
	int r = collect(g, NULL, "", &inos);

	for (size_t i = 0; r == 0 && i < inos.count; i++) {
		struct node *n = node_find(g, inos.list[i]);

		if (n != NULL)
			r = drop_stale(n);
		node_put(&n);
	}
	free(inos.list);
}

/* ---- a file that goes ---- */

struct left {
	char key[META_KEY_MAX + 2];
	bool stray;
};

void
indoubt_gone_rows(struct node *n, const char *const but[2], struct change *c)
{
	const struct indoubt *l;
	struct left *list;
	size_t room = 1, count = 0;
	char path[META_KEY_MAX + 2];

	path_of(n, path);
	mutex_lock(&n->mutex);
	LIST_FOREACH(l, &n->up.indoubt, link)
		room++;
	list = calloc(room, sizeof(*list));
	if (list == NULL)
		meta_batch_fail(c->batch, -ENOMEM);
	LIST_FOREACH(l, &n->up.indoubt, link) {
		if (list == NULL || strcmp(l->sent.key, but[0]) == 0 ||
		    strcmp(l->sent.key, but[1]) == 0)
			continue;
		strcpy(list[count].key, l->sent.key);
		list[count++].stray = l->stray;
	}
	mutex_unlock(&n->mutex);
	/* Not while the key holds the bytes of a file that was renamed away:
	 * they are its only copy, and nothing of this one was sent there. */
	for (size_t i = 0; i < count; i++) {
		const char *key = list[i].key;

		if (!change_deletes(c, key) &&
		    (list[i].stray || !hidden_exactly(n->export, key)))
			(void)delete_queue_indoubt(n, c, key,
						   strcmp(key, path) == 0
						      ? n->i.dest_etag
						      : "");
	}
	free(list);
}

/* ---- on record ---- */

void
indoubt_rows_locked(struct node *n, struct change *c, const char *const but[2],
		    const struct indoubt_heirloom *more)
{
	size_t count = more == NULL ? 0 : more->count, i = 0;
	struct meta_indoubt *rows;
	const struct indoubt *l;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(l, &n->up.indoubt, link)
		count += !indoubt_is_key_of(l->sent.key, but);
	if (count == 0 && !n->up.indoubt_rows)
		return;
	rows = calloc(count + 1, sizeof(*rows));
	if (rows == NULL) {
		meta_batch_fail(c->batch, -ENOMEM);
		return;
	}
	LIST_FOREACH(l, &n->up.indoubt, link) {
		if (!indoubt_is_key_of(l->sent.key, but))
			rows[i++] = l->sent;
	}
	for (size_t j = 0; more != NULL && j < more->count; j++)
		rows[i++] = more->list[j];
	change_sent_locked(c, n);
	meta_put_indoubt(c->batch, n->ino, rows, count);
	n->up.indoubt_rows = count > 0;
	free(rows);
}
