/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes between S3 and the data file: readers have them as soon as they are
 * in memory, and never wait for the disk.
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define LEN (40 * MIB)

static struct fixture b;
static struct client c;
static struct gate_fh fh;
static char *bytes;
static bool standing;

static void
begin(uint64_t memory)
{
	b = (struct fixture)FIXTURE;
	b.config.memory_size = memory;
	client_init(&c, "a");
	bytes = malloc(LEN);
	for (uint64_t i = 0; i < LEN; i++)
		bytes[i] = (char)(i * 2654435761U >> 11);
	fixture_open(&b);
	fake_s3_set(b.s3, "f", bytes, LEN);
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "f", &fh), 0);
	alarm(300);		/* a reader that waits for the disk hangs */
}

/* The disk takes nothing from now on: as if a thread were storing, for ever. */
static void
disk_stands(bool stands)
{
	struct node *n;

	if (stands == standing)
		return;	/* perhaps a real one is at it */
	standing = stands;
	n = node_find(b.gate, fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	mutex_lock(&n->mutex);
	n->d.storing = stands;
	mutex_unlock(&n->mutex);
	node_put(&n);
}

/* All that came is on disk or was given up. */
static void
stored(void)
{
	AWAIT(fixture_memory_used(&b) == 0);
	CU_ASSERT_EQUAL(fixture_memory_used(&b), 0);
}

/* What a client does: 1 MiB at a time. */
static bool
reads(uint64_t from, uint64_t to)
{
	char *buf = malloc(MIB);
	bool same = true;

	for (uint64_t at = from; same && at < to;) {
		struct gate_attr attr;
		uint32_t got = 0;
		bool eof;

		c.rq.may_block = true;
		same = gate_read(b.x, &c.rq, &fh, at, buf, MIB, &got, &eof,
				 &attr) == 0 &&
		       got > 0 && memcmp(buf, bytes + at, got) == 0;
		at += got;
	}
	free(buf);
	return same;
}

static void
end(void)
{
	/* The next fetch finds what lies about, and stores it. */
	disk_stands(false);
	CU_ASSERT_TRUE(reads(0, LEN));
	stored();
	alarm(0);
	fixture_close(&b);
	free(bytes);
}

static void
a_reader_does_not_wait_for_the_disk(void)
{
	begin(24 * MIB);
	disk_stands(true);
	CU_ASSERT_TRUE(reads(0, LEN));
	end();
}

static void
what_was_not_stored_is_fetched_again(void)
{
	unsigned gets;

	begin(24 * MIB);
	disk_stands(true);
	CU_ASSERT_TRUE(reads(0, LEN));
	gets = fake_s3_calls(b.s3, S3_OP_GET);
	disk_stands(false);
	CU_ASSERT_TRUE(reads(0, LEN));
	CU_ASSERT_TRUE(fake_s3_calls(b.s3, S3_OP_GET) > gets);
	end();
}

static void
what_was_stored_is_not_fetched_again(void)
{
	unsigned gets;

	begin(2 * LEN);	/* nothing has to be skipped */
	CU_ASSERT_TRUE(reads(0, LEN));
	stored();
	gets = fake_s3_calls(b.s3, S3_OP_GET);
	CU_ASSERT_TRUE(reads(0, LEN));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_GET), gets);
	end();
}

static void
a_version_that_was_replaced_is_not_served_from_memory(void)
{
	begin(24 * MIB);
	disk_stands(true);
	CU_ASSERT_TRUE(reads(0, 4 * MIB));
	for (uint64_t i = 0; i < LEN; i++)
		bytes[i] = (char)~bytes[i];
	fake_s3_set(b.s3, "f", bytes, LEN);
	usleep(100000);		/* the attributes' time is 50 ms */
	CU_ASSERT_EQUAL(do_lookup(&b, &c, "f", &fh), 0);
	CU_ASSERT_TRUE(reads(0, LEN));
	end();
}

static int
read_once(void)
{
	struct gate_attr attr;
	uint32_t got = 0;
	char buf[4096];
	bool eof;

	c.rq.may_block = true;
	c.rq.again = GATE_AGAIN_NONE;
	return gate_read(b.x, &c.rq, &fh, 0, buf, sizeof(buf), &got, &eof,
			 &attr);
}

static void
back_in_time(uint64_t ms)
{
	struct node *n = node_find(b.gate, fh.ino);

	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	mutex_lock(&n->mutex);
	n->d.doubt_ms -= ms;
	n->d.doubted_ms -= ms;
	mutex_unlock(&n->mutex);
	node_put(&n);
}

static void
a_doubt_of_an_hour_ago_is_none_of_now(void)
{
	begin(16 * MIB);
	b.x->c.refuse_grace_ms = 600000;
	fake_s3_fail(b.s3, S3_OP_GET, 1, 1000, -EINVAL);
	CU_ASSERT_EQUAL(read_once(), -EAGAIN);
	/* In a row: hopeless after a while. */
	back_in_time(29000);
	CU_ASSERT_EQUAL(read_once(), -EAGAIN);
	back_in_time(3000);
	CU_ASSERT_EQUAL(read_once(), -EIO);
	/* Nobody reads for an hour. */
	back_in_time(3600000);
	CU_ASSERT_EQUAL(read_once(), -EAGAIN);
	fake_s3_fail(b.s3, S3_OP_GET, 1, 0, 0);
	CU_ASSERT_TRUE(reads(0, MIB));
	end();
}

TEST_MAIN("gate_fetch", T(a_doubt_of_an_hour_ago_is_none_of_now), T(a_reader_does_not_wait_for_the_disk),
	  T(what_was_not_stored_is_fetched_again),
	  T(what_was_stored_is_not_fetched_again),
	  T(a_version_that_was_replaced_is_not_served_from_memory))
