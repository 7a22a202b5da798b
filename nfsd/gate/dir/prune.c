/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that a listing lacks.  Pages come in the order of keys, so that each
 * speaks for all names between the end of the page before it and its own end:
 * what SQLite has there and the page has not is gone, if the pages that follow
 * keep to that order.  So a directory of a million is brought up to date in the
 * memory of one page and of what is gone, and whoever reads it meanwhile is
 * told of names that the listing has passed.  Of a store that sorts otherwise
 * (directory buckets, some by the rules of a language) all names are noted
 * that are met, and what is missing at the end is gone.
 *
 * A file's place in that order is its name, a directory's its name and '/':
 * "d-x" stands between a file "d" and a directory "d".  Names that are not the
 * component of their key (path/component.c) stand elsewhere; they are looked
 * after at the end of a listing (scan.c).
 *
 * Of an object of ours that no listing has shown S3 is asked.  Clients wait for
 * that: one listing asks a few times only, and leaves the others to the next.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

bool
prune_mangled(const struct gate_export *x, const char *name)
{
	char component[COMPONENT_MAX + 1];

	return component_from_name(x->any_bytes, name, component) !=
		   COMPONENT_PLAIN ||
	       strcmp(component, name) != 0;
}

static void
place_of(const struct meta_name *name, char place[META_NAME_MAX + 2])
{
	strcpy(place, name->name);
	if (name->kind == GATE_DIR)
		strcat(place, "/");
}

bool
prune_passed(const struct meta_name *name, const char *at)
{
	char place[META_NAME_MAX + 2];

	place_of(name, place);
	return strcmp(place, at) <= 0;
}

int
pruned_add(struct pruned *s, uint64_t ino)
{
	if (s->count == s->room) {
		size_t room = s->room ? s->room * 2 : 64;
		uint64_t *inos = realloc(s->inos, room * sizeof(*inos));

		if (inos == NULL)
			return -ENOMEM;
		s->inos = inos;
		s->room = room;
	}
	s->inos[s->count++] = ino;
	return 0;
}

struct range {
	struct node *dir;
	const struct prune_stretch *of;
	struct pruned *out;
	int error;
};

static int
check_row(void *arg, const struct meta_name *name)
{
	struct range *r = arg;
	const struct prune_stretch *of = r->of;
	char place[META_NAME_MAX + 2];

	place_of(name, place);
	if (strcmp(place, of->after) <= 0 ||
	    (of->upto != NULL && strcmp(place, of->upto) > 0) ||
	    name->id >= of->start_id || of->has(of->arg, name->name) ||
	    prune_mangled(r->dir->export, name->name))
		return 0;
	r->error = pruned_add(r->out, name->ino);
	return r->error;
}

/* Directories whose name comes before `after`, and whose place behind it:
 * "d" where the page before ended with "d-x". */
static int
check_overhang(struct range *r)
{
	struct gate *g = r->dir->export->gate;
	const char *after = r->of->after;
	char name[META_NAME_MAX + 1];
	struct meta_name row;

	for (size_t i = 1; i <= META_NAME_MAX && after[i - 1] != '\0' &&
			   after[i] != '\0' && after[i] != '/'; i++) {
		int e;

		if ((unsigned char)after[i] > '/')
			continue;
		memcpy(name, after, i);
		name[i] = '\0';
		e = meta_get_name(g->meta, r->dir->ino, name, &row);
		if (e == 0 && row.kind == GATE_DIR)
			e = check_row(r, &row);
		if (e < 0 && e != -ENOENT)
			return e;
	}
	return 0;
}

int
prune_range(struct node *dir, const struct prune_stretch *of,
	    struct pruned *out)
{
	struct range r = { dir, of, out, 0 };
	char from[META_NAME_MAX + 2];
	size_t len = strnlen(of->after, META_NAME_MAX + 1);
	int e;

	memcpy(from, of->after, len);
	if (len > 0 && from[len - 1] == '/')
		len--;
	from[len] = '\0';
	e = meta_each_name_between(dir->export->gate->meta, dir->ino, from,
				   of->upto, check_row, &r);
	if (e == 0)
		e = r.error;
	return e < 0 ? e : check_overhang(&r);
}

