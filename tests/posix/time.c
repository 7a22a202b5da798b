/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times: which call moves which of them, on the file and on its directory;
 * what utimensat stores.
 */

#include <config.h>

#include <sys/sysmacros.h>

#include "tests/posix/posix.h"

#define A 1
#define M 2
#define C 4

/* ---- who moves what ---- */

struct watched {
	struct stat before;
	const char *name;
};

static void
watch(struct watched *w, const char *name)
{
	w->name = name;
	w->before = look(name);
}

static int
moved(const struct watched *w, const char *name)
{
	struct stat now = look(name);

	return (ns(&now.st_atim) > ns(&w->before.st_atim) ? A : 0) |
	       (ns(&now.st_mtim) > ns(&w->before.st_mtim) ? M : 0) |
	       (ns(&now.st_ctim) > ns(&w->before.st_ctim) ? C : 0);
}

static int fd_w;		/* open for writing on d/f */

static long t_chmod(void) { return chmod("d/f", 0640); }
static long t_chmod_same(void) { return chmod("d/f", MODE("d/f")); }
static long t_chown(void) { return chown("d/f", OWNER, GROUP); }
static long t_chown_nothing(void) { return chown("d/f", -1, -1); }
static long t_write(void)
{
	return pwrite(fd_w, "more", 4, 0) == 4 ? fsync(fd_w) : -1;
}
static long t_write_nothing(void)
{
	return pwrite(fd_w, "", 0, 0) == 0 ? fsync(fd_w) : -1;
}
static long t_truncate(void) { return truncate("d/f", 100); }
static long t_truncate_same(void)
{
	return truncate("d/f", look("d/f").st_size);
}
static long t_ftruncate(void) { return ftruncate(fd_w, 50); }
static long t_open_trunc(void)
{
	int fd = open("d/f", O_WRONLY | O_TRUNC);

	return fd < 0 ? fd : close(fd);
}
static long t_link(void) { return link("d/f", "e/l"); }
static long t_unlink_link(void) { return unlink("e/l"); }
static long t_rename(void) { return rename("d/f", "d/g"); }
static long t_rename_back(void) { return rename("d/g", "d/f"); }
static long t_rename_out(void) { return rename("d/f", "e/f"); }
static long t_rename_in(void) { return rename("e/f", "d/f"); }
static long t_failed(void)
{
	return mkdir("d/f", 0755) == 0 || rmdir("d/f") == 0 ||
	       link("d/none", "d/x") == 0 || open("d/f/x", O_CREAT, 0) >= 0
		       ? -1 : 0;
}
static long t_stat(void) { struct stat st; return stat("d/f", &st); }
static long t_create(void) { return make(REG, "d/new", 0644); }
static long t_mkdir(void) { return mkdir("d/new", 0755); }
static long t_mkfifo(void) { return mkfifo("d/new", 0755); }
static long t_symlink(void) { return symlink("x", "d/new"); }
static long t_unlink(void) { return drop("d/new"); }
static long t_utimens(void) { return utimensat(AT_FDCWD, "d/f", NULL, 0); }
static long t_omit(void)
{
	struct timespec t[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };

	return utimensat(AT_FDCWD, "d/f", t, 0);
}

/* What moves: of the file, of its directory d, of the directory e.  Not the
 * access times, which clients keep as they please. */
