/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large an export's files may become together: what changes here is added
 * to what was counted last (cache/quota_scan.c tells the whole story).
 */

#include <config.h>

#include <errno.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/worker/worker.h"

#define SAY_MS 60000

int
quota_allows(struct gate_export *x, uint64_t from, uint64_t to)
{
	uint64_t now = clock_ms(), said;
	int64_t used;

	if (x->c.quota_bytes == 0 || to <= from)
		return 0;
	used = __atomic_load_n(&x->used_bytes, __ATOMIC_RELAXED);
	if (used < 0)
		used = 0;
	if (to - from <= x->c.quota_bytes &&
	    (uint64_t)used <= x->c.quota_bytes - (to - from))
		return 0;
	said = __atomic_load_n(&x->quota_said_ms, __ATOMIC_RELAXED);
	if (said == 0 || said + SAY_MS < now) {
		__atomic_store_n(&x->quota_said_ms, now, __ATOMIC_RELAXED);
		gate_say(x->gate, 1, "quota reached: export=%s used=%lld "
			 "quota=%llu", x->c.name, (long long)used,
			 (unsigned long long)x->c.quota_bytes);
	}
	return -EDQUOT;
}

void
quota_size_locked(struct node *n, uint64_t size)
{
	mutex_must_hold(&n->mutex);
	if (n->export->c.quota_bytes != 0 && !n->dead)
		__atomic_add_fetch(&n->export->used_bytes,
				   (int64_t)size - (int64_t)n->writer_size,
				   __ATOMIC_RELAXED);
	n->writer_size = size;
}
