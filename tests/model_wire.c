/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function encodes any of the model's requests, one decodes any reply.
 * Both keep the bytes, so that a call can be sent again and its reply
 * compared.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model_daemon.h"
#include "tests/model_wire.h"

static const char *const names[M_NAMES] = { "a", "b" };

static nfs_fh3
to_fh(const struct nc_fh *fh)
{
	return (nfs_fh3){ { fh->len, (char *)(uintptr_t)fh->data } };
}

union args {
	WRITE3args write;
	COMMIT3args commit;
	READ3args read;
	GETATTR3args getattr;
	SETATTR3args setattr;
	CREATE3args create;
	REMOVE3args remove;
	RENAME3args rename;
	LOOKUP3args lookup;
	READDIR3args readdir;
};

static uint32_t
fill_sattr(const struct m_op *op, sattr3 *set)
{
	if (op->kind == M_MODE || op->kind == M_CREATE) {
		set->mode.set_it = TRUE;
		set->mode.set_mode3_u.mode = op->arg;
	}
	if (op->kind != M_MODE && op->kind != M_MTIME && op->to != M_NONE) {
		set->size.set_it = TRUE;
		set->size.set_size3_u.size = m_bound[op->to];
	}
	if (op->kind == M_MTIME) {
		set->mtime.set_it = SET_TO_CLIENT_TIME;
		set->mtime.set_mtime_u.mtime.seconds = op->arg;
	}
	return NFSPROC3_SETATTR;
}

static void
fill_create(const struct m_op *op, CREATE3args *args)
{
	args->how.mode = (createmode3)op->how;
	if (op->how == EXCLUSIVE)
		memcpy(args->how.createhow3_u.verf, &op->arg,
		       sizeof(op->arg));
	else	/* UNCHECKED and GUARDED have the same arm */
		fill_sattr(op, &args->how.createhow3_u.obj_attributes);
}

#define CODEC(PROC) ((xdrproc_t)xdr_##PROC##3args)

static unsigned char *
encode(struct wire_client *c, const struct wire_files *files,
       const struct m_op *op, char *data, size_t *len)
{
	nfs_fh3 fh = to_fh(&files->fh[op->name][op->stale]);
	nfs_fh3 dir = to_fh(&files->dir);
	uint32_t from = m_bound[op->from], proc = 0;
	uint32_t count = op->to == M_NONE ? 0 : m_bound[op->to] - from;
	diropargs3 where = { dir, (char *)(uintptr_t)names[op->name] };
	xdrproc_t codec = NULL;
	union args a;

	memset(&a, 0, sizeof(a));
	switch (op->kind) {
	case M_WRITE:
		for (unsigned i = op->from; i < op->to; i++)
			m_fill(op->id, m_bound[i], m_bound[i + 1],
			       data + m_bound[i] - from);
		a.write = (WRITE3args){ fh, from, count,
					(stable_how)op->how,
					{ count, data } };
		proc = NFSPROC3_WRITE, codec = CODEC(WRITE);
		break;
	case M_COMMIT:
		/* The whole file as Linux asks for it. */
		if (op->from == 0 && op->to == M_CELLS)
			count = 0;
		a.commit = (COMMIT3args){ fh, from, count };
		proc = NFSPROC3_COMMIT, codec = CODEC(COMMIT);
		break;
	case M_READ:
		a.read = (READ3args){ fh, from, count };
		proc = NFSPROC3_READ, codec = CODEC(READ);
		break;
	case M_GETATTR:
		a.getattr.object = fh;
		proc = NFSPROC3_GETATTR, codec = CODEC(GETATTR);
		break;
	case M_TRUNCATE:
	case M_MODE:
	case M_MTIME:
		a.setattr.object = fh;
		proc = fill_sattr(op, &a.setattr.new_attributes);
		codec = CODEC(SETATTR);
		break;
	case M_CREATE:
		a.create.where = where;
		fill_create(op, &a.create);
		proc = NFSPROC3_CREATE, codec = CODEC(CREATE);
		break;
	case M_REMOVE:
		a.remove.object = where;
		proc = NFSPROC3_REMOVE, codec = CODEC(REMOVE);
		break;
	case M_RENAME:
		a.rename.from = a.rename.to = where;
		a.rename.to.name = (char *)(uintptr_t)names[1 - op->name];
		proc = NFSPROC3_RENAME, codec = CODEC(RENAME);
		break;
	case M_LOOKUP:
		a.lookup.what = where;
		proc = NFSPROC3_LOOKUP, codec = CODEC(LOOKUP);
		break;
	default:
		a.readdir.dir = dir;
		a.readdir.count = 4096;
		proc = NFSPROC3_READDIR, codec = CODEC(READDIR);
		break;
	}
	c->xid = rpcc_xid(&c->rpc);
	return rpcc_build(&c->rpc, c->xid, NFS3_PROGRAM, NFS_V3, proc, codec,
			  &a, len);
}

