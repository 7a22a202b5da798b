/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of RFC 1813 that the load cases use, encoded by hand into a
 * slot's buffer, and the parts of results they look at.  No server's own
 * code or rpcgen's is used: a mistake shared with the server under test
 * would go unseen.
 */
#include <config.h>

#include "tests/bench/nfs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NFS_PROGRAM 100003u
#define MOUNT_PROGRAM 100005u

enum {
	PROC_GETATTR = 1, PROC_LOOKUP = 3, PROC_READ = 6, PROC_WRITE = 7,
	PROC_CREATE = 8, PROC_MKDIR = 9, PROC_REMOVE = 12, PROC_RMDIR = 13,
	PROC_READDIRPLUS = 17, PROC_FSINFO = 19, PROC_COMMIT = 21
};

static void
begin(struct wire *w, struct slot *s, uint32_t proc, const struct fh *fh)
{
	wire_begin(w, s, NFS_PROGRAM, 3, proc);
	put_opaque(s, fh->bytes, fh->len);
}

static void
put_name(struct slot *s, const char *name)
{
	put_opaque(s, name, strlen(name));
}

/* sattr3: mode, perhaps size 0, nothing else. */
static void
put_sattr(struct slot *s, uint32_t mode, bool truncate)
{
	put_u32(s, 1);
	put_u32(s, mode);
	put_u32(s, 0);
	put_u32(s, 0);
	put_u32(s, truncate);
	if (truncate)
		put_u64(s, 0);
	put_u32(s, 0);
	put_u32(s, 0);
}

void
nfs_getattr(struct wire *w, struct slot *s, const struct fh *fh)
{
	begin(w, s, PROC_GETATTR, fh);
}

void
nfs_lookup(struct wire *w, struct slot *s, const struct fh *dir,
	   const char *name)
{
	begin(w, s, PROC_LOOKUP, dir);
	put_name(s, name);
}

void
nfs_read(struct wire *w, struct slot *s, const struct fh *fh, uint64_t off,
	 uint32_t len)
{
	begin(w, s, PROC_READ, fh);
	put_u64(s, off);
	put_u32(s, len);
}

void
nfs_write(struct wire *w, struct slot *s, const struct fh *fh, uint64_t off,
	  const uint8_t *data, uint32_t len, uint32_t stable)
{
	begin(w, s, PROC_WRITE, fh);
	put_u64(s, off);
	put_u32(s, len);
	put_u32(s, stable);
	put_u32(s, len);
	s->data = data;
	s->data_len = len;
}

void
nfs_commit(struct wire *w, struct slot *s, const struct fh *fh)
{
	begin(w, s, PROC_COMMIT, fh);
	put_u64(s, 0);
	put_u32(s, 0);
}

void
nfs_create(struct wire *w, struct slot *s, const struct fh *dir,
	   const char *name, bool guarded, uint32_t mode)
{
	begin(w, s, PROC_CREATE, dir);
	put_name(s, name);
	put_u32(s, guarded ? 1 : 0);
	put_sattr(s, mode, !guarded);
}

void
nfs_mkdir(struct wire *w, struct slot *s, const struct fh *dir,
	  const char *name)
{
	begin(w, s, PROC_MKDIR, dir);
	put_name(s, name);
	put_sattr(s, 0755, false);
}

void
nfs_remove(struct wire *w, struct slot *s, const struct fh *dir,
	   const char *name, bool is_dir)
{
	begin(w, s, is_dir ? PROC_RMDIR : PROC_REMOVE, dir);
	put_name(s, name);
}

void
nfs_readdirplus(struct wire *w, struct slot *s, const struct fh *dir,
		uint64_t cookie, const uint8_t verf[8])
{
	begin(w, s, PROC_READDIRPLUS, dir);
	put_u64(s, cookie);
	for (int i = 0; i < 8; i += 4)
		put_u32(s, (uint32_t)verf[i] << 24 |
			(uint32_t)verf[i + 1] << 16 |
			(uint32_t)verf[i + 2] << 8 | verf[i + 3]);
	put_u32(s, 32768);	/* dircount */
	put_u32(s, 65536);	/* maxcount */
}

void
nfs_fsinfo(struct wire *w, struct slot *s, const struct fh *fh)
{
	begin(w, s, PROC_FSINFO, fh);
}

/* ---- results ---- */

void
get_attr(struct in *in, struct attr *out)
{
	out->present = true;
	out->type = get_u32(in);
	out->mode = get_u32(in);
	get_skip(in, 12);	/* nlink, uid, gid */
	out->size = get_u64(in);
	get_skip(in, 24);	/* used, rdev, fsid */
	out->fileid = get_u64(in);
	get_skip(in, 24);	/* times */
}

