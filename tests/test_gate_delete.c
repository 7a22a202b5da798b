/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deletion is about one version of an object, however late it comes; and
 * deletions that are refused are in nobody's way.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static uint64_t
conflicts(struct fixture *b)
{
	struct gate_status s;

	gate_status(b->gate, &s);
	return s.conflicts;
}

/* Each of those that wait has failed once: the first try, a moment after the
 * removal, may go without an ETag, and takes what it meets. */
static bool
have_failed(struct fixture *b)
{
	struct gate_status s;

	AWAIT((gate_status(b->gate, &s), s.deletes == s.deletes_failing));
	return s.deletes == s.deletes_failing;
}

static int
do_rmdir(struct fixture *b, struct client *c, const char *name)
{
	struct gate_wcc wcc = { 0 };
	int r;

	c->rq.first_ms = clock_ms();
	c->rq.token = NULL;
	c->rq.may_block = true;
	do {
		c->rq.again = GATE_AGAIN_NONE;
		r = gate_rmdir(b->x, &c->rq, &b->root, name, &wcc);
	} while (r == -EAGAIN && c->rq.again == GATE_NEEDS_THREAD);
	return r;
}

/* What leaves its object at the key "f", or "f/", to be deleted. */
struct leaving {
	const char *what, *key, *made;
	int (*make)(struct fixture *b, struct client *c);
	int (*leave)(struct fixture *b, struct client *c);
};

static int
make_file(struct fixture *b, struct client *c)
{
	struct gate_fh fh;

	return do_file(b, c, "f", "ours", &fh);
}

static int
find_file(struct fixture *b, struct client *c)
{
	struct gate_fh fh;

	fake_s3_set(b->s3, "f", "ours", 4);
	return do_lookup(b, c, "f", &fh);
}

static int
make_dir(struct fixture *b, struct client *c)
{
	struct gate_fh fh;

	return do_mkdir(b, c, "f", &fh);
}

static int
remove_it(struct fixture *b, struct client *c)
{
	return do_remove(b, c, "f");
}

static int
rename_it(struct fixture *b, struct client *c)
{
	return do_rename(b, c, "f", "g");
}

static int
set_aside(struct fixture *b, struct client *c)
{
	int r = do_rename(b, c, "f", ".nfs000000000001");

	return r < 0 ? r : do_remove(b, c, ".nfs000000000001");
}

static int
remove_dir(struct fixture *b, struct client *c)
{
	return do_rmdir(b, c, "f");
}

static const struct leaving leavings[] = {
	{ "rm of what was made here", "f", "ours", make_file, remove_it },
	{ "rm of what was found", "f", "ours", find_file, remove_it },
	{ "mv", "f", "ours", make_file, rename_it },
	{ "rm of an open file", "f", "ours", make_file, set_aside },
	{ "rmdir", "f/", "", make_dir, remove_dir },
};

static void
what_somebody_else_has_put_there_since_stays(void)
{
	for (size_t i = 0; i < sizeof(leavings) / sizeof(*leavings); i++) {
		const struct leaving *l = &leavings[i];
		struct fixture b = FIXTURE;
		struct client a;
		bool ok;

		b.export.hold_ms = 20;
		client_init(&a, "a");
		fixture_open(&b);
		ok = l->make(&b, &a) == 0 && fixture_settled(&b) &&
		     fake_s3_is(b.s3, l->key, l->made, strlen(l->made));
		fake_s3_fail(b.s3, S3_OP_DELETE, 1, 1000, -EAGAIN);
		ok = ok && l->leave(&b, &a) == 0 && have_failed(&b);
		fake_s3_set(b.s3, l->key, "theirs", 6);
		fake_s3_fail(b.s3, S3_OP_DELETE, 1, 0, 0);
		ok = ok && fixture_settled(&b);
		ok = ok && fake_s3_is(b.s3, l->key, "theirs", 6);
		ok = ok && conflicts(&b) == 1;
		if (!ok)
			fprintf(stderr, "%s\n", l->what);
		CU_ASSERT(ok);
		fixture_close(&b);
	}
}

static void
it_stays_after_a_restart_too(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "ours", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, 1000, -EAGAIN);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	CU_ASSERT(have_failed(&b));
	fake_s3_set(b.s3, "f", "theirs", 6);
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, 0, 0);
	fixture_restart(&b);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "theirs", 6));
	fixture_close(&b);
}

static void
a_version_that_arrives_during_the_removal_goes_too(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "one", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	fake_s3_hold(b.s3, S3_OP_PUT);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "two", 3, GATE_FILE_SYNC),
			0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	CU_ASSERT_EQUAL(conflicts(&b), 0);
	fixture_close(&b);
}

