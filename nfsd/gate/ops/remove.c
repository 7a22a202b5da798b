/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REMOVE and RMDIR.  The name, the inode and all its rows go in one
 * transaction that also records which object is to be deleted; from then on
 * the key is hidden, and S3 is told as soon as it listens (keys/deletions.c).
 *
 * A pending upload counts as local state: it is cancelled, and should its last
 * request already be out, the deletion comes after it (keys/deletions.c), so
 * that a removed file stays removed.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

/* May this client remove the file, as far as writers go?  The file lock is
 * held. */
static int
writer_allows(struct node *n, struct gate_request *rq, const char *who)
{
	uint64_t now = clock_ms();
	int r = admit_change(n, rq, who, true);

	mutex_lock(&n->mutex);
	if (r == 0 &&
	    (n->h.state == META_FINISHING || n->up.run == UP_RUNNING)) {
		/* Its last request may be out: let it end. */
		upload_cancel_locked(n);
		if (now < rq->first_ms + n->export->c.hold_ms)
			r = node_hold_locked(n, rq, now + 100);
	}
	mutex_unlock(&n->mutex);
	return r;
}

/* What the upload under way may still make, or one without an answer has made,
 * or what the file was to replace at `key`, where its path leads: it all goes.
 * Not while a key still holds the bytes of a file that was renamed away: they
 * are its only copy, and nothing of this file was sent there yet. */
static void
delete_queue_sent(struct node *n, const char *key, bool was_relocating,
		  struct change *c)
{
	struct gate_export *x = n->export;
	char sent[META_KEY_MAX + 2], begun[META_KEY_MAX + 2] = "";
	char upload_id[sizeof(n->up.row->upload_id)] = "";
	int64_t since_ns;
	bool late = false;

	mutex_lock(&n->mutex);
	strcpy(sent, n->up.run != UP_RUNNING	? ""
		     : n->up.sent_key != NULL ? n->up.sent_key
						: key);
	if (n->up.row != NULL && n->up.row->phase != META_UP_QUEUED) {
		strcpy(begun, n->up.row->key);
		strcpy(upload_id, n->up.row->upload_id);
	}
	since_ns = n->up.since_ns;
	mutex_unlock(&n->mutex);
	if (sent[0] != '\0' && !change_deletes(c, sent) &&
	    !hidden_exactly(x, sent))
		late = delete_queue_indoubt(n, c, sent,
					    strcmp(sent, key) == 0
					       ? n->i.dest_etag
					       : "") != NULL;
	indoubt_gone_rows(n, (const char *const[]){ "", "" }, c);
	/* A multipart upload is under way there, and will be aborted, but for a
	 * crash before that; or one has left parts. */
	if (begun[0] != '\0' && !change_deletes(c, begun) &&
	    !hidden_exactly(x, begun))
		(void)change_delete(c, x, begun, DELETE_NOTHING, true);
	change_delete_parts(c, begun, upload_id, since_ns);
	if (n->i.dest_etag[0] != '\0' && key[0] != '\0' &&
	    !change_deletes(c, key) && !hidden_exactly(x, key))
		(void)delete_queue_known(n, c, key, n->i.dest_etag, true);
	else if (was_relocating && !late)
		delete_queue_copy(n, c);
}

/* All locks are held.  file: what n is a further name of, or n. */
static int
remove_locked(struct change_dir *d, struct gate_request *rq, const char *name,
	      struct node *n, struct node *file, uint64_t *delete_id)
{
	struct gate_export *x = d->node->export;
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	const struct meta_delete *del;
	char key[META_KEY_MAX + 2];
	bool was_relocating = false;
	int r = dirmove_old_key(n, key);

	change_begin(&c, x->gate);
	/* A path that no key can spell: nothing went there. */
	if (r == -ENAMETOOLONG)
		r = key[0] = '\0';
	if (r == 0)
		r = change_unbind_name(&c, n, &was_relocating);
	if (r == 0 && file != n)
		r = link_less_rows(file, &c, &row);
	if (r < 0)
		return r;
	meta_del_name(c.batch, d->node->ino, name);
	meta_del_inode(c.batch, n->ino);
	meta_put_inode(c.batch, &d->row);
	/* A file that was renamed has hidden its object's key before; that
	 * place in the table is the deletion's from here on. */
	del = delete_queue_object(n, &c, !name_left_key(n));
	delete_queue_sent(n, key, was_relocating, &c);
	drc_note(c.batch, rq, NULL);
	failpoint("remove-before-commit");
	r = change_commit(&c);
	failpoint("remove-after-commit");
	if (r < 0)
		return r;
	negative_removed(x->gate, d->node->ino, name,
			 clock_ms() + x->c.attr_ttl_ms);
	change_dir_apply(d);
	remove_detach(n);
	if (file != n)
		link_less_apply(file, &row);
	*delete_id = del != NULL ? del->id : 0;
	return 0;
}

