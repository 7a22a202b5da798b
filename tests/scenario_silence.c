/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer that has gone silent without COMMIT: scenarios 60, 64 and 81 to 86.
 * The times are shorter than by default: shown after 300 ms, flushed after
 * 1500 ms.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/scenario.h"

#define VISIBLE 300
#define FLUSH 1500
/* Where a writer must not be silent for want of time to run. */
#define LONGER_FLUSH 2500
#define LONGER "idle_visible_ms=300 idle_flush_ms=2500"
#define TIMES "idle_visible_ms=300 idle_flush_ms=1500"

/* A wrote without COMMIT; since then it is silent. */
static struct nc_fh
wrote(struct scene *s, const char *name, const char *old, const char *text)
{
	struct nc_fh f = make(s, name, old);

	OK(put(&s->a, &f, 0, text, UNSTABLE));
	return f;
}

static bool
sees(struct rpcc *c, const struct nc_fh *f, const char *text)
{
	return size_of(c, f) == strlen(text) && reads(c, f, text);
}

static void
s81(struct scene *s)
{
	struct nc_fh f = wrote(s, "f", "old", "A's bytes");
	struct nc_fh found;
	fattr3 before, after;

	OK(nc_getattr(&s->b, &f, &before));
	CHECK(before.size == 3);
	WITHIN(VISIBLE, size_of(&s->b, &f) == 9);
	CHECK(reads(&s->b, &f, "A's bytes"));
	OK(nc_lookup(&s->b, &s->root, "f", &found, &after));
	CHECK(after.size == 9);
	CHECK(memcmp(&after.mtime, &before.mtime, sizeof(nfstime3)) != 0);
	CHECK(memcmp(&after.ctime, &before.ctime, sizeof(nfstime3)) != 0);
	CHECK(holds(s, "f", "a", "ACTIVE"));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	CHECK(scene_calls(s, "put", "f", "begin") == 0);
	OK(commit(&s->a, &f));
	WITHIN(5000, object_is(s, "f", "A's bytes"));
}

static void
s82(struct scene *s)
{
	struct nc_fh f = wrote(s, "f", "old", "first, whole");
	fattr3 shown, now;
	uint64_t until;

	WITHIN(VISIBLE, size_of(&s->b, &f) == 12);
	OK(nc_getattr(&s->b, &f, &shown));
	until = scene_now_ms() + 3 * VISIBLE;
	for (unsigned i = 0; scene_now_ms() < until; i++) {
		/* In place, and past the end. */
		OK(put(&s->a, &f, 0, i % 2 ? "SECOND" : "THIRD ", UNSTABLE));
		OK(put(&s->a, &f, 12 + i, "+", UNSTABLE));
		/* Unless this test was stopped, and A silent, for so long. */
		if (status_number(s, "idle_shown") > 1)
			break;
		OK(nc_getattr(&s->b, &f, &now));
		if (sees(&s->b, &f, "first, whole") &&
		    memcmp(&now, &shown, sizeof(now)) == 0)
			continue;
		CHECK(status_number(s, "idle_shown") > 1);
		break;
	}
	OK(put(&s->a, &f, 0, "last", UNSTABLE));
	OK(commit(&s->a, &f));
	CHECK(size_of(&s->b, &f) > 12);
	OK(nc_getattr(&s->b, &f, &now));
	CHECK(memcmp(&now.mtime, &shown.mtime, sizeof(nfstime3)) != 0);
}

