/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it means to commit: the data file is flushed (or, for a few KiB, the
 * bytes stand in the database), then one transaction records the places, the
 * new size and times, the handle's state and the upload that is now due.
 * Only then is the client told.
 *
 * A COMMIT of a part, or a stable WRITE amid others, makes its bytes durable: a
 * crash does not lose them.  But a version is what a writer has flushed
 * whole; until then others, and S3, have the one before.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/inside.h"

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

/* Where the rows of a map go. */
struct rows {
	void (*put)(struct meta_batch *b, uint64_t ino, uint64_t from,
		    uint64_t to, const struct meta_extent *list, size_t count);
	struct meta_batch *batch;
	uint64_t ino;
};

/* Those of [from, to), which may cut some. */
static void
extent_rows(const struct rows *rows, const struct extents *old,
	    const struct extents *now, uint64_t from, uint64_t to)
{
	size_t i, j;

	widen(old, &from, &to);
	widen(now, &from, &to);
	i = extents_seek(now, from);
	for (j = i; j < now->count && now->list[j].off < to; j++)
		;
	rows->put(rows->batch, rows->ino, from,
		  to > INT64_MAX ? INT64_MAX : to,
		  now->count > 0 ? now->list + i : NULL, j - i);
}

/*
 * One commit, from maps to maps.  If nothing stays uncommitted, the durable map
 * and what is taken become part of the flushed version; else what is taken
 * becomes durable, and nobody but its writer sees it yet (rule.md 10).
 *
 * A few extents are set in the map that is there, when all is on disk; its
 * size does not matter then.  Many make a new map.
 */
struct step {
	uint64_t from, to;
	struct extents taken, added;	/* leave dirty; staged gets */
	struct extents now;	/* the map that grows: as it will be, all of
				 * it, or only about what is new */
	bool all;
	struct meta_inode row;
	struct meta_handle handle;
	bool flushes, publishes;
};

#define IN_PLACE_MAX 32		/* extents */

static void
step_free(struct step *s)
{
	extents_free(&s->taken);
	extents_free(&s->added);
	extents_free(&s->now);
	meta_inode_fini(&s->row);
}

#define CLEANUP_STEP __attribute__((cleanup(step_free)))

static int
lay_over(struct extents *m, const struct extents *over)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < over->count; i++)
		r = extents_set(m, over->list[i].off, over->list[i].len,
				over->list[i].at);
	return r;
}

/* What the map will have where `over` comes, and beside that. */
static int
grow(struct extents *m, const struct extents *over, struct step *s)
{
	int r = 0;

	s->all = over->count > IN_PLACE_MAX;
	if (s->all)
		return extents_over(m, over, &s->now);
	for (size_t i = 0; r == 0 && i < over->count; i++) {
		uint64_t from = over->list[i].off;
		uint64_t to = from + over->list[i].len;

		widen(m, &from, &to);
		r = extents_range(m, from, to - from, &s->now);
	}
	if (r == 0)
		r = lay_over(&s->now, over);
	return r < 0 ? r : extents_reserve(m, over->count);
}

/* The rows of that. */
static void
grow_rows(const struct rows *rows, const struct extents *old,
	  const struct extents *over, const struct step *s)
{
	const struct meta_extent *first = over->list;
	const struct meta_extent *last = &over->list[over->count - 1];

	if (s->all)
		extent_rows(rows, old, &s->now, first->off,
			    last->off + last->len);
	for (; !s->all && first <= last; first++)
		extent_rows(rows, old, &s->now, first->off,
			    first->off + first->len);
}

/* And the map itself: there is room for it. */
static void
grow_locked(struct node *n, struct extents *m, const struct extents *over,
	    struct step *s)
{
	struct extents old = *m;

	mutex_must_hold(&n->mutex);
	for (size_t i = 0; !s->all && i < over->count; i++) {
		if (place_set_locked(n, m, over->list[i].off,
				     over->list[i].len, over->list[i].at) < 0)
			audit_broken_locked(n, "no room in a map", n->h.who);
	}
	if (s->all) {
		*m = s->now;
		s->now = (struct extents){ 0 };
		place_release_below_locked(n, &old, over);
		extents_free(&old);
	}
}

/* The version that others will see, and S3. */
static void
publish_row(struct node *n, struct step *s)
{
	const struct meta_extent *last = &s->added.list[s->added.count - 1];

	s->row.data_dirty = true;
	if (s->flushes)
		s->row.size = n->writer_size;
	else if (last->off + last->len > s->row.size)
		s->row.size = last->off + last->len;
	s->row.mtime_ns = n->writer_mtime_ns;
	s->row.ctime_ns = shown_next_ctime_locked(n);
}

