/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gate.h promises, case by case, over a bucket in memory that fails and
 * stalls when it is told to.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

/* ---- names and keys ---- */

static void
a_name_that_was_renamed_and_removed_can_be_uploaded_again(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "old", 3);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	fake_s3_hold(b.s3, S3_OP_COPY);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 1, -EAGAIN);
	fake_s3_release(b.s3);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), 0);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "new", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "new", 3));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "g"));
	fixture_close(&b);
}

static void
a_file_removed_while_open_frees_its_name(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, fh2;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "old", 3);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", ".nfs000000000001"), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh, "old", 3));
	CU_ASSERT_EQUAL(do_remove(&b, &a, ".nfs000000000001"), 0);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "new", &fh2), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "new", 3));
	fixture_close(&b);
}

static void
an_editor_that_saves_twice_loses_nothing(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	b.export.settle_ms = 200;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "v0", 2);
	CU_ASSERT_EQUAL(do_file(&b, &a, "t1", "v1", &fh), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "t1", "f"), 0);
	CU_ASSERT_EQUAL(do_file(&b, &a, "t2", "v2", &fh), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "t2", "f"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "v2", 2));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "t1"));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "t2"));
	fixture_close(&b);
}

static void
two_files_that_swap_names_both_arrive(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh f, g, t;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "ffff", 4);
	fake_s3_set(b.s3, "g", "gggg", 4);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &f), 0);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "g", &g), 0);
	/* S3 does not keep pace. */
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 100, -EAGAIN);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "t"), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "g", "f"), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "t", "g"), 0);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 0, 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "gggg", 4));
	CU_ASSERT(fake_s3_is(b.s3, "g", "ffff", 4));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "t"));
	CU_ASSERT(do_read_is(&b, &a, &f, "ffff", 4));
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "t", &t), -ENOENT);
	fixture_close(&b);
}

static void
a_writer_that_owes_nothing_is_gone_after_a_crash(void)
{
	struct meta_handle h = { .state = META_FLUSHED, .generation = 1,
				 .who = "a@::1" };
	struct meta_batch *rows;
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	client_init(&a, "a");
	client_init(&c, "c");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "bytes", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	/* As a truncation leaves it that changes nothing. */
	rows = meta_batch_new();
	h.ino = fh.ino;
	meta_put_handle(rows, &h);
	CU_ASSERT_EQUAL(meta_commit(b.meta, &rows), 0);
	fixture_restart(&b);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "B", 1, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "Bytes", 5));
	fixture_close(&b);
}

static void
a_copy_whose_answer_was_lost_is_known_again(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "bytes", 5);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	fake_s3_lose(b.s3, S3_OP_COPY, -EAGAIN);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "g", "bytes", 5));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.quarantined, 0);
	fixture_close(&b);
}

/* ---- the rule ---- */

static void
a_truncate_that_changes_nothing_leaves_no_writer_behind(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	client_init(&a, "a");
	client_init(&c, "c");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "12345", 5);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_size(&b, &a, &fh, 5), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "x", 1, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "x2345", 5));
	fixture_close(&b);
}

static void
a_flushed_writer_is_superseded_after_its_upload(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	b.export.settle_ms = 60000;
	client_init(&a, "a");
	client_init(&c, "c");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "aaaa", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 1, "cc", 2, GATE_UNSTABLE), 0);
	CU_ASSERT(fake_s3_is(b.s3, "f", "aaaa", 4));
	/* Nobody sees what is not committed. */
	CU_ASSERT(do_read_is(&b, &a, &fh, "aaaa", 4));
	CU_ASSERT(do_read_is(&b, &c, &fh, "acca", 4));
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "x", 1, GATE_UNSTABLE),
			-EAGAIN);
	CU_ASSERT_EQUAL(do_commit(&b, &c, &fh), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh, "acca", 4));
	fixture_close(&b);
}

static void
a_refused_upload_is_kept_and_told_to_both(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;
	struct gate_status status;

	client_init(&a, "a");
	client_init(&c, "c");
	b.export.settle_ms = 60000;
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "good", 4);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "evil", 4, GATE_FILE_SYNC),
			0);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1, -EACCES);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "x", 1, GATE_FILE_SYNC),
			-EIO);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), -EIO);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.quarantined, 1);
	CU_ASSERT(do_read_is(&b, &a, &fh, "good", 4));
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "x", 1, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "xood", 4));
	fixture_close(&b);
}

