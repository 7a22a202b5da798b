/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way to come by keys, and every way in which it can be wrong, in one
 * table: files and environment, the answers of a fake service, and the key or
 * a part of the error that comes of it.
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "s3/creds.h"
#include "tests/http_fake.h"
#include "tests/unit.h"

#define OK "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define NO "HTTP/1.1 403 No\r\nConnection: close\r\n\r\n"
#define STS_KEYS(action, key) OK "<" action "Response><" action "Result>" \
	"<Credentials><AccessKeyId>" key "</AccessKeyId><SecretAccessKey>s" \
	"</SecretAccessKey><SessionToken>t</SessionToken><Expiration>" \
	"2099-01-01T00:00:00Z</Expiration></Credentials></" action "Result></" \
	action "Response>"
#define JSON "{\"AccessKeyId\":\"J\",\"SecretAccessKey\":\"j\",\"Token\":" \
	"\"t\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"
#define ROLE "role_arn=arn:aws:iam::1:role/r\n"
#define BASE "[profile base]\naws_access_key_id=B\naws_secret_access_key=b\n"
#define SSO "[profile w]\nsso_session=corp\nsso_account_id=1\n" \
	"sso_role_name=dev\n[sso-session corp]\nsso_region=eu-west-1\n" \
	"sso_start_url=https://x/start\n"
#define RENEWABLE(until) "{\"accessToken\":\"tok\",\"expiresAt\":\"" until  \
	"\",\"refreshToken\":\"ref\",\"clientId\":\"id\","		     \
	"\"clientSecret\":\"sec\",\"registrationExpiresAt\":"	     \
	"\"2099-01-01T00:00:00Z\"}"
#define SSO_KEYS "{\"roleCredentials\":{\"accessKeyId\":\"S\","		     \
	"\"secretAccessKey\":\"s\",\"sessionToken\":\"t\","		     \
	"\"expiration\":4070908800000}}"
#define URL "@"			/* the fake's, in an environment's value */

