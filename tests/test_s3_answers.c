/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What real stores, and what stands before them, were seen to answer.  Each
 * case names the store.
 */
#include <config.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>
#include "tests/s3_fake.h"

#define ID "x-amz-request-id: tx1" LINE
#define TEXT(status, id, n, text) "HTTP/1.1 " status LINE id LENGTH(n) LINE text
#define GOOD_HEAD "HTTP/1.1 200 OK" LINE ID MTIME ETAG("e") LENGTH(3) LINE
#define ERROR(status, code, n) "HTTP/1.1 " status LINE ID LENGTH(n) LINE \
	"<Error><Code>" code "</Code></Error>"
/* A body without its length: the end of the connection is its end. */
#define XML(text) "HTTP/1.1 200 OK" LINE ID LAST LINE text
#define COPIED XML("<CopyObjectResult><ETag>c</ETag></CopyObjectResult>")

static struct s3_config impatient = { .retry_ms = 1 };

static int
head(void)
{
	struct s3_object o = { 0 };
	int r = s3_head(s3, "key", &o, &err);

	s3_object_free(&o);
	return r;
}

static void
minio_names_neither_owner_nor_grantee(void)
{
	struct s3_object o = { 0 };
	struct s3_headers h = { 0 };

	START({ XML("<AccessControlPolicy><Owner><ID></ID><DisplayName/>"
		    "</Owner><AccessControlList><Grant><Grantee/>"
		    "<Permission>FULL_CONTROL</Permission></Grant>"
		    "</AccessControlList></AccessControlPolicy>"), 0,
		HTTP_CLOSE, "key?acl", NULL });
	s3_to_remote(s3)->no_tags = true;
	CU_ASSERT_EQUAL(s3_extras(s3, "key", &o, false, &h, &err), 0);
	CU_ASSERT_EQUAL(h.count, 0);
	stop(1);
}

static void
an_acl_that_is_not_understood_keeps_no_data_back(void)
{
	struct s3_object o = { 0 };
	struct s3_headers h = { 0 };

	START({ XML("<Oddity/>"), 0, HTTP_CLOSE, "key?tagging", NULL },
	      { XML("<AccessControlPolicy/>"), 0, HTTP_CLOSE, "?acl", NULL },
	      { XML(""), 0, HTTP_CLOSE, "key?tagging", NULL },	/* S3Mock */
	      { XML("<html><body/></html>"), 0, HTTP_CLOSE, "?acl", NULL });
	CU_ASSERT_EQUAL(s3_extras(s3, "key", &o, false, &h, &err), 0);
	CU_ASSERT_EQUAL(s3_extras(s3, "key", &o, false, &h, &err), 0);
	CU_ASSERT_EQUAL(h.count, 0);
	stop(4);
}

static void
gofakes3_calls_a_new_upload_by_another_name(void)
{
	char *id = NULL;

	START({ XML("<InitiateMultipartUpload><UploadId>u</UploadId>"
		    "</InitiateMultipartUpload>"), 0, HTTP_CLOSE, NULL, NULL });
	CU_ASSERT_EQUAL(s3_upload_create(s3, "key", NULL, &id, &err), 0);
	CU_ASSERT_STRING_EQUAL(id, "u");
	free(id);
	stop(1);
}

static void
a_restore_is_asked_for_once_and_may_be_under_way(void)
{
	START({ "HTTP/1.1 202 Accepted" LINE LENGTH(0) LINE, 0, HTTP_KEEP,
		"POST /bucket/key?restore= ", NULL },
	      { ERROR("409 Wait", "RestoreAlreadyInProgress", 52), 0,
		HTTP_KEEP, "<Days>7</Days>", NULL },
	      { ERROR("403 No", "InvalidObjectState", 46), 0, HTTP_KEEP,
		NULL, NULL });
	CU_ASSERT_EQUAL(s3_restore(s3, "key", 7, &err), 0);
	CU_ASSERT_EQUAL(s3_restore(s3, "key", 7, &err), 0);
	CU_ASSERT_EQUAL(s3_restore(s3, "key", 7, &err), -EACCES);
	CU_ASSERT_STRING_EQUAL(err.code, "InvalidObjectState");
	stop(3);
}

static void
a_store_without_tagging_directives_is_spared_them(void)
{
	const struct s3_headers none = { 0 };
	char etag[S3_ETAG_MAX];

	START({ ERROR("501 No", "NotImplemented", 42), 0, HTTP_KEEP,
		"x-amz-tagging-directive", NULL },
	      { COPIED, 0, HTTP_CLOSE, "x-amz-copy-source",
		"x-amz-tagging-directive" },
	      { COPIED, 0, HTTP_CLOSE, "x-amz-copy-source",
		"x-amz-tagging-directive" });
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(s3_copy(s3, "from", NULL, "key", &none, NULL,
					etag, &err), 0);
	CU_ASSERT_STRING_EQUAL(etag, "c");
	stop(3);
}

