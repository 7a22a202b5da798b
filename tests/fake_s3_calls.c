/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3.h over the bucket of fake_s3.c.  A call takes the mutex (begin), which
 * is where it fails, is slow or is held as the test has asked for, does its
 * work, and lets go (end), where its answer may be lost.  A call that fails has
 * done nothing, but for one whose answer is lost, which has done all.
 */

#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "tests/fake_s3_priv.h"

static int
condition(struct s3 *s3, const char *key, const struct s3_cond *cond)
{
	const struct object *o = fake_s3_find(s3, key);

	if (cond == NULL)
		return 0;
	if (cond->if_none_match)
		return o == NULL ? 0 : -EEXIST;
	if (cond->if_match != NULL && o == NULL)
		return -ENOENT;
	if (cond->if_match != NULL && strcmp(o->etag, cond->if_match) != 0)
		return -ESTALE;
	return 0;
}

/* Its bytes are asked for, or with head its metadata. */
static int
locked(const struct object *o, bool head, struct s3_error *err)
{
	bool archived = o->lock == FAKE_S3_ARCHIVED ||
			o->lock == FAKE_S3_UNTOLD ||
			o->lock == FAKE_S3_LISTED;

	if (o->lock == FAKE_S3_OPEN || o->lock == FAKE_S3_RESTORED ||
	    (archived && head))
		return 0;
	if (err != NULL)
		strcpy(err->code, archived ? "InvalidObjectState"
					   : "InvalidRequest");
	return -EACCES;
}

enum s3_locked
s3_error_locked(int result, const struct s3_error *err)
{
	if (result < 0 && strcmp(err->code, "InvalidObjectState") == 0)
		return S3_LOCKED_ARCHIVED;
	return result < 0 && strcmp(err->code, "InvalidRequest") == 0
		       ? S3_LOCKED_ENCRYPTED
		       : S3_LOCKED_NOT;
}

/* Every call begins here and takes the mutex.  <0: fail with that. */
static int
begin(struct s3 *s3, enum s3_op op)
{
	struct fault *f = &s3->faults[op];
	int r = 0;

	pthread_mutex_lock(&s3->mutex);
	s3->calls[op]++;
	if (f->times > 0 && f->skip > 0) {
		f->skip--;
	} else if (f->times > 0) {
		f->times--;
		r = f->result;
	}
	if (f->slow_ms > 0 && !s3->cancelled) {
		struct timespec ts = { f->slow_ms / 1000,
				       f->slow_ms % 1000 * 1000000L };

		if (++f->now > f->peak)
			f->peak = f->now;
		pthread_mutex_unlock(&s3->mutex);
		nanosleep(&ts, NULL);
		pthread_mutex_lock(&s3->mutex);
		f->now--;
	}
	while (f->hold && !s3->cancelled) {
		s3->held++;
		pthread_cond_broadcast(&s3->changed);
		pthread_cond_wait(&s3->changed, &s3->mutex);
		s3->held--;
	}
	return s3->cancelled ? -EAGAIN : r;
}

static int
end(struct s3 *s3, enum s3_op op, int r)
{
	if (s3->faults[op].lost < 0 && r >= 0) {
		r = s3->faults[op].lost;
		s3->faults[op].lost = 0;
	}
	pthread_mutex_unlock(&s3->mutex);
	return r;
}

void
s3_cancel(struct s3 *s3)
{
	pthread_mutex_lock(&s3->mutex);
	s3->cancelled = true;
	pthread_cond_broadcast(&s3->changed);
	pthread_mutex_unlock(&s3->mutex);
}

int
s3_probe(struct s3 *s3, const char *scratch, struct s3_caps *out,
	 struct s3_error *err)
{
	(void)s3, (void)scratch, (void)err;
	*out = s3->caps;
	return 0;
}

static void
tell(const struct object *o, struct s3_object *out)
{
	*out = (struct s3_object){ .size = o->size, .mtime_ns = o->mtime_ns };
	out->cold = o->lock == FAKE_S3_ARCHIVED ||
		    o->lock == FAKE_S3_RESTORED;
	out->class_told = o->lock != FAKE_S3_UNTOLD &&
			  o->lock != FAKE_S3_LISTED;
	strcpy(out->etag, o->etag);
	(void)!s3_headers_copy(&o->headers, &out->headers);
}

int
s3_head(struct s3 *s3, const char *key, struct s3_object *out,
	struct s3_error *err)
{
	int r = begin(s3, S3_OP_HEAD);
	const struct object *o = fake_s3_find(s3, key);

	if (r == 0 && o == NULL)
		r = -ENOENT;
	if (r == 0)
		r = locked(o, true, err);
	if (r == 0)
		tell(o, out);
	return end(s3, S3_OP_HEAD, r);
}