/* A file by parts; the first try is still to come. */
static void
make_large(struct fixture *b, struct client *c, struct gate_fh *fh)
{
	char *data = calloc(1, MIB);

	CU_ASSERT_EQUAL(do_create(b, c, "f", fh), 0);
	for (uint64_t off = 0; off < 17 * MIB; off += MIB)
		CU_ASSERT_EQUAL(do_write(b, c, fh, off, data, MIB,
					 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(b, c, fh), 0);
	free(data);
}

static void
an_upload_whose_beginning_had_no_answer_leaves_no_parts(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_lose(b.s3, S3_OP_CREATE, -EAGAIN);
	make_large(&b, &a, &fh);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_has(b.s3, "f"));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_CREATE), 2);
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 0);
	fixture_close(&b);
}

static void
an_abort_that_failed_is_made_later(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_fail(b.s3, S3_OP_PART, 1, 1, -EAGAIN);
	fake_s3_fail(b.s3, S3_OP_ABORT, 1, 1, -EAGAIN);
	make_large(&b, &a, &fh);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_has(b.s3, "f"));
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 0);
	fixture_close(&b);
}

static void
parts_of_a_removed_file_go_too(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	uint64_t until;

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_lose(b.s3, S3_OP_CREATE, -EAGAIN);
	make_large(&b, &a, &fh);
	until = clock_ms() + FIXTURE_WAIT_MS;
	while (fake_s3_uploads(b.s3) == 0 && clock_ms() < until)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 0);
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f"));
	fixture_close(&b);
}

/* Nothing of a new file is there whose upload ended before its last request. */
static void
a_file_that_never_arrived_takes_nobody_else_s_object(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_hold(b.s3, S3_OP_PART);
	make_large(&b, &a, &fh);
	CU_ASSERT(fake_s3_is_held(b.s3));
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	fake_s3_set(b.s3, "f", "theirs", 6);
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "theirs", 6));
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 0);
	fixture_close(&b);
}

/* What it met was somebody else's, and the parts were still to be seen to. */
static void
a_deletion_that_let_theirs_stay_does_not_come_back_for_it(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	uint64_t until;
	char *data = calloc(1, MIB);

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "ours", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	fake_s3_lose(b.s3, S3_OP_CREATE, -EAGAIN);
	for (uint64_t off = 0; off < 17 * MIB; off += MIB)
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, off, data, MIB,
					 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	until = clock_ms() + FIXTURE_WAIT_MS;
	while (fake_s3_uploads(b.s3) == 0 && clock_ms() < until)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, 1, -EAGAIN);
	fake_s3_fail(b.s3, S3_OP_LIST_UPLOADS, 1, 100000, -EAGAIN);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	fake_s3_set(b.s3, "f", "theirs", 6);
	until = clock_ms() + FIXTURE_WAIT_MS;
	while ((conflicts(&b) == 0 ||
		fake_s3_calls(b.s3, S3_OP_LIST_UPLOADS) < 2) &&
	       clock_ms() < until)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	fake_s3_fail(b.s3, S3_OP_LIST_UPLOADS, 1, 0, 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "theirs", 6));
	CU_ASSERT_EQUAL(fake_s3_uploads(b.s3), 0);
	CU_ASSERT_EQUAL(conflicts(&b), 1);
	fixture_close(&b);
	free(data);
}

/* So many lines of what was said have the text. */
static unsigned
lines_with(struct fixture *b, const char *text)
{
	unsigned lines = 0;

	pthread_mutex_lock(&b->mutex);
	for (const char *at = b->said; (at = strstr(at, text)) != NULL; at++)
		lines++;
	pthread_mutex_unlock(&b->mutex);
	return lines;
}

/* Ten thousand times, in 150 ms.  A machine that stands still does so now and
 * then, and not each time. */
static bool
is_quick(struct fixture *b,
	 bool (*asks)(struct gate_export *x, const char *key))
{
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS, began, took;

	do {
		began = clock_ms();
		for (unsigned i = 0; i < 10000; i++)
			CU_ASSERT_FALSE_FATAL(asks(b->x, "f"));
		took = clock_ms() - began;
	} while (took >= 150 && clock_ms() < until);
	return took < 150;
}

