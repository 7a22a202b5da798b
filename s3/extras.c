/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an object has beside its bytes and the headers that HEAD tells: tags,
 * ACL, storage class, encryption.  S3 gives a new version none of that unless
 * the request that writes it says so, so it is read before, and said again.
 * (S3 API PutObject, CopyObject: "ACL is not preserved"; a copy carries tags
 * by its directive.)
 *
 * A store without tags or ACLs, or one that does not let us read them, is
 * asked once: then a line in the log says what new versions will lack.
 *
 * These are courtesies: bytes are never kept back for their sake.  An answer
 * that cannot be understood costs this object its tags or grants, with a line
 * in the log.  A store that refuses a request for such a header gets the
 * request without it (s3_request_courteous), and is not shown it again
 * where the refusal speaks of the store and not of a value.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

/* Archived objects cannot be read at once: a new version is not made one. */
static bool
keeps_class(const char *class)
{
	return class[0] != '\0' && strcmp(class, "GLACIER") != 0 &&
	       strcmp(class, "DEEP_ARCHIVE") != 0;
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

/* GET KEY?what.  1: there is nothing of the kind to be had. */
static int
ask(struct s3_remote *r, const char *key, const char *what,
    atomic_bool *never, struct s3_reply *reply, struct s3_error *err)
{
	CLEANUP_CALL struct s3_call call = { .method = "GET", .key = key };
	struct s3_error own = {0};
	struct s3_error *e = err != NULL ? err : &own;
	int result = s3_call_options(r, &call, false);

	s3_call_query(&call, what, NULL);
	if (result == 0)
		result = s3_request(r, &call, reply, e);
	if (result == -ENOENT && strcmp(e->code, "NoSuchTagSet") == 0) {
		s3_error_clear(e);
		return 1;
	}
	if (result != -ENOTSUP && result != -EACCES && result != -EINVAL)
		return result;
	if (!atomic_exchange(never, true) && r->base.config.log != NULL) {
		char line[256];

		snprintf(line, sizeof(line), "objects written anew lose their "
			 "%s, which cannot be read: %d %s",
			 strcmp(what, "acl") == 0 ? "ACL" : "tags", e->http,
			 e->code);
		r->base.config.log(r->base.config.log_arg, S3_LOG_WARN, line);
	}
	s3_error_clear(e);
	return 1;
}

static int
add_tags(struct s3_remote *r, const char *key, struct s3_headers *headers,
	 struct s3_error *err)
{
	CLEANUP_REPLY struct s3_reply reply = {0};
	CLEANUP_FREE char *tags = NULL;
	int result = ask(r, key, "tagging", &r->no_tags, &reply, err);

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
	int result = ask(r, key, "acl", &r->no_acl, &reply, err);

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
	unsigned bit;		/* of r->rude */
} courtesies[] = {
	{ "x-amz-tagging-directive", NULL, 1 },
	{ "x-amz-tagging", "tags", 2 },
	{ "x-amz-grant-", "ACL", 4 },
	{ "x-amz-storage-class", "storage class", 8 },
};
#define COURTESIES (sizeof(courtesies) / sizeof(*courtesies))

/* True if there was such a header. */
static bool
leave_out(struct s3_headers *headers, const struct courtesy *c)
{
	size_t kept = 0;
	bool found;

	for (size_t i = 0; i < headers->count; i++) {
		struct s3_header *h = &headers->list[i];

		if (strncmp(h->name, c->header, strlen(c->header)) == 0) {
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

int
s3_request_courteous(struct s3_remote *r, struct s3_call *call,
		     struct s3_reply *reply, struct s3_error *err)
{
	struct s3_error own, *e = err != NULL ? err : &own;
	unsigned left = 0;
	int result;

	for (size_t i = 0; i < COURTESIES; i++)
		if (r->rude & courtesies[i].bit && is_courtesy(r,
							&courtesies[i]) &&
		    leave_out(&call->headers, &courtesies[i]) &&
		    courtesies[i].what != NULL)
			s3_extras_lost(r, call->key, courtesies[i].what);
	result = s3_request(r, call, reply, e);
	for (size_t i = 0; i < COURTESIES && result < 0; i++) {
		const struct courtesy *c = &courtesies[i];
		enum s3_lack lack = s3_error_lacks(result, e);

		if (lack == S3_LACKS_NOTHING || !is_courtesy(r, c) ||
		    !leave_out(&call->headers, c))
			continue;
		result = s3_request(r, call, reply, e);
		left |= 1U << i;
		if (result == 0 && lack == S3_LACKS_FEATURE)
			atomic_fetch_or(&r->rude, c->bit);
	}
	for (size_t i = 0; i < COURTESIES && result == 0; i++)
		if (left & 1U << i && courtesies[i].what != NULL)
			s3_extras_lost(r, call->key, courtesies[i].what);
	return result;
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
