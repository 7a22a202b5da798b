/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an object has beside its bytes and the headers that HEAD tells: tags,
 * ACL, storage class, encryption.  S3 gives a new version none of that unless
 * the request that writes it says so, so it is read before, and said again.
 * (S3 API PutObject, CopyObject: "ACL is not preserved"; a copy carries tags
 * by its directive.)
 *
 * A store without tags or ACLs is asked once: then a line in the log says
 * what new versions will lack.  One that does not let us read them: denied.c.
 *
 * These are courtesies: bytes are never kept back for their sake, but for a
 * while when it may pass.  An answer that cannot be understood costs this
 * object its tags or grants, with a line in the log, and is counted.  A store
 * that refuses a request for such a header gets the request without it
 * (s3_request_courteous), and is not shown it again where the refusals speak
 * of the store and not of a value.  Where all metadata together is too large,
 * that which this program has added goes first.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define RUDE_TIMES 3
#define ROOM_BYTES 2048		/* of headers, which all stores take */

/* Archived objects cannot be read at once: a new version is not made one. */
static bool
keeps_class(const char *class)
{
	return class[0] != '\0' && s3_class_cold(class) != S3_COLD_YES;
}

static int
add_options(struct s3_remote *r, const struct s3_object *o,
	    struct s3_headers *headers)
{
	const struct s3_options *set = &r->base.options;
	int result = 0;

	if (set->storage_class == NULL && keeps_class(o->storage_class))
		result = s3_headers_set(headers, "x-amz-storage-class",
					o->storage_class);
	if (result == 0 && set->sse == NULL && o->kms)
		result = s3_headers_set(headers,
					"x-amz-server-side-encryption",
					"aws:kms");
	if (result == 0 && set->sse == NULL && o->kms && o->kms_key_id[0])
		result = s3_headers_set(headers, "x-amz-server-side-"
					"encryption-aws-kms-key-id",
					o->kms_key_id);
	return result;
}

/* To the log, of all objects. */
static void
say_not_read(struct s3_remote *r, const char *what, const struct s3_error *e)
{
	char line[256];

	if (r->base.config.log == NULL)
		return;
	snprintf(line, sizeof(line), "objects written anew lose their %s, "
		 "which cannot be read: %d %s", what, e->http, e->code);
	r->base.config.log(r->base.config.log_arg, S3_LOG_WARN, line);
}

/* One kind of what is asked for. */
struct kind {
	const char *query, *what;
	atomic_bool *never;
	struct s3_denials *denied;
};

/* As ask, when it was refused. */
static int
refused(struct s3_remote *r, const char *key, const struct kind *k,
	struct s3_error *e)
{
	enum s3_denial denial;

	if (strcmp(e->code, "InvalidObjectState") == 0)
		denial = S3_DENIED_OBJECT;
	else
		denial = s3_denials_judge(k->denied, key);
	if (denial == S3_DENIED_WAIT)
		return -EAGAIN;
	s3_extras_lost(r, key, k->what);
	if (denial == S3_DENIED_ALL)
		say_not_read(r, k->what, e);
	s3_error_clear(e);
	return 1;
}

/* GET KEY?what.  1: there is nothing of the kind to be had. */
static int
ask(struct s3_remote *r, const char *key, const struct kind *k,
    struct s3_reply *reply, struct s3_error *err)
{
	CLEANUP_CALL struct s3_call call = { .method = "GET", .key = key,
					     .error_in_200 = true };
	struct s3_error own = {0};
	struct s3_error *e = err != NULL ? err : &own;
	int result = s3_call_options(r, &call, false);

	if (s3_denials_closed(k->denied))
		return 1;
	s3_call_query(&call, k->query, NULL);
	if (result == 0)
		result = s3_request(r, &call, reply, e);
	/* A page of somebody else has this status, too. */
	if (result == 0 && r->numbers.borne && s3_reply_number(reply) == NULL)
		return s3_error_set(e, -EAGAIN, "the answer is not from S3");
	if (result == 0 ||
	    (result == -ENOENT && strncmp(e->code, "NoSuchTagSet", 12) == 0))
		s3_denials_allowed(k->denied);
	if (result == -ENOENT && strncmp(e->code, "NoSuchTagSet", 12) == 0) {
		s3_error_clear(e);
		return 1;
	}
	/* What it told before it does know. */
	if (result == -EACCES || result == -EINVAL ||
	    (result == -ENOTSUP && s3_denials_were_allowed(k->denied)))
		return refused(r, key, k, e);
	if (result != -ENOTSUP)
		return result;
	if (!atomic_exchange(k->never, true))
		say_not_read(r, k->what, e);
	s3_error_clear(e);
	return 1;
}

static int
add_tags(struct s3_remote *r, const char *key, struct s3_headers *headers,
	 struct s3_error *err)
{
	CLEANUP_REPLY struct s3_reply reply = {0};
	CLEANUP_FREE char *tags = NULL;
	const struct kind kind = { "tagging", "tags", &r->no_tags,
				   &r->tags_denied };
	int result = ask(r, key, &kind, &reply, err);

