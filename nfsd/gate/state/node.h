/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_STATE_NODE_H
#define NFSD_GATE_STATE_NODE_H

/* An inode in memory, the tables of them, and who of them was used lately. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* What HASH_ADD had no memory for has no hh.tbl, and is in no table. */
#undef HASH_NONFATAL_OOM
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "meta/meta.h"
#include "nfsd/gate/state/data.h"
#include "nfsd/gate/state/mutex.h"
#include "nfsd/gate/state/upload.h"

#define SHARDS 16

/* A request that waits for a node to change. */
struct waiter {
	TAILQ_ENTRY(waiter) link;	/* in the order in which they came */
	void *token;
	uint64_t until_ms;
};

/* A client that was refused on a file, or is owed an error. */
struct refused {
	LIST_ENTRY(refused) link;
	uint64_t first_ms, last_ms;
	bool owed_error;	/* the upload it waited for failed for good */
	bool change;		/* REMOVE and the like; else it would write */
	char who[META_CLIENT_MAX];
};

/* Strict mode: who read lately. */
struct reader {
	LIST_ENTRY(reader) link;
	uint64_t until_ms;	/* a writer has to wait for it */
	uint64_t version;	/* that it reads until then: replaced, below */
	uint64_t refused_ms;	/* it waits for a writer since; 0: not */
	bool waits;		/* for an upload, */
	bool owed_error;	/* which has failed for good */
	char who[META_CLIENT_MAX];
};

/* An address that the writer has left. */
struct held_as {
	LIST_ENTRY(held_as) link;
	char who[META_CLIENT_MAX];
};

/* How long the writer has sent nothing about the file (writer/silence.c).
 * Times of run_ms(). */
struct silence {
	struct meta_silence m;
	bool changed;		/* written since others were shown it */
};

struct node {
	UT_hash_handle hh;		/* by ino */
	UT_hash_handle hh_name;		/* by namekey */
	TAILQ_ENTRY(node) lru;
	unsigned refs;			/* shard mutex */
	bool in_lru;
	struct gate_export *export;
	uint64_t ino;

	struct mutex mutex;		/* guards all below */
	pthread_cond_t changed;
	pthread_cond_t unlocked;	/* one waiter may take the lock */
	bool locked;			/* the file or directory lock */
	bool dead;			/* removed: STALE */
	struct meta_inode i;		/* the row; what others see */
	/* Its name; "" for a root.  Guarded by the shard mutex as well. */
	uint64_t parent, name_id;
	char *namekey;			/* parent number and name */
	size_t namekey_len;
	char *next_namekey;		/* room for the next one */
	uint64_t checked_ms;		/* S3 agreed then */
	uint64_t doubt, doubt_done;	/* what was listed of it and is not
					 * what we know; HEAD agreed with us */
	uint64_t attr_version;		/* changes of attributes */
	uint64_t content_version;	/* changes of flushed bytes */
	uint64_t replaced;		/* times that S3's became ours */
	bool said_locked;		/* atomic: dir/cold.c */
	uint64_t readable_ms;		/* its object was then: dir/cold.c */
	uint64_t trunc_low;		/* smallest size since a snapshot */

	/* the writer, if state is not META_NONE */
	struct meta_handle h;
	uint64_t h_opened_ms, h_last_ms, lease_ms;	/* run_ms */
	bool flush_empty;		/* created, waits for create_settle */
	uint64_t writer_size;
	int64_t writer_mtime_ns;
	uint64_t uncommitted;		/* bytes, for show */
	LIST_HEAD(, held_as) held_as;	/* of which there may be a row yet */
	struct silence silence;
	struct shown *shown;		/* while it is ACTIVE, or NULL */

	char *reserved_client;		/* NULL: nobody */
	uint64_t reserved_until_ms;	/* run_ms */
	LIST_HEAD(, refused) refusals;
	LIST_HEAD(, reader) readers;
	TAILQ_HEAD(, waiter) waiters;
	LIST_HEAD(, fenced) fenced;

	struct data d;
	struct upload up;
	struct scan *scan;		/* directories */
	unsigned walkers;		/* READDIRs at it, */
	uint64_t read_ms;		/* and when the last one ended */
	uint64_t merges;		/* pages merged: names may be new */
	unsigned making;		/* sub-directories not on disk yet */
	bool unsure;			/* nor is it itself, and is locked */
	uint64_t tick_ms;		/* timer set for; 0: none */
	uint8_t audit_sees, audit_told;	/* audit.c */
};

/* A writer that must look again before it may write (rule.md 6), or be
 * told of a failed upload. */
struct fenced {
	LIST_ENTRY(fenced) link;
	enum meta_state state;		/* META_FENCED or META_FAILED */
	bool discarded;			/* its bytes are gone: COMMIT too */
	bool told;			/* of the failure, by a COMMIT */
	uint64_t refused_ms;		/* its last late WRITE, or its first
					 * word; 0: none yet */
	uint64_t content;		/* of the file, when another writer was
					 * let in; UINT64_MAX: none was */
	char who[META_CLIENT_MAX];
};

struct shard {
	struct mutex mutex;
	struct node *nodes;		/* by ino */
	struct node *names;		/* by namekey */
	TAILQ_HEAD(, node) lru;		/* unused ones, oldest first */
	TAILQ_HEAD(, node) spare;	/* memory for the next ones */
	int spares;
	uint64_t evictions;
	unsigned count;
	/* Inodes whose rows are about to go (dir/known.c): not to be loaded
	 * until that is done. */
	const uint64_t *leaving;
	size_t leaving_count;
	pthread_cond_t left;
};

/* Names that are remembered of the buckets: dir/known.c. */
struct known {
	struct mutex mutex;		/* a leaf */
	uint64_t *lately, *before;	/* who was used: bits by inode number */
	size_t words;
	uint64_t marked, marks_max;	/* in lately */
	/* Directories that were read, the same way; by time. */
	uint64_t *read_lately, *read_before;
	uint64_t read_turned_ms;
	/* the thread's alone */
	uint64_t at;			/* looked at up to this name */
	uint64_t round, unbroken;	/* gone in this one; rounds of none */
	pthread_t thread;
	bool started;
	uint64_t started_ms;
	uint64_t forgotten;		/* since the start; atomic */
};

#endif
