/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions that are made of the object and of what was written here: what they
 * cost in requests and in memory.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

/* Some object, and the file that it is. */
static char *
make(struct fixture *b, struct client *c, size_t len, struct gate_fh *fh)
{
	char *data = malloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + (i >> 12));
	fake_s3_set(b->s3, "f", data, len);
	CU_ASSERT_EQUAL(do_lookup(b, c, "f", fh), 0);
	return data;
}

static void
a_mixed_version_does_not_ask_for_each_piece(void)
{
	enum { LEN = 12 << 20, PIECE = 8 << 10 };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	unsigned before;
	char *data;

	client_init(&a, "a");
	fixture_open(&b);
	data = make(&b, &a, LEN, &fh);
	before = fake_s3_calls(b.s3, S3_OP_GET);
	for (size_t off = 0; off < LEN; off += 2 * PIECE) {
		memset(data + off, 'n', PIECE);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, off, data + off, PIECE,
					 GATE_UNSTABLE), 0);
	}
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", data, LEN));
	CU_ASSERT(fake_s3_calls(b.s3, S3_OP_GET) - before <= 2);
	free(data);
	fixture_close(&b);
}

static void
pieces_that_are_far_apart_are_not_read_through(void)
{
	enum { LEN = 4 << 20 };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *data;

	client_init(&a, "a");
	fixture_open(&b);
	data = make(&b, &a, LEN, &fh);
	memset(data + 4096, 'n', LEN - 8192);
	for (uint32_t off = 4096; off < LEN - 4096; off += MIB / 2) {
		uint32_t len = LEN - 4096 - off < MIB / 2 ? LEN - 4096 - off
							  : MIB / 2;

		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, off, data + off, len,
					 GATE_UNSTABLE), 0);
	}
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", data, LEN));
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_GET), 2);
	free(data);
	fixture_close(&b);
}

static void
parts_with_bytes_of_the_object_stay_within_the_memory(void)
{
	enum { LEN = 40 << 20 };
	struct s3_caps caps = { .put_if_none_match = true,
				.put_if_match = true,
				.complete_if_match = true,
				.copy_if_match = true };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *data;

	b.config.memory_size = 32 * MIB;
	b.config.transfer_threads = 8;
	client_init(&a, "a");
	fixture_open(&b);
	gate_export_caps(b.x, &caps);
	fake_s3_slow(b.s3, S3_OP_PART, 20);
	data = make(&b, &a, LEN, &fh);
	data[5] = 'n';
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 5, "n", 1, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", data, LEN));
	/* Of five parts of 8 MiB no more than half of it has room for. */
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_PART), 5);
	CU_ASSERT(fake_s3_peak(b.s3, S3_OP_PART) <= 2);
	CU_ASSERT_EQUAL(fixture_memory_used(&b), 0);
	free(data);
	fixture_close(&b);
}

TEST_MAIN("gate_merge", T(a_mixed_version_does_not_ask_for_each_piece),
	  T(pieces_that_are_far_apart_are_not_read_through),
	  T(parts_with_bytes_of_the_object_stay_within_the_memory))
