/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_GATE_H
#define NFSD_GATE_GATE_H

/*
 * gate: the file system over S3.  The one place where meta (SQLite) and s3
 * meet, and the only door for the procedures in nfsd/.  Functions have the
 * shape of RFC 1813's procedures, without XDR types.
 *
 * Results are 0 or a negative errno; nfsd/status.c maps them to nfsstat3.
 * -ESTALE is a handle whose file is gone, -EBADF a handle that is none,
 * -EAGAIN "not yet": request->again tells what to do.  Outputs are written on
 * success only, but for `struct gate_wcc` and the attributes of a directory,
 * which are filled as far as known in any case (RFC 1813 2.6).
 *
 * A function may be called with may_block off (an event thread): then it
 * waits for no disk flush, no S3 and no other request, and answers -EAGAIN
 * with again = GATE_NEEDS_THREAD before it has done anything when it would
 * have to.  Called anew with may_block on, it does the whole work; but with
 * `near` set as well it waits for this machine alone, and answers -EAGAIN
 * with again = GATE_NEEDS_STORE before it has done anything when it would
 * have to ask S3, or to wait for somebody who does.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gate;
struct gate_export;
struct meta;
struct s3;
struct s3_caps;

#define GATE_NAME_MAX 255	/* bytes of one name */
#define GATE_PATH_MAX 1024	/* bytes of a symlink's target */
#define GATE_IO_MAX (1U << 20)	/* bytes of one READ or WRITE */

/* ftype3 of RFC 1813 2.6; the numbers are the same. */
enum gate_kind {
	GATE_REG = 1, GATE_DIR, GATE_BLK, GATE_CHR, GATE_LNK, GATE_SOCK,
	GATE_FIFO
};

struct gate_attr {		/* fattr3 */
	enum gate_kind kind;
	uint32_t mode;		/* 07777 */
	uint32_t nlink;
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint64_t size, used;	/* bytes */
	uint64_t fsid;		/* one for each export, stable */
	uint64_t fileid;	/* the inode number */
	int64_t atime_ns, mtime_ns, ctime_ns;	/* since the epoch */
};

struct gate_wcc {		/* wcc_data; post_op_attr uses `after` only */
	bool has_before, has_after;
	struct gate_attr before;	/* size, mtime_ns, ctime_ns are set */
	struct gate_attr after;
};

/* What a file handle names; nfsd/fh.c packs, signs and unpacks it. */
struct gate_fh {
	uint64_t ino;
	uint32_t generation;
};

/* Who writes: rule.md 1.  Not the uid, not the port. */
struct gate_client {
	char name[256];		/* AUTH_SYS machine name, "" if none */
	struct in6_addr addr;	/* IPv4 as ::ffff:a.b.c.d */
};

#define GATE_GROUPS_MAX 16

struct gate_cred {		/* after squashing */
	uint32_t uid, gid;
	unsigned group_count;
	uint32_t groups[GATE_GROUPS_MAX];
};

/* How to go on after -EAGAIN. */
enum gate_again {
	GATE_AGAIN_NONE,
	GATE_NEEDS_THREAD,	/* call again with may_block on */
	GATE_NEEDS_STORE,	/* call again with may_block on, near off */
	GATE_HOLD,		/* parked: wake(token) comes exactly once, when
				 * something changed or time is up; call again
				 * then.  The gate holds no thread for it. */
	GATE_JUKEBOX		/* answer NFS3ERR_JUKEBOX; do not cache */
};

/* Identifies a non-idempotent request across a restart (rule.md 8). */
struct gate_drc_entry {
	uint8_t key[16];	/* hash of identity, xid, procedure, args */
	uint32_t procedure;
};

/*
 * One request.  The caller fills it, anew for each attempt but for
 * first_ms and token, and keeps it until the call returns (until wake()
 * when it was parked).
 */
struct gate_request {
	struct gate_client who;
	struct gate_cred cred;
	bool readonly;		/* the export is, for this client */
	bool may_block;
	bool near;		/* may wait for this machine, not for S3 */
	uint64_t first_ms;	/* CLOCK_MONOTONIC, arrival of the request */
	void *token;		/* for wake(); NULL: never parked, the gate
				 * waits in the thread if may_block */
	const struct gate_drc_entry *drc;	/* or NULL */
	enum gate_again again;	/* out */
	uint64_t own;		/* the gate's, 0 at first; stays from attempt
				 * to attempt, like first_ms */
};

