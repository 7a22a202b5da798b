/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload comes to an end, whatever its writer does meanwhile; and what was
 * stopped on purpose is no failure.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define LARGE (20 * MIB)	/* three parts */

static void
pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ 0, ms * 1000000L }, NULL);
}

/* One more record of a log, at a place of its own. */
static void
log_on(struct fixture *b, struct client *c, const struct gate_fh *fh,
       unsigned i)
{
	char text[16];

	snprintf(text, sizeof(text), "record %u", i);
	CU_ASSERT_EQUAL(do_write(b, c, fh, i * 8192 % LARGE, text, 12,
				 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(b, c, fh), 0);
}

/* A large file, flushed as a whole. */
static void
make_large(struct fixture *b, struct client *c, const char *name,
	   struct gate_fh *fh)
{
	char *data = calloc(1, MIB);

	CU_ASSERT_EQUAL(do_create(b, c, name, fh), 0);
	for (uint64_t off = 0; off < LARGE; off += MIB)
		CU_ASSERT_EQUAL(do_write(b, c, fh, off, data, MIB,
					 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(b, c, fh), 0);
	free(data);
}

struct seen {
	unsigned attempts;
	char state[32];
};

static int
see(void *arg, const struct gate_upload_info *info)
{
	struct seen *seen = arg;

	seen->attempts = info->attempts;
	snprintf(seen->state, sizeof(seen->state), "%s", info->state);
	return 0;
}

/* Has S3 failed, as far as the gate knows? */
static bool
has_failed(struct fixture *b)
{
	struct seen seen = { 0 };

	CU_ASSERT_EQUAL(gate_each_upload(b->gate, see, &seen), 0);
	return seen.attempts > 0 || strcmp(seen.state, "RETRYING") == 0;
}

static void
a_file_that_is_written_without_end_reaches_the_bucket(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	uint64_t until;
	unsigned i = 0;

	b.export.settle_ms = 2;
	b.export.part_size = 5 * MIB;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_slow(b.s3, S3_OP_PART, 50);
	make_large(&b, &a, "log", &fh);
	until = clock_ms() + FIXTURE_WAIT_MS;
	while (!fake_s3_has(b.s3, "log") && clock_ms() < until) {
		log_on(&b, &a, &fh, i++);
		pause_ms(8);
	}
	CU_ASSERT(fake_s3_has(b.s3, "log"));
	CU_ASSERT_FALSE(has_failed(&b));
	CU_ASSERT(fake_s3_calls(b.s3, S3_OP_CREATE) <= 3);
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

static void
its_age_makes_a_version_while_it_is_written(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	uint64_t until, began;
	unsigned i = 0, puts;

	b.export.settle_ms = 60000;
	b.export.max_dirty_age_ms = 100;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_slow(b.s3, S3_OP_PUT, 50);
	began = clock_ms();
	CU_ASSERT_EQUAL(do_file(&b, &a, "log", "begin", &fh), 0);
	until = began + FIXTURE_WAIT_MS;
	/* Beside a writer who is never flushed for long: three versions. */
	while (fake_s3_calls(b.s3, S3_OP_PUT) < 4 && clock_ms() < until) {
		log_on(&b, &a, &fh, i++);
		pause_ms(2);
	}
	puts = fake_s3_calls(b.s3, S3_OP_PUT);
	CU_ASSERT(puts >= 4);
	CU_ASSERT(fake_s3_has(b.s3, "log"));
	CU_ASSERT(clock_ms() - began >= 100 * (puts - 1));
	CU_ASSERT_FALSE(has_failed(&b));
	CU_ASSERT_EQUAL(b.said[0], '\0');
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

static void
an_early_upload_is_stopped_once_and_that_is_no_failure(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	/* What a store says to a request that was broken off. */
	fake_s3_fail(b.s3, S3_OP_PART, 1, 3, -EAGAIN);
	fake_s3_hold(b.s3, S3_OP_PART);
	make_large(&b, &a, "f", &fh);
	/* Each of the three is refused; none is left for the next upload. */
	AWAIT(fake_s3_calls(b.s3, S3_OP_PART) == 3);
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_PART), 3);
	log_on(&b, &a, &fh, 0);
	fake_s3_release(b.s3);
	AWAIT(fake_s3_calls(b.s3, S3_OP_ABORT) > 0);
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_ABORT), 1);
	CU_ASSERT_FALSE(has_failed(&b));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_COMPLETE), 1);
	fixture_close(&b);
}

static void
a_flush_ends_beside_a_writer_who_goes_on(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	b.export.settle_ms = 60000;
	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "log", "one", &fh), 0);
	/* More that is not committed. */
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 3, ", two", 5, GATE_UNSTABLE),
			0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "log", "one", 3));
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "log", "one, two", 8));
	fixture_close(&b);
}

TEST_MAIN("gate_progress",
	  T(a_file_that_is_written_without_end_reaches_the_bucket),
	  T(its_age_makes_a_version_while_it_is_written),
	  T(an_early_upload_is_stopped_once_and_that_is_no_failure),
	  T(a_flush_ends_beside_a_writer_who_goes_on))
