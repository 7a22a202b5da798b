/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where requests go, by URL, endpoint and style; through a proxy; and which
 * certificates go along.
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "s3/remote.h"
#include "tests/http_fake.h"
#include "tests/unit.h"

#define ARN "arn:aws:s3:eu-west-1:123456789012:accesspoint/books"

static const struct row {
	const char *url, *endpoint;
	enum s3_style style;
	bool fips, dualstack;
	const char *expect;	/* scheme, host and path of key "a b/c" */
	const char *error;	/* or a part of it */
} rows[] = {
	{ "s3://b", NULL, S3_STYLE_AUTO, false, false,
	  "https://b.s3.eu-west-1.amazonaws.com/a%20b/c", NULL },
	{ "s3://b.c", NULL, S3_STYLE_AUTO, false, false,
	  "https://s3.eu-west-1.amazonaws.com/b.c/a%20b/c", NULL },
	{ "s3://b", NULL, S3_STYLE_PATH, true, false,
	  "https://s3-fips.eu-west-1.amazonaws.com/b/a%20b/c", NULL },
	{ "s3://b", NULL, S3_STYLE_AUTO, false, true,
	  "https://b.s3.dualstack.eu-west-1.amazonaws.com/a%20b/c", NULL },
	{ "s3://b", NULL, S3_STYLE_AUTO, true, true,
	  "https://b.s3-fips.dualstack.eu-west-1.amazonaws.com/a%20b/c", NULL },
	{ "s3://" ARN, NULL, S3_STYLE_AUTO, false, false,
	  "https://books-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"
	  "/a%20b/c", NULL },
	{ "s3://" ARN, NULL, S3_STYLE_AUTO, true, true,
	  "https://books-123456789012.s3-accesspoint-fips.dualstack.eu-west-1."
	  "amazonaws.com/a%20b/c", NULL },
	{ "s3://" ARN, "https://vpce.example", S3_STYLE_AUTO, false, false,
	  "https://books-123456789012.vpce.example/a%20b/c", NULL },
	{ "s3://b", "http://h:9000", S3_STYLE_AUTO, false, false,
	  "http://h:9000/b/a%20b/c", NULL },
	{ "s3://b", "http://h:80/", S3_STYLE_VIRTUAL, false, false,
	  "http://b.h/a%20b/c", NULL },
	{ "s3://b", "https://h/storage/v1/s3/", S3_STYLE_AUTO, false, false,
	  "https://h/storage/v1/s3/b/a%20b/c", NULL },
	{ "s3://b", "https://h:8443/x", S3_STYLE_VIRTUAL, false, false,
	  "https://b.h:8443/x/a%20b/c", NULL },
	{ "s3://b", "http://[::1]:9000", S3_STYLE_AUTO, false, false,
	  "http://[::1]:9000/b/a%20b/c", NULL },
	{ "s3://b", "https://[fd00::2]/s3", S3_STYLE_AUTO, false, false,
	  "https://[fd00::2]/s3/b/a%20b/c", NULL },
	{ "s3://b", "https://[fd00::2]:443", S3_STYLE_AUTO, false, false,
	  "https://[fd00::2]/b/a%20b/c", NULL },
	{ "s3://b", "http://[::1]:9000", S3_STYLE_VIRTUAL, false, false,
	  NULL, "an address has no hosts below it" },
	{ "s3://b", "http://127.0.0.1:1", S3_STYLE_VIRTUAL, false, false,
	  NULL, "an address has no hosts below it" },
	{ "s3://" ARN, "http://127.0.0.1:1", S3_STYLE_AUTO, false, false,
	  NULL, "an access point" },
	{ "s3://" ARN, NULL, S3_STYLE_PATH, false, false, NULL,
	  "no path style" },
	{ "s3://arn:aws:s3::123456789012:accesspoint/m.mrap", NULL,
	  S3_STYLE_AUTO, false, false, NULL, "several regions" },
	{ "s3://arn:aws:s3-object-lambda:eu-west-1:1:accesspoint/x", NULL,
	  S3_STYLE_AUTO, false, false, NULL, "s3-object-lambda" },
	{ "s3://arn:aws:s3:eu-west-1:1:bucket/x", NULL, S3_STYLE_AUTO, false,
	  false, NULL, "only a bucket" },
	{ "s3://b", "ftp://h", S3_STYLE_AUTO, false, false, NULL,
	  "begin with http" },
	{ "s3://b", "http://", S3_STYLE_AUTO, false, false, NULL, "HOST" },
	{ "s3://b", "http://u@h", S3_STYLE_AUTO, false, false, NULL, "HOST" },
	{ "s3://b", "http://h:x", S3_STYLE_AUTO, false, false, NULL, "HOST" },
	{ "s3://b", "http://[::1", S3_STYLE_AUTO, false, false, NULL, "HOST" },
	{ "s3://b", "http://[zz]:1", S3_STYLE_AUTO, false, false, NULL,
	  "HOST" },
	{ "s3://b", "http://::1", S3_STYLE_AUTO, false, false, NULL, "HOST" },
	{ "s3://b", "http://h/a?b", S3_STYLE_AUTO, false, false, NULL,
	  "its path" },
	{ "s3://b", "http://h/a/../b", S3_STYLE_AUTO, false, false, NULL,
	  "its path" },
	{ "s3://b", "http://h", S3_STYLE_AUTO, true, false, NULL,
	  "hosts of AWS" },
	{ "s3://b/p", NULL, S3_STYLE_AUTO, false, false, NULL, "no prefix" },
};

