/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that has lost its object ends: somebody else removed what was to be
 * copied, or moved, before its turn came.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/keys/keys.h"
#include "tests/gate_fixture.h"
#include "tests/unit.h"

struct story {
	const char *what;
	const char *source;	/* goes, while its copy waits */
	const char *name;	/* that it was to get: gone, too; or NULL */
	int (*make)(struct fixture *b, struct client *c);	/* in the bucket */
	int (*move)(struct fixture *b, struct client *c);	/* nothing copied yet */
};

static struct client *
blocking(struct client *c)
{
	c->rq.first_ms = clock_ms();
	c->rq.token = NULL;
	c->rq.may_block = true;
	c->rq.again = GATE_AGAIN_NONE;
	return c;
}

static int
chmod_of(struct fixture *b, struct client *c, const char *name)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0600 };
	struct gate_wcc wcc = { 0 };
	struct gate_fh fh;
	int r = do_lookup(b, c, name, &fh);

	return r < 0 ? r
		     : gate_setattr(b->x, &blocking(c)->rq, &fh, &set, NULL,
				    &wcc);
}

static int
make_file(struct fixture *b, struct client *c)
{
	struct gate_fh fh;

	return do_file(b, c, "f", "text", &fh);
}

static int
make_dir(struct fixture *b, struct client *c)
{
	enum gate_stable reached;
	struct gate_wcc wcc = { 0 };
	struct gate_fh dir, fh;
	int r = do_mkdir(b, c, "d", &dir);

	if (r == 0)
		r = do_create_in(b, c, &dir, "f", &fh);
	return r < 0 ? r
		     : gate_write(b->x, &blocking(c)->rq, &fh, 0, "text", 4,
				  GATE_FILE_SYNC, &reached, &wcc);
}

static int
rename_file(struct fixture *b, struct client *c)
{
	return do_rename(b, c, "f", "g");
}

static int
rename_and_chmod(struct fixture *b, struct client *c)
{
	int r = do_rename(b, c, "f", "g");

	return r < 0 ? r : chmod_of(b, c, "g");
}

static int
chmod_file(struct fixture *b, struct client *c)
{
	return chmod_of(b, c, "f");
}

static int
rename_the_dir(struct fixture *b, struct client *c)
{
	return do_rename(b, c, "d", "e");
}

static int
link_file(struct fixture *b, struct client *c)
{
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;
	int r = do_lookup(b, c, "f", &fh);

	return r < 0 ? r
		     : gate_link(b->x, &blocking(c)->rq, &fh, &b->root, "g",
				 &attr, &wcc);
}

static const struct story stories[] = {
	{ "mv", "f", "g", make_file, rename_file },
	{ "mv and chmod", "f", "g", make_file, rename_and_chmod },
	{ "chmod", "f", "f", make_file, chmod_file },
	{ "mv of a directory, a file in it", "d/f", NULL, make_dir,
	  rename_the_dir },
	{ "mv of a directory, its marker", "d/", NULL, make_dir, rename_the_dir },
	{ "ln", "f", NULL, make_file, link_file },
};

static bool
ends(const struct story *s)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	bool ok;
	int found = -ENOENT;

	b.export.settle_ms = 1;
	b.export.hold_ms = 20;
	b.export.attr_ttl_ms = 1;
	client_init(&a, "a");
	fixture_open(&b);
	ok = s->make(&b, &a) == 0 && fixture_settled(&b);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 100000, -EAGAIN);
	ok = ok && s->move(&b, &a) == 0;
	fake_s3_unset(b.s3, s->source);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 0, 0);
	ok = ok && fixture_settled(&b);
	if (ok && s->name != NULL)
		found = do_lookup(&b, &a, s->name, &fh);
	if (!ok || found != -ENOENT)
		fprintf(stderr, "%s: %s, lookup says %d\n", s->what,
			ok ? "it ends" : "no end", found);
	fixture_close(&b);
	return ok && found == -ENOENT;
}

static void
what_was_to_be_copied_is_gone(void)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(*stories); i++)
		CU_ASSERT(ends(&stories[i]));
}

/* Written, renamed, and then somebody removes or replaces the object under the
 * old name: all bytes are ours, and that name is free again. */
static void
the_old_name_of_a_written_file_is_free_when_its_object_is_gone(void)
{
	for (int i = 0; i < 2; i++) {
		struct fixture b = FIXTURE;
		struct client a;
		struct gate_fh fh;

		b.export.settle_ms = 1;
		b.export.hold_ms = 20;
		b.export.attr_ttl_ms = 1;
		client_init(&a, "a");
		fixture_open(&b);
		CU_ASSERT_EQUAL(make_file(&b, &a), 0);
		CU_ASSERT(fixture_settled(&b));
		fake_s3_fail(b.s3, S3_OP_PUT, 1, 100000, -EAGAIN);
		CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "TEXT", 4,
					 GATE_FILE_SYNC), 0);
		CU_ASSERT_EQUAL(do_rename(&b, &a, "f", "g"), 0);
		if (i == 0)
			fake_s3_unset(b.s3, "f");
		else
			fake_s3_set(b.s3, "f", "theirs", 6);
		fake_s3_fail(b.s3, S3_OP_PUT, 1, 0, 0);
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(fake_s3_is(b.s3, "g", "TEXT", 4));
		CU_ASSERT_FALSE(hidden_exactly(b.x, "f"));
		if (i == 0) {
			CU_ASSERT_EQUAL(make_file(&b, &a), 0);
			CU_ASSERT(fixture_settled(&b));
			CU_ASSERT(fake_s3_is(b.s3, "f", "text", 4));
		} else {
			CU_ASSERT(fake_s3_is(b.s3, "f", "theirs", 6));
			CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
		}
		fixture_close(&b);
	}
}

TEST_MAIN("gate_gone", T(what_was_to_be_copied_is_gone),
	  T(the_old_name_of_a_written_file_is_free_when_its_object_is_gone))
