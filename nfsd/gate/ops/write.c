/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WRITE and COMMIT.
 *
 * A WRITE goes to a free place of the data file and into the dirty map.  What
 * it means to commit is told in writer/commit.c, who may write in
 * writer/admit.c.
 *
 * While a writer streams, WRITEs take the short way: the handle is theirs
 * and active, nobody holds the file lock, nothing has to be decided.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

#define INLINE_MAX (64U << 10)	/* bytes that an event thread may write */

struct incoming {		/* the bytes of one WRITE */
	uint64_t off;
	const void *data;
	uint32_t len;
	enum gate_stable stable;
};

/* ---- staging ---- */

/* The handle is ours and active.  Mutex held; released while writing. */
static int
stage_locked(struct node *n, const char *who, const struct incoming *w)
{
	struct gate *g = n->export->gate;
	uint64_t off = w->off, len = w->len, at;
	int r = audit_writer_locked(n, who);

	mutex_must_hold(&n->mutex);
	if (r == 0 && !there_is(g))
		r = -EIO;
	if (r == 0 && off > n->writer_size)
		r = quota_hole_locked(n, off);
	if (r == 0)
		r = quota_allows(n->export, n->writer_size, off + len);
	if (r == 0)
		r = space_reserve(n->export,
				  len - extents_bytes_in(&n->d.dirty, off, len),
				  n->d.accounted_staged);
	if (r == 0)
		r = data_place_locked(n, off, len, false, &at);
	if (r < 0)
		return r;
	__atomic_add_fetch(&g->staged_bytes, len, __ATOMIC_RELAXED);
	__atomic_add_fetch(&n->export->staged_bytes, len, __ATOMIC_RELAXED);
	n->d.accounted_staged += len;
	r = data_put_locked(n, w->data, len, at);
	if (r == 0)
		r = data_dirty_locked(n, off, len, at);
	if (r < 0)
		data_unplace_locked(n, off, len, at);
	/* Others' bytes that are on their way count when they are there. */
	data_account_locked(n);
	if (r < 0)
		return r;
	n->uncommitted = extents_bytes(&n->d.dirty);
	if (off + len > n->writer_size)
		quota_size_locked(n, off + len);
	n->writer_mtime_ns = clock_ns();
	n->silence.changed = true;
	n->h_last_ms = run_ms(g);
	return 0;
}

/* ---- WRITE ---- */

/* Who writes to a program does not inherit its rights: they go, on disk, before
 * the first byte is taken.  The file lock is held. */
static int
strip_set_id(struct node *n, const struct gate_request *rq)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	int64_t now = clock_ns();
	int r = meta_inode_copy(&n->i, &row);

	change_begin(&c, n->export->gate);
	if (r < 0)
		return r;
	row.mode = perm_mode_written(rq, &row);
	row.ctime_ns = now > row.ctime_ns ? now : row.ctime_ns + 1;
	/* A file without a name has no object to tell. */
	row.attr_dirty |= row.nlink > 0;
	mutex_lock(&n->mutex);
	if (row.nlink > 0)
		change_upload_locked(&c, n, &row);
	indoubt_rows_locked(n, &c, NULL, NULL);
	/* Should the WRITE fail after that, the writer stays until the mode is
	 * in the bucket. */
	meta_put_handle(c.batch, &n->h);
	mutex_unlock(&n->mutex);
	meta_put_inode(c.batch, &row);
	r = change_commit(&c);
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	n->i.mode = row.mode;
	n->i.ctime_ns = row.ctime_ns;
	n->i.attr_dirty = row.attr_dirty;
	n->attr_version++;
	upload_schedule_locked(n, false);
	mutex_unlock(&n->mutex);
	return 0;
}

static bool
is_set_id_locked(const struct node *n, const struct gate_request *rq)
{
	mutex_must_hold(&n->mutex);
	return perm_mode_written(rq, &n->i) != n->i.mode;
}

/* The short way, if nothing has to be decided.  1: taken. */
static int
write_fast(struct node *n, struct gate_request *rq, const char *who,
	   const struct incoming *w)
{
	int r = 0;

	mutex_lock(&n->mutex);
	if (!n->locked && !n->dead && n->h.state == META_ACTIVE &&
	    !n->flush_empty && LIST_EMPTY(&n->fenced) &&
	    strcmp(n->h.who, who) == 0 && !is_set_id_locked(n, rq) &&
	    (rq->may_block || w->len <= INLINE_MAX)) {
		r = stage_locked(n, who, w);
		r = r < 0 ? r : 1;
	}
	mutex_unlock(&n->mutex);
	return r;
}

