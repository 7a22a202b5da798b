/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Headers and ETags of the local bucket's files.
 *
 * They lie in one extended attribute, user.s3nfsd, as text:
 *
 *	1 SIZE MTIME_NS MODIFIED_NS ETAG
 *	content-type: text/plain
 *	x-amz-meta-mtime: 1700000000.000000000
 *
 * The attribute is set before the file is moved in its place, so both
 * appear at one instant.  SIZE and MTIME_NS say which state of the file the
 * text speaks of: a file that was written by hand since no longer fits, and
 * counts as one that was put there by hand, with an ETag that derives from
 * inode, size and time, and without headers.  The time is set to the
 * nanosecond when the file is sealed, where the kernel stamps a write by its
 * tick; so a later write of the same size is seen too.  MODIFIED_NS is
 * Last-Modified if the attributes changed after the bytes, or 0.
 *
 * Where extended attributes do not serve (a file system without, or more
 * text than fits) the text lies in .s3nfsd/attr/INODE, and the extended
 * attribute, if there can be one, is "@".  The file's inode is known before
 * it is moved in place, so the same holds.  A leftover text does not fit the
 * next owner of the inode, by its time.
 */

#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "s3/local_priv.h"

#define XATTR "user.s3nfsd"
#define TEXT_MAX 65536		/* bytes of all headers; S3 allows 8 KiB */

