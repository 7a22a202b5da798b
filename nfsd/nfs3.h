/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_NFS3_H
#define NFSD_NFS3_H

/*
 * nfs3: the 22 procedures of RFC 1813.  Each decodes its handle, passes the
 * access gate (both in nfs3_enter), makes one call of the gate and fills the
 * result.  This header is for them and for who sets them up.
 */

#include <stdbool.h>
#include <stdint.h>

#include "nfsd/exports.h"
#include "nfsd/fh.h"
#include "nfsd/gate/gate.h"
#include "nfsd/log.h"
#include "nfsd/rpc/rpc.h"
#include "rpcgen/nfs3.h"

#define NFS3_FILE_MAX (5ULL << 40)	/* S3: the largest object */
#define NFS3_DIR_MAX (256U << 10)	/* bytes of a READDIR reply */
#define NFS3_DRC_MS 120000		/* rule.md 8 */
#define NFS3_LINK_MAX 32000

struct nfs3 {			/* the program's argument */
	struct gate *gate;
	struct exports *exports;
	struct fh_signer *signer;
	/* CLOCK_MONOTONIC: until then a call may be the repetition of one
	 * that the process before this one carried out. */
	uint64_t drc_until_ms;
	struct log_limit refused;
};

/* The program's tables; they are static. */
void nfs3_program(struct nfs3 *nfs, struct rpc_program *out);
/* rpc_server_config.share_key for NFS: the export a handle claims. */
uint64_t nfs3_share_key(const struct rpc_request *rq, const void *args);

/* ---- for the procedures ---- */

/* One attempt at one call.  It lies in rpc_request.scratch, since the gate
 * may keep &call->gate while the call is held. */
struct nfs3_call {
	struct gate_request gate;
	struct gate_drc_entry drc;
	struct gate_fh fh;	/* the first handle of the arguments */
	struct rpc_request *rq;
	struct nfs3 *nfs;
	struct gate_export *export;	/* NULL: entry was refused */
	uint32_t export_id;
};

enum nfs3_intent { NFS3_LOOKS, NFS3_CHANGES };

/*
 * Open the handle, pass the access gate.  *out is set in any case.  -EBADF,
 * -ESTALE, -EACCES; -EROFS for NFS3_CHANGES on a read-only export, which is
 * an error inside the export: attributes may be given.
 */
int nfs3_enter(struct rpc_request *rq, const nfs_fh3 *fh,
	       enum nfs3_intent intent, struct nfs3_call **out)
	__attribute__((warn_unused_result));

/* A second handle of the same call: -EXDEV if it is of another export. */
int nfs3_second(struct nfs3_call *call, const nfs_fh3 *fh,
		struct gate_fh *out) __attribute__((warn_unused_result));

/* Turn the result of a call into its status and what the transport does. */
enum rpc_outcome nfs3_leave(struct nfs3_call *call, int r, nfsstat3 *status);

/*
 * Was this call carried out before a restart?  1 with what it made (ino 0 if
 * nothing), 0 if not, -EAGAIN when that takes a thread.
 */
int nfs3_drc_find(struct nfs3_call *call, struct gate_fh *made)
	__attribute__((warn_unused_result));

/*
 * RFC 1813 3.2: -EACCES for a name that is none, -ENAMETOOLONG.  dot and
 * dotdot: what "." and ".." are answered with, 0 if they may pass.
 */
int nfs3_name(const char *name, int dot, int dotdot)
	__attribute__((warn_unused_result));

void nfs3_fattr(const struct gate_attr *from, fattr3 *to);
void nfs3_post_op(const struct gate_attr *from, post_op_attr *to);
void nfs3_post_dir(const struct gate_wcc *from, post_op_attr *to);
void nfs3_wcc(const struct gate_wcc *from, wcc_data *to);
/* Attributes for an error's reply, if they can be had without waiting. */
void nfs3_post_op_try(struct nfs3_call *call, const struct gate_fh *fh,
		      post_op_attr *to);
/* Complete a wcc whose `after` the gate could not tell. */
void nfs3_wcc_try(struct nfs3_call *call, const struct gate_fh *fh,
		  const struct gate_wcc *from, wcc_data *to);

/* A handle for the result, malloced: the codec frees it.  -ENOMEM, -EIO. */
int nfs3_handle(struct nfs3_call *call, const struct gate_fh *from,
		nfs_fh3 *to) __attribute__((warn_unused_result));
void nfs3_post_handle(struct nfs3_call *call, const struct gate_fh *from,
		      post_op_fh3 *to);

int64_t nfs3_time_ns(const nfstime3 *from);
/* -EINVAL for nanoseconds past a second. */
int nfs3_sattr(const sattr3 *from, struct gate_setattr *to)
	__attribute__((warn_unused_result));

#define NFS3_PROCEDURE(name) \
	enum rpc_outcome name(struct rpc_request *rq, void *argp, void *resp)

NFS3_PROCEDURE(nfs3_getattr);	/* nfs3_attr.c */
NFS3_PROCEDURE(nfs3_setattr);
NFS3_PROCEDURE(nfs3_access);
NFS3_PROCEDURE(nfs3_readlink);
NFS3_PROCEDURE(nfs3_lookup);	/* nfs3_name.c */
NFS3_PROCEDURE(nfs3_create);
NFS3_PROCEDURE(nfs3_mkdir);
NFS3_PROCEDURE(nfs3_symlink);
NFS3_PROCEDURE(nfs3_mknod);
NFS3_PROCEDURE(nfs3_remove);
NFS3_PROCEDURE(nfs3_rmdir);
NFS3_PROCEDURE(nfs3_rename);
NFS3_PROCEDURE(nfs3_link);
NFS3_PROCEDURE(nfs3_read);	/* nfs3_data.c */
NFS3_PROCEDURE(nfs3_write);
NFS3_PROCEDURE(nfs3_commit);
NFS3_PROCEDURE(nfs3_readdir);	/* nfs3_dir.c */
NFS3_PROCEDURE(nfs3_readdirplus);
NFS3_PROCEDURE(nfs3_null);	/* nfs3_fs.c */
NFS3_PROCEDURE(nfs3_fsstat);
NFS3_PROCEDURE(nfs3_fsinfo);
NFS3_PROCEDURE(nfs3_pathconf);

/*
 * READDIR's and READDIRPLUS' result: what stands before the entries.  The
 * entries, the end of their list and `eof` are encoded already and follow as
 * the reply's tail.
 */
struct nfs3_dir_result {
	nfsstat3 status;
	post_op_attr dir_attributes;
	cookieverf3 cookieverf;
};
bool_t xdr_nfs3_dir_result(XDR *xdrs, struct nfs3_dir_result *result);

#endif
