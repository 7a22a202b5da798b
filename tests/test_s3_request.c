/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way in which a request can fail, made to happen by a server on
 * loopback that plays a script.
 */
#include <config.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "tests/s3_fake.h"

static ssize_t
get(const char *if_match, uint64_t off, char *buf, size_t len)
{
	memset(buf, 'x', len);
	return s3_get(s3, "key", if_match, off, buf, len, NULL, &err);
}

static void
a_good_answer_is_taken(void)
{
	char buf[4];

	START({ PARTIAL("0-3/10", 4, "e") "abcd", 0, HTTP_KEEP,
		"GET /bucket/key HTTP/1.1\r\n", NULL },
	      { PARTIAL("2-4/5", 3, "e") "cde", 0, HTTP_KEEP,
		"range: bytes=2-5", "Expect:" });
	CU_ASSERT_EQUAL(get("e", 0, buf, 4), 4);
	CU_ASSERT_EQUAL(memcmp(buf, "abcd", 4), 0);
	CU_ASSERT_EQUAL(get(NULL, 2, buf, 4), 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 0),
				      "if-match: \"e\""));
	stop(2);
}

static void
a_short_body_is_asked_for_again(void)
{
	char buf[4];

	START({ PARTIAL("0-3/10", 4, "e") "ab", 0, HTTP_CLOSE, NULL, NULL },
	      { PARTIAL("0-3/10", 4, "e") "abcd", 0, HTTP_KEEP, NULL, NULL });
	CU_ASSERT_EQUAL(get("e", 0, buf, 4), 4);
	CU_ASSERT_EQUAL(memcmp(buf, "abcd", 4), 0);
	stop(2);
}

static void
a_wrong_answer_is_never_data(void)
{
	static const char *const wrong[] = {
		PARTIAL("1-4/10", 4, "e") "abcd",	/* other range */
		PARTIAL("0-2/10", 3, "e") "abc",	/* short, not the end */
		PARTIAL("0-3/10", 4, "f") "abcd",	/* other version */
		PARTIAL("0-3/2", 4, "e") "abcd",	/* nonsense */
		PARTIAL("0-3/*", 4, "e") "abcd",
		PARTIAL("0-3/10", 6, "e") "abcdef",	/* more than asked */
		OK(10, "e") "abcdefghij",		/* Range ignored */
		"HTTP/1.1 206 P" LINE ETAG("e") LENGTH(4) LINE "abcd",
		"HTTP/1.1 206 P" LINE MTIME LENGTH(4)
			"Content-Range: bytes 0-3/10" LINE LINE "abcd",
		"HTTP/1.1 200 OK" LINE LENGTH(4) LINE "oops",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct http_step steps[3];
		char buf[4];

		for (int j = 0; j < 3; j++)
			steps[j] = (struct http_step){ .reply = wrong[i] };
		start_with(steps, 3, (struct s3_config){0});
		CU_ASSERT_EQUAL(get("e", 0, buf, 4), -EBADMSG);
		stop(3);
	}
}

static void
the_body_of_an_error_is_no_data(void)
{
	char buf[64];

	START({ "HTTP/1.1 403 No" LINE LENGTH(61) LINE "<Error><Code>Access"
		"Denied</Code><Message>no</Message></Error>", 0, HTTP_KEEP,
		NULL, NULL });
	CU_ASSERT_EQUAL(get(NULL, 0, buf, 64), -EACCES);
	CU_ASSERT_EQUAL(buf[0], 'x');
	CU_ASSERT_EQUAL(err.http, 403);
	stop(1);
}

static void
a_busy_store_is_asked_again(void)
{
	struct s3_stats stats;
	char buf[4];

	START({ BUSY, 0, HTTP_KEEP, NULL, NULL },
	      { OOPS, 0, HTTP_KEEP, NULL, NULL },
	      { NULL, 0, HTTP_RESET, NULL, NULL },
	      { PARTIAL("0-3/4", 4, "e") "abcd", 0, HTTP_KEEP, NULL, NULL });
	CU_ASSERT_EQUAL(get(NULL, 0, buf, 4), 4);
	s3_stats(s3, &stats);
	/* libcurl repeats by itself what a kept connection lost. */
	CU_ASSERT(stats.retries == 2 || stats.retries == 3);
	stop(4);
}

