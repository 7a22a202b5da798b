/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the keys come from.  Looked for in the order of the AWS tools:
 *
 *	environment ─▶ web identity ─▶ credentials file ─▶ config file
 *	  ─▶ credential_process ─▶ container endpoint ─▶ instance (IMDSv2)
 *
 * The first source that has keys stays the source; keys with an end are
 * asked for anew REFRESH_S before it, by one caller while the others go on
 * with the old ones.  If the source fails then, the old ones serve until
 * they really end.  s3_config.ask_later leaves all but the quick sources to the
 * first request, so that opening waits for nobody.  Sources that need HTTP get short time-outs of their own,
 * no proxy and no redirects, and never see a key of ours; a command has a
 * minute.  All of them are left when the program ends (s3_creds_cancel).
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define REFRESH_S 300
#define RETRY_S 10		/* after a failed refresh with keys left */
#define ANSWER_MAX (256U << 10)
#define PROCESS_MS 60000

enum source {
	FROM_NOWHERE, FROM_ENV, FROM_WEB_IDENTITY, FROM_FILES, FROM_PROCESS,
	FROM_CONTAINER, FROM_INSTANCE,
};

struct s3_creds {
	/* set once */
	enum source source;
	char *profile;
	char *credentials_file;
	char *config_file;
	char *region;		/* for STS */
	unsigned process_ms;
	bool ask_later;
	bool (*stopped)(void *arg);
	void *stopped_arg;
	atomic_bool cancelled;
	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t refreshed;
	struct s3_keys keys;
	int64_t look_s;		/* no refresh before */
	bool refreshing;
	bool expired;		/* the store said so, or not asked yet */
	int error;		/* of the last time it was asked */
};

void
s3_keys_fini(struct s3_keys *k)
{
	if (k->secret != NULL)
		explicit_bzero(k->secret, strlen(k->secret));
	free(k->access);
	free(k->secret);
	free(k->token);
	*k = (struct s3_keys){0};
}

static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? v : NULL;
}

/* Nobody wants the keys any more. */
static bool
is_over(void *arg)
{
	struct s3_creds *c = arg;

	return atomic_load(&c->cancelled) ||
	       (c->stopped != NULL && c->stopped(c->stopped_arg));
}

void
s3_creds_cancel(struct s3_creds *c)
{
	atomic_store(&c->cancelled, true);
}

static char *
copy(const char *s)
{
	return s != NULL ? strdup(s) : NULL;
}

static char *
aws_file(const char *variable, const char *name)
{
	CLEANUP_BUF struct s3_buf path = {0};
	const char *home = env("HOME");

	if (env(variable) != NULL)
		return strdup(env(variable));
	s3_buf_fmt(&path, "%s/.aws/%s", home ? home : "", name);
	return s3_buf_take(&path);
}

static int
from_env(struct s3_keys *out)
{
	if (env("AWS_ACCESS_KEY_ID") == NULL ||
	    env("AWS_SECRET_ACCESS_KEY") == NULL)
		return -ENOENT;
	out->access = copy(env("AWS_ACCESS_KEY_ID"));
	out->secret = copy(env("AWS_SECRET_ACCESS_KEY"));
	out->token = copy(env("AWS_SESSION_TOKEN"));
	if (out->access == NULL || out->secret == NULL)
		return -ENOMEM;
	return 0;
}

static int
from_file(const struct s3_creds *c, const char *file, bool is_config,
	  struct s3_keys *out)
{
	out->access = s3_profile_get(file, c->profile, is_config,
				     "aws_access_key_id");
	out->secret = s3_profile_get(file, c->profile, is_config,
				     "aws_secret_access_key");
	out->token = s3_profile_get(file, c->profile, is_config,
				    "aws_session_token");
	return out->access != NULL && out->secret != NULL ? 0 : -ENOENT;
}

static int
from_files(const struct s3_creds *c, struct s3_keys *out)
{
	if (from_file(c, c->credentials_file, false, out) == 0)
		return 0;
	s3_keys_fini(out);
	return from_file(c, c->config_file, true, out);
}

