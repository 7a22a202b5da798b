/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SQLite knows of a pending upload.  Most of that row is long and of use
 * only while a multipart upload is under way or after a failure, so that
 * memory has it only then: a million files that wait, or have nothing to
 * wait for, do without.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/worker/worker.h"

void
upload_row_begin_locked(struct node *n, int64_t since_ns)
{
	mutex_must_hold(&n->mutex);
	upload_row_drop_locked(n);
	n->up.since_ns = since_ns;
	n->up.attempts = 0;
}

struct meta_upload *
upload_row_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	if (n->up.row == NULL)
		n->up.row = calloc(1, sizeof(*n->up.row));
	return n->up.row;
}

void
upload_row_drop_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	free(n->up.row);
	n->up.row = NULL;
}

void
upload_row_put_locked(struct node *n, struct meta_batch *b)
{
	struct meta_upload row = { 0 };

	mutex_must_hold(&n->mutex);
	if (n->up.row != NULL)
		row = *n->up.row;
	row.ino = n->ino;
	row.since_ns = n->up.since_ns;
	row.attempts = n->up.attempts;
	row.refusals = row.refused_ms = 0;
	if (n->up.refused_version == n->content_version) {
		row.refusals = n->up.refusals;
		row.refused_ms = upload_refused_ms_locked(n);
	}
	meta_put_upload(b, &row);
}

uint64_t
upload_refused_ms_locked(const struct node *n)
{
	uint64_t ms = n->up.refused_before_ms;

	mutex_must_hold(&n->mutex);
	if (n->up.refused_ms != 0)
		ms += run_ms(n->export->gate) - n->up.refused_ms;
	return ms;
}

void
upload_row_refused_locked(struct node *n)
{
	struct meta_batch *b;

	mutex_must_hold(&n->mutex);
	if (n->dead || !n->up.pending || n->up.rowless)
		return;
	/* If it is lost, the time begins anew.  No more than that: what else
	 * the row has may be on its way there from a writer. */
	b = meta_batch_new();
	if (b != NULL)
		meta_set_refused(b, n->ino, n->up.refusals,
				 upload_refused_ms_locked(n),
				 n->up.row != NULL ? n->up.row->error : "");
	meta_post(n->export->gate->meta, &b);
}

void
upload_row_error_locked(struct node *n, const char *error)
{
	struct meta_upload *row = upload_row_locked(n);

	mutex_must_hold(&n->mutex);
	/* Without memory only the words are missing. */
	if (row != NULL)
		snprintf(row->error, sizeof(row->error), "%s", error);
}

void
upload_row_recover_locked(struct node *n, const struct meta_upload *u)
{
	struct meta_upload *row;

	mutex_must_hold(&n->mutex);
	upload_row_begin_locked(n, u->since_ns);
	n->up.refusals = u->refusals;
	n->up.refused_version = n->content_version;
	n->up.refused_before_ms = u->refused_ms;
	if (u->expect_etag[0] == '\0' && u->error[0] == '\0')
		return;
	row = upload_row_locked(n);
	if (row == NULL)
		return;
	*row = *u;
	row->phase = META_UP_QUEUED;
	row->upload_id[0] = '\0';
}

/* ---- parts of tries that came to nothing ---- */

int
upload_clear_parts(struct sending *s)
{
	struct node *n = s->node;
	struct gate_export *x = n->export;
	struct meta_upload row = { .phase = META_UP_QUEUED };
	int64_t until_ns;
	int r;

	mutex_lock(&n->mutex);
	if (n->up.row != NULL)
		row = *n->up.row;
	row.since_ns = n->up.since_ns;
	until_ns = n->up.parts_ns;
	mutex_unlock(&n->mutex);
	if (row.phase == META_UP_QUEUED)
		return 0;
	r = row.upload_id[0] != '\0'
		    ? s3_upload_abort(x->s3, row.key, row.upload_id, &s->err)
		    : delete_parts(x, row.key, row.since_ns, until_ns);
	if (r < 0 && r != -ENOENT && upload_is_transient(r))
		return r;
	if (r < 0 && r != -ENOENT)
		gate_say(x->gate, 1,
			 "cannot abort a multipart upload: key=%s", row.key);
	upload_parts_cleared(s);
	return 0;
}

void
upload_created(struct sending *s)
{
	mutex_lock(&s->node->mutex);
	s->node->up.parts_ns = clock_ns();
	mutex_unlock(&s->node->mutex);
}

void
upload_parts_cleared(struct sending *s)
{
	struct node *n = s->node;

	mutex_lock(&n->mutex);
	if (n->up.row != NULL) {
		n->up.row->phase = META_UP_QUEUED;
		n->up.row->upload_id[0] = '\0';
	}
	mutex_unlock(&n->mutex);
}
