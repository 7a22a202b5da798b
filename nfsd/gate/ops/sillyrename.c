/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RENAME to .nfsXXXX, as Linux does in place of a REMOVE of an open file, of
 * the name that a file with several has itself: it lives on under another
 * (link/sillyrename.c).  With one name it is rename.c's.
 */

#include <config.h>

#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/worker/worker.h"

int
link_sillyrename(struct change_dir *from, struct change_dir *to,
		 struct gate_request *rq, const char *from_name,
		 const char *to_name, const struct link_pair *p)
{
	struct gate_export *x = from->node->export;
	struct gate *g = x->gate;
	CLEANUP_CHANGE struct change c;
	CLEANUP_TURN struct link_turn t = { 0 };
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct node *a = p->alias;
	struct meta_name entry = { .parent = to->node->ino, .ino = a->ino,
				   .kind = a->i.kind };
	int r = link_quiet(p->file, rq);

	change_begin(&c, g);
	if (r == 0)
		r = link_quiet(a, rq);
	if (r == 0)
		r = meta_inode_copy(&a->i, &row);
	if (r == 0)
		r = meta_new_name_id(g->meta, &entry.id);
	if (r < 0)
		return r;
	strcpy(entry.name, to_name);
	meta_del_name(c.batch, from->node->ino, from_name);
	r = link_turn_rows(&t, p->file, a, &c, false, false);
	if (r < 0)
		return r;
	sillyrename_row(&row);
	meta_del_upload(c.batch, a->ino);
	meta_put_inode(c.batch, &row);
	change_name(&c, a, &entry);
	meta_add_name(c.batch, &entry);
	meta_put_inode(c.batch, &from->row);
	if (to->node != from->node)
		meta_put_inode(c.batch, &to->row);
	drc_note(c.batch, rq, NULL);
	failpoint("link-sillyrename-before-commit");
	r = change_commit(&c);
	failpoint("link-sillyrename-after-commit");
	if (r < 0)
		return r;
	negative_removed(g, from->node->ino, from_name,
			 clock_ms() + x->c.attr_ttl_ms);
	negative_del(g, to->node->ino, to_name);
	sillyrename_memory(a);
	node_rename(a, &entry);
	link_turn_apply(&t);
	change_dir_apply(from);
	if (to->node != from->node)
		change_dir_apply(to);
	return 0;
}
