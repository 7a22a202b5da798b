/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction that fails leaves memory as it was: each procedure that
 * changes anything is played with each of its transactions failing, and each
 * allocation (a sample; all of them with CHANGE_ALL set), compared with the
 * rows, asked again, killed, and its uploads awaited.
 */

#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "tests/change_fixture.h"
#include "tests/host_fault.h"
#include "tests/unit.h"

#define SILLY ".nfs000000000001"

/* Each has at least one transaction that can fail. */
static void
borne(const struct story *s)
{
	CU_ASSERT(play(s, true) > 0);
}

/* ---- what the stories begin with and end with ---- */

static void
opened(struct harness *r)
{
	CU_ASSERT_EQUAL(do_create(&r->fixture, &r->a, "f", &r->fh[0]), 0);
}

static void
written(struct harness *r)
{
	opened(r);
	CU_ASSERT_EQUAL(do_write(&r->fixture, &r->a, &r->fh[0], 0, "new", 3,
				 GATE_UNSTABLE), 0);
}

/* In the bucket, and known. */
static void
two_old_files(struct harness *r)
{
	fake_s3_set(r->fixture.s3, "g", "other", 5);
	harness_old_file(r);
	CU_ASSERT_EQUAL(do_lookup(&r->fixture, &r->a, "g", &r->fh[1]), 0);
}

/* ---- bytes ---- */

static int
write_stable(struct harness *r)
{
	return do_write(&r->fixture, &r->a, &r->fh[0], 0, "new", 3,
			GATE_FILE_SYNC);
}

static void
a_stable_write_that_fails_is_written_when_it_is_asked_again(void)
{
	borne(&(struct story){ "WRITE stable, new file", opened, write_stable,
			       harness_f_is_new });
	borne(&(struct story){ "WRITE stable, S3's file", harness_old_file,
			       write_stable, harness_f_is_new });
}

/* A program, which loses its rights when somebody writes to it. */
static void
set_id_file(struct harness *r)
{
	fake_s3_set_mode(r->fixture.s3, "f", "old", "0104777");
	CU_ASSERT_EQUAL(do_lookup(&r->fixture, &r->a, "f", &r->fh[0]), 0);
	r->a.rq.cred.uid = r->a.rq.cred.gid = 1000;
}

static int
write_unstable(struct harness *r)
{
	return do_write(&r->fixture, &r->a, &r->fh[0], 0, "new", 3,
			GATE_UNSTABLE);
}

static uint32_t
mode_of(struct harness *r)
{
	struct gate_attr attr = { 0 };

	CU_ASSERT_EQUAL(gate_getattr(r->fixture.x, &r->a.rq, &r->fh[0], &attr),
			0);
	return attr.mode & 07777;
}

static void
a_set_id_bit_that_a_write_takes_is_gone_from_disk_too(void)
{
	struct harness r;

	borne(&(struct story){ "WRITE to a set-id file", set_id_file,
			       write_stable, harness_f_is_new });
	harness_open(&r);
	set_id_file(&r);
	CU_ASSERT_EQUAL(mode_of(&r), 04777);
	CU_ASSERT_EQUAL(write_unstable(&r), 0);
	CU_ASSERT_EQUAL(mode_of(&r), 0777);
	CU_ASSERT(harness_agrees(&r));
	/* The bytes were not committed; the bit does not come back. */
	harness_kill(&r);
	CU_ASSERT_EQUAL(mode_of(&r), 0777);
	CU_ASSERT(harness_settled(&r, harness_f_is_old));
	harness_close(&r);
}

static int
commit(struct harness *r)
{
	return do_commit(&r->fixture, &r->a, &r->fh[0]);
}

static void
a_commit_that_fails_reaches_s3_after_its_repetition_and_a_crash(void)
{
	borne(&(struct story){ "COMMIT", written, commit, harness_f_is_new });
}

static int
cut(struct harness *r)
{
	return do_size(&r->fixture, &r->a, &r->fh[0], 2);
}

static bool
f_is_cut(struct harness *r)
{
	return fake_s3_is(r->fixture.s3, "f", "ol", 2);
}

static void
a_truncation_that_fails_cuts_nothing(void)
{
	borne(&(struct story){ "SETATTR size, new file", harness_new_file, cut,
			       f_is_cut });
	borne(&(struct story){ "SETATTR size, S3's file", harness_old_file, cut,
			       f_is_cut });
}

static int
chmod_f(struct harness *r)
{
	return act_mode(r, &r->fh[0], 0600);
}

static void
attributes_that_fail_are_as_they_were(void)
{
	borne(&(struct story){ "SETATTR mode, new file", harness_new_file,
			       chmod_f, harness_f_is_old });
	borne(&(struct story){ "SETATTR mode, S3's file", harness_old_file,
			       chmod_f, harness_f_is_old });
}

/* ---- new names ---- */

static int
create(struct harness *r)
{
	return do_create(&r->fixture, &r->a, "f", &r->fh[0]);
}

static int
exclusive(struct harness *r)
{
	return act_exclusive(r, "f", &r->fh[0]);
}

