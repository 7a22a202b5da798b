/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that was removed while its client has it open (.nfsXXXX, rule.md
 * 12) is in no bucket any more, but its bytes may be: under the key that
 * it had.  Should it live longer than a moment, those bytes are recalled,
 * so that the object can be deleted, as `rm` has promised, and the next file
 * of that name can be uploaded.
 *
 * The same helps files that have taken each other's names: each waits with its
 * copy until the other's object has left the key.
 *
 * XXX a file larger than a quarter of the cache stays where it is until it
 * is closed; a new file of its name waits for that.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/upload/inside.h"

#define RECALL_AT_ONCE (8 * MIB)

/* Bytes of the base become staged ones, where nothing newer lies. */
static int
store(struct node *n, const char *etag, uint64_t off, const char *buf,
      uint64_t len)
{
	uint64_t end = off + len, start = off;
	int r = 0;

	mutex_lock(&n->mutex);
	while (r == 0 && off < end) {
		struct piece p;
		uint64_t at;

		if (n->dead || strcmp(n->i.base_etag, etag) != 0) {
			r = -ECANCELED;
			break;
		}
		data_piece_locked(n, off, end, false, &p);
		if (p.kind == PIECE_BASE) {
			r = data_place_locked(n, off, p.len, true, &at);
			if (r == 0)
				r = data_put_locked(n, buf + (off - start),
						    p.len, at);
			if (r == 0 && off + p.len <= n->i.base_limit)
				r = place_set_locked(n, &n->d.clean, off,
						     p.len, at);
			data_unplace_locked(n, off, p.len, at);
		}
		off += p.len;
	}
	data_account_locked(n);
	mutex_unlock(&n->mutex);
	return r;
}

static int
fetch_all(struct sending *s)
{
	struct node *n = s->node;
	const struct meta_inode *i = &s->snap.row;
	char *buf;
	int r;

	fetch_memory_take(n, RECALL_AT_ONCE);
	buf = malloc(RECALL_AT_ONCE);
	r = buf == NULL ? -ENOMEM : 0;

	for (uint64_t off = 0; r == 0 && off < i->base_limit;
	     off += RECALL_AT_ONCE) {
		uint64_t len = i->base_limit - off < RECALL_AT_ONCE
				       ? i->base_limit - off
				       : RECALL_AT_ONCE;
		ssize_t got;

		if (upload_cancelled(s))
			r = -ECANCELED;
		else if (snapshot_needs_base(&s->snap, off, len)) {
			got = s3_get(n->export->s3, i->base_key, i->base_etag,
				     off, buf, len, NULL, &s->err);
			r = got < 0 ? (int)got
			    : (uint64_t)got < len
				    ? -ESTALE
				    : store(n, i->base_etag, off, buf, len);
		}
	}
	free(buf);
	fetch_memory_give(n, RECALL_AT_ONCE);
	return r;
}

/* The map of a file that has all its bytes here.  -ECANCELED: it has not.
 * Mutex held. */
static int
whole_map_locked(struct node *n, struct extents *out)
{
	int r = 0;

	mutex_must_hold(&n->mutex);
	for (uint64_t off = 0; off < n->i.base_limit &&
			       n->i.kind == GATE_REG;) {
		struct piece p;

		data_piece_locked(n, off, n->i.base_limit, false, &p);
		if (p.kind == PIECE_BASE)
			return -ECANCELED;
		off += p.len;
	}
	r = extents_copy(&n->d.clean, out);
	for (size_t i = 0; r == 0 && i < n->d.staged.count; i++)
		r = extents_set(out, n->d.staged.list[i].off,
				n->d.staged.list[i].len,
				n->d.staged.list[i].at);
	return r;
}

/* The row of the file without its object, and what S3 is owed.  Mutex
 * held. */
static int
adopt_rows_locked(struct node *n, const struct extents *staged,
		  struct meta_inode *row, struct change *c)
{
	int r = meta_inode_copy(&n->i, row);

	mutex_must_hold(&n->mutex);
	if (r < 0)
		return r;
	/* Its key was hidden when the file was renamed.  What was relocated has
	 * had no row, and SQLite hid it. */
	(void)delete_queue_object_locked(n, c, row->relocating);
	row->relocating = false;
	row->base_key[0] = row->base_etag[0] = '\0';
	if (row->local_only)
		row->dest_etag[0] = '\0';
	row->base_size = row->base_limit = 0;
	row->name_dirty = false;
	row->data_dirty = true;
	meta_put_inode(c->batch, row);
	meta_put_extents(c->batch, n->ino, 0, INT64_MAX, staged->list,
			 staged->count);
	meta_del_journal(c->batch, n->ino);
	if (row->local_only)
		meta_del_upload(c->batch, n->ino);
	else
		change_upload_locked(c, n, row);
	return 0;
}

/* The copy is all there: it is the file now.  The file lock is held. */
static int
adopt_copy(struct node *n)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	CLEANUP_EXTENTS struct extents staged = { 0 };
	struct extents was;
	int r;

	change_begin(&c, n->export->gate);
	mutex_lock(&n->mutex);
	r = data_spill_locked(n);
	mutex_unlock(&n->mutex);
	if (r == 0)
		r = data_sync(n);
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	/* Copies that came since then are not on disk: the next try. */
	r = n->d.file != NULL &&
			    (n->d.writing > 0 || file_written(n->d.file) ||
			     file_failed(n->d.file))
		    ? -ECANCELED
		    : whole_map_locked(n, &staged);
	if (r == 0)
		r = adopt_rows_locked(n, &staged, &row, &c);
	mutex_unlock(&n->mutex);
	if (r == 0)
		r = change_commit(&c);
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	indoubt_forget_locked(n, n->i.base_key);
	n->i.base_key[0] = n->i.base_etag[0] = '\0';
	strcpy(n->i.dest_etag, row.dest_etag);
	n->i.base_size = n->i.base_limit = 0;
	n->i.name_dirty = n->i.relocating = false;
	n->i.data_dirty = true;
	n->content_version++;
	was = n->d.staged;
	n->d.staged = staged;
	staged = was;
	place_release_all_locked(n, &staged);
	place_drop_locked(n, &n->d.clean);
	n->d.journal_bytes = 0;
	n->up.pending = !n->i.local_only;
	data_account_locked(n);
	mutex_unlock(&n->mutex);
	return 0;
}

int
recall_base(struct sending *s)
{
	struct node *n = s->node;
	int r = 0;

	if (s->snap.row.base_limit > n->export->gate->config.cache_size / 4)
		return -EBUSY;
	/* What is no regular file has all it has in its row. */
	r = s->snap.row.kind == GATE_REG ? fetch_all(s) : object_learn(n);
	/* It may be a version of ours that is there. */
	if (r == -ESTALE && indoubt_adopt_left(n, s->snap.row.base_key) == 1)
		r = -ECANCELED;
	if (r < 0)
		return r;
	node_lock_wait(n);
	if (n->dead || (!n->i.local_only && !n->i.name_dirty) ||
	    strcmp(n->i.base_etag, s->snap.row.base_etag) != 0)
		r = -ECANCELED;
	else
		r = adopt_copy(n);
	node_unlock(n);
	return r;
}
