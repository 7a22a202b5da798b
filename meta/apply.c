/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The changes of a batch (batch.c) become rows, on the writer thread, within
 * the savepoint that is the batch's.  The first that fails is the batch's
 * result: nothing of it stays.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "meta/meta_priv.h"

static void
bind_u64(sqlite3_stmt *s, int i, uint64_t v)
{
	sqlite3_bind_int64(s, i, (sqlite3_int64)v);
}

static void
bind_str(sqlite3_stmt *s, int i, const char *v)
{
	sqlite3_bind_text(s, i, v, -1, SQLITE_STATIC);
}

/* Names are bytes, not text: compared and kept as they came. */
static void
bind_bytes(sqlite3_stmt *s, int i, const char *v)
{
	sqlite3_bind_blob(s, i, v, (int)strlen(v), SQLITE_STATIC);
}

static int
apply_put_inode(const struct change *c, struct sql *sql)
{
	const struct meta_inode *n = (const void *)c->data;
	int r = row_write(sql, c->kind == ADD_INODE ? SQL_ADD_INODE
						  : SQL_PUT_INODE,
			TABLE_INODE, n);

	/* A link_id is never taken back. */
	return r < 0 || n->link_id[0] == '\0'
		       ? r : row_write(sql, SQL_PUT_LINK, TABLE_LINK, n);
}

static int
run_u64(struct sql *sql, enum sql_id id, uint64_t value)
{
	sqlite3_stmt *s = sql_stmt(sql, id);

	if (s != NULL)
		bind_u64(s, 1, value);
	return sql_run(sql, s);
}

/* Names that go, by a statement that is bound. */
static int
run_del_names(struct sql *sql, sqlite3_stmt *s)
{
	int r = sql_run(sql, s);

	if (r == 0)
		sql->names -= sqlite3_changes(sql->db);
	return r;
}

static int
apply_del_inode(const struct change *c, struct sql *sql)
{
	static const enum sql_id ids[] = {
		SQL_DEL_INODE, SQL_DEL_INODE_HANDLES,
		SQL_DEL_INODE_EXTENTS, SQL_DEL_INODE_HARD,
		SQL_DEL_INODE_UPLOAD, SQL_DEL_JOURNAL, SQL_DEL_SENT,
		SQL_DEL_INODE_LINK,
	};
	sqlite3_stmt *s = sql_stmt(sql, SQL_DEL_INODE_NAMES);
	int r;

	if (s != NULL)
		bind_u64(s, 1, c->a);
	r = run_del_names(sql, s);
	for (size_t i = 0; r == 0 && i < sizeof(ids) / sizeof(*ids); i++)
		r = run_u64(sql, ids[i], c->a);
	return r;
}

/* What has its number, or its place. */
static int
del_old_name(const struct meta_name *n, struct sql *sql)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_DEL_NAME_OLD);

	if (s != NULL) {
		bind_u64(s, 1, n->id);
		bind_u64(s, 2, n->parent);
		bind_bytes(s, 3, n->name);
	}
	return run_del_names(sql, s);
}

static int
apply_put_name(const struct change *c, struct sql *sql)
{
	const struct meta_name *n = (const void *)c->data;
	int r = c->kind == ADD_NAME ? 0 : del_old_name(n, sql);

	if (r == 0)
		r = row_write(sql, SQL_ADD_NAME, TABLE_NAME, n);
	sql->names += r == 0;
	return r;
}

static int
apply_set_refused(const struct change *c, struct sql *sql)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_SET_REFUSED);

	if (s != NULL) {
		bind_u64(s, 1, c->a);
		bind_u64(s, 2, c->b);
		bind_u64(s, 3, c->c);
		bind_str(s, 4, (const char *)c->data);
	}
	return sql_run(sql, s);
}

static int
apply_put_extents(const struct change *c, struct sql *sql)
{
	const struct meta_extent *list = (const void *)c->data;
	bool durable = c->kind == PUT_DURABLE;
	sqlite3_stmt *s = sql_stmt(sql, durable ? SQL_DEL_HARD
						: SQL_DEL_EXTENTS);
	int r;

	if (s != NULL) {
		bind_u64(s, 1, c->a);
		bind_u64(s, 2, c->b);
		bind_u64(s, 3, c->c);
	}
	r = sql_run(sql, s);
	for (size_t i = 0; r == 0 && i < c->len / sizeof(*list); i++) {
		struct extent_row row = { c->a, list[i] };

		r = row_write(sql, durable ? SQL_PUT_HARD : SQL_PUT_EXTENT,
			    durable ? TABLE_HARD : TABLE_EXTENT, &row);
	}
	return r;
}

static int
apply_put_journal(const struct change *c, struct sql *sql)
{
	struct journal_row row = { .ino = c->a, .at = c->b };

	row.data = (struct blob){ (void *)(uintptr_t)c->data, c->len };
	return row_write(sql, SQL_PUT_JOURNAL, TABLE_JOURNAL, &row);
}

static int
apply_put_sent(const struct change *c, struct sql *sql)
{
	const struct meta_indoubt *list = (const void *)c->data;
	int r = run_u64(sql, SQL_DEL_SENT, c->a);

	for (size_t i = 0; r == 0 && i < c->len / sizeof(*list); i++) {
		struct sent_row row = { c->a, i, list[i] };

		r = row_write(sql, SQL_PUT_SENT, TABLE_SENT, &row);
	}
	return r;
}

