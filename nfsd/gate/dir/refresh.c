/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is what is known of a node still so?  A HEAD, or a page of its directory's
 * listing, whichever is cheaper.  What they tell is adopt.c's to take over.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

/* What the object of a directory says.  -ENOENT: it has none. */
static int
ask_marker(struct node *n, const char *key, uint64_t asked)
{
	struct gate_export *x = n->export;
	struct s3_object o = { 0 };
	int r = hidden_has(x, key) ? -ENOENT : s3_head(x->s3, key, &o, NULL);

	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	strcpy(n->i.base_key, key);
	n->i.marker = true;
	mutex_unlock(&n->mutex);
	r = lookup_adopt(n, &o, asked);
	s3_object_free(&o);
	return r;
}

int
lookup_learn(struct node *n)
{
	char key[META_KEY_MAX + 2], now[META_KEY_MAX + 2];
	bool unread;
	int r;

	mutex_lock(&n->mutex);
	unread = object_unread_locked(n);
	mutex_unlock(&n->mutex);
	if (unread || node_kind(n) != GATE_DIR)
		return object_learn(n);
	/* On its way: not known where its object lies. */
	if (dirmove_lists(n) || path_key(n, key) < 0)
		return 0;
	r = ask_marker(n, key, clock_ms());
	if (r != -ENOENT)
		return r;
	node_lock_wait(n);
	r = node_dead(n) ? -ESTALE : path_key(n, now);
	mutex_lock(&n->mutex);
	if (r == 0 && strcmp(key, now) == 0) {
		n->i.attr_known = true;
		lookup_post(n);
	}
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
	return r;
}

int
lookup_refresh_dir(struct node *n, uint64_t asked)
{
	char key[META_KEY_MAX + 2];
	int r;

	if (path_key(n, key) < 0)
		return -ESTALE;
	r = ask_marker(n, key, asked);
	if (r != -ENOENT)
		return r;
	r = scan_any(n);
	if (r == 0) {
		/* Names in it that are gone, too, do not hold it. */
		while ((r = scan_step(n)) == 1)
			;
		if (r == 0)
			r = lookup_vanish(n, asked);
		if (r == 0 && node_dead(n))
			r = -ESTALE;
	}
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	n->checked_ms = clock_ms();
	n->i.attr_known = true;
	mutex_unlock(&n->mutex);
	return 0;
}

static int
refresh_file(struct node *n, uint64_t asked)
{
	struct s3_object o = { 0 };
	struct s3_error err = { 0 };
	enum s3_locked locked;
	char key[META_KEY_MAX + 2];
	int r;

	mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	mutex_unlock(&n->mutex);
	if (key[0] == '\0')
		return 0;
	r = s3_head(n->export->s3, key, &o, &err);
	locked = s3_error_locked(r, &err);
	if (r == 0) {
		r = lookup_adopt(n, &o, asked);
		s3_object_free(&o);
	} else if (locked != S3_LOCKED_NOT) {
		/* What a listing told has to do. */
		cold_say(n, key, locked);
		mutex_lock(&n->mutex);
		n->checked_ms = answer_ms(n->export->gate, asked) ? clock_ms()
								  : 0;
		mutex_unlock(&n->mutex);
		r = 0;
	} else if (r == -ENOENT) {
		r = lookup_vanish(n, asked);
		if (r == 0 && node_dead(n))
			r = -ESTALE;
	}
	return r;
}

/* What is on its way to another key is asked for where it is.  1: so it was;
 * 0: it is not on its way. */
static int
refresh_moving(struct node *n, struct gate_request *rq)
{
	bool unread, has_object;

	mutex_lock(&n->mutex);
	unread = object_unread_locked(n);
	has_object = n->i.base_key[0] != '\0';
	mutex_unlock(&n->mutex);
	if (!unread && !dirmove_lists(n))
		return 0;
	for (;;) {
		int r = unread || has_object ? object_learn(n) : 0;

		if (r < 0)
			return r;
		if (unread || has_object || n->i.attr_known)
			return 1;
		/* A directory that may have an object somewhere. */
		r = dirmove_wait(n, rq);
		if (r <= 0)
			return r;
		mutex_lock(&n->mutex);
		has_object = n->i.base_key[0] != '\0';
		mutex_unlock(&n->mutex);
	}
}

/* Of a node that is not fresh. */
static int
refresh(struct node *n, struct gate_request *rq)
{
	uint64_t asked = clock_ms();
	struct node *dir = NULL;
	bool known;
	int r;

	if (n->ino == n->export->root) {
		r = scan_known(n) ? scan_if_small(n) : 0;
		return r < 0 ? r : 0;
	}
	r = refresh_moving(n, rq);
	if (r != 0)
		return r < 0 ? r : 0;
	/* One LIST for the directory rather than a HEAD for each file. */
	if (node_get(n->export->gate, n->parent, true, &dir) == 0) {
		r = scan_if_small(dir);
		node_put(&dir);
		mutex_lock(&n->mutex);
		known = n->i.attr_known;
		if (r == 1 && n->dead)
			r = -ESTALE;
		mutex_unlock(&n->mutex);
		if (r == 1 && known) {
			/* A directory whose names are known: has anybody
			 * else changed them?  Its times tell clients. */
			if (node_kind(n) == GATE_DIR && scan_known(n))
				r = scan_if_small(n);
			if (r >= 0)
				return 0;
		}
	}
	if (r >= 0)
		r = node_kind(n) == GATE_DIR ? lookup_refresh_dir(n, asked)
					     : refresh_file(n, asked);
	return r;
}

int
lookup_refresh(struct node *n, struct gate_request *rq)
{
	int r;

	if (node_fresh(n))
		return 0;
	if (offline_now(n->export))
		return offline_attr(n, rq);
	r = may_ask_store(rq);
	if (r < 0)
		return r;
	r = refresh(n, rq);
	if (r == -EAGAIN)
		rq->again = GATE_JUKEBOX;
	if (r < 0 && offline_failed(n->export, rq, r) &&
	    offline_attr(n, rq) == 0)
		r = 0;
	return r;
}
