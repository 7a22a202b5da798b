/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only one transfer at a time changes a key.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/keys/inside.h"
#include "nfsd/gate/worker/worker.h"

uint64_t
key_owner(struct gate_export *x, const char *key)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct busy_key *b;
	uint64_t owner;

	mutex_lock(&g->mutex);
	HASH_FIND(hh, g->busy_keys, full, len, b);
	owner = b != NULL ? b->owner : 0;
	mutex_unlock(&g->mutex);
	return owner;
}

bool
key_busy(struct gate_export *x, const char *key)
{
	return key_owner(x, key) != 0;
}

bool
keys_busy_below(struct gate_export *x, const char *prefix)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, prefix, full);
	struct busy_key *b, *next;
	bool busy = false;

	mutex_lock(&g->mutex);
	HASH_ITER(hh, g->busy_keys, b, next) {
		busy = (b->owner & KEY_ROW) == 0 && b->len >= len &&
		       memcmp(b->key, full, len) == 0;
		if (busy)
			break;
	}
	mutex_unlock(&g->mutex);
	return busy;
}

int
key_take(struct gate_export *x, const char *key, uint64_t owner)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct busy_key *b = malloc(sizeof(*b) + len), *other;
	int r = 0;

	if (b == NULL)
		return -ENOMEM;
	b->owner = owner;
	b->len = len;
	memcpy(b->key, full, len);
	mutex_lock(&g->mutex);
	for (;;) {
		HASH_FIND(hh, g->busy_keys, full, len, other);
		if (other == NULL)
			break;
		mutex_wait(&g->mutex, &g->key_free, NULL);
	}
	HASH_ADD_KEYPTR(hh, g->busy_keys, b->key, len, b);
	if (b->hh.tbl == NULL)
		r = -ENOMEM;
	mutex_unlock(&g->mutex);
	if (r < 0)
		free(b);
	return r;
}

bool
key_try(struct gate_export *x, const char *key, uint64_t owner)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct busy_key *b = malloc(sizeof(*b) + len), *other;
	bool taken;

	if (b == NULL)
		return false;
	b->owner = owner;
	b->len = len;
	memcpy(b->key, full, len);
	mutex_lock(&g->mutex);
	HASH_FIND(hh, g->busy_keys, full, len, other);
	if (other == NULL)
		HASH_ADD_KEYPTR(hh, g->busy_keys, b->key, len, b);
	taken = other == NULL && b->hh.tbl != NULL;
	mutex_unlock(&g->mutex);
	if (!taken)
		free(b);
	return taken;
}

void
key_release(struct gate_export *x, const char *key, uint64_t owner)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct busy_key *b;
	bool mine;

	mutex_lock(&g->mutex);
	HASH_FIND(hh, g->busy_keys, full, len, b);
	mine = b != NULL && b->owner == owner;
	if (mine) {
		HASH_DEL(g->busy_keys, b);
		free(b);
	}
	pthread_cond_broadcast(&g->key_free);
	mutex_unlock(&g->mutex);
	if (!mine)
		audit_broken(g, "two transfers changed one key at once",
			     "key=%s", key);
}
