/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of nfsd/nfs3*.c share; see nfs3_fixture.h. */
#include <config.h>

#include <arpa/inet.h>
#include <string.h>

#include "tests/nfs3_fixture.h"

static struct gate_export data_export = {1}, other_export = {2};
struct nfs3 nfs;
struct rpc_program program;
struct rpc_request rq;
char tail[1 << 20];
bool no_tail;
nfs_fh3 root, file, foreign, broken, forged;
static char bytes[8][64];
char name_a[2] = "a", name_b[2] = "b";
char data_x[5] = "xyz!";
union nfs3_results res;
union nfs3_args args;

void *
rpc_tail_alloc(struct rpc_request *request, uint32_t len)
{
	CU_ASSERT(len <= sizeof(tail));
	if (!no_tail)
		request->tail = tail;
	return request->tail;
}

void
handle(nfs_fh3 *out, int slot, uint32_t export, uint64_t ino)
{
	struct gate_fh fh = {ino, 1};

	CU_ASSERT_EQUAL(fh_pack(nfs.signer, export, &fh,
				(uint8_t *)bytes[slot]), 0);
	out->data.data_val = bytes[slot];
	out->data.data_len = FH_SIZE;
}

static void
add(const char *name, struct gate_export *export, const char *clients,
    bool readonly)
{
	struct exports_rules *rules = NULL;
	char why[128];

	CU_ASSERT_EQUAL_FATAL(exports_rules_parse(clients, &rules, why,
						  sizeof(why)), 0);
	CU_ASSERT_EQUAL(exports_add(nfs.exports, name, export, readonly,
				    &rules), 0);
}

void
set_up(const char *clients, bool readonly)
{
	uint8_t key[16];

	fake_gate_reset();
	exports_free(&nfs.exports);
	fh_signer_free(&nfs.signer);
	memset(&nfs, 0, sizeof(nfs));
	gate_fh_key(NULL, key);
	CU_ASSERT_EQUAL_FATAL(fh_signer_new(key, &nfs.signer), 0);
	CU_ASSERT_EQUAL_FATAL(exports_new(&nfs.exports), 0);
	add("/data", &data_export, clients, readonly);
	add("/other", &other_export, clients, readonly);
	nfs3_program(&nfs, &program);
	handle(&root, 0, 1, 2);
	handle(&file, 1, 1, 42);
	handle(&foreign, 2, 2, 42);
	handle(&forged, 3, 1, 43);
	bytes[3][31] ^= 1;
	broken = (nfs_fh3){{7, bytes[0]}};
	no_tail = false;
}

void
set_up_plain(void)
{
	set_up("10.0.0.0/8(no_root_squash,insecure)", false);
}

void
new_request(uint32_t procedure)
{
	struct sockaddr_in *peer = (void *)&rq.peer;

	memset(&rq, 0, sizeof(rq));
	rq.program = NFS3_PROGRAM;
	rq.procedure = procedure;
	rq.program_arg = &nfs;
	rq.cred.flavor = 1;
	rq.cred.uid = 1000;
	strcpy(rq.cred.machine, "host");
	memset(rq.digest, 'd', sizeof(rq.digest));
	peer->sin_family = AF_INET;
	peer->sin_addr.s_addr = htonl(0x0a000001);
	peer->sin_port = htons(700);
}


void
res_free(void)
{
	xdr_free(program.versions[0].procedures[rq.procedure].xdr_res, &res);
	memset(&res, 0, sizeof(res));
}

enum rpc_outcome
run(void *call_args)
{
	memset(&res, 0, sizeof(res));
	return program.versions[0].procedures[rq.procedure].run(
		&rq, call_args, &res);
}

nfsstat3
status_of(uint32_t procedure, void *call_args)
{
	nfsstat3 status;

	new_request(procedure);
	CU_ASSERT_EQUAL(run(call_args), RPC_DONE);
	status = res.status;
	res_free();
	return status;
}


void *
good_args(uint32_t procedure)
{
	memset(&args, 0, sizeof(args));
	args.fh = root;
	switch (procedure) {
	case NFSPROC3_LOOKUP:
	case NFSPROC3_REMOVE:
	case NFSPROC3_RMDIR:
	case NFSPROC3_CREATE:
	case NFSPROC3_MKDIR:
		args.lookup.what.name = name_a;
		break;
	case NFSPROC3_SYMLINK:
		args.symlink.where.name = name_a;
		args.symlink.symlink.symlink_data = name_b;
		break;
	case NFSPROC3_MKNOD:
		args.mknod.where.name = name_a;
		args.mknod.what.type = NF3FIFO;
		break;
	case NFSPROC3_RENAME:
		args.rename.from.name = name_a;
		args.rename.to.dir = root;
		args.rename.to.name = name_b;
		break;
	case NFSPROC3_LINK:
		args.fh = file;
		args.link.link.dir = root;
		args.link.link.name = name_b;
		break;
	case NFSPROC3_READ:
		args.read.count = 4;
		break;
	case NFSPROC3_WRITE:
		args.write.count = 4;
		args.write.data = (nfsdata3){4, data_x};
		break;
	case NFSPROC3_READDIR:
		args.readdir.count = 4096;
		break;
	case NFSPROC3_READDIRPLUS:
		args.readdirplus.dircount = 4096;
		args.readdirplus.maxcount = 8192;
		break;
	}
	return &args;
}

void
tear_down(void)
{
	exports_free(&nfs.exports);
	fh_signer_free(&nfs.signer);
}
