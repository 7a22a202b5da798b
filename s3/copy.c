/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CopyObject and UploadPartCopy.  Both may answer 200 and fail inside the
 * body.  if_match pins the source's version: by header where the probe saw
 * the store refuse a stale one, else by a HEAD before and one after.  The
 * HEAD after closes the window for a part (the caller throws a doubtful part
 * away); for a copy of a whole object the ETag of the source before and
 * after are the same only if no other version came and stayed.
 *
 * A condition on the destination goes by header where the store honours it,
 * else by a HEAD just before (a window of one round trip remains).
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

static int
check_copy(const void *arg, const struct s3_reply *reply)
{
	char etag[S3_ETAG_MAX];
	int r = s3_xml_etag(reply->body.data, reply->body.len, etag);

	(void)arg;
	return r == 0 && etag[0] == '\0' ? -EBADMSG : r;
}

/* rclone does a copy, and tells no ETag of it; HEAD does. */
static int
check_whole_copy(const void *arg, const struct s3_reply *reply)
{
	char etag[S3_ETAG_MAX];

	(void)arg;
	return s3_xml_etag(reply->body.data, reply->body.len, etag);
}

static int
copy_etag(struct s3_remote *r, const char *key, const struct s3_reply *reply,
	  char *etag, struct s3_error *err)
{
	struct s3_object seen = {0};
	int result = s3_xml_etag(reply->body.data, reply->body.len, etag);

	if (result < 0 || etag[0] != '\0')
		return result;
	result = s3_remote_head(&r->base, key, &seen, err);
	if (result < 0)
		return result == -ENOENT ? -EAGAIN : result;
	snprintf(etag, S3_ETAG_MAX, "%s", seen.etag);
	s3_object_free(&seen);
	return 0;
}

/*
 * x-amz-copy-source: /bucket/key, percent-encoded; the pin if honoured.
 * radosgw 16 decodes the source of a part twice ("a%2541b" is "aAb" to it):
 * where the probe saw that, it is encoded twice.
 */
static int
source_headers(struct s3_remote *r, struct s3_call *call,
	       const char *source_key, const char *if_match, bool twice)
{
	CLEANUP_BUF struct s3_buf source = {0}, once = {0};
	char tag[S3_ETAG_MAX + 2];
	int result;

	s3_buf_uri(&once, source_key, true);
	s3_place_source(r, &source);
	if (twice && !once.failed)
		s3_buf_uri(&source, once.data, true);
	else
		s3_buf_add(&source, once.data, once.len);
	if (source.failed || once.failed)
		return -ENOMEM;
	result = s3_call_header(call, "x-amz-copy-source", source.data);
	if (result < 0 || if_match == NULL ||
	    !(r->caps & S3_CAP_COPY_SOURCE))
		return result;
	snprintf(tag, sizeof(tag), "\"%s\"", if_match);
	return s3_call_header(call, "x-amz-copy-source-if-match", tag);
}

/* The HEAD that stands for a condition the store ignores. */
static int
source_is(struct s3_remote *r, const char *source_key, const char *if_match,
	  struct s3_error *err)
{
	struct s3_object seen = {0};
	int result;

	if (if_match == NULL || (r->caps & S3_CAP_COPY_SOURCE))
		return 0;
	result = s3_remote_head(&r->base, source_key, &seen, err);
	if (result == 0 && strcmp(seen.etag, if_match) != 0)
		result = s3_error_set(err, -ESTALE, "the source has changed");
	s3_object_free(&seen);
	return result;
}

static int
target_is(struct s3_remote *r, const char *key, const struct s3_cond *cond,
	  struct s3_error *err)
{
	return r->caps & S3_CAP_COPY_DEST ? 0 :
	       s3_target_is(r, key, cond, err);
}

/* Swift's large objects match no condition, though their ETag is the one. */
static bool
pin_is_withdrawn(struct s3_remote *r, const char *source_key,
		 const char *if_match)
{
	return s3_refused_for_nothing(r, source_key, if_match,
				      S3_CAP_COPY_SOURCE, "a copy whose "
				      "x-amz-copy-source-if-match");
}

