/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios 69 to 80: restarts, calls that come twice, limits.
 * tests/crash.c kills the daemon at every step; here the stories are told.
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/scenario.h"

#define BIG (21U << 20)

static uint8_t *
verifier(struct rpcc *c, const struct nc_fh *f)
{
	static uint8_t verf[4][8];
	static unsigned turn;
	uint8_t *v = verf[turn++ % 4];

	OK(nc_commit(c, f, 0, 0, v));
	return v;
}

static unsigned char *
pattern(size_t len, uint32_t seed)
{
	unsigned char *p = malloc(len);

	CHECK(p != NULL);
	fill(p, len, seed);
	return p;
}

static void
s69(struct scene *s)
{
	unsigned char *want = pattern(BIG, 69);
	struct nc_fh f = create(&s->a, s, "f");
	struct nc_written first = { 0 }, second = { 0 };
	uint8_t now[8];

	OK(put_many(&s->a, &f, 0, want, BIG, UNSTABLE));
	OK(nc_write(&s->a, &f, 0, want, 4096, UNSTABLE, &first));
	scene_crash(s);
	OK(nc_write(&s->a, &f, 0, want, 4096, UNSTABLE, &second));
	CHECK(memcmp(first.verf, second.verf, 8) != 0);
	OK(put_many(&s->a, &f, 0, want, BIG, UNSTABLE));
	OK(nc_commit(&s->a, &f, 0, 0, now));
	CHECK(memcmp(now, second.verf, 8) == 0);
	WITHIN(20000, object_has(s, "f", want, BIG));
	free(want);
}

/* The last flushed version stays what others see. */
static void
s69_version(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "flushed", FILE_SYNC));
	OK(put(&s->a, &f, 0, "unflushed", UNSTABLE));
	/* Nobody waits for the row of an active handle. */
	DURING(200, state_is(s, "f", "ACTIVE"));
	scene_crash(s);
	CHECK(reads(&s->b, &f, "flushed"));
	CHECK(reads(&s->a, &f, "flushed"));
	/* A is still the writer, with a full lease. */
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	OK(put(&s->a, &f, 0, "unflushed", UNSTABLE));
	OK(commit(&s->a, &f));
	CHECK(ctl_status(s, "flush --all") == 0);
	CHECK(object_is(s, "f", "unflushed"));
}

