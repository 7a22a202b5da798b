/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories that are renamed: at once for clients, later in the bucket.
 * Each scenario holds the bucket at the step in question (a LIST, a copy, a
 * deletion), looks, and lets go.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/scenario.h"

#define MOVE(s, from_dir, from, to_dir, to)                                   \
	SOON(20000, nc_rename(&(s)->a, from_dir, from, to_dir, to), NFS3_OK)

static bool
all_moved(struct scene *s)
{
	json_t *status = ctl(s, "status");
	bool none;

	CHECK(status != NULL);
	none = json_array_size(json_object_get(status, "moves")) == 0 &&
	       json_integer_value(json_object_get(status, "uploads")) == 0;
	json_decref(status);
	return none;
}

static unsigned
at_bucket(struct scene *s, const char *key)
{
	return !object_absent(s, key);
}

/* ---- the simplest ---- */

static void
d01(struct scene *s)
{
	struct nc_fh d, f, e;
	fattr3 was, now;

	object_text(s, "d/f", "one");
	object_text(s, "d/e/g", "two");
	object_text(s, "d/e/h/", "");
	d = look(&s->a, s, "d");
	f = look_in(&s->a, &d, "f");
	OK(nc_getattr(&s->a, &d, &was));
	MOVE(s, &s->root, "d", &s->root, "n");
	IS(nc_lookup(&s->b, &s->root, "d", NULL, NULL), NFS3ERR_NOENT);
	OK(nc_getattr(&s->a, &d, &now));
	CHECK(was.fileid == now.fileid);
	d = look(&s->b, s, "n");
	CHECK(names_in(&s->b, &d) == 2);
	CHECK(reads(&s->a, &f, "one"));
	e = look_in(&s->b, &d, "e");
	CHECK(names_in(&s->b, &e) == 2);
	f = look_in(&s->b, &e, "g");
	CHECK(reads(&s->b, &f, "two"));
	WITHIN(20000, all_moved(s));
	CHECK(object_is(s, "n/f", "one") && object_is(s, "n/e/g", "two"));
	CHECK(at_bucket(s, "n/e/h/"));
	WITHIN(5000, objects(s) == 3);
	IS(nc_lookup(&s->b, &s->root, "d", NULL, NULL), NFS3ERR_NOENT);
	CHECK(names_in(&s->b, &d) == 2 && names_in(&s->b, &s->root) == 1);
	CHECK(reads(&s->b, &f, "two"));
}

/* Nothing is done in the bucket until its LIST is answered: all is there. */
static void
d02(struct scene *s)
{
	struct nc_fh d, e, f;

	object_text(s, "d/f", "one");
	object_text(s, "d/e/g", "two");
	(void)look(&s->a, s, "d");
	scene_faults(s, "op=list key=d/ hold");
	MOVE(s, &s->root, "d", &s->root, "n");
	IS(nc_lookup(&s->b, &s->root, "d", NULL, NULL), NFS3ERR_NOENT);
	d = look(&s->b, s, "n");
	f = look_in(&s->b, &d, "f");
	CHECK(reads(&s->b, &f, "one"));
	e = look_in(&s->b, &d, "e");
	f = look_in(&s->b, &e, "g");
	CHECK(reads(&s->b, &f, "two"));
	CHECK(!has_name(&s->b, &d, "nothing"));
	/* New names, a removal and a rename away meanwhile. */
	(void)create_in(s, &d, "new", "three");
	(void)create_in(s, &e, "g2", "four");
	SOON(5000, nc_remove(&s->a, &d, "f"), NFS3_OK);
	MOVE(s, &e, "g", &s->root, "out");
	CHECK(object_absent(s, "n/new") && object_absent(s, "n/e/g2"));
	scene_faults(s, "");
	WITHIN(20000, all_moved(s));
	WITHIN(5000, object_is(s, "n/new", "three") &&
		     object_is(s, "n/e/g2", "four"));
	WITHIN(5000, object_is(s, "out", "two"));
	WITHIN(5000, objects(s) == 3);
	CHECK(names_in(&s->b, &d) == 2 && names_in(&s->b, &e) == 1);
	CHECK(!has_name(&s->b, &s->root, "d"));
}

