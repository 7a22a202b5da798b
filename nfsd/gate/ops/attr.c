/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GETATTR, SETATTR, ACCESS.  Changes of mode, owner and times are stored at
 * once and reach S3 with the next upload; they open no handle and do not
 * make a flushed writer active again, since `cp -p` and tar send them just
 * after the last byte.  A change of size is an open for writing.
 */

#include <config.h>

#include <errno.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

int
gate_getattr(struct gate_export *x, struct gate_request *rq,
	     const struct gate_fh *fh, struct gate_attr *out)
{
	struct node *n = NULL;
	int r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	silence_begin(n, rq);
	r = lookup_refresh(n, rq);
	if (r == 0) {
		admit_looked(n, rq, false);
		node_attr(n, rq, out);
	}
	silence_end(n, rq, r);
	node_put(&n);
	return r;
}

/* RFC 1813 3.3.4 */
#define ACCESS_READ 0x01
#define ACCESS_LOOKUP 0x02
#define ACCESS_MODIFY 0x04
#define ACCESS_EXTEND 0x08
#define ACCESS_DELETE 0x10
#define ACCESS_EXECUTE 0x20

int
gate_access(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *fh, uint32_t want, uint32_t *granted,
	    struct gate_attr *attr)
{
	uint32_t may = 0;
	struct node *n = NULL;
	int r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	silence_begin(n, rq);
	r = lookup_refresh(n, rq);
	if (r < 0) {
		silence_end(n, rq, r);
		node_put(&n);
		return r;
	}
	admit_looked(n, rq, true);
	mutex_lock(&n->mutex);
	if (perm_allows(rq, perm_of(&n->i), MAY_READ))
		may |= ACCESS_READ;
	if (!rq->readonly && perm_allows(rq, perm_of(&n->i), MAY_WRITE))
		may |= ACCESS_MODIFY | ACCESS_EXTEND;
	if (perm_allows(rq, perm_of(&n->i), MAY_EXEC))
		may |= n->i.kind == GATE_DIR ? ACCESS_LOOKUP : ACCESS_EXECUTE;
	if (n->i.kind == GATE_DIR && !rq->readonly &&
	    perm_allows(rq, perm_of(&n->i), MAY_WRITE | MAY_EXEC))
		may |= ACCESS_DELETE;
	node_attr_locked(n, rq, attr);
	mutex_unlock(&n->mutex);
	*granted = may & want;
	silence_end(n, rq, 0);
	node_put(&n);
	return 0;
}

/* May this client change that, and what becomes of the mode? */
static int
setattr_allowed(const struct gate_request *rq, const struct meta_inode *i,
		const struct gate_setattr *set)
{
	struct perm p = perm_of(i);
	bool owner = perm_owner(rq, p);

	if (rq->readonly)
		return -EROFS;
	if (set->set_mode && !owner)
		return -EPERM;
	if (set->set_uid && rq->cred.uid != 0 &&
	    (!owner || set->uid != i->uid))
		return -EPERM;
	if (set->set_gid && rq->cred.uid != 0 &&
	    (!owner ||
	     (set->gid != i->gid && !perm_in_group(rq, set->gid))))
		return -EPERM;
	if ((set->atime_how == GATE_TIME_CLIENT ||
	     set->mtime_how == GATE_TIME_CLIENT) && !owner)
		return -EPERM;
	if ((set->atime_how == GATE_TIME_SERVER ||
	     set->mtime_how == GATE_TIME_SERVER) && !owner &&
	    !perm_allows(rq, p, MAY_WRITE))
		return -EACCES;
	if (set->set_size) {
		if (i->kind != GATE_REG)
			return i->kind == GATE_DIR ? -EISDIR : -EINVAL;
		if (!owner && !perm_allows(rq, p, MAY_WRITE))
			return -EACCES;
	}
	return 0;
}

static void
setattr_row(const struct gate_request *rq, const struct gate_setattr *set,
	    int64_t now, struct meta_inode *row)
{
	/* As a kernel does: chown takes setuid and setgid away, even if it
	 * changes nothing, and who is not in the group cannot set setgid. */
	if ((set->set_uid || set->set_gid) && row->kind != GATE_DIR) {
		row->mode &= ~04000U;
		if (row->mode & 010)
			row->mode &= ~02000U;
	}
	if (set->set_size)
		row->mode = perm_mode_written(rq, row);
	if (set->set_uid)
		row->uid = set->uid;
	if (set->set_gid)
		row->gid = set->gid;
	if (set->set_mode) {
		row->mode = set->mode & 07777;
		if (rq->cred.uid != 0 && !perm_in_group(rq, row->gid))
			row->mode &= ~02000U;
	}
	if (set->atime_how != GATE_TIME_KEEP)
		row->atime_ns = set->atime_how == GATE_TIME_SERVER
					? now
					: set->atime_ns;
	if (set->mtime_how != GATE_TIME_KEEP)
		row->mtime_ns = set->mtime_how == GATE_TIME_SERVER
					? now
					: set->mtime_ns;
	else if (set->set_size)
		row->mtime_ns = now;
	row->ctime_ns = now > row->ctime_ns ? now : row->ctime_ns + 1;
}