static void
a_refused_rename_gives_the_old_name_back(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, fh2;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "text", 4);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 1, -EACCES);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
	CU_ASSERT(fixture_settled(&b));
	nanosleep(&(struct timespec){ 0, 80000000 }, NULL);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "g", &fh2), -ENOENT);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh2), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh2, "text", 4));
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh2, 0, "next", 4, GATE_FILE_SYNC),
			0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "next", 4));
	fixture_close(&b);
}

static void
an_upload_refused_below_a_writer_waits_for_its_commit(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;

	b.export.max_dirty_age_ms = 20;
	b.export.on_conflict = GATE_CONFLICT_FAIL;
	client_init(&a, "a");
	fixture_open(&b);
	/* Refused while the writer is at work again. */
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1, -EACCES);
	fake_s3_hold(b.s3, S3_OP_PUT);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "aaaa", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "bb", 2, GATE_UNSTABLE), 0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	fake_s3_release(b.s3);
	AWAIT(fake_s3_calls(b.s3, S3_OP_PUT) > 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 2, "cc", 2, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh, "bbcc", 4));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "bbcc", 4));
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.quarantined, 0);
	fixture_close(&b);
}

static void
a_directory_that_is_refused_keeps_its_files(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh dir, fh;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1, -EACCES);
	/* Without files it would go. */
	fake_s3_hold(b.s3, S3_OP_PUT);
	CU_ASSERT_EQUAL(do_mkdir(&b, &a, "d", &dir), 0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	CU_ASSERT_EQUAL(do_create_in(&b, &a, &dir, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "text", 4, GATE_FILE_SYNC),
			0);
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "d/f", "text", 4));
	fixture_close(&b);
}

/* ---- bytes ---- */

static void
bytes_from_the_bucket_do_not_fall_on_written_ones(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;
	static char text[300000];

	memset(text, 'o', sizeof(text));
	client_init(&a, "a");
	client_init(&c, "c");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", text, sizeof(text));
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 1000, "new", 3, GATE_UNSTABLE),
			0);
	/* Another client reads the old version through the cache. */
	CU_ASSERT(do_read_is(&b, &c, &fh, text, sizeof(text)));
	memcpy(text + 1000, "new", 3);
	CU_ASSERT(do_read_is(&b, &a, &fh, text, sizeof(text)));
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(do_read_is(&b, &c, &fh, text, sizeof(text)));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", text, sizeof(text)));
	fixture_close(&b);
}

static void
a_file_made_shorter_and_longer_reads_zeros(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "0123456789", 10);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_size(&b, &a, &fh, 4), 0);
	CU_ASSERT_EQUAL(do_size(&b, &a, &fh, 8), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh, "0123\0\0\0\0", 8));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "0123\0\0\0\0", 8));
	CU_ASSERT(do_read_is(&b, &a, &fh, "0123\0\0\0\0", 8));
	fixture_close(&b);
}

static void
an_object_changed_by_others_is_not_overwritten(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "v1", 2);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "a", 1, GATE_UNSTABLE), 0);
	fake_s3_set(b.s3, "f", "v2", 2);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "v2", 2));
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.quarantined, 1);
	fixture_close(&b);
}

static void
overwrite_overwrites(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	b.export.on_conflict = GATE_CONFLICT_OVERWRITE;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "v1", 2);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "ours", 4, GATE_UNSTABLE),
			0);
	fake_s3_set(b.s3, "f", "v2", 2);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "ours", 4));
	fixture_close(&b);
}

static void
a_large_object_changed_during_its_upload_is_kept(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *big = calloc(1, 18 * MIB);

	b.export.on_conflict = GATE_CONFLICT_FAIL;
	client_init(&a, "a");
	fixture_open(&b);
	__atomic_store_n(&b.x->can_complete_if_match, false, __ATOMIC_RELAXED);
	fake_s3_ignore_complete(b.s3);
	fake_s3_set(b.s3, "f", "v1", 2);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	fake_s3_hold(b.s3, S3_OP_PART);
	for (uint64_t off = 0; off < 18 * MIB; off += MIB)
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, off, big, MIB,
					 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	fake_s3_set(b.s3, "f", "theirs", 6);
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "theirs", 6));
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 0);
	free(big);
	fixture_close(&b);
}

/* ---- the end and the next beginning ---- */

static void
uncommitted_bytes_change_the_verifier_over_a_restart(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	uint8_t before[8], after[8];

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "text", 4, GATE_UNSTABLE),
			0);
	gate_verifier(b.gate, before);
	fixture_restart(&b);
	gate_verifier(b.gate, after);
	CU_ASSERT_NOT_EQUAL(memcmp(before, after, 8), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "text", 4, GATE_UNSTABLE),
			0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	fixture_restart(&b);
	gate_verifier(b.gate, before);
	CU_ASSERT_EQUAL(memcmp(before, after, 8), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "text", 4));
	fixture_close(&b);
}

