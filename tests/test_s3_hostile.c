/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers in forms that HTTP allows and S3 never has, and answers that seem to
 * be good and are not.
 */
#include <config.h>
#include <errno.h>
#include "tests/s3_fake.h"

#define ID "x-amz-request-id: tx1" LINE
#define RANGE(r) "HTTP/1.1 206 Partial" LINE ID MTIME ETAG("e") \
	"Content-Range: bytes " r LINE
#define CHUNKED "Transfer-Encoding: chunked" LINE
#define LIST_PAGE(token, items) "HTTP/1.1 200 OK" LINE ID LAST LINE	     \
	"<ListBucketResult><IsTruncated>true</IsTruncated>"		     \
	"<NextContinuationToken>" token "</NextContinuationToken>" items     \
	"</ListBucketResult>"
#define ITEM(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"
#define PREFIX(key) "<CommonPrefixes><Prefix>" key "</Prefix></CommonPrefixes>"

static int
get3(char buf[4], struct s3_object *o)
{
	return (int)s3_get(s3, "key", "e", 0, buf, 3, o, &err);
}

static int
head(struct s3_object *o)
{
	*o = (struct s3_object){ 0 };
	return s3_head(s3, "key", o, &err);
}

static void
bytes_in_chunks_are_taken_where_a_range_tells_their_number(void)
{
	struct s3_object o = { 0 };
	char buf[4] = "";

	START({ RANGE("0-2/3") CHUNKED LINE "2" LINE "ab" LINE "1" LINE "c"
		LINE "0" LINE "x-amz-meta-late: 1" LINE LINE, 0, HTTP_KEEP,
		"Accept-Encoding: identity\r\n", NULL },
	      { RANGE("0-2/3") CHUNKED LINE "2" LINE "ab" LINE "0" LINE LINE,
		0, HTTP_KEEP, NULL, NULL },
	      { RANGE("0-2/3") LAST LINE "a", 0, HTTP_CLOSE, NULL, NULL },
	      { "HTTP/1.0 206 Partial" LINE ID MTIME ETAG("e")
		"Content-Range: bytes 0-2/3" LINE LINE "xyz", 0, HTTP_CLOSE,
		NULL, NULL });
	CU_ASSERT_EQUAL(get3(buf, &o), 3);
	CU_ASSERT_STRING_EQUAL(buf, "abc");
	CU_ASSERT_PTR_NULL(s3_headers_get(&o.headers, "x-amz-meta-late"));
	s3_object_free(&o);
	/* Short ones are none. */
	s3_to_remote(s3)->base.config.retry_ms = 1;
	CU_ASSERT_EQUAL(get3(buf, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(get3(buf, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(get3(buf, NULL), 3);
	CU_ASSERT_STRING_EQUAL(buf, "xyz");
	stop(4);
}

static void
an_empty_etag_is_refused_for_good(void)
{
	struct s3_object o;

	START_WITH({ .retry_ms = 1 },
		   { "HTTP/1.1 200 OK" LINE ID MTIME "ETag: \"\"" LINE
		     LENGTH(3) LINE, 0, HTTP_KEEP, "HEAD", NULL });
	CU_ASSERT_EQUAL(head(&o), -EIO);
	stop(1);
}

static void
times_are_read_in_each_form_that_there_is(void)
{
	static const int64_t then = 784111777LL * 1000000000;
	struct s3_object o;

#define AT(text) { "HTTP/1.1 200 OK" LINE ID "Last-Modified: " text LINE     \
		   ETAG("e") LENGTH(3) LINE, 0, HTTP_KEEP, "HEAD", NULL }
	START(AT("Sun, 06 Nov 1994 08:49:37 GMT"),
	      AT("Sunday, 06-Nov-94 08:49:37 GMT"),
	      AT("Sun Nov  6 08:49:37 1994"), AT("1994-11-06T08:49:37.000Z"),
	      AT("784111777"), AT("yesterday"));
	for (int i = 0; i < 6; i++) {
		CU_ASSERT_EQUAL(head(&o), 0);
		CU_ASSERT_EQUAL(o.mtime_ns, i < 4 ? then : 0);
		s3_object_free(&o);
	}
	stop(6);
}

/* A server that has its page for each path and method. */
static void
a_page_with_an_etag_stores_nothing(void)
{
	char etag[S3_ETAG_MAX] = "";

	START_WITH({ .retry_ms = 2000 },
		   { "HTTP/1.1 200 OK" LINE ETAG("page") LENGTH(20) LINE
		     "<!doctype html><p/> ", 0, HTTP_KEEP, "PUT", NULL },
		   { "HTTP/1.1 200 OK" LINE ID ETAG("e1") LENGTH(0) LINE, 0,
		     HTTP_KEEP, "PUT", NULL },
		   { "HTTP/1.1 200 OK" LINE ETAG("page") LENGTH(0) LINE, 0,
		     HTTP_KEEP, "PUT", NULL },
		   { "HTTP/1.1 200 OK" LINE ID ETAG("e2") LENGTH(0) LINE, 0,
		     HTTP_KEEP, "PUT", NULL },
		   { "HTTP/1.1 200 OK" LINE ETAG("page") LENGTH(0) LINE, 0,
		     HTTP_KEEP, "partNumber=1", NULL },
		   { "HTTP/1.1 200 OK" LINE ID ETAG("e3") LENGTH(0) LINE, 0,
		     HTTP_KEEP, "partNumber=1", NULL });
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, "e1");
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, "e2");
	CU_ASSERT_EQUAL(s3_upload_part(s3, "key", "u", 1, &abc, etag, &err),
			0);
	CU_ASSERT_STRING_EQUAL(etag, "e3");
	stop(6);
}

static void
a_lost_answer_is_settled_where_no_time_is_told(void)
{
	static const struct s3_cond absent = { .if_none_match = true };
	char etag[S3_ETAG_MAX] = "";

	START({ OOPS, 0, HTTP_KEEP, "PUT", NULL },
	      { REFUSED, 0, HTTP_KEEP, "PUT", NULL },
	      { "HTTP/1.1 200 OK" LINE ETAG(MD5_ABC) LENGTH(3) LINE, 0,
		HTTP_KEEP, "HEAD", NULL });
	s3_to_remote(s3)->caps = S3_CAP_PUT_NONE;
	CU_ASSERT_EQUAL(put(&absent, etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, MD5_ABC);
	stop(3);
}

/* Nor the length of what it would unpack. */
static void
google_tells_the_stored_length_of_what_it_unpacks(void)
{
	struct s3_object o;

	START({ "HTTP/1.1 200 OK" LINE ID MTIME ETAG("e")
		"x-goog-stored-content-length: 77" LINE CHUNKED LINE, 0,
		HTTP_CLOSE, "HEAD", NULL });
	CU_ASSERT_EQUAL(head(&o), 0);
	CU_ASSERT_EQUAL(o.size, 77);
	s3_object_free(&o);
	stop(1);
}

static int
see(void *arg, const struct s3_entry *e)
{
	(void)e;
	++*(unsigned *)arg;
	return 0;
}

static int
page(char **token, unsigned *seen)
{
	struct s3_list list = { .token = *token, .delimiter = "/" };
	char *next = NULL;
	int r = s3_list_page(s3, &list, see, seen, &next, &err);

	free(*token);
	*token = next;
	return r;
}

static void
a_page_that_comes_again_with_another_token_ends_the_listing(void)
{
	unsigned seen = 0;
	char *token = NULL;

	START_WITH({ .retry_ms = 1 },
		   { LIST_PAGE("t1", ITEM("a") ITEM("b")), 0, HTTP_CLOSE,
		     NULL, "continuation-token" },
		   { LIST_PAGE("t2", ITEM("a") ITEM("b")), 0, HTTP_CLOSE,
		     "continuation-token=t1&", NULL });
	CU_ASSERT_EQUAL(page(&token, &seen), 0);
	CU_ASSERT_EQUAL(page(&token, &seen), -EBADMSG);
	CU_ASSERT_EQUAL(seen, 2);
	free(token);
	stop(2);
}

/* Without its end a name would be one character short. */
static void
what_is_no_common_prefix_is_no_directory(void)
{
	struct s3_list list = { .prefix = "d/", .delimiter = "/" };
	unsigned seen = 0;
	char *next = NULL;

	START({ "HTTP/1.1 200 OK" LINE ID LAST LINE "<ListBucketResult>"
		"<IsTruncated>false</IsTruncated>" PREFIX("d/") PREFIX("d/e")
		PREFIX("d/f/") "</ListBucketResult>", 0, HTTP_CLOSE,
		NULL, NULL });
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, see, &seen, &next, &err), 0);
	CU_ASSERT_EQUAL(seen, 1);
	stop(1);
}

