/* SPDX-License-Identifier: Apache-2.0 */
/* The 22 procedures over a gate that does as it is told: nfsd/nfs3*.c. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "nfsd/nfs3.h"
#include "tests/fake_gate.h"
#include "tests/unit.h"

static struct gate_export data_export = {1}, other_export = {2};
static struct nfs3 nfs;
static struct rpc_program program;
static struct rpc_request rq;
static char tail[1 << 20];
static bool no_tail;
static nfs_fh3 root, file, foreign, broken, forged;
static char bytes[8][64];

void *
rpc_tail_alloc(struct rpc_request *request, uint32_t len)
{
	CU_ASSERT(len <= sizeof(tail));
	if (!no_tail)
		request->tail = tail;
	return request->tail;
}

/* ---- set up ---- */

static void
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

static void
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

static void
set_up_plain(void)
{
	set_up("10.0.0.0/8(no_root_squash,insecure)", false);
}

static void
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

static union {
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
} res;

static void
res_free(void)
{
	xdr_free(program.versions[0].procedures[rq.procedure].xdr_res, &res);
	memset(&res, 0, sizeof(res));
}

/* One attempt; the result is left in res. */
static enum rpc_outcome
run(void *args)
{
	memset(&res, 0, sizeof(res));
	return program.versions[0].procedures[rq.procedure].run(&rq, args,
								&res);
}

static nfsstat3
status_of(uint32_t procedure, void *args)
{
	nfsstat3 status;

	new_request(procedure);
	CU_ASSERT_EQUAL(run(args), RPC_DONE);
	status = res.status;
	res_free();
	return status;
}

/* Arguments that would be good, for every procedure. */
static char name_a[] = "a", name_b[] = "b", data_x[] = "xyz!";
static union {
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
} args;

static void *
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

static bool
changes(uint32_t procedure)
{
	return procedure == NFSPROC3_SETATTR || procedure == NFSPROC3_WRITE ||
	       (procedure >= NFSPROC3_CREATE && procedure <= NFSPROC3_LINK);
}

/* ---- all procedures ---- */

#define EACH(p) for (uint32_t p = 1; p <= NFSPROC3_COMMIT; p++)

static void
every_procedure_answers(void)
{
	set_up_plain();
	CU_ASSERT_EQUAL(program.versions[0].count, 22);
	CU_ASSERT_EQUAL(program.versions[0].version, 3);
	EACH(p) {
		fake_gate.calls = 0;
		CU_ASSERT_EQUAL(status_of(p, good_args(p)), NFS3_OK);
		CU_ASSERT_EQUAL(fake_gate.calls, 1);
		CU_ASSERT_EQUAL(fake_gate.request.token, &rq);
		CU_ASSERT_EQUAL(fake_gate.request.cred.uid, 1000);
		CU_ASSERT_STRING_EQUAL(fake_gate.request.who.name, "host");
		CU_ASSERT_PTR_NOT_NULL(
			program.versions[0].procedures[p].name);
	}
	new_request(NFSPROC3_NULL);
	CU_ASSERT_EQUAL(run(NULL), RPC_DONE);
}

static void
what_is_not_admitted_reaches_no_gate(void)
{
	static const char *const lists[] = {
		"10.0.0.2", "*(secure)", ""
	};

	for (int i = 0; i < 3; i++) {
		set_up(lists[i], false);
		EACH(p) {
			new_request(p);
			((struct sockaddr_in *)&rq.peer)->sin_port =
				htons(40000);
			CU_ASSERT_EQUAL(run(good_args(p)), RPC_DONE);
			CU_ASSERT_EQUAL(res.status, NFS3ERR_ACCES);
			/* ... and no attributes are given. */
			if (p == NFSPROC3_ACCESS)
				CU_ASSERT_FALSE(res.access.ACCESS3res_u.resfail
						.obj_attributes
						.attributes_follow);
			if (p == NFSPROC3_RENAME)
				CU_ASSERT_FALSE(res.rename.RENAME3res_u.resfail
						.todir_wcc.after
						.attributes_follow);
			res_free();
		}
		CU_ASSERT_EQUAL(fake_gate.calls, 0);
	}
}

