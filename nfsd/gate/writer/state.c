/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is fenced, refused, owed an error or has reserved the file, as it is kept
 * with a node; and how a handle ends.  What is decided by it: admit.c.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/inside.h"

/* ---- errors that are owed ---- */

/* Of a client that nothing is held against yet it is META_NONE. */
struct fenced *
fence_of_locked(struct node *n, const char *who)
{
	struct fenced *f;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(f, &n->fenced, link) {
		if (strcmp(f->who, who) == 0)
			return f;
	}
	f = calloc(1, sizeof(*f));
	if (f != NULL) {
		strcpy(f->who, who);
		LIST_INSERT_HEAD(&n->fenced, f, link);
	}
	return f;
}

int
fence_locked(struct node *n, const char *who, enum meta_state state,
	     bool discarded)
{
	struct fenced *f = fence_of_locked(n, who);

	mutex_must_hold(&n->mutex);
	if (f == NULL) {
		return -ENOMEM;
	} else if (f->state == META_FENCED && state == META_FAILED) {
		return 0;	/* it has to look again in any case */
	}
	f->state = state;
	f->discarded = discarded;
	f->told = false;
	f->content = UINT64_MAX;
	return 0;
}

/* Only posted: should the row stay, this client is told once more, or has to
 * look once more. */
void
fenced_free(struct node *n, struct fenced *f)
{
	struct meta_batch *b = meta_batch_new();

	if (b != NULL)
		meta_del_handle(b, n->ino, f->who);
	meta_post(n->export->gate->meta, &b);
	LIST_REMOVE(f, link);
	free(f);
}

/* An upload that this client waited for has failed: told, once. */
bool
admit_owed_locked(struct node *n, const char *who)
{
	struct refused *r;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(r, &n->refusals, link) {
		if (strcmp(r->who, who) == 0 && r->owed_error) {
			LIST_REMOVE(r, link);
			free(r);
			return true;
		}
	}
	return false;
}

/* ---- refusals ---- */

struct refused *
admit_refusal_locked(struct node *n, const char *who, bool change, uint64_t now,
		     bool *fresh)
{
	struct refused *r, *next;

	mutex_must_hold(&n->mutex);
	*fresh = false;
	for (r = LIST_FIRST(&n->refusals); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		if (strcmp(r->who, who) == 0 && r->change == change)
			break;
		/* Nobody comes back after that long. */
		if (r->last_ms + 4 * n->export->c.reserve_ms < now) {
			LIST_REMOVE(r, link);
			free(r);
		}
	}
	if (r == NULL) {
		r = calloc(1, sizeof(*r));
		if (r == NULL)
			return NULL;
		strcpy(r->who, who);
		r->change = change;
		LIST_INSERT_HEAD(&n->refusals, r, link);
		*fresh = true;
	}
	if (r->last_ms + n->export->c.reserve_ms < now && !r->owed_error) {
		r->first_ms = now;
		*fresh = true;
	}
	r->last_ms = now;
	return r;
}

/* ---- reservations, and how a handle ends ---- */

void
admit_unreserve_locked(struct node *n)
{
	struct meta_batch *b;

	mutex_must_hold(&n->mutex);
	if (n->reserved_client == NULL)
		return;
	b = meta_batch_new();
	if (b != NULL)
		meta_del_handle(b, n->ino, n->reserved_client);
	meta_post(n->export->gate->meta, &b);
	free(n->reserved_client);
	n->reserved_client = NULL;
	node_changed_locked(n);
}

void
admit_failed_locked(struct node *n)
{
	struct refused *r;
	struct reader *reader;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(reader, &n->readers, link)
		reader->owed_error |= reader->waits;
	if (n->reserved_client != NULL) {
		bool fresh;

		r = admit_refusal_locked(n, n->reserved_client, false,
					 run_ms(n->export->gate), &fresh);
		if (r != NULL)
			r->owed_error = true;
		admit_unreserve_locked(n);
	}
	LIST_FOREACH(r, &n->refusals, link)
		r->owed_error |= !r->change &&
				 r->last_ms + n->export->c.reserve_ms >=
					 run_ms(n->export->gate);
	if (n->h.state == META_FAILED) {
		/* Its row is kept until its writer was told (rule.md 4); there
		 * is room for that. */
		(void)fence_locked(n, n->h.who, META_FAILED, true);
		n->h.state = META_NONE;
	}
	node_changed_locked(n);
}

void
admit_drop_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	handle_counted(n->export, n->h.state, META_NONE);
	shown_drop_locked(n);
	n->h.state = META_NONE;
}

void
admit_release_locked(struct node *n)
{
	struct fenced *f;
	bool candidate = n->export->c.strict;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(f, &n->fenced, link)
		candidate |= strcmp(f->who, n->h.who) == 0;
	/* Strict: a superseded writer has to look again (rule.md 6). */
	if (candidate && n->export->c.strict)
		(void)fence_locked(n, n->h.who, META_FLUSHED, false);
	n->h.state = META_NONE;
	n->h.created = false;
	n->flush_empty = false;
	node_changed_locked(n);
}

void
admit_done_row_locked(const struct node *n, struct meta_batch *b)
{
	struct meta_handle row = n->h;

	mutex_must_hold(&n->mutex);
	if (!row.lapsed) {
		meta_del_handle(b, n->ino, row.who);
		return;
	}
	row.state = META_DONE;
	row.opened_ns = clock_ns();
	meta_put_handle(b, &row);
}

void
admit_flushed_locked(struct node *n)
{
	struct meta_batch *b;

	mutex_must_hold(&n->mutex);
	if (n->h.state != META_FLUSHED || n->up.pending ||
	    n->up.run != UP_IDLE)
		return;
	/* Only posted: a start settles what it finds so. */
	b = meta_batch_new();
	if (b != NULL)
		admit_done_row_locked(n, b);
	meta_post(n->export->gate->meta, &b);
	handle_transition_locked(n, META_EV_STORED);
	admit_release_locked(n);
}
