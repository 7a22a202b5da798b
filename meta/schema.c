/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of the database (PRAGMA user_version), and the way from each one to
 * the next.
 *
 *	0	there is nothing: the tables are made as tables.c has them
 *	1	every program up to 2026-11; tables came without a new number,
 *		so that some may be missing
 *	2	no bits and marks that share a column with something else: flags
 *		of inodes, what a deletion may take, a handle that lapsed, what
 *		S3 refused
 *
 * The way is one transaction, number and all: a statement that fails or a kill
 * leaves the old version whole.  What a newer program wrote is not ours to
 * read, let alone to change: its files are left as they are.
 *
 * Steps are never changed once they are out; they tell what a version looked
 * like when it was left, and must end in what tables.c makes
 * (tests/test_meta_versions.c compares the two, and has a database of each).
 */

#include <config.h>

#include <errno.h>

#include "meta/meta_priv.h"

#define CURRENT 2

static const char *const indexes[] = {
	"CREATE UNIQUE INDEX name_by_parent ON name (parent, name)",
	"CREATE INDEX name_in_order ON name (parent, id)",
	"CREATE INDEX name_by_ino ON name (ino)",
	/* 2: directories (ftype3) */
	"CREATE INDEX name_of_dir ON name (parent) WHERE kind = 2",
	"CREATE INDEX journal_by_ino ON journal (ino)",
	"CREATE INDEX replay_by_age ON replay (at)",
	/* Keys that are their inode's own only by an old name. */
	"CREATE INDEX inode_relocating ON inode (export, base_key)"
	" WHERE relocating",
	"CREATE INDEX inode_cold ON inode (export, base_key) WHERE cold",
	"CREATE INDEX link_by_target ON link (target)",
	"CREATE INDEX link_by_id ON link (id)",
	NULL
};

/* ---- from version 1 ---- */

