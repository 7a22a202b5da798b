/* SPDX-License-Identifier: Apache-2.0 */
/* The rule at its core, scenarios 1 to 15: who wrote first is in S3 first. */
#include <config.h>
#include <stdio.h>
#include <string.h>
#include "tests/scenario.h"

static int
create_empty(struct rpcc *c, struct scene *s, const char *name)
{
	struct nc_set set = { .size_set = true };

	return nc_create(c, &s->root, name, UNCHECKED, &set, NULL, NULL, NULL);
}

static void
s01(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "A's version", UNSTABLE));
	OK(commit(&s->a, &f));
	CHECK(object_is(s, "f", "old"));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(object_is(s, "f", "A's version"));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B's version"));
	CHECK(scene_versions(s, "f") == 2);
}

static void
s02(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	BUSY(s, put(&s->b, &f, 0, "bad", UNSTABLE));
	CHECK(holds(s, "f", "a", "ACTIVE"));
	CHECK(reads(&s->a, &f, "new"));
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "new"));
	WITHIN(1000, scene_versions(s, "f") == 1);
}

static void
s02_strict(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	IS(put(&s->b, &f, 0, "bad", UNSTABLE), NFS3ERR_ACCES);
	CHECK(reads(&s->a, &f, "new"));
	SOON(10000, commit(&s->a, &f), NFS3_OK);
	CHECK(object_is(s, "f", "new"));
}

static void
s03(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 3, " and new", UNSTABLE));
	BUSY(s, nc_truncate(&s->b, &f, 0));
	CHECK(size_of(&s->a, &f) == 11 && size_of(&s->b, &f) == 3);
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "old and new"));
}

static void
s04(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 3, " and new", UNSTABLE));
	BUSY(s, create_empty(&s->b, s, "f"));
	CHECK(size_of(&s->a, &f) == 11 && size_of(&s->b, &f) == 3);
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "old and new"));
}

static void
s05(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "one", UNSTABLE));
	OK(commit(&s->a, &f));
	CHECK(holds(s, "f", "a", "FLUSHED"));
	CHECK(status_number(s, "uploads") == 1);
	OK(put(&s->a, &f, 3, ", two", UNSTABLE));
	CHECK(holds(s, "f", "a", "ACTIVE"));
	/* Past the settle time. */
	DURING(700, scene_calls(s, "put", "f", "begin") == 0);
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "one, two"));
	WITHIN(1000, scene_versions(s, "f") == 1);
}

static void
s06(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "one", UNSTABLE));
	OK(commit(&s->a, &f));
	OK(put(&s->a, &f, 3, ", two", UNSTABLE));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	CHECK(!holds(s, "f", "b", "RESERVED"));
	OK(put(&s->a, &f, 8, ".", UNSTABLE));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	CHECK(scene_version(s, "f", 0)->bytes == 9);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Bne, two."));
}

static void
s07(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	CHECK(object_is(s, "f", "old"));
	CHECK(reads(&s->b, &f, "A's bytes"));
	CHECK(size_of(&s->b, &f) == 9);
	/* settle_ms is a minute. */
	WITHIN(10000, object_is(s, "f", "A's bytes"));
	CHECK(reads(&s->b, &f, "A's bytes"));
}

static void
s07_strict(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	char buf[32];
	uint32_t got;

	/* commit=local beside strict: else COMMIT itself waits for S3. */
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	scene_faults(s, "op=put key=f hold");
	IS(nc_read(&s->b, &f, 0, buf, sizeof(buf), &got, NULL),
	   NFS3ERR_JUKEBOX);
	CHECK(scene_calls(s, "put", "f", "held") == 1);
	scene_faults(s, "");
	SOON(10000, nc_read(&s->b, &f, 0, buf, sizeof(buf), &got, NULL),
	     NFS3_OK);
	CHECK(got == 9 && memcmp(buf, "A's bytes", 9) == 0);
	CHECK(object_is(s, "f", "A's bytes"));
}

static void
s07_strict_fails(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f error=EACCES");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(10000, nc_read(&s->b, &f, 0, NULL, 9, NULL, NULL), NFS3ERR_IO);
	CHECK(reads(&s->b, &f, "old"));
}

static void
s08(struct scene *s)
{
	struct nc_fh f;

	scene_faults(s, "op=put key=f hold");
	f = create(&s->a, s, "f");
	CHECK(holds(s, "f", "a", "ACTIVE"));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	WITHIN(5000, !state_is(s, "f", "ACTIVE"));
	CHECK(object_absent(s, "f"));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	WITHIN(5000, scene_calls(s, "put", "f", "held") == 1);
	scene_faults(s, "");
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	CHECK(scene_versions(s, "f") == 1);
	CHECK(scene_version(s, "f", 0)->bytes == 0);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B"));
	CHECK(scene_versions(s, "f") == 2);
}

static bool
read_empty(struct rpcc *c, uint32_t xid)
{
	uint32_t got = 1;
	bool eof = false;
	fattr3 attr;

	OK(nc_read_recv(c, xid, 60000, NULL, 100, &got, &eof, &attr));
	return got == 0 && eof && attr.size == 0 && attr.nlink == 1;
}

static void
s09(struct scene *s)
{
	struct nc_fh f = make(s, "f", "the old content");
	uint32_t xb, xc;

	CHECK(reads(&s->b, &f, "the old content"));
	scene_faults(s, "op=put key=f hold");
	OK(nc_truncate(&s->a, &f, 0));
	CHECK(!state_is(s, "f", "ACTIVE"));
	for (int i = 0; i < 100; i++) {
		xb = rpcc_xid(&s->b);
		xc = rpcc_xid(&s->c);
		OK(nc_read_send(&s->b, xb, &f, 0, 100));
		OK(nc_read_send(&s->c, xc, &f, 0, 100));
		CHECK(read_empty(&s->b, xb) && read_empty(&s->c, xc));
		if (i == 50) {
			WITHIN(5000, scene_calls(s, "put", "f", "held") == 1);
			scene_faults(s, "");
		}
	}
	WITHIN(10000, object_is(s, "f", ""));
	CHECK(reads(&s->b, &f, "") && size_of(&s->c, &f) == 0);
}

