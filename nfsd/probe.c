/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each export asks its store what it honours (s3_probe) in a thread of its own,
 * so that a bucket that is silent delays nobody.  Until it has answered nothing
 * is taken as honoured: the gate looks before it changes something, which is
 * always safe.  Pauses between attempts grow to a minute, without end: the
 * gateway may come up before its network.
 *
 *	ASKING --> GOOD (the thread ends)
 *	   \--> SILENT, REFUSED, WRONG <--> each other --> GOOD
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nfsd/log.h"
#include "nfsd/probe.h"

#define PAUSE_FIRST_MS 1000
#define PAUSE_LAST_MS 60000
#define CHECK_MS 15000

struct probe {
	const struct settings_export *settings;
	struct s3 *s3;
	struct gate_export *export;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t told;	/* a verdict, or stopping */
	enum probe_verdict verdict;
	char why[400];
	bool settled, said, stopping;
	bool back;		/* it answers: do not wait */
};

static int
first_entry(void *arg, const struct s3_entry *entry)
{
	(void)arg;
	(void)entry;
	return 1;
}

static void
scratch_prefix(const struct probe *p, char out[1100])
{
	snprintf(out, 1100, "%s" S3_SCRATCH, p->settings->prefix);
}

/* A read-only export is asked for one name, the others for all they can. */
static int
ask(const struct probe *p, struct s3_caps *caps, struct s3_error *err)
{
	const struct settings_export *export = p->settings;
	struct s3_list list = {.prefix = export->prefix, .max_keys = 1};
	char scratch[1100], *next = NULL;
	int r;

	/* Nobody to tell: --check, which writes nothing. */
	if (export->options.readonly || p->export == NULL) {
		memset(caps, 0, sizeof(*caps));
		r = s3_list_page(p->s3, &list, first_entry, NULL, &next, err);
		free(next);
		return r < 0 ? r : 0;
	}
	scratch_prefix(p, scratch);
	return s3_probe(p->s3, scratch, caps, err);
}

/* Keys expire, quotas fill and buckets are made later: nobody who has bytes
 * for it here should have to wait for that with a daemon that does not
 * start. */
static enum probe_verdict
verdict_of(int r)
{
	switch (r) {
	case 0:
		return PROBE_GOOD;
	case -EACCES:
	case -EKEYREJECTED:
	case -ENODEV:
		return PROBE_REFUSED;
	case -EINVAL:
	case -ENOENT:
	case -EPERM:
	case -ENOTDIR:
		return PROBE_WRONG;
	default:
		return PROBE_SILENT;
	}
}

static void
log_caps(const struct settings_export *export, const struct s3_caps *caps)
{
	const struct { bool has; const char *name; } all[] = {
		{caps->put_if_none_match, "PUT If-None-Match"},
		{caps->put_if_match, "PUT If-Match"},
		{caps->complete_if_match, "conditional multipart"},
		{caps->copy_if_match, "conditional copy"},
		{caps->delete_if_match, "conditional DELETE"},
		{caps->part_copy, "UploadPartCopy"},
		{caps->checksums, "checksums"},
	};
	char missing[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (!all[i].has && used < sizeof(missing))
			used += (size_t)snprintf(missing + used,
						 sizeof(missing) - used,
						 "%s%s", used ? ", " : "",
						 all[i].name);
	}
	if (missing[0] != '\0')
		log_info("s3", "bucket=%s does not honour: %s; the next safest "
			 "way is taken", export->url, missing);
}

/* Names that the bucket would not give back as they are. */
static void
log_mangled(const struct settings_export *export, unsigned mangled)
{
	static const struct { enum s3_odd bit; const char *name; } all[] = {
		{S3_ODD_BACKSLASH, "backslashes"}, {S3_ODD_NEWLINE, "newlines"},
		{S3_ODD_TAB, "tabs"}, {S3_ODD_CONTROL, "control characters"},
		{S3_ODD_NONCHAR, "U+FFFE and U+FFFF"},
	};
	char text[128] = "";
	size_t used = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (mangled & all[i].bit && used < sizeof(text))
			used += (size_t)snprintf(text + used,
						 sizeof(text) - used, "%s%s",
						 used ? ", " : "",
						 all[i].name);
	if (used > 0)
		log_info("s3", "bucket=%s does not keep in keys: %s; names "
			 "with them are refused", export->url, text);
}

