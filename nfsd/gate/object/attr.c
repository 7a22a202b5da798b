/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of files in the metadata of their objects, so that any gateway,
 * and other tools, find them there.
 *
 *	key (x-amz-meta-...)	value			written by
 *	file-permissions	0100644: st_mode	aws, s3fs
 *	file-owner, file-group	500			aws, s3fs
 *	file-mtime, -atime, -btime
 *				1595002920000000000ns	aws, s3fs
 *	mtime			1595002920.000000000	aws, s3fs
 *	mode			33188: st_mode		s3fs
 *	uid, gid		500			s3fs
 *	atime, ctime		1595002920.000000000	s3fs
 *	rdev			2049: makedev(8, 1)	aws, s3fs
 *	goog-reserved-posix-mode, -uid, -gid, goog-reserved-file-mtime,
 *	goog-reserved-file-is-symlink			never
 *
 * "aws" and "s3fs" are the export's dialect; "none" writes nothing.  Each
 * attribute is read from the first key in this order that makes sense.  Type
 * bits may be missing.  A file-* time without "ns" is in milliseconds.
 * `mtime` is a decimal fraction to read (rclone cuts zeros at its end), and
 * always written with nine digits (s3fs reads what follows the point as a
 * number of nanoseconds).  `rdev` is geesefs's key and Linux's encoding,
 * which glibc's makedev extends to 32 bits for each number.
 *
 * Attributes equal to the export's defaults are left out, so that plain
 * objects stay plain.  Keys of another dialect that the object has already
 * are brought up to date if they would contradict, or removed where there is
 * nothing to write; any other header is not touched.
 */

#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "nfsd/gate/object/object.h"

#define META "x-amz-meta-"
#define SECOND INT64_C(1000000000)
#define AWS (1U << GATE_META_AWS)
#define S3FS (1U << GATE_META_S3FS)

enum field {
	F_MODE, F_UID, F_GID, F_MTIME, F_ATIME, F_CTIME, F_BTIME, F_RDEV,
	F_COUNT
};

enum form {
	OCTAL_TYPE,		/* octal st_mode */
	OCTAL,			/* octal permissions */
	C_NUMBER,		/* decimal st_mode; 0 and 0x are understood */
	DECIMAL,
	NANOSECONDS,		/* "ns", or milliseconds without */
	SECONDS			/* with nine digits after the point */
};

/* In the order of reading. */
static const struct known_key {
	const char *name;
	enum field field;
	enum form form;
	unsigned dialects;	/* that write it */
} known[] = {
	{ META "file-permissions", F_MODE, OCTAL_TYPE, AWS | S3FS },
	{ META "mode", F_MODE, C_NUMBER, S3FS },
	{ META "goog-reserved-posix-mode", F_MODE, OCTAL, 0 },
	{ META "file-owner", F_UID, DECIMAL, AWS | S3FS },
	{ META "uid", F_UID, DECIMAL, S3FS },
	{ META "goog-reserved-posix-uid", F_UID, DECIMAL, 0 },
	{ META "file-group", F_GID, DECIMAL, AWS | S3FS },
	{ META "gid", F_GID, DECIMAL, S3FS },
	{ META "goog-reserved-posix-gid", F_GID, DECIMAL, 0 },
	{ META "file-mtime", F_MTIME, NANOSECONDS, AWS | S3FS },
	{ META "mtime", F_MTIME, SECONDS, AWS | S3FS },
	{ META "goog-reserved-file-mtime", F_MTIME, SECONDS, 0 },
	{ META "file-atime", F_ATIME, NANOSECONDS, AWS | S3FS },
	{ META "atime", F_ATIME, SECONDS, S3FS },
	{ META "ctime", F_CTIME, SECONDS, S3FS },
	{ META "file-btime", F_BTIME, NANOSECONDS, AWS | S3FS },
	{ META "rdev", F_RDEV, DECIMAL, AWS | S3FS },
};

