/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Above a node: is it below a directory that was renamed, and where may its
 * object, or names that nobody has met yet, still lie?
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/inside.h"
#include "nfsd/gate/worker/worker.h"

#define DEPTH_MAX 1100		/* a key may be nothing but slashes */

/* A source, and the names from its directory down to where we began. */
struct candidate {
	size_t source_len;
	char prefix[META_KEY_MAX + 2];
};

struct climb {
	struct gate_export *x;
	bool all;		/* also moves that are listed */
	bool only_ask;		/* is there one? */
	struct candidate *list;
	size_t count;
};

#define CANDIDATES_MAX 64

/* The moves of the directory `ino`, with these names below it. */
static bool
collect_locked(struct climb *c, uint64_t ino, const char *below)
{
	struct dirmove *m;

	LIST_FOREACH(m, &c->x->gate->dirmoves.list, link) {
		struct candidate *out;
		int len;

		if (m->row.ino != ino || m->x != c->x ||
		    (m->row.listed && !c->all))
			continue;
		if (c->only_ask)
			return true;
		if (c->count == CANDIDATES_MAX)
			continue;
		out = &c->list[c->count];
		len = snprintf(out->prefix, sizeof(out->prefix), "%s%s",
			       m->row.source, below);
		if (len > META_KEY_MAX)
			continue;
		out->source_len = strlen(m->row.source);
		c->count++;
	}
	return false;
}

/* From n up to the root.  `below` grows from the end of a buffer: "a/b/". */
static int
climb(struct climb *c, struct node *n)
{
	struct gate *g = n->export->gate;
	char below[META_KEY_MAX + 2], *p = below + sizeof(below) - 1;
	struct node *at = node_ref(n);
	int r = 0;

	*p = '\0';
	for (int depth = 0; r == 0; depth++) {
		char name[META_NAME_MAX + 1], component[COMPONENT_MAX + 1];
		struct node *up = NULL;
		uint64_t parent;
		size_t len;
		bool found = false;

		if (node_kind(at) == GATE_DIR) {
			mutex_lock(&g->dirmoves.mutex);
			found = collect_locked(c, at->ino, p);
			mutex_unlock(&g->dirmoves.mutex);
		}
		if (found) {
			r = 1;
			break;
		}
		if (at->ino == n->export->root || depth == DEPTH_MAX)
			break;
		node_name(at, &parent, name);
		if (name[0] == '\0')
			break;
		if (component_of_name(at, name, component) < 0)
			component[0] = '\0';
		len = strlen(component);
		if ((size_t)(p - below) < len + 1) {
			r = c->only_ask ? 0 : -ENAMETOOLONG;
			if (r < 0)
				break;
		} else if (node_kind(at) == GATE_DIR) {
			*--p = '/';
			p -= len;
			memcpy(p, component, len);
		}
		r = node_get(g, parent, true, &up);
		node_put(&at);
		at = up;
		if (r < 0)
			return r;
	}
	node_put(&at);
	return r;
}

bool
dirmove_covers(struct node *n)
{
	struct climb c = { .x = n->export, .only_ask = true, .all = true };

	return dirmoves_any(n->export->gate) && climb(&c, n) == 1;
}

bool
dirmove_lists(struct node *n)
{
	struct climb c = { .x = n->export, .only_ask = true };

	return dirmoves_any_lists(n->export->gate) && climb(&c, n) == 1;
}

static int
longest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->source_len > y->source_len ? -1
					     : x->source_len < y->source_len;
}

/* Does another source, longer than that, own it? */
static bool
owned_by_other(struct gate_export *x, const struct candidate *c)
{
	struct dirmoves *all = &x->gate->dirmoves;
	struct dirmove *m;

	mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && !m->row.listed &&
		    strlen(m->row.source) > c->source_len &&
		    text_begins(c->prefix, m->row.source))
			break;
	}
	mutex_unlock(&all->mutex);
	return m != NULL;
}

int
dirmove_sources(struct node *dir, bool all,
		int (*each)(void *arg, const char *prefix), void *arg)
{
	struct climb c = { .x = dir->export, .all = all };
	int r;

	if (all ? !dirmoves_any(dir->export->gate)
		: !dirmoves_any_lists(dir->export->gate))
		return 0;
	c.list = calloc(CANDIDATES_MAX, sizeof(*c.list));
	if (c.list == NULL)
		return -ENOMEM;
	r = climb(&c, dir);
	if (r == 0)
		qsort(c.list, c.count, sizeof(*c.list), longest_first);
	for (size_t i = 0; r == 0 && i < c.count; i++) {
		if (!owned_by_other(c.x, &c.list[i]))
			r = each(arg, c.list[i].prefix);
	}
	free(c.list);
	return r;
}

static int
take_first(void *arg, const char *prefix)
{
	strcpy(arg, prefix);
	return 1;
}

int
dirmove_old_key(struct node *n, char key[META_KEY_MAX + 2])
{
	char prefix[META_KEY_MAX + 2], name[META_NAME_MAX + 1];
	char component[COMPONENT_MAX + 1];
	struct node *dir = NULL;
	uint64_t parent;
	int r;

	if (!dirmoves_any_lists(n->export->gate))
		return path_key(n, key);
	node_name(n, &parent, name);
	r = node_get(n->export->gate, parent, true, &dir);
	if (r < 0)
		return r;
	r = dirmove_sources(dir, false, take_first, prefix);
	node_put(&dir);
	if (r == 1 && component_of_name(n, name, component) < 0)
		r = 0;
	if (r != 1)
		return r < 0 ? r : path_key(n, key);
	r = snprintf(key, META_KEY_MAX + 2, "%s%s%s", prefix, component,
		     node_kind(n) == GATE_DIR ? "/" : "");
	return r > META_KEY_MAX ? -ENAMETOOLONG : 0;
}

/* ---- waiting for a listing ---- */

int
dirmove_wait(struct node *n, struct gate_request *rq)
{
	struct dirmoves *all = &n->export->gate->dirmoves;
	uint64_t from = rq->first_ms != 0 ? rq->first_ms : clock_ms();
	uint64_t until = from + n->export->c.hold_ms, pages;
	struct timespec ts = { (time_t)(until / 1000),
			       (long)(until % 1000) * 1000000 };
	unsigned listing;
	int r = 0;

	if (!dirmoves_any_lists(n->export->gate))
		return 0;
	mutex_lock(&all->mutex);
	pages = dirmoves_pages_locked(all);
	listing = all->listing;
	mutex_unlock(&all->mutex);
	/* After the numbers were read: what comes now is seen. */
	if (!dirmove_lists(n))
		return 0;
	mutex_lock(&all->mutex);
	while (r == 0 && pages == dirmoves_pages_locked(all) &&
	       listing == all->listing)
		r = mutex_wait(&all->mutex, &all->changed, &ts);
	mutex_unlock(&all->mutex);
	if (r == 0)
		return 1;
	rq->again = GATE_JUKEBOX;
	return -EAGAIN;
}

/* ---- what the row says ---- */

void
dirmove_mark(struct meta_inode *row, const char *key)
{
	if (row->base_key[0] == '\0')
		return;
	/* What lay at the old key went with it, or stays; at the new one
	 * there is nothing yet. */
	row->name_dirty = strcmp(row->base_key, key) != 0;
	row->relocating = row->name_dirty;
	if (row->name_dirty)
		row->dest_etag[0] = '\0';
	else
		strcpy(row->dest_etag, row->base_etag);
	/* A link's mark speaks of its key: not a mere copy. */
	if (row->name_dirty && row->link_id[0] != '\0')
		row->attr_dirty = true;
}