static void
refused_deletions_are_in_nobody_s_way(void)
{
	enum { COUNT = 4000 };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status s;
	unsigned lines;
	uint64_t until;

	b.export.hold_ms = 20;
	b.export.refuse_grace_ms = 600000;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "ours", 4);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, UINT32_MAX, -EACCES);
	for (unsigned i = 0; i < COUNT; i++) {
		struct meta_delete d = { .id = 1000000 + i };
		struct deletion *one = delete_new(b.x);

		CU_ASSERT_PTR_NOT_NULL_FATAL(one);
		snprintf(d.key, sizeof(d.key), "gone/%u", i);
		hidden_add(b.x, d.key);
		delete_start(one, &d);
	}
	until = clock_ms() + FIXTURE_WAIT_MS;
	do {
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
		gate_status(b.gate, &s);
	} while (s.deletes_failing < COUNT && clock_ms() < until);
	CU_ASSERT_EQUAL(s.deletes_failing, COUNT);
	CU_ASSERT_EQUAL(s.deletes, COUNT);
	/* One a minute. */
	lines = lines_with(&b, "cannot delete");
	CU_ASSERT(lines >= 1 && lines <= 2);
	CU_ASSERT(is_quick(&b, delete_pending));
	CU_ASSERT(is_quick(&b, delete_denied_beside));
	fixture_close(&b);
}

static void
fill(struct fixture *b, unsigned count)
{
	char key[32];

	fake_s3_set(b->s3, "d/", "", 0);
	fake_s3_set(b->s3, "d/sub/", "", 0);
	for (unsigned i = 0; i < count; i++) {
		sprintf(key, "d/f%u", i);
		fake_s3_set(b->s3, key, "x", 1);
		sprintf(key, "d/sub/f%u", i);
		fake_s3_set(b->s3, key, "y", 1);
	}
}

/* SeaweedFS would list "d" for ever. */
static void
a_directory_s_object_goes_after_what_was_in_it(void)
{
	struct client a;
	struct fixture b = FIXTURE;

	client_init(&a, "a");
	fixture_open(&b);
	fill(&b, 20);
	fake_s3_slow(b.s3, S3_OP_DELETE, 2);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "d", "e"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_has(b.s3, "e/sub/f19"));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "d/"));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "d/sub/"));
	CU_ASSERT_EQUAL(fake_s3_ghosts(b.s3), 0);
	fixture_close(&b);
}

/* Its key is wanted: that comes first. */
static void
a_directory_made_where_one_left_waits_for_none_of_its_files(void)
{
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;
	struct client a;
	struct gate_fh dir;
	struct fixture b = FIXTURE;

	client_init(&a, "a");
	fixture_open(&b);
	fill(&b, 2);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, UINT32_MAX, -EAGAIN);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "d", "e"), 0);
	CU_ASSERT_EQUAL(do_mkdir(&b, &a, "d", &dir), 0);
	while (!fake_s3_is(b.s3, "d/", "", 0) ||
	       delete_pending(b.x, "d/")) {
		CU_ASSERT_FATAL(clock_ms() < until);
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	}
	CU_ASSERT(fake_s3_has(b.s3, "d/f0"));
	fixture_close(&b);
}

/* It is tried again for ever: no flush would end, nor its RMDIR before
 * hold_ms. */
static void
a_directory_s_object_waits_for_none_that_is_refused(void)
{
	struct client a;
	struct gate_fh dir, fh;
	struct gate_wcc wcc = { 0 };
	struct fixture b = FIXTURE;

	b.export.refuse_grace_ms = 600000;
	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_mkdir(&b, &a, "d", &dir), 0);
	CU_ASSERT_EQUAL(do_create_in(&b, &a, &dir, "h", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_has(b.s3, "d/") && fake_s3_has(b.s3, "d/h"));
	fake_s3_deny(b.s3, "d/h");
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_remove(b.x, &a.rq, &dir, "h", &wcc), 0);
	CU_ASSERT_EQUAL(do_rmdir(&b, &a, "d"), 0);
	AWAIT(!fake_s3_has(b.s3, "d/"));
	CU_ASSERT(!fake_s3_has(b.s3, "d/"));
	CU_ASSERT(fake_s3_has(b.s3, "d/h"));
	fixture_close(&b);
}

/* S3 has denied a deletion, and three times.  It hurries here. */
static void
deny(struct fixture *b, struct client *c, const char *name)
{
	unsigned before = fake_s3_calls(b->s3, S3_OP_DELETE);

	fake_s3_fail(b->s3, S3_OP_DELETE, 1, 1000000, -EACCES);
	CU_ASSERT_EQUAL(do_remove(b, c, name), 0);
	AWAIT((deletes_hurry(b->x),
	       fake_s3_calls(b->s3, S3_OP_DELETE) > before + 4));
}