static const struct {
	const char *name;
	long (*run)(void);
	int file, d, e;
} steps[] = {
	{ "chmod", t_chmod, C, 0, 0 },
	{ "chmod to the same", t_chmod_same, C, 0, 0 },
	{ "chown", t_chown, C, 0, 0 },
	{ "chown to nothing", t_chown_nothing, C, 0, 0 },
	{ "write", t_write, M | C, 0, 0 },
	{ "write of nothing", t_write_nothing, 0, 0, 0 },
	{ "truncate", t_truncate, M | C, 0, 0 },
	{ "truncate to the same", t_truncate_same, M | C, 0, 0 },
	{ "ftruncate", t_ftruncate, M | C, 0, 0 },
	{ "open with TRUNC", t_open_trunc, M | C, 0, 0 },
	{ "open with TRUNC again", t_open_trunc, M | C, 0, 0 },
	{ "link", t_link, C, 0, M | C },
	{ "unlink of a link", t_unlink_link, C, 0, M | C },
	{ "rename", t_rename, C, M | C, 0 },
	{ "rename back", t_rename_back, C, M | C, 0 },
	{ "rename out", t_rename_out, C, M | C, M | C },
	{ "rename in", t_rename_in, C, M | C, M | C },
	{ "calls that fail", t_failed, 0, 0, 0 },
	{ "stat", t_stat, 0, 0, 0 },
	{ "create beside it", t_create, 0, M | C, 0 },
	{ "unlink beside it", t_unlink, 0, M | C, 0 },
	{ "mkdir beside it", t_mkdir, 0, M | C, 0 },
	{ "rmdir beside it", t_unlink, 0, M | C, 0 },
	{ "mkfifo beside it", t_mkfifo, 0, M | C, 0 },
	{ "unlink of a fifo beside it", t_unlink, 0, M | C, 0 },
	{ "symlink beside it", t_symlink, 0, M | C, 0 },
	{ "unlink of a symlink beside it", t_unlink, 0, M | C, 0 },
	{ "utimensat", t_utimens, M | C, 0, 0 },
	{ "utimensat with nothing", t_omit, 0, 0, 0 },
};

static void
movements(void)
{
	NEED(mkdir("d", 0755));
	NEED(mkdir("e", 0755));
	NEED(put("d/f", "text"));
	fd_w = open("d/f", O_WRONLY);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		const char *name = there("d/f") ? "d/f"
				   : there("d/g") ? "d/g" : "e/f";
		struct watched f, d, e;

		watch(&f, name);
		watch(&d, "d");
		watch(&e, "e");
		tick();
		err(steps[i].run(), 0, "%s", steps[i].name);
		name = there("d/f") ? "d/f" : there("d/g") ? "d/g" : "e/f";
		is(moved(&f, name) & (M | C), steps[i].file,
		   "%s: the file's times", steps[i].name);
		is(moved(&d, "d") & (M | C), steps[i].d,
		   "%s: its directory's times", steps[i].name);
		is(moved(&e, "e") & (M | C), steps[i].e,
		   "%s: the other directory's times", steps[i].name);
	}
	close(fd_w);
}

/* A new file's times are now, all three the same. */
static void
births(void)
{
	for (int k = 0; k < KINDS; k++) {
		struct timespec a, b;
		struct stat st;

		tick();
		clock_gettime(CLOCK_REALTIME, &a);
		NEED(make(k, "x", 0644));
		clock_gettime(CLOCK_REALTIME, &b);
		st = look("x");
		/* The client's clock and the server's are not one. */
		is(ns(&st.st_mtim) >= ns(&a) - 20000000000 &&
			   ns(&st.st_mtim) <= ns(&b) + 20000000000,
		   1, "%s: now", kind_names[k]);
		is(ns(&st.st_mtim) == ns(&st.st_ctim), 1,
		   "%s: mtime and ctime", kind_names[k]);
		is(ns(&st.st_mtim) == ns(&st.st_atim), 1,
		   "%s: mtime and atime", kind_names[k]);
		NEED(drop("x"));
	}
}

/* ---- what utimensat stores ---- */