static void
s83(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint8_t verf[8];
	struct nc_written w;
	fattr3 early, late;

	OK(nc_write(&s->a, &f, 0, "A's bytes", 9, UNSTABLE, &w));
	WITHIN(VISIBLE, size_of(&s->b, &f) == 9);
	OK(nc_getattr(&s->b, &f, &early));
	WITHIN(FLUSH, !state_is(s, "f", "ACTIVE"));
	WITHIN(5000, scene_versions(s, "f") == 1);
	CHECK(object_is(s, "f", "A's bytes"));
	OK(nc_getattr(&s->b, &f, &late));
	CHECK(memcmp(&early, &late, sizeof(late)) == 0);
	OK(nc_commit(&s->a, &f, 0, 0, verf));
	CHECK(memcmp(verf, w.verf, 8) == 0);
	OK(nc_getattr(&s->b, &f, &late));
	CHECK(memcmp(&early, &late, sizeof(late)) == 0);
	DURING(300, scene_versions(s, "f") == 1);
	/* And so on. */
	OK(put(&s->a, &f, 0, "a", UNSTABLE));
	CHECK(holds(s, "f", "a", "ACTIVE"));
	OK(commit(&s->a, &f));
	WITHIN(5000, object_is(s, "f", "a's bytes"));
}

/* The bytes that a READ gives and its attributes are of one moment. */
static void
s82_moment(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint32_t xid, got;
	fattr3 attr;
	char buf[32];

	scene_kill(s);
	scene_env(s, "S3NFSD_STALL", "read-copied:500");
	scene_start(s);
	scene_reconnect(s);
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	xid = rpcc_xid(&s->b);
	OK(nc_read_send(&s->b, xid, &f, 0, sizeof(buf)));
	WITHIN(5000, scene_calls(s, "get", "f", "end") == 1);
	/* The READ has its bytes, or will have the new ones. */
	OK(commit(&s->a, &f));
	OK(nc_read_recv(&s->b, xid, 60000, buf, sizeof(buf), &got, NULL,
			&attr));
	CHECK(attr.size == got);
}

/* What A sent lies in the socket: the gateway reads no more of it. */
static void
unread(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), h = make(s, "h", "an object");
	uint32_t reads[16], first = rpcc_xid(&s->a), more = rpcc_xid(&s->a);

	scene_faults(s, "op=get key=h hold");
	for (unsigned i = 0; i < 16; i++) {
		/* The last fills the connection's share. */
		if (i == 15)
			OK(nc_write_send(&s->a, first, &f, 0, "A's bytes", 9,
					 UNSTABLE));
		reads[i] = rpcc_xid(&s->a);
		OK(nc_read_send(&s->a, reads[i], &h, 0, 9));
	}
	OK(nc_write_send(&s->a, more, &f, 9, ", more", 6, UNSTABLE));
	OK(nc_write_recv(&s->a, first, 60000, NULL));
	DURING(FLUSH + 500, size_of(&s->b, &f) == 3);
	CHECK(holds(s, "f", "a", "ACTIVE"));
	scene_faults(s, "");
	for (unsigned i = 0; i < 16; i++)
		OK(nc_read_recv(&s->a, reads[i], 60000, NULL, 9, NULL, NULL,
				NULL));
	OK(nc_write_recv(&s->a, more, 60000, NULL));
	WITHIN(VISIBLE, sees(&s->b, &f, "A's bytes, more"));
}

/* A copies one file after the other, and its socket is never empty. */
static void
busy_elsewhere(struct scene *s)
{
	static char block[65536];
	uint32_t xid[32];
	struct nc_fh g = make(s, "g", "old");
	uint64_t until = scene_now_ms() + PATIENCE * (FLUSH + 2000);
	unsigned n = 0;

	(void)wrote(s, "f", "old", "A's bytes");
	for (; !state_is(s, "f", "") || n < 64; n++) {
		uint32_t *at = &xid[n % 32];

		CHECK(scene_now_ms() < until);
		if (n >= 32)
			OK(nc_write_recv(&s->a, *at, 60000, NULL));
		*at = rpcc_xid(&s->a);
		OK(nc_write_send(&s->a, *at, &g, n % 64 * sizeof(block), block,
				 sizeof(block), UNSTABLE));
	}
	CHECK(object_is(s, "f", "A's bytes"));
	CHECK(holds(s, "g", "a", "ACTIVE"));
	for (unsigned i = 0; i < 32; i++)
		OK(nc_write_recv(&s->a, xid[i], 60000, NULL));
}

