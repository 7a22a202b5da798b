/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WRITE and COMMIT.
 *
 * A WRITE goes to a free place of the data file and into the live map.  To
 * commit means: the data file is flushed (or, for a few KiB, the bytes stand
 * in the database), then one transaction records the places as staged, the
 * new size and times, the handle's state and the upload that is now due.
 * Only then is the client told.
 *
 * While a writer streams, WRITEs take the short way: the handle is theirs
 * and active, nobody holds the file lock, nothing has to be decided.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "nfsd/gate/gate_priv.h"
#include "nfsd/gate/watch.h"

#define INLINE_MAX (64U << 10)	/* bytes that an event thread may write */

void
gate_verifier(struct gate *g, uint8_t verf[8])
{
	pthread_mutex_lock(&g->mutex);
	memcpy(verf, g->verifier, 8);
	pthread_mutex_unlock(&g->mutex);
}

void
write_lost(struct gate *g, struct node *n)
{
	uint8_t verf[8];

	if (getrandom(verf, sizeof(verf), 0) != sizeof(verf)) {
		int64_t now = clock_ns();

		memcpy(verf, &now, sizeof(verf));
	}
	pthread_mutex_lock(&g->mutex);
	memcpy(g->verifier, verf, sizeof(verf));
	pthread_mutex_unlock(&g->mutex);
	pthread_mutex_lock(&n->mutex);
	data_drop_live_locked(n);
	n->d.suspect = true;
	pthread_mutex_unlock(&n->mutex);
	gate_say(g, 0,
		 "flushing a data file failed; uncommitted bytes are lost and "
		 "clients are told by a new write verifier: inode=%llu",
		 (unsigned long long)n->ino);
}

/* ---- staging ---- */

/* The handle is ours and active.  Mutex held; released while writing. */
static int
stage_locked(struct node *n, const char *who, uint64_t off, const void *data,
	     uint32_t len)
{
	struct gate *g = n->export->gate;
	uint64_t at;
	int r = watch_writer_locked(n, who);

	if (r == 0)
		r = quota_allows(n->export, n->live_size, off + len);
	if (r == 0)
		r = room_reserve(g, len, n->d.accounted_staged);
	if (r == 0)
		r = data_place_locked(n, off, len, false, &at);
	if (r < 0)
		return r;
	__atomic_add_fetch(&g->staged_bytes, len, __ATOMIC_RELAXED);
	n->d.accounted_staged += len;
	r = data_put_locked(n, data, len, at);
	if (r == 0)
		r = data_live_locked(n, off, len, at);
	else if (at == off)
		(void)extents_cut(&n->d.filling, off, len);
	if (r < 0)
		return r;
	n->uncommitted += len;
	if (off + len > n->live_size)
		quota_size_locked(n, off + len);
	n->live_mtime_ns = clock_ns();
	n->h_last_ms = clock_ms();
	return 0;
}

/* ---- committing ---- */

static void
widen(const struct extents *m, uint64_t *from, uint64_t *to)
{
	/* Neighbours count: they may have been merged with the range.  Theirs
	 * do not, or a file in many pieces would be written down whole. */
	uint64_t end = *to;
	size_t i = extents_seek(m, *from > 0 ? *from - 1 : 0);

	for (; i < m->count && m->list[i].off <= end; i++) {
		if (m->list[i].off < *from)
			*from = m->list[i].off;
		if (m->list[i].off + m->list[i].len > *to)
			*to = m->list[i].off + m->list[i].len;
	}
}

void
write_extent_rows(struct meta_batch *b, uint64_t ino,
		  const struct extents *old, const struct extents *now,
		  uint64_t from, uint64_t to)
{
	size_t i, j;

	widen(old, &from, &to);
	widen(now, &from, &to);
	i = extents_seek(now, from);
	for (j = i; j < now->count && now->list[j].off < to; j++)
		;
	meta_put_extents(b, ino, from, to > INT64_MAX ? INT64_MAX : to,
			 now->count > 0 ? now->list + i : NULL, j - i);
}

