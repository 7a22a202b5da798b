/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listing of a renamed directory's old prefix: every key gets an inode
 * that knows where its object lies and is marked as relocating.
 *
 * Pages come in the order of keys.  A stack of levels follows the path of the
 * key at hand; names are added with the lock of the deepest directory that
 * others can know of, and committed before it is let go.  What lies below
 * directories that nobody has met yet needs no lock of its own.
 *
 * A key may be met that is known already: the file is marked, if its object
 * is that one.  An object that a file had replaced by a rename before the
 * directory moved is deleted.  Objects that are neither stay where they are,
 * under the old name.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/dirmove/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

#define MARKS_MAX 256	/* on their way, of files that were not listed */

/* ---- committing and locks ---- */

/* A page is done when the rows of all that it marked are on disk. */
static int
wait_for_marks(struct lister *l)
{
	int r = 0;

	while (l->mark_count > 0) {
		int marked = meta_wait(l->g->meta,
				       &l->marks[--l->mark_count]);

		r = r < 0 ? r : marked;
	}
	return r;
}

static int
flush(struct lister *l)
{
	int r = wait_for_marks(l);

	if (r == 0)
		r = change_commit(&l->c);
	change_end(&l->c);
	change_begin(&l->c, l->g);
	if (l->locked != NULL)
		node_unlock(l->locked);
	l->locked = NULL;
	return r;
}

/* Hold this directory's lock, and no other. */
static int
lock(struct lister *l, struct node *dir)
{
	int r;

	if (l->locked == dir)
		return 0;
	r = flush(l);
	if (r < 0)
		return r;
	node_lock_wait(dir);
	l->locked = dir;
	return 0;
}

/* ---- what is known already ---- */

/* Its object was replaced by somebody else before we came.  Or the listing lags
 * behind what we wrote: only what is newer is believed, and of the rest the
 * copy tells, which is of the version that we know.  Mutex held. */
static void
take_over_locked(struct node *n, const struct listed *e)
{
	int64_t second = 1000000000;

	mutex_must_hold(&n->mutex);
	if (strcmp(n->i.base_etag, e->etag) == 0 &&
	    n->i.base_size == e->size)
		return;
	if (n->i.base_etag[0] != '\0' &&
	    (n->i.base_mtime_ns == 0 ||
	     e->mtime_ns / second <= n->i.base_mtime_ns / second))
		return;
	strcpy(n->i.base_etag, e->etag);
	n->i.base_size = n->i.base_limit = e->size;
	n->i.base_mtime_ns = e->mtime_ns;
	if (n->i.kind != GATE_DIR)
		n->i.size = e->size;
	n->i.mtime_ns = e->mtime_ns;
	n->i.ctime_ns = clock_ns();
	n->i.attr_known = false;
	n->i.cold = e->cold == S3_COLD_YES;
	n->writer_size = n->i.size;
	n->writer_mtime_ns = n->i.mtime_ns;
	meta_inode_fini(&n->i);
	data_drop_clean_locked(n);
	n->content_version++;
}

static int
room_for_mark(struct lister *l)
{
	size_t room = l->mark_room ? l->mark_room * 2 : 64;
	struct meta_batch **marks;

	if (l->mark_count < l->mark_room)
		return 0;
	marks = realloc(l->marks, room * sizeof(*marks));
	if (marks == NULL)
		return -ENOMEM;
	l->marks = marks;
	l->mark_room = room;
	return 0;
}

/* It was to be replaced at this key, and will be elsewhere.  Or it was
 * relocated there, and a crash came before the row.  Or it was relocated
 * from there while the page was on its way: then what lies at the new key
 * has the same ETag, and is known.  Mutex held. */
static bool
is_left_locked(const struct node *n, const struct listed *e)
{
	mutex_must_hold(&n->mutex);
	return (n->i.dest_etag[0] != '\0' &&
		strcmp(n->i.dest_etag, e->etag) == 0) ||
	       (n->i.relocating && e->etag[0] != '\0' &&
		n->i.base_size == e->size &&
		strcmp(n->i.base_etag, e->etag) == 0) ||
	       (n->i.kind == GATE_DIR && e->size == 0);
}

/* What the key at hand means for a node, whose path spells `key`.  *hide:
 * the object goes.  Mutex held. */