/* The old name is made anew while the old keys are still listed, and
 * while they are carried. */
static void
old_name_anew(struct scene *s, const char *hold)
{
	struct nc_fh d, n, f;

	object_text(s, "d/f", "old");
	object_text(s, "d/g", "old g");
	(void)look(&s->a, s, "d");
	scene_faults(s, hold);
	MOVE(s, &s->root, "d", &s->root, "n");
	d = mkdir_in(s, &s->root, "d");
	CHECK(names_in(&s->b, &d) == 0);
	CHECK(!has_name(&s->b, &d, "f") && !has_name(&s->b, &d, "g"));
	(void)create_in(s, &d, "f", "new");
	CHECK(names_in(&s->b, &d) == 1);
	n = look(&s->b, s, "n");
	f = look_in(&s->b, &n, "f");
	CHECK(reads(&s->b, &f, "old"));
	DURING(300, object_is(s, "d/f", "old"));
	scene_faults(s, "");
	WITHIN(20000, all_moved(s));
	WITHIN(5000, object_is(s, "d/f", "new"));
	CHECK(object_is(s, "n/f", "old") && object_is(s, "n/g", "old g"));
	WITHIN(5000, objects(s) == 4);	/* and the marker of d */
	CHECK(reads(&s->b, &f, "old"));
	f = look_in(&s->b, &d, "f");
	CHECK(reads(&s->b, &f, "new"));
	CHECK(names_in(&s->b, &d) == 1 && names_in(&s->b, &n) == 2);
}

static void
d03(struct scene *s)
{
	old_name_anew(s, "op=list key=d/ hold");
}

static void
d03_copy(struct scene *s)
{
	old_name_anew(s, "op=copy key=n/* hold");
}

static void
d03_delete(struct scene *s)
{
	old_name_anew(s, "op=delete key=d/* hold");
}

/* Renamed again, and again, and back. */
static void
again(struct scene *s, const char *hold)
{
	struct nc_fh d, f;

	object_text(s, "d/f", "one");
	object_text(s, "d/e/g", "two");
	d = look(&s->a, s, "d");
	scene_faults(s, hold);
	MOVE(s, &s->root, "d", &s->root, "n");
	MOVE(s, &s->root, "n", &s->root, "m");
	(void)create_in(s, &d, "x", "three");
	MOVE(s, &s->root, "m", &s->root, "d");
	f = look_in(&s->b, &d, "f");
	CHECK(reads(&s->b, &f, "one"));
	MOVE(s, &s->root, "d", &s->root, "o");
	CHECK(reads(&s->b, &f, "one"));
	scene_faults(s, "");
	WITHIN(20000, all_moved(s));
	WITHIN(5000, object_is(s, "o/f", "one") &&
		     object_is(s, "o/e/g", "two") &&
		     object_is(s, "o/x", "three"));
	WITHIN(5000, objects(s) == 3);
	CHECK(names_in(&s->b, &d) == 3 && names_in(&s->b, &s->root) == 1);
}

static void
d04(struct scene *s)
{
	again(s, "op=list key=d/ hold");
}

static void
d04_copy(struct scene *s)
{
	again(s, "op=copy hold");
}

static void
d04_none(struct scene *s)
{
	again(s, "");
}

