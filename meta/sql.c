/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite, as the rest of meta/ sees it: connections with the settings that
 * our promises need, one text per statement, one translation of errors.
 *
 * journal_mode=WAL lets readers go on while the writer commits;
 * synchronous=FULL makes a commit reach the disk before it is answered.
 * Columns are keyed so that a gateway number can be put in front of them
 * when the database is shared one day.  "<TABLE>" in a statement stands for
 * the table's columns (tables.c), as a struct has them, "<TABLE()>" for the
 * table with them and their values.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "meta/meta_priv.h"

/* Whose row is it?  0: of no export that there is. */
#define OWNED(export)                                                         \
	" WHERE coalesce((SELECT id FROM export WHERE id = " export           \
	"), 0) = e.id"
#define OWNED_BY(ino)                                                         \
	" LEFT JOIN inode i ON i.ino = " ino OWNED("i.export")

static const char *const texts[SQL_COUNT] = {
	[SQL_PUT_INODE] = "INSERT OR REPLACE INTO <inode()>",
	[SQL_ADD_INODE] = "INSERT INTO <inode()>",
	[SQL_DEL_INODE] = "DELETE FROM inode WHERE ino = ?",
	[SQL_DEL_INODE_NAMES] = "DELETE FROM name WHERE ino = ?",
	[SQL_DEL_INODE_HANDLES] = "DELETE FROM handle WHERE ino = ?",
	[SQL_DEL_INODE_EXTENTS] = "DELETE FROM extent WHERE ino = ?",
	[SQL_DEL_INODE_HARD] = "DELETE FROM hard_extent WHERE ino = ?",
	[SQL_DEL_INODE_UPLOAD] = "DELETE FROM upload WHERE ino = ?",
	[SQL_ADD_NAME] = "INSERT INTO <name()>",
	[SQL_DEL_NAME] = "DELETE FROM name WHERE parent = ? AND name = ?",
	[SQL_DEL_NAME_OLD] = "DELETE FROM name WHERE id = ?1"
			     " OR (parent = ?2 AND name = ?3)",
	[SQL_COUNT_NAMES] = "SELECT count(*) FROM name",
	[SQL_PAGES] = "SELECT page_count, page_size, freelist_count,"
		      " auto_vacuum FROM pragma_page_count,"
		      " pragma_page_size, pragma_freelist_count,"
		      " pragma_auto_vacuum",
	/* Rows that say nothing but what the bucket says too: unchanged, with
	 * an object unless it is a directory, and nothing speaks of them
	 * elsewhere. */
	[SQL_EACH_KNOWN] =
		"SELECT <name>, i.mode, i.uid, i.gid, i.mtime, i.base_mtime,"
		" NOT (data_dirty OR attr_dirty OR name_dirty OR relocating"
		" OR local_only)"
		" AND (i.kind = 2 OR length(i.base_key) > 0)"
		" AND NOT EXISTS (SELECT 1 FROM name c WHERE c.parent = i.ino)"
		" AND NOT EXISTS (SELECT 1 FROM handle h WHERE h.ino = i.ino)"
		" AND NOT EXISTS (SELECT 1 FROM extent x WHERE x.ino = i.ino)"
		" AND NOT EXISTS (SELECT 1 FROM hard_extent x"
		" WHERE x.ino = i.ino)"
		" AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.ino = i.ino)"
		" AND NOT EXISTS (SELECT 1 FROM upload u WHERE u.ino = i.ino)"
		" AND NOT EXISTS (SELECT 1 FROM unanswered u"
		" WHERE u.ino = i.ino)"
		" AND NOT EXISTS (SELECT 1 FROM link l WHERE l.ino = i.ino)"
		" AND NOT EXISTS (SELECT 1 FROM link l WHERE l.target = i.ino)"
		" AND i.ino NOT IN (SELECT ino FROM quarantine)"
		" AND i.ino NOT IN (SELECT ino FROM move)"
		" FROM name JOIN inode i ON i.ino = name.ino"
		" WHERE name.id > ? ORDER BY name.id LIMIT ?",
	[SQL_PUT_HANDLE] = "INSERT OR REPLACE INTO <handle()>",
	[SQL_DEL_HANDLE] = "DELETE FROM handle WHERE ino = ? AND who = ?",
	/* They do not overlap: the last one that begins before ?2 is the first
	 * that can reach beyond it, and none before that has to be read. */
	[SQL_DEL_EXTENTS] = "DELETE FROM extent WHERE ino = ?1 AND off < ?3"
			    " AND off >= ifnull((SELECT max(off) FROM extent"
			    " WHERE ino = ?1 AND off <= ?2), 0)"
			    " AND off + len > ?2",
	[SQL_PUT_EXTENT] = "INSERT OR REPLACE INTO <extent()>",
	[SQL_DEL_HARD] = "DELETE FROM hard_extent WHERE ino = ?1"
			 " AND off < ?3 AND off >= ifnull((SELECT max(off)"
			 " FROM hard_extent WHERE ino = ?1 AND off <= ?2), 0)"
			 " AND off + len > ?2",
	[SQL_PUT_HARD] = "INSERT OR REPLACE INTO <hard_extent()>",
	[SQL_PUT_JOURNAL] = "INSERT INTO <journal()>",
	[SQL_DEL_JOURNAL] = "DELETE FROM journal WHERE ino = ?",
	[SQL_PUT_UPLOAD] = "INSERT OR REPLACE INTO <upload()>",
	[SQL_SET_REFUSED] = "UPDATE upload SET refusals = ?2, refused = ?3,"
			    " error = ?4 WHERE ino = ?1",
	[SQL_PUT_SENT] = "INSERT INTO <unanswered()>",
	[SQL_DEL_SENT] = "DELETE FROM unanswered WHERE ino = ?",
	[SQL_EACH_SENT] = "SELECT <unanswered> FROM unanswered"
			  " WHERE ino >= ?1 AND (ino > ?1 OR n < ?2)"
			  " ORDER BY ino, n DESC LIMIT ?",
	[SQL_DEL_UPLOAD] = "DELETE FROM upload WHERE ino = ?",
	[SQL_PUT_DELETE] = "INSERT OR REPLACE INTO <deletion()>",
	[SQL_DEL_DELETE] = "DELETE FROM deletion WHERE id = ?",
	[SQL_PUT_GONE] = "INSERT INTO gone (export, key, at)"
			 " SELECT export, key, strftime('%s', 'now')"
			 " FROM deletion WHERE id = ?",
	[SQL_TRIM_GONE] = "DELETE FROM gone WHERE id <="
			  " (SELECT max(id) FROM gone) - ?",
	[SQL_EACH_GONE] = "SELECT <gone> FROM gone WHERE id > ?"
			  " ORDER BY id LIMIT ?",
	[SQL_PUT_OURS] = "INSERT INTO <deletion_ours()>",
	[SQL_DEL_OURS] = "DELETE FROM deletion_ours WHERE id = ?",
	[SQL_GET_OURS] = "SELECT <deletion_ours>, count(*) OVER ()"
			 " FROM deletion_ours WHERE id = ? ORDER BY n",
	[SQL_PUT_DRC] = "INSERT OR REPLACE INTO <replay()>",
	/* rule.md 8 asks for two minutes; keep three. */
	[SQL_TRIM_DRC] = "DELETE FROM replay WHERE at < ?"
			    " - 180000000000",
	[SQL_PUT_QUARANTINE] = "INSERT OR REPLACE INTO <quarantine()>",
	[SQL_DEL_QUARANTINE] = "DELETE FROM quarantine WHERE id = ?",
	[SQL_DEL_QUARANTINE_EXTENTS] =
		"DELETE FROM quarantine_extent WHERE id = ?",
	[SQL_MOVE_EXTENTS] = "INSERT INTO quarantine_extent (id, off, len, at)"
			     " SELECT ?1, off, len, at FROM extent"
			     " WHERE ino = ?2",
	[SQL_PUT_SETTING] = "INSERT OR REPLACE INTO setting (name, value)"
			    " VALUES (?,?)",
	[SQL_GET_INODE] = "SELECT <inode>, <link> FROM inode LEFT JOIN link"
			  " ON link.ino = inode.ino WHERE inode.ino = ?",
	[SQL_GET_NAME] = "SELECT <name> FROM name"
			 " WHERE parent = ? AND name = ?",
	[SQL_NAME_OF] = "SELECT <name> FROM name"
			" WHERE ino = ? ORDER BY id LIMIT 1",
	[SQL_EACH_NAME] = "SELECT <name>, target FROM name LEFT JOIN link"
			  " ON link.ino = name.ino WHERE parent = ?"
			  " AND name.id > ? ORDER BY name.id LIMIT ?",
	[SQL_COUNT_DIRS] = "SELECT count(*) FROM name"
			   " WHERE parent = ? AND kind = 2",
	[SQL_PUT_LINK] = "INSERT OR REPLACE INTO <link()>",
	[SQL_DEL_INODE_LINK] = "DELETE FROM link WHERE ino = ?",
	[SQL_FIND_LINK] = "SELECT ino FROM link WHERE export = ? AND id = ?"
			  " AND target = 0 LIMIT 1",
	[SQL_EACH_LINK] = "SELECT ino FROM link WHERE target = ? AND ino > ?"
			  " ORDER BY ino LIMIT ?",
	[SQL_EACH_STALE_LINK] = "SELECT l.ino FROM link l JOIN link f"
				" ON f.ino = l.target"
				" WHERE l.version < f.version AND l.ino > ?"
				" ORDER BY l.ino LIMIT ?",
	[SQL_EACH_NAME_BETWEEN] = "SELECT <name>, target FROM name"
				  " LEFT JOIN link ON link.ino = name.ino"
				  " WHERE parent = ? AND name >= ?"
				  " AND name <= ? ORDER BY name LIMIT ?",
	[SQL_EACH_HANDLE] = "SELECT <handle> FROM handle"
			    " WHERE (ino, who) > (?, ?)"
			    " ORDER BY ino, who LIMIT ?",
	[SQL_EACH_HANDLE_OF] = "SELECT <handle> FROM handle WHERE ino = ?"
			       " AND who > ? ORDER BY who LIMIT ?",
	[SQL_EACH_EXTENT] = "SELECT <extent> FROM extent WHERE ino = ?"
			    " AND off >= ? ORDER BY off LIMIT ?",
	[SQL_EACH_HARD] = "SELECT <hard_extent> FROM hard_extent"
			  " WHERE ino = ? AND off >= ? ORDER BY off LIMIT ?",
	[SQL_EACH_JOURNAL] = "SELECT <journal> FROM journal"
			     " WHERE seq > ? ORDER BY seq LIMIT ?",
	[SQL_EACH_UPLOAD] = "SELECT <upload> FROM upload WHERE ino > ?"
			    " ORDER BY ino LIMIT ?",
	[SQL_EACH_DELETE] = "SELECT <deletion> FROM deletion WHERE id > ?"
			    " ORDER BY id LIMIT ?",
	[SQL_EACH_QUARANTINE] = "SELECT <quarantine> FROM quarantine"
				" WHERE id > ? ORDER BY id LIMIT ?",
	[SQL_EACH_QUARANTINE_EXTENT] =
		"SELECT <quarantine_extent> FROM quarantine_extent"
		" WHERE id = ? AND off >= ? ORDER BY off LIMIT ?",
	[SQL_GET_DRC] = "SELECT <replay> FROM replay WHERE key = ?"
			   " AND at >= ?",
	[SQL_ANY_DRC] = "SELECT 1 FROM replay WHERE at >= ? LIMIT 1",
	[SQL_PUT_MOVE] = "INSERT OR REPLACE INTO <move()>",
	[SQL_DEL_MOVE] = "DELETE FROM move WHERE id = ?",
	[SQL_EACH_MOVE] = "SELECT <move> FROM move WHERE id > ?"
			  " ORDER BY id LIMIT ?",
	[SQL_EACH_IN_PLACE] =
		"SELECT n.id, n.ino, n.kind,"
		" CASE WHEN relocating THEN '' ELSE base_key END"
		" FROM name n JOIN inode i ON i.ino = n.ino"
		" WHERE n.parent = ? AND n.id > ? AND (n.kind = 2 OR"
		" (NOT relocating AND length(base_key) > 0))"
		" ORDER BY n.id LIMIT ?",
	/* Up to the first key past those with the prefix. */
	[SQL_EACH_RELOCATING] = "SELECT ino, base_key FROM inode"
			     " WHERE relocating AND export = ?"
			     " AND base_key >= ? AND base_key > ?"
			     " AND base_key < ? ORDER BY base_key LIMIT ?",
	[SQL_EACH_COLD] = "SELECT ino, base_key FROM inode"
			  " WHERE cold AND export = ?"
			  " AND base_key >= ? AND base_key > ?"
			  " AND base_key < ? ORDER BY base_key LIMIT ?",
	[SQL_COUNT_RELOCATING] = "SELECT count(*), total(base_size) FROM inode"
			      " WHERE relocating AND export = ?3"
			      " AND base_key >= ?1 AND base_key < ?2",
	[SQL_HAS_RELOCATING] = "SELECT 1 FROM inode WHERE relocating"
			    " AND export = ?1 AND base_key = ?2 LIMIT 1",
	[SQL_GET_SETTING] = "SELECT value FROM setting WHERE name = ?",
	[SQL_GET_EXPORT] = "SELECT id FROM export WHERE name = ?",
	[SQL_ADD_EXPORT] = "INSERT OR IGNORE INTO export (name) VALUES (?)",
	[SQL_EACH_OWED] =
		"WITH mapped(ino, len) AS ("
		" SELECT ino, len FROM extent"
		" UNION ALL SELECT ino, len FROM hard_extent),"
		" owing(ino) AS ("
		" SELECT ino FROM upload UNION SELECT ino FROM mapped"
		" UNION SELECT l.ino FROM link l JOIN link f"
		" ON f.ino = l.target WHERE l.version < f.version"
		" UNION SELECT ino FROM journal"
		" WHERE ino NOT IN (SELECT ino FROM inode))"
		" SELECT e.id, e.name,"
		" (SELECT count(*) FROM owing" OWNED_BY("owing.ino") "),"
		" (SELECT coalesce(sum(len), 0) FROM mapped"
		OWNED_BY("mapped.ino") "),"
		" (SELECT count(*) FROM deletion d" OWNED("d.export") "),"
		" (SELECT count(*) FROM move v" OWNED("v.export") "),"
		" (SELECT count(*) FROM quarantine q" OWNED("q.export") "),"
		" (SELECT count(*) FROM unanswered u" OWNED_BY("u.ino") ")"
		" FROM (SELECT id, name FROM export"
		" UNION ALL SELECT 0, '') e ORDER BY e.id",
};

