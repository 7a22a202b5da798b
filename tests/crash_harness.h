/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_HARNESS_H
#define TESTS_CRASH_HARNESS_H

/*
 * A daemon to be killed, its bucket seen from behind, and a client.
 *
 * The daemon is started on a fresh state directory and a prefix of its own
 * in the bucket, told by S3NFSD_FAIL where to die, and started again on what
 * it left.
 */

#include <sys/types.h>

#include "s3/s3.h"
#include "tests/rpcclient.h"

struct harness {
	const char *daemon, *ctl;	/* programs */
	const char *bucket, *endpoint;	/* URL; NULL: embedded */
	char dir[200];			/* all files of this case */
	char url[400];			/* of the export */
	char prefix[64];		/* of its keys in s3 */
	char export[64];
	struct s3 *s3;
	pid_t pid;
	uint16_t port;
	struct rpcc a, b;		/* two hosts */
	struct nc_fh root;
	unsigned cases;			/* so far */
	char why[400];			/* the first failure */
};

/* An object as the bucket lists it. */
struct seen {
	bool there;
	uint64_t size;
	int64_t mtime_ns;
	char etag[S3_ETAG_MAX];
};

int harness_init(struct harness *r);
void harness_fini(struct harness *r);
/* fail: NAME[:COUNT] or NULL.  Connects both clients. */
int harness_start(struct harness *r, const char *fail);
/* SIGTERM; the exit status has to be 0. */
int harness_stop(struct harness *r);
/* It has to kill itself in that time. */
int harness_crashed(struct harness *r, unsigned ms);
void harness_kill(struct harness *r);
/* Nothing is left to upload. */
int harness_settled(struct harness *r, unsigned ms);
/* Output of s3nfsctl, at most size - 1 bytes. */
int harness_ctl(struct harness *r, const char *command, char *out, size_t size);

int harness_look(struct harness *r, const char *name, struct seen *out);
/* The object's bytes are these. */
int harness_object_is(struct harness *r, const char *name, const void *data,
		      uint64_t size);
int harness_put(struct harness *r, const char *name, const void *data,
		uint64_t size);
/* Keys of the export and multipart uploads under way. */
int harness_count_keys(struct harness *r, unsigned *keys, unsigned *uploads);

/* Writes with UNSTABLE and COMMIT; 0 only if both were answered. */
int harness_write(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
		  const char *data, uint64_t size);
/* Over NFS the file is this; retries while it is not to be read. */
int harness_file_is(struct rpcc *c, const struct nc_fh *fh, const void *data,
		    uint64_t size);
void harness_pattern(char *buf, uint64_t size, unsigned seed);
/* Notes the first failure; returns -1. */
int harness_bad(struct harness *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
