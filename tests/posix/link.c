/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard links: several names, one file.
 */

#include <config.h>

#include "tests/posix/posix.h"

static void
kinds(void)
{
	for (int k = 0; k < KINDS; k++) {
		NEED(make(k, "a", 0644));
		if (k == DIR_) {
			err(link("a", "b"), EPERM, "a directory");
			is(NLINK("a"), 2, "a directory: nlink");
			NEED(rmdir("a"));
			continue;
		}
		err(link("a", "b"), 0, "%s", kind_names[k]);
		is(INO("a") == INO("b"), 1, "%s: one number", kind_names[k]);
		is(NLINK("a"), 2, "%s: nlink by the first name",
		   kind_names[k]);
		is(NLINK("b"), 2, "%s: nlink by the second name",
		   kind_names[k]);
		is_mode(look("b").st_mode, look("a").st_mode, "%s: one mode",
			kind_names[k]);
		is(look("a").st_rdev == look("b").st_rdev, 1,
		   "%s: one device", kind_names[k]);
		err(lchown("b", OWNER, GROUP), 0, "%s: chown by the second",
		    kind_names[k]);
		is(look("a").st_uid, OWNER, "%s: the first shows it",
		   kind_names[k]);
		err(unlink("a"), 0, "%s: unlink the first", kind_names[k]);
		is(NLINK("b"), 1, "%s: nlink then", kind_names[k]);
		is(there("a"), 0, "%s: it is gone", kind_names[k]);
		err(unlink("b"), 0, "%s: unlink the second", kind_names[k]);
		is(there("b"), 0, "%s: it is gone, too", kind_names[k]);
	}
}

static void
errors(void)
{
	NEED(put("f", "x"));
	for (int k = 0; k < KINDS; k++) {
		NEED(make(k, "x", 0644));
		err(link("f", "x"), EEXIST, "over a %s", kind_names[k]);
		is(NLINK("f"), 1, "over a %s: nlink", kind_names[k]);
		NEED(drop("x"));
	}
	err(link("f", "f"), EEXIST, "over itself");
	err(link("none", "x"), ENOENT, "of nothing");
	err(link("f", "none/x"), ENOENT, "into nothing");
	err(link("f", "f/x"), ENOTDIR, "into a file");
	err(link("/proc/self/status", "x"), EXDEV, "from elsewhere");
	NEED(mkdir("d", 0755));
	NEED(chmod("d", 0555));
	NEED(chmod("f", 0666));	/* who may not write may not link (Linux) */
	as(OWNER, GROUP, -1);
	err(link("f", "d/x"), EACCES, "into a directory of another");
	as_root();
	is(NLINK("f"), 1, "nlink after all that");
}

/* One file's bytes and attributes, by whatever name. */
static void
one_file(void)
{
	int fd;

	NEED(mkdir("d", 0755));
	NEED(put("a", "first"));
	NEED(link("a", "b"));
	NEED(link("b", "d/c"));
	is(NLINK("a"), 3, "three links");
	is(holds("b", "first"), 1, "read by the second");
	is(holds("d/c", "first"), 1, "read by the third");
	NEED(put("b", "written by b"));
	is(holds("a", "written by b"), 1, "written by the second");
	fd = open("d/c", O_WRONLY | O_APPEND);
	is(write(fd, "+c", 2), 2, "append by the third");
	NEED(close(fd));
	is(holds("a", "written by b+c"), 1, "read by the first");
	is(look("b").st_size, 14, "its size");
	NEED(truncate("b", 7));
	is(holds("d/c", "written"), 1, "truncated by the second");
	NEED(chmod("d/c", 0604));
	is_mode(MODE("a"), 0604, "mode set by the third");
	NEED(utimensat(AT_FDCWD, "b", (struct timespec[]){ { 1, 2 },
							   { 3, 4 } }, 0));
	is(look("a").st_mtim.tv_sec, 3, "times set by the second");
	err(unlink("a"), 0, "unlink the first");
	is(holds("b", "written"), 1, "the second is there");
	is(NLINK("d/c"), 2, "two links");
	NEED(put("d/c", "again"));
	is(holds("b", "again"), 1, "written by the third");
	err(rename("b", "e"), 0, "rename the second");
	is(NLINK("e"), 2, "two links, still");
	is(holds("e", "again"), 1, "its bytes");
	NEED(put("e", "by e"));
	is(holds("d/c", "by e"), 1, "one file, still");
	err(unlink("e"), 0, "unlink it");
	is(NLINK("d/c"), 1, "one link");
	is(holds("d/c", "by e"), 1, "the last one");
	NEED(put("e", "fresh"));
	is(holds("d/c", "by e"), 1, "the old name is another file now");
	is(INO("e") != INO("d/c"), 1, "with another number");
}

/* Every order in which three names may go. */
static void
orders(void)
{
	static const int order[6][3] = { { 0, 1, 2 }, { 0, 2, 1 },
					 { 1, 0, 2 }, { 1, 2, 0 },
					 { 2, 0, 1 }, { 2, 1, 0 } };
	static const char *const names[] = { "x", "y", "z" };

	for (int waits = 0; waits < 2; waits++) {
		for (int o = 0; o < 6; o++) {
			ino_t ino;

			NEED(put("x", "text"));
			if (waits)	/* let the server store it */
				usleep(300000);
			NEED(link("x", "y"));
			NEED(link("y", "z"));
			ino = INO("x");
			for (int i = 0; i < 3; i++) {
				err(unlink(names[order[o][i]]), 0,
				    "order %d, step %d, %d", o, i, waits);
				for (int j = i + 1; j < 3; j++) {
					const char *n = names[order[o][j]];

					is(NLINK(n), 2 - i,
					   "order %d, step %d, %s, %d: nlink",
					   o, i, n, waits);
					is(holds(n, "text"), 1,
					   "order %d, step %d, %s, %d: bytes",
					   o, i, n, waits);
					is(INO(n) == ino, 1,
					   "order %d, step %d, %s, %d: number",
					   o, i, n, waits);
				}
			}
		}
	}
}

