/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions that many rows answer.  Rows are read a page at a time, and the
 * caller gets them when the reading connection is given back: what he does
 * with one may ask the store again, commit, or take as long as it likes.
 * There are few connections, and a thread that held one while it waited for
 * another would, with others like it, wait for ever.
 *
 * The next page begins behind the last row, by its key.  A walk of several
 * pages is no snapshot: a row that comes or goes meanwhile may be met or not,
 * all others are met once.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "meta/meta_priv.h"

#define PAGE_BYTES 65536
#define PAGE_ROWS 500

struct key {
	const void *bytes;
	size_t len;
	bool text;
};

/* The statement's parameters are numbers, then keys, then the limit. */
struct walk {
	struct meta *meta;
	enum sql_id id;
	size_t size;		/* of a row */
	enum table_id table;	/* whose it is, unless one reads it */
	int (*read)(sqlite3_stmt *s, void *row);
	/* Have the next page begin behind this row. */
	void (*go_on)(struct walk *w, const void *last);
	uint64_t numbers[2];
	int number_count;
	struct key keys[3];
	int key_count;
	uint64_t left;		/* rows that the caller still wants */

	char *rows;
	size_t room, count, at;
	bool ended;
	int result;
};

static uint64_t
col(sqlite3_stmt *s, int i)
{
	return (uint64_t)sqlite3_column_int64(s, i);
}

static struct key
blob(const char *text)
{
	return (struct key){ text, strlen(text), false };
}

static void
bind_all(const struct walk *w, sqlite3_stmt *s)
{
	int i = 1;

	for (int n = 0; n < w->number_count; n++)
		sqlite3_bind_int64(s, i++, (sqlite3_int64)w->numbers[n]);
	/* Copied: some are in the page that is read over. */
	for (int n = 0; n < w->key_count; n++) {
		const struct key *k = &w->keys[n];

		if (k->text)
			sqlite3_bind_text(s, i++, k->bytes, (int)k->len,
					  SQLITE_TRANSIENT);
		else
			sqlite3_bind_blob(s, i++, k->bytes, (int)k->len,
					  SQLITE_TRANSIENT);
	}
	sqlite3_bind_int64(s, i, (sqlite3_int64)w->room);
}

static int
read_row(const struct walk *w, sqlite3_stmt *s, void *row)
{
	return w->read != NULL ? w->read(s, row)
			       : row_read(s, 0, w->table, row);
}

static int
read_page(struct walk *w, struct sql *sql)
{
	sqlite3_stmt *s = sql_stmt(sql, w->id);
	int code, r = 0;

	if (s == NULL)
		return sql_errno(sqlite3_errcode(sql->db)) ?: -EIO;
	bind_all(w, s);
	w->at = w->count = 0;
	while (r == 0 && w->count < w->room &&
	       (code = sqlite3_step(s)) != SQLITE_DONE) {
		if (code != SQLITE_ROW)
			r = sql_errno(code) ?: -EIO;
		else
			r = read_row(w, s, w->rows + w->size * w->count);
		w->count += r == 0;
	}
	sqlite3_reset(s);
	return r;
}

static void
turn_page(struct walk *w)
{
	size_t room = PAGE_BYTES / w->size;
	struct sql *sql;

	if (w->rows == NULL) {
		if (room > PAGE_ROWS)
			room = PAGE_ROWS;
		w->room = w->left < room ? (size_t)w->left : room;
		w->rows = malloc(w->room * w->size);
		w->result = w->rows == NULL ? -ENOMEM : 0;
	} else {
		w->go_on(w, w->rows + w->size * (w->count - 1));
		w->room = w->left < w->room ? (size_t)w->left : w->room;
	}
	if (w->result == 0) {
		sql = reader_get(w->meta);
		w->result = read_page(w, sql);
		reader_put(w->meta, sql);
	}
	w->left -= w->count;
	w->ended = w->result < 0 || w->count < w->room;
}

