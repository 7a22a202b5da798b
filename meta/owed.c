/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bucket of an export is owed, counted by rows alone, so that it can
 * be told of exports that are not served, and asked before a name is given to
 * another bucket.
 *
 * And what becomes of its rows when its name is given to another bucket
 * (nfsd/gate/binding.c).
 *
 * Rows that no export claims (their inode has no row, or its export has none)
 * count for number 0: nothing explains them, and nothing drops them.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta/meta_priv.h"

struct owed_list {
	struct meta_owed *list;
	size_t count, room;
};

static uint64_t
number(sqlite3_stmt *s, int column)
{
	return (uint64_t)sqlite3_column_int64(s, column);
}

static int
take_owed(struct owed_list *all, sqlite3_stmt *s)
{
	struct meta_owed *owed;

	if (all->count == all->room) {
		size_t room = all->room > 0 ? all->room * 2 : 16;

		owed = realloc(all->list, room * sizeof(*owed));
		if (owed == NULL)
			return -ENOMEM;
		all->list = owed;
		all->room = room;
	}
	owed = &all->list[all->count++];
	*owed = (struct meta_owed){
		.export_id = (uint32_t)number(s, 0),
		.files = number(s, 2),
		.bytes = number(s, 3),
		.deletions = number(s, 4),
		.moves = number(s, 5),
		.quarantined = number(s, 6),
		.indoubt = number(s, 7),
	};
	sql_text(s, 1, owed->name, sizeof(owed->name));
	return 0;
}

static int
read_owed(struct sql *sql, struct owed_list *all)
{
	sqlite3_stmt *s = sql_stmt(sql, SQL_EACH_OWED);
	int code = SQLITE_DONE, r = 0;

	if (s == NULL)
		return sql_errno(sqlite3_errcode(sql->db)) ?: -EIO;
	while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW)
		r = take_owed(all, s);
	if (r == 0)
		r = sql_errno(code);
	sqlite3_reset(s);
	return r;
}

bool
meta_owes(const struct meta_owed *o)
{
	return (o->files | o->bytes | o->deletions | o->moves |
		o->quarantined | o->indoubt) != 0;
}

int
meta_each_owed(struct meta *m,
	       int (*each)(void *arg, const struct meta_owed *owed), void *arg)
{
	struct owed_list all = { 0 };
	struct sql *sql = reader_get(m);
	int r = read_owed(sql, &all);

	/* Who is called may ask for a connection, too. */
	reader_put(m, sql);
	for (size_t i = 0; r == 0 && i < all.count; i++)
		r = each(arg, &all.list[i]);
	free(all.list);
	return r < 0 ? r : 0;
}

int
meta_find_export(struct meta *m, const char *name, uint32_t *id)
{
	struct sql *sql = reader_get(m);
	sqlite3_stmt *s = sql_stmt(sql, SQL_GET_EXPORT);
	int r;

	if (s == NULL) {
		r = sql_errno(sqlite3_errcode(sql->db)) ?: -EIO;
		reader_put(m, sql);
		return r;
	}
	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	r = sqlite3_step(s);
	if (r == SQLITE_ROW)
		*id = (uint32_t)number(s, 0);
	r = r == SQLITE_DONE ? -ENOENT : sql_errno(r);
	sqlite3_reset(s);
	reader_put(m, sql);
	return r;
}

/* All of it or nothing; takes text over, which sqlite3_mprintf made. */
static int
run_all(struct meta *m, char *text)
{
	struct sql *sql;
	int r;

	if (text == NULL)
		return -ENOMEM;
	sql = reader_get(m);
	r = sql_exec(sql, "BEGIN IMMEDIATE");
	if (r == 0) {
		r = sql_exec(sql, text);
		if (r == 0)
			r = sql_exec(sql, "COMMIT");
		/* May say that there is none; then there is none. */
		if (r < 0)
			(void)sql_exec(sql, "ROLLBACK");
	}
	reader_put(m, sql);
	sqlite3_free(text);
	return r;
}

#define OF_EXPORT " WHERE ino IN (SELECT ino FROM inode WHERE export = %u);"

int
meta_drop_export(struct meta *m, uint32_t id)
{
	int r = run_all(m, sqlite3_mprintf(
		"DELETE FROM name" OF_EXPORT "DELETE FROM handle" OF_EXPORT
		"DELETE FROM journal" OF_EXPORT
		"DELETE FROM link WHERE export = %u;"
		"DELETE FROM inode WHERE export = %u;"
		"DELETE FROM setting WHERE name IN ('root.%u', 'place.%u');"
		"DELETE FROM export WHERE id = %u;",
		id, id, id, id, id, id, id, id));

	return r < 0 ? r : names_count(m);
}

int
meta_rename_export(struct meta *m, uint32_t id, const char *name,
		   uint64_t root, uint64_t new_root)
{
	long long from = (long long)root, to = (long long)new_root;
	unsigned char blob[8];
	char hex[17];

	memcpy(blob, &new_root, sizeof(blob));
	for (size_t i = 0; i < sizeof(blob); i++)
		snprintf(hex + 2 * i, 3, "%02x", blob[i]);
	return run_all(m, sqlite3_mprintf(
		"UPDATE export SET name = %Q WHERE id = %u;"
		"UPDATE inode SET ino = %lld WHERE ino = %lld;"
		"UPDATE name SET parent = %lld WHERE parent = %lld;"
		"UPDATE upload SET ino = %lld WHERE ino = %lld;"
		"UPDATE unanswered SET ino = %lld WHERE ino = %lld;"
		"UPDATE handle SET ino = %lld WHERE ino = %lld;"
		"UPDATE move SET ino = %lld WHERE ino = %lld;"
		"UPDATE setting SET value = x'%s' WHERE name = 'root.%u';",
		name, id, to, from, to, from, to, from, to, from, to, from, to,
		from, hex, id));
}