/* Live extents within [from, to). */
static int
take(const struct extents *live, uint64_t from, uint64_t to,
     struct extents *out, uint64_t *end)
{
	*end = 0;
	for (size_t i = extents_seek(live, from);
	     i < live->count && live->list[i].off < to; i++) {
		struct meta_extent e = live->list[i];

		if (e.off < from) {
			e.at += from - e.off;
			e.len -= from - e.off;
			e.off = from;
		}
		if (e.off + e.len > to)
			e.len = to - e.off;
		if (extents_set(out, e.off, e.len, e.at) < 0)
			return -ENOMEM;
		*end = e.off + e.len;
	}
	return 0;
}

struct step {			/* one commit, from maps to maps */
	struct extents taken, staged, live;
	struct meta_inode row;
	struct meta_handle handle;
	bool flushes;
};

static void
step_free(struct step *s)
{
	extents_free(&s->taken);
	extents_free(&s->staged);
	extents_free(&s->live);
	meta_inode_fini(&s->row);
}

/* What memory will be when the transaction is done.  Mutex held. */
static int
prepare_locked(struct node *n, uint64_t from, uint64_t to, struct step *s)
{
	uint64_t end;
	int r = take(&n->d.live, from, to, &s->taken, &end);

	if (r == 0)
		r = extents_copy(&n->d.staged, &s->staged);
	if (r == 0)
		r = extents_copy(&n->d.live, &s->live);
	for (size_t i = 0; r == 0 && i < s->taken.count; i++) {
		const struct meta_extent *e = &s->taken.list[i];

		r = extents_set(&s->staged, e->off, e->len, e->at);
		if (r == 0)
			r = extents_cut(&s->live, e->off, e->len);
	}
	if (r == 0)
		r = meta_inode_copy(&n->i, &s->row);
	if (r < 0)
		return r;
	s->flushes = s->live.count == 0;
	if (s->taken.count > 0) {
		s->row.data_dirty = true;
		if (s->flushes)
			s->row.size = n->live_size;
		else if (end > s->row.size)
			s->row.size = end;
		s->row.mtime_ns = n->live_mtime_ns;
		if (s->row.ctime_ns < n->live_mtime_ns)
			s->row.ctime_ns = n->live_mtime_ns;
	}
	s->handle = n->h;
	return s->flushes ? meta_handle_move(&s->handle, META_EV_FLUSH) : 0;
}

/* Places that the staged map gives up. */
static void
punch_displaced_locked(struct node *n, const struct extents *taken)
{
	for (size_t i = 0; i < taken->count; i++) {
		uint64_t off = taken->list[i].off;
		uint64_t end = off + taken->list[i].len;

		while (off < end) {
			uint64_t at, len;
			bool there = extents_at(&n->d.staged, off, &at, &len);

			if (len > end - off)
				len = end - off;
			if (there && n->d.pins > 0)
				n->d.displaced = true;
			else if (there && at != taken->list[i].at +
						    (off - taken->list[i].off))
				data_punch(n, at, len);
			off += len;
		}
	}
}

static void
applied_locked(struct node *n, struct step *s)
{
	struct data *d = &n->d;

	punch_displaced_locked(n, &s->taken);
	/* A copy of the base below staged bytes is of no more use. */
	for (size_t i = 0; i < s->taken.count; i++)
		(void)extents_cut(&d->clean, s->taken.list[i].off,
				  s->taken.list[i].len);
	extents_free(&d->staged);
	d->staged = s->staged;
	extents_free(&d->live);
	d->live = s->live;
	s->staged = s->live = (struct extents){ 0 };
	if (s->taken.count > 0) {
		n->content_version++;
		n->i.data_dirty = true;
		n->i.size = s->row.size;
		n->i.mtime_ns = s->row.mtime_ns;
		n->i.ctime_ns = s->row.ctime_ns;
	}
	n->uncommitted = s->flushes ? 0 : extents_bytes(&d->live);
	if (s->flushes && n->h.state == META_ACTIVE)
		handle_move_locked(n, META_EV_FLUSH);
	n->h.created = n->h.created && s->taken.count == 0;
	data_account_locked(n);
	upload_schedule_locked(n, n->export->c.commit_s3 && s->flushes);
	admit_settle_locked(n);
}

