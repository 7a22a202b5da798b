/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the procedures share: the way in (handle, export, access gate), the
 * way out (errno to status, "not yet" to thread, hold or JUKEBOX), and the
 * translation between XDR's structs and the gate's.
 *
 * A call may run more than once: on an event thread, then on a worker, then
 * again after a hold.  Each attempt begins at nfs3_enter and fills everything
 * anew, so that nothing of an attempt that came to nothing is left over, and
 * an export whose rules changed in between is asked again.
 *
 * An entry that was refused tells nothing: no attributes, and one line in the
 * log, at most every few seconds.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nfsd/nfs3.h"
#include "nfsd/status.h"

#define NS_PER_S 1000000000LL

_Static_assert(sizeof(struct nfs3_call) <= RPC_SCRATCH,
	       "a call has to fit into the transport's request");

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int
refuse(struct nfs3 *nfs, const struct rpc_request *rq,
       const struct exports_entry *entry, const char *reason)
{
	char text[INET6_ADDRSTRLEN] = "?";
	struct in6_addr addr;
	uint16_t port = 0;

	if (exports_peer(&rq->peer, &addr, &port))
		inet_ntop(AF_INET6, &addr, text, sizeof(text));
	log_limited(&nfs->refused, LOG_LEVEL_WARN, "nfs3",
		    "refused client=%s port=%u export=%s procedure=%u: %s",
		    text, port, exports_entry_name(entry),
		    (unsigned)rq->procedure, reason);
	return -EACCES;
}

int
nfs3_enter(struct rpc_request *rq, const nfs_fh3 *fh, enum nfs3_intent intent,
	   struct nfs3_call **out)
{
	struct nfs3_call *call = (struct nfs3_call *)rq->scratch;
	struct nfs3 *nfs = rq->program_arg;
	uint64_t own = call->gate.own;	/* the transport begins with zeros */
	struct exports_entry *entry;
	const char *reason;
	int r;

	memset(call, 0, sizeof(*call));
	call->rq = rq;
	call->nfs = nfs;
	*out = call;
	r = fh_unpack(nfs->signer, fh->data.data_val, fh->data.data_len,
		      &call->export_id, &call->fh);
	if (r < 0)
		return r;
	entry = exports_by_id(nfs->exports, call->export_id);
	if (entry == NULL)
		return -ESTALE;
	if (exports_admit(entry, rq, &call->gate, &reason) < 0)
		return refuse(nfs, rq, entry, reason);
	call->gate.own = own;
	call->export = exports_entry_gate(entry);
	memcpy(call->drc.key, rq->digest, sizeof(call->drc.key));
	call->drc.procedure = rq->procedure;
	call->gate.may_block = rq->may_block;
	call->gate.near = !rq->far;
	call->gate.first_ms = rq->arrived_ms;
	call->gate.token = rq;
	call->gate.drc = intent == NFS3_CHANGES ? &call->drc : NULL;
	return intent == NFS3_CHANGES && call->gate.readonly ? -EROFS : 0;
}

int
nfs3_second(struct nfs3_call *call, const nfs_fh3 *fh, struct gate_fh *out)
{
	uint32_t export_id;
	int r;

	r = fh_unpack(call->nfs->signer, fh->data.data_val, fh->data.data_len,
		      &export_id, out);
	if (r < 0)
		return r;
	/* The same export, so that it was admitted by nfs3_enter. */
	return export_id == call->export_id ? 0 : -EXDEV;
}

enum rpc_outcome
nfs3_leave(struct nfs3_call *call, int r, nfsstat3 *status)
{
	*status = status_nfs3(call->rq->procedure, r);
	if (r == -EAGAIN && call->gate.again == GATE_NEEDS_THREAD &&
	    !call->rq->may_block)
		return RPC_NEEDS_THREAD;
	if (r == -EAGAIN && call->gate.again == GATE_NEEDS_STORE &&
	    !call->rq->far && !call->rq->late)
		return RPC_NEEDS_FAR;
	if (r == -EAGAIN && call->gate.again == GATE_HOLD)
		return RPC_HELD;
	/* "Not yet" must not be replayed: rule.md 5. */
	return *status == NFS3ERR_JUKEBOX ? RPC_DONE_UNCACHED : RPC_DONE;
}

