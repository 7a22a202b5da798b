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

static void
sput(struct scene *s, const char *key, const char *text)
{
	object_put(s, key, text, strlen(text), NULL);
}

static struct nc_fh
lookup(struct rpcc *c, const struct nc_fh *dir, const char *name)
{
	struct nc_fh fh = { 0 };

	SOON(20000, nc_lookup(c, dir, name, &fh, NULL), NFS3_OK);
	return fh;
}

static bool
has(struct rpcc *c, const struct nc_fh *dir, const char *name)
{
	uint64_t until = scene_now_ms() + 20000;
	struct nc_fh fh;
	int r;

	do {
		r = nc_lookup(c, dir, name, &fh, NULL);
	} while (r == NFS3ERR_JUKEBOX && scene_now_ms() < until);
	CHECK(r == NFS3_OK || r == NFS3ERR_NOENT);
	return r == NFS3_OK;
}

static struct nc_fh
mkdir_(struct scene *s, const struct nc_fh *dir, const char *name)
{
	struct nc_fh fh = { 0 };

	SOON(20000, nc_mkdir(&s->a, dir, name, NULL, &fh, NULL), NFS3_OK);
	return fh;
}

static struct nc_fh
create_in(struct scene *s, const struct nc_fh *dir, const char *name,
	  const char *text)
{
	struct nc_fh fh = { 0 };

	SOON(20000, nc_create(&s->a, dir, name, UNCHECKED, NULL, NULL, &fh,
			      NULL), NFS3_OK);
	SOON(20000, put(&s->a, &fh, 0, text, FILE_SYNC), NFS3_OK);
	return fh;
}

#define MOVE(s, from_dir, from, to_dir, to)                                   \
	SOON(20000, nc_rename(&(s)->a, from_dir, from, to_dir, to), NFS3_OK)

/* How many names a directory has, "." and ".." aside; none twice. */
static unsigned
names(struct rpcc *c, const struct nc_fh *dir)
{
	static struct nc_entry list[256];
	uint64_t cookie = 0, until = scene_now_ms() + 30000;
	uint8_t verf[8] = { 0 };
	unsigned total = 0, count;
	bool eof = false;

	while (!eof) {
		int r = nc_readdir(c, dir, cookie, verf, 8192, list, 256,
				   &count, &eof);

		if (r == NFS3ERR_JUKEBOX && scene_now_ms() < until) {
			scene_pause();
			continue;
		}
		OK(r);
		for (unsigned i = 0; i < count; i++) {
			total += strcmp(list[i].name, ".") != 0 &&
				 strcmp(list[i].name, "..") != 0;
			cookie = list[i].cookie;
		}
		CHECK(count > 0 || eof);
	}
	return total;
}

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

	sput(s, "d/f", "one");
	sput(s, "d/e/g", "two");
	sput(s, "d/e/h/", "");
	d = look(&s->a, s, "d");
	f = lookup(&s->a, &d, "f");
	OK(nc_getattr(&s->a, &d, &was));
	MOVE(s, &s->root, "d", &s->root, "n");
	IS(nc_lookup(&s->b, &s->root, "d", NULL, NULL), NFS3ERR_NOENT);
	OK(nc_getattr(&s->a, &d, &now));
	CHECK(was.fileid == now.fileid);
	d = look(&s->b, s, "n");
	CHECK(names(&s->b, &d) == 2);
	CHECK(reads(&s->a, &f, "one"));
	e = lookup(&s->b, &d, "e");
	CHECK(names(&s->b, &e) == 2);
	f = lookup(&s->b, &e, "g");
	CHECK(reads(&s->b, &f, "two"));
	WITHIN(20000, all_moved(s));
	CHECK(object_is(s, "n/f", "one") && object_is(s, "n/e/g", "two"));
	CHECK(at_bucket(s, "n/e/h/"));
	WITHIN(5000, objects(s) == 3);
	IS(nc_lookup(&s->b, &s->root, "d", NULL, NULL), NFS3ERR_NOENT);
	CHECK(names(&s->b, &d) == 2 && names(&s->b, &s->root) == 1);
	CHECK(reads(&s->b, &f, "two"));
}

