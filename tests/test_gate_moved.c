/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renamed directories whose listing does not tell what there is: files that it
 * lacks, and keys that are not there.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static int
look_in(struct fixture *b, struct client *c, const struct gate_fh *dir,
	const char *name, struct gate_fh *fh)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };

	c->rq.may_block = true;
	return gate_lookup(b->x, &c->rq, dir, name, fh, &attr, &wcc);
}

static bool
is_relocating(struct node *n)
{
	bool relocating;

	mutex_lock(&n->mutex);
	relocating = n->i.relocating;
	mutex_unlock(&n->mutex);
	return relocating;
}

/* The file leaves the directory while the lister is on its way to it. */
/* As another thread would, which has no directory to lock afterwards. */
static void
set_locked(struct node *n, bool locked)
{
	mutex_lock(&n->mutex);
	n->locked = locked;
	mutex_unlock(&n->mutex);
	pthread_cond_signal(&n->unlocked);
}

static void
what_has_left_a_key_since_does_not_delete_what_is_there(void)
{
	static const char *const keys[] = { "d/a", "d/f0", "d/f1" };
	struct gate_wcc one = { 0 }, two = { 0 };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh dir, fh[3];
	struct node *n[3];

	client_init(&a, "a");
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	for (int i = 0; i < 3; i++)
		fake_s3_set(b.s3, keys[i], "text", 4);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "d", &dir), 0);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(look_in(&b, &a, &dir, keys[i] + 2, &fh[i]), 0);
		n[i] = node_find(b.gate, fh[i].ino);
		CU_ASSERT_PTR_NOT_NULL_FATAL(n[i]);
	}
	fake_s3_unset(b.s3, "d/f0");
	fake_s3_unset(b.s3, "d/f1");
	set_locked(n[1], true);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "d", "e"), 0);
	AWAIT(is_relocating(n[0]));
	/* It reads what is not marked, and waits for the first of those. */
	nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
	fake_s3_set(b.s3, "d/f1", "text", 4);
	CU_ASSERT_EQUAL(gate_rename(b.x, &a.rq, &dir, "f1", &b.root, "g",
				    &one, &two), 0);
	AWAIT(fake_s3_has(b.s3, "g") && !fake_s3_has(b.s3, "d/f1"));
	CU_ASSERT(fake_s3_is(b.s3, "g", "text", 4));
	fake_s3_now(b.s3);
	fake_s3_set(b.s3, "d/f1", "text", 4);
	set_locked(n[1], false);
	for (int i = 0; i < 3; i++)
		node_put(&n[i]);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "d/f1", "text", 4));
	CU_ASSERT(fake_s3_is(b.s3, "e/a", "text", 4));
	fixture_close(&b);
}

static bool
is_listed(struct gate *g, const struct dirmove *m)
{
	bool is;

	mutex_lock(&g->dirmoves.mutex);
	is = m->row.listed;
	mutex_unlock(&g->dirmoves.mutex);
	return is;
}

/* "d" with a file becomes "e", and listings tell of `ghosts` more keys that
 * are not there any more: the move goes on looking. */
static struct dirmove *
dirmove_that_lags(struct fixture *b, struct client *c, unsigned ghosts)
{
	struct gate_fh dir;
	struct dirmove *m;
	char key[32];

	fake_s3_set(b->s3, "d/a", "text", 4);
	CU_ASSERT_EQUAL(do_lookup(b, c, "d", &dir), 0);
	fake_s3_fail(b->s3, S3_OP_COPY, 1, 1000000, -EAGAIN);
	CU_ASSERT_EQUAL(do_rename(b, c, "d", "e"), 0);
	m = LIST_FIRST(&b->gate->dirmoves.list);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	AWAIT(is_listed(b->gate, m));
	for (unsigned i = 0; i < ghosts; i++) {
		snprintf(key, sizeof(key), "d/b%03u", i);
		fake_s3_ghost(b->s3, key);
	}
	fake_s3_fail(b->s3, S3_OP_COPY, 1, 0, 0);
	AWAIT(!dirmoves_owed(b->gate));
	CU_ASSERT_PTR_EQUAL(LIST_FIRST(&b->gate->dirmoves.list), m);
	return m;
}

static void
what_is_found_late_is_owed(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	client_init(&a, "a");
	fixture_open(&b);
	(void)dirmove_that_lags(&b, &a, 1);
	CU_ASSERT(!dirmoves_owed(b.gate));
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 1000000, -EAGAIN);
	fake_s3_set(b.s3, "d/late", "text", 4);
	AWAIT(dirmoves_owed(b.gate));
	CU_ASSERT(dirmoves_owed(b.gate));
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 0, 0);
	AWAIT(fake_s3_has(b.s3, "e/late"));
	CU_ASSERT(fake_s3_is(b.s3, "e/late", "text", 4));
	fixture_close(&b);
}

static void
it_is_found_behind_many_that_are_not_there(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	client_init(&a, "a");
	fixture_open(&b);
	(void)dirmove_that_lags(&b, &a, 150);
	fake_s3_set(b.s3, "d/late", "text", 4);
	AWAIT(fake_s3_has(b.s3, "e/late"));
	CU_ASSERT(fake_s3_is(b.s3, "e/late", "text", 4));
	fixture_close(&b);
}

/* Whether the key is hidden otherwise is then SQLite's to tell; test builds
 * abort if it is asked under the file's mutex. */
static void
a_linked_file_leaves_its_name_while_a_directory_is_on_its_way(void)
{
	struct fixture b = FIXTURE;
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;
	struct client a;

	client_init(&a, "a");
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	fake_s3_set(b.s3, "x", "text", 4);
	fake_s3_set(b.s3, "f", "old", 3);
	fake_s3_set(b.s3, "d/k", "k", 1);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "d", &fh), 0);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 1000000, -EAGAIN);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "x", "f"), 0);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_link(b.x, &a.rq, &fh, &b.root, "g", &attr, &wcc),
			0);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "d", "e"), 0);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	fake_s3_fail(b.s3, S3_OP_COPY, 1, 0, 0);
	CU_ASSERT(fixture_settled(&b));
	AWAIT(fake_s3_has(b.s3, "e/k") && !fake_s3_has(b.s3, "d/k"));
	CU_ASSERT(fake_s3_is(b.s3, "g", "text", 4));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "f") || fake_s3_has(b.s3, "x"));
	fixture_close(&b);
}

TEST_MAIN("gate_moved",
	  T(what_has_left_a_key_since_does_not_delete_what_is_there),
	  T(what_is_found_late_is_owed),
	  T(it_is_found_behind_many_that_are_not_there),
	  T(a_linked_file_leaves_its_name_while_a_directory_is_on_its_way))
