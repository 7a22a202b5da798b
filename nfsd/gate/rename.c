/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RENAME of files (of directories: rename_dir.c).  The names change in one transaction, at once for
 * everybody.  What S3 is owed follows from the row: a file that was never
 * uploaded is simply uploaded under its new key; one whose object lies
 * under the old key is marked name_dirty, its upload copies the object on the
 * server and deletes the old key afterwards, and until then reads go to the
 * old key, which is hidden from lookups and listings.
 *
 * Handles go by inode, so WRITEs in flight do not notice.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/move.h"
#include "nfsd/gate/rename.h"

/* Directories by number, then files by number. */
static int
lock_all(struct rename *m, struct gate_request *rq)
{
	struct change_dir *first = &m->from, *second = &m->to;
	struct node *a = m->file, *b = m->victim;
	int r;

	if (m->to.node->ino < m->from.node->ino) {
		first = &m->to;
		second = &m->from;
	}
	r = change_dir_lock(first, rq);
	if (r == 0 && !m->one_dir)
		r = change_dir_lock(second, rq);
	if (r < 0)
		return r;
	if (b != NULL && b->ino < a->ino) {
		a = m->victim;
		b = m->file;
	}
	r = node_lock(a, rq);
	if (r == 0 && b != NULL) {
		r = node_lock(b, rq);
		if (r < 0)
			node_unlock(a);
	}
	if (r == 0) {
		m->file_locked = true;
		m->victim_locked = m->victim != NULL;
	}
	return r;
}

static void
unlock_all(struct rename *m)
{
	if (m->file_locked)
		node_unlock(m->file);
	if (m->victim_locked)
		node_unlock(m->victim);
	m->file_locked = m->victim_locked = false;
	if (m->from.locked)
		node_unlock(m->from.node);
	if (m->to.locked)
		node_unlock(m->to.node);
	m->from.locked = m->to.locked = false;
}

int
rename_recheck(struct rename *m, struct gate_request *rq)
{
	struct node *n = NULL;
	int r = lookup_known(m->from.node, rq, m->from_name, &n);

	if (r == 0 && n != m->file)
		r = -EAGAIN;
	node_put(&n);
	if (r < 0)
		return r;
	r = lookup_known(m->to.node, rq, m->to_name, &n);
	if (r == 0 && n != m->victim)
		r = -EAGAIN;
	if (r == -ENOENT)
		r = m->victim == NULL ? 0 : -EAGAIN;
	node_put(&n);
	return r;
}

static int
writers_allow(struct rename *m, struct gate_request *rq, const char *who)
{
	struct node *f = m->file;
	int r = 0;

	pthread_mutex_lock(&f->mutex);
	if (f->reserved_who != NULL && f->reserved_until_ms > clock_ms() &&
	    strcmp(f->reserved_who, who) != 0) {
		rq->again = GATE_JUKEBOX;
		r = -EAGAIN;
	} else if (f->h.state == META_ACTIVE && strcmp(f->h.who, who) != 0) {
		r = -EACCES;
	} else if (f->h.state == META_FINISHING || f->up.run == UP_RUNNING) {
		/* Under its old key.  Stop it, or let it end and copy. */
		upload_cancel_locked(f);
		if (clock_ms() < rq->first_ms + f->export->c.hold_ms) {
			r = node_hold_locked(f, rq, clock_ms() + 100);
		} else {
			rq->again = GATE_JUKEBOX;
			r = -EAGAIN;
		}
	}
	pthread_mutex_unlock(&f->mutex);
	if (r == 0 && m->victim != NULL)
		r = remove_check(m->victim, rq, who);
	return r;
}

/* What S3 will be told; the row of the file under its new name. */
static void
plan_row(struct rename *m, const char *new_key, struct meta_inode *row)
{
	const struct node *v = m->victim;

	row->name_dirty = row->base_key[0] != '\0' &&
			  strcmp(row->base_key, new_key) != 0;
	row->local_only = name_is_silly(m->to_name);
	if (strcmp(row->base_key, new_key) == 0)
		strcpy(row->dest_etag, row->base_etag);
	else if (v != NULL)
		/* Not the victim's own object, perhaps: one that the victim
		 * was to replace and has not yet. */
		strcpy(row->dest_etag, v->i.dest_etag);
	else
		row->dest_etag[0] = '\0';
	row->ctime_ns = clock_ns() > row->ctime_ns ? clock_ns()
						   : row->ctime_ns + 1;
	/* A file that came back from .nfs* has everything to say. */
	if (row->base_key[0] == '\0' && !row->local_only)
		row->data_dirty = row->attr_dirty = true;
}

