/* SPDX-License-Identifier: Apache-2.0 */
/* Every reply that is XML, as the stores send it and as no store should. */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include "s3/remote.h"
#include "tests/unit.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define LIST(in) HEAD "<ListBucketResult xmlns=\"http://s3.amazonaws.com/" \
	"doc/2006-03-01/\">" in "</ListBucketResult>"
#define ITEM(key) "<Contents><Key>" key "</Key><LastModified>2009-10-12T17:" \
	"50:30.999Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>7</Size>" \
	"</Contents>"
#define WHOLE "<IsTruncated>false</IsTruncated>"
#define URL "<EncodingType>url</EncodingType>"

static int
list(const char *xml, struct s3_xml_list *out)
{
	return s3_xml_list(xml, strlen(xml), out);
}

static void
a_listing_is_read_and_merged(void)
{
	struct s3_xml_list l;

	CU_ASSERT_EQUAL_FATAL(list(LIST(URL WHOLE ITEM("a%2Bb+%01") ITEM("d")
		"<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes>"), &l),
		0);
	CU_ASSERT_EQUAL(l.count, 3);
	CU_ASSERT_STRING_EQUAL(l.items[0].key, "a+b \x01");
	CU_ASSERT_EQUAL(l.items[0].key_len, 5);
	CU_ASSERT_EQUAL(l.items[0].size, 7);
	CU_ASSERT_EQUAL(l.items[0].mtime_ns, 1255369830000000000LL);
	CU_ASSERT_STRING_EQUAL(l.items[0].etag, "abc");
	CU_ASSERT_STRING_EQUAL(l.items[1].key, "c/");
	CU_ASSERT_TRUE(l.items[1].is_prefix);
	CU_ASSERT_STRING_EQUAL(l.items[2].key, "d");
	CU_ASSERT_FALSE(l.truncated);
	s3_xml_list_fini(&l);
	/* Without EncodingType nothing is decoded. */
	CU_ASSERT_EQUAL_FATAL(list(LIST(WHOLE ITEM("a%2Bb")), &l), 0);
	CU_ASSERT_STRING_EQUAL(l.items[0].key, "a%2Bb");
	s3_xml_list_fini(&l);
}

static void
a_token_of_control_characters_survives(void)
{
	struct s3_xml_list l;

	CU_ASSERT_EQUAL_FATAL(list(LIST(URL "<IsTruncated>true</IsTruncated>"
		"<NextContinuationToken>a&#x01;b&#31;c&amp;&#xe4;"
		"</NextContinuationToken>" ITEM("a%01b")), &l), 0);
	CU_ASSERT_STRING_EQUAL(l.next, "a\x01" "b\x1f" "c&\xc3\xa4");
	CU_ASSERT_STRING_EQUAL(l.items[0].key, "a\x01" "b");
	s3_xml_list_fini(&l);
}

static void
a_listing_that_may_be_a_part_is_refused(void)
{
	static const char *const bad[] = {
		LIST(ITEM("a")),		/* truncated or not? */
		LIST("<IsTruncated>perhaps</IsTruncated>"),
		LIST("<IsTruncated>true</IsTruncated>" ITEM("a")),
		LIST("<IsTruncated>true</IsTruncated><NextContinuationToken/>"),
		"", " ", "<", "hello", "<a/>",
		"<ListBucketResult><IsTruncated>false</IsTruncated>",
		"<html><body>It works!</body></html>",
	};
	struct s3_xml_list l;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int r = list(bad[i], &l);

		if (r != -EBADMSG)
			fprintf(stderr, "taken: %s\n", bad[i]);
		CU_ASSERT_EQUAL(r, -EBADMSG);
		CU_ASSERT_PTR_NULL(l.items);
	}
}

