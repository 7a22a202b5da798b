/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where a key of the local bucket lies.
 *
 * A key whose parts are all file names ("a/b/file") lies at DIR/a/b/file, for
 * everybody to see.  Any other key, and one whose place is taken by something
 * else ("a" while "a/b" is there, a symbolic link, a device), is an "odd"
 * key and lies below DIR/.s3nfsd/odd.  There a key is split at each '/':
 *
 *	dPART	a directory: PART and a '/' come next in the key
 *	fPART	the object: the key ends with PART
 *	cPART	a directory: PART comes next (254 bytes), its rest follows
 *
 * "a//b/" lies at da/d/db/f.  Since each name starts with its letter, PART
 * may be empty, "." or "..", and no byte needs an escape.
 *
 * A lookup asks the plain place first and the odd one second; a writer that
 * finds the plain place free takes it, and removes the odd copy afterwards.
 * So a key never goes from its plain place to the odd one while it exists,
 * and a reader that saw neither need look only once more.
 *
 * Symbolic links are never followed (openat2, or a walk with O_NOFOLLOW on
 * kernels without): a file by hand that is a link is no object.
 */

#include <config.h>

#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "s3/local_priv.h"

#define CHUNK 254		/* bytes of a part in one odd name */
#define LOCK_SHARDS 64

