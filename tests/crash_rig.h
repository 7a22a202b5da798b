/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_RIG_H
#define TESTS_CRASH_RIG_H

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

struct rig {
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

int rig_init(struct rig *r);
void rig_fini(struct rig *r);
/* fail: NAME[:COUNT] or NULL.  Connects both clients. */
int rig_start(struct rig *r, const char *fail);
/* SIGTERM; the exit status has to be 0. */
int rig_stop(struct rig *r);
/* It has to kill itself in that time. */
int rig_crashed(struct rig *r, unsigned ms);
void rig_kill(struct rig *r);
/* Nothing is left to upload. */
int rig_settled(struct rig *r, unsigned ms);
/* Output of s3nfsctl, at most size - 1 bytes. */
int rig_ctl(struct rig *r, const char *command, char *out, size_t size);

int rig_look(struct rig *r, const char *name, struct seen *out);
/* The object's bytes are these. */
int rig_object_is(struct rig *r, const char *name, const void *data,
		  uint64_t size);
int rig_put(struct rig *r, const char *name, const void *data, uint64_t size);
/* Keys of the export and multipart uploads under way. */
int rig_count_keys(struct rig *r, unsigned *keys, unsigned *uploads);

/* Writes with UNSTABLE and COMMIT; 0 only if both were answered. */
int rig_write(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	      const char *data, uint64_t size);
/* Over NFS the file is this; retries while it is not to be read. */
int rig_file_is(struct rpcc *c, const struct nc_fh *fh, const void *data,
		uint64_t size);
void rig_pattern(char *buf, uint64_t size, unsigned seed);
/* Notes the first failure; returns -1. */
int rig_bad(struct rig *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
