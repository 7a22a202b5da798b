/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making files of every kind: mode, owner, group, links, device, and what is
 * inherited from the directory; what can be opened how.
 */

#include <config.h>

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/posix/posix.h"

static const mode_t modes[] = { 0, 0111, 0222, 0400, 0444, 0555, 0640, 0644,
				0666, 0700, 0755, 0777, 01777, 02755, 04755,
				06711, 07777 };
#define MODES (sizeof(modes) / sizeof(*modes))

static void
modes_and_umask(void)
{
	static const mode_t umasks[] = { 0, 022, 027, 077, 0777 };

	for (int k = 0; k < KINDS; k++) {
		for (size_t m = 0; m < MODES; m++) {
			for (size_t u = 0; u < 5; u++) {
				mode_t want = modes[m] & ~umasks[u];

				umask(umasks[u]);
				/* mkdir takes no set-id bits (Linux). */
				if (k == DIR_)
					want &= 01777;
				if (k == LNK)
					want = 0777;
				err(make(k, "x", modes[m]), 0,
				    "%s %#o umask %#o", kind_names[k],
				    modes[m], umasks[u]);
				is_mode(look("x").st_mode,
					kind_types[k] | want,
					"%s %#o umask %#o: mode",
					kind_names[k], modes[m], umasks[u]);
				NEED(drop("x"));
			}
		}
	}
	umask(0);
}

static void
ownership(void)
{
	static const struct {
		uid_t uid;
		gid_t gid, dir_gid;
		mode_t dir_mode;
	} cases[] = {
		{ 0, 0, 0, 0777 },
		{ OWNER, GROUP, 0, 0777 },
		{ OWNER, GROUP, GROUP2, 0777 },
		{ OWNER, GROUP, GROUP2, 02777 },
		{ 0, 0, GROUP2, 02777 },
		{ OWNER, GROUP, GROUP, 02777 },
	};

	for (int k = 0; k < KINDS; k++) {
		for (size_t c = 0; c < 6; c++) {
			bool sgid = cases[c].dir_mode & 02000;
			struct stat st;
			char what[100];

			if ((k == CHR || k == BLK) && cases[c].uid != 0)
				continue;
			snprintf(what, sizeof(what), "%s by %d in 0%o of %d",
				 kind_names[k], (int)cases[c].uid,
				 cases[c].dir_mode, (int)cases[c].dir_gid);
			NEED(mkdir("d", 0777));
			NEED(chown("d", 0, cases[c].dir_gid));
			NEED(chmod("d", cases[c].dir_mode));
			as(cases[c].uid, cases[c].gid, -1);
			err(make(k, "d/x", 02755), 0, "%s", what);
			as_root();
			st = look("d/x");
			is(st.st_uid, cases[c].uid, "%s: uid", what);
			is(st.st_gid, sgid ? cases[c].dir_gid : cases[c].gid,
			   "%s: gid", what);
			is(st.st_nlink, k == DIR_ ? 2 : 1, "%s: nlink", what);
			is(st.st_size, k == LNK ? 7 : k == DIR_ ? st.st_size
								: 0,
			   "%s: size", what);
			if (k == DIR_)
				is_mode(st.st_mode & 07777,
					sgid ? 02755 : 0755, "%s: mode",
					what);
			else if (k != LNK)
				/* Not a group that one is not in. */
				is_mode(st.st_mode & 07777,
					sgid &&
							cases[c].uid != 0 &&
							cases[c].gid !=
								cases[c].dir_gid
						? 0755
						: 02755,
					"%s: mode", what);
			NEED(drop("d/x"));
			NEED(rmdir("d"));
		}
	}
}

static void
existing(void)
{
	for (int old = 0; old < KINDS; old++) {
		NEED(make(old, "old", 0644));
		for (int k = 0; k < KINDS; k++)
			err(make(k, "old", 0644), EEXIST, "%s over a %s",
			    kind_names[k], kind_names[old]);
		is_mode(look("old").st_mode & S_IFMT, kind_types[old],
			"the %s is still there", kind_names[old]);
		NEED(drop("old"));
	}
}

static void
open_flags_of(int kind)
{
	static const struct {
		const char *name;
		int flags;
		int want[KINDS];
	} cases[] = {
		/* REG DIR FIFO SOCK CHR BLK LNK */
		{ "RDONLY|NONBLOCK", O_RDONLY | O_NONBLOCK,
		  { 0, 0, 0, ENXIO, 0, -1, ENOENT } },
		{ "WRONLY|NONBLOCK", O_WRONLY | O_NONBLOCK,
		  { 0, EISDIR, ENXIO, ENXIO, 0, -1, ENOENT } },
		{ "RDWR|NONBLOCK", O_RDWR | O_NONBLOCK,
		  { 0, EISDIR, 0, ENXIO, 0, -1, ENOENT } },
		{ "CREAT|EXCL", O_CREAT | O_EXCL | O_WRONLY,
		  { EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST,
		    EEXIST } },
		{ "CREAT|RDONLY|NONBLOCK", O_CREAT | O_RDONLY | O_NONBLOCK,
		  { 0, EISDIR, 0, ENXIO, 0, -1, -1 } },
		{ "DIRECTORY", O_RDONLY | O_DIRECTORY,
		  { ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
		    ENOENT } },
		{ "NOFOLLOW|NONBLOCK", O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
		  { 0, 0, 0, ENXIO, 0, -1, ELOOP } },
		{ "WRONLY|TRUNC|NONBLOCK", O_WRONLY | O_TRUNC | O_NONBLOCK,
		  { 0, EISDIR, ENXIO, ENXIO, 0, -1, ENOENT } },
		{ "PATH", O_PATH, { 0, 0, 0, 0, 0, 0, ENOENT } },
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		int fd;

		if (cases[c].want[kind] < 0)
			continue;
		fd = open("x", cases[c].flags, 0644);
		err(fd, cases[c].want[kind], "open %s %s", kind_names[kind],
		    cases[c].name);
		if (fd >= 0)
			close(fd);
	}
}

