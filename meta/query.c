/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the store that one row answers: each borrows a reading
 * connection, whose WAL snapshot holds every batch that was answered before.
 * walk.c has those with many rows.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "meta/meta_priv.h"

static uint64_t
col(sqlite3_stmt *s, int i)
{
	return (uint64_t)sqlite3_column_int64(s, i);
}

/* And what links it to other names, if it has more than one. */
static int
row_inode(void *arg, sqlite3_stmt *s)
{
	int link = row_width(TABLE_INODE), r;
	struct meta_inode *n = arg;

	memset(n, 0, sizeof(*n));
	r = row_read(s, 0, TABLE_INODE, n);
	if (r == 0 && sqlite3_column_type(s, link) != SQLITE_NULL)
		r = row_read(s, link, TABLE_LINK, n);
	if (r < 0)
		meta_inode_fini(n);
	return r;
}

void
meta_inode_fini(struct meta_inode *inode)
{
	free(inode->target);
	inode->target = NULL;
}

int
meta_inode_copy(const struct meta_inode *from, struct meta_inode *to)
{
	*to = *from;
	if (from->target != NULL) {
		to->target = strdup(from->target);
		if (to->target == NULL)
			return -ENOMEM;
	}
	return 0;
}

/*
 * A question: borrow a connection, bind, hand each row to `row`, give back.
 * row() returns 0 to go on, 1 to stop, or a negative errno.
 */
struct question {
	enum sql_id id;
	const uint64_t *numbers;
	int number_count;
	const void *blob;	/* bound after the numbers, if not NULL */
	int blob_len;
	bool text;		/* it is text */
};

static int
ask(struct meta *m, const struct question *q,
    int (*row)(void *arg, sqlite3_stmt *s), void *arg)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, q->id);
	int code, r = 0, rows = 0;

	if (s == NULL) {
		r = sql_errno(sqlite3_errcode(sql->db)) ?: -EIO;
		reader_put(m, sql);
		return r;
	}
	for (int i = 0; i < q->number_count; i++)
		sqlite3_bind_int64(s, i + 1, (sqlite3_int64)q->numbers[i]);
	if (q->text)
		sqlite3_bind_text(s, q->number_count + 1, q->blob, q->blob_len,
				  SQLITE_STATIC);
	else if (q->blob != NULL)
		sqlite3_bind_blob(s, q->number_count + 1, q->blob, q->blob_len,
				  SQLITE_STATIC);
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		rows++;
		r = row(arg, s);
		if (r != 0)
			break;
	}
	sqlite3_reset(s);
	reader_put(m, sql);
	if (r != 0)
		return r < 0 ? r : rows;
	r = sql_errno(code);
	return r < 0 ? r : rows;
}

static int
one(int rows)
{
	return rows < 0 ? rows : rows == 0 ? -ENOENT : 0;
}

int
meta_get_inode(struct meta *m, uint64_t ino, struct meta_inode *out)
{
	struct question q = { SQL_GET_INODE, &ino, 1, NULL, 0, false };

	return one(ask(m, &q, row_inode, out));
}

static int
row_name(void *arg, sqlite3_stmt *s)
{
	struct meta_name *n = arg;
	int r = row_read(s, 0, TABLE_NAME, n);

	n->file = n->ino;
	return r;
}

int
meta_get_name(struct meta *m, uint64_t parent, const char *name,
	      struct meta_name *out)
{
	struct question q = { SQL_GET_NAME, &parent, 1, name,
			      (int)strlen(name), false };

	return one(ask(m, &q, row_name, out));
}

int
meta_name_of(struct meta *m, uint64_t ino, struct meta_name *out)
{
	struct question q = { SQL_NAME_OF, &ino, 1, NULL, 0, false };

	return one(ask(m, &q, row_name, out));
}

static int
row_count(void *arg, sqlite3_stmt *s)
{
	*(uint64_t *)arg = col(s, 0);
	return 0;
}

int
meta_count_dirs(struct meta *m, uint64_t parent, uint64_t *count)
{
	struct question q = { SQL_COUNT_DIRS, &parent, 1, NULL, 0, false };

	return one(ask(m, &q, row_count, count));
}

static int
row_ino(void *arg, sqlite3_stmt *s)
{
	*(uint64_t *)arg = col(s, 0);
	return 1;
}

int
meta_find_link(struct meta *m, uint32_t export_id, const char *link_id,
	       uint64_t *ino)
{
	uint64_t number = export_id;
	struct question q = { SQL_FIND_LINK, &number, 1, link_id,
			      (int)strlen(link_id), true };

	return one(ask(m, &q, row_ino, ino));
}

