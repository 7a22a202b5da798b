/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletions.  What one may take whose file had requests without an answer is
 * on record beside it: in its own row of its parts, and a row of each object.
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
del_ours(struct sql *sql, uint64_t id)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_DEL_OURS);

	if (s != NULL)
		sqlite3_bind_int64(s, 1, (sqlite3_int64)id);
	return sql_run(sql, s);
}

int
deletion_put(struct sql *sql, const struct meta_delete *d,
	     const struct meta_ours *ours)
{
	struct deletion_row row = { .id = d->id, .export_id = d->export_id,
				    .parts = d->parts, .doubt = ours != NULL };
	int r;

	strcpy(row.key, d->key);
	strcpy(row.etag, d->etag);
	if (ours != NULL) {
		strcpy(row.upload_id, ours->upload_id);
		row.since_ns = ours->since_ns;
		row.until_ns = ours->until_ns;
	}
	r = row_write(sql, SQL_PUT_DELETE, TABLE_DELETION, &row);
	if (r == 0)
		r = del_ours(sql, d->id);
	for (size_t n = 0; r == 0 && ours != NULL && n < ours->count; n++) {
		struct sent_row sent = { d->id, n, ours->sent[n] };

		r = row_write(sql, SQL_PUT_OURS, TABLE_OURS, &sent);
	}
	return r;
}

int
deletion_del(struct sql *sql, uint64_t id)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_DEL_DELETE);
	int r;

	if (s != NULL)
		sqlite3_bind_int64(s, 1, (sqlite3_int64)id);
	r = sql_run(sql, s);
	return r < 0 ? r : del_ours(sql, id);
}

/* ---- read ---- */

/* Its objects.  Their number is in each row. */
static int
read_all(sqlite3_stmt *s, struct meta_ours **out)
{
	struct meta_ours *ours = NULL;
	struct sent_row row = { 0 };
	int code, r = 0;

	while (r == 0 && (code = sqlite3_step(s)) != SQLITE_DONE) {
		if (code != SQLITE_ROW) {
			r = sql_errno(code) ?: -EIO;
			continue;
		}
		if (ours == NULL) {
			size_t rows = (size_t)sqlite3_column_int64(
				s, row_width(TABLE_OURS));

			ours = calloc(1, meta_ours_size(rows));
		}
		r = ours == NULL ? -ENOMEM : row_read(s, 0, TABLE_OURS, &row);
		if (r == 0)
			ours->sent[ours->count++] = row.sent;
	}
	if (r == 0 && ours == NULL) {
		ours = calloc(1, meta_ours_size(0));
		r = ours == NULL ? -ENOMEM : 0;
	}
	if (r == 0)
		*out = ours;
	else
		free(ours);
	return r;
}

static int
get_ours(struct meta *m, const struct deletion_row *row,
	 struct meta_ours **out)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, SQL_GET_OURS);
	int r;

	if (s == NULL) {
		r = sql_errno(sqlite3_errcode(sql->db)) ?: -EIO;
	} else {
		sqlite3_bind_int64(s, 1, (sqlite3_int64)row->id);
		r = read_all(s, out);
		sqlite3_reset(s);
	}
	reader_put(m, sql);
	if (r < 0)
		return r;
	strcpy((*out)->upload_id, row->upload_id);
	(*out)->since_ns = row->since_ns;
	(*out)->until_ns = row->until_ns;
	return 0;
}

int
deletion_get(struct meta *m, const struct deletion_row *row,
	     struct meta_delete *d)
{
	*d = (struct meta_delete){ .id = row->id, .export_id = row->export_id,
				   .parts = row->parts };
	strcpy(d->key, row->key);
	strcpy(d->etag, row->etag);
	return row->doubt ? get_ours(m, row, &d->ours) : 0;
}