static int
any_name(void *arg, const struct meta_name *name)
{
	(void)name;
	*(bool *)arg = true;
	return 1;
}

static int
has_names(struct gate *g, uint64_t ino, bool *any)
{
	*any = false;
	return meta_each_name(g->meta, ino, 0, 1, any_name, any);
}

/* A directory that was only implied by its last file stays: it gets an
 * object of its own.  Best effort: without it the directory is gone once
 * its parent is listed anew, as S3 has it. */
void
remove_keep_directory(struct node *dir)
{
	struct gate *g = dir->export->gate;
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	bool any = true;
	int r;

	change_begin(&c, g);
	if (dir->ino == dir->export->root || dir->i.marker ||
	    dir->up.pending || has_names(g, dir->ino, &any) < 0 || any)
		return;
	node_lock_wait(dir);
	mutex_lock(&dir->mutex);
	r = dir->dead ? -ESTALE : meta_inode_copy(&dir->i, &row);
	row.attr_dirty = row.data_dirty = true;
	change_upload_locked(&c, dir, &row);
	mutex_unlock(&dir->mutex);
	meta_put_inode(c.batch, &row);
	if (r == 0)
		r = change_commit(&c);
	mutex_lock(&dir->mutex);
	if (r == 0) {
		dir->i.attr_dirty = dir->i.data_dirty = true;
		upload_schedule_locked(dir, true);
	}
	node_unlock_locked(dir);
	mutex_unlock(&dir->mutex);
}

static void
unlock_victim(struct link_pair *p)
{
	if (p->alias != NULL)
		node_unlock(p->alias);
	node_unlock(p->file);
}

/* Find and lock: the directory, then the victim and what it shares a file
 * with.  On success all are. */
static int
lock_victim(struct change_dir *d, struct gate_request *rq, const char *name,
	    struct node *n, struct link_pair *p)
{
	/* After a rename a directory may be older than the one that it is
	 * in: directories are locked by number. */
	bool first = node_kind(n) == GATE_DIR && n->ino < d->node->ino;
	struct node *now = NULL;
	int r = link_pair_get(n, p);

	if (r == 0 && first)
		r = node_lock(n, rq);
	if (r < 0)
		return r;
	r = change_dir_lock(d, rq);
	if (r == 0)
		r = perm_remove(rq, node_perm(d->node), node_perm(p->file));
	if (r == 0 && !first) {
		r = node_lock(p->file, rq);
		/* Dropped since it was looked for: STALE would speak of the
		 * directory. */
		if (r == -ESTALE)
			r = -ENOENT;
	}
	if (r < 0) {
		if (first)
			node_unlock(n);
		return r;
	}
	if (p->alias != NULL) {
		r = node_lock(p->alias, rq);
		if (r < 0) {
			node_unlock(p->file);
			return r;
		}
	}
	r = lookup_known(d->node, rq, name, &now);
	if (r == 0 && now != n)
		r = -EAGAIN;	/* replaced meanwhile: the client asks again */
	node_put(&now);
	if (r == 0)
		r = link_pair_check(n, p);
	if (r < 0)
		unlock_victim(p);
	return r;
}

/* One of several names of a file, or its last. */
static int
remove_name(struct change_dir *d, struct gate_request *rq, const char *name,
	    struct node *n, const struct link_pair *p, uint64_t *delete_id)
{
	char who[META_CLIENT_MAX];
	int r;

	client_id_text(d->node->export, rq, who);
	r = writer_allows(p->file, rq, who);
	if (r < 0)
		return r;
	if (n == p->file && p->alias != NULL)
		return link_remove_first(d, rq, name, p, delete_id);
	return remove_locked(d, rq, name, n, p->file, delete_id);
}

/* Who has no right hears of that first, where the names are locked. */
static int
object_may_go(struct change_dir *d, struct gate_request *rq, struct node *n)
{
	if (perm_remove(rq, node_perm(d->node), node_perm(n)) < 0)
		return 0;
	return denied_now(n, rq);
}

int
gate_remove(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *dir, const char *name,
	    struct gate_wcc *dir_wcc)
{
	struct change_dir d;
	struct link_pair pair = { 0 };
	struct node *n = NULL;
	uint64_t delete_id = 0;
	int r = change_dir_begin(x, rq, dir, name, dir_wcc, &d);

