/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S3 says no: what passes costs time and nothing else, and what stays is
 * believed after refuse_grace_ms.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define LONG_MS 3600000

static int
count(void *arg, const struct gate_quarantine_info *info)
{
	(void)info;
	++*(unsigned *)arg;
	return 0;
}

static unsigned
kept(struct fixture *b)
{
	unsigned n = 0;

	CU_ASSERT_EQUAL(gate_each_quarantined(b->gate, count, &n), 0);
	return n;
}

struct seen {
	unsigned refusals;
	uint64_t grace_ms;
	char error[256];
};

static int
see(void *arg, const struct gate_upload_info *info)
{
	struct seen *s = arg;

	if (strcmp(info->state, "REFUSED") != 0)
		return 0;
	s->refusals = info->refusals;
	s->grace_ms = info->grace_ms;
	snprintf(s->error, sizeof(s->error), "%s", info->error);
	return 1;
}

/* Until S3 has refused an upload so often. */
static bool
is_refused(struct fixture *b, unsigned times, struct seen *s)
{
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;

	do {
		*s = (struct seen){ 0 };
		CU_ASSERT(gate_each_upload(b->gate, see, s) >= 0);
		if (s->refusals >= times)
			return true;
		usleep(2000);
	} while (clock_ms() < until);
	return false;
}

static bool
is_kept(struct fixture *b)
{
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;

	while (kept(b) == 0 && clock_ms() < until)
		usleep(2000);
	return kept(b) == 1;
}

/* Not before, and it may have come already. */
static bool
is_kept_at_the_third(struct fixture *b)
{
	bool early = kept(b) > 0 && fake_s3_calls(b->s3, S3_OP_PUT) < 3;

	return !early && is_kept(b);
}

/* Tries have pauses between them, and the machine may be busy. */
static bool
settled(struct fixture *b)
{
	for (int i = 0; i < 5; i++)
		if (fixture_settled(b))
			return true;
	return false;
}

/* The refusals of that operation end: nothing of it remains. */
static void
ends_well(struct fixture *b, enum s3_op op)
{
	fake_s3_fail(b->s3, op, 1, 0, 0);
	CU_ASSERT(settled(b));
	CU_ASSERT_EQUAL(kept(b), 0);
}

static void
begin(struct fixture *b, struct client *c, uint64_t grace_ms)
{
	b->export.refuse_grace_ms = grace_ms;
	client_init(c, "a");
	fixture_open(b);
}

static void
a_refusal_that_passes_costs_time_and_nothing_else(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;
	struct seen seen;

	begin(&b, &a, LONG_MS);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 100, -EACCES);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT(is_refused(&b, 1, &seen));
	CU_ASSERT(seen.grace_ms > LONG_MS - 60000);
	CU_ASSERT(strstr(seen.error, "ermission denied") != NULL);
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.refused, 1);
	CU_ASSERT(do_read_is(&b, &a, &fh, "text", 4));
	ends_well(&b, S3_OP_PUT);
	CU_ASSERT(fake_s3_is(b.s3, "f", "text", 4));
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.refused, 0);
	fixture_close(&b);
}

static void
three_refusals_are_believed_when_the_time_is_over(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct seen seen;

	begin(&b, &a, 1);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 100, -EINVAL);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT(is_refused(&b, 2, &seen));
	CU_ASSERT(is_kept_at_the_third(&b));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_PUT), 3);
	fixture_close(&b);
}

/* The time counts over restarts, and so does what was said. */
static void
a_restart_does_not_begin_the_time_anew(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct seen seen;

	begin(&b, &a, 1);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 100, -EINVAL);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT(is_refused(&b, 2, &seen));
	fixture_restart(&b);
	CU_ASSERT(is_kept_at_the_third(&b));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_PUT), 3);
	fixture_close(&b);
}