static void
bad_handles_are_told_apart(void)
{
	set_up_plain();
	EACH(p) {
		good_args(p);
		args.fh = broken;
		CU_ASSERT_EQUAL(status_of(p, &args), NFS3ERR_BADHANDLE);
		args.fh = forged;
		CU_ASSERT_EQUAL(status_of(p, &args), NFS3ERR_STALE);
	}
	handle(&args.fh, 4, 99, 2);
	CU_ASSERT_EQUAL(status_of(NFSPROC3_GETATTR, &args), NFS3ERR_STALE);
	CU_ASSERT_EQUAL(fake_gate.calls, 0);
}

static void
readonly_exports_change_nothing(void)
{
	set_up("*(rw,insecure)", true);
	EACH(p) {
		nfsstat3 status = status_of(p, good_args(p));

		CU_ASSERT_EQUAL(status, changes(p) ? NFS3ERR_ROFS : NFS3_OK);
	}
}

static void
errors_carry_attributes(void)
{
	set_up_plain();
	fake_gate.result = -EIO;
	new_request(NFSPROC3_WRITE);
	CU_ASSERT_EQUAL(run(good_args(NFSPROC3_WRITE)), RPC_DONE);
	CU_ASSERT_EQUAL(res.status, NFS3ERR_IO);
	CU_ASSERT(res.write.WRITE3res_u.resfail.file_wcc.before
		  .attributes_follow);
	CU_ASSERT(res.write.WRITE3res_u.resfail.file_wcc.after
		  .attributes_follow);
	res_free();
	/* Also where the gate tells none, if they are at hand. */
	fake_gate.no_wcc = true;
	new_request(NFSPROC3_CREATE);
	CU_ASSERT_EQUAL(run(good_args(NFSPROC3_CREATE)), RPC_DONE);
	CU_ASSERT_FALSE(res.create.CREATE3res_u.resfail.dir_wcc.before
			.attributes_follow);
	CU_ASSERT(res.create.CREATE3res_u.resfail.dir_wcc.after
		  .attributes_follow);
	res_free();
	new_request(NFSPROC3_READ);
	CU_ASSERT_EQUAL(run(good_args(NFSPROC3_READ)), RPC_DONE);
	CU_ASSERT(res.read.READ3res_u.resfail.file_attributes
		  .attributes_follow);
	CU_ASSERT_EQUAL(rq.tail_len, 0);
	res_free();
	fake_gate.getattr_result = -EIO;
	new_request(NFSPROC3_READ);
	CU_ASSERT_EQUAL(run(good_args(NFSPROC3_READ)), RPC_DONE);
	CU_ASSERT_FALSE(res.read.READ3res_u.resfail.file_attributes
			.attributes_follow);
	res_free();
}

static void
not_yet_becomes_what_the_gate_says(void)
{
	static const struct { enum gate_again again; bool block;
			      enum rpc_outcome out; } cases[] = {
		{GATE_NEEDS_THREAD, false, RPC_NEEDS_THREAD},
		{GATE_NEEDS_THREAD, true, RPC_DONE_UNCACHED},
		{GATE_HOLD, false, RPC_HELD}, {GATE_HOLD, true, RPC_HELD},
		{GATE_JUKEBOX, false, RPC_DONE_UNCACHED},
		{GATE_AGAIN_NONE, true, RPC_DONE_UNCACHED},
	};

	set_up_plain();
	fake_gate.result = -EAGAIN;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		fake_gate.again = cases[i].again;
		EACH(p) {
			new_request(p);
			rq.may_block = cases[i].block;
			CU_ASSERT_EQUAL(run(good_args(p)), cases[i].out);
			CU_ASSERT_EQUAL(fake_gate.request.may_block,
					cases[i].block);
			if (cases[i].out == RPC_DONE_UNCACHED)
				CU_ASSERT_EQUAL(res.status, NFS3ERR_JUKEBOX);
			res_free();
		}
	}
}

static void
results_encode_and_decode(void)
{
	static char wire[1 << 20];

	set_up_plain();
	EACH(p) {
		const struct rpc_procedure *row =
			&program.versions[0].procedures[p];

		for (int failing = 0; failing < 2; failing++) {
			XDR xdrs;

			fake_gate.result = failing ? -EIO : 0;
			new_request(p);
			run(good_args(p));
			xdrmem_create(&xdrs, wire, sizeof(wire), XDR_ENCODE);
			CU_ASSERT(row->xdr_res(&xdrs, &res));
			xdr_destroy(&xdrs);
			res_free();
		}
	}
}

/* ---- names ---- */

