/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where keys come from: environment and files in a temporary directory, the
 * sources that speak HTTP from a server on loopback.
 */
#include <config.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "s3/creds.h"
#include "tests/http_fake.h"
#include "tests/unit.h"

static char dir[64];
static struct s3_error err;

/* A clean environment with both files in dir, which has none yet. */
static void
begin(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME",
		"AWS_ENDPOINT_URL_STS", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_SSO",
	};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	snprintf(dir, sizeof(dir), "/tmp/s3-creds.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/credentials", dir);
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	snprintf(path, sizeof(path), "%s/config", dir);
	setenv("AWS_CONFIG_FILE", path, 1);
}

static const char *
put_file(const char *name, const char *text)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void
end(void)
{
	static const char *const names[] = { "credentials", "config", "token" };
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

/* The keys found are these; access NULL: none may be found. */
static void
expect(const char *profile, const char *access, const char *secret,
       const char *token)
{
	const struct s3_config config = { .profile = profile };
	struct s3_creds *c = NULL;
	struct s3_keys k = {0};
	int r = s3_creds_open(&config, &c, &err);

	if (access == NULL) {
		CU_ASSERT_EQUAL(r, -EINVAL);
		CU_ASSERT(err.message[0] != '\0');
		return;
	}
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_EQUAL_FATAL(s3_creds_get(c, NULL, &k, &err), 0);
	CU_ASSERT_STRING_EQUAL(k.access, access);
	CU_ASSERT_STRING_EQUAL(k.secret, secret);
	CU_ASSERT_STRING_EQUAL(k.token ? k.token : "(none)",
			       token ? token : "(none)");
	s3_keys_fini(&k);
	s3_creds_close(&c);
}

static void
the_environment_comes_first(void)
{
	begin();
	put_file("credentials", "[default]\naws_access_key_id=F\n"
		 "aws_secret_access_key=f\n");
	setenv("AWS_ACCESS_KEY_ID", "E", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	expect(NULL, "E", "e", NULL);
	setenv("AWS_SESSION_TOKEN", "t", 1);
	expect(NULL, "E", "e", "t");
	/* A profile that our own configuration names wins. */
	expect("default", "F", "f", NULL);
	/* Half of it is no reason to be somebody else. */
	unsetenv("AWS_SECRET_ACCESS_KEY");
	expect(NULL, NULL, NULL, NULL);
	end();
}

static void
profiles_are_found_in_both_files(void)
{
	begin();
	/* As the AWS tools read them: indented, with a colon, and after what
	 * some editors put first. */
	put_file("credentials",
		 "\xef\xbb\xbf[odd]\n"
		 "  aws_access_key_id = O\n"
		 "aws_secret_access_key: o\n"
		 "# a comment\n"
		 "[default]\n"
		 "aws_access_key_id = D\n"
		 "AWS_SECRET_ACCESS_KEY = d/+=  # key\n"
		 "\n"
		 "[ work ]\r\n"
		 "aws_access_key_id=W\r\n"
		 "aws_secret_access_key=w=\r\n"
		 "aws_session_token=tok\r\n"
		 "[half]\n"
		 "aws_access_key_id=H\n");
	put_file("config",
		 "[default]\nregion = eu-central-1\n"
		 "[profile work]\nregion=eu-west-1\n"
		 "s3 =\n  aws_access_key_id = nested\n"
		 "[profile \"conf\"]\n"
		 "aws_access_key_id=C\naws_secret_access_key=c\n"
		 "[half]\naws_access_key_id=X\naws_secret_access_key=x\n");
	expect(NULL, "D", "d/+=", NULL);
	expect("work", "W", "w=", "tok");
	expect("odd", "O", "o", NULL);
	expect("conf", "C", "c", NULL);
	expect("half", NULL, NULL, NULL);	/* not "[profile half]" */
	expect("nobody", NULL, NULL, NULL);
	setenv("AWS_PROFILE", "work", 1);
	expect(NULL, "W", "w=", "tok");
	end();
}

static void
the_region_is_found(void)
{
	struct s3_config config = {0};
	char *region;

	begin();
	put_file("config", "[default]\nregion = eu-central-1\n"
		 "[profile work]\nregion=eu-west-1\n");
	region = s3_creds_region(&config);
	CU_ASSERT_STRING_EQUAL(region, "eu-central-1");
	free(region);
	config.profile = "work";
	region = s3_creds_region(&config);
	CU_ASSERT_STRING_EQUAL(region, "eu-west-1");
	free(region);
	setenv("AWS_DEFAULT_REGION", "us-west-1", 1);
	region = s3_creds_region(&config);
	CU_ASSERT_STRING_EQUAL(region, "us-west-1");
	free(region);
	config.region = "own";
	region = s3_creds_region(&config);
	CU_ASSERT_STRING_EQUAL(region, "own");
	free(region);
	end();
}

static void
a_process_gives_keys_and_fails_loudly(void)
{
	begin();
	put_file("config", "[default]\ncredential_process = printf "
		 "'{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":"
		 "\"p\\\\/\",\"SessionToken\":\"t\",\"Expiration\":"
		 "\"2099-01-01T00:00:00Z\"}'\n"
		 "[profile bad]\ncredential_process = false\n"
		 "[profile odd]\ncredential_process = echo hello\n");
	expect(NULL, "P", "p/", "t");
	expect("bad", NULL, NULL, NULL);
	expect("odd", NULL, NULL, NULL);
	end();
}

/* Until the condition holds, or half a minute. */
static bool
eventually(bool (*holds)(void *arg), void *arg)
{
	int64_t until_ms = s3_mono_ms() + 30000;

	while (!holds(arg)) {
		if (s3_mono_ms() > until_ms)
			return false;
		usleep(5000);
	}
	return true;
}

static bool
second_run_began(void *arg)
{
	char path[128];

	(void)arg;
	snprintf(path, sizeof(path), "%s/token", dir);
	return access(path, F_OK) == 0;
}

/* Before they end, in three seconds, and at once. */
static bool
gives_old_keys(void)
{
	const struct s3_config config = {0};
	struct s3_creds *c = NULL;
	struct s3_keys k = {0};
	int64_t began;
	bool gives;

	begin();
	/* The second run hangs. */
	put_file("config", "[default]\ncredential_process = f=$AWS_CONFIG_FILE"
		 "; n=0; [ -e $f.1 ] && : >${f%config}token && exec sleep 1000;"
		 " : >$f.1; printf '{\"AccessKeyId\":\"P\","
		 "\"SecretAccessKey\":\"p\",\"Expiration\":\"%s\"}' "
		 "$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)\n");
	CU_ASSERT_EQUAL_FATAL(s3_creds_open(&config, &c, &err), 0);
	CU_ASSERT(eventually(second_run_began, NULL));
	began = s3_mono_ms();
	gives = s3_creds_get(c, NULL, &k, &err) == 0 &&
		strcmp(k.access, "P") == 0 && s3_mono_ms() - began < 1500;
	s3_keys_fini(&k);
	s3_creds_close(&c);	/* ends the run, too */
	unlink(put_file("config.1", ""));
	end();
	return gives;
}

/* A machine that stands still in these seconds does not do so each time. */
static void
old_keys_go_on_while_new_ones_are_asked_for(void)
{
	bool give = false;

	for (int i = 0; i < 5 && !give; i++)
		give = gives_old_keys();
	CU_ASSERT(give);
}

/* Each run gives another key, which ends in a minute. */
static void
put_counting_process(void)
{
	put_file("config", "[default]\ncredential_process = f=$AWS_CONFIG_FILE"
		 "; n=$(wc -c <${f%config}token 2>/dev/null || echo 0); printf "
		 "x >>${f%config}token; printf '{\"AccessKeyId\":\"P%d\","
		 "\"SecretAccessKey\":\"p\",\"Expiration\":\"%s\"}' $n "
		 "$(date -u -d '+60 seconds' +%Y-%m-%dT%H:%M:%SZ)\n");
}

static void
keys_that_the_store_calls_expired_are_asked_for_anew(void)
{
	const struct s3_config config = {0};
	struct s3_creds *c = NULL;
	struct s3_keys k = {0};

	begin();
	put_counting_process();
	CU_ASSERT_EQUAL_FATAL(s3_creds_open(&config, &c, &err), 0);
	CU_ASSERT_EQUAL(s3_creds_get(c, NULL, &k, &err), 0);
	CU_ASSERT_STRING_EQUAL(k.access, "P0");
	CU_ASSERT(s3_creds_expire(c, "another"));
	s3_keys_fini(&k);
	CU_ASSERT_EQUAL(s3_creds_get(c, NULL, &k, &err), 0);
	CU_ASSERT_STRING_EQUAL(k.access, "P0");
	CU_ASSERT(s3_creds_expire(c, k.access));
	s3_keys_fini(&k);
	CU_ASSERT_EQUAL(s3_creds_get(c, NULL, &k, &err), 0);
	CU_ASSERT_STRING_EQUAL(k.access, "P1");
	/* A store that says so of all keys is not believed each time. */
	CU_ASSERT_FALSE(s3_creds_expire(c, k.access));
	s3_keys_fini(&k);
	CU_ASSERT_EQUAL(s3_creds_get(c, NULL, &k, &err), 0);
	CU_ASSERT_STRING_EQUAL(k.access, "P1");
	s3_keys_fini(&k);
	s3_creds_close(&c);
	end();
}

static char seen[32];

/* The key that is given now is this one. */
static bool
gives(void *arg)
{
	struct s3_keys k = {0};

	if (s3_creds_get(arg, NULL, &k, &err) < 0)
		return false;
	if (strcmp(k.access, seen) == 0) {
		s3_keys_fini(&k);
		return true;
	}
	s3_keys_fini(&k);
	return false;
}

static bool
tells_an_error(void *arg)
{
	struct s3_identity who;
	struct s3_keys k = {0};
	bool told;

	if (s3_creds_get(arg, NULL, &k, &err) == 0)
		s3_keys_fini(&k);
	s3_creds_tell(arg, &who);
	told = who.error[0] != '\0';
	CU_ASSERT_STRING_EQUAL(k.access ? k.access : seen, seen);
	return told;
}

static void
files_are_read_again_when_they_change(void)
{
	const struct s3_config config = {0};
	struct s3_creds *c = NULL;
	struct s3_identity who;
	struct s3_keys k = {0};

	begin();
	put_file("credentials", "[default]\naws_access_key_id=A\n"
		 "aws_secret_access_key=a\n");
	CU_ASSERT_EQUAL_FATAL(s3_creds_open(&config, &c, &err), 0);
	snprintf(seen, sizeof(seen), "A");
	CU_ASSERT(gives(c));
	put_file("credentials", "[default]\naws_access_key_id=BB\n"
		 "aws_secret_access_key=b\n");
	snprintf(seen, sizeof(seen), "BB");
	CU_ASSERT(eventually(gives, c));
	/* Broken, or gone: the old ones stay, and nobody else's are taken. */
	put_file("credentials", "[default]\naws_access_key_id=CCC\n");
	setenv("AWS_ACCESS_KEY_ID", "E", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	CU_ASSERT(eventually(tells_an_error, c));
	CU_ASSERT(gives(c));
	s3_creds_tell(c, &who);
	CU_ASSERT(who.known);
	CU_ASSERT_EQUAL(who.expires_s, 0);
	CU_ASSERT_STRING_EQUAL(who.source, "profile \"default\" (keys)");
	CU_ASSERT_PTR_NOT_NULL(strstr(who.error, "aws_secret_access_key"));
	s3_keys_fini(&k);
	s3_creds_close(&c);
	end();
}

#define JSON "{\"Code\":\"Success\",\"AccessKeyId\":\"J\"," \
	"\"SecretAccessKey\":\"j\",\"Token\":\"tok\"," \
	"\"Expiration\":\"2099-01-01T00:00:00Z\"}"
#define CLOSE "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

static void
a_container_gives_keys(void)
{
	static const struct http_step steps[] = {
		{ CLOSE JSON, 0, HTTP_CLOSE, "Authorization: Bearer x\r\n",
		  NULL },
		{ "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 0,
		  HTTP_CLOSE, "GET /creds ", NULL },
	};
	struct http_fake *fake = http_fake_start(steps, 2);
	char url[128];

	begin();
	snprintf(url, sizeof(url), "%s/creds", http_fake_url(fake));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	       put_file("token", "Bearer x\n"), 1);
	expect(NULL, "J", "j", "tok");
	expect(NULL, NULL, NULL, NULL);
	/* A token goes to no foreign host without TLS. */
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://198.51.100.1/",
	       1);
	expect(NULL, NULL, NULL, NULL);
	CU_ASSERT_EQUAL(http_fake_wrong(fake), 0);
	http_fake_stop(&fake);
	end();
}

static void
an_instance_gives_keys(void)
{
	static const struct http_step steps[] = {
		{ CLOSE "TOKEN", 0, HTTP_CLOSE, "PUT /latest/api/token ",
		  NULL },
		{ CLOSE "role a\n", 0, HTTP_CLOSE,
		  "X-aws-ec2-metadata-token: TOKEN\r\n", NULL },
		{ CLOSE JSON, 0, HTTP_CLOSE,
		  "GET /latest/meta-data/iam/security-credentials/role%20a ",
		  NULL },
	};
	struct http_fake *fake = http_fake_start(steps, 3);

	begin();
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", http_fake_url(fake), 1);
	expect(NULL, "J", "j", "tok");
	CU_ASSERT_EQUAL(http_fake_wrong(fake), 0);
	CU_ASSERT_EQUAL(http_fake_seen(fake), 3);
	http_fake_stop(&fake);
	end();
}

static void
a_web_identity_is_exchanged(void)
{
	static const struct http_step steps[] = {
		{ CLOSE "<AssumeRoleWithWebIdentityResponse>"
		  "<AssumeRoleWithWebIdentityResult><Credentials>"
		  "<AccessKeyId>S</AccessKeyId><SecretAccessKey>s"
		  "</SecretAccessKey><SessionToken>t</SessionToken>"
		  "<Expiration>2099-01-01T00:00:00Z</Expiration>"
		  "</Credentials></AssumeRoleWithWebIdentityResult>"
		  "</AssumeRoleWithWebIdentityResponse>", 0, HTTP_CLOSE,
		  "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName="
		  "s3nfsd&WebIdentityToken=tok.en", NULL },
		{ CLOSE "<Error/>", 0, HTTP_CLOSE, NULL, NULL },
	};
	struct http_fake *fake = http_fake_start(steps, 2);

	begin();
	setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", put_file("token", "tok.en\n"),
	       1);
	setenv("AWS_ENDPOINT_URL_STS", http_fake_url(fake), 1);
	expect(NULL, "S", "s", "t");
	expect(NULL, NULL, NULL, NULL);
	CU_ASSERT_EQUAL(http_fake_wrong(fake), 0);
	http_fake_stop(&fake);
	end();
}

