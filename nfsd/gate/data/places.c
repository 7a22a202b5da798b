/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places in data files: who has them, and what becomes of them.
 *
 * A place is a range of the data file.  Below OVERFLOW_START it is the range
 * of the file itself; there what no map has is free.  Above, `used` tells
 * which places are given out, and for which range; the next one goes into a
 * gap of it or behind its end, so that the area shrinks with what lies there.
 *
 *	     data_place        data_dirty, ...
 *	free ----------> filling ----------> a map (dirty, durable, staged,
 *	 ^                  |                 |       clean, or what is shown)
 *	 |                  | not written     | replaced, cut, dropped
 *	 |                  v                 v
 *	 +--- punched --- released ---> held, while a reader or a snapshot
 *	                                that began before may look at it
 *
 * So each place is in one of them.  Readers come in two generations: what is
 * given up waits for those that are there, not for those that come.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "nfsd/gate/data/inside.h"

#define BLOCK 4096ULL
#define GAPS_LOOKED_AT 64
/* Below the 16 TiB that ext4 allows. */
#define OVERFLOW_END (15ULL << 40)

static uint64_t
down(uint64_t at)
{
	return at & ~(BLOCK - 1);
}

static uint64_t
up(uint64_t at)
{
	return (at + BLOCK - 1) & ~(BLOCK - 1);
}

/* ---- where a place is ---- */

/* Do these bytes of the file lie there by this map?  Shortens *len to where
 * the answer may change. */
static bool
leads_to(const struct extents *m, uint64_t off, uint64_t *len, uint64_t at)
{
	uint64_t there = 0, run;
	bool any = extents_at(m, off, &there, &run);

	if (run < *len)
		*len = run;
	return any && there == at;
}

static bool
is_mapped(const struct node *n, uint64_t off, uint64_t *len, uint64_t at)
{
	const struct data *d = &n->d;
	bool mapped = leads_to(&d->dirty, off, len, at);

	mapped |= leads_to(&d->durable, off, len, at);
	mapped |= leads_to(&d->staged, off, len, at);
	mapped |= leads_to(&d->clean, off, len, at);
	mapped |= leads_to(&d->filling, off, len, at);
	if (n->shown != NULL)
		mapped |= leads_to(&n->shown->map, off, len, at);
	return mapped;
}

static bool
in_snapshot(const struct node *n, uint64_t off, uint64_t *len, uint64_t at)
{
	const struct snapshot *s;
	bool there = false;

	LIST_FOREACH(s, &n->d.snapshots, link) {
		there |= leads_to(&s->staged, off, len, at);
		there |= leads_to(&s->clean, off, len, at);
	}
	return there;
}

bool
place_is_held(const struct node *n, uint64_t off, uint64_t len)
{
	const struct data *d = &n->d;

	return extents_in_place(&d->gone[0], off, len) ||
	       extents_in_place(&d->gone[1], off, len) ||
	       extents_in_place(&d->held, off, len);
}

/* Does anything lie in place there? */
static bool
is_taken(const struct node *n, uint64_t off, uint64_t len)
{
	const struct data *d = &n->d;

	return extents_in_place(&d->dirty, off, len) ||
	       extents_in_place(&d->durable, off, len) ||
	       extents_in_place(&d->staged, off, len) ||
	       extents_in_place(&d->clean, off, len) ||
	       extents_in_place(&d->filling, off, len) ||
	       (n->shown != NULL &&
		extents_in_place(&n->shown->map, off, len)) ||
	       place_is_held(n, off, len);
}

/* ---- free again ---- */

/* Is nothing in [from, to)?  Both in one area. */
static bool
is_free(const struct node *n, uint64_t from, uint64_t to)
{
	const struct extents *used = &n->d.used;
	size_t i;

	if (from >= to)
		return true;
	if (from < OVERFLOW_START)
		return !is_taken(n, from, to - from);
	i = extents_seek(used, from);
	return i == used->count || used->list[i].off >= to;
}

/* The file's blocks there are free; no map has them.  Mutex held. */
static void
data_punch(struct node *n, uint64_t at, uint64_t len)
{
	struct data_file *f = NULL;

	/* Best effort: a file system without holes keeps the bytes until the
	 * file goes. */
	if (n->d.file != NULL && data_use_locked(n, &f) == 0)
		(void)fallocate(f->fd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)at, (off_t)len);
	file_done(&f);
}

/* To whole blocks, where the rest of them is free as well: a part of one is
 * only overwritten with zeros. */
static void
free_place(struct node *n, uint64_t at, uint64_t len)
{
	uint64_t from = at, to = at + len;

	if (at >= OVERFLOW_START && extents_cut(&n->d.used, at, len) < 0)
		n->d.untidy = true;
	if (is_free(n, down(from), from))
		from = down(from);
	if (is_free(n, to, up(to)))
		to = up(to);
	data_punch(n, from, to - from);
}