/* ---- settings ---- */

enum gate_busy { GATE_BUSY_WAIT, GATE_BUSY_FAIL };
enum gate_reads { GATE_READS_FLUSHED, GATE_READS_LIVE, GATE_READS_REFUSE };
enum gate_abandon {
	GATE_ABANDON_PUBLISH, GATE_ABANDON_QUARANTINE, GATE_ABANDON_DISCARD
};
enum gate_conflict {
	GATE_CONFLICT_KEEP_BOTH, GATE_CONFLICT_FAIL, GATE_CONFLICT_OVERWRITE
};
enum gate_dialect { GATE_META_AWS, GATE_META_S3FS, GATE_META_NONE };
enum gate_rebind { GATE_REBIND_NO, GATE_REBIND_SAME, GATE_REBIND_OTHER };
enum gate_identity { GATE_ID_NAME_ADDR, GATE_ID_NAME, GATE_ID_ADDR };

struct gate_export_config {	/* rule.md 14 has the defaults */
	const char *name;	/* "/BUCKET" */
	const char *prefix;	/* of every key, "" or "a/b/" */
	const char *place;	/* of the bucket, in words: URL, prefix and
				 * endpoint; NULL: it is always the same */
	enum gate_rebind rebind;	/* if the name had another */
	bool commit_s3;
	bool strict;
	bool offline_serve;	/* answer from what is known while S3 is away */
	enum gate_busy busy;
	enum gate_reads reads;
	enum gate_abandon abandon;
	enum gate_conflict on_conflict;
	enum gate_dialect metadata;
	enum gate_identity identity;
	uint64_t settle_ms, create_settle_ms, supersede_quiet_ms, hold_ms;
	uint64_t busy_limit_ms, reserve_ms, lease_ms, attr_ttl_ms;
	uint64_t idle_visible_ms, idle_flush_ms;	/* 0: never */
	uint64_t max_dirty_age_ms;
	uint64_t upload_retry_ms;	/* failures, then who waits is told */
	uint64_t refuse_grace_ms;	/* refusals, then quarantine; 0: at the
					 * first one */
	uint64_t quarantine_retry_ms;	/* then it is tried anew; 0: never */
	uint64_t max_handles;
	uint64_t abort_uploads_ms;	/* age of multipart uploads that are
					 * given up; 0: any */
	uint64_t quota_bytes;	/* 0: none */
	uint64_t max_hole;	/* zeros of a file that nobody wrote; 0: any */
	uint32_t file_mode, dir_mode, uid, gid;	/* where metadata is absent */
	uint32_t top_mode;	/* of a new export's root; 0: dir_mode */
	uint64_t part_size;	/* bytes of a part to begin with; 8 MiB */
	bool equal_parts;	/* the store wants parts of one size */
};

struct run_clock;	/* clock.h */

struct gate_config {
	const char *state_dir;
	uint64_t cache_size;	/* bytes on disk, staged and clean */
	uint64_t memory_size;	/* bytes of buffers in flight */
	unsigned transfer_threads;	/* S3 requests of an export in flight */
	unsigned max_nodes;	/* inodes kept in memory */
	uint64_t max_names;	/* remembered in the database; 0: any number */
	uint64_t names_idle_ms;	/* those of a directory that was read stay for
				 * so long; 0: ten minutes */
	unsigned max_files;	/* data files kept open; 0: 1024 */
	/* GATE_HOLD is over.  Any thread; must not call back into gate. */
	void (*wake)(void *wake_arg, void *token);
	/*
	 * Has a client (gate_client_is) calls that came before since_ms of
	 * gate_clock() and have no answer, or that nobody has read?  Then it
	 * is not silent.  Asked before a lease ends, with no mutex held; may
	 * call gate_client_is alone.  NULL: never.
	 */
	bool (*waits)(void *wake_arg, enum gate_identity identity,
		      const char *who, uint64_t since_ms);
	/*
	 * For how long, by gate_clock(), calls of a client may lie unread: 0
	 * when all that arrived was handed over.  Asked when a writer seems to
	 * be silent, with a mutex held; may call gate_client_is alone.  NULL:
	 * never.
	 */
	uint64_t (*unread_ms)(void *wake_arg, enum gate_identity identity,
			      const char *who);
	void *wake_arg;
	/* level as in s3.h: 0 error .. 3 debug */
	void (*log)(void *log_arg, int level, const char *line);
	void *log_arg;
	/* Go on with a database that is not that of the data files. */
	bool accept_state;
	char *why;		/* NULL, or where people are told why gate_open
				 * gives -EUCLEAN, gate_export_add -EXDEV;
				 * lives as long as the gate */
	size_t why_size;
};