static int
make_dir(struct harness *r)
{
	return do_mkdir(&r->fixture, &r->a, "d", &r->fh[0]);
}

static int
make_link(struct harness *r)
{
	return act_symlink(r, "f", &r->fh[0]);
}

static int
make_node(struct harness *r)
{
	return act_mknod(r, "f", &r->fh[0]);
}

static bool
f_is_there(struct harness *r)
{
	return fake_s3_has(r->fixture.s3, "f");
}

static bool
d_is_there(struct harness *r)
{
	return fake_s3_has(r->fixture.s3, "d/");
}

static void
what_could_not_be_made_is_not_there(void)
{
	borne(&(struct story){ "CREATE", NULL, create, f_is_there });
	borne(&(struct story){ "CREATE exclusive", NULL, exclusive,
			       f_is_there });
	borne(&(struct story){ "MKDIR", NULL, make_dir, d_is_there });
	borne(&(struct story){ "SYMLINK", NULL, make_link, f_is_there });
	borne(&(struct story){ "MKNOD", NULL, make_node, f_is_there });
}

static int
link_g(struct harness *r)
{
	return act_link(r, &r->fh[0], "g");
}

static void
a_link_that_fails_is_no_name(void)
{
	borne(&(struct story){ "LINK, new file", harness_new_file, link_g,
			       harness_f_and_g_are_old });
	borne(&(struct story){ "LINK, S3's file", harness_old_file, link_g,
			       harness_f_and_g_are_old });
}

/* ---- names that go ---- */

static int
remove_f(struct harness *r)
{
	return do_remove(&r->fixture, &r->a, "f");
}

static int
remove_g(struct harness *r)
{
	return do_remove(&r->fixture, &r->a, "g");
}

static int
remove_d(struct harness *r)
{
	return act_rmdir(r, "d");
}

static void
with_d(struct harness *r)
{
	struct gate_fh fh;

	CU_ASSERT_EQUAL(do_mkdir(&r->fixture, &r->a, "d", &fh), 0);
}

static bool
d_is_gone(struct harness *r)
{
	return !fake_s3_has(r->fixture.s3, "d/");
}

static void
a_removal_that_fails_removes_nothing(void)
{
	borne(&(struct story){ "REMOVE, new file", harness_new_file, remove_f,
			       harness_f_is_gone });
	borne(&(struct story){ "REMOVE, S3's file", harness_old_file, remove_f,
			       harness_f_is_gone });
	borne(&(struct story){ "REMOVE of the first of two names",
			       harness_linked, remove_f,
			       harness_only_g_is_old });
	borne(&(struct story){ "REMOVE of the second of two names",
			       harness_linked, remove_g, harness_f_is_old });
	borne(&(struct story){ "RMDIR", with_d, remove_d, d_is_gone });
}

/* ---- renames ---- */

static int
f_to_g(struct harness *r)
{
	return do_rename(&r->fixture, &r->a, "f", "g");
}

static int
f_to_silly(struct harness *r)
{
	return do_rename(&r->fixture, &r->a, "f", SILLY);
}

static int
g_to_h(struct harness *r)
{
	return do_rename(&r->fixture, &r->a, "g", "h");
}

static bool
f_and_h_are_old(struct harness *r)
{
	return harness_f_is_old(r) && !fake_s3_has(r->fixture.s3, "g") &&
	       fake_s3_is(r->fixture.s3, "h", "old", 3);
}

static void
old_and_linked(struct harness *r)
{
	harness_old_file(r);
	CU_ASSERT_EQUAL(do_file(&r->fixture, &r->a, "g", "other", &r->fh[1]),
			0);
	CU_ASSERT_EQUAL(act_link(r, &r->fh[1], "h"), 0);
}

static bool
g_is_old_h_the_other(struct harness *r)
{
	return harness_only_g_is_old(r) &&
	       fake_s3_is(r->fixture.s3, "h", "other", 5);
}

static void
a_rename_that_fails_moves_nothing(void)
{
	borne(&(struct story){ "RENAME, new file", harness_new_file, f_to_g,
			       harness_only_g_is_old });
	borne(&(struct story){ "RENAME, S3's file", harness_old_file, f_to_g,
			       harness_only_g_is_old });
	borne(&(struct story){ "RENAME over a file", two_old_files, f_to_g,
			       harness_only_g_is_old });
	borne(&(struct story){ "RENAME of a further name", harness_linked,
			       g_to_h, f_and_h_are_old });
	borne(&(struct story){ "RENAME over one of two names",
			       old_and_linked, f_to_g,
			       g_is_old_h_the_other });
}

static void
a_file_that_could_not_be_set_aside_is_for_the_bucket(void)
{
	borne(&(struct story){ "RENAME to .nfs, S3's file", harness_old_file,
			       f_to_silly, harness_f_is_gone });
	borne(&(struct story){ "RENAME to .nfs, new file", harness_new_file,
			       f_to_silly, harness_f_is_gone });
	borne(&(struct story){ "RENAME to .nfs, one of two names",
			       harness_linked, f_to_silly,
			       harness_only_g_is_old });
}

