/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_DIRMOVE_INSIDE_H
#define NFSD_GATE_DIRMOVE_INSIDE_H

/*
 * Renamed directories: their objects follow.
 * For its own files alone.
 */

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dirmove/dirmove.h"

struct dirmove;
struct dirmove_cursor;

#define DIRMOVE_LOOKS 64	/* at keys of one page, at a move's end */
#define LEVELS_MAX 1100	/* a key may be nothing but slashes */

struct listed {			/* one entry of the page, copied */
	char *key;
	uint64_t size;
	int64_t mtime_ns;
	enum s3_cold cold;
	char etag[META_ETAG_MAX];
	bool behind;		/* it is not there */
};

struct level {			/* a directory on the path of the key at hand */
	uint64_t ino;
	struct node *node;	/* NULL: made from this page, not committed */
	size_t end;		/* of its component in `path`, past '/' */
};

struct dirmove_page {
	struct listed *list;
	size_t count, room;
};

struct lister {			/* one page on its way into the database */
	struct dirmove *m;
	struct gate_export *x;
	const struct dirmove_page *page;
	struct gate *g;
	struct gate_request rq;	/* for lookups */
	struct change c;
	struct meta_batch **marks;	/* tickets of rows on their way */
	size_t mark_count, mark_room;
	struct level levels[LEVELS_MAX];
	unsigned depth;		/* levels in use; [0] is the directory */
	char path[META_KEY_MAX + 2];	/* "a/b/" below the source */
	char last[META_KEY_MAX + 2];	/* key of the page, as it was told */
	struct node *locked;	/* of one of the levels */
	uint64_t page_ms;	/* when it was asked for */
	bool later;
	uint64_t objects, bytes;
	uint64_t claimed;	/* of those: there is something to do */
};

/* ---- keys_page.c ---- */
void dirmove_cursor_fini(struct dirmove_cursor *at);
/* Does the key as a path lead to a file?  By what is known here.  0, 1 */
int dirmove_key_known(struct gate_export *x, const char *key)
	__attribute__((warn_unused_result));
void dirmove_page_free(struct dirmove_page *p);
/* Is it younger than the move?  By the store's clock, whose times are whole
 * seconds mostly. */
bool came_later(const struct lister *l, const struct listed *e);
/* One page, from where the cursor is.  An empty *next: that was the last. */
int dirmove_ask_page(struct lister *l, struct dirmove_page *page,
		     struct dirmove_cursor *at, char **next);
/* Keys that are listed and not there leave the page.  Before anything is
 * locked. */
int dirmove_drop_behind(struct lister *l, struct dirmove_page *page,
			struct dirmove_cursor *at);

/* ---- list.c ---- */
/* List one page and give inodes to what is there.  later: only what is older
 * than the move (LIST had left it out).  1: more to come; 0: that was all.
 * After an error the cursor is good for another try. */
int dirmove_list_page(struct dirmove *m, bool later, struct dirmove_cursor *at,
		      uint64_t *found) __attribute__((warn_unused_result));

/* ---- relocate.c ---- */
void *relocate_main(void *export);	/* the thread, one each */

#endif
