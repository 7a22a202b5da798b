/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of multipart uploads: what S3 asks of them, for random files, and how
 * little is sent for the changes that people make.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "nfsd/gate/upload/upload.h"
#include "s3/s3.h"
#include "tests/unit.h"

#define KIB 1024ULL
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

struct plan {
	struct plan_part *list;
	unsigned count, copies;
	uint64_t sent;
	bool good;
};

static bool
is_base(const struct plan_file *f, const struct plan_part *p)
{
	uint64_t at, run;

	return p->off + p->len <= f->base_limit &&
	       !extents_at(f->staged, p->off, &at, &run) && run >= p->len;
}

/* The rules of plan_parts(); and only what is base is copied. */
static struct plan
plan(const struct plan_file *f)
{
	struct plan p = { .good = true };
	uint64_t off = 0;
	int r = plan_parts(f, &p.list, &p.count);

	CU_ASSERT_EQUAL_FATAL(r, 0);
	for (unsigned i = 0; i < p.count; i++) {
		const struct plan_part *part = &p.list[i];

		p.good = p.good && part->off == off && part->len > 0 &&
			 (part->len >= S3_PART_MIN || i + 1 == p.count) &&
			 part->len <= 5 * GIB &&
			 (!part->copy || is_base(f, part));
		off += part->len;
		if (part->copy)
			p.copies++;
		else
			p.sent += part->len;
	}
	p.good = p.good && off == f->size && p.count <= S3_PARTS_MAX;
	free(p.list);
	return p;
}

static struct plan_file
file_of(uint64_t size, uint64_t base, const struct extents *staged)
{
	return (struct plan_file){ .size = size,
				   .base_limit = base,
				   .staged = staged,
				   .part_size = 8 * MIB,
				   .can_copy = true };
}

static void
a_new_file_goes_out_in_parts_of_one_size(void)
{
	struct extents staged = { 0 };
	struct plan_file f = file_of(100 * MIB, 0, &staged);
	struct plan p;

	CU_ASSERT_EQUAL(extents_set(&staged, 0, f.size, 0), 0);
	p = plan(&f);
	CU_ASSERT(p.good);
	CU_ASSERT_EQUAL(p.count, 13);
	CU_ASSERT_EQUAL(p.sent, f.size);
	extents_free(&staged);
}

static void
four_kib_in_a_gib_send_one_part(void)
{
	struct extents staged = { 0 };
	struct plan_file f = file_of(GIB, GIB, &staged);
	struct plan p;

	CU_ASSERT_EQUAL(extents_set(&staged, 512 * MIB, 4 * KIB, 0), 0);
	p = plan(&f);
	CU_ASSERT(p.good);
	CU_ASSERT_EQUAL(p.sent, S3_PART_MIN);
	CU_ASSERT_EQUAL(p.count - p.copies, 1);
	extents_free(&staged);
}

static void
an_append_sends_what_was_appended(void)
{
	struct extents staged = { 0 };
	struct plan_file f = file_of(GIB + 12345 + MIB, GIB + 12345, &staged);
	struct plan p;

	CU_ASSERT_EQUAL(extents_set(&staged, f.base_limit, MIB, 0), 0);
	p = plan(&f);
	CU_ASSERT(p.good);
	CU_ASSERT_EQUAL(p.sent, MIB);
	extents_free(&staged);
}

static void
a_store_without_copies_gets_all(void)
{
	struct extents staged = { 0 };
	struct plan_file f = file_of(GIB, GIB, &staged);
	struct plan p;

	f.can_copy = false;
	p = plan(&f);
	CU_ASSERT(p.good);
	CU_ASSERT_EQUAL(p.sent, GIB);
	extents_free(&staged);
}

static void
parts_of_one_size_where_the_store_wants_that(void)
{
	struct extents staged = { 0 };
	struct plan_file f = file_of(GIB + 100, GIB, &staged);
	struct plan p;

	f.equal = true;
	CU_ASSERT_EQUAL(extents_set(&staged, 8 * MIB + 1, 4 * KIB, 0), 0);
	CU_ASSERT_EQUAL(extents_set(&staged, GIB, 100, 0), 0);
	p = plan(&f);
	CU_ASSERT(p.good);
	CU_ASSERT_EQUAL(p.count, 129);
	CU_ASSERT_EQUAL(p.sent, 8 * MIB + 100);
	extents_free(&staged);
}

static void
five_tib_have_no_more_than_ten_thousand_parts(void)
{
	struct extents staged = { 0 };
	struct plan_file f = file_of(S3_OBJECT_MAX, 0, &staged);

	/* A hole from beginning to end. */
	CU_ASSERT(plan(&f).good);
	f.equal = true;
	CU_ASSERT(plan(&f).good);
	f.equal = false;
	f.base_limit = f.size;
	CU_ASSERT_EQUAL(plan(&f).sent, 0);
	CU_ASSERT(plan(&f).good);
	/* A change every 100 MiB. */
	for (uint64_t off = 0; off < f.size; off += 100 * MIB)
		CU_ASSERT_EQUAL_FATAL(extents_set(&staged, off, 4 * KIB, off),
				      0);
	CU_ASSERT(plan(&f).good);
	extents_free(&staged);
}

static void
nothing_and_too_much_are_refused(void)
{
	struct extents staged = { 0 };
	struct plan_file f = file_of(0, 0, &staged);
	struct plan_part *list;
	unsigned count;

	CU_ASSERT_EQUAL(plan_parts(&f, &list, &count), -EINVAL);
	f.size = S3_OBJECT_MAX + 1;
	CU_ASSERT_EQUAL(plan_parts(&f, &list, &count), -EINVAL);
}

static void
any_file_is_cut_as_s3_asks(void)
{
	unsigned seed = 1;
	unsigned bad = 0;

	for (int round = 0; round < 3000; round++) {
		struct extents staged = { 0 };
		uint64_t size = 1 + (uint64_t)rand_r(&seed) % (200 * MIB);
		struct plan_file f = file_of(
			size, (uint64_t)rand_r(&seed) % (size + 1), &staged);

		f.equal = rand_r(&seed) % 8 == 0;
		for (int n = rand_r(&seed) % 12; n > 0; n--) {
			uint64_t off = (uint64_t)rand_r(&seed) % size;
			uint64_t len = 1 + (uint64_t)rand_r(&seed) %
						   (rand_r(&seed) % 2
							    ? 4 * KIB
							    : 20 * MIB);

			if (len > size - off)
				len = size - off;
			CU_ASSERT_EQUAL_FATAL(
				extents_set(&staged, off, len, off), 0);
		}
		bad += !plan(&f).good;
		extents_free(&staged);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

TEST_MAIN("gate_plan", T(a_new_file_goes_out_in_parts_of_one_size),
	  T(four_kib_in_a_gib_send_one_part),
	  T(an_append_sends_what_was_appended),
	  T(a_store_without_copies_gets_all),
	  T(parts_of_one_size_where_the_store_wants_that),
	  T(five_tib_have_no_more_than_ten_thousand_parts),
	  T(nothing_and_too_much_are_refused), T(any_file_is_cut_as_s3_asks))
