/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody waits for who holds a mutex: memory for a timer, and the flush
 * of another file.  And maps that there was no memory for.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/host_fault.h"
#include "tests/unit.h"

#define LEN (128U << 10)
#define MOST 400		/* allocations of one request */

/* ---- timers ---- */

struct fires {
	sem_t lost;
};

static void
fire(void *arg, uint64_t ino)
{
	struct fires *f = arg;

	if (ino == TIMERS_LOST)
		sem_post(&f->lost);
}

static void
who_sets_a_timer_waits_for_no_memory(void)
{
	struct fires f;
	struct run_clock clock;
	struct timers t = { 0 };
	struct timespec until;

	sem_init(&f.lost, 0, 0);
	run_clock_init(&clock);
	CU_ASSERT_EQUAL_FATAL(timers_start(&t, &clock, fire, &f), 0);
	CU_ASSERT_EQUAL_FATAL(host_fault_set("alloc op=realloc"), 0);
	/* Who waits for it waits for ever. */
	alarm(10 * FIXTURE_WAIT_MS / 1000);
	for (unsigned i = 0; i < 100; i++)
		timers_add(&t, clock_ms() + 50, i + 1);
	alarm(0);
	CU_ASSERT(host_fault_fired(0) > 0);
	CU_ASSERT_EQUAL_FATAL(host_fault_set(""), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FIXTURE_WAIT_MS / 1000;
	CU_ASSERT_EQUAL(sem_timedwait(&f.lost, &until), 0);
	timers_stop(&t);
	timers_free(&t);
	run_clock_fini(&clock);
	sem_destroy(&f.lost);
}

static void
a_file_whose_timer_was_lost_is_uploaded_all_the_same(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct timers *t;

	b.export.settle_ms = 300;
	client_init(&a, "a");
	fixture_open(&b);
	t = &b.gate->timers;
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "bytes", &fh), 0);
	mutex_lock(&t->mutex);
	t->count = t->few_count = 0;
	t->lost_ms = clock_ms();
	pthread_cond_signal(&t->sooner);
	mutex_unlock(&t->mutex);
	AWAIT(fake_s3_has(b.s3, "f"));
	CU_ASSERT(fake_s3_has(b.s3, "f"));
	fixture_close(&b);
}

/* ---- descriptors ---- */

static void
a_slow_flush_of_one_file_holds_no_other(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh[3];
	char *p = calloc(1, LEN), name[8];

	client_init(&a, "a");
	b.export.settle_ms = 60000;
	b.config.max_files = 1;
	fixture_open(&b);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CU_ASSERT_EQUAL(do_create(&b, &a, name, &fh[i]), 0);
	}
	CU_ASSERT_EQUAL_FATAL(
		host_fault_set("file op=fsync match=*/data/* hold"), 0);
	/* Who waits for a flush waits for ever. */
	alarm(10 * FIXTURE_WAIT_MS / 1000);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh[i], 0, p, LEN,
					 GATE_UNSTABLE), 0);
	AWAIT(host_fault_seen(0) > 0);
	CU_ASSERT(host_fault_seen(0) > 0);
	alarm(0);
	CU_ASSERT_EQUAL_FATAL(host_fault_set(""), 0);
	/* They are closed, by and by. */
	AWAIT(files_open(&b.gate->files) <= 1);
	CU_ASSERT(files_open(&b.gate->files) <= 1);
	for (int i = 0; i < 3; i++)
		CU_ASSERT(do_read_is(&b, &a, &fh[i], p, LEN));
	free(p);
	fixture_close(&b);
}

/* ---- maps ---- */

/* Does the copy of the object say anything of bytes that are newer? */
static bool
overlap(struct fixture *b, const struct gate_fh *fh)
{
	struct node *n = node_find(b->gate, fh->ino);
	bool both = false;
	uint64_t at, run;

	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	mutex_lock(&n->mutex);
	for (size_t i = 0; i < n->d.staged.count; i++)
		both |= extents_at(&n->d.clean, n->d.staged.list[i].off, &at,
				   &run);
	mutex_unlock(&n->mutex);
	node_put(&n);
	return both;
}

static void
pin(struct fixture *b, const struct gate_fh *fh, int more)
{
	struct node *n = node_find(b->gate, fh->ino);

	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	mutex_lock(&n->mutex);
	n->d.pins += (unsigned)more;
	/* The map is full. */
	n->d.clean.room = n->d.clean.count;
	mutex_unlock(&n->mutex);
	node_put(&n);
}

static void
a_copy_ends_where_new_bytes_are_wherever_memory_fails(void)
{
	bool more = true;

	for (unsigned k = 1; more && k < MOST; k++) {
		struct fixture b = FIXTURE;
		struct client a;
		struct gate_fh fh;
		char *p = calloc(1, LEN), rule[80];

		client_init(&a, "a");
		b.export.settle_ms = 60000;
		fixture_open(&b);
		fake_s3_set(b.s3, "f", p, LEN);
		CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
		CU_ASSERT(do_read_is(&b, &a, &fh, p, LEN));
		snprintf(rule, sizeof(rule),
			 "alloc op=realloc,calloc nth=%u times=1", k);
		/* Somebody looks at the copy: the bytes go elsewhere. */
		pin(&b, &fh, 1);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, LEN / 2, "new", 3,
					 GATE_UNSTABLE), 0);
		pin(&b, &fh, -1);
		CU_ASSERT_EQUAL_FATAL(host_fault_set(rule), 0);
		(void)!do_commit(&b, &a, &fh);
		more = host_fault_fired(0) > 0;
		CU_ASSERT_EQUAL_FATAL(host_fault_set(""), 0);
		CU_ASSERT_FALSE(overlap(&b, &fh));
		free(p);
		fixture_close(&b);
	}
	CU_ASSERT_FALSE(more);
}

TEST_MAIN("gate_waits", T(who_sets_a_timer_waits_for_no_memory),
	  T(a_file_whose_timer_was_lost_is_uploaded_all_the_same),
	  T(a_slow_flush_of_one_file_holds_no_other),
	  T(a_copy_ends_where_new_bytes_are_wherever_memory_fails))
