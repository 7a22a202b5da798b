/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bytes into files of the local bucket: from a caller's source, with their
 * MD5, or from another file, in the kernel if nobody needs to see them.  Each
 * buffer's end looks whether the bucket has been cancelled.  Write-back is
 * started while more comes, so that the flush at the end finds little to do.
 */

#include <config.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "s3/local_priv.h"

#define FLUSH_AHEAD (8U << 20)	/* start write-back every so many bytes */

static bool
cancelled(struct s3_local *l)
{
	return __atomic_load_n(&l->cancelled, __ATOMIC_RELAXED);
}

static void
hex(const unsigned char *md, char *out)
{
	for (int i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", md[i]);
}

static void
free_md(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

#define CLEANUP_MD __attribute__((cleanup(free_md)))

static int
new_md5(EVP_MD_CTX **out)
{
	*out = EVP_MD_CTX_new();
	if (*out == NULL)
		return -ENOMEM;
	return EVP_DigestInit_ex(*out, EVP_md5(), NULL) == 1 ? 0 : -EIO;
}

static int
end_md5(EVP_MD_CTX *ctx, char *md5_hex)
{
	unsigned char md[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(ctx, md, NULL) != 1)
		return -EIO;
	hex(md, md5_hex);
	return 0;
}

static int
write_all(int fd, const char *buf, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return local_errno(errno);
		buf += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* Where bytes come from: a source, or a file. */
struct feed {
	const struct s3_source *source;
	int fd;
	uint64_t off;
};

static ssize_t
feed_read(const struct feed *f, uint64_t off, void *buf, size_t len)
{
	ssize_t n;

	if (f->source != NULL)
		return f->source->read(f->source->arg, off, buf, len);
	do {
		n = pread(f->fd, buf, len, (off_t)(f->off + off));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? local_errno(errno) : n;
}

static int
pump(struct s3_local *l, const struct feed *from, uint64_t len, int to,
     uint64_t at, EVP_MD_CTX *md5)
{
	size_t size = len < LOCAL_BUFFER ? (size_t)len : LOCAL_BUFFER;
	CLEANUP_FREE char *buf = malloc(size > 0 ? size : 1);
	uint64_t done = 0, flushed = 0;

	if (buf == NULL)
		return -ENOMEM;
	while (done < len) {
		size_t want = len - done < size ? (size_t)(len - done) : size;
		ssize_t n = feed_read(from, done, buf, want);
		int r;

		if (n < 0)
			return (int)n;
		if ((size_t)n != want)	/* a source that ends too early */
			return from->source != NULL ? -EINVAL : -ESTALE;
		if (cancelled(l))
			return -EAGAIN;
		if (md5 != NULL && EVP_DigestUpdate(md5, buf, want) != 1)
			return -EIO;
		r = write_all(to, buf, want, at + done);
		if (r < 0)
			return r;
		done += want;
		if (done - flushed >= FLUSH_AHEAD) {
			sync_file_range(to, (off_t)(at + flushed),
					(off_t)(done - flushed),
					SYNC_FILE_RANGE_WRITE);
			flushed = done;
		}
		if (from->source != NULL && from->source->sent != NULL)
			from->source->sent(from->source->arg, done);
	}
	return 0;
}

int
local_write_body(struct s3_local *l, int fd, uint64_t at,
		 const struct s3_source *body, char *md5_hex)
{
	CLEANUP_MD EVP_MD_CTX *md5 = NULL;
	struct feed from = { .source = body };
	int r = md5_hex != NULL ? new_md5(&md5) : 0;

	if (r == 0)
		r = pump(l, &from, body->len, fd, at, md5);
	if (r == 0 && md5 != NULL)
		r = end_md5(md5, md5_hex);
	return r;
}

/* In the kernel, without the bytes coming to us; -ENOTSUP if it cannot. */
static int
kernel_copy(struct s3_local *l, struct local_at from, struct local_at to,
	    uint64_t len)
{
	loff_t in = (loff_t)from.off, out = (loff_t)to.off;
	bool begun = false;

	while (len > 0) {
		size_t want = len < (64U << 20) ? (size_t)len : 64U << 20;
		ssize_t n = copy_file_range(from.fd, &in, to.fd, &out, want,
					    0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !begun &&
		    (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
		     errno == EOPNOTSUPP || errno == EPERM))
			return -ENOTSUP;
		if (n < 0)
			return local_errno(errno);
		if (n == 0)	/* the source became shorter */
			return -ESTALE;
		if (cancelled(l))
			return -EAGAIN;
		begun = true;
		len -= (uint64_t)n;
	}
	return 0;
}

int
local_copy_bytes(struct s3_local *l, struct local_at from, struct local_at to,
		 uint64_t len, char *md5_hex)
{
	CLEANUP_MD EVP_MD_CTX *md5 = NULL;
	struct feed feed = { .fd = from.fd, .off = from.off };
	int r;

	if (md5_hex == NULL) {
		r = kernel_copy(l, from, to, len);
		if (r != -ENOTSUP)
			return r;
	} else {
		r = new_md5(&md5);
		if (r < 0)
			return r;
	}
	r = pump(l, &feed, len, to.fd, to.off, md5);
	if (r == 0 && md5 != NULL)
		r = end_md5(md5, md5_hex);
	return r;
}

int
local_seal(struct s3_local *l, int fd, const struct s3_object *o)
{
	struct timespec ts[2];
	int r;

	/* The kernel would stamp the last tick: see local_attr.c. */
	if (clock_gettime(CLOCK_REALTIME, &ts[1]) < 0)
		return -EIO;
	ts[0] = ts[1];
	if (futimens(fd, ts) < 0)
		return local_errno(errno);
	r = local_attr_write(l, fd, o, 0);
	return r < 0 ? r : local_sync(fd);
}
