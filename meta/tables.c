/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables: what each column is called, how SQLite keeps it, and where it
 * lies in the struct that is one row.  Nobody else lists columns: the tables of
 * a new database are made of what stands here, and so are the statements that
 * write or read whole rows (sql.c, where "<inode>" stands for them), and what
 * is bound and read.
 *
 * A new column is a line here, a member of the struct, and a step from the
 * version before (schema.c).
 *
 * A text that is longer than any that we write is damage: what is left of it
 * would name something else.  Words for people are cut.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "meta/meta_priv.h"

enum column_kind {
	BY_HAND,	/* no struct has it */
	NUMBER,		/* bool, 32 or 64 bits */
	COUNTED,	/* the same; 0: SQLite gives the next one */
	TEXT,		/* char[] */
	WORDS,		/* the same, for people */
	BYTES,		/* the same, kept as it came: compared by bytes */
	RAW,		/* uint8_t[]; NULL: all 0 */
	STRING,		/* char *, or NULL; malloced when it is read */
	BLOB		/* struct blob; malloced when it is read */
};

struct column {
	const char *name, *type;
	enum column_kind kind;
	size_t offset, size;
};

struct table {
	const char *name;
	const struct column *columns;
	int count;
	bool owed;		/* few rows, that a start reads */
	const char *end;	/* of CREATE TABLE */
};

#define INT "INTEGER"
#define KEY "INTEGER PRIMARY KEY"
#define AT(type, member) offsetof(type, member), sizeof(((type *)0)->member)

#define N(member) AT(struct meta_inode, member)
static const struct column inode[] = {
	{ "ino", KEY, NUMBER, N(ino) },
	{ "export", INT, NUMBER, N(export_id) },
	{ "generation", INT, NUMBER, N(generation) },
	{ "kind", INT, NUMBER, N(kind) },
	{ "mode", INT, NUMBER, N(mode) },
	{ "uid", INT, NUMBER, N(uid) },
	{ "gid", INT, NUMBER, N(gid) },
	{ "nlink", INT, NUMBER, N(nlink) },
	{ "major", INT, NUMBER, N(rdev_major) },
	{ "minor", INT, NUMBER, N(rdev_minor) },
	{ "size", INT, NUMBER, N(size) },
	{ "atime", INT, NUMBER, N(atime_ns) },
	{ "mtime", INT, NUMBER, N(mtime_ns) },
	{ "ctime", INT, NUMBER, N(ctime_ns) },
	{ "btime", INT, NUMBER, N(btime_ns) },
	{ "attr_known", INT, NUMBER, N(attr_known) },
	{ "data_dirty", INT, NUMBER, N(data_dirty) },
	{ "attr_dirty", INT, NUMBER, N(attr_dirty) },
	{ "name_dirty", INT, NUMBER, N(name_dirty) },
	{ "relocating", INT, NUMBER, N(relocating) },
	{ "marker", INT, NUMBER, N(marker) },
	{ "listed", INT, NUMBER, N(listed) },
	{ "local_only", INT, NUMBER, N(local_only) },
	{ "cold", INT, NUMBER, N(cold) },
	{ "has_verf", INT, NUMBER, N(has_verf) },
	{ "base_key", "TEXT", BYTES, N(base_key) },
	{ "base_etag", "TEXT", TEXT, N(base_etag) },
	{ "base_size", INT, NUMBER, N(base_size) },
	{ "base_limit", INT, NUMBER, N(base_limit) },
	{ "base_mtime", INT, NUMBER, N(base_mtime_ns) },
	{ "dest_etag", "TEXT", TEXT, N(dest_etag) },
	{ "verf", "BLOB", RAW, N(verf) },
	{ "target", "BLOB", STRING, N(target) },
};
static const struct column link_columns[] = {
	{ "ino", KEY, NUMBER, N(ino) },
	{ "export", INT, NUMBER, N(export_id) },
	{ "id", "TEXT", TEXT, N(link_id) },
	{ "target", INT, NUMBER, N(link_ino) },
	{ "version", INT, NUMBER, N(link_version) },
};
#undef N

#define N(member) AT(struct meta_name, member)
static const struct column name[] = {
	{ "id", KEY, NUMBER, N(id) },
	{ "parent", "INTEGER NOT NULL", NUMBER, N(parent) },
	{ "name", "BLOB NOT NULL", BYTES, N(name) },
	{ "ino", "INTEGER NOT NULL", NUMBER, N(ino) },
	{ "kind", INT, NUMBER, N(kind) },
};
#undef N