/* versitygw: "Directory object contains data payload". */
static void
a_directory_whose_copy_is_refused_is_written_anew(void)
{
	char etag[S3_ETAG_MAX];

	START({ GOOD_HEAD, 0, HTTP_KEEP, "HEAD /bucket/from/", NULL },
	      { ERROR("400 Bad", "DirectoryObjectContainsData", 55), 0,
		HTTP_KEEP, "x-amz-copy-source", NULL },
	      { "HTTP/1.1 200 OK" LINE ID MTIME ETAG("e") LENGTH(0)
		"x-amz-meta-file-permissions: 0040711" LINE LINE, 0,
		HTTP_KEEP, "HEAD /bucket/from/", NULL },
	      { OK_LAST(0, "n"), 0, HTTP_CLOSE,
		"x-amz-meta-file-permissions: 0040711", "x-amz-copy-source" },
	      { GOOD_HEAD, 0, HTTP_KEEP, "HEAD /bucket/from/", NULL },
	      { ERROR("400 Bad", "InvalidObject", 41), 0, HTTP_KEEP,
		"x-amz-copy-source", NULL },
	      { GOOD_HEAD, 0, HTTP_KEEP, "HEAD /bucket/from/", NULL });
	s3_to_remote(s3)->no_tags = s3_to_remote(s3)->no_acl = true;
	CU_ASSERT_EQUAL(s3_copy(s3, "from/", NULL, "to/", NULL, NULL, etag,
				&err), 0);
	CU_ASSERT_STRING_EQUAL(etag, "n");
	CU_ASSERT_EQUAL(s3_copy(s3, "from/", NULL, "to/", NULL, NULL, etag,
				&err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.code, "InvalidObject");
	stop(7);
}

/* SeaweedFS: HEAD and LIST know it. */
static void
a_directory_that_no_copy_finds_is_written_anew(void)
{
	char etag[S3_ETAG_MAX];

	START({ GOOD_HEAD, 0, HTTP_KEEP, "HEAD /bucket/from/", NULL },
	      { ERROR("404 None", "NoSuchKey", 37), 0, HTTP_KEEP,
		"x-amz-copy-source", NULL },
	      { "HTTP/1.1 200 OK" LINE ID MTIME ETAG("e") LENGTH(0) LINE, 0,
		HTTP_KEEP, "HEAD /bucket/from/", NULL },
	      { OK_LAST(0, "n"), 0, HTTP_CLOSE, "PUT /bucket/to/",
		"x-amz-copy-source" },
	      { GOOD_HEAD, 0, HTTP_KEEP, "HEAD /bucket/from/", NULL },
	      { ERROR("404 None", "NoSuchKey", 37), 0, HTTP_KEEP,
		"x-amz-copy-source", NULL },
	      { "HTTP/1.1 404 None" LINE ID LENGTH(0) LINE, 0, HTTP_KEEP,
		"HEAD /bucket/from/", NULL });
	s3_to_remote(s3)->no_tags = s3_to_remote(s3)->no_acl = true;
	s3_to_remote(s3)->bucket_seen = true;
	CU_ASSERT_EQUAL(s3_copy(s3, "from/", NULL, "to/", NULL, NULL, etag,
				&err), 0);
	CU_ASSERT_EQUAL(s3_copy(s3, "from/", NULL, "to/", NULL, NULL, etag,
				&err), -ENOENT);
	stop(7);
}

#define SEEN(etag) { OK_LAST(3, etag), 0, HTTP_CLOSE, "HEAD", NULL }

/* Swift 2.30, of objects that were multipart uploads. */
static void
a_copy_refused_though_its_source_is_right_is_made_after_a_look(void)
{
	const struct s3_headers none = { 0 };
	char etag[S3_ETAG_MAX];

	START({ ERROR("412 No", "PreconditionFailed", 46), 0, HTTP_KEEP,
		"x-amz-copy-source-if-match: \"e\"", NULL },
	      SEEN("e"), SEEN("e"),
	      { COPIED, 0, HTTP_CLOSE, "x-amz-copy-source",
		"x-amz-copy-source-if-match" }, SEEN("e"),
	      SEEN("e"),
	      { COPIED, 0, HTTP_CLOSE, "partNumber=1",
		"x-amz-copy-source-if-match" }, SEEN("other"));
	s3_to_remote(s3)->caps = S3_CAP_COPY_SOURCE | S3_CAP_PART_COPY;
	CU_ASSERT_EQUAL(s3_copy(s3, "from", "e", "key", &none, NULL, etag,
				&err), 0);
	CU_ASSERT_EQUAL(s3_upload_part_copy(s3, "key", "u", 1, "from", "e", 0,
					    3, etag, &err), -ESTALE);
	stop(8);
}

static void
a_deletion_refused_though_its_condition_holds_is_made_after_a_look(void)
{
	START({ ERROR("412 No", "PreconditionFailed", 46), 0, HTTP_KEEP,
		"if-match: \"e\"", NULL },
	      SEEN("e"), SEEN("e"),
	      { TEXT("204 Gone", ID, 0, ""), 0, HTTP_KEEP, "DELETE",
		"if-match" },
	      SEEN("theirs"));
	s3_to_remote(s3)->caps = S3_CAP_DELETE;
	CU_ASSERT_EQUAL(s3_delete(s3, "key", "e", &err), 0);
	CU_ASSERT_EQUAL(s3_delete(s3, "key", "e", &err), -ESTALE);
	stop(5);
}

static void
an_upload_refused_though_its_condition_holds_ends_after_a_look(void)
{
	const struct s3_part part = { .number = 1, .etag = "p" };
	const struct s3_cond cond = { .if_match = "e" };
	char etag[S3_ETAG_MAX];

	START({ ERROR("412 No", "PreconditionFailed", 46), 0, HTTP_KEEP,
		"if-match: \"e\"", NULL },
	      SEEN("e"),
	      { XML("<CompleteMultipartUploadResult><ETag>n</ETag>"
		    "</CompleteMultipartUploadResult>"), 0, HTTP_CLOSE,
		"POST", "if-match" },
	      SEEN("theirs"));
	s3_to_remote(s3)->caps = S3_CAP_COMPLETE;
	CU_ASSERT_EQUAL(s3_upload_complete(s3, "key", "u", &part, 1, &cond,
					   etag, &err), 0);
	CU_ASSERT_STRING_EQUAL(etag, "n");
	CU_ASSERT_EQUAL(s3_upload_complete(s3, "key", "u", &part, 1, &cond,
					   etag, &err), -ESTALE);
	stop(4);
}

/* Backblaze B2: "Unsupported header 'x-amz-tagging'". */
static void
a_header_that_is_refused_does_not_keep_the_body_back(void)
{
	struct s3_headers h = { 0 };
	char etag[S3_ETAG_MAX];

	START({ ERROR("400 Bad", "InvalidArgument", 43), 0, HTTP_KEEP,
		"x-amz-tagging: a=b", NULL },
	      { ERROR("400 Bad", "InvalidArgument", 43), 0, HTTP_KEEP,
		"x-amz-grant-read", "x-amz-tagging" },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, "x-amz-meta-mode: 420",
		"x-amz-grant-read" });
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-mode", "420"), 0);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-tagging", "a=b"), 0);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-grant-read", "id=\"x\""), 0);
	CU_ASSERT_EQUAL(s3_put(s3, "key", &abc, &h, NULL, etag, &err), 0);
	CU_ASSERT_STRING_EQUAL(etag, "e");
	s3_headers_free(&h);
	stop(3);
}

