/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests without an answer.  S3 may have carried out the last request of an
 * upload of which we know nothing but that it went out: the answer was lost,
 * or a crash came before the row.  If the file is unchanged, the next try
 * meets its own object and is done (upload.c).  If it was written meanwhile,
 * the next version meets an older one of its own, and its condition fails as
 * if somebody else had been there.
 *
 * So each version that goes out is noted, with its key, until an answer tells
 * what became of it; and written down with whatever changes the file before
 * that, so that a crash does not make a stranger of it.  An object at the key that is one of those becomes the
 * base: it has the same bytes as the old base wherever nothing is staged, so
 * that all that is known of staged and cached ranges stays true.  If the base
 * lies under another key, since the file was renamed, or if the object is
 * that of a file whose name was taken, it is only what is replaced.
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

#include "nfsd/gate/names.h"
#include "nfsd/gate/upload.h"

#define LOST_MAX 6

struct lost {			/* LOST_MAX of them, unused ones zero */
	char *key;		/* NULL: unused */
	bool replaced;		/* of a file that this one took the name of */
	uint64_t size;
	int64_t mtime_ns;
	uint32_t mode, uid, gid;
	char etag[META_ETAG_MAX];	/* "": not known beforehand */
};

static void
clear(struct lost *l)
{
	free(l->key);
	*l = (struct lost){ 0 };
}

void
lost_rows_locked(struct node *n, struct meta_batch *b, const char *but)
{
	struct meta_sent rows[LOST_MAX] = { 0 };
	const struct lost *l = n->up.lost;
	size_t count = 0;

	for (unsigned i = 0; l != NULL && i < LOST_MAX; i++) {
		struct meta_sent *row = &rows[count];

		if (l[i].key == NULL ||
		    (but != NULL && strcmp(l[i].key, but) == 0))
			continue;
		snprintf(row->key, sizeof(row->key), "%s", l[i].key);
		strcpy(row->etag, l[i].etag);
		row->replaced = l[i].replaced;
		row->size = l[i].size;
		row->mtime_ns = l[i].mtime_ns;
		row->mode = l[i].mode;
		row->uid = l[i].uid;
		row->gid = l[i].gid;
		count++;
	}
	if (count == 0 && !n->up.sent_rows)
		return;
	meta_put_sent(b, n->ino, rows, count);
	n->up.sent_rows = count > 0;
}

/* Takes what l has. */
static void
remember_locked(struct node *n, struct lost *l)
{
	struct lost *list = n->up.lost;

	if (list == NULL)
		list = n->up.lost = calloc(LOST_MAX, sizeof(*list));
	if (list == NULL || l->key == NULL) {
		clear(l);
		return;
	}
	clear(&list[LOST_MAX - 1]);
	memmove(list + 1, list, (LOST_MAX - 1) * sizeof(*list));
	list[0] = *l;
	*l = (struct lost){ 0 };
}

void
lost_note_locked(struct node *n, const char *key,
		 const struct meta_inode *row, const char *etag)
{
	struct lost l = { .key = strdup(key), .size = row->size,
			  .mtime_ns = row->mtime_ns, .mode = row->mode,
			  .uid = row->uid, .gid = row->gid };

	snprintf(l.etag, sizeof(l.etag), "%s", etag);
	remember_locked(n, &l);
}

void
lost_recover_locked(struct node *n, const struct meta_sent *sent)
{
	struct lost l = { .key = strdup(sent->key),
			  .replaced = sent->replaced,
			  .size = sent->size,
			  .mtime_ns = sent->mtime_ns,
			  .mode = sent->mode,
			  .uid = sent->uid,
			  .gid = sent->gid };

	strcpy(l.etag, sent->etag);
	remember_locked(n, &l);
	n->up.sent_rows = true;
}