#define H(member) AT(struct meta_handle, member)
static const struct column handle[] = {
	{ "ino", INT, NUMBER, H(ino) },
	{ "who", "TEXT", TEXT, H(who) },
	{ "state", INT, NUMBER, H(state) },
	{ "generation", INT, NUMBER, H(generation) },
	{ "opened", INT, NUMBER, H(opened_ns) },
	{ "created", INT, NUMBER, H(created) },
	{ "lapsed", INT, NUMBER, H(lapsed) },
};
#undef H

#define E(member) AT(struct extent_row, member)
static const struct column extent[] = {
	{ "ino", INT, NUMBER, E(of) },
	{ "off", INT, NUMBER, E(e.off) },
	{ "len", INT, NUMBER, E(e.len) },
	{ "at", INT, NUMBER, E(e.at) },
};
static const struct column quarantine_extent[] = {
	{ "id", INT, NUMBER, E(of) },
	{ "off", INT, NUMBER, E(e.off) },
	{ "len", INT, NUMBER, E(e.len) },
	{ "at", INT, NUMBER, E(e.at) },
};
#undef E

#define J(member) AT(struct journal_row, member)
static const struct column journal[] = {
	{ "seq", "INTEGER PRIMARY KEY AUTOINCREMENT", COUNTED, J(seq) },
	{ "ino", INT, NUMBER, J(ino) },
	{ "at", INT, NUMBER, J(at) },
	{ "data", "BLOB", BLOB, J(data) },
};
#undef J

#define U(member) AT(struct meta_upload, member)
static const struct column upload[] = {
	{ "ino", KEY, NUMBER, U(ino) },
	{ "phase", INT, NUMBER, U(phase) },
	{ "key", "TEXT", BYTES, U(key) },
	{ "upload_id", "TEXT", TEXT, U(upload_id) },
	{ "expect", "TEXT", TEXT, U(expect_etag) },
	{ "part_size", INT, NUMBER, U(part_size) },
	{ "since", INT, NUMBER, U(since_ns) },
	{ "attempts", INT, NUMBER, U(attempts) },
	{ "error", "TEXT", WORDS, U(error) },
	{ "refusals", INT, NUMBER, U(refusals) },
	{ "refused", INT, NUMBER, U(refused_ms) },
};
#undef U

#define S(member) AT(struct sent_row, member)
static const struct column unanswered[] = {
	{ "ino", INT, NUMBER, S(of) },
	{ "n", INT, NUMBER, S(n) },
	{ "key", "TEXT", BYTES, S(sent.key) },
	{ "etag", "TEXT", TEXT, S(sent.etag) },
	{ "replaced", INT, NUMBER, S(sent.replaced) },
	{ "size", INT, NUMBER, S(sent.size) },
	{ "mtime", INT, NUMBER, S(sent.mtime_ns) },
	{ "mode", INT, NUMBER, S(sent.mode) },
	{ "uid", INT, NUMBER, S(sent.uid) },
	{ "gid", INT, NUMBER, S(sent.gid) },
	{ "kind", INT, NUMBER, S(sent.kind) },
	{ "link", "TEXT", TEXT, S(sent.link_id) },
};
/* Objects that a deletion may take. */
static const struct column ours[] = {
	{ "id", INT, NUMBER, S(of) },
	{ "n", INT, NUMBER, S(n) },
	{ "etag", "TEXT", TEXT, S(sent.etag) },
	{ "size", INT, NUMBER, S(sent.size) },
	{ "mtime", INT, NUMBER, S(sent.mtime_ns) },
	{ "mode", INT, NUMBER, S(sent.mode) },
	{ "uid", INT, NUMBER, S(sent.uid) },
	{ "gid", INT, NUMBER, S(sent.gid) },
	{ "kind", INT, NUMBER, S(sent.kind) },
	{ "link", "TEXT", TEXT, S(sent.link_id) },
};
#undef S

#define D(member) AT(struct deletion_row, member)
static const struct column deletion[] = {
	{ "id", KEY, NUMBER, D(id) },
	{ "export", INT, NUMBER, D(export_id) },
	{ "key", "TEXT", BYTES, D(key) },
	{ "etag", "TEXT", TEXT, D(etag) },
	{ "parts", INT, NUMBER, D(parts) },
	{ "doubt", INT, NUMBER, D(doubt) },
	{ "upload_id", "TEXT", TEXT, D(upload_id) },
	{ "since", INT, NUMBER, D(since_ns) },
	{ "until", INT, NUMBER, D(until_ns) },
};
#undef D

#define G(member) AT(struct gone_row, member)
static const struct column gone[] = {
	{ "id", "INTEGER PRIMARY KEY AUTOINCREMENT", COUNTED, G(gone.id) },
	{ "export", INT, NUMBER, G(gone.export_id) },
	{ "key", "TEXT", BYTES, G(gone.key) },
	{ "at", INT, NUMBER, G(at_s) },
};
#undef G

