/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores whose listings lag behind what was written, for seconds or minutes
 * (multisite Ceph, StorageGRID), or tell other ETags than HEAD (MinIO, of what
 * it encrypts): what we did stays done, and nothing is read again.  And those
 * that sort names in a way of their own: none is taken for gone.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario.h"

#define ENTRIES 64

/* The names, sorted, each with a blank behind it; "." and ".." aside. */
static const char *
names(struct rpcc *c, const struct nc_fh *dir)
{
	static char text[4096];
	struct nc_entry entries[ENTRIES];
	uint8_t verf[8] = { 0 };
	const char *sorted[ENTRIES];
	unsigned count = 0, n = 0;
	bool eof = false;

	SOON(20000, nc_readdirplus(c, dir, 0, verf, 8192, 65536, entries,
				   ENTRIES, &count, &eof), NFS3_OK);
	CHECK(eof);
	for (unsigned i = 0; i < count; i++) {
		unsigned at = n;

		if (entries[i].name[0] == '.')
			continue;
		for (; at > 0 && strcmp(sorted[at - 1], entries[i].name) > 0;
		     at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = entries[i].name;
		n++;
	}
	text[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		strcat(text, sorted[i]);
		strcat(text, " ");
	}
	return text;
}

static bool
same(const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		fprintf(stderr, "names: %s\n", got);
	return strcmp(got, want) == 0;
}

static void
give(struct scene *s, const struct nc_fh *dir, const char *name,
     const char *text)
{
	struct nc_fh f;

	SOON(20000, nc_create(&s->a, dir, name, UNCHECKED, NULL, NULL, &f,
			      NULL), NFS3_OK);
	SOON(20000, nc_truncate(&s->a, &f, 0), NFS3_OK);
	SOON(20000, put(&s->a, &f, 0, text, UNSTABLE), NFS3_OK);
	OK(commit(&s->a, &f));
}

static bool
has_bytes(struct scene *s, const struct nc_fh *dir, const char *name,
	  const char *text)
{
	struct nc_fh f = look_in(&s->b, dir, name);

	return reads(&s->b, &f, text);
}

static void
lags(struct scene *s)
{
	unsigned gets;
	struct nc_fh d, e;

	object_text(s, "d/changed", "one");
	object_text(s, "d/gone", "to be removed");
	object_text(s, "d/moved", "to be renamed");
	object_text(s, "e/f", "all that e has");
	DURING(1100, true);	/* stores tell whole seconds */
	scene_faults(s, "op=list stale");
	CHECK(same(names(&s->b, &s->root), "d e "));
	d = look(&s->a, s, "d");
	e = look(&s->a, s, "e");
	CHECK(same(names(&s->b, &d), "changed gone moved "));
	CHECK(same(names(&s->b, &e), "f "));

	give(s, &d, "new", "that nobody lists");
	give(s, &d, "changed", "two, and longer");
	SOON(20000, nc_remove(&s->a, &d, "gone"), NFS3_OK);
	SOON(20000, nc_rename(&s->a, &d, "moved", &d, "there"), NFS3_OK);
	SOON(20000, nc_mkdir(&s->a, &s->root, "m", NULL, NULL, NULL), NFS3_OK);
	SOON(20000, nc_remove(&s->a, &e, "f"), NFS3_OK);
	SOON(20000, nc_rmdir(&s->a, &s->root, "e"), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(has_bytes(s, &d, "there", "to be renamed"));
	gets = scene_calls(s, "get", "d/*", "begin");
	for (int i = 0; i < 4; i++) {
		DURING(400, true);	/* what is known gets old */
		CHECK(same(names(&s->b, &s->root), "d m "));
		CHECK(same(names(&s->b, &d), "changed new there "));
		CHECK(has_bytes(s, &d, "changed", "two, and longer"));
		CHECK(has_bytes(s, &d, "new", "that nobody lists"));
		CHECK(has_bytes(s, &d, "there", "to be renamed"));
		CHECK(!has_name(&s->b, &d, "gone") && !has_name(&s->b, &d, "moved"));
		CHECK(!has_name(&s->b, &s->root, "e"));
	}
	CHECK(scene_calls(s, "get", "d/*", "begin") == gets);
	give(s, &d, "changed", "three");
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "d/changed", "three"));
	CHECK(status_number(s, "conflicts") == 0);

	/* The lag ends; what comes from others is seen. */
	scene_faults(s, "");
	object_text(s, "d/gone", "back again");
	object_text(s, "e/f", "this too");
	WITHIN(5000, strcmp(names(&s->b, &d), "changed gone new there ") == 0);
	WITHIN(5000, strcmp(names(&s->b, &s->root), "d e m ") == 0);
	CHECK(has_bytes(s, &d, "gone", "back again"));
	object_text(s, "d/changed", "theirs");
	WITHIN(5000, has_bytes(s, &d, "changed", "theirs"));
	object_remove(s, "d/new");
	WITHIN(5000, strcmp(names(&s->b, &d), "changed gone there ") == 0);
	CHECK(status_number(s, "invariant_failures") == 0);
}