static void
json_is_read_and_nonsense_is_not(void)
{
	static const char good[] = " { \"a\" : [1,{\"b\":\"]\"}],"
		"\"AccessKeyId\" : \"k\\u0041\", \"SecretAccessKey\":\"s\","
		"\"Expiration\":\"2020-01-01T02:00:00+02:00\"} ";
	static const char *const bad[] = {
		"", "{", "[]", "null", "{\"AccessKeyId\"",
		"{\"AccessKeyId\":\"k\"}", "{\"AccessKeyId\":1,"
		"\"SecretAccessKey\":\"s\"}",
		"{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"s\"}",
		"{\"AccessKeyId\":\"k\\n\",\"SecretAccessKey\":\"s\"}",
		"{\"AccessKeyId\":\"k\",\"SecretAccessKey\":\"s\","
		"\"Token\":\"t\\r\\nHost: other\"}",
		"{\"AccessKeyId\":\"k\",\"SecretAccessKey\":\"s\","
		"\"Expiration\":\"soon\"}",
		"{\"Version\":2,\"AccessKeyId\":\"k\","
		"\"SecretAccessKey\":\"s\"}",
		"{\"Code\":\"Failed\",\"AccessKeyId\":\"k\","
		"\"SecretAccessKey\":\"s\"}",
	};
	struct s3_keys k = {0};

	CU_ASSERT_EQUAL_FATAL(s3_json_keys(good, strlen(good), &k, &err), 0);
	CU_ASSERT_STRING_EQUAL(k.access, "kA");
	CU_ASSERT_EQUAL(k.expires_s, 1577836800);
	s3_keys_fini(&k);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		err.message[0] = '\0';
		CU_ASSERT_EQUAL(s3_json_keys(bad[i], strlen(bad[i]), &k, &err),
				-EBADMSG);
		CU_ASSERT(err.message[0] != '\0');
		CU_ASSERT_PTR_NULL(k.access);
	}
}

