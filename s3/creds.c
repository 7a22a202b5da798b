/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, and new ones in time.  Where they come from is found once (source.c)
 * and stays; they are asked for again
 *
 *	before they end		a third of their time, at most REFRESH_S
 *	when the files change	looked at once a second, while requests are made
 *	when the store says so	s3_creds_expire
 *
 * by one thread, which sleeps otherwise; it is started when it has something
 * to do.  Requests go on with the keys that are there as long as these are
 * good, and wait for the thread only when they are not.  A source that fails
 * is asked again after pauses that grow to RETRY_MAX_S, without end; it is
 * told to the log once, and shown in status.
 *
 * s3_config.ask_later leaves what one must wait for (a command, a server) to
 * the thread, so that opening waits for nobody.  All of it is left when the
 * program ends (s3_creds_cancel).
 */
#include <config.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "s3/creds.h"

#define REFRESH_S 300
#define RETRY_MAX_S 30
#define FORCE_EVERY_S 10	/* the store's word counts so often */
#define PROCESS_MS 60000
#define WAIT_MS 100		/* how soon the caller's stop is seen */

/* A file as it was when it was read. */
struct stamp {
	struct timespec mtime;
	ino_t inode;
	off_t size;
};

struct s3_creds {
	/* set once */
	struct s3_asker asker;
	enum s3_origin origin;
	bool (*stopped)(void *arg);
	void (*log)(void *arg, enum s3_level level, const char *line);
	void *arg;
	atomic_bool cancelled;
	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;		/* asked, wanted or closing */
	pthread_t thread;
	bool running, closing;
	struct s3_keys keys;
	char source[S3_SOURCE_MAX];
	char why[256];			/* the last error, "" if none */
	bool wanted, asking;
	bool refused;			/* by the store, or not asked yet */
	bool told;			/* the error, to the log */
	unsigned failures;
	int64_t next_s;			/* no asking before; 0: none needed */
	int64_t forced_s, looked_s;
	struct stamp stamps[2];
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
	       (c->stopped != NULL && c->stopped(c->arg));
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

static const char *
profile_name(const struct s3_config *config)
{
	if (config->profile != NULL)
		return config->profile;
	return env("AWS_PROFILE") != NULL ? env("AWS_PROFILE") :
					    env("AWS_DEFAULT_PROFILE");
}

static void
say(struct s3_creds *c, enum s3_level level, const char *what,
    const char *why)
{
	char line[512];

	if (c->log == NULL)
		return;
	snprintf(line, sizeof(line), "credentials from %s%s%s", c->source,
		 what, why);
	c->log(c->arg, level, line);
}

/* ---- files ---- */

static void
take_stamps(const struct s3_creds *c, struct stamp out[2])
{
	const char *const files[] = { c->asker.credentials_file,
				      c->asker.config_file };

	memset(out, 0, 2 * sizeof(*out));
	for (size_t i = 0; i < 2; i++) {
		struct stat st;

		if (stat(files[i], &st) != 0)
			continue;
		out[i].mtime = st.st_mtim;
		out[i].inode = st.st_ino;
		out[i].size = st.st_size;
	}
}

static void
look_at_files_locked(struct s3_creds *c, int64_t now)
{
	struct stamp fresh[2];

	if (c->origin != S3_FROM_PROFILE || now == c->looked_s || c->asking ||
	    c->wanted)
		return;
	c->looked_s = now;
	take_stamps(c, fresh);
	if (memcmp(fresh, c->stamps, sizeof(fresh)) != 0) {
		c->wanted = true;
		pthread_cond_broadcast(&c->changed);
	}
}

/* ---- asking ---- */

static int64_t
refresh_at(int64_t now, int64_t expires_s)
{
	int64_t left = expires_s - now, early = left / 3;

	if (expires_s == 0)
		return 0;
	if (early > REFRESH_S)
		early = REFRESH_S;
	return left <= 3 ? now + 1 : expires_s - early;
}

static void
take_answer_locked(struct s3_creds *c, int r, struct s3_keys *fresh,
		   const struct s3_error *err)
{
	int64_t now = s3_now_s();
	unsigned pause = c->failures < 5 ? 1U << c->failures : RETRY_MAX_S;

	if (r == 0) {
		s3_keys_fini(&c->keys);
		c->keys = *fresh;
		c->refused = false;
		c->failures = 0;
		c->why[0] = '\0';
		c->next_s = refresh_at(now, fresh->expires_s);
		if (c->told)
			say(c, S3_LOG_INFO, " are there again", "");
		c->told = false;
		return;
	}
	c->failures++;
	c->next_s = now + pause;
	snprintf(c->why, sizeof(c->why), "%s", err->message[0] != '\0' ?
		 err->message : strerror(-r));
	if (!c->told && !is_over(c)) {
		say(c, S3_LOG_WARN, c->keys.access != NULL ?
		    ": no new ones, those that are there go on: " : ": ",
		    c->why);
		c->told = true;
	}
}

/* Drops the lock while it waits for the source. */
static void
ask_locked(struct s3_creds *c)
{
	CLEANUP_PLAN struct s3_plan plan = {0};
	struct s3_keys fresh = {0};
	struct s3_error err = {0};
	struct stamp stamps[2];
	int r;

	c->wanted = false;
	c->asking = true;
	pthread_mutex_unlock(&c->lock);
	take_stamps(c, stamps);
	r = s3_plan_make(&c->asker, c->origin, &plan, &err);
	if (r == 0)
		r = s3_plan_keys(&c->asker, &plan, &fresh, &err);
	if (r == 0 && fresh.expires_s != 0 && fresh.expires_s <= s3_now_s()) {
		s3_keys_fini(&fresh);
		r = s3_error_set(&err, -EACCES, "what it gives has expired");
	}
	pthread_mutex_lock(&c->lock);
	c->asking = false;
	memcpy(c->stamps, stamps, sizeof(stamps));
	if (plan.source[0] != '\0')
		snprintf(c->source, sizeof(c->source), "%s", plan.source);
	take_answer_locked(c, r, &fresh, &err);
	pthread_cond_broadcast(&c->changed);
}

static void
wait_locked(struct s3_creds *c, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_cond_timedwait(&c->changed, &c->lock, &until);
}

static void *
thread_main(void *arg)
{
	struct s3_creds *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->closing) {
		int64_t left = c->next_s - s3_now_s();

