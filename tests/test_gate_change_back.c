/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction that fails leaves memory as it was, also where no client asks
 * again: uploads that end, copies, recalls, conflicts, refusals, deletions,
 * empty files and silent writers are taken up once more by the gate itself.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "tests/change_fixture.h"
#include "tests/host_fault.h"
#include "tests/unit.h"

#define SILLY ".nfs000000000001"

static void
borne(const struct story *s)
{
	CU_ASSERT(play(s, false) > 0);
}

/* ---- uploads ---- */

static void
an_upload_whose_row_could_not_be_written_is_found_again(void)
{
	borne(&(struct story){ "a new file is stored", harness_new_file,
			       harness_run, harness_f_is_old });
}

static void
changed_file(struct harness *r)
{
	harness_old_file(r);
	CU_ASSERT_EQUAL(do_write(&r->fixture, &r->a, &r->fh[0], 0, "new", 3,
				 GATE_FILE_SYNC), 0);
}

static void
a_version_whose_row_could_not_be_written_is_no_conflict(void)
{
	borne(&(struct story){ "a changed file is stored", changed_file,
			       harness_run, harness_f_is_new });
}

static void
chmodded(struct harness *r)
{
	harness_old_file(r);
	CU_ASSERT_EQUAL(act_mode(r, &r->fh[0], 0600), 0);
}

static void
renamed(struct harness *r)
{
	harness_old_file(r);
	CU_ASSERT_EQUAL(do_rename(&r->fixture, &r->a, "f", "g"), 0);
}

static void
a_copy_whose_row_could_not_be_written_is_made_again(void)
{
	borne(&(struct story){ "attributes are stored", chmodded, harness_run,
			       harness_f_is_old });
	borne(&(struct story){ "a renamed file is copied", renamed, harness_run,
			       harness_only_g_is_old });
	borne(&(struct story){ "a further name is copied", harness_linked,
			       harness_run, harness_f_and_g_are_old });
}

static void
tree_moved(struct harness *r)
{
	struct gate_fh fh;

	fake_s3_set(r->fixture.s3, "d/", "", 0);
	fake_s3_set(r->fixture.s3, "d/f", "old", 3);
	fake_s3_set(r->fixture.s3, "d/s/f", "new", 3);
	CU_ASSERT_EQUAL(do_lookup(&r->fixture, &r->a, "d", &fh), 0);
	CU_ASSERT_EQUAL(do_rename(&r->fixture, &r->a, "d", "e"), 0);
}

static bool
e_has_all(struct harness *r)
{
	return !fake_s3_has(r->fixture.s3, "d/f") &&
	       !fake_s3_has(r->fixture.s3, "d/s/f") &&
	       fake_s3_is(r->fixture.s3, "e/f", "old", 3) &&
	       fake_s3_is(r->fixture.s3, "e/s/f", "new", 3);
}

static void
what_is_relocated_arrives_whatever_row_could_not_be_written(void)
{
	borne(&(struct story){ "a renamed directory is relocated", tree_moved,
			       harness_run, e_has_all });
}

/* ---- objects that go ---- */

static void
removed(struct harness *r)
{
	harness_old_file(r);
	CU_ASSERT_EQUAL(do_remove(&r->fixture, &r->a, "f"), 0);
}

/* A file of the same name, as soon as that is free. */
static int
run_and_make(struct harness *r)
{
	int result;

	harness_let_go(r);
	r->hurry = true;
	/* Unless it is there from the first try. */
	if (do_lookup(&r->fixture, &r->a, "f", &r->fh[0]) < 0 &&
	    !harness_settled(r, harness_f_is_gone))
		return -ETIMEDOUT;
	result = do_file(&r->fixture, &r->a, "f", "new", &r->fh[0]);
	return result < 0 ? result : harness_run(r);
}

static void
a_deletion_whose_row_stays_is_not_done_to_what_comes_after(void)
{
	borne(&(struct story){ "an object is deleted", removed, harness_run,
			       harness_f_is_gone });
	borne(&(struct story){ "a deleted name is used again", removed,
			       run_and_make, harness_f_is_new });
}

static void
removed_while_open(struct harness *r)
{
	harness_old_file(r);
	CU_ASSERT_EQUAL(do_rename(&r->fixture, &r->a, "f", SILLY), 0);
}

static bool
only_here(struct harness *r)
{
	return harness_f_is_gone(r) &&
	       do_read_is(&r->fixture, &r->a, &r->fh[0], "old", 3);
}

static void
a_recall_whose_row_could_not_be_written_is_made_again(void)
{
	borne(&(struct story){ "a removed file is recalled",
			       removed_while_open, harness_run, only_here });
}

/* ---- others, and refusals ---- */

static void
changed_by_others(struct harness *r)
{
	changed_file(r);
	fake_s3_set(r->fixture.s3, "f", "theirs", 6);
}

static bool
f_is_theirs(struct harness *r)
{
	return fake_s3_is(r->fixture.s3, "f", "theirs", 6);
}

static void
removed_by_others(struct harness *r)
{
	changed_file(r);
	fake_s3_unset(r->fixture.s3, "f");
}

static void
a_conflict_whose_row_could_not_be_written_is_met_again(void)
{
	borne(&(struct story){ "somebody else changed the object",
			       changed_by_others, harness_run, f_is_theirs });
	borne(&(struct story){ "somebody else removed the object",
			       removed_by_others, harness_run,
			       harness_f_is_new });
}

static int
take_id(void *arg, const struct gate_quarantine_info *q)
{
	*(uint64_t *)arg = q->id;
	return 0;
}

