/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer's state changes (meta/handle.c has the table): counters and
 * invariants go with it.
 */

#include <config.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"

/* One more or less (by -1) in this state, of the export and of all. */
static void
count_state(struct gate_export *x, enum meta_state state, int by)
{
	switch (state) {
	case META_ACTIVE:
		__atomic_add_fetch(&x->active, by, __ATOMIC_RELAXED);
		__atomic_add_fetch(&x->gate->active, by, __ATOMIC_RELAXED);
		break;
	case META_FLUSHED:
	case META_UPLOADING:
	case META_FINISHING:
		__atomic_add_fetch(&x->pending, by, __ATOMIC_RELAXED);
		__atomic_add_fetch(&x->gate->pending, by, __ATOMIC_RELAXED);
		break;
	default:
		break;
	}
}

void
handle_counted(struct gate_export *x, enum meta_state from, enum meta_state to)
{
	if (from == to)
		return;
	count_state(x, from, -1);
	count_state(x, to, 1);
}

void
handle_transition_locked(struct node *n, enum meta_event event)
{
	enum meta_state from = n->h.state;

	mutex_must_hold(&n->mutex);
	if (meta_handle_transition(&n->h, event) < 0) {
		audit_broken_locked(n, "a handle was asked for a move it "
				    "cannot make", n->h.who);
		return;
	}
	handle_counted(n->export, from, n->h.state);
	if (from == META_ACTIVE && n->h.state != META_ACTIVE)
		shown_drop_locked(n);
	if (from != n->h.state)
		node_changed_locked(n);
}
