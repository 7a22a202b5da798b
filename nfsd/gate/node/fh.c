/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File handles of nodes: they outlive the node, and the gateway.
 */

#include <config.h>

#include <errno.h>

#include "nfsd/gate/node/inside.h"

struct gate_fh
node_fh(struct node *n)
{
	struct gate_fh fh = { .ino = n->ino };

	mutex_lock(&n->mutex);
	fh.generation = n->i.generation;
	mutex_unlock(&n->mutex);
	return fh;
}

int
node_from_fh(struct gate_export *x, struct gate_request *rq,
	     const struct gate_fh *fh, struct node **out)
{
	struct node *n = NULL;
	bool stale;
	int r;

	if (rq->may_block)
		client_seen(x->gate, rq);
	r = node_get(x->gate, fh->ino, rq->may_block, &n);
	if (r == -EAGAIN)
		rq->again = GATE_NEEDS_THREAD;
	if (r < 0)
		return r;
	/* An alias is nobody's file: its name leads to the one that is. */
	mutex_lock(&n->mutex);
	stale = n->export != x || n->i.generation != fh->generation ||
		n->i.link_ino != 0 || n->dead;
	mutex_unlock(&n->mutex);
	if (stale) {
		node_put(&n);
		return -ESTALE;
	}
	*out = n;
	return 0;
}
