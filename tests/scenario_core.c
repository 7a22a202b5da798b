/* SPDX-License-Identifier: Apache-2.0 */
/* SEMANTICS 4, scenarios 1 to 15: the core rule. */
#include <config.h>
#include "tests/scenario.h"

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
	WITHIN(10000, ctl_status(s, "flush --all") == 0);
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
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "new"));
}

SCENARIOS(
	{ "s01", "A wrote and COMMITted all, upload pending / B WRITEs / "
	  "A's upload completes first, then B's WRITE OK, S3 has A's version "
	  "before B's", s01, "settle_ms=60000", false },
	{ "s02", "A wrote UNSTABLE, no COMMIT / B WRITEs / busy, A's data "
	  "intact", s02, NULL, false })
