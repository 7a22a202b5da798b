/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths that lead nowhere, names and paths at their limits, symlinks, and
 * directories: what each call says about them.
 */

#include <config.h>

#include <dirent.h>
#include <limits.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "tests/posix/posix.h"

/* ---- every call that takes a path, with one path ---- */

struct call {
	const char *name;
	long (*run)(const char *path);
	bool makes;		/* of a name that is not there */
	bool follows;
};

static long
c_open(const char *p)
{
	int fd = open(p, O_RDONLY | O_NONBLOCK);

	return fd < 0 ? fd : close(fd);
}

static long
c_create(const char *p)
{
	int fd = open(p, O_RDWR | O_CREAT | O_NONBLOCK, 0644);

	return fd < 0 ? fd : close(fd);
}

static long
c_mkdir(const char *p)
{
	return mkdir(p, 0755);
}

static long
c_mkfifo(const char *p)
{
	return mkfifo(p, 0644);
}

static long
c_mknod(const char *p)
{
	return mknod(p, S_IFCHR | 0644, makedev(1, 3));
}

static long
c_symlink(const char *p)
{
	return symlink("target", p);
}

static long
c_link_to(const char *p)
{
	return link("anchor", p);
}

static long
c_link_from(const char *p)
{
	return linkat(AT_FDCWD, p, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW);
}

static long
c_rename_from(const char *p)
{
	return rename(p, "moved");
}

static long
c_rename_to(const char *p)
{
	return rename("spare", p);
}

static long
c_unlink(const char *p)
{
	return unlink(p);
}

static long
c_rmdir(const char *p)
{
	return rmdir(p);
}

static long
c_stat(const char *p)
{
	struct stat st;

	return stat(p, &st);
}

static long
c_lstat(const char *p)
{
	struct stat st;

	return lstat(p, &st);
}

static long
c_chmod(const char *p)
{
	return chmod(p, 0755);
}

static long
c_chown(const char *p)
{
	return chown(p, 0, 0);
}

static long
c_lchown(const char *p)
{
	return lchown(p, 0, 0);
}

static long
c_truncate(const char *p)
{
	return truncate(p, 0);
}

static long
c_utimens(const char *p)
{
	return utimensat(AT_FDCWD, p, NULL, 0);
}

static long
c_access(const char *p)
{
	return access(p, F_OK);
}

static long
c_readlink(const char *p)
{
	char buf[PATH_MAX];

	return readlink(p, buf, sizeof(buf));
}

static long
c_opendir(const char *p)
{
	DIR *d = opendir(p);

	return d == NULL ? -1 : closedir(d);
}

static long
c_chdir(const char *p)
{
	int here = open(".", O_RDONLY), r = chdir(p), e = errno;

	if (fchdir(here) != 0)
		abort();
	close(here);
	errno = e;
	return r;
}

static long
c_statvfs(const char *p)
{
	struct statvfs st;

	return statvfs(p, &st);
}

static const struct call calls[] = {
	{ "open", c_open, false, true },
	{ "create", c_create, true, true },
	{ "mkdir", c_mkdir, true, false },
	{ "mkfifo", c_mkfifo, true, false },
	{ "mknod", c_mknod, true, false },
	{ "symlink", c_symlink, true, false },
	{ "link to", c_link_to, true, false },
	{ "link from", c_link_from, false, true },
	{ "rename from", c_rename_from, false, false },
	{ "rename to", c_rename_to, true, false },
	{ "unlink", c_unlink, false, false },
	{ "rmdir", c_rmdir, false, false },
	{ "stat", c_stat, false, true },
	{ "lstat", c_lstat, false, false },
	{ "chmod", c_chmod, false, true },
	{ "chown", c_chown, false, true },
	{ "lchown", c_lchown, false, false },
	{ "truncate", c_truncate, false, true },
	{ "utimensat", c_utimens, false, true },
	{ "access", c_access, false, true },
	{ "readlink", c_readlink, false, false },
	{ "opendir", c_opendir, false, true },
	{ "chdir", c_chdir, false, true },
	{ "statvfs", c_statvfs, false, true },
};
#define CALLS (sizeof(calls) / sizeof(*calls))

static void
each_call(const char *path, int want_makes, int want_else, const char *what)
{
	for (size_t i = 0; i < CALLS; i++)
		err(calls[i].run(path),
		    calls[i].makes ? want_makes : want_else, "%s: %s",
		    calls[i].name, what);
}