static void
names_that_are_none_are_refused(void)
{
	static const struct { uint32_t procedure; nfsstat3 dot, dotdot; }
	rows[] = {
		{NFSPROC3_LOOKUP, NFS3_OK, NFS3_OK},
		{NFSPROC3_CREATE, NFS3ERR_EXIST, NFS3ERR_EXIST},
		{NFSPROC3_MKDIR, NFS3ERR_EXIST, NFS3ERR_EXIST},
		{NFSPROC3_SYMLINK, NFS3ERR_EXIST, NFS3ERR_EXIST},
		{NFSPROC3_MKNOD, NFS3ERR_EXIST, NFS3ERR_EXIST},
		{NFSPROC3_REMOVE, NFS3ERR_INVAL, NFS3ERR_INVAL},
		{NFSPROC3_RMDIR, NFS3ERR_INVAL, NFS3ERR_EXIST},
		{NFSPROC3_RENAME, NFS3ERR_INVAL, NFS3ERR_INVAL},
	};
	char dot[] = ".", dotdot[] = "..", none[] = "", slash[] = "a/b";
	char long_name[257], longest[256];

	memset(long_name, 'n', 256);
	long_name[256] = '\0';
	memset(longest, 'n', 255);
	longest[255] = '\0';
	set_up_plain();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct { char *name; nfsstat3 want; } cases[] = {
			{dot, rows[i].dot}, {dotdot, rows[i].dotdot},
			{none, NFS3ERR_ACCES}, {slash, NFS3ERR_ACCES},
			{long_name, NFS3ERR_NAMETOOLONG}, {longest, NFS3_OK},
		};

		for (int c = 0; c < 6; c++) {
			good_args(rows[i].procedure);
			args.lookup.what.name = cases[c].name;
			CU_ASSERT_EQUAL(status_of(rows[i].procedure, &args),
					cases[c].want);
		}
	}
	good_args(NFSPROC3_RENAME);
	args.rename.to.name = dotdot;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_RENAME, &args), NFS3ERR_INVAL);
	good_args(NFSPROC3_LINK);
	args.link.link.name = dot;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_LINK, &args), NFS3ERR_EXIST);
}

static void
names_with_a_nul_do_not_decode(void)
{
	/* A handle of no bytes, then a name of three. */
	static char wire[] = "\0\0\0\0" "\0\0\0\3" "abc\0";
	LOOKUP3args lookup = {0};
	XDR xdrs;

	xdrmem_create(&xdrs, wire, 12, XDR_DECODE);
	CU_ASSERT(xdr_LOOKUP3args(&xdrs, &lookup));
	CU_ASSERT_STRING_EQUAL(lookup.what.name, "abc");
	xdr_free((xdrproc_t)xdr_LOOKUP3args, (char *)&lookup);
	memset(&lookup, 0, sizeof(lookup));
	/* Cut off in its padding. */
	xdrmem_create(&xdrs, wire, 11, XDR_DECODE);
	CU_ASSERT_FALSE(xdr_LOOKUP3args(&xdrs, &lookup));
	xdr_free((xdrproc_t)xdr_LOOKUP3args, (char *)&lookup);
	memset(&lookup, 0, sizeof(lookup));
	wire[9] = '\0';
	xdrmem_create(&xdrs, wire, 12, XDR_DECODE);
	CU_ASSERT_FALSE(xdr_LOOKUP3args(&xdrs, &lookup));
	xdr_free((xdrproc_t)xdr_LOOKUP3args, (char *)&lookup);
}

static void
second_handles_are_checked(void)
{
	set_up_plain();
	good_args(NFSPROC3_RENAME);
	args.rename.to.dir = forged;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_RENAME, &args), NFS3ERR_STALE);
	args.rename.to.dir = broken;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_RENAME, &args), NFS3ERR_BADHANDLE);
	args.rename.to.dir = foreign;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_RENAME, &args), NFS3ERR_XDEV);
	good_args(NFSPROC3_LINK);
	args.link.link.dir = forged;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_LINK, &args), NFS3ERR_STALE);
	args.link.link.dir = foreign;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_LINK, &args), NFS3ERR_XDEV);
	CU_ASSERT_EQUAL(fake_gate.calls, 0);
	CU_ASSERT_EQUAL(status_of(NFSPROC3_RENAME, good_args(NFSPROC3_RENAME)),
			NFS3_OK);
	CU_ASSERT_STRING_EQUAL(fake_gate.second_name, "b");
	CU_ASSERT_EQUAL(fake_gate.second.ino, 2);
}