static void
tree(struct harness *r)
{
	struct gate_fh fh;

	fake_s3_set(r->fixture.s3, "d/", "", 0);
	fake_s3_set(r->fixture.s3, "d/f", "old", 3);
	CU_ASSERT_EQUAL(do_lookup(&r->fixture, &r->a, "d", &fh), 0);
}

static int
d_to_e(struct harness *r)
{
	return do_rename(&r->fixture, &r->a, "d", "e");
}

static bool
e_has_f(struct harness *r)
{
	return !fake_s3_has(r->fixture.s3, "d/f") &&
	       fake_s3_is(r->fixture.s3, "e/f", "old", 3);
}

static void
a_directory_that_could_not_be_renamed_stays_where_it_is(void)
{
	borne(&(struct story){ "RENAME of a directory", tree, d_to_e,
			       e_has_f });
}

/* ---- the faults as they were seen ---- */

static void
a_database_that_somebody_holds_delays_and_loses_nothing(void)
{
	struct harness r;

	harness_open(&r);
	written(&r);
	/* Any: the first may be a batch that nobody waits for. */
	CU_ASSERT_EQUAL(host_fault_set("sql op=begin error=SQLITE_BUSY"), 0);
	/* JUKEBOX to the client: it keeps its bytes and comes back. */
	CU_ASSERT_EQUAL(do_commit(&r.fixture, &r.a, &r.fh[0]), -EBUSY);
	CU_ASSERT_EQUAL(host_fault_set(NULL), 0);
	CU_ASSERT_EQUAL(do_commit(&r.fixture, &r.a, &r.fh[0]), 0);
	harness_kill(&r);
	CU_ASSERT(harness_settled(&r, harness_f_is_new));
	harness_close(&r);
}

static void
a_file_that_kept_its_name_keeps_its_object(void)
{
	struct harness r;

	harness_open(&r);
	harness_old_file(&r);
	CU_ASSERT(harness_agrees(&r));
	CU_ASSERT_EQUAL(host_fault_set("sql op=commit error=SQLITE_IOERR"),
			0);
	CU_ASSERT(f_to_silly(&r) < 0);
	CU_ASSERT_EQUAL(host_fault_set(NULL), 0);
	CU_ASSERT_EQUAL(chmod_f(&r), 0);
	harness_let_go(&r);
	CU_ASSERT(harness_settled(&r, harness_f_is_old));
	harness_close(&r);
}

static int
count_old(void *arg, const struct meta_handle *h)
{
	*(unsigned *)arg += strcmp(h->who, "a@127.0.0.9") != 0;
	return 0;
}

static void
a_writer_that_has_moved_is_one_writer_though_its_row_could_not_follow(void)
{
	struct meta_batch *b = meta_batch_new();
	unsigned old = 0;
	struct harness r;

	harness_open(&r);
	written(&r);
	CU_ASSERT_EQUAL(host_fault_set("sql op=commit error=SQLITE_IOERR"),
			0);
	CU_ASSERT_EQUAL(inet_pton(AF_INET6, "::ffff:127.0.0.9",
				  &r.a.rq.who.addr), 1);
	CU_ASSERT_EQUAL(do_write(&r.fixture, &r.a, &r.fh[0], 3, "er", 2,
				 GATE_UNSTABLE), 0);
	/* Behind what was posted. */
	meta_put_setting(b, "test", "x", 1);
	CU_ASSERT(meta_commit(r.fixture.meta, &b) < 0);
	CU_ASSERT_EQUAL(host_fault_set(NULL), 0);
	CU_ASSERT_EQUAL(do_commit(&r.fixture, &r.a, &r.fh[0]), 0);
	CU_ASSERT_EQUAL(meta_each_handle(r.fixture.meta, r.fh[0].ino, count_old,
					 &old), 0);
	CU_ASSERT_EQUAL(old, 0);
	CU_ASSERT(harness_agrees(&r));
	harness_close(&r);
}

TEST_MAIN("gate_change",
	  T(a_stable_write_that_fails_is_written_when_it_is_asked_again),
	  T(a_set_id_bit_that_a_write_takes_is_gone_from_disk_too),
	  T(a_commit_that_fails_reaches_s3_after_its_repetition_and_a_crash),
	  T(a_truncation_that_fails_cuts_nothing),
	  T(attributes_that_fail_are_as_they_were),
	  T(what_could_not_be_made_is_not_there),
	  T(a_link_that_fails_is_no_name),
	  T(a_removal_that_fails_removes_nothing),
	  T(a_rename_that_fails_moves_nothing),
	  T(a_file_that_could_not_be_set_aside_is_for_the_bucket),
	  T(a_directory_that_could_not_be_renamed_stays_where_it_is),
	  T(a_database_that_somebody_holds_delays_and_loses_nothing),
	  T(a_file_that_kept_its_name_keeps_its_object),
	  T(a_writer_that_has_moved_is_one_writer_though_its_row_could_not_follow))
