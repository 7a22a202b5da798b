/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The changes of a batch (batch.c) become rows, on the writer thread, within
 * the savepoint that is the batch's.  The first that fails is the batch's
 * result: nothing of it stays.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

static unsigned
inode_flags(const struct meta_inode *n)
{
	return n->attr_known | n->data_dirty << 1 | n->attr_dirty << 2 |
	       n->name_dirty << 3 | n->marker << 4 | n->local_only << 5 |
	       n->has_verf << 6 | n->relocating << 7 |
	        (n->link_id[0] != '\0') << 8 | n->listed << 9 | n->cold << 10;
}

static int
put_link(const struct meta_inode *n, struct sql *sql)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_LINK);

	if (s == NULL)
		return sql_run(sql, s);
	bind_u64(s, 1, n->ino);
	bind_u64(s, 2, n->export_id);
	bind_str(s, 3, n->link_id);
	bind_u64(s, 4, n->link_ino);
	bind_u64(s, 5, n->link_version);
	return sql_run(sql, s);
}

static int
apply_put_inode(const struct change *c, struct sql *sql)
{
	const struct meta_inode *n = (const void *)c->data;
	sqlite3_stmt *s = sql_stmt(sql, c->kind == ADD_INODE ? SQL_ADD_INODE
							     : SQL_PUT_INODE);
	int r;

	if (s == NULL)
		return sql_run(sql, s);
	bind_u64(s, 1, n->ino);
	bind_u64(s, 2, n->export_id);
	bind_u64(s, 3, n->generation);
	bind_u64(s, 4, (uint64_t)n->kind);
	bind_u64(s, 5, n->mode);
	bind_u64(s, 6, n->uid);
	bind_u64(s, 7, n->gid);
	bind_u64(s, 8, n->nlink);
	bind_u64(s, 9, n->rdev_major);
	bind_u64(s, 10, n->rdev_minor);
	bind_u64(s, 11, n->size);
	sqlite3_bind_int64(s, 12, n->atime_ns);
	sqlite3_bind_int64(s, 13, n->mtime_ns);
	sqlite3_bind_int64(s, 14, n->ctime_ns);
	sqlite3_bind_int64(s, 15, n->btime_ns);
	bind_bytes(s, 16, n->base_key);
	bind_str(s, 17, n->base_etag);
	bind_u64(s, 18, n->base_size);
	bind_u64(s, 19, n->base_limit);
	sqlite3_bind_int64(s, 20, n->base_mtime_ns);
	bind_str(s, 21, n->dest_etag);
	bind_u64(s, 22, inode_flags(n));
	if (n->has_verf)
		sqlite3_bind_blob(s, 23, n->verf, 8, SQLITE_STATIC);
	else
		sqlite3_bind_null(s, 23);
	if (c->text != NULL)
		bind_bytes(s, 24, c->text);
	else
		sqlite3_bind_null(s, 24);
	r = sql_run(sql, s);
	/* A link_id is never taken back. */
	return r < 0 || n->link_id[0] == '\0' ? r : put_link(n, sql);
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
	sqlite3_stmt *s;
	int r = c->kind == ADD_NAME ? 0 : del_old_name(n, sql);

	if (r < 0)
		return r;
	s = sql_stmt(sql, SQL_ADD_NAME);
	if (s == NULL)
		return sql_run(sql, s);
	bind_u64(s, 1, n->id);
	bind_u64(s, 2, n->parent);
	bind_bytes(s, 3, n->name);
	bind_u64(s, 4, n->ino);
	bind_u64(s, 5, (uint64_t)n->kind);
	r = sql_run(sql, s);
	sql->names += r == 0;
	return r;
}

