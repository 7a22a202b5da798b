/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that S3 carried out without an answer, of files of all kinds, and
 * what the file, its name or its path did before the next try, with and
 * without a new start in between: the object is known for ours, nobody
 * meets it under a name that it has left, and no conflict is seen where
 * nobody else was.  And what a flush does while uploads are tried again.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define LATER_MS 60000

static void
pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

static bool
alone(struct fixture *b)
{
	struct gate_status status;

	gate_status(b->gate, &status);
	return status.quarantined == 0 && status.conflicts == 0;
}

static bool
has_soon(struct fixture *b, const char *key)
{
	for (int i = 0; i < 10000 && !fake_s3_has(b->s3, key); i++)
		pause_ms(1);
	return fake_s3_has(b->s3, key);
}

static bool
gone_soon(struct fixture *b, const char *key)
{
	for (int i = 0; i < 10000 && fake_s3_has(b->s3, key); i++)
		pause_ms(1);
	return !fake_s3_has(b->s3, key);
}

static bool
object_is(struct fixture *b, const char *key, const char *text)
{
	return fake_s3_is(b->s3, key, text, strlen(text));
}

/* All that was sent is answered; retries have pauses, and machines are
 * slow. */
static bool
settled(struct fixture *b)
{
	return gate_flush(b->gate, NULL, 60000, NULL, NULL) == 0;
}

/* The gate's own thread waits, until JUKEBOX is over. */
#define ASK(r, c, call)                                                       \
	do {                                                                  \
		uint64_t until_ = clock_ms() + 60000;                         \
		do {                                                          \
			(c)->rq.may_block = true;                             \
			(c)->rq.token = NULL;                                 \
			(c)->rq.first_ms = clock_ms();                        \
			(r) = (call);                                         \
		} while ((r) == -EAGAIN && clock_ms() < until_);              \
	} while (0)

static int
find(struct fixture *b, struct client *c, const struct gate_fh *dir,
     const char *name, struct gate_fh *fh)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int r;

	ASK(r, c, gate_lookup(b->x, &c->rq, dir, name, fh, &attr, &wcc));
	return r;
}

static int
rename_to(struct fixture *b, struct client *c, const struct gate_fh *from,
	  const char *name, const struct gate_fh *to, const char *new_name)
{
	struct gate_wcc one = { 0 }, two = { 0 };
	int r;

	ASK(r, c, gate_rename(b->x, &c->rq, from, name, to, new_name, &one,
			      &two));
	return r;
}

static int
make_dir(struct fixture *b, struct client *c, const struct gate_fh *dir,
	 const char *name, struct gate_fh *fh)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0755 };
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int r;

	ASK(r, c, gate_mkdir(b->x, &c->rq, dir, name, &set, fh, &attr, &wcc));
	return r;
}

static int
make_file(struct fixture *b, struct client *c, const struct gate_fh *dir,
	  const char *name, const char *text, struct gate_fh *fh)
{
	int r = do_create_in(b, c, dir, name, fh);

	return r < 0 ? r : do_write(b, c, fh, 0, text,
				    (uint32_t)strlen(text), GATE_FILE_SYNC);
}

static int
change_mode(struct fixture *b, struct client *c, const struct gate_fh *fh,
	    uint32_t mode)
{
	struct gate_setattr set = { .set_mode = true, .mode = mode };
	struct gate_wcc wcc = { 0 };
	int r;

	ASK(r, c, gate_setattr(b->x, &c->rq, fh, &set, NULL, &wcc));
	return r;
}

static int
make_node(struct fixture *b, struct client *c, const char *name,
	  enum gate_kind kind, struct gate_fh *fh)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int r;

	if (kind == GATE_LNK)
		ASK(r, c, gate_symlink(b->x, &c->rq, &b->root, name, "target",
				       NULL, fh, &attr, &wcc));
	else
		ASK(r, c, gate_mknod(b->x, &c->rq, &b->root, name, kind, 0, 0,
				     NULL, fh, &attr, &wcc));
	return r;
}