/* Wait for WRITEs under way, then flush the file, if there is one.
 * *in_memory: there is none. */
static int
sync_file(struct node *n, bool *in_memory)
{
	bool suspect;
	int r = 0;

	pthread_mutex_lock(&n->mutex);
	while (n->d.writing > 0)
		pthread_cond_wait(&n->changed, &n->mutex);
	/* Too much for the journal: then it is a file like others. */
	if (n->d.memory != NULL &&
	    n->d.journal_bytes + extents_bytes(&n->d.live) > JOURNAL_FILE_MAX)
		r = data_spill_locked(n);
	*in_memory = n->d.memory != NULL;
	suspect = n->d.suspect;
	pthread_mutex_unlock(&n->mutex);
	if (r == 0 && suspect)
		r = data_rewrite(n);
	return r < 0 ? r : data_sync(n);
}

/* A small file's bytes go through the database. */
static uint64_t
journal_memory(struct node *n, const struct extents *taken,
	       struct meta_batch *b)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < taken->count; i++) {
		const struct meta_extent *e = &taken->list[i];

		meta_put_journal(b, n->ino, e->at, n->d.memory + e->at,
				 e->len);
		bytes += e->len;
	}
	return bytes;
}

int
write_commit(struct node *n, uint64_t from, uint64_t to, const void *journal,
	     uint64_t journal_len)
{
	struct gate *g = n->export->gate;
	struct step s = { 0 };
	struct meta_batch *b;
	bool journaled = false, in_memory = false;
	int r;

	failpoint("commit-before-sync");
	for (;;) {
		if (journal == NULL && (r = sync_file(n, &in_memory)) < 0) {
			write_lost(g, n);
			return r;
		}
		failpoint("commit-after-sync");
		pthread_mutex_lock(&n->mutex);
		/* A reader's fetch may just have made it a file. */
		if (journal != NULL || !in_memory || n->d.memory != NULL)
			break;
		pthread_mutex_unlock(&n->mutex);
	}
	b = meta_batch_new();
	if (b == NULL) {
		pthread_mutex_unlock(&n->mutex);
		return -ENOMEM;
	}
	r = prepare_locked(n, from, to, &s);
	if (r == 0) {
		if (s.taken.count > 0) {
			write_extent_rows(b, n->ino, &n->d.staged, &s.staged,
					  s.taken.list[0].off,
					  s.taken.list[s.taken.count - 1].off +
						  s.taken.list[s.taken.count -
							       1]
							  .len);
			meta_put_inode(b, &s.row);
			upload_note_locked(n, b);
			lost_rows_locked(n, b, NULL);
		}
		if (journal != NULL)
			meta_put_journal(b, n->ino, s.taken.list[0].at,
					 journal, journal_len);
		else if (n->d.memory != NULL)
			journal_len = journal_memory(n, &s.taken, b);
		else if (n->d.journal_bytes > 0)
			meta_del_journal(b, n->ino);
		journaled = journal != NULL || n->d.memory != NULL;
		if (s.flushes)
			meta_put_handle(b, &s.handle);
	}
	pthread_mutex_unlock(&n->mutex);
	if (r == 0)
		r = meta_commit(g->meta, &b);
	else
		meta_batch_free(&b);
	failpoint("commit-done");
	if (r == 0) {
		pthread_mutex_lock(&n->mutex);
		n->d.journal_bytes =
			journaled ? n->d.journal_bytes + journal_len : 0;
		applied_locked(n, &s);
		pthread_mutex_unlock(&n->mutex);
	}
	step_free(&s);
	return r;
}

int
write_resize(struct node *n, uint64_t size, struct meta_inode *row,
	     struct meta_batch *batch)
{
	struct extents staged = { 0 };
	struct meta_handle handle;
	int r;

