/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_GATE_PRIV_H
#define NFSD_GATE_GATE_PRIV_H

/*
 * Inside of gate/: what a node is, who may touch it when, and what each file
 * does for the others.  It is longer than other files, as the map of the room:
 * who changes one part sees here what the rest relies on.  What only two files
 * share has a header of its own.
 *
 * Locks, in the order in which they are taken:
 *	0. moves.renames, over the rename of a directory
 *	1. directory locks (node_lock of directories), by inode number
 *	2. a file lock (node_lock of a file)
 *	3. node->mutex, held for moments, never over disk, SQLite or S3
 *	   (gate->links: after node locks, before mutexes; rows of new
 *	   links are found and committed under it)
 *	4. shard->mutex, gate->mutex, pool->mutex, timers.mutex,
 *	   moves.mutex: leaves
 * node_lock is a flag with a queue, not a mutex: it may be held over a
 * SQLite transaction or a flush of the data file, never over S3.
 */

#include <errno.h>
#include <pthread.h>
#include <sys/queue.h>

/* What HASH_ADD had no memory for has no hh.tbl, and is in no table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "meta/meta.h"
#include "nfsd/gate/clock.h"
#include "nfsd/gate/datafile.h"
#include "nfsd/gate/extents.h"
#include "nfsd/gate/gate.h"
#include "nfsd/gate/part.h"
#include "nfsd/gate/schedule.h"
#include "s3/s3.h"

#define SHARDS 16
#define MIB (1ULL << 20)
#define FILE_SIZE_MAX S3_OBJECT_MAX
/* Where writes go when their own offset is taken: past any file's end, below
 * the 16 TiB that ext4 allows (docs/design.md, "Data files"). */
#define OVERFLOW_START (8ULL << 40)
#define JOURNAL_WRITE_MAX (64U << 10)	/* bytes of one WRITE kept in SQLite */
#define JOURNAL_FILE_MAX (1U << 20)	/* ... and of one file */
#define LEASE_ALIVE_MAX_MS 300000	/* of a client that is connected */
#define FENCE_QUIET_MS 1000	/* no late WRITE for so long: see admit_looked */
#define SCAN_PAGE 1000		/* names that one LIST tells */
#define LAG_MAX_MS 600000	/* that a listing is behind what was done */
#define SMALL_FILE (64ULL << 10)	/* kept in memory and SQLite alone */
#define SMALL_FILES_MAX (32 * MIB)	/* memory for all of those */
#define SMALL_UPLOAD (16ULL << 20)	/* up to here a file is one PUT */

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
	char who[META_WHO_MAX];
};

/* Strict mode: who read lately. */
struct reader {
	LIST_ENTRY(reader) link;
	uint64_t until_ms;	/* a writer has to wait for it */
	uint64_t version;	/* that it reads until then: replaced, below */
	uint64_t refused_ms;	/* it waits for a writer since; 0: not */
	bool waits;		/* for an upload, */
	bool owed_error;	/* which has failed for good */
	char who[META_WHO_MAX];
};

/* An address that the writer has left. */
struct held_as {
	LIST_ENTRY(held_as) link;
	char who[META_WHO_MAX];
};

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
 * committed; hard ones are committed, by a COMMIT of a part or a stable WRITE
 * amid others, and wait for the rest; staged ones are a flushed version and
 * not in S3; clean ones are a copy of the base object.  A write never lands
 * on hard or staged bytes: somebody was promised those.
 */
struct data {
	struct data_file *file;	/* NULL: none */
	char *memory;		/* instead of a file, while it is small */
	uint64_t memory_len;
	bool suspect;		/* a flush failed: what only the journal has
				 * for sure has to be written once more */
	bool unlinked;		/* it has none any more */
	struct extents live, hard, staged, clean;
	struct extents filling;	/* places given out, bytes not there yet */
	/* places.c; here `off` is the place, `at` the range it is for */
	struct extents used;	/* given out of the overflow area */
	struct extents gone[2], held;	/* given up; somebody may look */
	size_t gap_next;	/* of `used`: where a gap was looked for */
	unsigned generation, readers[2];
	LIST_HEAD(, snapshot) snapshots;
	bool untidy;		/* the file may have more than the maps */
	uint64_t journal_bytes;	/* in SQLite */
	unsigned pins;		/* snapshots and readers at work, */
	unsigned writing;	/* WRITEs between place and live */
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

enum upload_run { UP_IDLE, UP_QUEUED, UP_RUNNING };

struct upload {
	struct meta_upload *row;	/* upload_row.c; NULL: nothing to say */
	int64_t since_ns;	/* wall clock, of the first change */
	unsigned attempts;
	bool pending;		/* S3 has to be told of something */
	enum upload_run run;
	TAILQ_ENTRY(node) queue;	/* schedule.c's, as the next two */
	bool queued;
	enum urgency urgency;
	bool cancel;		/* the running one should stop */
	bool keep;		/* ... goes on to its end, whoever writes */
	bool stopped;		/* the last one was, for its writer went on */
	bool kicked;		/* do not wait for the file to settle */
	bool wanted;		/* somebody waits for what is flushed now */
	bool recovered;		/* from before a crash: look first */
	LIST_HEAD(, lost) lost;	/* went out and had no answer (lost.h) */
	bool sent_rows;		/* some of them are on record */
	char *sent_key;		/* of the one under way */
	bool rowless;		/* pending for its object is carried: no row */
	bool by_carrier;	/* which wants to know when it has ended */
	uint64_t due_ms;	/* settle, or retry */
	uint64_t not_before_ms;	/* whoever kicks */
	uint64_t busy_ms;	/* waits for its key since; 0: it does not */
	uint64_t dirty_ms;	/* when the oldest unsent change was made */
	uint64_t begun_ms;	/* when the running one took its version, */
	uint64_t begun_content, begun_attr;	/* this one */
	uint64_t failing_ms;	/* first failure in a row; 0: none */
	unsigned refusals;	/* S3 said no so often, in a row, to this */
	uint64_t refused_version;	/* content_version; the first time */
	uint64_t refused_ms;	/* then */
	uint64_t bytes_total, bytes_sent;
	int64_t parts_ns;	/* when one by parts was begun last: our wall
				 * clock, after the answer */
	uint64_t expect_version;/* content_version of row->expect_etag */
	uint64_t plans;		/* changes begun that S3 is to hear of */
};

struct sweep {			/* inodes that are gone (sweep.c) */
	uint64_t *inos;
	size_t count, room;
};

/* The listing of a directory. */
struct scan {
	bool complete;		/* one has reached its last page */
	uint64_t fresh_ms;	/* when the last complete one began */
	uint64_t expired_ms;	/* no listing of before then is fresh */
	uint64_t count;		/* names it met */
	/* the one under way */
	char *prefix;		/* that it lists */
	bool running;
	bool stepping;		/* a thread asks for its next page */
	bool first;		/* nothing was known before it */
	bool changed;		/* names came or went by other hands */
	uint64_t start_ms, start_id, stepped_ms;
	char *token;
	char *at;		/* all up to here are checked; NULL: none */
	bool disorder;		/* pages do not follow each other */
	bool by_seen;		/* as was known before: see `seen` */
	uint64_t *seen;		/* ids of names met that are odd (sweep.c),
				 * or of all */
	size_t seen_count, seen_room;
	struct sweep gone;	/* missing where their page should have them */
};

/* How long the writer has sent nothing about the file: silence.h.  Times of
 * run_ms(). */
struct silence {
	struct meta_silence m;
	bool changed;		/* written since others were shown it */
};

struct change;

struct node {
	UT_hash_handle hh;		/* by ino */
	UT_hash_handle hh_name;		/* by namekey */
	TAILQ_ENTRY(node) lru;
	unsigned refs;			/* shard mutex */
	bool in_lru;
	struct gate_export *export;
	uint64_t ino;

