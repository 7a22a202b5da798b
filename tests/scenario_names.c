/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios 61 to 68: names of files that are being written (60 and 64:
 * scenario_silence.c). */
#include <config.h>
#include <string.h>
#include "tests/scenario.h"

static void
s61(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g = create(&s->a, s, "g");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	OK(commit(&s->a, &f));
	OK(put(&s->a, &g, 0, "never seen", FILE_SYNC));
	SOON(10000, nc_remove(&s->b, &s->root, "f"), NFS3_OK);
	SOON(10000, nc_remove(&s->a, &s->root, "g"), NFS3_OK);
	WITHIN(10000, object_absent(s, "f"));
	DURING(500, object_absent(s, "f") && object_absent(s, "g"));
	CHECK(scene_versions(s, "f") == 0 && scene_versions(s, "g") == 0);
	IS(nc_lookup(&s->b, &s->root, "f", NULL, NULL), NFS3ERR_NOENT);
	IS(nc_getattr(&s->a, &f, &(fattr3){ 0 }), NFS3ERR_STALE);
}

/* The last request of the upload is out; its answer comes after REMOVE. */
static void
s61_late(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f hold");
	OK(put(&s->a, &f, 0, "new", FILE_SYNC));
	WITHIN(10000, scene_calls(s, "put", "f", "held") == 1);
	/* It may wait for the outcome, or not. */
	for (int r = NFS3ERR_JUKEBOX; r == NFS3ERR_JUKEBOX;) {
		r = nc_remove(&s->b, &s->root, "f");
		CHECK(r == NFS3_OK || r == NFS3ERR_JUKEBOX);
		scene_faults(s, "");
	}
	WITHIN(10000, object_absent(s, "f"));
	DURING(700, object_absent(s, "f"));
	IS(nc_lookup(&s->b, &s->root, "f", NULL, NULL), NFS3ERR_NOENT);
	CHECK(objects(s) == 0);
}

static void
s62(struct scene *s)
{
	struct nc_fh f = make(s, "f", "the bytes of f");
	char buf[32];
	uint32_t got = 0;
	bool eof;
	int r;

	CHECK(reads(&s->b, &f, "the bytes of f"));
	OK(nc_remove(&s->a, &s->root, "f"));
	WITHIN(10000, object_absent(s, "f"));
	r = nc_read(&s->b, &f, 0, buf, sizeof(buf), &got, &eof);
	CHECK(r == NFS3ERR_STALE ||
	      (r == NFS3_OK && got == 14 && memcmp(buf, "the bytes of f",
						   14) == 0));
}

static void
silly(struct scene *s, struct nc_fh *f)
{
	OK(nc_rename(&s->a, &s->root, "f", &s->root, ".nfs1234"));
	OK(put(&s->a, f, 3, " and more", UNSTABLE));
	CHECK(reads(&s->a, f, "new and more"));
	OK(commit(&s->a, f));
	WITHIN(10000, object_absent(s, "f"));
	DURING(500, object_absent(s, ".nfs1234"));
	IS(nc_lookup(&s->b, &s->root, "f", NULL, NULL), NFS3ERR_NOENT);
	CHECK(reads(&s->a, f, "new and more"));
	OK(nc_remove(&s->a, &s->root, ".nfs1234"));
	DURING(300, objects(s) == 0);
	CHECK(scene_versions(s, ".nfs1234") == 0);
}

static void
s63(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "f");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	silly(s, &f);
	CHECK(scene_versions(s, "f") == 0);
}

static void
s63_stored(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	silly(s, &f);
}

/* Across a restart, and nothing of it stays. */
static void
s63_crash(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old and long");

	OK(put(&s->a, &f, 0, "new", FILE_SYNC));
	SOON(5000, nc_rename(&s->a, &s->root, "f", &s->root, ".nfs1234"),
	     NFS3_OK);
	scene_crash(s);
	WITHIN(10000, object_absent(s, ".nfs1234"));
	CHECK(reads(&s->a, &f, "new and long"));
	OK(nc_remove(&s->a, &s->root, ".nfs1234"));
	WITHIN(10000, objects(s) == 0);
	DURING(300, objects(s) == 0);
}

static void
s65(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), tmp = create(&s->a, s, "tmp");

	OK(put(&s->a, &tmp, 0, "new bytes", UNSTABLE));
	OK(commit(&s->a, &tmp));
	SOON(10000, nc_rename(&s->a, &s->root, "tmp", &s->root, "f"),
	     NFS3_OK);
	CHECK(reads(&s->a, &tmp, "new bytes"));
	tmp = look(&s->b, s, "f");
	CHECK(reads(&s->b, &tmp, "new bytes"));
	IS(nc_lookup(&s->b, &s->root, "tmp", NULL, NULL), NFS3ERR_NOENT);
	WITHIN(10000, object_is(s, "f", "new bytes"));
	DURING(300, object_absent(s, "tmp"));
	WITHIN(5000, scene_versions(s, "f") == 1);
	CHECK(scene_versions(s, "tmp") == 0);
	CHECK(scene_calls(s, "copy", "f", "begin") == 0);
	IS(nc_getattr(&s->a, &f, &(fattr3){ 0 }), NFS3ERR_STALE);
}

