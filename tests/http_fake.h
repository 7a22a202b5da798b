/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HTTP_FAKE_H
#define TESTS_HTTP_FAKE_H

/*
 * A small HTTP/1.1 server on loopback that answers from a script.  Each
 * request takes the next step; after the last one the answer is 500 and the
 * server counts it as too many.  A step sends exactly the bytes it holds, so
 * that a test can lie about lengths, stall or reset in the middle.
 */

#include <stdbool.h>
#include <stddef.h>

struct http_step {
	const char *reply;	/* all bytes, head and body */
	size_t len;		/* 0: strlen(reply) */
	enum {
		HTTP_KEEP,	/* then take the next request */
		HTTP_CLOSE,	/* then close the connection */
		HTTP_RESET,	/* then close it with a reset */
		HTTP_LATE,	/* keep, but answer half a second late */
		HTTP_STALL,	/* then say nothing until the client goes */
	} then;
	const char *expect;	/* must be a part of the request, or NULL */
	const char *refuse;	/* must not be, or NULL */
};

struct http_fake;
/* steps must live until http_fake_stop. */
struct http_fake *http_fake_start(const struct http_step *steps,
				  size_t count);
/* "http://127.0.0.1:PORT", the server's. */
const char *http_fake_url(const struct http_fake *fake);
/* Requests seen so far; and the text of one, NULL if there was none. */
size_t http_fake_seen(struct http_fake *fake);
const char *http_fake_request(struct http_fake *fake, size_t index);
/* Requests that did not hold what their step expects, or were too many. */
size_t http_fake_wrong(struct http_fake *fake);
void http_fake_stop(struct http_fake **fake);

#endif