static void
retry_after_is_waited_for(void)
{
	int64_t begin = s3_mono_ms();
	struct s3_object o;

	START({ "HTTP/1.1 503 Busy" LINE "Retry-After: 1" LINE LENGTH(0) LINE,
		0, HTTP_KEEP, NULL, NULL },
	      { OK(5, "e"), 0, HTTP_KEEP, "HEAD ", NULL });
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), 0);
	CU_ASSERT(s3_mono_ms() - begin >= 1000);
	s3_object_free(&o);
	stop(2);
}

static void
a_retry_after_past_the_end_ends_it(void)
{
	int64_t begin = s3_mono_ms();
	struct s3_object o;

	START_WITH({ .retry_ms = 2000 },
		   { "HTTP/1.1 503 Busy" LINE "Retry-After: 60" LINE LENGTH(0)
		     LINE, 0, HTTP_KEEP, NULL, NULL });
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -EAGAIN);
	CU_ASSERT(s3_mono_ms() - begin < 30000);
	stop(1);
}

#define WHOLE { PARTIAL("0-3/4", 4, "e") "abcd", 0, HTTP_KEEP, NULL, NULL }

static void
a_stalled_answer_is_given_up(void)
{
	char buf[4];

	START_WITH({ .stall_ms = 200 },
		   { PARTIAL("0-3/4", 4, "e") "ab", 0, HTTP_STALL, NULL,
		     NULL },
		   WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE);
	CU_ASSERT_EQUAL(get(NULL, 0, buf, 4), 4);
	/* A machine that stands still is given up as well. */
	s3_close(&s3);
	CU_ASSERT(http_fake_seen(fake) >= 2);
	CU_ASSERT_EQUAL(http_fake_wrong(fake), 0);
	http_fake_stop(&fake);
}

static void
a_dead_port_is_eagain(void)
{
	struct s3_object o;

	START_WITH({ .retry_ms = 100 });
	http_fake_stop(&fake);
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -EAGAIN);
	CU_ASSERT_EQUAL(err.http, 0);
	CU_ASSERT(err.message[0] != '\0');
	s3_close(&s3);
}

static void
an_error_in_a_200_is_an_error(void)
{
	struct s3_part part = { .number = 1, .etag = "p" };
	const struct s3_headers none = { 0 };
	char etag[S3_ETAG_MAX];

	START({ "HTTP/1.1 200 OK" LINE LENGTH(45) LINE "  <Error><Code>Access"
		"Denied</Code></Error>     ", 0, HTTP_KEEP, NULL, NULL },
	      { "HTTP/1.1 200 OK" LINE LENGTH(41) LINE "<Error><Code>Internal"
		"Error</Code></Error>", 0, HTTP_KEEP, NULL, NULL },
	      { "HTTP/1.1 200 OK" LINE LENGTH(60) LINE "<CopyObjectResult>"
		"<ETag>\"c\"</ETag></CopyObjectResult>         ", 0,
		HTTP_KEEP, "x-amz-copy-source: /bucket/from%20%2B", NULL },
	      { "HTTP/1.1 200 OK" LINE LENGTH(41) LINE " <Error><Code>Invalid"
		"Part</Code></Error>  ", 0, HTTP_KEEP, "POST ", NULL });
	CU_ASSERT_EQUAL(s3_copy(s3, "from", NULL, "key", &none, NULL, etag,
				&err), -EACCES);
	CU_ASSERT_STRING_EQUAL(err.code, "AccessDenied");
	CU_ASSERT_EQUAL(s3_copy(s3, "from +", NULL, "key", &none, NULL, etag,
				&err), 0);
	CU_ASSERT_STRING_EQUAL(etag, "c");
	CU_ASSERT_EQUAL(s3_upload_complete(s3, "key", "id", &part, 1, NULL,
					   etag, &err), -EINVAL);
	stop(4);
}

static void
an_empty_etag_of_complete_is_asked_for(void)
{
	struct s3_part part = { .number = 1, .etag = "p" };
	char etag[S3_ETAG_MAX];

	START({ "HTTP/1.1 200 OK" LINE LENGTH(76) LINE
		"<CompleteMultipartUploadResult><ETag></ETag>"
		"</CompleteMultipartUploadResult>", 0, HTTP_KEEP,
		"<ETag>&quot;p&quot;</ETag>", NULL },
	      { OK(5, "e-1"), 0, HTTP_KEEP, "HEAD ", NULL });
	CU_ASSERT_EQUAL(s3_upload_complete(s3, "key", "id", &part, 1, NULL,
					   etag, &err), 0);
	CU_ASSERT_STRING_EQUAL(etag, "e-1");
	stop(2);
}