		if (c->wanted || (c->next_s != 0 && left <= 0))
			ask_locked(c);
		else if (c->next_s == 0)
			pthread_cond_wait(&c->changed, &c->lock);
		else	/* in pieces: the clock may be set */
			wait_locked(c, left < 10 ? left * 1000 : 10000);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- open and close ---- */

static int
fill_asker(struct s3_creds *c, const struct s3_config *config)
{
	struct s3_asker *a = &c->asker;
	const char *profile = profile_name(config);

	a->profile = strdup(profile != NULL ? profile : "default");
	a->named = profile != NULL;
	a->set_by_us = config->profile != NULL;
	a->credentials_file = aws_file("AWS_SHARED_CREDENTIALS_FILE",
				       "credentials");
	a->config_file = aws_file("AWS_CONFIG_FILE", "config");
	a->region = s3_creds_region(config);
	a->ca_file = s3_creds_ca_file(config);
	a->process_ms = config->process_ms ? config->process_ms : PROCESS_MS;
	a->fips = config->fips || s3_aws_wants("AWS_USE_FIPS_ENDPOINT");
	a->dualstack = config->dualstack ||
		       s3_aws_wants("AWS_USE_DUALSTACK_ENDPOINT");
	a->stopped = is_over;
	a->arg = c;
	return a->profile == NULL || a->credentials_file == NULL ||
	       a->config_file == NULL ? -ENOMEM : 0;
}

/* First keys, or what will ask for them. */
static int
first(struct s3_creds *c, bool ask_later, struct s3_error *err)
{
	CLEANUP_PLAN struct s3_plan plan = {0};
	int r;

	take_stamps(c, c->stamps);
	r = s3_plan_find(&c->asker, &c->origin, &plan, err);
	if (r < 0)
		return r;
	snprintf(c->source, sizeof(c->source), "%s", plan.source);
	if (ask_later && s3_plan_is_slow(&plan)) {
		c->refused = c->wanted = true;
	} else {
		struct s3_error why = {0};

		r = s3_plan_keys(&c->asker, &plan, &c->keys, &why);
		if (r == -ECANCELED || is_over(c))
			return s3_error_set(err, -ECANCELED, "cancelled");
		if (r < 0)
			return s3_error_set(err, -EINVAL, "credentials from "
					    "%s: %s", c->source, why.message);
		c->next_s = refresh_at(s3_now_s(), c->keys.expires_s);
	}
	if (c->origin == S3_FROM_ENV)
		return 0;		/* stays as it is */
	r = -pthread_create(&c->thread, NULL, thread_main, c);
	c->running = r == 0;
	return r;
}

int
s3_creds_open(const struct s3_config *config, struct s3_creds **out,
	      struct s3_error *err)
{
	struct s3_creds *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int r;