static int
apply_put_delete(const struct change *c, struct sql *sql)
{
	const struct meta_delete *d = (const void *)c->data;

	return deletion_put(sql, d, c->len > sizeof(*d)
			    ? (const void *)(c->data + sizeof(*d)) : NULL);
}

#define TRIM_EVERY 256

static int
apply_del_delete(const struct change *c, struct sql *sql)
{
	int r = run_u64(sql, SQL_PUT_GONE, c->a);

	if (r == 0 && sql->gone++ % TRIM_EVERY == 0)
		r = run_u64(sql, SQL_TRIM_GONE, META_GONE_MAX);
	return r < 0 ? r : deletion_del(sql, c->a);
}

static int
apply_put_drc(const struct change *c, struct sql *sql)
{
	struct drc_row row = { .procedure = (uint32_t)c->a, .ino = c->b,
				  .generation = (uint32_t)c->c,
				  .at_ns = c->when };

	if (sql->drc_rows++ % TRIM_EVERY == 0) {
		sqlite3_stmt *s = sql_stmt(sql, SQL_TRIM_DRC);
		int r;

		if (s != NULL)
			sqlite3_bind_int64(s, 1, c->when);
		r = sql_run(sql, s);
		if (r < 0)
			return r;
	}
	memcpy(row.key, c->data, sizeof(row.key));
	return row_write(sql, SQL_PUT_DRC, TABLE_DRC, &row);
}

static int
apply_put_quarantine(const struct change *c, struct sql *sql)
{
	const struct meta_quarantine *q = (const void *)c->data;
	int r = row_write(sql, SQL_PUT_QUARANTINE, TABLE_QUARANTINE, q);
	sqlite3_stmt *s;

	if (r < 0)
		return r;
	s = sql_stmt(sql, SQL_MOVE_EXTENTS);
	if (s != NULL) {
		bind_u64(s, 1, q->id);
		bind_u64(s, 2, q->ino);
	}
	r = sql_run(sql, s);
	return r < 0 ? r : run_u64(sql, SQL_DEL_INODE_EXTENTS, q->ino);
}

/* A row that one number and one text name. */
static int
apply_del_named(const struct change *c, struct sql *sql, enum sql_id id)
{
	sqlite3_stmt *s = sql_stmt(sql, id);

	if (s != NULL) {
		bind_u64(s, 1, c->a);
		if (id == SQL_DEL_NAME)
			bind_bytes(s, 2, c->text);
		else
			bind_str(s, 2, c->text);
	}
	return id == SQL_DEL_NAME ? run_del_names(sql, s) : sql_run(sql, s);
}

static int
apply_put_setting(const struct change *c, struct sql *sql)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_SETTING);

	if (s != NULL) {
		bind_str(s, 1, c->text);
		sqlite3_bind_blob64(s, 2, c->data, c->len, SQLITE_STATIC);
	}
	return sql_run(sql, s);
}

static int
apply(const struct change *c, struct sql *sql)
{
	int r;

	switch (c->kind) {
	case PUT_INODE:
	case ADD_INODE:
		return apply_put_inode(c, sql);
	case DEL_INODE:
		return apply_del_inode(c, sql);
	case PUT_NAME:
	case ADD_NAME:
		return apply_put_name(c, sql);
	case DEL_NAME:
		return apply_del_named(c, sql, SQL_DEL_NAME);
	case PUT_HANDLE:
		return row_write(sql, SQL_PUT_HANDLE, TABLE_HANDLE, c->data);
	case DEL_HANDLE:
		return apply_del_named(c, sql, SQL_DEL_HANDLE);
	case PUT_EXTENTS:
	case PUT_DURABLE:
		return apply_put_extents(c, sql);
	case PUT_JOURNAL:
		return apply_put_journal(c, sql);
	case DEL_JOURNAL:
		return run_u64(sql, SQL_DEL_JOURNAL, c->a);
	case PUT_UPLOAD:
		return row_write(sql, SQL_PUT_UPLOAD, TABLE_UPLOAD, c->data);
	case SET_REFUSED:
		return apply_set_refused(c, sql);
	case DEL_UPLOAD:
		return run_u64(sql, SQL_DEL_UPLOAD, c->a);
	case PUT_SENT:
		return apply_put_sent(c, sql);
	case PUT_DELETE:
		return apply_put_delete(c, sql);
	case DEL_DELETE:
		return apply_del_delete(c, sql);
	case PUT_DRC:
		return apply_put_drc(c, sql);
	case PUT_QUARANTINE:
		return apply_put_quarantine(c, sql);
	case DEL_QUARANTINE:
		r = run_u64(sql, SQL_DEL_QUARANTINE, c->a);
		return r < 0 ? r
			     : run_u64(sql, SQL_DEL_QUARANTINE_EXTENTS, c->a);
	case PUT_SETTING:
		return apply_put_setting(c, sql);
	case PUT_MOVE:
		return row_write(sql, SQL_PUT_MOVE, TABLE_MOVE, c->data);
	case DEL_MOVE:
		return run_u64(sql, SQL_DEL_MOVE, c->a);
	}
	return -EINVAL;
}

int
batch_apply(const struct meta_batch *batch, struct sql *sql)
{
	const struct change *c;

	STAILQ_FOREACH(c, &batch->changes, link) {
		int r = apply(c, sql);

		if (r < 0)
			return r;
	}
	return 0;
}