/* A file of that kind, in the bucket without the gate's knowing. */
static void
lose_node(struct fixture *b, struct client *a, const char *name,
	  enum gate_kind kind, struct gate_fh *fh)
{
	fake_s3_lose(b->s3, S3_OP_PUT, -EAGAIN);
	CU_ASSERT_EQUAL(make_node(b, a, name, kind, fh), 0);
	CU_ASSERT(has_soon(b, name));
}

/* ---- kinds ---- */

static void
renamed_over(enum gate_kind kind, bool restart)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh n, f;

	client_init(&a, "a");
	fixture_open(&b);
	lose_node(&b, &a, "n", kind, &n);
	b.x->c.settle_ms = LATER_MS;
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "bytes", &f), 0);
	CU_ASSERT_EQUAL(rename_to(&b, &a, &b.root, "f", &b.root, "n"), 0);
	if (restart)
		fixture_restart(&b);
	CU_ASSERT(settled(&b));
	CU_ASSERT(object_is(&b, "n", "bytes"));
	CU_ASSERT(alone(&b));
	fixture_close(&b);
}

static void
a_file_takes_the_name_of_a_special_file_or_symlink(void)
{
	renamed_over(GATE_FIFO, false);
	renamed_over(GATE_LNK, false);
}

static void
so_it_does_after_a_new_start(void)
{
	renamed_over(GATE_SOCK, true);
	renamed_over(GATE_LNK, true);
}

static void
a_special_file_is_changed_before_the_next_try(void)
{
	static const enum gate_kind kinds[] = { GATE_FIFO, GATE_LNK };

	for (int i = 0; i < 4; i++) {
		struct fixture b = FIXTURE;
		struct client a;
		struct gate_fh fh;
		struct gate_attr attr;

		client_init(&a, "a");
		fixture_open(&b);
		lose_node(&b, &a, "n", kinds[i % 2], &fh);
		CU_ASSERT_EQUAL(change_mode(&b, &a, &fh, 0600), 0);
		if (i >= 2)
			fixture_restart(&b);
		CU_ASSERT(settled(&b));
		CU_ASSERT(alone(&b));
		fixture_lose_state(&b);
		CU_ASSERT_EQUAL(find(&b, &a, &b.root, "n", &fh), 0);
		a.rq.may_block = true;
		CU_ASSERT_EQUAL(gate_getattr(b.x, &a.rq, &fh, &attr), 0);
		CU_ASSERT_EQUAL(attr.mode & 0777, 0600);
		CU_ASSERT_EQUAL(attr.kind, kinds[i % 2]);
		fixture_close(&b);
	}
}

/* ---- what is inherited ---- */

static void
who_takes_a_name_knows_after_a_new_start_what_lies_there(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh f, g;
	unsigned before;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "one", &f), 0);
	CU_ASSERT(settled(&b));
	before = fake_s3_calls(b.s3, S3_OP_PUT);
	fake_s3_lose(b.s3, S3_OP_PUT, -EAGAIN);
	CU_ASSERT_EQUAL(do_write(&b, &a, &f, 0, "two", 3, GATE_FILE_SYNC), 0);
	for (int i = 0; i < 10000 &&
			fake_s3_calls(b.s3, S3_OP_PUT) == before; i++)
		pause_ms(1);
	b.x->c.settle_ms = LATER_MS;
	CU_ASSERT_EQUAL(do_file(&b, &a, "g", "three", &g), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "g", "f"), 0);
	fixture_restart(&b);
	CU_ASSERT(settled(&b));
	CU_ASSERT(object_is(&b, "f", "three"));
	CU_ASSERT(alone(&b));
	fixture_close(&b);
}

static int
link_to(struct fixture *b, struct client *c, const struct gate_fh *fh,
	const char *name)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int r;

	ASK(r, c, gate_link(b->x, &c->rq, fh, &b->root, name, &attr, &wcc));
	return r;
}

