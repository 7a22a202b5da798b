/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered: the count of names is that of the rows, whatever came of
 * a change; a row that says more than the bucket is told from one that does
 * not; and the file gives back the room of rows that went.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "meta/meta_priv.h"
#include "tests/meta_fixture.h"
#include "tests/unit.h"

static struct meta_name
name_of(uint64_t i)
{
	struct meta_name n = { .id = i, .parent = 5, .ino = i, .kind = 1 };

	snprintf(n.name, sizeof(n.name), "n%08d", (int)i);
	return n;
}

static struct meta_inode
inode_of(uint64_t i)
{
	struct meta_inode n = { .ino = i, .export_id = 1, .kind = 1 };

	snprintf(n.base_key, sizeof(n.base_key), "k/%08d", (int)i);
	return n;
}

static void
add(struct meta_batch *b, uint64_t i)
{
	struct meta_inode n = inode_of(i);
	struct meta_name name = name_of(i);

	meta_add_inode(b, &n);
	meta_add_name(b, &name);
}

/* ---- the count ---- */

static void
names_are_counted_through_every_change_and_a_restart(void)
{
	struct place p;
	struct meta_batch *b = meta_batch_new();
	struct meta_name n;

	place_open(&p);
	CU_ASSERT_EQUAL(meta_names(p.m), 0);
	for (uint64_t i = 1; i <= 10; i++)
		add(b, i);
	CU_ASSERT_EQUAL_FATAL(meta_commit(p.m, &b), 0);
	CU_ASSERT_EQUAL(meta_names(p.m), 10);

	/* Put over one of its number, and over one of its place; gone by
	 * name, by inode, and not there. */
	b = meta_batch_new();
	n = name_of(1);
	strcpy(n.name, "other");
	meta_put_name(b, &n);
	n = name_of(2);
	n.id = 20;
	meta_put_name(b, &n);
	meta_del_name(b, 5, "n00000003");
	meta_del_name(b, 5, "never");
	meta_del_inode(b, 4);
	CU_ASSERT_EQUAL_FATAL(meta_commit(p.m, &b), 0);
	CU_ASSERT_EQUAL(meta_names(p.m), 8);

	/* A change that fails in the middle has changed nothing. */
	b = meta_batch_new();
	add(b, 30);
	add(b, 5);
	CU_ASSERT(meta_commit(p.m, &b) < 0);
	CU_ASSERT_EQUAL(meta_names(p.m), 8);

	place_reopen(&p);
	CU_ASSERT_EQUAL(meta_names(p.m), 8);
	place_close(&p);
}

/* ---- plain rows ---- */

struct plain {
	uint64_t id;
	bool is;
};

static int
see(void *arg, const struct meta_known *k)
{
	struct plain *p = arg;

	if (k->name.id == p->id)
		p->is = k->plain;
	return 0;
}

static bool
is_plain(struct meta *m, uint64_t id)
{
	struct plain p = { id, false };

	CU_ASSERT_EQUAL(meta_each_known(m, 0, 1000, see, &p), 0);
	return p.is;
}

static void
a_row_that_says_more_than_the_bucket_is_told_apart(void)
{
	struct meta_extent e = { 0, 4, 0 };
	struct meta_upload u = { .ino = 10, .key = "k" };
	struct meta_handle h = { .ino = 11, .state = META_FENCED };
	struct meta_indoubt sent = { .key = "k" };
	struct meta_quarantine q = { .id = 1, .ino = 15, .key = "k" };
	struct meta_dirmove move = { .id = 1, .ino = 16, .source = "k/" };
	struct meta_batch *b = meta_batch_new();
	struct meta_inode n;
	struct meta_name name;
	struct place p;

	place_open(&p);
	for (uint64_t i = 1; i <= 19; i++) {
		if (i != 5)
			add(b, i);
	}
	n = inode_of(1), n.data_dirty = true, meta_put_inode(b, &n);
	n = inode_of(2), n.attr_dirty = true, meta_put_inode(b, &n);
	n = inode_of(3), n.name_dirty = true, meta_put_inode(b, &n);
	n = inode_of(4), n.local_only = true, meta_put_inode(b, &n);
	n = inode_of(6), n.relocating = true, meta_put_inode(b, &n);
	n = inode_of(7), strcpy(n.link_id, "id"), meta_put_inode(b, &n);
	n = inode_of(8), n.base_key[0] = '\0', meta_put_inode(b, &n);
	meta_put_extents(b, 9, 0, 4, &e, 1);
	meta_put_upload(b, &u);
	meta_put_handle(b, &h);
	meta_put_durable_extents(b, 12, 0, 4, &e, 1);
	meta_put_journal(b, 13, 0, "x", 1);
	meta_put_indoubt(b, 14, &sent, 1);
	meta_put_quarantine(b, &q);
	meta_put_dirmove(b, &move);
	name = name_of(30), name.parent = 17, meta_put_name(b, &name);
	/* A directory without an object, and what was read of one. */
	n = inode_of(18), n.kind = 2, n.base_key[0] = '\0';
	meta_put_inode(b, &n);
	n = inode_of(19), n.attr_known = true, meta_put_inode(b, &n);
	CU_ASSERT_EQUAL_FATAL(meta_commit(p.m, &b), 0);
	for (uint64_t i = 1; i <= 17; i++)
		CU_ASSERT_FALSE(is_plain(p.m, i));
	CU_ASSERT(is_plain(p.m, 18));
	CU_ASSERT(is_plain(p.m, 19));
	place_close(&p);
}