/* A directory inside, one above, and a file out of it, at each step. */
static void
around(struct scene *s, const char *hold)
{
	struct nc_fh p, d, e, f;

	object_text(s, "p/d/e/f", "one");
	object_text(s, "p/d/g", "two");
	object_text(s, "p/h", "three");
	p = look(&s->a, s, "p");
	d = look_in(&s->a, &p, "d");
	e = look_in(&s->a, &d, "e");
	scene_faults(s, hold);
	MOVE(s, &p, "d", &p, "n");		/* p/n */
	MOVE(s, &d, "e", &s->root, "e");	/* e out of it */
	MOVE(s, &s->root, "p", &s->root, "q");	/* above it */
	(void)mkdir_in(s, &d, "e");		/* anew */
	MOVE(s, &s->root, "e", &d, "i");	/* and back in */
	f = look_in(&s->b, &e, "f");
	CHECK(reads(&s->b, &f, "one"));
	scene_faults(s, "");
	WITHIN(20000, all_moved(s));
	WITHIN(5000, object_is(s, "q/n/i/f", "one") &&
		     object_is(s, "q/n/g", "two") &&
		     object_is(s, "q/h", "three"));
	WITHIN(5000, objects(s) == 4);
	CHECK(at_bucket(s, "q/n/e/"));
	IS(names_in(&s->b, &s->root), 1);
	IS(names_in(&s->b, &p), 2);
	IS(names_in(&s->b, &d), 3);
	IS(names_in(&s->b, &e), 1);
}

static void
d05(struct scene *s)
{
	/* But those that tell whether a file has a directory beside it. */
	around(s, "op=list key=p/ hold\nop=list key=p/d/ hold\n"
	       "op=list key=p/d/e/ hold\nop=list key=p/n/e/ hold");
}

static void
d05_copy(struct scene *s)
{
	around(s, "op=copy hold");
}

static void
d05_none(struct scene *s)
{
	around(s, "");
}

/* Two directories take each other's names. */
static void
d06(struct scene *s)
{
	struct nc_fh a, b, f;

	object_text(s, "a/", "");
	object_text(s, "a/f", "of a");
	object_text(s, "b/", "");
	object_text(s, "b/f", "of b");
	a = look(&s->a, s, "a");
	b = look(&s->a, s, "b");
	MOVE(s, &s->root, "a", &s->root, "t");
	MOVE(s, &s->root, "b", &s->root, "a");
	MOVE(s, &s->root, "t", &s->root, "b");
	f = look_in(&s->b, &a, "f");
	CHECK(reads(&s->b, &f, "of a"));
	WITHIN(30000, all_moved(s));
	WITHIN(5000, object_is(s, "b/f", "of a") &&
		     object_is(s, "a/f", "of b"));
	WITHIN(5000, objects(s) == 4);
	CHECK(names_in(&s->b, &a) == 1 && names_in(&s->b, &b) == 1);
}

/* What it may and may not replace. */
static void
d07(struct scene *s)
{
	struct nc_fh d, v;

	object_text(s, "d/f", "one");
	object_text(s, "d/s/g", "two");
	object_text(s, "full/x", "x");
	object_text(s, "file", "y");
	d = look(&s->a, s, "d");
	(void)look(&s->a, s, "full");
	(void)look(&s->a, s, "file");
	v = mkdir_in(s, &s->root, "empty");
	IS(nc_rename(&s->a, &s->root, "d", &s->root, "full"),
	   NFS3ERR_NOTEMPTY);
	IS(nc_rename(&s->a, &s->root, "d", &s->root, "file"),
	   NFS3ERR_NOTDIR);
	IS(nc_rename(&s->a, &s->root, "file", &s->root, "d"),
	   NFS3ERR_ISDIR);
	IS(nc_rename(&s->a, &s->root, "d", &d, "sub"), NFS3ERR_INVAL);
	v = look_in(&s->a, &d, "s");
	IS(nc_rename(&s->a, &s->root, "d", &v, "sub"), NFS3ERR_INVAL);
	IS(nc_rename(&s->a, &d, "s", &s->root, "d"), NFS3ERR_NOTEMPTY);
	OK(nc_rename(&s->a, &s->root, "d", &s->root, "d"));
	v = look(&s->a, s, "empty");
	MOVE(s, &s->root, "d", &s->root, "empty");
	IS(nc_getattr(&s->a, &v, &(fattr3){ 0 }), NFS3ERR_STALE);
	WITHIN(20000, all_moved(s));
	WITHIN(5000, object_is(s, "empty/f", "one") &&
		     object_is(s, "empty/s/g", "two"));
	CHECK(object_is(s, "full/x", "x") && object_is(s, "file", "y"));
	WITHIN(5000, objects(s) == 4);
	CHECK(names_in(&s->b, &s->root) == 3);
}