static const struct row {
	const char *name, *config, *credentials;
	const char *sso;		/* the cached token */
	const char *env[8];		/* NAME, VALUE, ... */
	const char *expect;		/* the key, or a part of the error */
	bool fails;
	size_t steps;
	struct http_step step[3];
} rows[] = {
	{ "a role with a source profile, signed with that one's keys",
	  "[profile w]\n" ROLE "source_profile=base\nexternal_id=x y\n"
	  "role_session_name=me\nduration_seconds=900\nregion=eu-west-1\n"
	  BASE, NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL }, "R", false, 1,
	  {{ STS_KEYS("AssumeRole", "R"), 0, HTTP_CLOSE,
	     "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A"
	     "%3A1%3Arole%2Fr&RoleSessionName=me&ExternalId=x%20y&"
	     "DurationSeconds=900", NULL }}},
	{ "the request is signed for sts in the profile's region",
	  "[profile w]\n" ROLE "source_profile=base\nregion=eu-west-1\n" BASE,
	  NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL }, "R", false, 1,
	  {{ STS_KEYS("AssumeRole", "R"), 0, HTTP_CLOSE,
	     "/eu-west-1/sts/aws4_request,SignedHeaders=content-type;host;"
	     "x-amz-date,", NULL }}},
	{ "roles in a chain, the source's first",
	  "[profile w]\n" ROLE "source_profile=mid\n[profile mid]\n"
	  "role_arn=arn:aws:iam::1:role/mid\nsource_profile=base\n" BASE,
	  NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL }, "R2", false, 2,
	  {{ STS_KEYS("AssumeRole", "R1"), 0, HTTP_CLOSE, "role%2Fmid&", NULL },
	   { STS_KEYS("AssumeRole", "R2"), 0, HTTP_CLOSE,
	     "Credential=R1/", NULL }}},
	{ "a source profile in the credentials file",
	  "[profile w]\n" ROLE "source_profile=c\n",
	  "[c]\naws_access_key_id=C\naws_secret_access_key=c\n", NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL }, "R", false, 1,
	  {{ STS_KEYS("AssumeRole", "R"), 0, HTTP_CLOSE, "Credential=C/",
	     NULL }}},
	{ "a role with its own keys",
	  "[profile w]\n" ROLE "source_profile=w\naws_access_key_id=O\n"
	  "aws_secret_access_key=o\n", NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL }, "R", false, 1,
	  {{ STS_KEYS("AssumeRole", "R"), 0, HTTP_CLOSE, "Credential=O/",
	     NULL }}},
	{ "a role with the container's keys",
	  "[profile w]\n" ROLE "credential_source=EcsContainer\n", NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL,
	    "AWS_CONTAINER_CREDENTIALS_FULL_URI", URL "/c" }, "R", false, 2,
	  {{ OK JSON, 0, HTTP_CLOSE, "GET /c ", NULL },
	   { STS_KEYS("AssumeRole", "R"), 0, HTTP_CLOSE,
	     "x-amz-security-token: t\r\n", NULL }}},
	{ "STS that refuses is told with its words",
	  "[profile w]\n" ROLE "source_profile=base\n" BASE, NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL },
	  "STS AssumeRole: AccessDenied: not you", true, 1,
	  {{ NO "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not "
	     "you</Message></Error></ErrorResponse>", 0, HTTP_CLOSE, NULL,
	     NULL }}},
	{ "STS that answers with a page is told",
	  "[profile w]\n" ROLE "source_profile=base\n" BASE, NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL },
	  "STS AssumeRole: the answer has no credentials", true, 1,
	  {{ OK "<html>login</html>", 0, HTTP_CLOSE, NULL, NULL }}},
	{ "STS that is cut off is told",
	  "[profile w]\n" ROLE "source_profile=base\n" BASE, NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL },
	  "STS AssumeRole at http", true, 1,
	  {{ "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<", 0, HTTP_CLOSE,
	     NULL, NULL }}},
	{ "a profile that is named and not there is an error",
	  BASE, NULL, NULL, { "AWS_PROFILE", "w" },
	  "profile \"w\": it is neither in ", true, 0, {{0}}},
	{ "a profile that is named and has nothing is an error",
	  "[profile w]\nregion=eu-west-1\n", NULL, NULL,
	  { "AWS_PROFILE", "w", "AWS_CONTAINER_CREDENTIALS_FULL_URI", URL },
	  "profile \"w\": it has none of ", true, 0, {{0}}},
	{ "a source profile that is not there",
	  "[profile w]\n" ROLE "source_profile=x\n", NULL, NULL,
	  { "AWS_PROFILE", "w" }, "profile \"x\": it is neither", true, 0,
	  {{0}}},
	{ "a circle of source profiles",
	  "[profile w]\n" ROLE "source_profile=v\n[profile v]\n" ROLE
	  "source_profile=w\n", NULL, NULL, { "AWS_PROFILE", "w" },
	  "circle", true, 0, {{0}}},
	{ "its own source without keys",
	  "[profile w]\n" ROLE "source_profile=w\n", NULL, NULL,
	  { "AWS_PROFILE", "w" }, "its own source_profile", true, 0, {{0}}},
	{ "a role without a source",
	  "[default]\n" ROLE, NULL, NULL,
	  { "AWS_CONTAINER_CREDENTIALS_FULL_URI", URL },
	  "role_arn goes with one of", true, 0, {{0}}},
	{ "a role with two sources",
	  "[default]\n" ROLE "source_profile=base\n"
	  "credential_source=Environment\n" BASE, NULL, NULL, {0},
	  "role_arn goes with one of", true, 0, {{0}}},
	{ "a source without a role",
	  "[default]\nsource_profile=base\n" BASE, NULL, NULL, {0},
	  "go with role_arn", true, 0, {{0}}},
	{ "an unknown credential_source",
	  "[default]\n" ROLE "credential_source=Magic\n", NULL, NULL, {0},
	  "not \"Magic\"", true, 0, {{0}}},
	{ "a credential_source that has none",
	  "[default]\n" ROLE "credential_source=Environment\n", NULL, NULL,
	  {0}, "there are none", true, 0, {{0}}},
	{ "a role that wants a code",
	  "[default]\n" ROLE "source_profile=base\nmfa_serial=x\n" BASE, NULL,
	  NULL, {0}, "mfa_serial", true, 0, {{0}}},
	{ "a duration that is none",
	  "[default]\n" ROLE "source_profile=base\nduration_seconds=1h\n"
	  BASE, NULL, NULL, {0}, "duration_seconds is 900", true, 0, {{0}}},
	{ "half a pair of keys",
	  "[default]\naws_secret_access_key=x\n", NULL, NULL,
	  { "AWS_CONTAINER_CREDENTIALS_FULL_URI", URL },
	  "only one is set", true, 0, {{0}}},
	{ "half a pair in the credentials file is not filled from the other",
	  "[default]\naws_access_key_id=A\naws_secret_access_key=a\n",
	  "[default]\naws_access_key_id=B\n", NULL, {0}, "only one is set",
	  true, 0, {{0}}},
	{ "half an environment",
	  BASE, NULL, NULL, { "AWS_SECRET_ACCESS_KEY", "x" },
	  "of AWS_ACCESS_KEY_ID and", true, 0, {{0}}},
	{ "SSO with a session",
	  SSO, NULL, "{\"accessToken\":\"tok\",\"expiresAt\":"
	  "\"2099-01-01T00:00:00Z\"}",
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_SSO", URL "/" }, "S", false,
	  1, {{ OK "{\"roleCredentials\":{\"accessKeyId\":\"S\","
		"\"secretAccessKey\":\"s\",\"sessionToken\":\"t\","
		"\"expiration\":4070908800000}}", 0, HTTP_CLOSE,
		"GET /federation/credentials?role_name=dev&account_id=1 ",
		NULL }}},
	{ "SSO sends the cached token",
	  SSO, NULL, "{\"accessToken\":\"tok\",\"expiresAt\":"
	  "\"2099-01-01T00:00:00UTC\"}",
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_SSO", URL },
	  "SSO GetRoleCredentials: HTTP status 403: Session token not found",
	  true, 1, {{ NO "{\"message\":\"Session token not found\"}", 0,
		      HTTP_CLOSE, "x-amz-sso_bearer_token: tok\r\n", NULL }}},
	{ "an SSO token that has expired",
	  SSO, NULL, "{\"accessToken\":\"tok\",\"expiresAt\":"
	  "\"2001-01-01T00:00:00Z\"}", { "AWS_PROFILE", "w" },
	  "has expired: run aws sso login", true, 0, {{0}}},
	{ "an SSO token that has expired is renewed",
	  SSO, NULL, RENEWABLE("2001-01-01T00:00:00Z"),
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_SSO", URL,
	    "AWS_ENDPOINT_URL_SSO_OIDC", URL }, "S", false, 2,
	  {{ OK "{\"accessToken\":\"new\",\"expiresIn\":3600,"
	     "\"refreshToken\":\"next\"}", 0, HTTP_CLOSE,
	     "{\"grantType\":\"refresh_token\",\"clientId\":\"id\","
	     "\"clientSecret\":\"sec\",\"refreshToken\":\"ref\"}", NULL },
	   { OK SSO_KEYS, 0, HTTP_CLOSE, "x-amz-sso_bearer_token: new\r\n",
	     NULL }}},
	{ "an SSO token that cannot be renewed",
	  SSO, NULL, RENEWABLE("2001-01-01T00:00:00Z"),
	  { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_SSO_OIDC", URL },
	  "run aws sso login (SSO CreateToken: HTTP status 403", true, 1,
	  {{ NO "{\"error\":\"invalid_grant\"}", 0, HTTP_CLOSE,
	     "POST /token", NULL }}},
	{ "no SSO token", SSO, NULL, NULL, { "AWS_PROFILE", "w" },
	  "SSO token: ", true, 0, {{0}}},
	{ "an SSO token that is none", SSO, NULL, "{}",
	  { "AWS_PROFILE", "w" }, "accessToken or expiresAt", true, 0, {{0}}},
	{ "an SSO session that is not there",
	  "[profile w]\nsso_session=corp\nsso_account_id=1\n"
	  "sso_role_name=dev\n", NULL, NULL, { "AWS_PROFILE", "w" },
	  "no [sso-session corp]", true, 0, {{0}}},
	{ "half of SSO", "[profile w]\nsso_start_url=https://x\n", NULL, NULL,
	  { "AWS_PROFILE", "w" }, "SSO needs", true, 0, {{0}}},
	{ "web identity of a profile",
	  "[profile w]\n" ROLE "web_identity_token_file=@D/token\n", NULL,
	  NULL, { "AWS_PROFILE", "w", "AWS_ENDPOINT_URL_STS", URL },
	  "W", false, 1,
	  {{ STS_KEYS("AssumeRoleWithWebIdentity", "W"), 0, HTTP_CLOSE,
	     "WebIdentityToken=web.tok", NULL }}},
	{ "web identity without its file",
	  "[profile w]\n" ROLE "web_identity_token_file=@D/none\n", NULL,
	  NULL, { "AWS_PROFILE", "w" },
	  "STS AssumeRoleWithWebIdentity: /", true, 0, {{0}}},
	{ "web identity without a role",
	  BASE, NULL, NULL, { "AWS_WEB_IDENTITY_TOKEN_FILE", "/x" },
	  "AWS_ROLE_ARN is not", true, 0, {{0}}},
	{ "web identity stands before the default profile",
	  "[default]\naws_access_key_id=D\naws_secret_access_key=d\n", NULL,
	  NULL, { "AWS_WEB_IDENTITY_TOKEN_FILE", "@D/token",
		  "AWS_ROLE_ARN", "arn:aws:iam::1:role/r",
		  "AWS_ENDPOINT_URL_STS", URL }, "W", false, 1,
	  {{ STS_KEYS("AssumeRoleWithWebIdentity", "W"), 0, HTTP_CLOSE, NULL,
	     NULL }}},
	{ "a named profile stands before web identity",
	  BASE, NULL, NULL, { "AWS_WEB_IDENTITY_TOKEN_FILE", "/x",
			      "AWS_ROLE_ARN", "a", "AWS_PROFILE", "base" },
	  "B", false, 0, {{0}}},
	{ "a container at a host that only looks near",
	  NULL, NULL, NULL, { "AWS_CONTAINER_CREDENTIALS_FULL_URI",
			      "http://127.example.com/" },
	  "neither https nor of this machine", true, 0, {{0}}},
	{ "a container behind a user's name",
	  NULL, NULL, NULL, { "AWS_CONTAINER_CREDENTIALS_FULL_URI",
			      "http://127.0.0.1@example.com/" },
	  "neither https nor of this machine", true, 0, {{0}}},
	{ "a container's token of two lines",
	  NULL, NULL, NULL, { "AWS_CONTAINER_CREDENTIALS_FULL_URI", URL,
			      "AWS_CONTAINER_AUTHORIZATION_TOKEN",
			      "a\r\nHost: b" }, "more than one line", true, 0,
	  {{0}}},
	{ "a container that has none is told",
	  NULL, NULL, NULL, { "AWS_CONTAINER_CREDENTIALS_FULL_URI", URL },
	  "container credentials: HTTP status 403: no role", true, 1,
	  {{ NO "{\"message\":\"no role\"}", 0, HTTP_CLOSE, NULL, NULL }}},
	{ "a container that says what is no JSON",
	  NULL, NULL, NULL, { "AWS_CONTAINER_CREDENTIALS_FULL_URI", URL },
	  "container credentials: no JSON object", true, 1,
	  {{ OK "hello", 0, HTTP_CLOSE, NULL, NULL }}},
	{ "an instance without a role",
	  NULL, NULL, NULL, { "AWS_EC2_METADATA_DISABLED", "",
			      "AWS_EC2_METADATA_SERVICE_ENDPOINT", URL },
	  "the instance has no role", true, 2,
	  {{ OK "TOKEN", 0, HTTP_CLOSE, "PUT /latest/api/token ", NULL },
	   { "HTTP/1.1 404 No\r\nConnection: close\r\n\r\n", 0, HTTP_CLOSE,
	     NULL, NULL }}},
	{ "an instance that fails is told with its code",
	  NULL, NULL, NULL, { "AWS_EC2_METADATA_DISABLED", "",
			      "AWS_EC2_METADATA_SERVICE_ENDPOINT", URL },
	  "its Code is AssumeRoleUnauthorizedAccess", true, 3,
	  {{ OK "TOKEN", 0, HTTP_CLOSE, NULL, NULL },
	   { OK "role", 0, HTTP_CLOSE, NULL, NULL },
	   { OK "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", 0, HTTP_CLOSE,
	     NULL, NULL }}},
	{ "nothing at all", NULL, NULL, NULL, {0}, "no credentials found",
	  true, 0, {{0}}},
};

