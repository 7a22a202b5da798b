/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios 47 to 52: writes that Mountpoint cannot do. */
#include <config.h>
#include <stdlib.h>
#include <string.h>
#include "tests/scenario.h"

#define MIB ((uint64_t)1 << 20)

static unsigned char *
pattern(size_t len, uint32_t seed)
{
	unsigned char *p = malloc(len);

	CHECK(p != NULL);
	fill(p, len, seed);
	return p;
}

static void
shuffled(struct scene *s, size_t len, size_t chunk)
{
	unsigned char *want = pattern(len, 47);
	struct nc_fh f = create(&s->a, s, "f");
	size_t count = (len + chunk - 1) / chunk;

	for (size_t i = 0; i < count; i++) {
		size_t at = i * 7919 % count * chunk, n = len - at;

		/* Neighbours overlap. */
		n = n < chunk + 100 ? n : chunk + 100;
		OK(nc_write(&s->a, &f, at, want + at, (uint32_t)n, UNSTABLE,
			    NULL));
	}
	OK(commit(&s->a, &f));
	CHECK(reads_many(&s->b, &f, want, len));
	WITHIN(20000, object_has(s, "f", want, len));
	WITHIN(5000, scene_versions(s, "f") == 1);
	CHECK(uploads_left(s) == 0);
	free(want);
}

static void
s47(struct scene *s)
{
	shuffled(s, 3 * MIB + 4711, 20011);
}

static void
s47_parts(struct scene *s)
{
	shuffled(s, 21 * MIB + 1, 65521);
}

static void
s48(struct scene *s)
{
	size_t len = 10 * MIB + 3;
	unsigned char *want = calloc(1, len);
	struct nc_fh f = create(&s->a, s, "f");

	memcpy(want + 10 * MIB, "end", 3);
	OK(put(&s->a, &f, 10 * MIB, "end", UNSTABLE));
	CHECK(reads_many(&s->a, &f, want, len));
	OK(commit(&s->a, &f));
	CHECK(reads_many(&s->b, &f, want, len));
	WITHIN(20000, object_has(s, "f", want, len));
	CHECK(reads_many(&s->a, &f, want, len));
	free(want);
}

/* ---- a large object that is never in memory as a whole ---- */

struct large {
	uint64_t len, patch_at;
	const char *patch;
	size_t patch_len;
};

static ssize_t
large_read(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct large *l = arg;
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++) {
		uint64_t at = off + i;

		p[i] = (unsigned char)(at * 2654435761U >> 13 ^ at >> 20);
		if (at >= l->patch_at && at - l->patch_at < l->patch_len)
			p[i] = (unsigned char)l->patch[at - l->patch_at];
	}
	return (ssize_t)len;
}

static void
large_put(struct scene *s, const char *key, struct large *l)
{
	struct s3_source body = { l->len, large_read, l, NULL };
	char full[256], etag[S3_ETAG_MAX];

	snprintf(full, sizeof(full), "%s%s", s->prefix, key);
	OK(s3_put(s->s3, full, &body, NULL, NULL, etag, NULL));
}

static bool
large_is(struct scene *s, const char *key, struct large *l)
{
	size_t step = 8 * MIB;
	char full[256], *got = malloc(step), *want = malloc(step);
	bool same = got != NULL && want != NULL &&
		    object_size(s, key) == l->len;

	snprintf(full, sizeof(full), "%s%s", s->prefix, key);
	for (uint64_t at = 0; same && at < l->len; at += step) {
		size_t n = l->len - at < step ? (size_t)(l->len - at) : step;

		(void)large_read(l, at, want, n);
		same = s3_get(s->s3, full, NULL, at, got, n, NULL, NULL) ==
			       (ssize_t)n &&
		       memcmp(got, want, n) == 0;
	}
	free(got);
	free(want);
	return same;
}

static void
middle(struct scene *s, uint64_t len)
{
	static char bytes[4096];
	struct large l = { .len = len };
	struct nc_fh f;

	large_put(s, "f", &l);
	f = look(&s->a, s, "f");
	fill(bytes, sizeof(bytes), 49);
	l.patch_at = len / 2 + 1234;
	l.patch = bytes;
	l.patch_len = sizeof(bytes);
	OK(nc_write(&s->a, &f, l.patch_at, bytes, sizeof(bytes), UNSTABLE,
		    NULL));
	OK(commit(&s->a, &f));
	/* The store copies all of it. */
	WITHIN(300000, scene_versions(s, "f") == 1);
	CHECK(large_is(s, "f", &l));
	WITHIN(5000, scene_calls(s, "partcopy", "f", "done") >= 2);
	WITHIN(5000, scene_calls(s, "part", "f", "done") == 1);
	CHECK(uploads_left(s) == 0);
}

static void
s49(struct scene *s)
{
	middle(s, 1024 * MIB);
}

static void
s49_small(struct scene *s)
{
	middle(s, 48 * MIB);
}

static void
s50(struct scene *s)
{
	struct large l = { .len = 24 * MIB };
	struct nc_fh f;

	large_put(s, "f", &l);
	f = look(&s->a, s, "f");
	OK(put(&s->a, &f, 12 * MIB, "four KiB or so", UNSTABLE));
	OK(commit(&s->a, &f));
	object_put(s, "f", "foreign", 7, NULL);
	WITHIN(20000, quarantined(s, "f") == 1);
	/* The row is there a moment before the writer's handle has failed. */
	WITHIN(5000, commit(&s->a, &f) == NFS3ERR_IO);
	OK(commit(&s->a, &f));
	CHECK(object_is(s, "f", "foreign"));
	CHECK(scene_versions(s, "f") == 0);
	CHECK(uploads_left(s) == 0);
	/* The file is what the bucket has. */
	WITHIN(10000, (f = look(&s->b, s, "f"), reads(&s->b, &f, "foreign")));
}