/* Files in it are written at every step. */
static void
writes(struct scene *s, const char *hold)
{
	struct nc_fh d, f, g;

	object_text(s, "d/f", "old f");
	object_text(s, "d/g", "old g");
	d = look(&s->a, s, "d");
	f = look_in(&s->a, &d, "f");
	g = look_in(&s->a, &d, "g");
	scene_faults(s, hold);
	/* One is being uploaded, one written, when the name changes. */
	OK(put(&s->a, &f, 0, "new f", FILE_SYNC));
	OK(put(&s->a, &g, 0, "new", UNSTABLE));
	if (strstr(hold, "put") != NULL)
		WITHIN(5000, scene_calls(s, "put", "d/f", "begin") > 0);
	MOVE(s, &s->root, "d", &s->root, "n");
	OK(put(&s->a, &g, 3, "er", UNSTABLE));
	(void)create_in(s, &d, "h", "h");
	OK(commit(&s->a, &g));
	CHECK(reads(&s->b, &f, "new f"));
	CHECK(reads(&s->a, &g, "newer"));
	scene_faults(s, "");
	WITHIN(20000, all_moved(s));
	WITHIN(10000, object_is(s, "n/f", "new f") &&
		      object_is(s, "n/g", "newer") &&
		      object_is(s, "n/h", "h"));
	WITHIN(5000, objects(s) == 3);
	CHECK(names_in(&s->b, &d) == 3 && names_in(&s->b, &s->root) == 1);
	CHECK(quarantined(s, "f") == 0 && quarantined(s, "g") == 0);
}

static void
d08(struct scene *s)
{
	writes(s, "");
}

static void
d08_list(struct scene *s)
{
	writes(s, "op=list key=d/ hold");
}

static void
d08_put(struct scene *s)
{
	writes(s, "op=put key=d/f hold");
}

static void
d08_put_after(struct scene *s)
{
	writes(s, "op=put key=d/f hold_after");
}

/* The object is made, the answer never came, and the name has changed. */
static void
d08_lost(struct scene *s)
{
	writes(s, "op=put key=d/f lose");
}

static void
d08_copy(struct scene *s)
{
	writes(s, "op=copy hold");
}

/* A file had replaced another when its directory was renamed; nothing of
 * that was in the bucket yet. */
static void
d09(struct scene *s)
{
	struct nc_fh d, t;

	object_text(s, "d/f", "replaced");
	d = look(&s->a, s, "d");
	(void)look_in(&s->a, &d, "f");
	/* None of it is on its way before that (settle_ms): RENAME would wait
	 * for the end of a PUT. */
	t = create_in(s, &d, "t", "newest");
	SOON(20000, nc_rename(&s->a, &d, "t", &d, "f"), NFS3_OK);
	MOVE(s, &s->root, "d", &s->root, "n");
	CHECK(reads(&s->b, &t, "newest"));
	OK(ctl_status(s, "flush --all"));
	WITHIN(20000, all_moved(s));
	WITHIN(10000, object_is(s, "n/f", "newest"));
	WITHIN(5000, objects(s) == 1);
	CHECK(!has_name(&s->b, &s->root, "d"));
}

