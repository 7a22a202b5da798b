/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard links.  In the bucket each name is a whole object with the same bytes
 * (copy.c tells of the mark that they carry).  Here one node is the file:
 * it has the writers, the staged bytes, the attributes, and one of the
 * names.  Each other name is a node of its own, an alias: a name, an object,
 * an upload that copies the file's object there, and no bytes.
 *
 *	a ---> file (ino 7, nlink 3)  <- alias (ino 9) <--- b
 *	                              <- alias (ino 12) <-- d/c
 *
 * Whoever looks up a name gets the file (link_resolve); aliases are met only
 * by listings, REMOVE and RENAME, which are about names.  To remove or rename
 * an alias is what it is for any file.  When the name goes that the file
 * itself has, the file takes the name of an alias: a turn, in the same
 * transaction.  If the alias's object is up to date it becomes the file's
 * base, and nothing is copied; else the file is renamed as any other.
 *
 * An alias is always younger than its file (has the higher inode number), so
 * that "files by number" is also "the file before its alias".
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/inside.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

/* ---- looking ---- */

uint64_t
link_file_of(struct node *n)
{
	uint64_t ino;

	mutex_lock(&n->mutex);
	ino = n->i.link_ino;
	mutex_unlock(&n->mutex);
	return ino;
}

bool
link_is_alias(struct node *n)
{
	return link_file_of(n) != 0;
}

static int
take_ino(void *arg, uint64_t ino)
{
	*(uint64_t *)arg = ino;
	return 1;
}

struct choice {
	struct node *file;
	struct node *best;
};

/* Any will do, but one that is for the bucket is better, and best one whose
 * object is up to date. */
static int
choose(void *arg, uint64_t ino)
{
	struct choice *c = arg;
	struct gate *g = c->file->export->gate;
	struct node *n = NULL;
	int good;

	/* Most are in memory; the others need not be tried. */
	if (c->best != NULL && (n = node_find(g, ino)) == NULL)
		return 0;
	if (n == NULL && node_get(g, ino, true, &n) < 0)
		return 0;
	mutex_lock(&n->mutex);
	good = n->dead || n->i.link_ino != c->file->ino ? -1
	       : n->i.local_only			 ? 0
	       : n->i.base_key[0] == '\0'		 ? 1
							 : 2;
	mutex_unlock(&n->mutex);
	if (good < 0) {
		node_put(&n);
		return 0;
	}
	if (c->best != NULL && (good == 0 || c->best->i.base_key[0] != '\0' ||
				(good == 1 && !c->best->i.local_only))) {
		node_put(&n);
		return 0;
	}
	node_put(&c->best);
	c->best = n;
	return good == 2;
}

int
link_pair_get(struct node *n, struct link_pair *out)
{
	struct gate *g = n->export->gate;
	uint64_t ino = link_file_of(n);
	struct choice c = { .file = n };
	bool linked;
	int r = 0;

	*out = (struct link_pair){ 0 };
	if (ino != 0) {
		r = node_get(g, ino, true, &out->file);
		if (r == 0)
			out->alias = node_ref(n);
		/* An alias of nothing goes like a file of its own. */
		if (r == -ESTALE) {
			out->file = node_ref(n);
			r = 0;
		}
		return r;
	}
	out->file = node_ref(n);
	mutex_lock(&n->mutex);
	linked = n->i.link_id[0] != '\0';
	mutex_unlock(&n->mutex);
	if (linked)
		r = meta_each_link(g->meta, n->ino, choose, &c);
	out->alias = c.best;
	return r;
}

void
link_pair_put(struct link_pair *p)
{
	node_put(&p->file);
	node_put(&p->alias);
}

int
link_pair_check(struct node *n, const struct link_pair *p)
{
	uint64_t any = 0;
	int r = 0;

	if (n->dead || p->file->dead)
		return -EAGAIN;
	if (p->alias == NULL) {
		if (n->i.link_id[0] != '\0' && n == p->file &&
		    n->i.link_ino == 0)
			r = meta_each_link(n->export->gate->meta, n->ino,
					   take_ino, &any);
		return r < 0 ? r : any != 0 ? -EAGAIN : 0;
	}
	return p->alias->dead || link_file_of(p->alias) != p->file->ino
		       ? -EAGAIN
		       : 0;
}

