/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a version gets into the bucket: one PUT up to 16 MiB, a multipart
 * upload beyond, a CopyObject when only attributes or the name changed.
 *
 * Parts go out side by side.  A part that is unchanged base is copied by the
 * store (UploadPartCopy, pinned to the base's ETag), so that a small change
 * of a large object sends a small part of it (plan.c).  Everything is
 * conditional on what we believe lies at the key: where the store ignores
 * conditions a HEAD just before takes their place.
 */

#include <config.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"

#define PARTS_AT_ONCE 8

/* ---- bodies ---- */

struct body {			/* [off, off + len) of the snapshot */
	struct sending *s;
	uint64_t off;
	const char *memory;	/* or here, if the base had to be fetched */
	uint64_t taken;		/* of the budget, for that */
	uint64_t sent;		/* of which is known already */
};

static ssize_t
body_read(void *arg, uint64_t off, void *buf, size_t len)
{
	struct body *b = arg;
	int r;

	if (upload_cancelled(b->s))
		return -ECANCELED;
	if (b->memory != NULL) {
		memcpy(buf, b->memory + off, len);
		return (ssize_t)len;
	}
	r = snapshot_read(&b->s->snap, b->off + off, buf, len);
	return r < 0 ? r : (ssize_t)len;
}

static void
body_sent(void *arg, uint64_t bytes)
{
	struct body *b = arg;

	/* A request that begins anew takes back what it had sent. */
	upload_progress(b->s, (int64_t)(bytes - b->sent));
	b->sent = bytes;
}

/* Bytes of the base cannot be fetched from inside a request's source, which
 * may run on the transfer thread: fetch them into memory first. */
static int
body_open(struct sending *s, uint64_t off, uint64_t len, struct body *b,
	  char **memory)
{
	*b = (struct body){ .s = s, .off = off };
	*memory = NULL;
	if (!snapshot_needs_base(&s->snap, off, len))
		return 0;
	fetch_memory_take(s->node, len);
	b->taken = len;
	*memory = malloc(len);
	if (*memory == NULL)
		return -ENOMEM;
	b->memory = *memory;
	return snapshot_read(&s->snap, off, *memory, len);
}

static void
body_close(struct body *b, char *memory)
{
	free(memory);
	if (b->taken > 0)
		fetch_memory_give(b->s->node, b->taken);
}

/* ---- what lies there now ---- */

int
send_look(struct gate_export *x, const char *key, const struct s3_cond *cond,
	  bool parts, struct s3_error *err)
{
	const bool *honoured = parts ? &x->can_complete_if_match
			       : cond->if_match != NULL
				       ? &x->can_put_if_match
				       : &x->can_put_if_none_match;
	struct s3_object o = { 0 };
	int r;

	if ((cond->if_match == NULL && !cond->if_none_match) ||
	    __atomic_load_n(honoured, __ATOMIC_RELAXED))
		return 0;
	r = s3_head(x->s3, key, &o, err);
	if (r == 0)
		r = cond->if_match == NULL ? -EEXIST
		    : strcmp(o.etag, cond->if_match) != 0 ? -ESTALE
							  : 0;
	else if (r == -ENOENT)
		r = cond->if_match != NULL ? -ESTALE : 0;
	s3_object_free(&o);
	return r;
}

/* ---- one PUT ---- */

static ssize_t
target_read(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

static int
send_put(struct sending *s)
{
	struct gate_export *x = s->node->export;
	const struct meta_inode *i = &s->snap.row;
	struct s3_source source = { 0 };
	struct body body = { 0 };
	char *memory = NULL;
	int r = 0;

	if (i->kind == GATE_LNK && i->target != NULL) {
		source = (struct s3_source){ strlen(i->target), target_read,
					     i->target, NULL };
	} else if (i->kind == GATE_REG) {
		r = body_open(s, 0, i->size, &body, &memory);
		source = (struct s3_source){ i->size, body_read, &body,
					     body_sent };
	} else {
		source = (struct s3_source){ 0, target_read, NULL, NULL };
	}
	if (r == 0)
		r = send_look(x, s->snap.key, &s->cond, false, &s->err);
	if (r == 0)
		r = upload_point_of_no_return(s, "", "");
	failpoint("put-before");
	if (r == 0)
		r = s3_put(x->s3, s->snap.key, &source, &s->headers, &s->cond,
			   s->etag, &s->err);
	/* Where AWS has nothing that could match it answers NoSuchKey. */
	if (r == -ENOENT && s->cond.if_match != NULL)
		r = -ESTALE;
	failpoint("put-after");
	body_close(&body, memory);
	return r;
}

/* ---- multipart ---- */

struct parts {
	struct sending *s;
	const char *upload_id;
	struct plan_part *plan;
	struct s3_part *list;
	unsigned count;
	struct mutex mutex;	/* guards what follows */
	pthread_cond_t all_done;
	unsigned next, running;
	int error;
	struct s3_error err;
};

#define NO_PART_COPY_MS 3600000

/* The store does not copy parts after all, or not now: the next try sends the
 * bytes.  It is asked again an hour later. */
static int
send_no_part_copies(struct gate_export *x)
{
	uint64_t now = clock_ms();

	if (__atomic_exchange_n(&x->no_part_copy_ms, now + NO_PART_COPY_MS,
				__ATOMIC_RELAXED) <= now)
		gate_say(x->gate, 1, "the store refuses to copy parts; "
			 "unchanged ones are sent for an hour: export=%s",
			 x->c.name);
	return -EAGAIN;
}

static int
send_part(struct parts *p, unsigned index)
{
	struct sending *s = p->s;
	struct gate_export *x = s->node->export;
	uint64_t off = p->plan[index].off, len = p->plan[index].len;
	struct s3_error err = { 0 };
	struct body body;
	struct s3_source source = { len, body_read, &body, body_sent };
	char *memory = NULL;
	int r;

	p->list[index].number = index + 1;
	if (p->plan[index].copy) {
		r = s3_upload_part_copy(x->s3, s->snap.key, p->upload_id,
					index + 1, s->snap.row.base_key,
					s->snap.row.base_etag, off, len,
					p->list[index].etag, &err);
		upload_progress(s, (int64_t)len);
		if (r == -ENOTSUP)
			r = send_no_part_copies(x);
	} else {
		r = body_open(s, off, len, &body, &memory);
		if (r == 0)
			r = s3_upload_part(x->s3, s->snap.key, p->upload_id,
					   index + 1, &source,
					   p->list[index].etag, &err);
		body_close(&body, memory);
	}
	failpoint("part-after");
	if (r < 0) {
		mutex_lock(&p->mutex);
		if (p->error == 0) {
			p->error = r;
			p->err = err;
		}
		mutex_unlock(&p->mutex);
	}
	return r;
}

/* A runner takes parts until there are none. */
static void
parts_run(void *arg)
{
	struct parts *p = arg;

	mutex_lock(&p->mutex);
	while (p->error == 0 && p->next < p->count) {
		unsigned index = p->next++;

		if (upload_cancelled(p->s)) {
			p->error = -ECANCELED;
			break;
		}
		mutex_unlock(&p->mutex);
		(void)send_part(p, index);
		mutex_lock(&p->mutex);
	}
	if (--p->running == 0)
		pthread_cond_signal(&p->all_done);
	mutex_unlock(&p->mutex);
}

/*
 * The ETag of a multipart object, where the store follows the custom: MD5
 * over the parts' MD5s, "-", their number.  "" if the parts' ETags are
 * none.  Serves to recognise our own work after a lost answer.
 */
static void
expected_etag(const struct s3_part *list, unsigned count,
	      char out[S3_ETAG_MAX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned len = 0;
	int ok = md != NULL && EVP_DigestInit_ex(md, EVP_md5(), NULL);

	for (unsigned i = 0; ok && i < count; i++) {
		unsigned char bytes[16];

		ok = strlen(list[i].etag) == 32;
		for (unsigned j = 0; ok && j < 16; j++)
			ok = sscanf(list[i].etag + 2 * j, "%2hhx",
				    &bytes[j]) == 1;
		ok = ok && EVP_DigestUpdate(md, bytes, sizeof(bytes));
	}
	ok = ok && EVP_DigestFinal_ex(md, digest, &len) && len == 16;
	EVP_MD_CTX_free(md);
	out[0] = '\0';
	for (unsigned j = 0; ok && j < 16; j++)
		sprintf(out + 2 * j, "%02x", digest[j]);
	if (ok)
		snprintf(out + 32, S3_ETAG_MAX - 32, "-%u", count);
}

static int
send_parts(struct sending *s, struct parts *p)
{
	struct gate *g = s->node->export->gate;
	unsigned runners = p->count < PARTS_AT_ONCE ? p->count : PARTS_AT_ONCE;

	p->running = runners;
	/* This thread works too, so that a pool that is full of others
	 * cannot stop it. */
	for (unsigned i = 1; i < runners; i++) {
		if (pool_add(&g->transfers, s->node->export, POOL_NEXT,
			     parts_run, p) < 0) {
			mutex_lock(&p->mutex);
			p->running--;
			mutex_unlock(&p->mutex);
		}
	}
	parts_run(p);
	pool_may_wait(&g->transfers);
	mutex_lock(&p->mutex);
	while (p->running > 0)
		mutex_wait(&p->mutex, &p->all_done, NULL);
	mutex_unlock(&p->mutex);
	if (p->error != 0)
		s->err = p->err;
	return p->error;
}

static int
send_multipart(struct sending *s)
{
	struct gate_export *x = s->node->export;
	const struct plan_file file = {
		.size = s->snap.row.size,
		.base_limit = s->snap.row.base_limit,
		.staged = &s->snap.staged,
		.part_size = x->c.part_size < S3_PART_MIN ? S3_PART_MIN
							  : x->c.part_size,
		.can_copy = !s->base_gone && upload_may_copy_parts(x),
		.equal = x->c.equal_parts,
	};
	struct parts p = { .s = s, .mutex = MUTEX_INIT(MUTEX_PARTS),
			   .all_done = PTHREAD_COND_INITIALIZER };
	char expect[S3_ETAG_MAX] = "";
	char *id = NULL;
	int r;

	r = plan_parts(&file, &p.plan, &p.count);
	if (r < 0)
		return r;
	/* The key is on record before the store knows of the upload, so that
	 * one that a crash leaves behind can be found. */
	r = upload_clear_parts(s);
	if (r == 0)
		r = upload_begun(s, "", file.part_size);
	p.list = calloc(p.count, sizeof(*p.list));
	if (r == 0 && p.list == NULL)
		r = -ENOMEM;
	failpoint("create-upload-before");
	if (r == 0)
		r = s3_upload_create(x->s3, s->snap.key, &s->headers, &id,
				     &s->err);
	upload_created(s);
	failpoint("create-upload-after");
	if (r == 0) {
		p.upload_id = id;
		r = upload_begun(s, id, file.part_size);
		failpoint("id-recorded");
		if (r == 0)
			r = send_parts(s, &p);
		if (r == 0)
			r = send_look(x, s->snap.key, &s->cond, true, &s->err);
		if (r == 0) {
			expected_etag(p.list, p.count, expect);
			r = upload_point_of_no_return(s, id, expect);
		}
		failpoint("complete-before");
		if (r == 0) {
			r = s3_upload_complete(x->s3, s->snap.key, id, p.list,
					       p.count, &s->cond, s->etag,
					       &s->err);
			failpoint("complete-after");
			/* Gone: perhaps by our own first try. */
			if (r == -ENOENT)
				r = -EEXIST;
			/* The bytes are there: tags are not worth failing. */
			if (r == 0 && s3_extras_ensure(x->s3, s->snap.key,
						       &s->headers, NULL) < 0)
				gate_say(x->gate, 1, "tags are lost: key=%s",
					 s->snap.key);
		}
		if (r < 0 && s3_upload_abort(x->s3, s->snap.key, id, NULL) == 0)
			upload_parts_cleared(s);
	}
	free(id);
	free(p.list);
	free(p.plan);
	mutex_destroy(&p.mutex);
	pthread_cond_destroy(&p.all_done);
	return r;
}

/* ---- copies ---- */

static int
send_copy(struct sending *s)
{
	struct gate_export *x = s->node->export;
	int r = upload_point_of_no_return(s, "", "");

	if (r < 0)
		return r;
	s->cond.source_size = s->snap.row.base_size + 1;
	failpoint("copy-before");
	r = s3_copy(x->s3, s->snap.row.base_key, s->snap.row.base_etag,
		    s->snap.key, &s->headers, &s->cond, s->etag, &s->err);
	failpoint("copy-after");
	/* As for a PUT, or what it copies from is gone. */
	return r == -ENOENT ? -ESTALE : r;
}

/* ---- what the next version carries, and what must be at the key ---- */

static bool
same_headers(const struct s3_headers *a, const struct s3_headers *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++) {
		const char *v = s3_headers_get(b, a->list[i].name);

		same = v != NULL && strcmp(v, a->list[i].value) == 0;
	}
	return same;
}

/* Only attributes or the name changed: the store has the bytes. */
static bool
sends_copy(const struct gate_export *x, const struct meta_inode *i)
{
	if (i->base_key[0] == '\0')
		return false;
	/* Somebody put bytes into a directory's object: they stay. */
	if (i->kind == GATE_DIR)
		return i->base_size > 0;
	if (i->data_dirty)
		return false;
	return i->kind == GATE_REG && i->base_limit == i->base_size &&
	       i->size == i->base_size && i->size <= x->copy_max;
}

/* on_conflict=overwrite, of a file that has another name than its object: what
 * it replaces is told as well. */
static int
tell_overwritten(struct sending *s)
{
	struct gate_export *x = s->node->export;
	struct s3_object o = { 0 };
	int r = s3_head(x->s3, s->snap.key, &o, &s->err);

	if (r == 0 && strcmp(o.etag, s->snap.row.dest_etag) != 0) {
		conflict_count(s);
		gate_say(x->gate, 1, "conflict: what somebody else did to the "
			 "object is overwritten: key=%s", s->snap.key);
	}
	s3_object_free(&o);
	return r == -ENOENT ? 0 : r;
}

/*
 * The object we build on may carry headers that are not ours: they stay.
 * Also the look that takes the place of conditions a store ignores.  1: the
 * object says it all already, perhaps because a crash came after our copy.
 */
static int
prepare(struct sending *s)
{
	struct gate_export *x = s->node->export;
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	const char *from = i->base_key[0] != '\0' ? i->base_key : s->snap.key;
	bool same_key = strcmp(from, s->snap.key) == 0;
	bool expects = i->base_key[0] != '\0' || i->dest_etag[0] != '\0';
	bool none_match = __atomic_load_n(&x->can_put_if_none_match,
					  __ATOMIC_RELAXED);
	bool found = false;
	int r = 0;

	/* Without conditions this is how a conflict is noticed. */
	if (expects || !none_match || !same_key ||
	    x->c.on_conflict == GATE_CONFLICT_OVERWRITE) {
		r = s3_head(x->s3, from, &o, &s->err);
		if (r == 0 && i->base_etag[0] != '\0' &&
		    i->base_key[0] != '\0' &&
		    strcmp(o.etag, i->base_etag) != 0)
			r = -ESTALE;
		else if (r == 0 && !expects && i->kind != GATE_DIR)
			r = -EEXIST;
		else if (r == -ENOENT)
			r = i->base_key[0] != '\0' ? -ESTALE : 0;
		/* What was there does not matter, if nothing of it is in
		 * ours. */
		if ((r == -ESTALE || r == -EEXIST) &&
		    x->c.on_conflict == GATE_CONFLICT_OVERWRITE &&
		    i->kind == GATE_REG && i->data_dirty &&
		    (i->size == 0 ||
		     !snapshot_needs_base(&s->snap, 0, i->size))) {
			conflict_count(s);
			gate_say(x->gate, 1,
				 "conflict: what somebody else did to the "
				 "object is overwritten: key=%s",
				 s->snap.key);
			s->base_gone = true;
			r = 0;
		}
		if (r == 0)
			r = s3_headers_copy(&o.headers, &s->headers);
		found = r == 0 && o.etag[0] != '\0';
		if (r < 0) {
			s3_object_free(&o);
			return r;
		}
	}
	/* An alias gets what the file's object has, no more and no less. */
	r = i->link_ino != 0 ? 0 : object_headers(x, i, &s->headers);
	if (r == 0)
		r = link_mark_write(x, s->snap.key, i,
				    i->link_version + (i->link_ino == 0),
				    &s->headers);
	if (r == 0 && same_key && !i->data_dirty && i->base_key[0] != '\0' &&
	    same_headers(&o.headers, &s->headers)) {
		snprintf(s->etag, sizeof(s->etag), "%s", o.etag);
		r = 1;
	}
	/* Tags and the like, which no HEAD tells.  Not before that: they
	 * would always differ. */
	if (r == 0 && found)
		r = s3_extras(x->s3, from, &o, sends_copy(x, i), &s->headers,
			      &s->err);
	s3_object_free(&o);
	if (r != 0)
		return r;
	if (x->c.on_conflict == GATE_CONFLICT_OVERWRITE && i->kind != GATE_DIR)
		return same_key ? 0 : tell_overwritten(s);
	if (i->dest_etag[0] != '\0')
		s->cond.if_match = i->dest_etag;
	else
		s->cond.if_none_match = true;
	return 0;
}

/* ---- relocating ---- */

/* Larger than one copy may be: part by part.  What the object carries is
 * asked for, since a multipart upload begins with it. */
static int
relocate_parts(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	int r = s3_head(s->node->export->s3, i->base_key, &o, &s->err);

	if (r == 0 && i->base_etag[0] != '\0' &&
	    strcmp(o.etag, i->base_etag) != 0)
		r = -ESTALE;
	if (r == 0)
		r = s3_headers_copy(&o.headers, &s->headers);
	if (r == 0)
		r = s3_extras(s->node->export->s3, i->base_key, &o, false,
			      &s->headers, &s->err);
	s3_object_free(&o);
	return r < 0 ? r : send_multipart(s);
}

/*
 * An object of which nothing but its name, size and ETag was ever read may be
 * one of several names of a file: then its mark, which speaks of its key, has
 * to be another one, and it takes the longer way.  -ECANCELED: it is.
 */
static int
look_for_mark(struct sending *s)
{
	struct node *n = s->node;
	const struct meta_inode *i = &s->snap.row;
	struct link_mark mark;
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct s3_object o = { 0 };
	bool link;
	int r;

	if (i->attr_known || i->kind == GATE_DIR)
		return 0;
	r = s3_head(n->export->s3, i->base_key, &o, &s->err);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	link = link_mark_read(n->export, i->base_key, &o.headers, &mark);
	s3_object_free(&o);
	if (!link)
		return 0;
	r = object_learn(n);
	if (r < 0)
		return r;
	node_lock_wait(n);
	r = upload_copy_row(n, &row);
	row.attr_dirty |= row.name_dirty;
	if (r == 0)
		r = upload_put_row(n, &row);
	node_unlock(n);
	return r < 0 ? r : -ECANCELED;
}

/* The object goes to another key as it is, with all that is known of it and
 * all that is not.  The ETag tells that it has arrived whole; where a copy
 * has another one (of a multipart upload, or encrypted), a look does. */
static int
send_relocation(struct sending *s)
{
	struct gate_export *x = s->node->export;
	const struct meta_inode *i = &s->snap.row;
	const char *if_match = i->base_etag[0] != '\0' ? i->base_etag : NULL;
	struct s3_object o = { 0 };
	int r;

	s->cond.source_size = i->base_size + 1;	/* never 0 */
	s->cond.if_none_match = i->kind != GATE_DIR &&
		x->c.on_conflict != GATE_CONFLICT_OVERWRITE;
	/* A directory's marker replaces whatever marker is there, but no
	 * bytes that somebody has put into one. */
	if (i->kind == GATE_DIR && i->base_size == 0) {
		r = s3_head(x->s3, s->snap.key, &o, &s->err);
		if (r == 0 && o.size > 0) {
			snprintf(s->etag, sizeof(s->etag), "%s", o.etag);
			s->snap.row.base_size = o.size;
			s3_object_free(&o);
			return 0;
		}
		s3_object_free(&o);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	r = look_for_mark(s);
	if (r < 0)
		return r;
	if (i->base_size > x->copy_max)
		return relocate_parts(s);
	r = upload_point_of_no_return(s, "", "");
	if (r < 0)
		return r;
	failpoint("dirmove-copy-before");
	r = s3_copy(x->s3, i->base_key, if_match, s->snap.key, NULL, &s->cond,
		    s->etag, &s->err);
	failpoint("dirmove-copy-after");
	if (r == 0 && strcmp(s->etag, i->base_etag) != 0) {
		r = s3_head(x->s3, s->snap.key, &o, &s->err);
		if (r == 0 && (o.size != i->base_size ||
			       strcmp(o.etag, s->etag) != 0))
			r = -EBADMSG;
		s3_object_free(&o);
		return r == -ENOENT ? -EBADMSG : r;
	}
	return r == -ENOENT ? -ESTALE : r;
}

int
send_bytes(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;

	if (i->kind == GATE_REG && i->size > SMALL_UPLOAD)
		return send_multipart(s);
	return send_put(s);
}

int
send_version(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	int r;

	if (send_is_relocation(s))
		return send_relocation(s);
	r = prepare(s);
	if (r != 0)
		return r < 0 ? r : 0;
	if (sends_copy(s->node->export, i))
		return send_copy(s);
	return send_bytes(s);
}