/* The database has it: memory follows. */
static int
moved(struct rename *m, const struct meta_name *entry,
      const struct meta_inode *row, const char *old_key, const char *key)
{
	struct node *n = m->file;
	struct gate_export *x = n->export;
	int r;

	negative_removed(x->gate, m->from.node->ino, m->from_name,
			 clock_ms() + x->c.attr_ttl_ms);
	negative_del(x->gate, m->to.node->ino, m->to_name);
	/* Of uploads without an answer: one to the old key is deleted, unless
	 * that is where the base lies; one of the victim is what the next
	 * version may meet. */
	if (strcmp(row->base_key, old_key) != 0) {
		pthread_mutex_lock(&n->mutex);
		lost_forget_locked(n, old_key);
		pthread_mutex_unlock(&n->mutex);
	}
	if (m->victim != NULL) {
		lost_inherit(n, m->victim, key);
		remove_bury(m->victim);
	}
	r = node_rename(n, entry);
	pthread_mutex_lock(&n->mutex);
	n->i.name_dirty = row->name_dirty;
	n->i.local_only = row->local_only;
	n->i.data_dirty = row->data_dirty;
	n->i.attr_dirty = row->attr_dirty;
	n->i.ctime_ns = row->ctime_ns;
	strcpy(n->i.dest_etag, row->dest_etag);
	n->checked_ms = clock_ms();
	if (row->local_only && row->base_key[0] == '\0')
		n->up.pending = false;
	else
		upload_schedule_locked(n, row->name_dirty && !row->local_only);
	pthread_mutex_unlock(&n->mutex);
	change_dir_apply(&m->from);
	if (!m->one_dir)
		change_dir_apply(&m->to);
	return r;
}

/* Only what is hidden otherwise, or is somebody else's by now, is left. */
static void
leave_key(struct node *n, const char *key, const char *base,
	  struct meta_batch *b, struct meta_delete *left)
{
	if (strcmp(base, key) != 0 && !hidden_exactly(n->export, key))
		forget_key(n, key, b, left);
}

/* All locks are held. */
static int
move_locked(struct rename *m, struct gate_request *rq)
{
	struct node *n = m->file, *v = m->victim;
	struct gate_export *x = n->export;
	struct gate *g = x->gate;
	struct meta_name entry = { .parent = m->to.node->ino, .ino = n->ino,
				   .kind = n->i.kind };
	struct meta_inode row = { 0 };
	struct meta_delete del = { 0 }, left = { 0 };
	struct meta_batch *b;
	char key[META_KEY_MAX + 2], old_key[META_KEY_MAX + 2];
	bool hide, was_hidden, hide_victim;
	struct name_settled file_was = { 0 }, victim_was = { 0 };
	int r = path_child_key(m->to.node, m->to_name, false, key);

	if (r == 0)
		r = move_old_key(n, old_key);
	if (r == 0)
		r = name_settle(n, &file_was);
	if (r == 0 && v != NULL)
		r = name_settle(v, &victim_was);
	if (r == 0)
		r = meta_inode_copy(&n->i, &row);
	b = meta_batch_new();
	if (r < 0 || b == NULL) {
		meta_batch_free(&b);
		meta_inode_fini(&row);
		name_unsettle(n, &file_was);
		if (v != NULL)
			name_unsettle(v, &victim_was);
		return r < 0 ? r : -ENOMEM;
	}
	was_hidden = name_left_key(n);
	/* An object under the old name that this file was to replace, and now
	 * never will; or has, in an upload whose answer was lost.  Not one
	 * that is still the only copy of a file renamed away from there. */
	if (row.dest_etag[0] != '\0' || lost_at_locked(n, old_key))
		leave_key(n, old_key, row.base_key, b, &left);
	plan_row(m, key, &row);
	entry.id = meta_new_name_id(g->meta);
	strcpy(entry.name, m->to_name);
	meta_del_name(b, m->from.node->ino, m->from_name);
	if (v != NULL) {
		meta_del_name(b, m->to.node->ino, m->to_name);
		meta_del_inode(b, v->ino);
		/* Its object is replaced, unless it lies elsewhere, or
		 * nothing will come to replace it. */
		if (v->i.base_key[0] != '\0' &&
		    (strcmp(v->i.base_key, key) != 0 || row.local_only))
			forget_object(v, b, &del);
	}
	meta_put_name(b, &entry);
	meta_put_inode(b, &row);
	meta_put_inode(b, &m->from.row);
	if (!m->one_dir)
		meta_put_inode(b, &m->to.row);
	pthread_mutex_lock(&n->mutex);
	if (row.local_only && row.base_key[0] == '\0') {
		meta_del_upload(b, n->ino);
	} else if (row.name_dirty || row.data_dirty || row.attr_dirty ||
		   row.local_only) {
		n->i.local_only = row.local_only;
		upload_note_locked(n, b);
	}
	pthread_mutex_unlock(&n->mutex);
	replay_note(b, rq, NULL);
	hide = row.base_key[0] != '\0' && strcmp(row.base_key, key) != 0;
	if (hide && !was_hidden)
		hidden_add(x, row.base_key);
	hide_victim = del.id != 0 && !name_left_key(v);
	if (hide_victim)
		hidden_add(x, del.key);
	if (left.id != 0)
		hidden_add(x, left.key);
	failpoint("rename-before-commit");
	r = meta_commit(g->meta, &b);
	failpoint("rename-after-commit");
	if (r < 0) {
		if (hide && !was_hidden)
			hidden_del(x, row.base_key);
		if (hide_victim)
			hidden_del(x, del.key);
		if (left.id != 0)
			hidden_del(x, left.key);
		meta_inode_fini(&row);
		name_unsettle(n, &file_was);
		if (v != NULL)
			name_unsettle(v, &victim_was);
		return r;
	}
	if (was_hidden && !hide)
		hidden_del(x, row.base_key);	/* it went back */
	r = moved(m, &entry, &row, old_key, key);
	meta_inode_fini(&row);
	if (del.id != 0)
		delete_start(x, &del);
	if (left.id != 0)
		delete_start(x, &left);
	return r;
}