/* REMOVE, and RENAME away, before the object of that name was replaced. */
static void
s65_pending(struct scene *s)
{
	struct nc_fh tmp;

	for (int i = 0; i < 2; i++) {
		(void)make(s, "f", "old");
		tmp = create(&s->a, s, "tmp");
		OK(put(&s->a, &tmp, 0, "new bytes", FILE_SYNC));
		SOON(5000, nc_rename(&s->a, &s->root, "tmp", &s->root, "f"),
		     NFS3_OK);
		if (i == 0)
			SOON(5000, nc_remove(&s->a, &s->root, "f"), NFS3_OK);
		else
			SOON(5000, nc_rename(&s->a, &s->root, "f", &s->root,
					     "g"), NFS3_OK);
		WITHIN(10000, object_absent(s, "f"));
		IS(nc_lookup(&s->b, &s->root, "f", NULL, NULL),
		   NFS3ERR_NOENT);
	}
	CHECK(ctl_status(s, "flush --all") == 0);
	CHECK(object_is(s, "g", "new bytes"));
	WITHIN(5000, objects(s) == 1);
}

/* S3 has the object, and nobody here knows: the answer was lost. */
static void
s61_lost(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "f");

	scene_faults(s, "op=put key=f lose");
	OK(put(&s->a, &f, 0, "bytes", FILE_SYNC));
	WITHIN(10000, scene_calls(s, "put", "f", "end") > 0);
	SOON(10000, nc_remove(&s->b, &s->root, "f"), NFS3_OK);
	scene_faults(s, "");
	WITHIN(10000, object_absent(s, "f"));
	DURING(1500, object_absent(s, "f"));
	IS(nc_lookup(&s->b, &s->root, "f", NULL, NULL), NFS3ERR_NOENT);
}

/* The source's upload is at its last request. */
static void
race(struct scene *s, const char *rules)
{
	struct nc_fh tmp = create(&s->a, s, "tmp");
	uint64_t until = scene_now_ms() + 15000;
	int r;

	scene_faults(s, rules);
	OK(put(&s->a, &tmp, 0, "the bytes", FILE_SYNC));
	WITHIN(10000, scene_calls(s, "put", "tmp", "held") == 1);
	r = nc_rename(&s->a, &s->root, "tmp", &s->root, "g");
	CHECK(r == NFS3_OK || r == NFS3ERR_JUKEBOX);
	scene_faults(s, "");
	while (r == NFS3ERR_JUKEBOX && scene_now_ms() < until)
		r = nc_rename(&s->a, &s->root, "tmp", &s->root, "g");
	OK(r);
	CHECK(reads(&s->b, &tmp, "the bytes"));
	WITHIN(10000, object_is(s, "g", "the bytes"));
	WITHIN(10000, object_absent(s, "tmp"));
	DURING(500, object_absent(s, "tmp") && objects(s) == 1);
	IS(nc_lookup(&s->b, &s->root, "tmp", NULL, NULL), NFS3ERR_NOENT);
	CHECK(reads(&s->b, &tmp, "the bytes"));
	CHECK(quarantined(s, "g") == 0 && quarantined(s, "tmp") == 0);
}

static void
s66(struct scene *s)
{
	race(s, "op=put key=tmp hold_after");
}

static void
s66_before(struct scene *s)
{
	race(s, "op=put key=tmp hold");
}

static void
s66_lost(struct scene *s)
{
	race(s, "op=put key=tmp hold_after lose");
}

/* Without holding anything: as it comes. */
static void
s66_free(struct scene *s)
{
	char from[16], to[16], text[16];

	for (unsigned i = 0; i < 30; i++) {
		struct nc_fh f;

		snprintf(from, sizeof(from), "t%u", i);
		snprintf(to, sizeof(to), "f%u", i);
		snprintf(text, sizeof(text), "bytes %u", i);
		f = create(&s->a, s, from);
		SOON(10000, put(&s->a, &f, 0, text, FILE_SYNC), NFS3_OK);
		for (uint64_t at = scene_now_ms() + i / 3; scene_now_ms() < at;)
			;
		SOON(10000, nc_rename(&s->a, &s->root, from, &s->root, to),
		     NFS3_OK);
	}
	for (unsigned i = 0; i < 30; i++) {
		snprintf(to, sizeof(to), "f%u", i);
		snprintf(text, sizeof(text), "bytes %u", i);
		WITHIN(20000, object_is(s, to, text));
	}
	WITHIN(20000, objects(s) == 30);
	DURING(300, objects(s) == 30);
}