static void
a_link_takes_the_name_of_a_link(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh one, two;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "a", "one", &one), 0);
	CU_ASSERT_EQUAL(do_file(&b, &a, "c", "two", &two), 0);
	CU_ASSERT_EQUAL(link_to(&b, &a, &two, "d"), 0);
	CU_ASSERT(settled(&b));
	CU_ASSERT_EQUAL(link_to(&b, &a, &one, "b"), 0);
	/* The file's own copy first: it has to say that it is one of two. */
	for (int i = 0; i < 10000 && fake_s3_calls(b.s3, S3_OP_COPY) < 3; i++)
		pause_ms(1);
	fake_s3_lose(b.s3, S3_OP_COPY, -EAGAIN);
	CU_ASSERT(has_soon(&b, "b"));
	CU_ASSERT_EQUAL(do_rename(&b, &a, "d", "b"), 0);
	CU_ASSERT(settled(&b));
	CU_ASSERT(object_is(&b, "a", "one"));
	CU_ASSERT(object_is(&b, "b", "two"));
	CU_ASSERT(object_is(&b, "c", "two"));
	CU_ASSERT(gone_soon(&b, "d"));
	CU_ASSERT(alone(&b));
	fixture_close(&b);
}

/* ---- a look that fails ---- */

static void
no_conflict_is_seen_since_nobody_could_look(void)
{
	for (unsigned nth = 1; nth <= 4; nth++) {
		struct fixture b = FIXTURE;
		struct client a;
		struct gate_fh fh;
		unsigned before;

		client_init(&a, "a");
		fixture_open(&b);
		CU_ASSERT_EQUAL(do_file(&b, &a, "f", "one", &fh), 0);
		CU_ASSERT(settled(&b));
		before = fake_s3_calls(b.s3, S3_OP_PUT);
		fake_s3_lose(b.s3, S3_OP_PUT, -EAGAIN);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "two", 3,
					 GATE_FILE_SYNC), 0);
		for (int i = 0; i < 10000 &&
				fake_s3_calls(b.s3, S3_OP_PUT) == before; i++)
			pause_ms(1);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "THREE", 5,
					 GATE_FILE_SYNC), 0);
		fake_s3_fail(b.s3, S3_OP_HEAD, nth, 1, -EAGAIN);
		CU_ASSERT(settled(&b));
		CU_ASSERT(object_is(&b, "f", "THREE"));
		CU_ASSERT(alone(&b));
		fixture_close(&b);
	}
}

/* ---- directories above ---- */

/* d/f is in the bucket without the gate's knowing. */
static void
lose_in_dir(struct fixture *b, struct client *a, struct gate_fh *dir,
	    struct gate_fh *fh)
{
	CU_ASSERT_EQUAL(make_dir(b, a, &b->root, "d", dir), 0);
	CU_ASSERT(settled(b));
	fake_s3_lose(b->s3, S3_OP_PUT, -EAGAIN);
	CU_ASSERT_EQUAL(make_file(b, a, dir, "f", "bytes", fh), 0);
	CU_ASSERT(has_soon(b, "d/f"));
}

static void
a_directory_that_was_renamed_is_not_seen_again(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh d, fh;

	client_init(&a, "a");
	fixture_open(&b);
	lose_in_dir(&b, &a, &d, &fh);
	CU_ASSERT_EQUAL(rename_to(&b, &a, &b.root, "d", &b.root, "e"), 0);
	for (int i = 0; i < 300 && fake_s3_has(b.s3, "d/f"); i++) {
		CU_ASSERT_EQUAL(find(&b, &a, &b.root, "d", &fh), -ENOENT);
		pause_ms(1);
	}
	CU_ASSERT(settled(&b));
	CU_ASSERT(gone_soon(&b, "d/f"));
	CU_ASSERT(object_is(&b, "e/f", "bytes"));
	CU_ASSERT(alone(&b));
	fixture_close(&b);
}

