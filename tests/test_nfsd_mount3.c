/* SPDX-License-Identifier: Apache-2.0 */
/* MOUNT over a gate that does as it is told: nfsd/mount3.c. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "nfsd/mount3.h"
#include "tests/fake_gate.h"
#include "tests/unit.h"

static struct gate_export data_export = {1}, deep_export = {2};
static struct nfs3 nfs;
static struct mount3 *mounts;
static struct rpc_program program;
static struct rpc_request rq;

/* The procedures of NFS are linked too; nobody calls them here. */
void *
rpc_tail_alloc(struct rpc_request *request, uint32_t len)
{
	(void)request;
	(void)len;
	return NULL;
}

static void
add(const char *name, struct gate_export *export, const char *clients)
{
	struct exports_rules *rules = NULL;
	char why[128];

	CU_ASSERT_EQUAL_FATAL(exports_rules_parse(clients, &rules, why,
						  sizeof(why)), 0);
	CU_ASSERT_EQUAL(exports_add(nfs.exports, name, export, false, &rules),
			0);
}

static void
tear_down(void)
{
	mount3_free(&mounts);
	exports_free(&nfs.exports);
	fh_signer_free(&nfs.signer);
}

static void
set_up(const char *clients)
{
	uint8_t key[16];

	tear_down();
	fake_gate_reset();
	memset(&nfs, 0, sizeof(nfs));
	gate_fh_key(NULL, key);
	CU_ASSERT_EQUAL_FATAL(fh_signer_new(key, &nfs.signer), 0);
	CU_ASSERT_EQUAL_FATAL(exports_new(&nfs.exports), 0);
	add("/data", &data_export, clients);
	add("/data/deep", &deep_export, "10.0.0.0/8 fd00::/8(ro) *");
	CU_ASSERT_EQUAL_FATAL(mount3_new(&nfs, &mounts), 0);
	mount3_program(mounts, &program);
}

static void
new_request(uint32_t version, uint32_t procedure, uint32_t from)
{
	struct sockaddr_in *peer = (void *)&rq.peer;

	memset(&rq, 0, sizeof(rq));
	rq.program = MOUNT_PROGRAM;
	rq.version = version;
	rq.procedure = procedure;
	rq.program_arg = mounts;
	rq.may_block = true;
	rq.cred.flavor = 1;
	rq.cred.uid = 1000;
	strcpy(rq.cred.machine, "host");
	peer->sin_family = AF_INET;
	peer->sin_addr.s_addr = htonl(from);
	peer->sin_port = htons(700);
}

static const struct rpc_procedure *
procedure(void)
{
	return &program.versions[rq.version == 1 ? 0 : 1]
		.procedures[rq.procedure];
}

static enum rpc_outcome
call(const char *path, void *res)
{
	char *copy = path != NULL ? strdup(path) : NULL;
	enum rpc_outcome out = procedure()->run(&rq, &copy, res);

	free(copy);
	return out;
}

static mountstat3
mnt(const char *path)
{
	mountres3 res = {0};
	mountstat3 status;

	new_request(3, MOUNTPROC3_MNT, 0x0a000001);
	CU_ASSERT_EQUAL(call(path, &res), RPC_DONE);
	status = res.fhs_status;
	xdr_free((xdrproc_t)xdr_mountres3, (char *)&res);
	return status;
}

static void
a_mount_gives_a_handle_and_auth_sys(void)
{
	mountres3 res = {0};
	mountres3_ok *ok = &res.mountres3_u.mountinfo;
	struct gate_fh fh;
	uint32_t id;

	set_up("*");
	new_request(3, MOUNTPROC3_MNT, 0x0a000001);
	CU_ASSERT_EQUAL(call("/data", &res), RPC_DONE);
	CU_ASSERT_EQUAL(res.fhs_status, MNT3_OK);
	CU_ASSERT_EQUAL(fh_unpack(nfs.signer, ok->fhandle.fhandle3_val,
				  ok->fhandle.fhandle3_len, &id, &fh), 0);
	CU_ASSERT(id == 1 && fh.ino == 2);
	CU_ASSERT(ok->auth_flavors.auth_flavors_len == 1 &&
		  ok->auth_flavors.auth_flavors_val[0] == AUTH_SYS);
	CU_ASSERT_EQUAL(fake_gate.hints, 1);
	CU_ASSERT_EQUAL(mount3_count(mounts), 1);
	xdr_free((xdrproc_t)xdr_mountres3, (char *)&res);
}