/* Keys in JSON; the session token has two names in use. */
static int
from_json(const char *text, size_t len, struct s3_keys *out)
{
	CLEANUP_FREE char *until = s3_json_string(text, len, "Expiration");

	out->access = s3_json_string(text, len, "AccessKeyId");
	out->secret = s3_json_string(text, len, "SecretAccessKey");
	out->token = s3_json_string(text, len, "SessionToken");
	if (out->token == NULL)
		out->token = s3_json_string(text, len, "Token");
	if (until != NULL)
		out->expires_s = s3_date_iso(until);
	if (out->access == NULL || out->secret == NULL || out->expires_s < 0)
		return -EBADMSG;
	return 0;
}

static char *
process_command(const struct s3_creds *c)
{
	char *command = s3_profile_get(c->config_file, c->profile, true,
				       "credential_process");

	return command != NULL ? command :
	       s3_profile_get(c->credentials_file, c->profile, false,
			      "credential_process");
}

static int
from_process(struct s3_creds *c, struct s3_keys *out)
{
	CLEANUP_BUF struct s3_buf text = { .max = ANSWER_MAX };
	CLEANUP_FREE char *command = process_command(c);
	struct s3_process process = {
		.limit_ms = c->process_ms, .stopped = is_over, .arg = c,
	};
	int r;

	if (command == NULL)
		return -ENOENT;
	process.command = command;
	r = s3_process_read(&process, &text);
	return r < 0 ? r : from_json(text.data, text.len, out);
}

/* For libcurl: about once a second, and when bytes move. */
static int
on_progress(void *arg, curl_off_t down, curl_off_t downed, curl_off_t up,
	    curl_off_t upped)
{
	(void)down;
	(void)downed;
	(void)up;
	(void)upped;
	return is_over(arg);
}

struct http {
	const char *method;	/* NULL: GET */
	const char *url;
	const char *header;	/* "Name: value" or NULL */
	const char *form;	/* a POST's body or NULL */
	long timeout_ms;
	const char *ca_file;
};

static size_t
on_answer(char *data, size_t size, size_t count, void *arg)
{
	struct s3_buf *b = arg;

	s3_buf_add(b, data, size * count);
	return b->failed ? 0 : size * count;
}

/* 0 for a 200, -EIO for anything else. */
static int
http_get(struct s3_creds *c, const struct http *h, struct s3_buf *answer)
{
	CURL *e = curl_easy_init();
	struct curl_slist *headers = NULL;
	long status = 0;
	CURLcode code;

	if (e == NULL)
		return -ENOMEM;
	answer->max = ANSWER_MAX;
	if (h->header != NULL)
		headers = curl_slist_append(NULL, h->header);
	curl_easy_setopt(e, CURLOPT_URL, h->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(e, CURLOPT_XFERINFODATA, c);
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, h->timeout_ms);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, h->timeout_ms);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, answer);
	if (h->form != NULL)
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, h->form);
	if (h->method != NULL)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, h->method);
	if (headers != NULL)
		curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(e);
	curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(e);
	curl_slist_free_all(headers);
	return code == CURLE_OK && status == 200 ? 0 : -EIO;
}

static int
read_small_file(const char *path, struct s3_buf *out)
{
	FILE *f = fopen(path, "re");
	char chunk[4096];
	size_t n;

	if (f == NULL)
		return -errno;
	out->max = ANSWER_MAX;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		s3_buf_add(out, chunk, n);
	fclose(f);
	while (out->len > 0 && strchr(" \r\n\t", out->data[out->len - 1]))
		out->data[--out->len] = '\0';
	return out->failed ? out->failed : out->len ? 0 : -ENOENT;
}

/* Value of an environment variable, else of the profile. */
static char *
env_or_profile(const struct s3_creds *c, const char *variable,
	       const char *key)
{
	if (env(variable) != NULL)
		return strdup(env(variable));
	return s3_profile_get(c->config_file, c->profile, true, key);
}