static void
open_flags(void)
{
	int fd;
	char buf[16] = "";

	for (int k = 0; k < KINDS; k++) {
		NEED(make(k, "x", 0666));
		open_flags_of(k);
		NEED(drop("x"));
	}
	/* O_CREAT makes the target of a dangling symlink. */
	NEED(make(LNK, "l", 0));
	fd = open("l", O_CREAT | O_RDWR, 0604);
	err(fd, 0, "CREAT through a dangling symlink");
	NEED(close(fd));
	is_mode(look("nowhere").st_mode, S_IFREG | 0604, "its target");
	NEED(unlink("nowhere"));
	/* What was opened may be used whatever its mode. */
	as(OWNER, GROUP, -1);
	fd = open("none", O_CREAT | O_EXCL | O_RDWR, 0);
	err(fd, 0, "create with mode 0");
	is(write(fd, "text", 4), 4, "write to a file of mode 0");
	is(pread(fd, buf, sizeof(buf), 0), 4, "read from a file of mode 0");
	err(fsync(fd), 0, "fsync a file of mode 0");
	err(fchmod(fd, 0400), 0, "fchmod");
	is(write(fd, "more", 4), 4, "write after fchmod 0400");
	err(close(fd), 0, "close");
	err(open("none", O_WRONLY), EACCES, "open for writing what is 0400");
	as_root();
	/* O_TRUNC and O_APPEND. */
	NEED(put("f", "12345"));
	fd = open("f", O_WRONLY | O_APPEND);
	is(pwrite(fd, "67", 2, 0), 2, "pwrite with APPEND");
	NEED(close(fd));
	is(holds("f", "1234567"), 1, "APPEND goes to the end");
	fd = open("f", O_RDONLY | O_TRUNC);
	NEED(fd < 0 ? 0 : close(fd));
	is(look("f").st_size, 0, "RDONLY|TRUNC truncates (Linux)");
	err(open("f/", O_RDONLY), ENOTDIR, "a file with a slash");
	err(open("new/", O_RDONLY | O_CREAT, 0644), EISDIR,
	    "create with a slash");
}

static void
devices(void)
{
	static const struct {
		unsigned major, minor;
	} numbers[] = { { 0, 0 }, { 1, 3 }, { 255, 255 }, { 8, 257 },
			{ 300, 70000 }, { 4095, 1048575 } };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char buf[8];
	int fd, fd2, s;

	for (int k = CHR; k <= BLK; k++) {
		for (size_t i = 0; i < 6; i++) {
			dev_t dev = makedev(numbers[i].major,
					    numbers[i].minor);

			err(mknod("x", kind_types[k] | 0600, dev), 0,
			    "%s %u:%u", kind_names[k], numbers[i].major,
			    numbers[i].minor);
			is(major(look("x").st_rdev), numbers[i].major,
			   "%s %u:%u: major", kind_names[k],
			   numbers[i].major, numbers[i].minor);
			is(minor(look("x").st_rdev), numbers[i].minor,
			   "%s %u:%u: minor", kind_names[k],
			   numbers[i].major, numbers[i].minor);
			NEED(unlink("x"));
		}
		as(OWNER, GROUP, -1);
		err(make(k, "x", 0666), EPERM, "%s by a user", kind_names[k]);
		as_root();
	}
	NEED(make(FIFO, "p", 0666));
	fd = open("p", O_RDWR);
	fd2 = open("p", O_RDONLY | O_NONBLOCK);
	is(write(fd, "text", 4), 4, "write to a FIFO");
	is(read(fd2, buf, 8), 4, "read from a FIFO");
	NEED(close(fd));
	NEED(close(fd2));
	is(look("p").st_size, 0, "size of a FIFO");
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(addr.sun_path, "sock");
	err(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0,
	    "bind a socket");
	is_mode(look("sock").st_mode & S_IFMT, S_IFSOCK, "its kind");
	err(listen(s, 1), 0, "listen");
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	err(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0,
	    "connect to a socket");
	NEED(close(fd));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	err(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), EADDRINUSE,
	    "bind a second socket");
	NEED(close(fd));
	NEED(close(s));
	NEED(unlink("sock"));
	/* mknod makes regular files, too, but no directories or symlinks. */
	err(mknod("r", S_IFREG | 0640, 0), 0, "mknod of a file");
	is_mode(look("r").st_mode, S_IFREG | 0640, "its mode");
	err(mknod("dd", S_IFDIR | 0755, 0), EPERM, "mknod of a directory");
	err(mknod("ll", S_IFLNK | 0755, 0), EINVAL, "mknod of a symlink");
	/* /dev/null is the same device wherever it lies. */
	NEED(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	fd = open("null", O_RDWR);
	is(fd < 0 ? -1 : write(fd, "x", 1), 1, "write to a device");
	is(fd < 0 ? -1 : read(fd, buf, 1), 0, "read from a device");
	NEED(close(fd));
}

const struct checks create_groups[] = {
	{ "create-mode", modes_and_umask },
	{ "create-owner", ownership },
	{ "create-existing", existing },
	{ "open-flags", open_flags },
	{ "devices", devices },
	{ NULL, NULL },
};