static bool
kept(struct harness *r)
{
	uint64_t id = 0;
	char why[256];

	if (fake_s3_has(r->fixture.s3, "f"))
		return harness_f_is_old(r);
	return gate_each_quarantined(r->fixture.gate, take_id, &id) == 0 &&
	       id != 0 && gate_quarantine_retry(r->fixture.gate, id, why) == 0;
}

static bool
is_kept(struct harness *r)
{
	uint64_t id = 0;

	return gate_each_quarantined(r->fixture.gate, take_id, &id) == 0 &&
	       id != 0;
}

static int
run_refused(struct harness *r)
{
	harness_let_go(r);
	fake_s3_fail(r->fixture.s3, S3_OP_PUT, 1, UINT32_MAX, -EACCES);
	r->hurry = true;
	return harness_settled(r, is_kept) ? 0 : -ETIMEDOUT;
}

static void
bytes_that_were_refused_are_kept_whatever_row_could_not_be_written(void)
{
	borne(&(struct story){ "an upload is refused for good",
			       harness_new_file, run_refused, kept });
}

/* ---- writers ---- */

static void
empty(struct harness *r)
{
	CU_ASSERT_EQUAL(do_create(&r->fixture, &r->a, "f", &r->fh[0]), 0);
}

static bool
f_is_empty(struct harness *r)
{
	return fake_s3_is(r->fixture.s3, "f", "", 0);
}

static void
an_empty_file_that_could_not_be_settled_is_settled_later(void)
{
	borne(&(struct story){ "nothing comes after a CREATE", empty,
			       harness_run, f_is_empty });
}

/* Who flushes hears of no end before that. */
static void
an_empty_file_is_owed_until_it_is_settled(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	b.export.create_settle_ms = 300;
	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL_FATAL(host_fault_set("sql op=commit hold"), 0);
	AWAIT(host_fault_seen(0) > 0);
	CU_ASSERT_EQUAL(gate_flush(b.gate, NULL, 50, NULL, NULL), -ETIMEDOUT);
	CU_ASSERT_EQUAL_FATAL(host_fault_set(NULL), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "", 0));
	fixture_close(&b);
}

static void
silent(struct harness *r)
{
	empty(r);
	CU_ASSERT_EQUAL(do_write(&r->fixture, &r->a, &r->fh[0], 0, "new", 3,
				 GATE_UNSTABLE), 0);
}

static void
what_a_silent_writer_left_is_published_later(void)
{
	borne(&(struct story){ "a writer went silent", silent, harness_run,
			       harness_f_is_new });
}

/* ---- versions ---- */

#define LARGE (17U << 20)	/* goes by parts */

static char large[LARGE];

static bool
f_is_large(struct harness *r)
{
	return fake_s3_is(r->fixture.s3, "f", large, LARGE);
}

static void
write_large(struct harness *r)
{
	memset(large, 'a', sizeof(large));
	CU_ASSERT_EQUAL(do_create(&r->fixture, &r->a, "f", &r->fh[0]), 0);
	for (uint32_t off = 0; off < LARGE; off += 1U << 20)
		CU_ASSERT_EQUAL(do_write(&r->fixture, &r->a, &r->fh[0], off,
					 large + off, 1U << 20,
					 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&r->fixture, &r->a, &r->fh[0]), 0);
}

/* A version is committed while the one before is on its way, which arrives
 * without an answer, and then the gateway is killed. */
static void
a_version_is_not_taken_for_the_one_before_it(void)
{
	struct harness r;

	harness_open(&r);
	write_large(&r);
	fake_s3_hold(r.fixture.s3, S3_OP_PART);
	fake_s3_lose(r.fixture.s3, S3_OP_COMPLETE, -EAGAIN);
	harness_let_go(&r);
	harness_hurry(&r);
	CU_ASSERT(gate_flush(r.fixture.gate, NULL, 50, NULL, NULL) != 0);
	CU_ASSERT(fake_s3_is_held(r.fixture.s3));
	large[0] = 'b';
	CU_ASSERT_EQUAL(do_write(&r.fixture, &r.a, &r.fh[0], 0, "b", 1,
				 GATE_FILE_SYNC), 0);
	/* It does not begin anew before the end. */
	fake_s3_fail(r.fixture.s3, S3_OP_CREATE, 1, UINT32_MAX, -EAGAIN);
	fake_s3_release(r.fixture.s3);
	for (uint64_t until = clock_ms() + FIXTURE_WAIT_MS;
	     !fake_s3_has(r.fixture.s3, "f") && clock_ms() < until;)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	CU_ASSERT(fake_s3_has(r.fixture.s3, "f"));
	CU_ASSERT_FALSE(f_is_large(&r));
	harness_kill(&r);
	fake_s3_fail(r.fixture.s3, S3_OP_CREATE, 1, 0, 0);
	CU_ASSERT(harness_settled(&r, f_is_large));
	CU_ASSERT(harness_agrees(&r));
	harness_close(&r);
}

TEST_MAIN("gate_change_back",
	  T(an_upload_whose_row_could_not_be_written_is_found_again),
	  T(a_version_whose_row_could_not_be_written_is_no_conflict),
	  T(a_copy_whose_row_could_not_be_written_is_made_again),
	  T(what_is_relocated_arrives_whatever_row_could_not_be_written),
	  T(a_deletion_whose_row_stays_is_not_done_to_what_comes_after),
	  T(a_recall_whose_row_could_not_be_written_is_made_again),
	  T(a_conflict_whose_row_could_not_be_written_is_met_again),
	  T(bytes_that_were_refused_are_kept_whatever_row_could_not_be_written),
	  T(an_empty_file_that_could_not_be_settled_is_settled_later),
	  T(an_empty_file_is_owed_until_it_is_settled),
	  T(what_a_silent_writer_left_is_published_later),
	  T(a_version_is_not_taken_for_the_one_before_it))