ssize_t
s3_get(struct s3 *s3, const char *key, const char *if_match, uint64_t off,
       void *buf, size_t len, struct s3_object *out, struct s3_error *err)
{
	int r = begin(s3, S3_OP_GET);
	const struct object *o = fake_s3_find(s3, key);

	if (r == 0 && o == NULL)
		r = -ENOENT;
	if (r == 0)
		r = locked(o, false, err);
	if (r == 0 && if_match != NULL && strcmp(o->etag, if_match) != 0)
		r = -ESTALE;
	if (r == 0) {
		if (off > o->size)
			off = o->size;
		if (len > o->size - off)
			len = o->size - off;
		memcpy(buf, o->data + off, len);
		if (out != NULL)
			tell(o, out);
	}
	r = end(s3, S3_OP_GET, r);
	return r < 0 ? r : (ssize_t)len;
}

/* Read a body in pieces, without the mutex. */
static int
swallow(struct s3 *s3, const struct s3_source *body, char **out)
{
	char *data = malloc(body->len + 1);
	int r = 0;

	pthread_mutex_unlock(&s3->mutex);
	for (uint64_t off = 0; r == 0 && off < body->len;) {
		size_t n = body->len - off < 65536 ? body->len - off : 65536;
		ssize_t got = body->read(body->arg, off, data + off, n);

		if (got < 0)
			r = (int)got;
		else if (got != (ssize_t)n)
			r = -EIO;
		else if (body->sent != NULL)
			body->sent(body->arg, off + n);
		off += n;
	}
	pthread_mutex_lock(&s3->mutex);
	if (r < 0)
		free(data);
	else
		*out = data;
	return r;
}

bool
s3_trouble(struct s3 *s3, struct s3_trouble *out)
{
	(void)s3;
	memset(out, 0, sizeof(*out));
	return false;
}

void
s3_stats(struct s3 *s3, struct s3_stats *out)
{
	(void)s3;
	memset(out, 0, sizeof(*out));
}

