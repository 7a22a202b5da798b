/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S3 tells something else of a file than is known here: take it over, or see
 * that the file is gone.  And the HEAD for what a listing has not told.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

/* Write a row back that only remembers S3; need not survive a crash. */
void
lookup_post(struct node *n)
{
	struct meta_batch *b = meta_batch_new();

	if (b != NULL)
		meta_put_inode(b, &n->i);
	meta_post(n->export->gate->meta, &b);
}

static int
any_link(void *arg, uint64_t ino)
{
	(void)ino;
	*(bool *)arg = true;
	return 1;
}

/*
 * What the mark of the new object means for a node whose row will be `row`.
 * *other: the name is that of another file now, for an S3 tool has replaced
 * the object of one of several names.  The node's lock is held.
 */
static int
adopt_link(struct node *n, const struct link_mark *mark,
	   struct meta_inode *row, bool *other)
{
	struct gate *g = n->export->gate;
	bool same = strcmp(mark->id, n->i.link_id) == 0;
	struct meta_batch *b;
	int r = 0;

	if (n->i.link_id[0] != '\0' && !same) {
		if (n->i.link_ino != 0)
			*other = true;
		else
			r = meta_each_link(g->meta, n->ino, any_link, other);
		return r;
	}
	if (mark->id[0] == '\0')
		return 0;
	if (n->i.link_ino != 0) {
		row->link_version = mark->version;
		return 0;
	}
	mutex_lock(&g->links);
	b = meta_batch_new();
	r = b == NULL ? -ENOMEM : link_mark_apply(g, mark, row);
	if (r == 0) {
		meta_put_inode(b, row);
		r = meta_commit(g->meta, &b);
	}
	meta_batch_free(&b);
	mutex_unlock(&g->links);
	return r;
}

/* A new symlink's target is read before the node is locked: what the object
 * is, and where it points, in `seen`. */
static int
read_target(struct node *n, const struct s3_object *o, struct meta_inode *seen)
{
	char key[META_KEY_MAX + 2];
	bool known;

	mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	known = n->i.target != NULL && strcmp(n->i.base_etag, o->etag) == 0;
	mutex_unlock(&n->mutex);
	if (known)
		return 0;
	object_to_inode(n->export, key, o, seen);
	return object_read_target(n->export, seen);
}

/* The same of the row that it becomes. */
static void
take_target(struct meta_inode *seen, struct meta_inode *row)
{
	if (row->kind != GATE_LNK || row->target != NULL || seen->kind == 0)
		return;
	row->kind = seen->kind;
	row->mode = seen->mode;
	row->target = seen->target;
	seen->target = NULL;
}

/* It is as it was: S3 agrees as of then.  Mutex held. */
static void
agree_locked(struct node *n, const struct s3_object *o, uint64_t asked_ms)
{
	mutex_must_hold(&n->mutex);
	/* 0 until a listing has shown it: see still_there. */
	n->doubt_done = n->doubt;
	n->checked_ms = answer_ms(n->export->gate, asked_ms) ? clock_ms() : 0;
	if (n->i.cold != o->cold && (o->cold || o->class_told)) {
		n->i.cold = o->cold;
		lookup_post(n);
	}
}

/* The row is what the node is from now on, and is taken.  Mutex held. */
static void
become_locked(struct node *n, struct meta_inode *row, bool same_bytes,
	      uint64_t asked_ms)
{
	mutex_must_hold(&n->mutex);
	/* A version from outside: its change time is when it came. */
	if (!same_bytes && n->i.attr_known && row->ctime_ns <= n->i.ctime_ns)
		row->ctime_ns = clock_ns();
	meta_inode_fini(&n->i);
	n->i = *row;
	memset(row, 0, sizeof(*row));
	quota_size_locked(n, n->i.size);
	n->writer_mtime_ns = n->i.mtime_ns;
	n->checked_ms = answer_ms(n->export->gate, asked_ms) ? clock_ms() : 0;
	n->doubt_done = same_bytes ? n->doubt : 0;
	if (!same_bytes) {
		data_drop_clean_locked(n);
		n->content_version++;
		n->replaced++;
	}
	lookup_post(n);
}

/* What lookup_adopt does, with the lock and the mutex, which is released
 * meanwhile.  *other: the name is another file's now. */
static int
adopt_locked(struct node *n, const struct s3_object *o,
	     struct meta_inode *seen, uint64_t asked_ms, bool *other)
{
	struct gate_export *x = n->export;
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct link_mark mark = { 0 };
	bool same_bytes, unread;
	int r;

