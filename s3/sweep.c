/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scratch keys of probes that stayed in the bucket: the probe's DELETE failed,
 * the answer to its first PUT was lost, or the gateway was killed in it.  The
 * bucket itself is the record of them: they are listed, and what is ours or so
 * old that no probe can be at it any more goes, with the uploads that were
 * begun for them.  Whoever asked for the probe repeats this until it succeeds.
 *
 * A name is the scratch prefix, 24 digits of which the first 12 are the same
 * for all probes of one struct s3, and an end that probe.c knows.
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>
#include "s3/remote.h"

#define OLD_NS (3600 * 1000000000LL)	/* a probe takes a minute at most */
#define DIGITS S3_SCRATCH_DIGITS

struct left {
	struct s3_remote *r;
	size_t prefix_len;
	int64_t now_ns;		/* the store's */
	char **keys;
	char **uploads;		/* NULL for objects */
	size_t count;
	int failed;
};

int
s3_scratch_name(struct s3_remote *r, char name[DIGITS + 1])
{
	unsigned char random[DIGITS / 2];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return -EIO;
	s3_hex(random, sizeof(random), name);
	/* The probes of one bucket come one after the other. */
	if (r->scratch[0] == '\0')
		memcpy(r->scratch, name, sizeof(r->scratch) - 1);
	memcpy(name, r->scratch, sizeof(r->scratch) - 1);
	return 0;
}

static bool
is_left(const struct left *l, const char *key, int64_t since_ns)
{
	const char *name;

	if (strlen(key) < l->prefix_len + DIGITS)
		return false;
	name = key + l->prefix_len;
	if (strspn(name, "0123456789abcdef") < DIGITS)
		return false;
	return (l->r->scratch[0] != '\0' &&
		strncmp(name, l->r->scratch, strlen(l->r->scratch)) == 0) ||
	       (since_ns != 0 && since_ns + OLD_NS < l->now_ns);
}

static int
note(struct left *l, const char *key, const char *upload)
{
	char **keys = reallocarray(l->keys, l->count + 1, sizeof(*keys));
	char **uploads;

	if (keys == NULL)
		return l->failed = -ENOMEM;
	l->keys = keys;
	uploads = reallocarray(l->uploads, l->count + 1, sizeof(*uploads));
	if (uploads == NULL)
		return l->failed = -ENOMEM;
	l->uploads = uploads;
	keys[l->count] = strdup(key);
	uploads[l->count] = upload != NULL ? strdup(upload) : NULL;
	l->count++;
	if (keys[l->count - 1] == NULL ||
	    (upload != NULL && uploads[l->count - 1] == NULL))
		l->failed = -ENOMEM;
	return l->failed;
}

static int
one_object(void *arg, const struct s3_entry *e)
{
	struct left *l = arg;

	return is_left(l, e->key, e->mtime_ns) ? note(l, e->key, NULL) : 0;
}

static int
one_upload(void *arg, const char *key, const char *upload, int64_t since_ns)
{
	struct left *l = arg;

	return is_left(l, key, since_ns) ? note(l, key, upload) : 0;
}

static int
list_objects(struct left *l, const char *prefix, struct s3_error *err)
{
	struct s3_list list = { .prefix = prefix };
	char *token = NULL, *next = NULL;
	int r;

	do {
		list.token = token;
		next = NULL;
		r = s3_remote_list_page(&l->r->base, &list, one_object, l,
					&next, err);
		free(token);
		token = next;
	} while (r == 0 && token != NULL);
	free(token);
	return l->failed != 0 ? l->failed : r;
}

static void
left_fini(struct left *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->keys[i]);
		free(l->uploads[i]);
	}
	free(l->keys);
	free(l->uploads);
}

int
s3_remote_sweep(struct s3 *s3, const char *scratch_prefix,
		struct s3_error *err)
{
	struct left l = { .r = s3_to_remote(s3),
			  .prefix_len = strlen(scratch_prefix) };
	int r, one;

	l.now_ns = s3_clock_ns(s3);
	r = list_objects(&l, scratch_prefix, err);
	/* A store that does not list them, or not for us, has none to tell. */
	if (r == 0) {
		one = s3_remote_upload_list(s3, scratch_prefix, one_upload,
					    &l, err);
		r = l.failed != 0 ? l.failed : one == -EAGAIN ? one : 0;
	}
	for (size_t i = 0; l.failed == 0 && i < l.count; i++) {
		one = l.uploads[i] != NULL ?
		      s3_remote_upload_abort(s3, l.keys[i], l.uploads[i],
					     err) :
		      s3_remote_delete(s3, l.keys[i], NULL, err);
		if (one < 0 && one != -ENOENT)
			r = one;
	}
	left_fini(&l);
	return r;
}