int
sql_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		return -EACCES;
	default:
		return -EIO;
	}
}

int
sql_exec(struct sql *sql, const char *text)
{
	return sql_errno(sqlite3_exec(sql->db, text, NULL, NULL, NULL));
}

int
sql_open(const char *path, bool writer, unsigned busy_ms, struct sql *out)
{
	struct sql sql = { 0 };
	int r;

	r = sql_errno(sqlite3_open_v2(path, &sql.db,
				      SQLITE_OPEN_READWRITE |
					      SQLITE_OPEN_NOMUTEX |
					      (writer ? SQLITE_OPEN_CREATE : 0),
				      NULL));
	if (r == 0)
		r = sqlite3_busy_timeout(sql.db, (int)busy_ms) ? -EIO : 0;
	/* Nor is the log of a newer program's database put into it. */
	if (r == 0)
		r = sqlite3_db_config(sql.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
				      1, NULL) ? -EIO : 0;
	if (r == 0)
		r = schema_check(&sql);
	if (r == 0)
		r = sqlite3_db_config(sql.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
				      0, NULL) ? -EIO : 0;
	/* Of a new database, before anything is in it. */
	if (r == 0 && writer)
		r = sql_exec(&sql, "PRAGMA auto_vacuum = INCREMENTAL");
	if (r == 0)
		r = sql_exec(&sql, "PRAGMA journal_mode = WAL;"
				   "PRAGMA synchronous = FULL;"
				   "PRAGMA cache_size = -16384;"
				   "PRAGMA wal_autocheckpoint = 8000;"
				   "PRAGMA journal_size_limit = 67108864;"
				   "PRAGMA temp_store = MEMORY;");
	if (r == 0 && writer)
		r = schema_update(&sql);
	if (r < 0) {
		sql_close(&sql);
		return r;
	}
	*out = sql;
	return 0;
}

