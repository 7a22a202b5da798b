/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard links.  In the bucket each name is a whole object with the same bytes
 * (link_copy.c has the mark that they carry).  Here one node is the file:
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "nfsd/gate/cold.h"
#include "nfsd/gate/link.h"
#include "nfsd/gate/lost.h"
#include "nfsd/gate/move.h"

#define LINKS_MAX 32000

/* ---- looking ---- */

static uint64_t
link_file_of(struct node *n)
{
	uint64_t ino;

	pthread_mutex_lock(&n->mutex);
	ino = n->i.link_ino;
	pthread_mutex_unlock(&n->mutex);
	return ino;
}

bool
link_is_alias(struct node *n)
{
	return link_file_of(n) != 0;
}

/* Both uploaded, and not the same? */
static bool
differs(struct node *alias, struct node *file)
{
	uint64_t version, is;
	bool pending;

	pthread_mutex_lock(&alias->mutex);
	version = alias->i.link_version;
	pending = alias->up.pending || alias->i.local_only ||
		  alias->i.base_key[0] == '\0';
	pthread_mutex_unlock(&alias->mutex);
	pthread_mutex_lock(&file->mutex);
	is = file->i.link_version;
	pthread_mutex_unlock(&file->mutex);
	return !pending && version != is;
}

int
link_resolve(struct node **np, struct gate_request *rq)
{
	struct node *n = *np, *file = NULL;
	uint64_t ino = link_file_of(n);
	int r;

	if (ino == 0)
		return 0;
	r = node_get(n->export->gate, ino, rq->may_block, &file);
	if (r == 0 && differs(n, file))
		r = rq->may_block ? link_reconcile(n) : -EAGAIN;
	if (r == -EAGAIN && !rq->may_block)
		rq->again = GATE_NEEDS_THREAD;
	node_put(np);
	if (r < 0) {
		node_put(&file);
		return r == -ESTALE ? -ENOENT : r;
	}
	*np = file;
	return 0;
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
	pthread_mutex_lock(&n->mutex);
	good = n->dead || n->i.link_ino != c->file->ino ? -1
	       : n->i.local_only			 ? 0
	       : n->i.base_key[0] == '\0'		 ? 1
							 : 2;
	pthread_mutex_unlock(&n->mutex);
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
	pthread_mutex_lock(&n->mutex);
	linked = n->i.link_id[0] != '\0';
	pthread_mutex_unlock(&n->mutex);
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
	return p->alias->dead || link_file_of(p->alias) != p->file->ino ? -EAGAIN
								    : 0;
}

int
link_quiet(struct node *n, struct gate_request *rq)
{
	uint64_t now = clock_ms();
	int r = 0;

	pthread_mutex_lock(&n->mutex);
	if (n->h.state == META_FINISHING || n->up.run == UP_RUNNING) {
		upload_cancel_locked(n);
		if (now < rq->first_ms + n->export->c.hold_ms) {
			r = node_hold_locked(n, rq, now + 100);
		} else {
			rq->again = GATE_JUKEBOX;
			r = -EAGAIN;
		}
	}
	pthread_mutex_unlock(&n->mutex);
	return r;
}

/* ---- LINK ---- */

