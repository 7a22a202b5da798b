/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A finished file takes the place of a key, in the local bucket.
 *
 * Under the key's lock: the condition is looked at, then the file is renamed
 * to its plain place, or to its odd one if something else is in the way.
 * Directories on the way are made before, out of the lock, since each costs
 * a flush; one that a DELETE prunes meanwhile is made again.  A file that
 * comes by hand between look and rename is noticed (RENAME_NOREPLACE) and
 * looked at anew.  If it fails, the temporary file is still the caller's.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "s3/local_priv.h"

int
local_check_cond(struct s3_local *l, const char *key,
		 const struct s3_cond *cond)
{
	CLEANUP_FD int fd = -1;
	struct s3_object o;
	struct stat st;
	bool own, same;
	int r;

	if (cond == NULL || (cond->if_match == NULL && !cond->if_none_match))
		return 0;
	r = local_look(l, key, &fd, &st, &o, &own);
	if (r == -ENOENT)
		return cond->if_match != NULL ? -ESTALE : 0;
	if (r < 0)
		return r;
	same = cond->if_match != NULL && strcmp(cond->if_match, o.etag) == 0;
	s3_object_free(&o);
	if (cond->if_none_match)
		return -EEXIST;
	return same ? 0 : -ESTALE;
}

int
local_classify(int dir, const char *last, ino_t *old)
{
	struct stat st;

	*old = 0;
	if (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	if (st.st_nlink == 1)
		*old = st.st_ino;
	return 1;
}

static int
rename_over(const struct local_place *p, int dir, const char *last, int there)
{
	if (there == 0) {
		if (renameat2(p->from, p->name, dir, last,
			      RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EINVAL && errno != ENOSYS)
			return -errno;
	}
	return renameat(p->from, p->name, dir, last) == 0 ? 0 : -errno;
}

/*
 * Move the file below base; *dir is left open for a flush.  -EISDIR and its
 * like (local_is_blocked): something else is in the way.  Raw errno.
 */
static int
move_in(struct s3_local *l, const struct local_place *p, int base,
	const char *path, int *dir)
{
	int r = -EAGAIN;

	for (int i = 0; i < 100; i++) {
		const char *last;
		ino_t old;
		int there;

		local_close_fd(dir);
		*dir = local_open_parent(l, base, path, true, &last);
		if (*dir < 0)
			return *dir;
		there = local_classify(*dir, last, &old);
		if (there < 0)
			return there;
		r = rename_over(p, *dir, last, there);
		if (r == 0) {
			if (old != 0)
				local_attr_forget(l, old);
			return 0;
		}
		/* A directory that was pruned, or a file by hand. */
		if (r != -ENOENT && r != -EEXIST && r != -EISDIR)
			return r;
	}
	return r == -ENOENT ? -EIO : r;
}

int
local_remove_odd(struct s3_local *l, const char *key)
{
	char path[LOCAL_PATH_MAX];
	CLEANUP_FD int dir = -1;
	const char *last;
	ino_t old;
	int r;

	local_odd_path(key, path);
	dir = local_open_parent(l, l->odd, path, false, &last);
	if (dir < 0)
		return 0;
	if (local_classify(dir, last, &old) != 1)
		return 0;
	if (unlinkat(dir, last, 0) < 0)
		return errno == ENOENT ? 0 : local_errno(errno);
	if (old != 0)
		local_attr_forget(l, old);
	r = local_sync(dir);
	local_prune(l, l->odd, path);
	return r < 0 ? r : 1;
}

static bool
has_odd(struct s3_local *l, const char *key)
{
	char path[LOCAL_PATH_MAX];
	CLEANUP_FD int fd = -1;

	local_odd_path(key, path);
	fd = local_openat(l, l->odd, path, O_PATH, 0);
	return fd >= 0;
}

static int
move_to_key(struct s3_local *l, const char *key, const struct local_place *p,
	    int *dir)
{
	char path[LOCAL_PATH_MAX];
	int r = -EISDIR;

	if (local_key_plain(key)) {
		r = move_in(l, p, l->root, key, dir);
		if (r == 0 && has_odd(l, key)) {
			/* The new place first must be sure. */
			r = local_sync(*dir);
			if (r == 0)
				r = local_remove_odd(l, key);
			return r < 0 ? r : 0;
		}
	}
	if (local_is_blocked(r)) {
		local_odd_path(key, path);
		r = move_in(l, p, l->odd, path, dir);
	}
	return r < 0 ? local_errno(-r) : 0;
}

/* Make a new object's directories before the lock: it costs flushes. */
static void
prepare_dirs(struct s3_local *l, const char *key)
{
	CLEANUP_FD int dir = -1;
	char path[LOCAL_PATH_MAX];
	const char *last;

	if (local_key_plain(key))
		dir = local_open_parent(l, l->root, key, true, &last);
	if (dir >= 0)
		return;
	local_odd_path(key, path);
	dir = local_open_parent(l, l->odd, path, true, &last);
}

static void
prune_key(struct s3_local *l, const char *key)
{
	char path[LOCAL_PATH_MAX];

	if (local_key_plain(key))
		local_prune(l, l->root, key);
	local_odd_path(key, path);
	local_prune(l, l->odd, path);
}

static int
place_locked(struct s3_local *l, const char *key, const struct local_place *p,
	     int *dir)
{
	int r = p->locked != NULL ? p->locked(p->arg, false) : 0;

	if (r == 0)
		r = local_check_cond(l, key, p->cond);
	if (r == 0)
		r = move_to_key(l, key, p, dir);
	if (r == 0 && p->locked != NULL) {
		r = local_sync(*dir);
		if (r == 0)
			r = p->locked(p->arg, true);
	}
	return r;
}

int
local_place(struct s3_local *l, const char *key, const struct local_place *p,
	    struct s3_error *err)
{
	CLEANUP_FD int dir = -1;
	int lock, r;

	prepare_dirs(l, key);
	lock = local_lock(l, key);
	if (lock < 0)
		return local_fail(err, lock, "lock");
	r = place_locked(l, key, p, &dir);
	close(lock);
	if (r == 0 && p->locked == NULL)
		r = local_sync(dir);
	if (r == 0)
		return 0;
	prune_key(l, key);
	return local_fail(err, r, "cannot put the object in place");
}
