/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listings of the local bucket, in the byte order of keys.
 *
 * That is not the order of path components: "a-b" < "a/b" < "a0".  But the
 * names of one directory, with '/' put after those of directories, sort like
 * all keys below them.  So a walk goes directory by directory, each a "level"
 * that merges the plain directory and the one for odd keys (local_path.c).
 *
 * A level holds a "window": the smallest names after a bound, as many as fit
 * a fixed number of bytes.  If a directory has more, it is read again when
 * the window has been used up.  So memory is bounded by the depth of a walk.
 *
 * Windows of large directories are kept for the next page.  They are good as
 * long as both directories have the modification time they had, if that had
 * been old when they were read; else a change within one tick could hide.
 * Size, time and ETag of each file are looked up when it is given out.
 *
 * What cannot be read spoils only itself.  A file is listed with what its
 * directory tells, a directory as one that has something in it, and whoever
 * asks for them has the error; the log has a line.  What is left out of a
 * listing counts as gone, so a directory whose names cannot be read to the
 * end, or a machine that is short of something, fails the listing.
 *
 * A continuation token is "k" or "p" (all keys with this prefix are done)
 * and the last key or prefix given out.
 */

#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "s3/local_priv.h"

#define WINDOW_NAMES 65536
#define WINDOW_BYTES (4U << 20)
#define WINDOW_MIN (128U << 10)
#define WINDOW_KEEP 512		/* keep windows of so many names at least */
#define UNREAD_EVERY_S 60
#define SETTLED_NS 100000000	/* a directory is at rest after that */

/* A directory's identity and state; ino 0: it is not there. */
struct dir_state {
	dev_t dev;
	ino_t ino;
	struct timespec mtime;
};

