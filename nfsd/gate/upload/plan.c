/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which parts a multipart upload has.
 *
 * A file is a row of stretches, changed here or unchanged base.  Changed ones
 * are sent, unchanged ones copied by the store.  Only the last part may be
 * shorter than S3_PART_MIN, so a short unchanged stretch is sent together
 * with its neighbours, and a short changed one takes from the unchanged one
 * that follows.  Hence a change in the middle of a large object sends
 * S3_PART_MIN, and an append sends what was appended.
 *
 * Where the parts would be too many, they grow, and so do the unchanged
 * stretches that are worth a part of their own.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "nfsd/gate/upload/upload.h"

/* A store copies about as fast as it reads: in parts that are done side by
 * side, and that can be tried again. */
#define COPY_PART (64 * 1024 * 1024ULL)
/* With what a part may take from its neighbour still below 5 GiB. */
#define PART_CAP (4 * 1024 * 1024 * 1024ULL)

struct plan {
	struct plan_part *list;
	size_t count, room;
};

static int
add(struct plan *p, uint64_t off, uint64_t len, bool copy)
{
	if (p->count == p->room) {
		size_t room = p->room == 0 ? 16 : 2 * p->room;
		void *list = realloc(p->list, room * sizeof(*p->list));

		if (list == NULL)
			return -ENOMEM;
		p->list = list;
		p->room = room;
	}
	p->list[p->count++] = (struct plan_part){ off, len, copy };
	return 0;
}

/* One more stretch; of two changed ones in a row one is made. */
static int
add_stretch(struct plan *p, uint64_t off, uint64_t len, bool copy)
{
	struct plan_part *last = p->count > 0 ? &p->list[p->count - 1] : NULL;

	if (len == 0)
		return 0;
	if (last != NULL && last->copy == copy) {
		last->len += len;
		return 0;
	}
	/* Too short to be a part: the store shall have some of the base
	 * from here, too. */
	if (copy && last != NULL && last->len < S3_PART_MIN) {
		uint64_t take = S3_PART_MIN - last->len;

		if (len < take + S3_PART_MIN)
			take = len;
		last->len += take;
		return take == len ? 0 : add(p, off + take, len - take, true);
	}
	return add(p, off, len, copy);
}

/* What is changed and what is not; shorter than `worth`: as if changed. */
static int
stretches(const struct plan_file *f, uint64_t worth, struct plan *p)
{
	uint64_t run, at;
	int r = 0;

	if (!f->can_copy)
		return add_stretch(p, 0, f->size, false);
	for (uint64_t off = 0; r == 0 && off < f->size; off += run) {
		bool copy = !extents_at(f->staged, off, &at, &run) &&
			    off < f->base_limit;

		if (copy && run > f->base_limit - off)
			run = f->base_limit - off;
		if (run > f->size - off)
			run = f->size - off;
		r = add_stretch(p, off, run, copy && run >= worth);
	}
	return r;
}

/* Cut a stretch into parts of `size`.  What remains, if it is too short and
 * not the end of the file, goes with the part before it. */
static int
cut(const struct plan_part *s, uint64_t size, bool last, struct plan *out)
{
	uint64_t end = s->off + s->len;
	int r = 0;

	for (uint64_t off = s->off, len; r == 0 && off < end; off += len) {
		len = end - off < size ? end - off : size;
		if (!last && end - off - len < S3_PART_MIN)
			len = end - off;
		r = add(out, off, len, s->copy);
	}
	return r;
}

static int
plan_equal(const struct plan_file *f, struct plan *out)
{
	uint64_t size = f->part_size, at, run;
	int r = 0;

	while ((f->size + size - 1) / size > S3_PARTS_MAX)
		size *= 2;
	for (uint64_t off = 0; r == 0 && off < f->size; off += size) {
		uint64_t len = f->size - off < size ? f->size - off : size;
		bool base = off + len <= f->base_limit &&
			    !extents_at(f->staged, off, &at, &run) &&
			    run >= len;

		r = add(out, off, len,
			base && f->can_copy && len >= S3_PART_MIN);
	}
	return r;
}

static int
plan_once(const struct plan_file *f, uint64_t size, uint64_t worth,
	  struct plan *out)
{
	uint64_t copy = size > COPY_PART ? size : COPY_PART;
	struct plan s = { 0 };
	int r = stretches(f, worth, &s);

	for (size_t i = 0; r == 0 && i < s.count; i++)
		r = cut(&s.list[i], s.list[i].copy ? copy : size,
			i + 1 == s.count, out);
	free(s.list);
	return r;
}

int
plan_parts(const struct plan_file *f, struct plan_part **list,
	   unsigned *count)
{
	uint64_t size = f->part_size, worth = S3_PART_MIN;
	struct plan p = { 0 };
	int r;

	if (f->size == 0 || f->size > S3_OBJECT_MAX || size < S3_PART_MIN)
		return -EINVAL;
	if (f->equal) {
		r = plan_equal(f, &p);
	} else {
		while ((r = plan_once(f, size, worth, &p)) == 0 &&
		       p.count > S3_PARTS_MAX) {
			p.count = 0;
			size = size * 2 > PART_CAP ? PART_CAP : size * 2;
			worth *= 2;
		}
	}
	if (r < 0) {
		free(p.list);
		return r;
	}
	*list = p.list;
	*count = (unsigned)p.count;
	return 0;
}