/* STS API, AssumeRoleWithWebIdentity: an unsigned POST. */
static int
from_web_identity(struct s3_creds *c, struct s3_keys *out)
{
	CLEANUP_FREE char *file = env_or_profile(c,
		"AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file");
	CLEANUP_FREE char *role = env_or_profile(c, "AWS_ROLE_ARN",
						 "role_arn");
	CLEANUP_FREE char *session = env_or_profile(c,
		"AWS_ROLE_SESSION_NAME", "role_session_name");
	CLEANUP_BUF struct s3_buf token = {0}, form = {0}, url = {0};
	CLEANUP_BUF struct s3_buf answer = {0};
	struct http http = { .timeout_ms = 5000 };
	int r;

	if (file == NULL || role == NULL)
		return -ENOENT;
	r = read_small_file(file, &token);
	if (r < 0)
		return r;
	s3_buf_str(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
		   "&RoleArn=");
	s3_buf_uri(&form, role, false);
	s3_buf_str(&form, "&RoleSessionName=");
	s3_buf_uri(&form, session ? session : PACKAGE_NAME, false);
	s3_buf_str(&form, "&WebIdentityToken=");
	s3_buf_uri(&form, token.data, false);
	if (env("AWS_ENDPOINT_URL_STS") != NULL)
		s3_buf_str(&url, env("AWS_ENDPOINT_URL_STS"));
	else
		s3_buf_fmt(&url, "https://sts.%s.amazonaws.com%s/",
			   c->region ? c->region : "us-east-1", c->region &&
			   strncmp(c->region, "cn-", 3) == 0 ? ".cn" : "");
	if (form.failed || url.failed)
		return -ENOMEM;
	http.url = url.data;
	http.form = form.data;
	r = http_get(c, &http, &answer);
	return r < 0 ? r : s3_xml_sts(answer.data, answer.len, out);
}

/* The full URI may carry a token and must be loopback or HTTPS. */
static bool
container_host_ok(const char *url)
{
	static const char *const hosts[] = {
		"http://127.", "http://localhost:", "http://localhost/",
		"http://[::1]", "http://169.254.170.2/",
		"http://169.254.170.23/", "http://[fd00:ec2::23]/",
	};

	if (strncmp(url, "https://", 8) == 0)
		return true;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++)
		if (strncmp(url, hosts[i], strlen(hosts[i])) == 0)
			return strchr(url, '@') == NULL;
	return false;
}

static int
from_container(struct s3_creds *c, struct s3_keys *out)
{
	const char *relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *token_file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	CLEANUP_BUF struct s3_buf url = {0}, auth = {0}, file = {0};
	CLEANUP_BUF struct s3_buf answer = {0};
	struct http http = { .timeout_ms = 2000 };
	int r = 0;

	if (relative != NULL)
		s3_buf_fmt(&url, "http://169.254.170.2%s", relative);
	else if (full != NULL && container_host_ok(full))
		s3_buf_str(&url, full);
	else
		return -ENOENT;
	if (token_file != NULL) {
		r = read_small_file(token_file, &file);
		token = file.data;
	}
	if (r == 0 && token != NULL)
		s3_buf_fmt(&auth, "Authorization: %s", token);
	if (r < 0 || url.failed || auth.failed)
		return r < 0 ? r : -ENOMEM;
	http.url = url.data;
	http.header = auth.data;
	r = http_get(c, &http, &answer);
	return r < 0 ? r : from_json(answer.data, answer.len, out);
}

/* EC2 user guide, "Use the Instance Metadata Service": version 2 only. */
static int
from_instance(struct s3_creds *c, struct s3_keys *out)
{
	static const char path[] = "/latest/meta-data/iam/"
				   "security-credentials/";
	const char *base = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *off = env("AWS_EC2_METADATA_DISABLED");
	CLEANUP_BUF struct s3_buf url = {0}, header = {0}, token = {0};
	CLEANUP_BUF struct s3_buf role = {0}, answer = {0};
	struct http http = { .timeout_ms = 1000 };
	size_t len;
	int r;

	if (off != NULL && strcasecmp(off, "true") == 0)
		return -ENOENT;
	if (base == NULL)
		base = "http://169.254.169.254";
	len = strlen(base);
	while (len > 0 && base[len - 1] == '/')
		len--;
	s3_buf_fmt(&url, "%.*s/latest/api/token", (int)len, base);
	http.method = "PUT";
	http.url = url.data;
	http.header = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
	r = http_get(c, &http, &token);
	if (r < 0 || token.len == 0 || strpbrk(token.data, "\r\n") != NULL)
		return -ENOENT;
	s3_buf_fmt(&header, "X-aws-ec2-metadata-token: %s", token.data);
	s3_buf_reset(&url);
	s3_buf_fmt(&url, "%.*s%s", (int)len, base, path);
	http = (struct http){ .url = url.data, .header = header.data,
			      .timeout_ms = 1000 };
	r = http_get(c, &http, &role);
	if (r < 0 || role.len == 0)
		return -ENOENT;
	role.data[strcspn(role.data, "\r\n")] = '\0';
	s3_buf_uri(&url, role.data, false);
	http.url = url.data;
	r = url.failed ? -ENOMEM : http_get(c, &http, &answer);
	return r < 0 ? r : from_json(answer.data, answer.len, out);
}

