/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is shown of a file whose writer was silent for a moment (rule.md 15):
 * a copy of its maps, with the size and the times of that moment.  Bytes are
 * not copied.  A place that is shown is not written over (data_place_locked
 * asks) and not given up; where the writer goes on, its bytes take places of
 * their own.
 *
 * It is there as long as the writer is active, until the next one or the
 * flush.  It is in memory alone: a crash leaves what was flushed.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "nfsd/gate/silence.h"

int64_t
shown_next_ctime_locked(const struct node *n)
{
	int64_t seen = n->i.ctime_ns;

	if (n->shown != NULL && n->shown->ctime_ns > seen)
		seen = n->shown->ctime_ns;
	/* It is what they have been shown. */
	if (n->shown != NULL && !n->silence.changed)
		return seen;
	return n->live_mtime_ns > seen ? n->live_mtime_ns : seen + 1;
}

int
shown_take_locked(struct node *n)
{
	struct shown *s = calloc(1, sizeof(*s));
	int r = s == NULL ? -ENOMEM : extents_copy(&n->d.hard, &s->map);

	for (size_t i = 0; r == 0 && i < n->d.live.count; i++) {
		const struct meta_extent *e = &n->d.live.list[i];

		r = extents_set(&s->map, e->off, e->len, e->at);
	}
	if (r < 0) {
		if (s != NULL)
			extents_free(&s->map);
		free(s);
		return r;
	}
	s->size = n->live_size;
	s->mtime_ns = n->live_mtime_ns;
	s->ctime_ns = shown_next_ctime_locked(n);
	shown_drop_locked(n);
	n->shown = s;
	node_changed_locked(n);
	return 0;
}

void
shown_drop_locked(struct node *n)
{
	struct shown *s = n->shown;

	n->shown = NULL;
	if (s == NULL)
		return;
	place_release_all_locked(n, &s->map);
	free(s);
}

const struct shown *
shown_to_locked(const struct node *n, const struct gate_request *rq)
{
	if (n->shown == NULL || n->h.state != META_ACTIVE ||
	    n->export->c.reads != GATE_READS_FLUSHED ||
	    who_holds_locked(n, rq))
		return NULL;
	return n->shown;
}

void
shown_piece_locked(struct node *n, const struct shown *shown, uint64_t off,
		   uint64_t end, struct piece *out)
{
	uint64_t at, run;

	if (extents_at(&shown->map, off, &at, &run)) {
		*out = (struct piece){ PIECE_FILE, off, end - off, at, NULL };
		if (run < out->len)
			out->len = run;
		return;
	}
	data_piece_locked(n, off, run < end - off ? off + run : end, false,
			  out);
}

void
shown_resize_locked(struct node *n, uint64_t size)
{
	struct shown *s = n->shown;

	if (s == NULL)
		return;
	/* Up to the end of the map: that needs no memory. */
	(void)place_cut_locked(n, &s->map, size, UINT64_MAX - size);
	s->size = size;
	s->mtime_ns = n->i.mtime_ns;
	if (s->ctime_ns < n->i.ctime_ns)
		s->ctime_ns = n->i.ctime_ns;
	else
		s->ctime_ns++;
}

bool
shown_in_place(const struct node *n, uint64_t off, uint64_t len)
{
	return n->shown != NULL && extents_in_place(&n->shown->map, off, len);
}