static int
apply_put_handle(const struct change *c, struct sql *sql)
{
	const struct meta_handle *h = (const void *)c->data;
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_HANDLE);

	if (s == NULL)
		return sql_run(sql, s);
	bind_u64(s, 1, h->ino);
	bind_str(s, 2, h->who);
	bind_u64(s, 3, h->state);
	bind_u64(s, 4, h->generation);
	sqlite3_bind_int64(s, 5, h->opened_ns);
	bind_u64(s, 6, h->created | (uint64_t)h->lapsed << 1);
	return sql_run(sql, s);
}

static int
apply_put_extents(const struct change *c, struct sql *sql)
{
	const struct meta_extent *list = (const void *)c->data;
	bool durable = c->kind == PUT_DURABLE;
	sqlite3_stmt *s = sql_stmt(sql,
				   durable ? SQL_DEL_HARD : SQL_DEL_EXTENTS);
	int r;

	if (s != NULL) {
		bind_u64(s, 1, c->a);
		bind_u64(s, 2, c->b);
		bind_u64(s, 3, c->c);
	}
	r = sql_run(sql, s);
	for (size_t i = 0; r == 0 && i < c->len / sizeof(*list); i++) {
		s = sql_stmt(sql, durable ? SQL_PUT_HARD : SQL_PUT_EXTENT);
		if (s != NULL) {
			bind_u64(s, 1, c->a);
			bind_u64(s, 2, list[i].off);
			bind_u64(s, 3, list[i].len);
			bind_u64(s, 4, list[i].at);
		}
		r = sql_run(sql, s);
	}
	return r;
}

static int
apply_put_journal(const struct change *c, struct sql *sql)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_JOURNAL);

	if (s == NULL)
		return sql_run(sql, s);
	bind_u64(s, 1, c->a);
	bind_u64(s, 2, c->b);
	sqlite3_bind_blob64(s, 3, c->data, c->len, SQLITE_STATIC);
	return sql_run(sql, s);
}

static int
apply_put_upload(const struct change *c, struct sql *sql)
{
	const struct meta_upload *u = (const void *)c->data;
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_UPLOAD);

	if (s == NULL)
		return sql_run(sql, s);
	bind_u64(s, 1, u->ino);
	bind_u64(s, 2, u->phase);
	bind_bytes(s, 3, u->key);
	bind_str(s, 4, u->upload_id);
	bind_str(s, 5, u->expect_etag);
	bind_u64(s, 6, u->part_size);
	sqlite3_bind_int64(s, 7, u->since_ns);
	bind_u64(s, 8, u->attempts);
	bind_str(s, 9, u->error);
	bind_u64(s, 10, u->refusals);
	bind_u64(s, 11, u->refused_ms);
	return sql_run(sql, s);
}

static int
apply_put_sent(const struct change *c, struct sql *sql)
{
	const struct meta_indoubt *list = (const void *)c->data;
	int r = run_u64(sql, SQL_DEL_SENT, c->a);

	for (size_t i = 0; r == 0 && i < c->len / sizeof(*list); i++) {
		sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_SENT);

		if (s != NULL) {
			bind_u64(s, 1, c->a);
			bind_u64(s, 2, i);
			bind_bytes(s, 3, list[i].key);
			bind_str(s, 4, list[i].etag);
			bind_u64(s, 5, list[i].replaced);
			bind_u64(s, 6, list[i].size);
			sqlite3_bind_int64(s, 7, list[i].mtime_ns);
			bind_u64(s, 8, list[i].mode);
			bind_u64(s, 9, list[i].uid);
			bind_u64(s, 10, list[i].gid);
			bind_u64(s, 11, (uint64_t)list[i].kind);
			bind_str(s, 12, list[i].link_id);
		}
		r = sql_run(sql, s);
	}
	return r;
}

