/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READDIR and READDIRPLUS.  Entries are encoded as the gate hands them out,
 * straight into the reply's tail; there is no list of structs in between.
 *
 *	reply	status, dir_attributes, cookieverf	encoded by the codec
 *	tail	{1, fileid, name, cookie, [attributes, handle]}...
 *		0, eof
 *
 * The sizes are those of RFC 1813 3.3.16 and 3.3.17, exactly: `count` and
 * `maxcount` bound the whole resok structure with all of its XDR overhead,
 * attributes of the directory and end of the list included; `dircount` bounds
 * fileids, names and cookies.  A client that names a dircount smaller than one
 * entry gets one all the same (it is a hint; maxcount is its buffer), and a
 * reply without an entry is given at the end of the directory only:
 * otherwise TOOSMALL, for a client would ask for ever.
 */
#include <config.h>

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "nfsd/nfs3.h"

#define BYTES_FATTR 84
#define BYTES_FIXED (4 + BYTES_FATTR + NFS3_COOKIEVERFSIZE + 4 + 4)
#define BYTES_HANDLE (4 + 4 + FH_SIZE)
#define ENTRY_MIN (4 + 8 + 4 + 4 + 8)	/* a name of 1 to 4 bytes */
#define ENTRY_PLUS_MIN (ENTRY_MIN + 4 + BYTES_FATTR + BYTES_HANDLE)

struct listing {
	struct nfs3_call *call;
	bool plus;
	uint8_t *out;
	size_t used, max;		/* of the resok structure */
	size_t dir_used, dir_max;	/* of fileids, names, cookies */
	unsigned count;
};

bool_t
xdr_nfs3_dir_result(XDR *xdrs, struct nfs3_dir_result *result)
{
	return xdr_nfsstat3(xdrs, &result->status) &&
	       xdr_post_op_attr(xdrs, &result->dir_attributes) &&
	       (result->status != NFS3_OK ||
		xdr_cookieverf3(xdrs, result->cookieverf));
}

static void
put_u32(struct listing *l, uint32_t value)
{
	value = htobe32(value);
	memcpy(l->out, &value, sizeof(value));
	l->out += sizeof(value);
}

static void
put_u64(struct listing *l, uint64_t value)
{
	put_u32(l, (uint32_t)(value >> 32));
	put_u32(l, (uint32_t)value);
}

/* RFC 4506 4.10: padded with zeros to a multiple of four. */
static void
put_opaque(struct listing *l, const void *bytes, size_t len)
{
	put_u32(l, (uint32_t)len);
	memset(l->out + len / 4 * 4, 0, (len + 3) / 4 * 4 - len / 4 * 4);
	memcpy(l->out, bytes, len);
	l->out += (len + 3) / 4 * 4;
}

static void
put_time(struct listing *l, const nfstime3 *t)
{
	put_u32(l, t->seconds);
	put_u32(l, t->nseconds);
}

static void
put_attr(struct listing *l, const struct gate_attr *attr)
{
	fattr3 a;

	nfs3_fattr(attr, &a);
	put_u32(l, a.type);
	put_u32(l, a.mode);
	put_u32(l, a.nlink);
	put_u32(l, a.uid);
	put_u32(l, a.gid);
	put_u64(l, a.size);
	put_u64(l, a.used);
	put_u32(l, a.rdev.specdata1);
	put_u32(l, a.rdev.specdata2);
	put_u64(l, a.fsid);
	put_u64(l, a.fileid);
	put_time(l, &a.atime);
	put_time(l, &a.mtime);
	put_time(l, &a.ctime);
}

static void
put_plus(struct listing *l, const struct gate_dirent *entry)
{
	uint8_t handle[FH_SIZE];

	put_u32(l, entry->has_attr);
	if (entry->has_attr)
		put_attr(l, &entry->attr);
	/* SipHash does not fail; if it did, the size must stay what was
	 * counted, and a handle of zeros is refused as one that is none. */
	if (fh_pack(l->call->nfs->signer, l->call->export_id, &entry->fh,
		    handle) < 0)
		memset(handle, 0, sizeof(handle));
	put_u32(l, TRUE);
	put_opaque(l, handle, sizeof(handle));
}

