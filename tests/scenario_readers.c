/* SPDX-License-Identifier: Apache-2.0 */
/* Readers beside writers, and what they see: scenarios 27 to 34. */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/scenario.h"

#define READERS 12
#define READER_LEASE_MS 5000	/* in strict mode */

/* A READ of a few bytes at the start. */
static int
glance(struct rpcc *c, const struct nc_fh *f)
{
	return nc_read(c, f, 0, NULL, 4, NULL, NULL);
}

static void
s27(struct scene *s)
{
	size_t len = 3 << 20;
	unsigned char *data = malloc(len), buf[65536];
	struct rpcc clients[READERS];
	uint32_t xid[READERS], got;
	struct nc_fh f;

	CHECK(data != NULL);
	fill(data, len, 27);
	object_put(s, "f", data, len, NULL);
	f = look(&s->a, s, "f");
	for (unsigned i = 0; i < READERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "reader%u", i);
		scene_client(s, &clients[i], 20 + i, name);
	}
	for (uint64_t off = 0; off < len; off += 65536) {
		for (unsigned i = 0; i < READERS; i++) {
			xid[i] = rpcc_xid(&clients[i]);
			OK(nc_read_send(&clients[i], xid[i], &f, off, 65536));
		}
		for (unsigned i = 0; i < READERS; i++) {
			OK(nc_read_recv(&clients[i], xid[i], 60000, buf,
					sizeof(buf), &got, NULL, NULL));
			CHECK(got == 65536 &&
			      memcmp(buf, data + off, 65536) == 0);
		}
	}
	/* Each byte came from the bucket once. */
	CHECK(scene_calls(s, "get", "f", "begin") <= 2);
	for (unsigned i = 0; i < READERS; i++)
		rpcc_close(&clients[i]);
	free(data);
}

static bool
all_from(const unsigned char *got, uint32_t len, const unsigned char *data,
	 uint64_t off)
{
	return memcmp(got, data + off, len) == 0;
}

static void
s28(struct scene *s)
{
	size_t len = 2 << 20, half = len / 2;
	unsigned char *old = malloc(len), *new = malloc(len);
	unsigned char buf[65536];
	struct nc_fh f;
	uint32_t got;

	CHECK(old != NULL && new != NULL);
	fill(old, len, 1);
	fill(new, len, 2);
	object_put(s, "f", old, len, NULL);
	f = look(&s->a, s, "f");
	for (uint64_t off = 0; off < len; off += got) {
		if (off == half)
			OK(put_many(&s->a, &f, 0, new, len, UNSTABLE));
		OK(nc_read(&s->b, &f, off, buf, sizeof(buf), &got, NULL));
		CHECK(got > 0 && all_from(buf, got, old, off));
	}
	CHECK(reads_many(&s->a, &f, new, len));
	CHECK(reads_many(&s->b, &f, old, len));
	OK(commit(&s->a, &f));
	CHECK(reads_many(&s->b, &f, new, len));
	WITHIN(10000, object_has(s, "f", new, len));
	free(old);
	free(new);
}

static void
s29(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint64_t since;

	OK(glance(&s->b, &f));
	since = scene_now_ms();
	BUSY(s, put(&s->a, &f, 0, "new", UNSTABLE));
	CHECK(reads(&s->b, &f, "old"));
	WITHIN(READER_LEASE_MS + 5000,
	       put(&s->a, &f, 0, "new", UNSTABLE) == NFS3_OK);
	CHECK(scene_now_ms() - since >= READER_LEASE_MS);
	SOON(10000, commit(&s->a, &f), NFS3_OK);
	CHECK(object_is(s, "f", "new"));
}

static void
s30(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint64_t until;

	OK(glance(&s->b, &f));
	until = scene_now_ms() + READER_LEASE_MS + 50;
	while (scene_now_ms() < until)
		scene_pause();
	/* The first attempt, and B has sent nothing since. */
	OK(nc_truncate(&s->a, &f, 0));
	WITHIN(10000, object_is(s, "f", ""));
}

