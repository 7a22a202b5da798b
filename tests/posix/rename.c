/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename: every kind over every kind, in one directory and between two; what
 * the names, numbers and link counts are then.
 */

#include <config.h>

#include <sys/syscall.h>

#include "tests/posix/posix.h"

/* "nothing" and "full directory" beside the kinds. */
#define NOTHING KINDS
#define FULL (KINDS + 1)

static const char *
target_name(int to)
{
	return to == NOTHING ? "nothing" : to == FULL ? "a full directory"
						      : kind_names[to];
}

static void
clear(const char *name)
{
	char below[50];

	snprintf(below, sizeof(below), "%s/below", name);
	if (there(below))
		NEED(drop(below));
	if (there(name))
		NEED(drop(name));
}

static int
wanted(int from, int to)
{
	if (to == NOTHING)
		return 0;
	if (from == DIR_)
		return to == DIR_ ? 0 : to == FULL ? ENOTEMPTY : ENOTDIR;
	return to == DIR_ || to == FULL ? EISDIR : 0;
}

static void
over(int from, int to, const char *dir)
{
	char name[40], what[120];
	int want = wanted(from, to);
	ino_t ino;
	mode_t kind;

	snprintf(name, sizeof(name), "%sto", dir);
	snprintf(what, sizeof(what), "%s over %s%s", kind_names[from],
		 target_name(to), dir[0] ? " elsewhere" : "");
	NEED(make(from, "from", 0644));
	if (to == FULL) {
		char below[60];

		snprintf(below, sizeof(below), "%s/below", name);
		NEED(mkdir(name, 0755));
		NEED(put(below, "x"));
	} else if (to != NOTHING) {
		NEED(make(to, name, 0644));
	}
	ino = INO("from");
	kind = look("from").st_mode;
	err(rename("from", name), want, "%s", what);
	if (want == 0) {
		is(there("from"), 0, "%s: the old name", what);
		is(INO(name) == ino, 1, "%s: the number", what);
		is_mode(look(name).st_mode, kind, "%s: the mode", what);
		is(NLINK(name), from == DIR_ ? 2 : 1, "%s: nlink", what);
	} else {
		is(INO("from") == ino, 1, "%s: the old is there", what);
		is(there(name), 1, "%s: the new, too", what);
	}
	clear(name);
	clear("from");
}

static void
matrix(void)
{
	NEED(mkdir("d", 0755));
	for (int from = 0; from < KINDS; from++) {
		for (int to = 0; to <= FULL; to++) {
			over(from, to, "");
			over(from, to, "d/");
		}
	}
	is(NLINK("d"), 2, "links of the directory at the end");
	is(NLINK("."), 3, "links of ours at the end");
}

static void
directory_counts(void)
{
	NEED(mkdir("a", 0755));
	NEED(mkdir("b", 0755));
	NEED(mkdir("a/d", 0755));
	NEED(mkdir("a/d/sub", 0755));
	NEED(put("a/d/f", "text"));
	err(rename("a/d", "b/e"), 0, "a directory elsewhere");
	is(NLINK("a"), 2, "links of the old parent");
	is(NLINK("b"), 3, "links of the new parent");
	is(NLINK("b/e"), 3, "links of the directory");
	is(INO("b/e/..") == INO("b"), 1, "dot-dot is the new parent");
	is(holds("b/e/f", "text"), 1, "what was in it");
	is(there("a/d/f"), 0, "and is there no more");
	NEED(mkdir("b/empty", 0755));
	err(rename("b/e", "b/empty"), 0, "over an empty one");
	is(NLINK("b"), 3, "links after that");
	is(holds("b/empty/f", "text"), 1, "what was in it, after that");
	NEED(mkdir("b/x", 0755));
	err(rename("b/x", "b/empty"), ENOTEMPTY, "over a full one");
	err(rename("b/empty", "b/empty/sub/y"), EINVAL, "below itself");
	err(rename("b/empty/sub", "b/empty"), ENOTEMPTY, "over its parent");
	err(rename("b/none", "b/x"), ENOENT, "of nothing");
	err(rename("b/empty/f", "b/empty/f/x"), ENOTDIR, "below a file");
}

/* A directory may be moved by who may write it: its dot-dot changes. */
static void
directory_rights(void)
{
	NEED(mkdir("a", 0777));
	NEED(mkdir("b", 0777));
	NEED(mkdir("a/d", 0755));
	as(OTHER, GROUP, -1);
	err(rename("a/d", "a/e"), 0, "another's directory in its parent");
	err(rename(there("a/e") ? "a/e" : "a/d", "b/d"), EACCES,
	    "another's directory elsewhere");
	as_root();
}

static void
same_file(void)
{
	NEED(put("f", "text"));
	err(rename("f", "f"), 0, "onto itself");
	is(holds("f", "text"), 1, "it is there");
	NEED(link("f", "g"));
	err(rename("f", "g"), 0, "onto another name of it");
	is(there("f") && there("g"), 1, "both names stay");
	is(NLINK("f"), 2, "two links");
	NEED(mkdir("d", 0755));
	err(rename("d", "d"), 0, "a directory onto itself");
	err(rename("f", "d/"), ENOTDIR, "a file to a name with a slash");
	err(rename("d", "e/"), 0, "a directory to a name with a slash");
}

static void
flags(void)
{
	NEED(put("a", "a"));
	NEED(put("b", "b"));
	err(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST,
	    "NOREPLACE over a file");
	err(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE), EINVAL,
	    "EXCHANGE");
	is(holds("a", "a") && holds("b", "b"), 1, "nothing has changed");
}

/* Bytes go with the name, through many of them. */
static void
chains(void)
{
	char a[20], b[20], text[20];

	for (int i = 0; i < 10; i++) {
		snprintf(a, sizeof(a), "f%d", i);
		snprintf(text, sizeof(text), "text %d", i);
		NEED(put(a, text));
	}
	NEED(rename("f9", "tmp"));
	for (int i = 8; i >= 0; i--) {
		snprintf(a, sizeof(a), "f%d", i);
		snprintf(b, sizeof(b), "f%d", i + 1);
		err(rename(a, b), 0, "shift %d", i);
	}
	NEED(rename("tmp", "f0"));
	for (int i = 0; i < 10; i++) {
		snprintf(a, sizeof(a), "f%d", i);
		snprintf(text, sizeof(text), "text %d", (i + 9) % 10);
		is(holds(a, text), 1, "the bytes of %d", i);
	}
	/* As editors and package managers do. */
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "version %d", i);
		NEED(put("new", text));
		err(rename("new", "file"), 0, "replace %d", i);
		is(holds("file", text), 1, "version %d", i);
	}
}

const struct checks rename_groups[] = {
	{ "rename", matrix },
	{ "rename-dir", directory_counts },
	{ "rename-dir-rights", directory_rights },
	{ "rename-same", same_file },
	{ "rename-flags", flags },
	{ "rename-bytes", chains },
	{ NULL, NULL },
};