/* Why a bucket cannot be used, for people. */
static void
explain(int r, const struct s3_error *err, char *out, size_t size)
{
	const char *what = r == -EACCES || r == -EKEYREJECTED
			       ? "access denied: "
			   : r == -ENODEV ? "no such bucket: "
					  : "";

	snprintf(out, size, "%s%s", what, err->code[0] != '\0' ? err->code :
		 err->message[0] != '\0' ? err->message : strerror(-r));
}

/* One line for a bucket that does not do, and one when it does again.  A WRONG
 * one is the start's to tell, until that is over. */
static void
say_locked(struct probe *p)
{
	const char *url = p->settings->url;

	if (p->export == NULL || p->stopping)
		return;
	if (p->verdict == PROBE_GOOD && p->said)
		log_info("s3", "bucket=%s answers now", url);
	if (p->verdict == PROBE_GOOD || p->said ||
	    (p->verdict == PROBE_WRONG && !p->settled))
		return;
	p->said = true;
	if (p->verdict != PROBE_SILENT)
		log_err("s3", "bucket=%s cannot be used, trying on: %s", url,
			p->why);
	else
		log_warn("s3", "bucket=%s does not answer, trying on: %s", url,
			 p->why);
}

static void
pause_locked(struct probe *p, unsigned ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	while (!p->stopping && !p->back &&
	       pthread_cond_timedwait(&p->told, &p->lock, &until) !=
	       ETIMEDOUT)
		;
	p->back = false;
}

/* No scratch key stays: what an earlier probe left, or this one.  Until the
 * store is heard again, or has said no. */
static void
sweep_locked(struct probe *p)
{
	unsigned pause_ms = PAUSE_FIRST_MS;
	char scratch[1100];
	int r = -EAGAIN;

	scratch_prefix(p, scratch);
	while (!p->stopping) {
		struct s3_error err = {0};

		pthread_mutex_unlock(&p->lock);
		r = s3_probe_sweep(p->s3, scratch, &err);
		if (r < 0 && r != -EAGAIN && r != -EKEYREJECTED &&
		    r != -ENODEV)
			log_warn("s3", "bucket=%s scratch keys are left: "
				 "prefix=%s error=%s", p->settings->url,
				 scratch, err.code[0] != '\0' ? err.code :
				 strerror(-r));
		pthread_mutex_lock(&p->lock);
		if (r != -EAGAIN && r != -EKEYREJECTED && r != -ENODEV)
			break;
		pause_locked(p, pause_ms);
		pause_ms = pause_ms < PAUSE_LAST_MS / 2 ? 2 * pause_ms :
							  PAUSE_LAST_MS;
	}
}