/* Questions with several keys bind for themselves. */
static void
bind_key(sqlite3_stmt *s, int i, const char *key, size_t len)
{
	sqlite3_bind_blob(s, i, key, (int)len, SQLITE_TRANSIENT);
}

static void
bind_end(sqlite3_stmt *s, int i, const char *prefix)
{
	char end[META_KEY_MAX + 2];

	bind_key(s, i, end, sql_prefix_end(prefix, end));
}

int
meta_count_relocating(struct meta *m, uint32_t export_id, const char *prefix,
		   uint64_t *count, uint64_t *bytes)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, SQL_COUNT_RELOCATING);
	int code = SQLITE_ERROR;
	double total;

	if (s != NULL) {
		bind_key(s, 1, prefix, strlen(prefix));
		bind_end(s, 2, prefix);
		sqlite3_bind_int64(s, 3, export_id);
		code = sqlite3_step(s);
		if (code == SQLITE_ROW) {
			*count = col(s, 0);
			total = sqlite3_column_double(s, 1);
			*bytes = (uint64_t)total;
		}
		sqlite3_reset(s);
	}
	reader_put(m, sql);
	return code == SQLITE_ROW ? 0 : sql_errno(code) ?: -EIO;
}

int
meta_has_relocating(struct meta *m, uint32_t export_id, const char *key)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, SQL_HAS_RELOCATING);
	int code = SQLITE_ERROR;

	if (s != NULL) {
		sqlite3_bind_int64(s, 1, export_id);
		bind_key(s, 2, key, strlen(key));
		code = sqlite3_step(s);
		sqlite3_reset(s);
	}
	reader_put(m, sql);
	return code == SQLITE_ROW ? 1
	       : code == SQLITE_DONE ? 0
				     : sql_errno(code) ?: -EIO;
}

int
meta_get_drc(struct meta *m, const uint8_t key[16], int64_t not_before_ns,
		uint64_t *ino, uint32_t *generation)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, SQL_GET_DRC);
	struct drc_row row;
	int code = SQLITE_ERROR, r = 0;

	if (s != NULL) {
		sqlite3_bind_blob(s, 1, key, 16, SQLITE_STATIC);
		sqlite3_bind_int64(s, 2, not_before_ns);
		code = sqlite3_step(s);
		if (code == SQLITE_ROW)
			r = row_read(s, 0, TABLE_DRC, &row);
		sqlite3_reset(s);
	}
	reader_put(m, sql);
	if (code == SQLITE_DONE)
		return -ENOENT;
	if (code != SQLITE_ROW)
		return sql_errno(code) ?: -EIO;
	if (r == 0) {
		*ino = row.ino;
		*generation = row.generation;
	}
	return r;
}

static int
row_any(void *arg, sqlite3_stmt *s)
{
	(void)arg;
	(void)s;
	return 0;
}

bool
meta_any_drc(struct meta *m, int64_t not_before_ns)
{
	uint64_t number = (uint64_t)not_before_ns;
	struct question q = { SQL_ANY_DRC, &number, 1, NULL, 0, false };

	/* If it cannot be told, there may be some. */
	return ask(m, &q, row_any, NULL) != 0;
}

struct value {
	void *out;
	size_t size;
	ssize_t len;
};

static int
row_value(void *arg, sqlite3_stmt *s)
{
	struct value *v = arg;
	size_t len = (size_t)sqlite3_column_bytes(s, 0);

	if (len > v->size)
		len = v->size;
	if (len > 0)
		memcpy(v->out, sqlite3_column_blob(s, 0), len);
	v->len = (ssize_t)len;
	return 0;
}

ssize_t
meta_get_setting(struct meta *m, const char *name, void *value, size_t size)
{
	struct question q = { SQL_GET_SETTING, NULL, 0, name,
			      (int)strlen(name), true };
	struct value v = { value, size, 0 };
	int r = one(ask(m, &q, row_value, &v));

	return r < 0 ? r : v.len;
}

static int
row_number(void *arg, sqlite3_stmt *s)
{
	*(uint32_t *)arg = (uint32_t)col(s, 0);
	return 0;
}

int
meta_export_id(struct meta *m, const char *name, uint32_t *id)
{
	struct question q = { SQL_GET_EXPORT, NULL, 0, name,
			      (int)strlen(name), true };
	struct sql *sql;
	sqlite3_stmt *s;
	int r = one(ask(m, &q, row_number, id));

	if (r != -ENOENT)
		return r;
	/* Once in an export's life; a reading connection may write, too. */
	sql = reader_get(m);
	s = sql_stmt(sql, SQL_ADD_EXPORT);
	if (s != NULL)
		sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	r = sql_run(sql, s);
	reader_put(m, sql);
	return r < 0 ? r : one(ask(m, &q, row_number, id));
}