static void
another_region_is_learnt(void)
{
	struct s3_object o;

	START({ "HTTP/1.1 301 Moved" LINE "x-amz-bucket-region: eu-west-7"
		LINE LENGTH(0) LINE, 0, HTTP_KEEP, "/us-east-1/s3/", NULL },
	      { OK(5, "e"), 0, HTTP_KEEP, "/eu-west-7/s3/", NULL },
	      { OK(5, "e"), 0, HTTP_KEEP, "/eu-west-7/s3/", NULL });
	unsetenv("AWS_REGION");
	unsetenv("AWS_DEFAULT_REGION");
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), 0);
	s3_object_free(&o);
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), 0);
	s3_object_free(&o);
	stop(3);
}

static void
a_region_of_nonsense_is_not(void)
{
	struct s3_object o;

	START_WITH({ .retry_ms = 1 },
	      { "HTTP/1.1 301 Moved" LINE "x-amz-bucket-region: evil.com/x"
		LINE LENGTH(0) LINE, 0, HTTP_KEEP, NULL, NULL });
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -EAGAIN);
	stop(1);
}

static void
the_clock_of_the_store_is_learnt(void)
{
	struct s3_object o;

	START({ "HTTP/1.1 403 Skewed" LINE
		"Date: Fri, 24 May 2030 10:00:00 GMT" LINE LENGTH(0) LINE, 0,
		HTTP_KEEP, NULL, "20300524T" },
	      { OK(5, "e"), 0, HTTP_KEEP, "x-amz-date: 20300524T", NULL });
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), 0);
	s3_object_free(&o);
	stop(2);
}

/* A HEAD's answer, as new as now. */
static const char *
head_now(char *text, size_t size, const char *etag, unsigned len)
{
	char when[64];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(text, size, "HTTP/1.1 200 OK\r\nLast-Modified: %s\r\n"
		 "ETag: \"%s\"\r\nContent-Length: %u\r\n\r\n", when, etag,
		 len);
	return text;
}

/* The first PUT's answer gets lost, the second is refused, HEAD settles. */
static int
lost_put(const char *etag, char *got)
{
	const struct s3_cond none = { .if_none_match = true };
	char text[512];
	const struct http_step steps[] = {
		{ NULL, 0, HTTP_CLOSE, "if-none-match: *", NULL },
		{ REFUSED, 0, HTTP_KEEP, "if-none-match: *", NULL },
		{ head_now(text, sizeof(text), etag, 3), 0, HTTP_KEEP,
		  "HEAD ", NULL },
	};
	int r;

	start_with(steps, 3, (struct s3_config){0});
	((struct s3_remote *)s3)->caps = S3_CAP_PUT_NONE;
	r = put(&none, got);
	stop(3);
	return r;
}

static void
a_lost_answer_to_a_conditional_put_is_settled(void)
{
	char etag[S3_ETAG_MAX] = "";

	CU_ASSERT_EQUAL(lost_put(MD5_ABC, etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, MD5_ABC);
	CU_ASSERT_EQUAL(lost_put("another", etag), -EEXIST);
}

static void
a_refused_first_put_asks_once_what_is_there(void)
{
	const struct s3_cond match = { .if_match = "old" };
	const struct s3_cond none = { .if_none_match = true };
	char etag[S3_ETAG_MAX];

	START({ REFUSED_LAST, 0, HTTP_CLOSE, "if-match: \"old\"\r\n", NULL },
	      { OK_LAST(3, "other"), 0, HTTP_CLOSE, "HEAD ", NULL },
	      { REFUSED_LAST, 0, HTTP_CLOSE, "if-match: old\r\n", NULL },
	      { OK_LAST(3, "other"), 0, HTTP_CLOSE, "HEAD ", NULL },
	      { REFUSED_LAST, 0, HTTP_CLOSE, "if-none-match: *\r\n", NULL },
	      { OK_LAST(0, "new"), 0, HTTP_CLOSE, "PUT ", "if-match" });
	((struct s3_remote *)s3)->caps = S3_CAP_PUT_MATCH;
	CU_ASSERT_EQUAL(put(&match, etag), -ESTALE);
	((struct s3_remote *)s3)->caps = S3_CAP_PUT_MATCH | S3_CAP_UNQUOTED;
	CU_ASSERT_EQUAL(put(&match, etag), -ESTALE);
	((struct s3_remote *)s3)->caps = S3_CAP_PUT_NONE;
	CU_ASSERT_EQUAL(put(&none, etag), -EEXIST);
	/* Not honoured: not even sent. */
	((struct s3_remote *)s3)->caps = 0;
	CU_ASSERT_EQUAL(put(&match, etag), 0);
	stop(6);
}

static void
a_put_is_repeated_with_its_body(void)
{
	char etag[S3_ETAG_MAX];

	START({ OOPS, 0, HTTP_CLOSE, "\r\n\r\nabc", NULL },
	      { OK(0, "e"), 0, HTTP_KEEP, "\r\n\r\nabc", "Expect" },
	      { OK(0, ""), 0, HTTP_KEEP, NULL, NULL },
	      { OK(0, "e"), 0, HTTP_KEEP, "x-amz-content-sha256: ba7816bf",
		NULL });
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, "e");
	CU_ASSERT_EQUAL(put(NULL, etag), 0);	/* no ETag: asked again */
	stop(4);
}

