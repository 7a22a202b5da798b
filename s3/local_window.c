/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Windows: the names of a directory of the local bucket in order, in memory
 * that does not grow with the directory.
 *
 * A window is the smallest names after a bound, as many as fit a fixed number
 * of bytes, of the plain directory and of the one for odd keys, merged.  If a
 * directory has more, it is read again when the window has been used up.
 *
 * Windows of large directories are kept for the next page.  They are good as
 * long as both directories have the modification time they had, if that had
 * been old when they were read; else a change within one tick could hide.
 *
 * A directory that is not there has no names.  One that cannot be read to its
 * end fails the window: what is left out of a listing counts as gone
 * (local_list.c).
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>

#include "s3/local_window.h"

#define WINDOW_NAMES 65536
#define WINDOW_BYTES (4U << 20)
#define WINDOW_MIN (128U << 10)
#define WINDOW_KEEP 512		/* keep windows of so many names at least */
#define SETTLED_NS 100000000	/* a directory is at rest after that */

static void
window_clear(struct local_window *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->names[i]);
	w->count = 0;
	w->bytes = 0;
	w->limit = NULL;
	w->more = false;
}

static void
window_free(struct local_window **w)
{
	if (*w == NULL)
		return;
	window_clear(*w);
	free((*w)->names);
	free((*w)->base);
	free((*w)->stem);
	free((*w)->after);
	free(*w);
	*w = NULL;
}

void
local_windows_free(struct s3_local *l)
{
	for (int i = 0; i < LOCAL_WINDOWS; i++)
		window_free(&l->windows[i]);
}

/*
 * Is there, or can there be, a key in `name` that comes after the bound?
 * NULL is no bound; "" is the key that ends where the level begins.
 */
static bool
is_after(const char *name, const char *after, bool after_done)
{
	size_t len = strlen(name);

	if (after == NULL)
		return true;
	if (after_done && local_starts_with(name, after))
		return false;
	if (strcmp(name, after) > 0)
		return true;
	return len > 0 && name[len - 1] == '/' &&
	       local_starts_with(after, name);
}

/* ---- filling a window ---- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sort, drop doubles; if it is too much, drop the larger half. */
static void
window_settle(struct local_window *w, bool full)
{
	size_t kept = 0;

	if (w->count == 0)
		return;
	qsort(w->names, w->count, sizeof(*w->names), by_name);
	for (size_t i = 0; i < w->count; i++) {
		if (kept > 0 && strcmp(w->names[kept - 1], w->names[i]) == 0) {
			w->bytes -= strlen(w->names[i]) + 1;
			free(w->names[i]);
		} else {
			w->names[kept++] = w->names[i];
		}
	}
	w->count = kept;
	if (w->more)
		w->limit = w->names[kept - 1];
	if (!full)
		return;
	while (w->count > 1 && (w->count > WINDOW_NAMES ||
				w->bytes > w->max_bytes / 2)) {
		char *name = w->names[--w->count];

		w->bytes -= strlen(name) + 1;
		free(name);
		w->more = true;
	}
	if (w->more)
		w->limit = w->names[w->count - 1];
}

static int
window_add(struct local_window *w, const char *name)
{
	char *copy;

	if (!local_starts_with(name, w->stem) ||
	    !is_after(name, w->after, w->after_done))
		return 0;
	/* Some greater ones were dropped: this one would leave a gap. */
	if (w->limit != NULL && strcmp(name, w->limit) > 0)
		return 0;
	if (w->count == w->room) {
		size_t room = w->room > 0 ? w->room * 2 : 64;
		char **names = realloc(w->names, room * sizeof(*names));

		if (names == NULL)
			return -ENOMEM;
		w->names = names;
		w->room = room;
	}
	copy = strdup(name);
	if (copy == NULL)
		return -ENOMEM;
	w->names[w->count++] = copy;
	w->bytes += strlen(copy) + 1;
	if (w->count >= 2 * WINDOW_NAMES || w->bytes >= w->max_bytes)
		window_settle(w, true);
	return 0;
}

enum local_kind
local_entry_kind(int fd, const struct dirent *d)
{
	struct stat st;

	if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
		return NOTHING;
	if (d->d_type == DT_REG)
		return IS_FILE;
	if (d->d_type == DT_DIR)
		return IS_DIR;
	if (d->d_type != DT_UNKNOWN)
		return NOTHING;
	/* Who opens it will see. */
	if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? NOTHING : IS_FILE;
	return S_ISREG(st.st_mode) ? IS_FILE :
	       S_ISDIR(st.st_mode) ? IS_DIR : NOTHING;
}

