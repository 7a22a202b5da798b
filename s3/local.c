/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The embedded local bucket: an object store in a directory, file:///DIR.
 *
 * An object is a plain file.  Writers never touch it: they fill a temporary
 * file of their own, give it headers and ETag, flush it and rename it in
 * place, so that a descriptor that a reader has opened is one version for
 * ever, and a crash leaves the old object or the new one.  A condition
 * (If-Match, If-None-Match) is looked at and the rename done under the key's
 * lock, which holds between processes as well.
 *
 *	DIR/a/b/file		the object "a/b/file"
 *	DIR/.s3nfsd/odd		objects whose keys are no path (local_path.c)
 *	DIR/.s3nfsd/attr	headers, where xattrs do not serve
 *	DIR/.s3nfsd/uploads	multipart uploads (local_upload.c)
 *	DIR/.s3nfsd/lock	files to lock, never written
 *	DIR/.s3nfsd/tmp/ID	one directory for each open bucket, with a
 *				locked file in it as long as that one lives;
 *				a directory that nobody holds is the leftover
 *				of a crash, and removed by the next open
 *
 * A file that is edited in place by hand while it is read may show in parts;
 * the status is compared before and after, and the read repeated.
 */

#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>

#include "s3/local_priv.h"

int
local_fail(struct s3_error *err, int r, const char *message)
{
	static const struct {
		int r;
		int http;
		const char *code;
	} codes[] = {
		{ -ENOENT, 404, "NoSuchKey" },
		{ -ENODEV, 404, "NoSuchBucket" },
		{ -EACCES, 403, "AccessDenied" },
		{ -ESTALE, 412, "PreconditionFailed" },
		{ -EEXIST, 412, "PreconditionFailed" },
		{ -EINVAL, 400, "InvalidRequest" },
		{ -EFBIG, 400, "EntityTooLarge" },
		{ -ENOSPC, 507, "InsufficientStorage" },
		{ -EDQUOT, 507, "QuotaExceeded" },
		{ -EAGAIN, 503, "SlowDown" },
	};

	if (err == NULL)
		return r;
	memset(err, 0, sizeof(*err));
	err->http = 500;
	snprintf(err->code, sizeof(err->code), "InternalError");
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i].r == r) {
			err->http = codes[i].http;
			snprintf(err->code, sizeof(err->code), "%s",
				 codes[i].code);
		}
	snprintf(err->message, sizeof(err->message), "%s: %s", message,
		 strerror(-r));
	return r;
}

static bool
key_ok(const char *key)
{
	size_t len = strlen(key);

	return len > 0 && len <= S3_KEY_MAX;
}

/* ---- looking ---- */

int
local_look(struct s3_local *l, const char *key, int *fd, struct stat *st,
     struct s3_object *o, bool *own)
{
	for (int i = 0; i < 100; i++) {
		int r = local_open_object(l, key, fd, st);

		if (r < 0)
			return r;
		r = local_attr_read(l, *fd, st, o, own);
		if (r == 0)
			return 0;
		local_close_fd(fd);
		if (r != -ESTALE)
			return r;
	}
	return -EAGAIN;
}

static int
head(struct s3 *s3, const char *key, struct s3_object *out,
     struct s3_error *err)
{
	CLEANUP_FD int fd = -1;
	struct s3_object o;
	struct stat st;
	bool own;
	int r = -EINVAL;

	if (key_ok(key))
		r = local_look(local_of(s3), key, &fd, &st, &o, &own);
	if (r < 0)
		return local_fail(err, r, "HEAD");
	*out = o;
	return 0;
}