/* The next row, the caller's until the next call; NULL: no more, or an
 * error. */
static void *
walk_next(struct walk *w)
{
	if (w->at == w->count && !w->ended && w->left > 0)
		turn_page(w);
	return w->result == 0 && w->at < w->count
		       ? w->rows + w->size * w->at++
		       : NULL;
}

/* r: the last result of each(). */
static int
walk_end(struct walk *w, int r)
{
	free(w->rows);
	w->rows = NULL;
	return w->result < 0 ? w->result : r < 0 ? r : 0;
}

/* ---- how to go on ---- */

/* Rows that begin with their key, a number: behind it. */
static void
behind_number(struct walk *w, const void *last)
{
	w->numbers[w->number_count - 1] = *(const uint64_t *)last;
}

/* Extents: the first that may follow. */
static void
behind_offset(struct walk *w, const void *last)
{
	const struct extent_row *row = last;

	w->numbers[w->number_count - 1] = row->e.off + 1;
}

/* ---- names ---- */

static int
read_name(sqlite3_stmt *s, void *row)
{
	int r = row_read(s, 0, TABLE_NAME, row), target = row_width(TABLE_NAME);
	struct meta_name *n = row;

	n->file = col(s, target);
	if (n->file == 0)
		n->file = n->ino;
	return r;
}

int
meta_each_name(struct meta *m, uint64_t parent, uint64_t after,
	       unsigned limit,
	       int (*each)(void *arg, const struct meta_name *name), void *arg)
{
	const struct meta_name *n;
	struct walk w = { .meta = m, .id = SQL_EACH_NAME, .size = sizeof(*n),
			  .read = read_name, .go_on = behind_number,
			  .numbers = { parent, after }, .number_count = 2,
			  .left = limit };
	int r = 0;

	while ((n = walk_next(&w)) != NULL && (r = each(arg, n)) == 0)
		;
	return walk_end(&w, r);
}

static int
read_known(sqlite3_stmt *s, void *row)
{
	int at = row_width(TABLE_NAME);
	struct meta_known *k = row;
	int r = row_read(s, 0, TABLE_NAME, &k->name);

	k->name.file = k->name.ino;
	k->mode = (uint32_t)col(s, at);
	k->uid = (uint32_t)col(s, at + 1);
	k->gid = (uint32_t)col(s, at + 2);
	k->mtime_ns = sqlite3_column_int64(s, at + 3);
	k->base_mtime_ns = sqlite3_column_int64(s, at + 4);
	k->plain = col(s, at + 5) != 0;
	return r;
}

int
meta_each_known(struct meta *m, uint64_t after, unsigned limit,
		int (*each)(void *arg, const struct meta_known *known),
		void *arg)
{
	const struct meta_known *k;
	struct walk w = { .meta = m, .id = SQL_EACH_KNOWN, .size = sizeof(*k),
			  .read = read_known, .go_on = behind_number,
			  .numbers = { after }, .number_count = 1,
			  .left = limit };
	int r = 0;

	while ((k = walk_next(&w)) != NULL && (r = each(arg, k)) == 0)
		;
	return walk_end(&w, r);
}

/* The next possible name is one byte longer: a 0. */
static void
behind_name(struct walk *w, const void *last)
{
	const struct meta_name *n = last;

	w->keys[0] = blob(n->name);
	w->keys[0].len++;
}

int
meta_each_name_between(struct meta *m, uint64_t parent, const char *from,
		       const char *to,
		       int (*each)(void *arg, const struct meta_name *name),
		       void *arg)
{
	char most[META_NAME_MAX + 1];
	const struct meta_name *n;
	struct walk w = { .meta = m, .id = SQL_EACH_NAME_BETWEEN,
			  .size = sizeof(*n), .read = read_name,
			  .go_on = behind_name,
			  .numbers = { parent }, .number_count = 1,
			  .keys = { blob(from), { most, sizeof(most), false } },
			  .key_count = 2, .left = UINT64_MAX };
	int r = 0;

	memset(most, 0xff, sizeof(most));	/* behind all names */
	if (to != NULL)
		w.keys[1] = blob(to);
	while ((n = walk_next(&w)) != NULL && (r = each(arg, n)) == 0)
		;
	return walk_end(&w, r);
}