/* Which of its two conditions was it?  True: one that holds. */
static bool
copy_refused_for_nothing(struct s3_remote *r, const char *source_key,
			 const char *if_match, const char *key,
			 const struct s3_cond *cond)
{
	struct s3_error own;

	return s3_target_is(r, key, cond, &own) == 0 &&
	       (pin_is_withdrawn(r, source_key, if_match) ||
		(cond != NULL &&
		 s3_refused_for_nothing(r, key, cond->if_match,
					S3_CAP_COPY_DEST,
					"a copy with an If-Match")));
}

int
s3_remote_upload_part_copy(struct s3 *s3, const char *key,
			   const char *upload_id, unsigned number,
			   const char *source_key, const char *if_match,
			   uint64_t off, uint64_t len, char *etag,
			   struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);

	/* Unprobed, this could read another key's bytes: see above. */
	if (!(r->caps & S3_CAP_PART_COPY) && strchr(source_key, '%') != NULL)
		return s3_error_set(err, -ENOTSUP, "a key with '%%' is copied "
				    "in parts only after a probe");
	return s3_part_copy(r, key, upload_id, number, source_key, if_match,
			    off, len, r->caps & S3_CAP_TWICE, etag, err);
}

int
s3_part_copy(struct s3_remote *r, const char *key, const char *upload_id,
	     unsigned number, const char *source_key, const char *if_match,
	     uint64_t off, uint64_t len, bool twice, char *etag,
	     struct s3_error *err)
{
	CLEANUP_CALL struct s3_call call = {
		.method = "PUT", .key = key, .error_in_200 = true,
		.check = check_copy, .work = len,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	char text[16], range[64];
	int result = s3_call_options(r, &call, false);

	snprintf(text, sizeof(text), "%u", number);
	snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, off,
		 off + len - 1);
	s3_call_query(&call, "partNumber", text);
	s3_call_query(&call, "uploadId", upload_id);
	if (result == 0)
		result = s3_call_header(&call, "x-amz-copy-source-range",
					range);
	if (result == 0)
		result = source_headers(r, &call, source_key, if_match,
					twice);
	if (result == 0)
		result = source_is(r, source_key, if_match, err);
	if (result == 0)
		result = s3_request(r, &call, &reply, err);
	if (result == -ESTALE && pin_is_withdrawn(r, source_key, if_match))
		return s3_part_copy(r, key, upload_id, number, source_key,
				    if_match, off, len, twice, etag, err);
	if (result == 0)
		result = source_is(r, source_key, if_match, err);
	if (result < 0)
		return result;
	return s3_xml_etag(reply.body.data, reply.body.len, etag);
}

/* A conditional copy whose answer was lost and that then refused itself. */
static bool
settle_copy(struct s3_remote *r, const struct s3_call *call,
	    const char *source_key, const char *if_match,
	    const struct s3_headers *headers, char *etag)
{
	struct s3_object source = {0}, seen = {0};
	struct s3_error own;
	bool ours;

	if (call->sent < 2 || strcmp(source_key, call->key) == 0 ||
	    s3_remote_head(&r->base, source_key, &source, &own) < 0)
		return false;
	ours = (if_match == NULL || strcmp(source.etag, if_match) == 0) &&
	       s3_settle(r, call, source.etag, source.size,
			 headers ? headers : &source.headers, &seen);
	if (ours)
		snprintf(etag, S3_ETAG_MAX, "%s", seen.etag);
	s3_object_free(&source);
	s3_object_free(&seen);
	return ours;
}

static bool
is_marker(const char *key)
{
	size_t len = strlen(key);

	return len > 0 && key[len - 1] == '/';
}

static ssize_t
read_nothing(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg;
	(void)off;
	(void)buf;
	(void)len;
	return 0;
}

/*
 * versitygw takes no copy of a directory's empty object ("contains data"), and
 * SeaweedFS does not find it.  It is written anew instead, with what the source
 * has.  refusal: what the copy was answered.
 */