int
link_quiet(struct node *n, struct gate_request *rq)
{
	uint64_t now = clock_ms();
	int r = 0;

	mutex_lock(&n->mutex);
	if (n->h.state == META_FINISHING || n->up.run == UP_RUNNING) {
		upload_cancel_locked(n);
		if (now < rq->first_ms + n->export->c.hold_ms) {
			r = node_hold_locked(n, rq, now + 100);
		} else {
			rq->again = GATE_JUKEBOX;
			r = -EAGAIN;
		}
	}
	mutex_unlock(&n->mutex);
	return r;
}

/* ---- a name more ---- */

void
link_touch(struct meta_inode *row)
{
	int64_t now = clock_ns();

	row->ctime_ns = now > row->ctime_ns ? now : row->ctime_ns + 1;
}

void
linking_rows(struct change_dir *d, struct gate_request *rq, struct node *n,
	     const struct linking *l, struct change *c)
{
	meta_add_inode(c->batch, &l->alias);
	meta_add_name(c->batch, &l->entry);
	if (!l->alias.local_only)
		meta_put_upload(c->batch, &l->upload);
	meta_put_inode(c->batch, &d->row);
	mutex_lock(&n->mutex);
	change_upload_locked(c, n, &l->file);
	mutex_unlock(&n->mutex);
	meta_put_inode(c->batch, &l->file);
	drc_note(c->batch, rq, NULL);
}

/* ---- a name less ---- */

int
link_less_rows(struct node *file, struct change *c, struct meta_inode *row)
{
	int r;

	mutex_lock(&file->mutex);
	r = meta_inode_copy(&file->i, row);
	if (r == 0) {
		if (row->nlink > 1)
			row->nlink--;
		row->attr_dirty = true;
		link_touch(row);
		change_upload_locked(c, file, row);
		meta_put_inode(c->batch, row);
	}
	mutex_unlock(&file->mutex);
	return r;
}

void
link_less_apply(struct node *file, struct meta_inode *row)
{
	mutex_lock(&file->mutex);
	file->i.nlink = row->nlink;
	file->i.ctime_ns = row->ctime_ns;
	file->i.attr_dirty = true;
	file->attr_version++;
	upload_schedule_locked(file, false);
	mutex_unlock(&file->mutex);
}

/* All locks are held. */
static int
detach_pair(struct node *alias, const struct link_pair *p)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	int r;

	node_must_be_locked(alias);
	if (p->alias != NULL)
		node_must_be_locked(p->file);
	if (alias->dead)
		return 0;
	change_begin(&c, alias->export->gate);
	r = change_unbind_name(&c, alias, NULL);
	if (r == 0 && p->alias != NULL && !p->file->dead)
		r = link_less_rows(p->file, &c, &row);
	if (r < 0)
		return r;
	/* Under a name that it has left. */
	if (name_left_key(alias))
		(void)delete_queue_object(alias, &c, false);
	meta_del_inode(c.batch, alias->ino);
	r = change_commit(&c);
	if (r < 0)
		return r;
	remove_detach(alias);
	if (row.ino != 0)
		link_less_apply(p->file, &row);
	return 0;
}

int
link_detach(struct node *alias)
{
	struct link_pair p;
	int r = link_pair_get(alias, &p);

	if (r < 0)
		return r;
	if (p.alias != NULL)
		node_lock_wait(p.file);
	node_lock_wait(alias);
	r = detach_pair(alias, &p);
	node_unlock(alias);
	if (p.alias != NULL)
		node_unlock(p.file);
	link_pair_put(&p);
	return r;
}

/* ---- turns ---- */

/* Has the alias the bytes of the file's object, under its own name? */
static bool
in_sync(const struct node *file, const struct node *alias, const char *key)
{
	const struct meta_inode *f = &file->i, *a = &alias->i;

	return a->base_key[0] != '\0' && strcmp(a->base_key, key) == 0 &&
	       !a->local_only && f->base_key[0] != '\0' &&
	       !name_left_key(file) && a->link_version == f->link_version &&
	       f->link_version != 0;
}

/* The alias's object becomes the file's, which leaves its own. */
static void
turn_row_in_sync(struct link_turn *t, struct change *c, bool keep)
{
	const struct meta_inode *a = &t->alias->i;
	struct meta_inode *row = &t->row;

	if (!keep)
		t->del = delete_queue_known_locked(t->file, c, row->base_key,
						   row->base_etag, true);
	strcpy(row->base_key, a->base_key);
	strcpy(row->base_etag, a->base_etag);
	strcpy(row->dest_etag, a->dest_etag);
	row->base_mtime_ns = a->base_mtime_ns;
	row->cold = a->cold;
	row->name_dirty = false;
}

