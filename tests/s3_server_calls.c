/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server of s3_server.h does: each S3 call as calls on an embedded
 * bucket.  Tags and grants lie among an object's headers there; as with AWS
 * they are not told by HEAD, and a copy carries the tags and not the grants.
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "s3/remote.h"
#include "tests/s3_server.h"

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define TAGS "x-amz-tagging"
#define READERS "x-amz-grant-read"
#define OWNER "owner"
#define ALL_USERS "http://acs.amazonaws.com/groups/global/AllUsers"

enum s3_server_call
s3_server_kind(const struct s3_server_request *rq)
{
	char drop[8];
	bool source = s3_server_header(rq, "x-amz-copy-source", drop,
				       sizeof(drop));
	const char *m = rq->method;

#define HAS(word) s3_server_query(rq, word, NULL, 0)
	if (rq->key[0] == '\0')
		return HAS("list-type") ? CALL_LIST : CALL_OTHER;
	if (HAS("acl"))
		return CALL_ACL;
	if (HAS("tagging"))
		return CALL_TAGGING;
	if (strcmp(m, "HEAD") == 0)
		return CALL_HEAD;
	if (strcmp(m, "GET") == 0)
		return HAS("uploadId") ? CALL_OTHER : CALL_GET;
	if (strcmp(m, "DELETE") == 0)
		return HAS("uploadId") ? CALL_ABORT : CALL_DELETE;
	if (strcmp(m, "POST") == 0)
		return HAS("uploads") ? CALL_CREATE : CALL_COMPLETE;
	if (HAS("uploadId"))
		return source ? CALL_PART_COPY : CALL_PART;
	return source ? CALL_COPY : CALL_PUT;
#undef HAS
}

/* ---- replies ---- */

static void
refuse(struct s3_server_reply *reply, int r, const char *none)
{
	static const struct {
		int r;
		unsigned status;
		const char *code;
	} errors[] = {
		{ -ESTALE, 412, "PreconditionFailed" },
		{ -EEXIST, 412, "PreconditionFailed" },
		{ -EINVAL, 400, "InvalidRequest" },
		{ -EFBIG, 400, "EntityTooLarge" },
		{ -EACCES, 403, "AccessDenied" },
		{ -ERANGE, 416, "InvalidRange" },
	};
	const char *code = "InternalError";

	reply->status = 500;
	if (r == -ENOENT) {
		reply->status = 404;
		code = none;
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (errors[i].r == r) {
			reply->status = errors[i].status;
			code = errors[i].code;
		}
	s3_buf_reset(reply->body);
	s3_buf_fmt(reply->body, XML "<Error><Code>%s</Code></Error>", code);
	s3_buf_str(reply->headers, "Content-Type: application/xml\r\n");
}

static void
add_time(struct s3_buf *b, bool iso, int64_t ns)
{
	time_t s = ns / 1000000000;
	char text[64];
	struct tm tm;

	gmtime_r(&s, &tm);
	if (iso)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
	else
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	s3_buf_str(b, text);
}

static bool
is_told(const char *name)
{
	return strcmp(name, TAGS) != 0 && strcmp(name, READERS) != 0;
}

static void
tell_object(struct s3_server_reply *reply, const struct s3_object *o)
{
	struct s3_buf *b = reply->headers;

	s3_buf_fmt(b, "ETag: \"%s\"\r\n", o->etag);
	s3_buf_str(b, "Last-Modified: ");
	add_time(b, false, o->mtime_ns);
	s3_buf_str(b, "\r\n");
	for (size_t i = 0; i < o->headers.count; i++)
		if (is_told(o->headers.list[i].name))
			s3_buf_fmt(b, "%s: %s\r\n", o->headers.list[i].name,
				   o->headers.list[i].value);
	if (s3_headers_get(&o->headers, TAGS) != NULL)
		s3_buf_str(b, "x-amz-tagging-count: 1\r\n");
}

/* ---- words of requests ---- */

static bool
etag_of(const struct s3_server_request *rq, const char *name,
	char etag[S3_ETAG_MAX])
{
	char text[S3_ETAG_MAX + 8];

	return s3_server_header(rq, name, text, sizeof(text)) &&
	       s3_etag_copy(text, etag) == 0;
}

/* "if-match" and "if-none-match" of the object that is written. */
static struct s3_cond
cond_of(const struct s3_server_request *rq, char etag[S3_ETAG_MAX])
{
	struct s3_cond cond = {0};
	char text[8];

	if (etag_of(rq, "if-match", etag))
		cond.if_match = etag;
	cond.if_none_match = s3_server_header(rq, "if-none-match", text,
					      sizeof(text));
	return cond;
}

/* Those of the request that stay with the object. */
static int
headers_of(const struct s3_server_request *rq, struct s3_headers *out)
{
	static const char *const names[] = {
		"content-type", "cache-control", "content-disposition",
		"content-encoding", "content-language", "expires", TAGS,
		READERS,
	};
	char name[128], value[2048];
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(*names); i++)
		if (s3_server_header(rq, names[i], value, sizeof(value)))
			r = s3_headers_set(out, names[i], value);
	for (const char *p = rq->head; r == 0 && p != NULL;
	     p = strstr(p, "\r\n")) {
		p += strspn(p, "\r\n");
		if (strncasecmp(p, "x-amz-meta-", 11) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, ":"), p);
		if (s3_server_header(rq, name, value, sizeof(value)))
			r = s3_headers_set(out, name, value);
	}
	return r;
}