/* Only to be remembered, or for S3 to know? */
static bool
changes_object(const struct gate_setattr *set)
{
	return set->set_mode || set->set_uid || set->set_gid ||
	       set->mtime_how != GATE_TIME_KEEP ||
	       set->atime_how != GATE_TIME_KEEP;
}

/* An archived one has its attributes, and all bytes that are kept, for good. */
static int
object_allows(struct node *n, struct gate_request *rq,
	      const struct gate_setattr *set)
{
	if (set->set_size)
		return cold_may_resize(n, rq, set->size);
	return changes_object(set) ? cold_may_copy(n, rq, NULL) : 0;
}

static void
setattr_applied_locked(struct node *n, const struct gate_setattr *set,
		       struct meta_inode *row)
{
	mutex_must_hold(&n->mutex);
	meta_inode_fini(&n->i);
	n->i = *row;
	*row = (struct meta_inode){ 0 };
	n->attr_version++;
	if (set->set_size) {
		/* Cuts to the end need no memory. */
		(void)data_truncate_locked(n, n->i.size);
		shown_resize_locked(n, n->i.size);
		quota_size_locked(n, n->i.size);
		n->uncommitted = extents_bytes(&n->d.dirty);
		n->content_version++;
		if (n->i.size < n->trunc_low)
			n->trunc_low = n->i.size;
		n->flush_empty = false;
		n->h.created = false;
		/* As write_resize has written it down. */
		if (n->h.state == META_ACTIVE && n->d.dirty.count == 0 &&
		    data_publish_locked(n) == 0)
			handle_transition_locked(n, META_EV_FLUSH);
		data_account_locked(n);
	}
	if (set->set_size || set->mtime_how != GATE_TIME_KEEP)
		n->writer_mtime_ns = n->i.mtime_ns;
	if (n->shown != NULL && set->mtime_how != GATE_TIME_KEEP)
		n->shown->mtime_ns = n->i.mtime_ns;
	upload_schedule_locked(n, false);
	admit_flushed_locked(n);
}

/* The file lock is held. */
static int
change_attr(struct node *n, struct gate_request *rq,
	    const struct gate_setattr *set, const int64_t *guard)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	int r;

	node_must_be_locked(n);
	change_begin(&c, n->export->gate);
	if (guard != NULL && *guard != n->i.ctime_ns)
		return -EREMCHG;
	r = setattr_allowed(rq, &n->i, set);
	if (r < 0)
		return r;
	r = meta_inode_copy(&n->i, &row);
	if (r < 0)
		return r;
	if (set->set_size)
		r = write_resize(n, set->size, &row, &c);
	if (r < 0)
		return r;
	setattr_row(rq, set, clock_ns(), &row);
	/* A file without a name has no object to tell, and never will. */
	mutex_lock(&n->mutex);
	if ((changes_object(set) || row.mode != n->i.mode) && row.nlink > 0) {
		row.attr_dirty = row.ino != n->export->root;
		if (row.attr_dirty)
			change_upload_locked(&c, n, &row);
	}
	indoubt_rows_locked(n, &c, NULL, NULL);
	mutex_unlock(&n->mutex);
	meta_put_inode(c.batch, &row);
	if (rq->drc != NULL && guard != NULL)
		meta_put_drc(c.batch, rq->drc->key,
			     rq->drc->procedure, 0, 0, clock_ns());
	failpoint("setattr-before-commit");
	r = change_commit(&c);
	failpoint("setattr-after-commit");
	if (r == 0) {
		mutex_lock(&n->mutex);
		setattr_applied_locked(n, set, &row);
		mutex_unlock(&n->mutex);
	}
	return r;
}

int
gate_setattr(struct gate_export *x, struct gate_request *rq,
	     const struct gate_fh *fh, const struct gate_setattr *set,
	     const int64_t *guard_ctime_ns, struct gate_wcc *wcc)
{
	char who[META_CLIENT_MAX];
	struct node *n = NULL;
	bool pending = false;
	int r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	silence_begin(n, rq);
	if (!rq->may_block) {
		node_put(&n);
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	r = lookup_refresh(n, rq);
	wcc_before(n, rq, wcc);
	if (r == 0) {
		mutex_lock(&n->mutex);
		r = setattr_allowed(rq, &n->i, set);
		pending = n->up.pending;
		mutex_unlock(&n->mutex);
	}
	if (r == 0)
		r = object_allows(n, rq, set);
	if (r == 0 && !pending)
		r = node_room(x, rq);
	client_id_text(x, rq, who);
	if (r == 0 && set->set_size) {
		admit_looked(n, rq, true);
		r = admit_writer(n, rq, who);
	} else if (r == 0) {
		r = node_lock(n, rq);
		if (r == 0 && (r = admit_change(n, rq, who, false)) < 0)
			node_unlock(n);
	}
	if (r == 0) {
		r = change_attr(n, rq, set, guard_ctime_ns);
		mutex_lock(&n->mutex);
		if (r < 0 && set->set_size)
			admit_undo_locked(n);
		node_unlock_locked(n);
		mutex_unlock(&n->mutex);
	}
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	wcc_after(n, rq, wcc);
	silence_end(n, rq, r);
	node_put(&n);
	return r;
}