static void
mark_locked(struct lister *l, struct node *n, const struct listed *e,
	    const char *key, bool *hide)
{
	if (strcmp(n->i.base_key, e->key) == 0) {
		if (!n->i.name_dirty) {
			if (!node_is_local_locked(n))
				take_over_locked(n, e);
			dirmove_mark(&n->i, key);
			l->claimed += n->i.relocating;
		}
	} else if (n->i.kind == GATE_DIR && n->i.base_key[0] == '\0' &&
		   !n->up.pending) {
		strcpy(n->i.base_key, e->key);
		strcpy(n->i.base_etag, e->etag);
		n->i.base_size = n->i.base_limit = e->size;
		n->i.marker = true;
		n->i.attr_known = false;
		dirmove_mark(&n->i, key);
		l->claimed += n->i.relocating;
	} else if (n->up.pending && n->i.name_dirty && !n->i.relocating &&
		   n->i.dest_etag[0] != '\0' &&
		   strcmp(n->i.dest_etag, e->etag) != 0) {
		/* Somebody else changed what it was to replace there. */
		n->i.dest_etag[0] = '\0';
	} else if (is_left_locked(n, e)) {
		if (n->i.name_dirty)
			n->i.dest_etag[0] = '\0';
		*hide = true;
	}
}

/*
 * The lock of the node is held.  Its row goes out at once: in the page's batch
 * it would come after, and undo, what a client changes from here on.  But the
 * page waits for it.  Should it fail, memory knows of the mark, and the page,
 * which is read again, puts the row again.
 */
static int
mark(struct lister *l, struct node *n, const struct listed *e)
{
	struct meta_batch *b = meta_batch_new();
	char key[META_KEY_MAX + 2];
	bool hide = false;
	int r = path_key(n, key);

	/* A path that no key can spell, and that nobody knew of (ops/fits.c):
	 * it stays where it is, and is read there, until it is renamed
	 * again. */
	if (r == -ENAMETOOLONG)
		strcpy(key, "");
	if (r == 0 || r == -ENAMETOOLONG)
		r = room_for_mark(l);
	if (r < 0) {
		meta_batch_free(&b);
		return r;
	}
	mutex_lock(&n->mutex);
	/* The end of an upload finds that the path has changed: the object is
	 * to be looked for once more. */
	if (!n->dead && n->up.run != UP_RUNNING) {
		mark_locked(l, n, e, key, &hide);
		meta_put_inode(b, &n->i);
	} else if (!n->dead) {
		l->claimed++;
	}
	r = meta_submit(l->g->meta, &b);
	mutex_unlock(&n->mutex);
	if (r < 0)
		return r;
	l->marks[l->mark_count++] = b;
	if (hide) {
		(void)change_delete(&l->c, l->x, e->key, e->etag, true);
		l->claimed++;
	}
	return 0;
}

/* ---- what is new ---- */

static int
put_new(struct lister *l, uint64_t parent, const char *name,
	struct meta_inode *row)
{
	struct meta_name entry = { .parent = parent };
	int r = meta_new_ino(l->g->meta, &row->ino);

	if (r == 0)
		r = meta_new_name_id(l->g->meta, &entry.id);
	if (r < 0)
		return r;
	row->export_id = l->x->id;
	row->generation = gate_generation(l->x->gate);
	entry.ino = row->ino;
	entry.kind = row->kind;
	strcpy(entry.name, name);
	meta_add_inode(l->c.batch, row);
	meta_add_name(l->c.batch, &entry);
	l->claimed++;
	negative_del(l->g, parent, entry.name);
	return 0;
}

static void
new_row(struct lister *l, const struct listed *e, struct meta_inode *row)
{
	struct s3_entry entry = { .key = e->key, .size = e->size,
				  .mtime_ns = e->mtime_ns, .etag = e->etag,
				  .cold = e->cold };

	*row = (struct meta_inode){ 0 };
	object_from_listing(l->x, e->key, &entry, row);
	row->marker = row->kind == GATE_DIR;
	row->name_dirty = row->relocating = true;
	row->dest_etag[0] = '\0';
}

/* The child of a level: 0 and *out, or -ENOENT; its level is locked by then,
 * if anybody can know of it. */
static int
child(struct lister *l, const struct level *at, const char *name,
      struct node **out)
{
	int r;

	if (at->node == NULL)
		return -ENOENT;
	r = lock(l, at->node);
	if (r < 0)
		return r;
	if (node_dead(at->node))
		return -ESTALE;
	return lookup_known(at->node, &l->rq, name, out);
}