static void
create_passes_its_mode_on(void)
{
	set_up_plain();
	good_args(NFSPROC3_CREATE);
	args.create.how.mode = EXCLUSIVE;
	memcpy(args.create.how.createhow3_u.verf, "12345678", 8);
	CU_ASSERT_EQUAL(status_of(NFSPROC3_CREATE, &args), NFS3_OK);
	CU_ASSERT_EQUAL(fake_gate.how, GATE_EXCLUSIVE);
	CU_ASSERT_EQUAL(memcmp(fake_gate.verf, "12345678", 8), 0);
	good_args(NFSPROC3_CREATE);
	args.create.how.mode = GUARDED;
	args.create.how.createhow3_u.obj_attributes.mode.set_it = TRUE;
	args.create.how.createhow3_u.obj_attributes.mode.set_mode3_u.mode =
		0100644;
	new_request(NFSPROC3_CREATE);
	CU_ASSERT_EQUAL(run(&args), RPC_DONE);
	CU_ASSERT_EQUAL(fake_gate.how, GATE_GUARDED);
	CU_ASSERT(fake_gate.set.set_mode && fake_gate.set.mode == 0644);
	CU_ASSERT(res.create.CREATE3res_u.resok.obj.handle_follows);
	CU_ASSERT_EQUAL(res.create.CREATE3res_u.resok.obj_attributes
			.post_op_attr_u.attributes.fileid, 77);
	CU_ASSERT(res.create.CREATE3res_u.resok.dir_wcc.before
		  .attributes_follow);
	res_free();
}

static void
mknod_knows_its_kinds(void)
{
	set_up_plain();
	good_args(NFSPROC3_MKNOD);
	args.mknod.what.type = NF3BLK;
	args.mknod.what.mknoddata3_u.device.spec = (specdata3){8, 1};
	CU_ASSERT_EQUAL(status_of(NFSPROC3_MKNOD, &args), NFS3_OK);
	CU_ASSERT(fake_gate.kind == GATE_BLK && fake_gate.major == 8 &&
		  fake_gate.minor == 1);
	args.mknod.what.type = NF3REG;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_MKNOD, &args), NFS3ERR_BADTYPE);
}

static void
symlinks_have_bounded_targets(void)
{
	static char target[GATE_PATH_MAX + 2];

	set_up_plain();
	memset(target, 't', sizeof(target) - 1);
	good_args(NFSPROC3_SYMLINK);
	args.symlink.symlink.symlink_data = target;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_SYMLINK, &args),
			NFS3ERR_NAMETOOLONG);
	CU_ASSERT_EQUAL(status_of(NFSPROC3_SYMLINK, (target[GATE_PATH_MAX] =
			'\0', &args)), NFS3_OK);
	target[0] = '\0';
	CU_ASSERT_EQUAL(status_of(NFSPROC3_SYMLINK, &args), NFS3ERR_INVAL);
}

/* ---- attributes ---- */

static void
attributes_are_translated(void)
{
	fattr3 *a = &res.getattr.GETATTR3res_u.resok.obj_attributes;

	set_up_plain();
	new_request(NFSPROC3_GETATTR);
	args.fh = file;
	CU_ASSERT_EQUAL(run(&args), RPC_DONE);
	CU_ASSERT(a->type == NF3REG && a->mode == 0640 && a->uid == 10);
	CU_ASSERT(a->fileid == 42 && a->size == 1000 && a->used == 4096);
	CU_ASSERT(a->mtime.seconds == 2 && a->mtime.nseconds == 2);
	res_free();
}

static void
setattr_checks_what_it_is_given(void)
{
	sattr3 *s = &args.setattr.new_attributes;

	set_up_plain();
	good_args(NFSPROC3_SETATTR);
	s->mtime.set_it = SET_TO_CLIENT_TIME;
	s->mtime.set_mtime_u.mtime = (nfstime3){5, 999999999};
	s->atime.set_it = SET_TO_SERVER_TIME;
	s->size.set_it = TRUE;
	s->size.set_size3_u.size = 123;
	args.setattr.guard.check = TRUE;
	args.setattr.guard.sattrguard3_u.obj_ctime = (nfstime3){3, 3};
	CU_ASSERT_EQUAL(status_of(NFSPROC3_SETATTR, &args), NFS3_OK);
	CU_ASSERT(fake_gate.set.mtime_how == GATE_TIME_CLIENT &&
		  fake_gate.set.mtime_ns == 5999999999);
	CU_ASSERT(fake_gate.set.atime_how == GATE_TIME_SERVER);
	CU_ASSERT(fake_gate.set.set_size && fake_gate.set.size == 123);
	CU_ASSERT(fake_gate.guarded && fake_gate.guard_ns == 3000000003);
	fake_gate.result = -EREMCHG;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_SETATTR, &args), NFS3ERR_NOT_SYNC);
	fake_gate.result = 0;
	s->mtime.set_mtime_u.mtime.nseconds = 1000000000;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_SETATTR, &args), NFS3ERR_INVAL);
	s->mtime.set_it = (time_how)7;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_SETATTR, &args), NFS3ERR_INVAL);
	s->mtime.set_it = DONT_CHANGE;
	s->size.set_size3_u.size = NFS3_FILE_MAX + 1;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_SETATTR, &args), NFS3ERR_FBIG);
}

