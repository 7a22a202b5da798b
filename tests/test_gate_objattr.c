/* SPDX-License-Identifier: Apache-2.0 */

/* nfsd/gate/object/attr.c: the dialects, read and written. */

#include <config.h>

#include <limits.h>
#include <stdlib.h>

#include "nfsd/gate/object/object.h"
#include "tests/unit.h"

#define M "x-amz-meta-"
#define LAST_MODIFIED INT64_C(1700000000000000000)

static const struct objattr_defaults aws = {
	.file_mode = 0644, .dir_mode = 0755, .uid = 65534, .gid = 65534,
	.dialect = GATE_META_AWS,
};
static const struct objattr_defaults s3fs = {
	.file_mode = 0644, .dir_mode = 0755, .uid = 65534, .gid = 65534,
	.dialect = GATE_META_S3FS,
};
static const struct objattr_defaults none = {
	.file_mode = 0644, .dir_mode = 0755, .uid = 65534, .gid = 65534,
	.dialect = GATE_META_NONE,
};

static void
set(struct s3_headers *h, const char *name, const char *value)
{
	CU_ASSERT_EQUAL_FATAL(s3_headers_set(h, name, value), 0);
}

static bool
is(const struct s3_headers *h, const char *name, const char *want)
{
	const char *got = s3_headers_get(h, name);
	bool same = want == NULL ? got == NULL :
		    got != NULL && strcmp(got, want) == 0;

	if (!same)
		fprintf(stderr, "%s: %s, not %s\n", name,
			got != NULL ? got : "none",
			want != NULL ? want : "none");
	return same;
}

/* Attributes of a key whose object has one or two headers. */
static struct objattr
parse(const char *key, const char *n1, const char *v1, const char *n2,
      const char *v2)
{
	struct s3_object o = { .mtime_ns = LAST_MODIFIED };
	struct objattr a;

	if (n1 != NULL)
		set(&o.headers, n1, v1);
	if (n2 != NULL)
		set(&o.headers, n2, v2);
	gate_objattr_parse(&aws, key, &o, &a);
	s3_object_free(&o);
	return a;
}

static void
a_plain_object_has_the_defaults(void)
{
	struct objattr a = parse("d/f", NULL, NULL, NULL, NULL);

	CU_ASSERT_EQUAL(a.kind, GATE_REG);
	CU_ASSERT_EQUAL(a.mode, 0644);
	CU_ASSERT_EQUAL(a.uid, 65534);
	CU_ASSERT_EQUAL(a.gid, 65534);
	CU_ASSERT_EQUAL(a.mtime_ns, LAST_MODIFIED);
	CU_ASSERT_EQUAL(a.atime_ns, LAST_MODIFIED);
	CU_ASSERT_EQUAL(a.ctime_ns, LAST_MODIFIED);
	CU_ASSERT_EQUAL(a.btime_ns, LAST_MODIFIED);
	CU_ASSERT(!a.explicit_mtime && !a.explicit_mode);
	a = parse("d/", NULL, NULL, NULL, NULL);
	CU_ASSERT_EQUAL(a.kind, GATE_DIR);
	CU_ASSERT_EQUAL(a.mode, 0755);
}

