/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

/*
 * Bytes whose every 4 KiB page tells which page of which file it is, so
 * that a reader can check what it got against (seed, offset) alone.  A page
 * is a 16 byte stamp and 4080 bytes of a random table from a place the stamp
 * chooses: making or checking one costs about a memcpy or memcmp, which is
 * little beside what a server spends on moving it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PAGE_BYTES 4096u
#define TABLE_BYTES (65536u + PAGE_BYTES)

struct pattern {
	uint8_t table[TABLE_BYTES];
};

static inline uint64_t
pattern_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static inline void
pattern_init(struct pattern *p)
{
	for (size_t i = 0; i < TABLE_BYTES; i += 8) {
		uint64_t v = pattern_mix(i);

		memcpy(p->table + i, &v, 8);
	}
}

/* The stamp of a page, and where in the table its body starts. */
static inline const uint8_t *
pattern_page(const struct pattern *p, uint64_t seed, uint64_t page,
	     uint64_t stamp[2])
{
	stamp[0] = pattern_mix(pattern_mix(seed) ^ page);
	stamp[1] = page;
	return p->table + (stamp[0] & 0xfff) * 16;
}

static inline void
pattern_fill_page(const struct pattern *p, uint64_t seed, uint64_t page,
		  uint8_t *out)
{
	uint64_t stamp[2];
	const uint8_t *body = pattern_page(p, seed, page, stamp);

	memcpy(out, stamp, 16);
	memcpy(out + 16, body, PAGE_BYTES - 16);
}

/* off and len are multiples of PAGE_BYTES. */
static inline void
pattern_fill(const struct pattern *p, uint64_t seed, uint64_t off,
	     uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i += PAGE_BYTES)
		pattern_fill_page(p, seed, (off + i) / PAGE_BYTES, out + i);
}

/* Any offset and length. */
static inline bool
pattern_check(const struct pattern *p, uint64_t seed, uint64_t off,
	      const uint8_t *in, size_t len)
{
	while (len > 0) {
		size_t skip = off % PAGE_BYTES;
		size_t n = PAGE_BYTES - skip < len ? PAGE_BYTES - skip : len;
		uint64_t stamp[2];
		const uint8_t *body;

		body = pattern_page(p, seed, off / PAGE_BYTES, stamp);
		if (n == PAGE_BYTES) {
			if (memcmp(in, stamp, 16) != 0 ||
			    memcmp(in + 16, body, PAGE_BYTES - 16) != 0)
				return false;
		} else {
			uint8_t page[PAGE_BYTES];

			memcpy(page, stamp, 16);
			memcpy(page + 16, body, PAGE_BYTES - 16);
			if (memcmp(in, page + skip, n) != 0)
				return false;
		}
		in += n;
		off += n;
		len -= n;
	}
	return true;
}

#endif