/* The file's object is on its way to the alias's name.  *hide: what it had
 * under the old one is all there is of it. */
static void
turn_row_later(struct link_turn *t, bool *hide)
{
	const struct meta_inode *a = &t->alias->i;
	struct meta_inode *row = &t->row;

	row->name_dirty = row->base_key[0] != '\0' &&
			  strcmp(row->base_key, t->new_key) != 0;
	strcpy(row->dest_etag,
	       row->base_key[0] != '\0' && !row->name_dirty ? row->base_etag
							    : a->dest_etag);
	if (row->base_key[0] == '\0' && !row->local_only)
		row->data_dirty = true;
	*hide = row->base_key[0] != '\0' &&
		(row->name_dirty || row->local_only);
}

/* What lies in S3 and is nobody's after the turn, of the file.  It is as it was
 * before it; t->row, too.  Its mutex is held. */
static void
turn_leaves_locked(struct link_turn *t, struct change *c, bool keep)
{
	struct node *f = t->file;

	/* As for RENAME: what this file was to replace, or may have made,
	 * under the name that it leaves. */
	if (!keep &&
	    (t->row.dest_etag[0] != '\0' || indoubt_at_locked(f, t->old_key)) &&
	    strcmp(t->row.base_key, t->old_key) != 0 &&
	    !t->old_hidden)
		(void)delete_queue_known_locked(f, c, t->old_key,
						t->row.dest_etag, true);
}

/* The file's row.  Its mutex is held. */
static void
turn_row_locked(struct link_turn *t, struct change *c, bool keep)
{
	struct gate_export *x = t->file->export;
	bool was_hidden = name_left_key(t->file), hide;

	t->row.local_only = t->alias->i.local_only;
	if (t->in_sync) {
		turn_row_in_sync(t, c, keep);
		return;
	}
	turn_leaves_locked(t, c, keep);
	turn_row_later(t, &hide);
	t->leaves = hide;
	if (hide && !was_hidden)
		change_hide(c, x, t->row.base_key);
	else if (was_hidden && !hide)	/* it goes back */
		change_show(c, x, t->row.base_key);
}

/* The alias's name, for the file. */
static int
turn_entry(struct link_turn *t)
{
	struct node *a = t->alias;
	int r = 0;

	mutex_lock(&a->mutex);
	t->entry = (struct meta_name){ .id = a->name_id,
				       .parent = a->parent,
				       .ino = t->file->ino,
				       .kind = t->file->i.kind };
	if (a->namekey != NULL)
		memcpy(t->entry.name, a->namekey + sizeof(uint64_t),
		       a->namekey_len - sizeof(uint64_t) + 1);
	else
		r = -ESTALE;
	mutex_unlock(&a->mutex);
	return r;
}

/* What S3 is owed, and what it may have got.  The file's mutex is held. */
static void
turn_rows_locked(struct link_turn *t, struct change *c)
{
	const char *const but[2] = {
		strcmp(t->row.base_key, t->old_key) != 0 ? t->old_key : "", ""
	};

	if (t->row.local_only && t->row.base_key[0] == '\0')
		meta_del_upload(c->batch, t->file->ino);
	else
		change_upload_locked(c, t->file, &t->row);
	/* As in ops/rename.c. */
	indoubt_rows_locked(t->file, c, but, &t->heirloom);
}

int
link_turn_rows(struct link_turn *t, struct node *file, struct node *alias,
	       struct change *c, bool keep, bool less)
{
	int r = dirmove_old_key(file, t->old_key);

