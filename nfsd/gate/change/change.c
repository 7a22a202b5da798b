/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes: what memory must not know before the database does.
 *
 * Most of it is simply done after the commit, from a copy of the row.  What
 * cannot wait (a key must be hidden before anybody can find that its name
 * went, a file must be settled before its rows can be made) is done at once
 * and noted as a step:
 *
 *	step	before		committed	not committed
 *	HIDE	hidden		-		shown again
 *	SHOW	-		shown		-
 *	DELETE	hidden, or is	begins		shown again
 *	UNBIND	settled		-		as it was
 *	UPLOAD	-		pending		-
 *	SENT	on record	-		as it was
 *	MOVE	in the list	-		taken out
 *	SUBDIR	counted		-		not counted
 *
 * Steps are undone in reverse order.  Deletions begin last, when memory has
 * followed: what is deleted is then found under no name.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"

enum step_kind { HIDE, SHOW, DELETE, UNBIND, UPLOAD, SENT, MOVE, SUBDIR };

struct change_step {
	TAILQ_ENTRY(change_step) link;
	enum step_kind kind;
	struct gate_export *x;
	struct node *node;
	struct dirmove *move;
	bool hide;		/* DELETE: the key was not hidden before */
	bool fresh;		/* UPLOAD: none was pending */
	bool indoubt_rows;		/* SENT: as it was */
	int64_t since_ns;
	struct name_bound was;
	struct meta_delete row;	/* DELETE; the key alone: HIDE, SHOW */
	struct deletion *deletion;
};

void
change_begin(struct change *c, struct gate *g)
{
	*c = (struct change){ .gate = g, .batch = meta_batch_new() };
	TAILQ_INIT(&c->steps);
}

/* NULL: no memory; then nothing is to be done, and the commit fails. */
static struct change_step *
add(struct change *c, enum step_kind kind)
{
	struct change_step *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		meta_batch_fail(c->batch, -ENOMEM);
		return NULL;
	}
	s->kind = kind;
	TAILQ_INSERT_TAIL(&c->steps, s, link);
	return s;
}

/* ---- steps ---- */

static struct change_step *
add_key(struct change *c, enum step_kind kind, struct gate_export *x,
	const char *key)
{
	struct change_step *s = add(c, kind);

	if (s != NULL) {
		s->x = x;
		strcpy(s->row.key, key);
	}
	return s;
}

void
change_hide(struct change *c, struct gate_export *x, const char *key)
{
	(void)add_key(c, HIDE, x, key);
}

void
change_show(struct change *c, struct gate_export *x, const char *key)
{
	(void)add_key(c, SHOW, x, key);
}

const struct meta_delete *
change_delete(struct change *c, struct gate_export *x, const char *key,
	      const char *etag, bool hide)
{
	struct change_step *s;

	if (key[0] == '\0')
		return NULL;
	s = add_key(c, DELETE, x, key);
	if (s == NULL)
		return NULL;
	s->deletion = delete_new(x);
	if (s->deletion == NULL)
		meta_batch_fail(c->batch, -ENOMEM);
	s->hide = hide;
	s->row.export_id = x->id;
	strcpy(s->row.etag, etag);
	return &s->row;
}

void
change_delete_ours(struct change *c, const char *key, struct meta_ours *ours)
{
	struct change_step *s;

	TAILQ_FOREACH(s, &c->steps, link) {
		if (s->kind == DELETE && strcmp(s->row.key, key) == 0 &&
		    s->row.ours == NULL)
			break;
	}
	if (s != NULL)
		s->row.ours = ours;
	else
		free(ours);
}