/* Of a page's one thousand keys below it, and of the next thousand. */
static void
a_common_prefix_may_come_again(void)
{
	unsigned seen = 0;
	char *token = NULL;

	START({ LIST_PAGE("t1", PREFIX("d/")), 0, HTTP_CLOSE, NULL, NULL },
	      { LIST_PAGE("t2", PREFIX("d/")), 0, HTTP_CLOSE,
		"continuation-token=t1&", NULL },
	      { LIST_PAGE("t3", PREFIX("d/") ITEM("e")), 0, HTTP_CLOSE,
		"continuation-token=t2&", NULL });
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(page(&token, &seen), 0);
	CU_ASSERT_EQUAL(seen, 4);
	free(token);
	stop(3);
}

TEST_MAIN("s3_hostile",
	  T(bytes_in_chunks_are_taken_where_a_range_tells_their_number),
	  T(an_empty_etag_is_refused_for_good),
	  T(times_are_read_in_each_form_that_there_is),
	  T(a_page_with_an_etag_stores_nothing),
	  T(a_lost_answer_is_settled_where_no_time_is_told),
	  T(google_tells_the_stored_length_of_what_it_unpacks),
	  T(a_page_that_comes_again_with_another_token_ends_the_listing),
	  T(a_common_prefix_may_come_again),
	  T(what_is_no_common_prefix_is_no_directory))
