/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file gives up its object: what is to be deleted, and with which condition.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"

/* One under way will have noted what it sends, or may do so yet. */
static bool
is_running_locked(const struct node *n, const char *key)
{
	mutex_must_hold(&n->mutex);
	return n->up.run == UP_RUNNING && n->up.sent_key != NULL &&
	       strcmp(n->up.sent_key, key) == 0;
}

/* The object at this key is about to be deleted, by a step of the change: so is
 * what uploads of the file may have left there.  Mutex held. */
static void
indoubt_ours_locked(struct node *n, const char *key, struct change *c)
{
	bool running = is_running_locked(n, key);
	size_t room = running;
	struct meta_ours *ours;
	const struct indoubt *l;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(l, &n->up.indoubt, link)
		room += strcmp(l->sent.key, key) == 0;
	if (room == 0)
		return;
	ours = calloc(1, meta_ours_size(room));
	if (ours == NULL) {
		meta_batch_fail(c->batch, -ENOMEM);
		return;
	}
	LIST_FOREACH(l, &n->up.indoubt, link) {
		if (strcmp(l->sent.key, key) == 0)
			ours->sent[ours->count++] = l->sent;
	}
	if (running)
		indoubt_version(key, &n->i, "", &ours->sent[ours->count++]);
	change_delete_ours(c, key, ours);
}

/* Linux renames a file that it holds open and removes to .nfs + digits. */
bool
name_is_silly(const char *name)
{
	return strncmp(name, ".nfs", 4) == 0 && strlen(name) >= 8 &&
	       strspn(name + 4, "0123456789abcdefABCDEF") == strlen(name + 4);
}

bool
name_left_key(const struct node *n)
{
	return n->i.base_key[0] != '\0' &&
	       (n->i.name_dirty || n->i.local_only);
}

const struct meta_delete *
delete_queue_known_locked(struct node *n, struct change *c, const char *key,
			  const char *etag, bool hide)
{
	const struct meta_delete *row = change_delete(c, n->export, key, etag,
						      hide);

	mutex_must_hold(&n->mutex);
	/* What an upload under way will have made there, or one without an
	 * answer has made, is ours, too. */
	if (row != NULL)
		indoubt_ours_locked(n, key, c);
	return row;
}

const struct meta_delete *
delete_queue_known(struct node *n, struct change *c, const char *key,
		   const char *etag, bool hide)
{
	const struct meta_delete *row;

	mutex_lock(&n->mutex);
	row = delete_queue_known_locked(n, c, key, etag, hide);
	mutex_unlock(&n->mutex);
	return row;
}

const struct meta_delete *
delete_queue_indoubt(struct node *n, struct change *c, const char *key,
		     const char *etag)
{
	const struct meta_delete *row;

	mutex_lock(&n->mutex);
	if (etag[0] == '\0' && !is_running_locked(n, key) &&
	    !indoubt_at_locked(n, key))
		etag = DELETE_NOTHING;
	row = delete_queue_known_locked(n, c, key, etag, true);
	mutex_unlock(&n->mutex);
	return row;
}

const struct meta_delete *
delete_queue_object_locked(struct node *n, struct change *c, bool hide)
{
	mutex_must_hold(&n->mutex);
	/* Under a name that the file has left somebody else may have put
	 * something of his own; and under its name, when S3 is away for a
	 * while, or the state directory was put back. */
	const struct meta_delete *row = delete_queue_known_locked(
		n, c, n->i.base_key, n->i.base_etag, hide);

	if (row != NULL && !name_left_key(n))
		change_delete_soft(c, n->i.base_key);
	return row;
}

const struct meta_delete *
delete_queue_object(struct node *n, struct change *c, bool hide)
{
	const struct meta_delete *row;

	mutex_lock(&n->mutex);
	row = delete_queue_object_locked(n, c, hide);
	mutex_unlock(&n->mutex);
	return row;
}

void
delete_queue_copy(struct node *n, struct change *c)
{
	char key[META_KEY_MAX + 2];

	if (n->i.base_etag[0] != '\0' && path_key(n, key) == 0 &&
	    strcmp(key, n->i.base_key) != 0)
		(void)change_delete(c, n->export, key, n->i.base_etag, true);
}