	if (size > FILE_SIZE_MAX)
		return -EFBIG;
	r = quota_allows(n->export, n->i.size, size);
	if (r < 0)
		return r;
	pthread_mutex_lock(&n->mutex);
	while (n->d.writing > 0)
		pthread_cond_wait(&n->changed, &n->mutex);
	r = extents_copy(&n->d.staged, &staged);
	if (r == 0)
		r = extents_cut(&staged, size, UINT64_MAX - size);
	if (r < 0) {
		pthread_mutex_unlock(&n->mutex);
		extents_free(&staged);
		return r;
	}
	if (size != row->size || n->uncommitted > 0 || n->h.created)
		row->data_dirty = true;
	row->size = size;
	if (row->base_limit > size)
		row->base_limit = size;
	write_extent_rows(batch, n->ino, &n->d.staged, &staged, size,
			  INT64_MAX);
	extents_free(&staged);
	handle = n->h;
	/* Uncommitted bytes below the new size remain uncommitted. */
	if (extents_seek(&n->d.live, 0) == n->d.live.count ||
	    n->d.live.list[0].off >= size)
		r = meta_handle_move(&handle, META_EV_FLUSH);
	meta_put_handle(batch, &handle);
	if (row->data_dirty)
		upload_note_locked(n, batch);
	pthread_mutex_unlock(&n->mutex);
	return r;
}

/* ---- WRITE ---- */

/* Who writes to a program does not inherit its rights.  The row follows with
 * the COMMIT.  Mutex held. */
static void
strip_set_id_locked(struct node *n, const struct gate_request *rq)
{
	uint32_t mode = perm_mode_written(rq, &n->i);

	if (mode == n->i.mode)
		return;
	n->i.mode = mode;
	n->i.attr_dirty = true;
	n->attr_version++;
}

/* The short way, if nothing has to be decided.  1: taken. */
static int
write_fast(struct node *n, struct gate_request *rq, const char *who,
	   uint64_t off, const void *data, uint32_t len)
{
	int r = 0;

	pthread_mutex_lock(&n->mutex);
	if (!n->locked && !n->dead && n->h.state == META_ACTIVE &&
	    !n->settle_empty && LIST_EMPTY(&n->fenced) &&
	    strcmp(n->h.who, who) == 0 &&
	    (rq->may_block || len <= INLINE_MAX)) {
		r = stage_locked(n, who, off, data, len);
		if (r == 0)
			strip_set_id_locked(n, rq);
		r = r < 0 ? r : 1;
	}
	pthread_mutex_unlock(&n->mutex);
	return r;
}

static int
write_slow(struct node *n, struct gate_request *rq, const char *who,
	   uint64_t off, const void *data, uint32_t len,
	   enum gate_stable stable)
{
	struct gate *g = n->export->gate;
	struct meta_batch *b;
	bool small;
	int r = admit_writer(n, rq, who);

	if (r < 0)
		return r;
	pthread_mutex_lock(&n->mutex);
	r = stage_locked(n, who, off, data, len);
	if (r == 0)
		strip_set_id_locked(n, rq);
	small = len <= JOURNAL_WRITE_MAX &&
		n->d.journal_bytes + len <= JOURNAL_FILE_MAX;
	pthread_mutex_unlock(&n->mutex);
	if (r == 0 && stable != GATE_UNSTABLE) {
		r = write_commit(n, off, off + len, small ? data : NULL, len);
	} else if (r == 0) {
		/* The row need not be waited for: without committed bytes a
		 * crash owes the client nothing but a new verifier. */
		b = meta_batch_new();
		if (b != NULL)
			meta_put_handle(b, &n->h);
		meta_post(g->meta, &b);
	}
	pthread_mutex_lock(&n->mutex);
	if (r < 0)
		admit_undo_locked(n);
	node_unlock_locked(n);
	pthread_mutex_unlock(&n->mutex);
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