	pthread_mutex_t mutex;		/* guards all below */
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
	uint64_t doubt, settled;	/* what was listed of it and is not
					 * what we know; HEAD agreed with us */
	uint64_t attr_version;		/* changes of attributes */
	uint64_t content_version;	/* changes of flushed bytes */
	uint64_t replaced;		/* times that S3's became ours */
	bool said_locked;		/* atomic: cold.c */
	uint64_t readable_ms;		/* its object was then: cold.c */
	uint64_t trunc_low;		/* smallest size since a snapshot */

	/* the writer, if state is not META_NONE */
	struct meta_handle h;
	uint64_t h_opened_ms, h_last_ms, lease_ms;	/* run_ms */
	bool settle_empty;		/* created, waits for create_settle */
	uint64_t live_size;
	int64_t live_mtime_ns;
	uint64_t uncommitted;		/* bytes, for show */
	LIST_HEAD(, held_as) held_as;	/* of which there may be a row yet */
	struct silence silence;
	struct shown *shown;		/* while it is ACTIVE, or NULL */

	char *reserved_who;		/* NULL: nobody */
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
	unsigned making;		/* sub-directories that are not on disk */
	bool unsure;			/* nor is it itself, and is locked */
	uint64_t tick_ms;		/* timer set for; 0: none */
	uint8_t watch_sees, watch_told;	/* watch.c */
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
	char who[META_WHO_MAX];
};

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
	unsigned strays;		/* of those (lost_place.c) */
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
	char key[1 + META_WHO_MAX];	/* the kind, and who it is */
};

struct busy_key {			/* an S3 key in somebody's hands */
	UT_hash_handle hh;
	uint64_t owner;			/* inode, or row of a deletion */
	size_t len;
	char key[];
};

struct shard {
	pthread_mutex_t mutex;
	struct node *nodes;		/* by ino */
	struct node *names;		/* by namekey */
	TAILQ_HEAD(, node) lru;		/* unused ones, oldest first */
	TAILQ_HEAD(, node) spare;	/* memory for the next ones */
	int spares;
	uint64_t evictions;
	unsigned count;
	/* known.c: inodes whose rows are about to go: not to be loaded until
	 * that is done */
	const uint64_t *leaving;
	size_t leaving_count;
	pthread_cond_t left;
};

/* Names that are remembered of the buckets: known.c. */
struct known {
	pthread_mutex_t mutex;		/* a leaf */
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

/* ---- pool.c ---- */

struct job {
	STAILQ_ENTRY(job) link;
	void (*run)(void *arg);
	void *arg;
};

/* Who goes first among the jobs of one owner. */
enum pool_rank {
	POOL_AWAITED,		/* a client waits for it */
	POOL_NEXT,		/* ... will, or S3 is owed it */
	POOL_RANKS
};

struct lane;
struct pool {
	pthread_mutex_t mutex;
	pthread_cond_t work_ready;
	LIST_HEAD(, lane) lanes;
	TAILQ_HEAD(, lane) turns;	/* those with a job that may run */
	unsigned per_lane;
	pthread_t *threads;
	unsigned count;
	unsigned sleeping, called;	/* threads; of those, signalled */
	bool stopping;
};

/* For what the database knows already, and memory has to: a moment, after which
 * there may be some.  No mutex is held. */
void memory_wait(void);

int pool_start(struct pool *pool, unsigned per_lane);
void pool_stop(struct pool *pool);	/* runs what is queued, then joins */
/* owner: an export, or NULL for what needs no store. */
int pool_add(struct pool *pool, const void *owner, enum pool_rank rank,
	     void (*run)(void *arg), void *arg);
/* Whoever waits for a job of the pool runs no other of it: test builds abort
 * if he does. */
#ifdef FAILPOINTS
void pool_may_wait(struct pool *pool);
#else
#define pool_may_wait(pool) ((void)(pool))
#endif

struct timer {
	uint64_t at_ms, ino;
};
#define TIMERS_FEW 16
struct timers {
	pthread_mutex_t mutex;
	pthread_cond_t sooner;
	struct timer *heap;
	size_t count, room;
	/* For which there was no memory; and when the first of those comes
	 * that had no place either.  0: none does. */
	struct timer few[TIMERS_FEW];
	unsigned few_count;
	uint64_t lost_ms;
	bool stopping, running;
	pthread_t thread;
	void (*fire)(void *arg, uint64_t ino);
	void *arg;
	struct run_clock *clock;	/* it sees that somebody looks */
};
int timers_start(struct timers *t, struct run_clock *clock,
		 void (*fire)(void *arg, uint64_t ino), void *arg);
/* The number of fire() when such a time has come: of whom is not known. */
#define TIMERS_LOST (UINT64_MAX - 1)
/* No more fire(); threads that still run may go on adding in vain. */
void timers_stop(struct timers *t);
void timers_free(struct timers *t);
/* Waits for nothing: mutexes may be held. */
void timers_add(struct timers *t, uint64_t at_ms, uint64_t ino);

/* Deletions that are owed (delete.c); gate->mutex. */
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
	unsigned denied;	/* for long: denied.c */
	int said;		/* the error that was told last, */
	uint64_t said_ms;	/* then, */
	unsigned unsaid;	/* and how often it was not since */
};

/* ---- gate.c ---- */

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
	uint64_t odd_keys;	/* parts met that are no names; atomic */
	bool any_bytes;		/* keys need not be UTF-8 */
	bool unordered;		/* listings are not in the order of bytes;
				 * atomic */
	unsigned mangled;	/* characters, as in struct s3_caps; atomic */
	bool cold_met;		/* an archived object; atomic: cold.c */
	struct schedule schedule;	/* of its uploads */
	/* carry.c; moves.mutex */
	struct {
		pthread_t thread;
		bool started;
		uint64_t woken;		/* of moves.wakes: seen by it */
		unsigned in_flight;	/* objects that it has sent off */
		uint64_t failed;	/* of those, since the pass began */
	} carrying;
	struct deletes deletes;
	struct {		/* heal.c; g->mutex */
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
	/* quota.c; atomic */
	int64_t used_bytes;
	uint64_t used_objects, quota_said_ms;
	pthread_t counter;
	bool counting;		/* there is that thread */
	/* abort.c */
	STAILQ_HEAD(, abort) aborts;
	pthread_t aborter;
	bool aborting;		/* there is that thread */
};

