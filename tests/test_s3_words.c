/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose words are these?  Numbers on answers, codes, and words in a message
 * tell the store from what stands before it, and an object from the account;
 * and what is told of the account does not fill the log.
 */
#include <config.h>
#include <time.h>
#include "tests/s3_fake.h"

#define ID "x-amz-request-id: 1" LINE
#define GOOD "HTTP/1.1 200 OK" LINE
#define TEXT(status, head, n, body) "HTTP/1.1 " status LINE head	     \
	LENGTH(n) LINE body
#define SAID(status, code, n) TEXT(status, ID, n, "<Error><Code>" code	     \
	"</Code></Error>")
#define FOUND(id) GOOD id ETAG("e") LENGTH(3) LINE

static int
head(void)
{
	struct s3_object o = { 0 };
	int r = s3_head(s3, "key", &o, &err);

	s3_object_free(&o);
	return r;
}

/* A store whose HEADs have none is believed, though its other answers do. */
static void
a_head_needs_a_number_once_a_head_had_one(void)
{
	char etag[S3_ETAG_MAX];

	START_WITH({ .retry_ms = 1 },
		   { GOOD ID ETAG("e") LENGTH(0) LINE, 0, HTTP_KEEP, "PUT",
		     NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(ID), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL });
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(head(), -EAGAIN);
	stop(4);
}

/* Somebody has put a proxy before the store that takes them away. */
static void
numbers_that_are_gone_for_good_are_not_waited_for(void)
{
	START_WITH({ .retry_ms = 1 },
		   { FOUND(ID), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL });
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(head(), -EAGAIN);
	/* Eleven minutes later. */
	s3_to_remote(s3)->numbers_head.lacking_ms -= 660000;
	s3_to_remote(s3)->numbers_head.lacking += 20;
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(head(), 0);
	stop(4);
}

static void
one_number_in_between_begins_the_wait_anew(void)
{
	START_WITH({ .retry_ms = 1 },
		   { FOUND(ID), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(ID), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL });
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(head(), -EAGAIN);
	s3_to_remote(s3)->numbers_head.lacking_ms -= 660000;
	s3_to_remote(s3)->numbers_head.lacking += 20;
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(head(), -EAGAIN);
	stop(4);
}

/* An idle night has two answers, and both may be of one bad moment's page. */
static void
two_answers_without_a_number_prove_nothing_however_far_apart(void)
{
	START_WITH({ .retry_ms = 1 },
		   { FOUND(ID), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL },
		   { FOUND(""), 0, HTTP_KEEP, "HEAD", NULL });
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(head(), -EAGAIN);
	s3_to_remote(s3)->numbers_head.lacking_ms -= 660000;
	CU_ASSERT_EQUAL(head(), -EAGAIN);
	stop(3);
}

/* Anybody can send somewhere else. */
static void
a_redirect_without_code_and_number_is_not_followed(void)
{
	static const struct http_step at_other[] = {
		{ OK(0, "e"), 0, HTTP_KEEP, "PUT", NULL },
		{ OK(0, "e"), 0, HTTP_KEEP, "PUT", NULL },
	};
	struct http_fake *other = http_fake_start(at_other, 2);
	char bare[512], coded[512], etag[S3_ETAG_MAX];
	struct http_step steps[] = {
		{ bare, 0, HTTP_KEEP, "PUT", NULL },
		{ coded, 0, HTTP_KEEP, "PUT", NULL },
	};

	snprintf(bare, sizeof(bare), "HTTP/1.1 307 Moved" LINE
		 "Location: %s/bucket/key" LINE LENGTH(0) LINE,
		 http_fake_url(other));
	snprintf(coded, sizeof(coded), "HTTP/1.1 307 Moved" LINE
		 "Location: %s/bucket/key" LINE LENGTH(46) LINE
		 "<Error><Code>TemporaryRedirect</Code></Error> ",
		 http_fake_url(other));
	start_with(steps, 2, (struct s3_config){ .retry_ms = 1 });
	CU_ASSERT_EQUAL(put(NULL, etag), -EAGAIN);
	CU_ASSERT_EQUAL(http_fake_seen(other), 0);
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	CU_ASSERT_EQUAL(http_fake_seen(other), 1);
	stop(2);
	http_fake_stop(&other);
}

static void
an_access_point_that_is_gone_is_no_missing_object(void)
{
	char c;

	START({ SAID("404 None", "NoSuchAccessPoint", 45), 0, HTTP_KEEP,
		"GET", NULL });
	CU_ASSERT_EQUAL(s3_get(s3, "key", NULL, 0, &c, 1, NULL, &err),
			-ENODEV);
	CU_ASSERT_EQUAL(s3_meaning(-ENODEV), S3_ACCOUNT);
	stop(1);
}

