/* SPDX-License-Identifier: Apache-2.0 */
#ifndef META_META_H
#define META_META_H

/*
 * meta: what the gateway must remember, in one SQLite database (WAL,
 * synchronous=FULL), and the rule about writers as pure functions.
 *
 * Rows are changed in batches.  A batch is one transaction: all of it is on
 * stable storage when meta_commit returns 0, or none of it ever.  One thread
 * owns the writing connection; it takes all batches that wait, applies each
 * under its own savepoint, commits once and answers all (group commit).
 * Batches take effect in the order in which they were handed over.
 *
 * The caller serialises changes of one inode or directory (gate's file and
 * directory locks); meta serialises nothing but the disk.
 *
 * Results are 0 (or a count) or a negative errno: -ENOENT (no such row),
 * -ENOSPC, -EIO, -ENOMEM, -EBADMSG (the database is damaged), -EBUSY
 * (another process has it).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct meta;

#define META_BUSY_MS 5000
#define META_NAME_MAX 255
#define META_KEY_MAX 1024
#define META_ETAG_MAX 128
#define META_LINK_MAX 33	/* of link_id, 32 digits */
#define META_CLIENT_MAX 320	/* "name@address" */
/* Inode numbers that meta_new_ino never gives: roots have them
 * (nfsd/gate/binding.c). */
#define META_ROOTS_FROM (1ULL << 31)
#define META_ROOTS_TO (1ULL << 32)

struct meta_config {
	const char *path;	/* of the database file */
	void (*log)(void *log_arg, int level, const char *line);
	void *log_arg;
	unsigned busy_ms;	/* for somebody else who has the database
				 * locked; 0: META_BUSY_MS */
};

/* Opens or creates; brings an older schema up to date.  Blocks.  -ENOTSUP: a
 * newer program made it; -EBADMSG: it is damaged.  Nothing was changed then. */
int meta_open(const struct meta_config *config, struct meta **out)
	__attribute__((warn_unused_result));
/* Waits for the batches under way. */
void meta_close(struct meta **meta);

/*
 * Are the database's files still there, under the names by which they were
 * opened?  -EIO: they were taken away, or replaced, and what is written now
 * would be gone with the next start.  meta_commit asks by itself, and answers
 * so.
 */
int meta_check(struct meta *meta) __attribute__((warn_unused_result));

/* ---- rows ---- */

/* An inode as all clients may see it: the last flushed version. */
struct meta_inode {
	uint64_t ino;
	uint32_t export_id;
	uint32_t generation;
	int kind;		/* ftype3 */
	uint32_t mode, uid, gid, nlink;
	uint32_t rdev_major, rdev_minor;
	uint64_t size;
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	/*
	 * The object this content builds on: "" if S3 has none yet.
	 * Bytes [0, base_limit) of it are still part of the file.
	 */
	char base_key[META_KEY_MAX + 2];
	char base_etag[META_ETAG_MAX];
	uint64_t base_size, base_limit;
	int64_t base_mtime_ns;	/* Last-Modified, 0: not seen yet */
	/* What is believed to lie at the key its name spells ("": nothing). */
	char dest_etag[META_ETAG_MAX];
	bool attr_known;	/* metadata of base_etag was read (HEAD) */
	bool data_dirty;	/* S3 lacks bytes, */
	bool attr_dirty;	/* attributes, */
	bool name_dirty;	/* or the name of this file */
	/* name_dirty because a directory above was renamed: no upload row,
	 * the object is relocating to its new key when its turn comes. */
	bool relocating;
	bool marker;		/* a directory that has an object "d/" */
	bool listed;		/* ... all names of which were seen once */
	bool local_only;	/* .nfs*: never uploaded */
	bool cold;		/* its object is archived, as was told */
	bool has_verf;		/* verf: of an EXCLUSIVE create */
	uint8_t verf[8];
	char *target;		/* symlink; malloced, owned by the struct */
	/*
	 * Hard links.  The files of one link_id ("": no link) are one: all
	 * but one of them are further names, each with an object of its own,
	 * of the file link_ino (0: it is that file itself).  link_version
	 * counts the objects that it got; a further name's tells which of
	 * them was copied there last.
	 */
	uint64_t link_ino, link_version;
	char link_id[META_LINK_MAX];
};
void meta_inode_fini(struct meta_inode *inode);
int meta_inode_copy(const struct meta_inode *from, struct meta_inode *to)
	__attribute__((warn_unused_result));

