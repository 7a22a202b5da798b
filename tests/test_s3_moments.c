/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's bad moments, against a server that plays scripts: what it says
 * then is told from what it says for good.
 */
#include <config.h>
#include "tests/s3_fake.h"

#define ID "x-amz-request-id: 1" LINE
#define GOOD "HTTP/1.1 200 OK" LINE ID
#define SAID(status, code, n) "HTTP/1.1 " status LINE ID LENGTH(n) LINE	     \
	"<Error><Code>" code "</Code></Error>"
#define MUTE(status) "HTTP/1.1 " status LINE ID LENGTH(0) LINE
#define ACL_OF(readers, n) GOOD LENGTH(n) LINE "<AccessControlPolicy>"	     \
	"<Owner><ID>o</ID></Owner><AccessControlList>" readers		     \
	"</AccessControlList></AccessControlPolicy>"

static int
head(const char *key)
{
	struct s3_object o = {0};
	int r = s3_head(s3, key, &o, &err);

	s3_object_free(&o);
	return r;
}

static void
a_head_that_is_refused_where_a_get_is_not_passes(void)
{
	START({ MUTE("400 Bad"), 0, HTTP_KEEP, "HEAD", NULL },
	      { PARTIAL("0-0/3", 1, "e") "a", 0, HTTP_KEEP, "GET", NULL },
	      { MUTE("405 No"), 0, HTTP_KEEP, "HEAD", NULL },
	      { SAID("416 Range", "InvalidRange", 40), 0, HTTP_KEEP, "GET",
		NULL },
	      { MUTE("501 No"), 0, HTTP_KEEP, "HEAD", NULL },
	      { SAID("501 No", "NotImplemented", 42), 0, HTTP_KEEP, "GET",
		NULL });
	CU_ASSERT_EQUAL(head("key"), -EAGAIN);
	CU_ASSERT_EQUAL(head("key"), -EAGAIN);
	CU_ASSERT_EQUAL(head("key"), -EAGAIN);
	stop(6);
}

static void
only_a_directorys_marker_may_lack_an_etag(void)
{
	START_WITH({ .retry_ms = 1 },
		   { GOOD LENGTH(0) LINE, 0, HTTP_KEEP, "HEAD", NULL },
		   { GOOD LENGTH(0) LINE, 0, HTTP_KEEP, "HEAD", NULL });
	CU_ASSERT_EQUAL(head("dir/"), 0);
	CU_ASSERT_EQUAL(head("file"), -EBADMSG);
	stop(2);
}

static void
an_upload_that_nobody_asked_about_is_no_answer(void)
{
	START({ SAID("404 None", "NoSuchUpload", 40), 0, HTTP_KEEP, "DELETE",
		NULL },
	      { SAID("404 None", "NoSuchUpload", 40), 0, HTTP_KEEP,
		"uploadId=id", NULL });
	CU_ASSERT_EQUAL(s3_delete(s3, "key", NULL, &err), -EAGAIN);
	CU_ASSERT_EQUAL(s3_upload_abort(s3, "key", "id", &err), 0);
	stop(2);
}

static void
an_empty_200_without_a_number_deletes_nothing(void)
{
	START({ MUTE("204 Gone"), 0, HTTP_KEEP, "DELETE", NULL },
	      { "HTTP/1.1 200 OK" LINE LENGTH(0) LINE, 0, HTTP_KEEP, "DELETE",
		NULL });
	CU_ASSERT_EQUAL(s3_delete(s3, "key", NULL, &err), 0);
	CU_ASSERT_EQUAL(s3_delete(s3, "key", NULL, &err), -EAGAIN);
	stop(2);
}

static void
a_full_account_keeps_nobody_from_reading(void)
{
	char buf[3];

	START({ SAID("403 No", "QuotaExceeded", 41), 0, HTTP_KEEP, "GET",
		NULL });
	CU_ASSERT_EQUAL(s3_get(s3, "key", NULL, 0, buf, 3, NULL, &err),
			-EKEYREJECTED);
	stop(1);
}