/* What it is refused for is then told as it is, and nothing is remembered. */
static void
a_refusal_for_another_reason_stays_one(void)
{
	struct s3_headers h = { 0 };
	char etag[S3_ETAG_MAX];

	START({ ERROR("400 Bad", "InvalidRequest", 42), 0, HTTP_KEEP,
		"x-amz-tagging", NULL },
	      { ERROR("400 Bad", "InvalidRequest", 42), 0, HTTP_KEEP, NULL,
		"x-amz-tagging" },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, "x-amz-tagging", NULL });
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-tagging", "a=b"), 0);
	CU_ASSERT_EQUAL(s3_put(s3, "key", &abc, &h, NULL, etag, &err),
			-EINVAL);
	CU_ASSERT_EQUAL(s3_put(s3, "key", &abc, &h, NULL, etag, &err), 0);
	s3_headers_free(&h);
	stop(3);
}

#define DENIED ERROR("403 No", "AccessDenied", 40)
#define NO_GRANTS XML("<AccessControlPolicy><Owner><ID>me</ID></Owner>" \
	"<AccessControlList/></AccessControlPolicy>")

/* As of another owner, or archived. */
static void
a_denial_of_one_object_says_nothing_of_others(void)
{
	struct s3_object o = { 0 };
	struct s3_headers h = { 0 };
	struct s3_stats stats;

	START({ DENIED, 0, HTTP_CLOSE, "own?acl", NULL },
	      { NO_GRANTS, 0, HTTP_CLOSE, "other?acl", NULL },
	      { DENIED, 0, HTTP_CLOSE, "own?acl", NULL },
	      { NO_GRANTS, 0, HTTP_CLOSE, "other?acl", NULL });
	s3_to_remote(s3)->no_tags = true;
	CU_ASSERT_EQUAL(s3_extras(s3, "own", &o, false, &h, &err), -EAGAIN);
	usleep(2000);
	CU_ASSERT_EQUAL(s3_extras(s3, "other", &o, false, &h, &err), 0);
	CU_ASSERT_EQUAL(s3_extras(s3, "own", &o, false, &h, &err), 0);
	CU_ASSERT_EQUAL(s3_extras(s3, "other", &o, false, &h, &err), 0);
	s3_stats(s3, &stats);
	CU_ASSERT_EQUAL(stats.extras_lost, 1);
	stop(4);
}