	if (result != 0)
		return result < 0 ? result : 0;
	result = s3_xml_tags(reply.body.data, reply.body.len, &tags);
	if (result == -EBADMSG) {
		s3_extras_lost(r, key, "tags");
		return 0;
	}
	if (result == 0 && tags[0] != '\0')
		result = s3_headers_set(headers, "x-amz-tagging", tags);
	return result;
}

static int
add_grants(struct s3_remote *r, const char *key, struct s3_headers *headers,
	   struct s3_error *err)
{
	CLEANUP_REPLY struct s3_reply reply = {0};
	const struct kind kind = { "acl", "ACL", &r->no_acl, &r->acl_denied };
	int result = ask(r, key, &kind, &reply, err);

	if (result != 0)
		return result < 0 ? result : 0;
	result = s3_xml_grants(reply.body.data, reply.body.len, headers);
	if (result == -EBADMSG) {
		s3_extras_lost(r, key, "ACL");
		return 0;
	}
	return result;
}

void
s3_extras_lost(struct s3_remote *r, const char *key, const char *what)
{
	char line[S3_KEY_MAX + 64];

	__atomic_add_fetch(&r->base.stats.extras_lost, 1, __ATOMIC_RELAXED);
	if (r->base.config.log == NULL)
		return;
	snprintf(line, sizeof(line), "an object has lost its %s: key=%s",
		 what, key);
	r->base.config.log(r->base.config.log_arg, S3_LOG_WARN, line);
}

/* What a store may not know, in the order in which it is left out. */
static const struct courtesy {
	const char *header;	/* all that begin like it */
	const char *what;	/* is lost by that; NULL: nothing */
} courtesies[S3_COURTESIES] = {
	{ "x-amz-tagging-directive", NULL },
	{ "x-amz-checksum-", NULL },
	{ "x-amz-tagging", "tags" },
	{ "x-amz-grant-", "ACL" },
	{ "x-amz-storage-class", "storage class" },
};

/* True if there was such a header. */
static bool
leave_out(struct s3_headers *headers, const char *name, bool exactly)
{
	size_t kept = 0;
	bool found;

	for (size_t i = 0; i < headers->count; i++) {
		struct s3_header *h = &headers->list[i];

		if (exactly ? strcmp(h->name, name) == 0
			    : strncmp(h->name, name, strlen(name)) == 0) {
			free(h->name);
			free(h->value);
		} else {
			headers->list[kept++] = *h;
		}
	}
	found = kept < headers->count;
	headers->count = kept;
	return found;
}

/* Headers that the operator asked for are no courtesies. */
static bool
is_courtesy(const struct s3_remote *r, const struct courtesy *c)
{
	return r->base.options.storage_class == NULL ||
	       strcmp(c->header, "x-amz-storage-class") != 0;
}

/* Of those that the store never knew, so that it is not shown them. */
static void
leave_out_known(struct s3_remote *r, struct s3_call *call)
{
	for (size_t i = 0; i < S3_COURTESIES; i++) {
		const struct courtesy *c = &courtesies[i];

		if (r->rude & 1U << i && is_courtesy(r, c) &&
		    leave_out(&call->headers, c->header, false) &&
		    c->what != NULL)
			s3_extras_lost(r, call->key, c->what);
	}
}

/* The request went well without this one.  A store that failed for a moment
 * is not one that does not know it: what objects lose is seen more often. */
static void
remember(struct s3_remote *r, size_t i)
{
	unsigned times = atomic_fetch_add(&r->rude_seen[i], 1) + 1;

	if (courtesies[i].what == NULL || times >= RUDE_TIMES)
		atomic_fetch_or(&r->rude, 1U << i);
}

/* The same without one courtesy after the other. */
static int
without_courtesies(struct s3_remote *r, struct s3_call *call, int result,
		   struct s3_reply *reply, struct s3_error *e)
{
	unsigned left = 0;

	for (size_t i = 0; i < S3_COURTESIES && result < 0; i++) {
		const struct courtesy *c = &courtesies[i];
		enum s3_lack lack = s3_error_lacks(result, e);

		if ((lack != S3_LACKS_FEATURE && lack != S3_LACKS_PERHAPS) ||
		    !is_courtesy(r, c) ||
		    !leave_out(&call->headers, c->header, false))
			continue;
		result = s3_request(r, call, reply, e);
		left |= 1U << i;
		if (result == 0 && lack == S3_LACKS_FEATURE)
			remember(r, i);
	}
	for (size_t i = 0; i < S3_COURTESIES && result == 0; i++)
		if (left & 1U << i && courtesies[i].what != NULL)
			s3_extras_lost(r, call->key, courtesies[i].what);
	return result;
}

