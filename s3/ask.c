/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys by plan: what is written down, a command, or one of the services that
 * give keys.
 *
 *	STS	AssumeRole (signed), AssumeRoleWithWebIdentity; XML
 *	SSO	GetRoleCredentials with the token of `aws sso login`; JSON
 *	container, instance (IMDSv2)	on or beside this machine; JSON
 *
 * Each step has a time, and is left when the program ends.  What goes wrong is
 * told with the step's name and the service's own words.
 */
#include <config.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/creds.h"

#define STS_MS 10000
#define SSO_MS 10000
#define SSO_EARLY_S 900
#define CONTAINER_MS 5000
#define INSTANCE_MS 2000	/* of each of three requests */

static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? v : NULL;
}

static bool
one_line(const char *s)
{
	return s == NULL || strpbrk(s, "\r\n") == NULL;
}

static struct s3_http
exchange(const struct s3_asker *a, const char *what, long timeout_ms)
{
	return (struct s3_http){
		.what = what, .timeout_ms = timeout_ms,
		.ca_file = a->ca_file, .stopped = a->stopped, .arg = a->arg,
	};
}

/* What an answer other than 200 says, by its XML or JSON. */
static int
refused(const char *what, int status, const struct s3_buf *answer,
	struct s3_error *err)
{
	struct s3_xml_error xml = {0};
	char message[256] = "";

	if (answer->len > 0 &&
	    s3_xml_error(answer->data, answer->len, &xml) == 0)
		return s3_error_set(err, -EACCES, "%s: %s: %s", what, xml.code,
				    xml.message);
	s3_json_message(answer->data, answer->len, message, sizeof(message));
	return s3_error_set(err, -EACCES, "%s: HTTP status %d%s%s", what,
			    status, message[0] != '\0' ? ": " : "", message);
}

/* Puts the step's name before what was wrong with its answer. */
static int
say(const char *what, int r, struct s3_error *err)
{
	char why[256];

	if (r == 0 || err == NULL)
		return r;
	snprintf(why, sizeof(why), "%s", err->message);
	return s3_error_set(err, r, "%s: %s", what, why);
}

/* A small file whole, without blanks at its end. */
static int
read_file(const char *what, const char *path, struct s3_buf *out,
	  struct s3_error *err)
{
	FILE *f = fopen(path, "re");
	char chunk[4096];
	size_t n;
	int r;

	if (f == NULL)
		return s3_error_set(err, -EINVAL, "%s: %s: %s", what, path,
				    strerror(errno));
	out->max = S3_ANSWER_MAX;
	while (!out->failed && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		s3_buf_add(out, chunk, n);
	r = ferror(f) ? -EIO : out->failed;
	fclose(f);
	while (out->len > 0 && strchr(" \r\n\t", out->data[out->len - 1]))
		out->data[--out->len] = '\0';
	if (r == 0 && (out->len == 0 || strlen(out->data) != out->len))
		r = -EBADMSG;
	return r < 0 ? s3_error_set(err, r == -ENOMEM ? r : -EINVAL, "%s: %s: "
				    "%s", what, path, r == -EBADMSG ? "empty, "
				    "or not a text" : strerror(-r)) : 0;
}

/* ---- STS ---- */

static int
sts_url(const struct s3_asker *a, const struct s3_plan *p, struct s3_buf *url)
{
	const char *region = p->region != NULL ? p->region : "us-east-1";

	if (env("AWS_ENDPOINT_URL_STS") != NULL)
		s3_buf_str(url, env("AWS_ENDPOINT_URL_STS"));
	else if (env("AWS_ENDPOINT_URL") != NULL)
		s3_buf_str(url, env("AWS_ENDPOINT_URL"));
	else
		s3_buf_fmt(url, "https://sts%s.%s.%s/", a->fips ? "-fips" : "",
			   region, s3_aws_domain(region, a->dualstack));
	return url->failed;
}

static void
add_field(struct s3_buf *form, const char *name, const char *value)
{
	s3_buf_fmt(form, "&%s=", name);
	s3_buf_uri(form, value, false);
}

static void
role_form(struct s3_buf *form, const char *action, const struct s3_role *role)
{
	s3_buf_fmt(form, "Action=%s&Version=2011-06-15", action);
	add_field(form, "RoleArn", role->arn);
	add_field(form, "RoleSessionName", role->session != NULL ?
		  role->session : PACKAGE_NAME);
	if (role->external_id != NULL)
		add_field(form, "ExternalId", role->external_id);
	if (role->duration_s != 0)
		s3_buf_fmt(form, "&DurationSeconds=%u", role->duration_s);
}

static int
sts(const struct s3_asker *a, const char *what, const struct s3_http *ask,
    struct s3_keys *out, struct s3_error *err)
{
	CLEANUP_BUF struct s3_buf answer = {0};
	struct s3_http http = exchange(a, what, STS_MS);
	int r;