static const char *const from_1[] = {
	/* What came to it by and by. */
	"CREATE INDEX IF NOT EXISTS name_of_dir ON name (parent)"
	" WHERE kind = 2",
	"CREATE TABLE IF NOT EXISTS hard_extent (ino INTEGER, off INTEGER,"
	" len INTEGER, at INTEGER, PRIMARY KEY (ino, off)) WITHOUT ROWID",
	"CREATE TABLE IF NOT EXISTS unanswered (ino INTEGER, n INTEGER,"
	" key TEXT, etag TEXT, replaced INTEGER, size INTEGER, mtime INTEGER,"
	" mode INTEGER, uid INTEGER, gid INTEGER, kind INTEGER, link TEXT,"
	" PRIMARY KEY (ino, n)) WITHOUT ROWID",
	"CREATE TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY"
	" AUTOINCREMENT, export INTEGER, key TEXT, at INTEGER)",
	"CREATE TABLE IF NOT EXISTS deletion_ours (id INTEGER, n INTEGER,"
	" etag TEXT, size INTEGER, mtime INTEGER, mode INTEGER, uid INTEGER,"
	" gid INTEGER, kind INTEGER, link TEXT, upload_id TEXT, since INTEGER,"
	" until INTEGER, PRIMARY KEY (id, n)) WITHOUT ROWID",
	"CREATE TABLE IF NOT EXISTS move (id INTEGER PRIMARY KEY, export"
	" INTEGER, ino INTEGER, listed INTEGER, source BLOB, after BLOB,"
	" since INTEGER, objects INTEGER, bytes INTEGER)",
	"CREATE TABLE IF NOT EXISTS link (ino INTEGER PRIMARY KEY, export"
	" INTEGER, id TEXT, target INTEGER, version INTEGER)",
	"CREATE INDEX IF NOT EXISTS link_by_target ON link (target)",
	"CREATE INDEX IF NOT EXISTS link_by_id ON link (id)",
	/* Before `unanswered`, which has it all. */
	"CREATE TABLE IF NOT EXISTS sent (ino INTEGER, n INTEGER, key TEXT,"
	" etag TEXT, replaced INTEGER, size INTEGER, mtime INTEGER,"
	" mode INTEGER, uid INTEGER, gid INTEGER, PRIMARY KEY (ino, n))"
	" WITHOUT ROWID",
	"INSERT OR IGNORE INTO unanswered SELECT s.ino, n, key, etag,"
	" replaced, s.size, s.mtime, s.mode, s.uid, s.gid, i.kind,"
	" ifnull((SELECT id FROM link l WHERE l.ino = s.ino), '')"
	" FROM sent s JOIN inode i ON i.ino = s.ino",
	"DROP TABLE sent",

	/* Flags.  8: it has a row in `link`, which tells that by itself. */
	"DROP INDEX IF EXISTS inode_carried",
	"DROP INDEX IF EXISTS inode_cold",
	"CREATE TABLE inode_2 (ino INTEGER PRIMARY KEY, export INTEGER,"
	" generation INTEGER, kind INTEGER, mode INTEGER, uid INTEGER,"
	" gid INTEGER, nlink INTEGER, major INTEGER, minor INTEGER,"
	" size INTEGER, atime INTEGER, mtime INTEGER, ctime INTEGER,"
	" btime INTEGER, attr_known INTEGER, data_dirty INTEGER,"
	" attr_dirty INTEGER, name_dirty INTEGER, relocating INTEGER,"
	" marker INTEGER, listed INTEGER, local_only INTEGER, cold INTEGER,"
	" has_verf INTEGER, base_key TEXT, base_etag TEXT, base_size INTEGER,"
	" base_limit INTEGER, base_mtime INTEGER, dest_etag TEXT, verf BLOB,"
	" target BLOB)",
	"INSERT INTO inode_2 SELECT ino, export, generation, kind, mode, uid,"
	" gid, nlink, major, minor, size, atime, mtime, ctime, btime,"
	" flags & 1, flags >> 1 & 1, flags >> 2 & 1, flags >> 3 & 1,"
	" flags >> 7 & 1, flags >> 4 & 1, flags >> 9 & 1, flags >> 5 & 1,"
	" flags >> 10 & 1, flags >> 6 & 1 AND length(verf) = 8, base_key,"
	" base_etag, base_size, base_limit, base_mtime, dest_etag, verf,"
	" target FROM inode",
	"DROP TABLE inode",
	"ALTER TABLE inode_2 RENAME TO inode",
	"CREATE INDEX inode_relocating ON inode (export, base_key)"
	" WHERE relocating",
	"CREATE INDEX inode_cold ON inode (export, base_key) WHERE cold",

	/* 1: created, 2: lapsed */
	"ALTER TABLE handle ADD COLUMN lapsed INTEGER",
	"UPDATE handle SET lapsed = created >> 1 & 1, created = created & 1",

	/* Before the ETag: '+' it has parts, then '?' it has rows in
	 * deletion_ours, then '=' where the ETag itself begins with one of
	 * the three.  Of before '?' and '=' there are ETags that begin so, and
	 * no such rows. */
	"ALTER TABLE deletion ADD COLUMN parts INTEGER",
	"ALTER TABLE deletion ADD COLUMN doubt INTEGER",
	"ALTER TABLE deletion ADD COLUMN upload_id TEXT",
	"ALTER TABLE deletion ADD COLUMN since INTEGER",
	"ALTER TABLE deletion ADD COLUMN until INTEGER",
	"UPDATE deletion SET parts = etag LIKE '+%', doubt = 0,"
	" upload_id = '', since = 0, until = 0",
	"UPDATE deletion SET etag = substr(etag, 2) WHERE parts",
	"UPDATE deletion SET doubt = 1, etag = substr(etag, 2),"
	" (upload_id, since, until) = (SELECT upload_id, since, until"
	" FROM deletion_ours o WHERE o.id = deletion.id AND n = 0)"
	" WHERE etag LIKE '?%'"
	" AND id IN (SELECT id FROM deletion_ours WHERE n = 0)",
	"UPDATE deletion SET etag = substr(etag, 2) WHERE etag LIKE '=%'"
	" AND substr(etag, 2, 1) IN ('+', '?', '=')",
	"DELETE FROM deletion_ours WHERE n = 0",
	"ALTER TABLE deletion_ours DROP COLUMN upload_id",
	"ALTER TABLE deletion_ours DROP COLUMN since",
	"ALTER TABLE deletion_ours DROP COLUMN until",

	/* Told apart by the words. */
	"ALTER TABLE quarantine ADD COLUMN refused INTEGER",
	"UPDATE quarantine SET refused = export <> 0 AND error NOT IN"
	" ('its writer went silent',"
	" 'the database was put back, and its bytes are not there')",
	NULL
};