/* ---- links ---- */

static int
read_number(sqlite3_stmt *s, void *row)
{
	*(uint64_t *)row = col(s, 0);
	return 0;
}

static int
each_number(struct walk *w, int (*each)(void *arg, uint64_t number), void *arg)
{
	const uint64_t *number;
	int r = 0;

	w->size = sizeof(*number);
	w->read = read_number;
	w->go_on = behind_number;
	w->left = UINT64_MAX;
	while ((number = walk_next(w)) != NULL && (r = each(arg, *number)) == 0)
		;
	return walk_end(w, r);
}

int
meta_each_link(struct meta *m, uint64_t ino,
	       int (*each)(void *arg, uint64_t ino), void *arg)
{
	struct walk w = { .meta = m, .id = SQL_EACH_LINK,
			  .numbers = { ino, 0 }, .number_count = 2 };

	return each_number(&w, each, arg);
}

int
meta_each_stale_link(struct meta *m, int (*each)(void *arg, uint64_t ino),
		     void *arg)
{
	struct walk w = { .meta = m, .id = SQL_EACH_STALE_LINK,
			  .number_count = 1 };

	return each_number(&w, each, arg);
}

/* ---- handles ---- */

static void
behind_handle(struct walk *w, const void *last)
{
	const struct meta_handle *h = last;

	w->numbers[0] = h->ino;
	w->keys[0] = (struct key){ h->who, strlen(h->who), true };
}

int
meta_each_handle(struct meta *m, uint64_t ino,
		 int (*each)(void *arg, const struct meta_handle *h),
		 void *arg)
{
	const struct meta_handle *h;
	struct walk w = { .meta = m,
			  .id = ino ? SQL_EACH_HANDLE_OF : SQL_EACH_HANDLE,
			  .size = sizeof(*h), .table = TABLE_HANDLE,
			  .go_on = behind_handle,
			  .numbers = { ino }, .number_count = 1,
			  .keys = { { "", 0, true } }, .key_count = 1,
			  .left = UINT64_MAX };
	int r = 0;

	while ((h = walk_next(&w)) != NULL && (r = each(arg, h)) == 0)
		;
	return walk_end(&w, r);
}

/* ---- extents and the journal ---- */

static struct walk
extents(struct meta *m, enum sql_id id, enum table_id table, uint64_t of)
{
	return (struct walk){ .meta = m, .id = id,
			      .size = sizeof(struct extent_row),
			      .table = table, .go_on = behind_offset,
			      .numbers = { of, 0 }, .number_count = 2,
			      .left = UINT64_MAX };
}

int
meta_each_extent(struct meta *m, uint64_t ino,
		 int (*each)(void *arg, const struct meta_extent *e,
			     bool durable),
		 void *arg)
{
	struct walk staged = extents(m, SQL_EACH_EXTENT, TABLE_EXTENT, ino);
	struct walk durable = extents(m, SQL_EACH_HARD, TABLE_HARD, ino);
	const struct extent_row *row;
	int r = 0, error;

	while ((row = walk_next(&staged)) != NULL &&
	       (r = each(arg, &row->e, false)) == 0)
		;
	error = walk_end(&staged, r);
	while (error == 0 && r == 0 && (row = walk_next(&durable)) != NULL)
		r = each(arg, &row->e, true);
	return walk_end(&durable, error < 0 ? error : r);
}

