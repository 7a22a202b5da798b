/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_size, shared out: what GETs bring and uploads send is in memory
 * meanwhile, in buffers as large as a part.
 *
 * Bytes are free, used by a fetch, or used by an upload.  Who takes some waits
 * until there is room for him, with no lock held and none of it in hand, and
 * gives them back; so nobody waits for one who waits.  Nothing fails here: a
 * store that is slow makes others wait, but not for ever, for each export has
 * its share and each request its end.
 */

#include <config.h>

#include "nfsd/gate/cache/inside.h"

/*
 * Of several exports each has half of the memory at most, and one fetch and
 * one upload in any case: one whose requests do not end does not keep the
 * others' from beginning.  Uploads may have half of their export's, so that
 * its readers have some, too; one part that is larger than that goes alone.
 * While one of them waits, fetches keep to the other half: they are smaller,
 * and would take what is free before it is enough.
 *
 * What goes up beyond all of the memory, since it is larger than what is left
 * of it, is one part of one export at a time.  g->mutex held.
 */
static bool
goes_beyond(const struct gate_export *x, uint64_t bytes, bool upload)
{
	const struct gate *g = x->gate;

	return upload && bytes > FETCH_MAX &&
	       g->memory_used + bytes > g->config.memory_size;
}

static bool
memory_fits(const struct gate_export *x, uint64_t bytes, bool upload)
{
	const struct gate *g = x->gate;
	const struct gate_export *first = LIST_FIRST(&g->exports);
	uint64_t all = g->config.memory_size;
	uint64_t own = LIST_NEXT(first, link) == NULL ? all : all / 2;
	uint64_t fetches = x->memory_used - x->memory_uploads;
	uint64_t same = upload ? x->memory_uploads : fetches;

	if (same > 0 && same + bytes > own / 2 &&
	    (upload || x->uploads_waiting > 0))
		return false;
	if (goes_beyond(x, bytes, upload) && g->memory_beyond > 0)
		return false;
	if (upload && bytes > own / 2)
		bytes = own / 2;
	return x->memory_used == 0 ||
	       (x->memory_used + bytes <= own &&
		(same == 0 || g->memory_used + bytes <= all));
}

/* Mutex held. */
static void
memory_await(struct gate_export *x, uint64_t bytes, bool upload)
{
	struct gate *g = x->gate;

	x->uploads_waiting += upload;
	while (!memory_fits(x, bytes, upload))
		mutex_wait(&g->mutex, &g->memory_free, NULL);
	x->uploads_waiting -= upload;
	/* Fetches waited for that. */
	if (upload)
		pthread_cond_broadcast(&g->memory_free);
}

bool
memory_try(struct gate_export *x, uint64_t bytes, bool upload, bool wait)
{
	struct gate *g = x->gate;
	bool fits;

	mutex_lock(&g->mutex);
	if (wait)
		memory_await(x, bytes, upload);
	fits = wait || memory_fits(x, bytes, upload);
	if (fits) {
		/* One of an export at most is as large as that. */
		if (goes_beyond(x, bytes, upload) && x->memory_beyond == 0) {
			x->memory_beyond = bytes;
			g->memory_beyond++;
		}
		x->memory_used += bytes;
		x->memory_uploads += upload ? bytes : 0;
		g->memory_used += bytes;
	}
	mutex_unlock(&g->mutex);
	return fits;
}

void
memory_give(struct gate_export *x, uint64_t bytes, bool upload)
{
	struct gate *g = x->gate;

	mutex_lock(&g->mutex);
	if (upload && x->memory_beyond == bytes) {
		x->memory_beyond = 0;
		g->memory_beyond--;
	}
	x->memory_used -= bytes;
	x->memory_uploads -= upload ? bytes : 0;
	g->memory_used -= bytes;
	pthread_cond_broadcast(&g->memory_free);
	mutex_unlock(&g->mutex);
}

void
fetch_memory_borrow(struct gate_export *x, uint64_t bytes)
{
	__atomic_add_fetch(&x->memory_wanted, 1, __ATOMIC_SEQ_CST);
	(void)memory_try(x, bytes, true, true);
	__atomic_sub_fetch(&x->memory_wanted, 1, __ATOMIC_SEQ_CST);
}

void
fetch_memory_return(struct gate_export *x, uint64_t bytes)
{
	memory_give(x, bytes, true);
}
