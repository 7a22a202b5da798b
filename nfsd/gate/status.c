/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gate_status tells: counted while everything goes on.
 */

#include <config.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/worker/worker.h"

static int
count_one(void *arg, const struct gate_quarantine_info *info)
{
	(void)info;
	++*(uint64_t *)arg;
	return 0;
}

static int
count_pending(void *arg, struct node *n)
{
	struct gate_status *out = arg;

	mutex_lock(&n->mutex);
	out->uploads += n->up.pending && !n->dead;
	out->refused += n->up.pending && !n->dead && n->up.refusals != 0;
	mutex_unlock(&n->mutex);
	return 0;
}

void
gate_status(struct gate *g, struct gate_status *out)
{
	struct gate_export *x;

#define LOAD(field) __atomic_load_n(&g->field, __ATOMIC_RELAXED)
	*out = (struct gate_status){
		.staged_bytes = LOAD(staged_bytes),
		.clean_bytes = LOAD(clean_bytes),
		.cache_size = g->config.cache_size,
		.handles_active = LOAD(active),
		.handles_pending = LOAD(pending),
		.nodes = LOAD(nodes),
		.open_files = files_open(&g->files),
		.max_files = g->files.limit,
		.names = meta_names(g->meta),
		.max_names = g->config.max_names,
		.names_forgotten = LOAD(known.forgotten),
		.state_lost = LOAD(state_lost),
		.held_requests = LOAD(held),
		.conflicts = LOAD(conflicts),
		.invariant_failures = LOAD(invariant_failures),
		.idle_shown = LOAD(idle_shown),
		.idle_flushed = LOAD(idle_flushed),
	};
#undef LOAD
	mutex_lock(&g->mutex);
	out->deletes = g->deletes_pending;
	LIST_FOREACH(x, &g->exports, link) {
		struct s3_stats stats;

		out->deletes_failing += x->deletes.failing;
		s3_stats(x->s3, &stats);
		out->extras_lost += stats.extras_lost;
		out->unordered += page_unordered(x);
	}
	mutex_unlock(&g->mutex);
	if (meta_bytes(g->meta, &out->database_bytes) < 0 ||
	    each_node(g, count_pending, out) < 0 ||
	    gate_each_quarantined(g, count_one, &out->quarantined) < 0)
		gate_say(g, 1, "status is incomplete");
}
