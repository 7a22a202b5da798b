/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of the room: every public call comes in here, has its arguments
 * checked, is counted, and goes on through the table of the bucket's kind.
 * A caller's mistake is -EINVAL with a line that says which; outputs are
 * written on success only.
 */
#include <config.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/s3_priv.h"
#ifdef FAILPOINTS
#include "s3/fault.h"
#endif

static int
refuse(struct s3_error *err, const char *why)
{
	if (err != NULL) {
		memset(err, 0, sizeof(*err));
		snprintf(err->message, sizeof(err->message), "%s", why);
	}
	return -EINVAL;
}

static void
fill_defaults(struct s3_config *c)
{
	if (c->max_requests == 0)
		c->max_requests = 64;
	if (c->connect_ms == 0)
		c->connect_ms = 5000;
	if (c->stall_ms == 0)
		c->stall_ms = 20000;
	if (c->retry_ms == 0)
		c->retry_ms = 10000;
	if (c->courtesy_ms == 0)
		c->courtesy_ms = 600000;
}

/* The strings are the opener's to copy; here they would dangle. */
static void
forget_strings(struct s3_config *c)
{
	c->url = c->endpoint = c->region = c->profile = c->ca_file = NULL;
	c->client_cert = c->client_key = NULL;
}

int
s3_open(const struct s3_config *config, struct s3 **out, struct s3_error *err)
{
	struct s3_config full = *config;
	int r;

	if (err != NULL)
		memset(err, 0, sizeof(*err));
	fill_defaults(&full);
	if (full.url == NULL)
		return refuse(err, "no bucket URL");
	if (full.max_requests > 4096)
		return refuse(err, "max_requests is above 4096");
	if (strncmp(full.url, "s3://", 5) == 0)
		r = s3_remote_open(&full, out, err);
	else if (strncmp(full.url, "file://", 7) == 0)
		r = s3_local_open(&full, out, err);
	else
		return refuse(err, "a bucket's URL is s3://BUCKET or "
			      "file:///DIR");
	if (r == 0) {
		pthread_mutex_init(&(*out)->ailment.mutex, NULL);
		forget_strings(&(*out)->config);
	}
#ifdef FAILPOINTS
	if (r == 0 && (r = s3_fault_wrap(*out)) != 0)
		s3_close(out);
#endif
	return r;
}

static void
options_free(struct s3_options *o)
{
	free((char *)o->storage_class);
	free((char *)o->sse);
	free((char *)o->sse_kms_key_id);
	free((char *)o->acl);
	*o = (struct s3_options){0};
}

void
s3_close(struct s3 **s3)
{
	if (*s3 == NULL)
		return;
	s3_unwatch(*s3);
	options_free(&(*s3)->options);
	pthread_mutex_destroy(&(*s3)->ailment.mutex);
	(*s3)->ops->close(*s3);
	*s3 = NULL;
}

void
s3_cancel(struct s3 *s3)
{
	s3_watch_stop(s3);
	s3->ops->cancel(s3);
	s3_watch_end(s3);
}

bool
s3_identity(struct s3 *s3, struct s3_identity *out)
{
	if (s3->ops->identity == NULL)
		return false;
	s3->ops->identity(s3, out);
	return true;
}

int64_t
s3_clock_ns(struct s3 *s3)
{
	return s3->ops->clock(s3);
}

bool
s3_keys_any_bytes(const struct s3 *s3)
{
	return s3->any_bytes;
}

static bool
copy_text(const char *from, const char **to)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

static bool
text_ok(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			return false;
	return true;
}

int
s3_set_options(struct s3 *s3, const struct s3_options *options)
{
	struct s3_options o = { .requester_pays = options->requester_pays };

	if (!text_ok(options->storage_class) || !text_ok(options->sse) ||
	    !text_ok(options->sse_kms_key_id) || !text_ok(options->acl))
		return -EINVAL;
	if (!copy_text(options->storage_class, &o.storage_class) ||
	    !copy_text(options->sse, &o.sse) ||
	    !copy_text(options->sse_kms_key_id, &o.sse_kms_key_id) ||
	    !copy_text(options->acl, &o.acl)) {
		options_free(&o);
		return -ENOMEM;
	}
	/* Before other threads use s3: calls read it without a lock. */
	options_free(&s3->options);
	s3->options = o;
	return 0;
}

/* Counting: begin and end embrace every call. */

static void
begin(struct s3 *s3, enum s3_op op)
{
	__atomic_add_fetch(&s3->stats.requests[op], 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&s3->stats.in_flight, 1, __ATOMIC_RELAXED);
}