static struct s3_error err;

static const char *
wrong(const struct row *row)
{
	struct s3_config config = {
		.url = row->url, .endpoint = row->endpoint,
		.style = row->style, .fips = row->fips,
		.dualstack = row->dualstack,
	};
	struct s3_remote r = { .base.config = config };
	CLEANUP_BUF struct s3_buf text = {0};
	const char *bad = NULL;
	int result;

	memset(&err, 0, sizeof(err));
	result = s3_place_set(&r, &config, &err);
	if (result < 0) {
		s3_buf_str(&text, err.message);
		bad = row->error == NULL || result != -EINVAL ||
		      strstr(err.message, row->error) == NULL ? err.message :
								NULL;
	} else {
		s3_buf_str(&text, r.https ? "https://" : "http://");
		s3_place_host(&r, "eu-west-1", &text);
		s3_place_path(&r, "a b/c", &text);
		if (row->expect == NULL ||
		    strcmp(text.data, row->expect) != 0)
			bad = "another place";
	}
	if (bad != NULL)
		fprintf(stderr, "%s %s: %s\n", row->url, row->endpoint ?
			row->endpoint : "", text.data);
	free(r.base.bucket);
	free(r.endpoint_host);
	free(r.base_path);
	free(r.access_point);
	return bad;
}

static void
every_place_is_found_or_refused_by_name(void)
{
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_S3");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		CU_ASSERT_PTR_NULL(wrong(&rows[i]));
}

static void
partitions_have_domains_of_their_own(void)
{
	CU_ASSERT_STRING_EQUAL(s3_aws_domain("cn-north-1", false),
			       "amazonaws.com.cn");
	CU_ASSERT_STRING_EQUAL(s3_aws_domain("us-gov-west-1", false),
			       "amazonaws.com");
	CU_ASSERT_STRING_EQUAL(s3_aws_domain("us-isob-east-1", false),
			       "sc2s.sgov.gov");
	CU_ASSERT_STRING_EQUAL(s3_aws_domain("eu-west-1", true), "api.aws");
}

static int
open_at(struct s3_config config, struct s3 **out)
{
	setenv("AWS_ACCESS_KEY_ID", "A", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "a", 1);
	config.url = config.url ? config.url : "s3://b";
	config.retry_ms = 1;
	memset(&err, 0, sizeof(err));
	return s3_open(&config, out, &err);
}