int
nfs3_drc_find(struct nfs3_call *call, struct gate_fh *made)
{
	if (now_ms() >= call->nfs->drc_until_ms)
		return 0;
	if (!call->rq->may_block) {
		call->gate.again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	return gate_drc_find(call->nfs->gate, call->drc.key, made) == 0;
}

int
nfs3_name(const char *name, int dot, int dotdot)
{
	if (name == NULL || name[0] == '\0' || strchr(name, '/') != NULL)
		return -EACCES;
	if (strcmp(name, ".") == 0)
		return dot;
	if (strcmp(name, "..") == 0)
		return dotdot;
	return strlen(name) > GATE_NAME_MAX ? -ENAMETOOLONG : 0;
}

/* ---- attributes ---- */

/* Seconds are unsigned and 32 bits wide, RFC 1813 2.6. */
static nfstime3
time_from_ns(int64_t ns)
{
	nfstime3 t = {0, 0};

	if (ns < 0)
		return t;
	if (ns / NS_PER_S > UINT32_MAX)
		return (nfstime3){UINT32_MAX, 0};
	t.seconds = (uint32_t)(ns / NS_PER_S);
	t.nseconds = (uint32_t)(ns % NS_PER_S);
	return t;
}

int64_t
nfs3_time_ns(const nfstime3 *from)
{
	return (int64_t)from->seconds * NS_PER_S + from->nseconds;
}

void
nfs3_fattr(const struct gate_attr *from, fattr3 *to)
{
	*to = (fattr3){
		.type = (ftype3)from->kind,
		.mode = from->mode & 07777,
		.nlink = from->nlink,
		.uid = from->uid,
		.gid = from->gid,
		.size = from->size,
		.used = from->used,
		.rdev = {from->rdev_major, from->rdev_minor},
		.fsid = from->fsid,
		.fileid = from->fileid,
		.atime = time_from_ns(from->atime_ns),
		.mtime = time_from_ns(from->mtime_ns),
		.ctime = time_from_ns(from->ctime_ns),
	};
}

void
nfs3_post_op(const struct gate_attr *from, post_op_attr *to)
{
	to->attributes_follow = TRUE;
	nfs3_fattr(from, &to->post_op_attr_u.attributes);
}

void
nfs3_post_dir(const struct gate_wcc *from, post_op_attr *to)
{
	to->attributes_follow = FALSE;
	if (from->has_after)
		nfs3_post_op(&from->after, to);
}

void
nfs3_wcc(const struct gate_wcc *from, wcc_data *to)
{
	wcc_attr *before = &to->before.pre_op_attr_u.attributes;

	to->before.attributes_follow = from->has_before;
	if (from->has_before) {
		before->size = from->before.size;
		before->mtime = time_from_ns(from->before.mtime_ns);
		before->ctime = time_from_ns(from->before.ctime_ns);
	}
	nfs3_post_dir(from, &to->after);
}

void
nfs3_post_op_try(struct nfs3_call *call, const struct gate_fh *fh,
		 post_op_attr *to)
{
	struct gate_request rq = call->gate;
	struct gate_attr attr;

	to->attributes_follow = FALSE;
	/* Not for the caller, or for a reply that is not to be sent yet. */
	if (call->export == NULL || call->gate.again == GATE_NEEDS_THREAD ||
	    (call->gate.again == GATE_NEEDS_STORE && !call->rq->late) ||
	    call->gate.again == GATE_HOLD)
		return;
	rq.may_block = false;
	rq.token = NULL;
	rq.drc = NULL;
	if (gate_getattr(call->export, &rq, fh, &attr) == 0)
		nfs3_post_op(&attr, to);
}

void
nfs3_wcc_try(struct nfs3_call *call, const struct gate_fh *fh,
	     const struct gate_wcc *from, wcc_data *to)
{
	nfs3_wcc(from, to);
	if (!from->has_after)
		nfs3_post_op_try(call, fh, &to->after);
}

static int
time_choice(time_how how, const nfstime3 *given, enum gate_time *to,
	    int64_t *ns)
{
	switch (how) {
	case DONT_CHANGE:
		*to = GATE_TIME_KEEP;
		return 0;
	case SET_TO_SERVER_TIME:
		*to = GATE_TIME_SERVER;
		return 0;
	case SET_TO_CLIENT_TIME:
		if (given->nseconds >= NS_PER_S)
			return -EINVAL;
		*to = GATE_TIME_CLIENT;
		*ns = nfs3_time_ns(given);
		return 0;
	}
	return -EINVAL;
}

int
nfs3_sattr(const sattr3 *from, struct gate_setattr *to)
{
	int r;

	memset(to, 0, sizeof(*to));
	to->set_mode = from->mode.set_it;
	to->set_uid = from->uid.set_it;
	to->set_gid = from->gid.set_it;
	to->set_size = from->size.set_it;
	if (to->set_mode)
		to->mode = from->mode.set_mode3_u.mode & 07777;
	if (to->set_uid)
		to->uid = from->uid.set_uid3_u.uid;
	if (to->set_gid)
		to->gid = from->gid.set_gid3_u.gid;
	if (to->set_size)
		to->size = from->size.set_size3_u.size;
	if (to->set_size && to->size > NFS3_FILE_MAX)
		return -EFBIG;
	r = time_choice(from->atime.set_it, &from->atime.set_atime_u.atime,
			&to->atime_how, &to->atime_ns);
	if (r < 0)
		return r;
	return time_choice(from->mtime.set_it,
			   &from->mtime.set_mtime_u.mtime, &to->mtime_how,
			   &to->mtime_ns);
}

int
nfs3_handle(struct nfs3_call *call, const struct gate_fh *from, nfs_fh3 *to)
{
	uint8_t *bytes = malloc(FH_SIZE);
	int r;

	if (bytes == NULL)
		return -ENOMEM;
	r = fh_pack(call->nfs->signer, call->export_id, from, bytes);
	if (r < 0) {
		free(bytes);
		return r;
	}
	to->data.data_val = (char *)bytes;
	to->data.data_len = FH_SIZE;
	return 0;
}

void
nfs3_post_handle(struct nfs3_call *call, const struct gate_fh *from,
		 post_op_fh3 *to)
{
	to->handle_follows = nfs3_handle(call, from,
					 &to->post_op_fh3_u.handle) == 0;
}

/* ---- the program ---- */

uint64_t
nfs3_share_key(const struct rpc_request *rq, const void *args)
{
	/* The arguments of every procedure but NULL begin with a handle. */
	const struct nfs3 *nfs = rq->program_arg;
	const nfs_fh3 *fh = args;

	if (rq->procedure == NFSPROC3_NULL || fh == NULL)
		return 0;
	return fh_export_hint(nfs->signer, fh->data.data_val,
			      fh->data.data_len);
}

/* libtirpc's xdr_void has another type than every other codec. */
static bool_t
nothing(XDR *xdrs, void *value)
{
	(void)xdrs;
	(void)value;
	return TRUE;
}

#define ROW(number, name, run, cached) [number] = {                        \
	"NFSPROC3_" #name, (xdrproc_t)xdr_##name##3args, sizeof(name##3args), \
	(xdrproc_t)xdr_##name##3res, sizeof(name##3res), cached, run }
#define DIR_ROW(number, name, run) [number] = {                            \
	"NFSPROC3_" #name, (xdrproc_t)xdr_##name##3args, sizeof(name##3args), \
	(xdrproc_t)xdr_nfs3_dir_result, sizeof(struct nfs3_dir_result),       \
	false, run }