static int
emit(void *arg, const struct gate_dirent *entry)
{
	struct listing *l = arg;
	size_t name_len = strlen(entry->name);
	size_t dir_bytes = 8 + 4 + (name_len + 3) / 4 * 4 + 8;
	size_t bytes = 4 + dir_bytes;

	if (l->plus)
		bytes += 4 + (entry->has_attr ? BYTES_FATTR : 0) +
			 BYTES_HANDLE;
	if (bytes > l->max - l->used ||
	    (l->count > 0 && l->dir_used + dir_bytes > l->dir_max))
		return 1;
	l->used += bytes;
	l->dir_used += dir_bytes;
	l->count++;
	put_u32(l, TRUE);
	put_u64(l, entry->fileid);
	put_opaque(l, entry->name, name_len);
	put_u64(l, entry->cookie);
	if (l->plus)
		put_plus(l, entry);
	return 0;
}

static int
list(struct nfs3_call *call, struct listing *l, uint64_t cookie,
     uint8_t verf[8], struct gate_wcc *dir_attr)
{
	struct rpc_request *rq = call->rq;
	unsigned limit;
	bool eof = false;
	int r;

	l->call = call;
	l->out = rq->tail;
	l->used = BYTES_FIXED;
	/* No more than can fit, so that the gate fetches no attributes which
	 * nobody sees. */
	limit = (unsigned)((l->max - l->used) /
			   (l->plus ? ENTRY_PLUS_MIN : ENTRY_MIN)) + 1;
	r = gate_readdir(call->export, &call->gate, &call->fh, cookie, verf,
			 l->plus, limit, emit, l, &eof, dir_attr);
	if (r < 0)
		return r;
	if (l->count == 0 && !eof)
		return -EMSGSIZE;
	put_u32(l, FALSE);
	put_u32(l, eof);
	rq->tail_len = (uint32_t)(l->out - (uint8_t *)rq->tail);
	return 0;
}

static enum rpc_outcome
answer(struct nfs3_call *call, int r, struct listing *l, uint64_t cookie,
       const char *verf, struct nfs3_dir_result *res)
{
	struct gate_wcc dir_attr = {0};
	struct rpc_request *rq = call->rq;

	memcpy(res->cookieverf, verf, sizeof(res->cookieverf));
	if (l->max > NFS3_DIR_MAX)
		l->max = NFS3_DIR_MAX;
	if (r == 0 && l->max < BYTES_FIXED)
		r = -EMSGSIZE;
	/* What is counted in l->used is never less than what is written. */
	if (r == 0 && rq->tail == NULL &&
	    rpc_tail_alloc(rq, (uint32_t)l->max) == NULL)
		return RPC_NO_ROOM;
	if (r == 0)
		r = list(call, l, cookie, (uint8_t *)res->cookieverf,
			 &dir_attr);
	if (r < 0)
		rq->tail_len = 0;
	nfs3_post_dir(&dir_attr, &res->dir_attributes);
	if (!dir_attr.has_after)
		nfs3_post_op_try(call, &call->fh, &res->dir_attributes);
	return nfs3_leave(call, r, &res->status);
}

NFS3_PROCEDURE(nfs3_readdir)
{
	READDIR3args *args = argp;
	struct listing l = {.max = args->count, .dir_max = SIZE_MAX};
	struct nfs3_call *call;
	int r = nfs3_enter(rq, &args->dir, NFS3_LOOKS, &call);

	return answer(call, r, &l, args->cookie, args->cookieverf, resp);
}

NFS3_PROCEDURE(nfs3_readdirplus)
{
	READDIRPLUS3args *args = argp;
	struct listing l = {.plus = true, .max = args->maxcount,
			    .dir_max = args->dircount};
	struct nfs3_call *call;
	int r = nfs3_enter(rq, &args->dir, NFS3_LOOKS, &call);

	return answer(call, r, &l, args->cookie, args->cookieverf, resp);
}
