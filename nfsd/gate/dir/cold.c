/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that are there and cannot be read or copied: archived (GLACIER,
 * DEEP_ARCHIVE, an archive tier of INTELLIGENT_TIERING), or encrypted with a
 * key that only its owner has (SSE-C).  What needs their bytes can never be
 * carried out: a change of some of them, a new name, a new mode.  So it is
 * refused (-EACCES) where the client asks, not found out by an upload when the
 * client has gone.  What replaces all of it, and its removal, need nothing.
 *
 * Listings and HEAD tell which objects are archived (`cold` in the row), or a
 * GET that is refused where they do not; but not if a copy was restored, and
 * some stores have classes of those names that are read at once.  So the first
 * byte is asked for, at such objects and at those whose metadata nobody has
 * been able to read; the answer holds for attr_ttl_ms.  A store that has a bad
 * moment says nothing: of an archived one the client comes again, else all
 * goes on as it would.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/worker/worker.h"

/* Are there bytes of the object in the file, but for [off, off + len)?  Mutex
 * held. */
static bool
needs_object_locked(const struct node *n, uint64_t off, uint64_t len)
{
	const struct extents *maps[] = { &n->d.dirty, &n->d.durable,
					 &n->d.staged };
	uint64_t at = 0, place, here;

	mutex_must_hold(&n->mutex);
	while (at < n->i.base_limit) {
		uint64_t step = off <= at && at - off < len ? off + len - at
							    : 0;

		for (size_t i = 0; i < 3 && step == 0; i++)
			if (extents_at(maps[i], at, &place, &here))
				step = here;
		if (step == 0)
			return true;
		at = step < n->i.base_limit - at ? at + step
						 : n->i.base_limit;
	}
	return false;
}

static bool
copies_object_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return n->i.base_limit > 0 ? needs_object_locked(n, 0, 0)
				   : !n->i.data_dirty;
}

/* 0, -EACCES and *why, or that nobody knows. */
static int
ask(struct gate_export *x, const char *key, enum s3_locked *why)
{
	struct s3_error err = { 0 };
	char byte;
	ssize_t r = s3_get(x->s3, key, NULL, 0, &byte, 1, NULL, &err);

	if (r >= 0)
		return 0;
	*why = s3_error_locked((int)r, &err);
	return *why != S3_LOCKED_NOT ? -EACCES : (int)r;
}

/* Is the object in doubt, and what is its key?  Mutex held. */
static bool
in_doubt_locked(const struct node *n, char key[META_KEY_MAX + 2])
{
	mutex_must_hold(&n->mutex);
	if (n->dead || n->i.kind != GATE_REG || n->i.base_key[0] == '\0' ||
	    (n->i.attr_known && !n->i.cold) ||
	    (n->readable_ms != 0 &&
	     clock_ms() - n->readable_ms < n->export->c.attr_ttl_ms))
		return false;
	strcpy(key, n->i.base_key);
	return true;
}

static int
check(struct node *n, struct gate_request *rq, const char *key, bool cold)
{
	enum s3_locked why;
	int r;

	if (offline_now(n->export))
		return 0;
	r = may_ask_store(rq);
	if (r < 0)
		return r;
	r = ask(n->export, key, &why);
	if (r == -EACCES && why != S3_LOCKED_NOT) {
		char etag[META_ETAG_MAX];

		mutex_lock(&n->mutex);
		strcpy(etag, n->i.base_etag);
		mutex_unlock(&n->mutex);
		cold_learn(n, key, etag, why);
		cold_say(n, key, why);
		return r;
	}
	mutex_lock(&n->mutex);
	n->readable_ms = r == 0 ? clock_ms() : 0;
	mutex_unlock(&n->mutex);
	if (!cold || s3_meaning(r) != S3_LATER)
		return 0;
	rq->again = GATE_JUKEBOX;
	return -EAGAIN;
}

int
cold_may_write(struct node *n, struct gate_request *rq, uint64_t off,
	       uint64_t len)
{
	char key[META_KEY_MAX + 2];
	bool doubt, cold;

	mutex_lock(&n->mutex);
	doubt = in_doubt_locked(n, key) && needs_object_locked(n, off, len);
	cold = n->i.cold;
	mutex_unlock(&n->mutex);
	return doubt ? check(n, rq, key, cold) : 0;
}

int
cold_may_resize(struct node *n, struct gate_request *rq, uint64_t size)
{
	uint64_t limit;

	mutex_lock(&n->mutex);
	limit = n->i.base_limit;
	mutex_unlock(&n->mutex);
	return size < limit ? cold_may_write(n, rq, size, limit - size)
			    : cold_may_write(n, rq, 0, 0);
}

int
cold_may_copy(struct node *n, struct gate_request *rq, const char *new_key)
{
	char key[META_KEY_MAX + 2];
	bool doubt, cold;

	mutex_lock(&n->mutex);
	doubt = in_doubt_locked(n, key) && copies_object_locked(n) &&
		(new_key == NULL || strcmp(new_key, key) != 0);
	cold = n->i.cold;
	mutex_unlock(&n->mutex);
	return doubt ? check(n, rq, key, cold) : 0;
}

/* ---- below a directory ---- */

void
cold_note(struct cold_list *l, const char *key, size_t len)
{
	if (l->count == COLD_LOOKS || len > META_KEY_MAX)
		return;
	l->keys[l->count] = strndup(key, len);
	l->count += l->keys[l->count] != NULL;
}

void
cold_list_free(struct cold_list *l)
{
	while (l->count > 0)
		free(l->keys[--l->count]);
}

static int
known(void *arg, uint64_t ino, const char *key)
{
	(void)ino;
	cold_note(arg, key, strlen(key));
	return 0;
}

static int
one(void *arg, uint64_t ino, const char *key)
{
	(void)arg, (void)ino, (void)key;
	return 1;
}

int
cold_any(struct gate_export *x)
{
	struct meta_keys all = { x->id, "", "", 1 };

	if (__atomic_load_n(&x->cold_met, __ATOMIC_RELAXED))
		return 1;
	return meta_each_cold(x->gate->meta, &all, one, NULL);
}

int
cold_known_below(struct gate_export *x, const char *prefix,
		 struct cold_list *l)
{
	struct meta_keys below = { x->id, prefix, "", COLD_LOOKS };

	return meta_each_cold(x->gate->meta, &below, known, l);
}

int
cold_any_locked(struct gate_export *x, const struct cold_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		enum s3_locked why = S3_LOCKED_NOT;

		if (hidden_has(x, l->keys[i]) ||
		    ask(x, l->keys[i], &why) != -EACCES ||
		    why == S3_LOCKED_NOT)
			continue;
		gate_say(x->gate, 1, "a directory is not renamed: below it is "
			 "an archived object that cannot be copied: key=%s",
			 l->keys[i]);
		return -EACCES;
	}
	return 0;
}
