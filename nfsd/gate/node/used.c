/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who was used lately: a bit for each inode, in two generations, so that the
 * names that nobody uses can be told (dir/known.c).
 */

#include <config.h>

#include <string.h>

#include "nfsd/gate/node/inside.h"

uint64_t
known_hash(uint64_t ino)
{
	ino = (ino ^ ino >> 30) * 0xbf58476d1ce4e5b9ULL;
	ino = (ino ^ ino >> 27) * 0x94d049bb133111ebULL;
	return ino ^ ino >> 31;
}

/* The ith bit of an inode: which word, and which in it. */
size_t
place_in(size_t words, uint64_t hash, unsigned i, uint64_t *bit)
{
	uint64_t at = (hash & 0xffffffff) + i * (hash >> 32 | 1);

	*bit = 1ULL << (at & 63);
	return (size_t)(at >> 6) % words;
}

size_t
known_place(const struct known *k, uint64_t hash, unsigned i, uint64_t *bit)
{
	return place_in(k->words, hash, i, bit);
}

void
known_turn_locked(struct known *k)
{
	uint64_t *old = k->before;

	mutex_must_hold(&k->mutex);
	k->before = k->lately;
	k->lately = old;
	memset(old, 0, k->words * sizeof(*old));
	k->marked = 0;
}

void
known_used(struct gate *g, uint64_t ino)
{
	struct known *k = &g->known;
	uint64_t hash = known_hash(ino), bit, fresh = 0;

	if (k->words == 0)
		return;
	mutex_lock(&k->mutex);
	for (unsigned i = 0; i < HASHES; i++) {
		size_t at = known_place(k, hash, i, &bit);

		fresh |= ~k->lately[at] & bit;
		k->lately[at] |= bit;
	}
	k->marked += fresh != 0;
	if (k->marked >= k->marks_max)
		known_turn_locked(k);
	mutex_unlock(&k->mutex);
}