/* Before S3 has been asked to take that. */
static void
write_and_kill(struct fixture *b, struct client *c, const struct gate_fh *fh)
{
	fake_s3_hold(b->s3, S3_OP_PUT);
	CU_ASSERT_EQUAL(do_write(b, c, fh, 0, "TEXT", 4, GATE_FILE_SYNC), 0);
	fixture_keep(b);
	fake_s3_release(b->s3);
	fixture_stop(b);
	fixture_put_back(b);
}

/* What was refused before is another version's. */
static void
a_new_version_begins_the_time_anew(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct seen seen;

	begin(&b, &a, 1);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 100, -EINVAL);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT(is_refused(&b, 2, &seen));
	write_and_kill(&b, &a, &fh);
	fixture_start(&b);
	CU_ASSERT(is_refused(&b, 1, &seen));
	CU_ASSERT_EQUAL(kept(&b), 0);
	ends_well(&b, S3_OP_PUT);
	CU_ASSERT(fake_s3_is(b.s3, "f", "TEXT", 4));
	fixture_close(&b);
}

/* Nor is what a restart has told of it. */
static void
a_new_version_after_a_restart_does_not_inherit_refusals(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct seen seen;

	begin(&b, &a, 600000);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 100, -EINVAL);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT(is_refused(&b, 1, &seen));
	fixture_restart(&b);
	CU_ASSERT(is_refused(&b, 2, &seen));
	write_and_kill(&b, &a, &fh);
	fake_s3_hold(b.s3, S3_OP_PUT);
	fixture_start(&b);
	seen = (struct seen){ 0 };
	CU_ASSERT(gate_each_upload(b.gate, see, &seen) >= 0);
	CU_ASSERT_EQUAL(seen.refusals, 0);
	fake_s3_release(b.s3);
	fixture_close(&b);
}

static void
another_failure_in_between_begins_the_time_anew(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct seen seen;

	begin(&b, &a, 1);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 2, -EACCES);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT(is_refused(&b, 2, &seen));
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1, -EKEYREJECTED);
	while (is_refused(&b, 1, &seen) && seen.refusals == 2)
		usleep(2000);
	CU_ASSERT_EQUAL(kept(&b), 0);
	CU_ASSERT_EQUAL(seen.refusals, 0);
	fixture_close(&b);
}

static void
a_renamed_file_does_not_go_back_while_its_copy_is_refused(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, to;
	struct seen seen;

	begin(&b, &a, LONG_MS);
	fake_s3_set(b.s3, "f", "old", 3);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 100, -EACCES);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
	CU_ASSERT(is_refused(&b, 1, &seen));
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &to), -ENOENT);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "g", &to), 0);
	CU_ASSERT_EQUAL(to.ino, fh.ino);
	CU_ASSERT(do_read_is(&b, &a, &fh, "old", 3));
	ends_well(&b, S3_OP_COPY);
	CU_ASSERT(fake_s3_is(b.s3, "g", "old", 3));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	fixture_close(&b);
}

/* 412 for a change of ours whose answer was lost, and HEAD denied. */
static void
a_look_that_is_refused_is_no_conflict(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;
	struct seen seen;

	begin(&b, &a, LONG_MS);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1, -EEXIST);
	fake_s3_hold(b.s3, S3_OP_PUT);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	fake_s3_fail(b.s3, S3_OP_HEAD, 1, 100, -EACCES);
	fake_s3_release(b.s3);
	CU_ASSERT(is_refused(&b, 1, &seen));
	ends_well(&b, S3_OP_HEAD);
	CU_ASSERT(fake_s3_is(b.s3, "f", "text", 4));
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.conflicts, 0);
	fixture_close(&b);
}

/* An upload that a cleanup job took away in its middle. */
static void
parts_that_somebody_cleared_away_are_sent_anew(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	begin(&b, &a, 0);
	fake_s3_fail(b.s3, S3_OP_PART, 1, 1, -ENOENT);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, SMALL_UPLOAD, "end", 3,
				 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(settled(&b));
	CU_ASSERT(fake_s3_has(b.s3, "f"));
	CU_ASSERT_EQUAL(kept(&b), 0);
	fixture_close(&b);
}

