/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_CACHE_INSIDE_H
#define NFSD_GATE_CACHE_INSIDE_H

/*
 * The memory that fetches and uploads share.
 * For its own files alone.
 */

#include "nfsd/gate/cache/cache.h"

#define FETCH_MAX (8 * MIB)	/* bytes of one GET */

/* ---- memory.c ---- */
/* Take so many bytes for a fetch, or an upload.  wait: until they are there,
 * which is true; else false if they are not.  No mutex is held. */
bool memory_try(struct gate_export *x, uint64_t bytes, bool upload, bool wait);
/* What was taken, back; who waits for some looks again. */
void memory_give(struct gate_export *x, uint64_t bytes, bool upload);

#endif