/* Directories on their way: move.h. */
struct moves {
	pthread_mutex_t mutex;		/* a leaf; guards what follows */
	pthread_cond_t changed;		/* a page, an end, work for carry.c */
	LIST_HEAD(, move) list;
	unsigned count, listing;	/* written under it, read without */
	uint64_t carried;		/* objects, since the start */
	uint64_t wakes;			/* carriers should look again */
	pthread_mutex_t renames;	/* one rename of a directory at a time;
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
	struct moves moves;
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
	bool replays;			/* some are on record from before */
	bool beside;			/* odd.c has named files; atomic */
	pthread_mutex_t links;		/* who is the first of its link_id */

	pthread_mutex_t mutex;		/* guards what follows */
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
	LIST_HEAD(, lost) lost;		/* of all nodes */
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
	uint64_t idle_shown, idle_flushed;	/* silence.c */

	uint64_t watch_kept, watch_told;	/* of the patrol alone */
	uint64_t watch_ms;	/* when it goes next; atomic */
	bool state_lost;		/* atomic: there.c */
};

uint32_t gate_generation(const struct gate *g);	/* of a new inode */
void gate_say(struct gate *g, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A background thread has nothing to do for so long, or until the end. */
void gate_rest(struct gate *g, uint64_t ms);
uint64_t clock_ms(void);	/* CLOCK_MONOTONIC */
/* What clients are held to: it stands while we do (clock.h).  Of it are all
 * times of writers, leases, reservations, refusals, fences and strict readers:
 * h_opened_ms, h_last_ms, lease_ms, reserved_until_ms, refused.*_ms,
 * reader.*_ms, fenced.refused_ms, identity.last_ms. */
uint64_t run_ms(struct gate *g);
int64_t clock_ns(void);		/* CLOCK_REALTIME */

/* ---- fail.c: crash and stall points, in test builds only ---- */
#ifdef FAILPOINTS
void failpoint(const char *name);
int64_t failpoint_clock_ns(void);	/* to add to the wall clock */
#else
#define failpoint(name) ((void)0)
#define failpoint_clock_ns() 0
#endif

/*
 * Each place where a request asks S3, or waits for a thread that does, stands
 * behind this: 0, or -EAGAIN with rq->again set.  It comes before the request
 * has changed anything, and never while a lock is held.
 */
static inline int
may_ask_store(struct gate_request *rq)
{
	if (rq->may_block && !rq->near)
		return 0;
	rq->again = GATE_NEEDS_STORE;
	return -EAGAIN;
}

/* ---- node.c; locks and timers in wait.c, attributes in view.c ---- */

/* By number, loaded if need be.  -ESTALE, -EAGAIN (may_block off). */
int node_get(struct gate *g, uint64_t ino, bool may_block, struct node **out)
	__attribute__((warn_unused_result));
/* Of these inodes, sorted by `ino % SHARDS`, those that are not in memory stay
 * at the front of the list, and out of memory until nodes_leave_end(). */
size_t nodes_leave(struct gate *g, uint64_t *inos, size_t count);
void nodes_leave_end(struct gate *g);
/* In memory only; NULL if it is not. */
struct node *node_find(struct gate *g, uint64_t ino);
/* By file handle: also checks export and generation. */
int node_from_fh(struct gate_export *x, struct gate_request *rq,
		 const struct gate_fh *fh, struct node **out)
	__attribute__((warn_unused_result));
/* The other way; takes the mutex. */
struct gate_fh node_fh(struct node *n);
/* In memory only, by name.  NULL if it is not. */
struct node *node_find_child(struct gate *g, uint64_t parent,
			     const char *name);
/* A new inode that SQLite has (or will have in the same breath).  locked: its
 * lock is the caller's from the start, so that nobody else becomes its first
 * writer. */
int node_add(struct gate_export *x, const struct meta_inode *row,
	     const struct meta_name *name, bool locked, struct node **out)
	__attribute__((warn_unused_result));
/* A change is about to make one that has to stay until S3 knows of it.  Are
 * there too many, and is the export's share of them taken?  -EAGAIN: let the
 * client come back. */
int node_room(struct gate_export *x, struct gate_request *rq)
	__attribute__((warn_unused_result));
void node_put(struct node **n);
struct node *node_ref(struct node *n);
/* Change what the tables know about its name.  Room for that name was made
 * before, while there was a way back. */
void node_rename(struct node *n, const struct meta_name *name);
int node_name_room(struct node *n, const struct meta_name *name)
	__attribute__((warn_unused_result));
void node_unname(struct node *n);	/* it has none any more */
/* The last component; "" for a root.  Copies under the mutex. */
void node_name(struct node *n, uint64_t *parent,
	       char name[META_NAME_MAX + 1]);

/* The file or directory lock.  -EAGAIN with rq->again set when it would
 * wait and must not. */
int node_lock(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));
void node_lock_wait(struct node *n);	/* background threads */
void node_unlock(struct node *n);
void node_unlock_locked(struct node *n);	/* mutex held */

/* Wake all who wait for this node.  Mutex held. */
void node_changed_locked(struct node *n);
/* Park the request until the node changes or until_ms.  Mutex held.
 * Returns -EAGAIN with rq->again set; without a token waits here, with the
 * mutex released meanwhile, and sets again = GATE_NEEDS_THREAD. */
int node_hold_locked(struct node *n, struct gate_request *rq,
		     uint64_t until_ms);
/* See that tick() runs at that time.  Mutex held. */
void node_tick_at_locked(struct node *n, uint64_t at_ms);
/* The same for a time of run_ms(). */
void node_tick_run_locked(struct node *n, uint64_t run_at_ms);
void node_tick(void *gate, uint64_t ino);

/* Was it removed?  Without the mutex, as it is now. */
static inline bool
node_dead(const struct node *n)
{
	return __atomic_load_n(&n->dead, __ATOMIC_ACQUIRE);
}

/* What this client may see.  Mutex held. */
void node_attr_locked(struct node *n, const struct gate_request *rq,
		      struct gate_attr *out);
void node_attr(struct node *n, const struct gate_request *rq,
	       struct gate_attr *out);
void wcc_before(struct node *n, const struct gate_request *rq,
		struct gate_wcc *wcc);
void wcc_after(struct node *n, const struct gate_request *rq,
	       struct gate_wcc *wcc);
bool node_is_local_locked(const struct node *n);	/* S3 lags behind it */
bool node_fresh(struct node *n);
void nodes_free(struct gate *g);

/* ---- who.c ---- */
void who_text(const struct gate_export *x, const struct gate_request *rq,
	      char out[META_WHO_MAX]);
/* Has it a connection?  who: as who_text(x) tells it. */
bool who_connected(const struct gate_export *x, const char *who);
/* It asks for something, whatever it is. */
void who_seen(struct gate *g, const struct gate_request *rq);
/* When it did last; 0: not known. */
uint64_t who_last_ms(const struct gate_export *x, const char *who);
/* Are there calls of it that nobody has answered or read, from before then?
 * No mutex is held. */
bool who_waits(const struct gate_export *x, const char *who,
	       uint64_t since_ms);
/* The holder is the same machine under an address that it has left: the
 * handle is this client's (rule.md 1).  Mutex held. */
bool who_moved_locked(const struct node *n, const struct gate_request *rq);
void who_free(struct gate *g);
/* Is the client the file's writer?  Mutex held. */
bool who_holds_locked(const struct node *n, const struct gate_request *rq);

