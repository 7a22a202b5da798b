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
		CHECK(sees(&s->b, &f, "first, whole"));
		OK(nc_getattr(&s->b, &f, &now));
		CHECK(memcmp(&now, &shown, sizeof(now)) == 0);
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

SCENARIOS(
	{ "s81", "A WRITEs UNSTABLE and is silent for idle_visible / B LOOKUPs, "
	  "READs / A's size and bytes; nothing uploaded; B's WRITE still waits",
	  s81, "idle_visible_ms=300 idle_flush_ms=60000", false },
	{ "s82", "as 81, then A WRITEs on without a pause / B READs / what was "
	  "shown before, whole; after A's COMMIT the new version", s82,
	  "idle_visible_ms=300 idle_flush_ms=60000", false },
	{ "s83", "A WRITEs UNSTABLE and is silent for idle_flush, then COMMITs "
	  "/ B READs meanwhile / same verifier as the WRITEs, one upload, begun "
	  "before the COMMIT, B's view does not step back", s83,
	  "idle_visible_ms=300 idle_flush_ms=1500", false })