	pthread_mutex_lock(&n->mutex);
	if (n->up.pending && n->i.data_dirty) {
		upload_schedule_locked(n, true);
		if (clock_ms() < until) {
			r = node_hold_locked(n, rq, until);
		} else {
			rq->again = GATE_JUKEBOX;
			r = -EAGAIN;
		}
	}
	pthread_mutex_unlock(&n->mutex);
	return r;
}

/* The same for callers without a token, who wait in their thread.  0 when the
 * bucket has it, or the error that S3 gave. */
static int
settle_in_s3(struct node *n, struct gate_request *rq, const char *who)
{
	int r;

	while ((r = wait_for_s3(n, rq)) == -EAGAIN && rq->token == NULL &&
	       rq->may_block && rq->again == GATE_NEEDS_THREAD)
		;
	if (r == 1) {
		pthread_mutex_lock(&n->mutex);
		r = admit_check_locked(n, who, true);
		pthread_mutex_unlock(&n->mutex);
	}
	return r;
}

/* Are these bytes the file's already, and committed?  Then this is the call
 * that waits for S3, run anew. */
static bool
is_written(struct node *n, struct gate_request *rq, uint64_t off,
	   const void *data, uint32_t len)
{
	bool same, eof;
	uint32_t got = 0;
	char *buf;

	pthread_mutex_lock(&n->mutex);
	same = n->d.live.count == 0 && n->i.size >= off + len &&
	       n->h.state != META_ACTIVE;
	pthread_mutex_unlock(&n->mutex);
	buf = same ? malloc(len) : NULL;
	same = buf != NULL &&
	       read_node(n, rq, off, buf, len, &got, &eof) == 0 &&
	       got == len && memcmp(buf, data, len) == 0;
	rq->again = GATE_AGAIN_NONE;
	free(buf);
	return same;
}

/* A stable WRITE is a flush, and with commit=s3 a flush means the bucket. */
static int
write_to_s3(struct node *n, struct gate_request *rq, const char *who,
	    uint64_t off, const void *data, uint32_t len,
	    enum gate_stable stable)
{
	int r = 0;

	if (!is_written(n, rq, off, data, len))
		r = write_slow(n, rq, who, off, data, len, stable);
	return r < 0 ? r : settle_in_s3(n, rq, who);
}

int
gate_write(struct gate_export *x, struct gate_request *rq,
	   const struct gate_fh *fh, uint64_t off, const void *data,
	   uint32_t len, enum gate_stable stable, enum gate_stable *reached,
	   struct gate_wcc *wcc)
{
	char who[META_WHO_MAX];
	struct node *n = NULL;
	int r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	wcc_before(n, rq, wcc);
	r = write_checks(x, rq, n, off, len);
	who_text(x, rq, who);
	if (r == 0 && len > 0 && stable == GATE_UNSTABLE)
		r = write_fast(n, rq, who, off, data, len);
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
		if (r == 0 && x->c.commit_s3 && stable != GATE_UNSTABLE)
			r = write_to_s3(n, rq, who, off, data, len, stable);
		else if (r == 0)
			r = write_slow(n, rq, who, off, data, len, stable);
	}
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;	/* room is being made */
	if (r >= 0) {
		*reached = stable == GATE_UNSTABLE ? GATE_UNSTABLE
						   : GATE_FILE_SYNC;
		r = 0;
	}
	wcc_after(n, rq, wcc);
	node_put(&n);
	if (rq->may_block && room_short(x->gate))
		room_make(x->gate);
	return r;
}

/* ---- COMMIT ---- */