static void
an_item_that_cannot_be_read_is_counted(void)
{
	static const char *const bad[] = {
		LIST(WHOLE ITEM("")),
		LIST(WHOLE "<Contents><Key>a</Key></Contents>"),
		LIST(WHOLE "<Contents><Size>1</Size></Contents>"),
		LIST(WHOLE "<Contents><Key>a</Key><Size>-1</Size></Contents>"),
		LIST(WHOLE "<Contents><Key>a</Key><Size>99999999999999999999"
		     "</Size></Contents>"),
	};
	struct s3_xml_list l;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CU_ASSERT_EQUAL(list(bad[i], &l), 0);
		CU_ASSERT_EQUAL(l.count, 0);
		CU_ASSERT_EQUAL(l.skipped, 1);
		s3_xml_list_fini(&l);
	}
}

static void
entities_and_dtds_are_refused(void)
{
	static const char laughs[] = "<!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\">"
		"<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>"
		"<ListBucketResult>" WHOLE ITEM("&b;") "</ListBucketResult>";
	static const char file[] = "<!DOCTYPE l SYSTEM \"file:///etc/passwd\">"
		"<ListBucketResult>" WHOLE "</ListBucketResult>";
	static const char entity[] = "<ListBucketResult>" WHOLE ITEM("&x;")
		"</ListBucketResult>";
	struct s3_xml_list l;

	CU_ASSERT_EQUAL(list(laughs, &l), -EBADMSG);
	CU_ASSERT_EQUAL(list(file, &l), -EBADMSG);
	CU_ASSERT_EQUAL(list(entity, &l), -EBADMSG);
}

static void
a_deep_document_is_refused(void)
{
	enum { DEEP = 5000 };
	struct s3_buf b = {0};
	struct s3_xml_list l;

	for (int i = 0; i < DEEP; i++)
		s3_buf_str(&b, "<a>");
	for (int i = 0; i < DEEP; i++)
		s3_buf_str(&b, "</a>");
	CU_ASSERT_EQUAL(list(b.data, &l), -EBADMSG);
	s3_buf_fini(&b);
}

static void
errors_are_told(void)
{
	static const char xml[] = HEAD "<Error><Code>AccessDenied</Code>"
		"<Message>No &lt;way&gt;</Message><RequestId>42</RequestId>"
		"<Region>eu-west-1</Region></Error>";
	static const char other[] = HEAD "<CopyObjectResult/>";
	struct s3_xml_error e;

	CU_ASSERT_EQUAL(s3_xml_error(xml, strlen(xml), &e), 0);
	CU_ASSERT_STRING_EQUAL(e.code, "AccessDenied");
	CU_ASSERT_STRING_EQUAL(e.message, "No <way>");
	CU_ASSERT_STRING_EQUAL(e.request_id, "42");
	CU_ASSERT_STRING_EQUAL(e.region, "eu-west-1");
	CU_ASSERT_EQUAL(s3_xml_error(other, strlen(other), &e), -ENOENT);
	CU_ASSERT_EQUAL(s3_xml_error("x", 1, &e), -EBADMSG);
}

