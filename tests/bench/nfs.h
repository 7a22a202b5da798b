/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_NFS_H
#define BENCH_NFS_H

/* NFSv3 and MOUNT calls (RFC 1813) on slots, and their results; see nfs.c. */

#include "tests/bench/wire.h"

#define NFS_FHSIZE 64u
#define NFS3ERR_JUKEBOX 10008u
#define NF3REG 1u
#define NF3DIR 2u
#define NFS_UNSTABLE 0u
#define NFS_FILE_SYNC 2u

struct fh {
	uint8_t bytes[NFS_FHSIZE];
	size_t len;
};

struct attr {
	bool present;
	uint32_t type;
	uint32_t mode;
	uint64_t size;
	uint64_t fileid;
};

/* Result of mnt: the root handle of an export.  Blocking, its own socket. */
int nfs_mount(const char *host, unsigned port, const char *path,
	      struct fh *root, char *error, size_t error_len);

/* Each prepares the call; the caller submits it. */
void nfs_getattr(struct wire *w, struct slot *s, const struct fh *fh);
void nfs_lookup(struct wire *w, struct slot *s, const struct fh *dir,
		const char *name);
void nfs_read(struct wire *w, struct slot *s, const struct fh *fh,
	      uint64_t off, uint32_t len);
/* data: len bytes, a multiple of 4, valid until the reply. */
void nfs_write(struct wire *w, struct slot *s, const struct fh *fh,
	       uint64_t off, const uint8_t *data, uint32_t len,
	       uint32_t stable);
void nfs_commit(struct wire *w, struct slot *s, const struct fh *fh);
/* CREATE GUARDED, or UNCHECKED with size 0. */
void nfs_create(struct wire *w, struct slot *s, const struct fh *dir,
		const char *name, bool guarded, uint32_t mode);
void nfs_mkdir(struct wire *w, struct slot *s, const struct fh *dir,
	       const char *name);
void nfs_remove(struct wire *w, struct slot *s, const struct fh *dir,
		const char *name, bool is_dir);
void nfs_readdirplus(struct wire *w, struct slot *s, const struct fh *dir,
		     uint64_t cookie, const uint8_t verf[8]);
void nfs_fsinfo(struct wire *w, struct slot *s, const struct fh *fh);

/* Parts of results. */
void get_attr(struct in *in, struct attr *out);
void get_post_attr(struct in *in, struct attr *out);
void get_wcc(struct in *in, struct attr *after);
void get_fh(struct in *in, struct fh *out);

/* ---- blocking helpers for set-up and checks; -1 with w->error ---- */
int nfs_find(struct wire *w, const struct fh *root, const char *path,
	     struct fh *out, struct attr *attr);
/* Call slot 0, again while the answer is JUKEBOX; the status, or UINT32_MAX. */
uint32_t nfs_call(struct wire *w, struct in *in);
int nfs_attr_of(struct wire *w, const struct fh *fh, struct attr *out);
/* A file (emptied if it is there) or a directory below root. */
int nfs_make(struct wire *w, const struct fh *root, const char *path,
	     bool dir, struct fh *out);
struct nfs_limits {
	uint32_t read, write;
};
int nfs_limits(struct wire *w, const struct fh *root, struct nfs_limits *out);

#endif