/* ---- what is gone ---- */

static int
any_name(void *arg, const struct meta_name *name)
{
	(void)name;
	*(bool *)arg = true;
	return 1;
}

/* Uploaded by us, and no listing has shown it yet: perhaps after the listing
 * had passed its place, or listings lag.  Mutex held. */
static bool
may_be_unlisted_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return n->i.base_mtime_ns == 0;
}

bool
prune_certain(struct gate *g, uint64_t ino, uint64_t start_ms)
{
	struct node *n = NULL;
	bool certain;

	if (node_get(g, ino, true, &n) < 0)
		return false;
	mutex_lock(&n->mutex);
	certain = n->i.kind != GATE_DIR && n->i.base_key[0] != '\0' &&
		  !n->i.relocating && !node_is_local_locked(n) &&
		  n->checked_ms < start_ms && !may_be_unlisted_locked(n);
	mutex_unlock(&n->mutex);
	node_put(&n);
	return certain;
}

/* Ask. */
static int
still_there(struct node *n, bool *there)
{
	struct s3_object o = { 0 };
	char key[META_KEY_MAX + 2];
	int r;

	mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	mutex_unlock(&n->mutex);
	r = s3_head(n->export->s3, key, &o, NULL);
	*there = r == 0;
	s3_object_free(&o);
	return r == -ENOENT ? 0 : r;
}

static bool
may_look(struct looks *l)
{
	if (l->left == 0 || clock_ms() >= l->until_ms) {
		l->more = true;
		return false;
	}
	l->left--;
	return true;
}

/* No answer tells of no other name, if it is not that one that is denied. */
static void
look_failed(struct looks *l, int r)
{
	l->failed = true;
	if (r != -EACCES)
		l->left = 0;
}

/* By itself a directory that has names, or its own object. */
static int
drop_dir(struct node *n, struct looks *looks)
{
	int r;

	if (!may_look(looks))
		return 0;
	r = lookup_refresh_dir(n, clock_ms());
	if (r < 0 && r != -ESTALE)
		look_failed(looks, r);
	looks->gone |= r == -ESTALE;
	return r == -ESTALE;
}

/* Is it to stay? */
static bool
look(struct node *n, struct looks *looks)
{
	bool there = true;
	int r;

	if (!may_look(looks))
		return true;
	r = still_there(n, &there);
	if (r < 0)
		look_failed(looks, r);
	looks->gone |= r == 0 && !there;
	return r < 0 || there;
}

int
prune_drop(struct gate *g, uint64_t ino, uint64_t start_ms,
	   struct looks *looks)
{
	struct node *n = node_find(g, ino);
	bool keep = false, ask = false;
	int r = 0;

	if (n == NULL && dirmoves_any(g)) {
		struct meta_inode row = { 0 };

		/* There may be many of these: no need to load them. */
		r = meta_get_inode(g->meta, ino, &row);
		keep = r == 0 && row.relocating;
		meta_inode_fini(&row);
		if (keep)
			return 0;
	}
	if (n == NULL)
		r = node_get(g, ino, true, &n);
	if (r < 0)
		return r == -ESTALE ? 0 : r;
	if (node_kind(n) == GATE_DIR) {
		/* Files below it may wait for their first upload, or have
		 * gone with it; its own object may not be listed yet. */
		r = meta_each_name(g->meta, ino, 0, 1, any_name, &keep);
		mutex_lock(&n->mutex);
		keep |= n->i.marker;
		mutex_unlock(&n->mutex);
		if (r >= 0 && keep && !dirmove_covers(n)) {
			r = drop_dir(n, looks);
			node_put(&n);
			return r;
		}
	} else {
		mutex_lock(&n->mutex);
		keep = n->i.base_key[0] == '\0';
		ask = !keep && may_be_unlisted_locked(n);
		mutex_unlock(&n->mutex);
		if (ask)
			keep = look(n, looks);
	}
	if (r == 0 && !keep) {
		r = lookup_vanish(n, start_ms);
		if (r == 0)
			r = node_dead(n);
	}
	node_put(&n);
	return r;
}
