/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory is not renamed to where the keys below it would be too long for
 * S3 (fits.c): nothing is half done, and nothing goes out of reach.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static struct fixture b;
static struct client c;
static char deep[S3_KEY_MAX + 1];	/* "d/" and a file deep below it */

/* As long as a key may be, but for `less` bytes. */
static void
begin(size_t less)
{
	b = (struct fixture)FIXTURE;
	client_init(&c, "a");
	/* What was looked up stays known, on a slow machine, too. */
	b.export.attr_ttl_ms = 600000;
	fixture_open(&b);
	memset(deep, 'x', sizeof(deep));
	memcpy(deep, "d/", 2);
	for (size_t i = 200; i < S3_KEY_MAX - 50; i += 200)
		deep[i] = '/';
	deep[S3_KEY_MAX - less] = '\0';
	fake_s3_set(b.s3, deep, "deep", 4);
}

static bool
is_there(const char *name)
{
	struct gate_fh fh;

	return do_lookup(&b, &c, name, &fh) == 0;
}

static void
a_name_that_makes_keys_too_long_is_refused(void)
{
	begin(2);
	CU_ASSERT(is_there("d"));
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d", "d234"), -ENAMETOOLONG);
	CU_ASSERT(is_there("d"));
	CU_ASSERT(!is_there("d234"));
	/* No byte less than S3 allows. */
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d", "d23"), 0);
	CU_ASSERT(is_there("d23"));
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d23", "e"), 0);
	fixture_close(&b);
}

/* The file is known here, and the store tells nothing. */
static void
what_is_known_is_enough(void)
{
	struct gate_fh fh, dir;
	struct gate_attr attr;
	char name[256];

	begin(2);
	dir = b.root;
	for (const char *at = deep; *at != '\0'; dir = fh) {
		size_t len = strcspn(at, "/");

		snprintf(name, sizeof(name), "%.*s", (int)len, at);
		c.rq.may_block = true;
		c.rq.again = GATE_AGAIN_NONE;
		c.rq.first_ms = clock_ms();
		CU_ASSERT_EQUAL_FATAL(gate_lookup(b.x, &c.rq, &dir, name, &fh,
						  &attr, NULL), 0);
		at += len + (at[len] == '/');
	}
	fake_s3_fail(b.s3, S3_OP_LIST, 1, 1000, -EACCES);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d", "d234"), -ENAMETOOLONG);
	fake_s3_fail(b.s3, S3_OP_LIST, 1, 0, 0);
	CU_ASSERT(is_there("d"));
	fixture_close(&b);
}

/* A listing costs, and no key grows. */
static void
a_name_that_is_no_longer_asks_nobody(void)
{
	unsigned before;

	begin(0);
	CU_ASSERT(is_there("d"));
	before = fake_s3_calls(b.s3, S3_OP_LIST);
	fake_s3_hold(b.s3, S3_OP_LIST);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d", "e"), 0);
	CU_ASSERT(fake_s3_calls(b.s3, S3_OP_LIST) <= before + 1);
	fake_s3_release(b.s3);
	fixture_close(&b);
}

/* The file at the end of `deep`, below a directory that is called so now. */
static int
look_below(const char *top, struct gate_fh *fh)
{
	struct gate_fh dir;
	struct gate_attr attr;
	char name[256];
	int r = do_lookup(&b, &c, top, &dir);

	for (const char *at = deep + 2; r == 0 && *at != '\0'; dir = *fh) {
		size_t len = strcspn(at, "/");

		snprintf(name, sizeof(name), "%.*s", (int)len, at);
		c.rq.may_block = true;
		c.rq.again = GATE_AGAIN_NONE;
		c.rq.first_ms = clock_ms();
		r = gate_lookup(b.x, &c.rq, &dir, name, fh, &attr, NULL);
		at += len + (at[len] == '/');
	}
	return r;
}

static int
is_told(void *arg, const struct gate_upload_info *info)
{
	*(bool *)arg |= strstr(info->error, "longer than a key") != NULL;
	return 0;
}

/* What is written to it has no key to go to. */
static void
what_is_met_too_late_waits_for_a_shorter_name(void)
{
	struct gate_fh fh;
	bool told = false;

	begin(2);
	CU_ASSERT(is_there("d"));
	fake_s3_fail(b.s3, S3_OP_LIST, 1, 1000, -EACCES);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d", "d234"), 0);
	fake_s3_fail(b.s3, S3_OP_LIST, 1, 0, 0);
	AWAIT(look_below("d234", &fh) == 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "DEEP", 4, GATE_FILE_SYNC),
			0);
	CU_ASSERT(fixture_said(&b, "an upload cannot begin"));
	CU_ASSERT(gate_each_upload(b.gate, is_told, &told) >= 0);
	CU_ASSERT(told);
	CU_ASSERT(do_read_is(&b, &c, &fh, "DEEP", 4));
	CU_ASSERT_EQUAL(do_rename(&b, &c, "d234", "e"), 0);
	deep[0] = 'e';
	AWAIT(fake_s3_is(b.s3, deep, "DEEP", 4));
	CU_ASSERT(fake_s3_is(b.s3, deep, "DEEP", 4));
	fixture_close(&b);
}

TEST_MAIN("gate_fits", T(a_name_that_makes_keys_too_long_is_refused),
	  T(what_is_known_is_enough),
	  T(a_name_that_is_no_longer_asks_nobody),
	  T(what_is_met_too_late_waits_for_a_shorter_name))
