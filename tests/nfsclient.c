/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The procedures of the test client: plain structs in, one call, plain structs
 * out.  The codecs are rpcgen's, the same that the server uses; that they are
 * right is shown against bytes in tests/test_nfsd_codec.c.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rpcclient.h"

static nfs_fh3
to_fh(const struct nc_fh *fh)
{
	return (nfs_fh3){ { fh->len, (char *)(uintptr_t)fh->data } };
}

static void
from_fh(struct nc_fh *to, const nfs_fh3 *fh)
{
	if (to == NULL)
		return;
	memset(to, 0, sizeof(*to));
	to->len = fh->data.data_len;
	memcpy(to->data, fh->data.data_val, to->len);
}

static void
from_post_fh(struct nc_fh *to, const post_op_fh3 *fh)
{
	if (to != NULL)
		memset(to, 0, sizeof(*to));
	if (fh->handle_follows)
		from_fh(to, &fh->post_op_fh3_u.handle);
}

static void
from_post_attr(fattr3 *to, const post_op_attr *attr)
{
	if (to == NULL)
		return;
	memset(to, 0, sizeof(*to));
	if (attr->attributes_follow)
		*to = attr->post_op_attr_u.attributes;
}

static diropargs3
to_dirop(const struct nc_fh *dir, const char *name)
{
	return (diropargs3){ to_fh(dir), (char *)(uintptr_t)name };
}

static sattr3
to_sattr(const struct nc_set *set)
{
	sattr3 to;

	memset(&to, 0, sizeof(to));
	if (set == NULL)
		return to;
	to.mode.set_it = set->mode_set;
	to.mode.set_mode3_u.mode = set->mode;
	to.uid.set_it = set->uid_set;
	to.uid.set_uid3_u.uid = set->uid;
	to.gid.set_it = set->gid_set;
	to.gid.set_gid3_u.gid = set->gid;
	to.size.set_it = set->size_set;
	to.size.set_size3_u.size = set->size;
	to.atime.set_it = set->atime_how;
	to.atime.set_atime_u.atime = set->atime;
	to.mtime.set_it = set->mtime_how;
	to.mtime.set_mtime_u.mtime = set->mtime;
	return to;
}

/* r of a call, as nc_* return it; the results are valid if it is 0. */
static int
refused(int r)
{
	return r > 0 ? NC_REFUSED + r : r;
}

static int
nfs(struct rpcc *c, uint32_t procedure, xdrproc_t xdr_args, const void *args,
    xdrproc_t xdr_res, void *res)
{
	return refused(rpcc_call(c, NFS3_PROGRAM, NFS_V3, procedure, xdr_args,
				 args, xdr_res, res));
}