	mutex_must_hold(&n->mutex);
	(void)link_mark_read(x, n->i.base_key, &o->headers, &mark);
	unread = object_unread_locked(n);
	if (n->dead)
		return -ESTALE;
	if ((node_is_local_locked(n) && !unread) ||
	    (n->i.attr_known && n->checked_ms >= asked_ms))
		return 0;
	same_bytes = strcmp(n->i.base_etag, o->etag) == 0 &&
		     n->i.base_size == o->size;
	if (same_bytes && n->i.attr_known &&
	    (n->i.base_mtime_ns == o->mtime_ns || n->i.base_mtime_ns == 0)) {
		agree_locked(n, o, asked_ms);
		return 0;
	}
	r = meta_inode_copy(&n->i, &row);
	if (r < 0)
		return r;
	mutex_unlock(&n->mutex);
	if (!same_bytes && row.kind != GATE_DIR)
		meta_inode_fini(&row);
	object_to_inode(x, n->i.base_key, o, &row);
	if (same_bytes && n->i.base_mtime_ns == 0)
		row.base_mtime_ns = 0;
	if (unread)	/* of the key that its name spells it says nothing */
		strcpy(row.dest_etag, n->i.dest_etag);
	take_target(seen, &row);
	if (row.kind == GATE_LNK && row.target == NULL)
		r = -EAGAIN;	/* replaced twice meanwhile */
	else
		r = adopt_link(n, &mark, &row, other);
	mutex_lock(&n->mutex);
	if (r == 0 && *other)
		return -ESTALE;
	if (r == 0 && row.kind != n->i.kind) {
		/* Another kind is another file (RFC 1813 3.3.1: a handle
		 * never changes its type); the name finds the new one. */
		*other = n->i.attr_known;
		r = *other ? -ESTALE : 0;
	}
	if (r == 0)
		become_locked(n, &row, same_bytes, asked_ms);
	return r;
}

int
lookup_adopt(struct node *n, const struct s3_object *o, uint64_t asked_ms)
{
	struct gate *g = n->export->gate;
	struct meta_inode seen = { 0 };
	bool other = false;
	int r = read_target(n, o, &seen);

	if (r < 0)
		return r;
	node_lock_wait(n);
	mutex_lock(&n->mutex);
	r = adopt_locked(n, o, &seen, asked_ms, &other);
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
	meta_inode_fini(&seen);
	/* The old one has to make room, or its name finds nothing. */
	if (other) {
		uint64_t parent = n->parent;
		int gone = lookup_vanish(n, UINT64_MAX);
		struct node *dir = node_find(g, parent);

		/* The listing that told of it was of the old one. */
		if (dir != NULL)
			scan_expire(dir);
		node_put(&dir);
		r = gone < 0 ? gone : r;
	}
	return r;
}

static int
any_name(void *arg, const struct meta_name *name)
{
	(void)name;
	*(bool *)arg = true;
	return 1;
}

int
lookup_detach(struct node *n)
{
	struct gate *g = n->export->gate;
	struct meta_batch *b = meta_batch_new();
	int r;

	if (b != NULL)
		meta_del_inode(b, n->ino);
	r = meta_commit(g->meta, &b);
	if (r == 0) {
		nlink_gone(n);
		node_unname(n);
		mutex_lock(&n->mutex);
		__atomic_store_n(&n->dead, true, __ATOMIC_RELEASE);
		indoubt_forget_locked(n, NULL);
		data_drop_clean_locked(n);
		node_changed_locked(n);
		mutex_unlock(&n->mutex);
	}
	return r;
}

/* Its object was removed by somebody else: so is the file. */
int
lookup_vanish(struct node *n, uint64_t asked_ms)
{
	struct gate *g = n->export->gate;
	bool any = false, alias;
	int r = 0;

	/* Where its names lie is not known yet. */
	if (dirmove_lists(n))
		return 0;
	node_lock_wait(n);
	mutex_lock(&n->mutex);
	if (n->dead || node_is_local_locked(n) ||
	    n->checked_ms >= asked_ms || n->ino == n->export->root) {
		node_unlock_locked(n);
		mutex_unlock(&n->mutex);
		return 0;
	}
	alias = n->i.link_ino != 0;
	mutex_unlock(&n->mutex);
	if (alias) {
		/* The file, which has other names, is locked before it. */
		node_unlock(n);
		return link_detach(n);
	}
	/* Only one of its names is gone. */
	r = n->i.link_id[0] != '\0' ? link_move_over(n) : 0;
	if (r != 0) {
		node_unlock(n);
		return r < 0 ? r : 0;
	}
	/* The bucket may have nothing below a directory, and yet there are
	 * files in it that wait for their upload: their path goes with it. */
	if (node_kind(n) == GATE_DIR)
		r = meta_each_name(g->meta, n->ino, 0, 1, any_name, &any);
	if (r < 0 || any) {
		node_unlock(n);
		return r;
	}
	r = lookup_detach(n);
	node_unlock(n);
	return r;
}

/*
 * A node that a listing made knows size, time and ETag of its object; the
 * rest takes one HEAD for each version.
 */
int
object_learn(struct node *n)
{
	struct gate_export *x = n->export;
	struct s3_object o = { 0 };
	char key[META_KEY_MAX + 2];
	uint64_t asked = clock_ms();
	bool moved = true;
	int r;

	for (r = -ENOENT; r == -ENOENT && moved;) {
		mutex_lock(&n->mutex);
		if (n->i.attr_known || (node_is_local_locked(n) &&
					!object_unread_locked(n))) {
			mutex_unlock(&n->mutex);
			return 0;
		}
		strcpy(key, n->i.base_key);
		mutex_unlock(&n->mutex);
		r = s3_head(x->s3, key, &o, NULL);
		/* Relocated to another key while it was asked for? */
		mutex_lock(&n->mutex);
		moved = strcmp(key, n->i.base_key) != 0;
		mutex_unlock(&n->mutex);
	}
	if (r == -ENOENT) {
		r = lookup_vanish(n, asked);
		return r < 0 ? r : -ESTALE;
	}
	if (r < 0)
		return r;
	r = lookup_adopt(n, &o, asked);
	s3_object_free(&o);
	return r;
}
