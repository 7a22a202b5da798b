/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much is remembered: names are counted, so that somebody can see to it
 * that they do not grow without end (nfsd/gate/dir/known.c), and the file gives
 * back the room of rows that went.
 *
 * The count is read once, when the database is opened, from the smallest index
 * (50 ms for a million names), and kept by the writer thread from then on.
 *
 * SQLite moves pages from the end of the file into free ones (incremental
 * vacuum), some at a time, so that nobody waits long behind that.  An eighth of
 * the file stays free for the next rows.
 */

#include <config.h>

#include <errno.h>

#include "meta/meta_priv.h"

#define FREE_PAGES_MIN 64	/* 256 KiB: never mind those */
#define FREE_SHARE 8
#define GIVE_BACK "PRAGMA incremental_vacuum(64)"
#define INCREMENTAL 2		/* auto_vacuum */

struct pages {
	uint64_t count, size, free;
	bool may_shrink;
};

int
names_count(struct meta *m)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, SQL_COUNT_NAMES);
	int code = s == NULL ? sqlite3_errcode(sql->db) : sqlite3_step(s);

	if (code == SQLITE_ROW)
		__atomic_store_n(&m->names,
				 (uint64_t)sqlite3_column_int64(s, 0),
				 __ATOMIC_RELAXED);
	sqlite3_reset(s);
	reader_put(m, sql);
	return code == SQLITE_ROW ? 0 : sql_errno(code) ?: -EIO;
}

uint64_t
meta_names(const struct meta *m)
{
	return __atomic_load_n(&m->names, __ATOMIC_RELAXED);
}

static int
look(struct meta *m, struct pages *out)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, SQL_PAGES);
	int code = s == NULL ? sqlite3_errcode(sql->db) : sqlite3_step(s);

	if (code == SQLITE_ROW) {
		out->count = (uint64_t)sqlite3_column_int64(s, 0);
		out->size = (uint64_t)sqlite3_column_int64(s, 1);
		out->free = (uint64_t)sqlite3_column_int64(s, 2);
		out->may_shrink = sqlite3_column_int(s, 3) == INCREMENTAL;
	}
	sqlite3_reset(s);
	reader_put(m, sql);
	return code == SQLITE_ROW ? 0 : sql_errno(code) ?: -EIO;
}

int
meta_bytes(struct meta *m, uint64_t *bytes)
{
	struct pages p = { 0 };
	int r = look(m, &p);

	if (r < 0)
		return r;
	*bytes = p.count * p.size;
	return 0;
}

static bool
is_wide(const struct pages *p)
{
	return p->may_shrink && p->free > FREE_PAGES_MIN &&
	       p->free > p->count / FREE_SHARE;
}

int
pages_give_back(struct sql *sql)
{
	return sql_exec(sql, GIVE_BACK);
}

int
meta_tidy(struct meta *m)
{
	struct pages p = { 0 };
	struct meta_batch *b;
	int r = look(m, &p);

	if (r < 0 || !is_wide(&p))
		return r;
	b = meta_batch_new();
	if (b == NULL)
		return -ENOMEM;
	b->tidies = true;
	r = meta_commit(m, &b);
	if (r == 0)
		r = look(m, &p);
	return r < 0 ? r : is_wide(&p);
}
