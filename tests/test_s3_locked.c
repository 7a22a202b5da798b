/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that are there and cannot be read with our keys: archived, or
 * encrypted with a customer's.  HEAD, listings and refusals tell which.
 */
#include <config.h>
#include "tests/s3_fake.h"

#define ID "x-amz-request-id: 1" LINE
#define TEXT(status, head, n, body) "HTTP/1.1 " status LINE head	     \
	LENGTH(n) LINE body
#define HEAD_OF(more) "HTTP/1.1 200 OK" LINE ID "ETag: \"e\"" LINE more	     \
	"Content-Length: 3" LINE LINE
#define SSE_C "<Error><Code>InvalidRequest</Code><Message>The object was "   \
	"stored using a form of Server Side Encryption. The correct "	     \
	"parameters must be provided to retrieve the object.</Message>"	     \
	"</Error>"
#define ITEM(key, class) "<Contents><Key>" key "</Key><ETag>e</ETag>"	     \
	"<Size>1</Size>" class "</Contents>"
#define CLASS(name) "<StorageClass>" name "</StorageClass>"

static bool
is_cold(void)
{
	struct s3_object o = { 0 };
	bool cold;

	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), 0);
	cold = o.cold;
	s3_object_free(&o);
	return cold;
}

static void
a_head_tells_what_is_archived(void)
{
	START({ HEAD_OF("x-amz-storage-class: DEEP_ARCHIVE" LINE), 0,
		HTTP_KEEP, "HEAD", NULL },
	      { HEAD_OF("x-amz-storage-class: INTELLIGENT_TIERING" LINE
			"x-amz-archive-status: ARCHIVE_ACCESS" LINE), 0,
		HTTP_KEEP, "HEAD", NULL },
	      { HEAD_OF("x-amz-storage-class: INTELLIGENT_TIERING" LINE), 0,
		HTTP_KEEP, "HEAD", NULL },
	      { HEAD_OF("x-amz-storage-class: GLACIER_IR" LINE), 0,
		HTTP_KEEP, "HEAD", NULL },
	      { HEAD_OF(""), 0, HTTP_KEEP, "HEAD", NULL });
	CU_ASSERT(is_cold());
	CU_ASSERT(is_cold());
	CU_ASSERT(!is_cold());
	CU_ASSERT(!is_cold());
	CU_ASSERT(!is_cold());
	stop(5);
}

static int
look(void *arg, const struct s3_entry *e)
{
	static const enum s3_cold is[] = {
		S3_COLD_YES, S3_COLD_NO, S3_COLD_UNTOLD, S3_COLD_UNTOLD,
	};
	unsigned *n = arg;

	CU_ASSERT_EQUAL(e->cold, is[(*n)++]);
	return 0;
}

static void
a_listing_tells_what_is_archived(void)
{
	struct s3_list list = { .prefix = "" };
	char *next = NULL;
	unsigned n = 0;

	START({ TEXT("200 OK", ID, 437,
		     "<ListBucketResult><IsTruncated>false</IsTruncated>"
		     ITEM("a", CLASS("GLACIER"))
		     ITEM("b", CLASS("STANDARD_IA"))
		     ITEM("c", CLASS("INTELLIGENT_TIERING")) ITEM("d", "")
		     "</ListBucketResult>"), 0, HTTP_KEEP, "GET", NULL });
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, look, &n, &next, &err), 0);
	CU_ASSERT_EQUAL(n, 4);
	stop(1);
}

/* HEAD's 400 has no words, and the wait for better ones would be long. */
static void
a_customers_key_is_told_from_a_bad_moment(void)
{
	struct s3_object o = { 0 };

	START({ TEXT("400 Bad", ID, 0, ""), 0, HTTP_KEEP, "HEAD", NULL },
	      { TEXT("400 Bad", ID, 186, SSE_C), 0, HTTP_KEEP, "GET", NULL });
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -EACCES);
	CU_ASSERT_EQUAL(s3_error_locked(-EACCES, &err), S3_LOCKED_ENCRYPTED);
	stop(2);
}

static void
a_refusal_tells_what_is_archived(void)
{
	char c;

	START({ TEXT("403 No", ID, 46, "<Error><Code>InvalidObjectState"
		"</Code></Error>"), 0, HTTP_KEEP, "GET", NULL },
	      { TEXT("403 No", ID, 40, "<Error><Code>AccessDenied"
		"</Code></Error>"), 0, HTTP_KEEP, "GET", NULL });
	CU_ASSERT_EQUAL(s3_get(s3, "key", NULL, 0, &c, 1, NULL, &err),
			-EACCES);
	CU_ASSERT_EQUAL(s3_error_locked(-EACCES, &err), S3_LOCKED_ARCHIVED);
	CU_ASSERT_EQUAL(s3_get(s3, "key", NULL, 0, &c, 1, NULL, &err),
			-EACCES);
	CU_ASSERT_EQUAL(s3_error_locked(-EACCES, &err), S3_LOCKED_NOT);
	stop(2);
}

TEST_MAIN("s3_locked", T(a_head_tells_what_is_archived),
	  T(a_listing_tells_what_is_archived),
	  T(a_customers_key_is_told_from_a_bad_moment),
	  T(a_refusal_tells_what_is_archived))