static void
nowhere(void)
{
	char name[300], *path = malloc(PATH_MAX + 10);

	NEED(put("anchor", "x"));
	NEED(put("spare", "x"));
	NEED(put("file", "x"));
	NEED(make(FIFO, "fifo", 0644));
	NEED(mkdir("dir", 0755));
	NEED(symlink("loop2", "loop1"));
	NEED(symlink("loop1", "loop2"));
	NEED(symlink("gone", "dangling"));
	each_call("", ENOENT, ENOENT, "the empty path");
	each_call("none/x", ENOENT, ENOENT, "in a directory that is not");
	each_call("file/x", ENOTDIR, ENOTDIR, "in a file");
	each_call("fifo/x", ENOTDIR, ENOTDIR, "in a FIFO");
	each_call("loop1/x", ELOOP, ELOOP, "behind a loop");
	each_call("dangling/x", ENOENT, ENOENT, "behind a dangling symlink");
	memset(name, 'n', 256);
	name[256] = '\0';
	each_call(name, ENAMETOOLONG, ENAMETOOLONG, "a name of 256 bytes");
	memset(name, 'd', 256);
	strcpy(name + 256, "/x");
	each_call(name, ENAMETOOLONG, ENAMETOOLONG,
		  "in a name of 256 bytes");
	memset(path, 0, PATH_MAX + 10);
	while (strlen(path) < PATH_MAX)
		strcat(path, "./");
	each_call(path, ENAMETOOLONG, ENAMETOOLONG, "a path of PATH_MAX");
	for (size_t i = 0; i < CALLS; i++) {
		if (calls[i].follows && !calls[i].makes)
			err(calls[i].run("loop1"), ELOOP, "%s: a loop",
			    calls[i].name);
		if (calls[i].follows && !calls[i].makes)
			err(calls[i].run("dangling"), ENOENT,
			    "%s: a dangling symlink", calls[i].name);
		if (!calls[i].makes)
			err(calls[i].run("none"), ENOENT, "%s: nothing",
			    calls[i].name);
		/* opendir of glibc looks at the name itself. */
		if (calls[i].run != c_opendir)
			err(calls[i].run((const char *)1), EFAULT,
			    "%s: no address", calls[i].name);
	}
	free(path);
}

static void
longest(void)
{
	char name[NAME_MAX + 1], deep[PATH_MAX + 1];
	size_t len;
	int here = open(".", O_RDONLY | O_DIRECTORY);

	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = '\0';
	NEED(put("anchor", "x"));
	for (size_t i = 0; i < CALLS; i++) {
		if (!calls[i].makes)
			continue;
		NEED(put("spare", "x"));
		err(calls[i].run(name), 0, "%s: a name of 255 bytes",
		    calls[i].name);
		is(there(name), 1, "%s: it is there", calls[i].name);
		NEED(drop(name));
	}
	is(pathconf(".", _PC_NAME_MAX), 255, "_PC_NAME_MAX");
	/* Bytes that are no text. */
	for (int c = 1; c < 256; c++) {
		char odd[4] = { 'o', (char)c, 'o', 0 };

		if (c == '/')
			continue;
		err(mkfifo(odd, 0600), 0, "a name with byte %d", c);
		is(there(odd), 1, "a name with byte %d is there", c);
		NEED(unlink(odd));
	}
	/* 16 directories of 200 bytes do not fit into a key of S3; they are
	 * tried in steps of 50. */
	memset(deep, 0, sizeof(deep));
	for (int i = 0; i < 16; i++) {
		len = strlen(deep);
		memset(deep + len, 'a' + i, 49);
		deep[len + 49] = '/';
		err(mkdir(deep, 0755), 0, "a path of %zu bytes",
		    strlen(deep));
	}
	close(here);
}

static void
trailing_slash(void)
{
	NEED(put("file", "x"));
	NEED(mkdir("dir", 0755));
	NEED(symlink("dir", "link"));
	NEED(put("anchor", "x"));
	err(c_stat("file/"), ENOTDIR, "stat a file with a slash");
	err(c_unlink("file/"), ENOTDIR, "unlink a file with a slash");
	err(c_rename_from("file/"), ENOTDIR, "rename a file with a slash");
	err(c_rmdir("file/"), ENOTDIR, "rmdir a file with a slash");
	err(c_lstat("dir/"), 0, "lstat a directory with a slash");
	err(c_mkdir("new/"), 0, "mkdir with a slash");
	err(c_rmdir("new/"), 0, "rmdir with a slash");
	err(c_symlink("new/"), ENOENT, "symlink with a slash");
	err(c_mkfifo("new/"), ENOENT, "mkfifo with a slash");
	err(c_link_to("new/"), ENOENT, "link with a slash");
	err(c_unlink("link/"), ENOTDIR, "unlink a symlink with a slash");
	err(c_rmdir("link/"), ENOTDIR, "rmdir a symlink with a slash");
	is(S_ISDIR(look("link/").st_mode), 1, "lstat follows before a slash");
	err(c_readlink("link/"), EINVAL, "readlink with a slash");
}