static int
apply_put_delete(const struct change *c, struct sql *sql)
{
	const struct meta_delete *d = (const void *)c->data;
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_DELETE);
	const struct meta_ours *ours = NULL;
	char etag[META_ETAG_MAX + 3];
	int r;

	if (s == NULL)
		return sql_run(sql, s);
	if (c->len > sizeof(*d))
		ours = (const void *)(c->data + sizeof(*d));
	bind_u64(s, 1, d->id);
	bind_u64(s, 2, d->export_id);
	bind_bytes(s, 3, d->key);
	/* An ETag is foreign bytes, and may begin like that. */
	snprintf(etag, sizeof(etag), "%s%s%s%s", d->parts ? "+" : "",
		 ours != NULL ? "?" : "",
		 DELETE_IS_MARK(d->etag[0]) ? "=" : "", d->etag);
	bind_str(s, 4, etag);
	r = sql_run(sql, s);
	return r < 0 ? r : ours_put(sql, d->id, ours);
}

#define TRIM_EVERY 256

static int
apply_del_delete(const struct change *c, struct sql *sql)
{
	int r = run_u64(sql, SQL_PUT_GONE, c->a);

	if (r == 0 && sql->gone++ % TRIM_EVERY == 0)
		r = run_u64(sql, SQL_TRIM_GONE, META_GONE_MAX);
	if (r == 0)
		r = run_u64(sql, SQL_DEL_DELETE, c->a);
	return r < 0 ? r : ours_put(sql, c->a, NULL);
}

static int
apply_put_drc(const struct change *c, struct sql *sql)
{
	sqlite3_stmt *s;
	int r;

	if (sql->drc_rows++ % TRIM_EVERY == 0) {
		s = sql_stmt(sql, SQL_TRIM_DRC);
		if (s != NULL)
			sqlite3_bind_int64(s, 1, c->when);
		r = sql_run(sql, s);
		if (r < 0)
			return r;
	}
	s = sql_stmt(sql, SQL_PUT_DRC);
	if (s == NULL)
		return sql_run(sql, s);
	sqlite3_bind_blob(s, 1, c->data, 16, SQLITE_STATIC);
	bind_u64(s, 2, c->a);
	bind_u64(s, 3, c->b);
	bind_u64(s, 4, c->c);
	sqlite3_bind_int64(s, 5, c->when);
	return sql_run(sql, s);
}

static int
apply_put_quarantine(const struct change *c, struct sql *sql)
{
	const struct meta_quarantine *q = (const void *)c->data;
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_QUARANTINE);
	int r;

	if (s == NULL)
		return sql_run(sql, s);
	bind_u64(s, 1, q->id);
	bind_u64(s, 2, q->export_id);
	bind_u64(s, 3, q->ino);
	bind_bytes(s, 4, q->path);
	bind_bytes(s, 5, q->key);
	bind_str(s, 6, q->error);
	bind_str(s, 7, q->who);
	sqlite3_bind_int64(s, 8, q->since_ns);
	bind_u64(s, 9, q->size);
	bind_u64(s, 10, q->bytes);
	bind_bytes(s, 11, q->base_key);
	bind_str(s, 12, q->base_etag);
	bind_u64(s, 13, q->base_limit);
	bind_u64(s, 14, q->mode);
	bind_u64(s, 15, q->uid);
	bind_u64(s, 16, q->gid);
	sqlite3_bind_int64(s, 17, q->mtime_ns);
	r = sql_run(sql, s);
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

static int
apply_put_move(const struct change *c, struct sql *sql)
{
	const struct meta_dirmove *m = (const void *)c->data;
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_MOVE);

	if (s == NULL)
		return sql_run(sql, s);
	bind_u64(s, 1, m->id);
	bind_u64(s, 2, m->export_id);
	bind_u64(s, 3, m->ino);
	bind_u64(s, 4, m->listed);
	bind_bytes(s, 5, m->source);
	bind_bytes(s, 6, m->after);
	sqlite3_bind_int64(s, 7, m->since_ns);
	bind_u64(s, 8, m->objects);
	bind_u64(s, 9, m->bytes);
	return sql_run(sql, s);
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
		return apply_put_handle(c, sql);
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
		return apply_put_upload(c, sql);
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
		return apply_put_move(c, sql);
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
