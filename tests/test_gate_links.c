/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard links: several names, one file, and in the bucket an object for each
 * name.
 */

#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define MARK "x-amz-meta-s3nfsd-link"

struct text {
	const char *data;
	size_t len;
};

static ssize_t
read_text(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct text *t = arg;

	memcpy(buf, t->data + off, len);
	return (ssize_t)len;
}

static int
do_link(struct fixture *b, struct client *c, const struct gate_fh *fh,
	const char *name)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int r;

	c->rq.may_block = true;
	c->rq.first_ms = clock_ms();
	c->rq.token = NULL;
	r = gate_link(b->x, &c->rq, fh, &b->root, name, &attr, &wcc);
	return r;
}

static struct gate_attr
attr_of(struct fixture *b, struct client *c, const char *name)
{
	struct gate_fh fh;
	struct gate_attr attr = { 0 };

	if (do_lookup(b, c, name, &fh) == 0) {
		c->rq.may_block = true;
		if (gate_getattr(b->x, &c->rq, &fh, &attr) < 0)
			memset(&attr, 0, sizeof(attr));
	}
	return attr;
}

static bool
name_is(struct fixture *b, struct client *c, const char *name, const char *text)
{
	struct gate_fh fh;

	return do_lookup(b, c, name, &fh) == 0 &&
	       do_read_is(b, c, &fh, text, (uint32_t)strlen(text));
}

static bool
object_is(struct fixture *b, const char *key, const char *text)
{
	return fake_s3_is(b->s3, key, text, strlen(text));
}

/* Waits for what is not counted as owed: files that are for no bucket. */
static bool
is_gone(struct fixture *b, const char *key)
{
	AWAIT(!fake_s3_has(b->s3, key));
	return !fake_s3_has(b->s3, key);
}

static int
rewrite(struct fixture *b, struct client *c, const char *name, const char *text)
{
	struct gate_fh fh;
	int r = do_lookup(b, c, name, &fh);

	if (r == 0)
		r = do_size(b, c, &fh, 0);
	if (r == 0)
		r = do_write(b, c, &fh, 0, text, (uint32_t)strlen(text),
			     GATE_FILE_SYNC);
	return r;
}

static void
names_are_one_file_and_objects_of_their_own(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "a", "text", &fh), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), -EEXIST);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "a").nlink, 2);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "b").nlink, 2);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "a").fileid,
			attr_of(&b, &a, "b").fileid);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(object_is(&b, "a", "text"));
	CU_ASSERT(object_is(&b, "b", "text"));
	CU_ASSERT_EQUAL(rewrite(&b, &a, "b", "more text"), 0);
	CU_ASSERT(name_is(&b, &a, "a", "more text"));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(object_is(&b, "a", "more text"));
	CU_ASSERT(object_is(&b, "b", "more text"));
	fixture_restart(&b);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "b").nlink, 2);
	CU_ASSERT(name_is(&b, &a, "b", "more text"));
	CU_ASSERT_EQUAL(do_remove(&b, &a, "b"), 0);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "a").nlink, 1);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(!fake_s3_has(b.s3, "b"));
	CU_ASSERT(object_is(&b, "a", "more text"));
	fixture_close(&b);
}

static int
count_entry(void *arg, const struct gate_dirent *e)
{
	uint64_t *fileid = arg;

	if (e->name[0] == '.')
		return 0;
	fileid[1]++;
	if (fileid[0] != 0 && fileid[0] != e->fileid)
		fileid[2]++;
	fileid[0] = e->fileid;
	return 0;
}

/* All names of the root are of one file. */
static unsigned
one_file_in_listing(struct fixture *b, struct client *c, bool plus)
{
	uint64_t seen[3] = { 0 };
	uint8_t verf[8] = { 0 };
	bool eof = false;
	struct gate_wcc wcc = { 0 };

	c->rq.may_block = true;
	if (gate_readdir(b->x, &c->rq, &b->root, 0, verf, plus, 0,
			 count_entry, seen, &eof, &wcc) < 0 || !eof ||
	    seen[2] != 0)
		return 0;
	return (unsigned)seen[1];
}