/* Encrypted for somebody else, or a bad moment of the store. */
static void
bytes_that_are_refused_are_waited_for_a_while(void)
{
	static const int errors[] = { -EINVAL, -EBADMSG };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char buf[4];
	uint32_t got;

	begin(&b, &a, 200);
	fake_s3_set(b.s3, "f", "text", 4);
	fake_s3_set(b.s3, "g", "text", 4);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t until = clock_ms() + FIXTURE_WAIT_MS;
		char name[] = { (char)('f' + i), '\0' };
		int r;

		CU_ASSERT_EQUAL(do_lookup(&b, &a, name, &fh), 0);
		fake_s3_fail(b.s3, S3_OP_GET, 1, 10000, errors[i]);
		CU_ASSERT_EQUAL(do_read(&b, &a, &fh, 0, buf, 4, &got),
				-EAGAIN);
		while ((r = do_read(&b, &a, &fh, 0, buf, 4, &got)) ==
		       -EAGAIN && clock_ms() < until)
			usleep(2000);
		CU_ASSERT_EQUAL(r, -EIO);
		fake_s3_fail(b.s3, S3_OP_GET, 1, 0, 0);
		while (do_read(&b, &a, &fh, 0, buf, 4, &got) != 0 &&
		       clock_ms() < until)
			usleep(2000);
		CU_ASSERT(do_read_is(&b, &a, &fh, "text", 4));
	}
	fixture_close(&b);
}

/* UploadPartCopy: 501; and that is not for ever. */
static void
unchanged_parts_are_sent_where_they_cannot_be_copied(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	size_t len = SMALL_UPLOAD + 1;
	char *data = calloc(1, len);
	unsigned before;

	begin(&b, &a, 0);
	memset(data, 'x', len);
	fake_s3_set(b.s3, "f", data, len);
	fake_s3_fail(b.s3, S3_OP_PART_COPY, 1, 100, -ENOTSUP);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "new", 3, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(settled(&b));
	CU_ASSERT(fake_s3_calls(b.s3, S3_OP_PART_COPY) > 0);
	memcpy(data, "new", 3);
	CU_ASSERT(fake_s3_is(b.s3, "f", data, len));
	fake_s3_fail(b.s3, S3_OP_PART_COPY, 1, 0, 0);
	before = fake_s3_calls(b.s3, S3_OP_PART_COPY);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "old", 3, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(settled(&b));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_PART_COPY), before);
	/* The hour is over. */
	__atomic_store_n(&b.x->no_part_copy_ms, 0, __ATOMIC_RELAXED);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "new", 3, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(settled(&b));
	CU_ASSERT(fake_s3_calls(b.s3, S3_OP_PART_COPY) > before);
	CU_ASSERT(fake_s3_is(b.s3, "f", data, len));
	CU_ASSERT_EQUAL(kept(&b), 0);
	fixture_close(&b);
	free(data);
}

TEST_MAIN("gate_refused",
	  T(a_refusal_that_passes_costs_time_and_nothing_else),
	  T(three_refusals_are_believed_when_the_time_is_over),
	  T(a_restart_does_not_begin_the_time_anew),
	  T(a_new_version_begins_the_time_anew),
	  T(a_new_version_after_a_restart_does_not_inherit_refusals),
	  T(another_failure_in_between_begins_the_time_anew),
	  T(a_renamed_file_does_not_go_back_while_its_copy_is_refused),
	  T(a_look_that_is_refused_is_no_conflict),
	  T(parts_that_somebody_cleared_away_are_sent_anew),
	  T(bytes_that_are_refused_are_waited_for_a_while),
	  T(unchanged_parts_are_sent_where_they_cannot_be_copied))
