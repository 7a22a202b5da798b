/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests without an answer.  S3 may have carried out the last request of an
 * upload of which we know nothing but that it went out: the answer was lost,
 * or a crash came before the row.  If the file is unchanged, the next try
 * meets its own object and is done (upload.c).  If it was written meanwhile,
 * the next version meets an older one of its own, and its condition fails as
 * if somebody else had been there.
 *
 * So each version that goes out is noted until an answer tells what became
 * of it.  An object at the key that is one of those becomes the base: it has
 * the same bytes as the old base wherever nothing is staged, so that all
 * that is known of staged and cached ranges stays true.
 *
 * XXX After a crash only the version that was committed last is known, and
 * with metadata=none only what multipart uploads made.
 */

#include <config.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/upload.h"

#define LOST_MAX 4

struct lost {			/* LOST_MAX of them, unused ones zero */
	bool used;
	uint64_t size;
	int64_t mtime_ns;
	uint32_t mode, uid, gid;
	char etag[META_ETAG_MAX];	/* "": not known beforehand */
};

void
lost_note_locked(struct node *n, const struct meta_inode *row,
		 const char *etag)
{
	struct lost *l = n->up.lost;

	n->up.unsure = true;
	if (l == NULL)
		l = n->up.lost = calloc(LOST_MAX, sizeof(*l));
	if (l == NULL)
		return;
	memmove(l + 1, l, (LOST_MAX - 1) * sizeof(*l));
	*l = (struct lost){ true, row->size, row->mtime_ns, row->mode,
			    row->uid, row->gid, "" };
	snprintf(l->etag, sizeof(l->etag), "%s", etag);
}

void
lost_forget_locked(struct node *n)
{
	n->up.unsure = false;
	free(n->up.lost);
	n->up.lost = NULL;
}

/* Mutex held. */
static bool
was_sent_locked(const struct node *n, const struct s3_object *o,
		const struct meta_inode *seen)
{
	const struct lost *l = n->up.lost;

	if (l == NULL || seen->kind != n->i.kind ||
	    o->size < n->i.base_limit ||
	    strcmp(o->etag, n->i.dest_etag) == 0)
		return false;
	for (unsigned i = 0; i < LOST_MAX && l[i].used; i++) {
		if (l[i].etag[0] != '\0' ? strcmp(l[i].etag, o->etag) == 0
					 : o->size == l[i].size &&
						   seen->mtime_ns ==
							   l[i].mtime_ns &&
						   seen->mode == l[i].mode &&
						   seen->uid == l[i].uid &&
						   seen->gid == l[i].gid)
			return true;
	}
	return false;
}

/* The file lock is held. */
static int
rebase(struct node *n, const char *key, const struct s3_object *o)
{
	struct meta_inode row = { 0 };
	struct meta_batch *b = meta_batch_new();
	int r;

	pthread_mutex_lock(&n->mutex);
	r = b == NULL ? -ENOMEM : meta_inode_copy(&n->i, &row);
	pthread_mutex_unlock(&n->mutex);
	if (r < 0) {
		meta_batch_free(&b);
		return -EAGAIN;
	}
	strcpy(row.base_key, key);
	strcpy(row.base_etag, o->etag);
	strcpy(row.dest_etag, o->etag);
	row.base_size = o->size;
	row.base_mtime_ns = o->mtime_ns;
	meta_put_inode(b, &row);
	r = meta_commit(n->export->gate->meta, &b);
	if (r == 0) {
		pthread_mutex_lock(&n->mutex);
		strcpy(n->i.base_key, row.base_key);
		strcpy(n->i.base_etag, row.base_etag);
		strcpy(n->i.dest_etag, row.dest_etag);
		n->i.base_size = row.base_size;
		n->i.base_mtime_ns = row.base_mtime_ns;
		n->d.fetch_error = 0;
		lost_forget_locked(n);
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

int
lost_adopt(struct sending *s)
{
	struct node *n = s->node;
	struct meta_inode seen = { 0 };
	struct s3_object o = { 0 };
	bool ours;
	int r;

	if (s3_head(n->export->s3, s->snap.key, &o, NULL) < 0)
		return 0;
	object_to_inode(n->export, s->snap.key, &o, &seen);
	node_lock_wait(n);
	pthread_mutex_lock(&n->mutex);
	/* A base that lies elsewhere has to go as well: not by this door. */
	ours = !n->dead && n->i.kind == GATE_REG &&
	       (n->i.base_key[0] == '\0' ||
		strcmp(n->i.base_key, s->snap.key) == 0) &&
	       was_sent_locked(n, &o, &seen);
	pthread_mutex_unlock(&n->mutex);
	r = ours ? rebase(n, s->snap.key, &o) : 0;
	node_unlock(n);
	if (ours && r == 0)
		gate_say(n->export->gate, 2,
			 "an upload without an answer had been carried out: "
			 "key=%s", s->snap.key);
	s3_object_free(&o);
	return r < 0 ? r : ours;
}
