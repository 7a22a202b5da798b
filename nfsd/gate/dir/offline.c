/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the store is away (s3/away.c), with offline=serve: what is known is
 * told as it was, however old it is; what is not known is to be asked for
 * again, at once, for nobody here can find it out.  A directory's names are
 * known when a listing of it has been seen to its end, or it was made here:
 * then a name that is not among them is not there.  Changes stand on that, and
 * what they owe S3 bears the conditions that it has to hold by then.
 *
 * A question that the store's trouble has ended is answered so as well, before
 * it is found to be away: the next one asks it again.
 */

#include <config.h>

#include <errno.h>

#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/worker/worker.h"

bool
offline_failed(const struct gate_export *x, const struct gate_request *rq,
	       int r)
{
	if (!x->c.offline_serve)
		return false;
	switch (r) {
	case -EAGAIN:
		/* Not one that waits for something else. */
		return rq->again == GATE_AGAIN_NONE ||
		       rq->again == GATE_JUKEBOX;
	case -EKEYREJECTED:
	case -ENODEV:
	case -EBADMSG:
	case -EACCES:
		return true;
	}
	return false;
}

static int
come_back(struct gate_request *rq)
{
	rq->again = GATE_JUKEBOX;
	return -EAGAIN;
}

int
offline_attr(struct node *n, struct gate_request *rq)
{
	bool known;

	mutex_lock(&n->mutex);
	known = n->i.attr_known || n->ino == n->export->root;
	mutex_unlock(&n->mutex);
	if (!known)
		return come_back(rq);
	rq->again = GATE_AGAIN_NONE;
	return 0;
}

bool
offline_listed(struct node *dir)
{
	bool listed;

	mutex_lock(&dir->mutex);
	listed = dir->i.listed;
	mutex_unlock(&dir->mutex);
	return listed;
}

int
offline_absent(struct node *dir, struct gate_request *rq)
{
	return offline_listed(dir) ? -ENOENT : come_back(rq);
}

struct owed {
	const struct gate_export *x;
	uint64_t files;
};

static int
count_owed(void *arg, struct node *n)
{
	struct owed *o = arg;

	if (n->export != o->x)
		return 0;
	mutex_lock(&n->mutex);
	o->files += !n->dead && (n->up.pending || n->h.state != META_NONE);
	mutex_unlock(&n->mutex);
	return 0;
}

void
gate_each_away(struct gate *g,
	       void (*each)(void *arg, const struct gate_away_info *),
	       void *arg)
{
	struct gate_export *x;

	LIST_FOREACH(x, &g->exports, link) {
		struct gate_away_info info = { .name = x->c.name };
		struct s3_absence absence;
		struct owed owed = { .x = x };

		if (!s3_is_away(x->s3, &absence))
			continue;
		info.since_ns = absence.since_ns;
		info.why = absence.why;
		if (each_node(g, count_owed, &owed) < 0)
			gate_say(g, 1, "no memory to count what waits: "
				 "export=%s", x->c.name);
		info.files = owed.files;
		info.deletions = deletes_count(x);
		each(arg, &info);
	}
}
