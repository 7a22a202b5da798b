/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quota of an export: df follows it, and what would go past it is refused
 * before any byte is taken.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static struct fixture b;
static struct client c;

static void
begin(uint64_t quota)
{
	b = (struct fixture)FIXTURE;
	b.export.quota_bytes = quota;
	client_init(&c, "a");
}

static uint64_t
used(void)
{
	struct gate_fsstat stat = { 0 };
	struct gate_attr attr;

	c.rq.may_block = true;
	if (gate_fsstat(b.x, &c.rq, &b.root, &stat, &attr) != 0 ||
	    stat.free_bytes != stat.avail_bytes)
		return UINT64_MAX;
	return stat.total_bytes - stat.free_bytes;
}

static bool
used_becomes(uint64_t want)
{
	AWAIT(used() == want);
	return used() == want;
}

static void
without_a_quota_df_shows_much_and_nothing_used(void)
{
	begin(0);
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "12345", 5);
	CU_ASSERT_EQUAL(used(), 0);
	fixture_close(&b);
}

static void
df_counts_what_is_there_and_what_is_written(void)
{
	struct gate_fh fh;
	char text[400] = "";

	begin(1000);
	fixture_open(&b);
	for (int i = 0; i < 30; i++) {
		char key[16];

		snprintf(key, sizeof(key), "d/%d", i);
		fake_s3_set(b.s3, key, "0123456789", 10);
	}
	/* Those came after the count at the start: count anew. */
	fixture_restart(&b);
	CU_ASSERT(used_becomes(300));
	CU_ASSERT_EQUAL(do_create(&b, &c, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, text, 400, GATE_UNSTABLE),
			0);
	CU_ASSERT_EQUAL(used(), 700);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, text, 400, GATE_FILE_SYNC),
			0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(used(), 700);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 100), 0);
	CU_ASSERT_EQUAL(used(), 400);
	CU_ASSERT_EQUAL(do_remove(&b, &c, "f"), 0);
	CU_ASSERT_EQUAL(used(), 300);
	CU_ASSERT(fixture_settled(&b));
	fixture_restart(&b);
	CU_ASSERT(used_becomes(300));
	fixture_close(&b);
}

static void
what_would_not_fit_is_refused_and_nothing_else(void)
{
	char text[1000] = "";
	struct gate_fh fh, other;

	begin(1000);
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &c, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, text, 900, GATE_FILE_SYNC),
			0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 900, text, 101,
				 GATE_FILE_SYNC), -EDQUOT);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 1001), -EDQUOT);
	CU_ASSERT_EQUAL(used(), 900);
	/* Over itself, up to the brim, and empty ones. */
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, text, 900, GATE_FILE_SYNC),
			0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 900, text, 100,
				 GATE_FILE_SYNC), 0);
	CU_ASSERT_EQUAL(do_create(&b, &c, "g", &other), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &other, 0, "x", 1, GATE_FILE_SYNC),
			-EDQUOT);
	/* Removing makes room. */
	CU_ASSERT_EQUAL(do_remove(&b, &c, "f"), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &other, 0, "x", 1, GATE_FILE_SYNC),
			0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "g", "x", 1));
	fixture_close(&b);
}

static void
zeros_that_nobody_wrote_have_a_bound(void)
{
	struct gate_fh fh;
	char *p = calloc(1, MIB);

	begin(0);
	b.export.max_hole = 2 * MIB;
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &c, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 5ULL << 40), -EFBIG);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 2 * MIB + 1), -EFBIG);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 2 * MIB), 0);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 3 * MIB), -EFBIG);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 3 * MIB, "x", 1,
				 GATE_UNSTABLE), -EFBIG);
	/* What is written is no hole, in whatever order it comes. */
	for (uint64_t at = 4; at-- > 0;)
		CU_ASSERT_EQUAL(do_write(&b, &c, &fh, at * MIB, p, MIB,
					 GATE_UNSTABLE),
				at == 3 ? -EFBIG : 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 3 * MIB, p, MIB,
				 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &c, &fh), 0);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 6 * MIB), 0);
	CU_ASSERT(fixture_settled(&b));
	/* What S3 has is none either. */
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 7 * MIB), 0);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 100 * MIB), -EFBIG);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 0), 0);
	CU_ASSERT(fixture_settled(&b));
	free(p);
	fixture_close(&b);
}

#define FILES 300
#define NODES 64

static void
changes_that_s3_lacks_do_not_fill_memory(void)
{
	struct gate_fh fh[FILES];
	struct gate_status status;
	unsigned waits = 0;
	char name[8];

	begin(0);
	b.config.max_nodes = NODES;
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		fake_s3_set(b.s3, name, "x", 1);
	}
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 100000, -EAGAIN);
	for (unsigned i = 0; i < FILES; i++) {
		int r;

		snprintf(name, sizeof(name), "f%u", i);
		CU_ASSERT_EQUAL_FATAL(do_lookup(&b, &c, name, &fh[i]), 0);
		r = do_mode(&b, &c, &fh[i], 0600);
		CU_ASSERT(r == 0 || r == -EAGAIN);
		waits += r == -EAGAIN;
	}
	gate_status(b.gate, &status);
	CU_ASSERT(waits > 0);
	CU_ASSERT(status.nodes <= 2 * NODES + 16);
	/* What makes it less is taken, and in the end all is. */
	CU_ASSERT_EQUAL(do_remove(&b, &c, "f0"), 0);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 0, 0);
	CU_ASSERT(fixture_settled(&b));
	for (unsigned i = 1; i < FILES; i++) {
		uint64_t until = clock_ms() + FIXTURE_WAIT_MS;
		int r;

		while ((r = do_mode(&b, &c, &fh[i], 0640)) == -EAGAIN &&
		       clock_ms() < until)
			CU_ASSERT(fixture_settled(&b));
		CU_ASSERT_EQUAL(r, 0);
	}
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

static int
make_in_other(const char *name)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0644 };
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;

	c.rq.first_ms = clock_ms();
	c.rq.token = NULL;
	c.rq.may_block = true;
	return gate_create(b.y, &c.rq, &b.rooty, name, GATE_UNCHECKED, &set,
			   NULL, &fh, &attr, &wcc);
}

static void
changes_that_one_bucket_lacks_leave_room_for_those_of_others(void)
{
	unsigned waits = 0;
	struct gate_fh fh;
	char name[8];

	begin(0);
	b.two = true;
	b.config.max_nodes = NODES;
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		fake_s3_set(b.s3, name, "x", 1);
	}
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 100000, -EAGAIN);
	for (unsigned i = 0; i < FILES && waits == 0; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		CU_ASSERT_EQUAL_FATAL(do_lookup(&b, &c, name, &fh), 0);
		waits += do_mode(&b, &c, &fh, 0600) == -EAGAIN;
	}
	CU_ASSERT_EQUAL(waits, 1);
	for (unsigned i = 0; i < NODES / 4; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		CU_ASSERT_EQUAL(make_in_other(name), 0);
	}
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 0, 0);
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

TEST_MAIN("gate_quota", T(without_a_quota_df_shows_much_and_nothing_used),
	  T(df_counts_what_is_there_and_what_is_written),
	  T(what_would_not_fit_is_refused_and_nothing_else),
	  T(zeros_that_nobody_wrote_have_a_bound),
	  T(changes_that_s3_lacks_do_not_fill_memory),
	  T(changes_that_one_bucket_lacks_leave_room_for_those_of_others))