static void
uploads_and_parts_are_read(void)
{
	static const char uploads[] = HEAD "<ListMultipartUploadsResult>" WHOLE
		"<NextKeyMarker>a &#x01;</NextKeyMarker>"
		"<Upload><Key>a%20%2B</Key><UploadId>2~x</UploadId><Initiated>"
		"2026-11-22T18:55:03.112Z</Initiated></Upload>"
		"</ListMultipartUploadsResult>";
	static const char raw[] = "<ListMultipartUploadsResult>" WHOLE
		"<Upload><Key>a+%20</Key><UploadId>2~x</UploadId><Initiated>"
		"2026-11-22T18:55:03.112Z</Initiated></Upload>"
		"</ListMultipartUploadsResult>";
	static const char parts[] = "<ListPartsResult><IsTruncated>true"
		"</IsTruncated><NextPartNumberMarker>7</NextPartNumberMarker>"
		"<Part><PartNumber>7</PartNumber><ETag>\"e\"</ETag><Size>5"
		"</Size></Part></ListPartsResult>";
	static const char zero[] = "<ListPartsResult>" WHOLE "<Part>"
		"<PartNumber>0</PartNumber><ETag>e</ETag><Size>5</Size>"
		"</Part></ListPartsResult>";
	struct s3_xml_uploads u;
	struct s3_xml_parts p;

	CU_ASSERT_EQUAL_FATAL(s3_xml_uploads(uploads, strlen(uploads), &u), 0);
	CU_ASSERT_STRING_EQUAL(u.items[0].key, "a +");
	CU_ASSERT_STRING_EQUAL(u.items[0].upload_id, "2~x");
	s3_xml_uploads_fini(&u);
	CU_ASSERT_EQUAL_FATAL(s3_xml_uploads(raw, strlen(raw), &u), 0);
	CU_ASSERT_STRING_EQUAL(u.items[0].key, "a+%20");
	s3_xml_uploads_fini(&u);
	CU_ASSERT_EQUAL_FATAL(s3_xml_parts(parts, strlen(parts), &p), 0);
	CU_ASSERT_EQUAL(p.count, 1);
	CU_ASSERT_EQUAL(p.next, 7);
	CU_ASSERT_STRING_EQUAL(p.parts[0].etag, "e");
	free(p.parts);
	CU_ASSERT_EQUAL(s3_xml_parts(zero, strlen(zero), &p), -EBADMSG);
}