static int
write_slow(struct node *n, struct gate_request *rq, const char *who,
	   const struct incoming *w)
{
	bool stable = w->stable != GATE_UNSTABLE;
	struct gate *g = n->export->gate;
	struct meta_batch *b;
	bool small, all, set_id;
	int r = admit_writer(n, rq, who);

	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	set_id = is_set_id_locked(n, rq);
	mutex_unlock(&n->mutex);
	if (set_id)
		r = strip_set_id(n, rq);
	mutex_lock(&n->mutex);
	if (r == 0)
		r = stage_locked(n, who, w);
	small = w->len <= JOURNAL_WRITE_MAX &&
		n->d.journal_bytes + w->len <= JOURNAL_FILE_MAX;
	/* Where it is to be in S3, so is all that is below or beside it. */
	all = n->export->c.commit_s3 && extents_bytes(&n->d.dirty) > w->len;
	mutex_unlock(&n->mutex);
	if (r == 0 && stable && all) {
		r = write_commit(n, 0, UINT64_MAX, NULL, 0);
	} else if (r == 0 && stable) {
		r = write_commit(n, w->off, w->off + w->len,
				 small ? w->data : NULL, w->len);
	} else if (r == 0) {
		/* The row need not be waited for: without committed bytes a
		 * crash owes the client nothing but a new verifier. */
		b = meta_batch_new();
		if (b != NULL)
			meta_put_handle(b, &n->h);
		meta_post(g->meta, &b);
	}
	mutex_lock(&n->mutex);
	if (r < 0)
		admit_undo_locked(n);
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
	return r;
}

static int
write_checks(struct gate_export *x, struct gate_request *rq, struct node *n,
	     uint64_t off, uint32_t len)
{
	struct perm p = node_perm(n);

	(void)x;
	if (p.kind != GATE_REG)
		return p.kind == GATE_DIR ? -EISDIR : -EINVAL;
	if (rq->readonly)
		return -EROFS;
	if (p.uid != rq->cred.uid && !perm_allows(rq, p, MAY_WRITE))
		return -EACCES;
	if (off > FILE_SIZE_MAX || len > FILE_SIZE_MAX - off)
		return -EFBIG;
	return 0;
}

/* commit=s3: until the bucket has it.  1: it has. */
static int
wait_for_s3(struct node *n, struct gate_request *rq)
{
	uint64_t until = rq->first_ms + n->export->c.hold_ms;
	int r = 1;

	mutex_lock(&n->mutex);
	if (n->up.pending && n->i.data_dirty) {
		upload_want_locked(n);
		if (clock_ms() < until) {
			r = node_hold_locked(n, rq, until);
		} else {
			rq->again = GATE_JUKEBOX;
			r = -EAGAIN;
		}
	}
	mutex_unlock(&n->mutex);
	return r;
}

/* The same for callers without a token, who wait in their thread.  0 when the
 * bucket has it, or the error that S3 gave. */
static int
wait_until_in_s3(struct node *n, struct gate_request *rq, const char *who)
{
	int r;

	while ((r = wait_for_s3(n, rq)) == -EAGAIN && rq->token == NULL &&
	       rq->may_block && rq->again == GATE_NEEDS_THREAD)
		;
	if (r == 1) {
		mutex_lock(&n->mutex);
		r = admit_check_locked(n, who, true);
		mutex_unlock(&n->mutex);
	}
	return r;
}

/* Are these bytes the file's already, and committed?  Then this is the call
 * that waits for S3, run anew. */
static bool
is_written(struct node *n, struct gate_request *rq, const struct incoming *w)
{
	/* It waits for nobody: what is committed lies here. */
	struct gate_request look = *rq;
	struct reading got = { .off = w->off, .len = w->len };
	bool same;

	look.token = NULL;
	look.near = true;

	mutex_lock(&n->mutex);
	same = n->d.dirty.count == 0 && n->i.size >= w->off + w->len &&
	       n->h.state != META_ACTIVE;
	mutex_unlock(&n->mutex);
	got.buf = same ? malloc(w->len) : NULL;
	same = got.buf != NULL && read_node(n, &look, &got) == 0 &&
	       got.got == w->len && memcmp(got.buf, w->data, w->len) == 0;
	free(got.buf);
	return same;
}

/* A stable WRITE is a flush, and with commit=s3 a flush means the bucket. */
static int
write_to_s3(struct node *n, struct gate_request *rq, const char *who,
	    const struct incoming *w)
{
	int r = 0;

	if (!is_written(n, rq, w))
		r = write_slow(n, rq, who, w);
	return r < 0 ? r : wait_until_in_s3(n, rq, who);
}