static void
s10(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "A's one", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "A's one"));
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B's one"));
	CHECK(scene_versions(s, "f") == 2);
}

static void
s11(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "A only", FILE_SYNC));
	CHECK(holds(s, "f", "a", "FLUSHED"));
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	CHECK(scene_version(s, "f", 0)->bytes == 6);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B only"));
}

static void
s12(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "A's last words", UNSTABLE));
	rpcc_close(&s->a);
	s->open[0] = false;
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(object_is(s, "f", "A's last words"));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B's last words"));
}

static void
s13(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "new", FILE_SYNC));
	WITHIN(10000, state_is(s, "f", ""));
	CHECK(object_is(s, "f", "new"));
	/* No quiet time for who has nothing left to say: that is longer than
	 * a request is held. */
	OK(put(&s->b, &f, 0, "B", UNSTABLE));
	OK(commit(&s->b, &f));
}

static void
s14(struct scene *s)
{
	for (unsigned i = 0; i < 20; i++) {
		char name[16];
		struct nc_fh f;
		uint64_t at;

		snprintf(name, sizeof(name), "f%u", i);
		f = create(&s->a, s, name);
		OK(put(&s->a, &f, 0, "A's", FILE_SYNC));
		/* B comes as the settle time ends, a little before or
		 * after. */
		at = scene_now_ms() + 90 + i;
		while (scene_now_ms() < at)
			scene_pause();
		SOON(10000, put(&s->b, &f, 3, " and B's", UNSTABLE), NFS3_OK);
		CHECK(scene_versions(s, name) == 1);
		CHECK(scene_calls(s, "put", name, "begin") == 1);
		CHECK(object_is(s, name, "A's"));
		OK(commit(&s->b, &f));
	}
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f0", "A's and B's"));
	CHECK(object_is(s, "f19", "A's and B's"));
}

static void
s15(struct scene *s)
{
	struct nc_fh f = make(s, "f", "log:");
	uint64_t end;

	OK(put(&s->a, &f, 4, " from A", UNSTABLE));
	OK(commit(&s->a, &f));
	end = size_of(&s->b, &f);
	CHECK(end == 11);
	SOON(10000, put(&s->b, &f, end, " from B", UNSTABLE), NFS3_OK);
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "log: from A from B"));
	CHECK(scene_version(s, "f", 0)->bytes == 11);
}

SCENARIOS(
	{ "s01", "A wrote and COMMITted all, upload pending / B WRITEs / "
	  "A's upload completes first, then B's WRITE OK, S3 has A's version "
	  "before B's", s01, "settle_ms=60000", false },
	{ "s02", "A wrote UNSTABLE, no COMMIT / B WRITEs / busy, A's data "
	  "intact", s02, NULL, false },
	{ "s02-strict", "the same in strict mode: ACCES at once", s02_strict,
	  "strict=1", false },
	{ "s03", "A ACTIVE / B SETATTR(size=0) / busy, size unchanged", s03,
	  NULL, false },
	{ "s04", "A ACTIVE / B CREATE UNCHECKED size=0 on it / busy", s04,
	  NULL, false },
	{ "s05", "A FLUSHED / A WRITEs again / OK, ACTIVE, pending upload "
	  "cancelled", s05, "settle_ms=400", false },
	{ "s06", "as 5, then B WRITEs / B busy until A COMMITs", s06,
	  "settle_ms=60000", false },
	{ "s07", "A FLUSHED / B READs / gets A's bytes, upload kicked", s07,
	  "settle_ms=60000", false },
	{ "s07-strict", "A FLUSHED / B READs / gets A's bytes after the "
	  "upload", s07_strict, "settle_ms=60000 strict=1 commit=local",
	  false },
	{ "s07-strict-fails", "... and NFS3ERR_IO, once, if it fails",
	  s07_strict_fails, "settle_ms=60000 strict=1 commit=local", false },
	{ "s08", "A CREATEd empty, no WRITE, create_settle passed / B WRITEs "
	  "/ empty object PUT first, then B OK", s08,
	  "settle_ms=60000 create_settle_ms=400", false },
	{ "s09", "A truncated an existing object to 0, FLUSHED / two clients "
	  "READ at once / both see EOF at 0, never the old size", s09, NULL,
	  false },
	{ "s10", "A wrote, COMMIT done, upload done / B WRITEs / OK, no "
	  "second upload of A", s10, NULL, false },
	{ "s11", "A wrote with FILE_SYNC only / B WRITEs / A counts as "
	  "FLUSHED, B OK", s11, "settle_ms=60000", false },
	{ "s12", "A lost without COMMIT, lease expires / B WRITEs / A's "
	  "staged data published first, B OK", s12,
	  "lease_ms=1000 settle_ms=60000", false },
	{ "s13", "A FLUSHED and uploaded, row retired / B WRITEs / OK, no "
	  "wait", s13, "supersede_quiet_ms=20000 hold_ms=2000", false },
	{ "s14", "A FLUSHED; settle timer and B's WRITE fire together / one "
	  "upload only, both succeed", s14, "supersede_quiet_ms=0", false },
	{ "s15", "append-style: A extended an object, COMMIT / B extends at "
	  "the new end / both parts present in order", s15,
	  "settle_ms=60000", false })