static int
new_id(char id[META_LINK_MAX])
{
	unsigned char bytes[(META_LINK_MAX - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static void
link_touch(struct meta_inode *row)
{
	int64_t now = clock_ns();

	row->ctime_ns = now > row->ctime_ns ? now : row->ctime_ns + 1;
}

struct linking {
	struct meta_inode file, alias;
	struct meta_name entry;
	struct meta_upload upload;
};

static int
linking_fill(struct change_dir *d, const char *name, struct node *n,
	     struct linking *l)
{
	struct gate *g = n->export->gate;
	int r = 0;

	pthread_mutex_lock(&n->mutex);
	r = meta_inode_copy(&n->i, &l->file);
	pthread_mutex_unlock(&n->mutex);
	if (r == 0 && l->file.link_id[0] == '\0')
		r = new_id(l->file.link_id);
	if (r < 0)
		return r;
	l->file.nlink++;
	l->file.attr_dirty = true;
	link_touch(&l->file);
	l->alias = (struct meta_inode){
		.export_id = n->export->id,
		.generation = gate_generation(n->export->gate),
		.kind = l->file.kind,
		.mode = l->file.mode,
		.uid = l->file.uid,
		.gid = l->file.gid,
		.nlink = 1,
		.attr_known = true,
		.data_dirty = true,
		.local_only = name_is_silly(name),
		.link_ino = n->ino,
	};
	strcpy(l->alias.link_id, l->file.link_id);
	l->entry = (struct meta_name){ .parent = d->node->ino,
				       .kind = l->alias.kind };
	r = meta_new_name_id(g->meta, &l->entry.id);
	if (r == 0)
		r = meta_new_ino(g->meta, &l->alias.ino);
	l->entry.ino = l->alias.ino;
	strcpy(l->entry.name, name);
	l->upload = (struct meta_upload){ .ino = l->alias.ino,
					  .since_ns = clock_ns() };
	return r;
}

static void
linked(struct node *n, struct node *alias, const struct linking *l)
{
	pthread_mutex_lock(&n->mutex);
	n->i.nlink = l->file.nlink;
	n->i.ctime_ns = l->file.ctime_ns;
	n->i.attr_dirty = true;
	strcpy(n->i.link_id, l->file.link_id);
	n->attr_version++;
	upload_schedule_locked(n, false);
	pthread_mutex_unlock(&n->mutex);
	if (l->alias.local_only)
		return;
	/* It has nothing to copy yet: link_stored starts it. */
	pthread_mutex_lock(&alias->mutex);
	upload_row_begin_locked(alias, l->upload.since_ns);
	alias->up.pending = true;
	alias->up.dirty_ms = clock_ms();
	/* But of a file that had been removed: it comes back by this name
	 * (link_aside.c). */
	if (l->file.local_only)
		upload_schedule_locked(alias, true);
	pthread_mutex_unlock(&alias->mutex);
}

static void
linking_rows(struct change_dir *d, struct gate_request *rq, struct node *n,
	     const struct linking *l, struct change *c)
{
	meta_add_inode(c->batch, &l->alias);
	meta_add_name(c->batch, &l->entry);
	if (!l->alias.local_only)
		meta_put_upload(c->batch, &l->upload);
	meta_put_inode(c->batch, &d->row);
	pthread_mutex_lock(&n->mutex);
	change_upload_locked(c, n, &l->file);
	pthread_mutex_unlock(&n->mutex);
	meta_put_inode(c->batch, &l->file);
	replay_note(c->batch, rq, NULL);
}

/* The directory and the file are locked, and the name is free. */
static int
link_locked(struct change_dir *d, struct gate_request *rq, const char *name,
	    struct node *n)
{
	struct gate_export *x = n->export;
	CLEANUP_CHANGE struct change c;
	struct linking l = { 0 };
	struct node *alias = NULL;
	char key[META_KEY_MAX + 2];
	int r = path_child_key(d->node, name, false, key);

	change_begin(&c, x->gate);
	if (r == 0)
		r = n->dead ? -ESTALE : n->i.link_ino != 0 ? -ESTALE : 0;
	if (r == 0 && n->i.nlink >= LINKS_MAX)
		r = -EMLINK;
	if (r == 0)
		r = linking_fill(d, name, n, &l);
	if (r == 0) {
		linking_rows(d, rq, n, &l, &c);
		r = node_add(x, &l.alias, &l.entry, true, &alias);
	}
	failpoint("link-before-commit");
	if (r == 0)
		r = change_commit(&c);
	failpoint("link-after-commit");
	if (r == 0) {
		negative_del(x->gate, d->node->ino, name);
		change_dir_apply(d);
		linked(n, alias, &l);
	} else if (alias != NULL) {
		remove_bury(alias);
	}
	if (alias != NULL)
		node_unlock(alias);
	node_put(&alias);
	meta_inode_fini(&l.file);
	return r;
}

/* -EEXIST if the name is taken. */
static int
is_free(struct change_dir *d, struct gate_request *rq, const char *name,
	bool locked)
{
	struct node *old = NULL;
	int r = locked ? lookup_known(d->node, rq, name, &old)
		       : lookup_entry(d->node, rq, name, &old);

	node_put(&old);
	return r == 0 ? -EEXIST : r == -ENOENT ? 0 : r;
}

int
gate_link(struct gate_export *x, struct gate_request *rq,
	  const struct gate_fh *fh, const struct gate_fh *dir,
	  const char *name, struct gate_attr *attr, struct gate_wcc *dir_wcc)
{
	struct change_dir d;
	struct node *n = NULL;
	int r = change_dir_begin(x, rq, dir, name, dir_wcc, &d);

	if (r == 0)
		r = node_from_fh(x, rq, fh, &n);
	if (r == 0 && node_kind(n) == GATE_DIR)
		r = -EISDIR;
	if (r == 0)
		r = lookup_refresh(n, rq);
	if (r == 0)
		r = is_free(&d, rq, name, false);
	if (r == 0 && !perm_allows(rq, node_perm(d.node),
				   MAY_WRITE | MAY_EXEC))
		r = -EACCES;
	if (r == 0)
		r = cold_may_copy(n, rq, NULL);
	if (r == 0)
		r = change_dir_lock(&d, rq);
	if (r == 0)
		r = is_free(&d, rq, name, true);
	if (r == 0)
		r = node_lock(n, rq);
	if (r == 0) {
		char who[META_WHO_MAX];

		who_text(x, rq, who);
		r = admit_change(n, rq, who, false);
		if (r == 0)
			r = link_locked(&d, rq, name, n);
		node_unlock(n);
	}
	if (r == 0)
		node_attr(n, rq, attr);
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	change_dir_end(&d, rq, dir_wcc);
	node_put(&n);
	return r;
}

/* ---- a name less ---- */

int
link_less_rows(struct node *file, struct change *c, struct meta_inode *row)
{
	int r;

	pthread_mutex_lock(&file->mutex);
	r = meta_inode_copy(&file->i, row);
	if (r == 0) {
		if (row->nlink > 1)
			row->nlink--;
		row->attr_dirty = true;
		link_touch(row);
		change_upload_locked(c, file, row);
		meta_put_inode(c->batch, row);
	}
	pthread_mutex_unlock(&file->mutex);
	return r;
}

void
link_less_apply(struct node *file, struct meta_inode *row)
{
	pthread_mutex_lock(&file->mutex);
	file->i.nlink = row->nlink;
	file->i.ctime_ns = row->ctime_ns;
	file->i.attr_dirty = true;
	file->attr_version++;
	upload_schedule_locked(file, false);
	pthread_mutex_unlock(&file->mutex);
}

/* All locks are held. */
static int
detach_locked(struct node *alias, const struct link_pair *p)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	int r;

	if (alias->dead)
		return 0;
	change_begin(&c, alias->export->gate);
	r = change_settle_name(&c, alias, NULL);
	if (r == 0 && p->alias != NULL && !p->file->dead)
		r = link_less_rows(p->file, &c, &row);
	if (r < 0)
		return r;
	/* Under a name that it has left. */
	if (name_left_key(alias))
		(void)forget_object(alias, &c, false);
	meta_del_inode(c.batch, alias->ino);
	r = change_commit(&c);
	if (r < 0)
		return r;
	remove_bury(alias);
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
	r = detach_locked(alias, &p);
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
		t->del = forget_known_locked(t->file, c, row->base_key,
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
	    (t->row.dest_etag[0] != '\0' || lost_at_locked(f, t->old_key)) &&
	    strcmp(t->row.base_key, t->old_key) != 0 &&
	    !hidden_exactly(f->export, t->old_key))
		(void)forget_known_locked(f, c, t->old_key, t->row.dest_etag,
					  true);
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

	pthread_mutex_lock(&a->mutex);
	t->entry = (struct meta_name){ .id = a->name_id,
				       .parent = a->parent,
				       .ino = t->file->ino,
				       .kind = t->file->i.kind };
	if (a->namekey != NULL)
		memcpy(t->entry.name, a->namekey + sizeof(uint64_t),
		       a->namekey_len - sizeof(uint64_t) + 1);
	else
		r = -ESTALE;
	pthread_mutex_unlock(&a->mutex);
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
	/* As in rename.c. */
	lost_rows_locked(t->file, c, but, &t->heirloom);
}

int
link_turn_rows(struct link_turn *t, struct node *file, struct node *alias,
	       struct change *c, bool keep, bool less)
{
	int r = move_old_key(file, t->old_key);

	t->file = file;
	t->alias = alias;
	if (r == 0)
		r = path_key(alias, t->new_key);
	if (r == 0)
		r = change_settle_name(c, file, NULL);
	if (r == 0)
		r = change_settle_name(c, alias, NULL);
	if (r == 0)
		r = lost_leave(alias, t->new_key, &t->heirloom);
	if (r == 0)
		r = turn_entry(t);
	if (r < 0)
		return r;
	pthread_mutex_lock(&file->mutex);
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
	pthread_mutex_unlock(&file->mutex);
	if (r < 0)
		return r;
	/* An object of the alias that is not where it goes; it is hidden. */
	if (!t->in_sync && name_left_key(alias))
		(void)forget_object(alias, c, false);
	lost_gone_rows(alias, (const char *const[]){ t->new_key, "" }, c);
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

	lost_inherit(n, t->alias, t->new_key, &t->heirloom);
	node_rename(n, &t->entry);
	pthread_mutex_lock(&n->mutex);
	n->i.name_dirty = row->name_dirty;
	n->i.carried = row->carried;
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
	/* Of uploads without an answer, as in rename.c. */
	if (strcmp(row->base_key, t->old_key) != 0)
		lost_forget_locked(n, t->old_key);
	n->checked_ms = clock_ms();
	if (row->local_only && row->base_key[0] == '\0')
		n->up.pending = false;
	else
		upload_schedule_locked(n, t->leaves);
	if (row->local_only)
		lost_forget_left_locked(n);
	node_changed_locked(n);
	pthread_mutex_unlock(&n->mutex);
	lost_place(n);
}

void
link_turn_free(struct link_turn *t)
{
	meta_inode_fini(&t->row);
	lost_heirloom_free(&t->heirloom);
}

int
link_remove_first(struct change_dir *d, struct gate_request *rq,
		  const char *name, const struct link_pair *p,
		  uint64_t *delete_id)
{
	struct gate_export *x = d->node->export;
	struct gate *g = x->gate;
	CLEANUP_CHANGE struct change c;
	CLEANUP_TURN struct link_turn t = { 0 };
	int r = link_quiet(p->file, rq);

	change_begin(&c, g);
	if (r == 0)
		r = link_quiet(p->alias, rq);
	if (r < 0)
		return r;
	meta_del_name(c.batch, d->node->ino, name);
	meta_del_inode(c.batch, p->alias->ino);
	r = link_turn_rows(&t, p->file, p->alias, &c, false, true);
	if (r < 0)
		return r;
	meta_put_inode(c.batch, &d->row);
	replay_note(c.batch, rq, NULL);
	failpoint("unlink-before-commit");
	r = change_commit(&c);
	failpoint("unlink-after-commit");
	if (r < 0)
		return r;
	negative_removed(g, d->node->ino, name,
			 clock_ms() + x->c.attr_ttl_ms);
	change_dir_apply(d);
	remove_bury(p->alias);
	link_turn_apply(&t);
	*delete_id = t.del != NULL ? t.del->id : 0;
	return 0;
}

/* A name and its number in listings. */
static void
entry_of(struct node *n, struct meta_name *out)
{
	memset(out, 0, sizeof(*out));
	node_name(n, &out->parent, out->name);
	pthread_mutex_lock(&n->mutex);
	out->id = n->name_id;
	out->kind = n->i.kind;
	pthread_mutex_unlock(&n->mutex);
}

static void
take_object(const struct meta_inode *from, struct meta_inode *to)
{
	strcpy(to->base_key, from->base_key);
	strcpy(to->base_etag, from->base_etag);
	strcpy(to->dest_etag, from->dest_etag);
	to->base_size = to->base_limit = from->base_size;
	to->base_mtime_ns = from->base_mtime_ns;
	to->cold = from->cold;
	to->link_version = from->link_version;
}

/*
 * The alias has the newer object: they change places.  Names lead to the
 * file before and after, so that nobody notices but by the bytes.  Both locks
 * are held, and nothing is owed to S3.
 */
static int
change_places(struct node *file, struct node *alias)
{
	struct gate *g = file->export->gate;
	CLEANUP_INODE struct meta_inode f = { 0 };
	CLEANUP_INODE struct meta_inode a = { 0 };
	struct meta_inode was;
	struct meta_name file_name, alias_name;
	struct meta_batch *b = meta_batch_new();
	int r;

	entry_of(file, &alias_name);
	entry_of(alias, &file_name);
	alias_name.ino = alias->ino;
	file_name.ino = file->ino;
	r = b == NULL ? -ENOMEM : meta_inode_copy(&file->i, &f);
	if (r == 0)
		r = meta_inode_copy(&alias->i, &a);
	if (r == 0)
		r = node_name_room(file, &file_name);
	if (r == 0)
		r = node_name_room(alias, &alias_name);
	if (r == 0) {
		was = f;
		take_object(&a, &f);
		take_object(&was, &a);
		f.size = f.base_size;
		f.attr_known = false;	/* the next look tells */
		meta_del_name(b, file_name.parent, file_name.name);
		meta_del_name(b, alias_name.parent, alias_name.name);
		meta_put_name(b, &file_name);
		meta_put_name(b, &alias_name);
		meta_put_inode(b, &f);
		meta_put_inode(b, &a);
		r = meta_commit(g->meta, &b);
	}
	meta_batch_free(&b);
	if (r == 0) {
		node_unname(alias);
		node_rename(file, &file_name);
		node_rename(alias, &alias_name);
		pthread_mutex_lock(&alias->mutex);
		take_object(&a, &alias->i);
		pthread_mutex_unlock(&alias->mutex);
		pthread_mutex_lock(&file->mutex);
		take_object(&f, &file->i);
		file->i.size = file->live_size = f.size;
		file->i.attr_known = false;
		file->content_version++;
		data_drop_clean_locked(file);
		pthread_mutex_unlock(&file->mutex);
	}
	return r;
}

int
link_reconcile(struct node *alias)
{
	struct link_pair p;
	bool newer, owed;
	int r = link_pair_get(alias, &p);

	if (r < 0 || p.alias == NULL) {
		if (r == 0)
			link_pair_put(&p);
		return r;
	}
	node_lock_wait(p.file);
	node_lock_wait(alias);
	if (link_pair_check(alias, &p) == 0 && differs(alias, p.file)) {
		pthread_mutex_lock(&p.file->mutex);
		newer = alias->i.link_version > p.file->i.link_version;
		owed = node_is_local_locked(p.file);
		gate_say(alias->export->gate, 1, "names of one file have "
			 "different versions in the bucket; the newer is "
			 "right: key=%s key=%s", p.file->i.base_key,
			 alias->i.base_key);
		/* What was written here on the older one is newer still. */
		if (newer && owed)
			p.file->i.link_version = alias->i.link_version;
		pthread_mutex_unlock(&p.file->mutex);
		if (newer && !owed)
			r = change_places(p.file, alias);
		if (r == 0 && !(newer && owed))
			link_follow(alias);
	}
	node_unlock(alias);
	node_unlock(p.file);
	link_pair_put(&p);
	return r;
}

/* Both locks are held.  1: it lives there now. */
static int
move_over_locked(struct node *file, struct node *alias)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_TURN struct link_turn t = { 0 };
	uint64_t parent;
	char name[META_NAME_MAX + 1];
	int r;

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
	remove_bury(alias);
	pthread_mutex_lock(&file->mutex);
	data_drop_clean_locked(file);
	file->i.size = file->live_size = t.row.size;
	file->i.base_size = file->i.base_limit = t.row.base_size;
	file->i.attr_known = false;
	file->content_version++;
	pthread_mutex_unlock(&file->mutex);
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
			r = move_over_locked(file, p.alias);
		else if (r == -EAGAIN)
			r = 0;
		node_unlock(p.alias);
	}
	link_pair_put(&p);
	return r;
}