static void
open_denied(struct fixture *b, struct client *c, uint64_t grace_ms)
{
	struct gate_fh fh;

	b->export.hold_ms = 20;
	b->export.refuse_grace_ms = grace_ms;
	client_init(c, "a");
	fixture_open(b);
	fake_s3_set(b->s3, "f", "f", 1);
	fake_s3_set(b->s3, "g", "g", 1);
	fake_s3_set(b->s3, "d/h", "h", 1);
	CU_ASSERT_EQUAL(do_lookup(b, c, "g", &fh), 0);
	CU_ASSERT_EQUAL(do_lookup(b, c, "d", &fh), 0);
	deny(b, c, "f");
}

static void
a_removal_that_will_be_denied_is_refused(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	open_denied(&b, &a, 0);
	AWAIT(delete_any_denied(b.x));
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), -EACCES);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "g", "i"), -EACCES);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "g", &fh), 0);
	/* The rights are back, before the first deletion is tried again. */
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, 0, 0);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), 0);
	AWAIT((deletes_hurry(b.x), !fake_s3_has(b.s3, "f") &&
				   !fake_s3_has(b.s3, "g")));
	CU_ASSERT(!fake_s3_has(b.s3, "f"));
	CU_ASSERT(!fake_s3_has(b.s3, "g"));
	fixture_close(&b);
}

/* Where S3 cannot be asked with a condition. */
static void
a_denial_holds_for_its_directory(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, dir;
	struct gate_wcc wcc = { 0 };

	open_denied(&b, &a, 0);
	__atomic_store_n(&b.x->can_delete_if_match, false, __ATOMIC_RELAXED);
	AWAIT(delete_any_denied(b.x));
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), -EACCES);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "g", &fh), 0);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "d", &dir), 0);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_remove(b.x, &a.rq, &dir, "h", &wcc), 0);
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, 0, 0);
	AWAIT((deletes_hurry(b.x), !delete_any_denied(b.x)));
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), 0);
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

/* A store, or a proxy before it, drops the condition after all. */
static void
asking_touches_no_file(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct node *n;

	open_denied(&b, &a, 0);
	AWAIT(delete_any_denied(b.x));
	fake_s3_deny(b.s3, "f");
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, 0, 0);
	fake_s3_caps(b.s3, &(struct s3_caps){ .put_if_match = true });
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "g", &fh), 0);
	n = node_find(b.gate, fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(denied_now(n, &a.rq), 0);
	node_put(&n);
	CU_ASSERT(fake_s3_is(b.s3, "g", "g", 1));
	fixture_close(&b);
}

static void
a_denial_of_a_prefix_is_met_there_alone(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, dir;
	struct gate_wcc wcc = { 0 };

	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "d/f", "f", 1);
	fake_s3_set(b.s3, "d/h", "h", 1);
	fake_s3_set(b.s3, "g", "g", 1);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "d", &dir), 0);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "g", &fh), 0);
	fake_s3_deny(b.s3, "d/");
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_remove(b.x, &a.rq, &dir, "f", &wcc), 0);
	AWAIT((deletes_hurry(b.x), delete_any_denied(b.x)));
	CU_ASSERT_EQUAL(gate_remove(b.x, &a.rq, &dir, "h", &wcc), -EACCES);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), 0);
	fixture_close(&b);
}

static void
a_denial_that_may_pass_refuses_nothing(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	open_denied(&b, &a, 600000);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), 0);
	fake_s3_fail(b.s3, S3_OP_DELETE, 1, 0, 0);
	AWAIT((deletes_hurry(b.x), !fake_s3_has(b.s3, "f") &&
				   !fake_s3_has(b.s3, "g")));
	CU_ASSERT(!fake_s3_has(b.s3, "g"));
	fixture_close(&b);
}

TEST_MAIN("gate_delete", T(a_removal_that_will_be_denied_is_refused),
	  T(a_denial_holds_for_its_directory), T(asking_touches_no_file),
	  T(a_denial_of_a_prefix_is_met_there_alone),
	  T(a_denial_that_may_pass_refuses_nothing), T(what_somebody_else_has_put_there_since_stays),
	  T(it_stays_after_a_restart_too),
	  T(a_version_that_arrives_during_the_removal_goes_too),
	  T(an_upload_whose_beginning_had_no_answer_leaves_no_parts),
	  T(an_abort_that_failed_is_made_later),
	  T(parts_of_a_removed_file_go_too),
	  T(a_file_that_never_arrived_takes_nobody_else_s_object),
	  T(a_deletion_that_let_theirs_stay_does_not_come_back_for_it),
	  T(refused_deletions_are_in_nobody_s_way),
	  T(a_directory_s_object_goes_after_what_was_in_it),
	  T(a_directory_s_object_waits_for_none_that_is_refused),
	  T(a_directory_made_where_one_left_waits_for_none_of_its_files))