int
meta_each_quarantine_extent(struct meta *m, uint64_t id,
			    int (*each)(void *arg,
					const struct meta_extent *e),
			    void *arg)
{
	struct walk w = extents(m, SQL_EACH_QUARANTINE_EXTENT,
				TABLE_QUARANTINE_EXTENT, id);
	const struct extent_row *row;
	int r = 0;

	while ((row = walk_next(&w)) != NULL && (r = each(arg, &row->e)) == 0)
		;
	return walk_end(&w, r);
}

/* One to a page, as they have their bytes with them: the size says so. */
int
meta_each_journal(struct meta *m,
		  int (*each)(void *arg, uint64_t ino, uint64_t at,
			      const void *data, size_t len),
		  void *arg)
{
	struct walk w = { .meta = m, .id = SQL_EACH_JOURNAL,
			  .size = PAGE_BYTES, .table = TABLE_JOURNAL,
			  .go_on = behind_number, .number_count = 1,
			  .left = UINT64_MAX };
	struct journal_row *row;
	int r = 0;

	while (r == 0 && (row = walk_next(&w)) != NULL) {
		r = each(arg, row->ino, row->at, row->data.bytes,
			 row->data.len);
		free(row->data.bytes);
	}
	return walk_end(&w, r);
}

/* ---- what S3 has to be told ---- */

int
meta_each_upload(struct meta *m,
		 int (*each)(void *arg, const struct meta_upload *u),
		 void *arg)
{
	const struct meta_upload *u;
	struct walk w = { .meta = m, .id = SQL_EACH_UPLOAD,
			  .size = sizeof(*u), .table = TABLE_UPLOAD,
			  .go_on = behind_number, .number_count = 1,
			  .left = UINT64_MAX };
	int r = 0;

	while ((u = walk_next(&w)) != NULL && (r = each(arg, u)) == 0)
		;
	return walk_end(&w, r);
}

static void
behind_sent(struct walk *w, const void *last)
{
	const struct sent_row *sent = last;

	w->numbers[0] = sent->of;
	w->numbers[1] = sent->n;
}

int
meta_each_indoubt(struct meta *m,
	       int (*each)(void *arg, uint64_t ino,
			   const struct meta_indoubt *sent),
	       void *arg)
{
	const struct sent_row *sent;
	struct walk w = { .meta = m, .id = SQL_EACH_SENT,
			  .size = sizeof(*sent), .table = TABLE_SENT,
			  .go_on = behind_sent, .number_count = 2,
			  .left = UINT64_MAX };
	int r = 0;

	while ((sent = walk_next(&w)) != NULL &&
	       (r = each(arg, sent->of, &sent->sent)) == 0)
		;
	return walk_end(&w, r);
}

int
meta_each_delete(struct meta *m,
		 int (*each)(void *arg, const struct meta_delete *d),
		 void *arg)
{
	const struct deletion_row *row;
	struct walk w = { .meta = m, .id = SQL_EACH_DELETE,
			  .size = sizeof(*row), .table = TABLE_DELETION,
			  .go_on = behind_number, .number_count = 1,
			  .left = UINT64_MAX };
	int r = 0;

	while (r == 0 && (row = walk_next(&w)) != NULL) {
		struct meta_delete d;

		r = deletion_get(m, row, &d);
		if (r == 0) {
			r = each(arg, &d);
			free(d.ours);
		}
	}
	return walk_end(&w, r);
}

int
meta_each_gone(struct meta *m,
	       int (*each)(void *arg, const struct meta_gone *gone), void *arg)
{
	struct gone_row *row;
	struct walk w = { .meta = m, .id = SQL_EACH_GONE,
			  .size = sizeof(*row), .table = TABLE_GONE,
			  .go_on = behind_number, .number_count = 1,
			  .left = UINT64_MAX };
	int r = 0;

	while (r == 0 && (row = walk_next(&w)) != NULL) {
		row->gone.age_s = (int64_t)time(NULL) - row->at_s;
		r = each(arg, &row->gone);
	}
	return walk_end(&w, r);
}

/* ---- quarantine ---- */