static void
small_results_are_read(void)
{
	static const char copy[] = "\n \n<CopyObjectResult><ETag>&quot;e-2"
		"&quot;</ETag></CopyObjectResult>";
	static const char empty[] = "<CompleteMultipartUploadResult><ETag>"
		"</ETag></CompleteMultipartUploadResult>";
	static const char create[] = "<InitiateMultipartUploadResult>"
		"<UploadId>2~y</UploadId></InitiateMultipartUploadResult>";
	static const char none[] = "<InitiateMultipartUploadResult/>";
	char etag[S3_ETAG_MAX], *id = NULL, longer[300];

	CU_ASSERT_EQUAL(s3_xml_etag(copy, strlen(copy), etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, "e-2");
	CU_ASSERT_EQUAL(s3_xml_etag(empty, strlen(empty), etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, "");
	CU_ASSERT_EQUAL(s3_xml_etag("<a/>", 4, etag), -EBADMSG);
	CU_ASSERT_EQUAL(s3_xml_upload_id(create, strlen(create), &id), 0);
	CU_ASSERT_STRING_EQUAL(id, "2~y");
	free(id);
	CU_ASSERT_EQUAL(s3_xml_upload_id(none, strlen(none), &id), -EBADMSG);
	CU_ASSERT_EQUAL(s3_etag_copy("W/\"x\"", etag), 0);
	CU_ASSERT_STRING_EQUAL(etag, "x");
	memset(longer, 'e', sizeof(longer));
	longer[299] = '\0';
	CU_ASSERT_EQUAL(s3_etag_copy(longer, etag), -EBADMSG);
	CU_ASSERT_EQUAL(s3_etag_copy("a\"b", etag), -EBADMSG);
}

static int
grants(const char *xml, struct s3_headers *out)
{
	return s3_xml_grants(xml, strlen(xml), out);
}

#define POLICY(list) "<AccessControlPolicy><Owner><ID>me</ID></Owner>" \
	"<AccessControlList>" list "</AccessControlList></AccessControlPolicy>"
#define GRANT(who, what) "<Grant><Grantee>" who "</Grantee><Permission>" \
	what "</Permission></Grant>"

static void
tags_and_grants_are_read(void)
{
	static const char tags[] = "<Tagging><TagSet><Tag><Key>k</Key><Value/>"
		"</Tag><Tag><Key>a=&amp;</Key><Value>x y</Value></Tag></TagSet>"
		"</Tagging>";
	static const char none[] = "<Tagging><TagSet/></Tagging>";
	struct s3_headers h = { 0 };
	char *text = NULL;

	CU_ASSERT_EQUAL(s3_xml_tags(tags, strlen(tags), &text), 0);
	CU_ASSERT_STRING_EQUAL(text, "k=&a%3D%26=x%20y");
	free(text);
	CU_ASSERT_EQUAL(s3_xml_tags(none, strlen(none), &text), 0);
	CU_ASSERT_STRING_EQUAL(text, "");
	free(text);
	CU_ASSERT_EQUAL(s3_xml_tags("<Tagging/>", 10, &text), -EBADMSG);
	/* The owner alone: nothing to say. */
	CU_ASSERT_EQUAL(grants(POLICY(GRANT("<ID>me</ID>", "FULL_CONTROL")),
			       &h), 0);
	CU_ASSERT_EQUAL(h.count, 0);
	CU_ASSERT_EQUAL(grants(POLICY(GRANT("<ID>me</ID>", "FULL_CONTROL")
				      GRANT("<ID>you</ID>", "READ")
				      GRANT("<URI>http://g</URI>", "READ")
				      GRANT("<ID>you</ID>", "WRITE_ACP")),
			       &h), 0);
	CU_ASSERT_EQUAL(h.count, 3);
	CU_ASSERT_STRING_EQUAL(s3_headers_get(&h, "x-amz-grant-read"),
			       "id=\"you\", uri=\"http://g\"");
	CU_ASSERT_STRING_EQUAL(s3_headers_get(&h, "x-amz-grant-full-control"),
			       "id=\"me\"");
	s3_headers_free(&h);
	CU_ASSERT_EQUAL(grants(POLICY(GRANT("<ID>a\"b</ID>", "READ")), &h),
			-EBADMSG);
	CU_ASSERT_EQUAL(grants(POLICY(GRANT("<ID>a</ID>", "FLY")), &h),
			-EBADMSG);
	CU_ASSERT_EQUAL(grants("<Tagging/>", &h), -EBADMSG);
	CU_ASSERT_EQUAL(h.count, 0);
}

static void
status_and_code_become_errno(void)
{
	CU_ASSERT_EQUAL(s3_errno(404, "NoSuchBucket", S3_VOICE_S3), -ENODEV);
	CU_ASSERT_EQUAL(s3_errno(404, "", S3_VOICE_S3), -ENOENT);
	CU_ASSERT_EQUAL(s3_errno(503, "SlowDown", S3_VOICE_S3), -EAGAIN);
	CU_ASSERT_EQUAL(s3_errno(500, "Odd", S3_VOICE_S3), -EAGAIN);
	CU_ASSERT_EQUAL(s3_errno(412, "", S3_VOICE_S3), -ESTALE);
	CU_ASSERT_EQUAL(s3_errno(400, "EntityTooLarge", S3_VOICE_S3), -EFBIG);
	CU_ASSERT_EQUAL(s3_errno(400, "", S3_VOICE_S3), -EINVAL);
	CU_ASSERT_EQUAL(s3_errno(401, "", S3_VOICE_S3), -EKEYREJECTED);
	CU_ASSERT_EQUAL(s3_errno(501, "NotImplemented", S3_VOICE_S3), -ENOTSUP);
	CU_ASSERT_EQUAL(s3_errno(400, "BadDigest", S3_VOICE_S3), -EBADMSG);
	CU_ASSERT_EQUAL(s3_errno(302, "", S3_VOICE_S3), -EAGAIN);
}

TEST_MAIN("s3_xml", T(a_listing_is_read_and_merged),
	  T(a_token_of_control_characters_survives),
	  T(a_listing_that_may_be_a_part_is_refused),
	  T(an_item_that_cannot_be_read_is_counted),
	  T(entities_and_dtds_are_refused), T(a_deep_document_is_refused),
	  T(errors_are_told), T(uploads_and_parts_are_read),
	  T(small_results_are_read),
	  T(tags_and_grants_are_read), T(status_and_code_become_errno))