static int
ask(struct s3_creds *c, enum source source, struct s3_keys *out)
{
	int r = -ENOENT;

	switch (source) {
	case FROM_ENV: r = from_env(out); break;
	case FROM_WEB_IDENTITY: r = from_web_identity(c, out); break;
	case FROM_FILES: r = from_files(c, out); break;
	case FROM_PROCESS: r = from_process(c, out); break;
	case FROM_CONTAINER: r = from_container(c, out); break;
	case FROM_INSTANCE: r = from_instance(c, out); break;
	case FROM_NOWHERE: break;
	}
	if (r < 0)
		s3_keys_fini(out);
	return r;
}

static const char *const source_names[] = {
	"nowhere", "the environment", "the web identity", "the shared files",
	"credential_process", "the container endpoint",
	"the instance metadata",
};

/* Is it a source that is there, and that one must wait for? */
static bool
is_slow(struct s3_creds *c, enum source source)
{
	CLEANUP_FREE char *a = NULL, *b = NULL;
	const char *off = env("AWS_EC2_METADATA_DISABLED");

	switch (source) {
	case FROM_WEB_IDENTITY:
		a = env_or_profile(c, "AWS_WEB_IDENTITY_TOKEN_FILE",
				   "web_identity_token_file");
		b = env_or_profile(c, "AWS_ROLE_ARN", "role_arn");
		return a != NULL && b != NULL;
	case FROM_PROCESS:
		a = process_command(c);
		return a != NULL;
	case FROM_CONTAINER:
		return env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL ||
		       env("AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL;
	case FROM_INSTANCE:
		return off == NULL || strcasecmp(off, "true") != 0;
	default:
		return false;
	}
}

/* The first source that has keys.  A source that is named but broken ends
 * the search: falling through to other keys would surprise. */
static int
find(struct s3_creds *c, bool named_profile, struct s3_error *err)
{
	for (int s = FROM_ENV; s <= FROM_INSTANCE; s++) {
		int r;

		/* --profile on our side wins over keys in the environment. */
		if (named_profile && s == FROM_ENV)
			continue;
		if (c->ask_later && is_slow(c, (enum source)s)) {
			c->source = (enum source)s;
			c->expired = true;
			return 0;
		}
		r = ask(c, (enum source)s, &c->keys);
		if (r == 0) {
			c->source = (enum source)s;
			return 0;
		}
		if (r == -ECANCELED || is_over(c))
			return s3_error_set(err, -ECANCELED, "cancelled");
		if (r != -ENOENT)
			return s3_error_set(err, -EINVAL, "credentials from "
					    "%s: %s", source_names[s],
					    strerror(-r));
	}
	return s3_error_set(err, -EINVAL, "no credentials found (profile "
			    "\"%s\"): set AWS_ACCESS_KEY_ID and "
			    "AWS_SECRET_ACCESS_KEY or fill %s", c->profile,
			    c->credentials_file);
}

int
s3_creds_open(const struct s3_config *config, struct s3_creds **out,
	      struct s3_error *err)
{
	struct s3_creds *c = calloc(1, sizeof(*c));
	const char *profile = config->profile;
	int r;

	if (c == NULL)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->refreshed, NULL);
	if (profile == NULL)
		profile = env("AWS_PROFILE");
	if (profile == NULL)
		profile = env("AWS_DEFAULT_PROFILE");
	c->profile = strdup(profile ? profile : "default");
	c->credentials_file = aws_file("AWS_SHARED_CREDENTIALS_FILE",
				       "credentials");
	c->config_file = aws_file("AWS_CONFIG_FILE", "config");
	c->region = s3_creds_region(config);
	c->process_ms = config->process_ms ? config->process_ms : PROCESS_MS;
	c->ask_later = config->ask_later;
	c->stopped = config->stopped;
	c->stopped_arg = config->log_arg;
	if (c->profile == NULL || c->credentials_file == NULL ||
	    c->config_file == NULL)
		r = -ENOMEM;
	else
		r = find(c, config->profile != NULL, err);
	if (r < 0) {
		s3_creds_close(&c);
		return r;
	}
	*out = c;
	return 0;
}