/* It went while the page was on its way, or is somebody else's by now. */
static bool
came_too_late(struct lister *l, const struct level *at, const char *name,
	      const struct listed *e)
{
	return dirmove_claims_other(l->m, e->key) ||
	       hidden_exactly(l->x, e->key) ||
	       hidden_gone_since(l->x, e->key, l->page_ms) ||
	       (at->node != NULL &&
		negative_removed_since(l->g, at->ino, name, l->page_ms));
}

/* ---- the walk ---- */

static void
pop(struct lister *l, unsigned depth)
{
	while (l->depth > depth) {
		struct level *top = &l->levels[--l->depth];

		/* Locked ones stay so until the commit: a reference is kept
		 * by `locked`'s own level only, so flush first. */
		node_put(&top->node);
	}
}

static int
by_key(const void *key, const void *entry)
{
	return strcmp(key, ((const struct listed *)entry)->key);
}

/* Has this page a file of that path?  It is not in SQLite yet. */
static bool
is_file_here(struct lister *l, const char *component)
{
	char key[2 * META_KEY_MAX + COMPONENT_MAX + 4];
	int end = snprintf(key, sizeof(key), "%s%s%s", l->m->row.source,
			   l->path, component);

	return end <= META_KEY_MAX &&
	       bsearch(key, l->page->list, l->page->count,
		       sizeof(*l->page->list), by_key) != NULL;
}

/* A file has the name that a directory is to have: it steps aside.  All that
 * is on its way into SQLite has to be there first. */
static int
make_room(struct lister *l, const char *component, const char *name)
{
	struct level *top = &l->levels[l->depth - 1];
	int r = flush(l);

	for (unsigned i = 0; r == 0 && i < l->depth; i++) {
		if (l->levels[i].node == NULL)
			r = node_get(l->g, l->levels[i].ino, true,
				     &l->levels[i].node);
	}
	if (r == 0)
		r = lock(l, top->node);
	return r < 0 ? r : mangled_dir(top->node, component, name);
}

/* A directory that nobody knows of. */
static int
new_dir(struct lister *l, const char *component, const char *name,
	const struct listed *e, bool is_last, uint64_t *ino)
{
	const struct level *top = &l->levels[l->depth - 1];
	char key[META_KEY_MAX + 2];
	struct meta_inode row = { 0 };
	int r;

	/* Its own object would have come before. */
	if (is_last)
		new_row(l, e, &row);
	else
		object_implicit_dir(l->x, "/", &row);
	if (snprintf(key, sizeof(key), "%s%s%s/", l->m->row.source, l->path,
		     component) > META_KEY_MAX)
		return -ENAMETOOLONG;
	r = mangled_note(l->x, key, &row);
	if (r == 0)
		r = put_new(l, top->ino, name, &row);
	if (r == 0 && top->node != NULL)
		change_subdir(&l->c, top->node);
	*ino = row.ino;
	meta_inode_fini(&row);
	return r;
}

/* One level down.  1: this key is to be left alone. */
static int
push(struct lister *l, const char *text, size_t len, const struct listed *e,
     bool is_last)
{
	struct level next = { .end = l->levels[l->depth - 1].end + len + 1 };
	char component[COMPONENT_MAX + 1], name[META_NAME_MAX + 1];
	int r;

	if (l->depth == LEVELS_MAX)
		return -ENAMETOOLONG;
	memcpy(component, text, len);
	component[len] = '\0';
	component_to_name(l->x->any_bytes, component, false, name);
	r = is_file_here(l, component) ? make_room(l, component, name) : 0;
	if (r == 0)
		r = child(l, &l->levels[l->depth - 1], name, &next.node);
	if (r == 0 && node_kind(next.node) != GATE_DIR) {
		node_put(&next.node);
		r = make_room(l, component, name);
		if (r == 0)
			r = child(l, &l->levels[l->depth - 1], name,
				  &next.node);
		/* Somebody has made another one in the same moment. */
		if (r == 0 && node_kind(next.node) != GATE_DIR) {
			node_put(&next.node);
			return -EAGAIN;
		}
	}
	if (r == -ENOENT) {
		if (came_too_late(l, &l->levels[l->depth - 1], name, e))
			return 1;
		r = new_dir(l, component, name, e, is_last, &next.ino);
	} else if (r == 0) {
		next.ino = next.node->ino;
	}
	if (r < 0)
		return r;
	memcpy(l->path + next.end - len - 1, component, len);
	l->path[next.end - 1] = '/';
	l->path[next.end] = '\0';
	l->levels[l->depth++] = next;
	return 0;
}