#define R(member) AT(struct drc_row, member)
static const struct column replay[] = {
	{ "key", "BLOB PRIMARY KEY", RAW, R(key) },
	{ "procedure", INT, NUMBER, R(procedure) },
	{ "ino", INT, NUMBER, R(ino) },
	{ "generation", INT, NUMBER, R(generation) },
	{ "at", INT, NUMBER, R(at_ns) },
};
#undef R

#define Q(member) AT(struct meta_quarantine, member)
static const struct column quarantine[] = {
	{ "id", KEY, NUMBER, Q(id) },
	{ "export", INT, NUMBER, Q(export_id) },
	{ "ino", INT, NUMBER, Q(ino) },
	{ "path", "TEXT", BYTES, Q(path) },
	{ "key", "TEXT", BYTES, Q(key) },
	{ "error", "TEXT", WORDS, Q(error) },
	{ "who", "TEXT", TEXT, Q(who) },
	{ "since", INT, NUMBER, Q(since_ns) },
	{ "size", INT, NUMBER, Q(size) },
	{ "bytes", INT, NUMBER, Q(bytes) },
	{ "base_key", "TEXT", BYTES, Q(base_key) },
	{ "base_etag", "TEXT", TEXT, Q(base_etag) },
	{ "base_limit", INT, NUMBER, Q(base_limit) },
	{ "mode", INT, NUMBER, Q(mode) },
	{ "uid", INT, NUMBER, Q(uid) },
	{ "gid", INT, NUMBER, Q(gid) },
	{ "mtime", INT, NUMBER, Q(mtime_ns) },
	{ "refused", INT, NUMBER, Q(refused) },
};
#undef Q

#define M(member) AT(struct meta_dirmove, member)
static const struct column move[] = {
	{ "id", KEY, NUMBER, M(id) },
	{ "export", INT, NUMBER, M(export_id) },
	{ "ino", INT, NUMBER, M(ino) },
	{ "listed", INT, NUMBER, M(listed) },
	{ "source", "BLOB", BYTES, M(source) },
	{ "after", "BLOB", BYTES, M(after) },
	{ "since", INT, NUMBER, M(since_ns) },
	{ "objects", INT, NUMBER, M(objects) },
	{ "bytes", INT, NUMBER, M(bytes) },
};
#undef M

static const struct column setting[] = {
	{ "name", "TEXT PRIMARY KEY", BY_HAND, 0, 0 },
	{ "value", "BLOB", BY_HAND, 0, 0 },
};
static const struct column export[] = {
	{ "id", "INTEGER PRIMARY KEY AUTOINCREMENT", BY_HAND, 0, 0 },
	{ "name", "TEXT UNIQUE NOT NULL", BY_HAND, 0, 0 },
};

#define OF(list) list, sizeof(list) / sizeof(*(list))
#define BY(columns) ", PRIMARY KEY (" columns ")) WITHOUT ROWID"

static const struct table tables[TABLE_COUNT] = {
	[TABLE_SETTING] = { "setting", OF(setting), false, ") WITHOUT ROWID" },
	[TABLE_EXPORT] = { "export", OF(export), false, ")" },
	[TABLE_INODE] = { "inode", OF(inode), false, ")" },
	[TABLE_LINK] = { "link", OF(link_columns), false, ")" },
	[TABLE_NAME] = { "name", OF(name), false, ")" },
	[TABLE_HANDLE] = { "handle", OF(handle), true, BY("ino, who") },
	[TABLE_EXTENT] = { "extent", OF(extent), false, BY("ino, off") },
	[TABLE_HARD] = { "hard_extent", OF(extent), false, BY("ino, off") },
	[TABLE_JOURNAL] = { "journal", OF(journal), false, ")" },
	[TABLE_UPLOAD] = { "upload", OF(upload), true, ")" },
	[TABLE_SENT] = { "unanswered", OF(unanswered), true, BY("ino, n") },
	[TABLE_DELETION] = { "deletion", OF(deletion), true, ")" },
	[TABLE_OURS] = { "deletion_ours", OF(ours), true, BY("id, n") },
	[TABLE_GONE] = { "gone", OF(gone), false, ")" },
	[TABLE_DRC] = { "replay", OF(replay), false, ") WITHOUT ROWID" },
	[TABLE_QUARANTINE] = { "quarantine", OF(quarantine), true, ")" },
	[TABLE_QUARANTINE_EXTENT] = { "quarantine_extent",
				      OF(quarantine_extent), false,
				      BY("id, off") },
	[TABLE_MOVE] = { "move", OF(move), true, ")" },
};

