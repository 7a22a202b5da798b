/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_STATE_STATE_H
#define NFSD_GATE_STATE_STATE_H

/*
 * What all rooms of the gate know: the gate, its exports, and by the headers
 * beside this one nodes, their data, their uploads, listings and threads; and
 * who may touch them when.  What is done with them is behind the doors of the
 * other rooms (docs/design.md, "Rooms of the gate").
 *
 * Locks, in the order in which they are taken:
 *	0. dirmoves.renames, over the rename of a directory
 *	1. directory locks (node_lock of directories), by inode number
 *	2. a file lock (node_lock of a file)
 *	3. node->mutex, held for moments, never over disk, SQLite or S3
 *	   (gate->links: after node locks, before mutexes; rows of new
 *	   links are found and committed under it)
 *	4. shard->mutex, gate->mutex, pool->mutex, timers.mutex,
 *	   dirmoves.mutex: leaves
 * node_lock is a flag with a queue, not a mutex: it may be held over a
 * SQLite transaction or a flush of the data file, never over S3.
 * Builds with fail points abort on what breaks this (mutex.h, node/lock.c);
 * a function named ..._locked begins with what must be held.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

/* What HASH_ADD had no memory for has no hh.tbl, and is in no table. */
#undef HASH_NONFATAL_OOM
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "meta/meta.h"
#include "nfsd/gate/clock.h"
#include "nfsd/gate/gate.h"
#include "nfsd/gate/state/data.h"
#include "nfsd/gate/state/files.h"
#include "nfsd/gate/state/listing.h"
#include "nfsd/gate/state/mutex.h"
#include "nfsd/gate/state/node.h"
#include "nfsd/gate/state/threads.h"
#include "nfsd/gate/state/upload.h"
#include "s3/s3.h"

#define MIB (1ULL << 20)
#define FILE_SIZE_MAX S3_OBJECT_MAX

/* Where writes go when their own offset is taken: past any file's end, below
 * the 16 TiB that ext4 allows (docs/design.md, "Data files"). */
#define OVERFLOW_START (8ULL << 40)

#define JOURNAL_WRITE_MAX (64U << 10)	/* bytes of one WRITE kept in SQLite */
#define JOURNAL_FILE_MAX (1U << 20)	/* ... and of one file */
#define LEASE_ALIVE_MAX_MS 300000	/* of a client that is connected */
#define FENCE_QUIET_MS 1000	/* without a late WRITE: see admit_looked */
#define SCAN_PAGE 1000		/* names that one LIST tells */
#define LAG_MAX_MS 600000	/* that a listing is behind what was done */
#define SMALL_FILE (64ULL << 10)	/* kept in memory and SQLite alone */
#define SMALL_FILES_MAX (32 * MIB)	/* memory for all of those */
#define SMALL_UPLOAD (16ULL << 20)	/* up to here a file is one PUT */

struct negative {			/* a name that S3 does not have */
	UT_hash_handle hh;
	uint64_t until_ms;		/* good for an answer until then */
	uint64_t removed_ms;		/* it was removed here; 0: not */
	size_t len;
	char key[];			/* parent number and name */
};

struct hidden {				/* a key that names nothing any more */
	UT_hash_handle hh;
	TAILQ_ENTRY(hidden) link;	/* while count is 0 */
	unsigned count;
	unsigned strays;		/* of those (change/indoubt_key.c) */
	uint64_t gone_ms;		/* when count became 0 */
	int64_t denied_ns;		/* HEAD does not know what is listed
					 * with this time */
	bool looked_at;			/* ... but it may be there */
	size_t len;
	char key[];			/* export number and key */
};

/* A client with live connections, as exports of one kind know it. */
struct identity {
	UT_hash_handle hh;
	int connections;
	uint64_t last_ms;		/* of a request that took a thread */
	char key[1 + META_CLIENT_MAX];	/* the kind, and who it is */
};

struct busy_key {			/* an S3 key in somebody's hands */
	UT_hash_handle hh;
	uint64_t owner;			/* inode, or row of a deletion */
	size_t len;
	char key[];
};