/* ---- uploads ---- */

static int
take_upload(void *arg, const struct meta_upload *u)
{
	*(struct meta_upload *)arg = *u;
	return 0;
}

/* The rest of the row may be newer than he knows who writes them. */
static void
refusals_are_written_alone_and_make_no_row(void)
{
	struct meta_upload u = { .ino = 10, .since_ns = 7, .attempts = 3,
				 .expect_etag = "etag" };
	struct meta_upload found = { 0 };
	struct meta_batch *b = meta_batch_new();
	struct place p;

	place_open(&p);
	meta_put_upload(b, &u);
	meta_set_refused(b, 10, 2, 3000, "AccessDenied");
	meta_set_refused(b, 11, 2, 3000, "AccessDenied");
	CU_ASSERT_EQUAL_FATAL(meta_commit(p.m, &b), 0);
	CU_ASSERT_EQUAL(meta_each_upload(p.m, take_upload, &found), 0);
	CU_ASSERT_EQUAL(found.ino, 10);
	CU_ASSERT_EQUAL(found.since_ns, 7);
	CU_ASSERT_EQUAL(found.attempts, 3);
	CU_ASSERT_STRING_EQUAL(found.expect_etag, "etag");
	CU_ASSERT_EQUAL(found.refusals, 2);
	CU_ASSERT_EQUAL(found.refused_ms, 3000);
	CU_ASSERT_STRING_EQUAL(found.error, "AccessDenied");
	place_close(&p);
}

/* ---- room ---- */

#define MANY 20000

static uint64_t
bytes_of(struct meta *m)
{
	uint64_t bytes = 0;

	CU_ASSERT_EQUAL(meta_bytes(m, &bytes), 0);
	return bytes;
}

static void
the_file_gives_back_the_room_of_rows_that_went(void)
{
	struct meta_batch *b = meta_batch_new();
	uint64_t most, tries = 0;
	struct stat st;
	struct place p;
	int r;

	place_open(&p);
	for (uint64_t i = 1; i <= MANY; i++)
		add(b, i);
	CU_ASSERT_EQUAL_FATAL(meta_commit(p.m, &b), 0);
	most = bytes_of(p.m);
	CU_ASSERT(most > 2000000);
	CU_ASSERT_EQUAL(meta_tidy(p.m), 0);
	b = meta_batch_new();
	for (uint64_t i = 10; i <= MANY; i++)
		meta_del_inode(b, i);
	CU_ASSERT_EQUAL_FATAL(meta_commit(p.m, &b), 0);
	CU_ASSERT_EQUAL(bytes_of(p.m), most);
	while ((r = meta_tidy(p.m)) == 1 && ++tries < 1000)
		;
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT(tries > 3);
	CU_ASSERT(bytes_of(p.m) < most * 3 / 4);
	place_reopen(&p);
	CU_ASSERT_EQUAL_FATAL(stat(p.file, &st), 0);
	CU_ASSERT((uint64_t)st.st_size < most * 3 / 4);
	CU_ASSERT_EQUAL(meta_names(p.m), 9);
	place_close(&p);
}

TEST_MAIN("meta_known",
	  T(names_are_counted_through_every_change_and_a_restart),
	  T(a_row_that_says_more_than_the_bucket_is_told_apart),
	  T(refusals_are_written_alone_and_make_no_row),
	  T(the_file_gives_back_the_room_of_rows_that_went))
