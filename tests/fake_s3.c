/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bucket of fake_s3.h, and what a test does with it: one sorted list of
 * objects under one mutex.  ETags are the MD5 of the bytes, as in S3 proper, so
 * that equal bytes have equal ETags and a copy keeps its source's.  The calls
 * of s3.h: fake_s3_calls.c.
 *
 * A test asks for what is there; memory that it does not get ends it.
 */

#include <config.h>

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "tests/fake_s3_priv.h"

/* ---- objects; mutex held ---- */

void
fake_s3_md5(const void *data, size_t len, char out[S3_ETAG_MAX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	EVP_Digest(data, len, digest, &n, EVP_md5(), NULL);
	for (unsigned i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", digest[i]);
}

struct object *
fake_s3_find(struct s3 *s3, const char *key)
{
	struct object *o;

	LIST_FOREACH(o, &s3->objects, link) {
		if (!o->ghost && strcmp(o->key, key) == 0)
			break;
	}
	return o;
}

void
fake_s3_drop(struct object *o)
{
	LIST_REMOVE(o, link);
	s3_headers_free(&o->headers);
	free(o->data);
	free(o);
}

struct object *
fake_s3_store(struct s3 *s3, const char *key, char *data, uint64_t size,
	      const struct s3_headers *headers)
{
	struct object *o = calloc(1, sizeof(*o)), *old = fake_s3_find(s3, key),
		      *at;
	struct object *last = NULL;

	snprintf(o->key, sizeof(o->key), "%s", key);
	if (headers != NULL)
		(void)!s3_headers_copy(headers, &o->headers);
	if (old != NULL)
		fake_s3_drop(old);
	o->data = data;
	o->size = size;
	o->mtime_ns = s3->clock_ns += 1000000000;
	fake_s3_md5(data, size, o->etag);
	LIST_FOREACH(at, &s3->objects, link) {
		if (strcmp(at->key, key) > 0)
			break;
		last = at;
	}
	if (last == NULL)
		LIST_INSERT_HEAD(&s3->objects, o, link);
	else
		LIST_INSERT_AFTER(last, o, link);
	return o;
}

/* ---- faults ---- */

void
fake_s3_fail(struct s3 *s3, enum s3_op op, unsigned nth, unsigned times,
	     int result)
{
	pthread_mutex_lock(&s3->mutex);
	s3->faults[op].skip = nth - 1;
	s3->faults[op].times = times;
	s3->faults[op].result = result;
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_lose(struct s3 *s3, enum s3_op op, int result)
{
	pthread_mutex_lock(&s3->mutex);
	s3->faults[op].lost = result;
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_hold(struct s3 *s3, enum s3_op op)
{
	pthread_mutex_lock(&s3->mutex);
	s3->faults[op].hold = true;
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_release(struct s3 *s3)
{
	pthread_mutex_lock(&s3->mutex);
	for (unsigned i = 0; i < S3_OP_COUNT; i++)
		s3->faults[i].hold = false;
	pthread_cond_broadcast(&s3->changed);
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_slow(struct s3 *s3, enum s3_op op, unsigned ms)
{
	pthread_mutex_lock(&s3->mutex);
	s3->faults[op].slow_ms = ms;
	pthread_mutex_unlock(&s3->mutex);
}

unsigned
fake_s3_peak(struct s3 *s3, enum s3_op op)
{
	unsigned peak;

	pthread_mutex_lock(&s3->mutex);
	peak = s3->faults[op].peak;
	pthread_mutex_unlock(&s3->mutex);
	return peak;
}

bool
fake_s3_is_held(struct s3 *s3)
{
	struct timespec until;
	bool held;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 30;
	pthread_mutex_lock(&s3->mutex);
	while (s3->held == 0 &&
	       pthread_cond_timedwait(&s3->changed, &s3->mutex, &until) == 0)
		;
	held = s3->held > 0;
	pthread_mutex_unlock(&s3->mutex);
	return held;
}

/* ---- the other side ---- */

struct s3 *
fake_s3_new(void)
{
	struct s3 *s3 = calloc(1, sizeof(*s3));

	pthread_mutex_init(&s3->mutex, NULL);
	pthread_cond_init(&s3->changed, NULL);
	s3->clock_ns = 1600000000LL * 1000000000;
	s3->caps = (struct s3_caps){
		.put_if_none_match = true,
		.put_if_match = true,
		.complete_if_match = true,
		.copy_if_match = true,
		.delete_if_match = true,
		.part_copy = true,
	};
	return s3;
}

void
fake_s3_upload_free(struct multipart *m)
{
	LIST_REMOVE(m, link);
	for (unsigned i = 0; i < 64; i++)
		free(m->parts[i].data);
	s3_headers_free(&m->headers);
	free(m);
}

void
fake_s3_free(struct s3 *s3)
{
	while (!LIST_EMPTY(&s3->objects))
		fake_s3_drop(LIST_FIRST(&s3->objects));
	while (!LIST_EMPTY(&s3->uploads))
		fake_s3_upload_free(LIST_FIRST(&s3->uploads));
	pthread_mutex_destroy(&s3->mutex);
	pthread_cond_destroy(&s3->changed);
	free(s3);
}

void
fake_s3_set(struct s3 *s3, const char *key, const void *data, size_t len)
{
	char *copy = malloc(len + 1);

	memcpy(copy, data, len);
	pthread_mutex_lock(&s3->mutex);
	fake_s3_store(s3, key, copy, len, NULL);
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_ghost(struct s3 *s3, const char *key)
{
	pthread_mutex_lock(&s3->mutex);
	fake_s3_store(s3, key, calloc(1, 1), 0, NULL)->ghost = true;
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_now(struct s3 *s3)
{
	pthread_mutex_lock(&s3->mutex);
	s3->clock_ns = s3_clock_ns(s3);
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_set_mode(struct s3 *s3, const char *key, const char *text,
		 const char *mode)
{
	struct s3_headers h = { 0 };

	(void)!s3_headers_set(&h, "x-amz-meta-file-permissions", mode);
	pthread_mutex_lock(&s3->mutex);
	fake_s3_store(s3, key, strdup(text), strlen(text), &h);
	pthread_mutex_unlock(&s3->mutex);
	s3_headers_free(&h);
}

void
fake_s3_lock(struct s3 *s3, const char *key, enum fake_s3_lock lock)
{
	pthread_mutex_lock(&s3->mutex);
	fake_s3_find(s3, key)->lock = lock;
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_unset(struct s3 *s3, const char *key)
{
	struct object *o;

	pthread_mutex_lock(&s3->mutex);
	o = fake_s3_find(s3, key);
	if (o != NULL)
		fake_s3_drop(o);
	pthread_mutex_unlock(&s3->mutex);
}

bool
fake_s3_has(struct s3 *s3, const char *key)
{
	bool has;

	pthread_mutex_lock(&s3->mutex);
	has = fake_s3_find(s3, key) != NULL;
	pthread_mutex_unlock(&s3->mutex);
	return has;
}

bool
fake_s3_is(struct s3 *s3, const char *key, const void *data, size_t len)
{
	const struct object *o;
	bool same;

	pthread_mutex_lock(&s3->mutex);
	o = fake_s3_find(s3, key);
	same = o != NULL && o->size == len && memcmp(o->data, data, len) == 0;
	pthread_mutex_unlock(&s3->mutex);
	return same;
}

size_t
fake_s3_copy(struct s3 *s3, const char *key, char **data)
{
	const struct object *o;
	size_t len = 0;

	pthread_mutex_lock(&s3->mutex);
	o = fake_s3_find(s3, key);
	if (o != NULL) {
		len = o->size;
		*data = malloc(len + 1);
		memcpy(*data, o->data, len);
	}
	pthread_mutex_unlock(&s3->mutex);
	return len;
}

unsigned
fake_s3_calls(struct s3 *s3, enum s3_op op)
{
	unsigned calls;

	pthread_mutex_lock(&s3->mutex);
	calls = s3->calls[op];
	pthread_mutex_unlock(&s3->mutex);
	return calls;
}

void
fake_s3_begun(struct s3 *s3, const char *key, int64_t initiated_ns)
{
	struct multipart *m = calloc(1, sizeof(*m));

	pthread_mutex_lock(&s3->mutex);
	snprintf(m->key, sizeof(m->key), "%s", key);
	snprintf(m->id, sizeof(m->id), "upload-%u", ++s3->next_id);
	m->initiated_ns = initiated_ns;
	LIST_INSERT_HEAD(&s3->uploads, m, link);
	pthread_mutex_unlock(&s3->mutex);
}

unsigned
fake_s3_uploads(struct s3 *s3)
{
	const struct multipart *m;
	unsigned count = 0;

	pthread_mutex_lock(&s3->mutex);
	LIST_FOREACH(m, &s3->uploads, link)
		count++;
	pthread_mutex_unlock(&s3->mutex);
	return count;
}

void
fake_s3_ignore_complete(struct s3 *s3)
{
	s3->caps.complete_if_match = false;
}

void
fake_s3_deny(struct s3 *s3, const char *prefix)
{
	pthread_mutex_lock(&s3->mutex);
	s3->denied = prefix;
	pthread_mutex_unlock(&s3->mutex);
}

void
fake_s3_caps(struct s3 *s3, const struct s3_caps *caps)
{
	s3->caps = *caps;
}

void
fake_s3_revive(struct s3 *s3)
{
	pthread_mutex_lock(&s3->mutex);
	s3->cancelled = false;
	pthread_mutex_unlock(&s3->mutex);
}

/* Who asks is refused: fake_s3_fail has that. */
void
fake_s3_away(struct s3 *s3, bool away)
{
	pthread_mutex_lock(&s3->mutex);
	s3->away = away;
	pthread_mutex_unlock(&s3->mutex);
}

unsigned
fake_s3_ghosts(struct s3 *s3)
{
	unsigned ghosts;

	pthread_mutex_lock(&s3->mutex);
	ghosts = s3->ghosts;
	pthread_mutex_unlock(&s3->mutex);
	return ghosts;
}