struct meta_name {
	uint64_t id;		/* durable cookie, ascending, never reused */
	uint64_t parent;
	uint64_t ino;
	int kind;
	char name[META_NAME_MAX + 1];
	/* Out, of meta_each_name: what ino is a further name of, or ino. */
	uint64_t file;
};

/*
 * States of a pseudo-handle, docs/rule.md 2:
 *
 *	         WRITE, CREATE, SETATTR(size)
 *	              |        +--------- own WRITE(UNSTABLE) ---------+
 *	              v        v                                       |
 *	RESERVED -> ACTIVE -- COMMIT, stable WRITE, settled --> FLUSHED
 *	              |                                          |   ^
 *	         lease over,                               due   |   | transient
 *	         discarded                                       v   | failure
 *	              v                                       UPLOADING
 *	           FENCED                                        | last request
 *	                                                         v is sent
 *	         DONE <------------- stored ------------------ FINISHING
 *	           (row deleted)                                 |
 *	         FAILED <----------- refused for good -----------+
 *	           (until its writer was told once)
 */
enum meta_state {
	META_NONE, META_RESERVED, META_ACTIVE, META_FLUSHED, META_UPLOADING,
	META_FINISHING, META_DONE, META_FAILED, META_FENCED,
	META_STATE_COUNT
};
enum meta_event {
	META_EV_OPEN,		/* own WRITE, CREATE, SETATTR(size) */
	META_EV_FLUSH,		/* nothing is uncommitted any more */
	META_EV_START,		/* an upload begins */
	META_EV_SEND,		/* its last request goes out */
	META_EV_STOP,		/* the upload was cancelled or failed for now */
	META_EV_STORED,		/* S3 has it */
	META_EV_REFUSED,	/* S3 will never take it */
	META_EV_EXPIRE,		/* lease over, bytes discarded or set aside */
	META_EV_TOLD,		/* the error reached the writer */
	META_EV_RESERVE,	/* a newcomer is let in next */
	META_EV_RELEASE,	/* its reservation ended */
	META_EVENT_COUNT
};
const char *meta_state_name(enum meta_state state);	/* "ACTIVE" */

struct meta_handle {
	uint64_t ino;
	char who[META_CLIENT_MAX];
	enum meta_state state;
	uint64_t generation;	/* of the file's writers, ascending */
	int64_t opened_ns;	/* wall clock */
	bool created;		/* by CREATE and never written */
	bool lapsed;		/* flushed without a word of its writer, which
				 * may send its bytes once more; FENCED: for
				 * that, and nothing was discarded */
};

/* The only function that changes a state.  -EINVAL: not an allowed move;
 * the handle stays as it is. */
int meta_handle_transition(struct meta_handle *handle, enum meta_event event)
	__attribute__((warn_unused_result));
/* The table behind it, for tests: META_STATE_COUNT if not allowed. */
enum meta_state meta_state_next(enum meta_state state, enum meta_event event);

/* Bytes [off, off + len) of the file lie at `at` in its data file. */
struct meta_extent {
	uint64_t off, len, at;
};

enum meta_upload_phase { META_UP_QUEUED, META_UP_PARTS, META_UP_FINISHING };

/* A change that S3 has to be told of; one a file. */
struct meta_upload {
	uint64_t ino;
	enum meta_upload_phase phase;
	char key[META_KEY_MAX + 2];	/* of the upload under way */
	char upload_id[1024];		/* "" unless multipart */
	char expect_etag[META_ETAG_MAX];/* FINISHING: what success looks like */
	uint64_t part_size;
	int64_t since_ns;		/* wall clock, first change */
	unsigned attempts;
	unsigned refusals;		/* S3 said no so often, in a row, */
	uint64_t refused_ms;		/* and for so long, while we ran */
	char error[256];
};