static void
the_copy_of_an_access_point_names_it_whole(void)
{
	const struct s3_remote r = { .access_point = (char *)(uintptr_t)"x",
				     .base.bucket = (char *)(uintptr_t)ARN };
	CLEANUP_BUF struct s3_buf text = {0};

	s3_place_source(&r, &text);
	CU_ASSERT_STRING_EQUAL(text.data, ARN "/object/");
}

static void
https_goes_through_the_proxy_unless_no_proxy_says_so(void)
{
	static const struct http_step steps[] = {
		{ "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 0,
		  HTTP_CLOSE, "CONNECT store.invalid:443 ", NULL },
	};
	struct http_fake *proxy = http_fake_start(steps, 1);
	const struct s3_config config = {
		.endpoint = "https://store.invalid",
	};
	struct s3_object o = {0};
	struct s3 *s3 = NULL;

	setenv("HTTPS_PROXY", http_fake_url(proxy), 1);
	CU_ASSERT_EQUAL_FATAL(open_at(config, &s3), 0);
	CU_ASSERT_EQUAL(s3_head(s3, "k", &o, &err), -EAGAIN);
	CU_ASSERT_EQUAL(http_fake_seen(proxy), 1);
	setenv("NO_PROXY", "store.invalid", 1);
	CU_ASSERT_EQUAL(s3_head(s3, "k", &o, &err), -EAGAIN);
	CU_ASSERT_EQUAL(http_fake_seen(proxy), 1);
	CU_ASSERT_EQUAL(http_fake_wrong(proxy), 0);
	unsetenv("HTTPS_PROXY");
	unsetenv("NO_PROXY");
	s3_close(&s3);
	http_fake_stop(&proxy);
}

static void
a_certificate_that_cannot_be_read_is_refused_at_once(void)
{
	struct s3_config config = { .endpoint = "https://h" };
	struct s3 *s3 = NULL;

	config.client_key = "/none/key";
	CU_ASSERT_EQUAL(open_at(config, &s3), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "goes with client_cert"));
	config.client_cert = "/none/cert";
	CU_ASSERT_EQUAL(open_at(config, &s3), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "client_cert /none/cert"));
	config = (struct s3_config){ .endpoint = "https://h" };
	setenv("AWS_CA_BUNDLE", "/none/bundle", 1);
	CU_ASSERT_EQUAL(open_at(config, &s3), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "ca_file /none/bundle"));
	unsetenv("AWS_CA_BUNDLE");
	CU_ASSERT_EQUAL(open_at(config, &s3), 0);
	s3_close(&s3);
}

/* The signature covers the path that is sent. */
static void
an_endpoint_with_a_path_is_asked_below_it(void)
{
	static const struct http_step steps[] = {
		{ "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n"
		  "Last-Modified: Mon, 12 Oct 2009 17:50:30 GMT\r\n\r\n", 0,
		  HTTP_CLOSE, "HEAD /storage/v1/s3/b/k ", NULL },
	};
	struct http_fake *fake = http_fake_start(steps, 1);
	struct s3_config config = {0};
	struct s3_object o = {0};
	struct s3 *s3 = NULL;
	char url[128];

	snprintf(url, sizeof(url), "%s/storage/v1/s3", http_fake_url(fake));
	config.endpoint = url;
	CU_ASSERT_EQUAL_FATAL(open_at(config, &s3), 0);
	CU_ASSERT_EQUAL(s3_head(s3, "k", &o, &err), 0);
	CU_ASSERT_EQUAL(http_fake_wrong(fake), 0);
	s3_object_free(&o);
	s3_close(&s3);
	http_fake_stop(&fake);
}

TEST_MAIN("s3_place", T(every_place_is_found_or_refused_by_name),
	  T(partitions_have_domains_of_their_own),
	  T(the_copy_of_an_access_point_names_it_whole),
	  T(https_goes_through_the_proxy_unless_no_proxy_says_so),
	  T(a_certificate_that_cannot_be_read_is_refused_at_once),
	  T(an_endpoint_with_a_path_is_asked_below_it))
