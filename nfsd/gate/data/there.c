/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the state directory still there?  If it was taken away, or replaced, or
 * its database was, all goes on in files that nobody will find again.  Each
 * transaction and each flush asks for itself (meta/there.c, datafile.c); the
 * audit does for all, so that WRITEs are refused that no COMMIT could make
 * good, and so that it is said, and said again, in the log and in status.
 */

#include <config.h>

#include <stdio.h>
#include <sys/stat.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/worker/worker.h"

static bool
data_is_there(struct gate *g)
{
	struct stat open, there;
	char path[4096];

	snprintf(path, sizeof(path), "%s/data", g->state_dir);
	return fstat(g->data_dir, &open) == 0 && stat(path, &there) == 0 &&
	       open.st_dev == there.st_dev && open.st_ino == there.st_ino;
}

void
there_look(struct gate *g)
{
	bool lost = meta_check(g->meta) < 0 || !data_is_there(g);
	bool was = __atomic_exchange_n(&g->state_lost, lost,
				       __ATOMIC_RELAXED);

	if (lost)
		gate_say(g, 0, "the state directory was taken away or "
			 "replaced; all changes are refused until it is back "
			 "and the daemon is started again: %s", g->state_dir);
	else if (was)
		gate_say(g, 0, "the state directory is back: %s",
			 g->state_dir);
}

bool
there_is(const struct gate *g)
{
	return !__atomic_load_n(&g->state_lost, __ATOMIC_RELAXED);
}
