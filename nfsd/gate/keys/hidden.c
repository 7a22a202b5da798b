/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that name nothing any more, though an object may lie there: of deletions
 * under way, of files that were renamed.  Lookups and listings must not meet
 * them.  And, for as long as a listing may lag, those that did so lately.
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/keys/inside.h"
#include "nfsd/gate/worker/worker.h"

size_t
export_key(const struct gate_export *x, const char *key, char *out)
{
	size_t len = strlen(key);

	memcpy(out, &x->id, sizeof(x->id));
	memcpy(out + sizeof(x->id), key, len + 1);
	return sizeof(x->id) + len;
}

/* Those that are not hidden any more are kept for as long as an answer of S3
 * may be under way that knows them, or a listing lag (LAG_MAX_MS). */
#define SHOWN_MAX 16384

static void
forget_shown_locked(struct gate *g, uint64_t now)
{
	struct hidden *h;

	mutex_must_hold(&g->mutex);
	while ((h = TAILQ_FIRST(&g->shown)) != NULL &&
	       (g->shown_count > SHOWN_MAX ||
		h->gone_ms + LAG_MAX_MS < now)) {
		TAILQ_REMOVE(&g->shown, h, link);
		g->shown_count--;
		HASH_DEL(g->hidden, h);
		free(h);
	}
}

static struct hidden *
hidden_find_locked(struct gate_export *x, const char *key)
{
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct hidden *h;

	HASH_FIND(hh, x->gate->hidden, full, len, h);
	return h;
}

static struct hidden *
hidden_add_locked(struct gate_export *x, const char *key)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct hidden *h = hidden_find_locked(x, key);

	if (h != NULL && h->count == 0) {
		TAILQ_REMOVE(&g->shown, h, link);
		g->shown_count--;
	} else if (h == NULL &&
		   (h = calloc(1, sizeof(*h) + len + 1)) != NULL) {
		h->len = len;
		memcpy(h->key, full, len);
		HASH_ADD_KEYPTR(hh, g->hidden, h->key, len, h);
		if (h->hh.tbl == NULL) {
			free(h);
			h = NULL;
		}
	}
	if (h != NULL) {
		h->count++;
		h->looked_at = false;
	}
	return h;
}

static void
hidden_del_locked(struct gate_export *x, struct hidden *h)
{
	struct gate *g = x->gate;

	if (h == NULL || h->count == 0 || --h->count > 0)
		return;
	h->gone_ms = clock_ms();
	h->denied_ns = 0;
	TAILQ_INSERT_TAIL(&g->shown, h, link);
	g->shown_count++;
	forget_shown_locked(g, h->gone_ms);
}

void
hidden_add(struct gate_export *x, const char *key)
{
	struct hidden *h;

	for (;;) {
		mutex_lock(&x->gate->mutex);
		h = hidden_add_locked(x, key);
		mutex_unlock(&x->gate->mutex);
		if (h != NULL)
			return;
		/* Not hidden it would be met under a name that it has not. */
		memory_wait();
	}
}

void
hidden_del(struct gate_export *x, const char *key)
{
	mutex_lock(&x->gate->mutex);
	hidden_del_locked(x, hidden_find_locked(x, key));
	mutex_unlock(&x->gate->mutex);
}

void
hidden_was(struct gate_export *x, const char *key, uint64_t ms)
{
	uint64_t now = clock_ms();
	struct hidden *h;

	if (ms >= LAG_MAX_MS)
		return;
	mutex_lock(&x->gate->mutex);
	h = hidden_add_locked(x, key);
	hidden_del_locked(x, h);
	/* Without memory for it: as if it were long ago. */
	if (h != NULL && h->count == 0)
		h->gone_ms = ms < now ? now - ms : 0;	/* the machine began
							 * since */
	mutex_unlock(&x->gate->mutex);
}

