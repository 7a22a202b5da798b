/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What S3 has refused for good it may take all the same later: a policy was
 * mended, a lock has run out, or it was not for good.  So each entry of the
 * quarantine is tried again once in quarantine_retry_ms (a day), counted from
 * when it came there; where nobody has asked for that, only what S3 refused,
 * and onto nothing but what it was made from (may_by_itself in
 * quarantine_ctl.c).  When that was looked at last is on record, so that a
 * gateway that is started each day does it, too.
 *
 * One job an export, one entry after the other.  What still does not do stays
 * as it is; it was told when it came.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "nfsd/gate/inside.h"
#include "nfsd/gate/worker/worker.h"

#define SETTING "quarantine_looked"

struct due {
	struct gate_export *x;
	uint64_t *ids;
	size_t count, room;
};

/* Has its time come between the two looks? */
static bool
is_due(const struct gate_export *x, int64_t since_ns)
{
	int64_t period = (int64_t)x->c.quarantine_retry_ms * 1000000;
	int64_t from = x->again.from_ns > since_ns ? x->again.from_ns
						   : since_ns;

	return x->again.to_ns > since_ns &&
	       (from - since_ns) / period <
		       (x->again.to_ns - since_ns) / period;
}

static int
collect(void *arg, const struct meta_quarantine *q)
{
	struct due *d = arg;

	if (q->export_id != d->x->id || q->key[0] == '\0' ||
	    !is_due(d->x, q->since_ns))
		return 0;
	if (d->count == d->room) {
		size_t room = d->room ? d->room * 2 : 16;
		uint64_t *grown = reallocarray(d->ids, room, sizeof(*grown));

		if (grown == NULL)
			return 1;	/* the others the next time */
		d->ids = grown;
		d->room = room;
	}
	d->ids[d->count++] = q->id;
	return 0;
}

static void
again_job(void *arg)
{
	struct gate_export *x = arg;
	struct gate *g = x->gate;
	struct due d = { .x = x };
	char why[256];

	if (meta_each_quarantine(g->meta, collect, &d) < 0)
		d.count = 0;
	for (size_t i = 0; i < d.count &&
	     !__atomic_load_n(&g->stopping, __ATOMIC_RELAXED); i++)
		if (quarantine_retry(g, d.ids[i], true, why) == 0)
			gate_say(g, 2, "what S3 had refused is in the bucket "
				 "now: id=%llu", (unsigned long long)d.ids[i]);
	free(d.ids);
	mutex_lock(&g->mutex);
	x->again.running = false;
	mutex_unlock(&g->mutex);
}

static int
any(void *arg, const struct meta_quarantine *q)
{
	(void)q;
	*(bool *)arg = true;
	return 1;
}

static void
start(struct gate_export *x, int64_t from_ns, int64_t to_ns)
{
	struct gate *g = x->gate;
	bool free;

	mutex_lock(&g->mutex);
	free = !x->again.running;
	if (free) {
		x->again.running = true;
		x->again.from_ns = x->again.to_ns != 0 ? x->again.to_ns
						       : from_ns;
		x->again.to_ns = to_ns;
	}
	mutex_unlock(&g->mutex);
	if (free && pool_add(&g->transfers, x, POOL_NEXT, again_job, x) < 0) {
		mutex_lock(&g->mutex);
		x->again.running = false;
		x->again.to_ns = x->again.from_ns;
		mutex_unlock(&g->mutex);
	}
}

void
again_tick(struct gate *g)
{
	struct gate_export *x;
	int64_t last_ns = 0, now_ns = clock_ns();
	struct meta_batch *b;
	bool some = false;
	ssize_t n;

	if (meta_each_quarantine(g->meta, any, &some) < 0 || !some)
		return;
	n = meta_get_setting(g->meta, SETTING, &last_ns, sizeof(last_ns));
	if (n < 0 && n != -ENOENT)
		return;
	LIST_FOREACH(x, &g->exports, link) {
		if (x->c.quarantine_retry_ms != 0)
			start(x, last_ns, now_ns);
	}
	b = meta_batch_new();
	if (b != NULL)
		meta_put_setting(b, SETTING, &now_ns, sizeof(now_ns));
	meta_post(g->meta, &b);
}