/* ---- life ---- */

/*
 * Start on an open meta, which stays the caller's and outlives the gate.
 * Replays what a crash left: journal, uploads in each phase, handles.
 * -EUCLEAN: database and data files do not belong together; nothing was
 * touched.
 */
int gate_open(const struct gate_config *config, struct meta *meta,
	      struct gate **out) __attribute__((warn_unused_result));

/*
 * Add an export over an open bucket (the caller's, outlives the gate).
 * Exports are not removed while the gate is open.  *out is the gate's.
 * -EXDEV: the name is owing to another bucket; gate_config.why has the words.
 */
int gate_export_add(struct gate *gate, const struct gate_export_config *config,
		    struct s3 *s3, struct gate_export **out)
	__attribute__((warn_unused_result));

/* What s3_probe found, whenever it did; until then nothing is relied on. */
void gate_export_caps(struct gate_export *export, const struct s3_caps *caps);

/* Its bucket is back: what has failed meanwhile is tried at once. */
void gate_export_back(struct gate_export *export);

/* Begin background work, after all exports are there. */
int gate_start(struct gate *gate) __attribute__((warn_unused_result));

/* Upload what can be uploaded within timeout_ms.  0, or -ETIMEDOUT. */
int gate_drain(struct gate *gate, uint64_t timeout_ms)
	__attribute__((warn_unused_result));

/* Stop threads, mark a clean shutdown, free.  No calls may be under way. */
void gate_close(struct gate **gate);

/* Stable number of an export, for file handles; same after a restart. */
uint32_t gate_export_id(const struct gate_export *export);
/* The key that file handles are signed with, kept in the state directory. */
void gate_fh_key(struct gate *gate, uint8_t key[16]);

/* Write verifier (RFC 1813 3.3.7): one for the server, rule.md 9. */
void gate_verifier(struct gate *gate, uint8_t verf[8]);

/* ---- the procedures ---- */

int gate_root(struct gate_export *export, struct gate_fh *out);
/* Its numbers follow from the export's name alone, and so may its handle. */
bool gate_root_is_named(const struct gate_export *export);

int gate_getattr(struct gate_export *export, struct gate_request *rq,
		 const struct gate_fh *fh, struct gate_attr *out)
	__attribute__((warn_unused_result));

enum gate_time { GATE_TIME_KEEP, GATE_TIME_SERVER, GATE_TIME_CLIENT };

struct gate_setattr {		/* sattr3 */
	bool set_mode, set_uid, set_gid, set_size;
	uint32_t mode, uid, gid;
	uint64_t size;
	enum gate_time atime_how, mtime_how;
	int64_t atime_ns, mtime_ns;
};

/* guard_ctime_ns: NULL, or the ctime the client expects (-EREMCHG, which
 * is NFS3ERR_NOT_SYNC). */
int gate_setattr(struct gate_export *export, struct gate_request *rq,
		 const struct gate_fh *fh, const struct gate_setattr *set,
		 const int64_t *guard_ctime_ns, struct gate_wcc *wcc)
	__attribute__((warn_unused_result));

/* name is NUL-terminated and at most GATE_NAME_MAX bytes, or the answer is
 * -ENAMETOOLONG; "." and ".." are answered.  dir_attr->has_after tells. */
int gate_lookup(struct gate_export *export, struct gate_request *rq,
		const struct gate_fh *dir, const char *name,
		struct gate_fh *out, struct gate_attr *attr,
		struct gate_wcc *dir_attr) __attribute__((warn_unused_result));

/* want and *granted: ACCESS3_* bits of RFC 1813 3.3.4. */
int gate_access(struct gate_export *export, struct gate_request *rq,
		const struct gate_fh *fh, uint32_t want, uint32_t *granted,
		struct gate_attr *attr) __attribute__((warn_unused_result));

int gate_readlink(struct gate_export *export, struct gate_request *rq,
		  const struct gate_fh *fh, char target[GATE_PATH_MAX + 1],
		  struct gate_attr *attr) __attribute__((warn_unused_result));