static void
access_grants_no_more_than_the_export(void)
{
	set_up("*(ro,insecure)", false);
	good_args(NFSPROC3_ACCESS);
	args.access.access = 0x3f;
	new_request(NFSPROC3_ACCESS);
	CU_ASSERT_EQUAL(run(&args), RPC_DONE);
	CU_ASSERT_EQUAL(res.access.ACCESS3res_u.resok.access,
			ACCESS3_READ | ACCESS3_LOOKUP | ACCESS3_EXECUTE);
	set_up_plain();
	new_request(NFSPROC3_ACCESS);
	args.access.access = 3;
	CU_ASSERT_EQUAL(run(&args), RPC_DONE);
	CU_ASSERT_EQUAL(res.access.ACCESS3res_u.resok.access, 3);
}

/* ---- data ---- */

static void
reads_leave_as_a_tail(void)
{
	READ3resok *ok = &res.read.READ3res_u.resok;

	set_up_plain();
	fake_gate.read_got = 5;
	fake_gate.read_eof = true;
	good_args(NFSPROC3_READ);
	args.read.count = UINT32_MAX;
	args.read.offset = 1ULL << 40;
	new_request(NFSPROC3_READ);
	CU_ASSERT_EQUAL(run(&args), RPC_DONE);
	CU_ASSERT_EQUAL(fake_gate.len, GATE_IO_MAX);
	CU_ASSERT_EQUAL(fake_gate.off, 1ULL << 40);
	CU_ASSERT(ok->count == 5 && ok->eof && ok->data.nfsdata3_len == 5);
	CU_ASSERT_PTR_NULL(ok->data.nfsdata3_val);
	CU_ASSERT(rq.tail == tail && rq.tail_len == 5);
	CU_ASSERT_EQUAL(memcmp(tail, "rrrrr", 5), 0);
	res_free();
	no_tail = true;
	fake_gate.calls = 0;
	new_request(NFSPROC3_READ);
	CU_ASSERT_EQUAL(run(&args), RPC_NO_ROOM);
	CU_ASSERT_EQUAL(fake_gate.calls, 0);
	res_free();
}

static void
writes_are_used_in_place_and_checked(void)
{
	WRITE3resok *ok = &res.write.WRITE3res_u.resok;

	set_up_plain();
	fake_gate.reached = GATE_FILE_SYNC;
	good_args(NFSPROC3_WRITE);
	args.write.stable = DATA_SYNC;
	args.write.offset = 7;
	new_request(NFSPROC3_WRITE);
	CU_ASSERT_EQUAL(run(&args), RPC_DONE);
	CU_ASSERT_EQUAL(fake_gate.data, data_x);
	CU_ASSERT(fake_gate.off == 7 && fake_gate.len == 4 &&
		  fake_gate.stable == GATE_DATA_SYNC);
	CU_ASSERT(ok->count == 4 && ok->committed == FILE_SYNC);
	CU_ASSERT_EQUAL(memcmp(ok->verf, "verifier", 8), 0);
	CU_ASSERT_EQUAL(rq.scratch, (unsigned char *)
			&((struct nfs3_call *)rq.scratch)->gate);
	res_free();
	args.write.count = 5;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_WRITE, &args), NFS3ERR_INVAL);
	args.write.count = 3;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_WRITE, &args), NFS3_OK);
	CU_ASSERT_EQUAL(fake_gate.len, 3);
	args.write.offset = NFS3_FILE_MAX;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_WRITE, &args), NFS3ERR_FBIG);
	args.write.offset = UINT64_MAX;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_WRITE, &args), NFS3ERR_FBIG);
	args.write.offset = NFS3_FILE_MAX - 3;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_WRITE, &args), NFS3_OK);
	args.write.stable = (stable_how)3;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_WRITE, &args), NFS3ERR_INVAL);
}