/* A proxy that takes no such headers says so in words of its own. */
static bool
lacks_room(int result, const struct s3_error *e, const struct s3_call *call)
{
	size_t bytes = 0;

	if (s3_error_lacks(result, e) == S3_LACKS_ROOM)
		return true;
	for (size_t i = 0; i < call->headers.count; i++)
		bytes += strlen(call->headers.list[i].name) +
			 strlen(call->headers.list[i].value);
	return result < 0 && e->code[0] == '\0' && bytes > ROOM_BYTES &&
	       (e->http == 400 || e->http == 413);
}

/* The same with less metadata: ours goes first. */
static int
with_less(struct s3_remote *r, struct s3_call *call, int result,
	  struct s3_reply *reply, struct s3_error *e)
{
	static const char *const ours[] = {
		"file-permissions", "file-owner", "file-group", "file-mtime",
		"file-atime", "file-btime", "mtime", "mode", "uid", "gid",
		"rdev", "s3nfsd-link",
	};
	char name[64];
	bool any = false;

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		snprintf(name, sizeof(name), "x-amz-meta-%s", ours[i]);
		any |= leave_out(&call->headers, name, true);
	}
	if (any)
		result = s3_request(r, call, reply, e);
	if (any && result == 0)
		s3_extras_lost(r, call->key, "mode, owner and times");
	if (lacks_room(result, e, call) &&
	    leave_out(&call->headers, "x-amz-meta-", false)) {
		result = s3_request(r, call, reply, e);
		if (result == 0)
			s3_extras_lost(r, call->key, "metadata");
	}
	return result;
}

int
s3_request_courteous(struct s3_remote *r, struct s3_call *call,
		     struct s3_reply *reply, struct s3_error *err)
{
	struct s3_error own, *e = err != NULL ? err : &own;
	int result;

	leave_out_known(r, call);
	result = s3_request(r, call, reply, e);
	if (lacks_room(result, e, call))
		result = with_less(r, call, result, reply, e);
	return without_courtesies(r, call, result, reply, e);
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* One key or value of our own encoding, as text of an element. */
static void
add_decoded(struct s3_buf *out, const char *from, size_t len)
{
	CLEANUP_BUF struct s3_buf plain = {0};

	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		if (c == '%' && i + 2 < len) {
			c = (char)(hex_digit(from[i + 1]) << 4 |
				   hex_digit(from[i + 2]));
			i += 2;
		}
		s3_buf_add(&plain, &c, 1);
	}
	if (plain.len > 0)
		s3_buf_xml(out, plain.data);
}

static void
tags_body(struct s3_buf *b, const char *tags)
{
	s3_buf_str(b, "<Tagging><TagSet>");
	while (*tags != '\0') {
		size_t len = strcspn(tags, "&"), key = strcspn(tags, "=&");

		s3_buf_str(b, "<Tag><Key>");
		add_decoded(b, tags, key);
		s3_buf_str(b, "</Key><Value>");
		if (key < len)
			add_decoded(b, tags + key + 1, len - key - 1);
		s3_buf_str(b, "</Value></Tag>");
		tags += len + (tags[len] == '&');
	}
	s3_buf_str(b, "</TagSet></Tagging>");
}

static ssize_t
read_body(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

/* radosgw 16 forgets tags when a copy replaces metadata, told or not, and
 * those of a multipart upload. */
int
s3_remote_extras_ensure(struct s3 *s3, const char *key,
			const struct s3_headers *headers,
			struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	const char *tags = s3_headers_get(headers, "x-amz-tagging");
	CLEANUP_BUF struct s3_buf xml = {0};
	struct s3_source body = { .read = read_body };
	CLEANUP_CALL struct s3_call call = { .method = "PUT", .key = key,
					     .body = &body };
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_object seen = {0};
	int result = s3_remote_head(&r->base, key, &seen, err);
	bool there = seen.has_tags;

	s3_object_free(&seen);
	if (result < 0 || there || !r->tells_tags)
		return result;
	tags_body(&xml, tags);
	if (xml.failed)
		return -ENOMEM;
	body.len = xml.len;
	body.arg = xml.data;
	s3_call_query(&call, "tagging", NULL);
	result = s3_call_options(r, &call, false);
	if (result == 0)
		result = s3_request(r, &call, &reply, err);
	return result;
}

int
s3_remote_extras(struct s3 *s3, const char *key,
		 const struct s3_object *object, bool copy,
		 struct s3_headers *headers, struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	int result = add_options(r, object, headers);

	/* HEAD tells of tags, but not with every store.  A copy carries them,
	 * where HEAD does not say that it must be looked after. */
	if (result == 0 && !r->no_tags &&
	    (object->has_tags || (!copy && !r->tells_tags)))
		result = add_tags(r, key, headers, err);
	if (result == 0 && !r->no_acl)
		result = add_grants(r, key, headers, err);
	return result;
}
