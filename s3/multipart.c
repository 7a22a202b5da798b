/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipart uploads (S3 API, "Uploading and copying objects using multipart
 * upload").  Parts are invisible until Complete, which may answer 200 and
 * fail inside the body, or answer with an empty ETag (radosgw): then a HEAD
 * tells it.  After a lost answer a repeated Complete can find the upload
 * gone; s3.h leaves that case to the caller, who knows what to expect.
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define PART_WORK (8ULL << 20)	/* to put a part in its place may cost */

static int
check_create(const void *arg, const struct s3_reply *reply)
{
	char *id = NULL;
	int r = s3_xml_upload_id(reply->body.data, reply->body.len, &id);

	(void)arg;
	free(id);
	return r;
}

static ssize_t
read_text(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

int
s3_remote_upload_create(struct s3 *s3, const char *key,
			const struct s3_headers *headers, char **upload_id,
			struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	CLEANUP_CALL struct s3_call call = {
		.method = "POST", .key = key,
		.error_in_200 = true, .check = check_create,
		/* A second one after a lost answer would leave an upload that
		 * nobody knows: the caller looks for it first. */
		.once = true,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	int result = s3_call_options(r, &call, true);

	s3_call_query(&call, "uploads", NULL);
	if (result == 0)
		result = s3_call_headers(&call, headers);
	if (result == 0)
		result = s3_request_courteous(r, &call, &reply, err);
	if (result < 0)
		return result == -ENOENT ? -ENODEV : result;
	return s3_xml_upload_id(reply.body.data, reply.body.len, upload_id);
}

int
s3_remote_upload_part(struct s3 *s3, const char *key, const char *upload_id,
		      unsigned number, const struct s3_source *body,
		      char *etag, struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	CLEANUP_CALL struct s3_call call = {
		.method = "PUT", .key = key, .body = body,
		.check = s3_check_put,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	char text[16];
	int result = s3_call_options(r, &call, false);

	snprintf(text, sizeof(text), "%u", number);
	s3_call_query(&call, "partNumber", text);
	s3_call_query(&call, "uploadId", upload_id);
	if (result == 0)
		result = s3_call_checksum(r, &call, true);
	if (result == 0)
		result = s3_request(r, &call, &reply, err);
	if (result < 0)
		return result;
	return s3_etag_copy(s3_reply_get(&reply, "etag"), etag);
}

static int
complete_body(const struct s3_part *parts, size_t count, struct s3_buf *b)
{
	s3_buf_str(b, "<CompleteMultipartUpload xmlns="
		   "\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < count; i++) {
		s3_buf_fmt(b, "<Part><PartNumber>%u</PartNumber><ETag>&quot;",
			   parts[i].number);
		s3_buf_xml(b, parts[i].etag);
		s3_buf_str(b, "&quot;</ETag></Part>");
	}
	s3_buf_str(b, "</CompleteMultipartUpload>");
	return b->failed;
}

static int
check_complete(const void *arg, const struct s3_reply *reply)
{
	char etag[S3_ETAG_MAX];

	(void)arg;
	return s3_xml_etag(reply->body.data, reply->body.len, etag);
}

static int parts_page(struct s3_remote *r, const char *key,
		      const char *upload_id, unsigned marker,
		      struct s3_xml_parts *page, struct s3_error *err);

/*
 * radosgw 16 answers 500 where the upload is gone.  Before that is repeated
 * for a long time, ask whether there still is an upload.
 */
static int
complete_request(struct s3_remote *r, struct s3_call *call,
		 struct s3_reply *reply, struct s3_error *err)
{
	struct s3_xml_parts page = {0};
	struct s3_error first, own;
	int result;

	call->once = true;
	result = s3_request(r, call, reply, &first);
	if (err != NULL)
		*err = first;
	/* 409: another write of the key came in between.  The upload has to
	 * be made anew (S3 API, CompleteMultipartUpload). */
	if ((result != -EAGAIN && result != -EBADMSG) ||
	    strcmp(first.code, "ConditionalRequestConflict") == 0)
		return result;
	if (parts_page(r, call->key, call->query[0].value, 0, &page, &own) ==
	    -ENOENT) {
		if (err != NULL)
			*err = own;
		return -ENOENT;
	}
	free(page.parts);
	call->once = false;
	return s3_request(r, call, reply, err);
}

int
s3_remote_upload_complete(struct s3 *s3, const char *key,
			  const char *upload_id, const struct s3_part *parts,
			  size_t count, const struct s3_cond *cond,
			  char *etag, struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	int result = 0;

	if (r->withdrawn & S3_CAP_COMPLETE)
		result = s3_target_is(r, key, cond, err);
	if (result < 0)
		return result;
	result = s3_complete(r, key, upload_id, parts, count, cond, r->caps,
			     etag, err);
	if (result == -ESTALE && cond != NULL &&
	    s3_refused_for_nothing(r, key, cond->if_match, S3_CAP_COMPLETE,
				   "a CompleteMultipartUpload with an "
				   "If-Match"))
		result = s3_complete(r, key, upload_id, parts, count, cond,
				     r->caps, etag, err);
	return result;
}

int
s3_complete(struct s3_remote *r, const char *key, const char *upload_id,
	    const struct s3_part *parts, size_t count,
	    const struct s3_cond *cond, unsigned caps, char *etag,
	    struct s3_error *err)
{
	CLEANUP_BUF struct s3_buf xml = {0};
	struct s3_source body = { .read = read_text };
	CLEANUP_CALL struct s3_call call = {
		.method = "POST", .key = key, .body = &body,
		.error_in_200 = true, .check = check_complete,
		.work = count < S3_WORK_UNKNOWN / PART_WORK ?
			count * PART_WORK : S3_WORK_UNKNOWN,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_object seen = {0};
	int result = complete_body(parts, count, &xml);

	body.len = xml.len;
	body.arg = xml.data;
	s3_call_query(&call, "uploadId", upload_id);
	if (result == 0)
		result = s3_call_options(r, &call, false);
	if (result == 0)
		result = s3_call_header(&call, "content-type", "text/xml");
	if (result == 0)
		result = s3_call_cond(caps, &call, cond, S3_CAP_COMPLETE);
	if (result == 0)
		result = complete_request(r, &call, &reply, err);
	if (result == -ESTALE && cond != NULL && cond->if_none_match)
		return -EEXIST;
	if (result < 0)
		return result;
	result = s3_xml_etag(reply.body.data, reply.body.len, etag);
	if (result < 0 || etag[0] != '\0')
		return result;
	result = s3_remote_head(&r->base, key, &seen, err);
	if (result == 0)
		snprintf(etag, S3_ETAG_MAX, "%s", seen.etag);
	s3_object_free(&seen);
	return result;
}

int
s3_remote_upload_abort(struct s3 *s3, const char *key, const char *upload_id,
		       struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	CLEANUP_CALL struct s3_call call = {
		.method = "DELETE", .key = key, .check = s3_check_empty,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	int result = s3_call_options(r, &call, false);

	s3_call_query(&call, "uploadId", upload_id);
	if (result == 0)
		result = s3_request(r, &call, &reply, err);
	if (result == 0)
		result = s3_done_by_store(r, &reply, err);
	return result == -ENOENT ? 0 : result;
}

/* One page of parts, appended. */
static int
parts_page(struct s3_remote *r, const char *key, const char *upload_id,
	   unsigned marker, struct s3_xml_parts *page, struct s3_error *err)
{
	CLEANUP_CALL struct s3_call call = { .method = "GET", .key = key };
	CLEANUP_REPLY struct s3_reply reply = {0};
	char text[16];
	int result = s3_call_options(r, &call, false);

	snprintf(text, sizeof(text), "%u", marker);
	s3_call_query(&call, "uploadId", upload_id);
	s3_call_query(&call, "max-parts", "1000");
	if (marker > 0)
		s3_call_query(&call, "part-number-marker", text);
	if (result == 0)
		result = s3_request(r, &call, &reply, err);
	if (result < 0)
		return result;
	result = s3_xml_parts(reply.body.data, reply.body.len, page);
	if (result == 0 && page->truncated && page->next <= marker)
		result = -EBADMSG;	/* would go round for ever */
	return result;
}

ssize_t
s3_remote_upload_parts(struct s3 *s3, const char *key, const char *upload_id,
		       struct s3_part **parts, struct s3_error *err)
{
	CLEANUP_FREE struct s3_part *all = NULL;
	size_t count = 0;
	unsigned marker = 0;
	bool more = true;

	while (more) {
		struct s3_xml_parts page = {0};
		struct s3_part *grown;
		int result = parts_page(s3_to_remote(s3), key, upload_id,
					marker, &page, err);

		if (result == 0 && count + page.count > S3_PARTS_MAX)
			result = -EBADMSG;
		grown = result < 0 ? NULL :
			reallocarray(all, count + page.count + 1,
				     sizeof(*all));
		if (grown == NULL) {
			free(page.parts);
			return result < 0 ? result : -ENOMEM;
		}
		all = grown;
		if (page.count > 0)
			memcpy(all + count, page.parts,
			       page.count * sizeof(*all));
		count += page.count;
		more = page.truncated;
		marker = page.next;
		free(page.parts);
	}
	*parts = all;
	all = NULL;
	return (ssize_t)count;
}

static int
uploads_page(struct s3_remote *r, const char *prefix, const char *key_marker,
	     const char *id_marker, struct s3_xml_uploads *page,
	     struct s3_error *err)
{
	CLEANUP_CALL struct s3_call call = { .method = "GET" };
	CLEANUP_REPLY struct s3_reply reply = {0};
	int result = s3_call_options(r, &call, false);

	s3_call_query(&call, "uploads", NULL);
	s3_call_query(&call, "encoding-type", "url");
	s3_call_query(&call, "max-uploads", "1000");
	if (prefix != NULL && *prefix != '\0')
		s3_call_query(&call, "prefix", prefix);
	if (key_marker != NULL)
		s3_call_query(&call, "key-marker", key_marker);
	if (key_marker != NULL && id_marker != NULL)
		s3_call_query(&call, "upload-id-marker", id_marker);
	if (result == 0)
		result = s3_request(r, &call, &reply, err);
	if (result < 0)
		return result == -ENOENT ? -ENODEV : result;
	result = s3_xml_uploads(reply.body.data, reply.body.len, page);
	if (result == 0 && page->truncated && key_marker != NULL &&
	    strcmp(page->next_key, key_marker) == 0 &&
	    strcmp(page->next_upload_id ? page->next_upload_id : "",
		   id_marker ? id_marker : "") == 0)
		result = -EBADMSG;
	return result;
}

int
s3_remote_upload_list(struct s3 *s3, const char *prefix,
		      int (*each)(void *arg, const char *key,
				  const char *upload_id,
				  int64_t initiated_ns),
		      void *arg, struct s3_error *err)
{
	CLEANUP_FREE char *key_marker = NULL, *id_marker = NULL;
	bool more = true;

	while (more) {
		__attribute__((cleanup(s3_xml_uploads_fini)))
			struct s3_xml_uploads page = {0};
		int result = uploads_page(s3_to_remote(s3), prefix,
					  key_marker, id_marker, &page, err);

		for (size_t i = 0; result == 0 && i < page.count; i++)
			result = each(arg, page.items[i].key,
				      page.items[i].upload_id,
				      page.items[i].initiated_ns);
		if (result != 0)
			return result;
		more = page.truncated;
		free(key_marker);
		free(id_marker);
		key_marker = page.next_key;
		id_marker = page.next_upload_id;
		page.next_key = page.next_upload_id = NULL;
	}
	return 0;
}