/* Declares res, calls, and leaves the function if no result came. */
#define CALL(c, PROC, args)                                                   \
	PROC##3res res;                                                       \
	int r;                                                                \
									      \
	memset(&res, 0, sizeof(res));                                         \
	r = nfs(c, NFSPROC3_##PROC, (xdrproc_t)xdr_##PROC##3args, &(args),    \
		(xdrproc_t)xdr_##PROC##3res, &res);                           \
	if (r != 0)                                                           \
		return r;                                                     \
	r = (int)res.status
#define FREE_RES(PROC) xdr_free((xdrproc_t)xdr_##PROC##3res, &res)
#define OK(PROC) (&(res.PROC##3res_u).resok)

int
nc_mnt(struct rpcc *c, const char *path, struct nc_fh *root)
{
	mountres3 res;
	int r;

	memset(&res, 0, sizeof(res));
	r = refused(rpcc_call(c, MOUNT_PROGRAM, MOUNT_V3, MOUNTPROC3_MNT,
			      (xdrproc_t)xdr_dirpath, &path,
			      (xdrproc_t)xdr_mountres3, &res));
	if (r != 0)
		return r;
	r = (int)res.fhs_status;
	if (r == 0 && root != NULL) {
		const fhandle3 *fh = &res.mountres3_u.mountinfo.fhandle;

		memset(root, 0, sizeof(*root));
		root->len = fh->fhandle3_len;
		memcpy(root->data, fh->fhandle3_val, root->len);
	}
	xdr_free((xdrproc_t)xdr_mountres3, &res);
	return r;
}

int
nc_umnt(struct rpcc *c, const char *path)
{
	return refused(rpcc_call(c, MOUNT_PROGRAM, MOUNT_V3, MOUNTPROC3_UMNT,
				 (xdrproc_t)xdr_dirpath, &path,
				 (xdrproc_t)rpcc_void, NULL));
}

int
nc_null(struct rpcc *c)
{
	return nfs(c, NFSPROC3_NULL, (xdrproc_t)rpcc_void, NULL,
		   (xdrproc_t)rpcc_void, NULL);
}

int
nc_getattr(struct rpcc *c, const struct nc_fh *fh, fattr3 *attr)
{
	GETATTR3args args = { to_fh(fh) };

	CALL(c, GETATTR, args);
	if (r == 0 && attr != NULL)
		*attr = OK(GETATTR)->obj_attributes;
	FREE_RES(GETATTR);
	return r;
}

int
nc_setattr(struct rpcc *c, const struct nc_fh *fh, const struct nc_set *set,
	   wcc_data *wcc)
{
	SETATTR3args args = { to_fh(fh), to_sattr(set), { 0 } };

	if (set != NULL && set->guard != NULL) {
		args.guard.check = TRUE;
		args.guard.sattrguard3_u.obj_ctime = *set->guard;
	}
	CALL(c, SETATTR, args);
	if (wcc != NULL)	/* the same in both arms */
		*wcc = OK(SETATTR)->obj_wcc;
	FREE_RES(SETATTR);
	return r;
}

int
nc_truncate(struct rpcc *c, const struct nc_fh *fh, uint64_t size)
{
	struct nc_set set = { .size_set = true, .size = size };

	return nc_setattr(c, fh, &set, NULL);
}

int
nc_lookup(struct rpcc *c, const struct nc_fh *dir, const char *name,
	  struct nc_fh *fh, fattr3 *attr)
{
	LOOKUP3args args = { to_dirop(dir, name) };

	CALL(c, LOOKUP, args);
	if (r == 0) {
		from_fh(fh, &OK(LOOKUP)->object);
		from_post_attr(attr, &OK(LOOKUP)->obj_attributes);
	}
	FREE_RES(LOOKUP);
	return r;
}

int
nc_access(struct rpcc *c, const struct nc_fh *fh, uint32_t want,
	  uint32_t *granted)
{
	ACCESS3args args = { to_fh(fh), want };

	CALL(c, ACCESS, args);
	if (r == 0 && granted != NULL)
		*granted = OK(ACCESS)->access;
	FREE_RES(ACCESS);
	return r;
}

int
nc_readlink(struct rpcc *c, const struct nc_fh *fh, char *target)
{
	READLINK3args args = { to_fh(fh) };

	CALL(c, READLINK, args);
	if (r == 0 && target != NULL) {
		target[0] = '\0';
		strncat(target, OK(READLINK)->data, 1024);
	}
	FREE_RES(READLINK);
	return r;
}

int
nc_read_send(struct rpcc *c, uint32_t xid, const struct nc_fh *fh,
	     uint64_t off, uint32_t len)
{
	READ3args args = { to_fh(fh), off, len };

	return rpcc_send(c, xid, NFS3_PROGRAM, NFS_V3, NFSPROC3_READ,
			 (xdrproc_t)xdr_READ3args, &args);
}

int
nc_read_recv(struct rpcc *c, uint32_t xid, unsigned timeout_ms, void *buf,
	     uint32_t len, uint32_t *got, bool *eof, fattr3 *attr)
{
	struct rpcc_reply reply;
	READ3res res;
	XDR xdrs;
	int r;

	/* By hand: what is decoded points into the message. */
	r = rpcc_recv(c, xid, timeout_ms, &reply);
	if (r < 0)
		return r;
	memset(&res, 0, sizeof(res));
	xdrmem_create(&xdrs, (char *)reply.data + reply.results_at,
		      (u_int)(reply.len - reply.results_at), XDR_DECODE);
	if (reply.status != 0)
		r = NC_REFUSED + reply.status;
	else if (!xdr_READ3res(&xdrs, &res))
		r = -EBADMSG;
	else
		r = (int)res.status;
	if (r == 0 && OK(READ)->data.nfsdata3_len > len)
		r = -EBADMSG;
	if (r == 0) {
		if (buf != NULL)
			memcpy(buf, OK(READ)->data.nfsdata3_val,
			       OK(READ)->data.nfsdata3_len);
		if (got != NULL)
			*got = OK(READ)->count;
		if (eof != NULL)
			*eof = OK(READ)->eof;
		from_post_attr(attr, &OK(READ)->file_attributes);
	}
	FREE_RES(READ);
	free(reply.data);
	return r;
}

int
nc_read(struct rpcc *c, const struct nc_fh *fh, uint64_t off, void *buf,
	uint32_t len, uint32_t *got, bool *eof)
{
	uint32_t xid = rpcc_xid(c);
	int r = nc_read_send(c, xid, fh, off, len);

	return r < 0 ? r : nc_read_recv(c, xid, c->timeout_ms, buf, len, got,
					eof, NULL);
}

int
nc_write_send(struct rpcc *c, uint32_t xid, const struct nc_fh *fh,
	      uint64_t off, const void *data, uint32_t len, stable_how stable)
{
	WRITE3args args = {
		to_fh(fh), off, len, stable,
		{ len, len == 0 ? NULL : (char *)(uintptr_t)data }
	};

	return rpcc_send(c, xid, NFS3_PROGRAM, NFS_V3, NFSPROC3_WRITE,
			 (xdrproc_t)xdr_WRITE3args, &args);
}

int
nc_write_recv(struct rpcc *c, uint32_t xid, unsigned timeout_ms,
	      struct nc_written *out)
{
	WRITE3res res;
	int r;

	memset(&res, 0, sizeof(res));
	r = refused(rpcc_result(c, xid, timeout_ms, (xdrproc_t)xdr_WRITE3res,
				&res));
	if (r != 0)
		return r;
	r = (int)res.status;
	if (out != NULL) {
		memset(out, 0, sizeof(*out));
		out->wcc = OK(WRITE)->file_wcc;	/* first in both arms */
	}
	if (out != NULL && r == 0) {
		out->count = OK(WRITE)->count;
		out->committed = OK(WRITE)->committed;
		memcpy(out->verf, OK(WRITE)->verf, 8);
	}
	FREE_RES(WRITE);
	return r;
}

int
nc_write(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	 const void *data, uint32_t len, stable_how stable,
	 struct nc_written *out)
{
	uint32_t xid = rpcc_xid(c);
	int r = nc_write_send(c, xid, fh, off, data, len, stable);

	return r < 0 ? r : nc_write_recv(c, xid, c->timeout_ms, out);
}

int
nc_commit(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	  uint32_t count, uint8_t verf[8])
{
	COMMIT3args args = { to_fh(fh), off, count };

	CALL(c, COMMIT, args);
	if (r == 0 && verf != NULL)
		memcpy(verf, OK(COMMIT)->verf, 8);
	FREE_RES(COMMIT);
	return r;
}

int
nc_create(struct rpcc *c, const struct nc_fh *dir, const char *name,
	  createmode3 mode, const struct nc_set *set, const uint8_t verf[8],
	  struct nc_fh *fh, fattr3 *attr)
{
	CREATE3args args = { to_dirop(dir, name), { .mode = mode } };

	if (mode != EXCLUSIVE)
		args.how.createhow3_u.obj_attributes = to_sattr(set);
	else if (verf != NULL)
		memcpy(args.how.createhow3_u.verf, verf, 8);
	CALL(c, CREATE, args);
	if (r == 0) {
		from_post_fh(fh, &OK(CREATE)->obj);
		from_post_attr(attr, &OK(CREATE)->obj_attributes);
	}
	FREE_RES(CREATE);
	return r;
}

int
nc_mkdir(struct rpcc *c, const struct nc_fh *dir, const char *name,
	 const struct nc_set *set, struct nc_fh *fh, fattr3 *attr)
{
	MKDIR3args args = { to_dirop(dir, name), to_sattr(set) };

	CALL(c, MKDIR, args);
	if (r == 0) {
		from_post_fh(fh, &OK(MKDIR)->obj);
		from_post_attr(attr, &OK(MKDIR)->obj_attributes);
	}
	FREE_RES(MKDIR);
	return r;
}

int
nc_symlink(struct rpcc *c, const struct nc_fh *dir, const char *name,
	   const char *target, struct nc_fh *fh)
{
	SYMLINK3args args = {
		to_dirop(dir, name),
		{ to_sattr(NULL), (char *)(uintptr_t)target }
	};

	CALL(c, SYMLINK, args);
	if (r == 0)
		from_post_fh(fh, &OK(SYMLINK)->obj);
	FREE_RES(SYMLINK);
	return r;
}

int
nc_mknod(struct rpcc *c, const struct nc_fh *dir, const char *name,
	 ftype3 type, uint32_t major, uint32_t minor, struct nc_fh *fh)
{
	MKNOD3args args = { to_dirop(dir, name), { .type = type } };

	if (type == NF3CHR || type == NF3BLK)
		args.what.mknoddata3_u.device.spec =
			(specdata3){ major, minor };
	CALL(c, MKNOD, args);
	if (r == 0)
		from_post_fh(fh, &OK(MKNOD)->obj);
	FREE_RES(MKNOD);
	return r;
}

int
nc_remove(struct rpcc *c, const struct nc_fh *dir, const char *name)
{
	REMOVE3args args = { to_dirop(dir, name) };

	CALL(c, REMOVE, args);
	FREE_RES(REMOVE);
	return r;
}

int
nc_rmdir(struct rpcc *c, const struct nc_fh *dir, const char *name)
{
	RMDIR3args args = { to_dirop(dir, name) };

	CALL(c, RMDIR, args);
	FREE_RES(RMDIR);
	return r;
}

int
nc_rename(struct rpcc *c, const struct nc_fh *from_dir, const char *from,
	  const struct nc_fh *to_dir, const char *to)
{
	RENAME3args args = { to_dirop(from_dir, from), to_dirop(to_dir, to) };

	CALL(c, RENAME, args);
	FREE_RES(RENAME);
	return r;
}

int
nc_link(struct rpcc *c, const struct nc_fh *fh, const struct nc_fh *dir,
	const char *name)
{
	LINK3args args = { to_fh(fh), to_dirop(dir, name) };

	CALL(c, LINK, args);
	FREE_RES(LINK);
	return r;
}

static void
copy_name(char to[256], const char *name)
{
	to[0] = '\0';
	strncat(to, name, 255);
}

int
nc_readdir(struct rpcc *c, const struct nc_fh *dir, uint64_t cookie,
	   uint8_t verf[8], uint32_t bytes, struct nc_entry *entries,
	   unsigned max, unsigned *count, bool *eof)
{
	READDIR3args args = { .dir = to_fh(dir), .cookie = cookie,
			      .count = bytes };
	unsigned n = 0;

	memcpy(args.cookieverf, verf, 8);
	CALL(c, READDIR, args);
	if (r == 0) {
		memcpy(verf, OK(READDIR)->cookieverf, 8);
		*eof = OK(READDIR)->reply.eof;
		for (entry3 *e = OK(READDIR)->reply.entries; e != NULL;
		     e = e->nextentry, n++) {
			if (n >= max)
				continue;
			memset(&entries[n], 0, sizeof(entries[n]));
			entries[n].fileid = e->fileid;
			entries[n].cookie = e->cookie;
			copy_name(entries[n].name, e->name);
		}
		*count = n;
	}
	FREE_RES(READDIR);
	return r;
}

int
nc_readdirplus(struct rpcc *c, const struct nc_fh *dir, uint64_t cookie,
	       uint8_t verf[8], uint32_t dir_bytes, uint32_t bytes,
	       struct nc_entry *entries, unsigned max, unsigned *count,
	       bool *eof)
{
	READDIRPLUS3args args = { .dir = to_fh(dir), .cookie = cookie,
				  .dircount = dir_bytes, .maxcount = bytes };
	unsigned n = 0;

	memcpy(args.cookieverf, verf, 8);
	CALL(c, READDIRPLUS, args);
	if (r == 0) {
		memcpy(verf, OK(READDIRPLUS)->cookieverf, 8);
		*eof = OK(READDIRPLUS)->reply.eof;
		for (entryplus3 *e = OK(READDIRPLUS)->reply.entries; e != NULL;
		     e = e->nextentry, n++) {
			if (n >= max)
				continue;
			memset(&entries[n], 0, sizeof(entries[n]));
			entries[n].fileid = e->fileid;
			entries[n].cookie = e->cookie;
			copy_name(entries[n].name, e->name);
			entries[n].has_attr =
				e->name_attributes.attributes_follow;
			from_post_attr(&entries[n].attr, &e->name_attributes);
			entries[n].has_fh = e->name_handle.handle_follows;
			from_post_fh(&entries[n].fh, &e->name_handle);
		}
		*count = n;
	}
	FREE_RES(READDIRPLUS);
	return r;
}

int
nc_fsstat(struct rpcc *c, const struct nc_fh *fh, FSSTAT3resok *out)
{
	FSSTAT3args args = { to_fh(fh) };

	CALL(c, FSSTAT, args);
	if (r == 0 && out != NULL)
		*out = *OK(FSSTAT);
	FREE_RES(FSSTAT);
	return r;
}

int
nc_fsinfo(struct rpcc *c, const struct nc_fh *fh, FSINFO3resok *out)
{
	FSINFO3args args = { to_fh(fh) };

	CALL(c, FSINFO, args);
	if (r == 0 && out != NULL)
		*out = *OK(FSINFO);
	FREE_RES(FSINFO);
	return r;
}

int
nc_pathconf(struct rpcc *c, const struct nc_fh *fh, PATHCONF3resok *out)
{
	PATHCONF3args args = { to_fh(fh) };

	CALL(c, PATHCONF, args);
	if (r == 0 && out != NULL)
		*out = *OK(PATHCONF);
	FREE_RES(PATHCONF);
	return r;
}