static void
s70(struct scene *s)
{
	unsigned char *want = pattern(BIG, 70);
	struct nc_fh f = make(s, "f", "old"), g = create(&s->a, s, "g");

	OK(put(&s->a, &f, 0, "new bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	OK(put_many(&s->a, &g, 0, want, BIG, UNSTABLE));
	OK(commit(&s->a, &g));
	CHECK(scene_versions(s, "f") == 0 && scene_versions(s, "g") == 0);
	scene_crash(s);
	CHECK(reads(&s->a, &f, "new bytes"));
	CHECK(reads_many(&s->b, &g, want, BIG));
	WITHIN(20000, object_is(s, "f", "new bytes"));
	WITHIN(20000, object_has(s, "g", want, BIG));
	WITHIN(5000, scene_versions(s, "f") == 1 && scene_versions(s, "g") == 1);
	free(want);
}

/* The daemon ends itself at that point of the upload of f. */
static unsigned char *
die_uploading(struct scene *s, const char *point, struct nc_fh *f)
{
	unsigned char *want = pattern(BIG, 71);

	CHECK(scene_stop(s) == 0);
	scene_env(s, "S3NFSD_FAIL", point);
	scene_start(s);
	*f = create(&s->a, s, "f");
	OK(put_many(&s->a, f, 0, want, BIG, UNSTABLE));
	OK(commit(&s->a, f));
	scene_wait_dead(s, 20000);
	scene_env(s, "S3NFSD_FAIL", NULL);
	return want;
}

static void
s71(struct scene *s)
{
	struct nc_fh f;
	unsigned char *want = die_uploading(s, "part-after:2", &f);

	CHECK(object_absent(s, "f"));
	CHECK(uploads_left(s) == 1);
	scene_start(s);
	CHECK(reads_many(&s->b, &f, want, BIG));
	WITHIN(20000, object_has(s, "f", want, BIG));
	WITHIN(10000, uploads_left(s) == 0);
	WITHIN(5000, scene_versions(s, "f") == 1);
	free(want);
}

/* It dies again while it recovers. */
static void
s71_twice(struct scene *s)
{
	struct nc_fh f;
	unsigned char *want = die_uploading(s, "create-upload-after", &f);

	scene_env(s, "S3NFSD_FAIL", "id-recorded");
	/* Not before its clients are connected. */
	scene_faults(s, "op=create key=f hold");
	scene_start(s);
	scene_faults(s, "");
	scene_wait_dead(s, 20000);
	scene_env(s, "S3NFSD_FAIL", "complete-before");
	scene_faults(s, "op=create key=f hold");
	scene_start(s);
	scene_faults(s, "");
	scene_wait_dead(s, 20000);
	scene_env(s, "S3NFSD_FAIL", NULL);
	scene_start(s);
	CHECK(reads_many(&s->b, &f, want, BIG));
	WITHIN(20000, object_has(s, "f", want, BIG));
	WITHIN(10000, uploads_left(s) == 0);
	WITHIN(5000, scene_versions(s, "f") == 1);
	free(want);
}

static void
s72(struct scene *s)
{
	struct nc_fh f;
	unsigned char *want = die_uploading(s, "complete-after", &f);

	CHECK(object_has(s, "f", want, BIG));
	WITHIN(5000, scene_versions(s, "f") == 1);
	scene_start(s);
	WITHIN(20000, state_is(s, "f", ""));
	WITHIN(20000, status_number(s, "handles_pending") == 0);
	WITHIN(5000, scene_versions(s, "f") == 1);
	CHECK(quarantined(s, "f") == 0);
	CHECK(uploads_left(s) == 0);
	CHECK(reads_many(&s->b, &f, want, BIG));
	OK(put(&s->b, &f, 0, "B", FILE_SYNC));
	want[0] = 'B';
	WITHIN(20000, object_has(s, "f", want, BIG));
	free(want);
}

/* The version that S3 took without our knowing is not the last one. */
static void
s72_older(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "f"), g = make(s, "g", "old");
	unsigned char *want = pattern(BIG, 72);
	struct nc_fh h = create(&s->a, s, "h");

	scene_faults(s, "op=put,complete lose");
	OK(put(&s->a, &f, 0, "first version", FILE_SYNC));
	OK(put(&s->a, &g, 0, "first version", FILE_SYNC));
	/* The empty file may be on its way by now. */
	SOON(20000, put_many(&s->a, &h, 0, want, BIG, UNSTABLE), NFS3_OK);
	OK(commit(&s->a, &h));
	WITHIN(10000, object_is(s, "f", "first version"));
	WITHIN(10000, object_is(s, "g", "first version"));
	WITHIN(10000, object_has(s, "h", want, BIG));
	SOON(10000, put(&s->a, &f, 0, "second ", FILE_SYNC), NFS3_OK);
	SOON(10000, nc_truncate(&s->a, &g, 5), NFS3_OK);
	SOON(10000, put(&s->a, &h, 5, "second", FILE_SYNC), NFS3_OK);
	memcpy(want + 5, "second", 6);
	scene_faults(s, "");
	WITHIN(20000, ctl_status(s, "flush --all") == 0);
	CHECK(object_is(s, "f", "second ersion"));
	CHECK(object_is(s, "g", "first"));
	CHECK(object_has(s, "h", want, BIG));
	CHECK(objects(s) == 3);
	CHECK(uploads_left(s) == 0);
	CHECK(quarantined(s, "f") + quarantined(s, "g") +
	      quarantined(s, "h") == 0);
	free(want);
}

static void
s73(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f hold");
	OK(put(&s->a, &f, 0, "A's", FILE_SYNC));
	IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_JUKEBOX);
	CHECK(holds(s, "f", "b", "RESERVED"));
	scene_faults(s, "");
	scene_crash(s);
	CHECK(!holds(s, "f", "b", "RESERVED"));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(object_is(s, "f", "A's"));
	OK(commit(&s->b, &f));
	WITHIN(10000, object_is(s, "f", "B's"));
}