/* Somebody else is at work on the same keys. */
static void
d10(struct scene *s)
{
	struct nc_fh d, f;
	char key[128];

	object_text(s, "d/changed", "old");
	object_text(s, "d/gone", "old");
	object_text(s, "d/taken", "ours");
	d = look(&s->a, s, "d");
	CHECK(names_in(&s->a, &d) == 3);
	scene_faults(s, "op=copy hold");
	MOVE(s, &s->root, "d", &s->root, "n");
	WITHIN(10000, scene_calls(s, "copy", "n/taken", "held") == 1);
	object_text(s, "d/changed", "newer");
	snprintf(key, sizeof(key), "%sd/gone", s->prefix);
	OK(s3_delete(s->s3, key, NULL, NULL));
	object_text(s, "n/taken", "theirs");
	scene_faults(s, "");
	WITHIN(30000, all_moved(s));
	CHECK(object_is(s, "n/changed", "newer"));
	CHECK(object_is(s, "n/taken", "theirs"));
	CHECK(object_absent(s, "n/gone") && object_absent(s, "d/gone"));
	/* theirs, ours beside it, and the changed one */
	WITHIN(5000, objects(s) == 3);
	f = look_in(&s->b, &d, "changed");
	WITHIN(5000, reads(&s->b, &f, "newer"));
	WITHIN(5000, !has_name(&s->b, &d, "gone"));
}

/* Copies that fail are tried again, told, and nothing is lost meanwhile. */
static void
d11(struct scene *s)
{
	struct nc_fh d, f;
	json_t *status, *move;

	object_text(s, "d/f", "one");
	object_text(s, "d/g", "two");
	d = look(&s->a, s, "d");
	scene_faults(s, "op=copy key=n/f error=EACCES");
	MOVE(s, &s->root, "d", &s->root, "n");
	WITHIN(10000, object_is(s, "n/g", "two"));
	WITHIN(10000, scene_calls(s, "copy", "n/f", "end") > 1);
	status = ctl(s, "status");
	move = json_array_get(json_object_get(status, "moves"), 0);
	CHECK(move != NULL);
	CHECK(strcmp(json_string_value(json_object_get(move, "phase")),
		     "MOVING") == 0);
	CHECK(json_integer_value(json_object_get(move, "objects_left")) == 1);
	CHECK(json_integer_value(json_object_get(move, "failures")) > 0);
	CHECK(json_string_length(json_object_get(move, "error")) > 0);
	json_decref(status);
	CHECK(scene_logged(s, "cannot be moved") > 0);
	f = look_in(&s->b, &d, "f");
	CHECK(reads(&s->b, &f, "one"));
	CHECK(object_is(s, "d/f", "one") && !has_name(&s->b, &s->root, "d"));
	scene_faults(s, "");
	WITHIN(40000, all_moved(s));
	CHECK(object_is(s, "n/f", "one"));
	WITHIN(5000, objects(s) == 2);
}

/* Answers that are lost: of the copy, of the deletion. */
static void
d12(struct scene *s)
{
	object_text(s, "d/f", "one");
	object_text(s, "d/g", "two");
	(void)look(&s->a, s, "d");
	scene_faults(s, "op=copy lose count=1\nop=delete lose count=1");
	MOVE(s, &s->root, "d", &s->root, "n");
	WITHIN(40000, all_moved(s));
	CHECK(object_is(s, "n/f", "one") && object_is(s, "n/g", "two"));
	WITHIN(10000, objects(s) == 2);
}

/* Keys that are no paths go along, and so does a file beside a directory of
 * its name. */
static void
d13(struct scene *s)
{
	struct nc_fh d, f;

	object_text(s, "d/f", "one");
	object_text(s, "d//x", "odd 1");
	object_text(s, "d/a/../b", "odd 2");
	object_text(s, "d/f/y", "odd 3");
	d = look(&s->a, s, "d");
	MOVE(s, &s->root, "d", &s->root, "n");
	WITHIN(20000, all_moved(s));
	CHECK(names_in(&s->b, &d) == 4);
	f = look_in(&s->b, &d, "%s3-file%f");
	CHECK(reads(&s->b, &f, "one"));
	f = look_in(&s->b, &d, "%s3%");
	f = look_in(&s->b, &f, "x");
	CHECK(reads(&s->b, &f, "odd 1"));
	CHECK(object_is(s, "n/f", "one") && object_is(s, "n//x", "odd 1") &&
	      object_is(s, "n/a/../b", "odd 2") &&
	      object_is(s, "n/f/y", "odd 3"));
	WITHIN(5000, objects(s) == 4);
	CHECK(!has_name(&s->b, &s->root, "d"));
}

