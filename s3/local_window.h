/* SPDX-License-Identifier: Apache-2.0 */
#ifndef S3_LOCAL_WINDOW_H
#define S3_LOCAL_WINDOW_H

/*
 * The names of one directory in order, for local_list.c alone.
 */

#include <dirent.h>
#include <string.h>
#include <time.h>

#include "s3/local_priv.h"

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

/* Where in a directory a listing begins: after a name, NULL for its first;
 * done: what is below that name was told as well. */
struct local_begin {
	const char *after;
	bool done;
};

/* The names of base that begin with stem, from there on; depth: of how many
 * directories one is held at once.  *out is for local_window_give. */
int local_window_new(struct s3_local *l, const char *base, const char *stem,
		     const struct local_begin *from, unsigned depth,
		     struct local_window **out);
/* Go on in a directory that was larger than the window (more).  After a failure
 * it holds no names that could be relied on. */
int local_window_next(struct s3_local *l, struct local_window *w);
/* The first name at or after the bound, by bisection. */
size_t local_window_first(const struct local_window *w, const char *after,
			  bool after_done);
/* Keep it for the next page, or free it; NULL is none. */
void local_window_give(struct s3_local *l, struct local_window **w);

/* ---- directories as they are read ---- */

/* Open a directory stream; *dir NULL if there is none.  Mapped errno. */
int local_open_stream(struct s3_local *l, int base, const char *path,
		      DIR **dir);
void local_close_stream(DIR **dir);
#define CLEANUP_DIR __attribute__((cleanup(local_close_stream)))
/* The next entry; 0 and NULL: there is none.  Mapped errno. */
int local_next_entry(DIR *dir, struct dirent **out);
enum local_kind { NOTHING, IS_FILE, IS_DIR };
/* Of an entry of the directory fd. */
enum local_kind local_entry_kind(int fd, const struct dirent *d);

static inline bool
local_starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

#endif
