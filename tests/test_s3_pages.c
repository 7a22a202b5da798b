/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of several pages, against a server that plays scripts: what goes
 * on where the page before has ended.
 */
#include <config.h>
#include "tests/s3_fake.h"

#define PAGE(text) "HTTP/1.1 200 OK" LINE "x-amz-request-id: 1" LINE LAST LINE \
	"<ListBucketResult>" text "</ListBucketResult>"
#define ITEM(key) "<Contents><Key>" key "</Key><Size>1</Size><ETag>e</ETag>" \
	"<LastModified>2013-05-24T00:00:00.000Z</LastModified></Contents>"
#define MORE(token) "<IsTruncated>true</IsTruncated>" \
	"<NextContinuationToken>" token "</NextContinuationToken>"
#define MORE_V1 "<Marker/><IsTruncated>true</IsTruncated>"
#define END_V1 "<Marker/><IsTruncated>false</IsTruncated>"
#define END "<IsTruncated>false</IsTruncated>"

struct seen {
	char keys[256];
};

static int
see(void *arg, const struct s3_entry *e)
{
	struct seen *s = arg;
	size_t used = strlen(s->keys);

	snprintf(s->keys + used, sizeof(s->keys) - used, "%s;", e->key);
	return 0;
}

/* The next page of a listing whose continuation is *token. */
static int
page(char **token, struct seen *seen)
{
	struct s3_list list = { .token = *token };
	char *next = NULL;
	int r = s3_list_page(s3, &list, see, seen, &next, &err);

	free(*token);
	*token = next;
	return r;
}

static void
a_token_goes_on_with_the_version_that_made_it(void)
{
	struct seen one = { "" }, other = { "" };
	char *first = NULL, *second = NULL;

	/* Another listing learns of markers while the first is under way. */
	START({ PAGE(MORE("zz") ITEM("a")), 0, HTTP_CLOSE, "list-type=2",
		NULL },
	      { PAGE(MORE_V1 ITEM("a")), 0, HTTP_CLOSE, "list-type=2", NULL },
	      { PAGE(END ITEM("b")), 0, HTTP_CLOSE, "continuation-token=zz",
		"marker" },
	      { PAGE(END_V1 ITEM("b")), 0, HTTP_CLOSE, "marker=a",
		"list-type" });
	CU_ASSERT_EQUAL(page(&first, &one), 0);
	CU_ASSERT_EQUAL(page(&second, &other), 0);
	CU_ASSERT_EQUAL(page(&first, &one), 0);
	CU_ASSERT_EQUAL(page(&second, &other), 0);
	CU_ASSERT_STRING_EQUAL(one.keys, "a;b;");
	CU_ASSERT_STRING_EQUAL(other.keys, "a;b;");
	free(first);
	free(second);
	stop(4);
}

static void
a_store_that_overlooks_a_token_begins_anew(void)
{
	struct seen seen = { "" };
	char *token = NULL;

	START_WITH({ .retry_ms = 1 },
		   { PAGE(MORE("t") ITEM("a")), 0, HTTP_CLOSE, "list-type=2",
		     NULL },
		   { PAGE(MORE_V1 ITEM("a")), 0, HTTP_CLOSE,
		     "continuation-token=t", NULL });
	CU_ASSERT_EQUAL(page(&token, &seen), 0);
	CU_ASSERT_EQUAL(page(&token, &seen), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(seen.keys, "a;");
	free(token);
	stop(2);
}

static void
markers_follow_the_stores_own_order(void)
{
	struct seen seen = { "" };
	char *token = NULL;

	/* Upper and lower case together, the first page in both orders. */
	START({ PAGE(MORE_V1 ITEM("a") ITEM("b")), 0, HTTP_CLOSE,
		"list-type=2", NULL },
	      { PAGE(MORE_V1 ITEM("c") ITEM("B")), 0, HTTP_CLOSE,
		"marker=b", "list-type" },
	      { PAGE(MORE_V1 "<NextMarker>D</NextMarker>" ITEM("d") ITEM("C")),
		0, HTTP_CLOSE, "marker=B", "list-type" },
	      { PAGE(END_V1 ITEM("A")), 0, HTTP_CLOSE, "marker=D",
		"list-type" });
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(page(&token, &seen), 0);
	CU_ASSERT_STRING_EQUAL(seen.keys, "a;b;B;c;C;d;A;");
	CU_ASSERT_PTR_NULL(token);
	stop(4);
}

TEST_MAIN("s3_pages", T(a_token_goes_on_with_the_version_that_made_it),
	  T(a_store_that_overlooks_a_token_begins_anew),
	  T(markers_follow_the_stores_own_order))