static int
put_marker(struct s3_remote *r, int refusal, const char *source_key,
	   const char *if_match, const char *key,
	   const struct s3_headers *headers, const struct s3_cond *cond,
	   char *etag, struct s3_error *err)
{
	const struct s3_source nothing = { .read = read_nothing };
	struct s3_error refused = {0}, own;
	struct s3_object seen = {0};
	int result;

	if (err != NULL)
		refused = *err;
	result = s3_remote_head(&r->base, source_key, &seen, &own);
	if (result == 0 && if_match != NULL &&
	    strcmp(seen.etag, if_match) != 0)
		result = s3_error_set(&own, -ESTALE, "the source has changed");
	else if (result == 0 && seen.size > 0) {
		own = refused;	/* there is no other way */
		result = refusal;
	}
	if (result == 0 && headers == NULL)
		result = s3_remote_extras(&r->base, source_key, &seen, false,
					  &seen.headers, &own);
	if (result == 0)
		result = s3_remote_put(&r->base, key, &nothing, headers != NULL
				       ? headers : &seen.headers, cond, etag,
				       &own);
	if (result < 0 && err != NULL)
		*err = own;
	else
		s3_error_clear(err);
	s3_object_free(&seen);
	return result;
}

/*
 * MetadataDirective COPY brings what HEAD tells, and tags; a storage class, a
 * KMS key and grants stay behind.  They are read, and said again.
 */
static int
add_extras(struct s3_remote *r, struct s3_call *call, const char *source_key,
	   struct s3_error *err)
{
	struct s3_object seen = {0};
	struct s3_headers extras = {0};
	int result = s3_remote_head(&r->base, source_key, &seen, err);

	seen.has_tags = false;
	if (result == 0)
		result = s3_remote_extras(&r->base, source_key, &seen, true,
					  &extras, err);
	if (result == 0)
		result = s3_call_headers(call, &extras);
	s3_headers_free(&extras);
	s3_object_free(&seen);
	return result;
}

int
s3_remote_copy(struct s3 *s3, const char *source_key, const char *if_match,
	       const char *key, const struct s3_headers *headers,
	       const struct s3_cond *cond, char *etag, struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	bool same_key = strcmp(source_key, key) == 0;
	const char *tags = headers != NULL ?
		s3_headers_get(headers, "x-amz-tagging") : NULL;
	CLEANUP_CALL struct s3_call call = {
		.method = "PUT", .key = key, .error_in_200 = true,
		.check = check_whole_copy,
		.work = cond != NULL && cond->source_size > 0 ?
			cond->source_size : S3_WORK_UNKNOWN,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	int result = s3_call_options(r, &call, true);

	if (result == 0)
		result = s3_call_header(&call, "x-amz-metadata-directive",
					headers ? "REPLACE" : "COPY");
	if (result == 0)
		result = s3_call_header(&call, "x-amz-tagging-directive",
					tags != NULL ? "REPLACE" : "COPY");
	if (result == 0)
		result = headers != NULL ? s3_call_headers(&call, headers) :
			 add_extras(r, &call, source_key, err);
	if (result == 0)
		result = source_headers(r, &call, source_key, if_match, false);
	if (result == 0)
		result = s3_call_cond(r->caps, &call, cond, S3_CAP_COPY_DEST);
	if (result == 0)
		result = target_is(r, key, cond, err);
	if (result == 0)
		result = source_is(r, source_key, if_match, err);
	if (result == 0) {
		result = s3_request_courteous(r, &call, &reply, err);
		if (result == -ESTALE && cond != NULL &&
		    settle_copy(r, &call, source_key, if_match, headers,
				etag)) {
			s3_error_clear(err);
			return 0;
		}
		if (result == -ESTALE &&
		    copy_refused_for_nothing(r, source_key, if_match, key,
					     cond))
			return s3_remote_copy(s3, source_key, if_match, key,
					      headers, cond, etag, err);
		if (result == -ESTALE && cond != NULL && cond->if_none_match)
			result = -EEXIST;
	}
	if (result == 0 && s3_headers_get(&call.headers, "x-amz-tagging") &&
	    s3_remote_extras_ensure(s3, key, headers, NULL) < 0)
		s3_extras_lost(r, key, "tags");
	/* Onto itself the copy is the new version: its ETag may differ. */
	if (result == 0 && !same_key)
		result = source_is(r, source_key, if_match, err);
	if ((result == -EINVAL || result == -ENOTSUP || result == -ENOENT) &&
	    is_marker(key) && is_marker(source_key))
		return put_marker(r, result, source_key, if_match, key,
				  headers, cond, etag, err);
	if (result < 0)
		return result;
	return copy_etag(r, key, &reply, etag, err);
}