/* Does one more listing ask for nothing? */
static bool
asks_no_more(struct scene *s, const struct nc_fh *d)
{
	unsigned heads = scene_calls(s, "head", "d/*", "begin");

	DURING(400, true);
	CHECK(same(names(&s->b, d), "a b "));
	return scene_calls(s, "head", "d/*", "begin") == heads;
}

static void
other_etags(struct scene *s)
{
	unsigned gets;
	struct nc_fh d;

	object_text(s, "d/a", "one");
	object_text(s, "d/b", "two");
	scene_faults(s, "op=list etags");
	d = look(&s->a, s, "d");
	CHECK(same(names(&s->b, &d), "a b "));
	CHECK(has_bytes(s, &d, "a", "one") && has_bytes(s, &d, "b", "two"));
	gets = scene_calls(s, "get", "d/*", "begin");
	WITHIN(5000, asks_no_more(s, &d));
	CHECK(has_bytes(s, &d, "a", "one") && has_bytes(s, &d, "b", "two"));
	CHECK(scene_calls(s, "get", "d/*", "begin") == gets);
	give(s, &d, "a", "ours");
	OK(ctl_status(s, "flush --all"));
	CHECK(same(names(&s->b, &d), "a b "));
	DURING(400, true);
	CHECK(same(names(&s->b, &d), "a b "));
	give(s, &d, "a", "ours again");
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "d/a", "ours again"));
	CHECK(status_number(s, "conflicts") == 0);
	object_text(s, "d/b", "theirs");
	WITHIN(5000, has_bytes(s, &d, "b", "theirs"));
}

static bool
all_there(struct scene *s, const struct nc_fh *d, const char *want)
{
	static const char *const list[] = { "Ab", "Cc", "E", "Zed", "bb", "dd",
					    "f" };
	bool ok = same(names(&s->b, d), want);

	for (size_t i = 0; ok && i < sizeof(list) / sizeof(*list); i++) {
		if (strstr(want, list[i]) != NULL)
			ok = has_bytes(s, d, list[i], list[i]);
	}
	return ok;
}

