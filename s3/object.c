/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HEAD, GET, PUT and DELETE of one object.
 *
 * Nothing of an answer is believed: a GET must bring the status, the
 * Content-Range, the number of bytes and (with if_match) the ETag that were
 * asked for, else it is repeated and then -EBADMSG.
 *
 * A conditional PUT that was repeated after a lost answer may be refused
 * because its first try had worked.  s3_settle tells the two apart by a HEAD:
 * the version there is ours if its ETag is the MD5 of what we sent, its size
 * and every x-amz-meta header are ours, and it is no older than our first
 * try.  A random token in the metadata would be surer by a hair, but it would
 * stay in the bucket with every object; two writers that store the same bytes
 * with the same metadata in the same second cannot be told apart by what they
 * stored, and no data is lost when both are told that it is there.
 */
#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define NS 1000000000LL
#define MD5_OF_NOTHING "d41d8cd98f00b204e9800998ecf8427e"
#define SETTLE_SLACK_S 2	/* clocks are told in whole seconds */

int
s3_etag_copy(const char *text, char etag[S3_ETAG_MAX])
{
	size_t len;

	if (strncmp(text, "W/", 2) == 0)
		text += 2;
	len = strlen(text);
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text++;
		len -= 2;
	}
	if (len >= S3_ETAG_MAX || memchr(text, '"', len) != NULL)
		return -EBADMSG;
	memcpy(etag, text, len);
	etag[len] = '\0';
	return 0;
}

/* A whole decimal number, nothing else. */
static int
parse_u64(const char *text, char end, uint64_t *out, const char **rest)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return -EBADMSG;
	errno = 0;
	*out = strtoull(text, &stop, 10);
	if (errno != 0 || *stop != end || *out > INT64_MAX)
		return -EBADMSG;
	if (rest != NULL)
		*rest = stop + 1;
	return 0;
}

struct range {
	uint64_t first, last, total;
};

/* RFC 9110 14.4: "bytes FIRST-LAST/TOTAL" */
static int
parse_range(const char *text, struct range *out)
{
	if (text == NULL || strncmp(text, "bytes ", 6) != 0 ||
	    parse_u64(text + 6, '-', &out->first, &text) < 0 ||
	    parse_u64(text, '/', &out->last, &text) < 0 ||
	    parse_u64(text, '\0', &out->total, NULL) < 0 ||
	    out->first > out->last || out->last >= out->total)
		return -EBADMSG;
	return 0;
}

static bool
carried_over(const char *name)
{
	static const char *const names[] = {
		"content-type", "cache-control", "content-disposition",
		"content-encoding", "content-language", "expires",
		"x-amz-website-redirect-location",
	};

	if (strncmp(name, "x-amz-meta-", 11) == 0)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static int
object_headers(const struct s3_reply *reply, struct s3_object *out)
{
	const char *p = reply->headers.data;
	const char *end = p + reply->headers.len;

	while (p != NULL && p < end) {
		const char *value = p + strlen(p) + 1;
		int r;

		if (carried_over(p)) {
			r = s3_headers_set(&out->headers, p, value);
			if (r < 0)
				return r;
		}
		p = value + strlen(value) + 1;
	}
	return 0;
}

static void
copy_short(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from && strlen(from) < size ? from : "");
}

/* Google tells no length of what it would unpack on its way, but this. */
static const char *
size_of(const struct s3_reply *reply)
{
	const char *size = s3_reply_get(reply, "content-length");

	return size != NULL ? size : s3_reply_get(reply,
					"x-goog-stored-content-length");
}

