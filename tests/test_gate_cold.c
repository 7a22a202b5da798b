/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that are archived, or encrypted with somebody else's key (cold.c):
 * what needs their bytes is refused where the client asks for it, and nothing
 * is half done, kept in the quarantine or tried for ever.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static struct fixture b;
static struct client c;
static struct gate_fh fh;

static void
open_with(const char *key, enum fake_s3_lock lock)
{
	b = (struct fixture)FIXTURE;
	client_init(&c, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, key, "bytes", 5);
	fake_s3_lock(b.s3, key, lock);
}

static void
begin(enum fake_s3_lock lock)
{
	open_with("f", lock);
	CU_ASSERT_EQUAL_FATAL(do_lookup(&b, &c, "f", &fh), 0);
}

/* Nothing is owed to the bucket, and nothing is in the quarantine. */
static void
end(void)
{
	struct gate_status s;

	CU_ASSERT(fixture_settled(&b));
	gate_status(b.gate, &s);
	CU_ASSERT_EQUAL(s.quarantined, 0);
	fixture_close(&b);
}

static int
do_link(const char *name)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };

	c.rq.may_block = true;
	c.rq.first_ms = clock_ms();
	c.rq.token = NULL;
	return gate_link(b.x, &c.rq, &fh, &b.root, name, &attr, &wcc);
}

static int
do_getattr(struct gate_attr *attr)
{
	c.rq.may_block = true;
	c.rq.first_ms = clock_ms();
	c.rq.token = NULL;
	return gate_getattr(b.x, &c.rq, &fh, attr);
}

static void
a_part_of_an_archived_object_is_not_changed(void)
{
	begin(FAKE_S3_ARCHIVED);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 5, "x", 1, GATE_UNSTABLE),
			-EACCES);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 1, "x", 1, GATE_FILE_SYNC),
			-EACCES);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 3), -EACCES);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 9), -EACCES);
	CU_ASSERT_EQUAL(do_mode(&b, &c, &fh, 0600), -EACCES);
	CU_ASSERT(fixture_said(&b, "archived"));
	CU_ASSERT(fake_s3_is(b.s3, "f", "bytes", 5));
	end();
}

static void
it_gets_no_other_name(void)
{
	begin(FAKE_S3_ARCHIVED);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "f", "g"), -EACCES);
	CU_ASSERT_EQUAL(do_link("g"), -EACCES);
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "g", &fh), -ENOENT);
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "f", &fh), 0);
	end();
}

/* Known from a listing by another gateway's run, too. */
static void
that_is_known_after_a_restart(void)
{
	begin(FAKE_S3_ARCHIVED);
	fixture_restart(&b);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "f", "g"), -EACCES);
	end();
}

static void
it_is_replaced_as_a_whole(void)
{
	begin(FAKE_S3_ARCHIVED);
	CU_ASSERT_EQUAL(do_size(&b, &c, &fh, 0), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "new", 3, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &c, &fh), 0);
	CU_ASSERT_EQUAL(do_mode(&b, &c, &fh, 0600), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "new", 3));
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 3, "er", 2, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "newer", 5));
	end();
}

/* In one WRITE, without a truncation before. */
static void
it_is_written_over_in_its_place(void)
{
	begin(FAKE_S3_ARCHIVED);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "other", 5, GATE_UNSTABLE),
			0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 5, "s", 1, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &c, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "others", 6));
	end();
}

static void
it_is_removed_and_replaced_by_a_rename(void)
{
	struct gate_fh other;

	begin(FAKE_S3_ARCHIVED);
	CU_ASSERT_EQUAL(do_file(&b, &c, "n", "new", &other), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "n", "f"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "new", 3));
	fake_s3_lock(b.s3, "f", FAKE_S3_ARCHIVED);
	CU_ASSERT_EQUAL(do_remove(&b, &c, "f"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(!fake_s3_has(b.s3, "f"));
	end();
}

static void
a_restored_copy_is_as_good_as_any(void)
{
	begin(FAKE_S3_RESTORED);
	CU_ASSERT(do_read_is(&b, &c, &fh, "bytes", 5));
	CU_ASSERT_EQUAL(do_rename(&b, &c, "f", "g"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "g", "bytes", 5));
	end();
}

static void
who_restores_it_is_believed_at_once(void)
{
	begin(FAKE_S3_ARCHIVED);
	CU_ASSERT_EQUAL(do_mode(&b, &c, &fh, 0600), -EACCES);
	fake_s3_lock(b.s3, "f", FAKE_S3_RESTORED);
	CU_ASSERT_EQUAL(do_mode(&b, &c, &fh, 0600), 0);
	end();
}

/* A store that is silent for a moment has not said no. */
static void
a_bad_moment_is_no_archive(void)
{
	begin(FAKE_S3_RESTORED);
	fake_s3_fail(b.s3, S3_OP_GET, 1, 1, -EAGAIN);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "f", "g"), -EAGAIN);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "f", "g"), 0);
	end();
}

/* Nobody has looked into it yet. */
static void
a_directory_with_an_archived_object_stays(void)
{
	struct gate_fh dir;

	open_with("d/e/f", FAKE_S3_ARCHIVED);
	fake_s3_set(b.s3, "d/a", "a", 1);
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "d", &dir), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d", "x"), -EACCES);
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "d", &dir), 0);
	CU_ASSERT(fixture_said(&b, "d/e/f"));
	fake_s3_lock(b.s3, "d/e/f", FAKE_S3_RESTORED);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d", "x"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "x/e/f", "bytes", 5));
	end();
}