static void
other_order(struct scene *s)
{
	static const char *const list[] = { "d/Ab", "d/bb", "d/Cc", "d/dd",
					    "d/E", "d/f", "d/Zed" };
	struct nc_fh d, e, zed, found;

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		object_text(s, list[i], list[i] + 2);
	scene_faults(s, "op=list caseless");
	d = look(&s->a, s, "d");
	CHECK(all_there(s, &d, "Ab Cc E Zed bb dd f "));
	e = look_in(&s->a, &d, "E");
	zed = look_in(&s->a, &d, "Zed");
	for (int i = 0; i < 3; i++) {
		DURING(400, true);	/* what is known gets old */
		CHECK(all_there(s, &d, "Ab Cc E Zed bb dd f "));
	}
	CHECK(reads(&s->b, &e, "E") && reads(&s->b, &zed, "Zed"));
	CHECK(status_number(s, "unordered") == 1);
	CHECK(scene_logged(s, "in another order") == 1);

	object_remove(s, "d/E");
	object_remove(s, "d/bb");
	WITHIN(5000, strcmp(names(&s->b, &d), "Ab Cc Zed dd f ") == 0);
	object_text(s, "d/E", "E");
	WITHIN(5000, strcmp(names(&s->b, &d), "Ab Cc E Zed dd f ") == 0);
	CHECK(reads(&s->b, &zed, "Zed"));

	/* The directory goes elsewhere, with a kill between its pages. */
	scene_kill(s);
	scene_env(s, "S3NFSD_FAIL", "dirmove-page-after-commit:1");
	scene_start(s);
	scene_reconnect(s);
	object_text(s, "d/a-new", "met by nobody");
	(void)nc_rename(&s->a, &s->root, "d", &s->root, "to");
	scene_wait_dead(s, 20000);
	scene_env(s, "S3NFSD_FAIL", NULL);
	scene_start(s);
	scene_reconnect(s);
	found = look(&s->a, s, "to");
	CHECK(all_there(s, &found, "Ab Cc E Zed a-new dd f "));
	WITHIN(20000, object_absent(s, "d/Ab") && object_is(s, "to/Ab", "Ab") &&
		      object_is(s, "to/a-new", "met by nobody"));
	OK(ctl_status(s, "flush --all"));
	CHECK(objects(s) == 7);
	CHECK(!has_name(&s->b, &s->root, "d"));
	CHECK(all_there(s, &found, "Ab Cc E Zed a-new dd f "));
	CHECK(status_number(s, "invariant_failures") == 0);
}