static void
an_ignored_copy_condition_is_watched(void)
{
	char etag[S3_ETAG_MAX];

	START({ OK(5, "new"), 0, HTTP_KEEP, "HEAD ", NULL },
	      { OK(5, "old"), 0, HTTP_KEEP, "HEAD ", NULL },
	      { "HTTP/1.1 200 OK" LINE LENGTH(51) LINE "<CopyPartResult>"
		"<ETag>\"c\"</ETag></CopyPartResult>   ", 0, HTTP_KEEP,
		"x-amz-copy-source-range: bytes=0-9",
		"x-amz-copy-source-if-match" },
	      { OK(5, "new"), 0, HTTP_KEEP, "HEAD ", NULL });
	CU_ASSERT_EQUAL(s3_upload_part_copy(s3, "key", "id", 1, "from", "old",
					    0, 10, etag, &err), -ESTALE);
	CU_ASSERT_EQUAL(s3_upload_part_copy(s3, "key", "id", 1, "from", "old",
					    0, 10, etag, &err), -ESTALE);
	stop(4);
}

static void
a_store_may_take_its_time_for_a_copy(void)
{
	char etag[S3_ETAG_MAX];

	START_WITH({ .stall_ms = 200 },
		   { "HTTP/1.1 200 OK" LINE LENGTH(51) LINE "<CopyPartResult>"
		     "<ETag>\"c\"</ETag></CopyPartResult>   ", 0, HTTP_LATE,
		     "x-amz-copy-source-range: bytes=0-", NULL });
	CU_ASSERT_EQUAL(s3_upload_part_copy(s3, "key", "id", 1, "from", NULL,
					    0, 64 << 20, etag, &err), 0);
	stop(1);
}

static int
count_entry(void *arg, const struct s3_entry *e)
{
	(void)e;
	++*(int *)arg;
	return 0;
}

static void
a_confused_listing_is_refused(void)
{
#define PAGE "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult>"
#define ENTRY(k) "<Contents><Key>" k "</Key><Size>1</Size><ETag>e</ETag>" \
	"<LastModified>2009-10-12T17:50:30.000Z</LastModified></Contents>"
	const struct s3_list list = { .prefix = "a/", .token =
				      "20000000000000000t" };
	char *next = NULL;
	int count = 0;

	START({ PAGE ENTRY("b") "<IsTruncated>false</IsTruncated>"
		"</ListBucketResult>", 0, HTTP_CLOSE, NULL, NULL },
	      { PAGE ENTRY("a/1") "<IsTruncated>true</IsTruncated>"
		"<NextContinuationToken>t</NextContinuationToken>"
		"</ListBucketResult>", 0, HTTP_CLOSE, NULL, NULL },
	      { PAGE ENTRY("a/1") "<IsTruncated>false</IsTrunc", 0,
		HTTP_CLOSE, NULL, NULL });
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, count_entry, &count, &next,
				     &err), -EBADMSG);
	CU_ASSERT_EQUAL(count, 0);
	stop(3);
}

static void
a_missing_bucket_is_told_from_a_missing_key(void)
{
	struct s3_object o;

	START({ NONE, 0, HTTP_KEEP, "HEAD /bucket/key ", NULL },
	      { NONE, 0, HTTP_KEEP, "HEAD /bucket ", NULL },
	      { NONE, 0, HTTP_KEEP, "HEAD /bucket/key ", NULL },
	      { OK(0, "e"), 0, HTTP_KEEP, "HEAD /bucket ", NULL },
	      { NONE, 0, HTTP_KEEP, "HEAD /bucket/key ", NULL });
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -ENODEV);
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -ENOENT);
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -ENOENT);
	stop(5);
}

