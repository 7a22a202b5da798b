/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of a file with several names (link.c).  Each is whole, and bears
 * a mark, x-amz-meta-s3nfsd-link (object/link_mark.c):
 *
 *	ID COUNT VERSION KEY
 *
 * ID, 32 hexadecimal digits, is the same for all names of a file; COUNT is
 * how many there are; VERSION counts what was made of the file; KEY is a hash
 * of the key that the object was made for.  So a gateway that has nothing but
 * the bucket finds the file again, by whatever name it is asked for first; of
 * two objects with different versions the higher one is right; and a copy
 * that somebody made with another tool, metadata and all, is not taken for a
 * link.
 *
 * The file's own upload makes a version; when it is stored, the aliases
 * follow by server-side copies, pinned to that version.  An alias that could
 * not follow, for a crash came in between, is found by its version.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/link/inside.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"

/* ---- what an alias uploads ---- */

/* It was noted once more after it had been copied.  The node's lock is held.
 * What cannot be written down is looked at again. */
void
link_nothing_to_do(struct node *n, uint64_t content_version)
{
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct meta_batch *b = meta_batch_new();
	bool still;
	int r;

	mutex_lock(&n->mutex);
	still = n->content_version == content_version && !n->dead;
	r = meta_inode_copy(&n->i, &row);
	mutex_unlock(&n->mutex);
	if (r < 0 || !still) {
		meta_batch_free(&b);
		return;
	}
	row.data_dirty = row.attr_dirty = false;
	meta_del_upload(b, n->ino);
	meta_put_inode(b, &row);
	if (meta_commit(n->export->gate->meta, &b) < 0)
		return;
	mutex_lock(&n->mutex);
	if (n->content_version == content_version) {
		n->up.pending = n->i.data_dirty = n->i.attr_dirty = false;
		indoubt_forget_locked(n, n->i.base_key);
	}
	mutex_unlock(&n->mutex);
}

static int
take_alias(void *arg, uint64_t ino)
{
	struct link_followers *f = arg;
	struct node *n = NULL;

	if (f->count == f->room) {
		size_t room = f->room ? f->room * 2 : 8;
		struct node **list = realloc(f->list, room * sizeof(*list));

		if (list == NULL)
			return 1;	/* found again after a restart */
		f->list = list;
		f->room = room;
	}
	if (node_get(f->gate, ino, true, &n) == 0)
		f->list[f->count++] = n;
	return 0;
}

void
link_followers_get(struct node *file, struct link_followers *out)
{
	*out = (struct link_followers){ .gate = file->export->gate };
	/* What is not found now is found after a restart. */
	if (file->i.link_id[0] != '\0' && file->i.link_ino == 0 &&
	    meta_each_link(out->gate->meta, file->ino, take_alias, out) < 0)
		gate_say(out->gate, 1, "cannot find the links of a file");
}

/* Should the rows of their uploads be lost in a crash, link_recover finds
 * them by their versions. */
void
link_follow(struct node *alias)
{
	struct node *list[] = { node_ref(alias) };
	struct link_followers f = { .gate = alias->export->gate,
				    .list = list, .count = 1 };

	link_follow_locked(&f);
	mutex_lock(&alias->mutex);
	upload_schedule_locked(alias, true);
	mutex_unlock(&alias->mutex);
	node_put(&list[0]);
}

/* Only posted, under mutexes: whether the alias has followed is told by its
 * version, which a restart asks (link_recover). */
void
link_again_locked(struct node *n)
{
	struct meta_batch *b = meta_batch_new();
	int64_t now = clock_ns();

	mutex_must_hold(&n->mutex);
	if (!n->dead && !n->i.local_only && n->i.link_ino != 0) {
		n->content_version++;
		n->i.data_dirty = true;
		upload_planned_locked(n, now, upload_plan_locked(n, now, b));
	}
	meta_post(n->export->gate->meta, &b);
}

void
link_follow_locked(struct link_followers *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct node *n = f->list[i];

		mutex_lock_second(&n->mutex);
		link_again_locked(n);
		mutex_unlock(&n->mutex);
	}
}

void
link_followers_put(struct link_followers *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct node *n = f->list[i];

		mutex_lock(&n->mutex);
		upload_schedule_locked(n, true);
		mutex_unlock(&n->mutex);
		node_put(&f->list[i]);
	}
	free(f->list);
	*f = (struct link_followers){ 0 };
}

int
link_recover(struct gate *g)
{
	struct link_followers f = { .gate = g };
	int r = meta_each_stale_link(g->meta, take_alias, &f);

	if (r == 0)
		link_follow_locked(&f);
	link_followers_put(&f);
	return r;
}

/* ---- what is found at an alias's key ---- */

static int
look(struct sending *s, struct s3_object *o, struct link_mark *mark)
{
	struct gate_export *x = s->node->export;
	int r = s3_head(x->s3, s->snap.key, o, NULL);

	if (r == 0 && !link_mark_read(x, s->snap.key, &o->headers, mark))
		mark->id[0] = '\0';
	return r;
}

int
link_is_ours(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	struct link_mark mark = { 0 };
	bool ours;
	int r = look(s, &o, &mark);

	if (r < 0)
		return r == -ENOENT || r == -EACCES ? 0 : r;
	ours = strcmp(mark.id, i->link_id) == 0 &&
	       mark.version == i->link_version && o.size == i->base_size;
	if (ours)
		snprintf(s->etag, sizeof(s->etag), "%s", o.etag);
	s3_object_free(&o);
	return ours;
}