static void
a_gateway_without_state_finds_the_links(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_attr attr;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "a", "text", &fh), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "c"), 0);
	CU_ASSERT(fixture_settled(&b));
	/* By names. */
	fixture_lose_state(&b);
	attr = attr_of(&b, &a, "b");
	CU_ASSERT_EQUAL(attr.nlink, 3);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "a").fileid, attr.fileid);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "c").fileid, attr.fileid);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "c").nlink, 3);
	CU_ASSERT_EQUAL(one_file_in_listing(&b, &a, true), 3);
	CU_ASSERT_EQUAL(one_file_in_listing(&b, &a, false), 3);
	CU_ASSERT_EQUAL(rewrite(&b, &a, "a", "new"), 0);
	CU_ASSERT(name_is(&b, &a, "c", "new"));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(object_is(&b, "a", "new"));
	CU_ASSERT(object_is(&b, "b", "new"));
	CU_ASSERT(object_is(&b, "c", "new"));
	/* By a listing. */
	fixture_lose_state(&b);
	CU_ASSERT_EQUAL(one_file_in_listing(&b, &a, true), 3);
	CU_ASSERT_EQUAL(one_file_in_listing(&b, &a, false), 3);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "c").nlink, 3);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "a"), 0);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "b"), 0);
	CU_ASSERT_EQUAL(attr_of(&b, &a, "c").nlink, 1);
	CU_ASSERT(name_is(&b, &a, "c", "new"));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(!fake_s3_has(b.s3, "a"));
	CU_ASSERT(!fake_s3_has(b.s3, "b"));
	CU_ASSERT(object_is(&b, "c", "new"));
	fixture_close(&b);
}

/* Names go in each order, before and after S3 knows of them; the last one
 * keeps the bytes. */
static void
any_name_may_go_first(void)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 },
					  { 1, 0, 2 }, { 1, 2, 0 },
					  { 2, 0, 1 }, { 2, 1, 0 } };
	static const char *const names[] = { "x", "y", "z" };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	for (int i = 0; i < 24; i++) {
		const int *o = orders[i % 6];
		char text[20];

		snprintf(text, sizeof(text), "text %d", i);
		CU_ASSERT_EQUAL(do_file(&b, &a, "x", text, &fh), 0);
		if (i / 6 == 1)
			CU_ASSERT(fixture_settled(&b));
		CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "y"), 0);
		CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "z"), 0);
		if (i / 6 == 2)
			CU_ASSERT(fixture_settled(&b));
		for (int j = 0; j < 2; j++) {
			CU_ASSERT_EQUAL(do_remove(&b, &a, names[o[j]]), 0);
			CU_ASSERT(name_is(&b, &a, names[o[2]], text));
			CU_ASSERT_EQUAL(attr_of(&b, &a, names[o[2]]).nlink,
					2 - j);
			if (i / 6 == 3)
				CU_ASSERT(fixture_settled(&b));
		}
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(object_is(&b, names[o[2]], text));
		CU_ASSERT(!fake_s3_has(b.s3, names[o[0]]));
		CU_ASSERT(!fake_s3_has(b.s3, names[o[1]]));
		CU_ASSERT_EQUAL(do_remove(&b, &a, names[o[2]]), 0);
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(!fake_s3_has(b.s3, names[o[2]]));
	}
	fixture_close(&b);
}

static void
a_rename_over_one_name_leaves_the_other(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, fh2;

	client_init(&a, "a");
	fixture_open(&b);
	for (int i = 0; i < 6; i++) {
		const char *target = i % 2 ? "b" : "a";
		const char *left = i % 2 ? "a" : "b";

		CU_ASSERT_EQUAL(do_file(&b, &a, "a", "old", &fh), 0);
		if (i / 2 == 1)
			CU_ASSERT(fixture_settled(&b));
		CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
		if (i / 2 == 2)
			CU_ASSERT(fixture_settled(&b));
		CU_ASSERT_EQUAL(do_file(&b, &a, "new", "new", &fh2), 0);
		CU_ASSERT_EQUAL(do_rename(&b, &a, "new", target), 0);
		CU_ASSERT(name_is(&b, &a, target, "new"));
		CU_ASSERT(name_is(&b, &a, left, "old"));
		CU_ASSERT_EQUAL(attr_of(&b, &a, left).nlink, 1);
		CU_ASSERT(do_read_is(&b, &a, &fh, "old", 3));
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(object_is(&b, target, "new"));
		CU_ASSERT(object_is(&b, left, "old"));
		CU_ASSERT(is_gone(&b, "new"));
		fixture_restart(&b);
		CU_ASSERT(name_is(&b, &a, target, "new"));
		CU_ASSERT(name_is(&b, &a, left, "old"));
		CU_ASSERT_EQUAL(do_remove(&b, &a, "a"), 0);
		CU_ASSERT_EQUAL(do_remove(&b, &a, "b"), 0);
	}
	fixture_close(&b);
}

