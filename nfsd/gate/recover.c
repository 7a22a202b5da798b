/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restart finds in the database, and what becomes of it (rule.md
 * 9): flushed handles are pending again; active ones keep their committed
 * bytes and get a full lease; reservations are dropped, their clients come
 * back; errors that are owed stay owed; uploads start over, those that may
 * have ended look first; deletions go on, and keys that were deleted lately
 * are not believed to be back because a listing says so; multipart uploads that
 * a crash left in the bucket are aborted.
 *
 * Rows of an export that is not in the configuration now, and rows that
 * nothing explains, stay as they are, and are told at each start (absent.c).
 * An error of the database ends the start: what cannot be read is not
 * "nothing".
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dirmove/dirmove.h"
#include "nfsd/gate/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/upload.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

#define LAPSED_NS 600000000000LL

/* Rows are collected first: loading nodes asks the same database. */
struct found_handles {
	struct meta_handle *list;
	size_t count;
};

static int
take_handle(void *arg, const struct meta_handle *h)
{
	struct found_handles *all = arg;
	struct meta_handle *list =
		realloc(all->list, (all->count + 1) * sizeof(*list));

	if (list == NULL)
		return -ENOMEM;
	all->list = list;
	list[all->count++] = *h;
	return 0;
}

static void
drop_handle(struct gate *g, const struct meta_handle *h)
{
	struct meta_batch *b = meta_batch_new();

	if (b != NULL)
		meta_del_handle(b, h->ino, h->who);
	meta_post(g->meta, &b);
}

/* Flushed and stored without a word of its writer, who may yet come with the
 * same bytes; but who has not in that time is not expected. */
static bool
still_lapsed(const struct meta_handle *h)
{
	return h->lapsed && h->opened_ns + LAPSED_NS > clock_ns();
}

/* Left as it is; 0 for the caller to go on. */
static int
unexplained(struct gate *g, uint64_t ino, const char *what)
{
	gate_say(g, 1, "the database has %s that is not understood; it is "
		 "kept: inode=%llu", what, (unsigned long long)ino);
	return 0;
}

/* A row of the inode could not be used: of an export that is not served, or
 * of a file that is not all there?  The former are told by absent.c. */
static int
tell_strange(struct gate *g, uint64_t ino)
{
	struct meta_inode row = { 0 };
	struct gate_export *x;
	int r = meta_get_inode(g->meta, ino, &row);

	if (r < 0)
		return r == -ENOENT ? 1 : r;
	LIST_FOREACH(x, &g->exports, link) {
		if (x->id == row.export_id)
			unexplained(g, ino, "a file without name or kind");
	}
	meta_inode_fini(&row);
	return 1;
}

/* 1: not one of the files that are served; its rows are left alone. */
static int
load(struct gate *g, uint64_t ino, struct node **out)
{
	int r = node_get(g, ino, true, out);

	return r == -ESTALE ? tell_strange(g, ino) : r;
}

static int
recover_handle(struct gate *g, const struct meta_handle *h)
{
	struct node *n = NULL;
	uint64_t now = run_ms(g);
	int r;

	if (h->state == META_RESERVED || h->state == META_NONE ||
	    (h->state == META_DONE && !still_lapsed(h))) {
		drop_handle(g, h);
		return 0;
	}
	if (h->state >= META_STATE_COUNT)
		return unexplained(g, h->ino, "a writer's state");
	r = load(g, h->ino, &n);
	if (r != 0)
		return r < 0 ? r : 0;
	mutex_lock(&n->mutex);
	if (h->state == META_FAILED || h->state == META_FENCED) {
		r = fence_locked(n, h->who, h->state, !h->lapsed);
	} else if (h->state == META_DONE) {
		r = fence_locked(n, h->who, META_FLUSHED, false);
	} else if (n->h.state != META_NONE) {
		audit_broken_locked(n, "two writers of one file in the "
				    "database", h->who);
	} else {
		n->h = *h;
		n->h.state = META_NONE;
		n->h_opened_ms = n->h_last_ms = now;
		n->lease_ms = n->export->c.lease_ms;
		handle_transition_locked(n, META_EV_OPEN);
		silence_recovered_locked(n);
		if (h->state == META_ACTIVE) {
			/* Created and never written: as if just created. */
			n->h.created &= n->d.durable.count == 0;
			n->flush_empty = n->h.created;
			node_tick_run_locked(
				n, now + (n->h.created
						  ? n->export->c
							    .create_settle_ms
						  : n->lease_ms));
		} else {
			handle_transition_locked(n, META_EV_FLUSH);
			if (h->lapsed)
				r = fence_locked(n, h->who, META_FLUSHED,
						 false);
		}
	}
	mutex_unlock(&n->mutex);
	node_put(&n);
	return r;
}