/* Levels that the key does not share. */
static int
leave(struct lister *l, const char *rel)
{
	unsigned depth = l->depth;
	int r = 0;

	while (depth > 1 &&
	       strncmp(rel, l->path, l->levels[depth - 1].end) != 0)
		depth--;
	for (unsigned i = depth; i < l->depth; i++) {
		if (l->levels[i].node != NULL &&
		    l->levels[i].node == l->locked)
			r = flush(l);
	}
	pop(l, depth);
	l->path[l->levels[depth - 1].end] = '\0';
	return r;
}

static int
add_file(struct lister *l, const char *component, const struct listed *e)
{
	const struct level *top = &l->levels[l->depth - 1];
	char name[META_NAME_MAX + 1];
	struct meta_inode row;
	struct node *n = NULL;
	int r;

	component_to_name(l->x->any_bytes, component, false, name);
	r = child(l, top, name, &n);
	if ((r == 0 && node_kind(n) == GATE_DIR) || r == -ENOENT) {
		/* A directory of that name keeps it; or one has gone. */
		node_put(&n);
		r = top->node != NULL ? mangled_file(top->node, component, name)
				      : 0;
		if (r == 0)
			r = child(l, top, name, &n);
	}
	if (r == -ENOENT) {
		if (came_too_late(l, top, name, e))
			return 0;
		new_row(l, e, &row);
		return put_new(l, top->ino, name, &row);
	}
	if (r == 0) {
		node_lock_wait(n);
		r = mark(l, n, e);
		node_unlock(n);
	}
	node_put(&n);
	return r;
}

static int
add_key(struct lister *l, const struct listed *e)
{
	const char *rel = e->key + strlen(l->m->row.source), *at, *slash;
	struct node *dir;
	bool was_new;
	int r;

	/* What an upload without an answer has left there may have replaced
	 * what belongs to the file of that name. */
	if (dirmove_claims_other(l->m, e->key) ||
	    hidden_for_good(l->x, e->key) ||
	    hidden_gone_since(l->x, e->key, l->page_ms))
		return 0;
	/* What came after the rename bears the old name by right, whatever
	 * the store's clock says if somebody here knows it. */
	if (l->later) {
		r = came_later(l, e) ? 1
			    : dirmove_key_known(l->x, e->key);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	l->objects++;
	l->bytes += e->size;
	r = leave(l, rel);
	if (r < 0)
		return r;
	was_new = false;
	for (at = rel + l->levels[l->depth - 1].end;
	     (slash = strchr(at, '/')) != NULL; at = slash + 1) {
		r = push(l, at, (size_t)(slash - at), e, slash[1] == '\0');
		if (r != 0)
			return r < 0 ? r : 0;
		was_new = l->levels[l->depth - 1].node == NULL;
	}
	if (*at != '\0')
		return add_file(l, at, e);
	dir = l->levels[l->depth - 1].node;
	if (was_new || dir == NULL)
		return 0;	/* made from this very marker */
	r = lock(l, dir);
	return r < 0 ? r : mark(l, dir, e);
}

/* ---- what is known and was not listed ---- */

struct unlisted {
	struct lister *l;
	uint64_t *dirs;		/* yet to be looked at */
	size_t count, room;
};

static int
add_dir(struct unlisted *u, uint64_t ino)
{
	if (u->count == u->room) {
		size_t room = u->room ? u->room * 2 : 64;
		uint64_t *dirs = reallocarray(u->dirs, room, sizeof(*dirs));

		if (dirs == NULL)
			return -ENOMEM;
		u->dirs = dirs;
		u->room = room;
	}
	u->dirs[u->count++] = ino;
	return 0;
}

/* The row was read a while ago: an upload may have taken the file away from
 * that key, where a foreign object with its bytes may lie by now.  Or it never
 * was to leave.  Its lock is held.  False: so it is. */
static bool
unlisted_still(struct node *n, const char *key, struct listed *e)
{
	char path[META_KEY_MAX + 2];
	bool still;

	if (path_key(n, path) == 0 && strcmp(path, key) == 0)
		return false;
	mutex_lock(&n->mutex);
	still = !n->dead && !n->i.name_dirty && !n->i.relocating &&
		strcmp(n->i.base_key, key) == 0;
	strcpy(e->etag, n->i.base_etag);
	e->size = n->i.base_size;
	mutex_unlock(&n->mutex);
	return still;
}

/* Its object lies below the source, or did: the copy will tell. */
static int
one_unlisted(void *arg, const struct meta_in_place *u)
{
	struct unlisted *all = arg;
	struct lister *l = all->l;
	const char *source = l->m->row.source;
	struct listed e = { .key = (char *)u->key };
	struct node *n = NULL;
	int r = u->kind == GATE_DIR ? add_dir(all, u->ino) : 0;

	if (r < 0 || strncmp(u->key, source, strlen(source)) != 0 ||
	    dirmove_claims_other(l->m, u->key))
		return r;
	r = node_get(l->g, u->ino, true, &n);
	if (r < 0)
		return r == -ESTALE ? 0 : r;
	node_lock_wait(n);
	if (unlisted_still(n, u->key, &e))
		r = mark(l, n, &e);
	node_unlock(n);
	node_put(&n);
	if (r == 0 && l->mark_count >= MARKS_MAX)
		r = wait_for_marks(l);
	return r;
}

/*
 * Files whose object lies below the source and was not listed: the listing
 * lags behind our own PUT, or somebody else has deleted it.  They are relocated
 * as the others are; what is gone, no copy finds.
 */
static int
mark_unlisted(struct lister *l)
{
	struct unlisted all = { .l = l };
	uint64_t claimed;
	int r;

	/* All of the tree; once is enough for looks that follow each other. */
	if (l->later && l->m->none_unlisted)
		return 0;
	r = flush(l);
	claimed = l->claimed;
	if (r == 0)
		r = add_dir(&all, l->m->row.ino);
	while (r == 0 && all.count > 0)
		r = meta_each_in_place(l->g->meta, all.dirs[--all.count],
				       one_unlisted, &all);
	free(all.dirs);
	if (r == 0 && l->later)
		l->m->none_unlisted = l->claimed == claimed;
	return r;
}

static int
merge(struct lister *l, const struct dirmove_page *p, bool last,
      struct dirmove_cursor *at)
{
	struct meta_dirmove row = l->m->row;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->count; i++)
		r = add_key(l, &p->list[i]);
	if (r < 0)
		return r;
	if (last)
		r = mark_unlisted(l);
	if (r < 0)
		return r;
	if (l->last[0] != '\0')
		strcpy(at->after, l->last);
	if (!l->later) {
		/* Out of order a name says nothing: all of it once more. */
		strcpy(row.after, page_unordered(l->x) ? "" : at->after);
		row.listed = last;
	}
	row.objects += l->objects;
	row.bytes += l->bytes;
	meta_put_dirmove(l->c.batch, &row);
	failpoint("dirmove-page-before-commit");
	r = flush(l);
	failpoint("dirmove-page-after-commit");
	if (r < 0)
		return r;
	mutex_lock(&l->g->dirmoves.mutex);
	strcpy(l->m->row.after, row.after);
	l->m->row.objects = row.objects;
	l->m->row.bytes = row.bytes;
	mutex_unlock(&l->g->dirmoves.mutex);
	return 0;
}

