/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom to ask for keys.  Looked at in the order of the AWS tools:
 *
 *	a profile that our settings name, or else
 *	environment ─▶ a profile that AWS_PROFILE names, or else
 *	  web identity of the environment ─▶ profile "default"
 *	  ─▶ container endpoint ─▶ instance (IMDSv2)
 *
 * and in a profile: role_arn with its source, keys, SSO, web identity,
 * credential_process.  The first that is there is the one.  What is there and
 * cannot be understood, in whole or in part, is an error and never makes the
 * search go on: keys of somebody else would read and write, as somebody else.
 * So it is also later: the origin that was found at the start stays.
 */
#include <config.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/creds.h"

#define DURATION_MIN_S 900	/* STS API, AssumeRole */
#define DURATION_MAX_S 43200

/* Where one profile is read. */
struct look {
	const struct s3_asker *asker;
	const char *profile;
	struct s3_plan *plan;
	struct s3_error *err;
};

static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? v : NULL;
}

void
s3_plan_fini(struct s3_plan *plan)
{
	s3_profiles_free(&plan->profiles);
}

bool
s3_plan_is_slow(const struct s3_plan *plan)
{
	return plan->first != S3_BY_KEYS || plan->role_count > 0;
}

static int
plan_env(struct s3_plan *p, struct s3_error *err)
{
	p->keys[0] = env("AWS_ACCESS_KEY_ID");
	p->keys[1] = env("AWS_SECRET_ACCESS_KEY");
	p->keys[2] = env("AWS_SESSION_TOKEN");
	if (p->keys[0] == NULL && p->keys[1] == NULL)
		return -ENOENT;
	if (p->keys[0] == NULL || p->keys[1] == NULL)
		return s3_error_set(err, -EINVAL, "of AWS_ACCESS_KEY_ID and "
				    "AWS_SECRET_ACCESS_KEY only one is set");
	p->first = S3_BY_KEYS;
	return 0;
}

static int
plan_web_identity(struct s3_plan *p, struct s3_error *err)
{
	p->web_file = env("AWS_WEB_IDENTITY_TOKEN_FILE");
	if (p->web_file == NULL)
		return -ENOENT;
	p->web.arn = env("AWS_ROLE_ARN");
	p->web.session = env("AWS_ROLE_SESSION_NAME");
	if (p->web.arn == NULL)
		return s3_error_set(err, -EINVAL,
				    "AWS_WEB_IDENTITY_TOKEN_FILE is set and "
				    "AWS_ROLE_ARN is not");
	p->first = S3_BY_WEB_IDENTITY;
	return 0;
}

static int
plan_container(struct s3_plan *p)
{
	if (env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == NULL &&
	    env("AWS_CONTAINER_CREDENTIALS_FULL_URI") == NULL)
		return -ENOENT;
	p->first = S3_BY_CONTAINER;
	return 0;
}

static int
plan_instance(struct s3_plan *p)
{
	const char *off = env("AWS_EC2_METADATA_DISABLED");

	if (off != NULL && strcasecmp(off, "true") == 0)
		return -ENOENT;
	p->first = S3_BY_INSTANCE;
	return 0;
}

/* ---- a profile ---- */

static const char *
get(const struct look *l, const char *key)
{
	return s3_profiles_get(l->plan->profiles, S3_PROFILE, l->profile, key);
}