	http.url = ask->url;
	http.form = ask->form;
	http.headers = ask->headers;
	r = s3_http(&http, &answer, err);
	if (r < 0)
		return r;
	if (r != 200)
		return refused(what, r, &answer, err);
	r = s3_xml_sts(answer.data, answer.len, out);
	if (r == 0)
		return say(what, s3_keys_check(out, err), err);
	return r == -EBADMSG ? s3_error_set(err, r, "%s: the answer has no "
					    "credentials", what) : r;
}

static int
by_web_identity(const struct s3_asker *a, const struct s3_plan *p,
		struct s3_keys *out, struct s3_error *err)
{
	static const char what[] = "STS AssumeRoleWithWebIdentity";
	CLEANUP_BUF struct s3_buf token = {0}, form = {0}, url = {0};
	int r = read_file(what, p->web_file, &token, err);

	if (r < 0)
		return r;
	role_form(&form, "AssumeRoleWithWebIdentity", &p->web);
	add_field(&form, "WebIdentityToken", token.data);
	if (sts_url(a, p, &url) < 0 || form.failed)
		return -ENOMEM;
	return sts(a, what,
		   &(struct s3_http){ .url = url.data, .form = form.data },
		   out, err);
}

/* Host and path of a URL, as curl will send them; malloced. */
static int
split_url(const char *url, char **host, char **path)
{
	CLEANUP_BUF struct s3_buf full = {0};
	CURLU *u = curl_url();
	char *h = NULL, *port = NULL, *at = NULL;
	int r = -EINVAL;

	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &h, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PATH, &at, 0) == CURLUE_OK) {
		(void)curl_url_get(u, CURLUPART_PORT, &port,
				   CURLU_NO_DEFAULT_PORT);
		s3_buf_fmt(&full, "%s%s%s", h, port ? ":" : "",
			   port ? port : "");
		*host = s3_buf_take(&full);
		*path = strdup(at);
		r = *host != NULL && *path != NULL ? 0 : -ENOMEM;
	}
	curl_free(h);
	curl_free(port);
	curl_free(at);
	curl_url_cleanup(u);
	return r;
}

static ssize_t
read_text(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

/* The headers of a signed POST of a form, as lines; freed by the caller. */
static int
sign_form(const struct s3_keys *keys, const char *region, const char *url,
	  const char *form, char *lines[5])
{
	CLEANUP_FREE char *host = NULL, *path = NULL, *auth = NULL;
	char hash[S3_HASH_HEX], date[17];
	const struct s3_source body = { .len = strlen(form), .read = read_text,
					.arg = (void *)(uintptr_t)form };
	static const char type[] = "application/x-www-form-urlencoded";
	struct s3_header h[4] = {
		{ (char *)(uintptr_t)"content-type", (char *)(uintptr_t)type },
		{ (char *)(uintptr_t)"x-amz-date", date },
		{ (char *)(uintptr_t)"host", NULL },
		{ (char *)(uintptr_t)"x-amz-security-token", keys->token },
	};
	struct s3_sign sign = {
		.method = "POST", .query = "", .headers = h,
		.count = keys->token != NULL ? 4 : 3, .payload = hash,
		.access_key = keys->access, .secret_key = keys->secret,
		.region = region, .service = "sts", .date = date,
	};
	int r = split_url(url, &host, &path);

	if (r == 0)
		r = s3_hash_source(&body, hash);
	if (r < 0)
		return r;
	s3_sign_date(s3_now_s(), date);
	h[2].value = host;
	sign.path = path;
	r = s3_sign(&sign, &auth);
	if (r == 0 && asprintf(&lines[0], "Authorization: %s", auth) < 0)
		lines[0] = NULL, r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < sign.count; i++)
		if (asprintf(&lines[i + 1], "%s: %s", h[i].name, h[i].value) <
		    0)
			lines[i + 1] = NULL, r = -ENOMEM;
	return r;
}

