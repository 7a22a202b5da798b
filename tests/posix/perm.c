/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: every call, as owner, member of the group (by first or
 * further group), anybody and root, under every mode of the directory and of
 * the file; sticky directories; who may change mode and owner.
 */

#include <config.h>

#include <dirent.h>

#include "tests/posix/posix.h"

enum who { W_OWNER, W_GROUP, W_GROUP2, W_OTHER, W_ROOT, WHOS };
static const char *const who_names[WHOS] = { "owner", "group", "second group",
					     "other", "root" };

static void
be(enum who w)
{
	switch (w) {
	case W_OWNER: as(OWNER, GROUP2, -1); break;
	case W_GROUP: as(OTHER, GROUP, -1); break;
	case W_GROUP2: as(OTHER, GROUP2, GROUP); break;
	case W_OTHER: as(OTHER, GROUP2, -1); break;
	default: as_root();
	}
}

/* The mode that gives rwx to this class, and the contrary to the others, so
 * that the wrong class shows. */
static mode_t
mode_for(enum who w, int bits)
{
	int no = ~bits & 7;

	switch (w) {
	case W_OWNER: return bits << 6 | no << 3 | no;
	case W_GROUP:
	case W_GROUP2: return no << 6 | bits << 3 | no;
	default: return no << 6 | no << 3 | bits;
	}
}

#define R 4
#define W 2
#define X 1

static long
closed(int fd)
{
	return fd < 0 ? fd : close(fd);
}

/* ---- under a directory of that mode ---- */

static long d_stat(void) { struct stat st; return stat("d/f", &st); }
static long d_open(void) { return closed(open("d/f", O_RDONLY)); }
static long d_create(void)
{
	return closed(open("d/new", O_CREAT | O_EXCL | O_WRONLY, 0644));
}
static long d_mkdir(void) { return mkdir("d/new", 0755); }
static long d_mkfifo(void) { return mkfifo("d/new", 0644); }
static long d_symlink(void) { return symlink("x", "d/new"); }
static long d_link(void) { return link("mine", "d/new"); }
static long d_unlink(void) { return unlink("d/f"); }
static long d_rmdir(void) { return rmdir("d/sub"); }
static long d_rename_from(void) { return rename("d/f", "out"); }
static long d_rename_to(void) { return rename("mine", "d/new"); }
static long d_rename_over(void) { return rename("mine", "d/f"); }
static long d_rename_in(void) { return rename("d/f", "d/new"); }
static long d_chmod(void) { return chmod("d/own", 0600); }
static long d_utimens(void)
{
	return utimensat(AT_FDCWD, "d/f", NULL, 0);
}
static long d_truncate(void) { return truncate("d/f", 1); }
static long d_access(void) { return faccessat(AT_FDCWD, "d/f", F_OK,
						   AT_EACCESS); }
static long d_readlink(void)
{
	char buf[10];

	return readlink("d/l", buf, 10);
}
static long d_opendir(void)
{
	DIR *d = opendir("d");

	return d == NULL ? -1 : closedir(d);
}
static long d_opensub(void)
{
	DIR *d = opendir("d/sub");

	return d == NULL ? -1 : closedir(d);
}

static const struct {
	const char *name;
	long (*run)(void);
	int needs;
} dir_calls[] = {
	{ "stat", d_stat, X }, { "open", d_open, X },
	{ "create", d_create, W | X }, { "mkdir", d_mkdir, W | X },
	{ "mkfifo", d_mkfifo, W | X }, { "symlink", d_symlink, W | X },
	{ "link", d_link, W | X }, { "unlink", d_unlink, W | X },
	{ "rmdir", d_rmdir, W | X }, { "rename from", d_rename_from, W | X },
	{ "rename to", d_rename_to, W | X },
	{ "rename over", d_rename_over, W | X },
	{ "rename within", d_rename_in, W | X },
	{ "chmod", d_chmod, X }, { "utimensat", d_utimens, X },
	{ "truncate", d_truncate, X }, { "access", d_access, X },
	{ "readlink", d_readlink, X }, { "opendir", d_opendir, R },
	{ "opendir below", d_opensub, X },
};
#define DIR_CALLS (sizeof(dir_calls) / sizeof(*dir_calls))

static void
dir_case(size_t c, enum who w, int bits)
{
	bool may = w == W_ROOT || (bits & dir_calls[c].needs) ==
					  dir_calls[c].needs;

	NEED(chmod("d", mode_for(w, bits)));
	be(w);
	err(dir_calls[c].run(), may ? 0 : EACCES, "%s by %s under %o",
	    dir_calls[c].name, who_names[w], bits);
	as_root();
}

/* Bring back what the call took away. */
static void
dir_reset(void)
{
	if (there("d/new"))
		NEED(drop("d/new"));
	if (there("out"))
		NEED(drop("out"));
	if (!there("d/f")) {
		NEED(put("d/f", "text"));
		NEED(chmod("d/f", 0666));
	}
	if (!there("d/sub")) {
		NEED(mkdir("d/sub", 0777));
		NEED(chmod("d/sub", 0777));
	}
	if (!there("mine")) {
		NEED(put("mine", "mine"));
		NEED(chmod("mine", 0666));
	}
}