/* A version that went out to S3 and of which no answer is known, while the
 * file, its name or its path has changed since. */
struct meta_indoubt {
	char key[META_KEY_MAX + 2];
	char etag[META_ETAG_MAX];	/* "" not known beforehand */
	char link_id[META_LINK_MAX];	/* of a file with several names */
	int kind;
	bool replaced;			/* of a file whose name was taken */
	uint64_t size;
	int64_t mtime_ns;
	uint32_t mode, uid, gid;
};

/* What an uncertain deletion may take: requests whose answer is not known have
 * left one of these, or nothing. */
struct meta_ours {
	char upload_id[1024];	/* of the parts; "": not known, */
	int64_t since_ns;	/* and begun from here on, */
	int64_t until_ns;	/* up to here; wall clock */
	size_t count;
	struct meta_indoubt sent[];	/* their keys are the deletion's */
};

/* A key whose object is to be deleted. */
struct meta_delete {
	uint64_t id;
	uint32_t export_id;
	char key[META_KEY_MAX + 2];
	char etag[META_ETAG_MAX];	/* this one; "" whatever is there, but
					 * with `ours` none is known */
	bool soft;		/* not on record: the first try needs no etag */
	bool parts;		/* and multipart uploads to it that a crash
				 * may have left */
	struct meta_ours *ours;	/* or one of these; NULL: no others */
};
size_t meta_ours_size(size_t count);	/* of one with so many */
/* malloced; NULL: no memory */
struct meta_ours *meta_ours_copy(const struct meta_ours *from);

/*
 * A directory was renamed.  What lies below `source` in the bucket belongs
 * below inode `ino`, wherever that is by now.  First all keys are listed, and
 * get inodes that are `relocating`; then the objects move.
 */
struct meta_dirmove {
	uint64_t id;
	uint32_t export_id;
	uint64_t ino;
	bool listed;		/* all keys are known */
	char source[META_KEY_MAX + 2];	/* ends in '/' */
	char after[META_KEY_MAX + 2];	/* listed up to here */
	int64_t since_ns;	/* the store's clock */
	uint64_t objects, bytes;	/* listed so far */
};

struct meta_quarantine {
	uint64_t id;
	uint32_t export_id;
	uint64_t ino;
	char path[4096];
	char key[META_KEY_MAX + 2];
	char error[256];
	bool refused;			/* S3 said no; else we kept it */
	char who[META_CLIENT_MAX];
	int64_t since_ns;
	uint64_t size, bytes;		/* of the file; of what was staged */
	char base_key[META_KEY_MAX + 2], base_etag[META_ETAG_MAX];
	uint64_t base_limit;
	uint32_t mode, uid, gid;
	int64_t mtime_ns;
};

/* ---- changes ---- */

struct meta_batch;
struct meta_batch *meta_batch_new(void);	/* NULL: no memory */
void meta_batch_free(struct meta_batch **batch);

/*
 * Add a change to a batch.  What is passed is copied.  A failed allocation is
 * remembered, and meta_commit answers -ENOMEM; so is what else kept the caller
 * from putting it together (meta_batch_fail).
 */
void meta_batch_fail(struct meta_batch *b, int error);
void meta_put_inode(struct meta_batch *b, const struct meta_inode *inode);
void meta_del_inode(struct meta_batch *b, uint64_t ino); /* and all its rows */
void meta_put_name(struct meta_batch *b, const struct meta_name *name);
/* The same of rows that are new: where there is one of that number, or of
 * that name, the batch fails. */
