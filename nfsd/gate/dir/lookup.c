/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From names to nodes.  A name is looked for in memory, in SQLite, and when
 * neither knows it or what they know is older than attr_ttl, in S3.
 *
 * Whatever this gateway has changed and not yet told S3 is the truth here;
 * S3 is asked only about files and names without such state.  An answer of
 * S3 that was under way while the name changed here is thrown away: the
 * directory's lock is taken first, and what stands there by then wins.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

/* ---- a name that neither memory nor SQLite has ---- */

/* A question to S3. */
struct asking {
	struct gate_export *x;
	const char *component;
	bool shadowed;		/* only for a file that has a directory of its
				 * name beside it */
	bool source;		/* below one that is being listed */
	struct meta_inode *row;
	struct link_mark *mark;	/* that a file's object has */
};

static bool
is_hidden(const struct asking *a, const char *key)
{
	return (a->source ? hidden_exactly(a->x, key)
			  : hidden_has(a->x, key)) || key_busy(a->x, key);
}

/* Anything below it makes it a directory. */
static int
below_any(const struct asking *a, const char *dir_key)
{
	return a->source ? scan_source_any(a->x, dir_key)
			 : scan_prefix_any(a->x, dir_key);
}

struct only {
	const char *key;
	struct s3_object *o;
};

static int
take_listed(void *arg, const struct s3_entry *e)
{
	const struct only *only = arg;

	if (e->key_len != strlen(only->key))
		return 0;
	only->o->size = e->size;
	only->o->mtime_ns = e->mtime_ns;
	if (e->etag != NULL)
		strncpy(only->o->etag, e->etag, sizeof(only->o->etag) - 1);
	return 1;
}

/* HEAD of an object that is encrypted with a customer's key tells us nothing
 * (*unread), and a listing that it is there. */
static int
ask_file(struct gate_export *x, const char *key, struct s3_object *o,
	 bool *unread)
{
	struct s3_list list = { .prefix = key, .max_keys = 1 };
	struct s3_error err = { 0 };
	struct only only = { key, o };
	char *next = NULL;
	int r = s3_head(x->s3, key, o, &err);

	if (s3_error_locked(r, &err) == S3_LOCKED_NOT)
		return r;
	*unread = true;
	r = s3_list_page(x->s3, &list, take_listed, &only, &next, NULL);
	free(next);
	return r == 1 ? 0 : r < 0 ? r : -ENOENT;
}

/* What S3 has at these keys: a file, a directory, or nothing. */
static int
ask_keys(const struct asking *a, const char *key, const char *dir_key)
{
	struct gate_export *x = a->x;
	struct meta_inode *row = a->row;
	struct s3_object o = { 0 };
	bool unread = false;
	int r, file, marker;

	file = is_hidden(a, key) ? -ENOENT : ask_file(x, key, &o, &unread);
	if (file < 0 && (file != -ENOENT || a->shadowed))
		return file;
	r = file == 0 && !is_hidden(a, dir_key) ? below_any(a, dir_key) : 0;
	if (file == 0 && (r == 0) != a->shadowed) {
		/* Not `d` beside `d/x`: there the directory has the name,
		 * and the file another (mangle.c). */
		object_to_inode(x, key, &o, row);
		row->attr_known &= !unread;
		(void)link_mark_read(x, key, &o.headers, a->mark);
		s3_object_free(&o);
		return object_read_target(x, row);
	}
	if (file == 0)
		s3_object_free(&o);
	if (r < 0 || a->shadowed)
		return r < 0 ? r : -ENOENT;
	marker = is_hidden(a, dir_key) ? -ENOENT
				       : s3_head(x->s3, dir_key, &o, NULL);
	if (marker == 0) {
		object_to_inode(x, dir_key, &o, row);
		row->marker = true;
		s3_object_free(&o);
		return mangled_note(x, dir_key, row);
	}
	if (marker != -ENOENT)
		return marker;
	r = r > 0 ? r : below_any(a, dir_key);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	object_implicit_dir(x, dir_key, row);
	return mangled_note(x, dir_key, row);
}