/* A gateway that knows nothing. */
static void
forget_all(struct scene *s)
{
	char command[300];

	CHECK(scene_stop(s) == 0);
	snprintf(command, sizeof(command), "rm -rf '%s/state'", s->dir);
	CHECK(system(command) == 0);
	scene_start(s);
	scene_reconnect(s);
	OK(nc_mnt(&s->a, s->export, &s->root));
}

/* Modes, owners, times, links, and what others have put into the metadata:
 * as a gateway sees it that knows nothing of the move. */
static void
d14(struct scene *s)
{
	struct nc_set set = { .mode_set = true, .mode = 0640,
			      .uid_set = true, .uid = 77 };
	struct nc_fh d, e, f, l = { 0 };
	char target[2000];
	fattr3 was, now, was_e;

	d = mkdir_in(s, &s->root, "d");
	e = mkdir_in(s, &d, "e");
	f = create_in(s, &e, "f", "one");
	OK(nc_setattr(&s->a, &f, &set, NULL));
	SOON(5000, nc_symlink(&s->a, &e, "l", "over/there", &l), NFS3_OK);
	set.mode = 0711;
	OK(nc_setattr(&s->a, &e, &set, NULL));
	CHECK(ctl_status(s, "flush --all") == 0);
	OK(nc_getattr(&s->a, &f, &was));
	OK(nc_getattr(&s->a, &e, &was_e));
	MOVE(s, &s->root, "d", &s->root, "n");
	WITHIN(20000, all_moved(s));
	WITHIN(5000, objects(s) == 4);
	forget_all(s);
	d = look(&s->b, s, "n");
	e = look_in(&s->b, &d, "e");
	f = look_in(&s->b, &e, "f");
	OK(nc_getattr(&s->b, &f, &now));
	CHECK(now.mode == was.mode && now.uid == was.uid &&
	      now.size == was.size &&
	      now.mtime.seconds == was.mtime.seconds &&
	      now.mtime.nseconds == was.mtime.nseconds);
	OK(nc_getattr(&s->b, &e, &now));
	CHECK(now.mode == was_e.mode && now.uid == was_e.uid);
	l = look_in(&s->b, &e, "l");
	OK(nc_readlink(&s->b, &l, target));
	CHECK(strcmp(target, "over/there") == 0);
}

/* Names of one file stay that: of one that is known for it, and of one that
 * was never looked at. */
static void
d18(struct scene *s)
{
	struct nc_fh d, f, g;
	fattr3 a, b;

	d = mkdir_in(s, &s->root, "d");
	f = create_in(s, &d, "f", "one");
	SOON(5000, nc_link(&s->a, &f, &d, "g"), NFS3_OK);
	SOON(5000, nc_link(&s->a, &f, &s->root, "h"), NFS3_OK);
	CHECK(ctl_status(s, "flush --all") == 0);
	for (int i = 0; i < 2; i++) {
		MOVE(s, &s->root, i == 0 ? "d" : "n", &s->root,
		     i == 0 ? "n" : "m");
		WITHIN(20000, all_moved(s));
		WITHIN(5000, objects(s) == 4);
		if (i == 0)
			forget_all(s);
	}
	forget_all(s);
	d = look(&s->b, s, "m");
	f = look_in(&s->b, &d, "f");
	g = look_in(&s->b, &d, "g");
	OK(nc_getattr(&s->b, &f, &a));
	OK(nc_getattr(&s->b, &g, &b));
	CHECK(a.fileid == b.fileid);
	g = look(&s->b, s, "h");
	OK(nc_getattr(&s->b, &g, &b));
	CHECK(a.fileid == b.fileid && b.nlink == 3);
	CHECK(reads(&s->b, &g, "one"));
}