/* A is told to come back, for want of room: it is not silent until then. */
static void
wait_for_room(struct scene *s)
{
	static char block[65536], large[8 << 20];
	struct nc_fh f, h = create(&s->c, s, "h");
	int r = NFS3_OK;

	scene_faults(s, "op=put key=h hold");
	OK(put_many(&s->c, &h, 0, large, sizeof(large), UNSTABLE));
	OK(commit(&s->c, &h));
	f = wrote(s, "f", "old", "A's bytes");
	for (unsigned i = 1; r == NFS3_OK && i < 4096; i++)
		r = nc_write(&s->a, &f, i * sizeof(block), block,
			     sizeof(block), UNSTABLE, NULL);
	IS(r, NFS3ERR_JUKEBOX);
	DURING(FLUSH + 500, holds(s, "f", "a", "ACTIVE"));
	scene_faults(s, "");
	OK(commit(&s->a, &f));
}

/* What `s3nfsctl handles` tells of f's writer. */
static json_t *
handle_of(struct scene *s)
{
	json_t *list = ctl(s, "handles"), *first;

	CHECK(json_array_size(list) == 1);
	first = json_incref(json_array_get(list, 0));
	json_decref(list);
	return first;
}

static bool
is_told(struct scene *s, bool shown, long long at_least)
{
	json_t *h = handle_of(s);
	long long silent = json_integer_value(json_object_get(h, "silent_ms"));
	long long left = json_integer_value(json_object_get(h,
							    "flushed_in_ms"));
	const char *text = json_string_value(json_object_get(h, "silence"));
	bool told = silent >= at_least && left == 60000 - silent &&
		    json_is_true(json_object_get(h, "shown")) == shown;
	double for_s, in_s;

	if (told && sscanf(text, "silent for %lf s, counts as flushed in %lf s",
			   &for_s, &in_s) != 2)
		scene_fail(__FILE__, __LINE__, "silence is told as \"%s\"",
			   text);
	json_decref(h);
	return told;
}

static void
handles_tell(struct scene *s)
{
	struct nc_fh f = wrote(s, "f", "old", "A's bytes");

	WITHIN(200, is_told(s, false, 100));
	WITHIN(1000, is_told(s, true, 1000));
	CHECK(status_number(s, "idle_shown") == 1);
	OK(put(&s->a, &f, 0, "a", UNSTABLE));
	OK(commit(&s->a, &f));
}

/* ---- others' changes beside a writer ---- */

enum change { REMOVE, RENAME_FROM, RENAME_OVER, LINK, CHMOD, CHANGES };

/* By B; of f, with g beside it. */
static int
change(struct scene *s, const struct nc_fh *f, enum change what)
{
	struct nc_set mode = { .mode_set = true, .mode = 0600 };

	switch (what) {
	case REMOVE:
		return nc_remove(&s->b, &s->root, "f");
	case RENAME_FROM:
		return nc_rename(&s->b, &s->root, "f", &s->root, "h");
	case RENAME_OVER:
		return nc_rename(&s->b, &s->root, "g", &s->root, "f");
	case LINK:
		return nc_link(&s->b, f, &s->root, "l");
	default:
		return nc_setattr(&s->b, f, &mode, NULL);
	}
}

/* How long B's change is put off while A writes on; it ends with ACCES. */
static uint64_t
put_off(struct scene *s, const struct nc_fh *f, enum change what)
{
	uint64_t begin = scene_now_ms();
	int r = NFS3ERR_JUKEBOX;

	for (unsigned i = 0; r == NFS3ERR_JUKEBOX; i++) {
		OK(put(&s->a, f, 0, i % 2 ? "one" : "two", UNSTABLE));
		r = change(s, f, what);
		CHECK(scene_now_ms() < begin + PATIENCE * LONGER_FLUSH);
	}
	IS(r, NFS3ERR_ACCES);
	return scene_now_ms() - begin;
}