/* ---- bound and read ---- */

static uint64_t
number(const struct column *c, const unsigned char *from)
{
	uint64_t wide;
	uint32_t narrow;

	switch (c->size) {
	case sizeof(bool):
		return *from;
	case sizeof(narrow):
		memcpy(&narrow, from, sizeof(narrow));
		return narrow;
	default:
		memcpy(&wide, from, sizeof(wide));
		return wide;
	}
}

static void
put_number(const struct column *c, unsigned char *to, uint64_t value)
{
	uint32_t narrow = (uint32_t)value;
	bool yes = value != 0;

	switch (c->size) {
	case sizeof(yes):
		memcpy(to, &yes, sizeof(yes));
		break;
	case sizeof(narrow):
		memcpy(to, &narrow, sizeof(narrow));
		break;
	default:
		memcpy(to, &value, sizeof(value));
	}
}

static bool
is_zero(const unsigned char *raw, size_t size)
{
	while (size > 0 && *raw == 0) {
		raw++;
		size--;
	}
	return size == 0;
}

/* What the row has stays where it is until the statement was run. */
static void
bind_one(sqlite3_stmt *s, int i, const struct column *c, const void *row)
{
	const unsigned char *from = (const unsigned char *)row + c->offset;
	const char *text = (const char *)from;
	const struct blob *blob = (const void *)from;
	uint64_t value;

	switch (c->kind) {
	case NUMBER:
	case COUNTED:
		value = number(c, from);
		if (c->kind == NUMBER || value != 0)
			sqlite3_bind_int64(s, i, (sqlite3_int64)value);
		else
			sqlite3_bind_null(s, i);
		break;
	case TEXT:
	case WORDS:
		sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
		break;
	case BYTES:
		sqlite3_bind_blob(s, i, text, (int)strlen(text),
				  SQLITE_STATIC);
		break;
	case RAW:
		sqlite3_bind_blob(s, i, is_zero(from, c->size) ? NULL : from,
				  (int)c->size, SQLITE_STATIC);
		break;
	case STRING:
		memcpy(&text, from, sizeof(text));
		sqlite3_bind_blob(s, i, text, text == NULL ? 0
				  : (int)strlen(text), SQLITE_STATIC);
		break;
	case BLOB:
		sqlite3_bind_blob64(s, i, blob->bytes, blob->len,
				    SQLITE_STATIC);
		break;
	case BY_HAND:
		break;
	}
}

void
row_bind(sqlite3_stmt *s, enum table_id id, const void *row)
{
	const struct table *t = &tables[id];

	for (int i = 0; i < t->count; i++)
		bind_one(s, i + 1, &t->columns[i], row);
}

int
row_write(struct sql *sql, enum sql_id id, enum table_id table, const void *row)
{
	sqlite3_stmt *s = sql_stmt(sql, id);

	if (s != NULL)
		row_bind(s, table, row);
	return sql_run(sql, s);
}

/* malloced, with a '\0' behind it; NULL: no memory */
static char *
copy(const void *bytes, size_t len)
{
	char *to = malloc(len + 1);

	if (to == NULL)
		return NULL;
	if (len > 0)
		memcpy(to, bytes, len);
	to[len] = '\0';
	return to;
}

static int
read_text(sqlite3_stmt *s, int i, const struct column *c, char *to)
{
	const void *text = sqlite3_column_blob(s, i);
	size_t len = (size_t)sqlite3_column_bytes(s, i);

	if (len >= c->size && c->kind != WORDS)
		return -EBADMSG;
	if (len >= c->size)
		len = c->size - 1;
	if (len > 0 && text == NULL)
		return -ENOMEM;
	if (len > 0)
		memcpy(to, text, len);
	to[len] = '\0';
	return 0;
}

static int
read_malloced(sqlite3_stmt *s, int i, const struct column *c, void *to)
{
	const void *bytes = sqlite3_column_blob(s, i);
	struct blob blob = { NULL, (size_t)sqlite3_column_bytes(s, i) };

	if (c->kind == BLOB || sqlite3_column_type(s, i) != SQLITE_NULL) {
		blob.bytes = bytes == NULL && blob.len > 0
				     ? NULL : copy(bytes, blob.len);
		if (blob.bytes == NULL)
			return -ENOMEM;
	}
	memcpy(to, &blob, c->size);
	return 0;
}

