/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_PAGE_H
#define NFSD_GATE_PAGE_H

/*
 * A page of ListObjectsV2 as entries of a directory: copied while the reply
 * is read, merged afterwards (scan.c).
 */

#include "nfsd/gate/gate_priv.h"

struct found {			/* one entry of a page, copied */
	char *name, *part;	/* the same, most of the time */
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
	uint64_t odd;
};

void found_free(struct found *f);
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

#endif