static void *
cancel_soon(void *arg)
{
	while (http_fake_seen(arg) == 0)
		;
	s3_cancel(s3);
	return NULL;
}

static void
cancel_ends_what_waits(void)
{
	pthread_t thread;
	int64_t begin = s3_mono_ms();
	struct s3_object o;

	START({ NULL, 0, HTTP_STALL, NULL, NULL });
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, cancel_soon,
					     fake), 0);
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -EAGAIN);
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -EAGAIN);
	CU_ASSERT(s3_mono_ms() - begin < 50000);	/* stall_ms: 60000 */
	pthread_join(thread, NULL);
	stop(1);
}

/* radosgw 16, when a bucket gets versions after the probe. */
static void
a_condition_refused_though_it_holds_is_given_up(void)
{
	struct s3_cond cond = { .if_match = "e" };
	char etag[S3_ETAG_MAX];

	START({ REFUSED_LAST, 0, HTTP_CLOSE, "if-match: \"e\"", NULL },
	      { OK_LAST(3, "e"), 0, HTTP_CLOSE, "HEAD ", NULL },
	      { OK_LAST(3, "e"), 0, HTTP_CLOSE, "HEAD ", NULL },
	      { OK_LAST(0, "f"), 0, HTTP_CLOSE, "PUT ", "if-match" },
	      { OK_LAST(3, "theirs"), 0, HTTP_CLOSE, "HEAD ", NULL });
	s3_to_remote(s3)->caps |= S3_CAP_PUT_MATCH;
	CU_ASSERT_EQUAL(put(&cond, etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, "f");
	/* but a look takes its place: nothing is written over unseen. */
	CU_ASSERT_EQUAL(put(&cond, etag), -ESTALE);
	stop(5);
}

#define XML(text) "HTTP/1.1 200 OK" LINE MTIME "Connection: close" LINE LINE \
	text
#define CREATED XML("<InitiateMultipartUploadResult><UploadId>u</UploadId>" \
		    "</InitiateMultipartUploadResult>")
#define COPIED XML("<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
#define PART_COPIED XML("<CopyPartResult><ETag>e</ETag></CopyPartResult>")
#define COMPLETED XML("<CompleteMultipartUploadResult><ETag>e</ETag>" \
		      "</CompleteMultipartUploadResult>")
#define LISTED XML("<ListBucketResult><IsTruncated>false</IsTruncated>" \
		   "</ListBucketResult>")
#define PARTS XML("<ListPartsResult><IsTruncated>false</IsTruncated>" \
		  "</ListPartsResult>")
#define UPLOADS XML("<ListMultipartUploadsResult><IsTruncated>false" \
		    "</IsTruncated></ListMultipartUploadsResult>")
#define PAYS "x-amz-request-payer: requester"

static int
no_upload(void *arg, const char *key, const char *id, int64_t at)
{
	(void)arg, (void)key, (void)id, (void)at;
	return 0;
}

static int
no_entry(void *arg, const struct s3_entry *e)
{
	(void)arg, (void)e;
	return 0;
}

/* New objects have them: PUT, CreateMultipartUpload, CopyObject.  The other
 * requests would be refused with them (S3 API). */
