/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object that was to follow its renamed directory (dirmove/relocate.c) has
 * changed or gone, or its new key is taken.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"

/* Somebody removed the marker of a directory: it gets another one, where it is
 * now. */
static int
marker_gone(struct sending *s)
{
	struct node *n = s->node;
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	int r;

	change_begin(&c, n->export->gate);
	node_lock_wait(n);
	r = upload_copy_row(n, &row);
	row.base_key[0] = row.base_etag[0] = row.dest_etag[0] = '\0';
	row.base_size = row.base_limit = 0;
	row.relocating = row.name_dirty = false;
	row.data_dirty = row.attr_dirty = true;
	if (r == 0) {
		meta_put_inode(c.batch, &row);
		mutex_lock(&n->mutex);
		change_upload_locked(&c, n, &row);
		mutex_unlock(&n->mutex);
		r = change_commit(&c);
	}
	if (r == 0) {
		mutex_lock(&n->mutex);
		n->i.base_key[0] = n->i.base_etag[0] = '\0';
		n->i.dest_etag[0] = '\0';
		n->i.base_size = n->i.base_limit = 0;
		n->i.relocating = n->i.name_dirty = false;
		n->i.data_dirty = n->i.attr_dirty = true;
		mutex_unlock(&n->mutex);
		gate_say(n->export->gate, 1, "somebody else removed the object "
			 "of a renamed directory, it gets another one: key=%s",
			 s->snap.row.base_key);
	}
	node_unlock(n);
	return r < 0 ? r : -ECANCELED;
}

/* Somebody replaced it: the file has that version.  Only posted: what is not
 * on record is found once more. */
static int
source_changed(struct sending *s, const struct s3_object *o)
{
	struct node *n = s->node;
	struct meta_batch *b = meta_batch_new();

	node_lock_wait(n);
	mutex_lock(&n->mutex);
	if (!n->dead && n->i.relocating && !n->i.data_dirty &&
	    n->d.staged.count == 0 && n->d.dirty.count == 0 &&
	    strcmp(n->i.base_etag, s->snap.row.base_etag) == 0) {
		strcpy(n->i.base_etag, o->etag);
		n->i.base_size = n->i.base_limit = o->size;
		if (n->i.kind != GATE_DIR)
			n->i.size = n->writer_size = o->size;
		n->i.mtime_ns = n->writer_mtime_ns = o->mtime_ns;
		n->i.ctime_ns = clock_ns();
		n->i.attr_known = false;
		n->d.fetch_error = 0;
		meta_inode_fini(&n->i);
		data_drop_clean_locked(n);
		n->content_version++;
		n->replaced++;
		if (b != NULL)
			meta_put_inode(b, &n->i);
	}
	mutex_unlock(&n->mutex);
	meta_post(n->export->gate->meta, &b);
	node_unlock(n);
	return -ECANCELED;
}

/* Theirs has the key.  Ours goes beside it, or stays where it is. */
static int
dest_taken(struct sending *s, const struct s3_object *theirs)
{
	struct gate_export *x = s->node->export;
	const struct meta_inode *i = &s->snap.row;
	struct s3_cond none = { .if_none_match = true,
				.source_size = i->base_size + 1 };
	char key[META_KEY_MAX + 2], etag[S3_ETAG_MAX], when[32];
	time_t now = (time_t)(clock_ns() / 1000000000);
	struct tm tm;
	int r;

	if (x->c.on_conflict != GATE_CONFLICT_KEEP_BOTH)
		return -EEXIST;
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	if (snprintf(key, sizeof(key), "%s.conflict-rename-%s", s->snap.key,
		     when) > META_KEY_MAX)
		return -EEXIST;
	if (i->base_size > S3_COPY_MAX)
		return -EEXIST;
	r = s3_copy(x->s3, i->base_key, i->base_etag, key, NULL, &none, etag,
		    &s->err);
	if (r < 0)
		return r == -ESTALE || r == -EEXIST ? -EAGAIN : r;
	gate_say(x->gate, 1, "conflict: somebody else has put an object where "
		 "a file of a renamed directory goes; theirs keeps the name, "
		 "ours is beside it: key=%s bytes=%llu", key,
		 (unsigned long long)i->base_size);
	__atomic_add_fetch(&x->gate->conflicts, 1, __ATOMIC_RELAXED);
	/* The inode is theirs from here on, and the old object goes. */
	snprintf(s->etag, sizeof(s->etag), "%s", theirs->etag);
	s->snap.row.size = theirs->size;
	s->theirs = true;
	return 0;
}

int
relocate_conflict(struct sending *s, int error)
{
	struct gate_export *x = s->node->export;
	const struct meta_inode *i = &s->snap.row;
	struct s3_object from = { 0 }, to = { 0 };
	int r = s3_head(x->s3, i->base_key, &from, NULL);

	if (r == -ENOENT)
		return i->kind == GATE_DIR ? marker_gone(s)
					   : upload_base_gone(s);
	if (r < 0)
		return r;
	if (i->base_etag[0] != '\0' && strcmp(from.etag, i->base_etag) != 0) {
		r = source_changed(s, &from);
		s3_object_free(&from);
		return r;
	}
	r = s3_head(x->s3, s->snap.key, &to, NULL);
	if (r == 0 && relocate_is_copy(&from, &to)) {
		/* Our copy, whose answer was lost, perhaps in a crash. */
		snprintf(s->etag, sizeof(s->etag), "%s", to.etag);
	} else if (r == 0) {
		memset(&s->err, 0, sizeof(s->err));
		r = dest_taken(s, &to);
	} else if (r == -ENOENT) {
		r = error == -EEXIST ? -EAGAIN : error;
	}
	s3_object_free(&from);
	s3_object_free(&to);
	return r;
}
