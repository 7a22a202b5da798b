/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to try again.  The clock starts at the first failure, so that one
 * stalled connection does not use up the time for repeating; until
 * retry_ms have passed since then, waits double from 25 ms to 3 s, each drawn
 * evenly between a half and the whole of that ("equal jitter": many callers
 * thrown back at once come again at different times, yet none at once).  A
 * `Retry-After` (RFC 9110 10.2.3) is the least wait; one that reaches past
 * the end ends the matter.  A body that does not match is asked for anew
 * three times, no matter how quickly that goes.
 *
 * Which requests may be repeated: all of them.  GET, HEAD, LIST, plain PUT,
 * parts, copies and deletes are idempotent in S3.  A second Create would
 * leave an upload that nobody knows, and is not made.  A second Complete may
 * find the upload gone (-ENOENT, see s3.h).  A conditional PUT or copy whose
 * answer was lost refuses itself on the second try: the caller settles that
 * with a HEAD (object.c, s3_settle).
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <openssl/rand.h>
#include "s3/remote.h"

#define FIRST_MS 25
#define LAST_MS 3000
#define BODIES_MAX 3

void
s3_retry_init(struct s3_retry *retry, unsigned retry_ms)
{
	*retry = (struct s3_retry){ .retry_ms = retry_ms };
}

static uint64_t
next_random(struct s3_retry *retry)
{
	if (retry->random == 0 &&
	    RAND_bytes((unsigned char *)&retry->random,
		       sizeof(retry->random)) != 1)
		retry->random = (uint64_t)s3_mono_ms() ^ (uintptr_t)retry;
	retry->random = retry->random * 6364136223846793005ULL +
			1442695040888963407ULL;
	return retry->random >> 33;
}

/* Milliseconds asked for, 0 if none or not understood. */
static int64_t
after_ms(const char *text)
{
	char *end;
	int64_t at;
	long s;

	if (text == NULL)
		return 0;
	errno = 0;
	s = strtol(text, &end, 10);
	if (end != text && *end == '\0' && errno == 0 && s >= 0)
		return s < 86400 ? (int64_t)s * 1000 : 86400000;
	at = s3_date_http(text);
	if (at < 0 || at <= s3_now_s())
		return 0;
	return (at - s3_now_s()) * 1000;
}

int
s3_retry_wait(struct s3_retry *retry, int result, const char *retry_after)
{
	int64_t now = s3_mono_ms(), wait = FIRST_MS, asked;

	if (result == -EBADMSG) {
		if (++retry->bad_bodies >= BODIES_MAX)
			return -1;
	} else if (result != -EAGAIN) {
		return -1;
	}
	if (retry->tries++ == 0)
		retry->end_ms = now + retry->retry_ms;
	for (unsigned i = 1; i < retry->tries && wait < LAST_MS; i++)
		wait *= 2;
	if (wait > LAST_MS)
		wait = LAST_MS;
	wait = wait / 2 + (int64_t)(next_random(retry) %
				    (uint64_t)(wait / 2 + 1));
	asked = after_ms(retry_after);
	if (wait < asked)
		wait = asked + (int64_t)(next_random(retry) % 50);
	if (now + wait > retry->end_ms)
		return -1;
	return (int)wait;
}
