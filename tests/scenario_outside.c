/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other tools work in the same bucket: what is seen of that and when, and
 * what becomes of a file that was changed here and there.
 */

#include <config.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario.h"

#define MB ((size_t)1 << 20)

/* ---- both changed it ---- */

struct beside {
	char key[512];
	unsigned count;
};

static int
one_beside(void *arg, const struct s3_entry *e)
{
	struct beside *b = arg;

	if (!e->is_prefix && strstr(e->key, ".conflict-") != NULL) {
		snprintf(b->key, sizeof(b->key), "%s", e->key);
		b->count++;
	}
	return 0;
}

/* The key, below the prefix, of what was put beside; "" if nothing was. */
static const char *
beside(struct scene *s)
{
	static struct beside b;
	const struct s3_list list = { .prefix = s->prefix };
	char *next = NULL;

	b = (struct beside){ 0 };
	CHECK(s3_list_page(s->s3, &list, one_beside, &b, &next, NULL) == 0);
	free(next);
	CHECK(b.count <= 1);
	return b.count == 0 ? "" : b.key + strlen(s->prefix);
}

static void
keep_both(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g;

	OK(nc_truncate(&s->a, &f, 0));
	OK(put(&s->a, &f, 0, "written here", UNSTABLE));
	OK(commit(&s->a, &f));
	object_put(s, "f", "put there", 9, NULL);
	WITHIN(20000, beside(s)[0] != '\0');
	CHECK(strncmp(beside(s), "f.conflict-a", 12) == 0);
	CHECK(object_is(s, beside(s), "written here"));
	CHECK(object_is(s, "f", "put there"));
	WITHIN(10000, status_number(s, "conflicts") == 1);
	CHECK(status_number(s, "quarantined") == 0);
	WITHIN(1000, scene_logged(s, "ours is beside it") == 1);
	/* The writer is told once; the name is theirs, for all. */
	WITHIN(10000, (g = look(&s->b, s, "f"), reads(&s->b, &g, "put there")));
	IS(commit(&s->a, &f), NFS3ERR_IO);
	OK(commit(&s->a, &f));
	WITHIN(10000, nc_lookup(&s->b, &s->root, beside(s), &g, NULL) ==
			      NFS3_OK);
	CHECK(reads(&s->b, &g, "written here"));
}

static void
keep_both_large(struct scene *s)
{
	size_t len = 24 * MB;
	unsigned char *data = malloc(len);
	struct nc_fh f;

	CHECK(data != NULL);
	fill(data, len, 3);
	object_put(s, "f", data, len, NULL);
	f = look(&s->a, s, "f");
	/* All of the old bytes are at hand, but not in the bucket. */
	CHECK(reads_many(&s->a, &f, data, len));
	memcpy(data + 9 * MB, "changed here", 12);
	OK(put(&s->a, &f, 9 * MB, "changed here", UNSTABLE));
	OK(commit(&s->a, &f));
	object_put(s, "f", "theirs", 6, NULL);
	WITHIN(30000, beside(s)[0] != '\0');
	CHECK(object_has(s, beside(s), data, len));
	CHECK(object_is(s, "f", "theirs"));
	CHECK(uploads_left(s) == 0);
	free(data);
}

static void
keep_both_parts_gone(struct scene *s)
{
	size_t len = 24 * MB;
	unsigned char *data = malloc(len);
	struct nc_fh f;

	CHECK(data != NULL);
	fill(data, len, 3);
	object_put(s, "f", data, len, NULL);
	f = look(&s->a, s, "f");
	OK(put(&s->a, &f, 9 * MB, "changed here", UNSTABLE));
	OK(commit(&s->a, &f));
	object_put(s, "f", "theirs", 6, NULL);
	WITHIN(30000, quarantined(s, "f") == 1);
	CHECK(object_is(s, "f", "theirs"));
	CHECK(beside(s)[0] == '\0');
	WITHIN(1000, status_number(s, "conflicts") == 1);
	free(data);
}

static void
removed_there(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(nc_truncate(&s->a, &f, 0));
	OK(put(&s->a, &f, 0, "written here", UNSTABLE));
	OK(commit(&s->a, &f));
	object_remove(s, "f");
	WITHIN(20000, object_is(s, "f", "written here"));
	WITHIN(10000, state_is(s, "f", ""));
	WITHIN(1000, status_number(s, "conflicts") == 1);
	CHECK(beside(s)[0] == '\0');
	OK(commit(&s->a, &f));
	CHECK(reads(&s->b, &f, "written here"));
}

