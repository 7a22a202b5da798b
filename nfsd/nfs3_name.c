/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOOKUP and what makes, removes and moves names.  All that changes a name is
 * not idempotent: a repetition of a call that had been carried out just
 * before a restart is recognised here (nfs3_drc_find) and answered as it was,
 * where the same call would now give EXIST or NOENT.
 *
 * Names are checked before the gate sees them (nfs3_name).  What "." and ".."
 * are answered with differs: RFC 1813 lists EXIST where a name is made, INVAL
 * where one is removed or moved, and for RMDIR INVAL and EXIST.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/nfs3.h"

/* What the results of CREATE, MKDIR, SYMLINK and MKNOD have in common; their
 * C types have the same members, but are four. */
struct made {
	struct gate_fh fh;
	struct gate_attr attr;
	bool has_attr;
	struct gate_wcc wcc;
};

NFS3_PROCEDURE(nfs3_lookup)
{
	LOOKUP3args *args = argp;
	LOOKUP3res *res = resp;
	LOOKUP3resok *ok = &res->LOOKUP3res_u.resok;
	post_op_attr *fail = &res->LOOKUP3res_u.resfail.dir_attributes;
	struct gate_wcc dir_attr = {0};
	struct gate_attr attr;
	struct gate_fh fh;
	struct nfs3_call *call;
	int r = nfs3_enter(rq, &args->what.dir, NFS3_LOOKS, &call);

	if (r == 0)
		r = nfs3_name(args->what.name, 0, 0);
	if (r == 0)
		r = gate_lookup(call->export, &call->gate, &call->fh,
				args->what.name, &fh, &attr, &dir_attr);
	if (r == 0)
		r = nfs3_handle(call, &fh, &ok->object);
	if (r < 0) {
		nfs3_post_dir(&dir_attr, fail);
		if (!dir_attr.has_after)
			nfs3_post_op_try(call, &call->fh, fail);
		return nfs3_leave(call, r, &res->status);
	}
	nfs3_post_op(&attr, &ok->obj_attributes);
	nfs3_post_dir(&dir_attr, &ok->dir_attributes);
	return nfs3_leave(call, 0, &res->status);
}

/* The way in of a procedure that changes `name` in a directory: 1 if it had
 * been carried out already and `made` tells what it made. */
static int
begin(struct rpc_request *rq, const diropargs3 *where, int dot, int dotdot,
      struct nfs3_call **call, struct made *made)
{
	int r = nfs3_enter(rq, &where->dir, NFS3_CHANGES, call);

	memset(made, 0, sizeof(*made));
	if (r == 0)
		r = nfs3_name(where->name, dot, dotdot);
	if (r == 0)
		r = nfs3_drc_find(*call, &made->fh);
	return r;
}

/* Fill the result of a procedure that has made a file. */
static void
finish(struct nfs3_call *call, const struct made *made, post_op_fh3 *obj,
       post_op_attr *attributes, wcc_data *dir_wcc)
{
	/* A handle that cannot be packed is left out: clients look it up. */
	if (made->fh.ino != 0)
		nfs3_post_handle(call, &made->fh, obj);
	if (made->has_attr)
		nfs3_post_op(&made->attr, attributes);
	else if (made->fh.ino != 0)
		nfs3_post_op_try(call, &made->fh, attributes);
	nfs3_wcc_try(call, &call->fh, &made->wcc, dir_wcc);
}