#define KNOWN (sizeof(known) / sizeof(*known))
#define IS_SYMLINK META "goog-reserved-file-is-symlink"

/* ---- reading values ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *
skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* Digits of a base to the end of the text, at most max. */
static bool
read_number(const char *s, unsigned base, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;
	const char *start = s;

	for (;; s++) {
		unsigned digit;

		if (is_digit(*s))
			digit = (unsigned)(*s - '0');
		else if ((*s | 32) >= 'a' && (*s | 32) <= 'f')
			digit = (unsigned)((*s | 32) - 'a' + 10);
		else
			break;
		if (digit >= base || n > (max - digit) / base)
			return false;
		n = n * base + digit;
	}
	*out = n;
	return s > start && *skip_blanks(s) == '\0';
}

/* As strtoll with base 0, which s3fs uses. */
static bool
read_c_number(const char *s, uint64_t max, uint64_t *out)
{
	if (s[0] == '0' && (s[1] | 32) == 'x')
		return read_number(s + 2, 16, max, out);
	return read_number(s, s[0] == '0' ? 8 : 10, max, out);
}

/* An optional sign and digits; *end is what follows them. */
static bool
read_whole(const char *s, bool *negative, int64_t *out, const char **end)
{
	int64_t n = 0;
	const char *start;

	*negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	for (start = s; is_digit(*s); s++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, *s - '0', &n))
			return false;
	*out = n;
	*end = s;
	return s > start;
}

static bool
read_nanoseconds(const char *s, int64_t *out)
{
	const char *end;
	bool negative;
	int64_t n;

	if (!read_whole(s, &negative, &n, &end))
		return false;
	if (end[0] == 'n' && end[1] == 's')
		end += 2;
	else if (__builtin_mul_overflow(n, 1000000, &n))
		return false;
	*out = negative ? -n : n;
	return *skip_blanks(end) == '\0';
}

static bool
read_seconds(const char *s, int64_t *out)
{
	int64_t n, fraction = 0, unit = SECOND;
	const char *end;
	bool negative;

	if (!read_whole(s, &negative, &n, &end) ||
	    __builtin_mul_overflow(n, SECOND, &n))
		return false;
	if (*end == '.')
		for (end++; is_digit(*end); end++) {
			unit /= 10;	/* 0 after nine digits */
			fraction += (*end - '0') * unit;
		}
	if (__builtin_add_overflow(n, fraction, &n))
		return false;
	*out = negative ? -n : n;
	return *skip_blanks(end) == '\0';
}

/* A key's value in the unit of its field; false if it makes no sense. */
static bool
read_value(const struct known_key *k, const char *text, int64_t *out)
{
	uint64_t n = 0;
	bool ok;

	text = skip_blanks(text);
	if (k->form == NANOSECONDS)
		return read_nanoseconds(text, out);
	if (k->form == SECONDS)
		return read_seconds(text, out);
	if (k->form == C_NUMBER)
		ok = read_c_number(text, 0177777, &n);
	else if (k->form == DECIMAL)
		/* 2^32 - 1 is no id, but "do not change" of chown. */
		ok = read_number(text, 10, k->field == F_RDEV ? INT64_MAX :
				 UINT32_MAX - 1, &n);
	else
		ok = read_number(text, 8, 0177777, &n);
	*out = (int64_t)n;
	return ok;
}

static uint32_t
type_bits(enum gate_kind kind)
{
	switch (kind) {
	case GATE_DIR: return S_IFDIR;
	case GATE_BLK: return S_IFBLK;
	case GATE_CHR: return S_IFCHR;
	case GATE_LNK: return S_IFLNK;
	case GATE_SOCK: return S_IFSOCK;
	case GATE_FIFO: return S_IFIFO;
	default: return S_IFREG;
	}
}

