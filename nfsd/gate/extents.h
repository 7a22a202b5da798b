/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_EXTENTS_H
#define NFSD_GATE_EXTENTS_H

#include "meta/meta.h"

/*
 * A map from ranges of a file to places in its data file: sorted by `off`,
 * without overlap, neighbours that continue each other merged.  {0} is
 * empty.  The caller locks.
 */
struct extents {
	struct meta_extent *list;
	size_t count, room;
	uint64_t bytes;		/* of all */
};

void extents_free(struct extents *m);
#define CLEANUP_EXTENTS __attribute__((cleanup(extents_free)))
int extents_copy(const struct extents *from, struct extents *to)
	__attribute__((warn_unused_result));

/* Map [off, off + len) to at, over whatever lay there.  -ENOMEM: the map is
 * as it was. */
int extents_set(struct extents *m, uint64_t off, uint64_t len, uint64_t at);
/* Unmap a range.  -ENOMEM, which a cut up to the end of the map never is. */
int extents_cut(struct extents *m, uint64_t off, uint64_t len);

/* Room for so many changes: extents_set and extents_cut do not fail then. */
int extents_reserve(struct extents *m, size_t changes)
	__attribute__((warn_unused_result));
/* A new map: `over`, and what it does not cover of `below`.  Takes as long as
 * both have entries. */
int extents_over(const struct extents *below, const struct extents *over,
		 struct extents *out) __attribute__((warn_unused_result));

/* Index of the first extent that ends after off; count if none does. */
size_t extents_seek(const struct extents *m, uint64_t off);
/* The piece of the map at off: true and where it lies and how far it goes,
 * or false and how long the gap is (UINT64_MAX: no end). */
bool extents_at(const struct extents *m, uint64_t off, uint64_t *at,
		uint64_t *len);
/* Those within [off, off + len), added to `out`.  -ENOMEM. */
int extents_range(const struct extents *m, uint64_t off, uint64_t len,
		  struct extents *out) __attribute__((warn_unused_result));
uint64_t extents_bytes(const struct extents *m);
/* Of those within [off, off + len). */
uint64_t extents_bytes_in(const struct extents *m, uint64_t off,
			  uint64_t len);
/* Does any extent that lies at its own offset touch [off, off + len)? */
bool extents_in_place(const struct extents *m, uint64_t off, uint64_t len);

#endif
