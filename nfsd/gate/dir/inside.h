/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_DIR_INSIDE_H
#define NFSD_GATE_DIR_INSIDE_H

/*
 * Directories and their names as the bucket has them: LOOKUP, listings, and
 * what they lack.
 * For its own files alone.
 */

#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/path/path.h"

/*
 * A page of ListObjectsV2 as entries of a directory: copied while the reply
 * is read (page.c), merged afterwards (merge.c).
 */
struct found {			/* one entry of a page, copied */
	char *name, *component;	/* the same, most of the time */
	bool is_dir;
	bool left;		/* something below it has left, or is to go */
	uint64_t size;
	int64_t mtime_ns;
	enum s3_cold cold;
	char etag[META_ETAG_MAX];
};

struct page {
	struct gate_export *x;
	size_t prefix_len;
	struct found *list;
	size_t count, room;
	uint64_t mangled;
};

/* A stretch of a listing: what is missing there is older and not has(). */
struct prune_stretch {
	const char *after, *upto;	/* places; upto NULL: the end */
	uint64_t start_id;		/* no name before the listing has it */
	bool (*has)(void *arg, const char *name);
	void *arg;
};

struct looks {			/* HEADs of what a listing lacks */
	unsigned left;
	uint64_t until_ms;
	bool gone;		/* one has told so, */
	bool failed;		/* or nothing, */
	bool more;		/* and some were not asked */
};

/* ---- mangle.c ---- */
/* The component that a LONG name in the directory stands for; asks S3. */
int mangled_find(struct node *dir, const char *name,
		 char component[COMPONENT_MAX + 1])
	__attribute__((warn_unused_result));

/* ---- offline.c ---- */
/* 0: its attributes are known; -EAGAIN with rq->again set. */
int offline_attr(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));
/* A name that is not known here: -ENOENT, or -EAGAIN with rq->again set. */
int offline_absent(struct node *dir, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* ---- refresh.c ---- */
/* A directory: HEAD of its own object, or a look at what is below it.
 * -ESTALE: it is gone. */
int lookup_refresh_dir(struct node *n, uint64_t asked_ms)
	__attribute__((warn_unused_result));

/* ---- adopt.c ---- */
/* S3, asked at asked_ms, has another version of a clean file, or none: take
 * that over, unless the node was brought in step since. */
int lookup_adopt(struct node *n, const struct s3_object *o,
		 uint64_t asked_ms);
int lookup_vanish(struct node *n, uint64_t asked_ms);
/* Write a row back that only remembers S3; need not survive a crash. */
void lookup_post(struct node *n);

/* ---- scan.c ---- */
/* Make it complete and fresh if that is cheaper than asking for one name.
 * 1: it is, 0: ask for the name. */
int scan_if_small(struct node *dir) __attribute__((warn_unused_result));
/* Does S3 have anything below this directory, hidden keys aside?  0 no, 1 */
int scan_any(struct node *dir) __attribute__((warn_unused_result));
/* Names of it are about to be forgotten: what it was listed for no longer
 * tells of those.  False: it is being listed, or was read after since_ms.  It
 * is locked. */
bool scan_unlearn(struct node *dir, uint64_t since_ms);
/* The names between the last page's end and this one's which it lacks, and
 * that end.  They are gone once the last page has come and all were in order:
 * until then a later one may have them.  The directory is locked. */
int scan_prune_page(struct node *dir, const struct page *page, bool last,
		    char **at) __attribute__((warn_unused_result));

/* ---- merge.c ---- */
/* A page of the directory's scan: rows of what it has, then what it lacks
 * (scan_prune_page).  The directory is locked. */
int merge_page(struct node *dir, struct page *page, bool last, char **at)
	__attribute__((warn_unused_result));
/* The row of a node goes out at once: in the page's batch it would come after,
 * and undo, what a client changes from here on.  Only posted: the next listing
 * finds what is not on record.  Its mutex is held. */
void merge_post(struct node *n);

/* ---- page.c ---- */
/* Does S3 have anything below the prefix, hidden keys aside?  0 no, 1 */
int scan_prefix_any(struct gate_export *x, const char *prefix)
	__attribute__((warn_unused_result));
/* As scan_prefix_any where only keys count that nobody here knows of. */
int scan_source_any(struct gate_export *x, const char *prefix)
	__attribute__((warn_unused_result));

void page_free(struct page *p);
/* For s3_list_page, with the page for its argument. */
int page_take(void *page, const struct s3_entry *e);
/* Where an entry stands in the order of keys; malloced. */
char *found_place(const struct found *f);
/* Does each entry stand behind the one before, the first behind `at`?  A
 * store whose pages do not follow each other proves no name gone.  One that
 * goes back is told and remembered (unordered). */
bool page_in_order(const struct page *p, const char *at);
/* Directories that are only seen since objects below them have not left yet,
 * or were deleted since the listing began, are not there: they leave the
 * page.  Nothing is locked. */
int page_drop_left(struct node *dir, const char *prefix, uint64_t since_ms,
		   struct page *p) __attribute__((warn_unused_result));

/* ---- nlink.c ---- */
/* Its listing has reached the end: count.  No lock is held. */
int nlink_count(struct node *dir) __attribute__((warn_unused_result));

/* ---- prune.c ---- */
/* One more that is gone.  -ENOMEM. */
int pruned_add(struct pruned *s, uint64_t ino)
	__attribute__((warn_unused_result));
/* A name that is not the component of its key. */
bool prune_mangled(const struct gate_export *x, const char *name);
bool prune_passed(const struct meta_name *name, const char *at);
/* Those names of the directory that are missing. */
int prune_range(struct node *dir, const struct prune_stretch *of,
		struct pruned *out) __attribute__((warn_unused_result));
/* Is it a file that prune_drop will let go without a question, as far as can
 * be seen? */
bool prune_certain(struct gate *g, uint64_t ino, uint64_t start_ms);
/* A name that the listing lacks.  What S3 was never told stays, and what it
 * is not asked for, or has no answer for.  1: it went. */
int prune_drop(struct gate *g, uint64_t ino, uint64_t start_ms,
	       struct looks *looks) __attribute__((warn_unused_result));

#endif