int
gate_write(struct gate_export *x, struct gate_request *rq,
	   const struct gate_fh *fh, uint64_t off, const void *data,
	   uint32_t len, enum gate_stable stable, enum gate_stable *reached,
	   struct gate_wcc *wcc)
{
	const struct incoming w = { off, data, len, stable };
	char who[META_CLIENT_MAX];
	struct node *n = NULL;
	int r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	silence_begin(n, rq);
	if (rq->may_block)
		files_ease(&x->gate->files);
	wcc_before(n, rq, wcc);
	r = write_checks(x, rq, n, off, len);
	client_id_text(x, rq, who);
	if (r == 0 && len > 0 && stable == GATE_UNSTABLE)
		r = write_fast(n, rq, who, &w);
	/* No room: a thread may make some. */
	if (r == -EAGAIN && !rq->may_block)
		rq->again = GATE_NEEDS_THREAD;
	if (r == 0 && len > 0) {
		/* The event thread does not wait for disk or S3. */
		if (!rq->may_block) {
			rq->again = GATE_NEEDS_THREAD;
			r = -EAGAIN;
		} else {
			r = lookup_refresh(n, rq);
		}
		if (r == 0)
			r = cold_may_write(n, rq, off, len);
		if (r == 0 && x->c.commit_s3 && stable != GATE_UNSTABLE)
			r = write_to_s3(n, rq, who, &w);
		else if (r == 0)
			r = write_slow(n, rq, who, &w);
	}
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;	/* room is being made */
	if (r >= 0) {
		*reached = stable == GATE_UNSTABLE ? GATE_UNSTABLE
						   : GATE_FILE_SYNC;
		r = 0;
	}
	wcc_after(n, rq, wcc);
	silence_end(n, rq, r);
	node_put(&n);
	if (rq->may_block && space_short(x->gate))
		space_make(x->gate);
	return r;
}

/* ---- COMMIT ---- */

/* Does a COMMIT of this range tell who has lapsed that nothing of it is to
 * come once more?  Mutex held. */
static bool
ends_lapse_locked(const struct node *n, const char *who, uint64_t off,
		  uint64_t to)
{
	bool active = n->h.state == META_ACTIVE && strcmp(n->h.who, who) == 0;

	mutex_must_hold(&n->mutex);
	return off == 0 && to >= n->i.size && !active &&
	       admit_has_lapsed(n, who);
}

static int
commit_node(struct node *n, struct gate_request *rq, const char *who,
	    uint64_t off, uint32_t count)
{
	uint64_t to = count == 0 || count > UINT64_MAX - off ? UINT64_MAX
							     : off + count;
	bool mine, active, lapsed;
	int r;

	/* S3 gets no half of a file: there it is the whole or nothing. */
	if (n->export->c.commit_s3) {
		off = 0;
		to = UINT64_MAX;
	}
	mutex_lock(&n->mutex);
	r = admit_check_locked(n, who, true);
	mine = n->h.state != META_NONE && strcmp(n->h.who, who) == 0;
	active = mine && n->h.state == META_ACTIVE;
	lapsed = ends_lapse_locked(n, who, off, to);
	if (r == 0 && lapsed && !mine)
		admit_committed_locked(n, who);
	mutex_unlock(&n->mutex);
	/* Without a handle of its own there is nothing of this client that
	 * is not committed (rule.md 2). */
	if (r < 0 || !mine)
		return r;
	if (!rq->may_block) {
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	if (active || lapsed) {
		r = node_lock(n, rq);
		if (r < 0)
			return r;
		/* It may have been committed meanwhile, have changed hands, or
		 * have lapsed: then its bytes may be gone. */
		mutex_lock(&n->mutex);
		r = admit_check_locked(n, who, true);
		active = n->h.state == META_ACTIVE &&
			 strcmp(n->h.who, who) == 0;
		mutex_unlock(&n->mutex);
		if (r == 0 && active)
			r = write_commit(n, off, to, NULL, 0);
		mutex_lock(&n->mutex);
		if (active)
			n->h_last_ms = run_ms(n->export->gate);
		if (r == 0 && ends_lapse_locked(n, who, off, to))
			admit_committed_locked(n, who);
		node_unlock_locked(n);
		mutex_unlock(&n->mutex);
	}
	if (r == 0 && n->export->c.commit_s3)
		r = wait_until_in_s3(n, rq, who);
	return r;
}

int
gate_commit(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *fh, uint64_t off, uint32_t count,
	    struct gate_wcc *wcc)
{
	char who[META_CLIENT_MAX];
	struct node *n = NULL;
	int r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	silence_begin(n, rq);
	if (rq->may_block)
		files_ease(&x->gate->files);
	wcc_before(n, rq, wcc);
	client_id_text(x, rq, who);
	if (node_kind(n) != GATE_REG)
		r = -EINVAL;
	else
		r = commit_node(n, rq, who, off, count);
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;	/* no descriptor is left */
	wcc_after(n, rq, wcc);
	silence_end(n, rq, r);
	node_put(&n);
	return r;
}