/* Under one of the places where the directory's names may lie. */
static int
ask_source(void *arg, const char *prefix)
{
	struct asking *a = arg;
	char key[META_KEY_MAX + 2], dir_key[META_KEY_MAX + 2];
	int r = snprintf(dir_key, sizeof(dir_key), "%s%s/", prefix,
			 a->component);

	if (r > META_KEY_MAX)
		return 0;
	snprintf(key, sizeof(key), "%s%s", prefix, a->component);
	a->source = true;
	r = ask_keys(a, key, dir_key);
	a->source = false;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	a->row->name_dirty = a->row->relocating = a->row->base_key[0] != '\0';
	a->row->dest_etag[0] = '\0';
	return 1;
}

/* The same at one moment.  *moved: a rename of a directory above came in
 * between: nothing is at the new key yet, or no more at the old one. */
static int
ask_once(struct node *dir, struct asking *a, bool *moved)
{
	char key[META_KEY_MAX + 2], dir_key[META_KEY_MAX + 2];
	char now[META_KEY_MAX + 2];
	int r = path_component_key(dir, a->component, false, key);

	if (r == 0)
		r = path_component_key(dir, a->component, true, dir_key);
	if (r < 0)
		return r == -ENAMETOOLONG ? -ENOENT : r;
	r = dirmove_sources(dir, false, ask_source, a);
	if (r != 0)
		return r < 0 ? r : 0;
	r = ask_keys(a, key, dir_key);
	*moved = r == -ENOENT &&
		 (path_component_key(dir, a->component, false, now) < 0 ||
		  strcmp(now, key) != 0);
	return r;
}

/* What S3 says of a name. */
static int
ask_s3(struct node *dir, const char *name, struct meta_inode *row,
       struct link_mark *mark)
{
	struct gate_export *x = dir->export;
	char component[COMPONENT_MAX + 1];
	enum component_form form = component_from_name(x->any_bytes, name,
						       component);
	struct asking a = { .x = x,
			    .component = component,
			    .row = row,
			    .mark = mark,
			    .shadowed = form == COMPONENT_SHADOWED ||
					form == COMPONENT_SHADOWED_LONG };
	bool moved = true;
	int r = form == COMPONENT_NONE ? -ENOENT : 0;

	if (form == COMPONENT_LONG || form == COMPONENT_SHADOWED_LONG) {
		r = mangled_find(dir, name, component);
		/* Only a listing brings it. */
		if (r == -ENOENT && dirmove_lists(dir))
			r = -EAGAIN;
	}
	for (int tries = 0; r == 0 && moved && tries < 16; tries++) {
		moved = false;
		r = ask_once(dir, &a, &moved);
		if (!moved)
			return r;
		r = 0;
	}
	return r < 0 ? r : -EAGAIN;
}

static int
add_found(struct node *dir, const char *name, struct meta_inode *row,
	  const struct link_mark *mark, struct node **out)
{
	struct gate *g = dir->export->gate;
	struct meta_name entry = { .parent = dir->ino };
	CLEANUP_CHANGE struct change c;
	int r;

	change_begin(&c, g);
	r = meta_new_ino(g->meta, &row->ino);
	if (r == 0)
		r = meta_new_name_id(g->meta, &entry.id);
	if (r < 0)
		return r;
	row->export_id = dir->export->id;
	row->generation = gate_generation(dir->export->gate);
	entry.ino = row->ino;
	entry.kind = row->kind;
	strcpy(entry.name, name);
	if (mark->id[0] != '\0')
		mutex_lock(&g->links);
	r = mark->id[0] != '\0' ? link_mark_apply(g, mark, row) : 0;
	if (r == 0) {
		meta_add_inode(c.batch, row);
		meta_add_name(c.batch, &entry);
		if (row->kind == GATE_DIR)
			change_subdir(&c, dir);
		r = change_commit(&c);
	}
	if (mark->id[0] != '\0')
		mutex_unlock(&g->links);
	if (r < 0)
		return r;
	return node_add(dir->export, row, &entry, false, out);
}

/* ---- LOOKUP ---- */

/* Memory, then SQLite.  -ENOENT: neither has it. */
int
lookup_known(struct node *dir, struct gate_request *rq, const char *name,
	     struct node **out)
{
	struct gate *g = dir->export->gate;
	struct meta_name entry;
	int r;

	*out = node_find_child(g, dir->ino, name);
	if (*out != NULL)
		return 0;
	if (negative_has(g, dir->ino, name))
		return -ENOENT;
	if (!rq->may_block)
		return -EAGAIN;
	r = meta_get_name(g->meta, dir->ino, name, &entry);
	if (r < 0)
		return r;
	r = node_get(g, entry.ino, true, out);
	return r == -ESTALE ? -ENOENT : r;
}