/* What memory will be when the transaction is done.  Mutex held. */
static int
prepare_locked(struct node *n, uint64_t from, uint64_t to, struct step *s)
{
	struct data *d = &n->d;
	int r = extents_range(&d->dirty, from, to - from, &s->taken);

	mutex_must_hold(&n->mutex);
	s->from = from;
	s->to = to;
	s->flushes = s->taken.bytes == d->dirty.bytes;
	/* Without room it has to be sent as it is: what waits for the rest
	 * would keep the rest out. */
	s->publishes = s->flushes || space_short(n->export->gate);
	if (r == 0 && s->publishes)
		r = extents_over(&d->durable, &s->taken, &s->added);
	if (r == 0)
		r = s->publishes ? grow(&d->staged, &s->added, s)
				 : grow(&d->durable, &s->taken, s);
	/* The cut may be in the middle of one. */
	if (r == 0)
		r = extents_reserve(&d->dirty, 1);
	if (r == 0)
		r = meta_inode_copy(&n->i, &s->row);
	if (r < 0)
		return r;
	if (s->added.count > 0)
		publish_row(n, s);
	s->handle = n->h;
	s->handle.created &= s->taken.count == 0 && !s->flushes;
	return s->flushes ? meta_handle_transition(&s->handle, META_EV_FLUSH)
			  : 0;
}

static void
step_rows_locked(struct node *n, const struct step *s, struct change *c)
{
	const struct extents *h = &s->taken, *a = &s->added;
	struct meta_batch *b = c->batch;
	struct rows rows = { meta_put_extents, b, n->ino };

	mutex_must_hold(&n->mutex);
	if (s->added.count > 0) {
		grow_rows(&rows, &n->d.staged, a, s);
		if (n->d.durable.count > 0)
			meta_put_durable_extents(b, n->ino, 0, INT64_MAX, NULL,
						 0);
		meta_put_inode(b, &s->row);
		change_upload_locked(c, n, &s->row);
		indoubt_rows_locked(n, c, NULL, NULL);
	} else if (h->count > 0) {
		rows.put = meta_put_durable_extents;
		grow_rows(&rows, &n->d.durable, h, s);
		meta_put_inode(b, &s->row);
	}
	/* Also of one who goes on: the row that its first WRITE posted may not
	 * have got there, and durable bytes are nobody's without it. */
	if (s->handle.state != META_NONE)
		meta_put_handle(b, &s->handle);
	admit_rows_locked(n, b);
}

static void
applied_locked(struct node *n, struct step *s)
{
	struct data *d = &n->d;
	struct extents durable = d->durable;

	mutex_must_hold(&n->mutex);
	if (s->publishes) {
		grow_locked(n, &d->staged, &s->added, s);
		d->durable = (struct extents){ 0 };
	} else {
		grow_locked(n, &d->durable, &s->taken, s);
	}
	/* To where it is now. */
	if (extents_cut(&d->dirty, s->from, s->to - s->from) < 0)
		audit_broken_locked(n, "no room in a map", n->h.who);
	if (s->publishes) {
		place_release_below_locked(n, &durable, &s->taken);
		extents_free(&durable);
	}
	/* A copy of the base below staged bytes is of no more use. */
	for (size_t i = 0; d->clean.count > 0 && i < s->added.count; i++)
		data_unclean_locked(n, s->added.list[i].off,
				    s->added.list[i].len);
	if (s->added.count > 0) {
		n->content_version++;
		n->i.data_dirty = true;
		n->i.size = s->row.size;
		n->i.mtime_ns = s->row.mtime_ns;
		n->i.ctime_ns = s->row.ctime_ns;
	}
	n->uncommitted = s->flushes ? 0 : extents_bytes(&d->dirty);
	if (s->flushes && n->h.state == META_ACTIVE) {
		/* Not before: an empty file is owed to S3 all the while. */
		n->flush_empty = false;
		handle_transition_locked(n, META_EV_FLUSH);
	}
	/* Of one moment, for who is shown what is there. */
	if (n->shown != NULL && s->added.count > 0 &&
	    shown_take_locked(n) < 0)
		shown_drop_locked(n);
	n->h.created = s->handle.created;
	admit_rows_written_locked(n);
	data_account_locked(n);
	upload_schedule_locked(n, n->export->c.commit_s3 && s->flushes);
	admit_flushed_locked(n);
}

/* Wait for WRITEs under way, then flush the file, if there is one.
 * *in_memory: there is none. */