static ssize_t
count_end(struct s3 *s3, ssize_t result)
{
	__atomic_sub_fetch(&s3->stats.in_flight, 1, __ATOMIC_RELAXED);
	if (result < 0)
		__atomic_add_fetch(&s3->stats.errors, 1, __ATOMIC_RELAXED);
	return result;
}

static ssize_t
end(struct s3 *s3, ssize_t result)
{
	s3_away_hint(s3, result);
	return count_end(s3, result);
}

static void
count_sent(struct s3 *s3, int result, uint64_t bytes)
{
	if (result == 0)
		__atomic_add_fetch(&s3->stats.bytes_sent, bytes,
				   __ATOMIC_RELAXED);
}

void
s3_stats(struct s3 *s3, struct s3_stats *out)
{
	const struct s3_stats *s = &s3->stats;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < 16; i++)
		out->requests[i] = __atomic_load_n(&s->requests[i],
						   __ATOMIC_RELAXED);
	out->retries = __atomic_load_n(&s->retries, __ATOMIC_RELAXED);
	out->errors = __atomic_load_n(&s->errors, __ATOMIC_RELAXED);
	out->bytes_sent = __atomic_load_n(&s->bytes_sent, __ATOMIC_RELAXED);
	out->bytes_received = __atomic_load_n(&s->bytes_received,
					      __ATOMIC_RELAXED);
	out->extras_lost = __atomic_load_n(&s->extras_lost, __ATOMIC_RELAXED);
	out->in_flight = __atomic_load_n(&s->in_flight, __ATOMIC_RELAXED);
}

/* What is wrong with the arguments, or NULL. */

static const char *
bad_key(const char *key)
{
	if (key == NULL || *key == '\0')
		return "the key is empty";
	if (strnlen(key, S3_KEY_MAX + 1) > S3_KEY_MAX)
		return "the key is longer than 1024 bytes";
	return NULL;
}

static const char *
bad_etag(const char *etag)
{
	if (etag != NULL && strnlen(etag, S3_ETAG_MAX) >= S3_ETAG_MAX)
		return "the ETag is too long";
	for (; etag != NULL && *etag != '\0'; etag++)
		if ((unsigned char)*etag < ' ' || *etag == '"' ||
		    *etag == 127)
			return "the ETag has a character that none has";
	return NULL;
}

static const char *
bad_cond(const struct s3_cond *cond)
{
	if (cond != NULL && cond->if_match != NULL && cond->if_none_match)
		return "two conditions at once";
	return cond != NULL ? bad_etag(cond->if_match) : NULL;
}

static const char *
bad_upload(const char *upload_id)
{
	if (upload_id == NULL || *upload_id == '\0' ||
	    strnlen(upload_id, 1025) > 1024)
		return "no upload id";
	return NULL;
}

static const char *
bad_number(unsigned number)
{
	return number < 1 || number > S3_PARTS_MAX ?
	       "a part's number is 1 to 10000" : NULL;
}

static const char *
bad_size(uint64_t size, uint64_t max)
{
	return size > max ? "more bytes than one request can carry" : NULL;
}

#define FIRST(a, b) ((a) ? (a) : (b))

int
s3_probe(struct s3 *s3, const char *scratch_prefix, struct s3_caps *out,
	 struct s3_error *err)
{
	struct s3_caps caps = {0};
	int r;

	if (scratch_prefix == NULL ||
	    strnlen(scratch_prefix, S3_KEY_MAX) > S3_KEY_MAX - 64)
		return refuse(err, "the scratch prefix is too long");
	r = s3->ops->probe(s3, scratch_prefix, &caps, err);
	if (r == 0 && out != NULL)
		*out = caps;
	return r;
}

int
s3_probe_sweep(struct s3 *s3, const char *scratch_prefix, struct s3_error *err)
{
	if (scratch_prefix == NULL || *scratch_prefix == '\0' ||
	    strnlen(scratch_prefix, S3_KEY_MAX) > S3_KEY_MAX - 64)
		return refuse(err, "no scratch prefix");
	return s3->ops->sweep == NULL ? 0 :
	       s3->ops->sweep(s3, scratch_prefix, err);
}

int
s3_head(struct s3 *s3, const char *key, struct s3_object *out,
	struct s3_error *err)
{
	const char *bad = bad_key(key);
	struct s3_asked asked;
	int r;

	if (bad != NULL)
		return refuse(err, bad);
	r = s3_ask_begin(s3, S3_ASK_HEAD, &asked, err);
	if (r < 0)
		return r;
	begin(s3, S3_OP_HEAD);
	r = (int)count_end(s3, s3->ops->head(s3, key, out, err));
	s3_ask_end(s3, S3_ASK_HEAD, &asked, r);
	return r;
}

