/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that S3 was asked for and does not have (good for attr_ttl_ms), and
 * names that were removed here (for as long as an older answer may be under
 * way).
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/worker/worker.h"

#define NEGATIVES_MAX 65536

/* An answer of S3 does not take this long. */
#define ANSWER_MAX_MS 120000

static size_t
negative_key(uint64_t parent, const char *name, char *out)
{
	size_t len = strlen(name);

	memcpy(out, &parent, sizeof(parent));
	memcpy(out + sizeof(parent), name, len);
	return sizeof(parent) + len;
}

#define NEGATIVE_KEY_MAX (sizeof(uint64_t) + META_NAME_MAX)

/* Entries are forgotten when nobody can need them any more. */
static struct negative *
negative_find(struct gate *g, const char *key, size_t len)
{
	struct negative *e;
	uint64_t now = clock_ms();

	HASH_FIND(hh, g->negatives, key, len, e);
	if (e != NULL && e->until_ms <= now &&
	    e->removed_ms + ANSWER_MAX_MS <= now) {
		HASH_DEL(g->negatives, e);
		free(e);
		e = NULL;
	}
	return e;
}

bool
negative_has(struct gate *g, uint64_t parent, const char *name)
{
	char key[NEGATIVE_KEY_MAX];
	size_t len = negative_key(parent, name, key);
	struct negative *e;
	bool found;

	mutex_lock(&g->mutex);
	e = negative_find(g, key, len);
	found = e != NULL && e->until_ms > clock_ms();
	mutex_unlock(&g->mutex);
	return found;
}

bool
negative_removed_since(struct gate *g, uint64_t parent, const char *name,
		       uint64_t since_ms)
{
	char key[NEGATIVE_KEY_MAX];
	size_t len = negative_key(parent, name, key);
	struct negative *e;
	bool found;

	mutex_lock(&g->mutex);
	e = negative_find(g, key, len);
	found = e != NULL && e->removed_ms >= since_ms && e->removed_ms != 0;
	mutex_unlock(&g->mutex);
	return found;
}

/* false: no memory. */
static bool
negative_put(struct gate *g, uint64_t parent, const char *name,
	     uint64_t asked_ms, uint64_t until_ms, uint64_t removed_ms)
{
	char key[NEGATIVE_KEY_MAX];
	size_t len = negative_key(parent, name, key);
	struct negative *e;

	mutex_lock(&g->mutex);
	if (removed_ms == 0 && answer_ms(g, asked_ms) == 0) {
		mutex_unlock(&g->mutex);
		return true;
	}
	/* uthash keeps the order of insertion: the first one is the oldest. */
	if (HASH_COUNT(g->negatives) >= NEGATIVES_MAX) {
		e = g->negatives;
		HASH_DEL(g->negatives, e);
		free(e);
	}
	e = negative_find(g, key, len);
	if (e == NULL && (e = malloc(sizeof(*e) + len)) != NULL) {
		e->len = len;
		e->removed_ms = 0;
		memcpy(e->key, key, len);
		HASH_ADD_KEYPTR(hh, g->negatives, e->key, len, e);
		if (e->hh.tbl == NULL) {
			free(e);
			e = NULL;
		}
	}
	if (e != NULL) {
		e->until_ms = until_ms;
		if (removed_ms != 0)
			e->removed_ms = removed_ms;
	}
	mutex_unlock(&g->mutex);
	return e != NULL;
}

void
negative_add(struct gate *g, uint64_t parent, const char *name,
	     uint64_t asked_ms, uint64_t until_ms)
{
	/* Or it is asked again. */
	(void)negative_put(g, parent, name, asked_ms, until_ms, 0);
}

void
negative_removed(struct gate *g, uint64_t parent, const char *name,
		 uint64_t until_ms)
{
	uint64_t now = clock_ms();

	/* Or a listing that is under way would bring it back. */
	while (!negative_put(g, parent, name, 0, until_ms, now))
		memory_wait();
}

void
negative_del(struct gate *g, uint64_t parent, const char *name)
{
	char key[NEGATIVE_KEY_MAX];
	size_t len = negative_key(parent, name, key);
	struct negative *e;

	mutex_lock(&g->mutex);
	e = negative_find(g, key, len);
	if (e != NULL)
		e->until_ms = 0;
	mutex_unlock(&g->mutex);
}