int
local_next_entry(DIR *dir, struct dirent **out)
{
	errno = 0;
	*out = readdir(dir);
	return *out != NULL || errno == 0 ? 0 : local_errno(errno);
}

int
local_open_stream(struct s3_local *l, int base, const char *path, DIR **dir)
{
	int fd = local_openat(l, base, path, O_RDONLY | O_DIRECTORY, 0);

	*dir = NULL;
	if (fd == -ENOENT || local_is_blocked(fd))
		return 0;
	if (fd < 0)
		return local_errno(-fd);
	*dir = fdopendir(fd);
	if (*dir == NULL) {
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

void
local_close_stream(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

static void
get_state(DIR *dir, struct dir_state *state)
{
	struct stat st;

	memset(state, 0, sizeof(*state));
	if (dir == NULL || fstat(dirfd(dir), &st) < 0)
		return;
	state->dev = st.st_dev;
	state->ino = st.st_ino;
	state->mtime = st.st_mtim;
}

/* May a later look with the same state be taken for no change? */
static bool
settled(const struct dir_state *state)
{
	struct timespec now;
	int64_t age;

	if (state->ino == 0)
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	age = (int64_t)(now.tv_sec - state->mtime.tv_sec) * 1000000000 +
	      now.tv_nsec - state->mtime.tv_nsec;
	return age > SETTLED_NS;
}

static int
fill_plain(struct local_window *w, DIR *dir)
{
	struct dirent *d;
	int r;

	while ((r = local_next_entry(dir, &d)) == 0 && d != NULL) {
		enum local_kind kind = local_entry_kind(dirfd(dir), d);
		char name[sizeof(d->d_name) + 1];

		if (kind == NOTHING || (w->base[0] == '\0' &&
		    strcmp(d->d_name, LOCAL_DIR) == 0))
			continue;
		snprintf(name, sizeof(name), "%s%s", d->d_name,
			 kind == IS_DIR ? "/" : "");
		r = window_add(w, name);
		if (r < 0)
			break;
	}
	return r;
}

/* `chunks` is what the names of "c" directories above have given. */
static int
fill_odd(struct s3_local *l, struct local_window *w, DIR *dir,
	 const char *chunks)
{
	struct dirent *d;
	int r;

	while ((r = local_next_entry(dir, &d)) == 0 && d != NULL) {
		enum local_kind kind = local_entry_kind(dirfd(dir), d);
		char name[S3_KEY_MAX + 512];
		char letter = d->d_name[0];

		snprintf(name, sizeof(name), "%s%s%s", chunks, d->d_name + 1,
			 letter == 'd' ? "/" : "");
		if ((kind == IS_DIR && letter == 'd') ||
		    (kind == IS_FILE && letter == 'f')) {
			r = window_add(w, name);
		} else if (kind == IS_DIR && letter == 'c' &&
			   strlen(name) < S3_KEY_MAX) {
			CLEANUP_DIR DIR *below = NULL;

			w->keep = false;	/* no state of that one */
			r = local_open_stream(l, dirfd(dir), d->d_name, &below);
			if (r == 0 && below != NULL)
				r = fill_odd(l, w, below, name);
		}
		if (r < 0)
			break;
	}
	return r;
}

/* The directories of a level; a stream is NULL if there is none. */
static int
open_level(struct s3_local *l, const char *base, DIR **plain, DIR **odd)
{
	char key[S3_KEY_MAX + 2], path[LOCAL_PATH_MAX];
	size_t len = strlen(base);
	int r = 0;

	*plain = *odd = NULL;
	if (len == 0) {
		r = local_open_stream(l, l->root, ".", plain);
		return r < 0 ? r : local_open_stream(l, l->odd, ".", odd);
	}
	memcpy(key, base, len + 1);
	/* Its odd path ends in "/f", for the key that ends here. */
	local_odd_path(key, path);
	*strrchr(path, '/') = '\0';
	key[len - 1] = '\0';
	if (local_key_plain(key))
		r = local_open_stream(l, l->root, key, plain);
	return r < 0 ? r : local_open_stream(l, l->odd, path, odd);
}

static int
window_fill(struct s3_local *l, struct local_window *w)
{
	CLEANUP_DIR DIR *plain = NULL;
	CLEANUP_DIR DIR *odd = NULL;
	int r = open_level(l, w->base, &plain, &odd);

	if (r < 0)
		return r;
	window_clear(w);
	get_state(plain, &w->plain);
	get_state(odd, &w->odd);
	w->keep = settled(&w->plain) && settled(&w->odd);
	if (plain != NULL)
		r = fill_plain(w, plain);
	if (r == 0 && odd != NULL)
		r = fill_odd(l, w, odd, "");
	if (r == 0)
		window_settle(w, false);
	else
		w->keep = false;	/* it has not all names up to its end */
	return r;
}

/* ---- windows that are kept ---- */

static bool
same_dir(const struct dir_state *a, const struct dir_state *b)
{
	return a->ino == b->ino && a->dev == b->dev &&
	       a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static bool
still_good(struct s3_local *l, const struct local_window *w)
{
	CLEANUP_DIR DIR *plain = NULL;
	CLEANUP_DIR DIR *odd = NULL;
	struct dir_state ps, os;

	if (open_level(l, w->base, &plain, &odd) < 0)
		return false;
	get_state(plain, &ps);
	get_state(odd, &os);
	return same_dir(&ps, &w->plain) && same_dir(&os, &w->odd);
}

/* Does the window hold all names after this bound, up to its end? */
static bool
covers(const struct local_window *w, const char *base, const char *stem,
       const char *after, bool after_done)
{
	int c;

	if (strcmp(w->base, base) != 0 || strcmp(w->stem, stem) != 0)
		return false;
	if (w->after != NULL) {
		c = after != NULL ? strcmp(after, w->after) : -1;
		if (c < 0 || (c == 0 && w->after_done && !after_done) ||
		    (c > 0 && w->after_done &&
		     local_starts_with(after, w->after)))
			return false;
	}
	return !w->more || is_after(w->names[w->count - 1], after,
				    after_done);
}

/* Take a kept window out, for our own use; NULL if none will do. */
static struct local_window *
window_take(struct s3_local *l, const char *base, const char *stem,
	    const char *after, bool after_done)
{
	struct local_window *w = NULL;

	pthread_mutex_lock(&l->windows_lock);
	for (int i = 0; w == NULL && i < LOCAL_WINDOWS; i++)
		if (l->windows[i] != NULL &&
		    covers(l->windows[i], base, stem, after, after_done)) {
			w = l->windows[i];
			l->windows[i] = NULL;
		}
	pthread_mutex_unlock(&l->windows_lock);
	if (w != NULL && !still_good(l, w))
		window_free(&w);
	return w;
}

void
local_window_give(struct s3_local *l, struct local_window **w)
{
	struct local_window *old;
	int slot = 0;

	if (*w == NULL)
		return;
	if ((*w)->keep && (*w)->count >= WINDOW_KEEP) {
		pthread_mutex_lock(&l->windows_lock);
		for (int i = 0; i < LOCAL_WINDOWS; i++) {
			if (l->windows[i] == NULL) {
				slot = i;
				break;
			}
			if (l->windows[i]->used < l->windows[slot]->used)
				slot = i;
		}
		(*w)->used = ++l->windows_used;
		old = l->windows[slot];
		l->windows[slot] = *w;
		*w = old;
		pthread_mutex_unlock(&l->windows_lock);
	}
	window_free(w);
}

int
local_window_new(struct s3_local *l, const char *base, const char *stem,
		 const struct local_begin *from, unsigned depth,
		 struct local_window **out)
{
	struct local_window *w = window_take(l, base, stem, from->after,
					     from->done);
	int r = 0;

	if (w == NULL) {
		w = calloc(1, sizeof(*w));
		if (w == NULL)
			return -ENOMEM;
		w->base = strdup(base);
		w->stem = strdup(stem);
		w->after = from->after != NULL ? strdup(from->after) : NULL;
		w->after_done = from->done;
		w->max_bytes = depth < 6 ? WINDOW_BYTES >> depth : 0;
		if (w->max_bytes < WINDOW_MIN)
			w->max_bytes = WINDOW_MIN;
		if (w->base == NULL || w->stem == NULL ||
		    (from->after != NULL && w->after == NULL))
			r = -ENOMEM;
		else
			r = window_fill(l, w);
	}
	if (r < 0)
		window_free(&w);
	else
		*out = w;
	return r;
}

int
local_window_next(struct s3_local *l, struct local_window *w)
{
	char *after = strdup(w->names[w->count - 1]);

	if (after == NULL)
		return -ENOMEM;
	free(w->after);
	w->after = after;
	w->after_done = after[0] != '\0' && after[strlen(after) - 1] == '/';
	return window_fill(l, w);
}

size_t
local_window_first(const struct local_window *w, const char *after,
		   bool after_done)
{
	size_t low = 0, high = w->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const char *name = w->names[mid];

		if (is_after(name, after, after_done))
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}
