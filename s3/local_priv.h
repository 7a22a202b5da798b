/* SPDX-License-Identifier: Apache-2.0 */
#ifndef S3_LOCAL_PRIV_H
#define S3_LOCAL_PRIV_H

/*
 * Inside of the local bucket: local.c (the ops table and single requests),
 * local_path.c (keys to paths), local_bytes.c (writing and copying),
 * local_place.c (into a key's place), local_attr.c (headers and ETags),
 * local_list.c (listings), local_window.c (their names), local_upload.c
 * (multipart uploads).
 *
 * Paths in these functions are relative to a directory descriptor, never
 * leave it, and no symbolic link is ever followed on the way.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "s3/s3_priv.h"

#define LOCAL_DIR ".s3nfsd"	/* in the bucket; no key's path starts so */
#define LOCAL_PATH_MAX 4096	/* of any key, escaped, with NUL */
#define LOCAL_BUFFER (1U << 20)	/* bytes read from a source at once */

struct local_window;
#define LOCAL_WINDOWS 4

struct s3_local {
	struct s3 s3;
	int root;		/* the bucket's directory */
	int odd;		/* .s3nfsd/odd: keys that cannot be a path */
	int uploads;		/* .s3nfsd/uploads */
	int attrs;		/* .s3nfsd/attr, where xattrs do not serve */
	int locks;		/* .s3nfsd/lock */
	int temp;		/* .s3nfsd/tmp/TEMP_NAME, this process's own */
	int temp_lock;		/* held as long as temp is in use */
	char temp_name[40];
	bool openat2;		/* the kernel has it */
	bool xattrs;		/* try them; tests turn them off */
	bool cancelled;		/* atomic */
	uint64_t serial;	/* atomic; names of temporary files */
	pthread_mutex_t windows_lock;
	struct local_window *windows[LOCAL_WINDOWS]; /* local_window.c */
	uint64_t windows_used;
	uint64_t unread_said_s;	/* atomic; the log was told */
};

static inline struct s3_local *
local_of(struct s3 *s3)
{
	return (struct s3_local *)s3;
}

static inline void
local_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void
local_free_ptr(void *ptr)
{
	free(*(void **)ptr);
}

#define CLEANUP_FD __attribute__((cleanup(local_close_fd)))
#define CLEANUP_FREE __attribute__((cleanup(local_free_ptr)))

/* ---- local_path.c ---- */

/* One of the results that s3.h allows, for a failed system call. */
int local_errno(int saved_errno);

/* Can the key lie at DIR/KEY? */
bool local_key_plain(const char *key);
/* The path below .s3nfsd/odd for any key. */
void local_odd_path(const char *key, char out[LOCAL_PATH_MAX]);

/* -ENOENT etc.; raw negative errno, not mapped by local_errno. */
int local_openat(struct s3_local *l, int dir, const char *path, int flags,
		 mode_t mode);
/*
 * The directory that `path` lies in, and *last, the name in it (points into
 * path).  create makes what is missing, durably.  Raw errno.
 */
int local_open_parent(struct s3_local *l, int base, const char *path,
		      bool create, const char **last);
/* Does this (raw) result mean that something else stands in the way? */
bool local_is_blocked(int r);
/* Remove empty directories above `path`, up to base. */
void local_prune(struct s3_local *l, int base, const char *path);
/* Flush a file or directory; 0 or a mapped errno. */
int local_sync(int fd);

/*
 * Exclude other writers of this key, in this process and in others, until
 * the descriptor returned is closed.  Mapped errno.
 */
int local_lock(struct s3_local *l, const char *key);

/*
 * Open the object for reading, a regular file with its status; writable for
 * a change of its attributes.  -ENOENT if there is none; mapped errno.
 */
int local_open_object(struct s3_local *l, const char *key, int *fd,
		      struct stat *st);

/* The status of one that cannot be opened, perhaps. */
int local_stat_object(struct s3_local *l, const char *key, struct stat *st);

/* A file of our own that no one sees until it is put in place. */
struct local_temp {
	int fd;
	char name[32];		/* "" when it has moved away */
};
int local_temp_new(struct s3_local *l, struct local_temp *t);
void local_temp_drop(struct s3_local *l, struct local_temp *t);

/* ---- local_attr.c ---- */

/*
 * What is known of an open file: size, times, ETag, headers.  *own: our
 * attributes were there and fit; else the file came or changed by hand, and
 * has an ETag that derives from its identity, and no headers.  `out` is
 * overwritten; the caller frees it.  -ESTALE: the file has been replaced
 * while we looked, open it anew.
 */
int local_attr_read(struct s3_local *l, int fd, const struct stat *st,
		    struct s3_object *out, bool *own);