void meta_add_inode(struct meta_batch *b, const struct meta_inode *inode);
void meta_add_name(struct meta_batch *b, const struct meta_name *name);
void meta_del_name(struct meta_batch *b, uint64_t parent, const char *name);
void meta_put_handle(struct meta_batch *b, const struct meta_handle *handle);
void meta_del_handle(struct meta_batch *b, uint64_t ino, const char *who);
/* Replace the extents that touch [from, to) by these. */
void meta_put_extents(struct meta_batch *b, uint64_t ino, uint64_t from,
		      uint64_t to, const struct meta_extent *list,
		      size_t count);
/* The same of bytes that are on stable storage and no part of the flushed
 * version yet: what a COMMIT of a part leaves (rule.md 2). */
void meta_put_durable_extents(struct meta_batch *b, uint64_t ino, uint64_t from,
			      uint64_t to, const struct meta_extent *list,
			      size_t count);
/* Bytes of a small stable WRITE, until a flush of the data file. */
void meta_put_journal(struct meta_batch *b, uint64_t ino, uint64_t at,
		      const void *data, size_t len);
void meta_del_journal(struct meta_batch *b, uint64_t ino);
void meta_put_upload(struct meta_batch *b, const struct meta_upload *upload);
/* These three of the row there is, if there is one; all else in it stays. */
void meta_set_refused(struct meta_batch *b, uint64_t ino, unsigned refusals,
		      uint64_t refused_ms, const char *error);
void meta_del_upload(struct meta_batch *b, uint64_t ino);
/* All that went out of a file, in place of what was on record. */
void meta_put_indoubt(struct meta_batch *b, uint64_t ino,
		      const struct meta_indoubt *list, size_t count);
/* id 0: a new row. */
void meta_put_delete(struct meta_batch *b, const struct meta_delete *d);
/* Its key is remembered for a while (meta_each_gone). */
void meta_del_delete(struct meta_batch *b, uint64_t id);
void meta_put_dirmove(struct meta_batch *b, const struct meta_dirmove *move);
void meta_del_dirmove(struct meta_batch *b, uint64_t id);
void meta_put_drc(struct meta_batch *b, const uint8_t key[16],
		  uint32_t procedure, uint64_t ino, uint32_t generation,
		  int64_t now_ns);
/* The inode's extents become the quarantined file's. */
void meta_put_quarantine(struct meta_batch *b,
			 const struct meta_quarantine *q);
void meta_del_quarantine(struct meta_batch *b, uint64_t id);
void meta_put_setting(struct meta_batch *b, const char *name,
		      const void *value, size_t len);

/*
 * Carry a batch out and free it.  Returns when it is on stable storage.
 * On an error nothing of it is.
 */
int meta_commit(struct meta *meta, struct meta_batch **batch)
	__attribute__((warn_unused_result));
#ifdef FAILPOINTS
/* Test builds call it before they wait for SQLite or the disk. */
void meta_guard(struct meta *meta, void (*may_last)(void));
#else
#define meta_guard(meta, may_last) ((void)(meta))
#endif

/*
 * The two halves of meta_commit: hand over, which gives the batch its place in
 * the order, and wait.  Between them the caller may let go of its locks:
 * whatever is handed over later is on disk later.  meta_submit leaves *batch
 * a ticket for meta_wait, which frees it.  -ENOMEM from meta_submit: it
 * was not handed over, and is freed.
 */
int meta_submit(struct meta *meta, struct meta_batch **batch)
	__attribute__((warn_unused_result));
int meta_wait(struct meta *meta, struct meta_batch **ticket)
	__attribute__((warn_unused_result));
/*
 * The same without waiting: for what may be lost in a crash (cached facts
 * of S3).  An error is logged.
 */
void meta_post(struct meta *meta, struct meta_batch **batch);
/* Who posts much waits here, without locks, until the disk has caught up. */
void meta_ease(struct meta *meta);

/* ---- numbers that are never given twice, also after a crash ---- */
/*
 * None is given out before the database has a limit above it.  That is raised
 * in the background, long before it is reached; should it be reached all the
 * same, this waits, and fails as the transaction did that was to raise it.
 * Not under a mutex.
 */
