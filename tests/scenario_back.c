/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state directory that is new, or was put back from a copy: what clients and
 * the bucket know of the run in between.  docs/design.md, "What a start does
 * with what it finds".
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario.h"

static void
shell(struct scene *s, const char *format)
{
	char command[1024];

	snprintf(command, sizeof(command), "cd '%s' && %s", s->dir, format);
	CHECK(system(command) == 0);
}

/* A gateway with an empty disk takes its place: what clients have mounted is
 * still what they mounted. */
static void
new_gateway(struct scene *s)
{
	struct nc_fh root = s->root, f, d;
	fattr3 before, after;

	d = mkdir_in(s, &root, "d");
	f = create_in(s, &d, "f", "text");
	OK(ctl_status(s, "flush --all"));
	OK(nc_getattr(&s->a, &root, &before));
	CHECK(scene_stop(s) == 0);
	shell(s, "rm -rf state && mkdir -m 700 state");
	scene_start(s);
	OK(nc_getattr(&s->a, &root, &after));
	CHECK(after.fileid == before.fileid && after.fsid == before.fsid);
	IS(nc_getattr(&s->a, &f, NULL), NFS3ERR_STALE);
	IS(nc_getattr(&s->a, &d, NULL), NFS3ERR_STALE);
	d = look_in(&s->a, &root, "d");
	f = look_in(&s->a, &d, "f");
	CHECK(reads(&s->a, &f, "text"));
	OK(put(&s->a, &f, 0, "next", FILE_SYNC));
}

/* The state directory is put back from a copy. */
static void
rolled_back(struct scene *s)
{
	struct nc_fh root = s->root, before, since, dir, now;

	before = create_in(s, &root, "before", "1");
	OK(ctl_status(s, "flush --all"));
	CHECK(scene_stop(s) == 0);
	shell(s, "cp -a state copy");
	scene_start(s);
	since = create_in(s, &root, "since", "since");
	dir = mkdir_in(s, &root, "dir");
	OK(ctl_status(s, "flush --all"));
	CHECK(scene_stop(s) == 0);
	shell(s, "rm -rf state && mv copy state");
	scene_start(s);
	now = create_in(s, &root, "now", "now");
	mkdir_in(s, &root, "other");
	IS(nc_getattr(&s->a, &since, NULL), NFS3ERR_STALE);
	IS(put(&s->a, &since, 0, "old", FILE_SYNC), NFS3ERR_STALE);
	IS(nc_lookup(&s->a, &dir, "x", NULL, NULL), NFS3ERR_STALE);
	CHECK(reads(&s->a, &now, "now"));
	CHECK(reads(&s->a, &before, "1"));
	since = look(&s->a, s, "since");
	CHECK(reads(&s->a, &since, "since"));
}

/* Once more, with other bytes; in the bucket when it returns. */
static void
again(struct scene *s, const char *name, const char *text)
{
	struct nc_fh f;

	if (nc_lookup(&s->a, &s->root, name, &f, NULL) == NFS3ERR_NOENT)
		f = create(&s->a, s, name);
	SOON(20000, put(&s->a, &f, 0, text, FILE_SYNC), NFS3_OK);
}

/* Does one of the conflict files of the name have the text? */
static bool
kept_beside(struct scene *s, const char *name, const char *text)
{
	char command[1024];

	if (s->prefix[0] != '\0')
		return true;	/* that it is there is enough */
	snprintf(command, sizeof(command), "cd '%s'/bucket && "
		 "cat %s.conflict-* | grep -qx '%s'", s->dir, name, text);
	return system(command) == 0;
}

/* WRITEs of a run that the copy knows nothing of are sent again. */
static void
other_verifier(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	struct nc_written before = { 0 }, since = { 0 };
	uint8_t now[8];

	CHECK(reads(&s->a, &f, "old"));
	CHECK(scene_stop(s) == 0);
	shell(s, "cp -a state copy");
	scene_start(s);
	OK(nc_write(&s->a, &f, 0, "new", 3, UNSTABLE, &since));
	OK(nc_write(&s->a, &f, 0, "new", 3, UNSTABLE, &before));
	CHECK(memcmp(before.verf, since.verf, 8) == 0);
	scene_kill(s);
	shell(s, "rm -rf state && mv copy state");
	scene_start(s);
	SOON(20000, nc_commit(&s->a, &f, 0, 0, now), NFS3_OK);
	CHECK(memcmp(now, since.verf, 8) != 0);
}

