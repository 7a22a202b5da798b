/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What listings tell of a directory and of what is in it, to a gateway that
 * has nothing but the bucket: link counts, attributes, and the requests that
 * they take.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario.h"

#define ENTRIES 2048

static unsigned
links(struct rpcc *c, const struct nc_fh *fh)
{
	fattr3 a = { 0 };

	SOON(20000, nc_getattr(c, fh, &a), NFS3_OK);
	return a.nlink;
}

/* How many names, "." and ".." aside. */
static unsigned
list(struct rpcc *c, const struct nc_fh *dir)
{
	static struct nc_entry entries[ENTRIES];
	uint64_t cookie = 0;
	uint8_t verf[8] = { 0 };
	unsigned total = 0, count;
	bool eof = false;

	while (!eof) {
		SOON(60000, nc_readdirplus(c, dir, cookie, verf, 8192, 65536,
					   entries, ENTRIES, &count, &eof),
		     NFS3_OK);
		CHECK(count > 0 || eof);
		for (unsigned i = 0; i < count; i++) {
			total += strcmp(entries[i].name, ".") != 0 &&
				 strcmp(entries[i].name, "..") != 0;
			cookie = entries[i].cookie;
		}
	}
	return total;
}

/* ---- link counts of directories ---- */

static void
counts(struct scene *s)
{
	struct nc_fh d, a;

	object_text(s, "d/a/x", "");
	object_text(s, "d/b/", "");
	object_text(s, "d/f", "");
	object_text(s, "e/f", "");
	/* Nobody has looked: "not known", not "none". */
	CHECK(links(&s->a, &s->root) == 1);
	d = look(&s->a, s, "d");
	CHECK(links(&s->a, &d) == 1);
	CHECK(list(&s->a, &s->root) == 2 && links(&s->a, &s->root) == 4);
	CHECK(list(&s->a, &d) == 3 && links(&s->a, &d) == 4);
	/* It follows what is done here, */
	OK(nc_mkdir(&s->a, &d, "n", NULL, &a, NULL));
	CHECK(links(&s->a, &d) == 5 && links(&s->a, &a) == 2);
	OK(nc_rmdir(&s->a, &d, "n"));
	CHECK(links(&s->a, &d) == 4);
	OK(nc_rename(&s->a, &d, "a", &s->root, "a"));
	CHECK(links(&s->a, &d) == 3 && links(&s->a, &s->root) == 5);
	a = look(&s->a, s, "a");
	CHECK(links(&s->a, &a) == 1);
	OK(nc_rename(&s->a, &s->root, "a", &d, "c"));
	CHECK(links(&s->a, &d) == 4 && links(&s->a, &s->root) == 4);
	/* and what others did, when it is listed again. */
	object_text(s, "d/o/x", "");
	WITHIN(20000, list(&s->a, &d) == 4 && links(&s->a, &d) == 5);
	object_remove(s, "d/o/x");
	object_remove(s, "d/b/");
	WITHIN(20000, list(&s->a, &d) == 2 && links(&s->a, &d) == 3);
	/* One that is found gone by itself counts until then. */
	object_text(s, "d/p/x", "");
	WITHIN(20000, list(&s->a, &d) == 3 && links(&s->a, &d) == 4);
	a = look_in(&s->a, &d, "p");
	object_remove(s, "d/p/x");
	WITHIN(20000, nc_getattr(&s->a, &a, &(fattr3){ 0 }) ==
			      NFS3ERR_STALE);
	WITHIN(20000, links(&s->a, &d) == 3);
	OK(ctl_status(s, "flush --all"));
	scene_crash(s);
	CHECK(links(&s->a, &d) == 3 && links(&s->a, &s->root) == 4);
	CHECK(status_number(s, "invariant_failures") == 0);
}

