/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LINK; and REMOVE of the name that a file with several has itself, which takes
 * that of an alias (link/link.c).
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

#define LINKS_MAX 32000

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

static int
linking_fill(struct change_dir *d, const char *name, struct node *n,
	     struct linking *l)
{
	struct gate *g = n->export->gate;
	int r = 0;

	mutex_lock(&n->mutex);
	r = meta_inode_copy(&n->i, &l->file);
	mutex_unlock(&n->mutex);
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

void
linked(struct node *n, struct node *alias, const struct linking *l)
{
	mutex_lock(&n->mutex);
	n->i.nlink = l->file.nlink;
	n->i.ctime_ns = l->file.ctime_ns;
	n->i.attr_dirty = true;
	strcpy(n->i.link_id, l->file.link_id);
	n->attr_version++;
	upload_schedule_locked(n, false);
	mutex_unlock(&n->mutex);
	if (l->alias.local_only)
		return;
	/* It has nothing to copy yet: the end of the file's upload starts it
	 * (upload/upload_done.c). */
	mutex_lock(&alias->mutex);
	upload_row_begin_locked(alias, l->upload.since_ns);
	alias->up.pending = true;
	alias->up.dirty_ms = clock_ms();
	/* But of a file that had been removed: it comes back by this name
	 * (link/sillyrename.c). */
	if (l->file.local_only)
		upload_schedule_locked(alias, true);
	mutex_unlock(&alias->mutex);
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
		remove_detach(alias);
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
		char who[META_CLIENT_MAX];

		client_id_text(x, rq, who);
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

/* ---- REMOVE ---- */

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
	drc_note(c.batch, rq, NULL);
	failpoint("unlink-before-commit");
	r = change_commit(&c);
	failpoint("unlink-after-commit");
	if (r < 0)
		return r;
	negative_removed(g, d->node->ino, name,
			 clock_ms() + x->c.attr_ttl_ms);
	change_dir_apply(d);
	remove_detach(p->alias);
	link_turn_apply(&t);
	*delete_id = t.del != NULL ? t.del->id : 0;
	return 0;
}