static bool
same_fh(const struct nc_fh *a, const struct nc_fh *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void
s67(struct scene *s)
{
	static const uint8_t verf[8] = "exclusiv", other[8] = "another!";
	struct nc_fh f = create(&s->a, s, "f"), x, again;

	OK(put(&s->a, &f, 0, "pending", FILE_SYNC));
	CHECK(object_absent(s, "f"));
	IS(nc_create(&s->b, &s->root, "f", GUARDED, NULL, NULL, &x, NULL),
	   NFS3ERR_EXIST);
	OK(nc_create(&s->a, &s->root, "x", EXCLUSIVE, NULL, verf, &x, NULL));
	OK(nc_create(&s->a, &s->root, "x", EXCLUSIVE, NULL, verf, &again,
		     NULL));
	CHECK(same_fh(&x, &again));
	IS(nc_create(&s->b, &s->root, "x", EXCLUSIVE, NULL, other, &again,
		     NULL), NFS3ERR_EXIST);
	scene_crash(s);
	OK(nc_create(&s->a, &s->root, "x", EXCLUSIVE, NULL, verf, &again,
		     NULL));
	CHECK(same_fh(&x, &again));
	IS(nc_create(&s->b, &s->root, "f", GUARDED, NULL, NULL, &x, NULL),
	   NFS3ERR_EXIST);
}

static bool
lists(struct rpcc *c, struct scene *s, const char *name, uint64_t size)
{
	struct nc_entry entries[16];
	uint8_t verf[8] = { 0 };
	unsigned count = 0;
	bool eof, found = false;

	OK(nc_readdirplus(c, &s->root, 0, verf, 8192, 32768, entries, 16,
			  &count, &eof));
	for (unsigned i = 0; i < count; i++)
		found |= strcmp(entries[i].name, name) == 0 &&
			 (!entries[i].has_attr ||
			  entries[i].attr.size == size);
	return found;
}

static void
s68(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "f");
	fattr3 attr;

	OK(put(&s->a, &f, 0, "twelve bytes", UNSTABLE));
	OK(nc_lookup(&s->b, &s->root, "f", NULL, &attr));
	CHECK(attr.size == 0);
	CHECK(lists(&s->b, s, "f", 0));
	CHECK(reads(&s->b, &f, ""));
	CHECK(size_of(&s->a, &f) == 12);
	CHECK(lists(&s->a, s, "f", 12));
	OK(commit(&s->a, &f));
	CHECK(size_of(&s->b, &f) == 12);
	CHECK(lists(&s->b, s, "f", 12));
}

SCENARIOS(
	{ "s61", "A FLUSHED, pending / REMOVE by anyone / OK, object absent "
	  "and stays absent after any late upload", s61, "settle_ms=60000",
	  false },
	{ "s61-late", "the same with the upload's last request out", s61_late,
	  "settle_ms=10", false },
	{ "s61-late-lost", "the same with the upload's answer lost", s61_lost,
	  "settle_ms=10", false },
	{ "s62", "B reading / A REMOVE / OK; B's later READ STALE or pinned "
	  "bytes", s62, NULL, false },
	{ "s63", "A ACTIVE / A RENAME f -> .nfs1234, WRITE, READ, REMOVE / "
	  "all OK, nothing left in S3", s63,
	  "create_settle_ms=5000", false },
	{ "s63-stored", "the same with a file that S3 had", s63_stored, NULL,
	  false },
	{ "s63-crash", "the same across a restart", s63_crash,
	  "settle_ms=5000", false },
	{ "s65", "A wrote tmp, COMMIT / RENAME tmp -> f / f has the new "
	  "bytes, tmp absent, one upload", s65, "settle_ms=2000", false },
	{ "s65-pending", "f is removed or renamed again before that upload / "
	  "the old f does not come back", s65_pending, "settle_ms=60000",
	  false },
	{ "s66", "RENAME races with the finishing upload of the source / "
	  "exactly one of the two names exists, right bytes", s66,
	  "settle_ms=10", false },
	{ "s66-before", "the same with the request not carried out yet",
	  s66_before, "settle_ms=10", false },
	{ "s66-lost", "the same with its answer lost", s66_lost,
	  "settle_ms=10", false },
	{ "s66-free", "the same thirty times, with nothing held", s66_free,
	  "settle_ms=1", false },
	{ "s67", "CREATE GUARDED on a name that is only pending / EXIST; "
	  "EXCLUSIVE retransmitted, also after restart / OK same file", s67,
	  "settle_ms=60000", false },
	{ "s68", "A created f, not flushed / B LOOKUP, READDIR / f visible, "
	  "size 0; A sees its size", s68, NULL, false })
