/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out, at each allocation of a request in turn: it is
 * carried out and said so, or it is refused and nothing of it happened.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/host_fault.h"
#include "tests/unit.h"

#define MOST 400		/* allocations of one request */

/* So many allocations from the kth on fail. */
static void
arm(unsigned k, unsigned times)
{
	char rule[80];

	snprintf(rule, sizeof(rule), "alloc nth=%u times=%u", k, times);
	CU_ASSERT_EQUAL_FATAL(host_fault_set(rule), 0);
}

static bool
fired(void)
{
	bool did = host_fault_fired(0) > 0;

	CU_ASSERT_EQUAL_FATAL(host_fault_set(""), 0);
	return did;
}

static bool
there(struct fixture *b, struct client *c, const char *name)
{
	struct gate_fh fh;
	int r = do_lookup(b, c, name, &fh);

	CU_ASSERT(r == 0 || r == -ENOENT);
	return r == 0;
}

static void
rename_each_way(unsigned times)
{
	struct fixture b = FIXTURE;
	const char *from = "f", *to = "g", *was;
	struct client a;
	struct gate_fh fh;
	bool more = true;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "bytes", &fh), 0);
	for (unsigned k = 1; more && k < MOST; k++) {
		int r;

		arm(k, times);
		r = do_rename(&b, &a, from, to);
		more = fired();
		CU_ASSERT(r == 0 || r == -ENOMEM || r == -EAGAIN);
		CU_ASSERT_EQUAL(there(&b, &a, from), r != 0);
		CU_ASSERT_EQUAL(there(&b, &a, to), r == 0);
		if (r == 0)
			was = from, from = to, to = was;
	}
	CU_ASSERT_FALSE(more);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, from, "bytes", 5));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, to));
	fixture_close(&b);
}

static void
a_rename_has_happened_or_not_wherever_memory_fails(void)
{
	rename_each_way(1);
	rename_each_way(4);
}

static void
a_file_is_made_and_removed_or_not_wherever_memory_fails(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	bool more = true;

	client_init(&a, "a");
	fixture_open(&b);
	for (unsigned k = 1; more && k < MOST; k++) {
		int r;

		arm(k, 1);
		r = do_create(&b, &a, "f", &fh);
		more = fired();
		CU_ASSERT_EQUAL(there(&b, &a, "f"), r == 0);
		if (r < 0)
			CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
		arm(k, 1);
		r = do_remove(&b, &a, "f");
		more |= fired();
		CU_ASSERT_EQUAL(there(&b, &a, "f"), r != 0);
		if (r < 0)
			CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	}
	CU_ASSERT_FALSE(more);
	fixture_close(&b);
}

static void
what_is_committed_reaches_the_bucket_wherever_memory_fails(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char text[8];
	bool more = true;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	for (unsigned k = 1; more && k < MOST; k++) {
		int r;

		snprintf(text, sizeof(text), "%07u", k);
		arm(k, 1);
		r = do_write(&b, &a, &fh, 0, text, 7, GATE_UNSTABLE);
		if (r == 0)
			r = do_commit(&b, &a, &fh);
		more = fired();
		if (r < 0) {
			r = do_write(&b, &a, &fh, 0, text, 7, GATE_UNSTABLE);
			CU_ASSERT_EQUAL(r, 0);
			CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
		}
		CU_ASSERT(do_read_is(&b, &a, &fh, text, 7));
	}
	CU_ASSERT_FALSE(more);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", text, 7));
	fixture_close(&b);
}

/* Somebody reads, so that the upload need not settle first. */
static bool
stored(struct fixture *b, struct client *c, const struct gate_fh *fh,
       const char *text)
{
	bool is;

	AWAIT((is = do_read_is(b, c, fh, text, 7) &&
		    fake_s3_is(b->s3, "f", text, 7)));
	return is;
}

/* Its snapshot is known to the file: the next WRITE looks at all of them. */
static void
an_upload_that_memory_fails_in_ends_as_if_it_had_not_begun(void)
{
	struct fixture b = FIXTURE;
	struct client a, reader;
	struct gate_fh fh;
	char text[8];
	bool ok = true;

	client_init(&a, "a");
	client_init(&reader, "b");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	for (unsigned k = 1; ok && k < 12; k++) {
		snprintf(text, sizeof(text), "%07u", k);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, text, 7,
					 GATE_FILE_SYNC), 0);
		CU_ASSERT_EQUAL_FATAL(
			host_fault_set("alloc op=strdup times=1"), 0);
		ok = stored(&b, &reader, &fh, text);
		CU_ASSERT(ok);
		(void)fired();
	}
	fixture_close(&b);
}

