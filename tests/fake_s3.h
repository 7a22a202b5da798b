/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_S3_H
#define TESTS_FAKE_S3_H

/*
 * A bucket in memory behind s3/s3.h, linked in place of libs3.a, for tests of
 * gate.  Conditions are honoured as AWS does.  Calls can be made to fail, to
 * lose their answer, or to wait until they are let go.
 */

#include "s3/s3.h"

struct s3 *fake_s3_new(void);
void fake_s3_free(struct s3 *s3);

/* The nth call of op from now on (1: the next) and those after it, `times`
 * in all, fail with result before they do anything. */
void fake_s3_fail(struct s3 *s3, enum s3_op op, unsigned nth, unsigned times,
		  int result);
/* The next call of op does its work, and then answers with result. */
void fake_s3_lose(struct s3 *s3, enum s3_op op, int result);
/* Keys that begin so may not be deleted, from now on; NULL: all may. */
void fake_s3_deny(struct s3 *s3, const char *prefix);
/* Calls of op wait before they do anything, until the release. */
void fake_s3_hold(struct s3 *s3, enum s3_op op);
void fake_s3_release(struct s3 *s3);
/* Each call of op takes so long. */
void fake_s3_slow(struct s3 *s3, enum s3_op op, unsigned ms);
/* How many of those were under way at once, at most. */
unsigned fake_s3_peak(struct s3 *s3, enum s3_op op);
/* Wait until a call is held; false after 30 s. */
bool fake_s3_is_held(struct s3 *s3);

/* What it honours of PUT's and Complete's conditions, for the next probe. */
void fake_s3_caps(struct s3 *s3, const struct s3_caps *caps);
/* Has it been found to be away? */
void fake_s3_away(struct s3 *s3, bool away);
/* Conditions on CompleteMultipartUpload, as radosgw does. */
void fake_s3_ignore_complete(struct s3 *s3);
/* After s3_cancel: the next gate may use it. */
void fake_s3_revive(struct s3 *s3);

/* What other users of the bucket do and see. */
void fake_s3_set(struct s3 *s3, const char *key, const void *data, size_t len);
/* ... with file-permissions */
void fake_s3_set_mode(struct s3 *s3, const char *key, const char *text,
		      const char *mode);
/* Archived, restored, or encrypted with a key of theirs, from now on. */
enum fake_s3_lock { FAKE_S3_OPEN, FAKE_S3_ARCHIVED, FAKE_S3_RESTORED,
		    FAKE_S3_ENCRYPTED,
		    FAKE_S3_UNTOLD,	/* archived; a GET tells it, */
		    FAKE_S3_LISTED };	/* or a listing, but no HEAD */
void fake_s3_lock(struct s3 *s3, const char *key, enum fake_s3_lock lock);
void fake_s3_unset(struct s3 *s3, const char *key);
/* Listings tell of it, and it is not there. */
void fake_s3_ghost(struct s3 *s3, const char *key);
/* Its clock, a second an object, is at the present from now on. */
void fake_s3_now(struct s3 *s3);
bool fake_s3_has(struct s3 *s3, const char *key);
/* Are these its bytes? */
bool fake_s3_is(struct s3 *s3, const char *key, const void *data, size_t len);
/* Its bytes, malloced; their number. */
size_t fake_s3_copy(struct s3 *s3, const char *key, char **data);
unsigned fake_s3_calls(struct s3 *s3, enum s3_op op);
/* Objects of directories that were deleted before what was in them. */
unsigned fake_s3_ghosts(struct s3 *s3);
unsigned fake_s3_uploads(struct s3 *s3);	/* multipart, under way */
/* Another one, of somebody else. */
void fake_s3_begun(struct s3 *s3, const char *key, int64_t initiated_ns);

#endif