/* A store that says 501 for a moment, and is then right. */
static void
tags_are_left_out_for_good_only_where_they_never_were(void)
{
	struct s3_headers h = { 0 };
	char etag[S3_ETAG_MAX];

	START({ ERROR("501 No", "NotImplemented", 42), 0, HTTP_KEEP,
		"x-amz-tagging: a=b", NULL },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, "PUT", "x-amz-tagging" },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, "x-amz-tagging: a=b", NULL });
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-tagging", "a=b"), 0);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(s3_put(s3, "key", &abc, &h, NULL, etag, &err),
				0);
	s3_headers_free(&h);
	stop(3);
}

/* 2 KiB on AWS; a proxy's bound has no code. */
static void
our_own_metadata_goes_before_the_data_is_refused(void)
{
	struct s3_headers h = { 0 };
	struct s3_stats stats;
	char etag[S3_ETAG_MAX], large[1000];

	START({ ERROR("400 Bad", "MetadataTooLarge", 44), 0, HTTP_KEEP,
		"x-amz-meta-file-owner: 1", NULL },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, "x-amz-meta-model: xxx",
		"x-amz-meta-file-owner" },
	      { TEXT("431 Large", "Content-Type: text/html" LINE, 13,
		     "<html></html>"), 0, HTTP_KEEP, "x-amz-meta-mtime", NULL },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, "x-amz-meta-model: xxx",
		"x-amz-meta-mtime" });
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-model", large), 0);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-file-owner", "1"), 0);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-mtime", "1.5"), 0);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(s3_put(s3, "key", &abc, &h, NULL, etag, &err),
				0);
	s3_stats(s3, &stats);
	CU_ASSERT_EQUAL(stats.extras_lost, 2);
	s3_headers_free(&h);
	stop(4);
}

/* Traefik and nginx while what is behind them restarts. */
static void
a_proxys_404_is_not_the_stores(void)
{
	char buf[4];

	START_WITH(impatient, { GOOD_HEAD, 0, HTTP_KEEP, NULL, NULL },
	      { TEXT("404 Not Found", "", 0, ""), 0, HTTP_KEEP, "HEAD", NULL },
	      { TEXT("404 Not Found", "", 9, "not found"), 0, HTTP_KEEP,
		"GET", NULL },
	      { TEXT("404 Not Found", "", 9, "not found"), 0, HTTP_KEEP,
		"DELETE", NULL },
	      { TEXT("404 Not Found", ID, 0, ""), 0, HTTP_KEEP, "HEAD", NULL },
	      { ERROR("404 None", "NoSuchKey", 37), 0, HTTP_KEEP, "DELETE",
		NULL });
	CU_ASSERT_EQUAL(head(), 0);
	CU_ASSERT_EQUAL(head(), -EAGAIN);
	CU_ASSERT_EQUAL(s3_get(s3, "key", NULL, 0, buf, 4, NULL, &err),
			-EAGAIN);
	CU_ASSERT_EQUAL(s3_delete(s3, "key", NULL, &err), -EAGAIN);
	CU_ASSERT_EQUAL(head(), -ENOENT);
	CU_ASSERT_EQUAL(s3_delete(s3, "key", NULL, &err), 0);
	stop(6);
}

#define PAGE(status) { TEXT(status, "Content-Type: text/html" LINE, 13, \
			    "<html></html>"), 0, HTTP_KEEP, NULL, NULL }
static void
pages_and_redirects_of_others_only_cost_time(void)
{
	char etag[S3_ETAG_MAX];

	START_WITH(impatient, { GOOD_HEAD, 0, HTTP_KEEP, NULL, NULL },
	      PAGE("400 Bad"), PAGE("401 Who"), PAGE("403 Forbidden"),
	      PAGE("405 How"), PAGE("407 Proxy"), PAGE("411 Length"),
	      PAGE("413 Large"), PAGE("302 Login"), PAGE("501 No"));
	CU_ASSERT_EQUAL(head(), 0);
	for (int i = 0; i < 9; i++)
		CU_ASSERT_EQUAL(put(NULL, etag), -EAGAIN);
	stop(10);
}