static void
modes_are_read_from_every_dialect(void)
{
	static const struct {
		const char *key, *name, *value;
		enum gate_kind kind;
		uint32_t mode;
	} c[] = {
		{ "f", M "file-permissions", "0100644", GATE_REG, 0644 },
		{ "f", M "file-permissions", "0100755", GATE_REG, 0755 },
		{ "f", M "file-permissions", "0600", GATE_REG, 0600 },
		{ "f", M "file-permissions", "600", GATE_REG, 0600 },
		{ "f", M "file-permissions", " 100755 ", GATE_REG, 0755 },
		{ "f", M "file-permissions", "0104755", GATE_REG, 04755 },
		{ "f", M "file-permissions", "0120777", GATE_LNK, 0777 },
		{ "f", M "file-permissions", "0010600", GATE_FIFO, 0600 },
		{ "f", M "file-permissions", "0140600", GATE_SOCK, 0600 },
		{ "f", M "file-permissions", "0060600", GATE_BLK, 0600 },
		{ "f", M "file-permissions", "0020600", GATE_CHR, 0600 },
		{ "d/", M "file-permissions", "0040755", GATE_DIR, 0755 },
		{ "d/", M "file-permissions", "0040777", GATE_DIR, 0777 },
		{ "d/", M "file-permissions", "0100600", GATE_DIR, 0600 },
		{ "f", M "file-permissions", "0040700", GATE_REG, 0700 },
		{ "f", M "mode", "33188", GATE_REG, 0644 },
		{ "f", M "mode", "33261", GATE_REG, 0755 },
		{ "d/", M "mode", "16877", GATE_DIR, 0755 },
		{ "f", M "mode", "41471", GATE_LNK, 0777 },
		{ "f", M "mode", "0x81a4", GATE_REG, 0644 },
		{ "f", M "mode", "0100600", GATE_REG, 0600 },
		{ "f", M "mode", "420", GATE_REG, 0644 },
		{ "f", M "goog-reserved-posix-mode", "640", GATE_REG, 0640 },
		{ "f", M "goog-reserved-file-is-symlink", "true", GATE_LNK,
		  0777 },
		{ "d/", M "goog-reserved-file-is-symlink", "true", GATE_DIR,
		  0755 },
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct objattr a = parse(c[i].key, c[i].name, c[i].value,
					 NULL, NULL);

		if (a.kind != c[i].kind || a.mode != c[i].mode)
			fprintf(stderr, "%s=%s: kind %d mode %o\n", c[i].name,
				c[i].value, a.kind, a.mode);
		CU_ASSERT_EQUAL(a.kind, c[i].kind);
		CU_ASSERT_EQUAL(a.mode, c[i].mode);
	}
}

static void
times_are_read_from_every_dialect(void)
{
	static const struct {
		const char *name, *value;
		int64_t ns;
	} c[] = {
		{ M "file-mtime", "1595002920000000000ns",
		  1595002920000000000 },
		{ M "file-mtime", "1595002920123", 1595002920123000000 },
		{ M "file-mtime", "-1ns", -1 },
		{ M "file-mtime", "0", 0 },
		{ M "mtime", "1241582706.499999999", 1241582706499999999 },
		{ M "mtime", "1241582706.5", 1241582706500000000 },
		{ M "mtime", "1241582706", 1241582706000000000 },
		{ M "mtime", "1241582706.000000005", 1241582706000000005 },
		{ M "mtime", "1.1234567899999", 1123456789 },
		{ M "mtime", "-1.5", -1500000000 },
		{ M "goog-reserved-file-mtime", "1241582706",
		  1241582706000000000 },
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct objattr a = parse("f", c[i].name, c[i].value, NULL,
					 NULL);

		CU_ASSERT_EQUAL(a.mtime_ns, c[i].ns);
		CU_ASSERT_EQUAL(a.atime_ns, c[i].ns);
		CU_ASSERT_EQUAL(a.ctime_ns, LAST_MODIFIED);
		CU_ASSERT(a.explicit_mtime);
	}
	CU_ASSERT_EQUAL(parse("f", M "file-atime", "5ns", NULL, NULL).atime_ns,
			5);
	CU_ASSERT_EQUAL(parse("f", M "atime", "5", NULL, NULL).atime_ns,
			5000000000);
	CU_ASSERT_EQUAL(parse("f", M "ctime", "6.000000001", NULL,
			      NULL).ctime_ns, 6000000001);
	CU_ASSERT_EQUAL(parse("f", M "file-btime", "7ns", NULL, NULL).btime_ns,
			7);
}

static void
the_order_is_aws_then_s3fs_then_goog(void)
{
	struct objattr a;

	a = parse("f", M "file-permissions", "0100600", M "mode", "33188");
	CU_ASSERT_EQUAL(a.mode, 0600);
	a = parse("f", M "file-owner", "500", M "uid", "501");
	CU_ASSERT_EQUAL(a.uid, 500);
	a = parse("f", M "uid", "501", M "goog-reserved-posix-uid", "502");
	CU_ASSERT_EQUAL(a.uid, 501);
	a = parse("f", M "goog-reserved-posix-gid", "502", M "file-group",
		  "500");
	CU_ASSERT_EQUAL(a.gid, 500);
	a = parse("f", M "file-mtime", "1ns", M "mtime", "2");
	CU_ASSERT_EQUAL(a.mtime_ns, 1);
	/* What makes no sense is passed over, field by field. */
	a = parse("f", M "file-mtime", "soon", M "mtime", "2");
	CU_ASSERT_EQUAL(a.mtime_ns, 2000000000);
	a = parse("f", M "file-owner", "root", M "gid", "7");
	CU_ASSERT_EQUAL(a.uid, 65534);
	CU_ASSERT_EQUAL(a.gid, 7);
}

