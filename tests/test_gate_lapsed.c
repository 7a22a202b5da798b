/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer whose file was flushed by its silence (silence.c): what the
 * database says of its handle, and what becomes of it when somebody else has
 * begun.  The moment between a transaction and what memory makes of it is met
 * at link time (--wrap).
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

/* A COMMIT that comes when the next transaction is on disk, on the thread that
 * made it. */
struct meets {
	struct fixture *b;
	struct client *c;
	const struct gate_fh *fh;
	int r;
};
static struct meets *meets;

int __real_change_commit(struct change *c);
int __wrap_change_commit(struct change *c);

int
__wrap_change_commit(struct change *c)
{
	int r = __real_change_commit(c);
	struct meets *m = __atomic_exchange_n(&meets, NULL, __ATOMIC_SEQ_CST);

	if (m != NULL) {
		struct gate_wcc wcc = { 0 };

		m->c->rq.may_block = false;
		m->r = gate_commit(m->b->x, &m->c->rq, m->fh, 0, 0, &wcc);
		__atomic_store_n(&m->b, NULL, __ATOMIC_SEQ_CST);
	}
	return r;
}

static uint64_t
idle_flushed(struct fixture *b)
{
	struct gate_status status;

	gate_status(b->gate, &status);
	return status.idle_flushed;
}

static uint64_t
broken(struct fixture *b)
{
	struct gate_status status;

	gate_status(b->gate, &status);
	return status.invariant_failures;
}

static int
count_row(void *arg, const struct meta_handle *h)
{
	unsigned *count = arg;

	*count += h->state != META_DONE && h->state != META_FENCED;
	return 0;
}

/* Of who holds the file, or held it. */
static unsigned
rows_of(struct fixture *b, const struct gate_fh *fh)
{
	unsigned count = 0;

	CU_ASSERT_EQUAL(meta_each_handle(b->meta, fh->ino, count_row, &count),
			0);
	return count;
}

static void
open_fixture(struct fixture *b, struct client *a, struct client *c)
{
	client_init(a, "a");
	client_init(c, "c");
	b->export.idle_flush_ms = 30;
	fixture_open(b);
}

/* Written, and flushed by silence alone. */
static void
lapse(struct fixture *b, struct client *a, const char *name, struct gate_fh *fh)
{
	uint64_t before = idle_flushed(b);

	CU_ASSERT_EQUAL(do_create(b, a, name, fh), 0);
	CU_ASSERT_EQUAL(do_write(b, a, fh, 0, "AAAA", 4, GATE_UNSTABLE), 0);
	AWAIT(idle_flushed(b) > before);
	CU_ASSERT(idle_flushed(b) > before);
}

static void
a_commit_amid_the_end_of_its_upload_leaves_no_row(void)
{
	struct fixture b = FIXTURE;
	struct client a, c, late;
	struct gate_fh fh;
	struct meets m = { &b, &late, &fh, 0 };

	open_fixture(&b, &a, &c);
	client_init(&late, "a");
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1000, -EAGAIN);
	lapse(&b, &a, "f", &fh);
	/* The next transaction is the one that ends its upload. */
	__atomic_store_n(&meets, &m, __ATOMIC_SEQ_CST);
	fake_s3_fail(b.s3, S3_OP_PUT, 0, 0, 0);
	AWAIT(__atomic_load_n(&m.b, __ATOMIC_SEQ_CST) == NULL);
	CU_ASSERT_PTR_NULL(__atomic_load_n(&m.b, __ATOMIC_SEQ_CST));
	CU_ASSERT(m.r == 0 || m.r == -EAGAIN);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT_EQUAL(rows_of(&b, &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "C", 1, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &c, &fh), 0);
	CU_ASSERT(rows_of(&b, &fh) <= 1);
	audit_pass(b.gate);
	audit_pass(b.gate);
	CU_ASSERT_EQUAL(broken(&b), 0);
	fixture_close(&b);
}

static void
a_look_leaves_the_handle_in_the_database(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	open_fixture(&b, &a, &c);
	b.export.hold_ms = 30;
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 100000, -EAGAIN);
	lapse(&b, &a, "f", &fh);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(rows_of(&b, &fh), 1);
	fixture_keep(&b);
	fixture_stop(&b);
	fixture_put_back(&b);
	fake_s3_revive(b.s3);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 100000, -EAGAIN);
	fixture_start(&b);
	/* It is let in when S3 has what was flushed, and not before. */
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "C", 1, GATE_UNSTABLE),
			-EAGAIN);
	fixture_close(&b);
}

static void
bytes_of_before_are_fenced_though_their_writer_looked_before(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	open_fixture(&b, &a, &c);
	lapse(&b, &a, "f", &fh);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "CC", 2, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &c, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "AAAA", 4, GATE_UNSTABLE),
			-EIO);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(do_read_is(&b, &c, &fh, "CCAA", 4));
	/* Since then it has. */
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "AA", 2, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(do_read_is(&b, &c, &fh, "AAAA", 4));
	fixture_close(&b);
}

static void
who_has_committed_is_not_fenced(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	open_fixture(&b, &a, &c);
	lapse(&b, &a, "f", &fh);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "CC", 2, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &c, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "A", 1, GATE_UNSTABLE), 0);
	fixture_close(&b);
}

TEST_MAIN("gate_lapsed",
	  T(a_commit_amid_the_end_of_its_upload_leaves_no_row),
	  T(a_look_leaves_the_handle_in_the_database),
	  T(bytes_of_before_are_fenced_though_their_writer_looked_before),
	  T(who_has_committed_is_not_fenced))