/* Objects too large for one copy go part by part. */
static void
d15(struct scene *s)
{
	size_t len = 13 << 20;
	char *bytes = malloc(len);
	struct nc_fh d, f;

	CHECK(bytes != NULL);
	fill(bytes, len, 15);
	scene_env(s, "S3NFSD_COPY_MAX", "6000000");
	scene_crash(s);
	object_put(s, "d/big", bytes, len, NULL);
	d = look(&s->a, s, "d");
	f = look_in(&s->a, &d, "big");
	MOVE(s, &s->root, "d", &s->root, "n");
	CHECK(reads_many(&s->b, &f, bytes, len));
	WITHIN(30000, all_moved(s));
	CHECK(object_has(s, "n/big", bytes, len));
	CHECK(scene_calls(s, "partcopy", "n/big", "done") > 0);
	CHECK(scene_calls(s, "copy", "n/big", "begin") == 0);
	WITHIN(5000, objects(s) == 1);
	CHECK(uploads_left(s) == 0);
	free(bytes);
}

/* Killed in the middle, with files being written; and again. */
static void
killed(struct scene *s, const char *hold)
{
	struct nc_fh d, f, g, h;

	object_text(s, "d/f", "old f");
	object_text(s, "d/g", "old g");
	object_text(s, "d/e/x", "x");
	d = look(&s->a, s, "d");
	f = look_in(&s->a, &d, "f");
	g = look_in(&s->a, &d, "g");
	scene_faults(s, hold);
	MOVE(s, &s->root, "d", &s->root, "n");
	OK(put(&s->a, &f, 0, "new f", FILE_SYNC));
	h = create_in(s, &d, "h", "h");
	scene_crash(s);
	CHECK(reads(&s->b, &f, "new f") && reads(&s->b, &h, "h"));
	CHECK(reads(&s->b, &g, "old g"));
	CHECK(!has_name(&s->b, &s->root, "d"));
	MOVE(s, &s->root, "n", &s->root, "m");
	OK(put(&s->a, &g, 0, "new g", FILE_SYNC));
	scene_crash(s);
	scene_faults(s, "");
	WITHIN(30000, all_moved(s));
	WITHIN(10000, object_is(s, "m/f", "new f") &&
		      object_is(s, "m/g", "new g") &&
		      object_is(s, "m/h", "h") && object_is(s, "m/e/x", "x"));
	WITHIN(5000, objects(s) == 4);
	CHECK(names_in(&s->b, &d) == 4 && names_in(&s->b, &s->root) == 1);
}

static void
d16(struct scene *s)
{
	killed(s, "op=list key=d/ hold");
}

static void
d16_copy(struct scene *s)
{
	killed(s, "op=copy hold");
}

static void
d16_put(struct scene *s)
{
	killed(s, "op=put key=n/* hold_after");
}

/* A directory is listed whole while its names are still being found: pages
 * come from the listing at the old place. */
static void
d17(struct scene *s)
{
	struct nc_fh d;
	char name[32];

	for (unsigned i = 0; i < 2500; i++) {
		snprintf(name, sizeof(name), "d/%04u", i);
		object_text(s, name, name);
	}
	(void)look(&s->a, s, "d");
	scene_faults(s, "op=list key=d/ delay_ms=100");
	MOVE(s, &s->root, "d", &s->root, "n");
	d = look(&s->b, s, "n");
	CHECK(names_in(&s->b, &d) == 2500);
	scene_faults(s, "");
	CHECK(names_in(&s->b, &d) == 2500);
	WITHIN(120000, all_moved(s));
	CHECK(names_in(&s->b, &d) == 2500 && !has_name(&s->b, &s->root, "d"));
	WITHIN(10000, object_is(s, "n/2499", "d/2499") &&
		      object_absent(s, "d/2499"));
}