static void
a_page_with_status_200_is_no_success(void)
{
	char etag[S3_ETAG_MAX];

	START(PAGE("200 OK"), PAGE("200 OK"), PAGE("200 OK"),
	      PAGE("200 OK"), PAGE("200 OK"), PAGE("200 OK"),
	      PAGE("200 OK"));
	CU_ASSERT_EQUAL(s3_delete(s3, "key", NULL, &err), -EBADMSG);
	CU_ASSERT_EQUAL(put(NULL, etag), -EBADMSG);
	CU_ASSERT_EQUAL(s3_upload_abort(s3, "key", "u", &err), -EBADMSG);
	stop(7);
}

/* Keys, clocks, quotas and certificates are nobody's fault but the
 * account's. */
static void
the_accounts_trouble_is_not_the_objects(void)
{
	static const struct {
		int http;
		const char *code;
		int result;
	} all[] = {
		{ 400, "ExpiredToken", -EKEYREJECTED },
		{ 403, "InvalidAccessKeyId", -EKEYREJECTED },
		{ 403, "SignatureDoesNotMatch", -EKEYREJECTED },
		{ 403, "RequestTimeTooSkewed", -EKEYREJECTED },
		{ 403, "TransactionCapExceeded", -EKEYREJECTED },
		{ 401, "Unauthorized", -EKEYREJECTED },
		{ 400, "XMinioAdminBucketQuotaExceeded", -EDQUOT },
		{ 403, "QuotaExceeded", -EDQUOT },
		{ 409, "ConditionalRequestConflict", -EAGAIN },
		{ 409, "OperationAborted", -EAGAIN },
		{ 409, "Conflict", -EAGAIN },
		{ 409, "ExistingObjectIsDirectory", -EINVAL },
		{ 400, "InvalidTokenId", -EKEYREJECTED },
		{ 400, "KMS.DisabledException", -EKEYREJECTED },
		{ 403, "StorageCapExceeded", -EDQUOT },
		{ 503, "SlowDownWrite", -EAGAIN },
		{ 499, "ClientDisconnected", -EAGAIN },
		{ 400, "XMinioBackendDown", -EAGAIN },
		{ 400, "XAmzContentChecksumMismatch", -EBADMSG },
		{ 403, "InvalidObjectState", -EACCES },
		{ 403, "AccessDenied", -EACCES },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		CU_ASSERT_EQUAL(s3_errno(all[i].http, all[i].code,
					 S3_VOICE_S3), all[i].result);
}

/* Backblaze: AccessDenied, "Cannot upload files, storage cap exceeded". */
static void
a_cap_that_is_called_a_denial_is_a_cap(void)
{
	char etag[S3_ETAG_MAX];

	START({ TEXT("403 No", ID, 94, "<Error><Code>AccessDenied</Code>"
		"<Message>Cannot upload, storage cap exceeded</Message>"
		"</Error>"), 0, HTTP_KEEP, "PUT", NULL });
	CU_ASSERT_EQUAL(put(NULL, etag), -EDQUOT);
	CU_ASSERT_EQUAL(s3_meaning(-EDQUOT), S3_ACCOUNT);
	stop(1);
}

/* "A conflict copy though nobody changed anything": PUT 409 of any kind. */
static void
a_409_is_no_condition_that_failed(void)
{
	struct s3_cond none = { .if_none_match = true };
	char etag[S3_ETAG_MAX];

	START_WITH(impatient,
	      { ERROR("409 Conflict", "Conflict", 36), 0, HTTP_KEEP, "PUT",
		NULL },
	      { TEXT("409 Conflict", ID, 0, ""), 0, HTTP_KEEP, "PUT", NULL });
	CU_ASSERT_EQUAL(put(&none, etag), -EAGAIN);
	CU_ASSERT_EQUAL(put(&none, etag), -EAGAIN);
	stop(2);
}

static void
each_result_has_its_meaning(void)
{
	static const struct {
		int result;
		enum s3_meaning meaning;
	} all[] = {
		{ 0, S3_DONE }, { 17, S3_DONE }, { -ENOENT, S3_ABSENT },
		{ -ESTALE, S3_UNMET }, { -EEXIST, S3_UNMET },
		{ -EACCES, S3_REFUSED }, { -EINVAL, S3_REFUSED },
		{ -EFBIG, S3_REFUSED }, { -ENOTSUP, S3_REFUSED },
		{ -EKEYREJECTED, S3_ACCOUNT }, { -EDQUOT, S3_ACCOUNT },
		{ -ENODEV, S3_ACCOUNT }, { -EAGAIN, S3_LATER },
		{ -EBADMSG, S3_LATER }, { -ENOMEM, S3_LATER },
		{ -EIO, S3_LATER }, { -ENOSPC, S3_LATER },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		CU_ASSERT_EQUAL(s3_meaning(all[i].result), all[i].meaning);
}

/* A young bucket of AWS, a store of several sites. */
static void
a_redirect_of_the_stores_is_followed_and_signed_anew(void)
{
	static const struct http_step at_other[] = {
		{ OK_LAST(0, "e"), 0, HTTP_CLOSE, "PUT /bucket/key", NULL },
	};
	struct http_fake *other = http_fake_start(at_other, 1);
	char moved[512], login[512], etag[S3_ETAG_MAX];
	struct http_step steps[] = {
		{ moved, 0, HTTP_KEEP, "PUT", NULL },
		{ login, 0, HTTP_KEEP, "PUT", NULL },
		{ moved, 0, HTTP_KEEP, "PUT", NULL },
	};

	snprintf(moved, sizeof(moved), "HTTP/1.1 307 Moved" LINE ID
		 "Location: %s/bucket/key" LINE LENGTH(0) LINE,
		 http_fake_url(other));
	snprintf(login, sizeof(login), "HTTP/1.1 307 Moved" LINE ID
		 "Location: %s/login" LINE LENGTH(0) LINE,
		 http_fake_url(other));
	start_with(steps, 2, impatient);
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	CU_ASSERT_EQUAL(http_fake_seen(other), 1);
	CU_ASSERT_EQUAL(http_fake_wrong(other), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(other, 0),
				      http_fake_url(other) + 7));
	CU_ASSERT_EQUAL(put(NULL, etag), -EAGAIN);
	CU_ASSERT_EQUAL(http_fake_seen(other), 1);
	stop(2);
	http_fake_stop(&other);
}

/* A VM that was asleep, behind a proxy that says only 403. */
static void
the_clock_is_set_by_an_error_page_too(void)
{
	char page[512], etag[S3_ETAG_MAX], date[64];
	struct http_step steps[] = {
		{ page, 0, HTTP_KEEP, "PUT", NULL },
		{ OK_LAST(0, "e"), 0, HTTP_CLOSE, "PUT", NULL },
	};
	time_t then = time(NULL) + 7200;
	struct tm tm;

	gmtime_r(&then, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(page, sizeof(page), "HTTP/1.1 403 No" LINE "Date: %s" LINE
		 LENGTH(13) LINE "<html></html>", date);
	start_with(steps, 2, impatient);
	CU_ASSERT_EQUAL(put(NULL, etag), 0);
	strftime(date, sizeof(date), "x-amz-date: %Y%m%dT%H", &tm);
	CU_ASSERT_PTR_NOT_NULL(strstr(http_fake_request(fake, 1), date));
	stop(2);
}

/* HEAD tells 400 or 403 of lapsed keys as it does of a denied object. */
static void
why_a_head_was_refused_is_asked_for(void)
{
	START({ TEXT("400 Bad", ID, 0, ""), 0, HTTP_KEEP, "HEAD", NULL },
	      { ERROR("400 Bad", "InvalidAccessKeyId", 46), 0, HTTP_KEEP,
		"range: bytes=0-0", NULL },
	      { TEXT("403 No", ID, 0, ""), 0, HTTP_KEEP, "HEAD", NULL },
	      { ERROR("403 No", "AccessDenied", 40), 0, HTTP_KEEP, "GET",
		NULL });
	CU_ASSERT_EQUAL(head(), -EKEYREJECTED);
	CU_ASSERT_STRING_EQUAL(err.code, "InvalidAccessKeyId");
	CU_ASSERT_EQUAL(head(), -EACCES);
	stop(4);
}

/* s3proxy; a store that tells of the year 1. */
static void
a_head_without_etag_or_date_is_read(void)
{
	struct s3_object o = { 0 };

	START({ "HTTP/1.1 200 OK" LINE "Last-Modified: Mon, 01 Jan 0001 "
		"00:00:00 GMT" LINE LENGTH(0) LINE, 0, HTTP_KEEP, "HEAD",
		NULL });
	CU_ASSERT_EQUAL_FATAL(s3_head(s3, "d/", &o, &err), 0);
	CU_ASSERT_STRING_EQUAL(o.etag, "d41d8cd98f00b204e9800998ecf8427e");
	CU_ASSERT_EQUAL(o.mtime_ns, 0);
	s3_object_free(&o);
	stop(1);
}

/* 503s while the store is asked what it can do. */
static void
a_probe_amid_trouble_learns_nothing_and_says_so(void)
{
	struct s3_caps caps = { 0 };

#define FEW BUSY_STEP, BUSY_STEP, BUSY_STEP, BUSY_STEP, BUSY_STEP
#define BUSY_STEP { BUSY, 0, HTTP_KEEP, NULL, NULL }
	START_WITH({ .retry_ms = 1 },
	      { OK_LAST(0, "e"), 0, HTTP_CLOSE, "PUT", NULL },
	      FEW, FEW, FEW, FEW, FEW, FEW);
	CU_ASSERT_EQUAL(s3_probe(s3, "p-", &caps, &err), -EAGAIN);
	CU_ASSERT_EQUAL((unsigned)s3_to_remote(s3)->caps, 0);
	CU_ASSERT_EQUAL(http_fake_wrong(fake), 0);
	stop(http_fake_seen(fake));
}

struct seen {
	char keys[512];
};

static int
see(void *arg, const struct s3_entry *e)
{
	struct seen *s = arg;
	size_t used = strlen(s->keys);

	snprintf(s->keys + used, sizeof(s->keys) - used, "%s;", e->key);
	return 0;
}

#define ITEM(key, rest) "<Contents><Key>" key "</Key>" rest "</Contents>"
#define WHOLE "<Size>1</Size><ETag>e</ETag>" \
	"<LastModified>2013-05-24T00:00:00.000Z</LastModified>"

static void
a_bad_item_of_a_listing_spoils_only_itself(void)
{
	const struct s3_list list = { .max_keys = 9 };
	struct seen seen = { "" };
	char *next = NULL;

	START({ XML("<ListBucketResult><EncodingType>url</EncodingType>"
		    "<IsTruncated>False</IsTruncated>"
		    ITEM("a", WHOLE) ITEM("b%00", WHOLE)
		    ITEM("100%", WHOLE) ITEM("", WHOLE)
		    ITEM("c", "<Size>1</Size>")
		    ITEM("d", "<Size>1</Size><LastModified>0001-01-01T"
			 "00:00:00Z</LastModified>")
		    ITEM("e", "<Size>many</Size>")
		    ITEM("f", WHOLE) "</ListBucketResult>"), 0, HTTP_CLOSE,
		"list-type=2", NULL });
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, see, &seen, &next, &err), 0);
	CU_ASSERT_STRING_EQUAL(seen.keys, "100%;a;b%00;c;d;f;");
	CU_ASSERT_PTR_NULL(next);
	stop(1);
}