static void
a_bucket_that_was_seen_can_be_missing_later(void)
{
	START({ MUTE("404 None"), 0, HTTP_KEEP, "HEAD /bucket/key ", NULL },
	      { GOOD LENGTH(0) LINE, 0, HTTP_KEEP, "HEAD /bucket ", NULL },
	      { SAID("404 None", "NoSuchBucket", 40), 0, HTTP_KEEP, "DELETE",
		NULL },
	      { MUTE("404 None"), 0, HTTP_KEEP, "HEAD /bucket/key ", NULL },
	      { MUTE("404 None"), 0, HTTP_KEEP, "HEAD /bucket ", NULL });
	CU_ASSERT_EQUAL(head("key"), -ENOENT);
	CU_ASSERT_EQUAL(s3_delete(s3, "key", NULL, &err), -ENODEV);
	CU_ASSERT_EQUAL(head("key"), -ENODEV);
	stop(5);
}

static int
extras(const char *key)
{
	struct s3_object o = { .has_tags = false };
	struct s3_headers h = {0};
	int r = s3_extras(s3, key, &o, true, &h, &err);

	s3_headers_free(&h);
	return r;
}

#define NOBODY ACL_OF("", 107)

/* What was told before is there, whatever the store says of it. */
static void
an_acl_that_was_told_is_not_unknown_to_the_store(void)
{
	START({ NOBODY, 0, HTTP_KEEP, "key?acl", NULL },
	      { SAID("501 No", "NotImplemented", 42), 0, HTTP_KEEP,
		"key?acl", NULL },
	      { NOBODY, 0, HTTP_KEEP, "key?acl", NULL });
	CU_ASSERT_EQUAL(extras("key"), 0);
	CU_ASSERT_EQUAL(extras("key"), -EAGAIN);
	CU_ASSERT_EQUAL(extras("key"), 0);
	stop(3);
}

/* A page with status 200 is no ACL. */
static void
a_page_in_place_of_tags_is_waited_for(void)
{
	START_WITH({ .retry_ms = 1 },
	      { NOBODY, 0, HTTP_KEEP, "key?acl", NULL },
	      { GOOD LENGTH(48) LINE "<Error><Code>InternalError</Code></Error>"
		"       ", 0, HTTP_KEEP, "key?acl", NULL },
	      { "HTTP/1.1 200 OK" LINE LENGTH(13) LINE "<html></html>", 0,
		HTTP_KEEP, "key?acl", NULL });
	CU_ASSERT_EQUAL(extras("key"), 0);
	CU_ASSERT_EQUAL(extras("key"), -EAGAIN);
	CU_ASSERT_EQUAL(extras("key"), -EAGAIN);
	stop(3);
}

static int
count(void *arg, const struct s3_entry *entry)
{
	(void)arg, (void)entry;
	return 0;
}

static void
a_store_that_has_listed_and_calls_it_wrong_has_a_bad_moment(void)
{
	const struct s3_list list = { .prefix = "" };
	char *next = NULL;

	/* At first it may be one that knows version 1 only. */
	START_WITH({ .retry_ms = 1 },
		   { SAID("400 Bad", "InvalidRequest", 42), 0, HTTP_KEEP,
		     "list-type=2", NULL },
		   { SAID("400 Bad", "InvalidRequest", 42), 0, HTTP_KEEP,
		     "GET /bucket?encoding-type", NULL },
		   { GOOD LENGTH(69) LINE "<ListBucketResult><IsTruncated>"
		     "false</IsTruncated></ListBucketResult>", 0, HTTP_KEEP,
		     "list-type=2", NULL },
		   { SAID("400 Bad", "InvalidRequest", 42), 0, HTTP_KEEP,
		     "list-type=2", NULL });
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, count, NULL, &next, &err),
			-EINVAL);
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, count, NULL, &next, &err), 0);
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, count, NULL, &next, &err),
			-EAGAIN);
	stop(4);
}

TEST_MAIN("s3_moments",
	  T(a_head_that_is_refused_where_a_get_is_not_passes),
	  T(only_a_directorys_marker_may_lack_an_etag),
	  T(an_upload_that_nobody_asked_about_is_no_answer),
	  T(an_empty_200_without_a_number_deletes_nothing),
	  T(a_full_account_keeps_nobody_from_reading),
	  T(a_bucket_that_was_seen_can_be_missing_later),
	  T(an_acl_that_was_told_is_not_unknown_to_the_store),
	  T(a_page_in_place_of_tags_is_waited_for),
	  T(a_store_that_has_listed_and_calls_it_wrong_has_a_bad_moment))