static int
commit_node(struct node *n, struct gate_request *rq, const char *who,
	    uint64_t off, uint32_t count)
{
	uint64_t to = count == 0 || count > UINT64_MAX - off ? UINT64_MAX
							     : off + count;
	bool mine, active;
	int r;

	pthread_mutex_lock(&n->mutex);
	r = admit_check_locked(n, who, true);
	mine = n->h.state != META_NONE && strcmp(n->h.who, who) == 0;
	active = mine && n->h.state == META_ACTIVE;
	pthread_mutex_unlock(&n->mutex);
	/* Without a handle of its own there is nothing of this client that
	 * is not committed (rule.md 2). */
	if (r < 0 || !mine)
		return r;
	if (!rq->may_block) {
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	if (active) {
		r = node_lock(n, rq);
		if (r < 0)
			return r;
		/* It may have changed hands or been committed meanwhile. */
		pthread_mutex_lock(&n->mutex);
		active = n->h.state == META_ACTIVE &&
			 strcmp(n->h.who, who) == 0;
		if (active)
			n->settle_empty = false;
		pthread_mutex_unlock(&n->mutex);
		if (active)
			r = write_commit(n, off, to, NULL, 0);
		pthread_mutex_lock(&n->mutex);
		n->h_last_ms = clock_ms();
		node_unlock_locked(n);
		pthread_mutex_unlock(&n->mutex);
	}
	if (r == 0 && n->export->c.commit_s3)
		r = settle_in_s3(n, rq, who);
	return r;
}

int
gate_commit(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *fh, uint64_t off, uint32_t count,
	    struct gate_wcc *wcc)
{
	char who[META_WHO_MAX];
	struct node *n = NULL;
	int r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	wcc_before(n, rq, wcc);
	who_text(x, rq, who);
	if (node_kind(n) != GATE_REG)
		r = -EINVAL;
	else
		r = commit_node(n, rq, who, off, count);
	wcc_after(n, rq, wcc);
	node_put(&n);
	return r;
}

/* ---- writers that went silent ---- */

int
write_settle_empty(struct node *n)
{
	uint64_t now = clock_ms();
	bool due;
	int r = 0;

	node_lock_wait(n);
	pthread_mutex_lock(&n->mutex);
	due = !n->dead && n->h.state == META_ACTIVE && n->settle_empty &&
	      n->h_opened_ms + n->export->c.create_settle_ms <= now;
	if (due)
		n->settle_empty = false;
	pthread_mutex_unlock(&n->mutex);
	if (due)
		r = write_commit(n, 0, UINT64_MAX, NULL, 0);
	node_unlock(n);
	return r;
}

int
write_abandon(struct node *n)
{
	struct gate_export *x = n->export;
	char path[512];
	bool due;
	int r = 0;

	path_text(n, path, sizeof(path));
	node_lock_wait(n);
	pthread_mutex_lock(&n->mutex);
	due = !n->dead && n->h.state == META_ACTIVE &&
	      n->h_last_ms + n->lease_ms <= clock_ms();
	pthread_mutex_unlock(&n->mutex);
	if (!due) {
		node_unlock(n);
		return 0;
	}
	gate_say(x->gate, 1,
		 "writer went silent: file=%s client=%s uncommitted=%llu "
		 "policy=%s",
		 path, n->h.who, (unsigned long long)n->uncommitted,
		 x->c.abandon == GATE_ABANDON_PUBLISH ? "publish"
		 : x->c.abandon == GATE_ABANDON_DISCARD ? "discard"
							 : "quarantine");
	pthread_mutex_lock(&n->mutex);
	if (x->c.abandon == GATE_ABANDON_PUBLISH) {
		(void)fence_locked(n, n->h.who, META_FLUSHED, false);
	} else {
		(void)fence_locked(n, n->h.who, META_FENCED, true);
		/* A WRITE under way would come after the others had gone. */
		while (n->d.writing > 0)
			pthread_cond_wait(&n->changed, &n->mutex);
		if (x->c.abandon == GATE_ABANDON_DISCARD)
			data_drop_live_locked(n);
	}
	pthread_mutex_unlock(&n->mutex);
	r = write_commit(n, 0, UINT64_MAX, NULL, 0);
	/* Nothing that S3 lacks, nothing to set aside. */
	if (r == 0 && x->c.abandon == GATE_ABANDON_QUARANTINE &&
	    n->up.pending)
		r = quarantine_put(n, "its writer went silent");
	node_unlock(n);
	return r;
}