/* Nothing is done in the bucket until its LIST is answered: all is there. */
static void
d02(struct scene *s)
{
	struct nc_fh d, e, f;

	sput(s, "d/f", "one");
	sput(s, "d/e/g", "two");
	(void)look(&s->a, s, "d");
	scene_faults(s, "op=list key=d/ hold");
	MOVE(s, &s->root, "d", &s->root, "n");
	IS(nc_lookup(&s->b, &s->root, "d", NULL, NULL), NFS3ERR_NOENT);
	d = look(&s->b, s, "n");
	f = lookup(&s->b, &d, "f");
	CHECK(reads(&s->b, &f, "one"));
	e = lookup(&s->b, &d, "e");
	f = lookup(&s->b, &e, "g");
	CHECK(reads(&s->b, &f, "two"));
	CHECK(!has(&s->b, &d, "nothing"));
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
	CHECK(names(&s->b, &d) == 2 && names(&s->b, &e) == 1);
	CHECK(!has(&s->b, &s->root, "d"));
}

/* The old name is made anew while the old keys are still listed, and
 * while they are carried. */
static void
old_name_anew(struct scene *s, const char *hold)
{
	struct nc_fh d, n, f;

	sput(s, "d/f", "old");
	sput(s, "d/g", "old g");
	(void)look(&s->a, s, "d");
	scene_faults(s, hold);
	MOVE(s, &s->root, "d", &s->root, "n");
	d = mkdir_(s, &s->root, "d");
	CHECK(names(&s->b, &d) == 0);
	CHECK(!has(&s->b, &d, "f") && !has(&s->b, &d, "g"));
	(void)create_in(s, &d, "f", "new");
	CHECK(names(&s->b, &d) == 1);
	n = look(&s->b, s, "n");
	f = lookup(&s->b, &n, "f");
	CHECK(reads(&s->b, &f, "old"));
	DURING(300, object_is(s, "d/f", "old"));
	scene_faults(s, "");
	WITHIN(20000, all_moved(s));
	WITHIN(5000, object_is(s, "d/f", "new"));
	CHECK(object_is(s, "n/f", "old") && object_is(s, "n/g", "old g"));
	WITHIN(5000, objects(s) == 4);	/* and the marker of d */
	CHECK(reads(&s->b, &f, "old"));
	f = lookup(&s->b, &d, "f");
	CHECK(reads(&s->b, &f, "new"));
	CHECK(names(&s->b, &d) == 1 && names(&s->b, &n) == 2);
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

	sput(s, "d/f", "one");
	sput(s, "d/e/g", "two");
	d = look(&s->a, s, "d");
	scene_faults(s, hold);
	MOVE(s, &s->root, "d", &s->root, "n");
	MOVE(s, &s->root, "n", &s->root, "m");
	(void)create_in(s, &d, "x", "three");
	MOVE(s, &s->root, "m", &s->root, "d");
	f = lookup(&s->b, &d, "f");
	CHECK(reads(&s->b, &f, "one"));
	MOVE(s, &s->root, "d", &s->root, "o");
	CHECK(reads(&s->b, &f, "one"));
	scene_faults(s, "");
	WITHIN(20000, all_moved(s));
	WITHIN(5000, object_is(s, "o/f", "one") &&
		     object_is(s, "o/e/g", "two") &&
		     object_is(s, "o/x", "three"));
	WITHIN(5000, objects(s) == 3);
	CHECK(names(&s->b, &d) == 3 && names(&s->b, &s->root) == 1);
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

	sput(s, "p/d/e/f", "one");
	sput(s, "p/d/g", "two");
	sput(s, "p/h", "three");
	p = look(&s->a, s, "p");
	d = lookup(&s->a, &p, "d");
	e = lookup(&s->a, &d, "e");
	scene_faults(s, hold);
	MOVE(s, &p, "d", &p, "n");		/* p/n */
	MOVE(s, &d, "e", &s->root, "e");	/* e out of it */
	MOVE(s, &s->root, "p", &s->root, "q");	/* above it */
	(void)mkdir_(s, &d, "e");		/* anew */
	MOVE(s, &s->root, "e", &d, "i");	/* and back in */
	f = lookup(&s->b, &e, "f");
	CHECK(reads(&s->b, &f, "one"));
	scene_faults(s, "");
	WITHIN(20000, all_moved(s));
	WITHIN(5000, object_is(s, "q/n/i/f", "one") &&
		     object_is(s, "q/n/g", "two") &&
		     object_is(s, "q/h", "three"));
	WITHIN(5000, objects(s) == 4);
	CHECK(at_bucket(s, "q/n/e/"));
	CHECK(names(&s->b, &s->root) == 1 && names(&s->b, &p) == 2 &&
	      names(&s->b, &d) == 3 && names(&s->b, &e) == 1);
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

	sput(s, "a/", "");
	sput(s, "a/f", "of a");
	sput(s, "b/", "");
	sput(s, "b/f", "of b");
	a = look(&s->a, s, "a");
	b = look(&s->a, s, "b");
	MOVE(s, &s->root, "a", &s->root, "t");
	MOVE(s, &s->root, "b", &s->root, "a");
	MOVE(s, &s->root, "t", &s->root, "b");
	f = lookup(&s->b, &a, "f");
	CHECK(reads(&s->b, &f, "of a"));
	WITHIN(30000, all_moved(s));
	WITHIN(5000, object_is(s, "b/f", "of a") &&
		     object_is(s, "a/f", "of b"));
	WITHIN(5000, objects(s) == 4);
	CHECK(names(&s->b, &a) == 1 && names(&s->b, &b) == 1);
}