static void
refused_beside_a_writer(struct scene *s, enum change what)
{
	struct nc_fh f = make(s, "f", "old");

	(void)make(s, "g", "g");
	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	CHECK(put_off(s, &f, what) >= LONGER_FLUSH + 900);
	CHECK(holds(s, "f", "a", "ACTIVE"));
	CHECK(object_is(s, "f", "old") && object_is(s, "g", "g"));
	/* Nothing is left of B. */
	CHECK(!holds(s, "f", "b", "RESERVED"));
	OK(put(&s->a, &f, 0, "end", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(5000, object_is(s, "f", "end"));
	SOON(5000, put(&s->c, &f, 0, "C", FILE_SYNC), NFS3_OK);
}

static void
s60(struct scene *s)
{
	refused_beside_a_writer(s, REMOVE);
}

static void
s64(struct scene *s)
{
	refused_beside_a_writer(s, RENAME_FROM);
}

static void
s64_over(struct scene *s)
{
	refused_beside_a_writer(s, RENAME_OVER);
}

static void
s64_link(struct scene *s)
{
	refused_beside_a_writer(s, LINK);
}

static void
s64_chmod(struct scene *s)
{
	refused_beside_a_writer(s, CHMOD);
}

static void
s60_strict(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	(void)make(s, "g", "g");
	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	for (unsigned i = 0; i < CHANGES; i++)
		IS(change(s, &f, i), NFS3ERR_ACCES);
	/* And no silence changes that. */
	DURING(1500, state_is(s, "f", "ACTIVE"));
	SOON(5000, commit(&s->a, &f), NFS3_OK);
	SOON(5000, change(s, &f, CHMOD), NFS3_OK);
}

static void
s60_given_up(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	IS(change(s, &f, REMOVE), NFS3ERR_JUKEBOX);
	/* B does not come again: it is as if it had never been. */
	CHECK(!holds(s, "f", "b", "RESERVED"));
	OK(put(&s->a, &f, 0, "end", UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(5000, put(&s->c, &f, 0, "C", FILE_SYNC), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Cnd"));
	OK(put(&s->c, &f, 0, "c", UNSTABLE));
	/* What B waited for then does not count for what it wants now. */
	IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_JUKEBOX);
	OK(commit(&s->c, &f));
}

/* ---- beside a writer that is silent ---- */

static struct nc_fh
silent_f_and_g(struct scene *s)
{
	(void)make(s, "g", "g");
	return wrote(s, "f", "old", "A's bytes");
}

static void
s84_remove(struct scene *s)
{
	(void)silent_f_and_g(s);
	IS(nc_remove(&s->b, &s->root, "f"), NFS3ERR_JUKEBOX);
	SOON(FLUSH, nc_remove(&s->b, &s->root, "f"), NFS3_OK);
	IS(nc_lookup(&s->a, &s->root, "f", NULL, NULL), NFS3ERR_NOENT);
	WITHIN(5000, object_absent(s, "f"));
}

static void
s84_rename(struct scene *s)
{
	struct nc_fh f = silent_f_and_g(s);

	IS(change(s, &f, RENAME_FROM), NFS3ERR_JUKEBOX);
	SOON(FLUSH, change(s, &f, RENAME_FROM), NFS3_OK);
	WITHIN(5000, object_is(s, "h", "A's bytes"));
	WITHIN(5000, object_absent(s, "f"));
	OK(commit(&s->a, &f));
}

static void
s84_rename_over(struct scene *s)
{
	struct nc_fh f = silent_f_and_g(s);

	IS(change(s, &f, RENAME_OVER), NFS3ERR_JUKEBOX);
	SOON(FLUSH, change(s, &f, RENAME_OVER), NFS3_OK);
	WITHIN(5000, object_is(s, "f", "g"));
	WITHIN(5000, object_absent(s, "g"));
}

static void
s84_write(struct scene *s)
{
	struct nc_fh f = wrote(s, "f", "old", "A's bytes");

	IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_JUKEBOX);
	SOON(FLUSH, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	/* First A's, whole. */
	CHECK(object_is(s, "f", "A's bytes"));
	OK(commit(&s->b, &f));
	WITHIN(5000, scene_versions(s, "f") == 2);
	CHECK(object_is(s, "f", "B's bytes"));
}

static void
s84_truncate(struct scene *s)
{
	struct nc_fh f = wrote(s, "f", "old", "A's bytes");

	IS(nc_truncate(&s->b, &f, 1), NFS3ERR_JUKEBOX);
	SOON(FLUSH, nc_truncate(&s->b, &f, 1), NFS3_OK);
	CHECK(object_is(s, "f", "A's bytes"));
	WITHIN(5000, object_is(s, "f", "A"));
}

static void
s84_attributes(struct scene *s)
{
	struct nc_fh f = wrote(s, "f", "old", "A's bytes");
	fattr3 attr;

	IS(change(s, &f, CHMOD), NFS3ERR_JUKEBOX);
	SOON(FLUSH, change(s, &f, CHMOD), NFS3_OK);
	SOON(FLUSH, change(s, &f, LINK), NFS3_OK);
	OK(nc_getattr(&s->a, &f, &attr));
	CHECK(attr.mode == 0600 && attr.nlink == 2 && attr.size == 9);
	WITHIN(5000, object_is(s, "l", "A's bytes"));
}

/* ---- who comes after the silence ---- */

/* A's bytes counted as flushed, B is at it. */
static struct nc_fh
taken_from_silent(struct scene *s, struct nc_written *w)
{
	struct nc_fh f = make(s, "f", "old");

	OK(nc_write(&s->a, &f, 0, "A's bytes", 9, UNSTABLE, w));
	SOON(FLUSH, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(holds(s, "f", "b", "ACTIVE"));
	return f;
}

static void
fenced_but_for_commit(struct scene *s, const struct nc_fh *f)
{
	uint32_t granted;

	OK(commit(&s->a, f));
	IS(put(&s->a, f, 0, "late", UNSTABLE), NFS3ERR_IO);
	IS(put(&s->a, f, 0, "late", UNSTABLE), NFS3ERR_IO);
	OK(commit(&s->a, f));
	CHECK(reads(&s->b, f, "B's bytes"));
	OK(nc_access(&s->a, f, 0x3f, &granted));
	BUSY(s, put(&s->a, f, 0, "a", UNSTABLE));
	OK(commit(&s->b, f));
	WITHIN(5000, object_is(s, "f", "B's bytes"));
	SOON(5000, put(&s->a, f, 0, "a", FILE_SYNC), NFS3_OK);
}

static void
s85(struct scene *s)
{
	struct nc_written w;
	struct nc_fh f = taken_from_silent(s, &w);
	uint8_t verf[8];

	OK(nc_commit(&s->a, &f, 0, 0, verf));
	CHECK(memcmp(verf, w.verf, 8) == 0);
	CHECK(holds(s, "f", "b", "ACTIVE"));
	fenced_but_for_commit(s, &f);
}

/* GETATTR is a look, once A has sent no late WRITE for a second. */
static void
s85_stat(struct scene *s)
{
	struct nc_written w;
	struct nc_fh f = taken_from_silent(s, &w);
	uint64_t until = scene_now_ms() + 1100;
	fattr3 attr;

	IS(put(&s->a, &f, 0, "late", UNSTABLE), NFS3ERR_IO);
	while (scene_now_ms() < until) {
		OK(nc_getattr(&s->a, &f, &attr));
		scene_pause();
	}
	OK(nc_getattr(&s->a, &f, &attr));
	BUSY(s, put(&s->a, &f, 0, "a", UNSTABLE));
	OK(commit(&s->b, &f));
}

static void
s85_restart(struct scene *s)
{
	struct nc_written w;
	struct nc_fh f = taken_from_silent(s, &w);

	OK(put(&s->b, &f, 0, "B", FILE_SYNC));
	OK(put(&s->b, &f, 0, "B", UNSTABLE));
	scene_crash(s);
	OK(put(&s->b, &f, 0, "B", UNSTABLE));
	fenced_but_for_commit(s, &f);
}

/* Nobody had begun when the gateway died; A's COMMIT has not come. */
static void
s85_restart_before(struct scene *s)
{
	struct nc_fh f = wrote(s, "f", "old", "A's bytes");

	WITHIN(FLUSH, state_is(s, "f", ""));
	CHECK(object_is(s, "f", "A's bytes"));
	scene_crash(s);
	SOON(5000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	fenced_but_for_commit(s, &f);
}

/* A has heard that its bytes are safe: it is a stranger like any other. */
static void
s85_committed(struct scene *s)
{
	struct nc_fh f = wrote(s, "f", "old", "A's bytes");

	WITHIN(FLUSH, !state_is(s, "f", "ACTIVE"));
	OK(commit(&s->a, &f));
	SOON(5000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	BUSY(s, put(&s->a, &f, 0, "a", UNSTABLE));
	OK(commit(&s->b, &f));
	SOON(5000, put(&s->a, &f, 0, "a", FILE_SYNC), NFS3_OK);
}

static void
s86(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	struct nc_written w;
	uint8_t verf[8];

	OK(nc_write(&s->a, &f, 0, "A's bytes", 9, UNSTABLE, &w));
	WITHIN(VISIBLE, size_of(&s->b, &f) == 9);
	scene_crash(s);
	OK(nc_commit(&s->a, &f, 0, 0, verf));
	CHECK(memcmp(verf, w.verf, 8) != 0);
	CHECK(sees(&s->b, &f, "old"));
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(5000, object_is(s, "f", "A's bytes"));
}

/* Killed at a point of the flush: before, A sends again; after, it is there,
 * and A may send again all the same. */
static void
killed_at(struct scene *s, const char *point, bool flushed)
{
	struct nc_fh f = make(s, "f", "old");
	struct nc_written w;
	uint8_t verf[8];

	scene_kill(s);
	scene_env(s, "S3NFSD_FAIL", point);
	scene_start(s);
	scene_reconnect(s);
	OK(nc_write(&s->a, &f, 0, "A's bytes", 9, UNSTABLE, &w));
	scene_wait_dead(s, PATIENCE * FLUSH);
	scene_env(s, "S3NFSD_FAIL", NULL);
	scene_start(s);
	scene_reconnect(s);
	CHECK(sees(&s->b, &f, flushed ? "A's bytes" : "old"));
	OK(nc_commit(&s->a, &f, 0, 0, verf));
	CHECK(memcmp(verf, w.verf, 8) != 0);
	SOON(5000, put(&s->a, &f, 0, "A's bytes", UNSTABLE), NFS3_OK);
	OK(commit(&s->a, &f));
	WITHIN(5000, object_is(s, "f", "A's bytes"));
	CHECK(sees(&s->b, &f, "A's bytes"));
}

static void
s86_before(struct scene *s)
{
	killed_at(s, "silence-before-flush", false);
}

static void
s86_synced(struct scene *s)
{
	killed_at(s, "commit-after-sync", false);
}

static void
s86_after(struct scene *s)
{
	killed_at(s, "silence-after-flush", true);
}

SCENARIOS(
	{ "s81", "A WRITEs UNSTABLE and is silent for idle_visible / B LOOKUPs, "
	  "READs / A's size and bytes; nothing uploaded; B's WRITE still waits",
	  s81, "idle_visible_ms=300 idle_flush_ms=60000", false },
	{ "s82", "as 81, then A WRITEs on without a pause / B READs / what was "
	  "shown before, whole; after A's COMMIT the new version", s82,
	  "idle_visible_ms=300 idle_flush_ms=60000", false },
	{ "s82-moment", "a new version while a READ is answered / its bytes and "
	  "attributes are of one", s82_moment, NULL, false },
	{ "s83", "A WRITEs UNSTABLE and is silent for idle_flush, then COMMITs "
	  "/ B READs meanwhile / same verifier as the WRITEs, one upload, begun "
	  "before the COMMIT, B's view does not step back", s83, TIMES, false },
	{ "unread", "A's WRITE lies unread in the gateway's socket / A is not "
	  "silent", unread, TIMES " server.in_flight_per_connection=16", false },
	{ "busy-elsewhere", "A sends without a pause, about another file / it "
	  "is silent about the first", busy_elsewhere, TIMES, false },
	{ "wait-for-room", "A's WRITE got JUKEBOX for want of room / A is not "
	  "silent", wait_for_room, TIMES " server.cache_size=16M", false },
	{ "handles", "s3nfsctl handles tells how long a writer has been silent "
	  "and when it counts as flushed", handles_tell,
	  "idle_visible_ms=1000 idle_flush_ms=60000", false },
	{ "s60", "A ACTIVE and writing on / B REMOVE / JUKEBOX for at most "
	  "idle_flush + 1 s, then ACCES", s60, LONGER, false },
	{ "s60-strict", "the same in strict mode, and RENAME, LINK, SETATTR / "
	  "ACCES at once", s60_strict, "strict=1", false },
	{ "s60-given-up", "B gives up / nothing is left of it", s60_given_up,
	  TIMES, false },
	{ "s64", "A ACTIVE and writing on / B RENAME f / as 60", s64, LONGER,
	  false },
	{ "s64-over", "the same with RENAME g -> f", s64_over, LONGER, false },
	{ "s64-link", "the same with LINK", s64_link, LONGER, false },
	{ "s64-chmod", "the same with SETATTR of the mode", s64_chmod, LONGER,
	  false },
	{ "s84-remove", "A silent since its last UNSTABLE WRITE / B REMOVE, at "
	  "once / JUKEBOX, then OK", s84_remove, TIMES, false },
	{ "s84-rename", "the same with RENAME f", s84_rename, TIMES, false },
	{ "s84-rename-over", "the same with RENAME g -> f", s84_rename_over,
	  TIMES, false },
	{ "s84-write", "the same with WRITE; A's bytes were whole in S3 first",
	  s84_write, TIMES, false },
	{ "s84-truncate", "the same with SETATTR(size)", s84_truncate, TIMES,
	  false },
	{ "s84-attributes", "the same with SETATTR of the mode, and LINK",
	  s84_attributes, TIMES, false },
	{ "s85", "A silent for idle_flush, B superseded and ACTIVE, A's syncer "
	  "COMMITs / OK, same verifier, B's bytes untouched; A's WRITE without "
	  "looking: IO; after a look it waits for B", s85, TIMES, false },
	{ "s85-stat", "the same with GETATTR for the look", s85_stat, TIMES,
	  false },
	{ "s85-restart", "the same over a crash", s85_restart, TIMES, false },
	{ "s85-restart-before", "the same where B begins after the crash",
	  s85_restart_before, TIMES, false },
	{ "s85-committed", "A COMMITs before B begins / A's WRITE waits for B",
	  s85_committed, TIMES, false },
	{ "s86", "kill of the gateway between A's last UNSTABLE WRITE and "
	  "idle_flush / A COMMITs / new verifier, A sends again, nothing lost",
	  s86, TIMES, false },
	{ "s86-before", "killed when the flush begins / the same", s86_before,
	  TIMES, false },
	{ "s86-synced", "killed before its transaction / the same", s86_synced,
	  TIMES, false },
	{ "s86-after", "killed after it / the same, and what was flushed is "
	  "there", s86_after, TIMES, false })
