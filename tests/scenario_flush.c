/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What COMMIT covers, and what another WRITE does to a flush that is under
 * way: scenarios 35 to 46.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/scenario.h"

#define MB ((size_t)1 << 20)

/* A wrote 0-1M and 2-3M and committed the first. */
static struct nc_fh
half_committed(struct scene *s, unsigned char *data)
{
	struct nc_fh f = create(&s->a, s, "f");

	fill(data, 3 * MB, 35);
	memset(data + MB, 0, MB);
	OK(put_many(&s->a, &f, 0, data, MB, UNSTABLE));
	OK(put_many(&s->a, &f, 2 * MB, data + 2 * MB, MB, UNSTABLE));
	OK(nc_commit(&s->a, &f, 0, MB, NULL));
	return f;
}

static void
s35(struct scene *s)
{
	unsigned char *data = malloc(3 * MB), *got = malloc(MB);
	struct nc_fh f = half_committed(s, data);

	CHECK(holds(s, "f", "a", "ACTIVE"));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	CHECK(size_of(&s->a, &f) == 3 * MB);
	/* What was committed survives, the rest is for A to send again. */
	scene_crash(s);
	for (size_t at = 0; at < MB; at += 65536)
		OK(nc_read(&s->a, &f, at, got + at, 65536, NULL, NULL));
	CHECK(memcmp(got, data, MB) == 0);
	OK(put_many(&s->a, &f, 2 * MB, data + 2 * MB, MB, UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(20000, object_has(s, "f", data, 3 * MB));
	free(data);
	free(got);
}

static bool
times_are(struct rpcc *c, const struct nc_fh *f, const fattr3 *want)
{
	fattr3 now;

	OK(nc_getattr(c, f, &now));
	return now.size == want->size &&
	       now.mtime.seconds == want->mtime.seconds &&
	       now.mtime.nseconds == want->mtime.nseconds;
}

static void
s35_hidden(struct scene *s)
{
	struct nc_fh f = make(s, "f", "the old version");
	fattr3 old;

	CHECK(reads(&s->b, &f, "the old version"));
	OK(nc_getattr(&s->b, &f, &old));
	/* A part by COMMIT, a part by stable WRITE, and one that is open. */
	OK(put(&s->a, &f, 0, "THE", UNSTABLE));
	OK(put(&s->a, &f, 15, ", longer", UNSTABLE));
	OK(nc_commit(&s->a, &f, 0, 3, NULL));
	OK(put(&s->a, &f, 4, "NEW", FILE_SYNC));
	CHECK(holds(s, "f", "a", "ACTIVE"));
	CHECK(reads(&s->b, &f, "the old version"));
	CHECK(times_are(&s->b, &f, &old));
	CHECK(reads(&s->a, &f, "THE NEW version, longer"));
	CHECK(size_of(&s->a, &f) == 23);
	/* Uncommitted bytes go in a crash, and nothing else. */
	scene_crash(s);
	CHECK(reads(&s->b, &f, "the old version"));
	CHECK(times_are(&s->b, &f, &old));
	CHECK(reads(&s->a, &f, "THE NEW version"));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	DURING(300, object_is(s, "f", "the old version"));
	OK(put(&s->a, &f, 15, ", longer", UNSTABLE));
	OK(commit(&s->a, &f));
	CHECK(reads(&s->b, &f, "THE NEW version, longer"));
	WITHIN(10000, object_is(s, "f", "THE NEW version, longer"));
	WITHIN(10000, state_is(s, "f", ""));
	CHECK(reads(&s->b, &f, "THE NEW version, longer"));
	CHECK(scene_versions(s, "f") == 1);
}

/* Its writer does not come back: what is left is a version, in the end. */
static void
s35_abandoned(struct scene *s)
{
	struct nc_fh f = make(s, "f", "the old version");

	OK(put(&s->a, &f, 0, "THE", UNSTABLE));
	OK(put(&s->a, &f, 15, ", longer", UNSTABLE));
	OK(nc_commit(&s->a, &f, 0, 3, NULL));
	scene_crash(s);
	CHECK(reads(&s->b, &f, "the old version"));
	WITHIN(20000, object_is(s, "f", "THE old version"));
	CHECK(reads(&s->b, &f, "THE old version"));
	SOON(20000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
}

/* What is hard is cut and lengthened with the rest. */
static void
s35_truncated(struct scene *s)
{
	struct nc_fh f = make(s, "f", "0123456789");

	OK(put(&s->a, &f, 2, "ABCDEFGH", UNSTABLE));
	OK(put(&s->a, &f, 20, "tail", UNSTABLE));
	OK(nc_commit(&s->a, &f, 2, 8, NULL));
	CHECK(reads(&s->b, &f, "0123456789"));
	OK(nc_truncate(&s->a, &f, 6));
	/* Nothing is uncommitted any more. */
	CHECK(!holds(s, "f", "a", "ACTIVE"));
	CHECK(reads(&s->b, &f, "01ABCD") && reads(&s->a, &f, "01ABCD"));
	scene_crash(s);
	CHECK(reads(&s->b, &f, "01ABCD"));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "01ABCD"));
	/* Over hard bytes, once more, in all three places. */
	OK(put(&s->a, &f, 0, "aaaaaa", UNSTABLE));
	OK(put(&s->a, &f, 6, "zz", UNSTABLE));
	OK(nc_commit(&s->a, &f, 0, 6, NULL));
	OK(put(&s->a, &f, 2, "bb", UNSTABLE));
	OK(nc_commit(&s->a, &f, 2, 2, NULL));
	OK(put(&s->a, &f, 3, "c", UNSTABLE));
	CHECK(reads(&s->a, &f, "aabcaazz") && reads(&s->b, &f, "01ABCD"));
	OK(commit(&s->a, &f));
	CHECK(reads(&s->b, &f, "aabcaazz"));
	scene_crash(s);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "aabcaazz"));
}

