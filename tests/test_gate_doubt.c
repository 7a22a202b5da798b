/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is removed while it is not known what its last upload left: what may
 * be ours goes, and nothing else does, however late the deletion comes.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define MINUTE_NS (60 * 1000000000LL)

static uint64_t
conflicts(struct fixture *b)
{
	struct gate_status s;

	gate_status(b->gate, &s);
	return s.conflicts;
}

static void
pause_a_bit(void)
{
	nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
}

static bool
called(struct fixture *b, enum s3_op op, unsigned times)
{
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;

	while (fake_s3_calls(b->s3, op) < times && clock_ms() < until)
		pause_a_bit();
	return fake_s3_calls(b->s3, op) >= times;
}

static bool
object_is(struct fixture *b, const char *text)
{
	return fake_s3_is(b->s3, "f", text, strlen(text));
}

/* A file of which S3 has `first` (NULL: nothing) for sure, and "second", of
 * which nobody has told us.  lost: the request was carried out. */
static void
make_doubtful(struct fixture *b, struct client *c, const char *first, bool lost)
{
	struct gate_fh fh;
	unsigned before;

	CU_ASSERT_EQUAL(do_create(b, c, "f", &fh), 0);
	if (first != NULL) {
		CU_ASSERT_EQUAL(do_write(b, c, &fh, 0, first,
					 (uint32_t)strlen(first),
					 GATE_FILE_SYNC), 0);
		CU_ASSERT(fixture_settled(b));
	}
	before = fake_s3_calls(b->s3, S3_OP_PUT);
	if (lost)
		fake_s3_lose(b->s3, S3_OP_PUT, -EAGAIN);
	else
		fake_s3_fail(b->s3, S3_OP_PUT, 1, 1, -EAGAIN);
	CU_ASSERT_EQUAL(do_write(b, c, &fh, 0, "second", 6, GATE_FILE_SYNC),
			0);
	CU_ASSERT(called(b, S3_OP_PUT, before + 1));
}

static const char *const firsts[] = { NULL, "1st" };

static void
doubtful_removed(const char *first, bool theirs, bool restart,
		 enum gate_dialect metadata)
{
	struct fixture b = FIXTURE;
	struct client a;

	b.export.hold_ms = 20;
	b.export.metadata = metadata;
	client_init(&a, "a");
	fixture_open(&b);
	make_doubtful(&b, &a, first, true);
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, restart ? 100000 : 1, -EAGAIN);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	if (restart) {
		fixture_stop(&b);
		fake_s3_fail(b.s3, S3_OP_DELETE, 1, 0, 0);
	}
	if (theirs)
		fake_s3_set(b.s3, "f", "theirs", 6);
	if (restart)
		fixture_start(&b);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(object_is(&b, "theirs"), theirs);
	CU_ASSERT_EQUAL(fake_s3_has(b.s3, "f"), theirs);
	CU_ASSERT_EQUAL(conflicts(&b), theirs);
	fixture_close(&b);
}

static void
what_somebody_else_has_put_there_stays(void)
{
	for (int i = 0; i < 4; i++)
		doubtful_removed(firsts[i % 2], true, i >= 2, 0);
}

static void
what_had_no_answer_goes(void)
{
	for (int i = 0; i < 4; i++)
		doubtful_removed(firsts[i % 2], false, i >= 2, 0);
}

static void
so_it_does_where_objects_have_no_metadata(void)
{
	for (int i = 0; i < 4; i++)
		doubtful_removed(firsts[i % 2], false, i >= 2,
				 GATE_META_NONE);
}

/* The request never came to the store. */
static void
what_was_there_before_goes(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	make_doubtful(&b, &a, "first", false);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	CU_ASSERT_EQUAL(conflicts(&b), 0);
	fixture_close(&b);
}

static void
try_until_looked(struct fixture *b, unsigned times)
{
	unsigned before = fake_s3_calls(b->s3, S3_OP_HEAD);

	AWAIT((deletes_hurry(b->x),
	       fake_s3_calls(b->s3, S3_OP_HEAD) >= before + times));
}

static void
one_denial_after_an_outage_gives_nothing_up(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	make_doubtful(&b, &a, NULL, true);
	fake_s3_fail(b.s3, S3_OP_HEAD, 1, 1000000, -EAGAIN);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	try_until_looked(&b, 12);
	fake_s3_fail(b.s3, S3_OP_HEAD, 1, 1, -EACCES);
	try_until_looked(&b, 1);
	AWAIT((deletes_hurry(b.x), deletes_count(b.x) == 0));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	fixture_close(&b);
}

static void
what_may_never_be_looked_at_is_given_up(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	make_doubtful(&b, &a, NULL, true);
	fake_s3_fail(b.s3, S3_OP_HEAD, 1, 1000000, -EACCES);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	AWAIT((deletes_hurry(b.x), deletes_count(b.x) == 0));
	CU_ASSERT_EQUAL(deletes_count(b.x), 0);
	CU_ASSERT(fake_s3_has(b.s3, "f"));
	CU_ASSERT(fixture_said(&b, "cannot see whether"));
	fixture_close(&b);
}