/* Flushed, and S3 is owed nothing (a truncation that changed nothing): the
 * row may have outlived a crash, and no upload would ever end it. */
static void
close_handle(struct gate *g, const struct meta_handle *h)
{
	struct node *n = node_find(g, h->ino);

	if (n == NULL)
		return;
	mutex_lock(&n->mutex);
	admit_flushed_locked(n);
	mutex_unlock(&n->mutex);
	node_put(&n);
}

struct found_uploads {
	struct meta_upload *list;
	size_t count, room;
};

static int
take_upload(void *arg, const struct meta_upload *u)
{
	struct found_uploads *all = arg;

	if (all->count == all->room) {
		size_t room = all->room ? all->room * 2 : 64;
		struct meta_upload *list =
			realloc(all->list, room * sizeof(*list));

		if (list == NULL)
			return -ENOMEM;
		all->list = list;
		all->room = room;
	}
	all->list[all->count++] = *u;
	return 0;
}

static int
by_age(const void *a, const void *b)
{
	const struct meta_upload *x = a, *y = b;

	if (x->since_ns != y->since_ns)
		return x->since_ns < y->since_ns ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* The bytes that its rows mean: all there?  With a database that was put back
 * others may lie in their place: that version is kept aside, and the file falls
 * back to what S3 has.  1: so it was. */
static int
look_for_bytes(struct gate *g, struct node *n)
{
	char path[4096];
	int r = 0;

	if (stray_bytes_there(n, g->accepted))
		return 0;
	path_text(n, path, sizeof(path));
	gate_say(g, 0, "committed bytes are not in its data file: file=%s "
		 "inode=%llu", path, (unsigned long long)n->ino);
	if (g->accepted) {
		node_lock_wait(n);
		r = quarantine_keep(n, "the database was put back, and its "
				       "bytes are not there");
		node_unlock(n);
	}
	return r < 0 ? r : g->accepted;
}

static int
recover_upload(struct gate *g, const struct meta_upload *u)
{
	const char *etag = u->phase == META_UP_FINISHING ? u->expect_etag : "";
	char key[META_KEY_MAX + 2];
	struct node *n = NULL;
	bool hidden;
	int r;

	if (u->phase > META_UP_FINISHING)
		return unexplained(g, u->ino, "an upload");
	r = load(g, u->ino, &n);
	if (r != 0)
		return r < 0 ? r : 0;
	r = look_for_bytes(g, n);
	if (r != 0) {
		node_put(&n);
		return r < 0 ? r : 0;
	}
	if (path_key(n, key) < 0)
		key[0] = '\0';
	/* A FINISHING one may have been completed: then its upload is gone
	 * already, and the next try finds its own object by the ETag. */
	if (u->phase != META_UP_QUEUED)
		r = abort_later(n->export, u->ino, u->key, u->upload_id,
				u->since_ns);
	if (r < 0) {
		node_put(&n);
		return r;
	}
	/* Nothing goes to a key that is still another's. */
	hidden = hidden_exactly(n->export, key);
	mutex_lock(&n->mutex);
	upload_row_recover_locked(n, u);
	n->up.pending = true;
	n->up.recovered = true;
	if (!hidden)
		r = indoubt_note_locked(n, key, &n->i, etag);
	/* Or it went out before the file was renamed. */
	if (r >= 0 && name_left_key(n))
		r = indoubt_note_locked(n, n->i.base_key, &n->i, etag);
	n->up.dirty_ms = clock_ms();
	n->up.due_ms = clock_ms();
	upload_schedule_locked(n, false);
	mutex_unlock(&n->mutex);
	node_put(&n);
	return r < 0 ? r : 0;
}

/* The only copy of a file that was renamed away: before any upload begins,
 * which may be one to that key. */
static int
hide_left(struct gate *g, const struct meta_upload *u)
{
	char key[META_KEY_MAX + 2];
	struct node *n = NULL;
	bool left;
	int r = load(g, u->ino, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	mutex_lock(&n->mutex);
	left = name_left_key(n) && !n->i.relocating;
	strcpy(key, n->i.base_key);
	mutex_unlock(&n->mutex);
	if (left)
		hidden_add(n->export, key);
	node_put(&n);
	return 0;
}

/* What went out before the crash, of a file that has changed since. */
static int
recover_indoubt(void *arg, uint64_t ino, const struct meta_indoubt *sent)
{
	struct node *n = NULL;
	int r = load(arg, ino, &n);

	if (r != 0)
		return r < 0 ? r : 0;
	mutex_lock(&n->mutex);
	r = indoubt_recover_locked(n, sent);
	mutex_unlock(&n->mutex);
	indoubt_place(n);
	node_put(&n);
	return r;
}

static int
recover_delete(void *arg, const struct meta_delete *d)
{
	struct gate *g = arg;
	struct gate_export *x;

	LIST_FOREACH(x, &g->exports, link) {
		struct meta_delete row = *d;
		struct deletion *one;

		if (x->id != d->export_id)
			continue;
		one = delete_new(x);
		if (one == NULL)
			return -ENOMEM;
		if (d->ours != NULL) {
			row.ours = meta_ours_copy(d->ours);
			if (row.ours == NULL) {
				delete_free(one);
				return -ENOMEM;
			}
		}
		hidden_add(x, d->key);
		delete_start(one, &row);
	}
	return 0;
}

/* A listing that lags may still have it. */
static int
recover_gone(void *arg, const struct meta_gone *gone)
{
	struct gate *g = arg;
	struct gate_export *x;

	LIST_FOREACH(x, &g->exports, link) {
		if (x->id == gone->export_id && gone->age_s >= 0)
			hidden_was(x, gone->key,
				   (uint64_t)gone->age_s * 1000);
	}
	return 0;
}

int
recover(struct gate *g)
{
	struct found_handles handles = { 0 };
	struct found_uploads uploads = { 0 };
	int r = meta_each_handle(g->meta, 0, take_handle, &handles);

	for (size_t i = 0; r == 0 && i < handles.count; i++)
		r = recover_handle(g, &handles.list[i]);
	if (r == 0)
		r = meta_each_gone(g->meta, recover_gone, g);
	/* Deletions first: an upload of the same key waits for them. */
	if (r == 0)
		r = meta_each_delete(g->meta, recover_delete, g);
	/* What is hidden is so before anybody looks. */
	if (r == 0)
		r = meta_each_indoubt(g->meta, recover_indoubt, g);
	if (r == 0)
		r = meta_each_upload(g->meta, take_upload, &uploads);
	if (uploads.count > 0)
		qsort(uploads.list, uploads.count, sizeof(*uploads.list),
		      by_age);
	failpoint("recover-before-hidden");
	for (size_t i = 0; r == 0 && i < uploads.count; i++)
		r = hide_left(g, &uploads.list[i]);
	/* Uploads depend on what is on its way. */
	if (r == 0)
		r = dirmoves_load(g);
	for (size_t i = 0; r == 0 && i < uploads.count; i++)
		r = recover_upload(g, &uploads.list[i]);
	free(uploads.list);
	/* A listing asks what is pending. */
	if (r == 0)
		r = dirmoves_start(g);
	for (size_t i = 0; r == 0 && i < handles.count; i++)
		close_handle(g, &handles.list[i]);
	free(handles.list);
	if (r == 0)
		indoubt_drop_stale(g);
	if (r == 0)
		r = link_recover(g);
	if (r == 0)
		r = abort_start(g);
	return r < 0 ? r : absent_say(g);
}