/* One PUT, and B waits for it. */
static void
s50_put(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old bytes");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	OK(commit(&s->a, &f));
	object_put(s, "f", "foreign", 7, NULL);
	SOON(20000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_IO);
	CHECK(quarantined(s, "f") == 1);
	CHECK(object_is(s, "f", "foreign"));
	IS(put(&s->a, &f, 0, "A", UNSTABLE), NFS3ERR_IO);
	CHECK(object_is(s, "f", "foreign"));
}

static void
s51(struct scene *s)
{
	size_t len = 100000;
	unsigned char *want = pattern(len, 51);
	struct nc_fh f = make(s, "f", "old");

	OK(put_many(&s->a, &f, 0, want, len, UNSTABLE));
	CHECK(state_is(s, "f", "ACTIVE"));
	OK(nc_truncate(&s->a, &f, 50000));
	CHECK(size_of(&s->a, &f) == 50000);
	CHECK(state_is(s, "f", "ACTIVE"));
	OK(nc_truncate(&s->a, &f, 80000));
	CHECK(size_of(&s->a, &f) == 80000);
	OK(nc_truncate(&s->a, &f, 60000));
	CHECK(size_of(&s->a, &f) == 60000);
	memset(want + 50000, 0, 10000);
	CHECK(reads_many(&s->a, &f, want, 60000));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	OK(commit(&s->a, &f));
	CHECK(reads_many(&s->b, &f, want, 60000));
	WITHIN(10000, object_has(s, "f", want, 60000));
	CHECK(reads_many(&s->a, &f, want, 60000));
	free(want);
}

/* The same on a base of which only the beginning is left. */
static void
s51_base(struct scene *s)
{
	struct nc_fh f = make(s, "f", "0123456789");

	OK(put(&s->a, &f, 1, "A", UNSTABLE));
	OK(nc_truncate(&s->a, &f, 4));
	OK(nc_truncate(&s->a, &f, 8));
	CHECK(reads_many(&s->a, &f, "0A23\0\0\0\0", 8));
	OK(commit(&s->a, &f));
	CHECK(reads_many(&s->b, &f, "0A23\0\0\0\0", 8));
	WITHIN(10000, object_has(s, "f", "0A23\0\0\0\0", 8));
}

static void
s52(struct scene *s)
{
	uint64_t size = 60 * 1024 * MIB;	/* 12,000 parts of 5 MiB */
	struct nc_fh f = create(&s->a, s, "f");
	const struct scene_call *part = NULL;

	SOON(10000, nc_truncate(&s->a, &f, 1), NFS3_OK);
	IS(nc_truncate(&s->a, &f, 5 * 1024 * 1024 * MIB + 1), NFS3ERR_FBIG);
	IS(put(&s->a, &f, 5 * 1024 * 1024 * MIB, "x", UNSTABLE),
	   NFS3ERR_FBIG);
	CHECK(size_of(&s->a, &f) == 1);
	WITHIN(10000, object_size(s, "f") == 1);
	scene_faults(s, "op=part key=f hold");
	SOON(10000, nc_truncate(&s->a, &f, size), NFS3_OK);
	WITHIN(20000, scene_calls(s, "part", "f", "held") > 0);
	for (size_t i = 0; i < s->call_count; i++)
		if (strcmp(s->calls[i].op, "part") == 0)
			part = &s->calls[i];
	CHECK(part->bytes * 10000 >= size);
	/* Not sent to its end: it goes, and its upload with it. */
	for (uint64_t until = scene_now_ms() + 10000;;) {
		int r = nc_remove(&s->a, &s->root, "f");

		if (r == NFS3_OK)
			break;
		IS(r, NFS3ERR_JUKEBOX);
		CHECK(scene_now_ms() < until);
		scene_faults(s, "");
	}
	scene_faults(s, "");
	WITHIN(20000, uploads_left(s) == 0);
	WITHIN(10000, object_absent(s, "f"));
}

/* The empty file does not go out before its first WRITE, on any machine. */
#define SETTLED "create_settle_ms=20000"

SCENARIOS(
	{ "s47", "WRITEs arrive out of order / final object byte-exact", s47,
	  SETTLED, false },
	{ "s47-parts", "the same in a file of several parts", s47_parts,
	  SETTLED, false },
	{ "s48", "WRITE at 10 MiB into an empty file / hole reads zeros, "
	  "object has zeros", s48, SETTLED, false },
	{ "s49", "4 KiB overwrite in the middle of a 1 GiB object / "
	  "byte-exact, unchanged parts copied server-side", s49, NULL, true },
	{ "s49-small", "the same in 48 MiB", s49_small, NULL, false },
	{ "s50", "same, object replaced in S3 before the upload / 412, "
	  "NFS3ERR_IO, foreign object intact", s50,
	  "settle_ms=700 on_conflict=fail", false },
	{ "s50-put", "the same with one PUT, while B waits", s50_put,
	  "settle_ms=60000 on_conflict=fail", false },
	{ "s51", "SETATTR(size) down, up, down while ACTIVE / size and zeros "
	  "right", s51, SETTLED, false },
	{ "s51-base", "the same on an object that was there", s51_base, NULL,
	  false },
	{ "s52", "file larger than 10 000 parts at the base part size / part "
	  "size grows, or FBIG early, clear error", s52, "part_size=5M",
	  false })