static void *
probe_main(void *arg)
{
	struct probe *p = arg;
	unsigned pause_ms = PAUSE_FIRST_MS;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping && p->verdict != PROBE_GOOD) {
		struct s3_error err = {0};
		struct s3_caps caps;
		int r;

		pthread_mutex_unlock(&p->lock);
		r = ask(p, &caps, &err);
		if (r == 0 && p->export != NULL) {
			gate_export_caps(p->export, &caps);
			if (!p->settings->options.readonly)
				log_caps(p->settings, &caps);
			log_mangled(p->settings, caps.mangled);
		}
		pthread_mutex_lock(&p->lock);
		if (r < 0)
			explain(r, &err, p->why, sizeof(p->why));
		p->verdict = verdict_of(r);
		say_locked(p);
		pthread_cond_broadcast(&p->told);
		if (r == 0)
			break;
		pause_locked(p, pause_ms);
		pause_ms = pause_ms < PAUSE_LAST_MS / 2 ? 2 * pause_ms :
							  PAUSE_LAST_MS;
	}
	if (p->verdict == PROBE_GOOD && p->export != NULL &&
	    !p->settings->options.readonly)
		sweep_locked(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- is it there? ---- */

/* One line when a bucket goes, and one when it is back. */
static void
say_away(void *arg, bool away, const struct s3_absence *absence)
{
	struct probe *p = arg;
	const struct settings_export *export = p->settings;
	struct timespec now;
	long long s;

	clock_gettime(CLOCK_REALTIME, &now);
	s = (long long)now.tv_sec - absence->since_ns / 1000000000;
	if (away) {
		log_warn("s3", "bucket=%s is away, %s: %s", export->url,
			 export->options.offline_wait ? "clients wait" :
			 "clients are answered from what is known",
			 absence->why);
		return;
	}
	log_info("s3", "bucket=%s is back, after %lld s", export->url,
		 s > 0 ? s : 0LL);
	gate_export_back(p->export);
	pthread_mutex_lock(&p->lock);
	p->back = true;
	pthread_cond_broadcast(&p->told);
	pthread_mutex_unlock(&p->lock);
}

/* For as long as s3 is open, and until s3_cancel with words. */
static int
watch(struct probe *p)
{
	struct s3_watch config = {
		.prefix = p->settings->prefix,
		.wait_ms = (unsigned)p->settings->options.store_wait_ms,
		.refuse = !p->settings->options.offline_wait,
		.told = say_away,
		.told_arg = p,
	};

	return s3_watch(p->s3, &config);
}

int
probe_start(const struct settings_export *settings, struct s3 *s3,
	    struct gate_export *export, struct probe **out)
{
	struct probe *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;
	int r;

	if (p == NULL)
		return -ENOMEM;
	p->settings = settings;
	p->s3 = s3;
	p->export = export;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->told, &attr);
	pthread_condattr_destroy(&attr);
	r = export != NULL ? watch(p) : 0;
	if (r == 0)
		r = -pthread_create(&p->thread, NULL, probe_main, p);
	if (r < 0) {
		s3_cancel(s3);	/* the start ends with that */
		pthread_cond_destroy(&p->told);
		pthread_mutex_destroy(&p->lock);
		free(p);
		return r;
	}
	*out = p;
	return 0;
}

enum probe_verdict
probe_wait(struct probe *p, uint64_t until_ms, char *why, size_t size)
{
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};
	enum probe_verdict verdict;

	pthread_mutex_lock(&p->lock);
	while (p->verdict == PROBE_ASKING &&
	       pthread_cond_timedwait(&p->told, &p->lock, &until) !=
	       ETIMEDOUT)
		;
	verdict = p->verdict;
	snprintf(why, size, "%s", p->why);
	pthread_mutex_unlock(&p->lock);
	return verdict;
}

void
probe_settle(struct probe *p)
{
	pthread_mutex_lock(&p->lock);
	p->settled = true;
	if (p->verdict == PROBE_WRONG)
		say_locked(p);
	pthread_mutex_unlock(&p->lock);
}

void
probe_stop(struct probe **slot)
{
	struct probe *p = *slot;

	*slot = NULL;
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->told);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->told);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int
probe_check(const struct settings_export *settings, struct s3 *s3, char *why,
	    size_t size)
{
	enum probe_verdict verdict;
	struct probe *p = NULL;
	struct timespec now;
	int r = probe_start(settings, s3, NULL, &p);

	if (r < 0) {
		snprintf(why, size, "%s", strerror(-r));
		return r;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	verdict = probe_wait(p, (uint64_t)now.tv_sec * 1000 + CHECK_MS, why,
			     size);
	if (verdict == PROBE_ASKING)
		snprintf(why, size, "no answer in %d s", CHECK_MS / 1000);
	s3_cancel(s3);
	probe_stop(&p);
	return verdict == PROBE_GOOD ? 0 : -EIO;
}