static void
version_1_gives_the_same_handle(void)
{
	fhstatus res = {0};
	struct gate_fh fh;
	uint32_t id;

	set_up("*");
	new_request(1, MOUNTPROC_MNT, 0x0a000001);
	CU_ASSERT_EQUAL(call("/data/", &res), RPC_DONE);
	CU_ASSERT_EQUAL(res.fhs_status, 0);
	CU_ASSERT_EQUAL(fh_unpack(nfs.signer, res.fhstatus_u.fhs_fhandle,
				  FHSIZE, &id, &fh), 0);
	CU_ASSERT(id == 1 && fh.ino == 2);
	memset(&res, 0, sizeof(res));
	CU_ASSERT_EQUAL(call("/none", &res), RPC_DONE);
	CU_ASSERT_EQUAL(res.fhs_status, ENOENT);
}

static void
directories_below_are_walked_to_as_root(void)
{
	set_up("*");
	fake_gate.walk[0] = "a";
	fake_gate.walk[1] = "b c";
	CU_ASSERT_EQUAL(mnt("//data/./a///b c//"), MNT3_OK);
	CU_ASSERT_EQUAL(fake_gate.walked, 2);
	CU_ASSERT_EQUAL(fake_gate.request.cred.uid, 0);
	CU_ASSERT_PTR_NULL(fake_gate.request.token);
	fake_gate.walked = 0;
	CU_ASSERT_EQUAL(mnt("/data/a/x"), MNT3ERR_NOENT);
	fake_gate.walked = 0;
	fake_gate.walk_kind = GATE_LNK;
	CU_ASSERT_EQUAL(mnt("/data/a/b c"), MNT3ERR_NOTDIR);
	fake_gate.walked = 0;
	fake_gate.walk_kind = GATE_REG;
	CU_ASSERT_EQUAL(mnt("/data/a"), MNT3ERR_NOTDIR);
}

static void
the_longest_export_is_mounted(void)
{
	mountres3 res = {0};

	set_up("*");
	new_request(3, MOUNTPROC3_MNT, 0x0a000001);
	CU_ASSERT_EQUAL(call("/data/deep", &res), RPC_DONE);
	CU_ASSERT_EQUAL(fh_export_hint(nfs.signer, res.mountres3_u.mountinfo
				       .fhandle.fhandle3_val, FH_SIZE), 2);
	xdr_free((xdrproc_t)xdr_mountres3, (char *)&res);
}

static void
refusals_have_their_status(void)
{
	char *path = malloc(1025), name[300];

	set_up("10.9.9.9");
	CU_ASSERT_EQUAL(mnt("/data"), MNT3ERR_ACCES);
	CU_ASSERT_EQUAL(fake_gate.calls, 0);
	set_up("*");
	CU_ASSERT_EQUAL(mnt("/nothing"), MNT3ERR_NOENT);
	CU_ASSERT_EQUAL(mnt("/"), MNT3ERR_NOENT);
	CU_ASSERT_EQUAL(mnt("data"), MNT3ERR_INVAL);
	CU_ASSERT_EQUAL(mnt(""), MNT3ERR_INVAL);
	CU_ASSERT_EQUAL(mnt("/data/../etc"), MNT3ERR_INVAL);
	memset(name, 'n', 299);
	name[0] = '/';
	name[299] = '\0';
	snprintf(path, 1025, "/data%s", name);
	CU_ASSERT_EQUAL(mnt(path), MNT3ERR_NAMETOOLONG);
	free(path);
	fake_gate.result = -EACCES;
	CU_ASSERT_EQUAL(mnt("/data"), MNT3ERR_ACCES);
	fake_gate.result = -EIO;
	CU_ASSERT_EQUAL(mnt("/data"), MNT3ERR_IO);
	CU_ASSERT_EQUAL(mount3_count(mounts), 0);
	CU_ASSERT_EQUAL(fake_gate.hints, 0);
}

static void
a_walk_that_must_wait_takes_a_thread(void)
{
	mountres3 res = {0};

	set_up("*");
	fake_gate.result = -EAGAIN;
	fake_gate.again = GATE_NEEDS_THREAD;
	new_request(3, MOUNTPROC3_MNT, 0x0a000001);
	rq.may_block = false;
	/* The fake takes a call without token and thread for post-op. */
	fake_gate.getattr_result = -EAGAIN;
	CU_ASSERT_EQUAL(call("/data", &res), RPC_NEEDS_THREAD);
	rq.may_block = true;
	CU_ASSERT_EQUAL(call("/data", &res), RPC_DONE);
	CU_ASSERT_EQUAL(res.fhs_status, MNT3ERR_IO);
}

static unsigned
dumped(void)
{
	mountlist list = {0};
	unsigned count = 0;

	rq.procedure = MOUNTPROC3_DUMP;
	CU_ASSERT_EQUAL(call(NULL, &list), RPC_DONE);
	for (mountbody *b = list.first; b != NULL; b = b->ml_next)
		count++;
	xdr_free((xdrproc_t)xdr_mountlist, (char *)&list);
	return count;
}