static void
wrong_kind(void)
{
	for (int k = 0; k < KINDS; k++) {
		char buf[100];

		NEED(make(k, "x", 0755));
		if (k != DIR_)
			err(rmdir("x"), ENOTDIR, "rmdir a %s", kind_names[k]);
		else
			err(unlink("x"), EISDIR, "unlink a directory");
		err(readlink("x", buf, sizeof(buf)), k == LNK ? 0 : EINVAL,
		    "readlink a %s", kind_names[k]);
		err(c_opendir("x"), k == DIR_ ? 0 : k == LNK ? ENOENT : ENOTDIR,
		    "opendir a %s", kind_names[k]);
		err(c_truncate("x"),
		    k == REG ? 0 : k == DIR_ ? EISDIR : k == LNK ? ENOENT
								 : EINVAL,
		    "truncate a %s", kind_names[k]);
		err(c_stat("x/."), k == DIR_ ? 0 : k == LNK ? ENOENT : ENOTDIR,
		    "dot in a %s", kind_names[k]);
		NEED(drop("x"));
	}
}

/* ---- symlinks ---- */

static void
symlinks(void)
{
	static const size_t sizes[] = { 1, 2, 15, 59, 60, 61, 100, 254, 255,
					256, 511, 512, 1000, 1023, 1024 };
	char target[4200], got[4200];
	struct stat st;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t len = sizes[i];

		for (size_t c = 0; c < len; c++)
			target[c] = c % 64 == 63 ? '/' : 'a' + c % 26;
		target[len] = '\0';
		err(symlink(target, "l"), 0, "a target of %zu bytes", len);
		memset(got, 0, sizeof(got));
		is(readlink("l", got, sizeof(got)), (long)len,
		   "a target of %zu bytes: readlink", len);
		is(memcmp(got, target, len), 0,
		   "a target of %zu bytes: the same", len);
		is(look("l").st_size, (long)len, "a target of %zu bytes: size",
		   len);
		NEED(drop("l"));
	}
	memset(target, 't', 4096);
	target[4096] = '\0';
	err(symlink(target, "l"), ENAMETOOLONG, "a target of 4096 bytes");
	err(symlink("", "l"), ENOENT, "an empty target");
	NEED(symlink("../x//y/./z\xff\n", "l"));
	memset(got, 0, sizeof(got));
	NEED(readlink("l", got, sizeof(got)));
	is(strcmp(got, "../x//y/./z\xff\n"), 0, "odd bytes in a target");
	is(readlink("l", got, 3), 3, "readlink into a short buffer");
	NEED(drop("l"));
	/* 40 symlinks are followed (Linux), not 41. */
	NEED(put("end", "text"));
	strcpy(target, "end");
	for (int i = 1; i <= 41; i++) {
		char name[20];

		snprintf(name, sizeof(name), "s%d", i);
		NEED(symlink(target, name));
		strcpy(target, name);
	}
	err(stat("s40", &st), 0, "40 symlinks");
	err(stat("s41", &st), ELOOP, "41 symlinks");
	is(holds("s5", "text"), 1, "read through symlinks");
	err(chmod("s3", 0640), 0, "chmod through symlinks");
	is_mode(MODE("end"), 0640, "it is the file's mode");
	is_mode(MODE("s3"), 0777, "and not the symlink's");
	err(unlink("s3"), 0, "unlink a symlink");
	is(there("end"), 1, "its target stays");
	NEED(mkdir("d", 0755));
	NEED(symlink("d", "ds"));
	NEED(put("ds/f", "in d"));
	is(holds("d/f", "in d"), 1, "through a symlink to a directory");
	NEED(symlink("..", "d/up"));
	is(holds("d/up/d/f", "in d"), 1, "up and down again");
}

/* ---- directories ---- */