static void
s31(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint64_t until = scene_now_ms() + READER_LEASE_MS + 1500;

	OK(glance(&s->b, &f));
	while (scene_now_ms() < until) {
		OK(glance(&s->c, &f));
		BUSY(s, put(&s->a, &f, 0, "new", UNSTABLE));
		for (int i = 0; i < 100; i++)
			scene_pause();
	}
	/* Now C is idle too. */
	WITHIN(READER_LEASE_MS + 5000,
	       put(&s->a, &f, 0, "new", UNSTABLE) == NFS3_OK);
	SOON(10000, commit(&s->a, &f), NFS3_OK);
}

static void
s32(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint64_t until;

	OK(glance(&s->a, &f));
	until = scene_now_ms() + READER_LEASE_MS + 50;
	while (scene_now_ms() < until)
		scene_pause();
	CHECK(reads(&s->a, &f, "old"));
	/* It is a reader again: a writer has to wait anew. */
	BUSY(s, put(&s->b, &f, 0, "new", UNSTABLE));
}

static bool
same_times(const fattr3 *x, const fattr3 *y)
{
	return x->mtime.seconds == y->mtime.seconds &&
	       x->mtime.nseconds == y->mtime.nseconds &&
	       x->ctime.seconds == y->ctime.seconds &&
	       x->ctime.nseconds == y->ctime.nseconds;
}

static void
s33(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	fattr3 before, during, own, after;

	OK(put(&s->a, &f, 0, "flushed", UNSTABLE));
	OK(commit(&s->a, &f));
	OK(nc_getattr(&s->b, &f, &before));
	CHECK(before.size == 7);
	OK(put(&s->a, &f, 0, "not committed", UNSTABLE));
	CHECK(reads(&s->b, &f, "flushed"));
	OK(nc_getattr(&s->b, &f, &during));
	CHECK(during.size == 7 && same_times(&before, &during));
	OK(nc_lookup(&s->b, &s->root, "f", NULL, &during));
	CHECK(during.size == 7 && same_times(&before, &during));
	OK(nc_getattr(&s->a, &f, &own));
	CHECK(own.size == 13 && !same_times(&before, &own));
	CHECK(reads(&s->a, &f, "not committed"));
	OK(commit(&s->a, &f));
	CHECK(reads(&s->b, &f, "not committed"));
	OK(nc_getattr(&s->b, &f, &after));
	CHECK(after.size == 13 && !same_times(&before, &after));
	/* And the upload moves nothing. */
	WITHIN(10000, object_is(s, "f", "not committed"));
	WITHIN(5000, state_is(s, "f", ""));
	OK(nc_getattr(&s->b, &f, &own));
	CHECK(own.size == 13 && same_times(&after, &own));
}

static void
s33_strict(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "not committed", UNSTABLE));
	SOON(5000, glance(&s->b, &f), NFS3ERR_ACCES);
	CHECK(size_of(&s->b, &f) == 3);
	OK(nc_lookup(&s->b, &s->root, "f", NULL, NULL));
	CHECK(reads(&s->a, &f, "not committed"));
	SOON(10000, commit(&s->a, &f), NFS3_OK);
	SOON(10000, glance(&s->b, &f), NFS3_OK);
	CHECK(reads(&s->b, &f, "not committed"));
}

static void
s34(struct scene *s)
{
	size_t len = 48 << 20;
	unsigned char *old = malloc(len), *new = malloc(len);
	unsigned char buf[65536];
	unsigned olds = 0, news = 0;
	struct nc_fh f;
	uint32_t got;

	CHECK(old != NULL && new != NULL);
	fill(old, len, 1);
	fill(new, len, 2);
	object_put(s, "f", old, len, NULL);
	f = look(&s->a, s, "f");
	OK(nc_read(&s->b, &f, 0, buf, sizeof(buf), &got, NULL));
	CHECK(got == sizeof(buf) && all_from(buf, got, old, 0));
	object_put(s, "f", new, len, NULL);
	/* Far ahead, then back and forth: each READ is of one version, and
	 * once the new one was seen the old one does not come back. */
	for (unsigned i = 0; i < 40; i++) {
		uint64_t off = ((uint64_t)(i * 17 + 31) % 48) << 20;
		int r;

		off += 1048576 - 32768;
		if (off + sizeof(buf) > len)
			off = 0;
		r = nc_read(&s->b, &f, off, buf, sizeof(buf), &got, NULL);
		if (r == NFS3ERR_STALE) {
			f = look(&s->b, s, "f");
			continue;
		}
		OK(r);
		CHECK(got == sizeof(buf));
		if (all_from(buf, got, old, off)) {
			CHECK(news == 0);
			olds++;
		} else {
			CHECK(all_from(buf, got, new, off));
			news++;
		}
	}
	printf("  old: %u, new: %u\n", olds, news);
	CHECK(news > 0);
	CHECK(reads_many(&s->b, &f, new, len));
	free(old);
	free(new);
}

