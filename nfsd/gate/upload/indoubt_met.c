/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests without an answer.  S3 may have carried out the last request of an
 * upload of which we know nothing but that it went out: the answer was lost,
 * or a crash came before the row.  If the file is unchanged, the next try
 * meets its own object and is done (upload.c).  If it was written meanwhile,
 * the next version meets an older one of its own, and its condition fails as
 * if somebody else had been there.
 *
 * So each version that goes out is noted (node/indoubt.c), with its key, until
 * an answer tells what became of it; and written down with whatever changes the
 * file, its name or its path before that, so that a crash does not make a
 * stranger of it.  What that row need not tell is what the file's own row tells
 * after a crash: that this version may have gone to this key (recover.c).
 *
 * An object at the key that is one of those becomes the base: it has the same
 * bytes as the old base wherever nothing is staged, so that all that is known
 * of staged and cached ranges stays true.  If the base lies under another key,
 * since the file was renamed, or if the object is that of a file whose name
 * was taken, it is only what is replaced.  Files of all kinds are known by
 * what their object says of kind, size, times and owner, or by its ETag;
 * names of a file with several by their mark.  Directories' objects are put
 * without a condition, so that those matter only where the path has left
 * them (change/indoubt_key.c).
 *
 * XXX After a crash with metadata=none only what multipart uploads made is
 * known.
 */

#include <config.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"

bool
indoubt_at(struct node *n, const char *key)
{
	bool at;

	mutex_lock(&n->mutex);
	at = indoubt_at_locked(n, key);
	mutex_unlock(&n->mutex);
	return at;
}

/* ---- one of them is met ---- */

/* base: the object is what we build on from here on.  Else it is what the
 * next version replaces, and no more.  The file lock is held. */
static int
found(struct node *n, const char *key, const struct s3_object *o, bool base)
{
	CLEANUP_CHANGE struct change c;
	struct meta_inode row = { 0 };
	char path[META_KEY_MAX + 2];
	int r;

	change_begin(&c, n->export->gate);
	if (path_key(n, path) < 0)
		path[0] = '\0';
	mutex_lock(&n->mutex);
	r = meta_inode_copy(&n->i, &row);
	/* Where the file is to go another object may lie. */
	if (strcmp(path, key) == 0)
		snprintf(row.dest_etag, sizeof(row.dest_etag), "%s", o->etag);
	mutex_unlock(&n->mutex);
	if (r < 0)
		return -EAGAIN;
	if (base) {
		strcpy(row.base_key, key);
		strcpy(row.base_etag, o->etag);
		row.base_size = o->size;
		row.base_mtime_ns = o->mtime_ns;
		/* Where the path has left it: hidden as such from here on. */
		if (!row.name_dirty && path[0] != '\0' &&
		    strcmp(path, key) != 0)
			dirmove_mark(&row, path);
	}
	meta_put_inode(c.batch, &row);
	mutex_lock(&n->mutex);
	indoubt_rows_locked(n, &c, (const char *const[]){ key, "" }, NULL);
	mutex_unlock(&n->mutex);
	r = change_commit(&c);
	if (r == 0) {
		mutex_lock(&n->mutex);
		strcpy(n->i.base_key, row.base_key);
		strcpy(n->i.base_etag, row.base_etag);
		strcpy(n->i.dest_etag, row.dest_etag);
		n->i.base_size = row.base_size;
		n->i.base_mtime_ns = row.base_mtime_ns;
		n->i.name_dirty = row.name_dirty;
		n->i.relocating = row.relocating;
		n->i.attr_dirty |= row.attr_dirty;
		n->d.fetch_error = 0;
		indoubt_forget_locked(n, key);
		mutex_unlock(&n->mutex);
	}
	meta_inode_fini(&row);
	return r < 0 ? -EAGAIN : 0;
}

/* The MD5 of the snapshot, as the ETag of one PUT spells it. */
static bool
md5_of(const struct snapshot *snap, char out[33])
{
	const size_t step = 256 << 10;
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	char *buf = malloc(step);
	bool ok = md != NULL && buf != NULL &&
		  EVP_DigestInit_ex(md, EVP_md5(), NULL);

	for (uint64_t off = 0; ok && off < snap->row.size; off += step) {
		size_t len = snap->row.size - off < step
				     ? (size_t)(snap->row.size - off)
				     : step;

		ok = snapshot_read(snap, off, buf, len) == 0 &&
		     EVP_DigestUpdate(md, buf, len);
	}
	ok = ok && EVP_DigestFinal_ex(md, digest, NULL);
	for (unsigned i = 0; ok && i < 16; i++)
		sprintf(out + 2 * i, "%02x", digest[i]);
	EVP_MD_CTX_free(md);
	free(buf);
	return ok;
}