void
lost_forget_locked(struct node *n, const char *key)
{
	struct lost *l = n->up.lost;
	bool any = false;

	for (unsigned i = 0; l != NULL && i < LOST_MAX; i++) {
		if (l[i].key != NULL &&
		    (key == NULL || strcmp(l[i].key, key) == 0))
			clear(&l[i]);
		any |= l[i].key != NULL;
	}
	if (!any) {
		free(l);
		n->up.lost = NULL;
	}
}

bool
lost_at_locked(const struct node *n, const char *key)
{
	const struct lost *l = n->up.lost;

	for (unsigned i = 0; l != NULL && i < LOST_MAX; i++) {
		if (l[i].key != NULL && strcmp(l[i].key, key) == 0)
			return true;
	}
	return false;
}

bool
lost_elsewhere_locked(const struct node *n, const char *key,
		      char sent[META_KEY_MAX + 2])
{
	const struct lost *l = n->up.lost;

	for (unsigned i = 0; l != NULL && i < LOST_MAX; i++) {
		if (l[i].key == NULL || strcmp(l[i].key, key) == 0 ||
		    strcmp(l[i].key, n->i.base_key) == 0 ||
		    strlen(l[i].key) > META_KEY_MAX)
			continue;
		strcpy(sent, l[i].key);
		return true;
	}
	return false;
}

void
lost_inherit(struct node *n, struct node *victim, const char *key)
{
	struct lost *l, got[LOST_MAX] = { 0 };

	pthread_mutex_lock(&victim->mutex);
	l = victim->up.lost;
	for (unsigned i = 0; l != NULL && i < LOST_MAX; i++) {
		if (l[i].key == NULL || strcmp(l[i].key, key) != 0)
			continue;
		got[i] = l[i];
		l[i].key = NULL;
		got[i].replaced = true;
	}
	pthread_mutex_unlock(&victim->mutex);
	pthread_mutex_lock(&n->mutex);
	for (unsigned i = 0; i < LOST_MAX; i++) {
		if (got[i].key != NULL)
			remember_locked(n, &got[i]);
	}
	pthread_mutex_unlock(&n->mutex);
}

/* Which of them made this object?  NULL: none.  Mutex held. */
static const struct lost *
maker_locked(const struct node *n, const char *key, const struct s3_object *o,
	     const struct meta_inode *seen)
{
	const struct lost *l = n->up.lost;

	if (seen->kind != GATE_REG || strcmp(o->etag, n->i.dest_etag) == 0)
		return NULL;
	for (unsigned i = 0; l != NULL && i < LOST_MAX; i++) {
		if (l[i].key == NULL || strcmp(l[i].key, key) != 0)
			continue;
		if (l[i].etag[0] != '\0' ? strcmp(l[i].etag, o->etag) == 0
					 : o->size == l[i].size &&
						   seen->mtime_ns ==
							   l[i].mtime_ns &&
						   seen->mode == l[i].mode &&
						   seen->uid == l[i].uid &&
						   seen->gid == l[i].gid)
			return &l[i];
	}
	return NULL;
}

/* base: the object is what we build on from here on.  Else it is what the
 * next version replaces, and no more.  The file lock is held. */