#define V1(truncated, items) XML("<ListBucketResult><Marker/><IsTruncated>" \
	truncated "</IsTruncated>" items "</ListBucketResult>")

/* Baidu BOS: list-type is overlooked, tokens are not known. */
static void
a_store_that_lists_by_marker_only_is_served(void)
{
	struct s3_list list = { .delimiter = "/", .max_keys = 2 };
	struct seen seen = { "" };
	char *next = NULL, *last = NULL;

	START({ V1("true", ITEM("a", WHOLE) "<CommonPrefixes><Prefix>b/"
		   "</Prefix></CommonPrefixes>"), 0, HTTP_CLOSE, "list-type=2",
		NULL },
	      { V1("false", "<CommonPrefixes><Prefix>b/</Prefix>"
		   "</CommonPrefixes>" ITEM("c", WHOLE)), 0, HTTP_CLOSE,
		"marker=b%2F", "list-type" });
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, see, &seen, &next, &err), 0);
	CU_ASSERT_STRING_EQUAL(seen.keys, "a;b/;");
	CU_ASSERT_PTR_NOT_NULL_FATAL(next);
	list.token = next;
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, see, &seen, &last, &err), 0);
	CU_ASSERT_STRING_EQUAL(seen.keys, "a;b/;c;");
	CU_ASSERT_PTR_NULL(last);
	free(next);
	stop(2);
}