static void
renames(void)
{
	/* Over one of two names. */
	for (int which = 0; which < 2; which++) {
		const char *target = which ? "b" : "a";
		const char *left = which ? "a" : "b";

		NEED(put("a", "old"));
		NEED(link("a", "b"));
		NEED(put("new", "new"));
		err(rename("new", target), 0, "over name %d", which);
		is(holds(target, "new"), 1, "over name %d: the new", which);
		is(holds(left, "old"), 1, "over name %d: the old", which);
		is(NLINK(left), 1, "over name %d: nlink of the old", which);
		is(NLINK(target), 1, "over name %d: nlink of the new", which);
		NEED(unlink("a"));
		NEED(unlink("b"));
	}
	/* One of two names over another file. */
	for (int which = 0; which < 2; which++) {
		NEED(put("a", "mine"));
		NEED(link("a", "b"));
		NEED(put("c", "other"));
		err(rename(which ? "b" : "a", "c"), 0, "name %d over a file",
		    which);
		is(holds("c", "mine"), 1, "name %d over a file: bytes",
		   which);
		is(NLINK("c"), 2, "name %d over a file: nlink", which);
		is(INO("c") == INO(which ? "a" : "b"), 1,
		   "name %d over a file: one file", which);
		NEED(unlink("c"));
		NEED(unlink(which ? "a" : "b"));
	}
	/* A backup by link, then a replacement, as package managers do. */
	for (int i = 0; i < 5; i++) {
		char text[20], before[20];

		snprintf(text, sizeof(text), "version %d", i);
		snprintf(before, sizeof(before), "version %d", i - 1);
		if (i == 0) {
			NEED(put("f", text));
			continue;
		}
		if (there("f~"))
			NEED(unlink("f~"));
		err(link("f", "f~"), 0, "back up %d", i);
		NEED(put("f.new", text));
		err(rename("f.new", "f"), 0, "replace %d", i);
		is(holds("f", text), 1, "replaced %d", i);
		is(holds("f~", before), 1, "backed up %d", i);
		is(NLINK("f"), 1, "replaced %d: nlink", i);
		is(NLINK("f~"), 1, "backed up %d: nlink", i);
	}
	/* A lock by link, as mail programs do. */
	NEED(put("lock.1", "1"));
	NEED(put("lock.2", "2"));
	err(link("lock.1", "lock"), 0, "lock");
	is(NLINK("lock.1"), 2, "lock is held");
	err(link("lock.2", "lock"), EEXIST, "lock again");
	is(NLINK("lock.2"), 1, "lock is not held by the other");
	err(unlink("lock"), 0, "unlock");
	is(NLINK("lock.1"), 1, "lock is free");
	err(link("lock.2", "lock"), 0, "lock by the other");
}

static void
opened(void)
{
	char buf[16];
	struct stat st;
	int fd;

	NEED(put("a", "12345"));
	NEED(link("a", "b"));
	fd = open("a", O_RDWR);
	NEED(fd);
	err(unlink("a"), 0, "unlink the name it was opened by");
	is(pread(fd, buf, 16, 0), 5, "read");
	is(pwrite(fd, "ABC", 3, 0), 3, "write");
	NEED(fsync(fd));
	is(holds("b", "ABC45"), 1, "the other name has it");
	NEED(fstat(fd, &st));
	is(st.st_ino == INO("b"), 1, "one file");
	NEED(close(fd));
	is(holds("b", "ABC45"), 1, "after close");
	is(NLINK("b"), 1, "nlink after close");
	is(there("a"), 0, "the name");
	fd = open("b", O_RDWR);
	NEED(link("b", "c"));
	err(unlink("b"), 0, "unlink again");
	err(unlink("c"), 0, "and the last");
	is(pread(fd, buf, 16, 0), 5, "read without a name");
	NEED(close(fd));
}

static void
many(void)
{
	char name[20];
	long want = 60;

	NEED(mkdir("d", 0755));
	NEED(put("f", "many"));
	for (int i = 0; i < want - 1; i++) {
		snprintf(name, sizeof(name), "d/l%d", i);
		NEED(link("f", name));
	}
	is(NLINK("f"), want, "%ld links", want);
	is(holds("d/l20", "many"), 1, "read by one of them");
	NEED(put("d/l20", "MANY"));
	is(holds("d/l40", "MANY"), 1, "written by one of them");
	for (int i = 0; i < want - 1; i++) {
		snprintf(name, sizeof(name), "d/l%d", i);
		err(unlink(name), 0, "unlink %d", i);
	}
	is(NLINK("f"), 1, "one link at the end");
	err(rmdir("d"), 0, "rmdir at the end");
}

const struct checks link_groups[] = {
	{ "link", kinds },
	{ "link-errors", errors },
	{ "link-one-file", one_file },
	{ "link-orders", orders },
	{ "link-renames", renames },
	{ "link-open", opened },
	{ "link-many", many },
	{ NULL, NULL },
};