ssize_t
s3_get(struct s3 *s3, const char *key, const char *if_match, uint64_t off,
       void *buf, size_t len, struct s3_object *out, struct s3_error *err)
{
	const char *bad = FIRST(bad_key(key), bad_etag(if_match));
	ssize_t r;

	if (bad == NULL && (len > SSIZE_MAX || off > INT64_MAX - len))
		bad = "the range is past all ends";
	if (bad != NULL)
		return refuse(err, bad);
	r = s3_ask_begin(s3, S3_ASK_GET, NULL, err);
	if (r < 0)
		return r;
	begin(s3, S3_OP_GET);
	r = end(s3, s3->ops->get(s3, key, if_match, off, buf, len, out, err));
	if (r > 0)
		__atomic_add_fetch(&s3->stats.bytes_received, (uint64_t)r,
				   __ATOMIC_RELAXED);
	return r;
}

int
s3_extras(struct s3 *s3, const char *key, const struct s3_object *object,
	  bool copy, struct s3_headers *headers, struct s3_error *err)
{
	const char *bad = bad_key(key);

	if (bad != NULL)
		return refuse(err, bad);
	if (s3->ops->extras == NULL)
		return 0;
	begin(s3, S3_OP_EXTRAS);
	return (int)end(s3, s3->ops->extras(s3, key, object, copy, headers,
					    err));
}

int
s3_extras_ensure(struct s3 *s3, const char *key,
		 const struct s3_headers *headers, struct s3_error *err)
{
	const char *bad = bad_key(key);

	if (bad != NULL)
		return refuse(err, bad);
	if (s3->ops->extras_ensure == NULL ||
	    s3_headers_get(headers, "x-amz-tagging") == NULL)
		return 0;
	begin(s3, S3_OP_EXTRAS);
	return (int)end(s3, s3->ops->extras_ensure(s3, key, headers, err));
}

int
s3_put(struct s3 *s3, const char *key, const struct s3_source *body,
       const struct s3_headers *headers, const struct s3_cond *cond,
       char etag[S3_ETAG_MAX], struct s3_error *err)
{
	const char *bad = FIRST(bad_key(key), bad_cond(cond));
	int r;

	bad = FIRST(bad, bad_size(body->len, S3_PART_MAX));
	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_PUT);
	r = (int)end(s3, s3->ops->put(s3, key, body, headers, cond, etag,
				      err));
	count_sent(s3, r, body->len);
	return r;
}

int
s3_upload_create(struct s3 *s3, const char *key,
		 const struct s3_headers *headers, char **upload_id,
		 struct s3_error *err)
{
	const char *bad = bad_key(key);

	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_CREATE);
	return (int)end(s3, s3->ops->upload_create(s3, key, headers,
						   upload_id, err));
}

int
s3_upload_part(struct s3 *s3, const char *key, const char *upload_id,
	       unsigned number, const struct s3_source *body,
	       char etag[S3_ETAG_MAX], struct s3_error *err)
{
	const char *bad = FIRST(bad_key(key), bad_upload(upload_id));
	int r;

	bad = FIRST(bad, bad_number(number));
	bad = FIRST(bad, bad_size(body->len, S3_PART_MAX));
	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_PART);
	r = (int)end(s3, s3->ops->upload_part(s3, key, upload_id, number,
					      body, etag, err));
	count_sent(s3, r, body->len);
	return r;
}

int
s3_upload_part_copy(struct s3 *s3, const char *key, const char *upload_id,
		    unsigned number, const char *source_key,
		    const char *if_match, uint64_t off, uint64_t len,
		    char etag[S3_ETAG_MAX], struct s3_error *err)
{
	const char *bad = FIRST(bad_key(key), bad_upload(upload_id));

	bad = FIRST(bad, bad_number(number));
	bad = FIRST(bad, bad_key(source_key));
	bad = FIRST(bad, bad_etag(if_match));
	bad = FIRST(bad, bad_size(len, S3_PART_MAX));
	if (bad == NULL && (len == 0 || off > INT64_MAX - len))
		bad = "no such range to copy";
	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_PART_COPY);
	return (int)end(s3, s3->ops->upload_part_copy(s3, key, upload_id,
			number, source_key, if_match, off, len, etag, err));
}

static const char *
bad_parts(const struct s3_part *parts, size_t count)
{
	if (count < 1 || count > S3_PARTS_MAX)
		return "an upload has 1 to 10000 parts";
	for (size_t i = 0; i < count; i++) {
		const char *bad = FIRST(bad_number(parts[i].number),
					bad_etag(parts[i].etag));

		if (bad != NULL)
			return bad;
		if (i > 0 && parts[i].number <= parts[i - 1].number)
			return "the parts do not ascend";
	}
	return NULL;
}