static int
found(struct node *n, const char *key, const struct s3_object *o, bool base)
{
	struct meta_inode row = { 0 };
	struct meta_batch *b = meta_batch_new();
	int r;

	pthread_mutex_lock(&n->mutex);
	r = b == NULL ? -ENOMEM : meta_inode_copy(&n->i, &row);
	/* Where the file is to go another object may lie. */
	if (!base || n->i.base_key[0] == '\0' || !n->i.name_dirty)
		snprintf(row.dest_etag, sizeof(row.dest_etag), "%s", o->etag);
	pthread_mutex_unlock(&n->mutex);
	if (r < 0) {
		meta_batch_free(&b);
		return -EAGAIN;
	}
	if (base) {
		strcpy(row.base_key, key);
		strcpy(row.base_etag, o->etag);
		row.base_size = o->size;
		row.base_mtime_ns = o->mtime_ns;
	}
	meta_put_inode(b, &row);
	pthread_mutex_lock(&n->mutex);
	lost_rows_locked(n, b, key);
	pthread_mutex_unlock(&n->mutex);
	r = meta_commit(n->export->gate->meta, &b);
	if (r == 0) {
		pthread_mutex_lock(&n->mutex);
		strcpy(n->i.base_key, row.base_key);
		strcpy(n->i.base_etag, row.base_etag);
		strcpy(n->i.dest_etag, row.dest_etag);
		n->i.base_size = row.base_size;
		n->i.base_mtime_ns = row.base_mtime_ns;
		n->d.fetch_error = 0;
		lost_forget_locked(n, key);
		pthread_mutex_unlock(&n->mutex);
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
lost_same_bytes(const struct sending *s, const struct s3_object *o)
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

/* It is of ours, and nothing will ever replace it.  The file lock is held. */
static int
drop(struct node *n, const char *key, const struct s3_object *o)
{
	struct meta_batch *b = meta_batch_new();
	struct meta_delete d;
	int r;

	if (b == NULL)
		return -EAGAIN;
	forget_key(n, key, b, &d);
	snprintf(d.etag, sizeof(d.etag), "%s", o->etag);
	meta_put_delete(b, &d);
	hidden_add(n->export, key);
	r = meta_commit(n->export->gate->meta, &b);
	if (r == 0)
		delete_start(n->export, &d);
	else
		hidden_del(n->export, key);
	return r < 0 ? -EAGAIN : 0;
}

/* What lies at the key: 1 if it is of ours, and known for that now.  left:
 * nothing of this file goes there any more. */
static int
adopt_at(struct node *n, const char *key, bool left)
{
	struct meta_inode seen = { 0 };
	struct s3_object o = { 0 };
	const struct lost *l;
	bool ours = false, base = false;
	int r = 0;

	if (s3_head(n->export->s3, key, &o, NULL) < 0)
		return 0;
	object_to_inode(n->export, key, &o, &seen);
	node_lock_wait(n);
	pthread_mutex_lock(&n->mutex);
	if (!n->dead && n->i.kind == GATE_REG &&
	    (l = maker_locked(n, key, &o, &seen)) != NULL) {
		bool here = strcmp(n->i.base_key, key) == 0;

		base = !l->replaced && (here || n->i.base_key[0] == '\0') &&
		       o.size >= n->i.base_limit;
		/* Our base cannot be there and be another file's. */
		ours = base || !here;
	}
	pthread_mutex_unlock(&n->mutex);
	if (ours && left && !base)
		r = drop(n, key, &o);
	else if (ours)
		r = found(n, key, &o, base);
	node_unlock(n);
	if (ours && r == 0)
		gate_say(n->export->gate, 2,
			 "an upload without an answer had been carried out: "
			 "key=%s", key);
	meta_inode_fini(&seen);
	s3_object_free(&o);
	return r < 0 ? r : ours && (base || !left);
}

int
lost_drop(struct node *n, const char *key, const struct s3_object *o)
{
	int r;

	node_lock_wait(n);
	r = node_dead(n) ? 0 : drop(n, key, o);
	node_unlock(n);
	return r;
}

int
lost_adopt_left(struct node *n, const char *key)
{
	return adopt_at(n, key, true);
}

int
lost_adopt(struct sending *s)
{
	const char *base = s->snap.row.base_key;
	int r = 0;

	/* It was renamed since: what we build on lies elsewhere. */
	if (base[0] != '\0' && strcmp(base, s->snap.key) != 0)
		r = adopt_at(s->node, base, false);
	return r != 0 ? r : adopt_at(s->node, s->snap.key, false);
}

int
lost_adopt_base(struct node *n)
{
	char key[META_KEY_MAX + 2];
	bool ask;

	pthread_mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	/* One under way will tell itself. */
	ask = n->up.run != UP_RUNNING && lost_at_locked(n, key);
	pthread_mutex_unlock(&n->mutex);
	return ask ? adopt_at(n, key, false) : 0;
}
