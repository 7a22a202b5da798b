/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The success of an upload, applied under the file lock in one transaction:
 * the row knows its new object, the handle is done, the staged bytes have
 * become a cache of the object.  What was changed since the snapshot is still
 * owed.  If the transaction fails, the upload is done again.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

/* The staged extents that the snapshot did not have. */
static int
newer_than(const struct snapshot *snap, const struct extents *staged,
	   struct extents *out)
{
	for (size_t i = 0; i < staged->count; i++) {
		uint64_t off = staged->list[i].off;
		uint64_t end = off + staged->list[i].len;

		while (off < end) {
			uint64_t old_at = 0, len,
				 at = staged->list[i].at +
				      (off - staged->list[i].off);
			bool had = extents_at(&snap->staged, off, &old_at,
					      &len);

			if (len > end - off)
				len = end - off;
			if ((!had || old_at != at) &&
			    extents_set(out, off, len, at) < 0)
				return -ENOMEM;
			off += len;
		}
	}
	return 0;
}

/* Staged bytes of the snapshot are now a copy of the object. */
static void
become_clean_locked(struct node *n, struct sending *s,
		    struct extents *remaining)
{
	const struct extents *was = &s->snap.staged;
	uint64_t limit = n->i.base_limit;
	struct extents old;

	mutex_must_hold(&n->mutex);
	for (size_t i = 0; i < was->count; i++) {
		uint64_t off = was->list[i].off;
		uint64_t end = off + was->list[i].len;

		end = end < limit ? end : limit;
		while (off < end) {
			uint64_t at = 0, len,
				 old_at = was->list[i].at +
					  (off - was->list[i].off);
			bool now = extents_at(&n->d.staged, off, &at, &len);

			if (len > end - off)
				len = end - off;
			/* What the map had there would be of the old one. */
			if (now && at == old_at &&
			    place_set_locked(n, &n->d.clean, off, len, at) < 0)
				place_drop_locked(n, &n->d.clean);
			off += len;
		}
	}
	old = n->d.staged;
	n->d.staged = *remaining;
	*remaining = (struct extents){ 0 };
	place_release_all_locked(n, &old);
}

static void
done_row(struct sending *s, struct node *n, const char *key_now,
	 struct meta_inode *row)
{
	uint64_t size = s->snap.row.size;

	if (s->snap.row.kind == GATE_DIR)
		size = s->snap.row.base_size;
	row->data_dirty = n->content_version != s->snap.content_version;
	row->attr_dirty = n->attr_version != s->snap.attr_version;
	row->name_dirty = strcmp(key_now, s->snap.key) != 0;
	/* A RENAME of its own would have waited: a directory above it was
	 * renamed. */
	row->relocating = row->name_dirty;
	strcpy(row->base_key, s->snap.key);
	snprintf(row->base_etag, sizeof(row->base_etag), "%s", s->etag);
	snprintf(row->dest_etag, sizeof(row->dest_etag), "%s",
		 row->relocating ? "" : s->etag);
	row->base_size = size;
	row->cold = false;
	row->base_limit = size < n->trunc_low ? size : n->trunc_low;
	/* An alias has the file's version now; a file has made one. */
	if (row->link_ino != 0)
		row->link_version = s->snap.row.link_version;
	else if (row->link_id[0] != '\0')
		row->link_version = s->snap.row.link_version + 1;
	row->base_mtime_ns = 0;	/* the next listing tells */
	/* What is relocated unread stays so. */
	row->attr_known |= !send_is_relocation(s);
	if (s->theirs) {
		row->attr_known = false;
		row->size = size;
	}
	if (row->kind == GATE_DIR)
		row->marker = true;
}

/* Does S3 have to be told of more, by an upload of the file's own? */
static bool
owes_upload(const struct meta_inode *row)
{
	return row->data_dirty || row->attr_dirty ||
	       (row->name_dirty && !row->relocating);
}