static void
a_writer_is_told_what_was_discarded_wherever_memory_fails(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct node *n;
	bool more = true;

	b.export.abandon = GATE_ABANDON_DISCARD;
	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "old", &fh), 0);
	n = node_find(b.gate, fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	for (unsigned k = 1; more && k < MOST; k++) {
		int r;

		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "new", 3,
					 GATE_UNSTABLE), 0);
		mutex_lock(&n->mutex);
		n->lease_ms = 0;
		mutex_unlock(&n->mutex);
		arm(k, 1);
		(void)write_abandon(n);
		more = fired();
		r = do_commit(&b, &a, &fh);
		CU_ASSERT(r == 0 || r == -EIO);
		CU_ASSERT(do_read_is(&b, &a, &fh, r == 0 ? "new" : "old", 3));
		CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "old", 3,
					 GATE_FILE_SYNC), 0);
	}
	CU_ASSERT_FALSE(more);
	node_put(&n);
	fixture_close(&b);
}

static int
refuse(struct node *n)
{
	int r;

	node_lock_wait(n);
	r = quarantine_put(n, "refused");
	node_unlock(n);
	return r;
}

static void
a_writer_is_told_what_was_refused_wherever_memory_fails(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct node *n;
	bool more = true;

	b.export.settle_ms = 60000;
	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "old", 3);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	n = node_find(b.gate, fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	for (unsigned k = 1; more && k < MOST; k++) {
		int r;

		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "new", 3,
					 GATE_FILE_SYNC), 0);
		arm(k, 1);
		r = refuse(n);
		more = fired();
		CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), r == 0 ? -EIO : 0);
		CU_ASSERT(do_read_is(&b, &a, &fh, r == 0 ? "old" : "new", 3));
	}
	CU_ASSERT_FALSE(more);
	node_put(&n);
	fixture_close(&b);
}

/* What is not known to have gone out would be taken for somebody else's. */
static void
an_upload_goes_out_on_record_or_not_at_all(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct sending s = { 0 };
	bool more = true;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "bytes", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	s.node = node_find(b.gate, fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.node);
	strcpy(s.snap.key, "f");
	CU_ASSERT_EQUAL(key_take(b.x, "f", fh.ino), 0);
	for (unsigned k = 1; more && k < MOST; k++) {
		int r;

		arm(k, 1);
		r = upload_point_of_no_return(&s, "", "");
		more = fired();
		mutex_lock(&s.node->mutex);
		CU_ASSERT(r == -ENOMEM || indoubt_at_locked(s.node, "f"));
		indoubt_forget_locked(s.node, NULL);
		mutex_unlock(&s.node->mutex);
	}
	CU_ASSERT_FALSE(more);
	key_release(b.x, "f", fh.ino);
	node_put(&s.node);
	fixture_close(&b);
}

struct fires {
	sem_t done;
	unsigned count, want;
};

static void
fire(void *arg, uint64_t ino)
{
	struct fires *f = arg;

	(void)ino;
	if (++f->count == f->want)
		sem_post(&f->done);
}

static void
every_timer_comes_though_there_was_no_memory_for_it(void)
{
	struct fires f = { .want = 1100 };
	struct run_clock clock;
	struct timers t = { 0 };
	struct timespec until;

	sem_init(&f.done, 0, 0);
	run_clock_init(&clock);
	CU_ASSERT_EQUAL_FATAL(timers_start(&t, &clock, fire, &f), 0);
	CU_ASSERT_EQUAL_FATAL(host_fault_set("alloc op=realloc times=4"), 0);
	for (unsigned i = 0; i < f.want; i++)
		timers_add(&t, clock_ms() + 50, i + 1);
	CU_ASSERT(fired());
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FIXTURE_WAIT_MS / 1000;
	CU_ASSERT_EQUAL(sem_timedwait(&f.done, &until), 0);
	timers_stop(&t);
	timers_free(&t);
	run_clock_fini(&clock);
	sem_destroy(&f.done);
}

TEST_MAIN("gate_memory",
	  T(an_upload_goes_out_on_record_or_not_at_all),
	  T(every_timer_comes_though_there_was_no_memory_for_it),
	  T(a_writer_is_told_what_was_refused_wherever_memory_fails),
	  T(a_writer_is_told_what_was_discarded_wherever_memory_fails),
	  T(an_upload_that_memory_fails_in_ends_as_if_it_had_not_begun),
	  T(a_rename_has_happened_or_not_wherever_memory_fails),
	  T(a_file_is_made_and_removed_or_not_wherever_memory_fails),
	  T(what_is_committed_reaches_the_bucket_wherever_memory_fails))
