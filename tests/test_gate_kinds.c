/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are not regular: they are objects like any other, and a gateway
 * that has nothing but the bucket shows the same.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define MODE(m) { .set_mode = true, .mode = (m) }

struct special {
	const char *name;
	enum gate_kind kind;
	uint32_t major, minor;
};

static const struct special specials[] = {
	{ "fifo", GATE_FIFO, 0, 0 },
	{ "sock", GATE_SOCK, 0, 0 },
	{ "chr", GATE_CHR, 1, 3 },
	{ "blk", GATE_BLK, 300, 70000 },
};
#define SPECIALS (sizeof(specials) / sizeof(*specials))

static int
make_special(struct fixture *b, struct client *c, const struct special *s,
	     struct gate_fh *fh, struct gate_attr *attr)
{
	struct gate_setattr set = MODE(0640);
	struct gate_wcc wcc = { 0 };

	return gate_mknod(b->x, &c->rq, &b->root, s->name, s->kind, s->major,
			  s->minor, &set, fh, attr, &wcc);
}

static bool
is_special(const struct special *s, const struct gate_attr *a)
{
	return a->kind == s->kind && a->rdev_major == s->major &&
	       a->rdev_minor == s->minor && a->mode == 0640 &&
	       a->nlink == 1 && a->size == 0;
}

static void
special_files_stay_with_the_bucket(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_attr attr[SPECIALS], after;
	struct gate_wcc wcc = { 0 };

	client_init(&a, "a");
	fixture_open(&b);
	a.rq.may_block = true;
	for (size_t i = 0; i < SPECIALS; i++) {
		CU_ASSERT_EQUAL(make_special(&b, &a, &specials[i], &fh,
					     &attr[i]), 0);
		CU_ASSERT(is_special(&specials[i], &attr[i]));
		CU_ASSERT_EQUAL(make_special(&b, &a, &specials[i], &fh,
					     &after), -EEXIST);
	}
	CU_ASSERT(fixture_settled(&b));
	fixture_lose_state(&b);
	for (size_t i = 0; i < SPECIALS; i++) {
		CU_ASSERT(fake_s3_is(b.s3, specials[i].name, "", 0));
		a.rq.may_block = true;
		CU_ASSERT_EQUAL(gate_lookup(b.x, &a.rq, &b.root,
					    specials[i].name, &fh, &after,
					    &wcc), 0);
		CU_ASSERT(is_special(&specials[i], &after));
		CU_ASSERT_EQUAL(after.mtime_ns, attr[i].mtime_ns);
	}
	CU_ASSERT_EQUAL(do_remove(&b, &a, "fifo"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(!fake_s3_has(b.s3, "fifo"));
	fixture_close(&b);
}

static void
devices_are_for_root(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_attr attr;
	struct gate_setattr wide = MODE(0777);
	struct gate_wcc wcc = { 0 };

	client_init(&a, "a");
	fixture_open(&b);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_setattr(b.x, &a.rq, &b.root, &wide, NULL, NULL),
			0);
	a.rq.cred.uid = a.rq.cred.gid = 1000;
	for (size_t i = 0; i < SPECIALS; i++)
		CU_ASSERT_EQUAL(make_special(&b, &a, &specials[i], &fh,
					     &attr),
				i < 2 ? 0 : -EPERM);
	CU_ASSERT_EQUAL(gate_mknod(b.x, &a.rq, &b.root, "x", GATE_REG, 0, 0,
				   &wide, &fh, &attr, &wcc), -EPROTOTYPE);
	fixture_close(&b);
}

static void
bytes_of_special_files_are_the_clients_affair(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_attr attr;
	struct gate_setattr size = { .set_size = true, .size = 3 };
	enum gate_stable reached;
	uint32_t got;
	char buf[4];
	bool eof;

	client_init(&a, "a");
	fixture_open(&b);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(make_special(&b, &a, &specials[0], &fh, &attr), 0);
	CU_ASSERT_EQUAL(gate_write(b.x, &a.rq, &fh, 0, "x", 1, GATE_UNSTABLE,
				   &reached, NULL), -EINVAL);
	CU_ASSERT_EQUAL(gate_read(b.x, &a.rq, &fh, 0, buf, 4, &got, &eof,
				  &attr), -EINVAL);
	CU_ASSERT_EQUAL(gate_setattr(b.x, &a.rq, &fh, &size, NULL, NULL),
			-EINVAL);
	fixture_close(&b);
}

/* ---- set-id bits ---- */

static void
writing_to_a_program_takes_its_rights(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_attr attr;
	struct gate_setattr set = MODE(06777);

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	for (int how = 0; how < 3; how++) {
		a.rq.may_block = true;
		a.rq.cred.uid = a.rq.cred.gid = 0;
		CU_ASSERT_EQUAL(gate_setattr(b.x, &a.rq, &fh, &set, NULL,
					     NULL), 0);
		a.rq.cred.uid = a.rq.cred.gid = 1000;
		if (how < 2) {
			CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "x", 1,
						 how ? GATE_UNSTABLE
						     : GATE_FILE_SYNC), 0);
		} else {
			CU_ASSERT_EQUAL(do_size(&b, &a, &fh, 2), 0);
		}
		CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
		a.rq.may_block = true;
		CU_ASSERT_EQUAL(gate_getattr(b.x, &a.rq, &fh, &attr), 0);
		CU_ASSERT_EQUAL(attr.mode, 0777);
	}
	fixture_restart(&b);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_getattr(b.x, &a.rq, &fh, &attr), 0);
	CU_ASSERT_EQUAL(attr.mode, 0777);
	fixture_close(&b);
}

static void
only_the_owner_changes_the_owner(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_setattr set = { .set_uid = true, .uid = 0 };

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	a.rq.may_block = true;
	a.rq.cred.uid = 1000;
	/* Not even to what it is. */
	CU_ASSERT_EQUAL(gate_setattr(b.x, &a.rq, &fh, &set, NULL, NULL),
			-EPERM);
	set = (struct gate_setattr){ .set_gid = true, .gid = 0 };
	CU_ASSERT_EQUAL(gate_setattr(b.x, &a.rq, &fh, &set, NULL, NULL),
			-EPERM);
	fixture_close(&b);
}

TEST_MAIN("gate_kinds",
	  T(writing_to_a_program_takes_its_rights),
	  T(only_the_owner_changes_the_owner),
	  T(special_files_stay_with_the_bucket), T(devices_are_for_root),
	  T(bytes_of_special_files_are_the_clients_affair))