int
meta_each_quarantine(struct meta *m,
		     int (*each)(void *arg, const struct meta_quarantine *q),
		     void *arg)
{
	const struct meta_quarantine *q;
	struct walk w = { .meta = m, .id = SQL_EACH_QUARANTINE,
			  .size = sizeof(*q), .table = TABLE_QUARANTINE,
			  .go_on = behind_number, .number_count = 1,
			  .left = UINT64_MAX };
	int r = 0;

	while ((q = walk_next(&w)) != NULL && (r = each(arg, q)) == 0)
		;
	return walk_end(&w, r);
}

/* ---- renames of directories ---- */

int
meta_each_dirmove(struct meta *m,
	       int (*each)(void *arg, const struct meta_dirmove *move),
	       void *arg)
{
	const struct meta_dirmove *move;
	struct walk w = { .meta = m, .id = SQL_EACH_MOVE,
			  .size = sizeof(*move), .table = TABLE_MOVE,
			  .go_on = behind_number, .number_count = 1,
			  .left = UINT64_MAX };
	int r = 0;

	while ((move = walk_next(&w)) != NULL && (r = each(arg, move)) == 0)
		;
	return walk_end(&w, r);
}

static int
read_in_place(sqlite3_stmt *s, void *row)
{
	struct meta_in_place *u = row;

	u->name_id = col(s, 0);
	u->ino = col(s, 1);
	u->kind = (int)col(s, 2);
	sql_text(s, 3, u->key, sizeof(u->key));
	return 0;
}

int
meta_each_in_place(struct meta *m, uint64_t parent,
		    int (*each)(void *arg, const struct meta_in_place *u),
		    void *arg)
{
	const struct meta_in_place *u;
	struct walk w = { .meta = m, .id = SQL_EACH_IN_PLACE,
			  .size = sizeof(*u), .read = read_in_place,
			  .go_on = behind_number, .numbers = { parent },
			  .number_count = 2, .left = UINT64_MAX };
	int r = 0;

	while ((u = walk_next(&w)) != NULL && (r = each(arg, u)) == 0)
		;
	return walk_end(&w, r);
}

struct relocating {
	uint64_t ino;
	char key[META_KEY_MAX + 2];
};

static int
read_relocating(sqlite3_stmt *s, void *row)
{
	struct relocating *c = row;

	c->ino = col(s, 0);
	sql_text(s, 1, c->key, sizeof(c->key));
	return 0;
}

static void
behind_relocating(struct walk *w, const void *last)
{
	const struct relocating *c = last;

	w->keys[1] = blob(c->key);
}

/* Of a statement by export and base_key. */
static int
each_keyed(struct meta *m, enum sql_id id, const struct meta_keys *keys,
	   int (*each)(void *arg, uint64_t ino, const char *key), void *arg)
{
	char end[META_KEY_MAX + 2];
	size_t len = sql_prefix_end(keys->prefix, end);
	const struct relocating *c;
	struct walk w = { .meta = m, .id = id,
			  .size = sizeof(*c), .read = read_relocating,
			  .go_on = behind_relocating,
			  .numbers = { keys->export_id }, .number_count = 1,
			  .keys = { blob(keys->prefix), blob(keys->after),
				    { end, len, false } },
			  .key_count = 3, .left = keys->limit };
	int r = 0;

	while ((c = walk_next(&w)) != NULL &&
	       (r = each(arg, c->ino, c->key)) == 0)
		;
	return walk_end(&w, r);
}

int
meta_each_relocating(struct meta *m, const struct meta_keys *keys,
		     int (*each)(void *arg, uint64_t ino, const char *key),
		     void *arg)
{
	return each_keyed(m, SQL_EACH_RELOCATING, keys, each, arg);
}

int
meta_each_cold(struct meta *m, const struct meta_keys *keys,
	       int (*each)(void *arg, uint64_t ino, const char *key),
	       void *arg)
{
	return each_keyed(m, SQL_EACH_COLD, keys, each, arg);
}