static void
made_on_both_sides(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "f");

	OK(put(&s->a, &f, 0, "made here", UNSTABLE));
	OK(commit(&s->a, &f));
	object_put(s, "f", "made there", 10, NULL);
	WITHIN(20000, beside(s)[0] != '\0');
	CHECK(object_is(s, beside(s), "made here"));
	CHECK(object_is(s, "f", "made there"));
}

static void
overwrite(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(nc_truncate(&s->a, &f, 0));
	OK(put(&s->a, &f, 0, "written here", UNSTABLE));
	OK(commit(&s->a, &f));
	object_put(s, "f", "put there", 9, NULL);
	WITHIN(20000, object_is(s, "f", "written here"));
	WITHIN(10000, state_is(s, "f", ""));
	WITHIN(1000, status_number(s, "conflicts") == 1);
	CHECK(status_number(s, "quarantined") == 0);
	OK(commit(&s->a, &f));
}

/* ---- they changed it, we look ---- */

/* The whole directory, page by page; how many names, and is this one there? */
static unsigned
list(struct scene *s, const char *name, bool *found)
{
	struct nc_entry entries[64];
	uint8_t verf[8] = { 0 };
	uint64_t cookie = 0;
	unsigned n = 0, count;
	bool eof = false;

	*found = false;
	while (!eof) {
		OK(nc_readdirplus(&s->a, &s->root, cookie, verf, 4096, 8192,
				  entries, 64, &count, &eof));
		for (unsigned i = 0; i < count; i++)
			*found |= strcmp(entries[i].name, name) == 0;
		if (count > 0)
			cookie = entries[count - 1].cookie;
		n += count;
	}
	return n;
}

static bool
listed(struct scene *s, const char *name)
{
	bool found;

	(void)list(s, name, &found);
	return found;
}

static unsigned
heads(struct scene *s)
{
	unsigned n = 0;

	(void)scene_calls(s, "head", "", "begin");
	for (size_t i = 0; i < s->call_count; i++)
		n += strcmp(s->calls[i].op, "head") == 0 &&
		     strcmp(s->calls[i].phase, "begin") == 0;
	return n;
}

static void
seen(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g;
	fattr3 before, after;

	CHECK(reads(&s->a, &f, "old"));
	OK(nc_getattr(&s->a, &f, &before));
	object_put(s, "f", "newer", 5, NULL);
	WITHIN(3000, nc_getattr(&s->a, &f, &after) == NFS3_OK &&
			     after.size == 5);
	CHECK(after.fileid == before.fileid);
	CHECK(reads(&s->a, &f, "newer"));
	object_put(s, "added", "added", 5, NULL);
	WITHIN(3000, listed(s, "added"));
	OK(nc_lookup(&s->a, &s->root, "added", &g, NULL));
	IS(nc_lookup(&s->a, &s->root, "later", &g, NULL), NFS3ERR_NOENT);
	object_put(s, "later", "later", 5, NULL);
	WITHIN(3000, nc_lookup(&s->a, &s->root, "later", &g, NULL) == NFS3_OK);
	object_remove(s, "f");
	WITHIN(3000, nc_lookup(&s->a, &s->root, "f", &g, NULL) ==
			     NFS3ERR_NOENT);
	WITHIN(3000, !listed(s, "f"));
	WITHIN(3000, nc_getattr(&s->a, &f, &after) == NFS3ERR_STALE);
}

static void
no_storm(struct scene *s)
{
	char name[16];
	bool found;

	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%03u", i);
		object_put(s, name, name, 4, NULL);
	}
	/* With attributes, three times, with attr_ttl_ms past in between. */
	for (unsigned i = 0; i < 3; i++) {
		CHECK(list(s, "f199", &found) == 202);
		CHECK(found);
		DURING(300, true);
	}
	for (unsigned i = 0; i < 200; i++) {
		struct nc_fh f;
		fattr3 attr;

		snprintf(name, sizeof(name), "f%03u", i);
		f = look(&s->a, s, name);
		OK(nc_getattr(&s->a, &f, &attr));
	}
	/* One HEAD for each at most: what it says does not change. */
	CHECK(heads(s) <= 200);
}

static void
refresh(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g;
	fattr3 attr;

	CHECK(reads(&s->a, &f, "old"));
	IS(nc_lookup(&s->a, &s->root, "g", &g, NULL), NFS3ERR_NOENT);
	object_put(s, "f", "newer", 5, NULL);
	object_put(s, "g", "g", 1, NULL);
	OK(nc_getattr(&s->a, &f, &attr));
	CHECK(attr.size == 3);
	CHECK(ctl_status(s, "refresh %s", s->export) == 0);
	OK(nc_getattr(&s->a, &f, &attr));
	CHECK(attr.size == 5);
	CHECK(reads(&s->a, &f, "newer"));
	OK(nc_lookup(&s->a, &s->root, "g", &g, NULL));
}