static void
s74(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint32_t xid = rpcc_xid(&s->a);

	OK(nc_write_send(&s->a, xid, &f, 0, "AAA", 3, FILE_SYNC));
	OK(nc_write_recv(&s->a, xid, 60000, NULL));
	SOON(10000, put(&s->b, &f, 0, "BBB", FILE_SYNC), NFS3_OK);
	WITHIN(10000, object_is(s, "f", "BBB"));
	/* As after a lost reply: the same call, over another connection. */
	rpcc_close(&s->a);
	scene_client(s, &s->a, 11, "a");
	OK(nc_write_send(&s->a, xid, &f, 0, "AAA", 3, FILE_SYNC));
	OK(nc_write_recv(&s->a, xid, 60000, NULL));
	DURING(400, object_is(s, "f", "BBB"));
	CHECK(reads(&s->b, &f, "BBB"));
	CHECK(state_is(s, "f", ""));
}

static void
s75(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint32_t xid, granted;

	scene_faults(s, "op=put key=f hold");
	OK(put(&s->a, &f, 0, "A's", FILE_SYNC));
	xid = rpcc_xid(&s->b);
	OK(nc_write_send(&s->b, xid, &f, 0, "B", 1, FILE_SYNC));
	WITHIN(10000, scene_calls(s, "put", "f", "held") == 1);
	WITHIN(5000, status_number(s, "held_requests") == 1);
	OK(nc_write_send(&s->b, xid, &f, 0, "B", 1, FILE_SYNC));
	OK(nc_write_send(&s->b, xid, &f, 0, "B", 1, FILE_SYNC));
	/* When this is answered the server has seen those before it. */
	OK(nc_access(&s->b, &s->root, 1, &granted));
	CHECK(status_number(s, "held_requests") == 1);
	scene_faults(s, "");
	OK(nc_write_recv(&s->b, xid, 60000, NULL));
	IS(nc_write_recv(&s->b, xid, 300, NULL), -ETIMEDOUT);
	WITHIN(10000, object_is(s, "f", "B's"));
	WITHIN(10000, scene_versions(s, "f") == 2);
	DURING(300, scene_versions(s, "f") == 2);
}

static void
s76(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint32_t xid = rpcc_xid(&s->b);
	uint64_t until;
	int r;

	OK(put(&s->a, &f, 0, "A's", UNSTABLE));
	OK(nc_write_send(&s->b, xid, &f, 0, "B", 1, FILE_SYNC));
	IS(nc_write_recv(&s->b, xid, 60000, NULL), NFS3ERR_JUKEBOX);
	OK(commit(&s->a, &f));
	until = scene_now_ms() + 10000;
	do {
		OK(nc_write_send(&s->b, xid, &f, 0, "B", 1, FILE_SYNC));
		r = nc_write_recv(&s->b, xid, 60000, NULL);
	} while (r == NFS3ERR_JUKEBOX && scene_now_ms() < until);
	OK(r);
	WITHIN(10000, object_is(s, "f", "B's"));
}

static void
s77(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "f"), g = create(&s->b, s, "g");
	struct rpcc *clients[] = { &s->a, &s->b };
	uint8_t first[8];
	uint32_t x = 77;

	OK(nc_commit(&s->a, &f, 0, 0, first));
	for (unsigned i = 0; i < 200; i++) {
		struct rpcc *c;
		struct nc_fh *file;
		struct nc_written w = { 0 };
		uint8_t verf[8];

		x = x * 1664525 + 1013904223;
		c = clients[x >> 30 & 1];
		file = x >> 29 & 1 ? &f : &g;
		if (x >> 28 & 1) {
			int r = nc_write(c, file, x >> 20 & 255, "xyz", 3,
					 (stable_how)((x >> 16) % 3), &w);

			if (r == NFS3ERR_JUKEBOX)
				continue;
			OK(r);
			memcpy(verf, w.verf, 8);
		} else {
			OK(nc_commit(c, file, 0, 0, verf));
		}
		CHECK(memcmp(first, verf, 8) == 0);
	}
	/* An orderly end that loses nothing keeps it, another does not. */
	for (int i = 0; i < 2; i++) {
		OK(commit(clients[i], &f));
		OK(commit(clients[i], &g));
	}
	CHECK(scene_stop(s) == 0);
	scene_start(s);
	CHECK(memcmp(verifier(&s->a, &f), first, 8) == 0);
	CHECK(memcmp(verifier(&s->b, &g), first, 8) == 0);
	scene_crash(s);
	CHECK(memcmp(verifier(&s->a, &f), first, 8) != 0);
}