static int64_t
time_ns(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

int
local_headers_check(const struct s3_headers *h)
{
	size_t total = 0;

	for (size_t i = 0; i < h->count; i++) {
		const char *name = h->list[i].name;
		const char *value = h->list[i].value;

		if (name[0] == '\0' || strpbrk(name, ": \t\r\n") != NULL ||
		    strpbrk(value, "\r\n") != NULL)
			return -EINVAL;
		total += strlen(name) + strlen(value) + 3;
	}
	return total <= TEXT_MAX - 512 ? 0 : -EINVAL;
}

void
local_headers_print(FILE *f, const struct s3_headers *h)
{
	for (size_t i = 0; i < h->count; i++)
		fprintf(f, "%s: %s\n", h->list[i].name, h->list[i].value);
}

int
local_headers_parse(char *text, struct s3_headers *h)
{
	while (*text != '\0') {
		char *end = strchr(text, '\n');
		char *colon = strchr(text, ':');
		int r;

		if (end == NULL || colon == NULL || colon > end ||
		    colon[1] != ' ')
			return -EBADMSG;
		*end = *colon = '\0';
		r = s3_headers_set(h, text, colon + 2);
		if (r < 0)
			return r;
		text = end + 1;
	}
	return 0;
}

static void
attr_name(ino_t ino, char name[32])
{
	snprintf(name, 32, "%ju", (uintmax_t)ino);
}

/* The text kept apart for an inode; *text is malloced, NULL if none. */
static int
read_apart(struct s3_local *l, ino_t ino, char **text)
{
	CLEANUP_FD int fd = -1;
	char name[32];
	ssize_t n;
	char *buf;

	attr_name(ino, name);
	fd = openat(l->attrs, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : local_errno(errno);
	buf = malloc(TEXT_MAX + 1);
	if (buf == NULL)
		return -ENOMEM;
	n = pread(fd, buf, TEXT_MAX, 0);
	if (n < 0) {
		free(buf);
		return -EIO;
	}
	buf[n] = '\0';
	*text = buf;
	return 0;
}

/* The text of an open file, *text NULL if it has none. */
static int
read_text(struct s3_local *l, int fd, ino_t ino, char **text)
{
	char small[4096];
	ssize_t n = -1;

	*text = NULL;
	if (l->xattrs)
		n = fgetxattr(fd, XATTR, small, sizeof(small) - 1);
	if (n < 0 && l->xattrs && errno == ERANGE) {
		char *buf = malloc(TEXT_MAX + 1);

		if (buf == NULL)
			return -ENOMEM;
		n = fgetxattr(fd, XATTR, buf, TEXT_MAX);
		if (n >= 0) {
			buf[n] = '\0';
			*text = buf;
			return 0;
		}
		free(buf);
	}
	if (n <= 0 || (n == 1 && small[0] == '@'))
		return read_apart(l, ino, text);
	small[n] = '\0';
	*text = strdup(small);
	return *text != NULL ? 0 : -ENOMEM;
}

/* An ETag that no one takes for an MD5: 32 digits and "-0". */
static int
derived_etag(const struct stat *st, char etag[S3_ETAG_MAX])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	char id[128];
	int n = snprintf(id, sizeof(id), "%ju %jd %" PRId64,
			 (uintmax_t)st->st_ino, (intmax_t)st->st_size,
			 time_ns(&st->st_mtim));

	if (EVP_Digest(id, (size_t)n, md, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	for (int i = 0; i < 16; i++)
		snprintf(etag + 2 * i, 3, "%02x", md[i]);
	memcpy(etag + 32, "-0", 3);
	return 0;
}

/* The text's first line, if it speaks of the file as it is. */
static bool
text_fits(const char *text, const struct stat *st, struct s3_object *out)
{
	uint64_t size;
	int64_t mtime, modified;
	char etag[S3_ETAG_MAX];

	if (sscanf(text, "1 %" SCNu64 " %" SCNd64 " %" SCNd64 " %127[^\n]",
		   &size, &mtime, &modified, etag) != 4)
		return false;
	if (size != (uint64_t)st->st_size || mtime != time_ns(&st->st_mtim))
		return false;
	snprintf(out->etag, sizeof(out->etag), "%s", etag);
	if (modified != 0)
		out->mtime_ns = modified;
	return true;
}

static int
parse_text(char *text, struct s3_object *out)
{
	char *body = strchr(text, '\n');
	const char *class;
	int r;

	if (body == NULL)
		return -EBADMSG;
	r = local_headers_parse(body + 1, &out->headers);
	if (r < 0)
		return r;
	class = s3_headers_get(&out->headers, "x-amz-storage-class");
	if (class != NULL)
		snprintf(out->storage_class, sizeof(out->storage_class), "%s",
			 class);
	return s3_headers_set(&out->headers, "x-amz-storage-class", NULL);
}

int
local_attr_read(struct s3_local *l, int fd, const struct stat *st,
		struct s3_object *out, bool *own)
{
	CLEANUP_FREE char *text = NULL;
	struct stat now;
	int r;

	memset(out, 0, sizeof(*out));
	out->size = (uint64_t)st->st_size;
	out->mtime_ns = time_ns(&st->st_mtim);
	r = read_text(l, fd, st->st_ino, &text);
	if (r < 0)
		return r;
	*own = text != NULL && text_fits(text, st, out);
	if (*own) {
		r = parse_text(text, out);
		if (r < 0)
			s3_object_free(out);
		return r;
	}
	/* Not by hand but gone, and its text with it? */
	if (fstat(fd, &now) < 0)
		return local_errno(errno);
	if (now.st_nlink == 0)
		return -ESTALE;
	return derived_etag(st, out->etag);
}

int
local_attr_unread(const struct stat *st, struct s3_object *out)
{
	memset(out, 0, sizeof(*out));
	out->size = (uint64_t)st->st_size;
	out->mtime_ns = time_ns(&st->st_mtim);
	return derived_etag(st, out->etag);
}

/* Replace .s3nfsd/attr/INODE as a whole. */
static int
write_apart(struct s3_local *l, ino_t ino, const char *text, size_t len)
{
	struct local_temp t = { .fd = -1 };
	char name[32];
	int r = local_temp_new(l, &t);

	if (r < 0)
		return r;
	attr_name(ino, name);
	if (pwrite(t.fd, text, len, 0) != (ssize_t)len)
		r = errno != 0 ? local_errno(errno) : -EIO;
	if (r == 0)
		r = local_sync(t.fd);
	if (r == 0 && renameat(l->temp, t.name, l->attrs, name) < 0)
		r = local_errno(errno);
	if (r == 0) {
		t.name[0] = '\0';
		r = local_sync(l->attrs);
	}
	local_temp_drop(l, &t);
	return r;
}

static int
store_text(struct s3_local *l, int fd, ino_t ino, const char *text,
	   size_t len)
{
	int r;

	if (l->xattrs && fsetxattr(fd, XATTR, text, len, 0) == 0) {
		local_attr_forget(l, ino);
		return 0;
	}
	if (l->xattrs && errno != ENOTSUP && errno != ENOSPC &&
	    errno != E2BIG && errno != ERANGE && errno != EPERM)
		return local_errno(errno);
	r = write_apart(l, ino, text, len);
	/* Fails where there are no such attributes, and is not missed. */
	if (r == 0 && l->xattrs && fsetxattr(fd, XATTR, "@", 1, 0) < 0)
		return errno == ENOTSUP || errno == EPERM ||
		       errno == ENOSPC ? 0 : local_errno(errno);
	return r;
}

int
local_attr_write(struct s3_local *l, int fd, const struct s3_object *o,
		 int64_t modified_ns)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	struct stat st;
	FILE *f;

	if (fstat(fd, &st) < 0)
		return local_errno(errno);
	f = open_memstream(&text, &len);
	if (f == NULL)
		return -ENOMEM;
	fprintf(f, "1 %jd %" PRId64 " %" PRId64 " %s\n",
		(intmax_t)st.st_size, time_ns(&st.st_mtim), modified_ns,
		o->etag);
	if (o->storage_class[0] != '\0')
		fprintf(f, "x-amz-storage-class: %s\n", o->storage_class);
	local_headers_print(f, &o->headers);
	if (fclose(f) != 0)
		return -ENOMEM;
	return store_text(l, fd, st.st_ino, text, len);
}

void
local_attr_forget(struct s3_local *l, ino_t ino)
{
	char name[32];

	attr_name(ino, name);
	unlinkat(l->attrs, name, 0);
}