bool
indoubt_same_bytes(const struct sending *s, const struct s3_object *o)
{
	const struct meta_inode *i = &s->snap.row;
	char md5[33];

	if (s->node->export->c.metadata != GATE_META_NONE ||
	    i->kind != GATE_REG || o->size != i->size)
		return false;
	/* A copy. */
	if (!i->data_dirty && i->base_key[0] != '\0')
		return strcmp(o->etag, i->base_etag) == 0;
	return i->size <= SMALL_UPLOAD && strlen(o->etag) == 32 &&
	       !snapshot_needs_base(&s->snap, 0, i->size) &&
	       md5_of(&s->snap, md5) && strcmp(md5, o->etag) == 0;
}

void
indoubt_ended(struct sending *s, const char *key)
{
	const struct meta_inode *i = &s->snap.row;
	bool bare = s->node->export->c.metadata == GATE_META_NONE &&
		    i->kind == GATE_REG && i->data_dirty &&
		    i->size <= SMALL_UPLOAD &&
		    !snapshot_needs_base(&s->snap, 0, i->size);
	struct meta_indoubt sent, before;
	struct indoubt *l;
	char md5[33] = "";
	bool dead;

	indoubt_version(key, i, "", &before);
	if (bare && !md5_of(&s->snap, md5))
		md5[0] = '\0';
	indoubt_version(key, i, md5, &sent);
	mutex_lock(&s->node->mutex);
	LIST_FOREACH(l, &s->node->up.indoubt, link) {
		if (indoubt_same(&l->sent, &before))
			l->sent = sent;
	}
	dead = s->node->dead;
	mutex_unlock(&s->node->mutex);
	if (dead)
		delete_doubt(s->node->export, &sent);
}

/* It is of ours, and nothing will ever replace it.  The file lock is held. */
static int
drop(struct node *n, const char *key, const struct s3_object *o)
{
	CLEANUP_CHANGE struct change c;

	change_begin(&c, n->export->gate);
	(void)change_delete(&c, n->export, key, o->etag, true);
	return change_commit(&c) < 0 ? -EAGAIN : 0;
}

/* What is found at a key. */
struct seen {
	struct s3_object o;
	struct meta_inode i;
	struct link_mark mark;
};

static int
look(struct node *n, const char *key, struct seen *seen)
{
	int r;

	*seen = (struct seen){ 0 };
	r = s3_head(n->export->s3, key, &seen->o, NULL);
	if (r < 0)
		return r;
	object_to_inode(n->export, key, &seen->o, &seen->i);
	(void)link_mark_read(n->export, key, &seen->o.headers, &seen->mark);
	return 0;
}

static void
look_end(struct seen *seen)
{
	meta_inode_fini(&seen->i);
	s3_object_free(&seen->o);
}

static bool
made(const struct meta_indoubt *l, const struct seen *seen)
{
	const struct meta_inode *i = &seen->i;

	if (l->etag[0] != '\0' && strcmp(l->etag, seen->o.etag) == 0)
		return true;
	if (l->link_id[0] != '\0' && strcmp(l->link_id, seen->mark.id) == 0)
		return true;
	return i->kind == l->kind && i->mtime_ns == l->mtime_ns &&
	       i->mode == l->mode && i->uid == l->uid && i->gid == l->gid &&
	       (l->kind == GATE_DIR || seen->o.size == l->size);
}

bool
indoubt_is_one_of(struct gate_export *x, const char *key,
		  const struct s3_object *o, const struct meta_indoubt *list,
		  size_t count)
{
	struct seen seen = { .o = *o };
	size_t i = 0;

	object_to_inode(x, key, o, &seen.i);
	(void)link_mark_read(x, key, &o->headers, &seen.mark);
	while (i < count && !made(&list[i], &seen))
		i++;
	meta_inode_fini(&seen.i);
	return i < count;
}

/* Which of them made this object?  NULL: none.  Mutex held. */
static const struct indoubt *
maker_locked(const struct node *n, const char *key, const struct seen *seen)
{
	bool left = (n->i.name_dirty || n->i.relocating) &&
		    strcmp(key, n->i.base_key) == 0;
	const struct indoubt *l;

	mutex_must_hold(&n->mutex);
	/* What we replace: where the path leads.  An object with the same
	 * ETag at the key that it has left is another. */
	if (!left && strcmp(seen->o.etag, n->i.dest_etag) == 0)
		return NULL;
	LIST_FOREACH(l, &n->up.indoubt, link) {
		if (strcmp(l->sent.key, key) == 0 && made(&l->sent, seen))
			return l;
	}
	return NULL;
}