static int
sync_file(struct node *n, bool *in_memory)
{
	int r = 0;

	mutex_lock(&n->mutex);
	while (n->d.writing > 0)
		mutex_wait(&n->mutex, &n->changed, NULL);
	/* Too much for the journal: then it is a file like others. */
	if (n->d.memory != NULL &&
	    n->d.journal_bytes + extents_bytes(&n->d.dirty) > JOURNAL_FILE_MAX)
		r = data_spill_locked(n);
	*in_memory = n->d.memory != NULL;
	mutex_unlock(&n->mutex);
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
	CLEANUP_CHANGE struct change c;
	CLEANUP_STEP struct step s = { 0 };
	bool journaled = false, in_memory = false;
	int r;

	change_begin(&c, g);
	failpoint("commit-before-sync");
	for (;;) {
		if (journal == NULL && (r = sync_file(n, &in_memory)) < 0)
			return r;
		failpoint("commit-after-sync");
		mutex_lock(&n->mutex);
		/* A reader's fetch may just have made it a file. */
		if (journal != NULL || !in_memory || n->d.memory != NULL)
			break;
		mutex_unlock(&n->mutex);
	}
	r = prepare_locked(n, from, to, &s);
	if (r == 0) {
		step_rows_locked(n, &s, &c);
		if (journal != NULL)
			meta_put_journal(c.batch, n->ino, s.taken.list[0].at,
					 journal, journal_len);
		else if (n->d.memory != NULL)
			journal_len = journal_memory(n, &s.taken, c.batch);
		else if (n->d.journal_bytes > 0)
			meta_del_journal(c.batch, n->ino);
		journaled = journal != NULL || n->d.memory != NULL;
	}
	mutex_unlock(&n->mutex);
	if (r == 0)
		r = change_commit(&c);
	if (r == 0)
		__atomic_store_n(&g->promised, true, __ATOMIC_RELAXED);
	failpoint("commit-done");
	if (r == 0) {
		mutex_lock(&n->mutex);
		n->d.journal_bytes =
			journaled ? n->d.journal_bytes + journal_len : 0;
		applied_locked(n, &s);
		mutex_unlock(&n->mutex);
	}
	return r;
}

int
write_resize(struct node *n, uint64_t size, struct meta_inode *row,
	     struct change *c)
{
	struct meta_batch *batch = c->batch;
	struct rows rows = { meta_put_extents, batch, n->ino };
	struct extents staged = { 0 }, durable = { 0 };
	struct meta_handle handle;
	bool flushes;
	int r;

	if (size > FILE_SIZE_MAX)
		return -EFBIG;
	r = quota_allows(n->export, n->i.size, size);
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	r = size > n->writer_size ? quota_hole_locked(n, size) : 0;
	if (r < 0) {
		mutex_unlock(&n->mutex);
		return r;
	}
	while (n->d.writing > 0)
		mutex_wait(&n->mutex, &n->changed, NULL);
	/* Uncommitted bytes below the new size remain uncommitted. */
	flushes = extents_seek(&n->d.dirty, 0) == n->d.dirty.count ||
		  n->d.dirty.list[0].off >= size;
	r = extents_copy(&n->d.staged, &staged);
	if (r == 0)
		r = extents_copy(&n->d.durable, &durable);
	if (r == 0 && flushes)
		r = lay_over(&staged, &durable);
	if (r == 0)
		r = extents_cut(&staged, size, UINT64_MAX - size);
	if (r == 0)
		r = extents_cut(&durable, size, UINT64_MAX - size);
	if (r < 0) {
		mutex_unlock(&n->mutex);
		extents_free(&staged);
		extents_free(&durable);
		return r;
	}
	if (size != row->size || n->uncommitted > 0 || n->d.durable.count > 0 ||
	    n->h.created)
		row->data_dirty = true;
	row->size = size;
	if (row->base_limit > size)
		row->base_limit = size;
	extent_rows(&rows, &n->d.staged, &staged,
		    flushes && n->d.durable.count > 0 ? 0 : size, INT64_MAX);
	if (n->d.durable.count > 0)
		meta_put_durable_extents(batch, n->ino, 0, INT64_MAX,
					 durable.list,
					 flushes ? 0 : durable.count);
	extents_free(&staged);
	extents_free(&durable);
	handle = n->h;
	handle.created = false;
	if (flushes)
		r = meta_handle_transition(&handle, META_EV_FLUSH);
	meta_put_handle(batch, &handle);
	if (row->data_dirty)
		change_upload_locked(c, n, row);
	mutex_unlock(&n->mutex);
	return r;
}

int
silence_flush(struct node *n)
{
	struct gate *g = n->export->gate;
	char who[META_CLIENT_MAX];
	uint64_t now, silent, bytes;
	bool due, owed;
	int r = 0;

	node_lock_wait(n);
	mutex_lock(&n->mutex);
	now = run_ms(g);
	due = !n->dead && silence_due_locked(n, now);
	/* What it sent is not committed as far as it knows, and may come once
	 * more: not over what somebody else has begun by then. */
	owed = due && n->d.dirty.count > 0;
	n->h.lapsed |= owed;
	if (owed)
		r = fence_locked(n, n->h.who, META_FLUSHED, false);
	strcpy(who, n->h.who);
	silent = silence_ms_locked(n, now);
	bytes = n->uncommitted;
	mutex_unlock(&n->mutex);
	if (due && r == 0) {
		failpoint("silence-before-flush");
		r = write_commit(n, 0, UINT64_MAX, NULL, 0);
		failpoint("silence-after-flush");
	}
	mutex_lock(&n->mutex);
	if (due && r == 0)
		__atomic_add_fetch(&g->idle_flushed, 1, __ATOMIC_RELAXED);
	else if (due)
		n->h.lapsed = false;
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
	if (due && r == 0)
		silence_log(n, who, silent, bytes);
	return r;
}

void
gate_verifier(struct gate *g, uint8_t verf[8])
{
	mutex_lock(&g->mutex);
	memcpy(verf, g->verifier, 8);
	mutex_unlock(&g->mutex);
}
