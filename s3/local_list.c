/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listings of the local bucket, in the byte order of keys.
 *
 * That is not the order of path components: "a-b" < "a/b" < "a0".  But the
 * names of one directory, with '/' put after those of directories, sort like
 * all keys below them.  So a walk goes directory by directory, each a "level"
 * that merges the plain directory and the one for odd keys (local_path.c).
 *
 * A level holds a window of those names (local_window.c), so that memory is
 * bounded by the depth of a walk.  Size, time and ETag of each file are looked
 * up when it is given out.
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

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "s3/local_window.h"

#define UNREAD_EVERY_S 60

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
	int r = local_open_stream(l, base, path, &dir);

	while (r == 0 && dir != NULL && (r = local_next_entry(dir, &d)) == 0 &&
	       d != NULL) {
		enum local_kind kind = local_entry_kind(dirfd(dir), d);

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

	if (local_starts_with(walk->after, prefix)) {
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

static int
walk_level(struct walk *walk, const char *base, const char *stem,
	   unsigned depth)
{
	struct local_window *w = NULL;
	struct local_begin from = { NULL, false };
	int r;

	/* The bound within this directory, if it lies in it. */
	if (walk->after[0] != '\0' && local_starts_with(walk->after, base)) {
		from.after = walk->after + strlen(base);
		from.done = walk->after_done;
	}
	r = local_window_new(walk->l, base, stem, &from, depth, &w);
	/* One on the way of a listing of all that is below: once. */
	if (is_items(r) && depth > 0)
		return strcmp(base, walk->after) > 0
			       ? give_unread(walk, base, r)
			       : 0;
	if (r < 0)
		return r;
	for (size_t i = local_window_first(w, from.after, from.done); r == 0;) {
		if (i < w->count) {
			r = give_name(walk, base, w->names[i++], depth);
		} else if (w->more) {
			r = local_window_next(walk->l, w);
			i = 0;
		} else {
			break;
		}
	}
	local_window_give(walk->l, &w);
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
	if ((strcmp(walk.after, base) > 0 &&
	     !local_starts_with(walk.after, base)) ||
	    (walk.after_done && local_starts_with(base, walk.after)))
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