static void
done_memory_locked(struct node *n, struct sending *s,
		   const struct meta_inode *row, struct extents *remaining)
{
	mutex_must_hold(&n->mutex);
	n->i.data_dirty = row->data_dirty;
	n->i.attr_dirty = row->attr_dirty;
	n->i.name_dirty = row->name_dirty;
	strcpy(n->i.base_key, row->base_key);
	strcpy(n->i.base_etag, row->base_etag);
	strcpy(n->i.dest_etag, row->dest_etag);
	n->i.base_size = row->base_size;
	n->i.cold = row->cold;
	n->i.base_limit = row->base_limit;
	n->i.base_mtime_ns = 0;
	n->i.relocating = row->relocating;
	n->i.link_version = row->link_version;
	/* It may have been read meanwhile. */
	n->i.attr_known |= row->attr_known;
	if (s->theirs) {
		n->i.attr_known = false;
		n->i.size = n->writer_size = row->size;
		n->content_version++;
		n->replaced++;
		data_drop_clean_locked(n);
	}
	n->i.marker = row->marker;
	/* Copies of the old base are copies of the new one where nothing was
	 * staged; they stay.  (A cut to the end needs no memory.) */
	(void)place_cut_locked(n, &n->d.clean, n->i.base_limit,
			       UINT64_MAX - n->i.base_limit);
	become_clean_locked(n, s, remaining);
	if (n->d.staged.count == 0 && n->d.durable.count == 0)
		n->d.journal_bytes = 0;
	/* Memory is for files that are being made. */
	if (n->d.memory != NULL && n->d.dirty.count == 0 &&
	    __atomic_load_n(&n->export->gate->small_bytes, __ATOMIC_RELAXED) >
		    SMALL_FILES_MAX / 2)
		data_drop_clean_locked(n);
	data_account_locked(n);
	n->d.fetch_error = 0;	/* it was of the old base */
	n->checked_ms = clock_ms();
	n->up.pending = owes_upload(row);
	n->up.rowless = false;
	/* Whoever was in a hurry has what it waited for: the next version
	 * settles, and its writer has its quiet time. */
	n->up.kicked = n->up.kicked && n->up.pending;
	n->up.wanted = n->up.wanted && n->up.pending;
	n->up.stopped = false;
	n->up.attempts = 0;
	n->up.failing_ms = 0;
	n->up.refusals = 0;
	n->up.recovered = false;
	indoubt_forget_locked(n, s->snap.key);
	if (n->up.pending) {
		/* The first of what it does not have may have been made just
		 * after it began. */
		n->up.dirty_ms = n->up.begun_ms;
		n->up.due_ms = clock_ms() + n->export->c.settle_ms;
	}
	if (n->h.state == META_FINISHING || n->h.state == META_UPLOADING ||
	    n->h.state == META_FLUSHED) {
		if (n->h.state == META_UPLOADING)
			handle_transition_locked(n, META_EV_SEND);
		/* Not if more was flushed meanwhile: then it is pending. */
		if (!n->i.data_dirty) {
			handle_transition_locked(n, META_EV_STORED);
			admit_release_locked(n);
		} else if (n->h.state == META_FINISHING) {
			handle_transition_locked(n, META_EV_STOP);
		}
	}
}

/* One success, applied. */
struct done {
	struct sending *s;
	struct extents remaining;	/* staged, and not in this version */
	struct meta_inode row;
	uint64_t version;		/* of the content, as in the row */
	struct link_followers links;
};

static void
done_free(struct done *d)
{
	extents_free(&d->remaining);
	meta_inode_fini(&d->row);
}

/* The upload's own row is of no more use, or begins anew.  Mutex held. */
static void
upload_rows_locked(struct node *n, const struct meta_inode *row,
		   struct meta_batch *b)
{
	struct meta_upload next = { .ino = n->ino,
				    .since_ns = n->up.since_ns,
				    .attempts = n->up.attempts };