void
s3_creds_close(struct s3_creds **creds)
{
	struct s3_creds *c = *creds;

	if (c == NULL)
		return;
	*creds = NULL;
	s3_keys_fini(&c->keys);
	free(c->profile);
	free(c->credentials_file);
	free(c->config_file);
	free(c->region);
	pthread_cond_destroy(&c->refreshed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static bool
ended(const struct s3_creds *c, int64_t now)
{
	return c->expired ||
	       (c->keys.expires_s != 0 && now >= c->keys.expires_s);
}

/* Ask the source with the lock dropped; one caller at a time. */
static void
refresh_locked(struct s3_creds *c)
{
	struct s3_keys fresh = {0};
	int r;

	c->refreshing = true;
	pthread_mutex_unlock(&c->lock);
	r = ask(c, c->source, &fresh);
	pthread_mutex_lock(&c->lock);
	c->refreshing = false;
	c->error = r;
	if (r == 0) {
		s3_keys_fini(&c->keys);
		c->keys = fresh;
		c->expired = false;
		c->look_s = fresh.expires_s ? fresh.expires_s - REFRESH_S : 0;
	}
	if (r < 0 || c->look_s <= s3_now_s())
		c->look_s = s3_now_s() + RETRY_S;
	pthread_cond_broadcast(&c->refreshed);
}

int
s3_creds_get(struct s3_creds *c, struct s3_keys *out, struct s3_error *err)
{
	int64_t now = s3_now_s();
	int r = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->refreshing && now >= c->look_s &&
	    (c->expired || (c->keys.expires_s != 0 &&
			    now >= c->keys.expires_s - REFRESH_S)))
		refresh_locked(c);
	while (c->refreshing && ended(c, now))
		pthread_cond_wait(&c->refreshed, &c->lock);
	if (c->keys.access == NULL) {
		r = s3_error_set(err, -EKEYREJECTED, "credentials from %s: %s",
				 source_names[c->source],
				 strerror(-c->error));
	} else if (c->keys.expires_s != 0 && now >= c->keys.expires_s) {
		r = s3_error_set(err, -EKEYREJECTED, "the credentials have "
				 "expired and there are no new ones");
	} else {
		out->access = copy(c->keys.access);
		out->secret = copy(c->keys.secret);
		out->token = copy(c->keys.token);
		out->expires_s = c->keys.expires_s;
		if (out->access == NULL || out->secret == NULL)
			r = -ENOMEM;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

void
s3_creds_expire(struct s3_creds *c, const char *access)
{
	pthread_mutex_lock(&c->lock);
	if (c->keys.access != NULL && strcmp(c->keys.access, access) == 0) {
		c->expired = true;
		c->look_s = 0;
	}
	pthread_mutex_unlock(&c->lock);
}

char *
s3_creds_region(const struct s3_config *config)
{
	CLEANUP_FREE char *file = aws_file("AWS_CONFIG_FILE", "config");
	const char *profile = config->profile;

	if (config->region != NULL)
		return strdup(config->region);
	if (env("AWS_REGION") != NULL)
		return strdup(env("AWS_REGION"));
	if (env("AWS_DEFAULT_REGION") != NULL)
		return strdup(env("AWS_DEFAULT_REGION"));
	if (profile == NULL)
		profile = env("AWS_PROFILE");
	return file != NULL ? s3_profile_get(file, profile ? profile :
					     "default", true, "region") : NULL;
}