/* ---- perm.c ---- */
enum { MAY_READ = 4, MAY_WRITE = 2, MAY_EXEC = 1 };
struct perm {			/* what decides, of one moment */
	int kind;		/* GATE_REG... */
	uint32_t mode, uid, gid;
};
struct perm perm_of(const struct meta_inode *i);
struct perm node_perm(struct node *n);	/* takes the mutex */
int node_kind(struct node *n);		/* takes the mutex */
bool perm_allows(const struct gate_request *rq, struct perm p, unsigned want);
bool perm_owner(const struct gate_request *rq, struct perm p);
/* The mode after it has written to the file: set-id bits go. */
uint32_t perm_mode_written(const struct gate_request *rq,
			   const struct meta_inode *i);
bool perm_in_group(const struct gate_request *rq, uint32_t gid);
/* May a name of dir be removed or replaced (sticky bit)?  0 or -errno */
int perm_remove(const struct gate_request *rq, struct perm dir,
		struct perm victim);

/* ---- path.c ---- */
/* The key that the node's name spells now; directories end in '/'; a root
 * is the prefix.  -ENAMETOOLONG past S3_KEY_MAX; for a child, -EINVAL for a
 * name that cannot be made (part.c). */
int path_key(struct node *n, char key[META_KEY_MAX + 2])
	__attribute__((warn_unused_result));
int path_child_key(struct node *dir, const char *name, bool is_dir,
		   char key[META_KEY_MAX + 2])
	__attribute__((warn_unused_result));
/* The same with a part of the key for a name. */
int path_part_key(struct node *dir, const char *part, bool is_dir,
		  char key[META_KEY_MAX + 2])
	__attribute__((warn_unused_result));
/* "/BUCKET/a/b", for people. */
void path_text(struct node *n, char *out, size_t size);
/* From such a text to the node, through memory, SQLite and S3. */
int path_walk(struct gate *g, const char *path, struct node **out)
	__attribute__((warn_unused_result));
/* Has it the form of a file name? */
bool path_name_ok(const char *name, size_t len);

void hidden_add(struct gate_export *x, const char *key);
void hidden_del(struct gate_export *x, const char *key);
/* Asks SQLite while directories are on their way. */
bool hidden_has(struct gate_export *x, const char *key);
/* Or it was at that time or since: what a listing tells that began then may
 * have been deleted. */
bool hidden_since(struct gate_export *x, const char *key, uint64_t since_ms);
bool hidden_any(struct gate *g);	/* lately; cheap */
/* Was it deleted by us some minutes ago, so that a listing that lags may still
 * tell of it?  *ask: or somebody else has put it there since, HEAD knows. */
bool hidden_lately(struct gate_export *x, const char *key, int64_t mtime_ns,
		   bool *ask);
/* What HEAD said then, or: it is there. */
void hidden_answer(struct gate_export *x, const char *key, int64_t mtime_ns,
		   bool there);
/* It named something until so long ago, before a restart perhaps: a listing
 * may lag. */
void hidden_was(struct gate_export *x, const char *key, uint64_t ms);
/* For hidden_below: since then, or as far back as listings lag. */
uint64_t hidden_lag_from(uint64_t since_ms);
/* All such keys below a prefix, without it; under gate->mutex. */
void hidden_below(struct gate_export *x, const char *prefix,
		  uint64_t since_ms,
		  void (*each)(void *arg, const char *below), void *arg);
/* But for keys that are hidden because nobody has looked at them yet. */
bool hidden_exactly(struct gate_export *x, const char *key);
/* But for those, too, where an upload without an answer may have left
 * something. */
bool hidden_for_good(struct gate_export *x, const char *key);
/* Was it deleted since then?  An answer that was asked for before may still
 * tell of it. */
bool hidden_gone_since(struct gate_export *x, const char *key,
		       uint64_t since_ms);
void hidden_stray(struct gate_export *x, const char *key, bool stray);
bool key_busy(struct gate_export *x, const char *key);
/* Only one transfer may change a key at a time; owner: the inode, or KEY_ROW
 * and the number of a row, for who is no file's.  Blocks.  -ENOMEM. */
#define KEY_ROW (1ULL << 63)
int key_take(struct gate_export *x, const char *key, uint64_t owner)
	__attribute__((warn_unused_result));
/* The same for threads of a pool, which must not wait for each other: parts
 * of the upload that has the key may be queued behind them. */
bool key_try(struct gate_export *x, const char *key, uint64_t owner);
/* Whose it is; 0: nobody's. */
uint64_t key_owner(struct gate_export *x, const char *key);
void key_release(struct gate_export *x, const char *key, uint64_t owner);
bool negative_has(struct gate *g, uint64_t parent, const char *name);
/* S3 was asked at asked_ms and had none. */
void negative_add(struct gate *g, uint64_t parent, const char *name,
		  uint64_t asked_ms, uint64_t until_ms);
void negative_del(struct gate *g, uint64_t parent, const char *name);
/* The name was removed here and now: an answer of S3 that is older must not
 * bring it back. */
void negative_removed(struct gate *g, uint64_t parent, const char *name,
		      uint64_t until_ms);
bool negative_removed_since(struct gate *g, uint64_t parent, const char *name,
			    uint64_t since_ms);

/* ---- odd.c: what has another name than its key says ---- */
/* Remember that a long part is only in the row.  -ENOMEM. */
int odd_note(struct gate_export *x, const char *key, struct meta_inode *i)
	__attribute__((warn_unused_result));
/* The part behind a name of this file or directory.  -EINVAL. */
int odd_part(struct node *n, const char *name, char part[PART_MAX + 1])
	__attribute__((warn_unused_result));
/* The part that a LONG name in the directory stands for; asks S3. */
int odd_find(struct node *dir, const char *name, char part[PART_MAX + 1])
	__attribute__((warn_unused_result));
/* A file that is listed: under which name?  One that had to step aside for
 * a directory gets its name back when that is gone.  The directory is
 * locked. */
int odd_file(struct node *dir, const char *part, char name[META_NAME_MAX + 1])
	__attribute__((warn_unused_result));
/* A directory that is listed: a file of its name steps aside.  Locked. */
int odd_dir(struct node *dir, const char *part, const char *name)
	__attribute__((warn_unused_result));
int odd_load(struct gate *g) __attribute__((warn_unused_result));

/* ---- object.c: S3 objects as inodes ---- */
/* Fill the parts of a row that an object tells. */
void object_to_inode(struct gate_export *x, const char *key,
		     const struct s3_object *o, struct meta_inode *i);
/* A directory that has no object of its own. */
void object_implicit_dir(struct gate_export *x, const char *key,
			 struct meta_inode *i);
/* Read the symlink's target into the row. */
int object_read_target(struct gate_export *x, struct meta_inode *i);
/* The same for one that a page of a listing told. */
void object_from_listing(struct gate_export *x, const char *key,
			 const struct s3_entry *e, struct meta_inode *i);
/* Its attributes were never read, though it is not quite S3's any more: it
 * bears another name here.  Mutex held. */
bool object_unread_locked(const struct node *n);
/* The attributes of a node whose object was only listed. */
int object_learn(struct node *n);
/* Headers the next version shall carry; in: what it carries now. */
int object_headers(struct gate_export *x, const struct meta_inode *i,
		   struct s3_headers *headers)
	__attribute__((warn_unused_result));