int
dirmove_list_page(struct dirmove *m, bool later, struct dirmove_cursor *at,
		  uint64_t *found)
{
	struct lister *l = calloc(1, sizeof(*l));
	struct dirmove_page page = { 0 };
	char *next = NULL;
	int r;

	if (l == NULL)
		return -ENOMEM;
	l->m = m;
	l->x = m->x;
	l->g = m->x->gate;
	l->later = later;
	l->page = &page;
	l->page_ms = clock_ms();
	l->rq.may_block = true;
	l->depth = 1;
	r = dirmove_ask_page(l, &page, at, &next);
	if (r == 0)
		r = dirmove_drop_behind(l, &page, at);
	if (r == 0) {
		l->levels[0].ino = m->row.ino;
		r = node_get(l->g, m->row.ino, true, &l->levels[0].node);
		/* Removed meanwhile, as an empty directory: what is here was
		 * put here by somebody else. */
		if (r == -ESTALE)
			page.count = 0, r = 0;
	}
	change_begin(&l->c, l->g);
	if (r == 0) {
		int marked;

		r = merge(l, &page, next == NULL, at);
		marked = wait_for_marks(l);
		r = r < 0 ? r : marked;
	}
	change_end(&l->c);
	if (l->locked != NULL)
		node_unlock(l->locked);
	pop(l, 0);
	if (found != NULL)
		*found += l->claimed;
	r = r < 0 ? r : next != NULL;
	/* A token may have had its time; the last name has none. */
	free(at->token);
	at->token = r < 0 ? NULL : next;
	if (r < 0)
		free(next);
	dirmove_page_free(&page);
	free(l->marks);
	free(l);
	return r;
}