static void
hosts_remove_their_own_rows(void)
{
	char nothing;

	set_up("*");
	CU_ASSERT_EQUAL(mnt("/data"), MNT3_OK);
	CU_ASSERT_EQUAL(mnt("/data/"), MNT3_OK);	/* the same row */
	CU_ASSERT_EQUAL(mnt("/data/x"), MNT3_OK);
	CU_ASSERT_EQUAL(dumped(), 2);
	new_request(3, MOUNTPROC3_UMNT, 0x0a000002);
	CU_ASSERT_EQUAL(call("/data", &nothing), RPC_DONE);
	CU_ASSERT_EQUAL(dumped(), 2);
	new_request(3, MOUNTPROC3_UMNT, 0x0a000001);
	CU_ASSERT_EQUAL(call("/data/", &nothing), RPC_DONE);
	CU_ASSERT_EQUAL(dumped(), 1);
	new_request(1, MOUNTPROC_UMNTALL, 0x0a000001);
	CU_ASSERT_EQUAL(call(NULL, &nothing), RPC_DONE);
	CU_ASSERT_EQUAL(dumped(), 0);
}

static void
the_table_is_bounded_and_small_over_udp(void)
{
	mountlist list = {0};
	char path[32];
	unsigned count = 0;

	set_up("*");
	for (int i = 0; i < MOUNT3_TABLE_MAX + 50; i++) {
		snprintf(path, sizeof(path), "/data/%d", i);
		CU_ASSERT_EQUAL(mnt(path), MNT3_OK);
	}
	CU_ASSERT_EQUAL(mount3_count(mounts), MOUNT3_TABLE_MAX);
	CU_ASSERT_EQUAL(dumped(), MOUNT3_TABLE_MAX);
	new_request(3, MOUNTPROC3_DUMP, 0x0a000001);
	rq.udp = true;
	CU_ASSERT_EQUAL(call(NULL, &list), RPC_DONE);
	for (mountbody *b = list.first; b != NULL; b = b->ml_next)
		count++;
	CU_ASSERT(count > 0 && count < 64);
	xdr_free((xdrproc_t)xdr_mountlist, (char *)&list);
}

static void
exports_are_listed_with_their_hosts(void)
{
	exportlist list = {0};
	groupnode *group;

	set_up("10.0.0.0/8(rw) 192.168.1.5(ro)");
	new_request(3, MOUNTPROC3_EXPORT, 0x0a000001);
	CU_ASSERT_EQUAL(call(NULL, &list), RPC_DONE);
	CU_ASSERT_STRING_EQUAL(list.first->ex_dir, "/data");
	group = list.first->ex_groups;
	CU_ASSERT_STRING_EQUAL(group->gr_name, "10.0.0.0/8");
	CU_ASSERT_STRING_EQUAL(group->gr_next->gr_name, "192.168.1.5");
	CU_ASSERT_PTR_NULL(group->gr_next->gr_next);
	CU_ASSERT_STRING_EQUAL(list.first->ex_next->ex_dir, "/data/deep");
	group = list.first->ex_next->ex_groups;
	CU_ASSERT_STRING_EQUAL(group->gr_next->gr_name, "fd00::/8");
	CU_ASSERT_STRING_EQUAL(group->gr_next->gr_next->gr_name, "*");
	xdr_free((xdrproc_t)xdr_exportlist, (char *)&list);
}

static void
workers_are_shared_by_path(void)
{
	char path[] = "//data/deep/x", none[] = "/none";
	char *at = path;

	set_up("*");
	new_request(3, MOUNTPROC3_MNT, 0x0a000001);
	CU_ASSERT_EQUAL(mount3_share_key(&rq, &at), 2);
	at = none;
	CU_ASSERT_EQUAL(mount3_share_key(&rq, &at), 0);
	rq.procedure = MOUNTPROC3_EXPORT;
	CU_ASSERT_EQUAL(mount3_share_key(&rq, NULL), 0);
}

int
main(int argc, char **argv)
{
	static const struct unit_case cases[] = {
		T(a_mount_gives_a_handle_and_auth_sys),
		T(version_1_gives_the_same_handle),
		T(directories_below_are_walked_to_as_root),
		T(the_longest_export_is_mounted),
		T(refusals_have_their_status),
		T(a_walk_that_must_wait_takes_a_thread),
		T(hosts_remove_their_own_rows),
		T(the_table_is_bounded_and_small_over_udp),
		T(exports_are_listed_with_their_hosts),
		T(workers_are_shared_by_path),
	};
	int r = unit_run("nfsd_mount3", cases, sizeof(cases) / sizeof(*cases),
			 argc, argv);

	tear_down();
	return r;
}
