/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Multipart uploads of the local bucket.
 *
 *	.s3nfsd/uploads/ID/info		"1 KEYLEN\n", the key, "\n", headers
 *	.s3nfsd/uploads/ID/00001	part 1, sealed like an object
 *
 * The directory is made complete in tmp and moved here, and moved back there
 * to be removed; so an upload is there as a whole or not at all.  A part is
 * filled in tmp too and renamed over an earlier one of its number.
 *
 * Completing puts the parts together in one file, which takes the key's
 * place as in a PUT; only then the upload goes.  A crash before leaves the
 * upload as it was, a crash after leaves an upload that can be completed
 * again, with the same result, or aborted.
 */

#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "s3/local_priv.h"

#define ID_LEN 32
#define INFO_MAX (65536 + S3_KEY_MAX)

struct upload {
	int dir;
	char key[S3_KEY_MAX + 1];
	struct s3_object o;	/* headers and storage class */
	int64_t initiated_ns;
};

static void
upload_fini(struct upload *u)
{
	local_close_fd(&u->dir);
	s3_object_free(&u->o);
}

#define CLEANUP_UPLOAD __attribute__((cleanup(upload_fini)))

static bool
id_ok(const char *id)
{
	return strlen(id) == ID_LEN &&
	       strspn(id, "0123456789abcdef") == ID_LEN;
}

static int
parse_info(char *text, size_t len, struct upload *u)
{
	const char *class;
	size_t key_len, head;
	char *end;
	int r;

	if (len < 4 || text[0] != '1' || text[1] != ' ')
		return -EBADMSG;
	key_len = strtoul(text + 2, &end, 10);
	if (*end != '\n' || key_len == 0 || key_len > S3_KEY_MAX)
		return -EBADMSG;
	head = (size_t)(end + 1 - text);
	if (len - head < key_len + 1 || end[1 + key_len] != '\n')
		return -EBADMSG;
	memcpy(u->key, end + 1, key_len);
	u->key[key_len] = '\0';
	r = local_headers_parse(end + key_len + 2, &u->o.headers);
	if (r < 0)
		return r;
	class = s3_headers_get(&u->o.headers, "x-amz-storage-class");
	if (class != NULL)
		snprintf(u->o.storage_class, sizeof(u->o.storage_class), "%s",
			 class);
	return s3_headers_set(&u->o.headers, "x-amz-storage-class", NULL);
}