	if (r == -EEXIST)
		r = -EINVAL;	/* "." and ".." */
	if (r == 0)
		r = lookup_entry(d.node, rq, name, &n);
	if (r == 0 && node_kind(n) == GATE_DIR)
		r = -EISDIR;
	if (r == 0)
		r = object_may_go(&d, rq, n);
	if (r == 0)
		r = lock_victim(&d, rq, name, n, &pair);
	if (r == 0) {
		r = remove_name(&d, rq, name, n, &pair, &delete_id);
		unlock_victim(&pair);
	}
	if (d.locked) {
		node_unlock(d.node);
		d.locked = false;
	}
	if (r == 0) {
		remove_keep_directory(d.node);
		if (delete_id != 0)
			delete_wait(x, delete_id,
				    rq->first_ms + x->c.hold_ms);
	} else if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE) {
		rq->again = GATE_NEEDS_THREAD;
	}
	change_dir_end(&d, rq, dir_wcc);
	link_pair_put(&pair);
	node_put(&n);
	return r;
}

int
remove_dir_is_empty(struct node *n, struct gate_request *rq, bool locked)
{
	char key[META_KEY_MAX + 2];
	bool any = false;
	int r;

	r = has_names(n->export->gate, n->ino, &any);
	if (r == 0 && any && scan_fresh(n))
		return -ENOTEMPTY;
	/* What others put there meanwhile stays, and makes it anew. */
	if (r == 0 && !locked && offline_now(n->export) && offline_listed(n))
		return any ? -ENOTEMPTY : 0;
	if (r == 0 && !locked)
		r = may_ask_store(rq);
	if (r < 0)
		return r;
	/* What may be in it is not known before the listing has ended. */
	while (!locked && (r = dirmove_wait(n, rq)) != 0) {
		if (r < 0)
			return r;
	}
	if (!locked)
		r = has_names(n->export->gate, n->ino, &any);
	if (r == 0 && any && (locked || scan_fresh(n)))
		r = -ENOTEMPTY;
	if (r == 0 && locked && dirmove_lists(n)) {
		rq->again = GATE_JUKEBOX;
		r = -EAGAIN;
	}
	if (r == 0 && !locked)
		r = path_key(n, key);
	if (r == 0 && !locked)
		r = scan_prefix_below(n->export, key);
	return r > 0 ? -ENOTEMPTY : r;
}

int
gate_rmdir(struct gate_export *x, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name,
	   struct gate_wcc *dir_wcc)
{
	struct change_dir d;
	struct link_pair pair = { 0 };
	struct node *n = NULL;
	uint64_t delete_id = 0;
	int r = change_dir_begin(x, rq, dir, name, dir_wcc, &d);

	if (r == -EEXIST)
		r = strcmp(name, ".") == 0 ? -EINVAL : -ENOTEMPTY;
	if (r == 0)
		r = lookup_child(d.node, rq, name, &n);
	if (r == 0 && node_kind(n) != GATE_DIR)
		r = -ENOTDIR;
	if (r == 0)
		r = remove_dir_is_empty(n, rq, false);
	if (r == 0)
		r = object_may_go(&d, rq, n);
	if (r == 0)
		r = lock_victim(&d, rq, name, n, &pair);
	if (r == 0) {
		r = remove_dir_is_empty(n, rq, true);
		nlink_less(&d.row);
		if (r == 0)
			r = remove_locked(&d, rq, name, n, n, &delete_id);
		unlock_victim(&pair);
	}
	if (d.locked) {
		node_unlock(d.node);
		d.locked = false;
	}
	if (r == 0)
		remove_keep_directory(d.node);
	if (r == 0 && delete_id != 0)
		delete_wait(x, delete_id, rq->first_ms + x->c.hold_ms);
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	change_dir_end(&d, rq, dir_wcc);
	link_pair_put(&pair);
	node_put(&n);
	return r;
}

/* For rename.c: the file that a RENAME replaces. */
int
remove_check(struct node *n, struct gate_request *rq, const char *who)
{
	int r = writer_allows(n, rq, who);

	mutex_lock(&n->mutex);
	/* What its upload may still make at the key must be known before
	 * the next one says what it replaces. */
	if (r == 0 && n->up.run == UP_RUNNING) {
		rq->again = GATE_JUKEBOX;
		r = -EAGAIN;
	}
	mutex_unlock(&n->mutex);
	return r;
}