void
hidden_stray(struct gate_export *x, const char *key, bool stray)
{
	struct hidden *h;

	mutex_lock(&x->gate->mutex);
	if (stray && (h = hidden_add_locked(x, key)) != NULL) {
		h->strays++;
	} else if (!stray && (h = hidden_find_locked(x, key)) != NULL &&
		   h->strays > 0) {
		h->strays--;
		h->looked_at = true;
		hidden_del_locked(x, h);
	}
	mutex_unlock(&x->gate->mutex);
}

/* Is it on its way, under a name that it has left? */
static bool
is_relocating(struct gate_export *x, const char *key)
{
	/* If SQLite cannot tell: rather hide than show a file twice. */
	return dirmoves_any(x->gate) &&
	       meta_has_relocating(x->gate->meta, x->id, key) != 0;
}

bool
hidden_exactly(struct gate_export *x, const char *key)
{
	struct hidden *h;
	bool hidden;

	mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	hidden = h != NULL && h->count > 0;
	mutex_unlock(&x->gate->mutex);
	return hidden || is_relocating(x, key);
}

bool
hidden_for_good(struct gate_export *x, const char *key)
{
	struct hidden *h;
	bool hidden;

	mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	hidden = h != NULL && h->count > h->strays;
	mutex_unlock(&x->gate->mutex);
	return hidden || is_relocating(x, key);
}

bool
hidden_gone_since(struct gate_export *x, const char *key, uint64_t since_ms)
{
	struct hidden *h;
	bool gone;

	mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	gone = h != NULL && h->count == 0 && !h->looked_at &&
	       h->gone_ms >= since_ms;
	mutex_unlock(&x->gate->mutex);
	return gone;
}

bool
hidden_lately(struct gate_export *x, const char *key, int64_t mtime_ns,
	      bool *ask)
{
	struct hidden *h;
	bool lately;

	mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	lately = h != NULL && h->count == 0 && !h->looked_at &&
		 h->gone_ms + LAG_MAX_MS >= clock_ms();
	if (lately)
		*ask = mtime_ns == 0 || h->denied_ns != mtime_ns;
	mutex_unlock(&x->gate->mutex);
	return lately;
}

uint64_t
hidden_lag_from(uint64_t since_ms)
{
	uint64_t now = clock_ms(), from = now > LAG_MAX_MS ? now - LAG_MAX_MS
							   : 0;

	return from < since_ms ? from : since_ms;
}

void
hidden_answer(struct gate_export *x, const char *key, int64_t mtime_ns,
	      bool there)
{
	struct hidden *h;

	mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	if (h != NULL && there)
		h->looked_at = true;
	else if (h != NULL)
		h->denied_ns = mtime_ns;
	mutex_unlock(&x->gate->mutex);
}

bool
hidden_has(struct gate_export *x, const char *key)
{
	return dirmove_claims(x, key) || hidden_exactly(x, key);
}

bool
hidden_any(struct gate *g)
{
	bool any;

	mutex_lock(&g->mutex);
	any = g->hidden != NULL;
	mutex_unlock(&g->mutex);
	return any;
}

void
hidden_below(struct gate_export *x, const char *prefix, uint64_t since_ms,
	     void (*each)(void *arg, const char *below), void *arg)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, prefix, full);
	struct hidden *h, *next;

	mutex_lock(&g->mutex);
	HASH_ITER(hh, g->hidden, h, next) {
		if (h->len > len && memcmp(h->key, full, len) == 0 &&
		    (h->count > 0 || h->gone_ms >= since_ms))
			each(arg, h->key + len);
	}
	mutex_unlock(&g->mutex);
}

bool
hidden_since(struct gate_export *x, const char *key, uint64_t since_ms)
{
	struct hidden *h;
	bool hidden;

	mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	hidden = h != NULL && (h->count > 0 || h->gone_ms >= since_ms);
	mutex_unlock(&x->gate->mutex);
	return hidden || dirmove_claims(x, key) || is_relocating(x, key);
}