/* *keys become those of the role. */
static int
assume(const struct s3_asker *a, const struct s3_plan *p,
       const struct s3_role *role, struct s3_keys *keys, struct s3_error *err)
{
	static const char what[] = "STS AssumeRole";
	CLEANUP_BUF struct s3_buf form = {0}, url = {0};
	const char *region = p->region != NULL ? p->region : "us-east-1";
	char *lines[6] = {0};
	struct s3_keys fresh = {0};
	int r;

	role_form(&form, "AssumeRole", role);
	if (sts_url(a, p, &url) < 0 || form.failed)
		return -ENOMEM;
	r = sign_form(keys, region, url.data, form.data, lines);
	if (r == -EINVAL)
		s3_error_set(err, r, "%s: \"%s\" is no URL", what, url.data);
	if (r == 0)
		r = sts(a, what,
			&(struct s3_http){
				.url = url.data, .form = form.data,
				.headers = (const char *const *)lines },
			&fresh, err);
	for (size_t i = 0; i < 5; i++)
		free(lines[i]);
	if (r < 0) {
		s3_keys_fini(&fresh);
		return r;
	}
	s3_keys_fini(keys);
	*keys = fresh;
	return 0;
}

/* ---- SSO ---- */

/* ~/.aws/sso/cache/SHA1.json, as the AWS tools name it. */
static int
sso_cache(const struct s3_plan *p, struct s3_buf *path)
{
	const char *home = env("HOME");
	char hex[41];
	int r = s3_sha1_hex(p->sso.session, hex);

	s3_buf_fmt(path, "%s/.aws/sso/cache/%s.json", home ? home : "", hex);
	return r < 0 ? r : path->failed;
}

static int
sso_token(const struct s3_asker *a, const struct s3_plan *p, char **token,
	  struct s3_error *err)
{
	CLEANUP_BUF struct s3_buf path = {0}, text = {0};
	struct s3_error why = {0};
	int64_t until = 0;
	int r = sso_cache(p, &path);

	if (r == 0)
		r = read_file("SSO token", path.data, &text, err);
	if (r == 0) {
		r = s3_json_sso_token(text.data, text.len, token, &until, err);
		say(path.data, r, err);
	}
	if (r < 0 || until > s3_now_s() + SSO_EARLY_S)
		return r;
	/* As long as it is good it does without another one. */
	r = s3_sso_renew(a, p->sso.region, path.data, &text, token, &why);
	if (r < 0 && until <= s3_now_s())
		return s3_error_set(err, -EACCES, "the SSO token in %s has "
				    "expired: run aws sso login (%s)",
				    path.data, why.message);
	return 0;
}

static int
by_sso(const struct s3_asker *a, const struct s3_plan *p, struct s3_keys *out,
       struct s3_error *err)
{
	static const char what[] = "SSO GetRoleCredentials";
	CLEANUP_FREE char *token = NULL;
	CLEANUP_BUF struct s3_buf url = {0}, header = {0}, answer = {0};
	struct s3_http http = exchange(a, what, SSO_MS);
	const char *base = env("AWS_ENDPOINT_URL_SSO");
	const char *headers[2] = {0};
	int r = sso_token(a, p, &token, err);

	if (r < 0)
		return r;
	if (base != NULL)
		s3_buf_fmt(&url, "%.*s", (int)(strlen(base) - (base[strlen(
			   base) - 1] == '/')), base);
	else
		s3_buf_fmt(&url, "https://portal.sso.%s.%s", p->sso.region,
			   s3_aws_domain(p->sso.region, false));
	s3_buf_str(&url, "/federation/credentials?role_name=");
	s3_buf_uri(&url, p->sso.role, false);
	add_field(&url, "account_id", p->sso.account);
	s3_buf_fmt(&header, "x-amz-sso_bearer_token: %s", token);
	if (url.failed || header.failed)
		return -ENOMEM;
	http.url = url.data;
	headers[0] = header.data;
	http.headers = headers;
	r = s3_http(&http, &answer, err);
	if (r < 0)
		return r;
	if (r != 200)
		return refused(what, r, &answer, err);
	return say(what, s3_json_sso_keys(answer.data, answer.len, out, err),
		   err);
}