void
change_delete_parts(struct change *c, const char *key, const char *upload_id,
		    int64_t since_ns)
{
	struct change_step *s;
	struct meta_ours *ours;

	TAILQ_FOREACH(s, &c->steps, link) {
		if (s->kind != DELETE || strcmp(s->row.key, key) != 0)
			continue;
		if (s->row.ours == NULL)
			s->row.ours = calloc(1, meta_ours_size(0));
		ours = s->row.ours;
		if (ours == NULL) {
			meta_batch_fail(c->batch, -ENOMEM);
			return;
		}
		s->row.parts = true;
		snprintf(ours->upload_id, sizeof(ours->upload_id), "%s",
			 upload_id);
		ours->since_ns = since_ns;
		ours->until_ns = clock_ns();
	}
}

void
change_delete_soft(struct change *c, const char *key)
{
	struct change_step *s;

	TAILQ_FOREACH(s, &c->steps, link) {
		if (s->kind == DELETE && strcmp(s->row.key, key) == 0)
			s->row.soft = true;
	}
}

bool
change_deletes(const struct change *c, const char *key)
{
	const struct change_step *s;

	TAILQ_FOREACH(s, &c->steps, link) {
		if (s->kind == DELETE && strcmp(s->row.key, key) == 0)
			return true;
	}
	return false;
}

void
change_upload_locked(struct change *c, struct node *n,
		     const struct meta_inode *row)
{
	struct change_step *s;

	/* A file that is not for the bucket has only its old object to get
	 * rid of. */
	if (row->local_only && row->base_key[0] == '\0')
		return;
	s = add(c, UPLOAD);
	if (s == NULL)
		return;
	s->node = n;
	s->since_ns = clock_ns();
	s->fresh = upload_plan_locked(n, s->since_ns, c->batch);
}

void
change_name(struct change *c, struct node *n, const struct meta_name *name)
{
	int r = node_name_room(n, name);

	if (r < 0)
		meta_batch_fail(c->batch, r);
}

void
change_sent_locked(struct change *c, struct node *n)
{
	struct change_step *s = add(c, SENT);

	if (s != NULL) {
		s->node = node_ref(n);
		s->indoubt_rows = n->up.indoubt_rows;
	}
}

/* For change_unbind_name: the key of its object is hidden, and memory says so;
 * and back.  Take the mutex. */
static int
name_unbind(struct node *n, struct name_bound *was)
{
	char key[META_KEY_MAX + 2];
	int r = path_key(n, key);
	bool left;

	/* A path that no key can spell is not where its object lies. */
	if (r < 0 && r != -ENAMETOOLONG)
		return r;
	if (r < 0)
		key[0] = '\0';
	mutex_lock(&n->mutex);
	left = n->i.base_key[0] != '\0' && !n->i.name_dirty &&
	       !n->i.local_only && strcmp(key, n->i.base_key) != 0;
	was->changed = n->i.relocating || left;
	was->relocating = n->i.relocating;
	was->name_dirty = n->i.name_dirty;
	strcpy(was->dest_etag, n->i.dest_etag);
	strcpy(key, n->i.base_key);
	mutex_unlock(&n->mutex);
	if (!was->changed)
		return 0;
	/* May wait for memory: without the mutex, before it is told. */
	hidden_add(n->export, key);
	mutex_lock(&n->mutex);
	n->i.relocating = false;
	n->i.name_dirty = true;
	n->i.dest_etag[0] = '\0';
	mutex_unlock(&n->mutex);
	return 0;
}

int
change_unbind_name(struct change *c, struct node *n, bool *was_relocating)
{
	struct change_step *s = add(c, UNBIND);
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->node = n;
	r = name_unbind(n, &s->was);
	if (was_relocating != NULL)
		*was_relocating = s->was.relocating;
	return r;
}

void
change_subdir(struct change *c, struct node *dir)
{
	struct change_step *s = add(c, SUBDIR);
	uint32_t was;

	if (s == NULL)
		return;
	mutex_lock(&dir->mutex);
	was = dir->i.nlink;
	nlink_more(&dir->i);
	if (dir->i.nlink != was) {
		s->node = dir;
		meta_put_inode(c->batch, &dir->i);
	}
	mutex_unlock(&dir->mutex);
}