int
s3_upload_complete(struct s3 *s3, const char *key, const char *upload_id,
		   const struct s3_part *parts, size_t count,
		   const struct s3_cond *cond, char etag[S3_ETAG_MAX],
		   struct s3_error *err)
{
	const char *bad = FIRST(bad_key(key), bad_upload(upload_id));

	bad = FIRST(bad, bad_parts(parts, count));
	bad = FIRST(bad, bad_cond(cond));
	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_COMPLETE);
	return (int)end(s3, s3->ops->upload_complete(s3, key, upload_id,
			parts, count, cond, etag, err));
}

int
s3_upload_abort(struct s3 *s3, const char *key, const char *upload_id,
		struct s3_error *err)
{
	const char *bad = FIRST(bad_key(key), bad_upload(upload_id));

	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_ABORT);
	return (int)end(s3, s3->ops->upload_abort(s3, key, upload_id, err));
}

ssize_t
s3_upload_parts(struct s3 *s3, const char *key, const char *upload_id,
		struct s3_part **parts, struct s3_error *err)
{
	const char *bad = FIRST(bad_key(key), bad_upload(upload_id));

	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_LIST_PARTS);
	return end(s3, s3->ops->upload_parts(s3, key, upload_id, parts,
					     err));
}

int
s3_upload_list(struct s3 *s3, const char *prefix,
	       int (*each)(void *arg, const char *key, const char *upload_id,
			   int64_t initiated_ns),
	       void *arg, struct s3_error *err)
{
	if (prefix != NULL && strnlen(prefix, S3_KEY_MAX + 1) > S3_KEY_MAX)
		return refuse(err, "the prefix is longer than a key");
	begin(s3, S3_OP_LIST_UPLOADS);
	return (int)end(s3, s3->ops->upload_list(s3, prefix, each, arg,
						 err));
}

int
s3_copy(struct s3 *s3, const char *source_key, const char *if_match,
	const char *key, const struct s3_headers *headers,
	const struct s3_cond *cond, char etag[S3_ETAG_MAX],
	struct s3_error *err)
{
	const char *bad = FIRST(bad_key(source_key), bad_key(key));

	bad = FIRST(bad, bad_etag(if_match));
	bad = FIRST(bad, bad_cond(cond));
	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_COPY);
	return (int)end(s3, s3->ops->copy(s3, source_key, if_match, key,
					  headers, cond, etag, err));
}

int
s3_delete(struct s3 *s3, const char *key, const char *if_match,
	  struct s3_error *err)
{
	const char *bad = FIRST(bad_key(key), bad_etag(if_match));

	if (bad != NULL)
		return refuse(err, bad);
	begin(s3, S3_OP_DELETE);
	return (int)end(s3, s3->ops->del(s3, key, if_match, err));
}

int
s3_restore(struct s3 *s3, const char *key, unsigned days,
	   struct s3_error *err)
{
	const char *bad = bad_key(key);

	if (bad != NULL)
		return refuse(err, bad);
	if (s3->ops->restore == NULL)
		return -ENOTSUP;
	begin(s3, S3_OP_EXTRAS);
	return (int)end(s3, s3->ops->restore(s3, key, days, err));
}

struct listing {
	int (*each)(void *arg, const struct s3_entry *entry);
	void *arg;
};

/* A probe runs beside the service, and perhaps another gateway's does. */
static int
not_scratch(void *arg, const struct s3_entry *e)
{
	const struct listing *l = arg;

	/* Some stores make a directory of one. */
	for (const char *p = e->key; p != NULL; p = strchr(p, '/')) {
		p += *p == '/';
		if (s3_is_scratch(p))
			return 0;
	}
	return l->each(l->arg, e);
}

int
s3_list_page(struct s3 *s3, const struct s3_list *list,
	     int (*each)(void *arg, const struct s3_entry *entry),
	     void *arg, char **next, struct s3_error *err)
{
	struct listing files = { each, arg };
	struct s3_asked asked;
	int r;

	if (list->max_keys > 1000)
		return refuse(err, "a page has at most 1000 keys");
	if ((list->prefix && strnlen(list->prefix, 1025) > S3_KEY_MAX) ||
	    (list->start_after &&
	     strnlen(list->start_after, 1025) > S3_KEY_MAX))
		return refuse(err, "longer than a key can be");
	r = s3_ask_begin(s3, S3_ASK_LIST, &asked, err);
	if (r < 0)
		return r;
	begin(s3, S3_OP_LIST);
	if (list->scratch)
		r = s3->ops->list_page(s3, list, each, arg, next, err);
	else
		r = s3->ops->list_page(s3, list, not_scratch, &files, next,
				       err);
	count_end(s3, r);
	s3_ask_end(s3, S3_ASK_LIST, &asked, r);
	return r;
}
