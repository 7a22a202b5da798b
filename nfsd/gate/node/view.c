/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client may see of a node: the last flushed version, or its own
 * uncommitted one if it is the writer; and whether that still agrees with
 * S3.  And the link count of a directory, as its row has it (dir/nlink.c).
 */

#include <config.h>

#include "nfsd/gate/node/node.h"
#include "nfsd/gate/worker/worker.h"

bool
node_is_local_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return n->h.state != META_NONE || n->up.pending ||
	       n->up.run != UP_IDLE || n->reserved_client != NULL ||
	       n->i.local_only || n->i.relocating || n->d.staged.count > 0;
}

void
node_attr_locked(struct node *n, const struct gate_request *rq,
		 struct gate_attr *out)
{
	const struct meta_inode *i = &n->i;
	const struct shown *shown = shown_to_locked(n, rq);

	mutex_must_hold(&n->mutex);
	*out = (struct gate_attr){
		.kind = (enum gate_kind)i->kind,
		.mode = i->mode,
		.nlink = i->nlink,
		.uid = i->uid,
		.gid = i->gid,
		.rdev_major = i->rdev_major,
		.rdev_minor = i->rdev_minor,
		.size = i->size,
		.fsid = n->export->fsid,
		.fileid = n->ino,
		.atime_ns = i->atime_ns,
		.mtime_ns = i->mtime_ns,
		.ctime_ns = i->ctime_ns,
	};
	/* Uncommitted bytes are the writer's own view, unless live. */
	if (n->h.state == META_ACTIVE &&
	    (n->uncommitted > 0 || n->d.durable.count > 0) &&
	    (n->export->c.reads == GATE_READS_LIVE ||
	     client_holds_locked(n, rq))) {
		out->size = n->writer_size;
		out->mtime_ns = n->writer_mtime_ns;
		out->ctime_ns = n->writer_mtime_ns > i->ctime_ns
					? n->writer_mtime_ns
					: i->ctime_ns;
	}
	if (shown != NULL) {
		out->size = shown->size;
		out->mtime_ns = shown->mtime_ns;
		if (shown->ctime_ns > i->ctime_ns)
			out->ctime_ns = shown->ctime_ns;
	}
	if (i->kind == GATE_DIR)
		out->size = 4096;
	out->used = (out->size + 4095) / 4096 * 4096;
}

void
node_attr(struct node *n, const struct gate_request *rq,
	  struct gate_attr *out)
{
	mutex_lock(&n->mutex);
	node_attr_locked(n, rq, out);
	mutex_unlock(&n->mutex);
}

void
wcc_before(struct node *n, const struct gate_request *rq,
	   struct gate_wcc *wcc)
{
	if (wcc == NULL || wcc->has_before)
		return;
	node_attr(n, rq, &wcc->before);
	wcc->has_before = true;
}

void
wcc_after(struct node *n, const struct gate_request *rq, struct gate_wcc *wcc)
{
	if (wcc == NULL)
		return;
	node_attr(n, rq, &wcc->after);
	wcc->has_after = true;
}

bool
node_fresh(struct node *n)
{
	uint64_t now = clock_ms(), ttl = n->export->c.attr_ttl_ms;
	struct node *dir;
	bool fresh;

	mutex_lock(&n->mutex);
	fresh = n->ino == n->export->root ||
		(node_is_local_locked(n) && !object_unread_locked(n)) ||
		(n->i.attr_known && n->checked_ms + ttl > now);
	/* A directory that was listed: its times follow its names. */
	if (n->scan != NULL && n->scan->complete &&
	    n->scan->count <= SCAN_PAGE && !scan_fresh_locked(n)) {
		mutex_unlock(&n->mutex);
		return false;
	}
	mutex_unlock(&n->mutex);
	if (fresh || !n->i.attr_known)
		return fresh;
	dir = node_find(n->export->gate, n->parent);
	fresh = dir != NULL && scan_fresh(dir);
	node_put(&dir);
	return fresh;
}

bool
object_unread_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return !n->i.attr_known && n->i.name_dirty && !n->i.data_dirty &&
	       !n->i.attr_dirty && n->i.base_key[0] != '\0';
}

#define UNKNOWN 1		/* link count of a directory: dir/nlink.c */

void
nlink_more(struct meta_inode *row)
{
	if (row->nlink != UNKNOWN)
		row->nlink++;
}

void
nlink_less(struct meta_inode *row)
{
	if (row->nlink > 2)
		row->nlink--;
}