/* Before it was listed nothing is counted that comes and goes. */
static void
counts_unlisted(struct scene *s)
{
	struct nc_fh d, n;
	char key[32];

	for (int i = 0; i < 1100; i++) {
		snprintf(key, sizeof(key), "d/f%d", i);
		object_text(s, key, "");
	}
	object_text(s, "d/z/x", "");
	d = look(&s->a, s, "d");
	OK(nc_mkdir(&s->a, &d, "n", NULL, &n, NULL));
	OK(nc_mkdir(&s->a, &d, "m", NULL, NULL, NULL));
	(void)look_in(&s->a, &d, "z");
	OK(nc_rmdir(&s->a, &d, "m"));
	CHECK(links(&s->a, &d) == 1 && links(&s->a, &n) == 2);
	CHECK(list(&s->a, &d) == 1102 && links(&s->a, &d) == 4);
	/* More than a page: LOOKUP finds one without a listing. */
	object_text(s, "d/y/x", "");
	WITHIN(20000, nc_lookup(&s->a, &d, "y", NULL, NULL) == NFS3_OK);
	CHECK(links(&s->a, &d) == 5);
	WITHIN(20000, list(&s->a, &d) == 1103);
	CHECK(links(&s->a, &d) == 5);
}

/* ---- what `ls -l` costs ---- */

#define FILES 1200		/* more than a page, more than max_nodes */
#define OURS 200		/* of those */

/* Calls that began, by their kind, for what is in d. */
static unsigned
asked(struct scene *s, const char *op)
{
	unsigned n = 0;

	(void)scene_calls(s, op, "", "begin");	/* reads the log */
	for (size_t i = 0; i < s->call_count; i++)
		n += strcmp(s->calls[i].op, op) == 0 &&
		     strcmp(s->calls[i].phase, "begin") == 0 &&
		     strncmp(s->calls[i].key, "d/", 2) == 0;
	return n;
}

/* A client that asks for each name, as one does whose cache is old. */
static void
stat_all(struct scene *s, const struct nc_fh *d)
{
	for (int i = 0; i < FILES; i++) {
		struct nc_fh fh;
		char name[32];
		fattr3 a;

		snprintf(name, sizeof(name), "f%04d", i);
		fh = look_in(&s->a, d, name);
		SOON(20000, nc_getattr(&s->a, &fh, &a), NFS3_OK);
	}
}

static void
list_cheaply(struct scene *s, const struct nc_fh *d, unsigned heads)
{
	unsigned lists;

	CHECK(list(&s->a, d) == FILES && asked(s, "head") == heads);
	for (int i = 0; i < 2; i++) {
		DURING(600, true);	/* attr_ttl_ms is over */
		lists = asked(s, "list");
		CHECK(list(&s->a, d) == FILES);
		CHECK(asked(s, "list") - lists <= 4);
		stat_all(s, d);
		CHECK(asked(s, "head") == heads);
	}
}

static void
heads_once(struct scene *s)
{
	struct nc_fh d;
	char text[600];
	unsigned heads;

	for (int i = OURS; i < FILES; i++) {
		snprintf(text, sizeof(text), "d/f%04d", i);
		object_text(s, text, "theirs");
	}
	d = look(&s->a, s, "d");
	for (int i = 0; i < OURS; i++) {
		struct nc_set set = { .mode_set = true, .mode = 0601 };

		snprintf(text, sizeof(text), "f%04d", i);
		SOON(20000, nc_create(&s->a, &d, text, UNCHECKED, &set, NULL,
				      NULL, NULL), NFS3_OK);
	}
	OK(ctl_status(s, "flush --all"));
	/* Whose they are is in their metadata: one HEAD each, and no more;
	 * none for those that were made here, */
	heads = asked(s, "head");
	list_cheaply(s, &d, heads + FILES - OURS);
	/* neither after a restart. */
	scene_crash(s);
	d = look(&s->a, s, "d");
	list_cheaply(s, &d, asked(s, "head"));
	/* One that has changed is asked for, alone. */
	heads = asked(s, "head");
	object_text(s, "d/f0500", "changed");
	DURING(600, true);
	list_cheaply(s, &d, heads + 1);
	CHECK(scene_calls(s, "head", "d/f0500", "begin") >= 2);
	/* The same for a gateway that has nothing but the bucket, */
	CHECK(scene_stop(s) == 0);
	snprintf(text, sizeof(text), "rm -rf %s/state && mkdir %s/state",
		 s->dir, s->dir);
	CHECK(system(text) == 0);
	scene_start(s);
	scene_reconnect(s);
	d = look(&s->a, s, "d");
	list_cheaply(s, &d, asked(s, "head") + FILES);
	/* and none where metadata does not count. */
	CHECK(scene_stop(s) == 0);
	CHECK(system(text) == 0);
	scene_set(s, "metadata", "none");
	scene_start(s);
	scene_reconnect(s);
	d = look(&s->a, s, "d");
	list_cheaply(s, &d, asked(s, "head"));
}