	t->file = file;
	t->alias = alias;
	if (r == 0)
		r = path_key(alias, t->new_key);
	if (r == 0)
		r = change_unbind_name(c, file, NULL);
	if (r == 0)
		r = change_unbind_name(c, alias, NULL);
	if (r == 0)
		r = indoubt_leave(alias, t->new_key, &t->heirloom);
	if (r == 0)
		r = turn_entry(t);
	if (r < 0)
		return r;
	/* May ask SQLite. */
	t->old_hidden = hidden_exactly(file->export, t->old_key);
	mutex_lock(&file->mutex);
	r = meta_inode_copy(&file->i, &t->row);
	if (r == 0) {
		t->in_sync = in_sync(file, alias, t->new_key);
		turn_row_locked(t, c, keep);
		if (less && t->row.nlink > 1)
			t->row.nlink--;
		t->row.attr_dirty = true;
		link_touch(&t->row);
		turn_rows_locked(t, c);
	}
	mutex_unlock(&file->mutex);
	if (r < 0)
		return r;
	/* An object of the alias that is not where it goes; it is hidden. */
	if (!t->in_sync && name_left_key(alias))
		(void)delete_queue_object(alias, c, false);
	indoubt_gone_rows(alias, (const char *const[]){ t->new_key, "" }, c);
	/* After the alias's own rows are gone or have another name. */
	change_name(c, file, &t->entry);
	meta_put_name(c->batch, &t->entry);
	meta_put_inode(c->batch, &t->row);
	return 0;
}

void
link_turn_apply(struct link_turn *t)
{
	struct node *n = t->file;
	const struct meta_inode *row = &t->row;

	indoubt_inherit(n, t->alias, t->new_key, &t->heirloom);
	node_rename(n, &t->entry);
	mutex_lock(&n->mutex);
	n->i.name_dirty = row->name_dirty;
	n->i.relocating = row->relocating;
	n->i.local_only = row->local_only;
	n->i.data_dirty = row->data_dirty;
	n->i.attr_dirty = row->attr_dirty;
	n->i.nlink = row->nlink;
	n->i.ctime_ns = row->ctime_ns;
	strcpy(n->i.base_key, row->base_key);
	strcpy(n->i.base_etag, row->base_etag);
	strcpy(n->i.dest_etag, row->dest_etag);
	n->i.base_mtime_ns = row->base_mtime_ns;
	n->i.cold = row->cold;
	n->attr_version++;
	n->d.fetch_error = 0;
	/* Of uploads without an answer, as in ops/rename.c. */
	if (strcmp(row->base_key, t->old_key) != 0)
		indoubt_forget_locked(n, t->old_key);
	n->checked_ms = clock_ms();
	if (row->local_only && row->base_key[0] == '\0')
		n->up.pending = false;
	else
		upload_schedule_locked(n, t->leaves);
	if (row->local_only)
		indoubt_forget_left_locked(n);
	node_changed_locked(n);
	mutex_unlock(&n->mutex);
	indoubt_place(n);
}

void
link_turn_free(struct link_turn *t)
{
	meta_inode_fini(&t->row);
	indoubt_heirloom_free(&t->heirloom);
}

/* Both locks are held.  1: it lives there now. */
static int
move_over(struct node *file, struct node *alias)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_TURN struct link_turn t = { 0 };
	uint64_t parent;
	char name[META_NAME_MAX + 1];
	int r;

	node_must_be_locked(file);
	node_must_be_locked(alias);
	change_begin(&c, file->export->gate);
	node_name(file, &parent, name);
	meta_del_name(c.batch, parent, name);
	meta_del_inode(c.batch, alias->ino);
	r = link_turn_rows(&t, file, alias, &c, true, true);
	if (r < 0)
		return r;
	/* An object that was never brought up to date does not help. */
	if (!t.in_sync || alias->up.run == UP_RUNNING)
		return 0;
	/* What the listing told of the file was of another one. */
	t.row.size = t.row.base_size = alias->i.base_size;
	t.row.base_limit = t.row.base_size;
	t.row.attr_known = false;
	meta_put_inode(c.batch, &t.row);
	r = change_commit(&c);
	if (r < 0)
		return r;
	remove_detach(alias);
	mutex_lock(&file->mutex);
	data_drop_clean_locked(file);
	file->i.size = file->writer_size = t.row.size;
	file->i.base_size = file->i.base_limit = t.row.base_size;
	file->i.attr_known = false;
	file->content_version++;
	mutex_unlock(&file->mutex);
	link_turn_apply(&t);
	return 1;
}

int
link_move_over(struct node *file)
{
	struct link_pair p;
	int r = link_pair_get(file, &p);

	if (r < 0)
		return r;
	if (p.alias != NULL) {
		node_lock_wait(p.alias);
		r = link_pair_check(file, &p);
		if (r == 0)
			r = move_over(file, p.alias);
		else if (r == -EAGAIN)
			r = 0;
		node_unlock(p.alias);
	}
	link_pair_put(&p);
	return r;
}