static void
its_name_is_used_again(void)
{
	for (int restart = 0; restart < 2; restart++) {
		struct fixture b = FIXTURE;
		struct client a;
		struct gate_fh d, fh;

		client_init(&a, "a");
		fixture_open(&b);
		lose_in_dir(&b, &a, &d, &fh);
		CU_ASSERT_EQUAL(rename_to(&b, &a, &b.root, "d", &b.root, "e"),
				0);
		CU_ASSERT_EQUAL(make_dir(&b, &a, &b.root, "d", &d), 0);
		CU_ASSERT_EQUAL(make_file(&b, &a, &d, "f", "new", &fh), 0);
		if (restart)
			fixture_restart(&b);
		CU_ASSERT(settled(&b));
		CU_ASSERT(object_is(&b, "e/f", "bytes"));
		CU_ASSERT(object_is(&b, "d/f", "new"));
		CU_ASSERT(alone(&b));
		fixture_close(&b);
	}
}

static void
a_file_in_it_is_removed(void)
{
	for (int restart = 0; restart < 2; restart++) {
		struct fixture b = FIXTURE;
		struct client a;
		struct gate_fh d, fh;
		struct gate_wcc wcc = { 0 };
		int r;

		client_init(&a, "a");
		fixture_open(&b);
		lose_in_dir(&b, &a, &d, &fh);
		CU_ASSERT_EQUAL(rename_to(&b, &a, &b.root, "d", &b.root, "e"),
				0);
		ASK(r, &a, gate_remove(b.x, &a.rq, &d, "f", &wcc));
		CU_ASSERT_EQUAL(r, 0);
		if (restart)
			fixture_restart(&b);
		CU_ASSERT(settled(&b));
		CU_ASSERT(gone_soon(&b, "d/f"));
		CU_ASSERT_FALSE(fake_s3_has(b.s3, "e/f"));
		CU_ASSERT_EQUAL(find(&b, &a, &b.root, "d", &fh), -ENOENT);
		fixture_close(&b);
	}
}

/* The key that the first rename left is spelled by no path and no move any
 * more. */
static void
two_renames_and_a_new_start_lose_no_track(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh d, x, fh;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(make_dir(&b, &a, &b.root, "d", &d), 0);
	CU_ASSERT_EQUAL(make_dir(&b, &a, &d, "x", &x), 0);
	CU_ASSERT(settled(&b));
	fake_s3_lose(b.s3, S3_OP_PUT, -EAGAIN);
	CU_ASSERT_EQUAL(make_file(&b, &a, &x, "f", "bytes", &fh), 0);
	CU_ASSERT(has_soon(&b, "d/x/f"));
	CU_ASSERT_EQUAL(rename_to(&b, &a, &b.root, "d", &b.root, "e"), 0);
	CU_ASSERT(has_soon(&b, "e/x/"));
	CU_ASSERT_EQUAL(rename_to(&b, &a, &d, "x", &d, "y"), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "B", 1, GATE_FILE_SYNC), 0);
	fixture_restart(&b);
	CU_ASSERT(settled(&b));
	CU_ASSERT(gone_soon(&b, "d/x/f"));
	CU_ASSERT(gone_soon(&b, "e/x/f"));
	CU_ASSERT(object_is(&b, "e/y/f", "Bytes"));
	CU_ASSERT_EQUAL(find(&b, &a, &b.root, "d", &fh), -ENOENT);
	CU_ASSERT(alone(&b));
	fixture_close(&b);
}

/* It may have replaced the other's object, or not: both are ours. */
static void
what_a_file_was_to_replace_goes_with_its_directory(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh d, v, fh;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(make_dir(&b, &a, &b.root, "d", &d), 0);
	CU_ASSERT_EQUAL(make_file(&b, &a, &d, "v", "old", &v), 0);
	CU_ASSERT(settled(&b));
	b.x->c.settle_ms = LATER_MS;
	CU_ASSERT_EQUAL(make_file(&b, &a, &d, "f", "new", &fh), 0);
	CU_ASSERT_EQUAL(rename_to(&b, &a, &d, "f", &d, "v"), 0);
	/* After the start the upload looks first, and cannot. */
	fake_s3_fail(b.s3, S3_OP_HEAD, 1, 1, -EAGAIN);
	fixture_restart(&b);
	CU_ASSERT_EQUAL(rename_to(&b, &a, &b.root, "d", &b.root, "e"), 0);
	CU_ASSERT(settled(&b));
	CU_ASSERT(gone_soon(&b, "d/v"));
	CU_ASSERT(object_is(&b, "e/v", "new"));
	CU_ASSERT(alone(&b));
	fixture_close(&b);
}

