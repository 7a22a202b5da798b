/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NULL, FSSTAT, FSINFO, PATHCONF: what clients ask when they mount, and df.
 * The limits told here are the ones the other procedures enforce.
 */
#include <config.h>

#include <string.h>

#include "nfsd/nfs3.h"

#define DIR_PREFERRED (64U << 10)

NFS3_PROCEDURE(nfs3_null)
{
	(void)rq;
	(void)argp;
	(void)resp;
	return RPC_DONE;
}

NFS3_PROCEDURE(nfs3_fsstat)
{
	FSSTAT3args *args = argp;
	FSSTAT3res *res = resp;
	FSSTAT3resok *ok = &res->FSSTAT3res_u.resok;
	struct gate_fsstat stat;
	struct gate_attr attr;
	struct nfs3_call *call;
	int r = nfs3_enter(rq, &args->fsroot, NFS3_LOOKS, &call);

	if (r == 0)
		r = gate_fsstat(call->export, &call->gate, &call->fh, &stat,
				&attr);
	if (r < 0) {
		nfs3_post_op_try(call, &call->fh,
				 &res->FSSTAT3res_u.resfail.obj_attributes);
		return nfs3_leave(call, r, &res->status);
	}
	nfs3_post_op(&attr, &ok->obj_attributes);
	ok->tbytes = stat.total_bytes;
	ok->fbytes = stat.free_bytes;
	ok->abytes = stat.avail_bytes;
	ok->tfiles = stat.total_files;
	ok->ffiles = stat.free_files;
	ok->afiles = stat.avail_files;
	ok->invarsec = 0;
	return nfs3_leave(call, 0, &res->status);
}

NFS3_PROCEDURE(nfs3_fsinfo)
{
	FSINFO3args *args = argp;
	FSINFO3res *res = resp;
	FSINFO3resok *ok = &res->FSINFO3res_u.resok;
	struct gate_attr attr;
	struct nfs3_call *call;
	int r = nfs3_enter(rq, &args->fsroot, NFS3_LOOKS, &call);

	if (r == 0)
		r = gate_getattr(call->export, &call->gate, &call->fh, &attr);
	if (r < 0)	/* obj_attributes of resfail stay absent */
		return nfs3_leave(call, r, &res->status);
	nfs3_post_op(&attr, &ok->obj_attributes);
	ok->rtmax = ok->rtpref = GATE_IO_MAX;
	ok->wtmax = ok->wtpref = GATE_IO_MAX;
	ok->rtmult = ok->wtmult = 4096;
	ok->dtpref = DIR_PREFERRED;
	ok->maxfilesize = NFS3_FILE_MAX;
	ok->time_delta = (nfstime3){0, 1};
	ok->properties = FSF3_LINK | FSF3_SYMLINK | FSF3_HOMOGENEOUS |
			 FSF3_CANSETTIME;
	return nfs3_leave(call, 0, &res->status);
}

NFS3_PROCEDURE(nfs3_pathconf)
{
	PATHCONF3args *args = argp;
	PATHCONF3res *res = resp;
	PATHCONF3resok *ok = &res->PATHCONF3res_u.resok;
	struct gate_attr attr;
	struct nfs3_call *call;
	int r = nfs3_enter(rq, &args->object, NFS3_LOOKS, &call);

	if (r == 0)
		r = gate_getattr(call->export, &call->gate, &call->fh, &attr);
	if (r < 0)
		return nfs3_leave(call, r, &res->status);
	nfs3_post_op(&attr, &ok->obj_attributes);
	ok->linkmax = NFS3_LINK_MAX;
	ok->name_max = GATE_NAME_MAX;
	ok->no_trunc = TRUE;
	ok->chown_restricted = TRUE;
	ok->case_insensitive = FALSE;
	ok->case_preserving = TRUE;
	return nfs3_leave(call, 0, &res->status);
}