static void
names_may_be_renamed(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, fh2;

	client_init(&a, "a");
	fixture_open(&b);
	for (int i = 0; i < 4; i++) {
		const char *from = i % 2 ? "b" : "a";
		const char *other = i % 2 ? "a" : "b";

		CU_ASSERT_EQUAL(do_file(&b, &a, "a", "text", &fh), 0);
		CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
		if (i / 2)
			CU_ASSERT(fixture_settled(&b));
		CU_ASSERT_EQUAL(do_rename(&b, &a, "a", "b"), 0);
		CU_ASSERT_EQUAL(attr_of(&b, &a, "a").nlink, 2);
		CU_ASSERT_EQUAL(do_file(&b, &a, "c", "victim", &fh2), 0);
		CU_ASSERT_EQUAL(do_rename(&b, &a, from, "c"), 0);
		CU_ASSERT_EQUAL(attr_of(&b, &a, "c").nlink, 2);
		CU_ASSERT(name_is(&b, &a, "c", "text"));
		CU_ASSERT_EQUAL(rewrite(&b, &a, "c", "next"), 0);
		CU_ASSERT(name_is(&b, &a, other, "next"));
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(object_is(&b, "c", "next"));
		CU_ASSERT(object_is(&b, other, "next"));
		CU_ASSERT(is_gone(&b, from));
		fixture_lose_state(&b);
		CU_ASSERT_EQUAL(attr_of(&b, &a, other).fileid,
				attr_of(&b, &a, "c").fileid);
		CU_ASSERT_EQUAL(do_remove(&b, &a, "c"), 0);
		CU_ASSERT_EQUAL(do_remove(&b, &a, other), 0);
		CU_ASSERT(fixture_settled(&b));
	}
	fixture_close(&b);
}

/* What a client does with a file that it has open. */
static void
an_open_file_keeps_its_other_name(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	for (int i = 0; i < 4; i++) {
		const char *gone = i % 2 ? "b" : "a";
		const char *left = i % 2 ? "a" : "b";

		CU_ASSERT_EQUAL(do_file(&b, &a, "a", "12345", &fh), 0);
		CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
		if (i / 2)
			CU_ASSERT(fixture_settled(&b));
		CU_ASSERT_EQUAL(do_rename(&b, &a, gone, ".nfs0000001"), 0);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "ABC", 3,
					 GATE_FILE_SYNC), 0);
		CU_ASSERT(name_is(&b, &a, left, "ABC45"));
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(object_is(&b, left, "ABC45"));
		CU_ASSERT(is_gone(&b, gone));
		CU_ASSERT(!fake_s3_has(b.s3, ".nfs0000001"));
		CU_ASSERT_EQUAL(do_remove(&b, &a, ".nfs0000001"), 0);
		CU_ASSERT_EQUAL(attr_of(&b, &a, left).nlink, 1);
		CU_ASSERT_EQUAL(do_remove(&b, &a, left), 0);
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(!fake_s3_has(b.s3, left));
	}
	/* The name that is left may go first. */
	CU_ASSERT_EQUAL(do_file(&b, &a, "a", "12345", &fh), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(do_rename(&b, &a, "b", ".nfs0000002"), 0);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "a"), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh, "12345", 5));
	CU_ASSERT_EQUAL(do_remove(&b, &a, ".nfs0000002"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(is_gone(&b, "a"));
	CU_ASSERT(is_gone(&b, "b"));
	fixture_close(&b);
}

static void
soon(void)
{
	nanosleep(&(struct timespec){ 0, 80000000 }, NULL);
}

/* Other tools of the bucket replace or remove the object of one name. */
static void
what_others_do_to_one_name_leaves_the_other(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	for (int i = 0; i < 4; i++) {
		const char *target = i % 2 ? "b" : "a";
		const char *left = i % 2 ? "a" : "b";

		CU_ASSERT_EQUAL(do_file(&b, &a, "a", "old", &fh), 0);
		CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
		CU_ASSERT(fixture_settled(&b));
		if (i / 2)
			fake_s3_unset(b.s3, target);
		else
			fake_s3_set(b.s3, target, "theirs", 6);
		soon();
		if (i / 2) {
			CU_ASSERT_EQUAL(do_lookup(&b, &a, target, &fh),
					-ENOENT);
		} else {
			CU_ASSERT(name_is(&b, &a, target, "theirs"));
		}
		CU_ASSERT(name_is(&b, &a, left, "old"));
		CU_ASSERT_EQUAL(attr_of(&b, &a, left).nlink, 1);
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(object_is(&b, left, "old"));
		CU_ASSERT_EQUAL(do_remove(&b, &a, left), 0);
		if (i / 2 == 0)
			CU_ASSERT_EQUAL(do_remove(&b, &a, target), 0);
		CU_ASSERT(fixture_settled(&b));
	}
	fixture_close(&b);
}

/* Another tool copies an object with its metadata: that is no link. */
static void
a_copy_is_no_link(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct s3_headers headers = { 0 };
	struct s3_object o = { 0 };
	struct s3_cond cond = { 0 };
	char etag[S3_ETAG_MAX];

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "a", "text", &fh), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_EQUAL(s3_head(b.s3, "a", &o, NULL), 0);
	CU_ASSERT_EQUAL(s3_headers_copy(&o.headers, &headers), 0);
	CU_ASSERT_PTR_NOT_NULL(s3_headers_get(&headers, MARK));
	CU_ASSERT_EQUAL(s3_copy(b.s3, "a", o.etag, "copy", &headers, &cond,
				etag, NULL), 0);
	s3_object_free(&o);
	s3_headers_free(&headers);
	soon();
	CU_ASSERT_EQUAL(attr_of(&b, &a, "copy").nlink, 1);
	CU_ASSERT_NOT_EQUAL(attr_of(&b, &a, "copy").fileid,
			    attr_of(&b, &a, "a").fileid);
	CU_ASSERT_EQUAL(rewrite(&b, &a, "copy", "mine"), 0);
	CU_ASSERT(name_is(&b, &a, "a", "text"));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(object_is(&b, "b", "text"));
	CU_ASSERT(object_is(&b, "copy", "mine"));
	fixture_close(&b);
}

