/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload was refused, for what lies at its key, or where its bytes are to
 * come from, is not what the file builds on.  It may be our own work, whose
 * answer was lost; an older version of ours; the marker of a directory; as it
 * should be, after all; or gone, and then a copy has lost its object and the
 * file goes, as when anybody removes it.  What remains is somebody else's
 * change (conflict.c).
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

/* What lies at the key?  The words of a failure are kept, but for those that
 * there is nothing. */
static int
look(struct sending *s, const char *key, struct s3_object *o)
{
	struct s3_error err = { 0 };
	int r = s3_head(s->node->export->s3, key, o, &err);

	if (r < 0 && r != -ENOENT)
		s->err = err;
	return r;
}

/* The ETag that this version was to have, if that is on record. */
static void
expected(struct sending *s, char etag[META_ETAG_MAX])
{
	struct node *n = s->node;

	etag[0] = '\0';
	mutex_lock(&n->mutex);
	if (n->up.row != NULL &&
	    n->up.expect_version == s->snap.content_version)
		strcpy(etag, n->up.row->expect_etag);
	mutex_unlock(&n->mutex);
}

/*
 * The object at the key is not what we built on.  Is it our own, made by a
 * request whose answer was lost, perhaps before a crash?  0, 1, or what keeps
 * us from knowing.
 */
int
upload_is_ours(struct sending *s)
{
	struct gate_export *x = s->node->export;
	struct s3_object o = { 0 };
	struct meta_inode seen = { 0 };
	char expect[META_ETAG_MAX];
	bool ours = false;
	int r;

	if (s->snap.row.link_ino != 0)
		return link_is_ours(s);
	r = look(s, s->snap.key, &o);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	object_to_inode(x, s->snap.key, &o, &seen);
	/* What is expected was written down for one version: an older one
	 * that did arrive is not this one. */
	expected(s, expect);
	if (expect[0] != '\0')
		ours = strcmp(o.etag, expect) == 0;
	else if (!link_is_version(s, &o))
		ours = false;
	else
		/* A copy has the ETag of its source, so the ETag that tells
		 * is that of what was there before. */
		ours = o.size == (s->snap.row.kind == GATE_REG
					  ? s->snap.row.size
					  : o.size) &&
		       strcmp(o.etag, s->snap.row.dest_etag) != 0 &&
		       ((seen.mtime_ns == s->snap.row.mtime_ns &&
			 seen.mode == s->snap.row.mode &&
			 seen.uid == s->snap.row.uid &&
			 seen.kind == s->snap.row.kind) ||
			indoubt_same_bytes(s, &o));
	if (ours)
		snprintf(s->etag, sizeof(s->etag), "%s", o.etag);
	meta_inode_fini(&seen);
	s3_object_free(&o);
	return ours;
}

/*
 * What the file was to replace is not there: it was where the path led before
 * a directory above was renamed, or somebody else removed it.  1: nothing is
 * replaced, then.
 */
static int
dest_gone(struct sending *s)
{
	struct node *n = s->node;
	const struct meta_inode *i = &s->snap.row;
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct s3_object o = { 0 };
	int r;

	if (i->dest_etag[0] == '\0' || strcmp(i->base_key, s->snap.key) == 0)
		return 0;
	r = look(s, s->snap.key, &o);
	s3_object_free(&o);
	if (r != -ENOENT)
		return r;
	node_lock_wait(n);
	r = upload_copy_row(n, &row);
	if (r == 0 && strcmp(row.dest_etag, i->dest_etag) == 0) {
		row.dest_etag[0] = '\0';
		r = upload_put_row(n, &row);
	}
	node_unlock(n);
	return r < 0 ? r : 1;
}

/* The row is on disk. */
static void
base_follows(struct node *n, const struct meta_inode *row)
{
	mutex_lock(&n->mutex);
	strcpy(n->i.base_key, row->base_key);
	strcpy(n->i.base_etag, row->base_etag);
	n->i.base_size = row->base_size;
	n->i.base_limit = row->base_limit;
	mutex_unlock(&n->mutex);
}

/* A directory's marker: what lies there is what it replaces next, and bytes
 * that somebody has put into it stay. */
static int
met_marker(struct sending *s)
{
	struct node *n = s->node;
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct s3_object o = { 0 };
	int r = s3_head(n->export->s3, s->snap.key, &o, &s->err), found = r;

	if (r < 0 && r != -ENOENT)
		return r;
	node_lock_wait(n);
	r = upload_copy_row(n, &row);
	strcpy(row.dest_etag, o.etag);
	if (found == 0 || strcmp(row.base_key, s->snap.key) == 0) {
		strcpy(row.base_key, found == 0 ? s->snap.key : "");
		strcpy(row.base_etag, o.etag);
		row.base_size = row.base_limit = o.size;
	}
	if (r == 0)
		r = upload_put_row(n, &row);
	if (r == 0)
		base_follows(n, &row);
	node_unlock(n);
	s3_object_free(&o);
	return r < 0 ? r : -ECANCELED;
}