/* A listing is on its way, with what was there before. */
/* The listing of the top; without a prefix its key is told as "-". */
static bool
top_is_held(struct scene *s)
{
	return scene_calls(s, "list", "", "held") +
	       scene_calls(s, "list", "-", "held") > 0;
}

static void
refresh_beside(struct scene *s)
{
	LOOKUP3args args = { 0 };
	LOOKUP3res res = { 0 };
	struct nc_fh g;

	object_put(s, "f", "f", 1, NULL);
	scene_faults(s, "op=list hold_after");
	args.what.dir.data.data_len = s->root.len;
	args.what.dir.data.data_val = (char *)s->root.data;
	args.what.name = (char *)(uintptr_t)"g";
	CHECK(rpcc_send(&s->b, 77, NFS3_PROGRAM, NFS_V3, NFSPROC3_LOOKUP,
			(xdrproc_t)xdr_LOOKUP3args, &args) == 0);
	WITHIN(5000, top_is_held(s));
	object_put(s, "g", "g", 1, NULL);
	CHECK(ctl_status(s, "refresh %s", s->export) == 0);
	scene_faults(s, "");
	CHECK(rpcc_result(&s->b, 77, 20000, (xdrproc_t)xdr_LOOKUP3res,
			  &res) == 0);
	xdr_free((xdrproc_t)xdr_LOOKUP3res, (char *)&res);
	SOON(5000, nc_lookup(&s->a, &s->root, "g", &g, NULL), NFS3_OK);
}

static void
one_version(struct scene *s)
{
	size_t len = 24 * MB;
	unsigned char *data = malloc(len), buf[65536];
	struct nc_fh f;
	uint32_t got;
	bool eof;

	CHECK(data != NULL);
	memset(data, 'a', len);
	object_put(s, "f", data, len, NULL);
	f = look(&s->a, s, "f");
	OK(nc_read(&s->a, &f, 0, buf, sizeof(buf), &got, &eof));
	for (unsigned round = 0; round < 6; round++) {
		memset(data, 'b' + (int)round, len);
		object_put(s, "f", data, len, NULL);
		/* Across a boundary of what is fetched at once. */
		for (uint64_t off = 8 * MB - 32768; off < len;
		     off += 8 * MB) {
			int r = nc_read(&s->a, &f, off, buf, sizeof(buf), &got,
					&eof);

			CHECK(r == NFS3_OK || r == NFS3ERR_JUKEBOX);
			for (uint32_t i = 1; r == NFS3_OK && i < got; i++)
				CHECK(buf[i] == buf[0]);
		}
	}
	free(data);
}

SCENARIOS(
	{ "keep-both", "changed here and there / theirs has the name, ours "
	  "is beside it, the writer gets NFS3ERR_IO once", keep_both,
	  "settle_ms=700", false },
	{ "keep-both-large", "the same, and what is not changed is only "
	  "cached", keep_both_large, "settle_ms=1500", false },
	{ "keep-both-gone", "changed in a part here, replaced there / the "
	  "rest is gone: quarantine", keep_both_parts_gone, "settle_ms=700",
	  false },
	{ "removed-there", "written here, removed there / ours has the name",
	  removed_there, "settle_ms=700", false },
	{ "made-twice", "made here and there / both are there",
	  made_on_both_sides, "settle_ms=700 create_settle_ms=5000", false },
	{ "overwrite", "on_conflict=overwrite / ours, and it is counted",
	  overwrite, "settle_ms=700 on_conflict=overwrite", false },
	{ "outside-seen", "an object is replaced, added, removed / seen "
	  "within attr_ttl_ms, by name, handle and listing; the fileid stays",
	  seen, "attr_ttl_ms=200", false },
	{ "outside-no-storm", "200 objects looked at again and again / one "
	  "HEAD for each", no_storm, "attr_ttl_ms=200", false },
	{ "outside-refresh", "s3nfsctl refresh / what was changed is seen at "
	  "once", refresh, "attr_ttl_ms=600000", false },
	{ "outside-refresh-beside", "s3nfsctl refresh beside a listing that is "
	  "under way / that one is not believed", refresh_beside,
	  "attr_ttl_ms=600000", false },
	{ "outside-one-version", "an object is replaced while it is read / no "
	  "READ has bytes of two", one_version, "attr_ttl_ms=0", false })