static const struct rpc_procedure procedures[] = {
	[NFSPROC3_NULL] = {"NFSPROC3_NULL", (xdrproc_t)nothing, 0,
			   (xdrproc_t)nothing, 0, false, nfs3_null},
	ROW(NFSPROC3_GETATTR, GETATTR, nfs3_getattr, false),
	ROW(NFSPROC3_SETATTR, SETATTR, nfs3_setattr, true),
	ROW(NFSPROC3_LOOKUP, LOOKUP, nfs3_lookup, false),
	ROW(NFSPROC3_ACCESS, ACCESS, nfs3_access, false),
	ROW(NFSPROC3_READLINK, READLINK, nfs3_readlink, false),
	ROW(NFSPROC3_READ, READ, nfs3_read, false),
	ROW(NFSPROC3_WRITE, WRITE, nfs3_write, true),
	ROW(NFSPROC3_CREATE, CREATE, nfs3_create, true),
	ROW(NFSPROC3_MKDIR, MKDIR, nfs3_mkdir, true),
	ROW(NFSPROC3_SYMLINK, SYMLINK, nfs3_symlink, true),
	ROW(NFSPROC3_MKNOD, MKNOD, nfs3_mknod, true),
	ROW(NFSPROC3_REMOVE, REMOVE, nfs3_remove, true),
	ROW(NFSPROC3_RMDIR, RMDIR, nfs3_rmdir, true),
	ROW(NFSPROC3_RENAME, RENAME, nfs3_rename, true),
	ROW(NFSPROC3_LINK, LINK, nfs3_link, true),
	DIR_ROW(NFSPROC3_READDIR, READDIR, nfs3_readdir),
	DIR_ROW(NFSPROC3_READDIRPLUS, READDIRPLUS, nfs3_readdirplus),
	ROW(NFSPROC3_FSSTAT, FSSTAT, nfs3_fsstat, false),
	ROW(NFSPROC3_FSINFO, FSINFO, nfs3_fsinfo, false),
	ROW(NFSPROC3_PATHCONF, PATHCONF, nfs3_pathconf, false),
	ROW(NFSPROC3_COMMIT, COMMIT, nfs3_commit, true),
};

/* Version 3 alone: NFSv2 and v4 calls get PROG_MISMATCH(3, 3), at which
 * clients fall back. */
static const struct rpc_version versions[] = {
	{NFS_V3, procedures, sizeof(procedures) / sizeof(*procedures)},
};

void
nfs3_program(struct nfs3 *nfs, struct rpc_program *out)
{
	*out = (struct rpc_program){
		.program = NFS3_PROGRAM,
		.versions = versions,
		.version_count = sizeof(versions) / sizeof(*versions),
		.udp = false,
		.arg = nfs,
	};
}