static void
under_directory(void)
{
	NEED(mkdir("d", 0777));
	NEED(chown("d", OWNER, GROUP));
	NEED(symlink("x", "d/l"));
	NEED(put("d/own", "x"));
	for (enum who w = 0; w < WHOS; w++) {
		NEED(chown("d/own", w == W_OWNER ? OWNER : OTHER, GROUP));
		for (int bits = 0; bits < 8; bits++) {
			for (size_t c = 0; c < DIR_CALLS; c++) {
				dir_reset();
				dir_case(c, w, bits);
			}
		}
	}
}

/* ---- on a file of that mode ---- */

static long f_read(void) { return closed(open("x", O_RDONLY | O_NONBLOCK)); }
static long f_write(void)
{
	/* A FIFO that nobody reads has another error of its own. */
	return closed(open("x", O_RDWR | O_NONBLOCK)) == 0 ? 0 : -1;
}
static long f_append(void)
{
	return closed(open("x", O_WRONLY | O_APPEND | O_NONBLOCK));
}
static long f_trunc_open(void)
{
	return closed(open("x", O_WRONLY | O_TRUNC | O_NONBLOCK));
}
static long f_truncate(void) { return truncate("x", 2); }
static long f_now(void) { return utimensat(AT_FDCWD, "x", NULL, 0); }
static long f_time(void)
{
	struct timespec t[2] = { { 1000, 1 }, { 1001, 2 } };

	return utimensat(AT_FDCWD, "x", t, 0);
}
static long f_now_omit(void)
{
	struct timespec t[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };

	return utimensat(AT_FDCWD, "x", t, 0);
}
static long f_omit(void)
{
	struct timespec t[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };

	return utimensat(AT_FDCWD, "x", t, 0);
}
static long f_chmod(void) { return chmod("x", MODE("x")); }
static long f_access_r(void) { return faccessat(AT_FDCWD, "x", R_OK,
						AT_EACCESS); }
static long f_access_w(void) { return faccessat(AT_FDCWD, "x", W_OK,
						AT_EACCESS); }
static long f_access_x(void) { return faccessat(AT_FDCWD, "x", X_OK,
						AT_EACCESS); }

#define OWNS 8			/* owner or root */
#define REGULAR 16		/* for regular files only */

static const struct {
	const char *name;
	long (*run)(void);
	int needs;
	int refusal;
} file_calls[] = {
	{ "open for reading", f_read, R, EACCES },
	{ "open for both", f_write, R | W, EACCES },
	{ "append", f_append, W | REGULAR, EACCES },
	{ "open to truncate", f_trunc_open, W | REGULAR, EACCES },
	{ "truncate", f_truncate, W | REGULAR, EACCES },
	{ "access R", f_access_r, R, EACCES },
	{ "access W", f_access_w, W, EACCES },
	{ "access X", f_access_x, X, EACCES },
	{ "set times to now", f_now, W | OWNS, EACCES },
	{ "set times", f_time, OWNS, EPERM },
	{ "set one time to now", f_now_omit, OWNS, EPERM },
	{ "set no time", f_omit, 0, 0 },
	{ "chmod", f_chmod, OWNS, EPERM },
};
#define FILE_CALLS (sizeof(file_calls) / sizeof(*file_calls))

static bool
file_may(size_t c, enum who w, int bits)
{
	int needs = file_calls[c].needs, rwx = needs & 7;

	if (needs == 0)
		return true;
	if (w == W_ROOT)
		return rwx != X || (bits & X);	/* for somebody */
	if (needs & OWNS)
		return w == W_OWNER || (rwx != 0 && (bits & rwx) == rwx);
	return (bits & rwx) == rwx;
}

static void
on_file(void)
{
	static const enum kind kinds[] = { REG, FIFO };

	for (int i = 0; i < 2; i++) {
		enum kind k = kinds[i];

		NEED(make(k, "x", 0644));
		NEED(chown("x", OWNER, GROUP));
		for (enum who w = 0; w < WHOS; w++) {
			for (int bits = 0; bits < 8; bits++) {
				NEED(chmod("x", w == W_ROOT
							? (mode_t)bits
							: mode_for(w, bits)));
				for (size_t c = 0; c < FILE_CALLS; c++) {
					bool may = file_may(c, w, bits);

					if (k != REG &&
					    (file_calls[c].needs & REGULAR))
						continue;
					be(w);
					err(file_calls[c].run(),
					    may ? 0 : file_calls[c].refusal,
					    "%s: %s by %s under %o",
					    kind_names[k], file_calls[c].name,
					    who_names[w], bits);
					as_root();
				}
			}
		}
		NEED(drop("x"));
	}
}