/* How long it takes: run by name, with -v. */
static void
time_10000(struct scene *s)
{
	const unsigned count = 10000;
	uint64_t t, answered, listed;
	struct nc_fh d, f;
	char name[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "d/%02u/%04u", i % 50, i);
		object_text(s, name, name);
	}
	(void)look(&s->a, s, "d");
	t = scene_now_ms();
	MOVE(s, &s->root, "d", &s->root, "n");
	answered = scene_now_ms() - t;
	d = look(&s->b, s, "n");
	d = look_in(&s->b, &d, "49");
	f = look_in(&s->b, &d, "9999");
	CHECK(reads(&s->b, &f, "d/49/9999"));
	listed = scene_now_ms() - t;
	WITHIN(280000, all_moved(s));
	printf("# %u objects: RENAME answered after %llu ms, the last file "
	       "read under its new name after %llu ms, all moved after "
	       "%llu ms\n", count, (unsigned long long)answered,
	       (unsigned long long)listed,
	       (unsigned long long)(scene_now_ms() - t));
	CHECK(object_is(s, "n/49/9999", "d/49/9999"));
	CHECK(object_absent(s, "d/49/9999"));
}

SCENARIOS(
	{ "d01", "a directory is renamed / at once, all of it follows", d01, NULL,
	  false },
	{ "d02", "... and nobody has listed it yet / names are found, made, "
	  "removed and renamed all the same", d02, NULL,
	  false },
	{ "d03", "the old name is made anew while it is listed / leftovers are "
	  "hidden, nothing mixes", d03, NULL,
	  false },
	{ "d03_copy", "... while objects are copied", d03_copy, NULL,
	  false },
	{ "d03_delete", "... while they are deleted", d03_delete, NULL,
	  false },
	{ "d04", "renamed again and back while it is listed", d04, NULL,
	  false },
	{ "d04_copy", "... while objects are copied", d04_copy, NULL,
	  false },
	{ "d04_none", "... as fast as can be", d04_none, NULL,
	  false },
	{ "d05", "renames in it, above it, out of it and into it, while it is "
	  "listed", d05, NULL,
	  false },
	{ "d05_copy", "... while objects are copied", d05_copy, NULL,
	  false },
	{ "d05_none", "... as fast as can be", d05_none, NULL,
	  false },
	{ "d06", "two directories take each other's names", d06, NULL,
	  false },
	{ "d07", "what it may replace, and what not", d07, NULL,
	  false },
	{ "d08", "files in it are written / under the new name, once", d08, NULL,
	  false },
	{ "d08_list", "... while it is listed", d08_list, NULL,
	  false },
	{ "d08_put", "... and one is on its way to the old key", d08_put, NULL,
	  false },
	{ "d08_put_after", "... and one has got there", d08_put_after, NULL,
	  false },
	{ "d08_lost", "... and nobody knows whether it has", d08_lost, NULL,
	  false },
	{ "d08_copy", "... while objects are copied", d08_copy, NULL,
	  false },
	{ "d09", "a file that had replaced another / the other is gone under "
	  "both names", d09, "settle_ms=60000", false },
	{ "d10", "objects are changed, removed and put in the way by others / "
	  "nothing is lost", d10, NULL,
	  false },
	{ "d11", "a copy is refused / told, tried again, readable", d11, NULL,
	  false },
	{ "d12", "answers are lost / carried once", d12, NULL,
	  false },
	{ "d13", "keys that are no paths go along", d13, NULL,
	  false },
	{ "d14", "modes, owners, times and links are as before / seen by a "
	  "gateway that knows nothing", d14, NULL, false },
	{ "d15", "an object too large for one copy / part by part", d15, NULL,
	  false },
	{ "d16", "killed while it is listed, and again / all is there", d16,
	  NULL, false },
	{ "d16_copy", "... while objects are copied", d16_copy, NULL, false },
	{ "d16_put", "... with an upload that has no answer", d16_put, NULL,
	  false },
	{ "d18", "names of one file stay that", d18, NULL, false },
	{ "d17", "listed by a client while it is listed itself / every name "
	  "once", d17, NULL, true },
	{ "time_10000", "10,000 objects / the times are told", time_10000,
	  NULL, true })
