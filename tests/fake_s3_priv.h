/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_S3_PRIV_H
#define TESTS_FAKE_S3_PRIV_H

/*
 * The bucket in memory, for fake_s3.c and fake_s3_calls.c alone.
 */

#include <pthread.h>
#include <sys/queue.h>

#include "tests/fake_s3.h"

struct object {
	LIST_ENTRY(object) link;	/* by key */
	char key[S3_KEY_MAX + 1];
	char etag[S3_ETAG_MAX];
	char *data;
	uint64_t size;
	int64_t mtime_ns;
	struct s3_headers headers;
	enum fake_s3_lock lock;
	bool ghost;
};

struct part {
	char *data;
	uint64_t size;
};

struct multipart {
	LIST_ENTRY(multipart) link;
	char key[S3_KEY_MAX + 1];
	char id[32];
	int64_t initiated_ns;
	struct s3_headers headers;
	struct part parts[64];
};

struct fault {
	unsigned skip, times;
	int result;
	int lost;	/* answer with this after the work */
	bool hold;
	unsigned slow_ms, now, peak;
};

struct s3 {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	LIST_HEAD(, object) objects;
	LIST_HEAD(, multipart) uploads;
	struct fault faults[S3_OP_COUNT];
	unsigned calls[S3_OP_COUNT];
	unsigned held, next_id;
	int64_t clock_ns;
	bool cancelled, away;
	const char *denied;	/* keys that begin so are not deleted */
	unsigned ghosts;
	struct s3_caps caps;
};

/* ---- fake_s3.c; the mutex is held ---- */

void fake_s3_md5(const void *data, size_t len, char out[S3_ETAG_MAX]);
/* NULL: there is none, or a ghost. */
struct object *fake_s3_find(struct s3 *s3, const char *key);
void fake_s3_drop(struct object *o);
/* In the place of one of that key; takes data over. */
struct object *fake_s3_store(struct s3 *s3, const char *key, char *data,
			     uint64_t size, const struct s3_headers *headers);
void fake_s3_upload_free(struct multipart *m);

#endif