static const char *const later[] = { "f", "g", "h", "n", "q", "r" };

/* All that may be pending was, when the copy was made; all of it was done
 * since, and more. */
static void
older_bytes(struct scene *s, const char *faults, bool removed)
{
	struct nc_set mode = { .mode_set = true, .mode = 0600 };
	struct nc_fh root = s->root, g;

	make(s, "f", "f0");
	g = make(s, "g", "g0");
	make(s, "h", "h0");
	make(s, "r", "r0");
	scene_faults(s, "op=put,copy,delete error=EIO");
	again(s, "f", "f1");
	again(s, "n", "n1");
	OK(nc_setattr(&s->a, &g, &mode, NULL));
	OK(nc_remove(&s->a, &root, "h"));
	OK(nc_rename(&s->a, &root, "r", &root, "q"));
	CHECK(scene_stop(s) == 0);
	shell(s, "cp -a state copy");
	scene_faults(s, "");
	scene_start(s);
	OK(ctl_status(s, "flush --all"));
	for (unsigned i = 0; i < 6; i++) {
		char text[8];

		snprintf(text, sizeof(text), "%s2", later[i]);
		if (removed && i != 2 && i != 5)
			OK(nc_remove(&s->a, &s->root, later[i]));
		else
			again(s, later[i], text);
	}
	OK(ctl_status(s, "flush --all"));
	CHECK(scene_stop(s) == 0);
	shell(s, "rm -rf state && mv copy state");
	scene_faults(s, faults);
	scene_start(s);
	WITHIN(20000, ctl_status(s, "flush --all") == 0);
	if (removed) {
		/* Bytes that were committed are not given up for that. */
		CHECK(object_is(s, "f", "f1") && object_is(s, "n", "n1"));
		CHECK(object_is(s, "h", "h2") && object_is(s, "r", "r2"));
		CHECK(object_absent(s, "g") && object_absent(s, "q"));
		return;
	}
	for (unsigned i = 0; i < 6; i++) {
		char text[8];

		snprintf(text, sizeof(text), "%s2", later[i]);
		CHECK(object_is(s, later[i], text));
	}
	CHECK(kept_beside(s, "f", "f1"));
	CHECK(kept_beside(s, "n", "n1"));
}

static void
back_with(struct scene *s)
{
	older_bytes(s, "", false);
}

static void
back_gone(struct scene *s)
{
	older_bytes(s, "", true);
}

static void
back_without(struct scene *s)
{
	older_bytes(s, "op=probe error=EIO", false);
}

/* S3 was away when f was removed, and somebody else has put one there. */
static void
removed_late(struct scene *s)
{
	struct nc_fh f = make(s, "f", "ours");

	scene_faults(s, "op=delete key=f error=EIO");
	CHECK(reads(&s->a, &f, "ours"));
	OK(nc_remove(&s->a, &s->root, "f"));
	object_text(s, "f", "theirs");
	scene_faults(s, "");
	WITHIN(20000, ctl_status(s, "flush --all") == 0);
	CHECK(object_is(s, "f", "theirs"));
	WITHIN(20000, nc_lookup(&s->a, &s->root, "f", &f, NULL) == NFS3_OK);
	CHECK(reads(&s->a, &f, "theirs"));
}

/* clang-format off */
SCENARIOS(
	{ "state-new", "a gateway with an empty state directory takes over / "
	  "the root's handle is good, all others are stale", new_gateway,
	  NULL, false },
	{ "state-back", "the state directory is put back from a copy / handles "
	  "given out since are stale, and no other file's", rolled_back,
	  NULL, false },
	{ "state-older-bytes", "the same, with uploads, deletions and renames "
	  "pending in the copy / no newer object is touched", back_with,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false },
	{ "state-no-cond", "the same without conditional requests", back_without,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false },
	{ "state-gone", "the same, and most objects were removed since / it "
	  "comes to an end, and newer objects stay", back_gone,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false },
	{ "state-verifier", "the state directory is put back from a copy / its "
	  "write verifier is not that of a run in between", other_verifier,
	  "settle_ms=60000", false },
	{ "state-removed-late", "a removal waited for S3, where somebody put "
	  "another object / that stays", removed_late, "attr_ttl_ms=50",
	  false })