/* The next try replaces this, unless it goes elsewhere.  Of what is not
 * written down the next try finds the same. */
static void
expect(struct sending *s, const char *etag)
{
	struct node *n = s->node;
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct meta_batch *b = meta_batch_new();
	char key[META_KEY_MAX + 2];
	int r = -ECANCELED;

	node_lock_wait(n);
	if (!n->dead && path_key(n, key) == 0 &&
	    strcmp(key, s->snap.key) == 0) {
		mutex_lock(&n->mutex);
		r = meta_inode_copy(&n->i, &row);
		mutex_unlock(&n->mutex);
		snprintf(row.dest_etag, sizeof(row.dest_etag), "%s", etag);
		meta_put_inode(b, &row);
	}
	if (r == 0)
		r = meta_commit(n->export->gate->meta, &b);
	if (r == 0) {
		mutex_lock(&n->mutex);
		strcpy(n->i.dest_etag, row.dest_etag);
		mutex_unlock(&n->mutex);
	}
	node_unlock(n);
	meta_batch_free(&b);
}

/* Was the object replaced that this copies from? */
static bool
source_moved(struct sending *s)
{
	struct node *file = NULL;
	bool moved = true;

	if (node_get(s->node->export->gate, s->snap.row.link_ino, true,
		     &file) == 0) {
		mutex_lock(&file->mutex);
		moved = file->dead || file->up.run == UP_RUNNING ||
			strcmp(file->i.base_etag, s->snap.row.base_etag) ||
			strcmp(file->i.base_key, s->snap.row.base_key) ||
			file->i.link_version != s->snap.row.link_version;
		mutex_unlock(&file->mutex);
		node_put(&file);
	}
	return moved;
}

int
link_conflict(struct sending *s)
{
	struct node *n = s->node;
	struct gate_export *x = n->export;
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	struct link_mark mark = { 0 };
	int r = look(s, &o, &mark);

	if (r == -ENOENT) {
		/* Nothing is in the way. */
		expect(s, "");
		r = -ECANCELED;
	} else if (r == 0 && strcmp(mark.id, i->link_id) == 0) {
		/* A copy whose answer was lost. */
		expect(s, o.etag);
		r = -ECANCELED;
	} else if (r == 0 && (strcmp(o.etag, i->dest_etag) == 0 ||
			      source_moved(s))) {
		r = -ECANCELED;
	} else if (r == 0) {
		gate_say(x->gate, 1, "conflict: somebody else made an object "
			 "where a hard link was to be; theirs keeps the name: "
			 "key=%s", s->snap.key);
		__atomic_add_fetch(&x->gate->conflicts, 1, __ATOMIC_RELAXED);
		r = link_detach(n);
		r = r < 0 ? -EAGAIN : -ECANCELED;
	} else {
		r = -EAGAIN;
	}
	s3_object_free(&o);
	return r;
}

bool
link_is_version(const struct sending *s, const struct s3_object *o)
{
	const struct gate_export *x = s->node->export;
	const struct meta_inode *i = &s->snap.row;
	struct link_mark mark;

	if (i->link_id[0] == '\0' || x->c.metadata == GATE_META_NONE)
		return true;
	if (!link_mark_read(x, s->snap.key, &o->headers, &mark))
		return i->nlink < 2;
	return strcmp(mark.id, i->link_id) == 0 && mark.count == i->nlink &&
	       mark.version == i->link_version + 1;
}

int
link_replaces(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	struct link_mark mark = { 0 };
	struct s3_object o = { 0 };
	bool ours;
	int r;

	/* What it builds on is not replaced by a guess. */
	if (i->link_id[0] == '\0' || strcmp(i->base_key, s->snap.key) == 0)
		return 0;
	r = look(s, &o, &mark);
	if (r < 0)
		return r == -ENOENT || r == -EACCES ? 0 : r;
	ours = strcmp(mark.id, i->link_id) == 0 &&
	       strcmp(o.etag, i->dest_etag) != 0;
	if (ours)
		expect(s, o.etag);
	s3_object_free(&o);
	return ours;
}

/* The node's lock is held. */
static int
drop_base(struct node *n)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	int r;

	node_must_be_locked(n);
	change_begin(&c, n->export->gate);
	r = change_unbind_name(&c, n, NULL);
	mutex_lock(&n->mutex);
	if (r == 0)
		r = n->dead || !name_left_key(n) ? -ECANCELED : 0;
	if (r == 0)
		r = meta_inode_copy(&n->i, &row);
	/* It is hidden since the rename. */
	if (r == 0)
		(void)delete_queue_object_locked(n, &c, false);
	mutex_unlock(&n->mutex);
	if (r < 0)
		return r;
	row.base_key[0] = row.base_etag[0] = '\0';
	row.name_dirty = false;
	row.data_dirty = !row.local_only;
	meta_put_inode(c.batch, &row);
	if (row.local_only)
		meta_del_upload(c.batch, n->ino);
	r = change_commit(&c);
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	indoubt_forget_locked(n, n->i.base_key);
	n->i.base_key[0] = n->i.base_etag[0] = '\0';
	n->i.name_dirty = false;
	n->i.data_dirty = row.data_dirty;
	if (row.local_only)
		n->up.pending = false;
	mutex_unlock(&n->mutex);
	return 0;
}

int
link_drop_base(struct node *n)
{
	int r;

	node_lock_wait(n);
	r = drop_base(n);
	node_unlock(n);
	return r;
}
