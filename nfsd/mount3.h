/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_MOUNT3_H
#define NFSD_MOUNT3_H

/* mount3: the MOUNT protocol, version 3 (RFC 1813 5) and 1 (RFC 1094 A). */

#include "nfsd/nfs3.h"
#include "nfsd/rpc/rpc.h"
#include "rpcgen/mount.h"

#define MOUNT3_TABLE_MAX 1024	/* rows of DUMP; the oldest goes first */

struct mount3;

/* nfs stays the caller's and outlives it.  -ENOMEM. */
int mount3_new(struct nfs3 *nfs, struct mount3 **out)
	__attribute__((warn_unused_result));
void mount3_free(struct mount3 **mount);
void mount3_program(struct mount3 *mount, struct rpc_program *out);
/* rpc_server_config.share_key for MOUNT: the export of the path. */
uint64_t mount3_share_key(const struct rpc_request *rq, const void *args);
unsigned mount3_count(struct mount3 *mount);

/*
 * "/", one slash between names, none at the end, "." left out.  -EINVAL for
 * "..", a relative or empty path; -ENAMETOOLONG if it does not fit.
 */
int mount3_clean_path(const char *path, char *out, size_t size)
	__attribute__((warn_unused_result));

#endif