static int
read_one(sqlite3_stmt *s, int i, const struct column *c, void *row)
{
	unsigned char *to = (unsigned char *)row + c->offset;
	int len;

	switch (c->kind) {
	case NUMBER:
	case COUNTED:
		put_number(c, to, (uint64_t)sqlite3_column_int64(s, i));
		return 0;
	case TEXT:
	case WORDS:
	case BYTES:
		return read_text(s, i, c, (char *)to);
	case RAW:
		len = sqlite3_column_bytes(s, i);
		memset(to, 0, c->size);
		if (len == (int)c->size)
			memcpy(to, sqlite3_column_blob(s, i), c->size);
		return len == 0 || len == (int)c->size ? 0 : -EBADMSG;
	case STRING:
	case BLOB:
		return read_malloced(s, i, c, to);
	case BY_HAND:
		break;
	}
	return 0;
}

int
row_read(sqlite3_stmt *s, int first, enum table_id id, void *row)
{
	const struct table *t = &tables[id];
	int r = 0;

	for (int i = 0; r == 0 && i < t->count; i++)
		r = read_one(s, first + i, &t->columns[i], row);
	return r;
}

int
row_width(enum table_id id)
{
	return tables[id].count;
}

/* ---- in statements ---- */

static const struct table *
find(const char *text, size_t len)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if (strlen(tables[i].name) == len &&
		    memcmp(tables[i].name, text, len) == 0)
			return &tables[i];
	return NULL;
}

static void
add_names(sqlite3_str *to, const struct table *t, bool qualified)
{
	for (int i = 0; i < t->count; i++)
		sqlite3_str_appendf(to, "%s%s%s%s", i > 0 ? ", " : "",
				    qualified ? t->name : "",
				    qualified ? "." : "", t->columns[i].name);
}

static void
add_values(sqlite3_str *to, const struct table *t)
{
	sqlite3_str_appendf(to, "%s (", t->name);
	add_names(to, t, false);
	sqlite3_str_appendall(to, ") VALUES (");
	for (int i = 0; i < t->count; i++)
		sqlite3_str_appendall(to, i > 0 ? ", ?" : "?");
	sqlite3_str_appendchar(to, 1, ')');
}

/* What stands for columns at the '<', or NULL. */
static const struct table *
placeholder(const char *text, size_t *len, bool *values)
{
	const char *end = text + 1 + strspn(text + 1, "abcdefghijklmnopqrst"
						      "uvwxyz_");
	const struct table *t = find(text + 1, (size_t)(end - text - 1));

	*values = end[0] == '(';
	if (*values && strncmp(end, "()", 2) == 0)
		end += 2;
	*len = (size_t)(end - text) + 1;
	return end[0] == '>' ? t : NULL;
}

char *
tables_in_text(sqlite3 *db, const char *text)
{
	sqlite3_str *to = sqlite3_str_new(db);
	const struct table *t;
	size_t len;
	bool values;

	for (; *text != '\0'; text += len) {
		len = strcspn(text, "<");
		sqlite3_str_append(to, text, (int)len);
		if (len > 0)
			continue;
		t = placeholder(text, &len, &values);
		if (t == NULL) {
			len = 1;
			sqlite3_str_append(to, text, 1);
		} else if (values) {
			add_values(to, t);
		} else {
			add_names(to, t, true);
		}
	}
	return sqlite3_str_finish(to);
}

/* ---- all of them ---- */

char *
table_create(sqlite3 *db, enum table_id id)
{
	const struct table *t = &tables[id];
	sqlite3_str *to = sqlite3_str_new(db);

	sqlite3_str_appendf(to, "CREATE TABLE %s (", t->name);
	for (int i = 0; i < t->count; i++)
		sqlite3_str_appendf(to, "%s%s %s", i > 0 ? ", " : "",
				    t->columns[i].name, t->columns[i].type);
	sqlite3_str_appendall(to, t->end);
	return sqlite3_str_finish(to);
}

char *
tables_too_long(sqlite3 *db)
{
	sqlite3_str *to = sqlite3_str_new(db);

	sqlite3_str_appendall(to, "SELECT EXISTS (SELECT 1 WHERE 0");
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const struct table *t = &tables[i];

		if (!t->owed)
			continue;
		sqlite3_str_appendf(to, " UNION ALL SELECT 1 FROM %s WHERE 0",
				    t->name);
		for (int k = 0; k < t->count; k++)
			if (t->columns[k].kind == TEXT ||
			    t->columns[k].kind == BYTES)
				sqlite3_str_appendf(
					to, " OR length(CAST(%s AS BLOB)) >="
					" %llu", t->columns[k].name,
					(unsigned long long)
						t->columns[k].size);
	}
	sqlite3_str_appendchar(to, 1, ')');
	return sqlite3_str_finish(to);
}