static void
dots(void)
{
	ino_t here = INO(".");

	NEED(mkdir("d", 0755));
	NEED(mkdir("d/e", 0755));
	is(INO("d/.") == INO("d"), 1, "dot is the directory");
	is(INO("d/..") == here, 1, "dot-dot is the parent");
	is(INO("d/e/../..") == here, 1, "two up");
	err(rmdir("d/."), EINVAL, "rmdir dot");
	err(rmdir("d/e/.."), ENOTEMPTY, "rmdir dot-dot");
	err(rmdir("."), EINVAL, "rmdir of dot alone");
	err(unlink("."), EISDIR, "unlink dot");
	err(unlink(".."), EISDIR, "unlink dot-dot");
	err(mkdir(".", 0755), EEXIST, "mkdir dot");
	err(mkdir("..", 0755), EEXIST, "mkdir dot-dot");
	err(symlink("x", "."), EEXIST, "symlink dot");
	err(rename(".", "x"), EBUSY, "rename dot");
	err(rename("d", "."), EBUSY, "rename onto dot");
	err(rename("..", "x"), EBUSY, "rename dot-dot");
	err(rename("d", ".."), EBUSY, "rename onto dot-dot");
	err(rename("d", "d/x"), EINVAL, "rename into itself");
	err(rename("d", "d/e/x"), EINVAL, "rename below itself");
}

static void
directory_links(void)
{
	char name[32];
	long before = NLINK(".");

	is(before, 2, "an empty directory has two links");
	for (int i = 1; i <= 20; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		NEED(mkdir(name, 0755));
		is(NLINK("."), 2 + i, "%d sub-directories", i);
		is(NLINK(name), 2, "%d: it has two links", i);
	}
	NEED(put("f", "x"));
	NEED(mkfifo("p", 0644));
	is(NLINK("."), 22, "files do not count");
	err(rmdir("d1"), 0, "rmdir");
	is(NLINK("."), 21, "one less");
	NEED(put("d2/f", "x"));
	err(rmdir("d2"), ENOTEMPTY, "rmdir of one that is not empty");
	is(NLINK("."), 21, "none less");
	NEED(unlink("d2/f"));
	err(rmdir("d2"), 0, "rmdir once it is empty");
	NEED(mkdir("d3/sub", 0755));
	is(NLINK("d3"), 3, "a directory's links");
	err(rmdir("d3"), ENOTEMPTY, "rmdir with a directory in it");
	NEED(rmdir("d3/sub"));
	is(NLINK("d3"), 2, "a directory's links after rmdir");
}

static int
count_entries(const char *path, int *bad)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int count = 0, dots_seen = 0;

	*bad = 0;
	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL) {
		char full[600];

		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0) {
			dots_seen++;
			continue;
		}
		count++;
		snprintf(full, sizeof(full), "%s/%s", path, e->d_name);
		if (INO(full) != e->d_ino)
			(*bad)++;
		if (e->d_type != DT_UNKNOWN &&
		    (mode_t)DTTOIF(e->d_type) !=
			    (look(full).st_mode & S_IFMT))
			(*bad)++;
	}
	closedir(d);
	if (dots_seen != 2)
		*bad += 1000;
	return count;
}

static void
reading(void)
{
	static const int sizes[] = { 0, 1, 10, 300 };
	int bad, made = 0;
	char name[32];
	DIR *d;
	struct dirent *e;

	NEED(mkdir("d", 0755));
	for (int i = 0; i < 4; i++) {
		for (; made < sizes[i]; made++) {
			snprintf(name, sizeof(name), "d/n%d", made);
			NEED(make(made % KINDS, name, 0644));
		}
		is(count_entries("d", &bad), sizes[i], "%d entries",
		   sizes[i]);
		is(bad, 0, "%d entries: their kinds and numbers", sizes[i]);
	}
	/* Removing while reading. */
	d = opendir("d");
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "d/%s", e->d_name);
		if (drop(name) != 0)
			made = -1000000;
		made--;
	}
	closedir(d);
	is(made, 0, "removed while reading");
	is(count_entries("d", &bad), 0, "nothing is left");
	err(rmdir("d"), 0, "rmdir after that");
	err(c_opendir("d"), ENOENT, "opendir after that");
}

/* A directory that is removed while somebody is in it. */
static void
removed_below(void)
{
	int here = open(".", O_RDONLY);

	NEED(mkdir("d", 0755));
	NEED(chdir("d"));
	err(rmdir("../d"), 0, "rmdir the working directory");
	err(c_create("x"), ENOENT, "create in it");
	err(mkdir("x", 0755), ENOENT, "mkdir in it");
	NEED(fchdir(here));
	close(here);
}

const struct checks path_groups[] = {
	{ "path-errors", nowhere },
	{ "path-limits", longest },
	{ "path-slash", trailing_slash },
	{ "path-kind", wrong_kind },
	{ "symlink", symlinks },
	{ "dots", dots },
	{ "dir-links", directory_links },
	{ "readdir", reading },
	{ "dir-removed", removed_below },
	{ NULL, NULL },
};