static void
malformed_values_count_as_absent(void)
{
	static const struct {
		const char *name, *value;
	} c[] = {
		{ M "file-permissions", "" }, { M "file-permissions", "rwx" },
		{ M "file-permissions", "0100648" },
		{ M "file-permissions", "-0644" },
		{ M "file-permissions", "0200644" },
		{ M "file-permissions", "77777777777777777777777777777777" },
		{ M "mode", "0x" }, { M "mode", "65536" }, { M "mode", "1e3" },
		{ M "mode", "99999999999999999999" },
		{ M "file-owner", "4294967295" },
		{ M "file-owner", "4294967296" }, { M "file-owner", "-2" },
		{ M "uid", "18446744073709551617" }, { M "uid", "5 6" },
		{ M "gid", "+5" }, { M "gid", "0x10" },
		{ M "file-mtime", "9223372036854775808ns" },
		{ M "file-mtime", "9223372036855" },
		{ M "file-mtime", "1.5ns" }, { M "file-mtime", "ns" },
		{ M "file-mtime", "1nsx" }, { M "file-mtime", "-" },
		{ M "file-mtime", "99999999999999999999999999" },
		{ M "mtime", "9223372037" },
		{ M "mtime", "9223372036.999999999" },
		{ M "mtime", "1.5.5" }, { M "mtime", "nan" },
		{ M "mtime", "1e9" }, { M "mtime", "." }, { M "mtime", "" },
		{ M "goog-reserved-file-is-symlink", "1" },
	};
	struct objattr want = parse("f", NULL, NULL, NULL, NULL);

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct objattr a = parse("f", c[i].name, c[i].value, NULL,
					 NULL);

		if (memcmp(&a, &want, sizeof(a)) != 0)
			fprintf(stderr, "%s=%s\n", c[i].name, c[i].value);
		CU_ASSERT(memcmp(&a, &want, sizeof(a)) == 0);
	}
}

static void
device_numbers_are_read_and_written(void)
{
	static const uint32_t numbers[][2] = {
		{ 8, 1 }, { 0, 0 }, { 4095, 1048575 }, { 259, 300 },
		{ UINT32_MAX >> 1, UINT32_MAX },
	};
	struct objattr a = parse("f", M "file-permissions", "0060660",
				 M "rdev", "2049");

	CU_ASSERT_EQUAL(a.rdev_major, 8);
	CU_ASSERT_EQUAL(a.rdev_minor, 1);
	a = parse("f", M "rdev", "2049", NULL, NULL);
	CU_ASSERT_EQUAL(a.rdev_major, 0);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		struct objattr in = {
			.kind = GATE_CHR, .mode = 0600,
			.rdev_major = numbers[i][0],
			.rdev_minor = numbers[i][1],
		}, out;
		struct s3_object o = { 0 };

		CU_ASSERT_EQUAL(gate_objattr_format(&aws, &in, 0, &o.headers),
				0);
		gate_objattr_parse(&aws, "f", &o, &out);
		CU_ASSERT_EQUAL(out.kind, GATE_CHR);
		CU_ASSERT_EQUAL(out.rdev_major, in.rdev_major);
		CU_ASSERT_EQUAL(out.rdev_minor, in.rdev_minor);
		s3_object_free(&o);
	}
}

static struct objattr
sample(void)
{
	return (struct objattr){
		.kind = GATE_REG, .mode = 0600, .uid = 500, .gid = 501,
		.mtime_ns = 1595002920000000000, .atime_ns = 1595002921000000002,
		.ctime_ns = 1595002922000000003, .btime_ns = 0,
	};
}