static int
find_both(struct rename *m, struct gate_request *rq)
{
	int r = lookup_child(m->from.node, rq, m->from_name, &m->file);

	if (r < 0)
		return r;
	r = lookup_child(m->to.node, rq, m->to_name, &m->victim);
	if (r < 0 && r != -ENOENT)
		return r;
	r = perm_remove(rq, node_perm(m->from.node), node_perm(m->file));
	if (r == 0 && m->victim != NULL)
		r = perm_remove(rq, node_perm(m->to.node),
				node_perm(m->victim));
	else if (r == 0 &&
		 !perm_allows(rq, node_perm(m->to.node),
			      MAY_WRITE | MAY_EXEC))
		r = -EACCES;
	if (r < 0)
		return r;
	if (m->victim != NULL && m->victim != m->file) {
		bool dir = node_kind(m->file) == GATE_DIR;
		bool onto = node_kind(m->victim) == GATE_DIR;

		if (dir && !onto)
			return -ENOTDIR;
		if (!dir && onto)
			return -EISDIR;
	}
	return 0;
}

int
gate_rename(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *from_dir, const char *from_name,
	    const struct gate_fh *to_dir, const char *to_name,
	    struct gate_wcc *from_wcc, struct gate_wcc *to_wcc)
{
	struct rename m = { .from_name = from_name, .to_name = to_name };
	char who[META_WHO_MAX];
	int r = change_dir_begin(x, rq, from_dir, from_name, from_wcc,
				 &m.from);

	if (r == 0)
		r = change_dir_begin(x, rq, to_dir, to_name, to_wcc, &m.to);
	if (r == -EEXIST)
		r = -EINVAL;	/* "." and ".." (RFC 1813 3.3.14) */
	if (r == 0)
		r = find_both(&m, rq);
	who_text(x, rq, who);
	/* Two names of one file: nothing to do. */
	if (r == 0 && m.file != m.victim && node_kind(m.file) == GATE_DIR) {
		r = rename_dir(&m, rq, who);
		m.one_dir = m.from.node == m.to.node;
	} else if (r == 0 && m.file != m.victim) {
		m.one_dir = m.from.node == m.to.node;
		r = lock_all(&m, rq);
		/* Also if it was removed meanwhile: STALE would speak of the
		 * directory. */
		if (r == 0 || (r == -ESTALE && !m.from.node->dead &&
			       !m.to.node->dead)) {
			int now = rename_recheck(&m, rq);

			r = now < 0 ? now : r;
		}
		if (r == 0)
			r = writers_allow(&m, rq, who);
		if (r == 0)
			r = move_locked(&m, rq);
	}
	unlock_all(&m);
	if (r == 0 && m.file != m.victim && !m.one_dir)
		remove_keep_directory(m.from.node);
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	change_dir_end(&m.from, rq, from_wcc);
	change_dir_end(&m.to, rq, to_wcc);
	node_put(&m.file);
	node_put(&m.victim);
	return r;
}
