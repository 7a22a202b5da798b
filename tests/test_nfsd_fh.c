/* SPDX-License-Identifier: Apache-2.0 */
/* File handles: nfsd/fh.c. */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nfsd/fh.h"
#include "tests/unit.h"

static const uint8_t key[16] = "0123456789abcdef";
static const struct gate_fh file = {0x0102030405060708, 0x11223344};

static struct fh_signer *
signer(const uint8_t k[16])
{
	struct fh_signer *s = NULL;

	CU_ASSERT_EQUAL_FATAL(fh_signer_new(k, &s), 0);
	return s;
}

static void
comes_back_as_it_went(void)
{
	struct fh_signer *s = signer(key);
	uint8_t handle[FH_SIZE];
	struct gate_fh out;
	uint32_t id;

	CU_ASSERT_EQUAL(fh_pack(s, 9, &file, handle), 0);
	CU_ASSERT_EQUAL(fh_unpack(s, handle, FH_SIZE, &id, &out), 0);
	CU_ASSERT_EQUAL(id, 9);
	CU_ASSERT_EQUAL(out.ino, file.ino);
	CU_ASSERT_EQUAL(out.generation, file.generation);
	CU_ASSERT_EQUAL(fh_export_hint(s, handle, FH_SIZE), 9);
	CU_ASSERT_EQUAL(fh_export_hint(s, handle, 3), 0);
	fh_signer_free(&s);
	CU_ASSERT_PTR_NULL(s);
	fh_signer_free(&s);
}

/* Also for who never had it: the gateway lost its disk. */
static void
a_root_is_known_by_its_name(void)
{
	const struct gate_fh first = {0x80001234, 1}, other = {0x80004321, 1};
	struct fh_signer *before = signer(key), *after;
	uint8_t handle[FH_SIZE], moved[FH_SIZE];
	struct gate_fh out;
	uint32_t id;

	CU_ASSERT_EQUAL(fh_signer_add_root(before, "/data", 3, &first), 0);
	CU_ASSERT_EQUAL(fh_pack(before, 3, &first, handle), 0);
	CU_ASSERT_EQUAL(fh_export_hint(before, handle, FH_SIZE), 3);
	fh_signer_free(&before);
	after = signer((const uint8_t *)"another key.....");
	CU_ASSERT_EQUAL(fh_unpack(after, handle, FH_SIZE, &id, &out),
			-ESTALE);
	CU_ASSERT_EQUAL(fh_signer_add_root(after, "/datb", 1, &other), 0);
	CU_ASSERT_EQUAL(fh_signer_add_root(after, "/data", 2, &first), 0);
	CU_ASSERT_EQUAL(fh_unpack(after, handle, FH_SIZE, &id, &out), 0);
	CU_ASSERT_EQUAL(id, 2);
	CU_ASSERT_EQUAL(out.ino, first.ino);
	CU_ASSERT_EQUAL(fh_pack(after, 2, &first, moved), 0);
	CU_ASSERT_EQUAL(memcmp(moved, handle, FH_SIZE), 0);
	/* Of a file it says nothing. */
	CU_ASSERT_EQUAL(fh_pack(after, 1, &first, moved), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(moved, handle, FH_SIZE), 0);
	for (unsigned i = 0; i < FH_SIZE * 8; i++) {
		handle[i / 8] ^= (uint8_t)(1 << i % 8);
		CU_ASSERT(fh_unpack(after, handle, FH_SIZE, &id, &out) < 0);
		handle[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	fh_signer_free(&after);
}

static void
is_good_after_a_restart(void)
{
	struct fh_signer *before = signer(key), *after;
	uint8_t handle[FH_SIZE];
	struct gate_fh out;
	uint32_t id;

	CU_ASSERT_EQUAL(fh_pack(before, 9, &file, handle), 0);
	fh_signer_free(&before);
	after = signer(key);
	CU_ASSERT_EQUAL(fh_unpack(after, handle, FH_SIZE, &id, &out), 0);
	fh_signer_free(&after);
}

static void
no_flipped_bit_passes(void)
{
	struct fh_signer *s = signer(key);
	uint8_t handle[FH_SIZE];
	struct gate_fh out = {1, 1};
	uint32_t id = 1;

	CU_ASSERT_EQUAL(fh_pack(s, 9, &file, handle), 0);
	for (int bit = 0; bit < FH_SIZE * 8; bit++) {
		bool form = bit < 32 || (bit >= 96 && bit < 128);
		int r;

		handle[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = fh_unpack(s, handle, FH_SIZE, &id, &out);
		CU_ASSERT_EQUAL(r, form ? -EBADF : -ESTALE);
		handle[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CU_ASSERT(id == 1 && out.ino == 1);
	fh_signer_free(&s);
}

static void
other_lengths_are_no_handles(void)
{
	struct fh_signer *s = signer(key);
	uint8_t handle[64] = {0};
	struct gate_fh out;
	uint32_t id;

	CU_ASSERT_EQUAL(fh_pack(s, 9, &file, handle), 0);
	for (size_t len = 0; len <= 64; len++) {
		if (len != FH_SIZE)
			CU_ASSERT_EQUAL(fh_unpack(s, handle, len, &id, &out),
					-EBADF);
	}
	CU_ASSERT_EQUAL(fh_unpack(s, NULL, 0, &id, &out), -EBADF);
	fh_signer_free(&s);
}

static void
another_gateways_handle_is_stale(void)
{
	struct fh_signer *s = signer(key), *other;
	uint8_t handle[FH_SIZE];
	struct gate_fh out;
	uint32_t id;

	other = signer((const uint8_t *)"another key 1234");
	CU_ASSERT_EQUAL(fh_pack(other, 9, &file, handle), 0);
	CU_ASSERT_EQUAL(fh_unpack(s, handle, FH_SIZE, &id, &out), -ESTALE);
	fh_signer_free(&s);
	fh_signer_free(&other);
}

static void *
hammer(void *arg)
{
	struct fh_signer *s = arg;
	uintptr_t bad = 0;

	for (uint32_t i = 0; i < 5000; i++) {
		struct gate_fh in = {i * 7919ULL, i}, out;
		uint8_t handle[FH_SIZE];
		uint32_t id;

		if (fh_pack(s, i, &in, handle) != 0 ||
		    fh_unpack(s, handle, FH_SIZE, &id, &out) != 0 ||
		    out.ino != in.ino || id != i)
			bad++;
	}
	return (void *)bad;
}

static void
threads_share_a_signer(void)
{
	struct fh_signer *s = signer(key);
	pthread_t threads[24];
	void *bad;

	for (int i = 0; i < 24; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, hammer,
						     s), 0);
	for (int i = 0; i < 24; i++) {
		pthread_join(threads[i], &bad);
		CU_ASSERT_PTR_NULL(bad);
	}
	fh_signer_free(&s);
}

TEST_MAIN("nfsd_fh", T(comes_back_as_it_went), T(a_root_is_known_by_its_name), T(is_good_after_a_restart),
	  T(no_flipped_bit_passes), T(other_lengths_are_no_handles),
	  T(another_gateways_handle_is_stale), T(threads_share_a_signer))
