/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_S3_SERVER_H
#define TESTS_S3_SERVER_H

/*
 * An S3 server on loopback, for tests that want real requests on a real
 * socket: HTTP and XML in front of an embedded bucket (s3/local.c), which has
 * conditions, multipart uploads, copies and listings.  Beside them tags, and
 * grants as AWS tells them.  Signatures must be there and are not verified.
 *
 * From s3_server_answer on, requests of some kinds get another answer: that
 * of a store in trouble, or of what stands before it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/s3.h"

enum s3_server_call {
	CALL_PUT, CALL_GET, CALL_HEAD, CALL_DELETE, CALL_LIST, CALL_COPY,
	CALL_CREATE, CALL_PART, CALL_PART_COPY, CALL_COMPLETE, CALL_ABORT,
	CALL_ACL, CALL_TAGGING,
	CALL_OTHER,	/* HeadBucket, ListParts, ListMultipartUploads */
	CALL_COUNT
};
#define CALLS_ALL ((1U << CALL_COUNT) - 1)

struct s3_server_answer {
	const char *name;
	unsigned status;
	/* An S3 error document with this code; or this body as it is. */
	const char *code, *body;
	const char *type;	/* of the body; NULL: application/xml */
	const char *headers;	/* more lines, each with CRLF; or NULL */
	bool foreign;		/* of a proxy: without a request's number */
	enum {
		ANSWER_SAY,	/* what stands here; nothing is done */
		ANSWER_RESET,	/* the connection, nothing is done */
		ANSWER_STALL,	/* silence, nothing is done */
		ANSWER_CUT,	/* it is done, and half the answer comes */
		ANSWER_LOST,	/* it is done, and no answer comes */
	} kind;
};

/* What real stores are seen to do. */
enum s3_server_trait {
	TRAIT_PUT_NONE_UNSEEN = 1, TRAIT_PUT_MATCH_UNSEEN = 2,
	TRAIT_COMPLETE_UNSEEN = 4, TRAIT_COPY_MATCH_UNSEEN = 8,
	TRAIT_DELETE_MATCH_UNSEEN = 16,
	TRAIT_UNQUOTED = 32,	/* only If-Match without quotes can hold */
	TRAIT_COMPLETE_REFUSES = 64,	/* a right If-Match, too */
	TRAIT_WHOLE_PARTS = 128,	/* small ones are not copied */
	TRAIT_BACKSLASH_SLASH = 256,
	TRAIT_CONTROL_LISTED = 512,	/* as U+FFFD; and U+FFFE */
	TRAIT_NEWLINE_PAGE = 1024,	/* 404 of its web server */
	TRAIT_BACKSLASH_PAGE = 2048,
	TRAIT_COMPLETE_304 = 4096,	/* If-None-Match does not hold */
};

struct s3_server;

/* bucket: an embedded one, the caller's; any bucket's name is taken for it. */
struct s3_server *s3_server_start(struct s3 *bucket);
const char *s3_server_url(const struct s3_server *v);
void s3_server_stop(struct s3_server **v);

/* calls: bits 1 << enum s3_server_call; answer NULL: as they should be. */
void s3_server_answer(struct s3_server *v, unsigned calls,
		      const struct s3_server_answer *answer);
/* Bits of enum s3_server_trait, before the first request. */
void s3_server_traits(struct s3_server *v, unsigned traits);
/* Requests for this key wait so long before anything else. */
void s3_server_slow(struct s3_server *v, const char *key, unsigned ms);
/* ... and there were so many. */
unsigned s3_server_slowed(struct s3_server *v);
/* Requests so far of these calls, and how many of them got the answer. */
unsigned s3_server_seen(struct s3_server *v, unsigned calls);
unsigned s3_server_answered(struct s3_server *v);
/* The most requests in any 100 ms. */
unsigned s3_server_peak(struct s3_server *v);

/* ---- between its files ---- */

struct s3_buf;

struct s3_server_request {
	char *head;		/* NUL-terminated, CRLF lines */
	char *method, *query;	/* in head */
	char key[3 * S3_KEY_MAX + 1];	/* "": the bucket */
	char *body;
	size_t body_len;
	enum s3_server_call call;
};

struct s3_server_reply {
	unsigned status;
	struct s3_buf *headers;	/* lines with CRLF */
	struct s3_buf *body;
	bool length_told;	/* among the headers: HEAD */
};

/* A header's value until the next CRLF, copied; false: none. */
bool s3_server_header(const struct s3_server_request *rq, const char *name,
		      char *value, size_t size);
/* A word of the query, decoded; false: none. */
bool s3_server_query(const struct s3_server_request *rq, const char *name,
		     char *value, size_t size);
void s3_server_decode(char *to, size_t size, const char *from, size_t len);
enum s3_server_call s3_server_kind(const struct s3_server_request *rq);
/* May change the request; not NULL: the answer to it. */
const struct s3_server_answer *s3_server_trait(unsigned traits,
					       struct s3_server_request *rq);
void s3_server_trait_list(unsigned traits, struct s3_buf *body);
void s3_server_do(struct s3 *bucket, const struct s3_server_request *rq,
		  struct s3_server_reply *reply);

#endif
