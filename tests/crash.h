/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_H
#define TESTS_CRASH_H

/*
 * A story that crash.c interrupts: it prepares files, acts, and says what must
 * be true at the end.
 */

#include "tests/crash_harness.h"

/* The first xid of an act: the same again when it is repeated. */
#define CRASH_XID 0x52000000U
#define CRASH_BIG (24U << 20)	/* no file of a story is larger */
#define CRASH_SMALL 100000U

struct crash_story;

struct world {
	struct harness r;
	const struct crash_story *story;
	struct nc_fh f, anchor;
	fattr3 before;		/* of f, when it was prepared */
	char *want;		/* the bytes of f at the end */
	uint64_t size;
	const char *name;	/* its key at the end, NULL: none */
	unsigned keys;		/* in the bucket at the end, with the anchor */
	bool acked;
	bool refused;		/* for good: nobody reads it back */
};

struct crash_story {
	const char *name;
	int (*prepare)(struct world *w);
	int (*act)(struct world *w);	/* 0: all of it was answered OK */
	int (*after)(struct world *w);	/* may be NULL */
	bool again;		/* the same call again has the same answer */
	const char *points;	/* '!' behind one: S3 has it by then */
};

/* All of them; the last one has no name. */
extern const struct crash_story crash_stories[];

/* An empty file, UNCHECKED. */
int crash_create(struct world *w, const char *name, struct nc_fh *fh);

#endif