void
sql_close(struct sql *sql)
{
	for (size_t i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(sql->stmt[i]);
	sqlite3_close(sql->db);
	memset(sql, 0, sizeof(*sql));
}

sqlite3_stmt *
sql_stmt(struct sql *sql, enum sql_id id)
{
	char *text;

	if (sql->stmt[id] != NULL) {
		sqlite3_reset(sql->stmt[id]);
		return sql->stmt[id];
	}
	text = tables_in_text(sql->db, texts[id]);
	if (text != NULL)
		(void)sqlite3_prepare_v3(sql->db, text, -1,
					 SQLITE_PREPARE_PERSISTENT,
					 &sql->stmt[id], NULL);
	sqlite3_free(text);
	return sql->stmt[id];	/* NULL: its error is the connection's */
}

int
sql_run(struct sql *sql, sqlite3_stmt *stmt)
{
	int code;

	if (stmt == NULL)
		return sql_errno(sqlite3_errcode(sql->db)) ?: -EIO;
	code = sqlite3_step(stmt);
	sqlite3_reset(stmt);
	return sql_errno(code);
}

void
sql_text(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
	const void *text = sqlite3_column_blob(stmt, column);
	size_t len = (size_t)sqlite3_column_bytes(stmt, column);

	if (len >= size)
		len = size - 1;
	if (len > 0 && text != NULL)
		memcpy(out, text, len);
	out[text == NULL ? 0 : len] = '\0';
}

/* The last byte that can grow, grown.  If there is none, one byte more than
 * any key has: texts sort before blobs. */
size_t
sql_prefix_end(const char *prefix, char end[META_KEY_MAX + 2])
{
	size_t len = strlen(prefix);

	memcpy(end, prefix, len);
	while (len > 0 && (unsigned char)end[len - 1] == 0xff)
		len--;
	if (len > 0) {
		end[len - 1]++;
		return len;
	}
	memset(end, 0xff, META_KEY_MAX + 2);
	return META_KEY_MAX + 2;
}