/* ---- container ---- */

static bool
is_near(const char *host)
{
	static const char *const known[] = {
		"localhost", "169.254.170.2", "169.254.170.23", "[::1]",
		"[fd00:ec2::23]",
	};
	struct in_addr in;

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcasecmp(host, known[i]) == 0)
			return true;
	return inet_pton(AF_INET, host, &in) == 1 &&
	       ntohl(in.s_addr) >> 24 == 127;
}

/* The URL may get a token: https, or a neighbour that AWS names. */
static bool
container_url_ok(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *user = NULL;
	bool ok = false;

	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_NO_USER)
		ok = strcasecmp(scheme, "https") == 0 ||
		     (strcasecmp(scheme, "http") == 0 && is_near(host));
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(u);
	return ok;
}

static int
container_auth(struct s3_buf *auth, struct s3_error *err)
{
	static const char what[] = "container token";
	const char *file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	CLEANUP_BUF struct s3_buf text = {0};
	int r = file != NULL ? read_file(what, file, &text, err) : 0;

	if (r < 0)
		return r;
	if (file != NULL)
		token = text.data;
	if (!one_line(token))
		return s3_error_set(err, -EINVAL, "%s: more than one line",
				    what);
	if (token != NULL)
		s3_buf_fmt(auth, "Authorization: %s", token);
	return auth->failed;
}

static int
by_container(const struct s3_asker *a, struct s3_keys *out,
	     struct s3_error *err)
{
	static const char what[] = "container credentials";
	const char *relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	CLEANUP_BUF struct s3_buf url = {0}, auth = {0}, answer = {0};
	struct s3_http http = exchange(a, what, CONTAINER_MS);
	const char *headers[2] = {0};
	int r;

	if (relative != NULL)
		s3_buf_fmt(&url, "http://169.254.170.2%s%s",
			   *relative == '/' ? "" : "/", relative);
	else
		s3_buf_str(&url, full != NULL ? full : "");
	if (url.failed)
		return url.failed;
	if (!container_url_ok(url.data))
		return s3_error_set(err, -EINVAL, "%s: \"%.100s\" is neither "
				    "https nor of this machine", what,
				    url.data);
	r = container_auth(&auth, err);
	if (r < 0)
		return r;
	headers[0] = auth.data;
	http.url = url.data;
	http.headers = auth.data != NULL ? headers : NULL;
	http.direct = true;
	r = s3_http(&http, &answer, err);
	if (r < 0)
		return r;
	if (r != 200)
		return refused(what, r, &answer, err);
	return say(what, s3_json_keys(answer.data, answer.len, out, err), err);
}

/* ---- instance ---- */

static void
instance_base(struct s3_buf *out)
{
	const char *base = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	size_t len;

	if (base == NULL)
		base = mode != NULL && strcasecmp(mode, "IPv6") == 0 ?
		       "http://[fd00:ec2::254]" : "http://169.254.169.254";
	len = strlen(base);
	while (len > 0 && base[len - 1] == '/')
		len--;
	s3_buf_add(out, base, len);
}

/* One of the three requests. */
static int
instance_get(const struct s3_asker *a, const char *method, const char *url,
	     const char *header, struct s3_buf *answer, struct s3_error *err)
{
	static const char what[] = "instance metadata";
	struct s3_http http = exchange(a, what, INSTANCE_MS);
	const char *const headers[] = { header, NULL };
	int r;

	http.method = method;
	http.url = url;
	http.headers = headers;
	http.direct = true;
	r = s3_http(&http, answer, err);
	if (r == 404 && method == NULL)
		return s3_error_set(err, -EACCES, "%s: the instance has no "
				    "role", what);
	if (r >= 0 && r != 200)
		return refused(what, r, answer, err);
	if (r == 200 && (answer->len == 0 ||
			 strlen(answer->data) != answer->len))
		return s3_error_set(err, -EBADMSG, "%s: an answer that is "
				    "empty or no text", what);
	return r < 0 ? r : 0;
}

