/* SPDX-License-Identifier: Apache-2.0 */
/* What probes left in the bucket, against a store that plays a script. */
#include <config.h>

#include <errno.h>
#include <stdio.h>

#include "tests/s3_fake.h"

#define D24 "0123456789ab0123456789ab"
#define E24 "fedcba987654fedcba987654"
#define OLD "<LastModified>2013-05-24T00:00:00.000Z</LastModified>"
#define YOUNG "<LastModified>2200-05-24T00:00:00.000Z</LastModified>"
#define ITEM(key, when) "<Contents><Key>" key "</Key><Size>1</Size>" \
	"<ETag>e</ETag>" when "</Contents>"
#define LIST(items) "HTTP/1.1 200 OK" LINE LAST LINE \
	"<ListBucketResult><IsTruncated>false</IsTruncated>" items \
	"</ListBucketResult>"
#define UPLOADS(items) "HTTP/1.1 200 OK" LINE LAST LINE \
	"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>" items \
	"</ListMultipartUploadsResult>"
#define UPLOAD(key, id, at) "<Upload><Key>" key "</Key><UploadId>" id \
	"</UploadId><Initiated>" at "</Initiated></Upload>"
#define GONE "HTTP/1.1 204 Gone" LINE LAST LINE

static void
old_scratch_keys_and_uploads_go_and_nothing_else(void)
{
	START({ LIST(ITEM("p-" D24 "%41", OLD) ITEM("p-" E24 "-2", YOUNG)
		     ITEM("p-letters", OLD)), 0, HTTP_CLOSE, "prefix=p-",
		NULL },
	      { UPLOADS(UPLOAD("p-" D24 "%41", "one",
			       "2013-05-24T00:00:00.000Z")
			UPLOAD("p-mine", "two",
			       "2013-05-24T00:00:00.000Z")), 0, HTTP_CLOSE,
		"uploads", NULL },
	      { GONE, 0, HTTP_CLOSE, "DELETE /bucket/p-" D24, "uploadId" },
	      { GONE, 0, HTTP_CLOSE, "uploadId=one", NULL });
	CU_ASSERT_EQUAL(s3_probe_sweep(s3, "p-", &err), 0);
	stop(4);
}

static void
own_ones_go_however_young_they_are(void)
{
	START({ LIST(ITEM("p-" E24 "%41", YOUNG) ITEM("p-" D24 "-2", YOUNG)),
		0, HTTP_CLOSE, "prefix=p-", NULL },
	      { UPLOADS(""), 0, HTTP_CLOSE, "uploads", NULL },
	      { GONE, 0, HTTP_CLOSE, "DELETE /bucket/p-" E24, NULL });
	snprintf(s3_to_remote(s3)->scratch,
		 sizeof(s3_to_remote(s3)->scratch), "fedcba987654");
	CU_ASSERT_EQUAL(s3_probe_sweep(s3, "p-", &err), 0);
	stop(3);
}

static void
a_delete_that_failed_is_told(void)
{
	START_WITH({ .retry_ms = 1 },
	      { LIST(ITEM("p-" D24 "-2", OLD)), 0, HTTP_CLOSE, NULL, NULL },
	      { UPLOADS(""), 0, HTTP_CLOSE, "uploads", NULL },
	      { BUSY, 0, HTTP_CLOSE, "DELETE", NULL });
	CU_ASSERT_EQUAL(s3_probe_sweep(s3, "p-", &err), -EAGAIN);
	stop(http_fake_seen(fake));
}

TEST_MAIN("s3_sweep", T(old_scratch_keys_and_uploads_go_and_nothing_else),
	  T(own_ones_go_however_young_they_are),
	  T(a_delete_that_failed_is_told))
