/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipart uploads that nobody ends are aborted in the end, and no others.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define HOUR_MS (3600 * 1000ULL)

static int64_t
hours_ago(unsigned hours)
{
	return clock_ns() - (int64_t)(hours * HOUR_MS) * 1000000;
}

static bool
uploads_are(struct s3 *s3, unsigned count)
{
	AWAIT(fake_s3_uploads(s3) == count);
	return fake_s3_uploads(s3) == count;
}

static void
begin(struct fixture *b, uint64_t age_ms)
{
	b->export.abort_uploads_ms = age_ms;
	b->export.prefix = "p/";
	fixture_open(b);
	fixture_stop(b);
	fake_s3_begun(b->s3, "p/old", hours_ago(30));
	fake_s3_begun(b->s3, "p/d/old", hours_ago(300));
	fake_s3_begun(b->s3, "p/new", hours_ago(23));
	fake_s3_begun(b->s3, "p/of-no-time", 0);
	fake_s3_begun(b->s3, "q/another", hours_ago(300));
}

static void
old_uploads_below_the_prefix_are_aborted_at_a_start_and_no_others(void)
{
	struct fixture b = FIXTURE;

	begin(&b, 24 * HOUR_MS);
	fixture_start(&b);
	CU_ASSERT(uploads_are(b.s3, 3));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_ABORT), 2);
	fixture_close(&b);
}

static void
a_bucket_that_does_not_list_them_holds_up_no_end(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	begin(&b, 24 * HOUR_MS);
	fake_s3_fail(b.s3, S3_OP_LIST_UPLOADS, 1, 1000, -EACCES);
	fixture_start(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "bytes", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 5);
	fixture_close(&b);
}

static void
without_an_age_none_is_looked_for(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	begin(&b, 0);
	fixture_start(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "bytes", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_LIST_UPLOADS), 0);
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 5);
	fixture_close(&b);
}

TEST_MAIN("gate_abort",
	  T(old_uploads_below_the_prefix_are_aborted_at_a_start_and_no_others),
	  T(a_bucket_that_does_not_list_them_holds_up_no_end),
	  T(without_an_age_none_is_looked_for))