static void
commit_takes_any_range(void)
{
	set_up_plain();
	good_args(NFSPROC3_COMMIT);
	args.commit.offset = UINT64_MAX - 5;
	args.commit.count = 10;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_COMMIT, &args), NFS3_OK);
	CU_ASSERT(fake_gate.off == UINT64_MAX - 5 && fake_gate.len == 0);
	args.commit.offset = 5;
	new_request(NFSPROC3_COMMIT);
	CU_ASSERT_EQUAL(run(&args), RPC_DONE);
	CU_ASSERT(fake_gate.off == 5 && fake_gate.len == 10);
	CU_ASSERT_EQUAL(memcmp(res.commit.COMMIT3res_u.resok.verf, "verifier",
			       8), 0);
	res_free();
}

/* ---- directories ---- */

static struct fake_entry entries[600];

/* Encode the reply as the transport would: header, then the tail. */
static size_t
dir_reply(char *wire, size_t size)
{
	XDR xdrs;
	size_t len;

	xdrmem_create(&xdrs, wire, (u_int)size, XDR_ENCODE);
	CU_ASSERT(xdr_nfs3_dir_result(&xdrs, &res.dir));
	len = xdr_getpos(&xdrs);
	xdr_destroy(&xdrs);
	CU_ASSERT_EQUAL(rq.tail_len % 4, 0);
	memcpy(wire + len, rq.tail, rq.tail_len);
	return len + rq.tail_len;
}

static void
random_names(void)
{
	fake_gate.entries = entries;
	fake_gate.entry_count = 600;
	for (int i = 0; i < 600; i++) {
		int len = 1 + rand() % (i % 7 ? 30 : 255);

		memset(entries[i].name, 0, sizeof(entries[i].name));
		memset(entries[i].name, 'a' + i % 26, (size_t)len);
		entries[i].has_attr = rand() % 4 != 0;
	}
}

/* Walk the whole directory in replies of `count`; each entry comes once, each
 * reply fits, and none could have held one more. */
static void
walk(uint32_t count, bool plus)
{
	static char wire[1 << 20];
	uint64_t cookie = 0, seen = 0;
	bool eof = false;

	while (!eof) {
		READDIR3res plain = {0};
		READDIRPLUS3res full = {0};
		XDR xdrs;
		size_t len;

		new_request(plus ? NFSPROC3_READDIRPLUS : NFSPROC3_READDIR);
		good_args(rq.procedure);
		args.readdir.cookie = cookie;
		args.readdir.count = count;
		if (plus) {
			args.readdirplus.dircount = 1 << 20;
			args.readdirplus.maxcount = count;
		}
		CU_ASSERT_EQUAL_FATAL(run(&args), RPC_DONE);
		CU_ASSERT_EQUAL_FATAL(res.status, NFS3_OK);
		len = dir_reply(wire, sizeof(wire));
		/* count bounds resok: all but the status. */
		CU_ASSERT(len - 4 <= count);
		xdrmem_create(&xdrs, wire, (u_int)len, XDR_DECODE);
		if (plus)
			CU_ASSERT_FATAL(xdr_READDIRPLUS3res(&xdrs, &full));
		if (!plus)
			CU_ASSERT_FATAL(xdr_READDIR3res(&xdrs, &plain));
		CU_ASSERT_EQUAL(xdr_getpos(&xdrs), len);
		xdr_destroy(&xdrs);
		for (entryplus3 *e = full.READDIRPLUS3res_u.resok.reply.entries;
		     plus && e != NULL; e = e->nextentry) {
			CU_ASSERT_STRING_EQUAL(e->name, entries[seen].name);
			CU_ASSERT_EQUAL(e->fileid, 100 + seen);
			CU_ASSERT_EQUAL(e->name_attributes.attributes_follow,
					entries[seen].has_attr);
			CU_ASSERT_EQUAL(e->name_handle.post_op_fh3_u.handle
					.data.data_len, FH_SIZE);
			cookie = e->cookie;
			seen++;
		}
		for (entry3 *e = plain.READDIR3res_u.resok.reply.entries;
		     !plus && e != NULL; e = e->nextentry) {
			CU_ASSERT_STRING_EQUAL(e->name, entries[seen].name);
			cookie = e->cookie;
			seen++;
		}
		eof = plus ? full.READDIRPLUS3res_u.resok.reply.eof :
		      plain.READDIR3res_u.resok.reply.eof;
		if (!eof && fake_gate.limit > seen) {
			size_t next = 24 + (strlen(entries[seen].name) + 3) /
				      4 * 4;

			if (plus)
				next += 4 + 40 + (entries[seen].has_attr ?
						  84 : 0);
			CU_ASSERT(len - 4 + next > count);
		}
		xdr_free((xdrproc_t)xdr_READDIRPLUS3res, (char *)&full);
		xdr_free((xdrproc_t)xdr_READDIR3res, (char *)&plain);
		res_free();
	}
	CU_ASSERT_EQUAL(seen, 600);
}