/*
 * Read up to len bytes into buf.  *got is less than len only at the end of
 * the file (*eof), never in its middle.
 */
int gate_read(struct gate_export *export, struct gate_request *rq,
	      const struct gate_fh *fh, uint64_t off, void *buf, uint32_t len,
	      uint32_t *got, bool *eof, struct gate_attr *attr)
	__attribute__((warn_unused_result));

/* stable_how of RFC 1813 3.3.7; the numbers are the same. */
enum gate_stable { GATE_UNSTABLE, GATE_DATA_SYNC, GATE_FILE_SYNC };

/* data is read during the call only.  *reached: the stability reached. */
int gate_write(struct gate_export *export, struct gate_request *rq,
	       const struct gate_fh *fh, uint64_t off, const void *data,
	       uint32_t len, enum gate_stable stable,
	       enum gate_stable *reached, struct gate_wcc *wcc)
	__attribute__((warn_unused_result));

/* off 0, count 0: the whole file (RFC 1813 3.3.21). */
int gate_commit(struct gate_export *export, struct gate_request *rq,
		const struct gate_fh *fh, uint64_t off, uint32_t count,
		struct gate_wcc *wcc) __attribute__((warn_unused_result));

enum gate_how { GATE_UNCHECKED, GATE_GUARDED, GATE_EXCLUSIVE }; /* createhow3 */

int gate_create(struct gate_export *export, struct gate_request *rq,
		const struct gate_fh *dir, const char *name,
		enum gate_how how, const struct gate_setattr *set,
		const uint8_t verf[8], struct gate_fh *out,
		struct gate_attr *attr, struct gate_wcc *dir_wcc)
	__attribute__((warn_unused_result));

int gate_mkdir(struct gate_export *export, struct gate_request *rq,
	       const struct gate_fh *dir, const char *name,
	       const struct gate_setattr *set, struct gate_fh *out,
	       struct gate_attr *attr, struct gate_wcc *dir_wcc)
	__attribute__((warn_unused_result));

int gate_symlink(struct gate_export *export, struct gate_request *rq,
		 const struct gate_fh *dir, const char *name,
		 const char *target, const struct gate_setattr *set,
		 struct gate_fh *out, struct gate_attr *attr,
		 struct gate_wcc *dir_wcc) __attribute__((warn_unused_result));

/* kind: BLK, CHR, SOCK or FIFO, else -EPROTOTYPE.  Devices are for root. */
int gate_mknod(struct gate_export *export, struct gate_request *rq,
	       const struct gate_fh *dir, const char *name,
	       enum gate_kind kind, uint32_t major, uint32_t minor,
	       const struct gate_setattr *set, struct gate_fh *out,
	       struct gate_attr *attr, struct gate_wcc *dir_wcc)
	__attribute__((warn_unused_result));

int gate_link(struct gate_export *export, struct gate_request *rq,
	      const struct gate_fh *fh, const struct gate_fh *dir,
	      const char *name, struct gate_attr *attr,
	      struct gate_wcc *dir_wcc) __attribute__((warn_unused_result));

int gate_remove(struct gate_export *export, struct gate_request *rq,
		const struct gate_fh *dir, const char *name,
		struct gate_wcc *dir_wcc) __attribute__((warn_unused_result));

int gate_rmdir(struct gate_export *export, struct gate_request *rq,
	       const struct gate_fh *dir, const char *name,
	       struct gate_wcc *dir_wcc) __attribute__((warn_unused_result));

int gate_rename(struct gate_export *export, struct gate_request *rq,
		const struct gate_fh *from_dir, const char *from_name,
		const struct gate_fh *to_dir, const char *to_name,
		struct gate_wcc *from_wcc, struct gate_wcc *to_wcc)
	__attribute__((warn_unused_result));

struct gate_dirent {
	uint64_t fileid;
	uint64_t cookie;	/* pass it to go on after this entry */
	const char *name;	/* valid during the callback */
	struct gate_fh fh;	/* with plus only: */
	bool has_attr;
	struct gate_attr attr;
};

/*
 * Entries after cookie (0: from the start; "." and ".." come first).
 * emit() returns nonzero when the entry does not fit: the walk ends, *eof is
 * false.  cookieverf is in and out; a foreign one is ignored, since
 * cookies are durable.  plus: fill fh and, where known or found with
 * requests that run side by side, attr.  At most `limit` entries (0: none).
 */
