/* SPDX-License-Identifier: Apache-2.0 */
/* All procedures, names and attributes: nfsd/nfs3*.c. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/nfs3_fixture.h"

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
		T(second_handles_are_checked),
		T(create_passes_its_mode_on),
		T(mknod_knows_its_kinds),
		T(symlinks_have_bounded_targets),
		T(attributes_are_translated),
		T(setattr_checks_what_it_is_given),
		T(access_grants_no_more_than_the_export),
	};
	int r = unit_run("nfsd_nfs3", cases, sizeof(cases) / sizeof(*cases),
			 argc, argv);

	tear_down();
	return r;
}