/* An upload of the version before ends while parts of the next are hard. */
static void
s35_upload(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "f");

	scene_faults(s, "op=put key=f hold_after");
	OK(put(&s->a, &f, 0, "first", FILE_SYNC));
	WITHIN(10000, scene_calls(s, "put", "f", "held") == 1);
	scene_faults(s, "op=put key=f hold");
	/* The next writer waits for that, and is A again. */
	SOON(10000, put(&s->a, &f, 0, "SECOND", UNSTABLE), NFS3_OK);
	OK(put(&s->a, &f, 6, "!", UNSTABLE));
	OK(nc_commit(&s->a, &f, 0, 6, NULL));
	CHECK(reads(&s->b, &f, "first"));
	scene_crash(s);
	CHECK(reads(&s->a, &f, "SECOND") && reads(&s->b, &f, "first"));
	OK(put(&s->a, &f, 6, "!", UNSTABLE));
	OK(commit(&s->a, &f));
	scene_faults(s, "");
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "SECOND!"));
	CHECK(reads(&s->b, &f, "SECOND!"));
}

/* In the bucket there are whole versions only. */
static void
s35_s3(struct scene *s)
{
	struct nc_fh f = make(s, "f", "the old version");

	OK(put(&s->a, &f, 0, "THE", UNSTABLE));
	OK(put(&s->a, &f, 15, ", longer", UNSTABLE));
	SOON(10000, nc_commit(&s->a, &f, 0, 3, NULL), NFS3_OK);
	CHECK(object_is(s, "f", "THE old version, longer"));
	OK(put(&s->a, &f, 0, "the", UNSTABLE));
	SOON(10000, put(&s->a, &f, 4, "NEW", FILE_SYNC), NFS3_OK);
	CHECK(object_is(s, "f", "the NEW version, longer"));
}

static void
s36(struct scene *s)
{
	unsigned char *data = malloc(3 * MB);
	struct nc_fh f = half_committed(s, data);

	CHECK(holds(s, "f", "a", "ACTIVE"));
	OK(nc_commit(&s->a, &f, 2 * MB, MB, NULL));
	CHECK(holds(s, "f", "a", "FLUSHED"));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_has(s, "f", data, 3 * MB));
	free(data);
}

static void
s37(struct scene *s)
{
	unsigned char *data = malloc(3 * MB);
	struct nc_fh f = half_committed(s, data);

	OK(nc_commit(&s->a, &f, 0, 0, NULL));
	CHECK(holds(s, "f", "a", "FLUSHED"));
	CHECK(reads_many(&s->b, &f, data, 3 * MB));
	scene_crash(s);
	WITHIN(20000, object_has(s, "f", data, 3 * MB));
	free(data);
}