static void
aws_is_written_as_the_field_writes_it(void)
{
	struct objattr a = sample();
	struct s3_headers h = { 0 };

	CU_ASSERT_EQUAL(gate_objattr_format(&aws, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "file-permissions", "0100600"));
	CU_ASSERT(is(&h, M "file-owner", "500"));
	CU_ASSERT(is(&h, M "file-group", "501"));
	CU_ASSERT(is(&h, M "file-mtime", "1595002920000000000ns"));
	CU_ASSERT(is(&h, M "mtime", "1595002920.000000000"));
	CU_ASSERT(is(&h, M "file-atime", "1595002921000000002ns"));
	CU_ASSERT_EQUAL(h.count, 6);
	s3_headers_free(&h);
	a.kind = GATE_LNK;
	a.mode = 0777;
	CU_ASSERT_EQUAL(gate_objattr_format(&aws, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "file-permissions", "0120777"));
	s3_headers_free(&h);
	a.kind = GATE_DIR;
	CU_ASSERT_EQUAL(gate_objattr_format(&aws, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "file-permissions", "0040777"));
	CU_ASSERT(is(&h, "content-type", NULL));
	s3_headers_free(&h);
}

static void
s3fs_is_written_as_the_field_writes_it(void)
{
	struct objattr a = sample();
	struct s3_headers h = { 0 };

	CU_ASSERT_EQUAL(gate_objattr_format(&s3fs, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "mode", "33152"));
	CU_ASSERT(is(&h, M "uid", "500"));
	CU_ASSERT(is(&h, M "gid", "501"));
	CU_ASSERT(is(&h, M "mtime", "1595002920.000000000"));
	CU_ASSERT(is(&h, M "atime", "1595002921.000000002"));
	CU_ASSERT(is(&h, M "ctime", "1595002922.000000003"));
	CU_ASSERT(is(&h, M "file-permissions", "0100600"));
	s3_headers_free(&h);
	a.kind = GATE_DIR;
	a.mode = 0700;
	CU_ASSERT_EQUAL(gate_objattr_format(&s3fs, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "mode", "16832"));
	CU_ASSERT(is(&h, "content-type", "application/x-directory"));
	s3_headers_free(&h);
	/* Before the epoch, with nine digits still. */
	a.mtime_ns = -1500000000;
	CU_ASSERT_EQUAL(gate_objattr_format(&s3fs, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "mtime", "-1.500000000"));
	s3_headers_free(&h);
}

static void
defaults_are_left_out_and_removed(void)
{
	struct objattr a = parse("f", NULL, NULL, NULL, NULL);
	struct s3_headers h = { 0 };

	CU_ASSERT_EQUAL(gate_objattr_format(&s3fs, &a, LAST_MODIFIED, &h), 0);
	CU_ASSERT_EQUAL(h.count, 0);
	set(&h, M "file-permissions", "0100600");
	set(&h, M "mode", "33152");
	set(&h, M "file-owner", "1");
	set(&h, M "mtime", "1");
	CU_ASSERT_EQUAL(gate_objattr_format(&aws, &a, LAST_MODIFIED, &h), 0);
	CU_ASSERT_EQUAL(h.count, 0);
	s3_headers_free(&h);
}

static void
foreign_headers_are_carried_over(void)
{
	static const char *const keep[][2] = {
		{ "content-type", "text/html" }, { "cache-control", "no-cache" },
		{ M "owner", "alice" }, { M "fs-id", "fs-1:2:3" },
		{ M "md5chksum", "abc=" }, { M "user-agent", "aws-datasync" },
		{ M "s3cmd-attrs", "uid:0/mode:33188" }, { M "mode", "fast" },
		{ M "uid", "me" }, { M "xattr", "%7b%7d" },
	};
	const struct objattr_defaults *all[] = { &aws, &none };
	size_t count = sizeof(keep) / sizeof(*keep);

	for (size_t d = 0; d < 2; d++) {
		struct s3_headers h = { 0 };
		struct objattr a = sample();

		for (size_t i = 0; i < count; i++)
			set(&h, keep[i][0], keep[i][1]);
		CU_ASSERT_EQUAL(gate_objattr_format(all[d], &a, 0, &h), 0);
		for (size_t i = 0; i < count; i++)
			CU_ASSERT(is(&h, keep[i][0], keep[i][1]));
		if (all[d] == &none)
			CU_ASSERT_EQUAL(h.count, count);
		s3_headers_free(&h);
	}
}

