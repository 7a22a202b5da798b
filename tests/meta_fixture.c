/* SPDX-License-Identifier: Apache-2.0 */
/* See meta_fixture.h. */

#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/meta_fixture.h"
#include "tests/unit.h"

void
place_make(struct place *p)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(p->dir, sizeof(p->dir), "%s/metaXXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(p->dir) == NULL)
		CU_FAIL_FATAL("no temporary directory");
	snprintf(p->file, sizeof(p->file), "%s/meta.db", p->dir);
}

void
place_remove(struct place *p)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-ballast" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		char name[320];

		snprintf(name, sizeof(name), "%s%s", p->file, ends[i]);
		(void)unlink(name);
	}
	CU_ASSERT_EQUAL(rmdir(p->dir), 0);
}

struct meta *
place_store(const struct place *p)
{
	struct meta_config c = { .path = p->file };
	struct meta *m = NULL;

	if (meta_open(&c, &m) < 0)
		return NULL;
	return m;
}

struct meta *
place_fresh(struct place *p)
{
	struct meta *m;

	place_make(p);
	m = place_store(p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	return m;
}

void
place_open(struct place *p)
{
	p->m = place_fresh(p);
}

void
place_reopen(struct place *p)
{
	meta_close(&p->m);
	p->m = place_store(p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p->m);
}

void
place_close(struct place *p)
{
	meta_close(&p->m);
	place_remove(p);
}

struct meta_inode
row_inode(uint64_t ino)
{
	struct meta_inode n = { .ino = ino, .export_id = 1, .kind = 1,
				.mode = 0644, .nlink = 1 };

	return n;
}

int
row_put(struct meta *m, const struct meta_inode *n)
{
	struct meta_batch *b = meta_batch_new();

	meta_put_inode(b, n);
	return meta_commit(m, &b);
}

bool
row_has(struct meta *m, uint64_t ino)
{
	struct meta_inode n = { 0 };
	int r = meta_get_inode(m, ino, &n);

	if (r == 0)
		meta_inode_fini(&n);
	return r == 0;
}