struct local_window {
	char *base;		/* key prefix: "" or ends with '/' */
	char *stem;		/* names begin with this */
	char *after;		/* names not after it are left out; or NULL */
	bool after_done;	/* ... and all that begin with it */
	struct dir_state plain, odd;
	bool keep;		/* the states can be relied on */
	bool more;		/* there are names after the last one */
	const char *limit;	/* one of names: greater ones were dropped */
	size_t max_bytes;
	size_t count, room;
	char **names;		/* sorted; '/' after those of directories */
	size_t bytes;
	uint64_t used;		/* when, for choosing which one to drop */
};

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

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
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
	if (after_done && starts_with(name, after))
		return false;
	if (strcmp(name, after) > 0)
		return true;
	return len > 0 && name[len - 1] == '/' && starts_with(after, name);
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

	if (!starts_with(name, w->stem) ||
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

enum kind { NOTHING, IS_FILE, IS_DIR };

static enum kind
entry_kind(int fd, const struct dirent *d)
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

/* The next entry; 0 and NULL: there is none. */
static int
next_entry(DIR *dir, struct dirent **out)
{
	errno = 0;
	*out = readdir(dir);
	return *out != NULL || errno == 0 ? 0 : local_errno(errno);
}

/* Is it about the item, and not about what this machine is short of? */
static bool
is_items(int r)
{
	return r < 0 && r != -ENOMEM && r != -EAGAIN;
}

/* One line now and then: a listing meets it again and again. */
static void
say_unread(struct s3_local *l, const char *key, int r)
{
	const struct s3_config *c = &l->s3.config;
	uint64_t now = (uint64_t)time(NULL), said;
	char line[S3_KEY_MAX + 64];

	said = __atomic_load_n(&l->unread_said_s, __ATOMIC_RELAXED);
	if (c->log == NULL || (said != 0 && now < said + UNREAD_EVERY_S) ||
	    !__atomic_compare_exchange_n(&l->unread_said_s, &said, now, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	snprintf(line, sizeof(line),
		 "cannot be read, but is listed: key=%s: %s", key,
		 strerror(-r));
	c->log(c->log_arg, S3_LOG_WARN, line);
}

/* Open a directory stream; *dir NULL if there is none. */
static int
open_stream(struct s3_local *l, int base, const char *path, DIR **dir)
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

static void
close_stream(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

#define CLEANUP_DIR __attribute__((cleanup(close_stream)))

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

	while ((r = next_entry(dir, &d)) == 0 && d != NULL) {
		enum kind kind = entry_kind(dirfd(dir), d);
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

	while ((r = next_entry(dir, &d)) == 0 && d != NULL) {
		enum kind kind = entry_kind(dirfd(dir), d);
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
			r = open_stream(l, dirfd(dir), d->d_name, &below);
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
		r = open_stream(l, l->root, ".", plain);
		return r < 0 ? r : open_stream(l, l->odd, ".", odd);
	}
	memcpy(key, base, len + 1);
	/* Its odd path ends in "/f", for the key that ends here. */
	local_odd_path(key, path);
	*strrchr(path, '/') = '\0';
	key[len - 1] = '\0';
	if (local_key_plain(key))
		r = open_stream(l, l->root, key, plain);
	return r < 0 ? r : open_stream(l, l->odd, path, odd);
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
		    (c > 0 && w->after_done && starts_with(after, w->after)))
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

/* Keep it for the next page, or free it. */
static void
window_give(struct s3_local *l, struct local_window **w)
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

/* Where in a directory a listing begins: after a name, NULL for its first;
 * done: what is below that name was told as well. */
struct begin {
	const char *after;
	bool done;
};

static int
window_new(struct s3_local *l, const char *base, const char *stem,
	   const struct begin *from, unsigned depth,
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

/* Go on in a directory that was larger than the window. */
static int
window_next(struct s3_local *l, struct local_window *w)
{
	char *after = strdup(w->names[w->count - 1]);

	if (after == NULL)
		return -ENOMEM;
	free(w->after);
	w->after = after;
	w->after_done = after[0] != '\0' && after[strlen(after) - 1] == '/';
	return window_fill(l, w);
}

/* ---- walking ---- */

struct walk {
	struct s3_local *l;
	const char *delimiter;
	char after[S3_KEY_MAX + 1];	/* keys after this one */
	bool after_done;		/* ... and not beginning with it */
	unsigned left;			/* to give out; then *more is set */
	bool more;
	char *last;			/* given out last: malloced token */
	int (*each)(void *arg, const struct s3_entry *entry);
	void *arg;
};

static int walk_level(struct walk *walk, const char *base, const char *stem,
		      unsigned depth);

#define WALK_END 0x40000000	/* the page is full */

static int
give(struct walk *walk, const struct s3_entry *entry)
{
	int r;

	if (walk->left == 0) {
		walk->more = true;
		return WALK_END;
	}
	walk->left--;
	walk->last[0] = entry->is_prefix ? 'p' : 'k';
	memcpy(walk->last + 1, entry->key, entry->key_len + 1);
	r = walk->each(walk->arg, entry);
	return r;
}

/* With what can be told without opening it. */
static int
give_unread(struct walk *walk, const char *key, int error)
{
	bool is_dir = key[strlen(key) - 1] == '/';
	struct s3_object o = { 0 };
	struct stat st = { 0 };
	int r = is_dir ? 0 : local_stat_object(walk->l, key, &st);

	if (r == -ENOENT)
		return 0;
	r = local_attr_unread(&st, &o);
	if (r < 0)
		return r;
	say_unread(walk->l, key, error);
	return give(walk, &(struct s3_entry){
		.key = key, .key_len = strlen(key), .size = o.size,
		.mtime_ns = o.mtime_ns, .etag = o.etag,
	});
}

static int
give_file(struct walk *walk, const char *key)
{
	CLEANUP_FD int fd = -1;
	struct s3_object o;
	struct stat st;
	bool own;
	int r = -ESTALE;

	for (int i = 0; i < 10 && r == -ESTALE; i++) {
		local_close_fd(&fd);
		r = local_open_object(walk->l, key, &fd, &st);
		if (r == 0)
			r = local_attr_read(walk->l, fd, &st, &o, &own);
	}
	if (r == -ENOENT)	/* gone meanwhile */
		return 0;
	if (r < 0)
		return is_items(r) ? give_unread(walk, key, r) : r;
	r = give(walk, &(struct s3_entry){
		.key = key, .key_len = strlen(key), .size = o.size,
		.mtime_ns = o.mtime_ns, .etag = o.etag,
	});
	s3_object_free(&o);
	return r;
}

/* Is there an object anywhere below?  1, 0 or an error. */
static int
any_below(struct s3_local *l, int base, const char *path, bool odd)
{
	CLEANUP_DIR DIR *dir = NULL;
	struct dirent *d;
	int r = open_stream(l, base, path, &dir);

	while (r == 0 && dir != NULL && (r = next_entry(dir, &d)) == 0 &&
	       d != NULL) {
		enum kind kind = entry_kind(dirfd(dir), d);

		if (kind == IS_FILE && (!odd || d->d_name[0] == 'f'))
			return 1;
		if (kind == IS_DIR)
			r = any_below(l, dirfd(dir), d->d_name, odd);
	}
	if (is_items(r)) {
		say_unread(l, path, r);
		r = 1;		/* for all we know */
	}
	return r;
}

static int
find_one(void *arg, const struct s3_entry *entry)
{
	(void)arg;
	(void)entry;
	return 1;
}

/* Is there a key with this prefix that comes after the walk's bound? */
static int
prefix_has_keys(struct walk *walk, const char *prefix)
{
	char path[LOCAL_PATH_MAX];
	int r = 0;

	if (starts_with(walk->after, prefix)) {
		char last[S3_KEY_MAX + 2];
		struct walk inner = {
			.l = walk->l, .left = 1, .last = last,
			.each = find_one, .after_done = walk->after_done,
		};

		memcpy(inner.after, walk->after, sizeof(inner.after));
		r = walk_level(&inner, prefix, "", 0);
		return is_items(r) ? 1 : r;
	}
	snprintf(path, sizeof(path), "%.*s", (int)strlen(prefix) - 1, prefix);
	if (local_key_plain(path))
		r = any_below(walk->l, walk->l->root, path, false);
	if (r != 0)
		return r;
	local_odd_path(prefix, path);
	*strrchr(path, '/') = '\0';
	return any_below(walk->l, walk->l->odd, path, true);
}

static int
give_dir(struct walk *walk, const char *prefix, unsigned depth)
{
	int r;

	if (walk->delimiter == NULL)
		return walk_level(walk, prefix, "", depth + 1);
	r = prefix_has_keys(walk, prefix);
	if (r <= 0)
		return r;
	return give(walk, &(struct s3_entry){
		.key = prefix, .key_len = strlen(prefix), .is_prefix = true,
		.etag = "",
	});
}

static int
give_name(struct walk *walk, const char *base, const char *name,
	  unsigned depth)
{
	char key[S3_KEY_MAX + 1];
	size_t len = strlen(base) + strlen(name);

	if (len > S3_KEY_MAX)	/* by hand; no request could name it */
		return 0;
	memcpy(key, base, strlen(base));
	memcpy(key + strlen(base), name, strlen(name) + 1);
	if (len > 0 && name[0] != '\0' && key[len - 1] == '/')
		return give_dir(walk, key, depth);
	return len > 0 ? give_file(walk, key) : 0;
}

/* The first name at or after the bound, by bisection. */
static size_t
first_after(const struct local_window *w, const char *after, bool after_done)
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

static int
walk_level(struct walk *walk, const char *base, const char *stem,
	   unsigned depth)
{
	struct local_window *w = NULL;
	struct begin from = { NULL, false };
	int r;

	/* The bound within this directory, if it lies in it. */
	if (walk->after[0] != '\0' && starts_with(walk->after, base)) {
		from.after = walk->after + strlen(base);
		from.done = walk->after_done;
	}
	r = window_new(walk->l, base, stem, &from, depth, &w);
	/* One on the way of a listing of all that is below: once. */
	if (is_items(r) && depth > 0)
		return strcmp(base, walk->after) > 0
			       ? give_unread(walk, base, r)
			       : 0;
	if (r < 0)
		return r;
	for (size_t i = first_after(w, from.after, from.done); r == 0;) {
		if (i < w->count) {
			r = give_name(walk, base, w->names[i++], depth);
		} else if (w->more) {
			r = window_next(walk->l, w);
			i = 0;
		} else {
			break;
		}
	}
	window_give(walk->l, &w);
	return r;
}

static int
set_bound(struct walk *walk, const struct s3_list *list)
{
	const char *after = list->start_after;
	size_t len;

	if (list->token != NULL) {
		if (list->token[0] != 'k' && list->token[0] != 'p')
			return -EINVAL;
		walk->after_done = list->token[0] == 'p';
		after = list->token + 1;
	}
	if (after == NULL)
		return 0;
	len = strlen(after);
	if (len > S3_KEY_MAX || (len == 0 && list->token != NULL))
		return -EINVAL;
	memcpy(walk->after, after, len + 1);
	return 0;
}

int
local_list_page(struct s3 *s3, const struct s3_list *list,
		int (*each)(void *arg, const struct s3_entry *entry),
		void *arg, char **next, struct s3_error *err)
{
	const char *prefix = list->prefix != NULL ? list->prefix : "";
	const char *slash = strrchr(prefix, '/');
	char base[S3_KEY_MAX + 1];
	CLEANUP_FREE char *last = malloc(S3_KEY_MAX + 2);
	struct walk walk = {
		.l = local_of(s3), .delimiter = list->delimiter,
		.left = list->max_keys > 0 && list->max_keys <= 1000 ?
			list->max_keys : 1000,
		.last = last, .each = each, .arg = arg,
	};
	int r;

	if (last == NULL)
		return local_fail(err, -ENOMEM, "LIST");
	if (strlen(prefix) > S3_KEY_MAX || (list->delimiter != NULL &&
	    strcmp(list->delimiter, "/") != 0))
		return local_fail(err, -EINVAL, "LIST");
	r = set_bound(&walk, list);
	if (r < 0)
		return local_fail(err, r, "LIST: bad token or key");
	snprintf(base, sizeof(base), "%.*s",
		 slash != NULL ? (int)(slash + 1 - prefix) : 0, prefix);
	/* Nothing with this prefix comes after the bound? */
	if ((strcmp(walk.after, base) > 0 && !starts_with(walk.after, base)) ||
	    (walk.after_done && starts_with(base, walk.after)))
		r = 0;
	else
		r = walk_level(&walk, base, prefix + strlen(base), 0);
	if (r == WALK_END)
		r = 0;
	if (r < 0)
		return local_fail(err, r, "LIST");
	if (r > 0)
		return r;
	*next = NULL;
	if (walk.more) {
		*next = last;
		last = NULL;
	}
	return 0;
}