/* ---- sticky directories ---- */

static void
sticky(void)
{
	static const uid_t owners[] = { 0, OWNER, OTHER };
	static const char *const calls[] = { "unlink", "rmdir", "rename from",
					     "rename over", "rename within" };

	NEED(mkdir("d", 0777));
	for (int o = 0; o < 27; o++) {
		uid_t dir = owners[o / 9], file = owners[o / 3 % 3];
		uid_t caller = owners[o % 3];
		bool may = caller == 0 || caller == dir || caller == file;

		NEED(chown("d", dir, 0));
		for (int c = 0; c < 5; c++) {
			for (int st = 0; st < 2; st++) {
				long r = -1;

				NEED(chmod("d", st ? 01777 : 0777));
				NEED(make(c == 1 ? DIR_ : REG, "d/f", 0666));
				NEED(chown("d/f", file, GROUP2));
				NEED(put("mine", "x"));
				NEED(chown("mine", caller, GROUP2));
				as(caller, caller ? GROUP : 0, -1);
				switch (c) {
				case 0: r = unlink("d/f"); break;
				case 1: r = rmdir("d/f"); break;
				case 2: r = rename("d/f", "out"); break;
				case 3: r = rename("mine", "d/f"); break;
				case 4: r = rename("d/f", "d/g"); break;
				}
				err(r, may || !st ? 0 : EPERM,
				    "%s by %d, file of %d, %sdirectory of %d",
				    calls[c], (int)caller, (int)file,
				    st ? "sticky " : "", (int)dir);
				as_root();
				if (there("d/f"))
					NEED(drop("d/f"));
				if (there("d/g"))
					NEED(drop("d/g"));
				if (there("out"))
					NEED(drop("out"));
			}
		}
	}
	/* Making is free for all. */
	NEED(chmod("d", 01777));
	NEED(chown("d", 0, 0));
	as(OTHER, GROUP, -1);
	for (int k = 0; k < KINDS; k++) {
		if (k != CHR && k != BLK)
			err(make(k, "d/f", 0600), 0,
			    "make a %s in a sticky directory", kind_names[k]);
		if (there("d/f"))
			err(drop("d/f"), 0, "and remove it: %s",
			    kind_names[k]);
	}
	as_root();
}

/* ---- chown ---- */

static void
chown_rights(void)
{
	static const struct {
		uid_t uid;
		gid_t gid;
	} targets[] = {
		{ -1, -1 }, { OWNER, -1 }, { OTHER, -1 }, { 0, -1 },
		{ -1, GROUP }, { -1, GROUP2 }, { -1, OTHER }, { -1, 0 },
		{ OWNER, GROUP2 }, { OTHER, GROUP2 }, { OWNER, GROUP },
	};

	for (int k = 0; k < KINDS; k++) {
		NEED(make(k, "x", 0666));
		for (size_t t = 0; t < 11; t++) {
			uid_t u = targets[t].uid;
			gid_t g = targets[t].gid;

			for (enum who w = 0; w < WHOS; w++) {
				bool may;
				struct stat st;

				NEED(lchown("x", OWNER, GROUP));
				/* The owner is in GROUP2 alone. */
				may = w == W_ROOT ||
				      (u == (uid_t)-1 && g == (gid_t)-1) ||
				      (w == W_OWNER &&
				       (u == (uid_t)-1 || u == OWNER) &&
				       (g == (gid_t)-1 || g == GROUP2 ||
					g == GROUP));
				be(w);
				err(lchown("x", u, g), may ? 0 : EPERM,
				    "%s to %d:%d by %s", kind_names[k],
				    (int)u, (int)g, who_names[w]);
				as_root();
				st = look("x");
				is(st.st_uid,
				   may && u != (uid_t)-1 ? u : OWNER,
				   "%s to %d:%d by %s: uid", kind_names[k],
				   (int)u, (int)g, who_names[w]);
				is(st.st_gid,
				   may && g != (gid_t)-1 ? g : GROUP,
				   "%s to %d:%d by %s: gid", kind_names[k],
				   (int)u, (int)g, who_names[w]);
			}
		}
		NEED(drop("x"));
	}
	NEED(put("f", "x"));
	err(chown("f", 4000000000U, 4000000001U), 0, "large ids");
	is(look("f").st_uid == 4000000000U, 1, "large uid");
	is(look("f").st_gid == 4000000001U, 1, "large gid");
	NEED(symlink("f", "l"));
	err(chown("l", OWNER, GROUP), 0, "chown follows");
	is(look("f").st_uid, OWNER, "the file's owner");
	is(look("l").st_uid, 0, "not the symlink's");
	err(fchownat(AT_FDCWD, "f", 1, 1, 0), 0, "fchownat");
}

const struct checks perm_groups[] = {
	{ "perm-dir", under_directory },
	{ "perm-file", on_file },
	{ "sticky", sticky },
	{ "chown", chown_rights },
	{ NULL, NULL },
};