/* Nothing has changed where it matters: the store refused for another reason,
 * a write of the key that raced (409) or an upload that it has forgotten. */
static int
is_as_expected(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	int r = look(s, s->snap.key, &o);

	if (r == 0)
		r = strcmp(o.etag, i->dest_etag) == 0;
	else if (r == -ENOENT)
		r = i->dest_etag[0] == '\0';
	s3_object_free(&o);
	if (r != 1 || i->base_key[0] == '\0' ||
	    strcmp(i->base_key, s->snap.key) == 0)
		return r == -ENOENT ? 0 : r;
	r = look(s, i->base_key, &o);
	if (r == 0)
		r = strcmp(o.etag, i->base_etag) == 0;
	s3_object_free(&o);
	return r == -ENOENT ? 0 : r;
}

/* Its further names that have no object yet go with it. */
static void
detach_aliases(struct link_followers *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct node *n = f->list[i];

		node_lock_wait(n);
		if (!node_dead(n) && n->i.base_key[0] == '\0' &&
		    lookup_detach(n) < 0)
			gate_say(n->export->gate, 1, "a name of a file that is "
				 "gone stays: inode=%llu",
				 (unsigned long long)n->ino);
		node_unlock(n);
	}
	for (size_t i = 0; i < f->count; i++)
		node_put(&f->list[i]);
	free(f->list);
}

/* Is there nothing of it but in the object?  The file lock is held. */
static bool
is_all_there(struct node *n, const char *base_key)
{
	bool all;

	mutex_lock(&n->mutex);
	all = !n->dead && !n->i.data_dirty && n->h.state != META_ACTIVE &&
	      n->d.dirty.count == 0 && n->d.durable.count == 0 &&
	      n->d.staged.count == 0 && n->i.kind != GATE_DIR &&
	      n->i.link_ino == 0 && strcmp(n->i.base_key, base_key) == 0;
	mutex_unlock(&n->mutex);
	return all;
}

int
upload_base_gone(struct sending *s)
{
	struct node *n = s->node;
	struct gate *g = n->export->gate;
	struct link_followers links = { 0 };
	char base[META_KEY_MAX + 2];
	bool hidden, all;
	int r = 0;

	strcpy(base, s->snap.row.base_key);
	link_followers_get(n, &links);
	node_lock_wait(n);
	all = is_all_there(n, base);
	/* One of its names may have an object all the same. */
	if (all && n->i.link_id[0] != '\0')
		r = link_move_over(n);
	if (all && r == 0) {
		hidden = name_left_key(n) && !n->i.relocating;
		r = lookup_detach(n);
		if (r == 0 && hidden)
			hidden_del(n->export, base);
		mutex_lock(&n->mutex);
		if (r == 0)
			admit_drop_locked(n);
		mutex_unlock(&n->mutex);
		if (r == 0)
			gate_say(g, 1, "somebody else removed an object before "
				 "it was copied, the file goes: key=%s to=%s",
				 base, s->snap.key);
	}
	node_unlock(n);
	if (!node_dead(n)) {
		for (size_t i = 0; i < links.count; i++)
			node_put(&links.list[i]);
		free(links.list);
	} else {
		detach_aliases(&links);
	}
	return r < 0 ? r : all ? -ECANCELED : -ESTALE;
}

/* What it is to be made of is gone.  0: not so. */
static int
met_nothing(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	int r;

	if (i->data_dirty || i->base_key[0] == '\0')
		return 0;
	r = look(s, i->base_key, &o);
	s3_object_free(&o);
	if (r != -ENOENT)
		return r;
	r = upload_base_gone(s);
	return r == -ESTALE ? 0 : r;
}

int
upload_met_another(struct sending *s, int error)
{
	int r = upload_is_ours(s), kept = error;

	if (r == 1)
		return upload_done(s);
	if (r == 0 && s->snap.row.kind == GATE_DIR)
		return met_marker(s);
	if (r == 0 && s->snap.row.link_ino == 0) {
		r = is_as_expected(s);
		if (r != 0)
			return r < 0 ? r : -EAGAIN;
		r = met_nothing(s);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = dest_gone(s);
	if (r == 0)
		r = indoubt_adopt(s);
	if (r == 0 && s->snap.row.link_ino != 0)
		return link_conflict(s);
	if (r == 0)
		r = link_replaces(s);
	if (r != 0)		/* once more, on that */
		return r < 0 ? r : -ECANCELED;
	if (s->node->export->c.on_conflict == GATE_CONFLICT_KEEP_BOTH)
		kept = conflict_keep_both(s);
	/* Refused beside: that is what it waits for, and ends by. */
	if (kept == 0 || kept == -ECANCELED || upload_is_transient(kept) ||
	    (s3_meaning(kept) == S3_REFUSED && kept != -ENAMETOOLONG))
		return kept;
	conflict_count(s);
	return error;
}
