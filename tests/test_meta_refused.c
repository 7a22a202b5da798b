/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database that refuses: numbers stop where the disk's limit is, a new row
 * takes no other's place, and who holds the database is waited for only so
 * long.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include <sqlite3.h>

#include "tests/meta_fixture.h"
#include "tests/unit.h"

/* Somebody else's connection, that makes the writer's statements fail. */
static void
meddle(const struct place *p, const char *text)
{
	sqlite3 *db = NULL;

	CU_ASSERT_EQUAL_FATAL(sqlite3_open(p->file, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_busy_timeout(db, 5000), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
no_number_is_given_beyond_what_the_disk_has(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	uint64_t last = 0, limit = 0, id;
	int r = 0;

	meddle(&p, "CREATE TRIGGER no BEFORE INSERT ON setting"
		   " WHEN new.name = 'next_ino'"
		   " BEGIN SELECT RAISE(ABORT, 'no'); END");
	CU_ASSERT_EQUAL(meta_get_setting(m, "next_ino", &limit,
					 sizeof(limit)), sizeof(limit));
	for (unsigned i = 0; i < 250000 && r == 0; i++) {
		r = meta_new_ino(m, &id);
		if (r == 0)
			last = id;
	}
	CU_ASSERT_EQUAL(r, -EIO);
	CU_ASSERT_TRUE(last > 0 && last < limit);
	CU_ASSERT_EQUAL(meta_new_ino(m, &id), -EIO);
	/* The other kinds are not touched, and it goes on when it can. */
	CU_ASSERT_EQUAL(meta_new_name_id(m, &id), 0);
	meddle(&p, "DROP TRIGGER no");
	CU_ASSERT_EQUAL(meta_new_ino(m, &id), 0);
	CU_ASSERT_TRUE(id > last);
	last = id;
	meta_close(&m);
	m = place_store(&p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_TRUE(meta_new_ino(m, &id) == 0 && id > last);
	meta_close(&m);
	place_remove(&p);
}

static void
a_new_row_replaces_none(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	struct meta_inode n = row_inode(7), out = { 0 };
	struct meta_name a = { .id = 5, .parent = 1, .ino = 7, .kind = 1,
			       .name = "a" }, b = a, got;
	struct meta_batch *batch = meta_batch_new();

	meta_add_inode(batch, &n);
	meta_add_name(batch, &a);
	CU_ASSERT_EQUAL(meta_commit(m, &batch), 0);
	n.mode = 0600;
	batch = meta_batch_new();
	meta_add_inode(batch, &n);
	CU_ASSERT_EQUAL(meta_commit(m, &batch), -EIO);
	CU_ASSERT_EQUAL(meta_get_inode(m, 7, &out), 0);
	CU_ASSERT_EQUAL(out.mode, 0644);
	meta_inode_fini(&out);
	strcpy(b.name, "b");		/* the number is taken */
	batch = meta_batch_new();
	meta_add_name(batch, &b);
	CU_ASSERT_EQUAL(meta_commit(m, &batch), -EIO);
	b = a;
	b.id = 6;			/* the name is */
	b.ino = 8;
	batch = meta_batch_new();
	meta_add_name(batch, &b);
	CU_ASSERT_EQUAL(meta_commit(m, &batch), -EIO);
	CU_ASSERT_EQUAL(meta_get_name(m, 1, "a", &got), 0);
	CU_ASSERT_EQUAL(got.ino, 7);
	CU_ASSERT_EQUAL(got.id, 5);
	meta_close(&m);
	place_remove(&p);
}

static void
a_batch_remembers_what_it_lacks(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	struct meta_inode n = row_inode(7);
	struct meta_batch *b = meta_batch_new();

	meta_put_inode(b, &n);
	meta_batch_fail(b, -EBUSY);
	meta_batch_fail(b, -EIO);	/* the first counts */
	CU_ASSERT_EQUAL(meta_commit(m, &b), -EBUSY);
	CU_ASSERT_PTR_NULL(b);
	CU_ASSERT_FALSE(row_has(m, 7));
	meta_close(&m);
	place_remove(&p);
}

static void
a_database_that_somebody_holds_is_busy_for_a_while(void)
{
	struct place p;
	struct meta_config c = { .path = p.file, .busy_ms = 50 };
	struct meta *m = NULL;
	struct meta_inode n = row_inode(7);
	sqlite3 *db = NULL;

	place_make(&p);
	CU_ASSERT_EQUAL_FATAL(meta_open(&c, &m), 0);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(p.file, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
			SQLITE_OK);
	CU_ASSERT_EQUAL(row_put(m, &n), -EBUSY);
	CU_ASSERT_FALSE(row_has(m, 7));
	sqlite3_close(db);
	CU_ASSERT_EQUAL(row_put(m, &n), 0);
	CU_ASSERT_TRUE(row_has(m, 7));
	meta_close(&m);
	place_remove(&p);
}

TEST_MAIN("meta_refused", T(no_number_is_given_beyond_what_the_disk_has),
	  T(a_new_row_replaces_none), T(a_batch_remembers_what_it_lacks),
	  T(a_database_that_somebody_holds_is_busy_for_a_while))
