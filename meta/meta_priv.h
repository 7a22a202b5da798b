/* SPDX-License-Identifier: Apache-2.0 */
#ifndef META_META_PRIV_H
#define META_META_PRIV_H

#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <sys/queue.h>

#include "meta/meta.h"

/* ---- sql.c: SQLite with errno and a cache of prepared statements ---- */

enum sql_id {		/* one prepared statement each, sql.c has the texts */
	SQL_PUT_INODE, SQL_ADD_INODE, SQL_ADD_NAME, SQL_DEL_INODE,
	SQL_DEL_INODE_NAMES, SQL_DEL_INODE_HANDLES, SQL_DEL_INODE_EXTENTS,
	SQL_DEL_INODE_UPLOAD,
	SQL_DEL_INODE_HARD, SQL_DEL_HARD, SQL_PUT_HARD,
	SQL_DEL_NAME, SQL_PUT_HANDLE, SQL_DEL_HANDLE,
	SQL_DEL_EXTENTS, SQL_PUT_EXTENT, SQL_PUT_JOURNAL, SQL_DEL_JOURNAL,
	SQL_PUT_UPLOAD, SQL_SET_REFUSED, SQL_DEL_UPLOAD,
	SQL_PUT_SENT, SQL_DEL_SENT, SQL_EACH_SENT,
	SQL_PUT_DELETE, SQL_DEL_DELETE,
	SQL_PUT_GONE, SQL_TRIM_GONE, SQL_EACH_GONE,
	SQL_PUT_OURS, SQL_DEL_OURS, SQL_GET_OURS,
	SQL_PUT_DRC, SQL_TRIM_DRC, SQL_PUT_QUARANTINE,
	SQL_DEL_QUARANTINE, SQL_DEL_QUARANTINE_EXTENTS, SQL_MOVE_EXTENTS,
	SQL_PUT_SETTING, SQL_GET_INODE, SQL_GET_NAME, SQL_NAME_OF,
	SQL_EACH_NAME, SQL_EACH_NAME_BETWEEN, SQL_COUNT_DIRS,
	SQL_EACH_HANDLE, SQL_EACH_HANDLE_OF, SQL_EACH_EXTENT, SQL_EACH_HARD,
	SQL_EACH_JOURNAL, SQL_EACH_UPLOAD, SQL_EACH_DELETE,
	SQL_EACH_QUARANTINE, SQL_EACH_QUARANTINE_EXTENT, SQL_GET_DRC,
	SQL_ANY_DRC, SQL_PUT_MOVE, SQL_DEL_MOVE, SQL_EACH_MOVE,
	SQL_EACH_IN_PLACE, SQL_EACH_RELOCATING, SQL_EACH_COLD,
	SQL_COUNT_RELOCATING, SQL_HAS_RELOCATING,
	SQL_PUT_LINK, SQL_DEL_INODE_LINK, SQL_FIND_LINK,
	SQL_EACH_LINK, SQL_EACH_STALE_LINK,
	SQL_GET_SETTING, SQL_GET_EXPORT, SQL_ADD_EXPORT,
	SQL_EACH_OWED,
	SQL_DEL_NAME_OLD, SQL_EACH_KNOWN, SQL_COUNT_NAMES, SQL_PAGES,
	SQL_COUNT
};

struct sql {
	sqlite3 *db;
	sqlite3_stmt *stmt[SQL_COUNT];
	unsigned drc_rows, gone;	/* rows put, to trim now and then */
	int64_t names;		/* more of them since its transaction began */
};

/* Open and set up one connection.  writer: creates and upgrades. */
int sql_open(const char *path, bool writer, unsigned busy_ms, struct sql *out);
void sql_close(struct sql *sql);
/* A statement, reset and ready to be bound; NULL on error (sql_errno). */
sqlite3_stmt *sql_stmt(struct sql *sql, enum sql_id id);
/* Step a statement that returns no rows; resets it. */
int sql_run(struct sql *sql, sqlite3_stmt *stmt);
int sql_exec(struct sql *sql, const char *text);
/* The one place where SQLite's result codes become errno. */
int sql_errno(int code);
/* Words, and what no table has as it is; cut to its place. */
void sql_text(sqlite3_stmt *stmt, int column, char *out, size_t size);
/* What comes after all keys that begin with the prefix; its length. */
size_t sql_prefix_end(const char *prefix, char end[META_KEY_MAX + 2]);