int meta_new_ino(struct meta *meta, uint64_t *out)
	__attribute__((warn_unused_result));
int meta_new_name_id(struct meta *meta, uint64_t *out)
	__attribute__((warn_unused_result));
int meta_new_id(struct meta *meta, uint64_t *out) /* deletes, moves, ... */
	__attribute__((warn_unused_result));

/*
 * ---- questions; they see every batch that was answered ----
 *
 * each() of a meta_each_... holds nothing of meta: it may ask, commit, wait.
 * Another result than 0 ends the walk, which returns 0, or what it was if it
 * is negative.  A walk of many rows is no snapshot of one moment.
 */

int meta_get_inode(struct meta *meta, uint64_t ino, struct meta_inode *out)
	__attribute__((warn_unused_result));
int meta_get_name(struct meta *meta, uint64_t parent, const char *name,
		  struct meta_name *out) __attribute__((warn_unused_result));
/* One of the names of an inode. */
int meta_name_of(struct meta *meta, uint64_t ino, struct meta_name *out)
	__attribute__((warn_unused_result));
/* The file that the links of this id are names of.  -ENOENT. */
int meta_find_link(struct meta *meta, uint32_t export_id, const char *link_id,
		   uint64_t *ino) __attribute__((warn_unused_result));
/* The further names of a file. */
int meta_each_link(struct meta *meta, uint64_t ino,
		   int (*each)(void *arg, uint64_t ino), void *arg)
	__attribute__((warn_unused_result));
/* Further names whose object is older than the file's. */
int meta_each_stale_link(struct meta *meta,
			 int (*each)(void *arg, uint64_t ino), void *arg)
	__attribute__((warn_unused_result));
/* Names of a directory with id > after, ascending. */
int meta_each_name(struct meta *meta, uint64_t parent, uint64_t after,
		   unsigned limit,
		   int (*each)(void *arg, const struct meta_name *name),
		   void *arg) __attribute__((warn_unused_result));
/* The same by name: from <= name <= to (NULL: to the end), in order of
 * bytes. */
int meta_each_name_between(struct meta *meta, uint64_t parent,
			   const char *from, const char *to,
			   int (*each)(void *arg,
				       const struct meta_name *name),
			   void *arg) __attribute__((warn_unused_result));
/* A name, and whether its rows say anything that the bucket does not. */
struct meta_known {
	struct meta_name name;
	uint32_t mode, uid, gid;	/* but for these */
	int64_t mtime_ns, base_mtime_ns;
	bool plain;		/* nothing: unchanged, one name, nothing below
				 * it, and no other row speaks of it */
};
/* Names of all exports with id > after, ascending, at most limit. */
int meta_each_known(struct meta *meta, uint64_t after, unsigned limit,
		    int (*each)(void *arg, const struct meta_known *known),
		    void *arg) __attribute__((warn_unused_result));
/* How many names there are, in all directories of all exports. */
uint64_t meta_names(const struct meta *meta);
/* Of the database file. */
int meta_bytes(struct meta *meta, uint64_t *bytes)
	__attribute__((warn_unused_result));
/*
 * Rows have gone: some of the room goes back to the file system, if more than
 * an eighth of the file is free.  1: there is more of it, 0: no.  A database
 * that a version before this one made keeps its size, and uses it again.
 * Blocks.
 */
int meta_tidy(struct meta *meta) __attribute__((warn_unused_result));
/* How many of them are directories. */
int meta_count_dirs(struct meta *meta, uint64_t parent, uint64_t *count)
	__attribute__((warn_unused_result));
int meta_each_handle(struct meta *meta, uint64_t ino,	/* 0: all */
		     int (*each)(void *arg, const struct meta_handle *h),
		     void *arg) __attribute__((warn_unused_result));
/* In no order; of both kinds. */
int meta_each_extent(struct meta *meta, uint64_t ino,
		     int (*each)(void *arg, const struct meta_extent *e,
				 bool durable),
		     void *arg) __attribute__((warn_unused_result));