int
s3_object_from(const struct s3_reply *reply, struct s3_object *out)
{
	const char *etag = s3_reply_get(reply, "etag");
	const char *when = s3_reply_get(reply, "last-modified");
	const char *size = size_of(reply);
	const char *tags = s3_reply_get(reply, "x-amz-tagging-count");
	const char *class = s3_reply_get(reply, "x-amz-storage-class");
	const char *sse = s3_reply_get(reply, "x-amz-server-side-encryption");
	/* Of one that was archived by INTELLIGENT_TIERING. */
	const char *tier = s3_reply_get(reply, "x-amz-archive-status");
	struct range range;
	int64_t at = when ? s3_date_http(when) : -1;
	int r = 0;

	memset(out, 0, sizeof(*out));
	if (reply->http == 206) {
		r = parse_range(s3_reply_get(reply, "content-range"), &range);
		out->size = range.total;
	} else if (size == NULL ||
		   parse_u64(size, '\0', &out->size, NULL) < 0) {
		r = -EBADMSG;
	}
	/* s3proxy tells none of a directory's empty object. */
	if (etag == NULL && out->size == 0 && reply->http == 200)
		etag = MD5_OF_NOTHING;
	if (r < 0 || etag == NULL || s3_etag_copy(etag, out->etag) < 0)
		return -EBADMSG;
	/* It would be that of each version: versitygw's of files that others
	 * put below its directory.  No repetition changes that. */
	if (out->etag[0] == '\0')
		return -EIO;
	/* Stores tell of years 1, 1601 and 30828, or of none. */
	out->mtime_ns = at > 0 ? at * NS : 0;
	copy_short(out->version_id, sizeof(out->version_id),
		   s3_reply_get(reply, "x-amz-version-id"));
	if (strcmp(out->version_id, "null") == 0)
		out->version_id[0] = '\0';
	if (class != NULL && strcmp(class, "STANDARD") != 0)
		copy_short(out->storage_class, sizeof(out->storage_class),
			   class);
	out->class_told = tier != NULL || class != NULL;
	out->cold = tier != NULL || s3_class_cold(class) == S3_COLD_YES;
	out->has_tags = tags != NULL && strtol(tags, NULL, 10) > 0;
	out->kms = sse != NULL && strncmp(sse, "aws:kms", 7) == 0;
	copy_short(out->kms_key_id, sizeof(out->kms_key_id),
		   s3_reply_get(reply, "x-amz-server-side-encryption-aws-kms-"
				"key-id"));
	r = object_headers(reply, out);
	if (r < 0)
		s3_object_free(out);
	return r;
}

/* arg: the key.  Only markers of directories may have no ETag. */
static int
check_object(const void *arg, const struct s3_reply *reply)
{
	const char *key = arg;
	size_t len = strlen(key);
	struct s3_object object;
	int r = s3_object_from(reply, &object);

	if (r == 0 && s3_reply_get(reply, "etag") == NULL &&
	    (len == 0 || key[len - 1] != '/'))
		r = -EBADMSG;
	if (r == 0)
		s3_object_free(&object);
	return r;
}

/* Of an object whose ETag is empty. */
static void
tell_no_version(struct s3_remote *r, const char *key, struct s3_error *err)
{
	s3_error_set(err, 0, "its ETag is empty, so that no version can be "
		     "told from another");
	s3_tell(r, &r->versionless_ms, "an object cannot be read: key=%s: %s",
		key, err->message);
}

/* HEAD has no body to say which of the two is missing. */
static int
key_or_bucket(struct s3_remote *r, struct s3_error *err)
{
	struct s3_call call = { .method = "HEAD" };
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_error own;

	if (r->bucket_seen || s3_request(r, &call, &reply, &own) != -ENOENT)
		return -ENOENT;
	return s3_error_set(err, -ENODEV, "no such bucket");
}

/*
 * HEAD has no body to say why it was refused either: a GET of one byte has.
 * Keys that have lapsed look like an object that is denied else.  If the GET
 * is not refused, the object is there for us, and HEAD's bad moment passes.
 */