void
get_post_attr(struct in *in, struct attr *out)
{
	memset(out, 0, sizeof(*out));
	if (get_u32(in) != 0)
		get_attr(in, out);
}

void
get_wcc(struct in *in, struct attr *after)
{
	if (get_u32(in) != 0)
		get_skip(in, 24);
	get_post_attr(in, after);
}

void
get_fh(struct in *in, struct fh *out)
{
	size_t len = 0;
	const uint8_t *p = get_opaque(in, NFS_FHSIZE, &len);

	out->len = 0;
	if (p == NULL)
		return;
	memcpy(out->bytes, p, len);
	out->len = len;
}

/* ---- blocking ---- */

int
nfs_mount(const char *host, unsigned port, const char *path, struct fh *root,
	  char *error, size_t error_len)
{
	struct wire w;
	struct in in;
	int r = -1;
	uint32_t status = 0;

	if (wire_open(&w, host, port, 1, 1, 0) == 0) {
		wire_begin(&w, &w.slots[0], MOUNT_PROGRAM, 3, 1);
		put_name(&w.slots[0], path);
		if (wire_call(&w, &w.slots[0], &in) == 0) {
			status = get_u32(&in);
			get_fh(&in, root);
			r = status == 0 && !in.bad && root->len > 0 ? 0 : -1;
		}
	}
	if (r < 0)
		snprintf(error, error_len, "mount %s: status %u %s", path,
			 status, w.error);
	wire_close(&w);
	return r;
}

uint32_t
nfs_call(struct wire *w, struct in *in)
{
	for (int i = 0; i < 3000; i++) {
		uint32_t status;

		if (wire_call(w, &w->slots[0], in) < 0)
			return UINT32_MAX;
		status = get_u32(in);
		if (status != NFS3ERR_JUKEBOX)
			return in->bad ? UINT32_MAX : status;
		nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	}
	return NFS3ERR_JUKEBOX;
}

int
nfs_attr_of(struct wire *w, const struct fh *fh, struct attr *out)
{
	struct in in;
	uint32_t status;

	nfs_getattr(w, &w->slots[0], fh);
	status = nfs_call(w, &in);
	if (status == 0)
		get_attr(&in, out);
	if (status != 0 || in.bad) {
		wire_fail(w, "GETATTR: status %u", status);
		return -1;
	}
	return 0;
}

/* The next component of *path into name; false at the end. */
static bool
component(const char **path, char name[256])
{
	size_t len;

	*path += strspn(*path, "/");
	len = strcspn(*path, "/");
	if (len == 0 || len > 255)
		return false;
	memcpy(name, *path, len);
	name[len] = '\0';
	*path += len;
	return true;
}

int
nfs_find(struct wire *w, const struct fh *root, const char *path,
	 struct fh *out, struct attr *attr)
{
	struct fh at = *root;
	char name[256];

	while (component(&path, name)) {
		struct in in;
		uint32_t status;

		nfs_lookup(w, &w->slots[0], &at, name);
		status = nfs_call(w, &in);
		if (status == 0)
			get_fh(&in, &at);
		if (status != 0 || in.bad) {
			wire_fail(w, "LOOKUP %s: status %u", name, status);
			return -1;
		}
	}
	*out = at;
	return nfs_attr_of(w, out, attr);
}

int
nfs_make(struct wire *w, const struct fh *root, const char *path, bool dir,
	 struct fh *out)
{
	struct slot *s = &w->slots[0];
	struct in in;
	struct attr attr;
	uint32_t status;

	if (strchr(path, '/') != NULL || strlen(path) > 255) {
		wire_fail(w, "%s: one name below the export", path);
		return -1;
	}
	if (dir)
		nfs_mkdir(w, s, root, path);
	else
		nfs_create(w, s, root, path, false, 0644);
	status = nfs_call(w, &in);
	if (status != 0 || in.bad) {
		wire_fail(w, "%s %s: status %u", dir ? "MKDIR" : "CREATE",
			  path, status);
		return -1;
	}
	return nfs_find(w, root, path, out, &attr);
}

int
nfs_limits(struct wire *w, const struct fh *root, struct nfs_limits *out)
{
	struct in in;
	struct attr attr;
	uint32_t status;

	nfs_fsinfo(w, &w->slots[0], root);
	status = nfs_call(w, &in);
	if (status == 0) {
		get_post_attr(&in, &attr);
		out->read = get_u32(&in);
		get_skip(&in, 8);
		out->write = get_u32(&in);
	}
	if (status != 0 || in.bad || out->read < 4096 || out->write < 4096) {
		wire_fail(w, "FSINFO: status %u", status);
		return -1;
	}
	return 0;
}