static void
s38(struct scene *s)
{
	bool quick = getenv("SCENARIO_QUICK") != NULL;
	size_t total = quick ? 64 * MB : 1024 * MB, at = 0;
	size_t every = quick ? 4 * MB : 64 * MB;
	struct nc_fh f = create(&s->a, s, "f");
	unsigned char *data = malloc(MB);
	uint32_t xid = rpcc_xid(&s->b);
	unsigned refused = 0;
	uint64_t quiet_since;
	int r = -ETIMEDOUT;

	fill(data, MB, 38);
	OK(put_many(&s->a, &f, 0, data, MB, UNSTABLE));
	OK(nc_write_send(&s->b, xid, &f, 0, "B", 1, UNSTABLE));
	for (at = MB; at < total; at += MB) {
		OK(nc_write(&s->a, &f, at, data, (uint32_t)MB, UNSTABLE,
			    NULL));
		if ((at + MB) % every == 0)
			OK(commit(&s->a, &f));
		r = nc_write_recv(&s->b, xid, 0, NULL);
		if (r == -ETIMEDOUT)
			continue;
		IS(r, NFS3ERR_JUKEBOX);
		refused++;
		xid = rpcc_xid(&s->b);
		OK(nc_write_send(&s->b, xid, &f, 0, "B", 1, UNSTABLE));
	}
	OK(commit(&s->a, &f));
	quiet_since = scene_now_ms();
	for (;;) {
		CHECK(scene_now_ms() - quiet_since < 60000);
		r = nc_write_recv(&s->b, xid, 60000, NULL);
		if (r == NFS3_OK)
			break;
		IS(r, NFS3ERR_JUKEBOX);
		refused++;
		xid = rpcc_xid(&s->b);
		OK(nc_write_send(&s->b, xid, &f, 0, "B", 1, UNSTABLE));
	}
	CHECK(scene_now_ms() - quiet_since >= 950);
	CHECK(refused > 0);
	CHECK(object_size(s, "f") == total);
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_size(s, "f") == total);
	CHECK(uploads_left(s) == 0);
	free(data);
}

static void
s39(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "first half", UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	BUSY(s, put(&s->a, &f, 10, ", second half", UNSTABLE));
	CHECK(object_is(s, "f", "first half"));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Birst half"));
}

static void
s40(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "unstable", UNSTABLE));
	OK(put(&s->a, &f, 8, ", stable", DATA_SYNC));
	CHECK(holds(s, "f", "a", "ACTIVE"));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	DURING(300, scene_calls(s, "put", "f", "begin") == 0);
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "unstable, stable"));
}

