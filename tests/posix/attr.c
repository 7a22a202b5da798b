/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modes: every one of them, on every kind; what takes set-id bits away.
 */

#include <config.h>

#include "tests/posix/posix.h"

static void
all_modes(void)
{
	for (int k = 0; k < KINDS; k++) {
		if (k == LNK)
			continue;
		NEED(make(k, "x", 0));
		for (int m = 0; m < 010000; m += k == REG ? 5 : 61) {
			err(chmod("x", (mode_t)m), 0, "%s %#o", kind_names[k],
			    m);
			is_mode(look("x").st_mode, (long)kind_types[k] | m,
				"%s %#o: mode", kind_names[k], m);
		}
		NEED(chmod("x", 0700));
		NEED(drop("x"));
	}
}

/* setgid is for members; sticky is for everybody here. */
static void
set_id_by_users(void)
{
	static const mode_t modes[] = { 01644, 02755, 04755, 02644, 06755,
					07777 };

	for (int k = REG; k <= DIR_; k++) {
		for (int member = 0; member < 2; member++) {
			NEED(make(k, "x", 0755));
			NEED(chown("x", OWNER, GROUP));
			for (size_t m = 0; m < 6; m++) {
				as(OWNER, member ? GROUP : GROUP2, -1);
				err(chmod("x", modes[m]), 0,
				    "%s %#o by %s", kind_names[k], modes[m],
				    member ? "a member" : "no member");
				as_root();
				is_mode(MODE("x"),
					member ? modes[m]
					       : modes[m] & ~02000U,
					"%s %#o by %s: mode", kind_names[k],
					modes[m],
					member ? "a member" : "no member");
			}
			NEED(drop("x"));
		}
	}
}

static void
cleared(void)
{
	static const mode_t modes[] = { 06777, 06755, 04755, 02755, 02745,
					06444, 02644, 06666 };
	static const char *const what[] = { "chown by owner", "chown by root",
					    "chown to the same by root",
					    "chown to nothing by owner",
					    "write by another",
					    "truncate by another",
					    "write by owner",
					    "write by root",
					    "utimes by owner",
					    "truncate open by another" };

	for (size_t m = 0; m < 8; m++) {
		for (int c = 0; c < 10; c++) {
			/* Who is not in the group, or everybody if the group
			 * may execute, takes its set-id bit away. */
			bool x = (modes[m] & 010) || c == 4 || c == 5 ||
				 c == 9;
			mode_t want = modes[m] & ~04000U & ~(x ? 02000U : 0);
			int fd;

			/* Others write under a mode that lets them. */
			if (((c == 4 || c == 5 || c == 9) &&
			     !(modes[m] & 2)) ||
			    (c == 6 && !(modes[m] & 0200)))
				continue;
			NEED(put("f", "text"));
			NEED(chown("f", OWNER, GROUP));
			NEED(chmod("f", modes[m]));
			is_mode(MODE("f"), modes[m], "%#o, before %s",
				modes[m], what[c]);
			if (c == 1 || c == 2 || c == 7)
				as_root();
			else if (c == 4 || c == 5 || c == 9)
				as(OTHER, GROUP2, -1);
			else
				as(OWNER, GROUP, GROUP2);
			switch (c) {
			case 0: NEED(chown("f", -1, GROUP2)); break;
			case 1: NEED(chown("f", OTHER, GROUP2)); break;
			case 2: NEED(chown("f", OWNER, GROUP)); break;
			case 3: NEED(chown("f", -1, -1)); break;
			case 5: NEED(truncate("f", 1)); break;
			case 8: NEED(utimensat(AT_FDCWD, "f", NULL, 0)); break;
			case 9:
				fd = open("f", O_WRONLY | O_TRUNC);
				NEED(fd);
				close(fd);
				break;
			default:
				fd = open("f", O_WRONLY);
				NEED(fd);
				if (write(fd, "x", 1) != 1 || fsync(fd) != 0 ||
				    close(fd) != 0)
					NEED(-1);
			}
			as_root();
			/* Root's writing, and times, leave all as it is. */
			if (c == 7 || c == 8)
				want = modes[m];
			is_mode(MODE("f"), want, "%#o after %s", modes[m],
				what[c]);
		}
	}
	/* Directories keep theirs. */
	NEED(mkdir("d", 0755));
	NEED(chmod("d", 06755));
	NEED(chown("d", OWNER, GROUP));
	is_mode(MODE("d"), 06755, "a directory after chown");
}

static void
on_descriptors(void)
{
	int fd;
	struct stat st;

	NEED(put("f", "12345"));
	fd = open("f", O_RDWR);
	NEED(rename("f", "g"));
	err(fchmod(fd, 0611), 0, "fchmod after rename");
	err(fchown(fd, OWNER, GROUP), 0, "fchown after rename");
	err(ftruncate(fd, 2), 0, "ftruncate after rename");
	st = look("g");
	is_mode(st.st_mode & 07777, 0611, "its mode");
	is(st.st_uid, OWNER, "its owner");
	is(st.st_size, 2, "its size");
	NEED(close(fd));
	err(fchmod(fd, 0600), EBADF, "fchmod of nothing");
	err(chmod("g/", 0600), ENOTDIR, "chmod with a slash");
	err(fchmodat(AT_FDCWD, "g", 0640, 0), 0, "fchmodat");
	NEED(symlink("g", "l"));
	err(fchmodat(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP,
	    "chmod of a symlink");
}

const struct checks attr_groups[] = {
	{ "chmod", all_modes },
	{ "chmod-users", set_id_by_users },
	{ "set-id-cleared", cleared },
	{ "fchmod", on_descriptors },
	{ NULL, NULL },
};