static void
the_gate_closes_while_uploads_fail(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char name[8];

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_hold(b.s3, S3_OP_PUT);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CU_ASSERT_EQUAL(do_file(&b, &a, name, "text", &fh), 0);
	}
	CU_ASSERT(fake_s3_is_held(b.s3));
	fixture_restart(&b);
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f19", "text", 4));
	fixture_close(&b);
}

static void
a_directory_with_unsent_files_outlives_the_bucket_s(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh dir, fh;
	struct gate_attr attr;

	client_init(&a, "a");
	client_init(&c, "c");
	fixture_open(&b);
	fake_s3_set(b.s3, "d/x", "x", 1);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "d", &dir), 0);
	CU_ASSERT_EQUAL(do_create_in(&b, &a, &dir, "y", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "y", 1, GATE_UNSTABLE), 0);
	fake_s3_unset(b.s3, "d/x");
	nanosleep(&(struct timespec){ 0, 80000000 }, NULL);
	c.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_getattr(b.x, &c.rq, &dir, &attr), 0);
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "d", &dir), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "d/y", "y", 1));
	fixture_close(&b);
}

static void
a_file_that_became_a_symlink_is_found_again(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh old, fh;
	struct gate_attr attr;
	char target[GATE_PATH_MAX + 1] = "";

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "text", 4);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &old), 0);
	fake_s3_set_mode(b.s3, "f", "target", "0120777");
	nanosleep(&(struct timespec){ 0, 80000000 }, NULL);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_readlink(b.x, &a.rq, &fh, target, &attr), 0);
	CU_ASSERT_STRING_EQUAL(target, "target");
	fixture_close(&b);
}

static void
a_symlink_does_not_move_when_it_is_uploaded(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_attr before, after;
	struct gate_wcc wcc = { 0 };
	char target[GATE_PATH_MAX + 1] = "";

	client_init(&a, "a");
	fixture_open(&b);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_symlink(b.x, &a.rq, &b.root, "l", "t1", NULL,
				     &fh, &before, &wcc), 0);
	CU_ASSERT(fixture_settled(&b));
	for (int i = 0; i < 3; i++) {
		nanosleep(&(struct timespec){ 0, 60000000 }, NULL);
		CU_ASSERT_EQUAL(do_lookup(&b, &a, "l", &fh), 0);
	}
	CU_ASSERT_EQUAL(gate_getattr(b.x, &a.rq, &fh, &after), 0);
	CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof(after)), 0);
	fake_s3_set_mode(b.s3, "l", "t2", "0120777");
	nanosleep(&(struct timespec){ 0, 80000000 }, NULL);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "l", &fh), 0);
	CU_ASSERT_EQUAL(gate_readlink(b.x, &a.rq, &fh, target, &after), 0);
	CU_ASSERT_STRING_EQUAL(target, "t2");
	fixture_close(&b);
}

TEST_MAIN("gate_promises",
	  T(a_name_that_was_renamed_and_removed_can_be_uploaded_again),
	  T(a_file_removed_while_open_frees_its_name),
	  T(an_editor_that_saves_twice_loses_nothing),
	  T(two_files_that_swap_names_both_arrive),
	  T(a_writer_that_owes_nothing_is_gone_after_a_crash),
	  T(a_copy_whose_answer_was_lost_is_known_again),
	  T(a_truncate_that_changes_nothing_leaves_no_writer_behind),
	  T(a_flushed_writer_is_superseded_after_its_upload),
	  T(a_refused_upload_is_kept_and_told_to_both),
	  T(a_refused_rename_gives_the_old_name_back),
	  T(an_upload_refused_below_a_writer_waits_for_its_commit),
	  T(a_directory_that_is_refused_keeps_its_files),
	  T(bytes_from_the_bucket_do_not_fall_on_written_ones),
	  T(a_file_made_shorter_and_longer_reads_zeros),
	  T(an_object_changed_by_others_is_not_overwritten),
	  T(overwrite_overwrites),
	  T(a_large_object_changed_during_its_upload_is_kept),
	  T(uncommitted_bytes_change_the_verifier_over_a_restart),
	  T(the_gate_closes_while_uploads_fail),
	  T(a_directory_with_unsent_files_outlives_the_bucket_s),
	  T(a_file_that_became_a_symlink_is_found_again),
	  T(a_symlink_does_not_move_when_it_is_uploaded))
