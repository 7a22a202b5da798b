/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store does not let us read the tags or the ACL of an object.  Three
 * things look the same at first:
 *
 *	a bad hour of the store		its object waits, and keeps them
 *	this one object (archived,	told by another one's that could be
 *	 another owner's)		read since: this object loses them
 *	our rights, for all objects	told by time: all lose them, and none
 *					is asked for during the next hour
 *
 * Who could read them before waits long, and who never could only a minute:
 * bytes are not kept back for their sake.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "s3/remote.h"

#define NEVER_MS 60000
#define CLOSED_MS 3600000

static uint64_t
hash(const char *key)
{
	uint64_t h = 14695981039346656037ULL;	/* FNV-1a */

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * 1099511628211ULL;
	return h | 1;			/* 0: a free place */
}

void
s3_denials_init(struct s3_denials *d, unsigned wait_ms)
{
	memset(d, 0, sizeof(*d));
	pthread_mutex_init(&d->mutex, NULL);
	d->wait_ms = wait_ms;
}

void
s3_denials_fini(struct s3_denials *d)
{
	pthread_mutex_destroy(&d->mutex);
}

bool
s3_denials_closed(struct s3_denials *d)
{
	bool closed;

	pthread_mutex_lock(&d->mutex);
	closed = d->closed_ms > s3_mono_ms();
	pthread_mutex_unlock(&d->mutex);
	return closed;
}

void
s3_denials_allowed(struct s3_denials *d)
{
	pthread_mutex_lock(&d->mutex);
	d->allowed_ms = s3_mono_ms();
	d->denied_ms = 0;
	pthread_mutex_unlock(&d->mutex);
}

bool
s3_denials_were_allowed(struct s3_denials *d)
{
	bool were;

	pthread_mutex_lock(&d->mutex);
	were = d->allowed_ms != 0;
	pthread_mutex_unlock(&d->mutex);
	return were;
}

enum s3_denial
s3_denials_judge(struct s3_denials *d, const char *key)
{
	uint64_t h = hash(key);
	int64_t now = s3_mono_ms(), wait;
	enum s3_denial denial = S3_DENIED_WAIT;

	pthread_mutex_lock(&d->mutex);
	struct s3_denied *slot = &d->keys[h % S3_DENIED_KEYS];

	if (slot->key != h || now - slot->since_ms > CLOSED_MS)
		*slot = (struct s3_denied){ h, now };
	if (d->denied_ms == 0)
		d->denied_ms = now;
	wait = d->allowed_ms == 0 && d->wait_ms > NEVER_MS ? NEVER_MS
							    : d->wait_ms;
	/* Which stays so for a while: not every other try has to wait. */
	if (d->allowed_ms > slot->since_ms) {
		denial = S3_DENIED_OBJECT;
	} else if (now - d->denied_ms >= wait) {
		denial = S3_DENIED_ALL;
		d->closed_ms = now + CLOSED_MS;
		d->denied_ms = 0;
	}
	pthread_mutex_unlock(&d->mutex);
	return denial;
}