int gate_readdir(struct gate_export *export, struct gate_request *rq,
		 const struct gate_fh *dir, uint64_t cookie,
		 uint8_t cookieverf[8], bool plus, unsigned limit,
		 int (*emit)(void *arg, const struct gate_dirent *entry),
		 void *arg, bool *eof, struct gate_wcc *dir_attr)
	__attribute__((warn_unused_result));

struct gate_fsstat {		/* bytes and files, FSSTAT3resok */
	uint64_t total_bytes, free_bytes, avail_bytes;
	uint64_t total_files, free_files, avail_files;
};
int gate_fsstat(struct gate_export *export, struct gate_request *rq,
		const struct gate_fh *fh, struct gate_fsstat *out,
		struct gate_attr *attr) __attribute__((warn_unused_result));

/* After a restart: the outcome of a request with this key, if it had been
 * carried out less than two minutes ago.  0 with the file it made (ino 0 if
 * it made none), -ENOENT if it is not known. */
int gate_drc_find(struct gate *gate, const uint8_t key[16],
		  struct gate_fh *made)
	__attribute__((warn_unused_result));

/* A MNT or a new connection from who: shortens leases (rule.md 1). */
void gate_client_hint(struct gate *gate, const struct gate_client *who);
/* Live connections of who, +1 or -1 (address changes, rule.md 1). */
void gate_client_connected(struct gate *gate, const struct gate_client *who,
			   int delta);
/* Is that the client which such an export knows as `text`? */
bool gate_client_is(enum gate_identity identity, const struct gate_client *who,
		    const char *text);

/* By which clients are measured (clock.h).  The gate's. */
struct run_clock *gate_clock(struct gate *gate);

/* ---- what s3nfsctl shows and does ---- */

struct gate_handle_info {
	const char *path;	/* "/BUCKET/dir/file" */
	const char *client;	/* "name@addr" */
	const char *state;	/* "ACTIVE", "FLUSHED", ... */
	uint64_t uncommitted_bytes, staged_bytes, age_ms;
	/* ACTIVE: its writer has sent nothing for so long, and counts as
	 * having flushed in so long (-1: never).  Others are shown it. */
	uint64_t silent_ms;
	int64_t flushed_in_ms;
	bool shown;
};
/* path NULL: all.  Strings are valid during the callback. */
int gate_each_handle(struct gate *gate, const char *path,
		     int (*each)(void *arg, const struct gate_handle_info *),
		     void *arg) __attribute__((warn_unused_result));

struct gate_upload_info {
	const char *path, *key, *state, *error;
	uint64_t bytes_total, bytes_sent;
	unsigned attempts;
	/* REFUSED: S3 said no so often, in a row, since so long; it goes to
	 * quarantine in so long if it stays so. */
	unsigned refusals;
	uint64_t refused_ms, grace_ms;
};
int gate_each_upload(struct gate *gate,
		     int (*each)(void *arg, const struct gate_upload_info *),
		     void *arg) __attribute__((warn_unused_result));

struct gate_quarantine_info {
	uint64_t id;
	uint64_t size, bytes;	/* of the file; of what is kept of it */
	const char *path, *key, *client, *error;
	int64_t since_ns;	/* wall clock */
};
int gate_each_quarantined(struct gate *gate,
			  int (*each)(void *arg,
				      const struct gate_quarantine_info *),
			  void *arg) __attribute__((warn_unused_result));
/*
 * Upload it again; then it is kept no longer.  -EEXIST, -ESTALE: somebody
 * else's object is there, or the one it builds on is gone.  -EBUSY: the file
 * is being written, or its key deleted.  -ENODEV: its export is gone.  why:
 * what S3 said, or "".  Blocks for as long as the upload takes.
 */
int gate_quarantine_retry(struct gate *gate, uint64_t id, char why[256])
	__attribute__((warn_unused_result));
/*
 * Write the kept version to a new local file (-EEXIST), which is gone again
 * if that fails.  *missing: bytes that were not kept, because they were in
 * the object that the file was a change of, and are gone from there too:
 * zeros.
 */
int gate_quarantine_save(struct gate *gate, uint64_t id, const char *file,
			 uint64_t *missing)
	__attribute__((warn_unused_result));
/* It is gone then, and its space is free. */
int gate_quarantine_drop(struct gate *gate, uint64_t id)
	__attribute__((warn_unused_result));