bool
local_same_state(int fd, const struct stat *before)
{
	struct stat now;

	return fstat(fd, &now) == 0 && now.st_size == before->st_size &&
	       now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

static ssize_t
read_range(int fd, const struct stat *st, uint64_t off, char *buf, size_t len)
{
	uint64_t size = (uint64_t)st->st_size;
	size_t done = 0;

	if (off >= size)
		return 0;
	if (len > size - off)
		len = (size_t)(size - off);
	while (done < len) {
		ssize_t n = pread(fd, buf + done, len - done,
				  (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return local_errno(errno);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	if (done < len || !local_same_state(fd, st))
		return -ESTALE;
	return (ssize_t)done;
}

static ssize_t
get_once(struct s3_local *l, const char *key, const char *if_match,
	 uint64_t off, void *buf, size_t len, struct s3_object *out)
{
	CLEANUP_FD int fd = -1;
	struct s3_object o;
	struct stat st;
	bool own;
	ssize_t n = local_look(l, key, &fd, &st, &o, &own);

	if (n < 0)
		return n;
	if (if_match != NULL && strcmp(if_match, o.etag) != 0)
		n = -ESTALE;
	else
		n = read_range(fd, &st, off, buf, len);
	if (n >= 0 && out != NULL)
		*out = o;
	else
		s3_object_free(&o);
	return n;
}

static ssize_t
get(struct s3 *s3, const char *key, const char *if_match, uint64_t off,
    void *buf, size_t len, struct s3_object *out, struct s3_error *err)
{
	ssize_t n = -EINVAL;

	if (key_ok(key) && len <= SSIZE_MAX) {
		n = get_once(local_of(s3), key, if_match, off, buf, len, out);
		/* Written by hand under our eyes. */
		for (int i = 0; n == -ESTALE && if_match == NULL && i < 10;
		     i++)
			n = get_once(local_of(s3), key, NULL, off, buf, len,
				     out);
		if (n == -ESTALE && if_match == NULL)
			n = -EAGAIN;
	}
	if (n < 0)
		return local_fail(err, (int)n, "GET");
	return n;
}

/* ---- putting ---- */

void
local_options(struct s3_local *l, struct s3_object *o)
{
	const char *class = l->s3.options.storage_class;

	if (class != NULL && strcmp(class, "STANDARD") != 0)
		snprintf(o->storage_class, sizeof(o->storage_class), "%s",
			 class);
}

static int
set_headers(struct s3_local *l, const struct s3_headers *headers,
	    struct s3_object *o)
{
	int r;

	local_options(l, o);
	if (headers == NULL)
		return 0;
	r = local_headers_check(headers);
	return r < 0 ? r : s3_headers_copy(headers, &o->headers);
}

static int
put_file(struct s3_local *l, const char *key, struct local_temp *t,
	 const struct s3_cond *cond, struct s3_error *err)
{
	struct local_place p = {
		.from = l->temp, .name = t->name, .cond = cond,
	};
	int r = local_place(l, key, &p, err);

	if (r == 0)
		t->name[0] = '\0';
	return r;
}

static int
put(struct s3 *s3, const char *key, const struct s3_source *body,
    const struct s3_headers *headers, const struct s3_cond *cond, char *etag,
    struct s3_error *err)
{
	struct s3_local *l = local_of(s3);
	struct local_temp t = { .fd = -1 };
	struct s3_object o = { 0 };
	int r;

	if (!key_ok(key))
		return local_fail(err, -EINVAL, "bad key");
	if (body->len > S3_PART_MAX)
		return local_fail(err, -EFBIG, "more than 5 GiB");
	r = set_headers(l, headers, &o);
	if (r == 0)
		r = local_temp_new(l, &t);
	if (r == 0)
		r = local_write_body(l, t.fd, 0, body, o.etag);
	if (r == 0)
		r = local_seal(l, t.fd, &o);
	if (r < 0)
		local_fail(err, r, "PUT");
	else
		r = put_file(l, key, &t, cond, err);
	if (r == 0)
		memcpy(etag, o.etag, S3_ETAG_MAX);
	local_temp_drop(l, &t);
	s3_object_free(&o);
	return r;
}

/* ---- copying ---- */

/* Onto its own key: new attributes on the same file, at one instant. */
static int
copy_onto_itself(struct s3_local *l, const char *key, const char *if_match,
		 const struct s3_headers *headers, const struct s3_cond *cond,
		 char *etag)
{
	CLEANUP_FD int lock = local_lock(l, key);
	CLEANUP_FD int fd = -1;
	struct s3_object o = { 0 };
	struct timespec now;
	struct stat st;
	bool own;
	int r;

	if (lock < 0)
		return lock;
	r = local_look(l, key, &fd, &st, &o, &own);
	if (r < 0)
		return r;
	if (if_match != NULL && strcmp(if_match, o.etag) != 0)
		r = -ESTALE;
	if (r == 0)
		r = local_check_cond(l, key, cond);
	if (r == 0 && headers != NULL)
		r = s3_headers_copy(headers, &o.headers);
	if (r == 0 && l->s3.options.storage_class != NULL)
		local_options(l, &o);
	if (r == 0 && clock_gettime(CLOCK_REALTIME, &now) < 0)
		r = -EIO;
	if (r == 0)
		r = local_attr_write(l, fd, &o,
			(int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
	if (r == 0)
		r = local_sync(fd);
	if (r == 0)
		memcpy(etag, o.etag, S3_ETAG_MAX);
	s3_object_free(&o);
	return r;
}

/* The source's bytes to the temporary file; o has the source's attributes. */
static int
copy_to_temp(struct s3_local *l, int from, const struct stat *st, bool own,
	     struct s3_object *o, int to)
{
	int r;

	if (own && ioctl(to, FICLONE, from) == 0)
		r = 0;
	else
		r = local_copy_bytes(l, (struct local_at){ from, 0 },
				     (struct local_at){ to, 0 }, o->size,
				     own ? NULL : o->etag);
	/* A file that is edited by hand meanwhile: no one version. */
	if (r == 0 && !local_same_state(from, st))
		r = -ESTALE;
	return r < 0 ? r : local_seal(l, to, o);
}

static int
copy(struct s3 *s3, const char *source_key, const char *if_match,
     const char *key, const struct s3_headers *headers,
     const struct s3_cond *cond, char *etag, struct s3_error *err)
{
	struct s3_local *l = local_of(s3);
	CLEANUP_FD int from = -1;
	struct local_temp t = { .fd = -1 };
	struct s3_object o = { 0 };
	struct stat st;
	bool own;
	int r;

	if (!key_ok(source_key) || !key_ok(key) ||
	    (headers != NULL && local_headers_check(headers) < 0))
		return local_fail(err, -EINVAL, "bad key or header");
	if (strcmp(source_key, key) == 0) {
		r = copy_onto_itself(l, key, if_match, headers, cond, etag);
		return r < 0 ? local_fail(err, r, "COPY") : 0;
	}
	r = local_look(l, source_key, &from, &st, &o, &own);
	if (r == 0 && if_match != NULL && strcmp(if_match, o.etag) != 0)
		r = -ESTALE;
	if (r == 0 && o.size > S3_COPY_MAX)
		r = -EFBIG;
	o.storage_class[0] = '\0';
	local_options(l, &o);
	if (r == 0 && headers != NULL)
		r = s3_headers_copy(headers, &o.headers);
	if (r == 0)
		r = local_temp_new(l, &t);
	if (r == 0)
		r = copy_to_temp(l, from, &st, own, &o, t.fd);
	if (r < 0)
		local_fail(err, r, "COPY");
	else
		r = put_file(l, key, &t, cond, err);
	if (r == 0)
		memcpy(etag, o.etag, S3_ETAG_MAX);
	local_temp_drop(l, &t);
	s3_object_free(&o);
	return r;
}

/* ---- deleting ---- */

static int
remove_plain(struct s3_local *l, const char *key, int *dir)
{
	const char *last;
	ino_t old;
	int r;

	*dir = local_open_parent(l, l->root, key, false, &last);
	if (*dir == -ENOENT || local_is_blocked(*dir))
		return 0;
	if (*dir < 0)
		return local_errno(-*dir);
	r = local_classify(*dir, last, &old);
	if (r <= 0)
		return r == 0 || r == -EISDIR ? 0 : local_errno(-r);
	if (unlinkat(*dir, last, 0) < 0)
		return errno == ENOENT ? 0 : local_errno(errno);
	if (old != 0)
		local_attr_forget(l, old);
	return 1;
}

static bool
is_absent(struct s3_local *l, const char *key)
{
	CLEANUP_FD int fd = -1;
	struct stat st;

	return local_open_object(l, key, &fd, &st) == -ENOENT;
}

static int
del(struct s3 *s3, const char *key, const char *if_match,
    struct s3_error *err)
{
	struct s3_local *l = local_of(s3);
	struct s3_cond cond = { .if_match = if_match };
	CLEANUP_FD int dir = -1;
	int lock, r;

	if (!key_ok(key))
		return local_fail(err, -EINVAL, "bad key");
	lock = local_lock(l, key);
	if (lock < 0)
		return local_fail(err, lock, "lock");
	r = local_check_cond(l, key, &cond);
	if (r == -ESTALE && is_absent(l, key)) {
		close(lock);
		return 0;
	}
	/* The odd copy first: it would come to light. */
	if (r == 0)
		r = local_remove_odd(l, key);
	if (r >= 0 && local_key_plain(key))
		r = remove_plain(l, key, &dir);
	close(lock);
	if (r > 0 && dir >= 0)
		r = local_sync(dir);
	if (r < 0)
		return local_fail(err, r, "DELETE");
	if (dir >= 0)
		local_prune(l, l->root, key);
	return 0;
}

/* ---- opening and closing ---- */

static const struct s3_caps all_caps = {
	.put_if_none_match = true, .put_if_match = true,
	.complete_if_match = true, .copy_if_match = true,
	.delete_if_match = true, .part_copy = true, .checksums = true,
};

static int
probe(struct s3 *s3, const char *scratch_prefix, struct s3_caps *out,
      struct s3_error *err)
{
	struct stat st;

	(void)scratch_prefix;
	if (fstat(local_of(s3)->root, &st) < 0 || st.st_nlink == 0)
		return local_fail(err, -ENODEV, "the directory is gone");
	*out = all_caps;
	return 0;
}

static int64_t
clock_now(struct s3 *s3)
{
	struct timespec now;

	(void)s3;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
cancel(struct s3 *s3)
{
	__atomic_store_n(&local_of(s3)->cancelled, true, __ATOMIC_RELAXED);
}

/* Remove a directory of plain files and one level of directories. */
static void
remove_tree(int parent, const char *name, int depth)
{
	int fd = openat(parent, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;

	if (dir == NULL) {
		local_close_fd(&fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, d->d_name, 0) < 0 && depth > 0)
			remove_tree(fd, d->d_name, depth - 1);
	}
	closedir(dir);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* Temporary files whose owner is dead.  Called under the open lock. */
static void
sweep(int tmp)
{
	int fd = openat(tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;

	if (dir == NULL) {
		local_close_fd(&fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		CLEANUP_FD int lock = -1;
		char path[300];

		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/lock", d->d_name);
		lock = openat(tmp, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		/* What cannot be looked at may be somebody's. */
		if (lock < 0 ? errno == ENOENT
			     : flock(lock, LOCK_EX | LOCK_NB) == 0)
			remove_tree(tmp, d->d_name, 1);
	}
	closedir(dir);
}

static int
open_dir(int base, const char *name)
{
	int fd;

	if (mkdirat(base, name, 0777) < 0 && errno != EEXIST)
		return local_errno(errno);
	fd = openat(base, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? local_errno(errno) : fd;
}

static void
hex(const unsigned char *md, char *out)
{
	for (int i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", md[i]);
}

static int
open_temp(struct s3_local *l, int tmp)
{
	unsigned char random[16];
	int r;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	hex(random, l->temp_name);
	l->temp = open_dir(tmp, l->temp_name);
	if (l->temp < 0)
		return l->temp;
	l->temp_lock = openat(l->temp, "lock",
			      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (l->temp_lock < 0)
		return local_errno(errno);
	r = flock(l->temp_lock, LOCK_EX | LOCK_NB);
	return r < 0 ? local_errno(errno) : 0;
}

static int
open_dirs(struct s3_local *l)
{
	CLEANUP_FD int own = open_dir(l->root, LOCAL_DIR);
	CLEANUP_FD int tmp = -1;
	CLEANUP_FD int lock = -1;
	int r;

	if (own < 0)
		return own;
	if ((r = l->odd = open_dir(own, "odd")) < 0 ||
	    (r = l->uploads = open_dir(own, "uploads")) < 0 ||
	    (r = l->attrs = open_dir(own, "attr")) < 0 ||
	    (r = l->locks = open_dir(own, "lock")) < 0 ||
	    (r = tmp = open_dir(own, "tmp")) < 0)
		return r;
	lock = openat(l->locks, "open",
		      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return local_errno(errno);
	sweep(tmp);
	r = open_temp(l, tmp);
	if (r == 0)
		r = local_sync(own);
	return r < 0 ? r : local_sync(l->root);
}

static void
local_close(struct s3 *s3)
{
	struct s3_local *l = local_of(s3);

	if (l->temp_lock >= 0) {
		char path[64];

		snprintf(path, sizeof(path), "../tmp/%s", l->temp_name);
		remove_tree(l->locks, path, 1);
	}
	local_windows_free(l);
	pthread_mutex_destroy(&l->windows_lock);
	local_close_fd(&l->temp_lock);
	local_close_fd(&l->temp);
	local_close_fd(&l->locks);
	local_close_fd(&l->attrs);
	local_close_fd(&l->uploads);
	local_close_fd(&l->odd);
	local_close_fd(&l->root);
	free(l->s3.bucket);
	free(l);
}

static const struct s3_ops local_ops = {
	.close = local_close,
	.cancel = cancel,
	.clock = clock_now,
	.probe = probe,
	.head = head,
	.get = get,
	.put = put,
	.upload_create = local_upload_create,
	.upload_part = local_upload_part,
	.upload_part_copy = local_upload_part_copy,
	.upload_complete = local_upload_complete,
	.upload_abort = local_upload_abort,
	.upload_parts = local_upload_parts,
	.upload_list = local_upload_list,
	.copy = copy,
	.del = del,
	.list_page = local_list_page,
};

/* The directory of file:///DIR without slashes at its end; malloced. */
static int
url_dir(const char *url, char **dir, struct s3_error *err)
{
	size_t len;

	if (url == NULL || strncmp(url, "file:///", 8) != 0)
		return local_fail(err, -EINVAL, "not a file:///DIR");
	url += 7;
	len = strlen(url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	if (len == 0)
		return local_fail(err, -EINVAL,
				  "the root directory is no bucket");
	*dir = strndup(url, len);
	return *dir != NULL ? 0 : -ENOMEM;
}

/* The person who named the directory is told what the system said. */
static int
root_fail(struct s3_error *err, int saved_errno, const char *what)
{
	int r = saved_errno == ENOENT ? -ENODEV :
		saved_errno == ENOTDIR ? -EINVAL : local_errno(saved_errno);

	(void)local_fail(err, r, what);
	if (err != NULL)
		snprintf(err->message, sizeof(err->message), "%s: %s", what,
			 strerror(saved_errno));
	return r;
}

static int
open_root(struct s3_local *l, const char *dir, struct s3_error *err)
{
	char text[200];

	if (mkdir(dir, 0777) < 0 && errno != EEXIST) {
		snprintf(text, sizeof(text), "cannot make %.150s", dir);
		return root_fail(err, errno, text);
	}
	/* The bucket itself may be named by a symbolic link. */
	l->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->root >= 0)
		return 0;
	snprintf(text, sizeof(text), "cannot open %.150s", dir);
	return root_fail(err, errno, text);
}

static bool
have_openat2(int root)
{
	struct s3_local l = { .openat2 = true };
	int fd = local_openat(&l, root, ".", O_RDONLY | O_DIRECTORY, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int
s3_local_open(const struct s3_config *config, struct s3 **out,
	      struct s3_error *err)
{
	CLEANUP_FREE char *dir = NULL;
	struct s3_local *l;
	int r = url_dir(config->url, &dir, err);

	if (r < 0)
		return r;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return local_fail(err, -ENOMEM, "open");
	l->s3.ops = &local_ops;
	l->s3.any_bytes = true;
	l->s3.caps = all_caps;
	l->s3.config = *config;
	l->s3.config.url = NULL;	/* the caller's string */
	l->s3.bucket = strdup(strrchr(dir, '/') + 1);
	l->root = l->odd = l->uploads = l->attrs = l->locks = -1;
	l->temp = l->temp_lock = -1;
	l->xattrs = true;
	pthread_mutex_init(&l->windows_lock, NULL);
	r = l->s3.bucket != NULL ? open_root(l, dir, err) :
		local_fail(err, -ENOMEM, "open");
	if (r == 0) {
		l->openat2 = have_openat2(l->root);
		r = open_dirs(l);
		if (r < 0)
			local_fail(err, r, "cannot set up .s3nfsd");
	}
	if (r < 0) {
		local_close(&l->s3);
		return r;
	}
	*out = &l->s3;
	return 0;
}
