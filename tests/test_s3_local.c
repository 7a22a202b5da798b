/* SPDX-License-Identifier: Apache-2.0 */

/* s3/local.c, local_path.c, local_attr.c: single objects in a directory. */

#include <config.h>

#include "tests/s3_local.h"

static void
a_put_is_a_plain_file_with_its_md5(void)
{
	BUCKET b;
	char etag[S3_ETAG_MAX];
	struct s3_object o;

	bucket_init(&b);
	CU_ASSERT_EQUAL(put_cond(b.s3, "a/b/file", "hello", NULL, NULL, etag),
			0);
	CU_ASSERT_STRING_EQUAL(etag, "5d41402abc4b2a76b9719d911017c592");
	CU_ASSERT(file_has(bucket_path(&b, "a/b/file"), "hello"));
	CU_ASSERT(has_text(b.s3, "a/b/file", "hello"));
	CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, "a/b/file", &o, NULL), 0);
	CU_ASSERT_STRING_EQUAL(o.etag, etag);
	CU_ASSERT_EQUAL(o.size, 5);
	CU_ASSERT(llabs(o.mtime_ns / 1000000000 - time(NULL)) < 10);
	s3_object_free(&o);
	CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, "a/b", &o, NULL), -ENOENT);
	CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, "a/b/file/x", &o, NULL), -ENOENT);
}

static void
headers_come_back_as_they_were(void)
{
	BUCKET b;
	char etag[S3_ETAG_MAX], *big = calloc(1, 6001);
	struct s3_headers h = { 0 };
	struct s3_object o;

	bucket_init(&b);
	memset(big, 'x', 6000);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "content-type", "text/x: y"), 0);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-empty", ""), 0);
	for (int round = 0; round < 2; round++) {
		CU_ASSERT_EQUAL(put_cond(b.s3, "k", "v", &h, NULL, etag), 0);
		CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "k", &o, NULL), 0);
		CU_ASSERT_EQUAL(o.headers.count, h.count);
		for (size_t i = 0; i < h.count; i++)
			CU_ASSERT_STRING_EQUAL(
				s3_headers_get(&o.headers, h.list[i].name),
				h.list[i].value);
		s3_object_free(&o);
		/* More than an extended attribute of ext4 holds. */
		CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-big", big), 0);
	}
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-bad", "a\nb: c"), 0);
	CU_ASSERT_EQUAL(put_cond(b.s3, "k", "v", &h, NULL, etag), -EINVAL);
	s3_headers_free(&h);
	free(big);
}

static void
without_xattrs_all_is_kept_apart(void)
{
	BUCKET b;
	char etag[S3_ETAG_MAX], again[S3_ETAG_MAX];
	struct s3_headers h = { 0 };
	struct s3_object o;

	bucket_init(&b);
	local_of(b.s3)->xattrs = false;
	CU_ASSERT_EQUAL(s3_headers_set(&h, "content-type", "text/plain"), 0);
	CU_ASSERT_EQUAL(put_cond(b.s3, "k", "hello", &h, NULL, etag), 0);
	CU_ASSERT_EQUAL(put_cond(b.s3, "k", "hello", &h, NULL, again), 0);
	CU_ASSERT_STRING_EQUAL(etag, again);
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "k", &o, NULL), 0);
	CU_ASSERT_STRING_EQUAL(o.etag, "5d41402abc4b2a76b9719d911017c592");
	CU_ASSERT_STRING_EQUAL(s3_headers_get(&o.headers, "content-type"),
			       "text/plain");
	s3_object_free(&o);
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "k", NULL, NULL), 0);
	/* The text goes with the object. */
	CU_ASSERT(rmdir(bucket_path(&b, ".s3nfsd/attr")) == 0);
	s3_headers_free(&h);
}

static void
files_put_by_hand_are_objects(void)
{
	BUCKET b;
	char etag[S3_ETAG_MAX];
	struct s3_object o;

	bucket_init(&b);
	CU_ASSERT_EQUAL(mkdir(bucket_path(&b, "d"), 0755), 0);
	write_file(bucket_path(&b, "d/by hand"), "one");
	CU_ASSERT(has_text(b.s3, "d/by hand", "one"));
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "d/by hand", &o, NULL), 0);
	memcpy(etag, o.etag, sizeof(etag));
	CU_ASSERT(strlen(etag) > 32);	/* no one takes it for an MD5 */
	s3_object_free(&o);
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "d/by hand", &o, NULL), 0);
	CU_ASSERT_STRING_EQUAL(o.etag, etag);
	s3_object_free(&o);
	CU_ASSERT(lists_as(b.s3, "", NULL, NULL, 0, "d/by hand"));
	/* Changed by hand: another ETag. */
	write_file(bucket_path(&b, "d/by hand"), "two!");
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "d/by hand", &o, NULL), 0);
	CU_ASSERT_STRING_NOT_EQUAL(o.etag, etag);
	s3_object_free(&o);
}