/* Given up, and no reader can be at it. */
static void
dispose(struct node *n, uint64_t off, uint64_t at, uint64_t len)
{
	for (uint64_t done = 0, run; done < len; done += run) {
		run = len - done;
		if (!in_snapshot(n, off + done, &run, at + done))
			free_place(n, at + done, run);
		else if (extents_set(&n->d.held, at + done, run,
				     off + done) < 0)
			n->d.untidy = true;
	}
}

/* What is in such a list: `off` is the place, `at` the range. */
static void
dispose_all(struct node *n, struct extents *list)
{
	struct extents all = *list;

	*list = (struct extents){ 0 };
	for (size_t i = 0; i < all.count; i++)
		dispose(n, all.list[i].at, all.list[i].off, all.list[i].len);
	if (all.count > 0)
		data_account_locked(n);
	extents_free(&all);
}

void
place_release_locked(struct node *n, uint64_t off, uint64_t at, uint64_t len)
{
	struct data *d = &n->d;

	mutex_must_hold(&n->mutex);
	if (d->file == NULL)
		return;
	for (uint64_t done = 0, run; done < len; done += run) {
		run = len - done;
		if (is_mapped(n, off + done, &run, at + done))
			continue;
		if (d->readers[0] + d->readers[1] == 0)
			dispose(n, off + done, at + done, run);
		else if (extents_set(&d->gone[d->generation], at + done, run,
				     off + done) < 0)
			d->untidy = true;
	}
}

void
place_release_all_locked(struct node *n, struct extents *old)
{
	mutex_must_hold(&n->mutex);
	for (size_t i = 0; i < old->count; i++)
		place_release_locked(n, old->list[i].off, old->list[i].at,
				     old->list[i].len);
	extents_free(old);
}

void
place_release_below_locked(struct node *n, const struct extents *old,
			   const struct extents *over)
{
	mutex_must_hold(&n->mutex);
	for (size_t i = 0; i < over->count; i++) {
		uint64_t off = over->list[i].off, at, run;
		uint64_t end = off + over->list[i].len;

		for (; off < end; off += run) {
			bool there = extents_at(old, off, &at, &run);

			if (run > end - off)
				run = end - off;
			if (there)
				place_release_locked(n, off, at, run);
		}
	}
}

int
place_cut_locked(struct node *n, struct extents *m, uint64_t off, uint64_t len)
{
	struct extents old = { 0 };
	int r;

	mutex_must_hold(&n->mutex);
	if (extents_range(m, off, len, &old) < 0)
		n->d.untidy = true;
	r = extents_cut(m, off, len);
	if (r == 0)
		place_release_all_locked(n, &old);
	extents_free(&old);
	return r;
}

int
place_set_locked(struct node *n, struct extents *m, uint64_t off, uint64_t len,
		 uint64_t at)
{
	struct extents old = { 0 };
	int r;

	mutex_must_hold(&n->mutex);
	if (extents_range(m, off, len, &old) < 0)
		n->d.untidy = true;
	r = extents_set(m, off, len, at);
	if (r == 0)
		place_release_all_locked(n, &old);
	extents_free(&old);
	return r;
}

void
place_drop_locked(struct node *n, struct extents *m)
{
	struct extents old = *m;

	mutex_must_hold(&n->mutex);
	*m = (struct extents){ 0 };
	place_release_all_locked(n, &old);
}

/* ---- who looks ---- */

unsigned
place_read_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	n->d.pins++;
	n->d.readers[n->d.generation]++;
	return n->d.generation;
}

/* Those of the older generation are gone: so is what waits for them, and what
 * waits for the younger ones does not wait for those that come. */
static void
advance(struct node *n)
{
	struct data *d = &n->d;

	for (int turns = 0; turns < 2; turns++) {
		unsigned old = !d->generation;

		if (d->readers[old] > 0)
			return;
		dispose_all(n, &d->gone[old]);
		if (d->gone[d->generation].count == 0)
			return;
		d->generation = old;
	}
}

void
place_unread_locked(struct node *n, unsigned generation)
{
	mutex_must_hold(&n->mutex);
	n->d.pins--;
	n->d.readers[generation]--;
	advance(n);
}

void
place_snapshot_locked(struct node *n, struct snapshot *s)
{
	mutex_must_hold(&n->mutex);
	n->d.pins++;
	LIST_INSERT_HEAD(&n->d.snapshots, s, link);
}

void
place_snapshot_end_locked(struct node *n, struct snapshot *s)
{
	mutex_must_hold(&n->mutex);
	n->d.pins--;
	LIST_REMOVE(s, link);
	dispose_all(n, &n->d.held);
}

/* ---- places for what comes ---- */

static uint64_t
overflow_top(const struct extents *used)
{
	const struct meta_extent *last;

	if (used->count == 0)
		return OVERFLOW_START;
	last = &used->list[used->count - 1];
	return up(last->off + last->len);
}

/* Behind the entry i, or before the first: is there a gap of so much? */
static bool
gap_behind(const struct extents *used, size_t i, uint64_t len, uint64_t *at)
{
	const struct meta_extent *e = &used->list[i];

	*at = up(e->off + e->len);
	return i + 1 < used->count && *at + up(len) <= down(e[1].off);
}

