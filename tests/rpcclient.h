/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RPCCLIENT_H
#define TESTS_RPCCLIENT_H

/*
 * An RPC and NFSv3 client for tests: one connection, nothing hidden, every
 * wait with a deadline.  Calls can be sent without waiting, with chosen xids,
 * and sent again byte by byte; replies are received by xid, in any order.
 *
 *	struct rpcc c;
 *
 *	rpcc_open(&c, "127.0.0.5", "127.0.0.1", port, false);
 *	rpcc_identity(&c, "alpha", 1000, 1000, 0, NULL);
 *	nc_mnt(&c, "/bucket", &root);
 *	nc_create(&c, &root, "f", UNCHECKED, NULL, NULL, &fh, NULL);
 *	nc_write(&c, &fh, 0, "abc", 3, UNSTABLE, NULL);
 *	rpcc_close(&c);
 *
 * rpcc_* return 0 or a negative errno (-ETIMEDOUT, -ECONNRESET); or, where a
 * reply came that is none of success, one of enum rpcc_status.  nc_* return
 * an nfsstat3 (a mountstat3 for nc_mnt); or that negative errno; or
 * NC_REFUSED + rpcc_status.  Outputs may be NULL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpcgen/mount.h"
#include "rpcgen/nfs3.h"

enum rpcc_status {
	RPCC_SUCCESS = 0,
	RPCC_PROG_UNAVAIL = 1,	/* accept_stat, RFC 5531 9 */
	RPCC_PROG_MISMATCH = 2,
	RPCC_PROC_UNAVAIL = 3,
	RPCC_GARBAGE_ARGS = 4,
	RPCC_SYSTEM_ERR = 5,
	RPCC_RPC_MISMATCH = 100,
	RPCC_AUTH_ERROR = 200	/* + auth_stat */
};
#define NC_REFUSED 100000

struct rpcc_reply {
	uint32_t xid;
	int status;		/* enum rpcc_status */
	uint32_t low, high;	/* of mismatches */
	unsigned char *data;	/* the whole message; malloc */
	size_t len, results_at;
	struct rpcc_reply *next;
};

struct rpcc {
	int fd;
	bool udp;
	uint32_t next_xid;	/* random at first */
	unsigned timeout_ms;	/* for calls that wait; 60000 */
	uint32_t flavor;	/* 1 AUTH_SYS, 0 AUTH_NONE */
	char machine[256];
	uint32_t uid, gid, group_count, groups[16];
	size_t fragment;	/* bytes of a fragment; 0: all in one */
	struct rpcc_reply *waiting;	/* came before it was asked for */
	struct rpcc_reply last;	/* header of the last reply; no data */
};

/* local: the address to come from, or NULL. */
int rpcc_open(struct rpcc *c, const char *local, const char *host,
	      uint16_t port, bool udp);
/* From a given local port; 0 any. */
int rpcc_open_from(struct rpcc *c, const char *local, uint16_t local_port,
		   const char *host, uint16_t port, bool udp);
void rpcc_close(struct rpcc *c);
/* machine NULL: AUTH_NONE. */
void rpcc_identity(struct rpcc *c, const char *machine, uint32_t uid,
		   uint32_t gid, unsigned group_count, const uint32_t *groups);

/* The codec of nothing; libtirpc's xdr_void has another type. */
bool_t rpcc_void(XDR *xdrs, void *nothing);

/* ---- calls in pieces ---- */

/* Bytes of a call, without a record marker; free().  NULL: did not encode. */
unsigned char *rpcc_build(struct rpcc *c, uint32_t xid, uint32_t program,
			  uint32_t version, uint32_t procedure,
			  xdrproc_t xdr_args, const void *args, size_t *len);
/* One message as a record, or as a datagram. */
int rpcc_send_message(struct rpcc *c, const void *message, size_t len);
/* Bytes as they are. */
int rpcc_send_raw(struct rpcc *c, const void *bytes, size_t len);
/* Sending gives up (-EAGAIN) when the server takes nothing for so long. */
int rpcc_send_timeout(struct rpcc *c, unsigned timeout_ms);
int rpcc_send(struct rpcc *c, uint32_t xid, uint32_t program,
	      uint32_t version, uint32_t procedure, xdrproc_t xdr_args,
	      const void *args);
/* The reply to xid; its data is the caller's to free. */
int rpcc_recv(struct rpcc *c, uint32_t xid, unsigned timeout_ms,
	      struct rpcc_reply *reply);
/* Whichever comes next. */
int rpcc_recv_any(struct rpcc *c, unsigned timeout_ms,
		  struct rpcc_reply *reply);
/* The same, its results decoded (free with xdr_free). */
int rpcc_result(struct rpcc *c, uint32_t xid, unsigned timeout_ms,
		xdrproc_t xdr_res, void *res);
/* 0: the server closed the connection in that time. */
int rpcc_wait_closed(struct rpcc *c, unsigned timeout_ms);
uint32_t rpcc_xid(struct rpcc *c);

