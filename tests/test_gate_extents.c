/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extent maps against an array that says for every byte where it lies, with
 * random operations from fixed seeds, and with an allocator that fails when
 * it is told to (the linker puts it before malloc's callers).
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/state/state.h"
#include "tests/unit.h"

#define BYTES 300
#define ROUNDS 200000

/* ---- an allocator that can fail ---- */

static int fail_in = -1;	/* the how-manieth call fails; -1: none */

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);

void *
__wrap_malloc(size_t size)
{
	if (fail_in >= 0 && fail_in-- == 0)
		return NULL;
	return __real_malloc(size);
}

void *
__wrap_realloc(void *old, size_t size)
{
	if (fail_in >= 0 && fail_in-- == 0)
		return NULL;
	return __real_realloc(old, size);
}

/* ---- the oracle ---- */

struct oracle {
	uint64_t at[BYTES];	/* place of each byte, plus 1; 0: none */
};

static uint64_t seed = 1;

static uint64_t
rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void
oracle_set(struct oracle *o, uint64_t off, uint64_t len, uint64_t at)
{
	for (uint64_t i = off; i < off + len; i++)
		o->at[i] = at + (i - off) + 1;
}

static void
oracle_cut(struct oracle *o, uint64_t off, uint64_t len)
{
	for (uint64_t i = off; i < BYTES && i - off < len; i++)
		o->at[i] = 0;
}

/* Sorted, apart, nothing empty, neighbours merged. */
static int
well_formed(const struct extents *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct meta_extent *a = &m->list[i];

		if (a->len == 0)
			return 0;
		if (i + 1 == m->count)
			break;
		if (a->off + a->len > a[1].off)
			return 0;
		if (a->off + a->len == a[1].off && a->at + a->len == a[1].at)
			return 0;
	}
	return m->count <= m->room;
}

static int
agrees(const struct extents *m, const struct oracle *o)
{
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < BYTES; i++) {
		uint64_t at = 0, len = 0, run = 1;
		bool there = extents_at(m, i, &at, &len);

		bytes += o->at[i] != 0;
		if (there != (o->at[i] != 0) || (there && at + 1 != o->at[i]))
			return 0;
		/* How far the answer goes. */
		while (i + run < BYTES &&
		       o->at[i + run] == (there ? o->at[i] + run : 0))
			run++;
		if (i + run == BYTES && !there) {
			if (len != UINT64_MAX)
				return 0;
		} else if (len != run) {
			return 0;
		}
	}
	return extents_bytes(m) == bytes && well_formed(m);
}

static int
in_place(const struct oracle *o, uint64_t off, uint64_t len)
{
	for (uint64_t i = off; i < off + len && i < BYTES; i++) {
		if (o->at[i] == i + 1)
			return 1;
	}
	return 0;
}

/* ---- the cases ---- */

static void
step(struct extents *m, struct oracle *o, int *r)
{
	uint64_t off = rnd(BYTES), len = rnd(BYTES - off) + 1, at;

	if (rnd(3) == 0)
		len = len % 8 + 1 <= BYTES - off ? len % 8 + 1 : 1;
	switch (rnd(8)) {
	case 0:
	case 1:
	case 2:		/* where its own offset is */
		*r = extents_set(m, off, len, off);
		if (*r == 0)
			oracle_set(o, off, len, off);
		break;
	case 3:
	case 4:		/* elsewhere, often next to one before */
		at = 1000 + rnd(4) * 1000 + (rnd(2) ? off : rnd(BYTES));
		*r = extents_set(m, off, len, at);
		if (*r == 0)
			oracle_set(o, off, len, at);
		break;
	case 5:		/* to the end of everything: cannot fail */
		*r = 0;
		if (extents_cut(m, off, rnd(2) ? UINT64_MAX - off
					       : UINT64_MAX) < 0)
			*r = -EIO;
		oracle_cut(o, off, UINT64_MAX);
		break;
	case 6:
		*r = extents_set(m, off, 0, off);
		if (*r == 0)
			*r = extents_cut(m, off, 0);
		break;
	default:
		*r = extents_cut(m, off, len);
		if (*r == 0)
			oracle_cut(o, off, len);
		break;
	}
}

static void
a_map_says_for_every_byte_what_an_array_says(void)
{
	struct extents m = { 0 };
	struct oracle o = { 0 };
	unsigned bad = 0;

	seed = 20;
	for (int i = 0; i < ROUNDS && bad == 0; i++) {
		int r;

		step(&m, &o, &r);
		bad += r != 0;
		/* The whole comparison now and then, its cheap part always. */
		bad += !well_formed(&m);
		if (i % 32 == 0)
			bad += !agrees(&m, &o);
		if (i % 8 == 0) {
			uint64_t off = rnd(BYTES), len = rnd(40) + 1;

			bad += extents_in_place(&m, off, len) !=
			       in_place(&o, off, len);
		}
		if (bad)
			fprintf(stderr, "round %d\n", i);
	}
	CU_ASSERT_EQUAL(bad, 0);
	extents_free(&m);
	CU_ASSERT_EQUAL(m.count, 0);
}