/* What it may and may not replace. */
static void
d07(struct scene *s)
{
	struct nc_fh d, v;

	sput(s, "d/f", "one");
	sput(s, "d/s/g", "two");
	sput(s, "full/x", "x");
	sput(s, "file", "y");
	d = look(&s->a, s, "d");
	(void)look(&s->a, s, "full");
	(void)look(&s->a, s, "file");
	v = mkdir_(s, &s->root, "empty");
	IS(nc_rename(&s->a, &s->root, "d", &s->root, "full"),
	   NFS3ERR_NOTEMPTY);
	IS(nc_rename(&s->a, &s->root, "d", &s->root, "file"),
	   NFS3ERR_NOTDIR);
	IS(nc_rename(&s->a, &s->root, "file", &s->root, "d"),
	   NFS3ERR_ISDIR);
	IS(nc_rename(&s->a, &s->root, "d", &d, "sub"), NFS3ERR_INVAL);
	v = lookup(&s->a, &d, "s");
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
	CHECK(names(&s->b, &s->root) == 3);
}

/* Files in it are written at every step. */
static void
writes(struct scene *s, const char *hold)
{
	struct nc_fh d, f, g;

	sput(s, "d/f", "old f");
	sput(s, "d/g", "old g");
	d = look(&s->a, s, "d");
	f = lookup(&s->a, &d, "f");
	g = lookup(&s->a, &d, "g");
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
	CHECK(names(&s->b, &d) == 3 && names(&s->b, &s->root) == 1);
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

	sput(s, "d/f", "replaced");
	d = look(&s->a, s, "d");
	(void)lookup(&s->a, &d, "f");
	scene_faults(s, "op=put hold");
	t = create_in(s, &d, "t", "newest");
	SOON(20000, nc_rename(&s->a, &d, "t", &d, "f"), NFS3_OK);
	MOVE(s, &s->root, "d", &s->root, "n");
	scene_faults(s, "");
	CHECK(reads(&s->b, &t, "newest"));
	WITHIN(20000, all_moved(s));
	WITHIN(10000, object_is(s, "n/f", "newest"));
	WITHIN(5000, objects(s) == 1);
	CHECK(!has(&s->b, &s->root, "d"));
}

