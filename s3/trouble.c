/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ails the account: keys, clock, region, quota, certificate, bucket.  All
 * requests are refused alike, so it is told once, when it begins, and when it
 * is over; whoever asks (status) hears what and since when.
 *
 * One that comes and goes is told once a minute, or it would fill the log.
 *
 * It is over when the store takes requests again of the kind that it refused,
 * reading or writing: a quota, or keys that may only read, let the others pass.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "s3/remote.h"

#define SAY_MS 60000
#define STALE_MS 120000		/* nobody asks any more */

static void
say(struct s3 *s3, enum s3_level level, const char *line)
{
	if (s3->config.log != NULL)
		s3->config.log(s3->config.log_arg, level, line);
}

static void
begins_or_goes_on(struct s3 *s3, bool writes, int result,
		  const struct s3_error *err)
{
	struct s3_ailment *a = &s3->ailment;
	char what[sizeof(a->told.what)], line[sizeof(what) + 128];
	bool news;

	snprintf(what, sizeof(what), "%s%s%s", err->code,
		 err->code[0] != '\0' ? ": " : "", err->message);
	pthread_mutex_lock(&a->mutex);
	if (a->told.result == 0) {
		a->said = false;
		a->told.since_ns = s3_now_ns();
		a->told.refused = 0;
	}
	news = (!a->said || a->told.result != result) &&
	       (a->said_ms == 0 || a->said_ms + SAY_MS <= s3_mono_ms());
	a->told.refused++;
	a->told.result = result;
	a->refused_ms[writes] = s3_mono_ms();
	strcpy(a->told.what, what);
	if (news) {
		a->said_ms = s3_mono_ms();
		a->said = true;
	}
	__atomic_store_n(&s3->ails, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&a->mutex);
	snprintf(line, sizeof(line), "bucket=%s is refused for the account's "
		 "sake, all waits: %s", s3->bucket, what);
	if (news)
		say(s3, S3_LOG_ERR, line);
}

static void
ends(struct s3 *s3, bool writes)
{
	struct s3_ailment *a = &s3->ailment;
	char line[256];
	bool over, say_it;

	pthread_mutex_lock(&a->mutex);
	a->refused_ms[writes] = 0;
	over = a->told.result != 0 &&
	       (a->refused_ms[!writes] == 0 ||
		a->refused_ms[!writes] + STALE_MS < s3_mono_ms());
	if (over) {
		snprintf(line, sizeof(line), "bucket=%.100s takes requests "
			 "again: seconds=%lld refused=%llu", s3->bucket,
			 (long long)(s3_now_ns() - a->told.since_ns) /
				 1000000000,
			 (unsigned long long)a->told.refused);
		a->told.result = 0;
		__atomic_store_n(&s3->ails, false, __ATOMIC_RELAXED);
	}
	say_it = over && a->said;
	pthread_mutex_unlock(&a->mutex);
	if (say_it)
		say(s3, S3_LOG_INFO, line);
}

void
s3_trouble_note(struct s3 *s3, bool writes, int result,
		const struct s3_error *err)
{
	switch (s3_meaning(result)) {
	case S3_ACCOUNT:
		begins_or_goes_on(s3, writes, result, err);
		break;
	case S3_DONE:
	case S3_ABSENT:
	case S3_UNMET:
		if (__atomic_load_n(&s3->ails, __ATOMIC_RELAXED))
			ends(s3, writes);
		break;
	case S3_REFUSED:
	case S3_LATER:
		break;
	}
}

bool
s3_trouble(struct s3 *s3, struct s3_trouble *out)
{
	struct s3_ailment *a = &s3->ailment;

	pthread_mutex_lock(&a->mutex);
	*out = a->told;
	pthread_mutex_unlock(&a->mutex);
	return out->result != 0;
}
