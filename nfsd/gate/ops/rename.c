/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RENAME of files (of directories: rename_dir.c).  The names change in one
 * transaction, at once for everybody.  What S3 is owed follows from the row: a
 * file that was never uploaded is simply uploaded under its new key; one whose
 * object lies under the old key is marked name_dirty, its upload copies the
 * object on the server and deletes the old key afterwards, and until then reads
 * go to the old key, which is hidden from lookups and listings.
 *
 * Handles go by inode, so WRITEs in flight do not notice.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/upload.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

static bool
victim_turns(const struct rename *m)
{
	return m->victim != NULL && m->victim == m->victims.file &&
	       m->victims.alias != NULL;
}

static int
lock_pair(const struct link_pair *p, struct gate_request *rq, bool *locked)
{
	int r = p->file == NULL ? 0 : node_lock(p->file, rq);

	if (r == 0 && p->alias != NULL) {
		r = node_lock(p->alias, rq);
		if (r < 0)
			node_unlock(p->file);
	}
	*locked = r == 0 && p->file != NULL;
	return r;
}

static void
unlock_pair(const struct link_pair *p)
{
	if (p->alias != NULL)
		node_unlock(p->alias);
	node_unlock(p->file);
}

/* Directories by number, then files by number, each with its alias. */
static int
lock_all(struct rename *m, struct gate_request *rq)
{
	struct change_dir *first = &m->from, *second = &m->to;
	bool first_is_victim;
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
	first_is_victim = m->victims.file != NULL &&
			  m->victims.file->ino < m->files.file->ino;
	if (first_is_victim)
		r = lock_pair(&m->victims, rq, &m->victims_locked);
	if (r == 0)
		r = lock_pair(&m->files, rq, &m->files_locked);
	if (r == 0 && !first_is_victim)
		r = lock_pair(&m->victims, rq, &m->victims_locked);
	return r;
}

static void
unlock_all(struct rename *m)
{
	if (m->files_locked)
		unlock_pair(&m->files);
	if (m->victims_locked)
		unlock_pair(&m->victims);
	m->files_locked = m->victims_locked = false;
	if (m->from.locked)
		node_unlock(m->from.node);
	if (m->to.locked)
		node_unlock(m->to.node);
	m->from.locked = m->to.locked = false;
}