/* ---- schema.c: versions of the database ---- */

/* -ENOTSUP: a newer program made it. */
int schema_check(struct sql *sql) __attribute__((warn_unused_result));
/* Makes the tables, or brings them up from an older version; all or nothing.
 * -EBADMSG: there is a key longer than any of ours. */
int schema_update(struct sql *sql) __attribute__((warn_unused_result));

/* ---- tables.c: what a row is, in one place ---- */

enum table_id {
	TABLE_SETTING, TABLE_EXPORT, TABLE_INODE, TABLE_LINK, TABLE_NAME,
	TABLE_HANDLE, TABLE_EXTENT, TABLE_HARD, TABLE_JOURNAL, TABLE_UPLOAD,
	TABLE_SENT, TABLE_DELETION, TABLE_OURS, TABLE_GONE, TABLE_DRC,
	TABLE_QUARANTINE, TABLE_QUARANTINE_EXTENT, TABLE_MOVE,
	TABLE_COUNT
};

/* Rows that are no struct of meta.h; the others are meta_inode (of link,
 * too), meta_name, meta_handle, meta_upload, meta_quarantine, meta_dirmove. */
struct blob {
	void *bytes;
	size_t len;
};
struct extent_row {		/* of each of the three tables */
	uint64_t of;
	struct meta_extent e;
};
struct journal_row {
	uint64_t seq, ino, at;
	struct blob data;
};
struct sent_row {		/* unanswered, deletion_ours */
	uint64_t of, n;		/* n: their order */
	struct meta_indoubt sent;
};
struct deletion_row {
	uint64_t id;
	uint32_t export_id;
	char key[META_KEY_MAX + 2], etag[META_ETAG_MAX];
	bool parts;
	bool doubt;		/* it has `ours`, beginning with these: */
	char upload_id[1024];
	int64_t since_ns, until_ns;
};
struct gone_row {
	struct meta_gone gone;	/* but for its age */
	int64_t at_s;		/* wall clock */
};
struct drc_row {
	uint8_t key[16];
	uint32_t procedure, generation;
	uint64_t ino;
	int64_t at_ns;
};

/* The statement's parameters are that table's columns; the row stays where it
 * is until it was run. */
void row_bind(sqlite3_stmt *s, enum table_id table, const void *row);
/* The same, and run it. */
int row_write(struct sql *sql, enum sql_id id, enum table_id table,
	    const void *row) __attribute__((warn_unused_result));
/* From the statement's column `first` on.  -EBADMSG: longer than any that we
 * write. */
int row_read(sqlite3_stmt *s, int first, enum table_id table, void *row)
	__attribute__((warn_unused_result));
int row_width(enum table_id table);	/* how many columns */

/* Each returns what sqlite3_free takes; NULL: no memory. */
/* "<TABLE>" becomes its columns, "<TABLE()>" it, its columns and VALUES. */
char *tables_in_text(sqlite3 *db, const char *text);
char *table_create(sqlite3 *db, enum table_id table);
/* Does any row of what is owed have a text that is longer than its place? */
char *tables_too_long(sqlite3 *db);

/* ---- ballast.c: room to say what has to be said on a full disk ---- */

struct ballast {
	bool there;
	int64_t looked_s;	/* monotonic; 0: never */
};

/* Put it there, if it is not and there is room; looks now and then. */
void ballast_keep(struct ballast *b, const char *db);
/* Give its room back.  false: it was not there. */
bool ballast_drop(struct ballast *b, const char *db);

/* ---- batch.c ---- */