/* The upload that B's opening started cannot even begin (a bad SSE key is
 * InvalidArgument to CreateMultipartUpload). */
static void
s78(struct scene *s)
{
	unsigned char *want = pattern(BIG, 78);
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=create key=f error=EINVAL");
	OK(put_many(&s->a, &f, 0, want, BIG, UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_IO);
	CHECK(!holds(s, "f", "b", "RESERVED"));
	CHECK(!holds(s, "f", "b", "ACTIVE"));
	CHECK(status_number(s, "handles_active") == 0);
	CHECK(status_number(s, "handles_pending") == 0);
	scene_faults(s, "");
	OK(put(&s->c, &f, 0, "C", UNSTABLE));
	OK(commit(&s->c, &f));
	CHECK(ctl_status(s, "flush --all") == 0);
	CHECK(object_is(s, "f", "Cld"));
	CHECK(quarantined(s, "f") == 1);
	free(want);
}

static void
full(struct scene *s, int want)
{
	struct nc_fh f = make(s, "f", "f"), g = make(s, "g", "g"),
		     h = make(s, "h", "h");

	OK(put(&s->a, &f, 0, "F", UNSTABLE));
	OK(put(&s->a, &g, 0, "G", UNSTABLE));
	IS(put(&s->b, &h, 0, "H", UNSTABLE), want);
	IS(nc_truncate(&s->b, &h, 0), want);
	CHECK(state_is(s, "h", ""));
	CHECK(!holds(s, "h", "b", "RESERVED"));
	CHECK(status_number(s, "handles_active") == 2);
	CHECK(reads(&s->b, &h, "h"));
	/* Who has a handle goes on. */
	OK(put(&s->a, &f, 1, "F", UNSTABLE));
	SOON(10000, commit(&s->a, &f), NFS3_OK);
	WITHIN(10000, put(&s->b, &h, 0, "H", UNSTABLE) == NFS3_OK);
	SOON(10000, commit(&s->b, &h), NFS3_OK);
	SOON(10000, commit(&s->a, &g), NFS3_OK);
	WITHIN(10000, object_is(s, "f", "FF") && object_is(s, "g", "G") &&
		      object_is(s, "h", "H"));
}

static void
s79(struct scene *s)
{
	full(s, NFS3ERR_JUKEBOX);
}

static void
s79_strict(struct scene *s)
{
	full(s, NFS3ERR_NOSPC);
}

/* CREATE makes a writer too. */
static void
s79_create(struct scene *s)
{
	struct nc_fh f = make(s, "f", "f"), g = make(s, "g", "g"), h;
	int r;

	OK(put(&s->a, &f, 0, "F", UNSTABLE));
	OK(put(&s->a, &g, 0, "G", UNSTABLE));
	r = nc_create(&s->b, &s->root, "h", UNCHECKED, NULL, NULL, &h, NULL);
	IS(r, NFS3ERR_JUKEBOX);
	CHECK(object_absent(s, "h"));
	IS(nc_lookup(&s->b, &s->root, "h", NULL, NULL), NFS3ERR_NOENT);
	OK(commit(&s->a, &f));
	SOON(10000, nc_create(&s->b, &s->root, "h", UNCHECKED, NULL, NULL, &h,
			      NULL), NFS3_OK);
	OK(commit(&s->a, &g));
	WITHIN(10000, object_is(s, "h", ""));
}

static bool
same_attr(const fattr3 *a, const fattr3 *b)
{
	return a->size == b->size && a->fileid == b->fileid &&
	       a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       a->nlink == b->nlink && a->fsid == b->fsid &&
	       memcmp(&a->mtime, &b->mtime, sizeof(a->mtime)) == 0 &&
	       memcmp(&a->ctime, &b->ctime, sizeof(a->ctime)) == 0;
}

static void
s80(struct scene *s)
{
	struct nc_fh files[3];
	fattr3 before[3][2], after;
	unsigned char *bytes = pattern(BIG, 80);

	files[0] = make(s, "f0", "old");
	files[1] = create(&s->a, s, "f1");
	files[2] = create(&s->a, s, "f2");
	OK(put(&s->a, &files[0], 0, "new bytes", UNSTABLE));
	OK(put(&s->a, &files[1], 0, "new bytes", UNSTABLE));
	OK(put_many(&s->a, &files[2], 0, bytes, BIG, UNSTABLE));
	for (int i = 0; i < 3; i++) {
		OK(commit(&s->a, &files[i]));
		OK(nc_getattr(&s->a, &files[i], &before[i][0]));
		OK(nc_getattr(&s->b, &files[i], &before[i][1]));
		CHECK(same_attr(&before[i][0], &before[i][1]));
	}
	WITHIN(20000, scene_versions(s, "f0") == 1 &&
		      scene_versions(s, "f1") == 1 &&
		      scene_versions(s, "f2") == 1);
	WITHIN(20000, status_number(s, "handles_pending") == 0);
	/* Also when S3 is asked again. */
	for (uint64_t until = scene_now_ms() + 700; scene_now_ms() < until;) {
		for (int i = 0; i < 3; i++) {
			OK(nc_getattr(&s->a, &files[i], &after));
			CHECK(same_attr(&before[i][0], &after));
			OK(nc_getattr(&s->b, &files[i], &after));
			CHECK(same_attr(&before[i][0], &after));
		}
		scene_pause();
	}
	CHECK(reads(&s->b, &files[0], "new bytes"));
	for (int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		OK(nc_lookup(&s->b, &s->root, name, NULL, &after));
		CHECK(same_attr(&before[i][0], &after));
	}
	free(bytes);
}

/* S3 has the new version and the row does not say so yet: bytes of the base
 * are asked for under an ETag that is gone. */
static void
s80_base(struct scene *s)
{
	unsigned char *want = pattern(300000, 80);
	struct nc_fh f;

	object_put(s, "f", want, 300000, NULL);
	CHECK(scene_stop(s) == 0);
	scene_env(s, "S3NFSD_STALL", "stored-before-row:700");
	scene_start(s);
	f = look(&s->a, s, "f");
	memcpy(want + 1000, "new", 3);
	OK(put(&s->a, &f, 1000, "new", FILE_SYNC));
	WITHIN(10000, scene_versions(s, "f") == 1);
	CHECK(object_has(s, "f", want, 300000));
	for (uint32_t got = 0; got == 0;) {
		char buf[4096];
		int r = nc_read(&s->b, &f, 200000, buf, sizeof(buf), &got,
				NULL);

		if (r != NFS3ERR_JUKEBOX)
			OK(r);
		if (got > 0)
			CHECK(memcmp(buf, want + 200000, got) == 0);
	}
	CHECK(reads_many(&s->b, &f, want, 300000));
	free(want);
}

/* A start takes its time; what the listing of a renamed directory must not find
 * at the old place is hidden before that goes on. */
static void
left_before(struct scene *s)
{
	struct nc_fh d;

	object_text(s, "d/f", "f");
	object_text(s, "d/g", "g");
	d = look(&s->a, s, "d");
	(void)look_in(&s->a, &d, "f");
	scene_faults(s, "op=list key=d/ hold\nop=copy hold");
	SOON(20000, nc_rename(&s->a, &s->root, "d", &s->root, "n"), NFS3_OK);
	SOON(20000, nc_rename(&s->a, &d, "f", &s->root, "y"), NFS3_OK);
	scene_kill(s);
	scene_faults(s, "");
	scene_env(s, "S3NFSD_STALL", "recover-before-hidden:1500");
	scene_start(s);
	WITHIN(20000, object_is(s, "y", "f") && object_is(s, "n/g", "g"));
	WITHIN(20000, objects(s) == 2);
	CHECK(has_name(&s->b, &s->root, "y") && !has_name(&s->b, &d, "f"));
}

/* The store holds all that is asked of it: a move, an upload, a deletion, reads
 * and looks.  The end has its time all the same, and nothing is lost. */
static void
stop_hung(struct scene *s)
{
	struct nc_fh f, g;
	uint64_t began;

	object_text(s, "d/f", "moved");
	object_text(s, "h", "removed");
	f = make(s, "f", "old");
	g = make(s, "g", "g");
	(void)look(&s->a, s, "d");
	(void)look(&s->a, s, "h");
	scene_faults(s, "op=put hold\nop=get hold\nop=delete hold\n"
		     "op=list key=d/ hold");
	OK(put(&s->a, &f, 0, "new", FILE_SYNC));
	CHECK(nc_read_send(&s->b, 901, &g, 0, 1) == 0);
	SOON(5000, nc_rename(&s->a, &s->root, "d", &s->root, "n"), NFS3_OK);
	SOON(5000, nc_remove(&s->a, &s->root, "h"), NFS3_OK);
	WITHIN(5000, scene_calls(s, "put", "f", "held") > 0);
	WITHIN(5000, scene_calls(s, "get", "g", "held") > 0);
	WITHIN(5000, scene_calls(s, "list", "d/", "held") > 0);
	WITHIN(5000, scene_calls(s, "delete", "h", "held") > 0);
	began = scene_now_ms();
	IS(scene_stop(s), 0);
	CHECK(scene_now_ms() - began < 1000 + PATIENCE * 2000);
	scene_faults(s, "");
	scene_start(s);
	scene_reconnect(s);
	WITHIN(20000, object_is(s, "f", "new"));
	WITHIN(20000, object_is(s, "n/f", "moved"));
	WITHIN(20000, object_absent(s, "d/f"));
	WITHIN(20000, object_absent(s, "h"));
}

SCENARIOS(
	{ "s69", "crash with uncommitted extents / verifier differs, client "
	  "resends, object complete", s69, NULL, false },
	{ "s69-version", "the same over a flushed version / that one is "
	  "seen, and A is still the writer", s69_version, "settle_ms=60000",
	  false },
	{ "s70", "crash after COMMIT OK before upload / restart uploads, no "
	  "byte lost", s70, "settle_ms=30000", false },
	{ "s71", "crash during parts / resumes or redoes, no orphan multipart "
	  "upload left", s71, NULL, false },
	{ "s71-twice", "the same, and crashes of the restarts too", s71_twice,
	  NULL, false },
	{ "s72", "crash after Complete, before the row is updated / no second "
	  "version, state DONE", s72, NULL, false },
	{ "s72-older", "S3 took an older version without our knowing / the "
	  "last one replaces it, nobody calls that a conflict", s72_older,
	  NULL, false },
	{ "s73", "crash while B waits / B's retry supersedes normally", s73,
	  NULL, false },
	{ "s74", "A's WRITE retransmitted (same xid) after B superseded / "
	  "cached reply, B's bytes intact", s74, NULL, false },
	{ "s75", "duplicate of a held request arrives / dropped, executed "
	  "once", s75, "hold_ms=30000", false },
	{ "s76", "JUKEBOX was answered, same xid comes again / executed, not "
	  "replayed", s76, NULL, false },
	{ "s77", "two files, two clients, any order / verifier equal in every "
	  "reply of one run", s77,
	  "hold_ms=20 server.shutdown_timeout_ms=60000", false },
	{ "s78", "open-time setup fails after registration (bad SSE key) / "
	  "error, and the file is free again", s78, "settle_ms=60000", false },
	{ "s79", "handle limit reached / new writer JUKEBOX, no state left, "
	  "freed slot admits it", s79, "max_handles=2", false },
	{ "s79-strict", "the same in strict mode / NOSPC", s79_strict,
	  "max_handles=2 strict=1", false },
	{ "s79-create", "the same for CREATE", s79_create, "max_handles=2 "
	  "create_settle_ms=100", false },
	{ "s80", "upload ends / GETATTR before and after identical (size, "
	  "mtime, fileid)", s80, "settle_ms=300 attr_ttl_ms=100", false },
	{ "s80-base", "S3 has the new version, the row not yet / READ of what "
	  "did not change waits, and is not STALE", s80_base, "settle_ms=10",
	  false },
	{ "left-before", "killed when a file had just left a renamed directory "
	  "/ it is not found at its old place", left_before, NULL, false },
	{ "stop-hung", "SIGTERM while the store holds every request / exit 0 in "
	  "the time and a little, the next start goes on", stop_hung,
	  "settle_ms=10 server.shutdown_timeout_ms=1000", false })