#define FINISH(type, call, r, made, res) \
	((r) < 0 ? nfs3_wcc_try(call, &(call)->fh, &(made)->wcc, \
				&(res)->type##res_u.resfail.dir_wcc) \
		 : finish(call, made, &(res)->type##res_u.resok.obj, \
			  &(res)->type##res_u.resok.obj_attributes, \
			  &(res)->type##res_u.resok.dir_wcc))

NFS3_PROCEDURE(nfs3_create)
{
	CREATE3args *args = argp;
	CREATE3res *res = resp;
	const createhow3 *how = &args->how;
	struct gate_setattr set = {0};
	uint8_t verf[8] = {0};
	struct nfs3_call *call;
	struct made made;
	int r = begin(rq, &args->where, -EEXIST, -EEXIST, &call, &made);

	if (how->mode == EXCLUSIVE)
		memcpy(verf, how->createhow3_u.verf, sizeof(verf));
	else if (r == 0)
		r = nfs3_sattr(&how->createhow3_u.obj_attributes, &set);
	if (r == 0) {
		r = gate_create(call->export, &call->gate, &call->fh,
				args->where.name, (enum gate_how)how->mode,
				&set, verf, &made.fh, &made.attr, &made.wcc);
		made.has_attr = r == 0;
	}
	FINISH(CREATE3, call, r, &made, res);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}

NFS3_PROCEDURE(nfs3_mkdir)
{
	MKDIR3args *args = argp;
	MKDIR3res *res = resp;
	struct gate_setattr set;
	struct nfs3_call *call;
	struct made made;
	int r = begin(rq, &args->where, -EEXIST, -EEXIST, &call, &made);

	if (r == 0)
		r = nfs3_sattr(&args->attributes, &set);
	if (r == 0) {
		set.set_size = false;
		r = gate_mkdir(call->export, &call->gate, &call->fh,
			       args->where.name, &set, &made.fh, &made.attr,
			       &made.wcc);
		made.has_attr = r == 0;
	}
	FINISH(MKDIR3, call, r, &made, res);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}

NFS3_PROCEDURE(nfs3_symlink)
{
	SYMLINK3args *args = argp;
	SYMLINK3res *res = resp;
	const char *target = args->symlink.symlink_data;
	struct gate_setattr set;
	struct nfs3_call *call;
	struct made made;
	int r = begin(rq, &args->where, -EEXIST, -EEXIST, &call, &made);

	if (r == 0 && target[0] == '\0')
		r = -EINVAL;
	if (r == 0 && strlen(target) > GATE_PATH_MAX)
		r = -ENAMETOOLONG;
	if (r == 0)
		r = nfs3_sattr(&args->symlink.symlink_attributes, &set);
	if (r == 0) {
		set.set_size = false;
		r = gate_symlink(call->export, &call->gate, &call->fh,
				 args->where.name, target, &set, &made.fh,
				 &made.attr, &made.wcc);
		made.has_attr = r == 0;
	}
	FINISH(SYMLINK3, call, r, &made, res);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}

/* Kind, attributes and device of MKNOD.  RFC 1813 3.3.11: BADTYPE for kinds
 * that have a procedure of their own. */
static int
node(const mknoddata3 *what, struct gate_setattr *set, specdata3 *device)
{
	switch (what->type) {
	case NF3CHR:
	case NF3BLK:
		*device = what->mknoddata3_u.device.spec;
		return nfs3_sattr(&what->mknoddata3_u.device.dev_attributes,
				  set);
	case NF3SOCK:
	case NF3FIFO:
		return nfs3_sattr(&what->mknoddata3_u.pipe_attributes, set);
	default:
		return -EPROTOTYPE;
	}
}

NFS3_PROCEDURE(nfs3_mknod)
{
	MKNOD3args *args = argp;
	MKNOD3res *res = resp;
	struct gate_setattr set;
	specdata3 device = {0, 0};
	struct nfs3_call *call;
	struct made made;
	int r = begin(rq, &args->where, -EEXIST, -EEXIST, &call, &made);

	if (r == 0)
		r = node(&args->what, &set, &device);
	if (r == 0) {
		set.set_size = false;
		r = gate_mknod(call->export, &call->gate, &call->fh,
			       args->where.name,
			       (enum gate_kind)args->what.type,
			       device.specdata1, device.specdata2, &set,
			       &made.fh, &made.attr, &made.wcc);
		made.has_attr = r == 0;
	}
	FINISH(MKNOD3, call, r, &made, res);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}

NFS3_PROCEDURE(nfs3_remove)
{
	REMOVE3args *args = argp;
	REMOVE3res *res = resp;
	struct nfs3_call *call;
	struct made none;
	int r = begin(rq, &args->object, -EINVAL, -EINVAL, &call, &none);

	if (r == 0)
		r = gate_remove(call->export, &call->gate, &call->fh,
				args->object.name, &none.wcc);
	nfs3_wcc_try(call, &call->fh, &none.wcc,
		     &res->REMOVE3res_u.resok.dir_wcc);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}

NFS3_PROCEDURE(nfs3_rmdir)
{
	RMDIR3args *args = argp;
	RMDIR3res *res = resp;
	struct nfs3_call *call;
	struct made none;
	int r = begin(rq, &args->object, -EINVAL, -EEXIST, &call, &none);

	if (r == 0)
		r = gate_rmdir(call->export, &call->gate, &call->fh,
			       args->object.name, &none.wcc);
	nfs3_wcc_try(call, &call->fh, &none.wcc,
		     &res->RMDIR3res_u.resok.dir_wcc);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}

NFS3_PROCEDURE(nfs3_rename)
{
	RENAME3args *args = argp;
	RENAME3res *res = resp;
	RENAME3resok *ok = &res->RENAME3res_u.resok;
	struct gate_wcc to_wcc = {0};
	struct gate_fh to = {0};
	struct nfs3_call *call;
	struct made none;
	int second, r = begin(rq, &args->from, -EINVAL, -EINVAL, &call, &none);

	/* The second handle is looked at even if the first is refused, but
	 * attributes of it are given only if both are good. */
	second = call->export == NULL ? -EACCES :
		 nfs3_second(call, &args->to.dir, &to);
	if (r == 0)
		r = second;
	if (r == 0)
		r = nfs3_name(args->to.name, -EINVAL, -EINVAL);
	if (r == 0)
		r = gate_rename(call->export, &call->gate, &call->fh,
				args->from.name, &to, args->to.name,
				&none.wcc, &to_wcc);
	nfs3_wcc_try(call, &call->fh, &none.wcc, &ok->fromdir_wcc);
	if (second == 0)
		nfs3_wcc_try(call, &to, &to_wcc, &ok->todir_wcc);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}

NFS3_PROCEDURE(nfs3_link)
{
	LINK3args *args = argp;
	LINK3res *res = resp;
	LINK3resok *ok = &res->LINK3res_u.resok;
	struct gate_wcc wcc = {0};
	struct gate_fh dir = {0}, made;
	struct gate_attr attr;
	struct nfs3_call *call;
	bool has_attr = false;
	int second, r = nfs3_enter(rq, &args->file, NFS3_CHANGES, &call);

	second = call->export == NULL ? -EACCES :
		 nfs3_second(call, &args->link.dir, &dir);
	if (r == 0)
		r = second;
	if (r == 0)
		r = nfs3_name(args->link.name, -EEXIST, -EEXIST);
	if (r == 0)
		r = nfs3_drc_find(call, &made);
	if (r == 0) {
		r = gate_link(call->export, &call->gate, &call->fh, &dir,
			      args->link.name, &attr, &wcc);
		has_attr = r == 0;
	}
	if (has_attr)
		nfs3_post_op(&attr, &ok->file_attributes);
	else
		nfs3_post_op_try(call, &call->fh, &ok->file_attributes);
	if (second == 0)
		nfs3_wcc_try(call, &dir, &wcc, &ok->linkdir_wcc);
	return nfs3_leave(call, r < 0 ? r : 0, &res->status);
}