/* As a gateway left it that died, with its disk, between two copies. */
static void
put_version(struct fixture *b, const char *key, const char *text, int more)
{
	struct s3_object o = { 0 };
	struct s3_cond cond = { 0 };
	char etag[S3_ETAG_MAX], mark[128], id[40], hash[20];
	struct text t = { text, strlen(text) };
	struct s3_source source = { t.len, read_text, &t, NULL };
	unsigned count, version;

	CU_ASSERT_EQUAL(s3_head(b->s3, key, &o, NULL), 0);
	CU_ASSERT_EQUAL(sscanf(s3_headers_get(&o.headers, MARK),
			       "%39s %u %u %19s", id, &count, &version, hash),
			4);
	snprintf(mark, sizeof(mark), "%s %u %u %s", id, count,
		 version + (unsigned)more, hash);
	CU_ASSERT_EQUAL(s3_headers_set(&o.headers, MARK, mark), 0);
	CU_ASSERT_EQUAL(s3_put(b->s3, key, &source, &o.headers, &cond, etag,
			       NULL), 0);
	s3_object_free(&o);
}

static void
of_two_versions_the_newer_is_right(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	for (int i = 0; i < 8; i++) {
		const char *newer = i & 1 ? "b" : "a";
		const char *first = i & 2 ? "b" : "a";
		const char *second = i & 2 ? "a" : "b";

		CU_ASSERT_EQUAL(do_file(&b, &a, "a", "old", &fh), 0);
		CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "b"), 0);
		CU_ASSERT(fixture_settled(&b));
		put_version(&b, newer, "newer", 1);
		fixture_lose_state(&b);
		if (i & 4)
			CU_ASSERT_EQUAL(one_file_in_listing(&b, &a, true), 2);
		CU_ASSERT_EQUAL(do_lookup(&b, &a, first, &fh), 0);
		CU_ASSERT(name_is(&b, &a, second, "newer"));
		CU_ASSERT(name_is(&b, &a, first, "newer"));
		CU_ASSERT_EQUAL(attr_of(&b, &a, first).size, 5);
		CU_ASSERT_EQUAL(attr_of(&b, &a, first).fileid,
				attr_of(&b, &a, second).fileid);
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(object_is(&b, "a", "newer"));
		CU_ASSERT(object_is(&b, "b", "newer"));
		CU_ASSERT_EQUAL(do_remove(&b, &a, "a"), 0);
		CU_ASSERT_EQUAL(do_remove(&b, &a, "b"), 0);
		CU_ASSERT(fixture_settled(&b));
	}
	fixture_close(&b);
}

