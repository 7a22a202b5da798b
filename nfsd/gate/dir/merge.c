/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of a listing, merged into names and inodes.  The directory is locked,
 * and the whole page is one batch.
 *
 * What is listed meets one of these:
 *
 *	nothing		a name and an inode, of what the listing tells; but
 *			not where that has left the name, or was removed since
 *	a row		only looked at, if it tells the same; else its node
 *	a node		what the listing tells is taken over, if nobody has
 *			written it and it is newer than what is known here;
 *			if it may lag, HEAD is to decide (doubt)
 *	another kind	a file and a directory of one name: one of them steps
 *			aside (mangle.c), and the entry is looked at again
 *
 * What fails ends the scan (scan.c).  If it was an entry, or the batch, no new
 * name of that page is on record; what was learnt of objects that are known
 * here stays, since it is true by itself.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

struct merge {
	struct node *dir;
	struct meta_batch *batch;
	char key[META_KEY_MAX + 2];	/* of the directory */
	uint64_t start_ms;
};

static int
note_seen(struct scan *s, uint64_t id)
{
	if (s->seen_count == s->seen_room) {
		size_t room = s->seen_room ? s->seen_room * 2 : 1024;
		uint64_t *seen = realloc(s->seen, room * sizeof(*seen));

		if (seen == NULL)
			return -ENOMEM;
		s->seen = seen;
		s->seen_room = room;
	}
	s->seen[s->seen_count++] = id;
	return 0;
}

static bool
differs(const struct meta_inode *i, const struct found *f)
{
	return strcmp(i->base_etag, f->etag) != 0 || i->base_size != f->size ||
	       (i->base_mtime_ns != 0 && i->base_mtime_ns != f->mtime_ns &&
		/* LIST may tell whole seconds where HEAD told more. */
		i->base_mtime_ns / 1000000000 != f->mtime_ns / 1000000000);
}

/*
 * A listing that tells something else than we know may lag behind what we
 * wrote, or have ETags of its own (MinIO's, of encrypted objects).  Only what
 * is newer than what we know is believed at once.
 */
static bool
may_lag(const struct meta_inode *i, const struct found *f)
{
	return i->base_etag[0] != '\0' &&
	       (i->base_mtime_ns == 0 ||
		f->mtime_ns / 1000000000 <= i->base_mtime_ns / 1000000000);
}

/* Archived, or brought back, which changes neither bytes nor times. */
static bool
is_other_class(const struct meta_inode *i, const struct found *f)
{
	return f->cold != S3_COLD_UNTOLD && i->cold != (f->cold == S3_COLD_YES);
}

/* FNV-1a, of what was listed; not 0. */
static uint64_t
doubt_of(const struct found *f)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ f->size ^
		     (uint64_t)(f->mtime_ns / 1000000000) << 24;

	for (const char *p = f->etag; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
	return h | 1;
}

/* HEAD decides, once for what is listed, when somebody asks for it. */
static void
doubt_locked(struct node *n, const struct found *f)
{
	uint64_t doubt = doubt_of(f);

	mutex_must_hold(&n->mutex);
	if (n->doubt_done == doubt)
		return;
	n->doubt = doubt;
	n->i.attr_known = false;
	n->checked_ms = 0;
}

/* The row of an object that is only listed so far. */
static void
row_from_listing(struct gate_export *x, const char *key,
		 const struct found *f, struct meta_inode *i)
{
	struct s3_object o = { .size = f->size, .mtime_ns = f->mtime_ns,
			       .cold = f->cold == S3_COLD_YES,
			       .class_told = f->cold != S3_COLD_UNTOLD };

	if (f->is_dir) {
		object_implicit_dir(x, key, i);
	} else {
		strcpy(o.etag, f->etag);
		object_to_inode(x, key, &o, i);
	}
	i->attr_known = x->c.metadata == GATE_META_NONE;
}

void
merge_post(struct node *n)
{
	struct meta_batch *b = meta_batch_new();

	if (b != NULL)
		meta_put_inode(b, &n->i);
	meta_post(n->export->gate->meta, &b);
}