static int
read_info(struct upload *u)
{
	CLEANUP_FD int fd = openat(u->dir, "info",
				   O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	CLEANUP_FREE char *text = malloc(INFO_MAX + 1);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return local_errno(errno);
	if (text == NULL)
		return -ENOMEM;
	n = read(fd, text, INFO_MAX);
	if (n < 0 || fstat(fd, &st) < 0)
		return -EIO;
	text[n] = '\0';
	u->initiated_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 +
			  st.st_mtim.tv_nsec;
	return parse_info(text, (size_t)n, u);
}

/* Open an upload; key NULL for any.  u is to be finished in any case. */
static int
find_upload(struct s3_local *l, const char *key, const char *id,
	    struct upload *u)
{
	int r;

	memset(u, 0, sizeof(*u));
	u->dir = -1;
	if (!id_ok(id))
		return -ENOENT;
	u->dir = openat(l->uploads, id,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (u->dir < 0)
		return local_errno(errno);
	r = read_info(u);
	if (r == 0 && key != NULL && strcmp(key, u->key) != 0)
		r = -ENOENT;
	return r;
}

/* Remove a directory of parts from tmp. */
static void
remove_upload(struct s3_local *l, const char *name)
{
	int fd = openat(l->temp, name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;

	if (dir == NULL) {
		local_close_fd(&fd);
		return;
	}
	/* A part may still be moved in by a request under way: again. */
	do {
		rewinddir(dir);
		while ((d = readdir(dir)) != NULL) {
			struct stat st;

			if (d->d_name[0] == '.' ||
			    fstatat(fd, d->d_name, &st,
				    AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			if (unlinkat(fd, d->d_name, 0) == 0)
				local_attr_forget(l, st.st_ino);
		}
	} while (unlinkat(l->temp, name, AT_REMOVEDIR) < 0 &&
		 errno == ENOTEMPTY);
	closedir(dir);
}

/* The upload is gone for all once it is in tmp. */
static int
retire_upload(struct s3_local *l, const char *id)
{
	if (renameat(l->uploads, id, l->temp, id) < 0)
		return errno == ENOENT ? 0 : local_errno(errno);
	remove_upload(l, id);
	return local_sync(l->uploads);
}

/* ---- creating ---- */

static int
write_info(int dir, const char *key, const struct s3_object *o)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FD int fd = -1;
	size_t len = 0;
	ssize_t n;
	FILE *f = open_memstream(&text, &len);
	int r;

	if (f == NULL)
		return -ENOMEM;
	fprintf(f, "1 %zu\n%s\n", strlen(key), key);
	if (o->storage_class[0] != '\0')
		fprintf(f, "x-amz-storage-class: %s\n", o->storage_class);
	local_headers_print(f, &o->headers);
	if (fclose(f) != 0)
		return -ENOMEM;
	fd = openat(dir, "info", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0666);
	if (fd < 0)
		return local_errno(errno);
	n = write(fd, text, len);
	if (n < 0)
		return local_errno(errno);
	if ((size_t)n != len)
		return -ENOSPC;
	r = local_sync(fd);
	return r < 0 ? r : local_sync(dir);
}

static int
make_upload(struct s3_local *l, const char *id, const char *key,
	    const struct s3_headers *headers)
{
	CLEANUP_UPLOAD struct upload u = { .dir = -1 };
	int r;

	if (headers != NULL) {
		r = local_headers_check(headers);
		if (r == 0)
			r = s3_headers_copy(headers, &u.o.headers);
		if (r < 0)
			return r;
	}
	local_options(l, &u.o);
	if (mkdirat(l->temp, id, 0777) < 0)
		return local_errno(errno);
	u.dir = openat(l->temp, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = u.dir < 0 ? local_errno(errno) : write_info(u.dir, key, &u.o);
	if (r == 0 && renameat(l->temp, id, l->uploads, id) < 0)
		r = local_errno(errno);
	if (r < 0) {
		remove_upload(l, id);
		return r;
	}
	return local_sync(l->uploads);
}

int
local_upload_create(struct s3 *s3, const char *key,
		    const struct s3_headers *headers, char **upload_id,
		    struct s3_error *err)
{
	unsigned char random[ID_LEN / 2];
	char id[ID_LEN + 1];
	size_t len = strlen(key);
	char *copy;
	int r;

	if (len == 0 || len > S3_KEY_MAX)
		return local_fail(err, -EINVAL, "bad key");
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return local_fail(err, -EIO, "getrandom");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(id + 2 * i, 3, "%02x", random[i]);
	copy = strdup(id);
	r = copy == NULL ? -ENOMEM :
		make_upload(local_of(s3), id, key, headers);
	if (r < 0) {
		free(copy);
		return local_fail(err, r, "CreateMultipartUpload");
	}
	*upload_id = copy;
	return 0;
}

/* ---- parts ---- */

static void
part_name(unsigned number, char name[16])
{
	snprintf(name, 16, "%05u", number);
}

/* Seal the temporary file and make it the part. */
static int
keep_part(struct s3_local *l, struct upload *u, unsigned number,
	  struct local_temp *t, const struct s3_object *o)
{
	char name[16];
	struct stat st;
	ino_t old = 0;
	int r = local_seal(l, t->fd, o);

	if (r < 0)
		return r;
	part_name(number, name);
	if (fstatat(u->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		old = st.st_ino;
	if (renameat(l->temp, t->name, u->dir, name) < 0)
		return local_errno(errno);
	t->name[0] = '\0';
	if (old != 0)
		local_attr_forget(l, old);
	return local_sync(u->dir);
}

int
local_upload_part(struct s3 *s3, const char *key, const char *upload_id,
		  unsigned number, const struct s3_source *body, char *etag,
		  struct s3_error *err)
{
	struct s3_local *l = local_of(s3);
	CLEANUP_UPLOAD struct upload u = { .dir = -1 };
	struct local_temp t = { .fd = -1 };
	struct s3_object o = { 0 };
	int r;

	if (number < 1 || number > S3_PARTS_MAX)
		return local_fail(err, -EINVAL, "bad part number");
	if (body->len > S3_PART_MAX)
		return local_fail(err, -EFBIG, "more than 5 GiB");
	r = find_upload(l, key, upload_id, &u);
	if (r == 0)
		r = local_temp_new(l, &t);
	if (r == 0)
		r = local_write_body(l, t.fd, 0, body, o.etag);
	if (r == 0)
		r = keep_part(l, &u, number, &t, &o);
	local_temp_drop(l, &t);
	if (r < 0)
		return local_fail(err, r, "UploadPart");
	memcpy(etag, o.etag, S3_ETAG_MAX);
	return 0;
}

/* The source of a part, pinned by its descriptor. */
static int
open_source(struct s3_local *l, const char *key, const char *if_match,
	    uint64_t off, uint64_t len, int *fd, struct stat *st)
{
	struct s3_object o;
	bool own;
	int r = local_open_object(l, key, fd, st);

	if (r < 0)
		return r;
	r = local_attr_read(l, *fd, st, &o, &own);
	if (r < 0)
		return r;
	if (if_match != NULL && strcmp(if_match, o.etag) != 0)
		r = -ESTALE;
	else if (len == 0 || len > S3_PART_MAX || off > o.size ||
		 len > o.size - off)
		r = -EINVAL;
	s3_object_free(&o);
	return r;
}

static int
copy_part(struct s3_local *l, struct upload *u, unsigned number, int from,
	  const struct stat *before, uint64_t off, uint64_t len, char *etag)
{
	struct local_temp t = { .fd = -1 };
	struct s3_object o = { 0 };
	int r = local_temp_new(l, &t);

	if (r == 0)
		r = local_copy_bytes(l, (struct local_at){ from, off },
				     (struct local_at){ t.fd, 0 }, len,
				     o.etag);
	if (r == 0 && !local_same_state(from, before))
		r = -ESTALE;
	if (r == 0)
		r = keep_part(l, u, number, &t, &o);
	local_temp_drop(l, &t);
	if (r == 0)
		memcpy(etag, o.etag, S3_ETAG_MAX);
	return r;
}

int
local_upload_part_copy(struct s3 *s3, const char *key, const char *upload_id,
		       unsigned number, const char *source_key,
		       const char *if_match, uint64_t off, uint64_t len,
		       char *etag, struct s3_error *err)
{
	struct s3_local *l = local_of(s3);
	CLEANUP_UPLOAD struct upload u = { .dir = -1 };
	CLEANUP_FD int from = -1;
	struct stat st;
	int r;

	if (number < 1 || number > S3_PARTS_MAX)
		return local_fail(err, -EINVAL, "bad part number");
	r = find_upload(l, key, upload_id, &u);
	if (r == 0)
		r = open_source(l, source_key, if_match, off, len, &from, &st);
	if (r == 0)
		r = copy_part(l, &u, number, from, &st, off, len, etag);
	return r < 0 ? local_fail(err, r, "UploadPartCopy") : 0;
}

static int
open_part(struct s3_local *l, struct upload *u, unsigned number, int *fd,
	  struct s3_part *part)
{
	struct s3_object o;
	struct stat st;
	char name[16];
	bool own;
	int r;

	part_name(number, name);
	*fd = openat(u->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd < 0)
		return local_errno(errno);
	if (fstat(*fd, &st) < 0)
		return local_errno(errno);
	r = local_attr_read(l, *fd, &st, &o, &own);
	if (r < 0)
		return r;
	part->number = number;
	part->size = o.size;
	memcpy(part->etag, o.etag, sizeof(part->etag));
	s3_object_free(&o);
	return own ? 0 : -EBADMSG;
}

static int
by_number(const void *a, const void *b)
{
	const struct s3_part *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static ssize_t
collect_parts(struct s3_local *l, struct upload *u, struct s3_part **out)
{
	int fd = openat(u->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct s3_part *list = calloc(S3_PARTS_MAX + 1, sizeof(*list));
	struct dirent *d;
	size_t count = 0;
	int r = 0;

	if (dir == NULL || list == NULL) {
		local_close_fd(&fd);
		free(list);
		return -ENOMEM;
	}
	while (r == 0 && count < S3_PARTS_MAX && (d = readdir(dir)) != NULL) {
		CLEANUP_FD int part = -1;
		unsigned number;

		if (strlen(d->d_name) != 5 ||
		    sscanf(d->d_name, "%5u", &number) != 1)
			continue;
		r = open_part(l, u, number, &part, &list[count]);
		if (r == 0)
			count++;
		else if (r == -ENOENT || r == -ESTALE)
			r = 0;	/* replaced, or aborted, meanwhile */
	}
	closedir(dir);
	if (r < 0) {
		free(list);
		return r;
	}
	qsort(list, count, sizeof(*list), by_number);
	*out = list;
	return (ssize_t)count;
}

ssize_t
local_upload_parts(struct s3 *s3, const char *key, const char *upload_id,
		   struct s3_part **parts, struct s3_error *err)
{
	struct s3_local *l = local_of(s3);
	CLEANUP_UPLOAD struct upload u = { .dir = -1 };
	ssize_t n = find_upload(l, key, upload_id, &u);

	if (n == 0)
		n = collect_parts(l, &u, parts);
	if (n < 0)
		return local_fail(err, (int)n, "ListParts");
	return n;
}

/* ---- completing ---- */

static int
unhex(const char *text, unsigned char out[16])
{
	for (int i = 0; i < 16; i++) {
		unsigned byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		out[i] = (unsigned char)byte;
	}
	return 0;
}

/* md5-of-md5s, "-" and the number of parts. */
static int
multipart_etag(const struct s3_part *parts, size_t count,
	       char etag[S3_ETAG_MAX])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	CLEANUP_FREE unsigned char *all = malloc(16 * count);

	if (all == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if (strlen(parts[i].etag) != 32 ||
		    unhex(parts[i].etag, all + 16 * i) < 0)
			return -EINVAL;
	if (EVP_Digest(all, 16 * count, md, NULL, EVP_md5(), NULL) != 1)
		return -EIO;
	for (int i = 0; i < 16; i++)
		snprintf(etag + 2 * i, 3, "%02x", md[i]);
	snprintf(etag + 32, S3_ETAG_MAX - 32, "-%zu", count);
	return 0;
}

/* Append the parts to fd; each must be the one named. */
static int
join_parts(struct s3_local *l, struct upload *u, const struct s3_part *parts,
	   size_t count, int to)
{
	uint64_t at = 0;

	for (size_t i = 0; i < count; i++) {
		CLEANUP_FD int fd = -1;
		struct s3_part part;
		int r = open_part(l, u, parts[i].number, &fd, &part);

		if (r == -ENOENT)
			return -EINVAL;
		if (r < 0)
			return r;
		if (strcmp(part.etag, parts[i].etag) != 0 ||
		    (i + 1 < count && part.size < S3_PART_MIN))
			return -EINVAL;
		if (at + part.size > S3_OBJECT_MAX)
			return -EFBIG;
		r = local_copy_bytes(l, (struct local_at){ fd, 0 },
				     (struct local_at){ to, at }, part.size,
				     NULL);
		if (r < 0)
			return r;
		at += part.size;
	}
	return 0;
}

struct completion {
	struct s3_local *l;
	const char *id;
};

/* Under the key's lock: is the upload still there; then end it. */
static int
complete_locked(void *arg, bool moved)
{
	struct completion *c = arg;
	struct stat st;

	if (moved)
		return retire_upload(c->l, c->id);
	return fstatat(c->l->uploads, c->id, &st, AT_SYMLINK_NOFOLLOW) < 0 ?
		local_errno(errno) : 0;
}

static bool
parts_ok(const struct s3_part *parts, size_t count)
{
	if (count == 0 || count > S3_PARTS_MAX)
		return false;
	for (size_t i = 0; i < count; i++)
		if (parts[i].number < 1 || parts[i].number > S3_PARTS_MAX ||
		    (i > 0 && parts[i].number <= parts[i - 1].number))
			return false;
	return true;
}

int
local_upload_complete(struct s3 *s3, const char *key, const char *upload_id,
		      const struct s3_part *parts, size_t count,
		      const struct s3_cond *cond, char *etag,
		      struct s3_error *err)
{
	struct s3_local *l = local_of(s3);
	CLEANUP_UPLOAD struct upload u = { .dir = -1 };
	struct completion c = { .l = l, .id = upload_id };
	struct local_temp t = { .fd = -1 };
	struct local_place p = {
		.from = l->temp, .cond = cond, .locked = complete_locked,
		.arg = &c,
	};
	int r = find_upload(l, key, upload_id, &u);

	if (r == 0 && !parts_ok(parts, count))
		r = -EINVAL;
	if (r == 0)
		r = multipart_etag(parts, count, u.o.etag);
	if (r == 0)
		r = local_temp_new(l, &t);
	if (r == 0)
		r = join_parts(l, &u, parts, count, t.fd);
	if (r == 0)
		r = local_seal(l, t.fd, &u.o);
	p.name = t.name;
	if (r < 0)
		local_fail(err, r, "CompleteMultipartUpload");
	else
		r = local_place(l, key, &p, err);
	if (r == 0) {
		t.name[0] = '\0';
		memcpy(etag, u.o.etag, S3_ETAG_MAX);
	}
	local_temp_drop(l, &t);
	return r;
}

/* ---- ending and listing ---- */

int
local_upload_abort(struct s3 *s3, const char *key, const char *upload_id,
		   struct s3_error *err)
{
	struct s3_local *l = local_of(s3);
	CLEANUP_UPLOAD struct upload u = { .dir = -1 };
	int r = find_upload(l, key, upload_id, &u);

	if (r == 0)
		r = retire_upload(l, upload_id);
	if (r == -ENOENT)
		r = 0;
	return r < 0 ? local_fail(err, r, "AbortMultipartUpload") : 0;
}

struct found {
	char *key;
	char id[ID_LEN + 1];
	int64_t initiated_ns;
};

struct found_list {
	struct found *list;
	size_t count;
};

static void
found_fini(struct found_list *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->list[i].key);
	free(f->list);
}

static int
found_add(struct found_list *f, const char *id, const struct upload *u)
{
	struct found *list;

	if ((f->count & (f->count - 1)) == 0) {
		list = realloc(f->list, (f->count * 2 + 1) * sizeof(*list));
		if (list == NULL)
			return -ENOMEM;
		f->list = list;
	}
	list = &f->list[f->count];
	list->key = strdup(u->key);
	if (list->key == NULL)
		return -ENOMEM;
	snprintf(list->id, sizeof(list->id), "%.*s", ID_LEN, id);
	list->initiated_ns = u->initiated_ns;
	f->count++;
	return 0;
}

static int
by_key(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	if (c != 0)
		return c;
	if (x->initiated_ns != y->initiated_ns)
		return x->initiated_ns < y->initiated_ns ? -1 : 1;
	return strcmp(x->id, y->id);
}

static int
find_uploads(struct s3_local *l, const char *prefix, struct found_list *f)
{
	int fd = openat(l->uploads, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;
	int r = 0;

	if (dir == NULL) {
		r = local_errno(errno);
		local_close_fd(&fd);
		return r;
	}
	while (r == 0 && (d = readdir(dir)) != NULL) {
		CLEANUP_UPLOAD struct upload u = { .dir = -1 };

		if (find_upload(l, NULL, d->d_name, &u) == 0 &&
		    strncmp(u.key, prefix, strlen(prefix)) == 0)
			r = found_add(f, d->d_name, &u);
	}
	closedir(dir);
	return r;
}

int
local_upload_list(struct s3 *s3, const char *prefix,
		  int (*each)(void *arg, const char *key,
			      const char *upload_id, int64_t initiated_ns),
		  void *arg, struct s3_error *err)
{
	__attribute__((cleanup(found_fini))) struct found_list f = { 0 };
	int r = find_uploads(local_of(s3), prefix != NULL ? prefix : "", &f);

	if (r < 0)
		return local_fail(err, r, "ListMultipartUploads");
	if (f.count > 1)
		qsort(f.list, f.count, sizeof(*f.list), by_key);
	for (size_t i = 0; i < f.count; i++) {
		r = each(arg, f.list[i].key, f.list[i].id,
			 f.list[i].initiated_ns);
		if (r != 0)
			return r;
	}
	return 0;
}