/* What was deleted is told by listings, also by those of the next start. */
static void
forgets_nothing(struct scene *s)
{
	char rule[512];
	struct nc_fh d, e, n;

	object_text(s, "d/x", "to go");
	object_text(s, "e/sub/y", "this too");
	object_text(s, "f", "a file");
	d = look(&s->a, s, "d");
	e = look(&s->a, s, "e");
	CHECK(same(names(&s->b, &s->root), "d e f "));
	SOON(20000, nc_remove(&s->a, &d, "x"), NFS3_OK);
	SOON(20000, nc_rmdir(&s->a, &s->root, "d"), NFS3_OK);
	n = look_in(&s->a, &e, "sub");
	SOON(20000, nc_remove(&s->a, &n, "y"), NFS3_OK);
	SOON(20000, nc_rmdir(&s->a, &e, "sub"), NFS3_OK);
	SOON(20000, nc_rmdir(&s->a, &s->root, "e"), NFS3_OK);
	SOON(20000, nc_remove(&s->a, &s->root, "f"), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(objects(s) == 0);
	/* A file and its directory, a directory alone (radosgw), a file. */
	snprintf(rule, sizeof(rule), "op=list ghosts=%sd/x,%se/,%sf,",
		 s->prefix, s->prefix, s->prefix);
	scene_faults(s, rule);
	for (int i = 0; i < 3; i++) {
		DURING(400, true);
		CHECK(same(names(&s->b, &s->root), ""));
		if (i == 1)
			scene_crash(s);
	}
	CHECK(!has_name(&s->b, &s->root, "d") &&
	      !has_name(&s->b, &s->root, "e") &&
	      !has_name(&s->b, &s->root, "f"));
	/* Somebody else makes them anew. */
	object_text(s, "d/x", "again");
	object_text(s, "e/z", "another");
	WITHIN(5000, strcmp(names(&s->b, &s->root), "d e ") == 0);
	d = look(&s->b, s, "d");
	CHECK(has_bytes(s, &d, "x", "again"));
	scene_faults(s, "");
	CHECK(status_number(s, "invariant_failures") == 0);
}

/* A directory whose files were just changed is renamed; the listing of all
 * that is below it is of the time before. */
static void
dirmove_lags(struct scene *s)
{
	static const char *const all = "changed new old sub there ";
	char rule[512];
	struct nc_fh d, e, sub;

	object_text(s, "d/changed", "one");
	object_text(s, "d/gone", "to be removed");
	object_text(s, "d/moved", "to be renamed");
	object_text(s, "d/old", "as it was");
	object_text(s, "d/sub/deep", "as it was");
	DURING(1100, true);	/* stores tell whole seconds */
	scene_faults(s, "op=list stale");
	d = look(&s->a, s, "d");
	CHECK(same(names(&s->b, &s->root), "d "));
	CHECK(same(names(&s->b, &d), "changed gone moved old sub "));
	/* Refused, after a look at all that it has. */
	SOON(20000, nc_rename(&s->a, &s->root, "d", &d, "longer"),
	     NFS3ERR_INVAL);
	give(s, &d, "new", "that nobody lists");
	give(s, &d, "changed", "two, and longer");
	SOON(20000, nc_remove(&s->a, &d, "gone"), NFS3_OK);
	SOON(20000, nc_rename(&s->a, &d, "moved", &d, "there"), NFS3_OK);
	OK(ctl_status(s, "flush --all"));

	SOON(20000, nc_rename(&s->a, &s->root, "d", &s->root, "e"), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	e = look(&s->b, s, "e");
	for (int i = 0; i < 4; i++) {
		CHECK(same(names(&s->b, &s->root), "e "));
		CHECK(same(names(&s->b, &e), all));
		CHECK(has_bytes(s, &e, "changed", "two, and longer"));
		CHECK(has_bytes(s, &e, "new", "that nobody lists"));
		CHECK(has_bytes(s, &e, "there", "to be renamed"));
		CHECK(!has_name(&s->b, &s->root, "d"));
		DURING(400, true);
	}
	CHECK(objects(s) == 5);
	CHECK(object_is(s, "e/new", "that nobody lists") &&
	      object_is(s, "e/changed", "two, and longer") &&
	      object_is(s, "e/there", "to be renamed") &&
	      object_is(s, "e/old", "as it was") &&
	      object_is(s, "e/sub/deep", "as it was"));

	/* The next start's listings are behind as well. */
	snprintf(rule, sizeof(rule), "op=list ghosts=%sd/old,%sd/sub/deep,",
		 s->prefix, s->prefix);
	scene_faults(s, rule);
	scene_crash(s);
	e = look(&s->b, s, "e");
	sub = look_in(&s->b, &e, "sub");
	for (int i = 0; i < 3; i++) {
		CHECK(same(names(&s->b, &s->root), "e "));
		CHECK(same(names(&s->b, &e), all));
		CHECK(same(names(&s->b, &sub), "deep "));
		DURING(400, true);
	}
	CHECK(objects(s) == 5);
	scene_faults(s, "");
	WITHIN(15000, scene_logged(s, "a renamed directory has moved") > 0);
	object_text(s, "d/new", "of others");
	WITHIN(5000, strcmp(names(&s->b, &s->root), "d e ") == 0);
	CHECK(same(names(&s->b, &e), all));
	CHECK(status_number(s, "conflicts") == 0);
	CHECK(status_number(s, "invariant_failures") == 0);
}

/* The names below the long one's directory: five of 200. */
static struct nc_fh
deepest(struct scene *s, const struct nc_fh *top, char part[201])
{
	struct nc_fh at = *top;

	for (int i = 0; i < 4; i++)
		at = look_in(&s->b, &at, part);
	return at;
}

static void
too_long(struct scene *s)
{
	char part[201], longer[121], key[1400];
	struct nc_fh d, deep;

	memset(part, 'z', 200);
	part[200] = '\0';
	memset(longer, 'l', 120);
	longer[120] = '\0';
	for (int i = 0; i < 12; i++) {
		snprintf(key, sizeof(key), "d/a%02d", i);
		object_text(s, key, "short");
	}
	snprintf(key, sizeof(key), "d/%s/%s/%s/%s/f", part, part, part, part);
	memset(key + strlen(key), 'f', 120);
	key[2 + 4 * 201 + 121] = '\0';
	object_text(s, key, "far below");
	/* Pages of three, so that a rename does not see it before. */
	scene_faults(s, "op=list caseless");
	d = look(&s->a, s, "d");
	SOON(20000, nc_rename(&s->a, &s->root, "d", &s->root, longer),
	     NFS3_OK);
	WITHIN(20000, objects(s) == 13 && object_absent(s, "d/a00"));
	WITHIN(20000, scene_logged(s, "stays under its old key") == 1);
	deep = deepest(s, &d, part);
	DURING(2500, true);	/* it is tried again */
	CHECK(has_bytes(s, &deep, key + 2 + 4 * 201, "far below"));
	CHECK(scene_logged(s, "longer than a key") == 1);
	CHECK(object_is(s, key, "far below"));
	CHECK(!has_name(&s->b, &s->root, "d"));

	/* Shorter again: all of it follows. */
	SOON(20000, nc_rename(&s->a, &s->root, longer, &s->root, "e"),
	     NFS3_OK);
	key[0] = 'e';
	WITHIN(40000, object_is(s, key, "far below"));
	WITHIN(40000, object_is(s, "e/a11", "short"));
	WITHIN(40000, objects(s) == 13);
	CHECK(has_bytes(s, &deep, key + 2 + 4 * 201, "far below"));
}

#define MANY 70

static void
many_lag(struct scene *s)
{
	char rule[900] = "op=list ghosts=", key[16];
	struct nc_fh d;

	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "d/%02d", i);
		object_text(s, key, "to go");
		snprintf(rule + strlen(rule), sizeof(rule) - strlen(rule),
			 "%s,", key);
	}
	d = look(&s->a, s, "d");
	CHECK(names_in(&s->a, &d) == MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "%02d", i);
		SOON(20000, nc_remove(&s->a, &d, key), NFS3_OK);
	}
	OK(ctl_status(s, "flush --all"));
	/* Of the bucket as a whole. */
	if (s->prefix[0] == '\0')
		scene_faults(s, rule);
	SOON(20000, nc_rmdir(&s->a, &s->root, "d"), NFS3_OK);
	for (int i = 0; i < 3; i++) {
		CHECK(same(names(&s->b, &s->root), ""));
		DURING(400, true);
	}
	CHECK(objects(s) == 0);
}