static void
a_store_that_refuses_list_type_2_is_asked_by_marker(void)
{
	const struct s3_list list = { .start_after = "a" };
	struct seen seen = { "" };
	char *next = NULL;

	START({ ERROR("400 Bad", "InvalidArgument", 43), 0, HTTP_KEEP,
		"list-type=2", NULL },
	      { V1("false", ITEM("b", WHOLE)), 0, HTTP_CLOSE, "marker=a",
		"list-type" },
	      { V1("false", ""), 0, HTTP_CLOSE, "marker=a", "list-type" });
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(s3_list_page(s3, &list, see, &seen, &next,
					     &err), 0);
	CU_ASSERT_STRING_EQUAL(seen.keys, "b;");
	stop(3);
}

#define TEN "llllllllll"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED \
	HUNDRED HUNDRED HUNDRED

static void
odd_bytes_of_a_listing_spoil_only_their_item(void)
{
	const struct s3_list list = { .max_keys = 9 };
	struct seen seen = { "" };
	char *next = NULL;

	START({ XML("<ListBucketResult><IsTruncated>False</IsTruncated>"
		    ITEM("a", WHOLE) ITEM("fffe\xef\xbf\xbe", WHOLE)
		    ITEM("ctl\x01", WHOLE) ITEM("ref&#x2;", WHOLE)
		    ITEM(THOUSAND "1234567890123456789012345", WHOLE)
		    ITEM("z", WHOLE) "</ListBucketResult>"), 0, HTTP_CLOSE,
		"list-type=2", NULL });
	CU_ASSERT_EQUAL(s3_list_page(s3, &list, see, &seen, &next, &err), 0);
	CU_ASSERT_STRING_EQUAL(seen.keys,
			       "a;ctl\x01;fffe\xef\xbf\xbe;ref\x02;z;");
	stop(1);
}