static void
listings_fill_their_replies_exactly(void)
{
	set_up_plain();
	srand(1);
	for (int round = 0; round < 20; round++) {
		random_names();
		walk(512 + (uint32_t)rand() % 9000, false);
		walk(512 + (uint32_t)rand() % 9000, true);
	}
	walk(1 << 20, true);
}

static void
listings_are_never_empty_without_an_end(void)
{
	set_up_plain();
	random_names();
	strcpy(entries[0].name, "four");
	entries[0].has_attr = true;
	for (uint32_t count = 0; count < 500; count++) {
		/* 104 fixed, 28 the entry, 128 its attributes and handle */
		good_args(NFSPROC3_READDIR);
		args.readdir.count = count;
		CU_ASSERT_EQUAL(status_of(NFSPROC3_READDIR, &args),
				count < 132 ? NFS3ERR_TOOSMALL : NFS3_OK);
		good_args(NFSPROC3_READDIRPLUS);
		args.readdirplus.maxcount = count;
		args.readdirplus.dircount = 0;
		CU_ASSERT_EQUAL(status_of(NFSPROC3_READDIRPLUS, &args),
				count < 260 ? NFS3ERR_TOOSMALL : NFS3_OK);
	}
	fake_gate.entry_count = 0;
	good_args(NFSPROC3_READDIR);
	args.readdir.count = 104;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_READDIR, &args), NFS3_OK);
}

static void
dircount_bounds_names_and_cookies(void)
{
	READDIRPLUS3res full = {0};
	static char wire[1 << 20];
	unsigned count = 0;
	XDR xdrs;

	set_up_plain();
	random_names();
	for (int i = 0; i < 600; i++)
		strcpy(entries[i].name, "four");	/* 24 bytes each */
	new_request(NFSPROC3_READDIRPLUS);
	good_args(NFSPROC3_READDIRPLUS);
	args.readdirplus.maxcount = 1 << 20;
	args.readdirplus.dircount = 24 * 10 + 23;
	CU_ASSERT_EQUAL(run(&args), RPC_DONE);
	xdrmem_create(&xdrs, wire, (u_int)dir_reply(wire, sizeof(wire)),
		      XDR_DECODE);
	CU_ASSERT_FATAL(xdr_READDIRPLUS3res(&xdrs, &full));
	for (entryplus3 *e = full.READDIRPLUS3res_u.resok.reply.entries;
	     e != NULL; e = e->nextentry)
		count++;
	CU_ASSERT_EQUAL(count, 10);
	CU_ASSERT_FALSE(full.READDIRPLUS3res_u.resok.reply.eof);
	CU_ASSERT_EQUAL(memcmp(full.READDIRPLUS3res_u.resok.cookieverf,
			       "cookies!", 8), 0);
	xdr_free((xdrproc_t)xdr_READDIRPLUS3res, (char *)&full);
	res_free();
}

/* ---- after a restart ---- */

