/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RENAME of directories.  The names change in one transaction, together with
 * the rows that say where the objects still lie; so it takes as long for a
 * million files as for none.  What follows is in dirmove/dirmove.c.
 *
 * A directory that is replaced must be empty, in the bucket too.  Renames of
 * directories come one after the other, so that none can become its own
 * ancestor.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dirmove/dirmove.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

#define SOURCES_MAX 65

struct plan {
	struct rename *m;
	char new_key[META_KEY_MAX + 2];
	struct meta_inode row;		/* of the directory */
	struct change *c;
	struct dirmove *moves[SOURCES_MAX];
	size_t count;
};

/* ---- locks: up to four directories, by number ---- */

struct locks {
	struct node *list[4];
	size_t count, held;
};

static int
by_ino(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a;
	const struct node *y = *(struct node *const *)b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void
add_lock(struct locks *l, struct node *n)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->list[i] == n)
			return;
	}
	if (n != NULL)
		l->list[l->count++] = n;
}

static int
take(struct locks *l, struct gate_request *rq)
{
	int r = 0;

	qsort(l->list, l->count, sizeof(*l->list), by_ino);
	while (r == 0 && l->held < l->count) {
		r = node_lock(l->list[l->held], rq);
		l->held += r == 0;
	}
	return r;
}

static void
release(struct locks *l)
{
	while (l->held > 0)
		node_unlock(l->list[--l->held]);
}

/* ---- may it? ---- */

/* Would the directory end up below itself? */
static int
is_below(struct node *dir, struct node *top)
{
	struct node *at = node_ref(dir);
	int r = 0;

	while (at->ino != top->ino && at->ino != dir->export->root) {
		char name[META_NAME_MAX + 1];
		struct node *up = NULL;
		uint64_t parent;

		node_name(at, &parent, name);
		r = name[0] == '\0' ? -ESTALE
				    : node_get(dir->export->gate, parent, true,
					       &up);
		node_put(&at);
		if (r < 0)
			return r;
		at = up;
	}
	r = at->ino == top->ino;
	node_put(&at);
	return r;
}

static int
may_move(struct rename *m, struct gate_request *rq)
{
	int r;

	/* ".." changes: that is a write to the directory itself. */
	if (m->from.node != m->to.node &&
	    !perm_allows(rq, node_perm(m->file), MAY_WRITE))
		return -EACCES;
	r = is_below(m->to.node, m->file);
	return r == 1 ? -EINVAL : r;
}

/* ---- the transaction ---- */

static int
add_source(void *arg, const char *prefix)
{
	struct plan *p = arg;
	struct dirmove *m;

	for (size_t i = 0; i < p->count; i++) {
		if (strcmp(p->moves[i]->row.source, prefix) == 0)
			return 0;
	}
	if (p->count == SOURCES_MAX)
		return -EBUSY;
	m = dirmove_prepare(p->m->file, prefix, p->c);
	if (m == NULL)
		return -ENOMEM;
	p->moves[p->count++] = m;
	return 0;
}

/* Where its objects may lie: below the path that it has now, and wherever
 * listings have not been yet. */
static int
add_sources(struct plan *p)
{
	char key[META_KEY_MAX + 2];
	int r = path_key(p->m->file, key);

	if (r == 0)
		r = dirmove_sources(p->m->file, false, add_source, p);
	return r < 0 ? r : add_source(p, key);
}

static void
plan_victim(struct plan *p)
{
	struct node *v = p->m->victim;
	bool replaced = p->row.base_key[0] != '\0' || p->m->file->up.pending;

	if (v == NULL)
		return;
	meta_del_name(p->c->batch, p->m->to.node->ino, p->m->to_name);
	meta_del_inode(p->c->batch, v->ino);
	if (!replaced || strcmp(v->i.base_key, p->new_key) != 0)
		(void)delete_queue_object(v, p->c,
					  !name_left_key(v) || v->i.relocating);
	indoubt_gone_rows(
	    v, (const char *const[]){ replaced ? p->new_key : "", "" }, p->c);
}