/* ---- offline.c: the store is away ---- */
/* Is it, and are clients answered without it?  Takes no lock. */
bool offline_now(const struct gate_export *x);
/* Did a question end so for the store's trouble, and may what is known stand
 * in for its answer? */
bool offline_failed(const struct gate_export *x, const struct gate_request *rq,
		    int r);
/* 0: its attributes are known; -EAGAIN with rq->again set. */
int offline_attr(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));
/* Are all names of the directory known?  Takes its mutex. */
bool offline_listed(struct node *dir);
/* A name that is not known here: -ENOENT, or -EAGAIN with rq->again set. */
int offline_absent(struct node *dir, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* ---- lookup.c ---- */
/* The child of a locked or unlocked directory; asks S3 if need be.  A
 * further name of a file (link.h) leads to the file; */
int lookup_child(struct node *dir, struct gate_request *rq, const char *name,
		 struct node **out) __attribute__((warn_unused_result));
/* ... here to the node that has the name itself, for who changes names. */
int lookup_entry(struct node *dir, struct gate_request *rq, const char *name,
		 struct node **out) __attribute__((warn_unused_result));
/* Make sure the node agrees with S3 as of attr_ttl ago. */
int lookup_refresh(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));
/* Attributes that a listing does not tell, with one HEAD.  They may stay
 * unknown. */
int lookup_learn(struct node *n);
/* A directory: HEAD of its own object, or a look at what is below it.
 * -ESTALE: it is gone. */
int lookup_refresh_dir(struct node *n, uint64_t asked_ms)
	__attribute__((warn_unused_result));
/* S3, asked at asked_ms, has another version of a clean file, or none: take
 * that over, unless the node was brought in step since. */
int lookup_adopt(struct node *n, const struct s3_object *o,
		 uint64_t asked_ms);
int lookup_vanish(struct node *n, uint64_t asked_ms);
/* The inode goes, whatever it was.  Its lock is held. */
int lookup_bury(struct node *n) __attribute__((warn_unused_result));
/* Memory, then SQLite, not S3. -ENOENT: neither; -EAGAIN: may not block. */
int lookup_known(struct node *dir, struct gate_request *rq, const char *name,
		 struct node **out) __attribute__((warn_unused_result));

/* ---- scan.c ---- */
/* One more page of a directory's listing, unless it is fresh.  1: there is
 * more, 0: the listing is complete and fresh. */
int scan_step(struct node *dir) __attribute__((warn_unused_result));
/* Make it complete and fresh if that is cheaper than asking for one name.
 * 1: it is, 0: ask for the name. */
int scan_if_small(struct node *dir) __attribute__((warn_unused_result));
bool scan_fresh(struct node *dir);
bool scan_known(struct node *dir);	/* listed whole before, small */
bool scan_small(struct node *dir);	/* ... or less small: ten pages */
bool scan_fresh_locked(struct node *dir);
/* A directory that was just made here: nothing is in it. */
void scan_set_empty_locked(struct node *dir);
/* It is to be listed anew when it is asked for next. */
void scan_expire(struct node *dir);
void scan_forget(struct node *dir);
/* Does S3 have anything below this directory, hidden keys aside?  0 no, 1 */
int scan_any(struct node *dir) __attribute__((warn_unused_result));
int scan_prefix_any(struct gate_export *x, const char *prefix)
	__attribute__((warn_unused_result));
/* The same, and an object of no bytes at the prefix itself is nothing. */
int scan_prefix_below(struct gate_export *x, const char *prefix)
	__attribute__((warn_unused_result));
/* As scan_prefix_any where only keys count that nobody here knows of. */
int scan_source_any(struct gate_export *x, const char *prefix)
	__attribute__((warn_unused_result));

/* Names of it are about to be forgotten: what it was listed for no longer
 * tells of those.  False: it is being listed, or was read after since_ms.  It
 * is locked. */
bool scan_unlearn(struct node *dir, uint64_t since_ms);
/* A reader of the directory begins: a listing that nobody has gone on with
 * for a while is not the one to join. */
void scan_begin(struct node *dir);
/* Has the listing under way (or a fresh one) passed this name? */
bool scan_passed(struct node *dir, const struct meta_name *name);

/* ---- subdirs.c: link counts of directories ---- */
/* A sub-directory comes to, or leaves, the directory of this row. */
void subdirs_more(struct meta_inode *row);
void subdirs_less(struct meta_inode *row);
/* Its listing has reached the end: count.  No lock is held. */
int subdirs_count(struct node *dir) __attribute__((warn_unused_result));
/* A node was found to be gone, by others' doing: if it was a directory,
 * its parent's next listing is due. */
void subdirs_gone(struct node *n);

/* ---- page.c ---- */
/* The store told a name behind one that it should follow.  From then on no
 * listing of the export is trusted to come in the order of bytes. */
void page_disorder(struct gate_export *x);
/* Does a listing that has this key with this time still tell of what we
 * deleted lately?  1: so it does.  looks: how often S3 was asked; from a few
 * dozen on it is not, and a key in doubt taken for gone.  NULL: always. */
int page_lags(struct gate_export *x, const char *key, int64_t mtime_ns,
	      unsigned *looks) __attribute__((warn_unused_result));
bool page_unordered(struct gate_export *x);

/* ---- sweep.c: names that a listing lacks ---- */
void sweep_free(struct sweep *s);
int sweep_add(struct sweep *s, uint64_t ino)
	__attribute__((warn_unused_result));
/* A name that is not the part of its key. */
bool sweep_odd(const struct gate_export *x, const char *name);
bool sweep_passed(const struct meta_name *name, const char *at);
/* Names of the directory between two places of a listing (upto NULL: its
 * end) that are older than start_id and not has(). */
int sweep_range(struct node *dir, const char *after, const char *upto,
		uint64_t start_id, bool (*has)(void *arg, const char *name),
		void *arg, struct sweep *out)
	__attribute__((warn_unused_result));

/* A name that the listing lacks.  What S3 was never told stays.  1: it went. */
int sweep_drop(struct gate *g, uint64_t ino, uint64_t start_ms)
	__attribute__((warn_unused_result));

/* ---- data.c ---- */
void data_init(struct data *d);
void data_fini(struct node *n);		/* closes; the file stays */
/* Mutex held.  make: the file if there is none, else -ENOENT.  -EAGAIN: not
 * now, there is no descriptor for it. */
int data_open_locked(struct node *n, bool make)
	__attribute__((warn_unused_result));
/* Find a place for len bytes at off; reserves it.  base: they come from S3
 * and must not lie where uncommitted ones do.  Mutex held. */
int data_place_locked(struct node *n, uint64_t off, uint64_t len, bool base,
		      uint64_t *at);
/* Write to the place.  Mutex held, released while a file is written. */
int data_put_locked(struct node *n, const void *buf, uint64_t len,
		    uint64_t at);
/*
 * Was a flush bad, or what the kernel wrote by itself?  Then uncommitted
 * bytes are dropped, and the write verifier tells clients to send them again;
 * copies of the base, which are fetched again; what only the journal has for
 * sure is written once more.  What a good flush had written is good.
 * The file lock is held, no mutex.  0, 1 something was lost just now, or what
 * keeps the journal's bytes out of the file.
 */