/* The file may be known by the name that it had while there was a directory
 * of this one: then it gets it back.  The directory is locked. */
static int
known_shadowed(struct node *dir, const char *name, const struct meta_inode *row)
{
	char same[META_NAME_MAX + 1], component[COMPONENT_MAX + 1];

	if (row->kind == GATE_DIR ||
	    component_from_name(dir->export->any_bytes, name, component) >
		COMPONENT_MANGLED)
		return 0;
	strcpy(same, name);
	return mangled_file(dir, component, same);
}

/* Ask S3 for a name, and take what it says into the tables. */
static int
discover(struct node *dir, struct gate_request *rq, const char *name,
	 struct node **out)
{
	struct gate_export *x = dir->export;
	uint64_t asked = clock_ms();
	struct meta_inode row = { 0 };
	struct link_mark mark = { 0 };
	bool missing = false;
	int r = scan_if_small(dir);

	if (r < 0)
		return r;
	if (r == 0) {
		r = ask_s3(dir, name, &row, &mark);
		if (r < 0 && r != -ENOENT)
			return r;
		missing = r == -ENOENT;
	}
	/* Has it come or gone here by another way meanwhile? */
	node_lock_wait(dir);
	r = row.kind != 0 ? known_shadowed(dir, name, &row) : 0;
	if (r == 0)
		r = lookup_known(dir, rq, name, out);
	if (r == -ENOENT && row.kind != 0 &&
	    !negative_removed_since(x->gate, dir->ino, name, asked))
		r = add_found(dir, name, &row, &mark, out);
	/* Under the lock: it may have been created since S3 was asked. */
	if (r == -ENOENT && missing)
		negative_add(x->gate, dir->ino, name, asked,
			     asked + x->c.attr_ttl_ms);
	node_unlock(dir);
	meta_inode_fini(&row);
	return r;
}

static bool
is_named(struct node *n, const struct node *dir, const char *name)
{
	uint64_t parent;
	char now[META_NAME_MAX + 1];

	node_name(n, &parent, now);
	return parent == dir->ino && strcmp(now, name) == 0;
}

int
lookup_entry(struct node *dir, struct gate_request *rq, const char *name,
	     struct node **out)
{
	struct node *n = NULL;
	int r;

	if (strlen(name) > META_NAME_MAX)
		return -ENAMETOOLONG;
	r = lookup_known(dir, rq, name, &n);
	if (r == 0) {
		r = lookup_refresh(n, rq);
		/* It may have lost just this one of several names. */
		if (r == 0 && !is_named(n, dir, name))
			r = -ESTALE;
		if (r == 0) {
			*out = n;
			return 0;
		}
		node_put(&n);
		if (r != -ESTALE)
			return r;
		r = -ENOENT;	/* another thing may have taken the name */
	}
	if (r == -ENOENT && (scan_fresh(dir) ||
			     negative_has(dir->export->gate, dir->ino, name)))
		return -ENOENT;
	if (!rq->may_block) {
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	if (r == -ENOENT && offline_now(dir->export))
		return offline_absent(dir, rq);
	if (r == -ENOENT) {
		r = may_ask_store(rq);
		if (r == 0)
			r = discover(dir, rq, name, &n);
		if (r < 0 && offline_now(dir->export) &&
		    offline_failed(dir->export, rq, r))
			r = offline_absent(dir, rq);
	}
	if (r == 0)
		r = lookup_refresh(n, rq);
	if (r < 0) {
		node_put(&n);
		if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
			rq->again = GATE_JUKEBOX;
		return r == -ESTALE ? -ENOENT : r;
	}
	*out = n;
	return 0;
}

int
lookup_child(struct node *dir, struct gate_request *rq, const char *name,
	     struct node **out)
{
	struct node *n = NULL, *entry;
	int r = lookup_entry(dir, rq, name, &n);

	if (r < 0)
		return r;
	entry = n;
	r = link_resolve(&n, rq);
	if (r == 0 && n != entry)
		r = lookup_refresh(n, rq);
	if (r < 0) {
		node_put(&n);
		return r == -ESTALE ? -ENOENT : r;
	}
	*out = n;
	return 0;
}
