/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature V4 against what AWS publishes: its SigV4 test suite (the
 * get-vanilla family, service "service") and the four examples of the S3 API
 * page "Authenticating Requests: Using the Authorization Header".
 */
#include <config.h>
#include <stdlib.h>
#include "s3/remote.h"
#include "tests/unit.h"

static const char *const suite_secret =
	"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

static void
check(struct s3_sign *s, const char *names, const char *signature)
{
	char *auth = NULL, wanted[1024];

	CU_ASSERT_EQUAL(s3_sign(s, &auth), 0);
	snprintf(wanted, sizeof(wanted), "AWS4-HMAC-SHA256 Credential=%s/"
		 "%.8s/%s/%s/aws4_request,SignedHeaders=%s,Signature=%s",
		 s->access_key, s->date, s->region, s->service, names,
		 signature);
	CU_ASSERT_STRING_EQUAL(auth, wanted);
	if (auth != NULL && strcmp(auth, wanted) != 0)
		fprintf(stderr, "got  %s\nwant %s\n", auth, wanted);
	free(auth);
}

/* One of the suite; headers beside Host and X-Amz-Date in extra. */
static void
suite(const char *method, const char *path, const char *query,
      const struct s3_header *extra, size_t count, const char *names,
      const char *signature)
{
	struct s3_header h[8] = {
		{ (char *)"Host", (char *)"example.amazonaws.com" },
		{ (char *)"X-Amz-Date", (char *)"20150830T123600Z" },
	};
	struct s3_sign s = {
		.method = method, .path = path, .query = query, .headers = h,
		.count = 2 + count, .payload = S3_HASH_EMPTY,
		.access_key = "AKIDEXAMPLE", .secret_key = suite_secret,
		.region = "us-east-1", .service = "service",
		.date = "20150830T123600Z",
	};

	memcpy(h + 2, extra, count * sizeof(*h));
	check(&s, names, signature);
}

static void
the_get_vanilla_family_is_signed(void)
{
	static const struct s3_header none[1];
	const struct s3_header twice[] = {
		{ (char *)"My-Header1", (char *)"value2" },
		{ (char *)"My-Header1", (char *)"value2" },
		{ (char *)"My-Header1", (char *)"value1" },
	};
	const struct s3_header trim[] = {
		{ (char *)"My-Header1", (char *)" value1" },
		{ (char *)"My-Header2", (char *)" \"a   b   c\"" },
	};

	suite("GET", "/", "", none, 0, "host;x-amz-date",
	      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf"
	      "31");
	suite("POST", "/", "", none, 0, "host;x-amz-date",
	      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d"
	      "6b");
	suite("GET", "/%E1%88%B4", "", none, 0, "host;x-amz-date",
	      "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d"
	      "85");
	suite("GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
	      "pqrstuvwxyz", "", none, 0, "host;x-amz-date",
	      "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f2"
	      "4f");
	suite("GET", "/", "", twice, 3, "host;my-header1;x-amz-date",
	      "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138"
	      "ea");
	suite("GET", "/", "", trim, 2, "host;my-header1;my-header2;x-amz-date",
	      "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c7"
	      "36");
}

static void
queries_are_sorted_and_encoded(void)
{
	static const struct s3_header none[1];
	const struct s3_query order[] = {
		{ "Param2", "value2" }, { "Param1", "value1" },
	};
	const struct s3_query odd[] = {
		{ "b", "a b+c/d" }, { "a", NULL }, { "b", "\x01\xff" },
	};
	char *q = NULL;

	CU_ASSERT_EQUAL(s3_sign_query(order, 2, &q), 0);
	CU_ASSERT_STRING_EQUAL(q, "Param1=value1&Param2=value2");
	suite("GET", "/", q, none, 0, "host;x-amz-date",
	      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf25"
	      "00");
	free(q);
	CU_ASSERT_EQUAL(s3_sign_query(odd, 3, &q), 0);
	CU_ASSERT_STRING_EQUAL(q, "a=&b=%01%FF&b=a%20b%2Bc%2Fd");
	free(q);
	CU_ASSERT_EQUAL(s3_sign_query(NULL, 0, &q), 0);
	CU_ASSERT_STRING_EQUAL(q, "");
	free(q);
}

/* One of the S3 pages' examples. */
static void
example(const char *method, const char *path, const char *query,
	const struct s3_header *extra, size_t count, const char *payload,
	const char *names, const char *signature)
{
	struct s3_header h[8] = {
		{ (char *)"Host", (char *)"examplebucket.s3.amazonaws.com" },
		{ (char *)"x-amz-content-sha256", (char *)payload },
		{ (char *)"x-amz-date", (char *)"20130524T000000Z" },
	};
	struct s3_sign s = {
		.method = method, .path = path, .query = query, .headers = h,
		.count = 3 + count, .payload = payload,
		.access_key = "AKIAIOSFODNN7EXAMPLE",
		.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		.region = "us-east-1", .service = "s3",
		.date = "20130524T000000Z",
	};

	memcpy(h + 3, extra, count * sizeof(*h));
	check(&s, names, signature);
}

