/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody else changed the object while the file was written here, and
 * on_conflict=keep-both.
 *
 * Theirs keeps the name, ours goes beside it, as NAME.conflict-CLIENT-TIME,
 * and the file here becomes theirs.  If they removed the object nobody has
 * the name, and ours keeps it.  Either takes all bytes of ours: what was to
 * come from the object that is gone cannot be had any more, and then our
 * bytes are set aside (quarantine.c), as with on_conflict=fail.
 */

#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"

static int
conflict_key(struct sending *s, char key[META_KEY_MAX + 2])
{
	char client[64], when[32];
	time_t now = (time_t)(clock_ns() / 1000000000);
	struct tm tm;
	int len;

	mutex_lock(&s->node->mutex);
	snprintf(client, sizeof(client), "%s", s->node->h.who);
	mutex_unlock(&s->node->mutex);
	for (char *p = client; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && strchr("-_.@", *p) == NULL)
			*p = '_';
	}
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	len = snprintf(key, META_KEY_MAX + 2, "%s.conflict-%s-%s", s->snap.key,
		       client[0] ? client : "unknown", when);
	return len > META_KEY_MAX ? -ENAMETOOLONG : 0;
}

/* Is nothing of the base left in what was flushed?  Mutex held. */
static bool
all_ours_locked(const struct node *n)
{
	uint64_t end = n->i.size < n->i.base_limit ? n->i.size
						   : n->i.base_limit;
	uint64_t at, run;

	mutex_must_hold(&n->mutex);
	for (uint64_t off = 0; off < end; off += run) {
		if (!extents_at(&n->d.staged, off, &at, &run))
			return false;
	}
	return true;
}

/* Nothing is at the key: from here on the file builds on nothing.
 * -ECANCELED: then it is uploaded as new; -ESTALE: it needs what was there. */
static int
build_on_nothing(struct sending *s)
{
	struct node *n = s->node;
	struct meta_batch *b = meta_batch_new();
	struct meta_inode row = { 0 };
	char base[META_KEY_MAX + 2];
	bool hidden;
	int r;

	node_lock_wait(n);
	mutex_lock(&n->mutex);
	strcpy(base, n->i.base_key);
	hidden = name_left_key(n) && !n->i.relocating;
	r = n->dead ? -ECANCELED : all_ours_locked(n) ? 0 : -ESTALE;
	if (r == 0)
		r = b == NULL ? -ENOMEM : meta_inode_copy(&n->i, &row);
	mutex_unlock(&n->mutex);
	if (r == 0) {
		row.base_key[0] = row.base_etag[0] = row.dest_etag[0] = '\0';
		row.base_size = row.base_limit = 0;
		row.base_mtime_ns = 0;
		/* What lies under a name that was left is theirs, too. */
		row.relocating = row.name_dirty = false;
		meta_put_inode(b, &row);
		/* Whatever ails the database: once more. */
		if (meta_commit(n->export->gate->meta, &b) < 0)
			r = -EAGAIN;
	}
	if (r == 0) {
		mutex_lock(&n->mutex);
		n->i.base_key[0] = n->i.base_etag[0] = '\0';
		n->i.dest_etag[0] = '\0';
		n->i.base_size = n->i.base_limit = 0;
		n->i.base_mtime_ns = 0;
		n->i.relocating = n->i.name_dirty = false;
		data_drop_clean_locked(n);
		indoubt_forget_locked(n, s->snap.key);
		mutex_unlock(&n->mutex);
		if (hidden)
			hidden_del(n->export, base);
		r = -ECANCELED;
	}
	node_unlock(n);
	meta_batch_free(&b);
	meta_inode_fini(&row);
	return r;
}

static int
put_beside(struct sending *s)
{
	char key[META_KEY_MAX + 2];
	int r = conflict_key(s, key);

	if (r < 0)
		return r;
	strcpy(s->snap.key, key);
	s->beside = s->base_gone = true;
	s3_headers_free(&s->headers);
	r = object_headers(s->node->export, &s->snap.row, &s->headers);
	if (r < 0)
		return r;
	s->cond = (struct s3_cond){ .if_none_match = true };
	memset(&s->err, 0, sizeof(s->err));
	return send_bytes(s);
}

int
conflict_keep_both(struct sending *s)
{
	struct node *n = s->node;
	struct gate_export *x = n->export;
	const struct meta_inode *i = &s->snap.row;
	struct s3_object theirs = { 0 };
	struct s3_error err = { 0 };
	int r;

	if (i->kind != GATE_REG)
		return -ESTALE;
	r = s3_head(x->s3, s->snap.key, &theirs, &err);
	s3_object_free(&theirs);
	if (r == -ENOENT) {
		r = build_on_nothing(s);
		if (r == -ECANCELED) {
			conflict_count(s);
			gate_say(x->gate, 1,
				 "conflict: somebody else removed the object; "
				 "ours takes its place: key=%s",
				 s->snap.key);
		}
		return r;
	}
	if (r < 0) {
		s->err = err;
		return r;
	}
	if (i->size > 0 && snapshot_needs_base(&s->snap, 0, i->size))
		return -ESTALE;
	r = put_beside(s);
	if (r < 0)
		return r;
	gate_say(x->gate, 1,
		 "conflict: somebody else changed the object; theirs keeps the "
		 "name, ours is beside it: key=%s bytes=%llu",
		 s->snap.key, (unsigned long long)i->size);
	conflict_count(s);
	node_lock_wait(n);
	/* More was written meanwhile: the same again, with that. */
	if (n->h.state == META_ACTIVE ||
	    n->content_version != s->snap.content_version)
		r = n->dead ? 0 : -EAGAIN;
	else
		r = n->dead || quarantine_fall_back(n) == 0 ? 0 : -EAGAIN;
	node_unlock(n);
	return r;
}
