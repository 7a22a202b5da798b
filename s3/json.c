/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What credential sources say in JSON (libjansson), and whether it can be
 * used.  Answers are bounded by who reads them; a string that a header cannot
 * carry is refused here, so that no answer writes a request's next line.
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <jansson.h>
#include "s3/creds.h"

static void
drop(json_t **root)
{
	json_decref(*root);
}
#define CLEANUP_JSON __attribute__((cleanup(drop)))

static json_t *
load(const char *text, size_t len, struct s3_error *err)
{
	json_error_t where;
	json_t *root = json_loadb(text != NULL ? text : "", len, 0, &where);

	if (!json_is_object(root)) {
		json_decref(root);
		s3_error_set(err, 0, "no JSON object");
		return NULL;
	}
	return root;
}

/* Malloced; NULL if it is no string, or an empty one. */
static char *
copy(const json_t *object, const char *member)
{
	const char *s = json_string_value(json_object_get(object, member));

	return s != NULL && *s != '\0' ? strdup(s) : NULL;
}

static bool
is_plain(const char *s, size_t max)
{
	for (size_t i = 0; s[i] != '\0'; i++)
		if (i >= max || s[i] <= ' ' || s[i] > '~')
			return false;
	return *s != '\0';
}

int
s3_keys_check(const struct s3_keys *k, struct s3_error *err)
{
	const char *bad = NULL;

	if (k->access == NULL || !is_plain(k->access, 256))
		bad = "the access key";
	else if (k->secret == NULL || !is_plain(k->secret, 1024))
		bad = "the secret key";
	else if (k->token != NULL && !is_plain(k->token, 32768))
		bad = "the session token";
	else if (k->expires_s < 0)
		bad = "the end (Expiration)";
	return bad != NULL ? s3_error_set(err, -EBADMSG, "%s is missing, too "
					  "long or not plain text", bad) : 0;
}

static int
good(struct s3_keys *keys, struct s3_keys *out, struct s3_error *err)
{
	int r = s3_keys_check(keys, err);

	if (r < 0)
		s3_keys_fini(keys);
	else
		*out = *keys;
	return r;
}

int
s3_json_keys(const char *text, size_t len, struct s3_keys *out,
	     struct s3_error *err)
{
	CLEANUP_JSON json_t *root = load(text, len, err);
	const json_t *version = json_object_get(root, "Version");
	const char *code = json_string_value(json_object_get(root, "Code"));
	const char *until = json_string_value(json_object_get(root,
							"Expiration"));
	struct s3_keys k = {0};

	if (root == NULL)
		return -EBADMSG;
	if (version != NULL && json_integer_value(version) != 1)
		return s3_error_set(err, -EBADMSG, "its Version is not 1");
	if (code != NULL && strcmp(code, "Success") != 0)
		return s3_error_set(err, -EBADMSG, "its Code is %s", code);
	k.access = copy(root, "AccessKeyId");
	k.secret = copy(root, "SecretAccessKey");
	k.token = copy(root, "SessionToken");
	if (k.token == NULL)
		k.token = copy(root, "Token");
	if (until != NULL)
		k.expires_s = s3_date_iso(until);
	return good(&k, out, err);
}

int
s3_json_sso_keys(const char *text, size_t len, struct s3_keys *out,
		 struct s3_error *err)
{
	CLEANUP_JSON json_t *root = load(text, len, err);
	const json_t *keys = json_object_get(root, "roleCredentials");
	struct s3_keys k = {0};

	if (root == NULL)
		return -EBADMSG;
	k.access = copy(keys, "accessKeyId");
	k.secret = copy(keys, "secretAccessKey");
	k.token = copy(keys, "sessionToken");
	k.expires_s = json_integer_value(json_object_get(keys, "expiration"))
		      / 1000;
	return good(&k, out, err);
}

int
s3_json_sso_token(const char *text, size_t len, char **token,
		  int64_t *expires_s, struct s3_error *err)
{
	CLEANUP_JSON json_t *root = load(text, len, err);
	const char *t = json_string_value(json_object_get(root,
							  "accessToken"));
	const char *until = json_string_value(json_object_get(root,
							"expiresAt"));
	int64_t end = until != NULL ? s3_date_iso(until) : -1;

	if (root == NULL)
		return -EBADMSG;
	if (t == NULL || !is_plain(t, 32768) || end < 0)
		return s3_error_set(err, -EBADMSG, "accessToken or expiresAt "
				    "is missing or not plain text");
	*token = strdup(t);
	*expires_s = end;
	return *token != NULL ? 0 : -ENOMEM;
}

int
s3_json_sso_request(const char *text, size_t len, char **body,
		    struct s3_error *err)
{
	CLEANUP_JSON json_t *root = load(text, len, err);
	CLEANUP_JSON json_t *ask = NULL;
	const char *until = json_string_value(json_object_get(root,
						"registrationExpiresAt"));

	if (until == NULL || s3_date_iso(until) <= s3_now_s())
		return s3_error_set(err, -ENOENT, "it cannot be renewed");
	/* NULL: one of them is no text. */
	ask = json_pack("{s:s, s:s, s:s, s:s}", "grantType", "refresh_token",
			"clientId", json_string_value(json_object_get(root,
							"clientId")),
			"clientSecret", json_string_value(json_object_get(
						root, "clientSecret")),
			"refreshToken", json_string_value(json_object_get(
						root, "refreshToken")));
	if (ask == NULL)
		return s3_error_set(err, -ENOENT, "it cannot be renewed");
	*body = json_dumps(ask, JSON_COMPACT);
	return *body != NULL ? 0 : -ENOMEM;
}

static int
set_text(json_t *object, const char *member, const char *value)
{
	return json_object_set_new(object, member, json_string(value)) < 0 ?
	       -ENOMEM : 0;
}

int
s3_json_sso_renewed(const struct s3_buf *text, const struct s3_buf *answer,
		    char **next, char **token, struct s3_error *err)
{
	CLEANUP_JSON json_t *root = load(text->data, text->len, err);
	CLEANUP_JSON json_t *got = load(answer->data, answer->len, err);
	CLEANUP_FREE char *fresh = copy(got, "accessToken");
	CLEANUP_FREE char *refresh = copy(got, "refreshToken");
	json_int_t lasts = json_integer_value(json_object_get(got,
							      "expiresIn"));
	time_t end = (time_t)(s3_now_s() + lasts);
	char until[32];
	struct tm tm;
	int r;

	if (root == NULL || fresh == NULL || !is_plain(fresh, 32768) ||
	    lasts <= 0 || lasts > 366 * 86400)
		return s3_error_set(err, -EBADMSG, "accessToken or expiresIn "
				    "is missing or not plain text");
	gmtime_r(&end, &tm);
	strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm);
	r = set_text(root, "accessToken", fresh);
	if (r == 0)
		r = set_text(root, "expiresAt", until);
	if (r == 0 && refresh != NULL)
		r = set_text(root, "refreshToken", refresh);
	if (r < 0 || (*next = json_dumps(root, 0)) == NULL)
		return -ENOMEM;
	*token = fresh;
	fresh = NULL;
	return 0;
}

void
s3_json_message(const char *text, size_t len, char *out, size_t size)
{
	CLEANUP_JSON json_t *root = load(text, len, NULL);
	const char *s = json_string_value(json_object_get(root, "message"));

	if (s == NULL)
		s = json_string_value(json_object_get(root, "Message"));
	snprintf(out, size, "%s", s != NULL ? s : "");
}
