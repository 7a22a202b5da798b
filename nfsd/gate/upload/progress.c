/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload under way: how far it is, whether it is to stop, and what is put on
 * record before its last request.  And the file's row, for who changes only
 * where its object goes and what it replaces there.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"

void
conflict_count(struct sending *s)
{
	__atomic_add_fetch(&s->node->export->gate->conflicts, 1,
			   __ATOMIC_RELAXED);
}

bool
send_is_relocation(const struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;

	/* A link's mark speaks of its key: no mere copy. */
	return i->relocating && !i->data_dirty && !i->attr_dirty &&
	       i->link_id[0] == '\0';
}

bool
upload_cancelled(struct sending *s)
{
	bool cancel;

	mutex_lock(&s->node->mutex);
	cancel = s->node->up.cancel || s->node->dead;
	mutex_unlock(&s->node->mutex);
	return cancel;
}

void
upload_progress(struct sending *s, int64_t bytes)
{
	mutex_lock(&s->node->mutex);
	s->node->up.bytes_sent += (uint64_t)bytes;
	mutex_unlock(&s->node->mutex);
}

int
upload_begun(struct sending *s, const char *upload_id, uint64_t part_size)
{
	struct node *n = s->node;
	struct meta_batch *b = meta_batch_new();
	struct meta_upload *row;
	int r;

	mutex_lock(&n->mutex);
	n->up.parts_ns = clock_ns();
	row = upload_row_locked(n);
	if (row != NULL) {
		row->phase = META_UP_PARTS;
		strcpy(row->key, s->snap.key);
		strncpy(row->upload_id, upload_id, sizeof(row->upload_id) - 1);
		row->part_size = part_size;
	}
	if (row == NULL)
		meta_batch_free(&b);
	else if (!n->dead)
		upload_row_put_locked(n, b);
	r = meta_submit(n->export->gate->meta, &b);
	mutex_unlock(&n->mutex);
	return r < 0 ? r : meta_wait(n->export->gate->meta, &b);
}

/*
 * A single PUT needs no record: whether it was carried out can be seen from
 * the object's ETag.  What ends a multipart upload does; and if the file has
 * changed since this version, or is about to, its row must not say that
 * ETag: then it is on record among those without an answer.  Mutex held; so
 * the row is handed over before that of the next change, or after it and
 * knows of it.
 */
static int
record_end_locked(struct sending *s, const char *expect, struct change *c)
{
	struct node *n = s->node;
	bool older = n->up.plans != s->snap.plans;
	struct meta_upload *row = upload_row_locked(n);

	if (row == NULL)
		return -ENOMEM;
	row->phase = META_UP_FINISHING;
	snprintf(row->expect_etag, sizeof(row->expect_etag), "%s",
		 older ? "" : expect);
	n->up.expect_version = s->snap.content_version;
	upload_row_put_locked(n, c->batch);
	if (older)
		indoubt_rows_locked(n, c, NULL, NULL);
	return change_submit(c);
}

/* A request that changes the object at s->snap.key is about to go out. */
static void
audit_key(struct sending *s)
{
	struct node *n = s->node;

	/* Beside: a name that nobody had before. */
	if (s->beside || key_owner(n->export, s->snap.key) == n->ino)
		return;
	mutex_lock(&n->mutex);
	audit_broken_locked(n, "two uploads of one key", n->h.who);
	mutex_unlock(&n->mutex);
}

int
upload_point_of_no_return(struct sending *s, const char *upload_id,
			  const char *expect)
{
	struct node *n = s->node;
	CLEANUP_CHANGE struct change c;
	bool ends_parts = upload_id[0] != '\0';
	int r = 0, noted = 0;

	audit_key(s);
	change_begin(&c, n->export->gate);
	mutex_lock(&n->mutex);
	if (n->up.cancel || n->dead)
		r = -ECANCELED;
	else if (!s->beside)		/* until the answer is there */
		r = noted = indoubt_note_locked(n, s->snap.key, &s->snap.row,
						expect);
	if (r >= 0) {
		if (n->h.state == META_UPLOADING)
			handle_transition_locked(n, META_EV_SEND);
		s->doubt = true;
		r = ends_parts ? record_end_locked(s, expect, &c) : 0;
	}
	mutex_unlock(&n->mutex);
	if (r == 0 && ends_parts)
		r = change_wait(&c);
	if (r == 0 && noted > 0)
		r = indoubt_catch_up(n, s->snap.key);
	return r;
}

/* ---- the row ---- */

int
upload_copy_row(struct node *n, struct meta_inode *row)
{
	int r;

	mutex_lock(&n->mutex);
	r = n->dead ? -ECANCELED : meta_inode_copy(&n->i, row);
	mutex_unlock(&n->mutex);
	return r;
}

int
upload_put_row(struct node *n, const struct meta_inode *row)
{
	struct meta_batch *b = meta_batch_new();
	int r;

	meta_put_inode(b, row);
	r = meta_commit(n->export->gate->meta, &b);
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	strcpy(n->i.dest_etag, row->dest_etag);
	n->i.attr_dirty = row->attr_dirty;
	n->i.name_dirty = row->name_dirty;
	n->i.relocating = row->relocating;
	mutex_unlock(&n->mutex);
	return 0;
}

/* ---- an invariant (audit.c) ---- */