/* ---- a directory that was removed ---- */

static int
count_entry(void *arg, const struct gate_dirent *e)
{
	*(unsigned *)arg += strcmp(e->name, "d") == 0;
	return 0;
}

static void
a_key_that_has_not_left_yet_makes_no_directory(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh d, fh;
	struct gate_wcc wcc = { 0 };
	uint8_t verf[8] = { 0 };
	unsigned count = 0;
	bool eof;
	int r;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(make_dir(&b, &a, &b.root, "d", &d), 0);
	CU_ASSERT_EQUAL(make_file(&b, &a, &d, "f", "bytes", &fh), 0);
	CU_ASSERT(settled(&b));
	fake_s3_hold(b.s3, S3_OP_COPY);
	CU_ASSERT_EQUAL(rename_to(&b, &a, &d, "f", &b.root, "g"), 0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	ASK(r, &a, gate_rmdir(b.x, &a.rq, &b.root, "d", &wcc));
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT(gone_soon(&b, "d/"));
	pause_ms(100);		/* past attr_ttl: it is listed anew */
	ASK(r, &a, gate_readdir(b.x, &a.rq, &b.root, 0, verf, true, 100,
				count_entry, &count, &eof, &wcc));
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_EQUAL(find(&b, &a, &b.root, "d", &fh), -ENOENT);
	fake_s3_release(b.s3);
	CU_ASSERT(settled(&b));
	CU_ASSERT(gone_soon(&b, "d/f"));
	CU_ASSERT(object_is(&b, "g", "bytes"));
	fixture_close(&b);
}

/* ---- flush ---- */

static int
tell_left(void *arg, const struct gate_left_info *info)
{
	struct gate_left_info *left = arg;

	CU_ASSERT_STRING_EQUAL(info->path, "/b/f");
	left->state = info->state;
	CU_ASSERT(strlen(info->error) > 0);
	return 0;
}

static void
a_flush_waits_while_uploads_are_tried_again(void)
{
	struct gate_left_info left = { 0 };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	unsigned before;

	client_init(&a, "a");
	fixture_open(&b);
	before = fake_s3_calls(b.s3, S3_OP_PUT);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 2, -EAGAIN);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "bytes", &fh), 0);
	for (int i = 0; i < 10000 &&
			fake_s3_calls(b.s3, S3_OP_PUT) == before; i++)
		pause_ms(1);
	pause_ms(50);
	CU_ASSERT_EQUAL(gate_flush(b.gate, NULL, 1, NULL, NULL), -ETIMEDOUT);
	CU_ASSERT_EQUAL(gate_each_left(b.gate, NULL, tell_left, &left), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(left.state);
	CU_ASSERT_STRING_EQUAL(left.state, "RETRYING");
	CU_ASSERT_EQUAL(gate_flush(b.gate, NULL, 60000, NULL, NULL), 0);
	CU_ASSERT(object_is(&b, "f", "bytes"));
	left.state = NULL;
	CU_ASSERT_EQUAL(gate_each_left(b.gate, NULL, tell_left, &left), 0);
	CU_ASSERT_PTR_NULL(left.state);
	fixture_close(&b);
}

TEST_MAIN("gate_indoubt",
	  T(a_file_takes_the_name_of_a_special_file_or_symlink),
	  T(so_it_does_after_a_new_start),
	  T(a_special_file_is_changed_before_the_next_try),
	  T(who_takes_a_name_knows_after_a_new_start_what_lies_there),
	  T(a_link_takes_the_name_of_a_link),
	  T(no_conflict_is_seen_since_nobody_could_look),
	  T(a_directory_that_was_renamed_is_not_seen_again),
	  T(its_name_is_used_again), T(a_file_in_it_is_removed),
	  T(two_renames_and_a_new_start_lose_no_track),
	  T(what_a_file_was_to_replace_goes_with_its_directory),
	  T(a_key_that_has_not_left_yet_makes_no_directory),
	  T(a_flush_waits_while_uploads_are_tried_again))