int64_t
s3_clock_ns(struct s3 *s3)
{
	struct timespec now;

	(void)s3;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int
s3_restore(struct s3 *s3, const char *key, unsigned days, struct s3_error *err)
{
	(void)s3, (void)key, (void)days, (void)err;
	return -ENOTSUP;
}

bool
s3_is_away(struct s3 *s3, struct s3_absence *out)
{
	bool away;

	pthread_mutex_lock(&s3->mutex);
	away = s3->away;
	pthread_mutex_unlock(&s3->mutex);
	if (out != NULL)
		*out = (struct s3_absence){ .since_ns = 1, .why = "fake" };
	return away;
}

bool
s3_keys_any_bytes(const struct s3 *s3)
{
	(void)s3;
	return false;
}

/* Tags are headers here, and nobody has an ACL. */
int
s3_extras(struct s3 *s3, const char *key, const struct s3_object *object,
	  bool copy, struct s3_headers *headers, struct s3_error *err)
{
	int r = begin(s3, S3_OP_EXTRAS);

	(void)key, (void)object, (void)copy, (void)headers, (void)err;
	return end(s3, S3_OP_EXTRAS, r);
}

int
s3_extras_ensure(struct s3 *s3, const char *key,
		 const struct s3_headers *headers, struct s3_error *err)
{
	(void)s3, (void)key, (void)headers, (void)err;
	return 0;
}

int
s3_put(struct s3 *s3, const char *key, const struct s3_source *body,
       const struct s3_headers *headers, const struct s3_cond *cond,
       char etag[S3_ETAG_MAX], struct s3_error *err)
{
	char *data = NULL;
	int r = begin(s3, S3_OP_PUT);

	(void)err;
	if (r == 0)
		r = swallow(s3, body, &data);
	if (r == 0 && cond != NULL &&
	    (cond->if_match != NULL ? s3->caps.put_if_match
				    : s3->caps.put_if_none_match))
		r = condition(s3, key, cond);
	if (r == 0)
		strcpy(etag, fake_s3_store(s3, key, data, body->len,
					   headers)->etag);
	else
		free(data);
	return end(s3, S3_OP_PUT, r);
}

static struct multipart *
find_upload(struct s3 *s3, const char *key, const char *id)
{
	struct multipart *m;

	LIST_FOREACH(m, &s3->uploads, link) {
		if (strcmp(m->key, key) == 0 && strcmp(m->id, id) == 0)
			break;
	}
	return m;
}

int
s3_upload_create(struct s3 *s3, const char *key,
		 const struct s3_headers *headers, char **upload_id,
		 struct s3_error *err)
{
	struct multipart *m;
	int r = begin(s3, S3_OP_CREATE);

	(void)err;
	if (r == 0) {
		m = calloc(1, sizeof(*m));
		snprintf(m->key, sizeof(m->key), "%s", key);
		snprintf(m->id, sizeof(m->id), "upload-%u", ++s3->next_id);
		m->initiated_ns = s3_clock_ns(s3);
		(void)!s3_headers_copy(headers, &m->headers);
		LIST_INSERT_HEAD(&s3->uploads, m, link);
		*upload_id = strdup(m->id);
	}
	return end(s3, S3_OP_CREATE, r);
}

static int
set_part(struct s3 *s3, const char *key, const char *id, unsigned number,
	 char *data, uint64_t size, char etag[S3_ETAG_MAX])
{
	struct multipart *m = find_upload(s3, key, id);

	if (m == NULL || number == 0 || number > 64) {
		free(data);
		return m == NULL ? -ENOENT : -EFBIG;
	}
	free(m->parts[number - 1].data);
	m->parts[number - 1] = (struct part){ data, size };
	fake_s3_md5(data, size, etag);
	return 0;
}

int
s3_upload_part(struct s3 *s3, const char *key, const char *id,
	       unsigned number, const struct s3_source *body,
	       char etag[S3_ETAG_MAX], struct s3_error *err)
{
	char *data = NULL;
	int r = begin(s3, S3_OP_PART);

	(void)err;
	if (r == 0)
		r = swallow(s3, body, &data);
	if (r == 0)
		r = set_part(s3, key, id, number, data, body->len, etag);
	return end(s3, S3_OP_PART, r);
}

int
s3_upload_part_copy(struct s3 *s3, const char *key, const char *id,
		    unsigned number, const char *source_key,
		    const char *if_match, uint64_t off, uint64_t len,
		    char etag[S3_ETAG_MAX], struct s3_error *err)
{
	int r = begin(s3, S3_OP_PART_COPY);
	const struct object *o = fake_s3_find(s3, source_key);
	char *data;

	if (r == 0 && o == NULL)
		r = -ENOENT;
	if (r == 0)
		r = locked(o, false, err);
	if (r == 0 && if_match != NULL && strcmp(o->etag, if_match) != 0)
		r = -ESTALE;
	if (r == 0 && (off > o->size || len > o->size - off))
		r = -EINVAL;
	if (r == 0) {
		data = malloc(len + 1);
		memcpy(data, o->data + off, len);
		r = set_part(s3, key, id, number, data, len, etag);
	}
	return end(s3, S3_OP_PART_COPY, r);
}

int
s3_upload_complete(struct s3 *s3, const char *key, const char *id,
		   const struct s3_part *parts, size_t count,
		   const struct s3_cond *cond, char etag[S3_ETAG_MAX],
		   struct s3_error *err)
{
	int r = begin(s3, S3_OP_COMPLETE);
	struct multipart *m = find_upload(s3, key, id);
	uint64_t size = 0, at = 0;
	struct object *o;
	char *data;

	(void)err;
	if (r == 0 && m == NULL)
		r = -ENOENT;
	if (r == 0 && s3->caps.complete_if_match)
		r = condition(s3, key, cond);
	if (r < 0)
		return end(s3, S3_OP_COMPLETE, r);
	for (size_t i = 0; i < count; i++)
		size += m->parts[parts[i].number - 1].size;
	data = malloc(size + 1);
	for (size_t i = 0; i < count; i++) {
		const struct part *p = &m->parts[parts[i].number - 1];

		memcpy(data + at, p->data, p->size);
		at += p->size;
	}
	o = fake_s3_store(s3, key, data, size, &m->headers);
	snprintf(o->etag + 32, sizeof(o->etag) - 32, "-%zu", count);
	strcpy(etag, o->etag);
	fake_s3_upload_free(m);
	return end(s3, S3_OP_COMPLETE, 0);
}

int
s3_upload_abort(struct s3 *s3, const char *key, const char *id,
		struct s3_error *err)
{
	int r = begin(s3, S3_OP_ABORT);
	struct multipart *m = find_upload(s3, key, id);

	(void)err;
	if (r == 0 && m != NULL)
		fake_s3_upload_free(m);
	return end(s3, S3_OP_ABORT, r);
}

int
s3_upload_list(struct s3 *s3, const char *prefix,
	       int (*each)(void *arg, const char *key, const char *upload_id,
			   int64_t initiated_ns),
	       void *arg, struct s3_error *err)
{
	int r = begin(s3, S3_OP_LIST_UPLOADS);
	char keys[16][S3_KEY_MAX + 1], ids[16][32];
	int64_t times[16];
	size_t count = 0;
	struct multipart *m;

	(void)err;
	LIST_FOREACH(m, &s3->uploads, link) {
		if (count == 16 ||
		    strncmp(m->key, prefix, strlen(prefix)) != 0)
			continue;
		strcpy(keys[count], m->key);
		times[count] = m->initiated_ns;
		strcpy(ids[count++], m->id);
	}
	r = end(s3, S3_OP_LIST_UPLOADS, r);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = each(arg, keys[i], ids[i], times[i]);
	return r;
}

int
s3_copy(struct s3 *s3, const char *source_key, const char *if_match,
	const char *key, const struct s3_headers *headers,
	const struct s3_cond *cond, char etag[S3_ETAG_MAX],
	struct s3_error *err)
{
	int r = begin(s3, S3_OP_COPY);
	const struct object *o = fake_s3_find(s3, source_key);
	struct s3_headers kept = { 0 };
	char *data;

	if (r == 0 && o == NULL)
		r = -ENOENT;
	if (r == 0)
		r = locked(o, false, err);
	if (r == 0 && if_match != NULL && strcmp(o->etag, if_match) != 0)
		r = -ESTALE;
	if (r == 0)
		r = condition(s3, key, cond);
	if (r == 0) {
		uint64_t size = o->size;

		data = malloc(size + 1);
		memcpy(data, o->data, size);
		(void)!s3_headers_copy(headers ? headers : &o->headers, &kept);
		strcpy(etag, fake_s3_store(s3, key, data, size, &kept)->etag);
		s3_headers_free(&kept);
	}
	return end(s3, S3_OP_COPY, r);
}

/* As SeaweedFS's filer does, which lists that directory for ever. */
static bool
leaves_ghost(struct s3 *s3, const char *key)
{
	size_t len = strlen(key);
	const struct object *o;

	if (len == 0 || key[len - 1] != '/')
		return false;
	LIST_FOREACH(o, &s3->objects, link)
		if (strncmp(o->key, key, len) == 0 && o->key[len] != '\0')
			break;
	return o != NULL;
}

int
s3_delete(struct s3 *s3, const char *key, const char *if_match,
	  struct s3_error *err)
{
	int r = begin(s3, S3_OP_DELETE);
	struct object *o = fake_s3_find(s3, key);

	(void)err;
	/* Rights come first. */
	if (r == 0 && s3->denied != NULL &&
	    strncmp(key, s3->denied, strlen(s3->denied)) == 0)
		r = -EACCES;
	if (r == 0 && o != NULL && if_match != NULL &&
	    s3->caps.delete_if_match && strcmp(o->etag, if_match) != 0)
		r = -ESTALE;
	if (r == 0 && o != NULL) {
		s3->ghosts += leaves_ghost(s3, key);
		fake_s3_drop(o);
	}
	return end(s3, S3_OP_DELETE, r);
}

int
s3_list_page(struct s3 *s3, const struct s3_list *list,
	     int (*each)(void *arg, const struct s3_entry *entry), void *arg,
	     char **next, struct s3_error *err)
{
	int r = begin(s3, S3_OP_LIST);
	size_t len = strlen(list->prefix);
	unsigned count = 0, limit = list->max_keys ? list->max_keys : 1000;
	char last[S3_KEY_MAX + 2] = "";
	const struct object *o;

	(void)err;
	LIST_FOREACH(o, &s3->objects, link) {
		struct s3_entry e = { .key = o->key, .size = o->size,
				      .mtime_ns = o->mtime_ns,
				      .etag = o->etag,
				      .cold = S3_COLD_NO };
		const char *cut;
		char prefix[S3_KEY_MAX + 2];

		if (o->lock == FAKE_S3_ARCHIVED ||
		    o->lock == FAKE_S3_RESTORED ||
		    o->lock == FAKE_S3_LISTED)
			e.cold = S3_COLD_YES;
		else if (o->lock == FAKE_S3_UNTOLD)
			e.cold = S3_COLD_UNTOLD;
		if (r != 0)
			break;
		if (strncmp(o->key, list->prefix, len) != 0 ||
		    (list->token != NULL &&
		     strcmp(o->key, list->token) <= 0) ||
		    (list->start_after != NULL &&
		     strcmp(o->key, list->start_after) <= 0))
			continue;
		cut = list->delimiter == NULL
			      ? NULL
			      : strstr(o->key + len, list->delimiter);
		if (cut != NULL) {
			snprintf(prefix, sizeof(prefix), "%.*s",
				 (int)(cut - o->key + 1), o->key);
			if (strcmp(prefix, last) == 0)
				continue;
			if (list->token != NULL &&
			    strncmp(list->token, prefix, strlen(prefix)) == 0)
				continue;
			e = (struct s3_entry){ .key = prefix,
					       .is_prefix = true };
		}
		if (count == limit) {
			*next = strdup(last);
			break;
		}
		count++;
		e.key_len = strlen(e.key);
		strcpy(last, e.key);
		r = each(arg, &e);
	}
	return end(s3, S3_OP_LIST, r);
}
