/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_NFS3_FIXTURE_H
#define TESTS_NFS3_FIXTURE_H

/* The 22 procedures over a gate that does as it is told: what tests of
 * nfsd/nfs3*.c share. */

#include "nfsd/nfs3.h"
#include "tests/fake_gate.h"
#include "tests/unit.h"

extern struct nfs3 nfs;
extern struct rpc_program program;
extern struct rpc_request rq;
extern bool no_tail;		/* rpc_tail_alloc finds no memory */
extern nfs_fh3 root, file, foreign, broken, forged;
extern char name_a[2], name_b[2], data_x[5];
extern char tail[1 << 20];	/* what rpc_tail_alloc gives */

union nfs3_results {
	GETATTR3res getattr;
	SETATTR3res setattr;
	LOOKUP3res lookup;
	ACCESS3res access;
	READLINK3res readlink;
	READ3res read;
	WRITE3res write;
	CREATE3res create;
	MKDIR3res mkdir;
	SYMLINK3res symlink;
	MKNOD3res mknod;
	REMOVE3res remove;
	RMDIR3res rmdir;
	RENAME3res rename;
	LINK3res link;
	struct nfs3_dir_result dir;
	FSSTAT3res fsstat;
	FSINFO3res fsinfo;
	PATHCONF3res pathconf;
	COMMIT3res commit;
	nfsstat3 status;	/* the first word of all */
};
extern union nfs3_results res;

union nfs3_args {
	nfs_fh3 fh;
	SETATTR3args setattr;
	LOOKUP3args lookup;
	ACCESS3args access;
	READ3args read;
	WRITE3args write;
	CREATE3args create;
	MKDIR3args mkdir;
	SYMLINK3args symlink;
	MKNOD3args mknod;
	REMOVE3args remove;
	RENAME3args rename;
	LINK3args link;
	READDIR3args readdir;
	READDIRPLUS3args readdirplus;
	COMMIT3args commit;
};
extern union nfs3_args args;

/* Two exports, /data and /other, for those clients. */
void set_up(const char *clients, bool readonly);
void set_up_plain(void);
void tear_down(void);
/* A good handle, in one of 8 slots for its bytes. */
void handle(nfs_fh3 *out, int slot, uint32_t export, uint64_t ino);
void new_request(uint32_t procedure);
/* One attempt; the result is left in res. */
enum rpc_outcome run(void *call_args);
void res_free(void);
nfsstat3 status_of(uint32_t procedure, void *call_args);
/* Arguments that would be good, for every procedure. */
void *good_args(uint32_t procedure);

#endif