static ssize_t
read_body(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

static struct s3_source
body_of(const struct s3_server_request *rq)
{
	return (struct s3_source){ .len = rq->body_len, .read = read_body,
				   .arg = rq->body };
}

/* "bytes=FIRST-LAST" */
static bool
range_of(const struct s3_server_request *rq, const char *name,
	 uint64_t *off, uint64_t *len)
{
	uint64_t first, last;
	char text[64];

	if (!s3_server_header(rq, name, text, sizeof(text)) ||
	    sscanf(text, "bytes=%" SCNu64 "-%" SCNu64, &first, &last) != 2 ||
	    last < first)
		return false;
	*off = first;
	*len = last - first + 1;
	return true;
}

/* ---- objects ---- */

static int
head(struct s3 *s3, const struct s3_server_request *rq,
     struct s3_server_reply *reply)
{
	struct s3_object o = {0};
	int r = s3_head(s3, rq->key, &o, NULL);

	if (r < 0)
		return r;
	tell_object(reply, &o);
	s3_buf_fmt(reply->headers, "Content-Length: %" PRIu64 "\r\n", o.size);
	reply->length_told = true;
	s3_object_free(&o);
	return 0;
}

static int
get(struct s3 *s3, const struct s3_server_request *rq,
    struct s3_server_reply *reply)
{
	char etag[S3_ETAG_MAX], *buf;
	const char *pin = etag_of(rq, "if-match", etag) ? etag : NULL;
	uint64_t off = 0, len;
	struct s3_object o = {0};
	bool ranged;
	ssize_t n;
	int r = s3_head(s3, rq->key, &o, NULL);

	if (r < 0)
		return r;
	len = o.size;
	ranged = range_of(rq, "range", &off, &len);
	if (off + len > o.size)
		len = off < o.size ? o.size - off : 0;
	s3_object_free(&o);
	buf = malloc(len + 1);
	n = buf != NULL ? s3_get(s3, rq->key, pin, off, buf, len, &o, NULL) :
	    -ENOMEM;
	if (n == 0 && ranged)
		n = -ERANGE;
	if (n >= 0) {
		s3_buf_add(reply->body, buf, (size_t)n);
		tell_object(reply, &o);
	}
	if (n > 0 && ranged) {
		reply->status = 206;
		s3_buf_fmt(reply->headers, "Content-Range: bytes %" PRIu64 "-%"
			   PRIu64 "/%" PRIu64 "\r\n", off,
			   off + (uint64_t)n - 1, o.size);
	}
	s3_object_free(&o);
	free(buf);
	return n < 0 ? (int)n : 0;
}

static int
put(struct s3 *s3, const struct s3_server_request *rq,
    struct s3_server_reply *reply)
{
	char pin[S3_ETAG_MAX], etag[S3_ETAG_MAX];
	const struct s3_cond cond = cond_of(rq, pin);
	const struct s3_source body = body_of(rq);
	struct s3_headers headers = {0};
	int r = headers_of(rq, &headers);

	if (r == 0)
		r = s3_put(s3, rq->key, &body, &headers, &cond, etag, NULL);
	if (r == 0)
		s3_buf_fmt(reply->headers, "ETag: \"%s\"\r\n", etag);
	s3_headers_free(&headers);
	return r;
}

static int
delete(struct s3 *s3, const struct s3_server_request *rq,
       struct s3_server_reply *reply)
{
	char etag[S3_ETAG_MAX];
	int r = s3_delete(s3, rq->key, etag_of(rq, "if-match", etag) ? etag :
			  NULL, NULL);

	reply->status = 204;
	return r;
}

/* "/BUCKET/KEY" */
static bool
source_of(const struct s3_server_request *rq, char key[S3_KEY_MAX + 1])
{
	char text[3 * S3_KEY_MAX + 256], plain[S3_KEY_MAX + 128], *slash;

	if (!s3_server_header(rq, "x-amz-copy-source", text, sizeof(text)))
		return false;
	s3_server_decode(plain, sizeof(plain), text, strlen(text));
	slash = plain[0] == '/' ? strchr(plain + 1, '/') : NULL;
	if (slash == NULL || strlen(slash + 1) > S3_KEY_MAX)
		return false;
	strcpy(key, slash + 1);
	return true;
}

static bool
directive_is(const struct s3_server_request *rq, const char *name,
	     const char *want)
{
	char text[32];

	return s3_server_header(rq, name, text, sizeof(text)) &&
	       strcmp(text, want) == 0;
}

/* What a copy of `source` has beside its bytes. */
static int
copied_headers(const struct s3_server_request *rq,
	       const struct s3_object *source, struct s3_headers *out)
{
	const char *tags = s3_headers_get(&source->headers, TAGS);
	char readers[128];
	int r;

	if (directive_is(rq, "x-amz-metadata-directive", "REPLACE"))
		r = headers_of(rq, out);
	else
		r = s3_headers_copy(&source->headers, out);
	if (r == 0 && !directive_is(rq, "x-amz-tagging-directive", "REPLACE"))
		r = s3_headers_set(out, TAGS, tags);
	if (r == 0)
		r = s3_headers_set(out, READERS,
				   s3_server_header(rq, READERS, readers,
						    sizeof(readers)) ?
				   readers : NULL);
	return r;
}

static int
copy(struct s3 *s3, const struct s3_server_request *rq,
     struct s3_server_reply *reply)
{
	char source[S3_KEY_MAX + 1], pin[S3_ETAG_MAX], dest[S3_ETAG_MAX];
	char etag[S3_ETAG_MAX];
	const struct s3_cond cond = cond_of(rq, dest);
	struct s3_headers headers = {0};
	struct s3_object o = {0};
	int r = source_of(rq, source) ? s3_head(s3, source, &o, NULL) :
		-EINVAL;

	if (r == 0 && etag_of(rq, "x-amz-copy-source-if-match", pin) &&
	    strcmp(pin, o.etag) != 0)
		r = -ESTALE;
	if (r == 0)
		r = copied_headers(rq, &o, &headers);
	if (r == 0)
		r = s3_copy(s3, source, o.etag, rq->key, &headers, &cond, etag,
			    NULL);
	if (r == 0)
		s3_buf_fmt(reply->body, XML "<CopyObjectResult><ETag>&quot;%s"
			   "&quot;</ETag></CopyObjectResult>", etag);
	s3_headers_free(&headers);
	s3_object_free(&o);
	return r;
}

/* ---- multipart uploads ---- */

static int
create(struct s3 *s3, const struct s3_server_request *rq,
       struct s3_server_reply *reply)
{
	struct s3_headers headers = {0};
	CLEANUP_FREE char *id = NULL;
	int r = headers_of(rq, &headers);

	if (r == 0)
		r = s3_upload_create(s3, rq->key, &headers, &id, NULL);
	if (r == 0)
		s3_buf_fmt(reply->body, XML "<InitiateMultipartUploadResult>"
			   "<UploadId>%s</UploadId>"
			   "</InitiateMultipartUploadResult>", id);
	s3_headers_free(&headers);
	return r;
}

static int
part(struct s3 *s3, const struct s3_server_request *rq, const char *id,
     struct s3_server_reply *reply)
{
	const struct s3_source body = body_of(rq);
	char number[16] = "", etag[S3_ETAG_MAX];
	int r;

	s3_server_query(rq, "partNumber", number, sizeof(number));
	r = s3_upload_part(s3, rq->key, id, (unsigned)atoi(number), &body,
			   etag, NULL);
	if (r == 0)
		s3_buf_fmt(reply->headers, "ETag: \"%s\"\r\n", etag);
	return r;
}

static int
part_copy(struct s3 *s3, const struct s3_server_request *rq, const char *id,
	  struct s3_server_reply *reply)
{
	char source[S3_KEY_MAX + 1], pin[S3_ETAG_MAX], etag[S3_ETAG_MAX];
	const char *if_match = etag_of(rq, "x-amz-copy-source-if-match",
				       pin) ? pin : NULL;
	char number[16] = "";
	uint64_t off, len;
	int r = -EINVAL;

	s3_server_query(rq, "partNumber", number, sizeof(number));
	if (source_of(rq, source) &&
	    range_of(rq, "x-amz-copy-source-range", &off, &len))
		r = s3_upload_part_copy(s3, rq->key, id,
					(unsigned)atoi(number), source,
					if_match, off, len, etag, NULL);
	if (r == 0)
		s3_buf_fmt(reply->body, XML "<CopyPartResult><ETag>&quot;%s"
			   "&quot;</ETag></CopyPartResult>", etag);
	return r;
}

static int
complete(struct s3 *s3, const struct s3_server_request *rq, const char *id,
	 struct s3_server_reply *reply)
{
	char pin[S3_ETAG_MAX], etag[S3_ETAG_MAX];
	const struct s3_cond cond = cond_of(rq, pin);
	struct s3_part *parts = calloc(S3_PARTS_MAX, sizeof(*parts));
	size_t count = 0;
	int r = parts != NULL ? 0 : -ENOMEM;

	for (const char *p = rq->body; r == 0 &&
	     (p = strstr(p, "<PartNumber>")) != NULL; p++) {
		if (count == S3_PARTS_MAX ||
		    sscanf(p, "<PartNumber>%u</PartNumber><ETag>&quot;"
			   "%127[^&]", &parts[count].number,
			   parts[count].etag) != 2)
			r = -EINVAL;
		count++;
	}
	if (r == 0)
		r = s3_upload_complete(s3, rq->key, id, parts, count, &cond,
				       etag, NULL);
	if (r == 0)
		s3_buf_fmt(reply->body, XML "<CompleteMultipartUploadResult>"
			   "<ETag>&quot;%s&quot;</ETag>"
			   "</CompleteMultipartUploadResult>", etag);
	free(parts);
	return r;
}

/* The embedded bucket takes one that is gone for done. */
static int
abort_upload(struct s3 *s3, const struct s3_server_request *rq,
	     const char *id, struct s3_server_reply *reply)
{
	CLEANUP_FREE struct s3_part *parts = NULL;
	ssize_t r = s3_upload_parts(s3, rq->key, id, &parts, NULL);

	reply->status = 204;
	return r < 0 ? (int)r : s3_upload_abort(s3, rq->key, id, NULL);
}

static int
list_parts(struct s3 *s3, const struct s3_server_request *rq, const char *id,
	   struct s3_server_reply *reply)
{
	CLEANUP_FREE struct s3_part *parts = NULL;
	ssize_t n = s3_upload_parts(s3, rq->key, id, &parts, NULL);

	s3_buf_str(reply->body, XML "<ListPartsResult>"
		   "<IsTruncated>false</IsTruncated>");
	for (ssize_t i = 0; i < n; i++)
		s3_buf_fmt(reply->body, "<Part><PartNumber>%u</PartNumber>"
			   "<ETag>&quot;%s&quot;</ETag><Size>%" PRIu64
			   "</Size></Part>", parts[i].number, parts[i].etag,
			   parts[i].size);
	s3_buf_str(reply->body, "</ListPartsResult>");
	return n < 0 ? (int)n : 0;
}

static int
add_upload(void *arg, const char *key, const char *id, int64_t when_ns)
{
	struct s3_buf *b = arg;

	s3_buf_str(b, "<Upload><Key>");
	s3_buf_uri(b, key, true);
	s3_buf_fmt(b, "</Key><UploadId>%s</UploadId><Initiated>", id);
	add_time(b, true, when_ns);
	s3_buf_str(b, "</Initiated></Upload>");
	return 0;
}

static int
list_uploads(struct s3 *s3, const struct s3_server_request *rq,
	     struct s3_server_reply *reply)
{
	char prefix[S3_KEY_MAX + 1] = "";
	int r;

	s3_server_query(rq, "prefix", prefix, sizeof(prefix));
	s3_buf_str(reply->body, XML "<ListMultipartUploadsResult>"
		   "<EncodingType>url</EncodingType>"
		   "<IsTruncated>false</IsTruncated>");
	r = s3_upload_list(s3, prefix, add_upload, reply->body, NULL);
	s3_buf_str(reply->body, "</ListMultipartUploadsResult>");
	return r;
}

/* ---- listings, tags, grants ---- */

static int
add_entry(void *arg, const struct s3_entry *e)
{
	struct s3_buf *b = arg;

	s3_buf_str(b, e->is_prefix ? "<CommonPrefixes><Prefix>" :
		   "<Contents><Key>");
	s3_buf_uri(b, e->key, true);
	if (e->is_prefix) {
		s3_buf_str(b, "</Prefix></CommonPrefixes>");
		return 0;
	}
	s3_buf_str(b, "</Key><LastModified>");
	add_time(b, true, e->mtime_ns);
	s3_buf_fmt(b, "</LastModified><ETag>&quot;%s&quot;</ETag><Size>%"
		   PRIu64 "</Size></Contents>", e->etag, e->size);
	return 0;
}

static int
list(struct s3 *s3, const struct s3_server_request *rq,
     struct s3_server_reply *reply)
{
	char prefix[S3_KEY_MAX + 1] = "", after[S3_KEY_MAX + 1] = "";
	char delimiter[8] = "", token[4096] = "", max[16] = "1000";
	CLEANUP_FREE char *next = NULL;
	struct s3_list page = { .prefix = prefix, .start_after = after };
	int r;

	s3_server_query(rq, "prefix", prefix, sizeof(prefix));
	s3_server_query(rq, "start-after", after, sizeof(after));
	s3_server_query(rq, "max-keys", max, sizeof(max));
	if (s3_server_query(rq, "delimiter", delimiter, sizeof(delimiter)))
		page.delimiter = delimiter;
	if (s3_server_query(rq, "continuation-token", token, sizeof(token)))
		page.token = token;
	page.max_keys = (unsigned)atoi(max);
	s3_buf_str(reply->body, XML "<ListBucketResult>"
		   "<EncodingType>url</EncodingType>");
	r = s3_list_page(s3, &page, add_entry, reply->body, &next, NULL);
	s3_buf_fmt(reply->body, "<IsTruncated>%s</IsTruncated>",
		   next != NULL ? "true" : "false");
	if (r == 0 && next != NULL) {
		s3_buf_str(reply->body, "<NextContinuationToken>");
		s3_buf_xml(reply->body, next);
		s3_buf_str(reply->body, "</NextContinuationToken>");
	}
	s3_buf_str(reply->body, "</ListBucketResult>");
	return r;
}

static int
tagging(struct s3 *s3, const struct s3_server_request *rq,
	struct s3_server_reply *reply)
{
	struct s3_object o = {0};
	int r = s3_head(s3, rq->key, &o, NULL);
	const char *tags = r == 0 ? s3_headers_get(&o.headers, TAGS) : NULL;

	if (r == 0 && strcmp(rq->method, "GET") != 0)
		r = -EIO;	/* nobody needs to, here */
	s3_buf_str(reply->body, XML "<Tagging><TagSet>");
	if (tags != NULL)	/* one, "NAME=VALUE" */
		s3_buf_fmt(reply->body, "<Tag><Key>%.*s</Key><Value>%s"
			   "</Value></Tag>", (int)strcspn(tags, "="), tags,
			   tags + strcspn(tags, "=") + 1);
	s3_buf_str(reply->body, "</TagSet></Tagging>");
	s3_object_free(&o);
	return r;
}

static int
acl(struct s3 *s3, const struct s3_server_request *rq,
    struct s3_server_reply *reply)
{
	struct s3_object o = {0};
	int r = s3_head(s3, rq->key, &o, NULL);

	s3_buf_str(reply->body, XML "<AccessControlPolicy><Owner><ID>" OWNER
		   "</ID></Owner><AccessControlList>"
		   "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/"
		   "XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>" OWNER
		   "</ID></Grantee><Permission>FULL_CONTROL</Permission>"
		   "</Grant>");
	if (r == 0 && s3_headers_get(&o.headers, READERS) != NULL)
		s3_buf_str(reply->body, "<Grant><Grantee xmlns:xsi=\"http://"
			   "www.w3.org/2001/XMLSchema-instance\" "
			   "xsi:type=\"Group\"><URI>" ALL_USERS "</URI>"
			   "</Grantee><Permission>READ</Permission></Grant>");
	s3_buf_str(reply->body, "</AccessControlList></AccessControlPolicy>");
	s3_object_free(&o);
	return r;
}

/* ---- one request ---- */

static int
of_upload(struct s3 *s3, const struct s3_server_request *rq,
	  struct s3_server_reply *reply)
{
	char id[128] = "";

	s3_server_query(rq, "uploadId", id, sizeof(id));
	switch (rq->call) {
	case CALL_CREATE: return create(s3, rq, reply);
	case CALL_PART: return part(s3, rq, id, reply);
	case CALL_PART_COPY: return part_copy(s3, rq, id, reply);
	case CALL_COMPLETE: return complete(s3, rq, id, reply);
	case CALL_ABORT: return abort_upload(s3, rq, id, reply);
	default: return list_parts(s3, rq, id, reply);
	}
}

static int
of_object(struct s3 *s3, const struct s3_server_request *rq,
	  struct s3_server_reply *reply)
{
	switch (rq->call) {
	case CALL_PUT: return put(s3, rq, reply);
	case CALL_GET: return get(s3, rq, reply);
	case CALL_HEAD: return head(s3, rq, reply);
	case CALL_DELETE: return delete(s3, rq, reply);
	case CALL_LIST: return list(s3, rq, reply);
	case CALL_COPY: return copy(s3, rq, reply);
	case CALL_ACL: return acl(s3, rq, reply);
	default: return tagging(s3, rq, reply);
	}
}

void
s3_server_do(struct s3 *s3, const struct s3_server_request *rq,
	     struct s3_server_reply *reply)
{
	char auth[32];
	bool upload = rq->call >= CALL_CREATE && rq->call <= CALL_ABORT;
	int r = 0;

	if (!s3_server_header(rq, "authorization", auth, sizeof(auth)) ||
	    strncmp(auth, "AWS4-HMAC-SHA256 ", 17) != 0)
		r = -EACCES;
	else if (upload || (rq->call == CALL_OTHER && rq->key[0] != '\0'))
		r = of_upload(s3, rq, reply);
	else if (rq->call != CALL_OTHER)
		r = of_object(s3, rq, reply);
	else if (s3_server_query(rq, "uploads", NULL, 0))
		r = list_uploads(s3, rq, reply);
	if (r < 0) {
		s3_buf_reset(reply->headers);
		reply->length_told = false;
		refuse(reply, r, upload || rq->call == CALL_OTHER ?
		       "NoSuchUpload" : "NoSuchKey");
	}
}