/* What its status alone tells of a file. */
int local_attr_unread(const struct stat *st, struct s3_object *out);
/*
 * Attach attributes to an open file as it now is.  modified_ns: what to
 * report as Last-Modified, 0 for the file's own time.  The caller flushes.
 */
int local_attr_write(struct s3_local *l, int fd, const struct s3_object *o,
		     int64_t modified_ns);
/* Forget attributes kept apart for an inode that is gone. */
void local_attr_forget(struct s3_local *l, ino_t ino);

/* "name: value\n" for each header, and back. */
int local_headers_check(const struct s3_headers *h);
void local_headers_print(FILE *f, const struct s3_headers *h);
int local_headers_parse(char *text, struct s3_headers *h);

/* ---- local.c ---- */

/*
 * Open a key and read its attributes, which are of one version and the
 * caller's to free.
 */
int local_look(struct s3_local *l, const char *key, int *fd, struct stat *st,
	       struct s3_object *o, bool *own);
/* Has an open file kept its size and time? */
bool local_same_state(int fd, const struct stat *before);

/* Options that live with an object. */
void local_options(struct s3_local *l, struct s3_object *o);

/* Fill err and return r. */
int local_fail(struct s3_error *err, int r, const char *message);

/* ---- local_bytes.c ---- */

/*
 * Write the source's bytes to fd from `at` on; md5_hex (33 bytes) may be
 * NULL.
 */
int local_write_body(struct s3_local *l, int fd, uint64_t at,
		     const struct s3_source *body, char *md5_hex);
struct local_at {		/* a place in a file */
	int fd;
	uint64_t off;
};
/*
 * Copy so many bytes, shared or in the kernel where possible.  With md5_hex
 * they are read in any case.
 */
int local_copy_bytes(struct s3_local *l, struct local_at from,
		     struct local_at to, uint64_t len, char *md5_hex);
/*
 * Give a written file its time and attributes and flush it.  o->etag and
 * o->headers are stored.
 */
int local_seal(struct s3_local *l, int fd, const struct s3_object *o);
/* ---- local_place.c ---- */

/*
 * Put a sealed file (name in directory `from`) in the place of key, if cond
 * holds.  Durable on return.  `locked` is called under the key's lock
 * before (commit false) and after the move (true); NULL for none.
 */
struct local_place {
	int from;		/* directory that holds the file */
	const char *name;	/* its name there */
	const struct s3_cond *cond;
	int (*locked)(void *arg, bool moved);
	void *arg;
};
int local_place(struct s3_local *l, const char *key,
		const struct local_place *p, struct s3_error *err);

/* 0, -ESTALE or -EEXIST; under the key's lock.  cond may be NULL. */
int local_check_cond(struct s3_local *l, const char *key,
		     const struct s3_cond *cond);
/*
 * What stands at a name: 0 nothing, 1 a file, -EISDIR anything else.  *old:
 * the inode whose attributes go with this name, or 0.  Raw errno.
 */
int local_classify(int dir, const char *last, ino_t *old);
/* Remove the odd copy of a key: 1 if there was one. */
int local_remove_odd(struct s3_local *l, const char *key);

/* ---- local_upload.c: the table's entries ---- */

int local_upload_create(struct s3 *s3, const char *key,
			const struct s3_headers *headers, char **upload_id,
			struct s3_error *err);
int local_upload_part(struct s3 *s3, const char *key, const char *upload_id,
		      unsigned number, const struct s3_source *body,
		      char *etag, struct s3_error *err);
int local_upload_part_copy(struct s3 *s3, const char *key,
			   const char *upload_id, unsigned number,
			   const char *source_key, const char *if_match,
			   uint64_t off, uint64_t len, char *etag,
			   struct s3_error *err);
int local_upload_complete(struct s3 *s3, const char *key,
			  const char *upload_id, const struct s3_part *parts,
			  size_t count, const struct s3_cond *cond, char *etag,
			  struct s3_error *err);
int local_upload_abort(struct s3 *s3, const char *key, const char *upload_id,
		       struct s3_error *err);
ssize_t local_upload_parts(struct s3 *s3, const char *key,
			   const char *upload_id, struct s3_part **parts,
			   struct s3_error *err);
int local_upload_list(struct s3 *s3, const char *prefix,
		      int (*each)(void *arg, const char *key,
				  const char *upload_id, int64_t initiated_ns),
		      void *arg, struct s3_error *err);

/* ---- local_list.c ---- */

int local_list_page(struct s3 *s3, const struct s3_list *list,
		    int (*each)(void *arg, const struct s3_entry *entry),
		    void *arg, char **next, struct s3_error *err);

/* ---- local_window.c; the rest is in local_window.h ---- */

void local_windows_free(struct s3_local *l);

#endif