int data_mend(struct node *n) __attribute__((warn_unused_result));
/* From memory to a file.  Mutex held. */
int data_spill_locked(struct node *n);
/* The place is written: it becomes part of `live` or `clean`. */
int data_live_locked(struct node *n, uint64_t off, uint64_t len, uint64_t at);
/* To stable storage, all that was written before.  The file lock is held, no
 * mutex; blocks.  After an error uncommitted bytes may be gone (data_mend),
 * but for -EAGAIN: no descriptor, nothing was done. */
int data_sync(struct node *n) __attribute__((warn_unused_result));
/* It was not: the place is free again. */
void data_unplace_locked(struct node *n, uint64_t off, uint64_t len,
			 uint64_t at);
/* The hard map becomes part of the staged one.  Mutex held.  -ENOMEM. */
int data_publish_locked(struct node *n) __attribute__((warn_unused_result));
/* Where the last hard byte ends; 0: there is none. */
uint64_t data_hard_end(const struct data *d);
/* Cut what lies past size from every map.  Mutex held. */
int data_truncate_locked(struct node *n, uint64_t size);
void data_punch(struct node *n, uint64_t at, uint64_t len);
void data_drop_clean_locked(struct node *n);
/* This range of the copy is none any more.  Mutex held. */
void data_unclean_locked(struct node *n, uint64_t off, uint64_t len);
void data_drop_live_locked(struct node *n);
void data_remove_locked(struct node *n);	/* and the file */
/* The name of the file only: of a node that leaves the tables. */
void data_unlink(struct node *n);
/* Below STATE_DIR/data. */
void data_file_name(uint64_t ino, char out[32]);
/* The file is no longer this node's; who reads it may finish. */
void data_forget_file_locked(struct node *n);
void data_account_locked(struct node *n);
/* Close or shrink what is not needed.  Mutex held. */
void data_idle_locked(struct node *n);
/* All of [at, at + len) of a data file.  0 or -EIO, also where it is shorter.
 * Blocks on the disk; no mutex is held. */
int data_read_file(int fd, char *buf, uint64_t len, uint64_t at)
	__attribute__((warn_unused_result));
/* After a crash: bytes that only SQLite has. */
int data_replay(struct gate *g);
int data_clean_dir(struct gate *g);

/* ---- places.c: where bytes lie, and what is free; mutex held ---- */
/* This range of the file lies there no more, by one of the maps.  If it is so
 * by none, the place is free, at the latest when nobody is at it. */
void place_release_locked(struct node *n, uint64_t off, uint64_t at,
			  uint64_t len);
/* All of a map that is none any more; frees it. */
void place_release_all_locked(struct node *n, struct extents *old);
/* What it has where `over` lies. */
void place_release_below_locked(struct node *n, const struct extents *old,
				const struct extents *over);
/* extents_cut, extents_set, extents_free, with that. */
int place_cut_locked(struct node *n, struct extents *m, uint64_t off,
		     uint64_t len);
int place_set_locked(struct node *n, struct extents *m, uint64_t off,
		     uint64_t len, uint64_t at);
void place_drop_locked(struct node *n, struct extents *m);
/* From here to the end places that are in a map now keep their bytes. */
unsigned place_read_locked(struct node *n);
void place_unread_locked(struct node *n, unsigned generation);
struct snapshot;
void place_snapshot_locked(struct node *n, struct snapshot *s);
void place_snapshot_end_locked(struct node *n, struct snapshot *s);
/* Is a place below OVERFLOW_START given up, and not free yet? */
bool place_is_held(const struct node *n, uint64_t off, uint64_t len);
/* One above it.  -ENOSPC, -ENOMEM. */
int place_overflow_locked(struct node *n, uint64_t off, uint64_t len,
			  uint64_t *at) __attribute__((warn_unused_result));
/* The file is met for the first time, or is no more. */
int place_load_locked(struct node *n) __attribute__((warn_unused_result));
void place_forget_locked(struct node *n);
/* Punch what is in no map, if that may be (a crash, no memory). */
void place_tidy_locked(struct node *n);

enum piece_kind { PIECE_FILE, PIECE_BASE, PIECE_ZERO };
struct piece {
	enum piece_kind kind;
	uint64_t off, len, at;
	struct fetch *from;	/* of PIECE_BASE: it is here, or NULL */
};
/* What lies at off, as seen with or without uncommitted bytes; goes no
 * further than `end`.  Mutex held. */
void data_piece_locked(struct node *n, uint64_t off, uint64_t end, bool live,
		       struct piece *out);

/* ---- there.c ---- */
/* Has the state directory been taken away?  Looks, and says so. */
void there_look(struct gate *g);
bool there_is(const struct gate *g);	/* as of the last look */

/* ---- room.c ---- */
/* May so many bytes be staged for a file of the export that has `own` staged
 * already?  0,
 * -ENOSPC, or -EAGAIN (other uploads will make room, or room_make) */
int room_reserve(struct gate_export *x, uint64_t len, uint64_t own);
/* Is there more than there shall be, in the cache or on the disk? */
bool room_short(struct gate *g);
/* Drop clean bytes of files that nobody uses, until all fits.  No mutex is
 * held. */
void room_make(struct gate *g);

/* ---- fetch.c ---- */
/* A reader is at [off, off + len): fetch what it wants and what it will want.
 * Mutex held. */
void fetch_want_locked(struct node *n, uint64_t off, uint64_t len);
/* Bytes at off of the base are needed.  Mutex held, released while it waits.
 * 0 when something changed (look again), or a negative errno. */
/* Has that been so for too long to be a bad moment of the store? */
bool fetch_is_hopeless_locked(const struct node *n);
int fetch_wait_locked(struct node *n, uint64_t off, uint64_t end);
/* The same for a request that must not wait here: it is parked until they
 * have come.  -EAGAIN with rq->again set. */
int fetch_hold_locked(struct node *n, struct gate_request *rq, uint64_t off,
		      uint64_t end);
/* Bytes of the base that have come, and are not in the data file yet: makes a
 * PIECE_BASE one with `from`, perhaps shorter.  They stay as long as the mutex
 * is held, or from fetch_use_locked to fetch_done_locked, which puts what has
 * to be freed without the mutex into `gone`, for fetch_free.  taken: the READ
 * has them. */
void fetch_piece_locked(struct node *n, struct piece *p);
void fetch_use_locked(const struct piece *p);
void fetch_done_locked(const struct piece *p, bool taken,
		       struct fetch_list *gone);
void fetch_free(struct fetch_list *gone);
/* Memory for bytes of the base that go up again, from the same budget, half of
 * which the uploads of an export may have.  Waits, with no lock held and none
 * of it in hand. */
void fetch_memory_take(struct node *n, uint64_t bytes);
void fetch_memory_give(struct node *n, uint64_t bytes);
/* The same for who has no node. */
void fetch_memory_borrow(struct gate_export *x, uint64_t bytes);
void fetch_memory_return(struct gate_export *x, uint64_t bytes);
/* A READ begins, and ends: as long as one is under way, or parked for them,
 * bytes that could not be stored wait for it. */