static char dir[64];

static void
put_file(const char *name, const char *text)
{
	char path[160];
	const char *at;
	FILE *f;

	if (text == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while ((at = strstr(text, "@D")) != NULL) {
		fprintf(f, "%.*s%s", (int)(at - text), text, dir);
		text = at + 2;
	}
	fputs(text, f);
	fclose(f);
}

static void
set_path(const char *variable, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	setenv(variable, path, 1);
}

static void
set_env(const struct row *row, const char *url)
{
	for (size_t i = 0; i < 8 && row->env[i] != NULL; i += 2) {
		const char *value = row->env[i + 1];
		char text[256];

		if (strncmp(value, "@D", 2) == 0)
			snprintf(text, sizeof(text), "%s%s", dir, value + 2);
		else if (*value == '@')
			snprintf(text, sizeof(text), "%s%s", url, value + 1);
		else
			snprintf(text, sizeof(text), "%s", value);
		setenv(row->env[i], text, 1);
	}
}

/* SHA-1 of "corp". */
#define CACHE ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json"

static void
set_up(const struct row *row, const char *url)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME",
		"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSO",
		"AWS_ENDPOINT_URL_SSO_OIDC",
		"AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	set_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	set_path("AWS_CONFIG_FILE", "config");
	setenv("HOME", dir, 1);
	put_file("config", row->config);
	put_file("credentials", row->credentials);
	put_file("token", "web.tok\n");
	put_file(CACHE, row->sso);
	set_env(row, url);
}