	mutex_must_hold(&n->mutex);
	if (owes_upload(row))
		meta_put_upload(b, &next);
	else
		meta_del_upload(b, n->ino);
	if (n->h.state != META_NONE && n->h.state != META_ACTIVE &&
	    !row->data_dirty)
		admit_done_row_locked(n, b);
}

/* Mutex held. */
static int
done_rows_locked(struct done *d, const char *key_now, struct change *c)
{
	struct sending *s = d->s;
	struct node *n = s->node;
	bool elsewhere = n->i.base_key[0] != '\0' &&
			 strcmp(n->i.base_key, s->snap.key) != 0;
	int r = meta_inode_copy(&n->i, &d->row);

	d->version = n->content_version;
	if (r == 0)
		r = newer_than(&s->snap, &n->d.staged, &d->remaining);
	if (r < 0)
		return r;
	done_row(s, n, key_now, &d->row);
	meta_put_inode(c->batch, &d->row);
	/* The object under the old name has to go, and with it all that may
	 * lie there: what another file, or a link of this one, puts there
	 * later is not of this upload.  It was hidden when the file was
	 * renamed, and that place in the table is the deletion's from here
	 * on; or SQLite has hidden it up to here. */
	if (elsewhere)
		(void)delete_queue_object_locked(n, c, n->i.relocating);
	indoubt_rows_locked(n, c,
			    (const char *const[]){
				 s->snap.key, elsewhere ? n->i.base_key : "" },
			    NULL);
	meta_put_extents(c->batch, n->ino, 0, INT64_MAX, d->remaining.list,
			 d->remaining.count);
	if (d->remaining.count == 0 && n->d.durable.count == 0)
		meta_del_journal(c->batch, n->ino);
	upload_rows_locked(n, &d->row, c->batch);
	return 0;
}

static void
done_memory(struct done *d)
{
	struct node *n = d->s->node;
	bool again;

	link_followers_get(n, &d->links);
	mutex_lock(&n->mutex);
	if (n->i.base_key[0] != '\0' &&
	    strcmp(n->i.base_key, d->s->snap.key) != 0)
		indoubt_forget_locked(n, n->i.base_key);
	upload_row_drop_locked(n);
	/* The file of an alias has a new version, since the row. */
	again = n->content_version != d->version;
	done_memory_locked(n, d->s, &d->row, &d->remaining);
	if (again)
		link_again_locked(n);
	link_follow_locked(&d->links);
	mutex_unlock(&n->mutex);
}

/* The file lock is held. */
static int
done_locked(struct done *d)
{
	struct node *n = d->s->node;
	CLEANUP_CHANGE struct change c;
	char key[META_KEY_MAX + 2];
	int r = path_key(n, key);

	change_begin(&c, n->export->gate);
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	r = done_rows_locked(d, key, &c);
	mutex_unlock(&n->mutex);
	failpoint("stored-before-row");
	if (send_is_relocation(d->s))
		failpoint("dirmove-copied-before-row");
	if (r == 0)
		r = change_commit(&c);
	failpoint("stored-after-row");
	if (send_is_relocation(d->s))
		failpoint("dirmove-copied-after-row");
	if (r == 0) {
		hidden_answer(n->export, d->s->snap.key, 0, true);
		done_memory(d);
	}
	return r;
}

int
upload_done(struct sending *s)
{
	struct node *n = s->node;
	struct done d = { .s = s };
	int r = 0;

	node_lock_wait(n);
	if (n->dead) {		/* its deletion waits for the key */
		node_unlock(n);
		return 0;
	}
	/* Written since: the next try meets the same, with those bytes. */
	if (s->theirs && (n->i.data_dirty || n->d.dirty.count > 0 ||
			  n->d.durable.count > 0 || n->d.staged.count > 0)) {
		node_unlock(n);
		return -EAGAIN;
	}
	r = done_locked(&d);
	if (r == 0 && n->i.relocating)
		dirmoves_wake(n->export->gate);
	mutex_lock(&n->mutex);
	node_changed_locked(n);
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
	link_followers_put(&d.links);
	done_free(&d);
	return r;
}