SCENARIOS(
	{ "list-lags", "listings are of the time before our PUTs, DELETEs and "
	  "renames / what we did stays done, nothing is read again", lags,
	  "attr_ttl_ms=300 settle_ms=50", false },
	{ "list-etags", "listings tell other ETags than HEAD / nothing is asked "
	  "or read again for that, and nothing is a conflict", other_etags,
	  "attr_ttl_ms=300 settle_ms=50", false },
	{ "list-unordered", "pages are not in the order of bytes, and begin "
	  "where they like / no name goes for that, outside changes are seen, "
	  "mv of a directory takes all", other_order,
	  "attr_ttl_ms=300 settle_ms=50", false },
	{ "list-ghosts", "what we deleted is still listed, kill / it is not "
	  "there, neither before nor after the next start", forgets_nothing,
	  "attr_ttl_ms=300 settle_ms=50", false },
	{ "list-lag-move", "mv of a directory whose listing is of the time "
	  "before its files were changed, kill / all of it moves as it is, "
	  "nothing comes back", dirmove_lags,
	  "attr_ttl_ms=300 settle_ms=50", false },
	{ "list-too-long", "mv of a directory with a key far below that is too "
	  "long then / the rest moves, that file is read where it is and told "
	  "once, and follows a shorter name", too_long,
	  "attr_ttl_ms=300 settle_ms=50", false },
	{ "list-lag-many", "rm of 70 files that are still listed, rmdir / it is "
	  "empty, and gone", many_lag, "attr_ttl_ms=300 settle_ms=50",
	  false })