/* A piece of it, in full; want NULL: STALE */
static void
piece(struct rpcc *c, const struct nc_fh *f, uint64_t off,
      const unsigned char *want)
{
	unsigned char buf[65536];
	uint32_t got = 0;
	int r = nc_read(c, f, off, buf, sizeof(buf), &got, NULL);

	IS(r, want != NULL ? NFS3_OK : NFS3ERR_STALE);
	CHECK(want == NULL ||
	      (got == sizeof(buf) && all_from(buf, got, want, off)));
}

static void
s34_strict(struct scene *s)
{
	size_t len = 48 << 20, near = 65536, far = 40 << 20;
	unsigned char *old = malloc(len), *new = malloc(len);
	struct nc_fh f;
	uint64_t until;

	CHECK(old != NULL && new != NULL);
	fill(old, len, 1);
	fill(new, len, 2);
	object_put(s, "f", old, len, NULL);
	f = look(&s->a, s, "f");
	piece(&s->b, &f, 0, old);
	piece(&s->b, &f, near, old);
	object_put(s, "f", new, len, NULL);
	/* What is here is of the version that B reads, for as long as it
	 * reads; what is not here is no longer to be had. */
	DURING(300, (piece(&s->b, &f, near, old), true));
	piece(&s->b, &f, far, NULL);
	piece(&s->b, &f, far, new);
	piece(&s->b, &f, near, new);
	/* Somebody else has seen that there is another one. */
	object_put(s, "f", old, len, NULL);
	until = scene_now_ms() + 200;
	while (scene_now_ms() < until)
		scene_pause();
	piece(&s->c, &f, far, old);
	piece(&s->b, &f, near, NULL);
	piece(&s->b, &f, near, old);
	/* From the start is anew, and so it is when the lease is over. */
	object_put(s, "f", new, len, NULL);
	until = scene_now_ms() + 200;
	while (scene_now_ms() < until)
		scene_pause();
	piece(&s->b, &f, 0, new);
	piece(&s->b, &f, far, new);
	object_put(s, "f", old, len, NULL);
	until = scene_now_ms() + READER_LEASE_MS + 200;
	while (scene_now_ms() < until)
		scene_pause();
	piece(&s->b, &f, near, old);
	/* And gone is gone. */
	object_remove(s, "f");
	piece(&s->b, &f, far + 65536, NULL);
	free(old);
	free(new);
}

SCENARIOS(
	{ "s27", "many clients READ / all OK together", s27, NULL, false },
	{ "s28", "default: B reading / A WRITEs / OK, B keeps one whole "
	  "version", s28, NULL, false },
	{ "s29", "strict: B reading / A WRITEs / busy until B's reader lease "
	  "ends, then OK", s29, "strict=1", true },
	{ "s30", "strict: B read and went idle / A SETATTR(size=0) at once "
	  "after the lease / OK without any release signal", s30, "strict=1",
	  true },
	{ "s31", "strict: readers B, C; only B idle / A WRITEs / busy", s31,
	  "strict=1", true },
	{ "s32", "reader idle past its lease, no writer came / READs again / "
	  "OK", s32, "strict=1", true },
	{ "s33", "A ACTIVE with uncommitted bytes / B READs and GETATTRs / "
	  "last flushed bytes, size, mtime agree", s33, "settle_ms=400", false },
	{ "s33-strict", "the same in strict mode / READ refused", s33_strict,
	  "strict=1", false },
	{ "s34-strict", "strict: the same / B's READs stay on one version for "
	  "its lease, or get STALE; then move on", s34_strict,
	  "strict=1 attr_ttl_ms=100", true },
	{ "s34", "object replaced directly in S3 while B reads / B READs far "
	  "ahead / old or new version or STALE, never a mix", s34, NULL,
	  false })
