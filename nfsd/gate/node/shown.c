/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others are shown of a writer who is silent: taken from its maps, and
 * told as their calls ask for it (data/shown_map.c).
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"

int
shown_take_locked(struct node *n)
{
	struct shown *s = calloc(1, sizeof(*s));
	int r = s == NULL ? -ENOMEM : extents_copy(&n->d.durable, &s->map);

	mutex_must_hold(&n->mutex);
	for (size_t i = 0; r == 0 && i < n->d.dirty.count; i++) {
		const struct meta_extent *e = &n->d.dirty.list[i];

		r = extents_set(&s->map, e->off, e->len, e->at);
	}
	if (r < 0) {
		if (s != NULL)
			extents_free(&s->map);
		free(s);
		return r;
	}
	s->size = n->writer_size;
	s->mtime_ns = n->writer_mtime_ns;
	s->ctime_ns = shown_next_ctime_locked(n);
	shown_drop_locked(n);
	n->shown = s;
	node_changed_locked(n);
	return 0;
}

const struct shown *
shown_to_locked(const struct node *n, const struct gate_request *rq)
{
	mutex_must_hold(&n->mutex);
	if (n->shown == NULL || n->h.state != META_ACTIVE ||
	    n->export->c.reads != GATE_READS_FLUSHED ||
	    client_holds_locked(n, rq))
		return NULL;
	return n->shown;
}

void
shown_piece_locked(struct node *n, const struct shown *shown, uint64_t off,
		   uint64_t end, struct piece *out)
{
	uint64_t at, run;

	mutex_must_hold(&n->mutex);
	if (extents_at(&shown->map, off, &at, &run)) {
		*out = (struct piece){ PIECE_FILE, off, end - off, at, NULL };
		if (run < out->len)
			out->len = run;
		return;
	}
	data_piece_locked(n, off, run < end - off ? off + run : end, false,
			  out);
}
