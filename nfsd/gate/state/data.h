/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_STATE_DATA_H
#define NFSD_GATE_STATE_DATA_H

/* A file's bytes on disk. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "meta/meta.h"

/*
 * A map from ranges of a file to places in its data file: sorted by `off`,
 * without overlap, neighbours that continue each other merged.  {0} is
 * empty.  The caller locks.
 */
struct extents {
	struct meta_extent *list;
	size_t count, room;
	uint64_t bytes;		/* of all */
};

#define CLEANUP_EXTENTS __attribute__((cleanup(extents_free)))

/* A range on its way from S3 into the data file. */
struct fetch {
	LIST_ENTRY(fetch) link;
	struct node *node;
	uint64_t off, len;
	char *buf;		/* all of it is here; NULL: S3 is at work */
	uint64_t given;		/* bytes that readers took of it */
	unsigned users;		/* readers that copy from it now */
	bool storing;		/* on its way to the data file */
	bool unstored;		/* which had no room for it, */
	unsigned awaited;	/* by so many READs that are parked: it stays */
	uint64_t until_ms;	/* ... no longer than that */
	bool gone;		/* out of the list: the last user frees it */
	char etag[META_ETAG_MAX];
};

LIST_HEAD(fetch_list, fetch);

#define STREAMS 4

struct stream {			/* a sequential reader */
	uint64_t next;		/* where it will go on */
	uint64_t window;	/* bytes to fetch ahead */
	uint64_t used_ms;
};

/*
 * Bytes on disk, one sparse file an inode.  Live extents are written and not
 * committed; durable ones are committed, by a COMMIT of a part or a stable
 * WRITE amid others, and wait for the rest; staged ones are a flushed version
 * and not in S3; clean ones are a copy of the base object.  A write never lands
 * on durable or staged bytes: somebody was promised those.
 */
struct data {
	struct data_file *file;	/* NULL: none */
	char *memory;		/* instead of a file, while it is small */
	uint64_t memory_len;
	bool suspect;		/* a flush failed: what only the journal has
				 * for sure has to be written once more */
	bool unlinked;		/* it has none any more */
	struct extents dirty, durable, staged, clean;
	struct extents filling;	/* places given out, bytes not there yet */
	/* data/places.c; here `off` is the place, `at` the range it is for */
	struct extents used;	/* given out of the overflow area */
	struct extents gone[2], held;	/* given up; somebody may look */
	size_t gap_next;	/* of `used`: where a gap was looked for */
	unsigned generation, readers[2];
	LIST_HEAD(, snapshot) snapshots;
	bool untidy;		/* the file may have more than the maps */
	uint64_t journal_bytes;	/* in SQLite */
	unsigned pins;		/* snapshots and readers at work, */
	unsigned writing;	/* WRITEs between place and dirty */
	uint64_t accounted_staged, accounted_clean;
	struct fetch_list fetches;
	bool storing;		/* a thread puts their bytes into the file */
	unsigned reading;	/* READs under way */
	uint64_t unstored_ms;	/* when that failed last; 0: never */
	int fetch_error;	/* of the last one that failed, negative */
	uint64_t fetch_failed_ms;
	uint64_t doubt_ms;	/* since then its bytes are refused, or come
				 * wrong; 0: they do not */
	uint64_t doubted_ms;	/* when they were last */
	struct stream streams[STREAMS];
};

enum piece_kind { PIECE_FILE, PIECE_BASE, PIECE_ZERO };

struct piece {
	enum piece_kind kind;
	uint64_t off, len, at;
	struct fetch *from;	/* of PIECE_BASE: it is here, or NULL */
};

/* One moment's bytes that were not flushed, over those that were.  The places
 * are not written over and not given up as long as it is there. */
struct shown {
	struct extents map;
	uint64_t size;
	int64_t mtime_ns, ctime_ns;
};

/*
 * One flushed version of a file, as it was when an upload began: its row and
 * a copy of its maps.  While it exists its places are not reused, so it can
 * be read without a lock, as often as needed, with the same bytes each time.
 */
struct snapshot {
	LIST_ENTRY(snapshot) link;	/* of its node's */
	struct node *node;
	struct meta_inode row;
	struct extents staged, clean;
	uint64_t attr_version, content_version;
	uint64_t plans;			/* changes that are in it */
	char key[META_KEY_MAX + 2];	/* where it goes */
	struct data_file *file;		/* open; NULL: none is needed */
	char *memory;			/* instead: a copy */
};

#endif
