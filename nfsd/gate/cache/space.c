/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for bytes: cache_size, and what the disk really has.
 *
 * Staged bytes stay until S3 has them, clean ones only as long as nothing
 * else needs the room.  Some of the disk is left alone, so that the database
 * can always say what was committed, uploaded or removed: a disk that is
 * full for WRITEs and new names is not full for that (and meta has a ballast
 * for when others fill it).  The disk is asked now and then; in between what
 * we add is known.
 *
 * A bucket that takes nothing must not fill the room of the others: a quarter
 * of it is divided among the exports, and no other may have what one has not
 * used of its part.  The rest is for whoever comes.
 */

#include <config.h>

#include <errno.h>
#include <sys/statvfs.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/worker/worker.h"

#define LOOK_MS 20
#define LEAVE_MIN (8ULL << 20)
#define LEAVE_MAX (256ULL << 20)
#define LEAVE_SHARE 16			/* of the disk */
#define SHARED 4			/* see above */

static uint64_t
used(struct gate *g)
{
	return __atomic_load_n(&g->staged_bytes, __ATOMIC_RELAXED) +
	       __atomic_load_n(&g->clean_bytes, __ATOMIC_RELAXED);
}

/* How much may lie on the disk, ours together. */
static uint64_t
disk_limit(struct gate *g, bool look)
{
	uint64_t now = clock_ms(), total, leave, left, limit;
	uint64_t looked = __atomic_load_n(&g->disk_looked_ms,
					  __ATOMIC_ACQUIRE);
	struct statvfs v;

	if (!look && looked != 0 && now - looked < LOOK_MS)
		return __atomic_load_n(&g->disk_limit, __ATOMIC_RELAXED);
	if (fstatvfs(g->data_dir, &v) < 0)
		return UINT64_MAX;
	total = (uint64_t)v.f_blocks * v.f_frsize;
	left = (uint64_t)v.f_bavail * v.f_frsize;
	leave = total / LEAVE_SHARE;
	leave = leave < LEAVE_MIN ? LEAVE_MIN
		: leave > LEAVE_MAX ? LEAVE_MAX
				    : leave;
	limit = used(g) + (left > leave ? left - leave : 0);
	/* No room left: whatever we hold is too much. */
	if (left < leave)
		limit = limit > leave - left ? limit - (leave - left) : 0;
	__atomic_store_n(&g->disk_limit, limit, __ATOMIC_RELAXED);
	__atomic_store_n(&g->disk_looked_ms, now, __ATOMIC_RELEASE);
	return limit;
}

/* Of so much room, what the other exports have not used of their shares. */
static uint64_t
others_left(const struct gate_export *x, uint64_t room)
{
	const struct gate_export *y;
	uint64_t exports = 0, left = 0, share;

	LIST_FOREACH(y, &x->gate->exports, link)
		exports++;
	share = room / SHARED / exports;
	LIST_FOREACH(y, &x->gate->exports, link) {
		uint64_t staged = __atomic_load_n(&y->staged_bytes,
						  __ATOMIC_RELAXED);

		if (y != x && staged < share)
			left += share - staged;
	}
	return left;
}

int
space_reserve(struct gate_export *x, uint64_t len, uint64_t own)
{
	struct gate *g = x->gate;
	uint64_t staged = __atomic_load_n(&g->staged_bytes, __ATOMIC_RELAXED);
	uint64_t limit = disk_limit(g, false), most;

	/* Nobody is refused for what was so a while ago. */
	if (used(g) + len > limit)
		limit = disk_limit(g, true);
	most = g->config.cache_size < limit ? g->config.cache_size : limit;
	most -= others_left(x, most);
	if (staged + len <= most && used(g) + len <= limit)
		return 0;
	/* What can be fetched again makes room. */
	if (staged + len <= most)
		return -EAGAIN;
	/* So do the uploads of other files, if they are enough for it. */
	if (__atomic_load_n(&g->pending, __ATOMIC_RELAXED) > 0 &&
	    staged >= own && staged - own >= len)
		return -EAGAIN;
	return -ENOSPC;
}

bool
space_short(struct gate *g)
{
	uint64_t now = used(g);

	return now > g->config.cache_size || now > disk_limit(g, false);
}

void
space_make(struct gate *g)
{
	for (unsigned s = 0; s < SHARDS; s++) {
		struct shard *shard = &g->shards[s];
		struct node *n, *list[64];
		size_t count = 0;

		if (!space_short(g))
			return;
		mutex_lock(&shard->mutex);
		TAILQ_FOREACH(n, &shard->lru, lru) {
			if (n->d.accounted_clean > 0)
				list[count++] = n;
			if (count == sizeof(list) / sizeof(*list))
				break;
		}
		for (size_t i = 0; i < count; i++) {
			TAILQ_REMOVE(&shard->lru, list[i], lru);
			list[i]->in_lru = false;
			list[i]->refs++;
		}
		mutex_unlock(&shard->mutex);
		for (size_t i = 0; i < count; i++) {
			mutex_lock(&list[i]->mutex);
			if (space_short(g)) {
				data_drop_clean_locked(list[i]);
				data_idle_locked(list[i]);
			}
			mutex_unlock(&list[i]->mutex);
			node_put(&list[i]);
		}
	}
}
