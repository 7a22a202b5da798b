/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READ, WRITE, COMMIT.  The bytes of a WRITE are used where they lie in the
 * record, those of a READ leave as the reply's tail: neither is copied here.
 *
 * The verifier is one for the server and is read after the gate has answered,
 * so that a failure during this very call (a failed fsync changes it) is told
 * with it, never hidden behind the old one.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/nfs3.h"

NFS3_PROCEDURE(nfs3_read)
{
	READ3args *args = argp;
	READ3res *res = resp;
	READ3resok *ok = &res->READ3res_u.resok;
	uint32_t len = args->count < GATE_IO_MAX ? args->count : GATE_IO_MAX;
	uint32_t got = 0;
	bool eof = false;
	struct nfs3_call *call;
	struct gate_attr attr;
	int r = nfs3_enter(rq, &args->file, NFS3_LOOKS, &call);

	if (r == 0 && rq->tail == NULL &&
	    rpc_tail_alloc(rq, len) == NULL)
		return RPC_NO_ROOM;
	if (r == 0)
		r = gate_read(call->export, &call->gate, &call->fh,
			      args->offset, rq->tail, len, &got, &eof, &attr);
	if (r < 0) {
		rq->tail_len = 0;
		nfs3_post_op_try(call, &call->fh,
				 &res->READ3res_u.resfail.file_attributes);
		return nfs3_leave(call, r, &res->status);
	}
	nfs3_post_op(&attr, &ok->file_attributes);
	ok->count = got;
	ok->eof = eof;
	ok->data.nfsdata3_len = got;	/* the bytes are the tail */
	rq->tail_len = got;
	return nfs3_leave(call, 0, &res->status);
}

/* RFC 1813 3.3.7: count and data must agree; less than all may be meant. */
static int
write_check(const WRITE3args *args)
{
	if (args->count > args->data.nfsdata3_len ||
	    args->count > GATE_IO_MAX || (unsigned)args->stable > FILE_SYNC)
		return -EINVAL;
	if (args->offset > NFS3_FILE_MAX ||
	    args->offset + args->count > NFS3_FILE_MAX)
		return -EFBIG;
	return 0;
}

NFS3_PROCEDURE(nfs3_write)
{
	WRITE3args *args = argp;
	WRITE3res *res = resp;
	WRITE3resok *ok = &res->WRITE3res_u.resok;
	enum gate_stable reached = GATE_UNSTABLE;
	struct gate_wcc wcc = {0};
	struct nfs3_call *call;
	uint8_t verf[8];
	int r = nfs3_enter(rq, &args->file, NFS3_CHANGES, &call);

	if (r == 0)
		r = write_check(args);
	/* As of before the bytes came: should they be lost right after, the
	 * reply must not bear the verifier that tells of it. */
	gate_verifier(call->nfs->gate, verf);
	if (r == 0)
		r = gate_write(call->export, &call->gate, &call->fh,
			       args->offset, args->data.nfsdata3_val,
			       args->count, (enum gate_stable)args->stable,
			       &reached, &wcc);
	if (r < 0) {
		nfs3_wcc_try(call, &call->fh, &wcc,
			     &res->WRITE3res_u.resfail.file_wcc);
		return nfs3_leave(call, r, &res->status);
	}
	nfs3_wcc(&wcc, &ok->file_wcc);
	ok->count = args->count;
	ok->committed = (stable_how)reached;
	memcpy(ok->verf, verf, sizeof(verf));
	return nfs3_leave(call, 0, &res->status);
}

NFS3_PROCEDURE(nfs3_commit)
{
	COMMIT3args *args = argp;
	COMMIT3res *res = resp;
	COMMIT3resok *ok = &res->COMMIT3res_u.resok;
	uint32_t count = args->count;
	struct gate_wcc wcc = {0};
	struct nfs3_call *call;
	int r = nfs3_enter(rq, &args->file, NFS3_CHANGES, &call);

	/* COMMIT writes nothing that was not accepted before: where the
	 * export has become read-only since, what it has is still made safe. */
	if (r == -EROFS)
		r = 0;
	/* A range past the end of numbers means: to the end of the file. */
	if (args->offset + count < args->offset)
		count = 0;
	if (r == 0)
		r = gate_commit(call->export, &call->gate, &call->fh,
				args->offset, count, &wcc);
	if (r < 0) {
		nfs3_wcc_try(call, &call->fh, &wcc,
			     &res->COMMIT3res_u.resfail.file_wcc);
		return nfs3_leave(call, r, &res->status);
	}
	nfs3_wcc(&wcc, &ok->file_wcc);
	gate_verifier(call->nfs->gate, (uint8_t *)ok->verf);
	return nfs3_leave(call, 0, &res->status);
}