/* Deletions that are owed (keys/deletions.c); gate->mutex. */
struct deletes {
	struct deletion *by_id, *by_key;
	void (*run)(void *deletion);	/* one try: delete_run */
	struct deletion **heap;	/* those that wait, the soonest on top */
	size_t waiting, room;
	size_t places;		/* of those promised or given */
	unsigned running;
	unsigned waiters;	/* threads in delete_wait */
	unsigned failing;	/* have been tried */
	unsigned refused;	/* S3 says no to them */
	LIST_HEAD(, deletion) denied;	/* for long: dir/denied.c */
	int said;		/* the error that was told last, */
	uint64_t said_ms;	/* then, */
	unsigned unsaid;	/* and how often it was not since */
};

struct gate_export {
	LIST_ENTRY(gate_export) link;
	struct gate *gate;
	struct s3 *s3;
	struct gate_export_config c;	/* strings owned */
	uint32_t id;
	uint64_t root;
	uint64_t fsid;
	/* atomic */
	bool can_part_copy, can_put_if_none_match, can_put_if_match;
	bool can_complete_if_match, can_delete_if_match;
	uint64_t no_part_copy_ms;	/* not before then; atomic */
	uint64_t copy_max;	/* of one copy; larger ones go by parts */
	uint64_t mangled_keys;	/* components met that are no names; atomic */
	bool any_bytes;		/* keys need not be UTF-8 */
	bool unordered;		/* listings are not in the order of bytes;
				 * atomic */
	unsigned mangled;	/* characters, as in struct s3_caps; atomic */
	bool cold_met;		/* an archived object; atomic: dir/cold.c */
	struct schedule schedule;	/* of its uploads */
	/* dirmove/relocate.c; dirmoves.mutex */
	struct {
		pthread_t thread;
		bool started;
		uint64_t woken;		/* of dirmoves.wakes: seen by it */
		unsigned in_flight;	/* objects that it has sent off */
		uint64_t failed;	/* of those, since the pass began */
	} relocation;
	struct deletes deletes;
	struct {		/* upload/heal.c; g->mutex */
		bool ill;	/* also atomic */
		uint64_t pulse_ms, healed_ms;
		uint64_t pause_ms;	/* before the next time */
	} heal;
	struct {		/* again.c; g->mutex */
		bool running;
		int64_t from_ns, to_ns;	/* those whose time came between */
	} again;
	uint64_t active, pending;	/* handles, of g's; atomic */
	uint64_t nodes;		/* of g's; atomic */
	uint64_t staged_bytes;	/* of g's; atomic */
	/* Of g's; under gate->mutex, but for the last. */
	uint64_t memory_used;
	uint64_t memory_uploads;	/* of that */
	uint64_t memory_beyond;	/* the part that went beyond; 0: none */
	unsigned uploads_waiting;	/* for some */
	unsigned memory_wanted;	/* uploads and fetches that wait; atomic */
	/* data/quota.c, cache/quota_scan.c; atomic */
	int64_t used_bytes;
	uint64_t used_objects, quota_said_ms;
	pthread_t counter;
	bool counting;		/* there is that thread */
	/* abort.c */
	STAILQ_HEAD(, abort) aborts;
	pthread_t aborter;
	bool aborting;		/* there is that thread */
};

/* Directories on their way: keys/dirmoves.c, dirmove/dirmove.c. */
struct dirmoves {
	struct mutex mutex;		/* a leaf; guards what follows */
	pthread_cond_t changed;		/* a page, an end, work to relocate */
	LIST_HEAD(, dirmove) list;
	unsigned count, listing;	/* written under it, read without */
	uint64_t relocated;		/* objects, since the start */
	uint64_t wakes;			/* who relocates should look again */
	struct mutex renames;	/* one rename of a directory at a time;
					 * before all other locks */
	struct pool listers;
};

/* Of the database and the state directory: epoch.c. */
struct epoch {
	uint64_t id, count;	/* id 0: none */
};

struct epoch_row {		/* the database's, as it is written there */
	struct epoch now, before;
	int64_t at_ns;		/* wall clock */
};

