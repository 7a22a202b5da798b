/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_STATE_LISTING_H
#define NFSD_GATE_STATE_LISTING_H

/* A directory's listing. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pruned {			/* inodes that are gone (prune.c) */
	uint64_t *inos;
	size_t count, room;
};

/* The listing of a directory. */
struct scan {
	bool complete;		/* one has reached its last page */
	uint64_t fresh_ms;	/* when the last complete one began */
	uint64_t expired_ms;	/* no listing of before then is fresh */
	uint64_t count;		/* names it met */
	bool unsure;		/* some that it lacked may be gone */
	size_t look_from;	/* of what one lacked: who is asked next */
	/* the one under way */
	char *prefix;		/* that it lists */
	bool running;
	bool stepping;		/* a thread asks for its next page */
	bool first;		/* nothing was known before it */
	bool changed;		/* names came or went by other hands */
	uint64_t start_ms, start_id, stepped_ms;
	char *token;
	char *at;		/* all up to here are checked; NULL: none */
	bool disorder;		/* pages do not follow each other */
	bool by_seen;		/* as was known before: see `seen` */
	uint64_t *seen;		/* ids of names met that are mangled (prune.c),
				 * or of all */
	size_t seen_count, seen_room;
	struct pruned gone;	/* missing where their page should have them,
				 * sorted */
};

#endif