bool
wire_send(struct wire_client *c, struct wire_files *files,
	  const struct m_op *op, struct m_seen *seen)
{
	char *data;

	memset(seen, 0, sizeof(*seen));
	if (op->kind <= M_MTIME) {
		seen->target = files->number[op->name][op->stale];
		if (seen->target == 0)
			return false;
	}
	data = malloc(m_bound[M_CELLS]);
	free(c->call);
	c->call = encode(c, files, op, data, &c->call_len);
	free(data);
	free(c->reply);
	c->reply = NULL;
	c->repeatable = false;
	seen->sent_ms = now_ms();
	if (c->call == NULL)
		return false;
	c->sent = rpcc_send_message(&c->rpc, c->call, c->call_len);
	return true;
}

void
wire_resend(struct wire_client *c)
{
	c->sent = rpcc_send_message(&c->rpc, c->call, c->call_len);
}

/* ---- replies ---- */

static uint16_t
number_of(struct wire_files *files, uint64_t fileid, bool *fresh)
{
	*fresh = false;
	for (uint16_t i = 1; i <= files->count; i++) {
		if (files->fileid[i] == fileid)
			return i;
	}
	if (files->count + 1 < WIRE_FILES)
		files->count++;
	files->fileid[files->count] = fileid;
	*fresh = true;
	return files->count;
}

static void
see_attr(struct wire_files *files, const fattr3 *a, struct m_seen *seen)
{
	bool fresh;

	seen->has_attr = true;
	seen->size = a->size;
	seen->mode = a->mode;
	seen->mtime_ns = (int64_t)a->mtime.seconds * 1000000000 +
			 a->mtime.nseconds;
	seen->attr_file = number_of(files, a->fileid, &fresh);
	seen->fresh = fresh;
}

static void
see_post_attr(struct wire_files *files, const post_op_attr *a,
	      struct m_seen *seen)
{
	if (a->attributes_follow)
		see_attr(files, &a->post_op_attr_u.attributes, seen);
}

/* A name leads to this file now. */
static void
see_name(struct wire_files *files, unsigned name, const nfs_fh3 *fh,
	 uint16_t number)
{
	if (files->number[name][0] != 0 && files->number[name][0] != number) {
		files->number[name][1] = files->number[name][0];
		files->fh[name][1] = files->fh[name][0];
	}
	files->number[name][0] = number;
	if (fh != NULL) {
		files->fh[name][0].len = fh->data.data_len;
		memcpy(files->fh[name][0].data, fh->data.data_val,
		       fh->data.data_len);
	}
}

static void
see_gone(struct wire_files *files, unsigned name)
{
	see_name(files, name, NULL, 0);
}

static void
see_renamed(struct wire_files *files, unsigned name)
{
	unsigned to = 1 - name;
	uint16_t number = files->number[name][0];

	see_gone(files, to);
	files->number[to][0] = number;
	files->fh[to][0] = files->fh[name][0];
	files->number[name][0] = 0;
}

static void
see_entries(struct wire_files *files, const entry3 *e, struct m_seen *seen)
{
	for (; e != NULL; e = e->nextentry) {
		for (unsigned i = 0; i < M_NAMES; i++) {
			if (strcmp(e->name, names[i]) == 0)
				seen->listed[i] = number_of(
					files, e->fileid,
					&seen->listed_fresh[i]);
		}
	}
}

union res {
	WRITE3res write;
	COMMIT3res commit;
	READ3res read;
	GETATTR3res getattr;
	SETATTR3res setattr;
	CREATE3res create;
	REMOVE3res remove;
	RENAME3res rename;
	LOOKUP3res lookup;
	READDIR3res readdir;
};

static xdrproc_t
res_codec(const struct m_op *op)
{
	switch (op->kind) {
	case M_WRITE:
		return (xdrproc_t)xdr_WRITE3res;
	case M_COMMIT:
		return (xdrproc_t)xdr_COMMIT3res;
	case M_READ:
		return (xdrproc_t)xdr_READ3res;
	case M_GETATTR:
		return (xdrproc_t)xdr_GETATTR3res;
	case M_CREATE:
		return (xdrproc_t)xdr_CREATE3res;
	case M_REMOVE:
		return (xdrproc_t)xdr_REMOVE3res;
	case M_RENAME:
		return (xdrproc_t)xdr_RENAME3res;
	case M_LOOKUP:
		return (xdrproc_t)xdr_LOOKUP3res;
	case M_READDIR:
		return (xdrproc_t)xdr_READDIR3res;
	default:
		return (xdrproc_t)xdr_SETATTR3res;
	}
}