static int
why_refused(struct s3_remote *r, const char *key, int result,
	    struct s3_error *err)
{
	char byte;
	CLEANUP_CALL struct s3_call call = {
		.method = "GET", .key = key, .buf = &byte, .buf_len = 1,
		.once = true, .refused = s3_away_flag(&r->base, S3_ASK_HEAD),
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_error own = {0};
	int why = s3_call_options(r, &call, false);

	if (why == 0)
		why = s3_call_header(&call, "range", "bytes=0-0");
	if (why == 0)
		why = s3_request(r, &call, &reply, &own);
	if (why == 0 || own.http == 416)	/* the object has no byte */
		return -EAGAIN;
	if (own.code[0] != '\0') {
		*err = own;
		result = why;
	}
	/* That says nothing of the object, nor does the HEAD then. */
	if (s3_meaning(why) == S3_LATER || s3_meaning(why) == S3_ACCOUNT)
		return why;
	/* There is no store without these two. */
	if (result == -ENOTSUP)
		return -EAGAIN;
	if (result != -EINVAL || s3_denials_closed(&r->heads_denied))
		return result;
	/* Nor does 400 tell an object's own (its key is a customer's) from a
	 * bad moment of the store: others' do, or time. */
	return s3_denials_judge(&r->heads_denied, key) == S3_DENIED_WAIT ?
	       -EAGAIN : result;
}

/* That speaks of no object, if it has not the words of one that does. */
static bool
is_unexplained(int http)
{
	return http == 400 || http == 403 || http == 405 || http == 501;
}

int
s3_remote_head(struct s3 *s3, const char *key, struct s3_object *out,
	       struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	CLEANUP_CALL struct s3_call call = {
		.method = "HEAD", .key = key, .check = check_object,
		.check_arg = key,
		.refused = s3_away_flag(s3, S3_ASK_HEAD),
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_error own, *e = err != NULL ? err : &own;
	int result = s3_call_options(r, &call, false);

	if (result == 0)
		result = s3_request(r, &call, &reply, e);
	if (result == -ENOENT)
		return key_or_bucket(r, e);
	if (result < 0 && is_unexplained(e->http))
		return why_refused(r, key, result, e);
	if (result < 0)
		return result;
	s3_denials_allowed(&r->heads_denied);
	if (s3_reply_get(&reply, "x-amz-tagging-count") != NULL)
		r->tells_tags = true;
	result = s3_object_from(&reply, out);
	if (result == -EIO)
		tell_no_version(r, key, e);
	return result;
}

/* What a ranged GET must bring. */
struct wanted {
	const char *if_match;
	uint64_t off;
	size_t len;
};

static int
check_get(const void *arg, const struct s3_reply *reply)
{
	const struct wanted *want = arg;
	const char *length = s3_reply_get(reply, "content-length");
	struct s3_object object;
	struct range range;
	uint64_t n;
	int r = s3_object_from(reply, &object);

	if (r < 0)
		return r;
	if (want->if_match != NULL && strcmp(want->if_match, object.etag))
		r = -EBADMSG;
	s3_object_free(&object);
	if (r < 0)
		return r;
	/* In chunks, or to the end of the connection, only a range tells how
	 * much had to come. */
	if (length == NULL && reply->http == 206)
		n = reply->received;
	else if (length == NULL || parse_u64(length, '\0', &n, NULL) < 0)
		return -EBADMSG;
	if (n != reply->received)
		return -EBADMSG;
	if (reply->http == 200)	/* the whole object, if that is what we want */
		return want->off == 0 ? 0 : -EBADMSG;
	if (reply->http != 206 ||
	    parse_range(s3_reply_get(reply, "content-range"), &range) < 0 ||
	    range.first != want->off ||
	    range.last - range.first + 1 != reply->received ||
	    (reply->received < want->len && range.last + 1 != range.total))
		return -EBADMSG;
	return 0;
}

/* Nothing to read at off: is it the version that was meant, and so short? */
static ssize_t
get_nothing(struct s3 *s3, const char *key, const struct wanted *want,
	    struct s3_object *out, struct s3_error *err)
{
	struct s3_object object;
	int r = s3_remote_head(s3, key, &object, err);

	if (r < 0)
		return r;
	if (want->if_match != NULL && strcmp(want->if_match, object.etag) != 0)
		r = s3_error_set(err, -ESTALE, "the object has changed");
	else if (want->len > 0 && object.size > want->off)
		r = s3_error_set(err, -EBADMSG, "416 for a range inside");
	if (r == 0 && out != NULL)
		*out = object;
	else
		s3_object_free(&object);
	return r;
}

ssize_t
s3_remote_get(struct s3 *s3, const char *key, const char *if_match,
	      uint64_t off, void *buf, size_t len, struct s3_object *out,
	      struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	struct wanted want = { if_match, off, len };
	CLEANUP_CALL struct s3_call call = {
		.method = "GET", .key = key, .buf = buf, .buf_len = len,
		.check = check_get, .check_arg = &want,
		.refused = s3_away_flag(s3, S3_ASK_GET),
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_error own;
	struct s3_error *e = err ? err : &own;
	char text[64], tag[S3_ETAG_MAX + 2];
	int result = s3_call_options(r, &call, false);

	if (len == 0)
		return get_nothing(s3, key, &want, out, e);
	snprintf(text, sizeof(text), "bytes=%" PRIu64 "-%" PRIu64, off,
		 off + len - 1);
	if (result == 0)
		result = s3_call_header(&call, "range", text);
	if (result == 0 && if_match != NULL) {
		snprintf(tag, sizeof(tag), "\"%s\"", if_match);
		result = s3_call_header(&call, "if-match", tag);
	}
	if (result == 0)
		result = s3_request(r, &call, &reply, e);
	if (result < 0 && e->http == 416)
		return get_nothing(s3, key, &want, out, e);
	if (result < 0)
		return result;
	if (out != NULL)
		result = s3_object_from(&reply, out);
	return result < 0 ? result : (ssize_t)reply.received;
}

/* RFC 9110 5.1, 5.5: a token; and no control characters but tab. */
static bool
header_ok(const struct s3_header *h)
{
	const char *p;

	if (h->name[0] == '\0')
		return false;
	for (p = h->name; *p != '\0'; p++)
		if ((*p < 'a' || *p > 'z') && (*p < '0' || *p > '9') &&
		    strchr("!#$%&'*+-.^_`|~", *p) == NULL)
			return false;
	for (p = h->value; *p != '\0'; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 127)
			return false;
	return true;
}

int
s3_call_headers(struct s3_call *call, const struct s3_headers *headers)
{
	for (size_t i = 0; headers != NULL && i < headers->count; i++) {
		int r;

		if (!header_ok(&headers->list[i]))
			return -EINVAL;
		/* S3 takes one or the other (API, PutObject). */
		if (strncmp(headers->list[i].name, "x-amz-grant-", 12) == 0 &&
		    s3_headers_set(&call->headers, "x-amz-acl", NULL) < 0)
			return -ENOMEM;
		r = s3_call_header(call, headers->list[i].name,
				   headers->list[i].value);
		if (r < 0)
			return r;
	}
	return 0;
}

int
s3_call_options(struct s3_remote *r, struct s3_call *call, bool new_object)
{
	struct s3_options *o = &r->base.options;
	int result = 0;

	if (o->requester_pays)
		result = s3_call_header(call, "x-amz-request-payer",
					"requester");
	if (new_object && o->storage_class && result == 0)
		result = s3_call_header(call, "x-amz-storage-class",
					o->storage_class);
	if (new_object && o->sse && result == 0)
		result = s3_call_header(call, "x-amz-server-side-encryption",
					o->sse);
	if (new_object && o->sse_kms_key_id && result == 0)
		result = s3_call_header(call, "x-amz-server-side-encryption-"
					"aws-kms-key-id", o->sse_kms_key_id);
	if (new_object && o->acl && result == 0)
		result = s3_call_header(call, "x-amz-acl", o->acl);
	return result;
}

int
s3_call_cond(unsigned have, struct s3_call *call, const struct s3_cond *cond,
	     unsigned caps)
{
	char tag[S3_ETAG_MAX + 2];

	if (cond == NULL)
		return 0;
	if (cond->if_none_match &&
	    (have & caps & (S3_CAP_PUT_NONE | S3_CAP_COMPLETE |
			    S3_CAP_COPY_DEST)))
		return s3_call_header(call, "if-none-match", "*");
	if (cond->if_match == NULL ||
	    !(have & caps & (S3_CAP_PUT_MATCH | S3_CAP_COMPLETE |
			     S3_CAP_COPY_DEST)))
		return 0;
	snprintf(tag, sizeof(tag),
		 have & S3_CAP_UNQUOTED ? "%s" : "\"%s\"", cond->if_match);
	return s3_call_header(call, "if-match", tag);
}

static bool
same_metadata(const struct s3_headers *sent, const struct s3_headers *seen)
{
	for (size_t i = 0; sent != NULL && i < sent->count; i++) {
		const char *value;

		if (strncmp(sent->list[i].name, "x-amz-meta-", 11) != 0)
			continue;
		value = s3_headers_get(seen, sent->list[i].name);
		if (value == NULL || strcmp(value, sent->list[i].value) != 0)
			return false;
	}
	return true;
}

bool
s3_settle(struct s3_remote *r, const struct s3_call *call, const char *etag,
	  uint64_t size, const struct s3_headers *headers,
	  struct s3_object *seen)
{
	struct s3_error own;
	bool ours;

	if (call->sent < 2 ||
	    s3_remote_head(&r->base, call->key, seen, &own) < 0)
		return false;
	/* Where no time is told, the rest has to do. */
	ours = strcasecmp(seen->etag, etag) == 0 && seen->size == size &&
	       (seen->mtime_ns == 0 || seen->mtime_ns / NS + SETTLE_SLACK_S >=
		call->first_sent_s) &&
	       same_metadata(headers, &seen->headers);
	if (!ours)
		s3_object_free(seen);
	return ours;
}

static bool
settle_put(struct s3_remote *r, const struct s3_call *call,
	   const struct s3_headers *headers, char *etag)
{
	struct s3_object seen;
	char md5[33];

	if (call->sent < 2 || s3_md5_source(call->body, md5) < 0 ||
	    !s3_settle(r, call, md5, call->body->len, headers, &seen))
		return false;
	snprintf(etag, S3_ETAG_MAX, "%s", seen.etag);
	s3_object_free(&seen);
	return true;
}

int
s3_check_put(const void *arg, const struct s3_reply *reply)
{
	const char *text = s3_reply_get(reply, "etag");
	const char *body = reply->body.data;
	char etag[S3_ETAG_MAX];

	(void)arg;
	/* A page of somebody's server may have an ETag, too. */
	if (reply->body.len > 0 && body[strspn(body, " \t\r\n")] == '<')
		return -EBADMSG;
	if (text == NULL || s3_etag_copy(text, etag) < 0 || etag[0] == '\0')
		return -EBADMSG;
	return 0;
}

bool
s3_refused_for_nothing(struct s3_remote *r, const char *key,
		       const char *if_match, unsigned cap, const char *what)
{
	struct s3_object seen = {0};
	struct s3_error own;
	char line[160];
	bool same;

	if (if_match == NULL || !(r->caps & cap) ||
	    s3_remote_head(&r->base, key, &seen, &own) < 0)
		return false;
	same = strcmp(seen.etag, if_match) == 0;
	s3_object_free(&seen);
	if (!same)
		return false;
	atomic_fetch_or(&r->withdrawn, cap);
	atomic_fetch_and(&r->caps, ~cap);
	snprintf(line, sizeof(line), "the store refuses %s that holds; a HEAD "
		 "takes its place from now on", what);
	if (r->base.config.log != NULL)
		r->base.config.log(r->base.config.log_arg, S3_LOG_WARN, line);
	return true;
}

int
s3_target_is(struct s3_remote *r, const char *key, const struct s3_cond *cond,
	     struct s3_error *err)
{
	struct s3_object seen = {0};
	int result;

	if (cond == NULL || (cond->if_match == NULL && !cond->if_none_match))
		return 0;
	result = s3_remote_head(&r->base, key, &seen, err);
	if (result == -ENOENT) {
		s3_error_clear(err);
		return cond->if_none_match ? 0 :
		       s3_error_set(err, -ESTALE, "no such key");
	}
	if (result == 0 && cond->if_none_match)
		result = s3_error_set(err, -EEXIST, "the key exists");
	else if (result == 0 && strcmp(seen.etag, cond->if_match) != 0)
		result = s3_error_set(err, -ESTALE, "the object has changed");
	s3_object_free(&seen);
	return result;
}

int
s3_remote_put(struct s3 *s3, const char *key, const struct s3_source *body,
	      const struct s3_headers *headers, const struct s3_cond *cond,
	      char *etag, struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	CLEANUP_CALL struct s3_call call = {
		.method = "PUT", .key = key, .body = body,
		.check = s3_check_put,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_error own, *e = err != NULL ? err : &own;
	int result = s3_call_options(r, &call, true);

	if (result == 0)
		result = s3_call_headers(&call, headers);
	if (result == 0)
		result = s3_call_checksum(r, &call, false);
	if (result == 0)
		result = s3_call_cond(r->caps, &call, cond,
				      S3_CAP_PUT_NONE | S3_CAP_PUT_MATCH);
	if (result == 0 && (r->withdrawn & S3_CAP_PUT_MATCH))
		result = s3_target_is(r, key, cond, e);
	if (result < 0)
		return result;
	result = s3_request_courteous(r, &call, &reply, e);
	if (result == 0)
		return s3_etag_copy(s3_reply_get(&reply, "etag"), etag);
	/* AWS gives 404 for If-Match on a key that has gone: not our ENOENT. */
	if (result == -ENOENT && cond != NULL && cond->if_match != NULL)
		result = -ESTALE;
	if (result != -ESTALE || cond == NULL)
		return result;
	if (settle_put(r, &call, headers, etag)) {
		s3_error_clear(err);
		return 0;
	}
	if (e->http == 412 &&
	    s3_refused_for_nothing(r, key, cond->if_match, S3_CAP_PUT_MATCH,
				   "a PUT with an If-Match"))
		return s3_remote_put(s3, key, body, headers, cond, etag, err);
	return cond->if_none_match ? -EEXIST : -ESTALE;
}

int
s3_check_empty(const void *arg, const struct s3_reply *reply)
{
	(void)arg;
	return reply->body.len == 0 ? 0 : -EBADMSG;
}

/* A page of somebody else with status 200 and nothing on it looks like this,
 * but for the request's number. */
int
s3_done_by_store(struct s3_remote *r, const struct s3_reply *reply,
		 struct s3_error *err)
{
	if (!s3_numbers_agree(&r->numbers_done,
			      s3_reply_number(reply) != NULL))
		return s3_error_set(err, -EAGAIN, "HTTP status %d, not from "
				    "S3", reply->http);
	return 0;
}

int
s3_remote_delete(struct s3 *s3, const char *key, const char *if_match,
		 struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	CLEANUP_CALL struct s3_call call = {
		.method = "DELETE", .key = key, .check = s3_check_empty,
		/* Without a condition it is for the object that is there now,
		 * not for what lies there when the store is back. */
		.once = if_match == NULL,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_object seen = {0};
	char tag[S3_ETAG_MAX + 2];
	int result = s3_call_options(r, &call, false);

	if (result == 0 && if_match != NULL && (r->caps & S3_CAP_DELETE)) {
		snprintf(tag, sizeof(tag), "\"%s\"", if_match);
		result = s3_call_header(&call, "if-match", tag);
	} else if (result == 0 && if_match != NULL) {
		result = s3_remote_head(s3, key, &seen, err);
		if (result == -ENOENT)
			return 0;
		if (result == 0 && strcmp(seen.etag, if_match) != 0)
			result = s3_error_set(err, -ESTALE,
					      "the object has changed");
		s3_object_free(&seen);
	}
	if (result == 0)
		result = s3_request(r, &call, &reply, err);
	if (result == 0)
		result = s3_done_by_store(r, &reply, err);
	if (result == -ESTALE &&
	    s3_refused_for_nothing(r, key, if_match, S3_CAP_DELETE,
				   "a DELETE with an If-Match"))
		return s3_remote_delete(s3, key, if_match, err);
	return result == -ENOENT ? 0 : result;
}