/* An answer came while the file was being removed. */
static void
a_doubt_that_has_ended_takes_nothing(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct node *n;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "ours", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	fake_s3_set(b.s3, "k", "theirs", 6);
	n = node_find(b.gate, fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	node_lock_wait(n);
	{
		CLEANUP_CHANGE struct change c;

		change_begin(&c, b.gate);
		CU_ASSERT_PTR_NOT_NULL(delete_queue_indoubt(n, &c, "k", ""));
		CU_ASSERT_EQUAL(change_commit(&c), 0);
	}
	node_unlock(n);
	node_put(&n);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "k", "theirs", 6));
	fixture_close(&b);
}

/* It is on its way when the file is removed, and its answer is lost then. */
static void
removed_meanwhile(bool theirs)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "ours", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	fake_s3_hold(b.s3, S3_OP_COPY);
	fake_s3_lose(b.s3, S3_OP_COPY, -EAGAIN);
	CU_ASSERT_EQUAL(do_mode(&b, &a, &fh, 0600), 0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, theirs ? 100000 : 1, -EAGAIN);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	fake_s3_release(b.s3);
	CU_ASSERT(called(&b, S3_OP_DELETE, 1));
	if (theirs) {
		fake_s3_set(b.s3, "f", "theirs", 6);
		fake_s3_fail(b.s3, S3_OP_DELETE, 1, 0, 0);
	}
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(object_is(&b, "theirs"), theirs);
	CU_ASSERT_EQUAL(fake_s3_has(b.s3, "f"), theirs);
	CU_ASSERT_EQUAL(conflicts(&b), theirs);
	fixture_close(&b);
}

static void
so_it_is_with_what_arrives_during_the_removal(void)
{
	removed_meanwhile(false);
	removed_meanwhile(true);
}

/* ---- parts ---- */

/* A file by parts, of which the beginning had no answer. */
static void
make_parts(struct fixture *b, struct client *c)
{
	char *data = calloc(1, MIB);
	struct gate_fh fh;

	fake_s3_lose(b->s3, S3_OP_CREATE, -EAGAIN);
	CU_ASSERT_EQUAL(do_create(b, c, "f", &fh), 0);
	for (uint64_t off = 0; off < 17 * MIB; off += MIB)
		CU_ASSERT_EQUAL(do_write(b, c, &fh, off, data, MIB,
					 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(b, c, &fh), 0);
	CU_ASSERT(called(b, S3_OP_CREATE, 1));
	free(data);
}

/* Two of others: one from before the file was made, one that began later. */
static void
others_begin(struct fixture *b)
{
	int64_t now = s3_clock_ns(b->s3);

	fake_s3_begun(b->s3, "f", now - 60 * MINUTE_NS);
	fake_s3_begun(b->s3, "f", now + MINUTE_NS);
}

static void
parts_that_others_have_begun_stay(void)
{
	for (int restart = 0; restart < 2; restart++) {
		struct fixture b = FIXTURE;
		struct client a;

		b.export.hold_ms = 20;
		client_init(&a, "a");
		fixture_open(&b);
		make_parts(&b, &a);
		fake_s3_fail(b.s3, S3_OP_LIST_UPLOADS, 1, restart ? 100000 : 1,
			     -EAGAIN);
		CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
		others_begin(&b);
		if (restart) {
			fixture_stop(&b);
			fake_s3_fail(b.s3, S3_OP_LIST_UPLOADS, 1, 0, 0);
			fixture_start(&b);
		}
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 2);
		CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
		fixture_close(&b);
	}
}

static void
they_stay_when_our_next_try_clears_its_own(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_fail(b.s3, S3_OP_LIST_UPLOADS, 1, 1, -EAGAIN);
	make_parts(&b, &a);
	others_begin(&b);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_has(b.s3, "f"));
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 2);
	fixture_close(&b);
}

static int
take_id(void *arg, const struct meta_quarantine *q)
{
	*(uint64_t *)arg = q->id;
	return 0;
}

static void
they_stay_when_a_kept_version_is_tried_again(void)
{
	char *data = calloc(1, MIB), why[256];
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	uint64_t id = 0, until = clock_ms() + FIXTURE_WAIT_MS;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_fail(b.s3, S3_OP_COMPLETE, 1, 1, -EACCES);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	for (uint64_t off = 0; off < 17 * MIB; off += MIB)
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, off, data, MIB,
					 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	while (id == 0 && clock_ms() < until) {
		CU_ASSERT_EQUAL(meta_each_quarantine(b.meta, take_id, &id), 0);
		pause_a_bit();
	}
	others_begin(&b);
	CU_ASSERT_EQUAL(gate_quarantine_retry(b.gate, id, why), 0);
	CU_ASSERT(fake_s3_has(b.s3, "f"));
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 2);
	free(data);
	fixture_close(&b);
}

TEST_MAIN("gate_doubt", T(what_somebody_else_has_put_there_stays),
	  T(what_had_no_answer_goes),
	  T(so_it_does_where_objects_have_no_metadata),
	  T(what_was_there_before_goes),
	  T(one_denial_after_an_outage_gives_nothing_up),
	  T(what_may_never_be_looked_at_is_given_up),
	  T(a_doubt_that_has_ended_takes_nothing),
	  T(so_it_is_with_what_arrives_during_the_removal),
	  T(parts_that_others_have_begun_stay),
	  T(they_stay_when_our_next_try_clears_its_own),
	  T(they_stay_when_a_kept_version_is_tried_again))
