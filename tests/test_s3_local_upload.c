/* SPDX-License-Identifier: Apache-2.0 */

/* s3/local_upload.c: multipart uploads, and what a crash leaves of them. */

#include <config.h>

#include "tests/s3_local.h"

#define MIB (1U << 20)

struct filler {
	int byte;
};

static ssize_t
filler_read(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct filler *f = arg;

	(void)off;
	memset(buf, f->byte, len);
	return (ssize_t)len;
}

static int
put_part(struct s3 *s3, const char *key, const char *id, unsigned number,
	 int byte, uint64_t len, struct s3_part *part)
{
	struct filler f = { .byte = byte };
	struct s3_source body = { .len = len, .read = filler_read, .arg = &f };

	part->number = number;
	return s3->ops->upload_part(s3, key, id, number, &body, part->etag,
				    NULL);
}

static bool
has_bytes(struct s3 *s3, const char *key, uint64_t off, int byte, size_t len)
{
	char *buf = malloc(len);
	bool same = s3->ops->get(s3, key, NULL, off, buf, len, NULL, NULL) ==
		    (ssize_t)len;

	for (size_t i = 0; same && i < len; i++)
		same = buf[i] == byte;
	free(buf);
	return same;
}

static int
count_upload(void *arg, const char *key, const char *id, int64_t initiated_ns)
{
	int *count = arg;

	(void)key;
	CU_ASSERT_EQUAL(strlen(id), 32);
	CU_ASSERT(llabs(initiated_ns / 1000000000 - time(NULL)) < 60);
	++*count;
	return 0;
}

static int
uploads_below(struct s3 *s3, const char *prefix)
{
	int count = 0;

	CU_ASSERT_EQUAL(s3->ops->upload_list(s3, prefix, count_upload, &count,
					     NULL), 0);
	return count;
}

static void
parts_join_in_order_whatever_their_sizes(void)
{
	BUCKET b;
	struct s3_part p[3], *listed = NULL;
	struct s3_headers h = { 0 };
	struct s3_object o;
	char *id = NULL, etag[S3_ETAG_MAX];

	bucket_init(&b);
	CU_ASSERT_EQUAL(s3_headers_set(&h, "content-type", "a/b"), 0);
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->upload_create(b.s3, "d/k", &h, &id,
						       NULL), 0);
	CU_ASSERT_EQUAL(put_part(b.s3, "d/k", id, 7, 'c', 100, &p[2]), 0);
	CU_ASSERT_EQUAL(put_part(b.s3, "d/k", id, 2, 'x', 9, &p[1]), 0);
	CU_ASSERT_EQUAL(put_part(b.s3, "d/k", id, 1, 'a', 5 * MIB, &p[0]), 0);
	/* Replaced, and larger than the first. */
	CU_ASSERT_EQUAL(put_part(b.s3, "d/k", id, 2, 'b', 6 * MIB + 1, &p[1]),
			0);
	CU_ASSERT_EQUAL(b.s3->ops->upload_parts(b.s3, "d/k", id, &listed,
						NULL), 3);
	CU_ASSERT_EQUAL(listed[1].size, 6 * MIB + 1);
	CU_ASSERT_EQUAL(listed[2].number, 7);
	free(listed);
	CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, "d/k", &o, NULL), -ENOENT);
	CU_ASSERT_EQUAL(uploads_below(b.s3, "d/"), 1);
	CU_ASSERT_EQUAL(uploads_below(b.s3, "e"), 0);
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "d/k", id, p, 3, NULL,
						   etag, NULL), 0);
	CU_ASSERT(has_bytes(b.s3, "d/k", 0, 'a', 5 * MIB));
	CU_ASSERT(has_bytes(b.s3, "d/k", 5 * MIB, 'b', 6 * MIB + 1));
	CU_ASSERT(has_bytes(b.s3, "d/k", 11 * MIB + 1, 'c', 100));
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "d/k", &o, NULL), 0);
	CU_ASSERT_EQUAL(o.size, 11 * MIB + 101);
	CU_ASSERT_STRING_EQUAL(o.etag, etag);
	CU_ASSERT_STRING_EQUAL(etag + 32, "-3");
	CU_ASSERT_STRING_EQUAL(s3_headers_get(&o.headers, "content-type"),
			       "a/b");
	s3_object_free(&o);
	CU_ASSERT_EQUAL(uploads_below(b.s3, ""), 0);
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "d/k", id, p, 3, NULL,
						   etag, NULL), -ENOENT);
	s3_headers_free(&h);
	free(id);
}