	if (c == NULL)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	c->stopped = config->stopped;
	c->log = config->log;
	c->arg = config->log_arg;
	r = fill_asker(c, config);
	if (r == 0)
		r = first(c, config->ask_later, err);
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
	atomic_store(&c->cancelled, true);
	if (c->running) {
		pthread_mutex_lock(&c->lock);
		c->closing = true;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	s3_keys_fini(&c->keys);
	free(c->asker.profile);
	free(c->asker.credentials_file);
	free(c->asker.config_file);
	free(c->asker.region);
	free(c->asker.ca_file);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- use ---- */

static bool
are_good_locked(const struct s3_creds *c)
{
	return c->keys.access != NULL &&
	       (c->keys.expires_s == 0 || s3_now_s() < c->keys.expires_s);
}

static bool
is_patient(const struct s3_patience *p, int64_t since_ms)
{
	return p == NULL ||
	       ((p->limit_ms == 0 ||
		 s3_mono_ms() - since_ms < (int64_t)p->limit_ms) &&
		(p->refused == NULL || !atomic_load(p->refused)));
}

/* What the store refused is used again if there is nothing new: it may have
 * been wrong, or not know a key yet. */
static void
await_keys_locked(struct s3_creds *c, const struct s3_patience *patience)
{
	int64_t now = s3_now_s(), since_ms = s3_mono_ms();

	look_at_files_locked(c, now);
	if (are_good_locked(c) && !c->refused)
		return;
	if (c->running && !c->asking && now >= c->next_s) {
		c->wanted = true;
		pthread_cond_broadcast(&c->changed);
	}
	while (c->running && (c->wanted || c->asking) &&
	       (c->refused || !are_good_locked(c)) && !is_over(c) &&
	       is_patient(patience, since_ms))
		wait_locked(c, WAIT_MS);
}

static int
copy_keys_locked(const struct s3_creds *c, struct s3_keys *out)
{
	out->access = copy(c->keys.access);
	out->secret = copy(c->keys.secret);
	out->token = copy(c->keys.token);
	out->expires_s = c->keys.expires_s;
	return out->access == NULL || out->secret == NULL ||
	       (c->keys.token != NULL && out->token == NULL) ? -ENOMEM : 0;
}

int
s3_creds_get(struct s3_creds *c, const struct s3_patience *patience,
	     struct s3_keys *out, struct s3_error *err)
{
	struct s3_keys keys = {0};
	const char *why;
	int r;

	pthread_mutex_lock(&c->lock);
	await_keys_locked(c, patience);
	why = c->why[0] != '\0' ? c->why : "no answer yet";
	if (are_good_locked(c))
		r = copy_keys_locked(c, &keys);
	else if (c->keys.access == NULL)
		r = s3_error_set(err, -EKEYREJECTED, "credentials from %s: %s",
				 c->source, why);
	else
		r = s3_error_set(err, -EKEYREJECTED, "the credentials have "
				 "expired and there are no new ones: %s",
				 c->why);
	pthread_mutex_unlock(&c->lock);
	if (r < 0)
		s3_keys_fini(&keys);
	else
		*out = keys;
	return r;
}

bool
s3_creds_expire(struct s3_creds *c, const char *access)
{
	int64_t now = s3_now_s();
	bool others, force;

	pthread_mutex_lock(&c->lock);
	others = c->keys.access != NULL && strcmp(c->keys.access, access) != 0;
	force = !others && c->running && (c->forced_s == 0 ||
					  now - c->forced_s >= FORCE_EVERY_S);
	if (force) {
		c->forced_s = now;
		c->refused = c->wanted = true;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return others || force;
}

void
s3_creds_tell(struct s3_creds *c, struct s3_identity *out)
{
	pthread_mutex_lock(&c->lock);
	*out = (struct s3_identity){ .known = c->keys.access != NULL,
				     .expires_s = c->keys.expires_s };
	snprintf(out->source, sizeof(out->source), "%s", c->source);
	snprintf(out->error, sizeof(out->error), "%s", c->why);
	pthread_mutex_unlock(&c->lock);
}

/* A setting of the profile, whether it gives keys or not; malloced or NULL. */
static char *
profile_setting(const struct s3_config *config, const char *key)
{
	CLEANUP_FREE char *credentials = NULL, *file = NULL;
	const char *profile = profile_name(config), *value = NULL;
	struct s3_profiles *profiles = NULL;
	char *found = NULL;

	credentials = aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	file = aws_file("AWS_CONFIG_FILE", "config");
	/* What cannot be read is told where keys are looked for. */
	if (credentials != NULL && file != NULL &&
	    s3_profiles_read(credentials, file, &profiles, NULL) == 0)
		value = s3_profiles_get(profiles, S3_PROFILE, profile ?
					profile : "default", key);
	found = copy(value);
	s3_profiles_free(&profiles);
	return found;
}

char *
s3_creds_region(const struct s3_config *config)
{
	if (config->region != NULL)
		return strdup(config->region);
	if (env("AWS_REGION") != NULL)
		return strdup(env("AWS_REGION"));
	if (env("AWS_DEFAULT_REGION") != NULL)
		return strdup(env("AWS_DEFAULT_REGION"));
	return profile_setting(config, "region");
}

char *
s3_creds_ca_file(const struct s3_config *config)
{
	if (config->ca_file != NULL)
		return strdup(config->ca_file);
	if (env("AWS_CA_BUNDLE") != NULL)
		return strdup(env("AWS_CA_BUNDLE"));
	return profile_setting(config, "ca_bundle");
}
