/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads without an answer (nfsd/gate/upload/indoubt_met.c): S3 has the bytes
 * and the gate does not know.  Whatever happens to the file before the next
 * try, the object is known for our own then, and no conflict is seen where
 * nobody else was.  And what follows when S3 says no for good.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static bool
set_aside_or_beside(struct fixture *b)
{
	struct gate_status status;

	gate_status(b->gate, &status);
	return status.quarantined > 0 || b->gate->conflicts > 0;
}

/* Until the upload that has no answer has gone out. */
static bool
sent(struct fixture *b, unsigned before)
{
	AWAIT(fake_s3_calls(b->s3, S3_OP_PUT) > before);
	return fake_s3_calls(b->s3, S3_OP_PUT) > before;
}

/* A file "f" whose first version is "v1", and whose second, "v2", is in the
 * bucket without the gate's knowing. */
static void
lose_second(struct fixture *b, struct client *a, const char *name,
	    struct gate_fh *fh)
{
	unsigned before;

	CU_ASSERT_EQUAL(do_file(b, a, name, "v1 and more", fh), 0);
	CU_ASSERT(fixture_settled(b));
	before = fake_s3_calls(b->s3, S3_OP_PUT);
	fake_s3_lose(b->s3, S3_OP_PUT, -EAGAIN);
	CU_ASSERT_EQUAL(do_write(b, a, fh, 0, "v2", 2, GATE_FILE_SYNC), 0);
	CU_ASSERT(sent(b, before));
}

static void
a_file_renamed_after_it_arrives_under_its_new_name(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	lose_second(&b, &a, "f", &fh);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 1, "3", 1, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "g", "v3 and more", 11));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	CU_ASSERT_FALSE(set_aside_or_beside(&b));
	fixture_close(&b);
}

static void
a_file_renamed_before_it_and_written_after_it_arrives(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "v1 and more", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	fake_s3_lose(b.s3, S3_OP_COPY, -EAGAIN);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
	AWAIT(fake_s3_has(b.s3, "g"));
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 1, "3", 1, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "g", "v3 and more", 11));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	CU_ASSERT_FALSE(set_aside_or_beside(&b));
	fixture_close(&b);
}

/* And the same ETag, where the store makes it of them. */
static void
the_file_that_it_is_renamed_over_may_have_the_same_bytes(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh f, g;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "g", "v2 and more", &g), 0);
	CU_ASSERT(fixture_settled(&b));
	lose_second(&b, &a, "f", &f);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "g", "v2 and more", 11));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	CU_ASSERT_FALSE(set_aside_or_beside(&b));
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "g", &g), 0);
	CU_ASSERT_EQUAL(g.ino, f.ino);
	fixture_close(&b);
}

static void
a_file_renamed_over_it_replaces_it(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh f, g;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "g", "moved", &g), 0);
	CU_ASSERT(fixture_settled(&b));
	lose_second(&b, &a, "f", &f);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "g", "f"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "moved", 5));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "g"));
	CU_ASSERT_FALSE(set_aside_or_beside(&b));
	fixture_close(&b);
}

static void
a_file_that_was_never_sent_is_renamed_over_it(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh f, g;

	client_init(&a, "a");
	fixture_open(&b);
	lose_second(&b, &a, "f", &f);
	CU_ASSERT_EQUAL(do_file(&b, &a, "g", "moved", &g), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "g", "f"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "moved", 5));
	CU_ASSERT(do_read_is(&b, &a, &g, "moved", 5));
	CU_ASSERT_FALSE(set_aside_or_beside(&b));
	fixture_close(&b);
}

static void
a_file_that_is_removed_after_a_rename_leaves_nothing(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	lose_second(&b, &a, "f", &fh);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "g"));
	fixture_close(&b);
}

static void
its_writer_reads_on_before_the_next_try(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "v1 and more", 11);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	fake_s3_lose(b.s3, S3_OP_PUT, -EAGAIN);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "v2", 2, GATE_FILE_SYNC), 0);
	CU_ASSERT(sent(&b, 0));
	/* No upload comes to tell while somebody writes. */
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 1, "3", 1, GATE_UNSTABLE), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh, "v3 and more", 11));
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "v3 and more", 11));
	CU_ASSERT_FALSE(set_aside_or_beside(&b));
	fixture_close(&b);
}

/* ---- refused for good ---- */

static void
a_file_without_a_name_owes_the_bucket_nothing(void)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0600 };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_wcc wcc;

	/* Nothing goes out before it is asked for. */
	b.export.settle_ms = b.export.create_settle_ms = 60000;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1, -EACCES);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "never", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), -EIO);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_setattr(b.x, &a.rq, &fh, &set, NULL, &wcc), 0);
	/* It would wait for ever. */
	CU_ASSERT_EQUAL(gate_flush(b.gate, NULL, FIXTURE_WAIT_MS, NULL, NULL),
			0);
	fixture_close(&b);
}

static void
who_wrote_and_waited_hears_of_a_failure_once(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	b.export.settle_ms = 60000;
	b.export.hold_ms = 10;
	client_init(&a, "a");
	client_init(&c, "c");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "good", 4);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "evil", 4, GATE_FILE_SYNC),
			0);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1, -EACCES);
	fake_s3_hold(b.s3, S3_OP_PUT);
	/* c has it reserved; a is put off as well. */
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "x", 1, GATE_FILE_SYNC),
			-EAGAIN);
	CU_ASSERT(fake_s3_is_held(b.s3));
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "y", 1, GATE_FILE_SYNC),
			-EAGAIN);
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "y", 1, GATE_FILE_SYNC),
			-EIO);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "y", 1, GATE_FILE_SYNC), 0);
	fixture_close(&b);
}

/* The first version of a file arrived without an answer, the second is refused
 * for good: the first is what there is. */
static void
a_file_falls_back_to_a_version_without_an_answer(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, again;
	struct gate_status status;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_lose(b.s3, S3_OP_PUT, -EAGAIN);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "v1", &fh), 0);
	CU_ASSERT(sent(&b, 0));
	fake_s3_fail(b.s3, S3_OP_PUT, 1, UINT32_MAX, -EACCES);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "v2", 2, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.quarantined, 1);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &again), 0);
	CU_ASSERT_EQUAL(again.ino, fh.ino);
	do_read_is(&b, &a, &fh, "v1", 2);
	fixture_close(&b);
}

TEST_MAIN("gate_lost", T(a_file_renamed_after_it_arrives_under_its_new_name),
	  T(a_file_renamed_before_it_and_written_after_it_arrives),
	  T(the_file_that_it_is_renamed_over_may_have_the_same_bytes),
	  T(a_file_renamed_over_it_replaces_it),
	  T(a_file_that_was_never_sent_is_renamed_over_it),
	  T(a_file_that_is_removed_after_a_rename_leaves_nothing),
	  T(its_writer_reads_on_before_the_next_try),
	  T(a_file_without_a_name_owes_the_bucket_nothing),
	  T(a_file_falls_back_to_a_version_without_an_answer),
	  T(who_wrote_and_waited_hears_of_a_failure_once))
