/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several names of a file, of which some are .nfsXXXX: names that clients give
 * to what was removed and is still open.  Those are for no bucket; as long as
 * the file has another name, that is the file's own, and the others are
 * aliases without objects.  So a file that gets such a name gives up its own
 * to an alias, and takes that one's; and a file that had only such names, and
 * gets another one again (RENAME, LINK), takes that.  The RENAME itself is in
 * ops/sillyrename.c.
 */

#include <config.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"

/* An alias that is for no bucket: its row, and its memory after the commit. */
void
sillyrename_row(struct meta_inode *row)
{
	row->local_only = true;
	row->name_dirty = row->data_dirty = row->relocating = false;
	row->base_key[0] = row->base_etag[0] = row->dest_etag[0] = '\0';
}

void
sillyrename_memory(struct node *a)
{
	mutex_lock(&a->mutex);
	sillyrename_row(&a->i);
	indoubt_forget_locked(a, NULL);
	a->up.pending = false;
	mutex_unlock(&a->mutex);
}

/* ---- back ---- */

/* The alias has a name for the bucket, and its file has not. */
static bool
has_to_come(const struct link_pair *p)
{
	bool file, alias;

	mutex_lock(&p->file->mutex);
	file = p->file->i.local_only && !p->file->dead;
	mutex_unlock(&p->file->mutex);
	mutex_lock(&p->alias->mutex);
	alias = p->alias->i.local_only || p->alias->dead;
	mutex_unlock(&p->alias->mutex);
	return file && !alias;
}

/* Both are locked and quiet: they change their names. */
static int
come_back(const struct link_pair *p)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_TURN struct link_turn t = { 0 };
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct meta_name entry = { .ino = p->alias->ino,
				   .kind = p->alias->i.kind };
	int r = meta_inode_copy(&p->alias->i, &row);

	change_begin(&c, p->file->export->gate);
	node_name(p->file, &entry.parent, entry.name);
	entry.id = p->file->name_id;
	if (r == 0)
		r = link_turn_rows(&t, p->file, p->alias, &c, false, false);
	if (r < 0)
		return r;
	sillyrename_row(&row);
	meta_del_upload(c.batch, row.ino);
	meta_put_inode(c.batch, &row);
	change_name(&c, p->alias, &entry);
	meta_put_name(c.batch, &entry);
	failpoint("link-back-before-commit");
	r = change_commit(&c);
	failpoint("link-back-after-commit");
	if (r < 0)
		return r;
	sillyrename_memory(p->alias);
	node_rename(p->alias, &entry);
	link_turn_apply(&t);
	return 0;
}

/* 1: an upload of the file has to end first. */
static int
try_back(struct link_pair *p)
{
	bool busy = false;
	int r;

	node_lock_wait(p->file);
	node_lock_wait(p->alias);
	r = link_pair_check(p->alias, p);
	if (r == 0 && has_to_come(p)) {
		mutex_lock(&p->file->mutex);
		busy = p->file->up.run == UP_RUNNING;
		if (busy)
			upload_cancel_locked(p->file);
		mutex_unlock(&p->file->mutex);
		r = busy ? 1 : come_back(p);
	}
	node_unlock(p->alias);
	node_unlock(p->file);
	return r;
}

#define TRIES 50
#define AGAIN_MS 1000

void
link_come_back(struct node *alias)
{
	struct link_pair p;
	int r = 1;

	for (int tries = 0; r == 1 && tries < TRIES; tries++) {
		struct gate_request rq = { .may_block = true };

		r = link_pair_get(alias, &p);
		if (r < 0)
			break;
		if (p.alias != NULL && has_to_come(&p))
			r = try_back(&p);
		if (r == 1) {
			mutex_lock(&p.file->mutex);
			(void)node_hold_locked(p.file, &rq, clock_ms() + 100);
			mutex_unlock(&p.file->mutex);
		}
		link_pair_put(&p);
	}
	if (r == 0)
		return;
	mutex_lock(&alias->mutex);
	alias->up.due_ms = clock_ms() + AGAIN_MS;
	node_tick_at_locked(alias, alias->up.due_ms);
	mutex_unlock(&alias->mutex);
}
