/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose upload is next: a bucket that says nothing keeps no other waiting, and
 * what somebody waits for goes before what nobody waits for.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static bool
comes(struct s3 *s3, const char *key)
{
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;

	while (!fake_s3_has(s3, key) && clock_ms() < until)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	return fake_s3_has(s3, key);
}

static int
make(struct gate_export *x, const struct gate_fh *root, struct client *c,
     const char *name)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0644 };
	struct gate_wcc wcc = { 0 };
	enum gate_stable reached;
	struct gate_attr attr;
	struct gate_fh fh;
	int r;

	c->rq.first_ms = clock_ms();
	c->rq.token = NULL;
	c->rq.may_block = true;
	r = gate_create(x, &c->rq, root, name, GATE_UNCHECKED, &set, NULL,
			&fh, &attr, &wcc);
	return r < 0 ? r
		     : gate_write(x, &c->rq, &fh, 0, "text", 4,
				  GATE_FILE_SYNC, &reached, &wcc);
}

static void
a_silent_bucket_keeps_no_other_export_waiting(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char name[16];

	b.two = true;
	b.export.settle_ms = 1;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_hold(b.s3, S3_OP_PUT);
	for (unsigned i = 0; i < 24; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		CU_ASSERT_EQUAL(do_file(&b, &a, name, "text", &fh), 0);
	}
	CU_ASSERT(fake_s3_is_held(b.s3));
	CU_ASSERT_EQUAL(make(b.y, &b.rooty, &a, "g"), 0);
	CU_ASSERT(comes(b.s3y, "g"));
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

static int
do_chmod(struct fixture *b, struct client *c, const struct gate_fh *fh)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0600 };
	struct gate_wcc wcc = { 0 };

	c->rq.first_ms = clock_ms();
	c->rq.token = NULL;
	c->rq.may_block = true;
	return gate_setattr(b->x, &c->rq, fh, &set, NULL, &wcc);
}

static void
what_is_waited_for_goes_before_what_is_not(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char name[16];

	b.export.settle_ms = 1;
	client_init(&a, "a");
	fixture_open(&b);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		CU_ASSERT_EQUAL(do_file(&b, &a, name, "text", &fh), 0);
	}
	CU_ASSERT(fixture_settled(&b));
	fake_s3_hold(b.s3, S3_OP_COPY);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		CU_ASSERT_EQUAL(do_lookup(&b, &a, name, &fh), 0);
		CU_ASSERT_EQUAL(do_chmod(&b, &a, &fh), 0);
	}
	CU_ASSERT(fake_s3_is_held(b.s3));
	CU_ASSERT_EQUAL(do_file(&b, &a, "g", "text", &fh), 0);
	CU_ASSERT_EQUAL(gate_flush(b.gate, "/b/g", FIXTURE_WAIT_MS, NULL, NULL),
			0);
	CU_ASSERT(fake_s3_has(b.s3, "g"));
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

#define TOGETHER 6

static void
come_together(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	uint64_t until;
	char name[16];

	b.export.settle_ms = b.export.create_settle_ms = 60000;
	client_init(&a, "a");
	fixture_open(&b);
	/* One thread is there, and idle. */
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT_EQUAL(gate_flush(b.gate, "/b", FIXTURE_WAIT_MS, NULL, NULL),
			0);
	for (unsigned i = 0; i < TOGETHER; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		CU_ASSERT_EQUAL(do_file(&b, &a, name, "text", &fh), 0);
	}
	fake_s3_hold(b.s3, S3_OP_PUT);
	CU_ASSERT_EQUAL(gate_flush(b.gate, "/b", 0, NULL, NULL), -ETIMEDOUT);
	/* The one of "f", and those that are held now. */
	until = clock_ms() + FIXTURE_WAIT_MS;
	while (fake_s3_calls(b.s3, S3_OP_PUT) < 1 + TOGETHER &&
	       clock_ms() < until)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_PUT), 1 + TOGETHER);
	fake_s3_release(b.s3);
	CU_ASSERT_EQUAL(gate_flush(b.gate, "/b", FIXTURE_WAIT_MS, NULL, NULL),
			0);
	fixture_close(&b);
}

/* Often enough that the thread that is idle wakes late once. */
static void
what_comes_together_has_a_thread_each(void)
{
	for (unsigned i = 0; i < 3; i++)
		come_together();
}

TEST_MAIN("gate_schedule", T(a_silent_bucket_keeps_no_other_export_waiting),
	  T(what_is_waited_for_goes_before_what_is_not),
	  T(what_comes_together_has_a_thread_each))
