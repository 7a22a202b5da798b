/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all procedures that change a directory have in common.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

int
change_dir_begin(struct gate_export *x, struct gate_request *rq,
		 const struct gate_fh *fh, const char *name,
		 struct gate_wcc *wcc, struct change_dir *out)
{
	size_t len = strlen(name);
	int r;

	*out = (struct change_dir){ 0 };
	r = node_from_fh(x, rq, fh, &out->node);
	if (r < 0)
		return r;
	if (!rq->may_block) {
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	wcc_before(out->node, rq, wcc);
	if (node_kind(out->node) != GATE_DIR)
		return -ENOTDIR;
	if (len > META_NAME_MAX)
		return -ENAMETOOLONG;
	if (!path_name_ok(name, len))
		return strcmp(name, ".") == 0 || strcmp(name, "..") == 0
			       ? -EEXIST
			       : -EINVAL;
	if (rq->readonly)
		return -EROFS;
	r = lookup_refresh(out->node, rq);
	if (r == 0 &&
	    !perm_allows(rq, node_perm(out->node), MAY_EXEC))
		r = -EACCES;
	return r;
}

int
change_dir_lock(struct change_dir *d, struct gate_request *rq)
{
	int r = node_lock(d->node, rq);

	if (r < 0)
		return r;
	d->locked = true;
	return change_dir_copy(d);
}

int
change_dir_copy(struct change_dir *d)
{
	int64_t now;
	int r;

	mutex_lock(&d->node->mutex);
	r = meta_inode_copy(&d->node->i, &d->row);
	mutex_unlock(&d->node->mutex);
	now = clock_ns();
	d->row.mtime_ns = now;
	d->row.ctime_ns = now > d->row.ctime_ns ? now : d->row.ctime_ns + 1;
	return r;
}

void
change_dir_apply(struct change_dir *d)
{
	struct node *n = d->node;

	mutex_lock(&n->mutex);
	n->i.mtime_ns = d->row.mtime_ns;
	n->i.ctime_ns = d->row.ctime_ns;
	n->i.nlink = d->row.nlink;
	mutex_unlock(&n->mutex);
}

void
change_dir_end(struct change_dir *d, const struct gate_request *rq,
	       struct gate_wcc *wcc)
{
	if (d->node == NULL)
		return;
	if (d->locked)
		node_unlock(d->node);
	wcc_after(d->node, rq, wcc);
	meta_inode_fini(&d->row);
	node_put(&d->node);
}