/* Is it what the file builds on from here on?  Mutex held. */
static bool
is_base_locked(const struct node *n, const struct indoubt *l,
	       const struct seen *seen)
{
	mutex_must_hold(&n->mutex);
	return !l->sent.replaced && n->i.link_ino == 0 &&
	       seen->i.kind == n->i.kind &&
	       (strcmp(n->i.base_key, l->sent.key) == 0 ||
		n->i.base_key[0] == '\0') &&
	       seen->o.size >= n->i.base_limit;
}

/* What lies at the key: 1 if it is of ours, and known for that now.  left:
 * nothing of this file goes there any more. */
static int
adopt_at(struct node *n, const char *key, bool left)
{
	struct seen seen;
	const struct indoubt *l;
	bool ours = false, base = false;
	int r = look(n, key, &seen);

	/* Nothing, or nothing that could be seen. */
	if (r < 0)
		return r == -ENOENT || r == -EACCES ? 0 : r;
	node_lock_wait(n);
	mutex_lock(&n->mutex);
	if (!n->dead && (l = maker_locked(n, key, &seen)) != NULL) {
		base = is_base_locked(n, l, &seen);
		/* Our base cannot be there and be another file's. */
		ours = base || strcmp(n->i.base_key, key) != 0;
	}
	mutex_unlock(&n->mutex);
	if (ours && left && !base)
		r = drop(n, key, &seen.o);
	else if (ours)
		r = found(n, key, &seen.o, base);
	node_unlock(n);
	if (ours && r == 0)
		gate_say(n->export->gate, 2,
			 "an upload without an answer had been carried out: "
			 "key=%s", key);
	look_end(&seen);
	return r < 0 ? r : ours && (base || !left);
}

/* A file of a renamed directory, changed since, meets the mere copy of its
 * object, of which nothing was on record when a crash came. */
static int
adopt_copy(struct sending *s)
{
	struct gate_export *x = s->node->export;
	const struct meta_inode *i = &s->snap.row;
	struct s3_object from = { 0 }, to = { 0 };
	bool at, copy;
	int r;

	mutex_lock(&s->node->mutex);
	at = indoubt_at_locked(s->node, s->snap.key);
	mutex_unlock(&s->node->mutex);
	if (!i->relocating || !at || i->base_etag[0] == '\0')
		return 0;
	r = s3_head(x->s3, i->base_key, &from, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = s3_head(x->s3, s->snap.key, &to, NULL);
	copy = r == 0 && strcmp(from.etag, i->base_etag) == 0 &&
	       strcmp(to.etag, i->dest_etag) != 0 &&
	       relocate_is_copy(&from, &to);
	if (copy) {
		node_lock_wait(s->node);
		r = found(s->node, s->snap.key, &to, false);
		node_unlock(s->node);
	}
	s3_object_free(&from);
	s3_object_free(&to);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return copy;
}

int
indoubt_drop(struct node *n, const char *key, const struct s3_object *o)
{
	int r;

	node_lock_wait(n);
	r = node_dead(n) ? 0 : drop(n, key, o);
	node_unlock(n);
	return r;
}

int
indoubt_adopt_left(struct node *n, const char *key)
{
	return adopt_at(n, key, true);
}

int
indoubt_adopt(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	int r = 0;

	/* It was renamed since: what we build on lies elsewhere.  Not what an
	 * alias copies from: that is the file's. */
	if (i->link_ino == 0 && i->base_key[0] != '\0' &&
	    strcmp(i->base_key, s->snap.key) != 0)
		r = adopt_at(s->node, i->base_key, false);
	if (r == 0)
		r = adopt_at(s->node, s->snap.key, false);
	return r != 0 ? r : adopt_copy(s);
}

int
indoubt_adopt_base(struct node *n)
{
	char key[META_KEY_MAX + 2];
	bool ask;

	mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	/* One under way will tell itself. */
	ask = n->up.run != UP_RUNNING && indoubt_at_locked(n, key);
	mutex_unlock(&n->mutex);
	return ask ? adopt_at(n, key, false) : 0;
}

/* ---- a copy of an object that is relocated ---- */

static bool
same_metadata(const struct s3_headers *a, const struct s3_headers *b)
{
	bool any = false;

	for (size_t i = 0; i < a->count; i++) {
		const char *v = s3_headers_get(b, a->list[i].name);

		if (v == NULL || strcmp(v, a->list[i].value) != 0)
			return false;
		any |= text_begins(a->list[i].name, "x-amz-meta-");
	}
	return any && a->count == b->count;
}

bool
relocate_is_copy(const struct s3_object *from, const struct s3_object *to)
{
	return to->size == from->size &&
	       (strcmp(to->etag, from->etag) == 0 ||
		same_metadata(&from->headers, &to->headers));
}