struct change;
/* What a change is; its arguments are a, b, c, text and data, by kind. */
enum change_kind {
	PUT_INODE, ADD_INODE, DEL_INODE, PUT_NAME, ADD_NAME, DEL_NAME,
	PUT_HANDLE, DEL_HANDLE, PUT_EXTENTS, PUT_DURABLE, PUT_JOURNAL,
	DEL_JOURNAL, PUT_UPLOAD, SET_REFUSED, DEL_UPLOAD, PUT_SENT,
	PUT_DELETE, DEL_DELETE, PUT_DRC, PUT_QUARANTINE, DEL_QUARANTINE,
	PUT_SETTING, PUT_MOVE, DEL_MOVE
};
struct change {
	STAILQ_ENTRY(change) link;
	enum change_kind kind;
	uint64_t a, b, c;	/* plain arguments, by kind */
	int64_t when;
	size_t len;		/* of what follows */
	char *text;		/* second argument, malloced, or NULL */
	unsigned char data[] __attribute__((aligned(16)));
};

struct meta_batch {
	STAILQ_HEAD(, change) changes;
	int error;		/* what it lacks, from when it was made */
	/* while it is queued */
	STAILQ_ENTRY(meta_batch) link;
	bool wanted;		/* somebody waits in meta_commit */
	struct id_block *raises;	/* its limit, once this is on disk; */
	uint64_t limit;			/* to that */
	bool tidies;		/* pages are given back after it */
	sem_t done;		/* each waiter is woken alone, and needs no
				 * lock to go on */
	int result;
};
/* apply.c */
int batch_apply(const struct meta_batch *batch, struct sql *sql);

/* ---- there.c ---- */

/* The files that are open now are those that meta_check looks for. */
int there_note(struct meta *m) __attribute__((warn_unused_result));

/* ---- known.c ---- */

int names_count(struct meta *m) __attribute__((warn_unused_result));
/* Some free pages at the end of the file go; the writer thread's. */
int pages_give_back(struct sql *sql) __attribute__((warn_unused_result));

/* ---- store.c ---- */

#define READERS 4

enum id_kind { ID_INO, ID_NAME, ID_OTHER, ID_COUNT };

/* Numbers of one kind: those below `limit` may be given out. */
struct id_block {
	uint64_t next, limit;
	bool raising;		/* a batch is under way that raises it */
	int error;		/* of the last one */
};

struct there {			/* a file that was opened */
	dev_t dev;
	ino_t ino;
};

struct meta {
	struct meta_config config;
	char *path;
	struct there db_there, wal_there;
	bool lost;		/* a transaction went into files without a
				 * name, and was answered as failed; atomic */
	/* The writing connection; the writer thread's after start. */
	struct sql writer;
	struct ballast ballast;	/* likewise */
	uint64_t names;		/* rows; atomic, the writer thread's */
	pthread_t thread;

	pthread_mutex_t mutex;	/* guards what follows */
	STAILQ_HEAD(, meta_batch) queue;
	pthread_cond_t work_ready;
	unsigned posted;	/* that nobody waits for, not on disk yet */
	pthread_cond_t eased;
	bool stopping;
	bool started;

	pthread_mutex_t reader_mutex;
	struct sql readers[READERS];
	bool reader_busy[READERS];
	void (*may_last)(void);	/* test builds: of meta_guard, or NULL */
	pthread_t reader_owner[READERS];	/* of those that are busy */
	pthread_cond_t reader_free;

	pthread_mutex_t id_mutex;	/* before `mutex` */
	struct id_block ids[ID_COUNT];
	pthread_cond_t id_raised;	/* or not */
};

/*
 * A reading connection for one question.  There are few, and everybody waits
 * for one: who holds one calls nobody and asks for no other (walk.c).  Test
 * builds abort when a thread does.
 */
struct sql *reader_get(struct meta *meta);
void reader_put(struct meta *meta, struct sql *sql);

/* ---- ours.c ---- */
/* In place of what is on record of this deletion; ours NULL: nothing. */
int deletion_put(struct sql *sql, const struct meta_delete *d,
		 const struct meta_ours *ours)
	__attribute__((warn_unused_result));
int deletion_del(struct sql *sql, uint64_t id)
	__attribute__((warn_unused_result));
/* d->ours is malloced. */
int deletion_get(struct meta *meta, const struct deletion_row *row,
		 struct meta_delete *d) __attribute__((warn_unused_result));

#endif