static void
clear(void)
{
	char command[128];

	snprintf(command, sizeof(command), "cd %s && rm -f config credentials "
		 "token .aws/sso/cache/*", dir);
	CU_ASSERT_EQUAL(system(command), 0);
}

/* For the next one, and for nobody else. */
static bool
is_cached(const char *text)
{
	char path[128], is[1024] = "";
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "%s/" CACHE, dir);
	f = fopen(path, "r");
	if (f == NULL || stat(path, &st) < 0)
		return false;
	is[fread(is, 1, sizeof(is) - 1, f)] = '\0';
	fclose(f);
	return strstr(is, text) != NULL && (st.st_mode & 0777) == 0600;
}

/* What is wrong with it, for the one who reads the log; NULL: nothing. */
static const char *
play(const struct row *row, const char **detail)
{
	static struct s3_error err;
	const struct s3_config config = {0};
	struct http_fake *fake = http_fake_start(row->step, row->steps);
	struct s3_creds *c = NULL;
	struct s3_keys k = {0};
	const char *bad = NULL;
	int r;

	memset(&err, 0, sizeof(err));
	set_up(row, http_fake_url(fake));
	r = s3_creds_open(&config, &c, &err);
	*detail = err.message;
	if (row->fails && (r != -EINVAL ||
			   strstr(err.message, row->expect) == NULL))
		bad = "the error is another";
	else if (!row->fails && (r < 0 || s3_creds_get(c, NULL, &k, &err) < 0))
		bad = "there are no keys";
	else if (!row->fails && strcmp(k.access, row->expect) != 0)
		bad = "the keys are others";
	else if (http_fake_wrong(fake) != 0 ||
		 http_fake_seen(fake) != row->steps)
		bad = "the service was asked otherwise";
	else if (!row->fails && row->sso != NULL &&
		 strstr(row->sso, "clientId") != NULL &&
		 !is_cached("\"refreshToken\": \"next\""))
		bad = "what was renewed is not there for the next time";
	s3_keys_fini(&k);
	s3_creds_close(&c);
	http_fake_stop(&fake);
	clear();
	return bad;
}