static int wrong(const struct look *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int
wrong(const struct look *l, const char *format, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	return s3_error_set(l->err, -EINVAL, "profile \"%.60s\": %s",
			    l->profile, what);
}

static int
role_of(const struct look *l, struct s3_role *role)
{
	const char *duration = get(l, "duration_seconds");
	char *end = NULL;
	unsigned long s = duration ? strtoul(duration, &end, 10) : 0;

	if (get(l, "mfa_serial") != NULL)
		return wrong(l, "mfa_serial asks for a code from a person; "
			     "s3nfsd has none to ask");
	if (duration != NULL && (*end != '\0' || s < DURATION_MIN_S ||
				 s > DURATION_MAX_S))
		return wrong(l, "duration_seconds is 900 to 43200");
	role->arn = get(l, "role_arn");
	role->session = get(l, "role_session_name");
	role->external_id = get(l, "external_id");
	role->duration_s = (unsigned)s;
	return 0;
}

/* -ENOENT: none. */
static int
own_keys(const struct look *l)
{
	if (!s3_profiles_keys(l->plan->profiles, l->profile, l->plan->keys))
		return -ENOENT;
	if (l->plan->keys[0] == NULL || l->plan->keys[1] == NULL)
		return wrong(l, "of aws_access_key_id and "
			     "aws_secret_access_key only one is set");
	l->plan->first = S3_BY_KEYS;
	return 0;
}

static int
source_by_name(const struct look *l, const char *name)
{
	int r;

	if (strcmp(name, "Environment") == 0)
		r = plan_env(l->plan, l->err);
	else if (strcmp(name, "Ec2InstanceMetadata") == 0)
		r = plan_instance(l->plan);
	else if (strcmp(name, "EcsContainer") == 0)
		r = plan_container(l->plan);
	else
		return wrong(l, "credential_source is Environment, "
			     "Ec2InstanceMetadata or EcsContainer, not "
			     "\"%.40s\"", name);
	return r == -ENOENT ? wrong(l, "credential_source = %s: there are "
				    "none", name) : r;
}

static int profile_of(const struct look *l, bool is_source);

static int
plan_role(const struct look *l)
{
	const char *source = get(l, "source_profile");
	const char *by_name = get(l, "credential_source");
	const char *web = get(l, "web_identity_token_file");
	struct s3_plan *p = l->plan;
	struct look next = *l;
	int r;

	if ((source != NULL) + (by_name != NULL) + (web != NULL) != 1)
		return wrong(l, "role_arn goes with one of source_profile, "
			     "credential_source and web_identity_token_file");
	if (web != NULL) {
		p->first = S3_BY_WEB_IDENTITY;
		p->web_file = web;
		return role_of(l, &p->web);
	}
	if (p->role_count == S3_ROLES_MAX)
		return wrong(l, "source_profile goes in a circle, or through "
			     "more than %d roles", S3_ROLES_MAX);
	r = role_of(l, &p->roles[p->role_count++]);
	if (r < 0)
		return r;
	if (by_name != NULL)
		return source_by_name(l, by_name);
	if (strcmp(source, l->profile) == 0) {
		r = own_keys(l);
		return r == -ENOENT ? wrong(l, "it is its own source_profile "
					    "and has no keys") : r;
	}
	next.profile = source;
	return profile_of(&next, true);
}

static int
plan_sso(const struct look *l)
{
	struct s3_plan *p = l->plan;
	const char *session = get(l, "sso_session");
	const char *url = get(l, "sso_start_url");

	if (session != NULL &&
	    !s3_profiles_has(p->profiles, S3_SSO_SESSION, session))
		return wrong(l, "there is no [sso-session %.60s]", session);
	p->first = S3_BY_SSO;
	p->sso.session = session != NULL ? session : url;
	p->sso.region = session != NULL ?
			s3_profiles_get(p->profiles, S3_SSO_SESSION, session,
					"sso_region") : get(l, "sso_region");
	p->sso.account = get(l, "sso_account_id");
	p->sso.role = get(l, "sso_role_name");
	if (p->sso.session == NULL || p->sso.region == NULL ||
	    p->sso.account == NULL || p->sso.role == NULL)
		return wrong(l, "SSO needs sso_session (or sso_start_url), "
			     "sso_region, sso_account_id and sso_role_name");
	return 0;
}

/* Keys of it, or of what it names.  -ENOENT: it says nothing of keys. */
static int
contents_of(const struct look *l, bool is_source)
{
	int r;

	/* As the AWS tools have it: a source that has keys gives them. */
	r = is_source ? own_keys(l) : -ENOENT;
	if (r != -ENOENT)
		return r;
	if (get(l, "role_arn") != NULL)
		return plan_role(l);
	if (get(l, "source_profile") != NULL ||
	    get(l, "credential_source") != NULL ||
	    get(l, "web_identity_token_file") != NULL)
		return wrong(l, "source_profile, credential_source and "
			     "web_identity_token_file go with role_arn");
	r = own_keys(l);
	if (r != -ENOENT)
		return r;
	if (get(l, "sso_session") != NULL || get(l, "sso_start_url") != NULL ||
	    get(l, "sso_account_id") != NULL || get(l, "sso_role_name"))
		return plan_sso(l);
	l->plan->command = get(l, "credential_process");
	if (l->plan->command == NULL)
		return -ENOENT;
	l->plan->first = S3_BY_PROCESS;
	return 0;
}

static int
profile_of(const struct look *l, bool is_source)
{
	bool must = is_source || l->asker->named;
	int r;

	if (l->plan->region == NULL)
		l->plan->region = get(l, "region");
	if (must && !s3_profiles_has(l->plan->profiles, S3_PROFILE,
				     l->profile))
		return wrong(l, "it is neither in %.100s nor in %.100s",
			     l->asker->credentials_file,
			     l->asker->config_file);
	r = contents_of(l, is_source);
	if (r != -ENOENT || !must)
		return r;
	return wrong(l, "it has none of role_arn, aws_access_key_id, "
		     "sso_session, credential_process");
}

static int
plan_profile(const struct s3_asker *asker, struct s3_plan *p,
	     struct s3_error *err)
{
	const struct look look = { asker, asker->profile, p, err };
	static const char *const kinds[] = {
		"keys", "credential_process", "SSO", "web identity",
		"container endpoint", "instance metadata",
	};
	int r = s3_profiles_read(asker->credentials_file, asker->config_file,
				 &p->profiles, err);

	if (r == 0)
		r = profile_of(&look, false);
	if (r == 0)
		snprintf(p->source, sizeof(p->source), "profile \"%.60s\" "
			 "(%s%s)", asker->profile, p->role_count > 0 ?
			 "role by " : "", kinds[p->first]);
	return r;
}

/* ---- the search ---- */

static int
plan_origin(const struct s3_asker *asker, enum s3_origin origin,
	    struct s3_plan *p, struct s3_error *err)
{
	static const char *const names[] = {
		"environment", "web identity of the environment", "profile",
		"container endpoint", "instance metadata",
	};

	p->region = asker->region;
	snprintf(p->source, sizeof(p->source), "%s", names[origin]);
	switch (origin) {
	case S3_FROM_ENV:
		return plan_env(p, err);
	case S3_FROM_WEB_IDENTITY:
		return plan_web_identity(p, err);
	case S3_FROM_PROFILE:
		return plan_profile(asker, p, err);
	case S3_FROM_CONTAINER:
		return plan_container(p);
	case S3_FROM_INSTANCE:
		return plan_instance(p);
	}
	return -ENOENT;
}

/* A named profile is the only one, but for keys of the environment. */
static bool
is_asked(const struct s3_asker *asker, enum s3_origin origin)
{
	if (origin == S3_FROM_ENV)
		return !asker->set_by_us;
	return origin == S3_FROM_PROFILE || !asker->named;
}

int
s3_plan_make(const struct s3_asker *asker, enum s3_origin origin,
	     struct s3_plan *out, struct s3_error *err)
{
	struct s3_plan p = {0};
	int r = plan_origin(asker, origin, &p, err);

	if (r == 0) {
		*out = p;
		return 0;
	}
	s3_plan_fini(&p);
	if (r == -ENOENT)
		return s3_error_set(err, -EINVAL, "profile \"%.60s\" has no "
				    "credentials any more", asker->profile);
	return r == -ENOMEM ? r : -EINVAL;
}

int
s3_plan_find(const struct s3_asker *asker, enum s3_origin *origin,
	     struct s3_plan *out, struct s3_error *err)
{
	for (int o = S3_FROM_ENV; o <= S3_FROM_INSTANCE; o++) {
		struct s3_plan p = {0};
		int r = is_asked(asker, (enum s3_origin)o) ?
			plan_origin(asker, (enum s3_origin)o, &p, err) :
			-ENOENT;

		if (r == 0) {
			*origin = (enum s3_origin)o;
			*out = p;
			return 0;
		}
		s3_plan_fini(&p);
		if (r != -ENOENT)
			return r == -ENOMEM ? r : -EINVAL;
	}
	return s3_error_set(err, -EINVAL, "no credentials found (profile "
			    "\"%.60s\"): set AWS_ACCESS_KEY_ID and "
			    "AWS_SECRET_ACCESS_KEY or fill %.100s",
			    asker->profile, asker->credentials_file);
}