/* Once the command runs, nobody wants what it says. */
static bool
runs(void *arg)
{
	char path[128];

	(void)arg;
	snprintf(path, sizeof(path), "%s/config.pid", dir);
	return access(path, F_OK) == 0;
}

/* Has the command, which wrote its number to a file, ended? */
static bool
has_ended(void)
{
	char path[128];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/config.pid", dir);
	f = fopen(path, "r");
	if (f == NULL)
		return true;	/* before it could write that */
	if (fscanf(f, "%d", &pid) != 1)
		pid = 0;
	fclose(f);
	unlink(path);
	return pid == 0 || (kill(pid, 0) < 0 && errno == ESRCH);
}

static void
a_process_that_hangs_is_ended(void)
{
	struct s3_config limited = { .process_ms = 300 };
	struct s3_config stopped = {
		.process_ms = 60000, .stopped = runs,
	};
	int64_t began = s3_mono_ms();
	struct s3_creds *c = NULL;

	begin();
	put_file("config", "[default]\ncredential_process = echo $$ "
		 ">$AWS_CONFIG_FILE.pid; exec sleep 1000\n");
	CU_ASSERT_EQUAL(s3_creds_open(&limited, &c, &err), -EINVAL);
	CU_ASSERT(has_ended());
	/* Also one that has closed its output. */
	put_file("config", "[default]\ncredential_process = echo $$ "
		 ">$AWS_CONFIG_FILE.pid; exec sleep 1000 >&-\n");
	CU_ASSERT_EQUAL(s3_creds_open(&limited, &c, &err), -EINVAL);
	CU_ASSERT(has_ended());
	CU_ASSERT_EQUAL(s3_creds_open(&stopped, &c, &err), -ECANCELED);
	CU_ASSERT(has_ended());
	CU_ASSERT(s3_mono_ms() - began < 30000);
	end();
}