bool
change_dirmove(struct change *c, struct dirmove *m)
{
	struct change_step *s = add(c, MOVE);

	if (s != NULL)
		s->move = m;
	else
		dirmove_undo(m);
	return s != NULL;
}

/* ---- commit ---- */

static bool
hides(const struct change_step *s)
{
	return s->kind == HIDE || (s->kind == DELETE && s->hide);
}

int
change_submit(struct change *c)
{
	struct change_step *s;

	TAILQ_FOREACH(s, &c->steps, link) {
		int r = s->kind != DELETE
				? 0
				: meta_new_id(c->gate->meta, &s->row.id);

		if (r < 0)
			meta_batch_fail(c->batch, r);
		else if (s->kind == DELETE)
			meta_put_delete(c->batch, &s->row);
	}
	TAILQ_FOREACH(s, &c->steps, link) {
		if (hides(s))
			hidden_add(s->x, s->row.key);
	}
	c->hides = true;
	return meta_submit(c->gate->meta, &c->batch);
}

int
change_wait(struct change *c)
{
	struct change_step *s;
	int r = meta_wait(c->gate->meta, &c->batch);

	if (r < 0)
		return r;
	c->committed = true;
	TAILQ_FOREACH(s, &c->steps, link) {
		if (s->kind == SHOW) {
			hidden_del(s->x, s->row.key);
		} else if (s->kind == UPLOAD) {
			mutex_lock(&s->node->mutex);
			upload_planned_locked(s->node, s->since_ns, s->fresh);
			mutex_unlock(&s->node->mutex);
		}
	}
	return 0;
}

int
change_commit(struct change *c)
{
	int r = change_submit(c);

	return r < 0 ? r : change_wait(c);
}

static void
name_rebind(struct node *n, const struct name_bound *was)
{
	if (!was->changed)
		return;
	mutex_lock(&n->mutex);
	n->i.relocating = was->relocating;
	n->i.name_dirty = was->name_dirty;
	strcpy(n->i.dest_etag, was->dest_etag);
	hidden_del(n->export, n->i.base_key);
	mutex_unlock(&n->mutex);
}

static void
undo(struct change *c, struct change_step *s)
{
	if (c->hides && hides(s))
		hidden_del(s->x, s->row.key);
	if (s->kind == UNBIND) {
		name_rebind(s->node, &s->was);
	} else if (s->kind == SENT) {
		mutex_lock(&s->node->mutex);
		s->node->up.indoubt_rows |= s->indoubt_rows;
		mutex_unlock(&s->node->mutex);
	} else if (s->kind == MOVE) {
		dirmove_undo(s->move);
	} else if (s->kind == SUBDIR && s->node != NULL) {
		mutex_lock(&s->node->mutex);
		nlink_less(&s->node->i);
		mutex_unlock(&s->node->mutex);
	}
}

void
change_end(struct change *c)
{
	struct change_step *s;

	meta_batch_free(&c->batch);
	TAILQ_FOREACH_REVERSE(s, &c->steps, change_steps, link) {
		if (!c->committed)
			undo(c, s);
	}
	while ((s = TAILQ_FIRST(&c->steps)) != NULL) {
		TAILQ_REMOVE(&c->steps, s, link);
		if (c->committed && s->kind == DELETE) {
			delete_start(s->deletion, &s->row);
		} else {
			free(s->row.ours);
			delete_free(s->deletion);
		}
		if (s->kind == SENT)
			node_put(&s->node);
		free(s);
	}
}

/* ---- repetitions, and names that are settled ---- */

void
drc_note(struct meta_batch *b, const struct gate_request *rq,
	 const struct meta_inode *made)
{
	if (rq->drc != NULL)
		meta_put_drc(b, rq->drc->key, rq->drc->procedure,
			     made != NULL ? made->ino : 0,
			     made != NULL ? made->generation : 0,
			     clock_ns());
}