/* Symlinks and special files, too. */
static void
any_kind_but_directories_has_links(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_attr attr;
	struct gate_setattr set = { .set_mode = true, .mode = 0600 };
	struct gate_wcc wcc = { 0 };
	char target[GATE_PATH_MAX + 1];

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_mkdir(&b, &a, "d", &fh), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "d2"), -EISDIR);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_symlink(b.x, &a.rq, &b.root, "l", "target", NULL,
				     &fh, &attr, &wcc), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "l2"), 0);
	a.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_mknod(b.x, &a.rq, &b.root, "c", GATE_CHR, 1, 3,
				   &set, &fh, &attr, &wcc), 0);
	CU_ASSERT_EQUAL(do_link(&b, &a, &fh, "c2"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(object_is(&b, "l2", "target"));
	CU_ASSERT(object_is(&b, "c2", ""));
	fixture_lose_state(&b);
	attr = attr_of(&b, &a, "c2");
	CU_ASSERT_EQUAL(attr.kind, GATE_CHR);
	CU_ASSERT_EQUAL(attr.rdev_minor, 3);
	CU_ASSERT_EQUAL(attr.nlink, 2);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "l2", &fh), 0);
	CU_ASSERT_EQUAL(gate_readlink(b.x, &a.rq, &fh, target, &attr), 0);
	CU_ASSERT_STRING_EQUAL(target, "target");
	CU_ASSERT_EQUAL(attr.nlink, 2);
	fixture_close(&b);
}

/* ---- many at once ---- */

#define NAMES 5

struct stress {
	struct fixture *b;
	unsigned seed;
	int error;
	uint64_t until;
};

static void *
stress_run(void *arg)
{
	struct stress *s = arg;
	struct client c;
	struct gate_fh fh;

	client_init(&c, "a");
	while (clock_ms() < s->until && s->error == 0) {
		unsigned dice = (unsigned)rand_r(&s->seed);
		char name[8], other[8], text[30];
		int r = 0;

		snprintf(name, sizeof(name), "n%u", dice / 16 % NAMES);
		snprintf(other, sizeof(other), "n%u", dice / 128 % NAMES);
		snprintf(text, sizeof(text), "text %u", dice);
		switch (dice % 8) {
		case 0:
			r = do_create(s->b, &c, name, &fh);
			break;
		case 1:
			r = do_remove(s->b, &c, name);
			break;
		case 2:
		case 3:
			r = do_rename(s->b, &c, name, other);
			break;
		case 4:
			r = rewrite(s->b, &c, name, text);
			break;
		default:
			r = do_lookup(s->b, &c, name, &fh);
			if (r == 0)
				r = do_link(s->b, &c, &fh, other);
		}
		if (r != -ENOENT && r != -EEXIST && r != -EAGAIN &&
		    r != -ESTALE && r < 0)
			s->error = r;
	}
	return NULL;
}

/* Each name's object has the bytes of its file, and the file knows how many
 * names it has. */
static void
links_agree(struct fixture *b, struct client *c)
{
	struct gate_attr attr[NAMES];
	char name[8], *data;
	struct gate_fh fh;

	for (unsigned i = 0; i < NAMES; i++) {
		size_t len;

		snprintf(name, sizeof(name), "n%u", i);
		attr[i] = attr_of(b, c, name);
		/* A deletion may begin just after the last upload ended. */
		AWAIT(attr[i].nlink > 0 || !fake_s3_has(b->s3, name));
		CU_ASSERT_EQUAL(attr[i].nlink > 0, fake_s3_has(b->s3, name));
		if (attr[i].nlink == 0 || !fake_s3_has(b->s3, name))
			continue;
		len = fake_s3_copy(b->s3, name, &data);
		CU_ASSERT(do_lookup(b, c, name, &fh) == 0 &&
			  do_read_is(b, c, &fh, data, (uint32_t)len));
		free(data);
	}
	for (unsigned i = 0; i < NAMES; i++) {
		unsigned same = 0;

		for (unsigned j = 0; j < NAMES; j++)
			same += attr[i].nlink > 0 && attr[j].nlink > 0 &&
				attr[j].fileid == attr[i].fileid;
		CU_ASSERT_EQUAL(attr[i].nlink, same);
	}
}