static void
merge_node(struct merge *m, struct node *n, const char *key,
	   const struct found *f)
{
	mutex_lock(&n->mutex);
	if (f->is_dir || n->i.kind == GATE_DIR) {
		/* `d` beside `d/x`: who was here first stays. */
		if (f->is_dir == (n->i.kind == GATE_DIR))
			n->checked_ms = answer_ms(m->dir->export->gate,
						  m->start_ms);
	} else if (!node_is_local_locked(n) && !n->locked &&
		   n->checked_ms < m->start_ms) {
		if (differs(&n->i, f) && may_lag(&n->i, f)) {
			doubt_locked(n, f);
		} else if (differs(&n->i, f)) {
			bool bytes = strcmp(n->i.base_etag, f->etag) != 0 ||
				     n->i.base_size != f->size;

			/* Kind and mode stay until HEAD tells. */
			strcpy(n->i.base_key, key);
			strcpy(n->i.base_etag, f->etag);
			strcpy(n->i.dest_etag, f->etag);
			n->i.base_size = n->i.base_limit = f->size;
			n->i.size = f->size;
			n->i.base_mtime_ns = f->mtime_ns;
			n->i.mtime_ns = f->mtime_ns;
			n->i.ctime_ns = clock_ns();
			n->i.attr_known = false;
			n->i.cold = f->cold == S3_COLD_YES;
			quota_size_locked(n, f->size);
			n->writer_mtime_ns = f->mtime_ns;
			if (bytes) {
				/* A symlink has another target, too. */
				meta_inode_fini(&n->i);
				data_drop_clean_locked(n);
				n->content_version++;
				n->replaced++;
			}
			merge_post(n);
		} else {
			bool other = is_other_class(&n->i, f);

			n->i.cold ^= other;
			n->i.base_mtime_ns = f->mtime_ns;
			if (other)
				merge_post(n);
			n->checked_ms = answer_ms(m->dir->export->gate,
						  m->start_ms);
		}
	}
	mutex_unlock(&n->mutex);
}

static int
merge_row(struct merge *m, const struct meta_name *name, const char *key,
	  const struct found *f)
{
	struct gate *g = m->dir->export->gate;
	struct meta_inode row = { 0 };
	struct node *n = NULL;
	int r = meta_get_inode(g->meta, name->ino, &row);

	/* Only a node's mutex keeps the row from changing below us. */
	if (r == 0 && !f->is_dir && row.kind != GATE_DIR &&
	    (differs(&row, f) || is_other_class(&row, f))) {
		r = node_get(g, name->ino, true, &n);
		if (r == 0)
			merge_node(m, n, key, f);
		else if (r == -ESTALE)
			r = 0;
		node_put(&n);
	}
	meta_inode_fini(&row);
	return r;
}

static int
merge_new(struct merge *m, const char *key, const struct found *f,
	  uint64_t *id)
{
	struct gate *g = m->dir->export->gate;
	struct meta_inode row = { 0 };
	struct meta_name name = { .parent = m->dir->ino };
	int r;

	row_from_listing(m->dir->export, key, f, &row);
	r = mangled_note(m->dir->export, key, &row);
	if (r == 0)
		r = meta_new_ino(g->meta, &row.ino);
	if (r == 0)
		r = meta_new_name_id(g->meta, id);
	row.export_id = m->dir->export->id;
	row.generation = gate_generation(m->dir->export->gate);
	name.id = *id;
	name.ino = row.ino;
	name.kind = row.kind;
	strcpy(name.name, f->name);
	if (r == 0) {
		meta_add_inode(m->batch, &row);
		meta_add_name(m->batch, &name);
	}
	meta_inode_fini(&row);
	return r;
}

/* ---- a file and a directory of one name (mangle.c) ---- */

static int
call_shadowed(struct merge *m, struct found *f)
{
	char name[META_NAME_MAX + 1], *own;

	component_to_name(m->dir->export->any_bytes, f->component, true, name);
	own = strdup(name);
	if (own == NULL)
		return -ENOMEM;
	if (f->component != f->name)
		free(f->name);
	f->name = own;
	return 0;
}

/* Both are on this page.  The file stands before the directory, with nothing
 * in between but names that begin like it. */