static void
an_object_changed_by_hand_loses_etag_and_headers(void)
{
	BUCKET b;
	char etag[S3_ETAG_MAX], buf[16];
	struct s3_headers h = { 0 };
	struct s3_object o;

	bucket_init(&b);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-mtime", "1.0"), 0);
	CU_ASSERT_EQUAL(put_cond(b.s3, "k", "same", &h, NULL, etag), 0);
	/* The same size at once: only the time differs. */
	write_file(bucket_path(&b, "k"), "SAME");
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "k", &o, NULL), 0);
	CU_ASSERT_STRING_NOT_EQUAL(o.etag, etag);
	CU_ASSERT_EQUAL(o.headers.count, 0);
	s3_object_free(&o);
	CU_ASSERT_EQUAL(b.s3->ops->get(b.s3, "k", etag, 0, buf, 4, NULL, NULL),
			-ESTALE);
	s3_headers_free(&h);
}

static void
conditions_hold(void)
{
	BUCKET b;
	char one[S3_ETAG_MAX], two[S3_ETAG_MAX];
	struct s3_cond absent = { .if_none_match = true };
	struct s3_cond match = { .if_match = one };
	char buf[8];

	bucket_init(&b);
	strcpy(one, "00000000000000000000000000000000");
	CU_ASSERT_EQUAL(put_cond(b.s3, "x/k", "1", NULL, &match, two),
			-ESTALE);
	CU_ASSERT(access(bucket_path(&b, "x"), F_OK) < 0);
	CU_ASSERT_EQUAL(put_cond(b.s3, "x/k", "1", NULL, &absent, one), 0);
	CU_ASSERT_EQUAL(put_cond(b.s3, "x/k", "2", NULL, &absent, two),
			-EEXIST);
	CU_ASSERT_EQUAL(put_cond(b.s3, "x/k", "2", NULL, &match, two), 0);
	CU_ASSERT_EQUAL(put_cond(b.s3, "x/k", "3", NULL, &match, two),
			-ESTALE);
	CU_ASSERT(has_text(b.s3, "x/k", "2"));
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "x/k", one, NULL), -ESTALE);
	CU_ASSERT_EQUAL(b.s3->ops->get(b.s3, "x/k", one, 0, buf, 1, NULL,
				       NULL), -ESTALE);
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "x/k", two, NULL), 0);
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "x/k", two, NULL), 0);
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "x/k", NULL, NULL), 0);
}

static void
ranges_are_cut_at_the_end(void)
{
	BUCKET b;
	char buf[16] = "";

	bucket_init(&b);
	CU_ASSERT_EQUAL(put_text(b.s3, "k", "0123456789"), 0);
	CU_ASSERT_EQUAL(b.s3->ops->get(b.s3, "k", NULL, 3, buf, 4, NULL, NULL),
			4);
	CU_ASSERT(memcmp(buf, "3456", 4) == 0);
	CU_ASSERT_EQUAL(b.s3->ops->get(b.s3, "k", NULL, 8, buf, 9, NULL, NULL),
			2);
	CU_ASSERT_EQUAL(b.s3->ops->get(b.s3, "k", NULL, 10, buf, 1, NULL,
				       NULL), 0);
	CU_ASSERT_EQUAL(b.s3->ops->get(b.s3, "k", NULL, UINT64_MAX, buf, 9,
				       NULL, NULL), 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "empty", ""), 0);
	CU_ASSERT_EQUAL(b.s3->ops->get(b.s3, "empty", NULL, 0, buf, 9, NULL,
				       NULL), 0);
}

static void
odd_keys_live_apart_and_come_back(void)
{
	char long_part[600], many[S3_KEY_MAX + 2];
	const char *keys[] = {
		"/", "//", "/a", "a//b", "a/./b", "a/../b", ".", "..", "../x",
		"a/", "a/b/", "...", "\001\n\t\177", "\377\376", ".s3nfsd",
		".s3nfsd/tmp/x", ".s3nfsd/odd/fx", "d", "f", "c/d", long_part,
		many, "trailing/..", "x/.s3nfsd/y",
	};
	size_t count = sizeof(keys) / sizeof(*keys);
	BUCKET b;

	bucket_init(&b);
	memset(long_part, 'L', sizeof(long_part) - 1);
	long_part[sizeof(long_part) - 1] = '\0';
	memset(many, '/', S3_KEY_MAX);
	many[S3_KEY_MAX] = '\0';
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL(put_text(b.s3, keys[i], keys[i]), 0);
	for (size_t i = 0; i < count; i++)
		CU_ASSERT(has_text(b.s3, keys[i], keys[i]));
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, keys[i], NULL, NULL), 0);
	CU_ASSERT(lists_as(b.s3, "", NULL, NULL, 0, ""));
	/* Nothing is left, but the place itself. */
	CU_ASSERT(rmdir(bucket_path(&b, ".s3nfsd/odd")) == 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "", "x"), -EINVAL);
	many[S3_KEY_MAX] = 'x';
	many[S3_KEY_MAX + 1] = '\0';
	CU_ASSERT_EQUAL(put_text(b.s3, many, "x"), -EINVAL);
}