/* The kind that type bits tell, for a key without '/' at its end. */
static enum gate_kind
kind_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFBLK: return GATE_BLK;
	case S_IFCHR: return GATE_CHR;
	case S_IFLNK: return GATE_LNK;
	case S_IFSOCK: return GATE_SOCK;
	case S_IFIFO: return GATE_FIFO;
	default: return GATE_REG;
	}
}

struct fields {
	bool has[F_COUNT];
	int64_t value[F_COUNT];
};

static void
read_fields(const struct s3_headers *headers, struct fields *f)
{
	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < KNOWN; i++) {
		const struct known_key *k = &known[i];
		const char *text = s3_headers_get(headers, k->name);
		int64_t value;

		if (f->has[k->field] || text == NULL ||
		    !read_value(k, text, &value))
			continue;
		f->has[k->field] = true;
		f->value[k->field] = value;
	}
}

static bool
says_symlink(const struct s3_headers *headers)
{
	const char *text = s3_headers_get(headers, IS_SYMLINK);

	return text != NULL && strcmp(text, "true") == 0;
}

static void
take_mode(const struct objattr_defaults *d, bool directory,
	  const struct s3_headers *headers, const struct fields *f,
	  struct objattr *out)
{
	uint32_t mode = (uint32_t)f->value[F_MODE];
	bool typed = f->has[F_MODE] && (mode & S_IFMT) != 0;

	out->kind = directory ? GATE_DIR : GATE_REG;
	if (!directory && typed)
		out->kind = kind_of(mode);
	else if (!directory && says_symlink(headers))
		out->kind = GATE_LNK;
	out->explicit_mode = f->has[F_MODE];
	if (f->has[F_MODE])
		out->mode = mode & 07777;
	else if (out->kind == GATE_LNK)
		out->mode = 0777;
	else
		out->mode = (directory ? d->dir_mode : d->file_mode) & 07777;
}

void
gate_objattr_parse(const struct objattr_defaults *d, const char *key,
		   const struct s3_object *object, struct objattr *out)
{
	size_t len = strlen(key);
	struct fields f;

	memset(out, 0, sizeof(*out));
	read_fields(&object->headers, &f);
	take_mode(d, len > 0 && key[len - 1] == '/', &object->headers, &f,
		  out);
	out->uid = f.has[F_UID] ? (uint32_t)f.value[F_UID] : d->uid;
	out->gid = f.has[F_GID] ? (uint32_t)f.value[F_GID] : d->gid;
	out->explicit_mtime = f.has[F_MTIME];
	out->mtime_ns = f.has[F_MTIME] ? f.value[F_MTIME] : object->mtime_ns;
	out->ctime_ns = f.has[F_CTIME] ? f.value[F_CTIME] : object->mtime_ns;
	out->atime_ns = f.has[F_ATIME] ? f.value[F_ATIME] : out->mtime_ns;
	out->btime_ns = f.has[F_BTIME] ? f.value[F_BTIME] : out->mtime_ns;
	if (out->kind == GATE_BLK || out->kind == GATE_CHR) {
		out->rdev_major = gnu_dev_major((dev_t)f.value[F_RDEV]);
		out->rdev_minor = gnu_dev_minor((dev_t)f.value[F_RDEV]);
	}
}

/* ---- writing ---- */