#define SCRATCH "d/.s3nfsd-probe-0123456789abcdef01234567"

static void
scratch_keys_of_a_probe_are_nobodys_files(void)
{
	struct s3_list list = { .prefix = "d/", .delimiter = "/" };
	struct seen seen = { "" }, all = { "" };
	char *next = NULL;

	for (int i = 0; i < 2; i++) {
		START({ V1("false", ITEM(SCRATCH "%41", WHOLE)
			   ITEM(SCRATCH "-2", WHOLE) ITEM(SCRATCH "-k0/k", WHOLE)
			   "<CommonPrefixes><Prefix>" SCRATCH "-k0/</Prefix>"
			   "</CommonPrefixes>"
			   ITEM("d/.s3nfsd-probe-mine", WHOLE)
			   ITEM("d/z", WHOLE)), 0, HTTP_CLOSE, "list-type=2",
			NULL });
		list.scratch = i == 1;
		CU_ASSERT_EQUAL(s3_list_page(s3, &list, see, i == 0 ? &seen :
					     &all, &next, &err), 0);
		stop(1);
	}
	CU_ASSERT_STRING_EQUAL(seen.keys, "d/.s3nfsd-probe-mine;d/z;");
	CU_ASSERT_STRING_EQUAL(all.keys, SCRATCH "%41;" SCRATCH "-2;"
			       SCRATCH "-k0/;" SCRATCH "-k0/k;"
			       "d/.s3nfsd-probe-mine;d/z;");
}

TEST_MAIN("s3_answers", T(minio_names_neither_owner_nor_grantee),
	  T(scratch_keys_of_a_probe_are_nobodys_files),
	  T(an_acl_that_is_not_understood_keeps_no_data_back),
	  T(gofakes3_calls_a_new_upload_by_another_name),
	  T(a_store_without_tagging_directives_is_spared_them),
	  T(a_restore_is_asked_for_once_and_may_be_under_way),
	  T(a_directory_whose_copy_is_refused_is_written_anew),
	  T(a_copy_refused_though_its_source_is_right_is_made_after_a_look),
	  T(a_deletion_refused_though_its_condition_holds_is_made_after_a_look),
	  T(a_directory_that_no_copy_finds_is_written_anew),
	  T(an_upload_refused_though_its_condition_holds_ends_after_a_look),
	  T(a_header_that_is_refused_does_not_keep_the_body_back),
	  T(a_refusal_for_another_reason_stays_one),
	  T(a_denial_of_one_object_says_nothing_of_others),
	  T(tags_are_left_out_for_good_only_where_they_never_were),
	  T(our_own_metadata_goes_before_the_data_is_refused),
	  T(a_proxys_404_is_not_the_stores),
	  T(pages_and_redirects_of_others_only_cost_time),
	  T(a_page_with_status_200_is_no_success),
	  T(the_accounts_trouble_is_not_the_objects),
	  T(a_cap_that_is_called_a_denial_is_a_cap),
	  T(a_409_is_no_condition_that_failed),
	  T(each_result_has_its_meaning),
	  T(a_redirect_of_the_stores_is_followed_and_signed_anew),
	  T(the_clock_is_set_by_an_error_page_too),
	  T(why_a_head_was_refused_is_asked_for),
	  T(a_head_without_etag_or_date_is_read),
	  T(a_probe_amid_trouble_learns_nothing_and_says_so),
	  T(a_bad_item_of_a_listing_spoils_only_itself),
	  T(a_store_that_lists_by_marker_only_is_served),
	  T(a_store_that_refuses_list_type_2_is_asked_by_marker),
	  T(odd_bytes_of_a_listing_spoil_only_their_item))