static void
options_go_out_where_they_belong(void)
{
	static const struct s3_options options = {
		.storage_class = "STANDARD_IA", .sse = "aws:kms",
		.sse_kms_key_id = "arn:k", .acl = "bucket-owner-full-control",
		.requester_pays = true,
	};
	static const char *const of_objects[] = {
		"x-amz-storage-class: STANDARD_IA\r\n",
		"x-amz-server-side-encryption: aws:kms\r\n",
		"x-amz-server-side-encryption-aws-kms-key-id: arn:k\r\n",
		"x-amz-acl: bucket-owner-full-control\r\n",
	};
	const struct s3_part part = { .number = 1, .etag = "e" };
	const struct s3_list list = { .prefix = "" };
	const struct s3_headers none = { 0 };
	struct s3_part *parts = NULL;
	char etag[S3_ETAG_MAX], buf[4], *id = NULL, *next = NULL;
	struct s3_object o;

	START({ OK_LAST(0, "e"), 0, HTTP_CLOSE, PAYS, NULL },	/* PUT */
	      { CREATED, 0, HTTP_CLOSE, PAYS, NULL },
	      { COPIED, 0, HTTP_CLOSE, PAYS, NULL },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, PAYS, "x-amz-server" }, /* part */
	      { PART_COPIED, 0, HTTP_CLOSE, PAYS, "x-amz-server" },
	      { COMPLETED, 0, HTTP_CLOSE, PAYS, "x-amz-server" },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, PAYS, "x-amz-acl" },	/* abort */
	      { OK_LAST(4, "e"), 0, HTTP_CLOSE, PAYS, "x-amz-acl" },	/* HEAD */
	      { "HTTP/1.1 206 Partial" LINE LAST MTIME ETAG("e")
		"Content-Range: bytes 0-3/4" LINE LENGTH(4) LINE "abcd", 0,
		HTTP_CLOSE, PAYS,
		"x-amz-storage" },
	      { LISTED, 0, HTTP_CLOSE, PAYS, "x-amz-storage" },
	      { PARTS, 0, HTTP_CLOSE, PAYS, "x-amz-storage" },
	      { UPLOADS, 0, HTTP_CLOSE, PAYS, "x-amz-storage" },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, PAYS, "x-amz-acl" });/* DELETE */
	CU_ASSERT_EQUAL_FATAL(s3_set_options(s3, &options), 0);
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	CU_ASSERT_EQUAL(s3_upload_create(s3, "k", NULL, &id, &err), 0);
	CU_ASSERT_EQUAL(s3_copy(s3, "k", NULL, "l", &none, NULL, etag, &err),
			0);
	CU_ASSERT_EQUAL(s3_upload_part(s3, "k", "u", 1, &abc, etag, &err), 0);
	CU_ASSERT_EQUAL(s3_upload_part_copy(s3, "k", "u", 1, "l", NULL, 0, 9,
					    etag, &err), 0);
	CU_ASSERT_EQUAL(s3_upload_complete(s3, "k", "u", &part, 1, NULL, etag,
					   &err), 0);
	CU_ASSERT_EQUAL(s3_upload_abort(s3, "k", "u", &err), 0);
	CU_ASSERT_EQUAL(s3_head(s3, "k", &o, &err), 0);
	CU_ASSERT_EQUAL(get(NULL, 0, buf, 4), 4);
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, no_entry, NULL, &next, &err),
			0);
	CU_ASSERT_EQUAL(s3_upload_parts(s3, "k", "u", &parts, &err), 0);
	CU_ASSERT_EQUAL(s3_upload_list(s3, "", no_upload, NULL, &err), 0);
	CU_ASSERT_EQUAL(s3_delete(s3, "k", NULL, &err), 0);
	for (size_t i = 0; i < 13; i++) {
		const char *text = http_fake_request(fake, i);

		for (size_t j = 0; text != NULL && j < 4; j++)
			CU_ASSERT_EQUAL(strstr(text, of_objects[j]) != NULL,
					i < 3);
	}
	free(id);
	free(parts);
	stop(13);
}

/* MetadataDirective COPY brings none of it. */
static void
a_copy_as_it_is_keeps_class_grants_and_key(void)
{
	char etag[S3_ETAG_MAX];

	START({ "HTTP/1.1 200 OK" LINE LAST MTIME ETAG("e") LENGTH(3)
		"x-amz-tagging-count: 1" LINE
		"x-amz-storage-class: STANDARD_IA" LINE
		"x-amz-server-side-encryption: aws:kms" LINE
		"x-amz-server-side-encryption-aws-kms-key-id: arn:k" LINE
		LINE, 0, HTTP_CLOSE, "HEAD /bucket/from ", NULL },
	      { XML("<AccessControlPolicy><Owner><ID>me</ID></Owner>"
		    "<AccessControlList><Grant><Grantee><ID>me</ID></Grantee>"
		    "<Permission>FULL_CONTROL</Permission></Grant><Grant>"
		    "<Grantee><URI>http://all</URI></Grantee><Permission>READ"
		    "</Permission></Grant></AccessControlList>"
		    "</AccessControlPolicy>"), 0, HTTP_CLOSE,
		"GET /bucket/from?acl", NULL },
	      { COPIED, 0, HTTP_CLOSE, "x-amz-metadata-directive: COPY\r\n",
		"x-amz-tagging: " });
	CU_ASSERT_EQUAL(s3_copy(s3, "from", NULL, "key", NULL, NULL, etag,
				&err), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 2),
		"x-amz-grant-read: uri=\"http://all\"\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 2),
		"x-amz-storage-class: STANDARD_IA\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 2),
		"x-amz-server-side-encryption-aws-kms-key-id: arn:k\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 2),
		"x-amz-tagging-directive: COPY\r\n"));
	stop(3);
}