static void
links_come_and_go_under_load(void)
{
	struct fixture b = FIXTURE;
	struct stress s[4];
	pthread_t threads[4];
	struct client c;
	struct gate_status status;
	const char *env = getenv("STRESS_SEED"), *ms = getenv("STRESS_MS");
	unsigned seed = env != NULL ? (unsigned)atoi(env) : 1;
	uint64_t last = ms != NULL ? (uint64_t)atoi(ms) : 0;

	/* What threads do differs from run to run: on request only,
	 * STRESS_MS=1000. */
	if (last == 0)
		return;
	b.export.hold_ms = 50;
	b.export.settle_ms = 5;
	b.config.max_nodes = 16;
	client_init(&c, "a");
	fixture_open(&b);
	for (unsigned i = 0; i < 4; i++) {
		s[i] = (struct stress){ &b, i * 7919 + seed, 0,
					clock_ms() + last };
		pthread_create(&threads[i], NULL, stress_run, &s[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(s[i].error, 0);
		if (s[i].error != 0)
			fprintf(stderr, "error %d\n", s[i].error);
	}
	CU_ASSERT(fixture_settled(&b));
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.invariant_failures, 0);
	CU_ASSERT_EQUAL(status.quarantined, 0);
	links_agree(&b, &c);
	fixture_restart(&b);
	links_agree(&b, &c);
	fixture_close(&b);
}

#define AT_ONCE 16
enum changes { CHANGE_LINK, CHANGE_RENAME, CHANGE_REMOVE, CHANGES };

struct changer {
	struct fixture *fixture;
	pthread_barrier_t *start;
	unsigned number;
	enum changes change;
	int result;
};

static void *
change_run(void *arg)
{
	struct changer *c = arg;
	char name[16], linked[16], renamed[16];
	struct client client;
	struct gate_fh fh;

	client_init(&client, "a");
	snprintf(name, sizeof(name), "a%u", c->number);
	snprintf(linked, sizeof(linked), "c%u", c->number);
	snprintf(renamed, sizeof(renamed), "d%u", c->number);
	pthread_barrier_wait(c->start);
	if (c->change == CHANGE_REMOVE) {
		c->result = do_remove(c->fixture, &client, renamed);
	} else if (c->change == CHANGE_RENAME) {
		c->result = do_rename(c->fixture, &client, name, renamed);
	} else {
		c->result = do_lookup(c->fixture, &client, name, &fh);
		if (c->result == 0)
			c->result = do_link(c->fixture, &client, &fh, linked);
	}
	return NULL;
}

static void
change_all(struct fixture *b, enum changes change)
{
	struct changer c[AT_ONCE];
	pthread_t threads[AT_ONCE];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, AT_ONCE);
	for (unsigned i = 0; i < AT_ONCE; i++) {
		c[i] = (struct changer){ b, &start, i, change, 0 };
		pthread_create(&threads[i], NULL, change_run, &c[i]);
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(c[i].result, 0);
	}
	pthread_barrier_destroy(&start);
}

/* None of them is in memory: who waits for what the others hold waits for
 * ever. */
static void
names_of_many_files_change_at_once(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	for (unsigned i = 0; i < AT_ONCE; i++) {
		char name[16], other[16];

		snprintf(name, sizeof(name), "a%u", i);
		snprintf(other, sizeof(other), "b%u", i);
		CU_ASSERT_EQUAL(do_file(&b, &a, name, "text", &fh), 0);
		CU_ASSERT_EQUAL(do_link(&b, &a, &fh, other), 0);
	}
	CU_ASSERT(fixture_settled(&b));
	for (unsigned i = 0; i < CHANGES; i++) {
		fixture_restart(&b);
		change_all(&b, (enum changes)i);
		CU_ASSERT(fixture_settled(&b));
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "b%u", i);
		CU_ASSERT(name_is(&b, &a, name, "text"));
		CU_ASSERT_EQUAL(attr_of(&b, &a, name).nlink, 2);
	}
	fixture_close(&b);
}

TEST_MAIN("gate_links", T(links_come_and_go_under_load),
	  T(names_are_one_file_and_objects_of_their_own),
	  T(a_gateway_without_state_finds_the_links),
	  T(any_name_may_go_first),
	  T(a_rename_over_one_name_leaves_the_other),
	  T(names_may_be_renamed), T(an_open_file_keeps_its_other_name),
	  T(what_others_do_to_one_name_leaves_the_other),
	  T(a_copy_is_no_link), T(of_two_versions_the_newer_is_right),
	  T(any_kind_but_directories_has_links),
	  T(names_of_many_files_change_at_once))
