/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a deletion may take whose file had requests without an answer: rows
 * beside that of the deletion, 0 of its parts, each other one of an object.
 * They come and go with it, in the same transaction.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "meta/meta_priv.h"

size_t
meta_ours_size(size_t count)
{
	return sizeof(struct meta_ours) + count * sizeof(struct meta_indoubt);
}

struct meta_ours *
meta_ours_copy(const struct meta_ours *from)
{
	size_t size = meta_ours_size(from->count);
	struct meta_ours *to = malloc(size);

	if (to != NULL)
		memcpy(to, from, size);
	return to;
}

/* ---- written ---- */

static int
put(struct sql *sql, uint64_t id, size_t n, const struct meta_ours *ours)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_PUT_OURS);

	if (s == NULL)
		return sql_run(sql, s);
	/* What is not bound is NULL. */
	sqlite3_clear_bindings(s);
	sqlite3_bind_int64(s, 1, (sqlite3_int64)id);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)n);
	if (n > 0) {
		const struct meta_indoubt *sent = &ours->sent[n - 1];

		sqlite3_bind_text(s, 3, sent->etag, -1, SQLITE_STATIC);
		sqlite3_bind_int64(s, 4, (sqlite3_int64)sent->size);
		sqlite3_bind_int64(s, 5, sent->mtime_ns);
		sqlite3_bind_int64(s, 6, sent->mode);
		sqlite3_bind_int64(s, 7, sent->uid);
		sqlite3_bind_int64(s, 8, sent->gid);
		sqlite3_bind_int64(s, 9, sent->kind);
		sqlite3_bind_text(s, 10, sent->link_id, -1, SQLITE_STATIC);
	} else {
		sqlite3_bind_text(s, 11, ours->upload_id, -1, SQLITE_STATIC);
		sqlite3_bind_int64(s, 12, ours->since_ns);
		sqlite3_bind_int64(s, 13, ours->until_ns);
	}
	return sql_run(sql, s);
}

int
ours_put(struct sql *sql, uint64_t id, const struct meta_ours *ours)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_DEL_OURS);
	int r;

	if (s != NULL)
		sqlite3_bind_int64(s, 1, (sqlite3_int64)id);
	r = sql_run(sql, s);
	for (size_t n = 0; r == 0 && ours != NULL && n <= ours->count; n++)
		r = put(sql, id, n, ours);
	return r;
}

/* ---- read ---- */

static void
take(sqlite3_stmt *s, struct meta_ours *ours)
{
	struct meta_indoubt *sent;

	if (sqlite3_column_int64(s, 1) == 0) {
		sql_text(s, 10, ours->upload_id, sizeof(ours->upload_id));
		ours->since_ns = sqlite3_column_int64(s, 11);
		ours->until_ns = sqlite3_column_int64(s, 12);
		return;
	}
	sent = &ours->sent[ours->count++];
	sql_text(s, 2, sent->etag, sizeof(sent->etag));
	sent->size = (uint64_t)sqlite3_column_int64(s, 3);
	sent->mtime_ns = sqlite3_column_int64(s, 4);
	sent->mode = (uint32_t)sqlite3_column_int64(s, 5);
	sent->uid = (uint32_t)sqlite3_column_int64(s, 6);
	sent->gid = (uint32_t)sqlite3_column_int64(s, 7);
	sent->kind = sqlite3_column_int(s, 8);
	sql_text(s, 9, sent->link_id, sizeof(sent->link_id));
}

static int
read_all(sqlite3_stmt *s, struct meta_ours **out)
{
	struct meta_ours *ours = NULL;
	int code, r = 0;

	while (r == 0 && (code = sqlite3_step(s)) != SQLITE_DONE) {
		/* Their number is in each of them. */
		if (code == SQLITE_ROW && ours == NULL) {
			size_t rows = (size_t)sqlite3_column_int64(s, 0);

			ours = calloc(1, meta_ours_size(rows));
			r = ours == NULL ? -ENOMEM : 0;
		}
		if (r == 0 && code == SQLITE_ROW)
			take(s, ours);
		else if (r == 0)
			r = sql_errno(code) ?: -EIO;
	}
	if (r == 0)
		*out = ours;
	else
		free(ours);
	return r;
}

int
ours_get(struct meta *m, uint64_t id, struct meta_ours **out)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, SQL_GET_OURS);
	int r;

	if (s == NULL) {
		r = sql_errno(sqlite3_errcode(sql->db)) ?: -EIO;
	} else {
		sqlite3_bind_int64(s, 1, (sqlite3_int64)id);
		r = read_all(s, out);
		sqlite3_reset(s);
	}
	reader_put(m, sql);
	return r;
}