/* ---- where a large directory was ---- */

static unsigned
moves(struct scene *s)
{
	json_t *status = ctl(s, "status");
	unsigned n;

	CHECK(status != NULL);
	n = (unsigned)json_array_size(json_object_get(status, "moves"));
	json_decref(status);
	return n;
}

/* Its objects are still there: its name is gone and can be used, and nobody
 * pages through them. */
static void
left_large(struct scene *s)
{
	unsigned lists;
	struct nc_fh d, n, f;
	char key[32];

	for (int i = 0; i < 2500; i++) {
		snprintf(key, sizeof(key), "d/f%04d", i);
		object_text(s, key, "x");
	}
	object_text(s, "z", "");
	scene_faults(s, "op=copy hold");
	SOON(20000, nc_rename(&s->a, &s->root, "d", &s->root, "n"), NFS3_OK);
	n = look(&s->a, s, "n");
	CHECK(list(&s->a, &n) == 2500);
	WITHIN(60000, scene_calls(s, "copy", "n/f0000", "held") == 1);
	lists = scene_calls(s, "list", "d/", "begin");
	IS(nc_lookup(&s->b, &s->root, "d", NULL, NULL), NFS3ERR_NOENT);
	CHECK(list(&s->b, &s->root) == 2);
	SOON(20000, nc_mkdir(&s->b, &s->root, "d", NULL, &d, NULL), NFS3_OK);
	IS(nc_lookup(&s->b, &d, "f0100", NULL, NULL), NFS3ERR_NOENT);
	SOON(20000, nc_create(&s->b, &d, "f0100", UNCHECKED, NULL, NULL, &f,
			      NULL), NFS3_OK);
	SOON(20000, nc_mkdir(&s->b, &d, "g", NULL, NULL, NULL), NFS3_OK);
	for (int i = 0; i < 3; i++) {
		DURING(400, true);	/* what is known gets old */
		CHECK(list(&s->b, &d) == 2 && links(&s->b, &d) == 3);
		CHECK(list(&s->b, &s->root) == 3);
	}
	SOON(20000, nc_rmdir(&s->b, &d, "g"), NFS3_OK);
	CHECK(scene_calls(s, "list", "d/", "begin") - lists < 5);
	/* What others put there is found when those have gone. */
	object_text(s, "d/f9999", "theirs");
	scene_faults(s, "");
	WITHIN(120000, moves(s) == 0);
	WITHIN(20000, list(&s->b, &d) == 2);
	f = look_in(&s->b, &d, "f9999");
	CHECK(reads(&s->b, &f, "theirs"));
	CHECK(list(&s->b, &n) == 2500);
	CHECK(status_number(s, "invariant_failures") == 0);
}

SCENARIOS(
	{ "counts", "directories of a bucket that nobody has listed, then "
	  "listed, changed here and there / links are 1, then 2 and one for "
	  "each sub-directory", counts, "attr_ttl_ms=300", false },
	{ "counts-unlisted", "sub-directories come and go in a large directory "
	  "that was never listed / not counted until then", counts_unlisted,
	  "attr_ttl_ms=300", false },
	{ "heads-once", "1200 objects and a table of 1000 nodes: listed with "
	  "attributes, again, after a restart, by a new gateway / one HEAD "
	  "for each, later LISTs only", heads_once,
	  "attr_ttl_ms=500 server.max_nodes=1000", true },
	{ "left-large", "the objects of a large directory have not left its old "
	  "name yet / that is free, and costs no listing of them",
	  left_large, "attr_ttl_ms=300", true })
