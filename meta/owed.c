/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bucket of an export is owed, counted by rows alone, so that it can
 * be told of exports that are not served, and asked before a name is given to
 * another bucket.
 *
 * Rows that no export claims (their inode has no row, or its export has none)
 * count for number 0: nothing explains them, and nothing drops them.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "meta/meta_priv.h"

struct owed_walk {
	int (*each)(void *arg, const struct meta_owed *owed);
	void *arg;
};

static uint64_t
number(sqlite3_stmt *s, int column)
{
	return (uint64_t)sqlite3_column_int64(s, column);
}

static int
walk(struct sql *sql, sqlite3_stmt *s, struct owed_walk *w)
{
	int code = SQLITE_DONE, r = 0;

	if (s == NULL)
		return sql_errno(sqlite3_errcode(sql->db)) ?: -EIO;
	while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
		struct meta_owed owed = {
			.export_id = (uint32_t)number(s, 0),
			.files = number(s, 2),
			.bytes = number(s, 3),
			.deletions = number(s, 4),
			.moves = number(s, 5),
			.quarantined = number(s, 6),
			.unanswered = number(s, 7),
		};

		sql_text(s, 1, owed.name, sizeof(owed.name));
		r = w->each(w->arg, &owed);
	}
	if (r == 0)
		r = sql_errno(code);
	sqlite3_reset(s);
	return r < 0 ? r : 0;
}

bool
meta_owes(const struct meta_owed *o)
{
	return (o->files | o->bytes | o->deletions | o->moves |
		o->quarantined | o->unanswered) != 0;
}

int
meta_each_owed(struct meta *m,
	       int (*each)(void *arg, const struct meta_owed *owed), void *arg)
{
	struct owed_walk w = { each, arg };
	struct sql *sql = reader_get(m);
	int r = walk(sql, sql_stmt(sql, SQL_EACH_OWED), &w);

	reader_put(m, sql);
	return r;
}