static int
plan_rows(struct plan *p, struct gate_request *rq, struct meta_name *entry)
{
	struct rename *m = p->m;
	struct node *n = m->file;
	int r;

	mutex_lock(&n->mutex);
	r = meta_inode_copy(&n->i, &p->row);
	mutex_unlock(&n->mutex);
	if (r < 0)
		return r;
	dirmove_mark(&p->row, p->new_key);
	p->row.ctime_ns = clock_ns() > p->row.ctime_ns ? clock_ns()
						       : p->row.ctime_ns + 1;
	if (m->from.node != m->to.node) {
		nlink_less(&m->from.row);
		if (m->victim == NULL)
			nlink_more(&m->to.row);
	} else if (m->victim != NULL) {
		nlink_less(&m->from.row);
	}
	*entry = (struct meta_name){ .parent = m->to.node->ino,
				     .ino = n->ino,
				     .kind = GATE_DIR };
	strcpy(entry->name, m->to_name);
	r = meta_new_name_id(n->export->gate->meta, &entry->id);
	if (r < 0)
		return r;
	meta_del_name(p->c->batch, m->from.node->ino, m->from_name);
	plan_victim(p);
	change_name(p->c, n, entry);
	meta_add_name(p->c->batch, entry);
	meta_put_inode(p->c->batch, &p->row);
	meta_put_inode(p->c->batch, &m->from.row);
	if (!m->one_dir)
		meta_put_inode(p->c->batch, &m->to.row);
	drc_note(p->c->batch, rq, NULL);
	r = add_sources(p);
	/* After the sources are claimed: change/indoubt_key.c. */
	for (size_t i = 0; r == 0 && i < p->count; i++)
		r = indoubt_rows_below(n->export, p->moves[i]->row.source,
				       p->c);
	return r;
}

/* The database has it: memory follows. */
static void
moved(struct plan *p, const struct meta_name *entry)
{
	struct rename *m = p->m;
	struct node *n = m->file;
	struct gate_export *x = n->export;

	negative_removed(x->gate, m->from.node->ino, m->from_name,
			 clock_ms() + x->c.attr_ttl_ms);
	negative_del(x->gate, m->to.node->ino, m->to_name);
	if (m->victim != NULL)
		remove_detach(m->victim);
	node_rename(n, entry);
	mutex_lock(&n->mutex);
	n->i.name_dirty = p->row.name_dirty;
	n->i.relocating = p->row.relocating;
	n->i.ctime_ns = p->row.ctime_ns;
	strcpy(n->i.dest_etag, p->row.dest_etag);
	n->checked_ms = clock_ms();
	mutex_unlock(&n->mutex);
	change_dir_apply(&m->from);
	if (!m->one_dir)
		change_dir_apply(&m->to);
}

static int
rename_locked(struct rename *m, struct gate_request *rq)
{
	struct gate_export *x = m->file->export;
	CLEANUP_CHANGE struct change c;
	struct plan p = { .m = m, .c = &c };
	struct meta_name entry;
	int r = path_child_key(m->to.node, m->to_name, true, p.new_key);

	change_begin(&c, x->gate);
	if (r == 0)
		r = change_dir_copy(&m->from);
	if (r == 0 && !m->one_dir)
		r = change_dir_copy(&m->to);
	if (r == 0)
		r = plan_rows(&p, rq, &entry);
	failpoint("dirmove-before-commit");
	if (r == 0)
		r = change_commit(&c);
	failpoint("dirmove-after-commit");
	if (r == 0) {
		moved(&p, &entry);
		indoubt_place_all(x);
		for (size_t i = 0; i < p.count; i++)
			dirmove_begin(p.moves[i]);
	}
	meta_inode_fini(&p.row);
	return r;
}

int
rename_dir(struct rename *m, struct gate_request *rq, const char *who)
{
	struct gate *g = m->file->export->gate;
	struct locks locks = { 0 };
	int r = 0;

	m->one_dir = m->from.node == m->to.node;
	if (m->victim != NULL)
		r = remove_dir_is_empty(m->victim, rq, false);
	if (r == 0)
		r = rename_fits(m, rq);
	if (r < 0)
		return r;
	mutex_lock(&g->dirmoves.renames);
	r = may_move(m, rq);
	add_lock(&locks, m->from.node);
	add_lock(&locks, m->to.node);
	add_lock(&locks, m->file);
	add_lock(&locks, m->victim);
	if (r == 0)
		r = take(&locks, rq);
	if (r == 0)
		r = rename_recheck(m, rq);
	if (r == 0 && m->victim != NULL)
		r = remove_dir_is_empty(m->victim, rq, true);
	if (r == 0 && m->victim != NULL)
		r = remove_check(m->victim, rq, who);
	if (r == 0)
		r = rename_locked(m, rq);
	release(&locks);
	mutex_unlock(&g->dirmoves.renames);
	return r;
}