static int
make_room(struct merge *m, struct page *p, size_t dir)
{
	const char *component = p->list[dir].component;
	int r;

	if (!p->list[dir].is_dir)
		return 0;
	for (size_t i = dir; i-- > 0; ) {
		struct found *f = &p->list[i];

		if (strncmp(f->component, component, strlen(component)) != 0)
			break;
		if (f->is_dir || strcmp(f->component, component) != 0)
			continue;
		r = mangled_dir(m->dir, component, p->list[dir].name);
		return r < 0 ? r : call_shadowed(m, f);
	}
	return 0;
}

/* Another kind of thing has the name so far.  0: look again. */
static int
merge_other(struct merge *m, struct found *f)
{
	return f->is_dir ? mangled_dir(m->dir, f->component, f->name)
			 : call_shadowed(m, f);
}

/* A file that stepped aside once may be alone by now. */
static int
merge_back(struct merge *m, const struct found *f)
{
	char name[META_NAME_MAX + 1];

	strcpy(name, f->name);
	return mangled_file(m->dir, f->component, name);
}

static int
merge_entry(struct merge *m, struct found *f)
{
	struct node *dir = m->dir;
	struct gate *g = dir->export->gate;
	char key[META_KEY_MAX + COMPONENT_MAX + 4];
	struct meta_name name = { 0 };
	struct node *n = NULL;
	bool shadowed = __atomic_load_n(&g->shadowed, __ATOMIC_RELAXED);
	uint64_t id = 0;
	int r = 0;

	snprintf(key, sizeof(key), "%s%s%s", m->key, f->component,
		 f->is_dir ? "/" : "");
	if (strlen(key) > META_KEY_MAX)
		return 0;
	for (int tries = 0; tries < 3 && r == 0; tries++) {
		bool is_dir;

		n = node_find_child(g, dir->ino, f->name);
		r = n != NULL ? 0
			      : meta_get_name(g->meta, dir->ino, f->name,
					      &name);
		if (r == -ENOENT && tries == 0 && shadowed && !f->is_dir) {
			r = merge_back(m, f);
			continue;
		}
		is_dir = (n != NULL ? node_kind(n) : name.kind) == GATE_DIR;
		if (r < 0 || is_dir == f->is_dir)
			break;
		node_put(&n);
		/* What has left the name does not take it back. */
		if (hidden_since(dir->export, key, m->start_ms) ||
		    key_busy(dir->export, key))
			return 0;
		r = merge_other(m, f);
	}
	if (n != NULL) {
		merge_node(m, n, key, f);
		id = n->name_id;
		node_put(&n);
	} else if (r == 0) {
		r = merge_row(m, &name, key, f);
		id = name.id;
	} else if (r == -ENOENT) {
		if (hidden_since(dir->export, key, m->start_ms) ||
		    key_busy(dir->export, key) ||
		    negative_removed_since(g, dir->ino, f->name,
					   m->start_ms))
			return 0;
		r = merge_new(m, key, f, &id);
		dir->scan->changed = true;
		negative_del(g, dir->ino, f->name);
	}
	/* The others are known to be there by their page. */
	return r < 0 || (f->component == f->name && !dir->scan->by_seen)
		       ? r : note_seen(dir->scan, id);
}

int
merge_page(struct node *dir, struct page *page, bool last, char **at)
{
	struct merge m = { .dir = dir, .start_ms = dir->scan->start_ms };
	int r = 0;

	/* Not what its path spells by now, if a directory above it has just
	 * been renamed: here is where the objects lie. */
	strcpy(m.key, dir->scan->prefix);
	m.batch = meta_batch_new();
	if (m.batch == NULL)
		return -ENOMEM;
	mutex_lock(&dir->mutex);
	dir->merges++;
	mutex_unlock(&dir->mutex);
	for (size_t i = 0; r == 0 && i < page->count; i++)
		r = make_room(&m, page, i);
	for (size_t i = 0; r == 0 && i < page->count; i++)
		r = merge_entry(&m, &page->list[i]);
	if (r < 0) {
		meta_batch_free(&m.batch);
		return r;
	}
	r = meta_commit(dir->export->gate->meta, &m.batch);
	return r < 0 ? r : scan_prune_page(dir, page, last, at);
}