static void
a_key_beside_its_own_directory(void)
{
	BUCKET b;

	bucket_init(&b);
	CU_ASSERT_EQUAL(put_text(b.s3, "a/b", "below"), 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "a", "above"), 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "a/b/c", "deeper"), 0);
	CU_ASSERT(has_text(b.s3, "a", "above"));
	CU_ASSERT(has_text(b.s3, "a/b", "below"));
	CU_ASSERT(has_text(b.s3, "a/b/c", "deeper"));
	CU_ASSERT(lists_as(b.s3, "", NULL, NULL, 1, "a\na/b\na/b/c"));
	CU_ASSERT(lists_as(b.s3, "", "/", NULL, 1, "a\na/"));
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "a/b", NULL, NULL), 0);
	CU_ASSERT(has_text(b.s3, "a/b/c", "deeper"));
	/* Now its own place is free, and it moves there when written. */
	CU_ASSERT_EQUAL(put_text(b.s3, "a", "again"), 0);
	CU_ASSERT(file_has(bucket_path(&b, "a"), "again"));
	CU_ASSERT(access(bucket_path(&b, ".s3nfsd/odd/fa"), F_OK) < 0);
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "a", NULL, NULL), 0);
	CU_ASSERT_PTR_NULL(get_text(b.s3, "a"));
	CU_ASSERT_EQUAL(put_text(b.s3, "a/b/c", "plain now"), 0);
	CU_ASSERT(file_has(bucket_path(&b, "a/b/c"), "plain now"));
	CU_ASSERT(lists_as(b.s3, "", NULL, NULL, 1, "a/b/c"));
}

static void
empty_directories_go_with_the_last_key(void)
{
	BUCKET b;

	bucket_init(&b);
	CU_ASSERT_EQUAL(put_text(b.s3, "a/b/c/x", "1"), 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "a/y", "2"), 0);
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "a/b/c/x", NULL, NULL), 0);
	CU_ASSERT(access(bucket_path(&b, "a/b"), F_OK) < 0);
	CU_ASSERT(access(bucket_path(&b, "a/y"), F_OK) == 0);
	CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "a/y", NULL, NULL), 0);
	CU_ASSERT(access(bucket_path(&b, "a"), F_OK) < 0);
}

static void
links_are_never_followed(void)
{
	BUCKET b;
	char outside[PATH_MAX + 16], secret[PATH_MAX + 32];
	struct s3_object o;

	bucket_init(&b);
	snprintf(outside, sizeof(outside), "%s.outside", b.dir);
	snprintf(secret, sizeof(secret), "%s/secret", outside);
	CU_ASSERT_EQUAL(mkdir(outside, 0755), 0);
	write_file(secret, "secret");
	CU_ASSERT_EQUAL(symlink(outside, bucket_path(&b, "link")), 0);
	CU_ASSERT_EQUAL(symlink(secret, bucket_path(&b, "file")), 0);
	for (int round = 0; round < 2; round++) {
		local_of(b.s3)->openat2 = round == 0 &&
			local_of(b.s3)->openat2;
		CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, "link/secret", &o, NULL),
				-ENOENT);
		CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, "file", &o, NULL),
				-ENOENT);
		CU_ASSERT(lists_as(b.s3, "", NULL, NULL, 0, ""));
		/* Written all the same, but somewhere else. */
		CU_ASSERT_EQUAL(put_text(b.s3, "link/secret", "mine"), 0);
		CU_ASSERT_EQUAL(put_text(b.s3, "file", "mine too"), 0);
		CU_ASSERT(file_has(secret, "secret"));
		CU_ASSERT(has_text(b.s3, "link/secret", "mine"));
		CU_ASSERT(has_text(b.s3, "file", "mine too"));
		CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "link/secret", NULL,
					       NULL), 0);
		CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, "file", NULL, NULL), 0);
	}
	CU_ASSERT(file_has(secret, "secret"));
	CU_ASSERT_EQUAL(unlink(bucket_path(&b, "file")), 0);
	CU_ASSERT_EQUAL(mkfifo(bucket_path(&b, "file"), 0600), 0);
	CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, "file", &o, NULL), -ENOENT);
	bucket_remove_dir(outside);
}

