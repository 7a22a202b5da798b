/* SPDX-License-Identifier: Apache-2.0 */
/* READ, WRITE, COMMIT, listings and repeated calls: nfsd/nfs3*.c. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/nfs3_fixture.h"

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
	nfs.drc_until_ms = UINT64_MAX;
	fake_gate.drc_made = (struct gate_fh){55, 1};
	for (size_t i = 0; i < sizeof(procedures) / sizeof(*procedures); i++) {
		uint32_t p = procedures[i];

		good_args(p);
		if (p == NFSPROC3_SETATTR)
			args.setattr.guard.check = TRUE;
		new_request(p);
		fake_gate.drc_found = 0;
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
		fake_gate.drc_found = -ENOENT;
		CU_ASSERT_EQUAL(run(&args), RPC_DONE);
		CU_ASSERT_EQUAL(fake_gate.calls, 1);
		CU_ASSERT_PTR_NOT_NULL(fake_gate.request.drc);
		res_free();
	}
	/* Two minutes later nobody is asked. */
	nfs.drc_until_ms = 1;
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
	int r = unit_run("nfsd_nfs3_data", cases, sizeof(cases) / sizeof(*cases),
			 argc, argv);

	tear_down();
	return r;
}
