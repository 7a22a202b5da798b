/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an export uses, if it has a quota.  No request of S3 tells, so the
 * objects are counted: by a listing of all of them at the start and again
 * from time to time, in the background, and in between by what this gateway
 * changes.  The sum may be off by what others do since, which the next count
 * puts right; until the first one is complete it is less than the truth.
 *
 * A WRITE or SETATTR that would make a file grow past the quota is refused
 * with EDQUOT, before any byte of it is taken (data/quota.c); what is written
 * over, and files of no bytes, are let through.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/worker/worker.h"

#define COUNT_AGAIN_MS 900000	/* or as long as it takes not to cost more */
#define COUNT_SHARE 100		/* than so small a part of the time */

struct count {
	struct gate_export *x;
	int64_t bytes;
	uint64_t objects;
};

static int
count_object(void *arg, const struct s3_entry *e)
{
	struct count *c = arg;

	cold_met(c->x, e->cold);
	c->bytes += (int64_t)e->size;
	c->objects++;
	return __atomic_load_n(&c->x->gate->stopping, __ATOMIC_RELAXED);
}

/* What the bucket lacks, or has too much of. */
static int
count_unsent(void *arg, struct node *n)
{
	struct count *c = arg;

	mutex_lock(&n->mutex);
	if (n->export == c->x && n->i.kind == GATE_REG && !n->dead &&
	    !n->i.local_only && node_is_local_locked(n))
		c->bytes += (int64_t)n->writer_size -
			    (n->i.base_key[0] != '\0' ?
				     (int64_t)n->i.base_size : 0);
	mutex_unlock(&n->mutex);
	return 0;
}

static int
count_all(struct gate_export *x)
{
	struct count c = { .x = x };
	char *token = NULL, *next;
	int r;

	do {
		struct s3_list list = { .prefix = x->c.prefix,
					.token = token };

		next = NULL;
		r = s3_list_page(x->s3, &list, count_object, &c, &next, NULL);
		free(token);
		token = next;
	} while (r == 0 && token != NULL);
	free(token);
	if (r == 0)
		r = each_node(x->gate, count_unsent, &c);
	if (r < 0 || __atomic_load_n(&x->gate->stopping, __ATOMIC_RELAXED))
		return r < 0 ? r : -ECANCELED;
	__atomic_store_n(&x->used_bytes, c.bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&x->used_objects, c.objects, __ATOMIC_RELAXED);
	return 0;
}

static void *
counter(void *arg)
{
	struct gate_export *x = arg;
	struct gate *g = x->gate;

	mutex_lock(&g->mutex);
	while (!__atomic_load_n(&g->stopping, __ATOMIC_RELAXED)) {
		uint64_t start = clock_ms(), wait;
		struct timespec until;
		int r;

		mutex_unlock(&g->mutex);
		r = count_all(x);
		if (r == 0)
			gate_say(g, 3, "counted: export=%s bytes=%lld",
				 x->c.name, (long long)x->used_bytes);
		wait = (clock_ms() - start) * COUNT_SHARE;
		if (r < 0 || wait < COUNT_AGAIN_MS)
			wait = r < 0 ? COUNT_AGAIN_MS / 15 : COUNT_AGAIN_MS;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += (time_t)(wait / 1000);
		mutex_lock(&g->mutex);
		while (!__atomic_load_n(&g->stopping, __ATOMIC_RELAXED) &&
		       mutex_wait(&g->mutex, &g->quota_stop,
					      &until) != ETIMEDOUT)
			;
	}
	mutex_unlock(&g->mutex);
	return NULL;
}

int
quota_start(struct gate_export *x)
{
	int r;

	if (x->c.quota_bytes == 0)
		return 0;
	r = -pthread_create(&x->counter, NULL, counter, x);
	x->counting = r == 0;
	return r;
}

void
quota_stop(struct gate *g)
{
	struct gate_export *x;

	mutex_lock(&g->mutex);
	pthread_cond_broadcast(&g->quota_stop);
	mutex_unlock(&g->mutex);
	LIST_FOREACH(x, &g->exports, link) {
		if (x->counting)
			pthread_join(x->counter, NULL);
		x->counting = false;
	}
}

int
quota_hole_locked(const struct node *n, uint64_t end)
{
	uint64_t limit = n->export->c.max_hole, from = n->i.base_limit, bytes;

	mutex_must_hold(&n->mutex);
	if (limit == 0 || end <= limit || end <= from)
		return 0;
	/* Bytes in two maps count twice: that lets a little more pass. */
	bytes = from + extents_bytes_in(&n->d.dirty, from, end - from) +
		extents_bytes_in(&n->d.durable, from, end - from) +
		extents_bytes_in(&n->d.staged, from, end - from);
	return bytes < end && end - bytes > limit ? -EFBIG : 0;
}