/* Behind the pages that are looked at. */
static void
what_is_known_to_be_archived_holds_its_directory(void)
{
	struct gate_fh dir;
	char key[32];

	open_with("d/z", FAKE_S3_ARCHIVED);
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "d/f%04d", i);
		fake_s3_set(b.s3, key, "x", 1);
	}
	CU_ASSERT_EQUAL_FATAL(do_lookup(&b, &c, "d", &dir), 0);
	c.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_lookup(b.x, &c.rq, &dir, "z", &fh,
				    &(struct gate_attr){ 0 }, NULL), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d", "x"), -EACCES);
	end();
}

static void
an_object_under_anothers_key_is_listed_and_refused(void)
{
	struct gate_attr attr;
	char buf[8];
	uint32_t got;

	begin(FAKE_S3_ENCRYPTED);
	CU_ASSERT_EQUAL(do_getattr(&attr), 0);
	CU_ASSERT_EQUAL(attr.size, 5);
	CU_ASSERT_EQUAL(do_read(&b, &c, &fh, 0, buf, 5, &got), -EACCES);
	CU_ASSERT(fixture_said(&b, "customer's key"));
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 5, "x", 1, GATE_UNSTABLE),
			-EACCES);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "f", "g"), -EACCES);
	CU_ASSERT_EQUAL(do_mode(&b, &c, &fh, 0600), -EACCES);
	CU_ASSERT_EQUAL(do_remove(&b, &c, "f"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(!fake_s3_has(b.s3, "f"));
	end();
}

static bool
is_cold(void)
{
	struct node *n = NULL;
	bool cold;

	CU_ASSERT_EQUAL_FATAL(node_get(b.gate, fh.ino, true, &n), 0);
	cold = n->i.cold;
	node_put(&n);
	return cold;
}

static int
skip(void *arg, const struct gate_dirent *entry)
{
	(void)arg, (void)entry;
	return 0;
}

/* What it knows is older than attr_ttl_ms: it asks the bucket. */
static int
list_anew(void)
{
	uint8_t verf[8] = { 0 };
	bool eof = false;

	usleep(60000);
	c.rq.may_block = true;
	c.rq.again = GATE_AGAIN_NONE;
	c.rq.first_ms = clock_ms();
	c.rq.token = NULL;
	return gate_readdir(b.x, &c.rq, &b.root, 0, verf, true, 0, skip, NULL,
			    &eof, NULL);
}

/* Neither LIST nor HEAD has told the class. */
static void
what_a_get_tells_is_remembered(void)
{
	char buf[8];
	uint32_t got;

	begin(FAKE_S3_UNTOLD);
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "f", &fh), 0);
	CU_ASSERT(!is_cold());
	CU_ASSERT_EQUAL(do_read(&b, &c, &fh, 0, buf, 5, &got), -EACCES);
	CU_ASSERT(fixture_said(&b, "s3nfsctl restore /b/f"));
	CU_ASSERT(is_cold());
	CU_ASSERT_EQUAL(list_anew(), 0);
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 5, "x", 1, GATE_UNSTABLE),
			-EACCES);
	fixture_restart(&b);
	CU_ASSERT(is_cold());
	CU_ASSERT_EQUAL(do_rename(&b, &c, "f", "g"), -EACCES);
	CU_ASSERT_EQUAL(do_mode(&b, &c, &fh, 0600), -EACCES);
	end();
}

static void
a_head_without_a_class_takes_nothing_back(void)
{
	struct gate_attr attr;

	begin(FAKE_S3_LISTED);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(list_anew(), 0);
		CU_ASSERT(is_cold());
		usleep(60000);		/* attr_ttl_ms */
		CU_ASSERT_EQUAL(do_getattr(&attr), 0);
		CU_ASSERT(is_cold());
	}
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 5, "x", 1, GATE_UNSTABLE),
			-EACCES);
	end();
}

static bool
stays_cold(const char *etag, int64_t mtime_ns, bool class_told)
{
	struct meta_inode i = { .cold = true, .base_etag = "e",
				.base_mtime_ns = 5000000000 };
	struct s3_object o = { .mtime_ns = mtime_ns,
			       .class_told = class_told };

	strcpy(o.etag, etag);
	object_to_inode(b.x, "f", &o, &i);
	return i.cold;
}

static void
only_another_version_or_class_takes_it_back(void)
{
	begin(FAKE_S3_OPEN);
	CU_ASSERT(stays_cold("e", 5000000000, false));
	CU_ASSERT(!stays_cold("e", 5000000000, true));
	CU_ASSERT(!stays_cold("e", 6000000000, false));
	CU_ASSERT(!stays_cold("f", 5000000000, false));
	end();
}

TEST_MAIN("gate_cold", T(a_part_of_an_archived_object_is_not_changed),
	  T(it_gets_no_other_name), T(that_is_known_after_a_restart),
	  T(it_is_replaced_as_a_whole), T(it_is_written_over_in_its_place),
	  T(it_is_removed_and_replaced_by_a_rename),
	  T(a_restored_copy_is_as_good_as_any),
	  T(who_restores_it_is_believed_at_once),
	  T(a_bad_moment_is_no_archive),
	  T(a_directory_with_an_archived_object_stays),
	  T(what_is_known_to_be_archived_holds_its_directory),
	  T(an_object_under_anothers_key_is_listed_and_refused),
	  T(what_a_get_tells_is_remembered),
	  T(a_head_without_a_class_takes_nothing_back),
	  T(only_another_version_or_class_takes_it_back))