static int
writers_allow(struct rename *m, struct gate_request *rq, const char *who)
{
	int r = admit_change(m->files.file, rq, who, true);

	/* An upload under its old key.  Stop it, or let it end and copy. */
	if (r == 0)
		r = link_quiet(m->file, rq);
	if (r == 0 && m->victim != NULL)
		r = remove_check(m->victims.file, rq, who);
	if (r == 0 && m->victims.alias != NULL)
		r = link_quiet(m->victims.alias, rq);
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
	else if (victim_turns(m) && !m->turn.in_sync &&
		 strcmp(v->i.base_key, new_key) == 0)
		/* It leaves with what is there. */
		row->dest_etag[0] = '\0';
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
static void
moved(struct rename *m, const struct meta_name *entry,
      const struct meta_inode *row, const char *old_key, const char *key,
      const struct indoubt_heirloom *heirloom)
{
	struct node *n = m->file;
	struct gate_export *x = n->export;

	negative_removed(x->gate, m->from.node->ino, m->from_name,
			 clock_ms() + x->c.attr_ttl_ms);
	negative_del(x->gate, m->to.node->ino, m->to_name);
	/* Of uploads without an answer: one to the old key is deleted, unless
	 * that is where the base lies; one of the victim is what the next
	 * version may meet. */
	if (strcmp(row->base_key, old_key) != 0) {
		mutex_lock(&n->mutex);
		indoubt_forget_locked(n, old_key);
		mutex_unlock(&n->mutex);
	}
	if (m->victim != NULL)
		indoubt_inherit(n, m->victim, key, heirloom);
	if (victim_turns(m)) {
		remove_detach(m->victims.alias);
		link_turn_apply(&m->turn);
	} else if (m->victim != NULL) {
		remove_detach(m->victim);
		if (m->less.ino != 0)
			link_less_apply(m->victims.file, &m->less);
	}
	node_rename(n, entry);
	mutex_lock(&n->mutex);
	n->i.name_dirty = row->name_dirty;
	n->i.local_only = row->local_only;
	n->i.data_dirty = row->data_dirty;
	n->i.attr_dirty = row->attr_dirty;
	n->i.ctime_ns = row->ctime_ns;
	strcpy(n->i.dest_etag, row->dest_etag);
	n->checked_ms = clock_ms();
	if (row->local_only)
		indoubt_forget_left_locked(n);
	if (row->local_only && row->base_key[0] == '\0')
		n->up.pending = false;
	else
		/* An alias has nothing that should settle. */
		upload_schedule_locked(n, (row->name_dirty &&
					   !row->local_only) ||
					  row->link_ino != 0);
	mutex_unlock(&n->mutex);
	indoubt_place(n);
	change_dir_apply(&m->from);
	if (!m->one_dir)
		change_dir_apply(&m->to);
}

/* The victim loses one of several names. */
static int
victim_rows(struct rename *m, struct change *c)
{
	if (m->victim == NULL)
		return 0;
	meta_del_name(c->batch, m->to.node->ino, m->to_name);
	if (victim_turns(m)) {
		meta_del_inode(c->batch, m->victims.alias->ino);
		return link_turn_rows(&m->turn, m->victim, m->victims.alias, c,
				      !name_is_silly(m->to_name), true);
	}
	meta_del_inode(c->batch, m->victim->ino);
	return m->victim == m->victims.file
		       ? 0
		       : link_less_rows(m->victims.file, c, &m->less);
}

/* One file that takes a new name; all locks are held. */
struct step {
	struct rename *m;
	char key[META_KEY_MAX + 2], old_key[META_KEY_MAX + 2];
	struct meta_name entry;
	struct meta_inode row;		/* the file's, with that name */
	struct indoubt_heirloom heirloom;	/* that the victim leaves */
	bool was_relocating, was_hidden;
	int64_t ctime_ns;		/* of the file whose alias it is */
};

static void
step_free(struct step *s)
{
	meta_inode_fini(&s->row);
	indoubt_heirloom_free(&s->heirloom);
}

/* What lies in S3 and is nobody's after this.  Memory is as before. */
static void
objects_left(struct step *s, struct change *c)
{
	struct node *n = s->m->file, *v = s->m->victim;
	bool left = false;

	/* An object under the old name that this file was to replace, and now
	 * never will; or has, in an upload whose answer was lost.  Not one
	 * that is still the only copy of a file renamed away from there: only
	 * what is hidden otherwise, or is somebody else's by now. */
	if ((s->row.dest_etag[0] != '\0' || indoubt_at(n, s->old_key)) &&
	    strcmp(s->row.base_key, s->old_key) != 0 &&
	    !hidden_exactly(n->export, s->old_key))
		left = delete_queue_known(n, c, s->old_key, s->row.dest_etag,
					  true) != NULL;
	if (!left && s->was_relocating)
		delete_queue_copy(n, c);
	plan_row(s->m, s->key, &s->row);
	if (s->row.local_only)
		indoubt_gone_rows(
		    n, (const char *const[]){ s->row.base_key, "" }, c);
	if (v == NULL || victim_turns(s->m))
		return;
	indoubt_gone_rows(v, (const char *const[]){ s->key, v->i.base_key }, c);
	/* Its object is replaced, unless it lies elsewhere, or nothing will
	 * come to replace it. */
	if (strcmp(v->i.base_key, s->key) != 0 || s->row.local_only)
		(void)delete_queue_object(v, c, !name_left_key(v));
}

/* What S3 is owed, and where the file's object is meanwhile. */
static void
upload_rows(struct step *s, struct change *c)
{
	struct node *n = s->m->file;
	const struct meta_inode *row = &s->row;
	bool hide = row->base_key[0] != '\0' &&
		    strcmp(row->base_key, s->key) != 0;
	const char *const but[2] = {
		strcmp(row->base_key, s->old_key) != 0 ? s->old_key : "", ""
	};

	mutex_lock(&n->mutex);
	indoubt_rows_locked(n, c, but, &s->heirloom);
	if (row->local_only && row->base_key[0] == '\0')
		meta_del_upload(c->batch, n->ino);
	else if (row->name_dirty || row->data_dirty || row->attr_dirty ||
		 row->local_only)
		change_upload_locked(c, n, row);
	mutex_unlock(&n->mutex);
	if (hide && !s->was_hidden)
		change_hide(c, n->export, row->base_key);
	else if (s->was_hidden && !hide)	/* it goes back */
		change_show(c, n->export, row->base_key);
}

/* The file whose further name is renamed; and once it is done. */
static void
touch_file(struct step *s, struct change *c)
{
	struct node *n = s->m->files.file;
	CLEANUP_INODE struct meta_inode row = { 0 };
	int64_t now = clock_ns();

	mutex_lock(&n->mutex);
	if (meta_inode_copy(&n->i, &row) < 0)
		meta_batch_fail(c->batch, -ENOMEM);
	mutex_unlock(&n->mutex);
	if (row.ctime_ns < now)
		row.ctime_ns = now;
	s->ctime_ns = row.ctime_ns;
	meta_put_inode(c->batch, &row);
}

static void
touched(const struct step *s)
{
	struct node *n = s->m->files.file;

	mutex_lock(&n->mutex);
	if (s->ctime_ns != 0)
		n->i.ctime_ns = s->ctime_ns;
	mutex_unlock(&n->mutex);
}

/* Everything, into one batch. */
static int
step_rows(struct step *s, struct gate_request *rq, struct change *c)
{
	struct rename *m = s->m;
	struct node *n = m->file, *v = m->victim;
	int r = path_child_key(m->to.node, m->to_name, false, s->key);

	if (r == 0)
		r = dirmove_old_key(n, s->old_key);
	if (r == 0)
		r = meta_new_name_id(c->gate->meta, &s->entry.id);
	if (r == 0)
		r = change_unbind_name(c, n, &s->was_relocating);
	if (r == 0 && v != NULL)
		r = change_unbind_name(c, v, NULL);
	if (r == 0)
		r = meta_inode_copy(&n->i, &s->row);
	if (r == 0)
		r = victim_rows(m, c);
	if (r == 0 && v != NULL)
		r = indoubt_leave(v, s->key, &s->heirloom);
	if (r < 0)
		return r;
	s->was_hidden = name_left_key(n);
	objects_left(s, c);
	s->entry.parent = m->to.node->ino;
	s->entry.ino = n->ino;
	s->entry.kind = n->i.kind;
	strcpy(s->entry.name, m->to_name);
	meta_del_name(c->batch, m->from.node->ino, m->from_name);
	change_name(c, n, &s->entry);
	meta_add_name(c->batch, &s->entry);
	meta_put_inode(c->batch, &s->row);
	meta_put_inode(c->batch, &m->from.row);
	if (!m->one_dir)
		meta_put_inode(c->batch, &m->to.row);
	upload_rows(s, c);
	if (n != m->files.file)
		touch_file(s, c);
	drc_note(c->batch, rq, NULL);
	return 0;
}

static int
move_locked(struct rename *m, struct gate_request *rq)
{
	CLEANUP_CHANGE struct change c;
	__attribute__((cleanup(step_free))) struct step s = { .m = m };
	int r;

	change_begin(&c, m->file->export->gate);
	r = step_rows(&s, rq, &c);
	failpoint("rename-before-commit");
	if (r == 0)
		r = change_commit(&c);
	failpoint("rename-after-commit");
	if (r < 0)
		return r;
	touched(&s);
	moved(m, &s.entry, &s.row, s.old_key, s.key, &s.heirloom);
	return 0;
}

static int
find_both(struct rename *m, struct gate_request *rq)
{
	int r = lookup_entry(m->from.node, rq, m->from_name, &m->file);

	if (r < 0)
		return r;
	r = lookup_entry(m->to.node, rq, m->to_name, &m->victim);
	if (r < 0 && r != -ENOENT)
		return r;
	r = link_pair_get(m->file, &m->files);
	if (r == 0 && m->victim != NULL)
		r = link_pair_get(m->victim, &m->victims);
	if (r < 0)
		return r;
	r = perm_remove(rq, node_perm(m->from.node),
			node_perm(m->files.file));
	if (r == 0 && m->victim != NULL)
		r = perm_remove(rq, node_perm(m->to.node),
				node_perm(m->victims.file));
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

/* A name that a client sets aside to remove it later, while the file has
 * another one, which is for the bucket. */
static bool
is_sillyrename(const struct rename *m)
{
	return m->victim == NULL && name_is_silly(m->to_name) &&
	       m->file == m->files.file && m->files.alias != NULL &&
	       !m->files.alias->i.local_only;
}

/* Can its object leave, and follow?  One that is set aside to be removed need
 * not do that. */
static int
object_follows(struct rename *m, struct gate_request *rq)
{
	char key[META_KEY_MAX + 2];
	int r = denied_now(m->file, rq);

	if (r < 0 || name_is_silly(m->to_name))
		return r;
	r = path_child_key(m->to.node, m->to_name, false, key);
	return r < 0 ? r : cold_may_copy(m->files.file, rq, key);
}

int
gate_rename(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *from_dir, const char *from_name,
	    const struct gate_fh *to_dir, const char *to_name,
	    struct gate_wcc *from_wcc, struct gate_wcc *to_wcc)
{
	struct rename m = { .from_name = from_name, .to_name = to_name };
	char who[META_CLIENT_MAX];
	int r = change_dir_begin(x, rq, from_dir, from_name, from_wcc,
				 &m.from);

	if (r == 0)
		r = change_dir_begin(x, rq, to_dir, to_name, to_wcc, &m.to);
	if (r == -EEXIST)
		r = -EINVAL;	/* "." and ".." (RFC 1813 3.3.14) */
	if (r == 0)
		r = node_room(x, rq);
	if (r == 0)
		r = find_both(&m, rq);
	client_id_text(x, rq, who);
	/* Two names of one file: nothing to do. */
	if (r == 0 && m.files.file != m.victims.file &&
	    node_kind(m.file) == GATE_DIR) {
		r = rename_dir(&m, rq, who);
		m.one_dir = m.from.node == m.to.node;
	} else if (r == 0 && m.files.file != m.victims.file) {
		m.one_dir = m.from.node == m.to.node;
		r = object_follows(&m, rq);
		if (r == 0)
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
			r = is_sillyrename(&m)
				? link_sillyrename(&m.from, &m.to, rq,
						   from_name, to_name, &m.files)
				: move_locked(&m, rq);
	}
	unlock_all(&m);
	if (r == 0 && m.files.file != m.victims.file && !m.one_dir)
		remove_keep_directory(m.from.node);
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	change_dir_end(&m.from, rq, from_wcc);
	change_dir_end(&m.to, rq, to_wcc);
	link_turn_free(&m.turn);
	meta_inode_fini(&m.less);
	link_pair_put(&m.files);
	link_pair_put(&m.victims);
	node_put(&m.file);
	node_put(&m.victim);
	return r;
}