int rpcc_call(struct rpcc *c, uint32_t program, uint32_t version,
	      uint32_t procedure, xdrproc_t xdr_args, const void *args,
	      xdrproc_t xdr_res, void *res);

/* ---- NFSv3 and MOUNT ---- */

struct nc_fh {
	uint32_t len;
	uint8_t data[64];
};

/* What to set; zeroed: nothing. */
struct nc_set {
	bool mode_set, uid_set, gid_set, size_set;
	uint32_t mode, uid, gid;
	uint64_t size;
	time_how atime_how, mtime_how;
	nfstime3 atime, mtime;
	const nfstime3 *guard;	/* nc_setattr only */
};

struct nc_entry {
	uint64_t fileid, cookie;
	char name[256];
	bool has_attr, has_fh;
	fattr3 attr;
	struct nc_fh fh;
};

int nc_mnt(struct rpcc *c, const char *path, struct nc_fh *root);
int nc_umnt(struct rpcc *c, const char *path);
int nc_null(struct rpcc *c);
int nc_getattr(struct rpcc *c, const struct nc_fh *fh, fattr3 *attr);
int nc_setattr(struct rpcc *c, const struct nc_fh *fh,
	       const struct nc_set *set, wcc_data *wcc);
int nc_truncate(struct rpcc *c, const struct nc_fh *fh, uint64_t size);
int nc_lookup(struct rpcc *c, const struct nc_fh *dir, const char *name,
	      struct nc_fh *fh, fattr3 *attr);
int nc_access(struct rpcc *c, const struct nc_fh *fh, uint32_t want,
	      uint32_t *granted);
/* target: at least 1025 bytes. */
int nc_readlink(struct rpcc *c, const struct nc_fh *fh, char *target);
int nc_read(struct rpcc *c, const struct nc_fh *fh, uint64_t off, void *buf,
	    uint32_t len, uint32_t *got, bool *eof);
/* In two halves, for calls that wait. */
int nc_read_send(struct rpcc *c, uint32_t xid, const struct nc_fh *fh,
		 uint64_t off, uint32_t len);
int nc_read_recv(struct rpcc *c, uint32_t xid, unsigned timeout_ms, void *buf,
		 uint32_t len, uint32_t *got, bool *eof, fattr3 *attr);
struct nc_written {
	uint32_t count;
	stable_how committed;
	uint8_t verf[8];
	wcc_data wcc;
};
int nc_write(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	     const void *data, uint32_t len, stable_how stable,
	     struct nc_written *out);
/* In two halves, for calls that wait. */
int nc_write_send(struct rpcc *c, uint32_t xid, const struct nc_fh *fh,
		  uint64_t off, const void *data, uint32_t len,
		  stable_how stable);
int nc_write_recv(struct rpcc *c, uint32_t xid, unsigned timeout_ms,
		  struct nc_written *out);
int nc_commit(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	      uint32_t count, uint8_t verf[8]);
/* UNCHECKED, GUARDED with set (or NULL); EXCLUSIVE with verf. */
int nc_create(struct rpcc *c, const struct nc_fh *dir, const char *name,
	      createmode3 mode, const struct nc_set *set,
	      const uint8_t verf[8], struct nc_fh *fh, fattr3 *attr);
int nc_mkdir(struct rpcc *c, const struct nc_fh *dir, const char *name,
	     const struct nc_set *set, struct nc_fh *fh, fattr3 *attr);
int nc_symlink(struct rpcc *c, const struct nc_fh *dir, const char *name,
	       const char *target, struct nc_fh *fh);
int nc_mknod(struct rpcc *c, const struct nc_fh *dir, const char *name,
	     ftype3 type, uint32_t major, uint32_t minor, struct nc_fh *fh);
int nc_remove(struct rpcc *c, const struct nc_fh *dir, const char *name);
int nc_rmdir(struct rpcc *c, const struct nc_fh *dir, const char *name);
int nc_rename(struct rpcc *c, const struct nc_fh *from_dir, const char *from,
	      const struct nc_fh *to_dir, const char *to);
int nc_link(struct rpcc *c, const struct nc_fh *fh, const struct nc_fh *dir,
	    const char *name);
/* One page from cookie on.  verf is in and out (zero it at first).  At most
 * max entries are kept; *count tells how many came. */
int nc_readdir(struct rpcc *c, const struct nc_fh *dir, uint64_t cookie,
	       uint8_t verf[8], uint32_t bytes, struct nc_entry *entries,
	       unsigned max, unsigned *count, bool *eof);
int nc_readdirplus(struct rpcc *c, const struct nc_fh *dir, uint64_t cookie,
		   uint8_t verf[8], uint32_t dir_bytes, uint32_t bytes,
		   struct nc_entry *entries, unsigned max, unsigned *count,
		   bool *eof);
int nc_fsstat(struct rpcc *c, const struct nc_fh *fh, FSSTAT3resok *out);
int nc_fsinfo(struct rpcc *c, const struct nc_fh *fh, FSINFO3resok *out);
int nc_pathconf(struct rpcc *c, const struct nc_fh *fh, PATHCONF3resok *out);

#endif