/* Somebody else is at work on the same keys. */
static void
d10(struct scene *s)
{
	struct nc_fh d, f;
	char key[128];

	sput(s, "d/changed", "old");
	sput(s, "d/gone", "old");
	sput(s, "d/taken", "ours");
	d = look(&s->a, s, "d");
	CHECK(names(&s->a, &d) == 3);
	scene_faults(s, "op=copy hold");
	MOVE(s, &s->root, "d", &s->root, "n");
	WITHIN(10000, scene_calls(s, "copy", "n/taken", "held") == 1);
	sput(s, "d/changed", "newer");
	snprintf(key, sizeof(key), "%sd/gone", s->prefix);
	OK(s3_delete(s->s3, key, NULL, NULL));
	sput(s, "n/taken", "theirs");
	scene_faults(s, "");
	WITHIN(30000, all_moved(s));
	CHECK(object_is(s, "n/changed", "newer"));
	CHECK(object_is(s, "n/taken", "theirs"));
	CHECK(object_absent(s, "n/gone") && object_absent(s, "d/gone"));
	/* theirs, ours beside it, and the changed one */
	WITHIN(5000, objects(s) == 3);
	f = lookup(&s->b, &d, "changed");
	WITHIN(5000, reads(&s->b, &f, "newer"));
	WITHIN(5000, !has(&s->b, &d, "gone"));
}

/* Copies that fail are tried again, told, and nothing is lost meanwhile. */
static void
d11(struct scene *s)
{
	struct nc_fh d, f;
	json_t *status, *move;

	sput(s, "d/f", "one");
	sput(s, "d/g", "two");
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
	f = lookup(&s->b, &d, "f");
	CHECK(reads(&s->b, &f, "one"));
	CHECK(object_is(s, "d/f", "one") && !has(&s->b, &s->root, "d"));
	scene_faults(s, "");
	WITHIN(40000, all_moved(s));
	CHECK(object_is(s, "n/f", "one"));
	WITHIN(5000, objects(s) == 2);
}

/* Answers that are lost: of the copy, of the deletion. */
static void
d12(struct scene *s)
{
	sput(s, "d/f", "one");
	sput(s, "d/g", "two");
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

	sput(s, "d/f", "one");
	sput(s, "d//x", "odd 1");
	sput(s, "d/a/../b", "odd 2");
	sput(s, "d/f/y", "odd 3");
	d = look(&s->a, s, "d");
	MOVE(s, &s->root, "d", &s->root, "n");
	WITHIN(20000, all_moved(s));
	CHECK(names(&s->b, &d) == 4);
	f = lookup(&s->b, &d, "%s3-file%f");
	CHECK(reads(&s->b, &f, "one"));
	f = lookup(&s->b, &d, "%s3%");
	f = lookup(&s->b, &f, "x");
	CHECK(reads(&s->b, &f, "odd 1"));
	CHECK(object_is(s, "n/f", "one") && object_is(s, "n//x", "odd 1") &&
	      object_is(s, "n/a/../b", "odd 2") &&
	      object_is(s, "n/f/y", "odd 3"));
	WITHIN(5000, objects(s) == 4);
	CHECK(!has(&s->b, &s->root, "d"));
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
	  "both names", d09, NULL,
	  false },
	{ "d10", "objects are changed, removed and put in the way by others / "
	  "nothing is lost", d10, NULL,
	  false },
	{ "d11", "a copy is refused / told, tried again, readable", d11, NULL,
	  false },
	{ "d12", "answers are lost / carried once", d12, NULL,
	  false },
	{ "d13", "keys that are no paths go along", d13, NULL,
	  false })