static void
copies_keep_or_replace_headers(void)
{
	BUCKET b;
	char etag[S3_ETAG_MAX], copy_etag[S3_ETAG_MAX];
	struct s3_cond absent = { .if_none_match = true };
	struct s3_headers h = { 0 }, other = { 0 };
	struct s3_object o;

	bucket_init(&b);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "x-amz-meta-a", "1"), 0);
	CU_ASSERT_EQUAL(s3_headers_set(&other, "x-amz-meta-b", "2"), 0);
	CU_ASSERT_EQUAL(put_cond(b.s3, "s", "bytes", &h, NULL, etag), 0);
	CU_ASSERT_EQUAL(b.s3->ops->copy(b.s3, "s", etag, "d/t", NULL, NULL,
					copy_etag, NULL), 0);
	CU_ASSERT(file_has(bucket_path(&b, "d/t"), "bytes"));
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "d/t", &o, NULL), 0);
	CU_ASSERT_STRING_EQUAL(o.etag, copy_etag);
	CU_ASSERT_STRING_EQUAL(s3_headers_get(&o.headers, "x-amz-meta-a"),
			       "1");
	s3_object_free(&o);
	CU_ASSERT_EQUAL(b.s3->ops->copy(b.s3, "s", "stale", "d/t", NULL, NULL,
					copy_etag, NULL), -ESTALE);
	CU_ASSERT_EQUAL(b.s3->ops->copy(b.s3, "s", etag, "d/t", &other,
					&absent, copy_etag, NULL), -EEXIST);
	CU_ASSERT_EQUAL(b.s3->ops->copy(b.s3, "none", NULL, "d/t", NULL, NULL,
					copy_etag, NULL), -ENOENT);
	/* Onto itself: the metadata changes, the bytes stay. */
	CU_ASSERT_EQUAL(b.s3->ops->copy(b.s3, "s", etag, "s", &other, NULL,
					copy_etag, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "s", &o, NULL), 0);
	CU_ASSERT_PTR_NULL(s3_headers_get(&o.headers, "x-amz-meta-a"));
	CU_ASSERT_STRING_EQUAL(s3_headers_get(&o.headers, "x-amz-meta-b"),
			       "2");
	CU_ASSERT_STRING_EQUAL(o.etag, copy_etag);
	s3_object_free(&o);
	CU_ASSERT(has_text(b.s3, "s", "bytes"));
	CU_ASSERT_EQUAL(b.s3->ops->copy(b.s3, "s", "stale", "s", &h, NULL,
					copy_etag, NULL), -ESTALE);
	s3_headers_free(&h);
	s3_headers_free(&other);
}

static ssize_t
read_fails(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg;
	memset(buf, 'x', len);
	return off > 0 ? -ESTALE : (ssize_t)len;
}

static void
a_source_that_fails_changes_nothing(void)
{
	BUCKET b;
	char etag[S3_ETAG_MAX];
	struct s3_source body = { .len = 3 << 20, .read = read_fails };
	struct s3_error err;

	bucket_init(&b);
	CU_ASSERT_EQUAL(put_text(b.s3, "k", "old"), 0);
	CU_ASSERT_EQUAL(b.s3->ops->put(b.s3, "k", &body, NULL, NULL, etag,
				       &err), -ESTALE);
	CU_ASSERT(strlen(err.message) > 0);
	CU_ASSERT(has_text(b.s3, "k", "old"));
	b.s3->ops->cancel(b.s3);
	CU_ASSERT_EQUAL(put_text(b.s3, "k", "new"), -EAGAIN);
}

static void
bad_urls_are_refused(void)
{
	const char *urls[] = { "file://", "file:///", "file:relative",
			       "file://host/dir", "s3://b", "" };
	struct s3_error err;
	struct s3 *s3 = NULL;

	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct s3_config config = { .url = urls[i] };

		CU_ASSERT_EQUAL(s3_local_open(&config, &s3, &err), -EINVAL);
		CU_ASSERT_PTR_NULL(s3);
	}
}

TEST_MAIN("s3_local",
	  T(a_put_is_a_plain_file_with_its_md5),
	  T(headers_come_back_as_they_were),
	  T(without_xattrs_all_is_kept_apart),
	  T(files_put_by_hand_are_objects),
	  T(an_object_changed_by_hand_loses_etag_and_headers),
	  T(conditions_hold),
	  T(ranges_are_cut_at_the_end),
	  T(odd_keys_live_apart_and_come_back),
	  T(a_key_beside_its_own_directory),
	  T(empty_directories_go_with_the_last_key),
	  T(links_are_never_followed),
	  T(copies_keep_or_replace_headers),
	  T(a_source_that_fails_changes_nothing),
	  T(bad_urls_are_refused))
