/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node has something that S3 does not: it is noted, scheduled, hurried, or
 * stopped for a newer version.  What an upload does: upload/upload.c.
 */

#include <config.h>

#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/inside.h"
#include "nfsd/gate/worker/worker.h"

/* A file that is not for the bucket has only its old object to get rid of. */
bool
upload_has_work_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return !n->i.local_only || n->i.base_key[0] != '\0';
}

bool
upload_plan_locked(struct node *n, int64_t since_ns, struct meta_batch *batch)
{
	bool fresh = !n->up.pending || n->up.rowless;
	struct meta_upload row = { .ino = n->ino, .since_ns = since_ns };

	mutex_must_hold(&n->mutex);
	n->up.plans++;
	/* An ETag on record is of an older version: found after a crash it
	 * must not pass for this one. */
	if (!fresh) {
		bool expects = n->up.row != NULL &&
			       n->up.row->expect_etag[0] != '\0';

		/* Nor was this one refused. */
		if (!expects && n->up.refusals == 0)
			return false;
		if (n->up.row != NULL)
			row = *n->up.row;
		row.ino = n->ino;
		row.since_ns = n->up.since_ns;
		row.attempts = n->up.attempts;
		row.expect_etag[0] = '\0';
		row.refusals = 0;
		row.refused_ms = 0;
	}
	meta_put_upload(batch, &row);
	return fresh;
}

void
upload_planned_locked(struct node *n, int64_t since_ns, bool fresh)
{
	uint64_t now = clock_ms(), latest;

	mutex_must_hold(&n->mutex);
	if (fresh) {
		n->up.pending = true;
		n->up.rowless = false;
		n->up.dirty_ms = now;
		upload_row_begin_locked(n, since_ns);
	} else if (n->up.row != NULL) {
		n->up.row->expect_etag[0] = '\0';
	}
	latest = n->up.dirty_ms + n->export->c.max_dirty_age_ms;
	/* A retry's pause may be over; the new version settles all the same. */
	if (n->up.failing_ms == 0 ||
	    n->up.due_ms < now + n->export->c.settle_ms) {
		n->up.due_ms = now + n->export->c.settle_ms;
		if (n->up.due_ms > latest)
			n->up.due_ms = latest;
	}
}

/* When its oldest change is as old as one may become. */
uint64_t
upload_too_old_ms(const struct node *n)
{
	return n->up.dirty_ms + n->export->c.max_dirty_age_ms;
}

/* Beside a writer: is there a version of before, to be sent for itself? */
bool
upload_has_version_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return n->d.staged.count > 0 ||
	       (!n->h.created && !n->flush_empty &&
		(n->i.data_dirty || n->i.attr_dirty));
}

void
upload_schedule_locked(struct node *n, bool kick)
{
	struct gate *g = n->export->gate;
	uint64_t now = clock_ms(), due;
	struct node *ref;

	mutex_must_hold(&n->mutex);
	if (!n->up.pending || n->dead || !upload_has_work_locked(n) ||
	    __atomic_load_n(&g->stopping, __ATOMIC_RELAXED))
		return;
	/* Not while somebody writes: what is flushed next settles first. */
	if (kick && (n->h.state != META_ACTIVE || n->i.local_only))
		n->up.kicked = true;
	if (n->up.run != UP_IDLE)
		return;
	due = n->up.due_ms;
	if (n->h.state == META_ACTIVE && !n->i.local_only) {
		/* Only for a log that is written without end, or for who
		 * waits: the version of its last COMMIT. */
		if (n->up.failing_ms == 0 || due < upload_too_old_ms(n))
			due = upload_too_old_ms(n);
		if (!upload_has_version_locked(n))
			return;
	} else if (n->up.kicked && n->up.failing_ms == 0) {
		due = now;
	}
	if (n->up.wanted && n->up.failing_ms == 0)
		due = now;
	if (due < n->up.not_before_ms)
		due = n->up.not_before_ms;
	if (due > now) {
		node_tick_at_locked(n, due);
		return;
	}
	ref = node_ref(n);
	n->up.run = UP_QUEUED;
	if (schedule_add(&n->export->schedule, ref,
			 n->up.wanted || upload_too_old_ms(n) <= now
				 ? UPLOAD_WANTED
				 : UPLOAD_SETTLED) < 0) {
		n->up.run = UP_IDLE;
		node_tick_at_locked(n, now + 1000);
		node_put(&ref);
	}
}

void
upload_want_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	if (n->up.run == UP_RUNNING && !n->up.cancel) {
		n->up.keep = true;
		if (n->up.begun_content == n->content_version &&
		    n->up.begun_attr == n->attr_version)
			return;
	}
	n->up.wanted = n->up.pending && !n->i.local_only;
	if (n->up.run == UP_QUEUED)
		schedule_hurry(&n->export->schedule, n);
	upload_schedule_locked(n, true);
}

void
upload_outdate_locked(struct node *n)
{
	uint64_t now = clock_ms();
	uint64_t again = now + n->export->c.settle_ms +
			 (now - n->up.begun_ms);

	mutex_must_hold(&n->mutex);
	if (n->h.state == META_UPLOADING)
		handle_transition_locked(n, META_EV_STOP);
	n->up.kicked = false;
	if (n->up.run != UP_RUNNING || n->up.cancel || n->up.keep ||
	    n->up.stopped || again >= upload_too_old_ms(n))
		return;
	n->up.cancel = n->up.stopped = true;
}

void
upload_cancel_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	if (n->up.run == UP_RUNNING)
		n->up.cancel = true;
	if (n->h.state == META_UPLOADING)
		handle_transition_locked(n, META_EV_STOP);
}