static void
every_source_gives_its_keys_or_says_why_not(void)
{
	char command[128];

	snprintf(dir, sizeof(dir), "/tmp/s3-source.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(command, sizeof(command), "mkdir -p %s/.aws/sso/cache", dir);
	CU_ASSERT_EQUAL_FATAL(system(command), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *detail, *bad = play(&rows[i], &detail);

		if (bad != NULL)
			fprintf(stderr, "%s: %s: %s\n", rows[i].name, bad,
				detail);
		CU_ASSERT_PTR_NULL(bad);
	}
	snprintf(command, sizeof(command), "rm -r %s", dir);
	CU_ASSERT_EQUAL(system(command), 0);
}

/* A server that says nothing costs its time, and nothing after the end. */
static bool
is_asked(void *arg)
{
	return http_fake_seen(arg) > 0;
}

static void
a_source_that_hangs_is_left_when_the_program_ends(void)
{
	static const struct http_step steps[] = {
		{ "", 0, HTTP_STALL, NULL, NULL },
	};
	static const struct row row = {
		.env = { "AWS_CONTAINER_CREDENTIALS_FULL_URI", URL },
	};
	struct http_fake *fake = http_fake_start(steps, 1);
	const struct s3_config config = {
		.stopped = is_asked, .log_arg = fake,
	};
	int64_t began = s3_mono_ms();
	struct s3_creds *c = NULL;
	struct s3_error err;

	snprintf(dir, sizeof(dir), "/tmp/s3-source.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	set_up(&row, http_fake_url(fake));
	CU_ASSERT_EQUAL(s3_creds_open(&config, &c, &err), -ECANCELED);
	CU_ASSERT(s3_mono_ms() - began < 30000);
	http_fake_stop(&fake);
	put_file("config", "");
	put_file("credentials", "");
	clear();
	rmdir(dir);
}

TEST_MAIN("s3_source", T(every_source_gives_its_keys_or_says_why_not),
	  T(a_source_that_hangs_is_left_when_the_program_ends))
