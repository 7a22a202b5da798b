/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_META_FIXTURE_H
#define TESTS_META_FIXTURE_H

/* A database in a directory of its own, for tests of meta.h. */

#include <stdbool.h>
#include <stdint.h>

#include "meta/meta.h"

struct place {
	char dir[256], file[300];
	struct meta *m;		/* of place_open */
};

void place_make(struct place *p);
void place_remove(struct place *p);
/* Open it, once more perhaps.  NULL: it cannot be. */
struct meta *place_store(const struct place *p);
/* Both: make, and open or fail the case. */
struct meta *place_fresh(struct place *p);
/* The same for cases with one store, p->m. */
void place_open(struct place *p);
void place_reopen(struct place *p);
void place_close(struct place *p);

/* Inodes: a plain one; its row is written, is there. */
struct meta_inode row_inode(uint64_t ino);
int row_put(struct meta *m, const struct meta_inode *n);
bool row_has(struct meta *m, uint64_t ino);

#endif