/* EC2 user guide, "Use the Instance Metadata Service": version 2 only. */
static int
by_instance(const struct s3_asker *a, struct s3_keys *out,
	    struct s3_error *err)
{
	static const char path[] = "/latest/meta-data/iam/"
				   "security-credentials/";
	CLEANUP_BUF struct s3_buf base = {0}, url = {0}, header = {0};
	CLEANUP_BUF struct s3_buf token = {0}, role = {0}, answer = {0};
	int r;

	instance_base(&base);
	if (base.failed)
		return base.failed;
	s3_buf_fmt(&url, "%s/latest/api/token", base.data);
	r = url.failed ? url.failed : instance_get(a, "PUT", url.data,
		"X-aws-ec2-metadata-token-ttl-seconds: 21600", &token, err);
	if (r == 0 && !one_line(token.data))
		r = s3_error_set(err, -EBADMSG, "instance metadata: the token "
				 "has more than one line");
	if (r < 0)
		return r;
	s3_buf_fmt(&header, "X-aws-ec2-metadata-token: %s", token.data);
	s3_buf_reset(&url);
	s3_buf_fmt(&url, "%s%s", base.data, path);
	if (header.failed || url.failed)
		return -ENOMEM;
	r = instance_get(a, NULL, url.data, header.data, &role, err);
	if (r < 0)
		return r;
	role.data[strcspn(role.data, "\r\n")] = '\0';
	s3_buf_uri(&url, role.data, false);
	r = url.failed ? url.failed : instance_get(a, NULL, url.data,
					header.data, &answer, err);
	return r < 0 ? r : say("instance metadata",
			       s3_json_keys(answer.data, answer.len, out,
					    err), err);
}

/* ---- */

static int
by_process(const struct s3_asker *a, const struct s3_plan *p,
	   struct s3_keys *out, struct s3_error *err)
{
	static const char what[] = "credential_process";
	CLEANUP_BUF struct s3_buf text = { .max = S3_ANSWER_MAX };
	const struct s3_process process = {
		.command = p->command, .limit_ms = a->process_ms,
		.stopped = a->stopped, .arg = a->arg,
	};
	int r = s3_process_read(&process, &text);

	if (r == -ETIMEDOUT)
		return s3_error_set(err, r, "%s: no end in %u s", what,
				    a->process_ms / 1000);
	if (r < 0)
		return s3_error_set(err, r, "%s: %s", what, r == -EIO ?
				    "it failed, or said too much" :
				    strerror(-r));
	return say(what, s3_json_keys(text.data, text.len, out, err), err);
}

static int
by_keys(const struct s3_plan *p, struct s3_keys *out, struct s3_error *err)
{
	out->access = strdup(p->keys[0]);
	out->secret = strdup(p->keys[1]);
	out->token = p->keys[2] != NULL ? strdup(p->keys[2]) : NULL;
	if (out->access == NULL || out->secret == NULL ||
	    (p->keys[2] != NULL && out->token == NULL))
		return -ENOMEM;
	return s3_keys_check(out, err);
}

static int
first_keys(const struct s3_asker *a, const struct s3_plan *p,
	   struct s3_keys *out, struct s3_error *err)
{
	switch (p->first) {
	case S3_BY_KEYS: return by_keys(p, out, err);
	case S3_BY_PROCESS: return by_process(a, p, out, err);
	case S3_BY_SSO: return by_sso(a, p, out, err);
	case S3_BY_WEB_IDENTITY: return by_web_identity(a, p, out, err);
	case S3_BY_CONTAINER: return by_container(a, out, err);
	case S3_BY_INSTANCE: return by_instance(a, out, err);
	}
	return -EINVAL;
}

int
s3_plan_keys(const struct s3_asker *a, const struct s3_plan *p,
	     struct s3_keys *out, struct s3_error *err)
{
	struct s3_keys keys = {0};
	int r = first_keys(a, p, &keys, err);

	for (size_t i = p->role_count; r == 0 && i > 0; i--)
		r = assume(a, p, &p->roles[i - 1], &keys, err);
	if (r < 0)
		s3_keys_fini(&keys);
	else
		*out = keys;
	return r;
}