/* What an object has of its own goes before what the options would give. */
static void
tags_grants_and_class_are_told_again(void)
{
	static const struct s3_options options = { .acl = "private" };
	struct s3_headers h = { 0 };
	struct s3_object o;
	char etag[S3_ETAG_MAX];

	START({ "HTTP/1.1 200 OK" LINE LAST MTIME ETAG("e") LENGTH(3)
		"x-amz-tagging-count: 1" LINE
		"x-amz-storage-class: STANDARD_IA" LINE
		"x-amz-server-side-encryption: aws:kms" LINE
		"x-amz-server-side-encryption-aws-kms-key-id: arn:k" LINE
		LINE, 0, HTTP_CLOSE, "HEAD ", NULL },
	      { XML("<Tagging><TagSet><Tag><Key>a b</Key><Value>c&amp;d"
		    "</Value></Tag></TagSet></Tagging>"), 0, HTTP_CLOSE,
		"GET /bucket/key?tagging", NULL },
	      { XML("<AccessControlPolicy><Owner><ID>me</ID></Owner>"
		    "<AccessControlList><Grant><Grantee><ID>me</ID></Grantee>"
		    "<Permission>FULL_CONTROL</Permission></Grant><Grant>"
		    "<Grantee><URI>http://all</URI></Grantee><Permission>READ"
		    "</Permission></Grant></AccessControlList>"
		    "</AccessControlPolicy>"), 0, HTTP_CLOSE,
		"GET /bucket/key?acl", NULL },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, "x-amz-tagging: a%20b=c%26d\r\n",
		"x-amz-acl" });
	CU_ASSERT_EQUAL_FATAL(s3_set_options(s3, &options), 0);
	CU_ASSERT_EQUAL_FATAL(s3_head(s3, "key", &o, &err), 0);
	CU_ASSERT_EQUAL(s3_extras(s3, "key", &o, false, &h, &err), 0);
	CU_ASSERT_EQUAL(s3_put(s3, "key", &abc, &h, NULL, etag, &err), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 3),
		"x-amz-grant-full-control: id=\"me\"\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 3),
		"x-amz-grant-read: uri=\"http://all\"\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 3),
		"x-amz-storage-class: STANDARD_IA\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 3),
		"x-amz-server-side-encryption-aws-kms-key-id: arn:k\r\n"));
	s3_headers_free(&h);
	s3_object_free(&o);
	stop(4);
}

#define DENIED "HTTP/1.1 403 Forbidden" LINE "Connection: close" LINE LINE \
	"<Error><Code>AccessDenied</Code></Error>"

/* Who may not read tags or ACL can write all the same, after a while, and is
 * told once. */
static void
extras_that_may_not_be_read_are_waited_for_a_while(void)
{
	struct s3_object o = { 0 };
	struct s3_headers h = { 0 };

	START_WITH({ .courtesy_ms = 2 },
	      { DENIED, 0, HTTP_CLOSE, "?tagging", NULL },
	      { DENIED, 0, HTTP_CLOSE, "?tagging", NULL },
	      { DENIED, 0, HTTP_CLOSE, "?acl", NULL },
	      { DENIED, 0, HTTP_CLOSE, "?acl", NULL });
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(s3_extras(s3, "key", &o, false, &h, &err),
				-EAGAIN);
		usleep(3000);
	}
	CU_ASSERT_EQUAL(s3_extras(s3, "key", &o, false, &h, &err), 0);
	CU_ASSERT_EQUAL(s3_extras(s3, "key", &o, false, &h, &err), 0);
	CU_ASSERT_EQUAL(h.count, 0);
	stop(4);
}

#define RACED "HTTP/1.1 409 Conflict" LINE LAST LINE \
	"<Error><Code>ConditionalRequestConflict</Code></Error>"

static ssize_t
stops(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg, (void)off, (void)buf, (void)len;
	return -ECANCELED;
}