static void
keys_of_other_dialects_do_not_contradict(void)
{
	struct objattr a = sample();
	struct s3_headers h = { 0 };

	set(&h, M "mode", "33188");
	set(&h, M "uid", "500");
	set(&h, M "goog-reserved-posix-mode", "644");
	set(&h, M "goog-reserved-file-mtime", "5");
	set(&h, M "goog-reserved-file-is-symlink", "true");
	set(&h, M "mtime", "1595002920.5");
	CU_ASSERT_EQUAL(gate_objattr_format(&aws, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "mode", "33152"));
	CU_ASSERT(is(&h, M "uid", "500"));
	CU_ASSERT(is(&h, M "goog-reserved-posix-mode", "600"));
	CU_ASSERT(is(&h, M "goog-reserved-file-mtime",
		     "1595002920.000000000"));
	CU_ASSERT(is(&h, M "goog-reserved-file-is-symlink", NULL));
	CU_ASSERT(is(&h, M "mtime", "1595002920.000000000"));
	/* Without a dialect what is wrong goes, what is right stays. */
	set(&h, M "mode", "33188");
	set(&h, M "file-mtime", "5ns");
	CU_ASSERT_EQUAL(gate_objattr_format(&none, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "mode", NULL));
	CU_ASSERT(is(&h, M "file-mtime", NULL));
	CU_ASSERT(is(&h, M "uid", "500"));
	CU_ASSERT(is(&h, M "file-owner", "500"));
	s3_headers_free(&h);
}

static void
an_unknown_birth_time_stays_as_it_is(void)
{
	struct objattr a = sample();
	struct s3_headers h = { 0 };

	set(&h, M "file-btime", "77ns");
	CU_ASSERT_EQUAL(gate_objattr_format(&aws, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "file-btime", "77ns"));
	a.btime_ns = 78;
	CU_ASSERT_EQUAL(gate_objattr_format(&aws, &a, 0, &h), 0);
	CU_ASSERT(is(&h, M "file-btime", "78ns"));
	s3_headers_free(&h);
}

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
what_is_written_is_read_back(void)
{
	static const enum gate_kind kinds[] = {
		GATE_REG, GATE_DIR, GATE_BLK, GATE_CHR, GATE_LNK, GATE_SOCK,
		GATE_FIFO,
	};
	static const uint32_t ids[] = { 0, 1, 500, 65534, UINT32_MAX - 1 };
	uint64_t state = 88172645463325252ULL;

	for (int i = 0; i < 5000; i++) {
		const struct objattr_defaults *d = i % 2 == 0 ? &aws : &s3fs;
		struct s3_object o = { .mtime_ns = LAST_MODIFIED };
		struct objattr in = { .kind = kinds[i % 7] }, out;

		in.mode = next_random(&state) & 07777;
		in.uid = ids[next_random(&state) % 5];
		in.gid = ids[next_random(&state) % 5];
		in.mtime_ns = (int64_t)next_random(&state);
		in.atime_ns = (int64_t)next_random(&state) / 2;
		in.btime_ns = (int64_t)next_random(&state) | 1;
		in.ctime_ns = d == &s3fs ? (int64_t)next_random(&state) :
			      LAST_MODIFIED;
		in.explicit_mtime = true;
		if (in.kind == GATE_BLK || in.kind == GATE_CHR) {
			in.rdev_major = next_random(&state) & 0xfff;
			in.rdev_minor = next_random(&state) & 0xfffff;
		}
		in.explicit_mode = (in.kind != GATE_REG || in.mode != 0644) &&
				   (in.kind != GATE_DIR || in.mode != 0755);
		/* Whatever the last writer left. */
		set(&o.headers, M "file-mtime", "1ns");
		set(&o.headers, M "mode", "41471");
		CU_ASSERT_EQUAL(gate_objattr_format(d, &in, 0, &o.headers), 0);
		gate_objattr_parse(d, in.kind == GATE_DIR ? "k/" : "k", &o,
				   &out);
		CU_ASSERT(memcmp(&in, &out, sizeof(in)) == 0);
		s3_object_free(&o);
	}
}

TEST_MAIN("gate_objattr",
	  T(a_plain_object_has_the_defaults),
	  T(modes_are_read_from_every_dialect),
	  T(times_are_read_from_every_dialect),
	  T(the_order_is_aws_then_s3fs_then_goog),
	  T(malformed_values_count_as_absent),
	  T(device_numbers_are_read_and_written),
	  T(aws_is_written_as_the_field_writes_it),
	  T(s3fs_is_written_as_the_field_writes_it),
	  T(defaults_are_left_out_and_removed),
	  T(foreign_headers_are_carried_over),
	  T(keys_of_other_dialects_do_not_contradict),
	  T(an_unknown_birth_time_stays_as_it_is),
	  T(what_is_written_is_read_back))