static void
repeated_calls_are_recognised_after_a_restart(void)
{
	static const uint32_t procedures[] = {
		NFSPROC3_CREATE, NFSPROC3_MKDIR, NFSPROC3_SYMLINK,
		NFSPROC3_MKNOD, NFSPROC3_REMOVE, NFSPROC3_RMDIR,
		NFSPROC3_RENAME, NFSPROC3_LINK, NFSPROC3_SETATTR
	};

	set_up_plain();
	nfs.replay_until_ms = UINT64_MAX;
	fake_gate.replay_made = (struct gate_fh){55, 1};
	for (size_t i = 0; i < sizeof(procedures) / sizeof(*procedures); i++) {
		uint32_t p = procedures[i];

		good_args(p);
		if (p == NFSPROC3_SETATTR)
			args.setattr.guard.check = TRUE;
		new_request(p);
		fake_gate.replay_found = 0;
		fake_gate.calls = 0;
		CU_ASSERT_EQUAL(run(&args), RPC_NEEDS_THREAD);
		rq.may_block = true;
		CU_ASSERT_EQUAL(run(&args), RPC_DONE);
		CU_ASSERT_EQUAL(res.status, NFS3_OK);
		CU_ASSERT_EQUAL(fake_gate.calls, 0);
		if (p == NFSPROC3_CREATE)
			CU_ASSERT_EQUAL(res.create.CREATE3res_u.resok
					.obj_attributes.post_op_attr_u
					.attributes.fileid, 55);
		res_free();
		fake_gate.replay_found = -ENOENT;
		CU_ASSERT_EQUAL(run(&args), RPC_DONE);
		CU_ASSERT_EQUAL(fake_gate.calls, 1);
		CU_ASSERT_PTR_NOT_NULL(fake_gate.request.replay);
		res_free();
	}
	/* Two minutes later nobody is asked. */
	nfs.replay_until_ms = 1;
	fake_gate.replays = 0;
	CU_ASSERT_EQUAL(status_of(NFSPROC3_REMOVE,
				  good_args(NFSPROC3_REMOVE)), NFS3_OK);
	CU_ASSERT_EQUAL(fake_gate.replays, 0);
}

static void
fsinfo_tells_the_limits_that_hold(void)
{
	FSINFO3resok *ok = &res.fsinfo.FSINFO3res_u.resok;

	set_up_plain();
	new_request(NFSPROC3_FSINFO);
	CU_ASSERT_EQUAL(run(good_args(NFSPROC3_FSINFO)), RPC_DONE);
	CU_ASSERT(ok->rtmax == 1 << 20 && ok->wtmax == 1 << 20);
	CU_ASSERT_EQUAL(ok->maxfilesize, 5ULL << 40);
	CU_ASSERT_EQUAL(ok->time_delta.nseconds, 1);
	CU_ASSERT_EQUAL(ok->properties & (FSF3_SYMLINK | FSF3_CANSETTIME),
			FSF3_SYMLINK | FSF3_CANSETTIME);
	res_free();
	new_request(NFSPROC3_PATHCONF);
	CU_ASSERT_EQUAL(run(good_args(NFSPROC3_PATHCONF)), RPC_DONE);
	CU_ASSERT_EQUAL(res.pathconf.PATHCONF3res_u.resok.name_max, 255);
	CU_ASSERT_EQUAL(res.pathconf.PATHCONF3res_u.resok.no_trunc, TRUE);
	res_free();
}

static void
exports_share_workers_by_handle(void)
{
	set_up_plain();
	new_request(NFSPROC3_READ);
	CU_ASSERT_EQUAL(nfs3_share_key(&rq, &root), 1);
	CU_ASSERT_EQUAL(nfs3_share_key(&rq, &foreign), 2);
	CU_ASSERT_EQUAL(nfs3_share_key(&rq, &broken), 0);
	new_request(NFSPROC3_NULL);
	CU_ASSERT_EQUAL(nfs3_share_key(&rq, NULL), 0);
}

int
main(int argc, char **argv)
{
	static const struct unit_case cases[] = {
		T(every_procedure_answers),
		T(what_is_not_admitted_reaches_no_gate),
		T(bad_handles_are_told_apart),
		T(readonly_exports_change_nothing),
		T(errors_carry_attributes),
		T(not_yet_becomes_what_the_gate_says),
		T(results_encode_and_decode),
		T(names_that_are_none_are_refused),
		T(names_with_a_nul_do_not_decode),
		T(second_handles_are_checked), T(create_passes_its_mode_on),
		T(mknod_knows_its_kinds), T(symlinks_have_bounded_targets),
		T(attributes_are_translated),
		T(setattr_checks_what_it_is_given),
		T(access_grants_no_more_than_the_export),
		T(reads_leave_as_a_tail),
		T(writes_are_used_in_place_and_checked),
		T(commit_takes_any_range),
		T(listings_fill_their_replies_exactly),
		T(listings_are_never_empty_without_an_end),
		T(dircount_bounds_names_and_cookies),
		T(repeated_calls_are_recognised_after_a_restart),
		T(fsinfo_tells_the_limits_that_hold),
		T(exports_share_workers_by_handle),
	};
	int r = unit_run("nfsd_nfs3", cases, sizeof(cases) / sizeof(*cases),
			 argc, argv);

	exports_free(&nfs.exports);
	fh_signer_free(&nfs.signer);
	return r;
}
