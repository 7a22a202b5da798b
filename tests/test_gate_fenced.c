/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer whose time runs out while its COMMIT waits for the file's lock:
 * what the COMMIT is told, and what is held against the writer after it.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

struct late_commit {
	struct client c;
	struct gate_fh fh;
	struct fixture *b;
	int result;
};

static void *
commit_late(void *arg)
{
	struct late_commit *l = arg;

	l->result = do_commit(l->b, &l->c, &l->fh);
	return NULL;
}

/* What write_abandon does when a writer's bytes are to be discarded. */
static void
lapse(struct node *n)
{
	mutex_lock(&n->mutex);
	CU_ASSERT_EQUAL(fence_locked(n, n->h.who, META_FENCED, true), 0);
	data_drop_dirty_locked(n);
	mutex_unlock(&n->mutex);
	CU_ASSERT_EQUAL(write_commit(n, 0, UINT64_MAX, NULL, 0), 0);
}

/* What silence_flush does. */
static void
flush_silent(struct node *n)
{
	if (n->h.state == META_ACTIVE)
		CU_ASSERT_EQUAL(write_commit(n, 0, UINT64_MAX, NULL, 0), 0);
	mutex_lock(&n->mutex);
	CU_ASSERT_EQUAL(fence_locked(n, n->h.who, META_FLUSHED, false), 0);
	mutex_unlock(&n->mutex);
}

/* It passes the first look and waits; if it is later than that, it has to
 * come to the same. */
static void
commit_beside(struct late_commit *l, void (*beside)(struct node *n))
{
	struct node *n;
	pthread_t thread;

	CU_ASSERT_EQUAL(do_write(l->b, &l->c, &l->fh, 0, "new", 3,
				 GATE_UNSTABLE), 0);
	n = node_find(l->b->gate, l->fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	node_lock_wait(n);
	pthread_create(&thread, NULL, commit_late, l);
	nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	beside(n);
	node_unlock(n);
	pthread_join(thread, NULL);
	node_put(&n);
}

static void
a_commit_is_told_what_was_discarded_while_it_waited(void)
{
	struct fixture b = FIXTURE;
	struct late_commit l = { .b = &b };

	b.export.abandon = GATE_ABANDON_DISCARD;
	fixture_open(&b);
	client_init(&l.c, "a");
	CU_ASSERT_EQUAL(do_file(&b, &l.c, "f", "old", &l.fh), 0);
	commit_beside(&l, lapse);
	CU_ASSERT_EQUAL(l.result, -EIO);
	fixture_close(&b);
}

static void
a_commit_that_waited_for_the_flush_of_its_silence_ends_the_fence(void)
{
	struct fixture b = FIXTURE;
	struct late_commit l = { .b = &b };
	struct client other;

	fixture_open(&b);
	client_init(&l.c, "a");
	client_init(&other, "b");
	CU_ASSERT_EQUAL(do_file(&b, &l.c, "f", "old", &l.fh), 0);
	commit_beside(&l, flush_silent);
	CU_ASSERT_EQUAL(l.result, 0);
	CU_ASSERT_EQUAL(do_write(&b, &other, &l.fh, 0, "two", 3,
				 GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_write(&b, &l.c, &l.fh, 0, "one", 3,
				 GATE_FILE_SYNC), 0);
	fixture_close(&b);
}

static void
a_writer_for_whom_there_is_no_room_shuts_nobody_out(void)
{
	struct fixture b = FIXTURE;
	struct late_commit l = { .b = &b };
	struct client other;
	char who[META_CLIENT_MAX];
	struct node *n;

	fixture_open(&b);
	client_init(&l.c, "a");
	client_init(&other, "b");
	other.rq.may_block = true;
	CU_ASSERT_EQUAL(do_file(&b, &l.c, "f", "old", &l.fh), 0);
	n = node_find(b.gate, l.fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	flush_silent(n);
	CU_ASSERT(fixture_settled(&b));
	/* It is let in, and then there is no descriptor, say. */
	client_id_text(b.x, &other.rq, who);
	CU_ASSERT_EQUAL_FATAL(admit_writer(n, &other.rq, who), 0);
	mutex_lock(&n->mutex);
	admit_undo_locked(n);
	mutex_unlock(&n->mutex);
	node_unlock(n);
	CU_ASSERT_EQUAL(do_write(&b, &l.c, &l.fh, 0, "new", 3,
				 GATE_FILE_SYNC), 0);
	node_put(&n);
	fixture_close(&b);
}

TEST_MAIN("gate_fenced",
	  T(a_writer_for_whom_there_is_no_room_shuts_nobody_out),
	  T(a_commit_is_told_what_was_discarded_while_it_waited),
	  T(a_commit_that_waited_for_the_flush_of_its_silence_ends_the_fence))