int meta_each_journal(struct meta *meta,
		      int (*each)(void *arg, uint64_t ino, uint64_t at,
				  const void *data, size_t len),
		      void *arg) __attribute__((warn_unused_result));
int meta_each_upload(struct meta *meta,
		     int (*each)(void *arg, const struct meta_upload *u),
		     void *arg) __attribute__((warn_unused_result));
int meta_each_indoubt(struct meta *meta,
		      int (*each)(void *arg, uint64_t ino,
				  const struct meta_indoubt *sent),
		      void *arg) __attribute__((warn_unused_result));
int meta_each_delete(struct meta *meta,
		     int (*each)(void *arg, const struct meta_delete *d),
		     void *arg) __attribute__((warn_unused_result));
/* The keys whose deletions were done last, the oldest first. */
#define META_GONE_MAX 16384
struct meta_gone {
	uint64_t id;
	uint32_t export_id;
	int64_t age_s;		/* by the wall clock, which may be set */
	char key[META_KEY_MAX + 2];
};
int meta_each_gone(struct meta *meta,
		   int (*each)(void *arg, const struct meta_gone *gone),
		   void *arg) __attribute__((warn_unused_result));
int meta_each_dirmove(struct meta *meta,
		      int (*each)(void *arg, const struct meta_dirmove *m),
		      void *arg) __attribute__((warn_unused_result));
/* Names of a directory that are directories, or have an object and are not
 * relocating. */
struct meta_in_place {
	uint64_t name_id, ino;
	int kind;
	char key[META_KEY_MAX + 2];	/* "": it has none, or is relocating */
};
int meta_each_in_place(struct meta *meta, uint64_t parent,
		       int (*each)(void *arg, const struct meta_in_place *u),
		       void *arg) __attribute__((warn_unused_result));
/* Some keys of an export, in their order: those that begin with `prefix` and
 * come after `after` ("": all of them). */
struct meta_keys {
	uint32_t export_id;
	const char *prefix, *after;
	unsigned limit;		/* at most so many */
};
/* Relocating inodes, by their base_key. */
int meta_each_relocating(struct meta *meta, const struct meta_keys *keys,
			 int (*each)(void *arg, uint64_t ino, const char *key),
			 void *arg) __attribute__((warn_unused_result));
/* The same of those whose object is archived (`cold`). */
int meta_each_cold(struct meta *meta, const struct meta_keys *keys,
		   int (*each)(void *arg, uint64_t ino, const char *key),
		   void *arg) __attribute__((warn_unused_result));
/* How many there are, and their bytes. */
int meta_count_relocating(struct meta *meta, uint32_t export_id,
			  const char *prefix, uint64_t *count, uint64_t *bytes)
	__attribute__((warn_unused_result));
/* Is an object of this key relocating, or to be?  0, 1 */
int meta_has_relocating(struct meta *meta, uint32_t export_id, const char *key)
	__attribute__((warn_unused_result));
int meta_each_quarantine(struct meta *meta,
			 int (*each)(void *arg,
				     const struct meta_quarantine *q),
			 void *arg) __attribute__((warn_unused_result));
int meta_each_quarantine_extent(struct meta *meta, uint64_t id,
				int (*each)(void *arg,
					    const struct meta_extent *e),
				void *arg) __attribute__((warn_unused_result));
/* Is there any at all? */
bool meta_any_drc(struct meta *meta, int64_t not_before_ns);
int meta_get_drc(struct meta *meta, const uint8_t key[16],
		 int64_t not_before_ns, uint64_t *ino, uint32_t *generation)
	__attribute__((warn_unused_result));
/* Returns the length, at most size; -ENOENT. */
ssize_t meta_get_setting(struct meta *meta, const char *name, void *value,
			 size_t size) __attribute__((warn_unused_result));
/* The number of an export, made on first use; same for ever. */
int meta_export_id(struct meta *meta, const char *name, uint32_t *id)
	__attribute__((warn_unused_result));

