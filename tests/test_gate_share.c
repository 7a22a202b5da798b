/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one bucket does not take leaves the other exports their part: of the
 * room on the disk, and of the threads that wait for deletions.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define CACHE (8 * MIB)
#define PIECE (128U << 10)
#define WAITERS 4

/* The calls of the fixture, on the other export. */
static struct fixture
other(const struct fixture *b)
{
	struct fixture y = FIXTURE;

	y.gate = b->gate;
	y.x = b->y;
	y.s3 = b->s3y;
	y.root = b->rooty;
	return y;
}

/* Files of a piece each, until one is refused.  How many were taken. */
static unsigned
fill(struct fixture *b, struct client *c, unsigned most)
{
	char *piece = calloc(1, PIECE), name[16];
	struct gate_fh fh;
	unsigned i;
	int r = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(piece);
	for (i = 0; i < most; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		r = do_create(b, c, name, &fh);
		if (r == 0)
			r = do_write(b, c, &fh, 0, piece, PIECE,
				     GATE_FILE_SYNC);
		if (r < 0)
			break;
	}
	CU_ASSERT(r == 0 || r == -EAGAIN || r == -ENOSPC);
	free(piece);
	return i;
}

static void
what_a_silent_bucket_does_not_take_leaves_room_for_another(void)
{
	struct client a, c;
	struct fixture b = FIXTURE, y;
	unsigned most = CACHE / PIECE, took;

	client_init(&a, "a");
	client_init(&c, "c");
	b.two = true;
	b.config.cache_size = CACHE;
	fixture_open(&b);
	y = other(&b);
	fake_s3_hold(b.s3, S3_OP_PUT);
	took = fill(&b, &a, 2 * most);
	/* Nearly all may be one's own ... */
	CU_ASSERT(took >= most * 3 / 4);
	CU_ASSERT(took < most);
	/* ... but not the part of the other. */
	fake_s3_hold(b.s3y, S3_OP_PUT);
	CU_ASSERT_EQUAL(fill(&y, &c, most / 10), most / 10);
	fake_s3_release(b.s3);
	fake_s3_release(b.s3y);
	CU_ASSERT(fixture_settled(&b));
	/* A part that nobody uses now is there again. */
	CU_ASSERT(fill(&y, &c, most / 2) == most / 2);
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

/* ---- REMOVEs that wait for the object to go ---- */

struct remover {
	pthread_t thread;
	struct fixture *b;
	struct client c;
	char name[16];
	int result;
};

static void *
remover_main(void *arg)
{
	struct remover *r = arg;

	r->result = do_remove(r->b, &r->c, r->name);
	return NULL;
}

static unsigned
waiting(struct fixture *b)
{
	unsigned count;

	mutex_lock(&b->gate->mutex);
	count = b->gate->delete_waiters;
	mutex_unlock(&b->gate->mutex);
	return count;
}

static void
removes_that_wait_for_one_bucket_leave_those_of_another_their_wait(void)
{
	struct remover list[WAITERS];
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;
	struct fixture b = FIXTURE, y;
	struct client c;
	struct gate_fh fh;

	client_init(&c, "c");
	b.two = true;
	/* As long as it takes. */
	b.export.hold_ms = FIXTURE_WAIT_MS;
	fixture_open(&b);
	y = other(&b);
	for (unsigned i = 0; i < WAITERS; i++) {
		list[i].b = &b;
		client_init(&list[i].c, "a");
		snprintf(list[i].name, sizeof(list[i].name), "f%u", i);
		fake_s3_set(b.s3, list[i].name, "x", 1);
	}
	for (unsigned i = 0; i < WAITERS; i++)
		CU_ASSERT_EQUAL(do_lookup(&b, &c, list[i].name, &fh), 0);
	fake_s3_set(y.s3, "g", "x", 1);
	CU_ASSERT_EQUAL(do_lookup(&y, &c, "g", &fh), 0);
	fake_s3_hold(b.s3, S3_OP_DELETE);
	fake_s3_slow(y.s3, S3_OP_DELETE, 100);
	for (unsigned i = 0; i < WAITERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&list[i].thread, NULL,
						     remover_main, &list[i]),
				      0);
	while (waiting(&b) < WAITERS && clock_ms() < until)
		usleep(1000);
	CU_ASSERT_EQUAL(waiting(&b), WAITERS);
	CU_ASSERT_EQUAL(do_remove(&y, &c, "g"), 0);
	CU_ASSERT_FALSE(fake_s3_has(y.s3, "g"));
	fake_s3_release(b.s3);
	for (unsigned i = 0; i < WAITERS; i++) {
		pthread_join(list[i].thread, NULL);
		CU_ASSERT_EQUAL(list[i].result, 0);
	}
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

/* ---- memory for parts that are larger than it ---- */

#define MEMORY (16 * MIB)
#define LARGE (24 * MIB)

static void
change_large(struct fixture *b, struct client *c)
{
	char *data = calloc(1, LARGE);
	struct gate_fh fh;

	CU_ASSERT_PTR_NOT_NULL_FATAL(data);
	fake_s3_set(b->s3, "f", data, LARGE);
	CU_ASSERT_EQUAL(do_lookup(b, c, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(b, c, &fh, LARGE / 2, "x", 1,
				 GATE_FILE_SYNC), 0);
	free(data);
}

static void
parts_beyond_the_memory_go_up_one_at_a_time_of_all_exports(void)
{
	struct client a, c;
	struct fixture b = FIXTURE, y;
	uint64_t used = 0, until;
	bool waits = false;

	client_init(&a, "a");
	client_init(&c, "c");
	b.two = true;
	b.config.memory_size = MEMORY;
	b.export.part_size = 32 * MIB;
	b.export.equal_parts = true;
	fixture_open(&b);
	y = other(&b);
	fake_s3_hold(b.s3, S3_OP_PART);
	fake_s3_hold(b.s3y, S3_OP_PART);
	change_large(&b, &a);
	change_large(&y, &c);
	until = clock_ms() + FIXTURE_WAIT_MS;
	while (!waits && used <= MEMORY + LARGE && clock_ms() < until) {
		mutex_lock(&b.gate->mutex);
		used = b.gate->memory_used;
		waits = b.x->uploads_waiting + b.y->uploads_waiting == 1 &&
			used >= LARGE;
		mutex_unlock(&b.gate->mutex);
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	CU_ASSERT(waits);
	CU_ASSERT(used <= MEMORY + LARGE);
	fake_s3_release(b.s3);
	fake_s3_release(b.s3y);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(fixture_memory_used(&b), 0);
	CU_ASSERT_EQUAL(b.gate->memory_beyond, 0);
	fixture_close(&b);
}

TEST_MAIN("gate_share",
	  T(what_a_silent_bucket_does_not_take_leaves_room_for_another),
	  T(removes_that_wait_for_one_bucket_leave_those_of_another_their_wait),
	  T(parts_beyond_the_memory_go_up_one_at_a_time_of_all_exports))