static void
a_raced_condition_is_no_conflict_and_a_body_that_stops_no_failure(void)
{
	const struct s3_source body = { .len = 3, .read = stops };
	const struct s3_cond cond = { .if_match = "e" };
	const struct s3_part part = { .number = 1, .etag = "e" };
	char etag[S3_ETAG_MAX];

	START_WITH({ .unsigned_payload = true },
		   { RACED, 0, HTTP_CLOSE, "PUT ", NULL },
		   { OK_LAST(0, "f"), 0, HTTP_CLOSE, "PUT ", NULL },
		   { RACED, 0, HTTP_CLOSE, "POST ", NULL });
	CU_ASSERT_EQUAL(s3_put(s3, "key", &abc, NULL, &cond, etag, &err), 0);
	/* That upload may be gone: the caller makes another. */
	CU_ASSERT_EQUAL(s3_upload_complete(s3, "k", "u", &part, 1, &cond, etag,
					   &err), -EAGAIN);
	CU_ASSERT_EQUAL(s3_put(s3, "k", &body, NULL, NULL, etag, &err),
			-ECANCELED);
	s3_close(&s3);
	http_fake_stop(&fake);
}

static void
checksums_go_with_bodies_that_are_verified(void)
{
	char etag[S3_ETAG_MAX];

	CU_ASSERT_EQUAL(s3_crc32c(0, "123456789", 9), 0xe3069283);
	CU_ASSERT_EQUAL(s3_crc32c(s3_crc32c(0, "12345", 5), "6789", 4),
			0xe3069283);
	START_WITH({ .unsigned_payload = true },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE,
		"content-md5: kAFQmDzST7DWlj99KOF/cg==\r\n", "checksum" },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE,
		"x-amz-checksum-crc32c: Nks/tw==\r\n", "content-md5" },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE,
		"content-md5: kAFQmDzST7DWlj99KOF/cg==\r\n", "checksum" });
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	s3_to_remote(s3)->caps |= S3_CAP_CHECKSUMS;
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	CU_ASSERT_EQUAL(s3_upload_part(s3, "k", "u", 1, &abc, etag, &err), 0);
	stop(3);
}

static void
configurations_that_cannot_work_are_refused(void)
{
	static const struct s3_config bad[] = {
		{ .url = NULL }, { .url = "bucket" }, { .url = "s3://" },
		{ .url = "s3://b/prefix" }, { .url = "s3://b?c" },
		{ .url = "s3://b", .endpoint = "host" },
		{ .url = "s3://b", .endpoint = "http://" },
		{ .url = "s3://b", .endpoint = "http://h/path?x" },
		{ .url = "s3://b", .endpoint = "http://u@h" },
		{ .url = "s3://b", .max_requests = 100000 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CU_ASSERT_EQUAL(s3_open(&bad[i], &s3, &err), -EINVAL);
		CU_ASSERT(err.message[0] != '\0');
	}
}

TEST_MAIN("s3_request", T(a_good_answer_is_taken),
	  T(a_short_body_is_asked_for_again), T(a_wrong_answer_is_never_data),
	  T(the_body_of_an_error_is_no_data), T(a_busy_store_is_asked_again),
	  T(retry_after_is_waited_for), T(a_retry_after_past_the_end_ends_it),
	  T(a_stalled_answer_is_given_up),
	  T(a_store_may_take_its_time_for_a_copy), T(a_dead_port_is_eagain),
	  T(an_error_in_a_200_is_an_error),
	  T(an_empty_etag_of_complete_is_asked_for),
	  T(another_region_is_learnt), T(a_region_of_nonsense_is_not),
	  T(the_clock_of_the_store_is_learnt),
	  T(a_lost_answer_to_a_conditional_put_is_settled),
	  T(a_refused_first_put_asks_once_what_is_there),
	  T(a_put_is_repeated_with_its_body),
	  T(an_ignored_copy_condition_is_watched),
	  T(a_confused_listing_is_refused),
	  T(a_missing_bucket_is_told_from_a_missing_key),
	  T(cancel_ends_what_waits),
	  T(a_condition_refused_though_it_holds_is_given_up),
	  T(options_go_out_where_they_belong),
	  T(tags_grants_and_class_are_told_again),
	  T(a_copy_as_it_is_keeps_class_grants_and_key),
	  T(extras_that_may_not_be_read_are_waited_for_a_while),
	  T(a_raced_condition_is_no_conflict_and_a_body_that_stops_no_failure),
	  T(checksums_go_with_bodies_that_are_verified),
	  T(configurations_that_cannot_work_are_refused))