static void
s41(struct scene *s)
{
	size_t len = 24 * MB;
	unsigned char *data = malloc(len);
	struct nc_fh f;

	CHECK(data != NULL);
	fill(data, len, 41);
	f = create(&s->a, s, "f");
	scene_faults(s, "op=part key=f hold");
	OK(put_many(&s->a, &f, 0, data, len, UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(10000, scene_calls(s, "part", "f", "held") > 0);
	CHECK(holds(s, "f", "a", "UPLOADING"));
	memcpy(data + 5 * MB, "changed", 7);
	memcpy(data + len - 7, "the end", 7);
	OK(put(&s->a, &f, 5 * MB, "changed", UNSTABLE));
	CHECK(holds(s, "f", "a", "ACTIVE"));
	scene_faults(s, "");
	OK(put(&s->a, &f, len - 7, "the end", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(30000, object_has(s, "f", data, len));
	WITHIN(10000, state_is(s, "f", ""));
	CHECK(scene_versions(s, "f") == 1);
	WITHIN(10000, uploads_left(s) == 0);
	free(data);
}

/* A database: a record, an fsync, ten times a second. */
static void
without_end(struct scene *s)
{
	size_t len = 40 * MB;
	unsigned char *data = malloc(len);
	struct nc_fh f;
	unsigned i = 0;

	CHECK(data != NULL);
	fill(data, len, 7);
	f = create(&s->a, s, "f");
	scene_faults(s, "op=part delay_ms=300");
	OK(put_many(&s->a, &f, 0, data, len, UNSTABLE));
	OK(commit(&s->a, &f));
	for (; i < 300 && scene_versions(s, "f") < 3; i++) {
		unsigned at = i * 7919 % (unsigned)(len / 4096) * 4096;

		memset(data + at, (int)i, 4096);
		OK(put_many(&s->a, &f, at, data + at, 4096, UNSTABLE));
		OK(commit(&s->a, &f));
		nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
	}
	CHECK(scene_versions(s, "f") >= 3);
	/* One may have been stopped for each that arrived. */
	CHECK(scene_calls(s, "create", "f", "begin") <=
	      2 * scene_versions(s, "f") + 2);
	scene_faults(s, "");
	WITHIN(20000, object_has(s, "f", data, len));
	free(data);
}

static void
s42(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f hold_after");
	OK(put(&s->a, &f, 0, "first", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(5000, scene_calls(s, "put", "f", "held") == 1);
	CHECK(holds(s, "f", "a", "FINISHING"));
	IS(put(&s->a, &f, 5, ", second", UNSTABLE), NFS3ERR_JUKEBOX);
	CHECK(reads(&s->a, &f, "first"));
	scene_faults(s, "");
	SOON(10000, put(&s->a, &f, 5, ", second", UNSTABLE), NFS3_OK);
	CHECK(object_is(s, "f", "first"));
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "first, second"));
	WITHIN(1000, scene_versions(s, "f") == 2);
}

static void
s43(struct scene *s)
{
	struct nc_set set = { .mtime_how = SET_TO_CLIENT_TIME,
			      .mtime = { 1000000000, 123456789 } };
	struct nc_fh f = make(s, "f", "old");
	fattr3 attr;

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	OK(commit(&s->a, &f));
	OK(nc_setattr(&s->a, &f, &set, NULL));
	CHECK(holds(s, "f", "a", "FLUSHED"));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "new"));
	OK(nc_getattr(&s->b, &f, &attr));
	CHECK(attr.mtime.seconds == 1000000000 &&
	      attr.mtime.nseconds == 123456789);
	/* Also for who knows nothing but the bucket. */
	OK(ctl_status(s, "refresh %s", s->export));
	OK(nc_lookup(&s->b, &s->root, "f", NULL, &attr));
	CHECK(attr.mtime.seconds == 1000000000 &&
	      attr.mtime.nseconds == 123456789);
}

static void
s44(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g = create(&s->b, s, "g");
	uint8_t verf[8], again[8];
	struct nc_written w;

	OK(nc_commit(&s->a, &f, 0, 0, verf));
	CHECK(state_is(s, "f", ""));
	OK(nc_write(&s->b, &g, 0, "x", 1, UNSTABLE, &w));
	CHECK(memcmp(verf, w.verf, 8) == 0);
	OK(nc_commit(&s->b, &g, 0, 0, again));
	CHECK(memcmp(verf, again, 8) == 0);
	DURING(300, scene_calls(s, "put", "f", "begin") == 0);
	CHECK(object_is(s, "f", "old"));
}

static void
s45(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f error=EACCES");
	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	SOON(10000, commit(&s->a, &f), NFS3ERR_IO);
	CHECK(object_is(s, "f", "old"));
	SOON(10000, commit(&s->a, &f), NFS3ERR_IO);
	SOON(10000, commit(&s->a, &f), NFS3ERR_IO);
	scene_faults(s, "");
	OK(put(&s->a, &f, 0, "again", UNSTABLE));
	SOON(10000, commit(&s->a, &f), NFS3_OK);
	CHECK(object_is(s, "f", "again"));
}

static void
s45_new(struct scene *s)
{
	struct nc_fh f;

	scene_faults(s, "op=put key=f error=EACCES");
	f = create(&s->a, s, "f");
	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	SOON(10000, commit(&s->a, &f), NFS3ERR_IO);
	CHECK(object_absent(s, "f"));
	CHECK(quarantined(s, "f") == 1);
	/* There is no last good version to fall back to. */
	IS(nc_lookup(&s->b, &s->root, "f", NULL, NULL), NFS3ERR_NOENT);
}

static void
s45_stable(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	unsigned versions = scene_versions(s, "f");

	/* A small file's flush is one stable WRITE and no COMMIT. */
	scene_faults(s, "op=put key=f delay_ms=700");
	SOON(10000, put(&s->a, &f, 0, "new", FILE_SYNC), NFS3_OK);
	CHECK(object_is(s, "f", "new"));
	CHECK(scene_versions(s, "f") == versions + 1);
	scene_faults(s, "op=put key=f error=EACCES");
	SOON(10000, put(&s->a, &f, 0, "bad", FILE_SYNC), NFS3ERR_IO);
	CHECK(object_is(s, "f", "new"));
	CHECK(quarantined(s, "f") == 1);
}

static void
s46(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	char text[64] = "";

	for (int i = 0; i < 5; i++) {
		size_t at = strlen(text);

		snprintf(text + at, sizeof(text) - at, "piece %d,", i);
		/* B's READ has kicked an upload; past its point of no return
		 * A's next WRITE waits for it. */
		SOON(10000, put(&s->a, &f, at, text + at, UNSTABLE), NFS3_OK);
		SOON(10000, commit(&s->a, &f), NFS3_OK);
		CHECK(reads(&s->b, &f, text));
	}
	WITHIN(10000, object_is(s, "f", text));
}

static void
s46_s3(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	char text[64] = "";

	for (int i = 0; i < 5; i++) {
		size_t at = strlen(text);

		snprintf(text + at, sizeof(text) - at, "piece %d,", i);
		SOON(10000, put(&s->a, &f, at, text + at, UNSTABLE), NFS3_OK);
		SOON(10000, commit(&s->a, &f), NFS3_OK);
		CHECK(object_is(s, "f", text));
	}
}

SCENARIOS(
	{ "s35", "A wrote 0-1M and 2-3M UNSTABLE / COMMIT 0-1M / A still "
	  "ACTIVE, B busy", s35, NULL, false },
	{ "s35-hidden", "parts of a change are committed, others not / only A "
	  "sees it, over a crash too; then all at once", s35_hidden, NULL,
	  false },
	{ "s35-abandoned", "the same, and A does not come back / published "
	  "when its lease ends", s35_abandoned, "lease_ms=2000", false },
	{ "s35-truncated", "the same, and A truncates / cut with the rest",
	  s35_truncated, "settle_ms=60000", false },
	{ "s35-upload", "the same while the version before is uploaded / "
	  "nothing of either is lost", s35_upload, NULL, false },
	{ "s35-s3", "commit=s3: A COMMITs a part / all of it is in S3",
	  s35_s3, "commit=s3", false },
	{ "s36", "then COMMIT 2-3M / FLUSHED", s36, "settle_ms=60000",
	  false },
	{ "s37", "COMMIT offset 0 count 0 / whole file hardened, FLUSHED",
	  s37, "settle_ms=60000", false },
	{ "s38", "A streams 1 GiB with COMMITs every 64 MiB / B polls WRITEs "
	  "/ B gets in only after A is quiet; A is never refused", s38,
	  "settle_ms=2000 supersede_quiet_ms=1000 hold_ms=200 "
	  "busy_limit_ms=3600000 server.log_level=warning", false },
	{ "s39", "supersede_quiet=0 / B WRITEs between A's COMMIT and next "
	  "WRITE / B wins, A busy: literal seed", s39,
	  "supersede_quiet_ms=0 settle_ms=60000", false },
	{ "s40", "DATA_SYNC WRITE while UNSTABLE extents exist / stays "
	  "ACTIVE", s40, NULL, false },
	{ "s41", "A WRITEs while its own upload is UPLOADING / upload stops, "
	  "one object with all bytes at the end", s41,
	  "part_size=5M create_settle_ms=5000", false },
	{ "s41-endless", "A WRITEs and COMMITs ten times a second, for ever / "
	  "versions arrive in S3", without_end,
	  "part_size=5M settle_ms=50 max_dirty_age_ms=4000", true },
	{ "s42", "A WRITEs while its own upload is FINISHING / waits, new "
	  "generation on the new object, no lost byte", s42, NULL, false },
	{ "s43", "SETATTR(mtime) right after COMMIT / OK, stays FLUSHED, "
	  "mtime survives upload", s43, "settle_ms=60000", false },
	{ "s44", "COMMIT on a file never written / OK, current verifier",
	  s44, NULL, false },
	{ "s45", "commit=s3: S3 fails / COMMIT -> NFS3ERR_IO, object absent, "
	  "next COMMIT same until a WRITE", s45, "commit=s3", false },
	{ "s45-new", "the same with a file that never was in S3", s45_new,
	  "commit=s3", false },
	{ "s45-stable", "commit=s3: a stable WRITE is answered when S3 has it, "
	  "in one version, or with NFS3ERR_IO", s45_stable,
	  "commit=s3 hold_ms=200", false },
	{ "s46", "fsync then more WRITEs / OK, commit=local", s46, NULL,
	  false },
	{ "s46-s3", "fsync then more WRITEs / OK, commit=s3", s46_s3,
	  "commit=s3", false })