static void
a_refused_complete_keeps_the_upload(void)
{
	BUCKET b;
	struct s3_part p[2], bad;
	struct s3_cond absent = { .if_none_match = true };
	char *id = NULL, etag[S3_ETAG_MAX];

	bucket_init(&b);
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->upload_create(b.s3, "k", NULL, &id,
						       NULL), 0);
	CU_ASSERT_EQUAL(put_part(b.s3, "k", id, 1, 'a', 10, &p[0]), 0);
	CU_ASSERT_EQUAL(put_part(b.s3, "k", id, 2, 'b', 10, &p[1]), 0);
	/* The first is too small to be followed by another. */
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "k", id, p, 2, NULL,
						   etag, NULL), -EINVAL);
	bad = p[0];
	bad.etag[0] ^= 1;
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "k", id, &bad, 1,
						   NULL, etag, NULL), -EINVAL);
	bad = p[0];
	bad.number = 3;
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "k", id, &bad, 1,
						   NULL, etag, NULL), -EINVAL);
	CU_ASSERT_EQUAL(put_text(b.s3, "k", "there"), 0);
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "k", id, p, 1,
						   &absent, etag, NULL),
			-EEXIST);
	CU_ASSERT(has_text(b.s3, "k", "there"));
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "other", id, p, 1,
						   NULL, etag, NULL), -ENOENT);
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "k", id, p, 1, NULL,
						   etag, NULL), 0);
	CU_ASSERT(has_bytes(b.s3, "k", 0, 'a', 10));
	free(id);
}

static void
an_aborted_upload_is_gone(void)
{
	BUCKET b;
	struct s3_part p;
	char *id = NULL;

	bucket_init(&b);
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->upload_create(b.s3, "k", NULL, &id,
						       NULL), 0);
	CU_ASSERT_EQUAL(put_part(b.s3, "k", id, 1, 'a', 10, &p), 0);
	CU_ASSERT_EQUAL(b.s3->ops->upload_abort(b.s3, "k", id, NULL), 0);
	CU_ASSERT_EQUAL(b.s3->ops->upload_abort(b.s3, "k", id, NULL), 0);
	CU_ASSERT_EQUAL(b.s3->ops->upload_abort(b.s3, "k", "../../x", NULL),
			0);
	CU_ASSERT_EQUAL(put_part(b.s3, "k", id, 1, 'a', 10, &p), -ENOENT);
	CU_ASSERT_EQUAL(uploads_below(b.s3, ""), 0);
	CU_ASSERT(rmdir(bucket_path(&b, ".s3nfsd/uploads")) == 0);
	free(id);
}

static void
parts_are_copied_from_one_version(void)
{
	BUCKET b;
	struct s3_part p = { .number = 1 };
	char *id = NULL, etag[S3_ETAG_MAX], all[S3_ETAG_MAX];

	bucket_init(&b);
	CU_ASSERT_EQUAL(put_cond(b.s3, "s", "0123456789", NULL, NULL, etag),
			0);
	CU_ASSERT_EQUAL_FATAL(b.s3->ops->upload_create(b.s3, "k", NULL, &id,
						       NULL), 0);
	CU_ASSERT_EQUAL(b.s3->ops->upload_part_copy(b.s3, "k", id, 1, "s",
						    "other", 2, 3, p.etag,
						    NULL), -ESTALE);
	CU_ASSERT_EQUAL(b.s3->ops->upload_part_copy(b.s3, "k", id, 1, "s",
						    etag, 8, 3, p.etag, NULL),
			-EINVAL);
	CU_ASSERT_EQUAL(b.s3->ops->upload_part_copy(b.s3, "k", id, 1, "s",
						    etag, 2, 3, p.etag, NULL),
			0);
	CU_ASSERT_STRING_EQUAL(p.etag, "289dff07669d7a23de0ef88d2f7129e7");
	CU_ASSERT_EQUAL(b.s3->ops->upload_complete(b.s3, "k", id, &p, 1, NULL,
						   all, NULL), 0);
	CU_ASSERT(has_text(b.s3, "k", "234"));
	free(id);
}

TEST_MAIN("s3_local_upload",
	  T(parts_join_in_order_whatever_their_sizes),
	  T(a_refused_complete_keeps_the_upload),
	  T(an_aborted_upload_is_gone),
	  T(parts_are_copied_from_one_version))