/* AWS tells of whom and what: any word may be in a key. */
static void
words_in_a_key_are_no_quota(void)
{
	static const struct {
		const char *message;
		int result;
	} all[] = {
		{ "User: arn:aws:iam::1:user/a is not authorized to perform: "
		  "s3:PutObject on resource: \"arn:aws:s3:::b/quota.txt\"",
		  -EACCES },
		{ "a is not authorized to write usage limits.txt", -EACCES },
		{ "Access Denied", -EACCES },
		{ "Cannot upload, storage cap exceeded", -EDQUOT },
		{ "Bucket quota exceeded", -EDQUOT },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		CU_ASSERT_EQUAL(s3_errno_said(-EACCES, all[i].message),
				all[i].result);
	CU_ASSERT_EQUAL(s3_errno_said(-ENOENT, "quota"), -ENOENT);
}

/* rclone: an empty CopyObjectResult. */
static void
a_copy_without_an_etag_is_a_copy(void)
{
	char etag[S3_ETAG_MAX];
	struct s3_headers h = { 0 };

	START({ TEXT("200 OK", ID, 37, "<CopyObjectResult></CopyObjectResult>"),
		0, HTTP_KEEP, "PUT", NULL },
	      { FOUND(ID), 0, HTTP_KEEP, "HEAD", NULL },
	      { TEXT("200 OK", ID, 0, ""), 0, HTTP_KEEP, "PUT", NULL },
	      { TEXT("200 OK", ID, 37, "<CopyObjectResult></CopyObjectResult>"),
		0, HTTP_KEEP, "PUT", NULL },
	      { FOUND(ID), 0, HTTP_KEEP, "HEAD", NULL });
	CU_ASSERT_EQUAL(s3_copy(s3, "key", NULL, "key", &h, NULL, etag, &err),
			0);
	CU_ASSERT_STRING_EQUAL(etag, "e");
	/* Nothing at all is not that. */
	CU_ASSERT_EQUAL(s3_copy(s3, "key", NULL, "key", &h, NULL, etag, &err),
			0);
	stop(5);
}

/* By its own clock, and not ours. */
static void
what_is_old_is_told_by_the_stores_clock(void)
{
	START({ "HTTP/1.1 200 OK" LINE "Date: Thu, 01 Jan 2099 12:00:00 GMT"
		LINE ID ETAG("e") LENGTH(3) LINE, 0, HTTP_KEEP, "HEAD", NULL },
	      { TEXT("200 OK", ID, 210, "<ListBucketResult><IsTruncated>false"
		"</IsTruncated><Contents><Key>p-0123456789ab0123456789ab-2"
		"</Key><Size>1</Size><ETag>e</ETag><LastModified>"
		"2099-01-01T10:00:00.000Z</LastModified></Contents>"
		"</ListBucketResult>"), 0, HTTP_KEEP, "prefix=p-", NULL },
	      { TEXT("200 OK", ID, 89, "<ListMultipartUploadsResult>"
		"<IsTruncated>false</IsTruncated>"
		"</ListMultipartUploadsResult>"), 0, HTTP_KEEP, "uploads",
		NULL },
	      { "HTTP/1.1 204 Gone" LINE ID LINE, 0, HTTP_KEEP, "DELETE",
		NULL });
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(s3_probe_sweep(s3, "p-", &err), 0);
	stop(4);
}

static void
count_line(void *arg, enum s3_level level, const char *line)
{
	(void)level;
	if (strstr(line, "account's sake") != NULL ||
	    strstr(line, "takes requests again") != NULL)
		++*(unsigned *)arg;
}

/* Every other request is refused. */
static void
trouble_that_comes_and_goes_is_told_once_a_minute(void)
{
	struct s3_error why = { .code = "ExpiredToken" };
	struct s3_trouble told;
	unsigned lines = 0;

	START_WITH({ .log = NULL },
		   { FOUND(ID), 0, HTTP_KEEP, "HEAD", NULL });
	s3->config.log = count_line;
	s3->config.log_arg = &lines;
	for (int i = 0; i < 10; i++) {
		s3_trouble_note(s3, true, -EKEYREJECTED, &why);
		CU_ASSERT(s3_trouble(s3, &told));
		s3_trouble_note(s3, true, 0, NULL);
		CU_ASSERT(!s3_trouble(s3, &told));
	}
	CU_ASSERT_EQUAL(lines, 2);
	/* A minute later, of what goes on since. */
	s3_trouble_note(s3, true, -EKEYREJECTED, &why);
	CU_ASSERT_EQUAL(lines, 2);
	s3->ailment.said_ms -= 61000;
	s3_trouble_note(s3, true, -EKEYREJECTED, &why);
	CU_ASSERT_EQUAL(lines, 3);
	CU_ASSERT_EQUAL(head(), 0);
	stop(1);
}

TEST_MAIN("s3_words", T(a_head_needs_a_number_once_a_head_had_one),
	  T(numbers_that_are_gone_for_good_are_not_waited_for),
	  T(two_answers_without_a_number_prove_nothing_however_far_apart),
	  T(one_number_in_between_begins_the_wait_anew),
	  T(a_redirect_without_code_and_number_is_not_followed),
	  T(an_access_point_that_is_gone_is_no_missing_object),
	  T(words_in_a_key_are_no_quota),
	  T(a_copy_without_an_etag_is_a_copy),
	  T(what_is_old_is_told_by_the_stores_clock),
	  T(trouble_that_comes_and_goes_is_told_once_a_minute))