struct gate {
	struct gate_config config;
	struct meta *meta;
	char *state_dir;
	int data_dir;			/* STATE_DIR/data */
	struct files files;		/* descriptors of what is in it */
	LIST_HEAD(, gate_export) exports;
	struct shard shards[SHARDS];
	struct pool transfers;		/* parts, fetches, HEADs */
	struct dirmoves dirmoves;
	struct known known;
	struct timers timers;
	struct run_clock clock;
	uint8_t fh_key[16];
	uint32_t generation;		/* if there is no random number */
	struct epoch_row epoch;
	struct epoch epoch_file;
	bool accepted;			/* they did not belong together */
	bool opened;			/* now they do */
	int64_t opened_ns;		/* when this run began; wall clock */
	bool promised;			/* committed since it went up; atomic */
	bool drc_rows;			/* some are on record from before */
	bool shadowed;			/* dir/mangle.c named files; atomic */
	struct mutex links;		/* who is the first of its link_id */

	struct mutex mutex;		/* guards what follows */
	uint8_t verifier[8];
	uint64_t refreshed_ms;	/* written under it, read without; atomic */
	struct negative *negatives;
	struct hidden *hidden;
	TAILQ_HEAD(, hidden) shown;	/* hidden until lately, oldest first */
	unsigned shown_count;
	struct busy_key *busy_keys;
	struct identity *identities;
	pthread_cond_t key_free;
	pthread_cond_t progress;	/* an upload or a deletion ended */
	unsigned deletes_pending;
	unsigned delete_waiters;	/* threads in delete_wait, all */
	unsigned setting_aside;		/* row committed, file not moved yet */
	LIST_HEAD(, indoubt) indoubt;		/* of all nodes */
	uint64_t memory_used;
	unsigned memory_beyond;	/* parts that went beyond memory_size: one */
	pthread_cond_t memory_free;
	pthread_cond_t quota_stop;	/* who rests is to end */
	bool stopping;			/* atomic */

	/* counters, by __atomic builtins */
	uint64_t staged_bytes, clean_bytes, small_bytes;
	uint64_t disk_limit, disk_looked_ms;
	uint64_t active, pending, uploading, held, nodes, handles;
	uint64_t invariant_failures, conflicts;
	uint64_t idle_shown, idle_flushed;	/* writer/silence.c */

	uint64_t audit_missing, audit_told;	/* of the audit alone */
	uint64_t audit_ms;	/* when it goes next; atomic */
	bool state_lost;		/* atomic: data/there.c */
};

static inline bool
text_begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* ---- extents.c ---- */
void extents_free(struct extents *m);
int extents_copy(const struct extents *from, struct extents *to)
	__attribute__((warn_unused_result));
/* Map [off, off + len) to at, over whatever lay there.  -ENOMEM: the map is
 * as it was. */
int extents_set(struct extents *m, uint64_t off, uint64_t len, uint64_t at);
/* Unmap a range.  -ENOMEM, which a cut up to the end of the map never is. */
int extents_cut(struct extents *m, uint64_t off, uint64_t len);
/* Room for so many changes: extents_set and extents_cut do not fail then. */
int extents_reserve(struct extents *m, size_t changes)
	__attribute__((warn_unused_result));
/* A new map: `over`, and what it does not cover of `below`.  Takes as long as
 * both have entries. */
int extents_over(const struct extents *below, const struct extents *over,
		 struct extents *out) __attribute__((warn_unused_result));
/* Index of the first extent that ends after off; count if none does. */
size_t extents_seek(const struct extents *m, uint64_t off);
/* The piece of the map at off: true and where it lies and how far it goes,
 * or false and how long the gap is (UINT64_MAX: no end). */
bool extents_at(const struct extents *m, uint64_t off, uint64_t *at,
		uint64_t *len);
/* Those within [off, off + len), added to `out`.  -ENOMEM. */
int extents_range(const struct extents *m, uint64_t off, uint64_t len,
		  struct extents *out) __attribute__((warn_unused_result));
uint64_t extents_bytes(const struct extents *m);
/* Of those within [off, off + len). */
uint64_t extents_bytes_in(const struct extents *m, uint64_t off,
			  uint64_t len);
/* Does any extent that lies at its own offset touch [off, off + len)? */
bool extents_in_place(const struct extents *m, uint64_t off, uint64_t len);

#endif
