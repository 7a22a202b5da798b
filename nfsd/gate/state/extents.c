/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extent maps as sorted arrays.  Files that are written front to back have
 * one extent; databases have thousands, for which a binary search and a
 * memmove are still cheaper than a tree's cache misses.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/state/state.h"

void
extents_free(struct extents *m)
{
	free(m->list);
	*m = (struct extents){ 0 };
}

int
extents_copy(const struct extents *from, struct extents *to)
{
	struct extents m = { NULL, from->count, from->count, from->bytes };

	if (from->count > 0) {
		m.list = malloc(from->count * sizeof(*m.list));
		if (m.list == NULL)
			return -ENOMEM;
		memcpy(m.list, from->list, from->count * sizeof(*m.list));
	}
	*to = m;
	return 0;
}

size_t
extents_seek(const struct extents *m, uint64_t off)
{
	size_t lo = 0, hi = m->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->list[mid].off + m->list[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
make_room(struct extents *m, size_t extra)
{
	struct meta_extent *list;
	size_t room = m->room;

	if (m->count + extra <= room)
		return 0;
	while (room < m->count + extra)
		room = room ? room * 2 : 4;
	list = realloc(m->list, room * sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	m->list = list;
	m->room = room;
	return 0;
}

static void
move_tail(struct extents *m, size_t from, size_t to)
{
	memmove(m->list + to, m->list + from,
		(m->count - from) * sizeof(*m->list));
	m->count = m->count + to - from;
}

int
extents_cut(struct extents *m, uint64_t off, uint64_t len)
{
	uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
	size_t i = extents_seek(m, off), j;
	struct meta_extent *e;

	if (len == 0 || i == m->count || m->list[i].off >= end)
		return 0;
	e = &m->list[i];
	if (e->off < off && e->off + e->len > end) {
		/* The cut lies inside one extent: two remain. */
		if (make_room(m, 1) < 0)
			return -ENOMEM;
		move_tail(m, i, i + 1);
		e = &m->list[i];
		e[1].at += end - e->off;
		e[1].len = e->off + e->len - end;
		e[1].off = end;
		e->len = off - e->off;
		m->bytes -= end - off;
		return 0;
	}
	if (e->off < off) {
		m->bytes -= e->off + e->len - off;
		e->len = off - e->off;
		i++;
	}
	for (j = i; j < m->count && m->list[j].off + m->list[j].len <= end; j++)
		m->bytes -= m->list[j].len;
	if (j < m->count && m->list[j].off < end) {
		e = &m->list[j];
		m->bytes -= end - e->off;
		e->at += end - e->off;
		e->len -= end - e->off;
		e->off = end;
	}
	move_tail(m, j, i);
	return 0;
}

static bool
continues(const struct meta_extent *a, const struct meta_extent *b)
{
	return a->off + a->len == b->off && a->at + a->len == b->at;
}

int
extents_set(struct extents *m, uint64_t off, uint64_t len, uint64_t at)
{
	struct meta_extent new = { off, len, at };
	size_t i;

	if (len == 0)
		return 0;
	/* A cut in the middle takes one place, the new extent another. */
	if (make_room(m, 2) < 0 || extents_cut(m, off, len) < 0)
		return -ENOMEM;
	m->bytes += len;
	i = extents_seek(m, off);
	if (i > 0 && continues(&m->list[i - 1], &new)) {
		m->list[--i].len += len;
	} else {
		move_tail(m, i, i + 1);
		m->list[i] = new;
	}
	if (i + 1 < m->count && continues(&m->list[i], &m->list[i + 1])) {
		m->list[i].len += m->list[i + 1].len;
		move_tail(m, i + 2, i + 1);
	}
	return 0;
}

/* The part of the extent that is within, if any. */
static struct meta_extent
within(struct meta_extent e, uint64_t off, uint64_t end)
{
	if (e.off < off) {
		e.at += off - e.off;
		e.len -= off - e.off;
		e.off = off;
	}
	if (e.off + e.len > end)
		e.len = end - e.off;
	return e;
}

int
extents_reserve(struct extents *m, size_t changes)
{
	return make_room(m, 2 * changes);
}

/* What of `below`, from its entry *i on, lies in [from, to). */
static int
add_below(const struct extents *below, size_t *i, uint64_t from, uint64_t to,
	  struct extents *out)
{
	int r = 0;

	for (; r == 0 && *i < below->count && below->list[*i].off < to; ++*i) {
		struct meta_extent e = within(below->list[*i], from, to);

		if (e.off < to && e.off + e.len > from)
			r = extents_set(out, e.off, e.len, e.at);
		if (below->list[*i].off + below->list[*i].len > to)
			break;
	}
	return r;
}

int
extents_over(const struct extents *below, const struct extents *over,
	     struct extents *out)
{
	struct extents m = { 0 };
	uint64_t from = 0;
	size_t i = 0;
	int r = make_room(&m, below->count + 2 * over->count + 2);

	for (size_t j = 0; r == 0 && j < over->count; j++) {
		const struct meta_extent *e = &over->list[j];

		r = add_below(below, &i, from, e->off, &m);
		if (r == 0)
			r = extents_set(&m, e->off, e->len, e->at);
		from = e->off + e->len;
		while (i < below->count &&
		       below->list[i].off + below->list[i].len <= from)
			i++;
	}
	if (r == 0)
		r = add_below(below, &i, from, UINT64_MAX, &m);
	if (r < 0) {
		extents_free(&m);
		return r;
	}
	*out = m;
	return 0;
}

bool
extents_at(const struct extents *m, uint64_t off, uint64_t *at, uint64_t *len)
{
	size_t i = extents_seek(m, off);
	const struct meta_extent *e = &m->list[i];

	if (i == m->count) {
		*len = UINT64_MAX;
		return false;
	}
	if (e->off > off) {
		*len = e->off - off;
		return false;
	}
	*at = e->at + (off - e->off);
	*len = e->off + e->len - off;
	return true;
}

uint64_t
extents_bytes(const struct extents *m)
{
	return m->bytes;
}

int
extents_range(const struct extents *m, uint64_t off, uint64_t len,
	      struct extents *out)
{
	uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
	int r = 0;

	for (size_t i = extents_seek(m, off);
	     r == 0 && i < m->count && m->list[i].off < end; i++) {
		struct meta_extent e = within(m->list[i], off, end);

		r = extents_set(out, e.off, e.len, e.at);
	}
	return r;
}

uint64_t
extents_bytes_in(const struct extents *m, uint64_t off, uint64_t len)
{
	uint64_t sum = 0;

	for (size_t i = extents_seek(m, off);
	     i < m->count && m->list[i].off < off + len; i++)
		sum += within(m->list[i], off, off + len).len;
	return sum;
}

bool
extents_in_place(const struct extents *m, uint64_t off, uint64_t len)
{
	for (size_t i = extents_seek(m, off);
	     i < m->count && m->list[i].off < off + len; i++) {
		if (m->list[i].at == m->list[i].off)
			return true;
	}
	return false;
}
