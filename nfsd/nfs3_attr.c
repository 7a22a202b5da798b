/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GETATTR, SETATTR, ACCESS, READLINK: what is asked of one handle.  Error
 * replies carry attributes where they can be had without waiting (RFC 1813
 * 2.6), but never for a caller that the access gate refused.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/nfs3.h"

#define MAY_CHANGE (ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE)

NFS3_PROCEDURE(nfs3_getattr)
{
	GETATTR3args *args = argp;
	GETATTR3res *res = resp;
	struct nfs3_call *call;
	struct gate_attr attr;
	int r = nfs3_enter(rq, &args->object, NFS3_LOOKS, &call);

	if (r == 0)
		r = gate_getattr(call->export, &call->gate, &call->fh, &attr);
	if (r == 0)
		nfs3_fattr(&attr, &res->GETATTR3res_u.resok.obj_attributes);
	return nfs3_leave(call, r, &res->status);
}

NFS3_PROCEDURE(nfs3_setattr)
{
	SETATTR3args *args = argp;
	SETATTR3res *res = resp;
	struct gate_wcc wcc = {0};
	struct gate_setattr set;
	struct gate_fh made;
	struct nfs3_call *call;
	int64_t ctime_ns = 0;
	bool guard = args->guard.check;
	int r = nfs3_enter(rq, &args->object, NFS3_CHANGES, &call);

	if (r == 0)
		r = nfs3_sattr(&args->new_attributes, &set);
	if (guard)
		ctime_ns = nfs3_time_ns(&args->guard.sattrguard3_u.obj_ctime);
	/* Without a guard, doing it twice is doing it once. */
	if (r == 0 && guard)
		r = nfs3_drc_find(call, &made);
	if (r == 0)
		r = gate_setattr(call->export, &call->gate, &call->fh, &set,
				 guard ? &ctime_ns : NULL, &wcc);
	/* resok and resfail are the same. */
	nfs3_wcc_try(call, &call->fh, &wcc,
		     &res->SETATTR3res_u.resok.obj_wcc);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}

NFS3_PROCEDURE(nfs3_access)
{
	ACCESS3args *args = argp;
	ACCESS3res *res = resp;
	ACCESS3resok *ok = &res->ACCESS3res_u.resok;
	struct nfs3_call *call;
	struct gate_attr attr;
	uint32_t granted = 0;
	int r = nfs3_enter(rq, &args->object, NFS3_LOOKS, &call);

	if (r == 0)
		r = gate_access(call->export, &call->gate, &call->fh,
				args->access, &granted, &attr);
	if (r < 0) {
		nfs3_post_op_try(call, &call->fh,
				 &res->ACCESS3res_u.resfail.obj_attributes);
		return nfs3_leave(call, r, &res->status);
	}
	if (call->gate.readonly)
		granted &= ~(uint32_t)MAY_CHANGE;
	nfs3_post_op(&attr, &ok->obj_attributes);
	ok->access = granted & args->access;
	return nfs3_leave(call, 0, &res->status);
}

NFS3_PROCEDURE(nfs3_readlink)
{
	READLINK3args *args = argp;
	READLINK3res *res = resp;
	READLINK3resok *ok = &res->READLINK3res_u.resok;
	struct nfs3_call *call;
	struct gate_attr attr;
	char target[GATE_PATH_MAX + 1], *copy = NULL;
	int r = nfs3_enter(rq, &args->symlink, NFS3_LOOKS, &call);

	if (r == 0)
		r = gate_readlink(call->export, &call->gate, &call->fh, target,
				  &attr);
	if (r == 0 && (copy = strdup(target)) == NULL)
		r = -ENOMEM;
	if (r < 0) {
		nfs3_post_op_try(call, &call->fh, &res->READLINK3res_u.resfail
				 .symlink_attributes);
		return nfs3_leave(call, r, &res->status);
	}
	nfs3_post_op(&attr, &ok->symlink_attributes);
	ok->data = copy;
	return nfs3_leave(call, 0, &res->status);
}
