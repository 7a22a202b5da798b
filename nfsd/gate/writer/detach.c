/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is removed: its writer, its bytes and its upload go with it.
 */

#include <config.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/writer/writer.h"

/* Everything of a node leaves memory. */
void
remove_detach(struct node *n)
{
	node_unname(n);
	mutex_lock(&n->mutex);
	admit_drop_locked(n);
	indoubt_forget_locked(n, NULL);
	quota_size_locked(n, 0);
	n->up.pending = false;
	upload_cancel_locked(n);
	extents_free(&n->d.dirty);
	extents_free(&n->d.durable);
	extents_free(&n->d.staged);
	extents_free(&n->d.clean);
	data_account_locked(n);
	__atomic_store_n(&n->dead, true, __ATOMIC_RELEASE);
	node_changed_locked(n);
	mutex_unlock(&n->mutex);
}
