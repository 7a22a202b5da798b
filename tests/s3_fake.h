/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_S3_FAKE_H
#define TESTS_S3_FAKE_H

/*
 * A bucket whose store plays a script (http_fake.h), for the tests of s3/:
 * START(step, ...), calls on `s3`, then stop(number of requests).
 */

#include <stdlib.h>
#include "s3/remote.h"
#include "tests/http_fake.h"
#include "tests/unit.h"

#define LINE "\r\n"
#define MTIME "Last-Modified: Fri, 24 May 2013 00:00:00 GMT" LINE
#define ETAG(e) "ETag: \"" e "\"" LINE
#define LENGTH(n) "Content-Length: " #n LINE
#define PARTIAL(range, n, etag) "HTTP/1.1 206 Partial" LINE MTIME ETAG(etag) \
	"Content-Range: bytes " range LINE LENGTH(n) LINE
#define OK(n, etag) "HTTP/1.1 200 OK" LINE MTIME ETAG(etag) LENGTH(n) LINE
#define SLOW "HTTP/1.1 503 Slow Down" LINE LENGTH(33) LINE \
	"<Error><Code>SlowDown</Code></Error>"
#define BUSY "HTTP/1.1 503 Busy" LINE LENGTH(0) LINE
#define OOPS "HTTP/1.1 500 Oops" LINE LENGTH(0) LINE
#define NONE "HTTP/1.1 404 None" LINE LENGTH(0) LINE
#define REFUSED "HTTP/1.1 412 Precondition" LINE LENGTH(0) LINE
/* For HTTP_CLOSE: a connection that the client still believes in makes it
 * send again. */
#define LAST "Connection: close" LINE
#define OK_LAST(n, etag) "HTTP/1.1 200 OK" LINE LAST MTIME ETAG(etag) \
	LENGTH(n) LINE
#define REFUSED_LAST "HTTP/1.1 412 Precondition" LINE LAST LENGTH(0) LINE

static struct http_fake *fake;
static struct s3 *s3;
static struct s3_error err;

static inline void
start_with(const struct http_step *steps, size_t count,
	   struct s3_config config)
{
	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	fake = http_fake_start(steps, count);
	config.url = "s3://bucket";
	config.endpoint = http_fake_url(fake);
	/* Longer than a machine stands still: steps are counted. */
	if (config.retry_ms == 0)
		config.retry_ms = 60000;
	if (config.stall_ms == 0)
		config.stall_ms = 60000;
	CU_ASSERT_EQUAL_FATAL(s3_open(&config, &s3, &err), 0);
}

#define START(...)							     \
	static const struct http_step steps[] = { __VA_ARGS__ };	     \
	start_with(steps, sizeof(steps) / sizeof(*steps),		     \
		   (struct s3_config){0})
#define START_WITH(config, ...)						     \
	static const struct http_step steps[] = { __VA_ARGS__ };	     \
	start_with(steps, sizeof(steps) / sizeof(*steps),		     \
		   (struct s3_config)config)

/* All steps were used, as they expect. */
static inline void
stop(size_t requests)
{
	s3_close(&s3);
	CU_ASSERT_EQUAL(http_fake_seen(fake), requests);
	CU_ASSERT_EQUAL(http_fake_wrong(fake), 0);
	http_fake_stop(&fake);
}

static inline ssize_t
read_text(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

static const struct s3_source abc = {
	.len = 3, .read = read_text, .arg = (void *)"abc",
};
#define MD5_ABC "900150983cd24fb0d6963f7d28e17f72"

/* "abc" under "key". */
static inline int
put(const struct s3_cond *cond, char *etag)
{
	return s3_put(s3, "key", &abc, NULL, cond, etag, &err);
}

#endif