int
local_errno(int saved_errno)
{
	switch (saved_errno) {
	case ENOENT: case ENODEV: case EACCES: case ESTALE: case EEXIST:
	case EAGAIN: case EFBIG: case EINVAL: case ENOTSUP: case EBADMSG:
	case ENOMEM: case ENOSPC: case EDQUOT:
		return -saved_errno;
	case EPERM: case EROFS:
		return -EACCES;
	case EMFILE: case ENFILE: case EINTR:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

bool
local_key_plain(const char *key)
{
	const char *part = key;

	for (;;) {
		size_t len = strcspn(part, "/");

		if (len == 0 || len > 255 ||
		    (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (part == key && len == strlen(LOCAL_DIR) &&
		    memcmp(part, LOCAL_DIR, len) == 0)
			return false;
		if (part[len] == '\0')
			return true;
		part += len + 1;
	}
}

/* At most 2 bytes of path for each byte of a key, and 1 more. */
_Static_assert(2 * S3_KEY_MAX + 16 <= LOCAL_PATH_MAX, "room for odd paths");

void
local_odd_path(const char *key, char out[LOCAL_PATH_MAX])
{
	for (;;) {
		size_t len = strcspn(key, "/");
		size_t take = len > CHUNK ? CHUNK : len;
		char end = key[len];

		*out++ = take < len ? 'c' : end == '/' ? 'd' : 'f';
		memcpy(out, key, take);
		out += take;
		key += take;
		if (take == len && end == '\0')
			break;
		if (take == len)
			key++;
		*out++ = '/';
	}
	*out = '\0';
}

/* For kernels without openat2: each directory on the way by itself. */
static int
walk_openat(int dir, const char *path, int flags, mode_t mode)
{
	CLEANUP_FD int held = -1;
	const char *slash;
	int fd;

	while ((slash = strchr(path, '/')) != NULL) {
		char part[256];
		size_t len = (size_t)(slash - path);

		if (len >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, len);
		part[len] = '\0';
		fd = openat(dir, part,
			    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		local_close_fd(&held);
		held = dir = fd;
		path = slash + 1;
	}
	fd = openat(dir, path, flags | O_NOFOLLOW, mode);
	return fd < 0 ? -errno : fd;
}

int
local_openat(struct s3_local *l, int dir, const char *path, int flags,
	     mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_XDEV,
	};
	long fd;

	if (!l->openat2)
		return walk_openat(dir, path, flags | O_CLOEXEC, mode);
	do {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : (int)fd;
}

bool
local_is_blocked(int r)
{
	return r == -ENOTDIR || r == -ELOOP || r == -EXDEV || r == -EISDIR ||
	       r == -ENAMETOOLONG;
}

int
local_sync(int fd)
{
	if (fsync(fd) == 0 || errno == EINVAL || errno == EROFS)
		return 0;
	return local_errno(errno);
}

/* One step down; makes the directory if it is missing. */
static int
step_down(struct s3_local *l, int dir, const char *part)
{
	if (mkdirat(dir, part, 0777) == 0) {
		int r = local_sync(dir);

		if (r < 0)
			return r;
	} else if (errno != EEXIST) {
		return -errno;
	}
	return local_openat(l, dir, part, O_RDONLY | O_DIRECTORY, 0);
}

/* Open directory `path` (not empty) below base; make what is missing. */
static int
make_dirs(struct s3_local *l, int base, char *path)
{
	CLEANUP_FD int held = -1;
	char *part = path;

	for (;;) {
		char *slash = strchr(part, '/');
		int fd;

		if (slash != NULL)
			*slash = '\0';
		fd = step_down(l, held >= 0 ? held : base, part);
		if (slash != NULL)
			*slash = '/';
		if (fd < 0 || slash == NULL)
			return fd;
		local_close_fd(&held);
		held = fd;
		part = slash + 1;
	}
}

int
local_open_parent(struct s3_local *l, int base, const char *path, bool create,
		  const char **last)
{
	char dirs[LOCAL_PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len;
	int fd;

	if (slash == NULL) {
		*last = path;
		return local_openat(l, base, ".", O_RDONLY | O_DIRECTORY, 0);
	}
	*last = slash + 1;
	len = (size_t)(slash - path);
	if (len >= sizeof(dirs))
		return -ENAMETOOLONG;
	memcpy(dirs, path, len);
	dirs[len] = '\0';
	fd = local_openat(l, base, dirs, O_RDONLY | O_DIRECTORY, 0);
	/* Another's prune may remove what we just made: again, then. */
	for (int i = 0; fd == -ENOENT && create && i < 100; i++)
		fd = make_dirs(l, base, dirs);
	return fd;
}

void
local_prune(struct s3_local *l, int base, const char *path)
{
	char dirs[LOCAL_PATH_MAX];
	char *slash;

	snprintf(dirs, sizeof(dirs), "%s", path);
	while ((slash = strrchr(dirs, '/')) != NULL) {
		CLEANUP_FD int dir = -1;
		const char *last;

		*slash = '\0';
		dir = local_open_parent(l, base, dirs, false, &last);
		if (dir < 0 || unlinkat(dir, last, AT_REMOVEDIR) < 0)
			break;
	}
}

int
local_lock(struct s3_local *l, const char *key)
{
	uint32_t hash = 2166136261U;	/* FNV-1a */
	char name[8];
	int fd;

	for (const char *p = key; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619U;
	snprintf(name, sizeof(name), "%02x", hash % LOCK_SHARDS);
	fd = openat(l->locks, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		    0666);
	if (fd < 0)
		return local_errno(errno);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			int r = local_errno(errno);

			close(fd);
			return r;
		}
	return fd;
}

/* A regular file at path, or -ENOENT for anything else there. */
static int
open_regular(struct s3_local *l, int base, const char *path, int flags,
	     int *out, struct stat *st)
{
	CLEANUP_FD int fd = local_openat(l, base, path, flags, 0);

	if (fd == -ENOENT || fd == -ENXIO || local_is_blocked(fd))
		return -ENOENT;
	if (fd < 0)
		return local_errno(-fd);
	if (fstat(fd, st) < 0)
		return local_errno(errno);
	if (!S_ISREG(st->st_mode))
		return -ENOENT;
	*out = fd;
	fd = -1;
	return 0;
}

static int
open_object(struct s3_local *l, const char *key, int flags, int *fd,
	    struct stat *st)
{
	char odd[LOCAL_PATH_MAX];
	bool plain = local_key_plain(key);
	int r = -ENOENT;

	if (plain)
		r = open_regular(l, l->root, key, flags, fd, st);
	if (r != -ENOENT)
		return r;
	local_odd_path(key, odd);
	r = open_regular(l, l->odd, odd, flags, fd, st);
	if (r == -ENOENT && plain)
		r = open_regular(l, l->root, key, flags, fd, st);
	return r;
}

int
local_open_object(struct s3_local *l, const char *key, int *fd,
		  struct stat *st)
{
	/* O_NONBLOCK: a FIFO put there by hand must not hold us up. */
	return open_object(l, key, O_RDONLY | O_NONBLOCK | O_NOCTTY, fd, st);
}

int
local_stat_object(struct s3_local *l, const char *key, struct stat *st)
{
	CLEANUP_FD int fd = -1;

	return open_object(l, key, O_PATH | O_NOFOLLOW, &fd, st);
}

int
local_temp_new(struct s3_local *l, struct local_temp *t)
{
	uint64_t n = __atomic_add_fetch(&l->serial, 1, __ATOMIC_RELAXED);

	snprintf(t->name, sizeof(t->name), "%llu", (unsigned long long)n);
	t->fd = openat(l->temp, t->name,
		       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		       0666);
	if (t->fd < 0) {
		t->name[0] = '\0';
		return local_errno(errno == ENOENT ? EIO : errno);
	}
	return 0;
}

void
local_temp_drop(struct s3_local *l, struct local_temp *t)
{
	struct stat st;

	/* One that has moved is not ours any more, nor are its attributes. */
	if (t->name[0] != '\0' && unlinkat(l->temp, t->name, 0) == 0 &&
	    t->fd >= 0 && fstat(t->fd, &st) == 0)
		local_attr_forget(l, st.st_ino);
	t->name[0] = '\0';
	local_close_fd(&t->fd);
}