/* A renamed directory whose objects have not all followed yet. */
struct gate_dirmove_info {
	const char *path;	/* that it has now */
	const char *source;	/* prefix of the keys it comes from */
	const char *phase;	/* "LISTING" or "MOVING" */
	uint64_t objects, bytes;	/* listed so far; all, when MOVING */
	uint64_t objects_left, bytes_left;
	uint64_t failures;	/* tries that failed */
	const char *error;	/* the last one, "" */
	uint64_t age_ms;
};
int gate_each_dirmove(struct gate *gate,
		      int (*each)(void *arg, const struct gate_dirmove_info *),
		      void *arg) __attribute__((warn_unused_result));

/* An export of which something is kept though it is not served. */
struct gate_absent_info {
	const char *name;	/* "": rows that no export claims */
	uint64_t files, bytes, deletions, moves, quarantined, indoubt;
};
int gate_each_absent(struct gate *gate,
		     int (*each)(void *arg, const struct gate_absent_info *),
		     void *arg) __attribute__((warn_unused_result));

/* An export whose bucket is away. */
struct gate_away_info {
	const char *name;
	int64_t since_ns;	/* wall clock */
	const char *why;
	uint64_t files, deletions;	/* that wait for it */
};
void gate_each_away(struct gate *gate,
		    void (*each)(void *arg, const struct gate_away_info *),
		    void *arg);

/*
 * Upload path (NULL: all) now and wait at most timeout_ms, also while uploads
 * fail and are tried again.  progress may be NULL; it is called now and then
 * with bytes sent and to send.  -ETIMEDOUT: something is left.
 */
int gate_flush(struct gate *gate, const char *path, uint64_t timeout_ms,
	       void (*progress)(void *arg, uint64_t sent, uint64_t total),
	       void *arg) __attribute__((warn_unused_result));
/* What gate_flush waits for: files, and with path NULL renamed directories and
 * deletions. */
struct gate_left_info {
	const char *path;	/* of a deletion the key: "/BUCKET/a/b" */
	const char *state;	/* "RETRYING", "MOVING", "DELETING" ... */
	const char *error;	/* of the last try, or "" */
};
int gate_each_left(struct gate *gate, const char *path,
		   int (*each)(void *arg, const struct gate_left_info *),
		   void *arg) __attribute__((warn_unused_result));
/* Ask the bucket to restore an archived file, to be read for so many days.
 * -EISDIR, -ENODATA (the bucket has nothing of it yet), or as s3_restore says;
 * why: the store's words, or "". */
int gate_restore(struct gate *gate, const char *path, unsigned days,
		 char *why, size_t size) __attribute__((warn_unused_result));
/* Forget what is remembered of the bucket below path. */
int gate_refresh(struct gate *gate, const char *path)
	__attribute__((warn_unused_result));

/* An export whose store refuses the account (s3.h, struct s3_trouble). */
struct gate_trouble_info {
	const char *name;	/* of the export */
	const char *error;
	int64_t since_ns;	/* wall clock */
	uint64_t refused;	/* requests */
};
int gate_each_trouble(struct gate *gate,
		      int (*each)(void *arg, const struct gate_trouble_info *),
		      void *arg) __attribute__((warn_unused_result));

struct gate_status {
	uint64_t staged_bytes, clean_bytes, cache_size;
	uint64_t handles_active, handles_pending, uploads, quarantined;
	uint64_t refused;	/* uploads that S3 says no to, so far */
	uint64_t nodes, held_requests;
	uint64_t open_files, max_files;	/* data files; the most at rest */
	uint64_t names, max_names;	/* remembered; the most at rest */
	uint64_t names_forgotten;	/* since the start */
	uint64_t database_bytes;	/* of its file */
	uint64_t state_lost;	/* 1: the state directory is not there */
	uint64_t unordered;	/* exports whose store does not list names
				 * in the order of their bytes */
	uint64_t conflicts;	/* objects changed on both sides */
	uint64_t extras_lost;	/* tags, ACLs and the like */
	uint64_t deletes;	/* objects that are to go, */
	uint64_t deletes_failing;	/* of which so many were refused */
	uint64_t invariant_failures;
	/* Writers that went silent: shown to others, counted as flushed. */
	uint64_t idle_shown, idle_flushed;
};
void gate_status(struct gate *gate, struct gate_status *out);

#endif
