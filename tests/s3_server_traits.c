/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is odd about real stores (docs/stores.md), put between the server of
 * s3_server.h and its requests: a header is not seen, a key becomes another, a
 * listing tells otherwise, or a page comes in place of an answer.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"
#include "tests/s3_server.h"

static const struct s3_server_answer page = {
	.name = "a page", .status = 404, .type = "text/html", .foreign = true,
	.body = "<!doctype html><title>404 Not Found</title>",
}, failed = {
	.name = "412", .status = 412, .code = "PreconditionFailed",
}, unchanged = {
	.name = "304", .status = 304,
}, too_small = {
	.name = "400", .status = 400, .code = "InvalidRequest",
};

/* No header of this name was sent. */
static void
overlook(const struct s3_server_request *rq, const char *name)
{
	size_t len = strlen(name);

	for (char *p = strstr(rq->head, "\r\n"); p != NULL;
	     p = strstr(p + 2, "\r\n"))
		if (strncasecmp(p + 2, name, len) == 0 && p[2 + len] == ':')
			p[2] = '-';
}

static bool
has(const struct s3_server_request *rq, const char *name, char first)
{
	char value[128];

	return s3_server_header(rq, name, value, sizeof(value)) &&
	       (first == '\0' || value[0] == first);
}

static bool
is_small(const struct s3_server_request *rq)
{
	char range[64];
	unsigned long long from, to;

	return s3_server_header(rq, "x-amz-copy-source-range", range,
				sizeof(range)) &&
	       sscanf(range, "bytes=%llu-%llu", &from, &to) == 2 &&
	       to - from + 1 < S3_PART_MIN;
}

static const struct s3_server_answer *
of_conditions(unsigned traits, const struct s3_server_request *rq)
{
	if (rq->call == CALL_PUT && traits & TRAIT_PUT_NONE_UNSEEN)
		overlook(rq, "if-none-match");
	if (rq->call == CALL_PUT && traits & TRAIT_PUT_MATCH_UNSEEN)
		overlook(rq, "if-match");
	if (rq->call == CALL_DELETE && traits & TRAIT_DELETE_MATCH_UNSEEN)
		overlook(rq, "if-match");
	if (rq->call == CALL_COPY && traits & TRAIT_COPY_MATCH_UNSEEN)
		overlook(rq, "x-amz-copy-source-if-match");
	if (rq->call == CALL_COMPLETE && traits & TRAIT_COMPLETE_UNSEEN) {
		overlook(rq, "if-match");
		overlook(rq, "if-none-match");
	}
	if (rq->call == CALL_COMPLETE && traits & TRAIT_COMPLETE_304 &&
	    has(rq, "if-none-match", '\0'))
		return &unchanged;
	if (rq->call == CALL_COMPLETE && traits & TRAIT_COMPLETE_REFUSES &&
	    has(rq, "if-match", '\0'))
		return &failed;
	return rq->call == CALL_PUT && traits & TRAIT_UNQUOTED &&
		       has(rq, "if-match", '"') ? &failed : NULL;
}

const struct s3_server_answer *
s3_server_trait(unsigned traits, struct s3_server_request *rq)
{
	if ((traits & TRAIT_NEWLINE_PAGE && strchr(rq->key, '\n') != NULL) ||
	    (traits & TRAIT_BACKSLASH_PAGE && strchr(rq->key, '\\') != NULL))
		return &page;
	for (char *p = rq->key; traits & TRAIT_BACKSLASH_SLASH && *p; p++)
		if (*p == '\\')
			*p = '/';
	if (rq->call == CALL_PART_COPY && traits & TRAIT_WHOLE_PARTS &&
	    is_small(rq))
		return &too_small;
	return of_conditions(traits, rq);
}

/* What a listing says of such characters, by the bytes of url-encoding. */
void
s3_server_trait_list(unsigned traits, struct s3_buf *body)
{
	static const char *const odd[] = { "%01", "%EF%BF%BE" };
	CLEANUP_BUF struct s3_buf out = {0};

	if (!(traits & TRAIT_CONTROL_LISTED))
		return;
	for (const char *p = body->data; *p != '\0';) {
		size_t len = 0;

		for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
			if (strncasecmp(p, odd[i], strlen(odd[i])) == 0)
				len = strlen(odd[i]);
		if (len > 0)
			s3_buf_str(&out, "%EF%BF%BD");
		else
			s3_buf_add(&out, p, 1);
		p += len > 0 ? len : 1;
	}
	s3_buf_reset(body);
	s3_buf_add(body, out.data, out.len);
}