static void
opening_waits_for_no_source(void)
{
	struct s3_config config = { .ask_later = true };
	struct s3_creds *c = NULL;
	struct s3_keys k = {0};

	begin();
	put_file("config", "[default]\ncredential_process = false\n");
	CU_ASSERT_EQUAL_FATAL(s3_creds_open(&config, &c, &err), 0);
	CU_ASSERT_EQUAL(s3_creds_get(c, NULL, &k, &err), -EKEYREJECTED);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message,
				      "(credential_process): "));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "it failed"));
	s3_creds_close(&c);
	put_file("config", "[default]\ncredential_process = printf "
		 "'{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}'\n");
	CU_ASSERT_EQUAL_FATAL(s3_creds_open(&config, &c, &err), 0);
	CU_ASSERT_EQUAL(s3_creds_get(c, NULL, &k, &err), 0);
	CU_ASSERT_STRING_EQUAL(k.access, "a");
	s3_keys_fini(&k);
	s3_creds_close(&c);
	end();
}

/* ... however long the source takes: who asks for a file is told that the store
 * is away, and nobody's thread is kept. */
static void
a_source_that_hangs_holds_no_request(void)
{
	const struct s3_config config = {
		.url = "s3://bucket", .endpoint = "http://127.0.0.1:9",
		.retry_ms = 60000, .ask_later = true,
	};
	const struct s3_watch watch = { .wait_ms = 300, .refuse = true };
	struct s3_object o = {0};
	struct s3 *s3 = NULL;
	int64_t began;

	begin();
	put_file("config", "[default]\ncredential_process = echo $$ "
		 ">$AWS_CONFIG_FILE.pid; exec sleep 1000\n");
	CU_ASSERT_EQUAL_FATAL(s3_open(&config, &s3, &err), 0);
	CU_ASSERT_EQUAL(s3_watch(s3, &watch), 0);
	began = s3_mono_ms();
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -EKEYREJECTED);
	CU_ASSERT(s3_mono_ms() - began < 20000);
	/* The next one at once. */
	CU_ASSERT_EQUAL(s3_head(s3, "key", &o, &err), -EAGAIN);
	s3_close(&s3);
	CU_ASSERT(has_ended());
	end();
}

TEST_MAIN("s3_creds", T(the_environment_comes_first),
	  T(profiles_are_found_in_both_files), T(the_region_is_found),
	  T(a_process_gives_keys_and_fails_loudly),
	  T(a_process_that_hangs_is_ended),
	  T(a_source_that_hangs_holds_no_request), T(opening_waits_for_no_source),
	  T(old_keys_go_on_while_new_ones_are_asked_for),
	  T(keys_that_the_store_calls_expired_are_asked_for_anew),
	  T(files_are_read_again_when_they_change), T(a_container_gives_keys),
	  T(an_instance_gives_keys), T(a_web_identity_is_exchanged),
	  T(json_is_read_and_nonsense_is_not))
