/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Databases of programs of before: tests/versions/ has one of each shape, made
 * and told by the program that wrote it (tests/versions/make).
 */

#include <config.h>

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host_fault.h"
#include "tests/meta_fixture.h"
#include "tests/meta_rows.h"
#include "tests/unit.h"

#define VERSIONS_MIN 9
#define MOVED "1-marks"		/* with most to be moved */

/* ---- files ---- */

/* malloced, with a '\0' behind it */
static char *
slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	struct stat st;

	if (f == NULL)
		return NULL;
	if (fstat(fileno(f), &st) == 0)
		text = calloc(1, (size_t)st.st_size + 1);
	if (text != NULL)
		CU_ASSERT_EQUAL(fread(text, 1, (size_t)st.st_size, f),
				(size_t)st.st_size);
	fclose(f);
	if (len != NULL)
		*len = (size_t)st.st_size;
	return text;
}

static void
versions(const char *name, char out[300])
{
	const char *srcdir = getenv("srcdir");

	snprintf(out, 300, "%s/tests/versions/%s",
		 srcdir != NULL ? srcdir : ".", name);
}

static void
run(const char *file, const char *text)
{
	sqlite3 *db = NULL;

	CU_ASSERT_EQUAL_FATAL(sqlite3_open(file, &db), SQLITE_OK);
	/* Nothing is at stake yet. */
	CU_ASSERT_EQUAL(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL,
				     NULL, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* The database of this dump, in WAL mode as it was. */
static void
load(const struct place *p, const char *path)
{
	char *text = slurp(path, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	run(p->file, "PRAGMA journal_mode = WAL");
	run(p->file, text);
	free(text);
}

static void
load_named(struct place *p, const char *name)
{
	char file[80], path[300];

	place_make(p);
	snprintf(file, sizeof(file), "%s.sql", name);
	versions(file, path);
	load(p, path);
}

static int
add_row(void *out, int count, char **values, char **names)
{
	(void)names;
	for (int i = 0; i < count; i++)
		fprintf(out, "%s|", values[i] != NULL ? values[i] : "NULL");
	fprintf(out, "\n");
	return 0;
}

static int
add_table(void *arg, int count, char **values, char **names)
{
	const void *const *to = arg;	/* the connection, the stream */
	char text[200];

	(void)count;
	(void)names;
	snprintf(text, sizeof(text), "SELECT '%s', * FROM \"%s\"", values[0],
		 values[0]);
	return sqlite3_exec((sqlite3 *)(uintptr_t)to[0], text, add_row,
			    (FILE *)(uintptr_t)to[1], NULL) != SQLITE_OK;
}

/* All that is in it: malloced. */
static char *
contents(const char *file)
{
	sqlite3 *db = NULL;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	const void *to[2];

	CU_ASSERT_EQUAL_FATAL(sqlite3_open(file, &db), SQLITE_OK);
	to[0] = db;
	to[1] = f;
	CU_ASSERT_EQUAL(sqlite3_exec(db, "PRAGMA user_version", add_row, f,
				     NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, "SELECT name, sql FROM sqlite_schema"
				     " ORDER BY name", add_row, f, NULL),
			SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, "SELECT name FROM sqlite_schema"
				     " WHERE type = 'table' ORDER BY name",
				     add_table, to, NULL), SQLITE_OK);
	fclose(f);
	sqlite3_close(db);
	return text;
}

/* ---- rows ---- */

static char *
tell(struct meta *m)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_EQUAL(rows_tell(m, f), 0);
	fclose(f);
	return text;
}

/* What the program of before told of a row is what is told now; there may be
 * more of it. */
static void
same_row(const char *name, char *was, const char *is)
{
	char *at = NULL, line[10000];

	snprintf(line, sizeof(line), " %s ", is);
	for (char *word = strtok_r(was, " ", &at); word != NULL;
	     word = strtok_r(NULL, " ", &at)) {
		char mark[10000];

		snprintf(mark, sizeof(mark), " %s ", word);
		if (strstr(line, mark) == NULL) {
			printf("%s: %s\n  is not so: %s\n", name, word, is);
			CU_FAIL("a row is not what it was");
		}
	}
}

static unsigned
same_rows(const char *name, char *was, char *is)
{
	char *a = NULL, *b = NULL, *x = strtok_r(was, "\n", &a);
	char *y = strtok_r(is, "\n", &b);
	unsigned rows = 0;

	for (; x != NULL && y != NULL; rows++) {
		same_row(name, x, y);
		x = strtok_r(NULL, "\n", &a);
		y = strtok_r(NULL, "\n", &b);
	}
	CU_ASSERT_PTR_NULL(x);
	CU_ASSERT_PTR_NULL(y);
	return rows;
}

/* From here on it is a database as any other. */
static void
goes_on(struct place *p)
{
	struct place other;
	struct meta_batch *b = meta_batch_new();
	char *is, *want;

	for (uint64_t id = 8000; id < 8002; id++)
		meta_del_quarantine(b, id);
	meta_del_journal(b, 11);
	meta_del_journal(b, 12);
	CU_ASSERT_EQUAL(meta_commit(p->m, &b), 0);
	CU_ASSERT_EQUAL(rows_write(p->m), 0);
	place_reopen(p);
	place_open(&other);
	CU_ASSERT_EQUAL(rows_write(other.m), 0);
	is = tell(p->m);
	want = tell(other.m);
	CU_ASSERT_STRING_EQUAL(is, want);
	free(is);
	free(want);
	place_close(&other);
}

static void
opens(const char *sql)
{
	char path[400];
	struct place p;
	char *was, *is;

	snprintf(path, sizeof(path), "%.*srows", (int)strlen(sql) - 3, sql);
	was = slurp(path, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(was);
	place_make(&p);
	load(&p, sql);
	p.m = place_store(&p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p.m);
	is = tell(p.m);
	CU_ASSERT(same_rows(sql, was, is) > 40);
	free(was);
	free(is);
	place_reopen(&p);
	goes_on(&p);
	place_close(&p);
}

static void
each_version(void (*with)(const char *sql))
{
	char pattern[300];
	glob_t found;

	versions("*.sql", pattern);
	CU_ASSERT_EQUAL_FATAL(glob(pattern, 0, NULL, &found), 0);
	CU_ASSERT(found.gl_pathc >= VERSIONS_MIN);
	for (size_t i = 0; i < found.gl_pathc; i++)
		with(found.gl_pathv[i]);
	globfree(&found);
}

static void
each_version_is_read_as_its_program_read_it_and_goes_on(void)
{
	each_version(opens);
}

/* ---- tables ---- */

static const char shape[] =
	"SELECT m.name, c.name, c.type, c.\"notnull\", c.pk"
	" FROM sqlite_schema m JOIN pragma_table_info(m.name) c"
	" WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
	" ORDER BY 1, 2;"
	"SELECT name, ifnull(replace(sql, 'IF NOT EXISTS ', ''), '')"
	" FROM sqlite_schema WHERE type = 'index' ORDER BY 1;"
	"PRAGMA user_version";

static char *
shape_of(const struct place *p)
{
	sqlite3 *db = NULL;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_EQUAL_FATAL(sqlite3_open(p->file, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, shape, add_row, f, NULL), SQLITE_OK);
	fclose(f);
	sqlite3_close(db);
	return text;
}

static void
has_the_tables(const char *sql)
{
	struct place p, other;
	char *is, *want;

	place_make(&p);
	load(&p, sql);
	p.m = place_store(&p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p.m);
	place_open(&other);
	is = shape_of(&p);
	want = shape_of(&other);
	CU_ASSERT_STRING_EQUAL(is, want);
	if (strcmp(is, want) != 0)
		printf("%s:\n%s--\n%s", sql, is, want);
	free(is);
	free(want);
	place_close(&other);
	place_close(&p);
}

static void
each_version_gets_the_tables_of_a_new_database(void)
{
	each_version(has_the_tables);
}

/* Tables were once made without a transaction. */
static void
a_first_start_that_was_killed_is_no_damage(void)
{
	struct place p, other;
	char *is, *want;

	load_named(&p, MOVED);
	run(p.file, "DROP TABLE link; DROP TABLE move; DROP TABLE gone;"
		    "PRAGMA user_version = 0");
	p.m = place_store(&p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p.m);
	place_open(&other);
	is = shape_of(&p);
	want = shape_of(&other);
	CU_ASSERT_STRING_EQUAL(is, want);
	free(is);
	free(want);
	place_close(&other);
	place_close(&p);
}

/* ---- all or nothing ---- */

static void
what_is_damaged_stays_what_it_was(void)
{
	struct meta_config c = { 0 };
	struct meta *m = NULL;
	struct place p;
	char *was, *is;

	load_named(&p, MOVED);
	run(p.file, "UPDATE upload SET key = zeroblob(2000)");
	was = contents(p.file);
	c.path = p.file;
	CU_ASSERT_EQUAL(meta_open(&c, &m), -EBADMSG);
	is = contents(p.file);
	CU_ASSERT_STRING_EQUAL(is, was);
	free(was);
	free(is);
	place_remove(&p);
}

#ifdef FAILPOINTS
static void
copy_file(const char *from, const char *to)
{
	size_t len;
	char *bytes = slurp(from, &len);
	FILE *f = fopen(to, "w");

	CU_ASSERT_FATAL(bytes != NULL && f != NULL);
	CU_ASSERT_EQUAL(fwrite(bytes, 1, len, f), len);
	CU_ASSERT_EQUAL(fclose(f), 0);
	free(bytes);
}

/* It opens then, and has what it had. */
static void
is_whole(struct place *p)
{
	char *is;

	p->m = place_store(p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p->m);
	is = tell(p->m);
	CU_ASSERT_PTR_NOT_NULL(strstr(is, "lapsed=1"));
	free(is);
	meta_close(&p->m);
}

/* The rule is for the kth statement.  1: it is there, 0: the old one is. */
static int
open_with(const struct place *p, const char *rule)
{
	struct meta_config c = { .path = p->file };
	struct meta *m = NULL;
	int r;

	CU_ASSERT_EQUAL_FATAL(host_fault_set(rule), 0);
	r = meta_open(&c, &m);
	CU_ASSERT_EQUAL_FATAL(host_fault_set(""), 0);
	meta_close(&m);
	return r == 0;
}

static int
open_and_die(const struct place *p, const char *rule)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct meta_config c = { .path = p->file };
		struct meta *m = NULL;

		_exit(host_fault_set(rule) < 0 || meta_open(&c, &m) < 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		  (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	return WIFEXITED(status);
}

#define STEPS_MAX 400
#define LOOK_EVERY 16		/* a start flushes, which takes its time */

static void
each_step(int (*try)(const struct place *p, const char *rule),
	  const char *what)
{
	unsigned k, old = 0;
	int opened = 0;
	struct place from;
	char *was;

	load_named(&from, MOVED);
	was = contents(from.file);
	for (k = 1; k < STEPS_MAX && !opened; k++) {
		struct place p;
		char rule[80], *is;

		place_make(&p);
		copy_file(from.file, p.file);
		snprintf(rule, sizeof(rule), "sql nth=%u %s", k, what);
		opened = try(&p, rule);
		is = contents(p.file);
		/* All of it, or nothing. */
		CU_ASSERT(strncmp(is, "1|", 2) != 0 || strcmp(is, was) == 0);
		old += strcmp(is, was) == 0;
		free(is);
		if (k % LOOK_EVERY == 0)
			is_whole(&p);
		place_remove(&p);
	}
	/* There are that many before its commit. */
	CU_ASSERT(old > 40 && opened);
	free(was);
	place_remove(&from);
}
#endif

static void
a_statement_that_fails_leaves_the_old_version_whole(void)
{
#ifdef FAILPOINTS
	each_step(open_with, "error=SQLITE_IOERR");
#endif
}

static void
a_kill_leaves_the_old_version_or_the_new_one(void)
{
#ifdef FAILPOINTS
	each_step(open_and_die, "kill");
#endif
}

static void
a_newer_version_is_refused_and_no_byte_of_it_changes(void)
{
	struct meta_config c = { 0 };
	struct meta *m = NULL;
	struct place p;
	sqlite3 *db = NULL;
	char wal[320], *was[2], *is[2];
	size_t was_len[2], is_len[2];
	pid_t pid;

	load_named(&p, MOVED);
	/* Its program was killed: there is a log of it. */
	pid = fork();
	if (pid == 0) {
		if (sqlite3_open(p.file, &db) == SQLITE_OK)
			(void)sqlite3_exec(db, "PRAGMA user_version = 1000;"
					   "DROP TABLE deletion", NULL, NULL,
					   NULL);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
	snprintf(wal, sizeof(wal), "%s-wal", p.file);
	was[0] = slurp(p.file, &was_len[0]);
	was[1] = slurp(wal, &was_len[1]);
	CU_ASSERT(was_len[1] > 0);
	c.path = p.file;
	CU_ASSERT_EQUAL(meta_open(&c, &m), -ENOTSUP);
	is[0] = slurp(p.file, &is_len[0]);
	is[1] = slurp(wal, &is_len[1]);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(is[i]);
		CU_ASSERT(is_len[i] == was_len[i] &&
			  memcmp(is[i], was[i], is_len[i]) == 0);
		free(is[i]);
		free(was[i]);
	}
	place_remove(&p);
}

TEST_MAIN("meta_versions",
	  T(each_version_is_read_as_its_program_read_it_and_goes_on),
	  T(each_version_gets_the_tables_of_a_new_database),
	  T(a_first_start_that_was_killed_is_no_damage),
	  T(what_is_damaged_stays_what_it_was),
	  T(a_statement_that_fails_leaves_the_old_version_whole),
	  T(a_kill_leaves_the_old_version_or_the_new_one),
	  T(a_newer_version_is_refused_and_no_byte_of_it_changes))
