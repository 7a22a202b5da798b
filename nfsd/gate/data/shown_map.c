/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is shown of a file whose writer was silent for a moment (rule.md 15):
 * a copy of its maps, with the size and the times of that moment.  Bytes are
 * not copied.  A place that is shown is not written over (data_place_locked
 * asks) and not given up; where the writer goes on, its bytes take places of
 * their own.
 *
 * It is there as long as the writer is active, until the next one or the flush.
 * It is in memory alone: a crash leaves what was flushed.  Who makes it, and
 * who sees it: node/shown.c.
 */

#include <config.h>

#include <stdlib.h>

#include "nfsd/gate/data/inside.h"

int64_t
shown_next_ctime_locked(const struct node *n)
{
	int64_t seen = n->i.ctime_ns;

	mutex_must_hold(&n->mutex);
	if (n->shown != NULL && n->shown->ctime_ns > seen)
		seen = n->shown->ctime_ns;
	/* It is what they have been shown. */
	if (n->shown != NULL && !n->silence.changed)
		return seen;
	return n->writer_mtime_ns > seen ? n->writer_mtime_ns : seen + 1;
}

void
shown_drop_locked(struct node *n)
{
	struct shown *s = n->shown;

	mutex_must_hold(&n->mutex);
	n->shown = NULL;
	if (s == NULL)
		return;
	place_release_all_locked(n, &s->map);
	free(s);
}

void
shown_resize_locked(struct node *n, uint64_t size)
{
	struct shown *s = n->shown;

	mutex_must_hold(&n->mutex);
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