void fetch_reader_locked(struct node *n);
void fetch_read_locked(struct node *n, struct fetch_list *gone);
/* Who is parked is woken, and comes again. */
void fetch_woken_locked(struct node *n);
/* Those that waited too long go.  When the next one does; 0: none is left. */
uint64_t fetch_tick_locked(struct node *n, uint64_t now,
			   struct fetch_list *gone);

/* ---- admit.c: the rule, applied ---- */

/* Be let in as writer.  On success the file lock is held and the handle is
 * ACTIVE in memory; its row goes into the caller's batch, or is posted.
 * -EAGAIN (rq->again says how), -EACCES, -EIO, -ESTALE. */
int admit_writer(struct node *n, struct gate_request *rq, const char *who)
	__attribute__((warn_unused_result));
/* Is there room for one more writer (max_handles)?  -EAGAIN, -ENOSPC. */
int admit_room(struct gate_export *x, struct gate_request *rq)
	__attribute__((warn_unused_result));
/*
 * A change that is no writing, of the file's name (REMOVE, RENAME) or of other
 * things (LINK, SETATTR of mode, owner and times): beside another's active
 * handle it waits as a WRITE does, until that is flushed, or counts as such.
 * The file lock is held.  -EAGAIN (rq->again says how), -EACCES: the writer
 * goes on after idle_flush_ms and a second.
 */
int admit_change(struct node *n, struct gate_request *rq, const char *who,
		 bool name) __attribute__((warn_unused_result));
/* Is an error owed to this client, or is it fenced?  Mutex held. */
int admit_check_locked(struct node *n, const char *who, bool commit);
/* The client has looked again: LOOKUP, ACCESS and the like (opens), or only
 * GETATTR, which counts once its late WRITEs have ceased. */
void admit_looked(struct node *n, const struct gate_request *rq, bool opens);
/* Is anybody fenced, or to be told of a failure? */
bool admit_owes(const struct node *n);
/* The reservation is over.  Mutex held. */
void admit_unreserve_locked(struct node *n);
/* The pending upload failed for good: who wrote and who waits is owed an
 * error, once.  Mutex held. */
void admit_failed_locked(struct node *n);
/* The handle has passed through DONE.  Mutex held. */
void admit_release_locked(struct node *n);
/* Its row goes, or stays as META_DONE: its writer has not heard that it was
 * flushed.  Mutex held. */
void admit_done_row_locked(const struct node *n, struct meta_batch *b);
/* Was it flushed without a word of this client, which may send its bytes once
 * more?  Mutex held. */
bool admit_has_lapsed(const struct node *n, const char *who);
/* It was, and has told by a COMMIT of all of the file that it will not.  Mutex
 * held, and the file lock if it holds the file: a row posted amid the end of
 * its upload would come after that, and outlive the handle. */
void admit_committed_locked(struct node *n, const char *who);
/* Who has to look again, for the batch that makes the bytes of another writer
 * durable: the rows were posted when he was let in.  Mutex held. */
void admit_rows_locked(const struct node *n, struct meta_batch *b);
/* Such a batch is on disk.  Mutex held. */
void admit_rows_written_locked(struct node *n);
/* A flushed handle of a file that owes S3 nothing is done: no upload will
 * come to end it.  Mutex held. */
void admit_settle_locked(struct node *n);
/* What the writer was let in for failed: it is not left active with nothing
 * to flush, in the way of others and of its own upload.  Mutex held. */
void admit_undo_locked(struct node *n);
/* The file goes, and its handle with it.  Mutex held. */
void admit_drop_locked(struct node *n);
/* Remember that this writer's time ran out, or that its upload was refused.
 * After fence_room_locked it cannot fail.  Mutex held. */
int fence_room_locked(struct node *n, const char *who)
	__attribute__((warn_unused_result));
int fence_locked(struct node *n, const char *who, enum meta_state state,
		 bool discarded);
/* A handle's state changes, with counters and invariants.  Mutex held. */
void handle_move_locked(struct node *n, enum meta_event event);

/* ---- read.c ---- */

/* One try.  rq->again as gate_read.  attr: of the same moment, or NULL. */
int read_node(struct node *n, struct gate_request *rq, uint64_t off,
	      void *buf, uint32_t len, uint32_t *got, bool *eof,
	      struct gate_attr *attr)
	__attribute__((warn_unused_result));

/* ---- commit.c, write.c ---- */

/* Make live bytes in [from, to) hard or, if no others are left, all staged: on
 * stable storage, with the handle's row and the upload's.  The file lock is
 * held.  journal: those bytes, few
 * enough to go through the database. */
int write_commit(struct node *n, uint64_t from, uint64_t to,
		 const void *journal, uint64_t journal_len)
	__attribute__((warn_unused_result));
/* Truncate or extend; row has the other changes of the same SETATTR. */
int write_resize(struct node *n, uint64_t size, struct meta_inode *row,
		 struct change *c) __attribute__((warn_unused_result));
/* Created, and nothing came: the empty file is what was meant. */
int write_settle_empty(struct node *n);
/* The writer's lease is over. */
int write_abandon(struct node *n);
/* The rows that make the staged map of [from, to) what it is in `now`. */
void write_extent_rows(struct meta_batch *b, uint64_t ino,
		       const struct extents *old, const struct extents *now,
		       uint64_t from, uint64_t to);
/* A failed flush of the data file: uncommitted bytes may be gone, and clients
 * are to know.  Mutex held. */
void write_lost_locked(struct node *n);

/* ---- upload.c ---- */
/* Something changes: see that S3 hears of it.  First the row, and true if
 * none is pending yet; then memory, when that is committed.  Who has a struct
 * change leaves both to it (change.h).  Mutex held. */
bool upload_plan_locked(struct node *n, int64_t since_ns,
			struct meta_batch *batch);
void upload_planned_locked(struct node *n, int64_t since_ns, bool fresh);
/* Set the time, or start now.  Mutex held. */
void upload_schedule_locked(struct node *n, bool now);
/* Somebody waits for the version that is flushed now: at once, also if its
 * writer goes on, and nothing stops it.  Mutex held. */
void upload_want_locked(struct node *n);
void upload_cancel_locked(struct node *n);
/* Its writer goes on.  What is under way goes on beside him, or is stopped, if
 * it was early.  Mutex held. */
void upload_outdate_locked(struct node *n);
void upload_run(void *node);	/* a pool's job; owns a reference */

/* ---- upload_row.c; mutex held ---- */
/* A new upload is pending. */
void upload_row_begin_locked(struct node *n, int64_t since_ns);
/* The row, to be filled in.  NULL: no memory. */
struct meta_upload *upload_row_locked(struct node *n);
/* All of it is over, or of an older version. */
void upload_row_drop_locked(struct node *n);
/* Into a batch, as it is. */
void upload_row_put_locked(struct node *n, struct meta_batch *b);
void upload_row_error_locked(struct node *n, const char *error);
/* After a restart: as it was, but for what was under way. */
void upload_row_recover_locked(struct node *n, const struct meta_upload *u);

/* ---- delete.c ---- */
/* How far the store's clock and ours may be apart. */
#define CLOCKS_NS (900 * 1000000000LL)
/* The ETag of a deletion of parts alone. */
#define DELETE_NOTHING "-"
/* Delete an object, after its row is committed.  What it takes is there
 * before, while there is a way back. */