static void
see_read(struct wire_client *c, struct wire_files *files, READ3resok *ok,
	 struct m_seen *seen)
{
	free(c->data);
	c->data = malloc(ok->data.nfsdata3_len + 1);
	if (ok->data.nfsdata3_len > 0)
		memcpy(c->data, ok->data.nfsdata3_val, ok->data.nfsdata3_len);
	seen->data = c->data;
	seen->got = ok->count == ok->data.nfsdata3_len ? ok->count
						       : UINT32_MAX;
	seen->eof = ok->eof;
	see_post_attr(files, &ok->file_attributes, seen);
}

static void
see(struct wire_client *c, struct wire_files *files, const struct m_op *op,
    union res *r, struct m_seen *seen, uint8_t verf[8])
{
	seen->status = (int)r->write.status;	/* first in all of them */
	if (seen->status != NFS3_OK)
		return;
	switch (op->kind) {
	case M_WRITE:
		see_post_attr(files, &r->write.WRITE3res_u.resok.file_wcc.after,
			      seen);
		memcpy(verf, r->write.WRITE3res_u.resok.verf, 8);
		if (op->how != UNSTABLE &&
		    r->write.WRITE3res_u.resok.committed == UNSTABLE)
			seen->status = NFS3ERR_SERVERFAULT;
		break;
	case M_COMMIT:
		see_post_attr(files,
			      &r->commit.COMMIT3res_u.resok.file_wcc.after,
			      seen);
		memcpy(verf, r->commit.COMMIT3res_u.resok.verf, 8);
		break;
	case M_READ:
		see_read(c, files, &r->read.READ3res_u.resok, seen);
		break;
	case M_GETATTR:
		see_attr(files, &r->getattr.GETATTR3res_u.resok.obj_attributes,
			 seen);
		break;
	case M_CREATE: {
		CREATE3resok *ok = &r->create.CREATE3res_u.resok;

		see_post_attr(files, &ok->obj_attributes, seen);
		seen->file = seen->attr_file;
		/* Without a handle (or its attributes) it has to be looked
		 * up (RFC 1813 3.3.8). */
		if (ok->obj.handle_follows && seen->has_attr)
			see_name(files, op->name,
				 &ok->obj.post_op_fh3_u.handle, seen->file);
		else
			see_gone(files, op->name);
		break;
	}
	case M_LOOKUP: {
		LOOKUP3resok *ok = &r->lookup.LOOKUP3res_u.resok;

		see_post_attr(files, &ok->obj_attributes, seen);
		seen->file = seen->attr_file;
		see_name(files, op->name, &ok->object, seen->file);
		break;
	}
	case M_REMOVE:
		see_gone(files, op->name);
		break;
	case M_RENAME:
		see_renamed(files, op->name);
		break;
	case M_READDIR:
		see_entries(files, r->readdir.READDIR3res_u.resok.reply.entries,
			    seen);
		break;
	default:
		see_post_attr(files,
			      &r->setattr.SETATTR3res_u.resok.obj_wcc.after,
			      seen);
		break;
	}
}

static bool
cached(const struct m_op *op, int status)
{
	return status != NFS3ERR_JUKEBOX &&
	       (op->kind == M_WRITE || op->kind == M_COMMIT ||
		op->kind == M_REMOVE || op->kind == M_RENAME ||
		op->kind == M_CREATE || op->kind == M_TRUNCATE);
}

int
wire_recv(struct wire_client *c, struct wire_files *files,
	  const struct m_op *op, unsigned timeout_ms, struct m_seen *seen,
	  uint8_t verf[8])
{
	struct rpcc_reply reply;
	union res res;
	XDR xdr;
	int r = c->sent;

	if (r == 0)
		r = rpcc_recv(&c->rpc, c->xid, timeout_ms, &reply);
	seen->recv_ms = now_ms();
	if (r != 0)
		return r < 0 ? r : -EPROTO;
	if (reply.status != RPCC_SUCCESS) {
		free(reply.data);
		return -EPROTO;
	}
	memset(&res, 0, sizeof(res));
	xdrmem_create(&xdr, (char *)reply.data + reply.results_at,
		      (u_int)(reply.len - reply.results_at), XDR_DECODE);
	r = res_codec(op)(&xdr, &res) ? 0 : -EBADMSG;
	xdr_destroy(&xdr);
	if (r == 0) {
		see(c, files, op, &res, seen, verf);
		c->repeatable = cached(op, seen->status);
	}
	xdr_free(res_codec(op), (char *)&res);
	c->reply = reply.data;
	c->reply_len = reply.len;
	return r;
}

int
wire_again(struct wire_client *c, unsigned timeout_ms)
{
	struct rpcc_reply reply;
	int r;

	if (!c->repeatable)
		return 0;
	r = rpcc_send_message(&c->rpc, c->call, c->call_len);
	if (r == 0)
		r = rpcc_recv(&c->rpc, c->xid, timeout_ms, &reply);
	if (r != 0)
		return r < 0 ? r : -EPROTO;
	if (reply.len != c->reply_len ||
	    memcmp(reply.data, c->reply, reply.len) != 0)
		r = -EBADMSG;
	free(reply.data);
	return r;
}