static int
ask_number(struct sql *sql, const char *text, int *out)
{
	sqlite3_stmt *s = NULL;
	int r = sqlite3_prepare_v3(sql->db, text, -1, 0, &s, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(s);
	if (r == SQLITE_ROW)
		*out = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return r == SQLITE_ROW ? 0 : sql_errno(r) ?: -EIO;
}

/* These came without a new number, too. */
static int
add_refusals(struct sql *sql)
{
	int there = 0, r = ask_number(sql, "SELECT count(*) FROM"
				      " pragma_table_info('upload')"
				      " WHERE name = 'refused'", &there);

	if (r == 0 && there == 0)
		r = sql_exec(sql, "ALTER TABLE upload ADD COLUMN refusals"
				  " INTEGER");
	if (r == 0 && there == 0)
		r = sql_exec(sql, "ALTER TABLE upload ADD COLUMN refused"
				  " INTEGER");
	return r;
}

/* From version i + 1. */
static const char *const *const steps[] = { from_1 };

/* ---- the way ---- */

static int
get_version(struct sql *sql, int *version)
{
	int tables = 0, r = ask_number(sql, "PRAGMA user_version", version);

	if (r < 0 || *version != 0)
		return r;
	/* Made without a transaction, and killed in its midst. */
	r = ask_number(sql, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r == 0 && tables > 0)
		*version = 1;
	return r;
}

int
schema_check(struct sql *sql)
{
	int version, r = get_version(sql, &version);

	return r < 0 ? r : version < 0 || version > CURRENT ? -ENOTSUP : 0;
}

static int
run_list(struct sql *sql, const char *const *list)
{
	int r = 0;

	while (r == 0 && *list != NULL)
		r = sql_exec(sql, *list++);
	return r;
}

static int
create(struct sql *sql)
{
	int r = 0;

	for (int id = 0; r == 0 && id < TABLE_COUNT; id++) {
		char *text = table_create(sql->db, (enum table_id)id);

		r = text == NULL ? -ENOMEM : sql_exec(sql, text);
		sqlite3_free(text);
	}
	return r < 0 ? r : run_list(sql, indexes);
}

static int
set_version(struct sql *sql)
{
	char *text = sqlite3_mprintf("PRAGMA user_version = %d", CURRENT);
	int r = text == NULL ? -ENOMEM : sql_exec(sql, text);

	sqlite3_free(text);
	return r;
}

static int
bring_up(struct sql *sql)
{
	int version, r = get_version(sql, &version);

	if (r < 0 || version == CURRENT)
		return r;
	if (version == 0)
		r = create(sql);
	if (version == 1)
		r = add_refusals(sql);
	while (r == 0 && version > 0 && version < CURRENT)
		r = run_list(sql, steps[version++ - 1]);
	return r < 0 ? r : set_version(sql);
}

/* Keys and the like that are longer than any that we write: what is left of
 * them would name something else. */
static int
check_lengths(struct sql *sql)
{
	char *text = tables_too_long(sql->db);
	int any = 0, r = -ENOMEM;

	if (text != NULL)
		r = ask_number(sql, text, &any);
	sqlite3_free(text);
	return r < 0 ? r : any != 0 ? -EBADMSG : 0;
}

int
schema_update(struct sql *sql)
{
	int r = sql_exec(sql, "BEGIN IMMEDIATE");

	if (r == 0)
		r = bring_up(sql);
	if (r == 0)
		r = check_lengths(sql);
	if (r == 0)
		r = sql_exec(sql, "COMMIT");
	/* May say that there is none; then there is none. */
	if (r < 0)
		(void)sql_exec(sql, "ROLLBACK");
	return r;
}