static void
memory_that_runs_out_leaves_the_map_as_it_was(void)
{
	struct extents m = { 0 };
	struct oracle o = { 0 };
	unsigned bad = 0, failed = 0;

	seed = 21;
	for (int i = 0; i < ROUNDS / 4 && bad == 0; i++) {
		struct extents copy = { 0 };
		int r;

		/* A map without spare room fails more often. */
		if (rnd(4) == 0) {
			fail_in = (int)rnd(2);
			r = extents_copy(&m, &copy);
			fail_in = -1;
			bad += r != 0 && r != -ENOMEM;
			bad += r != 0 && copy.list != NULL;
			if (r == 0) {
				extents_free(&m);
				m = copy;
			}
		}
		fail_in = (int)rnd(2);
		step(&m, &o, &r);
		fail_in = -1;
		failed += r == -ENOMEM;
		bad += r != 0 && r != -ENOMEM;
		if (i % 16 == 0 || r != 0)
			bad += !agrees(&m, &o);
		if (bad)
			fprintf(stderr, "round %d\n", i);
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(failed > 100);
	extents_free(&m);
}

static void
seek_finds_the_first_extent_that_ends_later(void)
{
	struct extents m = { 0 };

	CU_ASSERT_EQUAL(extents_seek(&m, 0), 0);
	CU_ASSERT_EQUAL(extents_set(&m, 10, 5, 10), 0);
	CU_ASSERT_EQUAL(extents_set(&m, 20, 5, 100), 0);
	CU_ASSERT_EQUAL(extents_seek(&m, 0), 0);
	CU_ASSERT_EQUAL(extents_seek(&m, 14), 0);
	CU_ASSERT_EQUAL(extents_seek(&m, 15), 1);
	CU_ASSERT_EQUAL(extents_seek(&m, 24), 1);
	CU_ASSERT_EQUAL(extents_seek(&m, 25), 2);
	extents_free(&m);
}

static void
offsets_near_the_end_of_64_bits_do_not_wrap(void)
{
	struct extents m = { 0 };
	uint64_t last = UINT64_MAX - 8, at, len;

	CU_ASSERT_EQUAL(extents_set(&m, last, 8, 0), 0);
	CU_ASSERT_EQUAL(extents_set(&m, 0, 8, 64), 0);
	CU_ASSERT_TRUE(extents_at(&m, last + 7, &at, &len));
	CU_ASSERT_EQUAL(at, 7);
	CU_ASSERT_EQUAL(len, 1);
	CU_ASSERT_FALSE(extents_at(&m, 8, &at, &len));
	CU_ASSERT_EQUAL(len, last - 8);
	CU_ASSERT_EQUAL(extents_cut(&m, last + 4, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(extents_bytes(&m), 12);
	CU_ASSERT_EQUAL(extents_cut(&m, 4, UINT64_MAX - 4), 0);
	CU_ASSERT_EQUAL(extents_bytes(&m), 4);
	extents_free(&m);
}

static void
a_map_over_another_is_that_one_with_all_of_it_set(void)
{
	for (int round = 0; round < 2000; round++) {
		struct extents below = { 0 }, over = { 0 }, got = { 0 };
		struct oracle o = { { 0 } };

		for (uint64_t i = rnd(8); i > 0; i--) {
			uint64_t off = rnd(BYTES - 9), at = rnd(200);

			CU_ASSERT_EQUAL(extents_set(&below, off, 1 + rnd(8),
						    at), 0);
		}
		for (uint64_t i = rnd(8); i > 0; i--) {
			uint64_t off = rnd(BYTES - 9);

			CU_ASSERT_EQUAL(extents_set(&over, off, 1 + rnd(8),
						    rnd(200)), 0);
		}
		for (size_t i = 0; i < below.count; i++)
			oracle_set(&o, below.list[i].off, below.list[i].len,
				   below.list[i].at);
		for (size_t i = 0; i < over.count; i++) {
			oracle_set(&o, over.list[i].off, over.list[i].len,
				   over.list[i].at);
			CU_ASSERT_EQUAL(extents_bytes_in(&over,
							 over.list[i].off,
							 over.list[i].len),
					over.list[i].len);
		}
		CU_ASSERT_EQUAL(extents_over(&below, &over, &got), 0);
		CU_ASSERT(agrees(&got, &o));
		extents_free(&below);
		extents_free(&over);
		extents_free(&got);
	}
}

TEST_MAIN("gate_extents", T(a_map_says_for_every_byte_what_an_array_says),
	  T(memory_that_runs_out_leaves_the_map_as_it_was),
	  T(seek_finds_the_first_extent_that_ends_later),
	  T(offsets_near_the_end_of_64_bits_do_not_wrap),
	  T(a_map_over_another_is_that_one_with_all_of_it_set))