static void
the_examples_of_the_s3_pages_are_signed(void)
{
	static const struct s3_header none[1];
	const struct s3_header range[] = {
		{ (char *)"Range", (char *)"bytes=0-9" },
	};
	const struct s3_header put[] = {
		{ (char *)"Date", (char *)"Fri, 24 May 2013 00:00:00 GMT" },
		{ (char *)"x-amz-storage-class",
		  (char *)"REDUCED_REDUNDANCY" },
	};

	example("GET", "/test.txt", "", range, 1, S3_HASH_EMPTY,
		"host;range;x-amz-content-sha256;x-amz-date",
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bd"
		"b41");
	example("PUT", "/test%24file.text", "", put, 2,
		"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b"
		"072",
		"date;host;x-amz-content-sha256;x-amz-date;"
		"x-amz-storage-class",
		"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece10"
		"8bd");
	example("GET", "/", "lifecycle=", none, 0, S3_HASH_EMPTY,
		"host;x-amz-content-sha256;x-amz-date",
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783"
		"543");
	example("GET", "/", "max-keys=2&prefix=J", none, 0, S3_HASH_EMPTY,
		"host;x-amz-content-sha256;x-amz-date",
		"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc"
		"6f7");
}

static void
keys_of_every_byte_are_encoded(void)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
				    "qrstuvwxyz0123456789-._~/";

	for (int c = 1; c < 256; c++) {
		char key[2] = { (char)c, '\0' }, wanted[4];
		struct s3_buf b = {0};

		if (strchr(plain, c) != NULL)
			snprintf(wanted, sizeof(wanted), "%c", c);
		else
			snprintf(wanted, sizeof(wanted), "%%%02X", c);
		s3_buf_uri(&b, key, true);
		CU_ASSERT_STRING_EQUAL(b.data, wanted);
		s3_buf_fini(&b);
	}
}

static ssize_t
read_text(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

static ssize_t
read_broken(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg;
	(void)off;
	(void)buf;
	(void)len;
	return -5;
}

static void
bodies_are_hashed(void)
{
	struct s3_source s = { .len = 3, .read = read_text,
			       .arg = (void *)"abc" };
	char hex[S3_HASH_HEX];

	CU_ASSERT_EQUAL(s3_hash_source(&s, hex), 0);
	CU_ASSERT_STRING_EQUAL(hex, "ba7816bf8f01cfea414140de5dae2223b00361a3"
			       "96177a9cb410ff61f20015ad");
	CU_ASSERT_EQUAL(s3_md5_source(&s, hex), 0);
	CU_ASSERT_STRING_EQUAL(hex, "900150983cd24fb0d6963f7d28e17f72");
	s.len = 0;
	CU_ASSERT_EQUAL(s3_hash_source(&s, hex), 0);
	CU_ASSERT_STRING_EQUAL(hex, S3_HASH_EMPTY);
	s = (struct s3_source){ .len = 3, .read = read_broken };
	CU_ASSERT_EQUAL(s3_hash_source(&s, hex), -5);
}

static void
dates_are_read_and_nonsense_is_not(void)
{
	char date[17];

	CU_ASSERT_EQUAL(s3_date_http("Fri, 24 May 2013 00:00:00 GMT"),
			1369353600);
	CU_ASSERT_EQUAL(s3_date_iso("2013-05-24T00:00:01.000Z"), 1369353601);
	CU_ASSERT_EQUAL(s3_date_http("yesterday"), -1);
	CU_ASSERT_EQUAL(s3_date_http("Fri, 24 Maj 2013 00:00:00 GMT"), -1);
	CU_ASSERT_EQUAL(s3_date_http("Fri, 24 May 2013 25:00:00 GMT"), -1);
	CU_ASSERT_EQUAL(s3_date_iso("2013-13-24T00:00:01.000Z"), -1);
	CU_ASSERT_EQUAL(s3_date_iso(""), -1);
	s3_sign_date(1369353600, date);
	CU_ASSERT_STRING_EQUAL(date, "20130524T000000Z");
}

TEST_MAIN("s3_sign", T(the_get_vanilla_family_is_signed),
	  T(queries_are_sorted_and_encoded),
	  T(the_examples_of_the_s3_pages_are_signed),
	  T(keys_of_every_byte_are_encoded), T(bodies_are_hashed),
	  T(dates_are_read_and_nonsense_is_not))