static void
stored(void)
{
	static const struct timespec times[] = {
		{ 0, 0 }, { 0, 1 }, { 1, 0 }, { 1000000000, 999999999 },
		{ 1234567890, 123456789 }, { 2147483647, 0 },
		{ 2147483648, 5 }, { 4294967295, 999999999 },
		{ 1700000000, 1000 }, { 1700000000, 1000000 },
		{ 1700000000, 500000000 },
	};

	for (int k = 0; k < KINDS; k++) {
		NEED(make(k, "x", 0644));
		for (size_t i = 0; i < 11; i++) {
			struct timespec t[2] = { times[i],
						 times[(i + 3) % 11] };
			struct stat st;

			err(utimensat(AT_FDCWD, "x", t, AT_SYMLINK_NOFOLLOW),
			    0, "%s %ld.%09ld", kind_names[k],
			    (long)t[0].tv_sec, t[0].tv_nsec);
			st = look("x");
			is(ns(&st.st_atim) == ns(&t[0]), 1,
			   "%s %ld.%09ld: atime", kind_names[k],
			   (long)t[0].tv_sec, t[0].tv_nsec);
			is(ns(&st.st_mtim) == ns(&t[1]), 1,
			   "%s %ld.%09ld: mtime", kind_names[k],
			   (long)t[1].tv_sec, t[1].tv_nsec);
		}
		NEED(drop("x"));
	}
}

static void
omitted(void)
{
	static const long how[] = { 0, UTIME_NOW, UTIME_OMIT };
	static const char *const names[] = { "given", "now", "omitted" };

	NEED(put("f", "x"));
	for (int a = 0; a < 3; a++) {
		for (int m = 0; m < 3; m++) {
			struct timespec old[2] = { { 1000, 5 }, { 2000, 6 } };
			struct timespec t[2] = { { 3000, how[a] },
						 { 4000, how[m] } };
			struct stat st;

			NEED(utimensat(AT_FDCWD, "f", old, 0));
			err(utimensat(AT_FDCWD, "f", t, 0), 0,
			    "atime %s, mtime %s", names[a], names[m]);
			st = look("f");
			is(st.st_atim.tv_sec == 1000   ? 2
			   : st.st_atim.tv_sec == 3000 ? 0
						       : 1,
			   a, "atime %s, mtime %s: atime", names[a],
			   names[m]);
			is(st.st_mtim.tv_sec == 2000   ? 2
			   : st.st_mtim.tv_sec == 4000 ? 0
						       : 1,
			   m, "atime %s, mtime %s: mtime", names[a],
			   names[m]);
		}
	}
	is(utimensat(AT_FDCWD, "f", (struct timespec[]){ { 1, 1000000000 },
							 { 1, 0 } },
		     0), -1, "too many nanoseconds");
	is(utimensat(AT_FDCWD, "f", (struct timespec[]){ { 1, -1 },
							 { 1, 0 } },
		     0), -1, "too few nanoseconds");
}

/* Times that were set stay, whatever is done to other attributes. */
static void
kept(void)
{
	struct timespec t[2] = { { 1000, 5 }, { 2000, 6 } };
	int fd;

	NEED(put("f", "x"));
	NEED(utimensat(AT_FDCWD, "f", t, 0));
	NEED(chmod("f", 0600));
	is(ns(&(struct timespec){ look("f").st_mtim.tv_sec,
				  look("f").st_mtim.tv_nsec }) ==
		   ns(&t[1]), 1, "mtime after chmod");
	NEED(chown("f", OWNER, GROUP));
	is(look("f").st_mtim.tv_sec, 2000, "mtime after chown");
	NEED(rename("f", "g"));
	is(look("g").st_mtim.tv_sec, 2000, "mtime after rename");
	fd = open("g", O_RDWR);
	NEED(fd);
	is(write(fd, "new", 3), 3, "write");
	NEED(fsync(fd));
	is(look("g").st_mtim.tv_sec > 2000, 1, "mtime after write");
	err(futimens(fd, t), 0, "futimens");
	NEED(close(fd));
	is(look("g").st_mtim.tv_sec, 2000, "mtime after close");
	is(holds("g", "new"), 1, "its bytes");
	is(look("g").st_mtim.tv_sec, 2000, "mtime after read");
}

const struct checks time_groups[] = {
	{ "times-moved", movements },
	{ "times-new", births },
	{ "times-stored", stored },
	{ "times-omitted", omitted },
	{ "times-kept", kept },
	{ NULL, NULL },
};