/* Which fields must be told, and their values. */
static void
want_fields(const struct objattr_defaults *d, const struct objattr *a,
	    int64_t hint, struct fields *f)
{
	uint32_t usual = a->kind == GATE_DIR ? d->dir_mode : d->file_mode;

	f->value[F_MODE] = type_bits(a->kind) | (a->mode & 07777);
	f->has[F_MODE] = (a->kind != GATE_REG && a->kind != GATE_DIR) ||
			 (a->mode & 07777) != (usual & 07777);
	f->value[F_UID] = a->uid;
	f->has[F_UID] = a->uid != d->uid;
	f->value[F_GID] = a->gid;
	f->has[F_GID] = a->gid != d->gid;
	f->value[F_MTIME] = a->mtime_ns;
	f->has[F_MTIME] = hint == 0 || a->mtime_ns != hint;
	f->value[F_ATIME] = a->atime_ns;
	f->has[F_ATIME] = a->atime_ns != a->mtime_ns;
	f->value[F_CTIME] = a->ctime_ns;
	f->has[F_CTIME] = hint == 0 || a->ctime_ns != hint;
	f->value[F_BTIME] = a->btime_ns;
	f->has[F_BTIME] = a->btime_ns != a->mtime_ns;
	f->has[F_RDEV] = a->kind == GATE_BLK || a->kind == GATE_CHR;
	f->value[F_RDEV] = f->has[F_RDEV] ?
		(int64_t)gnu_dev_makedev(a->rdev_major, a->rdev_minor) : 0;
}

static void
print_seconds(int64_t ns, char *out, size_t size)
{
	/* The magnitude of INT64_MIN needs the unsigned type. */
	uint64_t n = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

	snprintf(out, size, "%s%" PRIu64 ".%09" PRIu64, ns < 0 ? "-" : "",
		 n / SECOND, n % SECOND);
}

static void
print_value(const struct known_key *k, int64_t value, char *out, size_t size)
{
	switch (k->form) {
	case OCTAL_TYPE:
		snprintf(out, size, "%07" PRIo64, (uint64_t)value);
		break;
	case OCTAL:
		snprintf(out, size, "%" PRIo64, (uint64_t)value & 07777);
		break;
	case C_NUMBER:
	case DECIMAL:
		snprintf(out, size, "%" PRIu64, (uint64_t)value);
		break;
	case NANOSECONDS:
		snprintf(out, size, "%" PRId64 "ns", value);
		break;
	case SECONDS:
		print_seconds(value, out, size);
		break;
	}
}

/* Does the text say the same?  Type bits may be missing. */
static bool
says_same(const struct known_key *k, int64_t said, int64_t value)
{
	if (k->field == F_MODE &&
	    ((said & S_IFMT) == 0 || k->form == OCTAL))
		return (said & 07777) == (value & 07777);
	return said == value;
}

static int
format_key(const struct known_key *k, enum gate_dialect dialect, bool want,
	   int64_t value, struct s3_headers *headers)
{
	const char *text = s3_headers_get(headers, k->name);
	bool own = (k->dialects & 1U << dialect) != 0;
	char fresh[64];
	int64_t said;

	if (own ? !want : text == NULL)
		return s3_headers_set(headers, k->name, NULL);
	if (!own) {
		/* Somebody else's word, which is not a number of ours. */
		if (!read_value(k, text, &said) || says_same(k, said, value))
			return 0;
		if (!want || dialect == GATE_META_NONE)
			return s3_headers_set(headers, k->name, NULL);
	}
	print_value(k, value, fresh, sizeof(fresh));
	return s3_headers_set(headers, k->name, fresh);
}

int
gate_objattr_format(const struct objattr_defaults *d,
		    const struct objattr *attr, int64_t s3_mtime_hint_ns,
		    struct s3_headers *headers)
{
	struct fields f;
	int r = 0;

	want_fields(d, attr, s3_mtime_hint_ns, &f);
	for (size_t i = 0; r == 0 && i < KNOWN; i++) {
		enum field field = known[i].field;

		if (field == F_BTIME && attr->btime_ns == 0)
			continue;
		r = format_key(&known[i], d->dialect, f.has[field],
			       f.value[field], headers);
	}
	if (r == 0 && attr->kind != GATE_LNK && says_symlink(headers))
		r = s3_headers_set(headers, IS_SYMLINK, NULL);
	if (r == 0 && attr->kind == GATE_DIR &&
	    d->dialect == GATE_META_S3FS &&
	    s3_headers_get(headers, "content-type") == NULL)
		r = s3_headers_set(headers, "content-type",
				   "application/x-directory");
	return r;
}