struct deletion;
struct deletion *delete_new(struct gate_export *x);	/* NULL: no memory */
void delete_free(struct deletion *d);
void delete_run(void *deletion);	/* a pool's job */
/* Takes row->ours over. */
void delete_start(struct deletion *d, const struct meta_delete *row);
/* Give S3 a moment, so that what is removed is gone when `rm` returns. */
void delete_wait(struct gate_export *x, uint64_t id, uint64_t until_ms);
/* An upload to the key has ended, of a file that was removed meanwhile: this
 * is the object that is to go.  The key is still the caller's. */
void delete_refine(struct gate_export *x, const char *key, const char *etag);
/* The same of one without an answer: it may be this one as well. */
void delete_doubt(struct gate_export *x, const struct meta_sent *sent);
/* Abort the multipart uploads to the key that were begun between those times
 * (of our wall clock); nobody here is at one. */
int delete_parts(struct gate_export *x, const char *key, int64_t since_ns,
		 int64_t until_ns)
	__attribute__((warn_unused_result));
/* How many are to come that S3 has not said no to.  g->mutex held. */
unsigned deletes_due_locked(const struct gate *g);
/* Is one of this key still to come?  Then it waits for nothing below it. */
bool delete_pending(struct gate_export *x, const char *key);
void delete_tick(struct gate *g);	/* start those that are due */
void deletes_timer(struct gate *g);	/* set it for those that are not */
void deletes_free(struct gate_export *x);
uint64_t deletes_count(struct gate_export *x);
int deletes_each(struct gate *g,
		 int (*each)(void *arg, const struct gate_left_info *),
		 void *arg) __attribute__((warn_unused_result));

/* All that wait are due, but for those that S3 has refused for long.  No mutex
 * is held. */
void deletes_hurry(struct gate_export *x);

/* ---- heal.c ---- */
/* Something of the export failed: how long it is to wait.  A leaf. */
uint64_t heal_pause(struct gate_export *x, uint64_t wait_ms);
/* S3 has taken something.  No lock is held. */
void heal_over(struct gate_export *x);

/* ---- quota.c ---- */
int quota_start(struct gate_export *x) __attribute__((warn_unused_result));
void quota_stop(struct gate *g);
/* May a file grow from one size to the other?  -EDQUOT. */
int quota_allows(struct gate_export *x, uint64_t from, uint64_t to)
	__attribute__((warn_unused_result));
/* May it reach that far?  S3 has no holes: zeros are sent.  -EFBIG.  Mutex
 * held. */
int quota_hole_locked(const struct node *n, uint64_t end)
	__attribute__((warn_unused_result));
/* Sets live_size, and counts the difference.  Mutex held. */
void quota_size_locked(struct node *n, uint64_t size);

/* ---- known.c: how many names are remembered ---- */
int known_init(struct gate *g) __attribute__((warn_unused_result));
int known_start(struct gate *g) __attribute__((warn_unused_result));
void known_stop(struct gate *g);
void known_fini(struct gate *g);
/* Somebody had a use for this inode. */
void known_used(struct gate *g, uint64_t ino);
/* Somebody reads this directory. */
void known_read(struct gate *g, uint64_t ino);

/* ---- admin.c ---- */
/* As of when an answer counts that S3 was asked for at asked_ms: 0 if the
 * operator's refresh came since. */
uint64_t answer_ms(struct gate *g, uint64_t asked_ms);
/* Every node in memory, until each() returns other than 0. */
int each_node(struct gate *g, int (*each)(void *arg, struct node *n),
	      void *arg);

/* ---- quarantine.c ---- */
/* What says so was not refused by S3. */
#define KEPT_SILENT "its writer went silent"
#define KEPT_BACK "the database was put back, and its bytes are not there"
bool quarantine_is_refusal(const struct meta_quarantine *q);
/* Keep the staged bytes aside; the file falls back to what S3 has, and who
 * wrote or waits is owed an error.  The file lock is held. */
int quarantine_put(struct node *n, const char *error)
	__attribute__((warn_unused_result));
/* The same where the bytes are safe elsewhere, so that none are kept. */
int quarantine_fall_back(struct node *n) __attribute__((warn_unused_result));
int quarantine_recover(struct gate *g) __attribute__((warn_unused_result));
/* A row is there and its file is not, for a moment that begins, or is over. */
void quarantine_moving(struct gate *g, bool begins);
/* From STATE_DIR/data. */
void quarantine_file_name(uint64_t id, char out[64]);
#define QUARANTINE_DROPPED ".dropped"	/* after that: it is about to go */

/* ---- again.c: what is kept is tried again by itself ---- */
void again_tick(struct gate *g);	/* now and then, of one thread */

/* ---- kept.c: what the operator does with it ---- */
/* out NULL: is it there?  -ENOENT. */
/* gate_quarantine_retry; by_itself: nobody has asked for it, so that it is
 * done only where it can take nothing from anybody, and what S3 refused. */
int kept_retry(struct gate *g, uint64_t id, bool by_itself, char why[256])
	__attribute__((warn_unused_result));
int kept_find(struct gate *g, uint64_t id, struct meta_quarantine *out)
	__attribute__((warn_unused_result));

/* ---- abort.c: multipart uploads that a crash left in the bucket ---- */
/* One is to be aborted; its key is taken until that was tried. */
int abort_later(struct gate_export *x, uint64_t ino, const char *key,
		const char *upload_id, int64_t since_ns)
	__attribute__((warn_unused_result));
int abort_start(struct gate *g) __attribute__((warn_unused_result));
void abort_stop(struct gate *g);	/* after s3_cancel and quota_stop */

/* ---- recover.c: what a restart finds ---- */
int recover(struct gate *g) __attribute__((warn_unused_result));

/* ---- binding.c: which bucket an export's rows mean ---- */
/* May change x->id.  -EXDEV: refused, and told why. */
int binding_check(struct gate_export *x) __attribute__((warn_unused_result));
/* What its root is to be called. */
int export_root_number(struct gate_export *x, uint64_t *out)
	__attribute__((warn_unused_result));

/* ---- epoch.c: do database and data files belong together? ---- */
/* Before anything is touched.  -EUCLEAN: they do not. */
int epoch_check(struct gate *g) __attribute__((warn_unused_result));
int epoch_advance(struct gate *g) __attribute__((warn_unused_result));
void epoch_tick(struct gate *g);	/* now and then, of one thread */
/* Which file of which run of the machine the epoch is in: another one after
 * the directory was put back.  False: it cannot be told. */
#define EPOCH_MARK 96
bool epoch_mark(struct gate *g, char mark[EPOCH_MARK]);

/* ---- stray.c: files that the database does not explain ---- */
/* One goes to the quarantine, if it has any bytes. */
int stray_keep(struct gate *g, const char *path, const char *what)
	__attribute__((warn_unused_result));
int stray_keep_all(struct gate *g) __attribute__((warn_unused_result));
/* Is all of the committed maps in the data file?  strictly: also no hole,
 * which some file systems make of zeros. */
bool stray_bytes_there(struct node *n, bool strictly);

/* ---- absent.c: what is kept of exports that are not served ---- */
/* One line for each. */
int absent_say(struct gate *g) __attribute__((warn_unused_result));

#endif
