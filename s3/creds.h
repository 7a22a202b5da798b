/* SPDX-License-Identifier: Apache-2.0 */
#ifndef S3_CREDS_H
#define S3_CREDS_H

/*
 * Inside of the credentials: creds.c holds keys and asks for new ones in
 * time, source.c finds out whom to ask, ask.c asks, profile.c and json.c
 * read what is written down, http.c speaks to those who listen.
 */

#include <stdio.h>
#include "s3/remote.h"

/* Bytes of an answer, of a token's file. */
#define S3_ANSWER_MAX (256U << 10)

/* profile.c: both files as they were at one moment. */

enum s3_section { S3_PROFILE, S3_SSO_SESSION };
struct s3_profiles;
/* One that is absent is empty; -EACCES, -EFBIG, -EBADMSG and the like, with
 * the file's name in *err, for one that cannot be read. */
int s3_profiles_read(const char *credentials, const char *config,
		     struct s3_profiles **out, struct s3_error *err);
void s3_profiles_free(struct s3_profiles **profiles);
bool s3_profiles_has(const struct s3_profiles *profiles,
		     enum s3_section section, const char *name);
/* NULL: not there or empty.  The credentials file counts before the other. */
const char *s3_profiles_get(const struct s3_profiles *profiles,
			    enum s3_section section, const char *name,
			    const char *key);
/* Access key, secret and session token, all of one file; each may be NULL.
 * False: there is none. */
bool s3_profiles_keys(const struct s3_profiles *profiles, const char *name,
		      const char *values[3]);
/* For the fuzzer. */
int s3_profiles_new(struct s3_profiles **out);
int s3_profiles_parse(struct s3_profiles *profiles, FILE *f, bool is_config);

/* json.c: all give -EBADMSG with a reason for what they do not understand. */

/* Of a command, a container, an instance. */
int s3_json_keys(const char *text, size_t len, struct s3_keys *out,
		 struct s3_error *err);
/* GetRoleCredentials' answer. */
int s3_json_sso_keys(const char *text, size_t len, struct s3_keys *out,
		     struct s3_error *err);
/* The cached token of `aws sso login`; *token is malloced. */
int s3_json_sso_token(const char *text, size_t len, char **token,
		      int64_t *expires_s, struct s3_error *err);
/* CreateToken's request to renew it, malloced.  -ENOENT: it is not one that
 * can be. */
int s3_json_sso_request(const char *text, size_t len, char **body,
			struct s3_error *err);
/* The cache's next text and token, by the answer; malloced. */
int s3_json_sso_renewed(const struct s3_buf *text, const struct s3_buf *answer,
			char **next, char **token, struct s3_error *err);
/* What an error's document says, or "". */
void s3_json_message(const char *text, size_t len, char *out, size_t size);
/* Can these be sent as they are?  -EBADMSG. */
int s3_keys_check(const struct s3_keys *keys, struct s3_error *err);

/* http.c: one exchange, within a time. */

struct s3_http {
	const char *what;	/* for errors: "STS AssumeRole" */
	const char *method;	/* NULL: GET, or POST with a form */
	const char *url;
	const char *const *headers; /* "Name: value", ends with NULL; or NULL */
	const char *form;	/* a POST's body or NULL */
	long timeout_ms;
	const char *ca_file;	/* NULL: the system's */
	bool direct;		/* by no proxy: a neighbour of this machine */
	bool (*stopped)(void *arg);
	void *arg;
};
/* The status, with the body in *answer.  -ECANCELED, -ETIMEDOUT, -EIO. */
int s3_http(const struct s3_http *http, struct s3_buf *answer,
	    struct s3_error *err);

/* source.c: whom to ask. */

struct s3_asker {		/* set once */
	char *profile;
	bool set_by_us;		/* the profile, by our own settings */
	bool named;		/* ... or by AWS_PROFILE */
	char *credentials_file, *config_file;
	char *region;		/* where STS is; NULL: the profile's */
	char *ca_file;
	bool fips, dualstack;
	unsigned process_ms;
	bool (*stopped)(void *arg);
	void *arg;
};

/* What stays for the life of the program; keys come from nowhere else. */
enum s3_origin {
	S3_FROM_ENV, S3_FROM_WEB_IDENTITY, S3_FROM_PROFILE, S3_FROM_CONTAINER,
	S3_FROM_INSTANCE,
};

#define S3_ROLES_MAX 5
#define S3_SOURCE_MAX 160	/* bytes of its name for people */

struct s3_role {
	const char *arn, *session, *external_id;
	unsigned duration_s;	/* 0: as long as the role says */
};

/* How to come by keys, as the files say now.  Strings are those of the files
 * and of the environment. */
struct s3_plan {
	enum { S3_BY_KEYS, S3_BY_PROCESS, S3_BY_SSO, S3_BY_WEB_IDENTITY,
	       S3_BY_CONTAINER, S3_BY_INSTANCE } first;
	const char *keys[3];
	const char *command;
	struct {
		const char *session; /* or the start URL: names the cache */
		const char *region, *account, *role;
	} sso;
	struct s3_role web;
	const char *web_file;
	/* To be assumed with those keys, the last one first. */
	struct s3_role roles[S3_ROLES_MAX];
	size_t role_count;
	const char *region;	/* of STS */
	char source[S3_SOURCE_MAX];
	struct s3_profiles *profiles;
};
void s3_plan_fini(struct s3_plan *plan);
#define CLEANUP_PLAN __attribute__((cleanup(s3_plan_fini)))
/* The first origin that is there.  -EINVAL: none is, or one is not
 * understood; then no other is tried. */
int s3_plan_find(const struct s3_asker *asker, enum s3_origin *origin,
		 struct s3_plan *out, struct s3_error *err);
/* Of this one, as it is now; -EINVAL. */
int s3_plan_make(const struct s3_asker *asker, enum s3_origin origin,
		 struct s3_plan *out, struct s3_error *err);
/* Must one wait for a process or a server? */
bool s3_plan_is_slow(const struct s3_plan *plan);

/* sso.c: *token becomes another one, and so does the file.  cache: its text.
 * -ENOENT: it is not one that can be renewed. */
int s3_sso_renew(const struct s3_asker *asker, const char *region,
		 const char *path, const struct s3_buf *cache, char **token,
		 struct s3_error *err);

/* ask.c */

/* Does as planned; blocks, each step within its time. */
int s3_plan_keys(const struct s3_asker *asker, const struct s3_plan *plan,
		 struct s3_keys *out, struct s3_error *err);

#endif