/* What an export's bucket is owed. */
struct meta_owed {
	uint32_t export_id;	/* 0: rows that no export claims */
	char name[META_NAME_MAX + 1];
	uint64_t files, bytes;	/* with changes; of their bytes */
	uint64_t deletions, moves, quarantined;
	uint64_t indoubt;	/* requests of which no answer is known */
};
bool meta_owes(const struct meta_owed *owed);	/* anything at all */
/* Of all exports there ever were, and number 0.  Counts rows of the whole
 * database: for a start, and for operators. */
int meta_each_owed(struct meta *meta,
		   int (*each)(void *arg, const struct meta_owed *owed),
		   void *arg) __attribute__((warn_unused_result));

/* The number of an export that there is.  -ENOENT. */
int meta_find_export(struct meta *meta, const char *name, uint32_t *id)
	__attribute__((warn_unused_result));
/* It goes, and all rows of it: of who owes nothing.  Before anybody has
 * loaded any of them. */
int meta_drop_export(struct meta *meta, uint32_t id)
	__attribute__((warn_unused_result));
/* Another name, and another number for its root. */
int meta_rename_export(struct meta *meta, uint32_t id, const char *name,
		       uint64_t root, uint64_t new_root)
	__attribute__((warn_unused_result));

/* ---- the rule (rule.md 3 to 6), without clocks or disks ---- */

enum meta_verdict {
	META_ADMIT,		/* open */
	META_REFUSE,		/* somebody else is not flushed */
	META_WAIT_QUIET,	/* flushed, but not silent long enough */
	META_WAIT_UPLOAD	/* kick the pending upload and wait for it */
};

/*
 * How long a writer has sent nothing about its file (rule.md 15).  Times by one
 * clock, milliseconds.
 */
struct meta_silence {
	uint64_t answered_ms;	/* its last call was */
	uint64_t back_ms;	/* it was told to come back: by then */
	uint64_t calls_ms;	/* when `calls` changed */
	unsigned calls;		/* begun and not answered */
};
#define META_LOST_CALL_MS 60000	/* one that never came back: it was dropped */

uint64_t meta_silent_ms(const struct meta_silence *s, uint64_t now_ms);
/* When it will have been for so long, if nothing more comes; not before
 * now_ms. */
uint64_t meta_silent_at(const struct meta_silence *s, uint64_t for_ms,
			uint64_t now_ms);
/* It is at it: heard of less than pause_ms ago. */
bool meta_is_heard(const struct meta_silence *s, uint64_t pause_ms,
		   uint64_t now_ms);

/* Changes beside another's active handle that are no writing (rule.md 5). */
struct meta_beside {
	bool fails;		/* busy=fail, strict */
	bool name;		/* REMOVE, RENAME; else LINK, SETATTR */
	bool heard;		/* the writer is at it */
	uint64_t idle_flush_ms;	/* 0: never */
	uint64_t busy_limit_ms;
	uint64_t waited_ms;	/* since this client's first refusal */
};
#define META_CHANGE_GRACE_MS 1000
enum meta_change { META_CHANGE, META_CHANGE_WAIT, META_CHANGE_REFUSE };
/* *wait_ms: with META_CHANGE_WAIT, when to look again. */
enum meta_change meta_change_rule(const struct meta_beside *b,
				  uint64_t *wait_ms);

/* What the rule looks at.  Times by one clock, milliseconds. */
struct meta_situation {
	enum meta_state holder;		/* META_NONE if nobody holds it */
	bool own;			/* the holder is who asks */
	uint64_t holder_last_ms;	/* its last request on the file */
	bool reserved;			/* for somebody, not run out */
	bool reserved_own;
	uint64_t now_ms;
	uint64_t quiet_ms;		/* supersede_quiet */
};
/* *wait_ms: with META_WAIT_QUIET, how much longer. */
enum meta_verdict meta_rule(const struct meta_situation *s,
			    uint64_t *wait_ms);

#endif
