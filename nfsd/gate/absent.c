/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports that the configuration does not name, and of which the database
 * still knows something that their buckets are owed: files whose upload is
 * pending, deletions, renamed directories, versions in quarantine.  A name may
 * be left out by mistake, or for a while; so all of it is kept as it is, data
 * files too, and goes on when the export is served again.  It is told at each
 * start and in `s3nfsctl status`, and so are rows that no export claims.
 */

#include <config.h>

#include "nfsd/gate/inside.h"
#include "nfsd/gate/worker/worker.h"

struct absent_walk {
	struct gate *g;
	int (*each)(void *arg, const struct gate_absent_info *);
	void *arg;
};

static int
tell_absent(void *arg, const struct meta_owed *owed)
{
	const struct absent_walk *w = arg;
	struct gate_absent_info info = {
		.name = owed->name,
		.files = owed->files,
		.bytes = owed->bytes,
		.deletions = owed->deletions,
		.moves = owed->moves,
		.quarantined = owed->quarantined,
		.indoubt = owed->indoubt,
	};
	struct gate_export *x;

	LIST_FOREACH(x, &w->g->exports, link) {
		if (x->id == owed->export_id)
			return 0;
	}
	return meta_owes(owed) ? w->each(w->arg, &info) : 0;
}

int
gate_each_absent(struct gate *g,
		 int (*each)(void *arg, const struct gate_absent_info *),
		 void *arg)
{
	struct absent_walk w = { g, each, arg };

	return meta_each_owed(g->meta, tell_absent, &w);
}

static int
say_one(void *arg, const struct gate_absent_info *info)
{
	gate_say(arg, 1,
		 "%s%s is not served; what waits for its bucket is kept: "
		 "files=%llu bytes=%llu deletions=%llu moves=%llu "
		 "quarantined=%llu indoubt=%llu",
		 info->name[0] != '\0' ? "export=" : "an export without name",
		 info->name, (unsigned long long)info->files,
		 (unsigned long long)info->bytes,
		 (unsigned long long)info->deletions,
		 (unsigned long long)info->moves,
		 (unsigned long long)info->quarantined,
		 (unsigned long long)info->indoubt);
	return 0;
}

int
absent_say(struct gate *g)
{
	return gate_each_absent(g, say_one, g);
}