int
place_overflow_locked(struct node *n, uint64_t off, uint64_t len, uint64_t *at)
{
	struct extents *used = &n->d.used;
	uint64_t top = overflow_top(used);
	size_t looks = used->count;
	int r;

	mutex_must_hold(&n->mutex);
	/* Where little lies in much, all gaps are worth a look. */
	if (looks > GAPS_LOOKED_AT &&
	    top - OVERFLOW_START < 4 * used->bytes + (64 * MIB))
		looks = GAPS_LOOKED_AT;
	*at = OVERFLOW_START;
	if (used->count == 0 ||
	    *at + up(len) > down(used->list[0].off)) {
		*at = top;
		for (size_t i = 0; i < looks; i++) {
			uint64_t gap;

			n->d.gap_next = (n->d.gap_next + 1) % used->count;
			if (gap_behind(used, n->d.gap_next, len, &gap)) {
				*at = gap;
				break;
			}
		}
	}
	if (*at + up(len) > OVERFLOW_END)
		return -ENOSPC;
	r = extents_set(used, *at, len, off);
	return r;
}

void
place_forget_locked(struct node *n)
{
	struct data *d = &n->d;

	mutex_must_hold(&n->mutex);
	extents_free(&d->used);
	extents_free(&d->gone[0]);
	extents_free(&d->gone[1]);
	extents_free(&d->held);
	d->untidy = false;
}

/* ---- a file that is met anew ---- */

static int
note_used(struct data *d, const struct extents *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->count; i++) {
		if (m->list[i].at >= OVERFLOW_START)
			r = extents_set(&d->used, m->list[i].at,
					m->list[i].len, m->list[i].off);
	}
	return r;
}

/* Where the next place that is in use begins, and ends. */
static void
next_used(const struct node *n, uint64_t at, uint64_t *from, uint64_t *to)
{
	const struct data *d = &n->d;
	const struct extents *const maps[] = {
		&d->dirty, &d->durable, &d->staged, &d->clean, &d->filling,
		&d->gone[0], &d->gone[1], &d->held, &d->used,
	};

	*from = *to = UINT64_MAX;
	for (size_t m = 0; m < sizeof(maps) / sizeof(*maps); m++) {
		for (size_t i = extents_seek(maps[m], at);
		     i < maps[m]->count; i++) {
			const struct meta_extent *e = &maps[m]->list[i];

			if (maps[m] != &d->used && e->at != e->off)
				continue;
			if (e->off < *from) {
				*from = e->off;
				*to = e->off + e->len;
			}
			break;
		}
	}
}

/* Punch what is in the file and in no map. */
static void
punch_rest(struct node *n, uint64_t at, uint64_t end)
{
	while (at < end) {
		uint64_t from, to;

		next_used(n, at, &from, &to);
		if (from > at)
			data_punch(n, at, (from < end ? from : end) - at);
		if (to <= at || to >= end)
			return;
		at = to;
	}
}

static void
punch_unmapped(struct node *n, int fd)
{
	off_t at = 0, end;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 &&
	       (end = lseek(fd, at, SEEK_HOLE)) > at) {
		punch_rest(n, (uint64_t)at, (uint64_t)end);
		at = end;
	}
}

int
place_load_locked(struct node *n)
{
	struct data *d = &n->d;
	int r = note_used(d, &d->staged);

	mutex_must_hold(&n->mutex);
	if (r == 0)
		r = note_used(d, &d->durable);
	/* Of before a crash, or it could not be removed. */
	d->untidy = true;
	return r;
}

void
place_tidy_locked(struct node *n)
{
	struct data_file *f = n->d.file;

	mutex_must_hold(&n->mutex);
	if (!n->d.untidy || f == NULL || n->d.pins > 0 || n->d.writing > 0 ||
	    n->shown != NULL || file_use(f) < 0)
		return;
	n->d.untidy = false;
	punch_unmapped(n, f->fd);
	file_done(&f);
}

/* ---- blocks, and how many bytes there are ---- */

void
data_account_locked(struct node *n)
{
	struct gate *g = n->export->gate;
	struct data *d = &n->d;
	/* What is given up is on the disk as long as somebody looks at it. */
	uint64_t staged = extents_bytes(&d->staged) +
			  extents_bytes(&d->durable) +
			  extents_bytes(&d->dirty) + extents_bytes(&d->held) +
			  extents_bytes(&d->gone[0]) +
			  extents_bytes(&d->gone[1]);
	uint64_t clean = extents_bytes(&d->clean);

	mutex_must_hold(&n->mutex);
	__atomic_add_fetch(&g->staged_bytes, staged - d->accounted_staged,
			   __ATOMIC_RELAXED);
	__atomic_add_fetch(&n->export->staged_bytes,
			   staged - d->accounted_staged, __ATOMIC_RELAXED);
	__atomic_add_fetch(&g->clean_bytes, clean - d->accounted_clean,
			   __ATOMIC_RELAXED);
	d->accounted_staged = staged;
	d->accounted_clean = clean;
}
