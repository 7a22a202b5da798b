/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that a start does not understand: they are kept, told, and in nobody's
 * way.  Rows are written into the database while nobody has it open.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static sqlite3 *
open_database(const struct fixture *b)
{
	char path[128];
	sqlite3 *db = NULL;

	snprintf(path, sizeof(path), "%s/meta.db", b->dir);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	return db;
}

static void
change(const struct fixture *b, const char *text)
{
	sqlite3 *db = open_database(b);

	CU_ASSERT_EQUAL(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* The number that the question gives. */
static int
ask(const struct fixture *b, const char *text)
{
	sqlite3 *db = open_database(b);
	sqlite3_stmt *s = NULL;
	int n = -1;

	CU_ASSERT_EQUAL(sqlite3_prepare_v2(db, text, -1, &s, NULL), SQLITE_OK);
	if (sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return n;
}

static int
count_absent(void *arg, const struct gate_absent_info *info)
{
	*(uint64_t *)arg += info->name[0] == '\0' ? info->files : 0;
	return 0;
}

static uint64_t
unclaimed(struct fixture *b)
{
	uint64_t files = 0;

	CU_ASSERT_EQUAL(gate_each_absent(b->gate, count_absent, &files), 0);
	return files;
}

/* Rows of inodes that there are not. */
static void
rows_without_an_inode_stay(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	fixture_stop(&b);
	change(&b, "INSERT INTO upload (ino, phase, key, since)"
		   " VALUES (77, 0, 'k', 1);"
		   "INSERT INTO extent VALUES (78, 0, 4, 0);"
		   "INSERT INTO handle VALUES (79, 'x@::1', 3, 1, 1, 0, 0);"
		   "INSERT INTO journal (ino, at, data)"
		   " VALUES (80, 0, x'41424344');"
		   "INSERT INTO unanswered (ino, n, key, etag)"
		   " VALUES (81, 0, 'k', 'e');"
		   "INSERT INTO deletion (id, export, key, etag)"
		   " VALUES (82, 99, 'k', '');"
		   "INSERT INTO move VALUES (83, 99, 84, 0, 'd/', '', 1, 0,"
		   " 0);");
	for (int i = 0; i < 2; i++) {
		fixture_start(&b);
		CU_ASSERT_EQUAL(unclaimed(&b), 3);
		CU_ASSERT_EQUAL(do_file(&b, &a, i ? "g" : "f", "text", &fh),
				0);
		CU_ASSERT(fixture_settled(&b));
		fixture_stop(&b);
	}
	CU_ASSERT_EQUAL(ask(&b, "SELECT (SELECT count(*) FROM upload) +"
				" (SELECT count(*) FROM extent) +"
				" (SELECT count(*) FROM handle) +"
				" (SELECT count(*) FROM journal) +"
				" (SELECT count(*) FROM unanswered) +"
				" (SELECT count(*) FROM deletion) +"
				" (SELECT count(*) FROM move)"), 7);
	fixture_start(&b);
	fixture_close(&b);
}

/* Numbers of kinds, states and phases that there are not. */
static void
rows_of_an_unknown_kind_stay(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char text[200];

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1000, -EAGAIN);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	fixture_stop(&b);
	snprintf(text, sizeof(text), "UPDATE inode SET kind = 9 WHERE ino ="
		 " %llu", (unsigned long long)fh.ino);
	change(&b, text);
	fixture_start(&b);
	fixture_stop(&b);
	CU_ASSERT_EQUAL(ask(&b, "SELECT count(*) FROM upload"), 1);
	snprintf(text, sizeof(text), "UPDATE inode SET kind = 1 WHERE ino ="
		 " %llu; UPDATE upload SET phase = 9",
		 (unsigned long long)fh.ino);
	change(&b, text);
	fixture_start(&b);
	fixture_stop(&b);
	CU_ASSERT_EQUAL(ask(&b, "SELECT phase FROM upload"), 9);
	change(&b, "UPDATE upload SET phase = 0; UPDATE handle SET state = 99");
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 0, 0);
	fixture_start(&b);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "text", 4));
	fixture_close(&b);
}

static int
try_open(struct fixture *b)
{
	char path[128];
	struct meta_config config = { .path = path };
	int r;

	snprintf(path, sizeof(path), "%s/meta.db", b->dir);
	r = meta_open(&config, &b->meta);
	meta_close(&b->meta);
	return r;
}

static void
what_a_newer_program_wrote_is_not_opened(void)
{
	struct fixture b = FIXTURE;

	fixture_open(&b);
	fixture_stop(&b);
	change(&b, "PRAGMA user_version = 1000;"
		   " ALTER TABLE deletion RENAME TO later");
	CU_ASSERT_EQUAL(try_open(&b), -ENOTSUP);
	CU_ASSERT_EQUAL(ask(&b, "PRAGMA user_version"), 1000);
	CU_ASSERT_EQUAL(ask(&b, "SELECT count(*) FROM sqlite_schema"
				" WHERE name = 'deletion'"), 0);
	change(&b, "ALTER TABLE later RENAME TO deletion;"
		   " PRAGMA user_version = 2");
	fixture_start(&b);
	fixture_close(&b);
}

/* What is left of a longer key would be another one. */
static void
a_key_that_is_too_long_is_not_cut(void)
{
	struct fixture b = FIXTURE;

	fixture_open(&b);
	fixture_stop(&b);
	change(&b, "INSERT INTO deletion (id, export, key)"
		   " SELECT 5, id, zeroblob(2000) FROM export");
	CU_ASSERT_EQUAL(try_open(&b), -EBADMSG);
	CU_ASSERT_EQUAL(ask(&b, "SELECT count(*) FROM deletion"), 1);
	change(&b, "DELETE FROM deletion");
	fixture_start(&b);
	fixture_close(&b);
}

/* Is the start refused, and no file gone? */
static void
a_damaged_database_ends_the_start(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate *g = NULL;
	char path[128], data[64], junk[4096];
	static char text[300000];
	int fd, pages, r;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1000, -EAGAIN);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, text, sizeof(text),
				 GATE_FILE_SYNC), 0);
	fixture_stop(&b);
	pages = ask(&b, "SELECT rootpage FROM sqlite_schema"
			" WHERE name = 'extent'");
	CU_ASSERT_FATAL(pages > 1);
	memset(junk, 0x5a, sizeof(junk));
	snprintf(path, sizeof(path), "%s/meta.db", b.dir);
	fd = open(path, O_WRONLY);
	CU_ASSERT_EQUAL(pwrite(fd, junk, sizeof(junk),
			       (off_t)(pages - 1) * 4096), 4096);
	close(fd);
	data_file_name(fh.ino, data);
	snprintf(path, sizeof(path), "%s/data/%s", b.dir, data);
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	for (int i = 0; i < 2; i++) {
		struct meta_config mc = { .path = junk };

		snprintf(junk, sizeof(junk), "%s/meta.db", b.dir);
		r = meta_open(&mc, &b.meta);
		if (r == 0)
			r = gate_open(&b.config, b.meta, &g);
		CU_ASSERT_EQUAL(r, -EBADMSG);
		meta_close(&b.meta);
		CU_ASSERT_EQUAL(access(path, F_OK), 0);
	}
	fixture_close(&b);
}

TEST_MAIN("gate_found", T(rows_without_an_inode_stay),
	  T(rows_of_an_unknown_kind_stay),
	  T(what_a_newer_program_wrote_is_not_opened),
	  T(a_key_that_is_too_long_is_not_cut),
	  T(a_damaged_database_ends_the_start))
